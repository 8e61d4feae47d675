// A power by additions and multiplications only, which every host rounds alike; the host's library need not.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace switchyard {

/// x^(2/3), to 2 units in the last place; x is 0, normal or infinite. By Newton's method for x^(-1/3), from a third of the exponent.
inline double two_thirds_power(double x) {
  if (!(x > 0) || x > std::numeric_limits<double>::max()) return x;
  constexpr std::uint64_t kFourThirds = 0x553ef0ff289dd796;  // of the exponents' bias, less what makes the first guess best
  double y = std::bit_cast<double>(kFourThirds - std::bit_cast<std::uint64_t>(x) / 3);
  for (int step = 0; step < 4; ++step) y *= 4.0 / 3 - x * (1.0 / 3) * y * y * y;
  return x * y;
}

}  // namespace switchyard
