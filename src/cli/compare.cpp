// switchyard compare: one model on several chips, in one precision.
#include <algorithm>

#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "report/json.h"
#include "report/table.h"
#include "support/sha256.h"

namespace switchyard::cli {
namespace {

struct Comparison {
  std::vector<report::RunReport> runs;
  std::vector<Failure> failures;
};

Result<report::RunReport> run_on(Workplace& work, const model::LoadedModel& model, const std::shared_ptr<const chip::Chip>& chip,
                                 numerics::Format precision, const report::PhaseTimes& so_far) {
  report::PhaseTimes times = so_far;
  SY_TRY(const compiler::Compiled compiled, compile_model(work, model, chip, precision, times.compile));
  return run_program(work, compiled.program, &compiled, times);
}

/// A row that says why there is no result.
report::RunReport error_row(const Options& options, const model::LoadedModel& model, const chip::Chip& chip, numerics::Format precision,
                            const Failure& failure) {
  report::RunReport row;
  row.model = {display_name(options.arguments.back(), model), model.sha256, static_cast<std::int64_t>(model.graph.ops.size()),
               graph::mac_count(model.graph), graph::parameter_count(model.graph)};
  row.chip = {chip.name, sha256_hex(chip.text), chip.title};
  row.precision = std::string(numerics::format_name(precision));
  row.version = std::string(kVersion);
  row.seed = options.seed;
  row.argv = options.argv;
  row.error = summarise(failure);
  return row;
}

Result<Comparison> compare(Workplace& work) {
  const Options& options = work.options;
  // All chips are read before anything long begins, and all mistakes in their names are told at once.
  std::vector<std::shared_ptr<const chip::Chip>> chips;
  Failure mistakes;
  for (const std::string& name : options.chips) {
    Result<std::shared_ptr<const chip::Chip>> chip = load_chip(options, name);
    if (chip) {
      chips.push_back(std::move(chip).value());
      continue;
    }
    if (mistakes.diagnostics.empty()) mistakes.kind = chip.failure().kind;
    mistakes.diagnostics.insert(mistakes.diagnostics.end(), chip.failure().diagnostics.begin(), chip.failure().diagnostics.end());
  }
  if (!mistakes.diagnostics.empty()) return mistakes;
  report::PhaseTimes times;
  SY_TRY(const model::LoadedModel model, load_model(work, times.import));
  SY_TRY(const numerics::Format precision, choose_precision(options, model));
  Comparison comparison;
  for (const auto& chip : chips) {
    Result<report::RunReport> report = run_on(work, model, chip, precision, times);
    if (report) {
      comparison.runs.push_back(std::move(report).value());
    } else if (report.failure().kind != FailureKind::unsupported) {
      return report.failure();  // bad input files, not this chip's limits
    } else {
      comparison.runs.push_back(error_row(options, model, *chip, precision, report.failure()));
      comparison.failures.push_back(report.failure());
    }
  }
  return comparison;
}

}  // namespace

int compare_verb(const Options& options) {
  Workplace work(options);
  const Result<Comparison> comparison = compare(work);
  work.progress.end();
  if (!comparison) return report_failure(comparison.failure());
  const std::vector<report::RunReport>& runs = comparison.value().runs;
  const bool json = options.format == OutputFormat::json;
  const int delivered =
      deliver(options, json ? report::print_comparison_json(runs) : report::print_comparison(runs, {wants_color(options)}));
  if (delivered != kDone) return delivered;
  int worst = kDone;
  for (const report::RunReport& r : runs) {
    if (r.error || !r.check.executed || r.check.passed) continue;
    report_check_failure(r);
    worst = kCheckFailed;
  }
  if (worst == kDone && comparison.value().failures.size() == runs.size()) return report_failure(comparison.value().failures.front());
  return worst;
}

}  // namespace switchyard::cli
