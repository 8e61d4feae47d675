// Emit: a kernel and its mapping become one context of the program.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "compiler/mapping.h"
#include "compiler/residence.h"
#include "program/program.h"

namespace switchyard::compiler {

/// The most messages that a store takes, by all that they depend on, kept from program to program; nothing: too many to be counted.
using MessageCounts = std::map<std::vector<std::int64_t>, std::optional<std::int64_t>>;

/// `homes[i]` says in which of `buffers` operand i lies. Channels and states have no offsets yet: plan_storage gives them.
program::Context emit_context(const Machine& machine, const graph::Graph& graph, const Kernel& kernel, const Mapping& mapping,
                              const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach,
                              const std::vector<OperandHome>& homes, const std::vector<program::Buffer>& buffers,
                              MessageCounts* counts = nullptr);

}  // namespace switchyard::compiler
