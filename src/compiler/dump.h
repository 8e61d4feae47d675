// Dump: what each pass made, as text for people, and the mappings that a context could have had.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compiler/compiler.h"
#include "compiler/kernel.h"
#include "compiler/mapping.h"
#include "compiler/residence.h"

namespace switchyard::compiler {

/// "oc 64 = 4 instances of 16, oh 56 = 2 tiles of 28": instances and tiles along every loop that is longer than one.
std::string describe_tiling(const Kernel& kernel, const Mapping& mapping);

/// The candidates of one kernel; `moves`: by candidate, Splits::costs.
std::vector<Alternative> alternatives_of(const Kernel& kernel, const std::vector<Mapping>& candidates, const std::vector<double>& moves);

/// Those about one subject, a line each.
std::string print_decisions(const std::vector<Decision>& decisions, std::string_view subject);
std::string print_kernels(const graph::Graph& graph, const std::vector<Kernel>& kernels);
std::string print_layouts(const graph::Graph& graph, const std::vector<std::vector<int>>& layouts);
std::string print_mappings(const std::vector<Kernel>& kernels, const std::vector<Candidates>& candidates);
std::string print_splits(const std::vector<Kernel>& kernels, const Splits& splits);
std::string print_homes(const graph::Graph& graph, const std::vector<Kernel>& kernels, const Homes& homes, const program::Program& program);
/// Addresses in scratchpads by context, and how early movers may start.
std::string print_storage(const program::Program& program);
std::string print_bounds(const program::Program& program, const std::vector<ContextMap>& contexts);
/// Addresses of the buffers off chip.
std::string print_plan(const program::Program& program);

}  // namespace switchyard::compiler
