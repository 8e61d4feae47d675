#include "model/onnx/reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/onnx/operators.h"
#include "model/onnx/test_model.h"

namespace switchyard::model::onnx {
namespace {

Result<graph::Graph> import(const Model& m, const LoadOptions& options = {}) { return build_graph(m, options, "m.onnx", {}); }

graph::Graph imported(const Model& m, const LoadOptions& options = {}) {
  auto g = import(m, options);
  if (!g.ok()) {
    ADD_FAILURE() << format_failure(g.failure());
    return {};
  }
  const auto status = graph::verify(g.value());
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : format_failure(status.failure()));
  return std::move(g).value();
}

// --- diagnostics ---------------------------------------------------------------------------------------------------------------------

struct Mistake {
  const char* title;
  Model model;
  FailureKind kind;
  std::vector<std::string> texts;  ///< "code: message" of every diagnostic, in order
  std::string hint;                ///< of the first
};

const std::vector<std::int64_t> k23{2, 3};

std::vector<Mistake> mistakes() {
  const auto x = value_info("x", k23);
  Model no_graph;
  Model no_opset = test_model(17, {x}, {}, {node("Relu", {"x"}, {"y"}, {}, "r")}, {"y"});
  no_opset.operator_sets.clear();
  Model bad_initializer = test_model(17, {x}, {floats("w", k23, {1, 2, 3})}, {node("Add", {"x", "w"}, {"y"})}, {"y"});
  Model negative = test_model(17, {x}, {floats("w", {-2, 3}, {})}, {node("Add", {"x", "w"}, {"y"})}, {"y"});
  Model huge = test_model(17, {value_info("x", {std::int64_t{1} << 40, std::int64_t{1} << 40})}, {}, {node("Relu", {"x"}, {"y"})}, {"y"});
  Model strings = test_model(17, {value_info("x", k23, kString)}, {}, {node("Identity", {"x"}, {"y"})}, {"y"});
  Model wrong_output = test_model(17, {x}, {}, {node("Relu", {"x"}, {"y"})}, {"y"});
  wrong_output.outputs[0] = value_info("y", k23, kInt64);
  Model preview = test_model(17, {x}, {}, {node("Relu", {"x"}, {"y"}, {}, "r")}, {"y"});
  preview.nodes[0].domain = "com.acme";
  preview.operator_sets = {{"com.acme", 1}};
  return {
      {"no graph", no_graph, FailureKind::malformed, {"onnx/malformed: the file holds no graph"}, "it may be empty, or not an ONNX model"},
      {"no operator set", no_opset, FailureKind::malformed, {"onnx/malformed: the model does not say which operator set it uses"}, ""},
      {"an operator set to come",
       test_model(29, {x}, {}, {node("Relu", {"x"}, {"y"})}, {"y"}),
       FailureKind::unsupported,
       {"onnx/unsupported-opset: operator set 29 is not supported, only 1 to 28"},
       "convert the model with onnx.version_converter"},
      {"unknown operators, all at once",
       test_model(17, {x}, {},
                  {node("Reluu", {"x"}, {"a"}, {}, "first"), node("Blorb", {"a"}, {"b"}), node("Reluu", {"b"}, {"y"}, {}, "second")},
                  {"y"}),
       FailureKind::unsupported,
       {"onnx/unsupported-operator: operator Blorb is not supported (1 node: Blorb_1)",
        "onnx/unsupported-operator: operator Reluu is not supported (2 nodes: first, second)"},
       ""},
      {"an operator newer than the operator set",
       test_model(11, {x}, {}, {node("HardSwish", {"x"}, {"y"}, {}, "h")}, {"y"}),
       FailureKind::unsupported,
       {"onnx/unsupported-operator: operator HardSwish is not supported (1 node: h)"},
       "HardSwish exists since operator set 14; the model imports 11"},
      {"another domain",
       preview,
       FailureKind::unsupported,
       {"onnx/unsupported-operator: operator com.acme::Relu is not supported (1 node: r)"},
       ""},
      {"undefined tensor",
       test_model(17, {x}, {}, {node("Relu", {"xx"}, {"y"}, {}, "r")}, {"y"}),
       FailureKind::malformed,
       {"onnx/undefined-tensor: node r reads xx, which nothing defines"},
       "did you mean x?"},
      {"two of a name",
       test_model(17, {x}, {}, {node("Relu", {"x"}, {"y"}), node("Abs", {"x"}, {"y"})}, {"y"}),
       FailureKind::malformed,
       {"onnx/duplicate-name: a node's output y defines a tensor that is already defined"},
       ""},
      {"cycle",
       test_model(17, {x}, {}, {node("Add", {"x", "b"}, {"a"}, {}, "n1"), node("Relu", {"a"}, {"b"}, {}, "n2")}, {"b"}),
       FailureKind::malformed,
       {"onnx/cycle: the graph has a cycle of 2 nodes: n2 -> n1 -> n2"},
       ""},
      {"initializer size",
       bad_initializer,
       FailureKind::malformed,
       {"onnx/initializer-size: tensor w: shape [2, 3] of FLOAT needs 24 bytes, the file gives 12"},
       ""},
      {"negative dimension", negative, FailureKind::malformed, {"onnx/shape: tensor w has impossible dimensions [-2, 3]"}, ""},
      {"huge dimension",
       huge,
       FailureKind::malformed,
       {"onnx/shape: input x has impossible dimensions [1099511627776, 1099511627776]"},
       ""},
      {"strings", strings, FailureKind::unsupported, {"onnx/unsupported-type: input x has element type STRING"}, ""},
      {"output type", wrong_output, FailureKind::malformed, {"onnx/type: output y is declared INT64 but computed as FLOAT"}, ""},
      {"operand types",
       test_model(17, {x, value_info("i", k23, kInt64)}, {}, {node("Add", {"x", "i"}, {"y"}, {}, "add")}, {"y"}),
       FailureKind::malformed,
       {"onnx/type: Add add: inputs x and i have different element types, FLOAT and INT64"},
       ""},
      {"every node's mistake is listed, followers are silent",
       test_model(17, {x, value_info("z", {5})}, {},
                  {node("Add", {"x", "z"}, {"a"}, {}, "n1"), node("Relu", {"a"}, {"b"}), node("MatMul", {"x", "x"}, {"c"}, {}, "n2"),
                   node("Add", {"b", "c"}, {"y"})},
                  {"y"}),
       FailureKind::malformed,
       {"onnx/shape: Add n1: shapes [2, 3], [5] do not broadcast", "onnx/shape: MatMul n2: cannot multiply [2, 3] by [2, 3]"},
       ""},
      {"division by zero",
       test_model(17, {x}, {integers("a", {6}), integers("b", {0})},
                  {node("Div", {"a", "b"}, {"s"}, {}, "div"), node("Reshape", {"x", "s"}, {"y"})}, {"y"}),
       FailureKind::malformed,
       {"onnx/division-by-zero: Div div: an integer is divided by zero"},
       ""},
      {"shape that is data",
       test_model(17, {x, value_info("s", {1}, kInt64)}, {}, {node("Reshape", {"x", "s"}, {"y"}, {}, "r")}, {"y"}),
       FailureKind::unsupported,
       {"onnx/dynamic-shape: Reshape r: the shape (s) is not known before the model runs"},
       "shapes must follow from the shapes of the inputs"},
      {"unknown attribute",
       test_model(17, {x}, {}, {node("Softmax", {"x"}, {"y"}, {int_attribute("axes", 1)}, "s")}, {"y"}),
       FailureKind::unsupported,
       {"onnx/unsupported-attribute: Softmax s: attribute axes is not supported"},
       "did you mean axis?"},
      {"attribute type",
       test_model(17, {x}, {}, {node("Softmax", {"x"}, {"y"}, {float_attribute("axis", 1)}, "s")}, {"y"}),
       FailureKind::malformed,
       {"onnx/attribute: Softmax s: attribute axis must be an integer"},
       ""},
      {"number of inputs",
       test_model(17, {x}, {}, {node("MatMul", {"x"}, {"y"}, {}, "mm")}, {"y"}),
       FailureKind::malformed,
       {"onnx/inputs: MatMul mm: 1 inputs, 2 needed"},
       ""},
      {"unset dimensions",
       test_model(17, {symbolic_info("x", {open("n"), open("seq")}), symbolic_info("z", {fixed(1), open("seq")})}, {},
                  {node("Add", {"x", "z"}, {"y"})}, {"y"}),
       FailureKind::malformed,
       {"onnx/unset-dimension: dimension n of x has no value", "onnx/unset-dimension: dimension seq of x, z has no value"},
       "set them all, for example with: --set n=1 --set seq=128"},
  };
}

TEST(OnnxReader, NamesEveryMistake) {
  for (const Mistake& m : mistakes()) {
    SCOPED_TRACE(m.title);
    const auto g = import(m.model);
    ASSERT_FALSE(g.ok());
    EXPECT_EQ(g.failure().kind, m.kind);
    std::vector<std::string> texts;
    for (const Diagnostic& d : g.failure().diagnostics) texts.push_back(d.code + ": " + d.message);
    EXPECT_EQ(texts, m.texts);
    if (!m.hint.empty()) {
      EXPECT_EQ(g.failure().diagnostics[0].hint, m.hint);
    }
    EXPECT_EQ(g.failure().diagnostics[0].location.file, "m.onnx");
  }
}

TEST(OnnxReader, SuggestsOperatorNames) {
  const auto g = import(test_model(17, {value_info("x", k23)}, {}, {node("Reluu", {"x"}, {"y"})}, {"y"}));
  ASSERT_FALSE(g.ok());
  EXPECT_EQ(g.failure().diagnostics[0].hint, "did you mean Relu?");
}

// --- batch ---------------------------------------------------------------------------------------------------------------------------

TEST(OnnxReader, BatchSetsOpenFirstDimensions) {
  const Model m = test_model(17, {symbolic_info("x", {open("n"), fixed(3)}), symbolic_info("c", {fixed(1), fixed(3)})}, {},
                             {node("Add", {"x", "c"}, {"y"})}, {"y"});
  LoadOptions options;
  options.batch = 4;
  const graph::Graph g = imported(m, options);
  EXPECT_EQ(g.tensor(g.inputs[0]).shape, (numerics::Shape{4, 3}));
  EXPECT_EQ(g.tensor(g.outputs[0]).shape, (numerics::Shape{4, 3}));
}

TEST(OnnxReader, SymbolsTakeValues) {
  const Model m = test_model(17, {symbolic_info("x", {fixed(1), open("seq")})}, {}, {node("Relu", {"x"}, {"y"})}, {"y"});
  LoadOptions options;
  options.set = {{"seq", 7}};
  EXPECT_EQ(imported(m, options).tensors[0].shape, (numerics::Shape{1, 7}));
  options.set = {{"sec", 7}};
  const auto g = import(m, options);
  ASSERT_FALSE(g.ok());
  EXPECT_EQ(g.failure().diagnostics[0].message, "no input has a dimension called sec");
  EXPECT_EQ(g.failure().diagnostics[0].hint, "did you mean seq?");
}

TEST(OnnxReader, FixedBatchStaysFixed) {
  const Model m = test_model(17, {value_info("x", k23)}, {}, {node("Relu", {"x"}, {"y"})}, {"y"});
  LoadOptions options;
  options.batch = 2;
  EXPECT_TRUE(import(m, options).ok());
  options.batch = 3;
  const auto g = import(m, options);
  ASSERT_FALSE(g.ok());
  EXPECT_EQ(g.failure().kind, FailureKind::unsupported);
  EXPECT_EQ(g.failure().diagnostics[0].code, "onnx/fixed-batch");
  EXPECT_EQ(g.failure().diagnostics[0].message, "the model's batch is fixed at 2 (input x), it cannot be 3");
}

// --- what becomes of nodes -----------------------------------------------------------------------------------------------------------

TEST(OnnxReader, ComputesShapesAtImport) {
  // Shape -> Gather -> Concat -> Reshape, with a truncating division on the way: -7 / 2 is -3, and 6 - 3 - 2 is the 1 in front.
  const Model m = test_model(
      17, {value_info("x", {2, 3, 4})}, {tensor_data<std::int64_t>("two", kInt64, {}, {2}), integers("seven", {-7}), integers("six", {4})},
      {node("Shape", {"x"}, {"shape"}), node("Gather", {"shape", "two"}, {"last"}), node("Unsqueeze", {"last", "axes"}, {"last1"}),
       node("Constant", {}, {"axes"}, {ints_attribute("value_ints", {0})}), node("Div", {"seven", "two1"}, {"q"}),
       node("Unsqueeze", {"two", "axes"}, {"two1"}), node("Add", {"q", "six"}, {"one"}),
       node("Constant", {}, {"minus"}, {ints_attribute("value_ints", {-1})}),
       node("Concat", {"one", "minus", "last1"}, {"to"}, {int_attribute("axis", 0)}), node("Reshape", {"x", "to"}, {"y"}, {}, "reshape")},
      {"y"});
  const graph::Graph g = imported(m);
  ASSERT_EQ(g.ops.size(), 1U);
  EXPECT_EQ(g.ops[0].name, "reshape");
  EXPECT_EQ(g.ops[0].kind, "Reshape");
  EXPECT_TRUE(g.ops[0].nests[0].is_copy());
  EXPECT_EQ(g.tensor(g.outputs[0]).shape, (numerics::Shape{1, 6, 4}));
  EXPECT_EQ(g.tensors.size(), 2U) << "shape tables stay out of the graph";
}

TEST(OnnxReader, SharedWeightsStayOne) {
  const Model m = test_model(17, {value_info("x", {4})}, {floats("w", {4}, {1, 2, 3, 4})},
                             {node("Identity", {"w"}, {"w2"}), node("Mul", {"x", "w"}, {"a"}), node("Mul", {"a", "w2"}, {"y"})}, {"y"});
  const graph::Graph g = imported(m);
  ASSERT_EQ(g.ops.size(), 2U);
  EXPECT_EQ(g.ops[0].operands[1], g.ops[1].operands[1]);
  EXPECT_EQ(g.tensor(g.ops[0].operands[1]).name, "w");
  EXPECT_EQ(graph::parameter_count(g), 4);
}

TEST(OnnxReader, ScalarsMoveIntoExpressions) {
  const Model m =
      test_model(17, {value_info("x", {4})}, {tensor_data<float>("c", kFloat, {1, 1}, {2.5F})}, {node("Mul", {"x", "c"}, {"y"})}, {"y"});
  const graph::Graph g = imported(m);
  EXPECT_EQ(g.ops[0].operands.size(), 1U);
  EXPECT_EQ(print_expression(g.ops[0].nests[0].expression), "mul(x0, 2.5)");
  EXPECT_EQ(g.tensor(g.outputs[0]).shape, (numerics::Shape{1, 4})) << "the scalar's rank still counts";
}

TEST(OnnxReader, PowersBecomeProductsAndRoots) {
  for (const auto& [exponent, text] : {std::pair{2.0F, "mul(x0, x0)"}, {0.5F, "sqrt(x0)"}, {2.5F, "pow(x0, 2.5)"}}) {
    const Model m =
        test_model(17, {value_info("x", {4})}, {tensor_data<float>("e", kFloat, {}, {exponent})}, {node("Pow", {"x", "e"}, {"y"})}, {"y"});
    EXPECT_EQ(print_expression(imported(m).ops[0].nests[0].expression), text);
  }
}

graph::Graph conv(std::vector<std::int64_t> x, std::vector<std::int64_t> w, std::vector<Attribute> attributes, bool bias) {
  const std::int64_t outputs = w[0];
  std::vector<ValueInfo> inputs{value_info("x", x), value_info("w", w)};
  std::vector<std::string> names{"x", "w"};
  if (bias) {
    inputs.push_back(value_info("b", {outputs}));
    names.emplace_back("b");
  }
  return imported(test_model(17, inputs, {}, {node("Conv", names, {"y"}, std::move(attributes), "conv")}, {"y"}));
}

std::string loops(const numerics::Nest& nest) {
  std::string text;
  for (const auto& loop : nest.loops) {
    text += loop.name + (loop.kind == numerics::LoopKind::reduction ? "! " : " ");
  }
  return text;
}

TEST(OnnxReader, ConvolutionIsOneContractionAndABias) {
  const graph::Graph g = conv({1, 4, 8, 8}, {6, 4, 3, 3}, {ints_attribute("pads", {1, 1, 1, 1})}, true);
  ASSERT_EQ(g.ops.size(), 2U);
  ASSERT_EQ(g.ops[0].nests.size(), 1U);
  EXPECT_TRUE(g.ops[0].nests[0].is_contraction());
  EXPECT_EQ(loops(g.ops[0].nests[0]), "n oc oh ow kh! kw! ic! ");
  EXPECT_EQ(g.ops[0].nests[0].reads[0].fill, std::optional<double>(0));
  EXPECT_FALSE(g.ops[0].nests[0].reads[1].fill);
  EXPECT_EQ(g.ops[1].name, "conv:bias");
  EXPECT_EQ(g.ops[1].kind, "Bias");
  EXPECT_EQ(g.ops[1].nodes, std::vector<std::string>{"conv"});
  EXPECT_EQ(g.tensor(g.outputs[0]).name, "y");
}

TEST(OnnxReader, ConvolutionLoopsFollowTheGroups) {
  EXPECT_EQ(loops(conv({1, 4, 8, 8}, {4, 1, 3, 3}, {int_attribute("group", 4)}, false).ops[0].nests[0]), "n c oh ow kh! kw! ");
  EXPECT_EQ(loops(conv({1, 4, 8, 8}, {6, 2, 3, 3}, {int_attribute("group", 2)}, false).ops[0].nests[0]), "n g oc oh ow kh! kw! ic! ");
  EXPECT_EQ(loops(conv({1, 4, 8}, {6, 4, 3}, {}, false).ops[0].nests[0]), "n oc ow kw! ic! ");
}

TEST(OnnxReader, OnlyWindowsThatLeaveTheInputAreFilled) {
  EXPECT_FALSE(conv({1, 4, 8, 8}, {6, 4, 3, 3}, {}, false).ops[0].nests[0].reads[0].fill);
  // Padding after the end that no window of stride 2 reaches: 7 wide, padded to 8, windows at 0, 2, 4 end at 6.
  EXPECT_FALSE(conv({1, 1, 7, 7}, {1, 1, 3, 3}, {ints_attribute("pads", {0, 0, 1, 1}), ints_attribute("strides", {2, 2})}, false)
                   .ops[0]
                   .nests[0]
                   .reads[0]
                   .fill);
}

TEST(OnnxReader, UnusedBranchesAreDropped) {
  const Model m = test_model(17, {value_info("x", k23)}, {}, {node("Exp", {"x"}, {"e"}), node("Relu", {"x"}, {"y"})}, {"y"});
  EXPECT_EQ(imported(m).ops.size(), 1U);
}

TEST(OnnxReader, NodesMayComeInAnyOrder) {
  const Model m = test_model(17, {value_info("x", k23)}, {}, {node("Relu", {"a"}, {"y"}), node("Exp", {"x"}, {"a"})}, {"y"});
  const graph::Graph g = imported(m);
  ASSERT_EQ(g.ops.size(), 2U);
  EXPECT_EQ(g.ops[0].name, "Exp_1");
  EXPECT_EQ(g.ops[1].name, "Relu_0");
}

TEST(OnnxReader, OutputsAreAlwaysComputed) {
  const Model m = test_model(17, {value_info("x", {2})}, {floats("w", {2}, {1, 2})}, {node("Add", {"x", "w"}, {"s"})}, {"x", "w", "s"});
  const graph::Graph g = imported(m);
  ASSERT_EQ(g.outputs.size(), 3U);
  for (const auto id : g.outputs) EXPECT_EQ(g.tensor(id).role, graph::Role::intermediate);
}

TEST(OnnxReader, StatisticsAreNoParameters) {
  const std::vector<float> v{1, 2};
  const Model m =
      test_model(17, {value_info("x", {1, 2, 3})}, {floats("s", {2}, v), floats("b", {2}, v), floats("m", {2}, v), floats("v", {2}, v)},
                 {node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"})}, {"y"});
  EXPECT_EQ(graph::parameter_count(imported(m)), 4);
}

TEST(OnnxReader, LargeWeightsAreRearrangedOnDemand) {
  std::vector<float> values(80 * 80);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const Model m = test_model(17, {value_info("x", {1, 80})}, {floats("w", {80, 80}, values)},
                             {node("Transpose", {"w"}, {"wt"}), node("MatMul", {"x", "wt"}, {"y"})}, {"y"});
  const graph::Graph g = imported(m);
  ASSERT_EQ(g.ops.size(), 1U);
  const graph::Tensor& wt = g.tensor(g.ops[0].operands[1]);
  EXPECT_EQ(wt.role, graph::Role::constant);
  EXPECT_EQ(wt.constant->make().at(1), 80);
  EXPECT_EQ(graph::parameter_count(g), 6400);
}

// --- values, across operator sets ----------------------------------------------------------------------------------------------------

struct Case {
  const char* title;
  Model model;
  std::vector<float> x;
  numerics::Shape shape;
  std::vector<double> y;
};

std::vector<Case> cases() {
  const auto x4 = value_info("x", {4});
  const auto x23 = value_info("x", k23);
  const auto image = value_info("x", {1, 1, 3, 3});
  const std::vector<float> nine{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<float> six{1, 2, 3, 4, 5, 6};
  const double e1 = std::exp(-1.0);
  const auto pool = [&](const char* type, std::int64_t opset, std::vector<Attribute> attributes) {
    attributes.push_back(ints_attribute("kernel_shape", {2, 2}));
    attributes.push_back(ints_attribute("strides", {2, 2}));
    return test_model(opset, {image}, {}, {node(type, {"x"}, {"y"}, std::move(attributes))}, {"y"});
  };
  return {
      {"Clip by attributes",
       test_model(10, {x4}, {}, {node("Clip", {"x"}, {"y"}, {float_attribute("max", 2)})}, {"y"}),
       {-1, 1, 2, 3},
       {4},
       {-1, 1, 2, 2}},
      {"Clip by inputs",
       test_model(11, {x4}, {tensor_data<float>("hi", kFloat, {}, {2})}, {node("Clip", {"x", "", "hi"}, {"y"})}, {"y"}),
       {-1, 1, 2, 3},
       {4},
       {-1, 1, 2, 2}},
      {"Squeeze by attribute",
       test_model(11, {value_info("x", {1, 4, 1})}, {}, {node("Squeeze", {"x"}, {"y"}, {ints_attribute("axes", {-1})})}, {"y"}),
       {1, 2, 3, 4},
       {1, 4},
       {1, 2, 3, 4}},
      {"Squeeze by input",
       test_model(13, {value_info("x", {1, 4, 1})}, {integers("axes", {0})}, {node("Squeeze", {"x", "axes"}, {"y"})}, {"y"}),
       {1, 2, 3, 4},
       {4, 1},
       {1, 2, 3, 4}},
      {"Unsqueeze by attribute",
       test_model(11, {x4}, {}, {node("Unsqueeze", {"x"}, {"y"}, {ints_attribute("axes", {0, 2})})}, {"y"}),
       {1, 2, 3, 4},
       {1, 4, 1},
       {1, 2, 3, 4}},
      {"Slice by attributes",
       test_model(9, {x23}, {},
                  {node("Slice", {"x"}, {"y"}, {ints_attribute("starts", {1}), ints_attribute("ends", {99}), ints_attribute("axes", {1})})},
                  {"y"}),
       six,
       {2, 2},
       {2, 3, 5, 6}},
      {"Slice backwards",
       test_model(13, {x23}, {integers("s", {-1}), integers("e", {INT64_MIN}), integers("a", {1}), integers("t", {-2})},
                  {node("Slice", {"x", "s", "e", "a", "t"}, {"y"})}, {"y"}),
       six,
       {2, 2},
       {3, 1, 6, 4}},
      {"ReduceMean by attribute",
       test_model(17, {x23}, {}, {node("ReduceMean", {"x"}, {"y"}, {ints_attribute("axes", {-1}), int_attribute("keepdims", 0)})}, {"y"}),
       six,
       {2},
       {2, 5}},
      {"ReduceMean by input",
       test_model(18, {x23}, {integers("axes", {0})}, {node("ReduceMean", {"x", "axes"}, {"y"})}, {"y"}),
       six,
       {1, 3},
       {2.5, 3.5, 4.5}},
      {"ReduceSum of nothing",
       test_model(13, {x23}, {}, {node("ReduceSum", {"x"}, {"y"}, {int_attribute("noop_with_empty_axes", 1)})}, {"y"}),
       six,
       {2, 3},
       {1, 2, 3, 4, 5, 6}},
      {"Softmax of the last dimension",
       test_model(13, {value_info("x", {1, 2, 2})}, {}, {node("Softmax", {"x"}, {"y"})}, {"y"}),
       {0, 1, 7, 7},
       {1, 2, 2},
       {e1 / (1 + e1), 1 / (1 + e1), 0.5, 0.5}},
      {"Softmax of all dimensions from 1 on",
       test_model(11, {value_info("x", {1, 2, 2})}, {}, {node("Softmax", {"x"}, {"y"})}, {"y"}),
       {3, 3, 3, 3},
       {1, 2, 2},
       {0.25, 0.25, 0.25, 0.25}},
      {"Split by attribute",
       test_model(11, {x4}, {}, {node("Split", {"x"}, {"a", "y"}, {ints_attribute("split", {1, 3})})}, {"y"}),
       {1, 2, 3, 4},
       {3},
       {2, 3, 4}},
      {"Split unevenly",
       test_model(18, {value_info("x", {5})}, {}, {node("Split", {"x"}, {"a", "b", "y"}, {int_attribute("num_outputs", 3)})}, {"b"}),
       {1, 2, 3, 4, 5},
       {2},
       {3, 4}},
      {"Concat of one tensor twice",
       test_model(13, {x4}, {}, {node("Concat", {"x", "x"}, {"y"}, {int_attribute("axis", -1)})}, {"y"}),
       {1, 2, 3, 4},
       {8},
       {1, 2, 3, 4, 1, 2, 3, 4}},
      {"Gather columns",
       test_model(13, {x23}, {tensor_data<std::int64_t>("i", kInt64, {2, 2}, {2, 0, -1, -2})},
                  {node("Gather", {"x", "i"}, {"y"}, {int_attribute("axis", 1)})}, {"y"}),
       six,
       {2, 2, 2},
       {3, 1, 3, 2, 6, 4, 6, 5}},
      {"Reshape without a common refinement",
       test_model(13, {x23}, {integers("s", {3, 2})}, {node("Reshape", {"x", "s"}, {"y"})}, {"y"}),
       six,
       {3, 2},
       {1, 2, 3, 4, 5, 6}},
      {"Reshape keeping and inferring",
       test_model(13, {x23}, {integers("s", {0, 1, -1})}, {node("Reshape", {"x", "s"}, {"y"})}, {"y"}),
       six,
       {2, 1, 3},
       {1, 2, 3, 4, 5, 6}},
      {"Flatten at 0",
       test_model(13, {x23}, {}, {node("Flatten", {"x"}, {"y"}, {int_attribute("axis", 0)})}, {"y"}),
       six,
       {1, 6},
       {1, 2, 3, 4, 5, 6}},
      {"Gemm with everything",
       test_model(
           13, {x23}, {floats("b", {2, 2}, {1, 0, 0, 1}), floats("c", {2}, {10, 20})},
           {node("Gemm", {"x", "b", "c"}, {"y"}, {int_attribute("transA", 1), float_attribute("alpha", 2), float_attribute("beta", 0.5)})},
           {"y"}),
       six,
       {3, 2},
       {7, 18, 9, 20, 11, 22}},
      {"MatMul of a vector",
       test_model(13, {x23}, {floats("v", {3}, {1, 0, -1})}, {node("MatMul", {"x", "v"}, {"y"})}, {"y"}),
       six,
       {2},
       {-2, -2}},
      {"Where",
       test_model(16, {x4}, {tensor_data<char>("c", kBool, {4}, {1, 0, 1, 0}), tensor_data<float>("z", kFloat, {}, {-1})},
                  {node("Where", {"c", "x", "z"}, {"y"})}, {"y"}),
       {1, 2, 3, 4},
       {4},
       {1, -1, 3, -1}},
      {"MaxPool, floor", pool("MaxPool", 12, {}), nine, {1, 1, 1, 1}, {5}},
      {"MaxPool, ceil", pool("MaxPool", 12, {int_attribute("ceil_mode", 1)}), nine, {1, 1, 2, 2}, {5, 6, 8, 9}},
      {"AveragePool leaves padding out",
       pool("AveragePool", 11, {ints_attribute("pads", {1, 1, 0, 0})}),
       nine,
       {1, 1, 2, 2},
       {1, 2.5, 5.5, 7}},
      {"AveragePool counts padding",
       pool("AveragePool", 11, {ints_attribute("pads", {1, 1, 0, 0}), int_attribute("count_include_pad", 1)}),
       nine,
       {1, 1, 2, 2},
       {0.25, 1.25, 2.75, 7}},
      {"Cast truncates",
       test_model(13, {x4}, {}, {node("Cast", {"x"}, {"y"}, {int_attribute("to", kInt32)})}, {"y"}),
       {-1.7F, -0.2F, 1.5F, 2.9F},
       {4},
       {-1, 0, 1, 2}},
      {"LayerNormalization without bias",
       test_model(17, {x4}, {floats("s", {4}, {1, 1, 1, 2})},
                  {node("LayerNormalization", {"x", "s"}, {"y"}, {float_attribute("epsilon", 0)})}, {"y"}),
       {-1, 1, -1, 1},
       {4},
       {-1, 1, -1, 2}},
      {"Pad",
       test_model(13, {value_info("x", {2})}, {integers("p", {1, 2}), tensor_data<float>("f", kFloat, {}, {9})},
                  {node("Pad", {"x", "p", "f"}, {"y"})}, {"y"}),
       {1, 2},
       {5},
       {9, 1, 2, 9, 9}},
      {"convolution SAME_UPPER",
       test_model(13, {image}, {floats("w", {1, 1, 2, 2}, {1, 1, 1, 1})},
                  {node("Conv", {"x", "w"}, {"y"}, {string_attribute("auto_pad", "SAME_UPPER")})}, {"y"}),
       nine,
       {1, 1, 3, 3},
       {12, 16, 9, 24, 28, 15, 15, 17, 9}},
      {"grouped convolution, dilated",
       test_model(13, {value_info("x", {1, 2, 3})}, {floats("w", {2, 1, 2}, {1, 1, 1, -1})},
                  {node("Conv", {"x", "w"}, {"y"}, {int_attribute("group", 2), ints_attribute("dilations", {2})})}, {"y"}),
       six,
       {1, 2, 1},
       {4, -2}},
  };
}

TEST(OnnxReader, ComputesWhatTheStandardSays) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.title);
    const graph::Graph g = imported(c.model);
    if (g.outputs.empty()) continue;
    numerics::Tensor x = numerics::make_tensor(numerics::Format::fp32, g.tensor(g.inputs[0]).shape);
    for (std::size_t i = 0; i < c.x.size(); ++i) x.set(static_cast<std::int64_t>(i), c.x[i]);
    const auto y = graph::evaluate(g, {x});
    ASSERT_EQ(y[0].shape, c.shape);
    for (std::size_t i = 0; i < c.y.size(); ++i) EXPECT_NEAR(y[0].at(static_cast<std::int64_t>(i)), c.y[i], 1e-6) << "element " << i;
  }
}

TEST(OnnxOperators, TableIsSound) {
  const auto names = operator_names();
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  for (const auto& name : names) {
    const Operator* op = find_operator(name);
    ASSERT_NE(op, nullptr);
    EXPECT_GE(op->since, 1);
    EXPECT_LE(op->least_inputs, op->most_inputs);
    EXPECT_NE(op->build, nullptr);
  }
  EXPECT_EQ(find_operator("Nonsense"), nullptr);
}

}  // namespace
}  // namespace switchyard::model::onnx
