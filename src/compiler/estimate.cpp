#include "compiler/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "chip/query.h"
#include "compiler/epilogue.h"
#include "compiler/grid_search.h"
#include "compiler/partition.h"
#include "numerics/packing.h"

namespace switchyard::compiler {
namespace {

using chip::OpClass;
using numerics::Affine;

/// Fewer bytes than these are not worth a command of their own (a bias).
constexpr std::int64_t kWorthSharing = 8192;

/// Of a sum in so many steps, what belongs to its end waits for nothing while it is made.
constexpr std::int64_t kManySteps = 4;

std::int64_t outermost_coefficient(const Affine& f) {
  std::int64_t most = 0;
  for (const auto& t : f.terms) most = std::max(most, t.coefficient);
  return most;
}

}  // namespace

std::vector<bool> dims_to_divide(const Kernel& kernel) {
  std::vector<bool> divide(kernel.dims.size(), false);
  for (const KernelOperand& o : kernel.operands)
    if (o.write)
      for (const Affine& f : o.index)
        for (const auto& t : f.terms)
          if (t.coefficient != outermost_coefficient(f)) divide[static_cast<std::size_t>(t.variable)] = true;
  return divide;
}

Evaluator::Evaluator(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const std::vector<std::vector<int>>& layouts,
                     const std::vector<Reach>& reach, std::int64_t reserved, chip::UnitId unit, chip::UnitId epilogue)
    : machine_(machine),
      kernel_(kernel),
      unit_(machine.chip->units[unit.index()]),
      g_(g),
      reach_(reach),
      unit_id_(unit),
      epilogue_id_(epilogue),
      links_(machine) {
  const chip::Chip& chip = *machine.chip;
  const chip::Memory& scratchpad = chip.memories[machine.scratchpad.index()];
  const auto range = chip::usable_range(scratchpad);
  capacity_ = range.end - range.begin - reserved;
  alignment_ = std::max<std::int64_t>(1, scratchpad.alignment);
  accumulators_apart_ = machine.accumulators != machine.scratchpad;
  if (accumulators_apart_) {
    const auto r = chip::usable_range(chip.memories[machine.accumulators.index()]);
    accumulator_capacity_ = r.end - r.begin;
  }
  const chip::Memory& off = chip.memories[machine.off_chip.index()];
  off_rate_ = chip::sustained_bandwidth(off).value;
  granule_ = off.granule;
  if (const auto cache = chip::cache_of(chip, machine.off_chip)) {
    cache_bytes_ = chip.memories[cache->index()].bytes.value;
    cache_rate_ = chip::sustained_bandwidth(chip.memories[cache->index()]).value;
  }
  const auto rates_of = [&](chip::MoverId id) {
    const chip::Mover& mover = chip.movers[id.index()];
    double rate = mover.bandwidth.value;
    if (mover.network && (id != machine.store)) rate = std::min(rate, chip::stream_bandwidth(chip.networks[mover.network->index()]).value);
    return MoverRates{mover.startup.value, static_cast<double>(mover.count * mover.outstanding), rate};
  };
  load_ = rates_of(machine.load);
  store_ = rates_of(machine.store);
  if (machine.cast.valid()) cast_ = rates_of(machine.cast);
  load_latency_ = load_.startup + off.latency.value;
  context_price_ = context_price(machine);
  issue_ = chip.sequencer.kind == chip::SequencerKind::component_queues ? chip.sequencer.issue.value : 0;
  clock_ = unit_.clock_hz.value;
  startup_cycles_ = unit_.startup_cycles.value;
  main_rate_ = rate_of(unit_, OpClass::contract, leading_format(g, kernel));
  if (kernel.contraction) {
    const auto format = [&](std::size_t f) {
      return g.tensor(kernel.operands[static_cast<std::size_t>(kernel.statements.front().reads[f].number)].tensor).format;
    };
    widening_ = program::widening(chip, unit, format(0), format(1));
  }
  for (const KernelStatement& s : kernel.statements) cycles_per_point_.push_back(s.epilogue ? 0 : cycles_of(unit_, s));
  if (epilogue.valid()) {
    const chip::Unit& e = chip.units[epilogue.index()];
    const auto* rate = chip::find_rate(unit_, OpClass::contract, leading_format(g, kernel));
    const numerics::Format sums = rate ? rate->accumulate : numerics::Format::fp32;
    for (const KernelStatement& s : kernel.statements)
      if (s.epilogue) epilogue_seconds_per_point_ += cycles_of(e, cut_epilogue(unit_, s, sums, g, kernel).rest) / e.clock_hz.value;
    epilogue_startup_ = e.startup_cycles.value / e.clock_hz.value;
  }
  for (const KernelOperand& o : kernel.operands) {
    const auto& t = g.tensor(o.tensor);
    bits_.push_back(numerics::stored_bits(t.format));
    footprint_.push_back(static_cast<double>(numerics::element_count(t.shape)) * numerics::stored_size(t.format));
    std::uint64_t mask = 0;
    for (const Affine& f : o.index)
      for (const auto& term : f.terms) mask |= std::uint64_t{1} << term.variable;
    if (o.anew >= 0) mask |= std::uint64_t{1} << o.anew;
    masks_.push_back(mask);
    std::vector<SharedIndex>& shared = shared_.emplace_back();
    for (const Affine& f : o.index) {
      if (!o.write || (f.terms.size() == 1 && f.terms[0].coefficient == 1)) continue;
      shared.push_back({f.terms, outermost_coefficient(f)});
      std::sort(shared.back().terms.begin(), shared.back().terms.end(),
                [](const auto& x, const auto& y) { return x.coefficient < y.coefficient; });
    }
    std::vector<Extent> extents;
    const auto& order = layouts[o.tensor.index()];
    for (std::size_t d = order.size(); d-- > 0;) {
      const auto dim = static_cast<std::size_t>(order[d]);
      extents.push_back({&o.index[dim].terms, t.shape[dim]});
    }
    extents_.push_back(std::move(extents));
  }
}

std::int64_t Evaluator::part_bytes(std::size_t i, const Mapping& m) const {
  if (reach_[i] == Reach::handed) return token_bytes_[i] * 2;
  std::int64_t count = 1;
  bool innermost = true;
  for (const Extent& e : extents_[i]) {
    std::int64_t extent = 1;
    for (const auto& t : *e.terms) {
      const auto v = static_cast<std::size_t>(t.variable);
      extent += std::abs(t.coefficient) * (m.tile[v] * m.trips[v] - 1);
    }
    extent = std::min(extent, e.full);
    if (innermost) {
      const std::int64_t pad = token_pad(unit_, kernel_.contraction && !kernel_.operands[i].epilogue, extent);
      extent = ceil_div(extent, pad) * pad;
    }
    innermost = false;
    count *= extent;
  }
  return bytes_of(i, count);
}

/// A tile can be stored as one box only when the dims that share an index of the result fill it without gaps, and when no block of a faster
/// dim reaches beyond its end into the next index of a slower one. The same of what an instance writes over all its firings (`whole`): a
/// part of a spread buffer is one box.
bool Evaluator::writes_densely(const SharedIndex& index, const Mapping& m, bool whole) const {
  std::int64_t expected = 1;
  for (const auto& t : index.terms) {
    const auto v = static_cast<std::size_t>(t.variable);
    const std::int64_t extent = kernel_.dims[v].extent, block = m.trips[v] * m.tile[v];
    const std::int64_t tile = whole ? std::min(block, extent) : m.tile[v];
    if (t.coefficient < 0 || (t.coefficient != index.outermost && extent % (whole ? tile : block) != 0)) return false;
    if (tile == 1) continue;
    if (t.coefficient != expected) return false;
    expected *= tile;
  }
  return true;
}

std::int64_t Evaluator::token_bytes(std::size_t i, const Mapping& m) const {
  std::int64_t padded = 1;
  bool innermost = true;
  for (const Extent& e : extents_[i]) {  // innermost dimension first
    std::int64_t extent = extent_of(e, m);
    if (innermost) {
      const std::int64_t pad = token_pad(unit_, kernel_.contraction && !kernel_.operands[i].epilogue, extent);
      if (pad > 1) extent = ceil_div(extent, pad) * pad;
    }
    innermost = false;
    padded *= extent;
  }
  return bytes_of(i, padded);
}

void Evaluator::size_tokens(const Mapping& m) const {
  token_bytes_.resize(kernel_.operands.size());
  for (std::size_t i = 0; i < token_bytes_.size(); ++i) token_bytes_[i] = token_bytes(i, m);
  wire_bytes_.clear();
  firing_.reset();
}

/// What tokens take of a memory that serves no less than a granule.
void Evaluator::size_wires(const Mapping& m) const {
  if (!wire_bytes_.empty()) return;
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    std::int64_t count = 1, run = 1;
    bool contiguous = true;
    for (const Extent& e : extents_[i]) {
      const std::int64_t extent = extent_of(e, m);
      count *= std::min(extent, e.full);
      if (contiguous) run *= std::min(extent, e.full);
      contiguous = contiguous && extent >= e.full;
    }
    wire_bytes_.push_back(static_cast<double>(bytes_of(i, count)) *
                          std::max(1.0, static_cast<double>(granule_) / static_cast<double>(bytes_of(i, run))));
  }
}

/// Blocks that hardware deals one by one hide each other's stores: an instance that stands for several needs no second place for results.
bool Evaluator::stores_hidden(std::size_t operand) const { return kernel_.operands[operand].write && deals_waves(machine_); }

/// What is read or written when a sum is whole has the time of the next sum to come or to go.
bool Evaluator::is_late(std::size_t operand, const Mapping& m) const {
  const KernelOperand& o = kernel_.operands[operand];
  return kernel_.contraction && (o.write || o.epilogue) && steps_of_sums(m) >= kManySteps && !machine_.grid;
}

std::int64_t Evaluator::steps_of_sums(const Mapping& m) const {
  std::int64_t steps = 1;
  for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
    if (kernel_.dims[d].reduction) steps *= m.trips[d];
  return steps;
}

/// Has the operand several tokens, by default?
bool Evaluator::moves(std::size_t operand, const Mapping& m) const {
  bool turns = false;
  for (const int d : m.order) {
    turns = turns || m.trips[static_cast<std::size_t>(d)] > 1;
    if (turns && (masks_[operand] >> d & 1) != 0) return true;
  }
  return false;
}

/// Tokens of each operand, by default kept over the loops inside the innermost one that it depends on.
void Evaluator::count_tokens(const Mapping& m) const {
  const std::size_t n = kernel_.operands.size();
  tokens_.assign(n, 1);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t l = m.order.size(), used = 0; l-- > 0;) {
      used |= masks_[i] >> m.order[l] & 1;
      if (used) tokens_[i] *= m.trips[static_cast<std::size_t>(m.order[l])];
    }
}

/// Depths and bytes of the channels, with plain double buffering where more does not fit.
bool Evaluator::fit_storage(Mapping& m) const {
  const std::size_t n = kernel_.operands.size();
  m.placed = placed_;
  for (std::size_t i = 0; i < n; ++i) {
    if (placed(i)) continue;
    m.depth[i] = tokens_[i] > 1 ? 2 : 1;
    if (!kernel_.operands[i].write && tokens_[i] > 2) {
      // Enough in flight to hide the start-up, but no more than the mover keeps outstanding.
      const double needed = load_latency_ * std::min(load_.rate, off_rate_ / static_cast<double>(machine_.components.size()) * 2) /
                            static_cast<double>(token_bytes_[i]);
      m.depth[i] = std::clamp<std::int64_t>(1 + static_cast<std::int64_t>(std::ceil(needed)), 2,
                                            std::min<std::int64_t>(tokens_[i], static_cast<std::int64_t>(load_.places) + 1));
    }
    m.storage += aligned(token_bytes_[i] * m.depth[i]);
  }
  if (m.epilogue_unit.valid()) m.storage += aligned(accumulators_) * m.accumulator_depth;
  if (accumulators_apart_) {
    if (accumulators_ > accumulator_capacity_) return false;
  } else {
    m.storage += accumulators_;
  }
  for (std::size_t i = 0; i < n && m.storage + m.placed > capacity_; ++i)
    if (!placed(i) && m.depth[i] > 2) {
      m.storage -= aligned(token_bytes_[i] * m.depth[i]) - aligned(token_bytes_[i] * 2);
      m.depth[i] = 2;
    }
  for (std::size_t i = 0; i < n && m.storage + m.placed > capacity_; ++i)
    if (!placed(i) && (stores_hidden(i) || is_late(i, m)) && m.depth[i] == 2) {
      m.storage -= aligned(token_bytes_[i] * 2) - aligned(token_bytes_[i]);
      m.depth[i] = 1;
    }
  return m.storage + m.placed <= capacity_;
}

/// Panels that fit stay: the largest saving first.
void Evaluator::keep_panels(Mapping& m) const {
  if (!machine_.pins) return;
  const std::size_t n = kernel_.operands.size();
  for (bool again = !m.order.empty(); again;) {
    again = false;
    std::size_t best = n;
    double best_saving = 0;
    std::int64_t best_depth = 0, best_tokens = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const KernelOperand& o = kernel_.operands[i];
      if (o.write || m.resident[i] || placed(i) || tokens_[i] == 1) continue;
      // As kept_loops, tokens_per_instance and live_tokens have it of a resident operand.
      std::int64_t tokens = 1, live = 1;
      bool inside = false;
      for (const int d : m.order) {
        if (!(masks_[i] >> d & 1)) {
          inside = true;
          continue;
        }
        tokens *= m.trips[static_cast<std::size_t>(d)];
        if (inside) live *= m.trips[static_cast<std::size_t>(d)];
      }
      if (tokens >= tokens_[i]) continue;
      const std::int64_t depth = live < tokens ? live + std::min<std::int64_t>(live, 2) : live;
      const std::int64_t grown = m.storage - aligned(token_bytes_[i] * m.depth[i]) + aligned(token_bytes_[i] * depth);
      const double saving = static_cast<double>(tokens_[i] - tokens) * wire_bytes_[i];
      if (grown + m.placed <= capacity_ && saving > best_saving) {
        best = i;
        best_saving = saving;
        best_depth = depth;
        best_tokens = tokens;
      }
    }
    if (best < n) {
      m.storage += aligned(token_bytes_[best] * best_depth) - aligned(token_bytes_[best] * m.depth[best]);
      m.resident[best] = true;
      m.depth[best] = best_depth;
      tokens_[best] = best_tokens;
      again = true;
    }
  }
}

bool Evaluator::writes_well(const Mapping& m) const {
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    for (const SharedIndex& index : shared_[i])
      if (!writes_densely(index, m, false) || (placed(i) && !writes_densely(index, m, true))) return false;
  }
  return true;
}

/// Sets the number of instances, and of those that need the same of each operand; returns the firings of one.
std::int64_t Evaluator::count_sharers(Mapping& m) const {
  m.instances = 1;
  sharers_.assign(kernel_.operands.size(), 1);
  along_.assign(kernel_.dims.size(), 1);
  for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
    if (kernel_.dims[d].reduction) continue;
    const std::int64_t along = along_[d] = ceil_div(kernel_.dims[d].extent, m.trips[d] * m.tile[d]);
    if (along == 1) continue;
    m.instances *= along;
    for (std::size_t i = 0; i < sharers_.size(); ++i)
      if (!(masks_[i] >> d & 1)) sharers_[i] *= along;
  }
  std::int64_t firings = 1;
  for (int d : m.order) firings *= m.trips[static_cast<std::size_t>(d)];
  return firings;
}

bool Evaluator::begin(Mapping& m, bool all) const {
  m.unit = unit_id_;
  m.epilogue_unit = epilogue_id_;
  m.storage = 0;
  m.placed = 0;
  if (!writes_well(m)) return false;
  // Whether a mapping fits does not depend on the order of its loops: depths beyond plain double buffering are given up first.
  placed_ = 0;
  std::int64_t least = 0;
  token_bytes_.resize(kernel_.operands.size());
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    token_bytes_[i] = token_bytes(i, m);
    if (placed(i))
      placed_ += aligned(part_bytes(i, m));
    else
      least += aligned(token_bytes_[i] * (moves(i, m) && !stores_hidden(i) && !is_late(i, m) ? 2 : 1));
    if (!all && least + placed_ > capacity_) return false;
  }
  wire_bytes_.clear();
  firing_.reset();
  firings_ = count_sharers(m);
  accumulators_ = accumulator_bytes(m);
  if (accumulators_apart_ && accumulators_ > accumulator_capacity_) return true;  // which `end` finds out
  if (m.epilogue_unit.valid()) {
    m.accumulator_depth = accumulator_depth(m);
    least += aligned(accumulators_) * m.accumulator_depth;
  }
  if (!accumulators_apart_) least += accumulators_;
  m.storage = least;
  m.placed = placed_;
  return least + placed_ <= capacity_;
}

bool Evaluator::has_placed() const {
  for (std::size_t i = 0; i < reach_.size(); ++i)
    if (placed(i)) return true;
  return false;
}

bool Evaluator::may_fit(const Mapping& m) const {
  std::int64_t least = accumulators_apart_ ? 0 : accumulator_bytes(m);
  token_bytes_.resize(kernel_.operands.size());
  for (std::size_t i = 0; i < token_bytes_.size(); ++i) {
    token_bytes_[i] = token_bytes(i, m);
    least += aligned(placed(i) ? part_bytes(i, m) : token_bytes_[i]);
  }
  return least <= capacity_;
}

/// One slot where the epilogue of a tile is over before the next sums are whole: until then it is not taken.
std::int64_t Evaluator::accumulator_depth(const Mapping& m) const {
  const std::int64_t steps = steps_of_sums(m);
  if (steps < kManySteps || machine_.grid) return Mapping{}.accumulator_depth;
  double points = 1;
  for (const int d : kernel_.locals.front().dims) points *= static_cast<double>(m.tile[static_cast<std::size_t>(d)]);
  return epilogue_seconds(points, 1) <= firing_seconds(m) * static_cast<double>(steps - 1) ? 1 : Mapping{}.accumulator_depth;
}

bool Evaluator::end(Mapping& m, const Limits& limits) const {
  const std::size_t n = kernel_.operands.size();
  m.resident.assign(n, false);
  m.depth.assign(n, 1);
  m.sharing.assign(n, Sharing::none);
  const bool registers = accumulators_apart_ && accumulators_ > accumulator_capacity_;
  const bool limited = !limits.costs.empty() && !steps_are_free();
  const double limit = limits.costs.empty() ? kNoLimit : *std::max_element(limits.costs.begin(), limits.costs.end());
  const auto no_use = [&] {  // how much worse it is nobody asks
    m.cost = m.late = kNoLimit;
    return true;
  };
  if (!registers && limited && firing_seconds(m) * static_cast<double>(firings_) * rounds_of(m) > limit) return no_use();
  m.storage = 0;
  count_tokens(m);
  if (!fit_storage(m)) return false;
  size_wires(m);
  keep_panels(m);
  if (limited && may_share(m)) {
    price(m, traffic_of(m, true), firings_, 0, 0);
    if (limits.reached_by(m)) return no_use();
  }
  limit_ = limit;
  estimate(m, firings_);
  if (m.terms[0] <= limit) choose_sharing(m, firings_);
  limit_ = kNoLimit;
  return true;
}

bool Evaluator::evaluate(Mapping& m) const {
  m.resident.assign(kernel_.operands.size(), false);
  m.depth.assign(kernel_.operands.size(), 1);
  m.sharing.assign(kernel_.operands.size(), Sharing::none);
  if (begin(m, true)) return end(m, {});
  if (m.storage > 0) {  // the depths with which it would not fit
    m.storage = 0;
    count_tokens(m);
    fit_storage(m);
  }
  return false;
}

std::int64_t Evaluator::accumulator_bytes(const Mapping& m) const {
  std::int64_t bytes = 0;
  for (const KernelLocal& l : kernel_.locals) bytes += aligned(local_bytes(l, m));
  return bytes;
}

std::string Evaluator::complete(Mapping& m) const {
  if (!writes_well(m)) return "an instance's results are not one box: the loops that share a dimension of the result must fill it";
  for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
    if (kernel_.dims[d].single && m.tile[d] != 1)
      return fmt::format("the tile of '{}' is 1: along it rows are looked up, one at a time", kernel_.dims[d].name);
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i)
    if (m.sharing[i] != Sharing::none && (kernel_.operands[i].picking || !kernel_.operands[i].lookups.empty()))
      return fmt::format("'{}' is not shared: it is looked up, or picks what is", g_.tensor(kernel_.operands[i].tensor).name);
  const std::int64_t firings = count_sharers(m);
  size_tokens(m);
  size_wires(m);
  count_tokens(m);
  m.storage = m.placed = 0;
  const Ring ring = ring_of(kernel_, m, reach_).ring.value_or(Ring{});
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    if (placed(i)) {
      m.placed += aligned(part_bytes(i, m));
      continue;
    }
    tokens_[i] = tokens_per_instance(kept_loops(kernel_.operands[i], m.order, m.resident[i]), m.order, m.trips);
    m.storage += aligned(token_bytes_[i] * m.depth[i]);
    if (m.sharing[i] == Sharing::none) continue;
    if (sharers_[i] < 2) return fmt::format("nothing of '{}' is needed twice", g_.tensor(kernel_.operands[i].tensor).name);
    if (m.sharing[i] == Sharing::multicast && sharers_[i] > machine_.chip->movers[machine_.cast.index()].multicast + 1)
      return fmt::format("'{}' would go to {} instances at once: the mover reaches fewer", g_.tensor(kernel_.operands[i].tensor).name,
                         sharers_[i]);
    m.storage += aligned((m.sharing[i] == Sharing::ring ? ring_depth(kernel_, m, ring, i) : 2) * token_bytes_[i]);
    if (m.sharing[i] == Sharing::multicast) m.storage += more_for_readers(i, m);
  }
  if (m.epilogue_unit.valid()) m.storage += accumulator_bytes(m) * m.accumulator_depth;
  if (!accumulators_apart_) m.storage += accumulator_bytes(m);
  estimate(m, firings);
  m.tried = 1;
  return {};
}

bool Evaluator::fits(const Mapping& m) const {
  return m.storage + m.placed <= capacity_ && (!accumulators_apart_ || accumulator_bytes(m) <= accumulator_capacity_);
}

/// What ring_of asks, as far as it can be told at once: is there a loop that only operands in rings depend on, in whole slices?
bool Evaluator::may_ring(const Mapping& m, std::size_t operand) const {
  std::uint64_t others = 0;
  for (std::size_t i = 0; i < masks_.size(); ++i)
    if (i != operand && !kernel_.operands[i].write && m.sharing[i] != Sharing::ring) others |= masks_[i];
  const std::uint64_t own = masks_[operand] & ~others;
  return std::any_of(m.order.begin(), m.order.end(), [&](int d) {
    return (own >> d & 1) != 0 && !kernel_.dims[static_cast<std::size_t>(d)].reduction &&
           m.trips[static_cast<std::size_t>(d)] % sharers_[operand] == 0;
  });
}

bool Evaluator::may_share(const Mapping& m) const { return machine_.cast.valid() && machine_.shares && m.instances > 1 && !kernel_.copy; }

bool Evaluator::may_share(std::size_t i) const {
  const KernelOperand& o = kernel_.operands[i];
  return !o.write && !placed(i) && sharers_[i] > 1 && !o.picking && o.lookups.empty() && token_bytes_[i] * tokens_[i] >= kWorthSharing;
}

/// Operands that several instances need alike may be read once and multicast: less memory traffic, one more command and hop per token.
void Evaluator::choose_sharing(Mapping& m, std::int64_t firings) const {
  if (!may_share(m)) return;
  const chip::Mover& cast = machine_.chip->movers[machine_.cast.index()];
  // What several readers need more must be there; it is no price, as one reader does without it.
  std::int64_t more = 0;
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    if (!may_share(i)) continue;
    const std::int64_t storage = m.storage;
    double least = m.cost;
    Sharing best = Sharing::none, last = Sharing::none;
    std::int64_t best_storage = storage;
    for (const Sharing how : {Sharing::multicast, Sharing::ring}) {
      if (how == Sharing::multicast ? sharers_[i] > cast.multicast + 1 : !may_ring(m, i)) continue;
      m.sharing[i] = how;
      m.storage = storage;
      if (how == Sharing::multicast) {
        m.storage += aligned(2 * token_bytes_[i]);
      } else {
        const RingPlan plan = ring_of(kernel_, m, reach_);
        if (!plan.ring) continue;
        m.storage += aligned(ring_depth(kernel_, m, *plan.ring, i) * token_bytes_[i]);
      }
      if (m.storage + more + (how == Sharing::multicast ? more_for_readers(i, m) : 0) + m.placed > capacity_) continue;
      estimate(m, firings);
      last = how;
      if (m.cost < least) least = m.cost, best = how, best_storage = m.storage;
    }
    m.sharing[i] = best;
    m.storage = best_storage;
    if (best == Sharing::multicast) more += more_for_readers(i, m);
    if (last != best) estimate(m, firings);
  }
}

std::int64_t Evaluator::reading_members(std::size_t i, const Mapping& m) const {
  // The innermost loop that is not kept is the innermost one that is used.
  return compiler::reading_members(m, m.order, sharers_[i], [&](std::size_t l) { return (masks_[i] >> m.order[l] & 1) == 0; });
}

/// What comes from each of several members has a channel of its own.
std::int64_t Evaluator::more_for_readers(std::size_t i, const Mapping& m) const {
  const std::int64_t members = reading_members(i, m);
  return members * aligned(ceil_div(m.depth[i], members) * token_bytes_[i]) - aligned(m.depth[i] * token_bytes_[i]);
}

double Evaluator::rate_of(const chip::Unit& unit, OpClass op, numerics::Format format) const {
  const auto* rate = chip::find_rate(unit, op, format);
  return rate ? rate->per_cycle.value : 1;
}

/// Of a statement that is no contraction, for one point; at the rate of the first that it reads. What is kept between statements is as the
/// unit's arithmetic is.
double Evaluator::cycles_of(const chip::Unit& unit, const KernelStatement& s) const {
  numerics::Format format = numerics::Format::fp32;
  if (!s.reads.empty() && !s.reads.front().local)
    format = g_.tensor(kernel_.operands[static_cast<std::size_t>(s.reads.front().number)].tensor).format;
  const double rate = rate_of(unit, OpClass::map, format);
  const int combining = s.combiner != numerics::Combiner::none ? 1 : 0;
  return std::max(1, s.expression.count(numerics::ScalarOpCost::simple) + combining) / rate +
         s.expression.count(numerics::ScalarOpCost::special) / (unit.special_per_cycle ? unit.special_per_cycle->value : rate);
}

double Evaluator::epilogue_seconds(double points, double firings) const {
  return points * epilogue_seconds_per_point_ + firings * epilogue_startup_;
}

/// Waves of a grid.
double Evaluator::rounds_of(const Mapping& m) const {
  return machine_.grid ? std::ceil(static_cast<double>(m.instances) / static_cast<double>(machine_.components.size())) : 1;
}

/// Of the tiles at hand, whatever the order of loops and the sharing.
double Evaluator::firing_seconds(const Mapping& m) const {
  if (firing_) return *firing_;
  double cycles = startup_cycles_;
  for (std::size_t n = 0; n < kernel_.statements.size(); ++n) {
    const KernelStatement& s = kernel_.statements[n];
    if (s.epilogue) continue;
    double points = 1;
    if (kernel_.contraction) {
      const auto a = static_cast<std::size_t>(s.reads[0].number), b = static_cast<std::size_t>(s.reads[1].number);
      double mm = 1, nn = 1, kk = 1;
      for (std::size_t i = 0; i < s.dims.size(); ++i) {
        const auto d = static_cast<std::size_t>(s.dims[i]);
        const auto extent = static_cast<double>(std::min(m.tile[d], kernel_.dims[d].extent));
        const bool in_a = masks_[a] >> d & 1, in_b = masks_[b] >> d & 1;
        (s.kinds[i] == numerics::LoopKind::reduction ? kk : in_a && in_b ? points : in_a ? mm : nn) *= extent;
      }
      const auto up = [](double v, std::int64_t g) { return std::ceil(v / static_cast<double>(g)) * static_cast<double>(g); };
      // A fold's turn is not left out after the last: to cut a product would pay by it.
      const double folds = chip::fold_cycles(unit_, mm, nn, kk, points, false);
      const double widened = points * nn * kk;
      points *= up(mm, unit_.geometry[0]) * up(nn, unit_.geometry[1]) * up(kk, unit_.geometry[2]);
      if (widening_) {
        cycles += widening_->together(folds + points / main_rate_, widened);
      } else {
        cycles += folds;
        cycles += points / main_rate_;
      }
      continue;
    }
    for (int d : s.dims)
      points *= static_cast<double>(std::min(m.tile[static_cast<std::size_t>(d)], kernel_.dims[static_cast<std::size_t>(d)].extent));
    cycles += points * cycles_per_point_[n];
  }
  return firing_.emplace(cycles / clock_);
}

}  // namespace switchyard::compiler
