#include "model/quantised.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/emit.h"
#include "model/emit_detail.h"
#include "model/sizes.h"

namespace switchyard::model {

using namespace detail;
using numerics::Format;

namespace {

constexpr double kGreatestE4m3 = 448, kLeastScale = 1e-12;
constexpr std::int64_t kBlock = 128;

struct Product {
  std::int64_t m, n, k;
};

Label label(const char* name, const char* kind) { return {name, kind, std::string(name) + ".out", {name}}; }

/// x [m, k], cut along k into groups, in e4m3, [groups, m, k / groups], and the scales [groups, m]: the largest of each group becomes the
/// largest number of the format.
struct Quantised {
  TensorId values, scales;
};
Quantised emit_quantise(Graph& g, TensorId x, const Product& p, std::int64_t groups) {
  const std::int64_t size = p.k / groups;
  const Shape per_row{groups, p.m};
  Quantised q{add_tensor(g, "quantise.values", Format::fp8_e4m3, {groups, p.m, size}),
              add_tensor(g, "quantise.scales", Format::fp32, per_row)};
  Op op = make_op(label("quantise", "QuantizeLinear"), {x}, {q.values, q.scales});
  op.locals = {{"greatest", Format::fp32, per_row}, {"inverse", Format::fp32, per_row}};
  const int greatest = op.local_slot(0), inverse = op.local_slot(1);
  const auto along_rows = [&](LoopKind last, Nest& nest) {
    const Affine group = affine_variable(add_loop(nest, "g", groups)), row = affine_variable(add_loop(nest, "m", p.m));
    const Affine element = affine_variable(add_loop(nest, "k", size, last));
    nest.reads.push_back({0, {row, groups > 1 ? group * size + element : element}, {}});
    return std::array{group, row, element};
  };
  const auto per = [&](int from, int to, Expression expression) {
    Nest nest;
    const std::vector<Affine> point = add_shape_loops(nest, per_row);
    nest.reads = {{from, point, {}}};
    nest.expression = std::move(expression);
    nest.write = {to, point, {}};
    op.nests.push_back(std::move(nest));
  };
  Nest most;
  const auto reduced = along_rows(LoopKind::reduction, most);
  most.expression = apply(ScalarOp::abs, expr_input(0));
  most.combiner = Combiner::max;
  most.write = {greatest, {reduced[0], reduced[1]}, {}};
  op.nests.push_back(std::move(most));
  per(greatest, op.result_slot(1), mul(apply(ScalarOp::max, expr_input(0), expr_constant(kLeastScale)), expr_constant(1 / kGreatestE4m3)));
  per(op.result_slot(1), inverse, apply(ScalarOp::reciprocal, expr_input(0)));
  Nest scaled;
  const auto point = along_rows(LoopKind::parallel, scaled);
  scaled.reads.push_back({inverse, {point[0], point[1]}, {}});
  scaled.expression = mul(expr_input(0), expr_input(1));
  scaled.write = {op.result_slot(0), {point[0], point[1], point[2]}, {}};
  op.nests.push_back(std::move(scaled));
  g.ops.push_back(std::move(op));
  return q;
}

/// The product of matrices, not rounded before its scales.
TensorId emit_sums(Graph& g, TensorId a, TensorId b, Format format) {
  const TensorId sums = emit_matmul(g, label("product", "MatMul"), a, b);
  g.tensor(sums).format = format;
  return sums;
}

TensorId emit_scaled(Graph& g, TensorId sums, std::span<const TensorId> scales, Format format) {
  std::vector<MapInput> inputs{MapInput::of(sums)};
  Expression e = expr_input(0);
  for (const TensorId s : scales) {
    e = mul(e, expr_input(static_cast<int>(inputs.size())));
    inputs.push_back(MapInput::of(s));
  }
  return emit_map(g, label("scale", "Mul"), inputs, e, format, g.tensor(sums).shape);
}

/// The largest part of a size that divides it and is no more than a block.
std::int64_t block_of(std::int64_t size) {
  std::int64_t block = std::min(size, kBlock);
  while (size % block != 0) --block;
  return block;
}

void build_fp8(Graph& g, const Product& p) {
  const TensorId x = add_input(g, "a", Format::bf16, {p.m, p.k});
  const TensorId w = add_input(g, "b", Format::fp8_e4m3, {1, p.k, p.n}), scale = add_input(g, "b_scale", Format::fp32, {p.n});
  const Quantised q = emit_quantise(g, x, p, 1);
  const TensorId sums = emit_sums(g, q.values, w, Format::fp32);
  const TensorId rows = emit_reshape(g, label("rows", "Reshape"), q.scales, {1, p.m, 1});
  g.outputs = {emit_scaled(g, sums, std::array{rows, scale}, Format::bf16)};
}

/// One scale for all of x [m, k]: the greatest of each row, the greatest of these, and what remains is point by point.
void build_fp8_tensor(Graph& g, const Product& p) {
  const TensorId x = add_input(g, "a", Format::bf16, {p.m, p.k});
  const TensorId w = add_input(g, "b", Format::fp8_e4m3, {p.k, p.n}), scale = add_input(g, "b_scale", Format::fp32, {1});
  const auto greatest = [&](const char* name, TensorId from, const Shape& shape, const Shape& to, Expression expression) {
    const Label l = label(name, "ReduceMax");
    const TensorId y = add_tensor(g, l.result, Format::fp32, to);
    Nest nest;
    std::vector<Affine> point;
    for (std::size_t d = 0; d < shape.size(); ++d)
      point.push_back(affine_variable(
          add_loop(nest, fmt::format("d{}", d), shape[d], d < to.size() && to[d] == shape[d] ? LoopKind::parallel : LoopKind::reduction)));
    nest.reads = {{0, point, {}}};
    nest.expression = std::move(expression);
    nest.combiner = Combiner::max;
    nest.write = {1, to.size() == shape.size() ? std::vector<Affine>{affine_constant(0)} : std::vector<Affine>{point[0]}, {}};
    Op op = make_op(l, {from}, {y});
    op.nests.push_back(std::move(nest));
    g.ops.push_back(std::move(op));
    return y;
  };
  const TensorId rows = greatest("rows", x, {p.m, p.k}, {p.m}, apply(ScalarOp::abs, expr_input(0)));
  const TensorId most = p.m > 1 ? greatest("most", rows, {p.m}, {1}, expr_input(0)) : rows;
  const Expression divisor = mul(apply(ScalarOp::max, expr_input(1), expr_constant(kLeastScale)), expr_constant(1 / kGreatestE4m3));
  const std::array inputs{MapInput::of(x), MapInput::of(most)};
  const TensorId q =
      emit_map(g, label("quantise", "QuantizeLinear"), inputs, apply(ScalarOp::div, expr_input(0), divisor), Format::fp8_e4m3, {p.m, p.k});
  const TensorId sums = emit_sums(g, q, w, Format::fp32);
  std::vector<MapInput> scales{MapInput::of(sums), MapInput::of(most), MapInput::of(scale)};
  const Expression scaled =
      mul(mul(expr_input(0), mul(apply(ScalarOp::max, expr_input(1), expr_constant(kLeastScale)), expr_constant(1 / kGreatestE4m3))),
          expr_input(2));
  g.outputs = {emit_map(g, label("scale", "Mul"), scales, scaled, Format::bf16, g.tensor(sums).shape)};
}

void build_fp8_block(Graph& g, const Product& p) {
  const std::int64_t size = block_of(p.k), groups = p.k / size, wide = block_of(p.n), columns = p.n / wide;
  const TensorId x = add_input(g, "a", Format::bf16, {p.m, p.k});
  const TensorId w = add_input(g, "b", Format::fp8_e4m3, {groups, size, columns, wide});
  const TensorId scale = add_input(g, "b_scale", Format::fp32, {groups, columns});
  const Quantised q = emit_quantise(g, x, p, groups);
  // Sums of a group, [groups, m, columns, wide], times the scales of both factors; then the groups together.
  const Shape shape{groups, p.m, columns, wide};
  const auto loops = [&](Nest& nest, LoopKind kind) {
    std::vector<Affine> v{affine_variable(add_loop(nest, "g", groups, kind))};
    v.push_back(affine_variable(add_loop(nest, "m", p.m)));
    v.push_back(affine_variable(add_loop(nest, "b", columns)));
    v.push_back(affine_variable(add_loop(nest, "n", wide)));
    return v;
  };
  const auto append = [&](const Label& l, Nest nest, std::vector<TensorId> operands, Format format, Shape result) {
    const TensorId y = add_tensor(g, l.result, format, std::move(result));
    Op op = make_op(l, std::move(operands), {y});
    op.nests.push_back(std::move(nest));
    g.ops.push_back(std::move(op));
    return y;
  };
  Nest product;
  std::vector<Affine> v = loops(product, LoopKind::parallel);
  v.push_back(affine_variable(add_loop(product, "k", size, LoopKind::reduction)));
  product.reads = {{0, {v[0], v[1], v[4]}, {}}, {1, {v[0], v[4], v[2], v[3]}, {}}};
  product.expression = mul(expr_input(0), expr_input(1));
  product.combiner = Combiner::add;
  product.write = {2, {v[0], v[1], v[2], v[3]}, {}};
  const TensorId sums = append(label("product", "MatMul"), product, {q.values, w}, Format::fp32, shape);
  Nest scaled;
  v = loops(scaled, LoopKind::parallel);
  scaled.reads = {{0, v, {}}, {1, {v[0], v[1]}, {}}, {2, {v[0], v[2]}, {}}};
  scaled.expression = mul(expr_input(0), mul(expr_input(1), expr_input(2)));
  scaled.write = {3, v, {}};
  const TensorId parts = append(label("scale", "Mul"), scaled, {sums, q.scales, scale}, Format::fp32, shape);
  Nest sum;
  sum.loops = {{"m", p.m, LoopKind::parallel},
               {"b", columns, LoopKind::parallel},
               {"n", wide, LoopKind::parallel},
               {"g", groups, LoopKind::reduction}};
  const auto s = [](int i) { return affine_variable(i); };
  sum.reads = {{0, {s(3), s(0), s(1), s(2)}, {}}};
  sum.expression = expr_input(0);
  sum.combiner = Combiner::add;
  sum.write = {1, {s(0), s(1), s(2)}, {}};
  g.outputs = {append(label("sum", "ReduceSum"), sum, {parts}, Format::bf16, {p.m, columns, wide})};
}

void build_int8_weights(Graph& g, const Product& p) {
  const TensorId x = add_input(g, "a", Format::bf16, {p.m, p.k});
  const TensorId w = add_input(g, "b", Format::int8, {p.k, p.n}), scale = add_input(g, "b_scale", Format::bf16, {p.n});
  const std::array inputs{MapInput::of(w), MapInput::of(scale)};
  const TensorId wide =
      emit_map(g, label("unpack", "DequantizeLinear"), inputs, mul(expr_input(0), expr_input(1)), Format::bf16, {p.k, p.n});
  g.outputs = {emit_matmul(g, label("product", "MatMul"), x, wide)};
}

void build_int4_weights(Graph& g, const Product& p) {
  const TensorId x = add_input(g, "a", Format::bf16, {p.m, p.k});
  const TensorId w = add_input(g, "b", Format::uint8, {p.k / 2, p.n}), scale = add_input(g, "b_scale", Format::bf16, {p.n});
  const TensorId half = add_positions(g, "half", {2}, 0);
  // Row 2 j stands in the low bits of row j, row 2 j + 1 in the high ones; both are offset by 8.
  Nest nest;
  const Affine j = affine_variable(add_loop(nest, "j", p.k / 2)), h = affine_variable(add_loop(nest, "h", 2));
  const Affine n = affine_variable(add_loop(nest, "n", p.n));
  nest.reads = {{0, {j, n}, {}}, {1, {n}, {}}, {2, {h}, {}}};
  const Expression high = apply(ScalarOp::floor, mul(expr_input(0), expr_constant(1.0 / 16)));
  const Expression low = sub(expr_input(0), mul(high, expr_constant(16)));
  nest.expression = mul(sub(apply(ScalarOp::select, expr_input(2), high, low), expr_constant(8)), expr_input(1));
  nest.write = {3, {j * 2 + h, n}, {}};
  const Label unpack = label("unpack", "DequantizeLinear");
  const TensorId wide = add_tensor(g, unpack.result, Format::bf16, {p.k, p.n});
  Op op = make_op(unpack, {w, scale, half}, {wide});
  op.nests.push_back(std::move(nest));
  g.ops.push_back(std::move(op));
  g.outputs = {emit_matmul(g, label("product", "MatMul"), x, wide)};
}

void build_int8_product(Graph& g, const Product& p) {
  const TensorId x = add_input(g, "a", Format::int8, {p.m, p.k}), rows = add_input(g, "a_scale", Format::fp32, {p.m, 1});
  const TensorId w = add_input(g, "b", Format::int8, {p.k, p.n}), scale = add_input(g, "b_scale", Format::fp32, {p.n});
  const TensorId sums = emit_sums(g, x, w, Format::int32);
  g.outputs = {emit_scaled(g, sums, std::array{rows, scale}, Format::bf16)};
}

struct Scheme {
  std::string_view name;
  Format multiplied;
  void (*build)(Graph&, const Product&);
};
constexpr std::array<Scheme, 6> kSchemes{{{"fp8", Format::fp8_e4m3, build_fp8},
                                          {"fp8_tensor", Format::fp8_e4m3, build_fp8_tensor},
                                          {"fp8_block", Format::fp8_e4m3, build_fp8_block},
                                          {"int8_wo", Format::bf16, build_int8_weights},
                                          {"int4_wo", Format::bf16, build_int4_weights},
                                          {"sq", Format::int8, build_int8_product}}};
constexpr auto kNames = [] {
  std::array<std::string_view, kSchemes.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kSchemes[i].name;
  return names;
}();

/// Attention in e4m3: what is multiplied is stored in it, scores are not rounded before their softmax, and the result is bf16.
Result<graph::Graph> build_fp8_attention(const Operation& operation) {
  SY_TRY(Graph g, build_operation(operation));
  for (graph::Tensor& t : g.tensors)
    if (numerics::format_info(t.format).floating)
      t.format = t.name == "scores.out" || t.name == "mask.out" ? Format::fp32 : t.name == "context.out" ? Format::bf16 : Format::fp8_e4m3;
  return g;
}

const Scheme* scheme_named(std::string_view name) {
  const auto at = std::find_if(kSchemes.begin(), kSchemes.end(), [&](const Scheme& s) { return s.name == name; });
  return at == kSchemes.end() ? nullptr : &*at;
}

}  // namespace

std::span<const std::string_view> quantised_schemes() { return kNames; }
bool is_quantised_scheme(std::string_view name) { return scheme_named(name) != nullptr; }
numerics::Format multiplied_format(std::string_view scheme) {
  const Scheme* s = scheme_named(scheme);
  return s ? s->multiplied : Format::fp32;
}

Result<graph::Graph> build_cached_attention(const Operation& operation, Format format, Format multiplied, bool converts) {
  SY_TRY(Graph g, build_operation(operation));
  const auto named = [&](std::string_view name) {
    return TensorId(static_cast<std::uint32_t>(
        std::find_if(g.tensors.begin(), g.tensors.end(), [&](const graph::Tensor& t) { return t.name == name; }) - g.tensors.begin()));
  };
  for (graph::Tensor& t : g.tensors) {
    if (!numerics::format_info(t.format).floating) continue;
    const bool cached = t.name == "cache" || t.name == "append.out" || t.name == "keys.out" || t.name == "values.out";
    t.format = t.name == "scores.out" || t.name == "mask.out" ? Format::fp32
               : cached                                       ? Format::fp8_e4m3
               : t.name == "softmax.out"                      ? multiplied
                                                              : format;
  }
  if (multiplied == format) return g;
  if (!converts) {
    g.tensor(named("q")).format = multiplied;
    return g;
  }
  // Before everything else, by kernels of their own.
  std::vector<Op> ops = std::move(g.ops);
  g.ops.clear();
  for (const char* name : {"q", "kv"}) {
    const TensorId from = named(name);
    const Shape shape = g.tensor(from).shape;
    const std::array inputs{MapInput::of(from)};
    const TensorId to = emit_map(g, {std::string(name) + ".cast", "Cast", std::string(name) + ".cast.out", {name}}, inputs, expr_input(0),
                                 multiplied, shape);
    for (Op& op : ops) std::replace(op.operands.begin(), op.operands.end(), from, to);
  }
  g.ops.insert(g.ops.end(), std::make_move_iterator(ops.begin()), std::make_move_iterator(ops.end()));
  return g;
}

Result<graph::Graph> build_quantised(const Operation& operation, std::string_view scheme, Format wide) {
  const Scheme* s = scheme_named(scheme);
  if (scheme == "fp8" && operation.name.starts_with("attention_")) return build_fp8_attention(operation);
  if (!s || operation.name != "gemm")
    return fail(FailureKind::unsupported, "operation/unknown",
                fmt::format("'{}' under '{}' is nothing that can be built", operation.name, scheme));
  Graph graph;
  graph.name = operation.name;
  Sizes sizes(operation);
  const Product p{sizes.size("m"), sizes.size("n"), sizes.size("k")};
  sizes.limit({p.m, p.k});
  sizes.limit({p.k, p.n});
  sizes.limit({p.m, p.n});
  sizes.require(scheme != "int4_wo" || p.k % 2 == 0, "'k' of a gemm with two weights to a byte must be even");
  if (!sizes.good()) return sizes.failure();
  s->build(graph, p);
  for (graph::Tensor& t : graph.tensors)
    if (t.format == Format::bf16) t.format = wide;
  return graph;
}

}  // namespace switchyard::model
