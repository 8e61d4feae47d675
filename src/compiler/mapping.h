// Mapping: how one kernel is spread over components and cut into tiles; and the search for a good one.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "compiler/kernel.h"
#include "compiler/machine.h"
#include "program/program.h"
#include "support/result.h"

namespace switchyard::compiler {

/// How an operand reaches the unit. off_chip: through a channel, while the kernel runs. early: the same, but what it needs lies in off-chip
/// memory from the beginning (constants, inputs), so that it may be fetched while earlier kernels run. placed: it lies in scratchpads,
/// spread as the kernel needs it, and is read and written there. handed: another unit of the same component makes or uses it tile by tile,
/// and only a few tiles of it lie there at a time.
enum class Reach : std::uint8_t { off_chip, early, placed, handed };

/// How an operand that several instances need alike gets to them. none: each reads it. multicast: one reads it and sends it to all. ring:
/// each reads its own slice of it, and all slices go round.
enum class Sharing : std::uint8_t { none, multicast, ring };

/// Extent of dim d = at most split * trips * tile. Loops run over the dims with trips > 1: parallel ones in `order`, then reductions.
struct Mapping {
  chip::UnitId unit;
  chip::UnitId epilogue_unit;  ///< none: the epilogue runs on `unit`
  std::vector<std::int64_t> split, trips, tile;
  std::vector<int> order;              ///< dims with trips > 1, outermost first
  std::vector<Sharing> sharing;        ///< per operand
  std::vector<bool> resident;          ///< per operand: kept over every loop it does not depend on
  std::vector<std::int64_t> depth;     ///< per operand: slots of its channel
  bool overlap = true;                 ///< false: a member of a ring passes on what it has after it has used it, not while
  std::int64_t readers = 4;            ///< members that read a multicast operand for the others, at most
  std::int64_t accumulator_depth = 2;  ///< slots between unit and epilogue unit
  std::int64_t slices = 1;             ///< of each instance's reduction, dealt as blocks of their own
  std::int64_t storage = 0;            ///< bytes of scratchpad in each component, for channels and sums
  std::int64_t placed = 0;             ///< bytes of the parts of placed operands in each component
  std::int64_t instances = 1;
  double seconds = 0;                       ///< estimate, on its own
  double fetched = 0;                       ///< the same when all that may be fetched early has been
  double on_chip = 0;                       ///< that, weighed for the search: cautious where resources are nearly equally busy
  double off_chip = 0;                      ///< time on off-chip memory of what may be fetched early
  double cost = 0;                          ///< seconds that the kernel adds to the program
  double late = 0;                          ///< the same when nothing has been fetched early
  double held = 0;                          ///< seconds to fetch as much as it holds when all has been fetched that may be early; where
                                            ///< nothing is: its part of the price of a context
  std::array<double, 6> terms{};            ///< of the estimate: compute, movers, issue, memory, fill and drain, links
  double epilogue = 0;                      ///< of it, what the epilogue's unit computes
  std::int64_t tried = 0;                   ///< candidates it was chosen from
  std::vector<std::uint32_t> components{};  ///< of its instances, in order; empty: the machine's first ones
  bool only_late = false;                   ///< of its split the best with kLate and with no other weight
  int dealt = -1;                           ///< the dim whose tiles go to instances in turns, not each a run of them; -1: none
  int stream = -1;                          ///< the dim of the outermost loop, when results are handed on step by step; none: when it suits
};

/// How much of what a mapping holds counts as a cost: where scratchpads are short, kernels that hold less let others be fetched earlier.
/// Which is best depends on all kernels together, so the search keeps the best for each, and whole programs are compared.
/// kLate is no weight: nothing is taken to have been fetched early, so that what a kernel fetches should come while it computes.
inline constexpr double kLate = -1;
inline constexpr std::array<double, 5> kHeldWeights{0.05, 0.1, 0.4, 0.0, kLate};
/// The same where nothing is fetched early and several kernels are a context: how many contexts there are follows from what all of them
/// hold, so that of a context's price each pays in proportion. Less than all of it, as contexts end for other reasons, too.
/// By sight: all of these were better than none on sn40l, where ResNet-18, ResNet-50 and MobileNet-v3 were tried.
inline constexpr std::array<double, 5> kContextWeights{0.25, 1.0, 0.125, 0.0, kLate};
inline double cost_of(const Mapping& m, double held_weight) { return held_weight == kLate ? m.late : m.cost + held_weight * m.held; }

/// Mappings of a kernel to choose from, the best first; kernels that look alike have the same ones.
using Candidates = std::shared_ptr<const std::vector<Mapping>>;

/// Token extents of an operand for given tile sizes: the box that one firing needs, clipped to the tensor where the tile spans it.
std::vector<std::int64_t> token_shape(const KernelOperand& operand, const std::vector<std::int64_t>& tile);
/// Padding of the innermost dimension for the unit's operand layout.
std::int64_t token_pad(const chip::Unit& unit, bool contraction, std::int64_t innermost);
/// Per loop of `order`: is the operand's token kept over it?
std::vector<bool> kept_loops(const KernelOperand& operand, const std::vector<int>& order, bool resident);
/// Tokens per instance given what is kept.
std::int64_t tokens_per_instance(const std::vector<bool>& kept, const std::vector<int>& order, const std::vector<std::int64_t>& trips);
inline constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
/// The most parts, at most `most`, into which `n` divides.
inline std::int64_t equal_parts(std::int64_t n, std::int64_t most) {
  std::int64_t parts = std::min(n, most);
  while (n % parts != 0) --parts;
  return parts;
}
/// Of the instances that share a multicast operand, `sharers` of them: how many read some of it from memory. They take turns with the tiles
/// along the innermost loop that is not kept, and each reads as many; `loops` are those of the actor that uses it, and `kept` says of each
/// by its place whether the token is kept over it.
template <class Kept>
std::int64_t reading_members(const Mapping& mapping, const std::vector<int>& loops, std::int64_t sharers, const Kept& kept) {
  for (std::size_t l = loops.size(); l-- > 0;) {
    if (kept(l)) continue;
    if (loops[l] < 0) return 1;
    return equal_parts(mapping.trips[static_cast<std::size_t>(loops[l])], std::min(sharers, mapping.readers));
  }
  return 1;
}
/// The share of a kernel's work that is left when the last of what it fetches has come: panels that are kept over outer loops are used
/// again. `panel` says of an operand whether it is one, `used` whether it depends on a dim.
template <class Panel, class Used>
double left_when_fetched(const Mapping& mapping, std::size_t operands, const Panel& panel, const Used& used) {
  std::int64_t passes = 1;
  for (std::size_t i = 0; i < operands; ++i) {
    if (!panel(i)) continue;
    std::int64_t of_panel = 1, outside = 1;
    for (const int d : mapping.order)
      if (used(i, d))
        of_panel = outside;
      else
        outside *= mapping.trips[static_cast<std::size_t>(d)];
    passes = std::max(passes, of_panel);
  }
  return 1 - 1 / static_cast<double>(passes);
}
/// First index of a dim's tiles: how far one instance's is from the one before, and one tile's from the one before in the same instance.
struct Steps {
  std::int64_t instance = 0, tile = 0;
};
Steps steps_of(const Kernel& kernel, const Mapping& mapping, std::size_t dim);
/// Instances along each dim (1 for reductions): what the split, the trips and the tile make of its extent.
std::vector<std::int64_t> instances_along(const Kernel& kernel, const Mapping& mapping);
/// Does a tile leave out the columns that none of its rows needs? What is computed ends where its last row does, whether there is such a
/// row or not: so only where no tile's last row could need more columns than there are, or where those are hidden, too.
bool leaves_out(const Kernel& kernel, const Mapping& mapping);
/// Slots a resident operand holds at once.
std::int64_t live_tokens(const std::vector<bool>& kept, const std::vector<int>& order, const std::vector<std::int64_t>& trips);

/// The ring of a mapping: in round r the member at place p works on slice (p - r) modulo `size` of its block of `dim`.
struct Ring {
  int dim = -1;            ///< whose tiles are dealt out in slices; its loop becomes a loop over rounds and one over the tiles of a slice
  int along = -1;          ///< the dim along which the members lie
  std::int64_t size = 1;   ///< members, and slices
  std::int64_t slice = 1;  ///< tiles of `dim` in a slice
};
/// The ring that the operands with Sharing::ring form; none where there are no such operands, or, with the reason, where they form none.
struct RingPlan {
  std::optional<Ring> ring;
  std::string problem;
};
RingPlan ring_of(const Kernel& kernel, const Mapping& mapping, const std::vector<Reach>& reach);
/// Slots of the channel from member to member: a slice's tokens, and at least one more, or all would wait for room.
std::int64_t ring_depth(const Kernel& kernel, const Mapping& mapping, const Ring& ring, std::size_t operand);

/// What an instance touches of an operand over all its firings, as a spread of the operand's tensor over the mapping's instances.
program::Spread spread_of(const Machine& machine, const Kernel& kernel, const KernelOperand& operand, const Mapping& mapping);

/// Units that can run a kernel, the best first, each with the one that runs its epilogue (none: the same). Failure
/// compile/unsupported-format.
struct UnitChoice {
  chip::UnitId unit, epilogue;
};
Result<std::vector<UnitChoice>> unit_choices(const Machine& machine, const graph::Graph& graph, const Kernel& kernel);

/// The best mapping found for each way of splitting the kernel over components, best first, at most `most`. `reserved`:
/// bytes of each scratchpad that it must leave to others. Failure compile/does-not-fit
/// (Infeasible with terms) or compile/unsupported-format.
Result<std::vector<Mapping>> choose_mappings(const Machine& machine, const graph::Graph& graph, const Kernel& kernel,
                                             const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach,
                                             std::int64_t reserved, int effort, std::size_t most);

/// A program's kernels as they would run one after the other: what those who join some of them begin with. Holds references.
struct MappedKernels {
  const graph::Graph& graph;
  const std::vector<Kernel>& kernels;
  const std::vector<std::vector<int>>& layouts;
  const std::vector<bool>& stays;        ///< by tensor: it stays in scratchpads
  const std::vector<Mapping>& mappings;  ///< by kernel
  std::vector<double> apart;             ///< by kernel: seconds
  const std::vector<bool>& alone;        ///< by kernel: it is joined with none
};

}  // namespace switchyard::compiler
