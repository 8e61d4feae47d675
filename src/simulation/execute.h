// The functional engine: runs a program with real numbers in the chip's own formats. It knows no time.
#pragma once

#include <functional>
#include <vector>

#include "numerics/tensor.h"
#include "program/program.h"
#include "support/result.h"

namespace switchyard::simulation {

/// Reads a buffer's present contents as a logical row-major tensor in the buffer's format.
using BufferReader = std::function<numerics::Tensor(program::BufferId)>;

struct ExecuteOptions {
  int threads = 1;
  /// Called after each context, while its inputs and outputs are still in memory.
  std::function<void(program::ContextId, const BufferReader&)> after_context;
};

struct Execution {
  std::vector<numerics::Tensor> outputs;  ///< by output number, logical row-major, in the buffer's format
};

/// Executes a verified program. `inputs` by input number: shapes must match, values are rounded to the buffer's format. Same bytes on any
/// thread count. Failures: simulation/input-shape, simulation/shape-only (constants without values), simulation/deadlock,
/// simulation/unsupported (a unit that accumulates in a format narrower than fp32, unless integer).
Result<Execution> execute(const program::Program& program, const std::vector<numerics::Tensor>& inputs, const ExecuteOptions& options);

}  // namespace switchyard::simulation
