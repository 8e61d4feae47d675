#include "graph/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "graph/test_graphs.h"
#include "graph/verify.h"

namespace switchyard::graph {
namespace {

using numerics::Access;
using numerics::LoopKind;
using numerics::Nest;

/// The law of a nest word for word: every point in listed order, coordinates in a map. Shares no code with the evaluator.
class SlowOp {
 public:
  using Element = std::pair<int, std::vector<std::int64_t>>;

  SlowOp(const Graph& graph, const Op& op) : graph_(graph), op_(op) {}

  std::map<Element, double> run(const std::vector<numerics::Tensor>& operands) {
    for (std::size_t s = 0; s < operands.size(); ++s) {
      std::vector<std::int64_t> index(operands[s].shape.size(), 0);
      for (std::int64_t flat = 0; flat < operands[s].count(); ++flat) {
        values_[{static_cast<int>(s), index}] = operands[s].at(flat);
        for (std::size_t d = index.size(); d-- > 0;) {
          if (++index[d] < operands[s].shape[d]) break;
          index[d] = 0;
        }
      }
    }
    for (const Nest& nest : op_.nests) {
      std::vector<std::int64_t> loops(nest.loops.size(), 0);
      points(nest, loops, 0);
    }
    return values_;
  }

 private:
  static Element element(const Access& access, const std::vector<std::int64_t>& loops) {
    std::vector<std::int64_t> index;
    for (const auto& f : access.index) index.push_back(f.at(loops));
    return {access.slot, index};
  }
  void points(const Nest& nest, std::vector<std::int64_t>& loops, std::size_t depth) {
    if (depth < loops.size()) {
      for (loops[depth] = 0; loops[depth] < nest.loops[depth].extent; ++loops[depth]) points(nest, loops, depth + 1);
      loops[depth] = 0;
      return;
    }
    std::vector<double> inputs;
    for (const Access& read : nest.reads) {
      const auto found = values_.find(element(read, loops));
      inputs.push_back(found != values_.end() ? found->second : read.fill.value());
    }
    bool first = true, last = true;
    for (std::size_t l = 0; l < loops.size(); ++l) {
      if (nest.loops[l].kind != LoopKind::reduction) continue;
      first = first && loops[l] == 0;
      last = last && loops[l] == nest.loops[l].extent - 1;
    }
    const Element to = element(nest.write, loops);
    const double before = first ? numerics::combiner_identity(nest.combiner) : values_.at(to);
    double after = numerics::combine(nest.combiner, before, numerics::evaluate(nest.expression, inputs));
    const auto result = static_cast<std::size_t>(nest.write.slot) - op_.operands.size();
    if (last && result < op_.results.size()) after = numerics::rounded(graph_.tensor(op_.results[result]).format, after);
    values_[to] = after;
  }

  const Graph& graph_;
  const Op& op_;
  std::map<Element, double> values_;
};

class RandomGraph : public ::testing::TestWithParam<int> {};

TEST_P(RandomGraph, EvaluatorAndPointsAgreeWithTheLaw) {
  const auto seed = static_cast<std::uint64_t>(GetParam());
  const Graph graph = testing::random_graph(seed);
  const auto status = verify(graph);
  ASSERT_TRUE(status.ok()) << format_failure(status.failure());
  const auto inputs = testing::random_inputs(graph, seed);

  // The law, operator by operator.
  std::vector<numerics::Tensor> values(graph.tensors.size());
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    if (graph.tensors[i].constant) values[i] = graph.tensors[i].constant->make();
  }
  values[graph.inputs[0].index()] = inputs[0];
  for (const Op& op : graph.ops) {
    std::vector<numerics::Tensor> operands;
    for (const TensorId id : op.operands) operands.push_back(values[id.index()]);
    const auto slow = SlowOp(graph, op).run(operands);
    const auto results = evaluate_op(graph, op, operands);
    for (std::size_t r = 0; r < results.size(); ++r) {
      const auto strides = numerics::row_major_strides(results[r].shape);
      std::int64_t seen = 0;
      for (const auto& [element, value] : slow) {
        if (element.first != op.result_slot(static_cast<int>(r))) continue;
        std::int64_t flat = 0;
        for (std::size_t d = 0; d < strides.size(); ++d) flat += element.second[d] * strides[d];
        ASSERT_EQ(results[r].at(flat), value) << op.name;
        ++seen;
      }
      ASSERT_EQ(seen, results[r].count());
      values[op.results[r].index()] = results[r];
    }
  }

  const auto outputs = evaluate(graph, inputs);
  for (std::size_t o = 0; o < outputs.size(); ++o) EXPECT_EQ(outputs[o].bytes, values[graph.outputs[o].index()].bytes);

  // Points: from the operator's own operands, and all the way from the input.
  PointEvaluator from_input(graph, [&](TensorId id) { return id == graph.inputs[0] ? &inputs[0] : nullptr; });
  for (const Op& op : graph.ops) {
    PointEvaluator from_operands(graph, [&](TensorId id) -> const numerics::Tensor* {
      return std::find(op.results.begin(), op.results.end(), id) == op.results.end() ? &values[id.index()] : nullptr;
    });
    for (const TensorId id : op.results) {
      const numerics::Tensor& want = values[id.index()];
      std::vector<std::int64_t> index(want.shape.size(), 0);
      for (std::int64_t flat = 0; flat < want.count(); ++flat) {
        for (PointEvaluator* evaluator : {&from_operands, &from_input}) {
          const auto got = evaluator->at(id, index);
          ASSERT_EQ(got.value, want.at(flat)) << op.name << " at " << flat;
          ASSERT_EQ(numerics::rounded(want.format, got.unrounded), got.value);
          ASSERT_GE(got.magnitude, std::fabs(got.unrounded));
          ASSERT_GE(got.reduction, 1);
        }
        for (std::size_t d = index.size(); d-- > 0;) {
          if (++index[d] < want.shape[d]) break;
          index[d] = 0;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraph, ::testing::Range(0, 40));

Graph graph_of(const std::string& text) {
  auto parsed = parse(text, "test");
  EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : format_failure(parsed.failure()));
  EXPECT_TRUE(verify(parsed.value()).ok());
  return std::move(parsed).value();
}

numerics::Tensor numbers(numerics::Format format, numerics::Shape shape, const std::vector<double>& values) {
  numerics::Tensor t = numerics::make_tensor(format, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) t.set(static_cast<std::int64_t>(i), values[i]);
  return t;
}

TEST(PointEvaluator, MagnitudeIsTheSumOfTheTermsAndReductionTheirNumber) {
  const Graph graph = graph_of(R"(switchyard graph 1
input "a" fp32[2,3]
input "b" fp32[3]
intermediate "y" fp32[2]
intermediate "z" fp32[2]
intermediate "w" fp32[2]
inputs "a" "b"
outputs "z" "w"
op "mv" "MatMul"
  operand 0 "a"
  operand 1 "b"
  result 2 "y"
  nest i:2 k:3:reduction
    x0 = slot 0[i, k]
    x1 = slot 1[k]
    slot 2[i] = add mul(x0, x1)
op "relu" "Relu"
  operand 0 "y"
  result 1 "z"
  nest i:2
    x0 = slot 0[i]
    slot 1[i] = none max(x0, 0)
op "total" "Sum"
  operand 0 "y"
  result 1 "w"
  nest i:2 j:2:reduction
    x0 = slot 0[j]
    slot 1[i] = add exp(x0)
)");
  const auto a = numbers(numerics::Format::fp32, {2, 3}, {1, -2, 3, 1, 1, 1}), b = numbers(numerics::Format::fp32, {3}, {4, 5, 1});
  PointEvaluator points(graph, [&](TensorId id) { return id == graph.inputs[0] ? &a : id == graph.inputs[1] ? &b : nullptr; });
  const auto y = points.at(TensorId(2), {0});
  EXPECT_EQ(y.value, -3);
  EXPECT_EQ(y.magnitude, 17);
  EXPECT_EQ(y.reduction, 3);
  const auto z = points.at(TensorId(3), {0});
  EXPECT_EQ(z.value, 0);
  EXPECT_EQ(z.magnitude, 17);  // an error in y may show
  EXPECT_EQ(z.reduction, 4);
  const auto w = points.at(TensorId(4), {1});
  EXPECT_NEAR(w.unrounded, std::exp(-3) + std::exp(10), 1e-9);
  EXPECT_NEAR(w.magnitude, std::exp(-3) * 18 + std::exp(10) * 11, 1e-6);
  EXPECT_EQ(w.reduction, 5);
  // What cannot have won says nothing of how far off the largest may be: masks of -1e30, padding with minus infinity.
  for (const double hidden : {-1e30, -std::numeric_limits<double>::infinity()}) {
    const Graph largest = graph_of(R"(switchyard graph 1
input "x" fp32[4]
intermediate "y" fp32[1]
inputs "x"
outputs "y"
op "max" "ReduceMax"
  operand 0 "x"
  result 1 "y"
  nest i:1 j:4:reduction
    x0 = slot 0[j]
    slot 1[i] = max x0
)");
    const auto x = numbers(numerics::Format::fp32, {4}, {hidden, 2, -3, hidden});
    PointEvaluator of(largest, [&](TensorId id) { return id == largest.inputs[0] ? &x : nullptr; });
    EXPECT_EQ(of.at(TensorId(1), {0}).value, 2);
    EXPECT_EQ(of.at(TensorId(1), {0}).magnitude, 2);
  }
  const auto known = points.at(graph.inputs[0], {0, 1});
  EXPECT_EQ(known.value, -2);
  EXPECT_EQ(known.unrounded, -2);
  EXPECT_EQ(known.reduction, 1);
  EXPECT_THROW(points.at(TensorId(2), {2}), InternalError);
  EXPECT_THROW(points.at(TensorId(2), {0, 0}), InternalError);
}

TEST(PointEvaluator, ARoundingMayGoEitherWayOnlyWhereAnErrorDecidesIt) {
  const Graph graph = graph_of(R"(switchyard graph 1
input "x" fp32[3]
intermediate "between" bf16[3]
intermediate "y" fp32[3]
inputs "x"
outputs "y"
op "relu" "Relu"
  operand 0 "x"
  result 1 "between"
  nest i:3
    x0 = slot 0[i]
    slot 1[i] = none max(x0, 0)
op "round" "Round"
  operand 0 "between"
  result 1 "y"
  nest i:3
    x0 = slot 0[i]
    slot 1[i] = none round(x0)
)");
  const auto x = numbers(numerics::Format::fp32, {3}, {200, 200.5, 3.25});
  const auto may_step = [](const PointEvaluator::Value& v) { return v.magnitude > 1000; };
  PointEvaluator stored(graph, [&](TensorId id) { return id == TensorId(1) ? &x : nullptr; });
  EXPECT_FALSE(may_step(stored.at(TensorId(2), {0})));
  EXPECT_TRUE(may_step(stored.at(TensorId(2), {1})));
  EXPECT_FALSE(may_step(stored.at(TensorId(2), {2})));
  PointEvaluator passed(graph, [&](TensorId id) { return id == TensorId(0) ? &x : nullptr; });
  EXPECT_TRUE(may_step(passed.at(TensorId(2), {0})));  // a bf16 between may have been 199.5
  EXPECT_TRUE(may_step(passed.at(TensorId(2), {1})));
  EXPECT_FALSE(may_step(passed.at(TensorId(2), {2})));
}

TEST(PointEvaluator, WhatIsNotKnownIsAnError) {
  const Graph graph = testing::random_graph(1);
  PointEvaluator points(graph, [](TensorId) { return nullptr; });
  const TensorId conv = graph.ops[0].results[0];
  EXPECT_THROW(points.at(conv, std::vector<std::int64_t>(4, 0)), InternalError);
  Graph shapes = graph;
  for (Tensor& t : shapes.tensors) t.constant = nullptr;
  const auto inputs = testing::random_inputs(shapes, 1);
  PointEvaluator without_constants(shapes, [&](TensorId id) { return id == shapes.inputs[0] ? &inputs[0] : nullptr; });
  EXPECT_THROW(without_constants.at(conv, std::vector<std::int64_t>(4, 0)), InternalError);
  EXPECT_THROW((void)evaluate(shapes, inputs), InternalError);
}

TEST(Evaluate, EmptyLoopsGiveEmptyResultsAndIdentities) {
  const Graph graph = graph_of(R"(switchyard graph 1
input "a" fp32[2,0]
intermediate "sum" fp32[2]
intermediate "copy" fp32[2,0]
inputs "a"
outputs "sum" "copy"
op "sum" "ReduceSum"
  operand 0 "a"
  result 1 "sum"
  nest i:2 k:0:reduction
    x0 = slot 0[i, k]
    slot 1[i] = add x0
op "copy" "Identity"
  operand 0 "a"
  result 1 "copy"
  nest i:2 k:0
    x0 = slot 0[i, k]
    slot 1[i, k] = none x0
)");
  const auto a = numerics::make_tensor(numerics::Format::fp32, {2, 0});
  const auto outputs = evaluate(graph, {a});
  EXPECT_EQ(outputs[0].at(1), 0);
  EXPECT_EQ(outputs[1].count(), 0);
  PointEvaluator points(graph, [&](TensorId id) { return id == graph.inputs[0] ? &a : nullptr; });
  EXPECT_EQ(points.at(TensorId(1), {1}).value, 0);
}

TEST(Evaluate, ReadingOutsideWithoutFillIsOurBug) {
  Graph graph = testing::random_graph(3);
  graph.ops[0].nests[0].reads[0].fill.reset();
  graph.ops[0].nests[0].reads[0].index[2].constant = -1000;
  EXPECT_FALSE(verify(graph).ok());
  const auto inputs = testing::random_inputs(graph, 3);
  EXPECT_THROW((void)evaluate(graph, inputs), InternalError);
}

TEST(Counts, MacsAndParameters) {
  Graph graph = testing::random_graph(2);
  std::int64_t macs = 0;
  for (const Op& op : graph.ops) {
    if (op.kind == "Conv" || op.kind == "MatMul") macs += op.nests[0].points();
  }
  EXPECT_EQ(mac_count(graph), macs);
  const std::int64_t w = numerics::element_count(graph.tensors[1].shape), m = numerics::element_count(graph.tensors[3].shape);
  EXPECT_EQ(parameter_count(graph), w + m);  // the bias is declared untrained
  graph.tensors[3].constant = graph.tensors[1].constant;
  EXPECT_EQ(parameter_count(graph), w);
  graph.tensors[1].format = numerics::Format::int64;
  EXPECT_EQ(parameter_count(graph), m);
}

}  // namespace
}  // namespace switchyard::graph
