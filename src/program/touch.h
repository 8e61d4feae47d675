// What accesses touch of buffers, over all firings: unions of boxes, found dimension by dimension where an access allows it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/boxes.h"
#include "program/program.h"

namespace switchyard::program {

/// The elements an access touches while its variables run over their intervals.
struct Reach {
  std::vector<Box> boxes;           ///< disjoint in most cases; none is empty
  bool twice = false;               ///< some element more than once
  std::vector<std::int64_t> where;  ///< one that is
  bool countable = true;            ///< false: too many boxes to say
};
Reach reach_of(const BufferAccess& access, std::span<const std::int64_t> extent, const std::vector<Interval>& variables);

/// Indices of a mover's loops in which it transfers: where the guard of its port with data holds.
std::vector<Interval> transfer_loops(const Actor& mover);

/// The extent of a mover's box as far as laws about order and coverage go: where an index is picked it may be any, so the box is the whole
/// dimension.
std::vector<std::int64_t> reached_extent(const Program& program, const Actor& mover, const BufferAccess& access);

}  // namespace switchyard::program
