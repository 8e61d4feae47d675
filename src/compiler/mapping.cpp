#include "compiler/mapping.h"

#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "compiler/epilogue.h"
#include "compiler/estimate.h"
#include "compiler/grid_search.h"
#include "compiler/search.h"
#include "program/widening.h"

namespace switchyard::compiler {
namespace {

using chip::OpClass;
using numerics::Affine;
using numerics::Format;

Failure no_unit(const chip::Chip& chip, const Kernel& kernel, Format format, const char* what) {
  return fail(FailureKind::unsupported, "compile/unsupported-format",
              fmt::format("'{}' needs {} in {}, for which {} has no unit", kernel.name, what, numerics::format_name(format), chip.name),
              "choose another --precision; `switchyard chips show " + chip.name + "` lists what its units compute");
}

}  // namespace

std::vector<std::int64_t> token_shape(const KernelOperand& operand, const std::vector<std::int64_t>& tile) {
  std::vector<std::int64_t> shape;
  for (const Affine& f : operand.index) {
    std::int64_t extent = 1;
    for (const auto& t : f.terms) extent += std::abs(t.coefficient) * (tile[static_cast<std::size_t>(t.variable)] - 1);
    shape.push_back(extent);
  }
  return shape;
}

std::int64_t token_pad(const chip::Unit& unit, bool contraction, std::int64_t innermost) {
  if (!contraction || unit.layout_block <= 1) return 1;
  if (innermost >= unit.layout_block) return unit.layout_block;
  std::int64_t pad = 4;  // short tails fold into blocks of 4, 8, 16, 32
  while (pad < innermost) pad *= 2;
  return std::min(pad, unit.layout_block);
}

std::vector<std::int64_t> instances_along(const Kernel& kernel, const Mapping& m) {
  std::vector<std::int64_t> along(kernel.dims.size(), 1);
  for (std::size_t d = 0; d < kernel.dims.size(); ++d)
    if (!kernel.dims[d].reduction) along[d] = ceil_div(kernel.dims[d].extent, m.trips[d] * m.tile[d]);
  return along;
}

Steps steps_of(const Kernel& kernel, const Mapping& m, std::size_t d) {
  if (static_cast<int>(d) == m.dealt) return {m.tile[d], m.tile[d] * instances_along(kernel, m)[d]};
  return {m.trips[d] * m.tile[d], m.tile[d]};
}

bool leaves_out(const Kernel& kernel, const Mapping& m) {
  if (!kernel.band) return false;
  const auto row = static_cast<std::size_t>(kernel.band->row), column = static_cast<std::size_t>(kernel.band->column);
  return kernel.band->beyond ||
         instances_along(kernel, m)[row] * m.trips[row] * m.tile[row] + kernel.band->past <= kernel.dims[column].extent;
}

std::vector<bool> kept_loops(const KernelOperand& operand, const std::vector<int>& order, bool resident) {
  std::vector<bool> kept(order.size(), true);
  bool inside = true;
  for (std::size_t l = order.size(); l-- > 0;) {
    const bool used = depends(operand, order[l]);
    if (used) inside = false;
    kept[l] = !used && (inside || resident);
  }
  return kept;
}

std::int64_t tokens_per_instance(const std::vector<bool>& kept, const std::vector<int>& order, const std::vector<std::int64_t>& trips) {
  std::int64_t tokens = 1;
  for (std::size_t l = 0; l < order.size(); ++l)
    if (!kept[l]) tokens *= trips[static_cast<std::size_t>(order[l])];
  return tokens;
}

std::int64_t live_tokens(const std::vector<bool>& kept, const std::vector<int>& order, const std::vector<std::int64_t>& trips) {
  std::int64_t live = 1;
  bool inside = false;
  for (std::size_t l = 0; l < order.size(); ++l) {
    if (kept[l])
      inside = true;
    else if (inside)
      live *= trips[static_cast<std::size_t>(order[l])];
  }
  return live;
}

RingPlan ring_of(const Kernel& kernel, const Mapping& m, const std::vector<Reach>& reach) {
  RingPlan plan;
  const auto along = instances_along(kernel, m);
  Ring ring;
  bool any = false;
  const auto problem = [&](std::string text) {
    plan.problem = std::move(text);
    return plan;
  };
  for (std::size_t i = 0; i < kernel.operands.size(); ++i) {
    if (m.sharing[i] != Sharing::ring) continue;
    any = true;
    const KernelOperand& o = kernel.operands[i];
    if (o.write || reach[i] == Reach::placed) return problem("a ring passes operands that are read from off-chip memory");
    int members = -1;
    for (std::size_t d = 0; d < kernel.dims.size(); ++d) {
      if (along[d] <= 1 || depends(o, static_cast<int>(d))) continue;
      if (members >= 0) return problem("the members of a ring lie along one loop, not several");
      members = static_cast<int>(d);
    }
    if (members < 0) return problem("every instance needs another part of the operand: there is nothing to share");
    if (ring.along >= 0 && ring.along != members) return problem("operands in rings along different loops");
    ring.along = members;
    if (kept_loops(o, m.order, false) != kept_loops(o, m.order, m.resident[i])) return problem("what goes round a ring is not resident");
  }
  if (!any) return plan;
  ring.size = along[static_cast<std::size_t>(ring.along)];
  for (const int q : m.order) {
    const auto d = static_cast<std::size_t>(q);
    const KernelDim& dim = kernel.dims[d];
    bool fits = !dim.reduction && m.trips[d] % ring.size == 0 && dim.extent % (m.trips[d] * m.tile[d]) == 0;
    for (std::size_t i = 0; i < kernel.operands.size() && fits; ++i) {
      const KernelOperand& o = kernel.operands[i];
      if (!o.write) {
        fits = depends(o, q) == (m.sharing[i] == Sharing::ring);
        continue;
      }
      int uses = 0;  // results are stored slice by slice: the loop runs along one dimension of theirs, alone
      for (const Affine& f : o.index)
        if (f.depends_on(q)) uses += f.as_variable() == q ? 1 : 2;
      fits = uses == 1 && reach[i] != Reach::placed;
    }
    if (!fits) continue;
    ring.dim = q;
    ring.slice = m.trips[d] / ring.size;
    plan.ring = ring;
    return plan;
  }
  return problem(fmt::format(
      "no loop can go round: it must be in `order`, its tiles in {} slices, dividing its extent, and used by no other operand that is read",
      ring.size));
}

std::int64_t ring_depth(const Kernel& kernel, const Mapping& m, const Ring& ring, std::size_t operand) {
  const auto kept = kept_loops(kernel.operands[operand], m.order, m.resident[operand]);
  std::int64_t tokens = 1;
  bool inside = false;
  for (std::size_t l = 0; l < m.order.size(); ++l) {
    if (m.order[l] == ring.dim)
      inside = true, tokens *= ring.slice;
    else if (inside && !kept[l])
      tokens *= m.trips[static_cast<std::size_t>(m.order[l])];
  }
  return tokens + std::max<std::int64_t>(1, m.depth[operand] - 1);
}

program::Spread spread_of(const Machine& machine, const Kernel& kernel, const KernelOperand& operand, const Mapping& mapping) {
  program::Spread spread;
  const auto along = instances_along(kernel, mapping);
  std::vector<int> coordinate(kernel.dims.size(), -1);
  std::int64_t count = 1;
  for (std::size_t d = 0; d < kernel.dims.size(); ++d) {
    if (along[d] <= 1) continue;
    coordinate[d] = static_cast<int>(spread.shape.size());
    spread.shape.push_back(along[d]);
    count *= along[d];
  }
  if (spread.shape.empty()) spread.shape.push_back(1);
  const auto& components = mapping.components.empty() ? machine.components : mapping.components;
  spread.components.assign(components.begin(), components.begin() + count);
  for (const Affine& f : operand.index) {
    Affine start = numerics::affine_constant(f.constant);
    std::int64_t extent = 1;
    for (const auto& t : f.terms) {
      const auto v = static_cast<std::size_t>(t.variable);
      const std::int64_t block = mapping.trips[v] * mapping.tile[v];  // the last tile may be ragged: what is beyond is in the box it reads
      extent += std::abs(t.coefficient) * (block - 1);
      if (coordinate[v] >= 0) start = start + numerics::affine_variable(coordinate[v], t.coefficient * mapping.trips[v] * mapping.tile[v]);
      if (t.coefficient < 0) start = start + numerics::affine_constant(t.coefficient * (block - 1));
    }
    spread.start.push_back(start);
    spread.extent.push_back(extent);
  }
  return spread;
}

Result<std::vector<UnitChoice>> unit_choices(const Machine& machine, const graph::Graph& g, const Kernel& kernel) {
  const chip::Chip& chip = *machine.chip;
  const Format format = leading_format(g, kernel);
  std::vector<chip::UnitId> units = chip::units_for(chip, kernel.contraction ? OpClass::contract : OpClass::map, format);
  const auto vectors = chip::units_for(chip, OpClass::map, format);
  if (kernel.copy && units.empty())  // a copy only moves bits: any unit that maps in any format will do when it must be rearranged
    for (std::size_t u = 0; u < chip.units.size(); ++u)
      if (chip.units[u].kind != chip::UnitKind::matrix) units.push_back(chip::UnitId(u));
  if (units.empty()) return no_unit(chip, kernel, format, kernel.contraction ? "multiply-accumulate" : "element-wise arithmetic");
  // A factor of fewer bits is widened on its way in.
  for (const KernelOperand& o : kernel.operands) {
    if (!kernel.contraction || o.write || o.epilogue) continue;
    const Format stored = g.tensor(o.tensor).format;
    if (stored == format) continue;
    std::erase_if(units, [&](chip::UnitId u) { return !program::widening(chip, u, format, stored); });
    if (units.empty()) return no_unit(chip, kernel, stored, "multiply-accumulate");
  }
  std::vector<UnitChoice> choices;
  for (std::size_t u = 0; u < std::min<std::size_t>(units.size(), 2); ++u) {
    chip::UnitId epilogue;
    if (kernel.contraction)
      for (const KernelStatement& s : kernel.statements)
        if (s.epilogue && !runs_epilogue(chip.units[units[u].index()], s, g, kernel)) {
          if (vectors.empty()) return no_unit(chip, kernel, format, "element-wise arithmetic");
          epilogue = vectors.front();
        }
    choices.push_back({units[u], epilogue});
  }
  return choices;
}

Result<std::vector<Mapping>> choose_mappings(const Machine& machine, const graph::Graph& g, const Kernel& kernel,
                                             const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach,
                                             std::int64_t reserved, int effort, std::size_t most) {
  const chip::Chip& chip = *machine.chip;
  SY_TRY(const std::vector<UnitChoice> units, unit_choices(machine, g, kernel));
  std::vector<Mapping> best;
  Infeasible infeasible;
  for (const UnitChoice& choice : units) {
    if (!deals_waves(machine)) break;
    const auto found = search_grid(machine, g, kernel, layouts, reach, reserved, choice);
    best.insert(best.end(), found.begin(), found.end());
  }
  for (const auto& [unit, epilogue] : units) {
    if (!best.empty() && deals_waves(machine)) break;
    const Evaluator evaluator(machine, g, kernel, layouts, reach, reserved, unit, epilogue);
    SearchResult found = search_mappings(machine, kernel, evaluator, effort, most);
    if (found.best.empty() && best.empty()) infeasible = evaluator.explain(found.nearest);
    best.insert(best.end(), found.best.begin(), found.best.end());
  }
  if (best.empty()) {
    // Too many firings, or writes that leave holes: nothing a larger memory would mend.
    if (infeasible.demand <= infeasible.capacity)
      return fail(FailureKind::unsupported, "compile/does-not-fit",
                  fmt::format("no way to cut '{}' for {} was found", kernel.name, chip.name), "a smaller model dimension");
    Failure failure =
        fail(FailureKind::unsupported, "compile/does-not-fit", fmt::format("no tile of '{}' fits {}", kernel.name, infeasible.resource));
    failure.infeasible.push_back(std::move(infeasible));
    return failure;
  }
  std::stable_sort(best.begin(), best.end(), [](const Mapping& a, const Mapping& b) { return a.cost < b.cost; });
  return best;
}

}  // namespace switchyard::compiler
