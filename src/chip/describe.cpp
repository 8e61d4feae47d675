#include "chip/describe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "chip/query.h"
#include "chip/schema.h"

namespace switchyard::chip {
namespace {

constexpr std::array<std::string_view, 7> kConfidences{"measured", "datasheet", "paper", "reported", "derived", "assumed", "calibrated"};
constexpr std::array<std::string_view, 3> kUnitKinds{"matrix", "vector", "transform"};
constexpr std::array<std::string_view, 3> kOpClasses{"contract", "map", "reduce"};
constexpr std::array<std::string_view, 4> kMemoryKinds{"scratchpad", "cache", "dram", "registers"};
constexpr std::array<std::string_view, 6> kTopologies{"mesh2d", "torus2d", "ring", "crossbar", "tree", "host"};
constexpr std::array<std::string_view, 4> kStationary{"none", "inputs", "weights", "outputs"};
constexpr std::array<std::string_view, 4> kWays{"ring", "direct", "one shot", "in the network"};
constexpr std::array<std::string_view, 2> kSequencerKinds{"component_queues", "grid"};

template <class Enum, std::size_t N>
std::string_view look_up(const std::array<std::string_view, N>& names, Enum value) {
  return names.at(static_cast<std::size_t>(value));
}

/// A value in base units, with a prefix that keeps it between 1 and 1000.
std::string readable(double value, std::optional<Dimension> dimension) {
  struct Unit {
    Dimension dimension;
    std::string_view name;
    bool prefixed;
  };
  static constexpr std::array kUnits = {Unit{Dimension::bytes, "B", true},
                                        Unit{Dimension::bytes_per_second, "B/s", true},
                                        Unit{Dimension::hertz, "Hz", true},
                                        Unit{Dimension::seconds, "s", true},
                                        Unit{Dimension::cycles, "cycles", false},
                                        Unit{Dimension::per_cycle, "op/cycle", false},
                                        Unit{Dimension::operations_per_second, "OPS", true},
                                        Unit{Dimension::watts, "W", true},
                                        Unit{Dimension::joules, "J", true},
                                        Unit{Dimension::joules_per_byte, "J/B", true},
                                        Unit{Dimension::money, "USD", false},
                                        Unit{Dimension::area, "mm2", false}};
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return dimension && u.dimension == *dimension; });
  if (unit == kUnits.end()) return fmt::format("{:.6g}", value);
  if (!unit->prefixed || value == 0) return fmt::format("{:.6g} {}", value, unit->name);
  static constexpr std::array<std::string_view, 11> kPrefixes{"f", "p", "n", "u", "m", "", "k", "M", "G", "T", "P"};
  const double exponent = std::clamp(std::floor(std::log10(std::abs(value)) / 3 + 1e-9), -5.0, 5.0);
  return fmt::format("{:.6g} {}{}", value / std::pow(10, 3 * exponent), kPrefixes[static_cast<std::size_t>(exponent + 5)], unit->name);
}

class Table {
 public:
  void section(std::string_view name) { rows_.push_back({fmt::format("\n{}", name), {}, {}, {}}); }
  void head(const std::string& text) { rows_.push_back({"  " + text, {}, {}, {}}); }
  void number(const std::string& name, const Number& number) {
    std::string value = number.text;
    if (number.range) {
      const NumberField* field = number_field(number.pointer);
      const auto dimension = field == nullptr ? std::nullopt : field->dimension;
      value += fmt::format("  [{} .. {}]", readable((*number.range)[0], dimension), readable((*number.range)[1], dimension));
    }
    rows_.push_back({"    " + name, std::move(value), std::string(name_of(number.confidence)), number.source});
  }
  /// The counts of one record, by their last names.
  void counts(const Chip& chip, const std::string& record) {
    for (const Number& count : chip.counts) {
      if (count.pointer.starts_with(record + "/")) number(count.pointer.substr(record.size() + 1), count);
    }
  }
  [[nodiscard]] std::string text() const {
    std::array<std::size_t, 3> widths{};
    for (const auto& row : rows_) {
      if (row[1].empty()) continue;
      for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const auto& row : rows_) {
      std::string line = row[0];
      if (!row[1].empty()) {
        line = fmt::format("{:<{}}  {:<{}}  {:<{}}  {}", row[0], widths[0], row[1], widths[1], row[2], widths[2], row[3]);
        line.erase(line.find_last_not_of(' ') + 1);
      }
      out += line + "\n";
    }
    return out;
  }

 private:
  std::vector<std::array<std::string, 4>> rows_;
};

template <class Items, class Namer>
std::string joined(const Items& items, Namer name) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + std::string(name(item));
  return out;
}

std::string place_text(const Chip& chip, ComponentId in) {
  return in.index() == 0 ? "the chip" : "each " + chip.components[in.index()].name;
}

std::string shape_text(const Component& component) {
  if (component.shape.empty()) return "one";
  std::string text = fmt::format("{}", fmt::join(component.shape, " x "));
  if (component.shape.size() > 1) text += fmt::format(" = {}", instance_count(component));
  if (!component.holes.empty()) {
    text += fmt::format(", {} of them working,", instance_count(component) - static_cast<std::int64_t>(component.holes.size()));
  }
  return text;
}

void describe_units(const Chip& chip, Table& table) {
  table.section("units");
  for (const Unit& unit : chip.units) {
    table.head(fmt::format("{}: {} unit in {}, clock {}; {}{}", unit.name, name_of(unit.kind), place_text(chip, unit.in), unit.clock,
                           joined(unit.ops, [](OpClass op) { return name_of(op); }),
                           unit.epilogue.empty() ? "" : fmt::format("; then {} at no cost", fmt::join(unit.epilogue, ", "))));
    for (const Unit::Rate& rate : unit.rates) {
      table.number(fmt::format("rate {} (in {})", numerics::format_name(rate.in), numerics::format_name(rate.accumulate)), rate.per_cycle);
    }
    if (unit.special_per_cycle) table.number("special", *unit.special_per_cycle);
    table.number("startup", unit.startup_cycles);
    if (unit.folds.stationary != Unit::Folds::Stationary::none) {
      const auto [m, n, k] = unit.geometry;
      table.head(
          fmt::format("  systolic, {} x {} x {}: {} stand still", m, n, k, kStationary[static_cast<std::size_t>(unit.folds.stationary)]));
      table.number("load", unit.folds.load);
      table.number("fill", unit.folds.fill);
      table.number("turn", unit.folds.turn);
    }
    if (!unit.tiles.m.empty()) {
      table.head(fmt::format("  blocks of results: m {} by n {}", fmt::join(unit.tiles.m, ", "), fmt::join(unit.tiles.n, ", ")));
      table.number("sustained", unit.sustained);
      table.number("step", unit.step_cycles);
    }
    for (const auto& [format, rows] : unit.vectors.rows)
      table.head(fmt::format("  few rows of {} without tiles: up to {}", numerics::format_name(format), rows));
    for (const auto& [op, count] : unit.instructions)
      table.number(fmt::format("instructions {}", numerics::scalar_op_info(op).name), count);
    for (const auto& [format, energy] : unit.energy) table.number(fmt::format("energy {}", numerics::format_name(format)), energy);
    for (const auto& [format, peak] : unit.peaks) table.number(fmt::format("peak {}", numerics::format_name(format)), peak);
    if (!unit.peak_note.empty()) table.head("  peak note: " + unit.peak_note);
    table.counts(chip, pointer_to("/units", unit.name));
  }
}

void describe_memories(const Chip& chip, Table& table) {
  table.section("memories");
  for (const Memory& memory : chip.memories) {
    std::string head = fmt::format("{}: {} in {}", memory.name, name_of(memory.kind), place_text(chip, memory.in));
    if (memory.backing) head += fmt::format(", caches {}", chip.memories[memory.backing->index()].name);
    if (memory.part_of) head += fmt::format(", a channel of {}", chip.memories[memory.part_of->index()].name);
    if (memory.network) head += fmt::format(", on {}", chip.networks[memory.network->index()].name);
    if (!memory.ports.empty()) head += fmt::format(" at {}", fmt::join(memory.ports, ", "));
    if (!memory.reserved.empty()) {
      const UsableRange usable = usable_range(memory);
      head += fmt::format(", usable {:#x} .. {:#x}", usable.begin, usable.end);
    }
    table.head(head);
    table.number("bytes", memory.bytes);
    table.number("bandwidth", memory.bandwidth);
    table.number("sustained", memory.sustained);
    if (memory.sustained_tiles) table.number("sustained, tiles", *memory.sustained_tiles);
    if (memory.energy) table.number("energy of a byte", *memory.energy);
    table.number("latency", memory.latency);
    table.counts(chip, pointer_to("/memories", memory.name));
  }
}

void describe_movers(const Chip& chip, Table& table) {
  table.section("movers");
  const auto memory_name = [&](MemoryId id) { return chip.memories[id.index()].name; };
  for (const Mover& mover : chip.movers) {
    table.head(fmt::format("{}: {} -> {} in {}{}", mover.name, joined(mover.from, memory_name), joined(mover.to, memory_name),
                           place_text(chip, mover.in), mover.network ? ", over " + chip.networks[mover.network->index()].name : ""));
    table.number("startup", mover.startup);
    table.number("bandwidth", mover.bandwidth);
    table.counts(chip, pointer_to("/movers", mover.name));
  }
}

void describe_networks(const Chip& chip, Table& table) {
  if (chip.networks.empty()) return;
  table.section("networks");
  for (const Network& network : chip.networks) {
    const bool routed = network.topology == Topology::mesh2d || network.topology == Topology::torus2d;
    std::string over = network.between_chips ? "between chips" : "over " + chip.components[network.over.index()].name;
    if (network.topology == Topology::host) over = "link of the chip";
    if (network.one_way != 0) over += network.one_way > 0 ? ", one way upwards" : ", one way downwards";
    if (network.through_holes) over += ", holes have routers";
    const std::string routing = network.circuits > 0 ? "static circuits" : "routing " + network.routing;
    table.head(fmt::format("{}: {} {}{}", network.name, name_of(network.topology), over, routed ? ", " + routing : ""));
    table.number("link", network.link);
    table.number("hop", network.hop);
    if (network.trunk) table.number("trunk", *network.trunk);
    table.counts(chip, pointer_to("/networks", network.name));
  }
}

void describe_control(const Chip& chip, Table& table) {
  table.section("sequencer");
  table.head(
      fmt::format("{}, launched once per {}", name_of(chip.sequencer.kind), chip.sequencer.launch_per_context ? "context" : "program"));
  table.number("issue", chip.sequencer.issue);
  table.number("launch", chip.sequencer.launch);
  if (const auto& waves = chip.sequencer.waves) {
    table.head(fmt::format("blocks in waves, clock {} ({} while the multipliers are busy){}", waves->clock, waves->load_clock,
                           waves->fill_once ? ", persistent" : ""));
    table.number("start", waves->start);
    table.number("fill", waves->fill);
    table.number("port", waves->port);
    table.number("store", waves->store);
    table.number("rows", waves->rows);
    table.number("wait", waves->wait);
    table.number("combine", waves->combine);
    table.number("overlap", waves->overlap);
    table.head(fmt::format("blocks of chains: {} rows, alone {}", fmt::join(waves->chains.rows, ", "),
                           fmt::join(waves->chains.single_rows, ", ")));
  }
  table.counts(chip, "/sequencer");
  table.section("contexts");
  table.number("switch", chip.context.switch_time);
  table.number(chip.context.per ? "bytes per " + chip.components[chip.context.per->index()].name : "bytes", chip.context.bytes);
  table.counts(chip, "/contexts");
  table.section("sync");
  for (const Sync& sync : chip.syncs) {
    table.head(sync.name + ": alpha + beta x log2(instances)");
    table.number("alpha", sync.alpha);
    table.number("beta", sync.beta);
  }
}

void describe_collectives(const Chip& chip, const Collectives& c, Table& table) {
  table.section("collectives");
  table.head(fmt::format("over {} x {}{}, on {}", instance_count(chip.components[c.over.index()]), chip.components[c.over.index()].name,
                         c.of.empty() ? "" : ", each a " + c.of, chip.networks[c.network.index()].name));
  for (const Protocol& p : c.protocols) {
    table.head(fmt::format("{}: {}, sent by {}{}", p.name, joined(p.ways, [](Way way) { return look_up(kWays, way); }),
                           chip.movers[p.mover.index()].name, p.library.empty() ? "" : ", of " + p.library));
    table.number("start", p.start);
    if (p.most) table.number("most", *p.most);
  }
}

}  // namespace

std::string_view name_of(Confidence confidence) { return look_up(kConfidences, confidence); }
std::string_view name_of(UnitKind kind) { return look_up(kUnitKinds, kind); }
std::string_view name_of(OpClass op) { return look_up(kOpClasses, op); }
std::string_view name_of(MemoryKind kind) { return look_up(kMemoryKinds, kind); }
std::string_view name_of(Topology topology) { return look_up(kTopologies, topology); }
std::string_view name_of(SequencerKind kind) { return look_up(kSequencerKinds, kind); }

std::string describe(const Chip& chip) {
  Table table;
  for (const auto& [format, rate] : peak_operations(chip)) {
    table.head(fmt::format("{}: {} dense", format, readable(rate, Dimension::operations_per_second)));
  }
  table.section("components");
  for (const Component& component : chip.components) {
    const std::string where = component.parent.valid() ? " in " + chip.components[component.parent.index()].name : "";
    table.head(fmt::format("{}: {}{}", component.name, shape_text(component), where));
  }
  table.section("clocks");
  for (const auto& [name, clock] : chip.clocks) table.number(name, clock);
  describe_units(chip, table);
  describe_memories(chip, table);
  describe_movers(chip, table);
  describe_networks(chip, table);
  describe_control(chip, table);
  if (chip.collectives) describe_collectives(chip, *chip.collectives, table);
  table.section("formats");
  table.head(fmt::format("{}; rounding {}; subnormals {}", joined(chip.formats.native, numerics::format_name), chip.formats.rounding,
                         chip.formats.subnormals ? "kept" : "flushed to zero"));
  if (!chip.cost.empty()) {
    table.section("cost");
    for (const auto& [name, number] : chip.cost) table.number(name, number);
  }
  if (!chip.sources.empty()) {
    table.section("sources");
    for (const auto& [key, text] : chip.sources) table.head(key + ": " + text);
  }
  std::string title = chip.name;
  if (!chip.title.empty()) title += ": " + chip.title;
  if (!chip.family.empty()) title += " (" + chip.family + ")";
  return title + "\n" + table.text();
}

std::vector<const Number*> numbers(const Chip& chip) {
  std::vector<const Number*> result;
  std::set<std::string_view> seen;
  const auto add = [&](const Number& number) {
    if (!number.text.empty() && seen.insert(number.pointer).second) result.push_back(&number);
  };
  const auto add_counts = [&](std::string_view section) {
    for (const Number& count : chip.counts) {
      if (count.pointer.starts_with(section)) add(count);
    }
  };
  for (const Unit& unit : chip.units) add(unit.clock_hz);
  for (const Unit& unit : chip.units) {
    for (const Unit::Rate& rate : unit.rates) add(rate.per_cycle);
    if (unit.special_per_cycle) add(*unit.special_per_cycle);
    add(unit.startup_cycles);
    if (unit.folds.stationary != Unit::Folds::Stationary::none)
      for (const Number* number : {&unit.folds.load, &unit.folds.fill, &unit.folds.turn}) add(*number);
    add(unit.sustained);
    add(unit.step_cycles);
    for (const auto& [op, count] : unit.instructions) add(count);
    for (const auto& [format, energy] : unit.energy) add(energy);
  }
  add_counts("/units/");
  for (const Memory& memory : chip.memories) {
    for (const Number* number : {&memory.bytes, &memory.bandwidth, &memory.sustained, &memory.latency}) add(*number);
    if (memory.sustained_tiles) add(*memory.sustained_tiles);
    if (memory.energy) add(*memory.energy);
  }
  add_counts("/memories/");
  for (const Mover& mover : chip.movers) {
    add(mover.startup);
    add(mover.bandwidth);
  }
  add_counts("/movers/");
  for (const Network& network : chip.networks) {
    if (network.between_chips) continue;  // one chip's time does not rest on it
    add(network.link);
    add(network.hop);
    if (network.trunk) add(*network.trunk);
  }
  add_counts("/networks/");
  if (chip.collectives)
    for (const Protocol& protocol : chip.collectives->protocols) {
      add(protocol.start);
      if (protocol.most) add(*protocol.most);
    }
  add(chip.sequencer.issue);
  add(chip.sequencer.launch);
  if (const auto& waves = chip.sequencer.waves)
    for (const Number* number : {&waves->clock_hz, &waves->load_hz, &waves->start, &waves->fill, &waves->port, &waves->store, &waves->rows,
                                 &waves->wait, &waves->combine, &waves->overlap})
      add(*number);
  add_counts("/sequencer/");
  add(chip.context.switch_time);
  add(chip.context.bytes);
  for (const Sync& sync : chip.syncs) {
    add(sync.alpha);
    add(sync.beta);
  }
  return result;
}

std::vector<AssumedNumber> assumptions(const Chip& chip) {
  std::vector<AssumedNumber> result;
  for (const Number* number : numbers(chip)) {
    const bool unknown = number->confidence == Confidence::assumed || number->confidence == Confidence::calibrated;
    if (unknown) result.push_back({number->pointer, number->text, number->confidence});
  }
  return result;
}

std::vector<std::pair<std::string, double>> peak_operations(const Chip& chip) {
  std::vector<std::pair<std::string, double>> result;
  for (const numerics::Format format : chip.formats.native) {
    const double rate = best_contract_rate(chip, format);
    if (rate > 0) result.emplace_back(numerics::format_name(format), 2 * rate);
  }
  return result;
}

}  // namespace switchyard::chip
