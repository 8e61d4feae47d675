// Reductions over dimensions, and the normalisations made of them.
#include "model/emit.h"
#include "model/emit_detail.h"

namespace switchyard::model {

using namespace detail;

namespace {

/// The loops of a reduction over some dimensions of a shape, and the two ways to address through them.
struct Split {
  Nest nest;                 ///< kept dimensions parallel, then the reduced ones, in the order of the shape
  std::vector<Affine> full;  ///< an element of the shape
  std::vector<Affine> kept;  ///< an element of the reduced shape (dimensions left out)
};

Split split_loops(const Shape& shape, const std::vector<bool>& reduced) {
  Split split;
  split.full.resize(shape.size());
  for (const bool pass : {false, true}) {
    for (std::size_t d = 0; d < shape.size(); ++d) {
      if (reduced[d] != pass) continue;
      const int loop =
          add_loop(split.nest, fmt::format("{}{}", pass ? 'r' : 'd', d), shape[d], pass ? LoopKind::reduction : LoopKind::parallel);
      split.full[d] = affine_variable(loop);
      if (!pass) split.kept.push_back(split.full[d]);
    }
  }
  return split;
}

/// Point-wise over the whole shape, with access to per-row values: all loops parallel, in the order of the shape.
Split row_map(const Shape& shape, const std::vector<bool>& reduced) {
  Split split;
  split.full = add_shape_loops(split.nest, shape);
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (!reduced[d]) split.kept.push_back(split.full[d]);
  }
  return split;
}

Shape kept_shape(const Shape& shape, const std::vector<bool>& reduced) {
  Shape kept;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (!reduced[d]) kept.push_back(shape[d]);
  }
  return kept;
}

Nest reduce_nest(const Shape& shape, const std::vector<bool>& reduced, int from, int to, Expression expression, Combiner combiner) {
  Split split = split_loops(shape, reduced);
  split.nest.reads = {{from, split.full, {}}};
  split.nest.expression = std::move(expression);
  split.nest.combiner = combiner;
  split.nest.write = {to, split.kept, {}};
  return std::move(split.nest);
}

std::int64_t reduced_count(const Shape& shape, const std::vector<bool>& reduced) {
  std::int64_t count = 1;
  for (std::size_t d = 0; d < shape.size(); ++d) count *= reduced[d] ? shape[d] : 1;
  return count;
}

/// 1 / sqrt(x0 / count + epsilon)
Expression inverse_root(const Expression& inverse_count, double epsilon) {
  return apply(ScalarOp::reciprocal, apply(ScalarOp::sqrt, add(mul(expr_input(0), inverse_count), expr_constant(epsilon))));
}

}  // namespace

TensorId emit_reduction(Graph& graph, const Label& label, TensorId x, const std::vector<bool>& reduced, bool keep, Combiner combiner) {
  const Shape shape = graph.tensor(x).shape;
  Split split = split_loops(shape, reduced);
  std::vector<Affine> write;
  Shape result;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (reduced[d] && !keep) continue;
    write.push_back(reduced[d] ? affine_constant(0) : split.full[d]);
    result.push_back(reduced[d] ? 1 : shape[d]);
  }
  split.nest.reads = {{0, split.full, {}}};
  split.nest.expression = expr_input(0);
  split.nest.combiner = combiner;
  split.nest.write = {1, std::move(write), {}};
  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, std::move(result));
  Op op = make_op(label, {x}, {y});
  op.nests.push_back(std::move(split.nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_softmax(Graph& graph, const Label& label, TensorId x, const std::vector<bool>& reduced, bool logarithm) {
  const Shape shape = graph.tensor(x).shape;
  const numerics::Format format = graph.tensor(x).format;
  const Shape rows = kept_shape(shape, reduced);
  const TensorId y = add_tensor(graph, label.result, format, shape);
  Op op = make_op(label, {x}, {y});
  op.locals = {{"max", format, rows}, {"exp", format, shape}, {"sum", format, rows}};
  if (!logarithm) op.locals.push_back({"inverse", format, rows});  // one division a row: the others are multiplications
  const int max = op.local_slot(0);
  const int exp = op.local_slot(1);
  const int sum = op.local_slot(2);

  op.nests.push_back(reduce_nest(shape, reduced, 0, max, expr_input(0), Combiner::max));
  Split e = row_map(shape, reduced);
  e.nest.reads = {{0, e.full, {}}, {max, e.kept, {}}};
  e.nest.expression = apply(ScalarOp::exp, sub(expr_input(0), expr_input(1)));
  e.nest.write = {exp, e.full, {}};
  op.nests.push_back(std::move(e.nest));
  op.nests.push_back(reduce_nest(shape, reduced, exp, sum, expr_input(0), Combiner::add));
  Split out = row_map(shape, reduced);
  if (logarithm) {
    out.nest.reads = {{0, out.full, {}}, {max, out.kept, {}}, {sum, out.kept, {}}};
    out.nest.expression = sub(sub(expr_input(0), expr_input(1)), apply(ScalarOp::log, expr_input(2)));
  } else {
    const int inverse = op.local_slot(3);
    Nest invert;
    const std::vector<Affine> row = add_shape_loops(invert, rows);
    invert.reads = {{sum, row, {}}};
    invert.expression = apply(ScalarOp::reciprocal, expr_input(0));
    invert.write = {inverse, row, {}};
    op.nests.push_back(std::move(invert));
    out.nest.reads = {{exp, out.full, {}}, {inverse, out.kept, {}}};
    out.nest.expression = mul(expr_input(0), expr_input(1));
  }
  out.nest.write = {op.result_slot(0), out.full, {}};
  op.nests.push_back(std::move(out.nest));
  graph.ops.push_back(std::move(op));
  return y;
}

LayerNormalizationResults emit_layer_normalization(Graph& graph, const Label& label, TensorId x, TensorId scale, TensorId bias, int axis,
                                                   double epsilon, const std::string& mean_name, const std::string& inverse_name) {
  const Shape shape = graph.tensor(x).shape;
  const numerics::Format format = graph.tensor(x).format;
  std::vector<bool> reduced(shape.size(), false);
  Shape statistics = shape;  // of the optional results: reduced dimensions stay as 1
  for (std::size_t d = static_cast<std::size_t>(axis); d < shape.size(); ++d) {
    reduced[d] = true;
    statistics[d] = 1;
  }
  const Shape rows = kept_shape(shape, reduced);
  const Expression inverse_count = expr_constant(1.0 / static_cast<double>(reduced_count(shape, reduced)));

  LayerNormalizationResults results;
  results.y = add_tensor(graph, label.result, format, shape);
  Op op = make_op(label, {x, scale}, {results.y});
  if (bias.valid()) op.operands.push_back(bias);
  if (!mean_name.empty()) op.results.push_back(results.mean = add_tensor(graph, mean_name, format, statistics));
  if (!inverse_name.empty()) op.results.push_back(results.inverse = add_tensor(graph, inverse_name, format, statistics));
  op.locals = {
      {"sum", format, rows}, {"mean", format, rows}, {"centred", format, shape}, {"squares", format, rows}, {"inverse", format, rows}};
  const int sum = op.local_slot(0);
  const int mean = op.local_slot(1);
  const int centred = op.local_slot(2);
  const int squares = op.local_slot(3);
  const int inverse = op.local_slot(4);

  const auto per_row = [&](int from, int to, Expression expression) {
    Nest nest;
    const std::vector<Affine> point = add_shape_loops(nest, rows);
    nest.reads = {{from, point, {}}};
    nest.expression = std::move(expression);
    nest.write = {to, point, {}};
    op.nests.push_back(std::move(nest));
  };
  op.nests.push_back(reduce_nest(shape, reduced, 0, sum, expr_input(0), Combiner::add));
  per_row(sum, mean, mul(expr_input(0), inverse_count));
  Split c = row_map(shape, reduced);
  c.nest.reads = {{0, c.full, {}}, {mean, c.kept, {}}};
  c.nest.expression = sub(expr_input(0), expr_input(1));
  c.nest.write = {centred, c.full, {}};
  op.nests.push_back(std::move(c.nest));
  op.nests.push_back(reduce_nest(shape, reduced, centred, squares, mul(expr_input(0), expr_input(0)), Combiner::add));
  per_row(squares, inverse, inverse_root(inverse_count, epsilon));
  Split out = row_map(shape, reduced);
  out.nest.reads = {
      {centred, out.full, {}}, {inverse, out.kept, {}}, {1, broadcast_access(graph.tensor(scale).shape, shape, out.full), {}}};
  out.nest.expression = mul(mul(expr_input(0), expr_input(1)), expr_input(2));
  if (bias.valid()) {
    out.nest.reads.push_back({2, broadcast_access(graph.tensor(bias).shape, shape, out.full), {}});
    out.nest.expression = add(out.nest.expression, expr_input(3));
  }
  out.nest.write = {op.result_slot(0), out.full, {}};
  op.nests.push_back(std::move(out.nest));

  // The optional results are copies of the per-row values under the shape with ones.
  int result = 1;
  for (const auto& [id, local] : {std::pair{results.mean, mean}, std::pair{results.inverse, inverse}}) {
    if (!id.valid()) continue;
    Nest nest;
    const std::vector<Affine> point = add_shape_loops(nest, statistics);
    nest.reads = {{local, {point.begin(), point.begin() + axis}, {}}};
    nest.expression = expr_input(0);
    nest.write = {op.result_slot(result++), point, {}};
    op.nests.push_back(std::move(nest));
  }
  graph.ops.push_back(std::move(op));
  return results;
}

TensorId emit_rms_normalization(Graph& graph, const Label& label, TensorId x, TensorId scale, double epsilon) {
  const Shape shape = graph.tensor(x).shape;
  const numerics::Format format = graph.tensor(x).format;
  std::vector<bool> reduced(shape.size(), false);
  reduced.back() = true;
  const Shape rows = kept_shape(shape, reduced);
  const TensorId y = add_tensor(graph, label.result, format, shape);
  Op op = make_op(label, {x, scale}, {y});
  op.locals = {{"squares", format, rows}, {"inverse", format, rows}};
  const int squares = op.local_slot(0);
  const int inverse = op.local_slot(1);
  op.nests.push_back(reduce_nest(shape, reduced, 0, squares, mul(expr_input(0), expr_input(0)), Combiner::add));
  Nest per_row;
  const std::vector<Affine> point = add_shape_loops(per_row, rows);
  per_row.reads = {{squares, point, {}}};
  per_row.expression = inverse_root(expr_constant(1.0 / static_cast<double>(shape.back())), epsilon);
  per_row.write = {inverse, point, {}};
  op.nests.push_back(std::move(per_row));
  Split out = row_map(shape, reduced);
  out.nest.reads = {{0, out.full, {}}, {inverse, out.kept, {}}, {1, broadcast_access(graph.tensor(scale).shape, shape, out.full), {}}};
  out.nest.expression = mul(mul(expr_input(0), expr_input(1)), expr_input(2));
  out.nest.write = {op.result_slot(0), out.full, {}};
  op.nests.push_back(std::move(out.nest));
  graph.ops.push_back(std::move(op));
  return y;
}

}  // namespace switchyard::model
