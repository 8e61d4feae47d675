// Which point of a nest's loops writes a given element: the write access of a nest, inverted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "numerics/nest.h"

namespace switchyard::graph {

/// A write in mixed-radix form: in every dimension the loops are digits of the index, and no loop is used twice. Such a write reaches no
/// element from two points of its non-reduction loops.
struct WriteMap {
  struct Digit {
    int loop = 0;
    std::int64_t weight = 1;  ///< more than all lighter digits together can reach
    std::int64_t extent = 1;
    bool reversed = false;  ///< the coefficient is negative: the digit counts down
  };
  struct Dimension {
    std::int64_t base = 0;      ///< the least index written
    std::vector<Digit> digits;  ///< heaviest first
  };
  std::vector<Dimension> dimensions;
};

/// Empty when the write is not in that form: a reduction loop in it, a loop missing from it or used twice, digits that overlap.
std::optional<WriteMap> write_map(const numerics::Nest& nest);

/// Sets the values of the loops that write element `index` (reduction loops are left alone); false when this nest does not write it.
bool invert(const WriteMap& map, std::span<const std::int64_t> index, std::span<std::int64_t> loop_values);

}  // namespace switchyard::graph
