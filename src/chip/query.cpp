#include "chip/query.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "chip/grid.h"
#include "support/check.h"

namespace switchyard::chip {
namespace {

template <class IdType, class Items>
std::optional<IdType> find_named(const Items& items, std::string_view name) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].name == name) return IdType(i);
  }
  return std::nullopt;
}

bool is_hole(const Component& component, std::uint32_t instance) {
  return std::binary_search(component.holes.begin(), component.holes.end(), instance);
}

/// A hole that this network can neither pass nor begin or end at.
bool is_closed(const Network& network, const Component& over, std::uint32_t instance) {
  return !network.through_holes && is_hole(over, instance);
}

constexpr std::uint32_t kUnreached = static_cast<std::uint32_t>(-1);

/// For every instance, the one before it on a shortest way from `from` through working instances; ties: along the columns first, upwards.
std::vector<std::uint32_t> flood(const Grid& grid, const Component& over, std::uint32_t from) {
  std::vector<std::uint32_t> before(static_cast<std::size_t>(instance_count(over)), kUnreached), edge{from};
  before[from] = from;
  for (std::size_t next = 0; next < edge.size(); ++next) {
    const std::uint32_t here = edge[next];
    const auto reach = [&](std::int64_t row, std::int64_t column) {
      const std::uint32_t there = grid.at(row, column);
      if (before[there] != kUnreached || is_hole(over, there)) return;
      before[there] = here;
      edge.push_back(there);
    };
    for (const std::int64_t way : {1, -1}) {
      if (grid.columns.link(grid.column(here), way) >= 0) reach(grid.row(here), grid.columns.step(grid.column(here), way));
    }
    for (const std::int64_t way : {1, -1}) {
      if (grid.rows.link(grid.row(here), way) >= 0) reach(grid.rows.step(grid.row(here), way), grid.column(here));
    }
  }
  return before;
}

std::vector<std::uint32_t> route_around_holes(const Grid& grid, const Component& over, std::uint32_t from, std::uint32_t to) {
  if (is_hole(over, from) || is_hole(over, to)) return {};
  const std::vector<std::uint32_t> before = flood(grid, over, from);
  if (before[to] == kUnreached) return {};
  std::vector<std::uint32_t> route{to};
  while (route.back() != from) route.push_back(before[route.back()]);
  std::reverse(route.begin(), route.end());
  return route;
}

std::int64_t hops(const Chip& chip, const Network& network, std::uint32_t from, std::uint32_t to) {
  if (is_switched(network)) return from == to ? 0 : 1;
  const Grid grid = grid_of(chip, network);
  return grid.rows.distance(grid.row(from), grid.row(to)) + grid.columns.distance(grid.column(from), grid.column(to));
}

}  // namespace

Grid grid_of(const Chip& chip, const Network& network) {
  const Component& over = chip.components[network.over.index()];
  Grid grid;
  grid.one_way = network.one_way != 0;
  // A wrap-around of two would double the link that is already there, unless links lead one way.
  const auto axis = [&](std::int64_t size, bool closed) { return Axis{size, closed && size > (grid.one_way ? 1 : 2), network.one_way}; };
  if (network.topology == Topology::ring) {
    grid.columns = axis(instance_count(over), true);
    return grid;
  }
  if (over.shape.empty()) return grid;  // between chips: the extents are the system's
  SY_CHECK(over.shape.size() == 2, "a mesh over a component that is not a two-dimensional array");
  const bool torus = network.topology == Topology::torus2d;
  grid.rows = axis(over.shape[0], torus);
  grid.columns = axis(over.shape[1], torus);
  return grid;
}

std::optional<ComponentId> find_component(const Chip& chip, std::string_view name) {
  return find_named<ComponentId>(chip.components, name);
}
std::optional<UnitId> find_unit(const Chip& chip, std::string_view name) { return find_named<UnitId>(chip.units, name); }
std::optional<MemoryId> find_memory(const Chip& chip, std::string_view name) { return find_named<MemoryId>(chip.memories, name); }
std::optional<MoverId> find_mover(const Chip& chip, std::string_view name) { return find_named<MoverId>(chip.movers, name); }
std::optional<NetworkId> find_network(const Chip& chip, std::string_view name) { return find_named<NetworkId>(chip.networks, name); }

std::int64_t instance_count(const Component& component) {
  std::int64_t count = 1;
  for (const std::int64_t extent : component.shape) count *= extent;
  return count;
}

std::vector<std::uint32_t> working_instances(const Component& component) {
  const auto count = static_cast<std::uint32_t>(instance_count(component));
  std::vector<bool> hole(count, false);
  for (const std::uint32_t h : component.holes) hole[h] = true;
  std::vector<std::uint32_t> working;
  working.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!hole[i]) working.push_back(i);
  }
  return working;
}

std::vector<std::int64_t> coordinates(const Component& component, std::uint32_t instance) {
  std::vector<std::int64_t> result(component.shape.size());
  std::int64_t rest = instance;
  for (std::size_t d = component.shape.size(); d-- > 0;) {
    result[d] = rest % component.shape[d];
    rest /= component.shape[d];
  }
  return result;
}

std::uint32_t instance_at(const Component& component, std::span<const std::int64_t> coordinates) {
  SY_CHECK(coordinates.size() == component.shape.size(), "coordinates of another rank than " + component.name);
  std::int64_t instance = 0;
  for (std::size_t d = 0; d < coordinates.size(); ++d) instance = instance * component.shape[d] + coordinates[d];
  return static_cast<std::uint32_t>(instance);
}

const Unit::Rate* find_rate(const Unit& unit, OpClass op, numerics::Format in) {
  if (std::find(unit.ops.begin(), unit.ops.end(), op) == unit.ops.end()) return nullptr;
  const auto rate = std::find_if(unit.rates.begin(), unit.rates.end(), [&](const Unit::Rate& r) { return r.in == in; });
  return rate == unit.rates.end() ? nullptr : &*rate;
}

double chip_rate(const Chip& chip, UnitId unit, const Unit::Rate& rate) {
  const Unit& u = chip.units[unit.index()];
  const Component& component = chip.components[u.in.index()];
  const auto working = static_cast<double>(instance_count(component) - static_cast<std::int64_t>(component.holes.size()));
  return working * rate.per_cycle.value * u.clock_hz.value;
}

std::vector<UnitId> units_for(const Chip& chip, OpClass op, numerics::Format in) {
  std::vector<std::pair<double, UnitId>> able;
  for (std::size_t i = 0; i < chip.units.size(); ++i) {
    if (const Unit::Rate* rate = find_rate(chip.units[i], op, in)) able.emplace_back(chip_rate(chip, UnitId(i), *rate), UnitId(i));
  }
  std::stable_sort(able.begin(), able.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<UnitId> result;
  result.reserve(able.size());
  for (const auto& [rate, id] : able) result.push_back(id);
  return result;
}

double best_contract_rate(const Chip& chip, numerics::Format in) {
  const std::vector<UnitId> units = units_for(chip, OpClass::contract, in);
  if (units.empty()) return 0;
  return chip_rate(chip, units[0], *find_rate(chip.units[units[0].index()], OpClass::contract, in));
}

double fold_cycles(const Unit& unit, double m, double n, double k, double batch, bool last) {
  using Stationary = Unit::Folds::Stationary;
  const Unit::Folds& f = unit.folds;
  if (f.stationary == Stationary::none) return 0;
  const auto parts = [&](double extent, std::size_t axis) { return std::ceil(extent / static_cast<double>(unit.geometry[axis])); };
  const double folds = batch * (f.stationary == Stationary::second ? 1 : parts(m, 0)) *
                       (f.stationary == Stationary::first ? 1 : parts(n, 1)) * (f.stationary == Stationary::result ? 1 : parts(k, 2));
  return folds * (f.load.value + f.fill.value + f.turn.value) - (last ? f.turn.value : 0);
}

MemoryId off_chip_memory(const Chip& chip) {
  for (std::size_t i = 0; i < chip.memories.size(); ++i) {
    if (chip.memories[i].kind == MemoryKind::dram) return MemoryId(i);
  }
  SY_CHECK(false, "a chip without dram passed the reader");
  return {};
}

std::optional<MemoryId> cache_of(const Chip& chip, MemoryId dram) {
  for (std::size_t i = 0; i < chip.memories.size(); ++i) {
    if (chip.memories[i].kind == MemoryKind::cache && chip.memories[i].backing == dram) return MemoryId(i);
  }
  return std::nullopt;
}

std::optional<NetworkId> network_between(const Chip& chip, const Mover& mover, MemoryId off_chip) {
  return mover.network ? mover.network : chip.memories[off_chip.index()].network;
}

std::optional<MemoryId> scratchpad_of(const Chip& chip, ComponentId component) {
  for (std::size_t i = 0; i < chip.memories.size(); ++i) {
    if (chip.memories[i].kind == MemoryKind::scratchpad && chip.memories[i].in == component) return MemoryId(i);
  }
  return std::nullopt;
}

UsableRange usable_range(const Memory& memory) {
  std::vector<std::array<std::int64_t, 2>> reserved = memory.reserved;
  std::sort(reserved.begin(), reserved.end());
  const auto bytes = static_cast<std::int64_t>(memory.bytes.value);
  reserved.push_back({bytes, bytes});
  UsableRange best;
  std::int64_t begin = 0;
  for (const auto& [from, to] : reserved) {
    if (from - begin > best.end - best.begin) best = {begin, from};
    begin = std::max(begin, to);
  }
  return best;
}

const Network* host_link(const Chip& chip) {
  const auto found =
      std::find_if(chip.networks.begin(), chip.networks.end(), [](const Network& n) { return n.topology == Topology::host; });
  return found == chip.networks.end() ? nullptr : &*found;
}

std::optional<MoverId> mover_between(const Chip& chip, ComponentId component, MemoryId from, MemoryId to) {
  std::optional<MoverId> best;
  double best_rate = 0;
  const auto has = [](const std::vector<MemoryId>& list, MemoryId id) { return std::find(list.begin(), list.end(), id) != list.end(); };
  for (std::size_t i = 0; i < chip.movers.size(); ++i) {
    const Mover& mover = chip.movers[i];
    if (mover.in != component || !has(mover.from, from) || !has(mover.to, to)) continue;
    const double rate = mover.bandwidth.value * static_cast<double>(mover.count);
    if (rate > best_rate) {
      best = MoverId(i);
      best_rate = rate;
    }
  }
  return best;
}

std::int64_t link_count(const Chip& chip, const Network& network) {
  if (network.topology == Topology::crossbar) return 2 * instance_count(chip.components[network.over.index()]);
  if (network.topology == Topology::tree) {
    const Component& over = chip.components[network.over.index()];
    return 2 * (instance_count(over) + instance_count(chip.components[over.parent.index()]));
  }
  const Grid grid = grid_of(chip, network);
  return (grid.one_way ? 1 : 2) * (grid.horizontal() + grid.vertical());
}

// Numbers: all links to the right, all to the left, all down, all up; within each, by the position of the end with the lower coordinate.
// One-way networks have the links of one direction each.
std::optional<std::uint32_t> link_between(const Chip& chip, const Network& network, std::uint32_t from, std::uint32_t to) {
  if (from == to) return std::nullopt;
  if (is_switched(network)) return 2 * from;
  const Grid grid = grid_of(chip, network);
  const std::int64_t row = grid.row(from), column = grid.column(from);
  const std::int64_t to_the_left = grid.one_way ? 0 : grid.horizontal(), up = grid.one_way ? 0 : grid.vertical();
  std::int64_t number = -1;
  if (row == grid.row(to) && grid.columns.distance(column, grid.column(to)) == 1) {
    const std::int64_t way = grid.columns.direction(column, grid.column(to));
    number = (way > 0 ? 0 : to_the_left) + row * grid.columns.links() + grid.columns.link(column, way);
  } else if (column == grid.column(to) && grid.rows.distance(row, grid.row(to)) == 1) {
    const std::int64_t way = grid.rows.direction(row, grid.row(to));
    number = grid.horizontal() + to_the_left + (way > 0 ? 0 : up) + grid.rows.link(row, way) * grid.columns.size + column;
  }
  if (number < 0) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

std::vector<std::uint32_t> switched_links(const Chip& chip, const Network& network, std::uint32_t from, std::uint32_t to) {
  if (network.topology == Topology::crossbar) return {2 * from, 2 * to + 1};
  const Component& over = chip.components[network.over.index()];
  const auto instances = static_cast<std::uint32_t>(instance_count(over));
  const std::uint32_t each = instances / static_cast<std::uint32_t>(instance_count(chip.components[over.parent.index()]));
  const std::uint32_t a = from / each, b = to / each;
  if (a == b) return {2 * from, 2 * to + 1};
  return {2 * from, 2 * (instances + a), 2 * (instances + b) + 1, 2 * to + 1};
}

std::vector<std::uint32_t> default_route(const Chip& chip, const Network& network, std::uint32_t from, std::uint32_t to) {
  std::vector<std::uint32_t> route{from};
  if (from == to) return route;
  if (is_switched(network)) return {from, to};
  const Grid grid = grid_of(chip, network);
  std::int64_t row = grid.row(from), column = grid.column(from);
  const auto along_columns = [&] {
    const std::int64_t way = grid.columns.direction(column, grid.column(to));
    while (column != grid.column(to)) {
      column = grid.columns.step(column, way);
      route.push_back(grid.at(row, column));
    }
  };
  const auto along_rows = [&] {
    const std::int64_t way = grid.rows.direction(row, grid.row(to));
    while (row != grid.row(to)) {
      row = grid.rows.step(row, way);
      route.push_back(grid.at(row, column));
    }
  };
  if (network.routing == "yx") {
    along_rows();
    along_columns();
  } else {
    along_columns();
    along_rows();
  }
  const Component& over = chip.components[network.over.index()];
  if (std::none_of(route.begin(), route.end(), [&](std::uint32_t i) { return is_closed(network, over, i); })) return route;
  std::vector<std::uint32_t> around = route_around_holes(grid, over, from, to);
  return around.empty() ? route : around;
}

bool serves(const Collectives& collectives, std::string_view name) {
  const std::string all = ", " + collectives.of + ", ";
  return !name.empty() && all.find(", " + std::string(name) + ", ") != std::string::npos;
}

bool all_connected(const Chip& chip, const Network& network) {
  const Component& over = chip.components[network.over.index()];
  if (is_switched(network) || network.between_chips || over.holes.empty() || network.through_holes) return true;
  const std::vector<std::uint32_t> working = working_instances(over);
  const std::vector<std::uint32_t> before = flood(grid_of(chip, network), over, working.front());
  return std::all_of(working.begin(), working.end(), [&](std::uint32_t i) { return before[i] != kUnreached; });
}

std::uint32_t nearest_port(const Chip& chip, const Memory& memory, std::uint32_t instance) {
  if (memory.ports.empty()) return instance;
  SY_CHECK(memory.network.has_value(), "ports without a network in " + memory.name);
  const Network& network = chip.networks[memory.network->index()];
  const Component& over = chip.components[network.over.index()];
  const auto working =
      std::find_if(memory.ports.begin(), memory.ports.end(), [&](std::uint32_t port) { return !is_closed(network, over, port); });
  std::uint32_t best = working == memory.ports.end() ? memory.ports[0] : *working;
  for (const std::uint32_t port : memory.ports) {
    if (is_closed(network, over, port)) continue;
    const std::int64_t difference = hops(chip, network, port, instance) - hops(chip, network, best, instance);
    if (difference < 0 || (difference == 0 && port < best)) best = port;
  }
  return best;
}

}  // namespace switchyard::chip
