// Pictures of a validation: predicted over measured times on logarithmic axes, and how the errors are distributed.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "report/svg.h"
#include "report/validation.h"

namespace switchyard::report {
namespace {

constexpr double kPanel = 260, kGap = 50, kHead = 40, kHistogram = 90;
constexpr int kBins = 40;
constexpr double kWorst = 100;  ///< percent: what is beyond goes to the last bin
constexpr const char* kInk = "#333333";
constexpr const char* kPale = "#cccccc";

void draw_scatter(Svg& svg, const Validation& v, const ValidationGroup& group, double x0, double y0) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  std::vector<std::array<double, 2>> points;
  for (const std::size_t i : group.rows) {
    const double measured = v.measurements[i].best_us;
    const double predicted = measured * (1 + signed_error(v.measurements[i], v.predictions[i]) / 100);
    points.push_back({measured, predicted});
    least = std::min({least, measured, predicted});
    most = std::max({most, measured, predicted});
  }
  const double low = std::floor(std::log10(least)), high = std::max(low + 1, std::ceil(std::log10(most)));
  const auto along = [&](double us) { return (std::log10(us) - low) / (high - low) * kPanel; };
  svg.box(x0, y0, kPanel, kPanel, {"#ffffff", 1, kPale});
  svg.line(x0, y0 + kPanel, x0 + kPanel, y0, {kPale, 1}, "predicted = measured");
  for (double decade = low; decade <= high; ++decade) {
    const double at = (decade - low) / (high - low) * kPanel;
    svg.text(x0 + at, y0 + kPanel + 12, fmt::format("1e{:.0f}", decade), {9, kInk, false, "middle"});
    svg.text(x0 - 4, y0 + kPanel - at + 3, fmt::format("1e{:.0f}", decade), {9, kInk, false, "end"});
  }
  for (const auto& [measured, predicted] : points)
    svg.box(x0 + along(measured) - 1, y0 + kPanel - along(predicted) - 1, 2, 2, {"#1f77b4", 0.4, {}});
  svg.text(x0 + kPanel / 2, y0 + kPanel + 26, "measured us (across), predicted us (up)", {9, kInk, false, "middle"});
}

void draw_histogram(Svg& svg, const Validation& v, const ValidationGroup& group, double x0, double y0) {
  std::array<std::int64_t, kBins> bins{};
  for (const std::size_t i : group.rows) {
    const double e = std::clamp(signed_error(v.measurements[i], v.predictions[i]), -kWorst, kWorst);
    ++bins[static_cast<std::size_t>(std::min<double>(kBins - 1, (e + kWorst) / (2 * kWorst) * kBins))];
  }
  const auto most = static_cast<double>(std::max<std::int64_t>(1, *std::max_element(bins.begin(), bins.end())));
  for (int b = 0; b < kBins; ++b) {
    const double height = static_cast<double>(bins[static_cast<std::size_t>(b)]) / most * kHistogram;
    svg.box(x0 + b * kPanel / kBins, y0 + kHistogram - height, kPanel / kBins - 1, height, {"#2ca02c", 0.8, {}},
            fmt::format("{} rows", bins[static_cast<std::size_t>(b)]));
  }
  svg.line(x0 + kPanel / 2, y0, x0 + kPanel / 2, y0 + kHistogram, {kInk, 1});
  for (const double e : {-kWorst, -50.0, 0.0, 50.0, kWorst})
    svg.text(x0 + (e + kWorst) / (2 * kWorst) * kPanel, y0 + kHistogram + 12, fmt::format("{:+.0f} %", e), {9, kInk, false, "middle"});
}

}  // namespace

std::string draw_validation(const Validation& v) {
  constexpr int kColumns = 4;
  constexpr double kWide = kPanel + kGap, kHigh = kHead + kPanel + kHistogram + 80;
  Svg svg;
  int number = 0;
  for (const ValidationGroup& group : v.groups) {
    const double x0 = kGap + number % kColumns * kWide, y0 = kHead + number / kColumns * kHigh;
    svg.text(x0, y0 - 18, fmt::format("{} {} {} {}", group.chip, group.op, group.format, group.variant), {12, kInk, true, "start"});
    svg.text(x0, y0 - 5,
             fmt::format("n {}, median {:.1f} %, p90 {:.1f} %, bias {:+.1f} %", group.errors.n, group.errors.median, group.errors.p90,
                         group.errors.bias),
             {10, kInk, false, "start"});
    draw_scatter(svg, v, group, x0, y0);
    draw_histogram(svg, v, group, x0, y0 + kPanel + 38);
    ++number;
  }
  return svg.finish(kGap + std::min(number, kColumns) * kWide, kHead + (number + kColumns - 1) / kColumns * kHigh);
}

}  // namespace switchyard::report
