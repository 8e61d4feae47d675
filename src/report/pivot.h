// Pivot tables over runs of one model: chips and precisions down, batch sizes across; which is best, and what binds each.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/rows.h"
#include "report/run.h"
#include "report/table.h"

namespace switchyard::report {

/// Exact numbers for machines: one row a run, those that failed with their error.
Rows comparison_rows(const std::vector<RunReport>& runs);

/// Do the runs differ in more than their chips?
bool needs_pivot(const std::vector<RunReport>& runs);
/// Tables by title: time, throughput, times as fast as the first run, what binds, gap to the bound.
std::vector<std::pair<std::string, Rows>> pivots(const std::vector<RunReport>& runs);
/// Sentences: the shortest time, the greatest throughput, the smallest gap.
std::vector<std::string> best_of(const std::vector<RunReport>& runs);

std::string print_pivot(const std::vector<RunReport>& runs, const TableStyle& style);
/// The tables and sentences as a page of Markdown.
std::string print_comparison_markdown(const std::vector<RunReport>& runs);

}  // namespace switchyard::report
