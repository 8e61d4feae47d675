// The commands of the README do what the README says: every line "$ switchyard ..." of a console block runs, in order, in one folder.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::vector<std::string> commands_of(const std::string& path) {
  std::vector<std::string> commands;
  std::ifstream in(path);
  bool console = false;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("```", 0) == 0) {
      console = line == "```console";
    } else if (console && line.rfind("$ switchyard ", 0) == 0) {
      commands.push_back(line.substr(13));
    }
  }
  return commands;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

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
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("switchyard_readme_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::vector<std::string> commands = commands_of(SWITCHYARD_SOURCE_DIR "/README.md");
  EXPECT_GE(commands.size(), 8u) << "the README has lost its commands";
  for (const std::string& command : commands) {
    const std::string line = "cd '" + folder.string() + "' && SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY "' " +
                             command + " >.out 2>.err </dev/null";
    const int status = std::system(line.c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << "\n" << text_of(folder / ".err");
    // The first screen has on it what the README promises.
    if (command == "run resnet50 --chip tx81") {
      const std::string screen = text_of(folder / ".out");
      for (const char* promised : {"resnet50 on tx81: bf16, batch 1", "4.09 G MACs, 25.56 M parameters", "gap", "compute", "imbalance",
                                   "operators (", "check        passed against the reference evaluator", "rests on"}) {
        EXPECT_NE(screen.find(promised), std::string::npos) << promised << "\n" << screen;
      }
      const double written = milliseconds_of(text_of(SWITCHYARD_SOURCE_DIR "/README.md")), now = milliseconds_of(screen);
      EXPECT_GT(now, 0);
      EXPECT_NEAR(written, now, 0.05 * now) << "the README's first screen is out of date";
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
