// switchyard simulate: a program file executed and timed, without its model.
#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "program/text.h"
#include "program/verify.h"

namespace switchyard::cli {
namespace {

Result<report::RunReport> simulate(Workplace& work) {
  report::PhaseTimes times;
  work.progress.begin("read " + work.options.arguments.front());
  SY_TRY(const program::Program program, program::read_program(work.options.arguments.front()));
  // A program from a file is anybody's: nothing runs before it is proven well formed.
  if (const Status verified = program::verify(program); !verified) {
    Failure failure = verified.failure();
    for (Diagnostic& d : failure.diagnostics) d.location.file = work.options.arguments.front();
    return failure;
  }
  times.import = work.progress.end();
  return run_program(work, program, nullptr, times);
}

}  // namespace

int simulate_verb(const Options& options) {
  Workplace work(options);
  const Result<report::RunReport> report = simulate(work);
  work.progress.end();
  return report ? deliver_run(options, report.value()) : report_failure(report.failure());
}

}  // namespace switchyard::cli
