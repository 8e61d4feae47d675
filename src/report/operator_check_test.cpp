// The check of operators, on values at the edges of the formats.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "model/model.h"
#include "report/check.h"
#include "simulation/execute.h"

namespace switchyard::report {
namespace {

using numerics::Format;
using numerics::Tensor;

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

/// Executes a product [rows, 4] x [4, 8] of the given first operand, and checks it; `spoil` changes what the check gets to see of C.
CheckReport check_rows(Format precision, const std::vector<std::array<float, 4>>& rows, float* spoil = nullptr) {
  auto chip = chip::load_chip("tx81", {});
  model::LoadOptions how;
  how.set = {{"m", static_cast<std::int64_t>(rows.size())}, {"n", 8}, {"k", 4}};
  auto model = model::load_model("gemm", how);
  if (!chip || !model) throw std::runtime_error("the library's chips and models are read elsewhere");
  auto compiled = compiler::compile(model.value().graph, std::make_shared<chip::Chip>(std::move(chip).value()), {precision});
  if (!compiled) throw std::runtime_error(format_failure(compiled.failure()));
  Tensor input = numerics::make_tensor(Format::fp32, {static_cast<std::int64_t>(rows.size()), 4});
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t k = 0; k < 4; ++k) input.set(static_cast<std::int64_t>(4 * r + k), rows[r][k]);
  }
  OperatorChecker checker(compiled.value(), {true, 0, 1});
  simulation::ExecuteOptions options;
  options.after_context = [&](program::ContextId context, const simulation::BufferReader& read) {
    checker.check_context(context, [&](program::BufferId buffer) {
      Tensor tensor = read(buffer);
      const auto& declared = compiled.value().program.buffers[buffer.index()];
      if (spoil != nullptr && declared.role == program::BufferRole::output) tensor.set(0, *spoil);
      return tensor;
    });
  };
  auto done = simulation::execute(compiled.value().program, {input}, options);
  if (!done) throw std::runtime_error(format_failure(done.failure()));
  return checker.result();
}

TEST(OperatorCheck, WithNothingToRecomputeComparesWithNothing) {
  const compiler::Compiled nothing;
  EXPECT_EQ(OperatorChecker(nothing, {}).result().against, "none");
}

TEST(OperatorCheck, KnowsInfinitiesAndNans) {
  for (const Format precision : {Format::fp32, Format::bf16, Format::fp16}) {
    const CheckReport report =
        check_rows(precision, {{kInf, 0, 0, 0}, {-kInf, 1, 1, 1}, {kNan, 0, 0, 0}, {kInf, -kInf, 0, 0}, {1, 2, 3, 4}});
    EXPECT_TRUE(report.passed) << numerics::format_name(precision);
    EXPECT_EQ(report.points, 40);
    EXPECT_TRUE(std::isfinite(report.max_abs_error));
    for (float wrong : {0.0F, -kInf}) {  // the first point is infinite, of one sign
      float first = wrong;
      const CheckReport spoilt = check_rows(precision, {{kInf, 0, 0, 0}}, &first);
      const CheckReport other = check_rows(precision, {{-kInf, 0, 0, 0}}, &first);
      EXPECT_FALSE(spoilt.passed && other.passed);
    }
    float nan = kNan;
    EXPECT_FALSE(check_rows(precision, {{kInf, 0, 0, 0}}, &nan).passed);
  }
}

TEST(OperatorCheck, KnowsSumsThatOverflowOnTheWay) {
  const float large = 3e38F;
  std::vector<std::array<float, 4>> rows;
  for (int signs = 0; signs < 16; ++signs) {
    std::array<float, 4> row{};
    for (int k = 0; k < 4; ++k) row[static_cast<std::size_t>(k)] = (signs >> k) & 1 ? large : -large;
    rows.push_back(row);
  }
  EXPECT_TRUE(check_rows(Format::fp32, rows).passed);
  EXPECT_TRUE(check_rows(Format::bf16, rows).passed);
  float infinite = kInf;  // but a product of small numbers overflows nowhere
  EXPECT_FALSE(check_rows(Format::fp32, {{1, 2, 3, 4}}, &infinite).passed);
  EXPECT_FALSE(check_rows(Format::fp16, {{1, 2, 3, 4}}, &infinite).passed);
}

TEST(OperatorCheck, KnowsTheLargestAndTheLeastNumbers) {
  std::vector<std::array<float, 4>> rows;
  for (const float value : {65504.0F, 65519.0F, 65520.0F, 1e5F, 6e-8F, 2.98e-8F, 3e-8F, 1e-40F, 1e-45F, 1.17e-38F, 3.39e38F, 3.4e38F}) {
    rows.push_back({value, 0, 0, 0});
    rows.push_back({-value, 0, 0, 0});
  }
  for (const Format precision : {Format::fp32, Format::bf16, Format::fp16}) EXPECT_TRUE(check_rows(precision, rows).passed);
}

}  // namespace
}  // namespace switchyard::report
