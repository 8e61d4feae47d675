// Links: how often what instances read and hand on passes each link of a network, by the way in which they are spread; the network's part
// of the estimate. Routes are the network's own, trees their union, as programs have them before they are placed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "chip/grid.h"
#include "compiler/machine.h"

namespace switchyard::compiler {

/// By link, in units of what one instance needs of an operand. Empty: no link is passed, or the network has none that are shared.
struct LinkLoad {
  std::vector<float> links;
  double most = 0;
  std::size_t busiest = 0;  ///< which it is
};

/// How the instances of a kernel that need the same of an operand get it: each by itself, from `readers` of them, or around a ring.
struct HandedOut {
  std::vector<std::int64_t> along;  ///< instances along each dim of the kernel
  std::uint64_t mask = 0;           ///< dims that the operand depends on
  std::int64_t readers = 0;         ///< 0: each reads for itself
  bool ring = false;
  std::size_t operand = 0;  ///< who reads is another one for each
  auto operator<=>(const HandedOut&) const = default;
};

/// Of meshes, tori and rings; holes are taken to be passed.
class LinkLoads {
 public:
  explicit LinkLoads(const Machine& machine);

  /// Do transfers pass shared links at all?
  [[nodiscard]] bool any() const { return load_.grid || cast_.grid || store_.grid; }
  struct Loads {
    LinkLoad in;      ///< from memory's ports to those who read, and on to the others where that is the same network
    LinkLoad across;  ///< on to the others, where it is another
  };
  const Loads& of(HandedOut how);
  /// What so many instances store.
  const LinkLoad& stores(std::int64_t instances);
  /// Seconds that a byte takes on a link, of each of these.
  [[nodiscard]] double in_seconds() const { return load_.seconds; }
  [[nodiscard]] double across_seconds() const { return cast_.seconds; }
  [[nodiscard]] double store_seconds() const { return store_.seconds; }

 private:
  struct Way {
    std::optional<chip::Grid> grid;
    bool rows_first = false;
    double seconds = 0;
  };
  [[nodiscard]] Way way_of(chip::MoverId mover, bool to_memory) const;
  void pass(const Way& way, LinkLoad& load, std::uint32_t from, std::uint32_t to, float weight);
  void branch(const Way& way, LinkLoad& load, std::uint32_t from, const std::vector<std::uint32_t>& to, float weight);

  const Machine& machine_;
  Way load_, cast_, store_;
  bool one_network_ = false;  ///< of load_ and cast_
  std::map<HandedOut, Loads> known_;
  std::map<std::int64_t, LinkLoad> stored_;
  std::vector<std::uint32_t> members_;
  std::vector<std::int64_t> up_, down_, touched_;
};

}  // namespace switchyard::compiler
