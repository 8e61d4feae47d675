// switchyard run: the main job.
#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "report/json.h"
#include "report/table.h"

namespace switchyard::cli {
namespace {

Result<report::RunReport> run(Workplace& work) {
  report::PhaseTimes times;
  SY_TRY(const std::shared_ptr<const chip::Chip> chip, load_chip(work.options, work.options.chips.front()));
  SY_TRY(const model::LoadedModel model, load_model(work, times.import));
  SY_TRY(const numerics::Format precision, choose_precision(work.options, model));
  SY_TRY(const compiler::Compiled compiled, compile_model(work, model, chip, precision, times.compile));
  return run_program(work, compiled.program, &compiled, times);
}

}  // namespace

int deliver_run(const Options& options, const report::RunReport& report) {
  const bool json = options.format == OutputFormat::json;
  const int delivered = deliver(options, json ? report::print_json(report) : report::print_table(report, {wants_color(options)}));
  if (delivered != kDone) return delivered;
  if (!report.check.executed || report.check.passed) return kDone;
  report_check_failure(report);
  return kCheckFailed;
}

int run_verb(const Options& options) {
  Workplace work(options);
  const Result<report::RunReport> report = run(work);
  work.progress.end();
  return report ? deliver_run(options, report.value()) : report_failure(report.failure());
}

}  // namespace switchyard::cli
