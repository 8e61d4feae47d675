// What verbs that run programs end with: their reports in the format that was asked for, and the exit code.
#pragma once

#include <vector>

#include "cli/options.h"
#include "report/run.h"

namespace switchyard::cli {

/// One report delivered, a failed check told on standard error.
int deliver_run(const Options& options, const report::RunReport& report);
struct Workplace;
/// Interrupted while it executes, a run delivers the times.
void keep_timed(Workplace& work);
/// Several reports of one model. The exit code is that of the worst: a failed check.
int deliver_runs(const Options& options, const std::vector<report::RunReport>& reports);

}  // namespace switchyard::cli
