// From a decoded ONNX model to a graph.
#pragma once

#include <string>

#include "model/model.h"
#include "model/onnx/ir.h"

namespace switchyard::model::onnx {

/// `file` names the model in diagnostics; `folder` is where its external data may lie (empty: nowhere).
Result<graph::Graph> build_graph(Model model, const LoadOptions& options, const std::string& file, const std::string& folder,
                                 std::vector<std::int64_t>* output_lengths = nullptr);

/// The bytes of a .onnx file. `output_lengths` may be null: it becomes LoadedModel's.
Result<graph::Graph> read_model(std::string_view bytes, const LoadOptions& options, const std::string& file, const std::string& folder,
                                std::vector<std::int64_t>* output_lengths = nullptr);

}  // namespace switchyard::model::onnx
