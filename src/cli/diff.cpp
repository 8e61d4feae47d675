// switchyard diff: what is different between two reports, and which cause moved.
#include "report/diff.h"

#include "cli/console.h"
#include "cli/verbs.h"

namespace switchyard::cli {

int diff_verb(const Options& options) {
  constexpr int kTop = 12, kTopOfPage = 40;
  Result<std::vector<report::RunRecord>> a = report::read_runs(options.arguments[0]);
  Result<std::vector<report::RunRecord>> b = report::read_runs(options.arguments[1]);
  if (!a || !b) {  // the mistakes of both
    Failure failure;
    for (const auto* side : {&a, &b}) {
      if (*side) continue;
      failure.kind = side->failure().kind;
      failure.diagnostics.insert(failure.diagnostics.end(), side->failure().diagnostics.begin(), side->failure().diagnostics.end());
    }
    return report_failure(failure);
  }
  const report::Pairs pairs = report::pair_runs(std::move(a).value(), std::move(b).value());
  if (pairs.diffs.empty()) {
    return report_failure(fail(FailureKind::malformed, "report/no-result", "no run of A has its like in B: chip, precision and batch size",
                               "give two reports of `switchyard run`, which may differ in anything"));
  }
  switch (options.format) {
    case OutputFormat::json: return deliver(options, report::print_diff_json(pairs));
    case OutputFormat::csv: return deliver(options, report::print_csv(report::diff_rows(pairs)));
    case OutputFormat::md: return deliver(options, report::print_diff_markdown(pairs, kTopOfPage));
    default: return deliver(options, report::print_diff(pairs, wants_color(options), kTop));
  }
}

}  // namespace switchyard::cli
