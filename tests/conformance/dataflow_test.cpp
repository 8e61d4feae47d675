// What keeping values on the chip is worth, and that it changes no value: the ablations of the compiler, through the binary.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "binary.h"

namespace switchyard::tests {
namespace {

using nlohmann::json;

json report_of(const Workbench& bench, const std::string& what) {
  const Outcome outcome = bench.run("run " + what + " --format json --quiet");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return json::parse(outcome.out);
}

double off_chip(const json& report, bool constants) {
  const json& t = report.at("traffic_bytes");
  return t.at("offchip_read").get<double>() + t.at("offchip_written").get<double>() -
         (constants ? 0 : t.at("offchip_constants").get<double>());
}

/// The targets of the plan: bytes other than weights fall five times and more, all bytes 2.2 times (ResNet-50) and 2.5 times (a BERT
/// layer).
TEST(Dataflow, FusionKeepsActivationsOnTheChip) {
  const Workbench bench;
  for (const auto& [model, all] : {std::pair{"resnet50", 2.2}, std::pair{"bert-base --set layers=1", 2.5}}) {
    SCOPED_TRACE(model);
    const std::string base = std::string(model) + " --chip tx81 --no-values";
    const json fused = report_of(bench, base), apart = report_of(bench, base + " --disable fuse");
    EXPECT_GE(off_chip(apart, false) / off_chip(fused, false), 5);
    EXPECT_LT(fused.at("latency_us"), apart.at("latency_us"));
    EXPECT_GE(off_chip(apart, true) / off_chip(fused, true), all);
  }
}

/// Every strategy gives the right values: each operator's outputs are recomputed by the reference evaluator.
TEST(Dataflow, EveryAblationComputesTheSame) {
  const Workbench bench;
  for (const char* model : {"bert-base --set layers=1 --set seq=48 --set hidden=64 --set ffn=128 --set vocab=512", "resnet18"})
    for (const char* disable :
         {"", " --disable fuse", " --disable share", " --disable overlap", " --disable pin", " --disable fuse,share,overlap,pin"}) {
      SCOPED_TRACE(std::string(model) + disable);
      const json report = report_of(bench, std::string(model) + " --chip tx81" + disable);
      EXPECT_TRUE(report.at("check").at("passed").get<bool>());
      EXPECT_GE(report.at("gap").get<double>(), 1.0);
    }
}

/// Attention scores are scaled through the queries: nothing multiplies behind the product.
TEST(Dataflow, ScalesGoBeforeProducts) {
  const Workbench bench;
  const Outcome outcome = bench.run("compile bert-base --set layers=1 --set seq=32 --chip tx81 -o p.syp");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("the factor 0.125 behind 'encoder.layer.0.attention.self.scores' goes into"), std::string::npos)
      << outcome.err;
}

}  // namespace
}  // namespace switchyard::tests
