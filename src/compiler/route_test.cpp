#include "compiler/route.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <queue>
#include <random>
#include <set>

#include "chip/query.h"
#include "chip/read.h"
#include "program/circuits.h"

namespace switchyard::compiler {
namespace {

struct Fabric {
  std::string array = "[3, 3]", holes = "[]", topology = "mesh2d";
  int circuits = 1, ends = 8, streams = 1;
};

chip::Chip chip_of(const Fabric& f) {
  auto chip = chip::parse_chip(fmt::format(R"(chip: wired
components:
  chip: {{}}
  core: {{in: chip, array: {}, holes: {}}}
clocks: {{main: {{hz: 1 GHz}}}}
units:
  vec: {{in: core, kind: vector, ops: [map], clock: main, rate: {{fp32: 8 lane/cycle}}, accumulate: fp32}}
memories:
  sram: {{in: core, kind: scratchpad, bytes: 64 KiB, bandwidth: 64 GB/s}}
  ram: {{in: chip, kind: dram, bytes: 1 MB, bandwidth: 100 GB/s}}
movers: {{}}
networks:
  noc: {{over: core, topology: {}, link: 10 GB/s, hop: 2 ns, circuits: {}, ends: {}, streams: {}}}
sequencer: {{kind: component_queues}}
contexts: {{}}
sync: {{barrier: {{alpha: 1 us}}}}
formats: {{native: [fp32]}}
)",
                                           f.array, f.holes, f.topology, f.circuits, f.ends, f.streams),
                               "wired.yaml");
  EXPECT_TRUE(chip.ok()) << (chip.ok() ? "" : format_failure(chip.failure()));
  return std::move(chip).value();
}

using Step = std::pair<std::uint32_t, std::uint32_t>;

std::set<Step> steps_of(const program::Circuit& circuit) {
  std::set<Step> steps;
  for (const auto& path : circuit.paths)
    for (std::size_t k = 1; k < path.size(); ++k) steps.insert({path[k - 1], path[k]});
  return steps;
}

/// What is wrong with a routing, found from its paths alone; empty: nothing.
std::string faults(const chip::Chip& chip, const std::vector<Demand>& demands, const Routing& routing) {
  const chip::Network& n = chip.networks[0];
  const auto& holes = chip.components[n.over.index()].holes;
  if (routing.circuits.size() != demands.size()) return "another number of circuits";
  std::map<Step, std::pair<int, int>> used;  // circuits, streams
  std::map<std::uint32_t, std::pair<int, int>> out, in;
  const auto count = [](std::pair<int, int>& c, bool packets) { ++(packets ? c.second : c.first); };
  const auto fits = [&](const std::pair<int, int>& c, std::int64_t room) {
    return c.first + (c.second + n.streams - 1) / n.streams <= room;
  };
  for (std::size_t d = 0; d < demands.size(); ++d) {
    const program::Circuit& c = routing.circuits[d];
    if (c.packets && n.streams <= 1) return "packets where there are none";
    std::set<std::uint32_t> entered;
    for (const auto& [from, to] : steps_of(c)) {
      if (!chip::link_between(chip, n, from, to)) return "no link";
      if (std::count(holes.begin(), holes.end(), from) + std::count(holes.begin(), holes.end(), to) > 0) return "a hole";
      if (!entered.insert(to).second) return "no tree";
      count(used[{from, to}], c.packets);
    }
    if (c.paths.size() != demands[d].to.size()) return "another number of receivers";
    for (std::size_t p = 0; p < c.paths.size(); ++p) {
      if (c.paths[p].empty() || c.paths[p].front() != demands[d].from || c.paths[p].back() != demands[d].to[p]) return "other ends";
      count(in[c.paths[p].back()], c.packets);
    }
    count(out[demands[d].from], c.packets);
  }
  for (const auto& [step, c] : used)
    if (!fits(c, n.circuits)) return fmt::format("too many from {} to {}", step.first, step.second);
  for (const auto* ends : {&out, &in})
    for (const auto& [component, c] : *ends)
      if (!fits(c, n.ends)) return fmt::format("too many at {}", component);
  return {};
}

/// Links to the farthest of all components, by breadth-first search.
std::vector<std::size_t> distances(const chip::Chip& chip, std::uint32_t from, const std::map<Step, int>& full = {}) {
  const chip::Network& n = chip.networks[0];
  const chip::Component& over = chip.components[n.over.index()];
  const auto all = static_cast<std::uint32_t>(chip::instance_count(over));
  std::vector<std::size_t> far(all, SIZE_MAX);
  std::queue<std::uint32_t> open;
  far[from] = 0;
  open.push(from);
  while (!open.empty()) {
    const std::uint32_t c = open.front();
    open.pop();
    for (std::uint32_t to = 0; to < all; ++to) {
      if (far[to] != SIZE_MAX || !chip::link_between(chip, n, c, to)) continue;
      if (std::count(over.holes.begin(), over.holes.end(), to) != 0) continue;
      if (const auto f = full.find({c, to}); f != full.end() && f->second >= n.circuits) continue;
      far[to] = far[c] + 1;
      open.push(to);
    }
  }
  return far;
}

/// One demand after the other along a shortest way that has room, never to be moved again: what routers without negotiation do.
bool greedy_routes(const chip::Chip& chip, const std::vector<Demand>& demands) {
  std::map<Step, int> used;
  for (const Demand& d : demands) {
    std::set<Step> tree;
    for (const std::uint32_t to : d.to) {
      // Back from the receiver, always nearer to the source.
      const auto far = distances(chip, d.from, used);
      if (far[to] == SIZE_MAX) return false;
      for (std::uint32_t at = to; at != d.from;) {
        std::uint32_t before = at;
        for (std::uint32_t c = 0; c < far.size() && before == at; ++c) {
          const auto f = used.find({c, at});
          const bool room = f == used.end() || f->second < chip.networks[0].circuits;
          if (far[c] != SIZE_MAX && far[c] + 1 == far[at] && chip::link_between(chip, chip.networks[0], c, at) && room) before = c;
        }
        tree.insert({before, at});
        at = before;
      }
    }
    for (const Step& s : tree) ++used[s];
  }
  return true;
}

Routing route(const chip::Chip& chip, const std::vector<Demand>& demands) {
  return CircuitRouter(chip, chip::NetworkId(std::size_t{0})).route(demands);
}

std::vector<Demand> draw(std::mt19937_64& random, const chip::Chip& chip, std::size_t count, std::size_t most) {
  const auto works = chip::working_instances(chip.components[1]);
  std::map<std::pair<std::uint32_t, std::vector<std::uint32_t>>, std::int64_t> ends;
  while (ends.size() < count) {
    std::set<std::uint32_t> to;
    for (std::size_t n = 1 + random() % most; n > 0; --n) to.insert(works[random() % works.size()]);
    ends[{works[random() % works.size()], {to.begin(), to.end()}}] = static_cast<std::int64_t>(random() % 10'000);
  }
  std::vector<Demand> demands;
  for (const auto& [e, bytes] : ends) demands.push_back({e.first, e.second, bytes});
  return demands;
}

TEST(Routes, OneCircuitTakesAShortestWay) {
  for (const Fabric& f : {Fabric{}, Fabric{"[3, 4]", "[5]"}, Fabric{"[4, 4]", "[]", "torus2d"}, Fabric{"[7]", "[]", "ring"}}) {
    const chip::Chip chip = chip_of(f);
    for (const std::uint32_t from : chip::working_instances(chip.components[1])) {
      const auto far = distances(chip, from);
      for (const std::uint32_t to : chip::working_instances(chip.components[1])) {
        const std::vector<Demand> demands{{from, {to}, 100}};
        const Routing r = route(chip, demands);
        ASSERT_FALSE(r.crowded);
        ASSERT_EQ(faults(chip, demands, r), "");
        EXPECT_EQ(r.circuits[0].paths[0].size(), far[to] + 1);
        EXPECT_EQ(r.rounds, 1);
      }
    }
  }
}

TEST(Routes, AMulticastSharesItsTree) {
  const chip::Chip chip = chip_of({"[3, 3]"});
  const Routing r = route(chip, {{0, {1, 2, 4, 8}, 1}});
  ASSERT_EQ(faults(chip, {{0, {1, 2, 4, 8}, 1}}, r), "");
  EXPECT_EQ(steps_of(r.circuits[0]).size(), 5u) << "five links reach four others, two of which lie on the way";
}

// Around the hole in the middle there are two ways from any place to any other. Whoever comes first takes the short one from 0 to 2 and
// shuts 1 in, which has nowhere else to go; it has to give way.
TEST(Routes, NegotiationSolvesWhatShortestWaysDoNot) {
  const chip::Chip chip = chip_of({"[3, 3]", "[4]"});
  const std::vector<Demand> demands{{0, {2}, 9}, {1, {0}, 1}, {1, {2}, 1}};
  EXPECT_FALSE(greedy_routes(chip, demands));
  const Routing r = route(chip, demands);
  EXPECT_FALSE(r.crowded);
  EXPECT_EQ(faults(chip, demands, r), "");
  EXPECT_EQ(r.circuits[0].paths[0], (std::vector<std::uint32_t>{0, 3, 6, 7, 8, 5, 2}));
  EXPECT_GT(r.rounds, 1);
}

TEST(Routes, WhatHasNoRoomIsSaidSo) {
  const chip::Chip chip = chip_of({"[1, 3]"});
  const Routing r = route(chip, {{0, {2}, 9}, {1, {2}, 1}});
  ASSERT_TRUE(r.crowded);
  EXPECT_EQ(program::CircuitPlaces(chip, chip.networks[0]).name(r.crowded->place), "the link from core 1 to 2");
  EXPECT_EQ(r.crowded->circuits, 2);
}

TEST(Routes, WhatCarriesLeastSharesWhereStreamsMay) {
  Fabric f{"[1, 3]"};
  f.circuits = 2;
  f.streams = 2;
  const chip::Chip chip = chip_of(f);
  const std::vector<Demand> demands{{0, {1}, 50}, {0, {1, 2}, 9}, {0, {2}, 100}, {1, {2}, 60}};
  const Routing r = route(chip, demands);
  EXPECT_FALSE(r.crowded);
  EXPECT_EQ(faults(chip, demands, r), "");
  EXPECT_FALSE(r.circuits[2].packets) << "the most bytes have a circuit of their own";
  EXPECT_TRUE(r.circuits[1].packets) << "the least share";
}

// Two ways out for five: were one of them one circuit's, the other four would share the second.
TEST(Routes, WhatCarriesNoMoreThanOthersSharesWithThem) {
  Fabric f;
  f.circuits = 4;
  f.ends = 2;
  f.streams = 8;
  const chip::Chip chip = chip_of(f);
  for (const std::int64_t first : {100, 1000}) {
    const std::vector<Demand> demands{{4, {0}, first}, {4, {1}, 100}, {4, {2}, 100}, {4, {3}, 100}, {4, {5}, 100}};
    const Routing r = route(chip, demands);
    EXPECT_EQ(faults(chip, demands, r), "");
    EXPECT_EQ(r.circuits[0].packets, first == 100);
    for (std::size_t d = 1; d < demands.size(); ++d) EXPECT_TRUE(r.circuits[d].packets);
  }
}

TEST(Routes, OfManyRandomOnesAllAreLegalOrSaidToBeTooMany) {
  std::mt19937_64 random(7);
  int routed = 0, crowded = 0, better = 0, shared = 0;
  for (int i = 0; i < 400; ++i) {
    Fabric f{random() % 2 == 0 ? "[4, 4]" : "[3, 5]", random() % 2 == 0 ? "[]" : "[6]", random() % 4 == 0 ? "torus2d" : "mesh2d"};
    f.circuits = 1 + static_cast<int>(random() % 3);
    f.streams = random() % 2 == 0 ? 1 : 4;
    f.ends = 2 + static_cast<int>(random() % 8);
    const chip::Chip chip = chip_of(f);
    const std::vector<Demand> demands = draw(random, chip, 2 + random() % 24, 1 + random() % 4);
    const Routing r = route(chip, demands), again = route(chip, demands);
    for (std::size_t d = 0; d < demands.size(); ++d) {
      ASSERT_EQ(r.circuits[d].paths, again.circuits[d].paths);
      ASSERT_EQ(r.circuits[d].packets, again.circuits[d].packets);
      shared += r.circuits[d].packets ? 1 : 0;
    }
    ASSERT_EQ(r.crowded.has_value(), !faults(chip, demands, r).empty()) << faults(chip, demands, r);
    ++(r.crowded ? crowded : routed);
    if (r.crowded) {
      // Never where shortest ways one after the other would have done.
      std::map<std::uint32_t, int> out, in;
      bool ends = true;
      for (const Demand& d : demands) {
        ends = ends && ++out[d.from] <= f.ends;
        for (const std::uint32_t t : d.to) ends = ends && ++in[t] <= f.ends;
      }
      EXPECT_FALSE(ends && greedy_routes(chip, demands)) << i;
    } else if (f.streams == 1 && !greedy_routes(chip, demands)) {
      ++better;
    }
  }
  EXPECT_GT(routed, 100);
  EXPECT_GT(crowded, 40);
  EXPECT_GT(better, 5) << "cases that only negotiation solves";
  EXPECT_GT(shared, 100);
}

}  // namespace
}  // namespace switchyard::compiler
