// The layer table: every context of a run with its work, its traffic, its share of the time, its bound and what holds it back.
#pragma once

#include <string>
#include <vector>

#include "report/rows.h"
#include "report/run.h"

namespace switchyard::report {

/// Exact numbers for machines: one row per context. Times in microseconds.
Rows layer_rows(const RunReport& report);
/// The same for people.
Rows readable_layers(const RunReport& report);

/// A whole run as a page of Markdown: what it is, where the time goes, the layer table, the check.
std::string print_markdown(const RunReport& report);

}  // namespace switchyard::report
