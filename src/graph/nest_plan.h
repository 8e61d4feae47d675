// A nest prepared for running: loops in running order and every access as a running sum, so that a step costs a few additions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "graph/graph.h"

namespace switchyard::graph {

/// Where an access stands is a vector of numbers ("state"): the flat offset of each read and of the write, and each index that may leave
/// its dimension. All are affine in the loops, so a step of loop l adds a constant vector.
///
/// Running order: the non-reduction loops as listed, then the reduction loops as listed. For one element this is the listed order, and
/// an element is finished before the next begins.
struct NestPlan {
  struct Check {
    int state = 0;            ///< which entry holds the index
    std::int64_t extent = 0;  ///< it is inside when 0 <= index < extent
  };
  struct Read {
    int slot = 0;
    std::vector<Check> checks;  ///< only of the dimensions the loops can leave
    std::optional<double> fill;
    /// The value of another read, times the stride, is added to the offset.
    struct Lookup {
      std::size_t read = 0;
      std::int64_t stride = 1, extent = 1;

      [[nodiscard]] std::int64_t offset(double value) const;  ///< SY_CHECK: the value is an index of the dimension
    };
    std::vector<Lookup> lookups;

    [[nodiscard]] bool inside(std::span<const std::int64_t> state) const {
      for (const Check& check : checks) {
        const std::int64_t i = state[static_cast<std::size_t>(check.state)];
        if (i < 0 || i >= check.extent) return false;
      }
      return true;
    }
  };
  std::vector<int> order;  ///< loops in running order; the first `outer` of them are not reductions
  int outer = 0;
  std::vector<std::int64_t> extents;            ///< in running order
  std::vector<Read> reads;                      ///< offset of read r is state[r]; of the write, state[reads.size()]
  std::vector<std::int64_t> start;              ///< state where all loops are 0
  std::vector<std::vector<std::int64_t>> step;  ///< [position in running order][state]
  std::int64_t reduction_points = 1;
  bool writes = true;  ///< false when a non-reduction loop is empty
};

/// Shape of a slot of `op`; format likewise.
const numerics::Shape& slot_shape(const Graph& graph, const Op& op, int slot);
numerics::Format slot_format(const Graph& graph, const Op& op, int slot);

NestPlan plan_nest(const Graph& graph, const Op& op, const numerics::Nest& nest);

/// Turns the loops at positions first <= p < last of the running order through all their points, the last one fastest: calls body() at
/// each with `state` set, and leaves `state` as it was. No loops: one point.
template <class Body>
void turn(const NestPlan& plan, int first, int last, std::vector<std::int64_t>& state, Body&& body) {
  const auto n = static_cast<std::size_t>(last - first);
  const std::int64_t* extents = plan.extents.data() + first;
  for (std::size_t p = 0; p < n; ++p) {
    if (extents[p] <= 0) return;
  }
  constexpr std::size_t kFew = 16;
  std::int64_t few[kFew] = {};
  std::vector<std::int64_t> many;
  std::int64_t* index = few;
  if (n > kFew) {
    many.assign(n, 0);
    index = many.data();
  }
  const std::size_t width = state.size();
  const auto add = [&](const std::vector<std::int64_t>& delta, std::int64_t times) {
    for (std::size_t q = 0; q < width; ++q) state[q] += delta[q] * times;
  };
  while (true) {
    body();
    std::size_t p = n;
    while (p > 0 && index[p - 1] + 1 == extents[p - 1]) index[--p] = 0;
    if (p == 0) break;
    ++index[p - 1];
    add(plan.step[static_cast<std::size_t>(first) + p - 1], 1);
    for (std::size_t inner = p; inner < n; ++inner) add(plan.step[static_cast<std::size_t>(first) + inner], 1 - extents[inner]);
  }
  for (std::size_t p = 0; p < n; ++p) add(plan.step[static_cast<std::size_t>(first) + p], 1 - extents[p]);
}

}  // namespace switchyard::graph
