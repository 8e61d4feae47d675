// EventQueue: pending events in the order of their keys: some lanes, each a queue whose events come in order already, and a wheel for the
// rest.
//
// Most chunks go from link to link without waiting, each one hop after the one before: their events are made in the order in which they
// happen. Such a lane costs next to nothing, and its chunks lie one behind the other in memory.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "simulation/timing/event_wheel.h"
#include "simulation/timing/slots.h"
#include "simulation/timing/state.h"

namespace switchyard::simulation::timing {

class EventQueue {
 public:
  struct Item {
    Event event;
    Chunk chunk;  ///< of chunk events
  };

  EventQueue() { clear(); }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Too many chunks wait outside the lanes: their places are no longer told apart.
  [[nodiscard]] bool overflowed() const { return overflowed_; }

  /// Of the earliest event; there must be one.
  [[nodiscard]] std::int64_t next_time() { return Event{fronts_[first()]}.time(); }
  /// The chunk that is so many places behind the one taken last, where that is known: its data may be fetched.
  [[nodiscard]] const Chunk* soon(std::size_t places) const {
    if (taken_from_ == 0 || taken_from_ >= kLanes) return nullptr;
    const Lane& lane = lanes_[taken_from_];
    const std::size_t mask = lane.items.size() - 1;
    return ((lane.tail - lane.head) & mask) >= places ? &lane.items[(lane.head + places - 1) & mask].chunk : nullptr;
  }
  /// Takes the earliest event. The item lasts until the next push.
  const Item& take() {
    const std::size_t from = first();
    first_ = kUnknown;
    taken_from_ = from;
    --size_;
    if (from < kLanes) {
      Lane& lane = lanes_[from];
      const Item& item = lane.items[lane.head];
      lane.head = (lane.head + 1) & (lane.items.size() - 1);
      if (lane.head == lane.tail) {
        fronts_[from] = kNever;
        backs_[from] = 0;
      } else {
        fronts_[from] = lane.items[lane.head].event.key;
      }
      return item;
    }
    taken_.event = rest_.take();
    if (taken_.event.kind() == EventKind::chunk) {
      taken_.chunk = chunks_[taken_.event.place()];
      slots_.give(taken_.event.place());
    }
    rest_known_ = false;
    return taken_;
  }

  /// All of them, in no particular order: visit(event, chunk).
  template <class Visit>
  void for_each(Visit visit) {
    for (const Lane& lane : lanes_)
      for (std::size_t i = lane.head; i != lane.tail; i = (i + 1) & (lane.items.size() - 1))
        visit(lane.items[i].event, lane.items[i].chunk);
    rest_.for_each([&](const Event& e) { visit(e, e.kind() == EventKind::chunk ? chunks_[e.place()] : Chunk{}); });
  }

  /// `e` has no place; `steady`: events made after it are likely to come after it.
  void push(Event e, bool steady) {
    if (steady && append(0, e, nullptr)) return;
    push_rest(e);
  }
  void push_chunk(Event e, const Chunk& chunk, bool waited) {
    if (!waited) {
      if (append(1, e, &chunk)) return;
    } else {
      std::size_t best = kLanes;
      for (std::size_t l = 2; l < kLanes; ++l)
        if (backs_[l] <= e.key && (best == kLanes || backs_[l] > backs_[best])) best = l;
      if (best < kLanes && append(best, e, &chunk)) return;
    }
    const std::uint32_t at = slots_.take();
    if (at == chunks_.size()) chunks_.emplace_back();
    chunks_[at] = chunk;
    overflowed_ |= at >= Event::kPlaces;
    e.key |= at % Event::kPlaces;
    push_rest(e);
  }
  void clear() {
    for (Lane& lane : lanes_) {
      if (lane.items.empty()) lane.items.resize(64);
      lane.head = lane.tail = 0;
    }
    fronts_.fill(kNever);
    backs_.fill(0);
    rest_.clear();
    chunks_.clear();
    slots_.clear();
    first_ = kUnknown;
    size_ = 0;
    rest_known_ = overflowed_ = false;
  }

 private:
  using Key = unsigned __int128;
  static constexpr std::size_t kLanes = 6, kUnknown = kLanes + 1;
  static constexpr Key kNever = ~Key{0};
  struct Lane {
    std::vector<Item> items;  ///< a ring, of a power of two
    std::size_t head = 0, tail = 0;
  };

  std::size_t first() {
    if (first_ != kUnknown) return first_;
    if (!rest_known_) {
      fronts_[kLanes] = rest_.turn() ? rest_.front().key : kNever;
      rest_known_ = true;
    }
    first_ = 0;
    for (std::size_t l = 1; l <= kLanes; ++l) first_ = fronts_[l] < fronts_[first_] ? l : first_;
    return first_;
  }
  bool append(std::size_t l, Event e, const Chunk* chunk) {
    if (e.key < backs_[l]) return false;
    Lane& lane = lanes_[l];
    Item& item = lane.items[lane.tail];
    item.event = e;
    if (chunk != nullptr) item.chunk = *chunk;
    if (lane.head == lane.tail) fronts_[l] = e.key;
    backs_[l] = e.key;
    lane.tail = (lane.tail + 1) & (lane.items.size() - 1);
    if (lane.tail == lane.head) grow(lane);
    ++size_;
    first_ = kUnknown;
    return true;
  }
  static void grow(Lane& lane) {
    std::vector<Item> larger(2 * lane.items.size());
    const std::size_t count = lane.items.size();
    for (std::size_t i = 0; i < count; ++i) larger[i] = lane.items[(lane.head + i) & (count - 1)];
    lane.items = std::move(larger);
    lane.head = 0;
    lane.tail = count;
  }
  void push_rest(Event e) {
    rest_.push(e);
    rest_known_ = false;
    ++size_;
    first_ = kUnknown;
  }

  std::array<Lane, kLanes> lanes_;
  std::array<Key, kLanes + 1> fronts_{};  ///< of the lanes, then of the rest
  std::array<Key, kLanes> backs_{};
  EventWheel rest_;
  std::vector<Chunk> chunks_;  ///< of those outside the lanes, by place
  Slots slots_;
  Item taken_;
  std::size_t first_ = kUnknown, taken_from_ = kUnknown, size_ = 0;
  bool rest_known_ = false, overflowed_ = false;
};

}  // namespace switchyard::simulation::timing
