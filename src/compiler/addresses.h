// Addresses: which bytes of one memory are taken, by whom and over which contexts of a program; and where there is room.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "chip/chip.h"

namespace switchyard::compiler {

/// The contexts in which something lies in its place, from the first to the last.
struct Life {
  int first = 0, last = 0;
};

/// Sets of component instances, numbered; and which of them meet. What lies on different components may have one address.
class ComponentSets {
 public:
  int number_of(const std::vector<std::uint32_t>& components);
  [[nodiscard]] bool meet(int a, int b) const { return meets_[static_cast<std::size_t>(a)][static_cast<std::size_t>(b)]; }

 private:
  std::map<std::vector<std::uint32_t>, int> numbers_;
  std::vector<std::vector<bool>> meets_;
};

/// One memory's addresses over the contexts. A binary tree over the contexts holds what is taken in some context below each node, and what
/// is taken in all of them, so that a life of many contexts asks few nodes.
class Addresses {
 public:
  Addresses(const chip::Memory& memory, std::size_t contexts, const ComponentSets& sets);

  /// Bytes that are taken by a set of components. What follows is aligned, so that what is left to the next such address is taken, too.
  struct Range {
    std::int64_t begin = 0, end = 0;
    int set = 0;
  };
  /// What is taken over a life, together with what is to be taken besides, one after the other from one end of the memory.
  class Over {
   public:
    enum class From : std::uint8_t { below, above };
    Over(const Addresses& addresses, Life life, From from);
    /// The lowest free address, or the highest, which is taken then; nothing when there is none.
    std::optional<std::int64_t> take(std::int64_t bytes, int set);

   private:
    [[nodiscard]] std::optional<std::int64_t> lowest(std::int64_t bytes, int set) const;
    [[nodiscard]] std::optional<std::int64_t> highest(std::int64_t bytes, int set) const;
    const Addresses* addresses_;
    From from_;
    std::vector<Range> taken_;  ///< in the order in which they are in the way
  };

  void take(Life life, std::int64_t at, std::int64_t bytes, int set);

 private:
  struct Node {
    std::vector<Range> some, all;  ///< taken in some context below it; in all, as far as lives cover it and not the node above
  };
  template <class Use>
  void visit(std::size_t node, Life here, Life life, const Use& use) const;
  [[nodiscard]] std::int64_t up(std::int64_t at) const { return (at + alignment_ - 1) / alignment_ * alignment_; }
  [[nodiscard]] std::int64_t down(std::int64_t at) const { return at / alignment_ * alignment_; }

  const ComponentSets* sets_;
  std::int64_t begin_ = 0, end_ = 0, alignment_ = 1;
  int contexts_;
  std::vector<Node> nodes_;  ///< those below node n are 2 n + 1 and 2 n + 2
};

}  // namespace switchyard::compiler
