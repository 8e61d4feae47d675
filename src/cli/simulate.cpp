// switchyard simulate: a program file executed and timed, without its model.
#include "chip/read.h"
#include "cli/console.h"
#include "cli/deliver.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "program/text.h"
#include "program/verify.h"

namespace switchyard::cli {
namespace {

Result<report::RunReport> simulate(Workplace& work) {
  report::PhaseTimes times;
  work.progress.begin("read " + work.options.arguments.front());
  SY_TRY(program::Program program, program::read_program(work.options.arguments.front()));
  if (!work.options.overrides.empty()) {
    SY_TRY(chip::Chip changed,
           chip::parse_chip(program.chip->text, "the chip of " + work.options.arguments.front(), work.options.overrides));
    program.chip = std::make_shared<const chip::Chip>(std::move(changed));
    // Bounds are data of the program, computed for the chip it was compiled for.
    program.labels.lower_bound = program.labels.peak_bound = Picoseconds(0);
    for (program::Context& context : program.contexts) {
      context.bound = context.work = Picoseconds(0);
      context.compulsory = 0;
    }
    program.labels.notes.emplace_back("compiled for the chip as it was: lower bounds of the overridden one are not known");
  }
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
  keep_timed(work);
  const Result<report::RunReport> report = simulate(work);
  work.progress.end();
  work.interruption.finish();
  return report ? deliver_run(options, report.value()) : report_failure(report.failure());
}

}  // namespace switchyard::cli
