#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>

#include "graph/text.h"

namespace switchyard::graph {

namespace {

using numerics::Access;
using numerics::Format;
using numerics::LoopKind;
using numerics::Nest;
using numerics::Shape;

constexpr std::size_t kMaxDiagnostics = 50;

/// What is left of one line.
class Line {
 public:
  Line() = default;
  explicit Line(std::string_view text) : text_(text) {}

  [[nodiscard]] int column() const { return static_cast<int>(at_) + 1; }
  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  /// The next run of word characters; empty when there is none.
  std::string_view word() {
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }
  bool take_word(std::string_view wanted) {
    const std::size_t start = at_;
    if (word() == wanted) return true;
    at_ = start;
    return false;
  }
  std::optional<std::int64_t> integer() {
    const std::string_view digits = word();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  }
  std::optional<double> number() {
    const std::string_view digits = word();
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  }
  std::optional<std::string> quoted() {
    if (!take('"')) return std::nullopt;
    std::string name;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c == '\\') {
        if (at_ == text_.size()) return std::nullopt;
        c = text_[at_++];
        if (c == 'x') {
          unsigned value = 0;
          const std::string_view hex = text_.substr(at_, 2);
          const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
          if (hex.size() != 2 || error != std::errc() || end != hex.data() + 2) return std::nullopt;
          at_ += 2;
          c = static_cast<char>(value);
        } else if (c != '"' && c != '\\') {
          return std::nullopt;
        }
      }
      name += c;
    }
    if (!take('"')) return std::nullopt;
    return name;
  }
  /// Everything up to one of `ends`, which is left where it is.
  std::string_view until(std::string_view ends) {
    const std::size_t start = at_;
    at_ = std::min(text_.find_first_of(ends, at_), text_.size());
    return text_.substr(start, at_ - start);
  }
  std::string_view rest() { return until(""); }

 private:
  static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '+';
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class Parser {
 public:
  Parser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Result<Graph> run() {
    bool headed = false;
    for (std::size_t start = 0; start < text_.size() && failure_.diagnostics.size() < kMaxDiagnostics;) {
      const std::size_t end = std::min(text_.find('\n', start), text_.size());
      source_ = text_.substr(start, end - start);
      start = end + 1;
      ++number_;
      line_ = Line(source_);
      if (line_.at_end() || source_[static_cast<std::size_t>(line_.column()) - 1] == '#') continue;
      if (!headed) {
        headed = true;
        if (!(line_.take_word("switchyard") && line_.take_word("graph") && line_.take_word("1") && line_.at_end())) {
          complain("the first line is not 'switchyard graph 1'");
          return failure_;
        }
        continue;
      }
      if (statement() && !line_.at_end()) complain("unexpected text at the end of the line");
    }
    if (!headed) {
      number_ = 1;
      complain("the text is empty");
    }
    end_nest();
    if (!failure_.diagnostics.empty()) return failure_;
    return std::move(graph_);
  }

 private:
  /// Always false, so that a reader can `return complain(...)`.
  bool complain(std::string message, std::string hint = {}) {
    failure_.diagnostics.push_back(
        {"graph/syntax", std::move(message), {file_, number_, line_.column()}, {}, std::move(hint), std::string(source_)});
    return false;
  }

  bool statement() {
    struct Statement {
      std::string_view word;
      bool (Parser::*read)();
    };
    static constexpr Statement kStatements[] = {
        {"graph", &Parser::read_graph},
        {"input", &Parser::read_input},
        {"constant", &Parser::read_constant},
        {"intermediate", &Parser::read_middle},
        {"inputs", &Parser::read_inputs},
        {"outputs", &Parser::read_outputs},
        {"op", &Parser::read_op},
        {"operand", &Parser::read_operand},
        {"result", &Parser::read_result},
        {"local", &Parser::read_local},
        {"host", &Parser::read_host},
        {"nest", &Parser::read_nest},
        {"slot", &Parser::read_write},
    };
    const std::string_view word = line_.word();
    for (const Statement& s : kStatements) {
      if (s.word == word) return (this->*s.read)();
    }
    if (word.size() > 1 && word[0] == 'x') return read_read(word.substr(1));
    std::vector<std::string> known;
    for (const Statement& s : kStatements) known.emplace_back(s.word);
    const std::string nearest = nearest_name(word, known);
    return complain(fmt::format("unknown statement '{}'", word), nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest));
  }

  // ---------------------------------------------------------------------------------------------- graph and tensors

  bool read_graph() {
    auto name = line_.quoted();
    if (!name) return complain("expected a quoted name");
    graph_.name = std::move(*name);
    return true;
  }
  bool read_input() { return read_tensor(Role::input); }
  bool read_constant() { return read_tensor(Role::constant); }
  bool read_middle() { return read_tensor(Role::intermediate); }

  bool read_tensor(Role role) {
    Tensor t;
    t.role = role;
    if (!read_declaration(t.name, t.format, t.shape)) return false;
    t.trained = !line_.take_word("untrained");
    if (!tensor_of_.emplace(t.name, TensorId(graph_.tensors.size())).second) return complain(fmt::format("'{}' is declared twice", t.name));
    graph_.tensors.push_back(std::move(t));
    return true;
  }

  /// "name" fp32[1,3,224,224]
  bool read_declaration(std::string& name, Format& format, Shape& shape) {
    auto quoted = line_.quoted();
    if (!quoted) return complain("expected a quoted name");
    name = std::move(*quoted);
    const std::string_view format_text = line_.word();
    const auto known = numerics::format_named(format_text);
    if (!known) return complain(fmt::format("unknown format '{}'", format_text));
    format = *known;
    if (!line_.take('[')) return complain("expected '['");
    if (line_.take(']')) return true;
    do {
      const auto extent = line_.integer();
      if (!extent || *extent < 0) return complain("expected an extent");
      shape.push_back(*extent);
    } while (line_.take(','));
    return line_.take(']') || complain("expected ']'");
  }

  bool read_inputs() { return read_names(graph_.inputs); }
  bool read_outputs() { return read_names(graph_.outputs); }
  bool read_names(std::vector<TensorId>& ids) {
    while (!line_.at_end()) {
      if (!read_reference(ids)) return false;
    }
    return true;
  }
  bool read_reference(std::vector<TensorId>& ids) {
    const auto name = line_.quoted();
    if (!name) return complain("expected a quoted name");
    const auto found = tensor_of_.find(*name);
    if (found == tensor_of_.end()) return complain(fmt::format("no tensor is called '{}'", *name));
    ids.push_back(found->second);
    return true;
  }

  // ---------------------------------------------------------------------------------------------- operators

  bool read_op() {
    end_nest();
    in_op_ = true;
    Op& op = graph_.ops.emplace_back();
    auto name = line_.quoted();
    auto kind = line_.quoted();
    if (!name || !kind) return complain("expected a quoted name and a quoted kind");
    op.name = std::move(*name);
    op.kind = std::move(*kind);
    if (!line_.take_word("from")) return true;
    while (!line_.at_end()) {
      auto node = line_.quoted();
      if (!node) return complain("expected a quoted name");
      op.nodes.push_back(std::move(*node));
    }
    return true;
  }

  /// The number of the next slot, as a check on the reader's eye.
  bool read_slot_number() {
    if (!in_op_) return complain("this belongs into an operator");
    const Op& op = graph_.ops.back();
    const auto wanted = static_cast<std::int64_t>(op.operands.size() + op.results.size() + op.locals.size());
    return line_.integer() == wanted || complain(fmt::format("the next slot is {}", wanted));
  }
  bool read_operand() {
    if (!read_slot_number()) return false;
    Op& op = graph_.ops.back();
    if (!op.results.empty() || !op.locals.empty()) return complain("operands come before results and locals");
    return read_reference(op.operands);
  }
  bool read_result() {
    if (!read_slot_number()) return false;
    if (!graph_.ops.back().locals.empty()) return complain("results come before locals");
    return read_reference(graph_.ops.back().results);
  }
  bool read_local() {
    if (!read_slot_number()) return false;
    Local local;
    if (!read_declaration(local.name, local.format, local.shape)) return false;
    graph_.ops.back().locals.push_back(std::move(local));
    return true;
  }

  /// host "StringSplit" "delimiter" ","
  bool read_host() {
    if (!in_op_) return complain("this belongs into an operator");
    auto kind = line_.quoted();
    if (!kind) return complain("expected a quoted name");
    numerics::HostCall call{std::move(*kind), {}};
    while (!line_.at_end()) {
      auto key = line_.quoted();
      auto value = key ? line_.quoted() : std::nullopt;
      if (!value) return complain("expected a quoted name and a quoted value");
      call.attributes.emplace_back(std::move(*key), std::move(*value));
    }
    graph_.ops.back().host = std::move(call);
    return true;
  }

  // ---------------------------------------------------------------------------------------------- nests

  /// "nest n:1 oc:64 ic:3:reduction"
  bool read_nest() {
    end_nest();
    if (!in_op_) return complain("this belongs into an operator");
    nest_.emplace();
    loop_names_.clear();
    while (!line_.at_end()) {
      numerics::NestLoop loop;
      loop.name = std::string(line_.word());
      if (loop.name.empty() || !line_.take(':')) return complain("expected a loop 'name:extent'");
      const auto extent = line_.integer();
      if (!extent || *extent < 0) return complain("expected an extent");
      loop.extent = *extent;
      if (line_.take(':')) {
        if (line_.take_word("reduction")) {
          loop.kind = LoopKind::reduction;
        } else if (line_.take_word("sequential")) {
          loop.kind = LoopKind::sequential;
        } else {
          return complain("expected 'reduction' or 'sequential'");
        }
      }
      loop_names_.push_back(loop.name);
      nest_->loops.push_back(std::move(loop));
    }
    return true;
  }

  /// A nest ends with its write; one that is still open lacks it.
  void end_nest() {
    if (nest_) complain("the nest before this has no write");
    nest_.reset();
  }

  /// "x0 = slot 0[n, ic, 2*oh + kh - 3] fill 0"
  bool read_read(std::string_view digits) {
    if (!nest_) return complain("a read belongs into a nest");
    if (digits != fmt::format("{}", nest_->reads.size())) return complain(fmt::format("the next read is x{}", nest_->reads.size()));
    if (!line_.take('=') || !line_.take_word("slot")) return complain("expected '= slot'");
    Access access;
    if (!read_access(access)) return false;
    nest_->reads.push_back(std::move(access));
    return true;
  }

  /// "slot 2[n, oc, oh] = add mul(x0, x1)": the last line of a nest.
  bool read_write() {
    if (!nest_) return complain("a write belongs into a nest");
    Nest nest = std::move(*nest_);
    nest_.reset();
    if (!read_access(nest.write)) return false;
    if (!line_.take('=')) return complain("expected '='");
    const std::string_view combiner_text = line_.word();
    const auto combiner = numerics::combiner_named(combiner_text);
    if (!combiner) return complain(fmt::format("unknown combiner '{}'", combiner_text));
    nest.combiner = *combiner;
    auto expression = numerics::parse_expression(line_.rest());
    if (!expression) return complain("malformed expression");
    if (expression->input_count() > static_cast<int>(nest.reads.size())) return complain("the expression uses a read that is not there");
    nest.expression = std::move(*expression);
    graph_.ops.back().nests.push_back(std::move(nest));
    return true;
  }

  /// "0[n, ic, 2*oh + kh - 3] fill 0"
  bool read_access(Access& access) {
    const auto slot = line_.integer();
    if (!slot || *slot < 0 || *slot > 1'000'000) return complain("expected the number of a slot");
    access.slot = static_cast<int>(*slot);
    if (!line_.take('[')) return complain("expected '['");
    if (!line_.take(']')) {
      do {
        if (line_.take('@')) {
          const std::string_view read = line_.word();
          int number = 0;
          const auto [end, error] = std::from_chars(read.data() + std::min<std::size_t>(1, read.size()), read.data() + read.size(), number);
          if (read.size() < 2 || read[0] != 'x' || error != std::errc() || end != read.data() + read.size())
            return complain("expected '@x' and the number of a read");
          access.lookups.push_back({static_cast<int>(access.index.size()), number});
          access.index.emplace_back();
          continue;
        }
        auto index = numerics::parse_affine(line_.until(",]"), loop_names_);
        if (!index) return complain("malformed index: expected a sum of loops of this nest");
        access.index.push_back(std::move(*index));
      } while (line_.take(','));
      if (!line_.take(']')) return complain("expected ']'");
    }
    if (!line_.take_word("fill")) return true;
    const auto fill = line_.number();
    if (!fill) return complain("expected a number");
    access.fill = *fill;
    return true;
  }

  std::string_view text_;
  const std::string& file_;
  std::string_view source_;
  int number_ = 0;
  Line line_;
  Failure failure_;
  Graph graph_;
  std::map<std::string, TensorId> tensor_of_;
  bool in_op_ = false;
  std::optional<Nest> nest_;
  std::vector<std::string> loop_names_;
};

}  // namespace

Result<Graph> parse(const std::string& text, const std::string& file) { return Parser(text, file).run(); }

}  // namespace switchyard::graph
