// Interleave: consecutive kernels on different units of the same components hand their results on tile by tile, so that one unit works on
// a tile while the other works on the next, and only a few tiles of what lies between them exist at a time.
#pragma once

#include <string>
#include <vector>

#include "compiler/mapping.h"

namespace switchyard::compiler {

/// Tiles of a handed tensor that have room in a component: one is made while the one before it is used.
inline constexpr std::int64_t kHandedDepth = 2;

/// A run of kernels that hand on tile by tile. What stands between stages s and s + 1 is used by nobody else.
struct Interleaving {
  std::size_t first = 0;
  std::int64_t steps = 1;                ///< tiles that each component hands on
  std::vector<Mapping> stages;           ///< of its kernels, on the same components, with the same loops
  std::vector<std::size_t> from, to;     ///< by tensor between two stages: the operand of the one that writes, and of the one that reads
  std::vector<std::int64_t> tile_bytes;  ///< of each such tensor, in one component
  double apart = 0, seconds = 0;         ///< estimates: one kernel after the other, and tile by tile
  [[nodiscard]] std::size_t end() const { return first + stages.size(); }
};
/// "scores to context: 3 kernels hand on 12 tiles; estimate 125.1 us, one after the other 150.3 us".
std::string print_interleaving(const Interleaving& interleaving, const std::vector<Kernel>& kernels);

/// Runs that are estimated to take so at most `share` of what they take one kernel after the other, as `apart` (seconds, by kernel) has it.
/// Neighbours run on different units, and the loops over tiles are parallel in all of them: heads and rows of attention, whose products
/// are a matrix unit's and whose softmax is a vector unit's. All of a run are split over components alike, as `mappings` has it. Kernels
/// that are `alone` are in no run.
std::vector<Interleaving> find_interleavings(const Machine& machine, const MappedKernels& mapped, double share);

}  // namespace switchyard::compiler
