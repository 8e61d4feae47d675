#include "program/fold.h"

#include <algorithm>

#include "program/instance.h"

namespace switchyard::program {

namespace {

std::int64_t down(std::int64_t a, std::int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); }

}  // namespace

Fold::Fold(const Buffer& buffer, std::span<const Use* const> uses) : buffer_(&buffer) {
  const Spread& spread = *buffer.spread;
  const std::size_t count = spread.shape.size();
  for (const std::int64_t extent : spread.shape) reach_.push_back(extent);
  middle_.assign(count, {0, 0});
  // Each coordinate moves one dimension or none, each dimension with one coordinate or none.
  std::vector<int> moves(count, -1);
  for (std::size_t d = 0; d < spread.start.size(); ++d) {
    if (spread.start[d].terms.size() > 1) return;
    for (const auto& term : spread.start[d].terms) {
      int& moved = moves[static_cast<std::size_t>(term.variable)];
      if (moved >= 0) return;
      moved = static_cast<int>(d);
    }
  }
  for (const Use* use : uses)
    if (use->array->shape != spread.shape || use->array->components != spread.components || !use->moves_as(spread)) return;
  std::vector<Box> hulls;  // at the origin
  for (const Use* use : uses)
    if (auto hull = use->hull(); !hull.empty()) hulls.push_back(std::move(hull));
  for (std::size_t v = 0; v < count; ++v) {
    const std::int64_t n = spread.shape[v];
    if (moves[v] < 0) {
      middle_[v] = {0, n};
      continue;
    }
    const auto d = static_cast<std::size_t>(moves[v]);
    const std::int64_t step = spread.start[d].terms[0].coefficient, origin = spread.start[d].constant;
    Interval all{origin, origin + spread.extent[d]}, clip{0, buffer.shape[d]};
    std::int64_t far = spread.extent[d];
    for (const Box& hull : hulls) {
      far = std::max({far, hull[d][1] - origin, origin + spread.extent[d] - hull[d][0]});
      all = {std::min(all[0], hull[d][0]), std::max(all[1], hull[d][1])};
    }
    for (const Use* use : uses) clip = {std::max(clip[0], use->access->region[d][0]), std::min(clip[1], use->access->region[d][1])};
    reach_[v] = far / std::abs(step) + 1;
    // Instances that nothing clips: all[0] + step * c >= clip[0] and all[1] + step * c <= clip[1].
    const std::int64_t width = std::abs(step);
    Interval whole = step > 0 ? Interval{-down(all[0] - clip[0], width), down(clip[1] - all[1], width)}
                              : Interval{-down(clip[1] - all[1], width), down(all[0] - clip[0], width)};
    whole = {std::max<std::int64_t>(whole[0], 0), std::min(whole[1], n - 1)};
    middle_[v] = {whole[0] + reach_[v], whole[1] - reach_[v] + 1};
    if (middle_[v][1] - middle_[v][0] < 2) middle_[v] = {0, 0};
  }
}

void Fold::open() { middle_.assign(middle_.size(), {0, 0}); }

void Fold::limit(const Fold& other) {
  for (std::size_t v = 0; v < middle_.size(); ++v) {
    middle_[v] = {std::max(middle_[v][0], other.middle_[v][0]), std::min(middle_[v][1], other.middle_[v][1])};
    if (middle_[v][1] - middle_[v][0] < 2) middle_[v] = {0, 0};
  }
}

std::vector<std::uint32_t> Fold::list(bool near) const {
  const Spread& spread = *buffer_->spread;
  std::vector<std::uint32_t> result;
  const auto total = static_cast<std::uint32_t>(spread.components.size());
  if (std::all_of(middle_.begin(), middle_.end(), [](const Interval& m) { return m[0] >= m[1]; })) {
    for (std::uint32_t i = 0; i < total; ++i) result.push_back(i);
    return result;
  }
  std::vector<std::vector<std::int64_t>> at(spread.shape.size());
  for (std::size_t v = 0; v < at.size(); ++v)
    for (std::int64_t c = 0; c < spread.shape[v]; ++c) {
      const auto& [begin, end] = middle_[v];
      // Of the middle its first; those near it, and near what comes after the middle.
      const bool left_out = near ? c > begin + reach_[v] && c < end - reach_[v] : c > begin && c < end;
      if (!left_out) at[v].push_back(c);
    }
  std::vector<std::size_t> pick(at.size(), 0);
  while (true) {
    std::int64_t instance = 0;
    for (std::size_t v = 0; v < at.size(); ++v) instance = instance * spread.shape[v] + at[v][pick[v]];
    result.push_back(static_cast<std::uint32_t>(instance));
    std::size_t v = at.size();
    while (v > 0 && ++pick[v - 1] == at[v - 1].size()) pick[--v] = 0;
    if (v == 0) return result;
  }
}

std::vector<std::uint32_t> Fold::list_of(const Array& array, bool near) const {
  if (array.components == buffer_->spread->components && array.shape == buffer_->spread->shape) return list(near);
  std::vector<std::uint32_t> all;
  for (std::uint32_t i = 0; i < array.components.size(); ++i) all.push_back(i);
  return all;
}

Fold::Speaker Fold::speaker_of(std::uint32_t instance) const {
  const Spread& spread = *buffer_->spread;
  Speaker result{0, std::vector<std::int64_t>(spread.start.size(), 0)};
  std::int64_t rest = instance, stride = 1, linear = 0;
  std::vector<std::int64_t> moved(spread.shape.size(), 0);
  for (std::size_t v = spread.shape.size(); v-- > 0;) {
    std::int64_t c = rest % spread.shape[v];
    rest /= spread.shape[v];
    if (c > middle_[v][0] && c < middle_[v][1]) {
      moved[v] = c - middle_[v][0];
      c = middle_[v][0];
    }
    linear += c * stride;
    stride *= spread.shape[v];
  }
  for (std::size_t d = 0; d < spread.start.size(); ++d)
    for (const auto& term : spread.start[d].terms) result.shift[d] += term.coefficient * moved[static_cast<std::size_t>(term.variable)];
  result.instance = static_cast<std::uint32_t>(linear);
  return result;
}

std::optional<Sending> count_messages(const Buffer& buffer, const Parts& parts, const Use& use) {
  Sending result;
  const Use* uses[] = {&use};
  for (const std::uint32_t i : Fold(buffer, uses).speakers(*use.array)) {
    const std::uint32_t here = parts.on(use.array->components[i]);
    const auto own = use.updates && here != Parts::kNone ? std::optional(here) : std::nullopt;
    const bool said = use.each(i, [&](const Box& box) {
      const Parts::Count count = parts.count(box, own, here);
      if (count.messages > result.most) {
        result.most = count.messages;
        result.where = i;
      }
      result.widest = std::max(result.widest, count.widest);
    });
    if (!said) return std::nullopt;
  }
  return result;
}

}  // namespace switchyard::program
