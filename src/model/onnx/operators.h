// The table of ONNX operators: which there are, for which operator sets, and who builds them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/onnx/node_builder.h"

namespace switchyard::model::onnx {

/// Operator set versions the builders were written for.
inline constexpr std::int64_t kOldestOpset = 1;
inline constexpr std::int64_t kNewestOpset = 28;

/// Most inputs of an operator that takes any number of them.
inline constexpr std::size_t kAny = 4096;

struct Operator {
  std::string_view name;
  std::int64_t since;  ///< first operator set that has it
  std::size_t least_inputs, most_inputs;
  std::string_view attributes;  ///< the ones the builder understands, space between; others are refused
  void (*build)(NodeBuilder& node);
};

/// The families, each in its own file.
std::span<const Operator> elementwise_operators();
std::span<const Operator> math_operators();
std::span<const Operator> reduction_operators();
std::span<const Operator> index_operators();
std::span<const Operator> loss_operators();
std::span<const Operator> quantise_operators();
std::span<const Operator> attention_operators();
std::span<const Operator> vision_operators();
std::span<const Operator> recurrent_operators();
std::span<const Operator> signal_operators();
std::span<const Operator> selection_operators();
std::span<const Operator> region_operators();
std::span<const Operator> feature_operators();
std::span<const Operator> contraction_operators();
std::span<const Operator> pooling_operators();
std::span<const Operator> normalisation_operators();
std::span<const Operator> shape_operators();
std::span<const Operator> random_operators();
std::span<const Operator> tree_operators();
std::span<const Operator> text_operators();

/// Scores of queries and keys; probabilities of scores; results of probabilities and values.
std::span<const Operator> flex_attention_steps();
void training_dropout(NodeBuilder& node);  ///< Dropout where elements are dropped

const Operator* find_operator(std::string_view name);
const Operator* find_text_operator(std::string_view name);  ///< the forms that take texts
std::vector<std::string> operator_names();                  ///< sorted

}  // namespace switchyard::model::onnx
