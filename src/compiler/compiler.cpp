#include "compiler/compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>

#include "chip/query.h"
#include "compiler/bound.h"
#include "compiler/canonicalise.h"
#include "compiler/chain.h"
#include "compiler/decompose.h"
#include "compiler/dump.h"
#include "compiler/emit.h"
#include "compiler/formats.h"
#include "compiler/grid_search.h"
#include "compiler/kernel.h"
#include "compiler/layout.h"
#include "compiler/lesser.h"
#include "compiler/mapping.h"
#include "compiler/mapping_file.h"
#include "compiler/partition.h"
#include "compiler/pipeline.h"
#include "compiler/plan.h"
#include "compiler/residence.h"
#include "compiler/stages.h"
#include "compiler/storage.h"
#include "graph/text.h"
#include "program/text.h"
#include "support/check.h"
#include "support/parallel.h"

namespace switchyard::compiler {
namespace {

using graph::TensorId;
using program::BufferRole;

Status check_formats(const graph::Graph& g, const std::vector<Kernel>& kernels, const chip::Chip& chip) {
  Failure failure{FailureKind::unsupported, {}, {}};
  std::set<numerics::Format> reported;
  for (const Kernel& k : kernels)
    for (const KernelOperand& o : k.operands) {
      const auto f = g.tensor(o.tensor).format;
      const auto& native = chip.formats.native;
      if (std::find(native.begin(), native.end(), f) != native.end() || !reported.insert(f).second) continue;
      std::string names;
      for (auto n : native) names += fmt::format("{}{}", names.empty() ? "" : ", ", numerics::format_name(n));
      Diagnostic d{
          "compile/unsupported-format",
          fmt::format("{} does not store {} (tensor '{}' of '{}')", chip.name, numerics::format_name(f), g.tensor(o.tensor).name, k.name),
          {},
          {},
          fmt::format("its formats are {}: choose one with --precision", names),
          {}};
      failure.diagnostics.push_back(std::move(d));
    }
  if (failure.diagnostics.empty()) return Done{};
  return failure;
}

/// Everything a mapping depends on: kernels with equal forms get equal mappings.
std::string form_of(const Kernel& kernel, const graph::Graph& g, const std::vector<std::vector<int>>& layouts,
                    const std::vector<Reach>& reach, std::int64_t reserved) {
  std::string form = fmt::format("{}:", reserved);
  for (const Reach r : reach) form += static_cast<char>('a' + static_cast<int>(r));
  const auto number = [&](std::int64_t v) { form += fmt::format("{},", v); };
  const auto index_of = [&](const std::vector<numerics::Affine>& index) {
    for (const auto& f : index) {
      number(f.constant);
      for (const auto& t : f.terms) number(t.variable), number(t.coefficient);
      form += ';';
    }
  };
  for (const KernelDim& d : kernel.dims) number(d.extent), number(d.parallel), number(d.reduction);
  for (const KernelOperand& o : kernel.operands) {
    form += '|';
    number(static_cast<int>(g.tensor(o.tensor).format)), number(o.write), number(o.epilogue);
    for (std::int64_t e : g.tensor(o.tensor).shape) number(e);
    for (int d : layouts[o.tensor.index()]) number(d);
    index_of(o.index);
  }
  for (const KernelLocal& l : kernel.locals) {
    form += '/';
    for (int d : l.dims) number(d);
  }
  for (const KernelStatement& s : kernel.statements) {
    form += '#' + numerics::print_expression(s.expression);
    for (int d : s.dims) number(d);
    number(static_cast<int>(s.combiner)), number(s.epilogue);
    for (const KernelAccess& r : s.reads) number(r.local), number(r.number);
  }
  return form;
}

std::string describe(const Kernel& kernel, const Mapping& m, const chip::Chip& chip) {
  std::string text = describe_tiling(kernel, m);
  text += fmt::format("; unit {}", chip.units[m.unit.index()].name);
  for (std::size_t i = 0; i < kernel.operands.size(); ++i)
    if (m.sharing[i] != Sharing::none) text += fmt::format(", operand {} {}", i, m.sharing[i] == Sharing::ring ? "in a ring" : "multicast");
  if (m.epilogue_unit.valid()) text += fmt::format(", epilogue on {}", chip.units[m.epilogue_unit.index()].name);
  return text + fmt::format(
                    "; {} bytes of scratchpad; estimate {:.2f} us (compute {:.1f}, movers {:.1f}, issue {:.1f}, memory {:.1f}, fill and "
                    "drain {:.1f}), best of {}",
                    m.storage, m.seconds * 1e6, m.terms[0] * 1e6, m.terms[1] * 1e6, m.terms[2] * 1e6, m.terms[3] * 1e6, m.terms[4] * 1e6,
                    m.tried);
}

void note_fallbacks(const graph::Graph& g, const std::vector<Kernel>& kernels, const std::vector<Mapping>& mappings, const chip::Chip& chip,
                    program::Labels& labels) {
  bool has_matrix = false;
  for (const auto& u : chip.units) has_matrix = has_matrix || u.kind == chip::UnitKind::matrix;
  std::set<std::string> said;
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    if (!kernels[k].contraction) continue;
    const auto& unit = chip.units[mappings[k].unit.index()];
    const auto format = g.tensor(kernels[k].operands.front().tensor).format;
    bool native = false;
    for (const auto& u : chip.units)
      native = native || (u.kind == chip::UnitKind::matrix && chip::find_rate(u, chip::OpClass::contract, format));
    if (has_matrix && !native)
      said.insert(fmt::format("no matrix unit of {} multiplies {}: contractions run on its {} unit '{}'", chip.name,
                              numerics::format_name(format), unit.kind == chip::UnitKind::vector ? "vector" : "transform", unit.name));
  }
  labels.notes.assign(said.begin(), said.end());
}

/// What the compiler may still change its mind about, when a mapping or the storage of all contexts does not work out.
struct Attempt {
  std::vector<bool> stays;             ///< tensors that live in scratchpads
  std::vector<std::int64_t> reserved;  ///< per kernel: bytes of each scratchpad it must leave to others; -1: it cannot leave any
  std::vector<bool> one_reader;        ///< per kernel: more members that read would not fit
  std::vector<bool> alone;             ///< per kernel: as a stage it would not fit
};

using Known = std::map<std::string, std::vector<Mapping>>;

/// Candidates of each kernel; kernels of one form are mapped once. Composite operators for which there are none are listed in `too_large`;
/// a kernel whose tensors do not fit the scratchpads beside it gives up the largest of them, and all is tried again by the caller
/// (`again`). Where others have none, all reasons are given.
Result<std::vector<std::vector<Mapping>>> map_kernels(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                                                      const std::vector<std::vector<int>>& layouts, const CompileOptions& options,
                                                      int search, Attempt& attempt, Known& known, std::vector<graph::OpId>& too_large,
                                                      bool& again) {
  constexpr std::size_t kCandidates = 12;
  std::vector<std::vector<Mapping>> mappings;
  const auto search_of = [&](std::size_t k, const std::vector<Reach>& reach) {
    return choose_mappings(machine, g, kernels[k], layouts, reach, std::max<std::int64_t>(0, attempt.reserved[k]), search, kCandidates);
  };
  Failure failure{FailureKind::unsupported, {}, {}};
  const auto numbers = numbers_among_namesakes(kernels);
  const auto entry_of = [&](std::size_t k) { return options.mappings ? options.mappings->find(kernels[k].name, numbers[k]) : nullptr; };
  const auto form_at = [&](std::size_t k, const std::vector<Reach>& reach) {
    return fmt::format("{};", search) + form_of(kernels[k], g, layouts, reach, attempt.reserved[k]);
  };

  // Forms that are new are searched on all threads; what they come to is used in order below.
  struct New {
    std::size_t kernel;
    std::vector<Reach> reach;
    Result<std::vector<Mapping>> found = std::vector<Mapping>{};
  };
  std::vector<New> searched;
  std::map<std::string, std::size_t> number_of;
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    if (entry_of(k)) continue;
    auto reach = reach_of(machine, g, kernels[k], attempt.stays, k == 0);
    std::string form = form_at(k, reach);
    if (!known.contains(form) && number_of.emplace(std::move(form), searched.size()).second) searched.push_back({k, std::move(reach)});
  }
  parallel_for(options.threads, searched.size(),
               [&](std::size_t i) { searched[i].found = search_of(searched[i].kernel, searched[i].reach); });

  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const Kernel& kernel = kernels[k];
    const MappingFile::Entry* entry = entry_of(k);
    const auto reach = reach_of(machine, g, kernel, attempt.stays, k == 0);
    const std::string form = form_at(k, reach);
    if (const auto same = known.find(form); same != known.end() && !entry) {
      mappings.push_back(same->second);
      continue;
    }
    const auto find = [&]() -> Result<std::vector<Mapping>> {
      if (!entry) {
        const auto at = number_of.find(form);  // none where a kernel before this one has given up what stays
        return at != number_of.end() ? searched[at->second].found : search_of(k, reach);
      }
      SY_TRY(Mapping given, apply_entry(*options.mappings, *entry, machine, g, kernel, layouts, reach));
      return std::vector<Mapping>{std::move(given)};
    };
    auto found = find();
    if (found) {
      if (!entry) known.emplace(form, found.value());
      mappings.push_back(std::move(found).value());
      continue;
    }
    std::int64_t largest = 0;
    std::size_t give_up = 0;
    for (std::size_t i = 0; i < reach.size(); ++i) {
      const graph::Tensor& t = g.tensor(kernel.operands[i].tensor);
      const std::int64_t bytes = numerics::element_count(t.shape) * numerics::format_bytes(t.format);
      if (reach[i] == Reach::placed && attempt.stays[kernel.operands[i].tensor.index()] && bytes > largest)
        largest = bytes, give_up = kernel.operands[i].tensor.index();
    }
    const bool mistake = found.failure().kind == FailureKind::malformed;
    if (!mistake && (largest > 0 || (attempt.reserved[k] > 0 && !entry))) {
      again = true;
      if (largest > 0) attempt.stays[give_up] = false;
      if (attempt.reserved[k] > 0) attempt.reserved[k] = -1;
      mappings.emplace_back();
      continue;
    }
    const Failure& f = found.failure();
    if (mistake) failure.kind = FailureKind::malformed;
    if (!entry && !f.infeasible.empty() && is_composite(g.ops[kernel.ops.front().index()])) {
      too_large.push_back(kernel.ops.front());
      continue;
    }
    failure.diagnostics.insert(failure.diagnostics.end(), f.diagnostics.begin(), f.diagnostics.end());
    failure.infeasible.insert(failure.infeasible.end(), f.infeasible.begin(), f.infeasible.end());
  }
  if (!failure.diagnostics.empty()) return failure;
  return mappings;
}

/// The storage of a context does not fit: it must leave more to what lives through it, or the largest of that goes off chip.
/// False: there is nothing left to change.
bool make_room(const Overflow& overflow, const graph::Graph& g, const std::vector<Kernel>& kernels, Attempt& attempt) {
  if (!attempt.one_reader[overflow.context]) return attempt.one_reader[overflow.context] = true;
  if (attempt.reserved[overflow.context] >= 0 && attempt.reserved[overflow.context] < overflow.through) {
    attempt.reserved[overflow.context] = overflow.through;
    return true;
  }
  const auto touches = [&](std::size_t k, std::size_t t) {
    return std::any_of(kernels[k].operands.begin(), kernels[k].operands.end(),
                       [&](const KernelOperand& o) { return o.tensor.index() == t; });
  };
  std::size_t give_up = g.tensors.size();
  std::pair<bool, std::int64_t> most{false, 0};
  for (std::size_t t = 0; t < attempt.stays.size(); ++t) {
    if (!attempt.stays[t]) continue;
    bool before = false, after = false;
    for (std::size_t k = 0; k < kernels.size(); ++k) {
      if (!touches(k, t)) continue;
      before = before || k <= overflow.context;
      after = after || k >= overflow.context;
    }
    if (!before || !after) continue;
    const std::int64_t bytes = numerics::element_count(g.tensors[t].shape) * numerics::format_bytes(g.tensors[t].format);
    const std::pair<bool, std::int64_t> key{!touches(overflow.context, t), bytes};
    if (give_up == g.tensors.size() || key > most) most = key, give_up = t;
  }
  if (give_up == g.tensors.size()) return false;
  attempt.stays[give_up] = false;
  return true;
}

/// What whole programs are compared in: how much of what a kernel holds counts as its cost, and how many members of a group read what is
/// multicast (more read faster, and take more places in scratchpads and commands).
struct Strategy {
  double held_weight = kHeldWeights[0];
  std::int64_t readers = 4;
  bool deep = false;                ///< channels as deep as they can be, rather than begun early
  int search = 1;                   ///< how thoroughly mappings of one kernel are searched
  bool pipelined = false;           ///< kernels that stream into each other have components of their own
  std::optional<double> chained{};  ///< several kernels to a context, with this weight of what others hold meanwhile; none: one
  bool operator==(const Strategy&) const = default;
};
constexpr std::array<Strategy, 8> kStrategies{{{kHeldWeights[0], 4, false},
                                               {kHeldWeights[2], 1, true},
                                               {kHeldWeights[0], 1, false},
                                               {kHeldWeights[1], 1, true},
                                               {kHeldWeights[1], 4, false},
                                               {kHeldWeights[2], 4, false},
                                               {kHeldWeights[0], 4, true},
                                               {kHeldWeights[2], 4, true}}};
constexpr std::array<std::size_t, 4> kStrategiesOfEffort{1, 3, 5, 8};

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

/// A program on its way: what the passes after the formats have made.
struct Draft {
  std::vector<Kernel> kernels;
  std::vector<std::vector<int>> layouts;
  Attempt attempt;
  std::vector<std::vector<Mapping>> candidates;
  std::vector<Pipeline> pipelines;
  Splits splits;
  Homes homes;
  std::vector<Chain> chains;
  program::Program program;
  std::vector<Section> sections;  ///< by context
  [[nodiscard]] std::size_t end_of(std::size_t context) const {
    return context + 1 < sections.size() ? sections[context + 1].first : kernels.size();
  }
};

/// The passes from the graph to contexts with storage, tried again with what they find out.
struct Builder {
  const Machine& machine;
  graph::Graph& g;
  const CompileOptions& options;
  std::vector<Decision>& decisions;
  std::shared_ptr<const chip::Chip> whole;  ///< on which programs run
  std::shared_ptr<const chip::Chip> chip;   ///< for which they are made: the same, or one with less
  Known known;
  Attempt begin_with{};  ///< what is known not to work, of the same kernels; empty: nothing

  /// `wanted`: mappings, by what kernels look like, that are not to be changed.
  Result<Draft> build(const Strategy& strategy, bool observed, const std::map<std::string, Mapping>& wanted = {}) {
    Draft d;
    d.program.chip = chip;
    const auto tell = [&](std::string_view pass, const std::function<std::string()>& text) {
      if (observed && options.observe) options.observe(pass, text);
    };
    for (bool fresh = true;;) {
      if (fresh) {
        d.kernels = make_kernels(g, !options.disabled.fuse);
        tell("kernels", [&] { return print_kernels(g, d.kernels); });
        SY_TRY([[maybe_unused]] Done formats, check_formats(g, d.kernels, *chip));
        d.layouts = choose_layouts(g, d.kernels);
        tell("layouts", [&] { return print_layouts(g, d.layouts); });
        if (begin_with.reserved.size() == d.kernels.size()) {
          d.attempt = begin_with;
        } else {
          d.attempt.stays = tensors_that_may_stay(machine, g, d.kernels);
          if (options.mappings) apply_places(*options.mappings, g, d.kernels, d.attempt.stays);
          d.attempt.reserved.assign(d.kernels.size(), 0);
          d.attempt.one_reader.assign(d.kernels.size(), false);
          d.attempt.alone.assign(d.kernels.size(), false);
        }
        fresh = false;
      }
      std::vector<graph::OpId> too_large;
      bool again = false;
      SY_TRY(d.candidates, map_kernels(machine, g, d.kernels, d.layouts, options, strategy.search, d.attempt, known, too_large, again));
      tell("mappings", [&] { return print_mappings(d.kernels, d.candidates); });
      for (std::size_t i = too_large.size(); i-- > 0;) {  // from the last: the numbers of earlier operators stay
        decisions.push_back({"decompose", fmt::format("'{}' becomes one context per step: its rows do not fit the scratchpad",
                                                      g.ops[too_large[i].index()].name)});
        decompose(g, too_large[i]);
        fresh = true;
      }
      if (!too_large.empty()) tell("decompose", [&] { return graph::print(g); });
      if (fresh || again) continue;
      d.splits = choose_splits(machine, g, d.kernels, d.candidates, d.attempt.stays, strategy.held_weight, fixed_of(d, wanted));
      d.pipelines.clear();
      if (strategy.pipelined) pipeline(d, strategy);
      for (std::size_t k = 0; k < d.kernels.size(); ++k) d.splits.mappings[k].readers = d.attempt.one_reader[k] ? 1 : strategy.readers;
      for (std::size_t t = 0; t < d.attempt.stays.size(); ++t)
        if (d.attempt.stays[t] && std::isinf(d.splits.moves[t])) {
          d.attempt.stays[t] = false;
          again = true;
        }
      tell("splits", [&] { return print_splits(d.kernels, d.splits); });
      if (again) continue;
      emit(d, tell);
      auto overflow = plan_contexts(d, strategy);
      tell("storage", [&] { return print_storage(d.program); });
      if (!overflow) return d;
      const std::string& name = d.program.contexts[overflow->context].name;
      overflow->context = d.sections[overflow->context].first;
      if (dissolve(d, overflow->context)) continue;
      SY_CHECK(make_room(*overflow, g, d.kernels, d.attempt), fmt::format("a context fits alone: '{}'", name));
    }
  }

  /// The pipeline that a kernel belongs to is given up; false: there is none.
  static bool dissolve(Draft& d, std::size_t kernel) {
    for (const Pipeline& p : d.pipelines) {
      const std::size_t end = p.first + p.stages.size();
      if (kernel < p.first || kernel >= end) continue;
      std::fill(d.attempt.alone.begin() + static_cast<std::ptrdiff_t>(p.first), d.attempt.alone.begin() + static_cast<std::ptrdiff_t>(end),
                true);
      return true;
    }
    return false;
  }

  /// Kernels become stages where that is estimated to be faster than one after the other.
  void pipeline(Draft& d, const Strategy& strategy) const {
    std::vector<double> apart;
    for (std::size_t k = 0; k < d.kernels.size(); ++k) apart.push_back(run_of(d, k));
    d.pipelines =
        find_pipelines(machine, g, d.kernels, d.layouts, d.attempt.stays, d.splits.mappings, apart, d.attempt.alone, options.pipelines);
    if (d.pipelines.empty()) return;
    for (const Pipeline& p : d.pipelines)
      for (std::size_t s = 0; s < p.stages.size(); ++s) d.candidates[p.first + s] = {p.stages[s]};
    d.splits = choose_splits(machine, g, d.kernels, d.candidates, d.attempt.stays, strategy.held_weight,
                             std::vector<std::optional<std::size_t>>(d.kernels.size()));
  }

  /// What a kernel looks like, wherever it stands.
  std::string look_of(const Draft& d, std::size_t k) const { return form_of(d.kernels[k], g, d.layouts, {}, 0); }

  Result<double> time_of(Draft& d) const {
    d.program.chip = whole;
    SY_TRY([[maybe_unused]] Done planned, plan_buffers(d.program));
    return options.time(d.program);
  }

  /// Kernels of one look together take another of their candidates where the whole program gets faster: those first on which most time is
  /// spent, the likeliest candidates first. `least` is the time of what `wanted` gives.
  Result<std::map<std::string, Mapping>> refine(const Strategy& strategy, double& least, int trials) {
    std::map<std::string, Mapping> wanted;
    SY_TRY(const Draft start, build(strategy, false));
    std::map<std::string, std::pair<double, std::size_t>> looks;  // time, and the first kernel
    for (std::size_t k = 0; k < start.kernels.size(); ++k) {
      auto& [time, first] = looks.try_emplace(look_of(start, k), 0.0, k).first->second;
      time += start.splits.mappings[k].cost + start.splits.waits[k];
    }
    std::vector<std::pair<std::string, std::pair<double, std::size_t>>> order(looks.begin(), looks.end());
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second.first > b.second.first; });
    constexpr std::size_t kAlternatives = 6;
    for (const auto& [look, spent] : order) {
      const std::size_t k = spent.second;
      const auto& candidates = start.candidates[k];
      std::vector<std::size_t> likeliest;
      for (std::size_t c = 0; c < candidates.size(); ++c)
        if (c != start.splits.choice[k]) likeliest.push_back(c);
      std::stable_sort(likeliest.begin(), likeliest.end(), [&](std::size_t a, std::size_t b) {
        return candidates[a].cost + start.splits.costs[k][a] < candidates[b].cost + start.splits.costs[k][b];
      });
      for (std::size_t i = 0; i < std::min(kAlternatives, likeliest.size()) && trials > 0; ++i, --trials) {
        std::map<std::string, Mapping> changed = wanted;
        changed[look] = candidates[likeliest[i]];
        SY_TRY(Draft draft, build(strategy, false, changed));
        SY_TRY(const double time, time_of(draft));
        if (time < least * (1 - 1e-4)) least = time, wanted = std::move(changed);
      }
    }
    return wanted;
  }

 private:
  std::vector<std::optional<std::size_t>> fixed_of(const Draft& d, const std::map<std::string, Mapping>& wanted) const {
    std::vector<std::optional<std::size_t>> fixed(d.kernels.size());
    if (wanted.empty()) return fixed;
    for (std::size_t k = 0; k < d.kernels.size(); ++k) {
      const auto at = wanted.find(look_of(d, k));
      if (at == wanted.end()) continue;
      for (std::size_t c = 0; c < d.candidates[k].size() && !fixed[k]; ++c)
        if (d.candidates[k][c].tile == at->second.tile && d.candidates[k][c].trips == at->second.trips) fixed[k] = c;
    }
    return fixed;
  }

  template <class Tell>
  void emit(Draft& d, const Tell& tell) const {
    d.program.buffers.clear();
    d.program.contexts.clear();
    d.homes = make_homes(machine, g, d.kernels, d.layouts, d.splits.mappings, d.attempt.stays, d.program);
    tell("residence", [&] { return print_homes(g, d.kernels, d.homes, d.program); });
    for (std::size_t k = 0; k < d.kernels.size(); ++k) {
      d.program.contexts.push_back(emit_context(machine, g, d.kernels[k], d.splits.mappings[k], d.layouts,
                                                reach_of(machine, g, d.kernels[k], d.attempt.stays, k == 0), d.homes[k],
                                                d.program.buffers));
    }
    d.chains = find_chains(machine, g, d.kernels);
    join_stages(g, d.kernels, d.chains, d.program);
    tell("emit", [&] { return program::print(d.program); });
  }

  /// Which kernels are one context, and where all that lies in scratchpads lies. What does not fit: of a context of one kernel.
  std::optional<Overflow> plan_contexts(Draft& d, const Strategy& strategy) const {
    const std::vector<program::Context> kernels = d.program.contexts;
    d.sections.clear();
    if (strategy.chained) {
      std::vector<KernelCost> costs;
      for (std::size_t k = 0; k < kernels.size(); ++k) costs.push_back({run_of(d, k), d.splits.mappings[k].held, is_stage(d, k)});
      d.sections = partition(machine, d.program, costs, *strategy.chained);
    } else {
      for (std::size_t k = 0; k < kernels.size(); ++k) d.sections.push_back({k, kCutByCost});
    }
    for (;;) {
      join(d, kernels);
      const auto overflow = plan_storage(d.program, times_of(d), strategy.deep, machine.pins);
      if (!overflow) return overflow;
      const std::size_t first = d.sections[overflow->context].first, count = d.end_of(overflow->context) - first;
      if (count == 1) return overflow;
      const Section half{first + count / 2, kCutByRoom};
      d.sections.insert(d.sections.begin() + static_cast<std::ptrdiff_t>(overflow->context) + 1, half);
    }
  }

  /// The kernels' contexts, each with those that belong to it; what cannot be joined becomes one more context.
  static void join(Draft& d, const std::vector<program::Context>& kernels) {
    d.program.contexts.clear();
    for (std::size_t c = 0; c < d.sections.size();) {
      const std::size_t first = d.sections[c].first, count = d.end_of(c) - first;
      Chained chained{kernels[first], {}, 0};
      if (count > 1) chained = chain(d.program, std::span(kernels).subspan(first, count));
      if (!chained.context) {
        d.sections.insert(d.sections.begin() + static_cast<std::ptrdiff_t>(c) + 1, {first + chained.phase, kCutByJoin});
        continue;
      }
      if (c > 0) chained.context->after.push_back(program::ContextId(c - 1));
      d.program.contexts.push_back(*std::move(chained.context));
      ++c;
    }
  }

  /// Seconds of a kernel until what it writes is where it is needed, in a context that has begun.
  double run_of(const Draft& d, std::size_t k) const {
    for (const Pipeline& p : d.pipelines)
      if (k >= p.first && k < p.first + p.stages.size()) return k == p.first ? p.seconds : 0;
    return d.splits.mappings[k].on_chip + d.splits.waits[k] - barrier_seconds(machine);
  }

  /// Of a pipeline that has begun with an earlier kernel.
  static bool is_stage(const Draft& d, std::size_t k) {
    return std::any_of(d.pipelines.begin(), d.pipelines.end(),
                       [&](const Pipeline& p) { return k > p.first && k < p.first + p.stages.size(); });
  }

  std::vector<ContextTimes> times_of(const Draft& d) const {
    std::vector<ContextTimes> times;
    for (std::size_t c = 0; c < d.sections.size(); ++c) {
      ContextTimes& t = times.emplace_back(ContextTimes{barrier_seconds(machine), 0});
      for (std::size_t k = d.sections[c].first; k < d.end_of(c); ++k) {
        t.run += run_of(d, k);
        t.fetch += d.splits.mappings[k].off_chip;
      }
    }
    return times;
  }
};

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

/// Candidates of kernels that may have been searched for the first program, where programs for lesser machines are tried, too.
constexpr std::int64_t kSearchedForLesser = 320'000;

struct Chosen {
  Machine machine;
  Strategy strategy;
  std::shared_ptr<const chip::Chip> lesser{};  ///< the machine's chip, where it is not the whole one
  std::size_t number = 0;                      ///< of the machine, among those compared
  std::map<std::string, Mapping> wanted{};
  Known known{};    ///< mappings found on that machine
  Attempt start{};  ///< where the program's last round began
  bool compared = false;
  std::optional<std::size_t> timed{};  ///< which of the programs that were timed is this one
};

/// Whole programs are compared: with one strategy, on the whole array and on ever smaller corners of it (what few do needs less moving);
/// then with the others, on those that were fastest first.
Result<Chosen> choose_strategy(const Machine& machine, Compiled& out, const CompileOptions& options,
                               const std::shared_ptr<const chip::Chip>& chip) {
  const int effort = std::clamp(options.effort, 0, 3);
  const auto affordable = kTriedOfEffort[static_cast<std::size_t>(effort)];
  const bool timed = options.time && !options.mappings;
  const std::vector<Strategy> strategies = strategies_of(machine, timed, effort);
  const bool corners = effort > 0 && timed && !machine.grid;
  std::vector<Machine> machines = corners ? corners_of(machine) : std::vector<Machine>{machine};
  Chosen best{machine, strategies[0]};
  if (!timed || strategies.size() * machines.size() == 1) return best;
  best.compared = true;
  const bool several = machines.size() > 1;
  std::vector<std::string> names(machines.size());
  std::vector<Known> known(machines.size());
  std::vector<std::shared_ptr<const chip::Chip>> chips;  ///< of lesser machines
  struct Trial {
    double time;
    std::size_t machine;
    Strategy strategy;
  };
  std::vector<Trial> trials_of;
  std::int64_t searched = 0;  ///< candidates of kernels, for the first program
  std::size_t calls = 0, spent = 0, each = 0;
  double least = 0;
  std::vector<Decision> told;
  struct Reached {
    double time = std::numeric_limits<double>::infinity();
    Attempt attempt;
  };
  std::vector<Reached> reached(machines.size());  ///< the fastest program of each
  const auto time_of = [&](std::size_t m, const Strategy& strategy) -> Result<double> {
    // What does not fit a corner is no reason to change the graph for all.
    graph::Graph trial;
    if (m > 0) trial = out.graph;
    std::vector<Decision> ignored;
    const auto& made_for = m < chips.size() && chips[m] ? chips[m] : chip;
    Builder builder{machines[m], m > 0 ? trial : out.graph, options, m > 0 ? ignored : out.decisions, chip, made_for, std::move(known[m])};
    if (strategy.chained) builder.begin_with = reached[m].attempt;
    SY_TRY(Draft draft, builder.build(strategy, false));
    known[m] = std::move(builder.known);
    if (m > 0 && trial.ops.size() != out.graph.ops.size()) return std::numeric_limits<double>::infinity();
    if (strategy.pipelined && draft.pipelines.empty()) return std::numeric_limits<double>::infinity();
    SY_TRY(const double time, builder.time_of(draft));
    const std::size_t count = machines[m].components.size();
    spent += count * draft.program.contexts.size();
    if (calls == 0)
      for (const auto& [form, candidates] : known[m]) searched += candidates.front().tried;
    told.push_back({"strategy", fmt::format("{} components{}, {}: {} contexts: {:.1f} us", count, names[m], describe(machine, strategy),
                                            draft.program.contexts.size(), time * 1e6)});
    if (time < reached[m].time) reached[m] = {time, draft.attempt};
    if (calls == 0 || time < least) {
      least = time;
      best.start = draft.attempt;
      best.machine = machines[m];
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
  if (getenv("SHOW")) fprintf(stderr, "searched %lld\n", (long long)searched);
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
    if (++searches * searched > kSearchedForLesser || spent > affordable / 2) break;
    machines.push_back(l.machine);
    names.push_back(", as for " + l.what);
    known.emplace_back();
    reached.emplace_back();
    chips.resize(machines.size());
    chips.back() = l.chip;
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
      if (i > 0 && (spent > affordable || likeliest[i].time > apart * kClose)) break;
      Strategy strategy = likeliest[i].strategy;
      strategy.chained = kChainedWeights[0];
      if (const auto found = time_of(likeliest[i].machine, strategy); !found && likeliest[i].machine == 0) return found.failure();
    }
    if (fetches_early(machine)) {  // where a little caution pays, none may pay more, and where it does not, more
      Strategy strategy = best.strategy;
      strategy.chained = kChainedWeights[least < apart ? 1 : 2];
      if (const auto found = time_of(best.number, strategy); !found && best.number == 0) return found.failure();
    }
    // What was best apart may hold more than others, which tells where contexts are dear.
    if (least < kMuchSooner * apart)
      for (std::size_t s = 0; s < strategies.size() && (machines.size() == 1 || spent <= affordable); ++s) {
        Strategy other = strategies[s];
        other.chained = best.strategy.chained;
        if (other.held_weight == best.strategy.held_weight && other.readers == best.strategy.readers && other.deep == best.strategy.deep &&
            other.search == best.strategy.search)
          continue;
        if (const auto found = time_of(m, other); !found && m == 0) return found.failure();
      }
    Strategy pipelined = best.strategy;
    if (!pipelined.chained) pipelined.chained = kChainedWeights[0];
    pipelined.pipelined = true;
    // Stages share what one kernel after the other could not use: the whole array, where a corner of it was better.
    for (const std::size_t m : std::set<std::size_t>{0, best.number})
      if (const auto found = time_of(m, pipelined); !found && m == 0) return found.failure();
  }
  out.decisions.insert(out.decisions.end(), told.begin(), told.end());
  best.known = std::move(known[best.number]);
  if (best.number < chips.size()) best.lesser = chips[best.number];
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

}  // namespace

Result<Compiled> compile(const graph::Graph& model, std::shared_ptr<const chip::Chip> chip, const CompileOptions& options) {
  Compiled out;
  SY_TRY(Machine machine, describe_machine(*chip));
  machine.keeps = !options.disabled.fuse;
  machine.shares = !options.disabled.share;
  machine.early = !options.disabled.overlap;
  machine.pins = !options.disabled.pin;
  program::Labels& labels = out.program.labels;
  labels.model = model.name;
  labels.ops = static_cast<std::int64_t>(model.ops.size());
  labels.macs = graph::mac_count(model);
  labels.parameters = graph::parameter_count(model);
  labels.precision = numerics::format_name(options.precision);
  for (TensorId t : model.inputs) labels.input_formats.emplace_back(numerics::format_name(model.tensor(t).format));
  for (TensorId t : model.outputs) labels.output_formats.emplace_back(numerics::format_name(model.tensor(t).format));

  // The passes, in order.
  const auto tell = [&](std::string_view pass, const std::function<std::string()>& text) {
    if (options.observe) options.observe(pass, text);
  };
  out.graph = canonicalise(model, out.decisions);
  tell("canonicalise", [&] { return graph::print(out.graph); });
  choose_formats(out.graph, *chip, options.precision, out.decisions);
  tell("formats", [&] { return graph::print(out.graph); });
  const graph::Graph& g = out.graph;
  if (options.mappings) {
    SY_TRY(machine, apply_array(*options.mappings, machine));
  }
  SY_TRY(Chosen chosen, choose_strategy(machine, out, options, chip));
  machine = chosen.machine;
  out.timed = chosen.timed;
  if (chosen.compared) tell("strategies", [&] { return print_decisions(out.decisions, "strategy"); });
  Builder builder{machine, out.graph, options, out.decisions, chip, chosen.lesser ? chosen.lesser : chip, std::move(chosen.known)};
  if (chosen.wanted.empty()) builder.begin_with = std::move(chosen.start);
  SY_TRY(Draft draft, builder.build(chosen.strategy, true, chosen.wanted));
  const auto& [kernels, layouts, attempt, candidates, pipelines, splits, homes, chains, unused, sections] = draft;
  program::Program& program = out.program;
  program.chip = chip;
  program.buffers = std::move(draft.program.buffers);
  program.contexts = std::move(draft.program.contexts);
  if (options.mappings) {
    SY_TRY([[maybe_unused]] Done known_kernels, check_kernels(*options.mappings, kernels));
  }
  if (options.dump_mappings) {
    std::vector<std::vector<Reach>> reaches;
    for (std::size_t k = 0; k < kernels.size(); ++k) reaches.push_back(reach_of(machine, g, kernels[k], attempt.stays, k == 0));
    out.mappings = print_mapping_file(machine, g, kernels, splits.mappings, reaches);
  }
  out.decisions.push_back({"fuse", fmt::format("{} operators become {} kernels", g.ops.size(), kernels.size())});
  out.decisions.push_back({"partition", print_partition(sections, kernels.size())});
  for (const Pipeline& p : pipelines) out.decisions.push_back({"pipeline", print_pipeline(p, kernels)});
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    Decision& d = out.decisions.emplace_back(Decision{kernels[k].name, describe(kernels[k], splits.mappings[k], *chip)});
    d.alternatives = alternatives_of(kernels[k], candidates[k], splits.costs[k]);
    d.chosen = splits.choice[k];
    d.tried = splits.mappings[k].tried;
  }
  for (std::size_t c = 0; c < sections.size(); ++c) {  // what a context of several kernels has to say of its mapping
    std::size_t longest = sections[c].first;
    if (draft.end_of(c) - longest == 1) continue;
    for (std::size_t k = longest; k < draft.end_of(c); ++k)
      if (splits.mappings[k].on_chip > splits.mappings[longest].on_chip) longest = k;
    const auto of = std::find_if(out.decisions.rbegin(), out.decisions.rend(),
                                 [&](const Decision& d) { return d.subject == kernels[longest].name && !d.alternatives.empty(); });
    if (of == out.decisions.rend()) continue;
    Decision told = *of;
    told.subject = program.contexts[c].name;
    told.text = fmt::format("of its longest kernel, {}: {}", kernels[longest].name, told.text);
    out.decisions.push_back(std::move(told));
  }
  const Bounds bounds(*chip, g);
  std::vector<bool> read_before(g.tensors.size(), false);
  for (std::size_t c = 0; c < sections.size(); ++c) {
    const std::size_t first = sections[c].first, end = draft.end_of(c);
    const Bound bound = bounds.context(std::span(kernels).subspan(first, end - first), read_before, attempt.stays);
    // The bound of one kernel of several stages is the model's business.
    const bool stage = program.contexts[c].continues || (c + 1 < program.contexts.size() && program.contexts[c + 1].continues);
    if (!stage) program.contexts[c].bound = bound.time();
    ContextMap& map = out.contexts.emplace_back();
    map.bound = print_bound(bound);
    for (std::size_t k = first; k < end; ++k) {
      map.ops.insert(map.ops.end(), kernels[k].ops.begin(), kernels[k].ops.end());
      for (std::size_t i = 0; i < kernels[k].operands.size(); ++i) {
        const KernelOperand& o = kernels[k].operands[i];
        if (!o.write) read_before[o.tensor.index()] = true;
        (o.write ? map.writes : map.reads).emplace_back(o.tensor, homes[k][i].buffer);
      }
    }
  }
  tell("bounds", [&] { return print_bounds(program, out.contexts); });
  SY_TRY([[maybe_unused]] Done planned, plan_buffers(program));
  tell("plan", [&] { return print_plan(program); });
  const Bounds::Hidden hidden = hidden_work(g, kernels, chains);
  const Bound bound = bounds.model(hidden);
  labels.lower_bound = bound.time();
  labels.peak_bound = bounds.model_peak(hidden);
  out.decisions.push_back({"bound", print_bound(bound)});
  note_fallbacks(g, kernels, splits.mappings, *chip, labels);
  return out;
}

}  // namespace switchyard::compiler
