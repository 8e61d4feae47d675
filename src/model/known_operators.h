// What the ONNX reader knows: its operators, and which a model file uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "numerics/tensor.h"
#include "support/result.h"

namespace switchyard::model {

struct OnnxOperator {
  std::string name;
  std::int64_t since = 1;          ///< first operator set from which it is read
  std::string how = "structured";  ///< or "at import": only tensors are left of it; or "host"
};
std::vector<OnnxOperator> onnx_operators();  ///< sorted by name

/// What the inputs (initialisers excluded) and outputs of a .onnx file are.
struct OnnxSignature {
  enum class Kind : std::uint8_t { tensor, sequence, optional, optional_sequence };
  std::vector<Kind> inputs, outputs;
  std::vector<bool> texts;  ///< of the outputs: whether it is one tensor of texts
};
/// Failures: file/unreadable, onnx/malformed.
Result<OnnxSignature> onnx_signature_of(const std::string& path);

/// The tensors in a file of a value of this kind (.pb), and their number; -1 for a tensor, -2 for an optional without a value. Failures as
/// of read_tensor.
struct OnnxValue {
  std::vector<numerics::Tensor> tensors;
  std::int64_t length = -1;
};
Result<OnnxValue> read_onnx_value(const std::string& path, OnnxSignature::Kind kind);

/// The types of the nodes of a .onnx file, each once, sorted; of its main graph. Failures: file/unreadable, onnx/malformed.
Result<std::vector<std::string>> onnx_operators_of(const std::string& path);

}  // namespace switchyard::model
