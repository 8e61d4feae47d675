// In which order the channels of a context let two actor instances come, whatever the interleaving: what one can reach while the other is
// held before a firing.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "program/boxes.h"
#include "program/play.h"

namespace switchyard::program {

/// What an actor instance touches, firing by firing (as Play counts them).
using Firings = std::vector<std::vector<Box>>;

class Order {
 public:
  explicit Order(const Context& context);
  [[nodiscard]] const Play& play() const { return play_; }
  /// Every firing of `second` comes after all firings of `first` that touch an element it touches. Actor instances of the layout.
  bool comes_after(std::uint32_t second, const Firings& touched, std::uint32_t first, const Firings& held);
  /// False: the context was too large to say; what was answered since does not count.
  [[nodiscard]] bool exact() const { return exact_; }

 private:
  /// Per firing of `first`: how often each actor of its network fires while it is held before that firing.
  struct Table {
    std::vector<std::uint32_t> members;               ///< actor instances of the network, ascending
    std::vector<std::vector<std::uint32_t>> firings;  ///< per held firing, per member
  };
  const Table& table(std::uint32_t first);

  Play play_;
  std::vector<std::int64_t> depths_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> members_;  ///< by network
  std::map<std::pair<std::uint32_t, std::uint32_t>, Table>
      tables_;  ///< by kind of network, and actor (or instance, where a network has many)
  std::int64_t played_ = 0;
  bool exact_ = true;
};

}  // namespace switchyard::program
