// switchyard chips: list, show and check chip descriptions.
#include <fmt/format.h>

#include "chip/describe.h"
#include "chip/read.h"
#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "report/json.h"
#include "report/rows.h"
#include "report/text.h"

namespace switchyard::cli {
namespace {

report::ChipRow row_of(const chip::Chip& chip) {
  report::ChipRow row{chip.name, chip.family, chip.title, {}};
  for (const auto& [format, operations] : chip::peak_operations(chip)) row.peak_tflops.emplace_back(format, operations * 1e-12);
  return row;
}

std::string rows_text(const std::vector<report::ChipRow>& rows) {
  std::string text;
  for (const report::ChipRow& row : rows) {
    std::string peaks;
    for (const auto& [format, tflops] : row.peak_tflops) peaks += fmt::format("{}{} {:.4g}", peaks.empty() ? "" : ", ", format, tflops);
    text += fmt::format("{} {} {}\n{:16} {}\n", report::pad_right(row.name, 16), report::pad_right(row.family, 10),
                        report::clip(row.title, 72), "", report::clip("peak TFLOPS: " + peaks, 82));
  }
  return text;
}

report::Rows table_of(const std::vector<report::ChipRow>& rows) {
  report::Rows table{4, {"name", "family", "title", "format", "peak_tflops"}, {}};
  for (const report::ChipRow& row : rows) {
    for (const auto& [format, tflops] : row.peak_tflops)
      table.cells.push_back({row.name, row.family, row.title, format, fmt::format("{:.9g}", tflops)});
    if (row.peak_tflops.empty()) table.cells.push_back({row.name, row.family, row.title, "", ""});
  }
  return table;
}

/// In the format that was asked for; `text` is what a person reads.
int deliver_rows(const Options& options, const std::vector<report::ChipRow>& rows, const std::string& text) {
  switch (options.format) {
    case OutputFormat::json: return deliver(options, report::print_chips_json(rows));
    case OutputFormat::csv: return deliver(options, report::print_csv(table_of(rows)));
    case OutputFormat::md: return deliver(options, report::print_markdown(table_of(rows)));
    default: return deliver(options, text);
  }
}

/// The rows that can be read; the others' mistakes go to standard error.
int list(const Options& options) {
  std::vector<report::ChipRow> rows;
  std::string servers;  // of which no peak is told
  int code = kDone;
  for (const std::string& name : chip::list_chips(options.chip_paths)) {
    const Result<chip::Chip> chip = chip::load_chip(name, options.chip_paths);
    if (chip && chip.value().collectives) {
      servers += (servers.empty() ? "servers: " : ", ") + name;
    } else if (chip) {
      rows.push_back(row_of(chip.value()));
    } else {
      code = report_failure(chip.failure());
    }
  }
  const int delivered = deliver_rows(options, rows, rows_text(rows) + (servers.empty() ? "" : servers + "\n"));
  return delivered != kDone ? delivered : code;
}

int show(const Options& options) {
  std::string text;
  std::vector<report::ChipRow> rows;
  for (std::size_t i = 1; i < options.arguments.size(); ++i) {
    const Result<std::shared_ptr<const chip::Chip>> chip = load_chip(options, options.arguments[i]);
    if (!chip) return report_failure(chip.failure());
    rows.push_back(row_of(*chip.value()));
    text += chip::describe(*chip.value());
  }
  return deliver_rows(options, rows, text);
}

int check(const Options& options) {
  int code = kDone;
  std::string text;
  std::vector<report::ChipRow> rows;
  for (std::size_t i = 1; i < options.arguments.size(); ++i) {
    // A file is meant, even where a chip of the library has the same name.
    const std::string& argument = options.arguments[i];
    const std::string path = argument.find('/') == std::string::npos ? "./" + argument : argument;
    const Result<std::shared_ptr<const chip::Chip>> chip = load_chip(options, path);
    if (chip) {
      rows.push_back(row_of(*chip.value()));
      text += fmt::format("{}: ok ({})\n", argument, chip.value()->name);
    } else {
      text +=
          fmt::format("{}: {} mistake{}\n", argument, chip.failure().diagnostics.size(), chip.failure().diagnostics.size() == 1 ? "" : "s");
      const int failed = report_failure(chip.failure());
      code = std::max(code, failed);
    }
  }
  const int delivered = deliver_rows(options, rows, text);
  return delivered != kDone ? delivered : code;
}

}  // namespace

int chips_verb(const Options& options) {
  const std::string& what = options.arguments.front();
  const std::size_t names = options.arguments.size() - 1;
  if (what == "list" && !options.overrides.empty()) {
    return report_failure(fail(FailureKind::usage, "cli/bad-value", "chips list takes no --override: chips have not the same fields",
                               "`switchyard chips show NAME --override ...`"));
  }
  if (what == "list" && names == 0) return list(options);
  if (what == "show" && names > 0) return show(options);
  if (what == "check" && names > 0) return check(options);
  return report_bad_subject("chips", what, {"list", "show", "check"});
}

}  // namespace switchyard::cli
