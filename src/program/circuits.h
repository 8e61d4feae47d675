// The static circuits of a context: which of them a transfer takes, and where they need room.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "program/program.h"
#include "program/traffic.h"

namespace switchyard::program {

/// Where circuits of a network need room, numbered: its links (chip::link_between), then the way out of each instance and the way into it.
class CircuitPlaces {
 public:
  CircuitPlaces(const chip::Chip& chip, const chip::Network& network);
  [[nodiscard]] std::uint32_t links() const { return links_; }
  [[nodiscard]] std::uint32_t count() const { return links_ + 2 * instances_; }
  [[nodiscard]] std::uint32_t out_of(std::uint32_t instance) const { return links_ + 2 * instance; }
  [[nodiscard]] std::uint32_t into(std::uint32_t instance) const { return links_ + 2 * instance + 1; }
  /// Circuits that have room there.
  [[nodiscard]] std::int64_t capacity(std::uint32_t place) const { return place < links_ ? network_->circuits : network_->ends; }
  /// What so many circuits and streams need of it: streams share what is one circuit, as many as the network lets.
  [[nodiscard]] std::int64_t needed(std::int64_t circuits, std::int64_t streams) const {
    return circuits + (streams + network_->streams - 1) / network_->streams;
  }
  /// The places a path passes, in order: out of its first instance, its links, into its last one.
  [[nodiscard]] std::vector<std::uint32_t> along(std::span<const std::uint32_t> path) const;
  /// "the link from tile 3 to 4", "the ways out of tile 3".
  [[nodiscard]] std::string name(std::uint32_t place) const;

 private:
  const chip::Chip* chip_;
  const chip::Network* network_;
  std::uint32_t links_ = 0, instances_ = 0;
};

/// Instances to which links lead from one, in ascending order. Of meshes, tori and rings.
std::vector<std::uint32_t> neighbours(const chip::Chip& chip, const chip::Network& network, std::uint32_t from);

/// The circuits of a context by their ends, and which of a place's circuits each is. Of circuits that passed the verifier.
class CircuitTable {
 public:
  CircuitTable(const Program& program, const Context& context);
  /// The one from a component or port to these and no others.
  [[nodiscard]] std::optional<std::size_t> find(chip::NetworkId network, std::uint32_t from, std::vector<std::uint32_t> to) const;
  /// Links of its tree.
  [[nodiscard]] std::set<std::uint32_t> links(std::size_t circuit) const;
  struct Lane {
    std::uint32_t place = 0;  ///< of CircuitPlaces
    std::int64_t number = 0;  ///< among the circuits that have room there; what streams share comes after what is a circuit's own
  };
  /// What it passes on its way to the receivers, by path.
  [[nodiscard]] std::vector<std::vector<Lane>> lanes(std::size_t circuit) const;

 private:
  const Context* context_;
  std::map<std::size_t, CircuitPlaces> places_;               ///< by network
  std::vector<std::map<std::uint32_t, std::int64_t>> lanes_;  ///< by circuit: place -> number
  std::map<std::tuple<std::size_t, std::uint32_t, std::vector<std::uint32_t>>, std::size_t> by_ends_;
};

/// Where the bytes of a flow enter its network, and where they leave it, in ascending order.
std::pair<std::uint32_t, std::vector<std::uint32_t>> ends_of(const chip::Chip& chip, const Flow& flow);

}  // namespace switchyard::program
