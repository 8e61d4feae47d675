// What the timing engine skips, it skips exactly: on programs as the compiler makes them (random mappings, circuits, pipelines, tiles
// handed on, layers that come again), playing everything gives the same time, causes, bytes and uses of every resource.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "compiler/compiler.h"
#include "compiler/mapping_file.h"
#include "model/model.h"
#include "property/library_chip.h"
#include "simulation/timing.h"
#include "simulation/timing/same_timing.h"

namespace switchyard {
namespace {

using simulation::time_program;
using simulation::Timing;

double seconds_of(const program::Program& p) { return static_cast<double>(time_program(p).value().latency.value) * 1e-12; }

/// The share of all events that had to be played.
double expect_same(const program::Program& p, std::int64_t chunk) {
  const auto quick = time_program(p, {chunk, false, true}), full = time_program(p, {chunk, false, false});
  EXPECT_TRUE(quick.ok() && full.ok());
  if (!quick.ok() || !full.ok()) return 1;
  const Timing &a = quick.value(), &b = full.value();
  EXPECT_EQ(simulation::timing::TimingDifference::of(a, b), "");
  Picoseconds sum(0);
  for (const Picoseconds cause : b.attribution) sum += cause;
  EXPECT_EQ(sum, b.latency);
  EXPECT_EQ(b.played, b.events);
  return static_cast<double>(a.played) / static_cast<double>(std::max<std::int64_t>(1, b.played));
}

/// Of the random mappings that are legal, products of any size and sharing: many are periodic for most of their time.
TEST(Shortcuts, AreExactOnRandomMappings) {
  for (const char* name : {"tx81", "rpu-4x4", "rpu-4x4-circuits"}) {
    const auto chip = library_chip(name);
    std::mt19937 random(11);
    const auto pick = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); };
    int timed = 0, skipped = 0;
    double played = 0;
    for (int i = 0; i < 600 && timed < 70; ++i) {
      SCOPED_TRACE(fmt::format("{}, mapping {}", name, i));
      model::LoadOptions sizes;
      const auto size = [&] { return pick(0, 3) > 0 ? 128 * pick(1, 8) : pick(1, 1024); };
      sizes.set = {{"m", size()}, {"n", size()}, {"k", size()}};
      const std::int64_t rows = std::int64_t{1} << pick(0, 4);
      const char* sharing[] = {"none", "multicast", "ring"};
      std::string operands;
      for (const char* operand : {"A", "B"})
        operands += fmt::format("      {}: {{sharing: {}, resident: {}, depth: {}}}\n", operand, sharing[pick(0, 2)],
                                pick(0, 1) ? "true" : "false", pick(1, 3));
      const std::string text = fmt::format(
          "mappings:\n  - kernel: gemm\n    split: {{m: {}, n: {}}}\n    tile: {{m: {}, n: {}, k: {}}}\n    order: [{}]\n    overlap: {}\n"
          "    operands:\n{}",
          rows, 16 / rows, 16 * pick(1, 3), 16 * pick(1, 3), 64 * pick(1, 8), pick(0, 1) ? "m, n" : "n, m", pick(0, 1) ? "true" : "false",
          operands);
      compiler::CompileOptions options;
      options.mappings = std::make_shared<const compiler::MappingFile>(compiler::MappingFile::parse(text, "random").value());
      const auto compiled = compiler::compile(model::build_zoo_model("gemm", sizes).value(), chip, options);
      if (!compiled || !time_program(compiled.value().program).ok()) continue;
      const double share = expect_same(compiled.value().program, i % 3 == 0 ? 4096 : i % 3 == 1 ? 16384 : 0);
      ++timed;
      skipped += share < 1;
      played += share;
    }
    fmt::print("{}: {} mappings, events skipped in {}; {:.0f} % played on average\n", name, timed, skipped, 100 * played / timed);
    EXPECT_EQ(timed, 70) << name;
    EXPECT_GE(skipped, 5) << name;
  }
}

struct Work {
  const char* name;
  const char* model;
  std::map<std::string, std::int64_t> sizes;
  const char* chip;
  const char* has;    ///< what one of its contexts has in its text
  double most = 1.0;  ///< share of events that is played
};

class Shortcuts : public testing::TestWithParam<Work> {};

TEST_P(Shortcuts, AreExactOnModels) {
  const Work& work = GetParam();
  model::LoadOptions sizes;
  sizes.set = work.sizes;
  compiler::CompileOptions options;
  options.time = seconds_of;
  if (std::string(work.has) == "step") {  // pipelines, wherever one can be
    options.pipelines = std::numeric_limits<double>::infinity();
    options.time = [](const program::Program& p) {
      double steps = 0;
      for (const program::Context& context : p.contexts)
        for (const program::Actor& actor : context.actors)
          for (const program::Port& port : actor.ports) steps += !port.input && port.name == "step" ? 1 : 0;
      return 1 / (1 + steps);
    };
  }
  const auto compiled = compiler::compile(model::build_zoo_model(work.model, sizes).value(), library_chip(work.chip), options);
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  const program::Program& p = compiled.value().program;
  bool has = std::string(work.has).empty();
  for (const program::Context& context : p.contexts) {
    has = has || (std::string(work.has) == "circuit" && !context.circuits.empty());
    for (const program::Channel& channel : context.channels) has = has || channel.name.starts_with(work.has);
    for (const program::Actor& actor : context.actors)
      for (const program::Port& port : actor.ports) has = has || port.name == work.has;
  }
  EXPECT_TRUE(has) << "no " << work.has;
  double least = 1;
  for (const std::int64_t chunk : {std::int64_t{16384}, std::int64_t{4096}, std::int64_t{0}})
    least = std::min(least, expect_same(p, chunk));
  fmt::print("{}: {:.0f} % played\n", work.name, 100 * least);
  EXPECT_LE(least, work.most);
}

INSTANTIATE_TEST_SUITE_P(
    Models, Shortcuts,
    testing::Values(Work{"layers_on_tx81", "bert-base", {{"layers", 2}}, "tx81", ""},
                    Work{"circuits", "gemm", {{"m", 768}, {"n", 640}, {"k", 6000}}, "xdna1", "circuit", 0.7},
                    Work{"circuits_of_layers", "bert-base", {{"layers", 3}, {"seq", 64}}, "rpu-4x4-circuits", "circuit"},
                    Work{"layers", "gpt2", {{"layers", 3}, {"seq", 64}}, "rpu-2x2", "", 0.95},
                    Work{"tiles_handed_on", "bert-base", {{"layers", 3}, {"seq", 256}}, "rpu-4x4", "handed"},
                    Work{"pipelines", "resnet18", {}, "rpu-4x4", "step"},
                    Work{"pipelines_of_layers", "bert-base", {{"layers", 4}, {"seq", 32}}, "rpu-4x4", "step"}),
    [](const auto& work) { return work.param.name; });

}  // namespace
}  // namespace switchyard
