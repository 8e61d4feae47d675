// Laws that hold for any program, on random ones; and a fluid model as an independent witness of how bandwidth is shared.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "simulation/timing/sample.h"

namespace switchyard::simulation::timing {
namespace {

using numerics::affine_constant;
using numerics::affine_variable;

SampleProgram random_program(std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto pick = [&](std::initializer_list<std::int64_t> list) { return list.begin()[random() % list.size()]; };
  SampleChip chip;
  chip.rows = pick({1, 2, 4});
  chip.columns = pick({1, 3, 4});
  chip.issue = static_cast<double>(pick({0, 20, 100})) * 1e-9;
  chip.startup = static_cast<double>(pick({0, 100, 700})) * 1e-9;
  chip.hop = static_cast<double>(pick({0, 5})) * 1e-9;
  chip.dram_latency = static_cast<double>(pick({0, 90})) * 1e-9;
  chip.engine = static_cast<double>(pick({40, 128, 1000})) * 1e9;
  chip.outstanding = pick({1, 2, 4});
  chip.engines = pick({1, 2});
  chip.queue_depth = pick({1, 2, 6});
  chip.granule = pick({1, 64});
  chip.cache = pick({0, 200000});
  SampleProgram p(chip);
  const std::int64_t tiles = chip.rows * chip.columns;
  const std::size_t contexts = 1 + random() % 2;
  for (std::size_t c = 0; c < contexts; ++c) {
    if (c > 0) p.context("next");
    const auto all = p.array(tiles);
    const std::size_t stages = 1 + random() % 3;
    for (std::size_t s = 0; s < stages; ++s) {
      const std::int64_t bytes = pick({64, 4096, 20000, 65536, 100000});
      const std::vector<std::int64_t> trips{pick({1, 2, 3}), pick({1, 4, 9})};
      const auto whole = p.buffer(tiles * 27 * bytes), out = p.buffer(tiles * 27 * bytes - pick({0, 40}));
      const auto start = affine_variable(0, 27 * bytes / 4) + affine_variable(1, 9 * bytes / 4) + affine_variable(2, bytes / 4);
      const auto load = p.load(all, trips, whole, start);
      const auto first = p.compute(all, trips, pick({1, 300, 2000}));
      const auto send = p.send(all, trips);
      const auto second = p.compute(all, trips, pick({10, 500}));
      const auto store = p.store(all, trips, out, start);
      p.channel(load, first, bytes, pick({1, 2, 3}));
      p.channel(first, send, bytes, pick({1, 2}));
      p.channel(send, second, bytes, pick({1, 2}), affine_variable(0) + affine_constant(pick({0, 1, 2})), tiles);
      p.channel(second, store, bytes, pick({1, 2}));
    }
  }
  return p;
}

TEST(TimingProperty, CausesSumBusyFitsAndRunsRepeat) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    const SampleProgram p = random_program(seed);
    const TimingOptions options{.chunk = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 16384 : 3000};
    const auto result = time_program(p.program, options);
    ASSERT_TRUE(result.ok()) << seed << " " << format_failure(result.failure());
    const Timing& t = result.value();
    Picoseconds sum, shares = t.launch;
    for (const Picoseconds part : t.attribution) {
      EXPECT_GE(part.value, 0);
      sum += part;
    }
    for (const ContextTiming& c : t.contexts) shares += c.share;
    EXPECT_EQ(sum, t.latency) << seed;
    EXPECT_EQ(shares, t.latency) << seed;
    const auto& tiles = p.program.chip->components[1];
    const std::int64_t servers = tiles.shape[0] * tiles.shape[1];
    for (const ResourceUse& r : t.resources) {
      const bool one = r.name == "ddr" || r.name == "l2" || r.name.starts_with("noc:");
      if (one || r.name == "vector") {
        EXPECT_LE(r.busy.value, t.latency.value * (one ? 1 : servers)) << seed << " " << r.name;
      }
    }
    std::int64_t firings = 0, read = 0;
    for (const auto& context : p.program.contexts) {
      for (const auto& actor : context.actors) {
        firings += servers * actor.loops[0].trip * actor.loops[1].trip;
        if (actor.source) read += servers * actor.loops[0].trip * actor.loops[1].trip * actor.ports[0].token.shape[0] * 4;
      }
    }
    EXPECT_EQ(t.firings, firings) << seed;
    if (p.program.chip->memories.size() == 2) {
      EXPECT_EQ(t.offchip_read, read) << seed;
    }
    const auto again = time_program(p.program, options);
    EXPECT_EQ(again.value().latency, t.latency);
    EXPECT_EQ(again.value().attribution, t.attribution);
    EXPECT_EQ(again.value().events, t.events);
  }
}

/// Max-min fair sharing, recomputed whenever a flow ends. flows: bytes and the resources crossed; rates in bytes per second.
double fluid_time(std::vector<double> bytes, const std::vector<std::vector<std::size_t>>& crossed, const std::vector<double>& rates) {
  double now = 0;
  for (;;) {
    std::vector<double> rate(bytes.size(), 0), left = rates;
    std::vector<bool> open(bytes.size());
    for (std::size_t f = 0; f < bytes.size(); ++f) open[f] = bytes[f] > 0;
    if (std::none_of(open.begin(), open.end(), [](bool b) { return b; })) return now;
    while (std::any_of(open.begin(), open.end(), [](bool b) { return b; })) {
      double tightest = 1e300;
      std::size_t at = 0;
      for (std::size_t r = 0; r < rates.size(); ++r) {
        double users = 0;
        for (std::size_t f = 0; f < bytes.size(); ++f) users += open[f] && std::count(crossed[f].begin(), crossed[f].end(), r) > 0;
        if (users > 0 && left[r] / users < tightest) tightest = left[r] / users, at = r;
      }
      for (std::size_t f = 0; f < bytes.size(); ++f) {
        if (!open[f] || std::count(crossed[f].begin(), crossed[f].end(), at) == 0) continue;
        open[f] = false;
        rate[f] = tightest;
        for (const std::size_t r : crossed[f]) left[r] -= tightest;
      }
    }
    double step = 1e300;
    for (std::size_t f = 0; f < bytes.size(); ++f) {
      if (bytes[f] > 0) step = std::min(step, bytes[f] / rate[f]);
    }
    for (std::size_t f = 0; f < bytes.size(); ++f) {
      if (bytes[f] > 0) bytes[f] = bytes[f] - rate[f] * step < 1 ? 0 : bytes[f] - rate[f] * step;
    }
    now += step;
  }
}

TEST(TimingProperty, PipelinedStreamsShareLikeAFluid) {
  struct Flow {
    bool load;
    std::uint32_t from, to;  // loads: from the dram to `to`
    std::int64_t tokens;
  };
  const std::int64_t bytes = 65536;
  const std::vector<std::vector<Flow>> programs{
      {{true, 0, 3, 200}, {true, 0, 2, 200}, {true, 0, 1, 200}},                      // one link bounds all three
      {{true, 0, 0, 300}, {true, 0, 4, 300}, {false, 0, 3, 100}},                     // memory and network apart
      {{true, 0, 3, 200}, {false, 0, 2, 100}, {false, 1, 3, 100}},                    // mixed on the links of a row
      {{false, 0, 3, 400}, {false, 1, 3, 100}, {false, 2, 3, 200}},                   // three into one link, unequal lengths
      {{true, 0, 3, 300}, {true, 0, 7, 200}, {true, 0, 11, 100}, {true, 0, 15, 50}},  // four rows share the memory
  };
  for (std::size_t n = 0; n < programs.size(); ++n) {
    SampleChip chip;
    chip.rows = chip.columns = 4;
    chip.outstanding = 2;
    chip.hop = 1e-9;
    chip.dram = 156e9;
    SampleProgram p(chip);
    std::vector<double> load;
    std::vector<std::vector<std::size_t>> crossed;
    std::vector<double> rates(1 + 16, 128e9);  // the memory, then the links to the right by their left end
    rates[0] = chip.dram;
    const auto data = p.buffer(bytes * 1000);
    for (const Flow& flow : programs[n]) {
      const auto from = p.array(1, false, flow.from), to = p.array(1, false, flow.to);
      const auto use = p.compute(to, {flow.tokens}, 1);
      if (flow.load) {
        p.channel(p.load(to, {flow.tokens}, data, affine_variable(1, bytes / 4)), use, bytes, 4);
      } else {
        const auto make = p.compute(from, {flow.tokens}, 1), send = p.send(from, {flow.tokens});
        p.channel(make, send, bytes, 4);
        p.channel(send, use, bytes, 4);
      }
      load.push_back(static_cast<double>(flow.tokens * bytes));
      crossed.emplace_back();
      if (flow.load) crossed.back().push_back(0);
      for (std::uint32_t tile = flow.load ? flow.to / 4 * 4 : flow.from; tile < flow.to; ++tile) crossed.back().push_back(1 + tile);
    }
    const auto t = time_program(p.program);
    ASSERT_TRUE(t.ok());
    const double fluid = fluid_time(load, crossed, rates) * 1e12;
    EXPECT_NEAR(static_cast<double>(t.value().latency.value) / fluid, 1, 0.02) << n;
  }
}

}  // namespace
}  // namespace switchyard::simulation::timing
