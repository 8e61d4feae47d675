// However a model is mapped, it computes what was recorded: every effort of the search, everything that can be left out, kernels one after
// the other and in pipelines, and partitions into few contexts and many.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "binary.h"

namespace switchyard::tests {
namespace {

using nlohmann::json;

class Strategies : public testing::TestWithParam<const char*> {};

TEST_P(Strategies, ExecuteToTheRecordedValues) {
  if (shared_models().empty()) GTEST_SKIP() << "no test data: neither $SWITCHYARD_SHARED nor ../shared has data/models";
  const std::string folder = "'" + (shared_models() / GetParam()).string() + "'";
  const Workbench bench;
  std::set<std::pair<std::string, std::size_t>> different;  // by time and number of contexts
  for (const char* how : {"tx81 --effort 0", "tx81 --effort 1", "tx81 --effort 2", "tx81 --effort 3", "tx81 --disable fuse,share",
                          "tx81 --disable overlap,pin", "rpu-8x8", "sn40l --effort 0", "h100-sxm --effort 2"}) {
    SCOPED_TRACE(how);
    const bool small = std::string(GetParam()).ends_with("_block") || std::string(GetParam()) == "decoder_block_kv";
    if (std::string(how) == "tx81 --effort 3" && !small) continue;  // minutes
    const Outcome outcome = bench.run("run " + folder + " --inputs " + folder + " --expect " + folder + " --precision " +
                                      (std::string(how).starts_with("sn40l") ? "bf16" : "fp16") + " --format json --quiet --chip " + how);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const json report = json::parse(outcome.out);
    EXPECT_EQ(report.at("check").at("against"), "expect");
    EXPECT_TRUE(report.at("check").at("passed").get<bool>());
    different.emplace(report.at("latency_us").dump(), report.at("contexts").size());
  }
  EXPECT_GE(different.size(), 5u) << "strategies that differ";
}

INSTANTIATE_TEST_SUITE_P(All, Strategies,
                         testing::Values("squeezenet1_1", "shufflenet_v2_x1_0", "mobilenet_v2", "encoder_block", "decoder_block_kv"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace switchyard::tests
