// Reductions beyond sums and maxima, running sums, positions of extremes, and the normalisations that are simple maps of them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

/// The marked dimensions of ReduceX: an attribute in old operator sets, an input since `input_since`.
std::optional<std::vector<bool>> reduced_axes(NodeBuilder& b, int input_since) {
  std::vector<std::int64_t> axes;
  if (b.opset() >= input_since) {
    if (b.has(1)) axes = b.integers(1, "axes");
  } else {
    axes = b.ints_attribute("axes").value_or(std::vector<std::int64_t>{});
  }
  const bool none_means_none = b.int_attribute("noop_with_empty_axes", 0) != 0;
  if (b.failed()) return {};
  const std::size_t rank = b.shape(0).size();
  std::vector<bool> marks = axes.empty() ? std::vector<bool>(rank, !none_means_none) : b.axes(axes, rank);
  if (b.failed()) return {};
  return marks;
}

/// f(sum of g(x)).
void reduce_of(NodeBuilder& b, const Expression& before, const Expression& after) {
  const auto axes = reduced_axes(b, 18);
  const bool keep = b.int_attribute("keepdims", 1) != 0;
  if (!axes || b.failed()) return;
  if (numerics::element_count(b.shape(0)) == 0) {
    const std::array none{0.0};
    return reduce_nothing(b, *axes, keep, numerics::evaluate(after, none));
  }
  Steps s(b);
  TensorId y = b.operand(0);
  if (before != x0()) y = s.map({y}, before);
  y = s.reduce(y, *axes, keep, Combiner::add);
  if (after != x0()) y = s.map({y}, after);
  b.set_result(0, y);
}

void reduce_l1(NodeBuilder& b) { reduce_of(b, unary(ScalarOp::abs, x0()), x0()); }
void reduce_l2(NodeBuilder& b) { reduce_of(b, x0() * x0(), unary(ScalarOp::sqrt, x0())); }
void reduce_sum_square(NodeBuilder& b) { reduce_of(b, x0() * x0(), x0()); }
void reduce_log_sum(NodeBuilder& b) { reduce_of(b, x0(), unary(ScalarOp::log, x0())); }

/// log(sum(exp(x - max))) + max: no overflow.
void reduce_log_sum_exp(NodeBuilder& b) {
  const auto axes = reduced_axes(b, 18);
  const bool keep = b.int_attribute("keepdims", 1) != 0;
  if (!axes || b.failed() || !b.require_floating(0)) return;
  if (numerics::element_count(b.shape(0)) == 0) return reduce_nothing(b, *axes, keep, -std::numeric_limits<double>::infinity());
  Steps s(b);
  const TensorId x = b.operand(0);
  const TensorId peak = s.reduce(x, *axes, true, Combiner::max);
  const TensorId e = s.map({x, peak}, unary(ScalarOp::exp, x0() - input(1)));
  TensorId sum = s.reduce(e, *axes, keep, Combiner::add);
  Shape shape = s.shape(sum);
  b.set_result(0, s.map({sum, s.reshape(peak, shape)}, unary(ScalarOp::log, x0()) + input(1)));
}

/// The first (or last) index along an axis at which the greatest (least) element stands.
template <Combiner extreme>
void arg_extreme(NodeBuilder& b) {
  const std::size_t rank = b.shape(0).size();
  const int axis = b.axis(b.int_attribute("axis", 0), rank);
  const bool keep = b.int_attribute("keepdims", 1) != 0, last = b.int_attribute("select_last_index", 0) != 0;
  if (b.failed()) return;
  Steps s(b);
  const std::int64_t extent = b.shape(0)[static_cast<std::size_t>(axis)];
  const TensorId x = b.operand(0);
  const TensorId peak = s.reduce(x, axis, true, extreme);
  const TensorId position = s.iota(Format::int64, extent, axis, rank);
  const Expression other = number(last ? -1 : static_cast<double>(extent));
  const TensorId found = s.map({x, peak, position}, select(equal(x0(), input(1)), input(2), other), Format::int64);
  b.set_result(0, s.reduce(found, axis, keep, last ? Combiner::max : Combiner::min));
}

/// y[i] = combination of x[0 .. i]: each element looks back over the whole axis, what lies before its beginning counting as nothing.
void running(NodeBuilder& b, Combiner combiner, double nothing) {
  const bool exclusive = b.int_attribute("exclusive", 0) != 0, reverse = b.int_attribute("reverse", 0) != 0;
  const std::vector<std::int64_t> given = b.integers(1, "the axis");
  if (b.failed()) return;
  if (given.size() != 1) return b.malformed("onnx/shape", "the axis is one number");
  const Shape& shape = b.shape(0);
  const int axis = b.axis(given[0], shape.size());
  if (b.failed()) return;
  const std::int64_t extent = shape[static_cast<std::size_t>(axis)];
  Steps s(b);
  std::vector<Affine> index;
  for (std::size_t d = 0; d < shape.size(); ++d) index.push_back(loop(static_cast<int>(d)));
  const std::int64_t direction = reverse ? 1 : -1;
  index[static_cast<std::size_t>(axis)] = loop(axis) + loop(static_cast<int>(shape.size()), direction) + at(exclusive ? direction : 0);
  b.set_result(0, s.nest(b.format(0), shape, {extent}, {{b.operand(0), index, nothing}}, x0(), combiner));
}
void cum_sum(NodeBuilder& b) { running(b, Combiner::add, 0); }
void cum_prod(NodeBuilder& b) { running(b, Combiner::mul, 1); }

void lp_normalization(NodeBuilder& b) {
  const int axis = b.axis(b.int_attribute("axis", -1), b.shape(0).size());
  const std::int64_t p = b.int_attribute("p", 2);
  if (b.failed() || !b.require_floating(0)) return;
  if (p != 1 && p != 2) return b.malformed("onnx/attribute", fmt::format("p is 1 or 2, not {}", p));
  Steps s(b);
  const TensorId x = b.operand(0);
  const TensorId sum = s.reduce(s.map({x}, p == 1 ? unary(ScalarOp::abs, x0()) : x0() * x0()), axis, true, Combiner::add);
  const Expression norm = p == 1 ? input(1) : unary(ScalarOp::sqrt, input(1));
  b.set_result(0, s.map({x, sum}, select(equal(input(1), number(0)), number(0), x0() / norm)));
}

void lp_pool_global(NodeBuilder& b) {
  if (b.shape(0).size() < 3) return b.malformed("onnx/shape", fmt::format("input {} has no spatial dimensions", print_shape(b.shape(0))));
  const auto p = static_cast<double>(b.int_attribute("p", 2));
  if (b.failed()) return;
  Steps s(b);
  std::vector<bool> axes(b.shape(0).size(), true);
  axes[0] = axes[1] = false;
  const TensorId powers = s.map({b.operand(0)}, binary(ScalarOp::pow, unary(ScalarOp::abs, x0()), number(p)));
  b.set_result(0, s.map({s.reduce(powers, axes, true, Combiner::add)}, binary(ScalarOp::pow, x0(), number(1 / p))));
}

/// One where the first greatest element of an axis stands, zero elsewhere. Before operator set 13 over the matrix flattened at `axis`.
void hardmax(NodeBuilder& b) {
  const Shape shape = b.shape(0);
  const bool flattened = b.opset() < 13;
  int axis = b.axis(b.int_attribute("axis", flattened ? 1 : -1), shape.size(), flattened);
  if (b.failed() || !b.require_floating(0)) return;
  Steps s(b);
  TensorId x = b.operand(0);
  if (flattened) {
    Shape matrix{1, 1};
    for (std::size_t d = 0; d < shape.size(); ++d) matrix[static_cast<int>(d) < axis ? 0 : 1] *= shape[d];
    x = s.reshape(x, matrix);
    axis = 1;
  }
  const std::size_t rank = s.shape(x).size();
  const std::int64_t extent = s.shape(x)[static_cast<std::size_t>(axis)];
  const TensorId position = s.iota(Format::int32, extent, axis, rank);
  const TensorId peak = s.reduce(x, axis, true, Combiner::max);
  const TensorId found =
      s.map({x, peak, position}, select(equal(x0(), input(1)), input(2), number(static_cast<double>(extent))), Format::int32);
  const TensorId first = s.reduce(found, axis, true, Combiner::min);
  b.set_result(0, s.reshape(s.map({first, position}, equal(x0(), input(1)), b.format(0)), shape));
}

/// Mean and variance (not divided by n - 1) over the marked dimensions, which stay with extent 1.
struct Moments {
  TensorId mean, centred, variance;
};
Moments moments(Steps& s, TensorId x, const std::vector<bool>& axes) {
  double count = 1;
  const Shape shape = s.shape(x);
  for (std::size_t d = 0; d < axes.size(); ++d) count *= axes[d] ? static_cast<double>(shape[d]) : 1.0;
  Moments m;
  m.mean = s.map({s.reduce(x, axes, true, Combiner::add)}, x0() * number(1 / count));
  m.centred = s.map({x, m.mean}, x0() - input(1));
  m.variance = s.map({s.reduce(s.map({m.centred}, x0() * x0()), axes, true, Combiner::add)}, x0() * number(1 / count));
  return m;
}

void mean_variance_normalization(NodeBuilder& b) {
  const auto given = b.ints_attribute("axes").value_or(std::vector<std::int64_t>{0, 2, 3});
  const std::vector<bool> axes = b.axes(given, b.shape(0).size());
  if (b.failed() || !b.require_floating(0)) return;
  Steps s(b);
  const Moments m = moments(s, b.operand(0), axes);
  b.set_result(0, s.map({m.centred, m.variance}, x0() / (unary(ScalarOp::sqrt, input(1)) + number(1e-9))));
}

/// A vector over the channels of a tensor, as it broadcasts.
TensorId per_channel(Steps& s, TensorId vector, std::size_t rank) {
  Shape shape(rank, 1);
  shape[1] = s.shape(vector)[0];
  return s.reshape(vector, shape);
}

bool channel_vectors(NodeBuilder& b, std::size_t first, std::size_t last, std::int64_t channels) {
  for (std::size_t i = first; i <= last; ++i) {
    if (b.shape(i) != Shape{channels})
      b.malformed("onnx/shape", fmt::format("{} of {} does not fit {} channels", b.input(i).name, print_shape(b.shape(i)), channels));
  }
  return !b.failed();
}

void instance_normalization(NodeBuilder& b) {
  const Shape shape = b.shape(0);
  if (shape.size() < 3) return b.malformed("onnx/shape", fmt::format("input {} has no spatial dimensions", print_shape(shape)));
  const double epsilon = b.float_attribute("epsilon", 1e-5F);
  if (!b.require_floating(0) || !channel_vectors(b, 1, 2, shape[1])) return;
  Steps s(b);
  std::vector<bool> axes(shape.size(), true);
  axes[0] = axes[1] = false;
  const Moments m = moments(s, b.operand(0), axes);
  const TensorId inverse = s.map({m.variance}, unary(ScalarOp::reciprocal, unary(ScalarOp::sqrt, x0() + number(epsilon))));
  b.set_result(0, s.map({m.centred, inverse, per_channel(s, b.operand(1), shape.size()), per_channel(s, b.operand(2), shape.size())},
                        x0() * input(1) * input(2) + input(3)));
}

void group_normalization(NodeBuilder& b) {
  const Shape shape = b.shape(0);
  const std::int64_t groups = b.int_attribute("num_groups", 0);
  const double epsilon = b.float_attribute("epsilon", 1e-5F);
  if (shape.size() < 2 || groups < 1 || shape[1] % groups != 0)
    return b.malformed("onnx/shape", fmt::format("the channels of {} do not fall into {} groups", print_shape(shape), groups));
  // Before operator set 21 scale and bias belong to groups.
  const std::int64_t entries = b.opset() < 21 ? groups : shape[1];
  if (!b.require_floating(0) || !channel_vectors(b, 1, 2, entries)) return;
  Steps s(b);
  Shape grouped{shape[0], groups, shape[1] / groups};
  grouped.insert(grouped.end(), shape.begin() + 2, shape.end());
  std::vector<bool> axes(grouped.size(), true);
  axes[0] = axes[1] = false;
  const Moments m = moments(s, s.reshape(b.operand(0), grouped), axes);
  const TensorId inverse = s.map({m.variance}, unary(ScalarOp::reciprocal, unary(ScalarOp::sqrt, x0() + number(epsilon))));
  Shape vector(grouped.size(), 1);
  vector[1] = groups;
  if (entries == shape[1]) vector[2] = shape[1] / groups;
  const TensorId y =
      s.map({m.centred, inverse, s.reshape(b.operand(1), vector), s.reshape(b.operand(2), vector)}, x0() * input(1) * input(2) + input(3));
  b.set_result(0, s.reshape(y, shape));
}

/// x / sqrt(mean of squares + epsilon) * scale over the dimensions from `axis` on.
void rms_normalization(NodeBuilder& b) {
  const Shape shape = b.shape(0);
  const int axis = b.axis(b.int_attribute("axis", -1), shape.size());
  const double epsilon = b.float_attribute("epsilon", 1e-5F);
  if (b.failed() || !b.require_floating(0)) return;
  const std::array shapes{shape, b.shape(1)};
  if (broadcast(shapes) != std::optional(shape))
    return b.malformed("onnx/shape", fmt::format("scale of {} does not broadcast to {}", print_shape(b.shape(1)), print_shape(shape)));
  if (axis + 1 == static_cast<int>(shape.size()))
    return b.set_result(0, emit_rms_normalization(b.scratch(), b.label(), b.operand(0), b.operand(1), epsilon));
  Steps s(b);
  std::vector<bool> axes(shape.size(), false);
  double count = 1;
  for (std::size_t d = static_cast<std::size_t>(axis); d < shape.size(); ++d) {
    axes[d] = true;
    count *= static_cast<double>(shape[d]);
  }
  const TensorId x = b.operand(0);
  const TensorId squares = s.reduce(s.map({x}, x0() * x0()), axes, true, Combiner::add);
  const TensorId inverse = s.map({squares}, unary(ScalarOp::reciprocal, unary(ScalarOp::sqrt, x0() * number(1 / count) + number(epsilon))));
  b.set_result(0, s.map({x, inverse, b.operand(1)}, x0() * input(1) * input(2)));
}

/// Local response normalisation: over `size` neighbouring channels.
void lrn(NodeBuilder& b) {
  const Shape shape = b.shape(0);
  const std::int64_t size = b.int_attribute("size", 0);
  const double alpha = b.float_attribute("alpha", 1e-4F), beta = b.float_attribute("beta", 0.75F), bias = b.float_attribute("bias", 1);
  if (b.failed() || !b.require_floating(0)) return;
  if (shape.size() < 2 || size < 1 || size > kMaxElements)
    return b.malformed("onnx/attribute", "LRN needs channels and a size of at least 1");
  Steps s(b);
  const TensorId x = b.operand(0);
  std::vector<Affine> index;
  for (std::size_t d = 0; d < shape.size(); ++d) index.push_back(loop(static_cast<int>(d)));
  index[1] = loop(1) + loop(static_cast<int>(shape.size())) + at(-((size - 1) / 2));
  const TensorId squares = s.nest(b.format(0), shape, {size}, {{x, index, 0.0}}, x0() * x0(), Combiner::add);
  const Expression scale = number(bias) + number(alpha / static_cast<double>(size)) * input(1);
  b.set_result(0, s.map({x, squares}, x0() / binary(ScalarOp::pow, scale, number(beta))));
}

constexpr std::string_view kReduce = "axes keepdims noop_with_empty_axes";
constexpr std::string_view kArg = "axis keepdims select_last_index";

constexpr std::array kOperators{
    Operator{"ArgMax", 1, 1, 1, kArg, arg_extreme<Combiner::max>},
    Operator{"ArgMin", 1, 1, 1, kArg, arg_extreme<Combiner::min>},
    Operator{"CumProd", 26, 2, 2, "exclusive reverse", cum_prod},
    Operator{"CumSum", 11, 2, 2, "exclusive reverse", cum_sum},
    Operator{"GlobalLpPool", 1, 1, 1, "p", lp_pool_global},
    Operator{"GroupNormalization", 18, 3, 3, "epsilon num_groups stash_type", group_normalization},
    Operator{"Hardmax", 1, 1, 1, "axis", hardmax},
    Operator{"InstanceNormalization", 1, 3, 3, "epsilon", instance_normalization},
    Operator{"LRN", 1, 1, 1, "alpha beta bias size", lrn},
    Operator{"LpNormalization", 1, 1, 1, "axis p", lp_normalization},
    Operator{"MeanVarianceNormalization", 9, 1, 1, "axes", mean_variance_normalization},
    Operator{"RMSNormalization", 23, 2, 2, "axis epsilon stash_type", rms_normalization},
    Operator{"ReduceL1", 1, 1, 2, kReduce, reduce_l1},
    Operator{"ReduceL2", 1, 1, 2, kReduce, reduce_l2},
    Operator{"ReduceLogSum", 1, 1, 2, kReduce, reduce_log_sum},
    Operator{"ReduceLogSumExp", 1, 1, 2, kReduce, reduce_log_sum_exp},
    Operator{"ReduceSumSquare", 1, 1, 2, kReduce, reduce_sum_square},
};

}  // namespace

std::span<const Operator> reduction_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
