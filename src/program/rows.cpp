#include "program/rows.h"

#include <algorithm>
#include <cmath>

#include "chip/query.h"
#include "program/grid_machine.h"

namespace switchyard::program {
namespace {

constexpr double kThreadsOfSlot = 64;   ///< threads of a component at once, for each block it may hold
constexpr double kBytesOfThread = 16;   ///< of one access
constexpr double kThreadsOfSums = 128;  ///< of a team that only adds up
constexpr double kMostThreads = 512;    ///< of a team that looks for the greatest; it has at least half of what the row's accesses need
constexpr double kHeld = 1024;          ///< elements of a row that 32 threads keep in registers
constexpr double kToken = 256;          ///< threads of a team that quantises a row by its greatest element, which it reads twice
constexpr double kManyTokens = 16;      ///< rows for each component from which on teams of 32 do that (SGLang's kernel)
constexpr double kKeptByFew = 2048;     ///< elements: shorter rows they keep in the scratchpad
constexpr double kGroup = 128;          ///< elements of a row that are quantised without coming back to them
constexpr double kFits = 0.7,
                 kMisses = 1.4;  ///< shares of the cache that rows at work take: below the first all come back, above the second none

/// Threads that walk a row together.
double team_of(double accesses, bool greatest) {
  if (!greatest) return kThreadsOfSums;
  double team = 32;
  while (team < std::min(accesses / 2, kMostThreads)) team *= 2;
  return team;
}

/// Steps of a team over a row. Softmax walks what is left of a row behind whole steps element by element.
double steps_of(double row, double element, double team, bool softmax) {
  const double step = team * kBytesOfThread;
  if (!softmax) return std::ceil(row / step);
  return std::floor(row / step) + std::ceil(std::fmod(row, step) / element / team);
}

}  // namespace

void add_rows(const Actor& actor, std::optional<GridWork::Rows>& rows) {
  for (const Statement& s : actor.statements) {
    if (s.combiner == numerics::Combiner::none || s.is_contraction()) continue;
    double count = 1, elements = 1;
    for (std::size_t d = 0; d < s.dims.size(); ++d)
      (s.kinds[d] == numerics::LoopKind::reduction ? elements : count) *=
          static_cast<double>(actor.dims[static_cast<std::size_t>(s.dims[d])].total);
    if (!rows) rows = GridWork::Rows{};  // clang 14 finds no emplace for a nested type with initialisers
    rows->count = std::max(rows->count, count);
    rows->elements = std::max(rows->elements, elements);
    const bool greatest = s.combiner == numerics::Combiner::max || s.combiner == numerics::Combiner::min;
    // Sums of a row and of its squares are made in one pass; what is added up after the greatest is known needs another.
    if (!greatest && rows->greatest) rows->passes = 3;
    rows->greatest = rows->greatest || greatest;
  }
}

std::optional<GridWork> rows_work(const chip::Chip& chip, std::span<const Buffer> buffers, std::span<const Context> stages) {
  if (stages.size() < 2) return std::nullopt;
  GridWork all;
  double vector_cycles = 0;
  for (const Context& stage : stages) {
    const GridWork work = grid_work(chip, buffers, stage);
    if (work.matrix.valid()) return std::nullopt;
    for (const Actor& actor : stage.actors)
      if (actor.kind == ActorKind::compute) add_rows(actor, all.rows);
    all.component = work.component;
    vector_cycles += work.vector_cycles * static_cast<double>(work.blocks);
    all.vector_ops += work.vector_ops;
    for (const GridWork::Touched& t : work.touched) {
      const bool known = std::any_of(all.touched.begin(), all.touched.end(), [&](const GridWork::Touched& other) {
        return other.buffer == t.buffer && other.write == t.write && other.box == t.box;
      });
      if (!known && buffers[t.buffer.index()].lifetime != Lifetime::kernel) all.touched.push_back(t);
    }
  }
  if (!all.rows) return std::nullopt;
  all.blocks = static_cast<std::int64_t>(all.rows->count);
  all.vector_cycles = vector_cycles / all.rows->count;
  return all;
}

void time_rows(const chip::Chip& chip, const GridWork& w, double bytes, GridTime& t) {
  const chip::Waves& waves = *chip.sequencer.waves;
  const chip::MemoryId off_id = chip::off_chip_memory(chip);
  const chip::Memory& off = chip.memories[off_id.index()];
  const auto cache_id = chip::cache_of(chip, off_id);
  const chip::Memory& cache = chip.memories[cache_id ? cache_id->index() : off_id.index()];
  const auto components = static_cast<double>(chip::working_instances(chip.components[w.component.index()]).size());
  double in = 0, out = 0;
  for (const GridWork::Touched& touched : w.touched) (touched.write ? out : in) += touched.bytes;
  const GridWork::Rows& rows = *w.rows;
  const double row = in / rows.count, element = row / rows.elements;
  const double active = std::min(components, rows.count), share = rows.count / active;  // rows of the fullest component
  const bool quantises = rows.greatest && rows.passes <= 2;
  const bool held = rows.greatest && rows.elements <= (quantises ? kGroup : kHeld);
  const bool by_few = quantises && rows.count >= kManyTokens * components;
  const double team = held || by_few ? 32
                      : quantises    ? kToken
                                     : team_of(row / kBytesOfThread, rows.greatest),
               steps = steps_of(row, element, team, rows.passes > 2);
  const double teams = std::max(1.0, static_cast<double>(chip.sequencer.slots) * kThreadsOfSlot / team);
  t.hertz = waves.clock_hz.value;
  t.compute = w.vector_cycles * static_cast<double>(w.blocks) / active / t.hertz;
  // Each step of a team waits for memory; a component full of teams hides that, down to its rate for rows.
  const double wait = (held ? 1 : steps * rows.passes * std::ceil(share / teams)) * waves.wait.value;
  const double walk = held ? share * row / waves.port.value : share * steps * team * kBytesOfThread / waves.rows.value;
  const double full = share < teams ? share / teams : 1;  // few teams are alone with their accesses
  const double way =
      std::max({t.compute, std::max(wait, walk * full) / t.hertz, (in + out) / (cache.bandwidth.value * cache.sustained.value)});
  const double at_work = components * std::min(teams, share) * (row + out / rows.count);
  const double size = cache_id ? static_cast<double>(cache.bytes.value) : 0;
  const double lost = held || (by_few && rows.elements < kKeptByFew)
                          ? 0
                          : std::clamp((at_work / std::max(1.0, size) - kFits) / (kMisses - kFits), 0.0, 1.0);
  const double memory = (bytes + (rows.passes - 1) * in * lost) / (off.bandwidth.value * off.sustained.value);
  const double body = overlapped(way, memory, waves.overlap.value);
  t.interconnect = way - t.compute;
  t.memory = std::max(0.0, body - way);
}

}  // namespace switchyard::program
