// Laws of time on compiled random models and unkind chips: no wait without end, causes that sum, nobody busier than the time there is,
// no datum that comes from nowhere, and nothing that depends on what ran before.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "chip/query.h"
#include "compiler/compiler.h"
#include "program/instance.h"
#include "program/sequence.h"
#include "program/verify.h"
#include "property/library_chip.h"
#include "property/random_graph.h"
#include "report/run.h"
#include "simulation/timing.h"
#include "simulation/timing/same_timing.h"

namespace switchyard {
namespace {

using numerics::Format;
using simulation::time_program;
using simulation::Timing;

struct Case {
  const char* name;
  const char* chip;
  std::vector<chip::Override> overrides;
};

/// Bytes of inputs and constants that a program reads at least once: what no cache can have.
std::int64_t first_reads(const program::Program& p) {
  std::vector<std::vector<bool>> seen(p.buffers.size());
  for (const program::Context& context : p.contexts) {
    for (const program::Actor& actor : context.actors) {
      if (!actor.source) continue;
      const program::Buffer& b = p.buffers[actor.source->buffer.index()];
      if (b.role != program::BufferRole::input && b.role != program::BufferRole::constant) continue;
      auto& marks = seen[actor.source->buffer.index()];
      marks.resize(static_cast<std::size_t>(numerics::element_count(b.shape)));
      const program::Token* token = nullptr;
      const program::Port* data = nullptr;
      for (const program::Port& port : actor.ports) {
        if (!port.input && token == nullptr) token = &port.token, data = &port;
      }
      if (token == nullptr) continue;
      const program::PortRule rule = program::port_rule(actor, *data);
      const program::Array& array = context.arrays[actor.array.index()];
      for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(program::instance_count(array)); ++i) {
        std::vector<std::int64_t> variables = program::coordinates(array, i);
        const std::size_t rank = variables.size();
        for (program::Odometer o(actor.loops); !o.done(); o.next()) {
          if (!rule.active(o.index())) continue;
          variables.resize(rank);
          variables.insert(variables.end(), o.index().begin(), o.index().end());
          std::vector<std::int64_t> low, high;
          bool empty = false;
          for (std::size_t d = 0; d < b.shape.size(); ++d) {
            const std::int64_t start = actor.source->start[d].at(variables);
            low.push_back(std::max(start, actor.source->region[d][0]));
            high.push_back(std::min(start + token->shape[d], actor.source->region[d][1]));
            empty |= low[d] >= high[d];
          }
          if (empty) continue;
          std::vector<std::int64_t> at = low;
          for (bool more = true; more;) {
            std::int64_t linear = 0;
            for (std::size_t d = 0; d < at.size(); ++d) linear = linear * b.shape[d] + at[d];
            marks[static_cast<std::size_t>(linear)] = true;
            more = false;
            for (std::size_t d = at.size(); d-- > 0 && !more;) {
              if (++at[d] < high[d]) {
                more = true;
              } else {
                at[d] = low[d];
              }
            }
          }
        }
      }
    }
  }
  std::int64_t bytes = 0;
  for (std::size_t b = 0; b < seen.size(); ++b) {
    bytes += std::count(seen[b].begin(), seen[b].end(), true) * numerics::format_bytes(p.buffers[b].format);
  }
  return bytes;
}

void expect_laws(const program::Program& p, const Timing& t) {
  Picoseconds sum(0), shares = t.launch;
  for (const Picoseconds cause : t.attribution) {
    EXPECT_GE(cause.value, 0);
    sum += cause;
  }
  EXPECT_EQ(sum, t.latency);
  EXPECT_GE(t.latency, p.labels.lower_bound);
  ASSERT_EQ(t.contexts.size(), p.contexts.size());
  for (std::size_t c = 0; c < p.contexts.size(); ++c) {
    shares += t.contexts[c].share;
    EXPECT_GE(t.contexts[c].span, p.contexts[c].bound) << p.contexts[c].name;
    Picoseconds part(0);
    for (const Picoseconds cause : t.contexts[c].attribution) {
      EXPECT_GE(cause.value, 0);
      part += cause;
    }
    EXPECT_EQ(part, t.contexts[c].share) << p.contexts[c].name;
  }
  EXPECT_EQ(shares, t.latency);
  // From when each is due to its end, contexts tile the time, and none does what it does then in less than its bound.
  Picoseconds tiled = t.launch;
  for (const report::ContextReport& c : report::describe_run(p, t).contexts) {
    EXPECT_LE(c.busy_bound, c.busy) << c.name;
    tiled += c.busy;
  }
  EXPECT_EQ(tiled, t.latency);
  EXPECT_LE(t.link_busy_share, 1.0);
  const chip::Chip& chip = *p.chip;
  for (const simulation::ResourceUse& r : t.resources) {
    std::int64_t servers = 1;
    if (const auto unit = chip::find_unit(chip, r.name))
      servers = chip::instance_count(chip.components[chip.units[unit->index()].in.index()]);
    if (const auto mover = chip::find_mover(chip, r.name)) {
      const chip::Mover& m = chip.movers[mover->index()];
      servers = chip::instance_count(chip.components[m.in.index()]) * std::max<std::int64_t>(1, m.count) *
                std::max<std::int64_t>(1, m.outstanding);
    }
    EXPECT_LE(r.busy.value, t.latency.value * servers) << r.name;
  }
  EXPECT_GE(t.offchip_read, first_reads(p));
}

/// What shortcuts give is what playing everything gives.
class TimingLaws : public ::testing::TestWithParam<Case> {};

TEST_P(TimingLaws, HoldOnRandomModels) {
  const Case c = GetParam();
  const auto chip = library_chip(c.chip, c.overrides);
  const bool cached = chip::cache_of(*chip, chip::off_chip_memory(*chip)).has_value();
  int timed_models = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const testing::RandomModel model = testing::random_model(1000 + seed);
    const auto compiled = compiler::compile(model.graph, chip, {seed % 2 == 0 ? Format::bf16 : Format::fp32, 0, 1});
    if (!compiled.ok()) {  // what does not fit is a normal result, and says so
      EXPECT_EQ(compiled.failure().diagnostics.at(0).code, "compile/does-not-fit") << format_failure(compiled.failure());
      continue;
    }
    ++timed_models;
    const program::Program& p = compiled.value().program;
    const auto verified = program::verify(p);
    ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
    for (const std::int64_t chunk : {std::int64_t{0}, std::int64_t{4096}, std::int64_t{16384}}) {
      SCOPED_TRACE(fmt::format("chunk {}", chunk));
      const auto timed = time_program(p, {chunk, false});
      ASSERT_TRUE(timed.ok()) << format_failure(timed.failure());
      const Timing& t = timed.value();
      expect_laws(p, t);
      const auto again = time_program(p, {chunk, false});
      ASSERT_TRUE(again.ok());
      EXPECT_EQ(again.value().latency, t.latency);
      EXPECT_EQ(again.value().attribution, t.attribution);
      EXPECT_EQ(again.value().events, t.events);
      const auto played = time_program(p, {chunk, false, false});
      ASSERT_TRUE(played.ok()) << format_failure(played.failure());
      EXPECT_EQ(simulation::timing::TimingDifference::of(t, played.value()), "");
      if (cached) continue;
      // Without a cache a context knows nothing of those before: run twice in one program, it takes the same time for the same causes.
      program::Program twice = p;
      for (program::Context context : p.contexts) {
        context.name += " again";
        for (auto* list : {&context.after, &context.early_after}) {
          for (program::ContextId& id : *list) id = program::ContextId(id.index() + p.contexts.size());
        }
        if (context.early_after.empty()) context.early_after.emplace_back(p.contexts.size() - 1);
        twice.contexts.push_back(context);
      }
      const auto doubled = time_program(twice, {chunk, false});
      ASSERT_TRUE(doubled.ok()) << format_failure(doubled.failure());
      const auto& contexts = doubled.value().contexts;
      for (std::size_t k = 0; k < p.contexts.size(); ++k) {
        EXPECT_EQ(contexts[k].span, contexts[k + p.contexts.size()].span) << p.contexts[k].name;
        EXPECT_EQ(contexts[k].attribution, contexts[k + p.contexts.size()].attribution) << p.contexts[k].name;
        EXPECT_EQ(contexts[k].events, contexts[k + p.contexts.size()].events) << p.contexts[k].name;
      }
    }
  }
  EXPECT_GE(timed_models, 40);
}

INSTANTIATE_TEST_SUITE_P(
    Chips, TimingLaws,
    ::testing::Values(
        Case{"tx81", "tx81", {}}, Case{"h100", "h100-sxm", {}},
        Case{"tx81_one_at_a_time", "tx81", {{"/movers/rdma/outstanding", "1"}, {"/movers/wdma/outstanding", "1"}}},
        Case{"tx81_eight_at_a_time", "tx81", {{"/movers/rdma/outstanding", "8"}, {"/movers/wdma/outstanding", "8"}}},
        Case{"tx81_no_issue", "tx81", {{"/sequencer/issue", "0 s"}}},
        Case{"tx81_slow_issue", "tx81", {{"/sequencer/issue", "1 us"}, {"/units/ne/queue_depth", "1"}, {"/movers/rdma/queue_depth", "1"}}},
        Case{"tx81_slow_links", "tx81", {{"/networks/noc/link", "2 GB/s"}, {"/networks/noc/hop", "5 ns"}}},
        Case{"tx81_small", "tx81", {{"/memories/spm/bytes", "192 KiB"}, {"/memories/spm/reserved", "[]"}}},
        Case{"h100_small_cache", "h100-sxm", {{"/memories/l2/bytes", "64 KiB"}}},
        Case{"h100_one_slot", "h100-sxm", {{"/sequencer/slots", "1"}, {"/movers/tma/outstanding", "1"}}},
        Case{"h100_small", "h100-sxm", {{"/memories/smem/bytes", "24 KiB"}, {"/memories/l2/bytes", "256 KiB"}}}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace switchyard
