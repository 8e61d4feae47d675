// Any bytes given as a report to `diff` give a diff or diagnostics.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "fuzz/damage.h"
#include "report/diff.h"
#include "report/json.h"

namespace switchyard::report {
namespace {

constexpr std::string_view kAlphabet = "[]{}:,\"0123456789.-+eE \nabcus_";

RunReport small_run() {
  RunReport r;
  r.model = {"model", "aa", 3, 1000, 10};
  r.chip = {"chip", "bb", "Chip"};
  r.precision = "bf16";
  r.latency = Picoseconds(123'456'789);
  r.lower_bound = Picoseconds(100'000'000);
  r.attribution[0] = r.latency;
  for (const char* name : {"conv1", "relu", "fc"}) {
    ContextReport c;
    c.name = name;
    c.ops = {name, "shared"};
    c.share = c.span = Picoseconds(41'152'263);
    c.attribution[0] = c.share;
    r.contexts.push_back(c);
  }
  return r;
}

TEST(Report, DamagedReportsGiveADiffOrDiagnostics) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / ("switchyard_report_" + std::to_string(getpid()) + ".json");
  int read = 0, refused = 0;
  for (const std::string& good : {print_json(small_run()), print_comparison_json({small_run(), small_run()})}) {
    std::ofstream(path, std::ios::binary) << good;
    const Result<std::vector<RunRecord>> original = read_runs(path.string());
    ASSERT_TRUE(original.ok());
    for (std::uint32_t seed = 0; seed < 1500; ++seed) {
      std::ofstream(path, std::ios::binary) << fuzz::damage(good, seed, kAlphabet);
      const Result<std::vector<RunRecord>> damaged = read_runs(path.string());
      if (!damaged) {
        ++refused;
        ASSERT_FALSE(damaged.failure().diagnostics.empty());
        for (const Diagnostic& d : damaged.failure().diagnostics) ASSERT_LT(format_diagnostic(d).size(), 4000u) << seed;
        continue;
      }
      ++read;
      const Pairs pairs = pair_runs(original.value(), damaged.value());
      ASSERT_FALSE(print_diff_json(pairs).empty());
      if (!pairs.diffs.empty()) {
        ASSERT_FALSE(print_diff(pairs, false, 8).empty());
      }
      print_diff_markdown(pairs, 8);
      print_csv(diff_rows(pairs));
    }
  }
  std::filesystem::remove(path);
  EXPECT_GT(read, 50);
  EXPECT_GT(refused, 50);
}

TEST(Report, RefusesTimesThatCannotBeAddedUp) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / ("switchyard_sums_" + std::to_string(getpid()) + ".json");
  std::string text = print_json(small_run());
  for (std::size_t at = 0; (at = text.find("41.152263", at)) != std::string::npos;) text.replace(at, 9, "9e11");
  std::ofstream(path, std::ios::binary) << text;
  const Result<std::vector<RunRecord>> runs = read_runs(path.string());
  ASSERT_FALSE(runs.ok());
  EXPECT_NE(format_failure(runs.failure()).find("add up to more than can be counted [report/value]"), std::string::npos)
      << format_failure(runs.failure());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace switchyard::report
