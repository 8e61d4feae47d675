// The shared resources of a chip (memories, caches, links, engines) and the paths transfers take through them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "program/circuits.h"
#include "program/program.h"
#include "support/units.h"

namespace switchyard::simulation::timing {

/// A first-come-first-served server. Times are those of the running context; busy and bytes are totals of the program.
struct alignas(64) Resource {  // a cache line
  std::int64_t free = 0;
  std::int64_t latency = 0;
  std::int64_t busy = 0, bytes = 0;
  std::int64_t last_bytes = 0, last_service = 0;  ///< of the chunk served last: the next is often as large
  std::int64_t chunk_time = 0;                    ///< of one whole chunk
  BytesPerSecond rate;
};
static_assert(sizeof(Resource) == 64);

/// whole: the memory that one is a channel of; end: where a circuit begins or ends.
enum class Stage : std::uint8_t { memory, whole, cache, link, end, engine };

/// A stage of a path. Children are the next stages: more than one where a multicast forks.
struct PathNode {
  std::uint32_t resource = 0;
  std::uint32_t first_child = 0;
  std::uint16_t children = 0;
  Stage stage = Stage::link;
  bool memory_cause = false;  ///< waiting and service are charged to memory, else to the interconnect
  bool writes = false;        ///< a memory stage after the engine
  bool certain = true;        ///< one server which every chunk passes: not one of several engines, nor a memory that a cache may spare
};

struct Path {
  std::uint32_t root = 0, end = 0;  ///< nodes
  std::uint32_t leaves = 0, links = 0;
  bool leads = true;  ///< false: over a network of circuits, none of which has these ends
};

/// What a transfer's path depends on.
struct PathRequest {
  chip::MoverId mover;
  std::uint32_t component = 0;                        ///< of the mover
  std::optional<chip::MemoryId> source, destination;  ///< off-chip ends
  std::vector<std::uint32_t> targets;                 ///< components of the consumers; empty for a store
  std::optional<chip::NetworkId> network;             ///< overrides the memory's or mover's own
  std::vector<std::vector<std::uint32_t>> routes;     ///< given routes, one per target (or one for a store); empty: the network's own
  std::uint32_t context = 0;                          ///< whose circuits it takes; 0 on chips without circuits
  bool operator==(const PathRequest&) const = default;
};

struct PathRequestHash {
  std::size_t operator()(const PathRequest& request) const;
};

class Fabric {
 public:
  Fabric(const program::Program& program, std::int64_t chunk);

  /// Nothing has worked yet, and the next paths are this program's; what is known of the chip stays.
  void begin_program(const program::Program& program);
  /// Another program for this chip may go on with what is known.
  [[nodiscard]] bool worth_keeping() const { return !has_circuits_ && nodes.size() < kMostNodes; }

  /// Index of the path; equal requests share one.
  std::uint32_t path(const PathRequest& request);
  /// The same of a message from a component to others, the own one perhaps among them.
  std::uint32_t path(chip::MoverId mover, std::uint32_t component, std::span<const std::uint32_t> to, std::uint32_t context);
  /// Forgets the state of the last context. Call use() with every path of the new one, then the first transfer may start.
  void begin_context();
  void use(std::uint32_t path);
  /// Anything may come over any link of the network.
  void mix(std::optional<chip::NetworkId> network);

  /// How often use() and mix() have changed what feeds a resource.
  [[nodiscard]] std::int64_t changes() const { return changes_; }
  /// Do paths depend on the context whose circuits they are?
  [[nodiscard]] bool has_circuits() const { return has_circuits_; }
  [[nodiscard]] std::uint32_t memory(chip::MemoryId id) const { return first_memory_[id.index()]; }
  /// First engine of a mover of a component; `count` engines follow one another.
  [[nodiscard]] std::uint32_t engine(chip::MoverId id, std::uint32_t component);
  [[nodiscard]] std::int64_t service(const Resource& r, std::int64_t bytes) const {
    return bytes == chunk_ ? r.chunk_time : time_of(bytes, r.rate);
  }
  /// Rounded up; but less than half a picosecond is nothing, so that what is meant to be no limit is none.
  [[nodiscard]] static std::int64_t time_of(std::int64_t bytes, BytesPerSecond rate) {
    if (!(rate.value > 0) || static_cast<double>(bytes) * 1e12 < 0.5 * rate.value) return 0;
    return time_to_move(Bytes(bytes), rate).value;
  }

  std::vector<Resource> resources;
  /// By resource: in this context all its chunks come from one other resource, so that they cannot overtake on the way.
  std::vector<std::uint8_t> feeds_in_order;
  std::vector<PathNode> nodes;
  std::vector<Path> paths;
  struct Named {
    std::string name;
    std::uint32_t resource;
    std::int64_t busy, bytes;
  };
  /// Memories, then links, of those that worked. A link of circuits is as busy as they are in the mean.
  [[nodiscard]] std::vector<Named> reported() const;
  [[nodiscard]] std::vector<Named> reported_circuits() const;  ///< each circuit of a link that worked
  [[nodiscard]] std::int64_t link_busy() const;
  [[nodiscard]] std::int64_t link_total() const { return link_total_; }

 private:
  std::uint32_t make_path(const PathRequest& request);
  std::uint32_t add(BytesPerSecond rate, double latency_seconds);
  std::uint32_t nearest_port(chip::MemoryId memory, std::uint32_t component);
  void routes_of(const PathRequest& request, std::vector<std::vector<std::uint32_t>>& links);
  void append_links(const chip::Network& network, std::uint32_t number, const std::vector<std::uint32_t>& route,
                    std::vector<std::uint32_t>& links);
  /// `name` says what it is called, once.
  template <class Name>
  std::uint32_t link(std::uint32_t network, std::uint32_t number, const Name& name);
  /// One of the circuits of a link, or of an end.
  std::uint32_t lane(chip::NetworkId network, const program::CircuitTable::Lane& lane);
  void circuits_of(const PathRequest& request, chip::NetworkId network, std::uint32_t from, const std::vector<std::uint32_t>& to,
                   std::vector<std::vector<std::uint32_t>>& links);
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> worked(std::uint32_t resource) const;  ///< busy, bytes

  static constexpr std::size_t kMostNodes = std::size_t{1} << 21;
  const program::Program* program_;
  const chip::Chip* chip_;
  std::int64_t chunk_;
  bool has_circuits_ = false;
  std::map<std::uint32_t, program::CircuitTable> circuits_;  // by context
  struct LaneOf {
    std::uint32_t place_resource;  // the link; kAbsent: an end
    std::int64_t number;
  };
  std::map<std::tuple<std::size_t, std::uint32_t, std::int64_t>, std::uint32_t> lanes_;  // by network, place, number
  std::map<std::uint32_t, LaneOf> lane_of_;                                              // by resource
  std::map<std::uint32_t, std::vector<std::uint32_t>> lanes_on_;                         // by resource of a link: its circuits
  std::map<std::uint32_t, std::int64_t> circuits_on_;                                    // and how many there could be
  std::vector<std::uint32_t> first_memory_, first_link_;
  std::vector<std::vector<std::uint32_t>> engines_;  // per mover, per component; UINT32_MAX: none yet
  std::vector<std::string> link_names_;              // by resource; empty but for links on some path
  std::unordered_map<PathRequest, std::uint32_t, PathRequestHash> known_;
  struct Sent {  ///< a message's path
    std::uint64_t hash = 0;
    std::uint32_t path = 0, first = 0, end = 0;  ///< in `sent_to_`: mover, component, context, and to whom; `end` 0: nothing is here
  };
  std::vector<Sent> sent_;  ///< a table, at most half full; its size is a power of two
  std::vector<std::uint32_t> sent_to_;
  std::size_t sent_used_ = 0;
  struct Draft {  // of a node, of the path that is being made
    PathNode node;
    std::uint32_t first_child, last_child, next;
  };
  std::vector<Draft> drafts_;
  std::vector<std::vector<std::uint32_t>> links_;  // the same path's, by target
  struct Neighbour {
    std::uint32_t to, link;
  };
  std::vector<std::vector<std::array<Neighbour, 4>>> neighbours_;  // links that have been asked for, by network and instance
  std::vector<std::vector<std::uint32_t>> ports_;                  // the same of the ports of memories, by memory and instance
  std::vector<std::uint32_t> fed_by_;                              // per resource, in this context: nothing, one resource, or many
  std::vector<bool> mixed_, used_;                                 // networks and paths, in this context
  std::int64_t link_total_ = 0, changes_ = 0;
};

}  // namespace switchyard::simulation::timing
