// The functional engine: runs a program with real numbers in the chip's own formats. It knows no time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "numerics/tensor.h"
#include "program/program.h"
#include "support/result.h"

namespace switchyard::simulation {

/// Two copies of one element of a spread buffer that hold different bits.
struct CopiesDiffer {
  program::BufferId buffer;
  std::vector<std::int64_t> index;
  std::array<std::uint32_t, 2> components{};
  std::array<double, 2> values{};
};

/// Reads a buffer's present contents as a logical row-major tensor in the buffer's format. Of a spread buffer: the copy of the first
/// instance that has one; elements that no part holds, or that nobody wrote, are NaN (of integers the one farthest from zero).
class BufferReader {
 public:
  using Tensors = std::function<numerics::Tensor(program::BufferId)>;
  using Copies = std::function<std::optional<CopiesDiffer>(program::BufferId)>;
  template <class F>
  requires(std::is_invocable_r_v<numerics::Tensor, F&, program::BufferId> && !std::is_same_v<F, BufferReader>)
      BufferReader(F tensors, Copies copies = {})
      : tensors_(std::move(tensors)), copies_(std::move(copies)) {}
  numerics::Tensor operator()(program::BufferId buffer) const { return tensors_(buffer); }
  /// The first element of which two copies differ: nothing of buffers that are not spread.
  [[nodiscard]] std::optional<CopiesDiffer> copies_differ(program::BufferId buffer) const {
    return copies_ ? copies_(buffer) : std::nullopt;
  }

 private:
  Tensors tensors_;
  Copies copies_;
};

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
