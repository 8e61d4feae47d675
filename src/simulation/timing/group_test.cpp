// Contexts in flight together and messages to spread buffers: programs small enough that their time can be said beforehand.
#include <gtest/gtest.h>

#include <random>

#include "simulation/timing/sample.h"

namespace switchyard::simulation::timing {
namespace {

using numerics::affine_constant;
using numerics::affine_variable;

constexpr std::int64_t kToken = 65536;
constexpr std::int64_t kLoad = 655360;  // ps of one token at 100 GB/s

Timing time_of(const SampleProgram& p) {
  auto timing = time_program(p.program);
  if (!timing) {
    ADD_FAILURE() << format_failure(timing.failure());
    return {};
  }
  return timing.value();
}

std::int64_t cause(const Timing& t, Cause c) { return t.attribution[static_cast<std::size_t>(c)].value; }
std::int64_t cause(const ContextTiming& t, Cause c) { return t.attribution[static_cast<std::size_t>(c)].value; }

/// A context that works `ns` nanoseconds, then one that loads a token early, and works 500 ns on it.
SampleProgram two_contexts(const SampleChip& chip, std::int64_t ns, bool early = true) {
  SampleProgram p(chip);
  p.compute(p.array(1), {}, ns);
  p.context("second");
  const auto tile = p.array(1);
  const auto load = p.load(tile, {}, p.buffer(kToken), {});
  p.here().actors[load].early = early;
  p.channel(load, p.compute(tile, {}, 500), kToken, 1);
  return p;
}

TEST(Groups, AnEarlyLoadHidesBehindTheContextBefore) {
  SampleChip chip;
  chip.barrier_alpha = 1e-6;
  chip.launch = 7e-6;
  const Timing t = time_of(two_contexts(chip, 1000));
  EXPECT_EQ(t.latency.value, 7'000'000 + 1'000'000 + 1'000'000 + 500'000);
  EXPECT_EQ(cause(t, Cause::compute), 1'500'000);
  EXPECT_EQ(cause(t, Cause::control), 7'000'000 + 1'000'000);
  EXPECT_EQ(t.launch.value, 7'000'000);
  EXPECT_EQ(t.contexts[0].span.value, 1'000'000);
  EXPECT_EQ(t.contexts[0].share.value, 1'000'000);
  EXPECT_EQ(t.contexts[1].start.value, 7'000'000);
  EXPECT_EQ(t.contexts[1].span.value, 2'500'000);
  EXPECT_EQ(t.contexts[1].share.value, 1'500'000);
  EXPECT_EQ(cause(t.contexts[1], Cause::control), 1'000'000);
  const Timing late = time_of(two_contexts(chip, 1000, false));
  EXPECT_EQ(late.latency.value, t.latency.value + kLoad);
}

TEST(Groups, TellWhoseBytesTheMemoryServedWhileEachWasBusy) {
  const auto ahead = [](const Timing& t, std::size_t c, std::uint32_t contexts) {
    std::int64_t bytes = 0;
    for (const ContextTiming::Ahead& a : t.contexts[c].ahead) bytes += a.contexts == contexts ? a.bytes : 0;
    return bytes;
  };
  for (const std::int64_t ns : {100, 1000}) {  // the load takes 655 ns: some of it is left for the second context, or none
    const Timing t = time_of(two_contexts(SampleChip{}, ns));
    EXPECT_TRUE(t.contexts[0].ahead.empty());
    EXPECT_EQ(t.contexts[0].served.value, std::min(kLoad, ns * 1000));
    EXPECT_NEAR(static_cast<double>(ahead(t, 1, 1)), static_cast<double>(kToken * t.contexts[0].served.value) / kLoad, 1);
    EXPECT_EQ(t.contexts[1].served.value, kLoad - t.contexts[0].served.value);
    const Timing late = time_of(two_contexts(SampleChip{}, ns, false));
    EXPECT_TRUE(late.contexts[1].ahead.empty());
    EXPECT_EQ(late.contexts[0].served.value, 0);
    EXPECT_EQ(late.contexts[1].served.value, kLoad);
  }
}

TEST(Groups, WhatIsNotHiddenIsOfTheLaterContext) {
  const Timing t = time_of(two_contexts(SampleChip{}, 100));
  EXPECT_EQ(t.latency.value, kLoad + 500'000);
  EXPECT_EQ(t.contexts[0].share.value, 0);
  EXPECT_EQ(t.contexts[0].span.value, 100'000);
  EXPECT_EQ(cause(t.contexts[1], Cause::memory), kLoad);
  EXPECT_EQ(t.contexts[1].share, t.latency);
}

TEST(Groups, EarlyActorsWaitForTheContextsTheyName) {
  SampleProgram p{SampleChip{}};
  p.compute(p.array(1), {}, 300);
  p.context("second");
  p.compute(p.array(1), {}, 200);
  p.context("third");
  const auto tile = p.array(1);
  const auto load = p.load(tile, {}, p.buffer(kToken), {});
  p.here().actors[load].early = true;
  p.here().early_after.emplace_back(0);
  p.channel(load, p.compute(tile, {}, 500), kToken, 1);
  const Timing t = time_of(p);
  EXPECT_EQ(t.latency.value, 300'000 + kLoad + 500'000);
  EXPECT_EQ(t.contexts[0].share.value, 300'000);
  EXPECT_EQ(t.contexts[1].share.value, 0);
  EXPECT_EQ(t.contexts[2].start.value, 300'000);
  EXPECT_EQ(t.contexts[2].share.value, kLoad + 500'000);
}

TEST(Groups, TheEarlierContextGoesFirst) {
  SampleChip chip;
  chip.outstanding = 1;
  SampleProgram p(chip);
  const auto tile = p.array(1);
  const auto data = p.buffer(3 * kToken);
  p.channel(p.load(tile, {3}, data, affine_variable(1, kToken / 4)), p.compute(tile, {3}, 100), kToken, 3);
  p.context("second");
  const auto again = p.array(1);
  const auto load = p.load(again, {2}, data, affine_variable(1, kToken / 4));
  p.here().actors[load].early = true;
  p.channel(load, p.compute(again, {2}, 500), kToken, 1);
  // Loads of the first context, then one of the second; its ring has one slot, so the next load waits for the first result.
  const Timing t = time_of(p);
  EXPECT_EQ(t.contexts[0].span.value, 3 * kLoad + 100'000);
  EXPECT_EQ(t.latency.value, 4 * kLoad + 500'000 + kLoad + 500'000);
}

TEST(Groups, CommandsOfTheEarlierContextAreIssuedFirst) {
  SampleChip chip;
  chip.issue = 100e-9;
  chip.queue_depth = 4;
  SampleProgram p(chip);
  p.compute(p.array(1), {8}, 10);
  p.context("second");
  const auto tile = p.array(1);
  const auto load = p.load(tile, {4}, p.buffer(4 * kToken), affine_variable(1, kToken / 4));
  p.here().actors[load].early = true;
  p.channel(load, p.compute(tile, {4}, 500), kToken, 4);
  const Timing t = time_of(p);
  EXPECT_EQ(t.contexts[0].span.value, 8 * 100'000 + 10'000);
}

TEST(Groups, ConfigurationsAreLoadedInTheBackground) {
  for (const auto& [resident, expected] : {std::pair<std::int64_t, std::int64_t>{1, 3 * 1'400'000}, {2, 3 * 1'000'000 + 400'000}}) {
    for (const std::int64_t ns : {400, 1700}) {
      SampleChip chip;
      chip.configuration = 1e5;
      chip.resident = resident;
      chip.launch = 5e-6;
      SampleProgram p(chip);
      for (const char* name : {"second", "third"}) {
        p.compute(p.array(1), {}, ns);
        p.context(name);
      }
      p.compute(p.array(1), {}, ns);
      const Timing t = time_of(p);
      // Long contexts hide all loads but the first, and the third, which begins when the first context has made room, too.
      const std::int64_t total = ns == 400 ? expected : resident == 1 ? 3 * 2'700'000 : 1'000'000 + 3 * 1'700'000;
      EXPECT_EQ(t.latency.value, 5'000'000 + total) << resident << " " << ns;
      EXPECT_EQ(cause(t, Cause::reconfiguration), total - 3 * ns * 1000);
      EXPECT_EQ(t.resources.at(0).busy.value, 3'000'000);
    }
  }
}

TEST(Groups, ConfigurationsMayBeThoseOfTheTilesInUse) {
  for (const bool grid : {false, true}) {
    SampleChip chip;
    chip.columns = 4;
    chip.grid = grid;
    chip.configuration = 25e3;  // 0.25 us
    chip.per_tile = true;
    SampleProgram p(chip);
    std::int64_t loads = 0;
    for (const std::int64_t tiles : {1, 4, 2}) {
      if (loads > 0) p.context("next");
      p.compute(p.array(tiles, grid), {}, 400);
      p.compute(p.array(1, grid), {}, 100);  // tile 0 once more, at the same time where it can
      loads += grid ? 4 : tiles;
    }
    const Timing t = time_of(p);
    EXPECT_EQ(cause(t, Cause::reconfiguration), loads * 250'000);
    EXPECT_EQ(t.resources.at(0).busy.value, loads * 250'000);
    EXPECT_EQ(t.resources.at(0).bytes, loads * 25'000);
  }
}

TEST(Groups, MoreInstancesThanCanBeFollowedAreRefused) {
  SampleChip chip;
  chip.grid = true;
  chip.slots = std::int64_t{1} << 31;
  SampleProgram p(chip);
  p.compute(p.array(std::int64_t{1} << 31, true), {}, 1);
  const auto timing = time_program(p.program);
  ASSERT_FALSE(timing.ok());
  EXPECT_EQ(timing.failure().kind, FailureKind::unsupported);
  EXPECT_EQ(timing.failure().diagnostics.at(0).code, "simulation/too-large");
}

TEST(Groups, EndlessWaitsNameTheContext) {
  SampleProgram p = two_contexts(SampleChip{}, 100);
  const auto tile = p.array(1);
  const auto first = p.compute(tile, {}, 1), second = p.compute(tile, {}, 1);
  p.channel(first, second, 64, 1);
  p.channel(second, first, 64, 1);
  const auto timing = time_program(p.program);
  ASSERT_FALSE(timing.ok());
  EXPECT_EQ(timing.failure().diagnostics.at(0).code, "simulation/deadlock");
  EXPECT_TRUE(timing.failure().diagnostics[0].message.starts_with("context 'second' cannot go on after 1155360 ps: compute[0] waits"));
}

// ----------------------------------------------------------------------------------------------------------------- messages

TEST(Messages, HalosArePushedToTheNeighbours) {
  SampleChip chip;
  chip.columns = 3;
  chip.startup = 50e-9;
  chip.hop = 5e-9;
  const std::int64_t own = 16384, halo = 4096;
  SampleProgram p(chip);
  const auto all = p.array(3);
  const auto t = p.spread(3 * own, 3, affine_variable(0, own) + affine_constant(-halo), own + 2 * halo);
  const auto make = p.compute(all, {4}, 10);
  const auto push = p.copy(all, kSend, {2}, t, t, affine_variable(0, own), own);
  p.order(make, push);
  const Timing timing = time_of(p);
  const std::int64_t message = 50'000 + 128'000 + 5'000;  // 16 KiB at 128 GB/s
  EXPECT_EQ(timing.latency.value, 4 * 10'000 + 2 * message);
  EXPECT_EQ(timing.transfers, 4);  // the outer tiles have one neighbour: their second message does not exist
  EXPECT_EQ(timing.firings, 12 + 4);
  EXPECT_EQ(timing.link_bytes, 4 * 4 * halo);
  EXPECT_EQ(timing.network_bytes, 4 * 4 * halo);
  EXPECT_EQ(timing.offchip_read + timing.offchip_written, 0);
  EXPECT_EQ(cause(timing, Cause::control), 2 * 50'000);
  EXPECT_EQ(cause(timing, Cause::interconnect), 2 * 133'000);
}

TEST(Messages, WhatAllNeedIsMulticast) {
  SampleChip chip;
  chip.columns = 4;
  chip.startup = 50e-9;
  const std::int64_t own = 4096;
  SampleProgram p(chip);
  const auto all = p.array(4);
  const auto t = p.spread(4 * own, 4, affine_constant(0), 4 * own);
  p.copy(all, kSend, {1}, t, t, affine_variable(0, own), own);
  const Timing timing = time_of(p);
  EXPECT_EQ(timing.latency.value, 50'000 + 3 * 128'000);  // three messages over the last link of the row
  EXPECT_EQ(timing.transfers, 4);
  EXPECT_EQ(timing.network_bytes, 4 * 4 * own);
  EXPECT_EQ(timing.link_bytes, 4 * 3 * 4 * own);
}

TEST(Messages, TheOwnCopyTakesNoLink) {
  SampleChip chip;
  chip.columns = 2;
  chip.startup = 50e-9;
  chip.engine = 128e9;
  const std::int64_t own = 4096;
  SampleProgram p(chip);
  const auto all = p.array(2);
  const auto from = p.spread(2 * own, 2, affine_variable(0, own), own), to = p.spread(2 * own, 2, affine_variable(0, own), own);
  const auto out = p.buffer(4 * 2 * own, program::BufferRole::output);
  p.copy(all, kSend, {1}, from, to, affine_variable(0, own), own);
  const Timing t = time_of(p);
  EXPECT_EQ(t.latency.value, 50'000 + 128'000);
  EXPECT_EQ(t.link_bytes, 0);
  p.context("store");
  p.copy(p.array(2), kStore, {1}, to, out, affine_variable(0, own), own);
  const Timing both = time_of(p);
  EXPECT_EQ(both.offchip_written, 4 * 2 * own);
  EXPECT_EQ(both.link_bytes, 4 * own);
  EXPECT_EQ(both.offchip_read, 0);
}

TEST(Messages, PlacesNeverWait) {
  SampleProgram p{SampleChip{}};
  const auto t = p.spread(64, 1, affine_constant(0), 64);
  const auto work = p.compute(p.array(1), {4}, 10);
  program::BufferAccess place;
  place.buffer = program::BufferId(t);
  place.start = {affine_constant(0)};
  place.region = {{0, 64}};
  for (const bool input : {true, false}) {
    const int port = p.port(work, input, 256);
    p.here().actors[work].ports[static_cast<std::size_t>(port)].place = place;
  }
  const Timing timing = time_of(p);
  EXPECT_EQ(timing.latency.value, 40'000);
  EXPECT_EQ(timing.firings, 4);
}

// ------------------------------------------------------------------------------------------------------------------- laws

/// Contexts of loads, sends and stores; every other one fetches early, some as many as two contexts before.
SampleProgram random_group(std::uint32_t seed, bool early) {
  std::mt19937 random(seed);
  const auto pick = [&](std::initializer_list<std::int64_t> list) { return list.begin()[random() % list.size()]; };
  SampleChip chip;
  chip.rows = pick({1, 2});
  chip.columns = pick({1, 2, 4});
  chip.issue = static_cast<double>(pick({0, 20, 100})) * 1e-9;
  chip.startup = static_cast<double>(pick({0, 100, 700})) * 1e-9;
  chip.hop = static_cast<double>(pick({0, 5})) * 1e-9;
  chip.outstanding = pick({1, 2, 4});
  chip.queue_depth = pick({1, 2, 6});
  chip.barrier_alpha = static_cast<double>(pick({0, 300})) * 1e-9;
  chip.switch_time = static_cast<double>(pick({0, 200})) * 1e-9;
  chip.configuration = static_cast<double>(pick({0, 10000}));
  chip.resident = pick({2, 4});
  SampleProgram p(chip);
  const std::int64_t tiles = chip.rows * chip.columns;
  const std::size_t contexts = 2 + random() % 5;
  for (std::size_t c = 0; c < contexts; ++c) {
    if (c > 0) p.context("next");
    const auto all = p.array(tiles);
    const std::int64_t bytes = pick({64, 4096, 20000, 65536});
    const std::vector<std::int64_t> trips{pick({1, 2, 6})};
    const auto whole = p.buffer(tiles * 8 * bytes), out = p.buffer(tiles * 8 * bytes);
    const auto start = affine_variable(0, 2 * bytes) + affine_variable(1, bytes / 4);
    const auto load = p.load(all, trips, whole, start);
    p.here().actors[load].early = random() % 2 == 0 && early;
    const std::size_t ahead = 1 + random() % 2;
    for (std::size_t before = 0; before + ahead < c; ++before) p.here().early_after.emplace_back(before);
    const auto work = p.compute(all, trips, pick({10, 300, 2000}));
    p.channel(load, work, bytes, pick({1, 2, 3}));
    if (random() % 2 == 0) {
      p.channel(work, p.store(all, trips, out, start), bytes, pick({1, 2}));
    } else {
      const std::int64_t own = 1024;
      const auto part = p.spread(tiles * own, tiles, affine_variable(0, own) + affine_constant(-256), own + 512);
      p.order(work, p.copy(all, kSend, {2}, part, part, affine_variable(0, own), own));
    }
  }
  return p;
}

TEST(Groups, LawsHold) {
  std::int64_t faster = 0, slower = 0;
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    const Timing t = time_of(random_group(seed, true)), late = time_of(random_group(seed, false));
    Picoseconds sum, shares = t.launch;
    for (const Picoseconds part : t.attribution) {
      EXPECT_GE(part.value, 0);
      sum += part;
    }
    EXPECT_EQ(sum, t.latency);
    for (const ContextTiming& c : t.contexts) {
      shares += c.share;
      EXPECT_LE(c.start + c.span, t.latency);
    }
    EXPECT_EQ(shares, t.latency);
    EXPECT_EQ(t.firings, late.firings);
    EXPECT_EQ(t.transfers, late.transfers);
    EXPECT_EQ(t.offchip_read, late.offchip_read);
    EXPECT_EQ(t.link_bytes, late.link_bytes);
    // What is fetched early takes bandwidth from the context that runs; where that one waits for it, a little is lost.
    EXPECT_LE(t.latency.value, late.latency.value + late.latency.value / 20);
    faster += t.latency < late.latency;
    slower += t.latency > late.latency;
    const Timing again = time_of(random_group(seed, true));
    EXPECT_EQ(again.latency, t.latency);
    EXPECT_EQ(again.attribution, t.attribution);
    EXPECT_EQ(again.events, t.events);
  }
  EXPECT_GT(faster, 200);
  EXPECT_LT(slower, 20);
}

}  // namespace
}  // namespace switchyard::simulation::timing
