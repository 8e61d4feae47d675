#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "chip/query.h"
#include "compiler/estimate.h"
#include "compiler/grid_search.h"
#include "compiler/mapping_file.h"
#include "compiler/mapping_names.h"
#include "compiler/means.h"

namespace switchyard::compiler {
namespace {

using Entry = MappingFile::Entry;

constexpr std::int64_t kMostFirings = std::int64_t{1} << 22;
constexpr std::int64_t kMostSlices = 1024;
constexpr std::int64_t kDeepest = std::int64_t{1} << 20;  // slots of a channel

class Applier {
 public:
  Applier(const MappingFile& file, const Entry& entry, const Machine& machine, const graph::Graph& g, const Kernel& kernel,
          const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach)
      : file_(file),
        entry_(entry),
        machine_(machine),
        g_(g),
        kernel_(kernel),
        layouts_(layouts),
        reach_(reach),
        loops_(loop_names(kernel)) {}

  Result<Mapping> run() {
    SY_TRY(const auto units, unit_choices(machine_, g_, kernel_));
    Mapping m;
    choose_units(units, m);
    cut(m);
    order(m);
    operands(m);
    if (failure_.diagnostics.empty()) cut_into_slices(m);
    if (!failure_.diagnostics.empty()) return failure_;
    if (const std::string problem = check(m); !problem.empty()) return impossible(problem);
    const Evaluator evaluator(machine_, g_, kernel_, layouts_, reach_, 0, m.unit, m.epilogue_unit);
    if (const std::string problem = evaluator.complete(m); !problem.empty()) return impossible(problem);
    if (evaluator.fits(m)) return m;
    Failure failure = fail(FailureKind::unsupported,
                           file_.diagnose("compile/does-not-fit", fmt::format("'{}' does not fit mapped like this", kernel_.name),
                                          entry_.kernel.at, "smaller tiles or depths"));
    failure.infeasible.push_back(evaluator.explain_complete(m));
    return failure;
  }

 private:
  void unknown(const std::string& what, const MappingFile::Name& name, const std::vector<std::string>& names) {
    failure_.diagnostics.push_back(file_.diagnose("mapping/unknown-name", fmt::format("'{}' has no {} '{}'", kernel_.name, what, name.text),
                                                  name.at, did_you_mean(name.text, names, what.c_str())));
  }
  Failure impossible(const std::string& problem) const {
    return fail(FailureKind::unsupported,
                file_.diagnose("mapping/impossible", fmt::format("'{}': {}", kernel_.name, problem), entry_.kernel.at));
  }

  void choose_units(const std::vector<UnitChoice>& units, Mapping& m) {
    const auto name_of = [&](chip::UnitId u) { return u.valid() ? machine_.chip->units[u.index()].name : std::string("none"); };
    std::vector<std::string> names;
    for (const UnitChoice& u : units) names.push_back(name_of(u.unit));
    std::size_t at = 0;
    if (entry_.unit) {
      at = static_cast<std::size_t>(std::find(names.begin(), names.end(), entry_.unit->text) - names.begin());
      if (at == names.size()) {
        unknown("unit that could run it called", *entry_.unit, names);
        at = 0;
      }
    }
    m.unit = units[at].unit;
    m.epilogue_unit = units[at].epilogue;
    if (entry_.epilogue && entry_.epilogue->text != name_of(m.epilogue_unit))
      unknown("epilogue on", *entry_.epilogue, {name_of(m.epilogue_unit)});
  }

  /// Sets to[d] for each loop named.
  void read(const std::vector<MappingFile::Named>& from, std::vector<std::int64_t>& to) {
    for (const auto& [name, value] : from) {
      const auto at = std::find(loops_.begin(), loops_.end(), name);
      if (at == loops_.end())
        unknown("loop", {name, value.at}, loops_);
      else
        to[static_cast<std::size_t>(at - loops_.begin())] = value.value;
    }
  }

  void cut(Mapping& m) {
    const std::size_t n = kernel_.dims.size();
    m.split.assign(n, 1);
    m.tile.assign(n, 0);
    m.trips.assign(n, 0);
    read(entry_.split, m.split);
    read(entry_.tile, m.tile);
    read(entry_.trips, m.trips);
    for (std::size_t d = 0; d < n; ++d) {
      const std::int64_t extent = kernel_.dims[d].extent;
      m.split[d] = std::min(m.split[d], extent);
      const std::int64_t local = ceil_div(extent, m.split[d]);
      if (m.tile[d] == 0) m.tile[d] = m.trips[d] > 0 ? ceil_div(local, m.trips[d]) : local;
      m.tile[d] = std::min(m.tile[d], machine_.grid ? extent : local);
      if (m.trips[d] == 0) m.trips[d] = machine_.grid && !kernel_.dims[d].reduction ? 1 : ceil_div(local, m.tile[d]);
    }
  }

  void order(Mapping& m) {
    m.order.clear();
    std::vector<bool> used(kernel_.dims.size(), false);
    for (const MappingFile::Name& name : entry_.order.value_or(std::vector<MappingFile::Name>{})) {
      const auto at = std::find(loops_.begin(), loops_.end(), name.text);
      if (at == loops_.end()) {
        unknown("loop", name, loops_);
        continue;
      }
      const auto d = static_cast<std::size_t>(at - loops_.begin());
      if (used[d] || m.trips[d] <= 1) continue;
      used[d] = true;
      m.order.push_back(static_cast<int>(d));
    }
    for (const bool reduction : {false, true})
      for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
        if (!used[d] && m.trips[d] > 1 && kernel_.dims[d].reduction == reduction) m.order.push_back(static_cast<int>(d));
    std::stable_partition(m.order.begin(), m.order.end(), [&](int d) { return !kernel_.dims[static_cast<std::size_t>(d)].reduction; });
  }

  /// Tiles that are larger than a slice of the ring would be are made as large as one.
  void cut_into_slices(Mapping& m) {
    if (std::count(m.sharing.begin(), m.sharing.end(), Sharing::ring) == 0 || ring_of(kernel_, m, reach_).ring) return;
    const auto along = instances_along(kernel_, m);
    const auto passed = static_cast<std::size_t>(std::find(m.sharing.begin(), m.sharing.end(), Sharing::ring) - m.sharing.begin());
    std::int64_t members = 1;
    for (std::size_t d = 0; d < along.size(); ++d)
      if (std::none_of(kernel_.operands[passed].index.begin(), kernel_.operands[passed].index.end(),
                       [&](const numerics::Affine& f) { return f.depends_on(static_cast<int>(d)); }))
        members *= along[d];
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
      if (kernel_.dims[d].reduction) continue;
      Mapping sliced = m;
      const std::int64_t local = ceil_div(kernel_.dims[d].extent, m.split[d]);
      sliced.tile[d] = std::min(m.tile[d], ceil_div(local, members));
      sliced.trips[d] = ceil_div(local, sliced.tile[d]);
      order(sliced);
      operands(sliced);
      if (!ring_of(kernel_, sliced, reach_).ring) continue;
      m = std::move(sliced);
      return;
    }
  }

  void operands(Mapping& m) {
    const std::size_t n = kernel_.operands.size();
    m.sharing.assign(n, Sharing::none);
    m.resident.assign(n, false);
    m.depth.assign(n, 0);
    const auto names = tensor_names(g_, kernel_);
    for (const MappingFile::Operand& o : entry_.operands) {
      const auto at = static_cast<std::size_t>(std::find(names.begin(), names.end(), o.tensor.text) - names.begin());
      if (at == n) {
        unknown("tensor", o.tensor, names);
        continue;
      }
      m.sharing[at] = o.sharing.value_or(Sharing::none);
      m.resident[at] = o.resident.value_or(false);
      if (o.depth) m.depth[at] = o.depth->value;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const auto kept = kept_loops(kernel_.operands[i], m.order, m.resident[i]);
      const std::int64_t tokens = tokens_per_instance(kept, m.order, m.trips), live = live_tokens(kept, m.order, m.trips);
      if (m.depth[i] == 0) m.depth[i] = live > 1 ? live : tokens > 1 ? 2 : 1;
    }
    m.overlap = entry_.overlap.value_or(true);
    if (entry_.readers) m.readers = entry_.readers->value;
    if (entry_.accumulators) m.accumulator_depth = entry_.accumulators->value;
    if (entry_.slices) m.slices = entry_.slices->value;
    const auto loop = [&](const std::optional<MappingFile::Name>& name, int& dim) {
      if (!name) return;
      const auto at = std::find(loops_.begin(), loops_.end(), name->text);
      if (at == loops_.end())
        unknown("loop", *name, loops_);
      else
        dim = static_cast<int>(at - loops_.begin());
    };
    loop(entry_.dealt, m.dealt);
    loop(entry_.stream, m.stream);
  }

  /// What no program can express, in words; empty when all is well.
  std::string check(const Mapping& m) {
    std::int64_t instances = 1, firings = 1;
    if (m.slices > 1 && (!deals_waves(machine_) || m.slices > kMostSlices))
      return fmt::format("reductions are dealt in slices, {} at most, where blocks run in waves", kMostSlices);
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
      const KernelDim& dim = kernel_.dims[d];
      const bool whole = m.trips[d] == 1 && m.tile[d] == dim.extent;
      if (!dim.parallel && !dim.reduction && !whole) return fmt::format("loop '{}' stays whole in every tile", loops_[d]);
      if (m.trips[d] > ceil_div(dim.extent, m.tile[d])) return fmt::format("loop '{}' has fewer tiles than its trips", loops_[d]);
      if (m.trips[d] > kMostFirings / firings) return fmt::format("more than {} tiles an instance", kMostFirings);
      firings *= m.trips[d];
      if (dim.reduction && (m.split[d] > 1 || m.trips[d] * m.tile[d] < dim.extent))
        return fmt::format("loop '{}' is a reduction: instances do not share it ('reductions' makes its sums in parts)", loops_[d]);
      if (machine_.grid && !dim.reduction && m.trips[d] > 1)
        return fmt::format("{} deals tiles of parallel loops to its components: '{}' has one tile an instance", machine_.chip->name,
                           loops_[d]);
      const std::int64_t along = dim.reduction ? 1 : ceil_div(dim.extent, m.trips[d] * m.tile[d]);
      if (!machine_.grid && along > static_cast<std::int64_t>(machine_.components.size()))
        return fmt::format("{} instances along '{}' need more than the {} components of {}", along, loops_[d], machine_.components.size(),
                           machine_.chip->name);
      instances *= along;
    }
    if (!machine_.grid && instances > static_cast<std::int64_t>(machine_.components.size()))
      return fmt::format("{} instances need more than the {} components of {}", instances, machine_.components.size(), machine_.chip->name);
    for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
      const KernelOperand& o = kernel_.operands[i];
      const std::string& name = g_.tensor(o.tensor).name;
      if (m.sharing[i] != Sharing::none && !machine_.cast.valid())
        return fmt::format("{} cannot share '{}': no mover leads from component to component", machine_.chip->name, name);
      if (m.sharing[i] != Sharing::none && (o.write || reach_[i] == Reach::placed || kernel_.copy))
        return fmt::format("'{}' is not read from off-chip memory, so it cannot be shared", name);
      if (m.depth[i] > kDeepest || m.accumulator_depth > kDeepest) return fmt::format("a channel has at most {} slots", kDeepest);
      if (o.write && m.resident[i]) return fmt::format("'{}' is written: it cannot be resident", name);
      if (const std::int64_t live = live_tokens(kept_loops(o, m.order, m.resident[i]), m.order, m.trips); m.depth[i] < live)
        return fmt::format("'{}' keeps {} tokens: its depth must not be less", name, live);
    }
    if (std::count(reach_.begin(), reach_.end(), Reach::handed) > 0 && !hands_on_tiles(machine_))
      return fmt::format("kernels of {} do not hand on tiles from unit to unit", machine_.chip->name);
    if (m.dealt >= 0) {
      const auto dim = static_cast<std::size_t>(m.dealt);
      if (kernel_.dims[dim].reduction || m.dealt == m.stream || machine_.grid)
        return fmt::format("tiles of '{}' are not dealt in turns: it must be no reduction, not stream, and be spread by the program",
                           loops_[dim]);
      for (std::size_t i = 0; i < kernel_.operands.size(); ++i)
        if (depends(kernel_.operands[i], m.dealt) && (reach_[i] == Reach::placed || m.sharing[i] == Sharing::ring))
          return fmt::format("'{}' goes neither round a ring nor through scratchpads: tiles of '{}' are dealt in turns",
                             g_.tensor(kernel_.operands[i].tensor).name, loops_[dim]);
    }
    if (m.stream >= 0) {
      const auto dim = static_cast<std::size_t>(m.stream);
      if (m.order.empty() || m.order.front() != m.stream || kernel_.dims[dim].reduction)
        return fmt::format("'{}' streams: it must be the outermost loop, of several tiles and no reduction", loops_[dim]);
      if (!streams_kernels(machine_)) return fmt::format("kernels of {} do not stream into each other", machine_.chip->name);
      if (std::count(m.sharing.begin(), m.sharing.end(), Sharing::ring) > 0) return "what goes round in a ring does not stream";
    }
    return ring_of(kernel_, m, reach_).problem;
  }

  const MappingFile& file_;
  const Entry& entry_;
  const Machine& machine_;
  const graph::Graph& g_;
  const Kernel& kernel_;
  const std::vector<std::vector<int>>& layouts_;
  const std::vector<Reach>& reach_;
  std::vector<std::string> loops_;
  Failure failure_{FailureKind::malformed, {}, {}};
};

/// By operand: the entry has it handed on.
std::vector<bool> handed_operands(const Entry& entry, const graph::Graph& g, const Kernel& kernel) {
  const auto names = tensor_names(g, kernel);
  std::vector<bool> handed(names.size(), false);
  for (const MappingFile::Operand& o : entry.operands)
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == o.tensor.text && o.lies == MappingFile::Lies::handed) handed[i] = true;
  return handed;
}

/// Components that an entry names: mapping/value where they do not exist or do not work, or come twice.
Result<std::vector<std::uint32_t>> components_of(const MappingFile& file, const Entry& entry, const Machine& machine) {
  Failure failure{FailureKind::malformed, {}, {}};
  std::vector<std::uint32_t> components;
  const std::string& kind = machine.chip->components[machine.component.index()].name;
  const auto problem = [&](std::string text, const Location& at) {
    failure.diagnostics.push_back(file.diagnose("mapping/value", std::move(text), at, "the numbers of those that do its work, in order"));
  };
  if (machine.grid) problem(fmt::format("{} deals instances to all its components", machine.chip->name), entry.kernel.at);
  if (entry.components->empty()) problem("'components' names none", entry.kernel.at);
  for (const auto& [number, at] : *entry.components) {
    const auto same = [number = number](std::uint32_t c) { return static_cast<std::int64_t>(c) == number; };
    if (std::none_of(machine.components.begin(), machine.components.end(), same))
      problem(fmt::format("{} {} is not there to work", kind, number), at);
    else if (std::any_of(components.begin(), components.end(), same))
      problem(fmt::format("{} {} is named twice", kind, number), at);
    else
      components.push_back(static_cast<std::uint32_t>(number));
  }
  if (!failure.diagnostics.empty()) return failure;
  return components;
}

}  // namespace

std::vector<std::int64_t> numbers_among_namesakes(const std::vector<Kernel>& kernels) {
  std::map<std::string, std::int64_t> seen;
  std::vector<std::int64_t> out;
  for (const Kernel& k : kernels) out.push_back(++seen[k.name]);
  return out;
}

Result<std::vector<std::uint32_t>> placement_of(const MappingFile& file, const Machine& machine) {
  std::vector<std::uint32_t> to;
  if (!file.placement()) return to;
  const std::vector<MappingFile::Value>& wanted = *file.placement();
  const chip::Component& component = machine.chip->components[machine.component.index()];
  const auto all = static_cast<std::size_t>(chip::instance_count(component));
  Failure failure{FailureKind::malformed, {}, {}};
  const auto problem = [&](std::string text, const Location& at) {
    failure.diagnostics.push_back(file.diagnose("mapping/value", std::move(text), at, "where the work of each of them goes, in order"));
  };
  const Location first = wanted.empty() ? Location{} : wanted.front().at;
  if (machine.grid) problem(fmt::format("{} deals instances to all its components", machine.chip->name), first);
  if (wanted.size() != all) problem(fmt::format("there are {} {}s, 'placement' names {}", all, component.name, wanted.size()), first);
  if (!failure.diagnostics.empty()) return failure;
  std::vector<bool> works(all, false), taken(all, false);
  for (const std::uint32_t i : chip::working_instances(component)) works[i] = true;
  for (std::size_t i = 0; i < all; ++i) {
    const auto [number, at] = wanted[i];
    if (number >= static_cast<std::int64_t>(all)) {
      problem(fmt::format("{} {} does not exist", component.name, number), at);
    } else if (taken[static_cast<std::size_t>(number)]) {
      problem(fmt::format("{} {} is taken twice", component.name, number), at);
    } else if (works[static_cast<std::size_t>(number)] != works[i]) {
      problem(fmt::format("one of {0} {1} and {0} {2} is absent from this chip", component.name, i, number), at);
    } else {
      taken[static_cast<std::size_t>(number)] = true;
    }
    to.push_back(static_cast<std::uint32_t>(number));
  }
  if (!failure.diagnostics.empty()) return failure;
  return to;
}

Result<std::optional<Less>> apply_made_for(const MappingFile& file, const Machine& machine) {
  if (!file.made_for()) return std::optional<Less>{};
  const auto& [text, at] = *file.made_for();
  const auto problem = [&, &name = text, &where = at](std::string hint) {
    return fail(FailureKind::malformed,
                file.diagnose("mapping/value", fmt::format("programs are not made for '{}'", name), where, std::move(hint)));
  };
  if (machine.grid) return problem(fmt::format("those of {} are made for it as it is", machine.chip->name));
  const auto less = parse_less(text);
  if (!less) return problem("less of what, as in 'scratchpads of 1536 KiB, off-chip memory of 64 GB/s, links of 8 GB/s'");
  if (!is_less(machine, *less)) return problem(fmt::format("{} does not have more than that", machine.chip->name));
  return less;
}

Result<std::vector<Section>> sections_of(const MappingFile& file, const Machine& machine, const std::vector<Kernel>& kernels,
                                         const program::Program& program) {
  const std::vector<std::string> names = kernel_names(kernels);
  std::map<std::string, std::size_t> number;
  for (std::size_t k = 0; k < names.size(); ++k) number[names[k]] = k;
  std::vector<bool> taken(names.size(), false), joined = taken;  // with the kernel before
  Failure failure{FailureKind::malformed, {}, {}};
  const auto problem = [&](const char* code, std::string text, const MappingFile::Name& at, std::string hint) {
    failure.diagnostics.push_back(file.diagnose(code, std::move(text), at.at, std::move(hint)));
  };
  for (const auto& context : file.contexts()) {
    std::optional<std::size_t> before;
    for (const MappingFile::Name& name : context) {
      const auto at = number.find(name.text);
      if (at == number.end()) {
        problem("mapping/unknown-name", fmt::format("the model has no kernel '{}'", name.text), name,
                did_you_mean(name.text, names, "kernels"));
        before.reset();
        continue;
      }
      const std::size_t k = at->second;
      if (taken[k])
        problem("mapping/value", fmt::format("'{}' is in a context already", name.text), name, "a kernel runs once");
      else if (before && k != *before + 1)
        problem("mapping/value", fmt::format("'{}' does not come right after '{}'", name.text, names[*before]), name,
                *before + 1 < names.size() ? fmt::format("next is '{}'", names[*before + 1]) : "that is the last one");
      taken[k] = true;
      joined[k] = before.has_value();
      before = k;
    }
  }
  if (!failure.diagnostics.empty()) return failure;
  const std::vector<std::size_t> earliest = first_sharers(program);
  std::vector<Section> sections;
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    if (!joined[k]) {
      sections.push_back({k, kCutByFile});
      continue;
    }
    if (!chains_kernels(machine)) return not_one_context(file, kernels, {k, "this chip runs one kernel to a context"});
    if (earliest[k] > sections.back().first) return not_one_context(file, kernels, {k, kCutByMemory});
  }
  return sections;
}

Result<std::set<graph::OpId>> unstreamed_of(const MappingFile& file, const std::vector<Kernel>& kernels) {
  const std::vector<std::string> names = kernel_names(kernels);
  std::set<std::string> wanted;
  Failure failure{FailureKind::malformed, {}, {}};
  for (const MappingFile::Name& name : file.streamed()) {
    wanted.insert(name.text);
    if (std::find(names.begin(), names.end(), name.text) == names.end())
      failure.diagnostics.push_back(file.diagnose("mapping/unknown-name", fmt::format("the model has no kernel '{}'", name.text), name.at,
                                                  did_you_mean(name.text, names, "kernels")));
  }
  if (!failure.diagnostics.empty()) return failure;
  std::set<graph::OpId> unless;
  for (std::size_t k = 0; k < kernels.size(); ++k)
    if (!wanted.contains(names[k])) unless.insert(kernels[k].ops.front());
  return unless;
}

std::vector<std::vector<bool>> handed_of(const MappingFile& file, const graph::Graph& g, const std::vector<Kernel>& kernels) {
  std::vector<std::vector<bool>> handed;
  const auto numbers = numbers_among_namesakes(kernels);
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const Entry* entry = file.find(kernels[k].name, numbers[k]);
    handed.push_back(entry ? handed_operands(*entry, g, kernels[k]) : std::vector<bool>(kernels[k].operands.size(), false));
  }
  return handed;
}

Failure not_streamed(const MappingFile& file, const MappingFile::Name& kernel, const std::string& why) {
  return fail(FailureKind::unsupported,
              file.diagnose("mapping/impossible", fmt::format("'{}' does not go over blocks of keys: {}", kernel.text, why), kernel.at));
}

Failure not_handed(const MappingFile& file, const std::string& kernel, const std::string& tensor) {
  Location at;
  for (const Entry& e : file.entries())
    for (const MappingFile::Operand& o : e.operands)
      if (matches_pattern(e.kernel.text, kernel) && o.tensor.text == tensor) at = o.tensor.at;
  return fail(FailureKind::unsupported,
              file.diagnose("mapping/impossible", fmt::format("'{}' is not handed on tile by tile by '{}'", tensor, kernel), at,
                            "who writes and who reads it have equal splits, tiles and loops, and nobody else uses it"));
}

Failure not_one_context(const MappingFile& file, const std::vector<Kernel>& kernels, const Section& cut) {
  const std::vector<std::string> names = kernel_names(kernels);
  Location at;
  for (const auto& context : file.contexts())
    for (const MappingFile::Name& name : context)
      if (name.text == names[cut.first]) at = name.at;
  return fail(
      FailureKind::unsupported,
      file.diagnose("mapping/impossible", fmt::format("'{}' cannot be in one context with those before: {}", names[cut.first], cut.why), at,
                    "begin another context with it"));
}

Result<Machine> apply_array(const MappingFile& file, const Machine& machine) {
  if (!file.within()) return machine;
  const std::vector<MappingFile::Value>& wanted = *file.within();
  const chip::Component& component = machine.chip->components[machine.component.index()];
  Failure failure{FailureKind::malformed, {}, {}};
  const Location at = wanted.empty() ? Location{} : wanted.front().at;
  if (machine.grid)
    failure.diagnostics.push_back(
        file.diagnose("mapping/value", fmt::format("{} deals instances to all its components", machine.chip->name), at));
  else if (wanted.size() != component.shape.size())
    failure.diagnostics.push_back(
        file.diagnose("mapping/value", fmt::format("the array of {} has {} dimensions", component.name, component.shape.size()), at));
  std::vector<std::int64_t> extent;
  for (std::size_t d = 0; d < wanted.size() && failure.diagnostics.empty(); ++d) {
    extent.push_back(wanted[d].value);
    if (extent[d] > component.shape[d])
      failure.diagnostics.push_back(file.diagnose(
          "mapping/value", fmt::format("the array of {} has {} in dimension {}", component.name, component.shape[d], d), wanted[d].at));
  }
  if (!failure.diagnostics.empty()) return failure;
  Machine m = within(machine, std::move(extent));
  if (!m.components.empty()) return m;
  failure.diagnostics.push_back(file.diagnose("mapping/value", fmt::format("no {} of this corner works", component.name), at));
  return failure;
}

Result<std::vector<ReductionCut>> apply_reductions(const MappingFile& file, const Machine& machine, graph::Graph& g) {
  Failure failure{FailureKind::malformed, {}, {}};
  std::vector<ReductionCut> cuts;
  std::vector<std::string> names;
  for (const graph::Op& op : g.ops) names.push_back(op.name);
  for (const MappingFile::Named& wanted : file.reductions()) {
    const ReductionCut cut{wanted.name, wanted.value.value};
    if (std::find(names.begin(), names.end(), cut.op) == names.end()) {
      failure.diagnostics.push_back(file.diagnose("mapping/unknown-name", fmt::format("the model has no operator '{}'", cut.op),
                                                  wanted.value.at, did_you_mean(cut.op, names, "operators")));
    } else if (const std::string why = cut_reduction(machine, g, cut); !why.empty()) {
      failure.diagnostics.push_back(file.diagnose("mapping/value", "this reduction is not cut: " + why, wanted.value.at));
    } else {
      cuts.push_back(cut);
    }
  }
  if (!failure.diagnostics.empty()) return failure;
  return cuts;
}

Result<std::vector<Merge>> apply_merges(const MappingFile& file, double most, graph::Graph& g, std::vector<Decision>& decisions) {
  std::optional<std::vector<std::string>> given;
  if (file.merged()) {
    given.emplace();
    for (const MappingFile::Name& name : *file.merged()) given->push_back(name.text);
  }
  std::vector<Merge> merges = merge_products(g, most, decisions, given);
  Failure failure{FailureKind::malformed, {}, {}};
  const auto unknown = [&](std::string message, const Location& at, std::string hint) {
    failure.diagnostics.push_back(file.diagnose("mapping/unknown-name", std::move(message), at, std::move(hint)));
  };
  std::vector<std::string> names;
  for (const Merge& merge : merges) names.push_back(merge.name);
  for (std::size_t i = 0; given && i < given->size(); ++i)
    if (std::find(names.begin(), names.end(), (*given)[i]) == names.end())
      unknown(fmt::format("no products of one tensor could become '{}'", (*given)[i]), (*file.merged())[i].at,
              names.empty() ? "there are no such products" : did_you_mean((*given)[i], names, "they could become"));
  // Entries for kernels that are not there because products became one, or did not.
  constexpr std::string_view kSay =
      "products of one tensor become one where there is room for what they make; 'merged: [NAME, ...]' says which";
  const auto is_operator = [&](const std::string& name) {  // the model may have one of a name that a merge would make up
    return std::any_of(g.ops.begin(), g.ops.end(), [&](const graph::Op& op) { return op.name == name; });
  };
  for (const Entry& e : file.entries())
    for (const Merge& merge : merges) {
      if (is_operator(e.kernel.text)) continue;
      const auto& parts = merge.products;
      if (merge.merged && std::find(parts.begin(), parts.end(), e.kernel.text) != parts.end())
        unknown(fmt::format("'{}' is a part of the kernel '{}' here", e.kernel.text, merge.name), e.kernel.at, std::string(kSay));
      if (!merge.merged && merge.name == e.kernel.text)
        unknown(fmt::format("the products of '{}' are kernels of their own here", e.kernel.text), e.kernel.at, std::string(kSay));
    }
  if (!failure.diagnostics.empty()) return failure;
  return merges;
}

Status check_kernels(const MappingFile& file, const std::vector<Kernel>& kernels) {
  Failure failure{FailureKind::malformed, {}, {}};
  std::vector<std::string> names;
  for (const Kernel& k : kernels) names.push_back(k.name);
  const auto numbers = numbers_among_namesakes(kernels);
  for (const Entry& e : file.entries()) {
    bool known = false;
    for (std::size_t k = 0; k < kernels.size(); ++k)
      known = known || ((e.kernel.text == names[k] || matches_pattern(e.kernel.text, names[k])) && (!e.nth || *e.nth == numbers[k]));
    if (!known)
      failure.diagnostics.push_back(file.diagnose("mapping/unknown-name", fmt::format("the model has no kernel '{}'", e.kernel.text),
                                                  e.kernel.at, did_you_mean(e.kernel.text, names, "kernels")));
  }
  if (!failure.diagnostics.empty()) return failure;
  return Done{};
}

void apply_places(const MappingFile& file, const graph::Graph& g, const std::vector<Kernel>& kernels, std::vector<bool>& stays) {
  const auto numbers = numbers_among_namesakes(kernels);
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    const Entry* entry = file.find(kernels[k].name, numbers[k]);
    if (!entry) continue;
    const auto names = tensor_names(g, kernels[k]);
    for (const MappingFile::Operand& o : entry->operands)
      for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == o.tensor.text && o.lies && *o.lies != MappingFile::Lies::scratchpads)
          stays[kernels[k].operands[i].tensor.index()] = *o.lies == MappingFile::Lies::handed;
  }
}

Result<Mapping> apply_entry(const MappingFile& file, const Entry& entry, const Machine& machine, const graph::Graph& g,
                            const Kernel& kernel, const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& as_usual) {
  std::vector<Reach> reach = as_usual;
  const std::vector<bool> handed = handed_operands(entry, g, kernel);
  for (std::size_t i = 0; i < reach.size(); ++i)
    if (handed[i]) reach[i] = Reach::handed;
  if (!entry.components) return Applier(file, entry, machine, g, kernel, layouts, reach).run();
  Machine part = machine;
  SY_TRY(part.components, components_of(file, entry, machine));
  part.extent = {static_cast<std::int64_t>(part.components.size())};
  SY_TRY(Mapping mapping, Applier(file, entry, part, g, kernel, layouts, reach).run());
  mapping.components = part.components;
  return mapping;
}

}  // namespace switchyard::compiler
