#include "report/diff.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "report/json.h"
#include "report/test_runs.h"
#include "support/document.h"

namespace switchyard::report {
namespace {

class DiffTest : public ::testing::Test {
 protected:
  DiffTest() {
    std::string name = (std::filesystem::temp_directory_path() / "switchyard_diff_XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~DiffTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  DiffTest(const DiffTest&) = delete;
  DiffTest& operator=(const DiffTest&) = delete;

  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  [[nodiscard]] std::vector<RunRecord> records(const std::string& name, const std::string& text) const {
    Result<std::vector<RunRecord>> runs = read_runs(file(name, text));
    EXPECT_TRUE(runs.ok()) << (runs.ok() ? "" : format_failure(runs.failure()));
    return runs.ok() ? std::move(runs).value() : std::vector<RunRecord>{};
  }
  [[nodiscard]] std::string refused(const std::string& text) const {
    const Result<std::vector<RunRecord>> runs = read_runs(file("bad.json", text));
    EXPECT_FALSE(runs.ok()) << text;
    if (runs.ok()) return {};
    EXPECT_EQ(runs.failure().kind, FailureKind::malformed);
    return format_failure(runs.failure());
  }

  std::filesystem::path folder_;
};

RunReport report_of(const std::vector<std::pair<std::vector<std::string>, simulation::Attribution>>& contexts) {
  RunReport r = sample_run();
  r.contexts.clear();
  r.attribution = {};
  r.latency = r.launch = Picoseconds(7);
  r.attribution[4] = r.launch;
  for (const auto& [ops, causes] : contexts) {
    ContextReport c;
    c.name = ops.front();
    c.ops = ops;
    c.attribution = causes;
    for (std::size_t k = 0; k < causes.size(); ++k) c.share += causes[k], r.attribution[k] += causes[k];
    r.latency += c.share;
    r.contexts.push_back(c);
  }
  return r;
}

simulation::Attribution causes(std::int64_t compute, std::int64_t memory) { return {Picoseconds(compute), Picoseconds(memory)}; }

TEST_F(DiffTest, ReadsWhatAReportSaysToTheLastDigit) {
  RunReport r = sample_run();
  r.overrides = {"/a=1"};
  r.offchip_read = 123'456'789'012'345;
  const std::vector<RunRecord> runs = records("a.json", print_json(r));
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].latency, r.latency);
  EXPECT_EQ(runs[0].attribution, r.attribution);
  EXPECT_EQ(runs[0].launch, r.launch);
  EXPECT_EQ(runs[0].traffic[0], r.offchip_read);
  EXPECT_EQ(runs[0].batch, 4);
  EXPECT_EQ(runs[0].overrides, r.overrides);
  ASSERT_EQ(runs[0].contexts.size(), 20u);
  EXPECT_EQ(runs[0].contexts[3].ops[1], "Relu");
  EXPECT_EQ(runs[0].contexts[3].share, r.contexts[3].share);
}

TEST_F(DiffTest, MatchesContextsByTheirOperators) {
  // A fuses conv and relu, B the relu with the pool behind it; other is in both, extra only in B.
  const RunReport a = report_of({{{"conv", "relu"}, causes(50, 10)}, {{"pool"}, causes(5, 5)}, {{"other"}, causes(1, 1)}});
  const RunReport b =
      report_of({{{"conv"}, causes(20, 10)}, {{"relu", "pool"}, causes(5, 15)}, {{"other"}, causes(1, 1)}, {{"extra"}, causes(0, 3)}});
  const Pairs pairs = pair_runs(records("a.json", print_json(a)), records("b.json", print_json(b)));
  ASSERT_EQ(pairs.diffs.size(), 1u);
  const Diff& d = pairs.diffs[0];
  ASSERT_EQ(d.moved.size(), 3u);
  EXPECT_EQ(d.moved[0].ops, (std::vector<std::string>{"conv", "relu", "pool"}));
  EXPECT_EQ(d.moved[0].in_a, (std::vector<std::string>{"conv", "pool"}));
  EXPECT_EQ(d.moved[0].in_b, (std::vector<std::string>{"conv", "relu"}));
  EXPECT_EQ(d.moved[0].a, Picoseconds(70));
  EXPECT_EQ(d.moved[0].b, Picoseconds(50));
  EXPECT_EQ(d.moved[0].change[0], Picoseconds(-30));
  EXPECT_EQ(d.moved[0].change[1], Picoseconds(10));
  EXPECT_EQ(d.moved[1].ops, std::vector<std::string>{"extra"});
  EXPECT_TRUE(d.moved[1].in_a.empty());
  const std::string text = print_diff(pairs, false, 8);
  EXPECT_NE(text.find("mainly compute moved"), std::string::npos) << text;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    EXPECT_LE(end - begin, 100u) << text.substr(begin, end - begin);
    begin = end + 1;
  }
}

TEST_F(DiffTest, ChangesAddUpToTheChangeOfTheTime) {
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    const auto any = [&] {
      std::vector<std::pair<std::vector<std::string>, simulation::Attribution>> contexts;
      std::vector<std::string> ops;
      for (int op = 0; op < 12; ++op) {
        if (random() % 8 != 0) ops.push_back("op" + std::to_string(op));
        if (ops.empty() || random() % 3 != 0) continue;
        contexts.push_back({ops, causes(static_cast<int>(random() % 1000), static_cast<int>(random() % 1000))});
        ops.clear();
      }
      return report_of(contexts);
    };
    const RunReport a = any(), b = any();
    const Pairs pairs = pair_runs(records("a.json", print_json(a)), records("b.json", print_json(b)));
    const Diff& d = pairs.diffs.at(0);
    Picoseconds shares = d.b.launch - d.a.launch;
    simulation::Attribution sum{};
    for (const Moved& m : d.moved) {
      shares += m.delta();
      Picoseconds own;
      for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += m.change[k], own += m.change[k];
      EXPECT_EQ(own, m.delta());
    }
    EXPECT_EQ(shares, d.delta());
    for (std::size_t k = 0; k < sum.size(); ++k) EXPECT_EQ(sum[k], b.attribution[k] - a.attribution[k]) << k;
    // And backwards.
    const Pairs back = pair_runs(records("b.json", print_json(b)), records("a.json", print_json(a)));
    EXPECT_EQ(back.diffs.at(0).moved.size(), d.moved.size());
    EXPECT_EQ(back.diffs.at(0).delta(), d.a.latency - d.b.latency);
  }
}

TEST_F(DiffTest, PairsTheRunsOfComparisons) {
  RunReport one = sample_run(), two = sample_run(), three = sample_run(), failed;
  two.chip.name = "other";
  three.batch = 8;
  failed.error = Diagnostic{"compile/does-not-fit", "too large", {}, {}, {}, {}};
  const Pairs pairs =
      pair_runs(records("a.json", print_comparison_json({one, failed, two})), records("b.json", print_comparison_json({three, two, one})));
  ASSERT_EQ(pairs.diffs.size(), 2u);
  EXPECT_EQ(pairs.diffs[1].a.chip, "other");
  EXPECT_TRUE(pairs.only_a.empty());
  EXPECT_EQ(pairs.only_b, std::vector<std::string>{"tx81 bf16 batch 8"});
  EXPECT_NE(print_diff(pairs, false, 8).find("only in B: tx81 bf16 batch 8"), std::string::npos);
  const Result<Document> json = parse_document(print_diff_json(pairs), "d.json");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json.value().root.find("pairs")->items.size(), 2u);
  // One run each is a pair, whatever they are.
  const Pairs two_chips = pair_runs(records("a.json", print_json(one)), records("b.json", print_json(two)));
  ASSERT_EQ(two_chips.diffs.size(), 1u);
  EXPECT_EQ(two_chips.diffs[0].differences, std::vector<std::string>{"chip: tx81 in A, other in B"});
  const Result<Document> flat = parse_document(print_diff_json(two_chips), "d.json");
  ASSERT_TRUE(flat.ok());
  EXPECT_EQ(flat.value().root.find("schema")->text, "switchyard/diff/1");
  EXPECT_EQ(flat.value().root.find("latency_us")->find("change")->text, "0.000000");
  EXPECT_NE(print_diff(two_chips, false, 8).find("the same time"), std::string::npos);
}

TEST_F(DiffTest, RefusesWhatIsNoReport) {
  EXPECT_NE(refused("{}").find("not a report: it has no 'schema' [report/schema]"), std::string::npos);
  EXPECT_NE(refused("[1, 2]").find("bad.json:1:1: error: not a report: it does not begin as a JSON object does [report/schema]"),
            std::string::npos);
  EXPECT_NE(refused("").find("[report/schema]"), std::string::npos);
  EXPECT_NE(refused("{\"schema\": \"switchyard/explain/1\"}").find("reports of schema 'switchyard/explain/1' cannot be compared"),
            std::string::npos);
  EXPECT_NE(refused("{\"schema\": \"switchyard/compare/1\", \"runs\": []}").find("it holds no runs [report/no-result]"), std::string::npos);
  EXPECT_NE(refused("{\"schema\": \"switchyard/run/1\"}").find("'/' has no 'latency_us' [report/missing-key]"), std::string::npos);
  std::string text = print_json(sample_run());
  text.replace(text.find("1000.000007"), 11, "\"quick\"    ");
  const std::string message = refused(text);
  EXPECT_NE(message.find("'quick' is no number [report/value]"), std::string::npos) << message;
  EXPECT_NE(message.find("bad.json:7:17:"), std::string::npos) << message;
  RunReport failed;
  failed.error = Diagnostic{"compile/does-not-fit", "too large", {}, {}, {}, {}};
  EXPECT_NE(refused(print_comparison_json({failed})).find("all its runs failed"), std::string::npos);
  EXPECT_NE(refused("{\"schema\": ").find("[document/syntax]"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::report
