#include "report/distribution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "support/check.h"

namespace switchyard::report {

using numerics::Tensor;

namespace {

constexpr int kMaxTerms = 10000;
constexpr double kEnough = 1e-15;

/// Q(a, x) by the series of P for small x and Lentz's continued fraction for large (DLMF 8.11.4 and 8.9.2).
double upper_gamma(double a, double x) {
  if (!(x > 0)) return 1;
  const double scale = std::exp(-x + a * std::log(x) - std::lgamma(a));
  if (x < a + 1) {
    double term = 1 / a, sum = term;
    for (int n = 1; n < kMaxTerms && term > sum * kEnough; ++n) sum += term *= x / (a + n);
    return std::max(0.0, 1 - sum * scale);
  }
  constexpr double kTiny = 1e-300;
  double b = x + 1 - a, c = 1 / kTiny, d = 1 / b, h = d;
  for (int n = 1; n < kMaxTerms; ++n) {
    const double an = -n * (n - a);
    b += 2;
    d = an * d + b;
    c = b + an / c;
    d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
    if (std::fabs(c) < kTiny) c = kTiny;
    h *= d * c;
    if (std::fabs(d * c - 1) < kEnough) break;
  }
  return h * scale;
}

/// Too far away is wrong, and so is too near: numbers that are not random at all fit too well.
bool plausible(double tail) { return tail >= kLevel && tail <= 1 - kLevel; }

}  // namespace

double chi_squared_tail(double statistic, double degrees) { return upper_gamma(degrees / 2, statistic / 2); }

double kolmogorov_tail(double distance, double count) {
  const double root = std::sqrt(count), t = (root + 0.12 + 0.11 / root) * distance;
  if (t < 0.2) return 1;
  double sum = 0;
  for (int k = 1; k <= 100; ++k) {
    const double term = std::exp(-2 * t * t * k * k);
    sum += (k % 2 == 1 ? 2 : -2) * term;
    if (term < kEnough) break;
  }
  return std::clamp(sum, 0.0, 1.0);
}

double kolmogorov_distance(std::vector<double> draws, const std::function<double(double)>& distribution) {
  std::sort(draws.begin(), draws.end());
  const auto n = static_cast<double>(draws.size());
  double distance = 0;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const double f = distribution(draws[i]);
    distance = std::max({distance, static_cast<double>(i + 1) / n - f, f - static_cast<double>(i) / n});
  }
  return distance;
}

double uniform_distribution(double x, double low, double high) { return std::clamp((x - low) / (high - low), 0.0, 1.0); }
double normal_distribution(double x, double mean, double deviation) {
  return std::erfc((mean - x) / (deviation * std::numbers::sqrt2)) / 2;
}

Verdict judge_continuous(const std::vector<double>& draws, const std::function<double(double)>& distribution) {
  SY_CHECK(draws.size() > 1, "draws to judge");
  if (std::any_of(draws.begin(), draws.end(), [](double x) { return !std::isfinite(x); })) return {false, "a draw is no number"};
  const auto n = static_cast<double>(draws.size());
  const double distance = kolmogorov_distance(draws, distribution), tail = kolmogorov_tail(distance, n);
  // Brought to uniform numbers, products of neighbours around their mean have variance 1/144.
  double sum = 0;
  for (std::size_t i = 0; i + 1 < draws.size(); ++i) sum += (distribution(draws[i]) - 0.5) * (distribution(draws[i + 1]) - 0.5);
  const double correlation = 12 * sum / (n - 1), neighbours = std::erfc(std::fabs(correlation) * std::sqrt((n - 1) / 2));
  return {plausible(tail) && neighbours >= kLevel,
          fmt::format("{} draws: Kolmogorov-Smirnov distance {:.2g} (p {:.2g}), correlation of neighbours {:.2g} (p {:.2g})", draws.size(),
                      distance, tail, correlation, neighbours)};
}

Verdict judge_classes(const std::vector<std::int64_t>& draws, const std::vector<double>& probabilities) {
  std::vector<double> counts(probabilities.size(), 0);
  for (const std::int64_t c : draws) {
    if (c < 0 || static_cast<std::size_t>(c) >= counts.size())
      return {false, fmt::format("class {} was drawn, there are {}", c, counts.size())};
    ++counts[static_cast<std::size_t>(c)];
  }
  double statistic = 0, degrees = -1;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    const double expected = probabilities[c] * static_cast<double>(draws.size());
    if (expected == 0) {
      if (counts[c] > 0) return {false, fmt::format("class {} was drawn, its probability is 0", c)};
      continue;
    }
    statistic += (counts[c] - expected) * (counts[c] - expected) / expected;
    ++degrees;
  }
  const double tail = degrees < 1 ? 0.5 : chi_squared_tail(statistic, degrees);
  return {plausible(tail),
          fmt::format("{} draws of {} classes: chi-squared {:.3g} (p {:.2g})", draws.size(), counts.size(), statistic, tail)};
}

Verdict judge_bernoulli(const Tensor& probabilities, const std::vector<Tensor>& draws) {
  SY_CHECK(!draws.empty(), "draws to judge");
  const std::int64_t count = draws.front().count();
  const bool alike = probabilities.count() == 1;
  SY_CHECK(alike || probabilities.count() == count, "a probability for each element");
  std::vector<double> ones(static_cast<std::size_t>(count), 0);
  double variance = 0, over_draws = 0;
  const auto p_of = [&](std::int64_t i) { return probabilities.at(alike ? 0 : i); };
  for (std::int64_t i = 0; i < count; ++i) variance += p_of(i) * (1 - p_of(i));
  for (const Tensor& draw : draws) {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double x = draw.at(i), p = p_of(i);
      if (x != 0 && x != 1) return {false, fmt::format("element {} is {:.9g}, neither 0 nor 1", i, x)};
      if (x != p && (p == 0 || p == 1)) return {false, fmt::format("element {} is {}, its probability of 1 is {}", i, x, p)};
      ones[static_cast<std::size_t>(i)] += x;
      sum += x - p;
    }
    if (variance > 0) over_draws += sum * sum / variance;
  }
  const auto n = static_cast<double>(draws.size());
  double over_elements = 0, degrees = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double p = p_of(i), difference = ones[static_cast<std::size_t>(i)] - n * p;
    if (!(p > 0 && p < 1)) continue;
    over_elements += difference * difference / (n * p * (1 - p));
    ++degrees;
  }
  if (degrees == 0) return {true, fmt::format("{} draws of {} elements, none of them left to chance", draws.size(), count)};
  const double elements = chi_squared_tail(over_elements, degrees), sums = chi_squared_tail(over_draws, n);
  return {plausible(elements) && plausible(sums),
          fmt::format("{} draws of {} elements: chi-squared over elements {:.3g} (p {:.2g}), over draws {:.3g} (p {:.2g})", draws.size(),
                      count, over_elements, elements, over_draws, sums)};
}

Verdict judge_dropout(const Tensor& x, double ratio, double rtol, const std::vector<Tensor>& draws, const std::vector<Tensor>& masks) {
  SY_CHECK(masks.empty() || masks.size() == draws.size(), "a mask for each draw");
  std::vector<std::int64_t> told;  // elements that tell whether they were kept
  for (std::int64_t i = 0; i < x.count(); ++i)
    if (!masks.empty() || x.at(i) != 0) told.push_back(i);
  if (told.empty()) return {false, "every element is 0: nothing tells what was kept"};
  std::vector<Tensor> dropped;
  for (std::size_t d = 0; d < draws.size(); ++d) {
    Tensor gone = numerics::make_tensor(numerics::Format::fp32, {static_cast<std::int64_t>(told.size())});
    for (std::size_t k = 0; k < told.size(); ++k) {
      const std::int64_t i = told[k];
      const double y = draws[d].at(i), kept = x.at(i) / (1 - ratio);
      const bool zero = masks.empty() ? y == 0 : masks[d].at(i) == 0;
      if (zero ? y != 0 : !(std::fabs(y - kept) <= rtol * std::fabs(kept)))
        return {false,
                fmt::format("element {} is {:.9g} where it was {}, it should be {:.9g}", i, y, zero ? "dropped" : "kept", zero ? 0 : kept)};
      gone.set(static_cast<std::int64_t>(k), zero ? 1 : 0);
    }
    dropped.push_back(std::move(gone));
  }
  Tensor p = numerics::make_tensor(numerics::Format::fp64, {});
  p.set(0, ratio);
  Verdict verdict = judge_bernoulli(p, dropped);
  verdict.text += fmt::format("; what is kept is x / {:.3g}", 1 - ratio);
  return verdict;
}

}  // namespace switchyard::report
