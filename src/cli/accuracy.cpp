#include "cli/accuracy.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/tensors.h"
#include "program/verify.h"
#include "simulation/execute.h"
#include "support/parallel.h"

namespace switchyard::cli {

compiler::QuantiseScheme scheme_of(const Options& options) {
  compiler::QuantiseScheme scheme = compiler::parse_scheme(options.quantise).value();
  scheme.calibration = compiler::parse_calibration(options.calibrate).value_or(compiler::Calibration::minmax);
  return scheme;
}

bool wants_reference(const Workplace& work, const model::LoadedModel& model, numerics::Format precision) {
  const Options& options = work.options;
  if (options.quantise.empty() &&
      (options.precision.empty() || numerics::unit_roundoff(precision) <= numerics::unit_roundoff(numerics::Format::fp32)))
    return false;
  if (options.values == Values::off) return false;
  return options.values == Values::on || graph::mac_count(model.graph) <= kAutoMacs;
}

Result<Reference> run_reference(Workplace& work, const model::LoadedModel& model, const std::shared_ptr<const chip::Chip>& chip,
                                const compiler::QuantiseScheme* scheme) {
  const Options& options = work.options;
  work.progress.begin(scheme != nullptr ? "calibrate in fp32" : "compute the reference in fp32");
  compiler::CompileOptions how;
  how.precision = numerics::Format::fp32;
  how.seed = options.seed;
  how.effort = 0;
  how.threads = options.threads;
  how.disabled.fuse = true;  // every tensor lies where it can be read
  SY_TRY(compiler::Compiled compiled, compiler::compile(model.graph, chip, how));
  SY_TRY([[maybe_unused]] const Done verified, program::verify(compiled.program));
  program::Labels& labels = compiled.program.labels;
  labels.output_formats.clear();
  for (const graph::TensorId id : model.graph.outputs)
    labels.output_formats.emplace_back(numerics::format_name(model.graph.tensor(id).format));
  std::vector<numerics::Tensor> inputs;
  if (options.inputs.empty()) {
    inputs = seeded_inputs(compiled.program, options.seed);
  } else {
    SY_TRY(inputs, read_inputs(compiled.program, options.inputs));
  }
  Reference reference;
  reference.how = fmt::format("the same model and inputs in fp32 on {}", chip->name);
  std::set<std::string> wanted;
  if (scheme != nullptr && scheme->activations) {
    for (std::string& name : compiler::activations_to_scale(compiled.graph)) wanted.insert(std::move(name));
  }
  simulation::ExecuteOptions execute;
  execute.threads = options.threads > 0 ? options.threads : hardware_threads();
  execute.after_context = [&](program::ContextId context, const simulation::BufferReader& read) {
    for (const auto& [tensor, buffer] : compiled.contexts[context.index()].reads) {
      const std::string& name = compiled.graph.tensor(tensor).name;
      if (wanted.contains(name) && !reference.scales.contains(name))
        reference.scales[name] = compiler::scale_for(read(buffer), scheme->format, scheme->calibration);
    }
  };
  SY_TRY(const simulation::Execution execution, simulation::execute(compiled.program, inputs, execute));
  reference.outputs = report::declared_outputs(compiled.program, execution.outputs);
  work.progress.end();
  return reference;
}

}  // namespace switchyard::cli
