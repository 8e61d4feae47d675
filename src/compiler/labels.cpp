#include "compiler/labels.h"

#include <fmt/format.h>

#include <set>

#include "chip/query.h"
#include "compiler/formats.h"

namespace switchyard::compiler {

program::Labels labels_of(const graph::Graph& model, numerics::Format precision) {
  program::Labels labels;
  labels.model = model.name;
  labels.ops = static_cast<std::int64_t>(model.ops.size());
  labels.macs = graph::mac_count(model);
  labels.parameters = graph::parameter_count(model);
  labels.precision = numerics::format_name(precision);
  for (const graph::TensorId t : model.inputs) labels.input_formats.emplace_back(numerics::format_name(model.tensor(t).format));
  for (const graph::TensorId t : model.outputs) labels.output_formats.emplace_back(numerics::format_name(model.tensor(t).format));
  return labels;
}

std::vector<std::string> fallback_notes(const graph::Graph& g, const std::vector<Kernel>& kernels, const std::vector<Mapping>& mappings,
                                        const chip::Chip& chip) {
  bool has_matrix = false;
  for (const auto& u : chip.units) has_matrix = has_matrix || u.kind == chip::UnitKind::matrix;
  std::set<std::string> said;
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    if (!kernels[k].contraction) continue;
    const auto& unit = chip.units[mappings[k].unit.index()];
    const auto format = leading_format(g, kernels[k]);
    bool native = false;
    for (const auto& u : chip.units)
      native = native || (u.kind == chip::UnitKind::matrix && chip::find_rate(u, chip::OpClass::contract, format));
    if (!has_matrix || native) continue;
    std::string others;
    for (const numerics::Format other : {numerics::Format::bf16, numerics::Format::fp16, numerics::Format::fp32})
      for (const auto& u : chip.units)
        if (u.kind == chip::UnitKind::matrix && chip::find_rate(u, chip::OpClass::contract, other)) {
          others += fmt::format("{}{}", others.empty() ? "; it does in " : ", ", numerics::format_name(other));
          break;
        }
    said.insert(fmt::format("no matrix unit of {} multiplies {}: contractions run on its {} unit '{}'{}", chip.name,
                            numerics::format_name(format), unit.kind == chip::UnitKind::vector ? "vector" : "transform", unit.name,
                            others));
  }
  return {said.begin(), said.end()};
}

}  // namespace switchyard::compiler
