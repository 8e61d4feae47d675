// switchyard compare: one model on several chips, in several precisions and batch sizes.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/console.h"
#include "cli/deliver.h"
#include "cli/dump.h"
#include "cli/flow.h"
#include "cli/verbs.h"
#include "support/sha256.h"

namespace switchyard::cli {
namespace {

using Chips = std::vector<std::shared_ptr<const chip::Chip>>;

/// A grid of runs, chips outside, batch sizes inside. Those that are not done have an error.
class Study {
 public:
  Study(Workplace& work, Chips chips) : work_(work), chips_(std::move(chips)), folder_(work.options.outputs) {
    precisions_ = work.options.precisions.empty() ? std::vector<std::string>{""} : work.options.precisions;
    batches_ = work.options.batches.empty() ? std::vector<std::int64_t>{0} : work.options.batches;
    runs_.resize(chips_.size() * precisions_.size() * batches_.size());
  }

  Status perform() {
    // Batch sizes outside: a model is in memory once, for all chips and precisions.
    for (std::size_t b = 0; b < batches_.size(); ++b) {
      work_.options.batch = batches_[b];
      report::PhaseTimes times;
      SY_TRY(const model::LoadedModel model, load_model(work_, times.import));
      if (b == 0) {
        SY_TRY([[maybe_unused]] const Done begun, begin(model));
      }
      for (std::size_t p = 0; p < precisions_.size(); ++p) {
        work_.options.precision = precisions_[p];
        const Result<numerics::Format> precision = choose_precision(work_.options, model);
        for (std::size_t c = 0; c < chips_.size(); ++c) {
          Result<report::RunReport> report =
              precision ? run_on(model, chips_[c], precision.value(), times) : Result<report::RunReport>(precision.failure());
          if (!report && report.failure().kind != FailureKind::unsupported) return report.failure();  // bad input, not this chip's limits
          if (!report) failures_.push_back(report.failure());
          at(c, p, b) = report ? std::move(report).value() : error_row(model, *chips_[c], summarise(report.failure()));
          ++done_;
          keep();
        }
      }
    }
    return Done{};
  }

  [[nodiscard]] const std::vector<report::RunReport>& runs() const { return runs_; }
  [[nodiscard]] const std::vector<Failure>& failures() const { return failures_; }

 private:
  report::RunReport& at(std::size_t chip, std::size_t precision, std::size_t batch) {
    return runs_[(chip * precisions_.size() + precision) * batches_.size() + batch];
  }

  Result<report::RunReport> run_on(const model::LoadedModel& model, const std::shared_ptr<const chip::Chip>& chip,
                                   numerics::Format precision, report::PhaseTimes times) {
    // Each run's outputs have a folder of their own.
    if (runs_.size() > 1 && !folder_.empty()) {
      const std::string name = fmt::format("{}-{}-batch{}", chip->name, numerics::format_name(precision), batch_of(work_.options, model));
      work_.options.outputs = (std::filesystem::path(folder_) / plain_file_name(name)).string();
    }
    if (runs_.size() > chips_.size())
      work_.note = fmt::format(" ({} of {}: {}, batch {})", done_ + 1, runs_.size(), numerics::format_name(precision),
                               batch_of(work_.options, model));
    SY_TRY(const compiler::Compiled compiled, compile_model(work_, model, chip, precision, times.compile));
    return run_program(work_, compiled.program, &compiled, times);
  }

  /// A row that says why there is no result.
  report::RunReport error_row(const model::LoadedModel& model, const chip::Chip& chip, Diagnostic why) {
    const Options& options = work_.options;
    report::RunReport row;
    row.model = {display_name(options.arguments.back(), model), model.sha256, static_cast<std::int64_t>(model.graph.ops.size()),
                 graph::mac_count(model.graph), graph::parameter_count(model.graph)};
    row.chip = {chip.name, sha256_hex(chip.text), chip.title};
    const Result<numerics::Format> precision = choose_precision(options, model);
    row.precision = precision ? std::string(numerics::format_name(precision.value())) : options.precision;
    row.batch = batch_of(options, model);
    row.version = std::string(kVersion);
    row.seed = options.seed;
    row.argv = options.argv;
    row.overrides = overrides_of(options);
    row.disabled = options.disabled_names;
    row.error = std::move(why);
    return row;
  }

  /// Rows for all that is to be done, as they stay when the study is interrupted. A slip in a precision is told before anything long
  /// begins.
  Status begin(const model::LoadedModel& model) {
    for (std::size_t p = 0; p < precisions_.size(); ++p) {
      work_.options.precision = precisions_[p];
      const Result<numerics::Format> known = choose_precision(work_.options, model);
      if (!known && known.failure().kind == FailureKind::usage) return known.failure();
      for (std::size_t c = 0; c < chips_.size(); ++c) {
        for (std::size_t b = 0; b < batches_.size(); ++b) {
          report::RunReport& row = at(c, p, b) =
              error_row(model, *chips_[c], {"cli/interrupted", "stopped before this was run", {}, {}, {}, {}});
          if (batches_[b] > 0) row.batch = batches_[b];
        }
      }
    }
    return Done{};
  }

  void keep() {
    work_.interruption.keep([options = work_.options, runs = runs_, done = done_](const std::string& why) {
      say(options, fmt::format("\n{}: {} of {} runs are done", why, done, runs.size()));
      deliver_runs(options, runs);
    });
  }

  Workplace& work_;
  Chips chips_;
  std::string folder_;  ///< of --outputs
  std::vector<std::string> precisions_;
  std::vector<std::int64_t> batches_;
  std::vector<report::RunReport> runs_;
  std::vector<Failure> failures_;
  std::size_t done_ = 0;
};

/// All chips are read before anything long begins, and all mistakes in their names are told at once.
Result<Chips> load_chips(const Options& options) {
  Chips chips;
  Failure mistakes;
  for (const std::string& name : options.chips) {
    Result<std::shared_ptr<const chip::Chip>> chip = load_chip(options, name);
    if (chip) {
      chips.push_back(std::move(chip).value());
      continue;
    }
    if (mistakes.diagnostics.empty()) mistakes.kind = chip.failure().kind;
    for (const Diagnostic& d : chip.failure().diagnostics) {
      // An --override that no chip has is one mistake, not one for each of them.
      const bool known = std::any_of(mistakes.diagnostics.begin(), mistakes.diagnostics.end(),
                                     [&](const Diagnostic& m) { return format_diagnostic(m) == format_diagnostic(d); });
      if (!known) mistakes.diagnostics.push_back(d);
    }
  }
  if (!mistakes.diagnostics.empty()) return mistakes;
  return chips;
}

}  // namespace

int compare_verb(const Options& options) {
  Result<Chips> chips = load_chips(options);
  if (!chips) return report_failure(chips.failure());
  Workplace work(options);
  Study study(work, std::move(chips).value());
  const Status done = study.perform();
  work.progress.end();
  work.interruption.finish();
  if (!done) return report_failure(done.failure());
  const int code = deliver_runs(options, study.runs());
  if (code == kDone && study.failures().size() == study.runs().size()) return report_failure(study.failures().front());
  return code;
}

}  // namespace switchyard::cli
