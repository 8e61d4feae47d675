// Laws of quantisation: what is stored are numbers of the format, sums are exact, errors are what the format's steps allow.
#include "compiler/quantise.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/emit.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "report/check.h"
#include "report/run.h"
#include "simulation/execute.h"

namespace switchyard {
namespace {

using numerics::Format;
using numerics::Shape;
using numerics::Tensor;

/// relu(x w) v, where the columns of w differ by powers of two, so that scales per channel matter.
graph::Graph model() {
  graph::Graph g;
  g.name = "two products";
  const auto x = model::add_input(g, "x", Format::fp32, {9, 64});
  Tensor w = numerics::seeded_uniform(1, Format::fp32, {64, 33}, 1);
  for (std::int64_t i = 0; i < w.count(); ++i) w.set(i, w.at(i) * std::exp2(-static_cast<double>(i % 33 % 8)));
  const auto first = model::add_constant(g, "w", Format::fp32, {64, 33}, numerics::constant_of(w), true);
  const auto second = model::add_constant(g, "v", Format::fp32, {33, 10},
                                          numerics::constant_of(numerics::seeded_uniform(2, Format::fp32, {33, 10}, 1)), true);
  const auto a = model::emit_matmul(g, {"first", "MatMul", "a", {"first"}}, x, first);
  const std::array in{model::MapInput::of(a)};
  const auto b =
      model::emit_map(g, {"relu", "Relu", "b", {"relu"}}, in,
                      numerics::apply(numerics::ScalarOp::max, numerics::expr_input(0), numerics::expr_constant(0)), Format::fp32, {9, 33});
  g.outputs = {model::emit_matmul(g, {"second", "MatMul", "y", {"second"}}, b, second)};
  return g;
}

compiler::Quantisation calibrated(const graph::Graph& g, const std::vector<Tensor>& inputs, const char* text,
                                  compiler::Calibration calibration = compiler::Calibration::minmax) {
  compiler::Quantisation how{compiler::parse_scheme(text).value(), {}};
  how.scheme.calibration = calibration;
  for (const std::string& name : compiler::activations_to_scale(g)) {
    graph::Graph all = g;
    for (std::size_t t = 0; t < all.tensors.size(); ++t)
      if (all.tensors[t].name == name) all.outputs = {graph::TensorId(t)};
    const Tensor values = name == "x" ? inputs[0] : graph::evaluate(all, inputs)[0];
    how.scales[name] = compiler::scale_for(values, how.scheme.format, calibration);
  }
  return how;
}

double snr(const Tensor& got, const Tensor& want) { return report::accuracy_of({got}, {want}, {"y"}, "").snr_db; }

Tensor quantised(const graph::Graph& plain, const chip::Chip& chip, const compiler::Quantisation& how, const std::vector<Tensor>& inputs,
                 graph::Graph* rewritten = nullptr) {
  graph::Graph g = plain;
  program::Labels labels;
  std::vector<compiler::Decision> decisions;
  compiler::quantise(g, chip, how, labels, decisions);
  EXPECT_TRUE(graph::verify(g).ok());
  EXPECT_EQ(labels.notes.size(), 1U);
  if (rewritten != nullptr) *rewritten = g;
  return graph::evaluate(g, inputs)[0];
}

TEST(Quantise, LosesWhatTheFormatLoses) {
  const auto chip = library_chip("tx81");
  const graph::Graph g = model();
  const std::vector inputs{numerics::seeded_uniform(7, Format::fp32, {9, 64}, 1)};
  const Tensor want = graph::evaluate(g, inputs)[0];
  // A uniform format of b bits has about 6 dB a bit; floating ones 6 dB for each bit of the mantissa.
  struct Row {
    const char* scheme;
    double least, most;
  };
  for (const Row& row :
       {Row{"int8", 34, 60}, Row{"int8:tensor", 25, 60}, Row{"fp8_e4m3", 22, 45}, Row{"fp8_e5m2", 16, 40}, Row{"int4", 14, 35},
        Row{"int4:group16", 15, 35}, Row{"mxfp8", 21, 50}, Row{"mxfp6", 22, 50}, Row{"mxfp4", 10, 30}, Row{"nvfp4", 12, 32},
        Row{"mxfp8:both", 18, 45}, Row{"mxfp6:both", 18, 45}, Row{"mxfp4:both", 8, 25}, Row{"nvfp4:both", 10, 30}}) {
    const double db = snr(quantised(g, *chip, calibrated(g, inputs, row.scheme), inputs), want);
    EXPECT_GE(db, row.least) << row.scheme;
    EXPECT_LE(db, row.most) << row.scheme;
  }
  const auto db_of = [&](const char* scheme) { return snr(quantised(g, *chip, calibrated(g, inputs, scheme), inputs), want); };
  EXPECT_GT(db_of("int8"), db_of("int8:tensor"));
  EXPECT_GT(db_of("int4:group16"), db_of("int4:tensor"));
  EXPECT_GT(db_of("nvfp4"), db_of("mxfp4"));
  EXPECT_GT(db_of("mxfp8"), db_of("mxfp8:both"));  // of both factors both are rounded
  EXPECT_GT(db_of("nvfp4:both"), db_of("mxfp4:both"));
}

TEST(Quantise, StoresNumbersOfTheFormat) {
  const auto chip = library_chip("tx81");
  const graph::Graph plain = model();
  const std::vector inputs{numerics::seeded_uniform(7, Format::fp32, {9, 64}, 1)};
  graph::Graph g;
  quantised(plain, *chip, calibrated(plain, inputs, "int8"), inputs, &g);
  int weights = 0, sums = 0;
  for (const graph::Tensor& t : g.tensors) {
    sums += t.format == Format::int32 ? 1 : 0;
    if (t.format != Format::int8 || !t.constant) continue;
    ++weights;
    const Tensor values = t.constant->make();
    double most = 0;
    for (std::int64_t i = 0; i < values.count(); ++i) most = std::max(most, std::abs(values.at(i)));
    EXPECT_EQ(most, 127) << t.name << ": symmetric, and its range is used";
  }
  EXPECT_EQ(weights, 2);
  EXPECT_EQ(sums, 2);
  // A block of MX: 32 numbers of fp4 and one power of two.
  quantised(plain, *chip, calibrated(plain, inputs, "mxfp4"), inputs, &g);
  for (const graph::Tensor& t : g.tensors) {
    if (t.name != "w:mxfp4") continue;
    const Tensor w = t.constant->make();
    for (std::int64_t column = 0; column < 33; ++column) {
      for (std::int64_t block = 0; block < 2; ++block) {
        bool fits = false;
        for (int e = -30; e <= 10 && !fits; ++e) {
          fits = true;
          for (std::int64_t k = 0; k < 32 && fits; ++k) {
            const double v = w.at((block * 32 + k) * 33 + column) * std::exp2(-e);
            fits = numerics::rounded(Format::fp4_e2m1, v) == v;
          }
        }
        EXPECT_TRUE(fits) << column << " " << block;
      }
    }
    return;
  }
  FAIL() << "no weights in mxfp4";
}

TEST(Quantise, ChoosesWhatItClips) {
  Tensor values = numerics::seeded_uniform(1, Format::fp32, {20000}, 1);
  values.set(77, 1000);  // an outlier
  const double all = compiler::scale_for(values, Format::int8, compiler::Calibration::minmax);
  EXPECT_DOUBLE_EQ(all, 1000.0 / 127);
  EXPECT_NEAR(compiler::scale_for(values, Format::int8, compiler::Calibration::percentile), 1.0 / 127, 0.1 / 127);
  EXPECT_LE(compiler::scale_for(values, Format::int8, compiler::Calibration::mse), all);
  EXPECT_EQ(compiler::scale_for(numerics::make_tensor(Format::fp32, {4}), Format::int8, compiler::Calibration::mse), 1) << "all zero";
}

TEST(Quantise, ReadsSchemes) {
  for (const char* good :
       {"int8", "int8:tensor", "int8:channel", "int8:group32", "int4", "int4:group64", "fp8_e4m3:tensor", "mxfp8", "nvfp4", "mxfp4:both"})
    EXPECT_TRUE(compiler::parse_scheme(good).has_value()) << good;
  for (const char* bad : {"", "int9", "int8:", "int8:row", "int8:group", "int8:group0", "int8:group1x", "mxfp4:group16", "mxfp4:all",
                          "int8:both", "int8:tensor:tensor"})
    EXPECT_FALSE(compiler::parse_scheme(bad).has_value()) << bad;
}

class QuantisedPrograms : public ::testing::TestWithParam<const char*> {};

TEST_P(QuantisedPrograms, GiveTheQuantisedGraphsValues) {
  const auto chip = library_chip(GetParam());
  ASSERT_TRUE(chip);
  const graph::Graph g = model();
  const std::vector inputs{numerics::seeded_uniform(7, Format::fp32, {9, 64}, 1)};
  for (const char* scheme : {"int8", "int8:tensor", "int4", "mxfp4", "fp8_e4m3", "mxfp4:both", "nvfp4:both"}) {
    const auto how = calibrated(g, inputs, scheme);
    const Tensor want = quantised(g, *chip, how, inputs);
    compiler::CompileOptions options;
    options.precision = Format::fp32;
    options.quantisation = std::make_shared<const compiler::Quantisation>(how);
    const auto compiled = compiler::compile(g, chip, options);
    ASSERT_TRUE(compiled.ok()) << scheme << "\n" << format_failure(compiled.failure());
    ASSERT_TRUE(program::verify(compiled.value().program).ok()) << scheme;
    const auto executed = simulation::execute(compiled.value().program, inputs, {});
    ASSERT_TRUE(executed.ok()) << scheme << "\n" << format_failure(executed.failure());
    // An activation near the middle of two steps may go either way where fp32 and double differ: a step of one of 64 or 33.
    // Of fp4, where its scale is rounded, too, that step is a large one.
    EXPECT_GE(snr(executed.value().outputs[0], want), std::string(scheme) == "nvfp4:both" ? 30 : 40) << scheme;
  }
}

/// Four products with biases, of which one is added to what came before: relu(relu(relu(x u + .) v + .) w + . + relu(x u + .)) z.
graph::Graph residual() {
  graph::Graph g;
  g.name = "residual";
  const auto constant = [&](const char* name, Shape shape, std::uint64_t seed) {
    return model::add_constant(g, name, Format::fp32, shape,
                               numerics::constant_of(numerics::seeded_uniform(seed, Format::fp32, shape, 0.5)), true);
  };
  const auto behind = [&](const char* name, graph::TensorId product, graph::TensorId bias, graph::TensorId other) {
    std::vector in{model::MapInput::of(product), model::MapInput::of(bias)};
    auto e = numerics::apply(numerics::ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1));
    if (other.valid()) {
      in.push_back(model::MapInput::of(other));
      e = numerics::apply(numerics::ScalarOp::add, e, numerics::expr_input(2));
    }
    e = numerics::apply(numerics::ScalarOp::max, e, numerics::expr_constant(0));
    return model::emit_map(g, {name, "Relu", std::string(name) + ".out", {name}}, in, e, Format::fp32, g.tensor(product).shape);
  };
  const auto product = [&](const char* name, graph::TensorId a, graph::TensorId b) {
    return model::emit_matmul(g, {name, "MatMul", std::string(name) + ".sums", {name}}, a, b);
  };
  const auto x = model::add_input(g, "x", Format::fp32, {9, 64});
  const auto u = constant("u", {64, 40}, 1), v = constant("v", {40, 48}, 2), w = constant("w", {48, 40}, 3), z = constant("z", {40, 10}, 4);
  const auto d = behind("first", product("p1", x, u), constant("b1", {40}, 5), {});
  const auto a = behind("second", product("p2", d, v), constant("b2", {48}, 6), {});
  const auto y = behind("third", product("p3", a, w), constant("b3", {40}, 7), d);
  g.outputs = {product("p4", y, z)};
  return g;
}

TEST_P(QuantisedPrograms, RoundWhereTheyMultiply) {
  const auto chip = library_chip(GetParam());
  const graph::Graph g = residual();
  const std::vector inputs{numerics::seeded_uniform(7, Format::fp32, {9, 64}, 1)};
  const Tensor exact = graph::evaluate(g, inputs)[0];
  for (const char* scheme : {"int8", "int8:tensor", "fp8_e4m3"}) {
    const bool native = compiler::multiplies(*chip, compiler::parse_scheme(scheme)->format);
    const compiler::Quantisation how = calibrated(g, inputs, scheme);
    graph::Graph rewritten;
    const Tensor want = quantised(g, *chip, how, inputs, &rewritten);
    EXPECT_GE(snr(want, exact), scheme[0] == 'i' ? 30 : 22) << scheme;
    if (native && scheme[0] == 'i') {  // the input is rounded, and each product has one operator behind it
      EXPECT_EQ(rewritten.ops.size(), 9U) << scheme;
    }
    compiler::CompileOptions options;
    options.precision = Format::fp32;
    options.quantisation = std::make_shared<const compiler::Quantisation>(how);
    const auto compiled = compiler::compile(g, chip, options);
    ASSERT_TRUE(compiled.ok()) << scheme << "\n" << format_failure(compiled.failure());
    ASSERT_TRUE(program::verify(compiled.value().program).ok()) << scheme;
    report::OperatorChecker checker(compiled.value(), {true, 0, 1});
    simulation::ExecuteOptions execute;
    execute.after_context = [&](program::ContextId context, const simulation::BufferReader& read) { checker.check_context(context, read); };
    const auto executed = simulation::execute(compiled.value().program, inputs, execute);
    ASSERT_TRUE(executed.ok()) << scheme << "\n" << format_failure(executed.failure());
    const report::CheckReport& check = checker.result();
    EXPECT_TRUE(check.passed) << scheme << (check.first ? ": " + check.first->tensor : std::string());
    EXPECT_GE(snr(executed.value().outputs[0], want), scheme[0] == 'i' ? 40 : 30) << scheme;
  }
}

INSTANTIATE_TEST_SUITE_P(Chips, QuantisedPrograms, ::testing::Values("tx81", "rpu-2x2", "h100-sxm"),
                         [](const auto& chip) { return "chip" + std::to_string(chip.index); });

}  // namespace
}  // namespace switchyard
