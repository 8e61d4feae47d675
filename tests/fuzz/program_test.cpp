// Any bytes given as a program give a program that verify can judge and that reads back the same, or diagnostics.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "fuzz/damage.h"
#include "program/text.h"
#include "program/verify.h"
#include "support/file.h"

namespace switchyard::program {
namespace {

constexpr std::string_view kAlphabet = "[]{}():,.=+-*/#\" \n0123456789abcdehijklmnorstwxyACBW";

void expect_program_or_diagnostic(const std::string& text, const std::string& what) {
  const Result<Program> read = parse(text, "fuzz.syp");
  if (!read) {
    ASSERT_FALSE(read.failure().diagnostics.empty()) << what;
    return;
  }
  const Status verified = verify(read.value());
  ASSERT_TRUE(verified.ok() || !verified.failure().diagnostics.empty()) << what;
  const std::string printed = print(read.value());
  const Result<Program> again = parse(printed, "fuzz.syp");
  ASSERT_TRUE(again.ok()) << what << "\n" << format_failure(again.failure());
  ASSERT_EQ(print(again.value()), printed) << what;
}

TEST(Program, DamagedTexts) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(SWITCHYARD_SOURCE_DIR "/examples/programs"))
    if (entry.path().extension() == ".syp") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  ASSERT_FALSE(paths.empty());
  for (const std::string& path : paths) {
    const Result<std::string> text = read_file(path);
    ASSERT_TRUE(text.ok());
    for (std::uint32_t seed = 0; seed < 500; ++seed) {
      expect_program_or_diagnostic(fuzz::damage(text.value(), seed, kAlphabet), path + " seed " + std::to_string(seed));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Program, DeepNestingIsADiagnostic) {
  const std::string head =
      "switchyard program 1\nchip tx81\ncontext c {\n  array t[1] of tile = 0\n  compute a on t.ct {\n    in x fp32[1]\n    dim i = 1\n   "
      " ";
  for (const std::string& nest : {std::string(100000, '('), std::string(100000, '-'), std::string(100000, '[')}) {
    const Result<Program> read = parse(head + "x[i] = " + nest, "deep.syp");
    ASSERT_FALSE(read.ok());
  }
}

}  // namespace
}  // namespace switchyard::program
