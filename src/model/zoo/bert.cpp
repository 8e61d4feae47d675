// BERT (Devlin et al. 2018): the encoder of bert-base-uncased and its pooler, for inference (no dropout).
// Weights are seeded, not trained; the branches are scaled down, so that the normalised stream is mostly itself.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <numbers>

#include "model/zoo/builders.h"
#include "model/zoo/layers.h"

namespace switchyard::model::zoo_models {

using graph::Graph;
using graph::TensorId;
using numerics::expr_constant;
using numerics::expr_input;
using numerics::Format;
using numerics::ScalarOp;

namespace {

constexpr double kEpsilon = 1e-12;
constexpr std::int64_t kHeadSize = 64;
constexpr std::int64_t kPositions = 512;
constexpr std::int64_t kTokenTypes = 2;
constexpr double kBranchGain = 0.5;

class Builder {
 public:
  Builder(Graph& graph, const BertSizes& sizes, std::uint64_t seed) : graph_(graph), sizes_(sizes), seed_(seed), layers_(graph, seed) {}

  /// Words, positions and token types, added and normalised.
  TensorId embeddings() {
    const std::string name = "embeddings.";
    const auto rows = [&](const std::string& what, std::int64_t count) {
      return layers_.weight(name + what + "_embeddings.weight", {count, sizes_.hidden}, 1);
    };
    const TensorId words = rows("word", sizes_.vocab);
    const TensorId positions = rows("position", kPositions);
    const TensorId types = rows("token_type", kTokenTypes);
    // Accesses of a graph are affine, so the words are known: a run of rows from a place the seed draws, each read once, which moves what
    // a text without repetitions moves. The texts of a batch differ where the vocabulary has room.
    const std::int64_t apart = sizes_.batch * sizes_.seq <= sizes_.vocab ? sizes_.seq : 0;
    const std::int64_t places = sizes_.vocab - apart * (sizes_.batch - 1) - sizes_.seq + 1;
    const auto first = static_cast<std::int64_t>(numerics::mix(seed_, numerics::hash_name("words")) % static_cast<std::uint64_t>(places));
    TensorId x = emit_copy(graph_, Layers::label(name + "word", "Gather"), words, {sizes_.batch, sizes_.seq, sizes_.hidden},
                           {numerics::affine_variable(0, apart) + numerics::affine_variable(1) + numerics::affine_constant(first),
                            numerics::affine_variable(2)});
    std::vector<std::int64_t> indices(static_cast<std::size_t>(sizes_.seq), 0);
    x = layers_.add(name + "add_type", x, emit_gather(graph_, Layers::label(name + "type", "Gather"), types, indices, {1, sizes_.seq}, 0));
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
    x = layers_.add(name + "add_position", x,
                    emit_gather(graph_, Layers::label(name + "position", "Gather"), positions, indices, {1, sizes_.seq}, 0));
    return normalize(name + "LayerNorm", x);
  }

  TensorId layer(const std::string& name, TensorId x, TensorId mask) {
    const std::int64_t heads = sizes_.hidden / kHeadSize;
    const std::string self = name + ".attention.self.";
    const auto project = [&](const char* what) {
      return layers_.split_heads(self + what, layers_.linear_bias(self + what, x, sizes_.hidden), heads);
    };
    const TensorId query = project("query");
    const TensorId key = project("key");
    const TensorId value = project("value");
    constexpr std::array kSwapLast{0, 1, 3, 2};
    TensorId scores =
        emit_matmul(graph_, Layers::label(self + "scores", "MatMul"), query, layers_.transpose(self + "key:transposed", key, kSwapLast));
    scores = layers_.map(self + "scale", "Mul", scores,
                         numerics::apply(ScalarOp::mul, expr_input(0), expr_constant(1 / std::sqrt(static_cast<double>(kHeadSize)))));
    const TensorId weights = layers_.softmax(self + "softmax", layers_.add(self + "mask", scores, mask));
    const TensorId context = emit_matmul(graph_, Layers::label(self + "context", "MatMul"), weights, value);

    const std::string output = name + ".attention.output.";
    TensorId y = layers_.linear_bias(output + "dense", layers_.merge_heads(self + "context", context), sizes_.hidden, kBranchGain);
    x = normalize(output + "LayerNorm", layers_.add(output + "add", y, x));
    y = gelu(name + ".intermediate.gelu", layers_.linear_bias(name + ".intermediate.dense", x, sizes_.ffn));
    y = layers_.linear_bias(name + ".output.dense", y, sizes_.hidden, kBranchGain);
    return normalize(name + ".output.LayerNorm", layers_.add(name + ".output.add", y, x));
  }

  /// A dense layer on the first token.
  TensorId pooler(TensorId x) {
    const TensorId first = emit_copy(graph_, Layers::label("pooler.first", "Gather"), x, {sizes_.batch, sizes_.hidden},
                                     {numerics::affine_variable(0), numerics::affine_constant(0), numerics::affine_variable(1)});
    const TensorId y = layers_.linear_bias("pooler.dense", first, sizes_.hidden);
    return layers_.map("pooler.tanh", "Tanh", y, numerics::apply(ScalarOp::tanh, expr_input(0)));
  }

 private:
  TensorId normalize(const std::string& name, TensorId x) {
    const TensorId scale = layers_.weight(name + ".weight", {sizes_.hidden}, 0.1, 1);
    const TensorId bias = layers_.weight(name + ".bias", {sizes_.hidden}, 0.1);
    return emit_layer_normalization(graph_, Layers::label(name, "LayerNormalization"), x, scale, bias, 2, kEpsilon, {}, {}).y;
  }

  /// x/2 * (1 + erf(x / sqrt(2)))
  TensorId gelu(const std::string& name, TensorId x) {
    const numerics::Expression erf =
        numerics::apply(ScalarOp::erf, numerics::apply(ScalarOp::mul, expr_input(0), expr_constant(1 / std::numbers::sqrt2)));
    const numerics::Expression half = numerics::apply(ScalarOp::mul, expr_input(0), expr_constant(0.5));
    return layers_.map(name, "Gelu", x, numerics::apply(ScalarOp::mul, half, numerics::apply(ScalarOp::add, erf, expr_constant(1))));
  }

  Graph& graph_;
  BertSizes sizes_;
  std::uint64_t seed_;
  Layers layers_;
};

}  // namespace

Graph bert(const BertSizes& sizes, std::uint64_t seed) {
  Graph graph;
  graph.name = "bert-base";
  const TensorId mask = add_input(graph, "attention_mask", Format::fp32, {sizes.batch, 1, 1, sizes.seq});
  Builder build(graph, sizes, seed);
  TensorId x = build.embeddings();
  for (std::int64_t l = 0; l < sizes.layers; ++l) x = build.layer(fmt::format("encoder.layer.{}", l), x, mask);
  graph.outputs = {x, build.pooler(x)};
  graph.tensor(graph.outputs[0]).name = "last_hidden_state";
  graph.tensor(graph.outputs[1]).name = "pooler_output";
  return graph;
}

}  // namespace switchyard::model::zoo_models
