// What accesses touch together, against counting element by element.
#include "compiler/touched.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace switchyard::compiler {
namespace {

using numerics::Affine;
using Extents = std::vector<std::int64_t>;

/// Calls `use` with every point of a box.
template <typename Use>
void for_each_point(const Extents& extents, const Use& use) {
  Extents at(extents.size(), 0);
  std::int64_t points = 1;
  for (const std::int64_t e : extents) points *= e;
  for (std::int64_t p = 0; p < points; ++p) {
    std::int64_t rest = p;
    for (std::size_t d = extents.size(); d-- > 0;) at[d] = rest % extents[d], rest /= extents[d];
    use(at);
  }
}

class Counted {
 public:
  explicit Counted(numerics::Shape shape) : shape_(std::move(shape)), touched_(shape_) {}
  void add(const std::vector<Affine>& index, const Extents& extents) {
    touched_.add(index, extents);
    for_each_point(extents, [&](const Extents& at) {
      Extents element;
      for (std::size_t d = 0; d < index.size(); ++d) element.push_back(index[d].at(at));
      for (std::size_t d = 0; d < index.size(); ++d)
        if (element[d] < 0 || element[d] >= shape_[d]) return;
      elements_.insert(element);
    });
  }
  [[nodiscard]] double told() const { return touched_.count(); }
  [[nodiscard]] double there() const { return static_cast<double>(elements_.size()); }

 private:
  numerics::Shape shape_;
  Touched touched_;
  std::set<Extents> elements_;
};

TEST(Touched, CountsSlicesAsTheyAre) {
  std::mt19937_64 random(7);
  const auto draw = [&](std::int64_t least, std::int64_t most) { return std::uniform_int_distribution<std::int64_t>(least, most)(random); };
  for (int round = 0; round < 300; ++round) {
    const numerics::Shape shape{draw(1, 6), draw(1, 9), draw(1, 12)};
    Counted counted(shape);
    const std::int64_t step = draw(1, 3);  // one for all along the last dimension
    for (std::int64_t n = draw(1, 6); n > 0; --n) {
      std::vector<Affine> index;
      Extents extents;
      for (std::size_t d = 0; d < shape.size(); ++d) {
        index.push_back(numerics::affine_variable(static_cast<int>(d), d == 2 ? step : 1) + numerics::affine_constant(draw(-2, shape[d])));
        extents.push_back(draw(1, shape[d]));
      }
      counted.add(index, extents);
    }
    ASSERT_EQ(counted.told(), counted.there()) << "round " << round;
  }
}

TEST(Touched, NeverCountsTooMany) {
  std::mt19937_64 random(11);
  const auto draw = [&](std::int64_t least, std::int64_t most) { return std::uniform_int_distribution<std::int64_t>(least, most)(random); };
  double told = 0, there = 0;
  for (int round = 0; round < 400; ++round) {
    const numerics::Shape shape{draw(1, 8), draw(1, 20)};
    Counted counted(shape);
    for (std::int64_t n = draw(1, 5); n > 0; --n) {
      const Extents extents{draw(1, 4), draw(1, 5), draw(1, 6)};
      std::vector<Affine> index;
      for (std::size_t d = 0; d < shape.size(); ++d) {  // windows, gaps, diagonals, backwards
        Affine f = numerics::affine_constant(draw(-4, shape[d] + 3));
        for (int v = 0; v < 3; ++v)
          if (draw(0, 1) == 1) f = f + numerics::affine_variable(v, draw(0, 3) == 0 ? draw(-4, -1) : draw(1, 5));
        index.push_back(f);
      }
      counted.add(index, extents);
    }
    ASSERT_LE(counted.told(), counted.there()) << "round " << round;
    told += counted.told(), there += counted.there();
  }
  EXPECT_GT(told, 0.9 * there);
}

TEST(Touched, KeysAndValuesOfACacheAddUp) {
  Touched cache({2, 32, 8, 4096, 128});
  const auto read = [&](std::int64_t which, std::int64_t layer) {
    std::vector<Affine> index{numerics::affine_constant(which), numerics::affine_constant(layer)};
    for (int v = 0; v < 3; ++v) index.push_back(numerics::affine_variable(v));
    cache.add(index, {8, 4096, 128});
  };
  for (std::int64_t layer = 0; layer < 32; ++layer) read(0, layer), read(1, layer);
  read(1, 5);  // again
  EXPECT_EQ(cache.count(), 2.0 * 32 * 8 * 4096 * 128);
}

TEST(Touched, WhatIsLookedUpMayLieAnywhere) {
  Touched table({1000, 64});
  const std::vector<Affine> index{numerics::affine_constant(0), numerics::affine_variable(1)};
  table.add(index, {10, 64}, {0});
  table.add(index, {10, 64}, {0});
  EXPECT_EQ(table.count(), 64);  // all of one row
  table.add({numerics::affine_variable(0), numerics::affine_variable(1)}, {3, 64});
  EXPECT_EQ(table.count(), 3 * 64);
}

}  // namespace
}  // namespace switchyard::compiler
