#include "report/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "report/text.h"

namespace switchyard::report {

double signed_error(const Measurement& m, const Prediction& p) {
  const double predicted = static_cast<double>((p.time + p.overhead).value) * 1e-6;
  return 100 * (predicted / m.best_us - 1);
}

ErrorStatistics error_statistics(std::vector<double> errors) {
  ErrorStatistics s;
  s.n = static_cast<std::int64_t>(errors.size());
  if (errors.empty()) return s;
  for (double& e : errors) {
    s.bias += e;
    e = std::abs(e);
    s.mape += e;
  }
  const auto n = static_cast<double>(errors.size());
  s.bias /= n;
  s.mape /= n;
  std::sort(errors.begin(), errors.end());
  const auto quantile = [&](double q) {  // linear between the two nearest ranks
    const double at = q * (n - 1);
    const auto low = static_cast<std::size_t>(at);
    const std::size_t high = std::min(low + 1, errors.size() - 1);
    return errors[low] + (at - static_cast<double>(low)) * (errors[high] - errors[low]);
  };
  s.median = quantile(0.5);
  s.p90 = quantile(0.9);
  return s;
}

Validation summarise_validation(std::vector<Measurement> measurements, std::vector<Prediction> predictions) {
  Validation v;
  v.measurements = std::move(measurements);
  v.predictions = std::move(predictions);
  std::map<std::tuple<std::string, std::string, std::string, std::string>, std::vector<std::size_t>> groups;
  std::map<std::string, std::int64_t> skipped;
  std::vector<double> all;
  for (std::size_t i = 0; i < v.measurements.size(); ++i) {
    const Measurement& m = v.measurements[i];
    const Prediction& p = v.predictions[i];
    if (!p.skipped.empty()) {
      ++skipped[p.skipped];
      continue;
    }
    std::string variant = m.variant;
    const auto add = [&](const std::string& what) { variant += (variant.empty() ? "" : ", ") + what; };
    for (const auto& [key, value] : m.operation.shape)
      if (key == "kv" && value != m.format) add("cache " + value);
    if (!near_best(m)) add("one library");
    groups[{m.chip, m.operation.name, m.format, variant}].push_back(i);
    all.push_back(signed_error(m, p));
    if (p.time < p.bound) ++v.below_bound;
    if (!p.attributed) ++v.unattributed;
  }
  for (auto& [key, rows] : groups) {
    ValidationGroup group;
    std::tie(group.chip, group.op, group.format, group.variant) = key;
    std::vector<double> errors;
    for (const std::size_t i : rows) errors.push_back(signed_error(v.measurements[i], v.predictions[i]));
    group.errors = error_statistics(std::move(errors));
    group.rows = std::move(rows);
    v.groups.push_back(std::move(group));
  }
  v.overall = error_statistics(std::move(all));
  v.skipped.assign(skipped.begin(), skipped.end());
  return v;
}

std::string print_validation(const Validation& v) {
  constexpr int kName = 15, kOp = 18, kFormat = 22;
  std::string out = fmt::format("{}{}{}{}\n", pad_right("chip", kName), pad_right("operator", kOp), pad_right("format", kFormat),
                                "     n  median %   p90 %  mape %  bias %");
  const auto line = [&](const std::string& chip, const std::string& op, const std::string& format, const ErrorStatistics& e) {
    out += fmt::format("{}{}{}{:6} {:9.1f} {:7.1f} {:7.1f} {:+7.1f}\n", pad_right(chip, kName), pad_right(op, kOp),
                       pad_right(format, kFormat), e.n, e.median, e.p90, e.mape, e.bias);
  };
  for (const ValidationGroup& g : v.groups) line(g.chip, g.op, g.variant.empty() ? g.format : g.format + " " + g.variant, g.errors);
  if (v.overall.n > 0) line("all", "", "", v.overall);
  std::int64_t skipped = 0;
  for (const auto& [reason, n] : v.skipped) skipped += n;
  if (skipped > 0) out += fmt::format("\nskipped: {} of {} rows\n", skipped, v.measurements.size());
  for (const auto& [reason, n] : v.skipped) out += fmt::format("  {:6}  {}\n", n, reason);
  if (v.below_bound > 0) out += fmt::format("\n{} rows are predicted below their lower bound\n", v.below_bound);
  if (v.unattributed > 0) out += fmt::format("\n{} rows have causes that do not add up to their time\n", v.unattributed);
  return out;
}

std::string print_validation_rows(const Validation& v) {
  std::string out = "chip,op,shape,format,variant,source,library,n,best_us,predicted_us,bound_us,error_percent,skipped\n";
  const auto quoted = [](const std::string& text) {
    if (text.find_first_of(",\"") == std::string::npos) return text;
    std::string q = "\"";
    for (const char c : text) q += c == '"' ? std::string("\"\"") : std::string(1, c);
    return q + "\"";
  };
  for (std::size_t i = 0; i < v.measurements.size(); ++i) {
    const Measurement& m = v.measurements[i];
    const Prediction& p = v.predictions[i];
    std::string shape;
    for (const auto& [key, value] : m.operation.shape) shape += (shape.empty() ? "" : ";") + key + "=" + value;
    out += fmt::format("{},{},{},{},{},{},{},{},{:.9g}", quoted(m.chip), quoted(m.operation.name), quoted(shape), quoted(m.format),
                       quoted(m.variant), quoted(m.source), quoted(m.library), m.repeats, m.best_us);
    if (p.skipped.empty())
      out += fmt::format(",{},{},{:.2f},\n", exact_microseconds(p.time + p.overhead), exact_microseconds(p.bound), signed_error(m, p));
    else
      out += fmt::format(",,,,{}\n", quoted(p.skipped));
  }
  return out;
}

}  // namespace switchyard::report
