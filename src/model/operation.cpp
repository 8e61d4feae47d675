#include "model/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "model/emit.h"
#include "model/sizes.h"

namespace switchyard::model {
namespace {

using graph::Graph;
using graph::TensorId;
using numerics::apply;
using numerics::expr_constant;
using numerics::expr_input;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;

Label label(const char* kind) { return {"op", kind, "result", {"op"}}; }
TensorId input(Graph& g, const char* name, Shape shape) { return add_input(g, name, Format::fp32, std::move(shape)); }

void build_gemm(Graph& g, Sizes& s) {
  const auto m = s.size("m"), n = s.size("n"), k = s.size("k");
  s.limit({m, k});
  s.limit({k, n});
  s.limit({m, n});
  if (!s.good()) return;
  const TensorId a = input(g, "a", {m, k}), b = input(g, "b", {k, n});
  g.outputs = {emit_matmul(g, label("MatMul"), a, b)};
}

void build_batch_gemm(Graph& g, Sizes& s) {
  const auto b = s.size("b"), m = s.size("m"), n = s.size("n"), k = s.size("k");
  s.limit({b, m, k});
  s.limit({b, k, n});
  s.limit({b, m, n});
  if (!s.good()) return;
  const TensorId x = input(g, "a", {b, m, k}), y = input(g, "b", {b, k, n});
  g.outputs = {emit_matmul(g, label("MatMul"), x, y)};
}

void build_convolution(Graph& g, Sizes& s) {
  const auto batch = s.size("batch"), h = s.size("h"), w = s.size("w"), cin = s.size("cin"), cout = s.size("cout");
  const auto kernel = s.size("kernel"), stride = s.size_or("stride", 1, 1), pad = s.size_or("pad", 0);
  const auto extent = [&](std::int64_t size) { return (size + 2 * pad - kernel) / stride + 1; };
  s.require(h + 2 * pad >= kernel && w + 2 * pad >= kernel, "the kernel of conv2d is larger than the padded image");
  s.limit({batch, cin, h, w});
  s.limit({cout, cin, kernel, kernel});
  s.limit({batch, cout, h, w});
  if (!s.good()) return;
  const Window window{{kernel, kernel}, {stride, stride}, {1, 1}, {pad, pad}, {extent(h), extent(w)}};
  const TensorId x = input(g, "x", {batch, cin, h, w}), weights = input(g, "w", {cout, cin, kernel, kernel});
  g.outputs = {emit_convolution(g, label("Conv"), x, weights, window, 1)};
}

Expression gelu() {
  // x/2 (1 + erf(x / sqrt 2))
  const Expression x = expr_input(0);
  return apply(ScalarOp::mul, apply(ScalarOp::mul, x, expr_constant(0.5)),
               apply(ScalarOp::add, expr_constant(1), apply(ScalarOp::erf, apply(ScalarOp::mul, x, expr_constant(1 / std::sqrt(2.0))))));
}

struct Map {
  const char* name;
  int operands;  ///< 2: the second may be a number
  Expression (*expression)();
};
template <ScalarOp op>
Expression unary() {
  return apply(op, expr_input(0));
}
template <ScalarOp op>
Expression binary() {
  return apply(op, expr_input(0), expr_input(1));
}
Expression relu() { return apply(ScalarOp::max, expr_input(0), expr_constant(0)); }
Expression silu() { return apply(ScalarOp::mul, expr_input(0), apply(ScalarOp::sigmoid, expr_input(0))); }
constexpr std::array<Map, 13> kMaps{{{"add", 2, binary<ScalarOp::add>},
                                     {"sub", 2, binary<ScalarOp::sub>},
                                     {"mul", 2, binary<ScalarOp::mul>},
                                     {"div", 2, binary<ScalarOp::div>},
                                     {"pow", 2, binary<ScalarOp::pow>},
                                     {"relu", 1, relu},
                                     {"gelu", 1, gelu},
                                     {"silu", 1, silu},
                                     {"tanh", 1, unary<ScalarOp::tanh>},
                                     {"exp", 1, unary<ScalarOp::exp>},
                                     {"sqrt", 1, unary<ScalarOp::sqrt>},
                                     {"sigmoid", 1, unary<ScalarOp::sigmoid>},
                                     {"neg", 1, unary<ScalarOp::neg>}}};

void build_map(Graph& g, Sizes& s, const Map& map) {
  const auto rows = s.size("rows"), cols = s.size("cols"), operands = s.size_or("operands", map.operands, 1);
  s.require(operands <= map.operands, fmt::format("{} has at most {} operands", map.name, map.operands));
  s.limit({rows, cols});
  if (!s.good()) return;
  const Shape shape{rows, cols};
  std::vector<MapInput> inputs{MapInput::of(input(g, "x", shape))};
  if (map.operands == 2) inputs.push_back(operands == 2 ? MapInput::of(input(g, "y", shape)) : MapInput::number(1.5));
  g.outputs = {emit_map(g, label(map.name), inputs, map.expression(), Format::fp32, shape)};
}

void build_softmax(Graph& g, Sizes& s) {
  const auto rows = s.size("rows"), cols = s.size("cols");
  s.limit({rows, cols});
  if (!s.good()) return;
  g.outputs = {emit_softmax(g, label("Softmax"), input(g, "x", {rows, cols}), {false, true}, false)};
}

void build_layer_norm(Graph& g, Sizes& s) {
  const auto rows = s.size("rows"), cols = s.size("cols");
  s.limit({rows, cols});
  if (!s.good()) return;
  const TensorId x = input(g, "x", {rows, cols}), scale = input(g, "scale", {cols}), bias = input(g, "bias", {cols});
  g.outputs = {emit_layer_normalization(g, label("LayerNormalization"), x, scale, bias, 1, 1e-5, "", "").y};
}

void build_rms_norm(Graph& g, Sizes& s) {
  const auto rows = s.size("rows"), cols = s.size("cols");
  s.limit({rows, cols});
  if (!s.good()) return;
  g.outputs = {emit_rms_normalization(g, label("RMSNormalization"), input(g, "x", {rows, cols}), input(g, "scale", {cols}), 1e-5)};
}

struct Attention {
  std::int64_t batch, heads, kv_heads, dim, rows, past, window;
  bool causal;
};

/// softmax(q k^T / sqrt(dim), masked) v over a cache of past + rows positions, of which the last `rows` are written first. Query heads that
/// share a key head stand beside each other.
void emit_attention(Graph& g, const Attention& a) {
  const std::int64_t group = a.heads / a.kv_heads, length = a.past + a.rows;
  const Shape fresh{2, a.batch, a.kv_heads, a.rows, a.dim};
  const TensorId rows = input(g, "kv", fresh), cache = input(g, "cache", {2, a.batch, a.kv_heads, length, a.dim});
  const TensorId q = input(g, "q", {a.batch, a.kv_heads, group, a.rows, a.dim});
  const auto label = [](const char* name, const char* kind) { return Label{name, kind, std::string(name) + ".out", {name}}; };
  std::vector<numerics::Affine> same;
  for (int d = 0; d < 5; ++d) same.push_back(numerics::affine_variable(d));
  const TensorId present = emit_copy(g, label("append", "Identity"), rows, fresh, same);
  const auto part = [&](const char* name, int which, bool turned) {
    const Shape shape = turned ? Shape{a.batch, a.kv_heads, 1, a.dim, length} : Shape{a.batch, a.kv_heads, 1, length, a.dim};
    return emit_copy(g, label(name, "Slice"), cache, shape,
                     {numerics::affine_constant(which), numerics::affine_variable(0), numerics::affine_variable(1),
                      numerics::affine_variable(turned ? 4 : 3), numerics::affine_variable(turned ? 3 : 4)});
  };
  TensorId scores = emit_matmul(g, label("scores", "MatMul"), q, part("keys", 0, true));
  const bool masked = a.causal && (a.rows > 1 || a.window > 0);
  const Expression scale = expr_constant(1 / std::sqrt(static_cast<double>(a.dim)));
  Expression scaled = apply(ScalarOp::mul, expr_input(0), scale);
  std::vector<MapInput> inputs{MapInput::of(scores)};
  if (masked) {
    const Expression hidden = expr_constant(-1e30);
    inputs.push_back(MapInput::of(add_positions(g, "column", {length}, 0)));
    inputs.push_back(MapInput::of(add_positions(g, "row_end", {a.rows, 1}, a.past + 1)));
    if (a.window > 0) {
      inputs.push_back(MapInput::of(add_positions(g, "row_begin", {a.rows, 1}, a.past + 1 - a.window)));
      scaled = apply(ScalarOp::select, apply(ScalarOp::less, expr_input(1), expr_input(3)), hidden, scaled);
    }
    scaled = apply(ScalarOp::select, apply(ScalarOp::less, expr_input(1), expr_input(2)), scaled, hidden);
  }
  const Shape shape = g.tensor(scores).shape;
  scores = emit_map(g, label("mask", "Where"), inputs, scaled, Format::fp32, shape);
  const TensorId weights = emit_softmax(g, label("softmax", "Softmax"), scores, {false, false, false, false, true}, false);
  g.outputs = {emit_matmul(g, label("context", "MatMul"), weights, part("values", 1, false)), present};
}

void build_attention(Graph& g, Sizes& s, bool decode) {
  Attention a{};
  a.batch = s.size("batch");
  a.heads = s.size("heads");
  a.kv_heads = s.size("kv_heads");
  a.dim = s.size("dim");
  a.rows = decode ? 1 : s.size("q");
  a.past = decode ? s.size("context") - 1 : s.size_or("past", 0);
  a.window = s.size_or("window", 0);
  a.causal = s.size_or("causal", 1) != 0;
  s.require(a.heads % a.kv_heads == 0, fmt::format("{} heads cannot share {} key and value heads evenly", a.heads, a.kv_heads));
  s.limit({2, a.batch, a.kv_heads, a.past + a.rows, a.dim});
  s.limit({a.batch, a.heads, a.rows, a.past + a.rows});
  if (s.good()) emit_attention(g, a);
}
void build_prefill(Graph& g, Sizes& s) { build_attention(g, s, false); }
void build_decode(Graph& g, Sizes& s) { build_attention(g, s, true); }

struct Known {
  const char* name;
  void (*build)(Graph&, Sizes&);
};
constexpr std::array<Known, 8> kKnown{{{"gemm", build_gemm},
                                       {"attention_prefill", build_prefill},
                                       {"attention_decode", build_decode},
                                       {"batch_gemm", build_batch_gemm},
                                       {"conv2d", build_convolution},
                                       {"softmax", build_softmax},
                                       {"layer_norm", build_layer_norm},
                                       {"rms_norm", build_rms_norm}}};

}  // namespace

std::vector<std::string> operation_names() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  for (const Map& map : kMaps) names.emplace_back(map.name);
  return names;
}

Result<std::int64_t> whole_size(const Operation& operation, std::string_view name) {
  constexpr std::int64_t kMost = std::int64_t{1} << 48;
  for (const auto& [key, text] : operation.shape) {
    if (key != name) continue;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= kMost) return value;
    return fail(FailureKind::malformed, "operation/shape",
                fmt::format("'{}' of {} must be a whole number from 1 to {}, not '{}'", name, operation.name, kMost, text));
  }
  return fail(FailureKind::malformed, "operation/shape", fmt::format("{} needs a size '{}'", operation.name, name));
}

Result<Graph> build_operation(const Operation& operation) {
  Graph graph;
  graph.name = operation.name;
  Sizes sizes(operation);
  bool found = false;
  for (const Known& known : kKnown)
    if (operation.name == known.name) known.build(graph, sizes), found = true;
  for (const Map& map : kMaps)
    if (operation.name == map.name) build_map(graph, sizes, map), found = true;
  if (!found)
    return fail(FailureKind::unsupported, "operation/unknown", fmt::format("'{}' is no operation that can be built", operation.name));
  if (!sizes.good()) return sizes.failure();
  return graph;
}

}  // namespace switchyard::model
