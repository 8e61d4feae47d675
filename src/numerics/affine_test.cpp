#include "numerics/affine.h"

#include <gtest/gtest.h>

#include <limits>

#include "numerics/tensor.h"
#include "support/check.h"

namespace switchyard::numerics {
namespace {

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
const std::vector<std::string> kNames = {"c", "m", "kh"};

TEST(Affine, PrintsAndReads) {
  struct Row {
    const char* text;
    const char* canonical;  // null: refused
  };
  const Row rows[] = {
      {"4*c + 2*m - 1", "4*c + 2*m - 1"},
      {"m*4+c", "c + 4*m"},
      {" - kh + 3 ", "-kh + 3"},
      {"c - c", "0"},
      {"c + c + 2*c", "4*c"},
      {"0", "0"},
      {"-0", "0"},
      {"5 + -2*m", "-2*m + 5"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"-9223372036854775808*c", "-9223372036854775808*c"},
      {"9223372036854775808", nullptr},
      {"9223372036854775807 + 1", nullptr},
      {"9223372036854775807*c + c", nullptr},
      {"99999999999999999999999999999999999999999999999", nullptr},
      {"", nullptr},
      {"-", nullptr},
      {"c +", nullptr},
      {"c m", nullptr},
      {"c*m", nullptr},
      {"2*3", nullptr},
      {"2c", nullptr},
      {"q", nullptr},
      {"c ** 2", nullptr},
      {"--c", nullptr},
      {"(c)", nullptr},
  };
  for (const Row& row : rows) {
    const auto f = parse_affine(row.text, kNames);
    ASSERT_EQ(f.has_value(), row.canonical != nullptr) << row.text;
    if (!f) continue;
    EXPECT_EQ(print_affine(*f, kNames), row.canonical);
    EXPECT_EQ(parse_affine(print_affine(*f, kNames), kNames), f);
  }
}

TEST(Affine, ArithmeticAgreesWithValues) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto pick = [&](std::uint64_t i) { return static_cast<std::int64_t>(mix(seed, i) % 7) - 3; };
    const auto make = [&](std::uint64_t i) {
      Affine f = affine_constant(pick(i));
      for (int v = 0; v < 3; ++v) f = f + affine_variable(v, pick(i + 1 + static_cast<std::uint64_t>(v)));
      return f;
    };
    const Affine f = make(0), g = make(10), h = make(20), k = make(30);
    const std::vector<std::int64_t> x = {pick(40), pick(41), pick(42)};
    EXPECT_EQ((f + g).at(x), f.at(x) + g.at(x));
    EXPECT_EQ((f * 5).at(x), f.at(x) * 5);
    const std::vector<Affine> with = {g, h, k};
    const std::vector<std::int64_t> y = {g.at(x), h.at(x), k.at(x)};
    EXPECT_EQ(substitute(f, with).at(x), f.at(y));
    EXPECT_EQ(f + f * -1, affine_constant(0));
  }
}

TEST(Affine, RangeIsReachedAndSaturates) {
  const Affine f = *parse_affine("2*c - 3*m + 5", kNames);
  const std::vector<std::int64_t> extents = {4, 3, 1};
  EXPECT_EQ(range_over(f, extents).least, 5 - 6);
  EXPECT_EQ(range_over(f, extents).greatest, 5 + 6);
  const std::vector<std::int64_t> huge = {kMax, kMax, kMax};
  EXPECT_EQ(range_over(f, huge).least, kMin);
  EXPECT_EQ(range_over(f, huge).greatest, kMax);
}

TEST(Affine, KnowsAPlainVariable) {
  EXPECT_EQ(affine_variable(2).as_variable(), 2);
  EXPECT_EQ(affine_variable(2, 3).as_variable(), -1);
  EXPECT_EQ((affine_variable(2) + affine_constant(1)).as_variable(), -1);
  EXPECT_EQ(affine_constant(0).as_variable(), -1);
  EXPECT_TRUE(affine_variable(1, 0).terms.empty());
}

TEST(Affine, OverflowIsOurBug) {
  EXPECT_THROW(affine_constant(kMax) + affine_constant(1), InternalError);
  EXPECT_THROW(affine_variable(0, kMin) * -1, InternalError);
}

}  // namespace
}  // namespace switchyard::numerics
