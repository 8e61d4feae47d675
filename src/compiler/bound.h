// Lower bounds: what no schedule on this chip can beat, resource by resource.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "compiler/bound_work.h"
#include "compiler/kernel.h"
#include "compiler/touched.h"
#include "support/units.h"

namespace switchyard::compiler {

/// What one resource needs at least, together with what must come before it and after it.
struct BoundTerm {
  std::string resource;  ///< "ne", "ddr", "ddr ports"
  std::string how;
  Picoseconds time;
};
/// A bound is its longest term.
struct Bound {
  Picoseconds work;              ///< on units alone, whatever data are there before
  double bytes = 0;              ///< that must cross the chip's edge
  std::vector<BoundTerm> terms;  ///< the longest first
  [[nodiscard]] Picoseconds time() const { return terms.empty() ? Picoseconds(0) : terms.front().time; }
};
/// "ne 12.3 us (2.1 GMAC); ddr 4.0 us (...)", the longest first.
std::string print_bound(const Bound& bound);

/// Bounds on one chip.
class Bounds {
 public:
  Bounds(const chip::Chip& chip, const graph::Graph& graph);

  /// Of the whole model: max over resources of (work that must use it / the best rate the chip file's model can deliver), plus one launch.
  /// Compulsory traffic is inputs, outputs and constants, once, in their stored formats; with a write-back cache outputs may end in it.
  /// `hidden`: work that masks make without effect.
  struct Hidden {
    std::vector<double> shares;  ///< by operator: the part of its points that has an effect; empty: all
    double unread = 0;           ///< bytes of inputs that nothing needs
  };
  [[nodiscard]] Bound model(const Hidden& hidden) const;
  [[nodiscard]] Bound model() const { return model(Hidden()); }
  /// The same against datasheet peaks: stated operations per second, peak bandwidth, no launch.
  [[nodiscard]] Picoseconds model_peak(const Hidden& hidden) const;
  /// Of one kernel as a context of its own, for its span: its tensors cross the chip's edge, but for what a cache may hold already.
  /// `read_before[t]` says which tensors earlier contexts have read: a constant that none has is not in any cache. `stays[t]`: the tensor
  /// lies in scratchpads.
  [[nodiscard]] Bound kernel(const Kernel& kernel, const std::vector<bool>& read_before, const std::vector<bool>& stays,
                             const std::vector<double>& shares = {}) const;
  /// The same of several kernels as one context: what all of them need of a resource together, or one of them needs with what comes before
  /// and after it. `shares`: as Hidden has them.
  [[nodiscard]] Bound context(std::span<const Kernel> kernels, const std::vector<bool>& read_before, const std::vector<bool>& stays,
                              const std::vector<double>& shares = {}) const;
  /// Of kernels that are stages of one: what passes between them crosses no edge. `hidden`: of them alone.
  [[nodiscard]] Bound stages(std::span<const Kernel> kernels, const std::vector<bool>& read_before, const Hidden& hidden) const;

 private:
  struct Traffic {  ///< bytes that cross the chip's edge
    std::map<graph::TensorId, Touched> read, written;
  };
  void add_traffic_of(Traffic& traffic, const Kernel& kernel, const std::vector<bool>& stays) const;
  /// What must be read while a cache may hold some of it.
  [[nodiscard]] double missing(const std::map<graph::TensorId, Touched>& read, const std::vector<bool>& read_before) const;
  struct Movers {
    double startup = 0;  ///< the least of one command
    double rate = 0;     ///< bytes/s of all together
    double ports = 0;    ///< bytes/s through the memory's ports into the network, or out of it; 0: no limit is known
    bool exist = false;
  };
  [[nodiscard]] Movers movers_of(bool load) const;
  [[nodiscard]] double port_rate(bool load) const;
  /// Bytes that must cross the chip's edge, and what a matrix product needs beyond that where the chip cannot hold enough of it.
  void add_traffic(Bound& bound, double before, double read, double written, double product) const;
  void add_units(Bound& bound, double before, double after, const UnitWork& work) const;
  [[nodiscard]] double product_bytes(const numerics::Shape& extents, const std::vector<const std::vector<numerics::Affine>*>& index,
                                     double element) const;

  const chip::Chip& chip_;
  const graph::Graph& g_;
  const chip::Memory& off_;
  double cached_ = 0;   ///< bytes of the cache of the off-chip memory
  double on_chip_ = 0;  ///< bytes of everything on the chip that can hold data
  double issue_ = 0, unit_startup_ = 0;
  Movers load_, store_;
  UnitWork no_work_;  ///< what all work begins with
};

}  // namespace switchyard::compiler
