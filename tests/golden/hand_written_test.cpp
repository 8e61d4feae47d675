// The programs written by hand: they verify, compute what a naive loop computes, and take a time no schedule could beat and no sane one
// exceeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "chip/query.h"
#include "program/text.h"
#include "program/verify.h"
#include "simulation/execute.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

using numerics::Format;
using numerics::Tensor;

program::Program load(const std::string& name) {
  auto read = program::read_program(std::string(SWITCHYARD_SOURCE_DIR) + "/examples/programs/" + name + ".syp");
  if (!read) throw std::runtime_error(format_failure(read.failure()));
  return std::move(read).value();
}

std::vector<Tensor> inputs_of(const program::Program& program) {
  std::vector<Tensor> inputs;
  for (const program::Buffer& buffer : program.buffers)
    if (buffer.role == program::BufferRole::input)
      inputs.push_back(numerics::seeded_uniform(static_cast<std::uint64_t>(7 + buffer.index), buffer.format, buffer.shape, 0.5));
  return inputs;
}

std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> result(static_cast<std::size_t>(tensor.count()));
  numerics::decode_row(tensor.format, tensor.bytes.data(), 1, result.data(), tensor.count());
  return result;
}

Tensor to_bf16(const std::vector<float>& values, numerics::Shape shape) {
  Tensor tensor = numerics::make_tensor(Format::bf16, std::move(shape));
  numerics::encode_row(Format::bf16, values.data(), tensor.bytes.data(), 1, tensor.count());
  return tensor;
}

/// Products of two bf16 numbers are exact in fp32: a multiplication and an addition round as one fused step does.
Tensor naive_gemm(const Tensor& a, const Tensor& b) {
  const std::int64_t m = a.shape[0], k = a.shape[1], n = b.shape[1];
  const std::vector<float> x = floats(a), y = floats(b);
  std::vector<float> c(static_cast<std::size_t>(m * n), 0.0F);
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t l = 0; l < k; ++l) {
      const float scale = x[static_cast<std::size_t>(i * k + l)];
      const float* row = &y[static_cast<std::size_t>(l * n)];
      float* out = &c[static_cast<std::size_t>(i * n)];
      for (std::int64_t j = 0; j < n; ++j) out[j] += scale * row[j];
    }
  return to_bf16(c, {m, n});
}

/// 3x3, padding 1, NHWC with weights [3, 3, in, out], bias, ReLU.
Tensor naive_convolution(const Tensor& x, const Tensor& w, const Tensor& bias) {
  const std::int64_t images = x.shape[0], height = x.shape[1], width = x.shape[2], in = x.shape[3], out = w.shape[3];
  const std::vector<float> xs = floats(x), ws = floats(w), bs = floats(bias);
  std::vector<float> result(static_cast<std::size_t>(images * height * width * out), 0.0F);
  for (std::int64_t n = 0; n < images; ++n)
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t q = 0; q < width; ++q) {
        float* points = &result[static_cast<std::size_t>(((n * height + y) * width + q) * out)];
        for (std::int64_t r = 0; r < 3; ++r)
          for (std::int64_t s = 0; s < 3; ++s) {
            const std::int64_t yy = y + r - 1, qq = q + s - 1;
            if (yy < 0 || yy >= height || qq < 0 || qq >= width) continue;
            for (std::int64_t i = 0; i < in; ++i) {
              const float value = xs[static_cast<std::size_t>(((n * height + yy) * width + qq) * in + i)];
              const float* row = &ws[static_cast<std::size_t>(((r * 3 + s) * in + i) * out)];
              for (std::int64_t o = 0; o < out; ++o) points[o] += value * row[o];
            }
          }
        for (std::int64_t o = 0; o < out; ++o) points[o] = std::max(points[o] + bs[static_cast<std::size_t>(o)], 0.0F);
      }
  return to_bf16(result, {images, height, width, out});
}

void expect_bytes(const Tensor& got, const Tensor& wanted) {
  ASSERT_EQ(got.shape, wanted.shape);
  std::int64_t different = 0;
  for (std::int64_t i = 0; i < got.count(); ++i) {
    if (got.at(i) == wanted.at(i)) continue;
    if (++different == 1) ADD_FAILURE() << "element " << i << " is " << got.at(i) << " instead of " << wanted.at(i);
  }
  EXPECT_EQ(different, 0);
}

Tensor execute(const program::Program& program, const std::vector<Tensor>& inputs) {
  const Status verified = program::verify(program);
  EXPECT_TRUE(verified.ok()) << (verified.ok() ? "" : format_failure(verified.failure()));
  simulation::ExecuteOptions options;
  auto run = simulation::execute(program, inputs, options);
  if (!run) throw std::runtime_error(format_failure(run.failure()));
  return std::move(run.value().outputs.at(0));
}

/// Bytes that must cross the chip's edge, and MACs, at the rates the chip states: no schedule is faster. `slack`: how much slower is sane.
void expect_time(const program::Program& program, std::int64_t macs, double slack) {
  auto timed = simulation::time_program(program);
  ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
  const simulation::Timing& timing = timed.value();
  Picoseconds sum;
  for (const Picoseconds part : timing.attribution) sum += part;
  EXPECT_EQ(sum.value, timing.latency.value);
  EXPECT_EQ(timing.macs, macs);
  const chip::Chip& chip = *program.chip;
  const chip::MemoryId dram = chip::off_chip_memory(chip);
  std::int64_t bytes = 0;
  for (const program::Buffer& buffer : program.buffers) {
    // Behind a cache, what is written may stay on the chip.
    if (buffer.role == program::BufferRole::output && chip::cache_of(chip, dram)) continue;
    bytes += numerics::element_count(buffer.shape) * numerics::format_bytes(buffer.format);
  }
  EXPECT_GE(timing.offchip_read + timing.offchip_written, bytes);
  const double bound = std::max(static_cast<double>(bytes) / chip::sustained_bandwidth(chip.memories[dram.index()]).value,
                                static_cast<double>(macs) / chip::best_contract_rate(chip, Format::bf16));
  const double busy = microseconds(timing.latency - timing.launch) * 1e-6;
  EXPECT_GE(busy, bound);
  EXPECT_LE(busy, slack * bound);
}

TEST(HandWritten, RingGemmComputesTheProduct) {
  const program::Program program = load("ring-gemm-tx81");
  const std::vector<Tensor> inputs = inputs_of(program);
  expect_bytes(execute(program, inputs), naive_gemm(inputs[0], inputs[1]));
}

TEST(HandWritten, RingGemmReadsEachOperandOnce) {
  const program::Program program = load("ring-gemm-tx81");
  expect_time(program, 1024LL * 1024 * 256, 10);
  auto timed = simulation::time_program(program);
  ASSERT_TRUE(timed.ok());
  EXPECT_EQ(timed.value().offchip_read, 2 * (1024 * 256 + 256 * 1024));
  EXPECT_EQ(timed.value().offchip_written, 2 * 1024 * 1024);
}

TEST(HandWritten, ConvolutionPipelineComputesBothLayers) {
  const program::Program program = load("conv-pipeline-tx81");
  const std::vector<Tensor> inputs = inputs_of(program);
  expect_bytes(execute(program, inputs), naive_convolution(naive_convolution(inputs[0], inputs[1], inputs[2]), inputs[3], inputs[4]));
}

TEST(HandWritten, ConvolutionPipelineKeepsRowsOnTheChip) {
  const program::Program program = load("conv-pipeline-tx81");
  // Every command of a tile costs issue and start-up, and rows are short: far from any bound, but bounded.
  expect_time(program, 4LL * 32 * 32 * 9 * (16 * 32 + 32 * 16), 400);
  auto timed = simulation::time_program(program);
  ASSERT_TRUE(timed.ok());
  EXPECT_EQ(timed.value().offchip_written, 2 * 4 * 32 * 32 * 16);
}

TEST(HandWritten, GridGemmComputesTheProduct) {
  const program::Program program = load("grid-gemm-h100");
  const std::vector<Tensor> inputs = inputs_of(program);
  expect_bytes(execute(program, inputs), naive_gemm(inputs[0], inputs[1]));
}

TEST(HandWritten, GridGemmNeedsMoreThanOneWaveAndReusesTheCache) {
  const program::Program program = load("grid-gemm-h100");
  expect_time(program, 2048LL * 1536 * 128, 20);
  auto timed = simulation::time_program(program);
  ASSERT_TRUE(timed.ok());
  // 192 blocks read 64 KiB each; without a cache that would be four times what the operands hold.
  EXPECT_LT(timed.value().offchip_read, 2 * 2 * (2048 * 128 + 128 * 1536));
}

TEST(HandWritten, ResidentPipelineComputesBothLayers) {
  const program::Program program = load("resident-pipeline");
  std::vector<Tensor> inputs = inputs_of(program);
  const Tensor got = execute(program, inputs);
  const auto as_images = [](Tensor t) {
    t.shape.insert(t.shape.begin(), 1);
    return t;
  };
  const auto no_bias = [](const Tensor& w) { return numerics::make_tensor(Format::bf16, {w.shape[3]}); };
  const Tensor middle = naive_convolution(as_images(inputs[0]), inputs[1], no_bias(inputs[1]));
  Tensor wanted = naive_convolution(middle, inputs[2], no_bias(inputs[2]));
  wanted.shape.erase(wanted.shape.begin());
  expect_bytes(got, wanted);
}

TEST(HandWritten, ResidentPipelineNeedsEveryMessage) {
  const program::Program program = load("resident-pipeline");
  const std::vector<Tensor> inputs = inputs_of(program);
  const Tensor whole = execute(program, inputs);
  program::Program dropped = program;
  for (program::Actor& actor : dropped.contexts[0].actors)
    if (actor.name == "push") actor.loops[0].trip = 1;
  EXPECT_FALSE(program::verify(dropped).ok());
  auto run = simulation::execute(dropped, inputs, {});
  ASSERT_TRUE(run.ok());
  const Tensor& got = run.value().outputs[0];
  // Only the first row of a band needs the row above, which the first band sends first and all others second.
  std::int64_t numbers = 0, unknown = 0;
  for (std::int64_t i = 0; i < got.count(); ++i) {
    const std::int64_t row = i / (64 * 16);
    if (row >= 8 && row % 4 == 0) {
      unknown += std::isnan(got.at(i)) ? 1 : 0;
    } else {
      numbers += got.at(i) == whole.at(i) ? 1 : 0;
    }
  }
  EXPECT_EQ(unknown, 14 * 64 * 16);
  EXPECT_EQ(numbers, 50 * 64 * 16);
}

TEST(HandWritten, LabelsSayWhatIsExecuted) {
  for (const char* name : {"ring-gemm-tx81", "conv-pipeline-tx81", "grid-gemm-h100"}) {
    const program::Program program = load(name);
    const auto timed = simulation::time_program(program);
    ASSERT_TRUE(timed.ok());
    EXPECT_FALSE(program.labels.model.empty());
    EXPECT_EQ(program.labels.macs, timed.value().macs) << name;
    EXPECT_GT(program.contexts[0].bound.value, 0) << name;
    EXPECT_EQ(program.labels.lower_bound, program.contexts[0].bound + timed.value().launch) << name;
    EXPECT_LE(program.contexts[0].bound, timed.value().contexts[0].span) << name;
    EXPECT_LE(program.labels.peak_bound, program.labels.lower_bound) << name;
  }
}

TEST(HandWritten, AReadThatTheProductDoesNotUseCostsNothing) {
  program::Program program = load("ring-gemm-tx81");
  const auto before = simulation::time_program(program);
  ASSERT_TRUE(before.ok());
  for (program::Actor& actor : program.contexts[0].actors) {
    if (actor.kind != program::ActorKind::compute) continue;
    program::Statement& s = actor.statements[0];
    s.reads.insert(s.reads.begin(), s.reads[0]);
    for (auto& node : s.expression.nodes)
      if (node.op == numerics::ScalarOp::input) ++node.a;
  }
  ASSERT_TRUE(program::verify(program).ok());
  const auto after = simulation::time_program(program);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after.value().latency, before.value().latency);
}

}  // namespace
}  // namespace switchyard
