// ONNX as exporters write it: functions, branches on shapes, token numbers as inputs, open dimensions, weights in files of their own.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "graph/evaluate.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "model/onnx/decode.h"
#include "model/onnx/reader.h"
#include "model/onnx/test_model.h"
#include "model/onnx/write.h"
#include "support/check.h"

namespace switchyard::model::onnx {
namespace {

const ValueInfo kX = value_info("x", {2, 3});

graph::Graph imported(const Model& m, const LoadOptions& options = {}) {
  // By way of the file's bytes, which must say the same.
  auto g = read_model(encode_model(m), options, "m.onnx", {});
  if (!g.ok()) {
    ADD_FAILURE() << format_failure(g.failure());
    return {};
  }
  const auto status = graph::verify(g.value());
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : format_failure(status.failure()));
  const auto again = graph::parse(graph::print(g.value()), "printed");
  EXPECT_TRUE(again.ok() && graph::print(again.value()) == graph::print(g.value()));
  return std::move(g).value();
}

std::string refused(const Model& m, const LoadOptions& options = {}) {
  const auto g = read_model(encode_model(m), options, "m.onnx", {});
  return g.ok() ? "imported" : format_failure(g.failure());
}

numerics::Tensor tensor(numerics::Format format, numerics::Shape shape, const std::vector<double>& values) {
  numerics::Tensor t = numerics::make_tensor(format, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) t.set(static_cast<std::int64_t>(i), values[i]);
  return t;
}
std::vector<double> values(const numerics::Tensor& t) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < t.count(); ++i) out.push_back(t.at(i));
  return out;
}
std::vector<double> run(const Model& m, const std::vector<numerics::Tensor>& inputs) {
  const graph::Graph g = imported(m);
  return g.outputs.empty() ? std::vector<double>{} : values(graph::evaluate(g, inputs)[0]);
}
const numerics::Tensor kSix = tensor(numerics::Format::fp32, {2, 3}, {-3, -2, -1, 0, 1, 2});

// --- functions -------------------------------------------------------------------------------------------------------------------------

Attribute reference(std::string name, std::string of, std::int32_t type) {
  Attribute a;
  a.name = std::move(name);
  a.type = type;
  a.reference = std::move(of);
  return a;
}

Function function(std::string name, std::vector<Node> nodes, std::vector<Attribute> defaults = {}) {
  Function f;
  f.domain = "local";
  f.name = std::move(name);
  f.inputs = {"a"};
  f.outputs = {"b"};
  f.defaults = std::move(defaults);
  f.operator_sets = {{"", 17}, {"local", 1}};
  f.nodes = std::move(nodes);
  return f;
}
Node call(std::string name, std::string input, std::string output, std::vector<Attribute> attributes = {}, std::string called = {}) {
  Node n = node(std::move(name), {std::move(input)}, {std::move(output)}, std::move(attributes), std::move(called));
  n.domain = "local";
  return n;
}

TEST(Functions, TakeThePlaceOfTheirCalls) {
  Model m = test_model(17, {kX}, {},
                       {call("Leak", "x", "h", {float_attribute("slope", 0.5)}, "first"), call("Leak", "h", "y", {}, "second")}, {"y"});
  m.functions = {function("Leak", {node("LeakyRelu", {"a"}, {"b"}, {reference("alpha", "slope", kAttributeFloat)}, "leak")},
                          {float_attribute("slope", 0.25)})};
  EXPECT_EQ(run(m, {kSix}), (std::vector<double>{-3.0 / 8, -2.0 / 8, -1.0 / 8, 0, 1, 2}));
  const graph::Graph g = imported(m);
  ASSERT_EQ(g.ops.size(), 2u);
  EXPECT_EQ(g.ops[0].name, "first/leak");
  EXPECT_EQ(g.ops[1].name, "second/leak");
}

TEST(Functions, AreChosenByOverload) {
  Model m = test_model(17, {kX}, {}, {call("F", "x", "h"), call("F", "h", "y")}, {"y"});
  m.nodes[1].overload = "other";
  m.functions = {function("F", {node("Abs", {"a"}, {"b"})}), function("F", {node("Neg", {"a"}, {"b"})})};
  m.functions[1].overload = "other";
  EXPECT_EQ(run(m, {kSix}), (std::vector<double>{-3, -2, -1, 0, -1, -2}));
}

TEST(Functions, CallEachOtherAndPassInputsOn) {
  Model m = test_model(17, {kX}, {}, {call("Outer", "x", "y")}, {"y"});
  m.functions = {function("Outer", {call("Same", "a", "c"), node("Neg", {"c"}, {"b"})}), function("Same", {})};
  m.functions[1].outputs = {"a"};
  EXPECT_EQ(run(m, {kSix}), (std::vector<double>{3, 2, 1, 0, -1, -2}));
}

TEST(Functions, KeepTheirOwnOperatorSet) {
  // Softmax over a matrix of 13 and later against the flattening one before.
  Model m = test_model(17, {value_info("x", {1, 2, 2})}, {}, {call("F", "x", "y")}, {"y"});
  m.functions = {function("F", {node("Softmax", {"a"}, {"b"}, {int_attribute("axis", 1)})})};
  m.functions[0].operator_sets = {{"", 11}};
  const auto got = run(m, {tensor(numerics::Format::fp32, {1, 2, 2}, {0, 0, 0, 0})});
  EXPECT_EQ(got, (std::vector<double>{0.25, 0.25, 0.25, 0.25}));
}

TEST(Functions, SayWhatIsWrong) {
  Model loop = test_model(17, {kX}, {}, {call("F", "x", "y", {}, "f")}, {"y"});
  loop.functions = {function("F", {call("F", "a", "b", {}, "f")})};
  EXPECT_NE(refused(loop).find("function F calls itself, or calls nest more than 64 deep [onnx/function]"), std::string::npos)
      << refused(loop);
  Model doubling = loop;
  doubling.functions = {};
  for (int i = 0; i < 40; ++i) {
    const std::string next = "F" + std::to_string(i + 1);
    doubling.functions.push_back(function("F" + std::to_string(i), {call(next, "a", "c"), call(next, "c", "b")}));
  }
  doubling.functions.push_back(function("F40", {}));
  doubling.nodes = {call("F0", "x", "y", {}, "f")};
  EXPECT_NE(refused(doubling).find("functions make more than 2^20 nodes"), std::string::npos) << refused(doubling);
  Model wide = test_model(17, {kX}, {}, {call("F", "x", "y", {}, "f")}, {"y"});
  wide.nodes[0].inputs = {"x", "x"};
  wide.functions = {function("F", {node("Neg", {"a"}, {"b"})})};
  EXPECT_EQ(refused(wide), "m.onnx: error: node f: function F takes 1 inputs and gives 1 outputs, the call has 2 and 1 [onnx/function]\n");
}

// --- branches --------------------------------------------------------------------------------------------------------------------------

Attribute graph_attribute(std::string name, std::vector<Node> nodes, std::string output, std::vector<TensorData> constants = {}) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeGraph;
  auto body = std::make_shared<GraphBody>();
  body->nodes = std::move(nodes);
  body->outputs = {output_info(std::move(output))};
  body->initializers = std::move(constants);
  a.g = std::move(body);
  return a;
}
Node branch(const std::string& condition, Attribute then, Attribute otherwise) {
  return node("If", {condition}, {"y"}, {std::move(then), std::move(otherwise)}, "branch");
}

TEST(Branches, OnShapesAreDecidedAtImport) {
  // The rank of x is 2: what torch asks before it squeezes. Both branches use one name for what they give, and capture x.
  const auto then = graph_attribute("then_branch", {node("Neg", {"x"}, {"t"})}, "t");
  const auto otherwise = graph_attribute("else_branch", {node("Add", {"x", "c"}, {"t"})}, "t", {floats("c", {1}, {10})});
  for (const std::int64_t rank : {2, 3}) {
    const Model m = test_model(
        17, {kX}, {integers("rank", {rank})},
        {branch("same", then, otherwise), node("Shape", {"x"}, {"s"}), node("Size", {"s"}, {"r"}), node("Equal", {"r", "rank"}, {"same"})},
        {"y"});
    const std::vector<double> negated{3, 2, 1, 0, -1, -2}, added{7, 8, 9, 10, 11, 12};
    EXPECT_EQ(run(m, {kSix}), rank == 2 ? negated : added);
  }
}

TEST(Branches, OnValuesAreRefused) {
  const auto then = graph_attribute("then_branch", {node("Neg", {"x"}, {"t"})}, "t");
  const auto otherwise = graph_attribute("else_branch", {node("Abs", {"x"}, {"t"})}, "t");
  const Model m = test_model(17, {kX, value_info("c", {}, kBool)}, {}, {branch("c", then, otherwise)}, {"y"});
  EXPECT_EQ(refused(m),
            "m.onnx: error: If branch: the condition c is not known before the model runs [onnx/dynamic-control]\n"
            "  hint: conditions on shapes and constants are decided at import; others would need the host\n");
  const Model empty = test_model(17, {kX}, {tensor_data("c", kBool, {}, std::vector<std::uint8_t>{1})},
                                 {branch("c", graph_attribute("then_branch", {}, "t"), otherwise)}, {"y"});
  EXPECT_EQ(refused(empty), "m.onnx: error: If branch: its body does not define t [onnx/undefined-tensor]\n");
}

// --- indices that are data -------------------------------------------------------------------------------------------------------------

TEST(Lookups, TakeTheRowsThatInputsName) {
  const Model m = test_model(17, {value_info("ids", {2, 2}, kInt64)}, {floats("table", {3, 2}, {0, 1, 10, 11, 20, 21})},
                             {node("Gather", {"table", "ids"}, {"y"}, {}, "embed")}, {"y"});
  EXPECT_EQ(run(m, {tensor(numerics::Format::int64, {2, 2}, {2, 0, -1, -3})}), (std::vector<double>{20, 21, 0, 1, 20, 21, 0, 1}));
  const Model columns = test_model(17, {value_info("ids", {2}, kInt32), kX}, {},
                                   {node("Gather", {"x", "ids"}, {"y"}, {int_attribute("axis", 1)}, "pick")}, {"y"});
  const graph::Graph g = imported(columns);
  EXPECT_EQ(values(graph::evaluate(g, {tensor(numerics::Format::int32, {2}, {2, 1}), kSix})[0]), (std::vector<double>{-1, -2, 2, 1}));
  // The same asked for one by one.
  const numerics::Tensor ids = tensor(numerics::Format::int32, {2}, {2, 1});
  graph::PointEvaluator points(g, [&](graph::TensorId id) { return id == g.inputs[0] ? &ids : id == g.inputs[1] ? &kSix : nullptr; });
  EXPECT_EQ(points.at(g.outputs[0], {1, 0}).value, 2);
}

TEST(Lookups, OfManyKnownIndicesAreChecked) {
  std::vector<std::int64_t> many(5000, 1);
  const Model good = test_model(17, {kX}, {integers("ids", many)}, {node("Gather", {"x", "ids"}, {"y"})}, {"y"});
  EXPECT_EQ(run(good, {kSix}).size(), 15000u);
  many[4321] = 2;
  const Model bad = test_model(17, {kX}, {integers("ids", many)}, {node("Gather", {"x", "ids"}, {"y"}, {}, "g")}, {"y"});
  EXPECT_EQ(refused(bad), "m.onnx: error: Gather g: index 2 is outside a dimension of 2 [onnx/shape]\n");
  const Model real = test_model(17, {kX}, {}, {node("Gather", {"x", "x"}, {"y"}, {}, "g")}, {"y"});
  EXPECT_EQ(refused(real), "m.onnx: error: Gather g: the indices (x) must be INT64 or INT32, not FLOAT [onnx/type]\n");
}

TEST(Lookups, HaveLaws) {
  graph::Graph g = imported(test_model(17, {value_info("ids", {2}, kInt64)}, {floats("t", {3, 2}, {0, 1, 2, 3, 4, 5})},
                                       {node("Gather", {"t", "ids"}, {"y"})}, {"y"}));
  numerics::Access& read = g.ops[0].nests[0].reads[0];
  const auto broken = [&] {
    const auto law = graph::verify(g);
    return law.ok() ? std::string("fine") : law.failure().diagnostics[0].code + ": " + law.failure().diagnostics[0].message;
  };
  EXPECT_EQ(broken(), "fine");
  const numerics::Access good = read;
  read.lookups[0].read = 7;
  EXPECT_EQ(broken(),
            "graph/lookup: nest 0 of 'Gather_0': read 0: a lookup names a dimension whose index is 0, once, and a read of the nest");
  read = good;
  read.fill = 0;
  EXPECT_EQ(broken(), "graph/lookup: nest 0 of 'Gather_0': read 0: only operands are looked up, without a fill value");
  read = good;
  read.lookups[0].read = 0;
  EXPECT_EQ(broken(),
            "graph/lookup: nest 0 of 'Gather_0': read 0: an index is an element of an operand of integers, neither filled nor looked up");
}

// --- open dimensions -------------------------------------------------------------------------------------------------------------------

long peak_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + 6);
  return 0;
}

/// x[:, 1:3, 2] = y as exporters write it: positions that are known and fill a box are no search, and what fills none is right, too.
TEST(Assignments, OfBoxesCompareNothing) {
  struct Case {
    const char* name;
    std::vector<std::int64_t> positions;  ///< [2, 2, 3] of data [2, 4, 5]
    bool box;
  };
  for (const Case& c :
       {Case{"box", {0, 1, 2, 0, 2, 2, 1, 1, 2, 1, 2, 2}, true}, Case{"from the end", {0, -3, -3, 0, -2, -3, 1, -3, -3, 1, -2, -3}, true},
        Case{"other order", {0, 1, 2, 1, 1, 2, 0, 2, 2, 1, 2, 2}, true}, Case{"a step of two", {0, 1, 2, 0, 3, 2, 1, 1, 2, 1, 3, 2}, false},
        Case{"no box", {0, 1, 2, 0, 2, 2, 1, 1, 2, 1, 2, 3}, false},
        Case{"one place twice", {0, 1, 2, 0, 1, 2, 1, 1, 2, 1, 1, 2}, false}}) {
    SCOPED_TRACE(c.name);
    Model m = test_model(16, {value_info("x", {2, 4, 5}), value_info("u", {2, 2})}, {}, {node("ScatterND", {"x", "p", "u"}, {"y"})}, {"y"});
    m.initializers = {integers("p", c.positions)};
    m.initializers[0].dims = {2, 2, 3};
    const graph::Graph g = imported(m);
    numerics::Tensor x = numerics::seeded_uniform(1, numerics::Format::fp32, {2, 4, 5}, 1);
    numerics::Tensor u = numerics::seeded_uniform(2, numerics::Format::fp32, {2, 2}, 1);
    numerics::Tensor expected = x;
    const std::int64_t extents[] = {2, 4, 5};
    for (std::int64_t i = 0; i < 4; ++i) {
      std::int64_t flat = 0;
      for (std::int64_t d = 0; d < 3; ++d) {
        const std::int64_t p = c.positions[static_cast<std::size_t>(3 * i + d)];
        flat = flat * extents[d] + (p < 0 ? p + extents[d] : p);
      }
      expected.set(flat, u.at(i));
    }
    EXPECT_EQ(graph::evaluate(g, {x, u})[0].bytes, expected.bytes);
    std::int64_t points = 0;
    for (const graph::Op& op : g.ops)
      for (const numerics::Nest& nest : op.nests) {
        std::int64_t of_nest = 1;
        for (const auto& loop : nest.loops) of_nest *= loop.extent;
        points += of_nest;
      }
    if (c.box) {
      EXPECT_EQ(points, 2 * 4 * 5);
    } else {
      EXPECT_GT(points, 2 * 4 * 5);
    }
  }
}

/// A file of a few hundred bytes whose positions are ten numbers of 2^36 that an Expand makes: they are not computed to be looked at.
TEST(Assignments, OfHugeConstantsAreNotLookedAt) {
  for (const Node& last :
       {node("ScatterND", {"x", "p", "u"}, {"y"}), node("Gather", {"x", "p"}, {"y"}), node("Reshape", {"x", "few"}, {"y"})}) {
    SCOPED_TRACE(last.type);
    Model m = test_model(16, {value_info("x", {1000}), value_info("u", {10})}, {},
                         {node("Expand", {"zero", "huge"}, {"all"}), node("Slice", {"all", "from", "to"}, {"few"}),
                          node("Reshape", {"few", "column"}, {"p"}), last},
                         {"y"});
    m.initializers = {integers("zero", {0}), integers("huge", {std::int64_t{1} << 36}), integers("from", {0}), integers("to", {10}),
                      integers("column", {10, 1})};
    const auto begin = std::chrono::steady_clock::now();
    (void)read_model(encode_model(m), {}, "m.onnx", {});  // refused or not: soon, and in little memory
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    EXPECT_LT(peak_kilobytes(), 2'000'000);
  }
}

TEST(OpenDimensions, AreListedWithOptionsThatSetThem) {
  const Model named = test_model(
      17, {symbolic_info("ids", {open("batch"), open("sequence")}, kInt64), symbolic_info("mask", {open("batch"), open("sequence")})}, {},
      {node("Relu", {"mask"}, {"y"})}, {"y"});
  EXPECT_EQ(refused(named),
            "m.onnx: error: dimension batch of ids, mask has no value [onnx/unset-dimension]\n"
            "  hint: set them all, for example with: --set batch=1 --set sequence=128\n"
            "m.onnx: error: dimension sequence of ids, mask has no value [onnx/unset-dimension]\n"
            "  hint: set them all, for example with: --set batch=1 --set sequence=128\n");
  LoadOptions by_name;
  by_name.set = {{"batch", 2}, {"sequence", 5}};
  EXPECT_EQ(imported(named, by_name).tensors[1].shape, (numerics::Shape{2, 5}));
  LoadOptions by_shape;  // of one input: the other has the same names
  by_shape.shapes = {{"ids", {3, 4}}};
  EXPECT_EQ(imported(named, by_shape).tensors[1].shape, (numerics::Shape{3, 4}));
  by_shape.shapes["mask"] = {3, 7};
  EXPECT_EQ(refused(named, by_shape), "m.onnx: error: mask: dimension sequence would be 4 and 7 [onnx/shape]\n");

  const Model unnamed = test_model(17, {symbolic_info("x", {open(""), fixed(3)})}, {}, {node("Relu", {"x"}, {"y"})}, {"y"});
  EXPECT_NE(refused(unnamed).find("for example with: --shape x=1x3\n"), std::string::npos) << refused(unnamed);
  LoadOptions wrong;
  wrong.shapes = {{"x", {2, 4}}, {"z", {1}}};
  EXPECT_EQ(refused(unnamed, wrong),
            "m.onnx: error: input x of the model does not take the shape [2, 4] [onnx/shape]\n"
            "  hint: only its open dimensions can be set\n"
            "m.onnx: error: the model has no input called z [onnx/unknown-input]\n"
            "  hint: its inputs are x\n");
}

// --- weights in files ------------------------------------------------------------------------------------------------------------------

class Files : public ::testing::Test {
 protected:
  Files() : folder_(std::filesystem::temp_directory_path() / ("switchyard_wild_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Files() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::filesystem::path folder_;
};

TEST_F(Files, SevenBillionParametersAreNotReadToBeImported) {
  // 8,000 nodes; 1,000 weights of 2642 x 2650 in one sparse file of 28 GB.
  constexpr std::int64_t kRows = 2642, kColumns = 2650, kBytes = kRows * kColumns * 4;
  constexpr int kLayers = 1000;
  Model m = test_model(17, {value_info("x", {1, kRows})}, {}, {}, {"y"});
  std::string at = "x";
  for (int l = 0; l < kLayers; ++l) {
    TensorData w;
    w.name = "w" + std::to_string(l);
    w.type = kFloat;
    w.dims = {kRows, kColumns};
    w.external = true;
    w.external_data = {{"location", "weights"}, {"offset", std::to_string(l * kBytes)}, {"length", std::to_string(kBytes)}};
    m.initializers.push_back(std::move(w));
    const std::string n = std::to_string(l);
    m.nodes.push_back(node("MatMul", {at, "w" + n}, {"a" + n}));
    m.initializers.push_back(integers("b" + n, {0}));
    m.initializers.push_back(integers("e" + n, {kRows}));
    m.initializers.push_back(integers("i" + n, {1}));
    m.nodes.push_back(node("Slice", {"a" + n, "b" + n, "e" + n, "i" + n}, {"c" + n}));
    m.nodes.push_back(node("Shape", {"c" + n}, {"s" + n}));
    m.nodes.push_back(node("Reshape", {"c" + n, "s" + n}, {"d" + n}));
    m.nodes.push_back(node("Sigmoid", {"d" + n}, {"g" + n}));
    m.nodes.push_back(node("Mul", {"d" + n, "g" + n}, {"h" + n}));
    m.nodes.push_back(node("Identity", {"h" + n}, {"j" + n}));
    at = l + 1 < kLayers ? "k" + n : "y";
    m.nodes.push_back(node("Add", {"h" + n, "j" + n}, {at}));
  }
  ASSERT_EQ(m.nodes.size(), 8000u);
  const std::string file = (folder_ / "model.onnx").string();
  std::ofstream(file, std::ios::binary) << encode_model(m);
  m = {};
  std::ofstream(folder_ / "weights", std::ios::binary).put('\0');
  std::filesystem::resize_file(folder_ / "weights", static_cast<std::uintmax_t>(kLayers * kBytes));
  const long before = peak_kilobytes();
  const auto begin = std::chrono::steady_clock::now();
  const auto graph = read_onnx(file, {});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
  EXPECT_GE(graph::parameter_count(graph.value()), 7'000'000'000);
  EXPECT_LE(peak_kilobytes() - before, 500'000);
  // 2 seconds on a machine with nothing else to do; tests share theirs.
  EXPECT_LE(seconds, 10);
  std::printf("[          ] imported in %.2f s, %ld MB\n", seconds, (peak_kilobytes() - before) / 1000);
}

/// The last kilobytes of a sparse file of 3 GB are weights: 32 bits do not say where. Neither importing nor reading them takes more than
/// they are long.
TEST_F(Files, WeightsBeyondTwoGigabytesAreRead) {
  constexpr std::int64_t kOffset = 3'000'000'000, kCount = 1000;
  TensorData w;
  w.name = "w";
  w.type = kFloat;
  w.dims = {kCount};
  w.external = true;
  w.external_data = {{"location", "weights"}, {"offset", std::to_string(kOffset)}, {"length", std::to_string(kCount * 4)}};
  TensorData halves = w;  // two elements a byte
  halves.name = "h";
  halves.type = 22;  // INT4
  halves.external_data["length"] = std::to_string(kCount / 2);
  Model m = test_model(
      21, {value_info("x", {kCount})}, {},
      {node("Add", {"x", "w"}, {"y"}), node("Cast", {"h"}, {"c"}, {int_attribute("to", kFloat)}), node("Add", {"x", "c"}, {"z"})},
      {"y", "z"});
  m.initializers = {w, halves};
  const std::string file = (folder_ / "model.onnx").string();
  std::ofstream(file, std::ios::binary) << encode_model(m);
  std::vector<float> values(kCount);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 0.25F;
  std::ofstream out(folder_ / "weights", std::ios::binary);
  out.seekp(kOffset);
  out.write(reinterpret_cast<const char*>(values.data()), kCount * 4);
  out.close();
  const long before = peak_kilobytes();
  const auto graph = read_onnx(file, {});
  ASSERT_TRUE(graph.ok()) << format_failure(graph.failure());
  const auto results = graph::evaluate(graph.value(), {numerics::make_tensor(numerics::Format::fp32, {kCount})});  // x is zero
  ASSERT_EQ(results.size(), 2u);
  for (std::int64_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(results[0].at(i), values[static_cast<std::size_t>(i)]) << i;
    const unsigned byte = reinterpret_cast<const unsigned char*>(values.data())[i / 2];
    const int nibble = static_cast<int>(byte >> (i % 2 * 4)) & 15;
    ASSERT_EQ(results[1].at(i), nibble < 8 ? nibble : nibble - 16) << i;
  }
  EXPECT_LE(peak_kilobytes() - before, 20'000);
  // Cut short after it was imported: an error, no signal.
  std::filesystem::resize_file(folder_ / "weights", 1000);
  const auto& tensors = graph.value().tensors;
  const auto w_of = std::find_if(tensors.begin(), tensors.end(), [](const graph::Tensor& t) { return t.name == "w"; });
  ASSERT_TRUE(w_of != tensors.end() && w_of->constant);
  EXPECT_THROW((void)w_of->constant->make(), InternalError);
}

TEST_F(Files, WhatIsWrittenIsReadBack) {
  graph::Graph g = imported(test_model(
      17, {value_info("x", {1, 4, 5, 5})}, {floats("w", {6, 2, 3, 3}, std::vector<float>(108, 0.25F))},
      {node("Conv", {"x", "w"}, {"c"},
            {int_attribute("group", 2), ints_attribute("strides", {2, 2}), ints_attribute("pads", {1, 0, 1, 2})}),
       node("Softmax", {"c"}, {"s"}, {int_attribute("axis", 1)}), node("Transpose", {"s"}, {"y"}, {ints_attribute("perm", {0, 2, 3, 1})})},
      {"y"}));
  const std::string file = (folder_ / "written.onnx").string();
  for (const std::int64_t inline_limit : {1 << 20, 16}) {
    const auto written = write_model(g, file, inline_limit);
    ASSERT_TRUE(written.ok()) << format_failure(written.failure());
    EXPECT_EQ(std::filesystem::exists(file + ".data"), inline_limit == 16);
    const auto back = read_onnx(file, {});
    ASSERT_TRUE(back.ok()) << format_failure(back.failure());
    const numerics::Tensor x = numerics::seeded_uniform(3, numerics::Format::fp32, {1, 4, 5, 5}, 1);
    const auto a = values(graph::evaluate(g, {x})[0]), b = values(graph::evaluate(back.value(), {x})[0]);
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6);
  }
}

TEST(Writer, SaysWhatHasNoForm) {
  graph::Graph g = imported(test_model(17, {kX}, {}, {node("Relu", {"x"}, {"y"}, {}, "r")}, {"y"}));
  g.ops[0].nests[0].loops[0].kind = numerics::LoopKind::sequential;
  const auto written = write_model(g, "nowhere.onnx");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(format_failure(written.failure()), "error: operator 'r' has no ONNX form: it has sequential loops [onnx/cannot-export]\n");
}

}  // namespace
}  // namespace switchyard::model::onnx
