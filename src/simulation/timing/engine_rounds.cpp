// Shortcuts over contexts: groups that are alike are played once, and where contexts of a group repeat and so does the state in which
// they start, whole rounds of them are skipped.
#include <algorithm>

#include "simulation/timing/counters.h"
#include "simulation/timing/engine.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

namespace {

constexpr std::size_t kLeastContexts = 4;  ///< of a group: fewer do not repeat
constexpr std::size_t kKept = 64;          ///< states remembered
constexpr std::size_t kKeptWords = std::size_t{1} << 22, kFewest = 3;

}  // namespace

/// What a group's run depends on; nothing where something else matters too.
std::vector<std::int64_t> Engine::key_of(const Group& group) const {
  std::vector<std::int64_t> key;
  if (!shortcuts_ || cache_) return key;
  for (std::uint32_t c = 0; c < group.preludes.size(); ++c) {
    const Prelude& prelude = group.preludes[c];
    if (prelude.load > 0 && chip_.context.resident > 1) return {};  // when it was loaded depends on the groups before
    const program::Context& context = program_.contexts[group.first + c];
    key.insert(key.end(), {prelude.launch, prelude.barrier, prelude.switching, prelude.load, classes_[group.first + c]});
    key.push_back(has_early_actors(context) ? group.first + c - early_from(context) : -1);
  }
  return key;
}

/// A group that is like an earlier one takes as long, for the same causes, and adds the same to the totals.
Result<GroupRun> Engine::run(const Group& group) {
  const std::vector<std::int64_t> key = key_of(group);
  if (key.empty()) return play_group(group);
  if (const auto known = known_.find(key); known != known_.end()) {
    auto added = known->second.totals.begin();
    for_totals([&](std::int64_t& total) {
      if (added != known->second.totals.end()) add_repeated(total, 1, *added++);
    });
    if (too_long_) return too_long(group.first);
    return known->second.run;
  }
  std::vector<std::int64_t> before;
  for_totals([&](std::int64_t& total) { before.push_back(total); });
  SY_TRY(GroupRun run, play_group(group));
  KnownGroup& known = known_[key];
  for_totals([&](std::int64_t& total) {
    const std::size_t n = known.totals.size();
    known.totals.push_back(total - (n < before.size() ? before[n] : 0));
  });
  known.run = run;
  known.run.played = 0;
  return run;
}

/// Numbers the contexts of a group by what starts with them: they themselves, and early actors of later ones.
void Engine::prepare_boundaries() {
  boundaries_.clear();
  at_boundaries_.clear();
  if (!shortcuts_ || cache_ || runs_.size() < kLeastContexts) return;
  std::map<std::vector<std::int64_t>, std::uint32_t> known;
  for (std::uint32_t c = 0; c < runs_.size(); ++c) {
    const Prelude& prelude = preludes_[c];
    if (prelude.load > 0 && chip_.context.resident > 1) {
      boundaries_.clear();
      return;
    }
    std::vector<std::int64_t> key{prelude.launch, prelude.barrier, prelude.switching, prelude.load, classes_[first_ + c]};
    for (const std::uint32_t early : early_starts_[c]) key.insert(key.end(), {early - c, classes_[first_ + early]});
    boundaries_.push_back(known.emplace(std::move(key), static_cast<std::uint32_t>(known.size())).first->second);
  }
}

/// How many more rounds of contexts will be like those since `old`.
std::uint32_t Engine::context_periods_left(const Snapshot& old) const {
  const std::uint32_t here = running_ + shift_, round = here - old.running;
  std::uint32_t alike = 0;  // contexts from here on that start like those a round before
  while (here + alike + 1 < boundaries_.size() && boundaries_[here + alike + 1] == boundaries_[here + alike + 1 - round]) ++alike;
  for (std::uint32_t periods = alike / round; periods > 0; --periods) {
    bool same = here + periods * round + (built_ - running_) <= runs_.size();
    for (std::uint32_t c = running_; c < built_ && same; ++c) {
      same = classes_[contexts_[c].number] == classes_[contexts_[c].number + periods * round];
    }
    if (same) return periods;
  }
  return 0;
}

void Engine::look_back_over_contexts() {
  const std::uint32_t here = running_ + shift_;
  if (boundaries_.empty() || here + 1 >= runs_.size()) return;
  if (std::count(boundaries_.begin(), boundaries_.end(), boundaries_[here]) < 3) return;  // no round that could come again
  Snapshot now = std::move(spare_);
  capture(now, true);
  for (auto old = at_boundaries_.rbegin(); old != at_boundaries_.rend(); ++old) {
    if (old->hash != now.hash || old->key != now.key || old->variables != now.variables || old->dealt != now.dealt) continue;
    if (old->log == now.log || old->counters.size() != now.counters.size()) continue;
    if (const std::uint32_t periods = context_periods_left(*old); periods > 0) {
      skip_contexts(*old, now, periods);
      at_boundaries_.erase(old.base(), at_boundaries_.end());  // what was taken since then would cut the round that the jump repeats
      spare_ = std::move(now);
      return;
    }
  }
  const std::size_t most = std::clamp(kKeptWords / (now.key.size() + now.variables.size() + 1), kFewest, kKept);
  if (at_boundaries_.size() >= most) at_boundaries_.erase(at_boundaries_.begin());
  at_boundaries_.push_back(std::move(now));
  spare_ = {};
}

void Engine::skip_contexts(const Snapshot& old, const Snapshot& now, std::uint32_t periods) {
  const std::uint32_t here = running_ + shift_, round = here - old.running, skipped = periods * round;
  const std::int64_t period = now.time - old.time;
  SY_CHECK(round > 0 && round <= here && here + skipped + (built_ - running_) <= runs_.size(), "rounds are of contexts of the group");
  for (std::uint32_t c = here; c < here + skipped; ++c) {
    runs_[c] = runs_[c - round];
    runs_[c].begin += period;
    runs_[c].end += period;
    runs_[c].opens += period;
    ended_at_[first_ + c] = ended_at_[first_ + c - round] + period;
  }
  for (std::uint32_t c = running_; c < built_; ++c) {
    ContextState& context = contexts_[c];
    context.number += skipped;
    context.context = &program_.contexts[context.number];
    context.run.begin += periods * period;
    context.run.end += periods * period;
    context.run.opens += periods * period;
  }
  std::size_t n = 0;
  window_served_ -= served();
  for_totals([&](std::int64_t& total) {
    add_repeated(total, periods, now.counters[n] - old.counters[n]);
    ++n;
  });
  window_served_ += served();
  window_from_ += periods * period;
  shift_ += skipped;
  add_repeated(skipped_, periods, period);
  jumps_.push_back({old.log, now.log, periods, now_ - old.clock, round});
}

}  // namespace switchyard::simulation::timing
