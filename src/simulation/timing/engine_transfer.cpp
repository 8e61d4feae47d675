// Transfers: chunks that pass from stage to stage, each stage first come, first served.
#include <algorithm>

#include "simulation/timing/engine.h"
#include "simulation/timing/recorder.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

/// A transfer needs something to take from and somewhere to go to.
bool Engine::both_ends(const ActorState& s, const ActorPlan& plan, Odometer at, const std::int64_t* index) const {
  bool from = plan.actor->source.has_value(), to = plan.actor->destination.has_value();
  for (std::size_t p = 0; p < plan.ports.size(); ++p) {
    const PortPlan& port = plan.ports[p];
    if (!port.data || (port.guarded && !port.guard.holds(at, index))) continue;
    const PortLinks& links = ports_[s.ports + p];
    if (port.rule.input) {
      from |= links.begin != links.end;
      continue;
    }
    for (std::uint32_t o = links.begin; o < links.end && !to; ++o) {
      to = outlets_[o].guard == kNone || guards_[outlets_[o].guard].holds(at, index);
    }
  }
  return from && to;
}

std::uint32_t Engine::component_of(const ActorPlan& plan, const ActorState& s) const {
  const auto a = static_cast<std::uint32_t>(&s - actors_.from(plan.first_instance));
  return arrays_[plan.array].component[a];
}

const MovePrice& Engine::price_of(ActorPlan& plan, const ActorState& s, std::uint32_t first) {
  return plan.move->price(variables(plan, first), plan.move->sends_messages() ? component_of(plan, s) : 0);
}

/// Each message goes its own way: to the components that hold its elements, but the own one.
std::uint32_t Engine::path_of(const ActorPlan& plan, const MovePrice& price, std::uint32_t component) {
  if (*price.path == kNone) {
    const std::uint32_t context = fabric.has_circuits() ? contexts_[plan.context].number : 0;
    *price.path = fabric.path(plan.actor->mover, component, price.components, context);
  }
  fabric.use(*price.path);
  return *price.path;
}

/// What the transfer reads from and writes to the memories, through a cache where there is one.
void Engine::charge_memories(const ActorPlan& plan, const MovePrice& price, Flight& flight) {
  const program::Actor& actor = *plan.actor;
  ContextRun& run = contexts_[plan.context].run;
  const auto read = [&](std::int64_t bytes) { totals.offchip_read += bytes, run.offchip_read += bytes; };
  const auto written = [&](std::int64_t bytes) { totals.offchip_written += bytes, run.offchip_written += bytes; };
  const auto proportion = [&](std::int64_t cost, std::int64_t part) {
    return part >= price.payload ? cost
                                 : static_cast<std::int64_t>((static_cast<__int128>(cost) * part + price.payload - 1) / price.payload);
  };
  if (plan.move->reads_memory()) {
    const program::Buffer& buffer = program_.buffers[actor.source->buffer.index()];
    std::int64_t from_memory = price.payload;
    if (cache_ && buffer.memory == cached_memory_) {
      const CacheModel::Outcome got = cache_->read(actor.source->buffer, price.begin, price.extent);
      from_memory = got.miss;
      flight.memory_bytes = proportion(price.read_cost, got.miss) + got.evicted;
      written(got.evicted);
    } else {
      flight.memory_bytes = price.read_cost;
    }
    read(from_memory);
    if (buffer.role == program::BufferRole::constant) totals.offchip_constants += from_memory;
  }
  if (plan.move->writes_memory()) {
    const program::Buffer& buffer = program_.buffers[actor.destination->buffer.index()];
    if (cache_ && buffer.memory == cached_memory_) {
      const CacheModel::Outcome got = cache_->write(actor.destination->buffer, price.write_begin, price.write_extent);
      flight.write_bytes = got.evicted;
      written(got.evicted);
    } else {
      flight.write_bytes = price.write_cost;
      written(price.payload);
    }
  }
}

void Engine::start_transfer(std::uint32_t a, ActorState& s, ActorPlan& plan) {
  const std::uint32_t number = flight_slots_.take();
  too_many_ |= number >= Event::kPlaces;
  if (number == flights_.size()) {
    flights_.emplace_back();
    leaving_.resize(flights_.size() * window_);
  }
  flights_[number] = Flight{};
  Flight& flight = flights_[number];
  flight.actor = a;
  flight.activity = begin_activity(s, plan);
  flight.context = plan.context;
  const MovePrice& price = price_of(plan, s, s.variables);
  flight.path = s.path != kNone ? s.path : path_of(plan, price, component_of(plan, s));
  const Path& path = fabric.paths[flight.path];
  SY_CHECK(path.leads, "a verified program has a circuit for every transfer");
  charge_memories(plan, price, flight);
  if (path.links > 0) {
    totals.network_bytes += price.payload;
    totals.link_bytes += price.payload * path.links;
  }
  totals.mover_bytes[plan.unit_class] += price.payload;

  const std::int64_t whole = chunk_ > 0 ? chunk_ : price.payload;
  flight.chunks = static_cast<std::uint32_t>((price.payload + whole - 1) / whole);
  flight.last_bytes = price.payload - (flight.chunks - 1) * whole;
  const auto spread = [&](std::int64_t bytes, std::int64_t& each, std::int64_t& last) {
    each = static_cast<std::int64_t>(static_cast<__int128>(bytes) * whole / price.payload);
    if (flight.chunks == 1) each = bytes;
    last = bytes - each * (flight.chunks - 1);
  };
  spread(flight.memory_bytes, flight.memory_whole, flight.memory_last);
  spread(flight.write_bytes, flight.write_whole, flight.write_last);

  MoverState& mover = movers_[s.unit];
  const auto least = std::min_element(mover.in_flight.begin(), mover.in_flight.end());
  ++*least;
  --mover.free;
  flight.engine = static_cast<std::uint32_t>(least - mover.in_flight.begin());

  FlightList& list = flight_lists_[s.flights];
  while (flight.number < ChunkTie::kFlights && (list.used >> flight.number & 1u) != 0) ++flight.number;
  if (flight.number < ChunkTie::kFlights) list.used |= 1u << flight.number;
  if (list.head == kNone) {
    list.head = number;
  } else {
    flights_[list.tail].next = number;
  }
  list.tail = number;
  enter(number, now_ + plan.startup, 0);
}

/// The next chunk of a flight comes to the first stage at `time`.
void Engine::enter(std::uint32_t number, std::int64_t time, std::int64_t memory) {
  Flight& flight = flights_[number];
  const Path& path = fabric.paths[flight.path];
  const std::uint32_t chunk = flight.entered++;
  leaving_[number * window_ + chunk % window_] = {0, 0, path.leaves};
  Chunk c;
  c.flight = number;
  c.node = path.root;
  c.number = chunk;
  c.context = flight.context;
  c.bytes = chunk + 1 == flight.chunks ? flight.last_bytes : chunk_;
  c.memory = memory;
  events_.push_chunk(Event::make(time, flight.actor, EventKind::chunk, ChunkTie::make(flight.number, chunk, 0)), c, true);
}

/// Sends the next chunk when the first stage has served the last one and the window has room; else the window will call again.
void Engine::try_enter(std::uint32_t number) {
  Flight& flight = flights_[number];
  const std::uint32_t chunk = flight.entered;
  if (chunk == flight.chunks) return;
  std::int64_t time = flight.entry, memory = flight.entry_memory;
  if (chunk >= window_) {
    flight.waits_for_window = flight.left + window_ <= chunk;
    if (flight.waits_for_window) return;
    const Leaving& before = leaving_[number * window_ + chunk % window_];
    if (before.time > time) {
      time = before.time;
      memory = before.memory;
    }
  }
  enter(number, time, memory);
}

void Engine::pass(const EventQueue::Item& item) {
  ++contexts_[item.chunk.context].run.events;
  if (const Chunk* soon = events_.soon(3)) __builtin_prefetch(&fabric.nodes[soon->node]);
  if (const Chunk* soon = events_.soon(1)) __builtin_prefetch(&fabric.resources[fabric.nodes[soon->node].resource]);
  pass_from(item.chunk, item.event);
}

/// The head of a chunk arrives at a stage when the event says: it is served after those that came before.
void Engine::pass_from(Chunk chunk, Event event) {
  for (;;) {
    const std::int64_t time = event.time();
    const PathNode& node = fabric.nodes[chunk.node];
    std::int64_t bytes = chunk.bytes, start = time, end = time, latency = 0;
    if (node.stage == Stage::memory) {
      Flight& flight = flights_[chunk.flight];
      const bool last = chunk.number + 1 == flight.chunks;
      if (!node.writes) ++flight.fetched;
      bytes = node.writes ? (last ? flight.write_last : flight.write_whole) : (last ? flight.memory_last : flight.memory_whole);
    }
    if (bytes > 0) {
      Resource& r = fabric.resources[node.stage == Stage::engine ? node.resource + flights_[chunk.flight].engine : node.resource];
      if (bytes != r.last_bytes) {
        r.last_bytes = bytes;
        r.last_service = fabric.service(r, bytes);
      }
      const std::int64_t service = r.last_service;
      start = std::max(time, r.free);
      end = start + service;
      latency = r.latency;
      r.free = end;
      r.busy += service;
      r.bytes += bytes;
      if (recorder != nullptr && node.stage != Stage::engine)
        recorder->use(flights_[chunk.flight].activity, node.resource, start, end, bytes);
    }
    if (node.stage == Stage::memory && node.children > 0) {
      // A chunk that a cache has does not overtake one that comes from memory: chunks of a transfer arrive in order.
      Flight& flight = flights_[chunk.flight];
      latency = std::max(latency, flight.ordered - start);
      flight.ordered = start + latency;
    }
    const std::int64_t charged = node.memory_cause ? 1 : 0;
    const std::int64_t start_memory = chunk.memory + charged * (start - time);
    std::int64_t left = end, left_memory = chunk.memory + charged * (end - time);
    bool entered = false;
    if (node.stage == Stage::memory || node.stage == Stage::engine) {  // paths begin there, and nowhere else
      Flight& flight = flights_[chunk.flight];
      entered = chunk.node == fabric.paths[flight.path].root;
      if (entered) {
        flight.entry = end;
        flight.entry_memory = left_memory;
      }
    }
    if (!entered && chunk.tail > end) {
      left = chunk.tail;
      left_memory = chunk.tail_memory;
    }
    const std::uint32_t this_flight = chunk.flight;
    if (node.children == 0) {
      leave(chunk.flight, chunk.number, left, left_memory, latency, node.memory_cause);
      if (entered) try_enter(this_flight);
      return;
    }
    chunk.memory = start_memory + charged * latency;
    chunk.tail = left + latency;
    chunk.tail_memory = left_memory + charged * latency;
    const std::int64_t arrival = start + latency;
    const std::uint32_t here = chunk.node;
    bool go_on = false;
    Event next;
    for (std::uint32_t c = node.first_child + node.children; c-- > node.first_child;) {
      chunk.node = c;
      next = at_stage(event, arrival, c - here);
      // Nobody can come between, or this stage took no time: no need to wait for the event. (In the second case it would even be wrong:
      // the next chunk enters at the same instant and could be drawn first.)
      if (fabric.feeds_in_order[fabric.nodes[c].resource] != 0 || arrival == now_) {
        if (c == node.first_child) {
          go_on = true;
        } else {
          pass_from(chunk, next);
        }
        continue;
      }
      events_.push_chunk(next, chunk, start != time);
    }
    if (entered) try_enter(this_flight);
    if (!go_on) return;
    event = next;
  }
}

void Engine::leave(std::uint32_t number, std::uint32_t chunk, std::int64_t time, std::int64_t memory, std::int64_t latency,
                   bool memory_cause) {
  Flight& flight = flights_[number];
  Leaving& leaving = leaving_[number * window_ + chunk % window_];
  if (time >= leaving.time) {
    leaving.time = time;
    leaving.memory = memory;
  }
  const bool last = chunk + 1 == flight.chunks;
  if (time + latency >= flight.done_at) {
    flight.done_at = time + latency;
    flight.done_memory = memory + (memory_cause ? latency : 0);
  }
  if (--leaving.leaves > 0) return;
  ++flight.left;
  if (flight.waits_for_window) try_enter(number);
  if (!last) return;
  log_[flight.activity].account = flight.done_memory;
  events_.push(Event::make(flight.done_at, flight.actor, EventKind::transfer, flight.number % ChunkTie::kFlights, number % Event::kPlaces),
               false);
}

void Engine::end_transfer(std::uint32_t number) {
  Flight& flight = flights_[number];
  const std::uint32_t a = flight.actor, activity = flight.activity;
  ActorState& s = actors_[a];
  const ActorPlan& plan = plans_[s.plan];
  ContextState& context = contexts_[plan.context];
  note_end(activity, context);
  if (recorder != nullptr) record_end(activity, a, (flight.chunks - std::int64_t{1}) * chunk_ + flight.last_bytes);
  ++context.run.firings;
  ++context.run.transfers;
  ++context.run.events;
  totals.mover_busy[plan.unit_class] += now_ - log_[activity].begin;
  MoverState& mover = movers_[s.unit];
  --mover.in_flight[flight.engine];
  ++mover.free;
  flight.done = true;
  wake_one(mover.waiting, activity);
  if (s.issue != kNone) request_command(s.issue, activity);
  pop_flights(a, activity);
}

/// Tokens are given and taken in the order of firings: a transfer that overtook another one waits for it.
void Engine::pop_flights(std::uint32_t a, std::uint32_t cause) {
  ActorState& s = actors_[a];
  const ActorPlan& plan = plans_[s.plan];
  FlightList& list = flight_lists_[s.flights];
  std::int64_t* index = variables_.from(list.variables);
  reference_fired_ |= a == reference_;
  while (list.head != kNone && flights_[list.head].done) {
    const std::uint32_t number = list.head;
    list.head = flights_[number].next;
    if (flights_[number].number < ChunkTie::kFlights) list.used &= ~(1u << flights_[number].number);
    for (std::uint32_t n = flights_[number].free_after + 1; n > 0; --n) {
      retire(s, plan, list.at, index, cause);
      if (!odometer_step(list.at, plan.trips, index)) {
        flight_slots_.give(number);
        return finish(a, cause);
      }
    }
    flight_slots_.give(number);
  }
}

}  // namespace switchyard::simulation::timing
