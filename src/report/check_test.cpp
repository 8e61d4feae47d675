#include "report/check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace switchyard::report {
namespace {

using numerics::Format;
using numerics::Tensor;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Tensor tensor_of(const std::vector<double>& values, Format format = Format::fp32) {
  Tensor t = numerics::make_tensor(format, {static_cast<std::int64_t>(values.size())});
  for (std::size_t i = 0; i < values.size(); ++i) t.set(static_cast<std::int64_t>(i), values[i]);
  return t;
}

CheckReport compare(const std::vector<double>& got, const std::vector<double>& expected, Tolerance tolerance) {
  return compare_outputs({tensor_of(got)}, {tensor_of(expected)}, {tolerance}, {"y"}, {"last"});
}

TEST(Check, ComparesElementByElement) {
  struct Case {
    std::vector<double> got, expected;
    bool passed;
    double max_abs;
  };
  const Case cases[] = {
      {{1, 2}, {1, 2}, true, 0},
      {{1, 2.5}, {1, 2}, false, 0.5},
      {{1, 2.125}, {1, 2}, true, 0.125},  // 0.0625 + 0.0625 * 2 allows 0.1875
      {{kNan, 1}, {kNan, 1}, true, 0},    // equal patterns
      {{kInf, -kInf}, {kInf, -kInf}, true, 0},
      {{kNan}, {1}, false, kInf},
      {{1}, {kNan}, false, kInf},
      {{kInf}, {-kInf}, false, kInf},
      {{1}, {kInf}, false, kInf},  // an infinite expectation allows nothing else
      {{kInf}, {3e38}, false, kInf},
  };
  for (const Case& c : cases) {
    const CheckReport report = compare(c.got, c.expected, {0.0625, 0.0625});
    EXPECT_EQ(report.passed, c.passed) << c.got[0] << " " << c.expected[0];
    EXPECT_EQ(report.max_abs_error, c.max_abs);
    EXPECT_EQ(report.first.has_value(), !c.passed);
    EXPECT_EQ(report.points, static_cast<std::int64_t>(c.got.size()));
  }
}

TEST(Check, NamesTheFirstDivergence) {
  const CheckReport report = compare({1, 9, 9}, {1, 2, 3}, {0, 0});
  ASSERT_TRUE(report.first);
  EXPECT_EQ(report.first->op, "last");
  EXPECT_EQ(report.first->tensor, "y");
  EXPECT_EQ(report.first->index, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(report.first->got, 9);
  EXPECT_EQ(report.first->expected, 2);
  EXPECT_EQ(report.max_abs_error, 7);
  EXPECT_EQ(report.max_rel_error, 3.5);
}

TEST(Check, SaysHowNearTheLimitTheWorstPointCame) {
  EXPECT_DOUBLE_EQ(compare({1, 2.125}, {1, 2}, {0.0625, 0.0625}).worst_share, 0.125 / 0.1875);
  EXPECT_EQ(compare({1, 2}, {1, 2}, {0, 0}).worst_share, 0);
  const auto mask = compare({-1.0625e30, 2.5}, {-1e30, 2}, {0, 0.125});  // what fills a mask rounds by more than all else is worth
  EXPECT_EQ(mask.max_abs_error_of, static_cast<double>(-1e30F));
  EXPECT_EQ(compare({1, 2.5}, {1, 2}, {0, 0}).worst_share, kInf);
  EXPECT_EQ(compare({kNan, 1}, {kNan, 1}, {0, 0}).worst_share, 0);
  EXPECT_EQ(compare({kNan}, {1}, {1, 1}).worst_share, kInf);
}

TEST(Check, SummarisesErrors) {
  ErrorSummary none;
  EXPECT_EQ(none.cosine(), 1);
  ErrorSummary opposite;
  opposite.add(1, -1);
  opposite.add(-2, 2);
  EXPECT_DOUBLE_EQ(opposite.cosine(), -1);
  ErrorSummary one_zero;
  one_zero.add(0, 1);
  EXPECT_EQ(one_zero.cosine(), 0);
  ErrorSummary zero_expected;
  zero_expected.add(0.5, 0);
  EXPECT_EQ(zero_expected.max_abs(), 0.5);
  EXPECT_EQ(zero_expected.max_rel(), 0);
}

TEST(Check, DerivesTolerancesFromFormatDepthAndMagnitude) {
  const Tolerance shallow = default_tolerance(Format::fp32, Format::fp32, 1, 1);
  EXPECT_EQ(shallow.rtol, 1e-3);
  EXPECT_EQ(shallow.atol, 1e-5);
  const Tolerance bf16 = default_tolerance(Format::bf16, Format::fp32, 3, 10);
  EXPECT_DOUBLE_EQ(bf16.atol, 6 * std::ldexp(1.0, -8) * 2 * 10);
  EXPECT_DOUBLE_EQ(bf16.rtol, std::ldexp(1.0, -7));
  const Tolerance fp16 = default_tolerance(Format::fp16, Format::fp32, 3, 10);
  EXPECT_LT(fp16.atol, bf16.atol);
  // The narrower of the two formats decides.
  EXPECT_EQ(default_tolerance(Format::fp32, Format::fp16, 3, 10).atol, fp16.atol);
  EXPECT_EQ(default_tolerance(Format::bf16, Format::int64, 30, 1000).atol, 0);
}

TEST(Check, SamplesCornersAndTheSameOthersEachTime) {
  const numerics::Shape shape{64, 1, 32, 16};
  const auto points = sample_points(shape, 256, 5);
  EXPECT_TRUE(std::is_sorted(points.begin(), points.end()));
  EXPECT_EQ(std::adjacent_find(points.begin(), points.end()), points.end());
  EXPECT_GT(points.size(), 250u);
  EXPECT_LE(points.size(), 256u);
  for (const std::int64_t a : {0, 63}) {
    for (const std::int64_t b : {0, 31}) {
      for (const std::int64_t c : {0, 15}) EXPECT_TRUE(std::binary_search(points.begin(), points.end(), (a * 32 + b) * 16 + c));
    }
  }
  EXPECT_EQ(points, sample_points(shape, 256, 5));
  EXPECT_NE(points, sample_points(shape, 256, 6));
  EXPECT_EQ(sample_points({2, 3}, 256, 1).size(), 6u);
  EXPECT_EQ(sample_points({}, 256, 1).size(), 1u);
  EXPECT_EQ(sample_points({0, 4}, 256, 1).size(), 0u);
  // More dimensions than corners fit: the first and the last element are there.
  const auto many = sample_points(numerics::Shape(12, 2), 256, 1);
  EXPECT_EQ(many.front(), 0);
  EXPECT_EQ(many.back(), 4095);
}

/// y = x * w, z = max(y, 0): two operators in one context or in two.
struct TwoOperators {
  compiler::Compiled compiled;
  std::vector<Tensor> buffers;

  explicit TwoOperators(bool fused) {
    using numerics::affine_variable;
    graph::Graph& g = compiled.graph;
    const std::int64_t m = 20, n = 30, k = 40;
    const auto add = [&](const char* name, numerics::Shape shape) {
      g.tensors.push_back({name, Format::fp32, std::move(shape), graph::Role::intermediate, nullptr, true});
      return graph::TensorId(g.tensors.size() - 1);
    };
    const auto x = add("x", {m, k}), w = add("w", {k, n}), y = add("y", {m, n}), z = add("z", {m, n});
    g.tensor(x).role = graph::Role::input;
    g.tensor(w).role = graph::Role::input;
    graph::Op product{"product", "MatMul", {}, {}, {x, w}, {y}, {}, {}};
    product.nests.push_back(
        {{{"m", m, numerics::LoopKind::parallel}, {"n", n, numerics::LoopKind::parallel}, {"k", k, numerics::LoopKind::reduction}},
         {{0, {affine_variable(0), affine_variable(2)}, {}}, {1, {affine_variable(2), affine_variable(1)}, {}}},
         numerics::apply(numerics::ScalarOp::mul, numerics::expr_input(0), numerics::expr_input(1)),
         numerics::Combiner::add,
         {2, {affine_variable(0), affine_variable(1)}, {}}});
    graph::Op relu{"relu", "Relu", {}, {}, {y}, {z}, {}, {}};
    relu.nests.push_back({{{"m", m, numerics::LoopKind::parallel}, {"n", n, numerics::LoopKind::parallel}},
                          {{0, {affine_variable(0), affine_variable(1)}, {}}},
                          numerics::apply(numerics::ScalarOp::max, numerics::expr_input(0), numerics::expr_constant(0)),
                          numerics::Combiner::none,
                          {1, {affine_variable(0), affine_variable(1)}, {}}});
    g.ops = {product, relu};
    g.inputs = {x, w};
    g.outputs = {z};
    compiled.program.labels.precision = "bf16";

    const Tensor xv = numerics::seeded_uniform(1, Format::bf16, {m, k}, 1), wv = numerics::seeded_uniform(2, Format::bf16, {k, n}, 1);
    Tensor yv = numerics::make_tensor(Format::bf16, {m, n}), zv = yv;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (std::int64_t p = 0; p < k; ++p) sum += static_cast<float>(xv.at(i * k + p) * wv.at(p * n + j));
        yv.set(i * n + j, sum);
        zv.set(i * n + j, std::max(yv.at(i * n + j), 0.0));
      }
    }
    buffers = {xv, wv, yv, zv};
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      program::Buffer& b = compiled.program.buffers.emplace_back();
      b.name = "buffer" + std::to_string(i);
      b.memory = chip::MemoryId(0);
      b.shape = buffers[i].shape;
    }
    auto chip = std::make_shared<chip::Chip>();
    chip->components.emplace_back().name = "tile";
    chip->memories.emplace_back().in = chip::ComponentId(0);
    compiled.program.chip = chip;
    const auto buffer = [](std::size_t i) { return program::BufferId(i); };
    compiled.program.contexts.resize(fused ? 1 : 2);
    for (std::size_t c = 0; c < compiled.program.contexts.size(); ++c) compiled.program.contexts[c].name = "context" + std::to_string(c);
    if (fused) {
      compiled.contexts = {{{graph::OpId(0), graph::OpId(1)}, {{x, buffer(0)}, {w, buffer(1)}}, {{z, buffer(3)}}}};
    } else {
      compiled.contexts = {{{graph::OpId(0)}, {{x, buffer(0)}, {w, buffer(1)}}, {{y, buffer(2)}}},
                           {{graph::OpId(1)}, {{y, buffer(2)}}, {{z, buffer(3)}}}};
    }
  }

  CheckReport check(bool full, int threads = 1) const {
    OperatorChecker checker(compiled, {full, 7, threads});
    for (std::size_t c = 0; c < compiled.contexts.size(); ++c) {
      checker.check_context(program::ContextId(c), [&](program::BufferId b) { return buffers[b.index()]; });
    }
    return checker.result();
  }
};

TEST(OperatorCheck, PassesWhatIsRight) {
  for (const bool fused : {false, true}) {
    const TwoOperators two(fused);
    const CheckReport sampled = two.check(false);
    EXPECT_TRUE(sampled.passed) << sampled.first->op << " " << sampled.first->got << " " << sampled.first->expected;
    EXPECT_EQ(sampled.against, "reference");
    EXPECT_EQ(sampled.outputs, fused ? 1 : 2);
    EXPECT_GT(sampled.cosine, 0.9999);
    const CheckReport full = two.check(true, 4);
    EXPECT_TRUE(full.passed);
    EXPECT_EQ(full.points, fused ? 600 : 1200);
  }
}

TEST(OperatorCheck, DoesNotDependOnThreads) {
  const TwoOperators two(false);
  const CheckReport one = two.check(true, 1), many = two.check(true, 5);
  EXPECT_EQ(one.max_abs_error, many.max_abs_error);
  EXPECT_EQ(one.cosine, many.cosine);
}

TEST(OperatorCheck, NamesTheOperatorWhoseValuesAreWrong) {
  TwoOperators two(false);
  two.buffers[2].set(31, two.buffers[2].at(31) * 1.02 + 0.25);  // an element of y, and z follows it rightly
  two.buffers[3].set(31, std::max(two.buffers[2].at(31), 0.0));
  const CheckReport report = two.check(true);
  EXPECT_FALSE(report.passed);
  ASSERT_TRUE(report.first);
  EXPECT_EQ(report.first->op, "product");
  EXPECT_EQ(report.first->tensor, "y");
  EXPECT_EQ(report.first->index, (std::vector<std::int64_t>{1, 1}));
  EXPECT_EQ(report.first->context, "context0");
}

TEST(OperatorCheck, LooksThroughFusedOperators) {
  TwoOperators two(true);
  two.buffers[3].set(0, 99);
  const CheckReport report = two.check(false);  // corners are always among the samples
  EXPECT_FALSE(report.passed);
  ASSERT_TRUE(report.first);
  EXPECT_EQ(report.first->op, "relu");
  EXPECT_EQ(report.first->fused, (std::vector<std::string>{"product"}));
}

TEST(OperatorCheck, SeesNanAndInfinity) {
  for (const double wrong : {kNan, kInf}) {
    TwoOperators two(false);
    two.buffers[3].set(599, wrong);
    EXPECT_FALSE(two.check(false).passed);
  }
}

/// Rows [begin, begin + count) of a buffer on tile 0, and those `step` further on tile 1.
program::Spread rows_on_two_tiles(const program::Buffer& buffer, std::int64_t count, std::int64_t step) {
  program::Spread spread;
  spread.shape = {2};
  spread.components = {0, 1};
  spread.start = {numerics::affine_variable(0, step), numerics::affine_constant(0)};
  spread.extent = {count, buffer.shape[1]};
  return spread;
}

TEST(OperatorCheck, NamesCopiesThatDiffer) {
  TwoOperators two(false);
  program::Buffer& y = two.compiled.program.buffers[2];
  y.spread = rows_on_two_tiles(y, 12, 8);
  for (const bool differ : {false, true}) {
    OperatorChecker checker(two.compiled, {false, 7, 1});
    const simulation::BufferReader read([&](program::BufferId b) { return two.buffers[b.index()]; },
                                        [&](program::BufferId b) -> std::optional<simulation::CopiesDiffer> {
                                          EXPECT_EQ(b.index(), 2u);
                                          if (!differ) return std::nullopt;
                                          return simulation::CopiesDiffer{b, {9, 3}, {0, 1}, {2.5, kNan}};
                                        });
    for (std::size_t c = 0; c < 2; ++c) checker.check_context(program::ContextId(c), read);
    const CheckReport& report = checker.result();
    EXPECT_EQ(report.passed, !differ);
    if (!differ) continue;
    ASSERT_TRUE(report.first);
    EXPECT_EQ(report.first->copies, "buffer buffer2 holds another copy of [9, 3] on tile 1 than on tile 0");
    EXPECT_EQ(report.first->tensor, "y");
    EXPECT_EQ(report.first->context, "context0");
  }
}

TEST(OperatorCheck, KnowsATensorInTwoBuffers) {
  // y lies off-chip, and in part (rows 4 to 9 are nowhere) on two tiles.
  TwoOperators two(false);
  two.compiled.program.buffers.push_back(two.compiled.program.buffers[2]);
  two.compiled.program.buffers[4].name = "buffer4";
  program::Buffer& tiles = two.compiled.program.buffers[4];
  tiles.spread = rows_on_two_tiles(tiles, 4, 10);
  two.buffers.push_back(two.buffers[2]);
  for (std::int64_t i = 4 * 30; i < 10 * 30; ++i) two.buffers[4].set(i, kNan);
  for (std::int64_t i = 14 * 30; i < 20 * 30; ++i) two.buffers[4].set(i, kNan);
  two.compiled.contexts[0].writes.insert(two.compiled.contexts[0].writes.begin(), {graph::TensorId(2), program::BufferId(4)});
  EXPECT_TRUE(two.check(true).passed);
  EXPECT_EQ(two.check(true).points, 600 + 8 * 30 + 600);
  TwoOperators wrong = two;
  wrong.buffers[4].set(10 * 30, 99);
  EXPECT_FALSE(wrong.check(true).passed);
  wrong = two;
  wrong.buffers[2].set(5 * 30, 99);
  EXPECT_FALSE(wrong.check(true).passed);
}

TEST(OperatorCheck, HoldsWhatIsOnlyMovedToItsSource) {
  TwoOperators two(false);
  two.compiled.program.buffers.push_back(two.compiled.program.buffers[2]);
  two.compiled.program.buffers[4].name = "buffer4";
  two.buffers.push_back(two.buffers[2]);
  const graph::TensorId y(2);
  two.compiled.contexts.insert(two.compiled.contexts.begin() + 1, {{}, {{y, program::BufferId(2)}}, {{y, program::BufferId(4)}}});
  two.compiled.program.contexts.insert(two.compiled.program.contexts.begin() + 1, program::Context{});
  two.compiled.program.contexts[1].name = "move";
  two.compiled.contexts[2].reads = {{y, program::BufferId(4)}};
  EXPECT_TRUE(two.check(false).passed);
  two.buffers[4].set(123, two.buffers[4].at(123) + 1);
  const CheckReport report = two.check(false);
  EXPECT_FALSE(report.passed);
  ASSERT_TRUE(report.first);
  EXPECT_EQ(report.first->copies, "buffer buffer4 does not hold what was moved to it from buffer buffer2");
  EXPECT_EQ(report.first->index, (std::vector<std::int64_t>{4, 3}));
  EXPECT_EQ(report.first->context, "move");
}

TEST(Check, MeasuresDepth) {
  EXPECT_EQ(graph_depth(TwoOperators(false).compiled.graph), 2);
  EXPECT_EQ(graph_depth({}), 0);
}

}  // namespace
}  // namespace switchyard::report
