// switchyard help, and the way from a command line to its verb.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cli/console.h"
#include "cli/verbs.h"
#include "report/table.h"

namespace switchyard::cli {

int help_verb(const Options& options) {
  if (options.arguments.empty()) return deliver(options, help_text(Verb::help));
  const std::string& subject = options.arguments.front();
  if (subject.find('/') != std::string::npos) {
    return report_failure(fail(FailureKind::usage, "cli/not-yet", "help on diagnostic codes is part of the plan but not of this version",
                               "docs/diagnostics.md lists them"));
  }
  // `help run` is `run --help`; an unknown verb gets the same answer in both.
  const Result<Options> verb = parse_command_line({"switchyard", subject, "--help"});
  if (!verb) return report_failure(verb.failure());
  return deliver(options, help_text(verb.value().verb));
}

int report_bad_subject(const std::string& verb, const std::string& what, const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), what) != known.end()) {
    return report_failure(fail(FailureKind::usage, what == "list" ? "cli/too-many-arguments" : "cli/missing-argument",
                               fmt::format("{} {} needs {}", verb, what, what == "list" ? "nothing more" : "one name after it"),
                               fmt::format("`switchyard help {}`", verb)));
  }
  const std::string nearest = nearest_name(what, known);
  return report_failure(fail(FailureKind::usage, "cli/unknown-verb", fmt::format("'{}' is nothing that {} does", what, verb),
                             nearest.empty() ? fmt::format("`switchyard help {}`", verb) : fmt::format("did you mean '{}'?", nearest)));
}

void report_check_failure(const report::RunReport& report) {
  const std::string what = report::describe_divergence(report.check);
  const std::string text = fmt::format("error: {} on {}: the check failed: {} [check/failed]\n", report.model.name, report.chip.name,
                                       what.empty() ? "values differ" : what);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

int run_command_line(const std::vector<std::string>& argv) {
  const Result<Options> parsed = parse_command_line(argv);
  if (!parsed) return report_failure(parsed.failure());
  const Options& options = parsed.value();
  if (options.help && options.verb != Verb::help) return deliver(options, help_text(options.verb));
  switch (options.verb) {
    case Verb::run: return run_verb(options);
    case Verb::compile: return compile_verb(options);
    case Verb::simulate: return simulate_verb(options);
    case Verb::compare: return compare_verb(options);
    case Verb::explain: return explain_verb(options);
    case Verb::validate: return validate_verb(options);
    case Verb::chips: return chips_verb(options);
    case Verb::models: return models_verb(options);
    case Verb::help: return help_verb(options);
    case Verb::version: return deliver(options, fmt::format("switchyard {}\n", kVersion));
  }
  return kOurBug;
}

}  // namespace switchyard::cli
