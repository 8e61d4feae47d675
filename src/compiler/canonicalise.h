// Graph -> Graph: constants folded, batch normalisation folded into weights, copies composed away, element-wise chains merged.
#pragma once

#include <vector>

#include "compiler/compiler.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// The graph that the chip will execute: same inputs and outputs. After it, a tensor may be written by several operators (parts of a
/// concatenation), each element by exactly one.
graph::Graph canonicalise(const graph::Graph& model, std::vector<Decision>& decisions);

}  // namespace switchyard::compiler
