// Builder: makes a Chip of a resolved tree, section by section, and collects all that is wrong with it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chip/chip.h"
#include "chip/fields.h"

namespace switchyard::chip {

class Builder {
 public:
  explicit Builder(const Tree& tree) : tree_(tree), fields_(tree) {}

  /// Reads everything; call once. The chip is good only when there are no mistakes.
  Chip build();
  [[nodiscard]] std::vector<Diagnostic> take_mistakes() { return std::move(fields_.mistakes); }

 private:
  using Names = std::vector<std::string>;
  void read_head(const Place& root);
  void read_sources(const Place& root);
  // build_compute.cpp
  void read_components(const Place& root);
  void read_component(const std::string& name, Place at);
  void read_holes(const Place& at, Component& component);
  void read_clocks(const Place& root);
  void read_units(const Place& root);
  void read_rates(const Place& at, Unit& unit);
  void read_tiles(const Place& at, Unit& unit);
  void read_vectors(const Place& at, Unit& unit);
  std::vector<std::int64_t> read_sides(const Place& at, const char* key);  ///< of tiles and blocks
  void read_unit(const std::string& name, Place at);
  void read_formats(const Place& root);
  // build_data.cpp
  void read_networks(const Place& root);
  void read_circuits(const Place& at, Network& network);
  void check_connected(const Network& network, const Place& at);
  void read_memories(const Place& root);
  void read_memory(const std::string& name, Place at);
  void check_part(const std::string& name, const Place& at);
  void read_movers(const Place& root);
  void read_sequencer(const Place& root);
  void read_waves(const Place& sequencer);
  void read_chains(const Place& waves_place, Waves& waves);
  void read_contexts(const Place& root);
  void read_syncs(const Place& root);
  void read_collectives(const Place& root);
  void read_cost(const Place& root);

  /// The position of a name in a list; complains when it is not there.
  std::optional<std::size_t> refer(const Place& place, const Names& names, std::string_view what);
  template <class IdType>
  IdType refer_to(const Place& record, std::string_view key, const Names& names, std::string_view what, bool required = true);
  template <class IdType>
  std::vector<IdType> refer_to_all(const Place& record, std::string_view key, const Names& names, std::string_view what);
  /// An instance given by its coordinates or by its linear number.
  std::optional<std::uint32_t> instance(const Place& place, const Component& component);
  static Names names_of(const std::vector<std::pair<std::string, Place>>& entries);

  const Tree& tree_;
  Fields fields_;
  Chip chip_;
  Names components_, clocks_, networks_, memories_;
};

template <class IdType>
IdType Builder::refer_to(const Place& record, std::string_view key, const Names& names, std::string_view what, bool required) {
  const Place place = fields_.child(record, key, required);
  if (!place) return {};
  const auto index = refer(place, names, what);
  return index ? IdType(*index) : IdType();
}

template <class IdType>
std::vector<IdType> Builder::refer_to_all(const Place& record, std::string_view key, const Names& names, std::string_view what) {
  std::vector<IdType> ids;
  for (const Place& place : fields_.list(record, key, true)) {
    if (const auto index = refer(place, names, what)) ids.emplace_back(*index);
  }
  return ids;
}

}  // namespace switchyard::chip
