// VGG-16 (Simonyan and Zisserman 2014, configuration D) as in torchvision: the network with the most work an image that is still in use.
// The weights are seeded, not trained, and chosen so that activations stay of order 1: half of a symmetric distribution survives a ReLU,
// and the greatest of four has about three times the mean square of one.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/zoo/builders.h"
#include "model/zoo/layers.h"

namespace switchyard::model::zoo_models {

using graph::TensorId;

namespace {

constexpr double kReluGain = 1.4142135623730951, kPooledGain = 0.8;
/// Widths of the convolutions; 0 is where the picture is halved.
constexpr std::array<std::int64_t, 18> kFeatures{64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0};
constexpr std::int64_t kClassifier = 4096, kClasses = 1000;

}  // namespace

graph::Graph vgg16(std::int64_t batch, std::uint64_t seed) {
  graph::Graph graph;
  graph.name = "vgg16";
  Layers layers(graph, seed);
  TensorId x = add_input(graph, "input", numerics::Format::fp32, {batch, 3, 224, 224});
  int number = 0;  // of a layer, as torchvision counts them
  double gain = kReluGain;
  for (const std::int64_t width : kFeatures) {
    const std::string name = fmt::format("features.{}", number++);
    if (width == 0) {
      const std::int64_t size = graph.tensor(x).shape[2] / 2;
      x = emit_pool(graph, Layers::label(name, "MaxPool"), x, {{2, 2}, {2, 2}, {1, 1}, {0, 0}, {size, size}}, numerics::Combiner::max,
                    numerics::combiner_identity(numerics::Combiner::max));
      gain = kPooledGain;
      continue;
    }
    x = layers.convolution(name, x, {width, 3, 1, 1, 1, true, gain});
    x = layers.relu(fmt::format("features.{}", number++), x);
    gain = kReluGain;
  }
  // The mean to 7 x 7 in torchvision changes nothing at this size.
  const numerics::Shape shape = graph.tensor(x).shape;
  x = layers.reshape("flatten", x, {batch, shape[1] * shape[2] * shape[3]});
  x = layers.relu("classifier.1", layers.dense("classifier.0", x, kClassifier, kPooledGain));
  x = layers.relu("classifier.4", layers.dense("classifier.3", x, kClassifier, kReluGain));
  graph.outputs = {layers.dense("classifier.6", x, kClasses)};
  graph.tensor(graph.outputs[0]).name = "output";
  return graph;
}

}  // namespace switchyard::model::zoo_models
