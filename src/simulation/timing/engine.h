// ContextEngine: plays the firings and transfers of one context at a time, event by event, and explains where the time went.
//
// At each instant all completions come first, then every actor that might start, in the order of actor instances. An actor waits for one
// thing at a time, the first that is missing of: tokens, space, command, unit. Whatever satisfies it wakes it and becomes, when the
// firing then starts, the activity that let it start. The step uses only differences of times and of counters.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "program/program.h"
#include "program/sequence.h"
#include "simulation/timing.h"
#include "simulation/timing/activity.h"
#include "simulation/timing/cache.h"
#include "simulation/timing/cost.h"
#include "simulation/timing/event_heap.h"
#include "simulation/timing/fabric.h"
#include "simulation/timing/odometer.h"

namespace switchyard::simulation::timing {

/// Totals over the contexts run so far.
struct Totals {
  std::int64_t offchip_read = 0, offchip_written = 0, offchip_constants = 0;
  std::int64_t network_bytes = 0, link_bytes = 0;
  std::int64_t macs = 0, vector_ops = 0;
  std::vector<std::int64_t> unit_busy;   ///< per class of units
  std::vector<std::int64_t> mover_busy;  ///< per class of movers, start-up included
  std::vector<std::int64_t> mover_bytes;
};

/// What one run of a context gave; times count from its beginning.
struct ContextRun {
  std::int64_t makespan = 0;
  std::array<std::int64_t, 6> attribution{};
  std::int64_t firings = 0, transfers = 0, events = 0;
};

class ContextEngine {
 public:
  ContextEngine(const program::Program& program, std::int64_t chunk);
  /// `dead`: buffers that no later context uses.
  Result<ContextRun> run(const program::Context& context, std::span<const program::BufferId> dead);

  Totals totals;
  /// Bytes that were written and are only in the cache; between contexts.
  [[nodiscard]] std::int64_t cache_dirty() const { return cache_ ? cache_->dirty() : 0; }
  Fabric fabric;

 private:
  // ---- what is the same for all instances of an actor
  struct PortPlan {
    program::PortRule rule;
    std::uint32_t kept = 0;
    GuardPlan guard;
    bool guarded = false;
    bool data = true;  ///< its tokens have elements
  };
  struct ActorPlan {
    const program::Actor* actor = nullptr;
    std::uint32_t array = 0;
    bool moves = false, issued = false;
    bool always_costs = false;  ///< every firing is known to cost something
    std::uint16_t rank = 0;     ///< coordinates before the loops in the variables
    std::uint32_t first_instance = 0;
    std::uint32_t unit_class = 0;  ///< unit or mover of the chip
    std::int64_t queue_depth = 1, startup = 0;
    std::vector<std::int64_t> trips;
    std::vector<PortPlan> ports;
    std::optional<ComputeCosts> compute;
    std::optional<MoveCosts> move;
  };

  // ---- what each instance needs
  enum class Wait : std::uint8_t { nothing, token, space, command, unit, running, finished };
  struct ActorState {  // hot: one cache line
    Odometer at;
    std::uint32_t plan = 0;
    std::uint32_t variables = 0;  ///< coordinates, then loop indices
    std::uint32_t ports = 0;      ///< first PortLinks
    std::uint32_t unit = kNone;   ///< UnitState or MoverState
    std::uint32_t unblocked_by = kNone;
    std::uint32_t activity = kNone;  ///< of the running firing
    std::uint32_t path = kNone;      ///< movers
    std::uint32_t flights = kNone;   ///< movers: FlightList
    std::uint32_t issue = kNone;     ///< IssueState
    std::uint32_t commands = 0;      ///< issued and not yet used
    std::uint32_t waits_on = kNone;  ///< ring or unit, for messages
    Wait wait = Wait::nothing;
    bool priced = false, free = false;
  };
  struct PortLinks {
    std::uint32_t begin = 0, end = 0;  ///< feeds_ (inputs) or outlets_ (outputs)
  };
  struct Feed {
    std::uint32_t ring = kNone;
    std::uint32_t acquired = 0, released = 0;
    std::uint32_t needs = 0;  ///< while `waits`: produced must reach it
    std::uint32_t actor = kNone;
    std::uint32_t rule = 0;  ///< index into feed_rules_
    bool plain = false;      ///< takes every position of the port
    bool waits = false;
  };
  struct Outlet {
    std::uint32_t ring = kNone;
    std::uint32_t guard = kNone;  ///< index into guards_; kNone: every token
  };
  struct Ring {
    std::uint32_t reserved = 0, produced = 0, freed = 0, depth = 1;
    std::uint32_t producer = kNone;
    std::uint32_t first_feed = kNone, feed_count = 0;  ///< in ring_feeds_
    std::uint32_t channel = 0;
    std::uint32_t produced_by = kNone, freed_by = kNone;
    std::int64_t produced_at = -1, freed_at = -1;
    std::uint32_t initial = 0;
    bool producer_waits = false;
  };
  struct UnitState {
    std::int64_t freed_at = -1;
    std::uint32_t freed_by = kNone;
    bool busy = false;
    std::vector<std::uint32_t> waiting;
  };
  struct MoverState {
    std::uint32_t first_engine = 0;        ///< resource
    std::vector<std::uint32_t> in_flight;  ///< per engine
    std::uint32_t free = 0;
    std::vector<std::uint32_t> waiting;
  };
  struct UnitClass {  // for imbalance
    std::int64_t units = 0, busy = 0, since = 0, integral = 0;
  };
  struct FlightList {  // transfers of one actor instance retire in the order in which they began
    Odometer at;
    std::uint32_t variables = 0;  ///< loop indices of the next to retire
    std::uint32_t head = kNone, tail = kNone;
  };
  struct Flight {
    std::uint32_t actor = 0, activity = 0, path = 0, next = kNone;
    std::uint32_t engine = 0, chunks = 0, entered = 0, left = 0;  ///< left: chunks whose time of leaving is known
    std::uint32_t free_after = 0;                                 ///< firings that cost nothing and follow this one
    bool done = false, waits_for_window = false;
    std::int64_t last_bytes = 0;
    std::int64_t memory_whole = 0, memory_last = 0, memory_bytes = 0;  ///< service of the reading memory stage per chunk; bytes in all
    std::int64_t write_whole = 0, write_last = 0, write_bytes = 0;
    std::int64_t done_at = 0, done_memory = 0;
    std::int64_t ordered = 0;                  ///< no chunk arrives behind the reading memory stage before this
    std::int64_t entry = 0, entry_memory = 0;  ///< when the next chunk may enter the first stage, as far as that stage goes
  };
  struct Leaving {  // of one chunk in the window of a flight
    std::int64_t time = 0, memory = 0;
    std::uint32_t leaves = 0;
  };
  struct Chunk {  // on its way to a stage
    std::uint32_t flight = 0, node = 0, number = 0, next_free = kNone;
    std::int64_t memory = 0;                 ///< charged to memory until the head gets there
    std::int64_t tail = 0, tail_memory = 0;  ///< when the last byte gets there
  };
  struct IssueState {
    Odometer at;
    std::uint32_t actor = 0, core = 0, variables = 0;
    bool through = false;
    std::uint32_t last = kNone;
    std::int64_t last_at = -1;
  };
  struct Core {
    struct Request {
      std::uint32_t actor, cause;
    };
    std::deque<Request> queue;
    bool busy = false;
    std::uint32_t actor = kNone, activity = kNone;  ///< being issued, or last issued
  };
  struct ArrayState {
    const program::Array* array = nullptr;
    std::uint32_t residents = 0;            ///< instances with state
    std::vector<std::uint32_t> component;   ///< of each resident
    std::vector<std::uint32_t> unfinished;  ///< actors of each resident
    std::int64_t next = 0, total = 0;       ///< grid: to be dealt
    std::vector<std::uint32_t> actors;      ///< plans
    std::vector<std::uint32_t> rings;       ///< first ring of each channel inside, where every resident has one (grids)
  };
  struct FreedSlot {
    std::uint32_t array, component, resident, cause;
  };

  // engine_build.cpp
  Status build();
  Status build_arrays();
  Status build_actor(std::uint32_t actor);
  Status build_channels();
  void bind_path(std::uint32_t instance, const std::vector<std::uint32_t>& ring_component, const std::vector<std::uint32_t>& ring_instance);
  std::uint32_t core_of(chip::ComponentId component, std::uint32_t instance);
  std::uint32_t unit_of(ActorPlan& plan, std::uint32_t component);
  void start_resident(std::uint32_t array, std::uint32_t resident, std::int64_t number, std::uint32_t cause);
  // engine_fire.cpp
  void advance(std::uint32_t a);
  bool costs_nothing(ActorPlan& plan, const ActorState& s, Odometer at, std::uint32_t variables);
  [[nodiscard]] std::span<const std::int64_t> variables(const ActorPlan& plan, std::uint32_t first) const {
    return {variables_.data() + first, plan.rank + plan.trips.size()};
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
  void note_end(std::uint32_t activity);
  // engine_issue.cpp
  void request_command(std::uint32_t issue, std::uint32_t cause);
  void serve_core(std::uint32_t core);
  void end_issue(std::uint32_t core);
  void deal();
  // engine_transfer.cpp
  [[nodiscard]] bool both_ends(const ActorState& s, const ActorPlan& plan, Odometer at, const std::int64_t* index) const;
  void start_transfer(std::uint32_t a, ActorState& s, ActorPlan& plan);
  void charge_memories(const ActorPlan& plan, const MovePrice& price, Flight& flight);
  void enter(std::uint32_t flight, std::int64_t time, std::int64_t memory);
  void try_enter(std::uint32_t flight);
  void pass(std::uint32_t chunk);
  void pass_from(Chunk chunk, std::int64_t time);
  void leave(std::uint32_t flight, std::uint32_t number, std::int64_t time, std::int64_t memory, std::int64_t latency, bool memory_cause);
  void end_transfer(std::uint32_t flight);
  void pop_flights(std::uint32_t a, std::uint32_t cause);
  // engine_run.cpp
  std::optional<Failure> play();
  Failure deadlock() const;
  std::string describe(std::uint32_t a) const;
  void attribute(ContextRun& run) const;

  const program::Program& program_;
  const chip::Chip& chip_;
  const program::Context* context_ = nullptr;
  std::int64_t chunk_, now_ = 0;
  std::uint32_t window_ = 2;
  std::optional<CacheModel> cache_;
  chip::MemoryId cached_memory_;

  std::vector<ActorPlan> plans_;
  std::vector<ArrayState> arrays_;
  std::vector<ActorState> actors_;
  std::vector<std::int64_t> variables_;
  std::vector<PortLinks> ports_;
  std::vector<Feed> feeds_;
  std::vector<std::uint32_t> ring_feeds_;
  std::vector<Outlet> outlets_;
  std::vector<GuardPlan> guards_;
  std::vector<program::FeedRule> feed_rules_;
  std::vector<Ring> rings_;
  std::vector<UnitState> units_;
  std::vector<MoverState> movers_;
  std::vector<UnitClass> unit_classes_;
  std::vector<std::vector<std::uint32_t>> unit_at_, mover_at_, core_at_;  ///< per class, per component instance
  std::vector<FlightList> flight_lists_;
  std::vector<Flight> flights_;
  std::vector<std::uint32_t> free_flights_;
  std::vector<Leaving> leaving_;  ///< window_ per flight
  std::vector<Chunk> chunks_;
  std::uint32_t free_chunk_ = kNone;
  std::vector<IssueState> issues_;
  std::vector<Core> cores_;
  std::vector<std::uint32_t> idle_cores_;  ///< with requests that came at this instant
  std::vector<FreedSlot> freed_slots_;
  std::vector<std::uint64_t> dirty_;
  std::size_t lowest_dirty_ = 0, dirty_count_ = 0;
  EventHeap events_;
  ActivityLog log_;
  std::uint32_t unfinished_ = 0;
  std::int64_t issue_time_ = 0;
  std::uint32_t last_activity_ = kNone;
  ContextRun run_;
};

}  // namespace switchyard::simulation::timing
