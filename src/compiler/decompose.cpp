#include "compiler/decompose.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::compiler {

bool is_composite(const graph::Op& op) { return op.nests.size() > 1 || !op.locals.empty(); }

void decompose(graph::Graph& graph, graph::OpId id) {
  const graph::Op op = graph.ops[id.index()];
  // By slot of the composite: operands, results, locals.
  std::vector<graph::TensorId> tensor_of = op.operands;
  tensor_of.insert(tensor_of.end(), op.results.begin(), op.results.end());
  for (const auto& local : op.locals) {
    graph::Tensor t;
    t.name = fmt::format("{}:{}", op.name, local.name);
    t.format = graph.tensor(op.operands.front()).format;
    t.shape = local.shape;
    graph.tensors.push_back(std::move(t));
    tensor_of.emplace_back(graph.tensors.size() - 1);
  }
  std::vector<graph::Op> parts;
  for (const numerics::Nest& nest : op.nests) {
    graph::Op part;
    part.name = fmt::format("{}:{}", op.name, parts.size());
    part.kind = op.kind;
    part.origin = op.name;
    part.nodes = op.nodes;
    part.nests = {nest};
    for (numerics::Access& read : part.nests[0].reads) {
      const graph::TensorId t = tensor_of[static_cast<std::size_t>(read.slot)];
      const auto at = std::find(part.operands.begin(), part.operands.end(), t);
      read.slot = static_cast<int>(at - part.operands.begin());
      if (at == part.operands.end()) part.operands.push_back(t);
    }
    part.results = {tensor_of[static_cast<std::size_t>(nest.write.slot)]};
    part.nests[0].write.slot = static_cast<int>(part.operands.size());
    parts.push_back(std::move(part));
  }
  const auto at = graph.ops.erase(graph.ops.begin() + static_cast<std::ptrdiff_t>(id.index()));
  graph.ops.insert(at, std::make_move_iterator(parts.begin()), std::make_move_iterator(parts.end()));
}

}  // namespace switchyard::compiler
