// ONNX's own test cases on chips: how many pass is held, so that none is lost unseen. `switchyard conform` is run as a user runs it.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "binary.h"

namespace switchyard {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The archive of cases, unpacked; empty where there is no test data.
class OnnxCases : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const fs::path models = tests::shared_models();
    if (models.empty()) return;
    const fs::path archive = models.parent_path() / "onnx-backend-tests.tar.xz";
    if (!fs::exists(archive)) return;
    bench = new tests::Workbench;
    const fs::path folder = bench->folder() / "cases";
    fs::create_directories(folder);
    const std::string command = "tar -xJf '" + archive.string() + "' -C '" + folder.string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0);
    cases = folder;
  }
  static void TearDownTestSuite() {
    delete bench;
    bench = nullptr;
  }
  void SetUp() override {
    if (cases.empty()) GTEST_SKIP() << "no ONNX test cases here";
  }

  static json conform(const std::string& folder, const std::string& chip, const std::string& precision) {
    const std::string narrow = precision.empty() ? "" : " --precision " + precision;
    const auto outcome = bench->run("conform " + (cases / folder).string() + " --chip " + chip + narrow + " --format json --quiet");
    EXPECT_LT(outcome.code, 2) << outcome.err;
    return json::parse(outcome.out);
  }

  static tests::Workbench* bench;
  static fs::path cases;
};
tests::Workbench* OnnxCases::bench = nullptr;
fs::path OnnxCases::cases;

struct Held {
  const char* folder;
  const char* chip;
  const char* precision;          ///< "": each tensor's own
  int total, on_chip, bit_exact;  ///< at least so many pass wholly on the chip, and have the expected bits
};

TEST_F(OnnxCases, AsManyPassAsBefore) {
  constexpr Held kHeld[] = {{".", "tx81", "", 1942, 1895, 1262},
                            {"node", "h100-sxm", "", 1802, 1765, 1178},
                            {"node", "p4", "", 1802, 1764, 1177},
                            {"node", "tpu-v3", "bf16", 1802, 1730, 700}};
  for (const Held& held : kHeld) {
    const json report = conform(held.folder, held.chip, held.precision);
    EXPECT_EQ(report["schema"], "switchyard/conform/1");
    EXPECT_EQ(report["chip"], held.chip);
    EXPECT_EQ(report["total"], held.total) << held.folder;
    EXPECT_GE(report["passed_on_chip"], held.on_chip) << held.folder << " on " << held.chip;
    EXPECT_GE(report["bit_exact"], held.bit_exact) << held.folder << " on " << held.chip;
    const int passed = report["passed"];
    EXPECT_EQ(passed, report["passed_on_chip"].get<int>() + report["passed_mixed"].get<int>() + report["passed_on_host"].get<int>());
    EXPECT_EQ(report["total"].get<std::size_t>(),
              static_cast<std::size_t>(passed) + report["failed"].size() + report["unsupported"].size());
    for (const json& failed : report["failed"]) EXPECT_EQ(failed["why"].get<std::string>().find("bug"), std::string::npos) << failed;
  }
}

/// Graphs of the model zoo whose initialisers are inputs, too, and whose weights are one number each: they prove nothing about values.
TEST_F(OnnxCases, LightGraphsImportVerifyAndTime) {
  int graphs = 0;
  for (const auto& entry : fs::directory_iterator(cases / "light")) {
    if (entry.path().extension() != ".onnx") continue;
    const auto outcome = bench->run("run " + entry.path().string() + " --chip tx81 --no-values --effort 0 --format json --quiet");
    ASSERT_EQ(outcome.code, 0) << entry.path() << outcome.err;
    const json report = json::parse(outcome.out);
    EXPECT_GE(report["latency_us"].get<double>(), report["lower_bound_us"].get<double>()) << entry.path();
    EXPECT_GT(report["model"]["macs"].get<double>(), 1e8) << entry.path();
    ++graphs;
  }
  EXPECT_EQ(graphs, 9);
}

TEST_F(OnnxCases, TheTableOfOperatorsIsCurrent) {
  const auto outcome = bench->run("conform cases --chip tx81 --quiet --operators operators.md");
  EXPECT_LT(outcome.code, 2) << outcome.err;
  EXPECT_EQ(tests::text_of(bench->folder() / "operators.md"), tests::text_of(SWITCHYARD_SOURCE_DIR "/docs/operators.md"))
      << "unpack the test cases and run: switchyard conform CASES --chip tx81 --operators docs/operators.md";
}

TEST_F(OnnxCases, ReportDoesNotDependOnThreads) {
  const std::string folder = (cases / "pytorch-operator").string();
  const auto one = bench->run("conform " + folder + " --chip tx81 --format json --quiet --threads 1");
  const auto three = bench->run("conform " + folder + " --chip tx81 --format json --quiet --threads 3");
  EXPECT_EQ(one.out, three.out);
}

TEST_F(OnnxCases, AWrongExpectationFails) {
  const fs::path copy = bench->folder() / "wrong";
  fs::create_directories(copy);
  fs::copy(cases / "node" / "test_relu", copy / "test_relu", fs::copy_options::recursive);
  const auto right = bench->run("conform wrong --chip tx81 --format json --quiet");
  EXPECT_EQ(right.code, 0) << right.err;
  // Absolute values are not what relu gives for negative numbers.
  fs::copy(cases / "node" / "test_abs" / "test_data_set_0" / "output_0.pb", copy / "test_relu" / "test_data_set_0" / "output_0.pb",
           fs::copy_options::overwrite_existing);
  const auto wrong = bench->run("conform wrong --chip tx81 --format json --quiet");
  EXPECT_EQ(wrong.code, 1);
  const json report = json::parse(wrong.out);
  ASSERT_EQ(report["failed"].size(), 1u);
  EXPECT_EQ(report["failed"][0]["case"], "test_relu");
  EXPECT_NE(report["failed"][0]["why"].get<std::string>().find("expected"), std::string::npos);
}

}  // namespace
}  // namespace switchyard
