#include "support/units.h"

#include <gtest/gtest.h>

#include <unordered_set>

#include "support/id.h"

namespace switchyard {
namespace {

TEST(Units, RoundTimesUp) {
  EXPECT_EQ(time_to_move(Bytes(1000), BytesPerSecond(1e12)).value, 1000);
  EXPECT_EQ(time_to_move(Bytes(1), BytesPerSecond(3e12)).value, 1);
  EXPECT_EQ(time_to_move(Bytes(4), BytesPerSecond(3e12)).value, 2);
  EXPECT_EQ(time_to_move(Bytes(0), BytesPerSecond(0)).value, 0);
  EXPECT_EQ(time_of_cycles(3, Hertz(1e9)).value, 3000);
  EXPECT_EQ(time_of_cycles(1, Hertz(3e9)).value, 334);
  EXPECT_EQ(from_seconds(1.5e-9).value, 1500);
  EXPECT_DOUBLE_EQ(microseconds(Picoseconds(2500000)), 2.5);
}

TEST(Units, AddScaleCompare) {
  Bytes sum = Bytes(3) + Bytes(4) * 2;
  sum += Bytes(1);
  sum -= Bytes(2);
  EXPECT_EQ(sum, Bytes(10));
  EXPECT_LT(Bytes(9), sum);
  EXPECT_DOUBLE_EQ(Bytes(5) / sum, 0.5);
}

TEST(Id, NoneIsNotAnIndex) {
  using TestId = Id<struct TestTag>;
  EXPECT_FALSE(TestId().valid());
  EXPECT_TRUE(TestId(0).valid());
  EXPECT_LT(TestId(1), TestId(2));
  EXPECT_EQ((std::unordered_set<TestId>{TestId(1), TestId(1), TestId()}).size(), 2u);
}

}  // namespace
}  // namespace switchyard
