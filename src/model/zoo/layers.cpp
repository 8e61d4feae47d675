#include "model/zoo/layers.h"

#include <array>
#include <cmath>
#include <numbers>

namespace switchyard::model::zoo_models {

using graph::TensorId;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;

TensorId Layers::weight(const std::string& name, Shape shape, double scale, double offset, bool trained) {
  const std::uint64_t stream = numerics::mix(seed_, numerics::hash_name(name));
  auto made = std::make_shared<numerics::Constant>(
      numerics::Constant{[=] { return numerics::seeded_uniform(stream, Format::fp32, shape, scale, offset); }});
  return add_constant(graph_, name, Format::fp32, shape, std::move(made), trained);
}

TensorId Layers::table(const std::string& name, const Shape& shape, std::function<double(std::int64_t)> value) {
  auto made = std::make_shared<numerics::Constant>(numerics::Constant{[shape, value = std::move(value)] {
    numerics::Tensor t = numerics::make_tensor(Format::fp32, shape);
    for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, value(i));
    return t;
  }});
  return add_constant(graph_, name, Format::fp32, shape, std::move(made), false);
}

TensorId Layers::map(const std::string& name, std::string kind, std::span<const MapInput> inputs, const Expression& expression) {
  std::vector<Shape> shapes;
  for (const MapInput& input : inputs) {
    if (input.tensor.valid()) shapes.push_back(graph_.tensor(input.tensor).shape);
  }
  return emit_map(graph_, label(name, std::move(kind)), inputs, expression, Format::fp32, broadcast(shapes).value());
}

TensorId Layers::map(const std::string& name, std::string kind, TensorId x, const Expression& expression) {
  const std::array inputs{MapInput::of(x)};
  return map(name, std::move(kind), inputs, expression);
}

TensorId Layers::add(const std::string& name, TensorId a, TensorId b) {
  const std::array inputs{MapInput::of(a), MapInput::of(b)};
  return map(name, "Add", inputs, numerics::apply(ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1)));
}

TensorId Layers::relu(const std::string& name, TensorId x) {
  return map(name, "Relu", x, numerics::apply(ScalarOp::max, numerics::expr_input(0), numerics::expr_constant(0)));
}

TensorId Layers::linear(const std::string& name, TensorId x, std::int64_t outputs, double gain) {
  const std::int64_t inputs = graph_.tensor(x).shape.back();
  const TensorId w = weight(name + ".weight", {inputs, outputs}, gain * std::sqrt(3 / static_cast<double>(inputs)));
  return emit_matmul(graph_, label(name, "MatMul"), x, w);
}

TensorId Layers::linear_bias(const std::string& name, TensorId x, std::int64_t outputs, double gain) {
  const TensorId product = linear(name, x, outputs, gain);
  return add(name + ":bias", product, weight(name + ".bias", {outputs}, 0.1 * gain));
}

TensorId Layers::softmax(const std::string& name, TensorId x) {
  std::vector<bool> reduced(graph_.tensor(x).shape.size(), false);
  reduced.back() = true;
  return emit_softmax(graph_, label(name, "Softmax"), x, reduced, false);
}

TensorId Layers::transpose(const std::string& name, TensorId x, std::span<const int> order) {
  const Shape from = graph_.tensor(x).shape;
  Shape shape;
  std::vector<numerics::Affine> index(from.size());
  for (std::size_t d = 0; d < order.size(); ++d) {
    shape.push_back(from[static_cast<std::size_t>(order[d])]);
    index[static_cast<std::size_t>(order[d])] = numerics::affine_variable(static_cast<int>(d));
  }
  return emit_copy(graph_, label(name, "Transpose"), x, shape, std::move(index));
}

namespace {
constexpr std::array kSwapMiddle{0, 2, 1, 3};
}

TensorId Layers::split_heads(const std::string& name, TensorId x, std::int64_t heads) {
  const Shape from = graph_.tensor(x).shape;
  const Shape apart{from[0], from[1], heads, from[2] / heads};
  return transpose(name + ":transpose", emit_reshape(graph_, label(name + ":reshape", "Reshape"), x, apart), kSwapMiddle);
}

TensorId Layers::merge_heads(const std::string& name, TensorId x) {
  const Shape from = graph_.tensor(x).shape;
  return emit_reshape(graph_, label(name + ":reshape", "Reshape"), transpose(name + ":transpose", x, kSwapMiddle),
                      {from[0], from[2], from[1] * from[3]});
}

TensorId Layers::layer_norm(const std::string& name, TensorId x, double epsilon) {
  const Shape shape = graph_.tensor(x).shape;
  const TensorId scale = weight(name + ".weight", {shape.back()}, 0.1, 1);
  const TensorId bias = weight(name + ".bias", {shape.back()}, 0.1);
  const auto axis = static_cast<int>(shape.size()) - 1;
  return emit_layer_normalization(graph_, label(name, "LayerNormalization"), x, scale, bias, axis, epsilon, {}, {}).y;
}

TensorId Layers::gelu(const std::string& name, TensorId x) {
  using numerics::apply;
  const Expression erf =
      apply(ScalarOp::erf, apply(ScalarOp::mul, numerics::expr_input(0), numerics::expr_constant(1 / std::numbers::sqrt2)));
  const Expression half = apply(ScalarOp::mul, numerics::expr_input(0), numerics::expr_constant(0.5));
  return map(name, "Gelu", x, apply(ScalarOp::mul, half, apply(ScalarOp::add, erf, numerics::expr_constant(1))));
}

TensorId Layers::gated(const std::string& name, std::string kind, TensorId x, const Expression& gate) {
  return map(name, std::move(kind), x, numerics::apply(ScalarOp::mul, numerics::expr_input(0), gate));
}

TensorId Layers::attention(const std::string& name, TensorId query, TensorId key, TensorId value, TensorId mask) {
  constexpr std::array kSwapLast{0, 1, 3, 2};
  const auto size = static_cast<double>(graph_.tensor(query).shape.back());
  TensorId scores = emit_matmul(graph_, label(name + "scores", "MatMul"), query, transpose(name + "key:transposed", key, kSwapLast));
  scores = map(name + "scale", "Mul", scores,
               numerics::apply(ScalarOp::mul, numerics::expr_input(0), numerics::expr_constant(1 / std::sqrt(size))));
  if (mask.valid()) scores = add(name + "mask", scores, mask);
  return emit_matmul(graph_, label(name + "context", "MatMul"), softmax(name + "softmax", scores), value);
}

TensorId Layers::convolution(const std::string& name, TensorId x, const Convolution& how) {
  const Shape from = graph_.tensor(x).shape;
  const std::size_t rank = from.size() - 2;
  const auto each = [&](std::int64_t value) { return std::vector<std::int64_t>(rank, value); };
  Window window{each(how.kernel), each(how.stride), each(1), each(how.pad), {}};
  for (std::size_t d = 0; d < rank; ++d) window.output.push_back((from[d + 2] + 2 * how.pad - how.kernel) / how.stride + 1);
  Shape shape{how.outputs, from[1] / how.groups};
  double fan_in = static_cast<double>(shape[1]);
  for (std::size_t d = 0; d < rank; ++d) {
    shape.push_back(how.kernel);
    fan_in *= static_cast<double>(how.kernel);
  }
  const TensorId w = weight(name + ".weight", shape, how.gain * std::sqrt(3 / fan_in));
  if (!how.bias) return emit_convolution(graph_, label(name, "Conv"), x, w, window, how.groups);
  const TensorId sum = emit_convolution(graph_, {name, "Conv", name + ".sum", {name}}, x, w, window, how.groups);
  return emit_bias(graph_, {name + ":bias", "Bias", name + ".out", {name}}, sum, weight(name + ".bias", {how.outputs}, 0.1 * how.gain));
}

TensorId Layers::batch_norm(const std::string& name, TensorId x, double mean_square, double gain, double epsilon) {
  const Shape channels{graph_.tensor(x).shape[1]};
  const TensorId scale = weight(name + ".weight", channels, 0.1 * gain, gain);
  const TensorId bias = weight(name + ".bias", channels, 0.1 * gain, 0);
  const TensorId mean = weight(name + ".running_mean", channels, 0.1 * std::sqrt(mean_square), 0, false);
  const TensorId variance = weight(name + ".running_var", channels, 0.1 * mean_square, mean_square, false);
  return emit_batch_normalization(graph_, label(name, "BatchNormalization"), x, scale, bias, mean, variance, epsilon);
}

TensorId Layers::spatial_mean(const std::string& name, TensorId x) {
  const Shape shape = graph_.tensor(x).shape;
  std::vector<bool> reduced(shape.size(), true);
  reduced[0] = reduced[1] = false;
  double count = 1;
  for (std::size_t d = 2; d < shape.size(); ++d) count *= static_cast<double>(shape[d]);
  const TensorId sum =
      emit_reduction(graph_, {name, "GlobalAveragePool", name + ".sum", {name}}, x, reduced, true, numerics::Combiner::add);
  const std::array inputs{MapInput::of(sum)};
  return emit_map(graph_, {name + ":scale", "Scale", name + ".out", {name}}, inputs,
                  numerics::apply(ScalarOp::mul, numerics::expr_input(0), numerics::expr_constant(1 / count)), Format::fp32,
                  graph_.tensor(sum).shape);
}

TensorId Layers::dense(const std::string& name, TensorId x, std::int64_t outputs, double gain) {
  const std::int64_t inputs = graph_.tensor(x).shape.back();
  const TensorId w = weight(name + ".weight", {outputs, inputs}, gain * std::sqrt(3 / static_cast<double>(inputs)));
  constexpr std::array kSwap{1, 0};
  const TensorId product = emit_matmul(graph_, label(name, "MatMul"), x, transpose(name + ":transposed", w, kSwap));
  return add(name + ":bias", product, weight(name + ".bias", {outputs}, 0.1 * gain));
}

TensorId Layers::slice(const std::string& name, TensorId x, int dimension, std::int64_t begin, std::int64_t count) {
  Shape shape = graph_.tensor(x).shape;
  std::vector<numerics::Affine> index;
  for (std::size_t d = 0; d < shape.size(); ++d) index.push_back(numerics::affine_variable(static_cast<int>(d)));
  const auto along = static_cast<std::size_t>(dimension);
  index[along] = index[along] + numerics::affine_constant(begin);
  shape[along] = count;
  return emit_copy(graph_, label(name, "Slice"), x, shape, std::move(index));
}

TensorId Layers::reshape(const std::string& name, TensorId x, const Shape& shape) {
  return emit_reshape(graph_, label(name, "Reshape"), x, shape);
}

}  // namespace switchyard::model::zoo_models
