// ResNet v1.5 (He et al. 2015, "Deep Residual Learning", with the stride in the 3x3 convolution as torchvision has it).
// The weights are seeded, not trained. They are chosen so that activations stay of order 1 through all convolutions: every
// convolution's weights have variance 1/fan-in, so its output has the mean square of its input, which is followed through the network
// below and becomes the running variance of the batch normalisation behind it.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/zoo/builders.h"
#include "model/zoo/layers.h"

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
  Builder(Graph& graph, std::uint64_t seed) : graph_(graph), layers_(graph, seed) {}

  /// Convolution without bias, then batch normalisation to mean 0 and a variance of gain squared.
  TensorId conv_norm(const std::string& conv, const std::string& norm, TensorId x, std::int64_t outputs, std::int64_t kernel,
                     std::int64_t stride, double input_mean_square, double gain) {
    const Shape shape = graph_.tensor(x).shape;
    const std::int64_t pad = kernel / 2;
    const std::int64_t size = (shape[2] + 2 * pad - kernel) / stride + 1;
    const Window window{{kernel, kernel}, {stride, stride}, {1, 1}, {pad, pad}, {size, size}};
    const double fan_in = static_cast<double>(shape[1] * kernel * kernel);
    const TensorId w = layers_.weight(conv + ".weight", {outputs, shape[1], kernel, kernel}, std::sqrt(3 / fan_in));
    const TensorId y = emit_convolution(graph_, Layers::label(conv, "Conv"), x, w, window, 1);
    const TensorId scale = layers_.weight(norm + ".weight", {outputs}, 0.1 * gain, gain);
    const TensorId bias = layers_.weight(norm + ".bias", {outputs}, 0.1 * gain, 0);
    const TensorId mean = layers_.weight(norm + ".running_mean", {outputs}, 0.1 * std::sqrt(input_mean_square), 0, false);
    const TensorId variance = layers_.weight(norm + ".running_var", {outputs}, 0.1 * input_mean_square, input_mean_square, false);
    return emit_batch_normalization(graph_, Layers::label(norm, "BatchNormalization"), y, scale, bias, mean, variance, kEpsilon);
  }

  /// Two 3x3 convolutions, the first with the stride, and the shortcut around them.
  TensorId basic(const std::string& name, TensorId x, std::int64_t width, std::int64_t stride, double& mean_square) {
    TensorId y = conv_norm(name + ".conv1", name + ".bn1", x, width, 3, stride, mean_square, 1);
    y = layers_.relu(name + ".relu1", y);
    y = conv_norm(name + ".conv2", name + ".bn2", y, width, 3, 1, kReluMeanSquare, kBranchGain);
    return close(name, x, y, stride, mean_square);
  }

  /// 1x1 down, 3x3 (with the stride), 1x1 up to four times the width, and the shortcut around it.
  TensorId bottleneck(const std::string& name, TensorId x, std::int64_t width, std::int64_t stride, double& mean_square) {
    TensorId y = conv_norm(name + ".conv1", name + ".bn1", x, width, 1, 1, mean_square, 1);
    y = layers_.relu(name + ".relu1", y);
    y = conv_norm(name + ".conv2", name + ".bn2", y, width, 3, stride, kReluMeanSquare, 1);
    y = layers_.relu(name + ".relu2", y);
    y = conv_norm(name + ".conv3", name + ".bn3", y, 4 * width, 1, 1, kReluMeanSquare, kBranchGain);
    return close(name, x, y, stride, mean_square);
  }

  Layers& layers() { return layers_; }

 private:
  /// The shortcut from x, with a convolution where it has another shape than y; the sum, and its ReLU.
  TensorId close(const std::string& name, TensorId x, TensorId y, std::int64_t stride, double& mean_square) {
    TensorId shortcut = x;
    if (graph_.tensor(x).shape != graph_.tensor(y).shape) {
      shortcut = conv_norm(name + ".downsample.0", name + ".downsample.1", x, graph_.tensor(y).shape[1], 1, stride, mean_square, 1);
      // Half of a symmetric distribution survives the ReLU behind the sum.
      mean_square = (1 + kBranchGain * kBranchGain) / 2;
    } else {
      mean_square += kBranchGain * kBranchGain;
    }
    return layers_.relu(name + ".relu", layers_.add(name + ".add", y, shortcut));
  }

  Graph& graph_;
  Layers layers_;
};

using Block = TensorId (Builder::*)(const std::string&, TensorId, std::int64_t, std::int64_t, double&);

struct Network {
  const char* name;
  Block block;
  std::array<std::int64_t, 4> blocks;  ///< in each stage
};
constexpr std::int64_t kClasses = 1000;

Graph resnet(const Network& network, std::int64_t batch, std::uint64_t seed) {
  Graph graph;
  graph.name = network.name;
  Builder build(graph, seed);
  Layers& layers = build.layers();
  TensorId x = add_input(graph, "input", Format::fp32, {batch, 3, 224, 224});
  x = build.conv_norm("conv1", "bn1", x, 64, 7, 2, kInputMeanSquare, 1);
  x = layers.relu("relu", x);
  x = emit_pool(graph, Layers::label("maxpool", "MaxPool"), x, {{3, 3}, {2, 2}, {1, 1}, {1, 1}, {56, 56}}, numerics::Combiner::max,
                numerics::combiner_identity(numerics::Combiner::max));
  double mean_square = kPooledMeanSquare;
  std::int64_t width = 64;
  for (std::size_t stage = 0; stage < network.blocks.size(); ++stage, width *= 2) {
    for (std::int64_t block = 0; block < network.blocks[stage]; ++block) {
      const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      x = (build.*network.block)(fmt::format("layer{}.{}", stage + 1, block), x, width, stride, mean_square);
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
  const TensorId w = layers.weight("fc.weight", {kClasses, channels}, std::sqrt(3 / static_cast<double>(channels)));
  const TensorId b = layers.weight("fc.bias", {kClasses}, 0.1);
  x = emit_gemm(graph, {"fc", "Gemm", "fc.sum", {"fc"}}, x, false, w, true);
  graph.outputs = {emit_bias(graph, {"fc:bias", "Bias", "output", {"fc"}}, x, b)};
  return graph;
}

}  // namespace

Graph resnet18(std::int64_t batch, std::uint64_t seed) { return resnet({"resnet18", &Builder::basic, {2, 2, 2, 2}}, batch, seed); }
Graph resnet50(std::int64_t batch, std::uint64_t seed) { return resnet({"resnet50", &Builder::bottleneck, {3, 4, 6, 3}}, batch, seed); }

}  // namespace switchyard::model::zoo_models
