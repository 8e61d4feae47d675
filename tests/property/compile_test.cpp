// Laws of the whole line on random small models: any legal mapping gives the reference's values, time is above the bound, causes sum.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/emit.h"
#include "model/model.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "property/random_graph.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

struct Case {
  const char* name;
  const char* chip;
  std::vector<chip::Override> overrides;
};

TEST(Multicast, GoesNoFurtherThanTheMover) {
  const auto chip = library_chip("tx81");
  ASSERT_TRUE(chip);
  model::LoadOptions options;
  options.set = {{"m", 512}, {"n", 512}, {"k", 512}};
  const auto gemm = model::build_zoo_model("gemm", options);
  ASSERT_TRUE(gemm.ok());
  auto compiled = compiler::compile(gemm.value(), chip, {numerics::Format::bf16, 0, 1});
  ASSERT_TRUE(compiled.ok());
  program::Program program = compiled.value().program;
  ASSERT_NE(program::print(program).find("cast"), std::string::npos) << "no operand is shared";
  EXPECT_TRUE(program::verify(program).ok());
  auto weaker = std::make_shared<chip::Chip>(*chip);
  for (chip::Mover& mover : weaker->movers) mover.multicast = 1;
  program.chip = weaker;
  const auto refused = program::verify(program);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.failure().diagnostics[0].code, "program/mover");
  EXPECT_NE(refused.failure().diagnostics[0].message.find("sends to 1 components at once, not to"), std::string::npos)
      << refused.failure().diagnostics[0].message;
}

class CompileLaws : public ::testing::TestWithParam<Case> {};

TEST_P(CompileLaws, HoldOnRandomModels) {
  const auto chip = library_chip(GetParam().chip, GetParam().overrides);
  ASSERT_TRUE(chip);
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("switchyard_laws_{}_{}", GetParam().name, getpid());
  std::filesystem::create_directories(folder);
  int executed = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const testing::RandomModel model = testing::random_model(seed);
    const auto checked = graph::verify(model.graph);
    ASSERT_TRUE(checked.ok()) << format_failure(checked.failure());
    const auto compiled = compiler::compile(model.graph, chip, {numerics::Format::fp32, 0, 1});
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    const program::Program& p = compiled.value().program;
    const auto verified = program::verify(p);
    ASSERT_TRUE(verified.ok()) << format_failure(verified.failure()) << program::print(p);

    const auto run = simulation::execute(p, model.inputs, {1, {}});
    ASSERT_TRUE(run.ok()) << format_failure(run.failure());
    const auto expected = graph::evaluate(model.graph, model.inputs);
    ASSERT_EQ(run.value().outputs.size(), expected.size());
    for (std::size_t o = 0; o < expected.size(); ++o) {
      ASSERT_EQ(run.value().outputs[o].shape, expected[o].shape);
      ASSERT_EQ(run.value().outputs[o].bytes, expected[o].bytes) << "output " << o;
    }
    const auto two = simulation::execute(p, model.inputs, {2, {}});
    ASSERT_TRUE(two.ok());
    for (std::size_t o = 0; o < expected.size(); ++o) ASSERT_EQ(two.value().outputs[o].bytes, expected[o].bytes) << "two threads";

    const auto timed = simulation::time_program(p);
    ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
    const simulation::Timing& t = timed.value();
    Picoseconds sum(0), shares = t.launch;
    for (Picoseconds cause : t.attribution) sum += cause;
    EXPECT_EQ(sum, t.latency);
    EXPECT_GE(t.latency, p.labels.lower_bound);
    ASSERT_EQ(t.contexts.size(), p.contexts.size());
    for (std::size_t c = 0; c < p.contexts.size(); ++c) {
      shares += t.contexts[c].share;
      EXPECT_GE(t.contexts[c].span, p.contexts[c].bound) << p.contexts[c].name;
    }
    EXPECT_EQ(shares, t.latency);

    // On disk and back, without its model: the same text, the same bytes, the same time.
    const std::filesystem::path file = folder / "p.syp";
    const auto written = program::write_program(p, file.string());
    ASSERT_TRUE(written.ok()) << format_failure(written.failure());
    const auto back = program::read_program(file.string());
    ASSERT_TRUE(back.ok()) << format_failure(back.failure());
    EXPECT_EQ(program::print(back.value()), program::print(p));
    const auto rerun = simulation::execute(back.value(), model.inputs, {1, {}});
    ASSERT_TRUE(rerun.ok());
    for (std::size_t o = 0; o < expected.size(); ++o) ASSERT_EQ(rerun.value().outputs[o].bytes, expected[o].bytes) << "from disk";
    const auto again = simulation::time_program(back.value());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.value().latency, t.latency);
    ++executed;
  }
  EXPECT_EQ(executed, 150);
  std::filesystem::remove_all(folder);
}

/// Tensors that are too large to execute here, or of extents that divide badly: they must be mapped, and be above their bound.
TEST_P(CompileLaws, HoldOnLargeAndPrimeExtents) {
  const auto chip = library_chip(GetParam().chip, GetParam().overrides);
  ASSERT_TRUE(chip);
  using graph::TensorId;
  const std::pair<numerics::Shape, std::function<TensorId(graph::Graph&, TensorId)>> cases[] = {
      {{128, 1024, 1024},
       [](auto& g, TensorId x) {
         return model::emit_reshape(g, {"flat", "Reshape", "y", {}}, x, {134'217'728});
       }},
      {{16'777'216},
       [](auto& g, TensorId x) {
         return model::emit_reduction(g, {"sum", "Sum", "y", {}}, x, {true}, true, numerics::Combiner::add);
       }},
      {{64, 64, 64, 64},
       [](auto& g, TensorId x) {
         return model::emit_reduction(g, {"max", "Max", "y", {}}, x, {true, true, true, true}, true, numerics::Combiner::max);
       }},
      {{1009, 1013},
       [](auto& g, TensorId x) {
         return model::emit_reshape(g, {"flat", "Reshape", "y", {}}, x, {1'022'117});
       }},
      {{3, 17},
       [](auto& g, TensorId x) {
         return model::emit_reshape(g, {"flat", "Reshape", "y", {}}, x, {51});
       }},
      {{2, 80'021},
       [](auto& g, TensorId x) {
         return model::emit_softmax(g, {"softmax", "Softmax", "y", {}}, x, {false, true}, false);
       }},
      {{32, 8192, 2048},
       [](auto& g, TensorId x) {
         return model::emit_softmax(g, {"softmax", "Softmax", "y", {}}, x, {false, false, true}, false);
       }},
  };
  for (const auto& [shape, make] : cases) {
    SCOPED_TRACE(fmt::format("[{}]", fmt::join(shape, ", ")));
    graph::Graph g;
    g.name = "large";
    const TensorId x = model::add_input(g, "x", numerics::Format::fp32, shape);
    g.outputs = {make(g, x)};
    const auto compiled = compiler::compile(g, chip, {numerics::Format::bf16, 0, 1});
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    const program::Program& p = compiled.value().program;
    const auto verified = program::verify(p);
    ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
    const auto timed = simulation::time_program(p);
    ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
    EXPECT_GE(timed.value().latency, p.labels.lower_bound);
    for (std::size_t c = 0; c < p.contexts.size(); ++c)
      EXPECT_GE(timed.value().contexts[c].span, p.contexts[c].bound) << p.contexts[c].name;
    // Tiles are long: a firing costs far more than an element does.
    EXPECT_LT(timed.value().firings, 1'000'000);
  }
}

/// No program is faster than the bounds that it carries: any chip there is, any floating format that it knows.
TEST(CompileBounds, HoldOnEveryChip) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(SWITCHYARD_SOURCE_DIR "/chips"))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  ASSERT_GE(names.size(), 10u);
  int chips = 0;
  for (const std::string& name : names) {
    const auto chip = library_chip(name);
    ASSERT_TRUE(chip);
    int timed_programs = 0;
    for (std::uint64_t seed = 1; seed <= (name == "rpu-32x32" ? 5 : 20); ++seed) {
      const testing::RandomModel model = testing::random_model(seed);
      for (const numerics::Format precision : {numerics::Format::bf16, numerics::Format::fp32}) {
        SCOPED_TRACE(fmt::format("{} seed {} {}", name, seed, numerics::format_name(precision)));
        const auto compiled = compiler::compile(model.graph, chip, {precision, 0, 1});
        if (!compiled.ok()) continue;  // chips that know no such format
        const program::Program& p = compiled.value().program;
        const auto timed = simulation::time_program(p);
        ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
        EXPECT_GE(timed.value().latency, p.labels.lower_bound);
        // Systolic arrays of the textbook compute nothing else in no time, and wait for no memory.
        if (!chip->name.starts_with("systolic") || p.labels.macs > 0) {
          EXPECT_GT(p.labels.lower_bound.value, 0);
        }
        for (std::size_t c = 0; c < p.contexts.size(); ++c)
          EXPECT_GE(timed.value().contexts[c].span, p.contexts[c].bound)
              << p.contexts[c].name << ": " << compiled.value().contexts[c].bound;
        ++timed_programs;
      }
    }
    chips += timed_programs > 0 ? 1 : 0;
  }
  EXPECT_GE(chips, 8);
}

/// The same of models that fill the chip, with and without what makes it fast.
TEST(CompileBounds, HoldOnModelsOfTheZoo) {
  const std::pair<const char*, model::LoadOptions> models[] = {{"gemm", {.set = {{"m", 1}, {"n", 4096}, {"k", 4096}}}},
                                                               {"gemm", {.set = {{"m", 1000}, {"n", 1000}, {"k", 1000}}}},
                                                               {"gemm", {.set = {{"m", 4096}, {"n", 4096}, {"k", 64}}}},
                                                               {"resnet18", {}},
                                                               {"llama-2-7b-block-decode", {}}};
  for (const char* name : {"tx81", "h100-sxm", "rpu-4x4", "sn40l", "wormhole-n150"}) {
    const auto chip = library_chip(name);
    ASSERT_TRUE(chip);
    for (const auto& [zoo, options] : models)
      for (const bool plain : {false, true}) {
        SCOPED_TRACE(fmt::format("{} on {}{}", zoo, name, plain ? ", plain" : ""));
        const auto graph = model::build_zoo_model(zoo, options);
        ASSERT_TRUE(graph.ok());
        compiler::CompileOptions how{numerics::Format::bf16, 0, 0};
        how.disabled.fuse = how.disabled.overlap = plain;
        const auto compiled = compiler::compile(graph.value(), chip, how);
        if (!compiled.ok()) continue;
        const program::Program& p = compiled.value().program;
        const auto timed = simulation::time_program(p);
        ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
        EXPECT_GE(timed.value().latency, p.labels.lower_bound);
        for (std::size_t c = 0; c < p.contexts.size(); ++c)
          EXPECT_GE(timed.value().contexts[c].span, p.contexts[c].bound)
              << p.contexts[c].name << ": " << compiled.value().contexts[c].bound;
      }
  }
}

/// Merged into one expression, x * sigmoid(x) doubles what is written at every step: a chain of them must be cut, and stay readable.
TEST(CompileScale, LongChainsOfMapsStayShortPrograms) {
  const auto chip = library_chip("tx81");
  ASSERT_TRUE(chip);
  graph::Graph g;
  g.name = "chain";
  graph::TensorId x = model::add_input(g, "x", numerics::Format::fp32, {8, 8});
  for (int i = 0; i < 500; ++i) {
    const auto silu = numerics::apply(numerics::ScalarOp::mul, numerics::expr_input(0),
                                      numerics::apply(numerics::ScalarOp::sigmoid, numerics::expr_input(0)));
    const model::MapInput in = model::MapInput::of(x);
    x = model::emit_map(g, {fmt::format("silu{}", i), "Silu", fmt::format("y{}", i), {}}, std::span(&in, 1), silu, numerics::Format::fp32,
                        {8, 8});
  }
  g.outputs = {x};
  const auto compiled = compiler::compile(g, chip, {numerics::Format::fp32, 0, 1});
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  const std::string text = program::print(compiled.value().program);
  EXPECT_LT(text.size(), 1'000'000u);
  EXPECT_LT(compiled.value().program.contexts.size(), 250u);
  const auto back = program::parse(text, "chain.syp");
  EXPECT_TRUE(back.ok()) << format_failure(back.failure());
}

INSTANTIATE_TEST_SUITE_P(Chips, CompileLaws,
                         ::testing::Values(Case{"tx81", "tx81", {}}, Case{"h100", "h100-sxm", {}},
                                           Case{"small_scratchpad", "h100-sxm", {{"/memories/smem/bytes", "24 KiB"}}},
                                           Case{"small_tiles", "tx81", {{"/memories/spm/bytes", "160 KiB"}}},
                                           Case{"circuits", "rpu-4x4-circuits", {}}, Case{"xdna1", "xdna1", {}}),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace switchyard
