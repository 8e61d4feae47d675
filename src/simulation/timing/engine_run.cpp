// The event loop, the sequencers (control cores and grids), the walk back along the critical path, and what a deadlock says.
#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "program/instance.h"
#include "simulation/timing/engine.h"
#include "simulation/timing/recorder.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

namespace {

constexpr std::int64_t kWindowBytes = 8192;
constexpr std::size_t kNamedActors = 8;

}  // namespace

Engine::Engine(const program::Program& program, Fabric& shared, std::int64_t chunk, bool shortcuts, std::vector<std::uint32_t> classes)
    : fabric(shared), program_(program), chip_(*program.chip), chunk_(chunk), shortcuts_(shortcuts), classes_(std::move(classes)) {
  if (chunk > 0) window_ = static_cast<std::uint32_t>(std::max<std::int64_t>(2, (kWindowBytes + chunk - 1) / chunk));
  if (chip_.sequencer.kind == chip::SequencerKind::component_queues) issue_time_ = from_seconds(chip_.sequencer.issue.value).value;
  off_chip_ = chip::off_chip_memory(chip_);
  ended_at_.assign(program.contexts.size(), 0);
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

std::optional<Failure> Engine::play() {
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
      if (!freed_slots_.empty()) {
        deal();
      } else if (ended_) {
        if (auto failed = end_contexts(); !failed) return failed.failure();
      } else {
        break;
      }
    }
    if (events_.empty()) break;
    if (boundary_) {
      boundary_ = false;
      look_back_over_contexts();
    }
    if (reference_fired_) {
      reference_fired_ = false;
      if (reference_ != kNone) look_back();
    }
    now_ = events_.next_time();
    do {
      const EventQueue::Item& item = events_.take();
      const Event e = item.event;
      ++played_;
      switch (e.kind()) {
        case EventKind::firing: end_compute(e.who()); break;
        case EventKind::chunk: pass(item); break;
        case EventKind::transfer: end_transfer(e.place()); break;
        case EventKind::issue: end_issue(e.who() - Event::kActors); break;
        case EventKind::context:
          --played_;  // is in no count of events
          if (auto failed = start_context(e.who() - Event::kActors - Event::kCores); !failed) return failed.failure();
          break;
      }
    } while (!events_.empty() && events_.next_time() == now_);
    if (recorder != nullptr && recorder->full()) return Failure{FailureKind::unsupported, {}, {}};  // nobody listens any more
    if (too_many_ || events_.overflowed()) return too_large(std::min<std::uint32_t>(running_, built_ - 1));
    if (too_long_ || now_ == Event::kLatest) {
      return too_long(first_ + shift_ + std::min<std::uint32_t>(running_, static_cast<std::uint32_t>(contexts_.size()) - shift_ - 1));
    }
  }
  if (running_ + shift_ < runs_.size()) return deadlock();
  return std::nullopt;
}

/// Grid instances go to the slots that have become free, ties by component.
void Engine::deal() {
  std::sort(freed_slots_.begin(), freed_slots_.end(), [](const FreedSlot& a, const FreedSlot& b) {
    return std::tie(a.array, a.component, a.resident) < std::tie(b.array, b.component, b.resident);
  });
  const std::vector<FreedSlot> slots = std::move(freed_slots_);
  freed_slots_.clear();
  for (const FreedSlot& slot : slots) {
    ArrayState& array = arrays_[slot.array];
    if (array.next == array.total) continue;
    --contexts_[array.context].undealt;
    array.number[slot.resident] = array.next++;
    start_resident(slot.array, slot.resident, slot.cause);
  }
}

/// Asks the control core for the command of the next firing that costs something.
void Engine::request_command(std::uint32_t number, std::uint32_t cause) {
  IssueState& issue = issues_[number];
  const ActorState& s = actors_[issue.actor];
  ActorPlan& plan = plans_[s.plan];
  while (!issue.through) {
    const bool nothing = costs_nothing(plan, s, issue.at, issue.variables);
    issue.through = !odometer_step(issue.at, plan.trips, variables_.from(issue.variables) + plan.rank);
    if (nothing) continue;
    Core& core = cores_[issue.core];
    auto at = core.queue.end();
    while (at != core.queue.begin() && std::prev(at)->context > plan.context) --at;
    core.queue.insert(at, {issue.actor, cause, plan.context});
    if (!core.busy) idle_cores_.push_back(issue.core);
    return;
  }
}

void Engine::serve_core(std::uint32_t number) {
  Core& core = cores_[number];
  if (core.busy || core.queue.empty()) return;
  const Core::Request request = core.queue.front();
  core.queue.pop_front();
  const bool asked_now = request.cause == kNone ? now_ == 0 : log_[request.cause].end == now_;
  const std::uint32_t before = asked_now ? request.cause : core.activity;
  core.actor = request.actor;
  core.activity = log_.add(before, Activity::kIssue, now_);
  log_[core.activity].account = core.context = request.context;
  core.busy = true;
  note_begin(contexts_[request.context]);
  events_.push(Event::make(now_ + issue_time_, Event::kActors + number, EventKind::issue), true);
}

void Engine::end_issue(std::uint32_t number) {
  Core& core = cores_[number];
  ++contexts_[core.context].run.events;
  note_end(core.activity, contexts_[core.context]);
  if (recorder != nullptr) record_end(core.activity, core.actor, 0);
  core.busy = false;
  if (!core.queue.empty()) idle_cores_.push_back(number);
  ActorState& s = actors_[core.actor];
  ++s.commands;
  issues_[s.issue].last = core.activity;
  issues_[s.issue].last_at = now_;
  if (s.wait == Wait::command) wake(core.actor, core.activity);
}

std::string Engine::describe(std::uint32_t a) const {
  const ActorState& s = actors_[a];
  const ActorPlan& plan = plans_[s.plan];
  const auto values = variables(plan, s.variables);
  std::string place;
  for (std::size_t d = 0; d < plan.rank; ++d) place += fmt::format("{}{}", d == 0 ? "[" : ",", values[d]);
  if (plan.rank > 0) place += "]";
  for (std::size_t l = 0; l < plan.trips.size(); ++l) place += fmt::format(" {}={}", plan.actor->loops[l].name, values[plan.rank + l]);
  const auto channel = [&] { return contexts_[plan.context].context->channels[rings_[s.waits_on].channel].name; };
  switch (s.wait) {
    case Wait::token: return fmt::format("{}{} waits for a token of channel '{}'", plan.actor->name, place, channel());
    case Wait::space: return fmt::format("{}{} waits for space in channel '{}'", plan.actor->name, place, channel());
    case Wait::command: return fmt::format("{}{} waits for its command", plan.actor->name, place);
    case Wait::unit: return fmt::format("{}{} waits for its unit", plan.actor->name, place);
    default: return fmt::format("{}{} waits for its transfers", plan.actor->name, place);
  }
}

Failure Engine::too_long(std::uint32_t context) const {
  return fail(FailureKind::unsupported, "simulation/too-long",
              fmt::format("context '{}' runs longer than can be counted", program_.contexts[context].name));
}

Failure Engine::deadlock() const {
  Failure failure;
  std::size_t waiting = 0;
  const std::string& name = contexts_[running_].context->name;
  std::string message = fmt::format("context '{}' cannot go on after {} ps: ", name, now_ + skipped_);
  for (std::uint32_t a = plans_[contexts_[running_].first_plan].first_instance; a < actors_.end(); ++a) {
    if (actors_[a].wait == Wait::finished || actors_[a].wait == Wait::start) continue;
    if (++waiting <= kNamedActors) message += fmt::format("{}{}", waiting == 1 ? "" : "; ", describe(a));
  }
  if (waiting > kNamedActors) message += fmt::format("; and {} more", waiting - kNamedActors);
  failure.kind = FailureKind::malformed;
  Diagnostic d;
  d.code = "simulation/deadlock";
  d.message = std::move(message);
  d.pointer = name;
  d.hint = "give the channels named more depth, or break the cycle of actors that wait for each other";
  failure.diagnostics.push_back(std::move(d));
  return failure;
}

}  // namespace switchyard::simulation::timing
