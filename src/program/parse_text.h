// What the text of a program says, constants' values aside.
#pragma once

#include <string>
#include <vector>

#include "program/program.h"
#include "support/result.h"

namespace switchyard::program {

struct ParsedProgram {
  Program program;
  std::string sidecar;  ///< file name beside the program; empty: none
  std::string sidecar_sha256;
  std::vector<BufferId> values;  ///< constants whose values the sidecar holds under the buffer's name
};

/// `folder` is where a chip named by the text is looked for besides the usual places.
Result<ParsedProgram> parse_text(const std::string& text, const std::string& file, const std::string& folder);
/// As print, with a line that names the sidecar when there is one.
std::string print_with_sidecar(const Program& program, const std::string& sidecar, const std::string& sha256);

}  // namespace switchyard::program
