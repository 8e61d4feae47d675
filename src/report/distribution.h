// Judging random numbers by their distribution: tests of fit at a stated level, which a biased generator fails.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "numerics/tensor.h"

namespace switchyard::report {

/// A test refuses when what it sees, or worse, would come from the right distribution with less than this probability.
inline constexpr double kLevel = 1e-4;

/// Probability that chi-squared with so many degrees of freedom is at least `statistic` (the regularised incomplete gamma function).
double chi_squared_tail(double statistic, double degrees);
/// Probability that the empirical distribution of `count` draws lies at least `distance` away (Kolmogorov's limit, with Stephens'
/// correction for finite counts, 1970).
double kolmogorov_tail(double distance, double count);
/// Largest distance between the empirical distribution of the draws and a continuous one.
double kolmogorov_distance(std::vector<double> draws, const std::function<double(double)>& distribution);

struct Verdict {
  bool passed = false;
  std::string text;  ///< what was tested, with numbers
};

/// Draws of a continuous distribution: Kolmogorov-Smirnov, and the correlation of neighbours.
Verdict judge_continuous(const std::vector<double>& draws, const std::function<double(double)>& distribution);
double uniform_distribution(double x, double low, double high);
double normal_distribution(double x, double mean, double deviation);

/// Draws of classes 0, 1 ... with these probabilities: chi-squared.
Verdict judge_classes(const std::vector<std::int64_t>& draws, const std::vector<double>& probabilities);

/// Tensors of zeros and ones, each 1 with the probability that stands in its place (one probability: all alike). Chi-squared over elements
/// (each as often 1 as it should be), and over draws (the sum of a draw varies as a sum of independent ones does). Elements of another
/// value fail.
Verdict judge_bernoulli(const numerics::Tensor& probabilities, const std::vector<numerics::Tensor>& draws);

/// Results of Dropout in training: each element is 0 with probability `ratio`, or x / (1 - ratio) to the relative tolerance. Masks may be
/// none; they must say what was kept.
Verdict judge_dropout(const numerics::Tensor& x, double ratio, double rtol, const std::vector<numerics::Tensor>& draws,
                      const std::vector<numerics::Tensor>& masks);

}  // namespace switchyard::report
