#include "program/thin.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "program/grid_machine.h"

namespace switchyard::program {
namespace {

constexpr std::array<double, 4> kParts{1, 0.5, 0.25, 0.125};  ///< of a whole step
constexpr std::int64_t kMostOfMany = 16;  ///< rows of each of several products: with more, measured ones take as long as tiles do
constexpr std::int64_t kMostPasses = 16, kLeastRows = 8;  ///< over the rows of a product; rows of one

}  // namespace

std::int64_t most_thin_rows(const chip::Unit& unit, numerics::Format a, numerics::Format b, double groups) {
  const auto rows_of = [&](numerics::Format format) {
    const auto at = std::find_if(unit.vectors.rows.begin(), unit.vectors.rows.end(), [&](const auto& r) { return r.first == format; });
    return at == unit.vectors.rows.end() ? 0 : at->second;
  };
  const std::int64_t rows = std::min(rows_of(a), rows_of(b));
  return groups > 1 ? std::min(rows, kMostOfMany) : rows;
}

double thin_rows(const chip::Unit& unit, std::int64_t most_rows, double m, double n, double all_m, double all_n, double groups) {
  if (unit.vectors.columns.empty() || m * n >= static_cast<double>(unit.tiles.least)) return 0;
  const auto rows = static_cast<double>(most_rows);
  const auto columns = static_cast<double>(*std::max_element(unit.vectors.columns.begin(), unit.vectors.columns.end()));
  if ((m >= all_m || groups <= 1) && all_m <= rows && n <= columns) return std::min(m, all_m);
  return (n >= all_n || groups <= 1) && all_n <= rows && m <= columns ? std::min(n, all_n) : 0;
}

std::vector<std::int64_t> thin_passes(std::int64_t rows, double groups) {
  std::vector<std::int64_t> list{rows};
  for (std::int64_t passes = 2; passes <= kMostPasses && groups <= 1; ++passes)
    if (const std::int64_t part = (rows + passes - 1) / passes; part >= kLeastRows && part < list.back()) list.push_back(part);
  return list;
}

std::vector<std::int64_t> thin_depths(const chip::Unit& unit, double element) {
  std::vector<std::int64_t> depths;
  for (const double part : kParts)
    depths.push_back(std::max<std::int64_t>(1, std::llround(static_cast<double>(unit.vectors.k) * part / element)));
  return depths;
}

namespace {

constexpr double kSums = 64;  ///< that a thread keeps in registers: all rows of as many columns as that leaves room for
constexpr double kWord = 4;   ///< bytes: of a row's element as a thread takes it out of the scratchpad

/// Cycles in which a component's threads take the rows' elements out of its scratchpad for one point: each serves one thread's columns.
double row_cycles(const chip::Chip& chip, const GridWork& w, double hertz) {
  for (const chip::Memory& memory : chip.memories)
    if (memory.in == w.component && memory.kind == chip::MemoryKind::scratchpad)
      return std::min(1.0, w.thin_rows / kSums) * kWord * hertz / (memory.bandwidth.value * memory.sustained.value);
  return 0;
}

}  // namespace

void time_thin(const chip::Chip& chip, const GridWork& w, double slices, double bytes, GridTime& t) {
  const GridMachine m = grid_machine(chip, w.component);
  const chip::Unit& unit = chip.units[w.matrix.index()];
  const chip::Waves& waves = m.waves;
  const double steps = std::ceil(w.steps / slices), part = steps / w.steps, blocks = static_cast<double>(w.blocks) * slices;
  const double share = blocks / std::min(m.components, blocks);  // of the fullest component
  const double rounds = std::ceil(share / static_cast<double>(chip.sequencer.slots));
  // More rows leave room for the sums of fewer columns, so that every element of a row is taken more often.
  const double points = w.macs / static_cast<double>(w.blocks), rows = points * row_cycles(chip, w, waves.clock_hz.value);
  const double multiply = share * (std::max(w.contract_cycles / unit.sustained.value, rows) + w.inner_cycles) * part;
  const double latency = rounds * steps * waves.wait.value;  // each step of a block waits for what it reads
  const double moved = w.load_bytes * part + w.store_bytes;
  const double way = std::max(share * moved / waves.port.value, blocks * moved * waves.clock_hz.value / m.cache_rate);
  const double cycles = std::max({multiply, latency, way}) + share * w.vector_cycles;
  const double useful = w.useful_cycles / m.components, used = std::min(1.0, useful / cycles);
  t.hertz = used * waves.load_hz.value + (1 - used) * waves.clock_hz.value;
  const double busy = std::max(1.0, rows / w.contract_cycles);  // lanes that wait for elements take them: they cost as much power
  const double powered = powered_seconds(chip, unit, w.format, 2 * w.macs * busy, bytes);
  const double seconds = std::max(cycles / t.hertz, powered);
  const double body = overlapped(seconds, bytes / m.tile_rate, waves.overlap.value);
  t.compute = std::min(seconds, std::max(multiply / t.hertz, powered));
  t.interconnect = std::clamp((way - std::max(multiply, latency)) / t.hertz, 0.0, seconds - t.compute);
  t.control = std::max(0.0, seconds - t.compute - t.interconnect);
  t.memory = std::max(0.0, body - seconds);
  if (slices > 1) {
    t.control += waves.combine.value;
    t.interconnect += 2 * w.accumulator_bytes * blocks / m.cache_rate;
  }
}

}  // namespace switchyard::program
