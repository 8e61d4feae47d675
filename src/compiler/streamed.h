// Streamed: attention over blocks of keys. The scores of some rows and some keys at a time become weights against the largest score so
// far, what these weigh is added up, and both are corrected whenever a larger score comes (Milakov and Gimelshein, 2018; FlashAttention,
// Dao et al., 2022). So neither scores nor weights ever exist as a whole.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compiler/attention.h"
#include "compiler/bound.h"
#include "compiler/interleave.h"
#include "compiler/kernel.h"
#include "compiler/machine.h"
#include "compiler/mapping.h"

namespace switchyard::compiler {

/// Stages of a run: scores of a block; their weights; what these weigh of the block's values; its sum over blocks.
inline constexpr std::size_t kStreamedStages = 4;
using OfStages = std::array<int, kStreamedStages>;  ///< a dim of each stage

/// Attention as kernels that go over blocks of keys.
struct Streamed {
  std::size_t first = 0;                       ///< kernel: the first stage
  graph::OpId softmax;                         ///< by which the run is known, whatever becomes of others
  std::vector<OfStages> axes;                  ///< what rows of scores move with: sentences, heads, rows; outermost first
  OfStages keys{};                             ///< along which blocks lie
  std::vector<Handed> handed;                  ///< between stages; bytes are known with a mapping
  std::int64_t whole = 0;                      ///< bytes of scores and weights, which are never whole
  std::optional<program::Context::Band> band;  ///< where a mask hides part of the scores: blocks beyond it are left out
};

/// Bands of masks, by what these are made of: to look at every score takes time.
using Bands = std::map<std::string, std::optional<MaskBand>>;

/// Runs of three kernels [product, softmax along its rows, product with these rows] become runs of four. What passes between these is
/// tensors that no operator of the graph knows, beside the softmax's operand and result: corrections, sums and products of a block, in
/// fp32. `unless` names softmax operators whose kernels stay as they are.
std::vector<Streamed> stream_attention(const Machine& machine, graph::Graph& graph, std::vector<Kernel>& kernels,
                                       const std::set<graph::OpId>& unless, Bands& bands);

/// The blocks, and the split over components, that are estimated to be fastest, when `reserved` bytes of each scratchpad are left to
/// others; nothing where no blocks fit.
std::optional<Interleaving> map_streamed(const Machine& machine, const graph::Graph& graph, const std::vector<Kernel>& kernels,
                                         const std::vector<std::vector<int>>& layouts, const std::vector<bool>& stays,
                                         const Streamed& streamed, std::int64_t reserved);

/// Seconds of such stages, as they are estimated.
double streamed_seconds(const Machine& machine, const graph::Graph& graph, const std::vector<Kernel>& kernels,
                        const std::vector<std::vector<int>>& layouts, const Streamed& streamed, const std::vector<Mapping>& stages);

/// "scores to context: 256 rows by 512 keys at a time, 64 times on each component; 536.9 MB of scores and weights are never whole;
/// estimate 2100.0 us".
std::string print_streamed(const Streamed& streamed, const Interleaving& mapped, const std::vector<Kernel>& kernels);

/// What the bands of streamed attention make without effect.
Bounds::Hidden hidden_by_bands(const graph::Graph& graph, const std::vector<Kernel>& kernels, const std::vector<Streamed>& streamed);

/// What of a model's attention has no effect, or need not be done, on whatever chip and in whatever program: scores that masks hide, and
/// the division of each weight by the sum of its row, for which there is one of each result.
Bounds::Hidden hidden_in_attention(const graph::Graph& graph, Bands& bands);

}  // namespace switchyard::compiler
