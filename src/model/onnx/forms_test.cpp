// Operators of which ONNX's own cases try one form or two: the other forms, against the definition written out here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/onnx/operators.h"
#include "model/onnx/reader.h"
#include "model/onnx/test_model.h"
#include "model/onnx/values.h"

namespace switchyard::model::onnx {
namespace {

using numerics::Format;
using numerics::Tensor;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor tensor(numerics::Shape shape, const std::vector<double>& values) {
  Tensor t = numerics::make_tensor(Format::fp32, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) t.set(static_cast<std::int64_t>(i), values[i]);
  return t;
}

struct Outcome {
  std::vector<double> values;
  std::string refused;
};
Outcome run(const Model& m, const std::vector<Tensor>& inputs, bool given = false) {
  LoadOptions options;
  if (given) options.inputs = inputs;
  const auto g = build_graph(m, options, "m.onnx", {});
  Outcome out;
  if (!g.ok()) {
    out.refused = format_failure(g.failure());
    return out;
  }
  EXPECT_TRUE(graph::verify(g.value()).ok());
  const Tensor y = graph::evaluate(g.value(), inputs)[0];
  for (std::int64_t i = 0; i < y.count(); ++i) out.values.push_back(y.at(i));
  return out;
}

// --- TreeEnsemble
// ---------------------------------------------------------------------------------------------------------------------------

struct Ensemble {
  std::vector<std::int64_t> roots, features, true_ids, false_ids, true_leaf, false_leaf, missing, targets;
  std::vector<std::uint8_t> modes;
  std::vector<float> splits, weights, members;
  std::int64_t target_count = 3, aggregate = 1, transform = 0;
};

/// Random trees; `state` moves on.
std::int64_t grow(Ensemble& e, std::uint64_t& state, int depth) {
  const auto draw = [&](std::uint64_t n) { return (state = numerics::mix(state, n)) % n; };
  const auto node = static_cast<std::size_t>(e.features.size());
  const auto mode = static_cast<std::uint8_t>(draw(7));
  e.features.push_back(static_cast<std::int64_t>(draw(4)));
  e.modes.push_back(mode);
  e.splits.push_back(mode == 6 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(draw(5)) - 2);
  e.missing.push_back(static_cast<std::int64_t>(draw(2)));
  if (mode == 6) {
    for (std::uint64_t k = 0; k <= draw(3); ++k) e.members.push_back(static_cast<float>(draw(5)) - 2);
    e.members.push_back(std::numeric_limits<float>::quiet_NaN());
  }
  for (auto* list : {&e.true_ids, &e.false_ids, &e.true_leaf, &e.false_leaf}) list->push_back(0);
  for (const bool truth : {true, false}) {
    const bool leaf = depth == 0 || draw(3) == 0;
    std::int64_t id = 0;
    if (leaf) {
      id = static_cast<std::int64_t>(e.weights.size());
      e.weights.push_back(static_cast<float>(draw(9)) / 4 - 1);
      e.targets.push_back(static_cast<std::int64_t>(draw(3)));
    } else {
      id = grow(e, state, depth - 1);
    }
    (truth ? e.true_ids : e.false_ids)[node] = id;
    (truth ? e.true_leaf : e.false_leaf)[node] = leaf ? 1 : 0;
  }
  return static_cast<std::int64_t>(node);
}

Model model_of(const Ensemble& e, std::int64_t rows) {
  const auto n = static_cast<std::int64_t>(e.splits.size());
  Node tree = node("TreeEnsemble", {"x"}, {"y"},
                   {ints_attribute("tree_roots", e.roots), ints_attribute("nodes_featureids", e.features),
                    ints_attribute("nodes_truenodeids", e.true_ids), ints_attribute("nodes_falsenodeids", e.false_ids),
                    ints_attribute("nodes_trueleafs", e.true_leaf), ints_attribute("nodes_falseleafs", e.false_leaf),
                    ints_attribute("nodes_missing_value_tracks_true", e.missing), ints_attribute("leaf_targetids", e.targets),
                    tensor_attribute("nodes_modes", tensor_data("m", data_type_of(Format::uint8), {n}, e.modes)),
                    tensor_attribute("nodes_splits", floats("s", {n}, e.splits)),
                    tensor_attribute("leaf_weights", floats("w", {static_cast<std::int64_t>(e.weights.size())}, e.weights)),
                    int_attribute("n_targets", e.target_count), int_attribute("aggregate_function", e.aggregate),
                    int_attribute("post_transform", e.transform)},
                   "trees");
  if (!e.members.empty())
    tree.attributes.push_back(tensor_attribute("membership_values", floats("v", {static_cast<std::int64_t>(e.members.size())}, e.members)));
  tree.domain = "ai.onnx.ml";
  Model m = test_model(21, {value_info("x", {rows, 4})}, {}, {tree}, {"y"});
  m.operator_sets.push_back({"ai.onnx.ml", 5});
  return m;
}

/// Node by node, as the standard says it.
std::vector<double> walked(const Ensemble& e, const Tensor& x) {
  std::vector<std::vector<float>> sets(e.modes.size());
  for (std::size_t i = 0, at = 0; i < e.modes.size(); ++i) {
    if (e.modes[i] != 6) continue;
    for (; !std::isnan(e.members[at]); ++at) sets[i].push_back(e.members[at]);
    ++at;
  }
  std::vector<double> out;
  for (std::int64_t row = 0; row < x.shape[0]; ++row) {
    std::vector<std::vector<double>> found(3);
    for (const std::int64_t root : e.roots) {
      for (auto i = static_cast<std::size_t>(root);;) {
        const double v = x.at(row * 4 + e.features[i]), split = e.splits[i];
        const bool member = std::find(sets[i].begin(), sets[i].end(), static_cast<float>(v)) != sets[i].end();
        const bool truths[] = {v <= split, v<split, v >= split, v> split, v == split, v != split, member};
        const bool truth = std::isnan(v) && e.missing[i] != 0 ? true : truths[e.modes[i]];
        const auto next = static_cast<std::size_t>(truth ? e.true_ids[i] : e.false_ids[i]);
        if ((truth ? e.true_leaf[i] : e.false_leaf[i]) == 0) {
          i = next;
          continue;
        }
        found[static_cast<std::size_t>(e.targets[next])].push_back(e.weights[next]);
        break;
      }
    }
    std::vector<double> sums;
    for (const auto& list : found) {
      double sum = 0;
      for (const double w : list) sum += w;
      if (e.aggregate == 0) sum /= static_cast<double>(e.roots.size());
      if (e.aggregate == 2 && !list.empty()) sum = *std::min_element(list.begin(), list.end());
      if (e.aggregate == 3 && !list.empty()) sum = *std::max_element(list.begin(), list.end());
      sums.push_back(sum);
    }
    double total = 0;
    for (const double s : sums) total += e.transform == 3 && s == 0 ? 0 : std::exp(s);
    for (double s : sums) {
      if (e.transform == 1) s = std::exp(s) / total;
      if (e.transform == 2) s = 1 / (1 + std::exp(-s));
      if (e.transform == 3) s = s == 0 ? 0 : std::exp(s) / total;
      out.push_back(s);
    }
  }
  return out;
}

TEST(Trees, AreWalkedAsTheStandardSays) {
  constexpr std::int64_t kRows = 40;
  std::uint64_t state = 1;
  for (int trial = 0; trial < 24; ++trial) {
    Ensemble e;
    e.aggregate = trial % 4;
    e.transform = trial / 4 % 4;
    for (int t = 0; t <= trial % 3; ++t) e.roots.push_back(grow(e, state, 3));
    Tensor x = numerics::make_tensor(Format::fp32, {kRows, 4});
    for (std::int64_t i = 0; i < x.count(); ++i) {
      const std::uint64_t draw = numerics::mix(77, static_cast<std::uint64_t>(i)) % 11;
      x.set(i, draw == 10 ? kNan : static_cast<double>(draw) / 2 - 2.5);
    }
    const Outcome got = run(model_of(e, kRows), {x});
    const std::vector<double> want = walked(e, x);
    ASSERT_EQ(got.values.size(), want.size()) << got.refused;
    for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got.values[i], want[i], 1e-6) << "trial " << trial << ", element " << i;
  }
}

TEST(Trees, ThatAreNoneAreRefused) {
  Ensemble good;
  std::uint64_t state = 5;
  good.roots = {grow(good, state, 2)};
  const auto refused = [&](const std::function<void(Ensemble&)>& change) {
    Ensemble e = good;
    change(e);
    return run(model_of(e, 1), {tensor({1, 4}, {0, 0, 0, 0})}).refused;
  };
  EXPECT_EQ(refused([](Ensemble&) {}), "");
  const auto says = [&](const std::function<void(Ensemble&)>& change, const char* text) {
    const std::string got = refused(change);
    EXPECT_NE(got.find(text), std::string::npos) << got;
  };
  says([](Ensemble& e) { e.roots = {99}; }, "TreeEnsemble trees: tree_roots has 99");
  says([](Ensemble& e) { e.features[0] = 4; }, "node 0 asks for feature 4 of 4");
  says([](Ensemble& e) { e.modes[0] = 7; }, "node 0 has mode 7");
  says([](Ensemble& e) { e.targets.pop_back(); }, "leaf_weights for");
  says([](Ensemble& e) { e.true_ids[0] = 0, e.true_leaf[0] = 0; }, "from root 0 a node is reached twice");
  says([](Ensemble& e) { e.transform = 4; }, "post_transform PROBIT is not supported");
  says([](Ensemble& e) { e.aggregate = 9; }, "aggregate_function 9 or post_transform 0 is unknown");
  says([](Ensemble& e) { e.target_count = 0; }, "n_targets is 0");
  says([](Ensemble& e) { e.modes[0] = 6, e.members.clear(); }, "membership_values have no set for node");
  // A chain has paths of its length squared: it is left before they take memory.
  says(
      [](Ensemble& e) {
        constexpr std::size_t kLong = 200'000;
        const auto link = static_cast<std::int64_t>(e.features.size());
        for (std::size_t i = 0; i < kLong; ++i) {
          const bool last = i + 1 == kLong;
          e.features.push_back(0), e.modes.push_back(0), e.splits.push_back(0), e.missing.push_back(0);
          e.false_ids.push_back(0), e.false_leaf.push_back(1);
          e.true_ids.push_back(last ? 1 : link + static_cast<std::int64_t>(i) + 1), e.true_leaf.push_back(last ? 1 : 0);
        }
        e.roots = {link};
      },
      "1 trees of more than 4096 nodes");
}

// --- FlexAttention
// --------------------------------------------------------------------------------------------------------------------------

Attribute body(std::string name, std::vector<Node> nodes, const std::string& from, const std::string& to) {
  Attribute a;
  a.name = std::move(name);
  a.type = kAttributeGraph;
  auto graph = std::make_shared<GraphBody>();
  graph->inputs.push_back(output_info(from));
  graph->nodes = std::move(nodes);
  graph->outputs.push_back(output_info(to));
  a.g = std::move(graph);
  return a;
}

Model attention(std::vector<Attribute> attributes, std::int64_t kv_heads = 2) {
  Node n = node("FlexAttention", {"q", "k", "v"}, {"y"}, std::move(attributes), "flex");
  n.domain = "ai.onnx.preview";
  Model m = test_model(26, {value_info("q", {1, 4, 3, 8}), value_info("k", {1, kv_heads, 5, 8}), value_info("v", {1, kv_heads, 5, 6})},
                       {floats("factor", {}, {0.5F})}, {n}, {"y"});
  m.operator_sets.push_back({"ai.onnx.preview", 1});
  return m;
}

TEST(FlexAttention, AppliesItsGraphs) {
  const std::vector<Tensor> inputs{numerics::seeded_uniform(1, Format::fp32, {1, 4, 3, 8}, 1),
                                   numerics::seeded_uniform(2, Format::fp32, {1, 2, 5, 8}, 1),
                                   numerics::seeded_uniform(3, Format::fp32, {1, 2, 5, 6}, 1)};
  // Scores are squared, probabilities halved by a constant of the graph around.
  const Outcome got = run(attention({body("score_mod", {node("Mul", {"s", "s"}, {"t"})}, "s", "t"),
                                     body("prob_mod", {node("Mul", {"p", "factor"}, {"r"})}, "p", "r")}),
                          inputs);
  ASSERT_EQ(got.values.size(), 72U) << got.refused;
  for (std::int64_t h = 0; h < 4; ++h) {
    for (std::int64_t l = 0; l < 3; ++l) {
      std::vector<double> p;
      double sum = 0;
      for (std::int64_t s = 0; s < 5; ++s) {
        double score = 0;
        for (std::int64_t e = 0; e < 8; ++e) score += inputs[0].at((h * 3 + l) * 8 + e) * inputs[1].at((h / 2 * 5 + s) * 8 + e);
        score /= std::sqrt(8.0);
        p.push_back(std::exp(score * score));
        sum += p.back();
      }
      for (std::int64_t e = 0; e < 6; ++e) {
        double want = 0;
        for (std::int64_t s = 0; s < 5; ++s) want += 0.5 * p[static_cast<std::size_t>(s)] / sum * inputs[2].at((h / 2 * 5 + s) * 6 + e);
        EXPECT_NEAR(got.values[static_cast<std::size_t>((h * 3 + l) * 6 + e)], want, 1e-5);
      }
    }
  }
}

TEST(FlexAttention, RefusesGraphsThatChangeShapes) {
  const auto refused = [](std::vector<Attribute> attributes, std::int64_t kv_heads = 2) {
    return run(attention(std::move(attributes), kv_heads), {}).refused;
  };
  const auto says = [](const std::string& got, const char* text) { EXPECT_NE(got.find(text), std::string::npos) << got; };
  says(refused({body("score_mod", {node("Transpose", {"s"}, {"t"})}, "s", "t")}),
       "FlexAttention flex: score_mod must give one tensor like the one that it takes, [1, 4, 3, 5] of FLOAT");
  says(refused({body("prob_mod", {node("Greater", {"p", "factor"}, {"r"})}, "p", "r")}),
       "prob_mod must give one tensor like the one that it takes");
  says(refused({body("mask_mod", {}, "s", "s")}), "attribute mask_mod is not supported");
  says(refused({int_attribute("softmax_precision", 7)}), "softmax_precision 7 is no floating type");
  says(refused({}, 3), "queries [1, 4, 3, 8], keys [1, 3, 5, 8] and values [1, 3, 5, 6] do not fit");
}

// --- bits, mels, regions, random numbers
// -----------------------------------------------------------------------------------------------------

TEST(BitCast, KeepsAllSixtyFourBits) {
  const Model m =
      test_model(26, {value_info("x", {4}, kDouble)}, {}, {node("BitCast", {"x"}, {"y"}, {int_attribute("to", kInt64)})}, {"y"});
  const auto g = build_graph(m, {}, "m.onnx", {});
  ASSERT_TRUE(g.ok()) << format_failure(g.failure());
  ASSERT_TRUE(g.value().ops[0].host.has_value());
  Tensor x = numerics::make_tensor(Format::fp64, {4});
  const double values[] = {1.0 / 3, -0.0, std::numeric_limits<double>::infinity(), 5e-324};
  for (std::int64_t i = 0; i < 4; ++i) x.set(i, values[i]);
  EXPECT_EQ(graph::evaluate(g.value(), {x})[0].bytes, x.bytes);
}

TEST(RandomOperators, AreRefusedWithReasons) {
  const auto x = value_info("x", {2, 3});
  const auto says = [&](Node n, const char* text, std::vector<TensorData> constants = {}) {
    n.name = "node";
    std::vector<ValueInfo> inputs;
    if (!n.inputs.empty()) inputs.push_back(x);
    const std::string got = run(test_model(22, inputs, std::move(constants), {n}, {"y"}), {}).refused;
    EXPECT_NE(got.find(text), std::string::npos) << got;
  };
  says(node("RandomUniform", {}, {"y"}), "attribute shape is missing");
  says(node("RandomUniform", {}, {"y"}, {ints_attribute("shape", {2}), float_attribute("low", 2)}), "low 2 is above high 1");
  says(node("RandomNormal", {}, {"y"}, {ints_attribute("shape", {2}), float_attribute("scale", -1)}), "a standard deviation of -1");
  says(node("RandomNormal", {}, {"y"}, {ints_attribute("shape", {2}), int_attribute("dtype", kInt32)}), "random numbers of type INT32");
  says(node("RandomUniform", {}, {"y"}, {ints_attribute("shape", {1 << 25, 1})}), "2^24 rows and columns at most");
  says(node("RandomUniform", {}, {"y"}, {ints_attribute("shape", {-1})}), "impossible dimensions [-1]");
  says(node("Multinomial", {"x"}, {"y"}, {int_attribute("sample_size", 0)}), "a sample of 0");
  says(node("Multinomial", {"x"}, {"y"}, {int_attribute("dtype", kFloat)}), "dtype is INT32 or INT64");
  says(node("Dropout", {"x", "r", "t"}, {"y"}), "a ratio of 1 is not in [0, 1)",
       {floats("r", {}, {1}), tensor_data<std::uint8_t>("t", kBool, {}, {1})});
}

TEST(RoiAlign, TakesTheGreatestWeightedCorner) {
  // One sample in one bin, between the first two rows and columns: weights 0.49, 0.21, 0.21, 0.09.
  const auto at = [](const char* mode, std::vector<double> corners) {
    const Model m =
        test_model(22, {value_info("x", {1, 1, 2, 2}), value_info("r", {1, 4})}, {integers("b", {0})},
                   {node("RoiAlign", {"x", "r", "b"}, {"y"}, {string_attribute("mode", mode), int_attribute("sampling_ratio", 1)})}, {"y"});
    return run(m, {tensor({1, 1, 2, 2}, corners), tensor({1, 4}, {0.3, 0.3, 1.3, 1.3})}).values[0];
  };
  EXPECT_NEAR(at("avg", {1, 2, 3, 10}), 0.49 + 0.42 + 0.63 + 0.9, 1e-6);
  EXPECT_NEAR(at("max", {1, 2, 3, 10}), 0.9, 1e-6);
  EXPECT_NEAR(at("max", {-1, -1, -1, -1}), -0.09, 1e-6);
}

}  // namespace
}  // namespace switchyard::model::onnx
