// The laws of ports as code: when a port acts, which positions it sees, which of its feeds a token comes from. What verifier and engines
// must agree on, said once. Preconditions: the actor passed verify's structural laws.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/program.h"

namespace switchyard::program {

inline constexpr int kMaxLoops = 32;  ///< of one actor: masks of loops are 64 bits wide

/// An IndexRange with its numbers resolved; loop -1 holds everywhere.
struct Range {
  int loop = -1;
  std::int64_t begin = 0, end = 0;
  [[nodiscard]] bool holds(std::span<const std::int64_t> index) const {
    return loop < 0 || (index[static_cast<std::size_t>(loop)] >= begin && index[static_cast<std::size_t>(loop)] < end);
  }
};

/// Walks the iteration vectors of an actor in lexicographic order, keeping the loops at index 0 (z) and at their last index (l) as masks:
/// bit i is loop i (0 the outermost).
class Odometer {
 public:
  explicit Odometer(const std::vector<Loop>& loops);
  [[nodiscard]] std::span<const std::int64_t> index() const { return index_; }
  [[nodiscard]] std::uint64_t z() const { return z_; }
  [[nodiscard]] std::uint64_t l() const { return l_; }
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] std::int64_t firings() const { return firings_; }  ///< of the whole walk
  void next();                                                     ///< after the last vector: done()

 private:
  std::vector<std::int64_t> index_, trip_;
  std::uint64_t z_ = 0, l_ = 0;
  std::int64_t firings_ = 1;
  bool done_ = false;
};

/// The static rule of one port. In a firing: if active(index): begins(z) means acquire (input) or reserve (output); ends(l) means release
/// or emit.
struct PortRule {
  bool input = true;
  std::uint64_t kept = 0;
  std::vector<Range> guard;
  int window_loop = -1;  ///< -1: no window; then one position per acquire
  std::int64_t peek = 1, pop = 1;
  std::int64_t window_trip = 1;
  std::int64_t positions = 1;                    ///< of one sweep of the window's loop
  std::int64_t first_token = 0, last_token = 1;  ///< positions outside [first_token, last_token) are always padding

  [[nodiscard]] bool active(std::span<const std::int64_t> index) const {
    for (const Range& range : guard)
      if (!range.holds(index)) return false;
    return true;
  }
  [[nodiscard]] bool begins(std::uint64_t z) const { return (z & kept) == kept; }
  [[nodiscard]] bool ends(std::uint64_t l) const { return (l & kept) == kept; }
  [[nodiscard]] bool windowed() const { return window_loop >= 0; }
  /// With a window, in the firing whose window loop is at index i: positions of this sweep acquired before it, and through it.
  [[nodiscard]] std::int64_t acquired_before(std::int64_t i) const { return i == 0 ? 0 : pop * (i - 1) + peek; }
  [[nodiscard]] std::int64_t acquired_through(std::int64_t i) const { return pop * i + peek; }
  /// Positions of this sweep released before it, and through it (never more than were acquired).
  [[nodiscard]] std::int64_t released_before(std::int64_t i) const { return i == 0 ? 0 : (pop < peek ? pop : peek) + pop * (i - 1); }
  [[nodiscard]] std::int64_t released_through(std::int64_t i) const { return i + 1 == window_trip ? positions : released_before(i + 1); }
  [[nodiscard]] bool always_padding(std::int64_t position) const {
    return windowed() && (position < first_token || position >= last_token);
  }
};
PortRule port_rule(const Actor& actor, const Port& port);

/// A range over a loop of the actor, resolved against its trip.
Range resolve_range(const Actor& actor, const IndexRange& range);
std::vector<Range> resolve_guard(const Actor& actor, const Guard& guard);

/// Which positions of an input port's sequence one feed supplies. Exactly one feed of a port takes each (position, index).
struct FeedRule {
  Range range;
  bool over_window = false;  ///< the range is over the window's positions, not over a loop's index
  [[nodiscard]] bool takes(std::span<const std::int64_t> index, std::int64_t position) const {
    if (over_window) return position >= range.begin && position < range.end;
    return range.holds(index);
  }
};
FeedRule feed_rule(const Actor& actor, const Port& port, const IndexRange& domain);

/// Tokens of an output port that pass `guard` as well as the port's own (what a channel receives in one run of the producer).
std::int64_t tokens_sent(const Actor& actor, const Port& port, const Guard& guard);
/// Tokens an input port takes from the feed with this domain in one run, padding left out.
std::int64_t tokens_taken(const Actor& actor, const Port& port, const IndexRange& domain);

/// Whether the walk of a guard, a product of index ranges, can hold at all; per loop the [begin, end) it leaves.
std::vector<std::array<std::int64_t, 2>> guard_box(const Actor& actor, const Guard& guard);

}  // namespace switchyard::program
