// EventHeap: pending events in the order of (time, actor, what), a 4-ary heap whose removal waits for the next insertion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace switchyard::simulation::timing {

enum class EventKind : std::uint32_t { firing, chunk, transfer, issue, context };

/// One key says all: time (54 bits), then who (30: actor instances, after them control cores, after them contexts), kind (3), a tie break
/// among events of one actor (19), and where the details are (22). The details' place must not matter: it depends on what was there before.
struct Event {
  unsigned __int128 key = 0;

  static Event make(std::int64_t time, std::uint32_t who, EventKind kind, std::uint32_t tie = 0, std::uint32_t place = 0) {
    const std::uint64_t high = (static_cast<std::uint64_t>(time < kLatest ? time : kLatest) << 10) | (who >> 20);
    const std::uint64_t low = (std::uint64_t{who} << 44) | (static_cast<std::uint64_t>(kind) << 41) | (std::uint64_t{tie} << 22) | place;
    return {(static_cast<unsigned __int128>(high) << 64) | low};
  }
  [[nodiscard]] std::int64_t time() const { return static_cast<std::int64_t>(static_cast<std::uint64_t>(key >> 74)); }
  [[nodiscard]] std::uint32_t who() const { return static_cast<std::uint32_t>(key >> 44) & ((1u << 30) - 1); }
  [[nodiscard]] EventKind kind() const { return static_cast<EventKind>((static_cast<std::uint32_t>(key >> 41)) & 7u); }
  [[nodiscard]] std::uint32_t place() const { return static_cast<std::uint32_t>(key) & (kPlaces - 1); }
  /// The same of the same, at another time; no place.
  [[nodiscard]] Event at(std::int64_t time) const {
    const std::uint64_t low = static_cast<std::uint64_t>(key) & ~std::uint64_t{kPlaces - 1};
    const std::uint64_t high =
        (static_cast<std::uint64_t>(time < kLatest ? time : kLatest) << 10) | (static_cast<std::uint64_t>(key >> 64) & 1023);
    return {(static_cast<unsigned __int128>(high) << 64) | low};
  }
  static constexpr std::int64_t kLatest = (std::int64_t{1} << 54) - 1;  ///< five hours; what is later comes then
  static constexpr std::uint32_t kPlaces = 1u << 22;
  static constexpr std::uint32_t kActors = 1u << 29;  ///< numbers from here on are cores
  static constexpr std::uint32_t kCores = 1u << 28;   ///< and after so many, contexts
};

/// The tie break of a chunk: the transfer's number among those of its actor, the chunk's, and the stage's on the path.
struct ChunkTie {
  static constexpr std::uint32_t kFlights = 1u << 5, kChunks = 1u << 6, kStages = 1u << 8;
  static std::uint32_t make(std::uint32_t flight, std::uint32_t chunk, std::uint32_t stage) {
    return ((flight % kFlights) << 14) | ((chunk % kChunks) << 8) | (stage % kStages);
  }
};

/// The event of a chunk `stages` further on its path.
inline Event at_stage(Event e, std::int64_t time, std::uint32_t stages) {
  constexpr std::uint64_t kMask = std::uint64_t{ChunkTie::kStages - 1} << 22;
  const auto low = static_cast<std::uint64_t>(e.key);
  e = e.at(time);
  e.key = (e.key & ~static_cast<unsigned __int128>(kMask)) | ((low + (std::uint64_t{stages} << 22)) & kMask);
  return e;
}

/// take() leaves a hole at the root that the next push fills: most events make exactly one successor, often the next to happen, and
/// then both operations together cost one comparison with the root's children.
class EventHeap {
 public:
  [[nodiscard]] bool empty() {
    settle();
    return heap_.empty();
  }
  /// The earliest event; there must be one.
  const Event& front() {
    settle();
    return heap_.front();
  }
  /// All of them, in no particular order.
  const std::vector<Event>& pending() {
    settle();
    return heap_;
  }
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
