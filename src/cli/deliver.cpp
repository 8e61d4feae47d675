#include "cli/deliver.h"

#include <fmt/format.h>

#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "report/json.h"
#include "report/layers.h"
#include "report/pivot.h"
#include "report/table.h"

namespace switchyard::cli {
namespace {

using report::RunReport;
using Reports = std::vector<RunReport>;

report::TableStyle style_of(const Options& options) {
  report::TableStyle style;
  style.color = wants_color(options);
  style.layers = options.layers;
  return style;
}

/// How one report is printed, and how several are.
struct Printer {
  OutputFormat format;
  std::string (*one)(const RunReport&, const Options&);
  std::string (*several)(const Reports&, const Options&);
};

const Printer kPrinters[] = {
    {OutputFormat::table, [](const RunReport& r, const Options& o) { return report::print_table(r, style_of(o)); },
     [](const Reports& all, const Options& o) {
       return report::needs_pivot(all) ? report::print_pivot(all, style_of(o)) : report::print_comparison(all, style_of(o));
     }},
    {OutputFormat::json, [](const RunReport& r, const Options&) { return report::print_json(r); },
     [](const Reports& all, const Options&) { return report::print_comparison_json(all); }},
    {OutputFormat::jsonl, [](const RunReport& r, const Options&) { return report::print_json_line(r); },
     [](const Reports& all, const Options&) {
       std::string lines;
       for (const RunReport& r : all) lines += report::print_json_line(r);
       return lines;
     }},
    {OutputFormat::csv, [](const RunReport& r, const Options&) { return report::print_csv(report::layer_rows(r)); },
     [](const Reports& all, const Options&) { return report::print_csv(report::comparison_rows(all)); }},
    {OutputFormat::md, [](const RunReport& r, const Options&) { return report::print_markdown(r); },
     [](const Reports& all, const Options&) { return report::print_comparison_markdown(all); }},
};

const Printer& printer_of(const Options& options) {
  for (const Printer& p : kPrinters) {
    if (p.format == options.format) return p;
  }
  return kPrinters[0];
}

/// Tells a failed check on standard error, and whether there was one.
bool check_failed(const RunReport& r) {
  if (r.error || !r.check.executed || r.check.passed) return false;
  const std::string what = report::describe_divergence(r.check);
  print_aside(fmt::format("error: {} on {}: the check failed: {} [check/failed]\n", r.model.name, r.chip.name,
                          what.empty() ? "values differ" : what));
  return true;
}

}  // namespace

int deliver_run(const Options& options, const RunReport& report) {
  const int delivered = deliver(options, printer_of(options).one(report, options));
  if (delivered != kDone) return delivered;
  return check_failed(report) ? kCheckFailed : kDone;
}

void keep_timed(Workplace& work) {
  work.on_timed = [&work](const report::RunReport& timed) {
    work.interruption.keep([options = work.options, report = timed](const std::string& why) mutable {
      report.partial = why + " while executing: the times are whole, values were not computed to the end nor checked";
      say(options, "\n" + why + ": the result is partial");
      deliver_run(options, report);
    });
  };
}

int deliver_runs(const Options& options, const Reports& reports) {
  const int delivered = deliver(options, printer_of(options).several(reports, options));
  if (delivered != kDone) return delivered;
  int worst = kDone;
  for (const RunReport& r : reports) worst = check_failed(r) ? kCheckFailed : worst;
  return worst;
}

}  // namespace switchyard::cli
