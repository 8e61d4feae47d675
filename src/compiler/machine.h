// Machine: what the compiler needs to know about a chip, gathered once.
#pragma once

#include <cstdint>
#include <vector>

#include "chip/chip.h"
#include "support/result.h"

namespace switchyard::compiler {

struct Machine {
  const chip::Chip* chip = nullptr;
  chip::ComponentId component;
  chip::MemoryId scratchpad, off_chip, accumulators;  ///< accumulators: registers where they are described, else the scratchpad
  chip::MoverId load, store;
  chip::MoverId cast;                     ///< from one component's scratchpad to several others'; none where the chip has no such mover
  std::vector<std::uint32_t> components;  ///< working instances, in the order in which splits fill them
  std::vector<std::uint32_t> ports;       ///< of the off-chip memory, the nearest to each instance; empty where it has none at components
  std::vector<std::int64_t> extent;       ///< the components lie in this corner of their array; the whole of it at first
  bool grid = false;
  // What the compiler is told to do without is false.
  bool keeps = true;   ///< values stay in scratchpads from context to context, where the chip can
  bool shares = true;  ///< operands needed alike are read once
  bool early = true;   ///< movers start before their context, where the chip can
  bool pins = true;    ///< panels stay over loops that do not use them, and are whole before their context
};
/// Failure compile/unsupported-chip when the chip has no component with a matrix or vector unit, a scratchpad and movers to off-chip
/// memory.
Result<Machine> describe_machine(const chip::Chip& chip);

/// The same machine, of whose components only those in a corner of the array work.
Machine within(const Machine& machine, std::vector<std::int64_t> extent);

/// May values stay in scratchpads between contexts of this machine? Its components must be listed (no grid), its contexts keep scratchpads,
/// and a mover must lead from one scratchpad to others.
bool keeps_values(const Machine& machine);
/// Are what leads from off-chip memory to the components circuits, which a context sets for itself?
bool loads_by_circuit(const Machine& machine);
/// May movers of a context start while earlier ones run?
bool fetches_early(const Machine& machine);
/// The sync between dependent contexts, over all components.
double barrier_seconds(const Machine& machine);

}  // namespace switchyard::compiler
