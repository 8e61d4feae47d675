// The property test that matters most: a program with one thing wrong is rejected, deadlocks, or changes the output bytes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "model/model.h"
#include "program/verify.h"
#include "property/mutate.h"
#include "simulation/execute.h"

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

class Mutants : public ::testing::TestWithParam<Case> {};

TEST_P(Mutants, AreFound) {
  const Case c = GetParam();
  const auto folder = shared() / "data" / "models" / c.model;
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder << ": set SWITCHYARD_SHARED";
  auto model = model::load_model(folder.string(), {});
  ASSERT_TRUE(model.ok()) << format_failure(model.failure());
  auto loaded = chip::load_chip(c.chip, {SWITCHYARD_SOURCE_DIR "/chips"});
  ASSERT_TRUE(loaded.ok());
  // fp32, so that a small change is not rounded away on its way to the outputs.
  const auto compiled =
      compiler::compile(model.value().graph, std::make_shared<const chip::Chip>(loaded.value()), {numerics::Format::fp32, 0, 1});
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  const program::Program& original = compiled.value().program;
  // A value behind a rectifier may be zero for one input: a survivor meets others, larger and of one sign.
  struct Trial {
    std::vector<numerics::Tensor> inputs;
    std::vector<numerics::Tensor> outputs;
  };
  std::vector<Trial> trials;
  for (const auto& [scale, offset] :
       {std::pair(1.0, 0.0), std::pair(4.0, 3.0), std::pair(2.0, -2.0), std::pair(40.0, 0.0), std::pair(8.0, 1.0)}) {
    Trial trial;
    for (auto id : model.value().graph.inputs) {
      const auto& t = model.value().graph.tensor(id);
      trial.inputs.push_back(
          numerics::seeded_uniform(numerics::mix(trials.size(), numerics::hash_name(t.name)), t.format, t.shape, scale, offset));
    }
    const auto expected = simulation::execute(original, trial.inputs, {1, {}});
    ASSERT_TRUE(expected.ok());
    trial.outputs = expected.value().outputs;
    trials.push_back(std::move(trial));
  }

  std::mt19937_64 random(20);
  int rejected = 0, deadlocked = 0, changed = 0, equivalent = 0;
  std::map<std::string, int> by_kind;
  for (int done = 0; done < c.mutants;) {
    program::Program mutant = original;
    const auto mutation = testing::mutate(mutant, random);
    if (!mutation) continue;
    ++done;
    ++by_kind[mutation->kind];
    if (!program::verify(mutant).ok()) {
      ++rejected;
      continue;
    }
    bool differs = false, stuck = false;
    for (std::size_t k = 0; k < trials.size() && !differs && !stuck; ++k) {
      const auto run = simulation::execute(mutant, trials[k].inputs, {1, {}});
      stuck = !run.ok();
      for (std::size_t o = 0; !stuck && o < trials[k].outputs.size(); ++o)
        differs = differs || run.value().outputs[o].bytes != trials[k].outputs[o].bytes;
    }
    if (stuck || differs) {
      ++(stuck ? deadlocked : changed);
      continue;
    }
    const std::string why = testing::prove_equivalent(original, mutant, *mutation);
    if (!why.empty()) {
      ++equivalent;
      fmt::print("  survives, {}: {} at {}\n", why, mutation->kind, mutation->where);
      continue;
    }
    ADD_FAILURE() << "survives: " << mutation->kind << " at " << mutation->where;
  }
  std::string kinds;
  for (const auto& [kind, n] : by_kind) kinds += fmt::format(" {} {},", n, kind);
  fmt::print("{} on {}: {} mutants: {} rejected, {} deadlocked, {} changed the outputs, {} equivalent;{}\n", c.model, c.chip, c.mutants,
             rejected, deadlocked, changed, equivalent, kinds);
}

INSTANTIATE_TEST_SUITE_P(Models, Mutants,
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
