// Programs as files: the text, and the constants' values beside it.
#include "support/file.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "program/parse_text.h"
#include "program/safetensors.h"
#include "program/text.h"

namespace switchyard::program {

namespace {

/// A file in the program's own folder, and nothing else.
bool plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

}  // namespace

Status write_program(const Program& program, const std::string& path) {
  std::vector<NamedConstant> constants;
  for (const Buffer& buffer : program.buffers)
    if (buffer.constant) constants.push_back({buffer.name, buffer.format, buffer.shape, buffer.constant});
  std::string sidecar, digest;
  if (!constants.empty()) {
    const std::filesystem::path beside = std::filesystem::path(path).replace_extension(".safetensors");
    sidecar = beside.filename().string();
    SY_TRY(digest, write_safetensors(beside.string(), constants));
  }
  return write_file(path, print_with_sidecar(program, sidecar, digest));
}

Result<Program> read_program(const std::string& path) {
  SY_TRY(const std::string text, read_file(path));
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  SY_TRY(ParsedProgram parsed, parse_text(text, path, folder.empty() ? "." : folder.string()));
  Program& program = parsed.program;
  if (parsed.sidecar.empty()) return std::move(program);
  if (!plain_name(parsed.sidecar))
    return fail(FailureKind::malformed, "program/sidecar-path", fmt::format("the sidecar '{}' is not a file name", parsed.sidecar),
                "the constants of a program lie beside it: a name without folders", {path, 0, 0});
  SY_TRY(const std::vector<NamedConstant> constants, read_safetensors((folder / parsed.sidecar).string(), parsed.sidecar_sha256));
  std::map<std::string_view, const NamedConstant*> by_name;
  for (const NamedConstant& constant : constants) by_name[constant.name] = &constant;
  Failure failure;
  for (const BufferId id : parsed.values) {
    Buffer& buffer = program.buffers[id.index()];
    const auto found = by_name.find(buffer.name);
    if (found != by_name.end() && found->second->format == buffer.format && found->second->shape == buffer.shape) {
      buffer.constant = found->second->values;
      continue;
    }
    failure.diagnostics.push_back({"program/sidecar",
                                   fmt::format("the sidecar has no tensor '{}' of this format and shape", buffer.name),
                                   {path, 0, 0},
                                   buffer.name,
                                   "write the program again",
                                   {}});
  }
  if (!failure.diagnostics.empty()) return failure;
  return std::move(program);
}

}  // namespace switchyard::program
