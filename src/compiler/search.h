// Search: enumerates the mappings of one kernel on one choice of units.
#pragma once

#include <vector>

#include "compiler/estimate.h"

namespace switchyard::compiler {

struct SearchResult {
  std::vector<Mapping> best;  ///< the best of each way of splitting the kernel over components, best first, at most `most`
  Mapping nearest;            ///< where none fits: what came nearest
};
SearchResult search_mappings(const Machine& machine, const Kernel& kernel, const Evaluator& evaluator, int effort, std::size_t most);

}  // namespace switchyard::compiler
