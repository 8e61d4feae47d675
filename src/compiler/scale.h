// Scale: constant factors moved to where they cost nothing.
#pragma once

#include <vector>

#include "compiler/compiler.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// A power of two that multiplies a product of two computed tensors, behind the product, goes before it, to where one of them is computed:
/// attention scores are scaled through the queries. Exact in binary formats, short of overflow and
/// underflow: in fp16, factors of 2^-15 or so make queries subnormal, which rounds them. Matrix units add on their way out, few
/// multiply, and the operand is smaller than the product. Says whether it has moved any.
bool move_scales(graph::Graph& graph, std::vector<Decision>& decisions);

}  // namespace switchyard::compiler
