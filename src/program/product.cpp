#include "program/product.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chip/query.h"
#include "numerics/packing.h"
#include "program/thin.h"

namespace switchyard::program {
namespace {

constexpr std::array<std::int64_t, 10> kSlices{1, 2, 3, 4, 6, 8, 12, 16, 24, 32};
constexpr double kLeastSteps = 2;        ///< of a slice
constexpr double kStagesHeld = 2;        ///< steps of operands in the scratchpad
constexpr std::int64_t kMostRows = 128;  ///< where parts are added up: two groups of warps take turns, with 64 rows each
constexpr double kAccumulator = 4;       ///< bytes
constexpr std::array<std::int64_t, 3> kPartRows{64, 128, 256};  ///< of tiles of kernels that add up parts
constexpr std::int64_t kPartColumns = 160;                      ///< at most
/// Kernels that unpack a factor come in few tiles and slices (FasterTransformer, TensorRT-LLM): so many columns of what is unpacked.
constexpr std::int64_t kUnpackedColumns = 128, kUnpackedRows = 128, kUnpackedSlices = 7;
constexpr double kInstruction = 32;  ///< bytes of an operand's row that one instruction of such kernels takes, out of the scratchpad

bool depends(const numerics::Access& access, int dim) {
  return std::any_of(access.index.begin(), access.index.end(), [&](const numerics::Affine& f) { return f.depends_on(dim); });
}

struct Multiplication {
  const Actor* actor = nullptr;
  const Statement* statement = nullptr;
};

/// The one statement of a context that contracts.
std::optional<Multiplication> multiplication_of(const Context& context) {
  for (const Actor& actor : context.actors) {
    if (actor.kind != ActorKind::compute) continue;
    for (const Statement& s : actor.statements)
      if (s.is_contraction()) return Multiplication{&actor, &s};
  }
  return std::nullopt;
}

/// The buffer from which a port's tokens come.
const Buffer* source_of(std::span<const Buffer> buffers, const Context& context, const Actor& actor, int slot) {
  const auto number = static_cast<std::size_t>(&actor - context.actors.data());
  for (const Channel& channel : context.channels)
    for (const Channel::Consumer& to : channel.to) {
      if (to.end.actor.index() != number || to.end.port != slot) continue;
      const Actor& from = context.actors[channel.from.actor.index()];
      return from.source ? &buffers[from.source->buffer.index()] : nullptr;
    }
  return nullptr;
}

double elements_of(const Buffer& buffer) { return static_cast<double>(numerics::element_count(buffer.shape)); }

/// The stage that writes a buffer.
const Context* writer_of(std::span<const Buffer> buffers, std::span<const Context> stages, const Buffer& buffer) {
  for (const Context& stage : stages)
    for (const Actor& actor : stage.actors)
      if (actor.destination && &buffers[actor.destination->buffer.index()] == &buffer) return &stage;
  return nullptr;
}

/// Cycles of one element that a stage unpacks: one operation, as tricks with bits and packed arithmetic make of whatever its expression
/// says.
double unpack_cycles(const chip::Chip& chip, const Context& stage) {
  for (const Actor& actor : stage.actors) {
    if (actor.kind != ActorKind::compute || actor.statements.empty()) continue;
    const chip::Unit& unit = chip.units[actor.unit.index()];
    for (const Port& port : actor.ports)
      if (const auto* rate = port.input ? chip::find_rate(unit, chip::OpClass::map, port.token.format) : nullptr)
        return 1 / rate->per_cycle.value;
  }
  return 0;
}

}  // namespace

std::optional<ProductWork> product_work(const chip::Chip& chip, std::span<const Buffer> buffers, std::span<const Context> stages) {
  if (stages.size() < 2) return std::nullopt;
  const auto at = std::find_if(stages.begin(), stages.end(), [](const Context& c) { return multiplication_of(c).has_value(); });
  if (at == stages.end()) return std::nullopt;
  if (std::any_of(at + 1, stages.end(), [](const Context& c) { return multiplication_of(c).has_value(); })) return std::nullopt;
  const Multiplication found = *multiplication_of(*at);
  const Actor* actor = found.actor;  // not by structured binding: the lambda below captures it
  const Statement* statement = found.statement;
  ProductWork w;
  w.component = at->arrays.front().component;
  double both = 1;
  for (std::size_t d = 0; d < statement->dims.size(); ++d) {
    const auto total = static_cast<double>(actor->dims[static_cast<std::size_t>(statement->dims[d])].total);
    const bool a = depends(*statement->factors()[0], statement->dims[d]), b = depends(*statement->factors()[1], statement->dims[d]);
    (statement->kinds[d] == numerics::LoopKind::reduction ? w.k : a && b ? both : a ? w.m : w.n) *= total;
  }
  const auto port = [&](int f) { return statement->factors()[static_cast<std::size_t>(f)]->slot; };
  if (static_cast<std::size_t>(std::max(port(0), port(1))) >= actor->ports.size()) return std::nullopt;
  // As a part of the kernel it is made on the fastest unit, whatever suits it alone.
  w.format = actor->ports[static_cast<std::size_t>(port(0))].token.format;
  const auto units = chip::units_for(chip, chip::OpClass::contract, w.format);
  if (units.empty() || chip.units[units.front().index()].tiles.m.empty()) return std::nullopt;
  w.matrix = units.front();
  const chip::Unit& unit = chip.units[w.matrix.index()];
  w.macs_per_cycle = chip::find_rate(unit, chip::OpClass::contract, w.format)->per_cycle.value;
  for (int f = 0; f < 2; ++f) {
    const auto side = static_cast<std::size_t>(f);
    const Buffer* buffer = source_of(buffers, *at, *actor, port(f));
    if (buffer == nullptr) return std::nullopt;
    w.element[side] = numerics::stored_size(buffer->format);
    if (buffer->lifetime != Lifetime::kernel) continue;
    const Context* stage = writer_of(buffers, stages, *buffer);
    if (stage == nullptr) return std::nullopt;
    double read = 0;
    for (const GridWork::Touched& t : grid_work(chip, buffers, *stage).touched) read += t.write ? 0 : t.bytes;
    w.element[side] = read / elements_of(*buffer);
    w.unpack[side] = unpack_cycles(chip, *stage);
  }
  // A reduction behind the product adds up what its loops without a side of their own keep apart.
  const bool reduced = at + 1 != stages.end();
  (reduced ? w.parts : w.groups) = both;
  if (reduced) w.k *= both;
  const double results = w.groups * w.m * w.n;
  const bool free_epilogue = unit.kind == chip::UnitKind::matrix;
  for (auto stage = stages.begin(); stage != stages.end(); ++stage) {
    for (const Actor& other : stage->actors) {
      if (other.kind != ActorKind::compute) continue;
      for (const Statement& s : other.statements) {
        if (s.is_contraction() || (stage == at && free_epilogue && &other == actor)) continue;
        const PointCost cost = point_cost(chip, other, s, true);
        w.vector_ops += cost.operations * all_points(other, s);
        const double each = all_points(other, s) / results;
        if (stage >= at)
          (stage > at && each > 1 ? w.part_cycles : w.vector_cycles) += cost.cycles * (stage > at && each > 1 ? each / w.parts : each);
      }
    }
    for (const GridWork::Touched& t : grid_work(chip, buffers, *stage).touched) {
      if (buffers[t.buffer.index()].lifetime == Lifetime::kernel) continue;
      if (t.write) w.result += t.bytes / results;
      w.touched.push_back(t);
    }
  }
  return w;
}

namespace {

double scratchpad_latency(const chip::Chip& chip, chip::ComponentId component) {
  double latency = 0;
  for (const chip::Memory& memory : chip.memories)
    if (memory.in == component && memory.kind == chip::MemoryKind::scratchpad) latency = memory.latency.value;
  return latency;
}

/// The kernel in blocks of bm x bn results, with `step` elements of each row in a step.
GridWork blocks_of(const chip::Chip& chip, const chip::Unit& unit, const ProductWork& w, double bm, double bn, double step) {
  const auto up = [](double value, std::int64_t by) { return std::ceil(value / static_cast<double>(by)) * static_cast<double>(by); };
  const auto area = [&](double a, double b) { return up(a, unit.geometry[0]) * up(b, unit.geometry[1]); };
  const double element = numerics::stored_size(w.format);
  bm = std::min(bm, w.m), bn = std::min(bn, w.n);
  GridWork g;
  if (w.parts <= 1) g.thin_rows = thin_rows(unit, most_thin_rows(unit, w.format, w.format, w.groups), bm, bn, w.m, w.n, w.groups);
  const bool thin = g.thin_rows > 0;
  const double depth = std::min(std::max(1.0, step), w.k / w.parts);
  const double blocks = w.groups * std::ceil(w.m / bm) * std::ceil(w.n / bn);
  g.blocks = static_cast<std::int64_t>(blocks);
  g.component = w.component;
  g.matrix = w.matrix;
  g.format = w.format;
  const auto rows = static_cast<double>(unit.geometry[0]);
  const double k = w.parts * up(w.k / w.parts, unit.geometry[2]);
  g.contract_cycles = (thin ? bm * bn : std::min(area(bm, bn), area(bn, bm))) * k / w.macs_per_cycle;
  g.macs = w.groups * w.m * w.n * w.k;
  g.useful_cycles = g.macs / w.macs_per_cycle;
  g.steps = w.parts * std::ceil(w.k / w.parts / depth);
  if (w.parts > 1) {
    // Sums of a part are complete before they are scaled: nothing hides that its instructions, one after the other, wait for the
    // scratchpad.
    const double waits = std::ceil(depth * element / kInstruction) * scratchpad_latency(chip, w.component);
    g.between_cycles = bm * bn * w.part_cycles * w.parts / g.steps + waits * chip.sequencer.waves->clock_hz.value;
  }
  g.inner_cycles = bm * bn * w.part_cycles * w.parts + (bm * w.unpack[0] + bn * w.unpack[1]) * w.k;
  g.vector_cycles = bm * bn * w.vector_cycles;
  g.load_bytes = (bm * w.element[0] + bn * w.element[1]) * w.k;
  g.store_bytes = bm * bn * w.result;
  g.held_bytes = kStagesHeld * (bm * w.element[0] + bn * w.element[1]) * depth + g.store_bytes;
  g.accumulator_bytes = kAccumulator * bn *
                        (bm + (w.parts > 1 ? std::min(bm, rows) : 0));  // beside the sums those of a part, an instruction's rows at a time
  g.touched = w.touched;
  return g;
}

}  // namespace

namespace {

/// The tile that a library takes for products whose parts are added up, where blocks are persistent: the fewest waves, then the most blocks
/// in the last one, then the least that is computed for nothing (DeepGEMM).
std::optional<std::array<double, 2>> listed_tile(const chip::Chip& chip, const chip::Unit& unit, const ProductWork& w) {
  const auto components = static_cast<double>(chip::working_instances(chip.components[w.component.index()]).size());
  std::optional<std::array<double, 2>> best;
  std::array<double, 2> least{};  // waves, components without a block in the last
  for (const std::int64_t tm : unit.tiles.m)
    for (const std::int64_t tn : unit.tiles.n) {
      if (std::find(kPartRows.begin(), kPartRows.end(), tm) == kPartRows.end() || tn > kPartColumns || (tm > kMostRows && tn > kMostRows))
        continue;
      const auto bm = static_cast<double>(tm), bn = static_cast<double>(tn);
      const double blocks = w.groups * std::ceil(w.m / bm) * std::ceil(w.n / bn), waves = std::ceil(blocks / components);
      const std::array<double, 2> found{waves, waves * components - blocks};
      const bool same_m = best && (*best)[0] == bm, same_n = best && (*best)[1] == bn;
      const bool tied = same_m ? bn < (*best)[1] : same_n ? bm < (*best)[0] : best && bn > (*best)[1];
      if (best && !(found < least) && !(found == least && tied)) continue;
      best = {bm, bn};
      least = found;
    }
  return best;
}

}  // namespace

ProductTime product_time(const chip::Chip& chip, const ProductWork& w, double cached) {
  const chip::Unit& unit = chip.units[w.matrix.index()];
  std::int64_t registers = std::numeric_limits<std::int64_t>::max(), scratchpad = registers;
  for (const chip::Memory& memory : chip.memories) {
    if (memory.in != w.component) continue;
    const chip::UsableRange usable = chip::usable_range(memory);
    if (memory.kind == chip::MemoryKind::registers) registers = usable.end - usable.begin;
    if (memory.kind == chip::MemoryKind::scratchpad) scratchpad = usable.end - usable.begin;
  }
  ProductTime best;
  best.blocks = 0;
  best.time.control = std::numeric_limits<double>::infinity();
  const bool unpacks = w.unpack[1] > 0 && w.unpack[0] == 0;
  const double element = numerics::stored_size(w.format);
  const auto consider = [&](double bm, double bn, double step, bool anyhow = false) {
    const GridWork g = blocks_of(chip, unit, w, bm, bn, step);
    const bool fits = g.accumulator_bytes <= static_cast<double>(registers) && g.held_bytes <= static_cast<double>(scratchpad);
    if (!fits && !anyhow) return;
    for (const std::int64_t slices : kSlices) {
      if (unpacks && slices > kUnpackedSlices) break;
      if (slices > 1 && (w.parts > 1 || g.steps < static_cast<double>(slices) * kLeastSteps)) break;
      GridTime t = grid_time(chip, g, slices, cached);
      // They add their slices up one after the other.
      if (unpacks && slices > 2) t.control += static_cast<double>(slices - 2) * chip.sequencer.waves->combine.value;
      if (t.total() < best.time.total()) best = {t, g.blocks * slices, g.macs, g.contract_cycles * static_cast<double>(g.blocks)};
    }
  };
  const auto listed = w.parts > 1 && chip.sequencer.waves->fill_once ? listed_tile(chip, unit, w) : std::nullopt;
  const double whole = static_cast<double>(unit.tiles.k) / element;
  if (listed) consider((*listed)[0], (*listed)[1], whole, true);
  for (const std::int64_t tm : unit.tiles.m)
    for (const std::int64_t tn : unit.tiles.n) {
      if (listed) break;
      if (tm * tn < unit.tiles.least || tm * tn > unit.tiles.most) continue;
      if (w.parts > 1 && tm > kMostRows) continue;
      if (unpacks && (tn != kUnpackedColumns || tm > kUnpackedRows)) continue;
      consider(static_cast<double>(tm), static_cast<double>(tn), whole);
      if (unit.tiles.turn && tm != tn && w.parts <= 1 && !unpacks) consider(static_cast<double>(tn), static_cast<double>(tm), whole);
    }
  const auto few = static_cast<double>(most_thin_rows(unit, w.format, w.format, w.groups));
  for (const std::int64_t columns : unit.vectors.columns)
    for (const std::int64_t depth : thin_depths(unit, element)) {
      const auto wide = static_cast<double>(columns);
      if (w.parts > 1) break;
      const auto passes = [&](double all, bool first) {
        if (all > few) return;
        for (const std::int64_t rows : thin_passes(static_cast<std::int64_t>(all), w.groups))
          if (const auto part = static_cast<double>(rows); part * wide < static_cast<double>(unit.tiles.least))
            consider(first ? part : wide, first ? wide : part, static_cast<double>(depth));
      };
      passes(w.m, true);
      passes(w.n, false);
    }
  if (best.blocks == 0)
    consider(static_cast<double>(*std::min_element(unit.tiles.m.begin(), unit.tiles.m.end())),
             static_cast<double>(*std::min_element(unit.tiles.n.begin(), unit.tiles.n.end())), whole, true);
  return best;
}

}  // namespace switchyard::program
