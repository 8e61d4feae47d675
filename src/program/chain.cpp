#include "program/chain.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "chip/query.h"
#include "numerics/packing.h"

namespace switchyard::program {
namespace {

constexpr double kLeastColumns = 16;  ///< of a step
constexpr double kMask = 4;           ///< operations of a point of a step that the band cuts: two positions, a comparison, a selection
constexpr double kSharedOverlap = 2;  ///< as `overlap`, where the same warps fetch and compute
constexpr double kStages =
    3;  ///< product, function of the row, product: each waits for the one before, whatever contexts they are written as
constexpr std::array<std::int64_t, 10> kSlices{1, 2, 3, 4, 6, 8, 12, 16, 24, 32};

bool depends(const numerics::Access& access, int dim) {
  return std::any_of(access.index.begin(), access.index.end(), [&](const numerics::Affine& f) { return f.depends_on(dim); });
}

/// The extents of a product by what its loops run along: both factors, the first alone, the second alone, neither result.
struct Product {
  const Actor* actor = nullptr;
  const Statement* statement = nullptr;
  std::array<double, 4> extent{1, 1, 1, 1};
  double last_row = 1;  ///< of the loops of the first factor alone: the one along the last dimension but one of the result
};

std::optional<Product> product_of(const Context& context) {
  for (const Actor& actor : context.actors) {
    if (actor.kind != ActorKind::compute) continue;
    for (const Statement& s : actor.statements) {
      if (!s.is_contraction()) continue;
      Product p;
      p.actor = &actor;
      p.statement = &s;
      for (std::size_t d = 0; d < s.dims.size(); ++d) {
        const auto total = static_cast<double>(actor.dims[static_cast<std::size_t>(s.dims[d])].total);
        const bool a = depends(*s.factors()[0], s.dims[d]), b = depends(*s.factors()[1], s.dims[d]);
        const bool reduction = s.kinds[d] == numerics::LoopKind::reduction;
        p.extent[reduction ? 3 : a && b ? 0 : a ? 1 : 2] *= total;
        if (!reduction && a && !b) p.last_row = total;  // loops stand in the order of the result
      }
      return p;
    }
  }
  return std::nullopt;
}

}  // namespace

std::size_t stages_of(std::span<const Context> contexts, std::size_t first) {
  std::size_t end = first + 1;
  while (end < contexts.size() && contexts[end].continues) ++end;
  return end - first;
}

std::optional<ChainWork> chain_work(const chip::Chip& chip, std::span<const Buffer> buffers, std::span<const Context> stages) {
  if (stages.size() < 2) return std::nullopt;
  const auto first = product_of(stages.front()), last = product_of(stages.back());
  if (!first || !last) return std::nullopt;
  ChainWork w;
  w.component = stages.front().arrays.front().component;
  // Whatever unit suits the first product alone: as a part of the chain it is made on the fastest.
  const numerics::Access& factor = *first->statement->factors()[0];
  if (static_cast<std::size_t>(factor.slot) >= first->actor->ports.size()) return std::nullopt;
  w.format = first->actor->ports[static_cast<std::size_t>(factor.slot)].token.format;
  w.row_element = w.column_element = numerics::stored_size(w.format);
  if (const auto slot = static_cast<std::size_t>(first->statement->factors()[1]->slot); slot < first->actor->ports.size()) {
    const numerics::Format columns = first->actor->ports[slot].token.format;
    w.column_element = numerics::stored_size(columns);
    w.converts = columns != w.format;
  }
  const auto units = chip::units_for(chip, chip::OpClass::contract, w.format);
  if (units.empty()) return std::nullopt;
  w.matrix = units.front();
  w.macs_per_cycle = chip::find_rate(chip.units[w.matrix.index()], chip::OpClass::contract, w.format)->per_cycle.value;
  const bool free_epilogue = chip.units[w.matrix.index()].kind == chip::UnitKind::matrix;
  const auto vectors = chip::units_for(chip, chip::OpClass::map, numerics::Format::fp32);
  if (!vectors.empty())
    w.lanes = chip::find_rate(chip.units[vectors.front().index()], chip::OpClass::map, numerics::Format::fp32)->per_cycle.value;
  w.groups = first->extent[0];
  w.rows = first->last_row;
  w.copies = first->extent[1] / w.rows;
  w.columns = first->extent[2];
  w.depth = first->extent[3];
  const double points = w.groups * w.copies * w.rows * w.columns;
  w.width = last->extent[0] * last->extent[1] * last->extent[2] * last->extent[3] / points;
  w.band = stages.front().band;
  for (const Context& stage : stages) {
    const GridWork work = grid_work(chip, buffers, stage);
    for (const Actor& actor : stage.actors)
      for (const Statement& s : actor.statements) {
        if (actor.kind != ActorKind::compute || s.is_contraction()) continue;
        // What ends the function of a row, a factor of all its points, is applied to the row of results.
        const bool scales = &stage + 1 == &stages.back() && &s == &actor.statements.back();
        if (&stage == &stages.back() || scales || (&stage == &stages.front() && free_epilogue)) continue;
        const PointCost cost = point_cost(chip, actor, s, true);
        w.vector_cycles += cost.cycles * all_points(actor, s) / points;
        w.vector_ops += cost.operations * all_points(actor, s) / points;
      }
    for (const GridWork::Touched& t : work.touched)
      if (buffers[t.buffer.index()].lifetime != Lifetime::kernel) w.touched.push_back(t);
  }
  return w;
}

namespace {

/// Columns that rows [begin, end) need.
std::array<double, 2> needed(const ChainWork& w, double begin, double end) {
  if (!w.band) return {0, w.columns};
  const auto past = static_cast<double>(w.band->past), window = static_cast<double>(w.band->window);
  const double high = std::clamp(end + past, 1.0, w.columns);
  return {window > 0 ? std::clamp(begin + past + 1 - window, 0.0, high - 1) : 0, high};
}

}  // namespace

ChainTime chain_time(const chip::Chip& chip, const ChainWork& w, double cached) {
  const chip::Waves& waves = *chip.sequencer.waves;
  const chip::Unit& unit = chip.units[w.matrix.index()];
  const auto components = static_cast<double>(chip::working_instances(chip.components[w.component.index()]).size());
  const chip::MemoryId off_id = chip::off_chip_memory(chip);
  const chip::Memory& off = chip.memories[off_id.index()];
  const auto cache_id = chip::cache_of(chip, off_id);
  const chip::Memory& cache = chip.memories[cache_id ? cache_id->index() : off_id.index()];
  const double cache_rate = cache.bandwidth.value * cache.sustained.value;
  const double memory_rate = off.bandwidth.value * (off.sustained_tiles ? off.sustained_tiles->value : off.sustained.value);
  double bytes = -cached;
  for (const GridWork::Touched& t : w.touched) bytes += t.bytes;
  const auto [used_from, used_to] = needed(w, 0, w.rows);
  const double unused = (w.columns - (used_to - used_from)) * w.groups * (w.depth + w.width) * w.column_element;
  bytes = std::max(0.0, bytes - unused);
  const double boost = waves.clock_hz.value;
  const bool single = w.rows <= 1;  // a row of a cache: where its columns lie is read before them
  const double page = single ? waves.wait.value : 0;
  const double step = kStages * unit.step_cycles.value + page, fill = kStages * waves.fill.value + page;
  const double most_resident =
      single ? 1 : 2;  // two blocks hide each other's waits; where each has one row, there is nothing to hide behind
  // Columns of a step: what the scratchpad holds beside the rows, in two blocks or twice in one.
  double scratchpad = 0;
  for (const chip::Memory& memory : chip.memories) {
    const chip::UsableRange usable = chip::usable_range(memory);
    if (memory.in == w.component && memory.kind == chip::MemoryKind::scratchpad)
      scratchpad = static_cast<double>(usable.end - usable.begin);
  }

  ChainTime best;
  best.time.control = std::numeric_limits<double>::infinity();
  for (const std::int64_t rows_of_block : single ? waves.chains.single_rows : waves.chains.rows) {
    const auto block_rows = static_cast<double>(rows_of_block);
    const double room = scratchpad / 2 - block_rows * w.depth * w.row_element * (waves.fill_once ? 0.5 : 1);
    const double columns = std::clamp(std::floor(room / (w.depth + w.width) / w.column_element / kLeastColumns) * kLeastColumns,
                                      kLeastColumns, static_cast<double>(single ? waves.chains.single_columns : waves.chains.columns));
    const double arrive = columns * (w.depth + w.width) * w.column_element;  // bytes of a step
    const double multiply = block_rows * columns * (w.depth + w.width) / (w.macs_per_cycle * unit.sustained.value);
    const double map = block_rows * columns * w.vector_cycles + (w.converts ? columns * (w.depth + w.width) / w.lanes : 0);
    // Rows of heads that share their columns may lie in one block, one head's after another's at each position.
    for (const bool packed : {false, true}) {
      if (packed && (w.copies <= 1 || (waves.fill_once && w.rows * w.copies > block_rows))) continue;
      const double at_position = packed ? w.copies : 1, rows = w.rows * at_position, heads = w.groups * w.copies / at_position;
      const double along = std::ceil(rows / block_rows);
      for (const std::int64_t slices : kSlices) {
        const auto s = static_cast<double>(slices);
        const double blocks = heads * along * s;
        const double resident = waves.fill_once ? most_resident : std::clamp(std::ceil(blocks / components), 1.0, most_resident);
        double sum = 0, longest = 0, points = 0, used_points = 0, most_steps = 0;
        for (double i = 0; i < along; ++i) {
          const double begin = std::floor(i * block_rows / at_position),
                       end = std::min(w.rows, std::ceil((i + 1) * block_rows / at_position));
          const auto [low, high] = needed(w, begin, end);
          const double all = std::ceil(high / columns) - std::floor(low / columns);
          // Products of different steps overlap in persistent blocks: a step more until they do. Steps that the band cuts are masked.
          const double cut = std::ceil(all / s), steps = cut + (waves.fill_once && w.band && !single && cut > 1 ? 1 : 0);
          const double edges = w.band && !single ? std::ceil((end - begin) / columns) * (w.band->window > 0 ? 2 : 1) : 0;
          const double mask = std::min(cut, edges) * block_rows * columns * kMask * (edges > 0 && w.band->window > 0 ? 2 : 1) / w.lanes;
          const double work = steps * (multiply + map) + mask + waves.fill.value;
          const double waits = fill + steps * std::max(step, arrive / waves.port.value);
          const double each = std::max(work, waits / resident);
          sum += each * s;
          longest = std::max({longest, work, waits});
          most_steps = std::max(most_steps, all);
          points += block_rows * all * columns;
          used_points += std::min(block_rows, rows - i * block_rows) * (high - low);
        }
        if (slices > 1 && (most_steps < s || blocks > 8 * components)) break;  // finer cuts level nothing out
        const double active = std::min(blocks, components);
        // Blocks of a causal mask differ; dealt in their order, the longest of the last rows begin when others end.
        const double dealt = along == 1 ? std::max(longest, std::ceil(blocks / components / resident) * resident * sum / s)
                                        : std::max(longest, sum * heads / components + (waves.fill_once ? 0 : longest * (1 - 1 / along)));
        const double through = sum > 0 ? heads * points / block_rows / columns * arrive / cache_rate * boost : 0;
        const double useful = points * heads * (w.depth + w.width) / (w.macs_per_cycle * components);  // what fills up blocks, too
        const double cycles = std::max(dealt, through);
        const double used = std::min(1.0, useful / cycles);
        const double hertz = used * waves.load_hz.value + (1 - used) * boost;
        const double seconds = cycles / hertz, memory = bytes / memory_rate, p = waves.fill_once ? waves.overlap.value : kSharedOverlap;
        const double top = std::max(seconds, memory), rest = std::min(seconds, memory);
        const double body = top * std::pow(1 + std::pow(rest / top, p), 1 / p);
        GridTime t;
        t.launch = launch_seconds(chip);
        t.hertz = hertz;
        t.compute = std::min(seconds, (useful / unit.sustained.value + points * heads * w.vector_cycles / components) / hertz);
        t.interconnect = std::clamp((through - dealt) / hertz, 0.0, seconds - t.compute);
        t.imbalance = std::clamp((dealt - sum * heads / active) / hertz, 0.0, seconds - t.compute - t.interconnect);
        t.control = std::max(0.0, seconds - t.compute - t.interconnect - t.imbalance);
        t.memory = std::max(0.0, body - seconds);
        if (slices > 1) {  // partial rows are combined by another kernel
          t.control += waves.combine.value + launch_seconds(chip);
          t.interconnect += 2 * 4 * s * w.groups * w.copies * w.rows * w.width / cache_rate;
        }
        if (t.total() < best.time.total())
          best = {t, slices, static_cast<std::int64_t>(blocks), used_points * heads * (w.depth + w.width), used_points * heads};
      }
    }
  }
  return best;
}

}  // namespace switchyard::program
