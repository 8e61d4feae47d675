// Names are labels: whatever the operators and tensors of a model are called, its program is the same.
#include <gtest/gtest.h>

#include <cmath>

#include "compiler/compiler.h"
#include "compiler/machine.h"
#include "compiler/reduction.h"
#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/emit.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

using graph::TensorId;
using model::MapInput;
using numerics::Format;
using numerics::ScalarOp;

constexpr std::int64_t kRows = 2, kColumns = 1 << 16;  ///< of fp32: longer than the scratchpad of an SM

/// What a model calls its own is what rewrites would call what they make: steps and locals of a softmax that is taken apart, the bias of a
/// product with what is folded into it.
struct Names {
  const char *softmax, *before, *before_result, *after, *folded, *bias;
};
constexpr Names kPlain{"soft", "first", "first.out", "last", "scaled", "moved"};
constexpr Names kAlike{"soft", "soft:0", "soft:max", "soft:1", "scaled", "scaled:bias"};

graph::Graph model_of(const Names& names) {
  graph::Graph g;
  g.name = "names";
  const auto constant = [&](const std::string& name, const numerics::Shape& shape) {
    numerics::Tensor values = numerics::make_tensor(Format::fp32, shape);
    for (std::int64_t i = 0; i < values.count(); ++i) values.set(i, static_cast<double>(i % 3) + 1);
    return model::add_constant(g, name, Format::fp32, shape, numerics::constant_of(std::move(values)), true);
  };
  const auto map = [&](const char* op, const std::string& result, std::initializer_list<TensorId> of, const numerics::Expression& e,
                       const numerics::Shape& shape) {
    std::vector<MapInput> inputs;
    for (const TensorId t : of) inputs.push_back(MapInput::of(t));
    return model::emit_map(g, {op, "Map", result, {op}}, inputs, e, Format::fp32, shape);
  };
  const auto x0 = numerics::expr_input(0), x1 = numerics::expr_input(1);
  const numerics::Shape rows{kRows, kColumns};
  const TensorId x = model::add_input(g, "x", Format::fp32, rows);
  const TensorId first = map(names.before, names.before_result, {x}, numerics::apply(ScalarOp::max, x0, numerics::expr_constant(0)), rows);
  const TensorId soft = model::emit_softmax(g, {names.softmax, "Softmax", "soft.out", {names.softmax}}, first, {false, true}, false);
  g.outputs.push_back(map(names.after, "y", {soft, first}, numerics::apply(ScalarOp::add, x0, x1), rows));
  const TensorId few = model::add_input(g, "few", Format::fp32, {8, 8});
  const TensorId moved = map("move", names.bias, {few}, numerics::apply(ScalarOp::add, x0, numerics::expr_constant(1)), {8, 8});
  const TensorId product = model::emit_matmul(g, {"product", "MatMul", "product.out", {}}, moved, constant("w", {8, 8}));
  g.outputs.push_back(map(names.folded, "z", {product, constant("s", {8}), constant("t", {8})},
                          numerics::apply(ScalarOp::add, numerics::apply(ScalarOp::mul, x0, x1), numerics::expr_input(2)), {8, 8}));
  return g;
}

TEST(Names, ThatRewritesMakeAreNoneOfTheModel) {
  std::vector<numerics::Tensor> inputs;
  for (const numerics::Shape& shape : {numerics::Shape{kRows, kColumns}, numerics::Shape{8, 8}}) {
    numerics::Tensor t = numerics::make_tensor(Format::fp32, shape);
    for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>(i % 11) - 5);
    inputs.push_back(std::move(t));
  }
  for (const char* name : {"h100-sxm", "tx81"}) {
    const auto chip = library_chip(name);
    std::vector<std::int64_t> latencies;
    for (const Names& names : {kPlain, kAlike}) {
      const graph::Graph g = model_of(names);
      ASSERT_TRUE(graph::verify(g).ok());
      const auto compiled = compiler::compile(g, chip, {Format::fp32, 0, 1});
      ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
      const auto sound = program::verify(compiled.value().program);
      ASSERT_TRUE(sound.ok()) << name << ":\n" << format_failure(sound.failure());
      const auto lawful = graph::verify(compiled.value().graph);
      EXPECT_TRUE(lawful.ok()) << name << ":\n" << format_failure(lawful.failure());
      const auto run = simulation::execute(compiled.value().program, inputs, {1, {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      const auto timed = simulation::time_program(compiled.value().program);
      ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
      latencies.push_back(timed.value().latency.value);
      const auto expected = graph::evaluate(g, inputs);
      for (std::size_t o = 0; o < expected.size(); ++o)
        for (std::int64_t i = 0; i < expected[o].count(); ++i)
          ASSERT_NEAR(run.value().outputs[o].at(i), expected[o].at(i), 1e-5 * (1 + std::abs(expected[o].at(i)))) << name << " " << o;
    }
    EXPECT_EQ(latencies[0], latencies[1]) << name;
  }
}

/// Two operators whose names exporters number are not steps of one.
TEST(Names, WithColonsJoinNothing) {
  const auto chip = library_chip("h100-sxm");
  const auto program_of = [&](const std::string& separator) {
    graph::Graph g;
    g.name = "reductions";
    const TensorId x = model::add_input(g, "x", Format::fp32, {4096, 512, 64});
    const auto reduce = [&](int number, TensorId of, const std::vector<bool>& along) {
      const std::string name = "reduce" + separator + std::to_string(number);
      return model::emit_reduction(g, {name, "ReduceMax", name + ".out", {name}}, of, along, true, numerics::Combiner::max);
    };
    g.outputs = {reduce(1, reduce(0, x, {false, false, true}), {false, true, false})};
    auto compiled = compiler::compile(g, chip, {Format::fp32, 0, 1});
    EXPECT_TRUE(compiled.ok());
    return std::move(compiled).value().program;
  };
  const program::Program plain = program_of("_"), colons = program_of(":");
  ASSERT_EQ(plain.contexts.size(), 2u);
  ASSERT_EQ(colons.contexts.size(), 2u);
  EXPECT_FALSE(plain.contexts[1].continues);
  EXPECT_FALSE(colons.contexts[1].continues);
}

/// A sum that is cut makes an operator; one of the model that has its name is cut as itself.
TEST(Names, OfSumsInPartsAreNoneOfTheModel) {
  const auto chip = library_chip("rpu-4x4");
  graph::Graph g;
  g.name = "sums";
  const auto product = [&](const std::string& name, std::int64_t depth, std::int64_t columns) {
    const TensorId x = model::add_input(g, name + ".x", Format::fp32, {1, depth}),
                   w = model::add_input(g, name + ".w", Format::fp32, {depth, columns});
    g.outputs.push_back(model::emit_matmul(g, {name, "MatMul", name + ".out", {name}}, x, w));
  };
  product("fc", 4096, 64);
  product("fc:parts", 3072, 80);
  const auto machine = compiler::describe_machine(*chip);
  ASSERT_TRUE(machine.ok());
  graph::Graph cut = g;
  compiler::cut_reductions(machine.value(), cut, {{"fc", 4}, {"fc:parts", 3}});
  const auto lawful = graph::verify(cut);
  EXPECT_TRUE(lawful.ok()) << format_failure(lawful.failure());
  std::vector<std::int64_t> parts;
  for (const graph::Op& op : cut.ops)
    if (!op.origin.empty()) parts.push_back(op.nests.front().loops.front().extent);
  EXPECT_EQ(parts, (std::vector<std::int64_t>{4, 3}));
}

}  // namespace
}  // namespace switchyard
