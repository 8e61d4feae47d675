// switchyard run: the main job.
#include "cli/console.h"
#include "cli/deliver.h"
#include "cli/flow.h"
#include "cli/verbs.h"

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

int run_verb(const Options& options) {
  if (options.batches.size() > 1 || options.precisions.size() > 1) return compare_verb(options);  // of one chip
  Workplace work(options);
  keep_timed(work);
  const Result<report::RunReport> report = run(work);
  work.progress.end();
  work.interruption.finish();
  return report ? deliver_run(options, report.value()) : report_failure(report.failure());
}

}  // namespace switchyard::cli
