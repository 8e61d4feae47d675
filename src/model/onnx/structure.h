// What can be said about an ONNX graph before any operator is understood: names, order, which operators it needs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/onnx/ir.h"
#include "support/diagnostic.h"

namespace switchyard::model::onnx {

/// Everything found wrong so far; the failure's kind is malformed as soon as one thing is.
struct Problems {
  std::string file;
  std::vector<Diagnostic> malformed, unsupported;

  void add_malformed(std::string code, std::string message, std::string pointer, std::string hint = {});
  void add_unsupported(std::string code, std::string message, std::string pointer, std::string hint = {});
  void add(const Failure& failure);
  [[nodiscard]] bool any() const { return !malformed.empty() || !unsupported.empty(); }
  [[nodiscard]] Failure failure() const;  ///< at most 100 diagnostics, and how many more there are
};

bool is_standard(const std::string& domain);
/// The node of the training domain that asks for derivatives (gradient.h).
bool is_gradient(const Node& node);
/// Domains whose operators are in the table: beside the standard's own, those no two of which share a name.
bool is_known(const std::string& domain);
/// The operator set version of the standard domain; 0 when none is imported.
std::int64_t standard_opset(const std::vector<OperatorSet>& sets);
inline std::int64_t opset_of(const Model& model, const Node& node) {
  return node.opset > 0 ? node.opset : standard_opset(model.operator_sets);
}
/// Calls `use` with every name that the graphs in a node's attributes mention: those they take from around them are among these.
void each_captured(const Node& node, const std::function<void(const std::string&)>& use);

/// onnx/malformed (no graph), onnx/unsupported-opset, onnx/unsupported-operator (one for each, with count and first nodes),
/// onnx/duplicate-name, onnx/undefined-tensor.
void check_structure(const Model& model, Problems& problems);

/// Node numbers in an order in which every node follows those it reads from; the file's order where that is one. A cycle is a problem
/// (onnx/cycle, naming its nodes). Names must have been checked.
std::vector<std::size_t> topological_order(const Model& model, Problems& problems);

/// "Conv_3" for the unnamed node 3.
std::string display_name(const Model& model, std::size_t node);

}  // namespace switchyard::model::onnx
