// Diff: two reports side by side: which of the six causes moved, which contexts and operators moved most, traffic and bounds.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "report/rows.h"
#include "simulation/timing.h"
#include "support/result.h"

namespace switchyard::report {

/// What a diff needs of a run, as a report file has it.
struct RunRecord {
  std::string file, model, model_sha256, chip, chip_sha256, precision, version, partial;
  std::int64_t batch = 1, ops = 0, macs = 0, seed = 0;
  std::vector<std::string> overrides, disabled;
  Picoseconds latency, lower_bound, launch, host;
  simulation::Attribution attribution{};
  std::array<double, 4> utilization{};       ///< matrix, vector, offchip, network
  std::array<std::int64_t, 5> traffic{};     ///< off-chip read, written, of it constants; network; links
  std::array<std::int64_t, 2> peak_bytes{};  ///< off-chip, scratchpad
  struct Context {
    std::string name;
    std::vector<std::string> ops;
    Picoseconds share;
    simulation::Attribution attribution{};
  };
  std::vector<Context> contexts;
};

inline constexpr std::array<const char*, 4> kUtilizationNames{"matrix", "vector", "offchip", "network"};
inline constexpr std::array<const char*, 5> kTrafficNames{"offchip_read", "offchip_written", "offchip_constants", "network", "links"};
inline constexpr std::array<const char*, 2> kPeakNames{"offchip", "scratchpad"};

/// The runs of a file of schema switchyard/run/1 or switchyard/compare/1; rows of a comparison that failed are left out. Failures
/// (malformed): those of read_file and parse_document, report/schema, report/missing-key, report/value, report/no-result (no run in it has
/// one).
Result<std::vector<RunRecord>> read_runs(const std::string& path);
/// The same of what a file holds; `path` names it in diagnostics.
Result<std::vector<RunRecord>> parse_runs(std::string text, const std::string& path);

/// Contexts of both runs that share operators, however they are cut: what stands in one of them in A is in the same entry in B.
struct Moved {
  std::vector<std::string> ops;         ///< of either, in the order of A; names of contexts that have none
  std::vector<std::string> in_a, in_b;  ///< names of contexts
  Picoseconds a, b;                     ///< shares of the time
  simulation::Attribution change{};
  [[nodiscard]] Picoseconds delta() const { return b - a; }
};

struct Diff {
  RunRecord a, b;
  std::vector<Moved> moved;              ///< the greatest change first; changes add up to that of the latency, but for launches and host
  std::vector<std::string> differences;  ///< sentences: what else is not the same, so that the change has more than one reason
  [[nodiscard]] Picoseconds delta() const { return b.latency - a.latency; }
};

Diff diff_runs(RunRecord a, RunRecord b);

/// Pairs of runs of equal chip, precision and batch size; single runs are a pair whatever they are.
struct Pairs {
  std::vector<Diff> diffs;
  std::vector<std::string> only_a, only_b;
};
Pairs pair_runs(std::vector<RunRecord> a, std::vector<RunRecord> b);

std::string print_diff(const Pairs& pairs, bool color, int top);
std::string print_diff_markdown(const Pairs& pairs, int top);
std::string print_diff_json(const Pairs& pairs);  ///< schema switchyard/diff/1
/// Exact: what, name, a, b, change.
Rows diff_rows(const Pairs& pairs);

}  // namespace switchyard::report
