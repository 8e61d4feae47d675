// Formats: in which number format each tensor is stored and computed.
#pragma once

#include <vector>

#include "chip/chip.h"
#include "compiler/compiler.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// Every floating tensor takes `precision`; but weights of fewer bits stay what they are where they are only multiplied by, or where the
/// chip stores their format. Truth values take it too where the chip does not store them: 0 and 1 are exact in any format, and its units
/// then compute on one format. Other formats stay as they are. Tensors in `stored` keep the format they have.
void choose_formats(graph::Graph& graph, const chip::Chip& chip, numerics::Format precision, std::vector<Decision>& decisions,
                    const std::vector<graph::TensorId>& stored = {});

/// Sums of products of integers in formats that no unit multiplies become reductions, which vector units compute.
void reduce_unmultiplied(graph::Graph& graph, const chip::Chip& chip, std::vector<Decision>& decisions);

/// Whether some unit multiplies numbers of `precision` by weights stored in another format.
bool takes_weights(const chip::Chip& chip, numerics::Format precision, numerics::Format weights);
/// Whether tensors of the format may lie in the chip's memories: a format of its own, or one in which some unit computes.
bool stores(const chip::Chip& chip, numerics::Format format);
/// The format in which the chip keeps tensors that the model declares in `format`: the same, or the narrowest that represents all its
/// numbers, or, where there is none, the one that loses least (then the first has the greater unit roundoff).
numerics::Format stored_format(const chip::Chip& chip, numerics::Format format);

/// Every tensor takes stored_format() of its own format. What is narrower than the model declares is noted.
void keep_formats(graph::Graph& graph, const chip::Chip& chip, program::Labels& labels, std::vector<Decision>& decisions);

}  // namespace switchyard::compiler
