// Requantisation: what stands between the sums of a quantised product and the next rounding, in as few steps as its meaning allows.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace switchyard::compiler {

/// Of an element-wise operator:
///   - the factor before a rounding goes into the constants that stand before it, as far as there are such: (s c + b) k = s (c k) + b k;
///   - a bias behind the scales of integer sums becomes an integer before them, as every integer network has it, and so does a maximum with
///   0:
///     max(s c + b, 0) = max(s + round(b / c), 0) c, which a matrix unit can do on the way out;
///   - a lower limit that cannot be reached is left out.
/// `scales`: constants that are positive, one number or one for each channel. `stored`: tensors that keep their format; those made here are
/// added.
void simplify_requantisation(graph::Graph& graph, graph::Op& op, const std::vector<graph::TensorId>& scales,
                             std::vector<graph::TensorId>& stored);

}  // namespace switchyard::compiler
