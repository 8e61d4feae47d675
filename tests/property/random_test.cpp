// Laws of operators that draw random numbers: the same bits under every mapping and on any number of threads, the distributions that the
// standard names, and that a generator with a bias would not pass for one without.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/onnx/reader.h"
#include "model/onnx/test_model.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "report/distribution.h"
#include "simulation/execute.h"

namespace switchyard {
namespace {

using model::onnx::float_attribute;
using model::onnx::int_attribute;
using model::onnx::ints_attribute;
using model::onnx::node;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;
using numerics::Tensor;

/// One node with inputs x0, x1 ... of these shapes, and constants behind them.
struct Case {
  const char* type;
  std::vector<Shape> inputs;
  std::vector<model::onnx::Attribute> attributes;
  std::vector<model::onnx::TensorData> constants{};
  std::size_t outputs = 1;
};

graph::Graph imported(const Case& c, std::uint64_t seed = 0, std::uint64_t draw = 0, const char* name = "node") {
  model::onnx::Node n = node(c.type, {}, {}, c.attributes, name);
  std::vector<model::onnx::ValueInfo> inputs;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    inputs.push_back(model::onnx::value_info(fmt::format("x{}", i), c.inputs[i]));
    n.inputs.push_back(inputs.back().name);
  }
  for (const auto& t : c.constants) n.inputs.push_back(t.name);
  std::vector<std::string> outputs;
  for (std::size_t k = 0; k < c.outputs; ++k) outputs.push_back(fmt::format("y{}", k));
  n.outputs = outputs;
  model::LoadOptions options;
  options.seed = seed;
  options.draw = draw;
  auto g = model::onnx::build_graph(model::onnx::test_model(22, inputs, c.constants, {n}, outputs), options, "random", {});
  EXPECT_TRUE(g.ok()) << c.type << "\n" << (g.ok() ? "" : format_failure(g.failure()));
  return std::move(g).value();
}

struct Mapped {
  const char* chip;
  int effort;
  bool apart;
  int threads;
};
constexpr Mapped kFirst{"tx81", 0, false, 1};
constexpr Mapped kMapped[] = {kFirst, {"tx81", 0, false, 4}, {"tx81", 1, true, 1}, {"rpu-2x2", 0, false, 3}, {"h100-sxm", 0, false, 2}};

std::vector<Tensor> executed(const graph::Graph& g, const std::vector<Tensor>& inputs, const Mapped& m = kFirst,
                             std::optional<Format> precision = {}) {
  const std::string where = fmt::format("{} on {}", g.ops.front().name, m.chip);
  compiler::CompileOptions options;
  options.precision = precision.value_or(graph::prevailing_format(g));
  options.keep_formats = !precision;
  options.effort = m.effort;
  if (m.apart) options.disabled = {true, true, true, true, true};
  const auto compiled = compiler::compile(g, library_chip(m.chip), options);
  EXPECT_TRUE(compiled.ok()) << where << "\n" << (compiled.ok() ? "" : format_failure(compiled.failure()));
  EXPECT_TRUE(program::verify(compiled.value().program).ok()) << where;
  simulation::ExecuteOptions how;
  how.threads = m.threads;
  auto run = simulation::execute(compiled.value().program, inputs, how);
  EXPECT_TRUE(run.ok()) << where;
  return std::move(run).value().outputs;
}

bool same(const Tensor& a, const Tensor& b) {
  if (a.shape != b.shape) return false;
  for (std::int64_t i = 0; i < a.count(); ++i)
    if (a.at(i) != b.at(i)) return false;
  return true;
}

std::vector<double> numbers(const Tensor& t) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < t.count(); ++i) out.push_back(t.at(i));
  return out;
}

Tensor probabilities(const Shape& shape) {
  Tensor p = numerics::seeded_uniform(9, Format::fp32, shape, 0.5, 0.5);
  p.set(0, 0);
  p.set(1, 1);
  return p;
}

const Case kUniform{"RandomUniform", {}, {ints_attribute("shape", {64, 80}), float_attribute("low", -2), float_attribute("high", 3)}};
const Case kNormal{"RandomNormal", {}, {ints_attribute("shape", {3, 40, 41}), float_attribute("mean", 1), float_attribute("scale", 2)}};
const Case kUniformLike{"RandomUniformLike", {{33, 7}}, {}};
const Case kNormalLike{"RandomNormalLike", {{130}}, {float_attribute("seed", 4)}};
const Case kBernoulli{"Bernoulli", {{16, 5}}, {}};
const Case kMultinomial{"Multinomial", {{4, 6}}, {int_attribute("sample_size", 2000)}};
Case dropout(float ratio) {
  return {"Dropout",
          {{12, 30}},
          {},
          {model::onnx::floats("ratio", {}, {ratio}), model::onnx::tensor_data<std::uint8_t>("training", model::onnx::kBool, {}, {1})},
          2};
}

std::vector<Tensor> inputs_of(const Case& c) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : c.inputs)
    inputs.push_back(std::string(c.type) == "Bernoulli" ? probabilities(shape) : numerics::seeded_uniform(5, Format::fp32, shape, 2));
  return inputs;
}

TEST(RandomOperators, GiveTheSameBitsUnderEveryMapping) {
  for (const Case& c : {kUniform, kNormal, kUniformLike, kNormalLike, kBernoulli, kMultinomial, dropout(0.3F)}) {
    const graph::Graph g = imported(c);
    ASSERT_TRUE(graph::verify(g).ok()) << c.type;
    EXPECT_TRUE(graph::is_random(g)) << c.type;
    const std::vector<Tensor> inputs = inputs_of(c), first = executed(g, inputs);
    for (const Mapped& m : kMapped) {
      const std::vector<Tensor> got = executed(g, inputs, m);
      ASSERT_EQ(got.size(), first.size());
      for (std::size_t k = 0; k < got.size(); ++k) EXPECT_TRUE(same(got[k], first[k])) << c.type << " on " << m.chip << ", output " << k;
    }
    // In fp32 on the chip, in double by the reference: what is a comparison of exact numbers is the same.
    const std::vector<Tensor> want = graph::evaluate(g, inputs);
    for (std::size_t k = 0; k < want.size(); ++k)
      for (std::int64_t i = 0; i < want[k].count(); ++i)
        ASSERT_NEAR(first[k].at(i), want[k].at(i), std::string(c.type) == "Multinomial" ? 1 : 1e-5) << c.type << ", element " << i;
  }
}

TEST(RandomOperators, SeedsSayWhatIsDrawn) {
  const std::vector<Tensor> none;
  Case seeded = kUniform;
  seeded.attributes.push_back(float_attribute("seed", 7));
  Case other = kUniform;
  other.attributes.push_back(float_attribute("seed", 8));
  const auto drawn = [&](const Case& c, std::uint64_t seed, std::uint64_t draw, const char* name = "node") {
    return executed(imported(c, seed, draw, name), none)[0];
  };
  EXPECT_TRUE(same(drawn(kUniform, 1, 0), drawn(kUniform, 1, 0)));
  EXPECT_FALSE(same(drawn(kUniform, 1, 0), drawn(kUniform, 2, 0)));
  EXPECT_FALSE(same(drawn(kUniform, 1, 0), drawn(kUniform, 1, 1)));
  EXPECT_FALSE(same(drawn(kUniform, 1, 0), drawn(kUniform, 1, 0, "another")));
  EXPECT_TRUE(same(drawn(seeded, 1, 0), drawn(seeded, 2, 0)));  // the node's seed, whatever the run's
  EXPECT_FALSE(same(drawn(seeded, 1, 0), drawn(seeded, 1, 1)));
  EXPECT_FALSE(same(drawn(seeded, 1, 0), drawn(other, 1, 0)));
}

report::Verdict judged(
    const Case& c, const std::function<void(graph::Graph&)>& change = [](graph::Graph&) {}) {
  const std::string type = c.type;
  const std::vector<Tensor> inputs = inputs_of(c);
  const auto drawn = [&](std::uint64_t draw) {
    graph::Graph g = imported(c, 3, draw);
    change(g);
    return executed(g, inputs);
  };
  if (type == "RandomUniform") {
    const Tensor y = drawn(0)[0];
    for (std::int64_t i = 0; i < y.count(); ++i) EXPECT_TRUE(y.at(i) >= -2 && y.at(i) < 3);
    return report::judge_continuous(numbers(y), [](double x) { return report::uniform_distribution(x, -2, 3); });
  }
  if (type == "RandomNormal")
    return report::judge_continuous(numbers(drawn(0)[0]), [](double x) { return report::normal_distribution(x, 1, 2); });
  if (type == "Multinomial") {
    const Tensor y = drawn(0)[0];
    report::Verdict all{true, {}};
    for (std::int64_t row = 0; row < 4; ++row) {
      std::vector<double> p;
      double sum = 0;
      for (std::int64_t k = 0; k < 6; ++k) sum += std::exp(inputs[0].at(row * 6 + k));
      for (std::int64_t k = 0; k < 6; ++k) p.push_back(std::exp(inputs[0].at(row * 6 + k)) / sum);
      std::vector<std::int64_t> classes;
      for (std::int64_t i = 0; i < 2000; ++i) classes.push_back(static_cast<std::int64_t>(y.at(row * 2000 + i)));
      const report::Verdict one = report::judge_classes(classes, p);
      all = {all.passed && one.passed, all.text + one.text + "; "};
    }
    return all;
  }
  std::vector<Tensor> y, masks;
  for (std::uint64_t d = 0; d < 64; ++d) {
    std::vector<Tensor> out = drawn(d);
    y.push_back(std::move(out[0]));
    if (out.size() > 1) masks.push_back(std::move(out[1]));
  }
  return type == "Dropout" ? report::judge_dropout(inputs[0], 0.3F, 1e-5, y, masks) : report::judge_bernoulli(inputs[0], y);
}

TEST(RandomOperators, HaveTheDistributionsOfTheStandard) {
  for (const Case& c : {kUniform, kNormal, kBernoulli, kMultinomial, dropout(0.3F)}) {
    const report::Verdict verdict = judged(c);
    EXPECT_TRUE(verdict.passed) << c.type << ": " << verdict.text;
  }
}

TEST(RandomOperators, DrawFromManyClassesInSixteenBits) {
  constexpr std::int64_t kClasses = 600, kDraws = 6000;
  const Case c{"Multinomial", {{1, kClasses}}, {int_attribute("sample_size", kDraws)}};
  const Tensor logits = numerics::seeded_uniform(5, Format::fp32, {1, kClasses}, 0.5);
  std::vector<double> p;
  double sum = 0;
  for (std::int64_t k = 0; k < kClasses; ++k) sum += std::exp(logits.at(k));
  for (std::int64_t k = 0; k < kClasses; ++k) p.push_back(std::exp(logits.at(k)) / sum);
  for (const Format precision : {Format::fp32, Format::fp16, Format::bf16}) {
    const Tensor y = executed(imported(c), {logits}, {precision == Format::fp32 ? "h100-sxm" : "tx81", 0, false, 2}, precision)[0];
    std::vector<std::int64_t> classes;
    for (std::int64_t i = 0; i < kDraws; ++i) classes.push_back(static_cast<std::int64_t>(y.at(i)));
    const report::Verdict verdict = report::judge_classes(classes, p);
    EXPECT_TRUE(verdict.passed) << numerics::format_name(precision) << ": " << verdict.text;
  }
}

TEST(RandomOperators, UniformOverAllOfTheNumbersStaysFinite) {
  const Case c{"RandomUniform", {}, {ints_attribute("shape", {40, 50}), float_attribute("low", -3e38F), float_attribute("high", 3e38F)}};
  const Tensor y = executed(imported(c), {})[0];
  const report::Verdict verdict =
      report::judge_continuous(numbers(y), [](double x) { return report::uniform_distribution(x, -3e38, 3e38); });
  EXPECT_TRUE(verdict.passed) << verdict.text;
}

/// Every random number u of the graph becomes change(u).
void replace(graph::Graph& g, const std::function<Expression(const Expression&)>& change) {
  for (graph::Op& op : g.ops) {
    for (numerics::Nest& nest : op.nests) {
      std::vector<Expression> built;  // of each node, anew
      for (const Expression::Node& n : nest.expression.nodes) {
        const auto at = [&](int k) { return built[static_cast<std::size_t>(k)]; };
        Expression e = n.op == ScalarOp::input      ? numerics::expr_input(n.a)
                       : n.op == ScalarOp::constant ? numerics::expr_constant(n.constant)
                       : n.c >= 0                   ? numerics::apply(n.op, at(n.a), at(n.b), at(n.c))
                       : n.b >= 0                   ? numerics::apply(n.op, at(n.a), at(n.b))
                                                    : numerics::apply(n.op, at(n.a));
        built.push_back(n.op == ScalarOp::random ? change(e) : e);
      }
      nest.expression = built.back();
    }
  }
}

TEST(RandomOperators, ABiasedGeneratorIsCaught) {
  const auto constant = [](double v) { return numerics::expr_constant(v); };
  const auto apply = [](ScalarOp op, const Expression& a, const Expression& b) { return numerics::apply(op, a, b); };
  struct Mutant {
    const char* name;
    std::function<Expression(const Expression&)> change;
  };
  const Mutant mutants[] = {
      {"a little too small", [&](const Expression& u) { return apply(ScalarOp::mul, u, constant(0.8)); }},
      {"drawn towards the middle",
       [&](const Expression& u) { return apply(ScalarOp::add, apply(ScalarOp::mul, u, constant(0.8)), constant(0.1)); }},
      {"the place in the row is forgotten",
       [&](const Expression& u) {
         const double key = u.nodes[static_cast<std::size_t>(u.nodes.back().c)].constant;
         const int row = u.nodes[static_cast<std::size_t>(u.nodes.back().a)].a;
         return numerics::apply(ScalarOp::random, numerics::expr_input(row), constant(0), constant(key));
       }},
  };
  for (const Case& c : {kUniform, kNormal, kBernoulli, kMultinomial, dropout(0.3F)}) {
    for (const Mutant& m : mutants) {
      if (std::string(c.type) == "Multinomial" && m.name == mutants[1].name)
        continue;  // the outer classes lose what the others win, little
      const report::Verdict verdict = judged(c, [&](graph::Graph& g) { replace(g, m.change); });
      EXPECT_FALSE(verdict.passed) << c.type << ", " << m.name << ": " << verdict.text;
    }
  }
}

}  // namespace
}  // namespace switchyard
