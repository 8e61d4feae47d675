// Off-chip buffers as bytes in their physical order, alive from the first context that uses them to the last.
#pragma once

#include <cstdint>
#include <vector>

#include "numerics/tensor.h"
#include "program/program.h"
#include "support/result.h"

namespace switchyard::simulation::functional {

/// Elements between neighbours along each logical dimension.
std::vector<std::int64_t> buffer_strides(const program::Buffer& buffer);

class BufferStore {
 public:
  /// Checks the inputs' number and shapes and that every constant has values. Failures: simulation/input-shape, simulation/shape-only.
  static Result<BufferStore> open(const program::Program& program, const std::vector<numerics::Tensor>& inputs);

  void begin_context(std::size_t context);  ///< makes what the context uses first
  void end_context(std::size_t context);    ///< frees what it used last; outputs stay
  [[nodiscard]] std::byte* data(program::BufferId buffer) { return bytes_[buffer.index()].data(); }
  /// Present contents, logical row-major. The buffer must be alive.
  [[nodiscard]] numerics::Tensor read(program::BufferId buffer) const;
  /// The output, whether or not a context wrote it.
  [[nodiscard]] numerics::Tensor take_output(program::BufferId buffer);

 private:
  BufferStore(const program::Program& program, const std::vector<numerics::Tensor>& inputs) : program_(&program), inputs_(&inputs) {}
  void make(program::BufferId buffer);
  void set(program::BufferId buffer, numerics::Tensor tensor);

  const program::Program* program_;
  const std::vector<numerics::Tensor>* inputs_;
  std::vector<std::vector<std::byte>> bytes_;
  std::vector<bool> alive_;
  std::vector<std::vector<std::uint32_t>> first_used_, last_used_;  ///< by context: buffers
};

}  // namespace switchyard::simulation::functional
