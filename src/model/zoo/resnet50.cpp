// ResNet-50 v1.5 (He et al. 2015, "Deep Residual Learning", with the stride in the 3x3 convolution as torchvision has it).
// The weights are seeded, not trained. They are chosen so that activations stay of order 1 through all 53 convolutions: every
// convolution's weights have variance 1/fan-in, so its output has the mean square of its input, which is followed through the network
// below and becomes the running variance of the batch normalisation behind it.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/emit.h"
#include "model/zoo/builders.h"

namespace switchyard::model::zoo_models {

using graph::Graph;
using graph::TensorId;
using numerics::Format;
using numerics::Shape;

namespace {

constexpr double kEpsilon = 1e-5;
/// Scale of the last normalisation in a block: small, so that the residual stream grows slowly.
constexpr double kBranchGain = 0.25;
/// Mean square of the model's input, of which only the order matters.
constexpr double kInputMeanSquare = 1.0 / 3;
/// Mean square of a normalised map (mean 0, variance 1) after ReLU.
constexpr double kReluMeanSquare = 0.5;
/// The same after taking the maximum of 3x3 neighbours.
constexpr double kPooledMeanSquare = 2.5;

class Builder {
 public:
  Builder(Graph& graph, std::uint64_t seed) : graph_(graph), seed_(seed) {}

  /// Convolution without bias, then batch normalisation to mean 0 and a variance of gain squared.
  TensorId conv_norm(const std::string& conv, const std::string& norm, TensorId x, std::int64_t outputs, std::int64_t kernel,
                     std::int64_t stride, double input_mean_square, double gain) {
    const Shape shape = graph_.tensor(x).shape;
    const std::int64_t pad = kernel / 2;
    const std::int64_t size = (shape[2] + 2 * pad - kernel) / stride + 1;
    const Window window{{kernel, kernel}, {stride, stride}, {1, 1}, {pad, pad}, {size, size}};
    const double fan_in = static_cast<double>(shape[1] * kernel * kernel);
    const TensorId w = constant(conv + ".weight", {outputs, shape[1], kernel, kernel}, std::sqrt(3 / fan_in), 0, true);
    const TensorId y = emit_convolution(graph_, label(conv, "Conv"), x, w, window, 1);
    const TensorId scale = constant(norm + ".weight", {outputs}, 0.1 * gain, gain, true);
    const TensorId bias = constant(norm + ".bias", {outputs}, 0.1 * gain, 0, true);
    const TensorId mean = constant(norm + ".running_mean", {outputs}, 0.1 * std::sqrt(input_mean_square), 0, false);
    const TensorId variance = constant(norm + ".running_var", {outputs}, 0.1 * input_mean_square, input_mean_square, false);
    return emit_batch_normalization(graph_, label(norm, "BatchNormalization"), y, scale, bias, mean, variance, kEpsilon);
  }

  TensorId relu(const std::string& name, TensorId x) {
    const std::array inputs{MapInput::of(x)};
    const Shape shape = graph_.tensor(x).shape;
    return emit_map(graph_, label(name, "Relu"), inputs,
                    numerics::apply(numerics::ScalarOp::max, numerics::expr_input(0), numerics::expr_constant(0)), Format::fp32, shape);
  }

  TensorId add(const std::string& name, TensorId a, TensorId b) {
    const std::array inputs{MapInput::of(a), MapInput::of(b)};
    const Shape shape = graph_.tensor(a).shape;
    return emit_map(graph_, label(name, "Add"), inputs,
                    numerics::apply(numerics::ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1)), Format::fp32, shape);
  }

  /// 1x1 down, 3x3 (with the stride), 1x1 up to four times the width, and the shortcut around it.
  TensorId bottleneck(const std::string& name, TensorId x, std::int64_t width, std::int64_t stride, bool first, double& mean_square) {
    TensorId y = conv_norm(name + ".conv1", name + ".bn1", x, width, 1, 1, mean_square, 1);
    y = relu(name + ".relu1", y);
    y = conv_norm(name + ".conv2", name + ".bn2", y, width, 3, stride, kReluMeanSquare, 1);
    y = relu(name + ".relu2", y);
    y = conv_norm(name + ".conv3", name + ".bn3", y, 4 * width, 1, 1, kReluMeanSquare, kBranchGain);
    TensorId shortcut = x;
    if (first) {
      shortcut = conv_norm(name + ".downsample.0", name + ".downsample.1", x, 4 * width, 1, stride, mean_square, 1);
      // Half of a symmetric distribution survives the ReLU behind the sum.
      mean_square = (1 + kBranchGain * kBranchGain) / 2;
    } else {
      mean_square += kBranchGain * kBranchGain;
    }
    return relu(name + ".relu", add(name + ".add", y, shortcut));
  }

  TensorId constant(const std::string& name, Shape shape, double scale, double offset, bool trained) {
    const std::uint64_t stream = numerics::mix(seed_, numerics::hash_name(name));
    auto made = std::make_shared<numerics::Constant>(
        numerics::Constant{[=] { return numerics::seeded_uniform(stream, Format::fp32, shape, scale, offset); }});
    return add_constant(graph_, name, Format::fp32, shape, std::move(made), trained);
  }

  static Label label(const std::string& name, std::string kind) { return {name, std::move(kind), name + ".out", {name}}; }

 private:
  Graph& graph_;
  std::uint64_t seed_;
};

struct Stage {
  std::int64_t width, blocks, stride;
};
constexpr std::array kStages{Stage{64, 3, 1}, Stage{128, 4, 2}, Stage{256, 6, 2}, Stage{512, 3, 2}};
constexpr std::int64_t kClasses = 1000;

}  // namespace

Graph resnet50(std::int64_t batch, std::uint64_t seed) {
  Graph graph;
  graph.name = "resnet50";
  Builder build(graph, seed);
  TensorId x = add_input(graph, "input", Format::fp32, {batch, 3, 224, 224});
  x = build.conv_norm("conv1", "bn1", x, 64, 7, 2, kInputMeanSquare, 1);
  x = build.relu("relu", x);
  x = emit_pool(graph, Builder::label("maxpool", "MaxPool"), x, {{3, 3}, {2, 2}, {1, 1}, {1, 1}, {56, 56}}, numerics::Combiner::max,
                numerics::combiner_identity(numerics::Combiner::max));
  double mean_square = kPooledMeanSquare;
  for (std::size_t s = 0; s < kStages.size(); ++s) {
    for (std::int64_t block = 0; block < kStages[s].blocks; ++block) {
      x = build.bottleneck(fmt::format("layer{}.{}", s + 1, block), x, kStages[s].width, block == 0 ? kStages[s].stride : 1, block == 0,
                           mean_square);
    }
  }

  const std::int64_t channels = graph.tensor(x).shape[1];
  const std::int64_t pixels = graph.tensor(x).shape[2] * graph.tensor(x).shape[3];
  x = emit_reduction(graph, {"avgpool", "GlobalAveragePool", "avgpool.sum", {"avgpool"}}, x, {false, false, true, true}, true,
                     numerics::Combiner::add);
  const std::array summed{MapInput::of(x)};
  x = emit_map(
      graph, {"avgpool:scale", "Scale", "avgpool.out", {"avgpool"}}, summed,
      numerics::apply(numerics::ScalarOp::mul, numerics::expr_input(0), numerics::expr_constant(1.0 / static_cast<double>(pixels))),
      Format::fp32, {batch, channels, 1, 1});
  x = emit_reshape(graph, {"flatten", "Reshape", "flatten.out", {"flatten"}}, x, {batch, channels});
  const TensorId w = build.constant("fc.weight", {kClasses, channels}, std::sqrt(3 / static_cast<double>(channels)), 0, true);
  const TensorId b = build.constant("fc.bias", {kClasses}, 0.1, 0, true);
  x = emit_gemm(graph, {"fc", "Gemm", "fc.sum", {"fc"}}, x, false, w, true);
  graph.outputs = {emit_bias(graph, {"fc:bias", "Bias", "output", {"fc"}}, x, b)};
  return graph;
}

}  // namespace switchyard::model::zoo_models
