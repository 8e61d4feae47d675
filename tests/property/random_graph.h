// Random small models whose arithmetic is exact: small integers all the way, so that any legal mapping must give the same bits.
#pragma once

#include <random>
#include <vector>

#include "graph/graph.h"
#include "numerics/tensor.h"

namespace switchyard::testing {

struct RandomModel {
  graph::Graph graph;
  std::vector<numerics::Tensor> inputs;
};

/// A few layers of convolutions, poolings, products, additions, concatenations, slices and reshapes; or tensors of any rank, moved, padded,
/// masked, reduced and normalised along any axis. Drawn from `seed`.
RandomModel random_model(std::uint64_t seed);

}  // namespace switchyard::testing
