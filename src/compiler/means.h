// Means: what a chip's concepts let the compiler do with it. The one table from which strategies follow; no chip's name stands in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compiler/compiler.h"
#include "compiler/machine.h"

namespace switchyard::compiler {

/// Kernels are phases of one context, ordered by tokens between components: the sequencer must leave it to them when to go on.
bool chains_kernels(const Machine& machine);
/// Kernels are stages on components of their own that stream into each other.
bool streams_kernels(const Machine& machine);
bool hands_on_tiles(const Machine& machine);
/// Kernels whose results nobody else reads are stages of one kernel of a grid.
bool joins_stages(const Machine& machine);
/// Instances may be given other components than in plain order.
bool places_instances(const Machine& machine);

/// One of them: whether this machine has it, and which concept decides.
struct Means {
  std::string_view what;
  bool used = false;
  std::string why;
};
std::vector<Means> means_of(const Machine& machine);

/// As a decision: "values stay in scratchpads (...); not: ...".
Decision explain_means(const Machine& machine);

}  // namespace switchyard::compiler
