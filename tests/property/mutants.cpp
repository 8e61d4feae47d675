#include "property/mutants.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "program/verify.h"
#include "property/mutate.h"
#include "simulation/execute.h"

namespace switchyard::testing {

void hold_against_mutants(const std::string& title, const program::Program& original, const std::vector<Input>& inputs, int mutants) {
  // A value behind a rectifier may be zero for one input: a survivor meets others, larger and of one sign.
  struct Trial {
    std::vector<numerics::Tensor> inputs;
    std::vector<numerics::Tensor> outputs;
  };
  std::vector<Trial> trials;
  for (const auto& [scale, offset] :
       {std::pair(1.0, 0.0), std::pair(4.0, 3.0), std::pair(2.0, -2.0), std::pair(40.0, 0.0), std::pair(8.0, 1.0)}) {
    Trial trial;
    for (const Input& t : inputs)
      trial.inputs.push_back(
          numerics::seeded_uniform(numerics::mix(trials.size(), numerics::hash_name(t.name)), t.format, t.shape, scale, offset));
    const auto expected = simulation::execute(original, trial.inputs, {1, {}});
    ASSERT_TRUE(expected.ok());
    trial.outputs = expected.value().outputs;
    trials.push_back(std::move(trial));
  }

  std::mt19937_64 random(20);
  int rejected = 0, deadlocked = 0, changed = 0, equivalent = 0;
  std::map<std::string, int> by_kind;
  for (int done = 0; done < mutants;) {
    program::Program mutant = original;
    const auto mutation = mutate(mutant, random);
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
    const std::string why = prove_equivalent(original, mutant, *mutation);
    if (!why.empty()) {
      ++equivalent;
      fmt::print("  survives, {}: {} at {}\n", why, mutation->kind, mutation->where);
      continue;
    }
    ADD_FAILURE() << "survives: " << mutation->kind << " at " << mutation->where;
  }
  std::string kinds;
  for (const auto& [kind, n] : by_kind) kinds += fmt::format(" {} {},", n, kind);
  fmt::print("{}: {} mutants: {} rejected, {} deadlocked, {} changed the outputs, {} equivalent;{}\n", title, mutants, rejected, deadlocked,
             changed, equivalent, kinds);
}

}  // namespace switchyard::testing
