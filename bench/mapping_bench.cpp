// What a candidate of the search for a mapping costs, and how far its estimate is from the timing engine over mappings drawn by chance.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "compiler/kernel.h"
#include "compiler/layout.h"
#include "compiler/mapping_file.h"
#include "compiler/residence.h"
#include "model/model.h"
#include "simulation/timing.h"

namespace {

using namespace switchyard;

std::shared_ptr<const chip::Chip> tx81() {
  return std::make_shared<const chip::Chip>(chip::load_chip("tx81", {SWITCHYARD_SOURCE_DIR "/chips"}, {}).value());
}

graph::Graph gemm(std::int64_t m, std::int64_t n, std::int64_t k) {
  model::LoadOptions options;
  options.set = {{"m", m}, {"n", n}, {"k", k}};
  return model::build_zoo_model("gemm", options).value();
}

/// The search for one kernel; the rate is of candidates.
void search(benchmark::State& state, const graph::Graph& g) {
  const auto chip = tx81();
  const auto machine = compiler::describe_machine(*chip).value();
  const auto kernels = compiler::make_kernels(g);
  const auto layouts = compiler::choose_layouts(g, kernels);
  const std::vector<bool> stays(g.tensors.size(), false);
  double tried = 0;
  for (auto _ : state) {
    const auto& kernel = kernels.front();
    const auto reach = compiler::reach_of(machine, g, kernel, stays, true);
    tried += static_cast<double>(compiler::choose_mappings(machine, g, kernel, layouts, reach, 0, 1, 12).value().front().tried);
  }
  state.counters["candidates/s"] = benchmark::Counter(tried, benchmark::Counter::kIsRate);
  state.counters["s/candidate"] = benchmark::Counter(tried, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(search, gemm_2048, gemm(2048, 2048, 2048))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search, gemm_384x3072x768, gemm(384, 3072, 768))->Unit(benchmark::kMillisecond);

/// Estimate over engine, of one context, over mappings drawn by chance: quantiles, and the median distance.
void margin(benchmark::State& state) {
  const auto chip = tx81();
  std::vector<double> ratios, distances;
  for (auto _ : state) {
    std::mt19937_64 random(1);
    const auto pick = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); };
    ratios.clear();
    for (int i = 0; i < 400; ++i) {
      const std::int64_t m = 64 * pick(1, 16), n = 64 * pick(1, 16), k = 64 * pick(1, 16), rows = std::int64_t{1} << pick(0, 4);
      const char* sharing[] = {"none", "multicast", "ring"};
      const auto text = fmt::format(
          "mappings:\n  - kernel: gemm\n    split: {{m: {}, n: {}}}\n    tile: {{m: {}, n: {}, k: {}}}\n    order: [{}]\n    operands:\n"
          "      A: {{sharing: {}, resident: {}}}\n      B: {{sharing: {}, resident: {}}}\n",
          rows, 16 / rows, 32 * pick(1, 8), 32 * pick(1, 8), 64 * pick(1, 16), pick(0, 1) ? "m, n" : "n, m", sharing[pick(0, 2)],
          pick(0, 1) ? "true" : "false", sharing[pick(0, 2)], pick(0, 1) ? "true" : "false");
      compiler::CompileOptions options;
      options.mappings = std::make_shared<const compiler::MappingFile>(compiler::MappingFile::parse(text, "random").value());
      const auto compiled = compiler::compile(gemm(m, n, k), chip, options);
      if (!compiled) continue;
      const auto timed = simulation::time_program(compiled.value().program);
      if (!timed) return state.SkipWithError("deadlock");
      for (const compiler::Decision& d : compiled.value().decisions)
        if (!d.alternatives.empty())
          ratios.push_back(d.alternatives[d.chosen].alone / (static_cast<double>(timed.value().contexts[0].span.value) * 1e-12));
    }
  }
  std::sort(ratios.begin(), ratios.end());
  for (const double r : ratios) distances.push_back(std::max(r, 1 / r) - 1);
  std::sort(distances.begin(), distances.end());
  const auto at = [](const std::vector<double>& v, double share) {
    return v[static_cast<std::size_t>(share * static_cast<double>(v.size() - 1))];
  };
  state.counters["mappings"] = static_cast<double>(ratios.size());
  state.counters["p10"] = at(ratios, 0.1);
  state.counters["median"] = at(ratios, 0.5);
  state.counters["p90"] = at(ratios, 0.9);
  state.counters["median_distance"] = at(distances, 0.5);
  state.counters["p90_distance"] = at(distances, 0.9);
}
BENCHMARK(margin)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
