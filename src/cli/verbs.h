// The verbs: each reads its options, does its work through the other folders, prints, and returns the process's exit code.
#pragma once

#include "cli/options.h"
#include "report/run.h"

namespace switchyard::cli {

inline constexpr int kDone = 0, kCheckFailed = 1, kOurBug = 5, kInterrupted = 130;

int run_verb(const Options& options);
int compile_verb(const Options& options);
int simulate_verb(const Options& options);
int compare_verb(const Options& options);
int explain_verb(const Options& options);
int conform_verb(const Options& options);
int validate_verb(const Options& options);
int diff_verb(const Options& options);
int chips_verb(const Options& options);
int models_verb(const Options& options);
int help_verb(const Options& options);

struct Workplace;
/// Interrupted while it executes, `run` and `simulate` deliver the times.
void keep_timed(Workplace& work);
/// `verb` was told to do `what`, which is none of `known`, or lacks a name.
int report_bad_subject(const std::string& verb, const std::string& what, const std::vector<std::string>& known);

/// Parses and dispatches. Exceptions are main's.
int run_command_line(const std::vector<std::string>& argv);

}  // namespace switchyard::cli
