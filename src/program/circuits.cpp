#include "program/circuits.h"

#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"

namespace switchyard::program {

CircuitPlaces::CircuitPlaces(const chip::Chip& chip, const chip::Network& network)
    : chip_(&chip),
      network_(&network),
      links_(static_cast<std::uint32_t>(chip::link_count(chip, network))),
      instances_(static_cast<std::uint32_t>(chip::instance_count(chip.components[network.over.index()]))) {}

std::vector<std::uint32_t> CircuitPlaces::along(std::span<const std::uint32_t> path) const {
  std::vector<std::uint32_t> places;
  if (path.empty()) return places;
  places.push_back(out_of(path.front()));
  for (std::size_t k = 1; k < path.size(); ++k)
    if (const auto link = chip::link_between(*chip_, *network_, path[k - 1], path[k])) places.push_back(*link);
  places.push_back(into(path.back()));
  return places;
}

std::string CircuitPlaces::name(std::uint32_t place) const {
  const std::string& component = chip_->components[network_->over.index()].name;
  if (place >= links_)
    return fmt::format("the ways {} {} {}", (place - links_) % 2 == 0 ? "out of" : "into", component, (place - links_) / 2);
  for (std::uint32_t from = 0; from < instances_; ++from)
    for (const std::uint32_t to : neighbours(*chip_, *network_, from))
      if (chip::link_between(*chip_, *network_, from, to) == place) return fmt::format("the link from {} {} to {}", component, from, to);
  return fmt::format("link {}", place);
}

std::vector<std::uint32_t> neighbours(const chip::Chip& chip, const chip::Network& network, std::uint32_t from) {
  const chip::Component& over = chip.components[network.over.index()];
  const std::int64_t all = chip::instance_count(over), row = over.shape.empty() ? 1 : over.shape.back(), at = from;
  std::vector<std::uint32_t> list;
  // A step along a row or column, or round a row, a column or the whole: whichever of these are links.
  for (const std::int64_t to :
       {at - 1, at + 1, at - row, at + row, at - 1 + row, at + 1 - row, at - all + row, at + all - row, at - all + 1, at + all - 1})
    if (to >= 0 && to < all && to != at && chip::link_between(chip, network, from, static_cast<std::uint32_t>(to)))
      list.push_back(static_cast<std::uint32_t>(to));
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

CircuitTable::CircuitTable(const Program& program, const Context& context) : context_(&context), lanes_(context.circuits.size()) {
  const chip::Chip& chip = *program.chip;
  // What is a circuit's own comes first at every place, in the order of the list; streams take the rest in turns.
  std::map<std::pair<std::size_t, std::uint32_t>, std::int64_t> own, streams;
  for (const bool packets : {false, true})
    for (std::size_t c = 0; c < context.circuits.size(); ++c) {
      const Circuit& circuit = context.circuits[c];
      if (circuit.packets != packets || circuit.paths.empty()) continue;
      const std::size_t n = circuit.network.index();
      const CircuitPlaces& places = places_.try_emplace(n, chip, chip.networks[n]).first->second;
      std::vector<std::uint32_t> to;
      for (const auto& path : circuit.paths) {
        to.push_back(path.back());
        for (const std::uint32_t place : places.along(path)) lanes_[c].try_emplace(place, 0);
      }
      for (auto& [place, lane] : lanes_[c]) {
        const std::int64_t before = own[{n, place}], shared = std::max<std::int64_t>(1, places.capacity(place) - before);
        lane = packets ? before + streams[{n, place}]++ % shared : own[{n, place}]++;
      }
      std::sort(to.begin(), to.end());
      by_ends_.try_emplace({n, circuit.paths.front().front(), std::move(to)}, c);
    }
}

std::optional<std::size_t> CircuitTable::find(chip::NetworkId network, std::uint32_t from, std::vector<std::uint32_t> to) const {
  if (by_ends_.empty()) return std::nullopt;
  std::sort(to.begin(), to.end());
  to.erase(std::unique(to.begin(), to.end()), to.end());
  const auto found = by_ends_.find({network.index(), from, std::move(to)});
  return found == by_ends_.end() ? std::nullopt : std::optional(found->second);
}

std::set<std::uint32_t> CircuitTable::links(std::size_t circuit) const {
  std::set<std::uint32_t> links;
  const CircuitPlaces& places = places_.at(context_->circuits[circuit].network.index());
  for (const auto& [place, lane] : lanes_[circuit])
    if (place < places.links()) links.insert(place);
  return links;
}

std::vector<std::vector<CircuitTable::Lane>> CircuitTable::lanes(std::size_t circuit) const {
  std::vector<std::vector<Lane>> all;
  const Circuit& c = context_->circuits[circuit];
  for (const auto& path : c.paths) {
    std::vector<Lane>& lanes = all.emplace_back();
    for (const std::uint32_t place : places_.at(c.network.index()).along(path)) lanes.push_back({place, lanes_[circuit].at(place)});
  }
  return all;
}

std::pair<std::uint32_t, std::vector<std::uint32_t>> ends_of(const chip::Chip& chip, const Flow& flow) {
  const std::uint32_t port = flow.memory ? chip::nearest_port(chip, chip.memories[flow.memory->index()], flow.from) : flow.from;
  if (flow.stores) return {flow.from, {port}};
  return {port, flow.to};
}

}  // namespace switchyard::program
