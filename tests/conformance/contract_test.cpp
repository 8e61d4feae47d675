// The contract with users, as a program that reads reports relies on it: schemas, keys, sums, meanings, exit codes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "binary.h"
#include "support/sha256.h"

namespace switchyard::tests {
namespace {

using Json = nlohmann::json;

Json json_of(const Outcome& outcome) {
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  Json json = Json::parse(outcome.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << outcome.out.substr(0, 200);
  return json;
}

/// Times are printed as microseconds with six decimals: picoseconds, exactly.
std::int64_t ps(const Json& us) { return std::llround(us.get<double>() * 1e6); }

std::int64_t causes(const Json& attribution) {
  static const std::set<std::string> kCauses{"compute", "memory", "interconnect", "reconfiguration", "control", "imbalance"};
  std::int64_t sum = 0;
  EXPECT_EQ(attribution.size(), kCauses.size());
  for (const auto& [name, us] : attribution.items()) {
    EXPECT_TRUE(kCauses.contains(name)) << name;
    EXPECT_GE(ps(us), 0) << name;
    sum += ps(us);
  }
  return sum;
}

void expect_keys(const Json& json, const std::vector<std::string>& keys, const std::string& where) {
  for (const std::string& key : keys) EXPECT_TRUE(json.contains(key)) << where << " lacks " << key;
}

void check_run(const Json& run) {
  expect_keys(
      run,
      {"schema",           "model",    "chip",           "precision",   "latency_us",    "lower_bound_us", "gap",       "peak_bound_us",
       "throughput_per_s", "energy_j", "attribution_us", "utilization", "traffic_bytes", "contexts",       "host",      "memory_peak_bytes",
       "outputs",          "check",    "launch_us",      "load_us",     "timings_s",     "assumptions",    "provenance"},
      "run");
  EXPECT_EQ(run["schema"], "switchyard/run/1");
  expect_keys(run["model"], {"name", "sha256", "ops", "macs", "parameters"}, "model");
  expect_keys(run["chip"], {"name", "sha256"}, "chip");
  expect_keys(run["traffic_bytes"], {"offchip_read", "offchip_written", "offchip_constants", "network", "links"}, "traffic");
  expect_keys(run["memory_peak_bytes"], {"offchip", "scratchpad"}, "memory");
  expect_keys(run["timings_s"], {"import", "compile", "execute", "simulate"}, "timings");
  expect_keys(run["provenance"], {"version", "seed", "argv"}, "provenance");
  expect_keys(run["host"], {"ops", "us"}, "host");
  for (const char* key : {"sha256"}) {
    EXPECT_EQ(run["model"][key].get<std::string>().size(), 64u);
    EXPECT_EQ(run["chip"][key].get<std::string>().size(), 64u);
  }
  const std::int64_t latency = ps(run["latency_us"]);
  EXPECT_EQ(causes(run["attribution_us"]), latency);
  std::int64_t shares = ps(run["launch_us"]) + ps(run["host"]["us"]), read = 0, written = 0;
  for (const Json& c : run["contexts"]) {
    expect_keys(c, {"name", "ops", "repeat", "span_us", "share_us", "lower_bound_us", "attribution_us"}, "context");
    EXPECT_EQ(causes(c["attribution_us"]), ps(c["share_us"])) << c["name"];
    EXPECT_LE(ps(c["lower_bound_us"]), ps(c["span_us"])) << c["name"] << " beats its bound";
    shares += ps(c["share_us"]) * c["repeat"].get<std::int64_t>();
    read += c["offchip_bytes"]["read"].get<std::int64_t>(), written += c["offchip_bytes"]["written"].get<std::int64_t>();
  }
  EXPECT_EQ(shares, latency);
  EXPECT_EQ(read, run["traffic_bytes"]["offchip_read"].get<std::int64_t>());
  EXPECT_EQ(written, run["traffic_bytes"]["offchip_written"].get<std::int64_t>());
  EXPECT_LE(ps(run["lower_bound_us"]), latency);
  EXPECT_NEAR(run["gap"].get<double>() * run["lower_bound_us"].get<double>(), run["latency_us"].get<double>(), 1e-3);
  EXPECT_NEAR(run["throughput_per_s"].get<double>() * run["latency_us"].get<double>() * 1e-6, run["batch"].get<double>(), 1e-6);
  for (const char* key : {"matrix", "vector", "offchip", "network"}) {
    EXPECT_GE(run["utilization"][key].get<double>(), 0) << key;
    EXPECT_LE(run["utilization"][key].get<double>(), 1.0001) << key;
  }
  EXPECT_LE(run["traffic_bytes"]["offchip_constants"].get<std::int64_t>(), run["traffic_bytes"]["offchip_read"].get<std::int64_t>());
  EXPECT_LE(run["traffic_bytes"]["network"].get<std::int64_t>(), run["traffic_bytes"]["links"].get<std::int64_t>());
  for (const Json& a : run["assumptions"]) expect_keys(a, {"field", "value", "confidence"}, "assumption");
}

TEST(Contract, OfARun) {
  const Workbench bench;
  const Json run = json_of(bench.run("run resnet50 --chip tx81 --batch 2 --seed 3 --outputs o --format json --quiet"));
  check_run(run);
  EXPECT_EQ(run["precision"], "bf16") << "built-in models";
  EXPECT_EQ(run["batch"], 2);
  EXPECT_EQ(run["provenance"]["seed"], 3);
  EXPECT_NEAR(run["model"]["parameters"].get<double>(), 25.557e6, 1e3);
  EXPECT_NEAR(run["model"]["macs"].get<double>(), 2 * 4.09e9, 2 * 0.005e9);
  expect_keys(run["check"], {"executed", "against", "outputs", "max_abs_error", "max_rel_error", "cosine", "passed"}, "check");
  EXPECT_EQ(run["check"]["executed"], true);
  EXPECT_EQ(run["check"]["passed"], true);
  ASSERT_EQ(run["outputs"].size(), 1u);
  const Json& output = run["outputs"][0];
  expect_keys(output, {"name", "shape", "format", "sha256"}, "output");
  EXPECT_EQ(output["shape"], (Json::array({2, 1000})));
  EXPECT_EQ(output["format"], "fp32");
  // The digest is of the raw bytes, which stand in the file.
  const std::string file = text_of(bench.folder() / "o/output_0.pb");
  bool found = false;
  for (std::size_t begin = 0; begin + 8000 <= file.size() && !found; ++begin)
    found = sha256_hex(file.substr(begin, 8000)) == output["sha256"].get<std::string>();
  EXPECT_TRUE(found) << "no 8000 bytes of output_0.pb have the digest of the report";
}

TEST(Contract, OfTimesAlone) {
  const Workbench bench;
  for (const char* chip : {"tx81", "h100-sxm", "rpu-8x8"}) {
    const Json run = json_of(bench.run(std::string("run resnet18 --no-values --format json --quiet --chip ") + chip));
    check_run(run);
    EXPECT_EQ(run["check"], (Json{{"executed", false}})) << chip;
    EXPECT_TRUE(run["outputs"].empty());
  }
}

TEST(Contract, OfAComparison) {
  const Workbench bench;
  // onnxim-tpuv4 has no fp32 matrix unit; a chip that cannot has a row with its error.
  const Outcome outcome =
      bench.run("compare gemm --set m=256 --set n=256 --set k=256 --chips tx81,sn40l --precision fp32 --format json --quiet");
  const Json comparison = json_of(outcome);
  EXPECT_EQ(comparison["schema"], "switchyard/compare/1");
  ASSERT_EQ(comparison["runs"].size(), 2u);
  for (const Json& run : comparison["runs"]) {
    if (run.contains("error")) {
      expect_keys(run["error"], {"code", "message"}, "error");
      expect_keys(run, {"schema", "model", "chip", "precision"}, "row");
    } else {
      check_run(run);
    }
    EXPECT_EQ(run["precision"], "fp32") << "one for all";
  }
}

TEST(Contract, OfOverridesAndDiffs) {
  const Workbench bench;
  const Outcome plain = bench.run("run resnet18 --chip tx81 --no-values --quiet --format json -o a.json");
  const Outcome slow = bench.run(
      "run resnet18 --chip tx81 --no-values --quiet --format json -o b.json --override /memories/ddr/bandwidth=100GB/s "
      "--override /sequencer/launch=55us");
  ASSERT_EQ(plain.code + slow.code, 0);
  const Json a = Json::parse(text_of(bench.folder() / "a.json")), b = Json::parse(text_of(bench.folder() / "b.json"));
  check_run(b);
  EXPECT_EQ(b["provenance"]["overrides"], (Json::array({"/memories/ddr/bandwidth=100GB/s", "/sequencer/launch=55us"})));
  EXPECT_NE(a["chip"]["sha256"], b["chip"]["sha256"]) << "another description";
  EXPECT_EQ(ps(b["launch_us"]), 55'000'000);
  const Json diff = json_of(bench.run("diff a.json b.json --format json"));
  EXPECT_EQ(diff["schema"], "switchyard/diff/1");
  EXPECT_EQ(ps(diff["latency_us"]["change"]), ps(b["latency_us"]) - ps(a["latency_us"]));
  std::int64_t moved = 0, attributed = 0;
  for (const Json& m : diff["moved"]) moved += ps(m["share_us"]["change"]);
  for (const auto& [cause, change] : diff["attribution_us"].items()) {
    EXPECT_EQ(ps(change["a"]), ps(a["attribution_us"][cause]));
    EXPECT_EQ(ps(change["b"]), ps(b["attribution_us"][cause]));
    attributed += ps(change["change"]);
  }
  EXPECT_EQ(moved + ps(diff["launch_us"]["change"]), ps(diff["latency_us"]["change"]));
  EXPECT_EQ(attributed, ps(diff["latency_us"]["change"]));
}

TEST(Contract, OfTheLibraries) {
  const Workbench bench;
  const Json chips = json_of(bench.run("chips list --format json"));
  EXPECT_EQ(chips["schema"], "switchyard/chips/1");
  EXPECT_GE(chips["chips"].size(), 12u);
  for (const Json& chip : chips["chips"]) {
    expect_keys(chip, {"name", "family", "peak_tflops"}, "chip");
    EXPECT_FALSE(chip["peak_tflops"].empty()) << chip["name"];
  }
  const Json models = json_of(bench.run("models list --format json"));
  EXPECT_EQ(models["schema"], "switchyard/models/1");
  EXPECT_GE(models["models"].size(), 7u);
}

TEST(Contract, SameBytesOnAnyNumberOfThreads) {
  const Workbench bench;
  const auto report = [&](const std::string& threads) {
    Json run = json_of(bench.run("run resnet18 --chip tx81 --format json --quiet --threads " + threads));
    run.erase("timings_s");
    run["provenance"].erase("argv");
    return run.dump();
  };
  EXPECT_EQ(report("1"), report("3"));
}

}  // namespace
}  // namespace switchyard::tests
