// Where chip files are found.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "chip/read.h"
#include "chip/resolve.h"

namespace switchyard::chip {
namespace {

namespace fs = std::filesystem;

constexpr const char* kServers = "systems";  ///< beside the chips that they are made of

std::vector<fs::path> search_path(const std::vector<std::string>& paths) {
  std::vector<fs::path> result(paths.begin(), paths.end());
  if (const char* variable = std::getenv("SWITCHYARD_CHIPS")) {
    std::string_view rest = variable;
    while (!rest.empty()) {
      const std::size_t colon = std::min(rest.find(':'), rest.size());
      if (colon > 0) result.emplace_back(rest.substr(0, colon));
      rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
  }
  result.emplace_back("chips");
  result.emplace_back(SWITCHYARD_SHARE_CHIPS);
  result.emplace_back(SWITCHYARD_SOURCE_CHIPS);
  const std::size_t folders = result.size();
  for (std::size_t i = 0; i < folders; ++i) result.push_back(result[i] / kServers);
  return result;
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_path(const std::string& name) { return name.find('/') != std::string::npos || name.ends_with(".yaml") || name.ends_with(".yml"); }

}  // namespace

Result<std::string> find_chip_file(const std::string& name_or_path, const std::vector<std::string>& paths, const std::string& beside) {
  if (is_path(name_or_path)) {
    const fs::path path(name_or_path);
    if (!beside.empty() && path.is_relative() && is_file(fs::path(beside) / path)) return (fs::path(beside) / path).string();
    if (is_file(path)) return name_or_path;
    return fail(FailureKind::usage, "chip/unknown-chip", fmt::format("there is no chip file '{}'", name_or_path));
  }
  std::vector<fs::path> folders = search_path(paths);
  if (!beside.empty()) folders.insert(folders.begin(), fs::path(beside));
  for (const fs::path& folder : folders) {
    if (!name_or_path.empty() && is_file(folder / (name_or_path + ".yaml"))) return (folder / (name_or_path + ".yaml")).string();
  }
  const std::vector<std::string> known = list_chips(paths);
  const std::string nearest = nearest_name(name_or_path, known);
  std::string hint = nearest.empty() ? fmt::format("known chips: {}", fmt::join(known, ", ")) : fmt::format("did you mean '{}'?", nearest);
  if (known.empty()) hint = "no folder with chips was found; name one with --chip-path or $SWITCHYARD_CHIPS";
  return fail(FailureKind::usage, "chip/unknown-chip", fmt::format("there is no chip named '{}'", name_or_path), std::move(hint));
}

std::vector<std::string> list_chips(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  for (const fs::path& folder : search_path(paths)) {
    std::error_code error;
    for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
      if (i->path().extension() == ".yaml" && is_file(i->path())) names.push_back(i->path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace switchyard::chip
