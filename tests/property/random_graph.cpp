#include "property/random_graph.h"

#include <fmt/format.h>

#include "model/emit.h"

namespace switchyard::testing {
namespace {

using graph::Graph;
using graph::TensorId;
using numerics::affine_constant;
using numerics::affine_variable;
using numerics::Combiner;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;
using numerics::Tensor;

class Builder {
 public:
  explicit Builder(std::uint64_t seed) : random_(seed) {}

  RandomModel run() {
    g_.name = "random";
    if (pick(0, 3) == 0)
      matrices();
    else
      images();
    return {std::move(g_), std::move(inputs_)};
  }

 private:
  std::int64_t pick(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random_); }
  model::Label label(const char* kind) {
    const std::string name = fmt::format("{}{}", kind, ++count_);
    return {name, kind, name + "_y", {name}};
  }
  Tensor integers(Shape shape, int bound) {
    Tensor t = numerics::make_tensor(Format::fp32, std::move(shape));
    for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>(pick(-bound, bound)));
    return t;
  }
  TensorId input(Shape shape) {
    inputs_.push_back(integers(shape, 3));
    return model::add_input(g_, fmt::format("in{}", inputs_.size()), Format::fp32, std::move(shape));
  }
  TensorId weights(Shape shape, int bound = 1) {
    return model::add_constant(g_, fmt::format("w{}", ++count_), Format::fp32, shape, numerics::constant_of(integers(shape, bound)), true);
  }
  const Shape& shape(TensorId t) { return g_.tensor(t).shape; }

  TensorId convolution(TensorId x) {
    const Shape s = shape(x);
    const std::int64_t kernel = pick(0, 1) ? 3 : 1, stride = pick(1, 2), pad = kernel == 3 ? pick(0, 1) : 0;
    if (s[2] + 2 * pad < kernel || s[3] + 2 * pad < kernel) return x;
    std::int64_t groups = 1, out = pick(1, 40);
    if (pick(0, 3) == 0)
      groups = out = s[1];  // depthwise
    else if (s[1] % 2 == 0 && pick(0, 3) == 0)
      groups = 2, out = 2 * pick(1, 9);
    model::Window w{{kernel, kernel}, {stride, stride}, {1, 1}, {pad, pad}, {}};
    for (int d = 0; d < 2; ++d) w.output.push_back((s[static_cast<std::size_t>(2 + d)] + 2 * pad - kernel) / stride + 1);
    TensorId y = model::emit_convolution(g_, label("Conv"), x, weights({out, s[1] / groups, kernel, kernel}), w, groups);
    if (pick(0, 1)) y = model::emit_bias(g_, label("Bias"), y, weights({out}, 3));
    return y;
  }
  TensorId relu(TensorId x) {
    const model::MapInput in = model::MapInput::of(x);
    return model::emit_map(g_, label("Relu"), std::span(&in, 1),
                           numerics::apply(ScalarOp::max, numerics::expr_input(0), numerics::expr_constant(0)), Format::fp32, shape(x));
  }
  TensorId add(TensorId a, TensorId b) {
    const model::MapInput in[] = {model::MapInput::of(a), model::MapInput::of(b)};
    return model::emit_map(g_, label("Add"), in, numerics::apply(ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1)),
                           Format::fp32, shape(a));
  }
  TensorId pool(TensorId x) {
    const Shape s = shape(x);
    if (s[2] < 2 || s[3] < 2) return x;
    const bool pad = s[2] >= 3 && s[3] >= 3 && pick(0, 1);
    model::Window w{{2, 2}, {2, 2}, {1, 1}, {0, 0}, {s[2] / 2, s[3] / 2}};
    if (pad) w = {{3, 3}, {2, 2}, {1, 1}, {1, 1}, {(s[2] - 1) / 2 + 1, (s[3] - 1) / 2 + 1}};
    return model::emit_pool(g_, label("MaxPool"), x, w, Combiner::max, -INFINITY);
  }
  TensorId slice(TensorId x) {
    Shape s = shape(x);
    if (s[1] < 2) return x;
    const std::int64_t begin = pick(0, s[1] / 2), size = pick(1, s[1] - begin);
    s[1] = size;
    return model::emit_copy(g_, label("Slice"), x, s,
                            {affine_variable(0), affine_variable(1) + affine_constant(begin), affine_variable(2), affine_variable(3)});
  }
  TensorId shuffle(TensorId x) {
    const Shape s = shape(x);
    if (s[1] % 2 != 0) return x;
    TensorId y = model::emit_reshape(g_, label("Reshape"), x, {s[0], 2, s[1] / 2, s[2], s[3]});
    y = model::emit_copy(g_, label("Transpose"), y, {s[0], s[1] / 2, 2, s[2], s[3]},
                         {affine_variable(0), affine_variable(2), affine_variable(1), affine_variable(3), affine_variable(4)});
    return model::emit_reshape(g_, label("Reshape"), y, s);
  }

  void images() {
    TensorId x = input({pick(1, 2), pick(1, 20), pick(3, 19), pick(3, 19)});
    int contractions = 0;
    const std::int64_t steps = pick(1, 6);
    for (std::int64_t i = 0; i < steps; ++i) {
      switch (pick(0, 7)) {
        case 0:
        case 1:
        case 2:
          if (contractions++ < 3) x = convolution(x);
          break;
        case 3: x = relu(x); break;
        case 4: x = pool(x); break;
        case 5: {
          const TensorId parts[] = {x, contractions++ < 3 ? branch(x) : x};
          x = model::emit_concat(g_, label("Concat"), parts, 1);
          break;
        }
        case 6: x = pick(0, 1) ? slice(x) : shuffle(x); break;
        default: x = add(relu(x), x); break;
      }
    }
    if (contractions < 3 && pick(0, 1)) {
      const Shape s = shape(x);
      x = model::emit_reshape(g_, label("Flatten"), x, {s[0], s[1] * s[2] * s[3]});
      x = model::emit_matmul(g_, label("MatMul"), x, weights({shape(x)[1], pick(1, 70)}));
    } else if (pick(0, 1)) {
      x = model::emit_reduction(g_, label("Sum"), x, {false, false, true, true}, true, Combiner::add);
    }
    g_.outputs.push_back(x);
  }
  TensorId branch(TensorId x) {
    const Shape s = shape(x);
    return model::emit_convolution(g_, label("Conv"), x, weights({pick(1, 20), s[1], 1, 1}), {{1, 1}, {1, 1}, {1, 1}, {0, 0}, {s[2], s[3]}},
                                   1);
  }

  void matrices() {
    const std::int64_t b = pick(1, 3), m = pick(1, 70), k = pick(1, 90), n = pick(1, 130);
    TensorId x = input({b, m, k});
    TensorId y = model::emit_matmul(g_, label("MatMul"), x, pick(0, 1) ? weights({k, n}) : input({b, k, n}));
    if (pick(0, 1)) y = relu(y);
    if (n % 2 == 0 && pick(0, 1)) {  // heads
      y = model::emit_reshape(g_, label("Reshape"), y, {b, m, 2, n / 2});
      y = model::emit_copy(g_, label("Transpose"), y, {b, 2, m, n / 2},
                           {affine_variable(0), affine_variable(2), affine_variable(1), affine_variable(3)});
      y = model::emit_matmul(g_, label("MatMul"), y, weights({n / 2, pick(1, 33)}));
    }
    if (pick(0, 1)) y = add(y, y);
    g_.outputs.push_back(y);
    if (pick(0, 2) == 0) g_.outputs.push_back(relu(x));
  }

  std::mt19937_64 random_;
  Graph g_;
  std::vector<Tensor> inputs_;
  int count_ = 0;
};

}  // namespace

RandomModel random_model(std::uint64_t seed) { return Builder(seed).run(); }

}  // namespace switchyard::testing
