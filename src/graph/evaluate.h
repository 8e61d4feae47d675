// The reference evaluator: runs nests naively, in double. Obviously right, independent of the compiler.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "graph/graph.h"

namespace switchyard::graph {

/// Evaluates one operator wholly: operands in, results out (rounded once into each result's format). Locals are kept in double; a nest that
/// reads a result written before reads the rounded value. Each element is accumulated in double, its reduction points in listed order.
/// Integers are exact up to 2^53. SY_CHECKs on a read outside of its slot without `fill`, and on constants without values.
std::vector<numerics::Tensor> evaluate_op(const Graph& graph, const Op& op, const std::vector<numerics::Tensor>& operands);
/// Evaluates the whole graph; inputs by position in graph.inputs; outputs by position in graph.outputs.
std::vector<numerics::Tensor> evaluate(const Graph& graph, const std::vector<numerics::Tensor>& inputs);

/// A single element, computed on demand from elements of other tensors: what the sampled check uses.
/// `known` answers for tensors whose values exist (returns a pointer that stays valid, or null); everything else is computed through its
/// op. Agrees with evaluate() exactly. Values are remembered between calls: what `known` answers for a tensor must not change its values.
/// Not for several threads at once.
class PointEvaluator {
 public:
  using Known = std::function<const numerics::Tensor*(TensorId)>;
  PointEvaluator(const Graph& graph, Known known);
  ~PointEvaluator();
  struct Value {
    double value = 0;            ///< rounded into the tensor's format
    double magnitude = 0;        ///< sum of the absolute values of what was accumulated: scales the tolerance
    std::int64_t reduction = 1;  ///< longest chain of accumulations behind the value
    double unrounded = 0;        ///< before that rounding: the better centre for a tolerance
    double roundoff = 0;         ///< unit roundoffs of the formats of tensors between it and what `known` answered, added up
  };
  /// Where many operators write parts of the tensor, `producer` says which one writes this element: else each is asked.
  Value at(TensorId tensor, const std::vector<std::int64_t>& index, std::optional<OpId> producer = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace switchyard::graph
