// Softmax and the normalisations: composites that stay one operator because chips and compilers treat them as one.
#include <fmt/format.h>

#include <array>

#include "model/emit_detail.h"
#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
using namespace model::detail;

namespace {

template <bool logarithm>
void softmax(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const std::size_t rank = b.shape(0).size();
  // Before operator set 13 the input is flattened to a matrix at `axis`: all dimensions from there on are normalised together.
  const bool flattened = b.opset() < 13;
  const int axis = b.axis(b.int_attribute("axis", flattened ? 1 : -1), rank, flattened);
  if (b.failed()) return;
  std::vector<bool> reduced(rank, false);
  for (std::size_t d = static_cast<std::size_t>(axis); d < rank; ++d) {
    reduced[d] = true;
    if (!flattened) break;
  }
  b.set_result(0, emit_softmax(b.scratch(), b.label(), b.operand(0), reduced, logarithm));
}

void layer_normalization(NodeBuilder& b) {
  if (!b.require_floating(0) || !b.same_format(0, 1) || (b.has(2) && !b.same_format(0, 2))) return;
  const Shape& x = b.shape(0);
  const int axis = b.axis(b.int_attribute("axis", -1), x.size());
  const double epsilon = b.float_attribute("epsilon", 1e-5F);
  if (b.int_attribute("stash_type", kFloat) != kFloat)
    return b.unsupported("onnx/unsupported-feature", "a stash_type other than FLOAT is not supported");
  for (std::size_t i = 1; i < 3 && b.has(i); ++i) {
    const std::array both{x, b.shape(i)};
    const auto result = broadcast(both);
    if (!result || *result != x) {
      b.malformed("onnx/shape",
                  fmt::format("{} of {} does not broadcast to {}", i == 1 ? "scale" : "bias", print_shape(b.shape(i)), print_shape(x)));
    }
  }
  if (b.failed()) return;
  const auto results = emit_layer_normalization(
      b.scratch(), b.label(), b.operand(0), b.operand(1), b.has(2) ? b.operand(2) : graph::TensorId(), axis, epsilon,
      b.wants(1) ? b.label({}, 1).result : std::string(), b.wants(2) ? b.label({}, 2).result : std::string());
  b.set_result(0, results.y);
  if (b.wants(1)) b.set_result(1, results.mean);
  if (b.wants(2)) b.set_result(2, results.inverse);
}

/// Mean and variance of this batch instead of the running ones, and those updated by them.
void batch_normalization_training(NodeBuilder& b, double epsilon, double momentum) {
  const Shape x = b.shape(0);
  Steps s(b);
  std::vector<bool> axes(x.size(), true);
  axes[1] = false;
  Shape channels(x.size(), 1);
  channels[1] = x[1];
  const double count = static_cast<double>(numerics::element_count(x)) / static_cast<double>(x[1]);
  const auto per_channel = [&](std::size_t i) { return s.reshape(b.operand(i), channels); };
  const graph::TensorId mean = s.map({s.reduce(b.operand(0), axes, true, Combiner::add)}, input(0) * number(1 / count));
  const graph::TensorId centred = s.map({b.operand(0), mean}, input(0) - input(1));
  const graph::TensorId variance =
      s.map({s.reduce(s.map({centred}, input(0) * input(0)), axes, true, Combiner::add)}, input(0) * number(1 / count));
  b.set_result(0, s.map({centred, variance, per_channel(1), per_channel(2)},
                        input(0) / unary(ScalarOp::sqrt, input(1) + number(epsilon)) * input(2) + input(3)));
  const Expression running = input(0) * number(momentum) + input(1) * number(1 - momentum);
  if (b.wants(1)) b.set_result(1, s.map({b.operand(3), s.reshape(mean, {x[1]})}, running));
  if (b.wants(2)) b.set_result(2, s.map({b.operand(4), s.reshape(variance, {x[1]})}, running));
}

void batch_normalization(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const bool training = b.int_attribute("training_mode", 0) != 0 || (b.opset() < 7 && b.int_attribute("is_test", 0) == 0);
  const double momentum = b.float_attribute("momentum", 0.9F);
  if (b.opset() < 9 && b.int_attribute("spatial", 1) != 1) return b.unsupported("onnx/unsupported-feature", "spatial=0 is not supported");
  for (std::size_t i = 1; i < b.node().outputs.size(); ++i) {
    if (b.wants(i) && (!training || i > 2)) return b.unsupported("onnx/unsupported-output", "the statistics of training are not computed");
  }
  const Shape& x = b.shape(0);
  if (x.size() < 2) return b.malformed("onnx/shape", fmt::format("input {} has no channels", print_shape(x)));
  for (std::size_t i = 1; i <= 4; ++i) {
    if (b.shape(i) != Shape{x[1]}) {
      b.malformed("onnx/shape", fmt::format("{} of {} does not fit {} channels", b.input(i).name, print_shape(b.shape(i)), x[1]));
    }
  }
  const double epsilon = b.float_attribute("epsilon", 1e-5F);
  if (b.failed()) return;
  if (training) return batch_normalization_training(b, epsilon, momentum);
  b.mark_untrained(3);
  b.mark_untrained(4);
  b.set_result(
      0, emit_batch_normalization(b.scratch(), b.label(), b.operand(0), b.operand(1), b.operand(2), b.operand(3), b.operand(4), epsilon));
}

constexpr std::array kOperators{
    Operator{"BatchNormalization", 1, 5, 5, "consumed_inputs epsilon is_test momentum spatial training_mode", batch_normalization},
    Operator{"LayerNormalization", 17, 2, 3, "axis epsilon stash_type", layer_normalization},
    Operator{"LogSoftmax", 1, 1, 1, "axis", softmax<true>},
    Operator{"Softmax", 1, 1, 1, "axis", softmax<false>},
};

}  // namespace

std::span<const Operator> normalisation_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
