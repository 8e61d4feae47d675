// WaveTimer: times the kernels of a grid wave by wave (program/grid.h) instead of event by event, and remembers what the cache keeps
// from one kernel to the next.
#pragma once

#include <list>

#include "program/grid.h"
#include "program/program.h"
#include "simulation/timing/engine.h"

namespace switchyard::simulation::timing {

class WaveTimer {
 public:
  explicit WaveTimer(const program::Program& program);

  /// A group of one context, all of whose arrays are grids, or of the stages of one kernel. Adds to totals and to what memories have done.
  Result<GroupRun> run(const Group& group, Totals& totals, Fabric& fabric);

  Recorder* recorder = nullptr;  ///< told of kernels as wholes

 private:
  using Touched = program::GridWork::Touched;
  struct Moved {
    double hit = 0, read = 0, written = 0, constants = 0;  ///< bytes
  };
  Moved touch(const std::vector<Touched>& list);
  static ContextRun run_of(const Prelude& prelude, std::int64_t begin, const program::GridTime& time);
  /// Bytes of a box that are in the cache; then all of it is, as far as there is room.
  double use(const Touched& touched);

  void record(const ContextRun& run, std::uint32_t context, std::int64_t begin) const;

  const program::Program& program_;
  std::uint32_t first_recorded_ = 0;
  double capacity_ = 0;
  std::list<Touched> kept_;  ///< used last first
};

}  // namespace switchyard::simulation::timing
