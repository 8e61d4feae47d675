// Preflight: what can be told about the files and folders of a command line before long work begins.
#pragma once

#include "cli/options.h"
#include "support/result.h"

namespace switchyard::cli {

/// Can what was asked for be written, and is there what is to be read? All mistakes together. Failures: file/unwritable (usage);
/// inputs/missing, expect/missing (malformed).
Status check_files(const Options& options);

}  // namespace switchyard::cli
