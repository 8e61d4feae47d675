#include "report/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace switchyard::report {
namespace {

/// Equal numbers, equal infinities, or both NaN.
bool same_value(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

}  // namespace

double share_of_allowed(double got, double expected, double allowed) {
  const double error = std::abs(got - expected);
  if (!(std::isfinite(error) && std::isfinite(allowed))) return std::numeric_limits<double>::infinity();
  if (error == 0) return 0;
  return allowed > 0 ? error / allowed : std::numeric_limits<double>::infinity();
}

std::vector<std::int64_t> unflatten(std::int64_t flat, const numerics::Shape& shape) {
  std::vector<std::int64_t> index(shape.size(), 0);
  for (std::size_t d = shape.size(); d-- > 0;) {
    index[d] = flat % shape[d];
    flat /= shape[d];
  }
  return index;
}

Tolerance default_tolerance(numerics::Format precision, numerics::Format declared, std::int64_t depth, double largest) {
  if (!numerics::format_info(declared).floating) return {0, 0};
  // Each of the depth operators rounds its result once, and the inputs were rounded too. Roundings are independent: they add as a random
  // walk. kWalk covers the largest of many elements and the gain of layers whose mean cancels; docs/checking.md says how it was found.
  constexpr double kWalk = 6;
  const double u = std::max(numerics::unit_roundoff(precision), numerics::unit_roundoff(declared));
  const double walk = kWalk * u * std::sqrt(static_cast<double>(depth) + 1) * largest;
  return {std::max(1e-3, 2 * u), std::max(1e-5, walk)};
}

Tolerance measured_tolerance(numerics::Format precision, double moved, double largest) {
  // Rounding to nearest is uniform over one unit: 0.29 units root mean square, once for the constants and about as much for the results of
  // operators, so the outputs' error is near 0.4 of `moved`, and the greatest of a million errors five times that. kMargin doubles it.
  constexpr double kMargin = 4;
  const double u = numerics::unit_roundoff(precision);
  return {2 * u, std::max(kMargin * moved, u * u * largest)};
}

std::int64_t graph_depth(const graph::Graph& graph) {
  std::vector<std::int64_t> depth(graph.tensors.size(), 0);
  std::int64_t deepest = 0;
  for (const graph::Op& op : graph.ops) {
    std::int64_t here = 0;
    for (const graph::TensorId operand : op.operands) here = std::max(here, depth[operand.index()]);
    for (const graph::TensorId result : op.results) depth[result.index()] = here + 1;
    deepest = std::max(deepest, here + 1);
  }
  return deepest;
}

double largest_magnitude(const numerics::Tensor& tensor) {
  double largest = 0;
  const std::int64_t count = tensor.count();
  for (std::int64_t i = 0; i < count; ++i) {
    const double magnitude = std::abs(tensor.at(i));
    if (std::isfinite(magnitude)) largest = std::max(largest, magnitude);
  }
  return largest;
}

void ErrorSummary::add(double got, double expected) {
  if (!std::isfinite(got) || !std::isfinite(expected)) {
    if (same_value(got, expected)) return;
    max_abs_ = max_rel_ = std::numeric_limits<double>::infinity();
    max_abs_of_ = expected;
    return;
  }
  const double error = std::abs(got - expected);
  if (error > max_abs_) max_abs_ = error, max_abs_of_ = expected;
  if (expected != 0) max_rel_ = std::max(max_rel_, error / std::abs(expected));
  error_squared_ += error * error;
  dot_ += got * expected;
  got_squared_ += got * got;
  expected_squared_ += expected * expected;
}

double ErrorSummary::cosine() const {
  if (got_squared_ == 0 && expected_squared_ == 0) return 1;
  const double norms = std::sqrt(got_squared_) * std::sqrt(expected_squared_);
  return norms > 0 ? std::clamp(dot_ / norms, -1.0, 1.0) : 0;
}

double ErrorSummary::snr_db() const {
  if (error_squared_ == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(expected_squared_ / error_squared_);
}

double ErrorSummary::rms_rel() const {
  if (error_squared_ == 0) return 0;
  return expected_squared_ > 0 ? std::sqrt(error_squared_ / expected_squared_) : std::numeric_limits<double>::infinity();
}

CheckReport compare_outputs(const std::vector<numerics::Tensor>& outputs, const std::vector<numerics::Tensor>& expected,
                            const std::vector<Tolerance>& tolerances, const std::vector<std::string>& names,
                            const std::vector<std::string>& makers) {
  SY_CHECK(outputs.size() == expected.size() && outputs.size() == tolerances.size() && outputs.size() == names.size(), "one of each");
  CheckReport report;
  report.executed = true;
  report.against = "expect";
  report.outputs = static_cast<std::int64_t>(outputs.size());
  report.tolerances = tolerances;
  ErrorSummary errors;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const Tolerance& tolerance = tolerances[k];
    report.rule += fmt::format("{}{}: |error| <= {:.3g} + {:.3g} |expected|", k == 0 ? "" : "; ", names[k], tolerance.atol, tolerance.rtol);
    const auto diverges = [&](std::int64_t flat, double got, double want, double allowed) {
      report.passed = false;
      if (report.first) return;
      report.first =
          Divergence{k < makers.size() ? makers[k] : "", names[k], unflatten(flat, outputs[k].shape), got, want, allowed, {}, {}};
    };
    SY_CHECK(outputs[k].shape == expected[k].shape, "shapes are compared when expectations are read");
    const std::int64_t count = outputs[k].count();
    for (std::int64_t i = 0; i < count; ++i) {
      const double got = outputs[k].at(i), want = expected[k].at(i);
      errors.add(got, want);
      if (same_value(got, want)) continue;
      const double allowed = tolerance.atol + tolerance.rtol * std::abs(want);
      report.worst_share = std::max(report.worst_share, share_of_allowed(got, want, allowed));
      // Infinity would allow anything, and NaN compares false.
      if (!std::isfinite(want) || !(std::abs(got - want) <= allowed)) diverges(i, got, want, allowed);
    }
    report.points += count;
  }
  report.max_abs_error = errors.max_abs();
  report.max_abs_error_of = errors.max_abs_of();
  report.max_rel_error = errors.max_rel();
  report.cosine = errors.cosine();
  return report;
}

std::vector<std::int64_t> sample_points(const numerics::Shape& shape, std::int64_t count, std::uint64_t seed) {
  const std::int64_t total = numerics::element_count(shape);
  std::vector<std::int64_t> points;
  if (total <= count) {
    for (std::int64_t i = 0; i < total; ++i) points.push_back(i);
    return points;
  }
  const std::vector<std::int64_t> strides = numerics::row_major_strides(shape);
  // Corners: bit d of the number says which end of dimension d. Only long dimensions have two ends; half the points are left to chance.
  std::vector<std::size_t> dims;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] > 1) dims.push_back(d);
  }
  std::size_t free = 0;
  while (free < dims.size() && (std::int64_t{2} << free) <= count / 2) ++free;
  for (std::size_t corner = 0; corner < (std::size_t{1} << free); ++corner) {
    std::int64_t flat = 0;
    for (std::size_t b = 0; b < dims.size(); ++b) {
      // Dimensions beyond the free ones follow the last bit, so that the very first and last elements are always among the corners.
      if ((corner >> std::min(b, free - 1)) & 1) flat += (shape[dims[b]] - 1) * strides[dims[b]];
    }
    points.push_back(flat);
  }
  for (std::uint64_t i = 0; static_cast<std::int64_t>(points.size()) < count; ++i) {
    points.push_back(static_cast<std::int64_t>(numerics::mix(seed, i) % static_cast<std::uint64_t>(total)));
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

}  // namespace switchyard::report
