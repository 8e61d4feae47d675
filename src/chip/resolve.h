// Resolving: base files, override sections and --override options are worked into one tree without either.
#pragma once

#include <string>
#include <vector>

#include "chip/read.h"
#include "chip/tree.h"
#include "support/result.h"

namespace switchyard::chip {

/// The file of a chip given by path or name; `beside`: the folder of the file that names it, searched first ("" for none).
Result<std::string> find_chip_file(const std::string& name_or_path, const std::vector<std::string>& paths, const std::string& beside);

/// Reads `path`, its bases and overrides. Failures: those of read_document, chip/shape, chip/cycle, chip/unknown-chip, chip/pointer.
Result<Tree> resolve_file(const std::string& path, const std::vector<std::string>& paths);
/// The tree of a description that stands alone.
Result<Tree> resolve_text(const std::string& text, const std::string& file);
/// Works the command line's overrides in. Failure (usage): chip/pointer.
Status apply_overrides(Tree& tree, const std::vector<Override>& overrides);

}  // namespace switchyard::chip
