// MobileNet v3 Large (Howard et al. 2019) as in torchvision. Weights are seeded, not trained: the mean square of activations is followed
// roughly and becomes the running variance of the batch normalisation behind each convolution.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/zoo/builders.h"
#include "model/zoo/layers.h"

namespace switchyard::model::zoo_models {

using graph::Graph;
using graph::TensorId;
using numerics::apply;
using numerics::expr_constant;
using numerics::expr_input;
using numerics::Expression;
using numerics::ScalarOp;

namespace {

constexpr double kEpsilon = 1e-3;
/// Of what enters a convolution: normalised maps after an activation, or sums of a few of them.
constexpr double kMeanSquare = 0.5;
constexpr double kInputMeanSquare = 1.0 / 3;

enum class Activation { relu, hard_swish };

struct Row {  // a line of the paper's table
  std::int64_t kernel, expanded, outputs;
  bool squeeze;
  Activation activation;
  std::int64_t stride;
};
constexpr std::array kRows{
    Row{3, 16, 16, false, Activation::relu, 1},        Row{3, 64, 24, false, Activation::relu, 2},
    Row{3, 72, 24, false, Activation::relu, 1},        Row{5, 72, 40, true, Activation::relu, 2},
    Row{5, 120, 40, true, Activation::relu, 1},        Row{5, 120, 40, true, Activation::relu, 1},
    Row{3, 240, 80, false, Activation::hard_swish, 2}, Row{3, 200, 80, false, Activation::hard_swish, 1},
    Row{3, 184, 80, false, Activation::hard_swish, 1}, Row{3, 184, 80, false, Activation::hard_swish, 1},
    Row{3, 480, 112, true, Activation::hard_swish, 1}, Row{3, 672, 112, true, Activation::hard_swish, 1},
    Row{5, 672, 160, true, Activation::hard_swish, 2}, Row{5, 960, 160, true, Activation::hard_swish, 1},
    Row{5, 960, 160, true, Activation::hard_swish, 1},
};
constexpr std::int64_t kStem = 16, kLast = 960, kClassifier = 1280, kClasses = 1000;

/// clamp(x / 6 + 1/2) to 0 .. 1
Expression hard_sigmoid() {
  const Expression line = apply(ScalarOp::add, apply(ScalarOp::mul, expr_input(0), expr_constant(1.0 / 6)), expr_constant(0.5));
  return apply(ScalarOp::max, apply(ScalarOp::min, line, expr_constant(1)), expr_constant(0));
}

/// The nearest multiple of 8 that is at least nine tenths of it.
std::int64_t channels_near(double wanted) {
  const std::int64_t rounded = std::max<std::int64_t>(8, static_cast<std::int64_t>(wanted + 4) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * wanted ? rounded + 8 : rounded;
}

class Builder {
 public:
  Builder(Graph& graph, std::uint64_t seed) : graph_(graph), layers_(graph, seed) {}

  TensorId conv_norm(const std::string& name, TensorId x, const Layers::Convolution& how, double mean_square = kMeanSquare) {
    return layers_.batch_norm(name + ".1", layers_.convolution(name + ".0", x, how), mean_square, 1, kEpsilon);
  }
  TensorId activate(const std::string& name, TensorId x, Activation activation) {
    return activation == Activation::relu ? layers_.relu(name, x) : layers_.gated(name, "HardSwish", x, hard_sigmoid());
  }

  TensorId block(const std::string& name, TensorId x, const Row& row) {
    const std::int64_t inputs = graph_.tensor(x).shape[1];
    TensorId y = x;
    int part = 0;
    const auto next = [&] { return fmt::format("{}.block.{}", name, part++); };
    if (row.expanded != inputs) {
      const std::string at = next();
      y = activate(at + ".2", conv_norm(at, y, {row.expanded, 1}), row.activation);
    }
    std::string at = next();
    y = activate(at + ".2", conv_norm(at, y, {row.expanded, row.kernel, row.stride, row.kernel / 2, row.expanded}), row.activation);
    if (row.squeeze) y = squeeze(next(), y);
    at = next();
    y = conv_norm(at, y, {row.outputs, 1});
    return row.stride == 1 && row.outputs == inputs ? layers_.add(name + ".add", x, y) : y;
  }

  Layers& layers() { return layers_; }

 private:
  /// Every channel times a number between 0 and 1 that the means of all channels decide.
  TensorId squeeze(const std::string& name, TensorId x) {
    const std::int64_t channels = graph_.tensor(x).shape[1];
    TensorId s = layers_.spatial_mean(name + ".avgpool", x);
    s = layers_.convolution(name + ".fc1", s, {channels_near(static_cast<double>(channels) / 4), 1, 1, 0, 1, true});
    s = layers_.convolution(name + ".fc2", layers_.relu(name + ".activation", s), {channels, 1, 1, 0, 1, true});
    s = layers_.map(name + ".scale_activation", "HardSigmoid", s, hard_sigmoid());
    const std::array both{MapInput::of(x), MapInput::of(s)};
    return layers_.map(name + ".mul", "Mul", both, apply(ScalarOp::mul, expr_input(0), expr_input(1)));
  }

  Graph& graph_;
  Layers layers_;
};

}  // namespace

Graph mobilenet_v3(std::int64_t batch, std::uint64_t seed) {
  Graph graph;
  graph.name = "mobilenet-v3";
  Builder build(graph, seed);
  Layers& layers = build.layers();
  TensorId x = add_input(graph, "input", numerics::Format::fp32, {batch, 3, 224, 224});
  x = build.activate("features.0.2", build.conv_norm("features.0", x, {kStem, 3, 2, 1}, kInputMeanSquare), Activation::hard_swish);
  for (std::size_t i = 0; i < kRows.size(); ++i) x = build.block(fmt::format("features.{}", i + 1), x, kRows[i]);
  const std::string last = fmt::format("features.{}", kRows.size() + 1);
  x = build.activate(last + ".2", build.conv_norm(last, x, {kLast, 1}), Activation::hard_swish);
  x = layers.reshape("flatten", layers.spatial_mean("avgpool", x), {batch, kLast});
  x = build.activate("classifier.1", layers.dense("classifier.0", x, kClassifier), Activation::hard_swish);
  graph.outputs = {layers.dense("classifier.3", x, kClasses)};
  graph.tensor(graph.outputs[0]).name = "output";
  return graph;
}

}  // namespace switchyard::model::zoo_models
