#include "report/distribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace switchyard::report {
namespace {

using numerics::Format;
using numerics::Tensor;

// Quantiles from tables (Abramowitz and Stegun 26.8; Kolmogorov's limit: Smirnov 1948).
TEST(Distribution, TailsAreThoseOfTables) {
  EXPECT_NEAR(chi_squared_tail(3.841459, 1), 0.05, 1e-6);
  EXPECT_NEAR(chi_squared_tail(18.307038, 10), 0.05, 1e-6);
  EXPECT_NEAR(chi_squared_tail(29.588298, 10), 0.001, 1e-7);
  EXPECT_NEAR(chi_squared_tail(67.327633, 100), 0.995, 1e-6);
  EXPECT_EQ(chi_squared_tail(0, 5), 1);
  EXPECT_NEAR(kolmogorov_tail(1.3581 / 1e4, 1e8), 0.05, 1e-4);
  EXPECT_NEAR(kolmogorov_tail(1.6276 / 1e4, 1e8), 0.01, 1e-4);
  EXPECT_NEAR(kolmogorov_tail(0.29408, 20), 0.05, 2e-3);  // exact for 20: 0.29408
  EXPECT_NEAR(normal_distribution(1.96, 0, 1), 0.975, 1e-4);
}

/// Numbers of another generator than ours.
std::vector<double> draws(
    std::uint64_t seed, int n, const std::function<double(double)>& change = [](double u) { return u; }) {
  std::mt19937_64 generator(seed);
  std::vector<double> out;
  for (int i = 0; i < n; ++i) out.push_back(change(std::uniform_real_distribution<double>(0, 1)(generator)));
  return out;
}
const auto kUniform = [](double x) { return uniform_distribution(x, 0, 1); };

TEST(Distribution, GoodNumbersPassAndBiasedOnesDoNot) {
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) refused += judge_continuous(draws(seed, 1000), kUniform).passed ? 0 : 1;
  EXPECT_LE(refused, 1);  // at a level of 1e-4
  EXPECT_FALSE(judge_continuous(draws(1, 4096, [](double u) { return u * u; }), kUniform).passed);
  EXPECT_FALSE(judge_continuous(draws(1, 4096, [](double u) { return 0.94 * u; }), kUniform).passed);
  EXPECT_FALSE(judge_continuous(draws(1, 4096, [](double u) { return std::floor(8 * u) / 8; }), kUniform).passed);
  double last = 0.3;
  EXPECT_FALSE(judge_continuous(draws(1, 4096, [&](double u) { return last = u < 0.1 ? last : u; }), kUniform).passed);  // repeats itself
  std::vector<double> even;
  for (int i = 0; i < 4096; ++i) even.push_back((i + 0.5) / 4096);
  EXPECT_FALSE(judge_continuous(even, kUniform).passed);  // too good
}

TEST(Distribution, ClassesAreCounted) {
  const std::vector<double> p{0.5, 0.3, 0.2, 0};
  const auto classes = [&](double shift) {
    std::vector<std::int64_t> out;
    for (const double u : draws(3, 4096)) out.push_back(u < 0.5 + shift ? 0 : u < 0.8 ? 1 : 2);
    return out;
  };
  EXPECT_TRUE(judge_classes(classes(0), p).passed);
  EXPECT_FALSE(judge_classes(classes(0.05), p).passed);
  EXPECT_FALSE(judge_classes({0, 3}, p).passed);
  EXPECT_FALSE(judge_classes({0, 4}, p).passed);
}

std::vector<Tensor> coins(const Tensor& p, int count, const std::function<double(double, std::int64_t)>& bias) {
  std::mt19937_64 generator(11);
  std::vector<Tensor> out;
  for (int d = 0; d < count; ++d) {
    Tensor t = numerics::make_tensor(Format::fp32, p.shape);
    for (std::int64_t i = 0; i < t.count(); ++i)
      t.set(i, std::uniform_real_distribution<double>(0, 1)(generator) < bias(p.at(i), i) ? 1 : 0);
    out.push_back(std::move(t));
  }
  return out;
}

TEST(Distribution, CoinsOfTheirOwnProbabilities) {
  const Tensor p = numerics::seeded_uniform(3, Format::fp32, {10}, 1);
  Tensor probabilities = p;
  for (std::int64_t i = 0; i < 10; ++i) probabilities.set(i, std::fabs(p.at(i)));
  probabilities.set(4, 0), probabilities.set(5, 1);
  const auto fair = [](double x, std::int64_t) { return x; };
  EXPECT_TRUE(judge_bernoulli(probabilities, coins(probabilities, 410, fair)).passed);
  EXPECT_FALSE(judge_bernoulli(probabilities, coins(probabilities, 410, [](double x, std::int64_t) { return x * 0.9; })).passed);
  EXPECT_FALSE(
      judge_bernoulli(probabilities, coins(probabilities, 410, [](double x, std::int64_t i) { return i == 5 ? 0.99 : x; })).passed);
  // One number for all elements: each by itself is right, their sum is not.
  std::mt19937_64 generator(7);
  std::vector<Tensor> together;
  for (int d = 0; d < 410; ++d) {
    const double u = std::uniform_real_distribution<double>(0, 1)(generator);
    Tensor t = numerics::make_tensor(Format::fp32, {10});
    for (std::int64_t i = 0; i < 10; ++i) t.set(i, u < probabilities.at(i) ? 1 : 0);
    together.push_back(std::move(t));
  }
  EXPECT_FALSE(judge_bernoulli(probabilities, together).passed);
  // The same numbers in every draw.
  EXPECT_FALSE(judge_bernoulli(probabilities, std::vector<Tensor>(410, together.front())).passed);
  together.front().set(0, 0.5);
  EXPECT_FALSE(judge_bernoulli(probabilities, together).passed);
}

TEST(Distribution, DropoutKeepsScaledValues) {
  const Tensor x = numerics::seeded_uniform(5, Format::fp32, {3, 4, 5}, 1);
  Tensor quarter = numerics::make_tensor(Format::fp32, x.shape);
  for (std::int64_t i = 0; i < x.count(); ++i) quarter.set(i, 0.25);
  const auto fair = [](double p, std::int64_t) { return p; };
  const std::vector<Tensor> dropped = coins(quarter, 70, fair);
  std::vector<Tensor> y, mask;
  for (const Tensor& d : dropped) {
    y.push_back(x), mask.push_back(numerics::make_tensor(Format::boolean, x.shape));
    for (std::int64_t i = 0; i < x.count(); ++i) {
      y.back().set(i, d.at(i) != 0 ? 0 : x.at(i) / 0.75);
      mask.back().set(i, d.at(i) != 0 ? 0 : 1);
    }
  }
  EXPECT_TRUE(judge_dropout(x, 0.25, 1e-6, y, mask).passed);
  EXPECT_TRUE(judge_dropout(x, 0.25, 1e-6, y, {}).passed);
  EXPECT_FALSE(judge_dropout(x, 0.3, 1e-6, y, mask).passed);  // kept values have another scale
  mask[3].set(7, 1 - mask[3].at(7));
  EXPECT_FALSE(judge_dropout(x, 0.25, 1e-6, y, mask).passed);
  y[0].set(0, x.at(0));
  EXPECT_FALSE(judge_dropout(x, 0.25, 1e-6, y, {}).passed);
}

}  // namespace
}  // namespace switchyard::report
