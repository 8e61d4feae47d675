// Which contexts of a program are alike: whatever names, values and places of buffers are, they take the same time in the same state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "program/program.h"

namespace switchyard::simulation::timing {

/// The chip has a cache before some memory.
bool has_cache(const chip::Chip& chip);

/// Numbers contexts: equal where all that the engine looks at is equal. On chips with a cache it matters which buffer is read and where, so
/// that contexts of one program are hardly ever alike there, but programs may be. Programs for one chip may share one.
class ContextClasses {
 public:
  /// A number per context of the program.
  std::vector<std::uint32_t> of(const program::Program& program);
  /// More is held than is worth it.
  [[nodiscard]] bool full() const { return words_ > kMostWords; }

 private:
  static constexpr std::size_t kMostWords = std::size_t{1} << 22;
  std::map<std::vector<std::int64_t>, std::uint32_t> known_;
  std::size_t words_ = 0;
};

}  // namespace switchyard::simulation::timing
