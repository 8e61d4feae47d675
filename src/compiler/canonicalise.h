// Graph -> Graph: affine maps (batch normalisation, scales) folded into weights, copies composed away, element-wise chains merged.
#pragma once

#include <vector>

#include "compiler/compiler.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// The graph that the chip will execute: same inputs and outputs. After it, a tensor may be written by several operators (parts of a
/// concatenation), each element by exactly one.
graph::Graph canonicalise(const graph::Graph& model, std::vector<Decision>& decisions);

/// Element-wise operators that one other reads, over as many points, are computed there. For passes that add such operators later.
void merge_maps(graph::Graph& graph);

}  // namespace switchyard::compiler
