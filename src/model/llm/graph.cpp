// Layers of transformers, as their configuration has them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "model/emit.h"
#include "model/emit_detail.h"
#include "model/llm/llm.h"
#include "model/zoo/layers.h"
#include "numerics/transcendental.h"

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

Affine plus(int variable, std::int64_t constant) { return affine_variable(variable) + affine_constant(constant); }

class Builder {
 public:
  Builder(Built& built, const Config& config, const Step& step, std::uint64_t seed)
      : built_(built),
        g_(built.graph),
        c_(config),
        s_(step),
        layers_(built.graph, seed),
        seed_(seed),
        heads_(config.heads / step.parallel),
        kv_heads_(std::max<std::int64_t>(1, config.kv_heads / step.parallel)) {
    if (!c_.rotary) return;
    const std::int64_t half = c_.rotary_size / 2;
    // By value: tables are made after this builder is gone.
    const auto angle = [half, first = s_.context - s_.tokens, base = c_.rotary_base](std::int64_t flat) {
      return static_cast<double>(first + flat / half) *
             numerics::portable::pow(base, -static_cast<double>(flat % half) / static_cast<double>(half));
    };
    cos_ = layers_.table("rotary.cos", {s_.tokens, half}, [=](std::int64_t flat) { return numerics::portable::cos(angle(flat)); });
    sin_ = layers_.table("rotary.sin", {s_.tokens, half}, [=](std::int64_t flat) { return numerics::portable::sin(angle(flat)); });
  }

  void run() {
    TensorId x = add_input(g_, "embeddings", Format::fp32, {s_.batch, s_.tokens, c_.hidden});
    if (c_.encoder || c_.first_norm) x = norm("embeddings_norm", x);
    std::vector<TensorId> rows;
    for (std::int64_t l = 0; l < c_.layers; ++l) x = layer(l, x, rows);
    if (c_.encoder) {
      g_.outputs = {x};
      return;
    }
    // Only the last position chooses a word.
    const TensorId last = emit_copy(g_, Layers::label("last", "Slice"), x, {s_.batch, 1, c_.hidden},
                                    {affine_variable(0), plus(1, s_.tokens - 1), affine_variable(2)});
    TensorId logits = linear("lm_head", norm("norm", last), (c_.vocabulary + s_.parallel - 1) / s_.parallel, c_.head_bias);
    if (s_.parallel > 1) built_.exchanges.push_back({"lm_head", false, s_.batch * c_.vocabulary});
    if (c_.logit_cap > 0) logits = layers_.map("logit_cap", "Tanh", logits, capped(expr_input(0), c_.logit_cap));
    g_.tensor(logits).name = "logits";
    g_.outputs = {logits};
    g_.outputs.insert(g_.outputs.end(), rows.begin(), rows.end());
  }

 private:
  TensorId layer(std::int64_t l, TensorId x, std::vector<TensorId>& rows) {
    const std::string name = fmt::format("layers.{}.", l);
    const auto attend = [&](TensorId read) { return c_.latent.rank > 0 ? latent(name, l, read, rows) : attention(name, l, read, rows); };
    const auto feed = [&](TensorId read) {
      return c_.has_experts(l) ? experts(name + "mlp.", read) : mlp(name + "mlp.", read, c_.ffn, true);
    };
    const std::string after = name + "attention_add", end = name + "mlp_add";
    if (c_.parallel) {
      const TensorId read = norm(name + "input_norm", x), fed = c_.two_norms ? norm(name + "post_norm", x) : read;
      return layers_.add(end, layers_.add(after, x, attend(read)), feed(fed));
    }
    if (c_.norms == Norms::results) {
      const TensorId y = layers_.add(after, x, norm(name + "attention_norm", attend(x)));
      return layers_.add(end, y, norm(name + "output_norm", feed(y)));
    }
    if (c_.norms == Norms::after) {
      const TensorId y = norm(name + "attention_norm", layers_.add(after, x, attend(x)));
      return norm(name + "output_norm", layers_.add(end, y, feed(y)));
    }
    const bool around = c_.norms == Norms::around;
    TensorId branch = attend(norm(name + "input_norm", x));
    x = layers_.add(after, x, around ? norm(name + "attention_norm", branch) : branch);
    branch = feed(norm(name + (around ? "mlp_norm" : "post_norm"), x));
    return layers_.add(end, x, around ? norm(name + "output_norm", branch) : branch);
  }

  /// Whole numbers, or small floating ones, and a factor for each column that brings them to the size of weights.
  TensorId narrow(const std::string& name, const Shape& shape, Format format, double least, double greatest) {
    const std::uint64_t stream = numerics::mix(seed_, numerics::hash_name(name));
    const bool whole = !numerics::format_info(format).floating;
    auto made = std::make_shared<numerics::Constant>();
    made->make = [=] {
      numerics::Tensor t = numerics::seeded_uniform(stream, Format::fp32, shape, (greatest - least) / 2, (greatest + least) / 2);
      for (std::int64_t i = 0; whole && i < t.count(); ++i) t.set(i, std::round(t.at(i)));
      return numerics::convert_tensor(t, format);
    };
    return add_constant(g_, name, format, shape, std::move(made), true);
  }
  TensorId column_scale(const std::string& name, Shape shape, std::int64_t inputs, double greatest) {
    const double size = std::sqrt(3 / static_cast<double>(inputs)) / greatest;
    return layers_.weight(name, std::move(shape), 0.1 * size, size, false);
  }

  /// x [..., inputs] times a matrix [outer..., inputs, outputs].
  TensorId product(const std::string& name, TensorId x, const Shape& outer, std::int64_t outputs) {
    const std::int64_t inputs = g_.tensor(x).shape.back();
    Shape shape = outer;
    shape.insert(shape.end(), {inputs, outputs});
    const Label label = Layers::label(name, "MatMul");
    if (!s_.weights) return emit_matmul(g_, label, x, layers_.weight(name + ".weight", shape, std::sqrt(3 / static_cast<double>(inputs))));
    Shape columns = outer.empty() ? Shape{} : outer;
    if (!outer.empty()) columns.push_back(1);
    columns.push_back(outputs);
    // Factors of columns may wait until the sums are there: the product takes its matrix as it lies in memory.
    const bool whole = !numerics::format_info(*s_.weights).floating;
    const double greatest = whole ? numerics::format_info(*s_.weights).max_finite : 2;
    const TensorId w = narrow(name + ".weight", shape, *s_.weights, -greatest, greatest);
    const TensorId scale = column_scale(name + ".scale", columns, inputs, greatest);
    const std::array both{MapInput::of(emit_matmul(g_, label, x, w)), MapInput::of(scale)};
    return layers_.map(name + ":scale", "Mul", both, apply(ScalarOp::mul, expr_input(0), expr_input(1)));
  }

  TensorId linear(const std::string& name, TensorId x, std::int64_t outputs, bool bias) {
    const TensorId y = product(name, x, {}, outputs);
    return bias ? layers_.add(name + ":bias", y, layers_.weight(name + ".bias", {outputs}, 0.1)) : y;
  }

  /// The end of a branch: each device has a part of the sum.
  void sum_over_devices(const std::string& op) {
    if (s_.parallel > 1) built_.exchanges.push_back({op, true, s_.batch * s_.tokens * c_.hidden});
  }

  TensorId norm(const std::string& name, TensorId x) {
    const std::int64_t size = g_.tensor(x).shape.back();
    const TensorId scale = c_.norm_scale ? layers_.weight(name + ".weight", {size}, 0.1, 1)
                                         : layers_.table(name + ".one", {size}, [](std::int64_t) { return 1.0; });
    if (!c_.layer_norm) return emit_rms_normalization(g_, Layers::label(name, "RMSNormalization"), x, scale, c_.epsilon);
    const TensorId bias = c_.norm_bias ? layers_.weight(name + ".bias", {size}, 0.1) : TensorId();
    const int axis = static_cast<int>(g_.tensor(x).shape.size()) - 1;
    return emit_layer_normalization(g_, Layers::label(name, "LayerNormalization"), x, scale, bias, axis, c_.epsilon, "", "").y;
  }

  static Expression capped(const Expression& x, double cap) {
    return apply(ScalarOp::mul, apply(ScalarOp::tanh, apply(ScalarOp::mul, x, expr_constant(1 / cap))), expr_constant(cap));
  }

  Expression activate(const Expression& x) const {
    const auto half_of = [&](const Expression& y) {
      return apply(ScalarOp::mul, apply(ScalarOp::mul, x, expr_constant(0.5)), apply(ScalarOp::add, expr_constant(1), y));
    };
    switch (c_.activation) {
      case Activation::relu: return apply(ScalarOp::max, x, expr_constant(0));
      case Activation::gelu: return half_of(apply(ScalarOp::erf, apply(ScalarOp::mul, x, expr_constant(1 / std::sqrt(2.0)))));
      case Activation::gelu_tanh: {
        // sqrt(2 / pi) x (1 + 0.044715 x^2)
        const Expression inner =
            apply(ScalarOp::add, expr_constant(1), apply(ScalarOp::mul, expr_constant(0.044715), apply(ScalarOp::mul, x, x)));
        return half_of(apply(ScalarOp::tanh, apply(ScalarOp::mul, apply(ScalarOp::mul, x, expr_constant(0.7978845608028654)), inner)));
      }
      default: return apply(ScalarOp::mul, x, apply(ScalarOp::sigmoid, x));
    }
  }
  TensorId activated(const std::string& name, TensorId gate, TensorId up) {
    const std::array both{MapInput::of(gate), MapInput::of(up)};
    return layers_.map(name + "activation", "Activation", both, apply(ScalarOp::mul, activate(expr_input(0)), expr_input(1)));
  }

  TensorId mlp(const std::string& name, TensorId x, std::int64_t width, bool end) {
    const std::int64_t ffn = width / s_.parallel;
    if (end) sum_over_devices(name + "down");
    if (!c_.gated) {
      const TensorId up = linear(name + "up", x, ffn, c_.bias);
      return linear(name + "down", layers_.map(name + "activation", "Activation", up, activate(expr_input(0))), c_.hidden, c_.bias);
    }
    const TensorId gate = linear(name + "gate", x, ffn, c_.bias), up = linear(name + "up", x, ffn, c_.bias);
    return linear(name + "down", activated(name, gate, up), c_.hidden, c_.bias);
  }

  /// Token t takes expert t modulo n of each of `chosen` groups of n: what balanced routing would do, without data that decides.
  TensorId experts(const std::string& name, TensorId x) {
    const Config::Experts& e = c_.experts;
    const std::int64_t tokens = s_.batch * s_.tokens, k = e.chosen, n = std::min(e.count / k, tokens), rows = (tokens + n - 1) / n;
    const std::int64_t h = c_.hidden, ffn = e.ffn / s_.parallel;
    if (built_.notes.empty())
      built_.notes.push_back(fmt::format("routing is balanced: {} tokens take {} of {} experts each, {} experts in all with {} tokens each",
                                         tokens, k, e.count, n * k, rows));
    const TensorId flat = emit_reshape(g_, Layers::label(name + "flat", "Reshape"), x, {tokens, h});
    const TensorId routed = emit_copy(g_, Layers::label(name + "route", "Gather"), flat, {k, n, rows, h},
                                      {affine_variable(2, n) + affine_variable(1), affine_variable(3)}, 0.0);
    const auto project = [&](const std::string& what, TensorId read, std::int64_t outputs) {
      const TensorId y = product(what, read, {k, n}, outputs);
      return e.bias ? layers_.add(what + ":bias", y, layers_.weight(what + ".bias", {k, n, 1, outputs}, 0.1)) : y;
    };
    const TensorId gate = project(name + "experts.gate", routed, ffn), up = project(name + "experts.up", routed, ffn);
    const TensorId y = project(name + "experts.down", activated(name + "experts.", gate, up), h);
    // The router's weights of those taken.
    const TensorId router = layers_.weight(name + "router.weight", {h, e.count}, std::sqrt(3 / static_cast<double>(h)));
    TensorId chances = emit_matmul(g_, Layers::label(name + "router", "MatMul"), flat, router);
    if (e.bias) chances = layers_.add(name + "router:bias", chances, layers_.weight(name + "router.bias", {e.count}, 0.1));
    const TensorId all = layers_.softmax(name + "router.softmax", chances);
    TensorId weights = emit_copy(g_, Layers::label(name + "weights", "Gather"), all, {k, rows, n, 1},
                                 {affine_variable(1, n) + affine_variable(2), affine_variable(0, n) + affine_variable(2)}, 1.0);
    const std::vector<bool> over_chosen{true, false, false, false};
    if (e.normalised && k > 1) {
      const TensorId sum =
          emit_reduction(g_, Layers::label(name + "weights_sum", "ReduceSum"), weights, over_chosen, true, numerics::Combiner::add);
      const std::array both{MapInput::of(weights), MapInput::of(sum)};
      weights = layers_.map(name + "weights_normalised", "Div", both, apply(ScalarOp::div, expr_input(0), expr_input(1)));
    }
    const TensorId turned = emit_copy(g_, Layers::label(name + "back", "Transpose"), y, {k, rows, n, h},
                                      {affine_variable(0), affine_variable(2), affine_variable(1), affine_variable(3)});
    const std::array both{MapInput::of(turned), MapInput::of(weights)};
    const TensorId weighed = layers_.map(name + "weigh", "Mul", both, apply(ScalarOp::mul, expr_input(0), expr_input(1)));
    TensorId sum = emit_reduction(g_, Layers::label(name + "sum", "ReduceSum"), weighed, over_chosen, false, numerics::Combiner::add);
    sum = emit_reshape(g_, Layers::label(name + "rows", "Reshape"), sum, {rows * n, h});
    if (rows * n > tokens)
      sum = emit_copy(g_, Layers::label(name + "real", "Slice"), sum, {tokens, h}, {affine_variable(0), affine_variable(1)});
    sum = emit_reshape(g_, Layers::label(name + "shape", "Reshape"), sum, {s_.batch, s_.tokens, h});
    sum_over_devices(name + "sum");
    if (e.shared_ffn == 0) return sum;
    TensorId shared = mlp(name + "shared.", x, e.shared_ffn, false);
    if (e.shared_gate) {
      const TensorId weight = linear(name + "shared_gate", x, 1, false);
      const std::array gated{MapInput::of(shared), MapInput::of(weight)};
      shared =
          layers_.map(name + "shared_weigh", "Mul", gated, apply(ScalarOp::mul, expr_input(0), apply(ScalarOp::sigmoid, expr_input(1))));
    }
    return layers_.add(name + "shared_add", sum, shared);
  }

  /// [batch, tokens, heads x size] -> [batch, kv heads, group, tokens, size], elements of each head from `begin` on.
  TensorId split(const std::string& name, TensorId x, std::int64_t kv_heads, std::int64_t group, std::int64_t width, std::int64_t begin,
                 std::int64_t size) {
    return emit_copy(
        g_, Layers::label(name + ":split", "Transpose"), x, {s_.batch, kv_heads, group, s_.tokens, size},
        {affine_variable(0), affine_variable(3), affine_variable(1, group * width) + affine_variable(2, width) + plus(4, begin)});
  }

  /// Element i of the first half of what turns goes with element i of the second; what does not turn stays.
  TensorId rotate(const std::string& name, TensorId x) {
    const std::int64_t half = c_.rotary_size / 2;
    const Shape shape = g_.tensor(x).shape;
    graph::Op op;
    op.name = name;
    op.kind = "RotaryEmbedding";
    op.nodes = {name};
    const TensorId y = add_tensor(g_, name + ".out", Format::fp32, shape);
    op.operands = {x, cos_, sin_};
    op.results = {y};
    const auto nest_over = [&](std::int64_t extent) {
      numerics::Nest nest;
      for (const auto& [loop, size] : {std::pair{"b", shape[0]}, {"h", shape[1]}, {"g", shape[2]}, {"s", shape[3]}, {"i", extent}})
        nest.loops.push_back({loop, size, numerics::LoopKind::parallel});
      return nest;
    };
    const auto element = [&](std::int64_t first) {
      return std::vector<Affine>{affine_variable(0), affine_variable(1), affine_variable(2), affine_variable(3), plus(4, first)};
    };
    for (const int which : {0, 1}) {
      numerics::Nest nest = nest_over(half);
      const std::vector<Affine> table{affine_variable(3), affine_variable(4)};
      nest.reads = {{0, element(which == 0 ? 0 : half), {}}, {0, element(which == 0 ? half : 0), {}}, {1, table, {}}, {2, table, {}}};
      const Expression same = apply(ScalarOp::mul, expr_input(0), expr_input(2)),
                       other = apply(ScalarOp::mul, expr_input(1), expr_input(3));
      nest.expression = apply(which == 0 ? ScalarOp::sub : ScalarOp::add, same, other);
      nest.write = {op.result_slot(0), element(which == 0 ? 0 : half), {}};
      op.nests.push_back(std::move(nest));
    }
    if (const std::int64_t rest = shape[4] - c_.rotary_size; rest > 0) {
      numerics::Nest nest = nest_over(rest);
      nest.reads = {{0, element(c_.rotary_size), {}}};
      nest.expression = expr_input(0);
      nest.write = {op.result_slot(0), element(c_.rotary_size), {}};
      op.nests.push_back(std::move(nest));
    }
    g_.ops.push_back(std::move(op));
    return y;
  }

  /// Positions that one step can see at all.
  [[nodiscard]] std::int64_t seen(std::int64_t window) const {
    return window > 0 ? std::min(s_.context, window + s_.tokens - 1) : s_.context;
  }
  struct Positions {
    TensorId column, row_end, row_begin;
  };
  const Positions& positions(std::int64_t window) {
    const auto [found, fresh] = positions_.try_emplace(window);
    if (!fresh) return found->second;
    const std::string suffix = window > 0 ? fmt::format(".{}", window) : "";
    const std::int64_t first = s_.context - s_.tokens;
    found->second.column = add_positions(g_, "column" + suffix, {seen(window)}, s_.context - seen(window));
    found->second.row_end = add_positions(g_, "row_end" + suffix, {s_.tokens, 1}, first + 1);
    if (window > 0) found->second.row_begin = add_positions(g_, "row_begin" + suffix, {s_.tokens, 1}, first + 1 - window);
    return found->second;
  }

  /// From each position to the last one, as negative numbers.
  TensorId distances() {
    if (!distances_.valid()) distances_ = add_positions(g_, "distance", {s_.context}, 1 - s_.context);
    return distances_;
  }
  /// By head, how much scores fall from position to position: powers of 2^(-8/n) for a power of two n of heads, and what lies between those
  /// of twice as many for the others (Press et al., arXiv:2108.12409). Devices that share heads have the first.
  TensorId slopes() {
    if (slopes_.valid()) return slopes_;
    std::int64_t even = 1;
    while (even * 2 <= c_.heads) even *= 2;
    slopes_ = layers_.table("slopes", {kv_heads_, heads_ / kv_heads_, 1, 1}, [even](std::int64_t head) {
      const auto base = static_cast<double>(even);
      return head < even ? numerics::portable::pow(2, -8 * static_cast<double>(head + 1) / base)
                         : numerics::portable::pow(2, -4 * static_cast<double>(2 * (head - even) + 1) / base);
    });
    return slopes_;
  }

  /// softmax(q k^T / sqrt(size), masked) v. q [batch, kv heads, group, tokens, size]
  TensorId attend(const std::string& name, TensorId q, TensorId keys, TensorId values, std::int64_t size, std::int64_t window) {
    TensorId scores = emit_matmul(g_, Layers::label(name + "scores", "MatMul"), q, keys);
    Expression scaled = apply(ScalarOp::mul, expr_input(0), expr_constant(1 / std::sqrt(static_cast<double>(size))));
    if (c_.score_cap > 0) scaled = capped(scaled, c_.score_cap);
    std::vector<MapInput> inputs{MapInput::of(scores)};
    if (c_.biased_scores) {
      // By the distance to the last position: rows of a softmax do not change by what is added to all of one.
      scaled = apply(ScalarOp::add, scaled, apply(ScalarOp::mul, expr_input(1), expr_input(2)));
      inputs.push_back(MapInput::of(distances()));
      inputs.push_back(MapInput::of(slopes()));
    }
    const int first = static_cast<int>(inputs.size());
    const bool hides = window > 0 && seen(window) > 1 && s_.tokens > 1 && seen(window) > window;
    if (!c_.encoder && s_.tokens > 1) {
      const Positions& p = positions(hides ? window : 0);
      inputs.push_back(MapInput::of(p.column));
      inputs.push_back(MapInput::of(p.row_end));
      if (hides) {
        inputs.push_back(MapInput::of(p.row_begin));
        scaled = apply(ScalarOp::select, apply(ScalarOp::less, expr_input(first), expr_input(first + 2)), expr_constant(kHidden), scaled);
      }
      scaled = apply(ScalarOp::select, apply(ScalarOp::less, expr_input(first), expr_input(first + 1)), scaled, expr_constant(kHidden));
    }
    scores = layers_.map(name + "mask", "Where", inputs, scaled);
    return emit_matmul(g_, Layers::label(name + "context", "MatMul"), layers_.softmax(name + "softmax", scores), values);
  }

  TensorId attention(const std::string& name, std::int64_t number, TensorId x, std::vector<TensorId>& rows) {
    const std::int64_t group = heads_ / kv_heads_, d = c_.head_size, window = c_.window_of(number);
    const auto project = [&](const char* what, std::int64_t heads, bool turns) {
      TensorId whole = linear(name + what, x, heads * d, c_.attention_bias);
      if (turns && c_.wide_query_norm) whole = norm(name + what + "_norm", whole);
      TensorId y = split(name + what, whole, kv_heads_, heads / kv_heads_, d, 0, d);
      if (turns && c_.query_norm) y = norm(name + what + "_norm", y);
      return turns && c_.turns(number) ? rotate(name + what + "_rotary", y) : y;
    };
    const TensorId q = project("q", heads_, true), k = project("k", kv_heads_, true), v = project("v", kv_heads_, false);
    const auto merged = [&](TensorId result) {
      sum_over_devices(name + "o");
      return linear(name + "o", merge(name + "merge", result, group, d), c_.hidden, c_.output_bias);
    };
    if (c_.encoder) {
      const TensorId keys = emit_copy(g_, Layers::label(name + "keys", "Transpose"), k, {s_.batch, kv_heads_, 1, d, s_.tokens},
                                      {affine_variable(0), affine_variable(1), affine_constant(0), affine_variable(4), affine_variable(3)});
      return merged(attend(name, q, keys, v, d, 0));
    }
    g_.tensor(k).name = fmt::format("present.{}.key", number);
    g_.tensor(v).name = fmt::format("present.{}.value", number);
    rows.insert(rows.end(), {k, v});
    const std::int64_t length = seen(window);
    const TensorId cache = add_input(g_, fmt::format("cache.{}.kv", number), Format::fp32, {2, s_.batch, kv_heads_, length, d});
    const auto part = [&](const char* what, int which, bool turned) {
      const Shape shape = turned ? Shape{s_.batch, kv_heads_, 1, d, length} : Shape{s_.batch, kv_heads_, 1, length, d};
      return emit_copy(g_, Layers::label(name + what, "Slice"), cache, shape,
                       {affine_constant(which), affine_variable(0), affine_variable(1), affine_variable(turned ? 4 : 3),
                        affine_variable(turned ? 3 : 4)});
    };
    return merged(attend(name, q, part("keys", 0, true), part("values", 1, false), d, window));
  }

  /// Multi-head latent attention: the cache has one compressed row for all heads, and one key that turns with position. A decode step
  /// multiplies queries by what would expand keys, and results by what would expand values; a prefill expands both.
  TensorId latent(const std::string& name, std::int64_t number, TensorId x, std::vector<TensorId>& rows) {
    const Config::Latent& m = c_.latent;
    const std::int64_t d = m.plain + m.turned, length = s_.context;
    TensorId q = x;
    if (m.query_rank > 0) q = norm(name + "q_norm", linear(name + "q_a", x, m.query_rank, c_.attention_bias));
    q = linear(name + "q", q, heads_ * d, false);
    const TensorId both = linear(name + "kv_a", x, m.rank + m.turned, c_.attention_bias);
    const auto columns = [&](const char* what, std::int64_t begin, std::int64_t size) {
      return emit_copy(g_, Layers::label(name + what, "Slice"), both, {s_.batch, s_.tokens, size},
                       {affine_variable(0), affine_variable(1), plus(2, begin)});
    };
    const TensorId compressed = norm(name + "kv_norm", columns("kv_a:compressed", 0, m.rank));
    const TensorId key = rotate(name + "k_rotary", split(name + "k", columns("kv_a:key", m.rank, m.turned), 1, 1, m.turned, 0, m.turned));
    g_.tensor(compressed).name = fmt::format("present.{}.compressed", number);
    g_.tensor(key).name = fmt::format("present.{}.key", number);
    rows.insert(rows.end(), {compressed, key});
    const TensorId cache = add_input(g_, fmt::format("cache.{}.kv", number), Format::fp32, {s_.batch, length, m.rank + m.turned});
    sum_over_devices(name + "o");
    return s_.tokens == 1 ? absorbed(name, q, cache, length) : expanded(name, q, cache, length);
  }

  /// x [batch, heads, 1, tokens, inputs] times the part of each head of the matrix that expands rows of the cache, [rank, heads x size]: as
  /// it stands there, or turned.
  TensorId by_head(const std::string& name, TensorId x, std::int64_t size, bool turns) {
    const std::int64_t rank = c_.latent.rank, heads = heads_;
    if (s_.weights) return product(name, x, {heads, 1}, turns ? rank : size);
    const std::uint64_t stream = numerics::mix(seed_, numerics::hash_name(name + ".weight"));
    const double scale = std::sqrt(3 / static_cast<double>(rank));
    const Shape shape = turns ? Shape{heads, 1, size, rank} : Shape{heads, 1, rank, size};
    auto made = std::make_shared<numerics::Constant>();
    made->make = [=] {
      const numerics::Tensor whole = numerics::seeded_uniform(stream, Format::fp32, {rank, heads * size}, scale);
      numerics::Tensor t = numerics::make_tensor(Format::fp32, shape);
      for (std::int64_t h = 0; h < heads; ++h)
        for (std::int64_t r = 0; r < rank; ++r)
          for (std::int64_t e = 0; e < size; ++e)
            t.set(turns ? (h * size + e) * rank + r : (h * rank + r) * size + e, whole.at(r * heads * size + h * size + e));
      return t;
    };
    return emit_matmul(g_, Layers::label(name, "MatMul"), x,
                       add_constant(g_, name + ".weight", Format::fp32, shape, std::move(made), true));
  }

  /// One key head for all, as wide as a row of the cache.
  TensorId absorbed(const std::string& name, TensorId q, TensorId cache, std::int64_t length) {
    const Config::Latent& m = c_.latent;
    const std::int64_t d = m.plain + m.turned, width = m.rank + m.turned;
    const TensorId plain = split(name + "q_plain", q, heads_, 1, d, 0, m.plain);  // [batch, heads, 1, tokens, plain]
    const TensorId into = by_head(name + "k_b", plain, m.plain, true);
    const TensorId turned = rotate(name + "q_rotary", split(name + "q_turned", q, heads_, 1, d, m.plain, m.turned));
    const std::array parts{into, turned};
    const TensorId query = emit_concat(g_, Layers::label(name + "query", "Concat"), parts, 4);
    const TensorId grouped =
        emit_copy(g_, Layers::label(name + "grouped", "Transpose"), query, {s_.batch, 1, heads_, s_.tokens, width},
                  {affine_variable(0), affine_variable(2), affine_constant(0), affine_variable(3), affine_variable(4)});
    const TensorId keys = emit_copy(g_, Layers::label(name + "keys", "Transpose"), cache, {s_.batch, 1, 1, width, length},
                                    {affine_variable(0), affine_variable(4), affine_variable(3)});
    const TensorId values = emit_copy(g_, Layers::label(name + "values", "Slice"), cache, {s_.batch, 1, 1, length, m.rank},
                                      {affine_variable(0), affine_variable(3), affine_variable(4)});
    const TensorId y = attend(name, grouped, keys, values, d, 0);
    const TensorId apart = emit_copy(g_, Layers::label(name + "apart", "Transpose"), y, {s_.batch, heads_, 1, s_.tokens, m.rank},
                                     {affine_variable(0), affine_constant(0), affine_variable(1), affine_variable(3), affine_variable(4)});
    return linear(name + "o", merge(name + "merge", by_head(name + "v_b", apart, m.value, false), 1, m.value), c_.hidden, c_.output_bias);
  }

  TensorId expanded(const std::string& name, TensorId q, TensorId cache, std::int64_t length) {
    const Config::Latent& m = c_.latent;
    const std::int64_t d = m.plain + m.turned;
    const TensorId rows = emit_copy(g_, Layers::label(name + "rows", "Slice"), cache, {s_.batch, length, m.rank},
                                    {affine_variable(0), affine_variable(1), affine_variable(2)});
    const auto expand = [&](const char* what, std::int64_t size) {  // [batch, length, heads x size] -> [batch, heads, 1, length, size]
      const TensorId y = linear(name + what, rows, heads_ * size, false);
      return emit_copy(g_, Layers::label(name + what + ":split", "Transpose"), y, {s_.batch, heads_, 1, length, size},
                       {affine_variable(0), affine_variable(3), affine_variable(1, size) + affine_variable(4)});
    };
    const TensorId shared = emit_copy(g_, Layers::label(name + "key_shared", "Expand"), cache, {s_.batch, heads_, 1, length, m.turned},
                                      {affine_variable(0), affine_variable(3), plus(4, m.rank)});
    const std::array parts{expand("k_b", m.plain), shared};
    const TensorId keys = emit_concat(g_, Layers::label(name + "key", "Concat"), parts, 4);
    const TensorId across = emit_copy(g_, Layers::label(name + "keys", "Transpose"), keys, {s_.batch, heads_, 1, d, length},
                                      {affine_variable(0), affine_variable(1), affine_variable(2), affine_variable(4), affine_variable(3)});
    const std::array query_parts{split(name + "q_plain", q, heads_, 1, d, 0, m.plain),
                                 rotate(name + "q_rotary", split(name + "q_turned", q, heads_, 1, d, m.plain, m.turned))};
    const TensorId query = emit_concat(g_, Layers::label(name + "query", "Concat"), query_parts, 4);
    const TensorId y = attend(name, query, across, expand("v_b", m.value), d, 0);
    return linear(name + "o", merge(name + "merge", y, 1, m.value), c_.hidden, c_.output_bias);
  }

  /// [batch, kv heads, group, tokens, size] -> [batch, tokens, heads x size]
  TensorId merge(const std::string& name, TensorId x, std::int64_t group, std::int64_t size) {
    const TensorId apart =
        emit_copy(g_, Layers::label(name + ":transpose", "Transpose"), x, {s_.batch, s_.tokens, heads_ / group, group, size},
                  {affine_variable(0), affine_variable(2), affine_variable(3), affine_variable(1), affine_variable(4)});
    return emit_reshape(g_, Layers::label(name, "Reshape"), apart, {s_.batch, s_.tokens, heads_ * size});
  }

  Built& built_;
  Graph& g_;
  const Config& c_;
  const Step& s_;
  Layers layers_;
  std::uint64_t seed_;
  std::int64_t heads_, kv_heads_;
  TensorId cos_, sin_, distances_, slopes_;
  std::map<std::int64_t, Positions> positions_;
};

}  // namespace

Built build(const Config& config, const Step& step, std::uint64_t seed) {
  Built built;
  built.graph.name = config.type;
  Builder(built, config, step, seed).run();
  built.notes.insert(built.notes.end(), config.notes.begin(), config.notes.end());
  if (step.weights)
    built.notes.push_back(
        fmt::format("matrices in {} with a factor for each column: lanes widen them tile by tile as they are multiplied, one operation an "
                    "element, and the factors "
                    "are applied to the sums",
                    numerics::format_name(*step.weights)));
  return built;
}

}  // namespace switchyard::model::llm
