// What the ONNX reader knows: its operators, and which a model file uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/result.h"

namespace switchyard::model {

struct OnnxOperator {
  std::string name;
  std::int64_t since = 1;  ///< first operator set from which it is read
};
std::vector<OnnxOperator> onnx_operators();  ///< sorted by name

/// The types of the nodes of a .onnx file, each once, sorted; of its main graph. Failures: file/unreadable, onnx/malformed.
Result<std::vector<std::string>> onnx_operators_of(const std::string& path);

}  // namespace switchyard::model
