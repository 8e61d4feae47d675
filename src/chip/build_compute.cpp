// Components, clocks, units and formats of a description.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "chip/builder.h"
#include "chip/query.h"
#include "numerics/expression.h"

namespace switchyard::chip {
namespace {

constexpr std::int64_t kMostInstances = std::int64_t{1} << 22;  // four wafers of the largest kind

constexpr Word<UnitKind> kUnitKinds[] = {{"matrix", UnitKind::matrix}, {"vector", UnitKind::vector}, {"transform", UnitKind::transform}};
using Stationary = Unit::Folds::Stationary;
constexpr Word<Stationary> kStationary[] = {
    {"inputs", Stationary::first}, {"weights", Stationary::second}, {"outputs", Stationary::result}};
constexpr Word<OpClass> kOpClasses[] = {{"contract", OpClass::contract}, {"map", OpClass::map}, {"reduce", OpClass::reduce}};

numerics::Format default_accumulator(numerics::Format in) {
  if (in == numerics::Format::fp64 || in == numerics::Format::int64) return in;
  return numerics::format_info(in).floating ? numerics::Format::fp32 : numerics::Format::int32;
}

std::vector<std::string> scalar_op_names() {
  std::vector<std::string> names;
  for (int op = 0; op <= static_cast<int>(numerics::ScalarOp::select); ++op) {
    names.emplace_back(numerics::scalar_op_info(static_cast<numerics::ScalarOp>(op)).name);
  }
  return names;
}

}  // namespace

Builder::Names Builder::names_of(const std::vector<std::pair<std::string, Place>>& entries) {
  Names names;
  for (const auto& [name, place] : entries) names.push_back(name);
  return names;
}

std::optional<std::size_t> Builder::refer(const Place& place, const Names& names, std::string_view what) {
  const std::optional<std::string> name = fields_.scalar(place);
  if (!name) return std::nullopt;
  const auto found = std::find(names.begin(), names.end(), *name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  if (names.empty() && &names != &networks_) return std::nullopt;  // a whole section is missing, and that is said already
  fields_.report("chip/dangling-name", fmt::format("'{}' names a {} that is not there: '{}'", place.pointer, what, *name), place,
                 fields_.did_you_mean(*name, names));
  return std::nullopt;
}

std::optional<std::uint32_t> Builder::instance(const Place& place, const Component& component) {
  const std::int64_t count = instance_count(component);
  const auto outside = [&](const std::string& what) {
    fields_.report(
        "chip/coordinates",
        fmt::format("'{}' is {}, but '{}' has the shape [{}]", place.pointer, what, component.name, fmt::join(component.shape, ", ")),
        place);
    return std::nullopt;
  };
  if (place.node->kind != Node::Kind::sequence) {
    const auto number = fields_.integer(place);
    if (!number) return std::nullopt;
    if (*number >= count) return outside(std::to_string(*number));
    return static_cast<std::uint32_t>(*number);
  }
  std::vector<std::int64_t> position;
  for (std::size_t d = 0; d < place.node->items.size(); ++d) {
    const auto number = fields_.integer({&place.node->items[d], pointer_to(place.pointer, std::to_string(d)), {}, {}});
    if (!number) return std::nullopt;
    position.push_back(*number);
  }
  bool inside = position.size() == component.shape.size();
  for (std::size_t d = 0; inside && d < position.size(); ++d) inside = position[d] < component.shape[d];
  if (!inside) return outside(fmt::format("[{}]", fmt::join(position, ", ")));
  return instance_at(component, position);
}

void Builder::read_components(const Place& root) {
  const Place section = fields_.map(root, "components", true);
  if (!section) return;
  const auto entries = fields_.entries(section);
  components_ = names_of(entries);
  if (entries.empty()) {
    fields_.report("chip/missing-key", "'/components' must begin with the chip itself", section, "components: {chip: {}, tile: ...}");
    return;
  }
  for (const auto& [name, unused] : entries) read_component(name, fields_.map(section, name));
}

void Builder::read_component(const std::string& name, Place at) {
  Component component;
  component.name = name;
  const bool root = chip_.components.empty();
  fields_.allow(at, {"in", "array", "holes", "clusters"});
  if (root) {
    for (const char* key : {"in", "array", "holes"}) {
      if (const Place place = fields_.child(at, key)) {
        fields_.report("chip/coordinates", fmt::format("'{}' cannot be: the first component is the one chip", place.pointer), place);
      }
    }
  } else if (at) {
    component.parent = refer_to<ComponentId>(at, "in", components_, "component");
    if (component.parent.valid() && component.parent.index() >= chip_.components.size()) {
      fields_.report("chip/cycle", fmt::format("'{}' must stand below the component that contains it", at.pointer), at, {},
                     Tree::Part::key);
      component.parent = {};
    }
    const Component parent = component.parent.valid() ? chip_.components[component.parent.index()] : Component{};
    component.shape = parent.shape;
    std::int64_t within = 1;
    std::int64_t count = instance_count(parent);
    for (const Place& place : fields_.list(at, "array", true)) {
      const auto extent = fields_.integer(place);
      if (!extent) continue;
      if (*extent < 1 || *extent > kMostInstances || count * *extent > kMostInstances) {
        fields_.report("chip/range",
                       fmt::format("'{}' must be positive, and all instances together at most {}", place.pointer, kMostInstances), place);
        component.shape.push_back(1);
        continue;
      }
      component.shape.push_back(*extent);
      count *= *extent;
      within *= *extent;
    }
    for (const std::uint32_t hole : parent.holes) {  // what is missing has no parts
      for (std::int64_t i = 0; i < within; ++i) component.holes.push_back(static_cast<std::uint32_t>(hole * within + i));
    }
    read_holes(at, component);
  }
  for (const Place& place : fields_.list(at, "clusters")) {
    const auto size = fields_.integer(place);
    if (!size) continue;
    if (*size < 1 || *size > instance_count(component)) {
      fields_.report("chip/coordinates",
                     fmt::format("'{}' is {}, but there are {} instances", place.pointer, *size, instance_count(component)), place);
    }
    component.clusters.push_back(*size);
  }
  chip_.components.push_back(std::move(component));
}

void Builder::read_holes(const Place& at, Component& component) {
  for (const Place& place : fields_.list(at, "holes")) {
    if (const auto hole = instance(place, component)) component.holes.push_back(*hole);
  }
  std::sort(component.holes.begin(), component.holes.end());
  component.holes.erase(std::unique(component.holes.begin(), component.holes.end()), component.holes.end());
  if (static_cast<std::int64_t>(component.holes.size()) == instance_count(component)) {
    const Place holes = fields_.child(at, "holes");
    fields_.report("chip/coordinates", fmt::format("no instance of '{}' is left working", component.name), holes ? holes : at);
  }
}

void Builder::read_clocks(const Place& root) {
  const Place section = fields_.map(root, "clocks", true);
  for (const auto& [name, unused] : fields_.entries(section)) {
    const Place at = fields_.map(section, name);
    fields_.allow(at, {"hz"});
    chip_.clocks.emplace_back(name, fields_.number(at, "hz"));
    clocks_.push_back(name);
  }
}

void Builder::read_units(const Place& root) {
  const Place section = fields_.map(root, "units", true);
  const auto entries = fields_.entries(section);
  if (section && entries.empty()) fields_.report("chip/missing-key", "'/units' is empty: nothing could be computed", section);
  for (const auto& [name, unused] : entries) read_unit(name, fields_.map(section, name));
}

void Builder::read_unit(const std::string& name, Place at) {
  Unit unit;
  unit.name = name;
  fields_.allow(
      at, {"in",          "kind",         "ops",  "rate",      "accumulate", "special", "geometry", "epilogue", "clock",        "startup",
           "queue_depth", "layout_block", "peak", "peak_note", "sustained",  "step",    "tiles",    "vectors",  "instructions", "energy"});
  unit.in = refer_to<ComponentId>(at, "in", components_, "component");
  unit.kind = fields_.word(at, "kind", kUnitKinds);
  for (const Place& place : fields_.list(at, "ops", unit.kind != UnitKind::transform)) {
    if (const auto op = fields_.word_at(place, kOpClasses)) unit.ops.push_back(*op);
  }
  unit.clock = fields_.text(at, "clock", true);
  if (const Place clock = fields_.child(at, "clock"); clock && clock.node->kind == Node::Kind::scalar) {
    if (const auto index = refer(clock, clocks_, "clock")) unit.clock_hz = chip_.clocks[*index].second;
  }
  read_rates(at, unit);
  if (const Place special = fields_.child(at, "special")) unit.special_per_cycle = fields_.number_at(special);
  unit.startup_cycles = fields_.number(at, "startup");
  if (const Place geometry = fields_.map(at, "geometry")) {
    fields_.allow(geometry, {"m", "n", "k", "stationary", "load", "fill", "turn"});
    unit.geometry = {fields_.count(geometry, "m"), fields_.count(geometry, "n"), fields_.count(geometry, "k")};
    if (fields_.child(geometry, "stationary")) unit.folds.stationary = fields_.word(geometry, "stationary", kStationary);
    unit.folds.load = fields_.number(geometry, "load");
    unit.folds.fill = fields_.number(geometry, "fill");
    unit.folds.turn = fields_.number(geometry, "turn");
  }
  for (const Place& place : fields_.list(at, "epilogue")) {
    const auto op = fields_.scalar(place);
    if (!op) continue;
    if (!numerics::scalar_op_named(*op)) {
      fields_.report("chip/kind", fmt::format("'{}' knows no '{}'", place.pointer, *op), place,
                     fields_.did_you_mean(*op, scalar_op_names()));
    }
    unit.epilogue.push_back(*op);
  }
  unit.queue_depth = fields_.count(at, "queue_depth");
  unit.layout_block = fields_.count(at, "layout_block");
  unit.peak_note = fields_.text(at, "peak_note");
  unit.sustained = fields_.number(at, "sustained");
  unit.step_cycles = fields_.number(at, "step");
  read_tiles(at, unit);
  read_vectors(at, unit);
  for (const auto& [name_of_op, place] : fields_.entries(fields_.map(at, "instructions"))) {
    const auto op = numerics::scalar_op_named(name_of_op);
    const Number count = fields_.number_at(place);
    if (op)
      unit.instructions.emplace_back(*op, count);
    else
      fields_.report("chip/kind", fmt::format("'/units/{}/instructions' knows no '{}'", name, name_of_op), place,
                     fields_.did_you_mean(name_of_op, scalar_op_names()), Tree::Part::key);
  }
  for (const auto& [format_name, place] : fields_.entries(fields_.map(at, "energy"))) {
    const auto format = fields_.format(place, format_name);
    const Number energy = fields_.number_at(place);
    if (format) unit.energy.emplace_back(*format, energy);
  }
  for (const auto& [format_name, place] : fields_.entries(fields_.map(at, "peak"))) {
    const auto format = fields_.format(place, format_name);
    const Number peak = fields_.number_at(place);
    if (format) unit.peaks.emplace_back(*format, peak);
  }
  chip_.units.push_back(std::move(unit));
}

std::vector<std::int64_t> Builder::read_sides(const Place& at, const char* key) {
  constexpr std::int64_t kLongestSide = 65536;
  constexpr std::size_t kMostSides = 256;
  std::vector<std::int64_t> sides;
  for (const Place& place : fields_.list(at, key, true)) {
    const auto side = fields_.integer(place);
    if (!side) continue;
    if (*side < 1 || *side > kLongestSide || sides.size() == kMostSides) {
      fields_.report("chip/range",
                     fmt::format("'{}' must be from 1 to {}, and at most {} of them", place.pointer, kLongestSide, kMostSides), place);
      break;
    }
    sides.push_back(*side);
  }
  return sides;
}

void Builder::read_tiles(const Place& at, Unit& unit) {
  const Place tiles = fields_.map(at, "tiles");
  if (!tiles) return;
  fields_.allow(tiles, {"m", "n", "k", "least", "most", "turn", "scaled"});
  unit.tiles.m = read_sides(tiles, "m");
  unit.tiles.n = read_sides(tiles, "n");
  unit.tiles.k = fields_.count(tiles, "k");
  unit.tiles.least = fields_.count(tiles, "least");
  unit.tiles.most = fields_.count(tiles, "most");
  unit.tiles.turn = fields_.flag(tiles, "turn", true);
  const Place scaled = fields_.map(tiles, "scaled");
  if (!scaled) return;
  fields_.allow(scaled, {"rows", "m", "n"});
  std::vector<std::int64_t> rows = read_sides(scaled, "rows");
  const std::vector<std::int64_t> m = read_sides(scaled, "m"), n = read_sides(scaled, "n");
  rows.push_back(std::numeric_limits<std::int64_t>::max());
  if (m.size() != rows.size() || n.size() != rows.size() ||
      std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>()) != rows.end()) {
    fields_.report("chip/range", fmt::format("'{}': 'rows' must grow, and 'm' and 'n' have one more entry than it", scaled.pointer), scaled,
                   "the last entry is for more rows than any named");
    return;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    unit.tiles.scaled.push_back({rows[i], m[i], n[i]});
    if ((unit.tiles.least > 0 && m[i] * n[i] < unit.tiles.least) || (unit.tiles.most > 0 && m[i] * n[i] > unit.tiles.most))
      fields_.report(
          "chip/range",
          fmt::format("'{}': a tile of {} x {} is not within 'least' and 'most' of the unit's tiles", scaled.pointer, m[i], n[i]), scaled,
          fmt::format("from {} to {} results", unit.tiles.least, unit.tiles.most));
  }
}

void Builder::read_vectors(const Place& at, Unit& unit) {
  const Place vectors = fields_.map(at, "vectors");
  if (!vectors) return;
  fields_.allow(vectors, {"rows", "columns", "k"});
  for (const auto& [format_name, place] : fields_.entries(fields_.map(vectors, "rows", true))) {
    const auto format = fields_.format(place, format_name);
    const Number rows = fields_.number_at(place);
    if (format) unit.vectors.rows.emplace_back(*format, static_cast<std::int64_t>(rows.value));
  }
  unit.vectors.columns = read_sides(vectors, "columns");
  unit.vectors.k = fields_.count(vectors, "k");
}

void Builder::read_rates(const Place& at, Unit& unit) {
  const Place rates = fields_.map(at, "rate", unit.kind != UnitKind::transform);
  const auto entries = fields_.entries(rates);
  if (rates && entries.empty()) fields_.report("chip/missing-key", fmt::format("'{}' lists no format", rates.pointer), rates);
  // `accumulate` of a unit: one format for all floating inputs, or a map input -> accumulator.
  const Place accumulate = fields_.child(at, "accumulate");
  std::optional<numerics::Format> for_floats;
  if (accumulate && accumulate.node->kind != Node::Kind::map) {
    if (const auto name = fields_.scalar(accumulate)) for_floats = fields_.format(accumulate, *name);
  } else if (accumulate) {
    for (const auto& [name, place] : fields_.entries(accumulate)) {
      fields_.format(place, name);
      if (!rates || rates.node->find(name) == nullptr) {
        fields_.report("chip/dangling-name", fmt::format("'{}' accumulates what has no rate", place.pointer), place, {}, Tree::Part::key);
      }
    }
  }
  for (const auto& [name, place] : entries) {
    Unit::Rate rate;
    const auto in = fields_.format(place, name);
    rate.per_cycle = fields_.number_at(place, "accumulate");
    if (!in) continue;
    rate.in = *in;
    rate.accumulate = default_accumulator(*in);
    if (for_floats && numerics::format_info(*in).floating) rate.accumulate = *for_floats;
    const auto choose = [&](const Place& chosen) {
      if (!chosen) return;
      const auto chosen_name = fields_.scalar(chosen);
      const auto chosen_format = chosen_name ? fields_.format(chosen, *chosen_name) : std::nullopt;
      if (chosen_format) rate.accumulate = *chosen_format;
    };
    if (accumulate && accumulate.node->kind == Node::Kind::map) choose(fields_.child(accumulate, name));
    if (place.node->kind == Node::Kind::map) choose(fields_.child(place, "accumulate"));
    unit.rates.push_back(std::move(rate));
  }
}

void Builder::read_formats(const Place& root) {
  static constexpr Word<int> kRoundings[] = {{"nearest_even", 0}};
  const Place section = fields_.map(root, "formats", true);
  if (!section) return;
  fields_.allow(section, {"native", "rounding", "subnormals"});
  for (const Place& place : fields_.list(section, "native", true)) {
    const auto name = fields_.scalar(place);
    const auto format = name ? fields_.format(place, *name) : std::nullopt;
    if (format) chip_.formats.native.push_back(*format);
  }
  chip_.formats.rounding = kRoundings[fields_.word<int>(section, "rounding", kRoundings, 0)].name;
  chip_.formats.subnormals = fields_.flag(section, "subnormals", true);
}

}  // namespace switchyard::chip
