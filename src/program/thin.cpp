#include "program/thin.h"

#include <algorithm>
#include <cmath>

#include "program/grid_machine.h"

namespace switchyard::program {

std::int64_t most_thin_rows(const chip::Unit& unit, numerics::Format a, numerics::Format b) {
  const auto rows_of = [&](numerics::Format format) {
    const auto at = std::find_if(unit.vectors.rows.begin(), unit.vectors.rows.end(), [&](const auto& r) { return r.first == format; });
    return at == unit.vectors.rows.end() ? 0 : at->second;
  };
  return std::min(rows_of(a), rows_of(b));
}

bool is_thin(const chip::Unit& unit, std::int64_t most_rows, double m, double n, double all_m, double all_n) {
  if (unit.vectors.columns.empty()) return false;
  const auto rows = static_cast<double>(most_rows);
  const auto columns = static_cast<double>(*std::max_element(unit.vectors.columns.begin(), unit.vectors.columns.end()));
  return (m >= all_m && all_m <= rows && n <= columns) || (n >= all_n && all_n <= rows && m <= columns);
}

void time_thin(const chip::Chip& chip, const GridWork& w, double slices, double bytes, GridTime& t) {
  const GridMachine m = grid_machine(chip, w.component);
  const chip::Unit& unit = chip.units[w.matrix.index()];
  const chip::Waves& waves = m.waves;
  const double steps = std::ceil(w.steps / slices), part = steps / w.steps, blocks = static_cast<double>(w.blocks) * slices;
  const double share = blocks / std::min(m.components, blocks);  // of the fullest component
  const double rounds = std::ceil(share / static_cast<double>(chip.sequencer.slots));
  const double multiply = share * (w.contract_cycles / unit.sustained.value + w.inner_cycles) * part;
  const double latency = rounds * steps * waves.wait.value;  // each step of a block waits for what it reads
  const double moved = w.load_bytes * part + w.store_bytes;
  const double way = std::max(share * moved / waves.port.value, blocks * moved * waves.clock_hz.value / m.cache_rate);
  const double cycles = std::max({multiply, latency, way}) + share * w.vector_cycles;
  const double useful = w.useful_cycles / m.components, used = std::min(1.0, useful / cycles);
  t.hertz = used * waves.load_hz.value + (1 - used) * waves.clock_hz.value;
  const double powered = powered_seconds(chip, unit, w.format, 2 * w.macs, bytes);
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
