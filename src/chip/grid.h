// Grid: a mesh, torus or ring drawn as rows and columns, and which way routes go along them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "chip/chip.h"

namespace switchyard::chip {

/// One dimension of a mesh, torus or ring.
struct Axis {
  std::int64_t size = 1;
  bool wraps = false;
  int one_way = 0;                                                              ///< +1 or -1 where links lead in that direction only
  [[nodiscard]] std::int64_t links() const { return wraps ? size : size - 1; }  ///< per line and direction
  [[nodiscard]] std::int64_t distance(std::int64_t from, std::int64_t to) const {
    if (one_way != 0) return (one_way * (to - from) + size) % size;
    const std::int64_t straight = std::abs(to - from);
    return wraps ? std::min(straight, size - straight) : straight;
  }
  /// +1 or -1: the shorter way round, ties upwards; the only way where there is one.
  [[nodiscard]] std::int64_t direction(std::int64_t from, std::int64_t to) const {
    if (one_way != 0) return one_way;
    const std::int64_t up = wraps ? (to - from + size) % size : to - from;
    if (!wraps) return up >= 0 ? 1 : -1;
    return up <= size - up ? 1 : -1;
  }
  [[nodiscard]] std::int64_t step(std::int64_t at, std::int64_t way) const { return wraps ? (at + way + size) % size : at + way; }
  /// Number of the link from one position to the next within its line and direction, or -1.
  [[nodiscard]] std::int64_t link(std::int64_t from, std::int64_t way) const {
    if (one_way == -way) return -1;
    const std::int64_t lower = way > 0 ? from : step(from, -1);
    return lower >= 0 && lower < links() ? lower : -1;
  }
};

/// A network drawn as rows and columns; a ring is one row.
struct Grid {
  Axis rows, columns;
  bool one_way = false;
  [[nodiscard]] std::int64_t row(std::uint32_t i) const { return i / columns.size; }
  [[nodiscard]] std::int64_t column(std::uint32_t i) const { return i % columns.size; }
  [[nodiscard]] std::uint32_t at(std::int64_t r, std::int64_t c) const { return static_cast<std::uint32_t>(r * columns.size + c); }
  [[nodiscard]] std::int64_t horizontal() const { return rows.size * columns.links(); }
  [[nodiscard]] std::int64_t vertical() const { return columns.size * rows.links(); }
};

/// Of a network that is neither switched nor a chip's link to its host.
Grid grid_of(const Chip& chip, const Network& network);

}  // namespace switchyard::chip
