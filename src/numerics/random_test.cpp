#include "numerics/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "numerics/expression.h"

namespace switchyard::numerics {
namespace {

using Pair = std::array<std::uint32_t, 2>;

// The known answers of the authors' library (Random123, kat_vectors).
TEST(Random, ThreefryGivesTheKnownAnswers) {
  EXPECT_EQ(threefry({0, 0}, {0, 0}), (Pair{0x6b200159, 0x99ba4efe}));
  EXPECT_EQ(threefry({0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}), (Pair{0x1cb996fc, 0xbb002be7}));
  EXPECT_EQ(threefry({0x243f6a88, 0x85a308d3}, {0x13198a2e, 0x03707344}), (Pair{0xc4923a9c, 0x483df7a0}));
}

TEST(Random, UniformIsTheUpperBitsOfTheFirstWord) {
  EXPECT_EQ(random_uniform(0, 0, 0), static_cast<double>(0x6b2001) * 0x1p-24);
  const double key = static_cast<double>((std::uint64_t{0x1abcde} << 32) + 0x9876543f);
  EXPECT_EQ(random_uniform(7, 9, key), static_cast<double>(threefry({7, 9}, {0x9876543f, 0x1abcde})[0] >> 8) * 0x1p-24);
  for (const double strange : {-1.0, 1e300, -1e300, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    const double u = random_uniform(strange, strange, strange);
    EXPECT_TRUE(u >= 0 && u < 1) << strange;
  }
}

TEST(Random, IsOneOperationOfExpressions) {
  const auto e = parse_expression("random(x0, x1, 9007199254740991)");
  ASSERT_TRUE(e.has_value());
  EXPECT_EQ(print_expression(*e), "random(x0, x1, 9007199254740991)");
  EXPECT_EQ(e->count(ScalarOpCost::simple), kRandomSteps);
  const std::vector<double> place{3, 4};
  EXPECT_EQ(evaluate(*e, place), random_uniform(3, 4, 9007199254740991.0));
}

/// Places next to each other, and keys next to each other, give numbers that have nothing to do with each other.
TEST(Random, NeighboursAreUncorrelated) {
  constexpr int kSide = 128;
  const auto correlation = [](const auto& other) {
    double sum = 0;
    for (int i = 0; i < kSide; ++i)
      for (int j = 0; j < kSide; ++j) sum += (random_uniform(i, j, 5) - 0.5) * (other(i, j) - 0.5);
    return sum * 12 / (kSide * kSide);
  };
  const double limit = 4.0 / kSide;  // four standard deviations of the mean of n products: 4 / sqrt(n)
  EXPECT_LT(std::fabs(correlation([](int i, int j) { return random_uniform(i + 1, j, 5); })), limit);
  EXPECT_LT(std::fabs(correlation([](int i, int j) { return random_uniform(i, j + 1, 5); })), limit);
  EXPECT_LT(std::fabs(correlation([](int i, int j) { return random_uniform(i, j, 6); })), limit);
  EXPECT_LT(std::fabs(correlation([](int i, int j) { return random_uniform(j, i + kSide, 5); })), limit);
  EXPECT_NEAR(correlation([](int i, int j) { return random_uniform(i, j, 5); }), 1, 0.1);
}

}  // namespace
}  // namespace switchyard::numerics
