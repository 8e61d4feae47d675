// Thin products: a factor of few rows by a large one. Their kernels have no tiles: the threads of a block keep the sums of all rows for a
// few columns, and read the large factor once. A block of a program is one of them when it holds all rows and few columns.
#pragma once

#include "program/grid.h"

namespace switchyard::program {

/// The most rows that kernels of a unit multiply so; 0 where it has none for factors stored in these formats.
std::int64_t most_thin_rows(const chip::Unit& unit, numerics::Format a, numerics::Format b, double groups);

/// The rows of a block of m x n results, out of all those of its group, that is made without a tile; 0 where it is one. The smallest tile
/// has more results. A product that stands alone, not in a batch, may be made in several passes over its rows.
double thin_rows(const chip::Unit& unit, std::int64_t most_rows, double m, double n, double all_m, double all_n, double groups);

/// How many elements of so many bytes a block may take from each row in a step: `k` bytes of it, or less where rows are more than fit.
std::vector<std::int64_t> thin_depths(const chip::Unit& unit, double element);

/// How many rows of so many a block may hold: all, or parts of them in passes.
std::vector<std::int64_t> thin_passes(std::int64_t rows, double groups);

/// Fills in the time of a thin product after its launch. `bytes`: what moves off chip.
void time_thin(const chip::Chip& chip, const GridWork& work, double slices, double bytes, GridTime& time);

}  // namespace switchyard::program
