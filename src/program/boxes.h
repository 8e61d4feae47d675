// Sets of index points as unions of boxes: what stores cover, where guards hold.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace switchyard::program {

using Interval = std::array<std::int64_t, 2>;  ///< [begin, end)
using Box = std::vector<Interval>;             ///< one interval per dimension

bool is_empty(const Box& box);
bool contains(const Box& outer, const Box& inner);
bool overlap(const Box& a, const Box& b);

/// Sorted, disjoint, touching ones merged.
std::vector<Interval> merge(std::vector<Interval> intervals);

/// A point of `inner` that no box of `outer` contains; nothing when all are covered. All boxes have one rank. `exact` turns false, and the
/// answer nothing, when the question is too large (more than 2^26 cells).
std::optional<std::vector<std::int64_t>> uncovered_point(const std::vector<Box>& inner, const std::vector<Box>& outer, bool& exact);

/// A point that lies in two of the boxes; nothing when they are disjoint.
std::optional<std::vector<std::int64_t>> doubly_covered_point(const std::vector<Box>& boxes, bool& exact);

/// A point that lies in a box of each set.
std::optional<std::vector<std::int64_t>> common_point(const std::vector<Box>& a, const std::vector<Box>& b, bool& exact);

}  // namespace switchyard::program
