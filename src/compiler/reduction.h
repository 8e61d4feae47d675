// Reduction: a long sum becomes a sum of parts, which different components make at once and which are added on the chip.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/compiler.h"
#include "compiler/machine.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// The longest reduction of an operator, in so many parts of equal length.
struct ReductionCut {
  std::string op;
  std::int64_t parts = 1;
};

/// Contractions with too few results to fill the steps of all matrix units, and the parts that would. None where values do not stay in
/// scratchpads: parts would go through off-chip memory.
std::vector<ReductionCut> worthwhile_cuts(const Machine& machine, const graph::Graph& graph);

/// The operator "NAME" becomes "NAME:parts", which has a parallel loop `part` more and writes what is accumulated as it is, and "NAME",
/// which adds. In words what speaks against it; empty when it is done. Values differ by the order in which is added.
std::string cut_reduction(const Machine& machine, graph::Graph& graph, const ReductionCut& cut);

/// All of them, each of which can be done.
void cut_reductions(const Machine& machine, graph::Graph& graph, const std::vector<ReductionCut>& cuts);

}  // namespace switchyard::compiler
