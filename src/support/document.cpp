#include "support/document.h"

#include <fmt/format.h>
#include <libfyaml.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <unordered_set>

#include "support/file.h"

namespace switchyard {
namespace {

constexpr std::size_t kLargestText = std::size_t{16} << 20;
constexpr std::size_t kMostNodes = 1'000'000;  // a byte of text may make a node of a hundred bytes
constexpr std::size_t kDeepest = 64;

struct ParserDelete {
  void operator()(fy_parser* parser) const { fy_parser_destroy(parser); }
};
struct TokenIteratorDelete {
  void operator()(fy_token_iter* iterator) const { fy_token_iter_destroy(iterator); }
};
struct DiagDelete {
  void operator()(fy_diag* diag) const { fy_diag_destroy(diag); }
};

/// libfyaml's own messages go nowhere; we read the collected errors.
void swallow(fy_diag* /*diag*/, void* /*user*/, const char* /*text*/, std::size_t /*size*/) {}

std::string_view line_of(std::string_view text, int line) {
  std::size_t begin = 0;
  for (int at = 1; at < line; ++at) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return {};
    begin = end + 1;
  }
  std::string_view rest = text.substr(begin);
  rest = rest.substr(0, rest.find('\n'));
  if (!rest.empty() && rest.back() == '\r') rest.remove_suffix(1);
  return rest;
}

std::ptrdiff_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

/// The line for a diagnostic to show; nothing of one so long that a hundred diagnostics of it would fill the memory.
std::string shown_line(std::string_view text, int line) {
  constexpr std::size_t kLongest = std::size_t{64} << 10;
  const std::string_view whole = line_of(text, line);
  return whole.size() <= kLongest ? std::string(whole) : std::string();
}

/// Where the first byte stands that is not UTF-8 text, or npos. libfyaml is only ever given text.
std::size_t first_bad_byte(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::size_t i = 0;
  while (i < text.size()) {
    const unsigned char lead = byte(i);
    if (lead < 0x80) {
      if ((lead < 0x20 && lead != '\t' && lead != '\n' && lead != '\r') || lead == 0x7f) return i;
      ++i;
      continue;
    }
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || i + length > text.size()) return i;
    for (std::size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return i;
    }
    const unsigned char second = byte(i + 1);
    const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool surrogate = lead == 0xed && second >= 0xa0;
    const bool control = lead == 0xc2 && second < 0xa0 && second != 0x85;
    if (overlong || surrogate || control || (lead == 0xf4 && second >= 0x90)) return i;
    i += length;
  }
  return std::string_view::npos;
}

bool is_null_word(std::string_view text) { return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL"; }

/// Turns libfyaml's events into a tree. The first mistake ends the reading: after one, YAML's structure is a guess. Duplicate keys do not
/// disturb the structure and are all reported.
class Reader {
 public:
  Reader(const std::string& text, const std::string& file) : text_(text), file_(file) {}

  Result<Node> read();

 private:
  /// A collection that is being filled. In a map, `key` holds the key whose value comes next.
  struct Open {
    Node* node = nullptr;
    bool has_key = false;
    Node key;
    std::unordered_set<std::string> seen;  // asked for membership only, never walked
  };

  void report(std::string code, std::string message, int line, int column, std::string hint = {}) {
    failure_.diagnostics.push_back(
        {std::move(code), std::move(message), {file_, line, column}, {}, std::move(hint), shown_line(text_, line)});
  }
  bool stop(std::string code, std::string message, const Node& at, std::string hint = {}) {
    report(std::move(code), std::move(message), at.line, at.column, std::move(hint));
    return false;
  }
  bool take(fy_event* event);
  bool take_decorations(fy_event* event);
  bool take_scalar(fy_event* event, Node node);
  bool take_key(Node key);
  Node* place(Node node);
  bool open(Node node);
  void report_syntax(fy_diag* diag);

  const std::string& text_;
  const std::string& file_;
  Node root_;
  bool has_root_ = false;
  int documents_ = 0;
  std::size_t nodes_ = 0;
  std::vector<Open> open_;
  Failure failure_;
};

Result<Node> Reader::read() {
  fy_diag_cfg diag_cfg{};
  fy_diag_cfg_default(&diag_cfg);
  diag_cfg.fp = nullptr;
  diag_cfg.output_fn = swallow;
  diag_cfg.level = FYET_ERROR;
  diag_cfg.colorize = false;
  const std::unique_ptr<fy_diag, DiagDelete> diag(fy_diag_create(&diag_cfg));
  SY_CHECK(diag != nullptr, "creating libfyaml's diagnostics");
  fy_diag_set_collect_errors(diag.get(), true);

  fy_parse_cfg cfg{};
  cfg.flags =
      static_cast<fy_parse_cfg_flags>(FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE | FYPCF_SLOPPY_FLOW_INDENTATION | FYPCF_COLLECT_DIAG);
  cfg.diag = diag.get();
  const std::unique_ptr<fy_parser, ParserDelete> parser(fy_parser_create(&cfg));
  SY_CHECK(parser != nullptr, "creating libfyaml's parser");
  SY_CHECK(fy_parser_set_string(parser.get(), text_.data(), text_.size()) == 0, "giving libfyaml a text");

  root_.line = root_.column = 1;
  bool good = true;
  bool ended = false;
  while (good && !ended) {
    fy_event* event = fy_parser_parse(parser.get());
    if (event == nullptr) break;
    ended = event->type == FYET_STREAM_END;
    good = take(event);
    fy_parser_event_free(parser.get(), event);
  }
  if (good && !ended) report_syntax(diag.get());
  if (!failure_.diagnostics.empty()) return failure_;
  return std::move(root_);
}

void Reader::report_syntax(fy_diag* diag) {
  void* previous = nullptr;
  const fy_diag_error* error = fy_diag_errors_iterate(diag, &previous);
  if (error == nullptr || error->msg == nullptr) {
    report("document/syntax", "this is neither YAML nor JSON", 1, 1);
    return;
  }
  const std::string message = error->msg;
  int line = std::max(1, error->line), column = std::max(1, error->column);
  const auto lines = std::max<std::ptrdiff_t>(1, std::count(text_.begin(), text_.end(), '\n') + (text_.ends_with('\n') ? 0 : 1));
  if (line > lines) {  // the end of the text: shown behind its last line
    line = static_cast<int>(lines);
    column = 1 + static_cast<int>(count_characters(line_of(text_, line)));
  }
  if (message.find("depth") != std::string::npos) {
    report("document/too-deep", fmt::format("collections stand more than {} deep in each other", kDeepest), line, column);
    return;
  }
  report("document/syntax", message, line, column);
}

bool Reader::take_decorations(fy_event* event) {
  const auto at = [](fy_token* token) {
    Node place;
    const fy_mark* mark = fy_token_start_mark(token);
    place.line = mark == nullptr ? 1 : mark->line + 1;
    place.column = mark == nullptr ? 1 : mark->column + 1;
    return place;
  };
  if (fy_token* anchor = fy_event_get_anchor_token(event)) {
    Node place = at(anchor);
    --place.column;  // the mark is behind the &
    return stop("document/alias", "anchors (&name) are not allowed", place, "write the value out where it is used");
  }
  if (fy_token* tag = fy_event_get_tag_token(event)) {
    return stop("document/tag", "tags (!name) are not allowed", at(tag), "quote the scalar to make it text");
  }
  return true;
}

bool Reader::take(fy_event* event) {
  Node node;
  if (const fy_mark* mark = fy_event_start_mark(event)) {
    node.line = mark->line + 1;
    node.column = mark->column + 1;
    // libfyaml marks what stands inside the quotes and behind the star; we point at the quote and the star.
    const bool inside = event->type == FYET_ALIAS || event->type == FYET_SCALAR;
    const std::size_t at = mark->input_pos;
    if (inside && at > 0 && at <= text_.size() && std::string_view("\"'*").find(text_[at - 1]) != std::string_view::npos) --node.column;
  }
  switch (event->type) {
    case FYET_DOCUMENT_START:
      if (++documents_ > 1) {
        return stop("document/syntax", "a second document begins here", node, "keep one document in a file");
      }
      return true;
    case FYET_ALIAS: return stop("document/alias", "aliases (*name) are not allowed", node, "write the value out where it is used");
    case FYET_SCALAR: return take_decorations(event) && take_scalar(event, std::move(node));
    case FYET_SEQUENCE_START: node.kind = Node::Kind::sequence; return take_decorations(event) && open(std::move(node));
    case FYET_MAPPING_START: node.kind = Node::Kind::map; return take_decorations(event) && open(std::move(node));
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
      SY_CHECK(!open_.empty(), "libfyaml ends what it did not start");
      open_.pop_back();
      return true;
    default: return true;
  }
}

bool Reader::take_scalar(fy_event* event, Node node) {
  fy_token* token = event->scalar.value;
  bool plain = true;
  if (token != nullptr) {
    // By chunks: fy_token_get_text leaks its table of chunks when a scalar has many lines (libfyaml 0.7.12).
    const std::unique_ptr<fy_token_iter, TokenIteratorDelete> iterator(fy_token_iter_create(token));
    SY_CHECK(iterator != nullptr, "walking a scalar");
    int failed = 0;
    for (const fy_iter_chunk* chunk = fy_token_iter_chunk_next(iterator.get(), nullptr, &failed); chunk != nullptr;
         chunk = fy_token_iter_chunk_next(iterator.get(), chunk, &failed)) {
      node.text.append(chunk->str, chunk->len);
    }
    if (failed != 0) return stop("document/syntax", "this scalar cannot be read", node);
    plain = fy_token_scalar_style(token) == FYSS_PLAIN;
  }
  node.quoted = !plain;
  node.kind = Node::Kind::scalar;
  if (!open_.empty() && open_.back().node->kind == Node::Kind::map && !open_.back().has_key) return take_key(std::move(node));
  if (plain && is_null_word(node.text)) {
    node.kind = Node::Kind::null;
    node.text.clear();
  }
  return place(std::move(node)) != nullptr;
}

bool Reader::take_key(Node key) {
  Open& map = open_.back();
  if (!map.seen.insert(key.text).second) {
    const auto first = std::find_if(map.node->entries.begin(), map.node->entries.end(), [&](const auto& e) { return e.first == key.text; });
    report("document/duplicate-key", fmt::format("the key '{}' stands here twice", key.text), key.line, key.column,
           fmt::format("the first is in line {}", first->second.key_line));
    if (failure_.diagnostics.size() >= 20) return false;  // enough to see what is wrong with the file
  }
  map.key = std::move(key);
  map.has_key = true;
  return true;
}

Node* Reader::place(Node node) {
  if (++nodes_ > kMostNodes) {
    stop("document/too-large", fmt::format("the document has more than {} values", kMostNodes), node);
    return nullptr;
  }
  if (open_.empty()) {
    SY_CHECK(!has_root_, "libfyaml gives one root per document");
    has_root_ = true;
    root_ = std::move(node);
    return &root_;
  }
  Open& parent = open_.back();
  if (node.line == 0) {  // an absent value stands nowhere: it is found by its key, or by the list it is in
    const Node& near = parent.has_key ? parent.key : *parent.node;
    node.line = near.line;
    node.column = near.column;
  }
  if (parent.node->kind == Node::Kind::sequence) return &parent.node->items.emplace_back(std::move(node));
  SY_CHECK(parent.has_key, "a map's value follows its key");
  parent.has_key = false;
  node.key_line = parent.key.line;
  node.key_column = parent.key.column;
  return &parent.node->entries.emplace_back(std::move(parent.key.text), std::move(node)).second;
}

bool Reader::open(Node node) {
  if (!open_.empty() && open_.back().node->kind == Node::Kind::map && !open_.back().has_key) {
    return stop("document/syntax", "a key must be a scalar", node);
  }
  if (open_.size() >= kDeepest) {
    return stop("document/too-deep", fmt::format("collections stand more than {} deep in each other", kDeepest), node);
  }
  // The address holds: a parent gets no further child before this one is closed.
  Node* placed = place(std::move(node));
  if (placed == nullptr) return false;
  Open& opened = open_.emplace_back();
  opened.node = placed;
  return true;
}

// Printing.

enum class Context { block, flow };

/// How the character at `i` is written in double quotes; bytes == 0: as it is.
struct Escape {
  std::string text;
  std::size_t bytes = 0;  ///< of the original that it stands for
};

Escape escape_at(std::string_view text, std::size_t i) {
  const auto c = static_cast<unsigned char>(text[i]);
  const std::string_view rest = text.substr(i);
  if (c == '"' || c == '\\') return {std::string("\\") + text[i], 1};
  if (c >= 0x20 && c < 0x7f) return {};
  if (c == '\n') return {"\\n", 1};
  if (c == '\t') return {"\\t", 1};
  if (c < 0x20 || c == 0x7f) return {fmt::format("\\x{:02x}", c), 1};
  if (c == 0xc2 && rest.size() > 1 && static_cast<unsigned char>(rest[1]) < 0xa0) {
    return {fmt::format("\\x{:02x}", static_cast<unsigned char>(rest[1])), 2};  // C1 controls, NEL
  }
  if (rest.starts_with("\xe2\x80\xa8")) return {"\\L", 3};  // line separators would be folded
  if (rest.starts_with("\xe2\x80\xa9")) return {"\\P", 3};
  if (rest.starts_with("\xef\xbb\xbf")) return {"\\uFEFF", 3};
  return {};
}

std::string quote(std::string_view text) {
  std::string result = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const Escape escape = escape_at(text, i);
    if (escape.bytes == 0) {
      result += text[i++];
    } else {
      result += escape.text;
      i += escape.bytes;
    }
  }
  return result + "\"";
}

/// Whether a plain scalar of this text is read back as the same plain scalar.
bool plain_safe(std::string_view text, Context context) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || is_null_word(text)) return false;
  constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@`";
  const char first = text.front();
  if (kIndicators.find(first) != std::string_view::npos) {
    const bool may_begin = first == '-' || first == '?' || first == ':';
    if (!may_begin || text.size() < 2 || text[1] == ' ') return false;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '"' && c != '\\' && escape_at(text, i).bytes > 0) return false;
    if (context == Context::flow && std::string_view(",[]{}").find(c) != std::string_view::npos) return false;
    if (c == ':' && (i + 1 == text.size() || text[i + 1] == ' ' || context == Context::flow)) return false;
    if (c == '#' && i > 0 && text[i - 1] == ' ') return false;
  }
  return true;
}

std::string scalar_text(const Node& node, Context context) {
  if (node.kind == Node::Kind::null) return "null";
  return !node.quoted && plain_safe(node.text, context) ? node.text : quote(node.text);
}

/// In the first column a plain scalar must not look like a document's marker, nor a key anywhere like a merge.
bool marker_like(std::string_view text) { return text.starts_with("---") || text.starts_with("...") || text == "<<"; }

std::string key_text(const std::string& key, Context context) { return plain_safe(key, context) && !marker_like(key) ? key : quote(key); }

bool is_leaf(const Node& node) { return node.kind == Node::Kind::null || node.kind == Node::Kind::scalar; }

constexpr std::size_t kWidest = 120;  // of a collection in one line

/// Whether `node` prints in flow style within a width: scalars, empty collections, and collections of scalars that lose nothing there.
bool flow_able(const Node& node, std::size_t widest) {
  if (is_leaf(node) || (node.items.empty() && node.entries.empty())) return true;
  std::size_t width = 0;
  const auto fits = [&](const Node& child) {
    width += child.text.size() + 2;
    if (width > widest || !is_leaf(child)) return false;
    return child.kind == Node::Kind::null || child.quoted || plain_safe(child.text, Context::flow) ||
           !plain_safe(child.text, Context::block);
  };
  for (const auto& [key, value] : node.entries) {
    width += key.size() + 2;
    if (!fits(value)) return false;
  }
  return std::all_of(node.items.begin(), node.items.end(), fits);
}

bool inline_able(const Node& node) { return flow_able(node, kWidest); }
/// A list of many scalars prints as lines of several.
bool wrap_able(const Node& node) { return !node.items.empty() && flow_able(node, std::string::npos); }

std::string inline_text(const Node& node, Context context) {
  if (is_leaf(node)) return scalar_text(node, context);
  std::string inside;
  for (const Node& item : node.items) inside += (inside.empty() ? "" : ", ") + scalar_text(item, Context::flow);
  for (const auto& [key, value] : node.entries) {
    inside += (inside.empty() ? "" : ", ") + key_text(key, Context::flow) + ": " + scalar_text(value, Context::flow);
  }
  return node.kind == Node::Kind::sequence ? "[" + inside + "]" : "{" + inside + "}";
}

/// The lines of a long list, the first of which stands behind `indent` places already.
std::string wrapped_text(const Node& node, std::size_t indent) {
  std::string out = "[";
  std::size_t width = 0;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const std::string text = scalar_text(node.items[i], Context::flow) + (i + 1 < node.items.size() ? "," : "]");
    if (width > 0 && width + text.size() > kWidest) {
      out += "\n" + std::string(indent + 1, ' ');
      width = 0;
    } else if (width > 0) {
      out += ' ';
    }
    out += text;
    width += text.size() + 1;
  }
  return out + "\n";
}

/// Prints a collection of one or more lines; the first line begins without indentation when `continues` (it stands behind "- ").
void print_block(const Node& node, std::size_t indent, bool continues, std::string& out) {
  constexpr std::size_t kLongestKey = 1000;  // an implicit key ends within 1024 characters
  const auto begin = [&] {
    if (!continues) out.append(indent, ' ');
    continues = false;
  };
  for (const Node& item : node.items) {
    begin();
    out += "- ";
    if (inline_able(item)) {
      out += inline_text(item, Context::block) + "\n";
    } else if (wrap_able(item)) {
      out += wrapped_text(item, indent + 2);
    } else {
      print_block(item, indent + 2, true, out);
    }
  }
  for (const auto& [key, value] : node.entries) {
    begin();
    const std::string text = key_text(key, Context::block);
    if (text.size() > kLongestKey) {
      out += "? " + text + "\n";
      out.append(indent, ' ');
    } else {
      out += text;
    }
    if (inline_able(value)) {
      out += ": " + inline_text(value, Context::block) + "\n";
    } else if (wrap_able(value)) {
      out += ":\n" + std::string(indent + 2, ' ') + wrapped_text(value, indent + 2);
    } else {
      out += ":\n";
      print_block(value, indent + 2, false, out);
    }
  }
}

}  // namespace

Node::Node() = default;
Node::Node(const Node&) = default;
Node::Node(Node&&) noexcept = default;
Node& Node::operator=(const Node&) = default;
Node& Node::operator=(Node&&) noexcept = default;
Node::~Node() = default;

const Node* Node::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name == key) return &value;
  }
  return nullptr;
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

std::string Document::line_text(int line) const { return line < 1 ? std::string() : shown_line(text, line); }

Result<Document> parse_document(std::string text, std::string file) {
  if (text.size() > kLargestText) {
    return fail(FailureKind::malformed, "document/too-large", fmt::format("the text has more than {} MiB", kLargestText >> 20), {},
                {file, 0, 0});
  }
  if (const std::size_t bad = first_bad_byte(text); bad != std::string_view::npos) {
    const std::string_view before = std::string_view(text).substr(0, bad);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t newline = before.rfind('\n');
    const auto column = 1 + count_characters(newline == std::string_view::npos ? before : before.substr(newline + 1));
    return fail(FailureKind::malformed, "document/syntax",
                fmt::format("the byte 0x{:02x} is not text", static_cast<unsigned char>(text[bad])), "save the file as UTF-8",
                {file, static_cast<int>(line), static_cast<int>(column)});
  }
  Result<Node> root = Reader(text, file).read();
  if (!root) return root.failure();
  return Document{std::move(file), std::move(text), std::move(root).value()};
}

Result<Document> read_document(const std::string& path) {
  Result<std::string> text = read_file(path, kLargestText);
  if (!text) {
    Failure failure = text.failure();
    for (Diagnostic& diagnostic : failure.diagnostics) {
      diagnostic.code = diagnostic.code == "file/too-large" ? "document/too-large" : "document/unreadable";
    }
    return failure;
  }
  return parse_document(std::move(text).value(), path);
}

std::string print_yaml(const Node& root) {
  if (is_leaf(root) && marker_like(root.text)) return quote(root.text) + "\n";
  if (inline_able(root)) return inline_text(root, Context::block) + "\n";
  std::string text;
  print_block(root, 0, false, text);
  return text;
}

}  // namespace switchyard
