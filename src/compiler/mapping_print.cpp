#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/mapping_file.h"
#include "compiler/mapping_names.h"

namespace switchyard::compiler {
namespace {

Node scalar(std::string text, bool quoted = false) {
  Node node;
  node.kind = Node::Kind::scalar;
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}
Node whole(std::int64_t value) { return scalar(fmt::format("{}", value)); }
Node collection(Node::Kind kind) {
  Node node;
  node.kind = kind;
  return node;
}

}  // namespace

std::string print_mapping_file(const Written& written) {
  const auto& [machine, g, kernels, mappings, sections, reach, placement, cuts, streamed, made_for, deep, merges] = written;
  Node root = collection(Node::Kind::map), list = collection(Node::Kind::sequence);
  const auto numbers = numbers_among_namesakes(kernels);
  std::map<std::string, int> namesakes;
  for (const Kernel& k : kernels) ++namesakes[k.name];
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const Kernel& kernel = kernels[k];
    const Mapping& m = mappings[k];
    const auto loops = loop_names(kernel);
    Node entry = collection(Node::Kind::map);
    const auto set = [&](const char* key, Node node) {
      if (node.kind == Node::Kind::scalar || !node.entries.empty() || !node.items.empty()) entry.entries.emplace_back(key, std::move(node));
    };
    set("kernel", scalar(kernel.name, true));
    if (namesakes[kernel.name] > 1) set("nth", whole(numbers[k]));
    set("unit", scalar(machine.chip->units[m.unit.index()].name));
    if (m.epilogue_unit.valid()) set("epilogue", scalar(machine.chip->units[m.epilogue_unit.index()].name));
    Node split = collection(Node::Kind::map), tile = split, trips = split, order = collection(Node::Kind::sequence), operands = split;
    const auto along = instances_along(kernel, m);
    for (std::size_t d = 0; d < kernel.dims.size(); ++d) {
      const std::int64_t local = ceil_div(kernel.dims[d].extent, along[d]), tiled = std::min(m.tile[d], kernel.dims[d].extent);
      if (along[d] > 1) split.entries.emplace_back(loops[d], whole(along[d]));
      if (tiled != local) tile.entries.emplace_back(loops[d], whole(tiled));
      const bool dealt = machine.grid && !kernel.dims[d].reduction;
      if (m.trips[d] != (dealt ? 1 : ceil_div(local, tiled))) trips.entries.emplace_back(loops[d], whole(m.trips[d]));
    }
    for (const int d : m.order) order.items.push_back(scalar(loops[static_cast<std::size_t>(d)]));
    set("split", std::move(split));
    set("tile", std::move(tile));
    set("trips", std::move(trips));
    set("order", std::move(order));
    if (m.epilogue_unit.valid()) set("accumulators", whole(m.accumulator_depth));
    if (m.slices > 1) set("slices", whole(m.slices));
    if (!m.overlap) set("overlap", scalar("false"));
    const bool casts = std::count(m.sharing.begin(), m.sharing.end(), Sharing::multicast) > 0;
    if (casts && m.readers != Mapping{}.readers) set("readers", whole(m.readers));
    if (m.dealt >= 0) set("dealt", scalar(loops[static_cast<std::size_t>(m.dealt)]));
    if (m.stream >= 0) set("stream", scalar(loops[static_cast<std::size_t>(m.stream)]));
    Node components = collection(Node::Kind::sequence);
    for (const std::uint32_t component : m.components) components.items.push_back(whole(component));
    set("components", std::move(components));
    const auto names = tensor_names(g, kernel);
    for (std::size_t i = 0; i < kernel.operands.size(); ++i) {
      Node o = collection(Node::Kind::map);
      const bool handed = reach[k][i] == Reach::handed, placed = handed || reach[k][i] == Reach::placed;
      const graph::TensorId t = kernel.operands[i].tensor;
      if (g.tensor(t).role == graph::Role::intermediate && std::find(g.outputs.begin(), g.outputs.end(), t) == g.outputs.end())
        o.entries.emplace_back("in", scalar(handed ? "handed" : placed ? "scratchpads" : "memory"));
      if (m.sharing[i] != Sharing::none) o.entries.emplace_back("sharing", scalar(kSharingNames[static_cast<std::size_t>(m.sharing[i])]));
      if (m.resident[i]) o.entries.emplace_back("resident", scalar("true"));
      if (!placed) o.entries.emplace_back("depth", whole(m.depth[i]));
      if (!o.entries.empty()) operands.entries.emplace_back(names[i], std::move(o));
    }
    set("operands", std::move(operands));
    list.items.push_back(std::move(entry));
  }
  if (!machine.grid && machine.extent != machine.chip->components[machine.component.index()].shape) {
    Node array = collection(Node::Kind::sequence);
    for (const std::int64_t extent : machine.extent) array.items.push_back(whole(extent));
    root.entries.emplace_back("array", std::move(array));
  }
  if (!placement.empty()) {
    Node places = collection(Node::Kind::sequence);
    for (const std::uint32_t to : placement) places.items.push_back(whole(to));
    root.entries.emplace_back("placement", std::move(places));
  }
  if (!merges.empty()) {
    Node merged = collection(Node::Kind::sequence);
    for (const Merge& merge : merges)
      if (merge.merged) merged.items.push_back(scalar(merge.name, true));
    root.entries.emplace_back("merged", std::move(merged));
  }
  if (!cuts.empty()) {
    Node parts = collection(Node::Kind::map);
    for (const ReductionCut& cut : cuts) parts.entries.emplace_back(cut.op, whole(cut.parts));
    root.entries.emplace_back("reductions", std::move(parts));
  }
  if (!made_for.empty()) root.entries.emplace_back("made_for", scalar(made_for));
  Node attention = collection(Node::Kind::sequence);
  for (const std::string& kernel : streamed) attention.items.push_back(scalar(kernel, true));
  if (!streamed.empty()) root.entries.emplace_back("streamed", std::move(attention));
  if (deep) root.entries.emplace_back("deep", scalar("true"));
  Node contexts = collection(Node::Kind::sequence);
  const std::vector<std::string> all = kernel_names(kernels);
  for (std::size_t c = 0; c < sections.size(); ++c) {
    const std::size_t end = c + 1 < sections.size() ? sections[c + 1].first : kernels.size();
    if (end - sections[c].first == 1) continue;
    Node context = collection(Node::Kind::sequence);
    for (std::size_t k = sections[c].first; k < end; ++k) context.items.push_back(scalar(all[k], true));
    contexts.items.push_back(std::move(context));
  }
  if (!contexts.items.empty()) root.entries.emplace_back("contexts", std::move(contexts));
  root.entries.emplace_back("mappings", std::move(list));
  return print_yaml(root);
}

}  // namespace switchyard::compiler
