#include "simulation/functional/plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "numerics/packing.h"
#include "program/spread.h"
#include "simulation/functional/buffers.h"
#include "simulation/functional/elements.h"
#include "support/check.h"

namespace switchyard::simulation::functional {

using program::Actor;
using program::Context;
using program::Port;

namespace {

/// Of a token as it is held here: every element in whole bytes.
std::int64_t held_elements(const program::Token& token) { return token.bytes() * 8 / numerics::stored_bits(token.format); }
std::int64_t held_bytes(const program::Token& token) { return held_elements(token) * numerics::format_bytes(token.format); }

std::vector<std::byte> constant_token(const program::Token& token, double value) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(held_bytes(token)));
  fill_elements(token.format, value, bytes.data(), held_elements(token));
  return bytes;
}

/// Numbers the loops of `actor` that `port` does not keep, `but` left out, within all the guards.
Numbering numbering(const Actor& actor, const Port& port, const program::Guard& guard, int but) {
  program::Guard both = port.guard;
  both.insert(both.end(), guard.begin(), guard.end());
  const auto box = program::guard_box(actor, both);
  Numbering result;
  std::int64_t stride = 1;
  for (std::size_t i = box.size(); i-- > 0;) {
    if (static_cast<int>(i) == but || (i < port.kept.size() && port.kept[i])) continue;
    result.axes.push_back({static_cast<int>(i), box[i][0], box[i][1], stride});
    SY_CHECK(!__builtin_mul_overflow(stride, box[i][1] - box[i][0], &stride), "counting tokens");
  }
  return result;
}

LinePlan feed_line(const Actor& actor, const Port& port, const program::IndexRange& domain) {
  const program::PortRule rule = program::port_rule(actor, port);
  const program::FeedRule feed = program::feed_rule(actor, port, domain);
  LinePlan line;
  program::Guard guard;
  if (domain.loop >= 0 && !feed.over_window) guard.push_back(domain);
  line.vectors = numbering(actor, port, guard, rule.window_loop);
  if (rule.windowed()) {
    line.begin = rule.first_token;
    line.end = rule.last_token;
    if (feed.over_window) {
      line.begin = std::max(line.begin, feed.range.begin);
      line.end = std::min(line.end, feed.range.end);
    }
    line.end = std::max(line.begin, line.end);
  }
  return line;
}

PortPlan plan_port(const Actor& actor, const Port& port) {
  PortPlan plan;
  plan.rule = program::port_rule(actor, port);
  plan.format = port.token.format;
  plan.bytes = held_bytes(port.token);
  plan.elements = plan.bytes / numerics::format_bytes(plan.format);
  plan.shape = port.token.shape;
  plan.strides = port.token.strides();
  if (port.window) plan.pad = constant_token(port.token, port.window->pad_value);
  return plan;
}

BoxPlan plan_box(const program::Program& program, const program::BufferAccess& access, const std::vector<std::int64_t>& extent) {
  const program::Buffer& buffer = program.buffers[access.buffer.index()];
  BoxPlan plan;
  plan.buffer = access.buffer;
  plan.format = buffer.format;
  plan.start = access.start;
  plan.extent = access.extent.empty() ? extent : access.extent;
  plan.fill = access.fill;
  plan.message = access.message;
  plan.spread = buffer.spread.has_value();
  const std::size_t rank = buffer.shape.size();
  SY_CHECK(access.start.size() == rank && access.region.size() == rank && plan.extent.size() == rank && rank <= kMaxBoxRank,
           "a box of another rank than its buffer");
  for (std::size_t d = 0; d < rank; ++d) {
    plan.region.push_back({std::max<std::int64_t>(0, access.region[d][0]), std::min(buffer.shape[d], access.region[d][1])});
  }
  return plan;
}

/// Who reads and who writes a buffer in one context.
class Uses {
 public:
  explicit Uses(const Context& context) {
    for (const Actor& actor : context.actors) {
      if (actor.source) read_.emplace(actor.source->buffer.index(), &actor);
      if (actor.destination) written_.emplace(actor.destination->buffer.index(), &actor);
      for (const Port& port : actor.ports)
        if (port.place) (port.input ? read_ : written_).emplace(port.place->buffer.index(), &actor);
    }
  }
  /// A token in a place is what stood there when it was acquired, and what it gives appears when it is emitted. Whether it may lie in the
  /// part itself meanwhile: when it lives for one firing only, or when no one else touches the buffer.
  [[nodiscard]] bool may_stand_in_place(const Actor& actor, const Port& port) const {
    bool one_firing = true;
    for (std::size_t i = 0; i < port.kept.size(); ++i) one_firing = one_firing && (!port.kept[i] || actor.loops[i].trip == 1);
    const auto buffer = port.place->buffer.index();
    const auto [first, last] = (port.input ? written_ : read_).equal_range(buffer);
    if (first == last) return true;
    return one_firing && (!port.input || std::none_of(first, last, [&](const auto& use) { return use.second == &actor; }));
  }

 private:
  std::multimap<std::size_t, const Actor*> read_, written_;
};

Result<ActorPlan> plan_actor(const program::Program& program, const Uses& uses, const Actor& actor) {
  ActorPlan plan;
  plan.actor = &actor;
  for (std::size_t p = 0; p < actor.ports.size(); ++p) {
    const Port& port = actor.ports[p];
    PortPlan& planned = plan.ports.emplace_back(plan_port(actor, port));
    if (port.place) {
      SY_CHECK(actor.kind == program::ActorKind::compute && !port.window, "a place of a mover's port or of a window");
      planned.place.push_back(plan_box(program, *port.place, port.token.shape));
      planned.in_place = planned.format == planned.place[0].format && uses.may_stand_in_place(actor, port);
    }
    // Ports of empty tokens only synchronise.
    if (port.picks >= 0) plan.picks.push_back({p, static_cast<std::size_t>(port.picks)});
    if (!program::moves_data(port)) continue;
    (port.input ? plan.input : plan.output) = static_cast<int>(p);
  }
  for (const program::State& state : actor.states) {
    StatePlan& s = plan.states.emplace_back();
    for (std::size_t i = 0; i < state.kept.size(); ++i) s.kept |= std::uint64_t{state.kept[i] ? 1u : 0u} << i;
    s.bytes = held_bytes(state.token);
    s.initial = constant_token(state.token, state.initial);
  }
  for (const program::Statement& statement : actor.statements) {
    SY_TRY(StatementPlan s, plan_statement(program, actor, statement));
    plan.cost += s.cost;
    plan.statements.push_back(std::move(s));
  }
  if (actor.kind == program::ActorKind::move) {
    SY_CHECK(actor.source.has_value() != (plan.input >= 0) && actor.destination.has_value() != (plan.output >= 0),
             "a mover without its two ends");
    const auto extent = [&](int port) {
      return port < 0 ? std::vector<std::int64_t>{} : actor.ports[static_cast<std::size_t>(port)].token.shape;
    };
    if (actor.source) plan.source.push_back(plan_box(program, *actor.source, extent(plan.output)));
    if (actor.destination) plan.destination.push_back(plan_box(program, *actor.destination, extent(plan.input)));
    if (actor.source && actor.destination) {
      SY_CHECK(plan.source[0].extent == plan.destination[0].extent, "a move between boxes of different extents");
      plan.within = program::updates_copies(actor);
      plan.staged = actor.source->buffer == actor.destination->buffer && !plan.within;
      plan.cost += static_cast<double>(numerics::element_count(plan.source[0].extent)) / 4;
    }
    for (const PortPlan& port : plan.ports) plan.cost += static_cast<double>(port.bytes) / 8;
  }
  return plan;
}

/// Root of a tree of indices, the paths halved on the way.
std::uint32_t root_of(std::vector<std::uint32_t>& parent, std::uint32_t i) {
  while (parent[i] != i) {
    parent[i] = parent[parent[i]];
    i = parent[i];
  }
  return i;
}

void find_groups(ContextPlan& plan) {
  const program::Layout& layout = plan.layout;
  std::vector<std::uint32_t> parent(layout.actors.size());
  std::iota(parent.begin(), parent.end(), 0u);
  for (const program::Ring& ring : layout.rings) {
    for (std::uint32_t k = 0; k < ring.consumer_count; ++k) {
      const std::uint32_t a = root_of(parent, ring.producer), b = root_of(parent, layout.consumers[ring.first_consumer + k].actor);
      parent[std::max(a, b)] = std::min(a, b);
    }
  }
  // Roots are the least members: groups come in the order of their first actors.
  std::vector<std::uint32_t> count(layout.actors.size(), 0);
  for (std::uint32_t i = 0; i < parent.size(); ++i) ++count[root_of(parent, i)];
  std::vector<std::uint32_t> place(layout.actors.size(), 0);
  std::uint32_t total = 0;
  for (std::uint32_t i = 0; i < parent.size(); ++i) {
    if (count[i] == 0) continue;
    plan.group_begin.push_back(total);
    place[i] = total;
    total += count[i];
  }
  plan.group_begin.push_back(total);
  plan.members.resize(total);
  std::vector<std::uint32_t> group_of(layout.actors.size());
  plan.local.resize(layout.actors.size());
  for (std::uint32_t i = 0; i < parent.size(); ++i) {
    const std::uint32_t at = place[root_of(parent, i)]++;
    plan.members[at] = i;
  }
  for (std::uint32_t g = 0; g + 1 < plan.group_begin.size(); ++g) {
    for (std::uint32_t at = plan.group_begin[g]; at < plan.group_begin[g + 1]; ++at) {
      group_of[plan.members[at]] = g;
      plan.local[plan.members[at]] = at - plan.group_begin[g];
    }
  }

  plan.ring_begin.assign(plan.group_begin.size(), 0);
  for (const program::Ring& ring : layout.rings) ++plan.ring_begin[group_of[ring.producer] + 1];
  std::partial_sum(plan.ring_begin.begin(), plan.ring_begin.end(), plan.ring_begin.begin());
  plan.rings.resize(layout.rings.size());
  plan.local_ring.resize(layout.rings.size());
  std::vector<std::uint32_t> next(plan.ring_begin.begin(), plan.ring_begin.end());
  for (std::uint32_t r = 0; r < layout.rings.size(); ++r) {
    const std::uint32_t group = group_of[layout.rings[r].producer];
    plan.local_ring[r] = next[group] - plan.ring_begin[group];
    plan.rings[next[group]++] = r;
  }
}

}  // namespace

Result<ContextPlan> plan_context(const program::Program& program, const Context& context) {
  ContextPlan plan;
  plan.context = &context;
  plan.layout = program::lay_out(context);
  const Uses uses(context);
  for (const Actor& actor : context.actors) {
    SY_TRY(ActorPlan a, plan_actor(program, uses, actor));
    plan.actors.push_back(std::move(a));
  }
  for (const program::Channel& channel : context.channels) {
    const Actor& producer = context.actors[channel.from.actor.index()];
    const Port& port = producer.ports[static_cast<std::size_t>(channel.from.port)];
    ChannelPlan& c = plan.channels.emplace_back();
    c.depth = channel.depth;
    c.slot_bytes = held_bytes(port.token);
    c.initial = channel.initial;
    if (channel.initial > 0) c.initial_token = constant_token(port.token, channel.initial_value);
    c.outlet.vectors = numbering(producer, port, channel.from_guard, -1);
    for (const auto& to : channel.to) {
      const Actor& consumer = context.actors[to.end.actor.index()];
      c.feeds.push_back(feed_line(consumer, consumer.ports[static_cast<std::size_t>(to.end.port)], to.domain));
    }
  }
  find_groups(plan);
  return plan;
}

}  // namespace switchyard::simulation::functional
