#include "graph/graph.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "support/check.h"
#include "support/unique_name.h"

namespace switchyard::graph {

std::int64_t mac_count(const Graph& graph) {
  std::int64_t sum = 0;
  for (const Op& op : graph.ops) {
    for (const numerics::Nest& nest : op.nests) {
      if (!nest.is_contraction()) continue;
      SY_CHECK(!__builtin_add_overflow(sum, nest.points(), &sum), "more than 2^63 multiply-accumulates");
    }
  }
  return sum;
}

std::int64_t parameter_count(const Graph& graph) {
  std::int64_t sum = 0;
  std::set<const numerics::Constant*> counted;  // two tensors may share one constant
  for (const Tensor& tensor : graph.tensors) {
    if (tensor.role != Role::constant || !tensor.trained || !numerics::format_info(tensor.format).floating) continue;
    if (tensor.constant && !counted.insert(tensor.constant.get()).second) continue;
    SY_CHECK(!__builtin_add_overflow(sum, numerics::element_count(tensor.shape), &sum), "more than 2^63 parameters");
  }
  return sum;
}

bool is_random(const Graph& graph) {
  const auto draws = [](const numerics::Expression::Node& n) { return n.op == numerics::ScalarOp::random; };
  return std::any_of(graph.ops.begin(), graph.ops.end(), [&](const Op& op) {
    return std::any_of(op.nests.begin(), op.nests.end(),
                       [&](const numerics::Nest& n) { return std::any_of(n.expression.nodes.begin(), n.expression.nodes.end(), draws); });
  });
}

void distinguish_names(Graph& graph) {
  std::unordered_set<std::string> taken;
  for (Tensor& tensor : graph.tensors) tensor.name = unique_name(std::move(tensor.name), taken);
  taken.clear();
  for (const bool step : {false, true})
    for (Op& op : graph.ops)
      if (op.origin.empty() != step) op.name = unique_name(std::move(op.name), taken);
}

numerics::Format prevailing_format(const Graph& graph) {
  for (const TensorId input : graph.inputs) {
    if (numerics::format_info(graph.tensor(input).format).floating) return graph.tensor(input).format;
  }
  std::map<numerics::Format, std::int64_t> elements;
  for (const Tensor& tensor : graph.tensors) {
    if (numerics::format_info(tensor.format).floating) elements[tensor.format] += numerics::element_count(tensor.shape);
  }
  numerics::Format most = numerics::Format::fp32;
  std::int64_t count = 0;
  for (const auto& [format, n] : elements) {
    if (n > count) {
      most = format;
      count = n;
    }
  }
  return most;
}

}  // namespace switchyard::graph
