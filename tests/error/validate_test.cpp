// Measurement files as users write them: what is wrong with a row is said at its place; what cannot be predicted is counted.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "report/measurement.h"

namespace {

using namespace switchyard;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class Validate : public ::testing::Test {
 protected:
  Validate() : folder_(std::filesystem::temp_directory_path() / ("switchyard_validate_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Validate() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Validate(const Validate&) = delete;
  Validate& operator=(const Validate&) = delete;

  /// Runs `switchyard validate m.csv ARGUMENTS` on these rows; all that it printed, then its exit code.
  [[nodiscard]] std::string run(const std::string& rows, const std::string& arguments = "") const {
    std::ofstream(folder_ / "m.csv", std::ios::binary) << rows;
    const std::string command = "cd '" + folder_.string() +
                                "' && SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY "' validate m.csv " +
                                arguments + " >.out 2>.err </dev/null";
    const int status = std::system(command.c_str());
    return text_of(folder_ / ".out") + text_of(folder_ / ".err") + "exit " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  }

  std::filesystem::path folder_;
};

TEST_F(Validate, TellsWhereARowIsBroken) {
  const std::string header = "chip,op,shape,format,best_us\n";
  EXPECT_EQ(run("chip,op,shape,format\n"), "m.csv:1:1: error: the header has no column 'best_us' [measurement/header]\nexit 3");
  EXPECT_EQ(run(header),
            "m.csv: error: there are no rows of measurements [measurement/header]\n"
            "  hint: the first line names the columns: chip,op,shape,format,best_us\nexit 3");
  const std::string bad = run(header + "tx81,gemm,m=1;n=1,fp16\ntx81,gemm,m=1;n=1;k=1,fp16,-3\ntx81,gemm,m1,fp16,3\n");
  EXPECT_NE(bad.find("m.csv:2:1: error: 4 fields, but the header has 5 [measurement/row]"), std::string::npos) << bad;
  EXPECT_NE(bad.find("m.csv:3:1: error: 'best_us' must be a positive number, not '-3' [measurement/row]"), std::string::npos) << bad;
  EXPECT_NE(bad.find("m.csv:4:1: error: 'shape' must be key=value;..., but has 'm1' [measurement/row]"), std::string::npos) << bad;
  const std::string absurd = run(header + "tx81,gemm,m=1;n=0,fp16,3\ntx81,relu,rows=9999999999;cols=1,fp16,3\n");
  EXPECT_NE(absurd.find("m.csv:2:1: error: 'n' of gemm must be a whole number from 1 to 16777216, not '0' [operation/shape]"),
            std::string::npos)
      << absurd;
  EXPECT_NE(absurd.find("m.csv:2:1: error: gemm needs a size 'k' [operation/shape]"), std::string::npos) << absurd;
  EXPECT_NE(absurd.find("m.csv:3:1: error: 'rows' of relu must be"), std::string::npos) << absurd;
  EXPECT_NE(absurd.find("exit 3"), std::string::npos) << absurd;
}

TEST_F(Validate, CountsWhatItSkips) {
  const std::string rows =
      "chip,op,shape,format,best_us,note\n"
      "tx81,gemm,m=64;n=64;k=64,fp16,150,\"a, b\"\n"
      "tx82,gemm,m=64;n=64;k=64,fp16,150,\n"
      "tx81,fft,m=64,fp16,150,\n"
      "tx81,gemm,m=64;n=64;k=64,fp3,150,\n"
      "tx81,gemm,m=64;n=64;k=64,fp64,150,\n";
  const std::string json = run(rows, "--format json");
  EXPECT_NE(json.find("{\n  \"schema\": \"switchyard/validate/1\",\n  \"rows\": 5,"), std::string::npos) << json;
  EXPECT_NE(json.find("\"op\": \"gemm\",\n      \"format\": \"fp16\",\n      \"n\": 1,\n      \"mape_percent\": "), std::string::npos)
      << json;
  for (const char* reason : {"{\"reason\": \"no chip file 'tx82'\", \"n\": 1}", "{\"reason\": \"unknown operator 'fft'\", \"n\": 1}",
                             "{\"reason\": \"operators in fp3 cannot be built\", \"n\": 1}",
                             "{\"reason\": \"gemm on tx81 in fp64: compile/unsupported-format\", \"n\": 1}"})
    EXPECT_NE(json.find(reason), std::string::npos) << reason << "\n" << json;
  EXPECT_NE(json.find("exit 0"), std::string::npos) << json;
  EXPECT_EQ(run(rows, "--quiet --threads 1"), run(rows, "--quiet --threads 3"));
  EXPECT_EQ(run(rows, "--quiet --rows r.csv --report r.svg"), run(rows, "--quiet"));
  EXPECT_EQ(text_of(folder_ / "r.csv").substr(0, 8), "chip,op,");
  EXPECT_NE(text_of(folder_ / "r.svg").find("<svg"), std::string::npos);
}

TEST_F(Validate, KnowsChipsByTheirMakerAndCachesInOtherFormats) {
  const std::string rows =
      "chip,op,shape,format,best_us\n"
      "amd-mi210,gemm,m=64;n=64;k=64,fp16,10\n"
      "h100-sxm,attention_decode,batch=1;context=64;heads=4;kv_heads=4;dim=64;kv=fp8,bf16,10\n"
      "h100-sxm,attention_decode,batch=1;context=64;heads=4;kv_heads=4;dim=64;kv=int4,bf16,10\n";
  const std::string json = run(rows, "--format json");
  EXPECT_EQ(json.find("no chip file"), std::string::npos) << json;
  EXPECT_NE(json.find("\"variant\": \"cache fp8\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"reason\": \"caches in int4 beside operators in bf16 cannot be built\", \"n\": 1"), std::string::npos) << json;
}

TEST_F(Validate, AnOperationMustBeKnown) {
  const auto graph = model::build_operation({"fft", {}});
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.failure().diagnostics.front().code, "operation/unknown");
  for (const std::string& name : model::operation_names()) {
    const auto missing = model::build_operation({name, {}});
    ASSERT_FALSE(missing) << name;
    EXPECT_EQ(missing.failure().diagnostics.front().code, "operation/shape") << name;
  }
}

}  // namespace
