// A cache as a timing object: which bytes of which buffers are present, by granules, least recently used out first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/program.h"

namespace switchyard::simulation::timing {

class CacheModel {
 public:
  CacheModel(const program::Program& program, std::int64_t capacity);

  /// Cuts the buffers the contexts' transfers touch into granules: boxes of the steps by which their accesses move. What was present
  /// before is spread evenly over them. Contexts that early actors link come as one.
  void begin_contexts(std::span<const program::Context> contexts);
  /// Back to bytes per buffer. Buffers in `dead` are forgotten, written or not.
  void end_context(std::span<const program::BufferId> dead);

  struct Outcome {
    std::int64_t hit = 0, miss = 0;
    std::int64_t evicted = 0;  ///< bytes that had been written and now go to the backing memory
  };
  Outcome read(program::BufferId buffer, std::span<const std::int64_t> begin, std::span<const std::int64_t> extent);
  Outcome write(program::BufferId buffer, std::span<const std::int64_t> begin, std::span<const std::int64_t> extent);
  [[nodiscard]] std::int64_t used() const { return used_; }
  /// Bytes of buffers still wanted that are in no other memory; between contexts.
  [[nodiscard]] std::int64_t dirty() const;

 private:
  struct Granule {
    std::int64_t present = 0, dirty = 0;
    std::int64_t seen = 0;  // bytes this context has read or written: what it has not, it can only find if an earlier one left it
    std::int64_t old = 0;   // of `present`: left by earlier contexts and not seen yet
    std::uint32_t newer = 0, older = 0;  // neighbours in the order of use
    std::uint32_t buffer = 0;
  };
  struct Grid {
    bool cut = false;
    std::uint32_t first = 0;
    std::vector<std::int64_t> step, count;
    std::vector<std::int64_t> origin;  // of the first granule: 0 or before it, so that boxes begin where granules begin
  };
  struct Residency {
    std::int64_t present = 0, dirty = 0;
    std::uint64_t used_at = 0;
  };
  template <class Visit>
  void for_granules(std::uint32_t buffer, std::span<const std::int64_t> begin, std::span<const std::int64_t> extent, Visit visit);
  void touch(std::uint32_t g);
  std::int64_t take(std::uint32_t g, std::int64_t bytes, std::int64_t size);
  void link_newest(std::uint32_t g);
  void unlink(std::uint32_t g);
  std::int64_t evict();
  void lay_grid(std::span<const program::Context> contexts, std::uint32_t buffer);

  const program::Program* program_;
  std::int64_t capacity_, used_ = 0;
  std::uint64_t clock_ = 0;
  std::vector<Residency> residency_;  // per buffer, between contexts
  std::vector<Grid> grids_;           // per buffer
  std::vector<Granule> granules_;     // [0] is the ring's head: newest is head.older, oldest is head.newer
};

}  // namespace switchyard::simulation::timing
