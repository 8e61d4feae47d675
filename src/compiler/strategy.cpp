#include "compiler/strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <span>

#include "chip/query.h"
#include "compiler/grid_search.h"
#include "compiler/lesser.h"
#include "compiler/means.h"
#include "compiler/place.h"
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
constexpr std::array<std::size_t, 4> kStrategiesOfEffort{1, 4, 6, 9};

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
/// Where contexts are so few, shorter ones are tried: as if scratchpads had 2^n or 3·2^n bytes, ever less of them, until contexts are more.
/// Longer contexts are not always faster, and a chip with more room tries what one with less does.
constexpr std::size_t kFewLong = 8;

/// Where switches cost less than this, contexts are tried that are joined as if they cost so much, each as long as the one before was
/// better: estimates do not know all that contexts by themselves cost, and a chip with cheaper switches tries what one with dearer ones
/// does.
constexpr std::array<double, 3> kDearSwitches{1e-6, 10e-6, 100e-6};
constexpr std::size_t kChainedTrials = 3;                     ///< programs of one kernel to a context, the fastest, of which that is tried
constexpr std::array<int, 4> kTrialsOfEffort{0, 0, 48, 200};  ///< whole programs in which other mappings are tried
/// The same of programs with so few contexts, where that costs little and one mapping decides.
constexpr std::size_t kFewKernels = 2;
constexpr int kTrialsOfFew = 10;
/// The same of programs with somewhat more kernels: estimates that stand alone do not know what kernels are to each other, the less the
/// more of them scratchpads hold at once.
constexpr std::size_t kSomeKernels = 24;
constexpr int kTrialsOfSome = 24;
/// Programs are changed one thing at a time, so often divided by the square of their kernels: longer ones take longer each. That begins
/// with so many kinds of program. Contexts no longer than for so much room are not among what is tried there.
constexpr std::size_t kChanges = 25'000, kMostChanges = 60, kChangedKinds = 2;
/// Of so few kernels, on so few components, they are searched widely, so many of them. Of all programs of two layers of BERT (rpu-4x4 with
/// 1 to 8 MiB, TX81 with 2 to 6), two of ViT and ResNet-18, 170 to 498 different ones each, that found what is within 0.8 % of the fastest
/// in 37 to 79 of them.
constexpr std::size_t kWide = 40, kWideArray = 64, kChangedWidely = 3, kMostWidely = 100;
constexpr std::int64_t kLeastRoomToChange = 512 * 1024;

std::string describe(const Machine& machine, const Strategy& s) {
  std::string chained;
  if (s.chained) chained = fmt::format(", several kernels to a context, {} of what they hold counted as a cost", *s.chained);
  if (s.room > 0) chained += fmt::format(" ({} KiB)", s.room / 1024);
  if (s.dearer > 0) chained += fmt::format(" (as if a switch took {:.0f} us)", s.dearer * 1e6);
  if (s.pipelined) chained += ", pipelines";
  if (s.interleaved) chained += ", tiles handed on from unit to unit";
  if (s.streamed) chained += ", attention over blocks of keys";
  if (s.in_parts) chained += ", long sums in parts";
  if (!fetches_early(machine)) return fmt::format("search of kernels {}{}", s.search, chained);
  const std::string held =
      s.held_weight == kLate ? "nothing taken to come early" : fmt::format("{} of what a context holds counted as its cost", s.held_weight);
  return fmt::format("{}, {} readers, {}{}", held, s.readers, s.deep ? "deep" : "early", chained);
}

/// Corners of an array are tried down to this many components.
constexpr std::size_t kFew = 16;
/// How many components of contexts may be timed before no further program is tried, by effort.
constexpr std::array<std::size_t, 4> kTriedOfEffort{0, 90'000, 400'000, 4'000'000};

/// The same, as times what the first program has: larger arrays are no reason to try less than smaller ones do.
constexpr std::size_t kTimesFirst = 2;

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
/// The same, before none is made that hands on tiles: it is one more.
constexpr std::size_t kManyForTiles = 1200;
/// The same, before fewer programs for lesser machines are tried.
constexpr std::size_t kShort = 200;
/// The same, before only the fastest program is tried with several kernels to a context.
constexpr std::size_t kFewContexts = 600;
/// Candidates of kernels that may have been searched for the first program, where programs for lesser machines are tried, too.
constexpr std::int64_t kSearchedForLesser = 150'000, kSearchedForShort = 1'200'000;

constexpr double kHopeless = 1.25;      ///< times the fastest: other strategies change less
constexpr double kNear = 1.001;         ///< times the fastest: another strategy may make it faster than that
constexpr double kClose = 1.05;         ///< the same, of several kernels to a context
constexpr double kPlacedMayTurn = 1.1;  ///< the same, of long sums in parts against them as they are
constexpr double kMuchSooner = 0.9;     ///< times what was fastest apart: what was chosen for one kernel to a context may be mistaken

/// The comparison, phase by phase. What one phase finds tells the next what to try; what has been spent tells how much.
class Comparison {
 public:
  Comparison(const Machine& machine, Compiled& out, const CompileOptions& options, const std::shared_ptr<const chip::Chip>& chip)
      : out_(out),
        options_(options),
        chip_(chip),
        effort_(std::clamp(options.effort, 0, 3)),
        affordable_(kTriedOfEffort[static_cast<std::size_t>(effort_)]),
        timed_(options.time && !options.mappings),
        strategies_(strategies_of(machine, timed_, effort_)),
        corners_(effort_ > 0 && timed_ && !machine.grid),
        best_{machine, strategies_[0]} {
    for (Machine& m : corners_ ? corners_of(machine) : std::vector<Machine>{machine}) machines_.push_back({std::move(m)});
    several_ = machines_.size() > 1;
  }

  Result<Chosen> run() {
    if (!timed_ || strategies_.size() * machines_.size() == 1) return std::move(best_);
    best_.compared = true;
    SY_TRY(std::vector<Found> order, try_corners());
    stream_first(order);
    SY_TRY([[maybe_unused]] Done strategies, try_strategies(order));
    if (!widely()) try_lesser_machines();
    if (chains_kernels(best_.machine)) {
      const double apart = least_;
      SY_TRY([[maybe_unused]] Done chained, try_chains(apart));
      SY_TRY([[maybe_unused]] Done sooner, try_others_of_the_soonest(apart));
      SY_TRY([[maybe_unused]] Done pipelines, try_pipelines());
      SY_TRY([[maybe_unused]] Done interleaved, try_interleaving());
      SY_TRY([[maybe_unused]] Done descended, descend());
      SY_TRY([[maybe_unused]] Done streamed, try_streaming());
    }
    try_parts();
    out_.decisions.insert(out_.decisions.end(), told_.begin(), told_.end());
    if (best_.strategy.in_parts) make_parts();
    SY_TRY([[maybe_unused]] Done refined, refine());
    best_.made_for = machines_[best_.number].name;
    return std::move(best_);
  }

 private:
  struct Contender {
    Machine machine;
    std::string name{};                          ///< what its chip has less of
    std::shared_ptr<const chip::Chip> lesser{};  ///< its chip, where it is not the whole one
    Known known{};
    double time = std::numeric_limits<double>::infinity();  ///< of its fastest program
    Attempt reached{};                                      ///< by that program
  };
  struct Trial {
    double time;
    std::size_t machine;
    Strategy strategy;
  };
  using Found = std::pair<double, std::size_t>;  ///< time, and on which machine

  [[nodiscard]] bool spent() const { return spent_ > affordable_; }
  [[nodiscard]] bool long_already() const { return contexts_ > kManyContexts * patience(); }
  [[nodiscard]] bool longish() const { return contexts_ > kFewContexts * patience(); }
  /// More effort looks at more strategies first, and must not give up what less effort finds.
  [[nodiscard]] std::size_t patience() const { return std::array<std::size_t, 4>{1, 1, 3, 12}[static_cast<std::size_t>(effort_)]; }

  /// Makes and times a program; remembers it where it is the fastest.
  Result<double> time_of(std::size_t m, const Strategy& strategy) {
    // What does not fit a corner is no reason to change the graph for all, and parts of sums are only tried.
    const bool apart = m > 0 || strategy.in_parts || strategy.streamed;
    graph::Graph trial;
    if (apart) trial = out_.graph;
    std::vector<Decision> ignored;
    Contender& c = machines_[m];
    c.known.bands = bands_;
    if (strategy.in_parts) cut_reductions(c.machine, trial, cuts_);
    const std::size_t ops = apart ? trial.ops.size() : 0;
    Builder builder{c.machine, apart ? trial : out_.graph,  options_,          apart ? ignored : out_.decisions,
                    chip_,     c.lesser ? c.lesser : chip_, std::move(c.known)};
    if (strategy.chained) builder.begin_with = c.reached;
    SY_TRY(Draft draft, builder.build(strategy, false));
    c.known = std::move(builder.known);
    builder.known.bands = bands_;
    if (apart && trial.ops.size() != ops) return std::numeric_limits<double>::infinity();
    if (strategy.pipelined && draft.pipelines.empty()) return std::numeric_limits<double>::infinity();
    if (strategy.interleaved && draft.interleavings.empty()) return std::numeric_limits<double>::infinity();
    if (strategy.streamed && draft.streamed.empty()) {
      if (!builder.begin_with.unstreamed.empty()) told_.push_back({"strategy", "attention over blocks of keys: no blocks fit"});
      return std::numeric_limits<double>::infinity();
    }
    SY_TRY(const double time, builder.time_of(draft));
    if (trials_.empty() && !options_.streams) streams_at_first_ = builder.may_stream(draft);
    if (strategy.chained && !streams_ && !options_.streams && time < least_ * kClose) streams_ = builder.may_stream(draft);
    if (strategy.chained && !strategy.pipelined && !strategy.interleaved && !interleaves_ && time < least_ * kClose)
      interleaves_ = !builder.interleavings_of(draft).empty();
    const std::size_t count = c.machine.components.size(), contexts = draft.program.contexts.size();
    if (trials_.empty()) kernels_ = draft.kernels.size(), affordable_ = std::max(affordable_, kTimesFirst * count * contexts);
    spent_ += count * contexts;
    contexts_ += contexts;
    if (trials_.empty())
      for (const auto& [form, candidates] : c.known.candidates) searched_ += candidates->front().tried;
    const std::string took = std::isfinite(time) ? fmt::format("{:.1f} us", time * 1e6) : "circuits have no room";
    told_.push_back({"strategy", fmt::format("{} components{}, {}: {} contexts: {}", count, c.name.empty() ? "" : ", as for " + c.name,
                                             describe(machines_[0].machine, strategy), contexts, took)});
    if (time < c.time) c.time = time, c.reached = draft.attempt;
    if (trials_.empty() || time < least_) {
      least_ = time;
      best_.start = draft.attempt;
      best_.machine = c.machine;
      best_.number = m;
      best_.strategy = strategy;
      best_.timed = trials_.size();
      each_ = count * contexts;
    }
    trials_.push_back({time, m, strategy});
    return time;
  }

  /// The same, where only the first machine has to be able to do it.
  Status attempt(std::size_t m, const Strategy& strategy) {
    const auto found = time_of(m, strategy);
    if (!found && m == 0) return found.failure();
    if (!found) failed_.push_back({0, m, strategy});
    return Done{};
  }

  /// The first strategy on the whole array and on ever smaller corners of it, as long as that gets better; the fastest first.
  Result<std::vector<Found>> try_corners() {
    std::vector<Found> order;
    for (std::size_t m = 0; m < machines_.size(); ++m) {
      if (m > 0 && order.back().first > least_ * kHopeless) break;  // all corners together cost a third of the whole array
      const auto time = time_of(m, strategies_[0]);
      if (!time && m == 0) return time.failure();
      order.emplace_back(time ? time.value() : std::numeric_limits<double>::infinity(), m);
    }
    std::stable_sort(order.begin(), order.end());
    return order;
  }

  /// Where attention over blocks of keys is much sooner, all that is compared has it: what is best beside scores that go through memory
  /// need not be best without them.
  void stream_first(std::vector<Found>& order) {
    if (!options_.streams.value_or(streams_at_first_) || !chains_kernels(machines_[0].machine)) return;
    const double whole = least_;
    const auto stream = [&](bool streamed) {
      for (Strategy& s : strategies_) s.streamed = streamed;
    };
    stream(true);
    if (auto streamed = try_corners(); streamed && least_ < kMuchSooner * whole)
      order = std::move(streamed).value();
    else
      stream(false);
  }

  /// The other strategies, on those that were fast.
  Status try_strategies(const std::vector<Found>& order) {
    const double first = least_;
    for (const auto& [time, m] : order)
      for (std::size_t s = 1; s < strategies_.size(); ++s) {
        if (time > first * kHopeless || (several_ && spent()) || (s > 1 && long_already())) continue;
        SY_TRY([[maybe_unused]] Done tried, attempt(m, strategies_[s]));
      }
    return Done{};
  }

  /// Programs for machines with less of one resource.
  void try_lesser_machines() {
    if (!corners_) return;
    const Machine whole = best_.machine;
    std::int64_t searches = 0;
    const std::int64_t affordable_searches = contexts_ <= kShort * patience() ? kSearchedForShort : kSearchedForLesser;
    std::vector<LesserMachine> lesser = lesser_machines(whole);
    if (few())  // what one mapping decides, it decides for each room anew
      for (LesserMachine& l : smaller_scratchpads(whole)) lesser.push_back(std::move(l));
    for (const LesserMachine& l : lesser) {
      if ((!few() && ++searches * searched_ > affordable_searches) || spent_ > affordable_ / 2 || long_already()) break;
      machines_.push_back({l.machine, l.what, l.chip});
      const double before = least_;
      const std::size_t m = machines_.size() - 1;
      if (const auto time = time_of(m, best_.strategy); time && time.value() < before * kNear)
        for (const Strategy& strategy : strategies_)
          if (!(strategy == best_.strategy)) static_cast<void>(time_of(m, strategy));
    }
  }

  /// Several kernels to a context: what is best apart need not be best together, so of the fastest programs each. Programs of one time are
  /// one program.
  Status try_chains(double apart) {
    std::stable_sort(trials_.begin(), trials_.end(), [](const Trial& x, const Trial& y) { return x.time < y.time; });
    std::vector<Trial> likeliest;
    for (const Trial& t : trials_)
      if (likeliest.size() < kChainedTrials && (likeliest.empty() || t.time > likeliest.back().time)) likeliest.push_back(t);
    const bool early = fetches_early(machines_[0].machine);
    for (std::size_t i = 0; i < likeliest.size(); ++i) {
      if (i > 0 && (longish() || spent() || likeliest[i].time > apart * kClose)) break;
      Strategy strategy = likeliest[i].strategy;
      strategy.chained = kChainedWeights[0];
      SY_TRY([[maybe_unused]] Done tried, attempt(likeliest[i].machine, strategy));
      if (!std::isfinite(trials_.back().time)) {  // shorter contexts have fewer circuits; without, each kernel is one of its own
        SY_TRY([[maybe_unused]] Done routed, try_shorter_until_routed(likeliest[i].machine, strategy));
      }
      if (longish() || spent() || !early) continue;
      strategy.chained = kChainedWeights[1];
      std::size_t before = contexts_;
      SY_TRY([[maybe_unused]] Done careless, attempt(likeliest[i].machine, strategy));
      for (const std::int64_t room : lesser_rooms(machines_[0].machine)) {
        if (i > 0 || contexts_ - before > kFewLong || longish() || spent()) break;
        before = contexts_;
        strategy.room = room;
        SY_TRY([[maybe_unused]] Done shorter, attempt(likeliest[i].machine, strategy));
      }
      if (i == 0) {
        SY_TRY([[maybe_unused]] Done dearer, try_dear_switches(likeliest[i]));
      }
    }
    pipelines_too_ = !long_already();
    if (!early || long_already()) return Done{};
    // Where a little caution pays, none may pay more, and where it does not, more.
    Strategy strategy = best_.strategy;
    strategy.chained = kChainedWeights[least_ < apart ? 1 : 2];
    if (!known(best_.number, strategy)) {
      SY_TRY([[maybe_unused]] Done weighed, attempt(best_.number, strategy));
    }
    // Programs for lesser machines that were the same apart need not be the same together: smaller scratchpads hold fewer kernels.
    const Strategy best = best_.strategy;
    for (std::size_t m = 0; m < machines_.size() && !longish() && !spent(); ++m) {
      if (!machines_[m].lesser || machines_[m].time > apart * kClose || known(m, best)) continue;
      SY_TRY([[maybe_unused]] Done tried, attempt(m, best));
    }
    return Done{};
  }

  /// The same for ever less room of scratchpads, until circuits have room and no shorter contexts are better.
  Status try_shorter_until_routed(std::size_t m, Strategy strategy) {
    for (const std::int64_t room : lesser_rooms(machines_[0].machine)) {
      const double before = least_;
      strategy.room = room;
      SY_TRY([[maybe_unused]] Done shorter, attempt(m, strategy));
      if (std::isfinite(trials_.back().time) && !(least_ < before)) break;
    }
    return Done{};
  }

  [[nodiscard]] std::vector<double> dear_switches() const {
    std::vector<double> out;
    for (const double seconds : kDearSwitches)
      if (seconds > machines_[0].machine.chip->context.switch_time.value) out.push_back(seconds);
    return out;
  }

  Status try_dear_switches(const Trial& apart) {
    Strategy strategy = apart.strategy;
    strategy.chained = kChainedWeights[0];
    for (const double seconds : dear_switches()) {
      if (longish() || spent()) break;
      const double before = least_;
      strategy.dearer = seconds;
      SY_TRY([[maybe_unused]] Done tried, attempt(apart.machine, strategy));
      if (!(least_ < before)) break;
    }
    return Done{};
  }

  /// What was best apart may hold more than others, which tells where contexts are dear.
  Status try_others_of_the_soonest(double apart) {
    if (!(least_ < kMuchSooner * apart)) return Done{};
    const Strategy sooner = best_.strategy;
    const std::size_t m = best_.number;
    for (Strategy other : strategies_) {
      if (several_ && spent()) break;
      other.chained = sooner.chained;
      other.room = sooner.room;
      other.dearer = sooner.dearer;
      if (other == sooner) continue;
      SY_TRY([[maybe_unused]] Done tried, attempt(m, other));
    }
    return Done{};
  }

  /// Stages share what one kernel after the other could not use: the whole array, where a corner of it was better.
  Status try_pipelines() {
    if (!pipelines_too_) return Done{};
    Strategy pipelined = best_.strategy;
    if (!pipelined.chained) pipelined.chained = kChainedWeights[0];
    pipelined.pipelined = true;
    // With less of a resource more looks worth it.
    std::set<std::size_t> machines{0, best_.number};
    for (std::size_t m = 0; m < machines_.size() && !longish(); ++m)
      if (machines_[m].lesser && machines_[m].time < least_ * kHopeless) machines.insert(m);
    for (const std::size_t m : machines) {
      if (m > 0 && spent()) break;
      SY_TRY([[maybe_unused]] Done tried, attempt(m, pipelined));
    }
    return Done{};
  }

  /// Of kernels on different units, one works on a tile while the other works on the next.
  Status try_interleaving() {
    if (!interleaves_ || contexts_ > kManyForTiles * patience()) return Done{};
    Strategy interleaved = best_.strategy;
    if (!interleaved.chained) interleaved.chained = kChainedWeights[0];
    interleaved.pipelined = false;
    interleaved.interleaved = true;
    return attempt(best_.number, interleaved);
  }

  /// Where scores leave the chip, attention goes over blocks of keys.
  Status try_streaming() {
    if (!options_.streams.value_or(streams_)) return Done{};
    Strategy streamed = best_.strategy;
    if (!streamed.chained) streamed.chained = kChainedWeights[0];
    streamed.pipelined = streamed.interleaved = false;
    streamed.streamed = true;
    std::set<std::size_t> machines{0, best_.number};
    for (std::size_t m = 0; m < machines_.size() && !longish(); ++m)
      if (machines_[m].lesser && machines_[m].time < least_ * kClose) machines.insert(m);
    for (const std::size_t m : machines) {
      if (known(m, streamed)) continue;
      SY_TRY([[maybe_unused]] Done tried, attempt(m, streamed));
    }
    return Done{};
  }

  using Point = std::pair<std::size_t, Strategy>;  ///< a machine, and how its program is made

  [[nodiscard]] const Trial* trial_of(const Point& p) const {
    const auto at =
        std::find_if(trials_.begin(), trials_.end(), [&](const Trial& t) { return t.machine == p.first && t.strategy == p.second; });
    return at == trials_.end() ? nullptr : &*at;
  }
  [[nodiscard]] bool known(std::size_t m, const Strategy& strategy) const {
    return trial_of({m, strategy}) ||
           std::any_of(failed_.begin(), failed_.end(), [&](const Trial& t) { return t.machine == m && t.strategy == strategy; });
  }

  /// In what programs differ, one thing at a time.
  enum class Axis { room, strategy, joins, machine, tiles, switches };
  static constexpr std::array kAxes{Axis::room, Axis::machine, Axis::strategy, Axis::joins, Axis::tiles, Axis::switches};
  static constexpr std::array kAxesOfMany{Axis::strategy, Axis::joins, Axis::room, Axis::machine, Axis::tiles};

  /// Programs that differ from one in one thing only.
  [[nodiscard]] std::vector<Point> along(Axis axis, const Point& from) const {
    std::vector<Point> out;
    const auto add = [&](std::size_t machine, const auto& change) {
      out.emplace_back(machine, from.second);
      change(out.back().second);
    };
    const std::size_t m = from.first;
    if (axis == Axis::strategy)
      for (const Strategy& o : strategies_)
        add(m, [&](Strategy& s) { s.held_weight = o.held_weight, s.readers = o.readers, s.deep = o.deep, s.search = o.search; });
    if (axis == Axis::joins)
      for (const double weight : kChainedWeights) add(m, [&](Strategy& s) { s.chained = weight; });
    if (axis == Axis::room) {
      add(m, [&](Strategy& s) { s.room = 0; });
      for (const std::int64_t room : lesser_rooms(machines_[0].machine))
        if (room >= kLeastRoomToChange) add(m, [&](Strategy& s) { s.room = room; });
    }
    if (axis == Axis::machine)
      for (std::size_t i = 0; i < machines_.size(); ++i) add(i, [](const Strategy&) {});
    if (axis == Axis::tiles && interleaves_) add(m, [&](Strategy& s) { s.interleaved = !s.interleaved, s.pipelined = false; });
    if (axis == Axis::switches)
      for (const double seconds : dear_switches()) add(m, [&](Strategy& s) { s.dearer = seconds; });
    return out;
  }

  /// Makes and times a program unless it is known. False: no more is to be tried.
  Result<bool> attempt_within(const Point& p, std::size_t& left) {
    if (known(p.first, p.second)) return true;
    if (left == 0) return false;
    const std::size_t before = trials_.size();
    SY_TRY([[maybe_unused]] Done tried, attempt(p.first, p.second));
    if (trials_.size() == before) return true;  // nothing of the kind
    const double time = trials_.back().time;
    left -= !widely() || std::none_of(trials_.begin(), trials_.end() - 1,
                                      [&](const Trial& t) { return t.time == time; });  // the same program costs little
    return true;
  }

  /// Programs of few kernels: what is best apart says little of what is best together, so all strategies are compared together, as for
  /// every lesser machine.
  Status screen(std::size_t& left) {
    for (const LesserMachine& l : rungs_below(best_.machine)) machines_.push_back({l.machine, l.what, l.chip});
    std::vector<std::size_t> machines{best_.number};
    for (std::size_t m = 0; m < machines_.size(); ++m)
      if (machines_[m].lesser) machines.push_back(m);
    for (const std::size_t m : machines)
      for (Strategy s : strategies_) {
        s.chained = kChainedWeights[1];
        s.interleaved = interleaves_;
        SY_TRY(bool more, attempt_within({m, s}, left));
        if (more && s.interleaved && !trial_of({m, s})) {  // there are no tiles to hand on
          s.interleaved = false;
          SY_TRY(more, attempt_within({m, s}, left));
        }
        if (!more) return Done{};
      }
    return Done{};
  }

  /// One thing after the other is changed in the fastest program, as long as that gets better, and then in the fastest one of another kind:
  /// what is best apart need not be together, nor what is best with one thing with another.
  Status descend() {
    if (kernels_ < 2) return Done{};
    const std::size_t spent_before = spent_;
    std::size_t left = (widely() ? kMostWidely : std::min(kMostChanges, kChanges / (kernels_ * kernels_))) * patience();
    if (widely()) {
      SY_TRY([[maybe_unused]] Done screened, screen(left));
    }
    SY_TRY([[maybe_unused]] Done changed, change(left));
    spent_ = spent_before;  // it has a measure of its own
    return Done{};
  }

  /// The fastest program of several kernels to a context that is of no kind that has been changed.
  [[nodiscard]] const Trial* next_to_change(const std::vector<Point>& changed) const {
    const auto kin = [&](const Point& p, const Trial& t) {
      return p.second.held_weight == t.strategy.held_weight && p.second.readers == t.strategy.readers &&
             (!widely() || p.first == t.machine);
    };
    const Trial* next = nullptr;
    for (const Trial& t : trials_)
      if (t.strategy.chained && !t.strategy.pipelined && (next == nullptr || t.time < next->time) &&
          std::none_of(changed.begin(), changed.end(), [&](const Point& p) { return kin(p, t); }))
        next = &t;
    return next;
  }

  Status change(std::size_t left) {
    std::vector<Point> changed;
    for (std::size_t kinds = 0; kinds < (widely() ? kChangedWidely : kChangedKinds); ++kinds) {
      const Trial* next = next_to_change(changed);
      if (next == nullptr) break;
      Point at{next->machine, next->strategy};
      double time = next->time;
      if (widely()) changed.push_back(at);
      for (bool better = true; better;) {
        better = false;
        for (const Axis axis : widely() ? std::span<const Axis>(kAxes) : std::span<const Axis>(kAxesOfMany)) {
          std::optional<Point> best;
          for (const Point& p : along(axis, at)) {
            if (!widely() && known(p.first, p.second)) continue;
            SY_TRY(const bool more, attempt_within(p, left));
            if (!more) return Done{};
            if (const Trial* t = trial_of(p); t && t->time < time) best = p, time = t->time;
            if (best && !widely()) break;
          }
          if (best) at = *best, better = true;
          if (best && !widely()) break;
        }
      }
      changed.push_back(at);
    }
    return Done{};
  }

  /// Programs of some kernels are searched widely: they take little time each, and there is much to choose.
  [[nodiscard]] bool widely() const {
    const Machine& whole = machines_[0].machine;
    return corners_ && kernels_ > kFewKernels && kernels_ <= kWide && whole.components.size() <= kWideArray && fetches_early(whole) &&
           chains_kernels(whole);
  }
  [[nodiscard]] bool few() const { return effort_ > 0 && each_ <= kFewKernels * best_.machine.components.size(); }

  /// Sums of few results in parts, so that more components have something to do: on the whole array, too, where a corner of it was better.
  void try_parts() {
    if (best_.machine.grid || try_parts_on(best_.number)) return;
    if (best_.machine.components.size() < machines_[0].machine.components.size()) try_parts_on(0);
  }

  bool try_parts_on(std::size_t m) {
    cuts_ = worthwhile_cuts(machines_[m].machine, out_.graph);
    if (cuts_.empty() || (several_ && spent_ > affordable_)) return false;
    Strategy strategy = best_.strategy;
    strategy.in_parts = true;
    const double whole = least_;
    const auto time = time_of(m, strategy);
    if (time && time.value() < whole) return true;
    if (!time || time.value() > whole * kPlacedMayTurn || options_.disabled.place) return false;
    // Parts are added up across the array: where they lie near each other they may be faster after all.
    const auto parts_placed = placed(m, strategy), whole_placed = placed(best_.number, best_.strategy);
    if (!parts_placed || !whole_placed) return false;
    told_.push_back({"strategy", fmt::format("long sums in parts, placed: {:.1f} us; as they are, placed: {:.1f} us",
                                             parts_placed.value() * 1e6, whole_placed.value() * 1e6)});
    if (parts_placed.value() >= whole_placed.value()) return false;
    best_.machine = machines_[m].machine;
    best_.number = m;
    best_.strategy = strategy;
    best_.start = {};
    best_.timed.reset();
    return true;
  }

  /// Seconds of a program whose instances take the components that suit them, if that is sooner.
  Result<double> placed(std::size_t m, const Strategy& strategy) {
    graph::Graph trial = out_.graph;
    std::vector<Decision> ignored;
    Contender& c = machines_[m];
    c.known.bands = bands_;
    if (strategy.in_parts) cut_reductions(c.machine, trial, cuts_);
    Builder builder{c.machine, trial, options_, ignored, chip_, c.lesser ? c.lesser : chip_, c.known};
    if (strategy.chained) builder.begin_with = c.reached;
    SY_TRY(Draft draft, builder.build(strategy, false));
    SY_TRY(const double plain, builder.time_of(draft));
    const Placement placement = place_components(c.machine, draft.program, options_.seed, 1, 0);
    if (placement.before == 0) return plain;
    program::relocate(draft.program, c.machine.component, placement.to);
    return std::min(plain, options_.time(draft.program));
  }

  void make_parts() {
    best_.cuts = std::move(cuts_);
    cut_reductions(best_.machine, out_.graph, best_.cuts);
    for (const ReductionCut& cut : best_.cuts)
      out_.decisions.push_back(
          {"reduction", fmt::format("sums of '{}' are made in {} parts: it has too few results for all components", cut.op, cut.parts)});
  }

  /// Other mappings, look by look, in what is the best program now.
  Status refine() {
    best_.lesser = machines_[best_.number].lesser;
    int trials = kTrialsOfEffort[static_cast<std::size_t>(effort_)];
    if (trials == 0 && effort_ > 0) trials = few() ? kTrialsOfFew : kernels_ <= kSomeKernels ? kTrialsOfSome : 0;
    if (several_)
      trials =
          static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(trials), (affordable_ - std::min(affordable_, spent_)) / each_));
    if (trials == 0) {
      best_.known = std::move(machines_[best_.number].known);
      return Done{};
    }
    // Where one mapping decides, a program for less need not have the best of all there is, nor need it with so many readers.
    std::set<std::size_t> machines{best_.number};
    std::vector<Strategy> with{best_.strategy};
    const bool fresh = few() || best_.strategy.in_parts;    // programs that begin where the best one ended are made sooner
    if (with[0].interleaved && kernels_ <= kSomeKernels) {  // tiles of other mappings may not fit each other
      with.push_back(with[0]);
      with[1].interleaved = false;
    }
    if (few()) {
      machines.insert(0);
      for (std::size_t m = 0; m < machines_.size(); ++m)
        if (machines_[m].lesser && machines_[m].time < least_ * kClose) machines.insert(m);
      for (const Strategy& s : strategies_)
        if (with.size() == 1 && s.readers != with[0].readers) with.push_back(with[0]), with[1].readers = s.readers;
    }
    for (const std::size_t m : machines)
      for (const Strategy& strategy : with) {
        Contender& c = machines_[m];
        Builder builder{c.machine, out_.graph, options_, out_.decisions, chip_, c.lesser ? c.lesser : chip_, std::move(c.known)};
        if (!fresh) builder.begin_with = best_.start;
        SY_TRY(auto wanted, builder.refine(strategy, least_, trials));
        c.known = std::move(builder.known);
        if (wanted.empty()) continue;
        if (fresh) best_.start = {};
        best_.wanted = std::move(wanted);
        best_.timed.reset();
        best_.machine = c.machine, best_.lesser = c.lesser, best_.number = m, best_.strategy = strategy;
      }
    best_.known = std::move(machines_[best_.number].known);
    out_.decisions.push_back({"strategy", fmt::format("other mappings of {} looks of kernels, tried in whole programs: {:.1f} us",
                                                      best_.wanted.size(), least_ * 1e6)});
    return Done{};
  }

  Compiled& out_;
  const CompileOptions& options_;
  const std::shared_ptr<const chip::Chip>& chip_;
  int effort_;
  std::size_t affordable_;
  bool timed_;
  std::vector<Strategy> strategies_;
  bool corners_, several_ = false, pipelines_too_ = true;
  std::vector<Contender> machines_;  ///< the whole array, its corners, and lesser machines
  Chosen best_;
  std::vector<ReductionCut> cuts_;
  std::shared_ptr<Bands> bands_ = std::make_shared<Bands>();
  bool interleaves_ = false;  ///< some kernels would hand on tiles, as a program of several kernels to a context has them that was fast
  bool streams_at_first_ = false;  ///< the first program has attention that may go over blocks of keys
  bool streams_ = false;           ///< so has one that comes near the fastest
  double least_ = 0;               ///< seconds of the best program
  std::size_t each_ = 0;           ///< its components times contexts
  std::size_t spent_ = 0;          ///< of all programs, components times contexts
  std::size_t contexts_ = 0;       ///< of all programs
  std::int64_t searched_ = 0;      ///< candidates of kernels, for the first program
  std::size_t kernels_ = 0;        ///< in the first program
  std::vector<Trial> trials_, failed_;
  std::vector<Decision> told_;
};

}  // namespace

Result<Chosen> choose_strategy(const Machine& machine, Compiled& out, const CompileOptions& options,
                               const std::shared_ptr<const chip::Chip>& chip) {
  return Comparison(machine, out, options, chip).run();
}

}  // namespace switchyard::compiler
