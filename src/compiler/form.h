// Form: what kernels that are mapped alike have in common.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/kernel.h"
#include "compiler/mapping.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// Everything a mapping depends on, as bytes that only serve to be compared: kernels with equal forms get equal mappings. `layouts`: by
/// tensor; `reach`: by operand; `reserved`: bytes of each scratchpad that are left to others.
std::string form_of(const Kernel& kernel, const graph::Graph& g, const std::vector<std::vector<int>>& layouts,
                    const std::vector<Reach>& reach, std::int64_t reserved);

/// The same, with how thoroughly it is searched.
std::string form_to_search(const Kernel& kernel, const graph::Graph& g, const std::vector<std::vector<int>>& layouts,
                           const std::vector<Reach>& reach, std::int64_t reserved, int search);

}  // namespace switchyard::compiler
