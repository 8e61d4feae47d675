#include "compiler/strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "compiler/comparison.h"
#include "compiler/descent.h"
#include "compiler/phases.h"
#include "compiler/refine.h"
#include "compiler/rooms.h"

namespace switchyard::compiler {
namespace {

constexpr double kPlacedMayTurn = 1.1;  ///< times the fastest, of long sums in parts against them as they are
/// Where links are busy for so much of the time in the fastest program, others are placed, too: so many of those that take no longer than
/// so many times the fastest; and what one must be to be preferred, times the best.
constexpr double kBusyLinks = 0.25, kPlacedMayBeSooner = 1.15, kPlacedSooner = 0.999;
constexpr std::size_t kPlacedTrials = 8;
/// Programs that are tried with long sums in parts, and events that the engine may play before no other is begun.
constexpr std::size_t kCutTrials = 24;
constexpr std::int64_t kCutEvents = 8'000'000;

/// The programs that are tried with sums in parts: the fastest, with others of few contexts or kernels some more, as parts do not make all
/// of them as much faster.
std::vector<Point> to_cut(const Comparison& c, std::size_t m) {
  const Point best{m, c.best.strategy};
  std::vector<Trial> likeliest{{c.least, best, 0}}, trials = c.trials;
  std::stable_sort(trials.begin(), trials.end(), [](const Trial& x, const Trial& y) { return x.time < y.time; });
  for (const Trial& t : trials)
    if ((c.is_wide() || c.is_of_few_contexts()) && likeliest.size() < kCutTrials && t.time < c.least * kPlacedMayTurn &&
        t.time > likeliest.back().time && t.point != best && !t.point.strategy.in_parts &&
        c.machines[t.point.machine].corner == c.machines[m].corner)
      likeliest.push_back(t);
  std::vector<Point> out;
  for (const Trial& t : likeliest) {
    out.push_back(t.point);
    out.back().strategy.in_parts = true;
  }
  return out;
}

/// Sums of few results in parts, so that more components have something to do.
bool try_parts_on(Comparison& c, std::size_t m) {
  c.cuts = worthwhile_cuts(c.machines[m].machine, c.out.graph);
  if (c.cuts.empty() || (c.several && c.is_spent())) return false;
  const double whole = c.least;
  std::optional<Point> fastest;
  double least = whole * kPlacedMayTurn;
  const std::size_t components = c.spent.components;
  const std::int64_t events = c.spent.events;
  for (const Point& parts : to_cut(c, m)) {
    if (c.spent.events - events > kCutEvents) break;
    if (const auto time = c.time_of(parts); time && time.value() < least) fastest = parts, least = time.value();
  }
  c.spent.components = components;  // it has a measure of its own
  if (least < whole) return true;
  if (!fastest || c.options.disabled.place) return false;
  const Point parts = *fastest;
  // Parts are added up across the array: where they lie near each other they may be faster after all.
  const auto parts_placed = c.placed(parts, 0), whole_placed = c.placed(c.best_point(), 0, c.best.wanted, c.best.start);
  if (!parts_placed || !whole_placed || !parts_placed.value() || !whole_placed.value()) return false;
  c.told.push_back({"strategy", fmt::format("long sums in parts, placed: {:.1f} us; as they are, placed: {:.1f} us",
                                            *parts_placed.value() * 1e6, *whole_placed.value() * 1e6)});
  if (*parts_placed.value() >= *whole_placed.value()) return false;
  const Trial* trial = c.find(parts);
  c.least = trial->time;
  c.each = trial->size;
  c.best.machine = c.machines[parts.machine].machine;
  c.best.number = parts.machine;
  c.best.strategy = parts.strategy;
  c.best.start = {};
  c.best.wanted.clear();
  c.best.timed.reset();
  c.refined = false;
  return true;
}

/// The same on the whole array, too, where a corner of it was better.
void try_parts(Comparison& c) {
  if (c.best.machine.grid || try_parts_on(c, c.best.number)) return;
  if (c.best.machine.components.size() < c.whole().components.size()) try_parts_on(c, 0);
}

void make_parts(Comparison& c) {
  c.best.cuts = std::move(c.cuts);
  cut_reductions(c.best.machine, c.out.graph, c.best.cuts);
  for (const ReductionCut& cut : c.best.cuts)
    c.out.decisions.push_back(
        {"reduction", fmt::format("sums of '{}' are made in {} parts: it has too few results for all components", cut.op, cut.parts)});
}

/// Where links are busy, which program is the fastest is seen when its instances take the components that suit them.
void choose_placed(Comparison& c) {
  Chosen& best = c.best;
  if (!c.arrays || c.options.disabled.place) return;
  const auto now = c.placed(c.best_point(), kBusyLinks, best.wanted, best.start);
  if (!now || !now.value()) return;
  double least = *now.value();
  std::string told = fmt::format("placed, the fastest program takes {:.1f} us", least * 1e6);
  std::vector<Trial> fastest = c.trials;
  std::stable_sort(fastest.begin(), fastest.end(), [](const Trial& x, const Trial& y) { return x.time < y.time; });
  const bool cut = best.strategy.in_parts, may_cut = !cut && !c.cuts.empty();  // cut graphs stay so
  std::vector<Point> tried;
  for (std::size_t i = 0;
       i < fastest.size() && tried.size() < kPlacedTrials && fastest[i].time < c.least * kPlacedMayBeSooner && !c.is_spent(); ++i) {
    if (i > 0 && fastest[i].time == fastest[i - 1].time) continue;  // the same program
    Point whole = fastest[i].point;
    whole.strategy.in_parts = false;
    if (std::find(tried.begin(), tried.end(), whole) != tried.end()) continue;
    tried.push_back(whole);
    for (int parts = cut ? 1 : 0; parts <= (cut || may_cut ? 1 : 0); ++parts) {
      Point point = whole;
      point.strategy.in_parts = parts == 1;
      if (point == c.best_point() && best.wanted.empty()) continue;
      const auto placed = c.placed(point, kBusyLinks);  // with less, the finished program would not be placed
      if (!placed || !placed.value() || !(*placed.value() < least * kPlacedSooner)) continue;
      least = *placed.value();
      told += fmt::format(", one that takes {:.1f} us in plain order {:.1f} us{}", fastest[i].time * 1e6, least * 1e6,
                          parts == 1 && !cut ? " with long sums in parts" : "");
      const Contender& made_for = c.machines[point.machine];
      best.machine = made_for.machine, best.number = point.machine, best.strategy = point.strategy;
      best.start = {}, best.wanted.clear(), best.timed.reset();
    }
  }
  if (best.strategy.in_parts && !cut) make_parts(c);
  c.out.decisions.push_back({"strategy", told});
}

}  // namespace

Result<Chosen> choose_strategy(const Machine& machine, Compiled& out, const CompileOptions& options,
                               const std::shared_ptr<const chip::Chip>& chip) {
  Comparison c(machine, out, options, chip);
  if (!c.timed || c.strategies.size() * c.machines.size() == 1) return std::move(c.best);
  c.best.compared = true;
  SY_TRY([[maybe_unused]] Done begun, begin_search(c));
  SY_TRY([[maybe_unused]] Done searched, finish_search(c));
  if ((c.is_wide() || c.is_of_few_contexts()) && !c.is_at_bound()) search_rooms(c);
  if (c.is_of_few_contexts() && !c.is_at_bound()) {
    SY_TRY([[maybe_unused]] Done tried, try_next_bandwidths(c));
  }
  try_parts(c);
  if (c.best.strategy.in_parts) make_parts(c);
  SY_TRY([[maybe_unused]] Done refined, refine(c));
  out.decisions.insert(out.decisions.end(), c.told.begin(), c.told.end());
  choose_placed(c);
  c.best.known = std::move(c.machines[c.best.number].known);
  c.best.lesser = c.machines[c.best.number].lesser;
  c.best.made_for = print_less(c.machines[c.best.number].less);
  return std::move(c.best);
}

}  // namespace switchyard::compiler
