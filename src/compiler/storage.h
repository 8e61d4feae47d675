// Storage: where channels, states and spread buffers lie in scratchpads and registers, over the life of the program, and how far ahead of
// its context each early mover may run.
#pragma once

#include <cstdint>
#include <optional>

#include "program/program.h"

namespace switchyard::compiler {

/// What did not fit, for the caller to change its mind.
struct Overflow {
  std::size_t context = 0;
  std::int64_t through = 0;  ///< bytes of spread buffers in one component that live through the context without being used by it
};

/// Sets the offsets of all channels, states and spread buffers: first fit over their lives. A spread buffer lives from the first to the
/// last context that uses it, a channel or state in its context. Then, context by context, the channels of early movers are made as deep as
/// the sequence of their tokens and begin their life as early as there is room (Context::early_after), the chip's number of resident
/// contexts at most: a ring buffer over all that is to come. Early movers for which there is no use start with their context.
std::optional<Overflow> plan_storage(program::Program& program);

}  // namespace switchyard::compiler
