#include "model/zoo/layers.h"

#include <array>
#include <cmath>

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

}  // namespace switchyard::model::zoo_models
