// Convolutions and pools whose places the model computes: DeformConv, RoiAlign. A place between elements is a sum over all of them, each
// weighted by how near it is.
#include <fmt/format.h>

#include <array>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

Expression tent(const Expression& distance) { return max(number(0), number(1) - unary(ScalarOp::abs, distance)); }

void deform_conv(NodeBuilder& b) {
  const Shape x = b.shape(0), w = b.shape(1), offset = b.shape(2);
  const std::int64_t groups = b.int_attribute("group", 1), offset_groups = b.int_attribute("offset_group", 1);
  if (b.failed() || !b.require_floating(0) || !b.same_format(0, 1) || !b.same_format(0, 2)) return;
  if (x.size() != 4 || w.size() != 4 || offset.size() != 4)
    return b.unsupported("onnx/unsupported-feature", "deformable convolutions of other than two dimensions");
  const auto ints = [&](const char* name, std::int64_t otherwise, std::size_t n) {
    auto v = b.ints_attribute(name).value_or(std::vector<std::int64_t>(n, otherwise));
    if (v.size() != n) b.malformed("onnx/attribute", fmt::format("{} needs {} entries", name, n));
    v.resize(n, otherwise);
    return v;
  };
  const auto stride = ints("strides", 1, 2), dilation = ints("dilations", 1, 2), pads = ints("pads", 0, 4);
  const std::int64_t kh = w[2], kw = w[3];
  if (b.failed()) return;
  if (groups < 1 || offset_groups < 1 || x[1] % groups != 0 || w[0] % groups != 0 || x[1] / groups != w[1] || x[1] % offset_groups != 0 ||
      offset[0] != x[0] || offset[1] != offset_groups * kh * kw * 2)
    return b.malformed("onnx/shape",
                       fmt::format("input {}, weight {} and offset {} do not fit", print_shape(x), print_shape(w), print_shape(offset)));
  if (b.has(3) && b.shape(3) != Shape{w[0]}) return b.malformed("onnx/shape", "the bias does not fit");
  if (b.has(4) && b.shape(4) != Shape{x[0], offset_groups * kh * kw, offset[2], offset[3]})
    return b.malformed("onnx/shape", "the mask does not fit");
  if (x[2] * x[3] > (1 << 16)) return b.unsupported("onnx/unsupported-feature", fmt::format("sampling among {} places", x[2] * x[3]));
  Steps s(b);
  const std::int64_t oh = offset[2], ow = offset[3], per = x[1] / offset_groups;
  // Weights of rows and columns: [n, offset group, kernel row, kernel column, out row, out column, extent].
  const auto weights = [&](int axis) {
    const std::int64_t extent = x[static_cast<std::size_t>(axis) + 2];
    const TensorId out = s.iota(b.format(0), axis == 0 ? oh : ow, 0, 1, static_cast<double>(-pads[static_cast<std::size_t>(axis)]),
                                static_cast<double>(stride[static_cast<std::size_t>(axis)]));
    const TensorId kernel =
        s.iota(b.format(0), axis == 0 ? kh : kw, 0, 1, 0, static_cast<double>(dilation[static_cast<std::size_t>(axis)]));
    const Affine channel = loop(1, kh * kw * 2) + loop(2, kw * 2) + loop(3, 2) + at(axis);
    return s.nest(b.format(0), {x[0], offset_groups, kh, kw, oh, ow, extent}, {},
                  {{b.operand(2), {loop(0), channel, loop(4), loop(5)}},
                   {out, {loop(axis == 0 ? 4 : 5)}},
                   {kernel, {loop(axis == 0 ? 2 : 3)}},
                   {s.iota(b.format(0), extent), {loop(6)}}},
                  tent(x0() + input(1) + input(2) - input(3)));
  };
  const TensorId rows = weights(0), columns = weights(1);
  // Samples [n, offset group, channel of it, kernel row, kernel column, out row, out column].
  const std::vector<Affine> place{loop(0), loop(1), loop(3), loop(4), loop(5), loop(6)};
  const auto with = [&](const Affine& last) {
    std::vector<Affine> index = place;
    index.push_back(last);
    return index;
  };
  TensorId samples =
      s.nest(b.format(0), {x[0], offset_groups, per, kh, kw, oh, ow}, {x[2], x[3]},
             {{b.operand(0), {loop(0), loop(1, per) + loop(2), loop(7), loop(8)}}, {rows, with(loop(7))}, {columns, with(loop(8))}},
             x0() * input(1) * input(2), Combiner::add);
  if (b.has(4)) {
    const TensorId mask = s.reshape(b.operand(4), {x[0], offset_groups, 1, kh, kw, oh, ow});
    samples = s.map({samples, mask}, x0() * input(1));
  }
  samples = s.reshape(samples, {x[0], x[1], kh, kw, oh, ow});
  const std::int64_t inner = w[0] / groups;
  TensorId y = s.nest(b.format(0), {x[0], groups, inner, oh, ow}, {w[1], kh, kw},
                      {{samples, {loop(0), loop(1, w[1]) + loop(5), loop(6), loop(7), loop(3), loop(4)}},
                       {b.operand(1), {loop(1, inner) + loop(2), loop(5), loop(6), loop(7)}}},
                      x0() * input(1), Combiner::add);
  y = s.reshape(y, {x[0], w[0], oh, ow});
  if (b.has(3)) y = s.map({y, s.reshape(b.operand(3), {w[0], 1, 1})}, x0() + input(1));
  b.set_result(0, y);
}

void roi_align(NodeBuilder& b) {
  const Shape x = b.shape(0), rois = b.shape(1);
  const std::string mode = b.string_attribute("mode", "avg"),
                    transform = b.string_attribute("coordinate_transformation_mode", b.opset() < 16 ? "output_half_pixel" : "half_pixel");
  const std::int64_t ph = b.int_attribute("output_height", 1), pw = b.int_attribute("output_width", 1),
                     ratio = b.int_attribute("sampling_ratio", 0);
  const double scale = b.float_attribute("spatial_scale", 1);
  if (b.failed() || !b.require_floating(0) || !b.same_format(0, 1)) return;
  if (x.size() != 4 || rois.size() != 2 || rois[1] != 4 || b.shape(2) != Shape{rois[0]} || ph < 1 || pw < 1)
    return b.malformed("onnx/shape", fmt::format("regions {} do not fit {}", print_shape(rois), print_shape(x)));
  if (ratio < 1) return b.unsupported("onnx/unsupported-feature", "a number of samples that depends on the region");
  if (mode != "avg" && mode != "max") return b.malformed("onnx/attribute", fmt::format("mode {} is unknown", mode));
  if (x[2] * x[3] > (1 << 16) || ph > kMaxKnown || pw > kMaxKnown || ratio > 64)
    return b.unsupported("onnx/unsupported-feature", fmt::format("sampling among {} places", x[2] * x[3]));
  Steps s(b);
  const bool half = transform == "half_pixel";
  // Where a bin is sampled: places among the rows (axis 0) or columns; reads 0 to 3. Nothing is there beyond the image.
  const auto reads_of = [&](int axis, std::int64_t bins, int sample) {
    return std::vector<NestRead>{{b.operand(1), {loop(0), at(axis == 0 ? 1 : 0)}},  // regions are x1 y1 x2 y2
                                 {b.operand(1), {loop(0), at(axis == 0 ? 3 : 2)}},
                                 {s.iota(b.format(0), bins), {loop(1)}},
                                 {s.iota(b.format(0), ratio), {loop(sample)}}};
  };
  struct Sample {
    Expression outside, place;
  };
  const auto sample_of = [&](int axis, std::int64_t bins) {
    const auto n = static_cast<double>(x[static_cast<std::size_t>(axis) + 2]);
    const Expression start = x0() * number(scale) - number(half ? 0.5 : 0), end = input(1) * number(scale) - number(half ? 0.5 : 0);
    Expression size = end - start;
    if (!half) size = max(size, number(1));
    const Expression bin = size / number(static_cast<double>(bins));
    const Expression y = start + bin * (input(2) + (input(3) + number(0.5)) / number(static_cast<double>(ratio)));
    return Sample{either(y<number(-1), y> number(n)), min(max(y, number(0)), number(n - 1))};
  };
  // The image of each region is found by comparing with every batch entry.
  const TensorId entries = s.iota(b.format(2), x[0]);
  if (mode == "avg") {
    // Mean weight of each row (column) in each bin: [regions, bins, extent].
    const auto weights = [&](int axis, std::int64_t bins) {
      const std::int64_t extent = x[static_cast<std::size_t>(axis) + 2];
      std::vector<NestRead> reads = reads_of(axis, bins, 3);
      reads.push_back({s.iota(b.format(0), extent), {loop(2)}});
      const Sample sample = sample_of(axis, bins);
      const Expression weight = select(sample.outside, number(0), tent(sample.place - input(4))) * number(1.0 / static_cast<double>(ratio));
      return s.nest(b.format(0), {rois[0], bins, extent}, {ratio}, reads, weight, Combiner::add);
    };
    const TensorId rows = weights(0, ph), columns = weights(1, pw);
    return b.set_result(0, s.nest(b.format(0), {rois[0], x[1], ph, pw}, {x[0], x[2], x[3]},
                                  {{b.operand(0), {loop(4), loop(1), loop(5), loop(6)}},
                                   {rows, {loop(0), loop(2), loop(5)}},
                                   {columns, {loop(0), loop(3), loop(6)}},
                                   {b.operand(2), {loop(0)}},
                                   {entries, {loop(4)}}},
                                  select(equal(input(3), input(4)), x0() * input(1) * input(2), number(0)), Combiner::add));
  }
  // The greatest of the four weighted corners of all samples (not of the samples' values: so it is defined by the reference of the
  // standard). [regions, bins, samples, corner]: which row (column) the corner is, and its weight.
  const auto corners = [&](int axis, std::int64_t bins, bool weight) {
    const auto last = static_cast<double>(x[static_cast<std::size_t>(axis) + 2] - 1);
    std::vector<NestRead> reads = reads_of(axis, bins, 2);
    reads.push_back({s.iota(b.format(0), 2), {loop(3)}});
    const Sample sample = sample_of(axis, bins);
    const Expression low = unary(ScalarOp::floor, sample.place), part = sample.place - low;
    const Expression share = select(sample.outside, number(0), select(input(4), part, number(1) - part));
    return s.nest(b.format(0), {rois[0], bins, ratio, 2}, {}, reads, weight ? share : min(low + input(4), number(last)));
  };
  const TensorId row = corners(0, ph, false), column = corners(1, pw, false), down = corners(0, ph, true), across = corners(1, pw, true);
  const TensorId rows = s.nest(b.format(0), {rois[0], x[1], ph, ratio, 2, x[3]}, {x[0], x[2]},
                               {{b.operand(0), {loop(6), loop(1), loop(7), loop(5)}},
                                {row, {loop(0), loop(2), loop(3), loop(4)}},
                                {s.iota(b.format(0), x[2]), {loop(7)}},
                                {b.operand(2), {loop(0)}},
                                {entries, {loop(6)}}},
                               select(both(equal(input(1), input(2)), equal(input(3), input(4))), x0(), number(0)), Combiner::add);
  const TensorId values = s.nest(b.format(0), {rois[0], x[1], ph, ratio, 2, pw, ratio, 2}, {x[3]},
                                 {{rows, {loop(0), loop(1), loop(2), loop(3), loop(4), loop(8)}},
                                  {column, {loop(0), loop(5), loop(6), loop(7)}},
                                  {s.iota(b.format(0), x[3]), {loop(8)}}},
                                 select(equal(input(1), input(2)), x0(), number(0)), Combiner::add);
  b.set_result(0, s.nest(b.format(0), {rois[0], x[1], ph, pw}, {ratio, 2, ratio, 2},
                         {{values, {loop(0), loop(1), loop(2), loop(4), loop(5), loop(3), loop(6), loop(7)}},
                          {down, {loop(0), loop(2), loop(4), loop(5)}},
                          {across, {loop(0), loop(3), loop(6), loop(7)}}},
                         x0() * (input(1) * input(2)), Combiner::max));
}

constexpr std::array kOperators{
    Operator{"DeformConv", 19, 3, 5, "dilations group kernel_shape offset_group pads strides", deform_conv},
    Operator{"RoiAlign", 10, 3, 3, "coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale",
             roi_align},
};

}  // namespace

std::span<const Operator> region_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
