// A statement of an actor, prepared once per context: strides, arithmetic and the way it will be run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "program/program.h"
#include "program/sequence.h"
#include "support/result.h"

namespace switchyard::simulation::functional {

enum class Arithmetic : std::uint8_t { fp32, fp64, int32, int64 };

/// How the points of a statement are visited.
enum class Method : std::uint8_t {
  contraction,  ///< packed panels and the blocked kernel (fp32)
  rows,         ///< node by node over rows
  copy,         ///< no arithmetic, no conversion: strided moves of bytes
  sequential,   ///< point by point in the listed order: the statement reads what it writes
};

/// An access with everything resolved to elements; `step` has one entry per dim of the statement.
struct AccessPlan {
  int slot = 0;
  numerics::Format format = numerics::Format::fp32;
  int bytes = 4;
  std::int64_t constant = 0;
  std::vector<std::int64_t> step;
  /// The same where a port's token stands in a part of a spread buffer. Empty: the port has no place.
  std::int64_t part_constant = 0;
  std::vector<std::int64_t> part_step;
  bool windowed = false;
  std::int64_t window_constant = 0;
  std::vector<std::int64_t> window_step;
  /// An index that may leave the token: outside [0, extent) the value is `fill`. With a window the position may be one of them.
  struct Check {
    std::int64_t constant = 0, extent = 0;
    std::vector<std::int64_t> step;
  };
  std::vector<Check> checks;
  double fill = 0;
};

struct StatementPlan {
  std::vector<program::Range> guard;
  std::vector<int> dims;  ///< of the actor
  std::vector<numerics::LoopKind> kinds;
  std::vector<AccessPlan> reads;
  AccessPlan write;
  bool to_port = false;  ///< starts from the combiner's identity
  numerics::Expression expression;
  numerics::Combiner combiner = numerics::Combiner::none;
  bool contraction = false;   ///< one fused multiply-add per step
  int first = 0, second = 0;  ///< contraction: its two reads
  Arithmetic arithmetic = Arithmetic::fp32;
  Method method = Method::rows;
  /// Contraction: places in `dims` by role. m: first and result, n: second and result, k: reductions, batch: all three.
  std::vector<int> m, n, k, batch;
  double cost = 0;  ///< rough nanoseconds of a full tile: whether threads pay
};

/// Failure: simulation/unsupported (an accumulate format whose steps are not modelled).
Result<StatementPlan> plan_statement(const program::Program& program, const program::Actor& actor, const program::Statement& statement);

/// The same statement with the tokens of some ports (bit p: port p) where they stand in their parts.
StatementPlan in_parts(StatementPlan plan, std::uint64_t ports);

/// Where a slot's elements lie during one firing.
struct SlotView {
  std::byte* data = nullptr;
  const std::byte* const* window = nullptr;  ///< per position of a windowed port: a token or the pad value
};

/// Scratch of one thread, kept between firings.
struct Workspace {
  std::vector<float> a, b, c, acc32, rows32;
  std::vector<double> acc64, rows64;
  std::vector<std::int64_t> acc_int, rows_int;
};

/// Runs the statement over the first extents[d] indices of each of its dims.
void run_statement(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots, Workspace& workspace);

// The methods; extents are positive.
void run_contraction(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots,
                     Workspace& workspace);
void run_rows(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots, Workspace& workspace);

}  // namespace switchyard::simulation::functional
