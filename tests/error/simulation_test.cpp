// The exact text of what cannot be executed or timed: small programs built in code, broken in one way.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "simulation/timing.h"
#include "simulation/timing/sample.h"

namespace switchyard::simulation {
namespace {

using namespace timing;

constexpr std::int64_t kToken = 1024;

/// A load and an actor that takes its tokens, on the two tiles of a small chip.
SampleProgram good() {
  SampleChip options;
  options.columns = 2;
  SampleProgram p(options);
  const std::size_t from = p.buffer(kToken, program::BufferRole::input), tiles = p.array(2);
  const std::size_t load = p.load(tiles, {3}, from, {}), work = p.compute(tiles, {3}, 1);
  p.channel(load, work, kToken, 2);
  return p;
}

struct Case {
  const char* title;
  std::function<void(program::Program&)> spoil;
  FailureKind kind;
  const char* screen;  ///< all that is printed
};

program::Context& context(program::Program& p) { return p.contexts[0]; }

const Case kTiming[] = {
    {"an array that lists one component of two", [](program::Program& p) { context(p).arrays[0].components.pop_back(); },
     FailureKind::malformed, "error: array 'a' does not list its components [simulation/array]\n"},
    {"too many loops",
     [](program::Program& p) {
       auto& actor = context(p).actors[1];
       actor.loops.assign(40, {"l", 1, numerics::LoopKind::parallel});
     },
     FailureKind::unsupported, "error: actor 'compute' has more than 32 loops [simulation/loops]\n"},
    {"a unit without rates",
     [](program::Program& p) {
       auto chip = std::make_shared<chip::Chip>(*p.chip);
       chip->units[kVector].rates.clear();
       p.chip = chip;
     },
     FailureKind::unsupported,
     "error: unit 'vector' has no map rate for a statement of actor 'compute' in context 'main' [simulation/no-rate]\n"},
    {"a box of two dimensions", [](program::Program& p) { context(p).actors[0].source->start.emplace_back(); }, FailureKind::malformed,
     "error: actor 'load' moves a box of another rank than its token [simulation/box-rank]\n"},
    {"a producer that gives less than is taken", [](program::Program& p) { context(p).actors[0].loops[0].trip = 2; },
     FailureKind::malformed,
     "error: context 'main' cannot go on after 41960 ps: compute[0] l0=2 waits for a token of channel 'c0'; compute[1] l0=2 waits for a "
     "token of channel 'c0' [simulation/deadlock]\n"
     "  hint: give the channels named more depth, or break the cycle of actors that wait for each other\n"},
    {"a grid whose instances talk",
     [](program::Program& p) {
       auto chip = std::make_shared<chip::Chip>(*p.chip);
       chip->sequencer.kind = chip::SequencerKind::grid;
       p.chip = chip;
       context(p).arrays[0].dynamic = true;
       context(p).arrays[0].components.clear();
       context(p).channels[0].relation.coordinates[0].source.constant = 1;
     },
     FailureKind::unsupported, "error: channel 'c0' joins different instances of a grid [simulation/grid-channel]\n"},
};

TEST(Simulation, SaysWhatCannotBeTimed) {
  ASSERT_TRUE(time_program(good().program).ok());
  for (const Case& c : kTiming) {
    SampleProgram p = good();
    c.spoil(p.program);
    const auto timing = time_program(p.program);
    ASSERT_FALSE(timing.ok()) << c.title;
    EXPECT_EQ(timing.failure().kind, c.kind) << c.title;
    EXPECT_EQ(format_failure(timing.failure()), c.screen) << c.title;
  }
}

}  // namespace
}  // namespace switchyard::simulation
