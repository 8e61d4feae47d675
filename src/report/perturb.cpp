#include "report/perturb.h"

#include <cmath>
#include <limits>
#include <memory>

namespace switchyard::report {

using numerics::Format;
using numerics::Tensor;

Tensor perturb(Tensor tensor, Format format, std::uint64_t seed) {
  const auto& info = numerics::format_info(format);
  if (!info.floating) return tensor;
  const int bias = (1 << (info.exponent_bits - 1)) - 1;
  const std::int64_t count = tensor.count();
  for (std::int64_t i = 0; i < count; ++i) {
    const double value = tensor.at(i);
    if (!std::isfinite(value) || value == 0) continue;
    const int exponent = std::max(std::ilogb(value), 1 - bias);
    const double step = std::ldexp(1.0, exponent - info.mantissa_bits);
    tensor.set(i, numerics::mix(seed, static_cast<std::uint64_t>(i)) & 1 ? value + step : value - step);
  }
  return tensor;
}

program::Program perturb(const program::Program& program, std::uint64_t seed) {
  program::Program out = program;
  for (program::Buffer& buffer : out.buffers) {
    if (!buffer.constant) continue;
    auto made = std::make_shared<numerics::Constant>();
    made->make = [original = buffer.constant, format = buffer.format, own = numerics::mix(seed, numerics::hash_name(buffer.name))] {
      return perturb(numerics::convert_tensor(original->make(), format), format, own);
    };
    buffer.constant = made;
  }
  return out;
}

double rms_difference(const Tensor& a, const Tensor& b) {
  double sum = 0;
  const std::int64_t count = a.count();
  for (std::int64_t i = 0; i < count; ++i) {
    const double x = a.at(i), y = b.at(i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x == y) continue;
    if (!std::isfinite(x) || !std::isfinite(y)) return std::numeric_limits<double>::infinity();
    sum += (x - y) * (x - y);
  }
  return count > 0 ? std::sqrt(sum / static_cast<double>(count)) : 0;
}

}  // namespace switchyard::report
