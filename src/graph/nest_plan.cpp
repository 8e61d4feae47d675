#include "graph/nest_plan.h"

#include "support/check.h"

namespace switchyard::graph {

using numerics::Access;
using numerics::Affine;
using numerics::LoopKind;
using numerics::Nest;

namespace {

/// Where slot s of an op finds its declaration.
template <class OnTensor, class OnLocal>
decltype(auto) visit_slot(const Graph& graph, const Op& op, int slot, OnTensor&& on_tensor, OnLocal&& on_local) {
  const auto s = static_cast<std::size_t>(slot);
  const std::size_t operands = op.operands.size(), results = op.results.size();
  SY_CHECK(s < operands + results + op.locals.size(), "a slot that does not exist");
  if (s < operands) return on_tensor(graph.tensor(op.operands[s]));
  if (s < operands + results) return on_tensor(graph.tensor(op.results[s - operands]));
  return on_local(op.locals[s - operands - results]);
}

/// Appends the affine function `f` of the loops as one more entry of the state.
void add_state(NestPlan& plan, const Affine& f) {
  plan.start.push_back(f.constant);
  for (std::size_t p = 0; p < plan.order.size(); ++p) plan.step[p].push_back(f.coefficient(plan.order[p]));
}

Affine flat_offset(const Access& access, const numerics::Shape& shape) {
  SY_CHECK(access.index.size() == shape.size(), "an access of another rank than its slot");
  const auto strides = numerics::row_major_strides(shape);
  Affine offset;
  for (std::size_t d = 0; d < shape.size(); ++d) offset = offset + access.index[d] * strides[d];
  return offset;
}

}  // namespace

std::int64_t NestPlan::Read::Lookup::offset(double value) const {
  const auto index = static_cast<std::int64_t>(value);
  SY_CHECK(index >= -extent && index < extent, "an index looked up leaves its dimension");
  return (index < 0 ? index + extent : index) * stride;
}

const numerics::Shape& slot_shape(const Graph& graph, const Op& op, int slot) {
  const auto shape = [](const auto& x) -> const numerics::Shape& { return x.shape; };
  return visit_slot(graph, op, slot, shape, shape);
}

numerics::Format slot_format(const Graph& graph, const Op& op, int slot) {
  const auto format = [](const auto& x) { return x.format; };
  return visit_slot(graph, op, slot, format, format);
}

NestPlan plan_nest(const Graph& graph, const Op& op, const Nest& nest) {
  NestPlan plan;
  std::vector<std::int64_t> loop_extents;
  for (const numerics::NestLoop& loop : nest.loops) loop_extents.push_back(loop.extent);
  for (const bool reduction : {false, true}) {
    for (std::size_t l = 0; l < nest.loops.size(); ++l) {
      if ((nest.loops[l].kind == LoopKind::reduction) != reduction) continue;
      plan.order.push_back(static_cast<int>(l));
      plan.extents.push_back(loop_extents[l]);
      if (reduction) plan.reduction_points *= loop_extents[l];
      if (!reduction && loop_extents[l] == 0) plan.writes = false;
    }
    if (!reduction) plan.outer = static_cast<int>(plan.order.size());
  }
  plan.step.resize(plan.order.size());
  for (const Access& read : nest.reads) add_state(plan, flat_offset(read, slot_shape(graph, op, read.slot)));
  const numerics::Shape& written = slot_shape(graph, op, nest.write.slot);
  add_state(plan, flat_offset(nest.write, written));
  for (const Access& read : nest.reads) {
    const numerics::Shape& shape = slot_shape(graph, op, read.slot);
    NestPlan::Read prepared{read.slot, {}, read.fill, {}};
    const auto strides = numerics::row_major_strides(shape);
    for (const numerics::Lookup& lookup : read.lookups) {
      const auto d = static_cast<std::size_t>(lookup.dimension);
      prepared.lookups.push_back({static_cast<std::size_t>(lookup.read), strides[d], shape[d]});
    }
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const numerics::Interval range = numerics::range_over(read.index[d], loop_extents);
      if (range.least >= 0 && range.greatest < shape[d]) continue;
      prepared.checks.push_back({static_cast<int>(plan.start.size()), shape[d]});
      add_state(plan, read.index[d]);
    }
    plan.reads.push_back(std::move(prepared));
  }
  if (nest.points() > 0) {
    for (std::size_t d = 0; d < written.size(); ++d) {
      const numerics::Interval range = numerics::range_over(nest.write.index[d], loop_extents);
      SY_CHECK(range.least >= 0 && range.greatest < written[d], "a nest writes outside of its slot");
    }
  }
  return plan;
}

}  // namespace switchyard::graph
