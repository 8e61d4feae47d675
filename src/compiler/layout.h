// Layout: in which physical order the dimensions of each tensor lie in off-chip memory.
#pragma once

#include <vector>

#include "compiler/kernel.h"

namespace switchyard::compiler {

/// Per tensor, slowest dimension first. Inputs and outputs keep the model's row-major order; constants take the order their kernel reads;
/// other tensors put the dimension innermost along which matrix units contract or produce (channels last), agreed over element-wise chains.
std::vector<std::vector<int>> choose_layouts(const graph::Graph& graph, const std::vector<Kernel>& kernels);

}  // namespace switchyard::compiler
