// A program on a chip with more of one resource: the engine finds it no slower. What the compiler makes for a lesser chip is then as good
// on a greater one, and a greater chip that gets a worse program has the compiler to blame.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "compiler/compiler.h"
#include "model/model.h"
#include "property/library_chip.h"
#include "property/random_graph.h"
#include "property/random_mapping.h"
#include "simulation/timing.h"

namespace switchyard {
namespace {

/// Times so much as there is of it.
struct Resource {
  const char* name;
  void (*grow)(chip::Chip& chip, double by);
};
const Resource kResources[] = {
    {"links", [](chip::Chip& c, double by) { std::for_each(c.networks.begin(), c.networks.end(), [&](auto& n) { n.link.value *= by; }); }},
    {"off-chip memory",
     [](chip::Chip& c, double by) {
       for (chip::Memory& m : c.memories)
         if (m.kind == chip::MemoryKind::dram) m.bandwidth.value *= by;
     }},
    {"movers",
     [](chip::Chip& c, double by) { std::for_each(c.movers.begin(), c.movers.end(), [&](auto& m) { m.bandwidth.value *= by; }); }},
    {"units",
     [](chip::Chip& c, double by) {
       for (chip::Unit& u : c.units) {
         for (chip::Unit::Rate& r : u.rates) r.per_cycle.value *= by;
         if (u.special_per_cycle) u.special_per_cycle->value *= by;
       }
     }},
    {"start-ups",
     [](chip::Chip& c, double by) { std::for_each(c.movers.begin(), c.movers.end(), [&](auto& m) { m.startup.value /= by; }); }},
    {"commands", [](chip::Chip& c, double by) { c.sequencer.issue.value /= by; }},
    {"commands in flight", [](chip::Chip& c, double by) {
       for (chip::Mover& m : c.movers) m.outstanding = std::max<std::int64_t>(1, std::llround(static_cast<double>(m.outstanding) * by));
     }}};
/// Whoever is faster may be served before another whose work is more urgent, or compete with it: links, memories and movers serve requests
/// as they come, for no schedule's sake, and share what they have among those in flight. So a step up may take longer. What the compiler
/// makes was never more than so much above the best step before, over the programs below and some more of their kind (found: 2.0 %; with
/// more commands in flight 7.7 %).
constexpr double kCompiled = 1.021, kMoreInFlight = 1.10;
/// What is mapped by chance has rings and multicasts in which everybody waits for everybody: of all steps so many are above 2 % (found:
/// 4.9 %), and none by more than that (found: 23.3 %).
constexpr double kShareOfSteps = 0.07, kByChance = 1.3;
constexpr double kSteps[] = {0.25, 0.5, 1, 1.5, 2, 4, 16};

std::shared_ptr<const chip::Chip> grown(const chip::Chip& chip, const Resource& resource, double by) {
  auto more = std::make_shared<chip::Chip>(chip);
  resource.grow(*more, by);
  return more;
}

double seconds_of(const program::Program& p) {
  const auto timed = simulation::time_program(p);
  EXPECT_TRUE(timed.ok()) << format_failure(timed.failure());
  return timed.ok() ? static_cast<double>(timed.value().latency.value) * 1e-12 : 0;
}

class Growth : public ::testing::TestWithParam<const char*> {
 protected:
  /// Times a program made for a chip that has least of everything on those that have ever more of one resource.
  void grow(const std::string& name, const graph::Graph& model, const compiler::CompileOptions& options) {
    auto least = std::make_shared<chip::Chip>(*chip_);
    for (const Resource& resource : kResources) resource.grow(*least, kSteps[0]);
    const auto compiled = compiler::compile(model, least, options);
    if (!compiled) {
      EXPECT_EQ(compiled.failure().kind, FailureKind::unsupported) << format_failure(compiled.failure());
      return;
    }
    ++programs_;
    program::Program p = compiled.value().program;
    for (std::size_t r = 0; r < std::size(kResources); ++r) {
      double best = std::numeric_limits<double>::infinity(), first = 0;
      for (const double by : kSteps) {
        p.chip = grown(*chip_, kResources[r], by);
        const double time = seconds_of(p), ratio = time / best;
        if (by == kSteps[0]) first = time;
        ++steps_;
        above_ += ratio > 1.02;
        if (ratio > worst_[r].first) worst_[r] = {ratio, fmt::format("{} times, {}", by, name)};
        best = std::min(best, time);
      }
      gained_[r] = std::max(gained_[r], first / best);
    }
  }

  void expect_at_most(double allowed, double allowed_of_more_in_flight) const {
    for (std::size_t r = 0; r < std::size(kResources); ++r) {
      const auto& [ratio, where] = worst_[r];
      fmt::print("{:18s} up to {:.1f} times as fast, at most {:+.2f} % ({})\n", kResources[r].name, gained_[r], (ratio - 1) * 100, where);
      EXPECT_LE(ratio, r + 1 < std::size(kResources) ? allowed : allowed_of_more_in_flight) << kResources[r].name << ", " << where;
      EXPECT_GT(gained_[r], 1.005) << kResources[r].name << " matters to no program";
    }
    fmt::print("{} of {} steps above 2 %\n", above_, steps_);
  }

  std::shared_ptr<const chip::Chip> chip_ = library_chip(GetParam());
  int programs_ = 0, steps_ = 0, above_ = 0;

 private:
  std::array<double, std::size(kResources)> gained_{};
  std::array<std::pair<double, std::string>, std::size(kResources)> worst_{};
};

TEST_P(Growth, MakesCompiledModelsNoSlower) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) grow(fmt::format("seed {}", seed), testing::random_model(2000 + seed).graph, {});
  EXPECT_GE(programs_, 10);
  model::LoadOptions load;
  load.set = {{"layers", 1}};
  compiler::CompileOptions options;
  options.time = seconds_of;
  grow("bert-base", model::build_zoo_model("bert-base", load).value(), options);
  grow("mobilenet-v3", model::build_zoo_model("mobilenet-v3", {}).value(), {});
  expect_at_most(kCompiled, kMoreInFlight);
}

class GrowthByChance : public Growth {};

TEST_P(GrowthByChance, MakesMostMappingsNoSlower) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 60; ++i) {
    const testing::RandomMapping made = testing::random_mapping(random, 4);
    grow(made.text, made.product, made.options);
  }
  EXPECT_GE(programs_, 20);
  expect_at_most(kByChance, kByChance);
  EXPECT_LE(above_, steps_ * kShareOfSteps);
}

std::string name_of(const ::testing::TestParamInfo<const char*>& each) {
  std::string name = each.param;
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Chips, Growth, ::testing::Values("tx81", "rpu-4x4"), name_of);
INSTANTIATE_TEST_SUITE_P(Chips, GrowthByChance, ::testing::Values("tx81", "rpu-4x4", "wormhole-n150"), name_of);

}  // namespace
}  // namespace switchyard
