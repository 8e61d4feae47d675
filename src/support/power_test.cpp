#include "support/power.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace switchyard {
namespace {

TEST(TwoThirdsPower, IsWithinTwoUnitsInTheLastPlace) {
  for (int exponent = -300; exponent <= 300; ++exponent)
    for (int step = 0; step < 64; ++step) {
      const double x = std::ldexp(1 + step / 64.0, exponent);
      const long double exact = std::pow(static_cast<long double>(x), 2.0L / 3);
      EXPECT_LE(std::abs(static_cast<double>((two_thirds_power(x) - exact) / exact)), 2 * std::numeric_limits<double>::epsilon()) << x;
    }
}

TEST(TwoThirdsPower, KnowsItsEnds) {
  EXPECT_EQ(two_thirds_power(0), 0);
  EXPECT_EQ(two_thirds_power(std::numeric_limits<double>::infinity()), std::numeric_limits<double>::infinity());
  EXPECT_EQ(two_thirds_power(1), 1);
}

}  // namespace
}  // namespace switchyard
