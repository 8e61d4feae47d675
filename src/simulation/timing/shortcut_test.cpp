// What shortcuts give is what playing everything gives: time, causes, totals and counts, on random programs long enough to recur.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "simulation/program_timer.h"
#include "simulation/timing/same_timing.h"
#include "simulation/timing/sample.h"

namespace switchyard::simulation::timing {
namespace {

using numerics::affine_constant;
using numerics::affine_variable;

/// Contexts tell all that was done.
void expect_adds_up(const Timing& t) {
  std::int64_t macs = 0, vector_ops = 0, read = 0, written = 0;
  for (const ContextTiming& c : t.contexts) {
    macs += c.macs, vector_ops += c.vector_ops;
    read += c.offchip_read, written += c.offchip_written;
  }
  EXPECT_EQ(macs, t.macs);
  EXPECT_EQ(vector_ops, t.vector_ops);
  EXPECT_EQ(read, t.offchip_read);
  EXPECT_EQ(written, t.offchip_written);
}

/// Of all events, the share that had to be played.
double expect_same(const SampleProgram& p, std::int64_t chunk = 16384) {
  const auto quick = time_program(p.program, {.chunk = chunk}), full = time_program(p.program, {.chunk = chunk, .exact_shortcuts = false});
  EXPECT_EQ(quick.ok(), full.ok());
  if (!quick || !full) {  // a deadlock, which random programs may well have: then at the same time
    if (!quick && !full) {
      EXPECT_EQ(format_failure(quick.failure()), format_failure(full.failure()));
    }
    return 1;
  }
  EXPECT_EQ(TimingDifference::of(quick.value(), full.value()), "");
  expect_adds_up(quick.value());
  return static_cast<double>(quick.value().played) / static_cast<double>(std::max<std::int64_t>(1, full.value().played));
}

/// Pipelines with everything that may make one firing differ from the next: kept tokens, guards, windows, tiles and boxes that are cut
/// off, several consumers, rings, messages, grids, early loads.
class RandomProgram {
 public:
  /// `rounds`: how often the same contexts come, with early loads; 0: sometimes again. `nested`: rounds of rounds, between other contexts.
  explicit RandomProgram(std::uint32_t seed, std::size_t rounds = 0, bool nested = false)
      : random_(seed), rounds_(rounds), nested_(nested) {}
  SampleProgram make() {
    SampleChip chip;
    chip.rows = pick({1, 2, 4});
    chip.columns = pick({1, 2, 4});
    chip.issue = static_cast<double>(pick({0, 0, 20, 100})) * 1e-9;
    chip.startup = static_cast<double>(pick({0, 100, 700})) * 1e-9;
    chip.hop = static_cast<double>(pick({0, 1, 5})) * 1e-9;
    chip.dram_latency = static_cast<double>(pick({0, 90})) * 1e-9;
    chip.engine = static_cast<double>(pick({40, 128, 1000})) * 1e9;
    chip.outstanding = pick({1, 2, 4});
    chip.engines = pick({1, 1, 2});
    chip.queue_depth = pick({1, 2, 6});
    chip.granule = pick({1, 64});
    chip.grid = rounds_ == 0 && one_in(4);
    chip.slots = pick({1, 2, 3});
    chip.resident = 4;
    chip.barrier_alpha = static_cast<double>(pick({0, 300})) * 1e-9;
    tiles_ = chip.rows * chip.columns;
    SampleProgram p(chip);
    const std::size_t contexts = nested_ ? 2 + random_() % 3 : 1 + random_() % 3;
    for (std::size_t c = 0; c < contexts; ++c) {
      if (c > 0) p.context("next");
      for (std::size_t n = 1 + random_() % 2; n > 0; --n) chip.grid ? grid(p) : pipeline(p, c);
    }
    if (nested_) {
      arrange(p, order(contexts));
    } else if (rounds_ > 0) {
      repeat(p, rounds_ - 1);
    } else if (one_in(2)) {
      repeat(p, 1 + random_() % 4);
    }
    return p;
  }

 private:
  /// The same contexts again, under other names and on other buffers.
  void repeat(SampleProgram& p, std::size_t times) {
    const std::vector<program::Context> contexts = p.program.contexts;
    const std::size_t buffers = p.program.buffers.size(), ahead = random_() % 2;
    for (std::size_t n = 1; n <= times; ++n) {
      for (std::size_t b = 0; b < buffers; ++b) p.program.buffers.push_back(p.program.buffers[b]);
      for (program::Context context : contexts) {
        context.name += " again";
        for (program::Actor& actor : context.actors) {
          for (auto* access : {&actor.source, &actor.destination}) {
            if (*access) (*access)->buffer = program::BufferId((*access)->buffer.index() + n * buffers);
          }
        }
        const std::size_t first = n * contexts.size();
        for (program::ContextId& c : context.after) c = program::ContextId(c.index() + first);
        for (program::ContextId& c : context.early_after) c = program::ContextId(c.index() + first);
        if (context.after.empty()) context.after.emplace_back(first - 1);
        if (context.early_after.empty() && first > 1) context.early_after.emplace_back(first - 1 - (rounds_ > 0 ? ahead : random_() % 2));
        p.program.contexts.push_back(std::move(context));
      }
    }
  }

  /// Rounds of rounds: a few contexts, then again and again some that repeat before others that may repeat too, then a few more.
  std::vector<std::size_t> order(std::size_t contexts) {
    std::vector<std::size_t> round, all;
    const auto add = [&](std::size_t times, std::size_t length) {
      const std::size_t first = random_() % contexts;
      for (std::size_t i = 0; i < times * length; ++i) round.push_back((first + i % length) % contexts);
    };
    const auto others = [&] {
      for (std::size_t n = random_() % 5; n > 0; --n) all.push_back(random_() % contexts);
    };
    for (std::size_t parts = 1 + random_() % 3; parts > 0; --parts) {
      add(3 + random_() % 7, 1 + random_() % 2);
      add(1, 1 + random_() % contexts);
    }
    if (one_in(3)) {  // and once more around that
      const std::vector<std::size_t> inner = round;
      for (std::size_t n = 1 + random_() % 3; n > 0; --n) round.insert(round.end(), inner.begin(), inner.end());
      add(1, 1 + random_() % contexts);
    }
    others();
    for (std::size_t n = 0; n < rounds_; ++n) all.insert(all.end(), round.begin(), round.end());
    others();
    return all;
  }

  /// The contexts in this order, each with early loads that start as many contexts before it.
  void arrange(SampleProgram& p, const std::vector<std::size_t>& sequence) {
    const std::vector<program::Context> contexts = std::move(p.program.contexts);
    const std::size_t ahead = random_() % 3;
    p.program.contexts.clear();
    for (std::size_t n = 0; n < sequence.size(); ++n) {
      program::Context& context = p.program.contexts.emplace_back(contexts[sequence[n]]);
      context.after.clear();
      context.early_after.clear();
      if (n > 0) context.after.emplace_back(n - 1);
      if (n > ahead) context.early_after.emplace_back(n - 1 - ahead);
    }
  }

  std::int64_t pick(std::initializer_list<std::int64_t> list) { return list.begin()[random_() % list.size()]; }
  bool one_in(std::uint32_t n) { return random_() % n == 0; }

  void grid(SampleProgram& p) {
    const auto all = p.array(pick({7, 100, 400}), true);
    const std::vector<std::int64_t> trips{pick({1, 3, 20})};
    const std::int64_t bytes = pick({64, 4096, 20000});
    const auto load =
        p.load(all, trips, p.buffer(421 * 20 * bytes - pick({0, 0, 40})), affine_variable(0, 5 * bytes) + affine_variable(1, bytes / 4));
    const auto work = p.compute(all, trips, pick({10, 300, 900}));
    p.channel(load, work, bytes, pick({1, 2, 3}));
    if (one_in(2)) {
      const auto store = p.store(all, trips, p.buffer(421 * 20 * bytes), affine_variable(0, 5 * bytes) + affine_variable(1, bytes / 4));
      p.channel(work, store, bytes, 2);
    }
  }

  void pipeline(SampleProgram& p, std::size_t context) {
    const auto all = p.array(tiles_);
    std::vector<std::int64_t> trips{pick({1, 3, 12}), pick({1, 5, 40}), pick({1, 4, 9})};
    if (rounds_ > 0) trips = {pick({1, 2}), pick({1, 3, 7}), pick({1, 4})};
    const std::int64_t steps = trips[0] * trips[1] * trips[2], bytes = pick({64, 4096, 20000, 65536});
    const auto start = affine_variable(0, 30 * bytes) + affine_variable(1, pick({0, bytes / 4})) +
                       affine_variable(2, pick({0, bytes / 2})) + affine_variable(3, bytes / 4);
    const auto from = p.buffer((tiles_ * 120 + 220) * bytes - pick({0, 0, bytes * 100})), to = p.buffer((tiles_ * 120 + 220) * bytes);
    const auto load = p.load(all, trips, from, start);
    if (rounds_ > 0 ? !one_in(4) : context > 0 && one_in(2)) p.here().actors[load].early = true;
    const auto work = p.compute(all, trips, pick({10, 300, 2000}));
    if (one_in(3)) {  // the last tile of a dimension has less
      auto& dim = p.here().actors[work].dims[0];
      const int loop = static_cast<int>(random_() % 3);
      dim.total = dim.tile * trips[static_cast<std::size_t>(loop)] - dim.tile * pick({0, 1, 3}) / 2;
      dim.offset = affine_variable(1 + loop, dim.tile);
    }
    if (one_in(3)) {
      auto& statement = p.here().actors[work].statements[0];
      statement.guard = {{static_cast<int>(random_() % 3), 0, pick({1, 2, -1})}};
      p.here().actors[work].statements.push_back(statement);
      p.here().actors[work].statements.back().guard.clear();
    }
    if (one_in(4) && trips[1] > 1) {  // a window over the second loop, what lies inside it kept
      const int out = p.port(load, false, bytes), in = p.port(work, true, bytes);
      program::Actor& sender = p.here().actors[load];
      sender.loops[1].trip = trips[1] + 2;
      sender.ports[static_cast<std::size_t>(out)].kept = {false, false, true};
      program::Port& port = p.here().actors[work].ports[static_cast<std::size_t>(in)];
      port.kept = {false, false, true};
      port.window = program::Window{1, 3, 1, 0, 0, false, 0};
      p.join(load, out, work, in, pick({3, 4, 6}));
    } else {
      alike(p, p.channel(load, work, bytes, pick({1, 2, 3})));
    }
    std::size_t last = work;
    if (one_in(2)) {
      const auto send = p.send(all, trips), second = p.compute(all, trips, pick({10, 500}));
      p.channel(work, send, bytes, pick({1, 2}));
      p.channel(send, second, bytes, pick({1, 2}), affine_variable(0) + affine_constant(pick({0, 1, 2})), tiles_);
      last = second;
    }
    if (one_in(3)) {
      const std::int64_t own = 1024;
      const auto part = p.spread(tiles_ * own, tiles_, affine_variable(0, own) + affine_constant(-256), own + 512);
      const auto push = p.copy(all, kSend, trips, part, part, affine_variable(0, own), own);
      p.here().actors[push].destination->message = static_cast<int>(random_() % 3);
      p.channel(last, push, 0, 2);
    } else if (steps > 0) {
      alike(p, p.channel(last, p.store(all, trips, to, start), bytes, pick({1, 2})));
    }
  }

  /// Both ends keep their tokens over the same loops, or act in the same steps.
  void alike(SampleProgram& p, const program::Channel& channel) {
    const std::vector<bool> kept{one_in(6), one_in(6), one_in(3)};
    program::Guard guard;
    const int loop = static_cast<int>(random_() % 3);
    if (one_in(4) && !kept[static_cast<std::size_t>(loop)]) guard = {{loop, pick({0, 1}), pick({1, 2, program::IndexRange::kToEnd})}};
    for (const auto& end : {channel.from, channel.to[0].end}) {
      program::Port& port = p.here().actors[end.actor.index()].ports[static_cast<std::size_t>(end.port)];
      port.kept = kept;
      port.guard = guard;
    }
  }

  std::mt19937 random_;
  std::size_t rounds_ = 0;
  bool nested_ = false;
  std::int64_t tiles_ = 1;
};

TEST(Shortcuts, GiveWhatPlayingEverythingGives) {
  int skipped = 0;
  for (std::uint32_t seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE(seed);
    const double played = expect_same(RandomProgram(seed).make(), seed % 4 == 0 ? 0 : seed % 4 == 1 ? 4096 : 16384);
    skipped += played < 0.9;
    if (HasFailure()) return;
  }
  EXPECT_GT(skipped, 30);
}

TEST(Shortcuts, SkipRoundsOfContexts) {
  int skipped = 0;
  for (std::uint32_t seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE(seed);
    const double played = expect_same(RandomProgram(seed, 6 + seed % 15).make(), seed % 3 == 0 ? 4096 : 16384);
    skipped += played < 0.7;
    if (HasFailure()) return;
  }
  EXPECT_GT(skipped, 40);
}

TEST(Shortcuts, SkipRoundsOfRoundsOfContexts) {
  int skipped = 0;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const double played = expect_same(RandomProgram(seed, 3 + seed % 5, true).make(), seed % 3 == 0 ? 4096 : 16384);
    skipped += played < 0.5;
    if (HasFailure()) return;
  }
  EXPECT_GT(skipped, 20);
}

/// Of the rounds of one context and another, some contexts are skipped, and then rounds in which contexts were skipped.
TEST(Shortcuts, SkipRoundsInWhichContextsWereSkipped) {
  SampleChip chip;
  chip.barrier_alpha = 100e-9;  // meanwhile the next context loads
  SampleProgram p(chip);
  const std::int64_t bytes = 4096;
  const auto data = p.buffer(bytes);
  std::int64_t expected = bytes * 10;  // the first load, at 10 ps a byte
  for (int n = 0; n < 5 * 12 + 3; ++n) {
    if (n > 0) p.context("next");
    const std::int64_t ns = n % 12 == 0 ? 700 : 500;
    const auto tile = p.array(1);
    const auto load = p.load(tile, {}, data, {});
    p.here().actors[load].early = true;
    if (n > 1) p.here().early_after.emplace_back(static_cast<std::size_t>(n - 2));
    p.channel(load, p.compute(tile, {}, ns), bytes, 1);
    expected += (n > 0 ? 100'000 : 0) + ns * 1000;
  }
  EXPECT_LT(expect_same(p), 0.5);
  EXPECT_EQ(time_program(p.program).value().latency.value, expected);
}

TEST(Shortcuts, CountWhatNobodyCouldPlay) {
  SampleProgram p{SampleChip{}};
  const std::int64_t trips = std::int64_t{1} << 40;
  const auto tile = p.array(1);
  p.channel(p.compute(tile, {trips}, 1), p.compute(tile, {trips}, 2), 64, 2);
  const auto t = time_program(p.program);
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t.value().latency.value, trips * 3'000);
  EXPECT_EQ(t.value().firings, 2 * trips);
  EXPECT_LT(t.value().played, 1000);
  for (const std::int64_t ns : {std::int64_t{1} << 20, std::int64_t{1} << 46}) {  // in all, or already in one firing
    SampleProgram q{SampleChip{}};
    q.compute(q.array(1), {trips}, ns);
    const auto none = time_program(q.program);
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.failure().kind, FailureKind::unsupported);
    EXPECT_EQ(none.failure().diagnostics.at(0).code, "simulation/too-long");
  }
}

/// Many programs for one chip, by one timer: what it keeps from one to the next changes nothing, and what it knows is as if it were timed.
TEST(Shortcuts, TimersThatKeepWhatProgramsShare) {
  std::int64_t timed = 0;
  for (std::uint32_t which = 0; which < 5; ++which) {
    SampleChip options;
    options.rows = options.columns = 4;
    options.cache = which == 4 ? 200000 : 0;
    options.hop = which % 2 == 0 ? 5e-9 : 0;
    options.issue = which < 2 ? 20e-9 : 0;
    options.outstanding = 2;
    options.engines = 1 + which / 2;
    options.queue_depth = 4;
    const auto chip = make_chip(options);
    ProgramTimer timer;
    std::vector<SampleProgram> programs;
    for (std::uint32_t seed = 0; seed < 20; ++seed) programs.push_back(RandomProgram(100 * which + seed, seed % 3 == 0 ? 5 : 0).make());
    for (int round = 0; round < 2; ++round) {
      for (SampleProgram& p : programs) {
        p.program.chip = chip;
        const std::int64_t known = timer.known();
        const auto kept = timer.time(p.program), alone = time_program(p.program, {.exact_shortcuts = false});
        ASSERT_EQ(kept.ok(), alone.ok());
        if (!kept) continue;
        EXPECT_EQ(TimingDifference::of(kept.value(), alone.value()), "");
        if (round == 1) {
          EXPECT_EQ(timer.known(), known + 1);
        }
        ++timed;
      }
    }
  }
  EXPECT_GT(timed, 100);
}

/// A timer tells programs apart by all that their time depends on.
TEST(Shortcuts, TimersTellProgramsApart) {
  SampleChip options;
  options.barrier_alpha = 100e-9;
  const auto make = [&](std::int64_t ns, bool after) {
    SampleProgram p(options);
    p.compute(p.array(1), {4}, ns);
    p.context("next");
    p.compute(p.array(1), {4}, ns);
    if (!after) p.here().after.clear();
    return p;
  };
  const auto chip = make_chip(options);
  ProgramTimer timer;
  for (const std::int64_t ns : {50, 60}) {
    for (const bool after : {false, true}) {
      SampleProgram p = make(ns, after);
      p.program.chip = chip;
      const auto kept = timer.time(p.program), alone = time_program(p.program);
      ASSERT_TRUE(kept.ok() && alone.ok());
      EXPECT_EQ(TimingDifference::of(kept.value(), alone.value()), "");
    }
  }
  EXPECT_EQ(timer.known(), 0);
}

/// Behind a cache it matters which buffer is read again, and what the cache still has to write.
TEST(Shortcuts, TimersTellBuffersApartBehindACache) {
  SampleChip options;
  options.cache = 1 << 20;
  const auto make = [&](bool again, program::BufferRole role) {
    SampleProgram p(options);
    const std::size_t first = p.buffer(65536, role), second = p.buffer(65536);
    for (const std::size_t read : {first, again ? first : second}) {
      if (!p.here().actors.empty()) p.context("next");
      const std::size_t array = p.array(1), load = p.load(array, {16}, read, numerics::affine_variable(1, 1024));
      p.channel(load, p.compute(array, {16}, 10), 4096, 2);
      p.channel(p.compute(array, {16}, 10), p.store(array, {16}, first, numerics::affine_variable(1, 1024)), 4096, 2);
    }
    return p;
  };
  const auto chip = make_chip(options);
  ProgramTimer timer;
  std::set<std::int64_t> latencies, dirty;
  for (int round = 0; round < 2; ++round) {
    for (const bool again : {false, true}) {
      for (const auto role : {program::BufferRole::intermediate, program::BufferRole::output}) {
        SampleProgram p = make(again, role);
        p.program.chip = chip;
        const auto kept = timer.time(p.program), alone = time_program(p.program);
        ASSERT_TRUE(kept.ok() && alone.ok());
        EXPECT_EQ(TimingDifference::of(kept.value(), alone.value()), "");
        EXPECT_EQ(kept.value().cache_dirty, alone.value().cache_dirty);
        latencies.insert(kept.value().latency.value);
        dirty.insert(kept.value().cache_dirty);
      }
    }
    EXPECT_EQ(timer.known(), 4 * round);
  }
  EXPECT_GT(latencies.size(), 1u);
  EXPECT_GT(dirty.size(), 1u);
}

}  // namespace
}  // namespace switchyard::simulation::timing
