// The parts of one spread buffer, laid out to be searched: who holds a box, and in which messages it reaches them. Says what
// program/spread.h says, for whoever asks about many boxes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "program/spread.h"

namespace switchyard::program {

class Parts {
 public:
  static constexpr std::uint32_t kNone = 0xffffffffu;

  /// Instances that hold the same box.
  struct Group {
    Box box;
    std::vector<std::uint32_t> instances;  ///< ascending
  };

  explicit Parts(const Buffer& buffer);
  [[nodiscard]] std::size_t count() const { return group_of_.size(); }
  [[nodiscard]] const Box& part(std::uint32_t instance) const { return groups_[group_of_[instance]].box; }
  /// The instance on a component; kNone where the buffer has no part there.
  [[nodiscard]] std::uint32_t on(std::uint32_t component) const {
    return component < instance_of_.size() ? instance_of_[component] : kNone;
  }
  [[nodiscard]] const std::vector<Group>& groups() const { return groups_; }

  /// Calls visit(group number) for the groups that meet the box, in no special order.
  template <class Visit>
  void meeting(const Box& box, Visit&& visit) const {
    if (is_empty(box)) return;
    std::size_t from = 0, to = sorted_.size();
    if (!box.empty()) {
      const auto begin_of = [this](std::uint32_t g) { return groups_[g].box[line_][0]; };
      const auto by_begin = [&](std::uint32_t g, std::int64_t value) { return begin_of(g) < value; };
      from = static_cast<std::size_t>(std::lower_bound(sorted_.begin(), sorted_.end(), box[line_][0] - longest_ + 1, by_begin) -
                                      sorted_.begin());
      to = static_cast<std::size_t>(std::lower_bound(sorted_.begin(), sorted_.end(), box[line_][1], by_begin) - sorted_.begin());
    }
    for (std::size_t i = from; i < to; ++i)
      if (overlap(groups_[sorted_[i]].box, box)) visit(sorted_[i]);
  }

  /// As messages() of program/spread.h.
  [[nodiscard]] std::vector<Message> messages(const Box& box, std::optional<std::uint32_t> own) const;

  /// The same for whoever needs no boxes: elements and instances, behind what is in the lists already.
  struct Listed {
    std::int64_t points = 0;
    std::uint32_t first = 0, end = 0;  ///< in the list of instances
  };
  void list(const Box& box, std::optional<std::uint32_t> own, std::vector<Listed>& messages, std::vector<std::uint32_t>& instances) const;

  /// How many messages there are, the most instances one of them goes to, `here` not counted, and the elements of all.
  struct Count {
    std::int64_t messages = 0, widest = 0, points = 0;
  };
  [[nodiscard]] Count count(const Box& box, std::optional<std::uint32_t> own, std::uint32_t here) const;

 private:
  void append_instances(std::span<const std::uint32_t> groups, std::optional<std::uint32_t> own, std::vector<std::uint32_t>& out) const;
  /// Calls visit(cell, groups that hold it) for each cell somebody needs, in row-major order.
  template <class Visit>
  void cells(const Box& box, std::optional<std::uint32_t> own, Visit&& visit) const;

  std::vector<Group> groups_;
  std::vector<std::uint32_t> group_of_, instance_of_;
  std::vector<std::uint32_t> sorted_;  ///< groups by where they begin along the dimension `line_`
  std::size_t line_ = 0;
  std::int64_t longest_ = 0;  ///< extent along it
};

/// Parts of many buffers, laid out when they are first asked for.
class PartsOf {
 public:
  explicit PartsOf(const std::vector<Buffer>& buffers) : buffers_(buffers), parts_(buffers.size()) {}
  const Parts& operator[](BufferId id) {
    auto& parts = parts_[id.index()];
    if (!parts) parts = std::make_unique<Parts>(buffers_[id.index()]);
    return *parts;
  }
  void drop(BufferId id) { parts_[id.index()].reset(); }

 private:
  const std::vector<Buffer>& buffers_;
  std::vector<std::unique_ptr<Parts>> parts_;
};

}  // namespace switchyard::program
