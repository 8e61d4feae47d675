// Lesser machines: chips with less of some resources, for which programs are made and compared on the whole chip.
//
// What is best on a chip is searched by estimates, and a larger scratchpad or a faster memory shifts them: the program found may be slower
// than the one found for less. A program for less runs on more, so it is one more candidate, and having more costs nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chip/chip.h"
#include "compiler/machine.h"

namespace switchyard::compiler {

/// Of which resources there is less, and how much; 0: all that there is.
struct Less {
  std::int64_t room = 0;  ///< bytes of each scratchpad
  double off_chip = 0;    ///< bytes per second of the off-chip memory
  double links = 0;       ///< the same of links that tensors take
  bool operator==(const Less&) const = default;
};

/// As mapping files have it: "scratchpads of 1536 KiB, off-chip memory of 64 GB/s, links of 8 GB/s", or some of these in this order.
std::string print_less(const Less& less);
/// The same, read; nothing where it says something else.
std::optional<Less> parse_less(std::string_view text);

struct LesserMachine {
  Machine machine;  ///< on the lesser chip; everything else as it was
  std::shared_ptr<const chip::Chip> chip;
};

LesserMachine lesser_machine(const Machine& machine, const Less& less);
/// There is no more of anything than the machine has.
bool is_less(const Machine& machine, const Less& less);

/// Half of each scratchpad; half and a quarter of the bandwidth of off-chip memory; these and an eighth of that of the links. Those first
/// that are nearest to what there is.
std::vector<Less> parts_of_one(const Machine& machine);

/// Rungs of one resource, the others as in `from`; first all of it, then: two next lower 2^n GB/s of off-chip memory; links of 32, 16, 8, 4
/// and 2 GB/s. What is tried does not depend on how much more there is, so a chip tries what one with less does.
std::vector<Less> rungs_of_off_chip(const Machine& machine, const Less& from);
std::vector<Less> rungs_of_links(const Machine& machine, const Less& from);
inline constexpr auto kLaddersOfBandwidth = {rungs_of_off_chip, rungs_of_links};

/// Off-chip memory, and links, of the next lower of 2^n and 3·2^n GB/s; the other, and room, as in `from`.
std::vector<Less> next_bandwidths(const Machine& machine, const Less& from);

/// Bytes that are tried as the room of a scratchpad where there is more: 2^n and 3·2^n, the most first.
std::vector<std::int64_t> lesser_rooms(const Machine& machine);

/// With so much room in each scratchpad, down to a 64th of what there is, the most first.
std::vector<Less> smaller_scratchpads(const Machine& machine);

/// Seconds, ever more, that switches are tried as if they cost where they cost less: a chip with cheaper switches tries what one with
/// dearer ones does.
std::vector<double> dearer_switches(const Machine& machine);

}  // namespace switchyard::compiler
