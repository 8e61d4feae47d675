// Collectives: what the devices of one server exchange (all-reduce and its kin) becomes a Program of messages over the server's network.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "program/program.h"
#include "support/result.h"

namespace switchyard::compiler {

enum class Exchange : std::uint8_t { all_reduce, all_gather, reduce_scatter, all_to_all };
std::optional<Exchange> exchange_named(std::string_view name);

struct Collective {
  Exchange exchange = Exchange::all_reduce;
  std::int64_t bytes = 0;    ///< of the whole tensor: what every device has before (reduce_scatter, all_to_all, all_reduce) or after
  std::int64_t devices = 2;  ///< the first so many of the server
  numerics::Format format = numerics::Format::bf16;
  std::int64_t pieces = 1;  ///< exchanged one after the other
};

/// One way in which a server can do it. What the network carries stands in the program; `start` comes on top, before the first message.
struct CollectiveProgram {
  std::string name;  ///< protocol and way: "simple, ring"
  program::Program program;
  Picoseconds start;
};

/// Every way of every protocol that can do it; `library`: of this library's protocols alone, where one of them names it. Tokens have sizes,
/// not values: such programs are timed. Failures: collective/devices (malformed: fewer than two, or more than there are), collective/none
/// (unsupported: no protocol does it).
Result<std::vector<CollectiveProgram>> compile_collective(std::shared_ptr<const chip::Chip> server, const Collective& work,
                                                          std::string_view library = {});

/// What no way can beat: the bytes that must come into each device, over its own link.
Picoseconds collective_bound(const chip::Chip& server, const Collective& work);

}  // namespace switchyard::compiler
