#include "compiler/links.h"

#include <algorithm>

#include "chip/query.h"

namespace switchyard::compiler {
namespace {

/// Links are numbered by the instance that they leave and the direction.
enum Direction : std::size_t { right, left, down, up, kDirections };

std::size_t link_out(std::uint32_t instance, Direction direction) { return std::size_t{instance} * kDirections + direction; }

void finish(LinkLoad& load) {
  if (load.links.empty()) return;
  const auto most = std::max_element(load.links.begin(), load.links.end());
  load.most = *most;
  load.busiest = static_cast<std::size_t>(most - load.links.begin());
}

/// The instances with all coordinates 0 but those along some of the dims, in their order.
std::vector<std::uint32_t> offsets(const HandedOut& how, bool depends) {
  std::vector<std::uint32_t> out{0};
  std::uint32_t stride = 1;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> dims;  // extent and stride, the fastest first
  for (std::size_t d = how.along.size(); d-- > 0;) {
    const auto extent = static_cast<std::uint32_t>(how.along[d]);
    if ((how.mask >> d & 1) == static_cast<std::uint64_t>(depends)) dims.emplace_back(extent, stride);
    stride *= extent;
  }
  for (auto d = dims.rbegin(); d != dims.rend(); ++d) {
    std::vector<std::uint32_t> next;
    for (const std::uint32_t o : out)
      for (std::uint32_t i = 0; i < d->first; ++i) next.push_back(o + i * d->second);
    out = std::move(next);
  }
  return out;
}

}  // namespace

LinkLoads::LinkLoads(const Machine& machine) : machine_(machine) {
  if (machine.grid) return;
  const chip::Chip& chip = *machine.chip;
  load_ = way_of(machine.load, true);
  store_ = way_of(machine.store, true);
  if (!machine.cast.valid()) return;
  cast_ = way_of(machine.cast, false);
  one_network_ =
      chip::network_between(chip, chip.movers[machine.load.index()], machine.off_chip) == chip.movers[machine.cast.index()].network;
}

LinkLoads::Way LinkLoads::way_of(chip::MoverId mover, bool to_memory) const {
  Way way;
  const chip::Chip& chip = *machine_.chip;
  const auto id = chip::network_between(chip, chip.movers[mover.index()], machine_.off_chip);
  if (!id || (to_memory && machine_.ports.empty())) return way;
  const chip::Network& network = chip.networks[id->index()];
  if (chip::is_switched(network) || network.topology == chip::Topology::host || network.over != machine_.component) return way;
  way.grid = chip::grid_of(chip, network);
  way.rows_first = network.routing == "yx";
  way.seconds = 1 / network.link.value;
  return way;
}

void LinkLoads::pass(const Way& way, LinkLoad& load, std::uint32_t from, std::uint32_t to, float weight) {
  const chip::Grid& g = *way.grid;
  if (load.links.empty()) load.links.assign(static_cast<std::size_t>(g.rows.size * g.columns.size) * kDirections, 0);
  std::int64_t row = g.row(from), column = g.column(from);
  const auto along = [&](const chip::Axis& axis, std::int64_t& at, std::int64_t end, Direction forward, Direction back) {
    const std::int64_t step = axis.direction(at, end);
    for (; at != end; at = axis.step(at, step)) load.links[link_out(g.at(row, column), step > 0 ? forward : back)] += weight;
  };
  if (way.rows_first) along(g.rows, row, g.row(to), down, up);
  along(g.columns, column, g.column(to), right, left);
  if (!way.rows_first) along(g.rows, row, g.row(to), down, up);
}

/// The union of routes in dimension order is a trunk, and to each side of it branches.
void LinkLoads::branch(const Way& way, LinkLoad& load, std::uint32_t from, const std::vector<std::uint32_t>& to, float weight) {
  const chip::Grid& g = *way.grid;
  if (load.links.empty()) load.links.assign(static_cast<std::size_t>(g.rows.size * g.columns.size) * kDirections, 0);
  const chip::Axis& first = way.rows_first ? g.rows : g.columns;
  const chip::Axis& second = way.rows_first ? g.columns : g.rows;
  const auto on_first = [&](std::uint32_t i) { return way.rows_first ? g.row(i) : g.column(i); };
  const auto on_second = [&](std::uint32_t i) { return way.rows_first ? g.column(i) : g.row(i); };
  const auto at = [&](std::int64_t a, std::int64_t b) { return way.rows_first ? g.at(a, b) : g.at(b, a); };
  const Direction trunk[2] = {way.rows_first ? down : right, way.rows_first ? up : left};
  const Direction side[2] = {way.rows_first ? right : down, way.rows_first ? left : up};
  up_.resize(static_cast<std::size_t>(first.size), 0);
  down_.resize(static_cast<std::size_t>(first.size), 0);
  touched_.clear();
  const std::int64_t a0 = on_first(from), b0 = on_second(from);
  std::int64_t reach[2] = {0, 0};
  for (const std::uint32_t i : to) {
    const std::int64_t a = on_first(i), b = on_second(i);
    if (a != a0) {
      std::int64_t& far = reach[first.direction(a0, a) > 0 ? 0 : 1];
      far = std::max(far, first.distance(a0, a));
    }
    if (b == b0) continue;
    std::int64_t& far = (second.direction(b0, b) > 0 ? down_ : up_)[static_cast<std::size_t>(a)];
    if (up_[static_cast<std::size_t>(a)] == 0 && down_[static_cast<std::size_t>(a)] == 0) touched_.push_back(a);
    far = std::max(far, second.distance(b0, b));
  }
  for (int w = 0; w < 2; ++w)
    for (std::int64_t a = a0, n = reach[w]; n > 0; --n, a = first.step(a, w == 0 ? 1 : -1))
      load.links[link_out(at(a, b0), trunk[w])] += weight;
  for (const std::int64_t a : touched_)
    for (int w = 0; w < 2; ++w) {
      std::int64_t& far = (w == 0 ? down_ : up_)[static_cast<std::size_t>(a)];
      for (std::int64_t b = b0; far > 0; --far, b = second.step(b, w == 0 ? 1 : -1)) load.links[link_out(at(a, b), side[w])] += weight;
    }
}

const LinkLoads::Loads& LinkLoads::of(HandedOut how) {
  if (how.readers == 0 && !how.ring) {  // who needs the same makes no difference
    std::int64_t instances = 1;
    for (const std::int64_t along : how.along) instances *= along;
    how = {{instances}, 1, 0, false, 0};
  } else {
    std::uint64_t mask = 0;
    std::vector<std::int64_t> along;
    for (std::size_t d = 0; d < how.along.size(); ++d) {
      if (how.along[d] == 1) continue;
      mask |= (how.mask >> d & 1) << along.size();
      along.push_back(how.along[d]);
    }
    how.along = std::move(along);
    how.mask = mask;
  }
  const auto [entry, fresh] = known_.try_emplace(how);
  Loads& out = entry->second;
  if (!fresh) return out;
  LinkLoad& across = one_network_ ? out.in : out.across;
  const std::vector<std::uint32_t> kept = offsets(how, true), shared = offsets(how, false);
  const std::size_t sharers = shared.size();
  const auto place = [&](std::size_t k, std::size_t s) { return kept[k] + shared[s]; };
  const auto fetch = [&](std::uint32_t instance, float weight) {
    const std::uint32_t at = machine_.components[instance];
    if (load_.grid) pass(load_, out.in, machine_.ports[at], at, weight);
  };
  for (std::size_t k = 0; k < kept.size(); ++k) {
    if (how.readers == 0 || how.ring) {
      const float part = how.ring ? 1 / static_cast<float>(sharers) : 1;
      for (std::size_t s = 0; s < sharers; ++s) {
        fetch(place(k, s), part);
        if (how.ring && cast_.grid)
          pass(cast_, across, machine_.components[place(k, s)], machine_.components[place(k, (s + 1) % sharers)], 1 - part);
      }
      continue;
    }
    members_.clear();
    for (std::size_t s = 0; s < sharers; ++s) members_.push_back(machine_.components[place(k, s)]);
    for (std::int64_t j = 0; j < how.readers; ++j) {  // as make_readers chooses them
      const std::uint32_t reader = place(k, (k + how.operand + static_cast<std::size_t>(j)) % sharers);
      fetch(reader, 1 / static_cast<float>(how.readers));
      if (cast_.grid) branch(cast_, across, machine_.components[reader], members_, 1 / static_cast<float>(how.readers));
    }
  }
  finish(out.in);
  finish(out.across);
  return out;
}

const LinkLoad& LinkLoads::stores(std::int64_t instances) {
  const auto [entry, fresh] = stored_.try_emplace(instances);
  LinkLoad& out = entry->second;
  if (!fresh || !store_.grid) return out;
  for (std::size_t i = 0; i < static_cast<std::size_t>(instances); ++i)
    pass(store_, out, machine_.components[i], machine_.ports[machine_.components[i]], 1);
  finish(out);
  return out;
}

}  // namespace switchyard::compiler
