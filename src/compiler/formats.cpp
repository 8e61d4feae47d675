#include "compiler/formats.h"

#include <fmt/format.h>

#include <algorithm>

#include "numerics/tensor.h"

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

}  // namespace

void choose_formats(graph::Graph& graph, const chip::Chip& chip, numerics::Format precision, std::vector<Decision>& decisions) {
  const auto& native = chip.formats.native;
  const bool stores_truth = std::find(native.begin(), native.end(), numerics::Format::boolean) != native.end();
  int truths = 0;
  for (graph::Tensor& t : graph.tensors) {
    if (numerics::format_info(t.format).floating) {
      store_in(t, precision);
    } else if (t.format == numerics::Format::boolean && !stores_truth) {
      store_in(t, precision);
      ++truths;
    }
  }
  if (truths > 0)
    decisions.push_back({"formats", fmt::format("{} tensors of truth values are stored as 0 and 1 in {}: {} does not store bool", truths,
                                                numerics::format_name(precision), chip.name)});
}

}  // namespace switchyard::compiler
