// Mapping: how one kernel is spread over components and cut into tiles; and the search for a good one.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "compiler/kernel.h"
#include "support/result.h"

namespace switchyard::compiler {

/// Extent of dim d = at most split * trips * tile. Loops run over the dims with trips > 1: parallel ones in `order`, then reductions.
struct Mapping {
  chip::UnitId unit;
  chip::UnitId epilogue_unit;  ///< none: the epilogue runs on `unit`
  std::vector<std::int64_t> split, trips, tile;
  std::vector<int> order;              ///< dims with trips > 1, outermost first
  std::vector<bool> shared;            ///< per operand: read once for all instances that need it, and multicast to them
  std::vector<bool> resident;          ///< per operand: kept over every loop it does not depend on
  std::vector<std::int64_t> depth;     ///< per operand: slots of its channel
  std::int64_t accumulator_depth = 2;  ///< slots between unit and epilogue unit
  std::int64_t storage = 0;            ///< bytes of scratchpad in each component
  std::int64_t instances = 1;
  double seconds = 0;             ///< estimate
  std::array<double, 5> terms{};  ///< of the estimate: compute, movers, issue, memory, fill and drain
  std::int64_t tried = 0;         ///< candidates it was chosen from
};

/// What the mapper needs to know about the machine, gathered once.
struct Machine {
  const chip::Chip* chip = nullptr;
  chip::ComponentId component;
  chip::MemoryId scratchpad, off_chip, accumulators;  ///< accumulators: registers where they are described, else the scratchpad
  chip::MoverId load, store;
  chip::MoverId cast;                     ///< from one component's scratchpad to several others'; none where the chip has no such mover
  std::vector<std::uint32_t> components;  ///< working instances, in the order in which splits fill them
  bool grid = false;
};
/// Failure compile/unsupported-chip when the chip has no component with a matrix or vector unit, a scratchpad and movers to off-chip
/// memory.
Result<Machine> describe_machine(const chip::Chip& chip);

/// Token extents of an operand for given tile sizes: the box that one firing needs, clipped to the tensor where the tile spans it.
std::vector<std::int64_t> token_shape(const KernelOperand& operand, const std::vector<std::int64_t>& tile);
/// Padding of the innermost dimension for the unit's operand layout.
std::int64_t token_pad(const chip::Unit& unit, bool contraction, std::int64_t innermost);
/// Per loop of `order`: is the operand's token kept over it?
std::vector<bool> kept_loops(const KernelOperand& operand, const std::vector<int>& order, bool resident);
/// Tokens per instance given what is kept.
std::int64_t tokens_per_instance(const std::vector<bool>& kept, const std::vector<int>& order, const std::vector<std::int64_t>& trips);
/// Instances along each dim (1 for reductions): what the split, the trips and the tile make of its extent.
std::vector<std::int64_t> instances_along(const Kernel& kernel, const Mapping& mapping);
/// Slots a resident operand holds at once.
std::int64_t live_tokens(const std::vector<bool>& kept, const std::vector<int>& order, const std::vector<std::int64_t>& trips);

/// The best mapping found; Failure compile/does-not-fit (Infeasible with terms) or compile/unsupported-format.
Result<Mapping> choose_mapping(const Machine& machine, const graph::Graph& graph, const Kernel& kernel,
                               const std::vector<std::vector<int>>& layouts, int effort);

}  // namespace switchyard::compiler
