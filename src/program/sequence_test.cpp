#include "program/sequence.h"

#include <gtest/gtest.h>

#include "program/boxes.h"
#include "program/instance.h"

namespace switchyard::program {
namespace {

Actor actor_of(std::vector<std::int64_t> trips) {
  Actor actor;
  for (const std::int64_t trip : trips) actor.loops.push_back({"l", trip, numerics::LoopKind::parallel});
  return actor;
}

Port port_of(const Actor& actor, std::vector<int> kept, bool input = true) {
  Port port;
  port.input = input;
  port.kept.assign(actor.loops.size(), false);
  for (const int loop : kept) port.kept[static_cast<std::size_t>(loop)] = true;
  return port;
}

TEST(Sequence, RangesResolve) {
  struct Case {
    std::int64_t begin, end, positions;
    std::array<std::int64_t, 2> expected;
  };
  constexpr std::int64_t kEnd = IndexRange::kToEnd;
  for (const Case& c : {Case{0, kEnd, 5, {0, 5}}, Case{0, 1, 5, {0, 1}}, Case{-1, kEnd, 5, {4, 5}}, Case{0, -1, 5, {0, 4}},
                        Case{1, kEnd, 1, {1, 1}}, Case{-9, 9, 3, {0, 3}}, Case{2, 1, 5, {2, 2}}, Case{INT64_MIN, INT64_MIN, 4, {0, 0}}})
    EXPECT_EQ(resolve({0, c.begin, c.end}, c.positions), c.expected);
}

TEST(Sequence, OdometerKeepsItsMasks) {
  const Actor actor = actor_of({2, 1, 3});
  std::int64_t count = 0;
  for (Odometer odometer(actor.loops); !odometer.done(); odometer.next(), ++count) {
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(odometer.z() >> i & 1, odometer.index()[i] == 0 ? 1U : 0U);
      EXPECT_EQ(odometer.l() >> i & 1, odometer.index()[i] + 1 == actor.loops[i].trip ? 1U : 0U);
    }
  }
  EXPECT_EQ(count, 6);
}

/// Counting by formula equals walking the loops.
TEST(Sequence, CountsEqualWalks) {
  const Actor actor = actor_of({3, 4, 2});
  for (int kept = 0; kept < 8; ++kept) {
    Port port = port_of(actor, {}, false);
    for (int i = 0; i < 3; ++i) port.kept[static_cast<std::size_t>(i)] = (kept >> i & 1) != 0;
    if (!port.kept[1]) port.guard = {{1, 1, -1}};
    const PortRule rule = port_rule(actor, port);
    std::int64_t begins = 0, ends = 0;
    for (Odometer o(actor.loops); !o.done(); o.next()) {
      if (!rule.active(o.index())) continue;
      begins += rule.begins(o.z()) ? 1 : 0;
      ends += rule.ends(o.l()) ? 1 : 0;
    }
    EXPECT_EQ(begins, ends);
    EXPECT_EQ(begins, token_count(actor, port)) << kept;
  }
}

TEST(Sequence, WindowsAcquireAndReleaseEveryPosition) {
  for (const std::int64_t peek : {1, 2, 3, 5})
    for (const std::int64_t pop : {1, 2, 3})
      for (const std::int64_t trip : {1, 2, 4}) {
        const Actor actor = actor_of({2, trip});
        Port port = port_of(actor, {});
        port.window = Window{1, peek, pop, 0, 0, false, 0};
        const PortRule rule = port_rule(actor, port);
        std::int64_t acquired = 0, released = 0;
        for (std::int64_t i = 0; i < trip; ++i) {
          EXPECT_EQ(rule.acquired_before(i), acquired);
          EXPECT_EQ(rule.released_before(i), released);
          acquired = rule.acquired_through(i);
          EXPECT_GE(pop * i, released);  // what the firing sees is still there
          EXPECT_EQ(acquired, pop * i + peek);
          released = rule.released_through(i);
          EXPECT_LE(released, acquired);
        }
        EXPECT_EQ(acquired, rule.positions);
        EXPECT_EQ(released, rule.positions);
        EXPECT_EQ(token_count(actor, port), 2 * rule.positions);
      }
}

TEST(Sequence, TokensTakenLeavePaddingOut) {
  const Actor actor = actor_of({8});
  Port port = port_of(actor, {});
  port.window = Window{0, 3, 1, 1, 1, true, 0};
  EXPECT_EQ(tokens_taken(actor, port, {}), 8);
  port.window->pad_always = false;
  EXPECT_EQ(tokens_taken(actor, port, {}), 10);
  EXPECT_EQ(tokens_taken(actor, port, {0, 1, -1}), 8);
}

TEST(Sequence, TokenBytesPadTheInnermostDimension) {
  Token token{numerics::Format::bf16, {3, 5}, {1, 0}, 4};
  EXPECT_EQ(token.bytes(), 2 * 5 * 4);
  EXPECT_EQ(token.strides(), (std::vector<std::int64_t>{1, 4}));
  EXPECT_EQ((Token{numerics::Format::int8, {0}, {0}, 1}).bytes(), 0);
}

TEST(Layout, RelationsWrapAndLeave) {
  Array array;
  array.shape = {4};
  Relation relation{{{numerics::affine_variable(0) + numerics::affine_constant(-1), 0}}};
  EXPECT_EQ(producer_instance(relation, array, array, 0), kNoIndex);
  EXPECT_EQ(producer_instance(relation, array, array, 3), 2U);
  relation.coordinates[0].modulus = 4;
  EXPECT_EQ(producer_instance(relation, array, array, 0), 3U);
}

TEST(Boxes, SubsetsAndOverlaps) {
  bool exact = true;
  EXPECT_FALSE(uncovered_point({{{0, 4}, {0, 4}}}, {{{0, 2}, {0, 4}}, {{2, 4}, {0, 4}}}, exact));
  EXPECT_EQ(uncovered_point({{{0, 4}, {0, 4}}}, {{{0, 2}, {0, 4}}, {{2, 4}, {1, 4}}}, exact), (std::vector<std::int64_t>{2, 0}));
  EXPECT_FALSE(doubly_covered_point({{{0, 2}}, {{2, 4}}}, exact));
  EXPECT_EQ(doubly_covered_point({{{0, 3}}, {{2, 4}}}, exact), (std::vector<std::int64_t>{2}));
  EXPECT_EQ(common_point({{{0, 3}}}, {{{2, 4}}}, exact), (std::vector<std::int64_t>{2}));
  EXPECT_FALSE(uncovered_point({Box{}}, {Box{}}, exact));  // rank 0: one point
  EXPECT_TRUE(uncovered_point({Box{}}, {}, exact).has_value());
  EXPECT_EQ(merge({{3, 5}, {0, 1}, {1, 2}, {4, 9}, {7, 7}}), (std::vector<Interval>{{0, 2}, {3, 9}}));
}

}  // namespace
}  // namespace switchyard::program
