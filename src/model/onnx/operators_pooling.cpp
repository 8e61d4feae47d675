// Pools and reductions: windows or whole dimensions combined into one element.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "model/emit_detail.h"
#include "model/onnx/operators.h"
#include "model/onnx/steps.h"
#include "model/onnx/window.h"

namespace switchyard::model::onnx {
using namespace model::detail;

namespace {

bool pool_shape(NodeBuilder& b) {
  if (b.shape(0).size() >= 3 && b.shape(0).size() <= 5) return true;
  b.malformed("onnx/shape", fmt::format("input {} must have 3 to 5 dimensions", print_shape(b.shape(0))));
  return false;
}

std::optional<PaddedWindow> pool_window(NodeBuilder& b) {
  if (!pool_shape(b)) return {};
  const auto kernel = b.ints_attribute("kernel_shape");
  if (b.failed()) return {};
  if (!kernel || kernel->size() != b.shape(0).size() - 2) {
    b.malformed("onnx/attribute", "kernel_shape must have one entry per spatial dimension");
    return {};
  }
  return read_window(b, *kernel, b.int_attribute("ceil_mode", 0) != 0);
}

/// x times a number, as the operator "<node>:scale".
TensorId scale(NodeBuilder& b, TensorId x, double factor) {
  const std::array inputs{MapInput::of(x)};
  const numerics::Shape shape = b.scratch().tensor(x).shape;
  return emit_map(b.scratch(), b.helper("Scale", ":scale"), inputs, mul(expr_input(0), expr_constant(factor)), b.format(0), shape);
}

/// Row-major (or, of the spatial dimensions, column-major) positions of the maxima in all of x: the least of those in the window that equal
/// it.
void positions_of_maxima(NodeBuilder& b, Steps& s, TensorId y, const Window& window, bool column_major) {
  const Shape x = b.shape(0), to = s.shape(y);
  const std::size_t spatial = window.kernel.size();
  Shape strides = numerics::row_major_strides(x);
  if (column_major) {
    strides.back() = 1;
    for (std::size_t d = x.size() - 1; d-- > 2;) strides[d] = 1;
    std::int64_t step = 1;
    for (std::size_t d = 2; d < x.size(); ++d) strides[d] = step, step *= x[d];
  }
  std::vector<Affine> from{loop(0), loop(1)}, point{loop(0), loop(1)};
  for (std::size_t d = 0; d < spatial; ++d) {
    const int o = 2 + static_cast<int>(d), k = static_cast<int>(to.size() + d);
    point.push_back(loop(o));
    from.push_back(loop(o, window.stride[d]) + loop(k, window.dilation[d]) + at(-window.pad[d]));
  }
  std::vector<NestRead> reads{{b.operand(0), from, -kInfinity}, {y, point}};
  Expression position = number(0);
  for (std::size_t d = 0; d < x.size(); ++d) {
    reads.push_back({s.iota(numerics::Format::int64, x[d], 0, 1, 0, static_cast<double>(strides[d])), {from[d]}, 0.0});
    position = position + input(static_cast<int>(reads.size()) - 1);
  }
  const auto beyond = static_cast<double>(numerics::element_count(x));
  b.set_result(1, s.nest(numerics::Format::int64, to, window.kernel, reads, select(equal(input(0), input(1)), position, number(beyond)),
                         Combiner::min));
}

void max_pool(NodeBuilder& b) {
  const auto padded = pool_window(b);
  const bool column_major = b.int_attribute("storage_order", 0) != 0;
  if (!padded || b.failed()) return;
  const TensorId y = emit_pool(b.scratch(), b.label(), b.operand(0), padded->window, Combiner::max, -kInfinity);
  b.set_result(0, y);
  if (!b.wants(1)) return;
  for (const std::int64_t extent : b.shape(0)) {
    if (extent > (std::int64_t{1} << 20)) return b.unsupported("onnx/unsupported-output", "positions of maxima in so large a tensor");
  }
  Steps s(b);
  positions_of_maxima(b, s, y, padded->window, column_major);
}

void lp_pool(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const auto padded = pool_window(b);
  const auto p = static_cast<double>(b.int_attribute("p", 2));
  if (!padded || b.failed()) return;
  Steps s(b);
  const TensorId powers = s.map({b.operand(0)}, binary(ScalarOp::pow, unary(ScalarOp::abs, input(0)), number(p)));
  const TensorId sum = emit_pool(b.scratch(), b.helper("LpPool", ":sum"), powers, padded->window, Combiner::add, 0);
  b.scratch().tensor(sum).name += ":sum";
  b.set_result(0, s.map({sum}, binary(ScalarOp::pow, input(0), number(1 / p))));
}

/// Elements put back where their maxima stood, zeros elsewhere: every place is compared with every index.
void max_unpool(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const auto kernel = b.ints_attribute("kernel_shape");
  if (b.failed() || !pool_shape(b)) return;
  const std::size_t spatial = x.size() - 2;
  const auto strides = b.ints_attribute("strides").value_or(std::vector<std::int64_t>(spatial, 1));
  const auto pads = b.ints_attribute("pads").value_or(std::vector<std::int64_t>(2 * spatial, 0));
  if (b.failed()) return;
  if (!kernel || kernel->size() != spatial || strides.size() != spatial || pads.size() != 2 * spatial || b.shape(1) != x)
    return b.malformed("onnx/shape", "indices, kernel, strides and pads do not fit");
  Shape inferred{x[0], x[1]};
  for (std::size_t d = 0; d < spatial; ++d) {
    const std::int64_t extent = (x[d + 2] - 1) * strides[d] - pads[d] - pads[d + spatial] + (*kernel)[d];
    if (extent < 1 || extent > kMaxElements) return b.malformed("onnx/shape", fmt::format("an extent of {}", extent));
    inferred.push_back(extent);
  }
  Shape to = inferred;
  if (b.has(2)) to = b.integers(2, "the output's shape");
  if (b.failed()) return;
  const std::int64_t places = checked_count(inferred).value_or(kMaxElements), count = numerics::element_count(x);
  if (to.size() != x.size() || !checked_count(to))
    return b.malformed("onnx/shape", fmt::format("impossible dimensions {}", print_shape(to)));
  if (places > kMaxKnown * 16 || count > kMaxKnown * 16)
    return b.unsupported("onnx/dynamic-index", fmt::format("indices into {} elements", places));
  Steps s(b);
  const TensorId flat = s.reshape(b.operand(0), {count}), indices = s.reshape(b.operand(1), {count}),
                 position = s.iota(b.format(1), places);
  const TensorId y = s.nest(b.format(0), {places}, {count}, {{flat, {loop(1)}}, {indices, {loop(1)}}, {position, {loop(0)}}},
                            select(equal(input(1), input(2)), input(0), number(0)), Combiner::add);
  TensorId shaped = s.reshape(y, inferred);
  if (to != inferred) {
    std::vector<Affine> index;
    for (std::size_t d = 0; d < to.size(); ++d) index.push_back(loop(static_cast<int>(d)));
    shaped = s.nest(b.format(0), to, {}, {{shaped, index, 0.0}}, input(0));
  }
  b.set_result(0, shaped);
}

/// How many elements window o of one dimension averages over.
std::int64_t window_count(const PaddedWindow& p, std::size_t d, std::int64_t o, std::int64_t extent, bool include_pad) {
  const std::int64_t first = include_pad ? -p.window.pad[d] : 0;
  const std::int64_t last = include_pad ? extent + p.pad_end[d] : extent;
  const std::int64_t begin = o * p.window.stride[d] - p.window.pad[d];
  const std::int64_t step = p.window.dilation[d];
  std::int64_t count = 0;
  for (std::int64_t k = 0; k < p.window.kernel[d]; ++k) {
    const std::int64_t at = begin + k * step;
    count += at >= first && at < last ? 1 : 0;
  }
  return count;
}

void average_pool(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const auto padded = pool_window(b);
  const bool include_pad = b.int_attribute("count_include_pad", 0) != 0;
  if (!padded || b.failed()) return;
  const Window& window = padded->window;
  const std::size_t rank = window.kernel.size();
  // Counts factor over the dimensions; what is counted is bounded so that a hostile file cannot keep us here.
  std::int64_t work = 0;
  std::int64_t points = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    if (window.output[d] > (std::int64_t{1} << 24) / window.kernel[d]) work = std::int64_t{1} << 40;
    work += window.output[d] * window.kernel[d];
    points *= std::min<std::int64_t>(window.output[d], std::int64_t{1} << 20);
  }
  if (work > (std::int64_t{1} << 26) || points > (std::int64_t{1} << 26)) {
    return b.unsupported("onnx/unsupported-feature", "an average over so many windows is not supported");
  }
  std::vector<std::vector<std::int64_t>> counts(rank);
  bool uniform = true;
  std::int64_t product = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    for (std::int64_t o = 0; o < window.output[d]; ++o) {
      counts[d].push_back(std::max<std::int64_t>(1, window_count(*padded, d, o, b.shape(0)[d + 2], include_pad)));
    }
    uniform = uniform && std::all_of(counts[d].begin(), counts[d].end(), [&](std::int64_t c) { return c == counts[d][0]; });
    if (!counts[d].empty()) product *= counts[d][0];
  }
  const TensorId sum = emit_pool(b.scratch(), b.label(":sum"), b.operand(0), window, Combiner::add, 0);
  if (uniform) return b.set_result(0, scale(b, sum, 1.0 / static_cast<double>(product)));

  numerics::Tensor tensor = numerics::make_tensor(b.format(0), window.output);
  const auto strides = numerics::row_major_strides(window.output);
  for (std::int64_t flat = 0; flat < tensor.count(); ++flat) {
    double count = 1;
    for (std::size_t d = 0; d < rank; ++d) {
      count *= static_cast<double>(counts[d][static_cast<std::size_t>(flat / strides[d] % window.output[d])]);
    }
    tensor.set(flat, count);
  }
  const TensorId divisor = b.constant(b.label(":counts").result, std::move(tensor));
  const std::array inputs{MapInput::of(sum), MapInput::of(divisor)};
  const Shape shape = b.scratch().tensor(sum).shape;
  b.set_result(0, emit_map(b.scratch(), b.helper("Scale", ":scale"), inputs, div(expr_input(0), expr_input(1)), b.format(0), shape));
}

/// Sum and then a multiplication by 1/n, or the plain combination.
void reduce(NodeBuilder& b, const std::vector<bool>& reduced, bool keep, Combiner combiner, bool mean) {
  if (numerics::element_count(b.shape(0)) == 0 && !mean) return reduce_nothing(b, reduced, keep, numerics::combiner_identity(combiner));
  if (!mean) return b.set_result(0, emit_reduction(b.scratch(), b.label(), b.operand(0), reduced, keep, combiner));
  if (!b.require_floating(0)) return;
  double count = 1;
  for (std::size_t d = 0; d < reduced.size(); ++d) count *= reduced[d] ? static_cast<double>(b.shape(0)[d]) : 1.0;
  b.set_result(0, scale(b, emit_reduction(b.scratch(), b.label(":sum"), b.operand(0), reduced, keep, combiner), 1.0 / count));
}

template <bool mean>
void global_pool(NodeBuilder& b) {
  if (b.shape(0).size() < 2) return b.malformed("onnx/shape", fmt::format("input {} has no channels", print_shape(b.shape(0))));
  std::vector<bool> reduced(b.shape(0).size(), true);
  reduced[0] = reduced[1] = false;
  reduce(b, reduced, true, mean ? Combiner::add : Combiner::max, mean);
}

/// ReduceX: the axes are an attribute in old operator sets and an input since `input_since`.
template <Combiner combiner, bool mean, int input_since>
void reduction(NodeBuilder& b) {
  std::vector<std::int64_t> axes;
  if (b.opset() >= input_since) {
    if (b.attribute("axes") != nullptr) return b.malformed("onnx/attribute", "axes are an input in this operator set");
    if (b.has(1)) axes = b.integers(1, "axes");
  } else {
    if (b.has(1)) return b.malformed("onnx/attribute", "axes are an attribute in this operator set");
    axes = b.ints_attribute("axes").value_or(std::vector<std::int64_t>{});
  }
  const bool keep = b.int_attribute("keepdims", 1) != 0;
  const bool none_means_none = b.int_attribute("noop_with_empty_axes", 0) != 0;
  if (b.failed()) return;
  const std::size_t rank = b.shape(0).size();
  std::vector<bool> reduced = axes.empty() ? std::vector<bool>(rank, !none_means_none) : b.axes(axes, rank);
  if (b.failed()) return;
  reduce(b, reduced, keep, combiner, mean);
}

constexpr std::string_view kReduce = "axes keepdims noop_with_empty_axes";

constexpr std::array kOperators{
    Operator{"AveragePool", 1, 1, 1, "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides", average_pool},
    Operator{"GlobalAveragePool", 1, 1, 1, "", global_pool<true>},
    Operator{"GlobalMaxPool", 1, 1, 1, "", global_pool<false>},
    Operator{"MaxPool", 1, 1, 1, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides", max_pool},
    Operator{"LpPool", 2, 1, 1, "auto_pad ceil_mode dilations kernel_shape p pads strides", lp_pool},
    Operator{"MaxUnpool", 9, 2, 3, "kernel_shape pads strides", max_unpool},
    Operator{"ReduceMax", 1, 1, 2, kReduce, reduction<Combiner::max, false, 18>},
    Operator{"ReduceMean", 1, 1, 2, kReduce, reduction<Combiner::add, true, 18>},
    Operator{"ReduceMin", 1, 1, 2, kReduce, reduction<Combiner::min, false, 18>},
    Operator{"ReduceProd", 1, 1, 2, kReduce, reduction<Combiner::mul, false, 18>},
    Operator{"ReduceSum", 1, 1, 2, kReduce, reduction<Combiner::add, false, 13>},
};

}  // namespace

std::span<const Operator> pooling_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
