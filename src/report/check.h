// Checks of executed values: against expected tensors, and of every operator against the reference evaluator.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compiler/compiler.h"
#include "graph/graph.h"
#include "numerics/tensor.h"
#include "simulation/execute.h"

namespace switchyard::report {

/// |got - expected| <= atol + rtol * |expected|, element by element. Derivation: docs/checking.md.
struct Tolerance {
  double rtol = 0, atol = 0;
};

/// The default for outputs of a program computed in `precision`, `depth` operators deep, against expectations of which the largest
/// magnitude is `largest`. `declared` is the output's type in the model: integers are compared exactly.
Tolerance default_tolerance(numerics::Format precision, numerics::Format declared, std::int64_t depth, double largest);

/// The default where the program was also run with every stored number moved by one unit in its last place, which moved this output by
/// `moved` (root mean square).
Tolerance measured_tolerance(numerics::Format precision, double moved, double largest);

/// Operators on the longest path from an input to an output.
std::int64_t graph_depth(const graph::Graph& graph);
/// The largest finite magnitude in a tensor.
double largest_magnitude(const numerics::Tensor& tensor);

/// Errors gathered over pairs of values. Equal NaNs and equal infinities count as no error.
class ErrorSummary {
 public:
  void add(double got, double expected);
  [[nodiscard]] double max_abs() const { return max_abs_; }        ///< infinite when NaN or infinity met something else
  [[nodiscard]] double max_abs_of() const { return max_abs_of_; }  ///< what was expected there: -1e30 fills masks, and rounds by 1e22
  [[nodiscard]] double max_rel() const { return max_rel_; }        ///< over expected values other than zero
  [[nodiscard]] double cosine() const;                             ///< over finite pairs; 1 for two zero vectors
  /// Signal-to-noise ratio over finite pairs: 10 log10 of the squares of what is expected over those of the errors; infinite without any.
  [[nodiscard]] double snr_db() const;
  /// Root of the squares of the errors over those of what is expected.
  [[nodiscard]] double rms_rel() const;

 private:
  double max_abs_ = 0, max_abs_of_ = 0, max_rel_ = 0, dot_ = 0, got_squared_ = 0, expected_squared_ = 0, error_squared_ = 0;
};

/// |got - expected| / allowed, infinite where that is no number: of two values that are not the same.
double share_of_allowed(double got, double expected, double allowed);

/// Row-major position -> index.
std::vector<std::int64_t> unflatten(std::int64_t flat, const numerics::Shape& shape);

/// Where values first part.
struct Divergence {
  std::string op;  ///< the operator; for an output compared with a file, the one that makes it
  std::string tensor;
  std::vector<std::int64_t> index;
  double got = 0, expected = 0, tolerance = 0;
  std::string context;             ///< where the operator ran; may be empty
  std::vector<std::string> fused;  ///< operators of the context computed together with it
  std::string copies;              ///< where two places that hold one tensor differ: which; `got` is in the second, `expected` in the first
};

struct CheckReport {
  bool executed = false;
  std::string against = "none";  ///< "expect", "reference" (recomputed points) or "none"
  std::int64_t outputs = 0;      ///< tensors compared
  std::int64_t points = 0;       ///< values compared
  double max_abs_error = 0, max_rel_error = 0, cosine = 1;
  double max_abs_error_of = 0;  ///< the expected value with the greatest error
  double worst_share = 0;       ///< greatest error over what is allowed where it is; above 1 where the check fails
  bool passed = true;
  std::vector<Tolerance> tolerances;  ///< expect: one per output
  std::string rule;                   ///< the tolerance in words
  std::optional<Divergence> first;
  bool operators_agree = false;  ///< a failed expectation although every operator agrees with the reference
};

/// Compares outputs with expectations of the same shapes (a different shape fails). `names[k]` and `makers[k]` (operators; may be empty)
/// name output k.
CheckReport compare_outputs(const std::vector<numerics::Tensor>& outputs, const std::vector<numerics::Tensor>& expected,
                            const std::vector<Tolerance>& tolerances, const std::vector<std::string>& names,
                            const std::vector<std::string>& makers);

struct OperatorCheckOptions {
  bool full = false;  ///< every point instead of kSampledPoints
  std::uint64_t seed = 0;
  int threads = 1;
};
inline constexpr std::int64_t kSampledPoints = 256;

/// Flat positions to recompute: all where there are no more than `count`, else the corners and seeded others; ascending, distinct.
std::vector<std::int64_t> sample_points(const numerics::Shape& shape, std::int64_t count, std::uint64_t seed);

/// Recomputes points of what each context wrote from what it read, with the graph's reference evaluator. Feed it from
/// simulation::ExecuteOptions::after_context. The graph and the program must outlive it.
class OperatorChecker {
 public:
  OperatorChecker(const compiler::Compiled& compiled, const OperatorCheckOptions& options);
  void check_context(program::ContextId context, const simulation::BufferReader& read);
  [[nodiscard]] const CheckReport& result() const;  ///< after all contexts
  [[nodiscard]] double seconds() const { return seconds_; }

 private:
  void check_copies(const compiler::ContextMap& map, program::ContextId context, const simulation::BufferReader& read);
  void check_moved(const numerics::Tensor& from, program::BufferId source, const numerics::Tensor& to, program::BufferId target,
                   graph::TensorId tensor, program::ContextId context);
  void fail(Divergence divergence);
  [[nodiscard]] std::vector<std::vector<std::int64_t>> points_written(const graph::Op& op, graph::TensorId tensor,
                                                                      const std::string& name) const;

  const compiler::Compiled& compiled_;
  OperatorCheckOptions options_;
  ErrorSummary errors_;
  std::set<program::BufferId> agreed_;  ///< spread buffers whose copies agree
  mutable CheckReport report_;
  double seconds_ = 0;
};

}  // namespace switchyard::report
