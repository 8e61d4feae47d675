// Engine: plays the firings and transfers of a group of contexts, event by event, and explains where the time went.
//
// At each instant all completions come first, then every actor that might start, in the order of actor instances. An actor waits for one
// thing at a time, the first that is missing of: tokens, space, command, unit. Whatever satisfies it wakes it and becomes, when the
// firing then starts, the activity that let it start. The step uses only differences of times and of counters.
//
// A group is a run of contexts that early actors link; they start one after the other, and only early actors run before their context.
// Contexts are laid out when their first actor starts and given back when they have ended; numbers of actors grow from context to context,
// so that ties go to the earlier one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "program/program.h"
#include "simulation/timing.h"
#include "simulation/timing/activity.h"
#include "simulation/timing/cache.h"
#include "simulation/timing/event_queue.h"
#include "simulation/timing/fabric.h"
#include "simulation/timing/sliding.h"
#include "simulation/timing/slots.h"
#include "simulation/timing/state.h"

namespace switchyard::simulation::timing {

class Recorder;

/// Totals over the contexts run so far.
struct Totals {
  std::int64_t offchip_read = 0, offchip_written = 0, offchip_constants = 0;
  std::int64_t network_bytes = 0, link_bytes = 0;
  std::int64_t macs = 0, vector_ops = 0;
  std::vector<std::int64_t> unit_busy;   ///< per class of units
  std::vector<std::int64_t> mover_busy;  ///< per class of movers, start-up included
  std::vector<std::int64_t> mover_bytes;
};

/// What it costs to begin a context, besides its actors.
struct Prelude {
  std::int64_t launch = 0, barrier = 0, switching = 0;
  std::int64_t load = 0;  ///< of its configuration, and then `resident` contexts may be loaded at once
};

/// Contexts of the program from `first` on, and what stands before each of them.
struct Group {
  std::uint32_t first = 0;
  std::int64_t origin = 0;  ///< when it begins
  std::vector<Prelude> preludes;
  std::vector<program::BufferId> dead;  ///< buffers that no later group uses
};

struct GroupRun {
  std::int64_t makespan = 0;
  std::int64_t played = 0;  ///< events
  std::vector<ContextRun> contexts;
};

/// Whether some actors start before the context, and how many contexts must have ended then.
bool has_early_actors(const program::Context& context);
std::uint32_t early_from(const program::Context& context);

class Engine {
 public:
  /// `shortcuts`: skip what would be played again just like before; `classes`: of the program's contexts, on chips without a cache.
  Engine(const program::Program& program, Fabric& fabric, std::int64_t chunk, bool shortcuts, std::vector<std::uint32_t> classes);
  Result<GroupRun> run(const Group& group);

  Recorder* recorder = nullptr;  ///< told all that happens; only where nothing is skipped
  Totals totals;
  /// Bytes that were written and are only in the cache; between groups.
  [[nodiscard]] std::int64_t cache_dirty() const { return cache_ ? cache_->dirty() : 0; }
  Fabric& fabric;

 private:
  // engine_group.cpp
  Result<GroupRun> play_group(const Group& group);
  void record_end(std::uint32_t activity, std::uint32_t a, std::int64_t amount) const;
  void begin_group(const Group& group);
  Status start_early(std::uint32_t cause);
  Status begin_prelude(std::uint32_t cause);
  Status start_context(std::uint32_t context);
  void start_actors(std::uint32_t context, bool early, std::uint32_t cause);
  Status end_contexts();
  [[nodiscard]] std::int64_t served() const;
  void close_window();
  [[nodiscard]] std::int64_t waiting(std::uint32_t context, std::int64_t& queued) const;
  void give_back(const Extents& ends);
  void count_out(std::uint32_t context) {
    ContextState& c = contexts_[context];
    if (--c.unfinished == 0 && c.undealt == 0) ended_ = true;
  }
  // engine_build.cpp
  Status build_through(std::uint32_t context);
  Status build(std::uint32_t context);
  Status build_arrays(std::uint32_t context);
  Status build_actor(std::uint32_t context, std::uint32_t actor);
  Status build_channels(std::uint32_t context);
  void build_state(ActorPlan& plan, std::uint32_t plan_number);
  void bind_path(std::uint32_t instance, std::uint32_t first_ring, const std::vector<std::uint32_t>& ring_component,
                 const std::vector<std::uint32_t>& ring_instance);
  std::uint32_t core_of(chip::ComponentId component, std::uint32_t instance);
  std::uint32_t unit_of(ActorPlan& plan, std::uint32_t component);
  void start_resident(std::uint32_t array, std::uint32_t resident, std::uint32_t cause);
  void start_instance(std::uint32_t plan, std::uint32_t resident, std::span<const std::int64_t> coordinates, std::uint32_t cause);
  // engine_fire.cpp
  void advance(std::uint32_t a);
  bool costs_nothing(ActorPlan& plan, const ActorState& s, Odometer at, std::uint32_t variables);
  [[nodiscard]] std::span<const std::int64_t> variables(const ActorPlan& plan, std::uint32_t first) const {
    return {variables_.from(first), plan.rank + plan.trips.size()};
  }
  bool tokens_there(std::uint32_t a, ActorState& s, const ActorPlan& plan);
  bool space_there(std::uint32_t a, ActorState& s, const ActorPlan& plan);
  struct Ties {  // activities that ended just now and were needed
    std::uint32_t token = kNone, space = kNone;
  };
  Ties take_tokens_and_space(ActorState& s, const ActorPlan& plan);
  void retire(const ActorState& s, const ActorPlan& plan, Odometer at, const std::int64_t* index, std::uint32_t cause);
  void finish(std::uint32_t a, std::uint32_t cause);
  void start_compute(std::uint32_t a, ActorState& s, ActorPlan& plan);
  std::uint32_t begin_activity(ActorState& s, const ActorPlan& plan);
  void end_compute(std::uint32_t a);
  std::uint32_t demand(const PortPlan& port, const Feed& feed, const std::int64_t* index, bool acquire) const;
  void wake(std::uint32_t a, std::uint32_t cause) {
    ActorState& s = actors_[a];
    s.wait = Wait::nothing;
    s.unblocked_by = cause;
    mark(a);
  }
  void mark(std::uint32_t a) {
    const std::uint64_t bit = std::uint64_t{1} << (a & 63);
    if ((dirty_[a >> 6] & bit) != 0) return;
    dirty_[a >> 6] |= bit;
    ++dirty_count_;
    lowest_dirty_ = (a >> 6) < lowest_dirty_ ? (a >> 6) : lowest_dirty_;
  }
  void wake_one(std::vector<std::uint32_t>& waiting, std::uint32_t cause);
  void note_begin(ContextState& context) {
    if (!context.active) context.run.begin = now_ + skipped_, context.active = true;
  }
  void note_end(std::uint32_t activity, ContextState& context);
  // engine_transfer.cpp
  [[nodiscard]] bool both_ends(const ActorState& s, const ActorPlan& plan, Odometer at, const std::int64_t* index) const;
  [[nodiscard]] std::uint32_t component_of(const ActorPlan& plan, const ActorState& s) const;
  const MovePrice& price_of(ActorPlan& plan, const ActorState& s, std::uint32_t first);
  void start_transfer(std::uint32_t a, ActorState& s, ActorPlan& plan);
  std::uint32_t path_of(const ActorPlan& plan, const MovePrice& price, std::uint32_t component);
  void charge_memories(const ActorPlan& plan, const MovePrice& price, Flight& flight);
  void enter(std::uint32_t flight, std::int64_t time, std::int64_t memory);
  void try_enter(std::uint32_t flight);
  void pass(const EventQueue::Item& item);
  void pass_from(Chunk chunk, Event event);
  void leave(std::uint32_t flight, std::uint32_t number, std::int64_t time, std::int64_t memory, std::int64_t latency, bool memory_cause);
  void end_transfer(std::uint32_t flight);
  void pop_flights(std::uint32_t a, std::uint32_t cause);
  // engine_run.cpp
  std::optional<Failure> play();
  void request_command(std::uint32_t issue, std::uint32_t cause);
  void serve_core(std::uint32_t core);
  void end_issue(std::uint32_t core);
  void deal();
  Failure too_large(std::uint32_t context) const;
  Failure too_long(std::uint32_t context) const;
  Failure deadlock() const;
  std::string describe(std::uint32_t a) const;
  // engine_forward.cpp
  struct Snapshot {  ///< what must recur, and how far everything was then
    std::vector<std::uint64_t> key;
    std::uint64_t hash = 0;
    std::int64_t time = 0, clock = 0;  ///< of the group; of the engine
    std::uint32_t log = 0, running = 0;
    std::vector<std::int64_t> variables, dealt, counters;
  };
  struct Level {  ///< states at which equally many loops of the reference actor began
    std::vector<Snapshot> kept;
    std::uint32_t next = 0, stride = 1, seen = 0, misses = 0;
    std::vector<std::uint64_t> outlines;  ///< of states, not all of which were taken
    std::uint32_t next_outline = 0;
  };
  template <class Visit>
  void for_totals(Visit visit);
  template <class Visit>
  void for_counters(Visit visit);
  [[nodiscard]] std::vector<std::int64_t> key_of(const Group& group) const;
  [[nodiscard]] Extents first_in_flight() const;
  void choose_reference();
  [[nodiscard]] std::uint64_t outline();
  bool worth_capturing(Level& level);
  void capture(Snapshot& s, bool over_contexts);
  std::int64_t repeats(std::uint32_t a, const std::int64_t* before, const std::int64_t* after, std::int64_t& went);
  std::int64_t plain_end(std::uint32_t a, std::size_t loop, const std::int64_t* index);
  std::int64_t periods_left(const Snapshot& old);
  void prepare_boundaries();
  [[nodiscard]] std::uint32_t context_periods_left(const Snapshot& old) const;
  void look_back_over_contexts();
  void skip_contexts(const Snapshot& old, const Snapshot& now, std::uint32_t periods);
  void add_repeated(std::int64_t& total, std::int64_t times, std::int64_t amount);
  void skip(const Snapshot& old, const Snapshot& now, std::int64_t periods);
  void look_back();
  // engine_attribute.cpp
  struct Jump {  ///< the activities [from, until) came again `count` times before the next ones
    std::uint32_t from = 0, until = 0;
    std::int64_t count = 0, period = 0;
    std::uint32_t contexts = 0;  ///< in a period; 0: it is a part of one
  };
  struct Step {  ///< of the walk back: an activity, and how it ended; that may have been in a later repetition than it began in
    std::uint32_t activity = kNone;
    std::int64_t end = 0, account = 0;
    std::uint32_t shift = 0;  ///< its context is that of its plan and so many more
    bool operator==(const Step&) const = default;
  };
  void account(const Step& step, std::int64_t times);
  Step walk(Step step, std::size_t jumps, std::uint32_t floor, std::int64_t times);
  Step walk_jump(std::size_t jump, Step step, std::int64_t times);
  void attribute(const GroupRun& run);

  const program::Program& program_;
  const chip::Chip& chip_;
  std::int64_t chunk_, now_ = 0;
  std::uint32_t window_ = 2;
  std::optional<CacheModel> cache_;
  chip::MemoryId cached_memory_, off_chip_;

  // Contexts are numbered as they are played; those of the group, to which runs and preludes belong, are ahead by those skipped so far.
  std::vector<ContextState> contexts_;
  std::vector<ContextRun> runs_;
  std::vector<Prelude> preludes_;
  std::uint32_t first_ = 0;                               ///< of the group, in the program
  std::uint32_t shift_ = 0;                               ///< contexts skipped
  std::uint32_t running_ = 0;                             ///< contexts before it have ended
  std::uint32_t built_ = 0;                               ///< contexts before it have been laid out
  std::vector<std::vector<std::uint32_t>> early_starts_;  ///< by the number of contexts that have ended
  std::vector<std::int64_t> ended_at_;                    ///< contexts of the program; like the next two, from its beginning
  std::int64_t window_from_ = 0, window_served_ = 0;      ///< when the context before ended, and what the off-chip memory had served
  std::int64_t launched_at_ = 0, loaded_at_ = 0;          ///< the program; the configuration loaded last
  std::int64_t origin_ = 0;
  bool too_long_ = false;  ///< some total has become too large
  bool too_many_ = false;  ///< transfers or chunks under way
  bool ended_ = false;     ///< some context has no actor left that could fire

  Sliding<ActorPlan> plans_;
  std::vector<ActivityKind> kinds_;  ///< per plan, kept to the end of the group
  Sliding<ArrayState> arrays_;
  Sliding<ActorState> actors_;
  Sliding<std::int64_t> variables_;
  Sliding<PortLinks> ports_;
  Sliding<Feed> feeds_;
  Sliding<std::uint32_t> ring_feeds_;
  Sliding<Outlet> outlets_;
  Sliding<GuardPlan> guards_;
  Sliding<program::FeedRule> feed_rules_;
  Sliding<Ring> rings_;
  Sliding<FlightList> flight_lists_;
  Sliding<IssueState> issues_;
  std::vector<UnitState> units_;
  std::vector<MoverState> movers_;
  std::vector<UnitClass> unit_classes_;
  std::vector<std::vector<std::uint32_t>> unit_at_, mover_at_, core_at_;  ///< per class, per component instance
  std::vector<Flight> flights_;
  Slots flight_slots_;
  std::vector<Leaving> leaving_;  ///< window_ per flight
  std::vector<Core> cores_;
  std::vector<std::uint32_t> idle_cores_;  ///< with requests that came at this instant
  std::vector<FreedSlot> freed_slots_;
  std::vector<std::uint64_t> dirty_;
  std::size_t lowest_dirty_ = 0, dirty_count_ = 0;
  EventQueue events_;
  ActivityLog log_;
  std::int64_t issue_time_ = 0;
  std::uint32_t last_activity_ = kNone;

  struct KnownGroup {
    GroupRun run;
    std::vector<std::int64_t> totals;  ///< what it added, by total
  };
  bool shortcuts_ = true;
  std::vector<std::uint32_t> classes_;  ///< of contexts that are alike
  std::map<std::vector<std::int64_t>, KnownGroup> known_;
  std::uint32_t reference_ = kNone;  ///< actor instance
  bool reference_fired_ = false;
  std::int64_t played_ = 0;
  std::int64_t skipped_ = 0;  ///< by which the group's time is ahead of now_
  std::vector<Level> levels_;
  Snapshot spare_;
  std::int64_t captured_at_ = 0, captured_words_ = 0;  ///< events played until the last state was taken; how large that was
  std::vector<EventQueue::Item> pending_;
  bool boundary_ = false;                  ///< a context has started at this instant
  std::vector<std::uint32_t> boundaries_;  ///< per context of the group: equal where the same starts when it starts; empty: not asked for
  std::vector<Snapshot> at_boundaries_;
  std::vector<Jump> jumps_;  ///< by `until`; nested or apart
};

}  // namespace switchyard::simulation::timing
