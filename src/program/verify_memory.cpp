// Law 5: everything resident at one time has its own place.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "chip/query.h"
#include "program/findings.h"
#include "program/instance.h"
#include "program/reader.h"

namespace switchyard::program {

namespace {

struct Place {
  std::int64_t begin = 0, end = 0;
  std::string_view owner;
};

class MemoryLaw {
 public:
  MemoryLaw(const Program& program, const Context& context, Findings& findings)
      : chip_(*program.chip), context_(context), findings_(findings) {}

  void check() {
    for (const Actor& actor : context_.actors)
      for (const State& state : actor.states)
        place(context_.arrays[actor.array.index()], at(context_, actor) + "/" + state.name, state.name, state.memory, state.offset,
              state.bytes, storage_bytes(state.token), 1);
    for (const Channel& channel : context_.channels) {
      const Actor& producer = context_.actors[channel.from.actor.index()];
      const Actor& consumer = context_.actors[channel.to.front().end.actor.index()];
      place(context_.arrays[consumer.array.index()], at(context_, channel), channel.name, channel.memory, channel.offset, channel.bytes,
            storage_bytes(producer.ports[static_cast<std::size_t>(channel.from.port)].token), channel.depth);
    }
    for (auto& [where, places] : places_) {
      std::sort(places.begin(), places.end(),
                [](const Place& a, const Place& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
      for (std::size_t i = 0; i + 1 < places.size(); ++i) {
        if (places[i].end <= places[i + 1].begin) continue;
        findings_.add("program/overlap", at(context_),
                      fmt::format("'{}' and '{}' overlap in {} of instance {}", places[i].owner, places[i + 1].owner,
                                  chip_.memories[std::get<0>(where)].name, std::get<2>(where)));
        return;  // the same mistake at every instance is one mistake
      }
    }
  }

 private:
  void place(const Array& array, const std::string& pointer, std::string_view owner, chip::MemoryId id, std::int64_t offset,
             std::int64_t bytes, std::optional<std::int64_t> slot, std::int64_t depth) {
    const chip::Memory& memory = chip_.memories[id.index()];
    std::int64_t needed = 0;
    if (!slot || __builtin_mul_overflow(*slot, depth, &needed) || needed > bytes)
      return findings_.add(
          "program/capacity", pointer,
          fmt::format("{} slot{} of {} bytes do not fit into {} bytes", depth, depth == 1 ? "" : "s", slot.value_or(0), bytes));
    const auto usable = chip::usable_range(memory);
    if (offset < usable.begin || bytes < 0 || bytes > usable.end - usable.begin || offset > usable.end - bytes)
      return findings_.add("program/capacity", pointer,
                           fmt::format("bytes {} to {} are outside the usable {} to {} of '{}'", offset,
                                       static_cast<double>(offset) + static_cast<double>(bytes), usable.begin, usable.end, memory.name));
    if (memory.kind == chip::MemoryKind::cache)
      return findings_.add("program/memory", pointer, fmt::format("'{}' is a cache: nothing lies in it", memory.name));
    const bool local = memory.in == array.component;
    if (!local && chip::instance_count(chip_.components[memory.in.index()]) != 1)
      return findings_.add("program/memory", pointer,
                           fmt::format("'{}' is not a memory of each {}", memory.name, chip_.components[array.component.index()].name));
    if (!local && !array.dynamic && array.components.size() > 1 && bytes > 0)
      return findings_.add("program/memory", pointer,
                           fmt::format("instances of '{}' would share one place in '{}'", array.name, memory.name));
    if (bytes == 0) return;
    if (array.dynamic || !local) {
      // A grid: all instances use the same places of whatever component they are dealt to.
      places_[{id.value, array.dynamic ? &array : nullptr, 0}].push_back({offset, offset + bytes, owner});
      return;
    }
    for (const std::uint32_t component : array.components)
      places_[{id.value, nullptr, component}].push_back({offset, offset + bytes, owner});
  }

  const chip::Chip& chip_;
  const Context& context_;
  Findings& findings_;
  std::map<std::tuple<std::uint32_t, const Array*, std::uint32_t>, std::vector<Place>> places_;
};

/// Contexts [first, last] in which a buffer's bytes must be its own.
std::vector<std::array<std::int64_t, 2>> lives(const Program& program) {
  constexpr std::int64_t kEver = std::numeric_limits<std::int64_t>::max();
  std::vector<std::array<std::int64_t, 2>> result(program.buffers.size(), {kEver, -1});
  for (std::size_t c = 0; c < program.contexts.size(); ++c)
    for (const Actor& actor : program.contexts[c].actors)
      for (const auto* box : {&actor.source, &actor.destination}) {
        if (!*box) continue;
        auto& life = result[(*box)->buffer.index()];
        life[0] = std::min(life[0], static_cast<std::int64_t>(c));
        life[1] = std::max(life[1], static_cast<std::int64_t>(c));
      }
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    if (buffer.role == BufferRole::input) result[b] = {-1, std::max<std::int64_t>(result[b][1], -1)};
    if (buffer.role == BufferRole::output) result[b][1] = kEver;
    if (buffer.role == BufferRole::constant || buffer.lifetime == Lifetime::persistent) result[b] = {-1, kEver};
  }
  return result;
}

void check_buffers(const Program& program, Findings& findings) {
  const auto life = lives(program);
  std::vector<std::size_t> order;
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    const chip::Memory& memory = program.chip->memories[buffer.memory.index()];
    const auto usable = chip::usable_range(memory);
    if (buffer.offset < usable.begin || buffer.offset > usable.end || buffer.bytes > usable.end - buffer.offset)
      findings.add("program/capacity", buffer.name,
                   fmt::format("{} bytes at {} are outside the usable {} to {} of '{}'", buffer.bytes, buffer.offset, usable.begin,
                               usable.end, memory.name));
    if (memory.kind == chip::MemoryKind::cache || chip::instance_count(program.chip->components[memory.in.index()]) != 1)
      findings.add("program/memory", buffer.name, fmt::format("buffers lie in a memory of the whole chip, not in '{}'", memory.name));
    order.push_back(b);
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(program.buffers[a].memory, program.buffers[a].offset, a) <
           std::tuple(program.buffers[b].memory, program.buffers[b].offset, b);
  });
  std::vector<std::size_t> open;  // buffers that reach beyond the place where we stand
  for (const std::size_t b : order) {
    const Buffer& buffer = program.buffers[b];
    std::erase_if(open, [&](std::size_t o) {
      const Buffer& other = program.buffers[o];
      return other.memory != buffer.memory || other.offset + other.bytes <= buffer.offset;
    });
    for (const std::size_t o : open) {
      if (buffer.bytes == 0 || life[o][1] < life[b][0] || life[b][1] < life[o][0]) continue;
      findings.add("program/overlap", buffer.name,
                   fmt::format("'{}' and '{}' overlap in memory and in time", program.buffers[o].name, buffer.name));
      if (findings.full()) return;
    }
    open.push_back(b);
  }
}

}  // namespace

void verify_memory(const Program& program, Findings& findings) {
  check_buffers(program, findings);
  for (const Context& context : program.contexts) MemoryLaw(program, context, findings).check();
}

}  // namespace switchyard::program
