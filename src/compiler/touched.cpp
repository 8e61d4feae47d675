#include "compiler/touched.h"

#include <algorithm>
#include <cstdlib>
#include <set>

namespace switchyard::compiler {
namespace {

using numerics::Affine;

constexpr std::int64_t kBoxes = 256;   // of one access
constexpr std::size_t kPieces = 4096;  // of all accesses together; what does not fit is not counted

/// Terms of a function, as steps upwards, that together reach evenly spaced values: no step leaps over what the smaller ones reach. Of such
/// sets one with many values, the smallest step of which is `spacing`.
struct Even {
  std::int64_t spacing = 1, reach = 0;
  std::set<int> variables;
};
Even evenly_spaced(const Affine& f, const std::vector<std::int64_t>& extents) {
  std::vector<Affine::Term> terms;
  for (const Affine::Term& t : f.terms)
    if (extents[static_cast<std::size_t>(t.variable)] > 1) terms.push_back({t.variable, std::abs(t.coefficient)});
  std::sort(terms.begin(), terms.end(), [](const auto& a, const auto& b) { return a.coefficient < b.coefficient; });
  Even best;
  for (std::size_t begin = 0; begin < terms.size(); ++begin) {
    Even even{terms[begin].coefficient, 0, {}};
    for (std::size_t i = begin; i < terms.size(); ++i) {
      const Affine::Term& t = terms[i];
      if (t.coefficient % even.spacing != 0 || t.coefficient > even.reach + even.spacing) continue;
      even.reach += t.coefficient * (extents[static_cast<std::size_t>(t.variable)] - 1);
      even.variables.insert(t.variable);
    }
    if (best.variables.empty() || even.reach / even.spacing > best.reach / best.spacing) best = std::move(even);
  }
  return best;
}

}  // namespace

/// Loops that several dimensions share, and those whose steps leave gaps, are taken one index at a time; where these are too many, at the
/// first one alone. What the others reach of a dimension is a range.
std::vector<Touched::Box> Touched::boxes_of(std::vector<Affine> index, std::vector<std::int64_t> extents) const {
  std::vector<int> uses(extents.size(), 0);
  for (const Affine& f : index)
    for (const Affine::Term& t : f.terms) ++uses[static_cast<std::size_t>(t.variable)];
  std::vector<std::int64_t> within = extents;  // 1: the loop is taken apart
  for (std::size_t v = 0; v < extents.size(); ++v)
    if (uses[v] > 1) within[v] = 1;
  std::vector<Even> even;
  for (const Affine& f : index) {
    even.push_back(evenly_spaced(f, within));
    for (const Affine::Term& t : f.terms)
      if (!even.back().variables.contains(t.variable)) within[static_cast<std::size_t>(t.variable)] = 1;
  }
  std::vector<std::size_t> apart;
  std::int64_t boxes = 1;
  for (std::size_t v = 0; v < extents.size(); ++v)
    if (uses[v] > 0 && within[v] < extents[v] && extents[v] <= kBoxes / boxes) boxes *= extents[v], apart.push_back(v);
  std::vector<Box> out;
  std::vector<std::int64_t> at(extents.size(), 0);
  for (std::int64_t number = 0; number < boxes; ++number) {
    std::int64_t rest = number;
    for (const std::size_t v : apart) at[v] = rest % extents[v], rest /= extents[v];
    Box box;
    for (std::size_t d = 0; d < index.size(); ++d) {
      const std::int64_t size = shape_[d], step = even[d].spacing;
      std::int64_t first = index[d].at(at), last = first + even[d].reach;
      for (const Affine::Term& t : index[d].terms)
        if (t.coefficient < 0 && even[d].variables.contains(t.variable)) {
          const std::int64_t down = t.coefficient * (extents[static_cast<std::size_t>(t.variable)] - 1);
          first += down, last += down;
        }
      if (first < 0) first += (-first + step - 1) / step * step;
      if (last >= size) last -= (last - size + step) / step * step;
      if (first > last) break;
      box.push_back({first, first == last ? 1 : step, (last - first) / step + 1});
    }
    if (box.size() == index.size()) out.push_back(std::move(box));
  }
  return out;
}

double Touched::size_of(const Box& box) {
  double size = 1;
  for (const Range& r : box) size *= static_cast<double>(r.count);
  return size;
}

/// Adds boxes of what is in `from` and not in `what`, perhaps without some of it; false when they share nothing.
bool Touched::subtract(const Box& from, const Box& what, std::vector<Box>& left) {
  std::vector<std::pair<std::int64_t, std::int64_t>> inside;  // per dimension, positions in the range of `from`: begin, end
  for (std::size_t d = 0; d < from.size(); ++d) {
    const Range &a = from[d], &b = what[d];
    const bool aligned = a.count == 1 || b.count == 1 || a.step == b.step;
    const std::int64_t step = a.count == 1 ? b.step : a.step;
    if (aligned && (a.first - b.first) % step != 0) return false;
    const std::int64_t begin = b.first <= a.first ? 0 : (b.first - a.first + a.step - 1) / a.step;
    const std::int64_t end = b.last() < a.first ? 0 : std::min(a.count, (b.last() - a.first) / a.step + 1);
    if (begin >= end) return false;
    inside.emplace_back(begin, end);
  }
  Box rest = from;
  const auto part = [](const Range& r, std::int64_t begin, std::int64_t end) {
    return Range{r.first + r.step * begin, end - begin == 1 ? 1 : r.step, end - begin};
  };
  for (std::size_t d = 0; d < from.size(); ++d) {
    const auto [begin, end] = inside[d];
    for (const auto& [b, e] : {std::pair{std::int64_t{0}, begin}, std::pair{end, from[d].count}}) {
      if (b == e) continue;
      left.push_back(rest);
      left.back()[d] = part(from[d], b, e);
    }
    rest[d] = part(from[d], begin, end);
  }
  return true;
}

void Touched::add(const std::vector<Affine>& index, const std::vector<std::int64_t>& extents, const std::vector<int>& unknown) {
  if (std::any_of(extents.begin(), extents.end(), [](std::int64_t e) { return e == 0; })) return;
  if (!unknown.empty()) {
    Touched alone(shape_);
    std::vector<Affine> known = index;
    for (const int d : unknown) known[static_cast<std::size_t>(d)] = {};
    alone.add(known, extents);
    somewhere_ = std::max(somewhere_, alone.count());
    return;
  }
  for (Box& box : boxes_of(index, extents)) {
    std::vector<Box> fresh{std::move(box)};
    const std::size_t before = boxes_.size();
    for (std::size_t b = 0; b < before && !fresh.empty() && fresh.size() < kPieces; ++b) {
      std::vector<Box> left;
      for (Box& f : fresh)
        if (!subtract(f, boxes_[b], left)) left.push_back(std::move(f));
      fresh = std::move(left);
    }
    if (boxes_.size() + fresh.size() > kPieces) continue;
    boxes_.insert(boxes_.end(), std::make_move_iterator(fresh.begin()), std::make_move_iterator(fresh.end()));
  }
}

double Touched::count() const {
  double all = 0;
  for (const Box& box : boxes_) all += size_of(box);
  return std::max(all, somewhere_);
}

}  // namespace switchyard::compiler
