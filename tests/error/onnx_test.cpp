// The exact text of what is wrong with ONNX files: a small model, broken in one way, as bytes of a file.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/onnx/reader.h"
#include "model/onnx/test_model.h"

namespace switchyard::model::onnx {
namespace {

struct Case {
  const char* title;
  std::string bytes;
  FailureKind kind;
  const char* screen;  ///< all that is printed
  std::map<std::string, std::int64_t> set = {};
};

const ValueInfo kX = value_info("x", {2, 3});

Model relu() { return test_model(17, {kX}, {}, {node("Relu", {"x"}, {"y"}, {}, "r")}, {"y"}); }

Model convolution() {
  return test_model(17, {value_info("x", {1, 2, 4, 4})}, {floats("w", {3, 2, 3, 3}, std::vector<float>(54, 1))},
                    {node("Conv", {"x", "w"}, {"y"}, {}, "conv")}, {"y"});
}

/// A model of one node over [2, 3] floats.
std::string one(Node n, std::vector<TensorData> constants = {}, std::vector<ValueInfo> more_inputs = {}) {
  std::vector<ValueInfo> inputs = {kX};
  inputs.insert(inputs.end(), more_inputs.begin(), more_inputs.end());
  n.name = "node";
  return encode(test_model(17, std::move(inputs), std::move(constants), {std::move(n)}, {"y"}));
}

std::vector<Case> cases() {
  Model no_outputs = relu();
  no_outputs.outputs.clear();
  Model sparse = relu();
  sparse.inputs.push_back(output_info("z"));
  Model unknown = relu();
  unknown.nodes = {node("Frobnicate", {"x"}, {"a"}, {}, "first"), node("Relu", {"a"}, {"b"}), node("Sofmax", {"b"}, {"c"}, {}, "second"),
                   node("Frobnicate", {"c"}, {"y"}, {}, "third")};
  Model cyclic = relu();
  cyclic.nodes = {node("Add", {"x", "c"}, {"a"}, {}, "first"), node("Relu", {"a"}, {"b"}, {}, "second"),
                  node("Neg", {"b"}, {"c"}, {}, "third"), node("Relu", {"x"}, {"y"})};
  const std::string whole = encode(convolution());
  return {
      {"an empty file", "", FailureKind::malformed,
       "m.onnx: error: the file holds no graph [onnx/malformed]\n"
       "  hint: it may be empty, or not an ONNX model\n"},
      {"a text", "this is no model\n", FailureKind::malformed,
       "m.onnx: error: the file is not an ONNX model: its protobuf encoding is broken [onnx/malformed]\n"
       "  hint: the file may be truncated, or not ONNX at all\n"},
      {"a truncated file", whole.substr(0, whole.size() / 2), FailureKind::malformed,
       "m.onnx: error: the file is not an ONNX model: its protobuf encoding is broken [onnx/malformed]\n"
       "  hint: the file may be truncated, or not ONNX at all\n"},
      {"a file without its last bytes", whole.substr(0, whole.size() - 3), FailureKind::malformed,
       "m.onnx: error: the file is not an ONNX model: its protobuf encoding is broken [onnx/malformed]\n"
       "  hint: the file may be truncated, or not ONNX at all\n"},
      {"cycle", encode(cyclic), FailureKind::malformed,
       "m.onnx: error: the graph has a cycle of 3 nodes: second -> third -> first -> second [onnx/cycle]\n"},
      {"unknown operators, all at once", encode(unknown), FailureKind::unsupported,
       "m.onnx: error: operator Frobnicate is not supported (2 nodes: first, third) [onnx/unsupported-operator]\n"
       "m.onnx: error: operator Sofmax is not supported (1 node: second) [onnx/unsupported-operator]\n"
       "  hint: did you mean Softmax?\n"},
      {"integers and floats", one(node("MatMul", {"x", "i"}, {"y"}), {}, {value_info("i", {3, 2}, kInt64)}), FailureKind::malformed,
       "m.onnx: error: MatMul node: inputs x and i have different element types, FLOAT and INT64 [onnx/type]\n"},
      {"a condition that is no boolean", one(node("Where", {"x", "x", "x"}, {"y"})), FailureKind::malformed,
       "m.onnx: error: Where node: condition x must be BOOL [onnx/type]\n"},
      {"strings", one(node("Identity", {"s"}, {"y"}), {}, {value_info("s", {2}, kString)}), FailureKind::unsupported,
       "m.onnx: error: input s has element type STRING [onnx/unsupported-type]\n"},
      {"no outputs", encode(no_outputs), FailureKind::malformed, "m.onnx: error: the graph has no outputs [onnx/no-outputs]\n"},
      {"an input that is no tensor", encode(sparse), FailureKind::unsupported,
       "m.onnx: error: input z is not a dense tensor [onnx/unsupported-type]\n"},
      {"indices into very many elements",
       one(node("GatherElements", {"big", "i"}, {"y"}), {}, {value_info("big", {1 << 21}), value_info("i", {2}, kInt64)}),
       FailureKind::unsupported,
       "m.onnx: error: GatherElements node: indices known only when the model runs, into 2097152 elements [onnx/dynamic-index]\n"},
      {"an optional output",
       one(node("BatchNormalization", {"p", "s", "s", "s", "s"}, {"y", "mean"}), {}, {value_info("p", {1, 2, 4}), value_info("s", {2})}),
       FailureKind::unsupported,
       "m.onnx: error: BatchNormalization node: the statistics of training are not computed [onnx/unsupported-output]\n"},
      {"a mode", one(node("Pad", {"x", "pads"}, {"y"}, {string_attribute("mode", "mirror")}), {integers("pads", {0, 1, 0, 1})}),
       FailureKind::malformed, "m.onnx: error: Pad node: mode mirror is unknown [onnx/attribute]\n"},
      {"a large determinant", one(node("Det", {"m"}, {"y"}), {}, {value_info("m", {5, 5})}), FailureKind::unsupported,
       "m.onnx: error: Det node: a determinant of 5 rows [onnx/unsupported-feature]\n"},
      {"a dimension that is not there",
       encode(relu()),
       FailureKind::malformed,
       "m.onnx: error: no input has a dimension called sequence [onnx/unknown-dimension]\n",
       {{"sequence", 4}}},
  };
}

TEST(Onnx, SaysWhatIsWrong) {
  for (const Case& c : cases()) {
    LoadOptions options;
    options.set = c.set;
    const auto graph = read_model(c.bytes, options, "m.onnx", {});
    ASSERT_FALSE(graph.ok()) << c.title;
    EXPECT_EQ(graph.failure().kind, c.kind) << c.title;
    EXPECT_EQ(format_failure(graph.failure()), c.screen) << c.title;
  }
}

TEST(Onnx, PrintsAHundredMistakesAndTheNumberOfTheRest) {
  Model many = relu();
  many.nodes.clear();
  for (int i = 0; i < 120; ++i) many.nodes.push_back(node("Relu", {"gone" + std::to_string(i)}, {"y" + std::to_string(i)}));
  many.outputs = {output_info("y0")};
  const auto graph = read_model(encode(many), {}, "m.onnx", {});
  ASSERT_FALSE(graph.ok());
  ASSERT_EQ(graph.failure().diagnostics.size(), 101u);
  EXPECT_EQ(format_diagnostic(graph.failure().diagnostics[0]),
            "m.onnx: error: node Relu_0 reads gone0, which nothing defines [onnx/undefined-tensor]\n");
  EXPECT_EQ(format_diagnostic(graph.failure().diagnostics[100]), "m.onnx: error: and 20 more [onnx/more]\n");
}

}  // namespace
}  // namespace switchyard::model::onnx
