// Any bytes given as YAML or JSON give a tree that prints and reads back, or diagnostics with a place.
#include "support/document.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "fuzz/damage.h"
#include "support/file.h"

namespace switchyard {
namespace {

constexpr std::string_view kAlphabet = "[]{}:,-?#&*!|>'\"%@ \n\t\r\\ab0e.~=\xc3\xa9";

void expect_tree_or_diagnostic(const std::string& text, const std::string& what) {
  const Result<Document> document = parse_document(text, "fuzz.yaml");
  if (document) {
    const std::string printed = print_yaml(document.value().root);
    const Result<Document> back = parse_document(printed, "printed.yaml");
    ASSERT_TRUE(back.ok()) << what << "\n" << format_failure(back.failure()) << printed.substr(0, 4000);
    ASSERT_TRUE(print_yaml(back.value().root) == printed) << what << "\n" << printed.substr(0, 4000);
    return;
  }
  ASSERT_FALSE(document.failure().diagnostics.empty()) << what;
  for (const Diagnostic& diagnostic : document.failure().diagnostics) {
    ASSERT_TRUE(diagnostic.code.starts_with("document/")) << what;
    ASSERT_GT(diagnostic.location.line, 0) << what << ": " << diagnostic.message;
    ASSERT_GT(diagnostic.location.column, 0) << what << ": " << diagnostic.message;
    ASSERT_LT(format_diagnostic(diagnostic).size(), 2000u) << what;
  }
}

TEST(Document, DamagedChipFiles) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SWITCHYARD_SOURCE_DIR "/chips")) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  ASSERT_FALSE(paths.empty());
  for (const std::string& path : paths) {
    const Result<std::string> good = read_file(path);
    ASSERT_TRUE(good.ok());
    expect_tree_or_diagnostic(good.value(), path);
    for (std::uint32_t seed = 0; seed < 400; ++seed) {
      expect_tree_or_diagnostic(fuzz::damage(good.value(), seed, kAlphabet), path + " seed " + std::to_string(seed));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(Document, Noise) {
  for (std::uint32_t seed = 0; seed < 4000; ++seed) {
    std::mt19937 random(seed);
    std::string text;
    for (unsigned i = random() % 60; i > 0; --i) {
      text += random() % 16 == 0 ? static_cast<char>(random() & 0xff) : kAlphabet[random() % kAlphabet.size()];
    }
    expect_tree_or_diagnostic(text, "seed " + std::to_string(seed));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(Document, RepetitionTakesLinearTime) {
  for (const char* piece :
       {"[",   "{",   "]",     "- ",    "-\n",  "? ", ": ", "a: ", "a:\n ", "a,",   "\"",    "'",      "|\n",      ">\n",  "&a ", "*a ",
        "!t ", "#\n", "---\n", "...\n", "%a\n", "\n", "\t", " ",   "\\",    "[a: ", "{a: [", "\"a\":", "\xc3\xa9", "a b ", "[[],"}) {
    std::string text;
    while (text.size() < 200000) text += piece;
    const auto start = std::chrono::steady_clock::now();
    expect_tree_or_diagnostic(text, piece);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << piece;
  }
}

}  // namespace
}  // namespace switchyard
