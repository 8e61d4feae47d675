#include "compiler/draft.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "chip/query.h"
#include "compiler/chain.h"
#include "compiler/decompose.h"
#include "compiler/dump.h"
#include "compiler/emit.h"
#include "compiler/form.h"
#include "compiler/formats.h"
#include "compiler/layout.h"
#include "compiler/mapping_file.h"
#include "compiler/plan.h"
#include "graph/text.h"
#include "numerics/packing.h"
#include "program/text.h"
#include "support/check.h"
#include "support/parallel.h"

namespace switchyard::compiler {
namespace {

Status check_formats(const graph::Graph& g, const std::vector<Kernel>& kernels, const chip::Chip& chip) {
  Failure failure{FailureKind::unsupported, {}, {}};
  std::set<numerics::Format> reported;
  for (const Kernel& k : kernels)
    for (const KernelOperand& o : k.operands) {
      const auto f = g.tensor(o.tensor).format;
      if (stores(chip, f)) continue;
      const bool factor = k.contraction && !o.write && !o.epilogue;
      if (const auto wide = leading_format(g, k); factor && f != wide && takes_weights(chip, wide, f)) continue;
      if (!reported.insert(f).second) continue;
      std::string names;
      for (auto n : chip.formats.native) names += fmt::format("{}{}", names.empty() ? "" : ", ", numerics::format_name(n));
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

std::int64_t usable_bytes(const Machine& machine) {
  const auto range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
  return range.end - range.begin;
}

/// From so many on, what does not fit in one kernel is taken not to fit in those that look like it: each round makes the whole program
/// anew, and models of so many kernels have many layers alike.
constexpr std::size_t kManyKernels = 300;

/// Partitions that are made of one program, each with what the one before has found that cannot be joined. As many are enough, by sight.
constexpr int kPartitions = 8;

constexpr std::size_t kCandidates = 12;  ///< of one kernel

/// Candidates of each kernel; those that are `decided` as they are, kernels of one form are mapped once. Composite operators for which
/// there are none are listed in `too_large`; a kernel whose tensors do not fit the scratchpads beside it gives up the largest of them, and
/// all is tried again by the caller
/// (`again`). Where others have none, all reasons are given.
Result<std::vector<Candidates>> map_kernels(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                                            const std::vector<std::vector<int>>& layouts, const CompileOptions& options, int search,
                                            Attempt& attempt, Known& known, const std::map<std::size_t, Candidates>& decided,
                                            std::vector<graph::OpId>& too_large, bool& again) {
  std::vector<Candidates> mappings;
  const auto search_of = [&](std::size_t k, const std::vector<Reach>& reach) {
    return choose_mappings(machine, g, kernels[k], layouts, reach, std::max<std::int64_t>(0, attempt.reserved[k]), search, kCandidates);
  };
  Failure failure{FailureKind::unsupported, {}, {}};
  const auto numbers = numbers_among_namesakes(kernels);
  const auto entry_of = [&](std::size_t k) { return options.mappings ? options.mappings->find(kernels[k].name, numbers[k]) : nullptr; };
  const auto form_at = [&](std::size_t k, const std::vector<Reach>& reach) {
    return form_to_search(kernels[k], g, layouts, reach, attempt.reserved[k], search);
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
    if (entry_of(k) || decided.contains(k)) continue;
    auto reach = reach_of(machine, g, kernels[k], attempt.stays, k == 0);
    std::string form = form_at(k, reach);
    if (!known.candidates.contains(form) && number_of.emplace(std::move(form), searched.size()).second)
      searched.push_back({k, std::move(reach)});
  }
  parallel_for(options.threads, searched.size(),
               [&](std::size_t i) { searched[i].found = search_of(searched[i].kernel, searched[i].reach); });

  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const Kernel& kernel = kernels[k];
    if (const auto at = decided.find(k); at != decided.end()) {
      mappings.push_back(at->second);
      continue;
    }
    const MappingFile::Entry* entry = entry_of(k);
    const auto reach = reach_of(machine, g, kernel, attempt.stays, k == 0);
    const std::string form = form_at(k, reach);
    if (const auto same = known.candidates.find(form); same != known.candidates.end() && !entry) {
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
      mappings.push_back(std::make_shared<const std::vector<Mapping>>(std::move(found).value()));
      if (!entry) known.candidates.emplace(form, mappings.back());
      continue;
    }
    std::int64_t largest = 0;
    std::size_t give_up = 0;
    for (std::size_t i = 0; i < reach.size(); ++i) {
      const graph::Tensor& t = g.tensor(kernel.operands[i].tensor);
      const std::int64_t bytes = numerics::stored_bytes(t.format, numerics::element_count(t.shape));
      if (reach[i] == Reach::placed && attempt.stays[kernel.operands[i].tensor.index()] && bytes > largest)
        largest = bytes, give_up = kernel.operands[i].tensor.index();
    }
    const bool mistake = found.failure().kind == FailureKind::malformed;
    if (!mistake && (largest > 0 || (attempt.reserved[k] > 0 && !entry))) {
      again = true;
      if (largest > 0) attempt.stays[give_up] = false;
      if (attempt.reserved[k] > 0) attempt.reserved[k] = -1;
      mappings.push_back(std::make_shared<const std::vector<Mapping>>());
      continue;
    }
    const Failure& f = found.failure();
    if (mistake) failure.kind = FailureKind::malformed;
    if (!entry && !f.infeasible.empty() && is_composite(g.ops[kernel.ops.front().index()])) {
      too_large.push_back(kernel.ops.front());
      mappings.push_back(std::make_shared<const std::vector<Mapping>>());
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
    const std::int64_t bytes = numerics::stored_bytes(g.tensors[t].format, numerics::element_count(g.tensors[t].shape));
    const std::pair<bool, std::int64_t> key{!touches(overflow.context, t), bytes};
    if (give_up == g.tensors.size() || key > most) most = key, give_up = t;
  }
  if (give_up == g.tensors.size()) return false;
  attempt.stays[give_up] = false;
  return true;
}

}  // namespace

Result<Draft> Builder::build(const Strategy& strategy, bool observed, const std::map<std::string, Mapping>& wanted) {
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
      d.streamed.clear();
      if (options.mappings && !options.mappings->streamed().empty()) {
        SY_TRY(std::set<graph::OpId> unless, unstreamed_of(*options.mappings, d.kernels));
        unless.insert(begin_with.unstreamed.begin(), begin_with.unstreamed.end());
        d.streamed = stream_attention(machine, g, d.kernels, unless, *known.bands);
      } else if (strategy.streamed) {
        d.streamed = stream_attention(machine, g, d.kernels, begin_with.unstreamed, *known.bands);
      }
      for (std::size_t t = d.layouts.size(); t < g.tensors.size(); ++t) {  // what only streamed kernels know
        d.layouts.emplace_back(g.tensors[t].shape.size());
        std::iota(d.layouts.back().begin(), d.layouts.back().end(), 0);
      }
      tell("layouts", [&] { return print_layouts(g, d.layouts); });
      d.attempt = first_attempt(d);
      fresh = false;
    }
    if (!map_attention(d)) {
      fresh = true;
      continue;
    }
    std::map<std::size_t, Candidates> given;
    for (const Interleaving& i : d.interleavings)
      for (std::size_t s = 0; s < i.stages.size(); ++s) given[i.first + s] = std::make_shared<const std::vector<Mapping>>(1, i.stages[s]);
    std::vector<graph::OpId> too_large;
    bool again = false;
    SY_TRY(d.candidates,
           map_kernels(machine, g, d.kernels, d.layouts, options, strategy.search, d.attempt, known, given, too_large, again));
    tell("mappings", [&] { return print_mappings(d.kernels, d.candidates); });
    for (std::size_t i = too_large.size(); i-- > 0;) {  // from the last: the numbers of earlier operators stay
      decisions.push_back({"decompose", fmt::format("'{}' becomes one context per step: its rows do not fit the scratchpad",
                                                    g.ops[too_large[i].index()].name)});
      decompose(g, too_large[i]);
      fresh = true;
    }
    if (!too_large.empty()) graph::distinguish_names(g);
    if (!too_large.empty()) tell("decompose", [&] { return graph::print(g); });
    if (fresh || again || give_up_large(d, strategy)) continue;
    d.splits = choose_splits(machine, g, d.kernels, d.candidates, d.attempt.stays, strategy.held_weight, fixed_of(d, wanted), known.costs);
    d.pipelines.clear();
    if (strategy.pipelined) pipeline(d, strategy);
    if (options.mappings) join_as_given(d);
    if (strategy.interleaved) interleave(d, strategy);
    set_readers(d, strategy);
    for (std::size_t t = 0; t < d.attempt.stays.size(); ++t)
      if (d.attempt.stays[t] && std::isinf(d.splits.moves[t])) {
        d.attempt.stays[t] = false;
        again = true;
      }
    tell("splits", [&] { return print_splits(d.kernels, d.splits); });
    if (again) continue;
    emit(d, tell);
    SY_TRY(auto overflow, plan_contexts(d, strategy));
    tell("storage", [&] { return print_storage(d.program); });
    if (!overflow) {
      if (options.mappings) {
        SY_TRY([[maybe_unused]] Done possible, check_given(d));
      }
      if (!d.interleavings.empty()) drop_unused_buffers(d);
      return d;
    }
    const std::string& name = d.program.contexts[overflow->context].name;
    const std::size_t end = d.end_of(overflow->context);
    overflow->context = d.sections[overflow->context].first;
    if (leave_room(d, *overflow, end, usable_bytes(machine)) || (!options.mappings && dissolve(d, overflow->context, end)))
      continue;  // what a file has stays as it is
    const std::vector<std::size_t> alike = like(d, overflow->context);
    const bool room = make_room(*overflow, g, d.kernels, d.attempt);
    if (!room)
      return fail(FailureKind::unsupported, "compile/does-not-fit",
                  fmt::format("'{}' does not fit{}", name, options.mappings ? " mapped as the file says" : ", even alone"),
                  options.mappings ? "fewer readers, smaller tiles or depths" : "larger scratchpads");
    for (const std::size_t k : alike) {
      Overflow same = *overflow;
      same.context = k;
      make_room(same, g, d.kernels, d.attempt);
    }
  }
}

void Builder::join_as_given(Draft& d) const {
  std::vector<Interleaving> found = interleavings_among(mapped_of(d), handed_of(*options.mappings, g, d.kernels));
  found.insert(found.end(), d.interleavings.begin(), d.interleavings.end());
  d.interleavings.clear();
  for (const Streamed& s : d.streamed) {
    const auto at = std::find_if(found.begin(), found.end(), [&](const Interleaving& i) { return i.first == s.first; });
    if (at == found.end() || at->stages.size() != kStreamedStages) continue;  // told when all is known
    at->seconds = streamed_seconds(machine, g, d.kernels, d.layouts, s, at->stages);
    d.interleavings.push_back(std::move(*at));
    found.erase(at);
  }
  d.interleavings.insert(d.interleavings.end(), found.begin(), found.end());
  d.pipelines = pipelines_among(machine, mapped_of(d));
}

Status Builder::check_given(const Draft& d) const {
  const MappingFile& file = *options.mappings;
  for (const MappingFile::Name& name : file.streamed()) {
    const auto at =
        std::find_if(d.streamed.begin(), d.streamed.end(), [&](const Streamed& s) { return d.kernels[s.first + 1].name == name.text; });
    if (at == d.streamed.end())
      return not_streamed(file, name, "it is no softmax between two products, this chip cannot, or no blocks fit");
    const bool all = std::any_of(d.interleavings.begin(), d.interleavings.end(), [&](const Interleaving& i) {
      return i.first == at->first && i.stages.size() == kStreamedStages && i.handed.size() == at->handed.size();
    });
    if (!all) return not_streamed(file, name, "all that lies between its four kernels must be handed on");
  }
  // What blocks hand on exists a tile at a time: as a whole it would be overwritten by each block.
  std::set<program::BufferId> stands;
  for (const program::Context& context : d.program.contexts)
    program::for_each_buffer(context, [&](program::BufferId b, bool) { stands.insert(b); });
  for (const Interleaving& i : d.interleavings)
    for (const Handed& h : i.handed)
      if (stands.contains(d.homes[i.first + h.writer][h.from].buffer))
        return not_handed(file, d.kernels[i.first + h.writer].name, g.tensor(d.kernels[i.first + h.writer].operands[h.from].tensor).name);
  return Done{};
}

Attempt Builder::first_attempt(const Draft& d) const {
  Attempt attempt;
  const std::size_t more = d.streamed.size() * (kStreamedStages - 3);  // kernels than without blocks
  if (begin_with.reserved.size() == d.kernels.size() || (more > 0 && begin_with.reserved.size() + more == d.kernels.size())) {
    attempt = begin_with;
    attempt.stays.resize(g.tensors.size(), true);
    if (begin_with.reserved.size() < d.kernels.size())
      for (const Streamed& s : d.streamed) {
        const auto at = static_cast<std::ptrdiff_t>(s.first + kStreamedStages - 1);
        attempt.reserved.insert(attempt.reserved.begin() + at, 0);
        attempt.one_reader.insert(attempt.one_reader.begin() + at, false);
        attempt.alone.insert(attempt.alone.begin() + at, true);
      }
  } else {
    attempt.stays = tensors_that_may_stay(machine, g, d.kernels);
    if (options.mappings) apply_places(*options.mappings, g, d.kernels, attempt.stays);
    keep_lookups_off_chip(d.kernels, attempt.stays);
    attempt.reserved.assign(d.kernels.size(), 0);
    attempt.one_reader.assign(d.kernels.size(), false);
    attempt.alone.assign(d.kernels.size(), false);
    attempt.unstreamed = begin_with.unstreamed;
  }
  for (const Streamed& s : d.streamed) {
    for (std::size_t k = s.first; k < s.first + kStreamedStages; ++k)
      attempt.alone[k] = true, attempt.reserved[k] = std::max<std::int64_t>(0, attempt.reserved[k]);
    for (const Handed& h : s.handed) attempt.stays[d.kernels[s.first + h.reader].operands[h.to].tensor.index()] = true;
  }
  return attempt;
}

bool Builder::given(const Draft& d, const Streamed& s) const {
  if (!options.mappings) return false;
  const auto numbers = numbers_among_namesakes(d.kernels);
  for (std::size_t k = s.first; k < s.first + kStreamedStages; ++k)
    if (options.mappings->find(d.kernels[k].name, numbers[k]) != nullptr) return true;
  return false;
}

Candidates Builder::candidates_of(const Draft& d, std::size_t k, const Attempt& attempt, int search) {
  const auto reach = reach_of(machine, g, d.kernels[k], attempt.stays, k == 0);
  const std::string form = form_to_search(d.kernels[k], g, d.layouts, reach, attempt.reserved[k], search);
  if (const auto at = known.candidates.find(form); at != known.candidates.end()) return at->second;
  if (known.misfits.contains(form)) return nullptr;
  auto found =
      choose_mappings(machine, g, d.kernels[k], d.layouts, reach, std::max<std::int64_t>(0, attempt.reserved[k]), search, kCandidates);
  if (found) return known.candidates[form] = std::make_shared<const std::vector<Mapping>>(std::move(found).value());
  known.misfits.insert(form);
  return nullptr;
}

bool Builder::is_handed(const Draft& d, graph::TensorId tensor) {
  return std::any_of(d.streamed.begin(), d.streamed.end(), [&](const Streamed& s) {
    return std::any_of(s.handed.begin(), s.handed.end(),
                       [&](const Handed& h) { return d.kernels[s.first + h.reader].operands[h.to].tensor == tensor; });
  });
}

const std::optional<Interleaving>& Builder::attention_of(const Draft& d, const Streamed& s, const Attempt& attempt) {
  // Layers that look alike have the same blocks.
  std::string form;
  for (std::size_t k = s.first; k < s.first + kStreamedStages; ++k)
    form += form_of(d.kernels[k], g, d.layouts, reach_of(machine, g, d.kernels[k], attempt.stays, false), attempt.reserved[s.first]);
  for (const Handed& h : s.handed) form += fmt::format(" {}.{} {}.{}", h.writer, h.from, h.reader, h.to);
  const auto [at, fresh] = known.attention.try_emplace(std::move(form));
  if (fresh) at->second = map_streamed(machine, g, d.kernels, d.layouts, attempt.stays, s, attempt.reserved[s.first]);
  return at->second;
}

bool Builder::map_attention(Draft& d) {
  d.interleavings.clear();
  bool all = true;
  for (const Streamed& s : d.streamed) {
    if (given(d, s)) continue;
    const std::optional<Interleaving>* mapped = &attention_of(d, s, d.attempt);
    while (!*mapped && give_up_largest(d, s)) mapped = &attention_of(d, s, d.attempt);
    all = all && *mapped;
    if (*mapped)
      d.interleavings.push_back(**mapped), d.interleavings.back().first = s.first;
    else
      begin_with.unstreamed.insert(s.softmax);
  }
  return all;
}

bool Builder::give_up_largest(Draft& d, const Streamed& s) const {
  if (options.mappings) return false;
  std::int64_t largest = 0;
  std::size_t give_up = 0;
  for (std::size_t k = s.first; k < s.first + kStreamedStages; ++k)
    for (const KernelOperand& o : d.kernels[k].operands) {
      const graph::Tensor& t = g.tensor(o.tensor);
      const std::int64_t bytes = numerics::stored_bytes(t.format, numerics::element_count(t.shape));
      if (d.attempt.stays[o.tensor.index()] && !is_handed(d, o.tensor) && bytes > largest) largest = bytes, give_up = o.tensor.index();
    }
  if (largest > 0) d.attempt.stays[give_up] = false;
  return largest > 0;
}

bool Builder::leave_room(Draft& d, const Overflow& overflow, std::size_t end, std::int64_t most) const {
  constexpr std::int64_t kSteps = 16;
  bool found = false;
  for (const Streamed& s : d.streamed) found = found || (s.first >= overflow.context && s.first < end && !given(d, s));
  if (!found) return false;
  for (const Streamed& s : d.streamed) {  // one is like the other
    std::int64_t& reserved = d.attempt.reserved[s.first];
    reserved = std::max(overflow.through, reserved + most / kSteps);
  }
  return true;
}

bool Builder::may_stream(const Draft& d) const {
  if (!d.streamed.empty()) return false;
  graph::Graph trial = g;
  std::vector<Kernel> kernels = d.kernels;
  return !stream_attention(machine, trial, kernels, {}, *known.bands).empty();
}

std::vector<std::size_t> Builder::like(const Draft& d, std::size_t kernel) const {
  std::vector<std::size_t> found;
  if (d.kernels.size() <= kManyKernels) return found;
  const std::string look = look_of(d, kernel);
  for (std::size_t k = 0; k < d.kernels.size(); ++k)
    if (k != kernel && d.attempt.one_reader[k] == d.attempt.one_reader[kernel] && d.attempt.reserved[k] == d.attempt.reserved[kernel] &&
        look_of(d, k) == look)
      found.push_back(k);
  return found;
}

bool Builder::dissolve(Draft& d, std::size_t begin, std::size_t end) {
  bool found = false;
  const auto give_up = [&](const auto& runs) {
    for (const auto& run : runs) {
      const std::size_t last = run.first + run.stages.size();
      if (end <= run.first || begin >= last) continue;
      std::fill(d.attempt.alone.begin() + static_cast<std::ptrdiff_t>(run.first),
                d.attempt.alone.begin() + static_cast<std::ptrdiff_t>(last), true);
      found = true;
    }
  };
  give_up(d.pipelines);
  give_up(d.interleavings);
  return found;
}

MappedKernels Builder::mapped_of(const Draft& d) const {
  std::vector<double> apart;
  for (std::size_t k = 0; k < d.kernels.size(); ++k) apart.push_back(run_of(d, k));
  return {g, d.kernels, d.layouts, d.attempt.stays, d.splits.mappings, std::move(apart), d.attempt.alone};
}

std::vector<Interleaving> Builder::interleavings_of(const Draft& d) const {
  return find_interleavings(machine, mapped_of(d), options.interleavings);
}

void Builder::interleave(Draft& d, const Strategy& strategy) {
  const std::vector<Interleaving> found = interleavings_of(d);
  if (found.empty()) return;
  for (const Interleaving& i : found) {
    for (std::size_t s = 0; s < i.stages.size(); ++s)
      d.candidates[i.first + s] = std::make_shared<const std::vector<Mapping>>(1, i.stages[s]);
    for (const Handed& h : i.handed) d.attempt.stays[d.kernels[i.first + h.reader].operands[h.to].tensor.index()] = true;
  }
  d.interleavings.insert(d.interleavings.end(), found.begin(), found.end());
  d.splits = choose_splits(machine, g, d.kernels, d.candidates, d.attempt.stays, strategy.held_weight,
                           std::vector<std::optional<std::size_t>>(d.kernels.size()), known.costs);
}

std::vector<HandedBuffer> Builder::tiles_of(const Draft& d) {
  std::vector<HandedBuffer> tiles;
  for (const Interleaving& i : d.interleavings)
    for (const Handed& h : i.handed) {
      const OperandHome &from = d.homes[i.first + h.writer][h.from], &to = d.homes[i.first + h.reader][h.to];
      if (from.placed && from.buffer == to.buffer) tiles.push_back({to.buffer, h.slots(), h.slots() * h.tile_bytes});
    }
  return tiles;
}

void Builder::drop_unused_buffers(Draft& d) {
  std::vector<bool> used(d.program.buffers.size(), false);
  for (const program::Context& context : d.program.contexts)
    program::for_each_buffer(context, [&](program::BufferId b, bool) { used[b.index()] = true; });
  std::set<program::BufferId> tiles;
  for (const HandedBuffer& h : tiles_of(d)) tiles.insert(h.buffer);
  std::vector<program::BufferId> moved(used.size());
  std::vector<program::Buffer> kept;
  for (std::size_t b = 0; b < used.size(); ++b) {
    if (!used[b] && tiles.contains(program::BufferId(b))) continue;
    moved[b] = program::BufferId(kept.size());
    kept.push_back(std::move(d.program.buffers[b]));
  }
  d.program.buffers = std::move(kept);
  const auto move = [&](program::BufferId& b) { b = moved[b.index()]; };
  for (program::Context& context : d.program.contexts)
    for (program::Actor& actor : context.actors) {
      for (auto* access : {&actor.source, &actor.destination})
        if (*access) move((*access)->buffer);
      for (program::Port& port : actor.ports)
        if (port.place) move(port.place->buffer);
    }
  for (auto& kernel : d.homes)
    for (OperandHome& home : kernel) {
      move(home.buffer);
      for (program::BufferId& b : home.send) move(b);
    }
}

void Builder::pipeline(Draft& d, const Strategy& strategy) {
  d.pipelines = find_pipelines(machine, mapped_of(d), options.pipelines, known.stages);
  if (d.pipelines.empty()) return;
  for (const Pipeline& p : d.pipelines)
    for (std::size_t s = 0; s < p.stages.size(); ++s)
      d.candidates[p.first + s] = std::make_shared<const std::vector<Mapping>>(1, p.stages[s]);
  d.splits = choose_splits(machine, g, d.kernels, d.candidates, d.attempt.stays, strategy.held_weight,
                           std::vector<std::optional<std::size_t>>(d.kernels.size()), known.costs);
}

std::string Builder::look_of(const Draft& d, std::size_t k) const { return form_of(d.kernels[k], g, d.layouts, {}, 0); }

Result<Timed> Builder::time_of(Draft& d) const {
  d.program.chip = whole;
  SY_TRY([[maybe_unused]] Done planned, plan_buffers(d.program));
  return options.time(d.program);
}

namespace {

bool is_same(const Mapping& a, const Mapping& b) {
  return a.tile == b.tile && a.trips == b.trips && a.order == b.order && a.unit == b.unit && a.slices == b.slices;
}

}  // namespace

Result<std::map<std::string, Mapping>> Builder::refine(const Strategy& strategy, double& least, int trials) {
  constexpr int kRounds = 3, kMoreTrials = 48;  // in all rounds but the first
  constexpr double kGain = 0.99;                // times what there was: where other mappings gain so much there is more to gain
  constexpr std::size_t kAlternatives = 6;
  std::map<std::string, Mapping> wanted;
  std::map<std::string, std::vector<Mapping>> tried;
  for (int round = 0, more = kMoreTrials; round < kRounds; ++round) {
    const double before = least;
    const Result<Draft> built = build(strategy, false, wanted);
    if (!built && round > 0) return wanted;
    if (!built) return built.failure();
    const Draft& start = built.value();
    std::map<std::string, std::pair<double, std::size_t>> looks;  // time, and the first kernel
    for (std::size_t k = 0; k < start.kernels.size(); ++k) {
      auto& [time, first] = looks.try_emplace(look_of(start, k), 0.0, k).first->second;
      time += start.splits.mappings[k].cost + start.splits.waits[k];
    }
    std::vector<std::pair<std::string, std::pair<double, std::size_t>>> order(looks.begin(), looks.end());
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second.first > b.second.first; });
    const std::size_t alternatives = std::max(kAlternatives, static_cast<std::size_t>(trials) / order.size());
    const int most = round == 0 ? trials : std::min(trials, more);
    int left = most;
    for (const auto& [look, spent] : order) {
      const std::size_t k = spent.second;
      const std::vector<Mapping>& candidates = *start.candidates[k];
      std::vector<Mapping>& done = tried[look];
      const auto is_tried = [&](const Mapping& m) {
        return std::any_of(done.begin(), done.end(), [&](const Mapping& t) { return is_same(t, m); });
      };
      std::vector<std::size_t> likeliest;
      for (std::size_t c = 0; c < candidates.size(); ++c)
        if (c != start.splits.choice[k] && !is_tried(candidates[c])) likeliest.push_back(c);
      std::stable_sort(likeliest.begin(), likeliest.end(), [&](std::size_t a, std::size_t b) {
        return candidates[a].cost + start.splits.costs[k][a] < candidates[b].cost + start.splits.costs[k][b];
      });
      for (std::size_t i = 0; i < std::min(alternatives, likeliest.size()) && left > 0; ++i, --left) {
        std::map<std::string, Mapping> changed = wanted;
        changed[look] = candidates[likeliest[i]];
        done.push_back(candidates[likeliest[i]]);
        const std::size_t ops = g.ops.size();
        Result<Draft> draft = build(strategy, false, changed);
        if (!draft || g.ops.size() != ops) return wanted;  // it does not fit, and has changed the graph for those after it
        SY_TRY(const Timed timed, time_of(draft.value()));
        if (timed.seconds < least * (1 - 1e-4)) least = timed.seconds, wanted = std::move(changed);
      }
    }
    if (round > 0) more -= most;
    if (left > 0 || more <= 0 || !(least < before * kGain)) break;
  }
  return wanted;
}

std::vector<std::optional<std::size_t>> Builder::fixed_of(const Draft& d, const std::map<std::string, Mapping>& wanted) const {
  std::vector<std::optional<std::size_t>> fixed(d.kernels.size());
  if (wanted.empty()) return fixed;
  for (std::size_t k = 0; k < d.kernels.size(); ++k) {
    const auto at = wanted.find(look_of(d, k));
    if (at == wanted.end()) continue;
    for (std::size_t c = 0; c < d.candidates[k]->size() && !fixed[k]; ++c)
      if (is_same((*d.candidates[k])[c], at->second)) fixed[k] = c;
  }
  return fixed;
}

template <class Tell>
void Builder::emit(Draft& d, const Tell& tell) const {
  d.program.buffers.clear();
  d.program.contexts.clear();
  d.homes = make_homes(machine, g, d.kernels, d.layouts, d.splits.mappings, d.attempt.stays, *known.costs, d.program);
  tell("residence", [&] { return print_homes(g, d.kernels, d.homes, d.program); });
  for (std::size_t k = 0; k < d.kernels.size(); ++k) {
    d.program.contexts.push_back(emit_context(machine, g, d.kernels[k], d.splits.mappings[k], d.layouts,
                                              reach_of(machine, g, d.kernels[k], d.attempt.stays, k == 0), d.homes[k], d.program.buffers,
                                              known.messages.get()));
  }
  d.chains = find_chains(machine, g, d.kernels);
  join_stages(d.kernels, d.chains, d.homes, d.program);
  tell("emit", [&] { return program::print(d.program); });
}

void Builder::set_readers(Draft& d, const Strategy& strategy) const {
  for (std::size_t k = 0; k < d.kernels.size(); ++k) d.splits.mappings[k].readers = d.attempt.one_reader[k] ? 1 : strategy.readers;
  if (!options.mappings) return;
  const auto numbers = numbers_among_namesakes(d.kernels);
  for (std::size_t k = 0; k < d.kernels.size(); ++k)
    if (const auto* entry = options.mappings->find(d.kernels[k].name, numbers[k]); entry && entry->readers)
      d.splits.mappings[k].readers = entry->readers->value;
}

Result<std::optional<Overflow>> Builder::plan_contexts(Draft& d, const Strategy& strategy) const {
  const std::size_t count = d.program.contexts.size();
  d.sections.clear();
  const bool given = options.mappings && !options.mappings->contexts().empty();
  if (given) {
    SY_TRY(d.sections, sections_of(*options.mappings, machine, d.kernels, d.program));
  } else if (!strategy.chained) {
    for (std::size_t k = 0; k < count; ++k) d.sections.push_back({k, kCutByCost});
  }
  const std::vector<HandedBuffer> tiles = tiles_of(d);
  std::vector<program::Context> kernels = d.program.contexts;
  std::vector<std::size_t> joins(count, 0);
  Joined joined;
  const auto join_all = [&] {
    for (const Interleaving& i : d.interleavings)  // what hands on tiles is one context, whatever else is
      std::erase_if(d.sections, [&](const Section& s) { return s.first > i.first && s.first < i.end(); });
    join(d, kernels, tiles, joined, joins);
  };
  if (strategy.chained && !given) {
    std::vector<KernelCost> costs;
    for (std::size_t k = 0; k < count; ++k)
      costs.push_back({run_of(d, k), fetches_early(machine) ? d.splits.mappings[k].held : 0, is_stage(d, k)});
    std::map<program::BufferId, std::int64_t> bytes;
    for (const HandedBuffer& h : tiles) bytes[h.buffer] = h.bytes;
    std::vector<std::size_t> before;
    for (int round = 0; round < kPartitions && before != joins; ++round) {  // what cannot be joined may go with what comes after it
      before = joins;
      if (round > 0) d.program.contexts = kernels;
      d.sections = partition(machine, d.program, costs, *strategy.chained, {strategy.room, strategy.dearer}, bytes, joins);
      join_all();
    }
  } else {
    join_all();
  }
  for (;;) {
    const auto overflow = plan_storage(d.program, times_of(d), strategy.deep, machine.pins);
    if (given)
      for (const Section& s : d.sections)
        if (s.why != kCutByFile) return not_one_context(*options.mappings, d.kernels, s);
    if (!overflow) return overflow;
    const std::size_t first = d.sections[overflow->context].first, phases = d.end_of(overflow->context) - first;
    if (phases == 1) return overflow;
    const Section half{cut_between(d, first, first + phases / 2, first + phases), kCutByRoom};
    if (half.first == first) return overflow;
    for (std::size_t c = 0; c < d.sections.size(); ++c) {  // all but one will be the same: so far nothing but addresses has been set
      program::Context& context = d.program.contexts[c];
      if (c > 0) context.after.pop_back();
      joined[{d.sections[c].first, d.end_of(c)}] = std::move(context);
    }
    d.sections.insert(d.sections.begin() + static_cast<std::ptrdiff_t>(overflow->context) + 1, half);
    join(d, kernels, tiles, joined, joins);
  }
}

std::size_t Builder::cut_between(const Draft& d, std::size_t first, std::size_t wanted, std::size_t end) {
  const auto hands_on = [&](std::size_t k) {
    return std::any_of(d.interleavings.begin(), d.interleavings.end(), [&](const Interleaving& i) { return k > i.first && k < i.end(); });
  };
  std::size_t cut = wanted;
  while (cut < end && hands_on(cut)) ++cut;
  if (cut < end) return cut;
  for (cut = wanted; cut > first && hands_on(cut);) --cut;
  return cut;
}

void Builder::join(Draft& d, std::vector<program::Context>& kernels, const std::vector<HandedBuffer>& tiles, Joined& joined,
                   std::vector<std::size_t>& joins) {
  d.program.contexts.clear();
  const bool apart = d.sections.size() == kernels.size();  // there is no other way to join them
  for (std::size_t c = 0; c < d.sections.size();) {
    const std::size_t first = d.sections[c].first, count = d.end_of(c) - first;
    Chained chained;
    if (auto known = joined.extract({first, first + count}))
      chained.context = std::move(known.mapped());
    else if (apart)
      chained.context = std::move(kernels[first]);
    else if (count == 1)
      chained.context = kernels[first];
    else
      chained = chain(d.program, std::span(kernels).subspan(first, count), tiles);
    if (!chained.context) {
      // A run that hands on tiles is joined with nothing before it, rather than cut.
      const std::size_t kernel = first + chained.phase;
      std::size_t cut = kernel;
      for (const Interleaving& i : d.interleavings)
        if (i.first > first && i.first < cut && cut < i.end()) cut = i.first;
      std::size_t run = kernel;  // the first of those that are one context whatever is
      while (is_stage(d, run)) --run;
      joins[kernel] = std::max(joins[kernel], std::min(first + chained.with + 1, run));
      d.sections.insert(d.sections.begin() + static_cast<std::ptrdiff_t>(c) + 1, {cut, kCutByJoin});
      continue;
    }
    if (c > 0) chained.context->after.push_back(program::ContextId(c - 1));
    d.program.contexts.push_back(*std::move(chained.context));
    ++c;
  }
}

double Builder::run_of(const Draft& d, std::size_t k) const {
  for (const Pipeline& p : d.pipelines)
    if (k >= p.first && k < p.first + p.stages.size()) return k == p.first ? p.seconds : 0;
  for (const Interleaving& i : d.interleavings)
    if (k >= i.first && k < i.end()) return k == i.first ? i.seconds : 0;
  return d.splits.mappings[k].on_chip + d.splits.waits[k] - barrier_seconds(machine);
}

bool Builder::is_stage(const Draft& d, std::size_t k) {
  const auto within = [&](const auto& run) { return k > run.first && k < run.first + run.stages.size(); };
  return std::any_of(d.pipelines.begin(), d.pipelines.end(), within) || std::any_of(d.interleavings.begin(), d.interleavings.end(), within);
}

std::vector<ContextTimes> Builder::times_of(const Draft& d) const {
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

}  // namespace switchyard::compiler
