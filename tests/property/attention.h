// Attention as tests of kernels that hand on tiles want it: any shape, with inputs.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "model/operation.h"
#include "numerics/tensor.h"

namespace switchyard::testing {

struct Attention {
  std::int64_t batch, q, past, heads, kv_heads, dim, window, causal;
};

inline Result<graph::Graph> build(const Attention& a) {
  model::Operation operation{"attention_prefill", {}};
  for (const auto& [key, size] : {std::pair{"batch", a.batch},
                                  {"q", a.q},
                                  {"past", a.past},
                                  {"heads", a.heads},
                                  {"kv_heads", a.kv_heads},
                                  {"dim", a.dim},
                                  {"window", a.window},
                                  {"causal", a.causal}})
    operation.shape.emplace_back(key, std::to_string(size));
  return model::build_operation(operation);
}

/// Sixteenths between -2 and 2.
inline std::vector<numerics::Tensor> inputs_of(const graph::Graph& graph, std::uint32_t seed) {
  std::vector<numerics::Tensor> inputs;
  std::mt19937 random(seed);
  for (const graph::TensorId t : graph.inputs) {
    numerics::Tensor& x = inputs.emplace_back(numerics::make_tensor(numerics::Format::fp32, graph.tensor(t).shape));
    for (std::int64_t e = 0; e < x.count(); ++e) x.set(e, static_cast<double>(static_cast<int>(random() % 65) - 32) / 16);
  }
  return inputs;
}

}  // namespace switchyard::testing
