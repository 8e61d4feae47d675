#include "compiler/lesser.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
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

/// Those that tensors take, to and from off-chip memory and between components.
std::vector<chip::Number*> links_of(chip::Chip& chip, const Machine& machine) {
  std::vector<chip::Number*> links;
  const auto& network = chip.memories[machine.off_chip.index()].network;
  if (network) links.push_back(&chip.networks[network->index()].link);
  if (!machine.cast.valid()) return links;
  const auto& between = chip.movers[machine.cast.index()].network;
  if (between && between != network) links.push_back(&chip.networks[between->index()].link);
  return links;
}

void less_links(chip::Chip& chip, const Machine& machine, int divisor) {
  for (auto* link : links_of(chip, machine)) link->value /= divisor;
}

constexpr std::int64_t kLeastRoom = 64 * 1024, kMostRoom = std::int64_t{1} << 40;
constexpr std::int64_t kSmallest = 64;  // of the scratchpads that there are, the part that is tried

/// Bytes of a scratchpad that tensors may use.
std::int64_t room_of(const Machine& machine) {
  const chip::UsableRange range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
  return range.end - range.begin;
}

LesserMachine lesser(const Machine& machine, std::string what, const std::function<void(chip::Chip&)>& apply) {
  auto chip = std::make_shared<chip::Chip>(*machine.chip);
  apply(*chip);
  Machine made = machine;
  made.chip = chip.get();
  return {std::move(what), std::move(chip), std::move(made)};
}

LesserMachine with_room(const Machine& machine, std::int64_t room) {
  return lesser(machine, fmt::format("scratchpads of {} KiB", room / 1024), [&](chip::Chip& chip) {
    chip::Memory& memory = chip.memories[machine.scratchpad.index()];
    const chip::UsableRange range = chip::usable_range(memory);
    memory.reserved.push_back({range.begin + room, range.end});
  });
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

std::vector<LesserMachine> rungs_below(const Machine& machine) {
  const auto below = [](double bandwidth, double top, std::size_t most) {  // GB/s: powers of two from `top` down
    std::vector<double> rungs;
    for (double rung = top; rung >= 2 && rungs.size() < most; rung /= 2)
      if (rung * 1e9 < bandwidth) rungs.push_back(rung);
    return rungs;
  };
  std::vector<LesserMachine> out;
  out.push_back(lesser(machine, kLess[0].what, [&](chip::Chip& chip) { kLess[0].apply(chip, machine, kLess[0].divisor); }));
  for (const double rung : below(machine.chip->memories[machine.off_chip.index()].bandwidth.value, 65536, 2))
    out.push_back(lesser(machine, fmt::format("off-chip memory of {:.0f} GB/s", rung),
                         [&](chip::Chip& chip) { chip.memories[machine.off_chip.index()].bandwidth.value = rung * 1e9; }));
  chip::Chip whole = *machine.chip;
  double fastest = 0;
  for (const auto* link : links_of(whole, machine)) fastest = std::max(fastest, link->value);
  for (const double rung : below(fastest, 32, 5))
    out.push_back(lesser(machine, fmt::format("links of {:.0f} GB/s", rung), [&](chip::Chip& chip) {
      for (auto* link : links_of(chip, machine)) link->value = std::min(link->value, rung * 1e9);
    }));
  return out;
}

std::vector<std::int64_t> lesser_rooms(const Machine& machine) {
  std::vector<std::int64_t> rooms;
  for (std::int64_t power = kMostRoom; power >= kLeastRoom; power /= 2)
    for (const std::int64_t room : {power + power / 2, power})
      if (room < room_of(machine)) rooms.push_back(room);
  return rooms;
}

std::vector<LesserMachine> smaller_scratchpads(const Machine& machine) {
  std::vector<LesserMachine> out;
  for (const std::int64_t room : lesser_rooms(machine))
    if (room * kSmallest >= room_of(machine)) out.push_back(with_room(machine, room));
  return out;
}

std::optional<LesserMachine> next_smaller_scratchpads(const Machine& machine) {
  const std::int64_t room = room_of(machine) - 1;
  if (room < kLeastRoom) return std::nullopt;
  return with_room(machine, static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(room))));
}

std::vector<double> dearer_switches(const Machine& machine) {
  std::vector<double> out;
  for (const double seconds : {1e-6, 10e-6, 100e-6})
    if (seconds > machine.chip->context.switch_time.value) out.push_back(seconds);
  return out;
}

}  // namespace switchyard::compiler
