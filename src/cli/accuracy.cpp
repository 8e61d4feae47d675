#include "cli/accuracy.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "chip/query.h"
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

namespace {

/// The chip as if those of its units that compute in no fp32 did, at the pace of their first format: the reference asks for values alone.
std::shared_ptr<const chip::Chip> with_fp32(const std::shared_ptr<const chip::Chip>& chip, bool& added) {
  auto wider = std::make_shared<chip::Chip>(*chip);
  added = false;
  const auto lacks = [&](chip::OpClass op) { return chip::units_for(*chip, op, numerics::Format::fp32).empty(); };
  for (const chip::OpClass op : {chip::OpClass::contract, chip::OpClass::map}) {
    if (!lacks(op)) continue;
    for (chip::Unit& unit : wider->units) {
      if (std::find(unit.ops.begin(), unit.ops.end(), op) == unit.ops.end() || unit.rates.empty()) continue;
      if (chip::find_rate(unit, op, numerics::Format::fp32) != nullptr) continue;
      unit.rates.push_back({numerics::Format::fp32, numerics::Format::fp32, unit.rates.front().per_cycle});
      added = true;
    }
  }
  return added ? wider : chip;
}

}  // namespace

Result<Reference> run_reference(Workplace& work, const model::LoadedModel& model, const std::shared_ptr<const chip::Chip>& own_chip,
                                const compiler::QuantiseScheme* scheme) {
  const Options& options = work.options;
  bool added = false;
  const std::shared_ptr<const chip::Chip> chip = with_fp32(own_chip, added);
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
  reference.how = fmt::format("the same model and inputs in fp32 on {}{}", chip->name, added ? ", as if its units computed in it" : "");
  std::set<std::string> wanted;
  if (scheme != nullptr && compiler::needs_calibration(*scheme)) {
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
