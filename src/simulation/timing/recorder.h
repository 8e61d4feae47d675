// Recorder: collects a Recording from the engine, whose activities have numbers of their own in each group of contexts.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "simulation/recording.h"
#include "simulation/timing/fabric.h"

namespace switchyard::simulation::timing {

class Recorder {
 public:
  explicit Recorder(std::size_t limit) : limit_(limit) {}

  void begin_group(std::int64_t origin);
  /// An activity has ended. Times count from the beginning of the group.
  void slice(std::uint32_t activity, Recording::Slice slice);
  /// A transfer is served by a resource of the fabric.
  void use(std::uint32_t activity, std::uint32_t resource, std::int64_t begin, std::int64_t end, std::int64_t bytes);
  /// An activity has put the token of this number into a ring.
  void produced(std::uint32_t ring, std::uint32_t number, std::uint32_t activity);
  /// The firing that is about to begin takes the tokens [number, number + count) from the ring.
  void takes(std::uint32_t ring, std::uint32_t number, std::uint32_t count);
  /// What was taken since the last call belongs to this activity, or (kNone) to a firing that costs nothing.
  void begins(std::uint32_t activity);
  void end_group();

  /// Ends the group, and gives what was used the names that the fabric knows.
  void finish(const Fabric& fabric);

  /// There is no more room; then it stays so.
  [[nodiscard]] bool full() {
    full_ = full_ || recording_.slices.size() + recording_.uses.size() + recording_.flows.size() >= limit_;
    return full_;
  }
  Recording take() { return std::move(recording_); }

 private:
  struct Pair {
    std::uint32_t from, to;
  };
  std::size_t limit_;
  bool full_ = false;
  Recording recording_;
  std::int64_t origin_ = 0, reached_ = 0;
  // Of the group, by activity and by ring.
  std::vector<std::uint32_t> slice_of_;
  std::vector<std::vector<std::uint32_t>> tokens_;
  std::vector<std::uint32_t> taken_;  ///< producers of the tokens of the firing that is about to begin
  std::size_t first_use_ = 0, first_flow_ = 0;
  std::map<std::uint32_t, std::size_t> last_use_;  ///< by resource
};

}  // namespace switchyard::simulation::timing
