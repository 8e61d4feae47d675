// Succession: which actor instances begin only when others are through, or as far as they have to be.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "program/program.h"

namespace switchyard::program {

/// An actor that takes a token before its first firing, which another gives after its last one, comes after all of it, whatever else goes
/// on. And where one gives a token after each step of its outermost loop, and the other takes one before each step of its own, or some
/// ahead, its steps come after as many. To see that nothing has to be played.
class Succession {
 public:
  static constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();

  explicit Succession(const Context& context);
  /// How many steps of `first` are over before `second` begins its first one, when each further step of it comes after one more: all, or
  /// those of a lead; 0: no token leads from one to the other in such a way. Instances are those of the actors' arrays.
  [[nodiscard]] std::int64_t lead(std::size_t second, std::uint32_t second_instance, std::size_t first, std::uint32_t first_instance);

 private:
  struct Joint {
    std::size_t channel = 0;
    std::int64_t lead = 0;
  };
  const Context& context_;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Joint>> joints_;  ///< by first and second actor
  std::map<std::pair<std::size_t, std::size_t>, std::unordered_map<std::uint64_t, std::int64_t>>
      leads_;  ///< by instances, of those that were asked for
};

}  // namespace switchyard::program
