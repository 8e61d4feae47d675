#include "simulation/functional/plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "simulation/functional/buffers.h"
#include "simulation/functional/elements.h"
#include "support/check.h"

namespace switchyard::simulation::functional {

using program::Actor;
using program::Context;
using program::Port;

namespace {

std::vector<std::byte> constant_token(const program::Token& token, double value) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(token.bytes()));
  fill_elements(token.format, value, bytes.data(), token.bytes() / numerics::format_bytes(token.format));
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
  plan.bytes = port.token.bytes();
  plan.elements = plan.bytes / numerics::format_bytes(plan.format);
  plan.shape = port.token.shape;
  plan.strides = port.token.strides();
  if (port.window) plan.pad = constant_token(port.token, port.window->pad_value);
  return plan;
}

BoxPlan plan_box(const program::Program& program, const program::BufferAccess& access) {
  const program::Buffer& buffer = program.buffers[access.buffer.index()];
  BoxPlan plan;
  plan.buffer = access.buffer;
  plan.format = buffer.format;
  plan.start = access.start;
  plan.strides = buffer_strides(buffer);
  plan.fill = access.fill;
  SY_CHECK(access.start.size() == buffer.shape.size() && access.region.size() == buffer.shape.size(),
           "a box of another rank than its buffer");
  for (std::size_t d = 0; d < buffer.shape.size(); ++d) {
    plan.region.push_back({std::max<std::int64_t>(0, access.region[d][0]), std::min(buffer.shape[d], access.region[d][1])});
  }
  return plan;
}

Result<ActorPlan> plan_actor(const program::Program& program, const Actor& actor) {
  ActorPlan plan;
  plan.actor = &actor;
  for (std::size_t p = 0; p < actor.ports.size(); ++p) {
    plan.ports.push_back(plan_port(actor, actor.ports[p]));
    // A mover's ports of empty tokens only synchronise.
    if (actor.kind == program::ActorKind::move && !program::carries_data(actor.ports[p].token)) continue;
    (actor.ports[p].input ? plan.input : plan.output) = static_cast<int>(p);
  }
  for (const program::State& state : actor.states) {
    StatePlan& s = plan.states.emplace_back();
    for (std::size_t i = 0; i < state.kept.size(); ++i) s.kept |= std::uint64_t{state.kept[i] ? 1u : 0u} << i;
    s.bytes = state.token.bytes();
    s.initial = constant_token(state.token, state.initial);
  }
  for (const program::Statement& statement : actor.statements) {
    SY_TRY(StatementPlan s, plan_statement(program, actor, statement));
    plan.cost += s.cost;
    plan.statements.push_back(std::move(s));
  }
  if (actor.source) plan.source.push_back(plan_box(program, *actor.source));
  if (actor.destination) plan.destination.push_back(plan_box(program, *actor.destination));
  if (actor.kind == program::ActorKind::move) {
    SY_CHECK(actor.source.has_value() != (plan.input >= 0) && actor.destination.has_value() != (plan.output >= 0) &&
                 (plan.input >= 0 || plan.output >= 0),
             "a mover without its two ends");
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
  for (const Actor& actor : context.actors) {
    SY_TRY(ActorPlan a, plan_actor(program, actor));
    plan.actors.push_back(std::move(a));
  }
  for (const program::Channel& channel : context.channels) {
    const Actor& producer = context.actors[channel.from.actor.index()];
    const Port& port = producer.ports[static_cast<std::size_t>(channel.from.port)];
    ChannelPlan& c = plan.channels.emplace_back();
    c.depth = channel.depth;
    c.slot_bytes = port.token.bytes();
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
