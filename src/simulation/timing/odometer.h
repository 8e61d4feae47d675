// Odometer and guards: where an actor stands in its loops, and conditions on that, as two bit masks (loops at first, at last index).
#pragma once

#include <cstdint>
#include <vector>

#include "program/sequence.h"

namespace switchyard::simulation::timing {

/// Bit l of `first`: loop l is at index 0; of `last`: at its last index.
struct Odometer {
  std::uint32_t first = 0, last = 0;
};

inline Odometer odometer_start(const std::vector<std::int64_t>& trips, std::int64_t* index) {
  Odometer o;
  for (std::size_t l = 0; l < trips.size(); ++l) {
    index[l] = 0;
    o.first |= 1u << l;
    if (trips[l] <= 1) o.last |= 1u << l;
  }
  return o;
}

/// One step, innermost fastest; false when the loops are through (and stand at the start again).
inline bool odometer_step(Odometer& o, const std::vector<std::int64_t>& trips, std::int64_t* index) {
  for (std::size_t l = trips.size(); l-- > 0;) {
    const std::uint32_t bit = 1u << l;
    const std::int64_t at = ++index[l];
    if (at < trips[l]) {
      o.first &= ~bit;
      o.last = at + 1 == trips[l] ? o.last | bit : o.last & ~bit;
      return true;
    }
    index[l] = 0;
    o.first |= bit;
    if (trips[l] > 1) o.last &= ~bit;
  }
  return false;
}

/// A guard with its ranges resolved; the usual ranges (first, not first, last, not last) are masks.
struct GuardPlan {
  std::uint32_t is_first = 0, not_first = 0, is_last = 0, not_last = 0;
  bool never = false;
  struct Range {
    int loop;
    std::int64_t begin, end;
  };
  std::vector<Range> ranges;

  [[nodiscard]] bool always() const { return !never && (is_first | not_first | is_last | not_last) == 0 && ranges.empty(); }
  [[nodiscard]] bool holds(Odometer o, const std::int64_t* index) const {
    if (never || (o.first & is_first) != is_first || (o.first & not_first) != 0 || (o.last & is_last) != is_last ||
        (o.last & not_last) != 0) {
      return false;
    }
    for (const Range& r : ranges) {
      if (index[r.loop] < r.begin || index[r.loop] >= r.end) return false;
    }
    return true;
  }
};

/// The indices of one loop, from `at` on, at which all is as it is there: [at, end).
struct PlainRange {
  std::size_t loop = 0;
  std::int64_t at = 0, trip = 1, end = 1;
  /// Something is different from `index` on.
  void cut(std::int64_t index) {
    if (index > at && index < end) end = index;
  }
  void cut(const GuardPlan& guard) {
    if (((guard.is_first | guard.not_first) >> loop & 1u) != 0) cut(1);
    if (((guard.is_last | guard.not_last) >> loop & 1u) != 0) cut(trip - 1);
    for (const GuardPlan::Range& r : guard.ranges) {
      if (r.loop != static_cast<int>(loop)) continue;
      cut(r.begin);
      cut(r.end);
    }
  }
};

GuardPlan plan_guard(const std::vector<program::Range>& ranges, const std::vector<std::int64_t>& trips);

}  // namespace switchyard::simulation::timing
