#include "compiler/mapping_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "compiler/mapping_names.h"

namespace switchyard::compiler {
namespace {

using Entry = MappingFile::Entry;

constexpr std::int64_t kMost = std::int64_t{1} << 40;  // of a number in a file

class Reader {
 public:
  Reader(const MappingFile& file, const Document& document) : file_(file), document_(document) {}

  std::vector<Entry> entries() {
    const Node& root = document_.root;
    std::vector<Entry> out;
    if (!wants(root, Node::Kind::map, "a mapping file", "a map with the key 'mappings'")) return out;
    allow(root, {"array", "placement", "merged", "reductions", "made_for", "deep", "streamed", "contexts", "mappings"});
    within = list_of(root, "array", 1);
    placement = list_of(root, "placement", 0);
    if (const Node* what = root.find("made_for")) made_for = name(*what);
    if (const Node* attention = root.find("streamed")) streamed = names(*attention, "'streamed'", "a list of kernels");
    if (const Node* is = root.find("deep")) deep = truth(*is).value_or(false);
    if (const Node* all = root.find("contexts"); all && wants(*all, Node::Kind::sequence, "'contexts'", "a list of lists of kernels"))
      for (const Node& one : all->items) contexts.push_back(names(one, "a context", "a list of kernels"));
    if (const Node* all = root.find("merged")) merged = names(*all, "'merged'", "a list of kernels");
    if (const Node* cuts = root.find("reductions")) reductions = numbers(*cuts, "reductions");
    const Node* list = root.find("mappings");
    if (!list) {
      report("mapping/shape", "a mapping file has a key 'mappings'", root, "mappings:\n  - kernel: NAME");
      return out;
    }
    if (!wants(*list, Node::Kind::sequence, "'mappings'", "a list of entries")) return out;
    for (const Node& item : list->items) out.push_back(entry(item));
    return out;
  }

  Failure failure{FailureKind::malformed, {}, {}};
  std::optional<std::vector<MappingFile::Value>> within, placement;
  std::vector<MappingFile::Named> reductions;
  std::vector<std::vector<MappingFile::Name>> contexts;
  std::vector<MappingFile::Name> streamed;
  std::optional<MappingFile::Name> made_for;
  bool deep = false;
  std::optional<std::vector<MappingFile::Name>> merged;

 private:
  std::optional<std::vector<MappingFile::Value>> list_of(const Node& root, std::string_view key, std::int64_t least) {
    const Node* list = root.find(key);
    if (!list || !wants(*list, Node::Kind::sequence, fmt::format("'{}'", key), "a list of numbers")) return std::nullopt;
    std::vector<MappingFile::Value> out;
    for (const Node& item : list->items)
      if (const auto n = number(item, least)) out.push_back(*n);
    return out;
  }

  Entry entry(const Node& node) {
    Entry e;
    if (!wants(node, Node::Kind::map, "an entry of 'mappings'", "a map with the key 'kernel'")) return e;
    allow(node, {"kernel", "nth", "unit", "epilogue", "split", "tile", "trips", "order", "accumulators", "slices", "overlap", "readers",
                 "dealt", "stream", "components", "operands"});
    if (!node.find("kernel")) report("mapping/shape", "an entry names its 'kernel'", node);
    for (const auto& [key, value] : node.entries) {
      if (key == "kernel") e.kernel = name(value).value_or(MappingFile::Name{});
      if (key == "nth") e.nth = number(value) ? std::optional(number(value)->value) : std::nullopt;
      if (key == "unit") e.unit = name(value);
      if (key == "epilogue") e.epilogue = name(value);
      if (key == "split") e.split = numbers(value, key);
      if (key == "tile") e.tile = numbers(value, key);
      if (key == "trips") e.trips = numbers(value, key);
      if (key == "accumulators") e.accumulators = number(value);
      if (key == "slices") e.slices = number(value);
      if (key == "overlap") e.overlap = truth(value);
      if (key == "readers") e.readers = number(value);
      if (key == "dealt") e.dealt = name(value);
      if (key == "stream") e.stream = name(value);
      if (key == "components") e.components = list_of(node, key, 0);
      if (key == "order") e.order = names(value, "'order'", "a list of loops");
      if (key == "operands" && wants(value, Node::Kind::map, "'operands'", "a map from tensors to what is done with them"))
        for (const auto& [tensor, said] : value.entries) e.operands.push_back(operand(tensor, said));
    }
    return e;
  }

  MappingFile::Operand operand(const std::string& tensor, const Node& node) {
    MappingFile::Operand o;
    o.tensor = {tensor, key_place(node)};
    if (!wants(node, Node::Kind::map, fmt::format("'{}'", tensor), "a map")) return o;
    allow(node, {"sharing", "depth", "resident", "in"});
    for (const auto& [key, value] : node.entries) {
      if (key == "sharing") o.sharing = choice<Sharing>(value, {kSharingNames.begin(), kSharingNames.end()});
      if (key == "depth") o.depth = number(value);
      if (key == "resident") o.resident = truth(value);
      if (key == "in") o.lies = choice<MappingFile::Lies>(value, {"memory", "scratchpads", "handed"});
    }
    return o;
  }

  template <class Enum>
  std::optional<Enum> choice(const Node& node, const std::vector<std::string>& names) {
    const auto n = name(node);
    if (!n) return std::nullopt;
    for (std::size_t i = 0; i < names.size(); ++i)
      if (n->text == names[i]) return static_cast<Enum>(i);
    report("mapping/value", fmt::format("there is no '{}' here", n->text), node, did_you_mean(n->text, names, "values"));
    return std::nullopt;
  }
  std::optional<bool> truth(const Node& node) { return choice<bool>(node, {"false", "true"}); }

  std::optional<MappingFile::Name> name(const Node& node) {
    if (!wants(node, Node::Kind::scalar, "this", "a single value")) return std::nullopt;
    return MappingFile::Name{node.text, document_.location(node)};
  }

  std::vector<MappingFile::Name> names(const Node& node, const std::string& what, const char* wanted) {
    std::vector<MappingFile::Name> out;
    if (!wants(node, Node::Kind::sequence, what, wanted)) return out;
    for (const Node& item : node.items)
      if (auto n = name(item)) out.push_back(*n);
    return out;
  }

  std::optional<MappingFile::Value> number(const Node& node, std::int64_t least = 1) {
    if (!wants(node, Node::Kind::scalar, "this", "a whole number")) return std::nullopt;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
    if (error != std::errc() || end != node.text.data() + node.text.size() || value < least || value > kMost) {
      report("mapping/value", fmt::format("'{}' is not a whole number from {} on", node.text, least), node);
      return std::nullopt;
    }
    return MappingFile::Value{value, document_.location(node)};
  }

  std::vector<MappingFile::Named> numbers(const Node& node, const std::string& key) {
    std::vector<MappingFile::Named> out;
    if (!wants(node, Node::Kind::map, fmt::format("'{}'", key),
               key == "reductions" ? "a map from operators to numbers" : "a map from loops to numbers"))
      return out;
    for (const auto& [loop, value] : node.entries)
      if (auto n = number(value)) {
        n->at = key_place(value);
        out.push_back({loop, *n});
      }
    return out;
  }

  /// Where the key stands; an empty one has no place of its own.
  [[nodiscard]] Location key_place(const Node& value) const {
    if (value.key_line > 0) return {document_.file, value.key_line, value.key_column};
    return value.line > 0 ? document_.location(value) : Location{document_.file, 1, 1};
  }

  bool wants(const Node& node, Node::Kind kind, const std::string& what, const char* wanted) {
    if (node.kind == kind) return true;
    report("mapping/shape", fmt::format("{} must be {}", what, wanted), node);
    return false;
  }

  void allow(const Node& node, const std::vector<std::string>& keys) {
    for (const auto& [key, value] : node.entries)
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        failure.diagnostics.push_back(file_.diagnose("mapping/unknown-key", fmt::format("there is no key '{}' here", key), key_place(value),
                                                     did_you_mean(key, keys, "keys")));
  }

  void report(std::string code, std::string message, const Node& node, std::string hint = {}) {
    const Location at = node.line > 0 ? document_.location(node) : key_place(node);
    failure.diagnostics.push_back(file_.diagnose(std::move(code), std::move(message), at, std::move(hint)));
  }

  const MappingFile& file_;
  const Document& document_;
};

}  // namespace

Diagnostic MappingFile::diagnose(std::string code, std::string message, const Location& at, std::string hint) const {
  return {std::move(code), std::move(message), at, {}, std::move(hint), at.line > 0 ? document_.line_text(at.line) : ""};
}

Result<MappingFile> MappingFile::parse(std::string text, std::string file) {
  MappingFile out;
  SY_TRY(out.document_, parse_document(std::move(text), std::move(file)));
  Reader reader(out, out.document_);
  out.entries_ = reader.entries();
  out.within_ = std::move(reader.within);
  out.placement_ = std::move(reader.placement);
  out.reductions_ = std::move(reader.reductions);
  out.contexts_ = std::move(reader.contexts);
  out.streamed_ = std::move(reader.streamed);
  out.made_for_ = std::move(reader.made_for);
  out.deep_ = reader.deep;
  out.merged_ = std::move(reader.merged);
  if (!reader.failure.diagnostics.empty()) return reader.failure;
  return out;
}

Result<MappingFile> MappingFile::read(const std::string& path) {
  SY_TRY(Document document, read_document(path));
  return parse(std::move(document.text), path);
}

const Entry* MappingFile::find(const std::string& kernel, std::int64_t nth) const {
  const auto fits = [&](const Entry& e) { return !e.nth || *e.nth == nth; };
  for (const Entry& e : entries_)
    if (e.kernel.text == kernel && fits(e)) return &e;
  for (const Entry& e : entries_)
    if (matches_pattern(e.kernel.text, kernel) && fits(e)) return &e;
  return nullptr;
}

}  // namespace switchyard::compiler
