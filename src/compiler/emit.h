// Emit: a kernel and its mapping become one context of the program.
#pragma once

#include <vector>

#include "compiler/mapping.h"
#include "program/program.h"

namespace switchyard::compiler {

/// `buffers[t]` is the buffer of tensor t. Storage is laid out from the start of the usable scratchpad.
program::Context emit_context(const Machine& machine, const graph::Graph& graph, const Kernel& kernel, const Mapping& mapping,
                              const std::vector<std::vector<int>>& layouts, const std::vector<program::BufferId>& buffers);

}  // namespace switchyard::compiler
