// The timing engine: discrete events over the firings of a program, in integer picoseconds, with contention and attribution.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "program/program.h"
#include "support/result.h"

namespace switchyard::simulation {

enum class Cause : std::uint8_t { compute, memory, interconnect, reconfiguration, control, imbalance };
inline constexpr std::array<const char*, 6> kCauseNames{"compute", "memory", "interconnect", "reconfiguration", "control", "imbalance"};
using Attribution = std::array<Picoseconds, 6>;  ///< by Cause; sums to the time it explains

namespace timing {
class Recorder;
}

struct TimingOptions {
  std::int64_t chunk = 16384;   ///< bytes per chunk on shared resources; 0: whole tokens
  bool cold = false;            ///< start with on-chip memories empty; caches always do, and nothing else is kept on the chip yet
  bool exact_shortcuts = true;  ///< skip what would be played again just like before: the result is the same, but for the time it takes
  timing::Recorder* recorder = nullptr;  ///< told everything; nothing is skipped then (see recording.h)
};

/// Busy time and bytes of one shared resource (a link, a memory, a port) or class of units.
struct ResourceUse {
  std::string name;
  Picoseconds busy;
  std::int64_t bytes = 0;
};

struct ContextTiming {
  Picoseconds start;  ///< when it is due: the context before has ended, or an early actor has begun
  Picoseconds span;   ///< first activity to last
  Picoseconds end;    ///< of the last activity, from the program's start
  Picoseconds share;  ///< its part of the critical path (launch excluded, switch and barrier included)
  Attribution attribution{};
  std::int64_t firings = 0, transfers = 0, events = 0;
  std::int64_t macs = 0, vector_ops = 0;               ///< useful ones
  std::int64_t offchip_read = 0, offchip_written = 0;  ///< bytes
  /// Bytes of these that the off-chip memory served while the context so many before it was the one that had to end next. All others it
  /// served when this one had to.
  struct Ahead {
    std::uint32_t contexts = 0;
    std::int64_t bytes = 0;
    bool operator==(const Ahead&) const = default;
  };
  std::vector<Ahead> ahead;
  Picoseconds served;  ///< work of the off-chip memory while this context had to end next, whomever it was for
};

struct Timing {
  Picoseconds latency;
  Picoseconds launch;  ///< total of launches; latency = launch + sum of shares
  Picoseconds host;    ///< of the shares, those of the host's steps
  Attribution attribution{};
  std::vector<ContextTiming> contexts;
  std::int64_t offchip_read = 0, offchip_written = 0, offchip_constants = 0;  ///< bytes
  std::int64_t cache_dirty = 0;                                               ///< bytes written that are only in the cache at the end
  std::int64_t network_bytes = 0;                                             ///< payload entering the on-chip network once
  std::int64_t link_bytes = 0;                                                ///< bytes times hops
  double link_busy_share = 0;                                                 ///< mean busy share of links
  std::vector<ResourceUse> resources;
  std::int64_t macs = 0;  ///< useful multiply-accumulates executed
  std::int64_t vector_ops = 0;
  std::int64_t firings = 0, transfers = 0, events = 0;
  std::int64_t played = 0;  ///< of the events, those that were not skipped
};

/// Times a verified program. Failures: simulation/deadlock (malformed; names actors and what each waits for), simulation/no-rate,
/// simulation/grid-channel, simulation/loops, simulation/too-large, simulation/too-long (unsupported), simulation/array,
/// simulation/box-rank (malformed).
Result<Timing> time_program(const program::Program& program, const TimingOptions& options = {});

}  // namespace switchyard::simulation
