// Draft: a program on its way, made by the passes from kernels to storage under one strategy.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compiler/chain.h"
#include "compiler/compiler.h"
#include "compiler/emit.h"
#include "compiler/interleave.h"
#include "compiler/kernel.h"
#include "compiler/machine.h"
#include "compiler/mapping.h"
#include "compiler/partition.h"
#include "compiler/pipeline.h"
#include "compiler/residence.h"
#include "compiler/stages.h"
#include "compiler/storage.h"
#include "compiler/streamed.h"

namespace switchyard::compiler {

/// What whole programs are compared in: how much of what a kernel holds counts as its cost, and how many members of a group read what is
/// multicast (more read faster, and take more places in scratchpads and commands).
struct Strategy {
  double held_weight = kHeldWeights[0];
  std::int64_t readers = 4;
  bool deep = false;                ///< channels as deep as they can be, rather than begun early
  int search = 1;                   ///< how thoroughly mappings of one kernel are searched
  bool pipelined = false;           ///< kernels that stream into each other have components of their own
  bool interleaved = false;         ///< kernels on different units hand on tile by tile
  bool streamed = false;            ///< attention goes over blocks of keys
  bool in_parts = false;            ///< long sums with few results are made in parts
  std::int64_t room = 0;            ///< bytes of each scratchpad that a context of several kernels may fill; 0: all
  double dearer = 0;                ///< seconds that a switch is taken to cost at least, where several kernels are a context
  std::optional<double> chained{};  ///< several kernels to a context, with this weight of what others hold meanwhile; none: one
  bool operator==(const Strategy&) const = default;
};

/// What the compiler may still change its mind about, when a mapping or the storage of all contexts does not work out.
struct Attempt {
  std::vector<bool> stays;             ///< tensors that live in scratchpads
  std::vector<std::int64_t> reserved;  ///< per kernel: bytes of each scratchpad it must leave to others; -1: it cannot leave any
  std::vector<bool> one_reader;        ///< per kernel: more members that read would not fit
  std::vector<bool> alone;             ///< per kernel: as a stage it would not fit
  std::set<graph::OpId> unstreamed{};  ///< softmax operators of attention that no blocks make fit
};

/// What has been found out about one machine, kept from program to program.
struct Known {
  std::map<std::string, Candidates> candidates;                    ///< of kernels, by everything a mapping depends on
  std::set<std::string> misfits{};                                 ///< the same, of which nothing fits
  std::map<std::string, std::optional<Interleaving>> attention{};  ///< over blocks of keys, the same; none where no blocks fit
  KnownStages stages{};
  std::shared_ptr<SpreadCosts> costs;
  std::shared_ptr<MessageCounts> messages = std::make_shared<MessageCounts>();
  std::shared_ptr<Bands> bands = std::make_shared<Bands>();  ///< of the model: the same for all machines
};

/// A program on its way: what the passes after the formats have made.
struct Draft {
  std::vector<Kernel> kernels;
  std::vector<std::vector<int>> layouts;
  Attempt attempt;
  std::vector<Candidates> candidates;
  std::vector<Pipeline> pipelines;
  std::vector<Interleaving> interleavings;  ///< those of `streamed` first
  std::vector<Streamed> streamed;
  Splits splits;
  Homes homes;
  std::vector<Chain> chains;
  program::Program program;
  std::vector<Section> sections;  ///< by context
  [[nodiscard]] std::size_t end_of(std::size_t context) const {
    return context + 1 < sections.size() ? sections[context + 1].first : kernels.size();
  }
};

/// The passes from the graph to contexts with storage, tried again with what they find out.
struct Builder {
  const Machine& machine;
  graph::Graph& g;
  const CompileOptions& options;
  std::vector<Decision>& decisions;
  std::shared_ptr<const chip::Chip> whole;  ///< on which programs run
  std::shared_ptr<const chip::Chip> chip;   ///< for which they are made: the same, or one with less
  Known known;
  Attempt begin_with{};  ///< what is known not to work, of the same kernels; empty: nothing

  /// `wanted`: mappings, by what kernels look like, that are not to be changed.
  Result<Draft> build(const Strategy& strategy, bool observed, const std::map<std::string, Mapping>& wanted = {});

  /// Other kernels that look like this one, and for which no more room has been made yet; none in programs of few kernels.
  [[nodiscard]] std::vector<std::size_t> like(const Draft& d, std::size_t kernel) const;
  /// Pipelines and runs that hand on tiles, with kernels in a range, are given up; false: there are none.
  static bool dissolve(Draft& d, std::size_t begin, std::size_t end);

  /// Kernels become stages where that is estimated to be faster than one after the other.
  void pipeline(Draft& d, const Strategy& strategy);

  /// The kernels as they would run one after the other.
  [[nodiscard]] MappedKernels mapped_of(const Draft& d) const;

  /// Runs of kernels that would hand on tile by tile, given how they would run one after the other.
  [[nodiscard]] std::vector<Interleaving> interleavings_of(const Draft& d) const;

  /// Some attention that has no blocks of keys yet may have them.
  [[nodiscard]] bool may_stream(const Draft& d) const;

  /// Kernels hand on tile by tile where that is estimated to be faster than one after the other.
  void interleave(Draft& d, const Strategy& strategy);

  /// What a kernel looks like, wherever it stands.
  std::string look_of(const Draft& d, std::size_t k) const;

  Result<Timed> time_of(Draft& d) const;

  /// Kernels of one look together take another of their candidates where the whole program gets faster: those first on which most time is
  /// spent, the likeliest candidates first. So many `trials`, and again where that gained much. `least`: seconds of the program without
  /// other mappings, then with those that are returned.
  Result<std::map<std::string, Mapping>> refine(const Strategy& strategy, double& least, int trials);

 private:
  std::vector<std::optional<std::size_t>> fixed_of(const Draft& d, const std::map<std::string, Mapping>& wanted) const;

  /// How many members of a group read what is multicast.
  void set_readers(Draft& d, const Strategy& strategy) const;

  /// Pipelines and runs that hand on tiles, as mappings and a mapping file have them.
  void join_as_given(Draft& d) const;

  /// Attention goes over blocks of keys, and tiles are handed on, where a mapping file says so: mapping/impossible.
  [[nodiscard]] Status check_given(const Draft& d) const;

  /// What is known not to work, of kernels made anew: `begin_with`, or nothing.
  [[nodiscard]] Attempt first_attempt(const Draft& d) const;

  /// Large tensors leave the scratchpads where their kernels are estimated to be sooner without them; false: none does.
  bool give_up_large(Draft& d, const Strategy& strategy);
  /// Seconds of a kernel by itself, in the best way that is known; infinite: there is none. Of attention over blocks the first kernel has
  /// all.
  double cost_alone(const Draft& d, std::size_t k, const Attempt& attempt, const Strategy& strategy);
  /// Mappings of a kernel; null: it does not fit.
  Candidates candidates_of(const Draft& d, std::size_t k, const Attempt& attempt, int search);
  /// A tensor that stages of attention hand on.
  static bool is_handed(const Draft& d, graph::TensorId tensor);
  /// Attention over blocks of keys, in the best way that is known; nothing where no blocks fit.
  const std::optional<Interleaving>& attention_of(const Draft& d, const Streamed& streamed, const Attempt& attempt);

  /// Mappings of attention over blocks of keys; false: some has none, and is one kernel after the other.
  bool map_attention(Draft& d);

  /// The largest tensor that stages of attention find in scratchpads leaves them; false: there is none.
  bool give_up_largest(Draft& d, const Streamed& streamed) const;

  /// A context with attention over blocks of keys does not fit: it must leave more room. False: there is none in it.
  bool leave_room(Draft& d, const Overflow& overflow, std::size_t end, std::int64_t most) const;

  /// A mapping file says how attention goes over blocks of keys.
  [[nodiscard]] bool given(const Draft& d, const Streamed& streamed) const;

  template <class Tell>
  void emit(Draft& d, const Tell& tell) const;

  /// Which kernels are one context, and where all that lies in scratchpads lies. What does not fit: of a context of one kernel. Failure:
  /// contexts of a mapping file that cannot be.
  Result<std::optional<Overflow>> plan_contexts(Draft& d, const Strategy& strategy) const;

  /// Contexts by their first kernel and the one behind their last.
  using Joined = std::map<std::pair<std::size_t, std::size_t>, program::Context>;
  /// The kernels' contexts, each with those that belong to it; what cannot be joined becomes one more context, and `joins` tells it the
  /// partition. Those in `joined` are taken from there.
  static void join(Draft& d, std::vector<program::Context>& kernels, const std::vector<HandedBuffer>& tiles, Joined& joined,
                   std::vector<std::size_t>& joins);

  /// Buffers between kernels that hand on tile by tile.
  static std::vector<HandedBuffer> tiles_of(const Draft& d);

  /// Where a section is cut, near to where that is wanted and between no two kernels that hand on tiles; its first kernel: nowhere.
  static std::size_t cut_between(const Draft& d, std::size_t first, std::size_t wanted, std::size_t end);

  /// What was handed on has no buffer.
  static void drop_unused_buffers(Draft& d);

  /// Seconds of a kernel until what it writes is where it is needed, in a context that has begun.
  double run_of(const Draft& d, std::size_t k) const;

  /// Of a pipeline, or of a run that hands on tiles, that has begun with an earlier kernel.
  static bool is_stage(const Draft& d, std::size_t k);

  std::vector<ContextTimes> times_of(const Draft& d) const;
};

}  // namespace switchyard::compiler
