// EventWheel: pending events that come in no particular order: those of the near future in a small heap, the next ones in buckets by time,
// all others in a large heap.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "simulation/timing/event_heap.h"

namespace switchyard::simulation::timing {

class EventWheel {
 public:
  /// Whether there is any; if so, front() is the earliest.
  [[nodiscard]] bool turn() {
    while (near_.empty()) {
      if (held_ == 0 && far_.empty()) return false;
      if (held_ == 0) next_ = bucket_of(far_.front());
      fetch();
      const std::uint64_t slot = first_filled();
      std::vector<Event>& bucket = buckets_[slot];
      held_ -= bucket.size();
      for (const Event& e : bucket) near_.push(e);
      bucket.clear();
      filled_[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
      next_ += (slot - next_) % kBuckets + 1;
    }
    return true;
  }
  [[nodiscard]] const Event& front() { return near_.front(); }
  Event take() { return near_.take(); }
  void push(Event e) {
    const std::uint64_t b = bucket_of(e);
    if (b < next_) {
      near_.push(e);
    } else if (b - next_ < kBuckets) {
      hold(b, e);
    } else {
      far_.push(e);
    }
  }
  /// All of them, in no particular order.
  template <class Visit>
  void for_each(Visit visit) {
    for (const Event& e : near_.pending()) visit(e);
    for (const Event& e : far_.pending()) visit(e);
    if (held_ == 0) return;
    for (const std::vector<Event>& bucket : buckets_)
      for (const Event& e : bucket) visit(e);
  }
  void clear() {
    near_.clear();
    far_.clear();
    if (held_ > 0)
      for (std::vector<Event>& bucket : buckets_) bucket.clear();
    filled_.fill(0);
    next_ = held_ = 0;
  }

 private:
  static constexpr std::uint64_t kBuckets = 512, kWidth = 12;  ///< of 2^12 ps each
  static std::uint64_t bucket_of(const Event& e) { return static_cast<std::uint64_t>(e.time()) >> kWidth; }
  void fetch() {
    while (!far_.empty() && bucket_of(far_.front()) - next_ < kBuckets) {
      const Event e = far_.take();
      hold(bucket_of(e), e);
    }
  }
  void hold(std::uint64_t b, const Event& e) {
    const std::uint64_t slot = b % kBuckets;
    buckets_[slot].push_back(e);
    filled_[slot / 64] |= std::uint64_t{1} << slot % 64;
    ++held_;
  }
  /// The first bucket from `next_` on that is not empty; there must be one.
  [[nodiscard]] std::uint64_t first_filled() const {
    const std::uint64_t at = next_ % kBuckets;
    std::uint64_t word = at / 64, bits = filled_[word] & (~std::uint64_t{0} << at % 64);
    while (bits == 0) word = (word + 1) % filled_.size(), bits = filled_[word];
    return word * 64 + static_cast<std::uint64_t>(__builtin_ctzll(bits));
  }

  EventHeap near_, far_;
  std::array<std::vector<Event>, kBuckets> buckets_;   ///< from `next_` on
  std::array<std::uint64_t, kBuckets / 64> filled_{};  ///< a bit per bucket that is not empty
  std::uint64_t next_ = 0, held_ = 0;
};

}  // namespace switchyard::simulation::timing
