// Sliding: an array whose indices only grow while its front is given back, so that what follows keeps its numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace switchyard::simulation::timing {

template <class T>
class Sliding {
 public:
  T& operator[](std::uint32_t i) { return items_[i - first_]; }
  const T& operator[](std::uint32_t i) const { return items_[i - first_]; }
  /// The elements from `i` on, which lie together.
  T* from(std::uint32_t i) { return items_.data() + (i - first_); }
  const T* from(std::uint32_t i) const { return items_.data() + (i - first_); }
  [[nodiscard]] std::uint32_t end() const { return first_ + static_cast<std::uint32_t>(items_.size()); }
  T& add(T item = {}) {
    items_.push_back(std::move(item));
    return items_.back();
  }
  void extend(std::size_t count) { items_.resize(items_.size() + count); }
  /// Elements before `until` are not asked for any more.
  void drop(std::uint32_t until) {
    const std::size_t dead = until - first_;
    if (2 * dead < items_.size()) return;  // moving the rest would cost more than it gives
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(dead));
    first_ = until;
  }
  void clear() {
    items_.clear();
    first_ = 0;
  }

 private:
  std::vector<T> items_;
  std::uint32_t first_ = 0;  // number of items_[0]
};

}  // namespace switchyard::simulation::timing
