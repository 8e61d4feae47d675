#include "cli/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "support/file.h"

namespace switchyard::cli {

const std::string_view kVersion = "0.1.0";

int report_failure(const Failure& failure) {
  const std::string text = format_failure(failure);
  std::fwrite(text.data(), 1, text.size(), stderr);
  return static_cast<int>(failure.kind);
}

Diagnostic summarise(const Failure& failure) {
  Diagnostic summary;
  if (!failure.diagnostics.empty()) {
    summary = failure.diagnostics.front();
    const std::size_t more = failure.diagnostics.size() - 1 + failure.infeasible.size();
    if (more > 0) summary.message += fmt::format(" (and {} more)", more);
  } else if (!failure.infeasible.empty()) {
    std::string text = format_infeasible(failure.infeasible.front());
    text = text.substr(0, text.find('\n'));
    constexpr std::string_view kPrefix = "error: ";
    if (text.starts_with(kPrefix)) text.erase(0, kPrefix.size());
    summary.code = "compile/does-not-fit";
    summary.message = text;
    if (!failure.infeasible.front().levers.empty()) summary.hint = failure.infeasible.front().levers.front();
  }
  return summary;
}

int deliver(const Options& options, std::string_view text) {
  if (!options.output.empty()) {
    const Status written = write_file(options.output, text);
    return written ? 0 : report_failure(written.failure());
  }
  const bool complete = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (complete) return 0;
  return report_failure(fail(FailureKind::usage, "cli/output", fmt::format("standard output cannot be written: {}", std::strerror(errno))));
}

void say(const Options& options, std::string_view line) {
  if (options.quiet) return;
  const std::string text = fmt::format("{}\n", line);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void print_aside(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

bool wants_color(const Options& options) {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && no_color[0] != '\0') return false;
  const char* terminal = std::getenv("TERM");
  if (terminal != nullptr && std::string_view(terminal) == "dumb") return false;
  return options.output.empty() && isatty(STDOUT_FILENO) == 1;
}

}  // namespace switchyard::cli
