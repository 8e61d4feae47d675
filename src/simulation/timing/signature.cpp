// What of a context the engine looks at, as a list of numbers.
#include "simulation/timing/signature.h"

#include <algorithm>
#include <map>

namespace switchyard::simulation::timing {

namespace {

/// Writes down what the engine looks at. Every list is preceded by its length, so that different contents never look the same.
class Signature {
 public:
  Signature(const program::Program& program, const program::Context& context) : program_(program) {
    cached_ = has_cache(*program.chip);
    grid_ = std::any_of(context.arrays.begin(), context.arrays.end(), [](const program::Array& a) { return a.dynamic; });
    each(context.arrays, [&](const program::Array& array) {
      put(array.component.value, array.dynamic);
      list(array.shape);
      list(array.components);
    });
    each(context.actors, [&](const program::Actor& actor) { put_actor(actor); });
    each(context.channels, [&](const program::Channel& channel) { put_channel(channel); });
    each(context.circuits, [&](const program::Circuit& circuit) {
      put(circuit.network.value, circuit.packets);
      each(circuit.paths, [&](const std::vector<std::uint32_t>& path) { list(path); });
    });
    if (!cached_) return;  // else what no later context uses need not leave the cache
    program::for_each_buffer(
        context, [&](program::BufferId id, bool) { put(id.value, program.buffers[id.index()].role == program::BufferRole::intermediate); });
  }
  std::vector<std::int64_t> numbers;

 private:
  template <class... Numbers>
  void put(Numbers... values) {
    (numbers.push_back(static_cast<std::int64_t>(values)), ...);
  }
  template <class List, class Visit>
  void each(const List& values, Visit visit) {
    put(values.size());
    for (const auto& value : values) visit(value);
  }
  template <class List>
  void list(const List& values) {
    each(values, [&](auto value) { put(value); });
  }
  void affine(const numerics::Affine& f) {
    put(f.constant);
    each(f.terms, [&](const auto& term) { put(term.variable, term.coefficient); });
  }
  void affines(const std::vector<numerics::Affine>& functions) {
    each(functions, [&](const numerics::Affine& f) { affine(f); });
  }
  void range(const program::IndexRange& r) { put(r.loop, r.begin, r.end); }
  void guard(const program::Guard& ranges) {
    each(ranges, [&](const program::IndexRange& r) { range(r); });
  }
  void token(const program::Token& t) {
    put(t.format, t.pad);
    list(t.shape);
    list(t.order);
  }
  void access(const numerics::Access& a) {
    put(a.slot);
    affines(a.index);
  }
  void box(const std::optional<program::BufferAccess>& access) {
    put(access.has_value());
    if (!access) return;
    const program::Buffer& buffer = program_.buffers[access->buffer.index()];
    put(buffer.memory.value, buffer.format, buffer.role == program::BufferRole::constant, buffer.spread.has_value());
    list(buffer.shape);
    list(buffer.order);
    if (buffer.spread) {
      list(buffer.spread->shape);
      list(buffer.spread->components);
      affines(buffer.spread->start);
      list(buffer.spread->extent);
    }
    affines(access->start);
    each(access->region, [&](const auto& r) { put(r[0], r[1]); });
    list(access->extent);
    put(access->message);
  }
  void put_actor(const program::Actor& actor) {
    put(actor.kind, actor.array.value, actor.kind == program::ActorKind::move ? actor.mover.value : actor.unit.value, actor.early);
    each(actor.loops, [&](const program::Loop& loop) { put(loop.trip); });
    each(actor.ports, [&](const program::Port& port) {
      put(port.input, port.window.has_value(), port.picks);
      token(port.token);
      list(port.kept);
      guard(port.guard);
      if (port.window) {
        put(port.window->loop, port.window->peek, port.window->pop, port.window->pad_before, port.window->pad_after,
            port.window->pad_always);
      }
    });
    each(actor.dims, [&](const program::Dim& dim) {
      put(dim.tile, dim.total);
      affine(dim.offset);
    });
    each(actor.states, [&](const program::State& state) {
      token(state.token);
      put(state.memory.value, grid_ ? state.offset : 0, grid_ ? state.bytes : 0);
    });
    each(actor.statements, [&](const program::Statement& s) {
      guard(s.guard);
      list(s.dims);
      list(s.kinds);
      each(s.reads, [&](const numerics::Access& a) { access(a); });
      access(s.write);
      put(s.combiner, s.is_contraction(), s.expression.count(numerics::ScalarOpCost::simple),
          s.expression.count(numerics::ScalarOpCost::special));
      if (s.is_contraction()) put(s.factors()[0] - s.reads.data(), s.factors()[1] - s.reads.data());
    });
    box(actor.source);
    box(actor.destination);
    put(actor.source && actor.destination && actor.source->buffer == actor.destination->buffer);
    put(actor.route.has_value());
    if (!actor.route) return;
    put(actor.route->network.value);
    each(actor.route->paths, [&](const std::vector<std::uint32_t>& path) { list(path); });
  }
  void put_channel(const program::Channel& channel) {
    put(channel.from.actor.value, channel.from.port, channel.depth, channel.initial, channel.memory.value, grid_ ? channel.offset : 0,
        grid_ ? channel.bytes : 0);
    guard(channel.from_guard);
    each(channel.to, [&](const program::Channel::Consumer& consumer) {
      put(consumer.end.actor.value, consumer.end.port);
      range(consumer.domain);
    });
    each(channel.relation.coordinates, [&](const program::Relation::Coordinate& c) {
      put(c.modulus);
      affine(c.source);
    });
  }

  const program::Program& program_;
  bool cached_ = false;
  bool grid_ = false;  // how many of its instances fit a component depends on what they occupy
};

}  // namespace

bool has_cache(const chip::Chip& chip) {
  return std::any_of(chip.memories.begin(), chip.memories.end(),
                     [](const chip::Memory& m) { return m.kind == chip::MemoryKind::cache && m.backing; });
}

std::vector<std::uint32_t> ContextClasses::of(const program::Program& program) {
  std::vector<std::uint32_t> classes;
  for (const program::Context& context : program.contexts) {
    Signature signature(program, context);
    const auto next = static_cast<std::uint32_t>(known_.size());
    const std::size_t words = signature.numbers.size();
    const auto [at, fresh] = known_.emplace(std::move(signature.numbers), next);
    if (fresh) words_ += words;
    classes.push_back(at->second);
  }
  return classes;
}

}  // namespace switchyard::simulation::timing
