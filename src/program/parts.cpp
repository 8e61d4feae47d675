#include "program/parts.h"

#include <set>
#include <span>
#include <tuple>

namespace switchyard::program {

Parts::Parts(const Buffer& buffer) {
  const Spread& spread = *buffer.spread;
  const auto count = static_cast<std::uint32_t>(part_count(spread));
  std::vector<Box> boxes;
  std::vector<std::uint32_t> alike;
  boxes.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    boxes.push_back(part_of(buffer, i));
    alike.push_back(i);
    const std::uint32_t component = spread.components[i];
    if (component >= instance_of_.size()) instance_of_.resize(component + 1, kNone);
    instance_of_[component] = i;
  }
  std::sort(alike.begin(), alike.end(), [&](std::uint32_t a, std::uint32_t b) { return std::tie(boxes[a], a) < std::tie(boxes[b], b); });
  group_of_.resize(count);
  for (std::uint32_t k = 0; k < count; ++k) {
    const std::uint32_t i = alike[k];
    if (k == 0 || groups_.back().box != boxes[i]) groups_.push_back({std::move(boxes[i]), {}});
    groups_.back().instances.push_back(i);
    group_of_[i] = static_cast<std::uint32_t>(groups_.size() - 1);
  }
  std::size_t most = 0;
  for (std::size_t d = 0; d < buffer.shape.size(); ++d) {
    std::set<std::int64_t> begins;
    for (const Group& group : groups_) begins.insert(group.box[d][0]);
    if (begins.size() <= most) continue;
    most = begins.size();
    line_ = d;
  }
  for (std::uint32_t g = 0; g < groups_.size(); ++g)
    if (!is_empty(groups_[g].box)) sorted_.push_back(g);
  if (buffer.shape.empty()) return;
  std::sort(sorted_.begin(), sorted_.end(), [this](std::uint32_t a, std::uint32_t b) {
    return std::tuple(groups_[a].box[line_][0], a) < std::tuple(groups_[b].box[line_][0], b);
  });
  for (const Group& group : groups_) longest_ = std::max(longest_, group.box[line_][1] - group.box[line_][0]);
}

namespace {

/// Lists that are needed for each box anew: many boxes are asked about, and most are small.
struct Scratch {
  struct Level {
    std::vector<std::int64_t> cuts;
    std::vector<std::uint32_t> coming, active;
  };
  std::vector<std::uint32_t> met;
  std::vector<Level> levels;  ///< by dimension
  Box cell;
};

/// Cells in row-major order, dimension by dimension: of each slab between two cuts only the groups that hold it are looked at further.
struct Slabs {
  const std::vector<Parts::Group>& groups;
  Scratch& scratch;

  template <class Visit>
  void sweep(std::size_t d, const std::vector<std::uint32_t>& held, Visit& visit) {
    if (d == scratch.cell.size()) return visit(scratch.cell, std::span<const std::uint32_t>(held));
    auto& [cuts, coming, active] = scratch.levels[d];
    coming = held;  // by where they begin
    active.clear();
    std::sort(coming.begin(), coming.end(), [&](std::uint32_t a, std::uint32_t b) { return begin_of(a, d) < begin_of(b, d); });
    std::size_t next = 0;
    for (std::size_t k = 0; k + 1 < cuts.size(); ++k) {
      if (active.empty()) {
        if (next == coming.size()) return;
        const auto first = std::lower_bound(cuts.begin(), cuts.end(), begin_of(coming[next], d));
        k = std::max(k, static_cast<std::size_t>(first - cuts.begin()));
      }
      std::erase_if(active, [&](std::uint32_t g) { return groups[g].box[d][1] <= cuts[k]; });
      while (next < coming.size() && begin_of(coming[next], d) <= cuts[k]) active.push_back(coming[next++]);
      if (active.empty()) continue;
      scratch.cell[d] = {cuts[k], cuts[k + 1]};
      sweep(d + 1, active, visit);
    }
  }
  [[nodiscard]] std::int64_t begin_of(std::uint32_t g, std::size_t d) const { return groups[g].box[d][0]; }
};

std::int64_t points_of(const Box& box) {
  std::int64_t points = 1;
  for (const auto& [begin, end] : box) points *= end - begin;
  return points;
}

}  // namespace

template <class Visit>
void Parts::cells(const Box& box, std::optional<std::uint32_t> own, Visit&& visit) const {
  thread_local Scratch scratch;
  auto& [met, levels, cell] = scratch;
  met.clear();
  meeting(box, [&](std::uint32_t g) {
    const auto& instances = groups_[g].instances;
    if (!own || instances.size() > 1 || instances.front() != *own) met.push_back(g);
  });
  if (met.empty()) return;
  std::sort(met.begin(), met.end());
  cell = box;
  if (met.size() == 1) {
    const Box& part = groups_[met.front()].box;
    for (std::size_t d = 0; d < box.size(); ++d) cell[d] = {std::max(box[d][0], part[d][0]), std::min(box[d][1], part[d][1])};
    return visit(cell, std::span<const std::uint32_t>(met));
  }
  if (levels.size() < box.size()) levels.resize(box.size());
  for (std::size_t d = 0; d < box.size(); ++d) {
    std::vector<std::int64_t>& cuts = levels[d].cuts;
    cuts.assign(box[d].begin(), box[d].end());
    for (const std::uint32_t g : met)
      for (const std::int64_t cut : groups_[g].box[d])
        if (cut > box[d][0] && cut < box[d][1]) cuts.push_back(cut);
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  }
  Slabs{groups_, scratch}.sweep(0, met, visit);
}

void Parts::append_instances(std::span<const std::uint32_t> groups, std::optional<std::uint32_t> own,
                             std::vector<std::uint32_t>& out) const {
  const auto first = static_cast<std::ptrdiff_t>(out.size());
  for (const std::uint32_t g : groups)
    for (const std::uint32_t i : groups_[g].instances)
      if (!own || *own != i) out.push_back(i);
  if (groups.size() > 1) std::sort(out.begin() + first, out.end());
}

std::vector<Message> Parts::messages(const Box& box, std::optional<std::uint32_t> own) const {
  std::vector<Message> out;
  cells(box, own, [&](const Box& cell, std::span<const std::uint32_t> holders) {
    append_instances(holders, own, out.emplace_back(Message{cell, {}}).instances);
  });
  return out;
}

void Parts::list(const Box& box, std::optional<std::uint32_t> own, std::vector<Listed>& messages,
                 std::vector<std::uint32_t>& instances) const {
  cells(box, own, [&](const Box& cell, std::span<const std::uint32_t> holders) {
    const auto first = static_cast<std::uint32_t>(instances.size());
    append_instances(holders, own, instances);
    messages.push_back({points_of(cell), first, static_cast<std::uint32_t>(instances.size())});
  });
}

Parts::Count Parts::count(const Box& box, std::optional<std::uint32_t> own, std::uint32_t here) const {
  Count result;
  cells(box, own, [&](const Box& cell, std::span<const std::uint32_t> holders) {
    ++result.messages;
    std::int64_t others = 0;
    for (const std::uint32_t g : holders)
      others += static_cast<std::int64_t>(groups_[g].instances.size()) - (here != kNone && group_of_[here] == g ? 1 : 0);
    result.widest = std::max(result.widest, others);
    result.points += points_of(cell);
  });
  return result;
}

}  // namespace switchyard::program
