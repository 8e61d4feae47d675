#include "compiler/requantise.h"

#include <algorithm>
#include <cmath>

#include "support/check.h"

namespace switchyard::compiler {
namespace {

using graph::Graph;
using graph::Op;
using graph::TensorId;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Tensor;

constexpr double kLeastSum = -0x1p31, kGreatestSum = 0x1p31 - 1;

/// The part of an expression under one of its nodes, as an expression of what it needs and nothing else.
Expression part(const Expression& e, int node) {
  std::vector<int> place(e.nodes.size(), -1);
  place[static_cast<std::size_t>(node)] = 0;  // needed
  for (int i = node; i >= 0; --i) {
    const Expression::Node& n = e.nodes[static_cast<std::size_t>(i)];
    if (place[static_cast<std::size_t>(i)] < 0 || n.op == ScalarOp::input) continue;
    for (const int operand : {n.a, n.b, n.c})
      if (operand >= 0) place[static_cast<std::size_t>(operand)] = 0;
  }
  Expression out;
  for (int i = 0; i <= node; ++i) {
    if (place[static_cast<std::size_t>(i)] < 0) continue;
    Expression::Node n = e.nodes[static_cast<std::size_t>(i)];
    if (n.op != ScalarOp::input)
      for (int* operand : {&n.a, &n.b, &n.c})
        if (*operand >= 0) *operand = place[static_cast<std::size_t>(*operand)];
    place[static_cast<std::size_t>(i)] = static_cast<int>(out.nodes.size());
    out.nodes.push_back(n);
  }
  return out;
}

/// A node with its operands as expressions.
struct Seen {
  ScalarOp op = ScalarOp::input;
  int input = -1;
  double constant = 0;
  std::vector<Expression> operands;
};
Seen look(const Expression& e) {
  const Expression::Node& n = e.nodes.back();
  Seen seen{n.op, n.op == ScalarOp::input ? n.a : -1, n.constant, {}};
  if (n.op == ScalarOp::input || n.op == ScalarOp::constant) return seen;
  for (const int operand : {n.a, n.b, n.c})
    if (operand >= 0) seen.operands.push_back(part(e, operand));
  return seen;
}
bool is_constant(const Expression& e, double value) {
  return e.nodes.size() == 1 && e.nodes[0].op == ScalarOp::constant && e.nodes[0].constant == value;
}
Expression built(ScalarOp op, const std::vector<Expression>& operands) {
  switch (operands.size()) {
    case 1: return numerics::apply(op, operands[0]);
    case 2: return numerics::apply(op, operands[0], operands[1]);
    default: return numerics::apply(op, operands[0], operands[1], operands[2]);
  }
}

class Simplifier {
 public:
  Simplifier(Graph& g, Op& op, const std::vector<TensorId>& scales, std::vector<TensorId>& stored)
      : g_(g), op_(op), nest_(op.nests[0]), scales_(scales), stored_(stored) {}

  void run() {
    const Expression before = nest_.expression;
    const std::vector<numerics::Access> reads = nest_.reads;
    const std::size_t operands = op_.operands.size(), tensors = g_.tensors.size(), kept = stored_.size();
    Expression e = rewrite(before);
    if (e == before) return;
    // Sums that are used twice (x sigmoid(x)) would be scaled twice: then it stays as it is.
    if (e.count(numerics::ScalarOpCost::simple) > before.count(numerics::ScalarOpCost::simple)) {
      nest_.reads = reads;
      nest_.write.slot -= static_cast<int>(op_.operands.size() - operands);
      op_.operands.resize(operands);
      g_.tensors.resize(tensors);
      stored_.resize(kept);
      return;
    }
    nest_.expression = std::move(e);
    drop_unread();
  }

 private:
  [[nodiscard]] TensorId tensor_of(int input) const {
    return op_.operands[static_cast<std::size_t>(nest_.reads[static_cast<std::size_t>(input)].slot)];
  }
  [[nodiscard]] bool is_scale(const Expression& e) const {
    const Seen seen = look(e);
    return seen.input >= 0 && std::any_of(scales_.begin(), scales_.end(), [&](TensorId s) { return s == tensor_of(seen.input); });
  }
  [[nodiscard]] bool is_constant_read(int input) const {
    const graph::Tensor& t = g_.tensor(tensor_of(input));
    return t.role == graph::Role::constant && t.constant && numerics::format_info(t.format).floating;
  }
  [[nodiscard]] bool is_sums(const Expression& e) const {
    const Seen seen = look(e);
    return seen.input >= 0 && g_.tensor(tensor_of(seen.input)).format == Format::int32;
  }

  /// One more read, where another one reads: of a constant made of what that one reads.
  Expression read_of(int like, const char* suffix, Format format, numerics::ConstantPtr constant, bool keep) {
    graph::Tensor t = g_.tensor(tensor_of(like));
    t.name = t.name + suffix + ":" + op_.name;
    t.format = format;
    t.constant = std::move(constant);
    t.trained = false;
    g_.tensors.push_back(std::move(t));
    const TensorId id(g_.tensors.size() - 1);
    if (keep) stored_.push_back(id);
    const auto slot = static_cast<int>(op_.operands.size());
    op_.operands.push_back(id);
    for (numerics::Access& read : nest_.reads) SY_CHECK(read.slot < slot, "a map reads operands");
    ++nest_.write.slot;
    numerics::Access access = nest_.reads[static_cast<std::size_t>(like)];
    access.slot = slot;
    nest_.reads.push_back(std::move(access));
    return numerics::expr_input(static_cast<int>(nest_.reads.size()) - 1);
  }

  Expression scaled_read(int input, double factor) {
    const TensorId from = tensor_of(input);
    auto made = std::make_shared<numerics::Constant>();
    made->make = [constant = g_.tensor(from).constant, factor] {
      Tensor t = constant->make();
      for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, t.at(i) * factor);
      return t;
    };
    const bool keep = std::find(stored_.begin(), stored_.end(), from) != stored_.end();
    const bool positive = std::find(scales_.begin(), scales_.end(), from) != scales_.end();
    Expression read = read_of(input, ":scaled", g_.tensor(from).format, std::move(made), keep);
    if (positive) scales_.push_back(op_.operands.back());
    return read;
  }

  /// e times a positive factor.
  Expression times(const Expression& e, double factor) {
    const Seen seen = look(e);
    const auto both = [&](ScalarOp op) { return numerics::apply(op, times(seen.operands[0], factor), times(seen.operands[1], factor)); };
    switch (seen.op) {
      case ScalarOp::constant: return numerics::expr_constant(seen.constant * factor);
      case ScalarOp::input:
        if (is_constant_read(seen.input)) return scaled_read(seen.input, factor);
        break;
      case ScalarOp::add:
      case ScalarOp::sub:
      case ScalarOp::max:
      case ScalarOp::min: return both(seen.op);
      case ScalarOp::mul:
        for (const std::size_t k : {std::size_t{1}, std::size_t{0}}) {
          const Seen side = look(seen.operands[k]);
          if (side.op != ScalarOp::constant && (side.input < 0 || !is_constant_read(side.input))) continue;
          const Expression other = seen.operands[1 - k], constant = times(seen.operands[k], factor);
          return k == 1 ? numerics::apply(ScalarOp::mul, other, constant) : numerics::apply(ScalarOp::mul, constant, other);
        }
        break;
      default: break;
    }
    return numerics::apply(ScalarOp::mul, e, numerics::expr_constant(factor));
  }

  /// sums * scale + bias as (sums + integer) * scale, where it is of that form.
  std::optional<Expression> integer_bias(const Expression& product, const Expression& bias) {
    const Seen m = look(product), b = look(bias);
    if (m.op != ScalarOp::mul || b.input < 0 || !is_constant_read(b.input)) return {};
    if (!is_sums(m.operands[0]) || !is_scale(m.operands[1])) return {};
    const int scale = look(m.operands[1]).input;
    const auto &of_scale = nest_.reads[static_cast<std::size_t>(scale)], &of_bias = nest_.reads[static_cast<std::size_t>(b.input)];
    const graph::Tensor &ts = g_.tensor(tensor_of(scale)), &tb = g_.tensor(tensor_of(b.input));
    const bool one = numerics::element_count(ts.shape) == 1;
    if (of_bias.fill || of_scale.fill || (!one && (of_scale.index != of_bias.index || ts.shape != tb.shape))) return {};
    auto made = std::make_shared<numerics::Constant>();
    made->make = [biases = tb.constant, factors = ts.constant, one] {
      const Tensor values = biases->make(), by = factors->make();
      Tensor t = numerics::make_tensor(Format::int32, values.shape);
      for (std::int64_t i = 0; i < t.count(); ++i)
        t.set(i, std::clamp(std::nearbyint(values.at(i) / by.at(one ? 0 : i)), kLeastSum, kGreatestSum));
      return t;
    };
    const Expression whole = read_of(b.input, ":sums", Format::int32, std::move(made), true);
    return numerics::apply(ScalarOp::mul, numerics::apply(ScalarOp::add, m.operands[0], whole), m.operands[1]);
  }

  /// Can it not be negative? What is scaled has the sign that it had.
  bool not_negative(const Expression& e) const {
    const Seen seen = look(e);
    if (seen.op == ScalarOp::constant) return seen.constant >= 0;
    if (seen.op == ScalarOp::max) return not_negative(seen.operands[0]) || not_negative(seen.operands[1]);
    if (seen.op == ScalarOp::min) return not_negative(seen.operands[0]) && not_negative(seen.operands[1]);
    if (seen.op == ScalarOp::round) return not_negative(seen.operands[0]);
    if (seen.op == ScalarOp::mul) return not_negative(seen.operands[0]) && is_scale(seen.operands[1]);
    return false;
  }

  /// Are these sums, with what integers have been added? Then they are integers, too.
  bool is_whole(const Expression& e) const {
    const Seen seen = look(e);
    if (seen.op == ScalarOp::add || seen.op == ScalarOp::max) return is_whole(seen.operands[0]) && is_whole(seen.operands[1]);
    return is_constant(e, 0) || is_sums(e);
  }

  Expression rewrite(const Expression& e) {
    Seen seen = look(e);
    if (seen.operands.empty()) return e;
    // A factor just before a rounding (or, of floating formats, before their limits), as the rounding of activations has it.
    const auto factored = [&](const Expression& inner) -> std::optional<Expression> {
      const Seen m = look(inner);
      if (m.op != ScalarOp::mul || look(m.operands[1]).op != ScalarOp::constant || !(look(m.operands[1]).constant > 0)) return {};
      return times(m.operands[0], look(m.operands[1]).constant);
    };
    if (seen.op == ScalarOp::round)
      if (const auto inside = factored(seen.operands[0])) return numerics::apply(ScalarOp::round, rewrite(*inside));
    std::vector<Expression> operands;
    for (const Expression& operand : seen.operands) operands.push_back(rewrite(operand));
    if (seen.op == ScalarOp::add) {
      if (auto whole = integer_bias(operands[0], operands[1])) return *whole;
      if (auto whole = integer_bias(operands[1], operands[0])) return *whole;
    }
    if (seen.op == ScalarOp::max) {
      const Seen m = look(operands[0]);
      if (is_constant(operands[1], 0) && m.op == ScalarOp::mul && is_whole(m.operands[0]) && is_scale(m.operands[1]))
        return numerics::apply(ScalarOp::mul, numerics::apply(ScalarOp::max, m.operands[0], operands[1]), m.operands[1]);
      const Seen limit = look(operands[1]);
      if (limit.op == ScalarOp::constant && limit.constant <= 0 && not_negative(operands[0])) return operands[0];
    }
    return built(seen.op, operands);
  }

  void drop_unread() {
    std::vector<Expression> with(nest_.reads.size(), numerics::expr_constant(0));
    std::vector<numerics::Access> reads;
    std::vector<TensorId> operands;
    for (std::size_t r = 0; r < nest_.reads.size(); ++r) {
      const auto& nodes = nest_.expression.nodes;
      if (std::none_of(nodes.begin(), nodes.end(), [&](const auto& n) { return n.op == ScalarOp::input && n.a == static_cast<int>(r); }))
        continue;
      const TensorId id = tensor_of(static_cast<int>(r));
      auto at = std::find(operands.begin(), operands.end(), id);
      if (at == operands.end()) at = operands.insert(at, id);
      numerics::Access access = nest_.reads[r];
      access.slot = static_cast<int>(at - operands.begin());
      with[r] = numerics::expr_input(static_cast<int>(reads.size()));
      reads.push_back(std::move(access));
    }
    nest_.expression = numerics::substitute(nest_.expression, with);
    nest_.reads = std::move(reads);
    op_.operands = std::move(operands);
    nest_.write.slot = static_cast<int>(op_.operands.size());
  }

  Graph& g_;
  Op& op_;
  numerics::Nest& nest_;
  std::vector<TensorId> scales_;
  std::vector<TensorId>& stored_;
};

}  // namespace

void simplify_requantisation(Graph& graph, Op& op, const std::vector<TensorId>& scales, std::vector<TensorId>& stored) {
  const bool is_map = op.nests.size() == 1 && op.results.size() == 1 && op.locals.empty() && !op.host &&
                      op.nests[0].combiner == numerics::Combiner::none && !op.nests[0].has_lookups() &&
                      !op.nests[0].expression.nodes.empty();
  if (is_map && op.nests[0].write.slot == static_cast<int>(op.operands.size())) Simplifier(graph, op, scales, stored).run();
}

}  // namespace switchyard::compiler
