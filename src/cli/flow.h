// The main flow, in steps that the verbs share: load, compile, verify, time, execute, check, report.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "cli/interruption.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "compiler/compiler.h"
#include "compiler/quantise.h"
#include "model/model.h"
#include "report/run.h"
#include "simulation/timing.h"
#include "support/result.h"

namespace switchyard::cli {

/// MACs up to which a model is executed unasked.
inline constexpr std::int64_t kAutoMacs = 100'000'000'000;

/// Outputs of the model in fp32, in the types it declares, and the scales of activations that were asked for.
struct Reference {
  std::vector<numerics::Tensor> outputs;
  std::map<std::string, double> scales;
  std::string how;
};

struct Workplace {
  Options options;            ///< a study changes them from run to run
  Interruption interruption;  ///< before whatever starts threads
  Progress progress;
  std::optional<simulation::Timing> timed;                     ///< of the program that was compiled last, where the compiler has timed it
  std::optional<Reference> reference;                          ///< what outputs are compared with besides
  std::shared_ptr<const compiler::Quantisation> quantisation;  ///< how the model is quantised; null: not at all
  std::string trace_note;                                      ///< what the trace lacks
  std::string note;                                            ///< where in a study this run stands: " (2 of 8: fp16, batch 4)"
  std::function<void(const report::RunReport&)> on_timed;      ///< told a report as it is before the program is executed
  explicit Workplace(Options o) : options(std::move(o)), progress(options.quiet) {}
};

/// The model named by the first argument. `seconds` receives the time it took.
Result<model::LoadedModel> load_model(Workplace& work, double& seconds);

/// How many samples one invocation handles: --batch, or the model's own.
std::int64_t batch_of(const Options& options, const model::LoadedModel& model);

/// --override as given, for the provenance of a report.
std::vector<std::string> overrides_of(const Options& options);

/// What reports call the model: the built-in's name, the file's, or that of the folder of a model.onnx.
std::string display_name(const std::string& argument, const model::LoadedModel& model);

/// --precision, or bf16 for built-in models, or an imported model's own: the format of its first floating input (else of most of its
/// floating constants). Failures: cli/bad-value (no such format), compile/unsupported-format (known, but nothing computes in it yet).
Result<numerics::Format> choose_precision(const Options& options, const model::LoadedModel& model);
/// The format that --precision names. Failures: as above.
Result<numerics::Format> named_precision(const Options& options);

/// A chip by name or path. A name nobody knows is a usage failure with the nearest one.
Result<std::shared_ptr<const chip::Chip>> load_chip(const Options& options, const std::string& name);

/// Compiles and verifies; a program of ours that the verifier rejects is our bug. Fills the labels that only the command line knows.
Result<compiler::Compiled> compile_model(Workplace& work, const model::LoadedModel& model, std::shared_ptr<const chip::Chip> chip,
                                         numerics::Format precision, double& seconds);

/// Times a verified program, and draws it where --map asks for it.
Result<simulation::Timing> time_program(Workplace& work, const program::Program& program, const compiler::Compiled* compiled,
                                        double& seconds);

/// Times a verified program, executes and checks it as the options say, and reports. `compiled` is null when there is only the program:
/// then operators cannot be recomputed.
Result<report::RunReport> run_program(Workplace& work, const program::Program& program, const compiler::Compiled* compiled,
                                      const report::PhaseTimes& so_far);

/// Whether --values auto executes: up to 100 GMAC and 4 GB of tensors, and every constant has values. The reason against it, or empty.
std::string reason_not_to_execute(const program::Program& program);

}  // namespace switchyard::cli
