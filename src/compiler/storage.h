// Storage: where channels, states and spread buffers lie in scratchpads and registers, over the life of the program, and how far ahead of
// its context each early mover may run.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "program/program.h"

namespace switchyard::compiler {

/// What did not fit, for the caller to change its mind.
struct Overflow {
  std::size_t context = 0;
  std::int64_t through = 0;  ///< bytes of spread buffers in one component that live through the context without being used by it
};

/// What planning assumes about one context: seconds it takes when all that may be fetched early is there, and seconds of off-chip memory
/// for what may.
struct ContextTimes {
  double run = 0, fetch = 0;
};

/// Sets the offsets of all channels, states and spread buffers: first fit over their lives. A spread buffer lives from the first to the
/// last context that uses it, a channel or state in its context. Then, context by context, the channels of early movers are made as deep as
/// the sequence of their tokens, and begin their life in the context in which off-chip memory will have delivered all that comes before
/// (Context::early_after), or as soon after it as there is room: a ring buffer over all that is to come. Channels of early movers take the
/// highest free addresses, what belongs to one context the lowest, so that neither lies scattered in the other's way. `deep`: as deep as
/// they can be at all; else what lets most be fetched before the context begins. Without `pins` channels stay as deep as they are.
std::optional<Overflow> plan_storage(program::Program& program, const std::vector<ContextTimes>& times, bool deep, bool pins);

}  // namespace switchyard::compiler
