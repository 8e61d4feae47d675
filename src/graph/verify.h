// Checks the laws stated in graph.h.
#pragma once

#include "graph/graph.h"
#include "support/result.h"

namespace switchyard::graph {

Status verify(const Graph& graph);  ///< diagnostics graph/...

}  // namespace switchyard::graph
