// Closed forms: programs small enough that their time can be said beforehand.
#include "simulation/timing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "simulation/timing/sample.h"

namespace switchyard::simulation {
namespace {

using namespace timing;
using numerics::affine_constant;
using numerics::affine_variable;

constexpr std::int64_t kToken = 65536;
constexpr std::int64_t kDramTime = 655360;  // ps of one token at 100 GB/s
constexpr std::int64_t kLinkTime = 512000;  // at 128 GB/s

Timing time_of(const SampleProgram& p, const TimingOptions& options = {}) {
  auto timing = time_program(p.program, options);
  if (!timing) {
    ADD_FAILURE() << format_failure(timing.failure());
    return {};
  }
  return timing.value();
}

std::int64_t cause(const Timing& t, Cause c) { return t.attribution[static_cast<std::size_t>(c)].value; }

TEST(Timing, OneLoadIsStartUpLatencyAndTheSlowestStage) {
  SampleChip chip;
  chip.columns = 4;
  chip.hop = 5e-9;
  chip.dram_latency = 100e-9;
  chip.startup = 300e-9;
  SampleProgram p(chip);
  const auto tile = p.array(1, false, 3);
  const auto load = p.load(tile, {}, p.buffer(kToken, program::BufferRole::constant), {});
  p.channel(load, p.compute(tile, {}, 1), kToken, 1);
  const Timing t = time_of(p);
  EXPECT_EQ(t.latency.value, 300'000 + 100'000 + 3 * 5'000 + kDramTime + 1'000);
  EXPECT_EQ(cause(t, Cause::control), 300'000);
  EXPECT_EQ(cause(t, Cause::memory), 100'000 + kDramTime);
  EXPECT_EQ(cause(t, Cause::interconnect), 15'000);
  EXPECT_EQ(cause(t, Cause::compute), 1'000);
  EXPECT_EQ(t.offchip_read, kToken);
  EXPECT_EQ(t.offchip_constants, kToken);
  EXPECT_EQ(t.network_bytes, kToken);
  EXPECT_EQ(t.link_bytes, 3 * kToken);
  EXPECT_EQ(t.transfers, 1);
  EXPECT_EQ(t.firings, 2);
}

TEST(Timing, APartialChunkIsChargedItsOwnSize) {
  SampleProgram p{SampleChip{}};
  const auto tile = p.array(1);
  const auto load = p.load(tile, {}, p.buffer(20000), {});
  p.channel(load, p.compute(tile, {}, 1), 20000, 1);
  EXPECT_EQ(time_of(p).latency.value, 200'000 + 20'000 + 1'000 - 4'000 - 16'384 + 384);  // 3616 bytes after 16384: engine 1 TB/s hides
}

TEST(Timing, TwoTransfersShareALink) {
  SampleChip chip;
  chip.columns = 3;
  chip.outstanding = 2;
  SampleProgram p(chip);
  for (const std::uint32_t source : {0u, 1u}) {
    const auto from = p.array(1, false, source), to = p.array(1, false, 2);
    const auto make = p.compute(from, {8}, 1), send = p.send(from, {8}), use = p.compute(to, {8}, 1);
    p.channel(make, send, kToken, 2);
    p.channel(send, use, kToken, 2);
  }
  const Timing t = time_of(p);
  EXPECT_GE(t.latency.value, 16 * kLinkTime);
  EXPECT_LE(t.latency.value, 16 * kLinkTime * 101 / 100);
  EXPECT_GT(cause(t, Cause::interconnect), t.latency.value * 9 / 10);
}

TEST(Timing, LoadsShareTheMemory) {
  for (const std::int64_t tiles : {1, 4, 16}) {
    SampleChip chip;
    chip.rows = tiles;
    chip.outstanding = 2;
    SampleProgram p(chip);
    const auto all = p.array(tiles);
    const auto load = p.load(all, {10}, p.buffer(kToken * 10), affine_variable(1, kToken / 4));
    p.channel(load, p.compute(all, {10}, 1), kToken, 2);
    const Timing t = time_of(p);
    const std::int64_t bound = 10 * tiles * kDramTime;
    EXPECT_GE(t.latency.value, bound) << tiles;
    EXPECT_LE(t.latency.value, bound * 101 / 100) << tiles;
    EXPECT_EQ(t.resources.at(0).name, "ddr");
    EXPECT_EQ(t.resources.at(0).busy.value, bound);
    EXPECT_EQ(t.resources.at(0).bytes, 10 * tiles * kToken);
  }
}

TEST(Timing, ShortRunsCostWholeGranules) {
  SampleChip chip;
  chip.granule = 64;
  SampleProgram p(chip);
  const auto tile = p.array(1);
  const auto buffer = p.buffer(16 * 1024);
  p.program.buffers[buffer].shape = {64, 64};
  p.program.buffers[buffer].order = {0, 1};
  const auto load = p.load(tile, {}, buffer, {});
  program::BufferAccess& access = *p.here().actors[load].source;
  access.start = {affine_constant(0), affine_constant(-4)};
  access.region = {{0, 64}, {0, 64}};
  p.channel(load, p.compute(tile, {}, 1), 4, 1);
  for (auto& actor : p.here().actors) {
    for (auto& port : actor.ports) {
      port.token.shape = {32, 8};
      port.token.order = {0, 1};
    }
  }
  const Timing t = time_of(p);
  EXPECT_EQ(t.offchip_read, 32 * 4 * 4);  // half of each row lies outside
  EXPECT_EQ(t.resources.at(0).bytes, 32 * 64);
}

TEST(Timing, DepthTwoOverlapsAndDepthOneDoesNot) {
  struct Case {
    std::int64_t depth, ns, expected;
  };
  const std::int64_t load_time = kDramTime;
  for (const Case& c : {Case{1, 1000, 10 * (load_time + 1'000'000)}, Case{2, 1000, load_time + 10 * 1'000'000},
                        Case{1, 100, 10 * (load_time + 100'000)}, Case{2, 100, 10 * load_time + 100'000}}) {
    SampleProgram p{SampleChip{}};
    const auto tile = p.array(1);
    const auto load = p.load(tile, {10}, p.buffer(kToken * 10), affine_variable(1, kToken / 4));
    p.channel(load, p.compute(tile, {10}, c.ns), kToken, c.depth);
    EXPECT_EQ(time_of(p).latency.value, c.expected) << c.depth << " " << c.ns;
  }
}

TEST(Timing, CommandsAreIssuedOneAfterTheOther) {
  for (const auto& [depth, expected] :
       {std::pair<std::int64_t, std::int64_t>{1, 50 * 101'000}, {2, 50 * 100'000 + 1'000}, {6, 50 * 100'000 + 1'000}}) {
    SampleChip chip;
    chip.issue = 100e-9;
    chip.queue_depth = depth;
    SampleProgram p(chip);
    p.compute(p.array(1), {50}, 1);
    const Timing t = time_of(p);
    EXPECT_EQ(t.latency.value, expected) << depth;
    EXPECT_EQ(cause(t, Cause::control), 50 * 100'000);
  }
  SampleChip chip;  // two actors of one component share its control core
  chip.issue = 100e-9;
  chip.queue_depth = 4;
  SampleProgram p(chip);
  const auto tile = p.array(1);
  p.compute(tile, {50}, 1);
  p.compute(tile, {50}, 1);
  EXPECT_EQ(time_of(p).latency.value, 100 * 100'000 + 1'000);
}

TEST(Timing, EachEngineOfAMoverHasAQueue) {
  constexpr std::int64_t kFirings = 9, kIssue = 100'000, kStartup = 1'000'000, kBytes = 1'000, kPass = 10'000;
  for (const std::int64_t engines : {1, 3}) {
    SampleChip chip;
    chip.issue = 100e-9;
    chip.startup = 1e-6;
    chip.engines = engines;
    SampleProgram p(chip);
    const auto tile = p.array(1);
    const auto load = p.load(tile, {kFirings}, p.buffer(kBytes * kFirings), affine_variable(1, kBytes / 4));
    p.channel(load, p.compute(tile, {kFirings}, 0), kBytes, kFirings);
    // Each queue has its next command when its transfer has ended; the control core is behind by the issue of the others at the start.
    const std::int64_t rounds = kFirings / engines;
    EXPECT_EQ(time_of(p).latency.value, rounds * (kIssue + kStartup + kPass) + (engines - 1) * kIssue) << engines;
  }
}

TEST(Timing, AReductionOfPlainValuesIsOneOperationAPoint) {
  for (const bool computed : {false, true}) {
    SampleProgram p{SampleChip{}};
    program::Actor& a = p.here().actors[p.compute(p.array(1), {}, 100)];
    program::Statement& s = a.statements[0];
    s.kinds = {numerics::LoopKind::reduction};
    s.combiner = numerics::Combiner::max;
    a.states.push_back(a.states[0]);
    a.states[1].token.shape = {100};
    s.reads = {{1, {affine_variable(0)}, {}}};
    s.expression = numerics::expr_input(0);
    if (computed) s.expression = numerics::apply(numerics::ScalarOp::neg, s.expression);
    EXPECT_EQ(time_of(p).latency.value, computed ? 200'000 : 100'000);
  }
}

TEST(Timing, FiringsThatCostNothingAreNotIssued) {
  SampleChip chip;
  chip.issue = 100e-9;
  SampleProgram p(chip);
  const auto work = p.compute(p.array(1), {50}, 10);
  p.here().actors[work].statements[0].guard = {{0, 0, 3}};
  const Timing t = time_of(p);
  EXPECT_EQ(t.firings, 3);
  EXPECT_EQ(t.latency.value, 3 * 110'000);
}

/// Every tile passes what it got on to its right; after n - 1 rounds each has seen all.
SampleProgram all_gather(std::int64_t tiles, std::int64_t depth) {
  SampleChip chip;
  chip.columns = tiles;
  chip.startup = 50e-9;
  SampleProgram p(chip);
  const auto all = p.array(tiles);
  const auto own = p.compute(all, {}, 1), send = p.send(all, {tiles});
  const int in = p.port(send, true, kToken), out = p.port(send, false, kToken);
  p.here().actors[send].ports[static_cast<std::size_t>(out)].guard = {{0, 0, -1}};
  p.join(own, p.port(own, false, kToken), send, in, 1).to[0].domain = {0, 0, 1};
  p.join(send, out, send, in, depth, affine_variable(0) + affine_constant(-1), tiles).to[0].domain = {0, 1};
  return p;
}

TEST(Timing, RingAllGather) {
  const Timing t = time_of(all_gather(8, 2));
  EXPECT_EQ(t.latency.value, 1'000 + 7 * (50'000 + kLinkTime));
  EXPECT_EQ(t.transfers, 8 * 7);
  EXPECT_EQ(t.network_bytes, 8 * 7 * kToken);
}

TEST(Timing, ARingOfDepthOneIsADeadlockAndSaysWhoWaits) {
  const auto timing = time_program(all_gather(3, 1).program);
  ASSERT_FALSE(timing.ok());
  EXPECT_EQ(timing.failure().kind, FailureKind::malformed);
  ASSERT_EQ(timing.failure().diagnostics.size(), 1u);
  EXPECT_EQ(timing.failure().diagnostics[0].code, "simulation/deadlock");
  EXPECT_EQ(timing.failure().diagnostics[0].message,
            "context 'main' cannot go on after 563000 ps: send[0] l0=1 waits for space in channel 'c1'; "
            "send[1] l0=1 waits for space in channel 'c1'; send[2] l0=1 waits for space in channel 'c1'");
}

TEST(Timing, MulticastTakesEachLinkOnce) {
  SampleChip chip;
  chip.columns = 4;
  chip.hop = 5e-9;
  SampleProgram p(chip);
  const auto root = p.array(1), others = p.array(3, false, 1);
  const auto make = p.compute(root, {}, 1), send = p.send(root, {}), use = p.compute(others, {}, 1);
  p.channel(make, send, kToken, 1);
  p.channel(send, use, kToken, 1, affine_constant(0));
  const Timing t = time_of(p);
  EXPECT_EQ(t.latency.value, 1'000 + kLinkTime + 3 * 5'000 + 1'000);
  EXPECT_EQ(t.network_bytes, kToken);
  EXPECT_EQ(t.link_bytes, 3 * kToken);
}

TEST(Timing, AGivenRouteIsTaken) {
  SampleChip chip;
  chip.rows = chip.columns = 2;
  SampleProgram p(chip);
  const auto from = p.array(1), to = p.array(1, false, 1);
  const auto make = p.compute(from, {}, 1), send = p.send(from, {}), use = p.compute(to, {}, 1);
  p.channel(make, send, kToken, 1);
  p.channel(send, use, kToken, 1);
  p.here().actors[send].route = program::Route{chip::NetworkId(0), {{0, 2, 3, 1}}};
  EXPECT_EQ(time_of(p).link_bytes, 3 * kToken);
}

TEST(Timing, LaunchSwitchAndBarrierStandBetweenContexts) {
  for (const bool each : {false, true}) {
    SampleChip chip;
    chip.rows = 4;
    chip.launch = 10e-6;
    chip.launch_per_context = each;
    chip.switch_time = 2e-6;
    chip.barrier_alpha = 1e-6;
    chip.barrier_beta = 0.5e-6;
    SampleProgram p(chip);
    p.compute(p.array(4), {}, 100);
    p.context("second");
    p.compute(p.array(4), {}, 200);
    const Timing t = time_of(p);
    EXPECT_EQ(t.launch.value, each ? 20'000'000 : 10'000'000);
    EXPECT_EQ(t.contexts[0].share.value, 2'000'000 + 100'000);
    EXPECT_EQ(t.contexts[1].share.value, 2'000'000 + 2'000'000 + 200'000);
    EXPECT_EQ(t.contexts[1].span.value, 200'000);
    EXPECT_EQ(t.latency, t.launch + t.contexts[0].share + t.contexts[1].share);
    EXPECT_EQ(cause(t, Cause::reconfiguration), 4'000'000);
    EXPECT_EQ(cause(t, Cause::control), t.launch.value + 2'000'000);
  }
}

TEST(Timing, GridsRunInWaves) {
  struct Case {
    std::int64_t ctas, slots, waves;
  };
  for (const Case& c :
       {Case{1, 1, 1}, Case{4, 1, 1}, Case{5, 1, 2}, Case{8, 1, 2}, Case{1001, 1, 251}, Case{8, 2, 2}, Case{1001, 4, 251}}) {
    SampleChip chip;
    chip.rows = chip.columns = 2;
    chip.grid = true;
    chip.slots = c.slots;
    SampleProgram p(chip);
    p.compute(p.array(c.ctas, true), {}, 100);
    const Timing t = time_of(p);
    EXPECT_EQ(t.latency.value, c.waves * 100'000) << c.ctas << " on " << c.slots;
    EXPECT_EQ(t.firings, c.ctas);
    EXPECT_EQ(cause(t, Cause::imbalance), (4 * c.waves - c.ctas) * 25'000) << c.ctas;
  }
}

TEST(Timing, SlotsOverlapLoadsWithComputing) {
  for (const std::int64_t slots : {1, 2}) {
    SampleChip chip;
    chip.grid = true;
    chip.slots = slots;
    chip.outstanding = 2;
    SampleProgram p(chip);
    const auto ctas = p.array(10, true);
    const auto load = p.load(ctas, {}, p.buffer(kToken * 10), affine_variable(0, kToken / 4));
    p.channel(load, p.compute(ctas, {}, 1000), kToken, 1);
    const std::int64_t expected = slots == 1 ? 10 * (kDramTime + 1'000'000) : kDramTime + 10 * 1'000'000;
    const std::int64_t time = time_of(p).latency.value;
    EXPECT_GE(time, expected);
    EXPECT_LE(time, expected + kDramTime);
  }
}

TEST(Timing, ACacheServesWhatItHolds) {
  // Half of each granule is present when the second context begins; filling the first one evicts the other halves.
  for (const auto& [capacity, first, second] :
       {std::tuple<std::int64_t, std::int64_t, std::int64_t>{1 << 20, 8 * kToken, 0}, {4 * kToken, 16 * kToken, 8 * kToken - kToken / 2}}) {
    SampleChip chip;
    chip.cache = capacity;
    SampleProgram p(chip);
    const auto data = p.buffer(8 * kToken);
    const auto tile = p.array(1);
    const auto load = p.load(tile, {2, 8}, data, affine_variable(2, kToken / 4));
    p.channel(load, p.compute(tile, {2, 8}, 1), kToken, 2);
    EXPECT_EQ(time_of(p).offchip_read, first);
    p.context("again");
    const auto again = p.array(1);
    const auto reload = p.load(again, {8}, data, affine_variable(1, kToken / 4));
    p.channel(reload, p.compute(again, {8}, 1), kToken, 2);
    const Timing t = time_of(p);
    EXPECT_EQ(t.offchip_read, first + second) << capacity;
    EXPECT_GE(t.latency.value, t.offchip_read * 10);
    EXPECT_LE(t.latency.value, (first + second) * 10 + 24 * kToken + 400'000);
  }
}

TEST(Timing, AFirstPassFindsNothingInACache) {
  // More tokens than the cache keeps apart: neighbours share a granule, but none of them has been read before.
  SampleChip chip;
  chip.cache = 1 << 20;
  for (const std::int64_t count : {10'000, 20'000, 70'000}) {
    SampleProgram p(chip);
    constexpr std::int64_t kSmall = 64;
    const auto tile = p.array(1);
    const auto load = p.load(tile, {count}, p.buffer(count * kSmall), affine_variable(1, kSmall / 4));
    p.channel(load, p.compute(tile, {count}, 1), kSmall, 2);
    EXPECT_EQ(time_of(p).offchip_read, count * kSmall);
  }
}

TEST(Timing, ACacheReadsBoxesBesideTheirStepsOnce) {
  // Boxes that begin beside the multiples of their step: a slice of a tensor, a window with padding. Three tiles read each element once:
  // the first to come brings it, the others find it.
  for (const std::int64_t first : {-kToken / 8, std::int64_t{6}, kToken / 8}) {
    SampleChip chip;
    chip.cache = 1 << 22;
    chip.columns = 3;
    SampleProgram p(chip);
    const auto data = p.buffer(8 * kToken);
    const auto tile = p.array(3);
    const auto load = p.load(tile, {8}, data, affine_variable(1, kToken / 4) + affine_constant(first));
    p.channel(load, p.compute(tile, {8}, 1), kToken, 2);
    EXPECT_EQ(time_of(p).offchip_read, 8 * kToken - 4 * std::abs(first)) << first;
  }
}

TEST(Timing, ChunksThatACacheHoldsStayInOrder) {
  // Tokens of three chunks, all but the first of them hits: the memory stage then takes no time, and the next chunk enters at the instant
  // at which the last one goes on. Two streams per tile keep numbers of chunks in all orders.
  SampleChip chip;
  chip.cache = 1 << 22;
  chip.columns = 8;
  chip.outstanding = 8;
  for (const std::int64_t instances : {1, 3, 8}) {
    SampleProgram p(chip);
    const std::int64_t large = 36'864;
    const auto data = p.buffer(large), other = p.buffer(8 * kToken);
    const auto tile = p.array(instances);
    p.channel(p.load(tile, {6}, data, numerics::affine_constant(0)), p.compute(tile, {6}, 1), large, 3);
    p.channel(p.load(tile, {8}, other, affine_variable(1, kToken / 4)), p.compute(tile, {8}, 1), kToken, 4);
    const Timing t = time_of(p);
    EXPECT_EQ(t.offchip_read, large + 8 * kToken);
    EXPECT_EQ(t.firings, instances * 28);
  }
}

TEST(Timing, ACacheWritesBackWhatItEvicts) {
  SampleChip chip;
  chip.cache = 2 * kToken;
  SampleProgram p(chip);
  const auto tile = p.array(1);
  const auto make = p.compute(tile, {8}, 1),
             store = p.store(tile, {8}, p.buffer(8 * kToken, program::BufferRole::output), affine_variable(1, kToken / 4));
  p.channel(make, store, kToken, 2);
  const Timing t = time_of(p);
  EXPECT_EQ(t.offchip_written, 6 * kToken);
  EXPECT_GE(t.latency.value, 6 * kDramTime);
}

TEST(Timing, AContractionIsRoundedUpToTheGeometry) {
  for (const std::int64_t m : {16, 13}) {
    SampleProgram p{SampleChip{}};
    program::Actor& a = p.actor("matmul", p.array(1), {2});
    a.unit = chip::UnitId(kMatrix);
    // Two firings of 16 rows each, of which the second has what is left of 16 + m.
    a.dims = {{"m", 16, 16 + m, affine_variable(1, 16)}, {"n", 8, 8, {}}, {"k", 100, 100, {}}};
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{16, 100}, {100, 8}, {16, 8}}) {
      program::State& s = a.states.emplace_back();
      s.token.shape = shape;
      s.kept = {false};
    }
    program::Statement s;
    s.dims = {0, 1, 2};
    s.kinds = {numerics::LoopKind::parallel, numerics::LoopKind::parallel, numerics::LoopKind::reduction};
    s.reads = {{0, {affine_variable(0), affine_variable(2)}, {}}, {1, {affine_variable(2), affine_variable(1)}, {}}};
    s.expression = numerics::apply(numerics::ScalarOp::mul, numerics::expr_input(0), numerics::expr_input(1));
    s.combiner = numerics::Combiner::add;
    s.write = {2, {affine_variable(0), affine_variable(1)}, {}};
    a.statements = {s};
    const Timing t = time_of(p);
    EXPECT_EQ(t.latency.value, 2 * (10'000 + 16 * 8 * 100 / 64 * 1'000));
    EXPECT_EQ(t.macs, (16 + m) * 8 * 100);
  }
}

TEST(Timing, IdleUnitsAreAnImbalance) {
  SampleChip chip;
  chip.columns = 2;
  SampleProgram p(chip);
  p.compute(p.array(1), {}, 100);
  p.compute(p.array(1, false, 1), {}, 50);
  const Timing t = time_of(p);
  EXPECT_EQ(t.latency.value, 100'000);
  EXPECT_EQ(cause(t, Cause::imbalance), 25'000);
  EXPECT_EQ(cause(t, Cause::compute), 75'000);
}

TEST(Timing, ASharedUnitServesTheEarlierActorFirst) {
  SampleProgram p{SampleChip{}};
  const auto tile = p.array(1);
  p.compute(tile, {4}, 30);
  p.compute(tile, {2}, 70);
  EXPECT_EQ(time_of(p).latency.value, 4 * 30'000 + 2 * 70'000);
}

TEST(Timing, AWindowTakesItsPositionsWithHalos) {
  // Tiles of rows: tile t works on 4 positions and the neighbours' nearest one on each side, where there is a neighbour.
  SampleChip chip;
  chip.columns = 3;
  SampleProgram p(chip);
  const auto all = p.array(3);
  const auto make = p.compute(all, {4}, 10), use = p.compute(all, {4}, 5);
  const int out = p.port(make, false, 64), in = p.port(use, true, 64);
  p.here().actors[use].ports[static_cast<std::size_t>(in)].window = program::Window{0, 3, 1, 1, 1, false, 0};
  p.join(make, out, use, in, 4).to[0].domain = {0, 1, 5};
  auto& left = p.join(make, out, use, in, 1, affine_variable(0) + affine_constant(-1));
  left.to[0].domain = {0, 0, 1};
  left.from_guard = {{0, -1}};
  auto& right = p.join(make, out, use, in, 1, affine_variable(0) + affine_constant(1));
  right.to[0].domain = {0, 5, 6};
  right.from_guard = {{0, 0, 1}};
  // One unit makes (40 ns) and uses (20 ns); the first use waits for the left neighbour's last.
  const Timing t = time_of(p);
  EXPECT_EQ(t.firings, 24);
  EXPECT_EQ(t.latency.value, 60'000);
}

TEST(Timing, WholeTokensAndSmallChunksCostTheSameAlone) {
  for (const std::int64_t chunk : {0, 256, 1024, 16384, 1 << 20}) {
    SampleProgram p{SampleChip{}};
    const auto tile = p.array(1);
    const auto load = p.load(tile, {4}, p.buffer(4 * kToken), affine_variable(1, kToken / 4));
    p.channel(load, p.compute(tile, {4}, 1), kToken, 1);
    EXPECT_EQ(time_of(p, {.chunk = chunk}).latency.value, 4 * (kDramTime + 1'000)) << chunk;
  }
}

}  // namespace
}  // namespace switchyard::simulation
