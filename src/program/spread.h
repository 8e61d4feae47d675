// The parts of a spread buffer, and the messages in which a store reaches all copies. What verifier, engines and compiler must agree on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "program/boxes.h"
#include "program/program.h"

namespace switchyard::program {

/// Instances of a spread buffer, and the bytes of one part (allocated extents, padded).
std::int64_t part_count(const Spread& spread);
std::int64_t part_bytes(const Buffer& buffer);
/// The box that instance `i` holds, clipped to the buffer; may be empty.
Box part_of(const Buffer& buffer, std::uint32_t instance);
/// The instance on a component; nothing where the buffer has no part there.
std::optional<std::uint32_t> instance_on(const Spread& spread, std::uint32_t component);

/// The box an access touches in one firing: from its starts at these variables, `extent` indices, clipped to its region.
Box touched(const BufferAccess& access, std::span<const std::int64_t> extent, std::span<const std::int64_t> variables);

/// A box of elements that goes to the same components.
struct Message {
  Box box;
  std::vector<std::uint32_t> instances;  ///< of the spread, ascending
};
/// How a box reaches every copy: it is cut, in each dimension, where a part that meets it begins or ends; the cells in row-major order are
/// the messages, to all parts that hold them. `own`: an instance that needs nothing (where the box is read from); cells nobody needs are
/// left out.
std::vector<Message> messages(const Buffer& buffer, const Box& box, std::optional<std::uint32_t> own);

/// The extents of a mover's box: as it states them, else of the token of its port with data.
std::span<const std::int64_t> move_extent(const Actor& mover, const BufferAccess& access);

/// Is the store of this mover one within a buffer: from the own part to the other copies of the same elements?
bool updates_copies(const Actor& actor);

}  // namespace switchyard::program
