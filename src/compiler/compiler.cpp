#include "compiler/compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>

#include "chip/query.h"
#include "compiler/bound.h"
#include "compiler/canonicalise.h"
#include "compiler/draft.h"
#include "compiler/dump.h"
#include "compiler/formats.h"
#include "compiler/grid_search.h"
#include "compiler/hosted.h"
#include "compiler/kernel.h"
#include "compiler/labels.h"
#include "compiler/layout.h"
#include "compiler/mapping.h"
#include "compiler/mapping_file.h"
#include "compiler/means.h"
#include "compiler/merge.h"
#include "compiler/partition.h"
#include "compiler/pipeline.h"
#include "compiler/place.h"
#include "compiler/plan.h"
#include "compiler/quantise.h"
#include "compiler/reduction.h"
#include "compiler/residence.h"
#include "compiler/route.h"
#include "compiler/stages.h"
#include "compiler/storage.h"
#include "compiler/strategy.h"
#include "graph/text.h"
#include "program/relocate.h"
#include "program/text.h"
#include "support/check.h"
#include "support/unique_name.h"

namespace switchyard::compiler {
namespace {

using graph::TensorId;
using program::BufferRole;

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

/// Bytes of a result for which several products are made at once: it should stay in scratchpads beside what is fetched for later, where
/// results stay at all.
double worth_merging(const Machine& machine) {
  constexpr double kShare = 0.05;
  if (!keeps_values(machine)) return std::numeric_limits<double>::infinity();
  const auto range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
  return kShare * static_cast<double>(range.end - range.begin) * static_cast<double>(machine.components.size());
}

/// The finished program takes other components where the caller's engine finds that faster. Returns the placement; empty: plain order.
std::vector<std::uint32_t> place(const Machine& machine, const CompileOptions& options, const std::vector<double>& times, Compiled& out) {
  // How long is searched, and from which seed on; more effort tries what less effort tries, and more.
  constexpr std::array<std::pair<int, int>, 5> kSearches{{{1, 0}, {2, 0}, {2, 1}, {3, 0}, {3, 1}}};
  constexpr std::array<double, 4> kShare{1, 0.25, 0.1, 0};  // of the time, that links must be busy for a search
  const auto effort = static_cast<std::size_t>(std::clamp(options.effort, 0, 3));
  std::vector<std::uint32_t> chosen;
  if (options.disabled.place || options.mappings || !options.time || effort == 0) return chosen;
  if (!out.timed) out.timed = times.size(), static_cast<void>(options.time(out.program));
  std::optional<program::Program> best;
  for (const auto& [level, seed] : kSearches) {
    if (level > static_cast<int>(effort)) break;
    const double before = times[*out.timed];
    const Placement placement =
        place_components(machine, out.program, options.seed + static_cast<std::uint64_t>(seed), level, kShare[effort] * before);
    if (placement.before == 0) break;
    const std::string text = print_placement(placement);
    if (!(placement.after < placement.before)) {
      out.decisions.push_back({"place", fmt::format("{} of {:.1f} us: plain order", text, before * 1e6)});
      if (placement.exchanges == 0) break;
      continue;
    }
    program::Program moved = out.program;
    program::relocate(moved, machine.component, placement.to);
    const double time = options.time(moved).seconds;
    const bool faster = time < before;
    out.decisions.push_back({"place", fmt::format("{}; the program takes {:.1f} us instead of {:.1f} us: {}", text, time * 1e6,
                                                  before * 1e6, faster ? "placed so" : "not so")});
    if (!faster) continue;
    best = std::move(moved);
    out.timed = times.size() - 1;
    chosen = placement.to;
  }
  if (best) out.program = *std::move(best);
  return chosen;
}

using Tell = std::function<void(std::string_view pass, const std::function<std::string()>& text)>;

/// The passes from the model to the graph that is compiled, in the chip's formats. Returns the products of one tensor.
Result<std::vector<Merge>> rewrite(const graph::Graph& model, const Machine& machine, const CompileOptions& options, const Tell& tell,
                                   Compiled& out) {
  const chip::Chip& chip = *machine.chip;
  out.graph = canonicalise(model, out.decisions);
  // Operators without points make tensors without elements: there is nothing to run.
  std::erase_if(out.graph.ops, [](const graph::Op& op) {
    return std::all_of(op.nests.begin(), op.nests.end(), [](const numerics::Nest& nest) {
      return std::any_of(nest.loops.begin(), nest.loops.end(),
                         [](const numerics::NestLoop& l) { return l.extent == 0 && l.kind == numerics::LoopKind::parallel; });
    });
  });
  const double most = options.disabled.fuse ? 0 : worth_merging(machine) / numerics::format_bytes(options.precision);
  std::vector<Merge> merges;
  if (options.mappings) {
    SY_TRY(merges, apply_merges(*options.mappings, most, out.graph, out.decisions));
  } else {
    merges = merge_products(out.graph, most, out.decisions);
  }
  std::vector<TensorId> stored;
  if (options.quantisation) stored = quantise(out.graph, chip, *options.quantisation, out.program.labels, out.decisions);
  graph::distinguish_names(out.graph);
  out.decisions.push_back(explain_means(machine));
  tell("canonicalise", [&] { return graph::print(out.graph); });
  if (options.keep_formats)
    keep_formats(out.graph, chip, out.program.labels, out.decisions);
  else
    choose_formats(out.graph, chip, options.precision, out.decisions, stored);
  reduce_unmultiplied(out.graph, chip, out.decisions);
  tell("formats", [&] { return graph::print(out.graph); });
  return merges;
}

/// What was decided of a draft whose contexts are those of the program.
void tell_choices(const Draft& draft, const chip::Chip& chip, Compiled& out) {
  const auto& kernels = draft.kernels;
  const auto& sections = draft.sections;
  const Splits& splits = draft.splits;
  out.decisions.push_back({"fuse", fmt::format("{} operators become {} kernels", out.graph.ops.size(), kernels.size())});
  out.decisions.push_back({"partition", print_partition(sections, kernels.size())});
  for (const Pipeline& p : draft.pipelines) out.decisions.push_back({"pipeline", print_pipeline(p, kernels)});
  for (std::size_t i = 0; i < draft.interleavings.size(); ++i)
    out.decisions.push_back(i < draft.streamed.size()
                                ? Decision{"stream", print_streamed(draft.streamed[i], draft.interleavings[i], kernels)}
                                : Decision{"interleave", print_interleaving(draft.interleavings[i], kernels)});
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    Decision& d = out.decisions.emplace_back(Decision{kernels[k].name, describe(kernels[k], splits.mappings[k], chip)});
    d.alternatives = alternatives_of(kernels[k], *draft.candidates[k], splits.costs[k]);
    d.chosen = splits.choice[k];
    d.tried = splits.mappings[k].tried;
  }
  for (std::size_t c = 0; c < sections.size(); ++c) {  // what a context of several kernels has to say of its mapping
    std::size_t longest = sections[c].first;
    if (draft.end_of(c) - longest == 1) continue;
    for (std::size_t k = longest; k < draft.end_of(c); ++k)
      if (splits.mappings[k].on_chip > splits.mappings[longest].on_chip) longest = k;
    const std::string& name = kernels[longest].name;
    const auto of = std::find_if(out.decisions.rbegin(), out.decisions.rend(),
                                 [&](const Decision& d) { return d.subject == name && !d.alternatives.empty(); });
    if (of == out.decisions.rend()) continue;
    Decision told = *of;
    told.subject = out.program.contexts[c].name;
    told.text = fmt::format("of its longest kernel, {}: {}", name, told.text);
    out.decisions.push_back(std::move(told));
  }
}

/// Bounds of the program's contexts, and what of the model each of them does.
void bound_contexts(const Draft& draft, const chip::Chip& chip, Compiled& out) {
  const graph::Graph& g = out.graph;
  program::Program& program = out.program;
  const auto& kernels = draft.kernels;
  const Bounds bounds(chip, g);
  const Bounds::Hidden banded = hidden_by_bands(g, kernels, draft.streamed);
  std::vector<bool> read_before(g.tensors.size(), false);
  for (std::size_t c = 0; c < draft.sections.size(); ++c) {
    const std::size_t first = draft.sections[c].first, end = draft.end_of(c);
    Bound bound = bounds.context(std::span(kernels).subspan(first, end - first), read_before, draft.attempt.stays, banded.shares);
    // Of several stages that are one kernel the first context has the time.
    const auto chain = std::find_if(draft.chains.begin(), draft.chains.end(), [&](const Chain& ch) { return ch.first == c; });
    if (chain != draft.chains.end())
      bound = bounds.stages(std::span(kernels).subspan(c, chain->last + 1 - c), read_before, hidden_work(g, kernels, {*chain}));
    if (!program.contexts[c].continues) {
      program.contexts[c].bound = bound.time();
      program.contexts[c].work = bound.work;
      program.contexts[c].compulsory = static_cast<std::int64_t>(bound.bytes);
    }
    ContextMap& map = out.contexts.emplace_back();
    map.bound = print_bound(bound);
    for (std::size_t k = first; k < end; ++k) {
      map.ops.insert(map.ops.end(), kernels[k].ops.begin(), kernels[k].ops.end());
      for (std::size_t i = 0; i < kernels[k].operands.size(); ++i) {
        const KernelOperand& o = kernels[k].operands[i];
        if (!draft.homes[k][i].buffer.valid()) continue;  // it was handed on tile by tile
        if (!o.write) read_before[o.tensor.index()] = true;
        (o.write ? map.writes : map.reads).emplace_back(o.tensor, draft.homes[k][i].buffer);
      }
    }
  }
}

std::string written_down(const Machine& machine, const graph::Graph& g, const Draft& draft, const Chosen& chosen,
                         const std::vector<ReductionCut>& cuts, const std::vector<Merge>& merges,
                         const std::vector<std::uint32_t>& placement) {
  const auto& kernels = draft.kernels;
  std::vector<std::vector<Reach>> reaches;
  for (std::size_t k = 0; k < kernels.size(); ++k) reaches.push_back(reach_of(machine, g, kernels[k], draft.attempt.stays, k == 0));
  for (const Interleaving& run : draft.interleavings)
    for (const Handed& h : run.handed) reaches[run.first + h.writer][h.from] = reaches[run.first + h.reader][h.to] = Reach::handed;
  std::vector<std::string> over_blocks;
  for (const Streamed& run : draft.streamed) over_blocks.push_back(kernels[run.first + 1].name);
  return print_mapping_file({machine, g, kernels, draft.splits.mappings, draft.sections, std::move(reaches), placement, cuts,
                             std::move(over_blocks), chosen.made_for, chosen.strategy.deep, merges});
}

}  // namespace

Result<Compiled> compile(const graph::Graph& model, std::shared_ptr<const chip::Chip> chip, const CompileOptions& given) {
  if (has_host_work(model)) return compile_around_host(model, std::move(chip), given);
  Compiled out;
  std::vector<double> times;  // of all programs that were to be timed: seconds
  CompileOptions options = given;
  CircuitPass circuits(*chip);
  std::mutex one_at_a_time;  // programs are made by several threads, and timed by the caller's engine
  if (given.time)
    options.time = [&](const program::Program& program) {
      const std::scoped_lock lock(one_at_a_time);
      std::optional<program::Program> routed;
      if (circuits.needed()) routed = program;
      const bool leads = !routed || circuits.run(*routed).ok();
      Timed timed = leads ? given.time(routed ? *routed : program) : Timed(std::numeric_limits<double>::infinity());
      timed.call = times.size();
      times.push_back(timed.seconds);
      return timed;
    };
  SY_TRY(Machine machine, describe_machine(*chip));
  machine.keeps = !options.disabled.fuse;
  machine.shares = !options.disabled.share;
  machine.early = !options.disabled.overlap;
  machine.pins = !options.disabled.pin;
  program::Labels& labels = out.program.labels = labels_of(model, options.precision);

  // The passes, in order.
  const Tell tell = [&](std::string_view pass, const std::function<std::string()>& text) {
    if (options.observe) options.observe(pass, text);
  };
  SY_TRY(const std::vector<Merge> merges, rewrite(model, machine, options, tell, out));
  const graph::Graph& g = out.graph;
  if (options.mappings) {
    SY_TRY(machine, apply_array(*options.mappings, machine));
  }
  std::optional<Less> made_for;
  if (options.mappings) {
    SY_TRY(made_for, apply_made_for(*options.mappings, machine));
  }
  const std::optional<LesserMachine> lesser = made_for ? std::optional(lesser_machine(machine, *made_for)) : std::nullopt;
  if (lesser) machine = lesser->machine;
  const graph::Graph uncut = out.graph;  // bounds hold for the model as it is, however its sums are made
  std::vector<ReductionCut> cuts;
  if (options.mappings) {
    SY_TRY(cuts, apply_reductions(*options.mappings, machine, out.graph));
  }
  SY_TRY(Chosen chosen, choose_strategy(machine, out, options, chip));
  cuts.insert(cuts.end(), chosen.cuts.begin(), chosen.cuts.end());
  machine = chosen.machine;
  if (options.mappings) chosen.strategy.deep = options.mappings->deep();
  if (lesser) chosen.lesser = lesser->chip, chosen.made_for = print_less(*made_for);
  out.timed = chosen.timed;
  if (chosen.compared) tell("strategies", [&] { return print_decisions(out.decisions, "strategy"); });
  Builder builder{machine, out.graph, options, out.decisions, chip, chosen.lesser ? chosen.lesser : chip, std::move(chosen.known)};
  builder.begin_with = std::move(chosen.start);
  SY_TRY(Draft draft, builder.build(chosen.strategy, true, chosen.wanted));
  const auto& kernels = draft.kernels;
  program::Program& program = out.program;
  program.chip = chip;
  program.buffers = std::move(draft.program.buffers);
  program.contexts = std::move(draft.program.contexts);
  // What passes call "a to b", "a:block" or "x@1" may be something of the model, too.
  std::set<std::string> context_names, buffer_names;
  for (program::Context& context : program.contexts) context.name = unique_name(context.name, context_names);
  for (program::Buffer& buffer : program.buffers) buffer.name = unique_name(buffer.name, buffer_names);
  if (options.mappings) {
    SY_TRY([[maybe_unused]] Done known_kernels, check_kernels(*options.mappings, kernels));
  }
  tell_choices(draft, *chip, out);
  bound_contexts(draft, *chip, out);
  tell("bounds", [&] { return print_bounds(program, out.contexts); });
  SY_TRY([[maybe_unused]] Done planned, plan_buffers(program));
  tell("plan", [&] { return print_plan(program); });
  std::vector<std::uint32_t> placement = place(machine, options, times, out);
  if (options.mappings) {
    SY_TRY(placement, placement_of(*options.mappings, machine));
    if (!placement.empty()) program::relocate(program, machine.component, placement);
  }
  tell("place", [&] { return print_decisions(out.decisions, "place"); });
  if (const Status routed = circuits.run(program); !routed) {
    // What goes from scratchpad to scratchpad needs most of the circuits: without it the rest may have room.
    if (options.mappings || (given.disabled.fuse && given.disabled.share)) return routed.failure();
    CompileOptions apart = given;
    apart.disabled.fuse = apart.disabled.share = true;
    Result<Compiled> plain = compile(model, chip, apart);
    if (!plain) return routed.failure();
    plain.value().decisions.push_back({"route", routed.failure().diagnostics.front().message + ": results go through off-chip memory"});
    return plain;
  }
  if (circuits.needed()) {
    out.decisions.push_back({"route", print_circuits(program)});
    out.timed.reset();  // what has no circuits was not timed: calls are numbered otherwise
  }
  tell("route", [&] { return print_decisions(out.decisions, "route"); });
  // The model's bound is of no program: what none needs to do does not count, whatever this one does.
  const Bounds::Hidden hidden =
      draft.chains.empty() ? hidden_in_attention(uncut, *builder.known.bands) : hidden_work(g, kernels, draft.chains);
  const Bounds of_model(*chip, cuts.empty() && !draft.chains.empty() ? g : uncut);
  const Bound bound = of_model.model(hidden);
  labels.lower_bound = bound.time();
  labels.peak_bound = of_model.model_peak(hidden);
  out.decisions.push_back({"bound", print_bound(bound)});
  if (options.dump_mappings) out.mappings = written_down(machine, g, draft, chosen, cuts, merges, placement);
  const std::vector<std::string> fallbacks = fallback_notes(g, kernels, draft.splits.mappings, *chip);
  labels.notes.insert(labels.notes.end(), fallbacks.begin(), fallbacks.end());
  return out;
}

}  // namespace switchyard::compiler
