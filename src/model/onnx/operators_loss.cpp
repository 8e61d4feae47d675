// Losses and what training adds: likelihood losses, and the update rules of optimisers.
#include <fmt/format.h>

#include <array>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

/// -log_probability[n, target, d...] * weight[target], and how it is put together. Records mistakes.
void likelihood_loss(NodeBuilder& b, Steps& s, TensorId log_probability) {
  const Shape x = s.shape(log_probability), target = b.shape(1);
  const std::string reduction = b.string_attribute("reduction", "mean");
  const bool ignores = b.attribute("ignore_index") != nullptr;
  const std::int64_t ignored = b.int_attribute("ignore_index", 0);
  if (b.failed()) return;
  if (reduction != "mean" && reduction != "sum" && reduction != "none")
    return b.malformed("onnx/attribute", fmt::format("reduction {} is unknown", reduction));
  Shape wanted = x;
  if (x.size() >= 2) wanted.erase(wanted.begin() + 1);
  if (x.size() < 2 || target != wanted)
    return b.malformed("onnx/shape", fmt::format("targets {} do not fit {}", print_shape(target), print_shape(x)));
  if (b.has(2) && b.shape(2) != Shape{x[1]})
    return b.malformed("onnx/shape", fmt::format("one weight for each of {} classes is needed", x[1]));
  if (x[1] > kMaxKnown * 64) return b.unsupported("onnx/dynamic-index", fmt::format("targets among {} classes", x[1]));

  const std::size_t rank = target.size();
  const Affine c = loop(static_cast<int>(rank));
  std::vector<Affine> point, full;
  for (std::size_t d = 0; d < rank; ++d) point.push_back(loop(static_cast<int>(d)));
  full = point;
  full.insert(full.begin() + 1, c);
  const TensorId classes = s.iota(b.format(1), x[1]);
  std::vector<NestRead> reads{{log_probability, full}, {b.operand(1), point}, {classes, {c}}};
  Expression here = equal(input(1), input(2));
  if (ignores) here = both(here, !equal(input(1), number(static_cast<double>(ignored))));
  Expression value = number(0) - x0();
  if (b.has(2)) {
    reads.push_back({b.operand(2), {c}});
    value = value * input(3);
  }
  const Format format = s.format(log_probability);
  const TensorId loss = s.nest(format, target, {x[1]}, reads, select(here, value, number(0)), Combiner::add);
  if (reduction == "none") return b.set_result(0, loss);
  const std::vector<bool> all(rank, true);
  const TensorId sum = s.reduce(loss, all, false, Combiner::add);
  if (reduction == "sum") return b.set_result(0, sum);
  if (!b.has(2) && !ignores)
    return b.set_result(0, s.map({sum}, x0() * number(1.0 / static_cast<double>(numerics::element_count(target)))));
  // The mean is over the weights of the targets that count.
  reads[0].tensor = log_probability;
  const TensorId weights = s.nest(format, target, {x[1]}, reads, select(here, b.has(2) ? input(3) : number(1), number(0)), Combiner::add);
  b.set_result(0, s.map({sum, s.reduce(weights, all, false, Combiner::add)}, x0() / input(1)));
}

void negative_log_likelihood(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  Steps s(b);
  likelihood_loss(b, s, b.operand(0));
}

void softmax_cross_entropy(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  if (b.shape(0).size() < 2) return b.malformed("onnx/shape", fmt::format("scores {} have no classes", print_shape(b.shape(0))));
  Steps s(b);
  std::vector<bool> classes(b.shape(0).size(), false);
  classes[1] = true;
  const TensorId log_probability = emit_softmax(b.scratch(), b.helper("LogSoftmax", ":log_probability"), b.operand(0), classes, true);
  b.scratch().tensor(log_probability).name = b.label(":log_probability").result;
  likelihood_loss(b, s, log_probability);
  if (b.wants(1)) b.set_result(1, log_probability);
}

// --- optimisers: X, G and the states of any number of tensors --------------------------------------------------------------------------

/// The tensors of group g of `groups` that follow the two scalars R and T.
struct Optimised {
  NodeBuilder& b;
  Steps s;
  std::size_t count;

  Optimised(NodeBuilder& builder, std::size_t groups) : b(builder), s(builder), count((builder.input_count() - 2) / groups) {
    if (b.input_count() < 2 + groups || (b.input_count() - 2) % groups != 0)
      b.malformed("onnx/inputs", fmt::format("{} inputs do not fall into groups of {}", b.input_count() - 2, groups));
    for (std::size_t i = 2; !b.failed() && i < b.input_count(); ++i) {
      if (!b.has(i)) b.malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
    }
  }
  [[nodiscard]] TensorId at(std::size_t group, std::size_t i) { return b.operand(2 + group * count + i); }
};

void adagrad(NodeBuilder& b) {
  Optimised o(b, 3);
  const double norm = b.float_attribute("norm_coefficient", 0), epsilon = b.float_attribute("epsilon", 0),
               decay = b.float_attribute("decay_factor", 0);
  if (b.failed()) return;
  for (std::size_t i = 0; i < o.count; ++i) {
    Steps& s = o.s;
    const TensorId g = s.map({o.at(1, i), o.at(0, i)}, number(norm) * input(1) + x0());
    const TensorId h = s.map({o.at(2, i), g}, x0() + input(1) * input(1));
    const TensorId rate = s.map({b.operand(0), b.operand(1)}, x0() / (number(1) + input(1) * number(decay)));
    b.set_result(i, s.map({o.at(0, i), g, h, rate}, x0() - input(3) * input(1) / (unary(ScalarOp::sqrt, input(2)) + number(epsilon))));
    b.set_result(o.count + i, h);
  }
}

void momentum(NodeBuilder& b) {
  Optimised o(b, 3);
  const double alpha = b.float_attribute("alpha", 0), beta = b.float_attribute("beta", 0), norm = b.float_attribute("norm_coefficient", 0);
  const std::string mode = b.string_attribute("mode", "standard");
  if (b.failed()) return;
  if (mode != "standard" && mode != "nesterov") return b.malformed("onnx/attribute", fmt::format("mode {} is unknown", mode));
  for (std::size_t i = 0; i < o.count; ++i) {
    Steps& s = o.s;
    const TensorId g = s.map({o.at(1, i), o.at(0, i)}, number(norm) * input(1) + x0());
    const Expression factor = select(input(2) > number(0), number(beta), number(1));  // the first step takes the whole gradient
    const TensorId v = s.map({o.at(2, i), g, s.cast(b.operand(1), b.format(0))}, number(alpha) * x0() + factor * input(1));
    const Expression step = mode == "nesterov" ? input(2) + number(alpha) * input(1) : input(1);
    b.set_result(i, s.map({o.at(0, i), v, g, b.operand(0)}, x0() - input(3) * step));
    b.set_result(o.count + i, v);
  }
}

void adam(NodeBuilder& b) {
  Optimised o(b, 4);
  const double alpha = b.float_attribute("alpha", 0.9), beta = b.float_attribute("beta", 0.999),
               norm = b.float_attribute("norm_coefficient", 0), epsilon = b.float_attribute("epsilon", 0),
               after = b.float_attribute("norm_coefficient_post", 0);
  if (b.failed()) return;
  for (std::size_t i = 0; i < o.count; ++i) {
    Steps& s = o.s;
    const TensorId g = s.map({o.at(1, i), o.at(0, i)}, number(norm) * input(1) + x0());
    const TensorId v = s.map({o.at(2, i), g}, number(alpha) * x0() + number(1 - alpha) * input(1));
    const TensorId h = s.map({o.at(3, i), g}, number(beta) * x0() + number(1 - beta) * (input(1) * input(1)));
    // The correction of both averages' start from nothing, from the first step on.
    const Expression t = input(1);
    const Expression correction =
        unary(ScalarOp::sqrt, number(1) - binary(ScalarOp::pow, number(beta), t)) / (number(1) - binary(ScalarOp::pow, number(alpha), t));
    const TensorId rate = s.map({b.operand(0), s.cast(b.operand(1), b.format(0))}, select(t > number(0), x0() * correction, x0()));
    b.set_result(i, s.map({o.at(0, i), v, h, rate},
                          number(1 - after) * (x0() - input(3) * input(1) / (unary(ScalarOp::sqrt, input(2)) + number(epsilon)))));
    b.set_result(o.count + i, v);
    b.set_result(2 * o.count + i, h);
  }
}

constexpr std::array kOperators{
    Operator{"Adagrad", 1, 5, kAny, "decay_factor epsilon norm_coefficient", adagrad},
    Operator{"Adam", 1, 6, kAny, "alpha beta epsilon norm_coefficient norm_coefficient_post", adam},
    Operator{"Momentum", 1, 5, kAny, "alpha beta mode norm_coefficient", momentum},
    Operator{"NegativeLogLikelihoodLoss", 12, 2, 3, "ignore_index reduction", negative_log_likelihood},
    Operator{"SoftmaxCrossEntropyLoss", 12, 2, 3, "ignore_index reduction", softmax_cross_entropy},
};

}  // namespace

std::span<const Operator> loss_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
