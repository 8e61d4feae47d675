// Buffers as bytes in their physical order, alive from the first context that uses them to the last. Each part of a spread buffer has bytes
// of its own, so that an element that never reached a copy shows there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "numerics/tensor.h"
#include "program/boxes.h"
#include "program/program.h"
#include "simulation/execute.h"
#include "support/result.h"

namespace switchyard::simulation::functional {

/// Elements between neighbours along each logical dimension: of the buffer, or of each part where it is spread.
std::vector<std::int64_t> buffer_strides(const program::Buffer& buffer);

/// What an element that nobody wrote holds in a scratchpad: not a number, or the integer farthest from zero.
void fill_unwritten(numerics::Format format, std::byte* out, std::int64_t count);

/// Where one component finds elements of a buffer: all of an off-chip one, its own part of a spread one.
struct Ground {
  std::byte* data = nullptr;
  std::int64_t origin = 0;  ///< the place that index 0 would have, in elements before `data`
  std::span<const std::int64_t> strides;
  const program::Box* held = nullptr;  ///< the indices that lie here
};

class BufferStore {
 public:
  /// Checks the inputs' number and shapes and that every constant has values. Failures: simulation/input-shape, simulation/shape-only.
  static Result<BufferStore> open(const program::Program& program, const std::vector<numerics::Tensor>& inputs);

  void begin_context(std::size_t context);  ///< makes what the context uses first
  void end_context(std::size_t context);    ///< frees what it used last; outputs stay
  /// For an actor on `component`, which an off-chip buffer does not ask for. The buffer must be alive.
  [[nodiscard]] Ground ground(program::BufferId buffer, std::uint32_t component);
  [[nodiscard]] Ground part(program::BufferId buffer, std::size_t instance);
  /// What the instances of a spread buffer hold.
  [[nodiscard]] const std::vector<program::Box>& parts(program::BufferId buffer) const { return spread_[buffer.index()].held; }
  /// Present contents, logical row-major; of several copies that of the first instance. The buffer must be alive.
  [[nodiscard]] numerics::Tensor read(program::BufferId buffer) const;
  [[nodiscard]] std::optional<CopiesDiffer> copies_differ(program::BufferId buffer) const;
  /// Replaces the contents of an off-chip buffer. It must be alive, and the shape its own.
  void write(program::BufferId buffer, numerics::Tensor tensor) { set(buffer, std::move(tensor)); }
  /// The output, whether or not a context wrote it.
  [[nodiscard]] numerics::Tensor take_output(program::BufferId buffer);

 private:
  BufferStore(const program::Program& program, const std::vector<numerics::Tensor>& inputs) : program_(&program), inputs_(&inputs) {}
  void make(program::BufferId buffer);
  void set(program::BufferId buffer, numerics::Tensor tensor);
  void add_spread(std::size_t buffer);

  struct Parts {
    program::Box none;               ///< what components without a part hold
    std::vector<program::Box> held;  ///< by instance
    std::vector<std::int64_t> origin;
    std::int64_t bytes = 0;  ///< from one part to the next
    std::unique_ptr<std::byte[]> storage;
  };
  void release(program::BufferId buffer);
  /// Copies what an instance of a spread buffer holds.
  void gather(program::BufferId buffer, std::size_t instance, numerics::Tensor& tensor) const;

  const program::Program* program_;
  const std::vector<numerics::Tensor>* inputs_;
  std::vector<std::vector<std::byte>> bytes_;  ///< of off-chip buffers
  std::vector<std::vector<std::int64_t>> strides_;
  std::vector<program::Box> whole_;
  std::vector<Parts> spread_;  ///< empty for off-chip buffers
  std::vector<bool> alive_;
  std::vector<std::vector<std::uint32_t>> first_used_, last_used_;  ///< by context: buffers
};

}  // namespace switchyard::simulation::functional
