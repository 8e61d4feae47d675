// Laws of every structured operator: whatever chip, tiles, fusion and sharing carry it, integers are the reference's bit by bit, and
// every floating number is within the rounding that its own sums allow.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/onnx/reader.h"
#include "model/onnx/test_model.h"
#include "model/onnx/values.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "report/check.h"
#include "simulation/execute.h"

namespace switchyard {
namespace {

using model::onnx::Attribute;
using model::onnx::int_attribute;
using model::onnx::ints_attribute;
using numerics::Format;
using numerics::Shape;
using numerics::Tensor;
using Shapes = std::vector<Shape>;

/// An operator with the shapes, attributes and formats it is tried in: every combination of one of each.
struct Law {
  const char* type;
  std::vector<Shapes> shapes;
  std::vector<std::vector<Attribute>> attributes{{}};
  std::vector<Format> formats{Format::fp32};
  std::vector<std::vector<std::int64_t>> constants{};  ///< int64 inputs behind the others
  double least = -1, most = 1;                         ///< of values; of integers whole ones
  std::vector<model::onnx::TensorData> extra{};        ///< further constants, behind those
  std::int64_t opset = 21;
  std::size_t outputs = 1;
  std::string domain{};
  std::size_t floating = 0;  ///< so many inputs have the format, the rest are int64 (0: all have it)
};

const std::vector<Format> kAll{Format::fp32, Format::fp16, Format::bf16, Format::int8, Format::int32}, kFloats{Format::fp32, Format::bf16},
    kIntegers{Format::fp32, Format::int8, Format::uint8, Format::int32, Format::int64};
const std::vector<Shapes> kOne{{{1}}, {{7, 13}}, {{2, 3, 5, 4}}}, kTwo{{{7, 13}, {7, 13}}, {{5, 1, 9}, {4, 1}}, {{3}, {2, 70, 3}}};

std::vector<Attribute> window(std::vector<std::int64_t> strides, std::vector<std::int64_t> pads, std::vector<std::int64_t> dilations,
                              std::int64_t group = 1) {
  return {ints_attribute("strides", std::move(strides)), ints_attribute("pads", std::move(pads)),
          ints_attribute("dilations", std::move(dilations)), int_attribute("group", group)};
}
std::vector<Attribute> pool(std::vector<std::int64_t> kernel, std::vector<std::int64_t> strides, std::vector<std::int64_t> pads) {
  return {ints_attribute("kernel_shape", std::move(kernel)), ints_attribute("strides", std::move(strides)),
          ints_attribute("pads", std::move(pads))};
}

using model::onnx::float_attribute;
using model::onnx::floats;
using model::onnx::integers;
using model::onnx::string_attribute;

Law of(const char* type, std::vector<Shapes> shapes, std::vector<std::vector<Attribute>> attributes = {{}},
       std::vector<Format> formats = kFloats) {
  return {type, std::move(shapes), std::move(attributes), std::move(formats)};
}
Law with(Law law, std::vector<model::onnx::TensorData> extra) {
  law.extra = std::move(extra);
  return law;
}
Law since(Law law, std::int64_t opset) {
  law.opset = opset;
  return law;
}
Law between(Law law, double least, double most) {
  law.least = least;
  law.most = most;
  return law;
}
Law giving(Law law, std::size_t outputs) {
  law.outputs = outputs;
  return law;
}
Law indexed(Law law, std::size_t floating) {
  law.floating = floating;
  return law;
}

void further_laws(std::vector<Law>& list) {
  const std::vector<Shapes> image{{{1, 3, 6, 7}}};
  const auto scalar = [](std::string name, std::int64_t value) {
    return model::onnx::tensor_data<std::int64_t>(std::move(name), model::onnx::kInt64, {}, {value});
  };
  for (const char* type : {"Asinh", "Atan", "Ceil", "Celu", "Cos", "Cosh", "HardSigmoid", "LeakyRelu", "Mish", "Selu", "Shrink", "Sinh",
                           "Softsign", "Tan", "ThresholdedRelu", "IsInf", "IsNaN", "Hardmax", "Flatten"})
    list.push_back(of(type, kOne));
  for (const char* type : {"Acos", "Asin", "Atanh"}) list.push_back(between(of(type, kOne), -0.9, 0.9));
  list.push_back(between(of("Acosh", kOne), 1.1, 5));
  list.push_back(since(of("Swish", kOne), 24));
  list.push_back(of("Clip", kOne, {{}}, kAll));
  for (const char* type : {"Greater", "GreaterOrEqual", "LessOrEqual", "Sum"}) list.push_back(of(type, kTwo, {{}}, kIntegers));
  list.push_back(of("Mean", kTwo));
  list.push_back(between(of("Pow", kTwo), 0.5, 3));
  list.push_back(between(of("Mod", kTwo, {{}}, {Format::int32, Format::int8, Format::int64}), 1, 9));
  list.push_back(between(of("Mod", kTwo, {{int_attribute("fmod", 1)}}, {Format::fp32}), 1, 9));
  list.push_back(of("PRelu", {{{7, 13}, {13}}, {{2, 3, 4}, {1}}}));
  for (const char* type : {"And", "Or", "Xor"}) list.push_back(of(type, kTwo, {{}}, {Format::boolean}));
  list.push_back(of("Not", kOne, {{}}, {Format::boolean}));
  list.push_back(between(of("BitwiseOr", kTwo, {{}}, {Format::int8, Format::int32, Format::uint8}), 0, 100));
  list.push_back(between(of("BitwiseNot", kOne, {{}}, {Format::int8, Format::int32, Format::uint8}), 0, 100));
  for (const char* direction : {"LEFT", "RIGHT"})
    list.push_back(between(of("BitShift", {{{7, 13}, {7, 13}}}, {{string_attribute("direction", direction)}}, {Format::uint8}), 0, 1));
  list.push_back(of("MatMulInteger", {{{5, 33}, {33, 18}}}, {{}}, {Format::int8, Format::uint8}));
  list.push_back(of("ConvInteger", {{{1, 4, 9, 8}, {6, 4, 3, 3}}}, {window({2, 1}, {0, 0, 0, 0}, {1, 1})}, {Format::uint8}));
  for (const char* type : {"ReduceL2", "ReduceLogSumExp", "ReduceLogSum"}) {
    Law law = between(of(type, {{{4, 3, 11}}}, {{int_attribute("keepdims", 0)}}), 0.25, 2);
    law.constants = {{1}, {0, 2}};
    list.push_back(std::move(law));
  }
  for (const char* type : {"CumSum", "CumProd"})
    for (const std::int64_t reverse : {0, 1})
      list.push_back(
          since(with(between(of(type, {{{5, 9}}}, {{int_attribute("reverse", reverse)}, {int_attribute("exclusive", 1)}}), 0.5, 1.5),
                     {scalar("axis", 1)}),
                26));
  list.push_back(with(of("Gather", {{{9, 4}}}, {{}, {int_attribute("axis", 1)}}, kAll), {integers("at", {3, 0, -1, 3})}));
  list.push_back(with(of("GatherElements", {{{4, 5}}}, {{int_attribute("axis", 1)}}),
                      {model::onnx::tensor_data<std::int64_t>("at", model::onnx::kInt64, {4, 2}, {0, 4, 3, -1, 2, 2, 1, 0})}));
  list.push_back(
      with(of("GatherND", {{{4, 5}}}), {model::onnx::tensor_data<std::int64_t>("at", model::onnx::kInt64, {3, 2}, {0, 4, 3, 1, 2, 2})}));
  list.push_back(with(of("Slice", {{{9, 11}}}, {{}}, kAll),
                      {integers("starts", {1, 10}), integers("ends", {8, 0}), integers("axes", {0, 1}), integers("steps", {2, -3})}));
  list.push_back(giving(with(of("Split", {{{9, 4}}}, {{}}, kAll), {integers("split", {2, 7})}), 2));
  for (const std::int64_t largest : {0, 1})
    list.push_back(giving(
        with(of("TopK", {{{4, 17}}}, {{int_attribute("largest", largest)}}, {Format::fp32, Format::int32}), {integers("k", {3})}), 2));
  list.push_back(with(of("Squeeze", {{{3, 1, 5}}}, {{}}, kAll), {integers("axes", {1})}));
  list.push_back(with(of("Unsqueeze", {{{3, 5}}}, {{}}, kAll), {integers("axes", {0, 2})}));
  list.push_back(with(of("CenterCropPad", {{{7, 9}}}), {integers("shape", {5, 12})}));
  list.push_back(with(of("ReverseSequence", {{{6, 3, 2}}}), {integers("lengths", {2, 6, 1})}));
  list.push_back(of("EyeLike", {{{5, 7}}}, {{int_attribute("k", 1)}}, {Format::fp32, Format::int32}));
  list.push_back(of("LpNormalization", {{{4, 9}}}, {{int_attribute("p", 1)}, {int_attribute("p", 2), int_attribute("axis", 0)}}));
  list.push_back(of("MeanVarianceNormalization", image));
  list.push_back(of("GlobalLpPool", image));
  list.push_back(of("Det", {{{2, 3, 3}}, {{2, 2}}}));
  list.push_back(of("Einsum", {{{4, 5}, {5, 6}}}, {{string_attribute("equation", "ij,jk->ki")}}));
  list.push_back(of("Einsum", {{{2, 4, 5}, {2, 5, 3}}}, {{string_attribute("equation", "bij,bjk->bik")}}));
  list.push_back(between(of("BatchNormalization", {{{2, 3, 4, 5}, {3}, {3}, {3}, {3}}}), 0.5, 1.5));
  list.push_back(of("GroupNormalization", {{{2, 6, 4, 5}, {6}, {6}}}, {{int_attribute("num_groups", 3)}}));
  list.push_back(since(of("RMSNormalization", {{{4, 24}, {24}}}), 23));
  list.push_back(since(of("Attention", {{{1, 2, 5, 8}, {1, 2, 7, 8}, {1, 2, 7, 6}}, {{2, 4, 3, 8}, {2, 2, 9, 8}, {2, 2, 9, 8}}},
                          {{}, {int_attribute("is_causal", 1)}, {float_attribute("softcap", 2)}}),
                       24));
  list.push_back(since(of("RotaryEmbedding", {{{1, 2, 4, 8}, {1, 4, 4}, {1, 4, 4}}}, {{}, {int_attribute("interleaved", 1)}}), 23));
  list.push_back(since(of("SwiGLU", {{{4, 9}, {4, 9}}}), 27));
  list.push_back(of("RNN", {{{4, 2, 5}, {1, 6, 5}, {1, 6, 6}}}, {{int_attribute("hidden_size", 6)}}));
  list.push_back(of("GRU", {{{4, 2, 5}, {1, 18, 5}, {1, 18, 6}}},
                    {{int_attribute("hidden_size", 6)}, {int_attribute("hidden_size", 6), int_attribute("linear_before_reset", 1)}}));
  list.push_back(of("LSTM", {{{4, 2, 5}, {1, 24, 5}, {1, 24, 6}}}, {{int_attribute("hidden_size", 6)}}));
  for (const char* mode : {"nearest", "linear", "cubic"})
    list.push_back(
        with(of("Resize", image, {{string_attribute("mode", mode)}}), {floats("roi", {0}, {}), floats("scales", {4}, {1, 1, 2, 1.5F})}));
  list.push_back(of("GridSample", {{{1, 2, 4, 5}, {1, 3, 3, 2}}}, {{}, {string_attribute("padding_mode", "border")}}));
  list.push_back(of("DeformConv", {{{1, 2, 5, 5}, {3, 2, 2, 2}, {1, 8, 4, 4}}}));
  list.push_back(with(between(of("RoiAlign", {{{1, 2, 6, 6}, {3, 4}}},
                                 {{int_attribute("output_height", 2), int_attribute("output_width", 2), int_attribute("sampling_ratio", 2)},
                                  {string_attribute("mode", "max"), int_attribute("output_height", 2), int_attribute("output_width", 2),
                                   int_attribute("sampling_ratio", 2)}}),
                              0, 5),
                      {integers("batch", {0, 0, 0})}));
  list.push_back(with(of("Col2Im", {{{1, 8, 9}}}), {integers("image", {4, 4}), integers("block", {2, 2})}));
  list.push_back(since(
      of("DFT", {{{1, 10, 3, 1}}, {{2, 7, 2, 2}}}, {{int_attribute("axis", 1)}, {int_attribute("axis", 1), int_attribute("inverse", 1)}}),
      19));
  list.push_back(
      with(of("STFT", {{{1, 24, 1}}}), {scalar("step", 6), floats("window", {8}, {1, 1, 1, 1, 1, 1, 1, 1}), scalar("length", 8)}));
  list.push_back(indexed(of("NegativeLogLikelihoodLoss", {{{6, 4}, {6}}}, {{}, {string_attribute("reduction", "none")}}), 1));
  list.push_back(indexed(of("SoftmaxCrossEntropyLoss", {{{6, 4}, {6}}}, {{}, {string_attribute("reduction", "sum")}}), 1));
  list.push_back(with(of("QuantizeLinear", kOne, {{}}, {Format::fp32}),
                      {floats("scale", {}, {0.02F}), model::onnx::tensor_data<std::int8_t>("zero", model::onnx::kInt8, {}, {3})}));
  list.push_back(with(of("DequantizeLinear", kOne, {{}}, {Format::int8}),
                      {floats("scale", {}, {0.02F}), model::onnx::tensor_data<std::int8_t>("zero", model::onnx::kInt8, {}, {3})}));
  list.push_back(giving(of("DynamicQuantizeLinear", {{{7, 13}}}, {{}}, {Format::fp32}), 3));
  list.push_back(
      with(of("ScatterElements", {{{3, 5}}}, {{int_attribute("axis", 1)}}),
           {model::onnx::tensor_data<std::int64_t>("at", model::onnx::kInt64, {3, 1}, {4, 0, 2}), floats("updates", {3, 1}, {9, 8, 7})}));
  list.back().formats = {Format::fp32};
}

const std::vector<Law>& laws() {
  static const std::vector<Law> table = [] {
    std::vector<Law> list;
    for (const char* type : {"Relu", "Abs", "Neg", "Sign", "Identity"}) list.push_back({type, kOne, {{}}, kAll});
    for (const char* type : {"Exp", "Tanh", "Sigmoid", "Erf", "Gelu", "Softplus", "HardSwish", "Elu", "Sin", "Floor", "Round"})
      list.push_back({type, kOne, {{}}, kFloats});
    for (const char* type : {"Sqrt", "Log", "Reciprocal"}) list.push_back({type, kOne, {{}}, kFloats, {}, 0.25, 4});
    for (const char* type : {"Add", "Sub", "Mul", "Less", "Equal", "Max", "Min"}) list.push_back({type, kTwo, {{}}, kIntegers});
    list.push_back({"Div", kTwo, {{}}, {Format::fp32, Format::bf16, Format::int32}, {}, 1, 9});
    for (const char* type : {"BitwiseAnd", "BitwiseXor"})
      list.push_back({type, kTwo, {{}}, {Format::int8, Format::int32, Format::uint8}, {}, 0, 100});
    list.push_back({"MatMul",
                    {{{5, 33}, {33, 18}}, {{2, 3, 40}, {40, 7}}, {{130, 64}, {64, 70}}, {{9}, {9, 4}}},
                    {{}},
                    {Format::fp32, Format::bf16, Format::int8}});
    list.push_back({"Gemm", {{{6, 20}, {20, 9}, {9}}}, {{}, {model::onnx::float_attribute("alpha", 0.5)}}, kFloats});
    list.push_back({"Gemm", {{{20, 6}, {9, 20}, {6, 1}}}, {{int_attribute("transA", 1), int_attribute("transB", 1)}}, kFloats});
    list.push_back({"Conv",
                    {{{1, 4, 9, 11}, {6, 4, 3, 3}}, {{2, 4, 8, 8}, {5, 4, 1, 1}, {5}}},
                    {window({1, 1}, {0, 0, 0, 0}, {1, 1}), window({2, 1}, {1, 0, 2, 1}, {1, 1}), window({1, 3}, {2, 2, 2, 2}, {2, 1})},
                    kFloats});
    list.push_back({"Conv",
                    {{{1, 6, 10, 7}, {6, 1, 3, 3}}},
                    {window({1, 1}, {1, 1, 1, 1}, {1, 1}, 6), window({2, 2}, {1, 1, 1, 1}, {1, 1}, 6)},
                    kFloats});
    list.push_back({"Conv", {{{1, 6, 17}, {4, 3, 5}}}, {window({2}, {2, 1}, {1}, 2)}, kFloats});
    list.push_back({"ConvTranspose",
                    {{{1, 3, 5, 4}, {3, 2, 3, 3}}},
                    {window({2, 1}, {1, 0, 0, 1}, {1, 1}), window({1, 1}, {0, 0, 0, 0}, {2, 2})},
                    kFloats});
    for (const char* type : {"MaxPool", "AveragePool", "LpPool"})
      list.push_back({type, {{{1, 3, 9, 10}}}, {pool({2, 2}, {2, 2}, {0, 0, 0, 0}), pool({3, 2}, {1, 2}, {1, 0, 1, 1})}, kFloats});
    for (const char* type : {"GlobalAveragePool", "GlobalMaxPool"}) list.push_back({type, {{{2, 5, 6, 7}}}, {{}}, kFloats});
    for (const char* type : {"ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceMean", "ReduceL1", "ReduceSumSquare"}) {
      const bool mean = std::string(type) == "ReduceMean";
      list.push_back({type,
                      {{{4, 3, 11}}, {{1, 90, 2}}},
                      {{int_attribute("keepdims", 0)}, {int_attribute("keepdims", 1)}},
                      mean ? kFloats : std::vector{Format::fp32, Format::bf16, Format::int32},
                      {{1}, {0, 2}, {-1, 0, 1}}});
    }
    for (const char* type : {"Softmax", "LogSoftmax"})
      list.push_back({type, {{{5, 19}}, {{2, 3, 40}}}, {{}, {int_attribute("axis", 0)}}, kFloats});
    for (const char* type : {"ArgMax", "ArgMin"})
      list.push_back({type,
                      {{{4, 17}}, {{2, 6, 3}}},
                      {{int_attribute("axis", 1)}, {int_attribute("axis", -1), int_attribute("keepdims", 0)}},
                      {Format::fp32, Format::int32}});
    list.push_back({"Transpose", {{{3, 8, 5}}}, {{}, {ints_attribute("perm", {1, 0, 2})}, {ints_attribute("perm", {2, 0, 1})}}, kAll});
    list.push_back({"Concat", {{{3, 4}, {3, 9}, {3, 1}}}, {{int_attribute("axis", 1)}}, kAll});
    list.push_back({"Concat", {{{3, 4}, {70, 4}}}, {{int_attribute("axis", 0)}}, kAll});
    list.push_back({"Reshape", {{{6, 10}}}, {{}}, kAll, {{4, 15}, {2, 3, 2, 5}}});
    list.push_back({"Expand", {{{3, 1}}}, {{}}, kAll, {{2, 3, 5}}});
    list.push_back({"Tile", {{{3, 4}}}, {{}}, kAll, {{2, 3}}});
    list.push_back({"Pad", {{{3, 4}}}, {{}}, kFloats, {{1, 2, 0, 3}}});
    list.push_back({"DepthToSpace", {{{1, 8, 3, 2}}}, {{int_attribute("blocksize", 2)}}, kFloats});
    list.push_back({"SpaceToDepth", {{{1, 2, 4, 6}}}, {{int_attribute("blocksize", 2)}}, kFloats});
    list.push_back({"Trilu", {{{5, 7}}, {{2, 4, 4}}}, {{}, {int_attribute("upper", 0)}}, {Format::fp32, Format::int64}});
    list.push_back({"InstanceNormalization", {{{2, 3, 6, 5}, {3}, {3}}}, {{}}, kFloats});
    list.push_back({"LayerNormalization", {{{4, 24}, {24}, {24}}, {{2, 3, 17}, {17}}}, {{}}, kFloats});
    list.push_back({"LRN", {{{1, 7, 4, 3}}}, {{int_attribute("size", 3)}}, kFloats});
    further_laws(list);
    return list;
  }();
  return table;
}

/// The model of one node; inputs that are data, then constants.
std::optional<graph::Graph> imported(const Law& law, const Shapes& shapes, const std::vector<Attribute>& attributes, Format format,
                                     const std::vector<std::int64_t>* constants) {
  model::onnx::Model m;
  m.ir_version = 10;
  m.has_graph = true;
  m.graph_name = law.type;
  m.operator_sets = {{"", law.opset}};
  std::vector<std::string> outputs{"y"};
  for (std::size_t k = 1; k < law.outputs; ++k) outputs.push_back(fmt::format("y{}", k));
  model::onnx::Node node = model::onnx::node(law.type, {}, outputs, attributes, "node");
  node.domain = law.domain;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    m.inputs.push_back(model::onnx::value_info(fmt::format("x{}", i), shapes[i],
                                               model::onnx::data_type_of(law.floating > 0 && i >= law.floating ? Format::int64 : format)));
    node.inputs.push_back(m.inputs.back().name);
  }
  if (constants != nullptr) {
    m.initializers.push_back(model::onnx::integers("constants", *constants));
    node.inputs.emplace_back("constants");
  }
  for (const model::onnx::TensorData& t : law.extra) {
    m.initializers.push_back(t);
    node.inputs.push_back(t.name);
  }
  m.nodes = {node};
  for (const std::string& name : outputs) m.outputs.push_back(model::onnx::output_info(name));
  auto g = model::onnx::build_graph(std::move(m), {}, "law", {});
  EXPECT_TRUE(g.ok()) << law.type << "\n" << format_failure(g.failure());
  if (!g.ok()) return {};
  return std::move(g).value();
}

std::vector<Tensor> values_for(const Law& law, const graph::Graph& g, std::uint64_t seed) {
  std::vector<Tensor> values;
  for (const graph::TensorId id : g.inputs) {
    const graph::Tensor& t = g.tensor(id);
    Tensor v = numerics::seeded_uniform(numerics::mix(seed, values.size()), Format::fp32, t.shape, (law.most - law.least) / 2,
                                        (law.most + law.least) / 2);
    if (law.floating > 0 && t.format == Format::int64) {
      for (std::int64_t i = 0; i < v.count(); ++i) v.set(i, static_cast<double>(numerics::mix(seed, static_cast<std::uint64_t>(i)) % 4));
    } else if (!numerics::format_info(t.format).floating) {
      // Small whole numbers: sums of products of them are exact in every accumulator.
      const double least = numerics::format_info(t.format).is_signed ? std::min(law.least, -1.0) * 9 : 0,
                   most = std::max(law.most, 1.0) * 9;
      for (std::int64_t i = 0; i < v.count(); ++i) {
        const auto span = static_cast<std::uint64_t>(std::min(most, 100.0) - std::max(least, law.least >= 0 ? law.least : -9.0)) + 1;
        v.set(i, std::max(least, law.least >= 0 ? law.least : -9.0) +
                     static_cast<double>(numerics::mix(seed, static_cast<std::uint64_t>(i)) % span));
      }
    }
    values.push_back(numerics::convert_tensor(v, t.format));
  }
  return values;
}

struct Mapped {
  const char* chip;
  int effort;
  bool apart;  ///< nothing fused, shared or kept
};
constexpr Mapped kMapped[] = {{"tx81", 0, false}, {"tx81", 1, true}, {"rpu-2x2", 0, false}, {"h100-sxm", 0, false}};

class OperatorLaws : public ::testing::TestWithParam<std::size_t> {};

TEST_P(OperatorLaws, HoldInEveryMapping) {
  const Law& law = laws()[GetParam()];
  std::vector<std::shared_ptr<const chip::Chip>> chips;
  for (const Mapped& m : kMapped) chips.push_back(library_chip(m.chip));
  int cases = 0;
  for (const Shapes& shapes : law.shapes) {
    for (const auto& attributes : law.attributes) {
      for (const Format format : law.formats) {
        for (std::size_t c = 0; c < std::max<std::size_t>(1, law.constants.size()); ++c) {
          const auto g = imported(law, shapes, attributes, format, law.constants.empty() ? nullptr : &law.constants[c]);
          ASSERT_TRUE(g.has_value());
          ASSERT_TRUE(graph::verify(*g).ok()) << law.type;
          const std::vector<Tensor> inputs = values_for(law, *g, 17 + static_cast<std::uint64_t>(cases));
          const std::vector<Tensor> want = graph::evaluate(*g, inputs);
          for (std::size_t m = 0; m < std::size(kMapped); ++m) {
            const std::string where =
                fmt::format("{} in {} on {}, case {}, mapping {}", law.type, numerics::format_name(format), kMapped[m].chip, cases, m);
            compiler::CompileOptions options;
            options.precision = graph::prevailing_format(*g);
            options.keep_formats = true;
            options.effort = kMapped[m].effort;
            if (kMapped[m].apart) options.disabled = {true, true, true, true, true};
            const auto compiled = compiler::compile(*g, chips[m], options);
            ASSERT_TRUE(compiled.ok()) << where << "\n" << format_failure(compiled.failure());
            ASSERT_TRUE(program::verify(compiled.value().program).ok()) << where;
            report::OperatorChecker checker(compiled.value(), {true, 0, 1});
            simulation::ExecuteOptions how;
            how.after_context = [&](program::ContextId context, const simulation::BufferReader& read) {
              checker.check_context(context, read);
            };
            const auto executed = simulation::execute(compiled.value().program, inputs, how);
            ASSERT_TRUE(executed.ok()) << where << "\n" << format_failure(executed.failure());
            const report::CheckReport& check = checker.result();
            EXPECT_TRUE(check.passed) << where
                                      << (check.first ? fmt::format(": {} instead of {}", check.first->got, check.first->expected) : "");
            EXPECT_GT(check.points, 0) << where;
            for (std::size_t k = 0; k < want.size(); ++k) {
              if (numerics::format_info(want[k].format).floating) continue;
              ASSERT_EQ(executed.value().outputs[k].shape, want[k].shape) << where;
              for (std::int64_t i = 0; i < want[k].count(); ++i)
                ASSERT_EQ(executed.value().outputs[k].at(i), want[k].at(i)) << where << ", output " << k << ", element " << i;
            }
          }
          ++cases;
        }
      }
    }
  }
  EXPECT_GT(cases, 0);
}

INSTANTIATE_TEST_SUITE_P(All, OperatorLaws, ::testing::Range(std::size_t{0}, laws().size()),
                         [](const auto& law) { return fmt::format("{}_{}", laws()[law.param].type, law.param); });

}  // namespace
}  // namespace switchyard
