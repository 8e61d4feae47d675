// Element-wise functions beyond arithmetic: activations, trigonometry, bits, remainders, tests of numbers. One map nest each.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "model/emit_detail.h"
#include "model/onnx/operators.h"
#include "model/onnx/steps.h"
#include "numerics/bit_cast.h"

namespace switchyard::model::onnx {
namespace {

Expression zero() { return number(0); }
Expression one() { return number(1); }

Expression exp(const Expression& x) { return unary(ScalarOp::exp, x); }
Expression tanh(const Expression& x) { return unary(ScalarOp::tanh, x); }

/// Maps the first `count` inputs, broadcast together.
void map_inputs(NodeBuilder& b, std::size_t count, const Expression& e, Format format) {
  std::vector<Shape> shapes;
  std::vector<MapInput> inputs;
  for (std::size_t i = 0; i < count; ++i) shapes.push_back(b.shape(i));
  if (!broadcast(shapes)) {
    return b.malformed("onnx/shape", fmt::format("shapes {} and {} do not broadcast", print_shape(shapes[0]), print_shape(shapes[1])));
  }
  for (std::size_t i = 0; i < count; ++i) inputs.push_back(b.map_operand(i));
  b.set_result(0, emit_map(b.scratch(), b.label(), inputs, e, format, *broadcast(shapes)));
}

/// A function of one floating input.
void activate(NodeBuilder& b, const Expression& e) {
  if (b.require_floating(0)) map_inputs(b, 1, e, b.format(0));
}

template <ScalarOp op>
void function(NodeBuilder& b) {
  activate(b, unary(op, x0()));
}

void elu(NodeBuilder& b) {
  const double alpha = b.float_attribute("alpha", 1);
  activate(b, select(x0() < zero(), number(alpha) * (exp(x0()) - one()), x0()));
}
void celu(NodeBuilder& b) {
  const double alpha = b.float_attribute("alpha", 1);
  activate(b, max(x0(), zero()) + min(zero(), number(alpha) * (exp(x0() / number(alpha)) - one())));
}
void selu(NodeBuilder& b) {
  const double alpha = b.float_attribute("alpha", 1.67326319217681884765625), gamma = b.float_attribute("gamma", 1.05070102214813232421875);
  activate(b, number(gamma) * select(x0() > zero(), x0(), number(alpha) * (exp(x0()) - one())));
}
void softplus_node(NodeBuilder& b) { activate(b, softplus(x0())); }
void softsign(NodeBuilder& b) { activate(b, x0() / (one() + unary(ScalarOp::abs, x0()))); }
void mish(NodeBuilder& b) { activate(b, x0() * tanh(softplus(x0()))); }
void swish(NodeBuilder& b) {
  const double alpha = b.float_attribute("alpha", 1);
  activate(b, x0() * unary(ScalarOp::sigmoid, alpha == 1 ? x0() : number(alpha) * x0()));
}
void gelu(NodeBuilder& b) {
  const std::string approximate = b.string_attribute("approximate", "none");
  if (approximate == "tanh") {
    const Expression inner = number(std::sqrt(2 / M_PI)) * (x0() + number(0.044715) * (x0() * x0() * x0()));
    return activate(b, number(0.5) * x0() * (one() + tanh(inner)));
  }
  if (approximate != "none") return b.malformed("onnx/attribute", fmt::format("approximate is none or tanh, not {}", approximate));
  activate(b, number(0.5) * x0() * (one() + unary(ScalarOp::erf, x0() * number(1 / std::sqrt(2.0)))));
}
void thresholded_relu(NodeBuilder& b) { activate(b, select(x0() > number(b.float_attribute("alpha", 1)), x0(), zero())); }
void shrink(NodeBuilder& b) {
  const double bias = b.float_attribute("bias", 0), lambda = b.float_attribute("lambd", 0.5);
  map_inputs(b, 1, select(x0() < number(-lambda), x0() + number(bias), select(x0() > number(lambda), x0() - number(bias), zero())),
             b.format(0));
}
void sign(NodeBuilder& b) { map_inputs(b, 1, (x0() > zero()) - (x0() < zero()), b.format(0)); }

void is_nan(NodeBuilder& b) {
  if (b.require_floating(0)) map_inputs(b, 1, !equal(x0(), x0()), Format::boolean);
}
void is_inf(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const bool negative = b.int_attribute("detect_negative", 1) != 0, positive = b.int_attribute("detect_positive", 1) != 0;
  Expression e = x0() * zero();  // neither
  if (negative && positive) {
    e = equal(unary(ScalarOp::abs, x0()), number(kInfinity));
  } else if (negative || positive) {
    e = equal(x0(), number(negative ? -kInfinity : kInfinity));
  } else {
    e = x0() < x0();
  }
  map_inputs(b, 1, e, Format::boolean);
}

void prelu(NodeBuilder& b) {
  if (!b.same_format(0, 1)) return;
  const Expression e = select(x0() < zero(), input(1) * x0(), x0());
  const Shape& x = b.shape(0);
  // Before operator set 7 one slope per channel is a vector along dimension 1.
  if (b.opset() >= 7 || x.size() < 3 || b.shape(1) != Shape{x[1]}) return map_inputs(b, 2, e, b.format(0));
  Steps s(b);
  Shape slope(x.size() - 1, 1);
  slope[0] = x[1];
  b.set_result(0, s.map({b.operand(0), s.reshape(b.operand(1), slope)}, e));
}

void mean(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  Expression sum = x0();
  for (std::size_t i = 1; i < b.input_count(); ++i) {
    if (!b.has(i)) return b.malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
    if (!b.same_format(0, i)) return;
    sum = sum + input(static_cast<int>(i));
  }
  map_inputs(b, b.input_count(), sum * number(1.0 / static_cast<double>(b.input_count())), b.format(0));
}

void exclusive_or(NodeBuilder& b) {
  if (b.same_format(0, 1)) map_inputs(b, 2, !equal(x0(), input(1)), Format::boolean);
}

void remainder(NodeBuilder& b) {
  if (!b.same_format(0, 1)) return;
  const bool c_style = b.int_attribute("fmod", 0) != 0;
  const Expression r = binary(ScalarOp::remainder, x0(), input(1));
  if (c_style) return map_inputs(b, 2, r, b.format(0));
  // The sign of the divisor, as Python's %.
  const Expression other_sign = both(!equal(r, zero()), !equal(r < zero(), input(1) < zero()));
  map_inputs(b, 2, select(other_sign, r + input(1), r), b.format(0));
}

bool require_integers(NodeBuilder& b) {
  for (std::size_t i = 0; i < b.input_count(); ++i) {
    if (!numerics::format_info(b.format(i)).floating) continue;
    b.malformed("onnx/type", fmt::format("input {} must be an integer tensor", b.input(i).name));
    return false;
  }
  return b.input_count() < 2 || b.same_format(0, 1);
}
template <ScalarOp op>
void bitwise(NodeBuilder& b) {
  if (require_integers(b)) map_inputs(b, 2, binary(op, x0(), input(1)), b.format(0));
}
void bitwise_not(NodeBuilder& b) {
  if (!require_integers(b)) return;
  const numerics::FormatInfo& info = numerics::format_info(b.format(0));
  if (b.format(0) == Format::uint64) return b.unsupported("onnx/unsupported-type", "the complement of UINT64 needs 64 bits without a sign");
  map_inputs(b, 1, number(info.is_signed ? -1 : info.max_finite) - x0(), b.format(0));
}
void bit_shift(NodeBuilder& b) {
  if (!require_integers(b)) return;
  const std::string direction = b.string_attribute("direction", "");
  if (direction == "RIGHT") return map_inputs(b, 2, binary(ScalarOp::shift_right, x0(), input(1)), b.format(0));
  if (direction != "LEFT") return b.malformed("onnx/attribute", fmt::format("direction is LEFT or RIGHT, not '{}'", direction));
  const Expression shifted = binary(ScalarOp::shift_left, x0(), input(1));
  const double greatest = numerics::format_info(b.format(0)).max_finite;
  // What is shifted beyond the width is lost.
  map_inputs(b, 2, greatest < 0x1p53 ? binary(ScalarOp::bit_and, shifted, number(greatest)) : shifted, b.format(0));
}

/// The standard's rules for a cast from one element type to another.
Expression cast_expression(NodeBuilder& b, Format from, Format to) {
  const numerics::FormatInfo &source = numerics::format_info(from), &target = numerics::format_info(to);
  if (to == Format::boolean) return from == Format::boolean ? x0() : !equal(x0(), zero());
  if (target.floating) {
    if (target.bytes > 1) return x0();  // storing rounds
    numerics::CastRule rule{to, numerics::Overflow::saturate, numerics::RoundingMode::nearest};
    if (b.int_attribute("saturate", 1) == 0) rule.overflow = numerics::Overflow::nonfinite;
    const std::string mode = b.string_attribute("round_mode", "up");
    if (to == Format::e8m0)
      rule.mode = mode == "down"      ? numerics::RoundingMode::down
                  : mode == "nearest" ? numerics::RoundingMode::nearest
                                      : numerics::RoundingMode::up;
    return binary(ScalarOp::cast, x0(), number(numerics::cast_code(rule)));
  }
  // Between integers the low bits stay; so they do where a number is cut to an integer of less than a byte.
  const auto low_bits = [&](const Expression& x) {
    const double span = target.is_signed ? 2 * (target.max_finite + 1) : target.max_finite + 1;
    const double offset = target.is_signed ? target.max_finite + 1 : 0;
    return binary(ScalarOp::bit_and, x + number(offset), number(span - 1)) - number(offset);
  };
  if (source.floating) return target.max_finite < 16 ? low_bits(truncated(x0())) : truncated(x0());
  if (numerics::represents(to, from) || target.max_finite >= 0x1p53) return x0();
  return low_bits(x0());
}

void cast_to(NodeBuilder& b, Format to) {
  const Expression e = cast_expression(b, b.format(0), to);
  if (!b.failed()) map_inputs(b, 1, e, to);
}

void cast(NodeBuilder& b) {
  const std::int64_t to = b.int_attribute("to", kUndefined);
  const auto format = to < 0 || to > 1000 ? std::nullopt : format_of(static_cast<std::int32_t>(to));
  if (b.failed()) return;
  if (format) return cast_to(b, *format);
  if (to == kUndefined) return b.malformed("onnx/attribute", "attribute to is missing");
  b.unsupported("onnx/unsupported-type", fmt::format("a cast to {} is not supported", data_type_name(static_cast<std::int32_t>(to))));
}

void cast_like(NodeBuilder& b) { cast_to(b, b.format(1)); }

/// The same bits as another type of the same width.
void bit_cast(NodeBuilder& b) {
  const std::int64_t type = b.int_attribute("to", kUndefined);
  const auto to = type < 0 || type > 1000 ? std::nullopt : format_of(static_cast<std::int32_t>(type));
  if (b.failed()) return;
  const Format from = b.format(0);
  if (!to || numerics::format_bytes(*to) != numerics::format_bytes(from))
    return b.malformed("onnx/attribute", fmt::format("a BitCast to type {} does not keep the width", type));
  const numerics::FormatInfo &source = numerics::format_info(from), &target = numerics::format_info(*to);
  if (from == *to) return map_inputs(b, 1, x0(), *to);
  if (source.bytes == 8) {  // no unit here holds 64 bits exactly in both kinds of arithmetic: bytes that the host reads anew
    const graph::TensorId x = b.operand(0), y = add_tensor(b.scratch(), b.label().result, *to, b.shape(0));
    graph::Op op = detail::make_op(b.label(), {x}, {y});
    op.host = numerics::HostCall{"BitCast", {{"format", std::string(numerics::format_name(*to))}}};
    b.scratch().ops.push_back(std::move(op));
    return b.set_result(0, y);
  }
  if (!source.floating && !target.floating) {
    if (*to == Format::boolean) return b.unsupported("onnx/unsupported-type", "bits read as BOOL");
    if (source.is_signed == target.is_signed || from == Format::boolean) return map_inputs(b, 1, x0(), *to);
    const double signed_limit = source.is_signed ? source.max_finite : target.max_finite, span = 2 * (signed_limit + 1);
    return map_inputs(b, 1,
                      target.is_signed ? select(x0() > number(signed_limit), x0() - number(span), x0())
                                       : select(x0() < zero(), x0() + number(span), x0()),
                      *to);
  }
  map_inputs(b, 1, binary(ScalarOp::cast, x0(), number(numerics::bit_cast_code(from, *to))), *to);
}

constexpr std::array kOperators{
    Operator{"Acos", 7, 1, 1, "", function<ScalarOp::acos>},
    Operator{"Acosh", 9, 1, 1, "", function<ScalarOp::acosh>},
    Operator{"Asin", 7, 1, 1, "", function<ScalarOp::asin>},
    Operator{"Asinh", 9, 1, 1, "", function<ScalarOp::asinh>},
    Operator{"Atan", 7, 1, 1, "", function<ScalarOp::atan>},
    Operator{"Atanh", 9, 1, 1, "", function<ScalarOp::atanh>},
    Operator{"BitCast", 26, 1, 1, "to", bit_cast},
    Operator{"BitShift", 11, 2, 2, "direction", bit_shift},
    Operator{"BitwiseAnd", 18, 2, 2, "", bitwise<ScalarOp::bit_and>},
    Operator{"BitwiseNot", 18, 1, 1, "", bitwise_not},
    Operator{"BitwiseOr", 18, 2, 2, "", bitwise<ScalarOp::bit_or>},
    Operator{"BitwiseXor", 18, 2, 2, "", bitwise<ScalarOp::bit_xor>},
    Operator{"Cast", 1, 1, 1, "round_mode saturate to", cast},
    Operator{"CastLike", 15, 2, 2, "round_mode saturate", cast_like},
    Operator{"Celu", 12, 1, 1, "alpha", celu},
    Operator{"Cos", 7, 1, 1, "", function<ScalarOp::cos>},
    Operator{"Cosh", 9, 1, 1, "", function<ScalarOp::cosh>},
    Operator{"Elu", 1, 1, 1, "alpha consumed_inputs", elu},
    Operator{"Gelu", 20, 1, 1, "approximate", gelu},
    Operator{"IsInf", 10, 1, 1, "detect_negative detect_positive", is_inf},
    Operator{"IsNaN", 9, 1, 1, "", is_nan},
    Operator{"Mean", 1, 1, kAny, "", mean},
    Operator{"Mish", 18, 1, 1, "", mish},
    Operator{"Mod", 10, 2, 2, "fmod", remainder},
    Operator{"PRelu", 1, 2, 2, "consumed_inputs", prelu},
    Operator{"Round", 11, 1, 1, "", function<ScalarOp::round>},
    Operator{"Selu", 1, 1, 1, "alpha consumed_inputs gamma", selu},
    Operator{"Shrink", 9, 1, 1, "bias lambd", shrink},
    Operator{"Sign", 9, 1, 1, "", sign},
    Operator{"Sin", 7, 1, 1, "", function<ScalarOp::sin>},
    Operator{"Sinh", 9, 1, 1, "", function<ScalarOp::sinh>},
    Operator{"Softplus", 1, 1, 1, "", softplus_node},
    Operator{"Softsign", 1, 1, 1, "", softsign},
    Operator{"Swish", 24, 1, 1, "alpha", swish},
    Operator{"Tan", 7, 1, 1, "", function<ScalarOp::tan>},
    Operator{"ThresholdedRelu", 10, 1, 1, "alpha", thresholded_relu},
    Operator{"Xor", 7, 2, 2, "", exclusive_or},
};

}  // namespace

std::span<const Operator> math_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
