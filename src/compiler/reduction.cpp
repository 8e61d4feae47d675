#include "compiler/reduction.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "chip/query.h"
#include "compiler/formats.h"
#include "numerics/expression.h"
#include "support/check.h"

namespace switchyard::compiler {
namespace {

using numerics::Affine;
using numerics::LoopKind;

/// In which sums are kept until they are added up.
constexpr numerics::Format kSums = numerics::Format::fp32;
/// Points of a reduction that a part has at least: shorter ones cost more to add than to make.
constexpr std::int64_t kLeastPart = 64;

std::optional<std::size_t> find_op(const graph::Graph& g, const std::string& name) {
  for (std::size_t i = 0; i < g.ops.size(); ++i)
    if (g.ops[i].name == name) return i;
  return std::nullopt;
}

std::optional<std::size_t> longest_reduction(const numerics::Nest& nest) {
  std::optional<std::size_t> longest;
  for (std::size_t l = 0; l < nest.loops.size(); ++l)
    if (nest.loops[l].kind == LoopKind::reduction && (!longest || nest.loops[l].extent > nest.loops[*longest].extent)) longest = l;
  return longest;
}

/// What speaks against cutting an operator in any number of parts.
std::string objection(const Machine& machine, const graph::Graph& g, const graph::Op& op) {
  if (op.nests.size() != 1 || op.results.size() != 1 || !op.locals.empty() || !op.nests[0].is_contraction())
    return fmt::format("'{}' is no contraction", op.name);
  const numerics::Nest& nest = op.nests[0];
  if (!longest_reduction(nest)) return fmt::format("'{}' has no reduction", op.name);
  const graph::Tensor& result = g.tensor(op.results[0]);
  const bool floats = std::all_of(op.operands.begin(), op.operands.end(),
                                  [&](graph::TensorId t) { return numerics::format_info(g.tensor(t).format).floating; });
  if (!floats || !numerics::format_info(result.format).floating || !stores(*machine.chip, kSums))
    return fmt::format("sums of '{}' cannot be kept in {}", op.name, numerics::format_name(kSums));
  if (!keeps_values(machine)) return "values do not stay in scratchpads";
  std::vector<bool> used(nest.loops.size(), false);
  for (std::size_t d = 0; d < nest.write.index.size(); ++d) {
    const int v = nest.write.index[d].as_variable();
    if (v >= 0 && nest.loops[static_cast<std::size_t>(v)].extent == result.shape[d] && !used[static_cast<std::size_t>(v)]) {
      used[static_cast<std::size_t>(v)] = true;
      continue;
    }
    if (v < 0 && nest.write.index[d] == numerics::affine_constant(0) && result.shape[d] == 1) continue;
    return fmt::format("'{}' writes only a part of its result", op.name);
  }
  return {};
}

/// Steps of the matrix unit that fits best which the results of a contraction fill.
std::int64_t steps_of(const chip::Chip& chip, const graph::Graph& g, const graph::Op& op) {
  const numerics::Nest& nest = op.nests[0];
  const auto depends = [](const numerics::Access& a, std::size_t loop) {
    return std::any_of(a.index.begin(), a.index.end(), [&](const Affine& f) { return f.depends_on(static_cast<int>(loop)); });
  };
  std::int64_t sides[2] = {1, 1}, batch = 1;
  for (std::size_t l = 0; l < nest.loops.size(); ++l) {
    if (nest.loops[l].kind == LoopKind::reduction) continue;
    const bool first = depends(nest.reads[0], l), second = depends(nest.reads[1], l);
    (first == second ? batch : sides[first ? 0 : 1]) *= nest.loops[l].extent;
  }
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const chip::UnitId id : chip::units_for(chip, chip::OpClass::contract, g.tensor(op.operands.front()).format)) {
    const auto& geometry = chip.units[id.index()].geometry;
    const auto steps = [&](int m, int n) {
      const auto along = [&](int side, std::int64_t by) { return (sides[side] + by - 1) / std::max<std::int64_t>(1, by); };
      return along(m, geometry[0]) * along(n, geometry[1]);
    };
    least = std::min(least, std::min(steps(0, 1), steps(1, 0)));
  }
  return least == std::numeric_limits<std::int64_t>::max() ? least : least * batch;
}

}  // namespace

std::vector<ReductionCut> worthwhile_cuts(const Machine& machine, const graph::Graph& g) {
  std::vector<ReductionCut> cuts;
  const auto components = static_cast<std::int64_t>(machine.components.size());
  for (const graph::Op& op : g.ops) {
    if (!objection(machine, g, op).empty()) continue;
    const std::int64_t steps = steps_of(*machine.chip, g, op), extent = op.nests[0].loops[*longest_reduction(op.nests[0])].extent;
    if (steps > components / 2) continue;
    std::int64_t parts = std::min(components / steps, extent / kLeastPart);
    while (parts > 1 && extent % parts != 0) --parts;
    if (parts > 1) cuts.push_back({op.name, parts});
  }
  return cuts;
}

std::string cut_reduction(const Machine& machine, graph::Graph& g, const ReductionCut& cut) {
  const auto at = find_op(g, cut.op);
  if (!at) return fmt::format("there is no operator '{}'", cut.op);
  if (std::string why = objection(machine, g, g.ops[*at]); !why.empty()) return why;
  graph::Op sum = g.ops[*at], parts = sum;
  numerics::Nest& nest = parts.nests[0];
  const std::size_t loop = *longest_reduction(nest);
  const std::int64_t extent = nest.loops[loop].extent;
  if (cut.parts < 2 || extent % cut.parts != 0)
    return fmt::format("{} parts do not divide the {} points of '{}'", cut.parts, extent, nest.loops[loop].name);
  const std::int64_t length = extent / cut.parts;

  // The part is the outermost loop: results lie part by part.
  std::vector<Affine> with;
  for (std::size_t l = 0; l < nest.loops.size(); ++l) with.push_back(numerics::affine_variable(static_cast<int>(l) + 1));
  with[loop] = with[loop] + numerics::affine_variable(0, length);
  nest.loops[loop].extent = length;
  nest.loops.insert(nest.loops.begin(), {"part", cut.parts, LoopKind::parallel});
  for (numerics::Access& read : nest.reads)
    for (Affine& f : read.index) f = numerics::substitute(f, with);
  for (Affine& f : nest.write.index) f = numerics::substitute(f, with);
  nest.write.index.insert(nest.write.index.begin(), numerics::affine_variable(0));

  graph::Tensor sums;
  sums.name = cut.op + ":parts";
  sums.format = kSums;
  sums.shape = g.tensor(sum.results[0]).shape;
  const numerics::Shape shape = sums.shape;
  sums.shape.insert(sums.shape.begin(), cut.parts);
  g.tensors.push_back(std::move(sums));
  const graph::TensorId made(g.tensors.size() - 1);
  parts.name = cut.op + ":parts";
  parts.origin = cut.op;
  parts.results = {made};

  numerics::Nest add;
  std::vector<Affine> index, from;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    add.loops.push_back({fmt::format("d{}", d), shape[d], LoopKind::parallel});
    index.push_back(numerics::affine_variable(static_cast<int>(d)));
  }
  add.loops.push_back({"part", cut.parts, LoopKind::reduction});
  from.push_back(numerics::affine_variable(static_cast<int>(shape.size())));
  from.insert(from.end(), index.begin(), index.end());
  add.reads.push_back({0, std::move(from), std::nullopt});
  add.expression = numerics::expr_input(0);
  add.combiner = numerics::Combiner::add;
  add.write = {1, std::move(index), std::nullopt};
  sum.operands = {made};
  sum.nests = {std::move(add)};
  g.ops[*at] = std::move(sum);
  g.ops.insert(g.ops.begin() + static_cast<std::ptrdiff_t>(*at), std::move(parts));
  graph::distinguish_names(g);
  return {};
}

void cut_reductions(const Machine& machine, graph::Graph& g, const std::vector<ReductionCut>& cuts) {
  for (const ReductionCut& cut : cuts) {
    const std::string why = cut_reduction(machine, g, cut);
    SY_CHECK(why.empty(), why);
  }
}

}  // namespace switchyard::compiler
