// From a graph and a chip to a program. The pass list is in compiler.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "graph/graph.h"
#include "program/program.h"
#include "support/result.h"

namespace switchyard::compiler {

/// What the compiler is told to do without, to see what it is worth.
struct Disabled {
  bool fuse = false;     ///< every operator is a context of its own and hands its results on through off-chip memory
  bool share = false;    ///< operands that several components need alike are read by each
  bool overlap = false;  ///< nothing is fetched before its context starts
  bool place = false;    ///< instances take components in plain order
  bool pin = false;      ///< no panel stays in a scratchpad over loops that do not use it, and no context's weights are there before it starts
};

struct CompileOptions {
  numerics::Format precision = numerics::Format::bf16;  ///< every floating tensor is stored and multiplied in this
  std::uint64_t seed = 0;
  int effort = 1;
  Disabled disabled;
};

/// One decision: what was chosen, against what, and why.
struct Decision {
  std::string subject;  ///< context or pass
  std::string text;
};

/// For the checker: which graph operators a context executes, and in which buffer each of its tensors lies.
struct ContextMap {
  std::vector<graph::OpId> ops;  ///< of Compiled::graph, in order
  std::vector<std::pair<graph::TensorId, program::BufferId>> reads, writes;
};

struct Compiled {
  program::Program program;
  graph::Graph graph;  ///< after canonicalisation: what the contexts execute
  std::vector<ContextMap> contexts;
  std::vector<Decision> decisions;
};

/// Failures (kind unsupported): compile/unsupported-format, compile/unsupported-operator, compile/does-not-fit with Infeasible terms. All
/// are listed.
Result<Compiled> compile(const graph::Graph& model, std::shared_ptr<const chip::Chip> chip, const CompileOptions& options);

}  // namespace switchyard::compiler
