// Reports as text for a screen of 100 columns.
#pragma once

#include <string>
#include <vector>

#include "report/run.h"

namespace switchyard::report {

struct TableStyle {
  bool color = false;
  int top = 8;          ///< contexts listed
  bool layers = false;  ///< all contexts, with their work and traffic, instead
};

std::string print_table(const RunReport& report, const TableStyle& style);
/// Runs of one model on several chips, side by side: times, causes, use, operators. What could not be run is told below.
std::string print_comparison(const std::vector<RunReport>& runs, const TableStyle& style);
/// Several lines on a failed check: operator, index, both values. Empty for a passed one.
std::string describe_divergence(const CheckReport& check);

}  // namespace switchyard::report
