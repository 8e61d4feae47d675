// GPT-2 (Radford et al. 2019), the small one: a prefill of a whole text. And the encoder of Whisper tiny (Radford et al. 2022).
// Weights are seeded, not trained; the branches are scaled down, so that the residual stream grows slowly.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/zoo/builders.h"
#include "model/zoo/layers.h"

namespace switchyard::model::zoo_models {

using graph::Graph;
using graph::TensorId;
using numerics::affine_variable;
using numerics::apply;
using numerics::expr_constant;
using numerics::expr_input;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;

namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kBranchGain = 0.25;
constexpr std::int64_t kHeadSize = 64;
/// What is added to a score that must not count: finite, and a power of two, so that every format has it.
constexpr double kHidden = -1024;

/// (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2, to be multiplied by x
Expression tanh_gate() {
  const Expression x = expr_input(0);
  const Expression cube = apply(ScalarOp::mul, apply(ScalarOp::mul, x, x), x);
  const Expression inner = apply(ScalarOp::add, x, apply(ScalarOp::mul, cube, expr_constant(0.044715)));
  const Expression tanh = apply(ScalarOp::tanh, apply(ScalarOp::mul, inner, expr_constant(std::sqrt(2 / 3.14159265358979323846))));
  return apply(ScalarOp::mul, apply(ScalarOp::add, tanh, expr_constant(1)), expr_constant(0.5));
}

}  // namespace

Graph gpt2(const Gpt2Sizes& sizes, std::uint64_t seed) {
  Graph graph;
  graph.name = "gpt2";
  Layers layers(graph, seed);
  const std::int64_t batch = sizes.batch, seq = sizes.seq, hidden = sizes.hidden, heads = hidden / kHeadSize;
  constexpr std::int64_t kPositions = 1024;
  const TensorId ids = add_input(graph, "input_ids", Format::int64, {batch, seq});
  const TensorId words = layers.weight("transformer.wte.weight", {sizes.vocab, hidden}, 1);
  const LookedUp word{0, ids, {affine_variable(0), affine_variable(1)}};
  TensorId x = emit_lookup(graph, Layers::label("transformer.wte", "Gather"), words, {batch, seq, hidden}, {{}, affine_variable(2)},
                           std::span(&word, 1));
  const TensorId positions = layers.weight("transformer.wpe.weight", {kPositions, hidden}, 0.5);
  x = layers.add("transformer.add", x, layers.slice("transformer.wpe", positions, 0, 0, seq));
  const TensorId mask =
      layers.table("causal_mask", {seq, seq}, [seq](std::int64_t flat) { return flat % seq > flat / seq ? kHidden : 0.0; });
  std::vector<TensorId> present;
  for (std::int64_t l = 0; l < sizes.layers; ++l) {
    const std::string name = fmt::format("transformer.h.{}.", l), self = name + "attn.";
    const TensorId all = layers.linear_bias(self + "c_attn", layers.layer_norm(name + "ln_1", x, kEpsilon), 3 * hidden);
    const auto part = [&](const char* what, std::int64_t number) {
      return layers.split_heads(self + what, layers.slice(self + what, all, 2, number * hidden, hidden), heads);
    };
    const TensorId query = part("q", 0), key = part("k", 1), value = part("v", 2);
    graph.tensor(key).name = fmt::format("present.{}.key", l);
    graph.tensor(value).name = fmt::format("present.{}.value", l);
    present.insert(present.end(), {key, value});
    const TensorId context = layers.merge_heads(self + "merged", layers.attention(self, query, key, value, mask));
    x = layers.add(name + "add_1", x, layers.linear_bias(self + "c_proj", context, hidden, kBranchGain));
    TensorId y = layers.linear_bias(name + "mlp.c_fc", layers.layer_norm(name + "ln_2", x, kEpsilon), 4 * hidden);
    y = layers.gated(name + "mlp.act", "Gelu", y, tanh_gate());
    x = layers.add(name + "add_2", x, layers.linear_bias(name + "mlp.c_proj", y, hidden, kBranchGain));
  }
  // The words' vectors again, the other way round.
  constexpr std::array kSwap{1, 0};
  x = layers.layer_norm("transformer.ln_f", x, kEpsilon);
  graph.outputs = {
      emit_matmul(graph, {"lm_head", "MatMul", "logits", {"lm_head"}}, x, layers.transpose("lm_head:transposed", words, kSwap))};
  graph.outputs.insert(graph.outputs.end(), present.begin(), present.end());
  return graph;
}

Graph whisper_tiny_encoder(std::int64_t batch, std::int64_t layer_count, std::int64_t frames, std::uint64_t seed) {
  constexpr std::int64_t kMels = 80, kWidth = 384;
  constexpr std::array kSwap{0, 2, 1};
  Graph graph;
  graph.name = "whisper-tiny-encoder";
  Layers layers(graph, seed);
  TensorId x = add_input(graph, "input_features", Format::fp32, {batch, kMels, frames});
  x = layers.gelu("encoder.gelu1", layers.convolution("encoder.conv1", x, {kWidth, 3, 1, 1, 1, true}));
  x = layers.gelu("encoder.gelu2", layers.convolution("encoder.conv2", x, {kWidth, 3, 2, 1, 1, true}));
  x = layers.transpose("encoder.permute", x, kSwap);
  x = layers.add("encoder.position_add", x, layers.weight("encoder.embed_positions.weight", {frames / 2, kWidth}, 1));
  for (std::int64_t l = 0; l < layer_count; ++l) {
    const std::string name = fmt::format("encoder.layers.{}.", l), self = name + "self_attn.";
    const TensorId y = layers.layer_norm(name + "self_attn_layer_norm", x, kEpsilon);
    const auto heads_of = [&](const char* what, TensorId projected) {
      return layers.split_heads(self + what, projected, kWidth / kHeadSize);
    };
    const TensorId query = heads_of("q", layers.linear_bias(self + "q_proj", y, kWidth));
    const TensorId key = heads_of("k", layers.linear(self + "k_proj", y, kWidth));  // the one without a bias
    const TensorId value = heads_of("v", layers.linear_bias(self + "v_proj", y, kWidth));
    const TensorId context = layers.merge_heads(self + "merged", layers.attention(self, query, key, value, {}));
    x = layers.add(name + "add_1", x, layers.linear_bias(self + "out_proj", context, kWidth, kBranchGain));
    const TensorId inner = layers.gelu(
        name + "activation", layers.linear_bias(name + "fc1", layers.layer_norm(name + "final_layer_norm", x, kEpsilon), 4 * kWidth));
    x = layers.add(name + "add_2", x, layers.linear_bias(name + "fc2", inner, kWidth, kBranchGain));
  }
  graph.outputs = {layers.layer_norm("encoder.layer_norm", x, kEpsilon)};
  graph.tensor(graph.outputs[0]).name = "last_hidden_state";
  return graph;
}

}  // namespace switchyard::model::zoo_models
