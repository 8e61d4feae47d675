// Images: resizing, sampling by a grid, regions, transposed convolutions, columns of patches. Interpolation along a dimension is a product
// with a matrix of weights, which any unit that contracts can do.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

// --- Resize ----------------------------------------------------------------------------------------------------------------------------

/// How one dimension is resized.
struct Resized {
  std::int64_t from = 1, to = 1;
  double scale = 1, roi_start = 0, roi_end = 1;
};

struct ResizeRule {
  std::string mode, coordinates, nearest;
  double cubic = -0.75;
  bool exclude_outside = false, antialias = false;
};

/// Where element o of the result lies in the source.
double source_of(const Resized& r, const ResizeRule& rule, std::int64_t o) {
  const auto x = static_cast<double>(o), from = static_cast<double>(r.from), to = r.scale * from;  // perhaps no whole number
  if (rule.coordinates == "align_corners") return to == 1 ? 0 : x * (from - 1) / (to - 1);
  if (rule.coordinates == "asymmetric") return x / r.scale;
  if (rule.coordinates == "pytorch_half_pixel") return to == 1 ? -0.5 : (x + 0.5) / r.scale - 0.5;
  if (rule.coordinates == "tf_crop_and_resize") {
    if (to == 1) return (r.roi_end - r.roi_start) * (from - 1) / 2;
    return x * (r.roi_end - r.roi_start) * (from - 1) / (to - 1) + r.roi_start * (from - 1);
  }
  if (rule.coordinates == "half_pixel_symmetric") {
    const double adjustment = static_cast<double>(r.to) / to;
    return from / 2 * (1 - adjustment) + (x + 0.5) / r.scale - 0.5;
  }
  return (x + 0.5) / r.scale - 0.5;
}

double cubic_weight(double distance, double a) {
  const double x = std::fabs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/// The source elements of one element of the result, with their weights.
std::vector<std::pair<std::int64_t, double>> taps(const Resized& r, const ResizeRule& rule, double x) {
  // The left neighbour of a whole number is the one before it, so that `ratio` is in (0, 1].
  const double left = std::ceil(x) - 1, ratio = x - left;
  const auto base = static_cast<std::int64_t>(left);
  const auto inside = [&](std::int64_t i) { return std::clamp<std::int64_t>(i, 0, r.from - 1); };
  if (rule.mode == "nearest") {
    const bool right = ratio == 1 || (rule.nearest == "ceil") || (rule.nearest == "round_prefer_floor" && ratio > 0.5) ||
                       (rule.nearest == "round_prefer_ceil" && ratio >= 0.5);
    return {{inside(base + (right ? 1 : 0)), 1.0}};
  }
  const double reach = rule.mode == "cubic" ? 2 : 1, stretch = rule.antialias ? std::min(r.scale, 1.0) : 1.0;
  const auto first = static_cast<std::int64_t>(std::floor(-reach / stretch)) + 1;
  std::vector<std::pair<std::int64_t, double>> out;
  double sum = 0;
  for (std::int64_t i = first; i < 2 - first; ++i) {
    const double distance = (static_cast<double>(i) - ratio) * stretch;
    double weight = rule.mode == "cubic" ? cubic_weight(distance, rule.cubic) : std::max(0.0, 1 - std::fabs(distance));
    if (rule.exclude_outside && (base + i < 0 || base + i >= r.from)) weight = 0;
    out.emplace_back(inside(base + i), weight);
    sum += weight;
  }
  if ((rule.antialias || rule.exclude_outside) && sum != 0)
    for (auto& tap : out) tap.second /= sum;
  return out;
}

/// One dimension of x resized: picked elements, or a product with a matrix of weights.
TensorId resize_axis(NodeBuilder& b, Steps& s, TensorId x, int axis, const Resized& r, const ResizeRule& rule) {
  Shape shape = s.shape(x);
  if (rule.mode == "nearest") {
    Integers indices;
    for (std::int64_t o = 0; o < r.to; ++o) indices.push_back(taps(r, rule, source_of(r, rule, o))[0].first);
    return s.gather(x, indices, axis);
  }
  std::vector<double> weights(static_cast<std::size_t>(r.from * r.to), 0.0);
  for (std::int64_t o = 0; o < r.to; ++o)
    for (const auto& [i, weight] : taps(r, rule, source_of(r, rule, o))) weights[static_cast<std::size_t>(o * r.from + i)] += weight;
  const TensorId matrix = s.constant(b.format(0), {r.to, r.from}, weights);
  const auto along = static_cast<std::size_t>(axis);
  const int sum = static_cast<int>(shape.size());
  std::vector<Affine> index;
  for (std::size_t d = 0; d < shape.size(); ++d) index.push_back(loop(d == along ? sum : static_cast<int>(d)));
  shape[along] = r.to;
  return s.nest(b.format(0), shape, {r.from}, {{x, index}, {matrix, {loop(axis), loop(sum)}}}, x0() * input(1), Combiner::add);
}

void resize_with(NodeBuilder& b, const std::vector<Resized>& dims, const ResizeRule& rule, double outside) {
  constexpr std::int64_t kMaxWeights = std::int64_t{1} << 24;
  for (const Resized& r : dims) {
    if (r.to < 1 || r.to > kMaxElements || !(r.scale > 0) || (rule.mode != "nearest" && r.to != r.from && r.to > kMaxWeights / r.from) ||
        r.to > kMaxWeights)
      return b.unsupported("onnx/unsupported-feature", fmt::format("a resize from {} to {} elements", r.from, r.to));
  }
  Steps s(b);
  TensorId y = b.operand(0);
  for (std::size_t d = 0; d < dims.size(); ++d) {
    const Resized& r = dims[d];
    const bool crops = rule.coordinates == "tf_crop_and_resize" && (r.roi_start != 0 || r.roi_end != 1);
    if (r.to != r.from || crops) y = resize_axis(b, s, y, static_cast<int>(d), r, rule);
  }
  if (rule.coordinates == "tf_crop_and_resize") {
    for (std::size_t d = 0; d < dims.size(); ++d) {
      std::vector<double> beyond;
      bool any = false;
      for (std::int64_t o = 0; o < dims[d].to; ++o) {
        const double x = source_of(dims[d], rule, o);
        beyond.push_back(x < 0 || x > static_cast<double>(dims[d].from - 1) ? 1 : 0);
        any = any || beyond.back() != 0;
      }
      if (!any) continue;
      Shape mask(dims.size(), 1);
      mask[d] = dims[d].to;
      y = s.map({y, s.constant(b.format(0), mask, beyond)}, select(input(1), number(outside), x0()));
    }
  }
  b.set_result(0, y);
}

std::optional<std::vector<double>> given_numbers(NodeBuilder& b, std::size_t i) {
  const numerics::Tensor* tensor = known_or_given(*b.value(i));
  if (tensor == nullptr) {
    b.unsupported("onnx/dynamic-shape", fmt::format("{} is not known before the model runs", b.input(i).name));
    return {};
  }
  std::vector<double> values;
  for (std::int64_t k = 0; k < tensor->count(); ++k) values.push_back(tensor->at(k));
  return values;
}

void resize(NodeBuilder& b) {
  const Shape from = b.shape(0);
  const bool old = b.opset() < 11;
  ResizeRule rule{b.string_attribute("mode", "nearest"),
                  b.string_attribute("coordinate_transformation_mode", old ? "asymmetric" : "half_pixel"),
                  b.string_attribute("nearest_mode", old ? "floor" : "round_prefer_floor"),
                  b.float_attribute("cubic_coeff_a", -0.75),
                  b.int_attribute("exclude_outside", 0) != 0,
                  b.int_attribute("antialias", 0) != 0};
  const double outside = b.float_attribute("extrapolation_value", 0);
  const std::string policy = b.string_attribute("keep_aspect_ratio_policy", "stretch");
  auto axes = b.ints_attribute("axes");
  if (b.failed()) return;
  if (rule.mode != "nearest" && rule.mode != "linear" && rule.mode != "cubic")
    return b.malformed("onnx/attribute", fmt::format("mode {} is unknown", rule.mode));
  if (rule.mode != "nearest" && !b.require_floating(0)) return;
  if (!axes) {
    axes.emplace();
    for (std::size_t d = 0; d < from.size(); ++d) axes->push_back(static_cast<std::int64_t>(d));
  }
  b.axes(*axes, from.size());  // for its checks
  if (b.failed()) return;
  const std::size_t scales_at = old ? 1 : 2, n = axes->size();
  std::vector<double> scales, roi;
  Integers sizes;
  const auto filled = [&](std::size_t i) { return b.has(i) && numerics::element_count(b.shape(i)) > 0; };
  if (filled(scales_at)) {
    const auto given = given_numbers(b, scales_at);
    if (!given) return;
    scales = *given;
  } else if (!old && filled(3)) {
    sizes = b.integers(3, "sizes");
  } else {
    return b.malformed("onnx/inputs", "scales or sizes are needed");
  }
  if (!old && filled(1) && rule.coordinates == "tf_crop_and_resize") {
    const auto given = given_numbers(b, 1);
    if (!given) return;
    roi = *given;
    if (roi.size() != 2 * n) return b.malformed("onnx/shape", "roi has a start and an end for each axis");
  }
  if (b.failed()) return;
  if (scales.size() + sizes.size() != n) return b.malformed("onnx/shape", "one scale or size per axis is needed");
  std::vector<Resized> dims(from.size());
  for (std::size_t d = 0; d < from.size(); ++d) dims[d] = {from[d], from[d]};
  double common = 0;  // of sizes under a policy that keeps the ratio
  for (std::size_t i = 0; policy != "stretch" && i < sizes.size(); ++i) {
    const double scale =
        static_cast<double>(sizes[i]) / static_cast<double>(from[static_cast<std::size_t>(b.axis((*axes)[i], from.size()))]);
    common = i == 0 ? scale : policy == "not_larger" ? std::min(common, scale) : std::max(common, scale);
  }
  for (std::size_t i = 0; i < n; ++i) {
    Resized& r = dims[static_cast<std::size_t>(b.axis((*axes)[i], from.size()))];
    const auto extent = static_cast<double>(r.from);
    double to = 0;
    if (!scales.empty()) {
      r.scale = scales[i];
      to = std::floor(extent * r.scale);
    } else {
      to = common > 0 ? std::floor(common * extent + 0.5) : static_cast<double>(sizes[i]);
      r.scale = common > 0 ? common : to / extent;
    }
    r.to = to >= 1 && to < 0x1p40 ? static_cast<std::int64_t>(to) : 0;
    if (!roi.empty()) r.roi_start = roi[i], r.roi_end = roi[i + n];
  }
  resize_with(b, dims, rule, outside);
}

void upsample(NodeBuilder& b) {
  const Shape from = b.shape(0);
  ResizeRule rule{b.string_attribute("mode", "nearest"), "asymmetric", "floor"};
  if (rule.mode == "bilinear") rule.mode = "linear";
  std::vector<double> scales;
  if (b.has(1)) {
    const auto given = given_numbers(b, 1);
    if (!given) return;
    scales = *given;
  } else if (const Attribute* a = b.attribute("scales")) {
    scales = a->floats;
  }
  if (b.failed()) return;
  if (scales.size() != from.size()) return b.malformed("onnx/shape", "one scale per dimension is needed");
  std::vector<Resized> dims;
  for (std::size_t d = 0; d < from.size(); ++d) {
    const double to = std::floor(static_cast<double>(from[d]) * scales[d]);
    dims.push_back({from[d], to >= 1 && to < 0x1p40 ? static_cast<std::int64_t>(to) : 0, scales[d]});
  }
  resize_with(b, dims, rule, 0);
}

// --- GridSample ------------------------------------------------------------------------------------------------------------------------

/// x brought back between two borders by reflecting it at them.
Expression reflected(const Expression& x, double least, double greatest) {
  const double span = greatest - least;
  if (span <= 0) return number(least);
  // A sawtooth of twice the span, folded in the middle.
  const Expression distance = unary(ScalarOp::abs, x - number(least));
  const Expression phase = distance - number(2 * span) * unary(ScalarOp::floor, distance / number(2 * span));
  return number(least) + min(phase, number(2 * span) - phase);
}

/// Each result is a sum over all elements of the source, weighted by how far each is from the sampled place in each dimension.
void grid_sample(NodeBuilder& b) {
  const Shape x = b.shape(0), grid = b.shape(1);
  std::string mode = b.string_attribute("mode", "linear");
  const std::string padding = b.string_attribute("padding_mode", "zeros");
  const bool align = b.int_attribute("align_corners", 0) != 0;
  if (b.failed() || !b.require_floating(0) || !b.require_floating(1)) return;
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  const std::size_t spatial = x.size() < 3 ? 0 : x.size() - 2;
  if (spatial == 0 || grid.size() != x.size() || grid[0] != x[0] || grid.back() != static_cast<std::int64_t>(spatial))
    return b.malformed("onnx/shape", fmt::format("grid {} does not fit {}", print_shape(grid), print_shape(x)));
  if (mode == "cubic" && padding == "reflection") return b.unsupported("onnx/unsupported-feature", "cubic sampling with reflection");
  std::int64_t points = 1;
  for (std::size_t d = 0; d < spatial; ++d) points = std::min<std::int64_t>(points * x[d + 2], std::int64_t{1} << 40);
  if (points > (1 << 16)) return b.unsupported("onnx/unsupported-feature", fmt::format("sampling among {} places", points));
  Steps s(b);
  const int last = static_cast<int>(grid.size()) - 1;
  // Weights [n, o..., extent] of each dimension; the grid names the last dimension first.
  std::vector<TensorId> weights;
  const Shape places(grid.begin(), grid.end() - 1);
  for (std::size_t d = 0; d < spatial; ++d) {
    const auto extent = static_cast<double>(x[d + 2]);
    const TensorId coordinate = s.slice(b.operand(1), last, static_cast<std::int64_t>(spatial - 1 - d), 1);
    Expression u = align ? (x0() + number(1)) * number((extent - 1) / 2) : ((x0() + number(1)) * number(extent) - number(1)) * number(0.5);
    if (mode == "nearest") u = unary(ScalarOp::round, u);
    const double least = align ? 0 : -0.5, greatest = align ? extent - 1 : extent - 0.5;
    if (padding == "border") u = select(either(u<number(least), u> number(greatest)), min(max(u, number(0)), number(extent - 1)), u);
    if (padding == "reflection") u = select(either(u<number(least), u> number(greatest)), reflected(u, least, greatest), u);
    const TensorId at_place = s.map({coordinate}, u);
    const TensorId position = s.iota(b.format(1), x[d + 2], last, grid.size());
    const Expression distance = unary(ScalarOp::abs, x0() - input(1)), i = input(1);
    // With padding other than zeros, the elements at the borders stand for all beyond them.
    const auto tent = [&](const Expression& r) { return max(number(0), number(1) - r); };
    Expression w = tent(distance);
    if (mode == "nearest") w = equal(unary(ScalarOp::round, padding == "zeros" ? x0() : min(max(x0(), number(0)), number(extent - 1))), i);
    if (mode == "linear" && padding != "zeros") w = tent(unary(ScalarOp::abs, min(max(x0(), number(0)), number(extent - 1)) - i));
    if (mode == "cubic") {
      constexpr double kA = -0.75;
      const auto kernel = [&](const Expression& r) {
        const Expression near = ((number(kA + 2) * r - number(kA + 3)) * r * r) + number(1);
        const Expression far = ((number(kA) * r - number(5 * kA)) * r + number(8 * kA)) * r - number(4 * kA);
        return select(r < number(2), select(number(1) < r, far, near), number(0));
      };
      w = kernel(distance);
      if (padding == "border") {  // two more beyond either border count as the border's element
        for (int k = 1; k <= 2; ++k) {
          w = w + select(equal(i, number(0)), kernel(unary(ScalarOp::abs, x0() + number(k))), number(0));
          w = w + select(equal(i, number(extent - 1)), kernel(unary(ScalarOp::abs, x0() - number(extent - 1 + k))), number(0));
        }
      }
    }
    weights.push_back(s.map({at_place, position}, w));
  }
  Shape to{x[0], x[1]};
  to.insert(to.end(), places.begin() + 1, places.end());
  const int rank = static_cast<int>(to.size());
  std::vector<NestRead> reads{{b.operand(0), {loop(0), loop(1)}}};
  Shape reductions;
  Expression e = x0();
  for (std::size_t d = 0; d < spatial; ++d) {
    const Affine r = loop(rank + static_cast<int>(d));
    reads[0].index.push_back(r);
    std::vector<Affine> index{loop(0)};
    for (std::size_t o = 0; o < spatial; ++o) index.push_back(loop(2 + static_cast<int>(o)));
    index.push_back(r);
    reads.push_back({weights[d], index});
    reductions.push_back(x[d + 2]);
    e = e * input(static_cast<int>(d) + 1);
  }
  b.set_result(0, s.nest(b.format(0), to, reductions, reads, e, Combiner::add));
}

/// Places of a grid under an affine map: a product of [size, homogeneous coordinates] with theta.
void affine_grid(NodeBuilder& b) {
  const Shape theta = b.shape(0);
  const Integers size = b.integers(1, "the size");
  const bool align = b.int_attribute("align_corners", 0) != 0;
  if (b.failed() || !b.require_floating(0)) return;
  const std::size_t spatial = size.size() < 4 ? 0 : size.size() - 2;
  if ((spatial != 2 && spatial != 3) || theta != Shape{size[0], static_cast<std::int64_t>(spatial), static_cast<std::int64_t>(spatial) + 1})
    return b.malformed("onnx/shape", fmt::format("theta {} does not fit size {}", print_shape(theta), print_shape(size)));
  Steps s(b);
  Shape to{size[0]};
  std::vector<TensorId> axes;
  for (std::size_t d = 0; d < spatial; ++d) {
    const std::int64_t n = size[d + 2];
    if (n < 1 || n > kMaxKnown) return b.unsupported("onnx/unsupported-feature", fmt::format("a grid of {}", print_shape(size)));
    to.push_back(n);
    const double step = align ? (n > 1 ? 2.0 / static_cast<double>(n - 1) : 0) : 2.0 / static_cast<double>(n);
    axes.push_back(s.iota(b.format(0), n, 0, 1, align ? -1 : -1 + step / 2, step));
  }
  to.push_back(static_cast<std::int64_t>(spatial));
  const Affine n = loop(0), row = loop(static_cast<int>(spatial) + 1);
  std::vector<NestRead> reads;
  Expression e = number(0);
  for (std::size_t k = 0; k < spatial; ++k) {  // x is the last dimension
    const int d = static_cast<int>(spatial - 1 - k);
    reads.push_back({b.operand(0), {n, row, at(static_cast<std::int64_t>(k))}});
    reads.push_back({axes[static_cast<std::size_t>(d)], {loop(d + 1)}});
    const Expression term = input(static_cast<int>(2 * k)) * input(static_cast<int>(2 * k + 1));
    e = k == 0 ? term : e + term;
  }
  reads.push_back({b.operand(0), {n, row, at(static_cast<std::int64_t>(spatial))}});
  b.set_result(0, s.nest(b.format(0), to, {}, reads, e + input(static_cast<int>(2 * spatial))));
}

// --- transposed convolution ------------------------------------------------------------------------------------------------------------

/// y[o] = sum over k of x[(o + pad - k * dilation) / stride] * w[k] where that divides: the input is spread with zeros between its
/// elements, then convolved with the kernel reversed.
void conv_transpose(NodeBuilder& b) {
  if (!b.same_format(0, 1) || !b.require_floating(0)) return;
  const Shape x = b.shape(0), w = b.shape(1);
  const std::int64_t groups = b.int_attribute("group", 1);
  const std::size_t spatial = x.size() < 3 ? 0 : x.size() - 2;
  const auto ints = [&](const char* name, std::int64_t otherwise, std::size_t count) {
    const Integers v = b.ints_attribute(name).value_or(Integers(count, otherwise));
    if (v.size() != count) b.malformed("onnx/attribute", fmt::format("{} needs {} entries", name, count));
    for (const std::int64_t e : v) {
      if (e < otherwise * (otherwise == 1 ? 1 : 0) || e > kMaxElements)
        b.malformed("onnx/attribute", fmt::format("{} has an entry of {}", name, e));
    }
    return v;
  };
  const Integers stride = ints("strides", 1, spatial), dilation = ints("dilations", 1, spatial), extra = ints("output_padding", 0, spatial);
  Integers pads = ints("pads", 0, 2 * spatial);
  const auto wanted = b.ints_attribute("output_shape");
  const std::string automatic = b.string_attribute("auto_pad", "NOTSET");
  if (b.failed()) return;
  if (spatial < 1 || spatial > 3 || w.size() != x.size() || groups < 1 || x[1] != w[0] || w[0] % groups != 0)
    return b.malformed("onnx/shape", fmt::format("input {} does not fit weight {} in {} groups", print_shape(x), print_shape(w), groups));
  const std::int64_t channels = w[1] * groups;
  if (b.has(2) && b.shape(2) != Shape{channels})
    return b.malformed("onnx/shape", fmt::format("bias {} does not fit {} channels", print_shape(b.shape(2)), channels));
  Shape to{x[0], channels}, kernel;
  for (std::size_t d = 0; d < spatial; ++d) {
    const std::int64_t reach = (w[d + 2] - 1) * dilation[d] + 1, full = (x[d + 2] - 1) * stride[d] + reach + extra[d];
    kernel.push_back(w[d + 2]);
    std::optional<std::int64_t> size;
    if (wanted && wanted->size() >= spatial)
      size = (*wanted)[wanted->size() - spatial + d];
    else if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER")
      size = x[d + 2] * stride[d];
    if (size) {
      const std::int64_t total = std::max<std::int64_t>(0, full - *size);
      pads[d] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      if (automatic == "NOTSET") pads[d] = total / 2;
      pads[d + spatial] = total - pads[d];
      to.push_back(*size);
    } else {
      to.push_back(full - pads[d] - pads[d + spatial]);
    }
    if (to.back() < 1 || to.back() > kMaxElements) return b.malformed("onnx/shape", fmt::format("an extent of {}", to.back()));
  }
  Steps s(b);
  TensorId spreaded = b.operand(0);
  for (std::size_t d = 0; d < spatial; ++d) {  // zeros behind each element, in a dimension of their own
    if (stride[d] == 1) continue;
    Shape apart = s.shape(spreaded);
    apart.insert(apart.begin() + static_cast<std::ptrdiff_t>(d) + 3, stride[d]);
    std::vector<Affine> index;
    for (std::size_t e = 0; e < x.size(); ++e) index.push_back(loop(static_cast<int>(e > d + 2 ? e + 1 : e)));
    // An index of the new dimension other than 0 leaves the source.
    index[d + 2] = loop(static_cast<int>(d) + 2) + loop(static_cast<int>(d) + 3, x[d + 2]);
    Shape joined = s.shape(spreaded);
    joined[d + 2] *= stride[d];
    spreaded = s.reshape(s.nest(b.format(0), apart, {}, {{spreaded, index, 0.0}}, x0()), joined);
  }
  // Loops: n, group * channel (0, 1), places (2 ...); reductions: channels of the group, kernel. Groups are a loop of their own.
  Shape grouped{x[0], groups, w[1]};
  grouped.insert(grouped.end(), to.begin() + 2, to.end());
  Shape reductions{w[0] / groups};
  reductions.insert(reductions.end(), kernel.begin(), kernel.end());
  const int rank = static_cast<int>(grouped.size());
  const Affine channel = loop(1, w[0] / groups) + loop(rank);
  std::vector<Affine> from{loop(0), channel}, weight{channel, loop(2)};
  for (std::size_t d = 0; d < spatial; ++d) {
    const int k = rank + 1 + static_cast<int>(d);
    from.push_back(loop(3 + static_cast<int>(d)) + at(pads[d]) + loop(k, -dilation[d]));
    weight.push_back(loop(k));
  }
  TensorId y = s.nest(b.format(0), grouped, reductions, {{spreaded, from, 0.0}, {b.operand(1), weight}}, x0() * input(1), Combiner::add);
  y = s.reshape(y, to);
  if (b.has(2)) y = emit_bias(b.scratch(), b.helper("Bias", ":bias"), y, b.operand(2));
  b.set_result(0, y);
}

// --- patches ---------------------------------------------------------------------------------------------------------------------------

/// Columns of patches summed back into an image: each element gathers from every place of the kernel.
void col2im(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const Integers image = b.integers(1, "the image's shape"), block = b.integers(2, "the block's shape");
  if (b.failed()) return;
  const std::size_t spatial = image.size();
  const Integers stride = b.ints_attribute("strides").value_or(Integers(spatial, 1)),
                 dilation = b.ints_attribute("dilations").value_or(Integers(spatial, 1));
  const Integers pads = b.ints_attribute("pads").value_or(Integers(2 * spatial, 0));
  if (b.failed()) return;
  if (spatial < 1 || block.size() != spatial || stride.size() != spatial || dilation.size() != spatial || pads.size() != 2 * spatial ||
      x.size() != 3)
    return b.malformed("onnx/shape", "image, block, strides and pads do not fit");
  std::int64_t patch = 1, places = 1;
  Shape columns;
  for (std::size_t d = 0; d < spatial; ++d) {
    if (block[d] < 1 || block[d] > kMaxElements || stride[d] < 1 || dilation[d] < 1 || image[d] < 1 || image[d] > kMaxElements)
      return b.malformed("onnx/shape", "extents and steps are positive");
    const std::int64_t n = (image[d] + pads[d] + pads[d + spatial] - dilation[d] * (block[d] - 1) - 1) / stride[d] + 1;
    columns.push_back(n);
    patch *= block[d];
    places *= n;
  }
  if (x[1] % patch != 0 || x[2] != places)
    return b.malformed("onnx/shape", fmt::format("{} does not hold {} patches of {}", print_shape(x), places, patch));
  // For each place of the kernel, the columns are spread over the image by their stride; what no column reaches is zero.
  Steps s(b);
  Shape apart{x[0], x[1] / patch};
  apart.insert(apart.end(), block.begin(), block.end());
  apart.insert(apart.end(), columns.begin(), columns.end());
  TensorId y = s.reshape(b.operand(0), apart);
  for (std::size_t d = 0; d < spatial; ++d) {
    if (stride[d] == 1) continue;
    const std::size_t at_dim = 2 + spatial + d;
    Shape wide = s.shape(y), joined = wide;
    wide.insert(wide.begin() + static_cast<std::ptrdiff_t>(at_dim) + 1, stride[d]);
    std::vector<Affine> index;
    for (std::size_t e = 0; e < joined.size(); ++e) index.push_back(loop(static_cast<int>(e > at_dim ? e + 1 : e)));
    index[at_dim] = loop(static_cast<int>(at_dim)) + loop(static_cast<int>(at_dim) + 1, joined[at_dim]);
    joined[at_dim] *= stride[d];
    y = s.reshape(s.nest(b.format(0), wide, {}, {{y, index, 0.0}}, x0()), joined);
  }
  Shape to{x[0], x[1] / patch};
  to.insert(to.end(), image.begin(), image.end());
  std::vector<Affine> index{loop(0), loop(1)};
  const int rank = static_cast<int>(to.size());
  for (std::size_t d = 0; d < spatial; ++d) index.push_back(loop(rank + static_cast<int>(d)));
  for (std::size_t d = 0; d < spatial; ++d)
    index.push_back(loop(2 + static_cast<int>(d)) + at(pads[d]) + loop(rank + static_cast<int>(d), -dilation[d]));
  b.set_result(0, s.nest(b.format(0), to, block, {{y, index, 0.0}}, x0(), Combiner::add));
}

constexpr std::array kOperators{
    Operator{"AffineGrid", 20, 2, 2, "align_corners", affine_grid},
    Operator{"Col2Im", 18, 3, 3, "dilations pads strides", col2im},
    Operator{"ConvTranspose", 1, 2, 3, "auto_pad dilations group kernel_shape output_padding output_shape pads strides", conv_transpose},
    Operator{"GridSample", 16, 2, 2, "align_corners mode padding_mode", grid_sample},
    Operator{"Resize", 10, 1, 4,
             "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value keep_aspect_ratio_policy "
             "mode nearest_mode",
             resize},
    Operator{"Upsample", 7, 1, 2, "mode scales", upsample},
};

}  // namespace

std::span<const Operator> vision_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
