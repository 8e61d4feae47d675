#include "model/onnx/node_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "graph/evaluate.h"

namespace switchyard::model::onnx {

using graph::TensorId;
using numerics::Format;

NodeBuilder::NodeBuilder(const Node& node, std::string name, std::int64_t opset, std::vector<ValuePtr> inputs, std::string file,
                         std::string folder)
    : node_(node),
      name_(std::move(name)),
      opset_(opset),
      inputs_(std::move(inputs)),
      file_(std::move(file)),
      folder_(std::move(folder)),
      outputs_(node.outputs.size()) {}

double NodeBuilder::random_key(std::uint64_t stream) {
  std::uint64_t key = numerics::mix(seed_, 0);
  if (const Attribute* a = attribute("seed")) key = numerics::mix(static_cast<std::uint64_t>(a->i), std::bit_cast<std::uint64_t>(a->f));
  for (const char c : name_) key = numerics::mix(key, static_cast<unsigned char>(c));
  key = numerics::mix(numerics::mix(key, draw_), stream);
  return static_cast<double>(key >> 11);
}

std::vector<std::int64_t> NodeBuilder::integers(std::size_t i, std::string_view what) {
  const Value& v = input(i);
  if (v.format != Format::int64 && v.format != Format::int32) {
    malformed("onnx/type", fmt::format("{} ({}) must be INT64, not {}", what, v.name, data_type_name(data_type_of(v.format))));
    return {};
  }
  const numerics::Tensor* tensor = known_or_given(*inputs_[i]);
  if (tensor == nullptr) {
    unsupported("onnx/dynamic-shape", fmt::format("{} ({}) is not known before the model runs", what, v.name),
                "shapes must follow from the shapes of the inputs");
    return {};
  }
  // Through the bytes and not through double: limits such as INT64_MAX stay exact.
  std::vector<std::int64_t> values;
  const std::int64_t count = tensor->count();
  for (std::int64_t k = 0; k < count; ++k) {
    if (v.format == Format::int64) {
      std::int64_t value = 0;
      std::memcpy(&value, tensor->bytes.data() + k * 8, 8);
      values.push_back(value);
    } else {
      values.push_back(static_cast<std::int64_t>(tensor->at(k)));
    }
  }
  return values;
}

std::optional<double> NodeBuilder::scalar(std::size_t i) const {
  if (!has(i) || !input(i).constant || checked_count(shape(i)) != std::optional<std::int64_t>(1)) return {};
  return known(i)->at(0);
}

std::optional<double> NodeBuilder::given_scalar(std::size_t i) const {
  if (!has(i) || checked_count(shape(i)) != std::optional<std::int64_t>(1)) return {};
  const numerics::Tensor* tensor = known_or_given(*inputs_[i]);
  if (tensor == nullptr) return {};
  return tensor->at(0);
}

std::optional<numerics::Tensor> NodeBuilder::given_value(TensorId id) const {
  constexpr std::int64_t kMaxPoints = std::int64_t{1} << 24;
  graph::Graph graph = scratch_;
  for (const auto& [tensor, value] : sources_) {
    const numerics::Tensor* here = known_or_given(*value);
    if (here == nullptr) return {};
    graph.tensor(tensor).role = graph::Role::constant;
    graph.tensor(tensor).constant = numerics::constant_of(*here);
  }
  std::int64_t points = 0;
  for (const graph::Op& op : graph.ops) {
    for (const numerics::Nest& nest : op.nests) {
      std::int64_t all = 1;
      for (const auto& loop : nest.loops) all = loop.extent > kMaxPoints / std::max<std::int64_t>(1, all) ? kMaxPoints : all * loop.extent;
      points = std::min(kMaxPoints, points + all);
    }
  }
  if (points >= kMaxPoints) return {};
  graph.outputs = {id};
  return std::move(graph::evaluate(graph, {})[0]);
}

const Attribute* NodeBuilder::attribute(std::string_view name) const {
  for (const Attribute& a : node_.attributes) {
    if (a.name == name) return &a;
  }
  return nullptr;
}

const Attribute* NodeBuilder::attribute_of(std::string_view name, std::int32_t type, const char* what) {
  const Attribute* a = attribute(name);
  if (a == nullptr || a->type == type) return a;
  // An empty list may come without a type in old files.
  if (a->type == kAttributeUndefined && (type == kAttributeInts || type == kAttributeFloats)) return a;
  malformed("onnx/attribute", fmt::format("attribute {} must be {}", name, what));
  return nullptr;
}

std::int64_t NodeBuilder::int_attribute(std::string_view name, std::int64_t otherwise) {
  const Attribute* a = attribute_of(name, kAttributeInt, "an integer");
  return a ? a->i : otherwise;
}

double NodeBuilder::float_attribute(std::string_view name, double otherwise) {
  const Attribute* a = attribute_of(name, kAttributeFloat, "a number");
  return a ? a->f : otherwise;
}

std::string NodeBuilder::string_attribute(std::string_view name, std::string otherwise) {
  const Attribute* a = attribute_of(name, kAttributeString, "a string");
  return a ? a->s : otherwise;
}

std::optional<std::vector<std::int64_t>> NodeBuilder::ints_attribute(std::string_view name) {
  const Attribute* a = attribute_of(name, kAttributeInts, "a list of integers");
  if (a == nullptr) return {};
  return a->ints;
}

int NodeBuilder::axis(std::int64_t value, std::size_t rank, bool end) {
  const auto limit = static_cast<std::int64_t>(rank);
  if (value < -limit || value >= limit + (end ? 1 : 0)) {
    malformed("onnx/attribute", fmt::format("axis {} is outside a tensor of {} dimensions", value, rank));
    return 0;
  }
  return static_cast<int>(value < 0 ? value + limit : value);
}

std::vector<bool> NodeBuilder::axes(const std::vector<std::int64_t>& values, std::size_t rank) {
  std::vector<bool> marks(rank, false);
  for (const std::int64_t value : values) {
    const auto d = static_cast<std::size_t>(axis(value, rank));
    if (failed()) break;
    if (marks[d]) malformed("onnx/attribute", fmt::format("axis {} is named twice", value));
    marks[d] = true;
  }
  return marks;
}

TensorId NodeBuilder::operand(std::size_t i) {
  for (const auto& [id, value] : sources_) {
    if (value == inputs_[i]) return id;
  }
  const Value& v = input(i);
  const TensorId id = v.constant ? add_constant(scratch_, v.name, v.format, v.shape, v.constant, v.trained)
                                 : add_tensor(scratch_, v.name, v.format, v.shape);
  sources_.emplace_back(id, inputs_[i]);
  return id;
}

MapInput NodeBuilder::map_operand(std::size_t i) {
  if (const auto number = scalar(i)) return MapInput::number(*number);
  return MapInput::of(operand(i));
}

TensorId NodeBuilder::constant(const std::string& name, numerics::Tensor tensor) {
  const Format format = tensor.format;
  numerics::Shape shape = tensor.shape;
  return add_constant(scratch_, name, format, std::move(shape), numerics::constant_of(std::move(tensor)), false);
}

Label NodeBuilder::label(std::string_view suffix, std::size_t output) const {
  return {
      name_, node_.type, fmt::format("{}{}", wants(output) ? node_.outputs[output] : fmt::format("{}#{}", name_, output), suffix), {name_}};
}

Label NodeBuilder::helper(std::string kind, std::string_view suffix, std::size_t output) const {
  Label l = label({}, output);
  l.op += suffix;
  l.kind = std::move(kind);
  return l;
}

void NodeBuilder::set_result(std::size_t output, TensorId id) {
  if (output >= outputs_.size()) return;
  const bool taken = std::any_of(outputs_.begin(), outputs_.end(), [&](const Output& o) { return o.scratch == id; });
  if (taken || source(id) != nullptr || scratch_.tensor(id).role == graph::Role::constant) {
    // Every output is a tensor of its own, and computed.
    std::vector<numerics::Affine> index;
    const numerics::Shape shape = scratch_.tensor(id).shape;
    for (std::size_t d = 0; d < shape.size(); ++d) index.push_back(numerics::affine_variable(static_cast<int>(d)));
    id = emit_copy(scratch_, helper("Identity", fmt::format(":copy{}", output), output), id, shape, std::move(index));
  }
  if (wants(output)) scratch_.tensor(id).name = node_.outputs[output];
  outputs_[output].scratch = id;
}

void NodeBuilder::set_constant(std::size_t output, Format format, numerics::Shape shape, numerics::ConstantPtr constant) {
  if (!wants(output)) return;
  auto value = std::make_shared<Value>();
  value->name = node_.outputs[output];
  value->format = format;
  value->shape = std::move(shape);
  value->constant = std::move(constant);
  outputs_[output].value = std::move(value);
}

bool NodeBuilder::alias(std::size_t output, std::size_t i, const numerics::Shape& shape) {
  if (!wants(output)) return true;
  if (input(i).shape == shape) {
    outputs_[output].value = inputs_[i];
    return true;
  }
  numerics::ConstantPtr constant;
  const bool here = known(i) != nullptr;
  if (here) {
    numerics::Tensor tensor = *known(i);
    tensor.shape = shape;
    constant = numerics::constant_of(std::move(tensor));
  } else {
    if (input(i).lazy_depth >= kMaxLazyDepth) return false;
    constant = std::make_shared<numerics::Constant>(numerics::Constant{[from = input(i).constant, shape] {
      numerics::Tensor tensor = from->make();
      tensor.shape = shape;
      return tensor;
    }});
  }
  set_constant(output, input(i).format, shape, std::move(constant));
  outputs_[output].value->trained = input(i).trained;
  outputs_[output].value->text = input(i).text;
  outputs_[output].value->lazy_depth = here ? 0 : input(i).lazy_depth + 1;
  outputs_[output].value->lazy_points = here ? 0 : input(i).lazy_points;
  return true;
}

ValuePtr NodeBuilder::source(TensorId id) const {
  for (const auto& [tensor, value] : sources_) {
    if (tensor == id) return value;
  }
  return nullptr;
}

Diagnostic NodeBuilder::diagnostic(std::string code, std::string message, std::string hint) const {
  return {std::move(code), fmt::format("{} {}: {}", node_.type, name_, message), {file_, 0, 0}, name_, std::move(hint), {}};
}

void NodeBuilder::malformed(std::string code, std::string message, std::string hint) {
  malformed_.push_back(diagnostic(std::move(code), std::move(message), std::move(hint)));
}

void NodeBuilder::unsupported(std::string code, std::string message, std::string hint) {
  unsupported_.push_back(diagnostic(std::move(code), std::move(message), std::move(hint)));
}

void NodeBuilder::adopt(const Failure& failure) {
  auto& list = failure.kind == FailureKind::unsupported ? unsupported_ : malformed_;
  for (Diagnostic d : failure.diagnostics) {
    d.message = fmt::format("{} {}: {}", node_.type, name_, d.message);
    d.pointer = name_;
    list.push_back(std::move(d));
  }
}

bool NodeBuilder::same_format(std::size_t a, std::size_t b) {
  if (format(a) == format(b)) return true;
  malformed("onnx/type", fmt::format("inputs {} and {} have different element types, {} and {}", input(a).name, input(b).name,
                                     data_type_name(data_type_of(format(a))), data_type_name(data_type_of(format(b)))));
  return false;
}

bool NodeBuilder::may_look_at(std::size_t i) {
  constexpr std::int64_t kMost = std::int64_t{1} << 26;
  const Value& v = *inputs_[i];
  const std::int64_t points = std::max(v.lazy_points, numerics::element_count(v.shape));
  if (!v.constant || spent_ == nullptr || points > kMost - *spent_) return false;
  *spent_ += points;
  return true;
}

bool NodeBuilder::require_floating(std::size_t i) {
  if (numerics::format_info(format(i)).floating) return true;
  malformed("onnx/type", fmt::format("input {} must be a floating tensor, not {}", input(i).name, data_type_name(data_type_of(format(i)))));
  return false;
}

void reduce_nothing(NodeBuilder& b, const std::vector<bool>& reduced, bool keep, double value) {
  numerics::Shape shape;
  for (std::size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d] || keep) shape.push_back(reduced[d] ? 1 : b.shape(0)[d]);
  }
  if (numerics::element_count(shape) > kMaxKnown) return b.unsupported("onnx/empty-tensor", "a large result of no elements");
  numerics::Tensor tensor = numerics::make_tensor(b.format(0), shape);
  for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, value);
  b.set_constant(0, b.format(0), shape, numerics::constant_of(std::move(tensor)));
}

}  // namespace switchyard::model::onnx
