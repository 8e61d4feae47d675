// The event loop, the sequencers (control cores and grids), the walk back along the critical path, and what a deadlock says.
#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "program/instance.h"
#include "simulation/timing/engine.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

namespace {

constexpr std::int64_t kWindowBytes = 8192;
constexpr std::size_t kNamedActors = 8;

std::size_t at(Cause cause) { return static_cast<std::size_t>(cause); }

}  // namespace

ContextEngine::ContextEngine(const program::Program& program, std::int64_t chunk)
    : fabric(*program.chip, chunk), program_(program), chip_(*program.chip), chunk_(chunk) {
  if (chunk > 0) window_ = static_cast<std::uint32_t>(std::max<std::int64_t>(2, (kWindowBytes + chunk - 1) / chunk));
  if (chip_.sequencer.kind == chip::SequencerKind::component_queues) issue_time_ = from_seconds(chip_.sequencer.issue.value).value;
  totals.unit_busy.assign(chip_.units.size(), 0);
  totals.mover_busy.assign(chip_.movers.size(), 0);
  totals.mover_bytes.assign(chip_.movers.size(), 0);
  for (std::size_t m = 0; m < chip_.memories.size() && !cache_; ++m) {
    const chip::Memory& memory = chip_.memories[m];
    if (memory.kind != chip::MemoryKind::cache || !memory.backing) continue;
    const chip::UsableRange usable = chip::usable_range(memory);
    cache_.emplace(program, usable.end - usable.begin);
    cached_memory_ = *memory.backing;
  }
}

Result<ContextRun> ContextEngine::run(const program::Context& context, std::span<const program::BufferId> dead) {
  context_ = &context;
  now_ = 0;
  run_ = {};
  log_.clear();
  events_.clear();
  last_activity_ = kNone;
  SY_TRY(const Done built, build());
  (void)built;
  dirty_.assign(actors_.size() / 64 + 1, 0);
  lowest_dirty_ = dirty_count_ = 0;
  if (cache_) cache_->begin_context(context);
  for (std::uint32_t i = 0; i < arrays_.size(); ++i) {
    ArrayState& array = arrays_[i];
    for (std::uint32_t r = 0; r < array.residents; ++r) start_resident(i, r, array.next++, kNone);
  }
  if (auto failure = play()) return *failure;
  if (cache_) cache_->end_context(dead);
  run_.makespan = now_;
  attribute(run_);
  return run_;
}

std::optional<Failure> ContextEngine::play() {
  for (;;) {
    // Whatever can start now starts, lowest actor first; then freed slots of grids are dealt again, which may start more.
    for (;;) {
      for (const std::uint32_t core : idle_cores_) serve_core(core);
      idle_cores_.clear();
      while (dirty_count_ > 0) {
        while (dirty_[lowest_dirty_] == 0) ++lowest_dirty_;
        const auto bit = static_cast<std::uint32_t>(__builtin_ctzll(dirty_[lowest_dirty_]));
        dirty_[lowest_dirty_] &= dirty_[lowest_dirty_] - 1;
        --dirty_count_;
        advance(static_cast<std::uint32_t>(lowest_dirty_) * 64 + bit);
      }
      if (freed_slots_.empty()) break;
      deal();
    }
    if (events_.empty()) break;
    now_ = events_.next_time();
    do {
      const Event e = events_.take();
      ++run_.events;
      switch (e.kind()) {
        case EventKind::firing: end_compute(e.index()); break;
        case EventKind::chunk: pass(e.index()); break;
        case EventKind::transfer: end_transfer(e.index()); break;
        case EventKind::issue: end_issue(e.index()); break;
      }
    } while (!events_.empty() && events_.next_time() == now_);
  }
  if (unfinished_ > 0) return deadlock();
  return std::nullopt;
}

/// Grid instances go to the slots that have become free, ties by component.
void ContextEngine::deal() {
  std::sort(freed_slots_.begin(), freed_slots_.end(), [](const FreedSlot& a, const FreedSlot& b) {
    return std::tie(a.array, a.component, a.resident) < std::tie(b.array, b.component, b.resident);
  });
  const std::vector<FreedSlot> slots = std::move(freed_slots_);
  freed_slots_.clear();
  for (const FreedSlot& slot : slots) {
    ArrayState& array = arrays_[slot.array];
    if (array.next < array.total) start_resident(slot.array, slot.resident, array.next++, slot.cause);
  }
}

/// Asks the control core for the command of the next firing that costs something.
void ContextEngine::request_command(std::uint32_t number, std::uint32_t cause) {
  IssueState& issue = issues_[number];
  const ActorState& s = actors_[issue.actor];
  ActorPlan& plan = plans_[s.plan];
  while (!issue.through) {
    const bool nothing = costs_nothing(plan, s, issue.at, issue.variables);
    issue.through = !odometer_step(issue.at, plan.trips, variables_.data() + issue.variables + plan.rank);
    if (nothing) continue;
    Core& core = cores_[issue.core];
    core.queue.push_back({issue.actor, cause});
    if (!core.busy) idle_cores_.push_back(issue.core);
    return;
  }
}

void ContextEngine::serve_core(std::uint32_t number) {
  Core& core = cores_[number];
  if (core.busy || core.queue.empty()) return;
  const Core::Request request = core.queue.front();
  core.queue.pop_front();
  const bool asked_now = request.cause == kNone ? now_ == 0 : log_[request.cause].end == now_;
  const std::uint32_t before = asked_now ? request.cause : core.activity;
  core.actor = request.actor;
  core.activity = log_.add(before, Activity::kIssue);
  core.busy = true;
  events_.push(Event::make(now_ + issue_time_, static_cast<std::uint32_t>(actors_.size()) + number, EventKind::issue, number));
}

void ContextEngine::end_issue(std::uint32_t number) {
  Core& core = cores_[number];
  note_end(core.activity);
  core.busy = false;
  if (!core.queue.empty()) idle_cores_.push_back(number);
  ActorState& s = actors_[core.actor];
  ++s.commands;
  issues_[s.issue].last = core.activity;
  issues_[s.issue].last_at = now_;
  if (s.wait == Wait::command) wake(core.actor, core.activity);
}

/// From the last end back to the beginning: every activity begins where the one before it ended, so they tile the makespan.
void ContextEngine::attribute(ContextRun& run) const {
  std::uint32_t number = last_activity_;
  SY_CHECK(number == kNone ? run.makespan == 0 : log_[number].end == run.makespan, "the last activity ends the context");
  while (number != kNone) {
    const Activity& a = log_[number];
    const std::int64_t time = a.end - (a.before == kNone ? 0 : log_[a.before].end);
    if (a.what == Activity::kIssue) {
      run.attribution[at(Cause::control)] += time;
    } else if (const ActorPlan& plan = plans_[a.what]; plan.moves) {
      const std::int64_t network = time - plan.startup - a.account;
      SY_CHECK(a.account >= 0 && network >= 0, "the account of a transfer covers its time");
      run.attribution[at(Cause::control)] += plan.startup;
      run.attribution[at(Cause::memory)] += a.account;
      run.attribution[at(Cause::interconnect)] += network;
    } else {
      const std::int64_t units = unit_classes_[plan.unit_class].units;
      const std::int64_t idle = (units * time - a.account) / units;
      SY_CHECK(idle >= 0 && idle <= time, "busy units of a class");
      run.attribution[at(Cause::compute)] += time - idle;
      run.attribution[at(Cause::imbalance)] += idle;
    }
    number = a.before;
  }
  std::int64_t sum = 0;
  for (const std::int64_t part : run.attribution) sum += part;
  SY_CHECK(sum == run.makespan, "the causes sum to the context's time");
}

std::string ContextEngine::describe(std::uint32_t a) const {
  const ActorState& s = actors_[a];
  const ActorPlan& plan = plans_[s.plan];
  const auto values = variables(plan, s.variables);
  std::string place;
  for (std::size_t d = 0; d < plan.rank; ++d) place += fmt::format("{}{}", d == 0 ? "[" : ",", values[d]);
  if (plan.rank > 0) place += "]";
  for (std::size_t l = 0; l < plan.trips.size(); ++l) place += fmt::format(" {}={}", plan.actor->loops[l].name, values[plan.rank + l]);
  const auto channel = [&] { return context_->channels[rings_[s.waits_on].channel].name; };
  switch (s.wait) {
    case Wait::token: return fmt::format("{}{} waits for a token of channel '{}'", plan.actor->name, place, channel());
    case Wait::space: return fmt::format("{}{} waits for space in channel '{}'", plan.actor->name, place, channel());
    case Wait::command: return fmt::format("{}{} waits for its command", plan.actor->name, place);
    case Wait::unit: return fmt::format("{}{} waits for its unit", plan.actor->name, place);
    default: return fmt::format("{}{} waits for its transfers", plan.actor->name, place);
  }
}

Failure ContextEngine::deadlock() const {
  Failure failure;
  std::size_t waiting = 0;
  std::string message = fmt::format("context '{}' cannot go on after {} ps: ", context_->name, now_);
  for (std::uint32_t a = 0; a < actors_.size(); ++a) {
    if (actors_[a].wait == Wait::finished) continue;
    if (++waiting <= kNamedActors) message += fmt::format("{}{}", waiting == 1 ? "" : "; ", describe(a));
  }
  if (waiting > kNamedActors) message += fmt::format("; and {} more", waiting - kNamedActors);
  failure.kind = FailureKind::malformed;
  Diagnostic d;
  d.code = "simulation/deadlock";
  d.message = std::move(message);
  d.pointer = context_->name;
  d.hint = "give the channels named more depth, or break the cycle of actors that wait for each other";
  failure.diagnostics.push_back(std::move(d));
  return failure;
}

}  // namespace switchyard::simulation::timing
