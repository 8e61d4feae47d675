// A program's time: its contexts one after the other, with what it costs to get from one to the next.
#include "simulation/timing.h"

#include <cmath>

#include "chip/query.h"
#include "simulation/timing/engine.h"
#include "support/check.h"

namespace switchyard::simulation {

namespace {

constexpr std::int64_t kLeastChunk = 256;

/// Buffers that no later context uses, per context: intermediate values whose written bytes need not leave the cache any more.
std::vector<std::vector<program::BufferId>> last_uses(const program::Program& program) {
  std::vector<std::size_t> last(program.buffers.size(), program.contexts.size());
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    for (const program::Actor& actor : program.contexts[c].actors) {
      if (actor.source) last[actor.source->buffer.index()] = c;
      if (actor.destination) last[actor.destination->buffer.index()] = c;
    }
  }
  std::vector<std::vector<program::BufferId>> dead(program.contexts.size());
  for (std::size_t b = 0; b < last.size(); ++b) {
    if (last[b] < dead.size() && program.buffers[b].role == program::BufferRole::intermediate) dead[last[b]].emplace_back(b);
  }
  return dead;
}

/// The sync between dependent contexts, over the components the context runs on.
Picoseconds barrier(const chip::Chip& chip, const program::Context& context) {
  if (context.after.empty() || context.arrays.empty() || chip.sequencer.kind != chip::SequencerKind::component_queues) return {};
  for (const chip::Sync& sync : chip.syncs) {
    if (sync.name != "barrier") continue;
    const auto n = chip::working_instances(chip.components[context.arrays[0].component.index()]).size();
    return from_seconds(sync.alpha.value + sync.beta.value * std::log2(static_cast<double>(std::max<std::size_t>(1, n))));
  }
  return {};
}

std::size_t at(Cause cause) { return static_cast<std::size_t>(cause); }

}  // namespace

Result<Timing> time_program(const program::Program& program, const TimingOptions& options) {
  const chip::Chip& chip = *program.chip;
  const std::int64_t chunk = options.chunk <= 0 ? 0 : std::max(kLeastChunk, options.chunk);
  timing::ContextEngine engine(program, chunk);
  Timing timing;
  const auto dead = last_uses(program);
  const Picoseconds launch = from_seconds(chip.sequencer.launch.value);
  const Picoseconds switch_time = from_seconds(chip.context.switch_time.value);
  Picoseconds load;
  if (chip.context.load_from && chip.context.bytes.value > 0) {
    timing::Resource& memory = engine.fabric.resources[engine.fabric.memory(*chip.context.load_from)];
    const auto bytes = static_cast<std::int64_t>(chip.context.bytes.value);
    const Picoseconds busy = memory.rate.value > 0 ? time_to_move(Bytes(bytes), memory.rate) : Picoseconds(0);
    load = busy + Picoseconds(memory.latency);
    memory.busy += busy.value * static_cast<std::int64_t>(program.contexts.size());
    memory.bytes += bytes * static_cast<std::int64_t>(program.contexts.size());
  }

  Picoseconds now;
  for (std::size_t c = 0; c < program.contexts.size(); ++c) {
    const program::Context& context = program.contexts[c];
    if (c == 0 || chip.sequencer.launch_per_context) {
      now += launch;
      timing.launch += launch;
      timing.attribution[at(Cause::control)] += launch;
    }
    ContextTiming result;
    result.start = now;
    const Picoseconds sync = barrier(chip, context);
    result.attribution[at(Cause::control)] += sync;
    result.attribution[at(Cause::reconfiguration)] += switch_time + load;
    SY_TRY(const timing::ContextRun run, engine.run(context, dead[c]));
    for (std::size_t k = 0; k < run.attribution.size(); ++k) result.attribution[k] += Picoseconds(run.attribution[k]);
    result.span = Picoseconds(run.makespan);
    result.share = sync + switch_time + load + result.span;
    result.firings = run.firings;
    result.transfers = run.transfers;
    result.events = run.events;
    timing.firings += run.firings;
    timing.transfers += run.transfers;
    timing.events += run.events;
    now += result.share;
    Picoseconds sum;
    for (std::size_t k = 0; k < result.attribution.size(); ++k) {
      sum += result.attribution[k];
      timing.attribution[k] += result.attribution[k];
    }
    SY_CHECK(sum == result.share, "a context's causes sum to its share");
    timing.contexts.push_back(result);
  }
  timing.latency = now;
  Picoseconds sum;
  for (const Picoseconds part : timing.attribution) sum += part;
  SY_CHECK(sum == timing.latency, "the causes sum to the latency");

  const timing::Totals& totals = engine.totals;
  timing.offchip_read = totals.offchip_read;
  timing.offchip_written = totals.offchip_written;
  timing.offchip_constants = totals.offchip_constants;
  timing.cache_dirty = engine.cache_dirty();
  timing.network_bytes = totals.network_bytes;
  timing.link_bytes = totals.link_bytes;
  timing.macs = totals.macs;
  timing.vector_ops = totals.vector_ops;
  if (const std::int64_t links = engine.fabric.link_total(); links > 0 && now.value > 0) {
    timing.link_busy_share = static_cast<double>(engine.fabric.link_busy()) / (static_cast<double>(links) * static_cast<double>(now.value));
  }
  for (const timing::Fabric::Named& named : engine.fabric.reported()) {
    const timing::Resource& r = engine.fabric.resources[named.resource];
    timing.resources.push_back({named.name, Picoseconds(r.busy), r.bytes});
  }
  for (std::size_t u = 0; u < chip.units.size(); ++u) {
    if (totals.unit_busy[u] > 0) timing.resources.push_back({chip.units[u].name, Picoseconds(totals.unit_busy[u]), 0});
  }
  for (std::size_t m = 0; m < chip.movers.size(); ++m) {
    if (totals.mover_bytes[m] > 0) {
      timing.resources.push_back({chip.movers[m].name, Picoseconds(totals.mover_busy[m]), totals.mover_bytes[m]});
    }
  }
  return timing;
}

}  // namespace switchyard::simulation
