// What one firing costs: durations of compute bodies and bytes of transfers, from the extents it really covers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "program/parts.h"
#include "program/program.h"
#include "program/widening.h"
#include "simulation/timing/odometer.h"
#include "support/result.h"

namespace switchyard::simulation::timing {

struct KeyHash {
  std::size_t operator()(const std::vector<std::int64_t>& key) const;
};

/// Of one compute firing. `free`: it computes no element, so it costs nothing and is not issued.
struct ComputePrice {
  std::int64_t duration = 0;  ///< ps
  std::int64_t macs = 0;
  std::int64_t vector_ops = 0;
  bool free = true;
};

/// Prices of one compute actor, by the extents of its dims and the statements whose guards hold; each combination is worked out once.
class ComputeCosts {
 public:
  /// `extents`: of the variables of offsets (array coordinates, then loops).
  static Result<ComputeCosts> make(const chip::Chip& chip, const program::Context& context, const program::Actor& actor,
                                   std::span<const std::int64_t> extents);
  /// Every firing costs the same.
  [[nodiscard]] bool uniform() const { return ragged_.empty() && guards_.empty() && !ends_otherwise_; }
  /// Every firing computes something.
  [[nodiscard]] bool always_costs() { return uniform() && !price({}, {}, nullptr).free; }
  /// No price depends on the first `rank` variables, the coordinates.
  [[nodiscard]] bool same_everywhere(std::size_t rank) const;
  /// Where the price would change along one loop, inner loops at any index.
  void cut(PlainRange& range, std::span<const std::int64_t> variables, const std::vector<std::int64_t>& trips) const;
  /// `variables`: coordinates, then loop indices; `loops` points at the latter. The reference holds until the next call.
  const ComputePrice& price(std::span<const std::int64_t> variables, Odometer at, const std::int64_t* loops);

 private:
  struct Work {  // one statement, classified
    std::vector<int> dims;
    std::vector<int> role;  // of each dim: 0 m, 1 n, 2 k, 3 batch
    bool contraction = false;
    double rate = 1, simple = 0, special = 0, special_rate = 1;  // per cycle; operations per point
    std::optional<program::Widening> widening;
  };
  struct Ragged {
    int dim;
    std::int64_t tile, total;
    const numerics::Affine* offset;
  };
  [[nodiscard]] ComputePrice work_out(bool last) const;

  std::vector<Work> work_;
  std::vector<GuardPlan> guards_;  // per statement; empty when all hold always
  std::vector<Ragged> ragged_;
  const chip::Unit* unit_ = nullptr;
  std::uint32_t all_loops_ = 0;  ///< a bit each
  bool ends_otherwise_ = false;  ///< the last firing of all is cheaper: nothing turns over after it
  bool matrix_ = false;
  double startup_ = 0, hertz_ = 1;
  std::vector<std::int64_t> extents_;  // of all dims, for the firing looked at
  std::vector<char> holds_;            // per statement
  std::vector<std::int64_t> key_, last_key_;
  std::unordered_map<std::vector<std::int64_t>, ComputePrice, KeyHash> known_;
  const ComputePrice* last_ = nullptr;
};

/// Of one transfer.
struct MovePrice {
  std::span<const std::uint32_t> components;   ///< of a message: who gets it, the own component perhaps among them
  std::uint32_t* path = nullptr;               ///< of a message: where the engine notes which path it takes
  std::int64_t payload = 0;                    ///< bytes that pass
  std::int64_t read_cost = 0, write_cost = 0;  ///< bytes charged at the memory: whole granules per contiguous run
  std::vector<std::int64_t> begin, extent;     ///< of the clipped box of the buffer (source, else destination)
  std::vector<std::int64_t> write_begin, write_extent;
};

/// Prices of one moving actor.
class MoveCosts {
 public:
  MoveCosts(MoveCosts&&) = default;
  MoveCosts& operator=(MoveCosts&&) = default;
  static Result<MoveCosts> make(const program::Program& program, const program::Actor& actor, std::span<const std::int64_t> extents);
  [[nodiscard]] bool uniform() const { return uniform_; }  ///< boxes are never clipped, and the transfers are no messages
  [[nodiscard]] bool reads_memory() const { return source_.access != nullptr && !source_.buffer->spread; }
  [[nodiscard]] bool writes_memory() const { return destination_.access != nullptr && !destination_.buffer->spread; }
  [[nodiscard]] bool sends_messages() const { return destination_.access != nullptr && destination_.buffer->spread.has_value(); }
  void cut(PlainRange& range, std::span<const std::int64_t> variables, const std::vector<std::int64_t>& trips) const;
  /// `component`: where the mover is; of messages only. The reference holds until the next call.
  const MovePrice& price(std::span<const std::int64_t> variables, std::uint32_t component);

 private:
  MoveCosts() = default;
  struct Box {
    const program::BufferAccess* access = nullptr;
    const program::Buffer* buffer = nullptr;
    std::int64_t granule = 1;
  };
  std::int64_t clip(const Box& box, std::span<const std::int64_t> variables, std::vector<std::int64_t>& begin,
                    std::vector<std::int64_t>& extent, std::int64_t& cost) const;
  /// A message of a box, from one component.
  struct Sent {
    std::int64_t payload = 0;
    std::uint32_t first = 0, end = 0;  ///< components, in `targets_`
    std::uint32_t path = 0xffffffffu;  ///< none yet
  };
  struct Range {
    std::uint32_t first = kNowhere, end = 0;  ///< in `sent_`
  };
  static constexpr std::uint32_t kNowhere = 0xffffffffu;
  std::span<Sent> messages(std::span<const std::int64_t> variables, std::uint32_t component);
  [[nodiscard]] std::size_t place_of(std::span<const std::int64_t> variables, std::uint32_t component) const;
  void make_room();
  Range find_messages(std::span<const std::int64_t> variables, std::uint32_t component);
  Box source_, destination_;
  const program::Actor* actor_ = nullptr;
  std::shared_ptr<const program::Parts> parts_;  ///< of the destination, when messages are first asked for
  std::size_t rank_ = 0;                         // variables before the loops
  // The messages that are known, by component and those variables that say where the box is: a table with a list of numbers for each place.
  std::vector<std::uint32_t> steering_;
  std::vector<std::int64_t> keys_;
  std::vector<Range> found_;
  std::size_t used_ = 0;  ///< places
  std::vector<Sent> sent_;
  std::vector<std::uint32_t> targets_;
  std::vector<program::Parts::Listed> listed_;
  std::vector<std::int64_t> token_;
  std::vector<std::size_t> picked_;  ///< dimensions of the source in which an index is picked
  std::int64_t token_bytes_ = 0;
  bool uniform_ = true;
  MovePrice price_;
};

/// Bytes a memory is charged for a box of `extent` in a buffer: contiguous runs, each rounded up to whole granules.
std::int64_t charged_bytes(const program::Buffer& buffer, std::span<const std::int64_t> extent, std::int64_t granule);

}  // namespace switchyard::simulation::timing
