#include "simulation/timing/waves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "chip/query.h"
#include "program/chain.h"
#include "program/grid.h"
#include "program/product.h"
#include "program/rows.h"
#include "simulation/timing/recorder.h"

namespace switchyard::simulation::timing {

namespace {

constexpr double kLongestSeconds = 1e6;

std::int64_t whole(double value) { return static_cast<std::int64_t>(std::llround(value)); }

}  // namespace

WaveTimer::WaveTimer(const program::Program& program) : program_(program) {
  const chip::Chip& chip = *program.chip;
  if (const auto cache = chip::cache_of(chip, chip::off_chip_memory(chip))) {
    const chip::UsableRange usable = chip::usable_range(chip.memories[cache->index()]);
    capacity_ = static_cast<double>(usable.end - usable.begin);
  }
}

double WaveTimer::use(const Touched& touched) {
  const auto covers = [&](const Touched& kept) {
    if (kept.buffer != touched.buffer || kept.box.size() != touched.box.size()) return false;
    for (std::size_t d = 0; d < kept.box.size(); ++d)
      if (touched.box[d][0] < kept.box[d][0] || touched.box[d][1] > kept.box[d][1]) return false;
    return true;
  };
  double hit = 0;
  Touched now = touched;
  if (const auto at = std::find_if(kept_.begin(), kept_.end(), covers); at != kept_.end()) {
    hit = std::min(touched.bytes, at->bytes);
    now.box = at->box;
    now.bytes = std::max(now.bytes, at->bytes);
    kept_.erase(at);
  }
  kept_.push_front(std::move(now));
  double held = 0;
  for (auto k = kept_.begin(); k != kept_.end();) {
    k->bytes = std::min(k->bytes, capacity_ - held);
    held += k->bytes;
    k = k->bytes > 0 ? std::next(k) : kept_.erase(k);
  }
  return hit;
}

WaveTimer::Moved WaveTimer::touch(const std::vector<Touched>& list) {
  Moved moved;
  for (const Touched& touched : list) {
    const double kept = use(touched);
    if (touched.write) {
      moved.written += touched.bytes;
      continue;
    }
    moved.hit += kept;
    moved.read += touched.bytes - kept;
    if (program_.buffers[touched.buffer.index()].role == program::BufferRole::constant) moved.constants += touched.bytes - kept;
  }
  return moved;
}

ContextRun WaveTimer::run_of(const Prelude& prelude, std::int64_t begin, const program::GridTime& time) {
  ContextRun run;
  run.opens = begin;
  run.launch = prelude.launch;
  run.begin = run.end = begin + prelude.launch + prelude.switching + prelude.load;
  run.attribution[static_cast<std::size_t>(Cause::reconfiguration)] = prelude.switching + prelude.load;
  const auto add = [&](Cause cause, double seconds) {
    const std::int64_t part = from_seconds(seconds).value;
    run.attribution[static_cast<std::size_t>(cause)] += part;
    run.end += part;
  };
  add(Cause::compute, time.compute);
  add(Cause::imbalance, time.imbalance);
  add(Cause::interconnect, time.interconnect);
  add(Cause::memory, time.memory);
  add(Cause::control, time.control);
  return run;
}

/// A kernel is one slice, on the first of its components.
void WaveTimer::record(const ContextRun& run, std::uint32_t context, std::int64_t begin) const {
  const auto& actors = program_.contexts[context].actors;
  const auto computes =
      std::find_if(actors.begin(), actors.end(), [](const program::Actor& a) { return a.kind == program::ActorKind::compute; });
  const auto actor = static_cast<std::uint32_t>(computes == actors.end() ? 0 : computes - actors.begin());
  const auto kind = computes == actors.end() ? Recording::Kind::transfer : Recording::Kind::compute;
  const std::uint32_t activity = 2 * (context - first_recorded_);
  if (run.launch > 0)
    recorder->slice(activity, {Picoseconds(begin), Picoseconds(begin + run.launch), Recording::Kind::launch, context, Recording::kNone,
                               Recording::kNone, 0});
  recorder->slice(activity + 1, {Picoseconds(run.begin), Picoseconds(run.end), kind, context, actor, 0, run.macs});
}

/// One context, or the stages of one kernel: the first of them gets the time.
Result<GroupRun> WaveTimer::run(const Group& group, Totals& totals, Fabric& fabric) {
  const chip::Chip& chip = *program_.chip;
  const std::span<const program::Context> stages(program_.contexts.data() + group.first, group.preludes.size());
  const auto failure = [&] {
    return fail(FailureKind::unsupported, "simulation/too-long",
                fmt::format("context '{}' runs longer than can be counted", stages.front().name));
  };
  GroupRun out;
  out.played = 1;
  Moved all;
  const auto end = [&](const program::GridTime& time, const Moved& moved) {
    const bool counted = time.total() < kLongestSeconds;
    all.read += moved.read;
    all.written += moved.written;
    all.constants += moved.constants;
    return counted;
  };
  const auto chain = program::chain_work(chip, program_.buffers, stages);
  const auto product = chain ? std::nullopt : program::product_work(chip, program_.buffers, stages);
  const auto rows = chain || product ? std::nullopt : program::rows_work(chip, program_.buffers, stages);
  if (recorder != nullptr) recorder->begin_group(group.origin);
  first_recorded_ = group.first;
  for (std::size_t c = 0; c < stages.size(); ++c) {
    const std::int64_t begin = out.makespan;
    Prelude prelude = group.preludes[c];
    if ((chain || product || rows) && c > 0) {  // part of the first stage's time
      ContextRun run;
      run.opens = run.begin = run.end = begin;
      out.contexts.push_back(run);
      continue;
    }
    ContextRun run;
    if (chain) {
      const Moved moved = touch(chain->touched);
      const program::ChainTime t = program::chain_time(chip, *chain, moved.hit);
      if (!end(t.time, moved)) return failure();
      run = run_of(prelude, begin, t.time);
      run.firings = run.events = t.blocks;
      run.macs = whole(t.macs);
      run.vector_ops = whole(t.points * chain->vector_ops);
      run.offchip_read = whole(moved.read);
      run.offchip_written = whole(moved.written);
    } else if (product) {
      const Moved moved = touch(product->touched);
      const program::ProductTime t = program::product_time(chip, *product, moved.hit);
      if (!end(t.time, moved)) return failure();
      run = run_of(prelude, begin, t.time);
      run.firings = run.events = t.blocks;
      run.macs = whole(t.macs);
      run.vector_ops = whole(product->vector_ops);
      run.offchip_read = whole(moved.read);
      run.offchip_written = whole(moved.written);
      totals.unit_busy[product->matrix.index()] += from_seconds(t.multiply / t.time.hertz).value;
    } else {
      const program::GridWork work = rows ? *rows : program::grid_work(chip, program_.buffers, stages[c]);
      const Moved moved = touch(work.touched);
      const program::GridTime time = program::grid_time(chip, work, stages[c].slices, moved.hit);
      if (!end(time, moved)) return failure();
      run = run_of(prelude, begin, time);
      run.firings = run.events = work.blocks * stages[c].slices;
      run.transfers = run.firings * static_cast<std::int64_t>(work.touched.size());
      const double way = (work.load_bytes + work.store_bytes) * static_cast<double>(work.blocks);
      totals.network_bytes += whole(way);
      totals.link_bytes += whole(way);
      run.macs = whole(work.macs);
      run.vector_ops = whole(work.vector_ops);
      run.offchip_read = whole(moved.read);
      run.offchip_written = whole(moved.written);
      if (work.matrix.valid())
        totals.unit_busy[work.matrix.index()] += from_seconds(work.contract_cycles * static_cast<double>(work.blocks) / time.hertz).value;
    }
    totals.macs += run.macs;
    totals.vector_ops += run.vector_ops;
    totals.offchip_read += run.offchip_read;
    totals.offchip_written += run.offchip_written;
    out.makespan = run.end;
    out.contexts.push_back(run);
    if (recorder != nullptr) record(run, group.first + static_cast<std::uint32_t>(c), begin);
  }
  if (recorder != nullptr) recorder->end_group();
  for (const program::BufferId dead : group.dead) kept_.remove_if([&](const Touched& k) { return k.buffer == dead; });
  totals.offchip_constants += whole(all.constants);
  const chip::MemoryId off = chip::off_chip_memory(chip);
  Resource& memory = fabric.resources[fabric.memory(off)];
  memory.bytes += whole(all.read + all.written);
  memory.busy += from_seconds((all.read + all.written) / chip::sustained_bandwidth(chip.memories[off.index()]).value).value;
  return out;
}

}  // namespace switchyard::simulation::timing
