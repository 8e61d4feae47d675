#include "model/onnx/operators.h"

#include <algorithm>
#include <array>

namespace switchyard::model::onnx {

namespace {

std::array<std::span<const Operator>, 20> families() {
  return {elementwise_operators(),   math_operators(),      reduction_operators(), index_operators(),       loss_operators(),
          quantise_operators(),      attention_operators(), vision_operators(),    signal_operators(),      selection_operators(),
          region_operators(),        feature_operators(),   recurrent_operators(), contraction_operators(), pooling_operators(),
          normalisation_operators(), shape_operators(),     random_operators(),    tree_operators(),        text_operators()};
}

}  // namespace

const Operator* find_operator(std::string_view name) {
  for (const auto family : families()) {
    const auto at = std::find_if(family.begin(), family.end(), [&](const Operator& o) { return o.name == name; });
    if (at != family.end()) return &*at;
  }
  return nullptr;
}

std::vector<std::string> operator_names() {
  std::vector<std::string> names;
  for (const auto family : families()) {
    for (const Operator& o : family) names.emplace_back(o.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace switchyard::model::onnx
