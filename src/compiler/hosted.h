// Models with work for the host: the chip's parts before and after it are compiled each for itself, and put together into one program.
#pragma once

#include "compiler/compiler.h"

namespace switchyard::compiler {

/// Steps of the host, or nothing at all to run (outputs without elements).
bool has_host_work(const graph::Graph& model);

/// Gives the element-wise operators on tensors of `format` to the host, which computes them in double: for values that the chip's formats
/// cannot hold.
graph::Graph give_to_host(graph::Graph model, numerics::Format format);

/// As compile(). Steps of the host are contexts without actors; what they share with the chip lies in off-chip memory.
Result<Compiled> compile_around_host(const graph::Graph& model, std::shared_ptr<const chip::Chip> chip, const CompileOptions& options);

}  // namespace switchyard::compiler
