// Watches the compiler's passes for --time-passes and --dump-after.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"
#include "compiler/compiler.h"

namespace switchyard::cli {

class PassWatch {
 public:
  explicit PassWatch(const Options& options);
  /// Empty when nothing was asked for. It refers to this object.
  compiler::Observer observer();
  /// A pass has ended, which began when the one before had.
  void note(std::string_view pass);
  /// The time since the last pass belongs to none.
  void skip();
  /// What was asked for: the dumps, then the times.
  [[nodiscard]] std::string report() const;

 private:
  struct Pass {
    std::string name;
    int rounds = 0;
    double seconds = 0;
    std::string text;  ///< of the last round
  };
  Pass& pass(std::string_view name);

  const Options& options_;
  std::vector<Pass> passes_;  ///< in the order in which they first ran
  std::chrono::steady_clock::time_point since_;
};

}  // namespace switchyard::cli
