// Stages: kernels that a grid runs as one, because what they hand to each other is larger than what they read and write: products of which
// only a function of their rows is wanted, multiplied again (attention), neither product being one with weights; and products whose factors
// are unpacked on the way, or whose sums are scaled part by part.
#pragma once

#include <optional>
#include <vector>

#include "compiler/bound.h"
#include "compiler/kernel.h"
#include "compiler/machine.h"
#include "compiler/residence.h"
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

/// What the bands of chains make without effect.
Bounds::Hidden hidden_work(const graph::Graph& graph, const std::vector<Kernel>& kernels, const std::vector<Chain>& chains);

/// Marks the contexts and buffers of chains.
void join_stages(const std::vector<Kernel>& kernels, const std::vector<Chain>& chains, const Homes& homes, program::Program& program);

}  // namespace switchyard::compiler
