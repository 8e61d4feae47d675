// Laws of lookups, whose indices are data: any mapping gives the reference's values, time does not depend on them, wrong ones are named.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/emit.h"
#include "program/text.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

using numerics::affine_variable;
using numerics::Format;
using numerics::Shape;
using numerics::Tensor;

struct Case {
  Shape table, ids;
  std::int64_t axis;
  bool constant;  ///< the table
  bool summed;    ///< something is added to what was looked up
};
const Case kCases[] = {
    {{40, 16}, {9}, 0, true, false},        {{7, 130}, {3, 5}, 0, true, true}, {{3, 11, 8}, {6}, 1, false, false},
    {{5, 4, 9}, {2, 3, 2}, 2, false, true}, {{64, 3}, {}, 0, true, false},     {{2000, 33}, {300}, 0, true, true},
};

graph::Graph model(const Case& c) {
  graph::Graph g;
  g.name = "lookup";
  const auto ids = model::add_input(g, "ids", Format::int64, c.ids);
  const auto values = numerics::seeded_uniform(5, Format::fp32, c.table, 1);
  const auto table = c.constant ? model::add_constant(g, "table", Format::fp32, c.table, numerics::constant_of(values), true)
                                : model::add_input(g, "table", Format::fp32, c.table);
  Shape shape(c.table.begin(), c.table.begin() + c.axis);
  shape.insert(shape.end(), c.ids.begin(), c.ids.end());
  shape.insert(shape.end(), c.table.begin() + c.axis + 1, c.table.end());
  std::vector<numerics::Affine> index;
  for (std::size_t d = 0; d < c.table.size(); ++d) {
    const auto axis = static_cast<std::size_t>(c.axis);
    const std::size_t loop = d < axis ? d : d + c.ids.size() - 1;
    index.push_back(d == axis ? numerics::Affine{} : affine_variable(static_cast<int>(loop)));
  }
  model::LookedUp lookup{static_cast<int>(c.axis), ids, {}};
  for (std::size_t d = 0; d < c.ids.size(); ++d) lookup.index.push_back(affine_variable(static_cast<int>(c.axis) + static_cast<int>(d)));
  auto y = model::emit_lookup(g, {"embed", "Gather", "rows", {"embed"}}, table, shape, index, std::span(&lookup, 1));
  if (c.summed) {
    const std::array inputs{model::MapInput::of(y), model::MapInput::number(0.5)};
    y = model::emit_map(g, {"add", "Add", "sum", {"add"}}, inputs,
                        numerics::apply(numerics::ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1)), Format::fp32, shape);
  }
  g.outputs = {y};
  return g;
}

std::vector<Tensor> inputs(const Case& c, std::uint64_t seed) {
  Tensor ids = numerics::make_tensor(Format::int64, c.ids);
  const std::int64_t extent = c.table[static_cast<std::size_t>(c.axis)];
  for (std::int64_t i = 0; i < ids.count(); ++i)
    ids.set(i, static_cast<double>(
                   static_cast<std::int64_t>(numerics::mix(seed, static_cast<std::uint64_t>(i)) % static_cast<std::uint64_t>(2 * extent)) -
                   extent));
  std::vector<Tensor> all{ids};
  if (!c.constant) all.push_back(numerics::seeded_uniform(seed, Format::fp32, c.table, 1));
  return all;
}

class Lookups : public ::testing::TestWithParam<const char*> {};

TEST_P(Lookups, GiveTheReferencesValues) {
  const auto chip = library_chip(GetParam());
  for (const Case& c : kCases) {
    SCOPED_TRACE(&c - kCases);
    const graph::Graph g = model(c);
    const auto law = graph::verify(g);
    ASSERT_TRUE(law.ok()) << format_failure(law.failure());
    const auto compiled = compiler::compile(g, chip, {Format::fp32, 0, 1});
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    const program::Program& p = compiled.value().program;
    const std::string text = program::print(p);
    EXPECT_NE(text.find(" picks "), std::string::npos);
    const auto verified = program::verify(p);
    ASSERT_TRUE(verified.ok()) << format_failure(verified.failure()) << text;
    const auto again = program::parse(text, "again.syp");
    ASSERT_TRUE(again.ok()) << format_failure(again.failure());
    program::Program shapes = p;  // values stay in the sidecar
    for (program::Buffer& b : shapes.buffers) b.constant = nullptr;
    EXPECT_EQ(program::print(again.value()), program::print(shapes));
    for (const std::uint64_t seed : {1, 2}) {
      const auto given = inputs(c, seed);
      const auto run = simulation::execute(p, given, {static_cast<int>(seed), {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      EXPECT_EQ(run.value().outputs[0].bytes, graph::evaluate(g, given)[0].bytes);
    }
    const auto timed = simulation::time_program(p);
    ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
    EXPECT_GE(timed.value().latency, p.labels.lower_bound);
    for (std::size_t k = 0; k < p.contexts.size(); ++k) EXPECT_GE(timed.value().contexts[k].span, p.contexts[k].bound);
  }
}
INSTANTIATE_TEST_SUITE_P(Chips, Lookups, ::testing::Values("tx81", "h100-sxm", "rpu-4x4", "wormhole-n150"), [](const auto& chip) {
  std::string name = chip.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Lookup, OutsideTheTableIsNamed) {
  const auto chip = library_chip("tx81");
  const Case c{{40, 16}, {9}, 0, true, false};
  const auto compiled = compiler::compile(model(c), chip, {Format::fp32, 0, 1});
  ASSERT_TRUE(compiled.ok());
  auto given = inputs(c, 1);
  given[0].set(4, 40);
  const auto run = simulation::execute(compiled.value().program, given, {1, {}});
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(format_failure(run.failure()),
            "error: embed looks up index 40 in a dimension of 40 of \"table\" [simulation/index]\n"
            "  hint: indices lie between minus the extent and the extent less one\n");
}

TEST(Lookup, PortsThatPickHaveLaws) {
  const auto chip = library_chip("tx81");
  const auto compiled = compiler::compile(model({{40, 16}, {300}, 0, true, false}), chip, {Format::fp32, 0, 1});
  ASSERT_TRUE(compiled.ok());
  const auto spoiled = [&](auto&& spoil) {
    program::Program p = compiled.value().program;
    for (program::Actor& actor : p.contexts[0].actors)
      for (program::Port& port : actor.ports)
        if (port.picks >= 0) spoil(actor, port);
    const auto law = program::verify(p);
    return law.ok() ? std::string("fine") : law.failure().diagnostics[0].message;
  };
  EXPECT_EQ(spoiled([](program::Actor&, program::Port&) {}), "fine");
  EXPECT_EQ(spoiled([](program::Actor&, program::Port& port) { port.picks = 5; }),
            "'index0' picks in dimension 5, which the box lacks or another port picks in");
  EXPECT_EQ(spoiled([](program::Actor& actor, program::Port&) { actor.source->start[0] = numerics::affine_constant(1); }),
            "in dimension 0, where an index is picked, the box starts at 0, is 1 long and unclipped");
  EXPECT_EQ(spoiled([](program::Actor&, program::Port& port) {
              port.guard = {{0, 0, 1}};
            }),
            "'index0' picks with one integer, at each firing");
}

}  // namespace
}  // namespace switchyard
