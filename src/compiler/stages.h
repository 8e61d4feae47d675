// Stages: kernels that a grid runs as one, because what they hand to each other is larger than what they read and write: products of which
// only a function of their rows is wanted, multiplied again (attention), neither product being one with weights; and products whose factors
// are unpacked on the way, or whose sums are scaled part by part.
#pragma once

#include <optional>
#include <vector>

#include "compiler/bound.h"
#include "compiler/kernel.h"
#include "compiler/machine.h"
#include "program/program.h"

namespace switchyard::compiler {

/// Runs of kernels [first, last] that can be stages of one: a contraction, functions along the rows of its result, and a contraction over
/// these rows; or point by point functions of fewer bytes, the contraction of what they make, and the sum over a loop of its result. What
/// passes between them is used by nobody else.
struct Chain {
  std::size_t first = 0, last = 0;
  std::optional<program::Context::Band> band;  ///< where a mask hides part of the first product
};
std::vector<Chain> find_chains(const Machine& machine, const graph::Graph& graph, const std::vector<Kernel>& kernels);

/// What an epilogue of a product leaves of it, if that is a band along its last two dims; and the dim of its rows, -1 where it has one row.
/// With three rows of all it is known well enough for the time of kernels that compute every score. `every`: all rows have been looked at,
/// of up to kMostScores scores, so that those outside the band may be left out.
inline constexpr std::int64_t kMostScores = std::int64_t{1} << 24;
std::optional<program::Context::Band> band_of(const graph::Graph& graph, const Kernel& kernel, int* row_dim = nullptr, bool every = false);

/// What the bands of chains make without effect.
Bounds::Hidden hidden_work(const graph::Graph& graph, const std::vector<Kernel>& kernels, const std::vector<Chain>& chains);

/// Marks the contexts and buffers of chains.
void join_stages(const graph::Graph& graph, const std::vector<Kernel>& kernels, const std::vector<Chain>& chains,
                 program::Program& program);

}  // namespace switchyard::compiler
