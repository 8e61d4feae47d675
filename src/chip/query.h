// Questions a compiler and a simulator may ask a chip.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "chip/chip.h"
#include "support/units.h"

namespace switchyard::chip {

std::optional<ComponentId> find_component(const Chip& chip, std::string_view name);
std::optional<UnitId> find_unit(const Chip& chip, std::string_view name);
std::optional<MemoryId> find_memory(const Chip& chip, std::string_view name);
std::optional<MoverId> find_mover(const Chip& chip, std::string_view name);
std::optional<NetworkId> find_network(const Chip& chip, std::string_view name);

std::int64_t instance_count(const Component& component);                   ///< holes included
std::vector<std::uint32_t> working_instances(const Component& component);  ///< linear numbers, holes left out
std::vector<std::int64_t> coordinates(const Component& component, std::uint32_t instance);
std::uint32_t instance_at(const Component& component, std::span<const std::int64_t> coordinates);

/// The rate of `unit` for an operation class and input format, or null when it cannot do it.
const Unit::Rate* find_rate(const Unit& unit, OpClass op, numerics::Format in);
/// Units able to do it, fastest first (whole-chip rate), ties by id.
std::vector<UnitId> units_for(const Chip& chip, OpClass op, numerics::Format in);
/// Operations per second of all working instances of the unit together (MACs for contract).
double chip_rate(const Chip& chip, UnitId unit, const Unit::Rate& rate);
/// Best MACs/s at which the chip can contract operands of this format on any unit; 0 when it cannot.
double best_contract_rate(const Chip& chip, numerics::Format in);

/// Cycles that a product of these extents takes on a systolic unit beside its steps: loading, filling and turning over its folds. `last`:
/// nothing turns over after the last one.
double fold_cycles(const Unit& unit, double m, double n, double k, double batch, bool last);

MemoryId off_chip_memory(const Chip& chip);  ///< the dram
std::optional<MemoryId> cache_of(const Chip& chip, MemoryId dram);
/// The network by which a mover's transfers go to and from an off-chip memory: its own, else the memory's.
std::optional<NetworkId> network_between(const Chip& chip, const Mover& mover, MemoryId off_chip);
std::optional<MemoryId> scratchpad_of(const Chip& chip, ComponentId component);
/// Usable bytes of one instance: bytes minus reserved, and where the usable range begins (the largest gap).
struct UsableRange {
  std::int64_t begin = 0, end = 0;
};
UsableRange usable_range(const Memory& memory);
/// The chip's link to its host, where the file describes one.
const Network* host_link(const Chip& chip);
/// The fastest mover of the component class from one memory to another.
std::optional<MoverId> mover_between(const Chip& chip, ComponentId component, MemoryId from, MemoryId to);

inline BytesPerSecond sustained_bandwidth(const Memory& m) { return BytesPerSecond(m.bandwidth.value * m.sustained.value); }

/// Directed links of a network, numbered; a route is a list of component instances, each next to the one before.
std::int64_t link_count(const Chip& chip, const Network& network);
/// Bytes/s at which one stream passes a link: all of it, or one of its circuits.
inline BytesPerSecond stream_bandwidth(const Network& n) {
  return BytesPerSecond(n.circuits > 1 ? n.link.value / static_cast<double>(n.circuits) : n.link.value);
}
/// Number of the link from one instance to a neighbour; empty when they are not neighbours. Crossbar: link out of `from` when to==from is
/// false is 2*from, the link into `to` is 2*to+1, and a route has both.
std::optional<std::uint32_t> link_between(const Chip& chip, const Network& network, std::uint32_t from, std::uint32_t to);
/// Instances are joined by switches alone, so that a route is its two ends: crossbar, tree.
inline bool is_switched(const Network& network) { return network.topology == Topology::crossbar || network.topology == Topology::tree; }
/// Of a switched network: the links from one instance to another, in the order in which bytes pass them. A tree's trunks follow the links
/// of its instances: 2(n + c) leads up from container c, 2(n + c) + 1 down into it.
std::vector<std::uint32_t> switched_links(const Chip& chip, const Network& network, std::uint32_t from, std::uint32_t to);
/// Its devices are chips of this name.
bool serves(const Collectives& collectives, std::string_view name);
/// Every working instance can be reached from every other through working ones.
bool all_connected(const Chip& chip, const Network& network);
/// The network's own route between two instances, both ends included; mesh: dimension order as `routing` says, and where a hole is in the
/// way a shortest route around it.
std::vector<std::uint32_t> default_route(const Chip& chip, const Network& network, std::uint32_t from, std::uint32_t to);
/// The working port of a memory nearest to an instance (hops from the port, then number). For a memory without ports: the instance itself.
std::uint32_t nearest_port(const Chip& chip, const Memory& memory, std::uint32_t instance);

}  // namespace switchyard::chip
