#include "program/spread.h"

#include <gtest/gtest.h>

#include <random>

#include "program/parts.h"

namespace switchyard::program {
namespace {

numerics::Affine affine(std::vector<std::int64_t> coefficients, std::int64_t constant) {
  numerics::Affine result = numerics::affine_constant(constant);
  for (std::size_t v = 0; v < coefficients.size(); ++v)
    if (coefficients[v] != 0) result = result + numerics::affine_variable(static_cast<int>(v), coefficients[v]);
  return result;
}

Buffer spread_buffer(numerics::Shape shape, std::vector<std::int64_t> instances, std::vector<std::int64_t> extent,
                     std::vector<numerics::Affine> start) {
  Buffer buffer;
  buffer.name = "T";
  for (std::size_t d = 0; d < shape.size(); ++d) buffer.order.push_back(static_cast<int>(d));
  buffer.shape = std::move(shape);
  Spread spread;
  std::int64_t count = 1;
  for (const std::int64_t n : instances) count *= n;
  for (std::int64_t i = 0; i < count; ++i) spread.components.push_back(static_cast<std::uint32_t>(2 * i + 1));
  spread.shape = std::move(instances);
  spread.extent = std::move(extent);
  spread.start = std::move(start);
  buffer.spread = std::move(spread);
  return buffer;
}

/// "rows:columns -> instances", one message after the other.
std::string print(const std::vector<Message>& list) {
  std::string text;
  for (const Message& message : list) {
    if (!text.empty()) text += "; ";
    for (const Interval& i : message.box) text += std::to_string(i[0]) + ":" + std::to_string(i[1]) + " ";
    text += "->";
    for (const std::uint32_t i : message.instances) text += " " + std::to_string(i);
  }
  return text;
}

/// Four parts of four rows, each with one row of its neighbours.
Buffer bands() { return spread_buffer({16, 8}, {4}, {6, 8}, {affine({4}, -1), affine({}, 0)}); }

TEST(Spread, PartsAreClippedToTheBuffer) {
  const Buffer buffer = bands();
  EXPECT_EQ(part_count(*buffer.spread), 4);
  EXPECT_EQ(part_bytes(buffer), 6 * 8 * 4);
  EXPECT_EQ(part_of(buffer, 0), (Box{{0, 5}, {0, 8}}));
  EXPECT_EQ(part_of(buffer, 1), (Box{{3, 9}, {0, 8}}));
  EXPECT_EQ(part_of(buffer, 3), (Box{{11, 16}, {0, 8}}));
  EXPECT_EQ(instance_on(*buffer.spread, 5), 2u);
  EXPECT_EQ(instance_on(*buffer.spread, 4), std::nullopt);
  Buffer padded = buffer;
  padded.spread->pad = 3;
  EXPECT_EQ(part_bytes(padded), 6 * 9 * 4);
  padded.order = {1, 0};
  padded.spread->pad = 4;
  EXPECT_EQ(part_bytes(padded), 8 * 8 * 4);
}

TEST(Spread, MorePartsThanRowsAreEmpty) {
  const Buffer buffer = spread_buffer({5}, {4}, {2}, {affine({2}, 0)});
  EXPECT_EQ(part_of(buffer, 2), (Box{{4, 5}}));
  EXPECT_TRUE(is_empty(part_of(buffer, 3)));
  EXPECT_EQ(print(messages(buffer, {{0, 5}}, std::nullopt)), "0:2 -> 0; 2:4 -> 1; 4:5 -> 2");
  EXPECT_EQ(Parts(buffer).messages({{0, 5}}, std::nullopt).size(), 3u);
}

struct Case {
  const char* title;
  Buffer buffer;
  Box box;
  std::optional<std::uint32_t> own;
  const char* expected;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> list{
      {"halos: neighbours need one row each", bands(), {{4, 8}, {0, 8}}, 1, "4:5 0:8 -> 0; 7:8 0:8 -> 2"},
      {"at the border there is one neighbour", bands(), {{0, 4}, {0, 8}}, 0, "3:4 0:8 -> 1"},
      {"from outside, the middle rows have one copy",
       bands(),
       {{4, 8}, {0, 8}},
       std::nullopt,
       "4:5 0:8 -> 0 1; 5:7 0:8 -> 1; 7:8 0:8 -> 1 2"},
      {"nobody else holds it", bands(), {{5, 7}, {0, 8}}, 1, ""},
      {"an empty box", bands(), {{4, 4}, {0, 8}}, std::nullopt, ""},
      {"all need all", spread_buffer({8, 2}, {4}, {8, 2}, {affine({}, 0), affine({}, 0)}), {{2, 4}, {0, 2}}, 1, "2:4 0:2 -> 0 2 3"},
      {"columns to rows",
       spread_buffer({4, 8}, {4}, {1, 8}, {affine({1}, 0), affine({}, 0)}),
       {{0, 4}, {2, 4}},
       std::nullopt,
       "0:1 2:4 -> 0; 1:2 2:4 -> 1; 2:3 2:4 -> 2; 3:4 2:4 -> 3"},
      {"rows to columns",
       spread_buffer({4, 8}, {4}, {4, 2}, {affine({}, 0), affine({2}, 0)}),
       {{1, 2}, {0, 8}},
       std::nullopt,
       "1:2 0:2 -> 0; 1:2 2:4 -> 1; 1:2 4:6 -> 2; 1:2 6:8 -> 3"},
      {"two dimensions: edges and corners",
       spread_buffer({6, 6}, {3, 3}, {4, 4}, {affine({2, 0}, -1), affine({0, 2}, -1)}),
       {{2, 4}, {2, 4}},
       4,
       "2:3 2:3 -> 0 1 3; 2:3 3:4 -> 1 2 5; 3:4 2:3 -> 3 6 7; 3:4 3:4 -> 5 7 8"},
      {"a part that begins inside", spread_buffer({10}, {2}, {4}, {affine({6}, 0)}), {{0, 10}}, std::nullopt, "0:4 -> 0; 6:10 -> 1"},
      {"a tensor without dimensions", spread_buffer({}, {3}, {}, {}), {}, 0, "-> 1 2"},
  };
  return list;
}

TEST(Spread, MessagesGoToAllWhoNeedThem) {
  for (const Case& c : cases()) EXPECT_EQ(print(messages(c.buffer, c.box, c.own)), c.expected) << c.title;
}

TEST(Parts, SayWhatSpreadSays) {
  for (const Case& c : cases()) {
    const Parts parts(c.buffer);
    EXPECT_EQ(print(parts.messages(c.box, c.own)), c.expected) << c.title;
    for (std::uint32_t i = 0; i < part_count(*c.buffer.spread); ++i) EXPECT_EQ(parts.part(i), part_of(c.buffer, i)) << c.title;
    EXPECT_EQ(parts.on(3), 1u) << c.title;
    EXPECT_EQ(parts.on(2), Parts::kNone) << c.title;
    EXPECT_EQ(parts.on(99), Parts::kNone) << c.title;
  }
}

TEST(Parts, AgreeOnRandomSpreads) {
  std::mt19937_64 random(5);
  const auto below = [&](std::int64_t n) { return std::uniform_int_distribution<std::int64_t>(0, n - 1)(random); };
  std::int64_t sent = 0;
  for (int round = 0; round < 2000; ++round) {
    const Buffer buffer = spread_buffer({1 + below(12), 1 + below(12)}, {1 + below(3), 1 + below(3)}, {1 + below(6), 1 + below(6)},
                                        {affine({below(7) - 3, below(4)}, below(6) - 2), affine({below(3), below(7) - 3}, below(6) - 2)});
    const std::int64_t row = below(8), column = below(8);
    const Box box{{row, row + below(8)}, {column, column + below(8)}};
    const auto count = static_cast<std::uint32_t>(part_count(*buffer.spread));
    const auto own = below(2) == 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(below(count)));
    const std::vector<Message> said = messages(buffer, box, own);
    const Parts parts(buffer);
    ASSERT_EQ(print(said), print(parts.messages(box, own)));
    const Parts::Count counted = parts.count(box, own, own.value_or(Parts::kNone));
    ASSERT_EQ(counted.messages, static_cast<std::int64_t>(said.size()));
    std::size_t widest = 0;
    for (const Message& message : said) widest = std::max(widest, message.instances.size());
    ASSERT_EQ(counted.widest, static_cast<std::int64_t>(widest));
    // Every copy of every element but the own gets it once.
    for (std::uint32_t i = 0; i < count; ++i)
      for (std::int64_t r = 0; r < buffer.shape[0]; ++r)
        for (std::int64_t c = 0; c < buffer.shape[1]; ++c) {
          const Box point{{r, r + 1}, {c, c + 1}};
          const bool wanted = contains(box, point) && contains(part_of(buffer, i), point) && own != std::optional(i);
          int got = 0;
          for (const Message& message : said)
            if (contains(message.box, point)) got += static_cast<int>(std::count(message.instances.begin(), message.instances.end(), i));
          ASSERT_EQ(got, wanted ? 1 : 0) << round << ": " << i << " at " << r << ", " << c;
          sent += got;
        }
  }
  EXPECT_GT(sent, 1000);
}

TEST(Spread, ABoxIsClippedToItsRegion) {
  BufferAccess access;
  access.start = {affine({4}, -1), affine({}, 2)};
  access.region = {{0, 9}, {0, 8}};
  const std::vector<std::int64_t> extent{6, 8};
  for (const auto& [c, expected] :
       {std::pair(0, Box{{0, 5}, {2, 8}}), std::pair(2, Box{{7, 9}, {2, 8}}), std::pair(3, Box{{9, 9}, {2, 8}})})
    EXPECT_EQ(touched(access, extent, std::vector<std::int64_t>{c}), expected) << c;
}

TEST(Spread, AnUpdateReadsWhatItStores) {
  Actor mover;
  mover.kind = ActorKind::move;
  mover.source = BufferAccess{BufferId(0), {affine({4}, 0)}, {{{0, 16}}}, 0, -1, {4}};
  EXPECT_FALSE(updates_copies(mover));
  mover.destination = mover.source;
  EXPECT_TRUE(updates_copies(mover));
  EXPECT_EQ(std::vector<std::int64_t>(move_extent(mover, *mover.source).begin(), move_extent(mover, *mover.source).end()),
            std::vector<std::int64_t>{4});
  mover.destination->start = {affine({4}, 1)};
  EXPECT_FALSE(updates_copies(mover));
  mover.destination->start = mover.source->start;
  mover.destination->buffer = BufferId(1);
  EXPECT_FALSE(updates_copies(mover));
  mover.source.reset();
  EXPECT_FALSE(updates_copies(mover));
  // From a port: its token says the extent, not that of a port that only synchronises.
  mover.destination->extent.clear();
  Port go, data;
  go.token.shape = {0};
  data.token.shape = {7};
  mover.ports = {go, data};
  EXPECT_EQ(move_extent(mover, *mover.destination).front(), 7);
}

}  // namespace
}  // namespace switchyard::program
