#include "compiler/addresses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace switchyard::compiler {
namespace {

constexpr std::int64_t kBytes = 4096, kAlignment = 16;
constexpr int kContexts = 13;

struct Taken {
  Life life;
  std::int64_t begin, end;
  int set;
};

/// Address by address: nothing that meets the set is taken there in any context of the life.
std::optional<std::int64_t> search(const std::vector<Taken>& taken, const ComponentSets& sets, Life life, std::int64_t bytes, int set,
                                   Addresses::Over::From from) {
  std::optional<std::int64_t> last;
  for (std::int64_t at = 0; at + bytes <= kBytes; at += kAlignment) {
    const bool free = std::none_of(taken.begin(), taken.end(), [&](const Taken& t) {
      return t.life.first <= life.last && t.life.last >= life.first && sets.meet(t.set, set) && t.begin < at + bytes && t.end > at;
    });
    if (!free) continue;
    last = at;
    if (from == Addresses::Over::From::below) return at;
  }
  return last;
}

TEST(Addresses, RoomIsFoundWhereASearchOfEveryAddressFindsIt) {
  chip::Memory memory;
  memory.bytes.value = kBytes;
  memory.alignment = kAlignment;
  std::mt19937 random(7);
  const auto draw = [&](int least, int most) { return least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1)); };
  int found = 0, full = 0;
  for (int round = 0; round < 60; ++round) {
    ComponentSets sets;
    const std::vector<int> numbers{sets.number_of({0, 1, 2, 3}), sets.number_of({1, 0}), sets.number_of({3, 2}), sets.number_of({2})};
    EXPECT_TRUE(sets.meet(numbers[0], numbers[3]) && sets.meet(numbers[2], numbers[3]));
    EXPECT_FALSE(sets.meet(numbers[1], numbers[2]));
    Addresses addresses(memory, kContexts, sets);
    std::vector<Taken> taken;
    for (int k = 0; k < 40; ++k) {
      const int first = draw(0, kContexts - 1);
      const Life life{first, draw(first, kContexts - 1)};
      const auto from = draw(0, 1) == 0 ? Addresses::Over::From::below : Addresses::Over::From::above;
      Addresses::Over over(addresses, life, from);
      std::vector<Taken> besides = taken;
      for (int i = draw(1, 3); i > 0; --i) {  // what one after the other take together
        const std::int64_t bytes = draw(1, 700);
        const int set = numbers[static_cast<std::size_t>(draw(0, 3))];
        const auto expected = search(besides, sets, life, bytes, set, from);
        const auto at = over.take(bytes, set);
        ASSERT_EQ(at, expected) << "round " << round << ", life " << life.first << " to " << life.last;
        if (!at) {
          ++full;
          continue;
        }
        ++found;
        besides.push_back({life, *at, *at + bytes, set});
        if (draw(0, 3) == 0) continue;
        addresses.take(life, *at, bytes, set);
        taken.push_back(besides.back());
      }
    }
  }
  EXPECT_GT(found, 1000);
  EXPECT_GT(full, 1000);
}

}  // namespace
}  // namespace switchyard::compiler
