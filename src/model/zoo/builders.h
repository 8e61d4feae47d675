// The built-in models, each a function of its parameters.
#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace switchyard::model::zoo_models {

/// ResNet-50 v1.5 as in torchvision: 1000 classes, input [batch, 3, 224, 224].
graph::Graph resnet50(std::int64_t batch, std::uint64_t seed);

/// C[m, n] = A[m, k] x B[k, n]; A is the input, B a constant.
graph::Graph gemm(std::int64_t m, std::int64_t n, std::int64_t k, std::uint64_t seed);

}  // namespace switchyard::model::zoo_models
