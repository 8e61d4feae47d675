#include "compiler/lesser.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "chip/query.h"
#include "support/quantity.h"

namespace switchyard::compiler {
namespace {

constexpr std::int64_t kLeastRoom = 64 * 1024, kMostRoom = std::int64_t{1} << 40;
constexpr std::int64_t kSmallest = 64;                     ///< of the scratchpads that there are, the part that is tried
constexpr double kMostBandwidth = 65536, kMostLinks = 32;  ///< GB/s, of the highest rung; of links where several are tried
constexpr std::size_t kOffChips = 2, kLinks = 5;           ///< how many rungs are tried

std::int64_t room_of(const Machine& machine) {
  const auto range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
  return range.end - range.begin;
}

double off_chip_of(const Machine& machine) { return machine.chip->memories[machine.off_chip.index()].bandwidth.value; }

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

/// Of the fastest of them; 0: there are none.
double links_of(const Machine& machine) {
  chip::Chip chip = *machine.chip;
  double fastest = 0;
  for (const auto* link : links_of(chip, machine)) fastest = std::max(fastest, link->value);
  return fastest;
}

std::string print_rate(double rate) {
  std::string text = fmt::format("{} GB/s", rate * 1e-9);
  const auto same = parse_quantity(text);
  return same && same->value == rate ? text : fmt::format("{} B/s", rate);
}

/// All of a resource, and its rungs below what there is, the highest first, so many of them.
std::vector<Less> rungs(const Less& from, double Less::*member, const std::vector<double>& ladder, double whole, std::size_t most) {
  std::vector<Less> out{from};
  out.back().*member = 0;
  for (const double rung : ladder)
    if (rung < whole && out.size() <= most) out.push_back(from), out.back().*member = rung;
  return out;
}

std::vector<double> powers_of_two(double from) {
  std::vector<double> out;
  for (double rung = from; rung >= 2; rung /= 2) out.push_back(rung * 1e9);
  return out;
}

struct Part {
  std::string_view name;
  Dimension dimension;
};
constexpr Part kRoomPart{"scratchpads of ", Dimension::bytes}, kOffChipPart{"off-chip memory of ", Dimension::bytes_per_second},
    kLinksPart{"links of ", Dimension::bytes_per_second};

}  // namespace

std::string print_less(const Less& less) {
  std::string text;
  const auto tell = [&](const Part& part, const std::string& value) {
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", part.name, value);
  };
  if (less.room > 0) tell(kRoomPart, less.room % 1024 == 0 ? fmt::format("{} KiB", less.room / 1024) : fmt::format("{} B", less.room));
  if (less.off_chip > 0) tell(kOffChipPart, print_rate(less.off_chip));
  if (less.links > 0) tell(kLinksPart, print_rate(less.links));
  return text;
}

std::optional<Less> parse_less(std::string_view text) {
  Less less;
  // The value of a part that stands next; 0: another one stands there.
  const auto take = [&](const Part& part) -> std::optional<double> {
    if (!text.starts_with(part.name)) return 0;
    const std::string_view value = text.substr(part.name.size(), text.find(',') - part.name.size());
    text.remove_prefix(part.name.size() + value.size());
    if (text.starts_with(", ") && text.size() > 2) text.remove_prefix(2);
    const auto quantity = parse_quantity(value);
    if (!quantity || quantity->dimension != part.dimension || !(quantity->value >= 1)) return {};
    return quantity->value;
  };
  const auto room = take(kRoomPart), off_chip = take(kOffChipPart), links = take(kLinksPart);
  if (!room || !off_chip || !links || !text.empty() || *room != std::floor(*room) || *room > static_cast<double>(kMostRoom)) return {};
  less = {static_cast<std::int64_t>(*room), *off_chip, *links};
  if (less == Less{}) return {};
  return less;
}

LesserMachine lesser_machine(const Machine& machine, const Less& less) {
  auto chip = std::make_shared<chip::Chip>(*machine.chip);
  if (less.room > 0) {
    chip::Memory& memory = chip->memories[machine.scratchpad.index()];
    const chip::UsableRange range = chip::usable_range(memory);
    if (range.begin + less.room < range.end) memory.reserved.push_back({range.begin + less.room, range.end});
  }
  if (less.off_chip > 0) chip->memories[machine.off_chip.index()].bandwidth.value = less.off_chip;
  if (less.links > 0)
    for (auto* link : links_of(*chip, machine)) link->value = std::min(link->value, less.links);
  Machine made = machine;
  made.chip = chip.get();
  return {std::move(made), std::move(chip)};
}

bool is_less(const Machine& machine, const Less& less) {
  return less.room < room_of(machine) && less.off_chip < off_chip_of(machine) && (less.links == 0 || less.links < links_of(machine));
}

std::vector<Less> parts_of_one(const Machine& machine) {
  const std::int64_t room = room_of(machine);
  const double off_chip = off_chip_of(machine), links = links_of(machine);
  return {{room / 2, 0, 0}, {0, off_chip / 2, 0}, {0, 0, links / 2}, {0, off_chip / 4, 0}, {0, 0, links / 4}, {0, 0, links / 8}};
}

std::vector<Less> rungs_of_off_chip(const Machine& machine, const Less& from) {
  return rungs(from, &Less::off_chip, powers_of_two(kMostBandwidth), off_chip_of(machine), kOffChips);
}

std::vector<Less> rungs_of_links(const Machine& machine, const Less& from) {
  return rungs(from, &Less::links, powers_of_two(kMostLinks), links_of(machine), kLinks);
}

std::vector<Less> next_bandwidths(const Machine& machine, const Less& from) {
  std::vector<Less> out;
  const auto add = [&](double Less::*member, double whole) {
    for (double power = kMostBandwidth; power >= 2; power /= 2)
      for (const double rung : {power + power / 2, power}) {
        if (rung * 1e9 >= whole) continue;
        out.push_back(from);
        out.back().*member = rung * 1e9;
        return;
      }
  };
  add(&Less::off_chip, off_chip_of(machine));
  add(&Less::links, links_of(machine));
  return out;
}

std::vector<std::int64_t> lesser_rooms(const Machine& machine) {
  std::vector<std::int64_t> rooms;
  for (std::int64_t power = kMostRoom; power >= kLeastRoom; power /= 2)
    for (const std::int64_t room : {power + power / 2, power})
      if (room < room_of(machine)) rooms.push_back(room);
  return rooms;
}

std::vector<Less> smaller_scratchpads(const Machine& machine) {
  std::vector<Less> out;
  for (const std::int64_t room : lesser_rooms(machine))
    if (room * kSmallest >= room_of(machine)) out.push_back({room, 0, 0});
  return out;
}

std::vector<double> dearer_switches(const Machine& machine) {
  std::vector<double> out;
  for (const double seconds : {1e-6, 10e-6, 100e-6})
    if (seconds > machine.chip->context.switch_time.value) out.push_back(seconds);
  return out;
}

}  // namespace switchyard::compiler
