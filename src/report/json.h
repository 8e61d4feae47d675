// Reports as JSON, the keys in the order of the contract. Times are microseconds with six decimals, exact.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/run.h"

namespace switchyard::report {

std::string print_json(const RunReport& report);                        ///< schema switchyard/run/1
std::string print_comparison_json(const std::vector<RunReport>& runs);  ///< schema switchyard/compare/1

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
