// A loop nest: the one shape in which the graph's operators and the program's tile bodies say what they compute.
//
//   for every point of the loops:  write[...] = combine(write[...], expression(reads[...]))
//
// Loops are ranges 0 <= i < extent. Accesses are affine in the loops. Operands are "slots"; their owner (a graph operator, a
// program actor) says what slot s is. Reduction order is the order in which the loops are listed, the last one fastest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "numerics/affine.h"
#include "numerics/expression.h"

namespace switchyard::numerics {

enum class LoopKind : std::uint8_t { parallel, reduction, sequential };

struct NestLoop {
  std::string name;
  std::int64_t extent = 1;
  LoopKind kind = LoopKind::parallel;
  bool operator==(const NestLoop&) const = default;
};

enum class Combiner : std::uint8_t { none, add, mul, max, min };
std::string_view combiner_name(Combiner c);
std::optional<Combiner> combiner_named(std::string_view name);
double combiner_identity(Combiner c);  ///< 0, 1, -inf, +inf
double combine(Combiner c, double accumulator, double value);

/// A data-dependent index: in this dimension the index is the value of another read of the nest. Negative values count from the end.
struct Lookup {
  int dimension = 0;
  int read = 0;
  bool operator==(const Lookup&) const = default;
};

struct Access {
  int slot = 0;
  std::vector<Affine> index;   ///< one per dimension of the slot; 0 where a lookup gives it
  std::optional<double> fill;  ///< value where the index leaves the slot's shape; without it leaving is an error
  std::vector<Lookup> lookups = {};
  bool operator==(const Access&) const = default;
};

struct Nest {
  std::vector<NestLoop> loops;
  std::vector<Access> reads;  ///< input i of the expression is reads[i]
  Expression expression;
  Combiner combiner = Combiner::none;
  Access write;
  bool operator==(const Nest&) const = default;

  /// combiner add over a product of two reads: matrix units run these.
  [[nodiscard]] bool is_contraction() const { return combiner == Combiner::add && expression.is_product_of_inputs() && !has_lookups(); }
  /// A pure copy: no arithmetic at all, from places known before it runs.
  [[nodiscard]] bool is_copy() const { return combiner == Combiner::none && expression.is_input() && !has_lookups(); }
  [[nodiscard]] bool has_lookups() const;
  [[nodiscard]] std::int64_t points() const;  ///< product of the extents (SY_CHECK on overflow)
};

}  // namespace switchyard::numerics
