#include "compiler/epilogue.h"

#include <algorithm>
#include <cmath>

#include "support/check.h"

namespace switchyard::compiler {
namespace {

using numerics::Expression;
using numerics::ScalarOp;

bool can_do(const chip::Unit& unit, ScalarOp op) {
  return std::find(unit.epilogue.begin(), unit.epilogue.end(), numerics::scalar_op_info(op).name) != unit.epilogue.end();
}

/// Does the unit work with the format of what is read or written? Locals are its own.
bool knows(const chip::Unit& unit, const KernelAccess& access, const graph::Graph& graph, const Kernel& kernel) {
  if (access.local) return true;
  const numerics::Format format = graph.tensor(kernel.operands[static_cast<std::size_t>(access.number)].tensor).format;
  return std::any_of(unit.rates.begin(), unit.rates.end(),
                     [&](const chip::Unit::Rate& r) { return r.in == format || r.accumulate == format; });
}

std::vector<int> operands_of(const Expression::Node& n) {
  if (n.op == ScalarOp::input || n.op == ScalarOp::constant) return {};
  std::vector<int> list{n.a, n.b, n.c};
  list.resize(static_cast<std::size_t>(numerics::scalar_op_info(n.op).arity));
  return list;
}

/// The expression of one node. Where it comes to `at`, it takes read `instead`, if there is one.
Expression expression_of(const Expression& e, int node, int at, int instead) {
  std::vector<int> place(e.nodes.size(), -1);
  Expression out;
  const auto visit = [&](auto&& self, int n) -> int {
    int& known = place[static_cast<std::size_t>(n)];
    if (known >= 0) return known;
    Expression::Node copy = e.nodes[static_cast<std::size_t>(n)];
    if (n == at && instead >= 0) {
      copy = {};
      copy.a = instead;
    } else if (copy.op != ScalarOp::input && copy.op != ScalarOp::constant) {
      const std::size_t arity = operands_of(copy).size();
      if (arity > 0) copy.a = self(self, copy.a);
      if (arity > 1) copy.b = self(self, copy.b);
      if (arity > 2) copy.c = self(self, copy.c);
    }
    out.nodes.push_back(copy);
    return known = static_cast<int>(out.nodes.size()) - 1;
  };
  visit(visit, node);
  return out;
}

/// The statement with an expression of its own, and the reads that this needs: read `sums` first.
KernelStatement part_of(const KernelStatement& s, const Expression& expression, std::size_t sums) {
  KernelStatement out;
  out.dims = s.dims;
  out.kinds = s.kinds;
  out.epilogue = true;
  std::vector<Expression> with(s.reads.size(), numerics::expr_constant(0));
  with[sums] = numerics::expr_input(0);
  out.reads.push_back(s.reads[sums]);
  for (std::size_t r = 0; r < s.reads.size(); ++r) {
    const bool needed = std::any_of(expression.nodes.begin(), expression.nodes.end(),
                                    [&](const auto& n) { return n.op == ScalarOp::input && n.a == static_cast<int>(r); });
    if (!needed || r == sums) continue;
    with[r] = numerics::expr_input(static_cast<int>(out.reads.size()));
    out.reads.push_back(s.reads[r]);
  }
  out.expression = numerics::substitute(expression, with);
  return out;
}

}  // namespace

bool runs_epilogue(const chip::Unit& unit, const KernelStatement& epilogue, const graph::Graph& graph, const Kernel& kernel) {
  if (unit.kind != chip::UnitKind::matrix) return true;
  const Expression& expression = epilogue.expression;
  if (!knows(unit, epilogue.write, graph, kernel)) return false;
  for (const KernelAccess& read : epilogue.reads)
    if (!knows(unit, read, graph, kernel)) return false;
  return std::all_of(expression.nodes.begin(), expression.nodes.end(),
                     [&](const auto& n) { return n.op == ScalarOp::input || n.op == ScalarOp::constant || can_do(unit, n.op); });
}

EpilogueParts cut_epilogue(const chip::Unit& unit, const KernelStatement& epilogue, numerics::Format kept, const graph::Graph& graph,
                           const Kernel& kernel) {
  const Expression& e = epilogue.expression;
  std::size_t sums = epilogue.reads.size();
  for (std::size_t r = 0; r < epilogue.reads.size(); ++r)
    if (epilogue.reads[r].local) sums = std::min(sums, r);
  SY_CHECK(sums < epilogue.reads.size(), "an epilogue reads the sums");
  const auto readers_of = [&](int node) {
    std::vector<int> list;
    for (int n = 0; n < static_cast<int>(e.nodes.size()); ++n)
      for (const int operand : operands_of(e.nodes[static_cast<std::size_t>(n)]))
        if (operand == node) list.push_back(n);
    return list;
  };
  const auto nodes_reading = [&](std::size_t read) {
    std::vector<int> list;
    for (int n = 0; n < static_cast<int>(e.nodes.size()); ++n)
      if (e.nodes[static_cast<std::size_t>(n)].op == ScalarOp::input && e.nodes[static_cast<std::size_t>(n)].a == static_cast<int>(read))
        list.push_back(n);
    return list;
  };
  const bool whole = !numerics::format_info(kept).floating;
  const auto is_whole = [&](const Expression::Node& n) {
    if (n.op == ScalarOp::constant) return std::floor(n.constant) == n.constant && std::fabs(n.constant) < 0x1p31;
    if (n.op != ScalarOp::input) return false;
    const KernelAccess& read = epilogue.reads[static_cast<std::size_t>(n.a)];
    if (read.local) return false;
    return !numerics::format_info(graph.tensor(kernel.operands[static_cast<std::size_t>(read.number)].tensor).format).floating;
  };
  const std::vector<int> start = nodes_reading(sums);
  int at = start.empty() ? -1 : start.front();
  for (bool further = start.size() == 1; further;) {
    further = false;
    const std::vector<int> readers = readers_of(at);
    if (readers.size() != 1 || readers.front() == static_cast<int>(e.nodes.size()) - 1) break;  // the rest is never nothing
    const int next = readers.front();
    const ScalarOp step = e.nodes[static_cast<std::size_t>(next)].op;
    if (!can_do(unit, step)) break;
    if (whole && step != ScalarOp::add && step != ScalarOp::max && step != ScalarOp::min) break;
    further = true;
    for (const int operand : operands_of(e.nodes[static_cast<std::size_t>(next)])) {
      if (operand == at) continue;
      const Expression::Node& other = e.nodes[static_cast<std::size_t>(operand)];
      if (whole) further = further && is_whole(other);
      if (other.op == ScalarOp::constant) continue;
      further = further && other.op == ScalarOp::input && knows(unit, epilogue.reads[static_cast<std::size_t>(other.a)], graph, kernel) &&
                readers_of(operand).size() == 1 && nodes_reading(static_cast<std::size_t>(other.a)).size() == 1;
    }
    if (further) at = next;
  }
  if (start.size() != 1) at = -1;
  const int read = static_cast<int>(sums), last = static_cast<int>(e.nodes.size()) - 1;
  const Expression first = at < 0 ? numerics::expr_input(read) : expression_of(e, at, -1, -1);
  return {part_of(epilogue, first, sums), part_of(epilogue, at < 0 ? e : expression_of(e, last, at, read), sums)};
}

}  // namespace switchyard::compiler
