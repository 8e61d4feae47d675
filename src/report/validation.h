// Validation: predicted against measured times, row by row, and what they say by chip, operator and format.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/measurement.h"
#include "support/units.h"

namespace switchyard::report {

/// What became of one measurement.
struct Prediction {
  std::string skipped;   ///< the reason; empty: predicted
  Picoseconds time;      ///< of the device
  Picoseconds overhead;  ///< that the source's framework adds to every row
  Picoseconds bound;
  bool attributed = true;  ///< the causes add up to the time, exactly
};

/// Absolute percentage errors of predicted against measured times, and their signed mean.
struct ErrorStatistics {
  std::int64_t n = 0;
  double mape = 0, median = 0, p90 = 0, bias = 0;
};
ErrorStatistics error_statistics(std::vector<double> signed_percent);

struct ValidationGroup {
  std::string chip, op, format, variant;
  ErrorStatistics errors;
  std::vector<std::size_t> rows;  ///< numbers of the measurements
};

struct Validation {
  std::vector<Measurement> measurements;
  std::vector<Prediction> predictions;  ///< one for each
  std::vector<ValidationGroup> groups;  ///< by chip, op, format, variant
  ErrorStatistics overall;
  std::vector<std::pair<std::string, std::int64_t>> skipped;  ///< reason and count
  std::int64_t unattributed = 0;                              ///< rows whose causes do not add up to their time: a bug
  std::int64_t below_bound = 0;                               ///< rows predicted below their bound: a bug in one or the other
};

/// Signed error in percent: 100 (predicted / measured - 1).
double signed_error(const Measurement& measurement, const Prediction& prediction);

Validation summarise_validation(std::vector<Measurement> measurements, std::vector<Prediction> predictions);

std::string print_validation(const Validation& validation);       ///< a table
std::string print_validation_json(const Validation& validation);  ///< switchyard/validate/1
std::string print_validation_rows(const Validation& validation);  ///< CSV: every row with its prediction
std::string draw_validation(const Validation& validation);        ///< SVG: scatter and histogram of each group

}  // namespace switchyard::report
