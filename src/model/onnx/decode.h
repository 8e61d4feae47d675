// Protobuf bytes <-> plain structs. The only place that knows protobuf.
#pragma once

#include <string>
#include <string_view>

#include "model/onnx/ir.h"
#include "support/result.h"

namespace switchyard::model::onnx {

/// Any bytes in; onnx/malformed when they are not a ModelProto. `file` names them in diagnostics.
Result<Model> decode_model(std::string_view bytes, const std::string& file);
Result<TensorData> decode_tensor(std::string_view bytes, const std::string& file);

/// A value of this kind: the tensors in it (one for a tensor); none of an optional without a value. Maps and the like are malformed here.
Result<std::optional<std::vector<TensorData>>> decode_value(std::string_view bytes, ValueKind kind, const std::string& file);

/// A TensorProto with raw_data.
std::string encode_tensor(const TensorData& tensor);
/// A ModelProto, of whatever decode_model reads.
std::string encode_model(const Model& model);

}  // namespace switchyard::model::onnx
