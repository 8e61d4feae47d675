// What the built-in networks are made of: seeded weights, and the operators an exported model would have.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "model/emit.h"

namespace switchyard::model::zoo_models {

class Layers {
 public:
  Layers(graph::Graph& graph, std::uint64_t seed) : graph_(graph), seed_(seed) {}

  /// A constant of values within scale of offset, from the seed and the name alone.
  graph::TensorId weight(const std::string& name, numerics::Shape shape, double scale, double offset = 0, bool trained = true);
  /// A constant that is not learnt: element i, row-major, is value(i).
  graph::TensorId table(const std::string& name, const numerics::Shape& shape, std::function<double(std::int64_t)> value);

  /// Point by point over the shape the inputs broadcast to.
  graph::TensorId map(const std::string& name, std::string kind, std::span<const MapInput> inputs, const numerics::Expression& expression);
  graph::TensorId map(const std::string& name, std::string kind, graph::TensorId x, const numerics::Expression& expression);
  graph::TensorId add(const std::string& name, graph::TensorId a, graph::TensorId b);
  graph::TensorId relu(const std::string& name, graph::TensorId x);

  /// x [..., in] times the constant "<name>.weight" [in, outputs], whose variance is gain^2/in: the result's mean square is gain^2 times
  /// that of x.
  graph::TensorId linear(const std::string& name, graph::TensorId x, std::int64_t outputs, double gain = 1);
  /// The same and "<name>.bias".
  graph::TensorId linear_bias(const std::string& name, graph::TensorId x, std::int64_t outputs, double gain = 1);
  /// Over the last dimension.
  graph::TensorId softmax(const std::string& name, graph::TensorId x);

  /// Layer normalisation over the last dimension, with "<name>.weight" and "<name>.bias".
  graph::TensorId layer_norm(const std::string& name, graph::TensorId x, double epsilon);
  /// x/2 * (1 + erf(x / sqrt(2)))
  graph::TensorId gelu(const std::string& name, graph::TensorId x);
  /// x * f(x) for f of one input.
  graph::TensorId gated(const std::string& name, std::string kind, graph::TensorId x, const numerics::Expression& gate);
  /// softmax(query key^T / sqrt(head size) + mask) value, of heads side by side [batch, heads, seq, size]; mask may be none. Names follow
  /// `name`, which ends with a separator.
  graph::TensorId attention(const std::string& name, graph::TensorId query, graph::TensorId key, graph::TensorId value,
                            graph::TensorId mask);

  struct Convolution {
    std::int64_t outputs = 1, kernel = 1, stride = 1, pad = 0, groups = 1;
    bool bias = false;
    double gain = 1;  ///< root mean square of the result over that of x
  };
  /// x [n, c, spatial...], the same kernel along each spatial dimension; "<name>.weight" and perhaps "<name>.bias".
  graph::TensorId convolution(const std::string& name, graph::TensorId x, const Convolution& how);
  /// Batch normalisation of what has the given mean square, to mean 0 and a variance of gain squared; "<name>.weight", ".bias",
  /// ".running_mean", ".running_var".
  graph::TensorId batch_norm(const std::string& name, graph::TensorId x, double mean_square, double gain, double epsilon);
  /// Means over the spatial dimensions, which stay with extent 1.
  graph::TensorId spatial_mean(const std::string& name, graph::TensorId x);
  /// x [..., in] times "<name>.weight" [outputs, in] transposed, as exporters of PyTorch write it, plus "<name>.bias".
  graph::TensorId dense(const std::string& name, graph::TensorId x, std::int64_t outputs, double gain = 1);
  /// Elements begin .. begin + count - 1 along a dimension.
  graph::TensorId slice(const std::string& name, graph::TensorId x, int dimension, std::int64_t begin, std::int64_t count);
  graph::TensorId reshape(const std::string& name, graph::TensorId x, const numerics::Shape& shape);

  /// Dimension d of the result is dimension order[d] of x.
  graph::TensorId transpose(const std::string& name, graph::TensorId x, std::span<const int> order);
  /// [batch, seq, hidden] -> [batch, heads, seq, hidden/heads]
  graph::TensorId split_heads(const std::string& name, graph::TensorId x, std::int64_t heads);
  /// ... and back.
  graph::TensorId merge_heads(const std::string& name, graph::TensorId x);

  static Label label(const std::string& name, std::string kind) { return {name, std::move(kind), name + ".out", {name}}; }

 private:
  graph::Graph& graph_;
  std::uint64_t seed_;
};

}  // namespace switchyard::model::zoo_models
