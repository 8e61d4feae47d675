// The binary as a user meets it, in a folder of its own: for tests that hold the whole line together.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace switchyard::tests {

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Where the exported models and their recorded outputs lie; empty where there is no test data.
inline std::filesystem::path shared_models() {
  const char* named = std::getenv("SWITCHYARD_SHARED");
  const std::filesystem::path shared = named != nullptr ? std::filesystem::path(named) : SWITCHYARD_SOURCE_DIR "/../shared";
  std::error_code ignored;
  const std::filesystem::path models = shared / "data" / "models";
  return std::filesystem::is_directory(models, ignored) ? std::filesystem::canonical(models) : std::filesystem::path();
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

/// A folder that is there as long as the object.
class Workbench {
 public:
  Workbench() {
    std::string name = (std::filesystem::temp_directory_path() / "switchyard_XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~Workbench() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  Workbench(const Workbench&) = delete;
  Workbench& operator=(const Workbench&) = delete;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  /// Runs `switchyard ARGUMENTS` in `below`, a folder inside this one, with the source tree's chips.
  [[nodiscard]] Outcome run(const std::string& arguments, const std::string& below = ".") const {
    const std::string out = (folder_ / ".out").string(), err = (folder_ / ".err").string();
    const std::string command = "cd '" + (folder_ / below).string() +
                                "' && SWITCHYARD_CHIPS='" SWITCHYARD_SOURCE_DIR "/chips' '" SWITCHYARD_BINARY "' " + arguments + " >'" +
                                out + "' 2>'" + err + "' </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(out), text_of(err)};
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace switchyard::tests
