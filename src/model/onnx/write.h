// From a graph to an ONNX file: each nest becomes the handful of standard nodes that compute it.
#pragma once

#include <string>

#include "graph/graph.h"
#include "support/result.h"

namespace switchyard::model::onnx {

/// Operator set and IR version of what is written: old enough for every runtime in use.
inline constexpr std::int64_t kWrittenOpset = 17, kWrittenIr = 8;

/// Writes the model to `path`, and its weights, where they are more than `inline_limit` bytes together, to `path`.data beside it.
/// Convolutions become Conv; other contractions MatMul between transpositions; the rest elementwise nodes, reductions, and Gathers with
/// constant indices for what is no plain access. Failures: onnx/cannot-export (what has no such form: sequential loops, results in
/// scattered pieces, numbers other than floating ones computed with), file/unwritable.
Status write_model(const graph::Graph& graph, const std::string& path, std::int64_t inline_limit = std::int64_t{1} << 30);

}  // namespace switchyard::model::onnx
