#include "compiler/bound_work.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>

#include "chip/query.h"
#include "program/grid.h"

namespace switchyard::compiler {
namespace {

using numerics::Affine;
using numerics::ScalarOp;

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr std::int64_t kManySteps = 8;  // along an axis with several loops: here a box is taken to be able to fill them

bool depends(const std::vector<Affine>& index, int variable) {
  return std::any_of(index.begin(), index.end(), [&](const Affine& f) { return f.depends_on(variable); });
}

std::int64_t steps_of(std::int64_t points, std::int64_t geometry) { return (points + geometry - 1) / geometry; }

/// The least that a point of such a box takes of a step: boxes of any extents up to these, rounded up to the geometry.
double least_density(const std::vector<std::int64_t>& extents, std::int64_t geometry) {
  std::set<std::int64_t> sizes{1};
  for (const std::int64_t extent : extents) {
    std::set<std::int64_t> more;
    for (const std::int64_t size : sizes)
      for (std::int64_t e = 1; e <= extent; ++e) {
        if (size * e > kManySteps * geometry) return 1;
        more.insert(size * e);
      }
    sizes = std::move(more);
  }
  double least = kNever;
  for (const std::int64_t size : sizes)
    least = std::min(least, static_cast<double>(steps_of(size, geometry) * geometry) / static_cast<double>(size));
  return least;
}

/// Points along an axis, each weighed by what it takes of a step at least.
double padded(const std::vector<std::int64_t>& extents, std::int64_t geometry) {
  geometry = std::max<std::int64_t>(1, geometry);
  if (extents.size() == 1) return static_cast<double>(steps_of(extents.front(), geometry) * geometry);
  double points = least_density(extents, geometry);
  for (const std::int64_t e : extents) points *= static_cast<double>(e);
  return points;
}

/// Formats that a product may be made in: a factor of fewer bits, all of whose numbers the other's format has, is widened on its way in.
std::set<numerics::Format> multiplied_in(numerics::Format a, numerics::Format b) {
  const auto widens = [](numerics::Format narrow, numerics::Format wide) {
    return numerics::format_bytes(narrow) < numerics::format_bytes(wide) && numerics::represents(wide, narrow);
  };
  if (widens(a, b)) return {b};
  if (widens(b, a)) return {a};
  return {a, b};
}

/// Operations of an expression but those that are free.
std::array<double, 2> operations(const numerics::Expression& e, const std::set<std::string_view>& free) {
  std::array<double, 2> count{};
  for (const auto& node : e.nodes) {
    const auto& info = numerics::scalar_op_info(node.op);
    if (info.cost == numerics::ScalarOpCost::free || free.contains(info.name)) continue;
    count[info.cost == numerics::ScalarOpCost::special ? 1 : 0] += info.steps;
  }
  return count;
}

/// What lanes have left to do behind a contraction: the matrix unit applies the free operations until one comes that is not, and nothing
/// comes back to it. `applied`: it has applied some.
std::array<double, 2> operations_left(const numerics::Expression& e, const std::set<std::string_view>& free, bool& applied) {
  std::array<double, 2> count{};
  std::vector<bool> on_the_way(e.nodes.size(), true);
  for (std::size_t i = 0; i < e.nodes.size(); ++i) {
    const auto& node = e.nodes[i];
    if (node.op == ScalarOp::input || node.op == ScalarOp::constant) continue;
    const auto& info = numerics::scalar_op_info(node.op);
    on_the_way[i] = info.cost == numerics::ScalarOpCost::free || free.contains(info.name);
    for (const int operand : {node.a, node.b, node.c})
      if (operand >= 0 && !on_the_way[static_cast<std::size_t>(operand)]) on_the_way[i] = false;
    if (on_the_way[i])
      applied = applied || info.cost != numerics::ScalarOpCost::free;
    else if (info.cost != numerics::ScalarOpCost::free)
      count[info.cost == numerics::ScalarOpCost::special ? 1 : 0] += info.steps;
  }
  return count;
}

std::set<std::string_view> free_operations(const chip::Chip& chip) {
  std::set<std::string_view> free;
  for (const chip::Unit& unit : chip.units)
    if (std::find(unit.ops.begin(), unit.ops.end(), chip::OpClass::contract) != unit.ops.end() && unit.kind == chip::UnitKind::matrix)
      free.insert(unit.epilogue.begin(), unit.epilogue.end());
  return free;
}

/// Multiply-accumulates per second of all units of a class together, as fast as anything can make them.
double multiply_rate(const chip::Chip& chip, chip::UnitId unit, const chip::Unit::Rate& rate) {
  return chip.sequencer.waves ? program::most_macs_per_second(chip, unit, rate) : chip::chip_rate(chip, unit, rate);
}

}  // namespace

double padded_macs(const std::vector<std::int64_t> (&axes)[3], double batch, const std::array<std::int64_t, 3>& geometry) {
  for (std::size_t a = 0; a < 3; ++a) batch *= padded(axes[a], geometry[a]);
  return batch;
}

struct UnitWork::Piece {
  std::vector<std::int64_t> extents;  ///< by dim
  std::vector<int> variables;         ///< by dim: in the indices
  std::vector<bool> reduction;        ///< by dim
  std::vector<const std::vector<Affine>*> reads;
  std::vector<numerics::Format> formats;  ///< of the reads
  const numerics::Expression* expression = nullptr;
  numerics::Combiner combiner = numerics::Combiner::none;
  std::set<std::string_view> free;
  bool whole = false;     ///< a statement of a kernel
  bool epilogue = false;  ///< of a contraction
  bool sums = false;      ///< its first read is those of the contraction

  [[nodiscard]] bool reduces() const { return std::find(reduction.begin(), reduction.end(), true) != reduction.end(); }
  [[nodiscard]] bool is_contraction() const { return combiner == numerics::Combiner::add && expression->is_product_of_inputs(); }
};

std::array<double, 2> UnitWork::Rates::of(const std::vector<numerics::Format>& formats) const {
  double rate = 0, any = 0;
  for (const auto& [format, r] : simple) {
    any = std::max(any, r);
    if (std::find(formats.begin(), formats.end(), format) != formats.end()) rate = std::max(rate, r);
  }
  if (rate == 0) rate = any;
  return {rate, special > 0 ? special : rate};
}

/// Of an operator: however it is merged with others, each of its operations is done once, or not at all where it is free.
std::array<double, 2> UnitWork::least_cost(const Piece& piece) const {
  std::array<double, 2> cost = operations(*piece.expression, piece.free);
  if (piece.combiner != numerics::Combiner::none && (piece.reduces() || !piece.free.contains(numerics::combiner_name(piece.combiner))))
    ++cost[0];
  return cost;
}

/// Of a statement: all of it runs on one unit, and a step of it takes a lane at least once. Of what follows a contraction the matrix unit
/// does what it can.
std::array<double, 2> UnitWork::whole_cost(const Piece& piece) const {
  if (piece.epilogue) {
    bool applied = false;
    const auto left = operations_left(*piece.expression, piece.free, applied);
    if (piece.combiner == numerics::Combiner::none || !piece.reduces())
      return left[0] + left[1] == 0 ? std::array<double, 2>{} : std::array<double, 2>{std::max(1.0, left[0]), left[1]};
  }
  if (piece.combiner == numerics::Combiner::none && piece.expression->is_input()) return {};  // movers can do it
  std::array<double, 2> cost = operations(*piece.expression, {});
  cost[0] = std::max(1.0, cost[0] + (piece.combiner == numerics::Combiner::none ? 0 : 1));
  return cost;
}

UnitWork::UnitWork(const chip::Chip& chip, const graph::Graph& g) : chip_(chip) {
  std::set<numerics::Format> formats{numerics::Format::fp32};  // of what only operators know
  for (const graph::Tensor& t : g.tensors) formats.insert(t.format);
  formats_.assign(formats.begin(), formats.end());
  for (std::size_t u = 0; u < chip.units.size(); ++u) {
    const chip::Unit& unit = chip.units[u];
    Rates& rates = rates_.emplace_back();
    if (unit.kind == chip::UnitKind::matrix) continue;
    for (const chip::Unit::Rate& r : unit.rates) rates.simple.emplace_back(r.in, chip::chip_rate(chip, chip::UnitId(u), r));
    if (unit.special_per_cycle) {
      chip::Unit::Rate r;
      r.per_cycle = *unit.special_per_cycle;
      rates.special = chip::chip_rate(chip, chip::UnitId(u), r);
    }
  }
}

void UnitWork::add(const Piece& piece, double share) {
  double points = 1;
  for (const std::int64_t e : piece.extents) points *= static_cast<double>(e);
  std::vector<double> seconds(chip_.units.size(), kNever);
  if (piece.is_contraction()) {
    std::vector<int> factors;
    for (const auto& node : piece.expression->nodes)
      if (node.op == ScalarOp::input) factors.push_back(node.a);
    const auto& first = *piece.reads[static_cast<std::size_t>(factors.front())];
    const auto& second = *piece.reads[static_cast<std::size_t>(factors.back())];
    std::vector<std::int64_t> axes[3], turned[3];
    double batch = 1;
    for (std::size_t d = 0; d < piece.extents.size(); ++d) {
      if (piece.extents[d] == 1) continue;
      const bool a = depends(first, piece.variables[d]), b = depends(second, piece.variables[d]);
      if (piece.reduction[d])
        axes[2].push_back(piece.extents[d]);
      else if (a != b)
        axes[a ? 0 : 1].push_back(piece.extents[d]);
      else
        batch *= static_cast<double>(piece.extents[d]);
    }
    turned[0] = axes[1], turned[1] = axes[0], turned[2] = axes[2];
    const auto formats =
        multiplied_in(piece.formats[static_cast<std::size_t>(factors.front())], piece.formats[static_cast<std::size_t>(factors.back())]);
    for (std::size_t u = 0; u < seconds.size(); ++u)
      for (const numerics::Format format : formats)
        if (const auto* rate = chip::find_rate(chip_.units[u], chip::OpClass::contract, format)) {
          const auto& geometry = chip_.units[u].geometry;
          const double macs = std::min(padded_macs(axes, batch, geometry), padded_macs(turned, batch, geometry));
          seconds[u] = std::min(seconds[u], macs / multiply_rate(chip_, chip::UnitId(u), *rate));
        }
  } else {
    const std::array<double, 2> cost = piece.whole ? whole_cost(piece) : least_cost(piece);
    if (cost[0] + cost[1] == 0) return;
    std::vector<numerics::Format> formats = piece.whole ? piece.formats : formats_;
    // Lanes that take sums as they are take them in the format they are summed in.
    bool applied = false;
    if (piece.sums) operations_left(*piece.expression, piece.free, applied);
    if (piece.sums && !applied) formats.resize(1);
    for (std::size_t u = 0; u < seconds.size(); ++u) {
      const auto [simple, special] = rates_[u].of(formats);
      if (simple > 0) seconds[u] = points * (cost[0] / simple + cost[1] / special);
    }
  }
  if (std::all_of(seconds.begin(), seconds.end(), [](double s) { return s == kNever; })) return;
  for (double& s : seconds) s *= share;
  if (piece.is_contraction() && chip_.sequencer.kind == chip::SequencerKind::grid) {
    const auto fastest = std::min_element(seconds.begin(), seconds.end());
    in_turn_.seconds += *fastest;
    if (*fastest > longest_in_turn_)
      longest_in_turn_ = *fastest, in_turn_.unit = chip::UnitId(static_cast<std::size_t>(fastest - seconds.begin()));
  }
  pieces_.push_back(std::move(seconds));
}

void UnitWork::add(const graph::Graph& g, const std::vector<double>& shares) {
  const bool contracts = std::any_of(g.ops.begin(), g.ops.end(), [](const graph::Op& op) {
    return std::any_of(op.nests.begin(), op.nests.end(), [](const numerics::Nest& n) { return n.is_contraction(); });
  });
  const auto free = contracts ? free_operations(chip_) : std::set<std::string_view>{};
  for (const graph::Op& op : g.ops)
    for (const numerics::Nest& nest : op.nests) {
      Piece piece;
      for (std::size_t d = 0; d < nest.loops.size(); ++d) {
        piece.extents.push_back(nest.loops[d].extent);
        piece.variables.push_back(static_cast<int>(d));
        piece.reduction.push_back(nest.loops[d].kind == numerics::LoopKind::reduction);
      }
      for (const numerics::Access& read : nest.reads) {
        const auto slot = static_cast<std::size_t>(read.slot);
        const std::size_t results = slot - op.operands.size(), locals = results - op.results.size();
        piece.reads.push_back(&read.index);
        piece.formats.push_back(slot < op.operands.size()                       ? g.tensor(op.operands[slot]).format
                                : slot < op.operands.size() + op.results.size() ? g.tensor(op.results[results]).format
                                                                                : op.locals[locals].format);
      }
      piece.expression = &nest.expression;
      piece.combiner = nest.combiner;
      piece.free = free;
      add(piece, shares.empty() ? 1 : shares[static_cast<std::size_t>(&op - g.ops.data())]);
    }
}

UnitWork::Piece UnitWork::piece_of(const graph::Graph& g, const Kernel& kernel, const KernelStatement& s) {
  Piece piece;
  piece.variables = s.dims;
  for (std::size_t d = 0; d < s.dims.size(); ++d) {
    piece.extents.push_back(kernel.dims[static_cast<std::size_t>(s.dims[d])].extent);
    piece.reduction.push_back(s.kinds[d] == numerics::LoopKind::reduction);
  }
  for (const KernelAccess& read : s.reads) {
    const auto number = static_cast<std::size_t>(read.number);
    piece.reads.push_back(read.local ? &read.index : &kernel.operands[number].index);
    piece.formats.push_back(read.local ? numerics::Format::fp32 : g.tensor(kernel.operands[number].tensor).format);
  }
  piece.expression = &s.expression;
  piece.combiner = s.combiner;
  piece.whole = true;
  piece.epilogue = s.epilogue && kernel.contraction;
  piece.sums = piece.epilogue && !s.reads.empty() && s.reads.front().local && numerics::format_info(leading_format(g, kernel)).floating;
  return piece;
}

void UnitWork::add(const graph::Graph& g, const Kernel& kernel, double share) {
  const auto free = kernel.contraction ? free_operations(chip_) : std::set<std::string_view>{};
  for (const KernelStatement& s : kernel.statements) {
    Piece piece = piece_of(g, kernel, s);
    piece.free = free;
    add(piece, share);
  }
}

void UnitWork::add_product(const graph::Graph& g, const Kernel& kernel, double share) {
  if (kernel.contraction) add(piece_of(g, kernel, kernel.statements.front()), share);
}

/// Give each class u a weight, all together one. In the least time t class u takes at most t of work, so the weighed time of all classes is
/// at most t; and a piece w adds to it at least the least weighed time it takes on any class. So any weights give a bound:
/// t >= sum over w of min over u (weight[u] * seconds[w][u]), and the best weights (the dual of the linear program) give the least time.
LeastTime UnitWork::least() const {
  const std::size_t units = chip_.units.size();
  LeastTime result;
  if (pieces_.empty()) return result;
  std::vector<double> weight(units, 1.0 / static_cast<double>(units));
  const auto value = [&] {
    double sum = 0;
    for (const auto& piece : pieces_) {
      double least = kNever;
      for (std::size_t u = 0; u < units; ++u)
        if (piece[u] < kNever) least = std::min(least, weight[u] * piece[u]);
      sum += least;
    }
    return sum;
  };
  // The value is concave: search along what one class gives to another.
  const int rounds = units > 2 ? 3 : 1;
  for (int round = 0; round < rounds; ++round)
    for (std::size_t u = 0; u < units; ++u)
      for (std::size_t v = u + 1; v < units; ++v) {
        const double both = weight[u] + weight[v];
        const auto at = [&](double share) {
          weight[u] = both * share;
          weight[v] = both - weight[u];
          return value();
        };
        double low = 0, high = 1;
        for (int i = 0; i < 24; ++i) {
          const double a = low + (high - low) / 3, b = high - (high - low) / 3;
          const bool up = at(a) < at(b);
          (up ? low : high) = up ? a : b;
        }
        double best = (low + high) / 2;
        for (const double end : {0.0, 1.0})
          if (at(end) >= at(best)) best = end;
        at(best);
      }
  result.seconds = value();
  result.unit = chip::UnitId(static_cast<std::size_t>(std::max_element(weight.begin(), weight.end()) - weight.begin()));
  return in_turn_.seconds >= result.seconds ? in_turn_ : result;
}

}  // namespace switchyard::compiler
