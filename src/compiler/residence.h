// Residence: which tensors stay in scratchpads from kernel to kernel, how each is spread over the components, and how every kernel is split
// so that little has to move between them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "compiler/mapping.h"

namespace switchyard::compiler {

/// What is looked up, and what says where, lies off chip: nobody knows on which component a row will be wanted.
void keep_lookups_off_chip(const std::vector<Kernel>& kernels, std::vector<bool>& stays);

/// Tensors that may stay: written and read by kernels only.
std::vector<bool> tensors_that_may_stay(const Machine& machine, const graph::Graph& graph, const std::vector<Kernel>& kernels);
/// How each operand of a kernel is reached, given which tensors stay. Nothing runs before the first kernel beside which its operands
/// could be fetched.
std::vector<Reach> reach_of(const Machine& machine, const graph::Graph& graph, const Kernel& kernel, const std::vector<bool>& stays,
                            bool first);

struct Splits {
  std::vector<Mapping> mappings;           ///< by kernel
  std::vector<std::size_t> choice;         ///< by kernel: which candidate
  std::vector<std::vector<double>> costs;  ///< by kernel and candidate: seconds of what moves to and from it, the others as chosen
  std::vector<double> waits;               ///< by kernel: seconds until what it writes is where it is needed, and the contexts' barrier
  std::vector<double> moves;  ///< by tensor: seconds from being written to being where it is needed; infinite: no mover does it
};
/// What it costs on one machine to move tensors from one spread to another: what was asked for one program is known for the next.
struct SpreadCosts;

/// One of each kernel's candidates, so that the sum of the kernels' own times and of what moves between them is small: coordinate descent
/// from the best candidates, in order of the kernels, with this weight of what mappings hold. `fixed`: candidates that
/// are not to be changed; `costs`: what is known of this machine, or null at first. Deterministic.
Splits choose_splits(const Machine& machine, const graph::Graph& graph, const std::vector<Kernel>& kernels,
                     const std::vector<Candidates>& candidates, const std::vector<bool>& stays, double held_weight,
                     const std::vector<std::optional<std::size_t>>& fixed, std::shared_ptr<SpreadCosts>& costs);

/// Where one operand of a kernel lies.
struct OperandHome {
  program::BufferId buffer;             ///< off chip, or spread as the kernel needs it
  bool placed = false;                  ///< in scratchpads
  std::vector<program::BufferId> send;  ///< written operands: spread buffers that get what is written (the own one: its other copies)
};
using Homes = std::vector<std::vector<OperandHome>>;  ///< by kernel, by operand

/// Makes the buffers of all tensors that kernels touch, and says where each operand lies. `costs`: those of the splits.
Homes make_homes(const Machine& machine, const graph::Graph& graph, const std::vector<Kernel>& kernels,
                 const std::vector<std::vector<int>>& layouts, const std::vector<Mapping>& mappings, const std::vector<bool>& stays,
                 SpreadCosts& costs, program::Program& program);

}  // namespace switchyard::compiler
