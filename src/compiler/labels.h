// Labels: what a program says of the model it was made from, and notes on how.
#pragma once

#include <string>
#include <vector>

#include "compiler/kernel.h"
#include "compiler/mapping.h"
#include "graph/graph.h"
#include "program/program.h"

namespace switchyard::compiler {

/// Name, sizes and formats of the model; no bounds and no notes.
program::Labels labels_of(const graph::Graph& model, numerics::Format precision);

/// Contractions in formats that no matrix unit of the chip multiplies, one note for each.
std::vector<std::string> fallback_notes(const graph::Graph& graph, const std::vector<Kernel>& kernels, const std::vector<Mapping>& mappings,
                                        const chip::Chip& chip);

}  // namespace switchyard::compiler
