// Any bytes given as a chip description give a chip that reads back the same, or diagnostics.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "chip/describe.h"
#include "chip/read.h"
#include "fuzz/damage.h"
#include "support/file.h"

namespace switchyard::chip {
namespace {

constexpr std::string_view kAlphabet = "[]{}:,-#\" \n0123456789.eE%xGMKiBs/acdhiknoprtu";

void expect_chip_or_diagnostic(const std::string& text, const std::string& what) {
  const Result<Chip> chip = parse_chip(text, "fuzz.yaml");
  if (chip) {
    const Result<Chip> back = parse_chip(chip.value().text, "fuzz.yaml");
    ASSERT_TRUE(back.ok()) << what << "\n" << format_failure(back.failure());
    ASSERT_TRUE(back.value() == chip.value()) << what;
    ASSERT_FALSE(describe(chip.value()).empty());
    return;
  }
  ASSERT_FALSE(chip.failure().diagnostics.empty()) << what;
  for (const Diagnostic& diagnostic : chip.failure().diagnostics) {
    ASSERT_TRUE(diagnostic.code.starts_with("chip/") || diagnostic.code.starts_with("document/")) << what << ": " << diagnostic.code;
    ASSERT_GT(diagnostic.location.line, 0) << what << ": " << diagnostic.message;
  }
}

std::vector<std::string> chip_texts() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(SWITCHYARD_SOURCE_DIR "/chips")) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const std::string& path : paths) {
    Result<std::string> text = read_file(path);
    if (text) texts.push_back(std::move(text).value());
  }
  return texts;
}

TEST(Chip, DamagedDescriptions) {
  const std::vector<std::string> texts = chip_texts();
  ASSERT_FALSE(texts.empty());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    for (std::uint32_t seed = 0; seed < 600; ++seed) {
      expect_chip_or_diagnostic(fuzz::damage(texts[i], seed, kAlphabet), "file " + std::to_string(i) + " seed " + std::to_string(seed));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Chip, DamagedOverrides) {
  const std::vector<Override> good = {{"/memories/ddr/bandwidth", "400 GB/s"}, {"/units/ne/rate", "8192 MAC/cycle"},
                                      {"/components/tile/holes", "[[0, 1]]"},  {"/sequencer", "{kind: grid}"},
                                      {"/networks/noc/hop", "1 ns"},           {"/units/ct/rate/bf16", "{value: 1 op/cycle}"}};
  for (std::uint32_t seed = 0; seed < 3000; ++seed) {
    Override change = good[seed % good.size()];
    if (seed % 3 != 0) change.pointer = fuzz::damage(change.pointer, seed, "/~01abcdeimnorstuwh");
    if (seed % 3 != 1) change.quantity = fuzz::damage(change.quantity, seed, kAlphabet);
    const Result<Chip> chip = load_chip(SWITCHYARD_SOURCE_DIR "/chips/tx81.yaml", {}, {change});
    if (chip) {
      const Result<Chip> back = parse_chip(chip.value().text, "fuzz.yaml");
      ASSERT_TRUE(back.ok() && back.value() == chip.value()) << change.pointer << " = " << change.quantity;
    } else {
      ASSERT_FALSE(chip.failure().diagnostics.empty());
    }
  }
}

TEST(Chip, ManyMistakesTakeLittleTime) {
  std::string entries, holes;
  for (int i = 0; i < 30000; ++i) {
    entries += "  unit" + std::to_string(i) + ": {kind: matrix, rate: {}}\n";
    holes += "[9, 9, " + std::to_string(i) + "], ";
  }
  const auto start = std::chrono::steady_clock::now();
  expect_chip_or_diagnostic("units:\n" + entries, "entries");
  expect_chip_or_diagnostic("components: {chip: {}, tile: {in: chip, array: [4, 4], holes: [" + holes + "]}}", "holes");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace switchyard::chip
