// A program's time: its groups of contexts one after the other, with what stands before each context.
#include "simulation/timing.h"

#include <algorithm>
#include <cmath>

#include "chip/query.h"
#include "numerics/packing.h"
#include "program/grid.h"
#include "program/instance.h"
#include "simulation/program_timer.h"
#include "simulation/timing/engine.h"
#include "simulation/timing/recorder.h"
#include "simulation/timing/signature.h"
#include "simulation/timing/waves.h"
#include "support/check.h"

namespace switchyard::simulation {

namespace {

constexpr std::int64_t kLeastChunk = 256;
constexpr std::int64_t kLongest = std::int64_t{1} << 62;

/// Groups of contexts that early actors link: the first context of each, and the end.
std::vector<std::uint32_t> groups_of(const program::Program& program) {
  const auto count = static_cast<std::uint32_t>(program.contexts.size());
  std::vector<std::uint32_t> first{count};
  std::uint32_t linked = count;  // contexts from here on belong to the group of a later one
  for (std::uint32_t c = count; c-- > 0;) {
    if (program.contexts[c].continues && c > 0) linked = std::min(linked, c - 1);
    if (timing::has_early_actors(program.contexts[c])) linked = std::min(linked, timing::early_from(program.contexts[c]));
    if (c <= linked) {
      first.push_back(c);
      linked = count;
    }
  }
  std::reverse(first.begin(), first.end());
  return first;
}

/// Buffers that no later group uses, per group: intermediate values whose written bytes need not leave the cache any more.
std::vector<std::vector<program::BufferId>> last_uses(const program::Program& program, const std::vector<std::uint32_t>& groups) {
  const std::size_t count = groups.size() - 1;
  std::vector<std::size_t> last(program.buffers.size(), count);
  for (std::size_t g = 0; g < count; ++g) {
    for (std::uint32_t c = groups[g]; c < groups[g + 1]; ++c) {
      program::for_each_buffer(program.contexts[c], [&](program::BufferId id, bool) { last[id.index()] = g; });
    }
  }
  std::vector<std::vector<program::BufferId>> dead(count);
  for (std::size_t b = 0; b < last.size(); ++b) {
    if (last[b] < count && program.buffers[b].role == program::BufferRole::intermediate) dead[last[b]].emplace_back(b);
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

/// Loads a context's configuration: how long it takes, in picoseconds.
std::int64_t load_configuration(const chip::Chip& chip, const program::Context& context, timing::Fabric& fabric) {
  const chip::ContextCost& cost = chip.context;
  if (!cost.load_from || !(cost.bytes.value > 0)) return 0;
  timing::Resource& memory = fabric.resources[fabric.memory(*cost.load_from)];
  const auto bytes = static_cast<std::int64_t>(cost.bytes.value) * (cost.per ? program::instances_used(chip, context, *cost.per) : 1);
  const Picoseconds busy = memory.rate.value > 0 ? time_to_move(Bytes(bytes), memory.rate) : Picoseconds(0);
  memory.busy += busy.value;
  memory.bytes += bytes;
  return busy.value + memory.latency;
}

/// Which buffers contexts of the chip write, and which they read.
struct ChipUse {
  std::vector<bool> written, read;
  explicit ChipUse(const program::Program& program) : written(program.buffers.size(), false), read(written) {
    for (const program::Context& context : program.contexts) {
      if (context.host) continue;
      program::for_each_buffer(context, [&](program::BufferId id, bool writes) { (writes ? written : read)[id.index()] = true; });
    }
  }
};

/// A step of the host: what the chip made comes over the link, and what the chip reads goes back; each way once its latency. What the host
/// gives itself and what it keeps does not move. Its own time is not modelled: it depends on the host.
timing::GroupRun host_time(const program::Program& program, const program::HostStep& step, const ChipUse& use) {
  timing::ContextRun run;
  const chip::Network* link = chip::host_link(*program.chip);
  const auto way = [&](const std::vector<program::BufferId>& list, const std::vector<bool>& moves) {
    std::int64_t bytes = 0;
    bool any = false;
    for (const program::BufferId id : list) {
      if (!moves[id.index()]) continue;
      any = true;
      const program::Buffer& buffer = program.buffers[id.index()];
      bytes += numerics::stored_bytes(buffer.format, numerics::element_count(buffer.shape));
    }
    if (!any || link == nullptr) return Picoseconds(0);
    const BytesPerSecond rate(link->link.value);
    return from_seconds(link->hop.value) + (rate.value > 0 ? time_to_move(Bytes(bytes), rate) : Picoseconds(0));
  };
  run.end = (way(step.reads, use.written) + way(step.writes, use.read)).value;
  run.attribution[static_cast<std::size_t>(Cause::control)] = run.end;
  timing::GroupRun out;
  out.makespan = run.end;
  out.contexts.push_back(run);
  return out;
}

/// However the program's time ends, what was recorded is finished.
struct RecorderEnd {
  timing::Recorder* recorder;
  const timing::Fabric& fabric;
  ~RecorderEnd() {
    if (recorder != nullptr) recorder->finish(fabric);
  }
};

std::size_t at(Cause cause) { return static_cast<std::size_t>(cause); }

Result<Timing> time_on(const program::Program& program, const TimingOptions& options, std::int64_t chunk, timing::Fabric& fabric,
                       std::vector<std::uint32_t> classes) {
  const chip::Chip& chip = *program.chip;
  timing::Engine engine(program, fabric, chunk, options.exact_shortcuts && options.recorder == nullptr, std::move(classes));
  engine.recorder = options.recorder;
  const RecorderEnd end{options.recorder, engine.fabric};
  timing::WaveTimer waves(program);
  waves.recorder = options.recorder;
  Timing timing;
  const std::vector<std::uint32_t> groups = groups_of(program);
  const auto dead = last_uses(program, groups);
  const ChipUse chip_use(program);
  timing::Prelude prelude;
  prelude.switching = from_seconds(chip.context.switch_time.value).value;

  const Picoseconds launch = from_seconds(program::launch_seconds(chip));
  Picoseconds now;
  const bool runs = std::any_of(program.contexts.begin(), program.contexts.end(), [](const program::Context& c) { return !c.host; });
  if (runs) {  // what is the host's alone is launched nowhere
    now = timing.launch = launch;
    timing.attribution[at(Cause::control)] = launch;
    if (options.recorder != nullptr && launch.value > 0) {
      options.recorder->begin_group(0);
      options.recorder->slice(0, {Picoseconds(0), launch, Recording::Kind::launch, 0, Recording::kNone, Recording::kNone, 0});
      options.recorder->end_group();
    }
  }
  for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
    if (options.recorder != nullptr && options.recorder->full()) break;  // who records wants no more than fits
    timing::Group group;
    group.first = groups[g];
    group.origin = now.value;
    group.dead = dead[g];
    for (std::uint32_t c = groups[g]; c < groups[g + 1]; ++c) {
      prelude.launch = c > 0 && chip.sequencer.launch_per_context && !program.contexts[c].continues ? launch.value : 0;
      prelude.barrier = barrier(chip, program.contexts[c]).value;
      prelude.load = program.contexts[c].host ? 0 : load_configuration(chip, program.contexts[c], engine.fabric);
      group.preludes.push_back(prelude);
    }
    const program::Context& first = program.contexts[groups[g]];
    SY_TRY(const timing::GroupRun run, first.host                            ? host_time(program, *first.host, chip_use)
                                       : program::runs_in_waves(chip, first) ? waves.run(group, engine.totals, engine.fabric)
                                                                             : engine.run(group));
    std::int64_t room = kLongest - now.value;
    bool long_exchange = false;
    for (std::uint32_t c = groups[g]; c < groups[g + 1]; ++c) {
      long_exchange = long_exchange || program.contexts[c].exchange.value > room;
      room -= std::min(room, program.contexts[c].exchange.value);
    }
    if (long_exchange || run.makespan > room) {
      return fail(FailureKind::unsupported, "simulation/too-long", "the program runs longer than can be counted");
    }
    Picoseconds exchanged;
    std::uint32_t number = groups[g];
    for (const timing::ContextRun& c : run.contexts) {
      ContextTiming result;
      const Picoseconds exchange = program.contexts[number++].exchange;
      result.start = now + exchanged + Picoseconds(c.opens);
      exchanged += exchange;
      result.span = Picoseconds(c.end - c.begin);
      result.end = now + exchanged + Picoseconds(c.end);
      for (std::size_t k = 0; k < c.attribution.size(); ++k) {
        result.attribution[k] = Picoseconds(c.attribution[k]);
        result.share += result.attribution[k];
        timing.attribution[k] += result.attribution[k];
      }
      if (first.host) timing.host += Picoseconds(c.end - c.begin);
      result.attribution[at(Cause::interconnect)] += exchange;
      result.share += exchange;
      timing.attribution[at(Cause::interconnect)] += exchange;
      timing.launch += Picoseconds(c.launch);
      timing.attribution[at(Cause::control)] += Picoseconds(c.launch);
      result.firings = c.firings;
      result.transfers = c.transfers;
      result.events = c.events;
      result.macs = c.macs;
      result.vector_ops = c.vector_ops;
      result.offchip_read = c.offchip_read;
      result.offchip_written = c.offchip_written;
      result.ahead = c.ahead;
      result.served = Picoseconds(c.served);
      timing.firings += c.firings;
      timing.transfers += c.transfers;
      timing.events += c.events;
      timing.contexts.push_back(result);
    }
    timing.played += run.played;
    now += Picoseconds(run.makespan) + exchanged;
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
    timing.resources.push_back({named.name, Picoseconds(named.busy), named.bytes});
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

}  // namespace

struct ProgramTimer::Kept {
  std::shared_ptr<const chip::Chip> chip;
  std::int64_t chunk = 0, known = 0;
  std::optional<timing::Fabric> fabric;
  timing::ContextClasses classes;
  std::map<std::vector<std::int64_t>, Timing> timings;

  /// What the time of a program depends on, its contexts known by their classes.
  static std::vector<std::int64_t> key_of(const program::Program& program, const std::vector<std::uint32_t>& classes) {
    std::vector<std::int64_t> key;
    for (std::size_t c = 0; c < program.contexts.size(); ++c) {
      const program::Context& context = program.contexts[c];
      key.insert(key.end(), {classes[c], context.continues ? 1 : 0, context.after.empty() ? 0 : 1, context.exchange.value,
                             timing::has_early_actors(context) ? timing::early_from(context) : -1});
    }
    return key;
  }
};

ProgramTimer::ProgramTimer() : kept_(std::make_unique<Kept>()) {}
ProgramTimer::~ProgramTimer() = default;
std::int64_t ProgramTimer::known() const { return kept_->known; }

Result<Timing> ProgramTimer::time(const program::Program& program, const TimingOptions& options) {
  Kept& kept = *kept_;
  const std::int64_t chunk = options.chunk <= 0 ? 0 : std::max(kLeastChunk, options.chunk);
  const bool shortcuts = options.exact_shortcuts && options.recorder == nullptr;
  const chip::Chip& chip = *program.chip;
  const bool cached = timing::has_cache(chip);
  if (kept.chip != program.chip || kept.chunk != chunk || kept.classes.full()) {
    kept.chip = program.chip;
    kept.chunk = chunk;
    kept.fabric.reset();
    kept.classes = {};
    kept.timings.clear();
  }
  std::vector<std::uint32_t> classes;
  if (shortcuts && !(cached && chip.sequencer.waves)) classes = kept.classes.of(program);
  // What a step of the host moves and what a wave takes is in no class.
  const bool alone = classes.empty() || chip.sequencer.waves ||
                     std::any_of(program.contexts.begin(), program.contexts.end(), [](const program::Context& c) { return bool(c.host); });
  const std::vector<std::int64_t> key = alone ? std::vector<std::int64_t>() : Kept::key_of(program, classes);
  if (const auto same = kept.timings.find(key); !alone && same != kept.timings.end()) {
    ++kept.known;
    return same->second;
  }
  if (!kept.fabric || !kept.fabric->worth_keeping()) kept.fabric.emplace(program, chunk);
  kept.fabric->begin_program(program);
  if (cached) classes.clear();  // no context is skipped there
  SY_TRY(Timing timing, time_on(program, options, chunk, *kept.fabric, std::move(classes)));
  if (!alone) kept.timings.emplace(key, timing);
  return timing;
}

Result<Timing> time_program(const program::Program& program, const TimingOptions& options) { return ProgramTimer().time(program, options); }

}  // namespace switchyard::simulation
