#include "compiler/descent.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace switchyard::compiler {
namespace {

/// Programs are changed one thing at a time, so often divided by the square of their kernels: longer ones take longer each. That begins
/// with so many kinds of program. Contexts no longer than for so much room are not among what is tried there.
constexpr std::size_t kChanges = 25'000, kMostChanges = 60, kChangedKinds = 2;
/// What is searched widely, so many programs for each room of scratchpads, beginning so often. Of all programs of two layers of
/// BERT (rpu-4x4 with 1 to 8 MiB, TX81 with 2 to 6), two of ViT and ResNet-18, 170 to 498 different ones each, that found what is within
/// 0.8 % of the fastest in 37 to 79 of them.
constexpr std::size_t kMostWidely = 56, kChangedWidely = 6;
/// Of many kernels in few contexts, so many at least, and each strategy for so many rooms that contexts may take.
constexpr std::size_t kMostOfFewContexts = 20, kRoomsOfFewContexts = 3;
/// Of what is searched widely, as events that the engine may play for it, some 8 million a second: programs of large models on large arrays
/// take long each.
constexpr std::int64_t kEventsWidely = 8'000'000;
/// The same of others, some of which gain much from their last programs (U-Net on sn40l: 735 us after 40 million events, 628 after 200).
constexpr std::int64_t kEvents = 200'000'000;
/// The same for the next lower bandwidths.
constexpr std::int64_t kEventsOfBandwidths = 24'000'000;
constexpr double kHopeless = 1.25;  ///< times the fastest, of corners smaller than its own: still smaller ones are not tried unless widely
/// Times what there was: less of a change is not worth its own way down.
constexpr double kGain = 0.999;
constexpr std::int64_t kLeastRoomToChange = 512 * 1024;

/// In what programs differ, one thing at a time.
enum class Axis { room, machine, strategy, joins, tiles, switches, streams };
constexpr std::array kAxes{Axis::room, Axis::machine, Axis::strategy, Axis::joins, Axis::tiles, Axis::switches, Axis::streams};
constexpr std::array kAxesOfMany{Axis::strategy, Axis::joins, Axis::room, Axis::machine, Axis::tiles};

/// Programs that differ from one in one thing only.
std::vector<Point> along(Comparison& c, Axis axis, const Point& from) {
  std::vector<Point> out;
  const auto add = [&](const auto& change) {
    out.push_back(from);
    change(out.back());
  };
  const auto with = [](auto Strategy::*member, auto value) { return [=](Point& p) { p.strategy.*member = value; }; };
  switch (axis) {
    case Axis::room:
      add(with(&Strategy::room, 0));
      for (const std::int64_t room : lesser_rooms(c.whole()))
        if (room >= kLeastRoomToChange) add(with(&Strategy::room, room));
      break;
    case Axis::machine: {
      bool hopeless = false;  // a corner, and with it those that are smaller still: they stand in that order
      for (std::size_t m = 0; m < c.machines.size(); ++m) {
        const bool corner = c.machines[m].corner == m;
        const bool smaller = corner && m > c.machines[c.best.number].corner;
        hopeless = hopeless || (smaller && c.machines[m].time > c.least * kHopeless);
        if (c.is_wide() ? corner : !corner || !hopeless) add([&](Point& p) { p.machine = m; });
      }
      if (!c.is_wide()) break;
      for (const auto& rungs : kLaddersOfBandwidth) {  // a rung up and a rung down
        const auto [corner, less] = std::pair(c.machines[from.machine].corner, c.machines[from.machine].less);
        const std::vector<Less> all = rungs(c.machines[corner].machine, less);
        const auto here = std::find(all.begin(), all.end(), less);
        for (auto at = here == all.begin() ? here : here - 1; at != all.end() && at - here < 2; ++at)
          add([&](Point& p) { p.machine = c.with_less(corner, *at); });
      }
      break;
    }
    case Axis::strategy:
      for (const Strategy& o : c.strategies)
        add([&](Point& p) {
          Strategy& s = p.strategy;
          s.held_weight = o.held_weight, s.readers = o.readers, s.deep = o.deep, s.search = o.search;
        });
      break;
    case Axis::joins:
      for (const double weight : kChainedWeights) add(with(&Strategy::chained, weight));
      break;
    case Axis::tiles:
      if (c.interleaves) add([&](Point& p) { p.strategy.interleaved = !p.strategy.interleaved, p.strategy.pipelined = false; });
      break;
    case Axis::switches:
      for (const double seconds : dearer_switches(c.whole())) add(with(&Strategy::dearer, seconds));
      break;
    case Axis::streams:
      if (c.options.streams.value_or(c.streams)) add([&](Point& p) { p.strategy.streamed = true, p.strategy.interleaved = false; });
      break;
  }
  return out;
}

/// Programs of several kernels to a context with each strategy; of few contexts also for less room, that is shorter ones.
std::vector<Point> of_all_strategies(const Comparison& c, std::size_t machine) {
  std::vector<std::int64_t> rooms{0};
  if (!c.is_wide())
    for (const std::int64_t room : lesser_rooms(c.machines[machine].machine))
      if (room >= kLeastRoomToChange && rooms.size() < kRoomsOfFewContexts) rooms.push_back(room);
  std::vector<Point> out;
  for (const std::int64_t room : rooms)
    for (Strategy s : c.strategies) {
      s.chained = kChainedWeights[1];
      s.interleaved = c.interleaves;
      s.room = room;
      out.push_back({machine, s});
    }
  return out;
}

class Descent {
 public:
  explicit Descent(Comparison& c)
      : c_(c),
        wide_(c.is_wide()),
        few_contexts_(c.is_of_few_contexts()),
        axes_(wide_ ? std::span<const Axis>(kAxes) : std::span<const Axis>(kAxesOfMany)),
        most_events_(c.spent.events + (wide_ ? kEventsWidely : kEvents) * static_cast<std::int64_t>(c.patience())),
        left_(programs() * c.patience()) {}

  Status run() {
    if (wide_ || few_contexts_) {
      SY_TRY([[maybe_unused]] Done screened, screen());
    }
    return change();
  }

 private:
  [[nodiscard]] std::size_t programs() const {
    if (wide_) return kMostWidely;
    return std::max(few_contexts_ ? kMostOfFewContexts : 0, std::min(kMostChanges, kChanges / (c_.kernels * c_.kernels)));
  }

  /// Makes and times a program unless it is known. False: no more is to be tried.
  Result<bool> attempt(const Point& point) {
    if (c_.known(point)) return true;
    if (left_ == 0 || c_.spent.events > most_events_) return false;
    const std::size_t before = c_.trials.size();
    SY_TRY([[maybe_unused]] Done tried, c_.attempt(point));
    left_ -= c_.trials.size() > before;  // there may be nothing of the kind
    return true;
  }

  /// All strategies with all of everything, of few contexts also for less room, and of what is searched widely with every other rung of
  /// less bandwidth: with which a strategy is fast does not follow from how fast it is with all (two layers of BERT on rpu-4x4: 692 us, and
  /// 486 as for links of 8 GB/s).
  Status screen() {
    const std::size_t corner = c_.best.number;
    std::vector<std::size_t> machines{corner};
    for (const auto& rungs : kLaddersOfBandwidth) {
      if (!wide_) break;
      for (const Less& less : rungs(c_.machines[corner].machine, c_.machines[corner].less))
        if (std::ilogb((less.off_chip + less.links) / 1e9) % 2 == 1) machines.push_back(c_.with_less(corner, less));
    }
    for (const std::size_t m : machines)
      for (Point p : of_all_strategies(c_, m)) {
        SY_TRY(bool more, attempt(p));
        if (more && p.strategy.interleaved && !c_.find(p)) {  // there are no tiles to hand on
          p.strategy.interleaved = false;
          SY_TRY(more, attempt(p));
        }
        if (!more) return Done{};
      }
    return Done{};
  }

  [[nodiscard]] bool is_kin_of(const Point& p, const Point& q) const {
    const Strategy &a = p.strategy, &b = q.strategy;
    return a.held_weight == b.held_weight && a.readers == b.readers && (!wide_ || p.machine == q.machine);
  }

  /// Where to begin next: the fastest program of several kernels to a context, of each kind. What is reached depends on where one begins.
  [[nodiscard]] const Trial* next() const {
    const Trial* fastest = nullptr;
    for (const Trial& t : c_.trials)
      if (t.point.strategy.chained && !t.point.strategy.pipelined && (fastest == nullptr || t.time < fastest->time) &&
          std::none_of(changed_.begin(), changed_.end(), [&](const Point& p) { return is_kin_of(p, t.point); }))
        fastest = &t;
    return fastest;
  }

  Status change() {
    for (std::size_t kinds = 0; kinds < (wide_ ? kChangedWidely : kChangedKinds); ++kinds) {
      const Trial* from = next();
      if (from == nullptr) break;
      Point at = from->point;
      double time = from->time;
      if (wide_) changed_.push_back(at);
      for (bool better = true; better;) {
        better = false;
        for (const Axis axis : axes_) {
          std::optional<Point> best;
          for (const Point& p : along(c_, axis, at)) {
            if (!wide_ && c_.known(p)) continue;
            SY_TRY(const bool more, attempt(p));
            if (!more) return Done{};
            if (const Trial* t = c_.find(p); t && t->time < time * (best ? 1 : kGain)) best = p, time = t->time;
            if (best && !wide_) break;
          }
          if (best) at = *best, better = true;
          if (best && !wide_) break;
        }
      }
      changed_.push_back(at);
    }
    return Done{};
  }

  Comparison& c_;
  const bool wide_, few_contexts_;
  const std::span<const Axis> axes_;
  const std::int64_t most_events_;
  std::size_t left_;  ///< programs
  std::vector<Point> changed_;
};

}  // namespace

Status descend(Comparison& c) {
  if (c.kernels < 2) return Done{};
  const std::size_t before = c.spent.components;
  SY_TRY([[maybe_unused]] Done changed, Descent(c).run());
  c.spent.components = before;  // it has a measure of its own
  return Done{};
}

Status try_next_bandwidths(Comparison& c) {
  const std::size_t corner = c.machines[c.best.number].corner, before = c.spent.components;
  const std::int64_t most_events = c.spent.events + kEventsOfBandwidths * static_cast<std::int64_t>(c.patience());
  for (const Less& less : next_bandwidths(c.machines[corner].machine, c.machines[c.best.number].less)) {
    const std::size_t m = c.with_less(corner, less);
    for (Point p : of_all_strategies(c, m))
      for (bool again = true; again && c.spent.events <= most_events;) {
        if (!c.known(p)) {
          SY_TRY([[maybe_unused]] Done tried, c.attempt(p));
        }
        again = p.strategy.interleaved && !c.find(p);  // there are no tiles to hand on
        if (again) p.strategy.interleaved = false;
      }
  }
  c.spent.components = before;  // it has a measure of its own
  return Done{};
}

}  // namespace switchyard::compiler
