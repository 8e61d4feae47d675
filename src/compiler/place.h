// Placement: which component does the work of which, so that what they send each other crosses short and uncongested routes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/machine.h"
#include "program/program.h"

namespace switchyard::compiler {

/// A permutation of the machine's components that is legal at every step, since only working ones change places, and what it does to links.
struct Placement {
  std::vector<std::uint32_t> to;      ///< by component instance; program/relocate.h
  double before = 0, after = 0;       ///< seconds that the busiest link of each context is busy, over all contexts
  std::int64_t exchanges = 0;         ///< that were tried
  [[nodiscard]] bool moves() const {  ///< something
    for (std::uint32_t i = 0; i < to.size(); ++i)
      if (to[i] != i) return true;
    return false;
  }
};

/// Simulated annealing (Kirkpatrick et al. 1983; as placers of FPGAs do it, Betz and Rose 1997) over exchanges of two components. What is
/// made small is, over the contexts, the 4-norm of the seconds that links are busy, which the busiest dominates. `effort` 1 to 3 tries
/// exchanges until so many links have been updated as a twentieth of a second, a quarter, a second allow; the same for any
/// number of threads. Links are those of the program's chip, whatever the machine was made lesser in. Nothing is tried where links are busy
/// for less than `worth` seconds (`before`). Programs on grids, on chips without a network of links between components, or in which nothing
/// is sent stay as they are.
Placement place_components(const Machine& machine, const program::Program& program, std::uint64_t seed, int effort, double worth = 0);

std::string print_placement(const Placement& placement);

}  // namespace switchyard::compiler
