#include "compiler/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "chip/query.h"
#include "compiler/means.h"
#include "program/instance.h"
#include "program/spread.h"

namespace switchyard::compiler {
namespace {

using program::Actor;
using program::Context;

/// Bytes that a context's channels and states take of one scratchpad, at most.
std::int64_t own_bytes(const Machine& machine, const Context& context) {
  std::int64_t bytes = 0;
  for (const program::Channel& c : context.channels)
    if (c.memory == machine.scratchpad) bytes += c.bytes;
  for (const Actor& a : context.actors)
    for (const program::State& s : a.states)
      if (s.memory == machine.scratchpad) bytes += s.bytes;
  return bytes;
}

/// Bytes of spread buffers in one scratchpad, by context: of those that live in it, and of those that it is the last to use.
struct Living {
  std::vector<std::int64_t> bytes, last;
};
Living living(const program::Program& program, const std::map<program::BufferId, std::int64_t>& tiles) {
  const std::size_t count = program.contexts.size();
  std::vector<std::array<std::size_t, 2>> lives(program.buffers.size(), {count, 0});
  for (std::size_t k = 0; k < count; ++k) {
    const auto use = [&](const std::optional<program::BufferAccess>& access) {
      if (!access) return;
      auto& [first, last] = lives[access->buffer.index()];
      first = std::min(first, k);
      last = k;
    };
    for (const Actor& actor : program.contexts[k].actors) {
      use(actor.source);
      use(actor.destination);
      for (const program::Port& port : actor.ports) use(port.place);
    }
  }
  Living result{std::vector<std::int64_t>(count, 0), std::vector<std::int64_t>(count, 0)};
  for (std::size_t b = 0; b < lives.size(); ++b) {
    const auto [first, last] = lives[b];
    if (first == count || !program.buffers[b].spread) continue;
    const auto part = tiles.find(program::BufferId(b));
    const std::int64_t bytes = part != tiles.end() ? part->second : program::part_bytes(program.buffers[b]);
    for (std::size_t k = first; k <= last; ++k) result.bytes[k] += bytes;
    result.last[last] += bytes;
  }
  return result;
}

}  // namespace

std::vector<std::size_t> first_sharers(const program::Program& program) {
  constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> result(program.contexts.size(), 0), written(program.buffers.size(), kNever), read = written;
  for (std::size_t k = 0; k < result.size(); ++k) {
    for (const bool write : {false, true})
      for (const Actor& actor : program.contexts[k].actors) {
        const auto& access = write ? actor.destination : actor.source;
        if (!access || program.buffers[access->buffer.index()].spread) continue;
        const std::size_t b = access->buffer.index();
        const std::size_t other = (write ? read : written)[b];
        if (other != kNever && other < k) result[k] = std::max(result[k], other + 1);
        (write ? written : read)[b] = k;
      }
  }
  return result;
}

double context_seconds(const Machine& machine, std::int64_t components, double before) {
  const chip::Chip& chip = *machine.chip;
  double load = 0;
  if (chip.context.load_from) {
    const double rate = chip::sustained_bandwidth(chip.memories[chip.context.load_from->index()]).value;
    if (rate > 0) load = chip.context.bytes.value * (chip.context.per ? static_cast<double>(components) : 1) / rate;
  }
  if (chip.context.resident > 1) load = std::max(0.0, load - before);
  return barrier_seconds(machine) + chip.context.switch_time.value + load;
}

double context_price(const Machine& machine) {
  if (!chains_kernels(machine) || fetches_early(machine)) return 0;
  return context_seconds(machine, static_cast<std::int64_t>(machine.components.size()), 0);
}

std::vector<Section> partition(const Machine& machine, const program::Program& program, const std::vector<KernelCost>& costs,
                               double held_weight, const LessThanThereIs& less, const std::map<program::BufferId, std::int64_t>& tiles,
                               const std::vector<std::size_t>& joins) {
  const std::size_t count = program.contexts.size();
  const auto range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
  const std::int64_t all = range.end - range.begin, room = less.room > 0 ? std::min(less.room, all) : all;
  const double dearer = std::max(0.0, less.switch_least - machine.chip->context.switch_time.value);
  const std::vector<std::size_t> from = first_sharers(program);
  const Living buffers = living(program, tiles);
  std::vector<std::int64_t> own, used;
  for (const Context& context : program.contexts) {
    own.push_back(own_bytes(machine, context));
    used.push_back(machine.chip->context.per ? program::instances_used(*machine.chip, context, *machine.chip->context.per) : 1);
  }

  // Of the first `end` kernels: the least cost, and of their last context the first kernel and what its kernels run.
  std::vector<double> best(count + 1, std::numeric_limits<double>::infinity()), run(count + 1, 0);
  std::vector<std::size_t> start(count + 1, 0);
  best[0] = 0;
  for (std::size_t end = 1; end <= count; ++end) {
    std::int64_t bytes = buffers.bytes[end - 1], components = 1;
    double runs = 0, held = 0, harm = 0;
    std::size_t earliest = 0;
    for (std::size_t begin = end; begin-- > earliest;) {
      const bool alone = begin + 1 == end;
      bytes += own[begin] + (alone ? 0 : buffers.last[begin]);
      if (!alone && bytes > room) break;
      earliest = std::max({earliest, from[begin], joins.empty() ? 0 : joins[begin]});
      harm += held + costs[begin].held * static_cast<double>(end - 1 - begin);
      held += costs[begin].held;
      runs += costs[begin].run;
      components = std::max(components, used[begin]);
      if (costs[begin].stage) continue;
      const double total =
          best[begin] + (begin == 0 ? 0 : context_seconds(machine, components, run[begin]) + dearer) + runs + held_weight * harm;
      // Of equal ones the longer context: what is not modelled speaks for it.
      if (total > best[end]) continue;
      best[end] = total;
      run[end] = runs;
      start[end] = begin;
    }
  }
  std::vector<Section> sections;
  for (std::size_t end = count; end > 0; end = start[end]) sections.push_back({start[end], {}});
  std::reverse(sections.begin(), sections.end());
  for (std::size_t c = 1; c < sections.size(); ++c) {  // could it be one with the context before?
    const std::size_t before = sections[c - 1].first, end = c + 1 < sections.size() ? sections[c + 1].first : count;
    std::int64_t bytes = buffers.bytes[end - 1];
    bool apart = false, wide = false;
    for (std::size_t k = before; k < end; ++k) {
      bytes += own[k] + (k + 1 < end ? buffers.last[k] : 0);
      apart = apart || (k >= sections[c].first && from[k] > before);
      wide = wide || (k >= sections[c].first && !joins.empty() && joins[k] > before);
    }
    sections[c].why = apart ? kCutByMemory : wide ? kCutByJoin : bytes > room ? kCutByRoom : kCutByCost;
  }
  return sections;
}

std::string print_partition(const std::vector<Section>& sections, std::size_t kernels) {
  std::string text = fmt::format("{} contexts of {} kernels", sections.size(), kernels);
  for (const std::string_view why : {kCutByCost, kCutByRoom, kCutByMemory, kCutByJoin, kCutByFile}) {
    const auto count = std::count_if(sections.begin() + 1, sections.end(), [&](const Section& s) { return s.why == why; });
    if (count > 0) text += fmt::format("{} {} {}", text.find("cuts") == std::string::npos ? "; cuts:" : ",", why, count);
  }
  return text;
}

}  // namespace switchyard::compiler
