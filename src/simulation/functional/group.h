// A group of connected actor instances at work: rings with their tokens, and firings as data and space allow.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "simulation/functional/buffers.h"
#include "simulation/functional/plan.h"
#include "support/diagnostic.h"

namespace switchyard::simulation::functional {

/// Memory of one thread, kept from group to group.
class Worker {
 public:
  /// At least `bytes`, aligned to 64; what they hold is unspecified.
  std::byte* arena(std::size_t bytes);
  Workspace workspace;

 private:
  std::unique_ptr<std::byte[]> storage_;
  std::size_t size_ = 0;
};

/// Runs group `group` to its end. Rings live in workers[0]; with several workers the firings that are ready together run in parallel.
/// A value is simulation/deadlock.
std::optional<Diagnostic> run_group(const program::Program& program, const ContextPlan& plan, std::size_t group, BufferStore& buffers,
                                    std::vector<Worker*> workers);

}  // namespace switchyard::simulation::functional
