// Grid search: the blocks and slices of a kernel on a chip that deals them in waves. What is tried are the tiles that kernels come in
// (chip file), each timed as the engine times it.
#pragma once

#include <vector>

#include "compiler/mapping.h"

namespace switchyard::compiler {

/// Does the machine deal blocks in waves?
bool deals_waves(const Machine& machine);

/// The best mapping found on one choice of units; empty where none fits.
std::vector<Mapping> search_grid(const Machine& machine, const graph::Graph& graph, const Kernel& kernel,
                                 const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach, std::int64_t reserved,
                                 const UnitChoice& units);

}  // namespace switchyard::compiler
