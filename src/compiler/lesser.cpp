#include "compiler/lesser.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "chip/query.h"

namespace switchyard::compiler {
namespace {

/// Divides one resource of a chip.
struct Less {
  const char* what;
  void (*apply)(chip::Chip& chip, const Machine& machine, int divisor);
  int divisor;
};

void less_scratchpad(chip::Chip& chip, const Machine& machine, int divisor) {
  chip::Memory& memory = chip.memories[machine.scratchpad.index()];
  const chip::UsableRange range = chip::usable_range(memory);
  memory.reserved.push_back({range.begin + (range.end - range.begin) / divisor, range.end});
}

void less_memory(chip::Chip& chip, const Machine& machine, int divisor) {
  chip.memories[machine.off_chip.index()].bandwidth.value /= divisor;
}

void less_links(chip::Chip& chip, const Machine& machine, int divisor) {
  const auto& network = chip.memories[machine.off_chip.index()].network;
  if (network) chip.networks[network->index()].link.value /= divisor;
  if (!machine.cast.valid()) return;
  const auto& between = chip.movers[machine.cast.index()].network;
  if (between && between != network) chip.networks[between->index()].link.value /= divisor;
}

constexpr std::int64_t kLeastRoom = 64 * 1024, kMostRoom = std::int64_t{1} << 40;
constexpr std::int64_t kSmallest = 64;  // of the scratchpads that there are, the part that is tried

LesserMachine lesser(const Machine& machine, std::string what, const std::function<void(chip::Chip&)>& apply) {
  auto chip = std::make_shared<chip::Chip>(*machine.chip);
  apply(*chip);
  Machine made = machine;
  made.chip = chip.get();
  return {std::move(what), std::move(chip), std::move(made)};
}

constexpr Less kLess[] = {{"half the scratchpads", less_scratchpad, 2},           {"half the off-chip bandwidth", less_memory, 2},
                          {"half the bandwidth of links", less_links, 2},         {"a quarter of the off-chip bandwidth", less_memory, 4},
                          {"a quarter of the bandwidth of links", less_links, 4}, {"an eighth of the bandwidth of links", less_links, 8}};

}  // namespace

std::vector<LesserMachine> lesser_machines(const Machine& machine) {
  std::vector<LesserMachine> out;
  for (const Less& less : kLess)
    out.push_back(lesser(machine, less.what, [&](chip::Chip& chip) { less.apply(chip, machine, less.divisor); }));
  return out;
}

std::vector<std::int64_t> lesser_rooms(const Machine& machine) {
  const auto range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
  std::vector<std::int64_t> rooms;
  for (std::int64_t power = kMostRoom; power >= kLeastRoom; power /= 2)
    for (const std::int64_t room : {power + power / 2, power})
      if (room < range.end - range.begin) rooms.push_back(room);
  return rooms;
}

std::vector<LesserMachine> smaller_scratchpads(const Machine& machine) {
  std::vector<LesserMachine> out;
  const auto range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
  for (const std::int64_t room : lesser_rooms(machine))
    if (room * kSmallest >= range.end - range.begin)
      out.push_back(lesser(machine, fmt::format("scratchpads of {} KiB", room / 1024), [&](chip::Chip& chip) {
        chip.memories[machine.scratchpad.index()].reserved.push_back({range.begin + room, range.end});
      }));
  return out;
}

}  // namespace switchyard::compiler
