// ai.onnx.preview.training's Gradient: the nodes between its y and its xs, walked backwards, give nodes that compute the derivatives.
#pragma once

#include <string>
#include <vector>

#include "model/onnx/control.h"

namespace switchyard::model::onnx {

/// Builds the node `name`. `nodes` are the model's own: those that lead from xs to y must have a rule (onnx/unsupported-operator), and the
/// inputs must be the tensors that xs and zs name.
void build_gradient(Scope& scope, const Node& node, const std::string& name, const std::vector<Node>& nodes, std::int64_t opset);

}  // namespace switchyard::model::onnx
