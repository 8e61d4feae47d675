// Attention over blocks of keys: values as near to the reference as without, on chips with little room, whatever the shapes, and never a
// whole row of scores anywhere.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "compiler/compiler.h"
#include "compiler/mapping_file.h"
#include "graph/evaluate.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/attention.h"
#include "property/library_chip.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

/// Runs that go over blocks of keys: each keeps the largest scores so far.
std::size_t streamed(const program::Program& program) {
  std::size_t count = 0;
  for (const program::Context& context : program.contexts)
    for (const program::Actor& actor : context.actors)
      for (const program::State& state : actor.states) count += state.name == "largest" ? 1 : 0;
  return count;
}

double seconds_of(const program::Program& program) {
  const auto timing = simulation::time_program(program);
  return timing.ok() ? microseconds(timing.value().latency) * 1e-6 : std::numeric_limits<double>::infinity();
}

/// Programs that stream, whatever the compiler thinks of their time.
compiler::CompileOptions streaming(numerics::Format format) {
  compiler::CompileOptions options{format, false, 0, 1};
  options.streams = true;
  options.interleavings = 0;
  options.time = [](const program::Program& program) { return 1 / (1 + static_cast<double>(streamed(program))); };
  return options;
}

using testing::Attention;
using testing::build;
using testing::inputs_of;

/// The greatest difference between two lists of tensors, of what is greatest in the first; infinite where a number is none.
double difference(const std::vector<numerics::Tensor>& expected, const std::vector<numerics::Tensor>& found) {
  double most = 0, greatest = 0;
  for (std::size_t o = 0; o < expected.size(); ++o)
    for (std::int64_t e = 0; e < expected[o].count(); ++e) {
      const double off = std::abs(found[o].at(e) - expected[o].at(e));
      if (!(off < std::numeric_limits<double>::infinity())) return off;
      most = std::max(most, off);
      greatest = std::max(greatest, std::abs(expected[o].at(e)));
    }
  return most / greatest;
}

TEST(Streamed, AttentionOfAnyShapeHasTheRightValues) {
  std::size_t found = 0;
  std::mt19937 random(11);
  const auto any = [&](std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(random() % static_cast<std::uint32_t>(most - least + 1));
  };
  for (const char* name : {"tx81", "rpu-2x2", "wormhole-n150", "sn40l"})
    for (int n = 0; n < 8; ++n) {
      Attention a{any(1, 2), any(20, 100), any(0, 40), any(1, 6), 1, 8 * any(1, 4), 0, any(0, 1)};
      if (n % 3 > 0) a.kv_heads = a.heads;
      if (n % 4 == 3) a.heads *= 2, a.window = a.causal * any(5, 30);
      SCOPED_TRACE(fmt::format("{}: batch {}, {} + {} rows of {}, {} heads, {} of keys, causal {}, window {}", name, a.batch, a.q, a.past,
                               a.dim, a.heads, a.kv_heads, a.causal, a.window));
      const auto graph = build(a);
      ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
      const bool narrow = std::string(name) == "wormhole-n150" || n % 2 == 1;
      const auto compiled =
          compiler::compile(graph.value(), library_chip(name), streaming(narrow ? numerics::Format::bf16 : numerics::Format::fp32));
      ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
      const program::Program& p = compiled.value().program;
      const auto verified = program::verify(p);
      ASSERT_TRUE(verified.ok()) << format_failure(verified.failure()) << program::print(p);
      found += streamed(p);
      const auto inputs = inputs_of(graph.value(), 7);
      const auto run = simulation::execute(p, inputs, {1, {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      EXPECT_LT(difference(graph::evaluate(graph.value(), inputs), run.value().outputs), narrow ? 0.02 : 1e-5);
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
  EXPECT_GE(found, 28u);
}

/// Lengths that no block divides: the last rows and keys are fewer, and what a mask hides is left out of them, too.
TEST(Streamed, LengthsThatNothingDivides) {
  std::size_t found = 0;
  for (const std::int64_t rows : {61, 63, 64, 65, 97, 127, 129, 193})
    for (const auto& [heads, kv_heads, past, causal] :
         {std::array<std::int64_t, 4>{2, 2, 0, 1}, {4, 2, 0, 1}, {2, 1, 37, 1}, {2, 2, 0, 0}, {3, 3, 1, 1}}) {
      const Attention a{1, rows, past, heads, kv_heads, 16, 0, causal};
      SCOPED_TRACE(fmt::format("{} + {} rows, {} heads, {} of keys, causal {}", past, rows, heads, kv_heads, causal));
      const auto graph = build(a);
      ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
      const auto compiled =
          compiler::compile(graph.value(), library_chip("rpu-2x2", {{"/memories/spm/bytes", "64 KiB"}}), streaming(numerics::Format::fp32));
      ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
      const auto verified = program::verify(compiled.value().program);
      ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
      found += streamed(compiled.value().program);
      const auto inputs = inputs_of(graph.value(), 5);
      const auto run = simulation::execute(compiled.value().program, inputs, {1, {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      EXPECT_LT(difference(graph::evaluate(graph.value(), inputs), run.value().outputs), 1e-5);
    }
  EXPECT_GE(found, 36u);
}

/// A row less is no cliff: what lies beyond the diagonal is left out whatever divides what. Written down, the program is the same, with
/// rows dealt in turns, too.
TEST(Streamed, ARowLessIsNoSlower) {
  const auto chip = library_chip("tx81");
  std::size_t dealt = 0;
  double before = 0;
  for (const std::int64_t rows : {1021, 1023, 1024}) {
    const auto graph = build({1, rows, 0, 4, 4, 64, 0, 1});
    ASSERT_TRUE(graph.ok());
    compiler::CompileOptions options = streaming(numerics::Format::bf16);
    options.time = seconds_of;
    options.dump_mappings = true;
    const auto compiled = compiler::compile(graph.value(), chip, options);
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    EXPECT_EQ(streamed(compiled.value().program), 1u) << rows;
    const double seconds = seconds_of(compiled.value().program);
    EXPECT_LT(before, 1.02 * seconds) << rows;
    before = seconds;
    dealt += compiled.value().mappings.find("dealt: ") != std::string::npos ? 1 : 0;
    auto file = compiler::MappingFile::parse(compiled.value().mappings, "mapping.yaml");
    ASSERT_TRUE(file.ok()) << format_failure(file.failure());
    compiler::CompileOptions given{numerics::Format::bf16, false, 0, 1};
    given.mappings = std::make_shared<const compiler::MappingFile>(std::move(file).value());
    const auto again = compiler::compile(graph.value(), chip, given);
    ASSERT_TRUE(again.ok()) << format_failure(again.failure());
    EXPECT_EQ(program::print(again.value().program), program::print(compiled.value().program)) << compiled.value().mappings;
  }
  EXPECT_EQ(dealt, 3u);
}

/// A mask that is causal in its first, middle and last row, and in one row is not: nothing may be left out.
TEST(Streamed, EveryRowOfAMaskCounts) {
  auto graph = build({1, 256, 0, 2, 2, 16, 0, 1});
  ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
  int changed = 0;
  for (graph::Tensor& t : graph.value().tensors) {
    if (t.role != graph::Role::constant || !t.constant || numerics::element_count(t.shape) != 256 || t.shape.back() != 1) continue;
    numerics::Tensor positions = t.constant->make();
    positions.set(40, positions.at(40) + 100);  // of rows: this one sees a hundred keys more
    t.constant = numerics::constant_of(positions);
    ++changed;
  }
  ASSERT_EQ(changed, 1);
  for (const char* room : {"64 KiB", "256 KiB"}) {
    const auto compiled =
        compiler::compile(graph.value(), library_chip("rpu-2x2", {{"/memories/spm/bytes", room}}), streaming(numerics::Format::fp32));
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    EXPECT_EQ(streamed(compiled.value().program), 1u);
    const auto inputs = inputs_of(graph.value(), 7);
    const auto run = simulation::execute(compiled.value().program, inputs, {1, {}});
    ASSERT_TRUE(run.ok()) << format_failure(run.failure());
    EXPECT_LT(difference(graph::evaluate(graph.value(), inputs), run.value().outputs), 1e-5);
  }
}

/// What only multiplies sums hides none of those that are negative.
TEST(Streamed, AFactorIsNoMask) {
  auto graph = build({1, 256, 0, 2, 2, 16, 0, 1});
  ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
  int changed = 0;
  for (graph::Op& op : graph.value().ops)
    for (numerics::Nest& nest : op.nests) {
      auto& nodes = nest.expression.nodes;
      if (nodes.empty() || nodes.back().op != numerics::ScalarOp::select) continue;
      numerics::Expression::Node seen = nodes.back();
      auto& hidden = nodes[static_cast<std::size_t>(seen.c)];
      if (hidden.op != numerics::ScalarOp::constant || hidden.constant > -1e20) continue;
      hidden.constant = -1e25;
      numerics::Expression::Node times = seen;
      times.op = numerics::ScalarOp::mul;
      times.a = seen.b, times.b = seen.c, times.c = -1;
      seen.c = static_cast<int>(nodes.size()) - 1;
      nodes.back() = times;
      nodes.push_back(seen);
      ++changed;
    }
  ASSERT_EQ(changed, 1);
  const auto compiled =
      compiler::compile(graph.value(), library_chip("rpu-2x2", {{"/memories/spm/bytes", "64 KiB"}}), streaming(numerics::Format::fp32));
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  const auto inputs = inputs_of(graph.value(), 7);
  const auto run = simulation::execute(compiled.value().program, inputs, {1, {}});
  ASSERT_TRUE(run.ok()) << format_failure(run.failure());
  EXPECT_LT(difference(graph::evaluate(graph.value(), inputs), run.value().outputs), 1e-5);
}

/// Where the scores of a long prompt leave the chip the compiler finds that blocks of keys are faster, by itself; they take little more
/// than what the vector units have to do. Without fusion there are none.
TEST(Streamed, ALongPromptTakesLessThanWithScoresOffChip) {
  const auto chip = library_chip("tx81");
  const auto graph = build({1, 1024, 0, 32, 32, 64, 0, 1});
  ASSERT_TRUE(graph.ok());
  const auto compile = [&](std::optional<bool> streams, bool fuse) {
    compiler::CompileOptions options{numerics::Format::bf16, false, 0, 1};
    options.streams = streams;
    options.disabled.fuse = !fuse;
    options.time = seconds_of;
    auto compiled = compiler::compile(graph.value(), chip, options);
    EXPECT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    return compiled.value().program;
  };
  const program::Program with = compile({}, true), without = compile(false, true);
  EXPECT_EQ(streamed(with), 1u);
  EXPECT_EQ(streamed(without), 0u);
  EXPECT_EQ(streamed(compile({}, false)), 0u);
  EXPECT_EQ(with.labels.lower_bound, without.labels.lower_bound) << "the bound is the model's, whatever a program leaves out";
  EXPECT_LT(seconds_of(with), 0.6 * seconds_of(without));
}

}  // namespace
}  // namespace switchyard
