// Levers: which number of the chip holds a program back, by timing the same program with that number made twice as good.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "chip/read.h"
#include "program/program.h"
#include "simulation/timing.h"
#include "support/result.h"

namespace switchyard::report {

struct Lever {
  chip::Override change;  ///< as --override takes it
  std::string from;       ///< what the chip says now
  Picoseconds latency;
  std::vector<Picoseconds> shares;  ///< by context
};

/// The chip with one more change.
using ReadChip = std::function<Result<chip::Chip>(const chip::Override&)>;

/// What would be worth trying: numbers on which the time rests, those that belong to the greatest causes first. Delays are halved, rates
/// and counts of engines doubled. The program is timed again as it is, not compiled anew. Best first; those that change nothing are left
/// out.
std::vector<Lever> try_levers(const program::Program& program, const simulation::Timing& timing, const simulation::TimingOptions& options,
                              const ReadChip& read);

/// The quantity twice as good, in the same unit; empty where there is nothing to gain in this way (sizes, layouts).
std::string twice_as_good(std::string_view pointer, std::string_view quantity);

}  // namespace switchyard::report
