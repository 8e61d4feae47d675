// Laws of the host's steps: a model that is cut around them gives the reference's values, and its program says where the host works.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "chip/query.h"
#include "compiler/compiler.h"
#include "compiler/hosted.h"
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

using numerics::Format;
using numerics::ScalarOp;

/// y = -(x * 2 + 1) and z = (x * 2)^T w, of which the + 1 is the host's; u is of the host alone.
graph::Graph model() {
  graph::Graph g;
  g.name = "around the host";
  const auto x = model::add_input(g, "x", Format::fp32, {6, 5});
  const auto w =
      model::add_constant(g, "w", Format::fp32, {5, 7}, numerics::constant_of(numerics::seeded_uniform(3, Format::fp32, {5, 7}, 1)), true);
  const auto map = [&](const char* name, graph::TensorId in, const numerics::Expression& e) {
    const std::array inputs{model::MapInput::of(in)};
    return model::emit_map(g, {name, "Map", std::string(name) + ":out", {name}}, inputs, e, Format::fp32, g.tensor(in).shape);
  };
  const auto in = numerics::expr_input(0);
  const auto twice = map("twice", x, numerics::apply(ScalarOp::mul, in, numerics::expr_constant(2)));
  const auto more = map("more", twice, numerics::apply(ScalarOp::add, in, numerics::expr_constant(1)));
  const auto y = map("minus", more, numerics::apply(ScalarOp::neg, in));
  const auto z = model::emit_matmul(g, {"product", "MatMul", "z", {"product"}}, twice, w);
  const auto u = map("alone", x, numerics::apply(ScalarOp::abs, in));
  for (graph::Op& op : g.ops) {
    if (op.name != "more" && op.name != "alone") continue;
    op.host = numerics::HostCall{"Map", {{"expression", numerics::print_expression(op.nests[0].expression)}, {"format", "fp32"}}};
    op.nests.clear();
  }
  g.outputs = {y, z, u};
  return g;
}

class HostSteps : public ::testing::TestWithParam<const char*> {};

TEST_P(HostSteps, StandBetweenPartsOfTheChip) {
  const auto chip = library_chip(GetParam());
  const graph::Graph g = model();
  ASSERT_TRUE(graph::verify(g).ok());
  const auto compiled = compiler::compile(g, chip, {Format::fp32, false, 0, 1});
  ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  const program::Program& program = compiled.value().program;
  const auto verified = program::verify(program);
  ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
  EXPECT_EQ(compiled.value().contexts.size(), program.contexts.size());

  program::Program bare = program;  // a text without the file of constants beside it
  for (program::Buffer& buffer : bare.buffers) buffer.constant.reset();
  const auto again = program::parse(program::print(bare), "printed.syp");
  ASSERT_TRUE(again.ok()) << format_failure(again.failure());
  EXPECT_TRUE(program::print(again.value()) == program::print(bare));

  const std::vector inputs{numerics::seeded_uniform(1, Format::fp32, {6, 5}, 1)};
  const auto executed = simulation::execute(program, inputs, {});
  ASSERT_TRUE(executed.ok()) << format_failure(executed.failure());
  const auto expected = graph::evaluate(g, inputs);
  ASSERT_EQ(executed.value().outputs.size(), 3U);
  for (std::size_t k = 0; k < 3; ++k) {
    const auto &got = executed.value().outputs[k], &want = expected[k];
    ASSERT_EQ(got.shape, want.shape);
    for (std::int64_t i = 0; i < want.count(); ++i) EXPECT_NEAR(got.at(i), want.at(i), 1e-5) << k << " " << i;
  }

  // What crosses the link: of "more" both ways, of "alone" nothing, for the host has x and keeps u.
  const auto timing = simulation::time_program(program);
  ASSERT_TRUE(timing.ok()) << format_failure(timing.failure());
  Picoseconds shares = timing.value().launch, host;
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    shares += timing.value().contexts[c].share;
    if (program.contexts[c].host) host += timing.value().contexts[c].share;
  }
  EXPECT_EQ(shares, timing.value().latency);
  EXPECT_EQ(host, timing.value().host);
  Picoseconds way;
  if (const chip::Network* link = chip::host_link(*chip))
    way = time_to_move(Bytes(6 * 5 * 4), BytesPerSecond(link->link.value)) + from_seconds(link->hop.value);
  EXPECT_EQ(host, way + way);
}

INSTANTIATE_TEST_SUITE_P(Chips, HostSteps, ::testing::Values("tx81", "rpu-2x2", "h100-sxm"),
                         [](const auto& chip) { return "chip" + std::to_string(chip.index); });

TEST(HostPrograms, OfProgramsAreVerified) {
  const auto chip = library_chip("tx81");
  const auto compiled = compiler::compile(model(), chip, {Format::fp32, false, 0, 1});
  ASSERT_TRUE(compiled.ok());
  const auto said = [&](const auto& damage) {
    program::Program program = compiled.value().program;
    const auto step =
        std::find_if(program.contexts.begin(), program.contexts.end(), [](const program::Context& c) { return c.host.has_value(); });
    damage(program, *step);
    const auto verified = program::verify(program);
    return verified.ok() ? std::string("sound") : verified.failure().diagnostics[0].code;
  };
  EXPECT_EQ(said([](auto&, auto&) {}), "sound");
  EXPECT_EQ(said([](auto&, auto& step) { step.host->call.kind = "Bake"; }), "program/host");
  EXPECT_EQ(said([](auto&, auto& step) { step.arrays.emplace_back(); }), "program/host");
  EXPECT_EQ(said([](auto&, auto& step) { step.host->reads[0] = program::BufferId(std::size_t{99}); }), "program/unresolved");
  EXPECT_EQ(said([](auto& p, auto& step) {
              for (std::size_t b = 0; b < p.buffers.size(); ++b)
                if (p.buffers[b].role == program::BufferRole::input) step.host->writes[0] = program::BufferId(b);
            }),
            "program/read-only");
  EXPECT_EQ(said([](auto&, auto& step) { step.after.clear(); }) == "sound", false) << "it reads what nothing before it wrote";
}

TEST(HostPrograms, OfGraphsAreVerified) {
  graph::Graph g = model();
  const auto step = std::find_if(g.ops.begin(), g.ops.end(), [](const graph::Op& op) { return op.host.has_value(); });
  step->nests.emplace_back();
  ASSERT_FALSE(graph::verify(g).ok());
  EXPECT_EQ(graph::verify(g).failure().diagnostics[0].code, "graph/host");
  step->nests.clear();
  step->host->kind = "Bake";
  EXPECT_FALSE(graph::verify(g).ok());
}

TEST(HostPrograms, TakeWhatTheChipCannotHold) {
  graph::Graph g;
  const auto x = model::add_input(g, "x", Format::fp64, {3, 1}), y = model::add_input(g, "y", Format::fp64, {4});
  const std::array inputs{model::MapInput::of(x), model::MapInput::of(y)};
  g.outputs = {model::emit_map(g, {"sum", "Add", "z", {"sum"}}, inputs,
                               numerics::apply(ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1)), Format::fp64, {3, 4})};
  const graph::Graph hosted = compiler::give_to_host(g, Format::fp64);
  ASSERT_TRUE(hosted.ops[0].host.has_value());
  EXPECT_FALSE(compiler::give_to_host(g, Format::fp16).ops[0].host.has_value());
  std::vector<numerics::Tensor> values;
  for (const auto* shape : {&g.tensor(x).shape, &g.tensor(y).shape}) {
    values.push_back(numerics::make_tensor(Format::fp64, *shape));
    for (std::int64_t i = 0; i < values.back().count(); ++i) values.back().set(i, 1e200 * static_cast<double>(i + 1));
  }
  const auto got = graph::evaluate(hosted, values)[0], want = graph::evaluate(g, values)[0];
  EXPECT_EQ(got.bytes, want.bytes);
}

}  // namespace
}  // namespace switchyard
