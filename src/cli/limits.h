// Limits that the user sets on the process itself.
#pragma once

#include "cli/options.h"

namespace switchyard::cli {

/// --timeout: after so many seconds it is said, and the process told to stop as by SIGTERM: what there is of a result is delivered, with
/// exit code 130. --max-memory: what does not fit is refused as when the host has no more (cli/out-of-memory, exit code 4).
void set_limits(const Options& options);

}  // namespace switchyard::cli
