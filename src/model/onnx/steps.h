// Steps: a node's result composed of several operators, and expressions written as formulas.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "model/onnx/node_builder.h"
#include "numerics/expression.h"

namespace switchyard::model::onnx {

// What the builders of operators are written in.
using graph::TensorId;
using numerics::Affine;
using numerics::Combiner;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// --- expressions -----------------------------------------------------------------------------------------------------------------------

inline Expression input(int i) { return numerics::expr_input(i); }
inline Expression x0() { return input(0); }
inline Expression number(double value) { return numerics::expr_constant(value); }
inline Expression unary(ScalarOp op, const Expression& a) { return numerics::apply(op, a); }
inline Expression binary(ScalarOp op, const Expression& a, const Expression& b) { return numerics::apply(op, a, b); }
inline Expression operator+(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::add, a, b); }
inline Expression operator-(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::sub, a, b); }
inline Expression operator*(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::mul, a, b); }
inline Expression operator/(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::div, a, b); }
inline Expression operator<(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::less, a, b); }
inline Expression operator>(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::less, b, a); }
inline Expression operator!(const Expression& a) { return numerics::apply(ScalarOp::logical_not, a); }
inline Expression equal(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::equal, a, b); }
inline Expression max(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::max, a, b); }
inline Expression min(const Expression& a, const Expression& b) { return numerics::apply(ScalarOp::min, a, b); }
inline Expression select(const Expression& a, const Expression& b, const Expression& c) {
  return numerics::apply(ScalarOp::select, a, b, c);
}
inline Expression both(const Expression& a, const Expression& b) { return min(a, b); }    ///< of truth values
inline Expression either(const Expression& a, const Expression& b) { return max(a, b); }  ///< of truth values
Expression truncated(const Expression& x);                                                ///< toward zero
Expression softplus(const Expression& x);                                                 ///< log(1 + exp(x)), without overflow
/// x as a number of the format: saturated into integers (rounded to nearest), rounded into floating ones of at most a byte.
Expression quantised(const Expression& x, numerics::Format to, numerics::Overflow overflow = numerics::Overflow::saturate);

// --- steps -----------------------------------------------------------------------------------------------------------------------------

/// A read of a nest that Steps::nest makes.
struct NestRead {
  graph::TensorId tensor;
  std::vector<numerics::Affine> index;
  std::optional<double> fill{};
};

class Steps {
 public:
  using Id = graph::TensorId;
  explicit Steps(NodeBuilder& b) : b_(b) {}

  [[nodiscard]] numerics::Shape shape(Id id) const { return b_.scratch().tensor(id).shape; }
  [[nodiscard]] numerics::Format format(Id id) const { return b_.scratch().tensor(id).format; }
  [[nodiscard]] Id in(std::size_t i) { return b_.operand(i); }

  /// Element by element, inputs broadcast together (they must fit), in the format of the first unless stated.
  Id map(const std::vector<MapInput>& inputs, const Expression& e, std::optional<numerics::Format> format = {});
  Id map(std::initializer_list<Id> inputs, const Expression& e, std::optional<numerics::Format> format = {});
  Id cast(Id x, numerics::Format to) { return format(x) == to ? x : map({x}, input(0), to); }
  Id reduce(Id x, const std::vector<bool>& axes, bool keep, numerics::Combiner combiner);
  Id reduce(Id x, int axis, bool keep, numerics::Combiner combiner);
  Id softmax(Id x, int axis);
  Id matmul(Id a, Id b);

  Id reshape(Id x, numerics::Shape shape);
  Id transpose(Id x, const std::vector<int>& order);  ///< dimension d of the result is dimension order[d] of x
  Id slice(Id x, int axis, std::int64_t begin, std::int64_t count, std::int64_t step = 1);
  Id expand(Id x, const numerics::Shape& shape);
  Id concat(const std::vector<Id>& parts, int axis);
  Id gather(Id x, const std::vector<std::int64_t>& indices, int axis);  ///< known ones

  Id constant(numerics::Format format, numerics::Shape shape, const std::vector<double>& values);
  /// 0, 1, 2 ... along `axis` of a tensor that has extent 1 in all other of `rank` dimensions.
  Id iota(numerics::Format format, std::int64_t extent, int axis = 0, std::size_t rank = 1, double start = 0, double step = 1);

  /// result[d0, d1, ...] = combine over r0, r1, ... of expression(reads). Variables of the indices: the dimensions of the result, then the
  /// reductions.
  Id nest(numerics::Format format, const numerics::Shape& result, const std::vector<std::int64_t>& reductions,
          const std::vector<NestRead>& reads, const Expression& e, numerics::Combiner combiner = numerics::Combiner::none);

 private:
  Label next(std::string kind);

  NodeBuilder& b_;
  int count_ = 0;
};

/// The index of a tensor of `shape` that broadcasts to `result`, whose dimensions are the first loops of a nest.
std::vector<numerics::Affine> broadcast_index(const numerics::Shape& shape, const numerics::Shape& result);
inline numerics::Affine loop(int variable, std::int64_t coefficient = 1) { return numerics::affine_variable(variable, coefficient); }
inline numerics::Affine at(std::int64_t value) { return numerics::affine_constant(value); }

}  // namespace switchyard::model::onnx
