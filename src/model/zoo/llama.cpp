// LLaMA 2 (Touvron et al. 2023), 7 B: decoder layers with rotary positions, and a step of the whole model.
// Weights are seeded, not trained; the branches are scaled down, so that the residual stream grows slowly.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/zoo/builders.h"
#include "model/zoo/layers.h"
#include "numerics/transcendental.h"

namespace switchyard::model::zoo_models {

using graph::Graph;
using graph::TensorId;
using numerics::Affine;
using numerics::affine_constant;
using numerics::affine_variable;
using numerics::expr_constant;
using numerics::expr_input;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;

namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kRotaryBase = 10000;
constexpr std::int64_t kHeadSize = 128;
constexpr std::int64_t kHalf = kHeadSize / 2;
constexpr double kBranchGain = 0.25;
/// What is added to a score that must not count. Finite, so that a row of nothing else gives no NaN; a power of two, so that every format
/// has it.
constexpr double kHidden = -1024;

class Builder {
 public:
  Builder(Graph& graph, const LlamaSizes& sizes, std::uint64_t seed) : graph_(graph), sizes_(sizes), layers_(graph, seed) {
    // The layers share what depends on positions alone.
    const auto angle = [past = sizes.past](std::int64_t row, std::int64_t i) {
      return static_cast<double>(past + row) * numerics::portable::pow(kRotaryBase, -static_cast<double>(i) / kHalf);
    };
    cos_ = layers_.table("rotary.cos", {sizes.seq, kHalf},
                         [=](std::int64_t flat) { return numerics::portable::cos(angle(flat / kHalf, flat % kHalf)); });
    // With the sign that the first and the second half of a head take it with.
    sin_ = layers_.table("rotary.sin", {sizes.seq, 2, kHalf}, [=](std::int64_t flat) {
      const double sin = numerics::portable::sin(angle(flat / kHeadSize, flat % kHalf));
      return flat % kHeadSize < kHalf ? -sin : sin;
    });
    if (sizes.seq > 1) {
      mask_ = layers_.table("causal_mask", {sizes.seq, sizes.seq},
                            [seq = sizes.seq](std::int64_t flat) { return flat % seq > flat / seq ? kHidden : 0.0; });
    }
  }

  /// The row of one token: accesses of a graph are affine, so it is known, drawn from the seed.
  TensorId embedding(std::int64_t token) {
    const TensorId table = layers_.weight("model.embed_tokens.weight", {sizes_.vocab, sizes_.hidden}, 1);
    return emit_copy(graph_, Layers::label("model.embed_tokens", "Gather"), table, {sizes_.batch, sizes_.seq, sizes_.hidden},
                     {affine_constant(token), affine_variable(2)});
  }

  TensorId layer(const std::string& name, const std::string& cache, TensorId x) {
    const TensorId y = attention(name + ".self_attn.", cache, norm(name + ".input_layernorm", x));
    x = layers_.add(name + ".attn_add", x, y);
    const TensorId inner = norm(name + ".post_attention_layernorm", x);
    const TensorId gate = layers_.linear(name + ".mlp.gate_proj", inner, sizes_.ffn);
    const TensorId up = layers_.linear(name + ".mlp.up_proj", inner, sizes_.ffn);
    const TensorId silu = layers_.map(name + ".mlp.silu", "Silu", gate,
                                      numerics::apply(ScalarOp::mul, expr_input(0), numerics::apply(ScalarOp::sigmoid, expr_input(0))));
    const std::array both{MapInput::of(silu), MapInput::of(up)};
    const TensorId product = layers_.map(name + ".mlp.mul", "Mul", both, numerics::apply(ScalarOp::mul, expr_input(0), expr_input(1)));
    return layers_.add(name + ".mlp_add", x, layers_.linear(name + ".mlp.down_proj", product, sizes_.hidden, kBranchGain));
  }

  TensorId norm(const std::string& name, TensorId x) {
    const TensorId scale = layers_.weight(name + ".weight", {sizes_.hidden}, 0.1, 1);
    return emit_rms_normalization(graph_, Layers::label(name, "RMSNormalization"), x, scale, kEpsilon);
  }

  Layers& layers() { return layers_; }

  /// The caches' new rows, a key and a value for each layer.
  std::vector<TensorId> present;

 private:
  TensorId attention(const std::string& name, const std::string& cache, TensorId x) {
    const std::int64_t heads = sizes_.hidden / kHeadSize;
    const auto project = [&](const char* what) {
      return layers_.split_heads(name + what, layers_.linear(name + what, x, sizes_.hidden), heads);
    };
    const TensorId query = rotate(name + "q_rotary", name + "q_rotary.out", project("q_proj"));
    const TensorId key = rotate(name + "k_rotary", "present" + cache + "key", project("k_proj"));
    const TensorId value = project("v_proj");
    graph_.tensor(value).name = "present" + cache + "value";
    present.insert(present.end(), {key, value});

    TensorId scores = this->scores(name + "scores", query, key);
    TensorId result;
    if (sizes_.past == 0) {
      if (mask_.valid()) scores = layers_.add(name + "mask", scores, mask_);
      result = emit_matmul(graph_, Layers::label(name + "context", "MatMul"), layers_.softmax(name + "softmax", scores), value);
    } else {
      // The cache stays where it is: the new position's score is set beside the others, its value is added to theirs.
      const Shape shape{sizes_.batch, heads, sizes_.past, kHeadSize};
      const TensorId past_key = add_input(graph_, "past" + cache + "key", Format::fp32, shape);
      const TensorId past_value = add_input(graph_, "past" + cache + "value", Format::fp32, shape);
      const std::array parts{this->scores(name + "past_scores", query, past_key), scores};
      const TensorId weights = layers_.softmax(name + "softmax", emit_concat(graph_, Layers::label(name + "concat", "Concat"), parts, 3));
      const auto part = [&](const char* what, std::int64_t begin, std::int64_t count) {
        const std::vector<Affine> index{affine_variable(0), affine_variable(1), affine_variable(2),
                                        affine_variable(3) + affine_constant(begin)};
        return emit_copy(graph_, Layers::label(name + what, "Slice"), weights, {sizes_.batch, heads, sizes_.seq, count}, index);
      };
      result = emit_matmul(graph_, Layers::label(name + "past_context", "MatMul"), part("past_weights", 0, sizes_.past), past_value);
      const std::array own{MapInput::of(part("own_weight", sizes_.past, 1)), MapInput::of(value)};
      result = layers_.add(name + "context", result,
                           layers_.map(name + "own_context", "Mul", own, numerics::apply(ScalarOp::mul, expr_input(0), expr_input(1))));
    }
    return layers_.linear(name + "o_proj", layers_.merge_heads(name + "context", result), sizes_.hidden, kBranchGain);
  }

  /// query x key^T / sqrt(head size)
  TensorId scores(const std::string& name, TensorId query, TensorId key) {
    constexpr std::array kSwapLast{0, 1, 3, 2};
    const TensorId product =
        emit_matmul(graph_, Layers::label(name, "MatMul"), query, layers_.transpose(name + ":transposed", key, kSwapLast));
    return layers_.map(name + ":scale", "Mul", product,
                       numerics::apply(ScalarOp::mul, expr_input(0), expr_constant(1 / std::sqrt(static_cast<double>(kHeadSize)))));
  }

  /// Element i of a head's first half turns with element i of its second, by the position times base^(-i/half).
  TensorId rotate(const std::string& name, const std::string& result, TensorId x) {
    const Shape shape = graph_.tensor(x).shape;
    graph::Op op;
    op.name = name;
    op.kind = "RotaryEmbedding";
    op.nodes = {name};
    const TensorId y = add_tensor(graph_, result, Format::fp32, shape);
    op.operands = {x, cos_, sin_};
    op.results = {y};
    numerics::Nest nest;
    for (const auto& [loop, extent] :
         {std::pair{"b", shape[0]}, {"h", shape[1]}, {"s", shape[2]}, {"half", std::int64_t{2}}, {"i", kHalf}}) {
      nest.loops.push_back({loop, extent, numerics::LoopKind::parallel});
    }
    enum Loop { b, h, s, half, i };
    const auto element = [](std::int64_t first, std::int64_t step) {
      return std::vector<Affine>{affine_variable(b), affine_variable(h), affine_variable(s),
                                 affine_variable(half, step) + affine_variable(i) + affine_constant(first)};
    };
    nest.reads = {{0, element(0, kHalf), {}},
                  {0, element(kHalf, -kHalf), {}},
                  {1, {affine_variable(s), affine_variable(i)}, {}},
                  {2, {affine_variable(s), affine_variable(half), affine_variable(i)}, {}}};
    nest.expression = numerics::apply(ScalarOp::add, numerics::apply(ScalarOp::mul, expr_input(0), expr_input(2)),
                                      numerics::apply(ScalarOp::mul, expr_input(1), expr_input(3)));
    nest.write = {op.result_slot(0), element(0, kHalf), {}};
    op.nests = {std::move(nest)};
    graph_.ops.push_back(std::move(op));
    return y;
  }

  Graph& graph_;
  LlamaSizes sizes_;
  Layers layers_;
  TensorId cos_, sin_, mask_;
};

}  // namespace

Graph llama_block(const LlamaSizes& sizes, std::uint64_t seed) {
  Graph graph;
  graph.name = sizes.past == 0 ? "llama-2-7b-block" : "llama-2-7b-block-decode";
  const TensorId x = add_input(graph, "hidden_states", Format::fp32, {sizes.batch, sizes.seq, sizes.hidden});
  Builder build(graph, sizes, seed);
  graph.outputs = {build.layer("model.layers.0", ".", x)};
  graph.tensor(graph.outputs[0]).name = "output";
  graph.outputs.insert(graph.outputs.end(), build.present.begin(), build.present.end());
  return graph;
}

Graph llama(const LlamaSizes& sizes, std::uint64_t seed) {
  Graph graph;
  graph.name = "llama-2-7b";
  Builder build(graph, sizes, seed);
  TensorId x = build.embedding(
      static_cast<std::int64_t>(numerics::mix(seed, numerics::hash_name("token")) % static_cast<std::uint64_t>(sizes.vocab)));
  for (std::int64_t l = 0; l < sizes.layers; ++l) x = build.layer(fmt::format("model.layers.{}", l), fmt::format(".{}.", l), x);
  graph.outputs = {build.layers().linear("lm_head", build.norm("model.norm", x), sizes.vocab)};
  graph.tensor(graph.outputs[0]).name = "logits";
  graph.outputs.insert(graph.outputs.end(), build.present.begin(), build.present.end());
  return graph;
}

}  // namespace switchyard::model::zoo_models
