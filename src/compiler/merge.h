// Merge: products of one tensor with several constants become one product, with the constants side by side.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/compiler.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// Products that could become one.
struct Merge {
  std::string name;                   ///< of that one
  std::vector<std::string> products;  ///< names of operators
  bool merged = false;
};

/// Contractions that read one tensor alike and multiply it by constants of their own (the query, key and value of an attention) become one
/// contraction with a longer loop; element-wise operators with constants behind them (a bias), where they are all alike, are merged too.
/// Whoever read a result reads its part of the longer one. Values stay the same to the bit: each point is computed as before. No result has
/// more than `most` elements; where `given` is there, those become one that it names, however large. Returns all that could.
std::vector<Merge> merge_products(graph::Graph& graph, double most, std::vector<Decision>& decisions,
                                  const std::optional<std::vector<std::string>>& given = {});

}  // namespace switchyard::compiler
