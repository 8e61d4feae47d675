// Quantisation: to and from integers and narrow floating formats by scales (per tensor, axis or block), and products of quantised tensors.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/emit_detail.h"
#include "model/onnx/operators.h"
#include "model/onnx/steps.h"
#include "model/onnx/window.h"

namespace switchyard::model::onnx {
namespace {

/// A scale or zero point as it broadcasts to x: one number, one per index of an axis, or one per block along it.
std::optional<TensorId> spread(NodeBuilder& b, Steps& s, std::size_t i, std::int64_t given_axis, std::int64_t block) {
  const Shape x = b.shape(0), shape = b.shape(i);
  const auto misfit = [&]() -> std::optional<TensorId> {
    b.malformed("onnx/shape", fmt::format("{} of {} does not fit {}", b.input(i).name, print_shape(shape), print_shape(x)));
    return {};
  };
  if (numerics::element_count(shape) == 1 && block == 0) return s.reshape(b.operand(i), {});
  const auto axis = static_cast<std::size_t>(b.axis(given_axis, x.size()));
  if (b.failed()) return {};
  if (block == 0) {
    if (shape != Shape{x[axis]}) return misfit();
    Shape to(x.size(), 1);
    to[axis] = x[axis];
    return s.reshape(b.operand(i), to);
  }
  if (block < 0 || shape.size() != x.size() || (x[axis] + block - 1) / block != shape[axis]) return misfit();
  for (std::size_t d = 0; d < x.size(); ++d) {
    if (d != axis && shape[d] != x[d]) return misfit();
  }
  if (x[axis] > kMaxKnown) {
    if (x[axis] % block != 0) {
      b.unsupported("onnx/unsupported-feature", fmt::format("blocks of {} that do not divide {}", block, x[axis]));
      return {};
    }
    Shape apart = shape, joined = x;
    apart.insert(apart.begin() + static_cast<std::ptrdiff_t>(axis) + 1, block);
    std::vector<Affine> index;
    for (std::size_t d = 0; d < shape.size(); ++d) index.push_back(loop(static_cast<int>(d > axis ? d + 1 : d)));
    return s.reshape(s.nest(b.format(i), apart, {}, {{b.operand(i), index}}, x0()), joined);
  }
  std::vector<std::int64_t> indices;
  for (std::int64_t k = 0; k < x[axis]; ++k) indices.push_back(k / block);
  return s.gather(b.operand(i), indices, static_cast<int>(axis));
}

void quantize_linear(NodeBuilder& b) {
  const std::int64_t axis = b.int_attribute("axis", 1), block = b.int_attribute("block_size", 0), type = b.int_attribute("output_dtype", 0);
  const auto overflow = b.int_attribute("saturate", 1) != 0 ? numerics::Overflow::saturate : numerics::Overflow::nonfinite;
  if (b.failed()) return;
  Format to = Format::uint8;
  if (b.has(2)) {
    to = b.format(2);
  } else if (type != 0) {
    const auto named = format_of(static_cast<std::int32_t>(std::clamp<std::int64_t>(type, 0, 1000)));
    if (!named) return b.unsupported("onnx/unsupported-type", fmt::format("quantisation to type {}", type));
    to = *named;
  }
  Steps s(b);
  const auto scale = spread(b, s, 1, axis, block);
  if (!scale) return;
  Format compute = b.format(1) == Format::fp16 || b.format(1) == Format::bf16 ? b.format(1) : Format::fp32;
  if (const std::int64_t precision = b.int_attribute("precision", 0); precision != 0)
    compute = format_of(static_cast<std::int32_t>(precision)).value_or(compute);
  std::vector<MapInput> inputs{MapInput::of(s.cast(b.operand(0), compute)), MapInput::of(s.cast(*scale, compute))};
  const Expression quotient = x0() / input(1);
  if (numerics::format_info(to).floating) {
    b.set_result(0, s.map(inputs, quantised(quotient, to, overflow), to));
    return;
  }
  // Rounded before the zero point is added: halves go to even quotients.
  Expression y = unary(ScalarOp::round, quotient);
  if (b.has(2)) {
    const auto zero = spread(b, s, 2, axis, block);
    if (!zero) return;
    inputs.push_back(MapInput::of(*zero));
    y = y + input(2);
  }
  b.set_result(0, s.map(inputs, quantised(y, to), to));
}

void dequantize_linear(NodeBuilder& b) {
  const std::int64_t axis = b.int_attribute("axis", 1), block = b.int_attribute("block_size", 0), type = b.int_attribute("output_dtype", 0);
  if (b.failed()) return;
  if (b.has(2) && !b.same_format(0, 2)) return;
  Format to = b.format(1);
  if (type != 0) to = format_of(static_cast<std::int32_t>(std::clamp<std::int64_t>(type, 0, 1000))).value_or(to);
  Steps s(b);
  const auto scale = spread(b, s, 1, axis, block);
  if (!scale) return;
  std::vector<MapInput> inputs{MapInput::of(b.operand(0)), MapInput::of(*scale)};
  Expression y = x0();
  if (b.has(2) && !numerics::format_info(b.format(2)).floating) {
    const auto zero = spread(b, s, 2, axis, block);
    if (!zero) return;
    inputs.push_back(MapInput::of(*zero));
    y = y - input(2);
  }
  b.set_result(0, s.map(inputs, y * input(1), to));
}

/// Scale from the range of x with zero in it, zero point, and x in them.
void dynamic_quantize_linear(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  Steps s(b);
  const TensorId x = b.operand(0);
  const std::vector<bool> all(b.shape(0).size(), true);
  const TensorId least = s.reduce(x, all, false, Combiner::min), greatest = s.reduce(x, all, false, Combiner::max);
  const TensorId scale = s.map({greatest, least}, (max(x0(), number(0)) - min(input(1), number(0))) / number(255));
  // A tensor of zeros has a scale of 0; whatever divides by it is 0.
  const Expression zero = select(equal(input(1), number(0)), number(0),
                                 min(max(unary(ScalarOp::round, number(0) - min(x0(), number(0)) / input(1)), number(0)), number(255)));
  const TensorId zero_point = s.map({least, scale}, zero, Format::uint8);
  b.set_result(0,
               s.map({x, scale, zero_point}, quantised(unary(ScalarOp::round, x0() / input(1)) + input(2), Format::uint8), Format::uint8));
  if (b.wants(1)) b.set_result(1, scale);
  if (b.wants(2)) b.set_result(2, zero_point);
}

/// A zero point as it broadcasts to x: one number, or one per index of `axis`.
std::optional<TensorId> spread_zero(NodeBuilder& b, Steps& s, std::size_t x, std::size_t zero, std::optional<std::size_t> axis) {
  const TensorId z = b.operand(zero);
  const Shape shape = b.shape(zero), full = b.shape(x);
  if (numerics::element_count(shape) == 1) return s.reshape(z, {});
  if (axis && shape == Shape{full[*axis]}) {
    Shape to(full.size(), 1);
    to[*axis] = full[*axis];
    return s.reshape(z, to);
  }
  const std::array shapes{full, shape};
  if (broadcast(shapes) == std::optional(full)) return z;
  b.malformed("onnx/shape", fmt::format("zero point of {} does not fit {}", print_shape(shape), print_shape(full)));
  return {};
}

/// x - zero point as INT32; zero points are one number, or one per row (column) of a matrix, or per output channel.
std::optional<TensorId> centred(NodeBuilder& b, Steps& s, std::size_t x, std::size_t zero, std::optional<std::size_t> axis) {
  const TensorId wide = s.cast(b.operand(x), Format::int32);
  if (!b.has(zero)) return wide;
  const auto z = spread_zero(b, s, x, zero, axis);
  if (!z) return {};
  return s.map({wide, *z}, x0() - input(1));
}

/// A factor of a product of integers as signed bytes, which matrix units multiply: what it stands for is (byte - offset).
struct Factor {
  TensorId bytes;
  std::optional<TensorId> offset;  ///< none: it is `known`
  double known = 0;
};

double shift_of(Format format) { return format == Format::uint8 ? 128 : 0; }

/// Is it a tensor of bytes, with one zero point or one for each index of `axis`?
bool is_of_bytes(NodeBuilder& b, std::size_t x, std::size_t zero, std::optional<std::size_t> axis) {
  const Format format = b.format(x);
  if (format != Format::int8 && format != Format::uint8) return false;
  if (!b.has(zero)) return true;
  const Shape shape = b.shape(zero);
  return b.format(zero) == format && (numerics::element_count(shape) == 1 || (axis && shape == Shape{b.shape(x)[*axis]}));
}

/// Of a tensor of bytes, what all its elements have to be less, where that is one known number.
std::optional<double> known_offset(NodeBuilder& b, std::size_t x, std::size_t zero) {
  if (!b.has(zero)) return -shift_of(b.format(x));
  const numerics::Tensor* z = b.known(zero);
  if (z == nullptr || z->count() == 0) return {};
  for (std::int64_t i = 1; i < z->count(); ++i)
    if (z->at(i) != z->at(0)) return {};
  return z->at(0) - shift_of(b.format(x));
}

Factor as_bytes(NodeBuilder& b, Steps& s, std::size_t x, std::size_t zero, std::optional<std::size_t> axis) {
  const double shift = shift_of(b.format(x));
  Factor f;
  if (const auto known = known_offset(b, x, zero)) {
    f.known = *known;
  } else if (const auto z = spread_zero(b, s, x, zero, axis)) {
    f.offset = s.map({*z}, x0() - number(shift), Format::int32);
  }
  f.bytes = shift == 0 ? b.operand(x) : s.map({b.operand(x)}, x0() - number(shift), Format::int8);
  return f;
}

/// Of a product of bytes what is left to take off for the offset of one factor: `sums` are those of the other, which broadcast to it.
TensorId less(Steps& s, TensorId product, const Factor& factor, TensorId sums) {
  if (factor.offset) return s.map({product, *factor.offset, sums}, x0() - input(1) * input(2));
  return s.map({product, sums}, x0() - number(factor.known) * input(1));
}

/// Sums of so many products of bytes, their offsets included, stay inside 32 bits however they are made.
constexpr std::int64_t kMostBytes = std::int64_t{1} << 14;

/// The sum of products of integers, in INT32.
std::optional<TensorId> integer_matmul(NodeBuilder& b, Steps& s, TensorId x, TensorId y) {
  const Shape sx = s.shape(x), sy = s.shape(y);
  const auto misfit = [&]() -> std::optional<TensorId> {
    b.malformed("onnx/shape", fmt::format("cannot multiply {} by {}", print_shape(sx), print_shape(sy)));
    return {};
  };
  if (sx.size() < 2 || sy.size() < 2 || sx.back() != sy[sy.size() - 2]) return misfit();
  const Shape bx(sx.begin(), sx.end() - 2), by(sy.begin(), sy.end() - 2);
  const std::array batches{bx, by};
  const auto batch = broadcast(batches);
  if (!batch) return misfit();
  Shape to = *batch;
  to.push_back(sx[sx.size() - 2]);
  to.push_back(sy.back());
  const int m = static_cast<int>(batch->size()), n = m + 1, k = m + 2;
  std::vector<Affine> ix = broadcast_index(bx, *batch), iy = broadcast_index(by, *batch);
  ix.insert(ix.end(), {loop(m), loop(k)});
  iy.insert(iy.end(), {loop(k), loop(n)});
  return s.nest(Format::int32, to, {sx.back()}, {{x, ix}, {y, iy}}, x0() * input(1), Combiner::add);
}

/// (x - zero points) times (y - zero points): as sum(x y) - zx sum(y) - zy sum(x) + K zx zy of bytes, or as it stands.
std::optional<TensorId> centred_matmul(NodeBuilder& b, Steps& s, std::size_t x, std::size_t zx, std::size_t y, std::size_t zy) {
  const std::size_t rx = b.shape(x).size(), ry = b.shape(y).size();
  const std::optional<std::size_t> row = rx >= 2 ? std::optional(rx - 2) : std::nullopt, column = ry == 0 ? 0 : ry - 1;
  if (rx >= 2 && ry >= 2 && b.shape(x)[rx - 1] <= kMostBytes && is_of_bytes(b, x, zx, row) && is_of_bytes(b, y, zy, column)) {
    const Factor first = as_bytes(b, s, x, zx, row), second = as_bytes(b, s, y, zy, column);
    const auto product = integer_matmul(b, s, first.bytes, second.bytes);
    if (!product) return {};
    const auto sums = [&](TensorId t, std::size_t axis) {
      return s.reduce(s.cast(t, Format::int32), static_cast<int>(axis), true, Combiner::add);
    };
    TensorId result = *product;
    if (first.offset || first.known != 0) result = less(s, result, first, sums(second.bytes, ry - 2));
    // What the first offset took from the sums of the first factor is not there to be taken for the second.
    if (second.offset || second.known != 0) {
      TensorId rows = sums(first.bytes, rx - 1);
      const auto depth = static_cast<double>(b.shape(x)[rx - 1]);
      if (first.offset)
        rows = s.map({rows, *first.offset}, x0() - input(1) * number(depth));
      else if (first.known != 0)
        rows = s.map({rows}, x0() - number(first.known * depth));
      result = less(s, result, second, rows);
    }
    return result;
  }
  const auto wide_x = centred(b, s, x, zx, row), wide_y = wide_x ? centred(b, s, y, zy, column) : wide_x;
  if (!wide_y) return {};
  return integer_matmul(b, s, *wide_x, *wide_y);
}

void matmul_integer(NodeBuilder& b) {
  Steps s(b);
  if (const auto product = centred_matmul(b, s, 0, 2, 1, 3)) b.set_result(0, *product);
}

/// Requantises an INT32 sum: scales of the factors over that of the result.
TensorId requantised(NodeBuilder& b, Steps& s, TensorId sum, TensorId sx, TensorId sy, TensorId sz, TensorId zero, Format to) {
  const TensorId factor = s.map({s.cast(sx, Format::fp32), s.cast(sy, Format::fp32), s.cast(sz, Format::fp32)}, x0() * input(1) / input(2));
  const TensorId wide = s.cast(sum, Format::fp32);
  static_cast<void>(b);
  return s.map({wide, factor, zero}, quantised(unary(ScalarOp::round, x0() * input(1)) + input(2), to), to);
}

void qlinear_matmul(NodeBuilder& b) {
  Steps s(b);
  for (std::size_t i = 0; i < 8; ++i) {
    if (!b.has(i)) return b.malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
  }
  const std::size_t rx = b.shape(0).size(), ry = b.shape(3).size();
  if (rx < 2 || ry < 2) return b.unsupported("onnx/unsupported-feature", "a quantised product of vectors");
  const auto sum = centred_matmul(b, s, 0, 2, 3, 5);
  if (!sum) return;
  const auto scalar = [&](std::size_t i, std::size_t rank, std::size_t axis) {
    const std::int64_t n = numerics::element_count(b.shape(i));
    if (n == 1) return s.reshape(b.operand(i), {});
    Shape to(rank, 1);
    to[axis] = n;
    return b.shape(i).size() == 1 ? s.reshape(b.operand(i), to) : b.operand(i);
  };
  const std::size_t rank = s.shape(*sum).size();
  b.set_result(0, requantised(b, s, *sum, scalar(1, rank, rank - 2), scalar(4, rank, rank - 1), scalar(6, rank, rank - 1),
                              scalar(7, rank, rank - 1), b.format(7)));
}

/// A convolution of integers: the nest of emit_convolution with another body. Beyond the border stands `border`.
std::optional<TensorId> integer_convolution(NodeBuilder& b, Steps& s, TensorId x, TensorId w, double border = 0) {
  const Shape sx = s.shape(x), sw = s.shape(w);
  const std::int64_t groups = b.int_attribute("group", 1);
  const auto misfit = [&]() -> std::optional<TensorId> {
    b.malformed("onnx/shape", fmt::format("input {} does not fit weight {} in {} groups", print_shape(sx), print_shape(sw), groups));
    return {};
  };
  if (sx.size() < 3 || sw.size() != sx.size() || groups < 1 || sw[0] % groups != 0 || sx[1] != sw[1] * groups) return misfit();
  const auto padded = read_window(b, Shape(sw.begin() + 2, sw.end()));
  if (!padded || b.failed()) return {};
  const TensorId y = emit_convolution(b.scratch(), b.helper("ConvInteger", ":sum"), x, w, padded->window, groups);
  numerics::Nest& nest = b.scratch().ops.back().nests.back();
  if (nest.reads[0].fill) nest.reads[0].fill = border;
  b.scratch().tensor(y).format = Format::int32;
  b.scratch().tensor(y).name += ":sum";
  return y;
}

/// A convolution of (x - zero point) with (w - zero points): of bytes, where those of the weights are zero and that of x, which stands for
/// nothing beyond the border, is known; or as it stands.
std::optional<TensorId> centred_convolution(NodeBuilder& b, Steps& s, std::size_t x, std::size_t zx, std::size_t w, std::size_t zw) {
  const Shape sw = b.shape(w);
  std::int64_t depth = 1;
  for (std::size_t d = 1; d < sw.size(); ++d) depth *= sw[d];
  const bool bytes = sw.size() >= 3 && depth <= kMostBytes && is_of_bytes(b, x, zx, {}) && is_of_bytes(b, w, zw, 0);
  if (const auto offset = bytes ? known_offset(b, x, zx) : std::nullopt; offset && known_offset(b, w, zw) == 0) {
    const Factor image = as_bytes(b, s, x, zx, {}), weights = as_bytes(b, s, w, zw, 0);
    const auto sum = integer_convolution(b, s, image.bytes, weights.bytes, *offset);
    if (!sum || *offset == 0) return sum;
    std::vector<bool> taps(sw.size(), true);
    taps[0] = false;
    Shape channels(s.shape(*sum).size(), 1);
    channels[1] = sw[0];
    const TensorId sums = s.reduce(s.cast(weights.bytes, Format::int32), taps, false, Combiner::add);
    return less(s, *sum, image, s.reshape(sums, channels));
  }
  const auto wide_x = centred(b, s, x, zx, {}), wide_w = wide_x ? centred(b, s, w, zw, 0) : wide_x;
  if (!wide_w) return {};
  return integer_convolution(b, s, *wide_x, *wide_w);
}

void conv_integer(NodeBuilder& b) {
  Steps s(b);
  if (const auto y = centred_convolution(b, s, 0, 2, 1, 3)) b.set_result(0, *y);
}

void qlinear_conv(NodeBuilder& b) {
  Steps s(b);
  for (std::size_t i = 0; i < 8; ++i) {
    if (!b.has(i)) return b.malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
  }
  auto sum = centred_convolution(b, s, 0, 2, 3, 5);
  if (!sum) return;
  const Shape shape = s.shape(*sum);
  if (b.has(8)) {
    if (b.shape(8) != Shape{shape[1]})
      return b.malformed("onnx/shape", fmt::format("bias {} does not fit {} channels", print_shape(b.shape(8)), shape[1]));
    Shape to(shape.size(), 1);
    to[1] = shape[1];
    sum = s.map({*sum, s.reshape(b.operand(8), to)}, x0() + input(1));
  }
  const auto scalar = [&](std::size_t i) {
    const std::int64_t n = numerics::element_count(b.shape(i));
    Shape to(n == 1 ? 0 : shape.size(), 1);
    if (n > 1) to[1] = n;
    return s.reshape(b.operand(i), to);
  };
  b.set_result(0, requantised(b, s, *sum, scalar(1), scalar(4), scalar(6), scalar(7), b.format(7)));
}

constexpr std::string_view kConv = "auto_pad dilations group kernel_shape pads strides";

constexpr std::array kOperators{
    Operator{"ConvInteger", 10, 2, 4, kConv, conv_integer},
    Operator{"DequantizeLinear", 10, 2, 3, "axis block_size output_dtype", dequantize_linear},
    Operator{"DynamicQuantizeLinear", 11, 1, 1, "", dynamic_quantize_linear},
    Operator{"MatMulInteger", 10, 2, 4, "", matmul_integer},
    Operator{"QLinearConv", 10, 8, 9, kConv, qlinear_conv},
    Operator{"QLinearMatMul", 10, 8, 8, "", qlinear_matmul},
    Operator{"QuantizeLinear", 10, 2, 3, "axis block_size output_dtype precision saturate", quantize_linear},
};

}  // namespace

std::span<const Operator> quantise_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
