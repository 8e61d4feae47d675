// Sums made in parts by different components: the values are the reference's, the bounds still hold, and the compiler finds where it pays.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "compiler/compiler.h"
#include "compiler/mapping_file.h"
#include "graph/evaluate.h"
#include "model/emit.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

using numerics::Format;

/// A product or a convolution of small integers with a bias and a ReLU: in fp32 its sums are exact in any order.
struct Sums {
  graph::Graph g;
  std::vector<numerics::Tensor> inputs;
  std::int64_t length = 0;

  explicit Sums(std::uint64_t seed) : random(seed) {
    g.name = "sums";
    graph::TensorId y;
    if (pick(0, 1) == 0) {
      const std::int64_t m = pick(1, 40), n = pick(1, 40);
      length = 64 * pick(2, 12);
      y = model::emit_matmul(g, {"product", "MatMul", "product_y", {}}, input({m, length}), input({length, n}));
    } else {
      const std::int64_t side = pick(2, 6), out = 4 * pick(1, 6);
      length = 64 * pick(2, 4);
      y = model::emit_convolution(g, {"product", "Conv", "product_y", {}}, input({1, length, side, side}), weights({out, length, 3, 3}),
                                  {{3, 3}, {1, 1}, {1, 1}, {1, 1}, {side, side}}, 1);
      y = model::emit_bias(g, {"bias", "Add", "bias_y", {}}, y, weights({out}));
    }
    const model::MapInput in = model::MapInput::of(y);
    y = model::emit_map(g, {"relu", "Relu", "relu_y", {}}, std::span(&in, 1),
                        numerics::apply(numerics::ScalarOp::max, numerics::expr_input(0), numerics::expr_constant(0)), Format::fp32,
                        numerics::Shape(g.tensor(y).shape));
    g.outputs = {y};
  }
  std::int64_t pick(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); }
  numerics::Tensor integers(const numerics::Shape& shape) {
    numerics::Tensor t = numerics::make_tensor(Format::fp32, shape);
    for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>(pick(-3, 3)));
    return t;
  }
  graph::TensorId input(const numerics::Shape& shape) {
    inputs.push_back(integers(shape));
    return model::add_input(g, fmt::format("in{}", inputs.size()), Format::fp32, shape);
  }
  graph::TensorId weights(const numerics::Shape& shape) {
    return model::add_constant(g, fmt::format("w{}", g.tensors.size()), Format::fp32, shape, numerics::constant_of(integers(shape)), true);
  }
  std::mt19937_64 random;
};

compiler::CompileOptions with(const std::string& mappings) {
  compiler::CompileOptions options;
  options.precision = Format::fp32;
  options.dump_mappings = true;
  if (!mappings.empty())
    options.mappings = std::make_shared<const compiler::MappingFile>(compiler::MappingFile::parse(mappings, "mapping.yaml").value());
  return options;
}

TEST(Reductions, InPartsGiveTheSameSums) {
  std::size_t split = 0;
  for (const char* name : {"tx81", "rpu-4x4"}) {
    const auto chip = library_chip(name);
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(fmt::format("{} seed {}", name, seed));
      Sums sums(seed);
      std::int64_t parts = sums.pick(2, 16);
      while (sums.length % parts != 0) --parts;
      const auto compiled = compiler::compile(sums.g, chip, with(fmt::format("reductions: {{product: {}}}\nmappings: []\n", parts)));
      ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
      const program::Program& p = compiled.value().program;
      ASSERT_GE(p.contexts.size(), 2u);
      EXPECT_EQ(p.contexts[0].name, "product:parts");
      const auto verified = program::verify(p);
      ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
      const auto run = simulation::execute(p, sums.inputs, {1, {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      ASSERT_EQ(run.value().outputs[0].bytes, graph::evaluate(sums.g, sums.inputs)[0].bytes);
      const auto timed = simulation::time_program(p);
      ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
      EXPECT_GE(timed.value().latency, p.labels.lower_bound);
      const auto whole = compiler::compile(sums.g, chip, with({}));
      ASSERT_TRUE(whole.ok());
      EXPECT_EQ(p.labels.lower_bound, whole.value().program.labels.lower_bound) << "the bound is the model's, however sums are made";
      EXPECT_EQ(p.labels.macs, whole.value().program.labels.macs);
      const auto again = compiler::compile(sums.g, chip, with(compiled.value().mappings));
      ASSERT_TRUE(again.ok()) << compiled.value().mappings << format_failure(again.failure());
      EXPECT_EQ(program::print(again.value().program), program::print(p)) << compiled.value().mappings;
      split += compiled.value().mappings.find("part: ") != std::string::npos;
    }
  }
  EXPECT_GT(split, 40u) << "parts are made by different components";
}

TEST(Reductions, AreCutWhereThatIsFaster) {
  const auto chip = library_chip("rpu-8x8");
  graph::Graph g;
  g.name = "long";
  const auto x = model::add_input(g, "x", Format::fp32, {32, 65536}), w = model::add_input(g, "w", Format::fp32, {65536, 32});
  g.outputs = {model::emit_matmul(g, {"product", "MatMul", "y", {}}, x, w)};
  compiler::CompileOptions options = with({});
  options.precision = Format::bf16;
  options.time = [](const program::Program& p) {
    const auto timed = simulation::time_program(p);
    return timed ? static_cast<double>(timed.value().latency.value) * 1e-12 : std::numeric_limits<double>::infinity();
  };
  const auto compiled = compiler::compile(g, chip, options);
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  // The fastest program that makes sums as they are, of all that were compared.
  double uncut = std::numeric_limits<double>::infinity();
  for (const compiler::Decision& d : compiled.value().decisions) {
    const auto at = d.text.find(" contexts: ");
    if (d.subject != "strategy" || at == std::string::npos || d.text.find("long sums in parts") != std::string::npos) continue;
    uncut = std::min(uncut, std::stod(d.text.substr(at + 11)));
  }
  EXPECT_LT(uncut, 1e6);
  EXPECT_LT(static_cast<double>(simulation::time_program(compiled.value().program).value().latency.value) * 1e-6, 0.9 * uncut);
  EXPECT_NE(compiled.value().mappings.find("reductions:"), std::string::npos) << compiled.value().mappings;
}

}  // namespace
}  // namespace switchyard
