// How a context uses spread buffers: each access by its pattern at the origin of the array, which instances only shift.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "program/boxes.h"
#include "program/order.h"
#include "program/parts.h"
#include "program/touch.h"

namespace switchyard::program {

/// One access of a context to a spread buffer: a place, or a mover's box.
class Use {
 public:
  Use(const Context& context, std::size_t actor, const BufferAccess& access, std::span<const std::int64_t> extent, bool write,
      const Port* place);

  std::size_t actor;
  const BufferAccess* access;
  std::span<const std::int64_t> extent;
  bool write;
  bool store;          ///< a mover's, to every copy; else of the own copy only
  bool updates;        ///< a store that leaves the own copy out
  const Array* array;  ///< of the actor

  /// What the instance touches over all firings, clipped to the region.
  [[nodiscard]] std::vector<Box> boxes(std::uint32_t instance) const;
  /// Whether it touches some element more than once, other than by its messages; and one such element.
  [[nodiscard]] bool twice(std::uint32_t instance, std::vector<std::int64_t>& where) const;
  [[nodiscard]] bool countable() const { return pattern_.countable; }
  /// Firing by firing of Play, `inner` of the nest to one; false when they are too many. `shifted`: of the instance and clipped, else of
  /// the pattern.
  bool firings(std::int64_t inner, Firings& result) const;
  void shift(std::uint32_t instance, Firings& firings) const;
  /// As firings() and shift(), of the copy `to` alone: message by message.
  bool firings_at(const Parts& parts, std::uint32_t instance, std::uint32_t to, std::int64_t inner, Firings& result) const;
  /// The boxes of all firings of an instance, those of one message loop only once: calls visit(box). False when they are too many.
  template <class Visit>
  bool each(std::uint32_t instance, Visit&& visit) const;
  /// Whether instances of both shift alike.
  [[nodiscard]] bool moves_as(const Use& other) const { return array == other.array && terms_ == other.terms_; }
  /// Whether it shifts as the parts do.
  [[nodiscard]] bool moves_as(const Spread& spread) const;
  /// A box around all it touches at the origin, unclipped; empty when it touches nothing.
  [[nodiscard]] Box hull() const;

 private:
  [[nodiscard]] std::vector<std::int64_t> shift_of(std::uint32_t instance) const;

  const Actor* actor_;
  std::vector<Interval> variables_;  ///< coordinates at the origin, then loops; that of the messages at its first index
  std::vector<Interval> loops_;      ///< in which the access is active
  Reach pattern_;
  std::vector<std::vector<numerics::Affine::Term>> terms_;  ///< over the coordinates, per dimension
};

/// All uses of spread buffers by a context.
std::vector<Use> uses_of(const Program& program, const Context& context);

template <class Visit>
bool Use::each(std::uint32_t instance, Visit&& visit) const {
  constexpr std::int64_t kMost = std::int64_t{1} << 20;
  std::int64_t count = 1;
  std::vector<std::int64_t> at;
  for (const Interval& variable : variables_) {
    if (variable[0] >= variable[1]) return true;
    if (__builtin_mul_overflow(count, variable[1] - variable[0], &count) || count > kMost) return false;
    at.push_back(variable[0]);
  }
  const std::vector<std::int64_t> shift = shift_of(instance);
  while (true) {
    Box box;
    for (std::size_t d = 0; d < extent.size(); ++d) {
      const std::int64_t begin = access->start[d].at(at) + shift[d];
      box.push_back({std::max(begin, access->region[d][0]), std::min(begin + extent[d], access->region[d][1])});
    }
    if (!is_empty(box)) visit(box);
    std::size_t v = at.size();
    while (v > 0 && ++at[v - 1] == variables_[v - 1][1]) {
      at[v - 1] = variables_[v - 1][0];
      --v;
    }
    if (v == 0) return true;
  }
}

}  // namespace switchyard::program
