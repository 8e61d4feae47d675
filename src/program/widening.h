// Widening: a factor stored in fewer bits than the format in which it is multiplied is unpacked on its way into the unit.
#pragma once

#include <optional>

#include "program/program.h"

namespace switchyard::program {

/// Of a factor as it lies in memory: all of its numbers are numbers of the wider format, in fewer bits.
bool is_narrower(numerics::Format stored, numerics::Format wide);

/// What widening takes. The lanes of the unit's component do it, one operation an element (tricks with bits and packed arithmetic) at the
/// rate of bytes or of the wide format, for each tile that is multiplied: beside the multiplication, or before it where the lanes multiply
/// themselves.
struct Widening {
  int factor = 1;       ///< of the two that are multiplied
  double cycles = 0;    ///< of an element, in cycles of the unit that multiplies
  bool beside = false;  ///< another unit does it
  /// Cycles of the unit for a tile that takes `contract` by itself.
  [[nodiscard]] double together(double contract, double elements) const {
    return beside ? (elements * cycles > contract ? elements * cycles : contract) : contract + elements * cycles;
  }
};
/// Empty where the unit's component has no such lanes, and the unit does not know the stored format.
std::optional<Widening> widening(const chip::Chip& chip, chip::UnitId unit, numerics::Format wide, numerics::Format stored);
/// Of a contraction one of whose factors is widened.
std::optional<Widening> widening(const chip::Chip& chip, const Actor& actor, const Statement& contraction);

}  // namespace switchyard::program
