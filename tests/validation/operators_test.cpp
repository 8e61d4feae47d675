// The held-out and the calibration rows of $SWITCHYARD_SHARED: errors stay within what docs/validation.md says, and its tables are current.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

namespace {

std::filesystem::path shared_data() {
  const char* given = std::getenv("SWITCHYARD_SHARED");
  return std::filesystem::path(given != nullptr ? given : SWITCHYARD_SOURCE_DIR "/../shared") / "data" / "silicon";
}

struct Errors {
  double n = 0, median = 0, p90 = 0;
};
using Groups = std::map<std::tuple<std::string, std::string, std::string>, Errors>;

class Operators : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(shared_data() / "ops_validate.csv")) GTEST_SKIP() << "no measurement files";
  }
  static nlohmann::json validate(const std::string& file) {
    const auto out = std::filesystem::temp_directory_path() / ("switchyard_operators_" + std::to_string(getpid()) + ".json");
    const std::string command = std::string("SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY "' validate '") +
                                (shared_data() / file).string() + "' --quiet --format json -o '" + out.string() + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::ifstream in(out);
    auto json = nlohmann::json::parse(in);
    std::filesystem::remove(out);
    return json;
  }
  static Groups groups_of(const nlohmann::json& json) {
    Groups groups;
    for (const auto& g : json["groups"])
      if (!g.contains("variant")) groups[{g["chip"], g["op"], g["format"]}] = {g["n"], g["median_ape_percent"], g["p90_ape_percent"]};
    return groups;
  }
};

TEST_F(Operators, HeldOutRowsStayWithinTheirBands) {
  const nlohmann::json json = validate("ops_validate.csv");
  EXPECT_EQ(json["below_bound"], 0) << "a row is predicted below what its bound allows";
  EXPECT_EQ(json["unattributed"], 0) << "the causes of a row do not add up";
  const Groups groups = groups_of(json);
  const auto within = [&](const char* chip, const char* op, const char* format, double median, double p90) {
    const auto at = groups.find({chip, op, format});
    ASSERT_NE(at, groups.end()) << chip << " " << op;
    EXPECT_LE(at->second.median, median) << chip << " " << op << " " << format;
    EXPECT_LE(at->second.p90, p90) << chip << " " << op << " " << format;
  };
  within("h100-sxm", "gemm", "bf16", 5, 15);
  within("h200", "gemm", "bf16", 5, 15);
  within("h100-sxm", "gemm", "fp32", 9, 32);
  within("h100-sxm", "gemm", "fp8", 10, 28);
  within("h200", "gemm", "fp8", 12, 30);
  within("h100-sxm", "gemm", "fp8_block", 11, 30);
  within("h200", "gemm", "fp8_block", 14, 32);
  within("l4", "gemm", "fp32", 9, 30);
  within("h100-sxm", "batch_gemm", "fp32", 6, 17);
  within("h100-sxm", "attention_prefill", "bf16", 13, 40);
  within("h100-sxm", "attention_decode", "bf16", 15, 42);
  within("h100-sxm", "attention_prefill", "fp8", 11, 36);
  within("l4", "batch_gemm", "fp32", 14, 60);
  for (const char* op : {"add", "mul", "div", "pow", "relu", "gelu", "tanh", "softmax"}) within("l4", op, "fp32", 4, 5);
}

TEST_F(Operators, CalibrationRowsStayWithinTheirBands) {
  const nlohmann::json json = validate("ops_calibrate.csv");
  EXPECT_EQ(json["below_bound"], 0);
  const Groups groups = groups_of(json);
  const Errors gemm = groups.at({"a100-sxm-80g", "gemm", "bf16"});
  EXPECT_EQ(gemm.n, 1767);
  EXPECT_LE(gemm.median, 6);
  EXPECT_LE(gemm.p90, 18);
  for (const char* op : {"attention_prefill", "attention_decode"}) {
    EXPECT_LE(groups.at({"a100-sxm-80g", op, "bf16"}).median, 6) << op;
    EXPECT_LE(groups.at({"a100-sxm-80g", op, "bf16"}).p90, 18) << op;
  }
  for (const char* op : {"softmax", "layer_norm", "batch_gemm"}) EXPECT_LE(groups.at({"a100-pcie-80g", op, "fp32"}).median, 7) << op;
  for (const char* op : {"add", "mul", "div", "relu"}) EXPECT_LE(groups.at({"a100-pcie-40g", op, "fp32"}).median, 3) << op;
}

TEST_F(Operators, ThePageIsCurrent) {
  const std::string command =
      "cd '" SWITCHYARD_SOURCE_DIR "' && SWITCHYARD_CHIPS=chips tools/validation_tables --check --binary '" SWITCHYARD_BINARY "'";
  EXPECT_EQ(std::system(command.c_str()), 0) << "run tools/validation_tables";
}

}  // namespace
