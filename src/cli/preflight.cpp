#include "cli/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "support/file.h"

namespace switchyard::cli {
namespace {

void add(Failure& all, const Failure& one) {
  all.kind = std::max(all.kind, one.kind);
  all.diagnostics.insert(all.diagnostics.end(), one.diagnostics.begin(), one.diagnostics.end());
}

/// A folder that will be made if it is not there: its nearest ancestor that is must be one, and open to us.
Status check_folder(const std::string& path) {
  std::error_code ignored;
  std::filesystem::path folder = std::filesystem::path(path).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  while (!folder.empty() && folder != folder.root_path() && !std::filesystem::exists(folder, ignored)) folder = folder.parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder, ignored))
    return fail(FailureKind::usage, "file/unwritable", fmt::format("'{}' is no folder", folder.string()), {}, {path, 0, 0});
  if (check_writable((folder / ".switchyard").string())) return Done{};
  return fail(FailureKind::usage, "file/unwritable", fmt::format("folder '{}' cannot be written into", folder.string()), {}, {path, 0, 0});
}

}  // namespace

Status check_files(const Options& options) {
  Failure all{FailureKind::usage, {}, {}};
  const std::string* written[] = {&options.output, &options.map,  &options.trace,    &options.dump_mapping,
                                  &options.report, &options.rows, &options.operators};
  for (const std::string* file : written) {
    if (file->empty()) continue;
    if (const Status status = check_writable(*file); !status) add(all, status.failure());
  }
  if (!options.outputs.empty() || !options.dump_tensors.empty()) {
    if (const Status status = check_folder(options.outputs.empty() ? "." : options.outputs); !status) add(all, status.failure());
  }
  std::error_code ignored;
  for (const auto& [folder, code] : {std::pair{&options.inputs, "inputs/missing"}, std::pair{&options.expect, "expect/missing"}}) {
    if (folder->empty() || std::filesystem::is_directory(*folder, ignored)) continue;
    add(all, fail(FailureKind::malformed, code, "there is no such folder", {}, {*folder, 0, 0}));
  }
  if (!all.diagnostics.empty()) return all;
  return Done{};
}

}  // namespace switchyard::cli
