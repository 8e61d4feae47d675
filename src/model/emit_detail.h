// Small pieces shared by the emitters; nobody else includes this.
#pragma once

#include <fmt/format.h>

#include "model/emit.h"

namespace switchyard::model::detail {

using graph::Graph;
using graph::Op;
using graph::TensorId;
using numerics::Access;
using numerics::Affine;
using numerics::affine_constant;
using numerics::affine_variable;
using numerics::apply;
using numerics::Combiner;
using numerics::expr_constant;
using numerics::expr_input;
using numerics::Expression;
using numerics::LoopKind;
using numerics::Nest;
using numerics::ScalarOp;
using numerics::Shape;

inline Op make_op(const Label& label, std::vector<TensorId> operands, std::vector<TensorId> results) {
  Op op;
  op.name = label.op;
  op.kind = label.kind;
  op.nodes = label.nodes;
  op.operands = std::move(operands);
  op.results = std::move(results);
  return op;
}

/// Appends a loop and returns its variable.
inline int add_loop(Nest& nest, std::string name, std::int64_t extent, LoopKind kind = LoopKind::parallel) {
  nest.loops.push_back({std::move(name), extent, kind});
  return static_cast<int>(nest.loops.size()) - 1;
}

/// One parallel loop "d<k>" per dimension; returns the access that names every element of `shape` once.
inline std::vector<Affine> add_shape_loops(Nest& nest, const Shape& shape) {
  std::vector<Affine> index;
  for (std::size_t d = 0; d < shape.size(); ++d) index.push_back(affine_variable(add_loop(nest, fmt::format("d{}", d), shape[d])));
  return index;
}

/// How a tensor of `shape` is read at the point `full` of a result it broadcasts to.
inline std::vector<Affine> broadcast_access(const Shape& shape, const Shape& result, const std::vector<Affine>& full) {
  std::vector<Affine> index;
  const std::size_t skip = result.size() - shape.size();
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const bool spread = shape[d] == 1 && result[skip + d] != 1;
    index.push_back(spread ? affine_constant(0) : full[skip + d]);
  }
  return index;
}

inline Expression add(const Expression& a, const Expression& b) { return apply(ScalarOp::add, a, b); }
inline Expression sub(const Expression& a, const Expression& b) { return apply(ScalarOp::sub, a, b); }
inline Expression mul(const Expression& a, const Expression& b) { return apply(ScalarOp::mul, a, b); }
inline Expression div(const Expression& a, const Expression& b) { return apply(ScalarOp::div, a, b); }

}  // namespace switchyard::model::detail
