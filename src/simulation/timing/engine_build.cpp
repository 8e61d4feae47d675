// Laying out a context: plans of its actors, state of the instances that are resident at once, rings, units, paths.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "chip/query.h"
#include "program/instance.h"
#include "simulation/timing/engine.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

namespace {

/// How many instances of a grid one component holds: the sequencer's slots, or as many as fit its memories.
std::int64_t slots_of(const chip::Chip& chip, const program::Context& context, std::uint32_t array) {
  struct Extent {
    std::int64_t begin = std::numeric_limits<std::int64_t>::max(), end = 0;
  };
  std::map<chip::MemoryId, Extent> extents;
  const auto occupy = [&](chip::MemoryId memory, std::int64_t offset, std::int64_t bytes) {
    if (!memory.valid() || bytes <= 0) return;
    Extent& e = extents[memory];
    e.begin = std::min(e.begin, offset);
    e.end = std::max(e.end, offset + bytes);
  };
  for (const program::Actor& actor : context.actors) {
    if (actor.array.index() != array) continue;
    for (const program::State& state : actor.states) occupy(state.memory, state.offset, state.bytes);
  }
  for (const program::Channel& channel : context.channels) {
    if (!channel.to.empty() && context.actors[channel.to[0].end.actor.index()].array.index() == array) {
      occupy(channel.memory, channel.offset, channel.bytes);
    }
  }
  std::int64_t slots = std::max<std::int64_t>(1, chip.sequencer.slots);
  for (const auto& [memory, extent] : extents) {
    const chip::UsableRange usable = chip::usable_range(chip.memories[memory.index()]);
    slots = std::min(slots, std::max<std::int64_t>(1, (usable.end - usable.begin) / (extent.end - extent.begin)));
  }
  return slots;
}

bool is_identity(const program::Relation& relation, const program::Array& array) {
  if (relation.coordinates.size() != array.shape.size()) return false;
  for (std::size_t d = 0; d < array.shape.size(); ++d) {
    const program::Relation::Coordinate& c = relation.coordinates[d];
    const bool same = array.shape[d] == 1 || c.source.as_variable() == static_cast<int>(d);
    if (!same || (c.modulus > 0 && c.modulus < array.shape[d])) return false;
  }
  return true;
}

}  // namespace

Status Engine::build_through(std::uint32_t context) {
  for (; built_ <= context; ++built_) {
    SY_TRY(const Done built, build(built_));
    (void)built;
  }
  return Done{};
}

Status Engine::build(std::uint32_t c) {
  ContextState& state = contexts_[c];
  state.number = first_ + c + shift_;
  state.context = &program_.contexts[state.number];
  state.units.assign(chip_.units.size(), 0);
  state.first_array = arrays_.end();
  state.first_plan = plans_.end();
  SY_TRY(const Done arrays, build_arrays(c));
  (void)arrays;
  for (std::uint32_t a = 0; a < state.context->actors.size(); ++a) {
    SY_TRY(const Done actor, build_actor(c, a));
    (void)actor;
  }
  SY_TRY(const Done channels, build_channels(c));
  (void)channels;
  state.ends = {plans_.end(),   arrays_.end(), actors_.end(),     variables_.end(), ports_.end(),        feeds_.end(), ring_feeds_.end(),
                outlets_.end(), guards_.end(), feed_rules_.end(), rings_.end(),     flight_lists_.end(), issues_.end()};
  dirty_.resize(actors_.end() / 64 + 1, 0);
  return Done{};
}

Failure Engine::too_large(std::uint32_t context) const {
  return fail(
      FailureKind::unsupported, "simulation/too-large",
      fmt::format("context '{}' has more actor instances or transfers at once than can be followed", contexts_[context].context->name));
}

Status Engine::build_arrays(std::uint32_t c) {
  ContextState& context = contexts_[c];
  for (std::uint32_t i = 0; i < context.context->arrays.size(); ++i) {
    const program::Array& array = context.context->arrays[i];
    ArrayState& state = arrays_.add();
    state.array = &array;
    state.context = c;
    state.total = program::instance_count(array);
    if (array.dynamic) {
      const auto working = chip::working_instances(chip_.components[array.component.index()]);
      const std::int64_t slots = slots_of(chip_, *context.context, i);
      const std::int64_t most = std::min<std::int64_t>(slots, Event::kActors) * static_cast<std::int64_t>(working.size());
      state.residents = static_cast<std::uint32_t>(std::min(state.total, std::min<std::int64_t>(most, Event::kActors)));
      if (state.residents == Event::kActors) return too_large(c);
      for (std::uint32_t r = 0; r < state.residents; ++r) state.component.push_back(working[r % working.size()]);
      state.unfinished.assign(state.residents, 0);
      state.number.assign(state.residents, 0);
      context.undealt += state.total;
    } else {
      state.residents = static_cast<std::uint32_t>(state.total);
      state.component = array.components;
    }
    if (state.total > std::numeric_limits<std::uint32_t>::max() || state.component.size() != state.residents) {
      return fail(FailureKind::malformed, "simulation/array", fmt::format("array '{}' does not list its components", array.name));
    }
  }
  return Done{};
}

Status Engine::build_actor(std::uint32_t c, std::uint32_t a) {
  ContextState& context = contexts_[c];
  const program::Actor& actor = context.context->actors[a];
  const std::uint32_t number = plans_.end();
  ActorPlan& plan = plans_.add();
  plan.actor = &actor;
  plan.context = c;
  plan.array = context.first_array + static_cast<std::uint32_t>(actor.array.index());
  plan.moves = actor.kind == program::ActorKind::move;
  ArrayState& array = arrays_[plan.array];
  plan.early = actor.early && plan.moves && !array.array->dynamic;
  array.actors.push_back(number);
  plan.rank = static_cast<std::uint16_t>(array.array->shape.size());
  plan.first_instance = actors_.end();
  plan.issued = issue_time_ > 0;
  std::vector<std::int64_t> extents = array.array->shape;
  if (actor.loops.size() > static_cast<std::size_t>(program::kMaxLoops)) {
    return fail(FailureKind::unsupported, "simulation/loops",
                fmt::format("actor '{}' has more than {} loops", actor.name, program::kMaxLoops));
  }
  for (const program::Loop& loop : actor.loops) {
    plan.trips.push_back(loop.trip);
    extents.push_back(loop.trip);
  }
  for (const program::Port& port : actor.ports) {
    PortPlan& p = plan.ports.emplace_back();
    p.rule = program::port_rule(actor, port);
    p.kept = static_cast<std::uint32_t>(p.rule.kept);
    p.guard = plan_guard(p.rule.guard, plan.trips);
    p.guarded = !p.guard.always();
    p.data = program::moves_data(port);
  }
  if (plan.moves) {
    const chip::Mover& mover = chip_.movers[actor.mover.index()];
    plan.unit_class = actor.mover.value;
    plan.queue_depth = mover.queue_depth * mover.count;  // each of its engines has a queue
    plan.startup = from_seconds(mover.startup.value).value;
    SY_TRY(plan.move, MoveCosts::make(program_, actor, extents));
  } else {
    plan.unit_class = actor.unit.value;
    plan.queue_depth = chip_.units[actor.unit.index()].queue_depth;
    SY_TRY(plan.compute, ComputeCosts::make(chip_, *context.context, actor, extents));
    plan.always_costs = plan.compute->always_costs();
  }
  plan.queue_depth = std::max<std::int64_t>(1, plan.queue_depth);

  kinds_.push_back({c, plan.moves, plan.unit_class, plan.startup});
  if (actors_.end() + std::size_t{array.residents} > Event::kActors) {
    return too_large(c);
  }
  build_state(plan, number);
  if (!array.array->dynamic) context.unfinished += array.residents;
  if (!plan.moves && array.array->dynamic) {  // a grid has the whole chip: idle components are an imbalance too
    context.units[plan.unit_class] =
        static_cast<std::int64_t>(chip::working_instances(chip_.components[array.array->component.index()]).size());
  }
  return Done{};
}

void Engine::build_state(ActorPlan& plan, std::uint32_t number) {
  const ArrayState& array = arrays_[plan.array];
  for (std::uint32_t r = 0; r < array.residents; ++r) {
    ActorState& s = actors_.add();
    s.plan = number;
    s.variables = variables_.end();
    variables_.extend(plan.rank + plan.trips.size());
    s.ports = ports_.end();
    ports_.extend(plan.ports.size());
    s.unit = unit_of(plan, array.component[r]);
    if (plan.moves) {
      s.flights = flight_lists_.end();
      flight_lists_.add().variables = variables_.end();
      variables_.extend(plan.trips.size());
    }
    if (plan.issued) {
      s.issue = issues_.end();
      IssueState& issue = issues_.add();
      issue.core = core_of(array.array->component, array.component[r]);
      issue.actor = actors_.end() - 1;
      issue.variables = variables_.end();
      variables_.extend(plan.rank + plan.trips.size());
    }
  }
}

std::uint32_t Engine::core_of(chip::ComponentId component, std::uint32_t instance) {
  std::vector<std::uint32_t>& table = core_at_[component.index()];
  if (instance >= table.size()) table.resize(instance + std::size_t{1}, kNone);
  if (table[instance] == kNone) {
    table[instance] = static_cast<std::uint32_t>(cores_.size());
    cores_.emplace_back();
  }
  return table[instance];
}

std::uint32_t Engine::unit_of(ActorPlan& plan, std::uint32_t component) {
  const chip::ComponentId in = plan.moves ? chip_.movers[plan.unit_class].in : chip_.units[plan.unit_class].in;
  std::vector<std::uint32_t>& table = (plan.moves ? mover_at_ : unit_at_)[plan.unit_class];
  if (table.empty()) table.assign(static_cast<std::size_t>(chip::instance_count(chip_.components[in.index()])), kNone);
  std::uint32_t& slot = table[std::min<std::size_t>(component, table.size() - 1)];
  if (slot == kNone && plan.moves) {
    const chip::Mover& mover = chip_.movers[plan.unit_class];
    slot = static_cast<std::uint32_t>(movers_.size());
    MoverState& state = movers_.emplace_back();
    state.first_engine = fabric.engine(chip::MoverId(plan.unit_class), component);
    state.in_flight.assign(static_cast<std::size_t>(std::max<std::int64_t>(1, mover.count)), 0);
    state.free = static_cast<std::uint32_t>(std::max<std::int64_t>(1, mover.count) * std::max<std::int64_t>(1, mover.outstanding));
  } else if (slot == kNone) {
    slot = static_cast<std::uint32_t>(units_.size());
    units_.emplace_back();
  }
  if (!plan.moves && units_[slot].counted_in != plan.context) {
    units_[slot].counted_in = plan.context;
    ++contexts_[plan.context].units[plan.unit_class];
  }
  return slot;
}

Status Engine::build_channels(std::uint32_t context) {
  const program::Context& contents = *contexts_[context].context;
  const std::uint32_t first_plan = contexts_[context].first_plan, first_ring = rings_.end(), first_feed = feeds_.end();
  const auto plan_of = [&](program::ActorId id) -> const ActorPlan& { return plans_[first_plan + static_cast<std::uint32_t>(id.index())]; };
  struct PendingFeed {
    std::uint32_t port;
    Feed feed;
  };
  struct PendingOutlet {
    std::uint32_t port;
    Outlet outlet;
  };
  std::vector<PendingFeed> feeds;
  std::vector<PendingOutlet> outlets;
  std::vector<std::uint32_t> ring_component, ring_instance;
  for (std::uint32_t c = 0; c < contents.channels.size(); ++c) {
    const program::Channel& channel = contents.channels[c];
    if (channel.to.empty()) continue;
    const ActorPlan& from = plan_of(channel.from.actor);
    const ActorPlan& to = plan_of(channel.to[0].end.actor);
    ArrayState& consumers = arrays_[to.array];
    const bool grid = consumers.array->dynamic || arrays_[from.array].array->dynamic;
    if (grid && (from.array != to.array || !is_identity(channel.relation, *consumers.array))) {
      return fail(FailureKind::unsupported, "simulation/grid-channel",
                  fmt::format("channel '{}' joins different instances of a grid", channel.name));
    }
    std::uint32_t guard = kNone;
    if (GuardPlan plan = plan_guard(program::resolve_guard(*from.actor, channel.from_guard), from.trips); !plan.always()) {
      guard = guards_.end();
      guards_.add(std::move(plan));
    }
    const std::uint32_t first_rule = feed_rules_.end();
    for (const program::Channel::Consumer& consumer : channel.to) {
      const program::Actor& actor = contents.actors[consumer.end.actor.index()];
      feed_rules_.add(program::feed_rule(actor, actor.ports[static_cast<std::size_t>(consumer.end.port)], consumer.domain));
    }
    if (grid) consumers.rings.push_back(rings_.end());
    for (std::uint32_t r = 0; r < consumers.residents; ++r) {
      const std::uint32_t producer =
          grid ? r : program::producer_instance(channel.relation, *arrays_[from.array].array, *consumers.array, r);
      if (producer == program::kNoIndex) continue;
      Ring ring;
      ring.depth = static_cast<std::uint32_t>(std::min<std::int64_t>(channel.depth, 0x7fffffff));
      ring.initial = static_cast<std::uint32_t>(channel.initial);
      ring.reserved = ring.produced = ring.initial;
      ring.channel = c;
      ring.producer = from.first_instance + producer;
      const std::uint32_t number = rings_.end();
      rings_.add(ring);
      ring_component.push_back(consumers.component[r]);
      ring_instance.push_back(r);
      outlets.push_back({actors_[ring.producer].ports + static_cast<std::uint32_t>(channel.from.port), {number, guard}});
      for (std::size_t k = 0; k < channel.to.size(); ++k) {
        const program::Endpoint& end = channel.to[k].end;
        Feed feed;
        feed.ring = number;
        feed.actor = plan_of(end.actor).first_instance + r;
        feed.rule = first_rule + static_cast<std::uint32_t>(k);
        const PortPlan& port = plan_of(end.actor).ports[static_cast<std::size_t>(end.port)];
        feed.plain = feed_rules_[feed.rule].range.loop < 0 && !port.rule.windowed();
        feeds.push_back({actors_[feed.actor].ports + static_cast<std::uint32_t>(end.port), feed});
      }
    }
  }
  const auto by_port = [](const auto& a, const auto& b) { return a.port < b.port; };
  std::stable_sort(feeds.begin(), feeds.end(), by_port);
  std::stable_sort(outlets.begin(), outlets.end(), by_port);
  const auto enter_port = [&](std::uint32_t port, std::uint32_t at) {
    if (ports_[port].begin == ports_[port].end) ports_[port].begin = at;
    ports_[port].end = at + 1;
  };
  for (const PendingFeed& f : feeds) {
    enter_port(f.port, feeds_.end());
    ++rings_[f.feed.ring].feed_count;
    feeds_.add(f.feed);
  }
  for (const PendingOutlet& o : outlets) {
    enter_port(o.port, outlets_.end());
    outlets_.add(o.outlet);
  }
  std::uint32_t at = ring_feeds_.end();
  for (std::uint32_t r = first_ring; r < rings_.end(); ++r) {
    rings_[r].first_feed = at;
    at += rings_[r].feed_count;
    rings_[r].feed_count = 0;
  }
  ring_feeds_.extend(at - ring_feeds_.end());
  for (std::uint32_t f = first_feed; f < feeds_.end(); ++f) {
    Ring& ring = rings_[feeds_[f].ring];
    ring_feeds_[ring.first_feed + ring.feed_count++] = f;
  }
  for (std::uint32_t p = first_plan; p < plans_.end(); ++p) {
    if (!plans_[p].moves) continue;
    for (std::uint32_t r = 0; r < arrays_[plans_[p].array].residents; ++r) {
      bind_path(plans_[p].first_instance + r, first_ring, ring_component, ring_instance);
    }
  }
  return Done{};
}

void Engine::bind_path(std::uint32_t a, std::uint32_t first_ring, const std::vector<std::uint32_t>& ring_component,
                       const std::vector<std::uint32_t>& ring_instance) {
  ActorState& s = actors_[a];
  const ActorPlan& plan = plans_[s.plan];
  const program::Actor& actor = *plan.actor;
  const std::uint32_t resident = a - plan.first_instance;
  PathRequest request;
  request.mover = actor.mover;
  request.component = arrays_[plan.array].component[resident];
  if (fabric.has_circuits()) request.context = contexts_[plan.context].number;
  if (plan.move->sends_messages()) {
    fabric.mix(chip_.movers[actor.mover.index()].network);
    return;
  }
  if (plan.move->reads_memory()) request.source = program_.buffers[actor.source->buffer.index()].memory;
  if (plan.move->writes_memory()) request.destination = program_.buffers[actor.destination->buffer.index()].memory;
  std::vector<std::uint32_t> instances;
  for (std::size_t p = 0; p < plan.ports.size(); ++p) {
    if (actor.ports[p].input || !plan.ports[p].data) continue;
    const PortLinks& links = ports_[s.ports + p];
    for (std::uint32_t o = links.begin; o < links.end; ++o) {
      const std::uint32_t target = ring_component[outlets_[o].ring - first_ring];
      if (std::find(request.targets.begin(), request.targets.end(), target) != request.targets.end()) continue;
      request.targets.push_back(target);
      instances.push_back(ring_instance[outlets_[o].ring - first_ring]);
    }
  }
  if (actor.route) {
    request.network = actor.route->network;
    const auto& paths = actor.route->paths;
    const std::size_t ends = std::max<std::size_t>(1, request.targets.size());
    for (std::size_t t = 0; t < ends; ++t) {
      const std::uint32_t target = request.targets.empty() ? request.component : request.targets[t];
      const auto leads_there = [&](std::size_t i) {
        return i < paths.size() && !paths[i].empty() && (paths[i].back() == target || paths[i].front() == target);
      };
      // A multicast has a path per consumer instance, anything else one per instance of the actor.
      std::size_t first = resident, second = instances.empty() ? resident : instances[t];
      if (request.targets.size() > 1) std::swap(first, second);
      request.routes.push_back(leads_there(first) ? paths[first] : leads_there(second) ? paths[second] : std::vector<std::uint32_t>{});
    }
  }
  s.path = fabric.path(request);
  fabric.use(s.path);
}

/// The next instance of a grid takes the place of one that has finished.
void Engine::start_resident(std::uint32_t array_number, std::uint32_t resident, std::uint32_t cause) {
  ArrayState& array = arrays_[array_number];
  array.unfinished[resident] = static_cast<std::uint32_t>(array.actors.size());
  contexts_[array.context].unfinished += static_cast<std::uint32_t>(array.actors.size());
  for (const std::uint32_t first : array.rings) {
    Ring& ring = rings_[first + resident];
    ring.reserved = ring.produced = ring.initial;
    ring.freed = 0;
    ring.produced_at = ring.freed_at = -1;
    ring.producer_waits = false;
    for (std::uint32_t f = 0; f < ring.feed_count; ++f) {
      Feed& feed = feeds_[ring_feeds_[ring.first_feed + f]];
      feed.acquired = feed.released = 0;
      feed.waits = false;
    }
  }
  const std::vector<std::int64_t> coordinates = program::coordinates(*array.array, static_cast<std::uint32_t>(array.number[resident]));
  for (const std::uint32_t p : array.actors) start_instance(p, resident, coordinates, cause);
}

void Engine::start_instance(std::uint32_t p, std::uint32_t resident, std::span<const std::int64_t> coordinates, std::uint32_t cause) {
  const ActorPlan& plan = plans_[p];
  ActorState& s = actors_[plan.first_instance + resident];
  std::copy(coordinates.begin(), coordinates.end(), variables_.from(s.variables));
  s.at = odometer_start(plan.trips, variables_.from(s.variables) + plan.rank);
  s.unblocked_by = cause;
  s.wait = Wait::nothing;
  s.priced = false;
  s.port = s.feed = 0;
  s.commands = 0;
  if (plan.moves) {
    FlightList& list = flight_lists_[s.flights];
    list.at = odometer_start(plan.trips, variables_.from(list.variables));
  }
  mark(plan.first_instance + resident);
  if (s.issue == kNone) return;
  IssueState& issue = issues_[s.issue];
  std::copy(coordinates.begin(), coordinates.end(), variables_.from(issue.variables));
  issue.at = odometer_start(plan.trips, variables_.from(issue.variables) + plan.rank);
  issue.through = false;
  for (std::int64_t i = 0; i < plan.queue_depth && !issue.through; ++i) request_command(s.issue, cause);
}

}  // namespace switchyard::simulation::timing
