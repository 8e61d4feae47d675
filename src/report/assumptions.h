// What the time of a program rests on: which numbers of its chip it uses at all, and which of those nobody has published or measured.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "program/program.h"
#include "simulation/timing.h"

namespace switchyard::report {

struct AssumptionReport {
  std::string field, value, confidence;
};

/// The resources of a chip that a program uses.
class UsedResources {
 public:
  /// Keeps a reference to the program.
  explicit UsedResources(const program::Program& program);
  explicit UsedResources(program::Program&&) = delete;
  /// Does the program's time depend on the number at a JSON pointer into the chip? Resources that it does not use count for nothing, nor
  /// does what the timing engine leaves out (bandwidth and latency of scratchpads and registers).
  [[nodiscard]] bool time_rests_on(std::string_view pointer) const;
  /// The cause of time to which the number belongs.
  [[nodiscard]] static simulation::Cause cause_of(const chip::Chip& chip, std::string_view pointer);

 private:
  [[nodiscard]] static bool in_waves(std::string_view section, std::string_view field);
  [[nodiscard]] bool unit_field(std::string_view unit, std::string_view field, std::string_view detail) const;
  [[nodiscard]] bool memory_field(std::string_view memory, std::string_view field) const;
  const program::Program& program_;
};

/// Assumed and calibrated numbers that the time rests on. First those for which the chip file gives a range, as they may be far off; within
/// these and the others, those that belong to the greatest cause.
std::vector<AssumptionReport> assumptions_of(const program::Program& program, const simulation::Attribution& attribution);

/// Sentences about overridden numbers on which the time does not depend: "what if" must not be answered by silence.
std::vector<std::string> idle_overrides(const program::Program& program, const std::vector<std::string>& pointers);

}  // namespace switchyard::report
