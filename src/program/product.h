// Product: a kernel of several stages one of which multiplies: factors are unpacked on their way into it (weights of few bits), or sums of
// parts of the reduction are scaled and added up outside the multipliers (scales per block).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "program/grid.h"

namespace switchyard::program {

/// groups x m x n results, each reduced over k in `parts` that are added up outside the multipliers.
struct ProductWork {
  chip::ComponentId component;
  chip::UnitId matrix;
  numerics::Format format = numerics::Format::fp32;  ///< of what is multiplied
  double groups = 1, m = 1, n = 1, k = 1, parts = 1;
  std::array<double, 2> element{};  ///< bytes of an element of each factor, as it lies in memory
  std::array<double, 2> unpack{};   ///< cycles of an element of each factor, whenever a block takes it
  double macs_per_cycle = 1;
  double result = 0;                       ///< bytes of a result
  double part_cycles = 0;                  ///< of a result, for each part
  double vector_cycles = 0;                ///< of a result, at the end
  double vector_ops = 0;                   ///< of all
  std::vector<GridWork::Touched> touched;  ///< what is not handed from stage to stage
};

/// Nothing where the contexts are no such kernel: stages that change a factor point by point, one product, stages that reduce its results.
std::optional<ProductWork> product_work(const chip::Chip& chip, std::span<const Buffer> buffers, std::span<const Context> stages);

struct ProductTime {
  GridTime time;
  std::int64_t blocks = 1;
  double macs = 0;
  double multiply = 0;  ///< cycles of the unit, over all blocks
};
/// The best over the tiles of the unit and over slices of the reduction.
ProductTime product_time(const chip::Chip& chip, const ProductWork& work, double cached = 0);

}  // namespace switchyard::program
