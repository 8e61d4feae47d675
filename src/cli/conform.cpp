// switchyard conform: a folder of ONNX test cases on a chip.
#include "report/conform.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "support/file.h"
#include "support/parallel.h"

namespace switchyard::cli {
namespace {

Result<report::ConformReport> conform(Workplace& work) {
  const Options& options = work.options;
  SY_TRY(const std::shared_ptr<const chip::Chip> chip, load_chip(options, options.chips.front()));
  report::ConformOptions how;
  how.seed = options.seed;
  how.effort = options.effort;
  // Before the folder is read: what was typed wrong is told first, as every verb does.
  if (!options.precision.empty()) {
    SY_TRY(how.precision, named_precision(options));
  }
  how.rtol = options.rtol;
  how.atol = options.atol;
  SY_TRY(const std::vector<report::ConformCase> cases, report::find_cases(options.arguments.front()));
  report::ConformReport report;
  report.chip = chip->name;
  report.precision = options.precision;
  report.cases.resize(cases.size());
  work.progress.begin(fmt::format("{} cases on {}", cases.size(), chip->name));
  std::atomic<std::size_t> done = 0;
  parallel_for(options.threads, cases.size(), [&](std::size_t i) {
    report.cases[i] = report::run_case(cases[i], chip, how);
    work.progress.update(static_cast<double>(++done) / static_cast<double>(cases.size()));
  });
  work.progress.end();
  return report;
}

}  // namespace

int conform_verb(const Options& options) {
  Workplace work(options);
  const Result<report::ConformReport> report = conform(work);
  work.progress.end();
  if (!report) return report_failure(report.failure());
  if (!options.operators.empty()) {
    const Status written = write_file(options.operators, report::print_operators(report.value()));
    if (!written) return report_failure(written.failure());
  }
  const bool json = options.format == OutputFormat::json;
  const int delivered = deliver(options, json ? report::print_conform_json(report.value()) : report::print_conform_table(report.value()));
  if (delivered != kDone) return delivered;
  const auto& cases = report.value().cases;
  const bool failed =
      std::any_of(cases.begin(), cases.end(), [](const report::CaseResult& c) { return c.outcome == report::ConformOutcome::failed; });
  return failed ? kCheckFailed : kDone;
}

}  // namespace switchyard::cli
