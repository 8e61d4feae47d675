// A sample of the measured rows of $SWITCHYARD_SHARED: no prediction below its bound, causes that add up, nothing skipped that can be
// built. The test of all of them is tests/validation/operators_test.cpp.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace {

std::filesystem::path shared_data() {
  const char* given = std::getenv("SWITCHYARD_SHARED");
  return std::filesystem::path(given != nullptr ? given : SWITCHYARD_SOURCE_DIR "/../shared") / "data" / "silicon";
}

TEST(MeasuredRows, ASampleKeepsTheLaws) {
  for (const char* file : {"ops_calibrate.csv", "ops_validate.csv"}) {
    SCOPED_TRACE(file);
    if (!std::filesystem::exists(shared_data() / file)) GTEST_SKIP() << "no measurement files";
    const auto out = std::filesystem::temp_directory_path() / ("switchyard_rows_" + std::to_string(getpid()) + ".json");
    const std::string command = std::string("SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY "' validate '") +
                                (shared_data() / file).string() + "' --every 61 --quiet --format json -o '" + out.string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0);
    std::ifstream in(out);
    const auto json = nlohmann::json::parse(in);
    std::filesystem::remove(out);
    EXPECT_GT(json["overall"]["n"], 200);
    EXPECT_EQ(json["below_bound"], 0);
    EXPECT_EQ(json["unattributed"], 0);
    for (const auto& skipped : json["skipped"]) EXPECT_FALSE(skipped["reason"].get<std::string>().starts_with("operators in")) << skipped;
  }
}

}  // namespace
