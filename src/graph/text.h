// Graph <-> text: parse(print(g)) == g up to constants' values.
#pragma once

#include <string>

#include "graph/graph.h"
#include "support/result.h"

namespace switchyard::graph {

std::string print(const Graph& graph);
Result<Graph> parse(const std::string& text, const std::string& file);

}  // namespace switchyard::graph
