// ActivityLog: what the walk back along the critical path needs of every activity, 32 bytes each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace switchyard::simulation::timing {

inline constexpr std::uint32_t kNone = 0xffffffffu;

struct Activity {
  /// compute: unit-picoseconds during which units of its class were busy meanwhile; transfer: picoseconds charged to memory; else its
  /// context.
  std::int64_t account = 0;
  std::int64_t begin = 0, end = 0;  ///< it begins where the one that let it start (`before`) ends
  std::uint32_t before = kNone;     ///< kNone: began with the group
  std::uint32_t what = 0;           ///< number of the plan, or one of these
  static constexpr std::uint32_t kIssue = 0xffffffffu, kLaunch = 0xfffffffeu, kBarrier = 0xfffffffdu, kSwitch = 0xfffffffcu;
};
static_assert(sizeof(Activity) <= 32);

/// What an account means: of the firings of one plan.
struct ActivityKind {
  std::uint32_t context = 0;  ///< of the group
  bool moves = false;
  std::uint32_t unit_class = 0;
  std::int64_t startup = 0;
};

/// Grows by blocks: activities never move, and the memory serves the next group again.
class ActivityLog {
 public:
  std::uint32_t add(std::uint32_t before, std::uint32_t what, std::int64_t begin) {
    const std::uint32_t id = size_++;
    if ((id >> kShift) == blocks_.size()) blocks_.push_back(std::make_unique<Activity[]>(std::size_t{1} << kShift));
    (*this)[id] = Activity{0, begin, 0, before, what};
    return id;
  }
  Activity& operator[](std::uint32_t id) { return blocks_[id >> kShift][id & kMask]; }
  const Activity& operator[](std::uint32_t id) const { return blocks_[id >> kShift][id & kMask]; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  void clear() { size_ = 0; }

 private:
  static constexpr std::uint32_t kShift = 14, kMask = (1u << kShift) - 1;
  std::vector<std::unique_ptr<Activity[]>> blocks_;
  std::uint32_t size_ = 0;
};

}  // namespace switchyard::simulation::timing
