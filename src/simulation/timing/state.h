// What the engine keeps of a context in flight: plans of its actors, and the state of their instances, rings, commands and transfers.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "program/program.h"
#include "program/sequence.h"
#include "simulation/timing.h"
#include "simulation/timing/activity.h"
#include "simulation/timing/cost.h"
#include "simulation/timing/odometer.h"

namespace switchyard::simulation::timing {

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
  std::uint32_t context = 0;  ///< of the group
  std::uint32_t array = 0;
  bool moves = false, issued = false;
  bool early = false;         ///< starts before its context
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

enum class Wait : std::uint8_t { nothing, start, token, space, command, unit, running, finished };

struct ActorState {  // hot: one cache line
  Odometer at;
  std::uint32_t plan = 0;
  std::uint32_t variables = 0;  ///< coordinates, then loop indices
  std::uint32_t ports = 0;      ///< first PortLinks
  std::uint32_t unit = kNone;   ///< UnitState or MoverState
  std::uint32_t unblocked_by = kNone;
  std::uint32_t activity = kNone;    ///< of the running firing
  std::uint32_t path = kNone;        ///< movers; kNone where each message has its own
  std::uint32_t flights = kNone;     ///< movers: FlightList
  std::uint32_t issue = kNone;       ///< IssueState
  std::uint32_t commands = 0;        ///< issued and not yet used
  std::uint32_t waits_on = kNone;    ///< ring or unit, for messages
  std::uint32_t port = 0, feed = 0;  ///< before these of its firing to come all tokens are there: what has come stays
  Wait wait = Wait::start;
  bool priced = false, free = false;
};
static_assert(sizeof(ActorState) <= 64);

struct PortLinks {
  std::uint32_t begin = 0, end = 0;  ///< feeds (inputs) or outlets (outputs)
};

struct Feed {
  std::uint32_t ring = kNone;
  std::uint32_t acquired = 0, released = 0;
  std::uint32_t needs = 0;  ///< while `waits`: produced must reach it
  std::uint32_t actor = kNone;
  std::uint32_t rule = 0;  ///< index of a feed rule
  bool plain = false;      ///< takes every position of the port
  bool waits = false;
};

struct Outlet {
  std::uint32_t ring = kNone;
  std::uint32_t guard = kNone;  ///< index of a guard; kNone: every token
};

struct Ring {
  std::uint32_t reserved = 0, produced = 0, freed = 0, depth = 1;
  std::uint32_t producer = kNone;
  std::uint32_t first_feed = kNone, feed_count = 0;  ///< in the list of rings' feeds
  std::uint32_t channel = 0;
  std::uint32_t produced_by = kNone, freed_by = kNone;
  std::int64_t produced_at = -1, freed_at = -1;
  std::uint32_t initial = 0;
  bool producer_waits = false;
};

struct UnitState {
  std::int64_t freed_at = -1;
  std::uint32_t freed_by = kNone;
  std::uint32_t counted_in = kNone;  ///< the last context that counted it among its units
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
  std::int64_t busy = 0, since = 0, integral = 0;
};

struct FlightList {  // transfers of one actor instance retire in the order in which they began
  Odometer at;
  std::uint32_t variables = 0;  ///< loop indices of the next to retire
  std::uint32_t head = kNone, tail = kNone;
  std::uint32_t used = 0;  ///< numbers of its transfers, as a mask
};

struct Flight {
  std::uint32_t actor = 0, activity = 0, path = 0, next = kNone;
  std::uint32_t engine = 0, chunks = 0, entered = 0, left = 0;  ///< left: chunks whose time of leaving is known
  std::uint32_t free_after = 0;                                 ///< firings that cost nothing and follow this one
  std::uint32_t context = 0;
  std::uint32_t number = 0;   ///< among those of its actor: the least that is free
  std::uint32_t fetched = 0;  ///< chunks for which the reading memory stage is booked
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
  std::uint32_t flight = 0, node = 0, number = 0, context = 0;
  std::int64_t bytes = 0;                  ///< at all stages but those of memories
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
    std::uint32_t actor, cause, context;
  };
  std::deque<Request> queue;  ///< those of earlier contexts first
  bool busy = false;
  std::uint32_t actor = kNone, activity = kNone, context = 0;  ///< being issued, or last issued
};

struct ArrayState {
  const program::Array* array = nullptr;
  std::uint32_t context = 0;              ///< of the group
  std::uint32_t residents = 0;            ///< instances with state
  std::vector<std::uint32_t> component;   ///< of each resident
  std::vector<std::uint32_t> unfinished;  ///< grid: actors of each resident
  std::vector<std::int64_t> number;       ///< grid: which instance each resident is
  std::int64_t next = 0, total = 0;       ///< grid: to be dealt
  std::vector<std::uint32_t> actors;      ///< plans
  std::vector<std::uint32_t> rings;       ///< first ring of each channel inside, where every resident has one (grids)
};

struct FreedSlot {
  std::uint32_t array, component, resident, cause;
};

/// What one run of a context gave; times count from the beginning of its group.
struct ContextRun {
  std::int64_t begin = 0, end = 0;  ///< first activity to last
  std::int64_t opens = 0;           ///< the earlier of its first activity and the end of the context before
  std::int64_t launch = 0;          ///< exposed, not in the share
  std::array<std::int64_t, 6> attribution{};
  std::int64_t firings = 0, transfers = 0, events = 0;
  std::int64_t macs = 0, vector_ops = 0, offchip_read = 0, offchip_written = 0;
  std::vector<ContextTiming::Ahead> ahead;
  std::int64_t told = 0;  ///< bytes that are in `ahead`
  std::int64_t served = 0;
  /// All that only grows.
  std::array<std::int64_t*, 7> counters() { return {&firings, &transfers, &events, &macs, &vector_ops, &offchip_read, &offchip_written}; }
};

/// How many elements of each array there are: those up to here belong to this context or earlier ones.
struct Extents {
  std::uint32_t plans = 0, arrays = 0, actors = 0, variables = 0, ports = 0, feeds = 0, ring_feeds = 0, outlets = 0, guards = 0,
                feed_rules = 0, rings = 0, flight_lists = 0, issues = 0;
};

struct ContextState {
  const program::Context* context = nullptr;
  std::uint32_t number = 0;  ///< of the program
  Extents ends;
  std::uint32_t first_array = 0, first_plan = 0;
  bool started = false, active = false;  ///< active: an actor has begun something
  std::uint32_t unfinished = 0;          ///< actor instances of listed arrays, and of grids those that were dealt
  std::int64_t undealt = 0;              ///< instances of grids
  std::uint32_t cause = kNone;           ///< whose end lets it start
  std::uint32_t last_activity = kNone;
  std::vector<std::int64_t> units;  ///< per class of units: how many it uses
  ContextRun run;
};

}  // namespace switchyard::simulation::timing
