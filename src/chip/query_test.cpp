#include "chip/query.h"

#include <gtest/gtest.h>

#include <set>

namespace switchyard::chip {
namespace {

using Coordinates = std::vector<std::int64_t>;

/// A chip with one array of components and one network over it.
Chip array_chip(std::vector<std::int64_t> shape, Topology topology, std::string routing = "xy") {
  Chip chip;
  chip.components.push_back({"chip", {}, {}, {}, {}});
  chip.components.push_back({"tile", ComponentId(0), std::move(shape), {}, {}});
  Network network;
  network.name = "noc";
  network.over = ComponentId(1);
  network.topology = topology;
  network.routing = std::move(routing);
  chip.networks.push_back(network);
  return chip;
}

Number number(double value) {
  Number n;
  n.value = value;
  return n;
}

TEST(Instances, AreNumberedRowMajorly) {
  Component component;
  component.shape = {2, 3, 4};
  EXPECT_EQ(instance_count(component), 24);
  EXPECT_EQ(coordinates(component, 0), (Coordinates{0, 0, 0}));
  EXPECT_EQ(coordinates(component, 23), (Coordinates{1, 2, 3}));
  for (std::uint32_t i = 0; i < 24; ++i) EXPECT_EQ(instance_at(component, coordinates(component, i)), i);
  EXPECT_EQ(instance_at(component, Coordinates{1, 0, 2}), 14U);
}

TEST(Instances, HolesDoNotWork) {
  Component component;
  component.shape = {2, 2};
  component.holes = {1, 2};
  EXPECT_EQ(working_instances(component), (std::vector<std::uint32_t>{0, 3}));
}

TEST(Routes, FollowTheTopology) {
  struct Case {
    std::vector<std::int64_t> shape;
    Topology topology;
    std::string routing;
    std::uint32_t from, to;
    std::vector<std::uint32_t> route;
  };
  const Case cases[] = {
      {{4, 4}, Topology::mesh2d, "xy", 0, 0, {0}},
      {{4, 4}, Topology::mesh2d, "xy", 0, 10, {0, 1, 2, 6, 10}},
      {{4, 4}, Topology::mesh2d, "yx", 0, 10, {0, 4, 8, 9, 10}},
      {{4, 4}, Topology::mesh2d, "xy", 15, 4, {15, 14, 13, 12, 8, 4}},
      {{4, 4}, Topology::torus2d, "xy", 0, 15, {0, 3, 15}},
      {{4, 4}, Topology::torus2d, "xy", 0, 2, {0, 1, 2}},  // a tie goes upwards
      {{3, 5}, Topology::torus2d, "xy", 0, 13, {0, 4, 3, 13}},
      {{2, 2}, Topology::torus2d, "xy", 0, 3, {0, 1, 3}},
      {{6}, Topology::ring, "xy", 1, 5, {1, 0, 5}},
      {{6}, Topology::ring, "xy", 5, 1, {5, 0, 1}},
      {{2}, Topology::ring, "xy", 1, 0, {1, 0}},
      {{9}, Topology::crossbar, "xy", 7, 2, {7, 2}},
  };
  for (const Case& c : cases) {
    const Chip chip = array_chip(c.shape, c.topology, c.routing);
    EXPECT_EQ(default_route(chip, chip.networks[0], c.from, c.to), c.route) << c.from << " -> " << c.to;
  }
}

TEST(Routes, LeadAroundHoles) {
  Chip chip = array_chip({3, 4}, Topology::mesh2d);
  chip.components[1].holes = {1, 6};
  const Network& network = chip.networks[0];
  EXPECT_EQ(default_route(chip, network, 8, 11), (std::vector<std::uint32_t>{8, 9, 10, 11}));  // no hole in the way
  EXPECT_EQ(default_route(chip, network, 0, 5), (std::vector<std::uint32_t>{0, 4, 5}));
  EXPECT_EQ(default_route(chip, network, 5, 7), (std::vector<std::uint32_t>{5, 9, 10, 11, 7}));
  EXPECT_TRUE(all_connected(chip, network));
  for (const std::uint32_t from : working_instances(chip.components[1])) {
    for (const std::uint32_t to : working_instances(chip.components[1])) {
      const std::vector<std::uint32_t> route = default_route(chip, network, from, to);
      EXPECT_EQ(route.front(), from);
      EXPECT_EQ(route.back(), to);
      for (std::size_t i = 0; i < route.size(); ++i) {
        EXPECT_TRUE(route[i] != 1 && route[i] != 6) << from << " -> " << to;
        if (i > 0) {
          EXPECT_TRUE(link_between(chip, network, route[i - 1], route[i]).has_value());
        }
      }
    }
  }
  chip.components[1].holes = {1, 4};
  EXPECT_FALSE(all_connected(chip, network)) << "0 is alone";
  Memory memory;
  memory.network = NetworkId(0);
  memory.ports = {4, 8};
  EXPECT_EQ(nearest_port(chip, memory, 5), 8U) << "4 is a hole";
}

TEST(Links, AreAllNumberedOnceAndInBothDirections) {
  struct Case {
    std::vector<std::int64_t> shape;
    Topology topology;
    std::int64_t links;
  };
  const Case cases[] = {
      {{4, 4}, Topology::mesh2d, 48},  {{1, 5}, Topology::mesh2d, 8},   {{3, 2}, Topology::mesh2d, 14},
      {{4, 4}, Topology::torus2d, 64}, {{3, 2}, Topology::torus2d, 18}, {{1, 1}, Topology::torus2d, 0},
      {{5}, Topology::ring, 10},       {{2}, Topology::ring, 2},        {{1}, Topology::ring, 0},
  };
  for (const Case& c : cases) {
    const Chip chip = array_chip(c.shape, c.topology);
    const Network& network = chip.networks[0];
    EXPECT_EQ(link_count(chip, network), c.links);
    const auto count = static_cast<std::uint32_t>(instance_count(chip.components[1]));
    std::set<std::uint32_t> seen;
    for (std::uint32_t from = 0; from < count; ++from) {
      for (std::uint32_t to = 0; to < count; ++to) {
        const auto link = link_between(chip, network, from, to);
        EXPECT_EQ(link.has_value(), link_between(chip, network, to, from).has_value());
        EXPECT_EQ(link.has_value(), default_route(chip, network, from, to).size() == 2);
        if (!link) continue;
        EXPECT_LT(*link, c.links);
        EXPECT_TRUE(seen.insert(*link).second) << "link " << *link << " has two owners";
      }
    }
    EXPECT_EQ(static_cast<std::int64_t>(seen.size()), c.links);
  }
}

TEST(OneWay, RoutesGoRoundTheOnlyWay) {
  struct Case {
    std::vector<std::int64_t> shape;
    Topology topology;
    std::string routing;
    int way;
    std::uint32_t from, to;
    std::vector<std::uint32_t> route;
  };
  const Case cases[] = {
      {{3, 4}, Topology::torus2d, "xy", 1, 1, 4, {1, 2, 3, 0, 4}},
      {{3, 4}, Topology::torus2d, "yx", -1, 1, 4, {1, 9, 5, 4}},
      {{3, 4}, Topology::torus2d, "yx", -1, 4, 7, {4, 7}},
      {{2, 2}, Topology::torus2d, "xy", 1, 3, 0, {3, 2, 0}},  // here a wrap-around of two is a link of its own
      {{4}, Topology::ring, "xy", -1, 1, 2, {1, 0, 3, 2}},
  };
  for (const Case& c : cases) {
    Chip chip = array_chip(c.shape, c.topology, c.routing);
    chip.networks[0].one_way = c.way;
    EXPECT_EQ(default_route(chip, chip.networks[0], c.from, c.to), c.route) << c.from << " -> " << c.to;
  }
}

TEST(OneWay, EveryInstanceHasOneLinkPerDimension) {
  for (const int way : {1, -1}) {
    Chip chip = array_chip({3, 4}, Topology::torus2d);
    chip.networks[0].one_way = way;
    const Network& network = chip.networks[0];
    EXPECT_EQ(link_count(chip, network), 24);
    std::set<std::uint32_t> seen;
    for (std::uint32_t from = 0; from < 12; ++from) {
      for (std::uint32_t to = 0; to < 12; ++to) {
        const auto link = link_between(chip, network, from, to);
        EXPECT_EQ(link.has_value(), default_route(chip, network, from, to).size() == 2);
        if (!link) continue;
        EXPECT_FALSE(link_between(chip, network, to, from).has_value());
        EXPECT_LT(*link, 24U);
        EXPECT_TRUE(seen.insert(*link).second);
      }
    }
    EXPECT_EQ(seen.size(), 24U);
    EXPECT_TRUE(all_connected(chip, network));
  }
}

TEST(OneWay, TheNearestPortIsNearestAlongTheLinks) {
  Chip chip = array_chip({1, 6}, Topology::torus2d);
  chip.networks[0].one_way = 1;
  Memory memory;
  memory.network = NetworkId(0);
  memory.ports = {1, 3};
  EXPECT_EQ(nearest_port(chip, memory, 2), 1U);
  EXPECT_EQ(nearest_port(chip, memory, 0), 3U) << "three hops on from 3, five from 1";
}

TEST(Holes, WithRoutersArePassedAndMayHavePorts) {
  Chip chip = array_chip({3, 4}, Topology::mesh2d);
  chip.components[1].holes = {1, 4};
  chip.networks[0].through_holes = true;
  EXPECT_EQ(default_route(chip, chip.networks[0], 0, 2), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_TRUE(all_connected(chip, chip.networks[0]));
  Memory memory;
  memory.network = NetworkId(0);
  memory.ports = {4, 8};
  EXPECT_EQ(nearest_port(chip, memory, 5), 4U);
  EXPECT_EQ(working_instances(chip.components[1]).size(), 10U);
}

TEST(Networks, OfTheMoverGoBeforeTheMemorys) {
  Chip chip;
  chip.memories.emplace_back();
  Mover mover;
  EXPECT_FALSE(network_between(chip, mover, MemoryId(0)).has_value());
  chip.memories[0].network = NetworkId(1);
  EXPECT_EQ(network_between(chip, mover, MemoryId(0)), NetworkId(1));
  mover.network = NetworkId(0);
  EXPECT_EQ(network_between(chip, mover, MemoryId(0)), NetworkId(0));
}

TEST(Links, OfACrossbarAreOneOutAndOneIn) {
  const Chip chip = array_chip({5}, Topology::crossbar);
  EXPECT_EQ(link_count(chip, chip.networks[0]), 10);
  EXPECT_EQ(link_between(chip, chip.networks[0], 3, 1), 6U);
  EXPECT_EQ(link_between(chip, chip.networks[0], 3, 3), std::nullopt);
}

TEST(Ports, TheNearestServesAndTiesGoToTheLowerNumber) {
  const Chip chip = array_chip({4, 4}, Topology::mesh2d);
  Memory memory;
  EXPECT_EQ(nearest_port(chip, memory, 9), 9U);
  memory.network = NetworkId(0);
  memory.ports = {12, 0, 4, 8};
  EXPECT_EQ(nearest_port(chip, memory, 7), 4U);
  EXPECT_EQ(nearest_port(chip, memory, 12), 12U);
  memory.ports = {15, 0};
  EXPECT_EQ(nearest_port(chip, memory, 6), 0U);  // three hops either way
  EXPECT_EQ(nearest_port(chip, memory, 7), 15U);
}

TEST(UsableRange, IsTheLargestGap) {
  struct Case {
    std::vector<std::array<std::int64_t, 2>> reserved;
    std::int64_t begin, end;
  };
  const Case cases[] = {
      {{}, 0, 1000},       {{{0, 100}, {900, 1000}}, 100, 900}, {{{600, 700}, {100, 200}}, 200, 600}, {{{0, 500}, {200, 300}}, 500, 1000},
      {{{0, 1000}}, 0, 0},
  };
  for (const Case& c : cases) {
    Memory memory;
    memory.bytes = number(1000);
    memory.reserved = c.reserved;
    EXPECT_EQ(usable_range(memory).begin, c.begin);
    EXPECT_EQ(usable_range(memory).end, c.end);
  }
}

TEST(Units, AreRankedByTheWholeChipsRate) {
  Chip chip = array_chip({4, 4}, Topology::mesh2d);
  chip.components[1].holes = {3, 5};
  const auto add = [&](std::string name, std::size_t in, std::vector<OpClass> ops, double rate) {
    Unit unit;
    unit.name = std::move(name);
    unit.in = ComponentId(in);
    unit.ops = std::move(ops);
    unit.clock_hz = number(1e9);
    unit.rates.push_back({numerics::Format::bf16, numerics::Format::fp32, number(rate)});
    chip.units.push_back(unit);
  };
  add("slow", 1, {OpClass::contract, OpClass::map}, 10);
  add("fast", 1, {OpClass::contract}, 100);
  add("central", 0, {OpClass::contract}, 140);
  add("twin", 1, {OpClass::map}, 10);
  using Ids = std::vector<UnitId>;
  EXPECT_EQ(units_for(chip, OpClass::contract, numerics::Format::bf16), (Ids{UnitId(1), UnitId(0), UnitId(2)}));
  EXPECT_EQ(units_for(chip, OpClass::map, numerics::Format::bf16), (Ids{UnitId(0), UnitId(3)}));
  EXPECT_EQ(units_for(chip, OpClass::reduce, numerics::Format::bf16), Ids{});
  EXPECT_EQ(units_for(chip, OpClass::map, numerics::Format::fp16), Ids{});
  EXPECT_DOUBLE_EQ(best_contract_rate(chip, numerics::Format::bf16), 14 * 100e9);
  EXPECT_DOUBLE_EQ(best_contract_rate(chip, numerics::Format::fp32), 0);
  EXPECT_EQ(find_rate(chip.units[3], OpClass::contract, numerics::Format::bf16), nullptr);
}

TEST(Movers, TheFastestOfTheComponentServes) {
  Chip chip = array_chip({4}, Topology::ring);
  const auto add = [&](std::size_t in, double bandwidth, std::int64_t count) {
    Mover mover;
    mover.in = ComponentId(in);
    mover.from = {MemoryId(0)};
    mover.to = {MemoryId(1), MemoryId(2)};
    mover.bandwidth = number(bandwidth);
    mover.count = count;
    chip.movers.push_back(mover);
  };
  add(0, 1000, 1);
  add(1, 100, 1);
  add(1, 60, 2);
  EXPECT_EQ(mover_between(chip, ComponentId(1), MemoryId(0), MemoryId(2)), MoverId(2));
  EXPECT_EQ(mover_between(chip, ComponentId(0), MemoryId(0), MemoryId(1)), MoverId(0));
  EXPECT_EQ(mover_between(chip, ComponentId(1), MemoryId(1), MemoryId(0)), std::nullopt);
}

}  // namespace
}  // namespace switchyard::chip
