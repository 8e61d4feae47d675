#include "compiler/phases.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "compiler/descent.h"
#include "compiler/lesser.h"
#include "compiler/means.h"

namespace switchyard::compiler {
namespace {

constexpr double kHopeless = 1.25;   ///< times the fastest: other strategies change less
constexpr double kNear = 1.001;      ///< the same: another strategy may make it faster than that
constexpr double kClose = 1.05;      ///< the same, of several kernels to a context
constexpr double kMuchSooner = 0.9;  ///< times what was fastest apart: what was chosen for one kernel to a context may be mistaken

/// Candidates of kernels that may have been searched for the first program, where programs for lesser machines are tried, too; and the same
/// where the contexts of all programs have been so few.
constexpr std::int64_t kSearchedForLesser = 150'000, kSearchedForShort = 1'200'000;
constexpr std::size_t kShort = 200;
/// Contexts of programs that may have been timed before none is made that hands on tiles: it is one more.
constexpr std::size_t kManyForTiles = 1200;
/// Programs of one kernel to a context, the fastest, of which several to a context are tried.
constexpr std::size_t kChainedTrials = 3;
/// Where contexts are so few, shorter ones are tried, for ever less room of scratchpads, until contexts are more: longer ones are not
/// always faster.
constexpr std::size_t kFewLong = 8;

/// Contenders by the time of their first program.
using Order = std::vector<std::pair<double, std::size_t>>;

/// The first strategy on the whole array and on ever smaller corners of it, as long as that gets better; the fastest first.
Result<Order> try_corners(Comparison& c) {
  Order order;
  for (std::size_t m = 0; m < c.machines.size(); ++m) {
    if (m > 0 && order.back().first > c.least * kHopeless) break;  // all corners together cost a third of the whole array
    const auto time = c.time_of({m, c.strategies[0]});
    if (!time && m == 0) return time.failure();
    if (c.trials.empty()) return Failure{FailureKind::unsupported, {}, {}};  // for less room the graph would have to change
    order.emplace_back(time ? time.value() : std::numeric_limits<double>::infinity(), m);
  }
  std::stable_sort(order.begin(), order.end());
  return order;
}

/// Where attention over blocks of keys is much sooner, all that is compared has it: what is best beside scores that go through memory need
/// not be best without them.
void stream_first(Comparison& c, Order& order) {
  if (!c.options.streams.value_or(c.streams_at_first) || !chains_kernels(c.whole())) return;
  const double before = c.least;
  const auto stream = [&](bool streamed) {
    for (Strategy& s : c.strategies) s.streamed = streamed;
  };
  stream(true);
  if (auto streamed = try_corners(c); streamed && c.least < kMuchSooner * before)
    order = std::move(streamed).value();
  else
    stream(false);
}

/// The other strategies, on those that were fast.
Status try_strategies(Comparison& c, const Order& order) {
  const double first = c.least;
  for (const auto& [time, m] : order)
    for (std::size_t s = 1; s < c.strategies.size(); ++s) {
      if (time > first * kHopeless || (c.several && c.is_spent()) || (s > 1 && c.is_long())) continue;
      SY_TRY([[maybe_unused]] Done tried, c.attempt({m, c.strategies[s]}));
    }
  return Done{};
}

/// Programs for machines with less of one resource.
void try_lesser_machines(Comparison& c) {
  if (!c.arrays) return;
  const std::size_t corner = c.best.number;
  std::int64_t searches = 0;
  const std::int64_t affordable = c.spent.contexts <= kShort * c.patience() ? kSearchedForShort : kSearchedForLesser;
  std::vector<Less> lesser = parts_of_one(c.machines[corner].machine);
  if (c.is_of_few())  // what one mapping decides, it decides for each room anew
    for (const Less& less : smaller_scratchpads(c.machines[corner].machine)) lesser.push_back(less);
  for (const Less& less : lesser) {
    if ((!c.is_of_few() && ++searches * c.searched > affordable) || c.spent.components > c.affordable / 2 || c.is_long()) break;
    const std::size_t m = c.with_less(corner, less);
    const double before = c.least;
    if (const auto time = c.time_of({m, c.best.strategy}); time && time.value() < before * kNear)
      for (const Strategy& strategy : c.strategies)
        if (const Trial* there = c.find({corner, strategy}); !c.known({m, strategy}) && !(there && there->time > c.least * kHopeless))
          static_cast<void>(c.time_of({m, strategy}));
  }
}

/// The same for ever less room of scratchpads, until circuits have room and no shorter contexts are better.
Status try_shorter_until_routed(Comparison& c, Point point) {
  for (const std::int64_t room : lesser_rooms(c.whole())) {
    const double before = c.least;
    point.strategy.room = room;
    SY_TRY([[maybe_unused]] Done shorter, c.attempt(point));
    const Trial* trial = c.find(point);
    if (trial && std::isfinite(trial->time) && !(c.least < before)) break;
  }
  return Done{};
}

/// Contexts that are joined as if switches cost more, each as long as the one before was better: estimates do not know all that contexts by
/// themselves cost.
Status try_dearer_switches(Comparison& c, Point point) {
  for (const double seconds : dearer_switches(c.whole())) {
    if (c.is_longish() || c.is_spent()) break;
    const double before = c.least;
    point.strategy.dearer = seconds;
    SY_TRY([[maybe_unused]] Done tried, c.attempt(point));
    if (!(c.least < before)) break;
  }
  return Done{};
}

/// Several kernels to a context, of one program; all of it where that is the `likeliest`.
Status chain(Comparison& c, Point point, bool likeliest) {
  const auto stop = [&] { return c.is_longish() || c.is_spent(); };
  Strategy& strategy = point.strategy;
  strategy.chained = kChainedWeights[0];
  const Point careful = point;
  SY_TRY([[maybe_unused]] Done tried, c.attempt(point));
  if (const Trial* trial = c.find(point);
      trial && !std::isfinite(trial->time)) {  // shorter contexts have fewer circuits; without, each kernel is one of its own
    SY_TRY([[maybe_unused]] Done routed, try_shorter_until_routed(c, point));
  }
  if (stop() || !fetches_early(c.whole())) return Done{};
  strategy.chained = kChainedWeights[1];
  std::size_t before = c.spent.contexts;
  SY_TRY([[maybe_unused]] Done careless, c.attempt(point));
  if (!likeliest) return Done{};
  for (const std::int64_t room : lesser_rooms(c.whole())) {
    if (c.spent.contexts - before > kFewLong || stop()) break;
    before = c.spent.contexts;
    strategy.room = room;
    SY_TRY([[maybe_unused]] Done shorter, c.attempt(point));
  }
  return try_dearer_switches(c, careful);
}

/// Several kernels to a context: what is best apart need not be best together, so of the fastest programs each. Programs of one time are
/// one program.
Status try_chains(Comparison& c) {
  const double apart = c.least;
  std::stable_sort(c.trials.begin(), c.trials.end(), [](const Trial& x, const Trial& y) { return x.time < y.time; });
  std::vector<Trial> likeliest;
  for (const Trial& t : c.trials)
    if (likeliest.size() < kChainedTrials && (likeliest.empty() || t.time > likeliest.back().time)) likeliest.push_back(t);
  for (std::size_t i = 0; i < likeliest.size(); ++i) {
    if (i > 0 && (c.is_longish() || c.is_spent() || likeliest[i].time > apart * kClose)) break;
    SY_TRY([[maybe_unused]] Done chained, chain(c, likeliest[i].point, i == 0));
  }
  return Done{};
}

/// Where a little caution pays, none may pay more, and where it does not, more. And programs for lesser machines that were the same apart
/// need not be the same together: smaller scratchpads hold fewer kernels.
Status try_chains_otherwise(Comparison& c, double apart) {
  if (!fetches_early(c.whole()) || c.is_long()) return Done{};
  Point point = c.best_point();
  point.strategy.chained = kChainedWeights[c.least < apart ? 1 : 2];
  if (!c.known(point)) {
    SY_TRY([[maybe_unused]] Done weighed, c.attempt(point));
  }
  const Strategy best = c.best.strategy;
  for (std::size_t m = 0; m < c.machines.size() && !c.is_longish() && !c.is_spent(); ++m) {
    if (!c.is_lesser(m) || c.machines[m].time > apart * kClose || c.known({m, best})) continue;
    SY_TRY([[maybe_unused]] Done tried, c.attempt({m, best}));
  }
  return Done{};
}

/// What was best apart may hold more than others, which tells where contexts are dear.
Status try_others_of_the_soonest(Comparison& c, double apart) {
  if (!(c.least < kMuchSooner * apart)) return Done{};
  const Point sooner = c.best_point();
  for (Strategy other : c.strategies) {
    if (c.several && c.is_spent()) break;
    other.chained = sooner.strategy.chained;
    other.room = sooner.strategy.room;
    other.dearer = sooner.strategy.dearer;
    if (other == sooner.strategy) continue;
    SY_TRY([[maybe_unused]] Done tried, c.attempt({sooner.machine, other}));
  }
  return Done{};
}

/// The best strategy so far, with several kernels to a context.
Strategy chained(const Comparison& c) {
  Strategy s = c.best.strategy;
  if (!s.chained) s.chained = kChainedWeights[0];
  return s;
}

/// The whole array, the best machine, and machines with less that were no slower than so many times the fastest program.
std::set<std::size_t> likely_machines(const Comparison& c, double most) {
  std::set<std::size_t> machines{0, c.best.number};
  for (std::size_t m = 0; m < c.machines.size() && !c.is_longish(); ++m)
    if (c.is_lesser(m) && c.machines[m].time < c.least * most) machines.insert(m);
  return machines;
}

/// Stages share what one kernel after the other could not use: the whole array, where a corner of it was better. With less of a resource
/// more looks worth it.
Status try_pipelines(Comparison& c) {
  Strategy pipelined = chained(c);
  pipelined.pipelined = true;
  for (const std::size_t m : likely_machines(c, kHopeless)) {
    if (m > 0 && c.is_spent()) break;
    SY_TRY([[maybe_unused]] Done tried, c.attempt({m, pipelined}));
  }
  return Done{};
}

/// Of kernels on different units, one works on a tile while the other works on the next.
Status try_interleaving(Comparison& c) {
  if (!c.interleaves || c.spent.contexts > kManyForTiles * c.patience()) return Done{};
  Strategy interleaved = chained(c);
  interleaved.pipelined = false;
  interleaved.interleaved = true;
  return c.attempt({c.best.number, interleaved});
}

/// Where scores leave the chip, attention goes over blocks of keys.
Status try_streaming(Comparison& c) {
  if (!c.options.streams.value_or(c.streams)) return Done{};
  Strategy streamed = chained(c);
  streamed.pipelined = streamed.interleaved = false;
  streamed.streamed = true;
  for (const std::size_t m : likely_machines(c, kClose)) {
    if (c.known({m, streamed})) continue;
    SY_TRY([[maybe_unused]] Done tried, c.attempt({m, streamed}));
  }
  return Done{};
}

}  // namespace

Status begin_search(Comparison& c) {
  SY_TRY(Order order, try_corners(c));
  stream_first(c, order);
  SY_TRY([[maybe_unused]] Done strategies, try_strategies(c, order));
  c.begun = c.least;
  if (fetches_early(c.whole()) && c.is_at_bound()) return Done{};
  if (!c.is_wide()) try_lesser_machines(c);
  if (!chains_kernels(c.best.machine)) return Done{};
  const double apart = c.least;
  SY_TRY([[maybe_unused]] Done chains, try_chains(c));
  const bool pipelines = !c.is_long();
  SY_TRY([[maybe_unused]] Done otherwise, try_chains_otherwise(c, apart));
  SY_TRY([[maybe_unused]] Done sooner, try_others_of_the_soonest(c, apart));
  if (pipelines) {
    SY_TRY([[maybe_unused]] Done pipelined, try_pipelines(c));
  }
  SY_TRY([[maybe_unused]] Done interleaved, try_interleaving(c));
  c.begun = c.least;
  return Done{};
}

Status finish_search(Comparison& c) {
  if (!chains_kernels(c.best.machine) || c.is_at_bound()) return Done{};
  SY_TRY([[maybe_unused]] Done descended, descend(c));
  return try_streaming(c);
}

}  // namespace switchyard::compiler
