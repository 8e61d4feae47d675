// A context prepared for execution: every actor's ports, feeds, statements and transfers with all that does not depend on the instance.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "program/instance.h"
#include "simulation/functional/statement.h"

namespace switchyard::simulation::functional {

/// Numbers the iteration vectors of some loops, each limited to a range, lexicographically.
struct Numbering {
  struct Axis {
    int loop = 0;
    std::int64_t begin = 0, end = 0, stride = 0;
  };
  std::vector<Axis> axes;
  [[nodiscard]] bool holds(std::span<const std::int64_t> index) const {
    for (const Axis& axis : axes) {
      const std::int64_t i = index[static_cast<std::size_t>(axis.loop)];
      if (i < axis.begin || i >= axis.end) return false;
    }
    return true;
  }
  [[nodiscard]] std::int64_t number(std::span<const std::int64_t> index) const {
    std::int64_t result = 0;
    for (const Axis& axis : axes) result += (index[static_cast<std::size_t>(axis.loop)] - axis.begin) * axis.stride;
    return result;
  }
};

/// What one feed of an input port, or one outlet of an output port, adds to the port: its own numbering of tokens.
struct LinePlan {
  Numbering vectors;                ///< of the loops not kept (and not the window's), guards and domain applied
  std::int64_t begin = 0, end = 1;  ///< with a window: the positions of a sweep that come from here
  [[nodiscard]] std::int64_t per_vector() const { return end - begin; }
};

/// A box of a buffer: per dimension the start and the part of it that is touched.
struct BoxPlan {
  program::BufferId buffer;
  numerics::Format format = numerics::Format::fp32;
  std::vector<numerics::Affine> start;
  std::vector<std::array<std::int64_t, 2>> region;  ///< clipped to the buffer
  std::vector<std::int64_t> extent;
  double fill = 0;
  int message = -1;     ///< of a store to a spread buffer: the loop that picks the message
  bool spread = false;  ///< stores reach every copy
};

struct PortPlan {
  program::PortRule rule;
  numerics::Format format = numerics::Format::fp32;
  std::int64_t bytes = 0, elements = 0;  ///< of a slot
  std::vector<std::int64_t> shape, strides;
  std::vector<std::byte> pad;  ///< with a window: one token of the pad value
  std::vector<BoxPlan> place;  ///< none or one: what it reads or writes of the own part, without a channel
  bool in_place = false;       ///< nobody can tell whether a token of the place is a copy
};

struct ChannelPlan {
  std::int64_t depth = 1, slot_bytes = 0, initial = 0;
  std::vector<std::byte> initial_token;
  LinePlan outlet;              ///< at the producer
  std::vector<LinePlan> feeds;  ///< per consumer
};

struct StatePlan {
  std::uint64_t kept = 0;
  std::int64_t bytes = 0;
  std::vector<std::byte> initial;
};

struct ActorPlan {
  const program::Actor* actor = nullptr;
  std::vector<PortPlan> ports;
  std::vector<StatePlan> states;
  std::vector<StatementPlan> statements;
  std::vector<BoxPlan> source, destination;  ///< none or one
  int input = -1, output = -1;               ///< move: its ports
  struct Pick {
    std::size_t port = 0, dimension = 0;
  };
  std::vector<Pick> picks;  ///< move: ports that say where the source's box begins
  bool within = false;      ///< move: from a box to the other copies of the same elements
  bool staged = false;      ///< move: from a box of a buffer to another of the same, which might overlap
  double cost = 0;          ///< rough nanoseconds of a firing
};

struct ContextPlan {
  const program::Context* context = nullptr;
  program::Layout layout;
  std::vector<ActorPlan> actors;
  std::vector<ChannelPlan> channels;
  /// Actor instances that channels join, directly or not: by group, in the order of the layout.
  std::vector<std::uint32_t> members, group_begin;
  std::vector<std::uint32_t> rings, ring_begin;  ///< the rings of each group
  std::vector<std::uint32_t> local, local_ring;  ///< place of an actor instance, of a ring, in its group

  [[nodiscard]] std::size_t groups() const { return group_begin.size() - 1; }
};

Result<ContextPlan> plan_context(const program::Program& program, const program::Context& context);

}  // namespace switchyard::simulation::functional
