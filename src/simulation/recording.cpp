#include "simulation/recording.h"

#include "simulation/timing/recorder.h"

namespace switchyard::simulation {

Result<Recording> record_program(const program::Program& program, const TimingOptions& options, std::size_t limit) {
  timing::Recorder recorder(limit);
  TimingOptions how = options;
  how.recorder = &recorder;
  const Result<Timing> timing = time_program(program, how);
  if (!timing && !recorder.full()) return timing.failure();
  return recorder.take();
}

}  // namespace switchyard::simulation
