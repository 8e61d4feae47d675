// Grid: what the blocks of a kernel do, and how long they take when a chip's sequencer deals them to its components in waves.
//
// Blocks of a grid are alike: so a wave of them takes as long as one, and the kernel as long as its waves, against what all of them
// together ask of the memories. The mechanisms are those of docs/gpu.md; every number stands in the chip file.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "program/program.h"

namespace switchyard::program {

/// What one kernel asks for. Cycles are at the full rates of units.
struct GridWork {
  std::int64_t blocks = 1;
  chip::ComponentId component;
  chip::UnitId matrix;                               ///< the unit that contracts; none where nothing is contracted
  numerics::Format format = numerics::Format::fp32;  ///< of what is contracted
  double contract_cycles = 0;                        ///< of a block
  double useful_cycles = 0;                          ///< of all blocks, without what fills up tiles
  double steps = 0;                                  ///< of a block: firings that contract
  double between_cycles = 0;                         ///< of a step: what comes after it, before the next of its block may begin
  double inner_cycles = 0;                           ///< of a block: element-wise work between contractions
  double vector_cycles = 0;                          ///< of a block: element-wise work and reductions
  double load_bytes = 0;                             ///< into the component, of a block
  double store_bytes = 0;                            ///< out of it
  double held_bytes = 0;                             ///< in the scratchpad, of a block
  double accumulator_bytes = 0;                      ///< in registers, of a block
  struct Touched {                                   ///< one access: a box of a buffer
    BufferId buffer;
    bool write = false;
    double bytes = 0;                              ///< each once
    std::vector<std::array<std::int64_t, 2>> box;  ///< per dimension, [begin, end)
  };
  std::vector<Touched> touched;  ///< in the order of actors; boxes of one buffer are different ones
  double macs = 0, vector_ops = 0;
  double thin_rows = 0;  ///< of a product without tiles (program/thin.h); 0: there are tiles
  /// Rows that are reduced and then used again, where there are any (program/rows.h).
  struct Rows {
    double count = 0;       ///< of rows
    double elements = 0;    ///< of each
    double passes = 2;      ///< how often each is read
    bool greatest = false;  ///< its greatest element is wanted
  };
  std::optional<Rows> rows;
};

/// How the time is made up, in seconds.
struct GridTime {
  double launch = 0;                  ///< start and drain of the kernel
  double compute = 0, imbalance = 0;  ///< units at work; components that wait for the last wave
  double interconnect = 0;            ///< what operands and results add on their way between components and cache
  double memory = 0;                  ///< what off-chip memory adds
  double control = 0;                 ///< filling of pipelines, steps that are shorter than their latency, combining of slices
  double hertz = 0;                   ///< at which components ran
  [[nodiscard]] double total() const { return launch + compute + imbalance + interconnect + memory + control; }
};

/// Does the chip's sequencer deal this context's blocks in waves?
bool runs_in_waves(const chip::Chip& chip, const Context& context);

/// The work of a context all of whose arrays are grids.
GridWork grid_work(const chip::Chip& chip, std::span<const Buffer> buffers, const Context& context);

/// `cached`: bytes of those read that the cache holds already. `slices`: into how many blocks each block's reduction is cut.
GridTime grid_time(const chip::Chip& chip, const GridWork& work, std::int64_t slices = 1, double cached = 0);

/// What one point of a statement that is no contraction costs its unit; nothing where that applies it for free.
struct PointCost {
  double cycles = 0, operations = 0;
};
/// `held`: what it reads is in registers already, so that a reduction costs no more than combining.
PointCost point_cost(const chip::Chip& chip, const Actor& actor, const Statement& statement, bool held);
/// Points of a statement over all blocks and firings.
double all_points(const Actor& actor, const Statement& statement);

/// Seconds before the first and after the last block of a kernel.
double launch_seconds(const chip::Chip& chip);
/// Multiply-accumulates per second that a kernel can reach on a class of units: what its main loop sustains, at the clock that leaves.
double most_macs_per_second(const chip::Chip& chip, chip::UnitId unit, const chip::Unit::Rate& rate);

}  // namespace switchyard::program
