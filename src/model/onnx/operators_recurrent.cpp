// Recurrent networks: RNN, GRU and LSTM, written out step by step.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

constexpr std::int64_t kMaxSteps = 1024;

/// The standard's activation functions of recurrent operators.
std::optional<Expression> activation(std::string name, double alpha, double beta, const Expression& x) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const Expression zero = number(0), one = number(1), a = number(alpha), c = number(beta);
  if (name == "tanh") return unary(ScalarOp::tanh, x);
  if (name == "sigmoid") return unary(ScalarOp::sigmoid, x);
  if (name == "relu") return max(x, zero);
  if (name == "affine") return a * x + c;
  if (name == "leakyrelu") return select(x < zero, a * x, x);
  if (name == "thresholdedrelu") return select(x < a, zero, x);
  if (name == "scaledtanh") return a * unary(ScalarOp::tanh, c * x);
  if (name == "hardsigmoid") return min(max(a * x + c, zero), one);
  if (name == "elu") return select(x < zero, a * (unary(ScalarOp::exp, x) - one), x);
  if (name == "softsign") return x / (one + unary(ScalarOp::abs, x));
  if (name == "softplus") return softplus(x);
  return {};
}

/// What the three have in common: shapes, directions, activations, the input in time order.
struct Recurrent {
  NodeBuilder& b;
  Steps s;
  std::int64_t gates;
  std::int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1;
  bool batch_first = false;
  std::string direction;
  double clip = 0;
  std::vector<std::string> names;
  std::vector<double> alphas, betas;

  Recurrent(NodeBuilder& builder, std::int64_t gate_count, const std::vector<std::string>& defaults)
      : b(builder), s(builder), gates(gate_count) {
    read(defaults);
  }

  void read(const std::vector<std::string>& defaults) {
    if (!b.require_floating(0) || !b.same_format(0, 1) || !b.same_format(0, 2)) return;
    const Shape x = b.shape(0), w = b.shape(1), r = b.shape(2);
    direction = b.string_attribute("direction", "forward");
    batch_first = b.int_attribute("layout", 0) != 0;
    clip = b.float_attribute("clip", 0);
    if (b.failed()) return;
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
      return b.malformed("onnx/attribute", fmt::format("direction {} is unknown", direction));
    directions = direction == "bidirectional" ? 2 : 1;
    if (x.size() != 3 || w.size() != 3 || r.size() != 3) return b.malformed("onnx/shape", "X, W and R have three dimensions");
    steps = x[batch_first ? 1 : 0], batch = x[batch_first ? 0 : 1], inputs = x[2], hidden = r[2];
    if (w != Shape{directions, gates * hidden, inputs} || r != Shape{directions, gates * hidden, hidden})
      return b.malformed("onnx/shape", fmt::format("W {} and R {} do not fit X {}", print_shape(w), print_shape(r), print_shape(x)));
    if (b.has(3) && b.shape(3) != Shape{directions, 2 * gates * hidden})
      return b.malformed("onnx/shape", fmt::format("bias {} does not fit", print_shape(b.shape(3))));
    if (b.has(4) && b.shape(4) != Shape{batch}) return b.malformed("onnx/shape", "sequence_lens has one entry per batch entry");
    if (steps > kMaxSteps) return b.unsupported("onnx/unsupported-feature", fmt::format("a recurrence of {} steps", steps));
    for (std::int64_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
    if (const Attribute* a = b.attribute("activations")) names = a->strings;
    if (names.size() != static_cast<std::size_t>(directions) * defaults.size())
      return b.malformed("onnx/attribute",
                         fmt::format("{} activations are needed", static_cast<std::size_t>(directions) * defaults.size()));
    if (const Attribute* a = b.attribute("activation_alpha")) alphas = a->floats;
    if (const Attribute* a = b.attribute("activation_beta")) betas = a->floats;
  }

  /// Activation k of direction d, of an expression.
  Expression act(std::int64_t d, std::size_t k, const Expression& x) {
    const std::size_t i = static_cast<std::size_t>(d) * (names.size() / static_cast<std::size_t>(directions)) + k;
    Expression bounded = x;
    if (clip > 0) bounded = min(max(x, number(-clip)), number(clip));
    const std::string& name = names[i];
    const double alpha = i < alphas.size() ? alphas[i] : name == "HardSigmoid" ? 0.2 : name == "LeakyRelu" ? 0.01 : 1.0;
    const double beta = i < betas.size() ? betas[i] : name == "HardSigmoid" ? 0.5 : 0.0;
    const auto e = activation(name, alpha, beta, bounded);
    if (!e) b.unsupported("onnx/unsupported-feature", fmt::format("activation {} is not supported", name));
    return e.value_or(bounded);
  }

  /// Gate g of x[t] W^T + bias, for all steps of a direction: [steps, batch, hidden], one product.
  TensorId from_input(std::int64_t d, std::int64_t g) {
    const auto x =
        batch_first ? std::vector<numerics::Affine>{loop(1), loop(0), loop(3)} : std::vector<numerics::Affine>{loop(0), loop(1), loop(3)};
    return s.nest(b.format(0), {steps, batch, hidden}, {inputs},
                  {{b.operand(0), x}, {b.operand(1), {at(d), loop(2) + at(g * hidden), loop(3)}}}, x0() * input(1),
                  numerics::Combiner::add);
  }
  /// Gate g of h R^T: [batch, hidden].
  TensorId from_state(std::int64_t d, std::int64_t g, TensorId h) {
    return s.nest(b.format(0), {batch, hidden}, {hidden},
                  {{h, {loop(0), loop(2)}}, {b.operand(2), {at(d), loop(1) + at(g * hidden), loop(2)}}}, x0() * input(1),
                  numerics::Combiner::add);
  }
  /// A read of step t of from_input.
  NestRead step(TensorId x, std::int64_t t) { return {x, {at(t), loop(0), loop(1)}}; }
  NestRead state(TensorId h) { return {h, {loop(0), loop(1)}}; }
  /// Bias of gate g: of the input's product, or (`recurrent`) of the state's.
  NestRead bias(std::int64_t d, std::int64_t g, bool recurrent) {
    if (!zero_.valid() && !b.has(3)) zero_ = s.constant(b.format(0), {1}, {});
    if (!b.has(3)) return {zero_, {at(0)}};
    return {b.operand(3), {at(d), loop(1) + at((recurrent ? gates + g : g) * hidden)}};
  }
  TensorId map(const std::vector<NestRead>& reads, const Expression& e) { return s.nest(b.format(0), {batch, hidden}, {}, reads, e); }

  TensorId initial(std::size_t i, std::int64_t d) {
    if (!b.has(i)) return s.constant(b.format(0), {batch, hidden}, {});
    const Shape wanted = batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
    if (b.shape(i) != wanted) {
      b.malformed("onnx/shape", fmt::format("{} of {} does not fit", b.input(i).name, print_shape(b.shape(i))));
      return s.constant(b.format(0), {batch, hidden}, {});
    }
    return s.nest(b.format(0), {batch, hidden}, {},
                  {{b.operand(i), batch_first ? std::vector<numerics::Affine>{loop(0), at(d), loop(1)}
                                              : std::vector<numerics::Affine>{at(d), loop(0), loop(1)}}},
                  x0());
  }
  /// Beyond a sequence's end its state stays, and its output is zero.
  TensorId while_running(TensorId now, TensorId before, std::int64_t t) {
    if (!b.has(4)) return now;
    return map({state(now), state(before), {b.operand(4), {loop(0)}}}, select(number(static_cast<double>(t)) < input(2), x0(), input(1)));
  }

  /// Runs body(direction, step, states) -> states over all steps and sets the outputs: all hidden states, then the last of each state.
  template <class Body>
  void run(std::size_t states, const std::vector<std::size_t>& initials, Body&& body) {
    std::vector<std::vector<TensorId>> hidden_of(static_cast<std::size_t>(directions)), last(states);
    for (std::int64_t d = 0; d < directions && !b.failed(); ++d) {
      std::vector<TensorId> now;
      for (const std::size_t i : initials) now.push_back(initial(i, d));
      auto& all = hidden_of[static_cast<std::size_t>(d)];
      all.resize(static_cast<std::size_t>(steps));
      const bool backward = direction == "reverse" || d == 1;
      for (std::int64_t n = 0; n < steps && !b.failed(); ++n) {
        const std::int64_t t = backward ? steps - 1 - n : n;
        std::vector<TensorId> next = body(d, t, now);
        TensorId shown = next[0];
        for (std::size_t k = 0; k < states; ++k) next[k] = while_running(next[k], now[k], t);
        if (b.has(4))
          shown = map({state(shown), {b.operand(4), {loop(0)}}}, select(number(static_cast<double>(t)) < input(1), x0(), number(0)));
        all[static_cast<std::size_t>(t)] = s.reshape(shown, batch_first ? Shape{batch, 1, 1, hidden} : Shape{1, 1, batch, hidden});
        now = next;
      }
      for (std::size_t k = 0; k < states; ++k)
        last[k].push_back(s.reshape(now[k], batch_first ? Shape{batch, 1, hidden} : Shape{1, batch, hidden}));
    }
    if (b.failed()) return;
    std::vector<TensorId> sides;
    for (const auto& all : hidden_of) sides.push_back(s.concat(all, batch_first ? 1 : 0));
    if (b.wants(0)) b.set_result(0, s.concat(sides, batch_first ? 2 : 1));
    for (std::size_t k = 0; k < states; ++k)
      if (b.wants(k + 1)) b.set_result(k + 1, s.concat(last[k], batch_first ? 1 : 0));
  }

 private:
  TensorId zero_;
};

void rnn(NodeBuilder& b) {
  Recurrent r(b, 1, {"Tanh"});
  if (b.failed()) return;
  std::vector<TensorId> x;
  for (std::int64_t d = 0; d < r.directions; ++d) x.push_back(r.from_input(d, 0));
  r.run(1, {5}, [&](std::int64_t d, std::int64_t t, const std::vector<TensorId>& now) -> std::vector<TensorId> {
    return {r.map({r.step(x[static_cast<std::size_t>(d)], t), r.state(r.from_state(d, 0, now[0])), r.bias(d, 0, false), r.bias(d, 0, true)},
                  r.act(d, 0, x0() + input(1) + input(2) + input(3)))};
  });
}

void gru(NodeBuilder& b) {
  Recurrent r(b, 3, {"Sigmoid", "Tanh"});
  const bool linear = b.int_attribute("linear_before_reset", 0) != 0;
  if (b.failed()) return;
  std::vector<std::array<TensorId, 3>> x;  // update z, reset r, hidden h
  for (std::int64_t d = 0; d < r.directions; ++d) x.push_back({r.from_input(d, 0), r.from_input(d, 1), r.from_input(d, 2)});
  r.run(1, {5}, [&](std::int64_t d, std::int64_t t, const std::vector<TensorId>& now) -> std::vector<TensorId> {
    const auto& own = x[static_cast<std::size_t>(d)];
    const auto gate = [&](std::int64_t g) {
      return r.map(
          {r.step(own[static_cast<std::size_t>(g)], t), r.state(r.from_state(d, g, now[0])), r.bias(d, g, false), r.bias(d, g, true)},
          r.act(d, 0, x0() + input(1) + input(2) + input(3)));
    };
    const TensorId update = gate(0), reset = gate(1);
    TensorId candidate;
    if (linear) {
      candidate = r.map({r.step(own[2], t), r.state(r.from_state(d, 2, now[0])), r.bias(d, 2, false), r.bias(d, 2, true), r.state(reset)},
                        r.act(d, 1, x0() + input(2) + input(4) * (input(1) + input(3))));
    } else {
      const TensorId gated = r.map({r.state(reset), r.state(now[0])}, x0() * input(1));
      candidate = r.map({r.step(own[2], t), r.state(r.from_state(d, 2, gated)), r.bias(d, 2, false), r.bias(d, 2, true)},
                        r.act(d, 1, x0() + input(1) + input(2) + input(3)));
    }
    return {r.map({r.state(update), r.state(candidate), r.state(now[0])}, (number(1) - x0()) * input(1) + x0() * input(2))};
  });
}

void lstm(NodeBuilder& b) {
  Recurrent r(b, 4, {"Sigmoid", "Tanh", "Tanh"});
  const bool coupled = b.int_attribute("input_forget", 0) != 0;
  if (b.failed()) return;
  if (b.has(7) && b.shape(7) != Shape{r.directions, 3 * r.hidden}) return b.malformed("onnx/shape", "peepholes do not fit");
  std::vector<std::array<TensorId, 4>> x;  // input i, output o, forget f, cell c
  for (std::int64_t d = 0; d < r.directions; ++d)
    x.push_back({r.from_input(d, 0), r.from_input(d, 1), r.from_input(d, 2), r.from_input(d, 3)});
  r.run(2, {5, 6}, [&](std::int64_t d, std::int64_t t, const std::vector<TensorId>& now) -> std::vector<TensorId> {
    const auto& own = x[static_cast<std::size_t>(d)];
    const auto gate = [&](std::int64_t g, std::size_t function, int peephole, TensorId cell) {
      std::vector<NestRead> reads{r.step(own[static_cast<std::size_t>(g)], t), r.state(r.from_state(d, g, now[0])), r.bias(d, g, false),
                                  r.bias(d, g, true)};
      Expression e = x0() + input(1) + input(2) + input(3);
      if (peephole >= 0 && b.has(7)) {
        reads.push_back({b.operand(7), {at(d), loop(1) + at(peephole * r.hidden)}});
        reads.push_back(r.state(cell));
        e = e + input(4) * input(5);
      }
      return r.map(reads, r.act(d, function, e));
    };
    const TensorId entry = gate(0, 0, 0, now[1]), candidate = gate(3, 1, -1, {});
    const TensorId cell =
        coupled ? r.map({r.state(entry), r.state(candidate), r.state(now[1])}, (number(1) - x0()) * input(2) + x0() * input(1))
                : r.map({r.state(entry), r.state(candidate), r.state(gate(2, 0, 2, now[1])), r.state(now[1])},
                        x0() * input(1) + input(2) * input(3));
    const TensorId exit = gate(1, 0, 1, cell);
    return {r.map({r.state(exit), r.state(cell)}, x0() * r.act(d, 2, input(1))), cell};
  });
}

constexpr std::array kOperators{
    Operator{"GRU", 7, 3, 6, "activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset", gru},
    Operator{"LSTM", 7, 3, 8, "activation_alpha activation_beta activations clip direction hidden_size input_forget layout", lstm},
    Operator{"RNN", 7, 3, 6, "activation_alpha activation_beta activations clip direction hidden_size layout", rnn},
};

}  // namespace

std::span<const Operator> recurrent_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
