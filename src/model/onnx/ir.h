// The ONNX file as plain structs: what decode.cpp makes of the protobuf bytes, before anything is checked or understood.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "numerics/tensor.h"

namespace switchyard::model::onnx {

/// TensorProto.DataType of the standard, as far as the reader names them.
enum DataType : std::int32_t {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBfloat16 = 16,
  kFloat8E4M3Fn = 17,
  kInt2 = 26,
};

/// AttributeProto.AttributeType of the standard.
enum AttributeType : std::int32_t {
  kAttributeUndefined = 0,
  kAttributeFloat = 1,
  kAttributeInt = 2,
  kAttributeString = 3,
  kAttributeTensor = 4,
  kAttributeGraph = 5,
  kAttributeFloats = 6,
  kAttributeInts = 7,
  kAttributeStrings = 8,
};

/// A TensorProto. Whatever field held the values, `bytes` has them packed, little-endian and row-major, unchecked against dims.
struct TensorData {
  std::string name;
  std::int32_t type = kUndefined;
  std::vector<std::int64_t> dims;
  std::shared_ptr<const std::string> bytes;  ///< null: the values lie outside (external) or in a field we do not read
  std::int64_t text_width = 0;               ///< STRING: `bytes` has rows of so many, each a text filled up with zeros
  bool external = false;
  std::map<std::string, std::string> external_data;  ///< location, offset, length
  std::function<numerics::Tensor()> later;           ///< of a model to be written: makes the values
};

struct GraphBody;

struct Attribute {
  std::string name;
  std::string reference;  ///< inside a function: the attribute of the call that takes this one's place
  std::int32_t type = kAttributeUndefined;
  double f = 0;
  std::int64_t i = 0;
  std::string s;
  std::shared_ptr<const TensorData> t;
  std::shared_ptr<const GraphBody> g;
  std::vector<double> floats;
  std::vector<std::int64_t> ints;
  std::vector<std::string> strings;
};

struct Dimension {
  std::optional<std::int64_t> value;
  std::string symbol;  ///< empty: neither a value nor a name
};

/// What a value of the graph is, as far as it is read. other: a map, a sparse tensor, a deeper nesting, or no type at all.
enum class ValueKind : std::uint8_t { tensor, sequence, optional, optional_sequence, other };

struct ValueInfo {
  std::string name;
  bool is_tensor = false;
  std::int32_t type = kUndefined;               ///< of a sequence or an optional: of the tensors in it
  std::optional<std::vector<Dimension>> shape;  ///< empty: not even the rank is known
  ValueKind kind = ValueKind::other;            ///< as it was read
};

struct Node {
  std::string name, type, domain;
  std::vector<std::string> inputs, outputs;  ///< an empty name is an omitted one
  std::vector<Attribute> attributes;
  std::string overload = {};
  std::int64_t opset = 0;  ///< of the standard domain, where it is not the model's: the node comes from a function
};

struct OperatorSet {
  std::string domain;
  std::int64_t version = 0;
};

/// The graph in an attribute: a branch, a loop's body.
struct GraphBody {
  std::vector<Node> nodes;
  std::vector<TensorData> initializers;
  std::int64_t sparse_initializers = 0;
  std::vector<ValueInfo> inputs, outputs;
};

/// A FunctionProto: what stands for the nodes whose domain, type and overload are these.
struct Function {
  std::string domain, name, overload;
  std::vector<std::string> inputs, outputs;
  std::vector<std::string> attributes;  ///< those a call must give
  std::vector<Attribute> defaults;      ///< those it may leave out
  std::vector<OperatorSet> operator_sets;
  std::vector<Node> nodes;
};

struct Model {
  std::int64_t ir_version = 0;
  bool has_graph = false;
  std::vector<OperatorSet> operator_sets;
  std::vector<Function> functions;  ///< gone once they stand where they were called (functions.h)
  std::string graph_name;
  std::vector<Node> nodes;
  std::vector<TensorData> initializers;
  std::int64_t sparse_initializers = 0;
  std::vector<ValueInfo> inputs, outputs;
};

}  // namespace switchyard::model::onnx
