// Products of one tensor become one product, and an epilogue is cut between two units: values stay the same to the bit.
#include "compiler/merge.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "compiler/compiler.h"
#include "compiler/epilogue.h"
#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/emit.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "simulation/execute.h"

namespace switchyard {
namespace {

using graph::TensorId;
using numerics::Format;

struct Sample {
  graph::Graph graph;
  std::vector<numerics::Tensor> inputs;
};

/// Small integers, so that every sum is exact.
numerics::Tensor integers(std::uint64_t seed, const numerics::Shape& shape) {
  numerics::Tensor t = numerics::make_tensor(Format::fp32, shape);
  for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>(numerics::mix(seed, static_cast<std::uint64_t>(i)) % 7) - 3);
  return t;
}

/// Several products of one input, of unequal width and each with a bias of its own; behind each a function, which reads it twice.
Sample attention_like(const std::vector<std::int64_t>& widths, bool bias_of_last) {
  Sample s;
  graph::Graph& g = s.graph;
  g.name = "branches";
  const numerics::Shape shape{1, 24, 32};
  s.inputs.push_back(integers(1, shape));
  const TensorId x = model::add_input(g, "x", Format::fp32, shape);
  g.inputs = {x};
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const std::string name = fmt::format("block.branch{}", i);
    const auto constant = [&](const std::string& what, const numerics::Shape& of) {
      return model::add_constant(g, name + what, Format::fp32, of, numerics::constant_of(integers(numerics::hash_name(name + what), of)),
                                 true);
    };
    TensorId y = model::emit_matmul(g, {name, "MatMul", name + ".out", {name}}, x, constant(".weight", {32, widths[i]}));
    if (i + 1 < widths.size() || bias_of_last) {
      const model::MapInput in[] = {model::MapInput::of(y), model::MapInput::of(constant(".bias", {widths[i]}))};
      y = model::emit_map(g, {name + ":bias", "Add", name + ":bias.out", {name}}, in,
                          numerics::apply(numerics::ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1)), Format::fp32,
                          {1, 24, widths[i]});
    }
    const model::MapInput in[] = {model::MapInput::of(y)};
    const auto e = numerics::expr_input(0);
    const auto f = numerics::apply(numerics::ScalarOp::mul, e, numerics::apply(numerics::ScalarOp::max, e, numerics::expr_constant(0)));
    // Read by two operators, so that it is no epilogue.
    g.outputs.push_back(model::emit_map(g, {name + ".f", "Square", name + ".f.out", {name}}, in, f, Format::fp32, {1, 24, widths[i]}));
    g.outputs.push_back(model::emit_reduction(g, {name + ".sum", "Sum", name + ".sum.out", {name}}, y, {false, false, true}, false,
                                              numerics::Combiner::add));
  }
  return s;
}

TEST(Merge, ProductsOfOneTensorBecomeOne) {
  struct Case {
    std::vector<std::int64_t> widths;
    bool bias_of_last;
    double most;
    std::size_t fewer;  ///< operators
  };
  for (const Case& c : {Case{{16, 16, 16}, true, 1e9, 4}, Case{{16, 40, 8}, true, 1e9, 4}, Case{{16, 40, 8}, false, 1e9, 2},
                        Case{{16, 16, 16}, true, 1000, 0}, Case{{16}, true, 1e9, 0}}) {
    const Sample s = attention_like(c.widths, c.bias_of_last);
    const auto sound = graph::verify(s.graph);
    ASSERT_TRUE(sound.ok()) << format_failure(sound.failure());
    graph::Graph merged = s.graph;
    std::vector<compiler::Decision> decisions;
    compiler::merge_products(merged, c.most, decisions);
    const auto lawful = graph::verify(merged);
    ASSERT_TRUE(lawful.ok()) << format_failure(lawful.failure());
    EXPECT_EQ(merged.ops.size() + c.fewer, s.graph.ops.size());
    EXPECT_EQ(decisions.size(), c.fewer > 0 ? 1u : 0u);
    const auto expected = graph::evaluate(s.graph, s.inputs), found = graph::evaluate(merged, s.inputs);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(found[i].bytes, expected[i].bytes) << i;
  }
}

TEST(Merge, NamesSayWhatWasMerged) {
  Sample s = attention_like({16, 16, 16}, true);
  std::vector<compiler::Decision> decisions;
  compiler::merge_products(s.graph, 1e9, decisions);
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(decisions[0].text, "3 products of one tensor become one: 'block.branch0+branch1+branch2'");
  EXPECT_EQ(s.graph.ops[0].nodes, (std::vector<std::string>{"block.branch0", "block.branch1", "block.branch2"}));
}

/// Exporters store equal constants once: two blocks whose branches all read one bias.
TEST(Merge, ConstantsSharedByTwoBlocksAreJoinedOnce) {
  graph::Graph g;
  g.name = "blocks";
  const numerics::Shape shape{1, 24, 32};
  const auto constant = [&](const std::string& name, const numerics::Shape& of) {
    return model::add_constant(g, name, Format::fp32, of, numerics::constant_of(integers(numerics::hash_name(name), of)), true);
  };
  const TensorId bias = constant("zero.bias", {16});
  std::vector<numerics::Tensor> inputs;
  for (const std::string block : {"a", "b"}) {
    const TensorId x = model::add_input(g, block + ".x", Format::fp32, shape);
    inputs.push_back(integers(inputs.size() + 1, shape));
    for (const std::string branch : {".query", ".key"}) {
      const std::string name = block + branch;
      const TensorId y = model::emit_matmul(g, {name, "MatMul", name + ".out", {name}}, x, constant(name + ".weight", {32, 16}));
      const model::MapInput in[] = {model::MapInput::of(y), model::MapInput::of(bias)};
      const TensorId z = model::emit_map(g, {name + ":bias", "Add", name + ":bias.out", {name}}, in,
                                         numerics::apply(numerics::ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1)),
                                         Format::fp32, {1, 24, 16});
      const model::MapInput of_z[] = {model::MapInput::of(z)};
      const auto e = numerics::expr_input(0);
      g.outputs.push_back(model::emit_map(g, {name + ".f", "Square", name + ".f.out", {name}}, of_z,
                                          numerics::apply(numerics::ScalarOp::mul, e, e), Format::fp32, {1, 24, 16}));
      g.outputs.push_back(model::emit_reduction(g, {name + ".sum", "Sum", name + ".sum.out", {name}}, z, {false, false, true}, false,
                                                numerics::Combiner::add));
    }
  }
  graph::Graph merged = g;
  std::vector<compiler::Decision> decisions;
  compiler::merge_products(merged, 1e9, decisions);
  EXPECT_EQ(decisions.size(), 2u);
  EXPECT_EQ(std::count_if(merged.tensors.begin(), merged.tensors.end(), [](const graph::Tensor& t) { return t.name == "zero.bias+bias"; }),
            1);
  const auto lawful = graph::verify(merged);
  ASSERT_TRUE(lawful.ok()) << format_failure(lawful.failure());
  const auto expected = graph::evaluate(g, inputs), found = graph::evaluate(merged, inputs);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(found[i].bytes, expected[i].bytes) << i;
}

TEST(Merge, ProgramsComputeTheSame) {
  const Sample s = attention_like({64, 64, 32}, true);
  const auto compiled = compiler::compile(s.graph, library_chip("tx81"), {Format::fp32, 0, 1});
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  EXPECT_NE(program::print(compiled.value().program).find("block.branch0+branch1+branch2"), std::string::npos);
  const auto run = simulation::execute(compiled.value().program, s.inputs, {1, {}});
  ASSERT_TRUE(run.ok()) << format_failure(run.failure());
  const auto expected = graph::evaluate(s.graph, s.inputs);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(run.value().outputs[i].bytes, expected[i].bytes) << i;
}

/// sums + bias, then what `rest` makes of it, on a unit whose epilogue adds and takes maxima.
struct Cut {
  const char* expression;
  const char *first, *rest;
  std::size_t first_reads, rest_reads;
  numerics::Format other = numerics::Format::fp32;  ///< of what x1 reads; integers: of the sums, too
};

TEST(Epilogue, TheMatrixUnitDoesWhatItCan) {
  chip::Unit unit;
  unit.kind = chip::UnitKind::matrix;
  unit.epilogue = {"add", "max"};
  unit.rates = {{numerics::Format::fp32, numerics::Format::fp32, {}}, {numerics::Format::int8, numerics::Format::int32, {}}};
  // Operand 0 holds integers where sums do, operand 1 never.
  graph::Graph g;
  compiler::Kernel kernel;
  for (const char* name : {"bias", "scale"}) {
    graph::Tensor tensor;
    tensor.name = name;
    kernel.operands.push_back({graph::TensorId(g.tensors.size()), {}, {}, false, true});
    g.tensors.push_back(tensor);
  }
  for (const Cut& c :
       {Cut{"mul(add(x0, x1), sigmoid(add(x0, x1)))", "add(x0, x1)", "mul(x0, sigmoid(x0))", 2, 1},
        Cut{"sigmoid(max(add(x0, x1), 0))", "max(add(x0, x1), 0)", "sigmoid(x0)", 2, 1}, Cut{"sigmoid(x0)", "x0", "sigmoid(x0)", 1, 1},
        Cut{"mul(add(x0, x1), x1)", "x0", "mul(add(x0, x1), x1)", 1, 2},  // the bias is needed again
        Cut{"mul(add(x0, x1), x0)", "x0", "mul(add(x0, x1), x0)", 1, 2},  // the sums are
        Cut{"sigmoid(sub(x0, x1))", "x0", "sigmoid(sub(x0, x1))", 1, 2},  // it cannot
        // Sums that are kept as integers: what leaves them integers, and nothing else, is done before they are handed over.
        Cut{"mul(max(add(x0, x1), 0), x2)", "max(add(x0, x1), 0)", "mul(x0, x1)", 2, 2, numerics::Format::int32},
        Cut{"sigmoid(add(x0, x1))", "x0", "sigmoid(add(x0, x1))", 1, 2, numerics::Format::boolean},  // it knows no such operand
        Cut{"round(add(x0, x2))", "x0", "round(add(x0, x1))", 1, 2, numerics::Format::int32},
        Cut{"round(max(x0, 0.5))", "x0", "round(max(x0, 0.5))", 1, 1, numerics::Format::int32}}) {
    compiler::KernelStatement s;
    s.epilogue = true;
    s.reads = {{true, 0, {}}, {false, 0, {}}, {false, 1, {}}};
    g.tensors[0].format = c.other;
    const numerics::Format sums = c.other == numerics::Format::boolean ? numerics::Format::fp32 : c.other;
    const auto parsed = numerics::parse_expression(c.expression);
    ASSERT_TRUE(parsed);
    s.expression = *parsed;
    const auto parts = compiler::cut_epilogue(unit, s, sums, g, kernel);
    EXPECT_EQ(numerics::print_expression(parts.first.expression), c.first) << c.expression;
    EXPECT_EQ(numerics::print_expression(parts.rest.expression), c.rest) << c.expression;
    EXPECT_EQ(parts.first.reads.size(), c.first_reads);
    EXPECT_EQ(parts.rest.reads.size(), c.rest_reads);
    EXPECT_TRUE(parts.first.reads[0].local && parts.rest.reads[0].local);
  }
}

}  // namespace
}  // namespace switchyard
