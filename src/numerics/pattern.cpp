#include "numerics/pattern.h"

#include <fmt/format.h>

#include <bitset>
#include <charconv>
#include <vector>

namespace switchyard::numerics {

using Set = std::bitset<256>;

/// Thompson's construction: states are alternatives, bytes, or the end; a match follows all states at once.
struct Pattern::Machine {
  enum class Kind : unsigned char { byte, either, begin, end, edge, inside, done };  ///< edge: of a word
  struct State {
    Kind kind = Kind::done;
    Set set;
    int next = -1, other = -1;
  };
  std::vector<State> states;
  int start = 0;
};

namespace {

constexpr std::size_t kMostStates = 10000, kMostParts = 1'000'000;
constexpr int kDeepest = 100, kMostRepeats = 1000;

/// The syntax as a tree, from which repeated parts are written out.
struct Tree {
  enum class Kind : unsigned char { empty, byte, begin, end, edge, inside, sequence, either, repeat };
  Kind kind = Kind::empty;
  Set set;
  std::vector<Tree> parts;
  int least = 0, most = 0;  ///< most < 0: without end
};

struct Wrong {
  std::string why;
};

Set class_of(char c) {
  Set set;
  const auto range = [&](char from, char to) {
    for (int b = from; b <= to; ++b) set.set(static_cast<std::size_t>(b));
  };
  switch (c) {
    case 'd':
    case 'D': range('0', '9'); break;
    case 'w':
    case 'W': range('0', '9'), range('a', 'z'), range('A', 'Z'), range('_', '_'); break;
    case 's':
    case 'S':
      for (const char space : {' ', '\t', '\n', '\r', '\f'}) range(space, space);
      break;
    default: return set;
  }
  return c >= 'a' ? set : ~set;
}

Tree bytes(int from, int to) {
  Tree tree{Tree::Kind::byte, {}, {}};
  for (int b = from; b <= to; ++b) tree.set.set(static_cast<std::size_t>(b));
  return tree;
}

/// One letter out of a set: the inverse of a class holds every letter beyond ASCII, each of several bytes in UTF-8.
Tree letter(const Set& set) {
  Set ascii = set;
  for (std::size_t b = 0x80; b < 256; ++b) ascii.reset(b);
  Tree one{Tree::Kind::byte, ascii, {}};
  if (ascii == set) return one;
  const Tree more = bytes(0x80, 0xbf);
  return {Tree::Kind::either,
          {},
          {one, Tree{Tree::Kind::sequence, {}, {bytes(0xc2, 0xdf), more}}, Tree{Tree::Kind::sequence, {}, {bytes(0xe0, 0xef), more, more}},
           Tree{Tree::Kind::sequence, {}, {bytes(0xf0, 0xf4), more, more, more}}}};
}

const Set kWord = class_of('w');

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Tree run() {
    Tree tree = either(0);
    if (at_ < text_.size()) throw Wrong{"a ')' that closes nothing"};
    return tree;
  }

 private:
  [[nodiscard]] bool more() const { return at_ < text_.size(); }
  bool take(char c) {
    if (!more() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Tree either(int depth) {
    if (depth > kDeepest) throw Wrong{fmt::format("groups nest more than {} deep", kDeepest)};
    Tree tree{Tree::Kind::either, {}, {sequence(depth)}};
    while (take('|')) tree.parts.push_back(sequence(depth));
    return tree.parts.size() == 1 ? std::move(tree.parts[0]) : tree;
  }

  Tree sequence(int depth) {
    Tree tree{Tree::Kind::sequence, {}, {}};
    while (more() && text_[at_] != '|' && text_[at_] != ')') tree.parts.push_back(repeated(depth));
    return tree;
  }

  Tree repeated(int depth) {
    Tree tree = atom(depth);
    while (more()) {
      int least = 0, most = -1;
      if (take('*')) {
      } else if (take('+')) {
        least = 1;
      } else if (take('?')) {
        most = 1;
      } else if (text_[at_] != '{' || !bounds(least, most)) {
        break;
      }
      take('?');  // which of several matches is preferred does not matter to whether there is one
      tree = Tree{Tree::Kind::repeat, {}, {std::move(tree)}, least, most};
    }
    return tree;
  }

  /// {m}, {m,} or {m,n}; anything else in braces stands for itself.
  bool bounds(int& least, int& most) {
    const std::size_t close = text_.find('}', at_);
    if (close == std::string_view::npos) return false;
    const std::string_view inside = text_.substr(at_ + 1, close - at_ - 1);
    const auto number = [](std::string_view digits, int& value) {
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      return error == std::errc() && end == digits.data() + digits.size() && value >= 0;
    };
    const std::size_t comma = inside.find(',');
    if (!number(inside.substr(0, comma), least)) return false;
    most = least;
    if (comma != std::string_view::npos) {
      most = -1;
      if (comma + 1 < inside.size() && !number(inside.substr(comma + 1), most)) return false;
    }
    if (least > kMostRepeats || most > kMostRepeats || (most >= 0 && most < least)) throw Wrong{fmt::format("repetitions {{{}}}", inside)};
    at_ = close + 1;
    return true;
  }

  Tree atom(int depth) {
    const char c = text_[at_++];
    Tree tree;
    Set set;
    switch (c) {
      case '(': {
        if (take('?') && !take(':')) throw Wrong{"a group that begins with '(?'"};
        Tree inner = either(depth + 1);
        if (!take(')')) throw Wrong{"a '(' that is never closed"};
        return inner;
      }
      case '[': return letter(bracket());
      case '.': return letter(set.set().reset('\n'));
      case '^': tree.kind = Tree::Kind::begin; return tree;
      case '$': tree.kind = Tree::Kind::end; return tree;
      case '\\':
        if (more() && (text_[at_] == 'b' || text_[at_] == 'B')) {
          tree.kind = text_[at_++] == 'b' ? Tree::Kind::edge : Tree::Kind::inside;
          return tree;
        }
        return letter(escaped());
      case '*':
      case '+':
      case '?': throw Wrong{fmt::format("a '{}' behind nothing", c)};
      default: break;
    }
    tree.kind = Tree::Kind::sequence;  // a letter beyond ASCII has several bytes, which belong together
    tree.parts.push_back(bytes(static_cast<unsigned char>(c), static_cast<unsigned char>(c)));
    while (static_cast<unsigned char>(c) >= 0xc0 && more() && (static_cast<unsigned char>(text_[at_]) & 0xc0) == 0x80) {
      const auto b = static_cast<unsigned char>(text_[at_++]);
      tree.parts.push_back(bytes(b, b));
    }
    return tree;
  }

  Set escaped() {
    if (!more()) throw Wrong{"a '\\' at the end"};
    const char c = text_[at_++];
    if (const Set set = class_of(c); set.any()) return set;
    Set set;
    static constexpr std::string_view kNames = "ntrfv", kBytes = "\n\t\r\f\v";
    if (const std::size_t at = kNames.find(c); at != std::string_view::npos) {
      set.set(static_cast<unsigned char>(kBytes[at]));
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
      throw Wrong{fmt::format("'\\{}'", c)};
    } else {
      set.set(static_cast<unsigned char>(c));
    }
    return set;
  }

  Set bracket() {
    const bool inverse = take('^');
    Set set;
    for (bool first = true; first || !take(']'); first = false) {
      if (!more()) throw Wrong{"a '[' that is never closed"};
      if (text_.substr(at_).starts_with("[:")) throw Wrong{"a named class '[:...:]'"};
      const char c = text_[at_++];
      if (c == '\\') {
        set |= escaped();
        continue;
      }
      const auto from = static_cast<unsigned char>(c);
      unsigned char to = from;
      if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
        to = static_cast<unsigned char>(text_[at_ + 1]);
        at_ += 2;
        if (to < from || to == '\\') throw Wrong{"a range that runs backwards, or to an escape"};
      }
      if (to >= 0x80) throw Wrong{"a letter beyond ASCII in a class"};
      for (int b = from; b <= to; ++b) set.set(static_cast<std::size_t>(b));
    }
    return inverse ? ~set : set;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Pattern> Pattern::parse(std::string_view text) {
  using State = Machine::State;
  using Kind = Machine::Kind;
  auto machine = std::make_shared<Machine>();
  auto& states = machine->states;
  const auto add = [&](State state) {
    if (states.size() >= kMostStates) throw Wrong{fmt::format("more than {} steps", kMostStates)};
    states.push_back(state);
    return static_cast<int>(states.size()) - 1;
  };
  std::size_t visited = 0;
  // From the end to the beginning: each part knows what comes after it.
  const auto build = [&](const auto& self, const Tree& tree, int next) -> int {
    if (++visited > kMostParts) throw Wrong{fmt::format("more than {} parts", kMostParts)};
    switch (tree.kind) {
      case Tree::Kind::empty: return next;
      case Tree::Kind::byte: return add({Kind::byte, tree.set, next, -1});
      case Tree::Kind::begin: return add({Kind::begin, {}, next, -1});
      case Tree::Kind::end: return add({Kind::end, {}, next, -1});
      case Tree::Kind::edge: return add({Kind::edge, {}, next, -1});
      case Tree::Kind::inside: return add({Kind::inside, {}, next, -1});
      case Tree::Kind::sequence:
        for (std::size_t i = tree.parts.size(); i-- > 0;) next = self(self, tree.parts[i], next);
        return next;
      case Tree::Kind::either: {
        int from = self(self, tree.parts.back(), next);
        for (std::size_t i = tree.parts.size() - 1; i-- > 0;) from = add({Kind::either, {}, self(self, tree.parts[i], next), from});
        return from;
      }
      case Tree::Kind::repeat: {
        int from = next;
        if (tree.most < 0) {
          from = add({Kind::either, {}, -1, next});
          const int inner = self(self, tree.parts[0], from);
          states[static_cast<std::size_t>(from)].next = inner;
        }
        for (int i = tree.least; i < tree.most; ++i) from = add({Kind::either, {}, self(self, tree.parts[0], from), next});
        for (int i = 0; i < tree.least; ++i) from = self(self, tree.parts[0], from);
        return from;
      }
    }
    return next;
  };
  try {
    const Tree tree = Parser(text).run();
    const int done = add({Kind::done, {}, -1, -1});
    machine->start = build(build, tree, done);
  } catch (const Wrong& wrong) {
    return fail(FailureKind::unsupported, "host/unsupported", fmt::format("the pattern '{}' has {}, which is not read", text, wrong.why));
  }
  Pattern out;
  out.machine_ = std::move(machine);
  return out;
}

bool Pattern::matches(std::string_view text) const {
  const auto& states = machine_->states;
  std::vector<int> now, next, open;
  std::vector<std::size_t> seen(states.size(), static_cast<std::size_t>(-1));
  bool done = false;
  const auto word = [&](std::size_t at) { return at < text.size() && kWord.test(static_cast<unsigned char>(text[at])); };
  const auto edge = [&](std::size_t at) { return word(at) != (at > 0 && word(at - 1)); };
  const auto enter = [&](int first, std::size_t at) {
    open.push_back(first);
    while (!open.empty()) {
      const int s = open.back();
      open.pop_back();
      const auto& state = states[static_cast<std::size_t>(s)];
      if (seen[static_cast<std::size_t>(s)] == at) continue;
      seen[static_cast<std::size_t>(s)] = at;
      switch (state.kind) {
        case Machine::Kind::byte: next.push_back(s); break;
        case Machine::Kind::either: open.push_back(state.next), open.push_back(state.other); break;
        case Machine::Kind::begin:
          if (at == 0) open.push_back(state.next);
          break;
        case Machine::Kind::end:
          if (at == text.size()) open.push_back(state.next);
          break;
        case Machine::Kind::edge:
        case Machine::Kind::inside:
          if (edge(at) == (state.kind == Machine::Kind::edge)) open.push_back(state.next);
          break;
        case Machine::Kind::done: done = done || at == text.size(); break;
      }
    }
  };
  enter(machine_->start, 0);
  for (std::size_t at = 0; at < text.size(); ++at) {
    now.swap(next);
    next.clear();
    for (const int s : now) {
      const auto& state = states[static_cast<std::size_t>(s)];
      if (state.set.test(static_cast<unsigned char>(text[at]))) enter(state.next, at + 1);
    }
  }
  return done;
}

Status check_pattern(const std::string& pattern) {
  SY_TRY([[maybe_unused]] const Pattern parsed, Pattern::parse(pattern));
  return Done{};
}

}  // namespace switchyard::numerics
