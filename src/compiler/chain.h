// Chain: contexts that would run one after the other become phases of one, in which every component goes on as soon as what it reads is
// there.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "program/program.h"

namespace switchyard::compiler {

/// The phases as one context, or why they cannot be one, and which of them cannot be in it with those before.
struct Chained {
  std::optional<program::Context> context;
  std::string problem;
  std::size_t phase = 0;
};

/// `phases` are consecutive contexts of `program`, on listed components, as emit_context makes them (no offsets yet). An actor that reads
/// what an earlier phase wrote into scratchpads waits, before its first firing, for a token from each writer that reaches its own part:
/// from the one that computes there after its last firing, from those that send there after their last message has arrived. What
/// goes through off-chip memory is ordered by contexts only, so that writer and reader of it are no phases of one. Of the buffers `handed`
/// each firing of the one actor that reads takes what one firing of the one that writes has made, in the same order: they become channels
/// of `slots` tokens.
Chained chain(const program::Program& program, std::span<const program::Context> phases, std::span<const program::BufferId> handed = {},
              std::int64_t slots = 0);

}  // namespace switchyard::compiler
