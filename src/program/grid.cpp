#include "program/grid.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chip/query.h"
#include "numerics/packing.h"
#include "program/grid_machine.h"
#include "program/rows.h"
#include "program/thin.h"
#include "program/widening.h"

namespace switchyard::program {
namespace {

using chip::OpClass;
using numerics::LoopKind;

/// How often a statement runs over the loops of its actor, for one block.
double firings(const Actor& actor, const Guard& guard) {
  double n = 1;
  for (std::size_t l = 0; l < actor.loops.size(); ++l) {
    std::int64_t begin = 0, end = actor.loops[l].trip;
    for (const IndexRange& r : guard) {
      if (r.loop != static_cast<int>(l)) continue;
      const auto [b, e] = resolve(r, actor.loops[l].trip);
      begin = std::max(begin, b);
      end = std::min(end, e);
    }
    n *= static_cast<double>(std::max<std::int64_t>(0, end - begin));
  }
  return n;
}

numerics::Format format_of_slot(const Actor& actor, int slot) {
  const auto s = static_cast<std::size_t>(slot);
  return s < actor.ports.size() ? actor.ports[s].token.format : actor.states[s - actor.ports.size()].token.format;
}

const chip::Unit::Rate* rate_for(const chip::Unit& unit, OpClass op, const Actor& actor, const Statement& s) {
  for (const numerics::Access& read : s.reads)
    if (const auto* rate = chip::find_rate(unit, op, format_of_slot(actor, read.slot))) return rate;
  return chip::find_rate(unit, op, format_of_slot(actor, s.write.slot));
}

bool depends(const numerics::Access& access, int dim) {
  return std::any_of(access.index.begin(), access.index.end(), [&](const numerics::Affine& f) { return f.depends_on(dim); });
}

double round_up(double value, std::int64_t multiple) {
  return std::ceil(value / static_cast<double>(multiple)) * static_cast<double>(multiple);
}

/// Blocks come in the tiles of the menu: one that is cut at the edge of its matrix computes all of its tile.
void whole_tile(const chip::Unit& unit, double& m, double& n) {
  double least = std::numeric_limits<double>::infinity(), best[2] = {m, n};
  const auto offer = [&](double tm, double tn) {
    if (tm < m || tn < n || tm * tn >= least) return;
    least = tm * tn;
    best[0] = tm, best[1] = tn;
  };
  for (const std::int64_t tm : unit.tiles.m)
    for (const std::int64_t tn : unit.tiles.n) {
      if (tm * tn < unit.tiles.least || tm * tn > unit.tiles.most) continue;
      offer(static_cast<double>(tm), static_cast<double>(tn));
      if (unit.tiles.turn) offer(static_cast<double>(tn), static_cast<double>(tm));
    }
  m = best[0], n = best[1];
}

/// Multiply-accumulates that a block costs. Of a tile: all of it, its two sides rounded up to the unit's step, whichever lies along which.
struct Contraction {
  double points = 0;
  double thin_rows = 0;  ///< where there is no tile
};
Contraction contraction_points(const chip::Unit& unit, const Actor& actor, const Statement& s) {
  double side[3] = {1, 1, 1}, all[3] = {1, 1, 1}, batch = 1, groups = 1;
  for (std::size_t d = 0; d < s.dims.size(); ++d) {
    const Dim& dim = actor.dims[static_cast<std::size_t>(s.dims[d])];
    const auto extent = static_cast<double>(dim.tile);
    const bool a = depends(*s.factors()[0], s.dims[d]), b = depends(*s.factors()[1], s.dims[d]);
    const int which = s.kinds[d] == LoopKind::reduction ? 2 : a && !b ? 0 : b && !a ? 1 : -1;
    (which < 0 ? batch : side[which]) *= extent;
    (which < 0 ? groups : all[which]) *= static_cast<double>(dim.total);
  }
  const auto factors = s.factors();
  const std::int64_t most = most_thin_rows(unit, format_of_slot(actor, factors[0]->slot), format_of_slot(actor, factors[1]->slot), groups);
  if (const double rows = thin_rows(unit, most, side[0], side[1], all[0], all[1], groups); rows > 0)
    return {batch * side[0] * side[1] * side[2], rows};
  const auto area = [&](double m, double n) { return round_up(m, unit.geometry[0]) * round_up(n, unit.geometry[1]); };
  whole_tile(unit, side[0], side[1]);
  return {batch * std::min(area(side[0], side[1]), area(side[1], side[0])) * round_up(side[2], unit.geometry[2])};
}

/// Elements of a tile of one factor.
double factor_points(const Actor& actor, const Statement& s, int factor) {
  double points = 1;
  for (const int d : s.dims)
    if (depends(*s.factors()[static_cast<std::size_t>(factor)], d))
      points *= static_cast<double>(std::min(actor.dims[static_cast<std::size_t>(d)].tile, actor.dims[static_cast<std::size_t>(d)].total));
  return points;
}

double points_of(const Actor& actor, const Statement& s, bool whole) {
  double points = 1;
  for (const int d : s.dims) {
    const Dim& dim = actor.dims[static_cast<std::size_t>(d)];
    points *= static_cast<double>(whole ? dim.total : std::min(dim.tile, dim.total));
  }
  return points;
}

}  // namespace

PointCost point_cost(const chip::Chip& chip, const Actor& actor, const Statement& s, bool held) {
  const chip::Unit& unit = chip.units[actor.unit.index()];
  const double combines = s.combiner == numerics::Combiner::none ? 0 : 1;
  double own = 0, special = 0, sequences = 0;  // operations at the rate, at that of special functions, instructions of longer ones
  for (const auto& node : s.expression.nodes) {
    const numerics::ScalarOpInfo& info = numerics::scalar_op_info(node.op);
    const auto known = std::find_if(unit.instructions.begin(), unit.instructions.end(), [&](const auto& i) { return i.first == node.op; });
    if (known != unit.instructions.end())
      sequences += known->second.value;
    else if (info.cost != numerics::ScalarOpCost::free)
      (info.cost == numerics::ScalarOpCost::simple ? own : special) += info.steps;
  }
  const double simple = std::max(held && combines > 0 ? 0.0 : 1.0, own) + combines;
  PointCost cost{0, simple + special + (sequences > 0 ? 1 : 0)};
  if (unit.kind == chip::UnitKind::matrix) return cost;  // its free epilogue
  const chip::Unit::Rate* rate = rate_for(unit, combines > 0 ? OpClass::reduce : OpClass::map, actor, s);
  if (rate == nullptr) rate = rate_for(unit, OpClass::map, actor, s);
  if (rate == nullptr) return cost;
  const double special_rate = unit.special_per_cycle ? unit.special_per_cycle->value : rate->per_cycle.value;
  cost.cycles = (simple + sequences) / rate->per_cycle.value + special / special_rate;
  return cost;
}

double all_points(const Actor& actor, const Statement& statement) { return points_of(actor, statement, true); }

namespace {

void add_compute(const chip::Chip& chip, const Actor& actor, GridWork& work) {
  const chip::Unit& unit = chip.units[actor.unit.index()];
  for (const Statement& s : actor.statements) {
    const double times = firings(actor, s.guard);
    if (const auto* rate = s.is_contraction() ? rate_for(unit, OpClass::contract, actor, s) : nullptr) {
      work.matrix = actor.unit;
      const Contraction block = contraction_points(unit, actor, s);
      work.contract_cycles += times * block.points / rate->per_cycle.value;
      work.thin_rows = block.thin_rows;
      if (const auto w = widening(chip, actor, s))
        (w->beside ? work.inner_cycles : work.contract_cycles) += times * factor_points(actor, s, w->factor) * w->cycles;
      work.steps += times;
      work.macs += points_of(actor, s, true);
      work.useful_cycles += points_of(actor, s, true) / rate->per_cycle.value;
      work.format = rate->in;
      continue;
    }
    const PointCost cost = point_cost(chip, actor, s, false);
    work.vector_ops += points_of(actor, s, true) * cost.operations;
    work.vector_cycles += times * points_of(actor, s, false) * cost.cycles;
  }
  for (const State& state : actor.states) work.accumulator_bytes += static_cast<double>(state.bytes);
  if (actor.statements.size() > 2) add_rows(actor, work.rows);
}

/// What an access reaches over all blocks and loops, as one box.
GridWork::Touched reach(std::span<const Buffer> buffers, const BufferAccess& access, bool write, const std::vector<std::int64_t>& token,
                        const std::vector<std::int64_t>& extents) {
  GridWork::Touched t{access.buffer, write, numerics::stored_size(buffers[access.buffer.index()].format), {}};
  for (std::size_t d = 0; d < access.start.size(); ++d) {
    const auto [least, greatest] = numerics::range_over(access.start[d], extents);
    const std::int64_t begin = std::max(least, access.region[d][0]), end = std::min(greatest + token[d], access.region[d][1]);
    t.box.push_back({begin, std::max(begin, end)});
    t.bytes *= static_cast<double>(t.box.back()[1] - begin);
  }
  return t;
}

/// What is looked up may lie anywhere in its dimension, and is at most what is moved.
void widen(GridWork::Touched& t, const Actor& actor, const Buffer& buffer, double moved) {
  bool picked = false;
  for (const Port& port : actor.ports) {
    if (port.picks < 0) continue;
    const auto d = static_cast<std::size_t>(port.picks);
    t.box[d] = {0, buffer.shape[d]};
    t.bytes *= static_cast<double>(buffer.shape[d]);
    picked = true;
  }
  if (picked) t.bytes = std::min(t.bytes, moved);
}

void add_move(std::span<const Buffer> buffers, const Actor& actor, const std::vector<std::int64_t>& extents, GridWork& work) {
  double times = 1;
  for (const Loop& loop : actor.loops) times *= static_cast<double>(loop.trip);
  for (const Port& port : actor.ports) {
    if (!moves_data(port)) continue;
    const auto pass = [&](const std::optional<BufferAccess>& access, bool write, double& per_block) {
      if (!access) return;
      const Buffer& buffer = buffers[access->buffer.index()];
      double bytes = numerics::stored_size(buffer.format);
      for (std::size_t d = 0; d < port.token.shape.size(); ++d)
        bytes *= static_cast<double>(std::min(port.token.shape[d], access->region[d][1] - access->region[d][0]));
      per_block += times * bytes;
      GridWork::Touched t = reach(buffers, *access, write, port.token.shape, extents);
      widen(t, actor, buffer, times * static_cast<double>(work.blocks) * bytes);
      const bool known = std::any_of(work.touched.begin(), work.touched.end(), [&](const GridWork::Touched& other) {
        return other.buffer == t.buffer && other.write == t.write && other.box == t.box;
      });
      if (!known) work.touched.push_back(std::move(t));
    };
    pass(actor.source, false, work.load_bytes);
    pass(actor.destination, true, work.store_bytes);
  }
}

}  // namespace

namespace {

/// Programs have no more than so many instances, each of which may make several results, one after another: hardware deals each as a
/// block of its own.
void unfold(const Context& context, GridWork& work) {
  double results = 1;
  for (const Actor& actor : context.actors) {
    if (!actor.destination) continue;
    double times = 1;
    for (const Loop& loop : actor.loops) times *= static_cast<double>(loop.trip);
    results = std::max(results, times);
  }
  if (!work.matrix.valid() || results <= 1 || std::fmod(work.steps, results) != 0) return;
  work.blocks *= static_cast<std::int64_t>(results);
  for (double* of_block :
       {&work.contract_cycles, &work.steps, &work.inner_cycles, &work.vector_cycles, &work.load_bytes, &work.store_bytes})
    *of_block /= results;
}

}  // namespace

bool runs_in_waves(const chip::Chip& chip, const Context& context) {
  return chip.sequencer.waves.has_value() && !context.arrays.empty() &&
         std::all_of(context.arrays.begin(), context.arrays.end(), [](const Array& a) { return a.dynamic; });
}

GridWork grid_work(const chip::Chip& chip, std::span<const Buffer> buffers, const Context& context) {
  GridWork work;
  work.component = context.arrays.front().component;
  for (const std::int64_t extent : context.arrays.front().shape) work.blocks *= extent;
  for (const Actor& actor : context.actors) {
    std::vector<std::int64_t> extents = context.arrays[actor.array.index()].shape;
    for (const Loop& loop : actor.loops) extents.push_back(loop.trip);
    if (actor.kind == ActorKind::compute)
      add_compute(chip, actor, work);
    else
      add_move(buffers, actor, extents, work);
  }
  for (const Channel& channel : context.channels) work.held_bytes += static_cast<double>(channel.bytes);
  unfold(context, work);
  return work;
}

double launch_seconds(const chip::Chip& chip) {
  const auto& waves = chip.sequencer.waves;
  return chip.sequencer.launch.value + (waves ? waves->start.value / waves->clock_hz.value : 0);
}

/// As in `time_rounds`: of c cycles, u do useful work, u <= sustained * c, and the clock sinks from boost to load as u / c grows. The
/// seconds c / hertz = c^2 / (boost * c - (boost - load) * u) fall with c only below 2 (boost - load) / boost * u.
double most_macs_per_second(const chip::Chip& chip, chip::UnitId id, const chip::Unit::Rate& rate) {
  const chip::Unit& unit = chip.units[id.index()];
  const double components = static_cast<double>(chip::working_instances(chip.components[unit.in.index()]).size());
  const double boost = chip.sequencer.waves->clock_hz.value, sinks = boost - chip.sequencer.waves->load_hz.value;
  const double cycles = std::max(1 / unit.sustained.value, 2 * sinks / boost);  // for each useful one
  return rate.per_cycle.value * components * (boost * cycles - sinks) / (cycles * cycles);
}

GridMachine grid_machine(const chip::Chip& chip, chip::ComponentId component) {
  const chip::MemoryId off_id = chip::off_chip_memory(chip);
  const chip::Memory& off = chip.memories[off_id.index()];
  const auto cache_id = chip::cache_of(chip, off_id);
  const chip::Memory& cache = chip.memories[cache_id ? cache_id->index() : off_id.index()];
  const double tiles = off.sustained_tiles ? off.sustained_tiles->value : off.sustained.value;
  return {*chip.sequencer.waves, static_cast<double>(chip::working_instances(chip.components[component.index()]).size()),
          off.bandwidth.value * off.sustained.value, off.bandwidth.value * tiles, cache.bandwidth.value * cache.sustained.value};
}

double powered_seconds(const chip::Chip& chip, const chip::Unit& unit, numerics::Format format, double operations, double bytes) {
  for (const auto& [f, energy] : unit.energy) {
    const auto tdp = chip.cost.find("tdp"), idle = chip.cost.find("idle");
    if (f != format || tdp == chip.cost.end()) continue;
    const auto& moved = chip.memories[chip::off_chip_memory(chip).index()].energy;
    const double watts = tdp->second.value - (idle == chip.cost.end() ? 0 : idle->second.value);
    return (operations * energy.value + bytes * (moved ? moved->value : 0)) / watts;
  }
  return 0;
}

double overlapped(double a, double b, double p) {
  const double longest = std::max(a, b), shortest = std::min(a, b);
  return longest > 0 ? longest * std::pow(1 + std::pow(shortest / longest, p), 1 / p) : 0;
}

namespace {

/// Many small blocks, of which enough are there at once to hide what each waits for.
void time_stream(const GridMachine& m, const GridWork& w, double bytes, GridTime& t) {
  const auto blocks = static_cast<double>(w.blocks);
  const double share = blocks / std::min(m.components, blocks);  // of the fullest component
  t.hertz = m.waves.clock_hz.value;
  t.compute = w.vector_cycles * share / t.hertz;
  const double moved = w.load_bytes + w.store_bytes;
  const double way = std::max(share * moved / m.waves.port.value / t.hertz, moved * blocks / m.cache_rate);
  t.interconnect = std::max(0.0, way - t.compute);
  t.memory = std::max(0.0, bytes / m.memory_rate - std::max(way, t.compute));
}

/// Blocks of one component at once: as its places, scratchpad and registers allow.
double resident_blocks(const chip::Chip& chip, const GridWork& w, double blocks_of_component) {
  auto resident = static_cast<double>(chip.sequencer.slots);
  for (const chip::Memory& memory : chip.memories) {
    if (memory.in != w.component) continue;
    const double each = memory.kind == chip::MemoryKind::scratchpad  ? w.held_bytes
                        : memory.kind == chip::MemoryKind::registers ? w.accumulator_bytes
                                                                     : 0;
    const chip::UsableRange usable = chip::usable_range(memory);
    if (each > 0) resident = std::min(resident, std::floor(static_cast<double>(usable.end - usable.begin) / each));
  }
  return std::max(1.0, std::min(resident, std::ceil(blocks_of_component)));
}

/// Rounds of blocks that multiply, step by step.
void time_rounds(const chip::Chip& chip, const GridMachine& m, const GridWork& w, double slices, double bytes, GridTime& t) {
  const chip::Unit& unit = chip.units[w.matrix.index()];
  const chip::Waves& waves = m.waves;
  const double boost = waves.clock_hz.value, load = waves.load_hz.value;
  const double steps = std::ceil(w.steps / slices), part = steps / w.steps, blocks = static_cast<double>(w.blocks) * slices;
  // Blocks that share a component take its units in turn, and hide each other's latencies.
  const double resident = resident_blocks(chip, w, blocks / m.components);
  const double rounds = std::ceil(blocks / (m.components * resident)), active = std::min(blocks, m.components * resident);
  const double share = std::ceil(blocks / m.components);  // of the fullest component: in the last round it may hold fewer
  // Some warps of a block do the work between contractions while others contract, and then wait for each other: they overlap but half, as
  // where the same warps fetch and compute.
  const double multiply = share * std::hypot(w.contract_cycles / unit.sustained.value, w.inner_cycles) * part;
  const double latency = rounds * steps * (unit.step_cycles.value + w.between_cycles);
  // One read of the cache serves all blocks that share it, but each takes all of its operands through its port.
  const double operands = w.load_bytes * part;
  const double arrive =
      operands * std::max(share / waves.port.value, rounds * active * load / m.cache_rate / static_cast<double>(waves.share));
  const double steady = std::max({multiply, latency, arrive});
  const double leave = share * w.store_bytes / waves.store.value;
  const double cycles = steady + leave + share * w.vector_cycles + waves.fill.value * (waves.fill_once ? 1 : rounds);
  // The clock sinks as the multipliers are used.
  const double useful = w.useful_cycles / m.components, used = std::min(1.0, useful / cycles);
  t.hertz = used * load + (1 - used) * boost;
  const double executed =
      blocks * part * w.contract_cycles * w.macs / std::max(1.0, w.useful_cycles);  // what fills up tiles takes power too
  const double powered = powered_seconds(chip, unit, w.format, 2 * executed, bytes);
  const double seconds = std::max(cycles / t.hertz, powered);
  const double memory = bytes / m.tile_rate;
  const double body = overlapped(seconds, memory, waves.overlap.value);
  // Each cause gets what it adds to those before it.
  t.compute = std::min(seconds, std::max(useful / unit.sustained.value / t.hertz, powered));
  t.imbalance = std::clamp(multiply / t.hertz - t.compute, 0.0, seconds - t.compute);
  t.interconnect =
      std::clamp((std::max(0.0, arrive - std::max(multiply, latency)) + leave) / t.hertz, 0.0, seconds - t.compute - t.imbalance);
  t.control = std::max(0.0, seconds - t.compute - t.imbalance - t.interconnect);
  t.memory = std::max(0.0, body - seconds);
  if (slices > 1) {  // partial sums go to the cache and come back
    t.control += waves.combine.value;
    t.interconnect += 2 * w.accumulator_bytes * blocks / m.cache_rate;
  }
}

}  // namespace

GridTime grid_time(const chip::Chip& chip, const GridWork& work, std::int64_t slices, double cached) {
  const GridMachine machine = grid_machine(chip, work.component);
  GridTime t;
  t.launch = launch_seconds(chip);
  double bytes = -cached;
  for (const GridWork::Touched& touched : work.touched) bytes += touched.bytes;
  if (work.thin_rows > 0 && work.steps > 0)
    time_thin(chip, work, static_cast<double>(slices), bytes, t);
  else if (work.matrix.valid() && work.steps > 0)
    time_rounds(chip, machine, work, static_cast<double>(slices), bytes, t);
  else if (work.rows)
    time_rows(chip, work, bytes, t);
  else
    time_stream(machine, work, bytes, t);
  return t;
}

}  // namespace switchyard::program
