#include "numerics/transcendental.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace switchyard::numerics {
namespace {

struct Function {
  const char* name;
  double (*portable)(double);
  double (*host)(double);
  double low, high;  ///< between which arguments are drawn
};

const std::vector<Function>& functions() {
  static const std::vector<Function> table{
      {"exp", portable::exp, std::exp, -700, 700},       {"log", portable::log, std::log, 1e-9, 1e9},
      {"tanh", portable::tanh, std::tanh, -25, 25},      {"erf", portable::erf, std::erf, -7, 7},
      {"sin", portable::sin, std::sin, -1e6, 1e6},       {"cos", portable::cos, std::cos, -1e6, 1e6},
      {"tan", portable::tan, std::tan, -1e3, 1e3},       {"asin", portable::asin, std::asin, -1, 1},
      {"acos", portable::acos, std::acos, -1, 1},        {"atan", portable::atan, std::atan, -1e3, 1e3},
      {"sinh", portable::sinh, std::sinh, -700, 700},    {"cosh", portable::cosh, std::cosh, -700, 700},
      {"asinh", portable::asinh, std::asinh, -1e9, 1e9}, {"acosh", portable::acosh, std::acosh, 1, 1e9},
      {"atanh", portable::atanh, std::atanh, -1, 1},
  };
  return table;
}

/// Units in the last place of the second number by which the first is off.
double units_off(double value, double expected) {
  if (value == expected || (std::isnan(value) && std::isnan(expected))) return 0;
  if (!std::isfinite(value) || !std::isfinite(expected)) return std::numeric_limits<double>::infinity();
  const double next = std::nextafter(std::fabs(expected), std::numeric_limits<double>::infinity());
  return std::fabs(value - expected) / (next - std::fabs(expected));
}

TEST(Transcendental, IsWithinTwoUnitsOfTheHostsLibrary) {
  std::mt19937_64 random(7);
  for (const Function& f : functions()) {
    std::uniform_real_distribution<double> draw(f.low, f.high);
    for (int i = 0; i < 20000; ++i) {
      const double x = draw(random) * (i % 2 == 0 || f.low >= 1e-9 ? 1 : std::exp2(-(i % 60)));
      ASSERT_LE(units_off(f.portable(x), f.host(x)), 2) << f.name << " of " << x;
    }
  }
  std::uniform_real_distribution<double> base(0, 20), power(-30, 30);
  for (int i = 0; i < 20000; ++i) {
    const double x = base(random), y = power(random);
    ASSERT_LE(units_off(portable::pow(x, y), std::pow(x, y)), 2) << x << " to the " << y;
  }
}

TEST(Transcendental, KeepsTheStandardsSpecialValues) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> special{0.0, -0.0, infinity, -infinity, std::nan(""), 1,      -1,     0.5,     -8,    2,
                                    3,   710,  -746,     1e300,     -1e300,       5e-324, 1e-310, -1e-310, 1e160, 4294967296.0};
  const auto alike = [](double a, double b) { return units_off(a, b) <= 2 && (std::isnan(b) || std::signbit(a) == std::signbit(b)); };
  for (const double x : special) {
    for (const Function& f : functions()) EXPECT_TRUE(alike(f.portable(x), f.host(x))) << f.name << " of " << x << ": " << f.portable(x);
    for (const double y : special)
      EXPECT_TRUE(alike(portable::pow(x, y), std::pow(x, y))) << x << " to the " << y << ": " << portable::pow(x, y);
  }
}

// What makes results comparable over hosts: bits, not only closeness. The number is that of SLEEF 3.5.1; no other release should move it.
TEST(Transcendental, GivesTheseBitsOnEveryHost) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  const auto take = [&](double value) {
    auto bits = std::bit_cast<std::uint64_t>(value);
    for (int i = 0; i < 8; ++i, bits >>= 8) hash = (hash ^ (bits & 0xFF)) * 1099511628211U;
  };
  for (const Function& f : functions()) {
    for (int i = 1; i < 4096; ++i) take(f.portable(f.low + (f.high - f.low) * (i / 4096.0)));
  }
  for (int i = 1; i < 4096; ++i) take(portable::pow(i / 512.0, (i % 61) / 4.0 - 7));
  EXPECT_EQ(hash, 2245630599479297698U);
}

}  // namespace
}  // namespace switchyard::numerics
