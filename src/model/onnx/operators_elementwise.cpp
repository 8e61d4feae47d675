// Element-wise operators: one map nest each, NumPy broadcasting, scalar constants written into the expression.
#include <fmt/format.h>

#include <array>
#include <limits>

#include "model/emit_detail.h"
#include "model/onnx/operators.h"

namespace switchyard::model::onnx {

using namespace model::detail;
using numerics::Format;

namespace {

Expression x0() { return expr_input(0); }
Expression x1() { return expr_input(1); }
Expression number(double value) { return expr_constant(value); }

bool floating(Format format) { return numerics::format_info(format).floating; }

/// Toward zero, as C's integer division and casts go.
Expression truncate(const Expression& x) {
  return apply(ScalarOp::select, apply(ScalarOp::less, x, number(0)), apply(ScalarOp::ceil, x), apply(ScalarOp::floor, x));
}

/// Before operator set 7 the second of two inputs broadcasts where `broadcast` says so, its first dimension lying at `axis`: the shape
/// under which it broadcasts today. The same shape where there is nothing to do.
Shape old_broadcast(NodeBuilder& b) {
  Shape shape = b.shape(1);
  if (b.attribute("broadcast") == nullptr && b.attribute("axis") == nullptr) return shape;
  const std::size_t rank = b.shape(0).size();
  if (b.opset() >= 7) {
    b.malformed("onnx/attribute", "attributes axis and broadcast ended with operator set 6");
  } else if (b.int_attribute("broadcast", 0) != 0 && b.attribute("axis") != nullptr && !b.failed()) {
    const auto axis = static_cast<std::size_t>(b.axis(b.int_attribute("axis", 0), rank, true));
    if (axis + shape.size() > rank) {
      b.malformed("onnx/shape", fmt::format("{} does not fit {} at dimension {}", print_shape(shape), print_shape(b.shape(0)), axis));
    } else {
      shape.resize(rank - axis, 1);
    }
  }
  return shape;
}

/// Maps inputs 0 .. count-1 of the node, broadcast together.
void map_inputs(NodeBuilder& b, std::size_t count, const Expression& expression, Format format) {
  std::vector<Shape> shapes;
  const Shape second = count == 2 ? old_broadcast(b) : Shape{};
  if (b.failed()) return;
  for (std::size_t i = 0; i < count; ++i) shapes.push_back(i == 1 && count == 2 ? second : b.shape(i));
  const auto shape = broadcast(shapes);
  if (!shape) {
    std::string list;
    for (const Shape& s : shapes) list += (list.empty() ? "" : ", ") + print_shape(s);
    b.malformed("onnx/shape", fmt::format("shapes {} do not broadcast", list));
    return;
  }
  std::vector<MapInput> inputs;
  for (std::size_t i = 0; i < count; ++i) inputs.push_back(b.map_operand(i));
  if (count == 2 && second != b.shape(1) && inputs[1].tensor.valid())
    inputs[1] = MapInput::of(emit_reshape(b.scratch(), b.helper("Reshape", ":aligned"), b.operand(1), second));
  b.set_result(0, emit_map(b.scratch(), b.label(), inputs, expression, format, *shape));
}

template <ScalarOp op>
void unary(NodeBuilder& b) {
  map_inputs(b, 1, apply(op, x0()), b.format(0));
}

template <ScalarOp op>
void floating_unary(NodeBuilder& b) {
  if (b.require_floating(0)) unary<op>(b);
}

template <ScalarOp op>
void binary(NodeBuilder& b) {
  if (b.same_format(0, 1)) map_inputs(b, 2, apply(op, x0(), x1()), b.format(0));
}

void divide(NodeBuilder& b) {
  if (!b.same_format(0, 1)) return;
  const Expression quotient = apply(ScalarOp::div, x0(), x1());
  if (floating(b.format(0))) return map_inputs(b, 2, quotient, b.format(0));
  if (const numerics::Tensor* divisor = b.known(1)) {
    for (std::int64_t i = 0; i < divisor->count(); ++i) {
      if (divisor->at(i) == 0) return b.malformed("onnx/division-by-zero", "an integer is divided by zero");
    }
  }
  map_inputs(b, 2, truncate(quotient), b.format(0));
}

void power(NodeBuilder& b) {
  const Expression x = x0();
  // An integer to a fractional power is cut back to an integer.
  const bool cut = !floating(b.format(0)) && floating(b.format(1));
  if (const auto exponent = b.scalar(1); exponent && floating(b.format(0))) {
    // The usual exponents cost a multiplication or a square root and not a logarithm and an exponential.
    const Expression square = mul(x, x);
    const std::array<std::pair<double, Expression>, 5> cheap{
        {{0.5, apply(ScalarOp::sqrt, x)}, {1.0, x}, {2.0, square}, {3.0, mul(square, x)}, {-1.0, apply(ScalarOp::reciprocal, x)}}};
    for (const auto& [e, expression] : cheap) {
      if (*exponent == e) return map_inputs(b, 2, expression, b.format(0));
    }
  }
  const Expression e = apply(ScalarOp::pow, x, x1());
  map_inputs(b, 2, cut ? truncate(e) : e, b.format(0));
}

/// Sum, Max, Min: any number of inputs.
template <ScalarOp op>
void variadic(NodeBuilder& b) {
  Expression e = x0();
  for (std::size_t i = 1; i < b.input_count(); ++i) {
    if (!b.has(i)) return b.malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
    if (!b.same_format(0, i)) return;
    e = apply(op, e, expr_input(static_cast<int>(i)));
  }
  map_inputs(b, b.input_count(), e, b.format(0));
}

void comparison(NodeBuilder& b, const Expression& e) {
  if (b.same_format(0, 1)) map_inputs(b, 2, e, Format::boolean);
}
void equal(NodeBuilder& b) { comparison(b, apply(ScalarOp::equal, x0(), x1())); }
void less(NodeBuilder& b) { comparison(b, apply(ScalarOp::less, x0(), x1())); }
void greater(NodeBuilder& b) { comparison(b, apply(ScalarOp::less, x1(), x0())); }
// Not the negation of the opposite: NaN compares false either way.
void less_or_equal(NodeBuilder& b) {
  comparison(b, apply(ScalarOp::max, apply(ScalarOp::less, x0(), x1()), apply(ScalarOp::equal, x0(), x1())));
}
void greater_or_equal(NodeBuilder& b) {
  comparison(b, apply(ScalarOp::max, apply(ScalarOp::less, x1(), x0()), apply(ScalarOp::equal, x0(), x1())));
}

template <ScalarOp op>
void logical(NodeBuilder& b) {
  for (std::size_t i = 0; i < b.input_count(); ++i) {
    if (b.format(i) != Format::boolean) return b.malformed("onnx/type", fmt::format("input {} must be BOOL", b.input(i).name));
  }
  if (b.input_count() == 1) return map_inputs(b, 1, apply(ScalarOp::logical_not, x0()), Format::boolean);
  map_inputs(b, 2, apply(op, x0(), x1()), Format::boolean);
}

void where(NodeBuilder& b) {
  if (b.format(0) != Format::boolean) return b.malformed("onnx/type", fmt::format("condition {} must be BOOL", b.input(0).name));
  if (b.same_format(1, 2)) map_inputs(b, 3, apply(ScalarOp::select, x0(), x1(), expr_input(2)), b.format(1));
}

void relu(NodeBuilder& b) { map_inputs(b, 1, apply(ScalarOp::max, x0(), number(0)), b.format(0)); }

void leaky_relu(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const double alpha = b.float_attribute("alpha", 0.01F);
  map_inputs(b, 1, apply(ScalarOp::select, apply(ScalarOp::less, x0(), number(0)), mul(x0(), number(alpha)), x0()), b.format(0));
}

/// clamp(alpha * x + beta) to 0 .. 1
Expression hard_sigmoid_of(double alpha, double beta) {
  return apply(ScalarOp::max, apply(ScalarOp::min, add(mul(x0(), number(alpha)), number(beta)), number(1)), number(0));
}

void hard_sigmoid(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  map_inputs(b, 1, hard_sigmoid_of(b.float_attribute("alpha", 0.2F), b.float_attribute("beta", 0.5F)), b.format(0));
}

void hard_swish(NodeBuilder& b) {
  if (b.require_floating(0)) map_inputs(b, 1, mul(x0(), hard_sigmoid_of(1.0 / 6.0, 0.5)), b.format(0));
}

/// Clip: limits are attributes before operator set 11, optional scalar inputs since.
void clip(NodeBuilder& b) {
  std::vector<MapInput> inputs{b.map_operand(0)};
  Expression e = x0();
  const auto limit = [&](ScalarOp op, const char* name, std::size_t i) {
    if (b.opset() < 11) {
      if (b.attribute(name) == nullptr) return;
      e = apply(op, e, number(b.float_attribute(name, 0)));
    } else if (b.has(i)) {
      if (!b.same_format(0, i)) return;
      // The standard asks for a scalar; a single element in a vector is what some exporters write.
      if (checked_count(b.shape(i)) != std::optional<std::int64_t>(1) || b.shape(i).size() > b.shape(0).size()) {
        return b.malformed("onnx/shape", fmt::format("limit {} must be a scalar", b.input(i).name));
      }
      e = apply(op, e, expr_input(static_cast<int>(inputs.size())));
      inputs.push_back(b.map_operand(i));
    }
  };
  limit(ScalarOp::max, "min", 1);
  limit(ScalarOp::min, "max", 2);
  if (b.failed()) return;
  b.set_result(0, emit_map(b.scratch(), b.label(), inputs, e, b.format(0), b.shape(0)));
}

constexpr std::string_view kBroadcast = "axis broadcast consumed_inputs";

constexpr std::array kOperators{
    Operator{"Abs", 1, 1, 1, "consumed_inputs", unary<ScalarOp::abs>},
    Operator{"Add", 1, 2, 2, kBroadcast, binary<ScalarOp::add>},
    Operator{"And", 1, 2, 2, kBroadcast, logical<ScalarOp::min>},
    Operator{"Ceil", 1, 1, 1, "consumed_inputs", floating_unary<ScalarOp::ceil>},
    Operator{"Clip", 1, 1, 3, "consumed_inputs min max", clip},
    Operator{"Div", 1, 2, 2, kBroadcast, divide},
    Operator{"Equal", 1, 2, 2, kBroadcast, equal},
    Operator{"Erf", 9, 1, 1, "", floating_unary<ScalarOp::erf>},
    Operator{"Exp", 1, 1, 1, "consumed_inputs", floating_unary<ScalarOp::exp>},
    Operator{"Floor", 1, 1, 1, "consumed_inputs", floating_unary<ScalarOp::floor>},
    Operator{"Greater", 1, 2, 2, kBroadcast, greater},
    Operator{"GreaterOrEqual", 12, 2, 2, "", greater_or_equal},
    Operator{"HardSigmoid", 1, 1, 1, "alpha beta consumed_inputs", hard_sigmoid},
    Operator{"HardSwish", 14, 1, 1, "", hard_swish},
    Operator{"LeakyRelu", 1, 1, 1, "alpha consumed_inputs", leaky_relu},
    Operator{"Less", 1, 2, 2, kBroadcast, less},
    Operator{"LessOrEqual", 12, 2, 2, "", less_or_equal},
    Operator{"Log", 1, 1, 1, "consumed_inputs", floating_unary<ScalarOp::log>},
    Operator{"Max", 1, 1, kAny, "consumed_inputs", variadic<ScalarOp::max>},
    Operator{"Min", 1, 1, kAny, "consumed_inputs", variadic<ScalarOp::min>},
    Operator{"Mul", 1, 2, 2, kBroadcast, binary<ScalarOp::mul>},
    Operator{"Neg", 1, 1, 1, "consumed_inputs", unary<ScalarOp::neg>},
    Operator{"Not", 1, 1, 1, "", logical<ScalarOp::logical_not>},
    Operator{"Or", 1, 2, 2, kBroadcast, logical<ScalarOp::max>},
    Operator{"Pow", 1, 2, 2, kBroadcast, power},
    Operator{"Reciprocal", 1, 1, 1, "consumed_inputs", floating_unary<ScalarOp::reciprocal>},
    Operator{"Relu", 1, 1, 1, "consumed_inputs", relu},
    Operator{"Sigmoid", 1, 1, 1, "consumed_inputs", floating_unary<ScalarOp::sigmoid>},
    Operator{"Sqrt", 1, 1, 1, "consumed_inputs", floating_unary<ScalarOp::sqrt>},
    Operator{"Sub", 1, 2, 2, kBroadcast, binary<ScalarOp::sub>},
    Operator{"Sum", 1, 1, kAny, "consumed_inputs", variadic<ScalarOp::add>},
    Operator{"Tanh", 1, 1, 1, "consumed_inputs", floating_unary<ScalarOp::tanh>},
    Operator{"Where", 9, 3, 3, "", where},
};

}  // namespace

std::span<const Operator> elementwise_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
