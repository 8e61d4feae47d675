// What each diagnostic code means and what to do about it: docs/diagnostics.md, which is built into the binary.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace switchyard::cli {

struct CodeEntry {
  std::string code;  ///< "chip/unknown-key"
  std::string means, advice;
  std::string subject;  ///< of the section it stands in: "chip descriptions"
};

/// The text of docs/diagnostics.md.
std::string_view diagnostic_page();
/// The rows of its tables, in its order. Links are turned into the paths of the pages they lead to.
std::vector<CodeEntry> diagnostic_codes(std::string_view page = diagnostic_page());

}  // namespace switchyard::cli
