#include "model/known_operators.h"

#include <algorithm>
#include <set>

#include "model/onnx/decode.h"
#include "model/onnx/operators.h"
#include "support/file.h"

namespace switchyard::model {

std::vector<OnnxOperator> onnx_operators() {
  std::vector<OnnxOperator> list;
  for (const std::string& name : onnx::operator_names()) list.push_back({name, onnx::find_operator(name)->since});
  return list;
}

Result<std::vector<std::string>> onnx_operators_of(const std::string& path) {
  SY_TRY(const std::string bytes, read_file(path));
  SY_TRY(const onnx::Model model, onnx::decode_model(bytes, path));
  std::set<std::string> types;
  for (const onnx::Node& node : model.nodes) types.insert(node.type);
  return std::vector<std::string>(types.begin(), types.end());
}

}  // namespace switchyard::model
