// switchyard run: the main job.
#include <fmt/format.h>

#include "cli/accuracy.h"
#include "cli/console.h"
#include "cli/deliver.h"
#include "cli/flow.h"
#include "cli/option_values.h"
#include "cli/verbs.h"

namespace switchyard::cli {
namespace {

std::string first_message(const Failure& failure) {
  return failure.diagnostics.empty() ? std::string("it does not fit") : failure.diagnostics.front().message;
}

/// The model calibrated in fp32, timed as it is, and run quantised.
Result<report::RunReport> run_quantised(Workplace& work, const model::LoadedModel& model, const std::shared_ptr<const chip::Chip>& chip,
                                        numerics::Format precision, report::PhaseTimes& times) {
  const compiler::QuantiseScheme scheme = scheme_of(work.options);
  SY_TRY(Reference reference, run_reference(work, model, chip, &scheme));
  double ignored = 0;
  SY_TRY(const compiler::Compiled plain, compile_model(work, model, chip, precision, ignored));
  SY_TRY(const simulation::Timing before, time_program(work, plain.program, &plain, ignored));
  work.quantisation = std::make_shared<const compiler::Quantisation>(compiler::Quantisation{scheme, reference.scales});
  work.reference = std::move(reference);
  SY_TRY(const compiler::Compiled compiled, compile_model(work, model, chip, precision, times.compile));
  SY_TRY(report::RunReport report, run_program(work, compiled.program, &compiled, times));
  report.quantised = report::QuantiseReport{scheme.name, work.options.calibrate.empty() ? "minmax" : work.options.calibrate,
                                            scheme.activations && compiler::multiplies(*chip, scheme.format), before.latency};
  return report;
}

Result<report::RunReport> run(Workplace& work) {
  report::PhaseTimes times;
  SY_TRY(const std::shared_ptr<const chip::Chip> chip, load_chip(work.options, work.options.chips.front()));
  SY_TRY(const model::LoadedModel model, load_model(work, times.import));
  SY_TRY(const numerics::Format precision, choose_precision(work.options, model));
  if (!work.options.quantise.empty()) return run_quantised(work, model, chip, precision, times);
  std::string without;
  if (wants_reference(work, model, precision)) {
    Result<Reference> reference = run_reference(work, model, chip, nullptr);
    if (reference)
      work.reference = std::move(reference).value();
    else
      without = fmt::format("no errors against fp32: {}", first_message(reference.failure()));
  }
  SY_TRY(const compiler::Compiled compiled, compile_model(work, model, chip, precision, times.compile));
  SY_TRY(report::RunReport report, run_program(work, compiled.program, &compiled, times));
  if (!without.empty()) report.notes.push_back(std::move(without));
  return report;
}

}  // namespace

int run_verb(const Options& options) {
  if (options.batches.size() > 1 || options.precisions.size() > 1) {
    if (!options.quantise.empty())
      return report_failure(usage("cli/bad-value", "--quantise takes one --batch and one --precision, not a list", "run it once for each"));
    return compare_verb(options);  // of one chip
  }
  Workplace work(options);
  keep_timed(work);
  const Result<report::RunReport> report = run(work);
  work.progress.end();
  work.interruption.finish();
  return report ? deliver_run(options, report.value()) : report_failure(report.failure());
}

}  // namespace switchyard::cli
