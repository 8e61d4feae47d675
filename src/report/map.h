// Map: the chip as a picture (SVG), one panel per context: who sits where, what the links and memory ports carry.
#pragma once

#include <string>

#include "program/program.h"
#include "simulation/timing.h"

namespace switchyard::report {

/// Stands alone: shapes and text only, no scripts, no fonts of its own. The contexts with the longest shares get a panel, at most `most`;
/// all are listed. `only`: a context's name, or one of its operators; only that one is drawn.
std::string draw_map(const program::Program& program, const simulation::Timing& timing, std::size_t most = 12,
                     const std::string& only = {});

}  // namespace switchyard::report
