// The trace of a run in Perfetto's format: a track per unit, mover, control core, memory and link, flows from producers to consumers.
#pragma once

#include <cstddef>
#include <string>

#include "program/program.h"
#include "simulation/recording.h"
#include "simulation/timing.h"

namespace switchyard::report {

/// Slices, uses and flows of a trace: about 60 MB of file, which a browser opens in seconds.
inline constexpr std::size_t kTraceLimit = 1'000'000;

/// A `.pftrace` for ui.perfetto.dev. Its clock counts whole nanoseconds; every slice has its exact picoseconds as arguments.
std::string print_trace(const program::Program& program, const simulation::Timing& timing, const simulation::Recording& recording);

}  // namespace switchyard::report
