// Nodes that hold graphs (If, Loop, Scan, SequenceMap), sequences and optionals: resolved while importing, so that tensors are left.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/onnx/ir.h"
#include "model/onnx/operators.h"
#include "model/onnx/structure.h"
#include "model/onnx/values.h"

namespace switchyard::model::onnx {

/// What such nodes need of the import around them. Names are those of the whole model: bodies are renamed before they are built.
struct Scope {
  std::function<ValuePtr(const std::string& name)> find;  ///< null: its producer failed, or there is none
  std::function<void(const std::string& name, ValuePtr value)> define;
  std::function<void(const TensorData& initializer)> add_initializer;
  std::function<void(const Node& node, const std::string& name)> build;
  std::function<void(const Operator& op, const Node& node, const std::string& name)> build_as;  ///< by a row that is in no table
  Problems& problems;
  int depth = 0;           ///< of bodies in bodies
  std::int64_t built = 0;  ///< nodes of bodies so far
  std::int64_t held = 0;   ///< elements of all sequences so far
};

/// The node types that build_structural deals with. Identity is one where its input is a sequence or an optional.
bool is_structural(std::string_view type);
std::vector<std::pair<std::string_view, std::int64_t>> structural_operators();  ///< each with the first operator set that has it

/// Builds the node `name`: bodies are inlined, once for each iteration. How many there are, which branch is taken and which element is
/// meant must be known, or given for this run (onnx/dynamic-control).
void build_structural(Scope& scope, const Node& node, const std::string& name, std::int64_t opset);

}  // namespace switchyard::model::onnx
