// Reports as JSON, the keys in the order of the contract. Times are microseconds with six decimals, exact.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/run.h"

namespace switchyard::report {

std::string print_json(const RunReport& report);                        ///< schema switchyard/run/1
std::string print_json_line(const RunReport& report);                   ///< the same on one line
std::string print_comparison_json(const std::vector<RunReport>& runs);  ///< schema switchyard/compare/1

struct Explanation;
struct ContextStory;
/// Schema switchyard/explain/1; with `only` of one context. Estimates (mapping) are of the compiler, all other times of the timing engine.
std::string print_explanation_json(const Explanation& explanation, const ContextStory* only = nullptr);

struct ChipRow {
  std::string name, family, title;
  std::vector<std::pair<std::string, double>> peak_tflops;  ///< by format name
};
std::string print_chips_json(const std::vector<ChipRow>& chips);  ///< schema switchyard/chips/1

struct ModelRow {
  std::string name, description;
  std::vector<std::string> parameters;  ///< what --set understands, with defaults
  struct Counts {
    std::int64_t ops = 0, macs = 0, weights = 0;
  };
  std::optional<Counts> counts;  ///< of a model that was built
};
std::string print_models_json(const std::vector<ModelRow>& models);  ///< schema switchyard/models/1

}  // namespace switchyard::report
