// Conv, Gemm, MatMul: one contraction nest each, with bias and scaling as map operators beside it.
#include <fmt/format.h>

#include <array>

#include "model/emit_detail.h"
#include "model/onnx/operators.h"
#include "model/onnx/window.h"

namespace switchyard::model::onnx {

using namespace model::detail;

namespace {

void conv(NodeBuilder& b) {
  if (!b.same_format(0, 1) || (b.has(2) && !b.same_format(0, 2)) || !b.require_floating(0)) return;
  const Shape& x = b.shape(0);
  const Shape& w = b.shape(1);
  if (x.size() < 3 || x.size() > 5 || w.size() != x.size()) {
    return b.malformed("onnx/shape",
                       fmt::format("input {} and weight {} must both have 3 to 5 dimensions", print_shape(x), print_shape(w)));
  }
  const std::int64_t groups = b.int_attribute("group", 1);
  if (groups < 1 || w[0] % groups != 0 || x[1] % groups != 0 || x[1] / groups != w[1]) {
    return b.malformed("onnx/shape", fmt::format("input {} does not fit weight {} in {} groups", print_shape(x), print_shape(w), groups));
  }
  if (b.has(2) && b.shape(2) != Shape{w[0]}) {
    return b.malformed("onnx/shape", fmt::format("bias {} does not fit weight {}", print_shape(b.shape(2)), print_shape(w)));
  }
  const Shape kernel(w.begin() + 2, w.end());
  const auto given = b.ints_attribute("kernel_shape");
  if (given && *given != kernel) {
    return b.malformed("onnx/attribute",
                       fmt::format("kernel_shape {} differs from the weight's {}", print_shape(*given), print_shape(kernel)));
  }
  const auto padded = read_window(b, kernel);
  if (!padded) return;
  graph::TensorId y = emit_convolution(b.scratch(), b.label(b.has(2) ? ":sum" : ""), b.operand(0), b.operand(1), padded->window, groups);
  if (b.has(2)) y = emit_bias(b.scratch(), b.helper("Bias", ":bias"), y, b.operand(2));
  b.set_result(0, y);
}

void matmul(NodeBuilder& b) {
  if (!b.same_format(0, 1)) return;
  const Shape& x = b.shape(0);
  const Shape& y = b.shape(1);
  const auto misfit = [&] { b.malformed("onnx/shape", fmt::format("cannot multiply {} by {}", print_shape(x), print_shape(y))); };
  if (x.empty() || y.empty()) return misfit();
  if (x.back() != (y.size() == 1 ? y[0] : y[y.size() - 2])) return misfit();
  const std::array batches{Shape(x.begin(), x.end() - (x.size() == 1 ? 1 : 2)), Shape(y.begin(), y.end() - (y.size() == 1 ? 1 : 2))};
  if (!broadcast(batches)) return misfit();
  b.set_result(0, emit_matmul(b.scratch(), b.label(), b.operand(0), b.operand(1)));
}

void gemm(NodeBuilder& b) {
  if (!b.same_format(0, 1) || (b.has(2) && !b.same_format(0, 2))) return;
  const bool transpose_a = b.int_attribute("transA", 0) != 0;
  const bool transpose_b = b.int_attribute("transB", 0) != 0;
  const double alpha = b.float_attribute("alpha", 1);
  const double beta = b.float_attribute("beta", 1);
  const Shape& sa = b.shape(0);
  const Shape& sb = b.shape(1);
  if (sa.size() != 2 || sb.size() != 2 || sa[transpose_a ? 0 : 1] != sb[transpose_b ? 1 : 0]) {
    return b.malformed("onnx/shape", fmt::format("cannot multiply {} by {}", print_shape(sa), print_shape(sb)));
  }
  const Shape shape{sa[transpose_a ? 1 : 0], sb[transpose_b ? 0 : 1]};
  if (b.has(2)) {
    const std::array both{shape, b.shape(2)};
    const auto result = broadcast(both);
    if (!result || *result != shape) {
      return b.malformed("onnx/shape", fmt::format("bias {} does not broadcast to {}", print_shape(b.shape(2)), print_shape(shape)));
    }
  }
  if (b.failed()) return;
  const bool biased = b.has(2) && beta != 0;
  graph::TensorId y =
      emit_gemm(b.scratch(), b.label(biased || alpha != 1 ? ":sum" : ""), b.operand(0), transpose_a, b.operand(1), transpose_b);
  Expression product = expr_input(0);
  if (alpha != 1) product = mul(product, expr_constant(alpha));
  if (biased) {
    Expression bias = expr_input(1);
    if (beta != 1) bias = mul(bias, expr_constant(beta));
    const std::array inputs{MapInput::of(y), b.map_operand(2)};
    y = emit_map(b.scratch(), b.helper("Bias", ":bias"), inputs, add(product, bias), b.format(0), shape);
  } else if (alpha != 1) {
    const std::array inputs{MapInput::of(y)};
    y = emit_map(b.scratch(), b.helper("Scale", ":scale"), inputs, product, b.format(0), shape);
  }
  b.set_result(0, y);
}

constexpr std::array kOperators{
    Operator{"Conv", 1, 2, 3, "auto_pad dilations group kernel_shape pads strides", conv},
    Operator{"Gemm", 1, 2, 3, "alpha beta broadcast transA transB", gemm},
    Operator{"MatMul", 1, 2, 2, "", matmul},
};

}  // namespace

std::span<const Operator> contraction_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
