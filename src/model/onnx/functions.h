// Functions that a model brings along: their bodies take the place of the nodes that call them.
#pragma once

#include "model/onnx/ir.h"
#include "model/onnx/structure.h"

namespace switchyard::model::onnx {

/// A copy of a graph's nodes for use under other names: every name `rename` knows is replaced, in the graphs of attributes too.
using Rename = std::function<std::string(const std::string&)>;
Node renamed(const Node& node, const Rename& rename);

/// Replaces calls by bodies until none is left. A body's nodes are called "<call>/<node>", and so are its tensors. Problems: onnx/function
/// (unknown attributes or too many inputs, functions that call themselves, more than 2^20 nodes in all).
void inline_functions(Model& model, Problems& problems);

}  // namespace switchyard::model::onnx
