#include "compiler/formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "chip/query.h"
#include "numerics/tensor.h"
#include "program/widening.h"

namespace switchyard::compiler {
namespace {

void store_in(graph::Tensor& tensor, numerics::Format format) {
  if (tensor.constant) {
    auto made = std::make_shared<numerics::Constant>();
    made->make = [original = tensor.constant, format] { return numerics::convert_tensor(original->make(), format); };
    tensor.constant = made;
  }
  tensor.format = format;
}

/// Weights of fewer bits that nothing does but multiply by: they are widened on their way into the product, wherever it is made.
std::vector<graph::TensorId> narrow_factors(const graph::Graph& graph, numerics::Format precision) {
  std::vector<bool> factor(graph.tensors.size(), false), other(graph.tensors.size(), false);
  for (const graph::Op& op : graph.ops)
    for (const numerics::Nest& nest : op.nests)
      for (const numerics::Access& read : nest.reads) {
        const auto slot = static_cast<std::size_t>(read.slot);
        if (slot >= op.operands.size()) continue;
        const bool multiplied =
            nest.is_contraction() && nest.reads.size() == 2 && &read == &nest.reads[1] &&
            static_cast<std::size_t>(nest.reads[0].slot) < op.operands.size() &&
            numerics::format_info(graph.tensor(op.operands[static_cast<std::size_t>(nest.reads[0].slot)]).format).floating;
        (multiplied ? factor : other)[op.operands[slot].index()] = true;
      }
  std::vector<graph::TensorId> found;
  for (std::size_t t = 0; t < graph.tensors.size(); ++t)
    if (graph.tensors[t].role == graph::Role::constant && factor[t] && !other[t] &&
        program::is_narrower(graph.tensors[t].format, precision))
      found.emplace_back(t);
  return found;
}

}  // namespace

void choose_formats(graph::Graph& graph, const chip::Chip& chip, numerics::Format precision, std::vector<Decision>& decisions,
                    const std::vector<graph::TensorId>& stored) {
  const bool stores_truth = stores(chip, numerics::Format::boolean);
  int truths = 0;
  std::map<numerics::Format, std::pair<numerics::Format, int>> integers;  // by the model's: the chip's, and of how many tensors
  std::vector<bool> chosen(graph.tensors.size(), false);
  for (const graph::TensorId id : stored) chosen[id.index()] = true;
  for (const graph::TensorId id : narrow_factors(graph, precision)) chosen[id.index()] = true;
  for (graph::Tensor& t : graph.tensors) {
    if (chosen[static_cast<std::size_t>(&t - graph.tensors.data())]) continue;
    if (numerics::format_info(t.format).floating) {
      // Weights of a byte stay that, where the chip knows their format.
      const bool narrow = numerics::format_bytes(t.format) < std::min(2, numerics::format_bytes(precision));
      if (!(narrow && t.role == graph::Role::constant && stores(chip, t.format))) store_in(t, precision);
    } else if (t.format == numerics::Format::boolean && !stores_truth) {
      store_in(t, precision);
      ++truths;
    } else if (const auto kept = stored_format(chip, t.format); kept != t.format && !numerics::format_info(kept).floating) {
      integers.try_emplace(t.format, kept, 0).first->second.second += 1;
      store_in(t, kept);
    }
  }
  for (const auto& [own, to] : integers)
    decisions.push_back(
        {"formats", fmt::format("{} tensors of {} are kept in {}: {} does not store {}", to.second, numerics::format_name(own),
                                numerics::format_name(to.first), chip.name, numerics::format_name(own))});
  if (truths > 0)
    decisions.push_back({"formats", fmt::format("{} tensors of truth values are stored as 0 and 1 in {}: {} does not store bool", truths,
                                                numerics::format_name(precision), chip.name)});
}

void reduce_unmultiplied(graph::Graph& graph, const chip::Chip& chip, std::vector<Decision>& decisions) {
  std::map<numerics::Format, int> changed;
  for (graph::Op& op : graph.ops)
    for (numerics::Nest& nest : op.nests) {
      if (!nest.is_contraction() || nest.reads.empty()) continue;
      const auto slot = static_cast<std::size_t>(nest.reads[0].slot);
      if (slot >= op.operands.size()) continue;
      const numerics::Format format = graph.tensor(op.operands[slot]).format;
      if (numerics::format_info(format).floating || !chip::units_for(chip, chip::OpClass::contract, format).empty()) continue;
      nest.expression = numerics::apply(numerics::ScalarOp::add, nest.expression, numerics::expr_constant(0));
      ++changed[format];
    }
  for (const auto& [format, count] : changed)
    decisions.push_back({"formats", fmt::format("{} products of {} are sums of vector units: no unit of {} multiplies {}", count,
                                                numerics::format_name(format), chip.name, numerics::format_name(format))});
}

bool takes_weights(const chip::Chip& chip, numerics::Format precision, numerics::Format weights) {
  const auto units = chip::units_for(chip, chip::OpClass::contract, precision);
  return weights == precision || std::any_of(units.begin(), units.end(),
                                             [&](chip::UnitId u) { return program::widening(chip, u, precision, weights).has_value(); });
}

bool stores(const chip::Chip& chip, numerics::Format format) {
  const auto& native = chip.formats.native;
  return std::find(native.begin(), native.end(), format) != native.end() || !chip::units_for(chip, chip::OpClass::map, format).empty();
}

numerics::Format stored_format(const chip::Chip& chip, numerics::Format format) {
  if (stores(chip, format)) return format;
  const numerics::FormatInfo& wanted = numerics::format_info(format);
  // Of those that hold all its numbers the narrowest, integers for integers; else the widest of its kind.
  std::optional<numerics::Format> best;
  const auto better = [&](numerics::Format a, numerics::Format b) {
    const numerics::FormatInfo &x = numerics::format_info(a), &y = numerics::format_info(b);
    const bool holds = numerics::represents(a, format), held = numerics::represents(b, format);
    if (holds != held) return holds;
    if ((x.floating == wanted.floating) != (y.floating == wanted.floating)) return x.floating == wanted.floating;
    if (x.bytes != y.bytes) return holds == (x.bytes < y.bytes);
    return numerics::unit_roundoff(a) < numerics::unit_roundoff(b);
  };
  for (const numerics::FormatInfo& info : numerics::all_formats()) {
    if (stores(chip, info.format) && (!best || better(info.format, *best))) best = info.format;
  }
  return best.value_or(format);
}

void keep_formats(graph::Graph& graph, const chip::Chip& chip, program::Labels& labels, std::vector<Decision>& decisions) {
  std::map<numerics::Format, std::pair<numerics::Format, int>> changed;
  for (graph::Tensor& t : graph.tensors) {
    const numerics::Format own = t.format, kept = stored_format(chip, own);
    if (kept == own) continue;
    changed.try_emplace(own, kept, 0).first->second.second += 1;
    store_in(t, kept);
  }
  for (const auto& [own, to] : changed) {
    const bool exact = numerics::represents(to.first, own);
    const std::string text = fmt::format("{} tensors of {} are kept in {}, which holds {} of its numbers: {} does not store {}", to.second,
                                         numerics::format_name(own), numerics::format_name(to.first), exact ? "all" : "not all", chip.name,
                                         numerics::format_name(own));
    decisions.push_back({"formats", text});
    if (!exact) labels.notes.push_back(text);
  }
}

}  // namespace switchyard::compiler
