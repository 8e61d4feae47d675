// switchyard validate: every row of measurement files, predicted as any model is.
#include <fmt/format.h>

#include <atomic>
#include <limits>
#include <map>

#include "chip/query.h"
#include "cli/console.h"
#include "cli/flow.h"
#include "cli/server.h"
#include "cli/verbs.h"
#include "model/quantised.h"
#include "program/grid.h"
#include "report/json.h"
#include "report/validation.h"
#include "support/file.h"
#include "support/parallel.h"

namespace switchyard::cli {
namespace {

using report::Measurement;
using report::Prediction;

struct KnownChip {
  std::shared_ptr<const chip::Chip> chip;
  std::string problem;  ///< why there is none
};

bool between_devices(const Measurement& row) { return compiler::exchange_named(row.operation.name).has_value(); }

/// Each chip that rows name, read once. A chip without a file is a reason to skip rows; a broken file is a mistake.
Result<std::map<std::string, KnownChip>> load_chips(const Options& options, const std::vector<Measurement>& rows) {
  std::map<std::string, KnownChip> chips;
  for (const Measurement& row : rows)
    if (!between_devices(row)) chips.try_emplace(row.chip);
  for (auto& [name, known] : chips) {
    auto loaded = load_chip(options, name);
    if (loaded) {
      known.chip = std::move(loaded).value();
      continue;
    }
    const Failure& failure = loaded.failure();
    if (failure.diagnostics.empty() || failure.diagnostics.front().code != "chip/unknown-chip") return failure;
    known.problem = fmt::format("no chip file '{}'", name);
  }
  return chips;
}

/// The server of each chip of which rows say how its devices exchange data: the first whose file names the chip.
Result<std::map<std::string, KnownChip>> load_servers(const Options& options, const std::vector<Measurement>& rows) {
  std::map<std::string, KnownChip> servers;
  for (const Measurement& row : rows)
    if (between_devices(row)) servers.try_emplace(row.chip);
  for (auto& [name, known] : servers) {
    SY_TRY(known.chip, find_server(options, name, true));
    if (!known.chip) known.problem = fmt::format("no server of '{}'", name);
  }
  return servers;
}

/// A row's mistake, at its place in the file.
Failure located(Failure failure, const Measurement& row) {
  for (Diagnostic& d : failure.diagnostics) d.location = row.location;
  return failure;
}

/// The best of what the server's protocols can do; of those of the row's library, where they name it.
Result<Prediction> predict_exchange(const Measurement& row, const KnownChip& server) {
  Prediction out;
  compiler::Collective work;
  work.exchange = *compiler::exchange_named(row.operation.name);
  for (const auto& [key, needed] : {std::pair{"bytes", &work.bytes}, {"devices", &work.devices}}) {
    const auto read = model::whole_size(row.operation, key);
    if (!read) return located(read.failure(), row);
    *needed = read.value();
  }
  const auto format = numerics::format_named(row.format);
  if (!format || !server.chip) {
    out.skipped = !format ? fmt::format("operators in {} cannot be built", row.format) : server.problem;
    return out;
  }
  work.format = *format;
  const auto time = exchange_time(server.chip, work, row.library);
  if (!time) {
    if (time.failure().kind == FailureKind::malformed) return located(time.failure(), row);
    out.skipped = fmt::format("{} on {} in {}: {}", row.operation.name, row.chip, row.format, summarise(time.failure()).code);
    return out;
  }
  out.time = time.value();
  out.bound = compiler::collective_bound(*server.chip, work);
  return out;
}

Result<Prediction> predict(const Measurement& row, const KnownChip& known, const Options& options) {
  if (between_devices(row)) return predict_exchange(row, known);
  Prediction out;
  if (!known.chip) {
    out.skipped = known.problem;
    return out;
  }
  const model::Operation operation = report::measured_operation(row);
  const bool quantised = model::is_quantised_scheme(row.format) &&
                         (operation.name == "gemm" || (row.format == "fp8" && operation.name.starts_with("attention_")));
  const auto graph = quantised ? model::build_quantised(operation, row.format) : model::build_operation(operation);
  if (!graph) {
    if (graph.failure().kind == FailureKind::malformed) return located(graph.failure(), row);
    out.skipped = fmt::format("unknown operator '{}'", row.operation.name);
    return out;
  }
  for (const auto& [key, value] : row.operation.shape)
    if (key == "kv" && value != row.format) {
      out.skipped = fmt::format("caches in {} beside operators in {} cannot be built", value, row.format);
      return out;
    }
  const auto format = quantised ? std::optional(numerics::Format::bf16) : numerics::format_named(row.format);
  if (!format || !numerics::format_info(*format).floating) {
    out.skipped = fmt::format("operators in {} cannot be built", row.format);
    return out;
  }
  if (quantised && chip::best_contract_rate(*known.chip, model::multiplied_format(row.format)) == 0) {
    out.skipped = fmt::format("no unit of {} multiplies what {} needs", row.chip, row.format);
    return out;
  }
  compiler::CompileOptions how;
  how.precision = *format;
  how.keep_formats = quantised;
  how.effort = options.effort;
  how.time = [](const program::Program& program) {
    const auto timing = simulation::time_program(program);
    return timing ? microseconds(timing.value().latency) * 1e-6 : std::numeric_limits<double>::infinity();
  };
  const auto compiled = compiler::compile(graph.value(), known.chip, how);
  if (!compiled) {
    const Diagnostic why = summarise(compiled.failure());
    out.skipped = fmt::format("{} on {} in {}: {}", row.operation.name, row.chip, row.format, why.code);
    return out;
  }
  const program::Program& program = compiled.value().program;
  const auto timing = simulation::time_program(program, {});
  if (!timing) {
    out.skipped = fmt::format("{} on {} in {}: {}", row.operation.name, row.chip, row.format, summarise(timing.failure()).code);
    return out;
  }
  out.time = timing.value().latency;
  out.overhead =
      from_seconds(report::framework_overhead_us(row) * 1e-6 + report::further_kernels(row) * program::launch_seconds(*known.chip));
  out.bound = program.labels.lower_bound;
  Picoseconds sum(0);
  for (const Picoseconds cause : timing.value().attribution) sum += cause;
  out.attributed = sum == out.time;
  return out;
}

Result<report::Validation> validate(Workplace& work) {
  const Options& options = work.options;
  std::vector<Measurement> rows;
  Failure mistakes{FailureKind::malformed, {}, {}};
  for (const std::string& path : options.arguments) {
    auto read = report::read_measurements(path);
    if (!read) {
      mistakes.diagnostics.insert(mistakes.diagnostics.end(), read.failure().diagnostics.begin(), read.failure().diagnostics.end());
      continue;
    }
    rows.insert(rows.end(), read.value().begin(), read.value().end());
  }
  if (!mistakes.diagnostics.empty()) return mistakes;
  if (options.every > 1) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < rows.size(); i += static_cast<std::size_t>(options.every)) rows[kept++] = rows[i];
    rows.resize(kept);
  }
  SY_TRY(const auto chips, load_chips(options, rows));
  SY_TRY(const auto servers, load_servers(options, rows));
  std::vector<std::optional<Result<Prediction>>> found(rows.size());
  work.progress.begin(fmt::format("predict {} rows", rows.size()));
  std::atomic<std::size_t> done{0};
  parallel_for(options.threads, rows.size(), [&](std::size_t i) {
    found[i].emplace(predict(rows[i], (between_devices(rows[i]) ? servers : chips).at(rows[i].chip), options));
    if (const std::size_t n = ++done; n % 64 == 0) work.progress.update(static_cast<double>(n) / static_cast<double>(rows.size()));
  });
  work.progress.end();
  std::vector<Prediction> predictions;
  for (const auto& f : found) {
    if (f->ok())
      predictions.push_back(f->value());
    else
      mistakes.diagnostics.insert(mistakes.diagnostics.end(), f->failure().diagnostics.begin(), f->failure().diagnostics.end());
  }
  if (!mistakes.diagnostics.empty()) return mistakes;
  return report::summarise_validation(std::move(rows), std::move(predictions));
}

}  // namespace

int validate_verb(const Options& options) {
  Workplace work(options);
  const Result<report::Validation> result = validate(work);
  work.progress.end();
  if (!result) return report_failure(result.failure());
  const report::Validation& validation = result.value();
  if (!options.rows.empty())
    if (const Status written = write_file(options.rows, report::print_validation_rows(validation)); !written)
      return report_failure(written.failure());
  if (!options.report.empty())
    if (const Status written = write_file(options.report, report::draw_validation(validation)); !written)
      return report_failure(written.failure());
  const bool json = options.format == OutputFormat::json;
  return deliver(options, json ? report::print_validation_json(validation) : report::print_validation(validation));
}

}  // namespace switchyard::cli
