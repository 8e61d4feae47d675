// NodeBuilder: what an operator's builder sees of its node, and where it puts what the node computes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "model/emit.h"
#include "model/onnx/ir.h"
#include "model/onnx/values.h"
#include "support/result.h"

namespace switchyard::model::onnx {

/// A builder reads attributes and inputs, emits operators into scratch() and names its results. Mistakes are collected, not thrown:
/// a getter that fails records a diagnostic and returns a harmless value; builders ask failed() before they rely on what they got.
class NodeBuilder {
 public:
  NodeBuilder(const Node& node, std::string name, std::int64_t opset, std::vector<ValuePtr> inputs, std::string file, std::string folder);

  [[nodiscard]] const Node& node() const { return node_; }
  [[nodiscard]] std::int64_t opset() const { return opset_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const std::string& folder() const { return folder_; }  ///< where external data may lie

  // Inputs.
  [[nodiscard]] std::size_t input_count() const { return inputs_.size(); }
  [[nodiscard]] bool has(std::size_t i) const { return i < inputs_.size() && inputs_[i] != nullptr; }
  [[nodiscard]] const Value& input(std::size_t i) const { return *inputs_[i]; }
  [[nodiscard]] const ValuePtr& value(std::size_t i) const { return inputs_[i]; }
  [[nodiscard]] const numerics::Shape& shape(std::size_t i) const { return inputs_[i]->shape; }
  [[nodiscard]] numerics::Format format(std::size_t i) const { return inputs_[i]->format; }
  [[nodiscard]] const numerics::Tensor* known(std::size_t i) const { return onnx::known(*inputs_[i]); }
  /// The integers of an input that must be known at import (a shape, axes, starts).
  std::vector<std::int64_t> integers(std::size_t i, std::string_view what);
  /// The one number of an input that is known and has one element.
  [[nodiscard]] std::optional<double> scalar(std::size_t i) const;
  /// The same, or given for this run: for what decides shapes.
  [[nodiscard]] std::optional<double> given_scalar(std::size_t i) const;

  /// What a tensor of scratch() will hold in this run, where that follows from what is known or given: for extents that depend on values.
  std::optional<numerics::Tensor> given_value(graph::TensorId id) const;

  /// May the values of input i, a constant of any size, be looked at? What it takes to make them is limited for all nodes of a model
  /// together
  /// (`spent`): a small file must not keep the importer busy, nor fill the memory.
  bool may_look_at(std::size_t i);
  void share_budget(std::int64_t* spent) { spent_ = spent; }

  // Attributes.
  [[nodiscard]] const Attribute* attribute(std::string_view name) const;
  std::int64_t int_attribute(std::string_view name, std::int64_t otherwise);
  double float_attribute(std::string_view name, double otherwise);
  std::string string_attribute(std::string_view name, std::string otherwise);
  std::optional<std::vector<std::int64_t>> ints_attribute(std::string_view name);
  /// A dimension counted from either end, brought into 0 .. rank-1 (rank itself when `end`).
  int axis(std::int64_t value, std::size_t rank, bool end = false);
  /// Such dimensions as marks; duplicates are a mistake.
  std::vector<bool> axes(const std::vector<std::int64_t>& values, std::size_t rank);

  /// The key of the node's random numbers: its seed, or the run's where it has none, with its name and which draw of the run this is.
  /// Streams of one node are independent. A whole number below 2^53.
  void set_randomness(std::uint64_t seed, std::uint64_t draw) { seed_ = seed, draw_ = draw; }
  double random_key(std::uint64_t stream);

  // Emission.
  [[nodiscard]] graph::Graph& scratch() { return scratch_; }
  graph::TensorId operand(std::size_t i);  ///< input i inside scratch()
  MapInput map_operand(std::size_t i);     ///< the same, or its number when it is a known scalar
  graph::TensorId constant(const std::string& name, numerics::Tensor tensor);
  /// The label of the operator that stands for the node, giving output `output`. `suffix` (":sum") marks a tensor that is not yet it.
  [[nodiscard]] Label label(std::string_view suffix = {}, std::size_t output = 0) const;
  /// The label of a helper operator "<node>:<suffix>" that gives output `output`.
  [[nodiscard]] Label helper(std::string kind, std::string_view suffix, std::size_t output = 0) const;
  [[nodiscard]] bool wants(std::size_t output) const { return output < node_.outputs.size() && !node_.outputs[output].empty(); }
  void set_result(std::size_t output, graph::TensorId id);
  void forget_result(std::size_t output) { outputs_[output].scratch = {}; }
  /// The output is texts.
  void set_text(std::size_t output) { outputs_[output].text = true; }
  void set_constant(std::size_t output, numerics::Format format, numerics::Shape shape, numerics::ConstantPtr constant);
  /// The output is another name of input i (a constant), perhaps under another shape. False: too many such steps already lie between
  /// it and its values, compute it.
  bool alias(std::size_t output, std::size_t i, const numerics::Shape& shape);
  void mark_constant_trained(bool trained) { outputs_[0].value->trained = trained; }
  /// Input i is no weight (running statistics).
  void mark_untrained(std::size_t i) { untrained_.push_back(i); }

  // Mistakes.
  void malformed(std::string code, std::string message, std::string hint = {});
  void unsupported(std::string code, std::string message, std::string hint = {});
  void adopt(const Failure& failure);  ///< diagnostics found elsewhere, about something in this node
  [[nodiscard]] bool failed() const { return !malformed_.empty() || !unsupported_.empty(); }
  /// Requires inputs a and b to have one element type.
  bool same_format(std::size_t a, std::size_t b);
  bool require_floating(std::size_t i);

  // What the reader takes away.
  struct Output {
    graph::TensorId scratch;  ///< computed by scratch(), or
    ValuePtr value;           ///< a constant
    bool text = false;
  };
  [[nodiscard]] const std::vector<Output>& outputs() const { return outputs_; }
  /// Which input a tensor of scratch() stands for; none for tensors made here.
  [[nodiscard]] ValuePtr source(graph::TensorId id) const;
  [[nodiscard]] const std::vector<std::size_t>& untrained() const { return untrained_; }
  [[nodiscard]] const std::vector<Diagnostic>& malformed_list() const { return malformed_; }
  [[nodiscard]] const std::vector<Diagnostic>& unsupported_list() const { return unsupported_; }

 private:
  Diagnostic diagnostic(std::string code, std::string message, std::string hint) const;
  const Attribute* attribute_of(std::string_view name, std::int32_t type, const char* what);

  const Node& node_;
  std::string name_;
  std::int64_t opset_;
  std::vector<ValuePtr> inputs_;
  std::string file_, folder_;
  std::int64_t* spent_ = nullptr;
  std::uint64_t seed_ = 0, draw_ = 0;
  graph::Graph scratch_;
  std::vector<std::pair<graph::TensorId, ValuePtr>> sources_;
  std::vector<Output> outputs_;
  std::vector<std::size_t> untrained_;
  std::vector<Diagnostic> malformed_, unsupported_;
};

/// Output 0 of a reduction over a tensor without elements: all of it is what combining nothing gives.
void reduce_nothing(NodeBuilder& b, const std::vector<bool>& reduced, bool keep, double value);

}  // namespace switchyard::model::onnx
