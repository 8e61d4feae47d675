// switchyard compile: a model and a chip into a program file.
#include <fmt/format.h>

#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "program/text.h"
#include "report/text.h"

namespace switchyard::cli {
namespace {

Status compile(Workplace& work) {
  const Options& options = work.options;
  double ignored = 0;
  SY_TRY(const std::shared_ptr<const chip::Chip> chip, load_chip(options, options.chips.front()));
  SY_TRY(const model::LoadedModel model, load_model(work, ignored));
  SY_TRY(const numerics::Format precision, choose_precision(options, model));
  SY_TRY(const compiler::Compiled compiled, compile_model(work, model, chip, precision, ignored));
  for (const compiler::Decision& d : compiled.decisions) say(options, fmt::format("{}: {}", d.subject, d.text));
  for (const std::string& note : compiled.program.labels.notes) say(options, fmt::format("note: {}", note));
  work.progress.begin("write " + options.output);
  SY_TRY([[maybe_unused]] const Done written, program::write_program(compiled.program, options.output));
  work.progress.end();
  say(options, fmt::format("{}: {} contexts, {} buffers, lower bound {}", options.output, compiled.program.contexts.size(),
                           compiled.program.buffers.size(), report::readable_time(compiled.program.labels.lower_bound)));
  return Done{};
}

}  // namespace

int compile_verb(const Options& options) {
  Workplace work(options);
  const Status done = compile(work);
  work.progress.end();
  work.interruption.finish();
  return done ? kDone : report_failure(done.failure());
}

}  // namespace switchyard::cli
