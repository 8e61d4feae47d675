// How fast the timing engine plays firings and transfers, on one core.
#include <benchmark/benchmark.h>

#include "simulation/timing/sample.h"

namespace {

using switchyard::numerics::affine_constant;
using switchyard::numerics::affine_variable;
using switchyard::simulation::time_program;
using namespace switchyard::simulation::timing;

/// The last argument of a benchmark: 0 plays everything, 1 skips what recurs.
void count(benchmark::State& state, const switchyard::program::Program& program, bool shortcuts) {
  double firings = 0, transfers = 0, events = 0, played = 0;
  for (auto _ : state) {
    const auto timing = time_program(program, {.exact_shortcuts = shortcuts});
    if (!timing) return state.SkipWithError("deadlock");
    played += static_cast<double>(timing.value().played);
    firings += static_cast<double>(timing.value().firings);
    transfers += static_cast<double>(timing.value().transfers);
    events += static_cast<double>(timing.value().events);
  }
  state.counters["firings/s"] = benchmark::Counter(firings, benchmark::Counter::kIsRate);
  state.counters["transfers/s"] = benchmark::Counter(transfers, benchmark::Counter::kIsRate);
  state.counters["events/s"] = benchmark::Counter(events, benchmark::Counter::kIsRate);
  state.counters["played"] = events > 0 ? played / events : 0;
}

/// Tiles with a producer and a consumer on units of their own, nothing shared: the matrix and the vector unit.
void compute_chains(benchmark::State& state) {
  SampleChip chip;
  chip.rows = state.range(0);
  chip.columns = state.range(0);
  SampleProgram p(chip);
  const std::size_t tiles = p.array(chip.rows * chip.columns);
  const std::vector<std::int64_t> trips{100, 200};
  const std::size_t first = p.compute(tiles, trips, 100);
  const std::size_t second = p.compute(tiles, trips, 90);
  auto& actor = p.here().actors[first];
  actor.unit = switchyard::chip::UnitId(kMatrix);
  p.channel(first, second, 1024, 2);
  count(state, p.program, state.range(1) != 0);
}
BENCHMARK(compute_chains)->ArgsProduct({{4, 32}, {0, 1}})->Unit(benchmark::kMillisecond);

/// 48 flows over a 4 x 4 mesh: per tile two loads from the dram and one send to the next tile of a ring, 64 KiB tokens, two commands in
/// flight.
void transfers(benchmark::State& state) {
  SampleChip chip;
  chip.rows = chip.columns = 4;
  chip.hop = 5e-9;
  chip.dram = 156e9;
  chip.dram_latency = 100e-9;
  chip.engine = 128e9;
  chip.startup = 200e-9;
  chip.issue = 50e-9;
  chip.outstanding = 2;
  chip.queue_depth = 6;
  SampleProgram p(chip);
  const std::size_t tiles = p.array(16);
  const std::vector<std::int64_t> trips{500};
  const std::size_t data = p.buffer(std::int64_t{1} << 40);
  const std::size_t a = p.load(tiles, trips, data, affine_variable(1, 16384));
  const std::size_t b = p.load(tiles, trips, data, affine_variable(1, 16384));
  const std::size_t ring = p.send(tiles, trips);
  const std::size_t work = p.compute(tiles, trips, 100);
  const std::size_t sink = p.compute(tiles, trips, 100);
  p.channel(a, work, 65536, 2);
  p.channel(b, work, 65536, 2);
  p.channel(work, ring, 65536, 2);
  p.channel(ring, sink, 65536, 2, affine_variable(0) + affine_constant(15), 16);
  count(state, p.program, state.range(0) != 0);
}
BENCHMARK(transfers)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

/// Set-up: a kernel of a thousand grid instances on 132 components, each with two loads and one compute.
void grid(benchmark::State& state) {
  SampleChip chip;
  chip.rows = 11;
  chip.columns = 12;
  chip.grid = true;
  chip.slots = 2;
  chip.cache = 50 << 20;
  SampleProgram p(chip);
  const std::size_t ctas = p.array(4096, true);
  const std::vector<std::int64_t> trips{8};
  const std::size_t data = p.buffer(1 << 28);
  const std::size_t a = p.load(ctas, trips, data, affine_variable(0, 4096) + affine_variable(1, 4096));
  const std::size_t work = p.compute(ctas, trips, 1000);
  p.channel(a, work, 16384, 2);
  count(state, p.program, false);
}
BENCHMARK(grid)->Unit(benchmark::kMillisecond);

/// Sixteen tiles stream weights through the dram: LLaMA-2-7B once, 32 layers, tokens of so many KiB, as a decode step does. `early`: those
/// of the next layer come while this one still works.
void weights(benchmark::State& state) {
  SampleChip chip;
  chip.rows = chip.columns = 4;
  chip.hop = 1e-9;
  chip.dram = 159.36e9;
  chip.engine = 128e9;
  chip.startup = 1.55e-6;
  chip.issue = 0.3e-6;
  chip.outstanding = 2;
  chip.queue_depth = 6;
  SampleProgram p(chip);
  const std::int64_t bytes = state.range(0) * 1024, tokens = std::int64_t{13'000'000'000} / 16 / 32 / bytes;
  const std::size_t data = p.buffer(std::int64_t{1} << 40);
  for (int layer = 0; layer < 32; ++layer) {
    if (layer > 0) p.context("layer");
    const std::size_t tiles = p.array(16);
    const std::vector<std::int64_t> trips{tokens};
    const std::size_t load = p.load(tiles, trips, data, affine_variable(1, bytes / 4));
    p.channel(load, p.compute(tiles, trips, 2000), bytes, 3);
    p.here().actors[load].early = state.range(1) != 0;
    for (int before = 0; before + 1 < layer; ++before) p.here().early_after.emplace_back(before);
  }
  count(state, p.program, state.range(2) != 0);
}
BENCHMARK(weights)->ArgNames({"KiB", "early", "shortcuts"})->ArgsProduct({{64, 256}, {0, 1}, {0, 1}})->Unit(benchmark::kMillisecond);

/// A matrix product on sixteen tiles: rows of tiles read A, columns read B, 64 KiB tokens, a result after every 32 steps.
void product(benchmark::State& state) {
  SampleChip chip;
  chip.rows = chip.columns = 4;
  chip.hop = 1e-9;
  chip.dram = 159.36e9;
  chip.engine = 128e9;
  chip.startup = 1.55e-6;
  chip.issue = 0.3e-6;
  chip.outstanding = 2;
  chip.queue_depth = 6;
  SampleProgram p(chip);
  const std::size_t tiles = p.array(16);
  const std::vector<std::int64_t> trips{8, 8, 32};
  const std::size_t data = p.buffer(std::int64_t{1} << 40);
  const std::size_t a = p.load(tiles, trips, data, affine_variable(3, 16384)), b = p.load(tiles, trips, data, affine_variable(3, 16384));
  const std::size_t work = p.compute(tiles, trips, 4000), store = p.store(tiles, {8, 8}, data, affine_variable(2, 16384));
  p.channel(a, work, 65536, 2);
  p.channel(b, work, 65536, 2);
  const int out = p.port(work, false, 65536);
  p.here().actors[work].ports[static_cast<std::size_t>(out)].kept = {false, false, true};
  p.join(work, out, store, p.port(store, true, 65536), 2);
  count(state, p.program, state.range(0) != 0);
}
BENCHMARK(product)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
