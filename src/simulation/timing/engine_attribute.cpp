// The walk back along the critical path.
#include "simulation/timing/engine.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

namespace {

std::size_t at(Cause cause) { return static_cast<std::size_t>(cause); }

}  // namespace

/// From the last end back to the beginning: every activity begins where the one before it ended, so they tile the makespan.
void Engine::attribute(const GroupRun& run) {
  std::uint32_t number = last_activity_;
  SY_CHECK(number == kNone ? run.makespan == 0 : log_[number].end == run.makespan, "the last activity ends the group");
  while (number != kNone) {
    const Activity& a = log_[number];
    const std::int64_t time = a.end - (a.before == kNone ? 0 : log_[a.before].end);
    const bool special = a.what >= Activity::kSwitch;
    ContextState& context = contexts_[special ? static_cast<std::size_t>(a.account) : kinds_[a.what].context];
    auto& causes = context.run.attribution;
    if (a.what == Activity::kLaunch) {
      context.run.launch += time;
    } else if (special) {
      causes[at(a.what == Activity::kSwitch ? Cause::reconfiguration : Cause::control)] += time;
    } else if (const ActivityKind& kind = kinds_[a.what]; kind.moves) {
      const std::int64_t network = time - kind.startup - a.account;
      SY_CHECK(a.account >= 0 && network >= 0, "the account of a transfer covers its time");
      causes[at(Cause::control)] += kind.startup;
      causes[at(Cause::memory)] += a.account;
      causes[at(Cause::interconnect)] += network;
    } else {
      const std::int64_t units = context.units[kind.unit_class];
      const std::int64_t idle = (units * time - a.account) / units;
      SY_CHECK(idle >= 0 && idle <= time, "busy units of a class");
      causes[at(Cause::compute)] += time - idle;
      causes[at(Cause::imbalance)] += idle;
    }
    number = a.before;
  }
  std::int64_t sum = 0;
  for (const ContextState& c : contexts_) {
    sum += c.run.launch;
    for (const std::int64_t part : c.run.attribution) sum += part;
  }
  SY_CHECK(sum == run.makespan, "the causes sum to the group's time");
}

}  // namespace switchyard::simulation::timing
