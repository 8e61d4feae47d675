#include "cli/tensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "model/model.h"

namespace switchyard::cli {
namespace {

using numerics::Format;
using program::BufferRole;

program::Program program_with(const std::vector<std::pair<Format, numerics::Shape>>& inputs, BufferRole role = BufferRole::input) {
  program::Program p;
  for (std::size_t k = inputs.size(); k-- > 0;) {  // numbers, not positions, say which input is which
    program::Buffer buffer;
    buffer.name = "x" + std::to_string(k);
    buffer.format = inputs[k].first;
    buffer.shape = inputs[k].second;
    buffer.role = role;
    buffer.index = static_cast<int>(k);
    p.buffers.push_back(buffer);
  }
  return p;
}

TEST(Tensors, SeedsInputsByNumber) {
  const program::Program p =
      program_with({{Format::bf16, {50, 20}}, {Format::bf16, {50, 20}}, {Format::int64, {100}}, {Format::int8, {2000}}});
  const auto inputs = seeded_inputs(p, 5);
  ASSERT_EQ(inputs.size(), 4u);
  EXPECT_EQ(inputs[0].shape, (numerics::Shape{50, 20}));
  EXPECT_NE(inputs[0].bytes, inputs[1].bytes);
  EXPECT_EQ(inputs[0].bytes, seeded_inputs(p, 5)[0].bytes);
  EXPECT_NE(inputs[0].bytes, seeded_inputs(p, 6)[0].bytes);
  double least = 0, greatest = 0;
  for (std::int64_t i = 0; i < inputs[0].count(); ++i) {
    const double v = inputs[0].at(i);
    least = std::min(least, v);
    greatest = std::max(greatest, v);
    EXPECT_EQ(numerics::bf16_to_float(numerics::bf16_from_float(static_cast<float>(v))), v);
  }
  EXPECT_GE(least, -1);
  EXPECT_LE(greatest, 1);
  EXPECT_LT(least, -0.9);
  EXPECT_GT(greatest, 0.9);
  std::set<double> wide, narrow;
  for (std::int64_t i = 0; i < inputs[2].count(); ++i) wide.insert(inputs[2].at(i));
  for (std::int64_t i = 0; i < inputs[3].count(); ++i) narrow.insert(inputs[3].at(i));
  EXPECT_EQ(wide, (std::set<double>{0, 1}));
  EXPECT_EQ(*narrow.begin(), -128);
  EXPECT_EQ(*narrow.rbegin(), 127);
}

TEST(Tensors, ReadsBackWhatItWroteAndTellsAllMistakes) {
  const std::string folder = (std::filesystem::temp_directory_path() / ("switchyard_tensors_" + std::to_string(::getpid()))).string();
  const program::Program two = program_with({{Format::fp32, {2, 3}}, {Format::fp32, {4}}}, BufferRole::output);
  const std::vector<numerics::Tensor> outputs{numerics::seeded_uniform(1, Format::fp32, {2, 3}, 1),
                                              numerics::seeded_uniform(2, Format::fp32, {4}, 1)};
  ASSERT_TRUE(write_outputs(two, outputs, folder));
  const auto back = read_expected(two, folder);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back.value()[1].bytes, outputs[1].bytes);

  const program::Program other = program_with({{Format::fp32, {3, 2}}, {Format::int64, {4}}, {Format::fp32, {}}}, BufferRole::output);
  const auto wrong = read_expected(other, folder);
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.failure().kind, FailureKind::malformed);
  std::vector<std::string> codes;
  for (const Diagnostic& d : wrong.failure().diagnostics) codes.push_back(d.code);
  EXPECT_EQ(codes, (std::vector<std::string>{"expect/shape", "expect/format", "expect/missing"}));
  EXPECT_EQ(wrong.failure().diagnostics[0].message, "output 0 ('x0') has shape [2, 3], the model wants [3, 2]");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace switchyard::cli
