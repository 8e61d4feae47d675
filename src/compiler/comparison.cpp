#include "compiler/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "compiler/bound.h"
#include "compiler/grid_search.h"
#include "compiler/means.h"
#include "compiler/place.h"
#include "compiler/streamed.h"
#include "program/relocate.h"

namespace switchyard::compiler {
namespace {

constexpr std::array<Strategy, 9> kStrategies{{{kHeldWeights[0], 4, false},
                                               {kHeldWeights[1], 1, false},
                                               {kHeldWeights[1], 4, false},
                                               {kLate, 4, false},
                                               {kHeldWeights[2], 4, false},
                                               {kHeldWeights[0], 1, false},
                                               {kHeldWeights[0], 2, false},
                                               {kHeldWeights[0], 4, true},
                                               {kHeldWeights[1], 1, true}}};

// By effort. More compares more, never other things: it finds nothing slower.
constexpr std::array<std::size_t, 4> kStrategiesOfEffort{1, 4, 6, 9};
constexpr std::array<std::size_t, 4> kPatience{1, 1, 3, 12};
/// How many components of contexts may be timed before no further program is tried.
constexpr std::array<std::size_t, 4> kAffordable{0, 90'000, 400'000, 4'000'000};
/// The same, as times what the first program has: larger arrays are no reason to try less than smaller ones do.
constexpr std::size_t kTimesFirst = 2;

/// Contexts of programs that may have been timed before no more are made but with what is surest, and before only the fastest program is
/// tried with several kernels to a context.
constexpr std::size_t kManyContexts = 800, kSomeContexts = 600;

constexpr double kClose = 1.05;  ///< times the fastest: what such a program may do is worth a trial
constexpr std::size_t kFewKernels = 2, kFewContexts = 16;
constexpr std::size_t kWide = 40, kWideArray = 64;  ///< kernels and components of what is searched widely
constexpr std::size_t kSmallCorner = 16;            ///< components: corners of an array are tried down to so many

/// On machines that fetch nothing early what is held is weighed by what contexts cost; the first is tried with every search of kernels, the
/// others with none but thorough ones.
struct WithoutEarly {
  double held_weight;
  std::int64_t readers;
};
constexpr std::array<WithoutEarly, 4> kWithoutEarly{
    {{kContextWeights[0], 4}, {kContextWeights[3], 1}, {kContextWeights[1], 4}, {kContextWeights[0], 1}}};

/// On grids what there is to compare is how thoroughly each kernel is searched.
std::vector<Strategy> strategies_of(const Machine& machine, bool timed, int effort) {
  if (fetches_early(machine))
    return {kStrategies.begin(),
            kStrategies.begin() + (timed ? static_cast<std::ptrdiff_t>(kStrategiesOfEffort[static_cast<std::size_t>(effort)]) : 1)};
  if (deals_waves(machine)) return {Strategy{0, 1, false, effort}};
  std::vector<Strategy> out;
  if (machine.grid) {
    for (int search = timed ? 0 : effort; search <= effort; ++search) out.push_back({0, 1, false, search});
    return out;
  }
  for (int search = timed ? 0 : effort; search <= effort; ++search)
    for (const auto& [weight, readers] : kWithoutEarly)
      if (out.empty() || search > 0) out.push_back({weight, readers, false, search});
  if (!timed) out.resize(1);
  return out;
}

/// The machine, and the corners of its array, each about a quarter of the one before.
std::vector<Contender> corners_of(const Machine& machine, bool arrays, std::int64_t room) {
  std::vector<Contender> corners;
  corners.push_back({machine});
  while (arrays && corners.back().machine.components.size() > kSmallCorner) {
    std::vector<std::int64_t> extent = corners.back().machine.extent;
    const std::int64_t parts = extent.size() == 1 ? 4 : 2;
    for (std::int64_t& e : extent) e = (e + parts - 1) / parts;
    Machine corner = within(machine, std::move(extent));
    if (corner.components.empty()) break;
    corners.push_back({std::move(corner), corners.size()});
  }
  for (Contender& c : corners) {
    if (room == 0) break;
    LesserMachine made = lesser_machine(c.machine, {room, 0, 0});
    c.machine = std::move(made.machine), c.less.room = room, c.lesser = std::move(made.chip);
  }
  return corners;
}

std::string describe(const Machine& machine, const Strategy& s) {
  std::string chained;
  if (s.chained) chained = fmt::format(", several kernels to a context, {} of what they hold counted as a cost", *s.chained);
  if (s.room > 0) chained += fmt::format(" ({} KiB)", s.room / 1024);
  if (s.dearer > 0) chained += fmt::format(" (as if a switch took {:.0f} us)", s.dearer * 1e6);
  if (s.pipelined) chained += ", pipelines";
  if (s.interleaved) chained += ", tiles handed on from unit to unit";
  if (s.streamed) chained += ", attention over blocks of keys";
  if (s.in_parts) chained += ", long sums in parts";
  if (machine.grid) return fmt::format("search of kernels {}{}", s.search, chained);
  if (!fetches_early(machine))
    return fmt::format("search of kernels {}, {} of a context's price for what is held, {} readers{}", s.search, s.held_weight, s.readers,
                       chained);
  const std::string held =
      s.held_weight == kLate ? "nothing taken to come early" : fmt::format("{} of what a context holds counted as its cost", s.held_weight);
  return fmt::format("{}, {} readers, {}{}", held, s.readers, s.deep ? "deep" : "early", chained);
}

constexpr double kNone = std::numeric_limits<double>::infinity();

}  // namespace

Comparison::Comparison(const Machine& machine, Compiled& compiled, const CompileOptions& how, const std::shared_ptr<const chip::Chip>& on,
                       std::int64_t room)
    : out(compiled),
      options(how),
      chip(on),
      effort(std::clamp(how.effort, 0, 3)),
      timed(how.time && !how.mappings),
      arrays(effort > 0 && timed && !machine.grid),
      strategies(strategies_of(machine, timed, effort)),
      machines(corners_of(machine, arrays, room)),
      several(machines.size() > 1),
      best{machine, strategies[0]},
      affordable(kAffordable[static_cast<std::size_t>(effort)]),
      for_room_(room > 0) {}

std::size_t Comparison::patience() const { return kPatience[static_cast<std::size_t>(effort)]; }
bool Comparison::is_long() const { return spent.contexts > kManyContexts * patience(); }
bool Comparison::is_longish() const { return spent.contexts > kSomeContexts * patience(); }
bool Comparison::is_of_few() const { return effort > 0 && each <= kFewKernels * best.machine.components.size(); }
bool Comparison::is_small_array() const {
  return arrays && whole().components.size() <= kWideArray && fetches_early(whole()) && chains_kernels(whole());
}
bool Comparison::is_wide() const { return is_small_array() && kernels > kFewKernels && kernels <= kWide; }
bool Comparison::is_of_few_contexts() const {
  return is_small_array() && kernels > kWide && each <= kFewContexts * best.machine.components.size();
}

bool Comparison::is_at_bound() {
  constexpr double kAtBound = 1.015;
  if (!bound_) {
    bound_ = 1e-12 * static_cast<double>(Bounds(*chip, out.graph).model(hidden_in_attention(out.graph, *bands_)).time().value);
  }
  return least <= kAtBound * *bound_;
}

std::size_t Comparison::with_less(std::size_t corner, Less less) {
  if (less.room == 0) less.room = machines[corner].less.room;
  if (less == machines[corner].less) return corner;
  const auto at = std::find_if(machines.begin(), machines.end(), [&](const Contender& c) { return c.corner == corner && c.less == less; });
  if (at != machines.end()) return static_cast<std::size_t>(at - machines.begin());
  LesserMachine made = lesser_machine(machines[corner].machine, less);
  machines.push_back({std::move(made.machine), corner, less, std::move(made.chip)});
  return machines.size() - 1;
}

void Comparison::adopt(Comparison& other) {
  std::vector<std::size_t> number;
  for (Contender& c : other.machines) {
    number.push_back(with_less(c.corner, c.less));
    Contender& here = machines[number.back()];
    here.time = std::min(here.time, c.time);
    if (here.known.candidates.empty()) here.known = std::move(c.known);
  }
  const auto here = [&](Point point) {
    point.machine = number[point.machine];
    return point;
  };
  for (const Trial& t : other.trials)
    if (const Point point = here(t.point); !known(point)) trials.push_back({t.time, point, t.size});
  for (const Point& p : other.failed)
    if (const Point point = here(p); !known(point)) failed.push_back(point);
  told.insert(told.end(), other.told.begin(), other.told.end());
  streams = streams || other.streams;
  interleaves = interleaves || other.interleaves;
  if (!(other.least < least)) return;
  least = other.least, each = other.each;
  best.start = std::move(other.best.start);
  best.number = number[other.best.number];
  best.machine = machines[best.number].machine;
  best.strategy = other.best.strategy;
  best.wanted = std::move(other.best.wanted);
  best.timed = other.best.timed;
  refined = other.refined;
}

const Trial* Comparison::find(const Point& point) const {
  const auto at = std::find_if(trials.begin(), trials.end(), [&](const Trial& t) { return t.point == point; });
  return at == trials.end() ? nullptr : &*at;
}

bool Comparison::known(const Point& point) const { return find(point) || std::find(failed.begin(), failed.end(), point) != failed.end(); }

Builder Comparison::builder(std::size_t machine, graph::Graph& graph, std::vector<Decision>& decisions, Known known) const {
  const Contender& c = machines[machine];
  return {c.machine, graph, options, decisions, chip, c.lesser ? c.lesser : chip, std::move(known)};
}

Result<double> Comparison::time_of(const Point& point) {
  // What does not fit a corner, or less room, is no reason to change the graph for all, and parts of sums are only tried.
  const Strategy& strategy = point.strategy;
  const bool apart = for_room_ || point.machine > 0 || strategy.in_parts || strategy.streamed;
  graph::Graph trial;
  if (apart) trial = out.graph;
  std::vector<Decision> ignored;
  Contender& c = machines[point.machine];
  c.known.bands = bands_;
  if (strategy.in_parts) cut_reductions(c.machine, trial, cuts);
  const std::size_t ops = apart ? trial.ops.size() : 0;
  Builder made = builder(point.machine, apart ? trial : out.graph, apart ? ignored : out.decisions, std::move(c.known));
  Result<Draft> built = made.build(strategy, false);
  c.known = std::move(made.known);
  if (!built) return built.failure();
  Draft draft = std::move(built).value();
  made.known.bands = bands_;
  if (strategy.streamed && draft.streamed.empty() && !made.begin_with.unstreamed.empty())
    told.push_back({"strategy", "attention over blocks of keys: no blocks fit"});
  if ((apart && trial.ops.size() != ops) || (strategy.pipelined && draft.pipelines.empty()) ||
      (strategy.interleaved && draft.interleavings.empty()) || (strategy.streamed && draft.streamed.empty())) {
    failed.push_back(point);
    return kNone;
  }
  SY_TRY(const Timed found, made.time_of(draft));
  const double time = found.seconds;
  const bool first = trials.empty(), chained = strategy.chained && time < least * kClose;
  if (first && !options.streams) streams_at_first = made.may_stream(draft);
  if (chained && !streams && !options.streams) streams = made.may_stream(draft);
  if (chained && !strategy.pipelined && !strategy.interleaved && !interleaves) interleaves = !made.interleavings_of(draft).empty();
  const std::size_t count = c.machine.components.size(), contexts = draft.program.contexts.size();
  if (first) {
    kernels = draft.kernels.size();
    affordable = std::max(affordable, kTimesFirst * count * contexts);
    for (const auto& [form, candidates] : c.known.candidates) searched += candidates->front().tried;
  }
  spent.components += count * contexts;
  spent.contexts += contexts;
  spent.events += found.events;
  const std::string took = std::isfinite(time) ? fmt::format("{:.1f} us", time * 1e6) : "circuits have no room";
  told.push_back(
      {"strategy", fmt::format("{} components{}, {}: {} contexts: {}", count, c.less == Less{} ? "" : ", as for " + print_less(c.less),
                               describe(whole(), strategy), contexts, took)});
  c.time = std::min(c.time, time);
  if (first || time < least) {
    least = time;
    best.start = draft.attempt;
    best.machine = c.machine;
    best.number = point.machine;
    best.strategy = strategy;
    best.wanted.clear();
    best.timed = found.call;
    refined = false;
    each = count * contexts;
  }
  trials.push_back({time, point, count * contexts});
  return time;
}

Status Comparison::attempt(const Point& point) {
  const auto found = time_of(point);
  if (!found && point.machine == 0 && !for_room_) return found.failure();
  if (!found) failed.push_back(point);
  return Done{};
}

Result<std::optional<double>> Comparison::placed(const Point& point, double worth, const std::map<std::string, Mapping>& wanted,
                                                 const Attempt& begin) {
  graph::Graph trial = out.graph;
  std::vector<Decision> ignored;
  Contender& c = machines[point.machine];
  c.known.bands = bands_;
  if (point.strategy.in_parts) cut_reductions(c.machine, trial, cuts);
  Builder made = builder(point.machine, trial, ignored, std::move(c.known));
  made.begin_with = begin;
  Result<Draft> built = made.build(point.strategy, false, wanted);
  c.known = std::move(made.known);
  if (!built) return built.failure();
  Draft draft = std::move(built).value();
  SY_TRY(const Timed plain, made.time_of(draft));
  if (!std::isfinite(plain.seconds)) return std::optional<double>{};
  const Placement placement = place_components(c.machine, draft.program, options.seed, 1, worth * plain.seconds);
  if (placement.before < worth * plain.seconds) return std::optional<double>{};
  if (placement.before == 0) return std::optional(plain.seconds);
  program::relocate(draft.program, c.machine.component, placement.to);
  return std::optional(std::min(plain.seconds, options.time(draft.program).seconds));
}

}  // namespace switchyard::compiler
