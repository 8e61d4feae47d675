// Explanation: why a compiled model is mapped as it is, and why it takes the time it takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/compiler.h"
#include "program/traffic.h"
#include "report/levers.h"
#include "report/run.h"

namespace switchyard::report {

/// A tensor that a context reads or writes: where it lies, and what had to move.
struct TensorStory {
  std::string name;
  bool write = false;
  std::string role;  ///< weights, input, output, activation
  std::string format;
  numerics::Shape shape;
  std::int64_t bytes = 0;  ///< of the whole tensor, once
  bool stays = false;      ///< in scratchpads
  bool early = false;      ///< its loads may start before the context
  std::int64_t components = 0;
  std::vector<std::int64_t> part;  ///< extents in one component
  std::int64_t part_bytes = 0;
  double copies = 1;        ///< elements held in all components, by elements of the tensor
  std::int64_t moved = 0;   ///< bytes between this context and off-chip memory
  std::int64_t shared = 0;  ///< of them, bytes that were read once for several components
  struct Send {
    std::string buffer;
    bool copies = false;  ///< to the other copies of what is written; else to a place where it lies differently
    std::int64_t components = 0, messages = 0, bytes = 0;
  };
  std::vector<Send> sends;  ///< from scratchpad to scratchpads
};

/// What a context asks of one resource of the chip: however else it is scheduled, it takes this long there.
struct Demand {
  std::string resource;
  std::string how;
  Picoseconds time;
  simulation::Cause cause = simulation::Cause::compute;
};

struct ContextStory {
  ContextReport report;
  std::size_t number = 0;
  Picoseconds start;
  compiler::Decision decision;
  std::vector<TensorStory> tensors;
  std::int64_t ahead = 0;        ///< how many contexts before it may still run when its early movers start
  std::string ahead_after;       ///< the context that must have ended; empty: none
  std::int64_t ahead_bytes = 0;  ///< of each component's scratchpad, for what is fetched early
  std::int64_t early_bytes = 0;  ///< loaded by early movers
  std::vector<Demand> demands;   ///< the longest first
  program::ContextTraffic traffic;
  std::string why;    ///< one or two sentences
  std::string bound;  ///< what each resource needs at least, the longest first
};

struct Explanation {
  RunReport run;
  std::vector<std::string> disabled;
  std::vector<compiler::Decision> passes;  ///< decisions that are about no context
  std::vector<std::string> why;            ///< sentences about the whole
  std::vector<ContextStory> contexts;
  std::vector<Lever> levers;
};

/// `run`: of describe_run for this program and timing.
Explanation explain(const compiler::Compiled& compiled, const simulation::Timing& timing, RunReport run, std::vector<Lever> levers);

/// The context of this name, or the one that holds the operator of this name; nothing where there is neither.
const ContextStory* find_context(const Explanation& explanation, const std::string& name);

/// The whole model: why this time, what would help, why this mapping, the contexts that take longest.
std::string print_explanation(const Explanation& explanation, bool color);
/// All about one context.
std::string print_context(const Explanation& explanation, const ContextStory& story, bool color);

}  // namespace switchyard::report
