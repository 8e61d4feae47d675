#include "graph/evaluate.h"

#include <algorithm>
#include <optional>

#include "graph/nest_plan.h"
#include "support/check.h"

namespace switchyard::graph {

namespace {

using numerics::Combiner;
using numerics::Expression;
using numerics::Format;
using numerics::Nest;
using Values = std::vector<double>;

Values values_of(const numerics::Tensor& t) {
  Values values(static_cast<std::size_t>(t.count()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = t.at(static_cast<std::int64_t>(i));
  return values;
}

/// The plainest meaning of a nest: element after element, its reduction points in listed order. `round_to` is empty for locals.
void run_nest(const NestPlan& plan, const Nest& nest, std::vector<Values>& slots, std::optional<Format> round_to) {
  std::vector<std::int64_t> state = plan.start;
  std::vector<double> inputs(plan.reads.size());
  Values& out = slots[static_cast<std::size_t>(nest.write.slot)];
  const auto loops = static_cast<int>(plan.order.size());
  const auto at = [&](std::size_t r, std::int64_t offset) {
    return slots[static_cast<std::size_t>(plan.reads[r].slot)][static_cast<std::size_t>(offset)];
  };
  const auto fetch = [&](std::size_t r) {
    const NestPlan::Read& read = plan.reads[r];
    if (!read.inside(state)) {
      SY_CHECK(read.fill.has_value(), "a read outside of its slot, without a fill value");
      return *read.fill;
    }
    std::int64_t offset = state[r];
    for (const auto& lookup : read.lookups) offset += lookup.offset(at(lookup.read, state[lookup.read]));
    return at(r, offset);
  };
  turn(plan, 0, plan.outer, state, [&] {
    double sum = numerics::combiner_identity(nest.combiner);
    turn(plan, plan.outer, loops, state, [&] {
      for (std::size_t r = 0; r < inputs.size(); ++r) inputs[r] = fetch(r);
      sum = numerics::combine(nest.combiner, sum, numerics::evaluate(nest.expression, inputs));
    });
    out[static_cast<std::size_t>(state[inputs.size()])] = round_to ? numerics::rounded(*round_to, sum) : sum;
  });
}

std::vector<numerics::Tensor> evaluate_on(const Graph& graph, const Op& op, const std::vector<const numerics::Tensor*>& operands) {
  SY_CHECK(operands.size() == op.operands.size(), "wrong number of operands for " + op.name);
  if (op.host) {
    std::vector<numerics::Tensor> inputs;
    for (const numerics::Tensor* t : operands) inputs.push_back(*t);
    std::vector<numerics::HostResult> results;
    for (const TensorId id : op.results) results.push_back({graph.tensor(id).format, graph.tensor(id).shape});
    auto outputs = numerics::call_host(*op.host, inputs, results);
    SY_CHECK(outputs.ok(), "the host cannot do " + op.name);
    return std::move(outputs).value();
  }
  std::vector<Values> slots;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    SY_CHECK(operands[i]->shape == graph.tensor(op.operands[i]).shape, "an operand of another shape for " + op.name);
    slots.push_back(values_of(*operands[i]));
  }
  const int first_local = op.local_slot(0);
  for (int s = op.result_slot(0); s < op.local_slot(static_cast<int>(op.locals.size())); ++s) {
    slots.emplace_back(static_cast<std::size_t>(numerics::element_count(slot_shape(graph, op, s))));
  }
  for (const Nest& nest : op.nests) {
    const int slot = nest.write.slot;
    SY_CHECK(slot >= op.result_slot(0), "a nest writes an operand of " + op.name);
    run_nest(plan_nest(graph, op, nest), nest, slots, slot < first_local ? std::optional(slot_format(graph, op, slot)) : std::nullopt);
  }
  std::vector<numerics::Tensor> results;
  for (std::size_t r = 0; r < op.results.size(); ++r) {
    const Tensor& declared = graph.tensor(op.results[r]);
    numerics::Tensor t = numerics::make_tensor(declared.format, declared.shape);
    const Values& values = slots[op.operands.size() + r];
    for (std::size_t i = 0; i < values.size(); ++i) t.set(static_cast<std::int64_t>(i), values[i]);
    results.push_back(std::move(t));
  }
  return results;
}

}  // namespace

std::vector<numerics::Tensor> evaluate_op(const Graph& graph, const Op& op, const std::vector<numerics::Tensor>& operands) {
  std::vector<const numerics::Tensor*> pointers;
  for (const numerics::Tensor& t : operands) pointers.push_back(&t);
  return evaluate_on(graph, op, pointers);
}

std::vector<numerics::Tensor> evaluate(const Graph& graph, const std::vector<numerics::Tensor>& inputs) {
  SY_CHECK(inputs.size() == graph.inputs.size(), "wrong number of inputs");
  std::vector<std::optional<numerics::Tensor>> values(graph.tensors.size());
  std::vector<std::size_t> last_use(graph.tensors.size(), 0);
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    for (const TensorId id : graph.ops[i].operands) last_use[id.index()] = i;
    for (const TensorId id : graph.ops[i].results) last_use[id.index()] = std::max(last_use[id.index()], i);
  }
  for (const TensorId id : graph.outputs) last_use[id.index()] = graph.ops.size();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& declared = graph.tensor(graph.inputs[i]);
    SY_CHECK(inputs[i].shape == declared.shape, "input " + declared.name + " has another shape");
    values[graph.inputs[i].index()] = numerics::convert_tensor(inputs[i], declared.format);
  }
  const auto value_of = [&](TensorId id) -> const numerics::Tensor& {
    std::optional<numerics::Tensor>& value = values[id.index()];
    const Tensor& declared = graph.tensor(id);
    if (!value && declared.role == Role::constant) {
      SY_CHECK(declared.constant != nullptr, "constant " + declared.name + " has no values");
      value = numerics::convert_tensor(declared.constant->make(), declared.format);
    }
    SY_CHECK(value.has_value(), "tensor " + declared.name + " is read before it is made");
    return *value;
  };
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    std::vector<const numerics::Tensor*> operands;
    for (const TensorId id : op.operands) operands.push_back(&value_of(id));
    std::vector<numerics::Tensor> results = evaluate_on(graph, op, operands);
    for (std::size_t r = 0; r < results.size(); ++r) values[op.results[r].index()] = std::move(results[r]);
    for (const auto* ids : {&op.operands, &op.results}) {
      for (const TensorId id : *ids) {
        if (last_use[id.index()] == i) values[id.index()].reset();
      }
    }
  }
  std::vector<numerics::Tensor> outputs;
  for (const TensorId id : graph.outputs) outputs.push_back(value_of(id));
  return outputs;
}

}  // namespace switchyard::graph
