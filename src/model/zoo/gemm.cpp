#include <cmath>

#include "model/emit.h"
#include "model/zoo/builders.h"

namespace switchyard::model::zoo_models {

using numerics::Format;

graph::Graph gemm(std::int64_t m, std::int64_t n, std::int64_t k, std::uint64_t seed) {
  graph::Graph graph;
  graph.name = "gemm";
  const graph::TensorId a = add_input(graph, "A", Format::fp32, {m, k});
  // Uniform in +-sqrt(3/k): variance 1/k, so that C is as large as A.
  const double scale = std::sqrt(3.0 / static_cast<double>(k));
  const std::uint64_t stream = numerics::mix(seed, numerics::hash_name("B"));
  const graph::TensorId b = add_constant(graph, "B", Format::fp32, {k, n}, std::make_shared<numerics::Constant>(numerics::Constant{[=] {
                                           return numerics::seeded_uniform(stream, Format::fp32, {k, n}, scale);
                                         }}),
                                         true);
  graph.outputs = {emit_gemm(graph, {"gemm", "Gemm", "C", {"gemm"}}, a, false, b, false)};
  return graph;
}

}  // namespace switchyard::model::zoo_models
