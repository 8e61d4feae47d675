#include "compiler/lesser.h"

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

constexpr Less kLess[] = {{"half the scratchpads", less_scratchpad, 2},           {"half the off-chip bandwidth", less_memory, 2},
                          {"half the bandwidth of links", less_links, 2},         {"a quarter of the off-chip bandwidth", less_memory, 4},
                          {"a quarter of the bandwidth of links", less_links, 4}, {"an eighth of the bandwidth of links", less_links, 8}};

}  // namespace

std::vector<LesserMachine> lesser_machines(const Machine& machine) {
  std::vector<LesserMachine> out;
  for (const Less& less : kLess) {
    auto chip = std::make_shared<chip::Chip>(*machine.chip);
    less.apply(*chip, machine, less.divisor);
    Machine lesser = machine;
    lesser.chip = chip.get();
    out.push_back({less.what, std::move(chip), std::move(lesser)});
  }
  return out;
}

}  // namespace switchyard::compiler
