#include "model/onnx/window.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::model::onnx {

namespace {

/// Larger windows, strides and pads are taken for nonsense; index arithmetic stays far inside 64 bits.
constexpr std::int64_t kLimit = std::int64_t{1} << 24;

std::optional<std::vector<std::int64_t>> per_dimension(NodeBuilder& b, const char* name, std::size_t count, std::int64_t otherwise,
                                                       std::int64_t least) {
  const auto given = b.ints_attribute(name);
  if (!given || given->empty()) return std::vector<std::int64_t>(count, otherwise);
  if (given->size() != count) {
    b.malformed("onnx/attribute", fmt::format("attribute {} has {} entries, not {}", name, given->size(), count));
    return {};
  }
  for (const std::int64_t v : *given) {
    if (v >= least && v <= kLimit) continue;
    b.malformed("onnx/attribute", fmt::format("attribute {} has an entry {}", name, v));
    return {};
  }
  return given;
}

}  // namespace

std::optional<PaddedWindow> read_window(NodeBuilder& b, const numerics::Shape& kernel, bool ceil_mode) {
  const numerics::Shape& x = b.shape(0);
  const std::size_t rank = kernel.size();
  for (const std::int64_t k : kernel) {
    if (k >= 1 && k <= kLimit) continue;
    b.malformed("onnx/attribute", fmt::format("a window of {} elements", k));
    return {};
  }
  const auto stride = per_dimension(b, "strides", rank, 1, 1);
  const auto dilation = per_dimension(b, "dilations", rank, 1, 1);
  const auto pads = per_dimension(b, "pads", 2 * rank, 0, 0);
  const std::string mode = b.string_attribute("auto_pad", "NOTSET");
  if (mode != "NOTSET" && mode != "VALID" && mode != "SAME_UPPER" && mode != "SAME_LOWER") {
    b.malformed("onnx/attribute", fmt::format("auto_pad {} is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER", mode));
  }
  if (b.failed()) return {};

  PaddedWindow out{{kernel, *stride, *dilation, {}, {}}, {}};
  for (std::size_t d = 0; d < rank; ++d) {
    const std::int64_t in = x[d + 2];
    const std::int64_t step = (*stride)[d];
    if (kernel[d] - 1 > kLimit / (*dilation)[d]) {
      b.malformed("onnx/attribute", fmt::format("a window of {} elements, {} apart", kernel[d], (*dilation)[d]));
      return {};
    }
    const std::int64_t reach = (kernel[d] - 1) * (*dilation)[d] + 1;
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t output = 0;
    if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      output = (in + step - 1) / step;
      const std::int64_t total = std::max<std::int64_t>(0, (output - 1) * step + reach - in);
      begin = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
      end = total - begin;
    } else {
      if (mode == "NOTSET") {
        begin = (*pads)[d];
        end = (*pads)[d + rank];
      }
      const std::int64_t room = in + begin + end - reach;
      if (room < 0) {
        b.malformed("onnx/shape", fmt::format("a window of {} elements does not fit {} padded by {} and {}", reach, in, begin, end));
        return {};
      }
      output = (ceil_mode ? (room + step - 1) / step : room / step) + 1;
      // A window that would start in the padding after the input is left out.
      if (ceil_mode && (output - 1) * step >= in + begin) --output;
    }
    out.window.pad.push_back(begin);
    out.window.output.push_back(output);
    out.pad_end.push_back(end);
  }
  return out;
}

}  // namespace switchyard::model::onnx
