// The README: its commands work and print what it says, its links lead somewhere.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <string>

#include "page.h"

namespace switchyard {
namespace {

using tests::text_of;

/// Of the first line "  time   1.306 ms   gap ..." or "  time   549.466 us   gap ...".
double milliseconds_of(const std::string& screen) {
  std::smatch found;
  if (!std::regex_search(screen, found, std::regex(R"(\n  time +([0-9.]+) (us|ms) )"))) return 0;
  return std::stod(found[1].str()) * (found[2].str() == "us" ? 1e-3 : 1);
}

TEST(Readme, LinksLead) {
  for (const char* page : {"README.md", "CONTRIBUTING.md"}) {
    const std::string text = text_of(std::string(SWITCHYARD_SOURCE_DIR "/") + page);
    const std::regex link(R"(\]\(([^):]+)\))");
    for (std::sregex_iterator it(text.begin(), text.end(), link), end; it != end; ++it) {
      EXPECT_TRUE(std::filesystem::exists(std::string(SWITCHYARD_SOURCE_DIR "/") + (*it)[1].str())) << page << ": " << (*it)[1].str();
    }
  }
}

TEST(Docs, LinksLead) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SWITCHYARD_SOURCE_DIR "/docs")) {
    if (entry.path().extension() != ".md") continue;
    const std::string text = text_of(entry.path());
    const std::regex link(R"(\]\(([^):#]+)(?:#[^)]*)?\))");
    for (std::sregex_iterator it(text.begin(), text.end(), link), end; it != end; ++it) {
      EXPECT_TRUE(std::filesystem::exists(entry.path().parent_path() / (*it)[1].str())) << entry.path() << ": " << (*it)[1].str();
    }
  }
}

TEST(Readme, CommandsWork) {
  tests::Page page(SWITCHYARD_SOURCE_DIR "/README.md");
  page.run();
  EXPECT_GE(page.commands(), 12u) << "the README has lost its commands";
  // The first screen is of today.
  const double written = milliseconds_of(tests::text_of(SWITCHYARD_SOURCE_DIR "/README.md")), now = milliseconds_of(page.printed(0));
  EXPECT_GT(now, 0);
  EXPECT_NEAR(written, now, 0.05 * now) << "the README's first screen is out of date: tools/update_pages renews it";
}

}  // namespace
}  // namespace switchyard
