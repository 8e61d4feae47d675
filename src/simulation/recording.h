// Recording: what happened while a program was timed, event by event, for those who want to look at it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "program/program.h"
#include "simulation/timing.h"
#include "support/result.h"

namespace switchyard::simulation {

struct Recording {
  enum class Kind : std::uint8_t { compute, transfer, issue, launch, barrier, reconfigure };
  static constexpr std::uint32_t kNone = 0xffffffffu;

  /// Something that took time.
  struct Slice {
    Picoseconds begin, end;
    Kind kind = Kind::compute;
    std::uint32_t context = 0;        ///< of the program
    std::uint32_t actor = kNone;      ///< of the context; of an issue the one whose command it is
    std::uint32_t component = kNone;  ///< instance on which the unit, the mover or the control core is
    std::int64_t amount = 0;          ///< compute: MACs; transfer: payload bytes
  };
  /// A transfer being served by a resource: a memory or a link.
  struct Use {
    Picoseconds begin, end;
    std::uint32_t resource = 0;  ///< of `resources`
    std::uint32_t slice = 0;     ///< the transfer
    std::int64_t bytes = 0;
  };
  /// A token that one slice made and another took.
  struct Flow {
    std::uint32_t from = 0, to = 0;
  };

  std::vector<Slice> slices;  ///< in the order in which they ended
  std::vector<Use> uses;
  std::vector<Flow> flows;
  std::vector<std::string> resources;
  bool complete = true;  ///< false: the limit was reached
  Picoseconds until;     ///< what began later is not in it
};

/// Plays the program without shortcuts and records it, until `limit` slices, uses and flows together. Failures: those of time_program.
Result<Recording> record_program(const program::Program& program, const TimingOptions& options, std::size_t limit);

}  // namespace switchyard::simulation
