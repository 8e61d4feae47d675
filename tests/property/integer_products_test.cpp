// Laws of ONNX's products of bytes (MatMulInteger, ConvInteger): against sums worked out here, whatever the bytes and their zero points,
// on every kind of chip; and on matrix units, where a chip has such for bytes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "compiler/compiler.h"
#include "model/onnx/reader.h"
#include "model/onnx/test_model.h"
#include "model/onnx/values.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

using numerics::Format;
using numerics::Shape;
using Values = std::vector<int>;

/// A product drawn by chance, and what it should come to.
class Product {
 public:
  explicit Product(unsigned seed) : random_(seed) {
    const Format first = pick(0, 1) ? Format::int8 : Format::uint8, second = pick(0, 1) ? Format::int8 : Format::uint8;
    node_.outputs = {"y"};
    if (pick(0, 1)) {
      product(first, second);
    } else {
      convolution(first, second);
    }
    model_ = model::onnx::test_model(21, std::move(infos_), std::move(initializers_), {node_}, {"y"});
  }

  [[nodiscard]] graph::Graph graph() {
    auto g = model::onnx::build_graph(std::move(model_), {}, "product", {});
    EXPECT_TRUE(g.ok()) << format_failure(g.failure());
    return std::move(g).value();
  }
  [[nodiscard]] const std::vector<numerics::Tensor>& inputs() const { return inputs_; }
  [[nodiscard]] const Values& expected() const { return expected_; }

 private:
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  Values bytes(Format format, std::int64_t count) {
    Values v;
    for (std::int64_t i = 0; i < count; ++i) v.push_back(format == Format::int8 ? pick(-128, 127) : pick(0, 255));
    return v;
  }
  /// One more operand of the node: a constant, or an input of the model.
  void operand(const char* name, Format format, const Shape& shape, const Values& values, bool constant) {
    node_.inputs.emplace_back(name);
    const auto type = model::onnx::data_type_of(format);
    if (constant) {
      std::vector<std::uint8_t> codes;
      for (const int v : values) codes.push_back(static_cast<std::uint8_t>(v));
      initializers_.push_back(model::onnx::tensor_data(name, type, shape, codes));
      return;
    }
    infos_.push_back(model::onnx::value_info(name, shape, type));
    numerics::Tensor t = numerics::make_tensor(format, shape);
    for (std::size_t i = 0; i < values.size(); ++i) t.set(static_cast<std::int64_t>(i), values[i]);
    inputs_.push_back(std::move(t));
  }
  /// Zero points: none, the middle of the format, one, or one for each of `channels`.
  Values zero_points(const char* name, Format format, int channels) {
    const int kind = pick(0, 3);
    if (kind == 0) {
      node_.inputs.emplace_back();
      return {0};
    }
    Values z = kind == 1 ? Values{format == Format::int8 ? 0 : 128} : bytes(format, kind == 3 ? channels : 1);
    operand(name, format, kind == 3 ? Shape{channels} : Shape{}, z, pick(0, 1) == 1);
    return z;
  }
  static int at(const Values& z, std::int64_t i) { return z[z.size() == 1 ? 0 : static_cast<std::size_t>(i)]; }

  void product(Format first, Format second) {
    const int m = pick(1, 9), n = pick(1, 9), k = pick(1, 40), batch = pick(1, 2);
    node_.type = "MatMulInteger";
    const Values x = bytes(first, batch * m * k), w = bytes(second, k * n);
    operand("x", first, batch > 1 ? Shape{batch, m, k} : Shape{m, k}, x, false);
    operand("w", second, {k, n}, w, pick(0, 1) == 1);
    const Values zx = zero_points("zx", first, 1), zw = zero_points("zw", second, n);
    for (int row = 0; row < batch * m; ++row)
      for (int j = 0; j < n; ++j) {
        int sum = 0;
        for (int i = 0; i < k; ++i)
          sum += (x[static_cast<std::size_t>(row * k + i)] - zx[0]) * (w[static_cast<std::size_t>(i * n + j)] - at(zw, j));
        expected_.push_back(sum);
      }
  }

  void convolution(Format first, Format second) {
    const int in = pick(1, 6), out = pick(1, 6), side = pick(3, 7), kernel = pick(1, 3), pad = pick(0, kernel - 1), stride = pick(1, 2);
    const int to = (side + 2 * pad - kernel) / stride + 1;
    node_.type = "ConvInteger";
    node_.attributes = {model::onnx::ints_attribute("pads", {pad, pad, pad, pad}),
                        model::onnx::ints_attribute("strides", {stride, stride})};
    const Values x = bytes(first, in * side * side), w = bytes(second, out * in * kernel * kernel);
    operand("x", first, {1, in, side, side}, x, false);
    operand("w", second, {out, in, kernel, kernel}, w, pick(0, 1) == 1);
    const Values zx = zero_points("zx", first, 1), zw = zero_points("zw", second, out);
    for (int o = 0; o < out; ++o)
      for (int r = 0; r < to; ++r)
        for (int c = 0; c < to; ++c) {
          int sum = 0;
          for (int i = 0; i < in; ++i)
            for (int u = 0; u < kernel; ++u)
              for (int v = 0; v < kernel; ++v) {
                const int row = r * stride + u - pad, column = c * stride + v - pad;
                if (row < 0 || column < 0 || row >= side || column >= side) continue;
                sum += (x[static_cast<std::size_t>((i * side + row) * side + column)] - zx[0]) *
                       (w[static_cast<std::size_t>(((o * in + i) * kernel + u) * kernel + v)] - at(zw, o));
              }
          expected_.push_back(sum);
        }
  }

  std::mt19937 random_;
  model::onnx::Node node_;
  model::onnx::Model model_;
  std::vector<model::onnx::ValueInfo> infos_;
  std::vector<model::onnx::TensorData> initializers_;
  std::vector<numerics::Tensor> inputs_;
  Values expected_;
};

double seconds_of(const program::Program& p) { return static_cast<double>(simulation::time_program(p).value().latency.value) * 1e-12; }

TEST(IntegerProducts, AreTheSumsOfTheStandard) {
  // With matrix units for bytes, with blocks of threads, and without: there lanes add them up.
  for (const char* name : {"tx81", "rpu-2x2", "h100-sxm", "tpu-v3"}) {
    const auto chip = library_chip(name);
    for (unsigned seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(fmt::format("{} seed {}", name, seed));
      Product product(seed);
      const graph::Graph g = product.graph();
      compiler::CompileOptions options;
      options.keep_formats = true;
      options.effort = static_cast<int>(seed % 2);
      options.time = seconds_of;
      const auto compiled = compiler::compile(g, chip, options);
      ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
      const auto verified = program::verify(compiled.value().program);
      ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
      const auto run = simulation::execute(compiled.value().program, product.inputs(), {1, {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      const numerics::Tensor& y = run.value().outputs[0];
      ASSERT_EQ(y.count(), static_cast<std::int64_t>(product.expected().size()));
      for (std::int64_t i = 0; i < y.count(); ++i) ASSERT_EQ(y.at(i), product.expected()[static_cast<std::size_t>(i)]) << i;
    }
  }
}

TEST(IntegerProducts, TakeMatrixUnits) {
  const Shape square{256, 256};
  const std::string bytes(256 * 256, '\3');
  const auto built = [&] {
    model::onnx::Model m = model::onnx::test_model(
        21, {model::onnx::value_info("x", square, model::onnx::data_type_of(Format::uint8)), model::onnx::value_info("zx", {}, 2)},
        {model::onnx::tensor_data("w", model::onnx::data_type_of(Format::int8), square, std::vector<char>(bytes.begin(), bytes.end()))},
        {model::onnx::node("MatMulInteger", {"x", "w", "zx"}, {"y"})}, {"y"});
    return model::onnx::build_graph(std::move(m), {}, "product", {}).value();
  };
  compiler::CompileOptions options;
  options.keep_formats = true;
  options.time = seconds_of;
  for (const char* name : {"tx81", "rpu-4x4", "h100-sxm"}) {
    const auto compiled = compiler::compile(built(), library_chip(name), options);
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    EXPECT_EQ(compiled.value().program.labels.macs, 256 * 256 * 256) << name;
    EXPECT_EQ(simulation::time_program(compiled.value().program).value().macs, 256 * 256 * 256) << name;
  }
  const auto lanes = compiler::compile(built(), library_chip("tpu-v3"), options);
  ASSERT_TRUE(lanes.ok()) << format_failure(lanes.failure());
  EXPECT_EQ(simulation::time_program(lanes.value().program).value().macs, 0) << "no unit of it multiplies bytes";
}

}  // namespace
}  // namespace switchyard
