// Static circuits: which way everything that a context sends over a network of circuits goes, by negotiated congestion.
//
// L. McMurchie, C. Ebeling: PathFinder: A Negotiation-Based Performance-Driven Router for FPGAs, FPGA 1995. What is routed is a tree per
// source and set of receivers, grown from receiver to receiver; what it passes costs base x history x present congestion. Beyond the
// paper: a network may let streams of packets share what is one circuit, and where circuits of their own do not all have room, those that
// carry least become such streams, and others with them where they would carry less than these on what they share.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chip/chip.h"
#include "program/program.h"
#include "support/result.h"

namespace switchyard::compiler {

/// What has to get from one component, or port of a memory, to others.
struct Demand {
  std::uint32_t from = 0;
  std::vector<std::uint32_t> to;  ///< ascending
  std::int64_t bytes = 0;
  auto operator<=>(const Demand&) const = default;
};

/// Where there was too little room.
struct Crowded {
  std::uint32_t place = 0;                 ///< program::CircuitPlaces
  std::int64_t circuits = 0, streams = 0;  ///< that pass it
};

struct Routing {
  std::vector<program::Circuit> circuits;  ///< in the order of the demands; of what does not work out the last try
  std::optional<Crowded> crowded;          ///< the worst place; none: all have room
  int rounds = 0;                          ///< of ripping up and routing again
};

/// One network's links, and routing over them. The same demands give the same circuits.
class CircuitRouter {
 public:
  CircuitRouter(const chip::Chip& chip, chip::NetworkId network);
  [[nodiscard]] Routing route(const std::vector<Demand>& demands) const;

 private:
  friend class Negotiation;
  struct Link {
    std::uint32_t to, number;
  };
  const chip::Chip& chip_;
  chip::NetworkId network_;
  std::vector<std::vector<Link>> links_;  ///< by component
};

/// The routers of a chip, and what they have found for contexts that send the same.
class CircuitPass {
 public:
  explicit CircuitPass(const chip::Chip& chip);
  /// Has the chip networks of circuits? Elsewhere run() changes nothing.
  [[nodiscard]] bool needed() const { return !routers_.empty(); }
  /// Sets the circuits of every context. Failure compile/does-not-route with Infeasible terms.
  Status run(program::Program& program);

 private:
  const chip::Chip& chip_;
  std::map<std::size_t, CircuitRouter> routers_;  ///< by network
  std::map<std::pair<std::size_t, std::vector<Demand>>, Routing> known_;
};

/// How many circuits and streams the contexts of a program have, for those who read decisions.
std::string print_circuits(const program::Program& program);

}  // namespace switchyard::compiler
