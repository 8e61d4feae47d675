// The whole line through the binary: models with recorded outputs on every chip and in every format, programs that run without their
// model, and bytes that do not depend on the number of threads.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "binary.h"

namespace switchyard::tests {
namespace {

using nlohmann::json;

constexpr const char* kModels[] = {"squeezenet1_1", "shufflenet_v2_x1_0", "mobilenet_v2", "encoder_block", "decoder_block_kv"};
constexpr const char* kChips[] = {"tx81", "h100-sxm"};

/// What must not depend on where, how often and on how many threads a program runs.
json lasting(json report) {
  report.erase("timings_s");
  report.at("provenance").erase("argv");
  return report;
}

std::int64_t picoseconds(const json& us) { return std::llround(us.get<double>() * 1e6); }

/// The laws of a report that hold for whatever ran.
void expect_lawful(const json& report) {
  std::int64_t causes = 0, shares = picoseconds(report.at("launch_us")) + picoseconds(report.at("host").at("us"));
  for (const auto& [cause, us] : report.at("attribution_us").items()) causes += picoseconds(us);
  for (const json& context : report.at("contexts")) {
    shares += picoseconds(context.at("share_us")) * context.at("repeat").get<std::int64_t>();
    EXPECT_GE(picoseconds(context.at("span_us")), picoseconds(context.at("lower_bound_us"))) << context.at("name");
  }
  EXPECT_EQ(causes, picoseconds(report.at("latency_us")));
  EXPECT_EQ(shares, picoseconds(report.at("latency_us")));
  EXPECT_GE(report.at("gap").get<double>(), 1.0);
}

class Recorded : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(Recorded, RunsWithinTolerance) {
  const auto& [model, chip] = GetParam();
  if (shared_models().empty()) GTEST_SKIP() << "no test data: neither $SWITCHYARD_SHARED nor ../shared has data/models";
  const std::string folder = "'" + (shared_models() / model).string() + "'";
  const Workbench bench;
  for (const char* precision : {"fp32", "bf16", "fp16"}) {
    SCOPED_TRACE(precision);
    const Outcome outcome = bench.run("run " + folder + " --inputs " + folder + " --expect " + folder + " --chip " + chip +
                                      " --precision " + precision + " --format json --quiet");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const json report = json::parse(outcome.out);
    EXPECT_EQ(report.at("precision"), precision);
    EXPECT_EQ(report.at("check").at("against"), "expect");
    EXPECT_EQ(report.at("check").at("passed"), true);
    expect_lawful(report);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Recorded, testing::Combine(testing::ValuesIn(kModels), testing::ValuesIn(kChips)), [](const auto& test) {
  std::string name = std::string(std::get<0>(test.param)) + "_on_" + std::get<1>(test.param);
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

class Programs : public testing::TestWithParam<const char*> {};

/// `what` is a model and its options. It is run, and compiled; the program is simulated in another folder, where its model is not.
void expect_same_elsewhere(const std::string& what, const std::string& chip) {
  SCOPED_TRACE(what);
  const Workbench bench;
  std::filesystem::create_directories(bench.folder() / "made");
  std::filesystem::create_directories(bench.folder() / "elsewhere/deep");
  const std::string common = what + " --chip " + chip + " --quiet";
  const Outcome whole = bench.run("run " + common + " --seed 5 --threads 1 --format json", "made");
  ASSERT_EQ(whole.code, 0) << whole.err;
  ASSERT_EQ(bench.run("compile " + common + " --seed 5 -o p.syp", "made").code, 0);
  for (const char* file : {"p.syp", "p.safetensors"})
    std::filesystem::rename(bench.folder() / "made" / file, bench.folder() / "elsewhere" / file);
  std::filesystem::remove_all(bench.folder() / "made");
  const json made = json::parse(whole.out);
  EXPECT_FALSE(made.at("outputs").empty());
  for (const char* threads : {"1", "2"}) {
    const Outcome apart = bench.run(std::string("simulate ../p.syp --seed 5 --quiet --format json --threads ") + threads, "elsewhere/deep");
    ASSERT_EQ(apart.code, 0) << apart.err;
    const json simulated = json::parse(apart.out);
    for (const auto& [key, value] : made.items()) {
      if (key == "timings_s" || key == "provenance" || key == "check" || key == "accuracy") continue;  // what needs the model
      EXPECT_EQ(simulated.at(key), value) << key << " on " << threads << " threads";
    }
  }
}

TEST_P(Programs, RunTheSameElsewhere) {
  expect_same_elsewhere("gemm --set m=192 --set n=160 --set k=224", GetParam());
  expect_same_elsewhere("gemm --set m=100 --set n=72 --set k=56 --precision fp32", GetParam());
  if (shared_models().empty()) GTEST_SKIP() << "no test data: neither $SWITCHYARD_SHARED nor ../shared has data/models";
  for (const char* model : {"decoder_block_kv", "squeezenet1_1"}) {
    expect_same_elsewhere("'" + (shared_models() / model).string() + "' --precision bf16", GetParam());
  }
}

TEST_P(Programs, GiveTheSameBytesOnAnyNumberOfThreads) {
  const Workbench bench;
  std::vector<std::string> models = {"gemm --set m=256 --set n=192 --set k=128", "resnet50 --check none"};
  if (!shared_models().empty()) models.push_back("'" + (shared_models() / "encoder_block").string() + "'");
  for (const std::string& model : models) {
    SCOPED_TRACE(model);
    json first;
    for (const char* threads : {"1", "2", "3"}) {
      const Outcome outcome = bench.run("run " + model + " --chip " + GetParam() + " --quiet --format json --threads " + threads);
      ASSERT_EQ(outcome.code, 0) << outcome.err;
      const json report = lasting(json::parse(outcome.out));
      expect_lawful(report);
      if (first.is_null()) first = report;
      EXPECT_EQ(report, first) << threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Programs, testing::ValuesIn(kChips), [](const auto& test) {
  std::string name = test.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

}  // namespace
}  // namespace switchyard::tests
