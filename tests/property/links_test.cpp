// What an estimate takes links to carry, beside routes and trees that are drawn one by one.
#include "compiler/links.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "chip/query.h"
#include "property/library_chip.h"

namespace switchyard {
namespace {

using Link = std::pair<std::uint32_t, std::uint32_t>;
using Carried = std::map<Link, double>;

void pass(const chip::Chip& chip, const chip::Network& network, std::uint32_t from, const std::vector<std::uint32_t>& to, double weight,
          Carried& carried) {
  std::set<Link> tree;
  for (const std::uint32_t end : to) {
    const auto route = chip::default_route(chip, network, from, end);
    for (std::size_t i = 1; i < route.size(); ++i) tree.insert({route[i - 1], route[i]});
  }
  for (const Link& link : tree) carried[link] += weight;
}

double most_of(const Carried& carried) {
  double most = 0;
  for (const auto& [link, times] : carried) most = std::max(most, times);
  return most;
}

double sum_of(const compiler::LinkLoad& load) {
  double sum = 0;
  for (const float f : load.links) sum += f;
  return sum;
}

double sum_of(const Carried& carried) {
  double sum = 0;
  for (const auto& [link, times] : carried) sum += times;
  return sum;
}

/// Instances a x b x c; `mask` says which of these the operand depends on.
void check(const chip::Chip& chip, const std::vector<std::int64_t>& along, std::uint64_t mask, std::int64_t readers, bool ring) {
  const auto described = compiler::describe_machine(chip);
  ASSERT_TRUE(described.ok());
  const compiler::Machine& machine = described.value();
  const auto network_of = [&](chip::MoverId mover) { return *chip::network_between(chip, chip.movers[mover.index()], machine.off_chip); };
  const chip::NetworkId load = network_of(machine.load), cast = network_of(machine.cast);
  const chip::Memory& off = chip.memories[machine.off_chip.index()];
  Carried in, apart;
  Carried& across = load == cast ? in : apart;
  const auto fetch = [&](std::uint32_t at, double weight) {
    pass(chip, chip.networks[load.index()], chip::nearest_port(chip, off, at), {at}, weight, in);
  };
  // Groups: instances by their coordinates along the dims that the operand depends on, each in the order of the others.
  std::map<std::vector<std::int64_t>, std::vector<std::uint32_t>> groups;
  std::int64_t count = 1;
  for (const std::int64_t n : along) count *= n;
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<std::int64_t> key;
    std::int64_t rest = i;
    for (std::size_t d = along.size(); d-- > 0; rest /= along[d])
      if (mask >> d & 1) key.insert(key.begin(), rest % along[d]);
    groups[key].push_back(machine.components[static_cast<std::size_t>(i)]);
  }
  std::size_t number = 0;
  const std::size_t operand = 1;
  for (const auto& [key, members] : groups) {
    for (std::size_t s = 0; s < members.size() && (readers == 0 || ring); ++s) {
      const double part = ring ? 1.0 / static_cast<double>(members.size()) : 1;
      fetch(members[s], part);
      if (ring) pass(chip, chip.networks[cast.index()], members[s], {members[(s + 1) % members.size()]}, 1 - part, across);
    }
    for (std::int64_t j = 0; j < readers && !ring; ++j) {
      const std::uint32_t reader = members[(number + operand + static_cast<std::size_t>(j)) % members.size()];
      fetch(reader, 1.0 / static_cast<double>(readers));
      pass(chip, chip.networks[cast.index()], reader, members, 1.0 / static_cast<double>(readers), across);
    }
    ++number;
  }
  compiler::LinkLoads loads(machine);
  ASSERT_TRUE(loads.any());
  const compiler::LinkLoads::Loads& found = loads.of({along, mask, readers, ring, operand});
  EXPECT_NEAR(found.in.most, most_of(in), 1e-3);
  EXPECT_NEAR(found.across.most, most_of(apart), 1e-3);
  EXPECT_NEAR(sum_of(found.in), sum_of(in), 1e-4 * sum_of(in));
  EXPECT_NEAR(sum_of(found.across), sum_of(apart), 1e-4 * sum_of(apart));
}

TEST(Links, CarryWhatRoutesAndTreesCarry) {
  for (const char* name : {"tx81", "rpu-8x8", "wormhole-n150", "sn40l"}) {
    const auto chip = library_chip(name, {});
    ASSERT_TRUE(chip);
    for (const std::vector<std::int64_t>& along : std::vector<std::vector<std::int64_t>>{{4, 4}, {16}, {2, 1, 8}, {2, 3, 2}, {5, 3}})
      for (std::uint64_t mask = 0; mask < (std::uint64_t{1} << along.size()); ++mask)
        for (const std::int64_t readers : {0, 1, 2}) {
          SCOPED_TRACE(fmt::format("{}, {} dims, the first of {}, mask {}, {} readers", name, along.size(), along[0], mask, readers));
          check(*chip, along, mask, readers, false);
          if (readers == 1) check(*chip, along, mask, readers, true);
        }
  }
}

TEST(Links, OfManyComponents) {
  const auto chip = library_chip("sn40l", {});
  ASSERT_TRUE(chip);
  for (const std::uint64_t mask : {1u, 2u, 4u, 3u, 5u, 6u}) check(*chip, {16, 7, 7}, mask, 2, false);
}

}  // namespace
}  // namespace switchyard
