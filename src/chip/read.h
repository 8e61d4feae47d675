// Reading, resolving and checking chip descriptions.
#pragma once

#include <string>
#include <vector>

#include "chip/chip.h"
#include "support/result.h"

namespace switchyard::chip {

/// One --override: a JSON pointer into the description and a quantity ("400GB/s").
struct Override {
  std::string pointer;
  std::string quantity;
};

/// A chip by path or by name, searched in `paths`, $SWITCHYARD_CHIPS, ./chips, the installed share folder, the source tree.
/// Resolves `base`, applies `override:` and then `overrides`, checks everything; all mistakes of a file are reported together.
Result<Chip> load_chip(const std::string& name_or_path, const std::vector<std::string>& paths, const std::vector<Override>& overrides = {});

/// Parses a resolved description (no base), as embedded in programs, and applies `overrides`.
Result<Chip> parse_chip(const std::string& text, const std::string& file, const std::vector<Override>& overrides = {});

/// Names of all chips found on the search path, sorted.
std::vector<std::string> list_chips(const std::vector<std::string>& paths);

}  // namespace switchyard::chip
