#include "compiler/streamed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "chip/query.h"
#include "compiler/estimate.h"
#include "compiler/formats.h"
#include "compiler/means.h"
#include "compiler/residence.h"
#include "compiler/stages.h"
#include "numerics/packing.h"

namespace switchyard::compiler {
namespace {

using graph::TensorId;
using numerics::Affine;
using numerics::Combiner;
using numerics::Expression;
using numerics::Format;
using numerics::LoopKind;
using numerics::ScalarOp;

enum Stage : std::uint8_t { kScores, kWeights, kProduct, kSum };

bool floats(Format format) { return format == Format::fp32 || format == Format::fp16 || format == Format::bf16; }

Expression input(int number) { return numerics::expr_input(number); }

std::vector<Affine> variables(const std::vector<int>& dims) {
  std::vector<Affine> index;
  for (const int d : dims) index.push_back(numerics::affine_variable(d));
  return index;
}

KernelAccess local(const Kernel& kernel, std::size_t number) {
  return {true, static_cast<int>(number), variables(kernel.locals[number].dims)};
}
KernelAccess operand(std::size_t number) { return {false, static_cast<int>(number), {}}; }

KernelStatement statement(const std::vector<int>& dims, std::vector<KernelAccess> reads, Expression expression, KernelAccess write) {
  KernelStatement s;
  s.dims = dims;
  s.kinds.assign(dims.size(), LoopKind::parallel);
  s.reads = std::move(reads);
  s.expression = std::move(expression);
  s.write = std::move(write);
  return s;
}

/// The same over one more dim, along which it combines.
KernelStatement combining(KernelStatement s, int dim, Combiner combiner) {
  s.dims.push_back(dim);
  s.kinds.push_back(LoopKind::reduction);
  s.combiner = combiner;
  return s;
}

class Finder {
 public:
  Finder(graph::Graph& g, std::vector<Kernel>& kernels, const std::set<graph::OpId>& unless, Bands& bands)
      : g_(g), kernels_(kernels), unless_(unless), bands_(bands), uses_(uses_of(g, kernels)) {
    for (std::size_t t = 0; t < g.tensors.size(); ++t) named_.emplace(g.tensors[t].name, TensorId(t));
  }

  std::vector<Streamed> run() {
    std::vector<Streamed> found;
    for (std::size_t k = 0; k + 2 < kernels_.size(); ++k)
      if (auto streamed = streamed_at(k)) {
        k += kStreamedStages - 1;
        found.push_back(*std::move(streamed));
      }
    return found;
  }

 private:
  /// A tensor that only kernels know; the same one whenever kernels are made again.
  TensorId tensor(std::string name, numerics::Shape shape) {
    const auto taken = [&](TensorId id) {
      const graph::Tensor& t = g_.tensor(id);
      return uses_[id.index()] > 0 || t.role != graph::Role::intermediate || t.format != Format::fp32 || t.shape != shape;
    };
    for (auto at = named_.find(name); at != named_.end() && taken(at->second); at = named_.find(name)) name += '\'';
    const auto [at, fresh] = named_.try_emplace(name, TensorId(g_.tensors.size()));
    if (fresh) g_.tensors.push_back({name, Format::fp32, std::move(shape), graph::Role::intermediate, nullptr, false});
    return at->second;
  }

  std::optional<Streamed> streamed_at(std::size_t k) {
    const auto attention = attention_at(g_, kernels_, uses_, k);
    if (!attention) return std::nullopt;
    const Kernel &scores = kernels_[k], &softmax = kernels_[k + 1], &product = kernels_[k + 2];
    const KernelOperand &made = scores.operands[attention->scores.from], &weighs = product.operands[attention->weights.to];
    if (unless_.contains(softmax.ops.front()) || !floats(g_.tensor(made.tensor).format) || !floats(g_.tensor(weighs.tensor).format))
      return std::nullopt;
    Streamed out;
    out.first = k;
    out.softmax = softmax.ops.front();
    const auto of_stages = [](const Attention::Along& along) { return OfStages{along[0], along[1], along[2], along[2]}; };
    out.keys = of_stages(attention->keys);
    std::vector<int> rows_of_weights, rows_of_sum;
    numerics::Shape rows;
    for (const Attention::Along& along : attention->rows) {
      rows_of_weights.push_back(along[1]);
      rows_of_sum.push_back(along[2]);
      rows.push_back(dim(scores, along[0]).extent);
      if (rows.back() > 1) out.axes.push_back(of_stages(along));
    }
    if (out.axes.empty()) return std::nullopt;
    for (const TensorId t : {made.tensor, weighs.tensor})
      out.whole += numerics::stored_bytes(g_.tensor(t).format, numerics::element_count(g_.tensor(t).shape));
    const TensorId correction = tensor(softmax.name + ":correction", rows), sum = tensor(softmax.name + ":sum", rows);

    const Kernel weights = online(softmax, out, rows_of_weights, correction, sum);
    const Kernel block = product_of_block(product, out);
    const Kernel total = sum_of_blocks(product, out, block, rows_of_sum, correction, sum);
    const auto place = [](const Kernel& kernel, TensorId t) {
      const auto at = std::find_if(kernel.operands.begin(), kernel.operands.end(), [&](const auto& o) { return o.tensor == t; });
      return static_cast<std::size_t>(at - kernel.operands.begin());
    };
    const TensorId part = block.operands.back().tensor;
    out.handed = {{kScores, attention->scores.from, kWeights, 0, 0},
                  {kWeights, 1, kProduct, place(block, weighs.tensor), 0},
                  {kWeights, place(weights, correction), kSum, place(total, correction), 0},
                  {kWeights, place(weights, sum), kSum, place(total, sum), 0},
                  {kProduct, place(block, part), kSum, place(total, part), 0}};
    const std::optional<MaskBand> mask = mask_of(out);
    const TensorId weighed = weighs.tensor;
    kernels_[k + 1] = weights;
    kernels_[k + 2] = block;
    kernels_.insert(kernels_.begin() + static_cast<std::ptrdiff_t>(k) + 3, total);
    if (!mask) return out;
    out.band = mask->band;
    const bool beyond = !mask->beyond.empty() && is_fetched(kernels_[k], out.keys[kScores]) &&
                        is_fetched(kernels_[k + kProduct], out.keys[kProduct], weighed) && hides_beyond(kernels_[k], mask->beyond);
    for (const Stage stage : {kScores, kWeights, kProduct})
      kernels_[k + stage].band = KernelBand{out.axes.back()[stage], out.keys[stage], out.band->past, beyond};
    return out;
  }

  /// A mask that hides what lies beyond a diagonal along rows and keys.
  [[nodiscard]] std::optional<MaskBand> mask_of(const Streamed& run) const {
    const Kernel& scores = kernels_[run.first];
    if (scores.locals.front().dims.back() != run.keys[kScores]) return std::nullopt;
    std::string mask;
    for (const KernelStatement& s : scores.statements) {
      if (!s.epilogue) continue;
      mask += numerics::print_expression(s.expression);
      for (const KernelAccess& a : s.reads) {
        if (a.local) {
          mask += " sum";
          continue;
        }
        const KernelOperand& o = scores.operands[static_cast<std::size_t>(a.number)];
        mask += fmt::format(" {}", o.tensor.index());
        for (const Affine& f : o.index) {
          mask += fmt::format(":{}", f.constant);
          for (const auto& t : f.terms) mask += fmt::format("+{}*{}", t.coefficient, t.variable);
        }
      }
    }
    for (const KernelDim& d : scores.dims) mask += fmt::format(" {}", d.extent);
    mask += fmt::format(" by {}", run.axes.back()[kScores]);
    const auto [at, fresh] = bands_.try_emplace(std::move(mask));
    if (fresh) at->second = band_of(g_, scores, true);
    if (fresh && at->second && at->second->row != run.axes.back()[kScores]) at->second.reset();
    return at->second;
  }

  /// What a kernel reads that moves along its keys comes through movers, which fill in what lies beyond the last one: it never stays in
  /// scratchpads.
  [[nodiscard]] bool is_fetched(const Kernel& kernel, int keys, TensorId handed = {}) const {
    return std::all_of(kernel.operands.begin(), kernel.operands.end(), [&](const KernelOperand& o) {
      return o.write || o.tensor == handed || !depends(o, keys) || g_.tensor(o.tensor).role != graph::Role::intermediate ||
             std::find(g_.outputs.begin(), g_.outputs.end(), o.tensor) != g_.outputs.end();
    });
  }

  /// The mask hides what lies beyond the last key, as far as it is read as something that does.
  static bool hides_beyond(Kernel& scores, const std::vector<std::optional<double>>& beyond) {
    const auto mask = std::find_if(scores.statements.begin(), scores.statements.end(), [](const KernelStatement& s) { return s.epilogue; });
    std::map<int, double> fills;
    for (std::size_t r = 0; r < beyond.size(); ++r) {
      if (!beyond[r]) continue;
      const auto [at, fresh] = fills.try_emplace(mask->reads[r].number, *beyond[r]);
      if (!fresh && at->second != *beyond[r]) return false;
    }
    for (const auto& [number, fill] : fills) scores.operands[static_cast<std::size_t>(number)].fill = fill;
    return true;
  }

  [[nodiscard]] static const KernelDim& dim(const Kernel& kernel, int d) { return kernel.dims[static_cast<std::size_t>(d)]; }

  /// Powers of a block of scores above the largest so far, their sum by row, and by what that makes earlier powers smaller. The first
  /// largest is no score, but the least number: minus infinity less minus infinity would be none.
  static Kernel online(const Kernel& softmax, const Streamed& run, const std::vector<int>& rows, TensorId correction, TensorId sum) {
    Kernel k = softmax;
    const int keys = run.keys[kWeights];
    k.dims[static_cast<std::size_t>(keys)].parallel = false;
    k.dims[static_cast<std::size_t>(keys)].reduction = true;
    for (const TensorId t : {correction, sum}) {
      KernelOperand o{t, variables(rows), {}, true, false};
      o.anew = keys;
      k.operands.push_back(std::move(o));
    }
    k.locals = {{"largest", rows, true, std::numeric_limits<float>::lowest()}, {"before", rows, false, 0}};
    const KernelAccess largest = local(k, 0), before = local(k, 1);
    std::vector<int> all = rows;
    all.push_back(keys);
    const Expression power = apply(ScalarOp::exp, apply(ScalarOp::sub, input(0), input(1)));
    k.statements = {statement(rows, {largest}, input(0), before),
                    combining(statement(rows, {operand(0)}, input(0), largest), keys, Combiner::max),
                    statement(rows, {before, largest}, power, operand(2)), statement(all, {operand(0), largest}, power, operand(1)),
                    combining(statement(rows, {operand(1)}, input(0), operand(3)), keys, Combiner::add)};
    return k;
  }

  /// What the weights of a block weigh of its values: each block anew.
  Kernel product_of_block(const Kernel& product, const Streamed& run) {
    Kernel k = product;
    const int keys = run.keys[kProduct];
    k.name = product.name + ":block";
    k.dims[static_cast<std::size_t>(keys)].parallel = true;
    k.dims[static_cast<std::size_t>(keys)].reduction = false;
    KernelStatement& multiply = k.statements[0];
    k.operands.clear();
    for (KernelAccess& a : multiply.reads) {
      k.operands.push_back(product.operands[static_cast<std::size_t>(a.number)]);
      a = operand(k.operands.size() - 1);
    }
    numerics::Shape shape;
    for (const int d : product.locals[0].dims) shape.push_back(dim(product, d).extent);
    KernelOperand out{tensor(k.name, std::move(shape)), variables(product.locals[0].dims), {}, true, true};
    out.anew = keys;
    k.operands.push_back(std::move(out));
    k.locals[0].accumulator = false;
    k.statements[1] = statement(k.locals[0].dims, {local(k, 0)}, input(0), operand(k.operands.size() - 1));
    k.statements[1].epilogue = true;
    return k;
  }

  /// What blocks come to together; then the product's own epilogue.
  static Kernel sum_of_blocks(const Kernel& product, const Streamed& run, const Kernel& block, const std::vector<int>& rows,
                              TensorId correction, TensorId sum) {
    Kernel k = product;
    k.contraction = false;
    k.macs = 0;
    const int keys = run.keys[kSum];
    k.operands = {block.operands.back(), {correction, variables(rows), {}, false, false}, {sum, variables(rows), {}, false, false}};
    k.operands[0].write = k.operands[0].epilogue = false;
    for (KernelOperand& o : k.operands) o.anew = keys;
    KernelStatement last = product.statements[1];
    const auto keep = [&](KernelAccess& a) {
      if (a.local) return;
      k.operands.push_back(product.operands[static_cast<std::size_t>(a.number)]);
      a.number = static_cast<int>(k.operands.size()) - 1;
    };
    for (KernelAccess& a : last.reads) keep(a);
    keep(last.write);
    k.locals[0].accumulator = true;
    k.locals.push_back({"sum", rows, true, 0});
    const KernelAccess whole = local(k, 0), weights = local(k, 1);
    const Expression corrected = apply(ScalarOp::add, apply(ScalarOp::mul, input(0), input(1)), input(2));
    KernelStatement share = statement(k.locals[0].dims, {whole, weights}, apply(ScalarOp::div, input(0), input(1)), whole);
    share.epilogue = true;
    k.statements = {statement(rows, {weights, operand(1), operand(2)}, corrected, weights),
                    statement(k.locals[0].dims, {whole, operand(1), operand(0)}, corrected, whole), std::move(share), std::move(last)};
    return k;
  }

  graph::Graph& g_;
  std::vector<Kernel>& kernels_;
  const std::set<graph::OpId>& unless_;
  Bands& bands_;
  std::vector<int> uses_;  ///< by tensor
  std::map<std::string, TensorId> named_;
};

/// How much of the room a product may fill with keys or values that stay over blocks of rows, the most first; at last none of it.
/// There are two such products: the first leaves a tenth for all tiles. Chosen by sight.
constexpr std::array<double, 4> kPanels{0.45, 0.3, 0.15, 0};

/// Tiles that cut an extent into ever more parts, in whole steps of a unit.
std::vector<std::int64_t> tiles_of(std::int64_t extent, std::int64_t step) {
  std::vector<std::int64_t> tiles;
  for (std::int64_t parts = 1; parts <= extent; parts = std::max(parts + 1, parts * 5 / 4)) {
    const std::int64_t tile = std::min(extent, ceil_div(ceil_div(extent, parts), step) * step);
    if (tiles.empty() || tile < tiles.back()) tiles.push_back(tile);
  }
  return tiles;
}

/// The part of a kernel's columns that the component with most of them computes.
double computed(const Kernel& kernel, const Mapping& m) {
  if (!leaves_out(kernel, m)) return 1;
  const auto row = static_cast<std::size_t>(kernel.band->row), column = static_cast<std::size_t>(kernel.band->column);
  const Steps steps = steps_of(kernel, m, row);
  const std::int64_t begin = (instances_along(kernel, m)[row] - 1) * steps.instance, columns = kernel.dims[column].extent;
  double seen = 0;
  for (std::int64_t t = 0; t < m.trips[row]; ++t)
    seen += static_cast<double>(std::min(columns, begin + t * steps.tile + m.tile[row] + kernel.band->past));
  return seen / static_cast<double>(m.trips[row] * columns);
}

/// What the stages ask of units, movers, memory and control core.
struct Load {
  std::map<std::size_t, double> busy{};  ///< by unit
  double issue = 0, movers = 0, memory = 0, firing = 0, ends = 0;

  void add(const Streamed& run, std::size_t stage, const Kernel& kernel, const Evaluator& evaluator, const Mapping& m, std::int64_t steps) {
    const double part = computed(kernel, m);
    busy[m.unit.index()] += part * m.terms[0];
    const auto firings = static_cast<double>(steps);
    if (m.epilogue_unit.valid()) {
      const std::int64_t points =
          m.tile[static_cast<std::size_t>(run.axes.back()[stage])] * m.tile[static_cast<std::size_t>(run.keys[stage])];
      busy[m.epilogue_unit.index()] += part * evaluator.epilogue_seconds(firings * static_cast<double>(points), firings);
    }
    movers += m.terms[1];
    issue += m.terms[2];
    memory += m.terms[3];
    ends = std::max(ends, m.terms[4]);
    firing += m.terms[0] / firings;
  }
  [[nodiscard]] double seconds() const {
    double squares = issue * issue + movers * movers + memory * memory;
    for (const auto& [unit, time] : busy) squares += time * time;
    return std::sqrt(squares) + firing + ends;
  }
};

class Mapper {
 public:
  Mapper(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels, const std::vector<std::vector<int>>& layouts,
         const std::vector<bool>& stays, const Streamed& streamed, std::int64_t reserved)
      : machine_(machine), plain_(machine), g_(g), kernels_(kernels), run_(streamed) {
    plain_.pins = false;
    const auto range = chip::usable_range(machine.chip->memories[machine.scratchpad.index()]);
    room_ = range.end - range.begin - reserved;
    for (std::size_t s = 0; s < kStreamedStages; ++s) {
      const Kernel& kernel = kernel_of(s);
      reach_.push_back(reach_of(machine, g, kernel, stays, false));
      for (const Handed& h : run_.handed) {
        if (h.writer == s) reach_[s][h.from] = Reach::handed;
        if (h.reader == s) reach_[s][h.to] = Reach::handed;
      }
    }
    for (std::size_t s = 0; s < kStreamedStages; ++s) {
      const auto choices = unit_choices(machine, g, kernel_of(s));
      if (!choices) return;
      units_.push_back(choices.value().front());
    }
    for (const double panels : kPanels)
      for (std::size_t s = 0; s < kStreamedStages; ++s) {
        const bool keeps = panels > 0 && kernel_of(s).contraction;
        const auto left = keeps ? static_cast<std::int64_t>((1 - panels) * static_cast<double>(room_)) : 0;
        evaluators_.emplace_back(keeps ? machine_ : plain_, g, kernel_of(s), layouts, reach_[s], reserved + left, units_[s].unit,
                                 units_[s].epilogue);
      }
  }

  std::optional<Interleaving> run() {
    if (evaluators_.empty() || units_[kScores].unit == units_[kWeights].unit) return std::nullopt;
    // Later rows see more: where they are dealt in turns, all components have nearly as much to do. Parts of what lies in scratchpads are
    // each one box.
    deals_ = run_.band.has_value();
    for (std::size_t s = 0; s < kStreamedStages; ++s)
      for (std::size_t i = 0; i < kernel_of(s).operands.size(); ++i)
        if (depends(kernel_of(s).operands[i], run_.axes.back()[s]) && reach_[s][i] == Reach::placed) deals_ = false;
    split_.assign(run_.axes.size(), 1);
    split_axes(0, static_cast<std::int64_t>(machine_.components.size()));
    return std::move(best_);
  }

 private:
  [[nodiscard]] const Kernel& kernel_of(std::size_t stage) const { return kernels_[run_.first + stage]; }
  [[nodiscard]] std::int64_t extent(int stage, int d) const {
    return kernel_of(static_cast<std::size_t>(stage)).dims[static_cast<std::size_t>(d)].extent;
  }

  /// All splits in which no component could be given more than it has.
  void split_axes(std::size_t axis, std::int64_t left) {
    if (axis == run_.axes.size()) {
      cut();
      return;
    }
    const std::int64_t n = extent(0, run_.axes[axis][0]);
    for (std::int64_t parts = 1; parts <= std::min(n, left); ++parts) {
      if (left % parts != 0 && parts != std::min(n, left)) continue;
      split_[axis] = parts;
      split_axes(axis + 1, left / parts);
    }
    split_[axis] = 1;
  }

  void cut() {
    const auto& geometry = machine_.chip->units[units_[kScores].unit.index()].geometry;
    const std::size_t last = run_.axes.size() - 1;
    const std::int64_t rows = ceil_div(extent(0, run_.axes[last][0]), split_[last]);
    for (const std::int64_t keys : tiles_of(extent(0, run_.keys[0]), geometry[1]))
      for (const std::int64_t tile : tiles_of(rows, geometry[0]))
        for (std::size_t panels = 0; panels < kPanels.size(); ++panels)
          if (consider(tile, keys, panels)) break;
  }

  /// False: it does not fit.
  bool consider(std::int64_t rows, std::int64_t keys, std::size_t panels) {
    Interleaving found;
    found.first = run_.first;
    Load load;
    std::int64_t bytes = 0;
    for (std::size_t s = 0; s < kStreamedStages; ++s) {
      const Kernel& kernel = kernel_of(s);
      Mapping m;
      m.split.assign(kernel.dims.size(), 1);
      m.trips = m.split;
      for (const KernelDim& d : kernel.dims) m.tile.push_back(d.extent);
      const auto give = [&](int dim, std::int64_t split, std::int64_t tile) {
        const auto d = static_cast<std::size_t>(dim);
        const std::int64_t share = ceil_div(kernel.dims[d].extent, split);
        m.split[d] = split;
        m.tile[d] = std::min(tile, share);
        m.trips[d] = ceil_div(share, m.tile[d]);
        if (m.trips[d] > 1) m.order.push_back(dim);
      };
      for (std::size_t a = 0; a < run_.axes.size(); ++a) give(run_.axes[a][s], split_[a], a + 1 == run_.axes.size() ? rows : 1);
      if (const int row = run_.axes.back()[s]; deals_ && m.trips[static_cast<std::size_t>(row)] > 1) m.dealt = row;
      give(run_.keys[s], 1, keys);
      const Evaluator& evaluator = evaluators_[panels * kStreamedStages + s];
      if (!evaluator.evaluate(m)) return false;
      if (std::any_of(m.sharing.begin(), m.sharing.end(), [](Sharing how) { return how == Sharing::ring; })) return false;
      found.steps = tokens_per_instance(std::vector<bool>(m.order.size(), false), m.order, m.trips);
      load.add(run_, s, kernel, evaluator, m, found.steps);
      bytes += m.storage + m.placed;
      found.stages.push_back(std::move(m));
    }
    found.handed = run_.handed;
    for (Handed& h : found.handed) {
      h.tile_bytes = tile_bytes(g_, kernel_of(h.writer).operands[h.from], found.stages[h.writer]);
      bytes -= h.counted_twice();
    }
    if (bytes > room_) return false;
    found.seconds = load.seconds();
    if (!best_ || found.seconds < best_->seconds) best_ = std::move(found);
    return true;
  }

  const Machine& machine_;
  Machine plain_;  ///< the same, without panels
  const graph::Graph& g_;
  const std::vector<Kernel>& kernels_;
  const Streamed& run_;
  std::int64_t room_ = 0;
  bool deals_ = false;                     ///< rows, in turns
  std::vector<std::vector<Reach>> reach_;  ///< by stage
  std::vector<UnitChoice> units_;
  std::vector<Evaluator> evaluators_;  ///< by share of panels, then by stage
  std::vector<std::int64_t> split_;    ///< by axis
  std::optional<Interleaving> best_;
};

}  // namespace

std::vector<Streamed> stream_attention(const Machine& machine, graph::Graph& g, std::vector<Kernel>& kernels,
                                       const std::set<graph::OpId>& unless, Bands& bands) {
  if (!hands_on_tiles(machine) || !stores(*machine.chip, Format::fp32)) return {};
  return Finder(g, kernels, unless, bands).run();
}

std::optional<Interleaving> map_streamed(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                                         const std::vector<std::vector<int>>& layouts, const std::vector<bool>& stays,
                                         const Streamed& streamed, std::int64_t reserved) {
  return Mapper(machine, g, kernels, layouts, stays, streamed, reserved).run();
}

double streamed_seconds(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels,
                        const std::vector<std::vector<int>>& layouts, const Streamed& streamed, const std::vector<Mapping>& stages) {
  Load load;
  for (std::size_t s = 0; s < stages.size(); ++s) {
    const Mapping& m = stages[s];
    const Kernel& kernel = kernels[streamed.first + s];
    const std::vector<Reach> reach(kernel.operands.size(), Reach::handed);
    load.add(streamed, s, kernel, Evaluator(machine, g, kernel, layouts, reach, 0, m.unit, m.epilogue_unit), m,
             tokens_per_instance(std::vector<bool>(m.order.size(), false), m.order, m.trips));
  }
  return load.seconds();
}

std::string print_streamed(const Streamed& streamed, const Interleaving& mapped, const std::vector<Kernel>& kernels) {
  const std::vector<std::int64_t>& tile = mapped.stages[kScores].tile;
  return fmt::format(
      "{} to {}: {} rows by {} keys at a time, {} times on each component; {:.1f} MB of scores and weights are never whole; "
      "estimate {:.1f} us",
      kernels[streamed.first].name, kernels[streamed.first + kSum].name, tile[static_cast<std::size_t>(streamed.axes.back()[kScores])],
      tile[static_cast<std::size_t>(streamed.keys[kScores])], mapped.steps, static_cast<double>(streamed.whole) * 1e-6,
      mapped.seconds * 1e6);
}

Bounds::Hidden hidden_by_bands(const graph::Graph& g, const std::vector<Kernel>& kernels, const std::vector<Streamed>& streamed) {
  std::vector<Chain> chains;
  for (const Streamed& run : streamed)
    if (run.band) chains.push_back({run.first, run.first + kProduct, run.band});
  return hidden_work(g, kernels, chains);
}

Bounds::Hidden hidden_in_attention(const graph::Graph& model, Bands& bands) {
  graph::Graph g = model;
  std::vector<Kernel> kernels = make_kernels(g);
  const std::vector<Streamed> streamed = Finder(g, kernels, {}, bands).run();
  Bounds::Hidden hidden = hidden_by_bands(g, kernels, streamed);
  for (const Streamed& run : streamed) {
    double all = 0, last = 0;
    for (const numerics::Nest& nest : g.ops[run.softmax.index()].nests) {
      last = (nest.expression.count(numerics::ScalarOpCost::simple) + (nest.combiner == Combiner::none ? 0 : 1)) *
             static_cast<double>(nest.points());
      all += last;
    }
    if (hidden.shares.empty()) hidden.shares.assign(g.ops.size(), 1);
    hidden.shares[run.softmax.index()] *= 1 - last / all;
  }
  return hidden;
}

}  // namespace switchyard::compiler
