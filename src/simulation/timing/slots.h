// Slots: numbers of places in a pool, always the least that is free.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace switchyard::simulation::timing {

class Slots {
 public:
  std::uint32_t take() {
    while (lowest_ < used_.size() && used_[lowest_] == ~std::uint64_t{0}) ++lowest_;
    if (lowest_ == used_.size()) used_.push_back(0);
    const auto bit = static_cast<std::uint32_t>(__builtin_ctzll(~used_[lowest_]));
    used_[lowest_] |= std::uint64_t{1} << bit;
    return static_cast<std::uint32_t>(lowest_) * 64 + bit;
  }
  void give(std::uint32_t slot) {
    used_[slot >> 6] &= ~(std::uint64_t{1} << (slot & 63));
    lowest_ = std::min<std::size_t>(lowest_, slot >> 6);
  }
  void clear() {
    used_.clear();
    lowest_ = 0;
  }

 private:
  std::vector<std::uint64_t> used_;
  std::size_t lowest_ = 0;  // first word that may have a free bit
};

}  // namespace switchyard::simulation::timing
