#include "model/known_operators.h"

#include <algorithm>
#include <array>
#include <set>

#include "model/onnx/control.h"
#include "model/onnx/decode.h"
#include "model/onnx/operators.h"
#include "model/onnx/values.h"
#include "support/file.h"

namespace switchyard::model {

std::vector<OnnxOperator> onnx_operators() {
  std::vector<OnnxOperator> list;
  const auto texts = onnx::text_operators();
  for (const std::string& name : onnx::operator_names()) {
    const bool host = std::any_of(texts.begin(), texts.end(), [&](const onnx::Operator& o) { return o.name == name; });
    list.push_back({name, onnx::find_operator(name)->since, host ? "host" : "structured"});
  }
  for (const auto& [name, since] : onnx::structural_operators()) list.push_back({std::string(name), since, "at import"});
  list.push_back({"Gradient", 1, "at import"});
  std::sort(list.begin(), list.end(), [](const OnnxOperator& a, const OnnxOperator& b) { return a.name < b.name; });
  return list;
}

namespace {

OnnxSignature::Kind kind_of(const onnx::ValueInfo& v) {
  switch (v.kind) {
    case onnx::ValueKind::sequence: return OnnxSignature::Kind::sequence;
    case onnx::ValueKind::optional: return OnnxSignature::Kind::optional;
    case onnx::ValueKind::optional_sequence: return OnnxSignature::Kind::optional_sequence;
    default: return OnnxSignature::Kind::tensor;  // where it is none, the importer says so
  }
}

}  // namespace

Result<OnnxSignature> onnx_signature_of(const std::string& path) {
  SY_TRY(const std::string bytes, read_file(path));
  SY_TRY(const onnx::Model model, onnx::decode_model(bytes, path));
  std::set<std::string> initialized;
  for (const onnx::TensorData& t : model.initializers) initialized.insert(t.name);
  OnnxSignature signature;
  for (const onnx::ValueInfo& v : model.inputs)
    if (!initialized.contains(v.name)) signature.inputs.push_back(kind_of(v));
  for (const onnx::ValueInfo& v : model.outputs) {
    signature.outputs.push_back(kind_of(v));
    signature.texts.push_back(v.is_tensor && v.type == onnx::kString);
  }
  return signature;
}

Result<OnnxValue> read_onnx_value(const std::string& path, OnnxSignature::Kind kind) {
  constexpr std::array kKinds{onnx::ValueKind::tensor, onnx::ValueKind::sequence, onnx::ValueKind::optional,
                              onnx::ValueKind::optional_sequence};
  SY_TRY(const std::string bytes, read_file(path));
  SY_TRY(const auto values, onnx::decode_value(bytes, kKinds[static_cast<std::size_t>(kind)], path));
  OnnxValue out;
  if (!values) {
    out.length = -2;
    return out;
  }
  for (const onnx::TensorData& data : *values) {
    SY_TRY(const onnx::Value value, onnx::value_of(data, path, {}));
    out.tensors.push_back(value.constant->make());
  }
  if (kind != OnnxSignature::Kind::tensor) out.length = static_cast<std::int64_t>(out.tensors.size());
  return out;
}

Result<std::vector<std::string>> onnx_operators_of(const std::string& path) {
  SY_TRY(const std::string bytes, read_file(path));
  SY_TRY(const onnx::Model model, onnx::decode_model(bytes, path));
  std::set<std::string> types;
  for (const onnx::Node& node : model.nodes) types.insert(node.type);
  return std::vector<std::string>(types.begin(), types.end());
}

}  // namespace switchyard::model
