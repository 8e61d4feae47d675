#include "compiler/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace switchyard::compiler {
namespace {

using graph::Graph;
using graph::Op;
using graph::TensorId;
using numerics::Expression;
using numerics::ScalarOp;

bool is_map(const Op& op) {
  if (op.nests.size() != 1 || op.results.size() != 1 || !op.locals.empty()) return false;
  const numerics::Nest& nest = op.nests[0];
  return nest.combiner == numerics::Combiner::none &&
         std::all_of(nest.loops.begin(), nest.loops.end(), [](const auto& l) { return l.kind == numerics::LoopKind::parallel; });
}

/// Who writes and who reads each tensor: an operator's number, -1 for nobody, -2 for several (or for what leaves the graph).
struct Uses {
  explicit Uses(const Graph& g) : writer(g.tensors.size(), -1), reader(g.tensors.size(), -1) {
    const auto note = [](int& at, int op) { at = at == -1 || at == op ? op : -2; };
    for (std::size_t o = 0; o < g.ops.size(); ++o) {
      for (TensorId t : g.ops[o].operands) note(reader[t.index()], static_cast<int>(o));
      for (TensorId t : g.ops[o].results) note(writer[t.index()], static_cast<int>(o));
    }
    for (TensorId t : g.outputs) reader[t.index()] = -2;
    for (TensorId t : g.inputs) writer[t.index()] = -2;
  }
  std::vector<int> writer, reader;
};

struct Scaled {
  std::size_t node = 0, input = 0;  ///< of the multiplication, and of what it multiplies
  double factor = 1;
};

/// The multiplication of an input by a power of two, where nothing else reads the input.
std::optional<Scaled> scaling_of(const Expression& e, int input) {
  const auto operands = [&](const Expression::Node& n) {
    std::vector<int> list{n.a, n.b, n.c};
    list.resize(n.op == ScalarOp::input || n.op == ScalarOp::constant ? 0 : static_cast<std::size_t>(numerics::scalar_op_info(n.op).arity));
    return list;
  };
  std::optional<Scaled> found;
  int uses = 0;
  for (std::size_t i = 0; i < e.nodes.size(); ++i) {
    const auto is_input = [&](int n) {
      const auto& node = e.nodes[static_cast<std::size_t>(n)];
      return node.op == ScalarOp::input && node.a == input;
    };
    for (const int n : operands(e.nodes[i])) uses += is_input(n);
    if (e.nodes[i].op != ScalarOp::mul) continue;
    for (const auto& [x, factor] : {std::pair{e.nodes[i].a, e.nodes[i].b}, std::pair{e.nodes[i].b, e.nodes[i].a}}) {
      const auto& constant = e.nodes[static_cast<std::size_t>(factor)];
      if (!is_input(x) || constant.op != ScalarOp::constant || !(constant.constant > 0) || std::isinf(constant.constant)) continue;
      int exponent = 0;
      if (std::frexp(constant.constant, &exponent) == 0.5 && exponent != 1 && std::abs(exponent) <= 16)
        found = Scaled{i, static_cast<std::size_t>(x), constant.constant};
    }
  }
  return uses == 1 ? found : std::nullopt;
}

/// The expression in which a node is replaced by one of its operands; nodes nobody needs any more are left out.
Expression without(const Expression& e, const Scaled& scaled) {
  std::vector<int> place(e.nodes.size(), -1);
  Expression out;
  const auto visit = [&](auto&& self, std::size_t n) -> int {
    if (n == scaled.node) n = scaled.input;
    if (place[n] >= 0) return place[n];
    Expression::Node node = e.nodes[n];
    if (node.op != ScalarOp::input && node.op != ScalarOp::constant) {
      const int arity = numerics::scalar_op_info(node.op).arity;
      for (const auto& [index, operand] : {std::pair{0, &node.a}, std::pair{1, &node.b}, std::pair{2, &node.c}})
        if (index < arity) *operand = self(self, static_cast<std::size_t>(*operand));
    }
    out.nodes.push_back(node);
    return place[n] = static_cast<int>(out.nodes.size()) - 1;
  };
  visit(visit, e.nodes.size() - 1);
  return out;
}

}  // namespace

bool move_scales(Graph& g, std::vector<Decision>& decisions) {
  const Uses uses(g);
  bool moved = false;
  for (Op& map : g.ops) {
    if (!is_map(map)) continue;
    numerics::Nest& nest = map.nests[0];
    for (std::size_t r = 0; r < nest.reads.size(); ++r) {
      const auto slot = static_cast<std::size_t>(nest.reads[r].slot);
      if (slot >= map.operands.size()) continue;
      const TensorId product = map.operands[slot];
      const int from = uses.writer[product.index()];
      if (from < 0 || uses.reader[product.index()] < 0 || nest.reads[r].fill) continue;
      if (std::count_if(nest.reads.begin(), nest.reads.end(), [&](const auto& a) { return a.slot == nest.reads[r].slot; }) != 1) continue;
      const Op& contraction = g.ops[static_cast<std::size_t>(from)];
      if (contraction.nests.size() != 1 || !contraction.nests[0].is_contraction() || contraction.operands.size() != 2) continue;
      const auto scaled = scaling_of(nest.expression, static_cast<int>(r));
      if (!scaled) continue;
      for (const TensorId factor : contraction.operands) {
        const int writer = uses.writer[factor.index()];
        if (writer < 0 || uses.reader[factor.index()] != from) continue;
        Op& source = g.ops[static_cast<std::size_t>(writer)];
        if (!is_map(source) || source.nests[0].is_copy()) continue;
        source.nests[0].expression = numerics::apply(ScalarOp::mul, source.nests[0].expression, numerics::expr_constant(scaled->factor));
        nest.expression = without(nest.expression, *scaled);
        moved = true;
        decisions.push_back(
            {"canonicalise", fmt::format("the factor {} behind '{}' goes into '{}'", scaled->factor, contraction.name, source.name)});
        break;
      }
    }
  }
  return moved;
}

}  // namespace switchyard::compiler
