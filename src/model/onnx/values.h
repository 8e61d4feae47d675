// Values of an ONNX graph during import: their types and shapes, and for constants where the numbers come from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "model/onnx/ir.h"
#include "support/result.h"

namespace switchyard::model::onnx {

/// Sizes beyond these are taken for nonsense: they keep every later product inside 64 bits.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;
inline constexpr std::size_t kMaxRank = 16;
/// Largest constant whose numbers may decide shapes and be computed with during import.
inline constexpr std::int64_t kMaxKnown = 4096;
/// Constants computed from constants on demand: how many such steps may lie behind one another (they recurse when values are made).
inline constexpr int kMaxLazyDepth = 8;

/// A tensor of the model. Constants may go by several names (Identity of an initialiser shares it). Or a sequence or an optional (none or
/// one element): which values are in it is known while importing, what these hold need not be.
struct Value {
  enum class Kind : std::uint8_t { tensor, sequence, optional };
  std::string name;
  Kind kind = Kind::tensor;
  std::vector<std::shared_ptr<Value>> elements;
  numerics::Format format = numerics::Format::fp32;
  numerics::Shape shape;
  numerics::ConstantPtr constant;  ///< null: computed when the model runs
  bool trained = false;            ///< a weight
  bool text = false;               ///< texts: bytes, with a dimension more than in the model (numerics/host_call.h)
  /// What it will be in this run: a given input, or computed from such. Only shapes follow from it, no operator is left out for it.
  std::shared_ptr<const numerics::Tensor> given;
  int lazy_depth = 0;            ///< how many computations stand behind `constant`
  std::int64_t lazy_points = 0;  ///< points that they compute, all together
  graph::TensorId id;            ///< in the graph, once something there needs it
  std::shared_ptr<const numerics::Tensor> cache;
};
using ValuePtr = std::shared_ptr<Value>;

std::optional<numerics::Format> format_of(std::int32_t data_type);
std::int32_t data_type_of(numerics::Format format);
/// "FLOAT", "UINT16" ... or the number of a type the standard does not name.
std::string data_type_name(std::int32_t data_type);

/// The bytes of a tensor as files hold them: elements of less than a byte packed.
std::string pack(const numerics::Tensor& tensor);

/// Elements of a shape, or nothing when a dimension is negative, the rank or the product beyond what we take for sane.
std::optional<std::int64_t> checked_count(const numerics::Shape& shape);
std::string print_shape(const numerics::Shape& shape);

/// The numbers of a constant of at most kMaxKnown elements; null for others.
const numerics::Tensor* known(Value& value);
/// The same, or what is given for this run: for what decides shapes.
const numerics::Tensor* known_or_given(Value& value);

/// Checks type, dims and size of a stored tensor. Failures: onnx/unsupported-type, onnx/shape, onnx/initializer-size, onnx/external-data.
/// `folder` is where external data may lie; empty when it may not.
Result<Value> value_of(const TensorData& data, const std::string& file, const std::string& folder);

}  // namespace switchyard::model::onnx
