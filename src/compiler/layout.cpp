#include "compiler/layout.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>

namespace switchyard::compiler {
namespace {

/// Tensors of equal rank that are read and written point by point in one kernel should agree.
struct Classes {
  explicit Classes(std::size_t n) : parent(n) { std::iota(parent.begin(), parent.end(), 0); }
  std::size_t root(std::size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  }
  void join(std::size_t a, std::size_t b) { parent[std::max(root(a), root(b))] = std::min(root(a), root(b)); }
  std::vector<std::size_t> parent;
};

/// The dimension of an operand along which the given loops run: only they, or they within steps of others (the channels of a head, where
/// heads lie side by side).
int dimension_along(const KernelOperand& operand, const std::function<bool(int)>& wanted, const Kernel& kernel) {
  int best = -1;
  std::int64_t best_extent = 2;  // along one element nothing runs
  for (std::size_t d = 0; d < operand.index.size(); ++d) {
    std::int64_t extent = 1, covered = 1, step = std::numeric_limits<std::int64_t>::max();
    for (const auto& t : operand.index[d].terms) {
      const std::int64_t count = kernel.dims[static_cast<std::size_t>(t.variable)].extent;
      if (count == 1) continue;
      if (wanted(t.variable)) {
        extent *= count;
        covered += (count - 1) * std::abs(t.coefficient);
      } else {
        step = std::min(step, std::abs(t.coefficient));
      }
    }
    if (covered <= step && extent >= best_extent) {
      best = static_cast<int>(d);
      best_extent = extent;
    }
  }
  return best;
}

std::vector<int> order_with_last(std::size_t rank, int last) {
  std::vector<int> order;
  for (int d = 0; d < static_cast<int>(rank); ++d)
    if (d != last) order.push_back(d);
  if (last >= 0) order.push_back(last);
  return order;
}

/// Constants: reduction dimensions first, in the order of the loops, then the others, so that rows of the product lie together.
std::vector<int> constant_order(const KernelOperand& operand, const Kernel& kernel) {
  const std::size_t rank = operand.index.size();
  const auto key = [&](int d) {
    const auto& terms = operand.index[static_cast<std::size_t>(d)].terms;
    int last_loop = -1;
    bool reduction = !terms.empty();
    for (const auto& t : terms) {
      const auto& statement = kernel.statements.front();
      for (std::size_t i = 0; i < statement.dims.size(); ++i)
        if (statement.dims[i] == t.variable) {
          last_loop = std::max(last_loop, static_cast<int>(i));
          reduction = reduction && statement.kinds[i] != numerics::LoopKind::parallel;
        }
    }
    return std::pair<int, int>(reduction ? 0 : 1, last_loop);
  };
  std::vector<int> order(rank);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return key(a) < key(b); });
  return order;
}

}  // namespace

std::vector<std::vector<int>> choose_layouts(const graph::Graph& g, const std::vector<Kernel>& kernels) {
  const std::size_t count = g.tensors.size();
  Classes classes(count);
  std::vector<std::vector<std::int64_t>> votes(count);  // by class root and dimension
  for (std::size_t t = 0; t < count; ++t) votes[t].assign(g.tensors[t].shape.size(), 0);
  std::vector<bool> fixed(count, false), is_constant(count, false);
  for (auto t : g.inputs) fixed[t.index()] = true;
  for (auto t : g.outputs) fixed[t.index()] = true;
  for (std::size_t t = 0; t < count; ++t) is_constant[t] = g.tensors[t].role == graph::Role::constant;

  // Rows that are looked up lie together, whatever else reads the table.
  for (const Kernel& k : kernels)
    for (const KernelOperand& o : k.operands)
      if (!o.lookups.empty()) fixed[o.tensor.index()] = true;

  for (const Kernel& k : kernels) {
    const KernelOperand* out = nullptr;
    for (const KernelOperand& o : k.operands)
      if (o.write) out = &o;
    if (!out) continue;
    for (const KernelOperand& o : k.operands) {
      if (&o == out || is_constant[o.tensor.index()] || fixed[o.tensor.index()] || fixed[out->tensor.index()]) continue;
      if (g.tensor(o.tensor).shape.size() != g.tensor(out->tensor).shape.size()) continue;
      // Element-wise, or a window on each dimension (pooling): the same loops along the same dimensions.
      bool alike = true;
      for (std::size_t d = 0; d < o.index.size(); ++d)
        for (const auto& term : out->index[d].terms) alike = alike && (o.index[d].depends_on(term.variable) || o.index[d].terms.empty());
      if (alike) classes.join(o.tensor.index(), out->tensor.index());
    }
  }
  for (const Kernel& k : kernels) {
    if (!k.contraction) continue;
    const KernelStatement& s = k.statements.front();
    const KernelOperand& a = k.operands[static_cast<std::size_t>(s.reads[0].number)];
    const KernelOperand& b = k.operands[static_cast<std::size_t>(s.reads[1].number)];
    const KernelOperand* out = nullptr;
    for (const KernelOperand& o : k.operands)
      if (o.write) out = &o;
    const auto is_reduction = [&](int dim) { return k.dims[static_cast<std::size_t>(dim)].reduction; };
    const auto vote = [&](const KernelOperand& o, int dim) {
      if (dim >= 0 && !is_constant[o.tensor.index()]) votes[classes.root(o.tensor.index())][static_cast<std::size_t>(dim)] += k.macs;
    };
    // The data operand is the one that is not constant (the first when both vary); its contraction dimension wants to lie innermost.
    const bool b_is_data = is_constant[a.tensor.index()] && !is_constant[b.tensor.index()];
    const KernelOperand& data = b_is_data ? b : a;
    const KernelOperand& weights = b_is_data ? a : b;
    int along = dimension_along(
        data, [&](int dim) { return is_reduction(dim) && depends(weights, dim); }, k);
    if (along < 0)  // depthwise: the shared channel loop
      along = dimension_along(
          data, [&](int dim) { return !is_reduction(dim) && depends(weights, dim); }, k);
    vote(data, along);
    if (out)
      vote(*out, dimension_along(
                     *out, [&](int dim) { return depends(weights, dim) && !is_reduction(dim); }, k));
  }
  std::vector<std::vector<int>> layouts(count);
  for (std::size_t t = 0; t < count; ++t) {
    const std::size_t rank = g.tensors[t].shape.size();
    const auto& v = votes[classes.root(t)];
    int last = static_cast<int>(rank) - 1;
    if (!fixed[t] && !v.empty() && v.size() == rank) {
      const auto best = std::max_element(v.begin(), v.end());
      if (*best > 0 && *best > v[static_cast<std::size_t>(last)]) last = static_cast<int>(best - v.begin());
    }
    layouts[t] = order_with_last(rank, last);
  }
  for (const Kernel& k : kernels)
    for (const KernelOperand& o : k.operands)
      if (is_constant[o.tensor.index()] && !fixed[o.tensor.index()] && k.contraction && !o.epilogue)
        layouts[o.tensor.index()] = constant_order(o, k);
  return layouts;
}

}  // namespace switchyard::compiler
