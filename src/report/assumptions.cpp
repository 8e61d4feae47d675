#include "report/assumptions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "chip/describe.h"
#include "chip/query.h"

namespace switchyard::report {
namespace {

using program::Actor;
using program::ActorKind;
using simulation::Cause;

/// "/units/ne/rate/bf16" -> units, ne, rate, bf16; names of chips hold no escaped characters that matter here.
std::array<std::string_view, 4> parts_of(std::string_view pointer) {
  std::array<std::string_view, 4> parts;
  for (std::size_t i = 0; i < parts.size() && !pointer.empty(); ++i) {
    pointer.remove_prefix(1);
    const std::size_t end = i + 1 < parts.size() ? std::min(pointer.find('/'), pointer.size()) : pointer.size();
    parts[i] = pointer.substr(0, end);
    pointer.remove_prefix(end);
  }
  return parts;
}

template <class Test>
bool any_actor(const program::Program& program, const Test& test) {
  for (const program::Context& context : program.contexts) {
    if (std::any_of(context.actors.begin(), context.actors.end(), test)) return true;
  }
  return false;
}

bool stores_in(const program::Program& program, chip::MemoryId memory) {
  for (const program::Buffer& buffer : program.buffers) {
    if (buffer.memory == memory) return true;
  }
  for (const program::Context& context : program.contexts) {
    for (const program::Channel& channel : context.channels) {
      if (channel.memory == memory && channel.bytes > 0) return true;
    }
  }
  return any_actor(program, [&](const Actor& actor) {
    return std::any_of(actor.states.begin(), actor.states.end(), [&](const program::State& s) { return s.memory == memory; });
  });
}

bool touches(const Actor& actor, numerics::Format format) {
  return std::any_of(actor.ports.begin(), actor.ports.end(), [&](const program::Port& p) { return p.token.format == format; }) ||
         std::any_of(actor.states.begin(), actor.states.end(), [&](const program::State& s) { return s.token.format == format; });
}

bool is_dynamic(const chip::Chip& chip) { return chip.sequencer.kind == chip::SequencerKind::grid; }

}  // namespace

UsedResources::UsedResources(const program::Program& program) : program_(program) {}

bool UsedResources::unit_field(std::string_view unit, std::string_view field, std::string_view detail) const {
  const auto id = chip::find_unit(*program_.chip, unit);
  if (!id) return true;
  const auto format = numerics::format_named(detail);
  const auto on_unit = [&](const auto& test) {
    return any_actor(program_, [&](const Actor& actor) { return actor.kind == ActorKind::compute && actor.unit == *id && test(actor); });
  };
  const auto any_statement = [&](const auto& test) {
    return on_unit([&](const Actor& actor) { return std::any_of(actor.statements.begin(), actor.statements.end(), test); });
  };
  if (field == "rate") return !format || on_unit([&](const Actor& actor) { return touches(actor, *format); });
  if (field == "special")
    return any_statement([](const program::Statement& s) { return s.expression.count(numerics::ScalarOpCost::special) > 0; });
  if (field == "geometry" || field == "layout_block") return any_statement([](const program::Statement& s) { return s.is_contraction(); });
  if (field == "queue_depth" && is_dynamic(*program_.chip)) return false;
  return on_unit([](const Actor&) { return true; });
}

bool UsedResources::memory_field(std::string_view memory, std::string_view field) const {
  const auto id = chip::find_memory(*program_.chip, memory);
  if (!id) return true;
  const chip::MemoryKind kind = program_.chip->memories[id->index()].kind;
  if (kind == chip::MemoryKind::cache) return true;
  const bool room = field == "bytes" || field == "alignment";
  if ((kind == chip::MemoryKind::scratchpad || kind == chip::MemoryKind::registers) && !room) return false;
  return stores_in(program_, *id);
}

/// Kernels timed wave by wave (program/grid.h) rest on other numbers than events do.
bool UsedResources::in_waves(std::string_view section, std::string_view field) {
  if (section == "movers" || section == "networks") return false;
  if (section == "units") return field != "startup" && field != "queue_depth" && field != "layout_block";
  if (section == "memories") return field == "bytes" || field.starts_with("bandwidth") || field.starts_with("sustained");
  return true;
}

bool UsedResources::time_rests_on(std::string_view pointer) const {
  const chip::Chip& chip = *program_.chip;
  const auto [section, name, field, detail] = parts_of(pointer);
  if (chip.sequencer.waves && !in_waves(section, field)) return false;
  if (section == "units") return unit_field(name, field, detail);
  if (section == "memories") return memory_field(name, field);
  if (section == "clocks" && chip.sequencer.waves) return name == chip.sequencer.waves->clock || name == chip.sequencer.waves->load_clock;
  if (section == "clocks") {
    return any_actor(program_, [&, clock = name](const Actor& actor) {
      return actor.kind == ActorKind::compute && chip.units[actor.unit.index()].clock == clock;
    });
  }
  if (section == "movers") {
    const auto id = chip::find_mover(chip, name);
    if (field == "dims" || field == "multicast" || (field == "queue_depth" && is_dynamic(chip))) return false;
    return !id || any_actor(program_, [&](const Actor& actor) { return actor.kind == ActorKind::move && actor.mover == *id; });
  }
  if (section == "networks") {
    const auto id = chip::find_network(chip, name);
    return !id || any_actor(program_, [&](const Actor& actor) { return actor.route && actor.route->network == *id; });
  }
  if (section == "sequencer" && name == "issue") return !is_dynamic(chip);
  if (section == "sequencer" && name == "slots") return is_dynamic(chip);
  if (section == "sync") return name == "barrier" && !is_dynamic(chip) && program_.contexts.size() > 1;
  return section != "cost";
}

Cause UsedResources::cause_of(const chip::Chip& chip, std::string_view pointer) {
  const auto [section, name, field, detail] = parts_of(pointer);
  if (section == "units" || section == "clocks") return Cause::compute;
  if (section == "networks") return Cause::interconnect;
  if (section == "contexts") return Cause::reconfiguration;
  if (section == "memories") {
    const auto id = chip::find_memory(chip, name);
    const bool local = id && (chip.memories[id->index()].kind == chip::MemoryKind::scratchpad ||
                              chip.memories[id->index()].kind == chip::MemoryKind::registers);
    return local ? Cause::interconnect : Cause::memory;
  }
  if (section == "movers") return field == "bandwidth" || field == "count" ? Cause::memory : Cause::control;
  return Cause::control;
}

std::vector<AssumptionReport> assumptions_of(const program::Program& program, const simulation::Attribution& attribution) {
  const UsedResources used(program);
  std::vector<const chip::Number*> numbers;
  for (const chip::Number* number : chip::numbers(*program.chip)) {
    const bool unknown = number->confidence == chip::Confidence::assumed || number->confidence == chip::Confidence::calibrated;
    if (unknown && used.time_rests_on(number->pointer)) numbers.push_back(number);
  }
  const auto rank = [&](const chip::Number* number) {
    const auto cause = static_cast<std::size_t>(UsedResources::cause_of(*program.chip, number->pointer));
    return std::pair(number->range.has_value(), attribution[cause].value);
  };
  std::stable_sort(numbers.begin(), numbers.end(), [&](const auto* a, const auto* b) { return rank(a) > rank(b); });
  std::vector<AssumptionReport> result;
  for (const chip::Number* number : numbers) {
    result.push_back({number->pointer, number->text, std::string(chip::name_of(number->confidence))});
  }
  return result;
}

std::vector<std::string> idle_overrides(const program::Program& program, const std::vector<std::string>& pointers) {
  const UsedResources used(program);
  std::vector<std::string> sentences;
  for (const chip::Number* number : chip::numbers(*program.chip)) {
    const bool given = std::any_of(pointers.begin(), pointers.end(), [&](const std::string& p) { return number->pointer.starts_with(p); });
    if (!given || number->source != "override" || used.time_rests_on(number->pointer)) continue;
    sentences.push_back(fmt::format(
        "{} was overridden, but this time does not depend on it: the program does not use it, or it is not timed", number->pointer));
  }
  return sentences;
}

}  // namespace switchyard::report
