// Tile kernels of the functional engine against the host's own peak of fused multiply-adds.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "simulation/functional/kernel.h"
#include "simulation/functional/statement.h"

namespace {

using namespace switchyard;
using numerics::Format;
using numerics::LoopKind;
namespace functional = simulation::functional;

/// Fused multiply-adds per second of one core, measured now. Processor time, as the benchmark's counters: other work does not count.
double peak_rate() {
  float sink[2] = {1.0f, 0.5f};
  functional::fma_peak(1 << 20, sink);
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const std::clock_t start = std::clock();
    const auto done = static_cast<double>(functional::fma_peak(1 << 22, sink));
    const double spent = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    best = std::max(best, done / spent);
    benchmark::DoNotOptimize(sink[0]);
  }
  return best;
}

struct Tile {
  program::Actor actor;
  std::vector<std::vector<std::byte>> slots;
  std::vector<std::int64_t> extents;

  int add(Format format, std::vector<std::int64_t> shape, std::vector<int> order, bool state) {
    program::Token token{format, std::move(shape), std::move(order), 1};
    auto& bytes = slots.emplace_back(static_cast<std::size_t>(token.bytes()));
    const int size = numerics::format_bytes(format);
    for (std::size_t i = 0; i < bytes.size(); i += static_cast<std::size_t>(size)) {
      numerics::store_element(format, bytes.data() + i, static_cast<double>(i % 61) / 64 - 0.5);
    }
    if (state) {
      actor.states.push_back({"acc", token, 0, {}, {}, 0, 0});
    } else {
      program::Port port;
      port.token = token;
      actor.ports.push_back(port);
    }
    return static_cast<int>(slots.size()) - 1;
  }
  void dim(std::int64_t extent) {
    actor.dims.push_back({"d", extent, extent, {}});
    extents.push_back(extent);
  }
};

void run(benchmark::State& state, Tile& tile, program::Statement statement, double macs) {
  statement.combiner = numerics::Combiner::add;
  statement.expression = numerics::apply(numerics::ScalarOp::mul, numerics::expr_input(0), numerics::expr_input(1));
  for (std::size_t i = 0; i < statement.kinds.size(); ++i) statement.dims.push_back(static_cast<int>(i));
  const auto plan = functional::plan_statement({}, tile.actor, statement);
  std::vector<functional::SlotView> views;
  for (auto& bytes : tile.slots) views.push_back({bytes.data(), nullptr});
  functional::Workspace workspace;
  const double peak = peak_rate();
  for (auto _ : state) functional::run_statement(plan.value(), tile.extents, views, workspace);
  const double total = macs * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(2 * total * 1e-9, benchmark::Counter::kIsRate);
  state.counters["peak_GFLOP/s"] = 2 * peak * 1e-9;
  state.counters["of_peak"] = benchmark::Counter(total / peak, benchmark::Counter::kIsRate);
}

constexpr auto kP = LoopKind::parallel;
constexpr auto kR = LoopKind::reduction;
numerics::Affine v(int d) { return numerics::affine_variable(d); }

void gemm(benchmark::State& state, Format format, bool transposed, std::int64_t m, std::int64_t n, std::int64_t k) {
  Tile tile;
  for (const std::int64_t extent : {m, n, k}) tile.dim(extent);
  tile.add(format, {m, k}, {0, 1}, false);
  tile.add(format, {k, n}, transposed ? std::vector<int>{1, 0} : std::vector<int>{0, 1}, false);
  tile.add(Format::fp32, {m, n}, {0, 1}, true);
  program::Statement s;
  s.kinds = {kP, kP, kR};
  s.reads = {{0, {v(0), v(2)}, {}}, {1, {v(2), v(1)}, {}}};
  s.write = {2, {v(0), v(1)}, {}};
  run(state, tile, s, static_cast<double>(m * n * k));
}

/// A 3 x 3 convolution of `h` x `w` pixels, channels innermost, the border read as zeros.
void convolution(benchmark::State& state, Format format, std::int64_t h, std::int64_t w, std::int64_t in, std::int64_t out) {
  Tile tile;
  for (const std::int64_t extent : {h, w, out, std::int64_t{3}, std::int64_t{3}, in}) tile.dim(extent);
  tile.add(format, {h, w, in}, {0, 1, 2}, false);
  tile.add(format, {out, 3, 3, in}, {0, 1, 2, 3}, false);
  tile.add(Format::fp32, {h, w, out}, {0, 1, 2}, true);
  program::Statement s;
  s.kinds = {kP, kP, kP, kR, kR, kR};
  const auto shifted = [](int a, int b) { return v(a) + v(b) + numerics::affine_constant(-1); };
  s.reads = {{0, {shifted(0, 3), shifted(1, 4), v(5)}, 0.0}, {1, {v(2), v(3), v(4), v(5)}, {}}};
  s.write = {2, {v(0), v(1), v(2)}, {}};
  run(state, tile, s, static_cast<double>(h * w * out * 9 * in));
}

void depthwise(benchmark::State& state, Format format, std::int64_t h, std::int64_t w, std::int64_t channels) {
  Tile tile;
  for (const std::int64_t extent : {h, w, channels, std::int64_t{3}, std::int64_t{3}}) tile.dim(extent);
  tile.add(format, {h + 2, w + 2, channels}, {0, 1, 2}, false);
  tile.add(format, {3, 3, channels}, {0, 1, 2}, false);
  tile.add(Format::fp32, {h, w, channels}, {0, 1, 2}, true);
  program::Statement s;
  s.kinds = {kP, kP, kP, kR, kR};
  s.reads = {{0, {v(0) + v(3), v(1) + v(4), v(2)}, {}}, {1, {v(3), v(4), v(2)}, {}}};
  s.write = {2, {v(0), v(1), v(2)}, {}};
  run(state, tile, s, static_cast<double>(h * w * channels * 9));
}

BENCHMARK_CAPTURE(gemm, bf16_196x256x512, Format::bf16, false, 196, 256, 512);
BENCHMARK_CAPTURE(gemm, fp32_196x256x512, Format::fp32, false, 196, 256, 512);
BENCHMARK_CAPTURE(gemm, bf16_transposed_196x256x512, Format::bf16, true, 196, 256, 512);
BENCHMARK_CAPTURE(gemm, bf16_256x64x576, Format::bf16, false, 256, 64, 576);
BENCHMARK_CAPTURE(gemm, bf16_transposed_256x64x576, Format::bf16, true, 256, 64, 576);
BENCHMARK_CAPTURE(gemm, bf16_128x128x64, Format::bf16, false, 128, 128, 64);
BENCHMARK_CAPTURE(gemm, bf16_14x64x576, Format::bf16, true, 14, 64, 576);
BENCHMARK_CAPTURE(gemm, bf16_1x256x512, Format::bf16, false, 1, 256, 512);
BENCHMARK_CAPTURE(convolution, bf16_14x14x256x256, Format::bf16, 14, 14, 256, 256);
BENCHMARK_CAPTURE(convolution, bf16_56x8x64x64, Format::bf16, 8, 56, 64, 64);
BENCHMARK_CAPTURE(depthwise, bf16_14x14x96, Format::bf16, 14, 14, 96);

}  // namespace
