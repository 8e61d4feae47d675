// Occupancy: how many bytes each scratchpad holds while each context runs.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "program/program.h"

namespace switchyard::report {

/// Calls visit(memory, context, bytes by component instance) for each kind of scratchpad that is used, context by context. Counted are
/// parts of tensors from the first to the last context that uses them, channels and sums in their context, and channels that early movers
/// fill from the first context beside which these may run. Of a grid, whose instances have no place before they are dealt, the first
/// component stands for all, with one instance.
using VisitOccupancy = std::function<void(chip::MemoryId memory, std::size_t context, std::span<const std::int64_t> bytes)>;
void visit_occupancy(const program::Program& program, const VisitOccupancy& visit);

/// Calls use(buffer) for every buffer that a context loads from, stores to, or computes on where it lies.
template <class Use>
void for_each_use(const program::Context& context, const Use& use) {
  program::for_each_buffer(context, [&](program::BufferId id, bool) { use(id); });
}

}  // namespace switchyard::report
