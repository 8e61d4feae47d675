#include "compiler/strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "compiler/grid_search.h"
#include "compiler/lesser.h"

namespace switchyard::compiler {
namespace {

constexpr std::array<Strategy, 8> kStrategies{{{kHeldWeights[0], 4, false},
                                               {kHeldWeights[1], 1, false},
                                               {kHeldWeights[2], 4, false},
                                               {kHeldWeights[0], 1, false},
                                               {kHeldWeights[0], 2, false},
                                               {kHeldWeights[1], 4, false},
                                               {kHeldWeights[0], 4, true},
                                               {kHeldWeights[1], 1, true}}};
constexpr std::array<std::size_t, 4> kStrategiesOfEffort{1, 2, 5, 8};

/// More effort compares more, never other things: it finds nothing slower. On machines that fetch nothing early what there is to compare is
/// how thoroughly each kernel is searched.
std::vector<Strategy> strategies_of(const Machine& machine, bool timed, int effort) {
  if (fetches_early(machine))
    return {kStrategies.begin(),
            kStrategies.begin() + (timed ? static_cast<std::ptrdiff_t>(kStrategiesOfEffort[static_cast<std::size_t>(effort)]) : 1)};
  if (deals_waves(machine)) return {Strategy{0, 1, false, effort}};
  std::vector<Strategy> out;
  for (int search = timed ? 0 : effort; search <= effort; ++search) out.push_back({0, 1, false, search});
  return out;
}
/// Partitions that are compared: how much of what a kernel holds while others of its context run counts as a cost.
constexpr std::array<double, 3> kChainedWeights{0.02, 0.0, 0.1};
constexpr std::size_t kChainedTrials = 3;                     ///< programs of one kernel to a context, the fastest, of which that is tried
constexpr std::array<int, 4> kTrialsOfEffort{0, 0, 48, 200};  ///< whole programs in which other mappings are tried

std::string describe(const Machine& machine, const Strategy& s) {
  std::string chained;
  if (s.chained) chained = fmt::format(", several kernels to a context, {} of what they hold counted as a cost", *s.chained);
  if (s.pipelined) chained += ", pipelines";
  if (!fetches_early(machine)) return fmt::format("search of kernels {}{}", s.search, chained);
  return fmt::format("{} of what a context holds counted as its cost, {} readers, {}{}", s.held_weight, s.readers,
                     s.deep ? "deep" : "early", chained);
}

/// Corners of an array are tried down to this many components.
constexpr std::size_t kFew = 16;
/// How many components of contexts may be timed before no further program is tried, by effort.
constexpr std::array<std::size_t, 4> kTriedOfEffort{0, 60'000, 400'000, 4'000'000};

/// The machine, and the corners of its array, each about a quarter of the one before.
std::vector<Machine> corners_of(const Machine& machine) {
  std::vector<Machine> corners{machine};
  while (corners.back().components.size() > kFew) {
    std::vector<std::int64_t> extent = corners.back().extent;
    const std::int64_t parts = extent.size() == 1 ? 4 : 2;
    for (std::int64_t& e : extent) e = (e + parts - 1) / parts;
    Machine corner = within(machine, std::move(extent));
    if (corner.components.empty()) break;
    corners.push_back(std::move(corner));
  }
  return corners;
}

/// Contexts of programs that may have been timed before no more are made but with what is surest.
constexpr std::size_t kManyContexts = 800;
/// Candidates of kernels that may have been searched for the first program, where programs for lesser machines are tried, too.
constexpr std::int64_t kSearchedForLesser = 150'000;

}  // namespace

Result<Chosen> choose_strategy(const Machine& machine, Compiled& out, const CompileOptions& options,
                               const std::shared_ptr<const chip::Chip>& chip) {
  const int effort = std::clamp(options.effort, 0, 3);
  const auto affordable = kTriedOfEffort[static_cast<std::size_t>(effort)];
  const bool timed = options.time && !options.mappings;
  const std::vector<Strategy> strategies = strategies_of(machine, timed, effort);
  const bool corners = effort > 0 && timed && !machine.grid;
  struct Contender {
    Machine machine;
    std::string name{};
    std::shared_ptr<const chip::Chip> lesser{};  ///< its chip, where it is not the whole one
    Known known{};
    double time = std::numeric_limits<double>::infinity();  ///< of its fastest program
    Attempt reached{};                                      ///< by that program
  };
  std::vector<Contender> machines;
  for (Machine& m : corners ? corners_of(machine) : std::vector<Machine>{machine}) machines.push_back({std::move(m)});
  Chosen best{machine, strategies[0]};
  if (!timed || strategies.size() * machines.size() == 1) return best;
  best.compared = true;
  const bool several = machines.size() > 1;
  struct Trial {
    double time;
    std::size_t machine;
    Strategy strategy;
  };
  std::vector<Trial> trials_of;
  std::size_t contexts = 0;   ///< of all programs so far
  std::int64_t searched = 0;  ///< candidates of kernels, for the first program
  std::size_t calls = 0, spent = 0, each = 0;
  double least = 0;
  std::vector<Decision> told;
  const auto time_of = [&](std::size_t m, const Strategy& strategy) -> Result<double> {
    // What does not fit a corner is no reason to change the graph for all.
    graph::Graph trial;
    if (m > 0) trial = out.graph;
    std::vector<Decision> ignored;
    Contender& c = machines[m];
    Builder builder{c.machine, m > 0 ? trial : out.graph,  options,           m > 0 ? ignored : out.decisions,
                    chip,      c.lesser ? c.lesser : chip, std::move(c.known)};
    if (strategy.chained) builder.begin_with = c.reached;
    SY_TRY(Draft draft, builder.build(strategy, false));
    c.known = std::move(builder.known);
    if (m > 0 && trial.ops.size() != out.graph.ops.size()) return std::numeric_limits<double>::infinity();
    if (strategy.pipelined && draft.pipelines.empty()) return std::numeric_limits<double>::infinity();
    SY_TRY(const double time, builder.time_of(draft));
    const std::size_t count = c.machine.components.size();
    spent += count * draft.program.contexts.size();
    contexts += draft.program.contexts.size();
    if (calls == 0)
      for (const auto& [form, candidates] : c.known) searched += candidates.front().tried;
    told.push_back({"strategy", fmt::format("{} components{}, {}: {} contexts: {:.1f} us", count, c.name, describe(machine, strategy),
                                            draft.program.contexts.size(), time * 1e6)});
    if (time < c.time) c.time = time, c.reached = draft.attempt;
    if (calls == 0 || time < least) {
      least = time;
      best.start = draft.attempt;
      best.machine = c.machine;
      best.number = m;
      best.strategy = strategy;
      best.timed = calls;
      each = count * draft.program.contexts.size();
    }
    ++calls;
    trials_of.push_back({time, m, strategy});
    return time;
  };
  constexpr double kMuchSooner = 0.9;
  constexpr double kHopeless = 1.25;  // times the fastest: other strategies change less
  std::vector<std::pair<double, std::size_t>> order;
  for (std::size_t m = 0; m < machines.size(); ++m) {
    if (m > 0 && (spent > affordable || order.back().first > least * kHopeless)) break;
    const auto time = time_of(m, strategies[0]);
    if (!time && m == 0) return time.failure();
    order.emplace_back(time ? time.value() : std::numeric_limits<double>::infinity(), m);
  }
  std::stable_sort(order.begin(), order.end());
  const double first = least;
  for (const auto& [time, m] : order)
    for (std::size_t s = 1; s < strategies.size(); ++s) {
      if (time > first * kHopeless || (several && spent > affordable)) continue;
      const auto found = time_of(m, strategies[s]);
      if (!found && m == 0) return found.failure();
    }
  constexpr double kNear = 1.001, kClose = 1.05;  // times the fastest: another strategy may make it faster than that
  const Machine whole = best.machine;
  std::int64_t searches = 0;
  for (const LesserMachine& l : corners ? lesser_machines(whole) : std::vector<LesserMachine>{}) {
    if (++searches * searched > kSearchedForLesser || spent > affordable / 2 || contexts > kManyContexts) break;
    machines.push_back({l.machine, ", as for " + l.what, l.chip});
    const double before = least;
    const std::size_t m = machines.size() - 1;
    if (const auto time = time_of(m, best.strategy); time && time.value() < before * kNear)
      for (const Strategy& strategy : strategies)
        if (!(strategy == best.strategy)) static_cast<void>(time_of(m, strategy));
  }
  if (!options.disabled.fuse && !options.disabled.overlap && !best.machine.grid) {
    // What is best apart need not be best together. Programs of one time are one program.
    std::stable_sort(trials_of.begin(), trials_of.end(), [](const Trial& x, const Trial& y) { return x.time < y.time; });
    const double apart = least;
    std::vector<Trial> likeliest;
    for (const Trial& t : trials_of)
      if (likeliest.size() < kChainedTrials && (likeliest.empty() || t.time > likeliest.back().time)) likeliest.push_back(t);
    for (std::size_t i = 0; i < likeliest.size(); ++i) {
      if (i > 0 && (searched > kSearchedForLesser || spent > affordable || contexts > kManyContexts || likeliest[i].time > apart * kClose))
        break;
      Strategy strategy = likeliest[i].strategy;
      strategy.chained = kChainedWeights[0];
      if (const auto found = time_of(likeliest[i].machine, strategy); !found && likeliest[i].machine == 0) return found.failure();
    }
    const bool long_already = contexts > kManyContexts;
    if (fetches_early(machine) && !long_already) {  // where a little caution pays, none may pay more, and where it does not, more
      Strategy strategy = best.strategy;
      strategy.chained = kChainedWeights[least < apart ? 1 : 2];
      if (const auto found = time_of(best.number, strategy); !found && best.number == 0) return found.failure();
    }
    // What was best apart may hold more than others, which tells where contexts are dear.
    if (least < kMuchSooner * apart) {
      const Strategy sooner = best.strategy;
      const std::size_t m = best.number;
      for (Strategy other : strategies) {
        if (several && spent > affordable) break;
        other.chained = sooner.chained;
        if (other == sooner) continue;
        if (const auto found = time_of(m, other); !found && m == 0) return found.failure();
      }
    }
    Strategy pipelined = best.strategy;
    if (!pipelined.chained) pipelined.chained = kChainedWeights[0];
    pipelined.pipelined = true;
    // Stages share what one kernel after the other could not use: the whole array, where a corner of it was better.
    for (const std::size_t m : long_already ? std::set<std::size_t>{} : std::set<std::size_t>{0, best.number})
      if (const auto found = time_of(m, pipelined); !found && m == 0) return found.failure();
  }
  out.decisions.insert(out.decisions.end(), told.begin(), told.end());
  best.known = std::move(machines[best.number].known);
  best.lesser = machines[best.number].lesser;
  int trials = kTrialsOfEffort[static_cast<std::size_t>(effort)];
  if (several)
    trials = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(trials), (affordable - std::min(affordable, spent)) / each));
  if (trials == 0) return best;
  Builder builder{best.machine, out.graph, options, out.decisions, chip, best.lesser ? best.lesser : chip, std::move(best.known)};
  SY_TRY(best.wanted, builder.refine(best.strategy, least, trials));
  best.known = std::move(builder.known);
  if (!best.wanted.empty()) best.timed.reset();
  out.decisions.push_back({"strategy", fmt::format("other mappings of {} looks of kernels, tried in whole programs: {:.1f} us",
                                                   best.wanted.size(), least * 1e6)});
  return best;
}

}  // namespace switchyard::compiler
