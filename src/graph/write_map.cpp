#include "graph/write_map.h"

#include <algorithm>

namespace switchyard::graph {

using numerics::Affine;
using numerics::LoopKind;
using numerics::Nest;

std::optional<WriteMap> write_map(const Nest& nest) {
  WriteMap map;
  std::vector<bool> used(nest.loops.size(), false);
  for (const Affine& f : nest.write.index) {
    WriteMap::Dimension dimension;
    dimension.base = f.constant;
    for (const Affine::Term& term : f.terms) {
      const auto v = static_cast<std::size_t>(term.variable);
      const std::int64_t extent = nest.loops[v].extent;
      if (extent <= 1) continue;  // always 0
      if (nest.loops[v].kind == LoopKind::reduction || used[v]) return std::nullopt;
      used[v] = true;
      const bool reversed = term.coefficient < 0;
      std::int64_t weight = term.coefficient, reach = 0;
      if (reversed && __builtin_sub_overflow(std::int64_t{0}, weight, &weight)) return std::nullopt;
      if (__builtin_mul_overflow(weight, extent - 1, &reach)) return std::nullopt;
      if (reversed && __builtin_sub_overflow(dimension.base, reach, &dimension.base)) return std::nullopt;
      dimension.digits.push_back({term.variable, weight, extent, reversed});
    }
    std::sort(dimension.digits.begin(), dimension.digits.end(), [](const auto& a, const auto& b) { return a.weight > b.weight; });
    std::int64_t reach = 0;
    for (auto digit = dimension.digits.rbegin(); digit != dimension.digits.rend(); ++digit) {
      if (digit->weight <= reach) return std::nullopt;
      if (__builtin_add_overflow(reach, digit->weight * (digit->extent - 1), &reach)) return std::nullopt;
    }
    map.dimensions.push_back(std::move(dimension));
  }
  for (std::size_t v = 0; v < nest.loops.size(); ++v) {
    if (nest.loops[v].kind != LoopKind::reduction && nest.loops[v].extent > 1 && !used[v]) return std::nullopt;
  }
  return map;
}

bool invert(const WriteMap& map, std::span<const std::int64_t> index, std::span<std::int64_t> loop_values) {
  for (std::size_t d = 0; d < map.dimensions.size(); ++d) {
    std::int64_t rest = index[d] - map.dimensions[d].base;
    if (rest < 0) return false;
    for (const WriteMap::Digit& digit : map.dimensions[d].digits) {
      const std::int64_t value = rest / digit.weight;
      if (value >= digit.extent) return false;
      rest -= value * digit.weight;
      loop_values[static_cast<std::size_t>(digit.loop)] = digit.reversed ? digit.extent - 1 - value : value;
    }
    if (rest != 0) return false;
  }
  return true;
}

}  // namespace switchyard::graph
