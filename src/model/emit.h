// Emitters: each appends one structured operator (loop nests over named tensors) to a graph. Both readers and the zoo build with them.
// Callers have checked shapes and types; what is broken here is our bug.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace switchyard::model {

/// What the new operator and its result are called.
struct Label {
  std::string op;      ///< Op::name
  std::string kind;    ///< Op::kind
  std::string result;  ///< name of the result tensor
  std::vector<std::string> nodes;
};

graph::TensorId add_tensor(graph::Graph& graph, std::string name, numerics::Format format, numerics::Shape shape);
graph::TensorId add_input(graph::Graph& graph, std::string name, numerics::Format format, numerics::Shape shape);
graph::TensorId add_constant(graph::Graph& graph, std::string name, numerics::Format format, numerics::Shape shape,
                             numerics::ConstantPtr constant, bool trained);
/// An int32 constant of the positions `first`, `first + 1` ..., in order.
graph::TensorId add_positions(graph::Graph& graph, std::string name, numerics::Shape shape, std::int64_t first);

/// NumPy broadcasting; empty when the shapes do not fit.
std::optional<numerics::Shape> broadcast(std::span<const numerics::Shape> shapes);

/// An input of an element-wise operator: a tensor, or a number written into the expression.
struct MapInput {
  graph::TensorId tensor;
  double scalar = 0;  ///< when tensor is none

  static MapInput of(graph::TensorId id) { return {id, 0}; }
  static MapInput number(double value) { return {{}, value}; }
};

/// One point per element of `shape`; input i of `expression` is inputs[i], broadcast to `shape`.
graph::TensorId emit_map(graph::Graph& graph, const Label& label, std::span<const MapInput> inputs, const numerics::Expression& expression,
                         numerics::Format format, const numerics::Shape& shape);

/// A sliding window over the spatial dimensions (1 to 3 of them), output extents included. One entry per spatial dimension.
struct Window {
  std::vector<std::int64_t> kernel, stride, dilation, pad, output;  ///< pad: before the first element
};

/// x [n, c, spatial...], w [oc, c/groups, kernel...] -> [n, oc, output...]. Reduction order: kernel, then input channels (fastest).
graph::TensorId emit_convolution(graph::Graph& graph, const Label& label, graph::TensorId x, graph::TensorId w, const Window& window,
                                 std::int64_t groups);
/// Combines each window of x [n, c, spatial...]; `fill` is what padding counts as.
graph::TensorId emit_pool(graph::Graph& graph, const Label& label, graph::TensorId x, const Window& window, numerics::Combiner combiner,
                          double fill);
/// result[n, c, ...] = x[n, c, ...] + bias[c]
graph::TensorId emit_bias(graph::Graph& graph, const Label& label, graph::TensorId x, graph::TensorId bias);
/// (x - mean) / sqrt(variance + epsilon) * scale + bias, per channel (dimension 1).
graph::TensorId emit_batch_normalization(graph::Graph& graph, const Label& label, graph::TensorId x, graph::TensorId scale,
                                         graph::TensorId bias, graph::TensorId mean, graph::TensorId variance, double epsilon);

/// NumPy matmul, vectors and batch broadcasting included.
graph::TensorId emit_matmul(graph::Graph& graph, const Label& label, graph::TensorId a, graph::TensorId b);
/// Two matrices, either of which may be stored transposed.
graph::TensorId emit_gemm(graph::Graph& graph, const Label& label, graph::TensorId a, bool transpose_a, graph::TensorId b,
                          bool transpose_b);

/// Combines x over the dimensions marked in `reduced`; keep: they stay with extent 1.
graph::TensorId emit_reduction(graph::Graph& graph, const Label& label, graph::TensorId x, const std::vector<bool>& reduced, bool keep,
                               numerics::Combiner combiner);
/// exp(x - max) / sum(exp(x - max)) over the marked dimensions, or its logarithm.
graph::TensorId emit_softmax(graph::Graph& graph, const Label& label, graph::TensorId x, const std::vector<bool>& reduced, bool logarithm);

/// Layer normalisation over the dimensions from `axis` on; scale and bias broadcast to x; bias may be none.
/// `mean` and `inverse` name further results [..., 1, ...] when not empty: x's mean and 1/sqrt(variance + epsilon).
struct LayerNormalizationResults {
  graph::TensorId y, mean, inverse;
};
LayerNormalizationResults emit_layer_normalization(graph::Graph& graph, const Label& label, graph::TensorId x, graph::TensorId scale,
                                                   graph::TensorId bias, int axis, double epsilon, const std::string& mean,
                                                   const std::string& inverse);

/// x / sqrt(mean(x^2) + epsilon) * scale over the last dimension; scale broadcasts to x.
graph::TensorId emit_rms_normalization(graph::Graph& graph, const Label& label, graph::TensorId x, graph::TensorId scale, double epsilon);

/// result[i] = x[index(i)]: one affine function of the result's loops per dimension of x. `fill` stands for what lies outside x.
graph::TensorId emit_copy(graph::Graph& graph, const Label& label, graph::TensorId x, const numerics::Shape& shape,
                          std::vector<numerics::Affine> index, std::optional<double> fill = {});
/// Same elements in the same order under another shape. Where the two shapes have no common refinement (say 2x3 to 3x2), the way
/// leads over the flat vector: two operators.
graph::TensorId emit_reshape(graph::Graph& graph, const Label& label, graph::TensorId x, const numerics::Shape& shape);
/// Part p of x lies at begin[p] along `axis` of the result.
graph::TensorId emit_concat(graph::Graph& graph, const Label& label, std::span<const graph::TensorId> parts, int axis);
/// An index that is known only when the model runs: the element `index` (over the result's loops) of a tensor of integers.
struct LookedUp {
  int dimension = 0;  ///< of x
  graph::TensorId indices;
  std::vector<numerics::Affine> index;
};
/// result[i] = x[index(i)], in the dimensions looked up at what is found there (from minus the extent to the extent less one); `index` is 0
/// in these.
graph::TensorId emit_lookup(graph::Graph& graph, const Label& label, graph::TensorId x, const numerics::Shape& shape,
                            std::vector<numerics::Affine> index, std::span<const LookedUp> lookups);
/// The elements `indices` (in range, row-major over index_shape) of dimension `axis` of x; runs of evenly spaced ones share a nest.
graph::TensorId emit_gather(graph::Graph& graph, const Label& label, graph::TensorId x, std::span<const std::int64_t> indices,
                            const numerics::Shape& index_shape, int axis);

}  // namespace switchyard::model
