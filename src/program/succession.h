// Succession: which actor instances begin only when others are through.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "program/program.h"

namespace switchyard::program {

/// An actor that takes a token before its first firing, which another gives after its last one, comes after all of it, whatever else goes
/// on. To see that nothing has to be played.
class Succession {
 public:
  explicit Succession(const Context& context);
  /// Does every firing of `second` come after every firing of `first`? Instances are those of the actors' arrays. False: not because of
  /// such a token from one to the other.
  [[nodiscard]] bool follows(std::size_t second, std::uint32_t second_instance, std::size_t first, std::uint32_t first_instance);

 private:
  const Context& context_;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<std::size_t>> channels_;        ///< by first and second actor
  std::map<std::pair<std::size_t, std::size_t>, std::unordered_set<std::uint64_t>> pairs_;  ///< of instances, when they were asked for
};

}  // namespace switchyard::program
