// docs/diagnostics.md lists every stable code that the sources can emit, and no other; and each code is produced by some test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "cli/diagnostic_page.h"

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::set<std::string> found(const std::string& text, const std::regex& pattern) {
  std::set<std::string> result;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) result.insert((*it)[1].str());
  return result;
}

/// Is this the text of a test, or of what only tests use?
bool of_tests(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with("_test.cpp") || name.starts_with("test_");
}

/// The texts of all C++ files under `folder`, for which `wanted` holds.
template <typename Wanted>
std::string texts_under(const fs::path& folder, Wanted wanted) {
  std::string all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    if (entry.is_regular_file() && (extension == ".cpp" || extension == ".h") && wanted(entry.path())) all += text_of(entry.path());
  }
  return all;
}

/// A code is a string literal of its own, or stands in brackets at the end of a message.
std::set<std::string> emitted() {
  const std::string sources = texts_under(SWITCHYARD_SOURCE_DIR "/src", [](const fs::path& p) { return !of_tests(p); });
  std::set<std::string> codes = found(sources, std::regex(R"re("([a-z]+/[a-z]+(?:-[a-z]+)*)")re"));
  codes.merge(found(sources, std::regex(R"re(\[([a-z]+/[a-z]+(?:-[a-z]+)*)\])re")));
  for (const char* unit : {"bit/s", "op/s", "op/cycle", "ops/cycle", "lane/cycle", "lanes/cycle"}) codes.erase(unit);
  return codes;
}

TEST(Codes, ThePageListsThoseThatTheSourcesEmit) {
  const std::set<std::string> codes = emitted();
  EXPECT_GT(codes.size(), 100u) << "the search has lost the codes";
  const std::string page = text_of(SWITCHYARD_SOURCE_DIR "/docs/diagnostics.md");
  std::set<std::string> rows;
  for (const std::string& row : found(page, std::regex(R"re(\n\| (`[^|]*`) \| [^|\n]+ \| [^|\n]+ \|)re"))) {
    rows.merge(found(row, std::regex("`([^`]*)`")));
  }
  EXPECT_THAT(rows, testing::ContainerEq(codes)) << "expected: what src/ emits; actual: the rows of docs/diagnostics.md";
}

TEST(Codes, HelpKnowsThePage) {
  EXPECT_TRUE(switchyard::cli::diagnostic_page() == text_of(SWITCHYARD_SOURCE_DIR "/docs/diagnostics.md")) << "the binary has another page";
  std::set<std::string> explained;
  for (const switchyard::cli::CodeEntry& entry : switchyard::cli::diagnostic_codes()) {
    EXPECT_TRUE(explained.insert(entry.code).second) << entry.code << " is explained twice";
    for (const std::string& text : {entry.means, entry.advice, entry.subject}) {
      EXPECT_FALSE(text.empty()) << entry.code;
      EXPECT_EQ(text.find("]("), std::string::npos) << entry.code << ": " << text;
    }
  }
  EXPECT_THAT(explained, testing::ContainerEq(emitted()));
}

TEST(Codes, EachIsProducedByATest) {
  // Those that no input of a test can produce, and why.
  const std::set<std::string> exempt = {
      "onnx/too-large",    // needs a file of 2 GiB
      "tensor/too-large",  // needs a tensor of 2 GiB
  };
  std::string tests = texts_under(SWITCHYARD_SOURCE_DIR "/src", of_tests) +
                      texts_under(SWITCHYARD_SOURCE_DIR "/tests", [](const fs::path& p) { return p.filename() != "codes_test.cpp"; });
  for (std::size_t at = 0; (at = tests.find("\\n", at)) != std::string::npos;) tests.replace(at, 2, "  ");  // a code may begin a line
  const std::set<std::string> mentioned = found(tests, std::regex(R"re(([a-z]+/[a-z]+(?:-[a-z]+)*))re"));
  for (const std::string& code : emitted()) {
    EXPECT_EQ(mentioned.contains(code), !exempt.contains(code)) << code;
  }
}

}  // namespace
