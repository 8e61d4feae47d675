// Coordinates are compressed: between neighbouring boundaries of all boxes nothing changes, so that one cell stands for a block of points.
#include "program/boxes.h"

#include <algorithm>

namespace switchyard::program {

namespace {

constexpr std::size_t kMostCells = std::size_t{1} << 26;

class Cells {
 public:
  Cells(const std::vector<const std::vector<Box>*>& sets) {
    for (const auto* set : sets)
      for (const Box& box : *set) rank_ = box.size();
    bounds_.resize(rank_);
    for (const auto* set : sets)
      for (const Box& box : *set)
        for (std::size_t d = 0; d < rank_; ++d) bounds_[d].insert(bounds_[d].end(), {box[d][0], box[d][1]});
    std::size_t count = 1;
    for (auto& bounds : bounds_) {
      std::sort(bounds.begin(), bounds.end());
      bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
      const std::size_t cells = bounds.size() < 2 ? 1 : bounds.size() - 1;
      fits_ = fits_ && count <= kMostCells / cells;
      if (fits_) count *= cells;
    }
    if (fits_) marks_.assign(count, false);
  }

  bool fits() const { return fits_; }

  /// Visits the cells of a box: visit(cell) returns false to stop there. True when it was never stopped.
  template <class Visit>
  std::optional<std::vector<std::int64_t>> each(const Box& box, Visit&& visit) {
    if (is_empty(box)) return std::nullopt;
    std::vector<std::size_t> first(rank_), last(rank_), here(rank_);
    for (std::size_t d = 0; d < rank_; ++d) {
      first[d] = static_cast<std::size_t>(std::lower_bound(bounds_[d].begin(), bounds_[d].end(), box[d][0]) - bounds_[d].begin());
      last[d] = static_cast<std::size_t>(std::lower_bound(bounds_[d].begin(), bounds_[d].end(), box[d][1]) - bounds_[d].begin());
    }
    here = first;
    while (true) {
      std::size_t cell = 0;
      for (std::size_t d = 0; d < rank_; ++d) cell = cell * (bounds_[d].size() - 1) + here[d];
      if (!visit(cell)) {
        std::vector<std::int64_t> point(rank_);
        for (std::size_t d = 0; d < rank_; ++d) point[d] = bounds_[d][here[d]];
        return point;
      }
      std::size_t d = rank_;
      while (d > 0 && ++here[d - 1] == last[d - 1]) {
        here[d - 1] = first[d - 1];
        --d;
      }
      if (d == 0) return std::nullopt;
    }
  }

  std::vector<bool>& marks() { return marks_; }

 private:
  std::size_t rank_ = 0;
  bool fits_ = true;
  std::vector<std::vector<std::int64_t>> bounds_;
  std::vector<bool> marks_;
};

}  // namespace

bool is_empty(const Box& box) {
  return std::any_of(box.begin(), box.end(), [](const Interval& i) { return i[0] >= i[1]; });
}

bool contains(const Box& outer, const Box& inner) {
  if (is_empty(inner)) return true;
  for (std::size_t d = 0; d < inner.size(); ++d)
    if (inner[d][0] < outer[d][0] || inner[d][1] > outer[d][1]) return false;
  return true;
}

bool overlap(const Box& a, const Box& b) {
  for (std::size_t d = 0; d < a.size(); ++d)
    if (std::max(a[d][0], b[d][0]) >= std::min(a[d][1], b[d][1])) return false;
  return true;
}

std::vector<Interval> merge(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end());
  std::vector<Interval> result;
  for (const Interval& interval : intervals) {
    if (interval[0] >= interval[1]) continue;
    if (!result.empty() && interval[0] <= result.back()[1])
      result.back()[1] = std::max(result.back()[1], interval[1]);
    else
      result.push_back(interval);
  }
  return result;
}

std::optional<std::vector<std::int64_t>> uncovered_point(const std::vector<Box>& inner, const std::vector<Box>& outer, bool& exact) {
  std::vector<Box> open;
  for (const Box& box : inner)
    if (std::none_of(outer.begin(), outer.end(), [&](const Box& o) { return contains(o, box); })) open.push_back(box);
  if (open.empty()) return std::nullopt;
  Cells cells({&open, &outer});
  exact = cells.fits();
  if (!exact) return std::nullopt;
  for (const Box& box : outer)
    cells.each(box, [&](std::size_t cell) {
      cells.marks()[cell] = true;
      return true;
    });
  for (const Box& box : open)
    if (auto point = cells.each(box, [&](std::size_t cell) { return static_cast<bool>(cells.marks()[cell]); })) return point;
  return std::nullopt;
}

std::optional<std::vector<std::int64_t>> doubly_covered_point(const std::vector<Box>& boxes, bool& exact) {
  exact = true;
  if (boxes.size() < 2) return std::nullopt;
  Cells cells({&boxes});
  exact = cells.fits();
  if (!exact) return std::nullopt;
  for (const Box& box : boxes)
    if (auto point = cells.each(box, [&](std::size_t cell) {
          const bool fresh = !cells.marks()[cell];
          cells.marks()[cell] = true;
          return fresh;
        }))
      return point;
  return std::nullopt;
}

std::optional<std::vector<std::int64_t>> common_point(const std::vector<Box>& a, const std::vector<Box>& b, bool& exact) {
  exact = true;
  if (a.size() * b.size() <= 4096) {
    for (const Box& x : a)
      for (const Box& y : b)
        if (!is_empty(x) && !is_empty(y) && overlap(x, y)) {
          std::vector<std::int64_t> point;
          for (std::size_t d = 0; d < x.size(); ++d) point.push_back(std::max(x[d][0], y[d][0]));
          return point;
        }
    return std::nullopt;
  }
  Cells cells({&a, &b});
  exact = cells.fits();
  if (!exact) return std::nullopt;
  for (const Box& box : a)
    cells.each(box, [&](std::size_t cell) {
      cells.marks()[cell] = true;
      return true;
    });
  for (const Box& box : b)
    if (auto point = cells.each(box, [&](std::size_t cell) { return !cells.marks()[cell]; })) return point;
  return std::nullopt;
}

}  // namespace switchyard::program
