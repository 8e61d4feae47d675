// Grid machine: what a chip whose sequencer deals blocks offers to a kernel, gathered from its concepts.
#pragma once

#include "program/program.h"

namespace switchyard::program {

struct GridMachine {
  const chip::Waves& waves;
  double components, memory_rate, tile_rate, cache_rate;
};
GridMachine grid_machine(const chip::Chip& chip, chip::ComponentId component);

/// The seconds for which the power supply has the energy of these operations and of what moves off chip; none where the chip file does not
/// say what an operation takes.
double powered_seconds(const chip::Chip& chip, const chip::Unit& unit, numerics::Format format, double operations, double bytes);

/// Two things at the same time, as the p-norm has it.
double overlapped(double a, double b, double p);

}  // namespace switchyard::program
