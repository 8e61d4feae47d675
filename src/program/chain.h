// Chain: a kernel of several stages, the first and last of which multiply: rows of a product are made block by block, a function of each
// row is applied as it comes, and the result is multiplied again (attention). What the stages hand to each other stays in the block.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "program/grid.h"

namespace switchyard::program {

/// A chain as the sequencer sees it. For each of `groups`, rows x columns points; each row multiplies `depth` elements with every column,
/// and its points with columns of `width` elements.
struct ChainWork {
  chip::ComponentId component;
  chip::UnitId matrix;
  numerics::Format format = numerics::Format::fp32;
  double groups = 1, copies = 1, rows = 1, columns = 1, depth = 1, width = 1;  ///< copies: of rows that share columns
  double row_element = 1,
         column_element = 1;  ///< bytes, as they lie in memory; columns of another format are converted where they are used
  bool converts = false;
  double macs_per_cycle = 1;
  double lanes = 1;          ///< simple operations a cycle of a component
  double vector_cycles = 0;  ///< of a point
  double vector_ops = 0;     ///< of a point
  std::optional<Context::Band> band;
  std::vector<GridWork::Touched> touched;  ///< what is not handed from stage to stage; of the columns only what the band needs
};

/// How many contexts from `first` on are one kernel: at least 1.
std::size_t stages_of(std::span<const Context> contexts, std::size_t first);

/// Nothing where the contexts are no chain of two products.
std::optional<ChainWork> chain_work(const chip::Chip& chip, std::span<const Buffer> buffers, std::span<const Context> stages);

struct ChainTime {
  GridTime time;
  std::int64_t slices = 1;  ///< into which columns are dealt
  std::int64_t blocks = 1;
  double macs = 0, points = 0;
};
/// The best over blocks of rows, and over slices of the columns.
ChainTime chain_time(const chip::Chip& chip, const ChainWork& work, double cached = 0);

}  // namespace switchyard::program
