#include "model/onnx/decode.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "model/onnx/onnx.pb.h"

namespace switchyard::model::onnx {

namespace proto = ::onnx;

namespace {

// Graphs nest in attributes, three messages a level; real models stay far below.
constexpr int kRecursionLimit = 100;

bool parse(google::protobuf::MessageLite& message, std::string_view bytes) {
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  stream.SetTotalBytesLimit(std::numeric_limits<int>::max());
  stream.SetRecursionLimit(kRecursionLimit);
  return message.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
}

template <class Message>
Status parse_checked(Message& message, std::string_view bytes, const std::string& file, const char* what) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return fail(FailureKind::unsupported, "onnx/too-large", fmt::format("the file has {} bytes; protobuf files end at 2 GiB", bytes.size()),
                "store the weights as external data", {file, 0, 0});
  }
  if (!parse(message, bytes)) {
    return fail(FailureKind::malformed, "onnx/malformed", fmt::format("the file is not an ONNX {}: its protobuf encoding is broken", what),
                "the file may be truncated, or not ONNX at all", {file, 0, 0});
  }
  return Done{};
}

/// The low `Width` bytes of every element, one after the other.
template <class Stored, class Field>
std::string pack(const Field& field) {
  std::string bytes(static_cast<std::size_t>(field.size()) * sizeof(Stored), '\0');
  for (int i = 0; i < field.size(); ++i) {
    const auto stored = static_cast<Stored>(field[i]);
    std::memcpy(bytes.data() + static_cast<std::size_t>(i) * sizeof(Stored), &stored, sizeof(Stored));
  }
  return bytes;
}

/// The field in which the standard stores values of this type, packed; null when it is one we do not read.
std::shared_ptr<const std::string> typed_values(const proto::TensorProto& t) {
  switch (t.data_type()) {
    case kFloat: return std::make_shared<std::string>(pack<float>(t.float_data()));
    case kDouble: return std::make_shared<std::string>(pack<double>(t.double_data()));
    case kInt64: return std::make_shared<std::string>(pack<std::int64_t>(t.int64_data()));
    case kInt32: return std::make_shared<std::string>(pack<std::int32_t>(t.int32_data()));
    case kInt8:
    case kUint8:
    case kBool: return std::make_shared<std::string>(pack<std::uint8_t>(t.int32_data()));
    case kFloat16:
    case kBfloat16:
    case kInt16:
    case kUint16: return std::make_shared<std::string>(pack<std::uint16_t>(t.int32_data()));
    case kUint32: return std::make_shared<std::string>(pack<std::uint32_t>(t.uint64_data()));
    case kUint64: return std::make_shared<std::string>(pack<std::uint64_t>(t.uint64_data()));
    default: break;
  }
  // The narrow ones: a byte an element, or a byte of packed elements, in each number.
  if (t.data_type() < kFloat8E4M3Fn || t.data_type() > kInt2) return nullptr;
  return std::make_shared<std::string>(pack<std::uint8_t>(t.int32_data()));
}

/// Texts as rows of equal width. One with a zero byte cannot be told from its filling: none of the values are read then.
void add_texts(const proto::TensorProto& t, TensorData& out) {
  std::size_t width = 1;
  for (const std::string& text : t.string_data()) {
    if (text.find('\0') != std::string::npos) return;
    width = std::max(width, text.size());
  }
  constexpr std::size_t kMostBytes = std::size_t{1} << 26;
  const auto count = static_cast<std::size_t>(t.string_data_size());
  if (count > 0 && width > kMostBytes / count) return;
  auto bytes = std::make_shared<std::string>(width * count, '\0');
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& text = t.string_data(static_cast<int>(i));
    std::copy(text.begin(), text.end(), bytes->begin() + static_cast<std::ptrdiff_t>(i * width));
  }
  out.text_width = static_cast<std::int64_t>(width);
  out.bytes = std::move(bytes);
}

TensorData tensor_data(proto::TensorProto& t) {
  TensorData out;
  out.name = t.name();
  out.type = t.data_type();
  out.dims.assign(t.dims().begin(), t.dims().end());
  out.external = t.data_location() == 1;
  for (const auto& entry : t.external_data()) out.external_data[entry.key()] = entry.value();
  if (out.external || t.has_segment()) return out;
  if (t.data_type() == kString) {
    add_texts(t, out);
  } else if (t.has_raw_data()) {
    out.bytes = std::make_shared<std::string>(std::move(*t.mutable_raw_data()));
  } else {
    out.bytes = typed_values(t);
  }
  return out;
}

ValueInfo value_info(const proto::ValueInfoProto& v) {
  ValueInfo out;
  out.name = v.name();
  const proto::TypeProto* inner = &v.type();
  if (inner->has_optional_type()) {
    inner = &inner->optional_type().elem_type();
    out.kind = ValueKind::optional;
  }
  if (inner->has_sequence_type()) {
    inner = &inner->sequence_type().elem_type();
    out.kind = out.kind == ValueKind::optional ? ValueKind::optional_sequence : ValueKind::sequence;
  }
  if (!inner->has_tensor_type()) {
    out.kind = ValueKind::other;
    return out;
  }
  if (out.kind == ValueKind::other) out.kind = ValueKind::tensor;
  const auto& type = inner->tensor_type();
  out.is_tensor = out.kind == ValueKind::tensor;
  out.type = type.elem_type();
  if (!type.has_shape()) return out;
  out.shape.emplace();
  for (const auto& d : type.shape().dim()) {
    Dimension dimension;
    if (d.has_dim_value()) dimension.value = d.dim_value();
    if (d.has_dim_param()) dimension.symbol = d.dim_param();
    out.shape->push_back(std::move(dimension));
  }
  return out;
}

/// Files older than IR version 4 may leave the type out: the filled field then tells.
std::int32_t attribute_type(const proto::AttributeProto& a) {
  if (a.type() != kAttributeUndefined) return a.type();
  if (a.has_f()) return kAttributeFloat;
  if (a.has_i()) return kAttributeInt;
  if (a.has_s()) return kAttributeString;
  if (a.has_t()) return kAttributeTensor;
  if (a.has_g()) return kAttributeGraph;
  if (a.floats_size() > 0) return kAttributeFloats;
  if (a.ints_size() > 0) return kAttributeInts;
  if (a.strings_size() > 0) return kAttributeStrings;
  return kAttributeUndefined;
}

Node node(proto::NodeProto& n);

GraphBody graph_body(proto::GraphProto& g) {
  GraphBody out;
  for (auto& n : *g.mutable_node()) out.nodes.push_back(node(n));
  for (auto& t : *g.mutable_initializer()) out.initializers.push_back(tensor_data(t));
  out.sparse_initializers = g.sparse_initializer_size();
  for (const auto& v : g.input()) out.inputs.push_back(value_info(v));
  for (const auto& v : g.output()) out.outputs.push_back(value_info(v));
  return out;
}

Attribute attribute(proto::AttributeProto& a) {
  Attribute out;
  out.name = a.name();
  out.reference = a.ref_attr_name();
  out.type = attribute_type(a);
  out.f = a.f();
  out.i = a.i();
  out.s = a.s();
  if (a.has_t()) out.t = std::make_shared<TensorData>(tensor_data(*a.mutable_t()));
  if (a.has_g()) out.g = std::make_shared<GraphBody>(graph_body(*a.mutable_g()));
  out.floats.assign(a.floats().begin(), a.floats().end());
  out.ints.assign(a.ints().begin(), a.ints().end());
  out.strings.assign(a.strings().begin(), a.strings().end());
  return out;
}

Node node(proto::NodeProto& n) {
  Node out;
  out.name = n.name();
  out.type = n.op_type();
  out.domain = n.domain();
  out.overload = n.overload();
  out.inputs.assign(n.input().begin(), n.input().end());
  out.outputs.assign(n.output().begin(), n.output().end());
  for (auto& a : *n.mutable_attribute()) out.attributes.push_back(attribute(a));
  return out;
}

Function function(proto::FunctionProto& f) {
  Function out;
  out.domain = f.domain();
  out.name = f.name();
  out.overload = f.overload();
  out.inputs.assign(f.input().begin(), f.input().end());
  out.outputs.assign(f.output().begin(), f.output().end());
  out.attributes.assign(f.attribute().begin(), f.attribute().end());
  for (auto& a : *f.mutable_attribute_proto()) out.defaults.push_back(attribute(a));
  for (const auto& set : f.opset_import()) out.operator_sets.push_back({set.domain(), set.version()});
  for (auto& n : *f.mutable_node()) out.nodes.push_back(node(n));
  return out;
}

}  // namespace

Result<Model> decode_model(std::string_view bytes, const std::string& file) {
  proto::ModelProto message;
  SY_TRY([[maybe_unused]] auto done, parse_checked(message, bytes, file, "model"));
  Model out;
  out.ir_version = message.ir_version();
  out.has_graph = message.has_graph();
  for (const auto& set : message.opset_import()) out.operator_sets.push_back({set.domain(), set.version()});
  for (auto& f : *message.mutable_functions()) out.functions.push_back(function(f));
  auto& graph = *message.mutable_graph();
  out.graph_name = graph.name();
  GraphBody body = graph_body(graph);
  out.nodes = std::move(body.nodes);
  out.initializers = std::move(body.initializers);
  out.sparse_initializers = body.sparse_initializers;
  out.inputs = std::move(body.inputs);
  out.outputs = std::move(body.outputs);
  return out;
}

Result<TensorData> decode_tensor(std::string_view bytes, const std::string& file) {
  proto::TensorProto message;
  SY_TRY([[maybe_unused]] auto done, parse_checked(message, bytes, file, "tensor"));
  return tensor_data(message);
}

Result<std::optional<std::vector<TensorData>>> decode_value(std::string_view bytes, ValueKind kind, const std::string& file) {
  std::vector<TensorData> tensors;
  const auto add = [&](proto::SequenceProto& sequence) {
    for (auto& t : *sequence.mutable_tensor_values()) tensors.push_back(tensor_data(t));
  };
  if (kind == ValueKind::sequence) {
    proto::SequenceProto message;
    SY_TRY([[maybe_unused]] auto done, parse_checked(message, bytes, file, "sequence"));
    add(message);
  } else if (kind == ValueKind::optional || kind == ValueKind::optional_sequence) {
    proto::OptionalProto message;
    SY_TRY([[maybe_unused]] auto done, parse_checked(message, bytes, file, "optional value"));
    if (!message.has_tensor_value() && !message.has_sequence_value()) return std::optional<std::vector<TensorData>>();
    if (message.has_tensor_value()) tensors.push_back(tensor_data(*message.mutable_tensor_value()));
    if (message.has_sequence_value()) add(*message.mutable_sequence_value());
  } else {
    SY_TRY(TensorData tensor, decode_tensor(bytes, file));
    tensors.push_back(std::move(tensor));
  }
  return std::optional<std::vector<TensorData>>(std::move(tensors));
}

namespace {

void encode(const TensorData& tensor, proto::TensorProto& out) {
  for (const std::int64_t d : tensor.dims) out.add_dims(d);
  out.set_data_type(tensor.type);
  out.set_name(tensor.name);
  if (tensor.external) {
    out.set_data_location(1);
    for (const auto& [key, value] : tensor.external_data) {
      auto& entry = *out.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    }
  } else if (tensor.bytes) {
    out.set_raw_data(*tensor.bytes);
  }
}

void encode(const ValueInfo& value, proto::ValueInfoProto& out) {
  out.set_name(value.name);
  if (!value.is_tensor) return;
  auto& type = *out.mutable_type()->mutable_tensor_type();
  type.set_elem_type(value.type);
  for (const Dimension& d : value.shape.value_or(std::vector<Dimension>{})) {
    auto& dimension = *type.mutable_shape()->add_dim();
    if (d.value) dimension.set_dim_value(*d.value);
    if (!d.symbol.empty()) dimension.set_dim_param(d.symbol);
  }
  if (value.shape) type.mutable_shape();
}

void encode(const OperatorSet& set, proto::OperatorSetIdProto& out) {
  out.set_domain(set.domain);
  out.set_version(set.version);
}

void encode(const Node& node, proto::NodeProto& out);

void encode(const Attribute& a, proto::AttributeProto& out) {
  out.set_name(a.name);
  if (a.type != kAttributeUndefined) out.set_type(a.type);
  if (!a.reference.empty()) {
    out.set_ref_attr_name(a.reference);
    return;
  }
  if (a.type == kAttributeFloat) out.set_f(static_cast<float>(a.f));
  if (a.type == kAttributeInt) out.set_i(a.i);
  if (a.type == kAttributeString) out.set_s(a.s);
  if (a.t) encode(*a.t, *out.mutable_t());
  for (const double v : a.floats) out.add_floats(static_cast<float>(v));
  for (const std::int64_t v : a.ints) out.add_ints(v);
  for (const std::string& v : a.strings) out.add_strings(v);
  if (a.g == nullptr) return;
  auto& graph = *out.mutable_g();
  for (const Node& node : a.g->nodes) encode(node, *graph.add_node());
  for (const TensorData& t : a.g->initializers) encode(t, *graph.add_initializer());
  for (const ValueInfo& v : a.g->inputs) encode(v, *graph.add_input());
  for (const ValueInfo& v : a.g->outputs) encode(v, *graph.add_output());
}

void encode(const Node& node, proto::NodeProto& out) {
  out.set_name(node.name);
  out.set_op_type(node.type);
  if (!node.domain.empty()) out.set_domain(node.domain);
  if (!node.overload.empty()) out.set_overload(node.overload);
  for (const std::string& input : node.inputs) out.add_input(input);
  for (const std::string& output : node.outputs) out.add_output(output);
  for (const Attribute& a : node.attributes) encode(a, *out.add_attribute());
}

}  // namespace

std::string encode_tensor(const TensorData& tensor) {
  proto::TensorProto message;
  encode(tensor, message);
  return message.SerializeAsString();
}

std::string encode_model(const Model& model) {
  proto::ModelProto message;
  message.set_ir_version(model.ir_version);
  message.set_producer_name("switchyard");
  for (const OperatorSet& set : model.operator_sets) encode(set, *message.add_opset_import());
  auto& graph = *message.mutable_graph();
  graph.set_name(model.graph_name);
  for (const Node& node : model.nodes) encode(node, *graph.add_node());
  for (const TensorData& t : model.initializers) encode(t, *graph.add_initializer());
  for (const ValueInfo& v : model.inputs) encode(v, *graph.add_input());
  for (const ValueInfo& v : model.outputs) encode(v, *graph.add_output());
  for (const Function& f : model.functions) {
    auto& out = *message.add_functions();
    out.set_domain(f.domain);
    out.set_name(f.name);
    out.set_overload(f.overload);
    for (const std::string& name : f.inputs) out.add_input(name);
    for (const std::string& name : f.outputs) out.add_output(name);
    for (const std::string& name : f.attributes) out.add_attribute(name);
    for (const Attribute& a : f.defaults) encode(a, *out.add_attribute_proto());
    for (const OperatorSet& set : f.operator_sets) encode(set, *out.add_opset_import());
    for (const Node& node : f.nodes) encode(node, *out.add_node());
  }
  return message.SerializeAsString();
}

}  // namespace switchyard::model::onnx
