// Rows: kernels that reduce each row and then come back to it (softmax, normalisation, quantisation by rows).
//
// A row is walked by a team of threads, 16 B a thread and step, once per pass. Teams fill a component; what a step takes is then set by how
// long each of its accesses waits for memories that all of them use. Rows that come back find themselves in the cache as long as all rows
// at work, with their results, fit there; the kernels of rows in public libraries are built so (docs/gpu.md).
#pragma once

#include <optional>
#include <span>

#include "program/grid.h"

namespace switchyard::program {

/// Adds the reductions of an actor to what is known of the rows of its kernel.
void add_rows(const Actor& actor, std::optional<GridWork::Rows>& rows);

/// Stages that reduce and use rows, as the work of one kernel; nothing where one of them multiplies, or none of them reduces.
std::optional<GridWork> rows_work(const chip::Chip& chip, std::span<const Buffer> buffers, std::span<const Context> stages);

/// `bytes`: what moves between the off-chip memory and the components if no row comes back. Everything but the launch is added to `time`.
void time_rows(const chip::Chip& chip, const GridWork& work, double bytes, GridTime& time);

}  // namespace switchyard::program
