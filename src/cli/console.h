// The console: the only place that writes to the standard streams. Results go to standard output, everything else to standard error.
#pragma once

#include <string>
#include <string_view>

#include "cli/options.h"
#include "support/result.h"

namespace switchyard::cli {

extern const std::string_view kVersion;

/// Prints all of a failure on standard error and returns its exit code.
int report_failure(const Failure& failure);
/// The failure in one sentence, for a row of a comparison.
Diagnostic summarise(const Failure& failure);

/// Result text to -o FILE, or to standard output. Returns the exit code.
int deliver(const Options& options, std::string_view text);
/// A line on standard error unless --quiet.
void say(const Options& options, std::string_view line);
/// Text that was asked for beside the result, on standard error, --quiet or not.
void print_aside(std::string_view text);
/// Colours are for a person: a terminal, the result on it, and no NO_COLOR.
bool wants_color(const Options& options);

}  // namespace switchyard::cli
