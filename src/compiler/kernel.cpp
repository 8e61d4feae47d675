#include "compiler/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "support/check.h"

namespace switchyard::compiler {
namespace {

using graph::Graph;
using graph::Op;
using graph::OpId;
using graph::TensorId;
using numerics::Access;
using numerics::Affine;
using numerics::LoopKind;
using numerics::Nest;

int operand_number(Kernel& kernel, KernelOperand operand) {
  for (std::size_t i = 0; i < kernel.operands.size(); ++i) {
    KernelOperand& o = kernel.operands[i];
    if (o.tensor == operand.tensor && o.index == operand.index && o.fill == operand.fill && o.write == operand.write &&
        o.lookups == operand.lookups && o.picking == operand.picking) {
      o.epilogue = o.epilogue && operand.epilogue;
      return static_cast<int>(i);
    }
  }
  kernel.operands.push_back(std::move(operand));
  return static_cast<int>(kernel.operands.size()) - 1;
}

std::vector<Affine> rename(const std::vector<Affine>& index, const std::vector<Affine>& with) {
  std::vector<Affine> out;
  for (const Affine& f : index) out.push_back(numerics::substitute(f, with));
  return out;
}

/// The epilogue: a map over the result of a reduction, reading it as it was written.
struct Epilogue {
  const Op* op = nullptr;
  OpId id;
};

bool reads_as_written(const Nest& map, const Access& read, const Nest& producer, const numerics::Shape& shape) {
  // Each dimension of the tensor is one loop of the map, whole; and the producer writes all of it.
  if (read.fill || read.index.size() != map.loops.size()) return false;
  std::vector<bool> seen(map.loops.size(), false);
  for (std::size_t d = 0; d < read.index.size(); ++d) {
    const int v = read.index[d].as_variable();
    if (v < 0 || seen[static_cast<std::size_t>(v)] || map.loops[static_cast<std::size_t>(v)].extent != shape[d]) return false;
    seen[static_cast<std::size_t>(v)] = true;
  }
  std::int64_t points = 1;
  for (const auto& l : producer.loops)
    if (l.kind == LoopKind::parallel) points *= l.extent;
  return points == numerics::element_count(shape);
}

/// The operand of a read whose index is looked up; before it, those that its index is read from.
KernelOperand looked_up(Kernel& kernel, const Op& op, const Nest& nest, const Access& read) {
  KernelOperand out{op.operands[static_cast<std::size_t>(read.slot)], read.index, read.fill, false, false};
  for (const numerics::Lookup& lookup : read.lookups) {
    const Access& index = nest.reads[static_cast<std::size_t>(lookup.read)];
    KernelOperand picking{op.operands[static_cast<std::size_t>(index.slot)], index.index, {}, false, false};
    picking.picking = true;
    out.lookups.push_back({lookup.dimension, operand_number(kernel, std::move(picking))});
    Affine& moves = out.index[static_cast<std::size_t>(lookup.dimension)];
    for (const Affine& f : index.index)
      for (const auto& term : f.terms) {
        if (!moves.depends_on(term.variable)) moves = moves + numerics::affine_variable(term.variable);
        kernel.dims[static_cast<std::size_t>(term.variable)].single = true;
      }
  }
  return out;
}

Kernel kernel_of_nest(const Graph& g, OpId id, const Epilogue& epilogue) {
  const Op& op = g.ops[id.index()];
  const Nest& nest = op.nests[0];
  Kernel kernel;
  kernel.name = op.name;
  kernel.ops.push_back(id);
  kernel.nodes = op.nodes;
  bool has_reduction = false;
  for (const auto& l : nest.loops) {
    const bool reduction = l.kind != LoopKind::parallel;
    has_reduction = has_reduction || reduction;
    kernel.dims.push_back({l.name, l.extent, !reduction, reduction});
  }
  KernelStatement main;
  for (std::size_t l = 0; l < nest.loops.size(); ++l) {
    main.dims.push_back(static_cast<int>(l));
    main.kinds.push_back(nest.loops[l].kind);
  }
  // Reads that only pick are no business of the statement's: the others are numbered anew.
  std::vector<numerics::Expression> renumbered(nest.reads.size());
  for (std::size_t r = 0; r < nest.reads.size(); ++r) {
    const Access& read = nest.reads[r];
    const auto& nodes = nest.expression.nodes;
    const bool used = std::any_of(nodes.begin(), nodes.end(),
                                  [&](const auto& n) { return n.op == numerics::ScalarOp::input && n.a == static_cast<int>(r); });
    if (nest.has_lookups() && !used) continue;
    renumbered[r] = numerics::expr_input(static_cast<int>(main.reads.size()));
    KernelOperand operand = read.lookups.empty()
                                ? KernelOperand{op.operands[static_cast<std::size_t>(read.slot)], read.index, read.fill, false, false}
                                : looked_up(kernel, op, nest, read);
    main.reads.push_back({false, operand_number(kernel, std::move(operand)), {}});
  }
  main.expression = nest.has_lookups() ? numerics::substitute(nest.expression, renumbered) : nest.expression;
  main.combiner = nest.combiner;
  kernel.contraction = nest.is_contraction();
  if (kernel.contraction) kernel.macs = nest.points();
  if (!has_reduction) {
    main.combiner = numerics::Combiner::none;
    main.write = {false, operand_number(kernel, {op.results[0], nest.write.index, {}, true, false}), {}};
    kernel.copy = nest.is_copy();
    kernel.statements.push_back(std::move(main));
    return kernel;
  }
  KernelLocal accumulator{"acc", {}, true, numerics::combiner_identity(nest.combiner)};
  std::vector<Affine> local_index;
  for (std::size_t l = 0; l < nest.loops.size(); ++l) {
    if (nest.loops[l].kind != LoopKind::parallel) continue;
    accumulator.dims.push_back(static_cast<int>(l));
    local_index.push_back(numerics::affine_variable(static_cast<int>(l)));
  }
  main.write = {true, 0, local_index};
  KernelStatement out;
  out.epilogue = true;
  out.dims = accumulator.dims;
  out.kinds.assign(out.dims.size(), LoopKind::parallel);
  kernel.locals.push_back(accumulator);
  if (!epilogue.op) {
    out.reads.push_back({true, 0, local_index});
    out.expression = numerics::expr_input(0);
    out.write = {false, operand_number(kernel, {op.results[0], nest.write.index, {}, true, true}), {}};
  } else {
    const Nest& map = epilogue.op->nests[0];
    // Loop of the map -> index over the group's dims, through the tensor between them.
    std::vector<Affine> with(map.loops.size());
    for (const Access& r : map.reads)
      if (epilogue.op->operands[static_cast<std::size_t>(r.slot)] == op.results[0])
        for (std::size_t d = 0; d < r.index.size(); ++d) with[static_cast<std::size_t>(r.index[d].as_variable())] = nest.write.index[d];
    for (const Access& r : map.reads) {
      const TensorId t = epilogue.op->operands[static_cast<std::size_t>(r.slot)];
      if (t == op.results[0])
        out.reads.push_back({true, 0, local_index});
      else
        out.reads.push_back({false, operand_number(kernel, {t, rename(r.index, with), r.fill, false, true}), {}});
    }
    out.expression = map.expression;
    out.write = {false, operand_number(kernel, {epilogue.op->results[0], rename(map.write.index, with), {}, true, true}), {}};
    kernel.ops.push_back(epilogue.id);
    for (const std::string& n : epilogue.op->nodes)
      if (std::find(kernel.nodes.begin(), kernel.nodes.end(), n) == kernel.nodes.end()) kernel.nodes.push_back(n);
  }
  kernel.statements.push_back(std::move(main));
  kernel.statements.push_back(std::move(out));
  return kernel;
}

std::string unused_name(const Kernel& kernel, const std::string& wanted) {
  std::string name = wanted;
  const auto taken = [&] {
    return std::any_of(kernel.dims.begin(), kernel.dims.end(), [&](const KernelDim& d) { return d.name == name; });
  };
  for (int i = 2; taken(); ++i) name = fmt::format("{}_{}", wanted, i);
  return name;
}

/// Loops of different nests that run along the same dimension of one tensor (or local) are one dim of the kernel: dims[nest][loop].
std::vector<std::vector<int>> join_loops(const Op& op, Kernel& kernel) {
  std::map<std::pair<int, std::size_t>, std::pair<int, std::int64_t>> dim_along;  // (slot, dimension) -> (dim, extent)
  std::vector<std::vector<int>> dims;
  for (const Nest& nest : op.nests) {
    std::vector<int> of(nest.loops.size(), -1);
    const auto along = [&](const Access& a, bool assign) {
      for (std::size_t d = 0; d < a.index.size(); ++d) {
        const int loop = a.index[d].as_variable();
        if (loop < 0) continue;
        const auto l = static_cast<std::size_t>(loop);
        const auto at = dim_along.find({a.slot, d});
        if (assign) {
          if (at == dim_along.end() && of[l] >= 0) dim_along[{a.slot, d}] = {of[l], nest.loops[l].extent};
        } else if (at != dim_along.end() && of[l] < 0 && at->second.second == nest.loops[l].extent &&
                   std::find(of.begin(), of.end(), at->second.first) == of.end()) {
          of[l] = at->second.first;
        }
      }
    };
    for (const Access& r : nest.reads) along(r, false);
    along(nest.write, false);
    for (std::size_t l = 0; l < of.size(); ++l) {
      if (of[l] >= 0) continue;
      of[l] = static_cast<int>(kernel.dims.size());
      kernel.dims.push_back({unused_name(kernel, nest.loops[l].name), nest.loops[l].extent, true, false});
    }
    for (const Access& r : nest.reads) along(r, true);
    along(nest.write, true);
    dims.push_back(std::move(of));
  }
  return dims;
}

/// A composite operator (softmax, normalisation): dims that are parallel in every nest may be split.
Kernel kernel_of_composite(const Graph& g, OpId id) {
  const Op& op = g.ops[id.index()];
  Kernel kernel;
  kernel.name = op.name;
  kernel.ops.push_back(id);
  kernel.nodes = op.nodes;
  const std::vector<std::vector<int>> joined = join_loops(op, kernel);
  for (std::size_t d = 0; d < kernel.dims.size(); ++d)
    for (std::size_t n = 0; n < op.nests.size(); ++n) {
      const auto at = std::find(joined[n].begin(), joined[n].end(), static_cast<int>(d));
      const bool parallel =
          at != joined[n].end() && op.nests[n].loops[static_cast<std::size_t>(at - joined[n].begin())].kind == LoopKind::parallel;
      kernel.dims[d].parallel = kernel.dims[d].parallel && parallel;
    }
  for (const auto& local : op.locals) kernel.locals.push_back({local.name, {}, false, 0});
  const int first_result = static_cast<int>(op.operands.size()), first_local = op.local_slot(0);
  for (std::size_t n = 0; n < op.nests.size(); ++n) {
    const Nest& nest = op.nests[n];
    std::vector<Affine> with;
    KernelStatement s;
    for (std::size_t l = 0; l < nest.loops.size(); ++l) {
      with.push_back(numerics::affine_variable(joined[n][l]));
      s.dims.push_back(joined[n][l]);
      s.kinds.push_back(nest.loops[l].kind);
    }
    const auto access = [&](const Access& a, bool write) -> KernelAccess {
      std::vector<Affine> index = rename(a.index, with);
      if (a.slot >= first_local) {
        KernelLocal& local = kernel.locals[static_cast<std::size_t>(a.slot - first_local)];
        std::vector<int> dims;
        for (const Affine& f : index) dims.push_back(f.as_variable());
        if (write) {
          local.dims = dims;
          local.initial = numerics::combiner_identity(nest.combiner);
        }
        SY_CHECK(std::find(dims.begin(), dims.end(), -1) == dims.end() || !write, "locals are written by plain loop indices");
        return {true, a.slot - first_local, index};
      }
      const bool result = a.slot >= first_result;
      const TensorId t =
          result ? op.results[static_cast<std::size_t>(a.slot - first_result)] : op.operands[static_cast<std::size_t>(a.slot)];
      return {false, operand_number(kernel, {t, index, a.fill, result, false}), {}};
    };
    for (const Access& r : nest.reads) s.reads.push_back(access(r, false));
    s.expression = nest.expression;
    s.combiner = nest.combiner;
    bool reduces = false;
    for (LoopKind k : s.kinds) reduces = reduces || k != LoopKind::parallel;
    if (!reduces) s.combiner = numerics::Combiner::none;
    s.write = access(nest.write, true);
    if (nest.is_contraction()) kernel.macs += nest.points();
    kernel.statements.push_back(std::move(s));
  }
  return kernel;
}

}  // namespace

std::vector<Kernel> make_kernels(const Graph& g, bool fuse) {
  std::vector<std::vector<std::size_t>> readers(g.tensors.size());
  std::vector<int> writers(g.tensors.size(), 0);
  std::vector<bool> is_output(g.tensors.size(), false);
  for (std::size_t o = 0; o < g.ops.size(); ++o) {
    for (TensorId t : g.ops[o].operands) readers[t.index()].push_back(o);
    for (TensorId t : g.ops[o].results) ++writers[t.index()];
  }
  for (TensorId t : g.outputs) is_output[t.index()] = true;

  // A kernel runs where the last of its operators stands, so that every other operand is ready.
  std::vector<int> absorbed_into(g.ops.size(), -1);
  std::vector<int> epilogue_of(g.ops.size(), -1);
  for (std::size_t o = 0; o < g.ops.size(); ++o) {
    const Op& op = g.ops[o];
    if (op.nests.size() != 1 || op.results.size() != 1 || !op.locals.empty()) continue;
    bool reduces = false;
    for (const auto& l : op.nests[0].loops) reduces = reduces || l.kind != LoopKind::parallel;
    const TensorId t = op.results[0];
    if (!reduces || is_output[t.index()] || readers[t.index()].size() != 1 || writers[t.index()] != 1) continue;
    const std::size_t m = readers[t.index()][0];
    const Op& map = g.ops[m];
    if (map.nests.size() != 1 || map.results.size() != 1 || !map.locals.empty() || epilogue_of[m] >= 0) continue;
    const Nest& nest = map.nests[0];
    bool parallel = nest.combiner == numerics::Combiner::none, fits = true;
    for (const auto& l : nest.loops) parallel = parallel && l.kind == LoopKind::parallel;
    for (const Access& r : nest.reads)
      if (map.operands[static_cast<std::size_t>(r.slot)] == t) fits = fits && reads_as_written(nest, r, op.nests[0], g.tensor(t).shape);
    for (const TensorId other : map.operands)  // biases and scales belong to the operator; what others have computed does not
      fits = fits && (fuse || other == t || g.tensor(other).role == graph::Role::constant);
    if (!parallel || !fits || nest.is_copy() || nest.has_lookups()) continue;
    absorbed_into[o] = static_cast<int>(m);
    epilogue_of[m] = static_cast<int>(o);
  }
  std::vector<Kernel> kernels;
  for (std::size_t o = 0; o < g.ops.size(); ++o) {
    if (absorbed_into[o] >= 0) continue;
    const bool composite = g.ops[o].nests.size() != 1 || !g.ops[o].locals.empty() || g.ops[o].results.size() != 1;
    if (composite)
      kernels.push_back(kernel_of_composite(g, OpId(o)));
    else if (epilogue_of[o] >= 0)
      kernels.push_back(kernel_of_nest(g, OpId(static_cast<std::size_t>(epilogue_of[o])), {&g.ops[o], OpId(o)}));
    else
      kernels.push_back(kernel_of_nest(g, OpId(o), {}));
  }
  return kernels;
}

}  // namespace switchyard::compiler
