#include "program/touch.h"

#include <algorithm>

#include "program/findings.h"
#include "program/sequence.h"
#include "program/spread.h"

namespace switchyard::program {

namespace {

constexpr std::int64_t kMostBoxes = std::int64_t{1} << 22;

class Toucher {
 public:
  Toucher(const BufferAccess& access, std::span<const std::int64_t> extent, const std::vector<Interval>& variables)
      : access_(access), extents_(extent), rank_(access.start.size()), variables_(variables) {}

  Reach run() {
    for (const Interval& variable : variables_)
      if (variable[0] >= variable[1]) return touch_;
    std::vector<int> uses(variables_.size(), 0);
    for (const auto& start : access_.start)
      for (const auto& term : start.terms) ++uses[static_cast<std::size_t>(term.variable)];
    bool repeats = false, product = true;
    for (std::size_t v = 0; v < variables_.size(); ++v) {
      repeats = repeats || (uses[v] == 0 && variables_[v][1] - variables_[v][0] > 1);
      product = product && uses[v] <= 1;
    }
    if (product)
      by_dimension();
    else
      one_by_one(uses);
    if (repeats && !touch_.boxes.empty()) {
      touch_.twice = true;
      touch_.where.clear();
      for (const Interval& interval : touch_.boxes.front()) touch_.where.push_back(interval[0]);
    }
    return std::move(touch_);
  }

 private:
  Interval clip(std::size_t d, std::int64_t start) const {
    return {std::max(start, access_.region[d][0]), std::min(start + extents_[d], access_.region[d][1])};
  }

  /// Calls visit(values) for every vector of the variables listed, others at their first value. False when there are too many.
  template <class Visit>
  bool each(const std::vector<std::size_t>& list, Visit&& visit) {
    std::int64_t count = 1;
    std::vector<std::int64_t> values;
    for (const Interval& variable : variables_) values.push_back(variable[0]);
    for (const std::size_t v : list)
      if (__builtin_mul_overflow(count, variables_[v][1] - variables_[v][0], &count) || count > kMostBoxes) return false;
    while (true) {
      visit(values);
      std::size_t k = list.size();
      while (k > 0 && ++values[list[k - 1]] == variables_[list[k - 1]][1]) {
        values[list[k - 1]] = variables_[list[k - 1]][0];
        --k;
      }
      if (k == 0) return true;
    }
  }

  /// The dimensions move with different variables: the set is a product, and each dimension can be looked at alone.
  void by_dimension() {
    std::vector<std::vector<Interval>> merged(rank_);
    std::int64_t count = 1;
    std::size_t double_dimension = rank_;
    std::int64_t double_index = 0;
    for (std::size_t d = 0; d < rank_; ++d) {
      std::vector<std::size_t> list;
      for (const auto& term : access_.start[d].terms) list.push_back(static_cast<std::size_t>(term.variable));
      std::vector<Interval> intervals;
      touch_.countable =
          each(list, [&](const std::vector<std::int64_t>& values) { intervals.push_back(clip(d, access_.start[d].at(values))); });
      if (!touch_.countable) return;
      std::erase_if(intervals, [](const Interval& i) { return i[0] >= i[1]; });
      std::sort(intervals.begin(), intervals.end());
      for (std::size_t i = 0; i + 1 < intervals.size() && double_dimension == rank_; ++i)
        if (intervals[i + 1][0] < intervals[i][1]) {
          double_dimension = d;
          double_index = intervals[i + 1][0];
        }
      merged[d] = merge(std::move(intervals));
      if (merged[d].empty()) return;  // nothing is touched at all
      count *= static_cast<std::int64_t>(merged[d].size());
      if (count > kMostBoxes) {
        touch_.countable = false;
        return;
      }
    }
    std::vector<std::size_t> pick(rank_, 0);
    while (true) {
      Box& box = touch_.boxes.emplace_back();
      for (std::size_t d = 0; d < rank_; ++d) box.push_back(merged[d][pick[d]]);
      std::size_t d = rank_;
      while (d > 0 && ++pick[d - 1] == merged[d - 1].size()) pick[--d] = 0;
      if (d == 0) break;
    }
    if (double_dimension == rank_) return;
    touch_.twice = true;
    for (std::size_t d = 0; d < rank_; ++d) touch_.where.push_back(d == double_dimension ? double_index : merged[d][0][0]);
  }

  void one_by_one(const std::vector<int>& uses) {
    std::vector<std::size_t> list;
    for (std::size_t v = 0; v < uses.size(); ++v)
      if (uses[v] > 0) list.push_back(v);
    touch_.countable = each(list, [&](const std::vector<std::int64_t>& values) {
      Box box;
      for (std::size_t d = 0; d < rank_; ++d) box.push_back(clip(d, access_.start[d].at(values)));
      if (!is_empty(box)) touch_.boxes.push_back(std::move(box));
    });
    if (!touch_.countable) return;
    bool exact = true;
    if (const auto point = doubly_covered_point(touch_.boxes, exact)) {
      touch_.twice = true;
      touch_.where = *point;
    }
    touch_.countable = exact;
    std::sort(touch_.boxes.begin(), touch_.boxes.end());
    touch_.boxes.erase(std::unique(touch_.boxes.begin(), touch_.boxes.end()), touch_.boxes.end());
  }

  const BufferAccess& access_;
  std::span<const std::int64_t> extents_;
  std::size_t rank_;
  const std::vector<Interval>& variables_;
  Reach touch_;
};

}  // namespace

Reach reach_of(const BufferAccess& access, std::span<const std::int64_t> extent, const std::vector<Interval>& variables) {
  return Toucher(access, extent, variables).run();
}

std::vector<std::int64_t> reached_extent(const Program& program, const Actor& mover, const BufferAccess& access) {
  const auto extent = move_extent(mover, access);
  std::vector<std::int64_t> reached(extent.begin(), extent.end());
  for (const Port& port : mover.ports)
    if (port.picks >= 0 && &access == &*mover.source)
      reached[static_cast<std::size_t>(port.picks)] = program.buffers[access.buffer.index()].shape[static_cast<std::size_t>(port.picks)];
  return reached;
}

std::vector<Interval> transfer_loops(const Actor& mover) {
  const Port* port = data_port(mover, mover.destination.has_value());
  return guard_box(mover, port != nullptr ? port->guard : Guard{});
}

}  // namespace switchyard::program
