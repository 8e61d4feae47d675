// Scalar expressions: a small directed acyclic graph computed once per point of a loop nest.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "numerics/format.h"

namespace switchyard::numerics {

enum class ScalarOp : std::uint8_t {
  input,
  constant,
  neg,
  abs,
  exp,
  log,
  sqrt,
  reciprocal,
  tanh,
  erf,
  sigmoid,
  floor,
  ceil,
  logical_not,
  add,
  sub,
  mul,
  div,
  max,
  min,
  pow,
  less,
  equal,
  select,  // a != 0 ? b : c
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  round,      // to the nearest integer, ties to even
  remainder,  // of a / b cut to an integer: the sign of a, as C's fmod and %
  bit_and,    // of integers in two's complement
  bit_or,
  bit_xor,
  shift_left,
  shift_right,
  cast,    // a in the number format with ONNX's data type number b (+ 100: not saturating; + 200: rounding down, + 400: up; see cast_code)
  random,  // uniform in [0, 1), a multiple of 2^-24: a hash of the place (a, b) under the key c (numerics/random.h)
};
inline constexpr ScalarOp kLastScalarOp = ScalarOp::random;

/// What an operation costs a vector unit: `simple` is one lane-operation, `special` goes to the special-function rate.
enum class ScalarOpCost : std::uint8_t { free, simple, special };

struct ScalarOpInfo {
  ScalarOp op;
  std::string_view name;
  int arity;
  ScalarOpCost cost;
  int steps = 1;  ///< operations of its class that it takes
};
const ScalarOpInfo& scalar_op_info(ScalarOp op);
std::optional<ScalarOp> scalar_op_named(std::string_view name);

/// Nodes in topological order; the last one is the result. Inputs are numbered by the owner's list of reads.
struct Expression {
  struct Node {
    ScalarOp op = ScalarOp::input;
    int a = -1, b = -1, c = -1;  ///< earlier nodes; for `input`, a is the input number
    double constant = 0;
    /// Constants are compared by their bits: nan equals nan, 0 differs from -0.
    bool operator==(const Node& o) const {
      return op == o.op && a == o.a && b == o.b && c == o.c &&
             std::bit_cast<std::uint64_t>(constant) == std::bit_cast<std::uint64_t>(o.constant);
    }
  };
  std::vector<Node> nodes;

  bool operator==(const Expression&) const = default;
  [[nodiscard]] bool is_input() const { return nodes.size() == 1 && nodes[0].op == ScalarOp::input; }
  /// mul(x0, x1) of two different inputs: with combiner add, a contraction.
  [[nodiscard]] bool is_product_of_inputs() const;
  [[nodiscard]] int input_count() const;             ///< 1 + the greatest input number, 0 without inputs
  [[nodiscard]] int count(ScalarOpCost cost) const;  ///< of its class, in steps
};

// Builders.
Expression expr_input(int number);
Expression expr_constant(double value);
Expression apply(ScalarOp op, const Expression& a);
Expression apply(ScalarOp op, const Expression& a, const Expression& b);
Expression apply(ScalarOp op, const Expression& a, const Expression& b, const Expression& c);
/// Each input i of `e` replaced by with[i]; common nodes are shared.
Expression substitute(const Expression& e, std::span<const Expression> with);

/// The second operand of ScalarOp::cast, and back.
struct CastRule {
  Format to = Format::fp32;
  Overflow overflow = Overflow::saturate;
  RoundingMode mode = RoundingMode::nearest;
};
double cast_code(const CastRule& rule);
CastRule cast_rule(double code);  ///< of a number that is no code: fp32

/// Value in double. This is the one definition of each operation: engines must agree with it to rounding.
/// max and min give NaN when either side is NaN (max(0, -0) may be either zero); less and equal give 0 or 1.
double evaluate(const Expression& e, std::span<const double> inputs);
double apply_scalar(ScalarOp op, double a, double b = 0, double c = 0);

/// "max(add(x0, x1), 0)". Shared nodes are printed in full each time they are used.
std::string print_expression(const Expression& e);
/// Empty on bad text, more than 4096 distinct nodes, 500 levels, or an input number above 9999.
std::optional<Expression> parse_expression(std::string_view text);

}  // namespace switchyard::numerics
