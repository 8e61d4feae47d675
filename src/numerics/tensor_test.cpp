#include "numerics/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "support/check.h"

namespace switchyard::numerics {
namespace {

TEST(Tensor, ShapesAndElements) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({2, 0, 3}), 0);
  EXPECT_THROW((void)element_count({1ll << 40, 1ll << 40}), InternalError);
  EXPECT_THROW((void)element_count({-1}), InternalError);
  EXPECT_EQ(row_major_strides({2, 3, 4}), (std::vector<std::int64_t>{12, 4, 1}));
  Tensor t = make_tensor(Format::bf16, {2, 3});
  EXPECT_EQ(t.bytes.size(), 12u);
  t.set(4, 1.0 / 3);
  EXPECT_EQ(t.at(4), 0.333984375);
  EXPECT_EQ(t.at(3), 0);
}

TEST(Tensor, ConvertsEachElementOnce) {
  Tensor t = make_tensor(Format::fp64, {3});
  t.set(0, 1 + 0x1p-11 + 0x1p-40);
  t.set(1, -1e9);
  t.set(2, 2.5);
  EXPECT_EQ(convert_tensor(t, Format::fp16).at(0), 1 + 0x1p-10);
  EXPECT_EQ(convert_tensor(t, Format::int8).at(1), -128);
  EXPECT_EQ(convert_tensor(t, Format::int64).at(1), -1e9);
  Tensor f = make_tensor(Format::bf16, {10000});
  for (int i = 0; i < 10000; ++i) f.set(i, i);
  const Tensor g = convert_tensor(f, Format::int32);
  for (int i = 0; i < 10000; ++i) ASSERT_EQ(g.at(i), f.at(i));
  Tensor whole = make_tensor(Format::int32, {1});
  whole.set(0, 16777217);
  EXPECT_EQ(convert_tensor(whole, Format::fp64).at(0), 16777217);
}

TEST(Tensor, SeededValuesDependOnSeedAndIndexAlone) {
  const Tensor a = seeded_uniform(5, Format::fp32, {1003}, 0.3), b = seeded_uniform(5, Format::fp32, {17, 59}, 0.3);
  const Tensor c = seeded_uniform(6, Format::fp32, {1003}, 0.3);
  EXPECT_EQ(a.bytes, b.bytes);
  EXPECT_NE(a.bytes, c.bytes);
  const Tensor shorter = seeded_uniform(5, Format::fp32, {7}, 0.3);
  EXPECT_EQ(0, std::memcmp(shorter.bytes.data(), a.bytes.data(), shorter.bytes.size()));
}

TEST(Tensor, SeededValuesAreCentredSpreadAndExactInEveryFormat) {
  for (const double scale : {0.02, 0.05, 1.0, 1.7, 300.0}) {
    for (const double offset : {0.0, 1.0, -0.37}) {
      const std::int64_t n = 100000;
      const Tensor t = seeded_uniform(11, Format::fp32, {n}, scale, offset);
      const Tensor narrow = seeded_uniform(11, Format::bf16, {n}, scale, offset);
      double sum = 0, squares = 0, least = 1e9, greatest = -1e9;
      for (std::int64_t i = 0; i < n; ++i) {
        const double v = t.at(i);
        ASSERT_EQ(v, narrow.at(i));  // bf16 loses nothing
        sum += v - offset, squares += (v - offset) * (v - offset);
        least = std::min(least, v), greatest = std::max(greatest, v);
      }
      const double room = std::ldexp(std::fabs(offset) + scale, -7);
      EXPECT_NEAR(sum / static_cast<double>(n), 0, 4 * scale / std::sqrt(3.0 * static_cast<double>(n)) + (offset == 0 ? 0 : room / 2));
      EXPECT_NEAR(std::sqrt(squares / static_cast<double>(n)), scale / std::sqrt(3.0), 0.02 * scale + room / 2);
      EXPECT_LE(greatest, offset + scale + room);
      EXPECT_GE(least, offset - scale - room);
      EXPECT_GT(greatest, offset + 0.97 * scale - room);
      EXPECT_LT(least, offset - 0.97 * scale + room);
    }
  }
}

TEST(Tensor, SeededValuesOfEdgeScales) {
  EXPECT_EQ(seeded_uniform(1, Format::fp32, {3}, 0, 2.5).at(2), 2.5);
  EXPECT_EQ(seeded_uniform(1, Format::fp32, {0}, 1).bytes.size(), 0u);
  (void)seeded_uniform(1, Format::fp64, {9}, 5e-324);
  (void)seeded_uniform(1, Format::fp64, {9}, 1e308);
  EXPECT_THROW((void)seeded_uniform(1, Format::fp32, {3}, -1), InternalError);
  const Tensor ids = seeded_uniform(1, Format::int64, {1000}, 100, 100);
  for (std::int64_t i = 0; i < 1000; ++i) {
    ASSERT_GE(ids.at(i), 0);
    ASSERT_LE(ids.at(i), 200);
  }
}

TEST(Tensor, ConstantsAndHashes) {
  const ConstantPtr c = constant_of(seeded_uniform(3, Format::int8, {4}, 9));
  EXPECT_EQ(c->make().bytes, c->make().bytes);
  EXPECT_EQ(hash_name(""), 0xcbf29ce484222325ull);
  EXPECT_EQ(hash_name("a"), 0xaf63dc4c8601ec8cull);  // FNV-1a, published
  EXPECT_NE(mix(1, 2), mix(2, 1));
}

}  // namespace
}  // namespace switchyard::numerics
