#include "compiler/grid_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "chip/query.h"
#include "compiler/emit.h"
#include "compiler/estimate.h"
#include "program/findings.h"
#include "program/grid.h"
#include "program/thin.h"

namespace switchyard::compiler {
namespace {

constexpr double kMany = 1 << 19;  ///< beyond these, with their channels, a context would be too large
constexpr std::array<std::int64_t, 10> kSlices{1, 2, 3, 4, 6, 8, 12, 16, 24, 32};
constexpr std::int64_t kLeastSteps = 2;  ///< of a slice

bool multiplies(const numerics::Expression& e) {
  return std::any_of(e.nodes.begin(), e.nodes.end(), [](const auto& node) { return node.op == numerics::ScalarOp::mul; });
}

class GridSearch {
 public:
  GridSearch(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const std::vector<std::vector<int>>& layouts,
             const std::vector<Reach>& reach, std::int64_t reserved, const UnitChoice& units)
      : machine_(machine),
        chip_(*machine.chip),
        g_(g),
        kernel_(kernel),
        layouts_(layouts),
        reach_(reach),
        unit_(chip_.units[units.unit.index()]),
        evaluator_(machine, g, kernel, layouts, reach, reserved, units.unit, units.epilogue),
        divide_(dims_to_divide(kernel)) {
    for (const KernelOperand& o : kernel.operands) {
      const graph::Tensor& t = g.tensor(o.tensor);
      program::Buffer buffer;
      buffer.memory = machine.off_chip;
      buffer.format = t.format;
      buffer.shape = t.shape;
      buffer.order = layouts[o.tensor.index()];
      homes_.push_back({program::BufferId(buffers_.size()), false, {}});
      // Operands that name one tensor read one buffer.
      for (std::size_t i = 0; i + 1 < homes_.size(); ++i)
        if (kernel.operands[i].tensor == o.tensor) homes_.back().buffer = homes_[i].buffer;
      buffers_.push_back(std::move(buffer));
    }
  }

  std::vector<Mapping> run() {
    const numerics::FormatInfo& info = numerics::format_info(g_.tensor(kernel_.operands.front().tensor).format);
    for (const KernelStatement& s : kernel_.statements) {
      const bool scaled = info.floating && info.bytes == 1 && s.epilogue && s.reads.size() > 1 && multiplies(s.expression);
      scaled_ = scaled_ || scaled;
      whole_ = whole_ || (scaled && reads_along_a_side(s));
    }
    if (kernel_.contraction && !unit_.tiles.m.empty())
      contraction();
    else
      others();
    if (best_.tile.empty()) return {};
    best_.tried = tried_;
    return {best_};
  }

 private:
  /// Does a statement read something that differs from row to row, or from column to column?
  [[nodiscard]] bool reads_along_a_side(const KernelStatement& s) const {
    return std::any_of(s.reads.begin(), s.reads.end(), [&](const KernelAccess& a) {
      if (a.local) return false;
      const auto& index = kernel_.operands[static_cast<std::size_t>(a.number)].index;
      return std::any_of(index.begin(), index.end(), [](const numerics::Affine& f) { return !f.terms.empty(); });
    });
  }

  /// Loops of the kernel, the fastest in the operand's memory first.
  [[nodiscard]] std::vector<int> fastest_first(const KernelOperand& operand) const {
    std::vector<int> dims;
    const auto& order = layouts_[operand.tensor.index()];
    for (std::size_t d = order.size(); d-- > 0;) {
      std::vector<numerics::Affine::Term> terms = operand.index[static_cast<std::size_t>(order[d])].terms;
      std::sort(terms.begin(), terms.end(), [](const auto& a, const auto& b) { return std::abs(a.coefficient) < std::abs(b.coefficient); });
      for (const auto& t : terms)
        if (std::find(dims.begin(), dims.end(), t.variable) == dims.end()) dims.push_back(t.variable);
    }
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
      if (std::find(dims.begin(), dims.end(), static_cast<int>(d)) == dims.end()) dims.push_back(static_cast<int>(d));
    return dims;
  }

  [[nodiscard]] const KernelOperand& result() const {
    return *std::find_if(kernel_.operands.begin(), kernel_.operands.end(), [](const KernelOperand& o) { return o.write; });
  }

  /// Tiles of these dims, in order, of `size` points together at most.
  void fill(Mapping& m, const std::vector<int>& dims, std::int64_t size) const {
    for (const int dim : dims) {
      const auto d = static_cast<std::size_t>(dim);
      std::int64_t t = std::min(kernel_.dims[d].extent, std::max<std::int64_t>(1, size));
      while (divide_[d] && kernel_.dims[d].extent % t != 0) --t;
      if (kernel_.dims[d].single) t = 1;
      m.tile[d] = t;
      size /= t;
    }
  }

  void contraction() {
    const KernelStatement& s = kernel_.statements.front();
    const KernelOperand& a = kernel_.operands[static_cast<std::size_t>(s.reads[0].number)];
    const KernelOperand& b = kernel_.operands[static_cast<std::size_t>(s.reads[1].number)];
    std::array<std::vector<int>, 3> sides;  // of a, of b, reductions
    double groups = 1;
    for (const int d : fastest_first(result())) {
      const bool in_a = depends(a, d), in_b = depends(b, d);
      if (kernel_.dims[static_cast<std::size_t>(d)].reduction) continue;
      if (in_a != in_b)
        sides[in_a ? 0 : 1].push_back(d);
      else
        groups *= static_cast<double>(kernel_.dims[static_cast<std::size_t>(d)].extent);
    }
    for (const int d : fastest_first(a))
      if (kernel_.dims[static_cast<std::size_t>(d)].reduction) sides[2].push_back(d);
    const auto bytes = numerics::format_bytes(g_.tensor(a.tensor).format);
    chip::Unit::Tiles tiles = unit_.tiles;
    if (scaled_ && !tiles.scaled.empty()) {
      const auto known = std::find_if(tiles.scaled.begin(), tiles.scaled.end(),
                                      [rows = extent_of(sides[0])](const auto& tile) { return rows <= tile.most_rows; });
      tiles.m = {known->m}, tiles.n = {known->n}, tiles.turn = false;
    }
    std::set<std::vector<std::int64_t>> seen;
    for (const std::int64_t tm : tiles.m)
      for (const std::int64_t tn : tiles.n)
        for (const bool turned : {false, true}) {
          if (turned && !tiles.turn) continue;
          if (tm * tn < tiles.least || tm * tn > tiles.most) continue;
          Mapping m = blank();
          fill(m, sides[0], turned ? tn : tm);
          fill(m, sides[1], turned ? tm : tn);
          fill(m, sides[2], std::max<std::int64_t>(1, tiles.k / bytes));
          if (seen.insert(m.tile).second) offer(std::move(m), sides[2]);
        }
    const std::int64_t few = program::most_thin_rows(unit_, g_.tensor(a.tensor).format, g_.tensor(b.tensor).format, groups);
    for (const auto& [rows_of, columns_of] : {std::pair{0, 1}, {1, 0}}) {
      const std::int64_t all = extent_of(sides[rows_of]);
      if (all > few) continue;
      for (const std::int64_t part : program::thin_passes(all, groups))
        for (const std::int64_t columns : unit_.vectors.columns) {
          if (part * columns >= tiles.least) continue;
          for (const std::int64_t depth : program::thin_depths(unit_, static_cast<double>(bytes))) {
            Mapping m = blank();
            fill(m, sides[rows_of], part);
            fill(m, sides[columns_of], columns);
            fill(m, sides[2], depth);
            if (seen.insert(m.tile).second) offer(std::move(m), sides[2]);
          }
        }
    }
  }

  [[nodiscard]] std::int64_t extent_of(const std::vector<int>& dims) const {
    std::int64_t extent = 1;
    for (const int d : dims) extent *= kernel_.dims[static_cast<std::size_t>(d)].extent;
    return extent;
  }

  /// Streams and rows: the reductions whole, or as much of them as fits.
  void others() {
    const std::vector<int> order = fastest_first(result());
    std::vector<int> parallel, reductions;
    for (const int d : order) {
      const KernelDim& dim = kernel_.dims[static_cast<std::size_t>(d)];
      if (dim.parallel) parallel.push_back(d);
      if (dim.reduction) reductions.push_back(d);
    }
    for (const std::int64_t size : {4096, 1024, 256, 64, 16, 4, 1})
      for (const std::int64_t depth : {4096, 512, 64, 8, 1}) {
        Mapping m = blank();
        for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
          if (!kernel_.dims[d].parallel && !kernel_.dims[d].reduction) m.tile[d] = kernel_.dims[d].extent;
        fill(m, parallel, size);
        fill(m, reductions, depth);
        offer(std::move(m), reductions);
        if (reductions.empty()) break;
      }
  }

  [[nodiscard]] Mapping blank() const {
    Mapping m;
    m.split.assign(kernel_.dims.size(), 1);
    m.trips.assign(kernel_.dims.size(), 1);
    m.tile.assign(kernel_.dims.size(), 1);
    return m;
  }

  /// Where there would be more instances than programs may have, each makes several results, one after another.
  void fold(Mapping& m) const {
    const std::vector<std::int64_t> along = instances_along(kernel_, m);
    double instances = 1;
    std::vector<std::size_t> dims;
    for (std::size_t d = 0; d < along.size(); ++d) {
      instances *= static_cast<double>(along[d]);
      if (kernel_.dims[d].parallel && along[d] > 1 && along[d] * m.tile[d] == kernel_.dims[d].extent) dims.push_back(d);
    }
    std::stable_sort(dims.begin(), dims.end(), [&](std::size_t a, std::size_t b) { return along[a] > along[b]; });
    for (const std::size_t d : dims) {
      if (instances <= kMany) break;
      auto times = static_cast<std::int64_t>(std::min(static_cast<double>(along[d]), std::ceil(instances / kMany)));
      while (along[d] % times != 0) ++times;
      m.trips[d] = times;
      m.order.push_back(static_cast<int>(d));
      instances /= static_cast<double>(times);
    }
  }

  /// `reductions`: the fastest first.
  void offer(Mapping m, const std::vector<int>& reductions) {
    ++tried_;
    fold(m);
    for (std::size_t i = reductions.size(); i-- > 0;) {
      const auto d = static_cast<std::size_t>(reductions[i]);
      m.trips[d] = ceil_div(kernel_.dims[d].extent, m.tile[d]);
      if (m.trips[d] > 1) m.order.push_back(reductions[i]);
    }
    if (!evaluator_.evaluate(m)) return;
    m.instances = 1;
    for (const std::int64_t n : instances_along(kernel_, m)) m.instances *= n;
    // More instances than programs may have are better than nothing: stages of kernels that deal their own blocks do not use them.
    const bool many = m.instances > program::kMostInstances;
    const program::Context context = emit_context(machine_, g_, kernel_, m, layouts_, reach_, homes_, buffers_);
    const program::GridWork work = program::grid_work(chip_, buffers_, context);
    for (const std::int64_t slices : kSlices) {
      if (slices > 1 && (!work.matrix.valid() || whole_ || work.steps < static_cast<double>(slices * kLeastSteps))) break;
      const program::GridTime time = program::grid_time(chip_, work, slices);
      if (std::pair(many, time.total()) >= least_) continue;
      least_ = {many, time.total()};
      m.slices = slices;
      m.seconds = m.cost = m.fetched = m.on_chip = time.total();
      m.held = m.off_chip = 0;
      m.terms = {time.compute + time.imbalance, time.interconnect, time.control, time.memory, time.launch};
      best_ = m;
    }
  }

  const Machine& machine_;
  const chip::Chip& chip_;
  const graph::Graph& g_;
  const Kernel& kernel_;
  const std::vector<std::vector<int>>& layouts_;
  const std::vector<Reach>& reach_;
  const chip::Unit& unit_;
  Evaluator evaluator_;
  std::vector<bool> divide_;
  std::vector<OperandHome> homes_;
  std::vector<program::Buffer> buffers_;
  bool scaled_ = false;  ///< sums are multiplied with what is read at the end
  bool whole_ = false;   ///< and that differs along the results: such kernels come in one slice
  Mapping best_;
  std::pair<bool, double> least_{true, std::numeric_limits<double>::infinity()};  ///< of `best_`: too many instances? its seconds
  std::int64_t tried_ = 0;
};

}  // namespace

bool deals_waves(const Machine& machine) { return machine.grid && machine.chip->sequencer.waves.has_value(); }

std::vector<Mapping> search_grid(const Machine& machine, const graph::Graph& g, const Kernel& kernel,
                                 const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach, std::int64_t reserved,
                                 const UnitChoice& units) {
  return GridSearch(machine, g, kernel, layouts, reach, reserved, units).run();
}

}  // namespace switchyard::compiler
