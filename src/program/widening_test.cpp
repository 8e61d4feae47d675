#include "program/widening.h"

#include <gtest/gtest.h>

#include "chip/query.h"
#include "chip/read.h"
#include "numerics/packing.h"

namespace switchyard::program {
namespace {

using numerics::Format;

TEST(Packing, CodesShareBytes) {
  EXPECT_EQ(numerics::stored_bytes(Format::int4, 7), 4);
  EXPECT_EQ(numerics::stored_bytes(Format::uint2, 9), 3);
  EXPECT_EQ(numerics::stored_bytes(Format::fp6_e2m3, 5), 5);
  EXPECT_EQ(numerics::stored_bytes(Format::bf16, 5), 10);
  EXPECT_EQ(numerics::stored_bytes(Format::int4, 0), 0);
  EXPECT_EQ(numerics::stored_size(Format::fp4_e2m1), 0.5);
}

TEST(Widening, LanesBesideTheUnitDoIt) {
  const auto chip = chip::load_chip("tx81", {});
  ASSERT_TRUE(chip.ok());
  const auto matrix = chip::units_for(chip.value(), chip::OpClass::contract, Format::bf16).front();
  ASSERT_EQ(chip.value().units[matrix.index()].kind, chip::UnitKind::matrix);
  const auto w = widening(chip.value(), matrix, Format::bf16, Format::int4);
  ASSERT_TRUE(w);
  EXPECT_TRUE(w->beside);
  EXPECT_DOUBLE_EQ(w->cycles, 1.0 / 64);  // 64 lanes at the clock of the matrix unit
  EXPECT_DOUBLE_EQ(w->together(10, 64), 10);
  EXPECT_DOUBLE_EQ(w->together(10, 640 * 2), 20);
  EXPECT_FALSE(widening(chip.value(), matrix, Format::bf16, Format::bf16));
  EXPECT_FALSE(widening(chip.value(), matrix, Format::bf16, Format::int16)) << "not all of its numbers are numbers of bf16";
}

TEST(Widening, LanesThatMultiplyTakeTheSum) {
  const auto chip = chip::load_chip("p4", {});
  ASSERT_TRUE(chip.ok());
  const auto lanes = chip::units_for(chip.value(), chip::OpClass::contract, Format::fp32).front();
  const auto w = widening(chip.value(), lanes, Format::fp32, Format::int8);
  ASSERT_TRUE(w);
  EXPECT_FALSE(w->beside);
  EXPECT_GT(w->cycles, 0);
  EXPECT_DOUBLE_EQ(w->together(10, 1 / w->cycles), 11);
}

}  // namespace
}  // namespace switchyard::program
