#include "program/succession.h"

#include <gtest/gtest.h>

namespace switchyard::program {
namespace {

/// Two arrays of four instances, an actor on each, and a channel from the neighbour before.
Context sample(std::vector<bool> given, std::vector<bool> taken) {
  Context c;
  for (int a = 0; a < 2; ++a) {
    Array array;
    array.shape = {4};
    for (std::uint32_t i = 0; i < 4; ++i) array.components.push_back(static_cast<std::uint32_t>(4 * a) + i);
    c.arrays.push_back(array);
    Actor actor;
    actor.array = ArrayId(static_cast<std::size_t>(a));
    actor.loops = {{"t", 3, numerics::LoopKind::parallel}, {"n", 5, numerics::LoopKind::parallel}};
    Port port;
    port.input = a == 1;
    port.token.shape = {0};
    port.kept = a == 1 ? taken : given;
    actor.ports.push_back(port);
    c.actors.push_back(actor);
  }
  Channel channel;
  channel.from = {ActorId(std::size_t{0}), 0};
  channel.to.push_back({{ActorId(std::size_t{1}), 0}, {}});
  channel.relation.coordinates.push_back({numerics::affine_variable(0) + numerics::affine_constant(-1), 0});
  c.channels.push_back(channel);
  return c;
}

TEST(Succession, AllOfItWhereOneTokenStandsForAll) {
  const Context c = sample({true, true}, {true, true});
  Succession s(c);
  EXPECT_EQ(s.lead(1, 2, 0, 1), Succession::kAll);
  EXPECT_EQ(s.lead(1, 2, 0, 2), 0) << "another instance";
  EXPECT_EQ(s.lead(1, 0, 0, 0), 0) << "nobody before the first";
  EXPECT_EQ(s.lead(0, 1, 1, 2), 0) << "not the other way round";
}

TEST(Succession, StepByStep) {
  Context c = sample({false, true}, {false, true});
  EXPECT_EQ(Succession(c).lead(1, 2, 0, 1), 1);
  c.actors[1].ports[0].window = Window{0, 2, 1, 0, 1, true, 0};
  EXPECT_EQ(Succession(c).lead(1, 2, 0, 1), 2);
  c.actors[1].ports[0].window->pad_after = 0;  // then the last position is a token, and the first ones mean less
  EXPECT_EQ(Succession(c).lead(1, 2, 0, 1), 0);
}

TEST(Succession, NothingIsSaidOfOtherTokens) {
  EXPECT_EQ(Succession(sample({false, false}, {false, false})).lead(1, 2, 0, 1), 0);
  EXPECT_EQ(Succession(sample({true, false}, {true, false})).lead(1, 2, 0, 1), 0);
  Context c = sample({true, true}, {true, true});
  c.channels[0].initial = 1;
  EXPECT_EQ(Succession(c).lead(1, 2, 0, 1), 0);
  c = sample({true, true}, {true, true});
  c.actors[1].ports[0].guard = {{0, 0, 1}};
  EXPECT_EQ(Succession(c).lead(1, 2, 0, 1), 0);
  c = sample({false, true}, {false, true});
  c.actors[1].loops[0].trip = 4;
  EXPECT_EQ(Succession(c).lead(1, 2, 0, 1), 0);
}

}  // namespace
}  // namespace switchyard::program
