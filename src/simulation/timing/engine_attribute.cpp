// The walk back along the critical path.
#include <algorithm>

#include "simulation/timing/engine.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

namespace {

std::size_t at(Cause cause) { return static_cast<std::size_t>(cause); }

}  // namespace

/// Adds the time of an activity, which came so many times, to its context and its causes.
void Engine::account(const Step& step, std::int64_t times) {
  const Activity& a = log_[step.activity];
  const std::int64_t time = step.end - a.begin;
  const bool special = a.what >= Activity::kSwitch;
  SY_CHECK(special || a.what < kinds_.size(), "an activity is of a plan");
  const std::size_t context = special ? static_cast<std::size_t>(a.account) : kinds_[a.what].context;
  SY_CHECK(context + step.shift < runs_.size(), "an activity belongs to a context of its group");
  ContextRun& run = runs_[context + step.shift];
  auto& causes = run.attribution;
  if (a.what == Activity::kLaunch) {
    run.launch += times * time;
  } else if (special) {
    causes[at(a.what == Activity::kSwitch ? Cause::reconfiguration : Cause::control)] += times * time;
  } else if (const ActivityKind& kind = kinds_[a.what]; kind.moves) {
    const std::int64_t network = time - kind.startup - step.account;
    SY_CHECK(step.account >= 0 && network >= 0, "the account of a transfer covers its time");
    causes[at(Cause::control)] += times * kind.startup;
    causes[at(Cause::memory)] += times * step.account;
    causes[at(Cause::interconnect)] += times * network;
  } else {
    SY_CHECK(context < contexts_.size() && kind.unit_class < contexts_[context].units.size(), "a context knows its units");
    const std::int64_t units = contexts_[context].units[kind.unit_class];
    SY_CHECK(units > 0, "units that were busy");
    const std::int64_t idle = (units * time - step.account) / units;
    SY_CHECK(idle >= 0 && idle <= time, "busy units of a class");
    causes[at(Cause::compute)] += times * (time - idle);
    causes[at(Cause::imbalance)] += times * idle;
  }
}

/// Back along the critical path from an activity that was under way after the first `jumps` jumps, until one that began before `floor`,
/// which is returned. Nothing is counted zero times.
Engine::Step Engine::walk(Step step, std::size_t jumps, std::uint32_t floor, std::int64_t times) {
  for (;;) {
    while (jumps > 0 && jumps_[jumps - 1].until > step.activity && jumps_[jumps - 1].until > floor) step = walk_jump(--jumps, step, times);
    if (step.activity == kNone || step.activity < floor) return step;
    if (times > 0) account(step, times);
    const Activity& a = log_[step.activity];
    step = {a.before, a.begin, a.before == kNone ? 0 : log_[a.before].account, step.shift};
  }
}

/// Over the repetitions of a period, from an activity that was under way after the last one to its like after the first. An activity that
/// began before a repetition began is the like of one that began in the repetition before.
Engine::Step Engine::walk_jump(std::size_t number, Step entry, std::int64_t times) {
  const Jump jump = jumps_[number];
  const auto pass = [&](const Step& from, std::int64_t visits) {
    const Step step = walk(from, number, jump.from, visits);
    SY_CHECK(step.activity != kNone, "a period goes back to the one before");
    SY_CHECK(from.shift >= jump.contexts, "no more contexts repeat than were skipped");
    // Its like is again after the jumps inside the period: what the walk took off the shift there is none of the repetition before's.
    return Step{step.activity + (jump.until - jump.from), step.end + jump.period, step.account, from.shift - jump.contexts};
  };
  if (jump.contexts > 0) {  // each repetition is one of other contexts
    for (std::int64_t i = 0; i < jump.count; ++i) entry = pass(entry, times);
    return entry;
  }
  std::vector<Step> entries;  // by repetition, until they recur
  std::size_t again = 0;      // the one that the last leads back to
  while (static_cast<std::int64_t>(entries.size()) < jump.count) {
    const auto known = std::find(entries.begin(), entries.end(), entry);
    if (known != entries.end()) {
      again = static_cast<std::size_t>(known - entries.begin());
      break;
    }
    entries.push_back(entry);
    entry = pass(entry, 0);
  }
  const auto met = static_cast<std::int64_t>(entries.size());
  const std::int64_t rest = jump.count - met, cycle = met - static_cast<std::int64_t>(again);
  for (std::size_t i = 0; i < entries.size() && times > 0; ++i) {
    std::int64_t visits = 1;
    if (rest > 0 && i >= again) visits += rest / cycle + (static_cast<std::int64_t>(i - again) < rest % cycle ? 1 : 0);
    walk(entries[i], number, jump.from, visits * times);
  }
  return rest > 0 ? entries[again + static_cast<std::size_t>(rest % cycle)] : entry;
}

/// From the last end back to the beginning: every activity begins where the one before it ended, so they tile the makespan.
void Engine::attribute(const GroupRun& run) {
  SY_CHECK(last_activity_ == kNone ? run.makespan == 0 : log_[last_activity_].end == now_, "the last activity ends the group");
  if (last_activity_ != kNone) walk({last_activity_, now_, log_[last_activity_].account, shift_}, jumps_.size(), 0, 1);
  std::int64_t sum = 0;
  for (const ContextRun& c : runs_) {
    sum += c.launch;
    for (const std::int64_t part : c.attribution) sum += part;
  }
  SY_CHECK(sum == run.makespan, "the causes sum to the group's time");
}

}  // namespace switchyard::simulation::timing
