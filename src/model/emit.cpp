#include "model/emit.h"

#include <algorithm>

#include "model/emit_detail.h"

namespace switchyard::model {

using namespace detail;

TensorId add_tensor(Graph& graph, std::string name, numerics::Format format, Shape shape) {
  graph::Tensor tensor;
  tensor.name = std::move(name);
  tensor.format = format;
  tensor.shape = std::move(shape);
  graph.tensors.push_back(std::move(tensor));
  return TensorId(graph.tensors.size() - 1);
}

TensorId add_input(Graph& graph, std::string name, numerics::Format format, Shape shape) {
  const TensorId id = add_tensor(graph, std::move(name), format, std::move(shape));
  graph.tensor(id).role = graph::Role::input;
  graph.inputs.push_back(id);
  return id;
}

TensorId add_constant(Graph& graph, std::string name, numerics::Format format, Shape shape, numerics::ConstantPtr constant, bool trained) {
  const TensorId id = add_tensor(graph, std::move(name), format, std::move(shape));
  graph::Tensor& tensor = graph.tensor(id);
  tensor.role = graph::Role::constant;
  tensor.constant = std::move(constant);
  tensor.trained = trained;
  return id;
}

TensorId add_positions(Graph& graph, std::string name, Shape shape, std::int64_t first) {
  auto values = std::make_shared<numerics::Constant>();
  values->make = [shape, first] {
    numerics::Tensor t = numerics::make_tensor(numerics::Format::int32, shape);
    for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>(first + i));
    return t;
  };
  return add_constant(graph, std::move(name), numerics::Format::int32, std::move(shape), std::move(values), false);
}

std::optional<Shape> broadcast(std::span<const Shape> shapes) {
  std::size_t rank = 0;
  for (const Shape& s : shapes) rank = std::max(rank, s.size());
  Shape result(rank, 1);
  for (const Shape& s : shapes) {
    for (std::size_t d = 0; d < s.size(); ++d) {
      std::int64_t& extent = result[rank - s.size() + d];
      if (s[d] == extent || s[d] == 1) continue;
      if (extent != 1) return {};
      extent = s[d];
    }
  }
  return result;
}

TensorId emit_map(Graph& graph, const Label& label, std::span<const MapInput> inputs, const Expression& expression, numerics::Format format,
                  const Shape& shape) {
  Nest nest;
  const std::vector<Affine> point = add_shape_loops(nest, shape);
  std::vector<TensorId> operands;
  std::vector<Expression> with;
  for (const MapInput& input : inputs) {
    if (!input.tensor.valid()) {
      with.push_back(expr_constant(input.scalar));
      continue;
    }
    // A tensor that comes in twice (x * x) is one operand and one read.
    const auto at = std::find(operands.begin(), operands.end(), input.tensor);
    const int slot = static_cast<int>(at - operands.begin());
    if (at == operands.end()) {
      operands.push_back(input.tensor);
      nest.reads.push_back({slot, broadcast_access(graph.tensor(input.tensor).shape, shape, point), {}});
    }
    with.push_back(expr_input(slot));
  }
  nest.expression = substitute(expression, with);
  nest.write = {static_cast<int>(operands.size()), point, {}};
  const TensorId y = add_tensor(graph, label.result, format, shape);
  Op op = make_op(label, std::move(operands), {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_bias(Graph& graph, const Label& label, TensorId x, TensorId bias) {
  const Shape shape = graph.tensor(x).shape;
  Nest nest;
  const std::vector<Affine> point = add_shape_loops(nest, shape);
  nest.reads = {{0, point, {}}, {1, {point[1]}, {}}};
  nest.expression = add(expr_input(0), expr_input(1));
  nest.write = {2, point, {}};
  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, shape);
  Op op = make_op(label, {x, bias}, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_batch_normalization(Graph& graph, const Label& label, TensorId x, TensorId scale, TensorId bias, TensorId mean,
                                  TensorId variance, double epsilon) {
  const Shape shape = graph.tensor(x).shape;
  Nest nest;
  const std::vector<Affine> point = add_shape_loops(nest, shape);
  nest.reads.push_back({0, point, {}});
  for (int slot = 1; slot <= 4; ++slot) nest.reads.push_back({slot, {point[1]}, {}});
  const Expression deviation = apply(ScalarOp::sqrt, add(expr_input(4), expr_constant(epsilon)));
  nest.expression = add(mul(div(sub(expr_input(0), expr_input(3)), deviation), expr_input(1)), expr_input(2));
  nest.write = {5, point, {}};
  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, shape);
  Op op = make_op(label, {x, scale, bias, mean, variance}, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_matmul(Graph& graph, const Label& label, TensorId a, TensorId b) {
  const Shape sa = graph.tensor(a).shape;
  const Shape sb = graph.tensor(b).shape;
  const bool row = sa.size() == 1;     // a is a row vector: no m
  const bool column = sb.size() == 1;  // b is a column vector: no n
  const Shape batch_a(sa.begin(), sa.end() - (row ? 1 : 2));
  const Shape batch_b(sb.begin(), sb.end() - (column ? 1 : 2));
  const std::array batches{batch_a, batch_b};
  Shape shape = broadcast(batches).value();
  const Shape batch = shape;

  Nest nest;
  std::vector<Affine> point;
  for (std::size_t d = 0; d < batch.size(); ++d) point.push_back(affine_variable(add_loop(nest, fmt::format("b{}", d), batch[d])));
  std::vector<Affine> index_a = broadcast_access(batch_a, batch, point);
  std::vector<Affine> index_b = broadcast_access(batch_b, batch, point);
  if (!row) {
    shape.push_back(sa[sa.size() - 2]);
    point.push_back(affine_variable(add_loop(nest, "m", shape.back())));
    index_a.push_back(point.back());
  }
  Affine n;
  if (!column) {
    shape.push_back(sb.back());
    n = affine_variable(add_loop(nest, "n", shape.back()));
    point.push_back(n);
  }
  const Affine k = affine_variable(add_loop(nest, "k", sa.back(), LoopKind::reduction));
  index_a.push_back(k);
  index_b.push_back(k);
  if (!column) index_b.push_back(n);

  nest.reads = {{0, std::move(index_a), {}}, {1, std::move(index_b), {}}};
  nest.expression = mul(expr_input(0), expr_input(1));
  nest.combiner = Combiner::add;
  nest.write = {2, std::move(point), {}};
  const TensorId y = add_tensor(graph, label.result, graph.tensor(a).format, std::move(shape));
  Op op = make_op(label, {a, b}, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_gemm(Graph& graph, const Label& label, TensorId a, bool transpose_a, TensorId b, bool transpose_b) {
  const Shape& sa = graph.tensor(a).shape;
  const Shape& sb = graph.tensor(b).shape;
  const std::int64_t rows = sa[transpose_a ? 1 : 0];
  const std::int64_t depth = sa[transpose_a ? 0 : 1];
  const std::int64_t columns = sb[transpose_b ? 0 : 1];
  Nest nest;
  const Affine m = affine_variable(add_loop(nest, "m", rows));
  const Affine n = affine_variable(add_loop(nest, "n", columns));
  const Affine k = affine_variable(add_loop(nest, "k", depth, LoopKind::reduction));
  const auto pair = [](const Affine& first, const Affine& second, bool swap) {
    return swap ? std::vector<Affine>{second, first} : std::vector<Affine>{first, second};
  };
  nest.reads = {{0, pair(m, k, transpose_a), {}}, {1, pair(k, n, transpose_b), {}}};
  nest.expression = mul(expr_input(0), expr_input(1));
  nest.combiner = Combiner::add;
  nest.write = {2, {m, n}, {}};
  const TensorId y = add_tensor(graph, label.result, graph.tensor(a).format, {rows, columns});
  Op op = make_op(label, {a, b}, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

}  // namespace switchyard::model
