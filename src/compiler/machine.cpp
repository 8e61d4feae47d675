#include "compiler/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "chip/query.h"

namespace switchyard::compiler {

Result<Machine> describe_machine(const chip::Chip& chip) {
  Machine m;
  m.chip = &chip;
  m.off_chip = chip::off_chip_memory(chip);
  m.grid = chip.sequencer.kind == chip::SequencerKind::grid;
  for (std::size_t u = 0; u < chip.units.size(); ++u) {
    const auto component = chip.units[u].in;
    const auto scratchpad = chip::scratchpad_of(chip, component);
    if (!scratchpad) continue;
    const auto load = chip::mover_between(chip, component, m.off_chip, *scratchpad),
               store = chip::mover_between(chip, component, *scratchpad, m.off_chip);
    if (!load || !store) continue;
    m.component = component;
    m.scratchpad = m.accumulators = *scratchpad;
    m.load = *load;
    m.store = *store;
    break;
  }
  if (!m.component.valid())
    return fail(FailureKind::unsupported, "compile/unsupported-chip",
                fmt::format("{} has no component with a unit, a scratchpad and movers between it and off-chip memory", chip.name),
                "describe movers whose from and to name the off-chip memory and the scratchpad");
  for (std::size_t i = 0; i < chip.movers.size() && !m.grid; ++i) {
    const chip::Mover& mover = chip.movers[i];
    const auto has = [&](const std::vector<chip::MemoryId>& list) {
      return std::find(list.begin(), list.end(), m.scratchpad) != list.end();
    };
    if (mover.in == m.component && mover.network && mover.multicast > 1 && has(mover.from) && has(mover.to)) m.cast = chip::MoverId(i);
  }
  for (std::size_t i = 0; i < chip.memories.size(); ++i)
    if (chip.memories[i].kind == chip::MemoryKind::registers && chip.memories[i].in == m.component) m.accumulators = chip::MemoryId(i);
  m.extent = chip.components[m.component.index()].shape;
  m.components = chip::working_instances(chip.components[m.component.index()]);
  const chip::Memory& off = chip.memories[m.off_chip.index()];
  if (!m.grid && off.network && !off.ports.empty() && chip.networks[off.network->index()].over == m.component)
    for (std::uint32_t i = 0; i < chip::instance_count(chip.components[m.component.index()]); ++i)
      m.ports.push_back(chip::nearest_port(chip, off, i));
  return m;
}

Machine within(const Machine& machine, std::vector<std::int64_t> extent) {
  Machine m = machine;
  const std::vector<std::int64_t>& shape = machine.chip->components[machine.component.index()].shape;
  std::erase_if(m.components, [&](std::uint32_t component) {
    std::int64_t rest = component;
    bool outside = false;
    for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d]) outside = outside || rest % shape[d] >= extent[d];
    return outside;
  });
  m.extent = std::move(extent);
  return m;
}

bool keeps_values(const Machine& machine) {
  return machine.keeps && !machine.grid && machine.chip->context.keeps_scratchpads && machine.cast.valid();
}

bool loads_by_circuit(const Machine& machine) {
  const chip::Chip& chip = *machine.chip;
  const auto has_circuits = [&](std::optional<chip::NetworkId> network) { return network && chip.networks[network->index()].circuits > 0; };
  // What one component reads for others it hands on at once.
  return has_circuits(chip::network_between(chip, chip.movers[machine.load.index()], machine.off_chip)) ||
         (machine.cast.valid() && has_circuits(chip.movers[machine.cast.index()].network));
}

bool fetches_early(const Machine& machine) {
  return machine.early && !machine.grid && machine.chip->context.resident > 1 && !loads_by_circuit(machine);
}

double barrier_seconds(const Machine& machine) {
  for (const chip::Sync& sync : machine.chip->syncs)
    if (sync.name == "barrier") return sync.alpha.value + sync.beta.value * std::log2(static_cast<double>(machine.components.size()));
  return 0;
}

}  // namespace switchyard::compiler
