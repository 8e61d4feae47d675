// Decompose: a composite operator as one operator per nest.
#pragma once

#include "graph/graph.h"

namespace switchyard::compiler {

/// Does the operator have several nests or values of its own, which one context keeps on the chip?
bool is_composite(const graph::Op& op);
/// Replaces a composite by its nests in order, its locals by tensors in the format of its first operand. No nest then needs room for a
/// whole row of them, and each reduction may be cut; the locals travel through memory instead.
void decompose(graph::Graph& graph, graph::OpId op);

}  // namespace switchyard::compiler
