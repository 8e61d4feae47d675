// The property test that matters most: a program with one thing wrong is rejected, deadlocks, or changes the output bytes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "compiler/compiler.h"
#include "model/model.h"
#include "program/text.h"
#include "property/library_chip.h"
#include "property/mutants.h"

namespace switchyard {
namespace {

std::filesystem::path shared() {
  const char* path = std::getenv("SWITCHYARD_SHARED");
  return path ? std::filesystem::path(path) : std::filesystem::path(SWITCHYARD_SOURCE_DIR) / ".." / "shared";
}

struct Case {
  const char* model;
  const char* chip;
  int mutants;
};

class CompiledMutants : public ::testing::TestWithParam<Case> {};

TEST_P(CompiledMutants, AreFound) {
  const Case c = GetParam();
  const auto folder = shared() / "data" / "models" / c.model;
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder << ": set SWITCHYARD_SHARED";
  auto model = model::load_model(folder.string(), {});
  ASSERT_TRUE(model.ok()) << format_failure(model.failure());
  // fp32, so that a small change is not rounded away on its way to the outputs.
  const auto compiled = compiler::compile(model.value().graph, library_chip(c.chip), {numerics::Format::fp32, 0, 1});
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  const program::Program& original = compiled.value().program;
  std::vector<testing::Input> inputs;
  for (auto id : model.value().graph.inputs) {
    const auto& t = model.value().graph.tensor(id);
    inputs.push_back({t.name, t.format, t.shape});
  }
  testing::hold_against_mutants(fmt::format("{} on {}", c.model, c.chip), original, inputs, c.mutants);
}

// Written by hand, with what no other program has: a tensor kept in scratchpads, halos, weights loaded early.
TEST(Mutants, OfAProgramThatKeepsTensorsAreFound) {
  const auto read = program::read_program(SWITCHYARD_SOURCE_DIR "/examples/programs/resident-pipeline.syp");
  ASSERT_TRUE(read.ok()) << format_failure(read.failure());
  std::vector<testing::Input> inputs;
  for (const program::Buffer& buffer : read.value().buffers)
    if (buffer.role == program::BufferRole::input) inputs.push_back({buffer.name, buffer.format, buffer.shape});
  testing::hold_against_mutants("resident-pipeline", read.value(), inputs, 600);
}

INSTANTIATE_TEST_SUITE_P(Models, CompiledMutants,
                         ::testing::Values(Case{"squeezenet1_1", "tx81", 500}, Case{"shufflenet_v2_x1_0", "tx81", 500},
                                           Case{"mobilenet_v2", "tx81", 500}, Case{"encoder_block", "tx81", 500},
                                           Case{"decoder_block_kv", "tx81", 500}, Case{"encoder_block", "h100-sxm", 200}),
                         [](const auto& each) {
                           std::string name = fmt::format("{}_{}", each.param.model, each.param.chip);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace switchyard
