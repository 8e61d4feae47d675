// U-Net (Ronneberger et al. 2015) in the form most used with PyTorch: padded convolutions, batch normalisation, transposed convolutions on
// the way up; three channels in, two classes out. Weights are seeded, not trained.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/zoo/builders.h"
#include "model/zoo/layers.h"

namespace switchyard::model::zoo_models {

using graph::Graph;
using graph::TensorId;
using numerics::affine_variable;
using numerics::Format;
using numerics::LoopKind;
using numerics::Shape;

namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kMeanSquare = 0.5, kInputMeanSquare = 1.0 / 3;
constexpr std::array<std::int64_t, 5> kWidths{64, 128, 256, 512, 1024};
constexpr std::int64_t kClasses = 2;

class Builder {
 public:
  Builder(Graph& graph, std::uint64_t seed) : graph_(graph), layers_(graph, seed) {}

  /// Twice: convolution, normalisation, ReLU.
  TensorId twice(const std::string& name, TensorId x, std::int64_t outputs, double mean_square = kMeanSquare) {
    for (const int part : {0, 3}) {
      x = layers_.convolution(fmt::format("{}.{}", name, part), x, {outputs, 3, 1, 1});
      x = layers_.batch_norm(fmt::format("{}.{}", name, part + 1), x, part == 0 ? mean_square : kMeanSquare, 1, kEpsilon);
      x = layers_.relu(fmt::format("{}.{}", name, part + 2), x);
    }
    return x;
  }

  TensorId halved(const std::string& name, TensorId x) {
    const Shape shape = graph_.tensor(x).shape;
    const Window window{{2, 2}, {2, 2}, {1, 1}, {0, 0}, {shape[2] / 2, shape[3] / 2}};
    return emit_pool(graph_, Layers::label(name, "MaxPool"), x, window, numerics::Combiner::max,
                     numerics::combiner_identity(numerics::Combiner::max));
  }

  /// A transposed convolution of 2 x 2 with stride 2: windows do not overlap, so each result is one sum over the channels. Half as many
  /// channels, twice the rows and columns.
  TensorId doubled(const std::string& name, TensorId x) {
    const Shape from = graph_.tensor(x).shape;
    const std::int64_t outputs = from[1] / 2;
    const Shape shape{from[0], outputs, 2 * from[2], 2 * from[3]};
    const TensorId w = layers_.weight(name + ".weight", {from[1], outputs, 2, 2}, std::sqrt(3 / static_cast<double>(from[1])));
    enum Loop { n, oc, h, kh, w_, kw, ic };
    numerics::Nest nest;
    nest.loops = {{"n", from[0], LoopKind::parallel},  {"oc", outputs, LoopKind::parallel}, {"h", from[2], LoopKind::parallel},
                  {"kh", 2, LoopKind::parallel},       {"w", from[3], LoopKind::parallel},  {"kw", 2, LoopKind::parallel},
                  {"ic", from[1], LoopKind::reduction}};
    nest.reads = {{0, {affine_variable(n), affine_variable(ic), affine_variable(h), affine_variable(w_)}, {}},
                  {1, {affine_variable(ic), affine_variable(oc), affine_variable(kh), affine_variable(kw)}, {}}};
    nest.expression = numerics::apply(numerics::ScalarOp::mul, numerics::expr_input(0), numerics::expr_input(1));
    nest.combiner = numerics::Combiner::add;
    nest.write = {2,
                  {affine_variable(n), affine_variable(oc), affine_variable(h, 2) + affine_variable(kh),
                   affine_variable(w_, 2) + affine_variable(kw)},
                  {}};
    graph::Op op;
    op.name = name;
    op.kind = "ConvTranspose";
    op.nodes = {name};
    op.operands = {x, w};
    op.results = {add_tensor(graph_, name + ".sum", Format::fp32, shape)};
    op.nests = {std::move(nest)};
    const TensorId sum = op.results[0];
    graph_.ops.push_back(std::move(op));
    return emit_bias(graph_, {name + ":bias", "Bias", name + ".out", {name}}, sum, layers_.weight(name + ".bias", {outputs}, 0.1));
  }

  Layers& layers() { return layers_; }

 private:
  Graph& graph_;
  Layers layers_;
};

}  // namespace

Graph unet(std::int64_t batch, std::int64_t size, std::uint64_t seed) {
  Graph graph;
  graph.name = "unet";
  Builder build(graph, seed);
  TensorId x = add_input(graph, "input", Format::fp32, {batch, 3, size, size});
  std::vector<TensorId> skips{build.twice("inc.double_conv", x, kWidths[0], kInputMeanSquare)};
  for (std::size_t i = 1; i < kWidths.size(); ++i) {
    const std::string name = fmt::format("down{}.maxpool_conv.", i);
    skips.push_back(build.twice(name + "1.double_conv", build.halved(name + "0", skips.back()), kWidths[i]));
  }
  x = skips.back();
  for (std::size_t i = 1; i < kWidths.size(); ++i) {
    const std::string name = fmt::format("up{}.", i);
    const std::array both{skips[kWidths.size() - 1 - i], build.doubled(name + "up", x)};
    x = emit_concat(graph, Layers::label(name + "concat", "Concat"), both, 1);
    x = build.twice(name + "conv.double_conv", x, kWidths[kWidths.size() - 1 - i]);
  }
  graph.outputs = {build.layers().convolution("outc.conv", x, {kClasses, 1, 1, 0, 1, true})};
  graph.tensor(graph.outputs[0]).name = "output";
  return graph;
}

}  // namespace switchyard::model::zoo_models
