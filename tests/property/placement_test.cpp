// Laws of placement: any permutation of working components gives a program that is legal and computes the same, and the placer's own is
// never worse by its own measure.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "chip/query.h"
#include "compiler/compiler.h"
#include "compiler/place.h"
#include "model/model.h"
#include "program/relocate.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "property/random_graph.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

using compiler::describe_machine;
using compiler::Machine;
using compiler::place_components;
using compiler::Placement;

struct Made {
  std::shared_ptr<const chip::Chip> chip;
  program::Program program;
};

Made make(const graph::Graph& graph, const std::string& chip_name, numerics::Format precision) {
  Made made;
  made.chip = library_chip(chip_name);
  compiler::CompileOptions options;
  options.precision = precision;
  options.effort = 0;
  auto compiled = compiler::compile(graph, made.chip, options);
  EXPECT_TRUE(compiled.ok()) << (compiled.ok() ? "" : format_failure(compiled.failure()));
  made.program = std::move(compiled.value().program);
  return made;
}
Made make_resnet(const std::string& chip) { return make(model::build_zoo_model("resnet18", {}).value(), chip, numerics::Format::bf16); }

/// Of all instances; holes stay.
std::vector<std::uint32_t> shuffle(const Machine& machine, std::uint64_t seed) {
  const chip::Component& component = machine.chip->components[machine.component.index()];
  std::vector<std::uint32_t> works = chip::working_instances(component), shuffled = works;
  std::vector<std::uint32_t> to(static_cast<std::size_t>(chip::instance_count(component)));
  std::mt19937_64 random(seed);
  std::iota(to.begin(), to.end(), 0U);
  std::shuffle(shuffled.begin(), shuffled.end(), random);
  for (std::size_t i = 0; i < works.size(); ++i) to[works[i]] = shuffled[i];
  return to;
}

void expect_legal(const Machine& machine, const std::vector<std::uint32_t>& to) {
  const chip::Component& component = machine.chip->components[machine.component.index()];
  std::vector<std::uint32_t> sorted = to;
  std::sort(sorted.begin(), sorted.end());
  for (std::uint32_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(sorted[i], i);
  for (const std::uint32_t hole : component.holes) EXPECT_EQ(to[hole], hole);
}

TEST(Placement, IsAPermutationOfWorkingComponentsThatRelievesLinks) {
  for (const char* chip : {"tx81", "rpu-8x8", "wormhole-n150"}) {
    SCOPED_TRACE(chip);
    const Made made = make_resnet(chip);
    const Machine machine = describe_machine(*made.chip).value();
    for (const std::uint64_t seed : {0U, 1U}) {
      const Placement placement = place_components(machine, made.program, seed, 1);
      expect_legal(machine, placement.to);
      EXPECT_LE(placement.after, placement.before);
      EXPECT_GT(placement.exchanges, 0);
      EXPECT_EQ(place_components(machine, made.program, seed, 1).to, placement.to);
      program::Program moved = made.program;
      program::relocate(moved, machine.component, placement.to);
      EXPECT_TRUE(program::verify(moved).ok());
      // What the placer believes of the moved program is what it believes of a program made so.
      EXPECT_NEAR(place_components(machine, moved, seed, 0).before, placement.after, 1e-9 * placement.before);
    }
  }
}

TEST(Placement, UndoesAShuffle) {
  const Made made = make_resnet("wormhole-n150");
  const Machine machine = describe_machine(*made.chip).value();
  program::Program moved = made.program;
  program::relocate(moved, machine.component, shuffle(machine, 7));
  const Placement placement = place_components(machine, moved, 0, 2);
  EXPECT_LT(placement.after, 0.8 * placement.before);
}

TEST(Placement, AnyOneComputesTheSame) {
  for (const char* chip : {"tx81", "wormhole-n150"})
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(fmt::format("{}, seed {}", chip, seed));
      const testing::RandomModel model = testing::random_model(seed);
      Made made = make(model.graph, chip, numerics::Format::fp32);
      const Machine machine = describe_machine(*made.chip).value();
      const auto expected = simulation::execute(made.program, model.inputs, {1, {}});
      ASSERT_TRUE(expected.ok());
      program::relocate(made.program, machine.component, shuffle(machine, seed));
      const auto verified = program::verify(made.program);
      ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
      const auto run = simulation::execute(made.program, model.inputs, {1, {}});
      ASSERT_TRUE(run.ok());
      for (std::size_t o = 0; o < expected.value().outputs.size(); ++o)
        ASSERT_EQ(run.value().outputs[o].bytes, expected.value().outputs[o].bytes);
      const auto timed = simulation::time_program(made.program);
      ASSERT_TRUE(timed.ok());
      EXPECT_GE(timed.value().latency, made.program.labels.lower_bound);
    }
}

TEST(Placement, LeavesGridsAndCrossbarsAlone) {
  for (const char* chip : {"h100-sxm", "simba-like"}) {
    const Made made = make(testing::random_model(1).graph, chip, numerics::Format::bf16);
    const Machine machine = describe_machine(*made.chip).value();
    const Placement placement = place_components(machine, made.program, 0, 2);
    expect_legal(machine, placement.to);
    EXPECT_EQ(placement.exchanges, 0);
    EXPECT_FALSE(placement.moves());
  }
}

}  // namespace
}  // namespace switchyard
