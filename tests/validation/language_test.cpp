// Decode steps of language models against what gpt-fast measured (github.com/pytorch-labs/gpt-fast, README: tokens per second of one
// sequence with a short prompt on an A100 80 GB under a power limit of 330 W). Nothing was fitted on them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "model/model.h"
#include "simulation/timing.h"

namespace switchyard::tests {
namespace {

using numerics::Format;

TEST(Language, DecodeStepsOfLlama2TakeWhatGptFastMeasured) {
  struct Row {
    std::optional<Format> weights;
    double tokens_per_second, allowed;
  };
  // Its four-bit weights have a factor for each 32, which are 12 % more bytes than here, and a kernel of their own.
  for (const Row& row : {Row{std::nullopt, 104.9, 0.15}, Row{Format::int8, 155.58, 0.1}, Row{Format::int4, 196.80, 0.2}}) {
    model::LoadOptions how;
    how.decode = true;
    how.context_length = 200;
    how.weights = row.weights;
    const auto model = model::load_model(SWITCHYARD_SOURCE_DIR "/models/llama-2-7b", how);
    ASSERT_TRUE(model.ok()) << format_failure(model.failure());
    const auto chip = chip::load_chip("a100-sxm-80g", {SWITCHYARD_SOURCE_DIR "/chips"}, {});
    ASSERT_TRUE(chip.ok()) << format_failure(chip.failure());
    compiler::CompileOptions options;
    options.precision = Format::bf16;
    const auto compiled = compiler::compile(model.value().graph, std::make_shared<const chip::Chip>(chip.value()), options);
    ASSERT_TRUE(compiled.ok()) << format_failure(compiled.failure());
    const auto timing = simulation::time_program(compiled.value().program);
    ASSERT_TRUE(timing.ok()) << format_failure(timing.failure());
    const double ours = microseconds(timing.value().latency) * 1e-3, measured = 1e3 / row.tokens_per_second;
    std::printf("llama-2-7b, %s: %.2f ms, measured %.2f\n", row.weights ? std::string(numerics::format_name(*row.weights)).c_str() : "bf16",
                ours, measured);
    EXPECT_LT(std::abs(ours / measured - 1), row.allowed);
  }
}

}  // namespace
}  // namespace switchyard::tests
