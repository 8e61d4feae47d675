#include "chip/read.h"

#include "chip/builder.h"
#include "chip/check.h"
#include "chip/resolve.h"

namespace switchyard::chip {

Chip Builder::build() {
  const Place root = fields_.root();
  fields_.allow(root, {"chip", "components", "clocks", "units", "memories", "movers", "networks", "sequencer", "contexts", "sync",
                       "formats", "collectives", "cost", "sources"});
  read_sources(root);
  read_head(root);
  read_components(root);
  read_clocks(root);
  read_networks(root);
  read_units(root);
  read_memories(root);
  read_movers(root);
  read_sequencer(root);
  read_contexts(root);
  read_syncs(root);
  read_formats(root);
  read_collectives(root);
  read_cost(root);
  check_peaks(chip_, fields_);
  chip_.counts = std::move(fields_.counts);
  return std::move(chip_);
}

void Builder::read_head(const Place& root) {
  const Place chip = fields_.child(root, "chip", true);
  if (!chip) return;
  if (chip.node->kind == Node::Kind::scalar) {
    chip_.name = chip.node->text;
  } else if (const Place record = fields_.map(root, "chip")) {
    fields_.allow(record, {"name", "family", "title"});
    chip_.name = fields_.text(record, "name", true);
    chip_.family = fields_.text(record, "family");
    chip_.title = fields_.text(record, "title");
  }
}

void Builder::read_sources(const Place& root) {
  const Place section = fields_.child(root, "sources");
  if (!section) return;
  if (section.node->kind != Node::Kind::map && section.node->kind != Node::Kind::null) {
    fields_.report("chip/shape", "'/sources' must be a map", section);
    return;
  }
  for (const auto& [key, node] : section.node->entries) {
    chip_.sources[key] = fields_.scalar({&node, pointer_to(section.pointer, key), {}, {}}).value_or("");
  }
}

namespace {

Result<Chip> read_tree(const Tree& tree) {
  Builder builder(tree);
  Chip chip = builder.build();
  if (std::vector<Diagnostic> mistakes = builder.take_mistakes(); !mistakes.empty()) return as_failure(std::move(mistakes));
  chip.text = print_yaml(tree.root);
  return chip;
}

}  // namespace

Result<Chip> load_chip(const std::string& name_or_path, const std::vector<std::string>& paths, const std::vector<Override>& overrides) {
  SY_TRY(const std::string path, find_chip_file(name_or_path, paths, ""));
  SY_TRY(Tree tree, resolve_file(path, paths));
  if (Status status = apply_overrides(tree, overrides); !status) return status.failure();
  return read_tree(tree);
}

Result<Chip> parse_chip(const std::string& text, const std::string& file, const std::vector<Override>& overrides) {
  SY_TRY(Tree tree, resolve_text(text, file));
  if (Status status = apply_overrides(tree, overrides); !status) return status.failure();
  return read_tree(tree);
}

}  // namespace switchyard::chip
