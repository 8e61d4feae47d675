// Chain: contexts that would run one after the other become phases of one, in which every component goes on as soon as what it reads is
// there.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "program/program.h"

namespace switchyard::compiler {

/// The phases as one context, or why they cannot be one: the first of them that cannot be in it with earlier ones, and the last of those.
struct Chained {
  std::optional<program::Context> context;
  std::string problem;
  std::size_t phase = 0, with = 0;
};

/// A buffer of which each firing of the one actor that reads takes what one firing of the one that writes has made, in the same order.
/// Neither computes what of a last tile lies beyond the buffer's end. So many tokens of it have room.
struct HandedBuffer {
  program::BufferId buffer;
  std::int64_t slots = 1;
  std::int64_t bytes = 0;  ///< of all slots
};

/// `phases` are consecutive contexts of `program`, on listed components, as emit_context makes them (no offsets yet). An actor that reads
/// what an earlier phase wrote into scratchpads waits, before its first firing, for a token from each writer that reaches its own part:
/// from the one that computes there after its last firing, from those that send there after their last message has arrived. Where the
/// outermost loops of both go together, it waits step by step instead: each of its steps for those of the writer that it needs. What goes
/// through off-chip memory is ordered by contexts only, so that writer and reader of it are no phases of one. The buffers
/// `handed` become channels.
Chained chain(const program::Program& program, std::span<const program::Context> phases, std::span<const HandedBuffer> handed = {});

}  // namespace switchyard::compiler
