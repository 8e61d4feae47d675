// Formats: in which number format each tensor is stored and computed.
#pragma once

#include <vector>

#include "chip/chip.h"
#include "compiler/compiler.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// Every floating tensor takes `precision`. Truth values take it too where the chip does not store them: 0 and 1 are exact in any format,
/// and its units then compute on one format. Other formats stay as they are.
void choose_formats(graph::Graph& graph, const chip::Chip& chip, numerics::Format precision, std::vector<Decision>& decisions);

}  // namespace switchyard::compiler
