// A diagnostic: one thing wrong with what the user gave us, where it stands, and what would fix it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace switchyard {

/// A place in an input. line and column count from 1; 0 means "no position" (a binary file, a command line).
struct Location {
  std::string file;
  int line = 0;
  int column = 0;
};

struct Diagnostic {
  std::string code;     ///< stable, e.g. "chip/unknown-key"; listed in docs/diagnostics.md
  std::string message;  ///< one sentence, lower case start, no full stop
  Location location;
  std::string pointer;      ///< JSON pointer or node/tensor name inside the input; may be empty
  std::string hint;         ///< what would fix it; may be empty
  std::string source_line;  ///< the text of location.line, for the caret; may be empty
};

/// It cannot be done: a normal result. Demand, capacity and terms are in `unit`.
struct Infeasible {
  struct Term {
    std::string what;
    double amount = 0;
  };
  std::string resource;  ///< e.g. "scratchpad of one tile"
  double demand = 0;
  double capacity = 0;
  std::string unit;                 ///< e.g. "bytes"
  std::vector<Term> terms;          ///< what adds up to the demand
  std::vector<std::string> levers;  ///< what would fix it
};

/// Which family of failure; the number is the process's exit code (design: interface.md).
enum class FailureKind { usage = 2, malformed = 3, unsupported = 4 };

/// Everything that stopped one operation: all the diagnostics found, not only the first.
struct Failure {
  FailureKind kind = FailureKind::malformed;
  std::vector<Diagnostic> diagnostics;
  std::vector<Infeasible> infeasible;
};

/// "file:3:7: message [code]" with the source line, a caret and the hint below, ending in a newline.
std::string format_diagnostic(const Diagnostic& diagnostic);
std::string format_infeasible(const Infeasible& infeasible);
std::string format_failure(const Failure& failure);

/// The candidate nearest to `word` by edit distance (insert, delete, replace, swap), or empty when none is near enough.
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace switchyard
