// Kernels on different units that hand on tile by tile: values stay what they are, chips of every size do it, and attention takes little
// more than its longest unit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/attention.h"
#include "property/library_chip.h"
#include "property/random_graph.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

using testing::Attention;
using testing::build;
using testing::inputs_of;

std::size_t handed_on(const program::Program& program) {
  std::size_t count = 0;
  for (const program::Context& context : program.contexts)
    for (const program::Channel& channel : context.channels) count += channel.name.starts_with("handed") ? 1 : 0;
  return count;
}

double seconds_of(const program::Program& program) {
  const auto timing = simulation::time_program(program);
  return timing.ok() ? microseconds(timing.value().latency) * 1e-6 : std::numeric_limits<double>::infinity();
}

/// Programs that hand on as much as the compiler can make them, or nothing, whatever it thinks of their time.
compiler::CompileOptions handing(numerics::Format format, bool most) {
  compiler::CompileOptions options{format, 0, 1};
  options.streams = false;  // which hands on tiles, too, and adds in another order
  options.interleavings = most ? std::numeric_limits<double>::infinity() : 0;
  options.time = [](const program::Program& program) { return 1 / (1 + static_cast<double>(handed_on(program))); };
  return options;
}

TEST(Interleaving, KeepsTheValuesOfRandomModels) {
  std::size_t handed = 0;
  for (const char* name : {"tx81", "rpu-2x2", "wormhole-n150"})
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(fmt::format("{} seed {}", name, seed));
      const testing::RandomModel model = testing::random_model(seed);
      const auto format = std::string(name) == "wormhole-n150" ? numerics::Format::bf16 : numerics::Format::fp32;
      const auto compiled = compiler::compile(model.graph, library_chip(name), handing(format, true));
      ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
      const program::Program& p = compiled.value().program;
      const auto verified = program::verify(p);
      ASSERT_TRUE(verified.ok()) << format_failure(verified.failure()) << program::print(p);
      handed += handed_on(p);
      const auto run = simulation::execute(p, model.inputs, {1, {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      if (format == numerics::Format::fp32) {
        const auto expected = graph::evaluate(model.graph, model.inputs);
        for (std::size_t o = 0; o < expected.size(); ++o) EXPECT_EQ(run.value().outputs[o].bytes, expected[o].bytes) << "output " << o;
      }
      const auto timed = simulation::time_program(p);
      ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
      EXPECT_GE(timed.value().latency, p.labels.lower_bound);
      for (std::size_t c = 0; c < p.contexts.size(); ++c) EXPECT_GE(timed.value().contexts[c].span, p.contexts[c].bound);
      program::Program shapes = p;
      for (program::Buffer& buffer : shapes.buffers) buffer.constant = nullptr;
      const auto back = program::parse(program::print(shapes), "p.syp");
      ASSERT_TRUE(back.ok()) << format_failure(back.failure());
      EXPECT_TRUE(program::print(back.value()) == program::print(shapes));
    }
  EXPECT_GE(handed, 5u);
}

/// Heads that share keys, rows that divide badly, masks on lanes behind the matrix unit, one row, several sentences: the bits of programs
/// that hand nothing on.
TEST(Interleaving, AttentionHasTheSameBits) {
  const Attention cases[] = {{1, 64, 0, 4, 4, 16, 0, 0}, {2, 30, 0, 6, 2, 8, 0, 1},   {1, 17, 7, 5, 5, 8, 0, 1},
                             {3, 1, 20, 8, 2, 16, 0, 1}, {1, 96, 0, 2, 1, 32, 16, 1}, {4, 12, 4, 3, 3, 8, 0, 0}};
  std::size_t handed = 0;
  for (const char* name : {"tpu-v3", "tpu-v5e", "tx81", "rpu-4x4"})
    for (const Attention& a : cases) {
      SCOPED_TRACE(fmt::format("{}: batch {}, {} + {} rows, {} heads, {} of keys", name, a.batch, a.q, a.past, a.heads, a.kv_heads));
      const auto graph = build(a);
      ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
      const std::vector<numerics::Tensor> inputs = inputs_of(graph.value(), 7);
      std::vector<std::vector<numerics::Tensor>> outputs;
      for (const bool most : {true, false}) {
        const auto compiled = compiler::compile(graph.value(), library_chip(name), handing(numerics::Format::bf16, most));
        ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
        const program::Program& p = compiled.value().program;
        const auto verified = program::verify(p);
        ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
        if (most)
          handed += handed_on(p);
        else
          EXPECT_EQ(handed_on(p), 0u);
        const auto run = simulation::execute(p, inputs, {1, {}});
        ASSERT_TRUE(run.ok()) << format_failure(run.failure());
        outputs.push_back(run.value().outputs);
      }
      for (std::size_t o = 0; o < outputs[0].size(); ++o) EXPECT_EQ(outputs[0][o].bytes, outputs[1][o].bytes) << "output " << o;
    }
  EXPECT_GE(handed, 30u);
}

/// Softmax needs one unit, products the other: together they take little more than the longer of the two, also where the scores of all
/// heads are more than the scratchpad holds.
TEST(Interleaving, AttentionTakesLittleMoreThanItsLongestUnit) {
  const auto chip = library_chip("tpu-v3");
  for (const std::int64_t heads : {12, 32}) {
    const auto graph = build({1, 512, 0, heads, heads, 64, 0, 0});
    ASSERT_TRUE(graph.ok());
    double seconds[2] = {};
    std::int64_t work = 0;
    for (const bool most : {false, true}) {
      compiler::CompileOptions options{numerics::Format::bf16, 0, 1};
      options.time = seconds_of;
      options.streams = false;
      if (!most) options.interleavings = 0;
      const auto compiled = compiler::compile(graph.value(), chip, options);
      ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
      seconds[most] = seconds_of(compiled.value().program);
      work = 0;
      for (const program::Context& c : compiled.value().program.contexts) work += c.work.value;
      EXPECT_EQ(handed_on(compiled.value().program) > 0, most);
    }
    EXPECT_LT(seconds[1], 1.1 * static_cast<double>(work) * 1e-12) << heads << " heads";
    EXPECT_LT(seconds[1], 0.85 * seconds[0]) << heads << " heads";
  }
}

}  // namespace
}  // namespace switchyard
