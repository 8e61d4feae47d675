// switchyard models: list the built-in models, show what any model consists of.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "cli/console.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "model/model.h"
#include "report/json.h"
#include "report/rows.h"
#include "report/text.h"

namespace switchyard::cli {
namespace {

constexpr int kNameColumns = 24;

report::Rows table_of(const std::vector<report::ModelRow>& rows) {
  report::Rows table{3, {"name", "description", "parameters", "operators", "macs", "weights"}, {}};
  for (const report::ModelRow& row : rows) {
    const auto count = [&](std::int64_t report::ModelRow::Counts::*n) { return row.counts ? std::to_string((*row.counts).*n) : ""; };
    table.cells.push_back({row.name, row.description, fmt::format("{}", fmt::join(row.parameters, ", ")),
                           count(&report::ModelRow::Counts::ops), count(&report::ModelRow::Counts::macs),
                           count(&report::ModelRow::Counts::weights)});
  }
  return table;
}

/// In the format that was asked for; `text` is what a person reads.
int deliver_rows(const Options& options, const std::vector<report::ModelRow>& rows, const std::string& text) {
  switch (options.format) {
    case OutputFormat::json: return deliver(options, report::print_models_json(rows));
    case OutputFormat::csv: return deliver(options, report::print_csv(table_of(rows)));
    case OutputFormat::md: return deliver(options, report::print_markdown(table_of(rows)));
    default: return deliver(options, text);
  }
}

int list(const Options& options) {
  std::vector<report::ModelRow> rows;
  std::string text;
  for (const model::ZooEntry& entry : model::zoo()) {
    rows.push_back({entry.name, entry.description, entry.parameters, {}});
    text += fmt::format("{} {}\n", report::pad_right(entry.name, kNameColumns), entry.description);
    if (!entry.parameters.empty()) text += fmt::format("{:{}} --set {}\n", "", kNameColumns, fmt::join(entry.parameters, ", "));
  }
  return deliver_rows(options, rows, text);
}

std::string tensors_text(const graph::Graph& graph, const char* what, const std::vector<graph::TensorId>& tensors) {
  std::string text;
  for (const graph::TensorId id : tensors) {
    const graph::Tensor& t = graph.tensor(id);
    text += fmt::format("  {:7} {}[{}] {}\n", what, report::clip(t.name, 60), fmt::join(t.shape, ", "), numerics::format_name(t.format));
  }
  return text;
}

std::string model_text(const graph::Graph& graph, const report::ModelRow::Counts& counts) {
  std::string text =
      fmt::format("{}: {} operators, {} MACs, {} parameters\n", graph.name, counts.ops,
                  report::readable_count(static_cast<double>(counts.macs)), report::readable_count(static_cast<double>(counts.weights)));
  text += tensors_text(graph, "input", graph.inputs) + tensors_text(graph, "output", graph.outputs);
  std::map<std::string, int> kinds;
  for (const graph::Op& op : graph.ops) ++kinds[op.kind];
  std::vector<std::pair<std::string, int>> by_count(kinds.begin(), kinds.end());
  std::stable_sort(by_count.begin(), by_count.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string line;
  for (const auto& [kind, count] : by_count) line += fmt::format("{}{} {}", line.empty() ? "" : ", ", count, kind);
  return text + report::wrap(line, 100, 2);
}

int show(const Options& options) {
  Workplace work(options);
  double ignored = 0;
  const Result<model::LoadedModel> model = load_model(work, ignored);
  if (!model) return report_failure(model.failure());
  const graph::Graph& graph = model.value().graph;
  report::ModelRow row{graph.name, "", {}, {}};
  for (const model::ZooEntry& entry : model::zoo()) {
    if (model.value().built_in && entry.name == options.arguments.back()) row = {entry.name, entry.description, entry.parameters, {}};
  }
  row.counts =
      report::ModelRow::Counts{static_cast<std::int64_t>(graph.ops.size()), graph::mac_count(graph), graph::parameter_count(graph)};
  return deliver_rows(options, {row}, model_text(graph, *row.counts));
}

int export_model(const Options& options) {
  if (options.output.empty())
    return report_failure(fail(FailureKind::usage, "cli/missing-argument", "models export needs a file to write", "-o FILE.onnx"));
  Workplace work(options);
  double ignored = 0;
  const Result<model::LoadedModel> model = load_model(work, ignored);
  if (!model) return report_failure(model.failure());
  if (model.value().language && !model.value().language->exchanges.empty())
    return report_failure(fail(FailureKind::unsupported, "onnx/cannot-export",
                               "one device's share of a model has no ONNX form: devices exchange what each has",
                               "leave out --tensor-parallel"));
  work.progress.begin("write " + options.output);
  const Status written = model::write_onnx(model.value().graph, options.output);
  work.progress.end();
  return written.ok() ? kDone : report_failure(written.failure());
}

}  // namespace

int models_verb(const Options& options) {
  const std::string& what = options.arguments.front();
  if (what == "list" && options.arguments.size() == 1) return list(options);
  if (what == "show" && options.arguments.size() == 2) return show(options);
  if (what == "export" && options.arguments.size() == 2) return export_model(options);
  return report_bad_subject("models", what, {"list", "show", "export"});
}

}  // namespace switchyard::cli
