// Attention and what belongs to it: rotary positions, linear attention, gates, causal convolutions with a state.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

/// Steps of a recurrence that are written out one after the other.
constexpr std::int64_t kMaxSteps = 1024;

/// [batch, length, heads * size] -> [batch, heads, length, size]
TensorId split_heads(Steps& s, TensorId x, std::int64_t heads) {
  const Shape shape = s.shape(x);
  return s.transpose(s.reshape(x, {shape[0], shape[1], heads, shape[2] / heads}), {0, 2, 1, 3});
}
TensorId join_heads(Steps& s, TensorId x) {
  const Shape shape = s.shape(x);
  return s.reshape(s.transpose(x, {0, 2, 1, 3}), {shape[0], shape[2], shape[1] * shape[3]});
}

/// [batch, q heads, ...] x [batch, kv heads, ...], each kv head for as many q heads.
TensorId grouped_matmul(Steps& s, TensorId q, TensorId kv) {
  const Shape sq = s.shape(q), sk = s.shape(kv);
  if (sq[1] == sk[1]) return s.matmul(q, kv);
  const TensorId y = s.matmul(s.reshape(q, {sq[0], sk[1], sq[1] / sk[1], sq[2], sq[3]}), s.reshape(kv, {sk[0], sk[1], 1, sk[2], sk[3]}));
  return s.reshape(y, {sq[0], sq[1], sq[2], sk[3]});
}

struct AttentionMask {
  bool causal = false;
  std::int64_t left = -1, right = -1;  ///< window
  std::int64_t past = 0;               ///< keys before the first query
  TensorId mask, lengths;              ///< may be none
};

/// scores [b, h, q, k] with what a query may not see at minus infinity; and a mask of numbers added.
TensorId masked(Steps& s, TensorId scores, const AttentionMask& m) {
  const Shape shape = s.shape(scores);
  std::vector<Affine> point{loop(0), loop(1), loop(2), loop(3)};
  std::vector<NestRead> reads{{scores, point}};
  Expression value = x0();
  std::optional<Expression> allowed;
  const auto allow = [&](const Expression& e) { allowed = allowed ? both(*allowed, e) : e; };
  const auto read = [&](NestRead r) {
    reads.push_back(std::move(r));
    return input(static_cast<int>(reads.size()) - 1);
  };
  if (m.mask.valid()) {
    const bool truth = s.format(m.mask) == Format::boolean;
    const Shape ms = s.shape(m.mask);
    NestRead r{m.mask, broadcast_index(ms, shape)};
    if (ms.back() < shape[3]) {  // what a shorter mask does not reach is not seen; a single column is one, not a broadcast
      r.index.back() = loop(3);
      r.fill = truth ? 0 : -kInfinity;
    }
    const Expression e = read(r);
    if (truth)
      allow(e);
    else
      value = value + e;
  }
  if (m.causal || m.left >= 0 || m.right >= 0 || m.lengths.valid()) {
    const Expression key = read({s.iota(Format::int64, shape[3]), {loop(3)}});
    Expression query = read({s.iota(Format::int64, shape[2], 0, 1, static_cast<double>(m.past)), {loop(2)}});
    if (m.lengths.valid()) {
      const Expression length = read({m.lengths, {loop(0)}});
      allow(key < length);
      if (m.past == 0) query = query + (length - number(static_cast<double>(shape[2])));
    }
    if (m.causal) allow(!(query < key));
    if (m.left >= 0) allow(!(number(static_cast<double>(m.left)) < query - key));
    if (m.right >= 0) allow(!(number(static_cast<double>(m.right)) < key - query));
  }
  if (allowed) value = select(*allowed, value, number(-kInfinity));
  return s.nest(s.format(scores), shape, {}, reads, value);
}

/// Softmax over the last dimension; a row in which nothing is to be seen gives zeros.
TensorId guarded_softmax(Steps& s, TensorId x) {
  const int last = static_cast<int>(s.shape(x).size()) - 1;
  const TensorId peak = s.reduce(x, last, true, Combiner::max);
  const Expression safe = select(equal(input(1), number(-kInfinity)), number(0), input(1));
  const TensorId e = s.map({x, peak}, unary(ScalarOp::exp, x0() - safe));
  const TensorId sum = s.reduce(e, last, true, Combiner::add);
  return s.map({e, sum}, x0() / select(equal(input(1), number(0)), number(1), input(1)));
}

void attention(NodeBuilder& b) {
  if (!b.require_floating(0) || !b.same_format(0, 1)) return;
  const std::size_t rank = b.shape(0).size();
  const std::int64_t q_heads = b.int_attribute("q_num_heads", 0), kv_heads = b.int_attribute("kv_num_heads", 0);
  AttentionMask m;
  m.causal = b.int_attribute("is_causal", 0) != 0;
  m.left = b.int_attribute("left_window_size", -1);
  m.right = b.int_attribute("right_window_size", -1);
  const double softcap = b.float_attribute("softcap", 0);
  const std::int64_t mode = b.int_attribute("qk_matmul_output_mode", 0), precision = b.int_attribute("softmax_precision", 0);
  double scale = b.float_attribute("scale", 0);
  if (b.failed()) return;
  if ((rank != 3 && rank != 4) || b.shape(1).size() != rank || b.shape(2).size() != rank)
    return b.malformed("onnx/shape", "queries, keys and values have 3 or 4 dimensions");
  if (rank == 3 &&
      (q_heads < 1 || kv_heads < 1 || b.shape(0)[2] % q_heads != 0 || b.shape(1)[2] % kv_heads != 0 || b.shape(2)[2] % kv_heads != 0))
    return b.malformed("onnx/attribute", "q_num_heads and kv_num_heads must divide the last dimensions");
  if (b.has(4) != b.has(5)) return b.malformed("onnx/inputs", "past keys and past values come together");
  Steps s(b);
  TensorId q = b.operand(0), k = b.operand(1), v = b.operand(2);
  if (rank == 3) q = split_heads(s, q, q_heads), k = split_heads(s, k, kv_heads), v = split_heads(s, v, kv_heads);
  const Shape sq = s.shape(q);
  if (sq[0] != s.shape(k)[0] || sq[3] != s.shape(k)[3] || s.shape(k)[1] != s.shape(v)[1] || s.shape(k)[2] != s.shape(v)[2] ||
      sq[1] % s.shape(k)[1] != 0)
    return b.malformed("onnx/shape", fmt::format("queries {}, keys {} and values {} do not fit", print_shape(sq), print_shape(s.shape(k)),
                                                 print_shape(s.shape(v))));
  if (b.has(4)) {
    const auto fits = [&](std::size_t i, TensorId t) {
      Shape past = b.shape(i), now = s.shape(t);
      if (past.size() != 4) return false;
      past[2] = now[2] = 0;
      return past == now && b.format(i) == s.format(t);
    };
    if (!fits(4, k) || !fits(5, v)) return b.malformed("onnx/shape", "past keys and values do not fit keys and values");
    m.past = b.shape(4)[2];
    if (m.past > 0) {
      k = s.concat({b.operand(4), k}, 2);
      v = s.concat({b.operand(5), v}, 2);
    }
  }
  if (b.wants(1)) b.set_result(1, k);
  if (b.wants(2)) b.set_result(2, v);
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(sq[3]));
  // The root of the scale on both sides, as the standard has it: the product stays in range.
  const Expression scaled = x0() * number(std::sqrt(scale));
  const TensorId product = grouped_matmul(s, s.map({q}, scaled), s.transpose(s.map({k}, scaled), {0, 1, 3, 2}));
  TensorId scores = product;
  if (softcap > 0) scores = s.map({scores}, number(softcap) * unary(ScalarOp::tanh, x0() / number(softcap)));
  const TensorId capped = scores;
  if (b.has(3)) {
    const std::int64_t columns = b.shape(3).empty() ? 0 : b.shape(3).back(), keys = s.shape(k)[2];
    Shape reach = b.shape(3);
    if (!reach.empty()) reach.back() = keys;
    const Shape full{sq[0], sq[1], sq[2], keys};
    const std::array shapes{full, reach};
    if (reach.empty() || columns > keys || broadcast(shapes) != std::optional(full))
      return b.malformed("onnx/shape", fmt::format("mask {} does not fit scores {}", print_shape(b.shape(3)), print_shape(full)));
    m.mask = b.operand(3);
  }
  if (b.has(6)) {
    if (b.shape(6) != Shape{sq[0]}) return b.malformed("onnx/shape", "nonpad_kv_seqlen has one entry per batch entry");
    m.lengths = b.operand(6);
  }
  const bool any = m.mask.valid() || m.causal || m.left >= 0 || m.right >= 0 || m.lengths.valid();
  if (any) scores = masked(s, scores, m);
  if (b.wants(3) && mode < 3) b.set_result(3, mode == 0 ? product : mode == 1 ? capped : scores);
  const Format own = s.format(q);
  if (precision == kFloat && own != Format::fp64) scores = s.cast(scores, Format::fp32);
  TensorId p = any ? guarded_softmax(s, scores) : s.softmax(scores, 3);
  p = s.cast(p, own);
  if (b.wants(3) && mode == 3) b.set_result(3, p);
  const TensorId y = grouped_matmul(s, p, v);
  b.set_result(0, rank == 3 ? join_heads(s, y) : y);
}

// --- FlexAttention: between its three steps stand the graphs that change scores and probabilities
// --------------------------------------------

/// What is between the products is computed in: as asked for, else at least fp32.
void flex_scores(NodeBuilder& b) {
  const std::int64_t precision = b.int_attribute("softmax_precision", 0);
  double scale = b.float_attribute("scale", 0);
  if (b.failed() || !b.require_floating(0) || !b.same_format(0, 1) || !b.same_format(0, 2)) return;
  const Shape q = b.shape(0), k = b.shape(1), v = b.shape(2);
  if (q.size() != 4 || k.size() != 4 || v.size() != 4) return b.malformed("onnx/shape", "queries, keys and values have 4 dimensions");
  if (q[0] != k[0] || k[0] != v[0] || q[3] != k[3] || k[1] != v[1] || k[2] != v[2] || k[1] < 1 || q[1] % k[1] != 0)
    return b.malformed("onnx/shape",
                       fmt::format("queries {}, keys {} and values {} do not fit", print_shape(q), print_shape(k), print_shape(v)));
  const auto asked = precision == 0 ? std::nullopt : format_of(static_cast<std::int32_t>(std::clamp<std::int64_t>(precision, 0, 1000)));
  if (precision != 0 && (!asked || !numerics::format_info(*asked).floating))
    return b.malformed("onnx/attribute", fmt::format("softmax_precision {} is no floating type", precision));
  const Format format = asked.value_or(numerics::format_bytes(b.format(0)) < 4 ? Format::fp32 : b.format(0));
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(q[3]));
  Steps s(b);
  const Expression scaled = x0() * number(std::sqrt(scale));
  const TensorId product = grouped_matmul(s, s.map({b.operand(0)}, scaled), s.transpose(s.map({b.operand(1)}, scaled), {0, 1, 3, 2}));
  b.set_result(0, s.map({product}, x0(), format));
}

void flex_probabilities(NodeBuilder& b) {
  Steps s(b);
  b.set_result(0, s.softmax(b.operand(0), 3));
}

/// The probabilities times values, in the type of the probabilities; the result in that of the values.
void flex_result(NodeBuilder& b) {
  Steps s(b);
  const TensorId values = s.cast(b.operand(1), b.format(0));
  b.set_result(0, s.cast(grouped_matmul(s, b.operand(0), values), b.format(1)));
}

void rotary_embedding(NodeBuilder& b) {
  if (!b.require_floating(0)) return;
  const Shape given = b.shape(0);
  const std::int64_t heads = b.int_attribute("num_heads", 0);
  std::int64_t rotated = b.int_attribute("rotary_embedding_dim", 0);
  const bool interleaved = b.int_attribute("interleaved", 0) != 0;
  if (b.failed()) return;
  if ((given.size() != 3 && given.size() != 4) || (given.size() == 3 && (heads < 1 || given[2] % heads != 0)))
    return b.malformed("onnx/shape", fmt::format("input {} in {} heads", print_shape(given), heads));
  Steps s(b);
  // [batch, heads, length, size]
  const TensorId x = given.size() == 3 ? split_heads(s, b.operand(0), heads) : b.operand(0);
  const Shape shape = s.shape(x);
  if (rotated == 0) rotated = shape[3];
  const std::int64_t half = rotated / 2;
  if (rotated < 2 || rotated % 2 != 0 || rotated > shape[3])
    return b.malformed("onnx/attribute", fmt::format("{} of {} dimensions cannot be rotated", rotated, shape[3]));
  const bool positions = b.has(3);
  const Shape cache = b.shape(1), wanted = positions ? Shape{cache.empty() ? 0 : cache[0], half} : Shape{shape[0], shape[2], half};
  if (cache != wanted || b.shape(2) != cache || (positions && b.shape(3) != Shape{shape[0], shape[2]}))
    return b.malformed("onnx/shape", fmt::format("caches {} do not fit", print_shape(cache)));
  // Rows of the caches by position: compared with every position, as for other indices that the model computes.
  const auto rows = [&](std::size_t i) {
    if (!positions) return b.operand(i);
    const TensorId number_of = s.iota(b.format(3), cache[0]);
    return s.nest(b.format(i), {shape[0], shape[2], half}, {cache[0]},
                  {{b.operand(i), {loop(3), loop(2)}}, {b.operand(3), {loop(0), loop(1)}}, {number_of, {loop(3)}}},
                  select(equal(input(1), input(2)), x0(), number(0)), Combiner::add);
  };
  const TensorId cosine = rows(1), sine = rows(2);
  const std::int64_t step = interleaved ? 2 : 1, second = interleaved ? 1 : half;
  const auto turned = [&](bool imaginary) {
    const std::vector<Affine> angle{loop(0), loop(2), loop(3)};
    const std::vector<NestRead> reads{{x, {loop(0), loop(1), loop(2), loop(3, step)}},
                                      {x, {loop(0), loop(1), loop(2), loop(3, step) + at(second)}},
                                      {cosine, angle},
                                      {sine, angle}};
    const Expression e = imaginary ? input(3) * x0() + input(2) * input(1) : input(2) * x0() - input(3) * input(1);
    return s.nest(b.format(0), {shape[0], shape[1], shape[2], half}, {}, reads, e);
  };
  TensorId real = turned(false), imaginary = turned(true), y;
  if (interleaved) {
    const Shape one{shape[0], shape[1], shape[2], half, 1};
    y = s.reshape(s.concat({s.reshape(real, one), s.reshape(imaginary, one)}, 4), {shape[0], shape[1], shape[2], rotated});
  } else {
    y = s.concat({real, imaginary}, 3);
  }
  if (rotated < shape[3]) y = s.concat({y, s.slice(x, 3, rotated, shape[3] - rotated)}, 3);
  b.set_result(0, given.size() == 3 ? join_heads(s, y) : y);
}

/// A state of keys times values that each step fades, corrects and reads: written out step by step.
void linear_attention(NodeBuilder& b) {
  const std::string rule = b.string_attribute("update_rule", "gated_delta");
  const std::int64_t q_heads = b.int_attribute("q_num_heads", 0), kv_heads = b.int_attribute("kv_num_heads", 0);
  double scale = b.float_attribute("scale", 0);
  if (b.failed() || !b.require_floating(0)) return;
  const bool gated = rule == "gated" || rule == "gated_delta", delta = rule == "delta" || rule == "gated_delta";
  if (!gated && !delta && rule != "linear") return b.malformed("onnx/attribute", fmt::format("update_rule {} is unknown", rule));
  const Shape sq = b.shape(0), sk = b.shape(1), sv = b.shape(2);
  if (sq.size() != 3 || sk.size() != 3 || sv.size() != 3 || q_heads < 1 || kv_heads < 1 || q_heads % kv_heads != 0 ||
      sq[2] % q_heads != 0 || sk[2] % kv_heads != 0 || sv[2] % kv_heads != 0 || sk[1] != sq[1] || sv[1] != sq[1] ||
      sq[2] / q_heads != sk[2] / kv_heads)
    return b.malformed("onnx/shape", "queries, keys and values do not fit the heads");
  if (gated != b.has(4) || delta != b.has(5))
    return b.malformed("onnx/inputs", fmt::format("update_rule {} and the inputs decay and beta do not fit", rule));
  if (sq[1] > kMaxSteps) return b.unsupported("onnx/unsupported-feature", fmt::format("a recurrence of {} steps", sq[1]));
  const std::int64_t batch = sq[0], steps = sq[1], keys = sk[2] / kv_heads, values = sv[2] / kv_heads, group = q_heads / kv_heads;
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(keys));
  Steps s(b);
  const auto wide = [&](std::size_t i) { return s.cast(b.operand(i), Format::fp32); };
  const TensorId q = wide(0), k = wide(1), v = wide(2);
  TensorId state = b.has(3) ? wide(3) : s.constant(Format::fp32, {batch, kv_heads, keys, values}, {});
  if (b.has(3) && b.shape(3) != Shape{batch, kv_heads, keys, values}) return b.malformed("onnx/shape", "the past state does not fit");
  const TensorId decay = gated ? wide(4) : TensorId(), beta = delta ? wide(5) : TensorId();
  const bool per_key = gated && b.shape(4) == Shape{batch, steps, kv_heads * keys};
  if (gated && !per_key && b.shape(4) != Shape{batch, steps, kv_heads}) return b.malformed("onnx/shape", "decay does not fit");
  const bool one_beta = delta && b.shape(5) == Shape{batch, steps, 1};
  if (delta && !one_beta && b.shape(5) != Shape{batch, steps, kv_heads}) return b.malformed("onnx/shape", "beta does not fit");
  // Loops: 0 batch, 1 head, then keys (2) and values (3) of the state.
  const Affine n = loop(0), h = loop(1);
  const Shape whole{batch, kv_heads, keys, values};
  std::vector<TensorId> outputs;
  for (std::int64_t t = 0; t < steps; ++t) {
    const std::vector<Affine> state_at{n, h, loop(2), loop(3)};
    if (gated) {
      const Affine channel = per_key ? loop(1, keys) + loop(2) : h;
      state = s.nest(Format::fp32, whole, {}, {{state, state_at}, {decay, {n, at(t), channel}}}, x0() * unary(ScalarOp::exp, input(1)));
    }
    TensorId write = v;
    std::vector<Affine> write_at{n, at(t), loop(1, values) + loop(3)};
    if (delta) {
      const TensorId found =
          s.nest(Format::fp32, {batch, kv_heads, values}, {keys},
                 {{state, {n, h, loop(3), loop(2)}}, {k, {n, at(t), loop(1, keys) + loop(3)}}}, x0() * input(1), Combiner::add);
      write = s.nest(Format::fp32, {batch, kv_heads, values}, {},
                     {{v, {n, at(t), loop(1, values) + loop(2)}}, {found, {n, h, loop(2)}}, {beta, {n, at(t), one_beta ? at(0) : h}}},
                     input(2) * (x0() - input(1)));
      write_at = {n, h, loop(3)};
    }
    state = s.nest(Format::fp32, whole, {}, {{state, state_at}, {k, {n, at(t), loop(1, keys) + loop(2)}}, {write, write_at}},
                   x0() + input(1) * input(2));
    // Loops here: 0 batch, 1 kv head, 2 member of its group, 3 value; 4 key.
    const TensorId read = s.nest(Format::fp32, {batch, kv_heads, group, values}, {keys},
                                 {{q, {n, at(t), loop(1, group * keys) + loop(2, keys) + loop(4)}}, {state, {n, h, loop(4), loop(3)}}},
                                 x0() * input(1), Combiner::add);
    outputs.push_back(s.reshape(s.map({read}, x0() * number(scale), b.format(0)), {batch, 1, q_heads * values}));
  }
  b.set_result(0, s.concat(outputs, 1));
  if (b.wants(1)) b.set_result(1, s.cast(state, b.has(3) ? b.format(3) : b.format(0)));
}

void causal_conv(NodeBuilder& b) {
  const Shape x = b.shape(0), w = b.shape(1);
  const std::string activation = b.string_attribute("activation", "none");
  if (b.failed() || !b.require_floating(0) || !b.same_format(0, 1)) return;
  if (x.size() != 3 || w.size() != 3 || w[0] != x[1] || w[1] != 1 || (b.has(2) && b.shape(2) != Shape{x[1]}) ||
      (b.has(3) && b.shape(3) != Shape{x[0], x[1], w[2] - 1}))
    return b.malformed("onnx/shape", fmt::format("input {} does not fit weight {}", print_shape(x), print_shape(w)));
  if (activation != "none" && activation != "silu" && activation != "swish")
    return b.malformed("onnx/attribute", fmt::format("activation {} is unknown", activation));
  Steps s(b);
  const std::int64_t before = w[2] - 1;
  const Shape longer{x[0], x[1], x[2] + before};
  TensorId padded = b.operand(0);
  if (before > 0) {
    padded = b.has(3) ? s.concat({b.operand(3), b.operand(0)}, 2)
                      : s.nest(b.format(0), longer, {}, {{b.operand(0), {loop(0), loop(1), loop(2) + at(-before)}, 0.0}}, x0());
  }
  TensorId y = s.nest(b.format(0), x, {w[2]}, {{padded, {loop(0), loop(1), loop(2) + loop(3)}}, {b.operand(1), {loop(1), at(0), loop(3)}}},
                      x0() * input(1), Combiner::add);
  std::vector<MapInput> inputs{MapInput::of(y)};
  Expression e = x0();
  if (b.has(2)) {
    inputs.push_back(MapInput::of(s.reshape(b.operand(2), {x[1], 1})));
    e = e + input(1);
  }
  if (activation != "none") e = e * unary(ScalarOp::sigmoid, e);
  b.set_result(0, s.map(inputs, e));
  if (b.wants(1)) {
    if (before == 0)
      return b.set_constant(1, b.format(0), {x[0], x[1], 0}, numerics::constant_of(numerics::make_tensor(b.format(0), {x[0], x[1], 0})));
    b.set_result(1, s.slice(padded, 2, x[2], before));
  }
}

void swiglu(NodeBuilder& b) {
  const double alpha = b.float_attribute("alpha", 1);
  if (b.failed() || !b.require_floating(0) || !b.same_format(0, 1)) return;
  if (b.shape(0) != b.shape(1)) return b.malformed("onnx/shape", "both inputs have one shape");
  Steps s(b);
  b.set_result(0, s.map({b.operand(0), b.operand(1)}, x0() * unary(ScalarOp::sigmoid, number(alpha) * x0()) * input(1)));
}

constexpr std::array kOperators{
    Operator{"Attention", 23, 3, 7,
             "is_causal kv_num_heads left_window_size q_num_heads qk_matmul_output_mode right_window_size scale softcap softmax_precision",
             attention},
    Operator{"CausalConvWithState", 27, 2, 4, "activation", causal_conv},
    Operator{"LinearAttention", 27, 3, 6, "chunk_size kv_num_heads q_num_heads scale update_rule", linear_attention},
    Operator{"RotaryEmbedding", 23, 3, 4, "interleaved num_heads rotary_embedding_dim", rotary_embedding},
    Operator{"SwiGLU", 27, 2, 2, "alpha", swiglu},
};

}  // namespace

std::span<const Operator> attention_operators() { return kOperators; }

std::span<const Operator> flex_attention_steps() {
  static constexpr std::array kSteps{
      Operator{"FlexAttention", 26, 3, 3, "scale softmax_precision", flex_scores},
      Operator{"FlexAttention", 26, 1, 1, "", flex_probabilities},
      Operator{"FlexAttention", 26, 2, 2, "", flex_result},
  };
  return kSteps;
}

}  // namespace switchyard::model::onnx
