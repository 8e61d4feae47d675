// Fast-forward: where the state of everything in flight recurs, whole periods are skipped, and counted as if they had been played.
//
// The step uses only differences of times and of counters, and what depends on indices of loops is constant over ranges of them. So when
// two states are equal but for the time and for how far the actors are, and each actor went on by whole steps of one loop, the same
// happens again until some loop comes to the end of its range. Skipping changes indices and totals; the engine's clock stands still, and
// `skipped_` says by how much the program's is ahead.
#include <algorithm>

#include "program/instance.h"
#include "simulation/timing/counters.h"
#include "simulation/timing/engine.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

namespace {

constexpr std::int64_t kLeastFirings = 32;  ///< of the reference actor: shorter programs gain nothing
constexpr std::size_t kKept = 12;           ///< states remembered per level
constexpr std::uint32_t kPatience = 16;     ///< states without a match before they are taken half as often
constexpr std::uint32_t kRarest = 1u << 16;
constexpr std::size_t kKeptWords = std::size_t{1} << 20;  ///< per level, unless even so few states are larger
constexpr std::size_t kFewest = 3;
constexpr std::int64_t kHorizon = 1 << 16;  ///< positions of a window that are looked at ahead
/// A state of so many words per event played since the last is taken unasked; else only where it looks like one before.
constexpr std::int64_t kWordsPerEvent = 1;
constexpr std::size_t kOutlines = 64;  ///< remembered per level
constexpr std::int64_t kMostTotal = std::int64_t{1} << 62;

}  // namespace

template <class Visit>
void Engine::for_counters(Visit visit) {
  for (std::uint32_t c = running_; c < built_; ++c) {
    for (std::int64_t* counter : contexts_[c].run.counters()) visit(*counter);
  }
  for_totals(visit);
}

Extents Engine::first_in_flight() const { return running_ == 0 ? Extents{} : contexts_[running_ - 1].ends; }

/// The actor whose firings say when to look: the one that has most before it.
void Engine::choose_reference() {
  reference_ = kNone;
  levels_.clear();
  if (!shortcuts_ || cache_ || running_ + shift_ == runs_.size()) return;
  std::int64_t most = kLeastFirings - 1;
  const ContextState& context = contexts_[running_];
  if (!context.started) return;
  for (std::uint32_t p = context.first_plan; p < context.ends.plans; ++p) {
    const ActorPlan& plan = plans_[p];
    const ArrayState& array = arrays_[plan.array];
    if (array.residents == 0 || actors_[plan.first_instance].wait == Wait::finished) continue;
    std::int64_t firings = array.array->dynamic ? 1 + (array.total - array.next) / array.residents : 1;
    for (const std::int64_t trip : plan.trips) {
      if (__builtin_mul_overflow(firings, trip, &firings)) firings = std::numeric_limits<std::int64_t>::max();
    }
    if (firings <= most) continue;
    most = firings;
    reference_ = plan.first_instance;
  }
}

/// A part of the state that is quickly looked at, as one number: what is to come, and when. States that are equal have the same.
std::uint64_t Engine::outline() {
  const std::uint32_t first = first_in_flight().actors;
  std::uint64_t sum = events_.size();
  events_.for_each([&](const Event& event, const Chunk&) {
    const std::uint32_t who = event.who() < Event::kActors ? event.who() - first : event.who();
    std::uint64_t h = (static_cast<std::uint64_t>(event.time() - now_) ^ (std::uint64_t{who} << 34)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 31) ^ static_cast<std::uint64_t>(event.kind())) * 0xc4ceb9fe1a85ec53u;
    sum += h ^ (h >> 29);
  });
  return sum;
}

/// States are large: where few events lie between them, only those are taken that have the outline of one before.
bool Engine::worth_capturing(Level& level) {
  const std::uint64_t now = outline();
  const bool known = std::any_of(levels_.begin(), levels_.end(),
                                 [&](const Level& l) { return std::find(l.outlines.begin(), l.outlines.end(), now) != l.outlines.end(); });
  if (!known && level.outlines.size() < kOutlines) {
    level.outlines.push_back(now);
  } else if (!known) {
    level.outlines[level.next_outline++ % kOutlines] = now;
  }
  return known || (played_ - captured_at_) * kWordsPerEvent >= captured_words_;
}

/// The state of everything in flight, relative to this instant and to how far the actors are.
void Engine::capture(Snapshot& s, bool over_contexts) {
  const Extents from = first_in_flight();
  s.key.clear();
  const auto put = [&](auto v) { s.key.push_back(static_cast<std::uint64_t>(v)); };
  const auto put_waiting = [&](const std::vector<std::uint32_t>& list) {
    put(list.size());
    const std::size_t begin = s.key.size();
    for (const std::uint32_t a : list) put(a - from.actors);
    std::sort(s.key.begin() + static_cast<std::ptrdiff_t>(begin), s.key.end());
  };
  // A time that has passed and what belongs to it do not matter any more.
  const auto put_time = [&](std::int64_t time, std::int64_t memory) {
    put(time >= now_ ? time - now_ + 1 : 0);
    put(time >= now_ ? memory : 0);
  };
  put(built_ - running_);
  put(fabric.changes());
  for (std::uint32_t a = from.actors; a < actors_.end(); ++a) {
    const ActorState& x = actors_[a];
    put((std::uint64_t{x.commands} << 16) | (static_cast<std::uint64_t>(x.wait) << 2) | (x.priced ? 2u : 0u) | (x.free ? 1u : 0u));
    const ActorPlan& plan = plans_[x.plan];
    if (!plan.moves) {
      if (x.wait != Wait::running) continue;
      const UnitClass& units = unit_classes_[plan.unit_class];
      put(log_.size() - x.activity);
      put(log_[x.activity].account + units.integral + units.busy * (now_ - units.since));
      continue;
    }
    for (std::uint32_t f = flight_lists_[x.flights].head; f != kNone; f = flights_[f].next) {
      const Flight& flight = flights_[f];
      put((std::uint64_t{flight.number} << 32) | (flight.number < ChunkTie::kFlights ? 0 : f));
      put(log_.size() - flight.activity);
      put((std::uint64_t{flight.path} << 32) | flight.engine);
      put((std::uint64_t{flight.chunks} << 32) | flight.entered);
      put((std::uint64_t{flight.left} << 34) | (std::uint64_t{flight.free_after} << 2) | (flight.done ? 2u : 0u) |
          (flight.waits_for_window ? 1u : 0u));
      if (flight.done) continue;
      put(now_ - log_[flight.activity].begin);
      for (const std::int64_t v : {flight.last_bytes, flight.memory_whole, flight.memory_last, flight.memory_bytes, flight.write_whole,
                                   flight.write_last, flight.write_bytes}) {
        put(v);
      }
      put_time(flight.done_at, flight.done_memory);
      put_time(flight.entry, flight.entry_memory);
      put_time(flight.ordered, 0);
      for (std::uint32_t w = 0; w < window_; ++w) {
        const Leaving& leaving = leaving_[f * window_ + w];
        put_time(leaving.time, leaving.memory);
        put(leaving.leaves);
      }
    }
    put(~std::uint64_t{0});
  }
  for (std::uint32_t r = from.rings; r < rings_.end(); ++r) {
    const Ring& ring = rings_[r];
    put((std::uint64_t{ring.reserved - ring.freed} << 33) | (std::uint64_t{ring.reserved - ring.produced} << 1) |
        (ring.producer_waits ? 1u : 0u));
    for (std::uint32_t k = 0; k < ring.feed_count; ++k) {
      const Feed& feed = feeds_[ring_feeds_[ring.first_feed + k]];
      put((std::uint64_t{ring.reserved - feed.acquired} << 32) | (ring.reserved - feed.released));
      put(feed.waits ? 1 + std::uint64_t{feed.needs - feed.acquired} : 0);
    }
  }
  for (const UnitState& unit : units_) {
    put(unit.busy ? 1 : 0);
    put_waiting(unit.waiting);
  }
  for (const MoverState& mover : movers_) {
    put(mover.free);
    for (const std::uint32_t n : mover.in_flight) put(n);
    put_waiting(mover.waiting);
  }
  for (const UnitClass& units : unit_classes_) put(units.busy);
  for (const Core& core : cores_) {
    put(core.busy ? (std::uint64_t{log_.size() - core.activity} << 32) | (core.actor - from.actors) : ~std::uint64_t{0});
    put(core.queue.size());
    for (const Core::Request& r : core.queue) put((std::uint64_t{r.context - running_} << 32) | (r.actor - from.actors));
  }
  for (std::uint32_t i = from.issues; i < issues_.end(); ++i) put(issues_[i].through ? 1 : 0);
  for (std::uint32_t i = from.arrays; i < arrays_.end(); ++i) {
    const ArrayState& array = arrays_[i];
    if (!array.array->dynamic) continue;
    put(array.next == array.total ? 1 : 0);
    for (std::uint32_t r = 0; r < array.residents; ++r) {
      put(array.next - array.number[r]);
      put(array.unfinished[r]);
    }
  }
  for (const Resource& r : fabric.resources) put(std::max<std::int64_t>(0, r.free - now_));
  // Who and what, and for chunks the rest; where ties are not told apart, places may matter and must be the same.
  constexpr std::uint64_t kPlace = Event::kPlaces - 1;
  pending_.clear();
  events_.for_each([&](const Event& event, const Chunk& chunk) { pending_.push_back({event, chunk}); });
  std::sort(pending_.begin(), pending_.end(), [](const EventQueue::Item& x, const EventQueue::Item& y) {
    return x.event.key != y.event.key ? x.event.key < y.event.key : x.chunk.node < y.chunk.node;
  });
  for (const auto& [event, chunk] : pending_) {
    put(event.time() - now_);
    const std::uint32_t who = event.who() < Event::kActors ? event.who() - from.actors : event.who();
    put((std::uint64_t{who} << 32) | ((static_cast<std::uint64_t>(event.key) & ~kPlace & 0xfffffffffffu) >> 22));
    if (event.kind() != EventKind::chunk) continue;
    const Flight& flight = flights_[chunk.flight];
    const std::uint32_t stage = chunk.node - fabric.paths[flight.path].root;
    const bool told = flight.number < ChunkTie::kFlights && window_ <= ChunkTie::kChunks && stage < ChunkTie::kStages;
    put(told ? flight.number : (std::uint64_t{event.place()} << 32) | chunk.flight);
    put((std::uint64_t{chunk.number} << 32) | chunk.node);
    put(chunk.memory);
    put_time(chunk.tail, chunk.tail_memory);
  }

  if (over_contexts) {
    const std::int64_t time = now_ + skipped_;
    for (std::uint32_t c = running_; c < built_; ++c) {
      ContextState& context = contexts_[c];
      put((std::uint64_t{classes_[context.number]} << 2) | (context.started ? 2u : 0u) | (context.active ? 1u : 0u));
      put(context.unfinished);
      put(context.undealt);
      put(context.active ? time - context.run.begin : 0);
      put(context.active ? time - context.run.end : 0);
      put(c == running_ ? time - context.run.opens : 0);
      for (const std::int64_t* counter : context.run.counters()) put(*counter);
      put(context.run.ahead.size());
      for (const ContextTiming::Ahead& ahead : context.run.ahead) {
        put(ahead.contexts);
        put(ahead.bytes);
      }
    }
  }
  captured_at_ = played_;
  captured_words_ = static_cast<std::int64_t>(s.key.size());
  s.hash = 0;
  for (const std::uint64_t v : s.key) s.hash = (s.hash ^ v) * 0xff51afd7ed558ccdu, s.hash ^= s.hash >> 31;
  s.time = now_ + skipped_;
  s.clock = now_;
  s.running = running_ + shift_;
  s.log = log_.size();
  s.variables.assign(variables_.from(from.variables), variables_.from(from.variables) + (variables_.end() - from.variables));
  s.dealt.clear();
  for (std::uint32_t i = from.arrays; i < arrays_.end(); ++i) s.dealt.push_back(arrays_[i].next);
  s.counters.clear();
  const auto count = [&](std::int64_t& total) { s.counters.push_back(total); };
  over_contexts ? for_totals(count) : for_counters(count);
}

/// How many more times an odometer can go the way it went from `before` to `after`, at most `most`; `went`: firings on that way.
std::int64_t Engine::repeats(std::uint32_t a, const std::int64_t* before, const std::int64_t* after, std::int64_t& went) {
  const ActorPlan& plan = plans_[actors_[a].plan];
  const std::size_t loops = plan.trips.size();
  std::size_t loop = 0;
  while (loop < loops && before[loop] == after[loop]) ++loop;
  went = 0;
  if (loop == loops) return std::numeric_limits<std::int64_t>::max();
  const std::int64_t step = after[loop] - before[loop];
  if (step < 0 || !std::equal(before + loop + 1, before + loops, after + loop + 1)) return 0;
  went = step;
  for (std::size_t inner = loop + 1; inner < loops; ++inner) went *= plan.trips[inner];
  const std::int64_t end = plain_end(a, loop, before);
  return after[loop] < end ? (end - 1 - after[loop]) / step : 0;
}

/// The first index of the loop, after that of `index`, from which something is different than at that index, whatever inner loops do.
std::int64_t Engine::plain_end(std::uint32_t a, std::size_t loop, const std::int64_t* index) {
  const ActorState& s = actors_[a];
  ActorPlan& plan = plans_[s.plan];
  PlainRange range{loop, index[loop], plan.trips[loop], plan.trips[loop]};
  for (std::size_t p = 0; p < plan.ports.size(); ++p) {
    const PortPlan& port = plan.ports[p];
    if ((port.kept >> loop & 1u) != 0) {
      range.cut(1);
      range.cut(range.trip - 1);
    }
    range.cut(port.guard);
    const bool windowed = port.rule.windowed() && static_cast<std::size_t>(port.rule.window_loop) == loop;
    const PortLinks& links = ports_[s.ports + p];
    for (std::uint32_t l = links.begin; l < links.end; ++l) {
      if (!port.rule.input) {
        if (outlets_[l].guard != kNone) range.cut(guards_[outlets_[l].guard]);
        continue;
      }
      const program::FeedRule& rule = feed_rules_[feeds_[l].rule];
      if (rule.range.loop == static_cast<int>(loop) && !rule.over_window) {
        range.cut(rule.range.begin);
        range.cut(rule.range.end);
      }
      if (!windowed) continue;
      std::vector<std::int64_t> at(index, index + plan.trips.size());
      const std::uint32_t acquires = demand(port, feeds_[l], at.data(), true), releases = demand(port, feeds_[l], at.data(), false);
      range.cut(index[loop] + kHorizon);
      for (++at[loop]; at[loop] < range.end; ++at[loop]) {
        if (demand(port, feeds_[l], at.data(), true) != acquires || demand(port, feeds_[l], at.data(), false) != releases) {
          range.cut(at[loop]);
        }
      }
    }
  }
  std::vector<std::int64_t> values(variables_.from(s.variables), variables_.from(s.variables) + plan.rank);
  values.insert(values.end(), index, index + plan.trips.size());
  if (plan.moves) {
    plan.move->cut(range, values, plan.trips);
  } else {
    plan.compute->cut(range, values, plan.trips);
  }
  return range.end;
}

/// How many more periods will be like the one since `old`.
std::int64_t Engine::periods_left(const Snapshot& old) {
  const Extents from = first_in_flight();
  std::int64_t left = std::numeric_limits<std::int64_t>::max();
  for (std::uint32_t i = from.arrays; i < arrays_.end() && left > 0; ++i) {
    const ArrayState& array = arrays_[i];
    const std::int64_t dealt = array.next - old.dealt[i - from.arrays];
    if (dealt == 0) continue;
    left = std::min(left, (array.total - array.next) / dealt);
    for (const std::uint32_t p : array.actors) {  // every instance must cost the same
      const ActorPlan& plan = plans_[p];
      if (plan.moves ? !plan.move->uniform() : !plan.compute->same_everywhere(plan.rank)) return 0;
    }
  }
  for (std::uint32_t a = from.actors; a < actors_.end() && left > 0; ++a) {
    const ActorState& s = actors_[a];
    if (s.wait == Wait::start || s.wait == Wait::finished) continue;
    const ActorPlan& plan = plans_[s.plan];
    const auto repeats_at = [&](std::uint32_t variables, std::int64_t& went) {
      return repeats(a, old.variables.data() + (variables - from.variables), variables_.from(variables), went);
    };
    std::int64_t fired = 0, other = 0;
    left = std::min(left, repeats_at(s.variables + plan.rank, fired));
    if (plan.moves) {
      left = std::min(left, repeats_at(flight_lists_[s.flights].variables, other));
      if (other != fired) return 0;
    }
    if (s.issue != kNone && !issues_[s.issue].through) {
      left = std::min(left, repeats_at(issues_[s.issue].variables + plan.rank, other));
      if (other != fired) return 0;
    }
    const ArrayState& array = arrays_[plan.array];
    if (fired != 0 && array.next != old.dealt[plan.array - from.arrays]) return 0;
  }
  return left == std::numeric_limits<std::int64_t>::max() ? 0 : left;
}

void Engine::add_repeated(std::int64_t& total, std::int64_t times, std::int64_t amount) {
  std::int64_t all = 0;
  too_long_ |= __builtin_mul_overflow(times, amount, &all) || __builtin_add_overflow(total, all, &total) || total > kMostTotal;
  if (too_long_) total = 0;
}

void Engine::skip(const Snapshot& old, const Snapshot& now, std::int64_t periods) {
  const Extents from = first_in_flight();
  for (std::uint32_t i = from.arrays; i < arrays_.end(); ++i) {
    ArrayState& array = arrays_[i];
    const std::int64_t dealt = periods * (array.next - old.dealt[i - from.arrays]);
    if (dealt == 0) continue;
    array.next += dealt;
    contexts_[array.context].undealt -= dealt;
    for (std::uint32_t r = 0; r < array.residents; ++r) {
      array.number[r] += dealt;
      const auto coordinates = program::coordinates(*array.array, static_cast<std::uint32_t>(array.number[r]));
      for (const std::uint32_t p : array.actors) {
        const ActorState& s = actors_[plans_[p].first_instance + r];
        std::copy(coordinates.begin(), coordinates.end(), variables_.from(s.variables));
        if (s.issue != kNone) std::copy(coordinates.begin(), coordinates.end(), variables_.from(issues_[s.issue].variables));
      }
    }
  }
  for (std::uint32_t a = from.actors; a < actors_.end(); ++a) {
    ActorState& s = actors_[a];
    if (s.wait == Wait::start || s.wait == Wait::finished) continue;
    const ActorPlan& plan = plans_[s.plan];
    const auto turn = [&](Odometer& at, std::uint32_t variables) {
      std::int64_t* index = variables_.from(variables);
      const std::int64_t* before = old.variables.data() + (variables - from.variables);
      for (std::size_t l = 0; l < plan.trips.size(); ++l) {
        if (index[l] == before[l]) continue;
        index[l] += periods * (index[l] - before[l]);
        const std::uint32_t bit = 1u << l;
        at.first = index[l] == 0 ? at.first | bit : at.first & ~bit;
        at.last = index[l] + 1 == plan.trips[l] ? at.last | bit : at.last & ~bit;
        return;
      }
    };
    turn(s.at, s.variables + plan.rank);
    if (plan.moves) turn(flight_lists_[s.flights].at, flight_lists_[s.flights].variables);
    if (s.issue != kNone && !issues_[s.issue].through) turn(issues_[s.issue].at, issues_[s.issue].variables + plan.rank);
  }
  std::size_t n = 0;
  for_counters([&](std::int64_t& total) {
    add_repeated(total, periods, now.counters[n] - old.counters[n]);
    ++n;
  });
  add_repeated(skipped_, periods, now.time - old.time);
  jumps_.push_back({old.log, now.log, periods, now_ - old.clock, 0});
  const std::uint32_t kept = old.log;  // what was taken since then would cut the period that the jump repeats
  for (Level& level : levels_) {
    std::erase_if(level.kept, [&](const Snapshot& s) { return s.log > kept; });
    level.next = 0;
  }
}

/// After an instant in which the reference actor has fired: has everything been like this before?
void Engine::look_back() {
  const ActorState& s = actors_[reference_];
  const ActorPlan& plan = plans_[s.plan];
  std::size_t wrapped = 0;  // loops that stand at their beginning, from the innermost on
  while (wrapped < plan.trips.size() && (s.at.first >> (plan.trips.size() - 1 - wrapped) & 1u) != 0) ++wrapped;
  if (levels_.size() <= wrapped) levels_.resize(wrapped + 1);
  if (++levels_[wrapped].seen < levels_[wrapped].stride) return;
  levels_[wrapped].seen = 0;
  Level& level = levels_[wrapped];
  const auto miss = [&] {
    if (++level.misses % kPatience == 0) level.stride = std::min(2 * level.stride, kRarest);
  };
  if (!worth_capturing(level)) return miss();
  Snapshot now = std::move(spare_);
  capture(now, false);
  const Snapshot* like = nullptr;
  std::int64_t periods = 0;
  for (const Level& l : levels_) {
    for (const Snapshot& old : l.kept) {
      if (old.hash != now.hash || old.key != now.key || old.log == now.log) continue;
      if (const std::int64_t left = periods_left(old); left > 0 && (like == nullptr || old.log > like->log)) {
        like = &old;
        periods = left;
      }
    }
  }
  if (like != nullptr) {
    level.stride = 1;
    level.misses = 0;
    skip(*like, now, periods);
    spare_ = std::move(now);
    return;
  }
  miss();
  const std::size_t most = std::clamp(kKeptWords / (now.key.size() + now.variables.size() + 1), kFewest, kKept);
  if (level.kept.size() < most) {
    level.kept.push_back(std::move(now));
    spare_ = {};
    return;
  }
  level.next = level.next % static_cast<std::uint32_t>(level.kept.size());
  spare_ = std::move(level.kept[level.next]);
  level.kept[level.next++] = std::move(now);
}

}  // namespace switchyard::simulation::timing
