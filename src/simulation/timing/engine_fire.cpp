// Firings: what an actor waits for, what it takes and gives, and the compute units.
#include <algorithm>

#include "simulation/timing/engine.h"
#include "simulation/timing/recorder.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

std::uint32_t Engine::demand(const PortPlan& port, const Feed& feed, const std::int64_t* index, bool acquire) const {
  const program::FeedRule& rule = feed_rules_[feed.rule];
  const program::PortRule& p = port.rule;
  if (rule.range.loop >= 0 && !rule.over_window) {
    const std::int64_t i = index[rule.range.loop];
    if (i < rule.range.begin || i >= rule.range.end) return 0;
  }
  if (!p.windowed()) return 1;
  const std::int64_t i = index[p.window_loop];
  std::int64_t begin = acquire ? p.acquired_before(i) : p.released_before(i);
  std::int64_t end = acquire ? p.acquired_through(i) : p.released_through(i);
  begin = std::max(begin, p.first_token);
  end = std::min(end, p.last_token);
  if (rule.over_window) {
    begin = std::max(begin, rule.range.begin);
    end = std::min(end, rule.range.end);
  }
  return static_cast<std::uint32_t>(std::max<std::int64_t>(0, end - begin));
}

bool Engine::costs_nothing(ActorPlan& plan, const ActorState& s, Odometer at, std::uint32_t first) {
  const std::int64_t* index = variables_.from(first) + plan.rank;
  if (!plan.moves) return !plan.always_costs && plan.compute->price(variables(plan, first), at, index).free;
  if (!both_ends(s, plan, at, index)) return true;
  return !plan.move->uniform() && price_of(plan, s, first).payload == 0;
}

bool Engine::tokens_there(std::uint32_t a, ActorState& s, const ActorPlan& plan) {
  const std::int64_t* index = variables_.from(s.variables) + plan.rank;
  for (; s.port < plan.ports.size(); ++s.port, s.feed = 0) {
    const PortPlan& port = plan.ports[s.port];
    if (!port.rule.input || (s.at.first & port.kept) != port.kept || (port.guarded && !port.guard.holds(s.at, index))) continue;
    const PortLinks& links = ports_[s.ports + s.port];
    for (; links.begin + s.feed < links.end; ++s.feed) {
      Feed& feed = feeds_[links.begin + s.feed];
      const std::uint32_t n = feed.plain ? 1 : demand(port, feed, index, true);
      if (n == 0) continue;
      const Ring& ring = rings_[feed.ring];
      if (static_cast<std::int32_t>(ring.produced - feed.acquired - n) >= 0) continue;
      feed.needs = feed.acquired + n;
      feed.waits = true;
      feed.actor = a;
      s.wait = Wait::token;
      s.waits_on = feed.ring;
      return false;
    }
  }
  return true;
}

bool Engine::space_there(std::uint32_t a, ActorState& s, const ActorPlan& plan) {
  const std::int64_t* index = variables_.from(s.variables) + plan.rank;
  for (std::size_t p = 0; p < plan.ports.size(); ++p) {
    const PortPlan& port = plan.ports[p];
    if (port.rule.input || (s.at.first & port.kept) != port.kept || (port.guarded && !port.guard.holds(s.at, index))) continue;
    const PortLinks& links = ports_[s.ports + p];
    for (std::uint32_t o = links.begin; o < links.end; ++o) {
      const Outlet& outlet = outlets_[o];
      if (outlet.guard != kNone && !guards_[outlet.guard].holds(s.at, index)) continue;
      Ring& ring = rings_[outlet.ring];
      if (ring.reserved - ring.freed < ring.depth) continue;
      ring.producer_waits = true;
      ring.producer = a;
      s.wait = Wait::space;
      s.waits_on = outlet.ring;
      return false;
    }
  }
  return true;
}

/// The firing begins as far as tokens and slots go. Ties: the one that came at this very instant and was needed, least id first.
Engine::Ties Engine::take_tokens_and_space(ActorState& s, const ActorPlan& plan) {
  Ties ties;
  s.port = s.feed = 0;
  const std::int64_t* index = variables_.from(s.variables) + plan.rank;
  for (std::size_t p = 0; p < plan.ports.size(); ++p) {
    const PortPlan& port = plan.ports[p];
    if ((s.at.first & port.kept) != port.kept || (port.guarded && !port.guard.holds(s.at, index))) continue;
    const PortLinks& links = ports_[s.ports + p];
    if (port.rule.input) {
      for (std::uint32_t f = links.begin; f < links.end; ++f) {
        Feed& feed = feeds_[f];
        const std::uint32_t n = feed.plain ? 1 : demand(port, feed, index, true);
        if (n == 0) continue;
        if (recorder != nullptr) recorder->takes(feed.ring, feed.acquired, n);
        feed.acquired += n;
        const Ring& ring = rings_[feed.ring];
        if (ring.produced_at == now_ && ring.produced == feed.acquired) ties.token = std::min(ties.token, ring.produced_by);
      }
    } else {
      for (std::uint32_t o = links.begin; o < links.end; ++o) {
        const Outlet& outlet = outlets_[o];
        if (outlet.guard != kNone && !guards_[outlet.guard].holds(s.at, index)) continue;
        Ring& ring = rings_[outlet.ring];
        ++ring.reserved;
        if (ring.freed_at == now_ && ring.reserved - ring.freed == ring.depth) ties.space = std::min(ties.space, ring.freed_by);
      }
    }
  }
  return ties;
}

/// The firing at `at`, `index` ends as far as tokens and slots go.
void Engine::retire(const ActorState& s, const ActorPlan& plan, Odometer at, const std::int64_t* index, std::uint32_t cause) {
  for (std::size_t p = 0; p < plan.ports.size(); ++p) {
    const PortPlan& port = plan.ports[p];
    if ((at.last & port.kept) != port.kept || (port.guarded && !port.guard.holds(at, index))) continue;
    const PortLinks& links = ports_[s.ports + p];
    if (port.rule.input) {
      for (std::uint32_t f = links.begin; f < links.end; ++f) {
        Feed& feed = feeds_[f];
        const std::uint32_t n = feed.plain ? 1 : demand(port, feed, index, false);
        if (n == 0) continue;
        feed.released += n;
        Ring& ring = rings_[feed.ring];
        std::uint32_t freed = feed.released;
        for (std::uint32_t k = 0; k < ring.feed_count && ring.feed_count > 1; ++k) {
          const std::uint32_t other = feeds_[ring_feeds_[ring.first_feed + k]].released;
          if (static_cast<std::int32_t>(other - freed) < 0) freed = other;
        }
        if (freed == ring.freed) continue;
        ring.freed = freed;
        ring.freed_at = now_;
        ring.freed_by = cause;
        if (ring.producer_waits) {
          ring.producer_waits = false;
          wake(ring.producer, cause);
        }
      }
    } else {
      for (std::uint32_t o = links.begin; o < links.end; ++o) {
        const Outlet& outlet = outlets_[o];
        if (outlet.guard != kNone && !guards_[outlet.guard].holds(at, index)) continue;
        Ring& ring = rings_[outlet.ring];
        if (recorder != nullptr) recorder->produced(outlet.ring, ring.produced, cause);
        ++ring.produced;
        ring.produced_at = now_;
        ring.produced_by = cause;
        for (std::uint32_t k = 0; k < ring.feed_count; ++k) {
          Feed& feed = feeds_[ring_feeds_[ring.first_feed + k]];
          if (!feed.waits || static_cast<std::int32_t>(ring.produced - feed.needs) < 0) continue;
          feed.waits = false;
          wake(feed.actor, cause);
        }
      }
    }
  }
}

void Engine::finish(std::uint32_t a, std::uint32_t cause) {
  ActorState& s = actors_[a];
  s.wait = Wait::finished;
  const ActorPlan& plan = plans_[s.plan];
  ArrayState& array = arrays_[plan.array];
  if (array.array->dynamic) {
    const std::uint32_t resident = a - plan.first_instance;
    if (--array.unfinished[resident] == 0 && array.next < array.total) {
      freed_slots_.push_back({plan.array, array.component[resident], resident, cause});
    }
  }
  count_out(plan.context);
  if (a == reference_ && !array.array->dynamic) choose_reference();
}

/// Starts as many firings of an actor as can start now.
void Engine::advance(std::uint32_t a) {
  ActorState& s = actors_[a];
  ActorPlan& plan = plans_[s.plan];
  for (;;) {
    if (s.wait == Wait::running || s.wait == Wait::finished || s.wait == Wait::start) return;
    s.wait = Wait::nothing;
    if (!s.priced) {
      s.free = costs_nothing(plan, s, s.at, s.variables);
      s.priced = true;
    }
    if (!tokens_there(a, s, plan) || !space_there(a, s, plan)) return;
    if (!s.free) {
      if (s.issue != kNone && s.commands == 0) {
        s.wait = Wait::command;
        return;
      }
      std::vector<std::uint32_t>* queue = nullptr;
      if (plan.moves) {
        if (movers_[s.unit].free == 0) queue = &movers_[s.unit].waiting;
      } else if (units_[s.unit].busy) {
        queue = &units_[s.unit].waiting;
      }
      if (queue != nullptr) {
        s.wait = Wait::unit;
        queue->push_back(a);
        return;
      }
      if (!plan.moves) {
        start_compute(a, s, plan);
        return;
      }
      start_transfer(a, s, plan);
    } else {
      const Ties ties = take_tokens_and_space(s, plan);
      if (recorder != nullptr) recorder->begins(kNone);
      const std::uint32_t cause = ties.token != kNone ? ties.token : s.unblocked_by;
      std::int64_t* index = variables_.from(s.variables) + plan.rank;
      if (!plan.moves) {
        retire(s, plan, s.at, index, cause);
      } else if (FlightList& list = flight_lists_[s.flights]; list.head != kNone) {
        ++flights_[list.tail].free_after;
      } else {
        retire(s, plan, list.at, variables_.from(list.variables), cause);
        if (!odometer_step(list.at, plan.trips, variables_.from(list.variables))) return finish(a, cause);
      }
    }
    s.priced = false;
    if (!odometer_step(s.at, plan.trips, variables_.from(s.variables) + plan.rank)) {
      if (!plan.moves) return finish(a, s.unblocked_by);
      s.wait = Wait::running;  // its last transfers are on their way
      return;
    }
  }
}

void Engine::wake_one(std::vector<std::uint32_t>& waiting, std::uint32_t cause) {
  if (waiting.empty()) return;
  const auto first = std::min_element(waiting.begin(), waiting.end());
  const std::uint32_t a = *first;
  *first = waiting.back();
  waiting.pop_back();
  wake(a, cause);
}

/// The new activity of the firing that starts now, with the one that let it start.
std::uint32_t Engine::begin_activity(ActorState& s, const ActorPlan& plan) {
  const Ties ties = take_tokens_and_space(s, plan);
  std::uint32_t before = s.unblocked_by;
  if (ties.token != kNone) {
    before = ties.token;
  } else if (ties.space != kNone) {
    before = ties.space;
  } else if (!plan.moves && units_[s.unit].freed_at == now_) {
    before = units_[s.unit].freed_by;
  } else if (s.issue != kNone && s.commands == 1 && issues_[s.issue].last_at == now_) {
    before = issues_[s.issue].last;
  }
  if (s.issue != kNone) --s.commands;
  SY_CHECK(before == kNone ? now_ == 0 : log_[before].end == now_, "an activity begins when the one that let it start ends");
  s.activity = log_.add(before, s.plan, now_);
  if (recorder != nullptr) recorder->begins(s.activity);
  note_begin(contexts_[plan.context]);
  return s.activity;
}

void Engine::note_end(std::uint32_t activity, ContextState& context) {
  log_[activity].end = now_;
  context.run.end = now_ + skipped_;
  if (context.last_activity == kNone || log_[context.last_activity].end < now_) context.last_activity = activity;
  if (last_activity_ == kNone || log_[last_activity_].end < now_) last_activity_ = activity;
}

void Engine::start_compute(std::uint32_t a, ActorState& s, ActorPlan& plan) {
  const std::uint32_t activity = begin_activity(s, plan);
  const ComputePrice& price = plan.compute->price(variables(plan, s.variables), s.at, variables_.from(s.variables) + plan.rank);
  UnitClass& units = unit_classes_[plan.unit_class];
  units.integral += units.busy * (now_ - units.since);
  units.since = now_;
  ++units.busy;
  log_[activity].account = -units.integral;
  units_[s.unit].busy = true;
  s.wait = Wait::running;
  ContextRun& run = contexts_[plan.context].run;
  for (std::int64_t* macs : {&totals.macs, &run.macs}) *macs += price.macs;
  for (std::int64_t* operations : {&totals.vector_ops, &run.vector_ops}) *operations += price.vector_ops;
  totals.unit_busy[plan.unit_class] += price.duration;
  events_.push(Event::make(now_ + price.duration, a, EventKind::firing), false);
}

void Engine::end_compute(std::uint32_t a) {
  ActorState& s = actors_[a];
  const ActorPlan& plan = plans_[s.plan];
  const std::uint32_t activity = s.activity;
  UnitClass& units = unit_classes_[plan.unit_class];
  units.integral += units.busy * (now_ - units.since);
  units.since = now_;
  --units.busy;
  log_[activity].account += units.integral;
  if (recorder != nullptr) {
    const std::int64_t* at = variables_.from(s.variables) + plan.rank;
    record_end(activity, a, plans_[s.plan].compute->price(variables(plan, s.variables), s.at, at).macs);
  }
  ContextState& context = contexts_[plan.context];
  note_end(activity, context);
  ++context.run.firings;
  ++context.run.events;
  UnitState& unit = units_[s.unit];
  unit.busy = false;
  unit.freed_at = now_;
  unit.freed_by = activity;
  wake_one(unit.waiting, activity);
  if (s.issue != kNone) request_command(s.issue, activity);
  std::int64_t* index = variables_.from(s.variables) + plan.rank;
  retire(s, plan, s.at, index, activity);
  s.priced = false;
  reference_fired_ |= a == reference_;
  if (!odometer_step(s.at, plan.trips, index)) return finish(a, activity);
  wake(a, activity);
}

}  // namespace switchyard::simulation::timing
