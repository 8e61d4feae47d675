// A context laid out flat: every actor instance, ring and feed gets a number. For whoever walks firings: the verifier and the engines.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/program.h"
#include "program/sequence.h"

namespace switchyard::program {

inline constexpr std::uint32_t kNoIndex = 0xffffffffu;

/// An actor at one array instance.
struct ActorInstance {
  ActorId actor;
  std::uint32_t instance = 0;          ///< of its array, row-major
  std::uint32_t component = kNoIndex;  ///< component instance; kNoIndex in a grid: known only when it is dealt
  std::uint32_t first_port = 0;        ///< its port p is Layout::ports[first_port + p]
};

/// The storage of a channel at one consumer instance.
struct Ring {
  ChannelId channel;
  std::uint32_t instance = 0;          ///< consumer's array instance
  std::uint32_t component = kNoIndex;  ///< consumer's component; kNoIndex in a grid
  std::uint32_t producer = kNoIndex;   ///< actor instance; a ring always has one
  std::uint32_t producer_port = 0;
  std::uint32_t first_consumer = 0;  ///< Layout::consumers[first_consumer + k] is Channel::to[k]
  std::uint32_t consumer_count = 0;
};

/// The end of a ring at an input port.
struct RingConsumer {
  std::uint32_t actor = kNoIndex;  ///< actor instance
  std::uint32_t port = 0;
};

/// One feed of an input port instance.
struct Feed {
  std::uint32_t ring = kNoIndex;  ///< kNoIndex: the channel does not exist here; its positions are the pad value
  std::uint32_t consumer = 0;     ///< k of Channel::to
  ChannelId channel;
  FeedRule rule;
};

/// One ring that an output port instance feeds. A token goes there when every range of Layout::from_guards[channel] holds.
struct Outlet {
  std::uint32_t ring = kNoIndex;
  ChannelId channel;
};

/// A port of an actor instance: its feeds (input) or outlets (output), as a range of the flat table.
struct PortInstance {
  std::uint32_t begin = 0, end = 0;
};

struct Layout {
  std::vector<ActorInstance> actors;          ///< by actor, then by instance
  std::vector<std::uint32_t> first_instance;  ///< of each actor in `actors`
  std::vector<PortInstance> ports;
  std::vector<Ring> rings;  ///< by channel, then by consumer instance; those that exist
  std::vector<RingConsumer> consumers;
  std::vector<Feed> feeds;
  std::vector<Outlet> outlets;                      ///< of one port: by channel, then by consumer instance
  std::vector<std::vector<PortRule>> rules;         ///< per actor, per port
  std::vector<std::vector<Range>> from_guards;      ///< per channel, over the producer's loops
  std::vector<std::vector<std::uint32_t>> ring_of;  ///< per channel, per consumer instance; kNoIndex where there is none

  [[nodiscard]] std::span<const Feed> feeds_of(std::uint32_t actor, std::size_t port) const {
    const PortInstance& p = ports[actors[actor].first_port + port];
    return {feeds.data() + p.begin, p.end - p.begin};
  }
  [[nodiscard]] std::span<const Outlet> outlets_of(std::uint32_t actor, std::size_t port) const {
    const PortInstance& p = ports[actors[actor].first_port + port];
    return {outlets.data() + p.begin, p.end - p.begin};
  }
  [[nodiscard]] bool passes(ChannelId channel, std::span<const std::int64_t> index) const {
    for (const Range& range : from_guards[channel.index()])
      if (!range.holds(index)) return false;
    return true;
  }
};

/// Instances of an array, and the coordinates of one of them.
std::int64_t instance_count(const Array& array);
std::vector<std::int64_t> coordinates(const Array& array, std::uint32_t instance);
/// Names of the array's coordinates: as given, else c0, c1 ...
std::vector<std::string> coordinate_names(const Array& array);
/// The producer's array instance for a consumer's instance; kNoIndex where the relation leaves the producer's array.
std::uint32_t producer_instance(const Relation& relation, const Array& producer, const Array& consumer, std::uint32_t instance);

/// Working instances of a component class that a context uses: those its arrays name; all of them where an array is dealt out by the chip, or is
/// of another class.
std::int64_t instances_used(const chip::Chip& chip, const Context& context, chip::ComponentId component);

/// Lays out a context that passed verify's structural laws.
Layout lay_out(const Context& context);

}  // namespace switchyard::program
