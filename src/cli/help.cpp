// switchyard help, and the way from a command line to its verb.
#include <fmt/format.h>

#include <algorithm>

#include "cli/console.h"
#include "cli/diagnostic_page.h"
#include "cli/limits.h"
#include "cli/option_values.h"
#include "cli/preflight.h"
#include "cli/verb_table.h"
#include "cli/verbs.h"
#include "report/table.h"
#include "report/text.h"

namespace switchyard::cli {

namespace {

constexpr int kHelpWidth = 100;

std::string told(const CodeEntry& entry) {
  const std::string folder = entry.code.substr(0, entry.code.find('/') + 1);
  return fmt::format("{} ({})\n", entry.code, entry.subject) + report::wrap(entry.means, kHelpWidth, 2) +
         report::wrap("do: " + entry.advice, kHelpWidth, 2) + fmt::format("  `switchyard help {}` lists its like\n", folder);
}

/// A diagnostic's code, perhaps in the brackets in which it was printed, or all codes of a kind ("chip", "chip/").
int help_on_codes(const Options& options, std::string_view subject) {
  if (subject.starts_with('[') && subject.ends_with(']')) subject = subject.substr(1, subject.size() - 2);
  const std::vector<CodeEntry> entries = diagnostic_codes();
  std::vector<std::string> names;
  std::string kind;
  const std::string prefix = std::string(subject) + (subject.ends_with('/') ? "" : "/");
  for (const CodeEntry& entry : entries) {
    if (entry.code == subject) return deliver(options, told(entry));
    if (entry.code.starts_with(prefix)) kind += fmt::format("{} {}\n", report::pad_right(entry.code, 28), entry.means);
    names.push_back(entry.code);
  }
  if (!kind.empty()) return deliver(options, kind);
  // What has no slash may as well be meant as a verb, and what a program prints with a verb's name is its help.
  if (subject.find('/') == std::string_view::npos) {
    for (const VerbInfo& verb : all_verbs()) names.emplace_back(verb.name);
    for (const CodeEntry& entry : entries) names.push_back(entry.code.substr(0, entry.code.find('/')));
  }
  return report_failure(
      usage("cli/unknown-subject", fmt::format("'{}' is neither a verb nor the code of a diagnostic", subject),
            did_you_mean(subject, names, "`switchyard help` lists the verbs; codes stand in brackets at the end of a message")));
}

}  // namespace

int help_verb(const Options& options) {
  if (options.arguments.empty()) return deliver(options, help_text(Verb::help));
  const std::string& subject = options.arguments.front();
  if (const VerbInfo* verb = find_verb(subject)) return deliver(options, help_text(verb->verb));
  if (is_later_verb(subject)) return report_failure(not_yet(fmt::format("the verb '{}'", subject)));
  return help_on_codes(options, subject);
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

int run_command_line(const std::vector<std::string>& argv) {
  const Result<Options> parsed = parse_command_line(argv);
  if (!parsed) return report_failure(parsed.failure());
  const Options& options = parsed.value();
  set_limits(options);
  if (options.help && options.verb != Verb::help) return deliver(options, help_text(options.verb));
  if (const Status files = check_files(options); !files) return report_failure(files.failure());
  if (options.verb == Verb::version) return deliver(options, fmt::format("switchyard {}\n", kVersion));
  return verb_info(options.verb).perform(options);
}

}  // namespace switchyard::cli
