// Products of quantised matrices: what a scheme computes, on chips whose grids run in waves and by the reference; that what a kernel
// unpacks or scales on the way costs no memory traffic; laws of time.
#include "model/quantised.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "chip/query.h"
#include "compiler/compiler.h"
#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/operation.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

graph::Graph build(std::string_view scheme, int m, int n, int k) {
  auto graph = model::build_quantised({"gemm", {{"m", std::to_string(m)}, {"n", std::to_string(n)}, {"k", std::to_string(k)}}}, scheme);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : format_failure(graph.failure()));
  return std::move(graph).value();
}

struct Timed {
  compiler::Compiled compiled;
  simulation::Timing timing;
};
Timed time(const graph::Graph& graph, const std::shared_ptr<const chip::Chip>& chip) {
  compiler::CompileOptions options{numerics::Format::bf16, 0, 1};
  options.keep_formats = true;
  auto compiled = compiler::compile(graph, chip, options);
  EXPECT_TRUE(compiled.ok()) << (compiled.ok() ? "" : format_failure(compiled.failure()));
  const auto verified = program::verify(compiled.value().program);
  EXPECT_TRUE(verified.ok()) << (verified.ok() ? "" : format_failure(verified.failure()));
  auto timing = simulation::time_program(compiled.value().program);
  EXPECT_TRUE(timing.ok()) << (timing.ok() ? "" : format_failure(timing.failure()));
  return {std::move(compiled).value(), std::move(timing).value()};
}

std::vector<numerics::Tensor> inputs_of(const graph::Graph& g) {
  std::vector<numerics::Tensor> inputs;
  for (const graph::TensorId id : g.inputs) {
    const graph::Tensor& t = g.tensor(id);
    const bool whole = !numerics::format_info(t.format).floating;
    numerics::Tensor values = numerics::seeded_uniform(inputs.size() + 1, numerics::Format::fp32, t.shape, 1);
    for (std::int64_t i = 0; i < values.count() && whole; ++i)
      values.set(i, std::floor(t.format == numerics::Format::uint8 ? 127 + 128 * values.at(i) : 100 * values.at(i)));
    inputs.push_back(numerics::convert_tensor(values, t.format));
  }
  return inputs;
}

TEST(Quantised, FewerBytesOfWeightsAreNoSlowerForOneRow) {
  for (const char* name : {"a100-sxm-80g", "h100-sxm", "l4", "v100-pcie-32g", "p100-pcie-16g", "t4", "mi210", "mi300x", "b200"}) {
    const auto chip = library_chip(name);
    ASSERT_TRUE(chip);
    auto plain = model::build_operation({"gemm", {{"m", "1"}, {"n", "8192"}, {"k", "8192"}}});
    ASSERT_TRUE(plain.ok());
    const auto compiled = compiler::compile(plain.value(), chip, {numerics::Format::fp16, 0, 1});
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    const auto whole = simulation::time_program(compiled.value().program);
    ASSERT_TRUE(whole.ok());
    for (const std::string_view scheme : {"int8_wo", "int4_wo"})
      EXPECT_LE(time(build(scheme, 1, 8192, 8192), chip).timing.latency, whole.value().latency) << scheme << " on " << name;
  }
}

TEST(Quantised, ComputesWhatTheSchemeSays) {
  for (const std::string_view scheme : model::quantised_schemes())
    for (const char* name : {"h100-sxm", "a100-sxm-80g"}) {
      SCOPED_TRACE(fmt::format("{} on {}", scheme, name));
      const auto chip = library_chip(name);
      if (chip::best_contract_rate(*chip, model::multiplied_format(scheme)) == 0) continue;  // kept in wider formats: nothing is rounded
      const graph::Graph g = build(scheme, 5, 160, 256);
      const auto graph_errors = graph::verify(g);
      ASSERT_TRUE(graph_errors.ok()) << format_failure(graph_errors.failure());
      const auto inputs = inputs_of(g);
      const Timed t = time(g, chip);
      const auto run = simulation::execute(t.compiled.program, inputs, {1, {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      const auto expected = graph::evaluate(g, inputs);
      double greatest = 0;
      for (std::int64_t i = 0; i < expected[0].count(); ++i) greatest = std::max(greatest, std::abs(expected[0].at(i)));
      ASSERT_GT(greatest, 1);
      for (std::int64_t i = 0; i < expected[0].count(); ++i)
        ASSERT_NEAR(run.value().outputs[0].at(i), expected[0].at(i), 0.01 * greatest) << i;
    }
}

/// The product of the numbers that the codes stand for, by hand.
TEST(Quantised, UnpacksTwoWeightsToAByte) {
  const graph::Graph g = build("int4_wo", 1, 2, 4);
  std::vector<numerics::Tensor> inputs = inputs_of(g);
  for (std::int64_t i = 0; i < 4; ++i) inputs[0].set(i, static_cast<double>(i + 1));
  inputs[1].set(0, 0x1f), inputs[1].set(1, 0x80), inputs[1].set(2, 0x08), inputs[1].set(3, 0x77);
  inputs[2].set(0, 0.5), inputs[2].set(1, 2);
  const auto out = graph::evaluate(g, inputs);
  // Column 0: 7, -7, 0, -8; column 1: -8, 0, -1, -1.
  EXPECT_EQ(out[0].at(0), 0.5 * (1 * 7 - 2 * 7 + 0 - 4 * 8));
  EXPECT_EQ(out[0].at(1), 2.0 * (-8 + 0 - 3 - 4));
}

TEST(Quantised, LawsHold) {
  for (const std::string_view scheme : model::quantised_schemes())
    for (const char* name : {"h100-sxm", "a100-sxm-80g", "l4", "b200", "mi300x"})
      for (const auto& [m, n, k] : {std::array{1, 4096, 4096}, std::array{300, 64, 16384}, std::array{8192, 8192, 1024}}) {
        SCOPED_TRACE(fmt::format("{} {} on {}", scheme, m, name));
        const Timed t = time(build(scheme, m, n, k), library_chip(name));
        Picoseconds sum(0);
        for (const Picoseconds cause : t.timing.attribution) sum += cause;
        EXPECT_EQ(sum, t.timing.latency);
        EXPECT_GE(t.timing.latency, t.compiled.program.labels.lower_bound);
      }
}

TEST(Quantised, AttentionInEightBitsTakesLessThanInSixteen) {
  const auto chip = library_chip("h100-sxm");
  const model::Operation operation{"attention_prefill",
                                   {{"batch", "2"}, {"q", "4096"}, {"heads", "16"}, {"kv_heads", "4"}, {"dim", "128"}}};
  const auto narrow = model::build_quantised(operation, "fp8");
  const auto wide = model::build_operation(operation);
  ASSERT_TRUE(narrow.ok() && wide.ok());
  const Timed t = time(narrow.value(), chip);
  const auto compiled = compiler::compile(wide.value(), chip, {numerics::Format::bf16, 0, 1});
  ASSERT_TRUE(compiled.ok());
  const auto timing = simulation::time_program(compiled.value().program);
  ASSERT_TRUE(timing.ok());
  EXPECT_LT(t.timing.latency, timing.value().latency);
  EXPECT_GE(t.timing.latency, t.compiled.program.labels.lower_bound);
  EXPECT_GT(microseconds(t.timing.latency), 0.5 * microseconds(timing.value().latency));  // exponentials are no faster
}

TEST(Quantised, AttentionReadsACacheInEightBitsAsItLies) {
  const auto chip = library_chip("h100-sxm");
  const auto operation = [](int batch, int context) {
    return model::Operation{
        "attention_decode",
        {{"batch", std::to_string(batch)}, {"context", std::to_string(context)}, {"heads", "8"}, {"kv_heads", "2"}, {"dim", "64"}}};
  };
  for (const numerics::Format multiplied : {numerics::Format::bf16, numerics::Format::fp8_e4m3})
    for (const bool converts : {false, true}) {
      SCOPED_TRACE(fmt::format("{}, {}", numerics::format_name(multiplied), converts));
      const auto built = model::build_cached_attention(operation(2, 70), numerics::Format::bf16, multiplied, converts);
      ASSERT_TRUE(built.ok());
      const graph::Graph& g = built.value();
      const auto graph_errors = graph::verify(g);
      ASSERT_TRUE(graph_errors.ok()) << format_failure(graph_errors.failure());
      const auto inputs = inputs_of(g);
      const Timed small = time(g, chip);
      const auto run = simulation::execute(small.compiled.program, inputs, {1, {}});
      ASSERT_TRUE(run.ok()) << format_failure(run.failure());
      const auto expected = graph::evaluate(g, inputs);
      for (std::size_t o = 0; o < expected.size(); ++o)
        for (std::int64_t i = 0; i < expected[o].count(); ++i) ASSERT_NEAR(run.value().outputs[o].at(i), expected[o].at(i), 0.05) << i;
      const auto large = model::build_cached_attention(operation(64, 8192), numerics::Format::bf16, multiplied, converts);
      ASSERT_TRUE(large.ok());
      const Timed t = time(large.value(), chip);
      const double cache = 2.0 * 64 * 2 * 8192 * 64;
      EXPECT_NEAR(static_cast<double>(t.timing.offchip_read), cache, 0.05 * cache);
      EXPECT_GE(t.timing.latency, t.compiled.program.labels.lower_bound);
    }
}

TEST(Quantised, WeightsAreReadAsTheyLie) {
  const auto chip = library_chip("a100-sxm-80g");
  const double n = 16384, k = 8192;
  const auto read = [&](std::string_view scheme) {
    return static_cast<double>(time(build(scheme, 1, static_cast<int>(n), static_cast<int>(k)), chip).timing.offchip_read);
  };
  EXPECT_NEAR(read("int8_wo"), n * k, 0.01 * n * k);
  EXPECT_NEAR(read("int4_wo"), n * k / 2, 0.01 * n * k);
  const auto latency = [&](std::string_view scheme, int m) {
    return microseconds(time(build(scheme, m, static_cast<int>(n), static_cast<int>(k)), chip).timing.latency);
  };
  EXPECT_LT(latency("int4_wo", 1), 0.6 * latency("int8_wo", 1));
  EXPECT_GT(latency("int4_wo", 4096), 0.9 * latency("int8_wo", 4096));  // multipliers, not memory
}

TEST(Quantised, WhatCannotBeBuiltIsSaid) {
  EXPECT_EQ(model::build_quantised({"softmax", {}}, "fp8").failure().diagnostics.front().code, "operation/unknown");
  EXPECT_EQ(model::build_quantised({"gemm", {{"m", "1"}, {"n", "1"}, {"k", "3"}}}, "int4_wo").failure().diagnostics.front().code,
            "operation/shape");
}

}  // namespace
}  // namespace switchyard
