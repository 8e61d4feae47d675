// Search: enumerates the mappings of one kernel on one choice of units.
#pragma once

#include <vector>

#include "compiler/estimate.h"

namespace switchyard::compiler {

struct SearchResult {
  std::vector<Mapping> best;  ///< of each of the `most` best ways of splitting the kernel over components, for each weight of what is held
  Mapping nearest;            ///< where none fits: what came nearest
};
SearchResult search_mappings(const Machine& machine, const Kernel& kernel, const Evaluator& evaluator, int effort, std::size_t most);

}  // namespace switchyard::compiler
