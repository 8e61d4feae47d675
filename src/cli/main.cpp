// The process: runs the command line, and turns what should not happen into a message and an exit code.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>

#include "cli/console.h"
#include "cli/verbs.h"
#include "support/check.h"

namespace {

using namespace switchyard;

/// Outside the work of a verb, which has an Interruption. Only what a signal handler may do.
extern "C" void interrupted(int) {
  constexpr char kMessage[] = "\ninterrupted: no result was written\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(cli::kInterrupted);
}

int our_bug(const std::vector<std::string>& argv, const char* what) {
  std::string line;
  for (const std::string& word : argv) line += (line.empty() ? "" : " ") + word;
  fmt::print(stderr, "error: this is a bug in switchyard: {} [internal]\n", what);
  fmt::print(stderr, "  hint: please report the lines above, the command (below), and the model and chip files it used\n");
  fmt::print(stderr, "  switchyard {}: {}\n", cli::kVersion, line);
  return cli::kOurBug;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGINT, interrupted);
  signal(SIGTERM, interrupted);  // a time limit, or the end of a job
  signal(SIGPIPE, SIG_IGN);      // a reader that leaves early is a write error, not a silent end
  const std::vector<std::string> words(argv, argv + argc);
  try {
    return cli::run_command_line(words);
  } catch (const InternalError& error) {
    return our_bug(words, error.what());
  } catch (const std::bad_alloc&) {
    const bool given = std::find(words.begin(), words.end(), "--no-values") != words.end();
    fmt::print(stderr, "error: the host has too little memory for this [cli/out-of-memory]\n  hint: {}\n",
               given ? "a smaller model, or smaller sizes of it" : "--no-values needs far less");
    return static_cast<int>(FailureKind::unsupported);
  } catch (const std::exception& error) {
    return our_bug(words, error.what());
  }
}
