// Program <-> text and files. parse(print(p)) == p. The grammar is in docs/formats/program.md.
#pragma once

#include <string>

#include "program/program.h"
#include "support/result.h"

namespace switchyard::program {

std::string print(const Program& program);
/// `file` names the text in diagnostics. Constants are attached by read_program.
Result<Program> parse(const std::string& text, const std::string& file);

/// Writes P.syp and, when the program has constants with values, P.safetensors beside it (named by relative path and sha256).
Status write_program(const Program& program, const std::string& path);
Result<Program> read_program(const std::string& path);

}  // namespace switchyard::program
