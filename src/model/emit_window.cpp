// Convolutions and pools: what slides a window over spatial dimensions.
#include <array>

#include "model/emit.h"
#include "model/emit_detail.h"

namespace switchyard::model {

using namespace detail;

namespace {

/// Names of the spatial dimensions, innermost last: w; h, w; d, h, w.
std::string spatial_name(const char* prefix, std::size_t dimension, std::size_t rank) {
  static constexpr std::array kNames{"d", "h", "w"};
  return fmt::format("{}{}", prefix, kNames[dimension + kNames.size() - rank]);
}

/// Position in the input of tap `k` of window `o`.
Affine tap(const Window& window, std::size_t d, int o, int k) {
  return affine_variable(o, window.stride[d]) + affine_variable(k, window.dilation[d]) + affine_constant(-window.pad[d]);
}

/// Whether some tap of some window lies outside the input: only then does the access need a fill.
bool leaves(const Window& window, const Shape& shape) {
  for (std::size_t d = 0; d < window.kernel.size(); ++d) {
    const std::int64_t last = (window.output[d] - 1) * window.stride[d] + (window.kernel[d] - 1) * window.dilation[d] - window.pad[d];
    if (window.pad[d] > 0 || last >= shape[d + 2]) return true;
  }
  return false;
}

}  // namespace

TensorId emit_convolution(Graph& graph, const Label& label, TensorId x, TensorId w, const Window& window, std::int64_t groups) {
  const Shape& sx = graph.tensor(x).shape;
  const Shape& sw = graph.tensor(w).shape;
  const std::size_t rank = window.kernel.size();
  const std::int64_t group_outputs = sw[0] / groups;
  const std::int64_t group_inputs = sw[1];
  const bool depthwise = groups > 1 && group_inputs == 1 && group_outputs == 1;

  Nest nest;
  const Affine n = affine_variable(add_loop(nest, "n", sx[0]));
  Affine out_channel;
  Affine in_channel;  // completed below by the channel inside the group
  if (depthwise) {
    out_channel = in_channel = affine_variable(add_loop(nest, "c", groups));
  } else if (groups > 1) {
    const int g = add_loop(nest, "g", groups);
    const int oc = add_loop(nest, "oc", group_outputs);
    out_channel = affine_variable(g, group_outputs) + affine_variable(oc);
    in_channel = affine_variable(g, group_inputs);
  } else {
    out_channel = affine_variable(add_loop(nest, "oc", group_outputs));
    in_channel = affine_constant(0);
  }
  std::vector<int> o;
  std::vector<int> k;
  for (std::size_t d = 0; d < rank; ++d) o.push_back(add_loop(nest, spatial_name("o", d, rank), window.output[d]));
  for (std::size_t d = 0; d < rank; ++d) {
    k.push_back(add_loop(nest, spatial_name("k", d, rank), window.kernel[d], LoopKind::reduction));
  }
  Affine ic = affine_constant(0);
  if (!depthwise) {
    ic = affine_variable(add_loop(nest, "ic", group_inputs, LoopKind::reduction));
    in_channel = in_channel + ic;
  }

  Access read_x{0, {n, in_channel}, {}};
  Access read_w{1, {out_channel, ic}, {}};
  nest.write = {2, {n, out_channel}, {}};
  Shape shape{sx[0], sw[0]};
  for (std::size_t d = 0; d < rank; ++d) {
    read_x.index.push_back(tap(window, d, o[d], k[d]));
    read_w.index.push_back(affine_variable(k[d]));
    nest.write.index.push_back(affine_variable(o[d]));
    shape.push_back(window.output[d]);
  }
  if (leaves(window, sx)) read_x.fill = 0.0;
  nest.reads = {std::move(read_x), std::move(read_w)};
  nest.expression = mul(expr_input(0), expr_input(1));
  nest.combiner = Combiner::add;

  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, std::move(shape));
  Op op = make_op(label, {x, w}, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_pool(Graph& graph, const Label& label, TensorId x, const Window& window, Combiner combiner, double fill) {
  const Shape& sx = graph.tensor(x).shape;
  const std::size_t rank = window.kernel.size();
  Nest nest;
  const Affine n = affine_variable(add_loop(nest, "n", sx[0]));
  const Affine c = affine_variable(add_loop(nest, "c", sx[1]));
  std::vector<int> o;
  for (std::size_t d = 0; d < rank; ++d) o.push_back(add_loop(nest, spatial_name("o", d, rank), window.output[d]));
  Access read{0, {n, c}, {}};
  nest.write = {1, {n, c}, {}};
  Shape shape{sx[0], sx[1]};
  for (std::size_t d = 0; d < rank; ++d) {
    const int k = add_loop(nest, spatial_name("k", d, rank), window.kernel[d], LoopKind::reduction);
    read.index.push_back(tap(window, d, o[d], k));
    nest.write.index.push_back(affine_variable(o[d]));
    shape.push_back(window.output[d]);
  }
  if (leaves(window, sx)) read.fill = fill;
  nest.reads = {std::move(read)};
  nest.expression = expr_input(0);
  nest.combiner = combiner;

  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, std::move(shape));
  Op op = make_op(label, {x}, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

}  // namespace switchyard::model
