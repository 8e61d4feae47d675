#include "simulation/timing/recorder.h"

#include <algorithm>

#include "simulation/timing/activity.h"

namespace switchyard::simulation::timing {
namespace {

template <class T>
T& grown(std::vector<T>& list, std::size_t i, const T& value) {
  if (i >= list.size()) list.resize(i + 1, value);
  return list[i];
}

}  // namespace

void Recorder::begin_group(std::int64_t origin) {
  origin_ = origin;
  slice_of_.clear();
  tokens_.clear();
  taken_.clear();
  last_use_.clear();
  first_use_ = recording_.uses.size();
  first_flow_ = recording_.flows.size();
}

void Recorder::slice(std::uint32_t activity, Recording::Slice slice) {
  slice.begin += Picoseconds(origin_);
  slice.end += Picoseconds(origin_);
  reached_ = std::max(reached_, slice.end.value);
  grown(slice_of_, activity, Recording::kNone) = static_cast<std::uint32_t>(recording_.slices.size());
  recording_.slices.push_back(slice);
}

void Recorder::use(std::uint32_t activity, std::uint32_t resource, std::int64_t begin, std::int64_t end, std::int64_t bytes) {
  begin += origin_;
  end += origin_;
  // The chunks of a transfer that nothing interrupts are one use.
  const auto [last, first_time] = last_use_.emplace(resource, recording_.uses.size());
  if (!first_time) {
    Recording::Use& before = recording_.uses[last->second];
    if (before.slice == activity && before.end.value == begin) {
      before.end = Picoseconds(end);
      before.bytes += bytes;
      return;
    }
    last->second = recording_.uses.size();
  }
  recording_.uses.push_back({Picoseconds(begin), Picoseconds(end), resource, activity, bytes});
}

void Recorder::produced(std::uint32_t ring, std::uint32_t number, std::uint32_t activity) {
  if (number < limit_) grown(grown(tokens_, ring, {}), number, kNone) = activity;
}

void Recorder::takes(std::uint32_t ring, std::uint32_t number, std::uint32_t count) {
  const std::vector<std::uint32_t>& tokens = grown(tokens_, ring, {});
  for (std::size_t n = number; n < std::size_t{number} + count && n < tokens.size(); ++n) taken_.push_back(tokens[n]);
}

void Recorder::begins(std::uint32_t activity) {
  std::sort(taken_.begin(), taken_.end());
  taken_.erase(std::unique(taken_.begin(), taken_.end()), taken_.end());
  for (const std::uint32_t from : taken_) {
    if (activity != kNone && from != kNone && from != activity) recording_.flows.push_back({from, activity});
  }
  taken_.clear();
}

/// Activities become slices; what belongs to one that was not recorded goes.
void Recorder::end_group() {
  const auto slice_of = [&](std::uint32_t activity) { return activity < slice_of_.size() ? slice_of_[activity] : Recording::kNone; };
  std::size_t kept = first_use_;
  for (std::size_t u = first_use_; u < recording_.uses.size(); ++u) {
    Recording::Use use = recording_.uses[u];
    use.slice = slice_of(use.slice);
    if (use.slice != Recording::kNone) recording_.uses[kept++] = use;
  }
  recording_.uses.resize(kept);
  kept = first_flow_;
  for (std::size_t f = first_flow_; f < recording_.flows.size(); ++f) {
    const Recording::Flow flow{slice_of(recording_.flows[f].from), slice_of(recording_.flows[f].to)};
    if (flow.from != Recording::kNone && flow.to != Recording::kNone) recording_.flows[kept++] = flow;
  }
  recording_.flows.resize(kept);
  first_use_ = recording_.uses.size();
  first_flow_ = recording_.flows.size();
}

void Recorder::finish(const Fabric& fabric) {
  end_group();
  std::map<std::uint32_t, std::uint32_t> numbers;  // of resources with a name
  for (const auto& list : {fabric.reported(), fabric.reported_circuits()})
    for (const Fabric::Named& named : list) {
      numbers.emplace(named.resource, static_cast<std::uint32_t>(recording_.resources.size()));
      recording_.resources.push_back(named.name);
    }
  std::size_t kept = 0;
  for (Recording::Use use : recording_.uses) {
    const auto number = numbers.find(use.resource);
    if (number == numbers.end()) continue;  // the engines of movers: their transfers are slices already
    use.resource = number->second;
    recording_.uses[kept++] = use;
  }
  recording_.uses.resize(kept);
  recording_.until = Picoseconds(reached_);
  recording_.complete = !full();
}

}  // namespace switchyard::simulation::timing
