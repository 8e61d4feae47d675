// switchyard validate: every row of measurement files, predicted as any model is.
#include <fmt/format.h>

#include <algorithm>
#include <array>
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

constexpr std::array<std::string_view, 4> kMakers{"nvidia", "amd", "google", "intel"};

/// Each chip that rows name, read once. A chip without a file is a reason to skip rows; a broken file is a mistake.
Result<std::map<std::string, KnownChip>> load_chips(const Options& options, const std::vector<Measurement>& rows) {
  std::map<std::string, KnownChip> chips;
  for (const Measurement& row : rows)
    if (!between_devices(row)) chips.try_emplace(row.chip);
  for (auto& [name, known] : chips) {
    auto loaded = load_chip(options, name);
    // Files of measurements may name a chip by its maker, too.
    if (const std::size_t dash = name.find('-'); !loaded && dash != std::string::npos)
      if (std::find(kMakers.begin(), kMakers.end(), std::string_view(name).substr(0, dash)) != kMakers.end())
        if (auto without = load_chip(options, name.substr(dash + 1))) loaded = std::move(without);
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

/// What a row measured, as a graph, or why there is none.
struct Measured {
  graph::Graph graph;
  numerics::Format precision = numerics::Format::bf16;
  bool keep_formats = false;  ///< every tensor has its own
  std::string skipped;
};

/// A product of integers gives sums of 32 bits.
void multiply_integers(graph::Graph& graph, numerics::Format format) {
  for (graph::Tensor& tensor : graph.tensors)
    if (tensor.role == graph::Role::input) tensor.format = format;
  for (const graph::TensorId id : graph.outputs) graph.tensor(id).format = numerics::Format::int32;
}

Result<Measured> graph_of(const Measurement& row, const chip::Chip& chip) {
  Measured out;
  const model::Operation operation = report::measured_operation(row);
  const bool attention = operation.name.starts_with("attention_");
  const std::string scheme = attention ? row.format : report::measured_scheme(row);
  const auto kv = std::find_if(operation.shape.begin(), operation.shape.end(), [](const auto& size) { return size.first == "kv"; });
  const std::string cache = attention && kv != operation.shape.end() ? kv->second : row.format;
  const auto format = numerics::format_named(row.format);
  numerics::Format multiplied = format.value_or(numerics::Format::bf16);
  const auto built = [&]() -> Result<graph::Graph> {
    // Caches in eight bits beside queries in sixteen: by name, or as a library calls it that converts them in kernels of its own.
    const bool converts = report::converts_to_cached(row);
    const bool wide = format && numerics::format_bytes(*format) == 2;
    if (attention && cache == "fp8" && (wide || (row.format == "fp8" && converts))) {
      out.keep_formats = true;
      const numerics::Format given = wide ? *format : numerics::Format::bf16;
      multiplied = report::multiplies_as_cached(row) ? numerics::Format::fp8_e4m3 : given;
      return model::build_cached_attention(operation, given, multiplied, converts);
    }
    if (model::is_quantised_scheme(scheme) && (operation.name == "gemm" || (attention && row.format == "fp8"))) {
      out.keep_formats = true;
      multiplied = model::multiplied_format(scheme);
      // Sixteen bits are those that the device multiplies fastest.
      const auto rate = [&](numerics::Format f) { return chip::best_contract_rate(chip, f); };
      out.precision = rate(numerics::Format::bf16) < rate(numerics::Format::fp16) ? numerics::Format::fp16 : numerics::Format::bf16;
      if (multiplied == numerics::Format::bf16) multiplied = out.precision;
      return model::build_quantised(operation, scheme, out.precision);
    }
    return model::build_operation(operation);
  };
  Result<graph::Graph> graph = built();
  if (!graph) {
    if (graph.failure().kind == FailureKind::malformed) return located(graph.failure(), row);
    out.skipped = fmt::format("unknown operator '{}'", row.operation.name);
    return out;
  }
  out.graph = std::move(graph).value();
  const bool product = operation.name == "gemm" || operation.name == "batch_gemm" || operation.name == "conv2d";
  if (product && !out.keep_formats && format == numerics::Format::int8) {
    multiply_integers(out.graph, *format);
    multiplied = *format;
    out.keep_formats = true;
  }
  if (!out.keep_formats) {
    if (cache != row.format)
      out.skipped = fmt::format("caches in {} beside operators in {} cannot be built", cache, row.format);
    else if (!format || !numerics::format_info(*format).floating)
      out.skipped = fmt::format("operators in {} cannot be built", row.format);
    else
      out.precision = *format;
  } else if (chip::best_contract_rate(chip, multiplied) == 0) {
    out.skipped = fmt::format("no unit of {} multiplies what {} needs", row.chip, row.format);
  }
  return out;
}

Result<Prediction> predict(const Measurement& row, const KnownChip& known, const Options& options) {
  if (between_devices(row)) return predict_exchange(row, known);
  Prediction out;
  if (!known.chip) {
    out.skipped = known.problem;
    return out;
  }
  SY_TRY(const Measured measured, graph_of(row, *known.chip));
  out.skipped = measured.skipped;
  if (!out.skipped.empty()) return out;
  compiler::CompileOptions how;
  how.precision = measured.precision;
  how.keep_formats = measured.keep_formats;
  how.effort = options.effort;
  how.time = [](const program::Program& program) {
    const auto timing = simulation::time_program(program);
    return timing ? microseconds(timing.value().latency) * 1e-6 : std::numeric_limits<double>::infinity();
  };
  std::shared_ptr<const chip::Chip> chip = known.chip;
  if (auto blocks = report::library_blocks(row, *chip)) {
    auto own = std::make_shared<chip::Chip>(*chip);
    own->sequencer.waves->chains = *std::move(blocks);
    chip = std::move(own);
  }
  const auto compiled = compiler::compile(measured.graph, chip, how);
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
  out.overhead = from_seconds(report::framework_overhead_us(row) * 1e-6 +
                              report::further_kernels(row, *known.chip) * program::launch_seconds(*known.chip));
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
