// Loops, scans, sequences, optionals and derivatives: what is left of them is a graph of tensors that gives the standard's values.
#include <gtest/gtest.h>

#include "graph/evaluate.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "model/onnx/decode.h"
#include "model/onnx/reader.h"
#include "model/onnx/test_model.h"

namespace switchyard::model::onnx {
namespace {

using numerics::Format;
using numerics::Tensor;
using Numbers = std::vector<double>;

Tensor tensor(Format format, numerics::Shape shape, const Numbers& values) {
  Tensor t = numerics::make_tensor(format, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) t.set(static_cast<std::int64_t>(i), values[i]);
  return t;
}

/// Values of all outputs, one after the other; the diagnostics where it is refused.
struct Outcome {
  Numbers values;
  std::vector<std::int64_t> lengths;
  std::string refused;
};
Outcome run(const Model& m, const std::vector<Tensor>& inputs, const std::vector<std::int64_t>& lengths = {}) {
  LoadOptions options;
  options.inputs = inputs;
  options.input_lengths = lengths;
  Outcome out;
  const auto g = read_model(encode_model(m), options, "m.onnx", {}, &out.lengths);
  if (!g.ok()) {
    out.refused = format_failure(g.failure());
    return out;
  }
  EXPECT_TRUE(graph::verify(g.value()).ok());
  const auto again = graph::parse(graph::print(g.value()), "printed");
  EXPECT_TRUE(again.ok() && graph::print(again.value()) == graph::print(g.value()));
  for (const Tensor& t : graph::evaluate(g.value(), inputs))
    for (std::int64_t i = 0; i < t.count(); ++i) out.values.push_back(t.at(i));
  return out;
}

Attribute body(std::string name, std::vector<std::string> inputs, std::vector<Node> nodes, const std::vector<std::string>& outputs) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeGraph;
  auto graph = std::make_shared<GraphBody>();
  for (std::string& input : inputs) graph->inputs.push_back(output_info(std::move(input)));
  graph->nodes = std::move(nodes);
  for (const std::string& output : outputs) graph->outputs.push_back(output_info(output));
  a.g = std::move(graph);
  return a;
}
TensorData truth(std::string name, bool value) { return tensor_data(std::move(name), kBool, {}, std::vector<std::uint8_t>{value}); }
TensorData whole(std::string name, std::int64_t value) {
  return tensor_data(std::move(name), kInt64, {}, std::vector<std::int64_t>{value});
}

const Tensor kX = tensor(Format::fp32, {3}, {1, 2, 4});

/// s += x three times, collecting each sum; `stop` is what the body says of going on.
Model summing_loop(const std::string& condition, const std::string& stop) {
  return test_model(17, {value_info("x", {3})}, {whole("n", 3), truth("yes", true)},
                    {node("Loop", {"n", condition, "x"}, {"last", "all"},
                          {body("body", {"i", "c", "s"},
                                {node("Identity", {"c"}, {"same"}), node("Not", {"c"}, {"other"}), node("Add", {"s", "x"}, {"t"}),
                                 node("Identity", {"t"}, {"u"})},
                                {stop, "t", "u"})},
                          "loop")},
                    {"last", "all"});
}

TEST(Loops, AreWrittenOut) {
  const Outcome out = run(summing_loop("yes", "same"), {kX});
  EXPECT_EQ(out.values, (Numbers{4, 8, 16, 2, 4, 8, 3, 6, 12, 4, 8, 16})) << out.refused;
}

TEST(Loops, EndWhenTheConditionSaysSo) {
  EXPECT_EQ(run(summing_loop("yes", "other"), {kX}).values, (Numbers{2, 4, 8, 2, 4, 8}));
  // Without a condition among the inputs the body's does not count.
  EXPECT_EQ(run(summing_loop("", "other"), {kX}).values.size(), 12U);
}

TEST(Loops, WhoseLengthIsNotKnownAreRefused) {
  Model m = summing_loop("yes", "same");
  m.initializers.erase(m.initializers.begin());
  m.inputs.push_back(value_info("n", {}, kInt64));
  EXPECT_EQ(run(m, {kX}).refused,
            "m.onnx: error: Loop loop: the number of iterations n is not known before the model runs [onnx/dynamic-control]\n"
            "  hint: conditions on shapes and constants are decided at import; others would need the host\n");
  EXPECT_EQ(run(m, {kX, tensor(Format::int64, {}, {2})}).values.size(), 9U);
}

TEST(Loops, ThatAreTooLongAreRefused) {
  Model m = summing_loop("yes", "same");
  m.initializers[0] = whole("n", std::int64_t{1} << 40);
  EXPECT_EQ(run(m, {kX}).refused,
            "m.onnx: error: Loop loop: written out, the bodies of loops come to more than 65536 nodes [onnx/unsupported-feature]\n");
}

TEST(Loops, ThatNeverTurnHaveNothingToCollect) {
  Model m = summing_loop("yes", "same");
  m.initializers[0] = whole("n", 0);
  EXPECT_EQ(run(m, {kX}).refused, "m.onnx: error: Loop loop: output all would have no elements [onnx/empty-tensor]\n");
  m.nodes[0].outputs.pop_back();
  m.outputs.pop_back();
  EXPECT_EQ(run(m, {kX}).values, (Numbers{1, 2, 4}));
}

TEST(Scans, GoAlongAnyAxisInEitherDirection) {
  // Running sums of the columns of a matrix, from the last to the first, collected in that order and the other way round.
  for (const std::int64_t reversed : {0, 1}) {
    const Model m = test_model(
        17, {value_info("x", {2, 3}), value_info("s", {2})}, {},
        {node("Scan", {"s", "x"}, {"last", "all"},
              {body("body", {"a", "b"}, {node("Add", {"a", "b"}, {"t"}), node("Identity", {"t"}, {"u"})}, {"t", "u"}),
               int_attribute("num_scan_inputs", 1), ints_attribute("scan_input_axes", {-1}), ints_attribute("scan_input_directions", {1}),
               ints_attribute("scan_output_axes", {1}), ints_attribute("scan_output_directions", {reversed})})},
        {"last", "all"});
    const Outcome out = run(m, {tensor(Format::fp32, {2, 3}, {1, 2, 3, 10, 20, 30}), tensor(Format::fp32, {2}, {0, 100})});
    const Numbers forwards{6, 160, 3, 5, 6, 130, 150, 160}, backwards{6, 160, 6, 5, 3, 160, 150, 130};
    EXPECT_EQ(out.values, reversed != 0 ? backwards : forwards) << out.refused;
  }
}

TEST(Sequences, AreTakenApart) {
  const Model m = test_model(
      17, {value_info("a", {2}), value_info("b", {2})}, {whole("first", 0), whole("last", -1)},
      {node("SequenceConstruct", {"a", "b"}, {"s"}), node("SequenceInsert", {"s", "b", "first"}, {"t"}),
       node("SequenceErase", {"t", "last"}, {"u"}), node("SequenceAt", {"u", "last"}, {"y"}), node("SequenceLength", {"u"}, {"n"}),
       node("ConcatFromSequence", {"t"}, {"z"}, {int_attribute("axis", 0), int_attribute("new_axis", 1)})},
      {"y", "n", "z", "u"});
  const Outcome out = run(m, {tensor(Format::fp32, {2}, {1, 2}), tensor(Format::fp32, {2}, {3, 4})});
  EXPECT_EQ(out.values, (Numbers{1, 2, 2, 3, 4, 1, 2, 3, 4, 3, 4, 1, 2})) << out.refused;
  EXPECT_EQ(out.lengths, (std::vector<std::int64_t>{-1, -1, -1, 2}));
}

TEST(Sequences, OfInputsHaveTheGivenLength) {
  Model m = test_model(17, {}, {whole("at", 1)}, {node("SequenceAt", {"s", "at"}, {"y"}, {}, "pick")}, {"y"});
  ValueInfo s;
  s.name = "s";
  s.kind = ValueKind::sequence;
  s.type = kFloat;
  m.inputs = {s};
  LoadOptions options;
  options.inputs = {kX, tensor(Format::fp32, {2}, {7, 8})};
  options.input_lengths = {2};
  const auto g = build_graph(m, options, "m.onnx", {});
  ASSERT_TRUE(g.ok()) << format_failure(g.failure());
  EXPECT_EQ(g.value().inputs.size(), 2U);
  EXPECT_EQ(graph::evaluate(g.value(), options.inputs)[0].at(1), 8);
  options.inputs.pop_back();
  const auto missing = build_graph(m, options, "m.onnx", {});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(format_failure(missing.failure()), "m.onnx: error: input s has 2 tensors, not all are given [inputs/missing]\n");
}

TEST(Sequences, ArePositionedWithinTheirLength) {
  const Model m = test_model(17, {value_info("a", {2})}, {whole("at", 1)},
                             {node("SequenceConstruct", {"a"}, {"s"}), node("SequenceAt", {"s", "at"}, {"y"}, {}, "pick")}, {"y"});
  EXPECT_EQ(run(m, {tensor(Format::fp32, {2}, {1, 2})}).refused,
            "m.onnx: error: SequenceAt pick: position 1 is outside a sequence of 1 [onnx/shape]\n");
  const Model tensors = test_model(17, {value_info("a", {2})}, {}, {node("SequenceLength", {"a"}, {"y"}, {}, "count")}, {"y"});
  EXPECT_EQ(run(tensors, {tensor(Format::fp32, {2}, {1, 2})}).refused,
            "m.onnx: error: SequenceLength count: input 0 (a) is no sequence [onnx/type]\n");
}

TEST(Sequences, AreSplitAndMapped) {
  const Model m = test_model(17, {value_info("x", {3})}, {whole("one", 1)},
                             {node("SplitToSequence", {"x", "one"}, {"s"}),
                              node("SequenceMap", {"s", "x"}, {"t"}, {body("body", {"a", "b"}, {node("Mul", {"a", "b"}, {"c"})}, {"c"})}),
                              node("ConcatFromSequence", {"t"}, {"y"}, {int_attribute("axis", 0)})},
                             {"y"});
  EXPECT_EQ(run(m, {kX}).values, (Numbers{1, 2, 4, 2, 4, 8, 4, 8, 16}));
}

TEST(Optionals, AreThereOrNot) {
  const Model m =
      test_model(18, {value_info("x", {3})}, {},
                 {node("Optional", {"x"}, {"some"}), node("Optional", {}, {"none"}), node("OptionalHasElement", {"some"}, {"a"}),
                  node("OptionalHasElement", {"none"}, {"b"}), node("OptionalGetElement", {"some"}, {"y"})},
                 {"a", "b", "y"});
  EXPECT_EQ(run(m, {kX}).values, (Numbers{1, 0, 1, 2, 4}));
  const Model empty = test_model(18, {value_info("x", {3})}, {},
                                 {node("Optional", {}, {"none"}), node("OptionalGetElement", {"none"}, {"y"}, {}, "get")}, {"y"});
  EXPECT_EQ(run(empty, {kX}).refused, "m.onnx: error: OptionalGetElement get: the optional none is empty [onnx/type]\n");
}

/// The model with a Gradient node for its outputs; `y` of `xs`.
Model with_gradient(Model m, const std::vector<std::string>& xs, const std::string& y) {
  Node n = node("Gradient", xs, {}, {}, "gradient");
  n.domain = "ai.onnx.preview.training";
  Attribute names, of = string_attribute("y", y);
  names.name = "xs";
  names.type = kAttributeStrings;
  names.strings = xs;
  n.attributes = {names, of};
  m.operator_sets.push_back({n.domain, 1});
  m.outputs.clear();
  for (const std::string& x : xs) {
    n.outputs.push_back("d" + x);
    m.outputs.push_back(output_info("d" + x));
  }
  m.nodes.push_back(n);
  return m;
}

/// Every rule against differences of the function itself: the sum of y, as a Gradient of y with ones is.
TEST(Gradients, AreTheSlopes) {
  const std::vector<std::pair<const char*, Model>> cases = [] {
    std::vector<std::pair<const char*, Model>> list;
    const auto add = [&](const char* name, std::vector<Node> nodes) {
      list.emplace_back(name, test_model(17, {value_info("a", {2, 3}), value_info("b", {3})}, {}, std::move(nodes), {"y"}));
    };
    for (const char* op : {"Add", "Sub", "Mul", "Div"}) add(op, {node(op, {"a", "b"}, {"y"})});
    for (const char* op : {"Neg", "Exp", "Log", "Sqrt", "Tanh", "Sigmoid", "Relu", "Identity"})
      add(op, {node("Mul", {"a", "b"}, {"c"}), node(op, {"c"}, {"y"})});
    list.emplace_back("MatMul", test_model(17, {value_info("a", {2, 3}), value_info("b", {3, 2})}, {},
                                           {node("MatMul", {"a", "b"}, {"p"}), node("Mul", {"p", "p"}, {"y"})}, {"y"}));
    return list;
  }();
  for (const auto& [name, plain] : cases) {
    std::vector<Tensor> inputs;
    for (const ValueInfo& v : plain.inputs) {
      numerics::Shape shape;
      for (const Dimension& d : *v.shape) shape.push_back(*d.value);
      Tensor t = numerics::make_tensor(Format::fp32, shape);
      for (std::int64_t i = 0; i < t.count(); ++i)
        t.set(i, 0.5 + 0.25 * static_cast<double>((i * 5 + static_cast<std::int64_t>(inputs.size())) % 7));
      inputs.push_back(t);
    }
    const Outcome slopes = run(with_gradient(plain, {"a", "b"}, "y"), inputs);
    ASSERT_EQ(slopes.refused, "") << name;
    std::size_t k = 0;
    for (Tensor& t : inputs) {
      for (std::int64_t i = 0; i < t.count(); ++i, ++k) {
        constexpr double kStep = 0x1p-7;
        const double at = t.at(i);
        const auto sum = [&](double x) {
          t.set(i, x);
          double total = 0;
          for (const double v : run(plain, inputs).values) total += v;
          return total;
        };
        const double slope = (sum(at + kStep) - sum(at - kStep)) / (2 * kStep);
        t.set(i, at);
        EXPECT_NEAR(slopes.values[k], slope, 2e-3 * (1 + std::abs(slope))) << name << ", slope " << k;
      }
    }
  }
}

TEST(Gradients, OfWhatHasNoRuleAreRefused) {
  const Model m = test_model(17, {value_info("a", {2, 3})}, {}, {node("Sin", {"a"}, {"y"}, {}, "sine")}, {"y"});
  EXPECT_EQ(run(with_gradient(m, {"a"}, "y"), {tensor(Format::fp32, {2, 3}, {1, 2, 3, 4, 5, 6})}).refused,
            "m.onnx: error: Gradient gradient: no rule for the derivative of Sin (sine) [onnx/unsupported-operator]\n");
}

}  // namespace
}  // namespace switchyard::model::onnx
