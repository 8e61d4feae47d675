// Systolic arrays against the cycles that SCALE-Sim counts: chips/systolic-*.yaml (docs/validation.md).
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "model/operation.h"
#include "program/verify.h"
#include "simulation/timing.h"

namespace switchyard::tests {
namespace {

/// Whole cycles of 1 GHz; what bytes take on memories of 10^18 B/s is far below one.
std::int64_t cycles(const std::string& chip_name, const model::Operation& operation) {
  const auto chip = chip::load_chip(chip_name, {SWITCHYARD_SOURCE_DIR "/chips"});
  EXPECT_TRUE(chip.ok()) << format_failure(chip.failure());
  const auto graph = model::build_operation(operation);
  EXPECT_TRUE(graph.ok()) << format_failure(graph.failure());
  compiler::CompileOptions how;
  how.precision = numerics::Format::bf16;
  how.time = [](const program::Program& program) { return microseconds(simulation::time_program(program).value().latency) * 1e-6; };
  const auto compiled = compiler::compile(graph.value(), std::make_shared<const chip::Chip>(chip.value()), how);
  EXPECT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  if (!compiled.ok()) return 0;
  EXPECT_TRUE(program::verify(compiled.value().program).ok());
  const auto timing = simulation::time_program(compiled.value().program);
  EXPECT_TRUE(timing.ok());
  EXPECT_GE(timing.value().latency, compiled.value().program.labels.lower_bound);
  return std::llround(microseconds(timing.value().latency) * 1e3);
}

model::Operation gemm(std::int64_t m, std::int64_t n, std::int64_t k) {
  return {"gemm", {{"m", std::to_string(m)}, {"n", std::to_string(n)}, {"k", std::to_string(k)}}};
}
model::Operation convolution(std::int64_t size, std::int64_t cin, std::int64_t cout, std::int64_t kernel, std::int64_t stride) {
  const std::string s = std::to_string(size);
  return {"conv2d",
          {{"batch", "1"},
           {"h", s},
           {"w", s},
           {"cin", std::to_string(cin)},
           {"cout", std::to_string(cout)},
           {"kernel", std::to_string(kernel)},
           {"stride", std::to_string(stride)}}};
}

TEST(Systolic, WeightsStandStill) {
  EXPECT_EQ(cycles("systolic-ws", gemm(1024, 1024, 64)), 7159);
  EXPECT_EQ(cycles("systolic-ws", gemm(1024, 64, 1024)), 7159);
  EXPECT_EQ(cycles("systolic-ws", gemm(1024, 4800, 1600)), 238069);
  EXPECT_EQ(cycles("systolic-ws", gemm(1024, 1600, 1600)), 87709);
  EXPECT_EQ(cycles("systolic-ws", gemm(1024, 3072, 1600)), 150359);
  EXPECT_EQ(cycles("systolic-ws", gemm(1024, 1600, 3072)), 150359);
}

TEST(Systolic, TheConvolutionsOfAlexNet) {
  EXPECT_EQ(cycles("systolic-ws", convolution(227, 3, 96, 11, 4)), 7581);
  EXPECT_EQ(cycles("systolic-ws", convolution(27, 96, 256, 5, 1)), 12949);
  EXPECT_EQ(cycles("systolic-ws", convolution(13, 256, 384, 3, 1)), 15965);
  EXPECT_EQ(cycles("systolic-ws", convolution(13, 384, 384, 3, 1)), 24835);
  EXPECT_EQ(cycles("systolic-ws", convolution(13, 384, 256, 3, 1)), 12417);
}

TEST(Systolic, OutputsOrInputsStandStill) {
  EXPECT_EQ(cycles("systolic-os", gemm(1024, 1024, 64)), 9183);
  EXPECT_EQ(cycles("systolic-os", gemm(1024, 64, 1024)), 6135);
  EXPECT_EQ(cycles("systolic-is", gemm(1024, 1024, 64)), 7159);
  EXPECT_EQ(cycles("systolic-is", gemm(1024, 64, 1024)), 13279);
}

/// The closed forms, on sizes that nobody listed.
TEST(Systolic, ClosedForms) {
  constexpr std::int64_t r = 256, c = 256;
  const auto up = [](std::int64_t n, std::int64_t d) { return (n + d - 1) / d; };
  for (const auto& [m, n, k] :
       {std::array<std::int64_t, 3>{1, 1, 1}, {300, 200, 700}, {257, 513, 255}, {96, 4096, 128}, {2048, 77, 1000}}) {
    SCOPED_TRACE(testing::Message() << m << " " << n << " " << k);
    EXPECT_EQ(cycles("systolic-ws", gemm(m, n, k)), (2 * r + c + m - 2) * up(k, r) * up(n, c) - 1);
    EXPECT_EQ(cycles("systolic-os", gemm(m, n, k)), (r + c + k - 2) * up(m, r) * up(n, c) - 1);
    EXPECT_EQ(cycles("systolic-is", gemm(m, n, k)), (2 * r + c + n - 2) * up(k, r) * up(m, c) - 1);
  }
}

}  // namespace
}  // namespace switchyard::tests
