// Pages of the documentation as scripts: files they show are written, commands they show run, and print what the page says.
//
//   ```yaml                      a block whose first line is a comment with the name of a file: it is written
//   # my-chip.yaml
//   ```
//   ```console
//   $ switchyard chips check ./my-chip.yaml        runs in a folder of the page's own
//   ./my-chip.yaml: ok (my-chip)                   what follows up to the next command must stand in its output, in this order;
//   ...                                            other lines may stand between
//   ```
//   ```cpp                       a block whose first line is a comment with the name of a file of the sources: its lines stand in it, in
//   // src/x.cpp                 this order, "..." standing for any lines between
//   ```
// Numbers of a command's output may be off by a factor of three: what compilers and models of time give moves from change to change, and a
// page is about what it means. With SWITCHYARD_UPDATE_PAGES set, pages get the numbers of today.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "binary.h"

namespace switchyard::tests {

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Words and numbers, and whether each is a number.
inline std::vector<std::pair<std::string, bool>> tokens_of(const std::string& line) {
  std::vector<std::pair<std::string, bool>> tokens;
  // A number stands alone: digits within a name are part of the name.
  static const std::regex pattern(R"((#+)|([+-]?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)(?![A-Za-z0-9_.])|([A-Za-z_][A-Za-z0-9_.]*)|(\S))");
  for (std::sregex_iterator it(line.begin(), line.end(), pattern), end; it != end; ++it) {
    if ((*it)[1].matched) continue;  // bars follow numbers
    tokens.emplace_back(it->str(), (*it)[2].matched);
  }
  return tokens;
}

/// The name of an operator or tensor: "layer1.0.conv2".
inline bool is_name(const std::string& word) {
  static const std::regex pattern(R"([A-Za-z_]\w*(\.\w+)+)");
  return std::regex_match(word, pattern);
}
inline bool is_cause(const std::string& word) {
  return word == "compute" || word == "memory" || word == "interconnect" || word == "reconfiguration" || word == "control" ||
         word == "imbalance" || word == "hidden";
}

/// Is `got` the line that the page has, but for numbers that are off by `tolerance` of themselves? A page's "..." at the end stands for the
/// rest of the line. In a row of a table of operators, which ones are told, and for which cause, may have changed.
inline bool same_line(const std::string& page, const std::string& got, double tolerance) {
  const bool prefix = page.ends_with("...");
  const auto want = tokens_of(prefix ? page.substr(0, page.size() - 3) : page), have = tokens_of(got);
  if (prefix ? have.size() < want.size() : have.size() != want.size()) return false;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (want[i].second != have[i].second) return false;
    if (want[i].first == have[i].first) continue;
    if (!want[i].second) {
      const bool row = want.size() > 3 && is_name(want[0].first) && is_name(have[0].first);
      if (row && ((i == 0) || (is_cause(want[i].first) && is_cause(have[i].first)))) continue;
      return false;
    }
    const double a = std::stod(want[i].first), b = std::stod(have[i].first);
    if (!(std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b)))) return false;
  }
  return true;
}

/// Of the larger number.
inline constexpr double kTolerance = 0.67;

class Page {
 public:
  explicit Page(const std::string& path) : path_(path), lines_(lines_of(text_of(path))) {}

  void run() {
    EXPECT_FALSE(lines_.empty()) << path_;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (!lines_[i].starts_with("```") || lines_[i].size() < 4) continue;
      const std::string language = lines_[i].substr(3);
      const std::size_t begin = i + 1;
      while (++i < lines_.size() && lines_[i] != "```") {
      }
      ASSERT_LT(i, lines_.size()) << path_ << ": a block does not end";
      if (language == "console") run_commands(begin, i);
      if (language == "yaml") write_file(begin, i);
      if (language == "cpp") check_source(begin, i);
    }
    if (std::getenv("SWITCHYARD_UPDATE_PAGES") == nullptr) return;
    std::ofstream out(path_, std::ios::binary);
    for (const std::string& line : lines_) out << line << "\n";
  }
  [[nodiscard]] std::size_t commands() const { return commands_; }
  [[nodiscard]] const std::string& printed(std::size_t command) const { return printed_.at(command); }
  [[nodiscard]] std::size_t sources() const { return sources_; }

 private:
  void run_commands(std::size_t begin, std::size_t end) {
    while (begin < end) {
      ASSERT_TRUE(lines_[begin].starts_with("$ ")) << path_ << ":" << begin + 1;
      std::string command = lines_[begin].substr(2);
      std::size_t next = begin + 1;
      while (command.ends_with("\\") && next < end) command = command.substr(0, command.size() - 1) + lines_[next++];
      std::size_t last = next;
      while (last < end && !lines_[last].starts_with("$ ")) ++last;
      run_command(command, next, last);
      begin = last;
    }
  }

  void run_command(const std::string& command, std::size_t begin, std::size_t end) {
    ++commands_;
    const std::filesystem::path out = bench_.folder() / ".out", script = bench_.folder() / ".sh";
    std::ofstream(script, std::ios::binary) << "switchyard() { \"" SWITCHYARD_BINARY "\" \"$@\"; }\n" << command << "\n";
    const int status = std::system(("cd '" + bench_.folder().string() + "' && SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' sh '" +
                                    script.string() + "' >'" + out.string() + "' 2>&1 </dev/null")
                                       .c_str());
    const std::string printed = text_of(out);
    printed_.push_back(printed);
    // A command whose mistake is the point shows the message.
    const bool fails = end > begin && lines_[begin].find("error: ") != std::string::npos;
    EXPECT_EQ(WIFEXITED(status) && WEXITSTATUS(status) == 0, !fails) << path_ << ": " << command << "\n" << printed;
    const bool update = std::getenv("SWITCHYARD_UPDATE_PAGES") != nullptr;
    const std::vector<std::string> got = lines_of(printed);
    std::size_t at = 0;
    for (std::size_t i = begin; i < end; ++i) {
      if (lines_[i] == "..." || lines_[i].empty()) continue;
      const std::size_t from = at;
      while (at < got.size() && !same_line(lines_[i], got[at], update ? 1e9 : kTolerance)) ++at;
      if (at == got.size()) {
        ADD_FAILURE() << path_ << ":" << i + 1 << ": `" << command << "` does not print\n" << lines_[i] << "\nbut\n" << printed;
        at = from;
        continue;
      }
      if (update && !lines_[i].ends_with("...")) lines_[i] = got[at];
      ++at;
    }
  }

  void write_file(std::size_t begin, std::size_t end) {
    if (begin == end || !lines_[begin].starts_with("# ")) return;
    const std::string name = lines_[begin].substr(2, lines_[begin].find_first_of(" :", 2) - 2);
    if (name.find('.') == std::string::npos || name.find('/') != std::string::npos) return;
    std::ofstream out(bench_.folder() / name, std::ios::binary);
    for (std::size_t i = begin; i < end; ++i) out << lines_[i] << "\n";
  }

  void check_source(std::size_t begin, std::size_t end) {
    if (begin == end || !lines_[begin].starts_with("// ")) return;
    const std::string name = lines_[begin].substr(3);
    const std::vector<std::string> source = lines_of(text_of(std::string(SWITCHYARD_SOURCE_DIR "/") + name));
    EXPECT_FALSE(source.empty()) << path_ << ": there is no " << name;
    ++sources_;
    std::size_t at = 0;
    for (std::size_t i = begin + 1; i < end; ++i) {
      if (lines_[i] == "..." || lines_[i].empty()) continue;
      const std::size_t from = at;
      while (at < source.size() && tokens_of(source[at]) != tokens_of(lines_[i])) ++at;
      if (at == source.size()) {
        ADD_FAILURE() << path_ << ":" << i + 1 << ": " << name << " has no such line (behind the one before)\n" << lines_[i];
        at = from;
      }
    }
  }

  std::string path_;
  std::vector<std::string> lines_;
  Workbench bench_;
  std::vector<std::string> printed_;
  std::size_t commands_ = 0, sources_ = 0;
};

}  // namespace switchyard::tests
