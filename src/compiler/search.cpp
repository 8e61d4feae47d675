#include "compiler/search.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include "program/findings.h"

namespace switchyard::compiler {
namespace {

/// Of an extent, the largest first.
std::vector<std::int64_t> divisors(std::int64_t extent) {
  std::vector<std::int64_t> small, out;
  for (std::int64_t t = 1; t <= extent / t; ++t) {
    if (extent % t != 0) continue;
    small.push_back(t);
    if (t != extent / t) out.push_back(extent / t);
  }
  out.insert(out.end(), small.rbegin(), small.rend());
  return out;
}

/// Matrix units gain nothing from blocks beyond 256; what only streams wants few and long ones.
std::vector<std::int64_t> block_sizes(std::int64_t extent, bool contraction) {
  std::vector<std::int64_t> out;
  for (std::int64_t b : {16384, 4096, 1024, 256, 128, 96, 64, 48, 32, 16, 4, 1})
    if (b < extent && (b <= 256 || !contraction)) out.push_back(b);
  if (extent <= 256) out.insert(out.begin(), extent);
  return out;
}

class Search {
  struct Best {
    std::array<Mapping, kHeldWeights.size()> of;    ///< by weight
    std::array<double, kHeldWeights.size()> costs;  ///< of these
  };

 public:
  Search(const Machine& machine, const Kernel& kernel, const Evaluator& evaluator, int effort)
      : machine_(machine),
        kernel_(kernel),
        evaluator_(evaluator),
        effort_(std::clamp(effort, 0, 3)),
        weights_(fetches_early(machine) ? kHeldWeights : kContextWeights),
        divide_(dims_to_divide(kernel)) {
    const std::size_t n = kernel.dims.size();
    current_.split.assign(n, 1);
    current_.trips.assign(n, 1);
    current_.tile.resize(n);
    divisors_.resize(n);
    for (std::size_t d = 0; d < n; ++d) {
      current_.tile[d] = kernel.dims[d].extent;
      if (divide_[d]) divisors_[d] = divisors(kernel.dims[d].extent);
    }
    for (std::size_t d = 0; d < n; ++d) {
      if (kernel.dims[d].extent <= 1) continue;
      if (kernel.dims[d].parallel) parallel_.push_back(static_cast<int>(d));
      if (kernel.dims[d].reduction) reductions_.push_back(static_cast<int>(d));
    }
    const auto by_extent = [&](int a, int b) {
      return kernel.dims[static_cast<std::size_t>(a)].extent > kernel.dims[static_cast<std::size_t>(b)].extent;
    };
    find_steps();
    std::stable_sort(parallel_.begin(), parallel_.end(), by_extent);
    std::stable_sort(reductions_.begin(), reductions_.end(), by_extent);
  }

  bool run() {
    // First the other dims whole and most components busy; where nothing of the kind fits, dims cut into single indices, idle components,
    // and tiles however small.
    attempt(0);
    if (!found_) {
      attempt(1);
      thorough_ = true;
      attempt(0);
    }
    if (!found_) attempt(1);
    if (found_ || evaluator_.has_placed()) return found_;
    // What came nearest is what the user hears of: then nothing is left out.
    leaves_out_ = false;
    nearest_ = {};
    current_.storage = 0;  // of what was begun last
    for (const bool thorough : {false, true}) {
      thorough_ = thorough;
      attempt(0);
      attempt(1);
    }
    return found_;
  }
  /// The best of each way of splitting, for each weight of what is held; best first.
  [[nodiscard]] std::vector<Mapping> best(std::size_t most) const {
    std::vector<const Best*> splits;
    for (const auto& [split, best] : best_) splits.push_back(&best);
    std::stable_sort(splits.begin(), splits.end(), [](const Best* a, const Best* b) { return a->of.front().cost < b->of.front().cost; });
    if (splits.size() > most) splits.resize(most);
    std::vector<Mapping> all;
    for (const Best* best : splits)
      for (std::size_t w = 0; w < best->of.size(); ++w) {
        const Mapping& m = best->of[w];
        const auto same = [&](const Mapping& o) { return o.tile == m.tile && o.trips == m.trips && o.order == m.order; };
        if (std::any_of(best->of.begin(), best->of.begin() + static_cast<std::ptrdiff_t>(w), same)) continue;
        all.push_back(m);
        all.back().only_late = weights_[w] == kLate;
      }
    for (Mapping& m : all) m.tried = tried_;
    return all;
  }
  /// Where nothing fits: what came nearest.
  [[nodiscard]] const Mapping& nearest() const { return nearest_; }

 private:
  /// Of a matrix unit, which rounds each of its three extents up: in what steps a dim that alone makes one of them is best cut.
  void find_steps() {
    steps_.assign(kernel_.dims.size(), 1);
    if (!kernel_.contraction || machine_.grid) return;
    const KernelStatement& s = kernel_.statements.front();
    const auto& a = kernel_.operands[static_cast<std::size_t>(s.reads[0].number)];
    std::array<std::vector<std::size_t>, 3> makes;
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
      const KernelDim& dim = kernel_.dims[d];
      if (dim.extent > 1) makes[dim.reduction ? 2 : depends(a, static_cast<int>(d)) ? 0 : 1].push_back(d);
    }
    for (std::size_t e = 0; e < makes.size(); ++e)
      if (makes[e].size() == 1) steps_[makes[e].front()] = evaluator_.geometry()[e];
  }

  /// Three dims are cut in every way; the others stay whole (rest 0) or are cut into single indices (rest 1).
  void attempt(int rest) {
    const std::size_t majors = std::min<std::size_t>(parallel_.size(), 3);
    for (std::size_t i = majors; i < parallel_.size(); ++i) {
      const auto d = static_cast<std::size_t>(parallel_[i]);
      current_.tile[d] = rest == 0 && !kernel_.dims[d].single ? kernel_.dims[d].extent : 1;
      current_.trips[d] = machine_.grid ? 1 : ceil_div(kernel_.dims[d].extent, current_.tile[d]);
    }
    if (machine_.grid)
      blocks(0, majors);
    else
      spread(0, majors, static_cast<std::int64_t>(machine_.components.size()));
  }

  void blocks(std::size_t i, std::size_t majors) {
    if (i == majors) return reduce();
    const auto d = static_cast<std::size_t>(parallel_[i]);
    auto sizes = block_sizes(kernel_.dims[d].extent, kernel_.contraction);
    if (i >= 2) sizes = {kernel_.dims[d].extent <= 256 ? kernel_.dims[d].extent : 256, 16, 4, 1};
    if (divide_[d]) sizes = divisors_[d], std::erase_if(sizes, [](std::int64_t t) { return t > 4096; });
    if (kernel_.dims[d].single) sizes = {1};
    for (std::int64_t t : sizes) {
      if (t > kernel_.dims[d].extent) continue;
      current_.tile[d] = t;
      blocks(i + 1, majors);
    }
  }

  void spread(std::size_t i, std::size_t majors, std::int64_t left) {
    if (i == majors) {
      if (!thorough_ && worse_than_half(left)) return;
      doubtful_ = true;
      return tiles(0, majors);
    }
    const auto d = static_cast<std::size_t>(parallel_[i]);
    const std::int64_t extent = kernel_.dims[d].extent;
    for (std::int64_t s = 1; s <= left && s <= extent; ++s) {
      if ((s & (s - 1)) != 0 && extent % s != 0) continue;  // powers of two, and what divides evenly
      current_.split[d] = s;
      spread(i + 1, majors, left / s);
    }
    current_.split[d] = 1;
  }

  /// Leaving more than half of the components idle is worth trying only when the loops are too short for more.
  [[nodiscard]] bool worse_than_half(std::int64_t left) const {
    if (left <= 4) return false;
    for (int d : parallel_)
      if (current_.split[static_cast<std::size_t>(d)] * 2 <= kernel_.dims[static_cast<std::size_t>(d)].extent) return true;
    return false;
  }

  /// Candidate tile sizes along one dim, until one is refused.
  template <class Take>
  static void halve(std::int64_t extent, std::int64_t step, int most, const Take& take) {
    std::int64_t last = 0;
    for (int e = 0; e < most; ++e) {
      const std::int64_t part = ceil_div(extent, std::int64_t{1} << e),
                         t = part > step ? std::min(extent, ceil_div(part, step) * step) : part;
      if (t == last) continue;
      last = t;
      if (!take(t)) return;
    }
  }

  void tiles(std::size_t i, std::size_t majors) {
    if (leaves_out_ && doubtful_ && !may_fit(i, majors)) return;
    if (i == majors) return reduce();
    const auto d = static_cast<std::size_t>(parallel_[i]);
    const std::int64_t local = ceil_div(kernel_.dims[d].extent, current_.split[d]);
    int most = (i < 2 ? thorough_ ? 40 : 4 : 2) + effort_;
    while (i < 2 && kernel_.contraction && !machine_.grid && local >> most >= kSmall) ++most;
    const bool single = kernel_.dims[d].single;
    const auto take = [&](std::int64_t t) {
      current_.tile[d] = t;
      current_.trips[d] = ceil_div(local, t);
      tiles(i + 1, majors);
      return true;
    };
    if (single) {
      take(1);
    } else if (divide_[d]) {
      for (const std::int64_t t : divisors_[d])
        if (t <= local) take(t);
    } else {
      // Shares of instances stay equal: what lies on them is the next kernel's, too.
      halve(local, current_.split[d] == 1 ? steps_[d] : 1, most, take);
    }
    if (i >= 2 && local > 1 && !single) {  // the last resort of a long third dim
      current_.tile[d] = 1;
      current_.trips[d] = local;
      tiles(i + 1, majors);
    }
    current_.tile[d] = local;
    current_.trips[d] = 1;
  }

  /// Does anything fit, whatever the tiles along the dims from this one on, and of reductions? Single indices take the least.
  bool may_fit(std::size_t i, std::size_t majors) {
    const auto cut = [&](int d, std::int64_t tile, std::int64_t trips) {
      current_.tile[static_cast<std::size_t>(d)] = tile, current_.trips[static_cast<std::size_t>(d)] = trips;
    };
    for (; i < majors; ++i) {
      const auto d = static_cast<std::size_t>(parallel_[i]);
      cut(parallel_[i], 1, ceil_div(kernel_.dims[d].extent, current_.split[d]));
    }
    for (const int d : reductions_) cut(d, 1, kernel_.dims[static_cast<std::size_t>(d)].extent);
    const bool may = evaluator_.may_fit(current_);
    if (!may && nearest_.tile.empty()) nearest_ = current_;
    for (const int d : reductions_) cut(d, kernel_.dims[static_cast<std::size_t>(d)].extent, 1);
    return may;
  }

  /// The longest reduction is cut, the others stay whole; a thorough search cuts more and more of them into single indices.
  void reduce() {
    doubtful_ = true;
    cut_longest_reduction();
    if (!thorough_) return cut_short_reductions();
    for (std::size_t i = 1; i < reductions_.size(); ++i) {
      const auto d = static_cast<std::size_t>(reductions_[i]);
      current_.tile[d] = 1;
      current_.trips[d] = kernel_.dims[d].extent;
      cut_longest_reduction();
    }
    for (std::size_t i = 1; i < reductions_.size(); ++i) {
      const auto d = static_cast<std::size_t>(reductions_[i]);
      current_.tile[d] = kernel_.dims[d].extent;
      current_.trips[d] = 1;
    }
  }

  /// Steps that cost nothing by themselves become shorter still while they get better, where that may be the best of all: less has to be
  /// there before the first, and is left after the last.
  void cut_short_reductions() {
    if (machine_.grid || !evaluator_.steps_are_free() || reductions_.size() < 2 || !(least_ < best_cost_ * kNear)) return;
    std::size_t cut = 1;
    for (bool better = true; better && cut < reductions_.size(); ++cut) {
      const auto d = static_cast<std::size_t>(reductions_[cut]);
      current_.tile[d] = 1;
      current_.trips[d] = kernel_.dims[d].extent;
      const double whole = least_;
      cut_longest_reduction();
      better = least_ < whole * kBetter;
    }
    while (cut-- > 1) {
      const auto d = static_cast<std::size_t>(reductions_[cut]);
      current_.tile[d] = kernel_.dims[d].extent;
      current_.trips[d] = 1;
    }
  }

  void cut_longest_reduction() {
    if (reductions_.empty()) {
      offer();
      return;
    }
    const auto d = static_cast<std::size_t>(reductions_[0]);
    const std::int64_t extent = kernel_.dims[d].extent;
    const auto cut = [&](std::int64_t t) {
      current_.tile[d] = t;
      current_.trips[d] = ceil_div(extent, t);
      return offer();
    };
    if (machine_.grid) {
      if (extent <= 512 || !kernel_.contraction) cut(extent);
      for (std::int64_t t : {16384, 4096, 1024, 256, 128, 64, 32, 16, 4, 1})
        if (t < extent && (t <= 256 || !kernel_.contraction || extent > 65536) && (t >= 32 || thorough_)) cut(t);
    } else {
      // Short tokens need less room while they are handed on. Where there are more loops, tiles of the others make them short.
      // Where a step costs nothing by itself, they become shorter as long as they get better.
      int fitted = 0;
      const int more = reductions_.size() == 1 && parallel_.size() <= 2 ? 3 : 0;
      least_ = std::numeric_limits<double>::infinity();
      halve(extent, steps_[d], thorough_ ? 40 : 12, [&](std::int64_t t) {
        const double before = least_;
        return !(cut(t) && ++fitted > effort_ + more && !(evaluator_.steps_are_free() && least_ < before * kBetter));
      });
    }
    current_.tile[d] = extent;
    current_.trips[d] = 1;
  }

  bool offer() {
    ++tried_;
    if (nearest_.tile.empty()) nearest_ = current_;
    std::int64_t firings = 1;
    current_.order.clear();
    for (int d : parallel_)
      if (const std::int64_t trips = current_.trips[static_cast<std::size_t>(d)]; trips > 1) current_.order.push_back(d), firings *= trips;
    const auto loops = static_cast<std::ptrdiff_t>(current_.order.size());
    for (int d : reductions_)
      if (const std::int64_t trips = current_.trips[static_cast<std::size_t>(d)]; trips > 1) current_.order.push_back(d), firings *= trips;
    if (firings > (thorough_ ? kMostFirings * 64 : kMostFirings)) return false;
    if (!evaluator_.begin(current_, !found_)) {
      if (!found_) come_near();
      return false;
    }
    bool fits = false;
    for (int o = 0; o < (loops > 1 ? 2 : 1); ++o) {
      if (o == 1) std::reverse(current_.order.begin(), current_.order.begin() + loops);
      Best* best = best_so_far();
      if (!evaluator_.end(current_, best ? Limits{weights_, best->costs} : Limits{})) {
        come_near();
        continue;
      }
      if (current_.instances > program::kMostInstances) continue;
      fits = true;
      found_ = true;
      doubtful_ = false;
      least_ = std::min(least_, current_.cost);
      best_cost_ = std::min(best_cost_, current_.cost);
      if (!best) {
        best = last_ = &best_[last_key_];
        best->of.fill(current_);
        for (std::size_t w = 0; w < weights_.size(); ++w) best->costs[w] = cost_of(current_, weights_[w]);
      }
      for (std::size_t w = 0; w < weights_.size(); ++w)
        if (const double cost = cost_of(current_, weights_[w]); cost < best->costs[w] * (1 - 1e-9))
          best->of[w] = current_, best->costs[w] = cost;
    }
    return fits;
  }

  void come_near() {
    if (current_.storage > 0 && (nearest_.storage == 0 || current_.storage < nearest_.storage)) nearest_ = current_;
  }

  /// Of the split of the mapping at hand; none: it is the first. What is offered next is often split alike.
  Best* best_so_far() {
    const bool again = last_ && (machine_.grid || last_key_ == evaluator_.instances());
    if (again) return last_;
    if (!machine_.grid) last_key_ = evaluator_.instances();
    const auto at = best_.find(last_key_);
    return last_ = at == best_.end() ? nullptr : &at->second;
  }

  static constexpr std::int64_t kSmall = 128;          ///< tiles of long dims of products are tried down to this
  static constexpr double kBetter = 0.999;             ///< times the cost: what is worth another step
  static constexpr double kNear = 1.05;                ///< times the least cost: what may become the best
  static constexpr std::int64_t kMostFirings = 65536;  ///< of one instance: finer tiles are not worth timing

  const Machine& machine_;
  const Kernel& kernel_;
  const Evaluator& evaluator_;
  int effort_;
  const std::array<double, kHeldWeights.size()>& weights_;  ///< of what is held
  std::vector<bool> divide_;
  std::vector<std::vector<std::int64_t>> divisors_;  ///< of the dims that tiles must divide
  std::vector<int> parallel_, reductions_;
  std::vector<std::int64_t> steps_;  ///< by dim
  Mapping current_, nearest_;
  std::map<std::vector<std::int64_t>, Best> best_;  ///< by instances along each dim; on a grid one for all
  std::vector<std::int64_t> last_key_;
  Best* last_ = nullptr;  ///< of `last_key_`
  bool found_ = false, thorough_ = false;
  bool leaves_out_ = true;  ///< what cannot fit
  bool doubtful_ = true;    ///< nothing has fitted of what was offered with the tiles before, or with these splits
  std::int64_t tried_ = 0;
  double best_cost_ = std::numeric_limits<double>::infinity();
  double least_ = 0;  ///< cost, of the candidates that differ in the cut of reductions only
};

}  // namespace

SearchResult search_mappings(const Machine& machine, const Kernel& kernel, const Evaluator& evaluator, int effort, std::size_t most) {
  Search search(machine, kernel, evaluator, effort);
  search.run();
  return {search.best(most), search.nearest()};
}

}  // namespace switchyard::compiler
