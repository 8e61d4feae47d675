#include "program/relocate.h"

#include <optional>

#include "chip/query.h"

namespace switchyard::program {
namespace {

/// The off-chip memory that a box of a mover lies in.
std::optional<chip::MemoryId> off_chip(const Program& program, const std::optional<BufferAccess>& access) {
  if (!access) return std::nullopt;
  const Buffer& buffer = program.buffers[access->buffer.index()];
  return buffer.spread ? std::nullopt : std::optional(buffer.memory);
}

void reroute(const Program& program, Actor& actor, std::span<const std::uint32_t> to) {
  const chip::Chip& chip = *program.chip;
  const chip::Network& network = chip.networks[actor.route->network.index()];
  const auto source = off_chip(program, actor.source), destination = off_chip(program, actor.destination);
  for (std::vector<std::uint32_t>& path : actor.route->paths) {
    if (path.empty()) continue;
    std::uint32_t from = path.front(), end = path.back();
    if (!source) from = to[from];
    if (!destination) end = to[end];
    if (source) from = chip::nearest_port(chip, chip.memories[source->index()], end);
    if (destination) end = chip::nearest_port(chip, chip.memories[destination->index()], from);
    path = chip::default_route(chip, network, from, end);
  }
}

}  // namespace

void relocate(Program& program, chip::ComponentId component, std::span<const std::uint32_t> to) {
  const auto move_all = [&](std::vector<std::uint32_t>& components) {
    for (std::uint32_t& c : components) c = to[c];
  };
  for (Buffer& buffer : program.buffers)
    if (buffer.spread && program.chip->memories[buffer.memory.index()].in == component) move_all(buffer.spread->components);
  for (Context& context : program.contexts) {
    context.circuits.clear();  // they lead elsewhere now, and are found anew
    for (Array& array : context.arrays)
      if (array.component == component) move_all(array.components);
    for (Actor& actor : context.actors)
      if (actor.route && context.arrays[actor.array.index()].component == component) reroute(program, actor, to);
  }
}

}  // namespace switchyard::program
