#include "compiler/refine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

namespace switchyard::compiler {
namespace {

constexpr double kClose = 1.05;  ///< times the fastest, of programs for machines with less
/// The same, of programs in which other mappings are tried, and how many those are.
constexpr double kNear = 1.02;
constexpr std::size_t kRefined = 3;
/// Whole programs with other mappings of each that are made, in the first round, by effort; of programs with so few kernels that one
/// mapping decides; and of those with somewhat more: estimates that stand alone do not know what kernels are to each other, the less the
/// more of them scratchpads hold at once.
constexpr std::array<int, 4> kTrialsOfEffort{0, 0, 48, 200};
constexpr int kTrialsOfFew = 10;
constexpr std::size_t kSomeKernels = 24;
constexpr int kTrialsOfSome = 24;

int trials_of_mappings(const Comparison& c) {
  int trials = kTrialsOfEffort[static_cast<std::size_t>(c.effort)];
  if (trials == 0 && c.effort > 0) trials = c.is_of_few() ? kTrialsOfFew : c.kernels <= kSomeKernels ? kTrialsOfSome : 0;
  if (!c.several) return trials;
  const std::size_t affordable = (c.affordable - std::min(c.affordable, c.spent.components)) / c.each;
  return static_cast<int>(std::min(static_cast<std::size_t>(trials), affordable));
}

/// The programs in which other mappings are tried: the fastest; where that hands on tiles, the same without, as tiles of other mappings may
/// not fit each other; of what is searched widely some more that come near: how much other mappings gain does not follow from how fast a
/// program is without.
std::vector<Point> to_refine(const Comparison& c) {
  std::vector<Point> out{c.best_point()};
  if (out[0].strategy.interleaved && c.kernels <= kSomeKernels) {
    out.push_back(out[0]);
    out[1].strategy.interleaved = false;
  }
  if (!c.is_wide()) return out;
  std::vector<Trial> trials = c.trials;
  std::stable_sort(trials.begin(), trials.end(), [](const Trial& x, const Trial& y) { return x.time < y.time; });
  const auto is_alike = [&](const Point& p) {  // else its sums would be cut otherwise
    return p.strategy.in_parts == out[0].strategy.in_parts && c.machines[p.machine].corner == c.machines[out[0].machine].corner;
  };
  double last = c.least;
  for (const Trial& t : trials) {
    if (out.size() >= kRefined || t.time > c.least * kNear) break;
    if (!(t.time > last) || !is_alike(t.point) || std::find(out.begin(), out.end(), t.point) != out.end()) continue;
    out.push_back(t.point);
    last = t.time;  // what takes as long is the same program
  }
  return out;
}

/// The same where one mapping decides: a program for less need not have the best of all there is, nor need it with so many readers.
std::vector<Point> to_refine_of_few(const Comparison& c) {
  std::set<std::size_t> machines{c.best.number, 0};
  for (std::size_t m = 0; m < c.machines.size(); ++m)
    if (c.is_lesser(m) && c.machines[m].time < c.least * kClose) machines.insert(m);
  std::vector<Strategy> with{c.best.strategy};
  for (const Strategy& s : c.strategies)
    if (with.size() == 1 && s.readers != with[0].readers) with.push_back(with[0]), with[1].readers = s.readers;
  std::vector<Point> out;
  for (const std::size_t m : machines)
    for (const Strategy& s : with) out.push_back({m, s});
  return out;
}

}  // namespace

Status refine(Comparison& c) {
  if (c.refined) return Done{};
  c.refined = true;
  Chosen& best = c.best;
  if (const int trials = trials_of_mappings(c); trials > 0) {
    const bool few = c.is_of_few();
    const std::vector<Point> points = few ? to_refine_of_few(c) : to_refine(c);
    const Attempt start = few || best.strategy.in_parts ? Attempt{} : best.start;  // where the best ended others are made sooner
    for (const Point& point : points) {
      Contender& made_for = c.machines[point.machine];
      graph::Graph trial = c.out.graph;  // what is only tried changes nothing
      std::vector<Decision> ignored;
      Builder builder = c.builder(point.machine, trial, ignored, std::move(made_for.known));
      const bool first = point == points[0];
      if (first) builder.begin_with = start;
      const Trial* known = few ? nullptr : c.find(point);
      double least = known ? known->time : c.least;
      auto found = builder.refine(point.strategy, least, trials);
      made_for.known = std::move(builder.known);
      if (!found || found.value().empty() || !(least < c.least)) continue;
      c.least = least;
      if (known) c.each = known->size;
      best.start = first ? start : Attempt{};
      best.wanted = std::move(found).value();
      best.timed.reset();
      best.machine = made_for.machine, best.number = point.machine, best.strategy = point.strategy;
    }
    c.told.push_back({"strategy", fmt::format("other mappings of {} looks of kernels, tried in whole programs: {:.1f} us",
                                              best.wanted.size(), c.least * 1e6)});
  }
  return Done{};
}

}  // namespace switchyard::compiler
