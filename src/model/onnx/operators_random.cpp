// Operators that draw random numbers. A number is a function of the node's key and the element's place (numerics/random.h): nests like any
// other, which give the same values on any number of threads and under any tiling.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

constexpr std::int64_t kMaxPlaces = std::int64_t{1} << 24;  // of one coordinate: exact in registers of fp32
constexpr std::int64_t kMaxClasses = 1 << 14;               // sums over all before each: quadratic
constexpr double kParts = 0x1p23;                           // of a probability of 1: sums of parts are exact in registers of fp32

/// The places of a tensor's elements as two reads of a nest over its dimensions: all dimensions but the last, and the last.
class Places {
 public:
  Places(NodeBuilder& b, Steps& s, const Shape& shape, std::vector<NestRead>& reads) : b_(b), first_(static_cast<int>(reads.size())) {
    Affine row = at(0);
    std::int64_t rows = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
      if (d + 1 == shape.size()) continue;
      row = row + loop(static_cast<int>(d), rows);
      rows *= shape[d];
    }
    const std::int64_t columns = shape.empty() ? 1 : shape.back();
    if (rows > kMaxPlaces || columns > kMaxPlaces) {
      b.unsupported("onnx/unsupported-feature",
                    fmt::format("random numbers of shape {}: 2^24 rows and columns at most", print_shape(shape)));
      return;
    }
    reads.push_back({s.iota(Format::int32, rows), {row}});
    reads.push_back({s.iota(Format::int32, columns), {shape.empty() ? at(0) : loop(static_cast<int>(shape.size()) - 1)}});
  }

  /// Uniform in [0, 1) in steps of 2^-24, or where `format` is fp64 of 2^-48.
  [[nodiscard]] Expression uniform(std::uint64_t stream, Format format = Format::fp32) const {
    const auto draw = [&](std::uint64_t s) {
      return numerics::apply(ScalarOp::random, input(first_), input(first_ + 1), number(b_.random_key(s)));
    };
    return format == Format::fp64 ? draw(2 * stream) + number(0x1p-24) * draw(2 * stream + 1) : draw(2 * stream);
  }

 private:
  NodeBuilder& b_;
  int first_;
};

/// The standard's type numbers of a node's result: floating ones.
std::optional<Format> floating_type(NodeBuilder& b, std::int64_t type) {
  const auto format = format_of(static_cast<std::int32_t>(std::clamp<std::int64_t>(type, 0, 1000)));
  if (format && numerics::format_info(*format).floating) return format;
  b.unsupported("onnx/unsupported-type", fmt::format("random numbers of type {}",
                                                     data_type_name(static_cast<std::int32_t>(std::clamp<std::int64_t>(type, 0, 1000)))));
  return {};
}

/// Shape and type of what a generator gives: those of the attributes, or of its input.
struct Wanted {
  Shape shape;
  Format format = Format::fp32;
};
std::optional<Wanted> wanted(NodeBuilder& b, bool like) {
  Wanted w;
  if (like) {
    w.shape = b.shape(0);
  } else {
    const auto shape = b.ints_attribute("shape");
    if (!shape && !b.failed()) b.malformed("onnx/attribute", "attribute shape is missing");
    if (b.failed()) return {};
    w.shape = *shape;
  }
  const auto format = floating_type(b, b.int_attribute("dtype", like ? data_type_of(b.format(0)) : kFloat));
  if (b.failed()) return {};
  const auto count = checked_count(w.shape);
  if (!count) b.malformed("onnx/shape", fmt::format("impossible dimensions {}", print_shape(w.shape)));
  if (b.failed()) return {};
  w.format = *format;
  return w;
}

/// The greatest number of the format that is less than x, for an x that is one of it and not next to 0.
double number_below(double x, Format format) {
  x = numerics::rounded(format, x);
  if (x == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  const int bits =
      numerics::format_info(format).mantissa_bits + 1 + (fraction == 0.5 ? 1 : 0);  // below a power of two gaps are half as wide
  return x - std::ldexp(1.0, exponent - bits);
}

void fill(NodeBuilder& b, bool like, bool normal) {
  const double first = b.float_attribute(normal ? "mean" : "low", 0), second = b.float_attribute(normal ? "scale" : "high", 1);
  const auto w = wanted(b, like);
  if (!w) return;
  if (normal ? !(second >= 0) : !(first <= second)) {
    return b.malformed("onnx/attribute",
                       normal ? fmt::format("a standard deviation of {}", second) : fmt::format("low {} is above high {}", first, second));
  }
  Steps s(b);
  std::vector<NestRead> reads;
  const Places places(b, s, w->shape, reads);
  if (b.failed()) return;
  Expression value = number(first);
  if (normal) {  // Box and Muller (1958); 1 - u lies in (0, 1], so that nothing is beyond 5.8 standard deviations (fp64: 8.2)
    const Expression radius = unary(ScalarOp::sqrt, number(-2) * unary(ScalarOp::log, number(1) - places.uniform(0, w->format)));
    value = value + number(second) * (radius * unary(ScalarOp::cos, number(2 * M_PI) * places.uniform(1, w->format)));
  } else if (first < second) {  // `high` is not reached, though the sum may round to it
    const Expression u = places.uniform(0, w->format);
    const double span = second - first;  // beyond the numbers of registers, parts of both ends are added instead
    value = std::isfinite(numerics::rounded(Format::fp32, span)) || w->format == Format::fp64
                ? value + number(span) * u
                : value * (number(1) - u) + number(second) * u;
    value = min(value, number(std::max(first, number_below(second, w->format))));
  }
  b.set_result(0, s.nest(w->format, w->shape, {}, reads, value));
}
void random_normal(NodeBuilder& b) { fill(b, false, true); }
void random_normal_like(NodeBuilder& b) { fill(b, true, true); }
void random_uniform(NodeBuilder& b) { fill(b, false, false); }
void random_uniform_like(NodeBuilder& b) { fill(b, true, false); }

/// 1 with the probability that the input gives.
void bernoulli(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const std::int64_t type = b.int_attribute("dtype", data_type_of(b.format(0)));
  const auto format = format_of(static_cast<std::int32_t>(std::clamp<std::int64_t>(type, 0, 1000)));
  if (b.failed()) return;
  if (!format) return b.unsupported("onnx/unsupported-type", fmt::format("draws of type {}", type));
  Steps s(b);
  const Shape shape = b.shape(0);
  std::vector<NestRead> reads{{b.operand(0), broadcast_index(shape, shape)}};
  const Places places(b, s, shape, reads);
  if (b.failed()) return;
  b.set_result(0, s.nest(*format, shape, {}, reads, places.uniform(0, b.format(0)) < x0()));
}

/// Drawn classes, given logarithms of probabilities up to a constant: how many sums of the first probabilities lie below a uniform number.
void multinomial(NodeBuilder& b) {
  const std::int64_t samples = b.int_attribute("sample_size", 1), type = b.int_attribute("dtype", kInt32);
  if (b.failed() || !b.require_floating(0)) return;
  const Shape x = b.shape(0);
  if (x.size() != 2 || x[1] < 1) return b.malformed("onnx/shape", fmt::format("{} holds no rows of classes", print_shape(x)));
  if (samples < 1) return b.malformed("onnx/attribute", fmt::format("a sample of {}", samples));
  if (type != kInt32 && type != kInt64) return b.malformed("onnx/attribute", "dtype is INT32 or INT64");
  if (x[1] > kMaxClasses) return b.unsupported("onnx/unsupported-feature", fmt::format("draws among {} classes", x[1]));
  Steps s(b);
  const TensorId order = s.iota(Format::int32, x[1]), p = s.softmax(b.operand(0), 1);
  // Whole numbers, which no precision rounds: sums of thousands of probabilities in 16 bits would leave classes out.
  const TensorId sums = s.nest(Format::int32, x, {x[1]}, {{p, {loop(0), loop(2)}}, {order, {loop(2)}}, {order, {loop(1)}}},
                               select(input(2) < input(1), number(0), unary(ScalarOp::round, x0() * number(kParts))), Combiner::add);
  const Shape to{x[0], samples};
  std::vector<NestRead> reads{{sums, {loop(0), loop(2)}}, {sums, {loop(0), at(x[1] - 1)}}};
  const Places places(b, s, to, reads);
  if (b.failed()) return;
  // The last sum is what all are a part of: it is not asked.
  const Format format = type == kInt32 ? Format::int32 : Format::int64;
  if (x[1] == 1) return b.set_result(0, s.nest(format, to, {}, {}, number(0)));
  b.set_result(0, s.nest(format, to, {x[1] - 1}, reads, !(places.uniform(0, b.format(0)) * input(1) < x0()), Combiner::add));
}

}  // namespace

void training_dropout(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const auto known = b.has(1) ? b.scalar(1) : std::optional<double>(0.5);
  if (known && !(*known >= 0 && *known < 1)) return b.malformed("onnx/inputs", fmt::format("a ratio of {} is not in [0, 1)", *known));
  if (b.has(1) && checked_count(b.shape(1)) != std::optional<std::int64_t>(1)) return b.malformed("onnx/shape", "the ratio is one number");
  Steps s(b);
  const Shape shape = b.shape(0);
  std::vector<NestRead> reads{{b.operand(0), broadcast_index(shape, shape)}};
  Expression ratio = number(known.value_or(0));
  if (!known) {
    reads.push_back({b.operand(1), std::vector<Affine>(b.shape(1).size())});
    ratio = input(1);
  }
  const Places places(b, s, shape, reads);
  if (b.failed()) return;
  const Expression dropped = places.uniform(0) < ratio;
  const Expression scale = known ? number(1 / (1 - *known)) : number(1) / (number(1) - ratio);
  b.set_result(0, s.nest(b.format(0), shape, {}, reads, select(dropped, number(0), x0() * scale)));
  if (b.wants(1)) b.set_result(1, s.nest(Format::boolean, shape, {}, reads, !dropped));
}

namespace {

constexpr std::array kOperators{
    Operator{"Bernoulli", 15, 1, 1, "dtype seed", bernoulli},
    Operator{"Multinomial", 7, 1, 1, "dtype sample_size seed", multinomial},
    Operator{"RandomNormal", 1, 0, 0, "dtype mean scale seed shape", random_normal},
    Operator{"RandomNormalLike", 1, 1, 1, "dtype mean scale seed", random_normal_like},
    Operator{"RandomUniform", 1, 0, 0, "dtype high low seed shape", random_uniform},
    Operator{"RandomUniformLike", 1, 1, 1, "dtype high low seed", random_uniform_like},
};

}  // namespace

std::span<const Operator> random_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
