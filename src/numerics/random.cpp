#include "numerics/random.h"

#include <bit>
#include <cmath>
#include <cstddef>

namespace switchyard::numerics {

std::array<std::uint32_t, 2> threefry(std::array<std::uint32_t, 2> counter, std::array<std::uint32_t, 2> key) {
  constexpr std::array<int, 8> kRotations{13, 15, 26, 6, 17, 29, 16, 24};
  constexpr std::size_t kRounds = 20;
  constexpr std::uint32_t kParity = 0x1BD11BDA;
  const std::array<std::uint32_t, 3> keys{key[0], key[1], kParity ^ key[0] ^ key[1]};
  auto [x, y] = counter;
  x += keys[0];
  y += keys[1];
  for (std::size_t round = 0; round < kRounds; ++round) {
    x += y;
    y = std::rotl(y, kRotations[round % kRotations.size()]) ^ x;
    if (round % 4 != 3) continue;
    const std::size_t injection = round / 4 + 1;
    x += keys[injection % 3];
    y += keys[(injection + 1) % 3] + static_cast<std::uint32_t>(injection);
  }
  return {x, y};
}

double random_uniform(double a, double b, double key) {
  const auto bits = [](double value) {
    return std::fabs(value) < 0x1p63 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value)) : 0;
  };
  const auto low = [&](double value) { return static_cast<std::uint32_t>(bits(value)); };
  const std::uint32_t word = threefry({low(a), low(b)}, {low(key), static_cast<std::uint32_t>(bits(key) >> 32)})[0];
  return static_cast<double>(word >> 8) * 0x1p-24;
}

}  // namespace switchyard::numerics
