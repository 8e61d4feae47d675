#include "compiler/compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "chip/query.h"
#include "compiler/bound.h"
#include "compiler/canonicalise.h"
#include "compiler/decompose.h"
#include "compiler/emit.h"
#include "compiler/formats.h"
#include "compiler/kernel.h"
#include "compiler/layout.h"
#include "compiler/mapping.h"
#include "compiler/plan.h"

namespace switchyard::compiler {
namespace {

using graph::TensorId;
using program::BufferRole;

/// Tensors a kernel touches become buffers; returns the buffer of each tensor.
std::vector<program::BufferId> make_buffers(const graph::Graph& g, const std::vector<Kernel>& kernels,
                                            const std::vector<std::vector<int>>& layouts, chip::MemoryId memory,
                                            program::Program& program) {
  std::vector<program::BufferId> of(g.tensors.size());
  const auto add = [&](TensorId id) {
    if (of[id.index()].valid()) return;
    const graph::Tensor& t = g.tensor(id);
    program::Buffer b;
    b.name = t.name;
    b.memory = memory;
    b.format = t.format;
    b.shape = t.shape;
    b.order = layouts[id.index()];
    for (std::size_t i = 0; i < g.inputs.size(); ++i)
      if (g.inputs[i] == id) b.role = BufferRole::input, b.index = static_cast<int>(i);
    for (std::size_t i = 0; i < g.outputs.size(); ++i)
      if (g.outputs[i] == id) b.role = BufferRole::output, b.index = static_cast<int>(i);
    if (t.role == graph::Role::constant) {
      b.role = BufferRole::constant;
      b.lifetime = program::Lifetime::persistent;
      b.constant = t.constant;
    }
    program.buffers.push_back(std::move(b));
    of[id.index()] = program::BufferId(program.buffers.size() - 1);
  };
  for (TensorId t : g.inputs) add(t);
  for (TensorId t : g.outputs) add(t);
  for (const Kernel& k : kernels)
    for (const KernelOperand& o : k.operands) add(o.tensor);
  return of;
}

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
std::string form_of(const Kernel& kernel, const graph::Graph& g, const std::vector<std::vector<int>>& layouts) {
  std::string form;
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
  std::string text;
  for (std::size_t d = 0; d < kernel.dims.size(); ++d) {
    if (kernel.dims[d].extent <= 1) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kernel.dims[d].name, kernel.dims[d].extent);
    const std::int64_t block = m.trips[d] * m.tile[d], split = kernel.dims[d].reduction ? 1 : (kernel.dims[d].extent + block - 1) / block;
    if (split > 1) text += fmt::format(" = {} instances", split);
    if (m.trips[d] > 1) text += fmt::format("{}{} tiles", split > 1 ? " x " : " = ", m.trips[d]);
    if (split > 1 || m.trips[d] > 1) text += fmt::format(" of {}", m.tile[d]);
  }
  text += fmt::format("; unit {}", chip.units[m.unit.index()].name);
  for (std::size_t i = 0; i < kernel.operands.size(); ++i)
    if (m.shared[i]) text += fmt::format(", operand {} multicast", i);
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

/// One mapping per kernel. Composite operators for which there is none are listed in `too_large`; where others have none, all reasons are
/// given.
Result<std::vector<Mapping>> map_kernels(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                                         const std::vector<std::vector<int>>& layouts, int effort, std::vector<graph::OpId>& too_large) {
  std::vector<Mapping> mappings;
  std::map<std::string, Mapping> known;  // kernels of one form are mapped once
  Failure failure{FailureKind::unsupported, {}, {}};
  for (const Kernel& k : kernels) {
    const std::string form = form_of(k, g, layouts);
    if (const auto same = known.find(form); same != known.end()) {
      mappings.push_back(same->second);
      continue;
    }
    Result<Mapping> mapping = choose_mapping(machine, g, k, layouts, effort);
    if (mapping) {
      known.emplace(form, mapping.value());
      mappings.push_back(std::move(mapping).value());
      continue;
    }
    const Failure& f = mapping.failure();
    if (!f.infeasible.empty() && is_composite(g.ops[k.ops.front().index()])) {
      too_large.push_back(k.ops.front());
      continue;
    }
    failure.diagnostics.insert(failure.diagnostics.end(), f.diagnostics.begin(), f.diagnostics.end());
    failure.infeasible.insert(failure.infeasible.end(), f.infeasible.begin(), f.infeasible.end());
  }
  if (!failure.diagnostics.empty()) return failure;
  return mappings;
}

}  // namespace

Result<Compiled> compile(const graph::Graph& model, std::shared_ptr<const chip::Chip> chip, const CompileOptions& options) {
  Compiled out;
  SY_TRY(const Machine machine, describe_machine(*chip));
  program::Labels& labels = out.program.labels;
  labels.model = model.name;
  labels.ops = static_cast<std::int64_t>(model.ops.size());
  labels.macs = graph::mac_count(model);
  labels.parameters = graph::parameter_count(model);
  labels.precision = numerics::format_name(options.precision);
  for (TensorId t : model.inputs) labels.input_formats.emplace_back(numerics::format_name(model.tensor(t).format));
  for (TensorId t : model.outputs) labels.output_formats.emplace_back(numerics::format_name(model.tensor(t).format));

  // The passes, in order.
  out.graph = canonicalise(model, out.decisions);
  choose_formats(out.graph, *chip, options.precision, out.decisions);
  const graph::Graph& g = out.graph;
  std::vector<Kernel> kernels;
  std::vector<std::vector<int>> layouts;
  std::vector<Mapping> mappings;
  for (;;) {
    kernels = make_kernels(g);
    SY_TRY([[maybe_unused]] Done formats, check_formats(g, kernels, *chip));
    layouts = choose_layouts(g, kernels);
    std::vector<graph::OpId> too_large;
    SY_TRY(mappings, map_kernels(machine, g, kernels, layouts, options.effort, too_large));
    if (too_large.empty()) break;
    for (std::size_t i = too_large.size(); i-- > 0;) {  // from the last: the numbers of earlier operators stay
      out.decisions.push_back({"decompose", fmt::format("'{}' becomes one context per step: its rows do not fit the scratchpad",
                                                        g.ops[too_large[i].index()].name)});
      decompose(out.graph, too_large[i]);
    }
  }
  out.decisions.push_back({"fuse", fmt::format("{} operators become {} contexts", g.ops.size(), kernels.size())});
  for (std::size_t k = 0; k < kernels.size(); ++k) out.decisions.push_back({kernels[k].name, describe(kernels[k], mappings[k], *chip)});

  program::Program& program = out.program;
  program.chip = chip;
  const auto buffers = make_buffers(g, kernels, layouts, machine.off_chip, program);
  std::vector<bool> read_before(g.tensors.size(), false);
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    program::Context context = emit_context(machine, g, kernels[k], mappings[k], layouts, buffers);
    if (k > 0) context.after.push_back(program::ContextId(k - 1));
    context.bound = kernel_bound(*chip, g, kernels[k], read_before);
    for (const KernelOperand& o : kernels[k].operands)
      if (!o.write) read_before[o.tensor.index()] = true;
    program.contexts.push_back(std::move(context));
    ContextMap map;
    map.ops = kernels[k].ops;
    for (const KernelOperand& o : kernels[k].operands) (o.write ? map.writes : map.reads).emplace_back(o.tensor, buffers[o.tensor.index()]);
    out.contexts.push_back(std::move(map));
  }
  SY_TRY([[maybe_unused]] Done planned, plan_buffers(program));
  labels.lower_bound = model_bound(*chip, g);
  labels.peak_bound = model_peak_bound(*chip, g);
  note_fallbacks(g, kernels, mappings, *chip, labels);
  return out;
}

}  // namespace switchyard::compiler
