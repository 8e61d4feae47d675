// EventHeap: pending events in the order of (time, actor, what), a 4-ary heap whose removal waits for the next insertion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace switchyard::simulation::timing {

enum class EventKind : std::uint32_t { firing, chunk, transfer, issue, context };

/// One key says all: time, then the actor instance (the canonical tie break), then kind and index of what happens.
struct Event {
  unsigned __int128 key = 0;

  static Event make(std::int64_t time, std::uint32_t order, EventKind kind, std::uint32_t index) {
    const std::uint64_t low = (std::uint64_t{order} << 32) | (std::uint64_t{static_cast<std::uint32_t>(kind)} << 29) | index;
    return {(static_cast<unsigned __int128>(static_cast<std::uint64_t>(time)) << 64) | low};
  }
  [[nodiscard]] std::int64_t time() const { return static_cast<std::int64_t>(static_cast<std::uint64_t>(key >> 64)); }
  [[nodiscard]] EventKind kind() const { return static_cast<EventKind>((static_cast<std::uint32_t>(key) >> 29) & 7u); }
  [[nodiscard]] std::uint32_t index() const { return static_cast<std::uint32_t>(key) & kMaxIndex; }
  static constexpr std::uint32_t kMaxIndex = (1u << 29) - 1;
};

/// take() leaves a hole at the root that the next push fills: most events make exactly one successor, often the next to happen, and
/// then both operations together cost one comparison with the root's children.
class EventHeap {
 public:
  [[nodiscard]] bool empty() {
    settle();
    return heap_.empty();
  }
  /// Time of the earliest event; the heap must not be empty.
  [[nodiscard]] std::int64_t next_time() const { return heap_.front().time(); }
  Event take() {
    settle();
    hole_ = true;
    return heap_.front();
  }
  void push(Event e) {
    if (hole_) {
      hole_ = false;
      sift_down(e);
      return;
    }
    std::size_t at = heap_.size();
    heap_.push_back(e);
    while (at > 0) {
      const std::size_t up = (at - 1) / 4;
      if (heap_[up].key <= e.key) break;
      heap_[at] = heap_[up];
      at = up;
    }
    heap_[at] = e;
  }
  void clear() {
    heap_.clear();
    hole_ = false;
  }

 private:
  void settle() {
    if (!hole_) return;
    hole_ = false;
    const Event last = heap_.back();
    heap_.pop_back();
    if (!heap_.empty()) sift_down(last);
  }
  void sift_down(Event e) {
    const std::size_t n = heap_.size();
    std::size_t at = 0;
    for (;;) {
      std::size_t child = 4 * at + 1;
      if (child >= n) break;
      const std::size_t end = child + 4 < n ? child + 4 : n;
      std::size_t least = child;
      for (++child; child < end; ++child) least = heap_[child].key < heap_[least].key ? child : least;
      if (e.key <= heap_[least].key) break;
      heap_[at] = heap_[least];
      at = least;
    }
    heap_[at] = e;
  }

  std::vector<Event> heap_;
  bool hole_ = false;
};

}  // namespace switchyard::simulation::timing
