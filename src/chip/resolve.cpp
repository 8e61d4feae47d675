#include "chip/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "chip/schema.h"

namespace switchyard::chip {
namespace {

/// What a file says about the numbers in a record it changes, until they have got it written beside them.
struct Provenance {
  const Node* source = nullptr;
  const Node* confidence = nullptr;
};

bool is_provenance(std::string_view key) { return key == "source" || key == "confidence" || key == "note"; }

bool names_number(const std::string& pointer) {
  return !is_provenance(std::string_view(pointer).substr(pointer.rfind('/') + 1)) && number_field(pointer) != nullptr;
}

Node scalar(std::string text, const Node& like) {
  Node node;
  node.kind = Node::Kind::scalar;
  node.text = std::move(text);
  node.line = node.key_line = like.line;
  node.column = node.key_column = like.column;
  return node;
}

/// A number that replaces another one says where it comes from: what was said about the old number does not hold for it.
Node with_provenance(const Node& value, const Provenance& provenance) {
  Node number;
  number.kind = Node::Kind::map;
  number.line = value.line;
  number.column = value.column;
  number.entries.emplace_back("value", value);
  number.entries.back().second.key_line = value.line;
  number.entries.back().second.key_column = value.column;
  number.entries.emplace_back("source", provenance.source != nullptr ? *provenance.source : scalar("override", value));
  number.entries.emplace_back("confidence", provenance.confidence != nullptr ? *provenance.confidence : scalar("assumed", value));
  return number;
}

void keep_key_position(Node& node, const Node& key_of) {
  node.key_line = key_of.key_line;
  node.key_column = key_of.key_column;
}

/// Puts a new value where a number stands; what else its record says (accumulate) stays.
void replace_number(Node& target, Node number) {
  if (const Node* accumulate = target.find("accumulate")) number.entries.emplace_back("accumulate", *accumulate);
  keep_key_position(number, target);
  target = std::move(number);
}

void merge(Tree& tree, Node& into, const Node& from, std::size_t file, const std::string& pointer, Provenance provenance) {
  if (const Node* source = from.find("source")) provenance.source = source;
  if (const Node* confidence = from.find("confidence")) provenance.confidence = confidence;
  for (const auto& [key, value] : from.entries) {
    const std::string at = pointer_to(pointer, key);
    Node* target = into.find(key);
    if (target == nullptr) {
      into.entries.emplace_back(key, value);
      tree.set_origin(at, file);
    } else if (is_provenance(key) && pointer != "/sources") {
      continue;  // it was about the numbers this file gives
    } else if (value.kind == Node::Kind::map && target->kind == Node::Kind::map && value.find("value") == nullptr) {
      merge(tree, *target, value, file, at, provenance);
    } else if (value.kind == Node::Kind::scalar && names_number(at)) {
      replace_number(*target, with_provenance(value, provenance));
      tree.set_origin(at, file);
    } else {
      *target = value;
      tree.set_origin(at, file);
    }
  }
}

std::string sibling_hint(const Node& parent, const std::string& key) {
  std::vector<std::string> names;
  for (const auto& [name, value] : parent.entries) names.push_back(name);
  const std::string nearest = nearest_name(key, names);
  return nearest.empty() ? std::string() : "did you mean '" + nearest + "'?";
}

std::string shortest(double value) { return fmt::format("{}", value); }

/// Every entry of a rate map in the proportion in which the first one changes. False when there is nothing to scale.
bool scale_rates(Node& rates, const Node& value) {
  const auto new_first = parse_quantity(value.text);
  if (!new_first || new_first->dimension != Dimension::per_cycle) return false;
  const auto number_of = [](Node& entry) -> Node* { return entry.kind == Node::Kind::map ? entry.find("value") : &entry; };
  double factor = 0;
  for (auto& [key, entry] : rates.entries) {
    if (is_provenance(key)) continue;
    const Node* number = number_of(entry);
    const auto old = number == nullptr ? std::nullopt : parse_quantity(number->text);
    if (!old || old->dimension != Dimension::per_cycle || !(old->value > 0)) return false;
    const bool first = factor == 0;
    if (first) factor = new_first->value / old->value;
    Node scaled = first ? value : scalar(shortest(old->value * factor) + " op/cycle", value);
    replace_number(entry, with_provenance(scaled, {}));
  }
  return factor != 0;
}

/// Replaces what stands at a pointer. Returns an empty string, or why it cannot be done (and a hint).
struct Refusal {
  std::string message, hint;
};
std::optional<Refusal> apply_pointer(Tree& tree, const std::string& pointer, const Node& value, std::size_t file) {
  const auto names = pointer_names(pointer);
  if (!names || names->empty()) return Refusal{fmt::format("'{}' is not a JSON pointer", pointer), "write it like /memories/ddr/bandwidth"};
  Node* parent = &tree.root;
  for (std::size_t i = 0; i + 1 < names->size(); ++i) {
    Node* next = parent->find((*names)[i]);
    if (next == nullptr) return Refusal{fmt::format("'{}' names nothing in the chip", pointer), sibling_hint(*parent, (*names)[i])};
    parent = next;
  }
  Node* target = parent->find(names->back());
  const bool is_number = names_number(pointer);
  if (target == nullptr) {
    // What was left to its default may be set as if it had been written.
    const bool optional = is_number ? !number_field(pointer)->fallback.empty() : names->size() == 3 && names->back() == "holes";
    if (!optional || parent->kind == Node::Kind::scalar || parent->kind == Node::Kind::sequence) {
      return Refusal{fmt::format("'{}' names nothing in the chip", pointer), sibling_hint(*parent, names->back())};
    }
    parent->kind = Node::Kind::map;
    parent->entries.emplace_back(names->back(), Node{});
    target = &parent->entries.back().second;
  }
  if (value.kind == Node::Kind::scalar && is_number) {
    replace_number(*target, with_provenance(value, {}));
  } else if (value.kind == Node::Kind::scalar && names->size() == 3 && names->front() == "units" && names->back() == "rate" &&
             target->kind == Node::Kind::map) {
    if (!scale_rates(*target, value)) {
      return Refusal{fmt::format("'{}' expects {}, got '{}'", pointer, describe_dimension(Dimension::per_cycle), value.text), {}};
    }
  } else {
    Node replacement = value;
    keep_key_position(replacement, *target);
    *target = std::move(replacement);
  }
  tree.set_origin(pointer, file);
  return std::nullopt;
}

/// `sustained` may be given as a bandwidth; it is held as the share of the bandwidth beside it, before anything overrides that.
void settle_sustained(Tree& tree) {
  Node* memories = tree.root.find("memories");
  if (memories == nullptr) return;
  const auto number_of = [](Node& memory, std::string_view key) -> Node* {
    Node* number = memory.find(key);
    if (number != nullptr && number->kind == Node::Kind::map) number = number->find("value");
    return number != nullptr && number->kind == Node::Kind::scalar ? number : nullptr;
  };
  for (auto& [name, memory] : memories->entries) {
    Node* sustained = number_of(memory, "sustained");
    const Node* bandwidth = number_of(memory, "bandwidth");
    if (sustained == nullptr || bandwidth == nullptr) continue;
    const auto stream = parse_quantity(sustained->text), peak = parse_quantity(bandwidth->text);
    if (!stream || !peak || stream->dimension != Dimension::bytes_per_second || peak->dimension != Dimension::bytes_per_second) continue;
    if (!(peak->value > 0)) continue;
    sustained->text = shortest(stream->value / peak->value);
    Node* record = memory.find("sustained");
    Node* range = record->kind == Node::Kind::map ? record->find("range") : nullptr;
    if (range == nullptr) continue;
    for (Node& end : range->items) {
      const auto bound = parse_quantity(end.text);
      if (bound && bound->dimension == Dimension::bytes_per_second) end.text = shortest(bound->value / peak->value);
    }
  }
}

constexpr std::size_t kMostEntries = 512;  // no machine has more names in one place; a search for a name is linear

/// The first map with too many entries, or null.
const Node* oversized(const Node& node) {
  if (node.entries.size() > kMostEntries) return &node;
  for (const Node& item : node.items) {
    if (const Node* found = oversized(item)) return found;
  }
  for (const auto& [key, value] : node.entries) {
    if (const Node* found = oversized(value)) return found;
  }
  return nullptr;
}

class Resolver {
 public:
  explicit Resolver(const std::vector<std::string>& paths) : paths_(paths) {}

  Result<Tree> read(const std::string& path) {
    std::error_code error;
    const std::string canonical = std::filesystem::weakly_canonical(path, error).string();
    chain_.insert(canonical);
    SY_TRY(Document document, read_document(path));
    return resolve(std::move(document));
  }

  Result<Tree> resolve(Document document) {
    if (document.root.kind != Node::Kind::map) {
      return fail(FailureKind::malformed, diagnose_in(document, "chip/shape", "a chip description is a map", {}, "", document.root, {}));
    }
    if (const Node* big = oversized(document.root)) {
      return fail(FailureKind::malformed,
                  diagnose_in(document, "chip/shape", fmt::format("a map has at most {} entries", kMostEntries), {}, "", *big, {}));
    }
    const Node own = std::move(document.root);
    Tree tree;
    if (const Node* base = own.find("base")) {
      SY_TRY(tree, read_base(document, *base));
    } else {
      tree.root.kind = Node::Kind::map;
      tree.root.line = tree.root.column = 1;
    }
    const std::size_t file = tree.files.size();
    tree.files.push_back(std::move(document));
    const bool derived = file > 0;
    if (!derived) tree.set_origin("", file);

    Node sections;
    sections.kind = Node::Kind::map;
    for (const auto& [key, value] : own.entries) {
      if (key == "base" || key == "override") continue;
      if (derived && key == "chip" && value.kind == Node::Kind::scalar) {
        Node name;  // a new name within the old family, whose title speaks of the base
        name.kind = Node::Kind::map;
        keep_key_position(name, value);
        name.entries.emplace_back("name", value);
        if (Node* chip = tree.root.find("chip"); chip != nullptr && chip->kind == Node::Kind::map) {
          std::erase_if(chip->entries, [](const auto& entry) { return entry.first == "title"; });
          merge(tree, *chip, name, file, "/chip", {});
          continue;
        }
      }
      sections.entries.emplace_back(key, value);
    }
    merge(tree, tree.root, sections, file, "", {});
    settle_sustained(tree);
    if (const Node* overrides = own.find("override")) {
      std::vector<Diagnostic> mistakes = apply_section(tree, *overrides, file);
      if (!mistakes.empty()) return as_failure(std::move(mistakes));
      settle_sustained(tree);
    }
    return tree;
  }

 private:
  Result<Tree> read_base(const Document& document, const Node& base) {
    const auto refuse = [&](std::string code, std::string message, std::string hint = {}) {
      return fail(FailureKind::malformed, diagnose_in(document, std::move(code), std::move(message), std::move(hint), "/base", base, {}));
    };
    if (base.kind != Node::Kind::scalar) return refuse("chip/shape", "'/base' must be the name or path of a chip");
    const std::string beside = std::filesystem::path(document.file).parent_path().string();
    Result<std::string> path = find_chip_file(base.text, paths_, beside.empty() ? "." : beside);
    if (!path) {
      const Diagnostic& why = path.failure().diagnostics.front();
      return refuse(why.code, why.message, why.hint);
    }
    std::error_code error;
    if (chain_.contains(std::filesystem::weakly_canonical(path.value(), error).string())) {
      return refuse("chip/cycle", fmt::format("the base '{}' is derived from this file", base.text));
    }
    if (chain_.size() >= kLongestChain) return refuse("chip/cycle", fmt::format("more than {} bases in a chain", kLongestChain));
    return read(path.value());
  }

  static std::vector<Diagnostic> apply_section(Tree& tree, const Node& overrides, std::size_t file) {
    std::vector<Diagnostic> mistakes;
    const auto report = [&](std::string code, std::string message, std::string hint, const std::string& pointer, const Node& node,
                            Tree::Part part) {
      mistakes.push_back(diagnose_in(tree.files[file], std::move(code), std::move(message), std::move(hint), pointer, node, part));
    };
    if (overrides.kind != Node::Kind::map) {
      report("chip/shape", "'/override' must be a map", {}, "/override", overrides, Tree::Part::value);
      return mistakes;
    }
    for (const auto& [key, value] : overrides.entries) {
      const std::string at = pointer_to("/override", key);
      if (key.starts_with('/')) {
        if (const auto refusal = apply_pointer(tree, key, value, file)) {
          report("chip/pointer", refusal->message, refusal->hint, at, value, Tree::Part::key);
        }
        continue;
      }
      Node section;
      section.kind = Node::Kind::map;
      section.entries.emplace_back(key, value);
      merge(tree, tree.root, section, file, "", {});
    }
    return mistakes;
  }

  static constexpr std::size_t kLongestChain = 32;
  const std::vector<std::string>& paths_;
  std::set<std::string> chain_;
};

}  // namespace

Result<Tree> resolve_file(const std::string& path, const std::vector<std::string>& paths) { return Resolver(paths).read(path); }

Result<Tree> resolve_text(const std::string& text, const std::string& file) {
  SY_TRY(Document document, parse_document(text, file));
  for (const char* key : {"base", "override"}) {
    if (const Node* node = document.root.find(key)) {
      return fail(FailureKind::malformed,
                  diagnose_in(document, "chip/unknown-key", fmt::format("a resolved description has no key '{}'", key), {},
                              pointer_to("", key), *node, Tree::Part::key));
    }
  }
  const std::vector<std::string> nowhere;
  return Resolver(nowhere).resolve(std::move(document));
}

Status apply_overrides(Tree& tree, const std::vector<Override>& overrides) {
  Failure failure{FailureKind::usage, {}, {}};
  for (const Override& override : overrides) {
    Node value;
    value.kind = Node::Kind::scalar;
    value.text = override.quantity;
    if (override.quantity.starts_with('[') || override.quantity.starts_with('{')) {
      if (Result<Document> document = parse_document(override.quantity, "--override")) value = std::move(document.value().root);
    }
    if (auto refusal = apply_pointer(tree, override.pointer, value, Tree::kCommandLine)) {
      failure.diagnostics.push_back(
          {"chip/pointer", std::move(refusal->message), {"--override", 0, 0}, override.pointer, std::move(refusal->hint), {}});
    }
  }
  settle_sustained(tree);
  if (!failure.diagnostics.empty()) return failure;
  return Done{};
}

}  // namespace switchyard::chip
