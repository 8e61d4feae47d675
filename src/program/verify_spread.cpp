// Law 1 for what is spread, in place or early: parts exist, boxes can be formed, early actors stand alone.
#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "program/findings.h"
#include "program/instance.h"
#include "program/reader.h"
#include "program/spread.h"

namespace switchyard::program {

namespace {

constexpr const char* kSpread = "program/spread";
constexpr const char* kPlace = "program/place";
constexpr const char* kMessage = "program/message";
constexpr const char* kEarly = "program/early";

/// Instances of the array work on parts of the buffer: each has one.
bool check_own_parts(const Program& program, const Context& context, const Actor& actor, const Buffer& buffer, const std::string& pointer,
                     const char* code, Findings& findings) {
  const Array& array = context.arrays[actor.array.index()];
  const chip::Component& component = program.chip->components[array.component.index()];
  if (array.dynamic || program.chip->memories[buffer.memory.index()].in != array.component) {
    findings.add(code, pointer, fmt::format("'{}' lies in no scratchpad of the instances of '{}'", buffer.name, array.name),
                 array.dynamic ? "instances of a grid have no fixed place" : "");
    return false;
  }
  std::vector<std::uint32_t> holders = buffer.spread->components;
  std::sort(holders.begin(), holders.end());
  for (const std::uint32_t here : array.components) {
    if (std::binary_search(holders.begin(), holders.end(), here)) continue;
    findings.add(code, pointer, fmt::format("{} {} holds no part of '{}'", component.name, here, buffer.name));
    return false;
  }
  return true;
}

/// Whether a box's starts depend on a loop.
bool moves_with(const Context& context, const Actor& actor, const BufferAccess& access, std::size_t loop) {
  const auto variable = static_cast<int>(context.arrays[actor.array.index()].shape.size() + loop);
  return std::any_of(access.start.begin(), access.start.end(), [variable](const numerics::Affine& f) { return f.depends_on(variable); });
}

}  // namespace

void check_spread_buffer(const Program& program, const Buffer& buffer, Findings& findings) {
  const Spread& spread = *buffer.spread;
  const auto add = [&](const char* code, std::string message) { findings.add(code, buffer.name, std::move(message)); };
  if (!buffer.memory.valid() || buffer.memory.index() >= program.chip->memories.size()) return;  // said already
  const chip::Memory& memory = program.chip->memories[buffer.memory.index()];
  if (memory.kind != chip::MemoryKind::scratchpad)
    return add("program/memory", fmt::format("a spread buffer lies in scratchpads, not in '{}'", memory.name));
  if (buffer.role != BufferRole::intermediate || buffer.lifetime != Lifetime::program)
    add(kSpread, "a spread buffer is an intermediate result: the host neither supplies nor takes it");
  const std::size_t rank = buffer.shape.size();
  std::int64_t count = 1;
  for (const std::int64_t extent : spread.shape)
    if (extent < 1 || extent > kMostInstances || (count *= extent) > kMostInstances)
      return add("program/size", fmt::format("a buffer has 1 to {} parts", kMostInstances));
  if (spread.shape.size() > kMostDimensions)
    return add("program/size", fmt::format("the spread has more than {} dimensions", kMostDimensions));
  if (static_cast<std::int64_t>(spread.components.size()) != count)
    return add("program/shape", fmt::format("the spread has {} parts and lists {} components", count, spread.components.size()));
  const chip::Component& component = program.chip->components[memory.in.index()];
  const auto limit = static_cast<std::uint32_t>(chip::instance_count(component));
  std::vector<bool> seen(limit, false), absent(limit, false);
  for (const std::uint32_t hole : component.holes) absent[hole] = true;
  for (const std::uint32_t here : spread.components) {
    if (here >= limit) return add("program/unresolved", fmt::format("there is no {} {}", component.name, here));
    if (absent[here]) return add("program/hole", fmt::format("{} {} is absent from this chip", component.name, here));
    if (seen[here]) return add("program/shape", fmt::format("{} {} is listed twice", component.name, here));
    seen[here] = true;
  }
  if (spread.start.size() != rank || spread.extent.size() != rank)
    return add("program/shape", fmt::format("starts and extents of parts must have the {} dimensions of the buffer", rank));
  for (const std::int64_t extent : spread.extent)
    if (extent < 1 || extent > kMostBytes) return add("program/shape", "extents of a part are at least 1");
  for (const numerics::Affine& start : spread.start)
    if (!safe_range(start, spread.shape))
      return add("program/affine", "the start of a part names a variable that does not exist or leaves 60 bits");
  if (spread.pad < 1 || spread.pad > kMostBytes) return add("program/size", "a padding is at least 1 element");
  const auto whole = storage_bytes(buffer.format, buffer.shape);
  const auto bytes = storage_bytes(Token{buffer.format, spread.extent, buffer.order, spread.pad});
  if (!whole || *whole > kMostBytes || !bytes || *bytes > kMostBytes || buffer.offset < 0 || buffer.offset > kMostBytes ||
      buffer.bytes > kMostBytes)
    return add("program/size", "the buffer's size or place is no size of a memory");
  if (buffer.bytes < *bytes) add("program/size", fmt::format("a part needs {} bytes and has {}", *bytes, buffer.bytes));
}

void check_place(const Program& program, const Context& context, const Actor& actor, const Port& port, Findings& findings) {
  const std::string pointer = at(context, actor, port);
  const auto add = [&](const char* code, std::string message, std::string hint = {}) {
    findings.add(code, pointer, std::move(message), std::move(hint));
  };
  const BufferAccess& place = *port.place;
  if (actor.kind != ActorKind::compute) return add(kPlace, "only ports of compute actors have places", "a mover has boxes: from and to");
  if (port.window) return add(kPlace, "a port with a window has no place", "let the box have as many indices as the window peeks");
  if (!carries_data(port.token)) return add(kPlace, "a token without elements has no place");
  if (!place.buffer.valid() || place.buffer.index() >= program.buffers.size())
    return add("program/unresolved", "the port's buffer does not exist");
  const Buffer& buffer = program.buffers[place.buffer.index()];
  if (!buffer.spread)
    return add(kPlace, fmt::format("'{}' is not spread: nothing computes in it", buffer.name), "load and store it with movers");
  const std::size_t rank = buffer.shape.size();
  if (place.start.size() != rank || place.region.size() != rank || port.token.shape.size() != rank)
    return add("program/shape", fmt::format("box, region and token must have the {} dimensions of '{}'", rank, buffer.name));
  if (!place.extent.empty() || place.message >= 0) return add(kPlace, "a place has its token's extents and no messages");
  if (port.token.format != buffer.format)
    return add(kPlace, fmt::format("the token is {} and '{}' is {}: a place converts nothing", numerics::format_name(port.token.format),
                                   buffer.name, numerics::format_name(buffer.format)));
  if (!check_own_parts(program, context, actor, buffer, pointer, kPlace, findings)) return;
  const std::vector<std::int64_t> extents = variable_extents(context, actor);
  for (std::size_t d = 0; d < rank; ++d) {
    if (!safe_range(place.start[d], extents))
      return add("program/affine", "the start of a box names a variable that does not exist or leaves 60 bits");
    if (place.region[d][0] < 0 || place.region[d][1] < place.region[d][0] || place.region[d][1] > buffer.shape[d])
      return add("program/shape", fmt::format("the region leaves '{}' in dimension {}", buffer.name, d));
  }
  for (std::size_t loop = 0; loop < actor.loops.size(); ++loop)
    if (port.kept[loop] && moves_with(context, actor, place, loop))
      add(kPlace, fmt::format("the place moves with the loop '{}', which is kept", actor.loops[loop].name));
}

void check_spread_boxes(const Program& program, const Context& context, const Actor& actor, Findings& findings) {
  const std::string pointer = at(context, actor);
  const auto add = [&](const char* code, std::string message, std::string hint = {}) {
    findings.add(code, pointer, std::move(message), std::move(hint));
  };
  const auto buffer_of = [&](const std::optional<BufferAccess>& access) -> const Buffer* {
    return access && access->buffer.valid() && access->buffer.index() < program.buffers.size() ? &program.buffers[access->buffer.index()]
                                                                                               : nullptr;
  };
  const Buffer *from = buffer_of(actor.source), *to = buffer_of(actor.destination);
  if (from != nullptr && to != nullptr) {
    if (!from->spread && !to->spread)
      return add(kSpread, "a mover from buffer to buffer reads or stores one that is spread", "join two movers by a channel");
    if (actor.source->extent != actor.destination->extent) return add("program/shape", "the two boxes of a mover have the same extent");
    for (const std::int64_t extent : actor.source->extent)
      if (extent < 1 || extent > kMostBytes) return add("program/shape", "extents of a box are at least 1");
    if (updates_copies(actor) && actor.source->region != actor.destination->region)
      return add("program/shape", "a mover that updates copies reads and stores one region");
  }
  for (const auto& [access, buffer] : {std::pair(&actor.source, from), std::pair(&actor.destination, to)}) {
    if (buffer == nullptr) continue;
    if ((*access)->message >= 0 && (access == &actor.source || !buffer->spread))
      return add(kMessage, "only a store to a spread buffer has messages");
    if (!buffer->spread) continue;
    // A store needs no part of its own, but a place on the chip from which messages leave.
    if (access == &actor.source && !check_own_parts(program, context, actor, *buffer, pointer, kSpread, findings)) return;
    const Array& array = context.arrays[actor.array.index()];
    if (array.dynamic || program.chip->memories[buffer->memory.index()].in != array.component)
      return add(kSpread, fmt::format("'{}' lies in no scratchpad of the instances of '{}'", buffer->name, array.name));
  }
  if (to == nullptr || !to->spread) return;
  if (from != nullptr && from->memory != to->memory)
    return add(kSpread, fmt::format("'{}' is stored from '{}': what is off the chip reaches scratchpads through channels", to->name,
                                    program.chip->memories[from->memory.index()].name));
  if (actor.route && !actor.route->paths.empty())
    return add("program/route", fmt::format("messages to '{}' take the network's own routes", to->name));
  const int loop = actor.destination->message;
  if (loop < 0) return;
  if (static_cast<std::size_t>(loop) >= actor.loops.size()) return add("program/unresolved", "the loop of messages does not exist");
  const auto l = static_cast<std::size_t>(loop);
  if (moves_with(context, actor, *actor.destination, l) || (from != nullptr && moves_with(context, actor, *actor.source, l)))
    return add(kMessage, fmt::format("a box moves with the loop '{}' of its messages", actor.loops[l].name));
  const Port* port = data_port(actor, true);
  if (port != nullptr &&
      std::any_of(port->guard.begin(), port->guard.end(), [loop](const IndexRange& range) { return range.loop == loop; }))
    add(kMessage, fmt::format("the guard of '{}' leaves messages out: it names their loop", port->name));
}

void check_early(const Program& program, std::size_t number, Findings& findings) {
  const Context& context = program.contexts[number];
  for (const Actor& actor : context.actors) {
    if (!actor.early) continue;
    if (actor.kind != ActorKind::move)
      findings.add(kEarly, at(context, actor), "only movers start early");
    else if (actor.destination)
      findings.add(kEarly, at(context, actor), "what an early mover gives goes into channels of its own context");
    else if (context.arrays[actor.array.index()].dynamic)
      findings.add(kEarly, at(context, actor), "instances of a grid do not start early");
  }
  for (const Channel& channel : context.channels)
    for (const Channel::Consumer& to : channel.to) {
      const Actor &producer = context.actors[channel.from.actor.index()], &consumer = context.actors[to.end.actor.index()];
      if (consumer.early && !producer.early)
        findings.add(kEarly, at(context, channel),
                     fmt::format("'{}' starts early and waits for '{}', which does not", consumer.name, producer.name));
    }
}

void check_residency(const Program& program, Findings& findings) {
  const std::size_t count = program.contexts.size();
  // Contexts in flight while one runs: itself, and later ones whose early actors may have started.
  std::vector<std::int64_t> change(count + 1, 0);
  for (std::size_t c = 0; c < count; ++c) {
    ++change[first_beside(program, c)];
    --change[c + 1];
  }
  std::int64_t flying = 0;
  for (std::size_t c = 0; c < count; ++c) {
    flying += change[c];
    if (flying <= std::max<std::int64_t>(1, program.chip->context.resident)) continue;
    findings.add(
        "program/resident", at(program.contexts[c]),
        fmt::format("{} contexts may be in flight while this one runs, and the chip holds {}", flying, program.chip->context.resident),
        "let early actors of later contexts come after more");
    return;
  }
  if (program.chip->context.keeps_scratchpads) return;
  std::vector<std::array<std::size_t, 2>> life(program.buffers.size(), {count, 0});
  for (std::size_t c = 0; c < count; ++c) {
    const auto use = [&](const std::optional<BufferAccess>& access) {
      if (!access) return;
      auto& [first, last] = life[access->buffer.index()];
      first = std::min(first, c);
      last = c;
    };
    for (const Actor& actor : program.contexts[c].actors) {
      use(actor.source);
      use(actor.destination);
      for (const Port& port : actor.ports) use(port.place);
    }
  }
  for (std::size_t b = 0; b < life.size(); ++b)
    if (program.buffers[b].spread && life[b][0] < life[b][1])
      findings.add(kSpread, program.buffers[b].name,
                   fmt::format("the buffer is used from '{}' to '{}', and this chip's contexts keep no scratchpads",
                               program.contexts[life[b][0]].name, program.contexts[life[b][1]].name));
}

}  // namespace switchyard::program
