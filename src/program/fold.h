// Instances that behave alike: where the parts of a buffer and what is done with them only shift along a coordinate, and neither a border
// nor a clip is near, one instance speaks for all.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "program/uses.h"

namespace switchyard::program {

class Fold {
 public:
  /// `uses`: all that one context does with the buffer.
  Fold(const Buffer& buffer, std::span<const Use* const> uses);
  /// Only what is alike here as well.
  void limit(const Fold& other);
  /// Every instance speaks for itself.
  void open();

  /// Instances that speak for all, ascending: parts, or instances of an array that uses them (of other components: all of them).
  [[nodiscard]] std::vector<std::uint32_t> speakers() const { return list(false); }
  [[nodiscard]] std::vector<std::uint32_t> speakers(const Array& array) const { return list_of(array, false); }
  /// Those whose stores may reach a speaker's part.
  [[nodiscard]] std::vector<std::uint32_t> near_speakers(const Array& array) const { return list_of(array, true); }
  /// Who speaks for an instance, and by how much that one's boxes lie elsewhere.
  struct Speaker {
    std::uint32_t instance = 0;
    std::vector<std::int64_t> shift;  ///< per dimension of the buffer
  };
  [[nodiscard]] Speaker speaker_of(std::uint32_t instance) const;

 private:
  std::vector<std::uint32_t> list(bool near) const;
  std::vector<std::uint32_t> list_of(const Array& array, bool near) const;

  const Buffer* buffer_;
  std::vector<Interval> middle_;     ///< per coordinate: the first of them speaks for the others
  std::vector<std::int64_t> reach_;  ///< per coordinate: how far stores go; the number of instances where it moves nothing
};

/// What a mover sends: the most messages of one firing, the instance where they are, and the most others that one of them goes to.
struct Sending {
  std::int64_t most = 0, widest = 0;
  std::uint32_t where = 0;
};
/// Of a store to a spread buffer, over all instances and firings; nothing when they are too many to be counted.
std::optional<Sending> count_messages(const Buffer& buffer, const Parts& parts, const Use& use);

}  // namespace switchyard::program
