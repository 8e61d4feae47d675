#include "program/program.h"

#include <limits>

#include "numerics/packing.h"
#include "support/check.h"

namespace switchyard::program {

std::vector<std::int64_t> Token::strides() const {
  std::vector<std::int64_t> result(shape.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    const auto dimension = static_cast<std::size_t>(order[i]);
    result[dimension] = stride;
    std::int64_t extent = shape[dimension];
    if (i + 1 == order.size() && pad > 1) extent = (extent + pad - 1) / pad * pad;
    SY_CHECK(!__builtin_mul_overflow(stride, extent, &stride), "strides of a token");
  }
  return result;
}

std::int64_t Token::bytes() const {
  std::int64_t total = 1;
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::int64_t extent = shape[static_cast<std::size_t>(order[i])];
    if (i + 1 == order.size() && pad > 1) extent = (extent + pad - 1) / pad * pad;
    SY_CHECK(!__builtin_mul_overflow(total, extent, &total), "bytes of a token");
  }
  SY_CHECK(total <= std::numeric_limits<std::int64_t>::max() / numerics::format_bytes(format), "bytes of a token");
  return numerics::stored_bytes(format, total);
}

}  // namespace switchyard::program
