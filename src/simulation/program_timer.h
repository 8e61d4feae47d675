// ProgramTimer: times many programs for one chip, as compilers do, and keeps what one may have in common with the next.
#pragma once

#include <memory>

#include "simulation/timing.h"

namespace switchyard::simulation {

/// Not for several threads at once. Times are those of time_program: what is kept are the paths of transfers, and times of programs that
/// were the same in all that time depends on.
class ProgramTimer {
 public:
  ProgramTimer();
  ~ProgramTimer();
  ProgramTimer(const ProgramTimer&) = delete;
  ProgramTimer& operator=(const ProgramTimer&) = delete;
  Result<Timing> time(const program::Program& program, const TimingOptions& options = {});
  /// How many programs were the same as one before.
  [[nodiscard]] std::int64_t known() const;

 private:
  struct Kept;
  std::unique_ptr<Kept> kept_;
};

}  // namespace switchyard::simulation
