// switchyard explain: why this mapping, why this time.
#include "report/explain.h"

#include <fmt/format.h>

#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "report/json.h"

namespace switchyard::cli {
namespace {

Result<report::Explanation> explain(Workplace& work) {
  const Options& options = work.options;
  report::PhaseTimes times;
  SY_TRY(const std::shared_ptr<const chip::Chip> chip, load_chip(options, options.chips.front()));
  SY_TRY(const model::LoadedModel model, load_model(work, times.import));
  SY_TRY(const numerics::Format precision, choose_precision(options, model));
  SY_TRY(const compiler::Compiled compiled, compile_model(work, model, chip, precision, times.compile));
  SY_TRY(const simulation::Timing timing, time_program(work, compiled.program, &compiled, times.simulate));
  report::RunReport run = report::describe_run(compiled.program, timing);
  run.timings = times;
  run.version = std::string(kVersion);
  run.seed = options.seed;
  run.argv = options.argv;
  run.overrides = overrides_of(options);
  run.disabled = options.disabled_names;
  work.progress.begin("try what would help");
  simulation::TimingOptions how;
  how.cold = options.cold;
  const auto read = [&](const chip::Override& change) {
    std::vector<chip::Override> overrides = options.overrides;
    overrides.push_back(change);
    return chip::load_chip(options.chips.front(), options.chip_paths, overrides);
  };
  std::vector<report::Lever> levers = report::try_levers(compiled.program, timing, how, read);
  work.progress.end();
  report::Explanation explanation = report::explain(compiled, timing, std::move(run), std::move(levers));
  explanation.disabled = options.disabled_names;
  return explanation;
}

Failure no_such_context(const report::Explanation& explanation, const std::string& name) {
  std::vector<std::string> names;
  for (const report::ContextStory& c : explanation.contexts) {
    names.push_back(c.report.name);
    names.insert(names.end(), c.report.ops.begin(), c.report.ops.end());
  }
  const std::string nearest = nearest_name(name, names);
  return fail(FailureKind::usage, "cli/bad-value",
              fmt::format("'{}' is no context of {} on {}, nor an operator", name, explanation.run.model.name, explanation.run.chip.name),
              nearest.empty() ? "`switchyard explain` without --context lists those that take longest, with --format json all"
                              : fmt::format("did you mean '{}'?", nearest));
}

}  // namespace

int explain_verb(const Options& options) {
  Workplace work(options);
  const Result<report::Explanation> explained = explain(work);
  work.progress.end();
  work.interruption.finish();
  if (!explained) return report_failure(explained.failure());
  const report::Explanation& e = explained.value();
  const report::ContextStory* story = nullptr;
  if (!options.context.empty()) {
    story = report::find_context(e, options.context);
    if (story == nullptr) return report_failure(no_such_context(e, options.context));
  }
  if (options.format == OutputFormat::json) return deliver(options, report::print_explanation_json(e, story));
  return deliver(options,
                 story ? report::print_context(e, *story, wants_color(options)) : report::print_explanation(e, wants_color(options)));
}

}  // namespace switchyard::cli
