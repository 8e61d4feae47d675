#include "compiler/partition.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "chip/chip.h"

namespace switchyard::compiler {
namespace {

using program::Program;

/// A chip with a scratchpad and an off-chip memory, and nothing else that a partition looks at.
struct Sample {
  std::shared_ptr<chip::Chip> chip = std::make_shared<chip::Chip>();
  Machine machine;
  Program program;
  std::vector<KernelCost> costs;
  std::vector<std::size_t> joins;  ///< by kernel, the first one with which it may be in a context; empty: any

  Sample() {
    chip->memories.resize(2);
    chip->memories[0].kind = chip::MemoryKind::scratchpad;
    chip->memories[0].bytes.value = 1000;
    chip->memories[1].kind = chip::MemoryKind::dram;
    chip->memories[1].bandwidth.value = 1e9;
    chip->memories[1].sustained.value = 1;
    machine.chip = chip.get();
    machine.scratchpad = chip::MemoryId(std::size_t{0});
    machine.off_chip = chip::MemoryId(std::size_t{1});
    program.chip = chip;
  }

  /// A kernel whose channels take `bytes` of the scratchpad.
  void kernel(double run, std::int64_t bytes, double held = 0) {
    program::Context context;
    program::Channel channel;
    channel.memory = machine.scratchpad;
    channel.bytes = bytes;
    context.channels.push_back(channel);
    context.actors.emplace_back();
    program.contexts.push_back(context);
    costs.push_back({run, held});
  }
  void touch(std::size_t kernel, std::size_t buffer, bool write) {
    while (program.buffers.size() <= buffer) {
      program.buffers.emplace_back();
      program.buffers.back().memory = machine.off_chip;
    }
    program::Actor actor;
    program::BufferAccess access;
    access.buffer = program::BufferId(buffer);
    (write ? actor.destination : actor.source) = access;
    program.contexts[kernel].actors.push_back(actor);
  }
  [[nodiscard]] std::vector<Section> sections(double weight) const { return partition(machine, program, costs, weight, {}, {}, joins); }
  [[nodiscard]] std::vector<std::size_t> firsts(double weight) const {
    std::vector<std::size_t> result;
    for (const Section& s : sections(weight)) result.push_back(s.first);
    return result;
  }
  [[nodiscard]] double cost(const std::vector<std::size_t>& firsts, double weight) const {
    double total = 0, before = 0;
    for (std::size_t c = 0; c < firsts.size(); ++c) {
      const std::size_t end = c + 1 < firsts.size() ? firsts[c + 1] : costs.size();
      std::int64_t bytes = 0;
      double run = 0, held = 0;
      for (std::size_t k = firsts[c]; k < end; ++k) {
        bytes += program.contexts[k].channels[0].bytes;
        run += costs[k].run;
        held += costs[k].held;
        if (!joins.empty() && joins[k] > firsts[c]) return std::numeric_limits<double>::infinity();
      }
      if (bytes > 1000 && end - firsts[c] > 1) return std::numeric_limits<double>::infinity();
      total += run + (c == 0 ? 0 : context_seconds(machine, 1, before)) + weight * held * static_cast<double>(end - firsts[c] - 1);
      before = run;
    }
    return total;
  }
};

TEST(Partition, OneContextWhereSwitchingIsDearAndAllFits) {
  Sample s;
  for (int k = 0; k < 5; ++k) s.kernel(1e-6, 100, 1e-6);
  s.chip->context.switch_time.value = 1e-3;
  EXPECT_EQ(s.firsts(0.1), std::vector<std::size_t>{0});
  s.chip->context.switch_time.value = 1e-9;
  EXPECT_EQ(s.firsts(0.1), (std::vector<std::size_t>{0, 1, 2, 3, 4}));
}

TEST(Partition, CutsWhereScratchpadsAreFull) {
  Sample s;
  for (int k = 0; k < 4; ++k) s.kernel(1e-6, 400);
  s.chip->context.switch_time.value = 1e-3;
  const auto sections = s.sections(0);
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_EQ(sections[1].first, 2u);
  EXPECT_EQ(sections[1].why, kCutByRoom);
  EXPECT_EQ(print_partition(sections, 4), "2 contexts of 4 kernels; cuts: scratchpads too small for both 1");
}

TEST(Partition, CutsBetweenWriterAndReaderOfOffChipMemory) {
  Sample s;
  for (int k = 0; k < 6; ++k) s.kernel(1e-6, 10);
  s.touch(1, 0, true);
  s.touch(4, 0, false);
  s.touch(0, 1, false);  // a buffer that two only read is no reason
  s.touch(5, 1, false);
  s.chip->context.switch_time.value = 1e-3;
  const auto sections = s.sections(0);
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_GT(sections[1].first, 1u);
  EXPECT_LE(sections[1].first, 4u);
  EXPECT_EQ(sections[1].why, kCutByMemory);
}

TEST(Partition, CutsWhereKernelsMayNotBeJoined) {
  Sample s;
  for (int k = 0; k < 6; ++k) s.kernel(1e-6, 10);
  s.chip->context.switch_time.value = 1e-3;
  s.joins = {0, 0, 0, 2, 0, 0};  // kernel 3 may not be with kernel 1, and so nor may those after it
  const auto sections = s.sections(0);
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_GE(sections[1].first, 2u);
  EXPECT_LE(sections[1].first, 3u);
  EXPECT_EQ(sections[1].why, kCutByJoin);
  EXPECT_EQ(print_partition(sections, 6), "2 contexts of 6 kernels; cuts: too many components would wait for each other 1");
  s.joins = {0, 1, 2, 3, 4, 5};
  EXPECT_EQ(s.firsts(0), s.joins) << "none may be with another one";
  s.touch(2, 0, true);  // what has two reasons gives the one that no chip could help
  s.touch(3, 0, false);
  EXPECT_EQ(s.sections(0)[3].why, kCutByMemory);
  EXPECT_EQ(s.sections(0)[4].why, kCutByJoin);
}

TEST(Partition, HidesTheLoadOfAConfigurationBehindALongContext) {
  Sample s;
  s.chip->context.load_from = s.machine.off_chip;
  s.chip->context.bytes.value = 1000;  // 1 us
  s.chip->context.resident = 2;
  EXPECT_DOUBLE_EQ(context_seconds(s.machine, 1, 0), 1e-6);
  EXPECT_DOUBLE_EQ(context_seconds(s.machine, 1, 0.25e-6), 0.75e-6);
  EXPECT_DOUBLE_EQ(context_seconds(s.machine, 1, 2e-6), 0);
  s.chip->context.resident = 1;
  EXPECT_DOUBLE_EQ(context_seconds(s.machine, 1, 2e-6), 1e-6);
  EXPECT_DOUBLE_EQ(context_seconds(s.machine, 16, 2e-6), 1e-6);
  s.chip->context.per = s.machine.component;
  EXPECT_DOUBLE_EQ(context_seconds(s.machine, 16, 2e-6), 16e-6);
}

/// Where a context costs the same whatever was before it, no partition is better; all of them are tried.
TEST(Partition, IsTheBestOfAll) {
  std::mt19937 draw(7);
  const auto number = [&](int least, int most) { return std::uniform_int_distribution<int>(least, most)(draw); };
  for (int round = 0; round < 200; ++round) {
    Sample s;
    const int count = number(1, 9);
    for (int k = 0; k < count; ++k) s.kernel(number(1, 100) * 1e-8, number(0, 700), number(0, 100) * 1e-8);
    s.chip->context.switch_time.value = number(0, 200) * 1e-8;
    const double weight = number(0, 3) * 0.3;
    for (int k = 0; k < count && round % 2 == 1; ++k) s.joins.push_back(static_cast<std::size_t>(number(0, 5) > 0 ? 0 : number(0, k)));
    double least = std::numeric_limits<double>::infinity();
    for (unsigned cuts = 0; cuts < 1u << (count - 1); ++cuts) {
      std::vector<std::size_t> firsts{0};
      for (int k = 1; k < count; ++k)
        if ((cuts >> (k - 1) & 1) != 0) firsts.push_back(static_cast<std::size_t>(k));
      least = std::min(least, s.cost(firsts, weight));
    }
    EXPECT_NEAR(s.cost(s.firsts(weight), weight), least, 1e-15) << "round " << round;
  }
}

}  // namespace
}  // namespace switchyard::compiler
