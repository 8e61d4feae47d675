// Kernel: one fused group of operators over one set of loops. The unit that is tiled, mapped and emitted as a context.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace switchyard::compiler {

/// A loop of the group. Splittable loops may be cut into tiles and spread over components; the others stay whole in every tile.
struct KernelDim {
  std::string name;
  std::int64_t extent = 1;
  bool parallel = true;    ///< splittable in space and time
  bool reduction = false;  ///< splittable in time only (partial sums stay)
  bool single = false;     ///< its tiles are one index: it moves an index that is looked up, and a mover looks up one at a time
};

/// A dimension of an operand whose index is an element of another operand, read when the kernel runs.
struct KernelLookup {
  int dimension = 0;
  int operand = 0;  ///< a picking one of the same kernel
  bool operator==(const KernelLookup&) const = default;
};

/// A tensor access that crosses the edge of the group: one port of the emitted actor.
struct KernelOperand {
  graph::TensorId tensor;
  std::vector<numerics::Affine> index;  ///< over the group's dims
  std::optional<double> fill;
  bool write = false;
  bool epilogue = false;                   ///< read only after the reduction has ended
  std::vector<KernelLookup> lookups = {};  ///< `index` there moves with the dims that the picking operand's moves with
  bool picking = false;                    ///< read by the mover of another operand, not by a statement
  int anew = -1;                           ///< a dim for each tile of which it is another, though its index does not move with it
};

/// Is the operand another one where a dim of the group moves?
inline bool depends(const KernelOperand& operand, int dim) {
  if (operand.anew >= 0 && operand.anew == dim) return true;
  return std::any_of(operand.index.begin(), operand.index.end(), [&](const numerics::Affine& f) { return f.depends_on(dim); });
}

/// Where a statement reads or writes: an operand or a local, indices over dims.
struct KernelAccess {
  bool local = false;
  int number = 0;
  std::vector<numerics::Affine> index;  ///< of a local; operands use their own
};

struct KernelStatement {
  std::vector<int> dims;  ///< in loop order
  std::vector<numerics::LoopKind> kinds;
  std::vector<KernelAccess> reads;
  numerics::Expression expression;
  numerics::Combiner combiner = numerics::Combiner::none;
  KernelAccess write;
  bool epilogue = false;  ///< runs when the reduction has ended
};

struct KernelLocal {
  std::string name;
  std::vector<int> dims;     ///< its shape is the tile of these dims
  bool accumulator = false;  ///< kept over the reduction's tiles
  double initial = 0;
};

/// Of row i of a kernel's results only the columns up to i + past have an effect: of a tile no others are computed.
struct KernelBand {
  int row = -1, column = -1;  ///< dims
  std::int64_t past = 0;
  bool beyond = false;  ///< so it is with columns beyond the last one: what is read of them hides them
};

struct Kernel {
  std::string name;
  std::vector<graph::OpId> ops;
  std::vector<std::string> nodes;
  std::vector<KernelDim> dims;
  std::vector<KernelOperand> operands;
  std::vector<KernelLocal> locals;
  std::vector<KernelStatement> statements;
  std::int64_t macs = 0;
  bool contraction = false;  ///< the first statement is a contraction
  bool copy = false;         ///< nothing is computed
  std::optional<KernelBand> band;
};

/// The format that decides which units can run the kernel, and how fast: of the first operand that is computed with.
inline numerics::Format leading_format(const graph::Graph& graph, const Kernel& kernel) {
  const auto first = std::find_if(kernel.operands.begin(), kernel.operands.end(), [](const KernelOperand& o) { return !o.picking; });
  return graph.tensor(first->tensor).format;
}

/// Groups the operators of a canonical graph, in execution order: a reduction with its element-wise epilogue, a map, a composite, a copy.
/// Without `fuse` an epilogue reads nothing that other operators have computed.
std::vector<Kernel> make_kernels(const graph::Graph& graph, bool fuse = true);

}  // namespace switchyard::compiler
