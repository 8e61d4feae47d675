#include "cli/flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>

#include "cli/checkpoint.h"
#include "cli/console.h"
#include "cli/dump.h"
#include "cli/passes.h"
#include "cli/server.h"
#include "cli/tensors.h"
#include "compiler/mapping_file.h"
#include "compiler/quantise.h"
#include "program/verify.h"
#include "report/assumptions.h"
#include "report/check.h"
#include "report/map.h"
#include "report/perturb.h"
#include "report/text.h"
#include "report/trace.h"
#include "simulation/execute.h"
#include "simulation/program_timer.h"
#include "simulation/recording.h"
#include "simulation/timing.h"
#include "support/file.h"
#include "support/parallel.h"

namespace switchyard::cli {
namespace {

using numerics::Format;

constexpr std::int64_t kAutoBytes = 4'000'000'000;

/// Formats people will ask for that nothing here computes in yet.
constexpr std::array<const char*, 12> kLaterFormats{"tf32", "fp8",   "fp8_e4m3", "fp8_e5m2", "fp8_block", "fp6",
                                                    "fp4",  "nvfp4", "mxfp4",    "mxfp8",    "int4",      "uint4"};

bool is_later_format(std::string_view name) {
  const auto format = numerics::format_named(name);
  return (format && numerics::format_info(*format).floating && numerics::format_bytes(*format) == 1) ||
         std::find(kLaterFormats.begin(), kLaterFormats.end(), name) != kLaterFormats.end();
}

/// What the command line has to be given for the operators of a program when there is no graph: how many, and who makes each output.
struct Makers {
  std::int64_t depth = 0;
  std::vector<std::string> outputs;
};

Makers makers_of(const program::Program& program, const compiler::Compiled* compiled) {
  Makers makers;
  if (compiled != nullptr) {
    makers.depth = report::graph_depth(compiled->graph);
    std::map<graph::TensorId, std::string> made_by;
    for (const graph::Op& op : compiled->graph.ops) {
      for (const graph::TensorId result : op.results) made_by[result] = op.name;
    }
    for (const graph::TensorId output : compiled->graph.outputs) makers.outputs.push_back(made_by[output]);
    return makers;
  }
  std::map<program::BufferId, std::string> made_by;
  for (const program::Context& context : program.contexts) {
    makers.depth += static_cast<std::int64_t>(context.ops.size());
    for (const program::Actor& actor : context.actors) {
      if (!actor.destination) continue;
      const std::vector<std::string>& ops = actor.ops.empty() ? context.ops : actor.ops;
      made_by[actor.destination->buffer] = ops.empty() ? context.name : ops.back();
    }
  }
  for (const program::Buffer* buffer : numbered_buffers(program, program::BufferRole::output)) {
    makers.outputs.push_back(made_by[program::BufferId(static_cast<std::size_t>(buffer - program.buffers.data()))]);
  }
  return makers;
}

/// Per output, how far one unit in the last place of every stored number moves it: one more execution, of the perturbed program.
Result<std::vector<double>> sensitivity(Workplace& work, const program::Program& program, std::vector<numerics::Tensor> inputs,
                                        const std::vector<numerics::Tensor>& outputs) {
  const auto buffers = numbered_buffers(program, program::BufferRole::input);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Format stored = buffers[k]->format;
    inputs[k] = report::perturb(numerics::convert_tensor(inputs[k], stored), stored, numerics::mix(work.options.seed, k + 1));
  }
  work.progress.begin("derive the tolerance");
  simulation::ExecuteOptions how;
  how.threads = work.options.threads > 0 ? work.options.threads : hardware_threads();
  SY_TRY(const simulation::Execution moved, simulation::execute(report::perturb(program, work.options.seed), inputs, how));
  work.progress.end();
  std::vector<double> rms;
  for (std::size_t k = 0; k < outputs.size(); ++k) rms.push_back(report::rms_difference(moved.outputs[k], outputs[k]));
  return rms;
}

std::vector<report::Tolerance> tolerances_for(const Options& options, const program::Program& program,
                                              const std::vector<numerics::Tensor>& expected, std::int64_t depth,
                                              const std::vector<double>& moved) {
  const Format precision = numerics::format_named(program.labels.precision).value_or(Format::fp32);
  const auto buffers = numbered_buffers(program, program::BufferRole::output);
  std::vector<report::Tolerance> tolerances;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const Format declared = declared_format(program.labels.output_formats, k, *buffers[k]);
    report::Tolerance t = report::default_tolerance(precision, declared, depth, report::largest_magnitude(expected[k]));
    if (!moved.empty() && numerics::format_info(declared).floating)
      t = report::measured_tolerance(precision, moved[k], report::largest_magnitude(expected[k]));
    tolerances.push_back({options.rtol.value_or(t.rtol), options.atol.value_or(t.atol)});
  }
  return tolerances;
}

/// A verified program that cannot go on is a user's mistake when it came from a file, and ours when we compiled it.
Failure stuck(const Failure& failure, const compiler::Compiled* compiled) {
  const bool deadlock = std::any_of(failure.diagnostics.begin(), failure.diagnostics.end(),
                                    [](const Diagnostic& d) { return d.code == "simulation/deadlock"; });
  SY_CHECK(compiled == nullptr || !deadlock, "the compiled program cannot go on:\n" + format_failure(failure));
  return failure;
}

/// Executes, perhaps checking each context's operators. `seconds` is of the execution alone.
Result<simulation::Execution> execute_once(Workplace& work, const program::Program& program, const simulation::Timing& timing,
                                           const std::vector<numerics::Tensor>& inputs, const compiler::Compiled* compiled,
                                           report::OperatorChecker* checker, TensorDump* dump, double& seconds) {
  simulation::ExecuteOptions how;
  how.threads = work.options.threads > 0 ? work.options.threads : hardware_threads();
  // Contexts are weighed by their work on the chip: the only measure at hand before they have run.
  std::int64_t done = 0, total = 0;
  for (const simulation::ContextTiming& c : timing.contexts) total += c.span.value;
  how.after_context = [&](program::ContextId context, const simulation::BufferReader& read) {
    if (checker != nullptr) checker->check_context(context, read);
    if (dump != nullptr) dump->after_context(context, read);
    done += timing.contexts[context.index()].span.value;
    if (total > 0) work.progress.update(static_cast<double>(done) / static_cast<double>(total));
  };
  work.progress.begin((checker != nullptr ? "execute and check" : "execute") + work.note);
  Result<simulation::Execution> execution = simulation::execute(program, inputs, how);
  seconds = work.progress.end() - (checker != nullptr ? checker->seconds() : 0);
  if (!execution) return stuck(execution.failure(), compiled);
  return execution;
}

Status execute_and_check(Workplace& work, const program::Program& program, const compiler::Compiled* compiled,
                         const simulation::Timing& timing, report::RunReport& report) {
  const Options& options = work.options;
  std::vector<numerics::Tensor> inputs, expected;
  if (options.inputs.empty()) {
    inputs = seeded_inputs(program, options.seed);
  } else {
    SY_TRY(inputs, read_inputs(program, options.inputs));
  }
  if (!options.expect.empty()) {
    SY_TRY(expected, read_expected(program, options.expect));
  }

  std::optional<TensorDump> dump;
  if (!options.dump_tensors.empty()) {
    SY_TRY(dump, TensorDump::make(program, compiled != nullptr ? &compiled->graph : nullptr, options.dump_tensors, options.outputs));
  }
  const report::OperatorCheckOptions how{options.check == Check::full, options.seed,
                                         options.threads > 0 ? options.threads : hardware_threads()};
  const bool wants_operators = compiled != nullptr && options.check != Check::none && (options.expect.empty() || options.check_given);
  std::optional<report::OperatorChecker> checker;
  if (wants_operators) checker.emplace(*compiled, how);
  SY_TRY(const simulation::Execution execution, execute_once(work, program, timing, inputs, compiled, checker ? &*checker : nullptr,
                                                             dump ? &*dump : nullptr, report.timings.execute));
  if (dump) {
    SY_TRY(const std::vector<std::string> files, dump->write());
    for (const std::string& file : files) say(options, file);
  }
  const std::vector<numerics::Tensor> outputs = report::declared_outputs(program, execution.outputs);
  report.outputs = report::describe_outputs(program, outputs);
  if (work.reference) {
    std::vector<std::string> names;
    for (const report::OutputReport& o : report.outputs) names.push_back(o.name);
    report.accuracy = report::accuracy_of(outputs, work.reference->outputs, names, work.reference->how);
  }

  if (!options.expect.empty()) {
    const Makers makers = makers_of(program, compiled);
    std::vector<std::string> names;
    for (const report::OutputReport& o : report.outputs) names.push_back(o.name);
    std::vector<double> moved;
    const Format precision = numerics::format_named(program.labels.precision).value_or(Format::fp32);
    if (numerics::format_bytes(precision) < 4 && !(options.rtol && options.atol)) {
      SY_TRY(moved, sensitivity(work, program, inputs, execution.outputs));
    }
    report.check =
        report::compare_outputs(outputs, expected, tolerances_for(options, program, expected, makers.depth, moved), names, makers.outputs);
    if (!report.check.passed && compiled != nullptr && !checker) {
      // The outputs say that something is wrong; running again with the operators checked says where.
      say(options, "outputs differ from the expected ones: looking for the operator");
      checker.emplace(*compiled, how);
      double ignored = 0;
      SY_TRY([[maybe_unused]] const simulation::Execution again,
             execute_once(work, program, timing, inputs, compiled, &*checker, nullptr, ignored));
    }
    if (checker && !checker->result().passed) {
      report.check.passed = false;
      report.check.first = checker->result().first;
    }
    report.check.operators_agree = checker && checker->result().passed;
  } else if (checker) {
    report.check = checker->result();
  } else {
    report.check.executed = true;
    report.check.outputs = 0;
  }
  if (checker) report.timings.check = checker->seconds();
  if (!options.outputs.empty()) {
    SY_TRY([[maybe_unused]] const Done written, write_outputs(program, outputs, options.outputs));
  }
  return Done{};
}

}  // namespace

std::vector<std::string> overrides_of(const Options& options) {
  std::vector<std::string> texts;
  for (const chip::Override& o : options.overrides) texts.push_back(o.pointer + "=" + o.quantity);
  return texts;
}

std::string display_name(const std::string& argument, const model::LoadedModel& model) {
  if (model.built_in) return argument;
  // Exporters name graphs "torch_jit" or "main_graph"; people name files, or the folder of a model.onnx or config.json.
  std::filesystem::path path = std::filesystem::path(argument).lexically_normal();
  if (path.filename().empty() || path.filename() == "model.onnx" || path.filename() == "config.json") path = path.parent_path();
  const bool file = path.extension() == ".onnx" || path.extension() == ".json";
  const std::string name = file ? path.stem().string() : path.filename().string();
  return name.empty() || name == "." || name == ".." ? model.graph.name : name;
}

std::int64_t batch_of(const Options& options, const model::LoadedModel& model) {
  if (options.batch > 0) return options.batch;
  if (model.built_in || model.graph.inputs.empty()) return 1;
  // ONNX models keep the batch in the first dimension.
  const numerics::Shape& shape = model.graph.tensor(model.graph.inputs[0]).shape;
  return shape.size() >= 2 ? std::max<std::int64_t>(1, shape[0]) : 1;
}

namespace {

/// A name nobody knows is a slip of the command line; a path to nothing is missing input.
Failure missing_file(Failure failure, std::string_view code) {
  if (!failure.diagnostics.empty() && failure.diagnostics.front().code == code) failure.kind = FailureKind::malformed;
  return failure;
}

}  // namespace

namespace {

/// Options that would change nothing are mistakes: sizes of a step that the model does not have, or that the phase does not use.
Status check_step(const Options& options, const std::string& name) {
  const auto no_effect = [](const std::string& option, const std::string& where, std::string hint) {
    return fail(FailureKind::usage, "cli/no-effect", fmt::format("{} changes nothing for {}", option, where), std::move(hint));
  };
  const bool configured = model::is_configuration(name);
  for (const std::string& option : options.step_options) {
    if (!configured)
      return no_effect(option, name,
                       model::is_configuration("./" + name)
                           ? fmt::format("'{}' is built in; './{}' is the folder with a config.json", name, name)
                           : "only language models given by a folder with their config.json have it");
    if (options.decode && option == "--prompt")
      return no_effect(option, "a decode step", "--context-length says how many positions it sees");
    if (!options.decode && option == "--context-length") return no_effect(option, "a prefill", "--prompt says how many tokens it has");
  }
  if (!configured) return Done{};
  if (!options.set.empty())
    return no_effect("--set", name, "its sizes are those of config.json; --prompt, --context-length and --batch set the others");
  if (!options.shapes.empty()) return no_effect("--shape", name, "--prompt, --context-length and --batch set its sizes");
  return Done{};
}

}  // namespace

Result<model::LoadedModel> load_model(Workplace& work, double& seconds) {
  const Options& options = work.options;
  const std::string& name = options.arguments.back();
  model::LoadOptions how;
  how.batch = options.batch;
  how.seed = options.seed;
  how.set = options.set;
  how.decode = options.decode;
  how.prompt = options.prompt;
  how.context_length = options.context_length;
  how.shapes = options.shapes;
  how.weights = options.weights;
  how.tensor_parallel = options.tensor_parallel;
  work.progress.begin("import " + name);
  Result<model::LoadedModel> loaded = model::load_model(name, how);
  if (!loaded && loaded.failure().kind == FailureKind::unsupported && !options.inputs.empty()) {
    // What does not follow from shapes alone may follow from the inputs of this run.
    for (std::size_t k = 0;; ++k) {
      auto given = model::read_tensor((std::filesystem::path(options.inputs) / fmt::format("input_{}.pb", k)).string());
      if (!given) break;
      how.inputs.push_back(std::move(given).value());
    }
    if (!how.inputs.empty()) loaded = model::load_model(name, how);
  }
  if (loaded && loaded.value().language) {
    const std::string folder = std::filesystem::path(model::configuration_of(name).value_or(name)).parent_path().string();
    if (const Status read = read_checkpoint(folder, loaded.value()); !read) loaded = read.failure();
  }
  seconds = work.progress.end();
  if (loaded) {
    SY_TRY([[maybe_unused]] const Done sensible, check_step(options, name));
  }
  return loaded ? std::move(loaded) : missing_file(loaded.failure(), "model/not-found");
}

Result<Format> choose_precision(const Options& options, const model::LoadedModel& model) {
  if (options.precision.empty())
    return model.built_in ? Format::bf16 : model.format ? *model.format : graph::prevailing_format(model.graph);
  return named_precision(options);
}

Result<Format> named_precision(const Options& options) {
  const std::string& name = options.precision;
  const auto format = numerics::format_named(name);
  const bool later = is_later_format(name), floating = format && numerics::format_info(*format).floating;
  if (floating && !later) return *format;
  if (format || later) {
    const std::string quantised = compiler::parse_scheme(name) ? fmt::format("`run MODEL --quantise {}` finds scales; or ", name) : "";
    return fail(FailureKind::unsupported, "compile/unsupported-format",
                floating || later ? fmt::format("this version does not compute a whole model in {}", name)
                                  : fmt::format("a whole model in {} needs quantisation: a precision is a floating format", name),
                quantised + "choose fp32, fp16 or bf16");
  }
  std::vector<std::string> names;
  for (const numerics::FormatInfo& info : numerics::all_formats()) names.emplace_back(info.name);
  const std::string nearest = nearest_name(name, names);
  return fail(FailureKind::usage, "cli/bad-value", fmt::format("'{}' is not a number format", options.precision),
              nearest.empty() ? fmt::format("formats are {}", fmt::join(names, ", ")) : fmt::format("did you mean '{}'?", nearest));
}

Result<std::shared_ptr<const chip::Chip>> load_chip(const Options& options, const std::string& name) {
  Result<chip::Chip> chip = chip::load_chip(name, options.chip_paths, options.overrides);
  if (!chip && name.find(',') != std::string::npos) {
    Failure failure = chip.failure();
    for (Diagnostic& d : failure.diagnostics) {
      if (d.code == "chip/unknown-chip") d.hint = "for several chips: `switchyard compare MODEL --chips " + name + "`";
    }
    return failure;
  }
  if (!chip) return name.find('/') == std::string::npos ? chip.failure() : missing_file(chip.failure(), "chip/unknown-chip");
  return std::shared_ptr<const chip::Chip>(std::make_shared<chip::Chip>(std::move(chip).value()));
}

Result<compiler::Compiled> compile_model(Workplace& work, const model::LoadedModel& model, std::shared_ptr<const chip::Chip> chip,
                                         Format precision, double& seconds) {
  work.progress.begin(fmt::format("compile for {}{}", chip->name, work.note));
  PassWatch watch(work.options);
  compiler::CompileOptions how;
  how.precision = precision;
  how.seed = work.options.seed;
  how.effort = work.options.effort;
  how.threads = work.options.threads;
  how.disabled = work.options.disabled;
  how.dump_mappings = !work.options.dump_mapping.empty();
  if (!work.options.mapping.empty()) {
    SY_TRY(compiler::MappingFile file, compiler::MappingFile::read(work.options.mapping));
    how.mappings = std::make_shared<const compiler::MappingFile>(std::move(file));
  }
  how.observe = watch.observer();
  how.quantisation = work.quantisation;
  work.timed.reset();
  if (const Status fits = check_memory(work.options, model, *chip, precision); !fits) {
    seconds = work.progress.end();
    return fits.failure();
  }
  std::vector<std::optional<simulation::Timing>> timings;
  simulation::ProgramTimer timer;
  how.time = [&timings, &timer](const program::Program& program) -> compiler::Timed {
    Result<simulation::Timing> timing = timer.time(program);
    if (!timing) return timings.emplace_back(), std::numeric_limits<double>::infinity();
    timings.emplace_back(std::move(timing).value());
    return {microseconds(timings.back()->latency) * 1e-6, timings.back()->played};
  };
  const TimeOneDevice one_device = [&, chip](const model::llm::Step& step) -> std::optional<Picoseconds> {
    compiler::CompileOptions same = how;
    same.observe = {};
    const Result<compiler::Compiled> made = compiler::compile(model::llm::build(model.language->config, step, how.seed).graph, chip, same);
    if (!made) return std::nullopt;
    const Result<simulation::Timing> timing = simulation::time_program(made.value().program);
    return timing ? std::optional(timing.value().latency) : std::nullopt;
  };
  Result<compiler::Compiled> result = compiler::compile(model.graph, std::move(chip), how);
  if (!result) {
    seconds = work.progress.end();
    print_aside(watch.report());
    return result;
  }
  if (how.dump_mappings) {
    SY_TRY([[maybe_unused]] const Done written, write_file(work.options.dump_mapping, result.value().mappings));
  }
  if (result.value().timed) work.timed = std::move(timings[*result.value().timed]);
  std::optional<Picoseconds> alone;
  if (work.timed)
    alone = work.timed->latency;
  else if (model.language && !model.language->exchanges.empty())
    if (const auto timing = simulation::time_program(result.value().program)) alone = timing.value().latency;
  if (const Status joined = add_exchanges(work.options, model, precision, alone, one_device, result.value().program); !joined) {
    seconds = work.progress.end();
    return joined.failure();
  }
  if (model.language && !model.language->exchanges.empty()) work.timed.reset();  // what devices exchange was not in it
  program::Labels& labels = result.value().program.labels;
  labels.notes.insert(labels.notes.end(), model.notes.begin(), model.notes.end());
  labels.model = display_name(work.options.arguments.back(), model);
  labels.model_sha256 = model.sha256;
  labels.ops = static_cast<std::int64_t>(model.graph.ops.size());
  labels.macs = graph::mac_count(model.graph);
  labels.parameters = graph::parameter_count(model.graph);
  if (model.language && model.language->step.weights)  // whole numbers are parameters here, too
    for (const graph::Tensor& tensor : model.graph.tensors)
      if (tensor.role == graph::Role::constant && tensor.trained && !numerics::format_info(tensor.format).floating)
        labels.parameters += numerics::element_count(tensor.shape);
  labels.precision = std::string(numerics::format_name(precision));
  labels.batch = batch_of(work.options, model);
  const auto declare = [&](const std::vector<graph::TensorId>& tensors, std::vector<std::string>& formats) {
    formats.clear();
    for (const graph::TensorId id : tensors) formats.emplace_back(numerics::format_name(model.graph.tensor(id).format));
  };
  declare(model.graph.inputs, labels.input_formats);
  declare(model.graph.outputs, labels.output_formats);
  watch.skip();
  const Status verified = program::verify(result.value().program);
  watch.note("verify");
  seconds = work.progress.end();
  print_aside(watch.report());
  if (verified) return result;
  // A sound program may have more instances than programs are followed with: that is no bug, but cannot be done.
  Failure failure = verified.failure();
  const bool large =
      std::all_of(failure.diagnostics.begin(), failure.diagnostics.end(), [](const Diagnostic& d) { return d.code == "program/size"; });
  SY_CHECK(large, "the compiled program is rejected by the verifier:\n" + format_failure(failure));
  failure.kind = FailureKind::unsupported;
  for (Diagnostic& d : failure.diagnostics) d.hint = "a smaller --batch or model dimension";
  return failure;
}

std::string reason_not_to_execute(const program::Program& program) {
  if (program.labels.macs > kAutoMacs) {
    return fmt::format("the model has {} MACs, more than the 100 G that are executed unasked",
                       report::readable_count(static_cast<double>(program.labels.macs)));
  }
  std::int64_t bytes = 0;
  for (const program::Buffer& buffer : program.buffers) {
    if (buffer.role == program::BufferRole::constant && buffer.constant == nullptr)
      return fmt::format("constant '{}' has a shape but no values", buffer.name);
    bytes += std::min(buffer.bytes, kAutoBytes + 1);
    if (bytes > kAutoBytes) return "its tensors take more than the 4 GB that are executed unasked";
  }
  return {};
}

namespace {

/// Plays the program once more, without shortcuts, for its events.
Status write_trace(Workplace& work, const program::Program& program, const simulation::Timing& timing,
                   const simulation::TimingOptions& how) {
  work.progress.begin("trace " + work.options.trace);
  SY_TRY(const simulation::Recording recording, simulation::record_program(program, how, report::kTraceLimit));
  SY_TRY([[maybe_unused]] const Done written, write_file(work.options.trace, report::print_trace(program, timing, recording)));
  work.progress.end();
  if (!recording.complete) {
    work.trace_note =
        fmt::format("the trace ends after {} of {}: it holds {} events, the most that are written", report::readable_time(recording.until),
                    report::readable_time(timing.latency), recording.slices.size() + recording.uses.size() + recording.flows.size());
    say(work.options, work.trace_note);
  }
  return Done{};
}

}  // namespace

Result<simulation::Timing> time_program(Workplace& work, const program::Program& program, const compiler::Compiled* compiled,
                                        double& seconds) {
  simulation::TimingOptions how;
  how.cold = work.options.cold;
  work.progress.begin(fmt::format("time on {}{}", program.chip->name, work.note));
  // What the compiler has timed to choose it need not be timed again.
  const bool known = compiled != nullptr && work.timed && !how.cold;
  Result<simulation::Timing> timing = known ? Result<simulation::Timing>(*std::move(work.timed)) : simulation::time_program(program, how);
  work.timed.reset();
  seconds = work.progress.end();
  if (!timing) return stuck(timing.failure(), compiled);
  if (!work.options.trace.empty()) {
    SY_TRY([[maybe_unused]] const Done traced, write_trace(work, program, timing.value(), how));
  }
  if (!work.options.map.empty()) {
    work.progress.begin("draw " + work.options.map);
    SY_TRY([[maybe_unused]] const Done drawn,
           write_file(work.options.map, report::draw_map(program, timing.value(), 12, work.options.context)));
    work.progress.end();
  }
  return timing;
}

Result<report::RunReport> run_program(Workplace& work, const program::Program& program, const compiler::Compiled* compiled,
                                      const report::PhaseTimes& so_far) {
  const Options& options = work.options;
  report::PhaseTimes times = so_far;
  SY_TRY(const simulation::Timing timing, time_program(work, program, compiled, times.simulate));
  report::RunReport report = report::describe_run(program, timing);
  report.timings = times;
  report.version = std::string(kVersion);
  report.seed = options.seed;
  report.argv = options.argv;
  report.overrides = overrides_of(options);
  std::vector<std::string> pointers;
  for (const chip::Override& change : options.overrides) pointers.push_back(change.pointer);
  for (std::string& sentence : report::idle_overrides(program, pointers)) report.notes.push_back(std::move(sentence));
  if (!work.trace_note.empty()) report.notes.push_back(work.trace_note);
  report.disabled = options.disabled_names;
  if (!options.disabled_names.empty())
    report.notes.push_back(fmt::format("compiled without: {} (--disable)", fmt::join(options.disabled_names, ", ")));

  bool execute = options.values == Values::on;
  if (options.values == Values::automatic) {
    const std::string reason = reason_not_to_execute(program);
    execute = reason.empty() || !options.expect.empty() || !options.outputs.empty() || !options.dump_tensors.empty();
    if (!execute) {
      report.notes.push_back(fmt::format("not executed, times only: {} (--values on executes)", reason));
      say(options, report.notes.back());
    }
  }
  if (execute) {
    if (work.on_timed) work.on_timed(report);
    SY_TRY([[maybe_unused]] const Done done, execute_and_check(work, program, compiled, timing, report));
  }
  return report;
}

}  // namespace switchyard::cli
