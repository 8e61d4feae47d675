// From a graph and a chip to a program. The pass list is in compiler.cpp.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  bool pin = false;  ///< no panel stays in a scratchpad over loops that do not use it, and no context's weights are there before it starts
};

/// Hears of a pass when it has ended. `text` prints what it made; it may be called until the observer returns. What does not fit makes
/// passes from `kernels` on run again, with another start.
using Observer = std::function<void(std::string_view pass, const std::function<std::string()>& text)>;
/// Names of the passes, in order. `strategies` makes whole programs of which the best is made again; `decompose` runs only where an
/// operator does not fit as one context.
inline constexpr std::array<std::string_view, 15> kPasses{"canonicalise", "formats",   "strategies", "kernels",   "layouts",
                                                          "mappings",     "decompose", "splits",     "residence", "emit",
                                                          "storage",      "bounds",    "plan",       "place",     "route"};

class MappingFile;    // compiler/mapping_file.h
struct Quantisation;  // compiler/quantise.h

/// What an engine says of a program.
struct Timed {
  Timed(double s, std::int64_t e = 0) : seconds(s), events(e) {}  // NOLINT(google-explicit-constructor): an engine may tell the time alone
  double seconds;
  std::int64_t events;   ///< that it played, which is what asking has cost
  std::size_t call = 0;  ///< which one of CompileOptions::time this was, from 0; the compiler's own affair
};

struct CompileOptions {
  numerics::Format precision = numerics::Format::bf16;  ///< every floating tensor is stored and multiplied in this
  bool keep_formats = false;  ///< not in `precision`, but each in its own where the chip has it, or in the next wider one that it has
  std::uint64_t seed = 0;
  int effort = 1;
  int threads = 1;  ///< 0: as many as the host offers; the program is the same
  Disabled disabled;
  Observer observe;                                  ///< may be empty
  std::shared_ptr<const MappingFile> mappings;       ///< an engineer's own; null: none
  std::shared_ptr<const Quantisation> quantisation;  ///< null: none
  bool dump_mappings = false;                        ///< write down those that were used
  double pipelines = 0.85;  ///< kernels become a pipeline when it is estimated to take at most so much of their time one after the other
  double interleavings = 0.95;  ///< the same of kernels that hand on tile by tile
  std::optional<bool> streams;  ///< attention over blocks of keys is tried, or is not; empty: where there may be some
  /// How long a program takes; may be empty. With it, whole programs are compared where the search has a choice of strategy. Called from
  /// several threads, but never by two at once.
  std::function<Timed(const program::Program&)> time;
};

/// One way of mapping a context, of the best ones that were found. Times are estimates, in seconds.
struct Alternative {
  std::string text;               ///< instances and tiles
  std::int64_t instances = 1;     ///< components at work
  double alone = 0;               ///< the context on its own
  double fetched = 0;             ///< the same when all that may be fetched early has been
  double off_chip = 0;            ///< time on off-chip memory of what may be fetched early
  double moves = 0;               ///< from kernel to kernel, given what the others chose; infinite: no mover does it
  std::array<double, 6> terms{};  ///< of `alone`: compute, movers, issue, memory, fill and drain, links
  std::int64_t storage = 0;       ///< bytes in each scratchpad: channels, sums and parts of tensors
};

/// One decision: what was chosen, against what, and why.
struct Decision {
  std::string subject;  ///< context or pass
  std::string text;
  std::vector<Alternative> alternatives{};  ///< of a context, the chosen one among them
  std::size_t chosen = 0;
  std::int64_t tried = 0;  ///< candidates from which the alternatives were taken
};

/// For the checker and for who asks why: which graph operators a context executes, and in which buffer each of its tensors lies.
struct ContextMap {
  std::vector<graph::OpId> ops;  ///< of Compiled::graph, in order
  std::vector<std::pair<graph::TensorId, program::BufferId>> reads, writes;
  std::string bound{};  ///< what each resource needs at least, the longest first
};

struct Compiled {
  program::Program program;
  graph::Graph graph;  ///< after canonicalisation: what the contexts execute
  std::vector<ContextMap> contexts;
  std::vector<Decision> decisions;
  std::optional<std::size_t> timed;  ///< which call of CompileOptions::time, from 0, was for this very program
  std::string mappings;              ///< as text of a mapping file, where it was asked for
};

/// Failures (kind unsupported): compile/unsupported-format, compile/unsupported-operator, compile/does-not-fit and compile/does-not-route
/// with Infeasible terms. All are listed. Those of a mapping file are in compiler/mapping_file.h.
Result<Compiled> compile(const graph::Graph& model, std::shared_ptr<const chip::Chip> chip, const CompileOptions& options);

}  // namespace switchyard::compiler
