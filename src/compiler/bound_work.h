// Work of units, counted as little as any schedule can make it: what each piece takes on each class of units, and the least time for all.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "chip/chip.h"
#include "compiler/kernel.h"
#include "graph/graph.h"

namespace switchyard::compiler {

/// Least time of work that several classes of units can share in any way.
struct LeastTime {
  double seconds = 0;
  chip::UnitId unit;     ///< the class that binds most; none where there is nothing to do
  bool in_turn = false;  ///< products alone, one after the other
};

/// Pieces of work that any class able to do them may do, in parts of any size. Where no class can, a piece is left out.
/// Of a model: its operators, however they are merged, at the rate of the fastest format there is; what a matrix unit applies to its
/// results on their way out is free wherever there is a contraction. Of a kernel: its statements as they stand.
/// A grid's kernels come one after the other, and each multiplies on one class of units: there products are not shared among classes.
class UnitWork {
 public:
  UnitWork(const chip::Chip& chip, const graph::Graph& graph);
  /// `shares`: by operator, the part of its points that has an effect; empty: all.
  void add(const graph::Graph& graph, const std::vector<double>& shares = {});
  void add(const graph::Graph& graph, const Kernel& kernel, double share = 1);
  /// Of stages that are one kernel: their products alone, for what lies between is done otherwise there (softmax as it goes).
  void add_product(const graph::Graph& graph, const Kernel& kernel, double share);
  [[nodiscard]] LeastTime least() const;

 private:
  struct Piece;   ///< of a nest or of a statement
  struct Rates {  ///< operations/s of all units of a class together
    std::vector<std::pair<numerics::Format, double>> simple;
    double special = 0;                                                                          ///< 0: as the others
    [[nodiscard]] std::array<double, 2> of(const std::vector<numerics::Format>& formats) const;  ///< of the fastest of them; 0: none
  };
  static Piece piece_of(const graph::Graph& graph, const Kernel& kernel, const KernelStatement& statement);
  void add(const Piece& piece, double share = 1);
  [[nodiscard]] std::array<double, 2> least_cost(const Piece& piece) const;
  [[nodiscard]] std::array<double, 2> whole_cost(const Piece& piece) const;

  const chip::Chip& chip_;
  std::vector<numerics::Format> formats_;    ///< that there are
  std::vector<Rates> rates_;                 ///< per class of units, of what is no contraction
  std::vector<std::vector<double>> pieces_;  ///< seconds on each class
  LeastTime in_turn_{0, {}, true};           ///< of a grid's products, each on the class that is fastest for it
  double longest_in_turn_ = 0;               ///< of one of them: it names the class
};

/// Multiply-accumulates that a unit's steps have places for when it does M x N x K of them, however they are cut: extents of the loops that
/// lie along each axis, and of those that lie along none. With one loop along an axis the steps must cover it, and each covers `geometry`;
/// with several, no box of theirs fills a step better than the best.
double padded_macs(const std::vector<std::int64_t> (&axes)[3], double batch, const std::array<std::int64_t, 3>& geometry);

}  // namespace switchyard::compiler
