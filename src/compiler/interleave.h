// Interleave: consecutive kernels on different units of the same components hand their results on tile by tile, so that one unit works on
// a tile while the other works on the next, and only a few tiles of what lies between them exist at a time.
#pragma once

#include <string>
#include <vector>

#include "compiler/mapping.h"

namespace switchyard::compiler {

/// Tiles of a handed tensor that have room in a component: one is made while the one before it is used.
inline constexpr std::int64_t kHandedDepth = 2;

/// A tensor between two stages of a run, which is used by nobody else: the operands of the one that writes, and of the one that reads.
struct Handed {
  std::size_t writer = 0, from = 0;  ///< stage and operand
  std::size_t reader = 0, to = 0;
  std::int64_t tile_bytes = 0;  ///< in one component
  /// Tiles of it that have room: as many for each stage on its way.
  [[nodiscard]] std::int64_t slots() const { return kHandedDepth * static_cast<std::int64_t>(reader - writer); }
  /// Bytes beyond those: each of its two users has counted kHandedDepth tiles.
  [[nodiscard]] std::int64_t counted_twice() const { return (2 * kHandedDepth - slots()) * tile_bytes; }
};

/// A run of kernels that hand on tile by tile.
struct Interleaving {
  std::size_t first = 0;
  std::int64_t steps = 1;       ///< tiles that each component hands on
  std::vector<Mapping> stages;  ///< of its kernels, on the same components, with the same loops
  std::vector<Handed> handed;
  double apart = 0, seconds = 0;  ///< estimates: one kernel after the other, and tile by tile
  [[nodiscard]] std::size_t end() const { return first + stages.size(); }
};

/// Bytes of the tiles of an operand that is handed on.
std::int64_t tile_bytes(const graph::Graph& graph, const KernelOperand& o, const Mapping& mapping);

/// "scores to context: 3 kernels hand on 12 tiles; estimate 125.1 us, one after the other 150.3 us".
std::string print_interleaving(const Interleaving& interleaving, const std::vector<Kernel>& kernels);

/// Runs that are estimated to take so at most `share` of what they take one kernel after the other, as `apart` (seconds, by kernel) has it.
/// Neighbours run on different units, and the loops over tiles are parallel in all of them: heads and rows of attention, whose products
/// are a matrix unit's and whose softmax is a vector unit's. All of a run are split over components alike, as `mappings` has it. Kernels
/// that are `alone` are in no run.
std::vector<Interleaving> find_interleavings(const Machine& machine, const MappedKernels& mapped, double share);

/// Seconds of stages on different units that hand on so many tiles: of the busiest unit, and of the others once.
double seconds_by_tiles(const std::vector<Mapping>& stages, std::int64_t steps);

/// Runs that a mapping file has: kernels that follow each other, with what it has `handed`, by kernel and operand. Nothing is searched.
std::vector<Interleaving> interleavings_among(const MappedKernels& mapped, const std::vector<std::vector<bool>>& handed);

}  // namespace switchyard::compiler
