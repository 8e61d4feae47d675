#include "model/onnx/steps.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/emit_detail.h"

namespace switchyard::model::onnx {
Expression truncated(const Expression& x) { return select(x < number(0), unary(ScalarOp::ceil, x), unary(ScalarOp::floor, x)); }

Expression softplus(const Expression& x) {
  return max(x, number(0)) + unary(ScalarOp::log, number(1) + unary(ScalarOp::exp, unary(ScalarOp::neg, unary(ScalarOp::abs, x))));
}

Expression quantised(const Expression& x, Format to, numerics::Overflow overflow) {
  const numerics::FormatInfo& info = numerics::format_info(to);
  if (info.floating) {
    if (info.bytes > 1) return x;
    return binary(ScalarOp::cast, x, number(numerics::cast_code({to, overflow, numerics::RoundingMode::nearest})));
  }
  const double least = !info.is_signed ? 0 : info.max_finite >= 0x1p63 ? -0x1p63 : -info.max_finite - 1;
  return min(max(unary(ScalarOp::round, x), number(least)), number(info.max_finite));
}

std::vector<Affine> broadcast_index(const Shape& shape, const Shape& result) {
  std::vector<Affine> index;
  const std::size_t skip = result.size() - shape.size();
  for (std::size_t d = 0; d < shape.size(); ++d) {
    index.push_back(shape[d] == 1 && result[skip + d] != 1 ? at(0) : loop(static_cast<int>(skip + d)));
  }
  return index;
}

Label Steps::next(std::string kind) {
  const std::string suffix = fmt::format(":{}", count_++);
  Label label = b_.helper(std::move(kind), suffix);
  label.result += suffix;
  return label;
}

Steps::Id Steps::map(const std::vector<MapInput>& inputs, const Expression& e, std::optional<Format> format) {
  std::vector<Shape> shapes;
  for (const MapInput& i : inputs) {
    if (!i.tensor.valid()) continue;
    shapes.push_back(shape(i.tensor));
    if (!format) format = this->format(i.tensor);
  }
  return emit_map(b_.scratch(), next("Map"), inputs, e, format.value(), broadcast(shapes).value());
}

Steps::Id Steps::map(std::initializer_list<Id> inputs, const Expression& e, std::optional<Format> format) {
  std::vector<MapInput> list;
  for (const Id id : inputs) list.push_back(MapInput::of(id));
  return map(list, e, format);
}

Steps::Id Steps::reduce(Id x, const std::vector<bool>& axes, bool keep, Combiner combiner) {
  return emit_reduction(b_.scratch(), next("Reduce"), x, axes, keep, combiner);
}

Steps::Id Steps::reduce(Id x, int axis, bool keep, Combiner combiner) {
  std::vector<bool> axes(shape(x).size(), false);
  axes[static_cast<std::size_t>(axis)] = true;
  return reduce(x, axes, keep, combiner);
}

Steps::Id Steps::softmax(Id x, int axis) {
  std::vector<bool> axes(shape(x).size(), false);
  axes[static_cast<std::size_t>(axis)] = true;
  return emit_softmax(b_.scratch(), next("Softmax"), x, axes, false);
}

Steps::Id Steps::matmul(Id a, Id b) { return emit_matmul(b_.scratch(), next("MatMul"), a, b); }

Steps::Id Steps::reshape(Id x, Shape to) { return shape(x) == to ? x : emit_reshape(b_.scratch(), next("Reshape"), x, to); }

Steps::Id Steps::transpose(Id x, const std::vector<int>& order) {
  const Shape from = shape(x);
  Shape to;
  std::vector<Affine> index(from.size());
  for (std::size_t d = 0; d < order.size(); ++d) {
    to.push_back(from[static_cast<std::size_t>(order[d])]);
    index[static_cast<std::size_t>(order[d])] = loop(static_cast<int>(d));
  }
  return emit_copy(b_.scratch(), next("Transpose"), x, to, std::move(index));
}

Steps::Id Steps::slice(Id x, int axis, std::int64_t begin, std::int64_t count, std::int64_t step) {
  Shape to = shape(x);
  const auto along = static_cast<std::size_t>(axis);
  std::vector<Affine> index;
  for (std::size_t d = 0; d < to.size(); ++d) index.push_back(loop(static_cast<int>(d)));
  index[along] = loop(axis, step) + at(begin);
  to[along] = count;
  return emit_copy(b_.scratch(), next("Slice"), x, to, std::move(index));
}

Steps::Id Steps::expand(Id x, const Shape& to) {
  if (shape(x) == to) return x;
  return emit_copy(b_.scratch(), next("Expand"), x, to, broadcast_index(shape(x), to));
}

Steps::Id Steps::concat(const std::vector<Id>& parts, int axis) {
  return parts.size() == 1 ? parts[0] : emit_concat(b_.scratch(), next("Concat"), parts, axis);
}

Steps::Id Steps::gather(Id x, const std::vector<std::int64_t>& indices, int axis) {
  return emit_gather(b_.scratch(), next("Gather"), x, indices, {static_cast<std::int64_t>(indices.size())}, axis);
}

Steps::Id Steps::constant(Format format, Shape shape, const std::vector<double>& values) {
  numerics::Tensor tensor = numerics::make_tensor(format, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) tensor.set(static_cast<std::int64_t>(i), values[i]);
  return b_.constant(next("Constant").result, std::move(tensor));
}

Steps::Id Steps::iota(Format format, std::int64_t extent, int axis, std::size_t rank, double start, double step) {
  Shape shape(rank, 1);
  shape[static_cast<std::size_t>(axis)] = extent;
  std::vector<double> values;
  for (std::int64_t i = 0; i < extent; ++i) values.push_back(start + step * static_cast<double>(i));
  return constant(format, shape, values);
}

Steps::Id Steps::nest(Format format, const Shape& result, const std::vector<std::int64_t>& reductions, const std::vector<NestRead>& reads,
                      const Expression& e, Combiner combiner) {
  graph::Graph& g = b_.scratch();
  numerics::Nest nest;
  std::vector<Affine> point = detail::add_shape_loops(nest, result);
  for (std::size_t r = 0; r < reductions.size(); ++r)
    detail::add_loop(nest, fmt::format("r{}", r), reductions[r], numerics::LoopKind::reduction);
  std::vector<Id> operands;
  for (const NestRead& read : reads) {
    const auto place = std::find(operands.begin(), operands.end(), read.tensor);
    nest.reads.push_back({static_cast<int>(place - operands.begin()), read.index, read.fill});
    if (place == operands.end()) operands.push_back(read.tensor);
  }
  nest.expression = e;
  nest.combiner = combiner;
  nest.write = {static_cast<int>(operands.size()), std::move(point), {}};
  const Label label = next("Nest");
  const Id y = add_tensor(g, label.result, format, result);
  graph::Op op = detail::make_op(label, std::move(operands), {y});
  op.nests.push_back(std::move(nest));
  g.ops.push_back(std::move(op));
  return y;
}

}  // namespace switchyard::model::onnx
