// Estimate: how long one kernel takes under one mapping, in well under a microsecond: exact footprints and traffic of a tiled, ordered and
// spatially split nest, against the rates of the machine. The analytical model of the search (Timeloop's kind, arXiv:1902.02434).
#pragma once

#include <array>
#include <cstdlib>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "compiler/links.h"
#include "compiler/mapping.h"
#include "program/widening.h"
#include "support/diagnostic.h"

namespace switchyard::compiler {

/// Dims whose tiles must divide them: they share an index of the result with a slower dim.
std::vector<bool> dims_to_divide(const Kernel& kernel);

/// What the search knows of a kernel's mappings: for each weight of what is held the cost of the best.
struct Limits {
  std::span<const double> weights, costs;  ///< empty: nothing is known
  /// Is the mapping better for no weight?
  [[nodiscard]] bool reached_by(const Mapping& m) const {
    for (std::size_t w = 0; w < costs.size(); ++w)
      if (cost_of(m, weights[w]) < costs[w]) return false;
    return true;
  }
};

/// What the search repeats for every candidate of one kernel on one choice of units, precomputed.
class Evaluator {
 public:
  Evaluator(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const std::vector<std::vector<int>>& layouts,
            const std::vector<Reach>& reach, std::int64_t reserved, chip::UnitId unit, chip::UnitId epilogue);

  static constexpr double kNoLimit = std::numeric_limits<double>::infinity();
  /// Fills units, residency, depths, sharing, storage and the estimate of a mapping that has splits, trips, tiles and an order; false when
  /// it does not fit or cannot be stored.
  bool evaluate(Mapping& m) const;
  /// The same in two steps. What is the same in every order of its loops; false when it does not fit or cannot be stored (then it takes 0
  /// bytes). `all`: the bytes that it takes are found out even when it does not fit.
  bool begin(Mapping& m, bool all) const;
  /// False: neither this mapping fits nor any with the same splits, larger tiles and no shorter shares of instances (tile times trips).
  /// Ends what was begun.
  [[nodiscard]] bool may_fit(const Mapping& m) const;
  /// The rest, of the mapping that was begun last; false when its sums do not fit their registers. What could not be better than what is
  /// known, however its operands are shared, is not estimated, and its costs are infinite; unless steps are free.
  bool end(Mapping& m, const Limits& limits) const;
  /// Some tensors lie in scratchpads: in others the kernel may fit beside less of them.
  [[nodiscard]] bool has_placed() const;
  [[nodiscard]] const std::array<std::int64_t, 3>& geometry() const { return unit_.geometry; }
  /// Instances along each dim of the mapping that was begun last (1 for reductions).
  [[nodiscard]] const std::vector<std::int64_t>& instances() const { return along_; }
  /// Fills storage and the estimate of a mapping that has everything else. In words what makes it impossible; empty when nothing does.
  std::string complete(Mapping& m) const;
  /// Neither firings nor transfers cost more than what they compute and move.
  [[nodiscard]] bool steps_are_free() const {
    return issue_ == 0 && startup_cycles_ == 0 && epilogue_startup_ == 0 && load_.startup == 0 && cast_.startup == 0;
  }
  /// Of the unit that runs the epilogue, for so many results.
  [[nodiscard]] double epilogue_seconds(double points, double firings) const;
  [[nodiscard]] bool fits(const Mapping& m) const;  ///< of a complete mapping
  /// The terms of the demand, of a complete mapping and for a kernel that fits in no mapping.
  [[nodiscard]] Infeasible explain_complete(const Mapping& m) const;
  [[nodiscard]] Infeasible explain(Mapping m) const;

 private:
  struct Extent {
    const std::vector<numerics::Affine::Term>* terms;  ///< of the index along this dimension
    std::int64_t full;                                 ///< of the tensor
  };
  struct SharedIndex {                          ///< of a result, with several dims in it or a stride
    std::vector<numerics::Affine::Term> terms;  ///< by coefficient
    std::int64_t outermost;                     ///< the largest of them
  };
  struct MoverRates {  ///< of one kind of mover
    double startup = 0, places = 1, rate = 1;
  };

  [[nodiscard]] bool writes_well(const Mapping& m) const;
  [[nodiscard]] bool writes_densely(const SharedIndex& index, const Mapping& m, bool whole) const;
  std::int64_t count_sharers(Mapping& m) const;
  [[nodiscard]] std::int64_t accumulator_bytes(const Mapping& m) const;
  [[nodiscard]] static std::int64_t extent_of(const Extent& along, const Mapping& m) {
    std::int64_t extent = 1;
    for (const auto& t : *along.terms) extent += std::abs(t.coefficient) * (m.tile[static_cast<std::size_t>(t.variable)] - 1);
    return extent;
  }
  [[nodiscard]] std::int64_t token_bytes(std::size_t operand, const Mapping& m) const;
  void size_tokens(const Mapping& m) const;
  void size_wires(const Mapping& m) const;
  [[nodiscard]] bool moves(std::size_t operand, const Mapping& m) const;
  [[nodiscard]] bool stores_hidden(std::size_t operand) const;
  void count_tokens(const Mapping& m) const;
  bool fit_storage(Mapping& m) const;
  [[nodiscard]] std::int64_t steps_of_sums(const Mapping& m) const;
  [[nodiscard]] bool is_late(std::size_t operand, const Mapping& m) const;
  [[nodiscard]] std::int64_t accumulator_depth(const Mapping& m) const;
  void keep_panels(Mapping& m) const;
  [[nodiscard]] bool may_ring(const Mapping& m, std::size_t operand) const;
  [[nodiscard]] bool may_share(const Mapping& m) const;
  [[nodiscard]] bool may_share(std::size_t operand) const;
  void choose_sharing(Mapping& m, std::int64_t firings) const;
  /// What one component moves, and what all of them do, for a mapping's operands: tokens and bytes.
  struct Traffic {
    double loads = 0, load_bytes = 0, stores = 0, store_bytes = 0, casts = 0, cast_bytes = 0;
    double early = 0, early_loads = 0, early_bytes = 0, early_casts = 0, early_cast_bytes = 0;  ///< of what may be fetched early
    double panels = 0, beyond = 0;     ///< bytes of it in one scratchpad, all in all and beyond the channels' depth
    double first = 0, last_store = 0;  ///< bytes that nothing hides
    double relay = 0;                  ///< seconds
    double total = 0, footprint = 0;   ///< bytes of all components; those that are not in the cache
    double epilogue_points = 0, epilogue_tokens = 0;
    double burst = 0, sums = 1;  ///< bytes that all components move at once, whenever their sums are whole
    bool streams = false;        ///< factors, while sums are made
    bool waits_for_load = false;
  };
  /// `least`: as little as if all that may be shared were, and handing on cost nothing.
  [[nodiscard]] Traffic traffic_of(const Mapping& m, bool least) const;
  /// Fills the estimate. With more traffic, longer links or more storage no cost is less. Returns for how long the busier kind of mover
  /// is busy.
  double price(Mapping& m, const Traffic& traffic, std::int64_t firings, double links, double links_due) const;
  void estimate(Mapping& m, std::int64_t firings) const;
  [[nodiscard]] double rounds_of(const Mapping& m) const;
  [[nodiscard]] double firing_seconds(const Mapping& m) const;
  [[nodiscard]] const LinkLoads::Loads& link_loads(std::size_t operand, std::int64_t readers) const;
  [[nodiscard]] double link_seconds(std::int64_t instances, bool due, double enough) const;
  [[nodiscard]] std::int64_t reading_members(std::size_t operand, const Mapping& m) const;
  [[nodiscard]] std::int64_t more_for_readers(std::size_t operand, const Mapping& m) const;
  [[nodiscard]] double rate_of(const chip::Unit& unit, chip::OpClass op, numerics::Format format) const;
  [[nodiscard]] double cycles_of(const chip::Unit& unit, const KernelStatement& s) const;
  /// Bytes of the tile of a sum or of a value between statements, in fp32.
  static std::int64_t local_bytes(const KernelLocal& local, const Mapping& m);
  [[nodiscard]] std::int64_t aligned(std::int64_t bytes) const { return (bytes + alignment_ - 1) / alignment_ * alignment_; }
  [[nodiscard]] bool placed(std::size_t operand) const { return reach_[operand] == Reach::placed || reach_[operand] == Reach::handed; }
  [[nodiscard]] std::int64_t part_bytes(std::size_t operand, const Mapping& m) const;
  [[nodiscard]] std::int64_t bytes_of(std::size_t operand, std::int64_t elements) const { return (elements * bits_[operand] + 7) / 8; }

  const Machine& machine_;
  const Kernel& kernel_;
  const chip::Unit& unit_;
  const graph::Graph& g_;
  const std::vector<Reach>& reach_;
  chip::UnitId unit_id_, epilogue_id_;
  std::vector<std::uint64_t> masks_;              ///< per operand: dims its index depends on
  std::vector<std::vector<Extent>> extents_;      ///< per operand, innermost dimension first
  std::vector<std::vector<SharedIndex>> shared_;  ///< per operand; of those that are written
  std::vector<std::int64_t> bits_;                ///< per operand: of one element
  std::vector<double> footprint_;                 ///< per operand: bytes of its tensor
  std::int64_t capacity_ = 0, alignment_ = 1, accumulator_capacity_ = 0, granule_ = 1;
  bool accumulators_apart_ = false;
  MoverRates load_, store_, cast_;
  double context_price_ = 0;  ///< seconds, where what kernels hold decides how many contexts there are
  double off_rate_ = 1, cache_rate_ = 0, cache_bytes_ = 0, load_latency_ = 0;
  double issue_ = 0, clock_ = 1, startup_cycles_ = 0, main_rate_ = 1;
  std::optional<program::Widening> widening_;
  double epilogue_seconds_per_point_ = 0, epilogue_startup_ = 0;
  std::vector<double> cycles_per_point_;  ///< per statement that is no contraction and runs on the unit
  struct Carried {                        ///< over links, of one operand
    double bytes;                         ///< of an instance
    const LinkLoads::Loads* loads;        ///< none: it is stored
    bool exposed;                         ///< not fetched early
  };
  mutable LinkLoads links_;
  mutable std::vector<std::int64_t> linked_along_;  ///< instances along each dim for which `linked_` is
  mutable std::vector<std::vector<std::pair<std::int64_t, const LinkLoads::Loads*>>> linked_;  ///< per operand, by readers (-1: a ring)
  mutable std::vector<Carried> carried_;
  mutable double limit_ = kNoLimit;  ///< of what costs more, links are not looked at
  // Of the mapping at hand.
  mutable std::vector<std::int64_t> token_bytes_, tokens_, sharers_, along_;
  mutable std::int64_t firings_ = 1, placed_ = 0, accumulators_ = 0;
  mutable std::optional<double> firing_;
  mutable std::vector<double> wire_bytes_;
};

}  // namespace switchyard::compiler
