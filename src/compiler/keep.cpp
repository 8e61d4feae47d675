// Which large tensors are worth their room in scratchpads.
#include <algorithm>
#include <limits>

#include "chip/query.h"
#include "compiler/draft.h"
#include "numerics/packing.h"

namespace switchyard::compiler {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// Less than this part of a scratchpad is in nobody's way.
constexpr std::int64_t kLargePart = 8;
/// Times the cost with a tensor in scratchpads: where it is less without it, the tensor goes through memory. Estimates do not know all
/// that is lost by that.
constexpr double kSooner = 0.95;

struct Life {
  graph::TensorId tensor;
  std::int64_t part = 0;  ///< bytes of it in one component
  std::size_t first = 0, last = 0;
};

}  // namespace

bool Builder::give_up_large(Draft& d, const Strategy& strategy) {
  if (options.mappings || machine.grid) return false;
  const auto range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
  const std::int64_t large = (range.end - range.begin) / kLargePart;
  std::vector<Life> lives;
  std::vector<std::size_t> number(g.tensors.size(), g.tensors.size());
  for (std::size_t k = 0; k < d.kernels.size(); ++k)
    for (const KernelOperand& o : d.kernels[k].operands) {
      const std::size_t t = o.tensor.index();
      if (!d.attempt.stays[t] || is_handed(d, o.tensor)) continue;
      const std::int64_t part = numerics::stored_bytes(g.tensors[t].format, numerics::element_count(g.tensors[t].shape)) /
                                static_cast<std::int64_t>(machine.components.size());
      if (part < large) continue;
      if (number[t] == g.tensors.size()) number[t] = lives.size(), lives.push_back({o.tensor, part, k, k});
      lives[number[t]].last = k;
    }
  std::stable_sort(lives.begin(), lives.end(), [](const Life& a, const Life& b) { return a.part > b.part; });
  std::vector<double> costs;
  for (std::size_t k = 0; k < d.kernels.size() && !lives.empty(); ++k) costs.push_back(cost_alone(d, k, d.attempt, strategy));
  bool found = false;
  for (const Life& life : lives) {
    Attempt without = d.attempt;
    without.stays[life.tensor.index()] = false;
    for (std::size_t k = life.first; k <= life.last; ++k)
      without.reserved[k] = std::max(std::min<std::int64_t>(without.reserved[k], 0), without.reserved[k] - life.part);
    double kept = 0, given_up = 0;
    std::vector<double> others;
    for (std::size_t k = life.first; k <= life.last; ++k) {
      kept += costs[k];
      given_up += others.emplace_back(cost_alone(d, k, without, strategy));
    }
    if (!(given_up < kSooner * kept)) continue;
    std::copy(others.begin(), others.end(), costs.begin() + static_cast<std::ptrdiff_t>(life.first));
    d.attempt = std::move(without);
    found = true;
  }
  return found;
}

double Builder::cost_alone(const Draft& d, std::size_t k, const Attempt& attempt, const Strategy& strategy) {
  for (const Streamed& s : d.streamed) {
    if (k < s.first || k >= s.first + kStreamedStages) continue;
    if (k > s.first) return 0;
    const auto& mapped = attention_of(d, s, attempt);
    return mapped ? mapped->seconds : kInfinite;
  }
  const Candidates found = candidates_of(d, k, attempt, strategy.search);
  double least = kInfinite;
  if (!found) return least;
  for (const Mapping& m : *found) least = std::min(least, cost_of(m, strategy.held_weight == kLate ? kLate : 0));
  return least;
}

}  // namespace switchyard::compiler
