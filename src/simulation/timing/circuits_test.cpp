// Static circuits: each has its share of a link to itself, streams of packets share one, and what moves between the same ends takes turns.
#include <gtest/gtest.h>

#include "simulation/timing/sample.h"

namespace switchyard::simulation::timing {
namespace {

constexpr std::int64_t kToken = 16384;      // one chunk
constexpr std::int64_t kAlone = 1'024'000;  // ps of it at 16 GB/s, a circuit of four on a link of 64 GB/s

SampleProgram with_circuits(std::int64_t circuits, std::int64_t ends, std::int64_t streams) {
  SampleChip options;
  options.columns = 3;
  options.link = 64e9;
  options.dram = 1e18;
  SampleProgram p(options);
  auto chip = std::make_shared<chip::Chip>(*p.program.chip);
  chip->networks[0].circuits = circuits;
  chip->networks[0].ends = ends;
  chip->networks[0].streams = streams;
  p.program.chip = chip;
  return p;
}

/// Each of the last two tiles of three in a row loads a token from the memory at the first.
SampleProgram two_loads(std::int64_t ends, std::int64_t streams, bool packets) {
  SampleProgram p = with_circuits(4, ends, streams);
  const auto tiles = p.array(2, false, 1);
  const auto load = p.load(tiles, {}, p.buffer(2 * kToken), {numerics::affine_variable(0) * (kToken / 4)});
  p.channel(load, p.compute(tiles, {}, 1), kToken, 1);
  const chip::NetworkId noc(std::size_t{0});
  p.here().circuits = {{noc, packets, {{0, 1}}}, {noc, packets, {{0, 1, 2}}}};
  return p;
}

Timing time_of(const SampleProgram& p) {
  auto timing = time_program(p.program);
  EXPECT_TRUE(timing.ok()) << (timing.ok() ? "" : format_failure(timing.failure()));
  return timing.value();
}

const ResourceUse* use_of(const Timing& t, const std::string& name) {
  for (const ResourceUse& r : t.resources)
    if (r.name == name) return &r;
  return nullptr;
}

TEST(Circuits, HaveTheirShareOfALinkToThemselves) {
  const Timing t = time_of(two_loads(4, 1, false));
  EXPECT_EQ(t.latency.value, kAlone + 1000) << "neither waits for the other, and a circuit is a quarter of a link";
  const ResourceUse* link = use_of(t, "noc:0->1");
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(link->bytes, 2 * kToken);
  EXPECT_EQ(link->busy.value, 2 * kAlone / 4) << "two of the link's four circuits";
  EXPECT_EQ(use_of(t, "noc:1->2")->busy.value, kAlone / 4);
  EXPECT_EQ(t.attribution[static_cast<std::size_t>(Cause::interconnect)].value, kAlone);
}

TEST(Circuits, StreamsOfPacketsWaitForEachOtherWhereTheyShare) {
  // Two ways out of the port: a stream each. One: they share it.
  EXPECT_EQ(time_of(two_loads(2, 8, true)).latency.value, kAlone + 1000);
  EXPECT_EQ(time_of(two_loads(1, 8, true)).latency.value, 2 * kAlone + 1000);
}

TEST(Circuits, BetweenTheSameEndsTransfersTakeTurns) {
  SampleProgram p = with_circuits(4, 4, 1);
  const auto tile = p.array(1, false, 1);
  for (int i = 0; i < 3; ++i) {
    const auto load = p.load(tile, {}, p.buffer(kToken), {numerics::affine_constant(0)});
    p.channel(load, p.compute(tile, {}, 1), kToken, 1);
  }
  p.here().circuits = {{chip::NetworkId(std::size_t{0}), false, {{0, 1}}}};
  const std::int64_t three = time_of(p).latency.value;
  EXPECT_GE(three, 3 * kAlone);
  EXPECT_LE(three, 3 * kAlone + 3000);
}

}  // namespace
}  // namespace switchyard::simulation::timing
