// Touched: how many elements of a tensor several accesses touch together, never counted too high.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "numerics/affine.h"
#include "numerics/tensor.h"

namespace switchyard::compiler {

/// Elements that lie in several accesses count once; those of disjoint ranges (a cache's keys and values, slices) add up. Each access is
/// taken apart into boxes of evenly spaced indices; where that would take too many, into boxes of some of its elements.
class Touched {
 public:
  explicit Touched(numerics::Shape shape) : shape_(std::move(shape)) {}
  /// An access over loops of these extents; what lies outside of the tensor does not count. `unknown`: dimensions whose index is not known.
  /// All accesses of that kind may touch the same, and what others touch.
  void add(const std::vector<numerics::Affine>& index, const std::vector<std::int64_t>& extents, const std::vector<int>& unknown = {});
  [[nodiscard]] double count() const;

 private:
  struct Range {  ///< first, first + step, ... : `count` indices
    std::int64_t first = 0, step = 1, count = 1;
    [[nodiscard]] std::int64_t last() const { return first + step * (count - 1); }
  };
  using Box = std::vector<Range>;  ///< one range a dimension

  [[nodiscard]] std::vector<Box> boxes_of(std::vector<numerics::Affine> index, std::vector<std::int64_t> extents) const;
  static bool subtract(const Box& from, const Box& what, std::vector<Box>& left);
  static double size_of(const Box& box);

  numerics::Shape shape_;
  std::vector<Box> boxes_;  ///< no two share an element
  double somewhere_ = 0;    ///< elements of the largest access whose place is not known
};

}  // namespace switchyard::compiler
