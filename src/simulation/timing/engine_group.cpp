// The life of the contexts of a group: when their early actors start, what stands before the others, when they end.
#include <algorithm>

#include "program/instance.h"
#include "simulation/timing/engine.h"
#include "simulation/timing/recorder.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

bool has_early_actors(const program::Context& context) {
  return std::any_of(context.actors.begin(), context.actors.end(), [&](const program::Actor& actor) {
    return actor.early && actor.kind == program::ActorKind::move && !context.arrays[actor.array.index()].dynamic;
  });
}

std::uint32_t early_from(const program::Context& context) {
  std::uint32_t after = 0;
  for (const program::ContextId c : context.early_after) after = std::max(after, static_cast<std::uint32_t>(c.index()) + 1);
  return after;
}

void Engine::begin_group(const Group& group) {
  now_ = skipped_ = played_ = 0;
  jumps_.clear();
  captured_at_ = 0;
  reference_ = kNone;
  reference_fired_ = too_many_ = too_long_ = boundary_ = false;
  levels_.clear();
  origin_ = group.origin;
  if (group.first == 0) launched_at_ = origin_;
  preludes_ = group.preludes;
  running_ = built_ = 0;
  ended_ = false;
  plans_.clear();
  kinds_.clear();
  arrays_.clear();
  actors_.clear();
  variables_.clear();
  ports_.clear();
  feeds_.clear();
  ring_feeds_.clear();
  outlets_.clear();
  guards_.clear();
  feed_rules_.clear();
  rings_.clear();
  flight_lists_.clear();
  issues_.clear();
  units_.clear();
  movers_.clear();
  flights_.clear();
  flight_slots_.clear();
  leaving_.clear();
  cores_.clear();
  idle_cores_.clear();
  freed_slots_.clear();
  dirty_.clear();
  lowest_dirty_ = dirty_count_ = 0;
  events_.clear();
  log_.clear();
  last_activity_ = kNone;
  unit_classes_.assign(chip_.units.size(), {});
  core_at_.assign(chip_.components.size(), {});
  unit_at_.assign(chip_.units.size(), {});
  mover_at_.assign(chip_.movers.size(), {});

  first_ = group.first;
  shift_ = 0;
  runs_.assign(group.preludes.size(), {});
  contexts_.assign(group.preludes.size(), {});
  early_starts_.assign(group.preludes.size() + 1, {});
  for (std::uint32_t c = 0; c < group.preludes.size(); ++c) {
    const program::Context& context = program_.contexts[first_ + c];
    if (!has_early_actors(context)) continue;
    const std::uint32_t after = std::min(early_from(context), first_ + c);
    early_starts_[after > first_ ? after - first_ : 0].push_back(c);
  }
  prepare_boundaries();
  fabric.begin_context();
  window_from_ = 0;
  window_served_ = served();
  if (cache_) cache_->begin_contexts({program_.contexts.data() + group.first, contexts_.size()});
}

/// Tells the recorder of a firing or a command of an actor that has ended now.
void Engine::record_end(std::uint32_t activity, std::uint32_t a, std::int64_t amount) const {
  const ActorState& s = actors_[a];
  const ActorPlan& plan = plans_[s.plan];
  const Activity& what = log_[activity];
  const Recording::Kind kind = what.what == Activity::kIssue ? Recording::Kind::issue
                               : plan.moves                  ? Recording::Kind::transfer
                                                             : Recording::Kind::compute;
  recorder->slice(activity,
                  {Picoseconds(what.begin), Picoseconds(now_), kind, first_ + plan.context,
                   static_cast<std::uint32_t>(plan.actor - contexts_[plan.context].context->actors.data()), component_of(plan, s), amount});
}

Result<GroupRun> Engine::play_group(const Group& group) {
  begin_group(group);
  if (recorder != nullptr) recorder->begin_group(group.origin);
  SY_TRY(const Done early, start_early(kNone));
  (void)early;
  if (auto failed = begin_prelude(kNone); !failed) return failed.failure();
  if (auto failure = play()) return *failure;
  if (recorder != nullptr) recorder->end_group();
  if (cache_) cache_->end_context(group.dead);
  GroupRun run;
  run.makespan = now_ + skipped_;
  run.played = played_;
  attribute(run);
  run.contexts = runs_;
  return run;
}

/// Early actors of the contexts that wait for no later one than the one that ended just now.
Status Engine::start_early(std::uint32_t cause) {
  for (const std::uint32_t c : early_starts_[running_ + shift_]) {
    SY_TRY(const Done built, build_through(c - shift_));
    (void)built;
    start_actors(c - shift_, true, cause);
    levels_.clear();
  }
  return Done{};
}

/// The next context is due: what it costs to get there, then it starts.
Status Engine::begin_prelude(std::uint32_t cause) {
  const std::uint32_t c = running_;
  ContextState& state = contexts_[c];
  const Prelude& prelude = preludes_[c + shift_];
  const std::uint32_t number = first_ + c + shift_;
  state.run.opens = state.active ? state.run.begin : now_ + skipped_;
  std::int64_t time = now_;
  const auto pass = [&](std::uint32_t what, std::int64_t duration) {
    if (duration == 0) return;
    cause = log_.add(cause, what, time);
    if (recorder != nullptr) {
      const Recording::Kind kind = what == Activity::kLaunch    ? Recording::Kind::launch
                                   : what == Activity::kBarrier ? Recording::Kind::barrier
                                                                : Recording::Kind::reconfigure;
      recorder->slice(cause, {Picoseconds(time), Picoseconds(time + duration), kind, number, Recording::kNone, Recording::kNone, 0});
    }
    time += duration;
    log_[cause].account = c;
    log_[cause].end = time;
  };
  pass(Activity::kLaunch, prelude.launch);
  std::int64_t load = prelude.load;
  if (const auto resident = static_cast<std::size_t>(chip_.context.resident); resident > 1 && load > 0) {
    // Loaded in the background, one configuration after the other, each as soon as one of the resident contexts has made room.
    const std::int64_t room = number >= resident ? ended_at_[number - resident] : launched_at_;
    loaded_at_ = std::max(loaded_at_, room) + load;
    pass(Activity::kBarrier, prelude.barrier);
    load = std::max<std::int64_t>(0, loaded_at_ - origin_ - skipped_ - time);
  } else {
    pass(Activity::kBarrier, prelude.barrier);
  }
  pass(Activity::kSwitch, load + prelude.switching);
  state.cause = cause;
  if (time == now_) return start_context(c);
  events_.push(Event::make(time, Event::kActors + Event::kCores + c, EventKind::context), false);
  return Done{};
}

Status Engine::start_context(std::uint32_t c) {
  SY_TRY(const Done built, build_through(c));
  (void)built;
  ContextState& state = contexts_[c];
  state.started = true;
  const auto note = [&](std::uint32_t& last) {
    if (state.cause != kNone && (last == kNone || log_[last].end < now_)) last = state.cause;
  };
  note(state.last_activity);
  note(last_activity_);
  start_actors(c, false, state.cause);
  choose_reference();
  boundary_ = true;
  if (state.unfinished == 0 && state.undealt == 0) ended_ = true;
  return Done{};
}

void Engine::start_actors(std::uint32_t c, bool early, std::uint32_t cause) {
  ContextState& state = contexts_[c];
  for (std::uint32_t i = state.first_array; i < state.ends.arrays; ++i) {
    ArrayState& array = arrays_[i];
    for (std::uint32_t r = 0; r < array.residents; ++r) {
      if (array.array->dynamic) {
        if (early) continue;
        --state.undealt;
        array.number[r] = array.next++;
        start_resident(i, r, cause);
        continue;
      }
      const std::vector<std::int64_t> coordinates = program::coordinates(*array.array, r);
      for (const std::uint32_t p : array.actors) {
        if (plans_[p].early == early) start_instance(p, r, coordinates, cause);
      }
    }
  }
}

/// What the off-chip memory has served until now: all but what is booked for later.
std::int64_t Engine::served() const {
  const Resource& memory = fabric.resources[fabric.memory(off_chip_)];
  return memory.busy - std::max<std::int64_t>(0, memory.free - now_);
}

/// Bytes of a context's transfers that have begun which the off-chip memory has not served yet: what is not booked there, and as much of
/// what came last as `queued` bytes, which are booked there for later, and taken away here.
std::int64_t Engine::waiting(std::uint32_t context, std::int64_t& queued) const {
  std::int64_t bytes = 0, last = 0;
  for (const Flight& flight : flights_) {
    if (flight.context != context || cache_ || flight.memory_bytes == 0 || flight.done) continue;
    if (flight.fetched < flight.chunks) bytes += (flight.chunks - flight.fetched - std::int64_t{1}) * chunk_ + flight.last_bytes;
    last += std::min<std::int64_t>(flight.fetched, static_cast<std::int64_t>(window_)) * std::max(chunk_, flight.last_bytes);
  }
  last = std::min(last, queued);
  queued -= last;
  return bytes + last;
}

/// The context that runs has ended: what others have moved while it was the next to end, was ahead of them.
void Engine::close_window() {
  ContextRun& run = contexts_[running_].run;
  const std::int64_t served = this->served(), now = now_ + skipped_;
  // Writes are booked where they arrive, with time between them: what is served there later counts in the next window, as far as it has
  // room.
  run.served = std::clamp<std::int64_t>(served - window_served_, 0, now - window_from_);
  window_from_ = now;
  window_served_ = served;
  const Resource& memory = fabric.resources[fabric.memory(off_chip_)];
  const std::int64_t chunk = std::max<std::int64_t>(1, chunk_), each = std::max<std::int64_t>(1, fabric.service(memory, chunk));
  std::int64_t queued = static_cast<std::int64_t>(static_cast<__int128>(std::max<std::int64_t>(0, memory.free - now_)) * chunk / each);
  for (std::uint32_t c = running_ + 1; c < built_; ++c) {
    ContextRun& later = contexts_[c].run;
    std::int64_t moved = later.offchip_read + later.offchip_written;
    if (moved == later.told) continue;
    moved -= std::min(moved - later.told, waiting(c, queued));
    if (moved == later.told && !later.ahead.empty()) continue;  // what has begun, even if nothing of it is served, is told once
    later.ahead.push_back({c - running_, moved - later.told});
    later.told = moved;
  }
}

/// Contexts end in order: the one that runs, and those whose actors were all early ones.
Status Engine::end_contexts() {
  ended_ = false;
  const auto over = [&](const ContextState& c) { return c.started && c.unfinished == 0 && c.undealt == 0; };
  while (running_ + shift_ < runs_.size() && over(contexts_[running_])) {
    const ContextState& state = contexts_[running_];
    const std::uint32_t cause = state.last_activity;
    SY_CHECK(cause == kNone ? now_ == 0 : log_[cause].end == now_, "a context ends with its last activity");
    ended_at_[state.number] = origin_ + now_ + skipped_;
    close_window();
    runs_[running_ + shift_] = state.run;
    give_back(state.ends);
    ++running_;
    choose_reference();
    SY_TRY(const Done early, start_early(cause));
    (void)early;
    if (running_ + shift_ == runs_.size()) break;
    if (auto failed = begin_prelude(cause); !failed) return failed;
  }
  return Done{};
}

void Engine::give_back(const Extents& ends) {
  plans_.drop(ends.plans);
  arrays_.drop(ends.arrays);
  actors_.drop(ends.actors);
  variables_.drop(ends.variables);
  ports_.drop(ends.ports);
  feeds_.drop(ends.feeds);
  ring_feeds_.drop(ends.ring_feeds);
  outlets_.drop(ends.outlets);
  guards_.drop(ends.guards);
  feed_rules_.drop(ends.feed_rules);
  rings_.drop(ends.rings);
  flight_lists_.drop(ends.flight_lists);
  issues_.drop(ends.issues);
}

}  // namespace switchyard::simulation::timing
