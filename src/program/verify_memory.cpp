// Law 5: everything resident at one time has its own place.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "chip/query.h"
#include "program/findings.h"
#include "program/instance.h"
#include "program/reader.h"

namespace switchyard::program {

namespace {

using Set = std::vector<std::uint64_t>;  ///< of component instances, as bits

Set set_of(const std::vector<std::uint32_t>& instances) {
  Set set;
  for (const std::uint32_t i : instances) {
    if (i / 64 >= set.size()) set.resize(i / 64 + 1, 0);
    set[i / 64] |= std::uint64_t{1} << i % 64;
  }
  return set;
}

/// The first instance in both; nothing when they have none in common.
std::optional<std::size_t> common(const Set& a, const Set& b) {
  for (std::size_t w = 0; w < std::min(a.size(), b.size()); ++w)
    if ((a[w] & b[w]) != 0) return w * 64 + static_cast<std::size_t>(std::countr_zero(a[w] & b[w]));
  return std::nullopt;
}

/// Bytes of a memory that are taken, in some instances, while contexts [first, last] run.
struct Place {
  chip::MemoryId memory;
  std::int64_t begin = 0, end = 0;
  std::int64_t first = 0, last = 0;
  const Set* where = nullptr;
  const Array* grid = nullptr;  ///< of a grid: its instances use the same places of whatever component they are dealt to
  std::string_view owner;
  std::size_t context = 0;
};

/// An instance in which both would lie at one time.
std::optional<std::size_t> collide(const Place& a, const Place& b) {
  if (a.memory != b.memory || a.begin >= b.end || b.begin >= a.end || a.first > b.last || b.first > a.last) return std::nullopt;
  if (a.grid != nullptr || b.grid != nullptr) {
    // Two grids of one context are not weighed against each other; what is spread lies on components they may be dealt to.
    if (a.grid != nullptr && b.grid != nullptr && a.grid != b.grid) return std::nullopt;
    if (a.grid != b.grid && a.context == b.context) return std::nullopt;
    return std::size_t{0};
  }
  return common(*a.where, *b.where);
}

/// The places of one context's states and channels.
class ContextPlaces {
 public:
  ContextPlaces(const Program& program, std::size_t number, Findings& findings)
      : chip_(*program.chip), context_(program.contexts[number]), number_(number), findings_(findings) {
    for (const Array& array : context_.arrays) sets_.push_back(set_of(array.components));
    const auto now = static_cast<std::int64_t>(number);
    for (const Actor& actor : context_.actors)
      for (const State& state : actor.states)
        place(actor.array, at(context_, actor) + "/" + state.name, state.name, state.memory, state.offset, state.bytes,
              storage_bytes(state.token), 1, now);
    for (const Channel& channel : context_.channels) {
      const Actor& producer = context_.actors[channel.from.actor.index()];
      const Actor& consumer = context_.actors[channel.to.front().end.actor.index()];
      place(consumer.array, at(context_, channel), channel.name, channel.memory, channel.offset, channel.bytes,
            storage_bytes(producer.ports[static_cast<std::size_t>(channel.from.port)].token), channel.depth,
            fed_early(context_, channel) ? static_cast<std::int64_t>(first_beside(program, number)) : now);
    }
    std::stable_sort(places_.begin(), places_.end(),
                     [](const Place& a, const Place& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  }

  const std::vector<Place>& places() const { return places_; }

  void check() const {
    for (std::size_t i = 0; i < places_.size(); ++i)
      for (std::size_t j = i + 1; j < places_.size() && places_[j].begin < places_[i].end; ++j)
        if (const auto instance = collide(places_[i], places_[j])) {
          findings_.add("program/overlap", at(context_),
                        fmt::format("'{}' and '{}' overlap in {} of instance {}", places_[i].owner, places_[j].owner,
                                    chip_.memories[places_[i].memory.index()].name, *instance));
          return;
        }
  }

 private:
  void place(ArrayId id, const std::string& pointer, std::string_view owner, chip::MemoryId memory_id, std::int64_t offset,
             std::int64_t bytes, std::optional<std::int64_t> slot, std::int64_t depth, std::int64_t first) {
    static const Set kOnly{1};
    const Array& array = context_.arrays[id.index()];
    const chip::Memory& memory = chip_.memories[memory_id.index()];
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
    places_.push_back({memory_id, offset, offset + bytes, first, static_cast<std::int64_t>(number_),
                       local && !array.dynamic ? &sets_[id.index()] : &kOnly, array.dynamic ? &array : nullptr, owner, number_});
  }

  const chip::Chip& chip_;
  const Context& context_;
  std::size_t number_;
  Findings& findings_;
  std::vector<Set> sets_;
  std::vector<Place> places_;
};

/// Contexts [first, last] in which a buffer's bytes must be its own.
std::vector<std::array<std::int64_t, 2>> lives(const Program& program) {
  constexpr std::int64_t kEver = std::numeric_limits<std::int64_t>::max();
  std::vector<std::array<std::int64_t, 2>> result(program.buffers.size(), {kEver, -1});
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    for_each_buffer(program.contexts[c], [&](BufferId id, bool) {
      auto& life = result[id.index()];
      life[0] = std::min(life[0], static_cast<std::int64_t>(c));
      life[1] = std::max(life[1], static_cast<std::int64_t>(c));
    });
  }
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    if (buffer.role == BufferRole::input) result[b] = {-1, std::max<std::int64_t>(result[b][1], -1)};
    if (buffer.role == BufferRole::output) result[b][1] = kEver;
    if (buffer.role == BufferRole::constant || buffer.lifetime == Lifetime::persistent) result[b] = {-1, kEver};
  }
  return result;
}

void check_buffers(const Program& program, const std::vector<std::array<std::int64_t, 2>>& life, Findings& findings) {
  std::vector<std::size_t> order;
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    const chip::Memory& memory = program.chip->memories[buffer.memory.index()];
    if (buffer.lifetime == Lifetime::kernel) continue;  // it takes none of it
    const auto usable = chip::usable_range(memory);
    if (buffer.offset < usable.begin || buffer.offset > usable.end || buffer.bytes > usable.end - buffer.offset)
      findings.add("program/capacity", buffer.name,
                   fmt::format("{} bytes at {} are outside the usable {} to {} of '{}'", buffer.bytes, buffer.offset, usable.begin,
                               usable.end, memory.name));
    if (buffer.spread) continue;
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

/// Parts against each other, and against the states and channels of every context in their life; channels fed early against those of the
/// contexts that may still run.
void check_scratchpads(const Program& program, const std::vector<std::array<std::int64_t, 2>>& life,
                       const std::vector<ContextPlaces>& contexts, Findings& findings) {
  const auto overlap = [&](const std::string& pointer, const Place& a, const Place& b, std::size_t instance, std::string when) {
    findings.add("program/overlap", pointer,
                 fmt::format("'{}' and '{}' overlap in {} of instance {}{}", a.owner, b.owner,
                             program.chip->memories[a.memory.index()].name, instance, when));
  };
  std::vector<Set> sets(program.buffers.size());
  std::vector<Place> parts;
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    if (!buffer.spread || buffer.bytes <= 0 || life[b][0] > life[b][1]) continue;
    sets[b] = set_of(buffer.spread->components);
    parts.push_back({buffer.memory, buffer.offset, buffer.offset + buffer.bytes, life[b][0], life[b][1], &sets[b], nullptr, buffer.name,
                     program.contexts.size()});
  }
  std::stable_sort(parts.begin(), parts.end(), [](const Place& a, const Place& b) { return a.begin < b.begin; });
  // Contexts of a part's life, and later ones whose early actors may start within it: at most as many as the chip holds.
  std::vector<std::size_t> first(program.contexts.size());
  for (std::size_t c = 0; c < first.size(); ++c) first[c] = first_beside(program, c);
  std::vector<std::vector<std::size_t>> ahead(first.size());  // by context: later ones that may be in flight beside it
  for (std::size_t c = 0; c < first.size(); ++c)
    for (std::size_t other = first[c]; other < c; ++other) ahead[other].push_back(c);
  const auto beside_any = [&](const Place& part) {
    std::vector<std::size_t> list;
    for (auto c = static_cast<std::size_t>(part.first); c <= static_cast<std::size_t>(part.last); ++c) list.push_back(c);
    for (const std::size_t c : ahead[static_cast<std::size_t>(part.last)]) list.push_back(c);
    return list;
  };
  for (std::size_t i = 0; i < parts.size() && !findings.full(); ++i) {
    const Place& part = parts[i];
    for (std::size_t j = i + 1; j < parts.size() && parts[j].begin < part.end; ++j)
      if (const auto instance = collide(part, parts[j])) overlap(std::string(parts[j].owner), part, parts[j], *instance, " and in time");
    for (const std::size_t c : beside_any(part)) {
      for (const Place& place : contexts[c].places())
        if (const auto instance = collide(part, place)) {
          overlap(at(program.contexts[c]), part, place, *instance, place.first < place.last ? ", where early actors may fill it" : "");
          break;
        }
    }
  }
  for (std::size_t c = 0; c < program.contexts.size() && !findings.full(); ++c)
    for (std::size_t other = first[c]; other < c; ++other) {
      const auto pair = [&] {
        for (const Place& late : contexts[c].places())
          for (const Place& now : contexts[other].places())
            if (const auto instance = collide(late, now)) {
              overlap(at(program.contexts[c]), now, late, *instance,
                      fmt::format(", where early actors may fill it while '{}' runs", program.contexts[other].name));
              return true;
            }
        return false;
      };
      if (pair()) break;
    }
}

}  // namespace

void verify_memory(const Program& program, Findings& findings) {
  const auto life = lives(program);
  check_buffers(program, life, findings);
  std::vector<ContextPlaces> contexts;
  contexts.reserve(program.contexts.size());
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    contexts.emplace_back(program, c, findings);
    contexts.back().check();
  }
  if (findings.none()) check_scratchpads(program, life, contexts, findings);
}

}  // namespace switchyard::program
