// Lesser machines: chips with half of one resource, for which programs are made and compared on the whole chip.
//
// What is best on a chip is searched by estimates, and a larger scratchpad or a faster memory shifts them: the program found may be slower
// than the one found for less. A program for less runs on more, so it is one more candidate, and having more costs nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "compiler/machine.h"

namespace switchyard::compiler {

struct LesserMachine {
  std::string what;  ///< the resource, for who asks
  std::shared_ptr<const chip::Chip> chip;
  Machine machine;  ///< on that chip; everything else as it was
};

/// With half the usable bytes of each scratchpad, half and a quarter of the bandwidth of the off-chip memory, and these and an eighth of
/// that of the links; those first that are nearest.
std::vector<LesserMachine> lesser_machines(const Machine& machine);

/// Those that do not depend on how much more there is, so that a chip tries what one with less does: half the scratchpads, off-chip memory
/// of the two next lower 2^n GB/s, and links of 32, 16, 8, 4 and 2 GB/s.
std::vector<LesserMachine> rungs_below(const Machine& machine);

/// Bytes that are tried as the room of a scratchpad where there is more: 2^n and 3·2^n, the most first. They do not depend on how much
/// more there is, so that a chip tries what one with less does.
std::vector<std::int64_t> lesser_rooms(const Machine& machine);

/// With so much room in each scratchpad, down to a 64th of what there is.
std::vector<LesserMachine> smaller_scratchpads(const Machine& machine);

/// With the next lower 2^n bytes of room; nothing where there is hardly any.
std::optional<LesserMachine> next_smaller_scratchpads(const Machine& machine);

/// Seconds, ever more, that switches are tried as if they cost where they cost less: a chip with cheaper switches tries what one with
/// dearer ones does.
std::vector<double> dearer_switches(const Machine& machine);

}  // namespace switchyard::compiler
