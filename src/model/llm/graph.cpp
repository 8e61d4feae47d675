#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/emit.h"
#include "model/emit_detail.h"
#include "model/llm/llm.h"
#include "model/zoo/layers.h"

namespace switchyard::model::llm {
namespace {

using graph::Graph;
using graph::TensorId;
using numerics::Affine;
using numerics::affine_constant;
using numerics::affine_variable;
using numerics::apply;
using numerics::expr_constant;
using numerics::expr_input;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;
using zoo_models::Layers;

constexpr double kHidden = -1e30;

class Builder {
 public:
  Builder(Graph& graph, const Config& config, const Step& step, std::uint64_t seed)
      : g_(graph), c_(config), s_(step), layers_(graph, seed), first_(step.context - step.tokens) {
    if (c_.rotary) {
      const std::int64_t half = c_.head_size / 2;
      // By value: tables are made after this builder is gone.
      const auto angle = [half, first = first_, base = c_.rotary_base](std::int64_t flat) {
        return static_cast<double>(first + flat / half) * std::pow(base, -static_cast<double>(flat % half) / static_cast<double>(half));
      };
      cos_ = layers_.table("rotary.cos", {s_.tokens, half}, [=](std::int64_t flat) { return std::cos(angle(flat)); });
      sin_ = layers_.table("rotary.sin", {s_.tokens, half}, [=](std::int64_t flat) { return std::sin(angle(flat)); });
    }
    if (s_.tokens > 1 || (c_.window > 0 && c_.window < s_.context)) {
      column_ = add_positions(g_, "column", {s_.context}, 0);
      row_end_ = add_positions(g_, "row_end", {s_.tokens, 1}, first_ + 1);
      if (c_.window > 0) row_begin_ = add_positions(g_, "row_begin", {s_.tokens, 1}, first_ + 1 - c_.window);
    }
  }

  void run() {
    TensorId x = add_input(g_, "embeddings", Format::fp32, {s_.batch, s_.tokens, c_.hidden});
    std::vector<TensorId> rows;
    for (std::int64_t l = 0; l < c_.layers; ++l) {
      const std::string name = fmt::format("layers.{}.", l);
      x = layers_.add(name + "attention_add", x, attention(name, fmt::format("{}.", l), norm(name + "input_norm", x), rows));
      const TensorId inner = norm(name + "post_norm", x);
      x = layers_.add(name + "mlp_add", x, mlp(name + "mlp.", inner));
    }
    // Only the last position chooses a word.
    const TensorId last = emit_copy(g_, Layers::label("last", "Slice"), x, {s_.batch, 1, c_.hidden},
                                    {affine_variable(0), affine_variable(1) + affine_constant(s_.tokens - 1), affine_variable(2)});
    TensorId logits = linear("lm_head", norm("norm", last), c_.vocabulary, false);
    g_.tensor(logits).name = "logits";
    g_.outputs = {logits};
    g_.outputs.insert(g_.outputs.end(), rows.begin(), rows.end());
  }

 private:
  TensorId linear(const std::string& name, TensorId x, std::int64_t outputs, bool bias) {
    return bias ? layers_.linear_bias(name, x, outputs) : layers_.linear(name, x, outputs);
  }

  TensorId norm(const std::string& name, TensorId x) {
    const std::int64_t size = g_.tensor(x).shape.back();
    const TensorId scale = layers_.weight(name + ".weight", {size}, 0.1, 1);
    if (!c_.layer_norm) return emit_rms_normalization(g_, Layers::label(name, "RMSNormalization"), x, scale, c_.epsilon);
    const TensorId bias = layers_.weight(name + ".bias", {size}, 0.1);
    const int axis = static_cast<int>(g_.tensor(x).shape.size()) - 1;
    return emit_layer_normalization(g_, Layers::label(name, "LayerNormalization"), x, scale, bias, axis, c_.epsilon, "", "").y;
  }

  Expression activate(const Expression& x) const {
    switch (c_.activation) {
      case Activation::relu: return apply(ScalarOp::max, x, expr_constant(0));
      case Activation::gelu:
        return apply(
            ScalarOp::mul, apply(ScalarOp::mul, x, expr_constant(0.5)),
            apply(ScalarOp::add, expr_constant(1), apply(ScalarOp::erf, apply(ScalarOp::mul, x, expr_constant(1 / std::sqrt(2.0))))));
      default: return apply(ScalarOp::mul, x, apply(ScalarOp::sigmoid, x));
    }
  }

  TensorId mlp(const std::string& name, TensorId x) {
    if (!c_.gated) {
      const TensorId up = linear(name + "up", x, c_.ffn, c_.bias);
      return linear(name + "down", layers_.map(name + "activation", "Activation", up, activate(expr_input(0))), c_.hidden, c_.bias);
    }
    const TensorId gate = linear(name + "gate", x, c_.ffn, c_.bias), up = linear(name + "up", x, c_.ffn, c_.bias);
    const std::array both{MapInput::of(gate), MapInput::of(up)};
    const TensorId product =
        layers_.map(name + "activation", "Activation", both, apply(ScalarOp::mul, activate(expr_input(0)), expr_input(1)));
    return linear(name + "down", product, c_.hidden, c_.bias);
  }

  /// [batch, tokens, heads x size] -> [batch, kv heads, group, tokens, size]
  TensorId split(const std::string& name, TensorId x, std::int64_t group) {
    const std::int64_t d = c_.head_size;
    return emit_copy(g_, Layers::label(name + ":split", "Transpose"), x, {s_.batch, c_.kv_heads, group, s_.tokens, d},
                     {affine_variable(0), affine_variable(3), affine_variable(1, group * d) + affine_variable(2, d) + affine_variable(4)});
  }

  /// Element i of a head's first half turns with element i of its second.
  TensorId rotate(const std::string& name, TensorId x) {
    const std::int64_t half = c_.head_size / 2;
    const Shape shape = g_.tensor(x).shape;
    graph::Op op;
    op.name = name;
    op.kind = "RotaryEmbedding";
    op.nodes = {name};
    const TensorId y = add_tensor(g_, name + ".out", Format::fp32, shape);
    op.operands = {x, cos_, sin_};
    op.results = {y};
    for (const int which : {0, 1}) {
      numerics::Nest nest;
      for (const auto& [loop, extent] : {std::pair{"b", shape[0]}, {"h", shape[1]}, {"g", shape[2]}, {"s", shape[3]}, {"i", half}})
        nest.loops.push_back({loop, extent, numerics::LoopKind::parallel});
      const auto element = [&](std::int64_t first) {
        return std::vector<Affine>{affine_variable(0), affine_variable(1), affine_variable(2), affine_variable(3),
                                   affine_variable(4) + affine_constant(first)};
      };
      const std::vector<Affine> table{affine_variable(3), affine_variable(4)};
      nest.reads = {{0, element(which == 0 ? 0 : half), {}}, {0, element(which == 0 ? half : 0), {}}, {1, table, {}}, {2, table, {}}};
      const Expression same = apply(ScalarOp::mul, expr_input(0), expr_input(2)),
                       other = apply(ScalarOp::mul, expr_input(1), expr_input(3));
      nest.expression = apply(which == 0 ? ScalarOp::sub : ScalarOp::add, same, other);
      nest.write = {op.result_slot(0), element(which == 0 ? 0 : half), {}};
      op.nests.push_back(std::move(nest));
    }
    g_.ops.push_back(std::move(op));
    return y;
  }

  TensorId attention(const std::string& name, const std::string& number, TensorId x, std::vector<TensorId>& rows) {
    const std::int64_t group = c_.heads / c_.kv_heads, d = c_.head_size;
    const auto project = [&](const char* what, std::int64_t heads, bool turns) {
      TensorId y = split(name + what, linear(name + what, x, heads * d, c_.attention_bias), heads / c_.kv_heads);
      if (turns && c_.query_norm) y = norm(name + what + "_norm", y);
      return turns && c_.rotary ? rotate(name + what + "_rotary", y) : y;
    };
    const TensorId q = project("q", c_.heads, true), k = project("k", c_.kv_heads, true), v = project("v", c_.kv_heads, false);
    g_.tensor(k).name = "present." + number + "key";
    g_.tensor(v).name = "present." + number + "value";
    rows.insert(rows.end(), {k, v});
    const TensorId cache = add_input(g_, "cache." + number + "kv", Format::fp32, {2, s_.batch, c_.kv_heads, s_.context, d});
    const auto part = [&](const char* what, int which, bool turned) {
      const Shape shape = turned ? Shape{s_.batch, c_.kv_heads, 1, d, s_.context} : Shape{s_.batch, c_.kv_heads, 1, s_.context, d};
      return emit_copy(g_, Layers::label(name + what, "Slice"), cache, shape,
                       {affine_constant(which), affine_variable(0), affine_variable(1), affine_variable(turned ? 4 : 3),
                        affine_variable(turned ? 3 : 4)});
    };
    TensorId scores = emit_matmul(g_, Layers::label(name + "scores", "MatMul"), q, part("keys", 0, true));
    Expression scaled = apply(ScalarOp::mul, expr_input(0), expr_constant(1 / std::sqrt(static_cast<double>(d))));
    std::vector<MapInput> inputs{MapInput::of(scores)};
    if (column_.valid()) {
      inputs.push_back(MapInput::of(column_));
      inputs.push_back(MapInput::of(row_end_));
      if (row_begin_.valid()) {
        inputs.push_back(MapInput::of(row_begin_));
        scaled = apply(ScalarOp::select, apply(ScalarOp::less, expr_input(1), expr_input(3)), expr_constant(kHidden), scaled);
      }
      scaled = apply(ScalarOp::select, apply(ScalarOp::less, expr_input(1), expr_input(2)), scaled, expr_constant(kHidden));
    }
    scores = layers_.map(name + "mask", "Where", inputs, scaled);
    const TensorId result =
        emit_matmul(g_, Layers::label(name + "context", "MatMul"), layers_.softmax(name + "softmax", scores), part("values", 1, false));
    const TensorId merged = emit_merge(name + "merge", result, group);
    return linear(name + "o", merged, c_.hidden, c_.bias);
  }

  /// [batch, kv heads, group, tokens, size] -> [batch, tokens, heads x size]
  TensorId emit_merge(const std::string& name, TensorId x, std::int64_t group) {
    const std::int64_t d = c_.head_size;
    const TensorId apart = emit_copy(g_, Layers::label(name + ":transpose", "Transpose"), x, {s_.batch, s_.tokens, c_.kv_heads, group, d},
                                     {affine_variable(0), affine_variable(2), affine_variable(3), affine_variable(1), affine_variable(4)});
    return emit_reshape(g_, Layers::label(name, "Reshape"), apart, {s_.batch, s_.tokens, c_.heads * d});
  }

  Graph& g_;
  const Config& c_;
  const Step& s_;
  Layers layers_;
  std::int64_t first_;
  TensorId cos_, sin_, column_, row_end_, row_begin_;
};

}  // namespace

Graph build(const Config& config, const Step& step, std::uint64_t seed) {
  Graph graph;
  graph.name = config.type;
  Builder(graph, config, step, seed).run();
  return graph;
}

}  // namespace switchyard::model::llm
