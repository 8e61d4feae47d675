// Small ONNX models for tests, written down as plain structs and, where bytes are wanted, encoded by hand.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "model/onnx/ir.h"
#include "model/onnx/reader.h"

namespace switchyard::model::onnx {

template <class T>
TensorData tensor_data(std::string name, std::int32_t type, std::vector<std::int64_t> dims, const std::vector<T>& values) {
  TensorData t;
  t.name = std::move(name);
  t.type = type;
  t.dims = std::move(dims);
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  t.bytes = std::make_shared<std::string>(std::move(bytes));
  return t;
}
inline TensorData floats(std::string name, std::vector<std::int64_t> dims, const std::vector<float>& values) {
  return tensor_data(std::move(name), kFloat, std::move(dims), values);
}
inline TensorData integers(std::string name, const std::vector<std::int64_t>& values) {
  return tensor_data(std::move(name), kInt64, {static_cast<std::int64_t>(values.size())}, values);
}

inline Attribute int_attribute(std::string name, std::int64_t value) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeInt;
  a.i = value;
  return a;
}
inline Attribute float_attribute(std::string name, double value) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeFloat;
  a.f = value;
  return a;
}
inline Attribute string_attribute(std::string name, std::string value) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeString;
  a.s = std::move(value);
  return a;
}
inline Attribute ints_attribute(std::string name, std::vector<std::int64_t> values) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeInts;
  a.ints = std::move(values);
  return a;
}
inline Attribute tensor_attribute(std::string name, TensorData value) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeTensor;
  a.t = std::make_shared<TensorData>(std::move(value));
  return a;
}

inline Dimension fixed(std::int64_t value) { return {value, {}}; }
inline Dimension open(std::string symbol) { return {{}, std::move(symbol)}; }
inline ValueInfo symbolic_info(std::string name, std::vector<Dimension> shape, std::int32_t type = kFloat) {
  return {std::move(name), true, type, std::move(shape)};
}
inline ValueInfo value_info(std::string name, const std::vector<std::int64_t>& shape, std::int32_t type = kFloat) {
  std::vector<Dimension> dims;
  for (const std::int64_t d : shape) dims.push_back(fixed(d));
  return symbolic_info(std::move(name), std::move(dims), type);
}
inline ValueInfo output_info(std::string name) { return {std::move(name), false, kUndefined, {}}; }

inline Node node(std::string type, std::vector<std::string> inputs, std::vector<std::string> outputs,
                 std::vector<Attribute> attributes = {}, std::string name = {}) {
  return {std::move(name), std::move(type), {}, std::move(inputs), std::move(outputs), std::move(attributes)};
}

inline Model test_model(std::int64_t opset, std::vector<ValueInfo> inputs, std::vector<TensorData> initializers, std::vector<Node> nodes,
                        std::vector<std::string> outputs) {
  Model m;
  m.ir_version = 8;
  m.has_graph = true;
  m.graph_name = "test";
  m.operator_sets = {{"", opset}};
  m.inputs = std::move(inputs);
  m.initializers = std::move(initializers);
  m.nodes = std::move(nodes);
  for (std::string& name : outputs) m.outputs.push_back(output_info(std::move(name)));
  return m;
}

/// Protobuf's wire format, as much of it as a model needs.
class WireWriter {
 public:
  WireWriter& number(int field, std::uint64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(value);
    return *this;
  }
  WireWriter& bytes(int field, std::string_view value) {
    varint((static_cast<std::uint64_t>(field) << 3) | 2);
    varint(value.size());
    out_ += value;
    return *this;
  }
  WireWriter& fp32(int field, float value) {
    varint((static_cast<std::uint64_t>(field) << 3) | 5);
    out_.append(reinterpret_cast<const char*>(&value), 4);
    return *this;
  }
  [[nodiscard]] const std::string& str() const { return out_; }

 private:
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) out_.push_back(static_cast<char>(v | 0x80));
    out_.push_back(static_cast<char>(v));
  }
  std::string out_;
};

inline std::string encode(const TensorData& t) {
  WireWriter w;
  for (const std::int64_t d : t.dims) w.number(1, static_cast<std::uint64_t>(d));
  w.number(2, static_cast<std::uint64_t>(t.type)).bytes(8, t.name);
  if (t.bytes) w.bytes(9, *t.bytes);
  for (const auto& [key, value] : t.external_data) w.bytes(13, WireWriter().bytes(1, key).bytes(2, value).str());
  if (t.external) w.number(14, 1);
  return w.str();
}

inline std::string encode(const Attribute& a) {
  WireWriter w;
  w.bytes(1, a.name).number(20, static_cast<std::uint64_t>(a.type));
  if (a.type == kAttributeFloat) w.fp32(2, static_cast<float>(a.f));
  if (a.type == kAttributeInt) w.number(3, static_cast<std::uint64_t>(a.i));
  if (a.type == kAttributeString) w.bytes(4, a.s);
  if (a.t) w.bytes(5, encode(*a.t));
  for (const std::int64_t i : a.ints) w.number(8, static_cast<std::uint64_t>(i));
  return w.str();
}

inline std::string encode(const ValueInfo& v) {
  WireWriter w;
  w.bytes(1, v.name);
  if (!v.is_tensor) return w.str();
  WireWriter tensor;
  tensor.number(1, static_cast<std::uint64_t>(v.type));
  if (v.shape) {
    WireWriter shape;
    for (const Dimension& d : *v.shape) {
      shape.bytes(1, d.value ? WireWriter().number(1, static_cast<std::uint64_t>(*d.value)).str() : WireWriter().bytes(2, d.symbol).str());
    }
    tensor.bytes(2, shape.str());
  }
  return w.bytes(2, WireWriter().bytes(1, tensor.str()).str()).str();
}

inline std::string encode(const Model& m) {
  WireWriter graph;
  for (const Node& n : m.nodes) {
    WireWriter w;
    for (const std::string& i : n.inputs) w.bytes(1, i);
    for (const std::string& o : n.outputs) w.bytes(2, o);
    w.bytes(3, n.name).bytes(4, n.type);
    for (const Attribute& a : n.attributes) w.bytes(5, encode(a));
    if (!n.domain.empty()) w.bytes(7, n.domain);
    graph.bytes(1, w.str());
  }
  graph.bytes(2, m.graph_name);
  for (const TensorData& t : m.initializers) graph.bytes(5, encode(t));
  for (const ValueInfo& v : m.inputs) graph.bytes(11, encode(v));
  for (const ValueInfo& v : m.outputs) graph.bytes(12, encode(v));
  WireWriter model;
  model.number(1, static_cast<std::uint64_t>(m.ir_version)).bytes(7, graph.str());
  for (const OperatorSet& s : m.operator_sets) {
    model.bytes(8, WireWriter().bytes(1, s.domain).number(2, static_cast<std::uint64_t>(s.version)).str());
  }
  return model.str();
}

}  // namespace switchyard::model::onnx
