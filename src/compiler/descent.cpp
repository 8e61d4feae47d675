#include "compiler/descent.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

namespace switchyard::compiler {
namespace {

/// Programs are changed one thing at a time, so often divided by the square of their kernels: longer ones take longer each. That begins
/// with so many kinds of program. Contexts no longer than for so much room are not among what is tried there.
constexpr std::size_t kChanges = 25'000, kMostChanges = 60, kChangedKinds = 2;
/// What is searched widely, so often. Of all programs of two layers of BERT (rpu-4x4 with 1 to 8 MiB, TX81 with 2 to 6), two of ViT and
/// ResNet-18, 170 to 498 different ones each, that found what is within 0.8 % of the fastest in 37 to 79 of them.
constexpr std::size_t kMostWidely = 176, kChangedWidely = 6;
/// The same, as events that the engine may play for it, some 8 million a second: programs of large models on large arrays take long each.
constexpr std::int64_t kEventsWidely = 20'000'000;
/// Of more kernels in few contexts, so many rooms are tried, the next lower first.
constexpr std::size_t kLesserRooms = 4;
/// Programs, the fastest of their kind, that are made for ever less room in scratchpads.
constexpr std::size_t kScreenedRooms = 2;
constexpr double kHopelessRoom = 1.15;  ///< times that program: with still less room it takes longer
/// Times what there was: less of a change is not worth its own way down.
constexpr double kGain = 0.999;
constexpr std::int64_t kLeastRoomToChange = 512 * 1024;

/// In what programs differ, one thing at a time.
enum class Axis { room, machine, strategy, joins, tiles, switches };
constexpr std::array kAxes{Axis::room, Axis::machine, Axis::strategy, Axis::joins, Axis::tiles, Axis::switches};
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
    case Axis::machine:
      for (std::size_t m = 0; m < c.machines.size(); ++m)
        if (!c.is_wide() || c.machines[m].less == Less{}) add([&](Point& p) { p.machine = m; });
      if (!c.is_wide()) break;
      for (const auto& rungs : kLadders) {
        const auto [corner, less] = std::pair(c.machines[from.machine].corner, c.machines[from.machine].less);
        for (const Less& other : rungs(c.machines[corner].machine, less)) add([&](Point& p) { p.machine = c.with_less(corner, other); });
      }
      break;
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
  }
  return out;
}

class Descent {
 public:
  explicit Descent(Comparison& c)
      : c_(c),
        wide_(c.is_wide()),
        axes_(wide_ ? std::span<const Axis>(kAxes) : std::span<const Axis>(kAxesOfMany)),
        most_events_(c.spent.events + kEventsWidely * static_cast<std::int64_t>(c.patience())),
        left_((wide_ ? kMostWidely : std::min(kMostChanges, kChanges / (c.kernels * c.kernels))) * c.patience()) {}

  Status run() {
    if (wide_) {
      SY_TRY([[maybe_unused]] Done screened, screen());
    }
    return change();
  }

 private:
  /// Makes and times a program unless it is known. False: no more is to be tried.
  Result<bool> attempt(const Point& point) {
    if (c_.known(point)) return true;
    if (left_ == 0 || (wide_ && c_.spent.events > most_events_)) return false;
    const std::size_t before = c_.trials.size();
    SY_TRY([[maybe_unused]] Done tried, c_.attempt(point));
    if (c_.trials.size() == before) return true;  // nothing of the kind
    const double time = c_.trials.back().time;
    left_ -= !wide_ || std::none_of(c_.trials.begin(), c_.trials.end() - 1,
                                    [&](const Trial& t) { return t.time == time; });  // the same program costs little
    return true;
  }

  /// All strategies with all of everything and with less bandwidth; then the fastest programs of all, one of each kind, with ever less
  /// room in scratchpads, as what is best may lie far below what there is.
  Status screen() {
    const std::size_t corner = c_.best.number;
    std::vector<std::size_t> machines{corner};
    for (const auto& rungs : kLaddersOfBandwidth)
      for (const Less& less : rungs(c_.machines[corner].machine, {}))
        if (const std::size_t m = c_.with_less(corner, less); m != corner) machines.push_back(m);
    for (const std::size_t m : machines)
      for (Strategy s : c_.strategies) {
        s.chained = kChainedWeights[1];
        s.interleaved = c_.interleaves;
        SY_TRY(bool more, attempt({m, s}));
        if (more && s.interleaved && !c_.find({m, s})) {  // there are no tiles to hand on
          s.interleaved = false;
          SY_TRY(more, attempt({m, s}));
        }
        if (!more) return Done{};
      }
    for (std::size_t i = 0; i < kScreenedRooms; ++i) {
      const Trial* fastest = fastest_unlike([&](const Point& p, const Point& q) { return is_kin_of(p, q); });
      if (fastest == nullptr) break;
      const Point from = fastest->point;
      changed_.push_back(from);
      const double most = fastest->time * kHopelessRoom;
      for (Less less : smaller_scratchpads(c_.machines[corner].machine)) {
        std::tie(less.off_chip, less.links) = std::tie(c_.machines[from.machine].less.off_chip, c_.machines[from.machine].less.links);
        const Point point{c_.with_less(c_.machines[from.machine].corner, less), from.strategy};
        SY_TRY(const bool more, attempt(point));
        if (!more) return Done{};
        if (const Trial* t = c_.find(point); !t || t->time > most) break;
      }
    }
    changed_.clear();
    return Done{};
  }

  [[nodiscard]] bool has_room_of(const Point& p, const Point& q) const {
    return c_.machines[p.machine].less.room == c_.machines[q.machine].less.room;
  }
  [[nodiscard]] bool is_kin_of(const Point& p, const Point& q) const {
    const Strategy &a = p.strategy, &b = q.strategy;
    return a.held_weight == b.held_weight && a.readers == b.readers && (!wide_ || p.machine == q.machine);
  }

  /// The fastest program of several kernels to a context that is like none that has been changed.
  template <class Like>
  [[nodiscard]] const Trial* fastest_unlike(const Like& like) const {
    const Trial* fastest = nullptr;
    for (const Trial& t : c_.trials)
      if (t.point.strategy.chained && !t.point.strategy.pipelined && (fastest == nullptr || t.time < fastest->time) &&
          std::none_of(changed_.begin(), changed_.end(), [&](const Point& p) { return like(p, t.point); }))
        fastest = &t;
    return fastest;
  }

  /// Where to begin next: for each room of scratchpads, then with each kind of program. What is reached depends on where one begins.
  [[nodiscard]] const Trial* next() const {
    const Trial* from = wide_ ? fastest_unlike([&](const Point& p, const Point& q) { return has_room_of(p, q); }) : nullptr;
    return from ? from : fastest_unlike([&](const Point& p, const Point& q) { return is_kin_of(p, q); });
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
  const bool wide_;
  const std::span<const Axis> axes_;
  const std::int64_t most_events_;
  std::size_t left_;  ///< programs
  std::vector<Point> changed_;
};

/// All strategies with the next lower room in scratchpads, then with 2^n bytes each: longer contexts are not always faster.
Status try_lesser_rooms(Comparison& c) {
  const std::size_t corner = c.machines[c.best.number].corner;
  std::size_t rooms = 0;
  for (const Less& less : smaller_scratchpads(c.machines[corner].machine)) {
    if (rooms > 0 && !std::has_single_bit(static_cast<std::uint64_t>(less.room))) continue;
    if (++rooms > kLesserRooms) break;
    double fastest = std::numeric_limits<double>::infinity();
    for (Strategy s : c.strategies) {
      s.chained = kChainedWeights[1];
      const Point point{c.with_less(corner, less), s};
      SY_TRY([[maybe_unused]] Done tried, c.attempt(point));
      if (const Trial* t = c.find(point)) fastest = std::min(fastest, t->time);
    }
    if (fastest > c.least * kHopelessRoom) break;
  }
  return Done{};
}

}  // namespace

Status descend(Comparison& c) {
  if (c.kernels < 2) return Done{};
  const std::size_t before = c.spent.components;
  if (c.is_of_few_contexts()) {
    SY_TRY([[maybe_unused]] Done tried, try_lesser_rooms(c));
  }
  SY_TRY([[maybe_unused]] Done changed, Descent(c).run());
  c.spent.components = before;  // it has a measure of its own
  return Done{};
}

}  // namespace switchyard::compiler
