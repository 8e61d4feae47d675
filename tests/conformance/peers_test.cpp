// The machines on which peers were run, and the same work on them: what our compiler makes of it, against what they answered
// (docs/validation.md). Every chip file also takes small works through the whole line.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "binary.h"
#include "chip/read.h"
#include "compiler/compiler.h"
#include "graph/text.h"
#include "program/verify.h"
#include "simulation/timing.h"

namespace switchyard::tests {
namespace {

using nlohmann::json;

std::vector<std::string> chip_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(SWITCHYARD_SOURCE_DIR "/chips"))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// A 3 x 3 convolution with padding in a peer's words of eight bits.
std::string convolution(std::int64_t channels, std::int64_t size) {
  const std::string c = std::to_string(channels), s = std::to_string(size);
  const std::string image = "int8[1," + c + "," + s + "," + s + "]\n";
  return "switchyard graph 1\ngraph \"conv\"\ninput \"x\" " + image + "constant \"w\" int8[" + c + "," + c + ",3,3]\nintermediate \"y\" " +
         image +
         "inputs \"x\"\noutputs \"y\"\nop \"conv\" \"Conv\"\n  operand 0 \"x\"\n  operand 1 \"w\"\n  result 2 \"y\"\n  nest n:1 oc:" + c +
         " oh:" + s + " ow:" + s + " ic:" + c +
         ":reduction kh:3:reduction kw:3:reduction\n    x0 = slot 0[n, ic, oh + kh - 1, ow + kw - 1] fill 0\n"
         "    x1 = slot 1[oc, ic, kh, kw]\n    slot 2[n, oc, oh, ow] = add mul(x0, x1)\n";
}

struct Answer {
  double cycles = 0, bound = 0, seconds = 0;
  std::map<std::string, double> unit_cycles;  ///< busy ones of each resource, of all its instances
};

/// Cycles of one nanosecond, without launch, at a given effort.
Answer answer(const std::string& graph_text, const std::string& chip_name, int effort = 1) {
  Answer result;
  const auto chip = chip::load_chip(chip_name, {SWITCHYARD_SOURCE_DIR "/chips"});
  EXPECT_TRUE(chip.ok());
  auto graph = graph::parse(graph_text, "work.graph");
  EXPECT_TRUE(graph.ok()) << format_failure(graph.failure());
  if (!chip.ok() || !graph.ok()) return result;
  compiler::CompileOptions options;
  options.effort = effort;
  options.time = [](const program::Program& p) {
    const auto timed = simulation::time_program(p);
    return timed ? static_cast<double>(timed.value().latency.value) * 1e-12 : std::numeric_limits<double>::infinity();
  };
  const auto begin = std::chrono::steady_clock::now();
  auto compiled = compiler::compile(graph.value(), std::make_shared<const chip::Chip>(chip.value()), options);
  EXPECT_TRUE(compiled.ok()) << format_failure(compiled.failure());
  if (!compiled.ok()) return result;
  const auto timing = simulation::time_program(compiled.value().program);
  EXPECT_TRUE(timing.ok()) << format_failure(timing.failure());
  if (!timing.ok()) return result;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.cycles = microseconds(timing.value().latency - timing.value().launch) * 1e3;
  for (const auto& used : timing.value().resources) result.unit_cycles[used.name] = microseconds(used.busy) * 1e3;
  result.bound = microseconds(compiled.value().program.labels.lower_bound) * 1e3;
  const Status lawful = program::verify(compiled.value().program);
  EXPECT_TRUE(lawful.ok()) << format_failure(lawful.failure());
  return result;
}

// Timeloop needs 227 to 240 CPU seconds to find the 112,896 cycles at which all 1024 multipliers always work. It does not count how the
// first operands come and the last results leave; here they do, and may take half a percent.
TEST(SimbaLike, MapsThe3x3ConvolutionsOfResNet) {
  struct Work {
    std::int64_t channels, size;
  };
  for (const Work& work : {Work{128, 28}, Work{256, 14}}) {
    const Answer a = answer(convolution(work.channels, work.size), "simba-like");
    std::printf("simba-like 3x3 %lld %lldx%lld: %.0f cycles (Timeloop 112896), bound %.0f, in %.2f s\n",
                static_cast<long long>(work.channels), static_cast<long long>(work.size), static_cast<long long>(work.size), a.cycles,
                a.bound, a.seconds);
    EXPECT_GE(a.cycles, 112896);
    EXPECT_LE(a.cycles, 1.006 * 112896);
    EXPECT_DOUBLE_EQ(a.unit_cycles.at("macs") / 16, 112896) << "of each PE: no step of a multiplier is idle";
    EXPECT_GE(a.bound, 112896 - 1);   // all multipliers, all the time
    EXPECT_LE(a.bound, 112896 + 64);  // and a start-up
  }
}

class EveryChip : public testing::TestWithParam<std::string> {};

void expect_above_bounds(const json& report) {
  EXPECT_GE(report.at("gap").get<double>(), 1.0);
  for (const json& context : report.at("contexts"))
    EXPECT_GE(context.at("span_us").get<double>(), context.at("lower_bound_us").get<double>() - 1e-6) << context.at("name");
}

/// Of the 16-bit formats the one that a chip has; fp32 where it has none.
std::string precision_of(const std::string& name) {
  const auto chip = chip::load_chip(name, {SWITCHYARD_SOURCE_DIR "/chips"});
  EXPECT_TRUE(chip.ok()) << name;
  if (!chip.ok()) return "";
  const auto& native = chip.value().formats.native;
  for (const numerics::Format format : {numerics::Format::bf16, numerics::Format::fp16})
    if (std::find(native.begin(), native.end(), format) != native.end()) return std::string(numerics::format_name(format));
  return "fp32";
}

TEST_P(EveryChip, MultipliesMatricesRight) {
  const Workbench bench;
  const Outcome outcome = bench.run("run gemm --set m=96 --set n=80 --set k=112 --chip " + GetParam() + " --precision " +
                                    precision_of(GetParam()) + " --check full --format json --quiet");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json report = json::parse(outcome.out);
  EXPECT_EQ(report.at("check").at("passed"), true);
  expect_above_bounds(report);
}

TEST_P(EveryChip, RunsModelsWithRecordedOutputsRight) {
  if (shared_models().empty()) GTEST_SKIP() << "no test data: neither $SWITCHYARD_SHARED nor ../shared has data/models";
  const Workbench bench;
  for (const char* model : {"squeezenet1_1", "encoder_block"}) {
    SCOPED_TRACE(model);
    const std::string folder = "'" + (shared_models() / model).string() + "'";
    const Outcome outcome = bench.run("run " + folder + " --inputs " + folder + " --expect " + folder + " --chip " + GetParam() +
                                      " --precision " + precision_of(GetParam()) + " --format json --quiet");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const json report = json::parse(outcome.out);
    EXPECT_EQ(report.at("check").at("passed"), true);
    expect_above_bounds(report);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryChip, testing::ValuesIn(chip_names()), [](const auto& chip) {
  std::string name = chip.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace switchyard::tests
