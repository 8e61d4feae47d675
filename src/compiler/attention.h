// Attention: how a product, the softmax of its rows and the product with these is known, what kernels hand on, and what a mask hides.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "compiler/kernel.h"
#include "graph/graph.h"
#include "program/program.h"

namespace switchyard::compiler {

/// The dim that alone moves along dimension `x` of what is accessed, from 0 in steps of 1; -1: there is none.
int dim_at(const KernelOperand& o, std::size_t x);
/// Is the tensor accessed element by element: each dimension by a dim of its own, over its whole extent?
bool plain(const Kernel& kernel, const KernelOperand& o, const graph::Tensor& tensor);

/// By tensor: the operands of kernels that it is, and one more where it is an output.
std::vector<int> uses_of(const graph::Graph& graph, const std::vector<Kernel>& kernels);

/// The one operand that a kernel writes, and the one of the next kernel that reads it.
struct Link {
  std::size_t from = 0, to = 0;
};
/// Both go over the tensor element by element, and nobody else uses it; nothing where that is not so. `uses`: as uses_of has them.
std::optional<Link> link_between(const graph::Graph& graph, const std::vector<Kernel>& kernels, const std::vector<int>& uses,
                                 std::size_t kernel);

/// Three kernels: a product, the softmax along one dim of its result (the keys), and the product of the weights with something, which adds
/// up along the keys. What they hand on is linked.
struct Attention {
  using Along = std::array<int, 3>;  ///< a dim of each kernel
  Link scores, weights;              ///< from the first to the second, and from that to the third
  std::vector<Along> rows;           ///< what rows of scores move with, outermost first
  Along keys{-1, -1, -1};
};
/// Such kernels from this one on; nothing where they are none.
std::optional<Attention> attention_at(const graph::Graph& graph, const std::vector<Kernel>& kernels, const std::vector<int>& uses,
                                      std::size_t kernel);

/// What the mask in the epilogue of a product leaves of its result.
struct MaskBand {
  program::Context::Band band;
  int row = -1;  ///< the dim of its rows; -1: it has one row
  /// By read of the epilogue: what stands for it beyond the last column, so that each row's mask hides that; empty: nothing is known to.
  std::vector<std::optional<double>> beyond{};
};
/// The band along the last two dims of a product's result that its epilogue leaves, if it leaves one. With three rows of all it is known
/// well enough for the time of kernels that compute every score. `every`: all rows have been looked at, of up to kMostScores scores, so
/// that those outside the band may be left out.
inline constexpr std::int64_t kMostScores = std::int64_t{1} << 24;
std::optional<MaskBand> band_of(const graph::Graph& graph, const Kernel& kernel, bool every = false);

}  // namespace switchyard::compiler
