// Operators that only move elements.
#include <algorithm>

#include "model/emit.h"
#include "model/emit_detail.h"

namespace switchyard::model {

using namespace detail;

namespace {

/// Products of the trailing dimensions: 1, last, last*previous, ... (dimensions of extent 1 change nothing).
void add_suffix_products(const Shape& shape, std::vector<std::int64_t>& products) {
  std::int64_t product = 1;
  products.push_back(product);
  for (auto d = shape.rbegin(); d != shape.rend(); ++d) products.push_back(product *= *d);
}

/// Extents of the common refinement of two shapes of equal size, outermost first; empty when one's dimension boundaries cut
/// the other's unevenly.
std::optional<std::vector<std::int64_t>> common_refinement(const Shape& a, const Shape& b) {
  std::vector<std::int64_t> products;
  add_suffix_products(a, products);
  add_suffix_products(b, products);
  std::sort(products.begin(), products.end());
  products.erase(std::unique(products.begin(), products.end()), products.end());
  std::vector<std::int64_t> extents;
  for (std::size_t i = 1; i < products.size(); ++i) {
    if (products[i] % products[i - 1] != 0) return {};
    extents.push_back(products[i] / products[i - 1]);
  }
  std::reverse(extents.begin(), extents.end());
  return extents;
}

/// Puts an extent of 1 into the refinement for each such dimension of `shape`: then a reshape that only splits dimensions writes every
/// dimension with a loop of its own, by which later passes know it.
void add_ones(const Shape& shape, std::vector<std::int64_t>& extents) {
  std::size_t loop = extents.size();
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) extents.insert(extents.begin() + static_cast<std::ptrdiff_t>(loop), 1);
    for (std::int64_t covered = 1; covered < shape[d];) covered *= extents[--loop];
  }
}

/// The index into `shape` as mixed-radix numbers over the refinement's loops; its dimensions of extent 1 take the loops of extent 1.
std::vector<Affine> refined_index(const Shape& shape, const std::vector<std::int64_t>& extents) {
  std::vector<Affine> index(shape.size(), affine_constant(0));
  std::vector<std::size_t> ones;
  for (std::size_t l = 0; l < extents.size(); ++l) {
    if (extents[l] == 1) ones.push_back(l);
  }
  auto one = ones.begin();
  for (std::size_t d = 0; d < shape.size() && one != ones.end(); ++d) {
    if (shape[d] == 1) index[d] = affine_variable(static_cast<int>(*one++));
  }
  std::size_t loop = extents.size();
  for (std::size_t d = shape.size(); d-- > 0;) {
    for (std::int64_t covered = 1; covered < shape[d];) {
      if (extents[--loop] == 1) continue;
      index[d] = affine_variable(static_cast<int>(loop), covered) + index[d];
      covered *= extents[loop];
    }
  }
  return index;
}

}  // namespace

TensorId emit_copy(Graph& graph, const Label& label, TensorId x, const Shape& shape, std::vector<Affine> index,
                   std::optional<double> fill) {
  Nest nest;
  std::vector<Affine> point = add_shape_loops(nest, shape);
  nest.reads = {{0, std::move(index), fill}};
  nest.expression = expr_input(0);
  nest.write = {1, std::move(point), {}};
  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, shape);
  Op op = make_op(label, {x}, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_lookup(Graph& graph, const Label& label, TensorId x, const Shape& shape, std::vector<Affine> index,
                     std::span<const LookedUp> lookups) {
  Nest nest;
  std::vector<Affine> point = add_shape_loops(nest, shape);
  std::vector<TensorId> operands{x};
  nest.reads = {{0, std::move(index), {}}};
  for (const LookedUp& lookup : lookups) {
    const auto at = std::find(operands.begin(), operands.end(), lookup.indices);
    nest.reads[0].lookups.push_back({lookup.dimension, static_cast<int>(nest.reads.size())});
    nest.reads.push_back({static_cast<int>(at - operands.begin()), lookup.index, {}});
    if (at == operands.end()) operands.push_back(lookup.indices);
  }
  nest.expression = expr_input(0);
  nest.write = {static_cast<int>(operands.size()), std::move(point), {}};
  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, shape);
  Op op = make_op(label, operands, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_reshape(Graph& graph, const Label& label, TensorId x, const Shape& shape) {
  const Shape from = graph.tensor(x).shape;
  // Nothing to move: such an operator has no points, whatever its access says.
  if (numerics::element_count(shape) == 0) return emit_copy(graph, label, x, shape, std::vector<Affine>(from.size(), affine_constant(0)));
  auto extents = common_refinement(from, shape);
  if (!extents) {
    Label flat = label;
    flat.op += ":flat";
    flat.result += ":flat";
    return emit_reshape(graph, label, emit_reshape(graph, flat, x, {numerics::element_count(from)}), shape);
  }
  add_ones(shape, *extents);
  Nest nest;
  for (std::size_t i = 0; i < extents->size(); ++i) add_loop(nest, fmt::format("r{}", i), (*extents)[i]);
  nest.reads = {{0, refined_index(from, *extents), {}}};
  nest.expression = expr_input(0);
  nest.write = {1, refined_index(shape, *extents), {}};
  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, shape);
  Op op = make_op(label, {x}, {y});
  op.nests.push_back(std::move(nest));
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_concat(Graph& graph, const Label& label, std::span<const TensorId> parts, int axis) {
  const auto along = static_cast<std::size_t>(axis);
  Shape shape = graph.tensor(parts[0]).shape;
  shape[along] = 0;
  std::vector<TensorId> operands;
  std::vector<int> slots;
  for (const TensorId part : parts) {
    shape[along] += graph.tensor(part).shape[along];
    const auto at = std::find(operands.begin(), operands.end(), part);
    slots.push_back(static_cast<int>(at - operands.begin()));
    if (at == operands.end()) operands.push_back(part);
  }
  const TensorId y = add_tensor(graph, label.result, graph.tensor(parts[0]).format, shape);
  Op op = make_op(label, operands, {y});
  std::int64_t begin = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const Shape& part = graph.tensor(parts[p]).shape;
    Nest nest;
    std::vector<Affine> point = add_shape_loops(nest, part);
    nest.reads = {{slots[p], point, {}}};
    nest.expression = expr_input(0);
    point[along] = point[along] + affine_constant(begin);
    nest.write = {op.result_slot(0), std::move(point), {}};
    op.nests.push_back(std::move(nest));
    begin += part[along];
  }
  graph.ops.push_back(std::move(op));
  return y;
}

TensorId emit_gather(Graph& graph, const Label& label, TensorId x, std::span<const std::int64_t> indices, const Shape& index_shape,
                     int axis) {
  const Shape from = graph.tensor(x).shape;
  const auto along = static_cast<std::size_t>(axis);
  Shape shape(from.begin(), from.begin() + axis);
  shape.insert(shape.end(), index_shape.begin(), index_shape.end());
  shape.insert(shape.end(), from.begin() + axis + 1, from.end());
  const TensorId y = add_tensor(graph, label.result, graph.tensor(x).format, shape);
  Op op = make_op(label, {x}, {y});

  const std::int64_t row = index_shape.empty() ? 1 : index_shape.back();
  const std::vector<std::int64_t> strides = numerics::row_major_strides(index_shape);
  for (std::int64_t first = 0; first < static_cast<std::int64_t>(indices.size());) {
    // The longest run of evenly spaced indices inside one row of the index tensor.
    const auto at = [&](std::int64_t i) { return indices[static_cast<std::size_t>(i)]; };
    const std::int64_t row_end = first - first % row + row;
    const std::int64_t step = first + 1 < row_end ? at(first + 1) - at(first) : 0;
    std::int64_t end = first + 1;
    while (end < row_end && at(end) - at(end - 1) == step) ++end;

    Nest nest;
    Access read{0, {}, {}};
    std::vector<Affine> point;
    for (std::size_t d = 0; d < along; ++d) read.index.push_back(affine_variable(add_loop(nest, fmt::format("d{}", d), from[d])));
    point = read.index;
    Affine run = affine_constant(0);
    if (end - first > 1) run = affine_variable(add_loop(nest, "i", end - first));
    read.index.push_back(run * step + affine_constant(at(first)));
    for (std::size_t d = 0; d < index_shape.size(); ++d) {
      // A dimension of extent 1 has a loop, too: where there is no other nest, the write then is the identity.
      point.push_back(index_shape[d] == 1 ? affine_variable(add_loop(nest, fmt::format("u{}", d), 1))
                                          : affine_constant(first / strides[d] % index_shape[d]));
      if (d + 1 == index_shape.size()) point.back() = point.back() + run;
    }
    for (std::size_t d = along + 1; d < from.size(); ++d) {
      const Affine v = affine_variable(add_loop(nest, fmt::format("d{}", d), from[d]));
      read.index.push_back(v);
      point.push_back(v);
    }
    nest.reads = {std::move(read)};
    nest.expression = expr_input(0);
    nest.write = {op.result_slot(0), std::move(point), {}};
    op.nests.push_back(std::move(nest));
    first = end;
  }
  graph.ops.push_back(std::move(op));
  return y;
}

}  // namespace switchyard::model
