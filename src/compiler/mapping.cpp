#include "compiler/mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "chip/query.h"

namespace switchyard::compiler {
namespace {

using chip::OpClass;
using numerics::Affine;
using numerics::Format;

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

bool depends(const KernelOperand& operand, int dim) {
  return std::any_of(operand.index.begin(), operand.index.end(), [&](const Affine& f) { return f.depends_on(dim); });
}

std::int64_t outermost_coefficient(const Affine& f) {
  std::int64_t most = 0;
  for (const auto& t : f.terms) most = std::max(most, t.coefficient);
  return most;
}

/// Dims whose tiles must divide them: they share an index of the result with a slower dim.
std::vector<bool> dims_to_divide(const Kernel& kernel) {
  std::vector<bool> divide(kernel.dims.size(), false);
  for (const KernelOperand& o : kernel.operands)
    if (o.write)
      for (const Affine& f : o.index)
        for (const auto& t : f.terms)
          if (t.coefficient != outermost_coefficient(f)) divide[static_cast<std::size_t>(t.variable)] = true;
  return divide;
}

/// A tile can be stored as one box only when the dims that share an index of the result fill it without gaps, and when no block of a faster
/// dim reaches beyond its end into the next index of a slower one.
bool writes_densely(const KernelOperand& operand, const std::vector<KernelDim>& dims, const Mapping& m) {
  for (const Affine& f : operand.index) {
    if (f.terms.size() == 1 && f.terms[0].coefficient == 1) continue;
    const std::int64_t outermost = outermost_coefficient(f);
    std::vector<Affine::Term> terms;
    for (const auto& t : f.terms) {
      const auto v = static_cast<std::size_t>(t.variable);
      if (t.coefficient < 0 || (t.coefficient != outermost && dims[v].extent % (m.trips[v] * m.tile[v]) != 0)) return false;
      if (m.tile[v] > 1) terms.push_back(t);
    }
    std::sort(terms.begin(), terms.end(), [](const auto& a, const auto& b) { return a.coefficient < b.coefficient; });
    std::int64_t expected = 1;
    for (const auto& t : terms) {
      if (t.coefficient != expected) return false;
      expected *= m.tile[static_cast<std::size_t>(t.variable)];
    }
  }
  return true;
}

/// What the search repeats for every candidate, precomputed.
class Evaluator {
 public:
  Evaluator(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const std::vector<std::vector<int>>& layouts,
            chip::UnitId unit, chip::UnitId epilogue)
      : machine_(machine), kernel_(kernel), unit_(machine.chip->units[unit.index()]), g_(g) {
    const chip::Chip& chip = *machine.chip;
    base_.unit = unit;
    base_.epilogue_unit = epilogue;
    const chip::Memory& scratchpad = chip.memories[machine.scratchpad.index()];
    const auto range = chip::usable_range(scratchpad);
    capacity_ = range.end - range.begin;
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
      cache_rate_ = chip::sustained_bandwidth(chip.memories[cache->index()]).value;
    }
    const chip::Mover& load = chip.movers[machine.load.index()];
    load_rate_ = load.bandwidth.value;
    if (load.network) load_rate_ = std::min(load_rate_, chip.networks[load.network->index()].link.value);
    load_startup_ = load.startup.value;
    load_places_ = static_cast<double>(load.count * load.outstanding);
    load_latency_ = load_startup_ + off.latency.value;
    const chip::Mover& store = chip.movers[machine.store.index()];
    store_rate_ = store.bandwidth.value;
    store_startup_ = store.startup.value;
    store_places_ = static_cast<double>(store.count * store.outstanding);
    if (machine.cast.valid()) {
      const chip::Mover& cast = chip.movers[machine.cast.index()];
      cast_startup_ = cast.startup.value;
      cast_places_ = static_cast<double>(cast.count * cast.outstanding);
      cast_rate_ = cast.network ? std::min(cast.bandwidth.value, chip.networks[cast.network->index()].link.value) : cast.bandwidth.value;
    }
    issue_ = chip.sequencer.kind == chip::SequencerKind::component_queues ? chip.sequencer.issue.value : 0;
    clock_ = unit_.clock_hz.value;
    startup_cycles_ = unit_.startup_cycles.value;
    main_rate_ = rate_of(unit_, kernel.contraction ? OpClass::contract : OpClass::map);
    if (epilogue.valid()) {
      const chip::Unit& e = chip.units[epilogue.index()];
      epilogue_seconds_per_point_ = 1.0 / (rate_of(e, OpClass::map) * e.clock_hz.value);
      epilogue_startup_ = e.startup_cycles.value / e.clock_hz.value;
    }
    for (const KernelOperand& o : kernel.operands) {
      const auto& t = g.tensor(o.tensor);
      bytes_.push_back(numerics::format_bytes(t.format));
      footprint_.push_back(static_cast<double>(numerics::element_count(t.shape)) * numerics::format_bytes(t.format));
      std::uint64_t mask = 0;
      for (const Affine& f : o.index)
        for (const auto& term : f.terms) mask |= std::uint64_t{1} << term.variable;
      masks_.push_back(mask);
      std::vector<Extent> extents;
      const auto& order = layouts[o.tensor.index()];
      for (std::size_t d = order.size(); d-- > 0;) {
        const auto dim = static_cast<std::size_t>(order[d]);
        extents.push_back({&o.index[dim].terms, t.shape[dim]});
      }
      extents_.push_back(std::move(extents));
    }
  }

  [[nodiscard]] std::int64_t capacity() const { return capacity_; }

  /// Fills storage, depths and the estimate; false when it does not fit or cannot be stored.
  bool evaluate(Mapping& m) const {
    const std::size_t n = kernel_.operands.size();
    for (const KernelOperand& o : kernel_.operands)
      if (o.write && !writes_densely(o, kernel_.dims, m)) return false;
    m.unit = base_.unit;
    m.epilogue_unit = base_.epilogue_unit;
    m.resident.assign(n, false);
    m.depth.assign(n, 1);
    m.shared.assign(n, false);
    m.storage = 0;
    m.instances = 1;
    sharers_.assign(n, 1);
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
      if (kernel_.dims[d].reduction) continue;
      const std::int64_t along = ceil_div(kernel_.dims[d].extent, m.trips[d] * m.tile[d]);
      m.instances *= along;
      for (std::size_t i = 0; i < n; ++i)
        if (!(masks_[i] >> d & 1)) sharers_[i] *= along;
    }
    std::int64_t firings = 1;
    for (int d : m.order) firings *= m.trips[static_cast<std::size_t>(d)];

    token_bytes_.assign(n, 0);
    wire_bytes_.assign(n, 0);
    tokens_.assign(n, 0);
    std::int64_t storage = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const KernelOperand& o = kernel_.operands[i];
      std::int64_t count = 1, padded = 1, run = 1;
      bool contiguous = true, innermost = true;
      for (const Extent& e : extents_[i]) {  // innermost dimension first
        std::int64_t extent = 1;
        for (const auto& t : *e.terms) extent += std::abs(t.coefficient) * (m.tile[static_cast<std::size_t>(t.variable)] - 1);
        count *= std::min(extent, e.full);
        if (contiguous) run *= std::min(extent, e.full);
        contiguous = contiguous && extent >= e.full;
        if (innermost) {
          const std::int64_t pad = token_pad(unit_, kernel_.contraction && !o.epilogue, extent);
          extent = ceil_div(extent, pad) * pad;
        }
        innermost = false;
        padded *= extent;
      }
      token_bytes_[i] = padded * bytes_[i];
      wire_bytes_[i] =
          static_cast<double>(count) * bytes_[i] * std::max(1.0, static_cast<double>(granule_) / static_cast<double>(run * bytes_[i]));
      std::int64_t tokens = 1;  // default residency: every loop from the outermost to the innermost one used
      for (std::size_t l = m.order.size(), used = 0; l-- > 0;) {
        used |= masks_[i] >> m.order[l] & 1;
        if (used) tokens *= m.trips[static_cast<std::size_t>(m.order[l])];
      }
      tokens_[i] = tokens;
      m.depth[i] = tokens_[i] > 1 ? 2 : 1;
      if (!o.write && tokens_[i] > 2) {
        // Enough in flight to hide the start-up, but no more than the mover keeps outstanding.
        const double needed = load_latency_ * std::min(load_rate_, off_rate_ / static_cast<double>(machine_.components.size()) * 2) /
                              static_cast<double>(token_bytes_[i]);
        m.depth[i] = std::clamp<std::int64_t>(1 + static_cast<std::int64_t>(std::ceil(needed)), 2,
                                              std::min<std::int64_t>(tokens_[i], static_cast<std::int64_t>(load_places_) + 1));
      }
      storage += aligned(token_bytes_[i] * m.depth[i]);
    }
    std::int64_t accumulators = 0;
    for (const KernelLocal& l : kernel_.locals) accumulators += aligned(local_bytes(l, m));
    if (m.epilogue_unit.valid()) storage += aligned(accumulators) * m.accumulator_depth;
    if (accumulators_apart_) {
      if (accumulators > accumulator_capacity_) return false;
    } else {
      storage += accumulators;
    }
    if (storage > capacity_) {
      // Fall back to plain double buffering before giving up.
      for (std::size_t i = 0; i < n; ++i)
        if (m.depth[i] > 2) {
          storage -= aligned(token_bytes_[i] * m.depth[i]) - aligned(token_bytes_[i] * 2);
          m.depth[i] = 2;
        }
      if (storage > capacity_) {
        m.storage = storage;
        return false;
      }
    }
    // Panels that fit stay: the largest saving first.
    for (bool again = !m.order.empty(); again;) {
      again = false;
      std::size_t best = n;
      double best_saving = 0;
      std::int64_t best_depth = 0, best_tokens = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const KernelOperand& o = kernel_.operands[i];
        if (o.write || m.resident[i] || tokens_[i] == 1) continue;
        const auto kept = kept_loops(o, m.order, true);
        const std::int64_t tokens = tokens_per_instance(kept, m.order, m.trips);
        if (tokens >= tokens_[i]) continue;
        const std::int64_t live = live_tokens(kept, m.order, m.trips);
        const std::int64_t depth = live < tokens ? live + std::min<std::int64_t>(live, 2) : live;
        const std::int64_t grown = storage - aligned(token_bytes_[i] * m.depth[i]) + aligned(token_bytes_[i] * depth);
        const double saving = static_cast<double>(tokens_[i] - tokens) * wire_bytes_[i];
        if (grown <= capacity_ && saving > best_saving) {
          best = i;
          best_saving = saving;
          best_depth = depth;
          best_tokens = tokens;
        }
      }
      if (best < n) {
        storage += aligned(token_bytes_[best] * best_depth) - aligned(token_bytes_[best] * m.depth[best]);
        m.resident[best] = true;
        m.depth[best] = best_depth;
        tokens_[best] = best_tokens;
        again = true;
      }
    }
    m.storage = storage;
    estimate(m, firings);
    choose_sharing(m, firings);
    return true;
  }

  /// The terms of the demand, for a kernel that fits in no mapping.
  Infeasible explain(Mapping m) const {
    evaluate(m);  // fills depths and the bytes of tokens
    Infeasible out;
    const chip::Chip& chip = *machine_.chip;
    out.unit = "bytes";
    const auto use = [&](std::string what, std::int64_t bytes) {
      out.terms.push_back({std::move(what), static_cast<double>(bytes)});
      out.demand += static_cast<double>(bytes);
    };
    std::int64_t accumulators = 0;
    for (const KernelLocal& l : kernel_.locals) accumulators += aligned(local_bytes(l, m));
    const bool registers = accumulators_apart_ && accumulators > accumulator_capacity_;
    if (!registers) {
      for (std::size_t i = 0; i < kernel_.operands.size(); ++i)
        use(fmt::format("{} tile{} of {}", m.depth[i], m.depth[i] == 1 ? "" : "s", g_.tensor(kernel_.operands[i].tensor).name),
            aligned(token_bytes_[i] * m.depth[i]));
      if (m.epilogue_unit.valid()) use("accumulators on their way to the epilogue", aligned(accumulators) * m.accumulator_depth);
    }
    if (registers || !accumulators_apart_)
      for (const KernelLocal& l : kernel_.locals) use("accumulator " + l.name, aligned(local_bytes(l, m)));
    const chip::Memory& memory = chip.memories[(registers ? machine_.accumulators : machine_.scratchpad).index()];
    out.resource = fmt::format("{} of one {}", memory.name, chip.components[machine_.component.index()].name);
    out.capacity = static_cast<double>(registers ? accumulator_capacity_ : capacity_);
    out.levers = {fmt::format("a larger {}", memory.name), "a narrower --precision", "a smaller model dimension"};
    return out;
  }

 private:
  /// Operands that several instances need alike may be read once and multicast: less memory traffic, one more command and hop per token.
  void choose_sharing(Mapping& m, std::int64_t firings) const {
    if (!machine_.cast.valid() || m.instances < 2 || kernel_.copy) return;
    const chip::Mover& cast = machine_.chip->movers[machine_.cast.index()];
    for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
      if (kernel_.operands[i].write || sharers_[i] < 2 || sharers_[i] > cast.multicast + 1) continue;
      const std::int64_t staging = aligned(2 * token_bytes_[i]);
      if (m.storage + staging > capacity_) continue;
      Mapping shared = m;
      shared.shared[i] = true;
      shared.storage += staging;
      estimate(shared, firings);
      if (shared.seconds < m.seconds) m = std::move(shared);
    }
  }

  static std::int64_t local_bytes(const KernelLocal& l, const Mapping& m) {
    std::int64_t bytes = 4;
    for (int d : l.dims) bytes *= m.tile[static_cast<std::size_t>(d)];
    return bytes;
  }
  [[nodiscard]] std::int64_t aligned(std::int64_t bytes) const { return ceil_div(bytes, alignment_) * alignment_; }

  double rate_of(const chip::Unit& unit, OpClass op) const {
    const Format in = g_.tensor(kernel_.operands.front().tensor).format;
    const auto* rate = chip::find_rate(unit, op, in);
    return rate ? rate->per_cycle.value : 1;
  }

  [[nodiscard]] double firing_seconds(const Mapping& m) const {
    double cycles = startup_cycles_;
    for (const KernelStatement& s : kernel_.statements) {
      if (s.epilogue) continue;
      double points = 1;
      if (kernel_.contraction) {
        const auto a = static_cast<std::size_t>(s.reads[0].number), b = static_cast<std::size_t>(s.reads[1].number);
        double mm = 1, nn = 1, kk = 1;
        for (std::size_t i = 0; i < s.dims.size(); ++i) {
          const auto d = static_cast<std::size_t>(s.dims[i]);
          const auto extent = static_cast<double>(std::min(m.tile[d], kernel_.dims[d].extent));
          const bool in_a = masks_[a] >> d & 1, in_b = masks_[b] >> d & 1;
          (kernel_.dims[d].reduction ? kk : in_a && in_b ? points : in_a ? mm : nn) *= extent;
        }
        const auto up = [](double v, std::int64_t g) { return std::ceil(v / static_cast<double>(g)) * static_cast<double>(g); };
        points *= up(mm, unit_.geometry[0]) * up(nn, unit_.geometry[1]) * up(kk, unit_.geometry[2]);
        cycles += points / main_rate_;
        continue;
      }
      for (int d : s.dims)
        points *= static_cast<double>(std::min(m.tile[static_cast<std::size_t>(d)], kernel_.dims[static_cast<std::size_t>(d)].extent));
      const double simple =
          std::max(1, s.expression.count(numerics::ScalarOpCost::simple)) + (s.combiner != numerics::Combiner::none ? 1 : 0);
      const double special = s.expression.count(numerics::ScalarOpCost::special);
      cycles += points * simple / main_rate_ + points * special / (unit_.special_per_cycle ? unit_.special_per_cycle->value : main_rate_);
    }
    return cycles / clock_;
  }

  void estimate(Mapping& m, std::int64_t firings) const {
    const auto components = static_cast<double>(machine_.components.size());
    const auto instances = static_cast<double>(m.instances);
    const double rounds = machine_.grid ? std::ceil(instances / components) : 1;
    const double firing = firing_seconds(m);
    double compute = firing * static_cast<double>(firings);
    double load_bytes = 0, store_bytes = 0, loads = 0, stores = 0, first = 0, footprint = 0, total = 0, last_store = 0;
    double casts = 0, cast_bytes = 0, relay = 0;
    double epilogue_points = 0;
    for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
      const auto tokens = static_cast<double>(tokens_[i]);
      const double readers = m.shared[i] ? instances / static_cast<double>(sharers_[i]) : instances;
      total += tokens * wire_bytes_[i] * readers;
      if (m.shared[i]) {
        casts += tokens;
        cast_bytes += tokens * static_cast<double>(token_bytes_[i]);
        relay = std::max(relay, cast_startup_ + static_cast<double>(token_bytes_[i]) / cast_rate_);
      }
      if (kernel_.operands[i].write) {
        stores += tokens;
        store_bytes += tokens * wire_bytes_[i];
        last_store += wire_bytes_[i];
        epilogue_points += tokens * static_cast<double>(token_bytes_[i]) / bytes_[i];
      } else {
        loads += tokens;
        load_bytes += tokens * wire_bytes_[i];
        if (!kernel_.operands[i].epilogue) first += wire_bytes_[i];
      }
      footprint += std::min(footprint_[i], tokens * wire_bytes_[i] * instances);
    }
    double epilogue = 0;
    if (m.epilogue_unit.valid())
      for (const KernelStatement& s : kernel_.statements)
        if (s.epilogue)
          epilogue += epilogue_points *
                          (std::max(1, s.expression.count(numerics::ScalarOpCost::simple)) +
                           4.0 * s.expression.count(numerics::ScalarOpCost::special)) *
                          epilogue_seconds_per_point_ +
                      stores * epilogue_startup_;
    // Loads overlap their start-ups in the engine's places; bytes pass one after the other.
    const double mover = std::max(loads * load_startup_ / load_places_, load_bytes / load_rate_);
    const double storer = std::max(stores * store_startup_ / store_places_, store_bytes / store_rate_);
    const double active = std::min(instances, components);
    // Through a cache each byte of the footprint comes from memory once: instances that run together share what they read.
    const double dram = cache_rate_ > 0 ? std::max(footprint / off_rate_, total / cache_rate_) : total / off_rate_;
    const double issue = issue_ * (static_cast<double>(firings) + loads + stores + casts);
    const double caster = std::max(casts * cast_startup_ / cast_places_, cast_bytes / cast_rate_);
    // What nothing hides: the first start-up, one firing, the last store. The first and last tokens' bytes hide neither from the unit.
    const double ends = load_latency_ + relay + firing + store_startup_;
    const double edge =
        std::max(first / load_rate_, first * active / off_rate_) + std::max(last_store / store_rate_, last_store * active / off_rate_);
    // What is nearly as long as the longest does not hide behind it wholly: a p-norm instead of a maximum. 1.5 chose the mappings that the
    // timing engine liked best among 1.2, 1.5, 2, 3, 4 and 8, over ResNet-50, ShuffleNet, MobileNet and an encoder block on TX81 and H100.
    constexpr double kP = 1.5;
    double powers = std::pow(dram, kP) + std::pow(edge + std::max(compute, epilogue) * rounds, kP);
    for (const double t : {mover, storer, issue, caster}) powers += std::pow(t * rounds, kP);
    m.seconds = std::pow(powers, 1 / kP) + ends;
    m.terms = {compute * rounds, std::max(mover, storer) * rounds, issue, dram, ends + edge};
  }

  struct Extent {
    const std::vector<Affine::Term>* terms;  ///< of the index along this dimension
    std::int64_t full;                       ///< of the tensor
  };
  const Machine& machine_;
  const Kernel& kernel_;
  const chip::Unit& unit_;
  const graph::Graph& g_;
  std::vector<std::uint64_t> masks_;          ///< per operand: dims its index depends on
  std::vector<std::vector<Extent>> extents_;  ///< per operand, innermost dimension first
  Mapping base_;
  std::int64_t capacity_ = 0, alignment_ = 1, accumulator_capacity_ = 0, granule_ = 1;
  bool accumulators_apart_ = false;
  double off_rate_ = 1, cache_rate_ = 0, load_rate_ = 1, load_startup_ = 0, load_places_ = 1, load_latency_ = 0;
  double cast_startup_ = 0, cast_places_ = 1, cast_rate_ = 1;
  double store_rate_ = 1, store_startup_ = 0, store_places_ = 1, issue_ = 0, clock_ = 1, startup_cycles_ = 0, main_rate_ = 1;
  double epilogue_seconds_per_point_ = 0, epilogue_startup_ = 0;
  std::vector<std::int64_t> bytes_;
  std::vector<double> footprint_;
  mutable std::vector<std::int64_t> token_bytes_, tokens_, sharers_;
  mutable std::vector<double> wire_bytes_;
};

/// Candidate tile sizes along one dim.
std::vector<std::int64_t> halvings(std::int64_t extent, int most) {
  std::vector<std::int64_t> out;
  for (int e = 0; e < most; ++e) {
    const std::int64_t t = ceil_div(extent, std::int64_t{1} << e);
    if (out.empty() || out.back() != t) out.push_back(t);
  }
  return out;
}

std::vector<std::int64_t> divisors(std::int64_t extent, std::int64_t most) {
  std::vector<std::int64_t> out;
  for (std::int64_t t = std::min(extent, most); t >= 1; --t)
    if (extent % t == 0) out.push_back(t);
  return out;
}

/// Matrix units gain nothing from blocks beyond 256; what only streams wants few and long ones.
std::vector<std::int64_t> block_sizes(std::int64_t extent, bool contraction) {
  std::vector<std::int64_t> out;
  for (std::int64_t b : {16384, 4096, 1024, 256, 128, 96, 64, 48, 32, 16, 4, 1})
    if (b < extent && (b <= 256 || !contraction)) out.push_back(b);
  if (extent <= 256) out.insert(out.begin(), extent);
  return out;
}

/// Enumerates mappings of one kernel on one choice of units and keeps the best.
class Search {
 public:
  Search(const Machine& machine, const Kernel& kernel, const Evaluator& evaluator, int effort)
      : machine_(machine), kernel_(kernel), evaluator_(evaluator), effort_(std::clamp(effort, 0, 3)), divide_(dims_to_divide(kernel)) {
    const std::size_t n = kernel.dims.size();
    current_.split.assign(n, 1);
    current_.trips.assign(n, 1);
    current_.tile.resize(n);
    for (std::size_t d = 0; d < n; ++d) current_.tile[d] = kernel.dims[d].extent;
    for (std::size_t d = 0; d < n; ++d) {
      if (kernel.dims[d].extent <= 1) continue;
      if (kernel.dims[d].parallel) parallel_.push_back(static_cast<int>(d));
      if (kernel.dims[d].reduction) reductions_.push_back(static_cast<int>(d));
    }
    const auto by_extent = [&](int a, int b) {
      return kernel.dims[static_cast<std::size_t>(a)].extent > kernel.dims[static_cast<std::size_t>(b)].extent;
    };
    std::stable_sort(parallel_.begin(), parallel_.end(), by_extent);
    std::stable_sort(reductions_.begin(), reductions_.end(), by_extent);
  }

  bool run() {
    // First the other dims whole and most components busy; where nothing of the kind fits, dims cut into single indices, idle components,
    // and tiles however small.
    attempt(0);
    if (!found_) {
      attempt(1);
      thorough_ = true;
      attempt(0);
    }
    if (!found_) attempt(1);
    return found_;
  }
  [[nodiscard]] const Mapping& best() const { return best_; }
  [[nodiscard]] std::int64_t tried() const { return tried_; }
  /// Where nothing fits: what came nearest.
  [[nodiscard]] const Mapping& nearest() const { return nearest_; }

 private:
  /// Three dims are cut in every way; the others stay whole (rest 0) or are cut into single indices (rest 1).
  void attempt(int rest) {
    const std::size_t majors = std::min<std::size_t>(parallel_.size(), 3);
    for (std::size_t i = majors; i < parallel_.size(); ++i) {
      const auto d = static_cast<std::size_t>(parallel_[i]);
      current_.tile[d] = rest == 0 ? kernel_.dims[d].extent : 1;
      current_.trips[d] = machine_.grid ? 1 : ceil_div(kernel_.dims[d].extent, current_.tile[d]);
    }
    if (machine_.grid)
      blocks(0, majors);
    else
      spread(0, majors, static_cast<std::int64_t>(machine_.components.size()));
  }

  void blocks(std::size_t i, std::size_t majors) {
    if (i == majors) return reduce();
    const auto d = static_cast<std::size_t>(parallel_[i]);
    auto sizes = block_sizes(kernel_.dims[d].extent, kernel_.contraction);
    if (i >= 2) sizes = {kernel_.dims[d].extent <= 256 ? kernel_.dims[d].extent : 256, 16, 4, 1};
    if (divide_[d]) sizes = divisors(kernel_.dims[d].extent, 4096);
    for (std::int64_t t : sizes) {
      if (t > kernel_.dims[d].extent) continue;
      current_.tile[d] = t;
      blocks(i + 1, majors);
    }
  }

  void spread(std::size_t i, std::size_t majors, std::int64_t left) {
    if (i == majors) {
      if (!thorough_ && worse_than_half(left)) return;
      return tiles(0, majors);
    }
    const auto d = static_cast<std::size_t>(parallel_[i]);
    const std::int64_t extent = kernel_.dims[d].extent;
    for (std::int64_t s = 1; s <= left && s <= extent; ++s) {
      if ((s & (s - 1)) != 0 && extent % s != 0) continue;  // powers of two, and what divides evenly
      current_.split[d] = s;
      spread(i + 1, majors, left / s);
    }
    current_.split[d] = 1;
  }

  /// Leaving more than half of the components idle is worth trying only when the loops are too short for more.
  [[nodiscard]] bool worse_than_half(std::int64_t left) const {
    if (left <= 4) return false;
    for (int d : parallel_)
      if (current_.split[static_cast<std::size_t>(d)] * 2 <= kernel_.dims[static_cast<std::size_t>(d)].extent) return true;
    return false;
  }

  void tiles(std::size_t i, std::size_t majors) {
    if (i == majors) return reduce();
    const auto d = static_cast<std::size_t>(parallel_[i]);
    const std::int64_t local = ceil_div(kernel_.dims[d].extent, current_.split[d]);
    const int most = (i < 2 ? thorough_ ? 40 : 4 : 2) + effort_;
    for (std::int64_t t : divide_[d] ? divisors(kernel_.dims[d].extent, local) : halvings(local, most)) {
      current_.tile[d] = t;
      current_.trips[d] = ceil_div(local, t);
      tiles(i + 1, majors);
    }
    if (i >= 2 && local > 1) {  // the last resort of a long third dim
      current_.tile[d] = 1;
      current_.trips[d] = local;
      tiles(i + 1, majors);
    }
    current_.tile[d] = local;
    current_.trips[d] = 1;
  }

  /// The longest reduction is cut, the others stay whole; a thorough search cuts more and more of them into single indices.
  void reduce() {
    cut_longest_reduction();
    if (!thorough_) return;
    for (std::size_t i = 1; i < reductions_.size(); ++i) {
      const auto d = static_cast<std::size_t>(reductions_[i]);
      current_.tile[d] = 1;
      current_.trips[d] = kernel_.dims[d].extent;
      cut_longest_reduction();
    }
    for (std::size_t i = 1; i < reductions_.size(); ++i) {
      const auto d = static_cast<std::size_t>(reductions_[i]);
      current_.tile[d] = kernel_.dims[d].extent;
      current_.trips[d] = 1;
    }
  }

  void cut_longest_reduction() {
    if (reductions_.empty()) {
      offer();
      return;
    }
    const auto d = static_cast<std::size_t>(reductions_[0]);
    const std::int64_t extent = kernel_.dims[d].extent;
    const auto cut = [&](std::int64_t t) {
      current_.tile[d] = t;
      current_.trips[d] = ceil_div(extent, t);
      return offer();
    };
    if (machine_.grid) {
      if (extent <= 512 || !kernel_.contraction) cut(extent);
      for (std::int64_t t : {16384, 4096, 1024, 256, 128, 64, 32, 16, 4, 1})
        if (t < extent && (t <= 256 || !kernel_.contraction || extent > 65536) && (t >= 32 || thorough_)) cut(t);
    } else {
      int fitted = 0;
      for (std::int64_t t : halvings(extent, thorough_ ? 40 : 12))
        if (cut(t) && ++fitted > effort_) break;
    }
    current_.tile[d] = extent;
    current_.trips[d] = 1;
  }

  bool offer() {
    ++tried_;
    if (nearest_.tile.empty()) nearest_ = current_;
    std::vector<int> loops;
    for (int d : parallel_)
      if (current_.trips[static_cast<std::size_t>(d)] > 1) loops.push_back(d);
    std::vector<int> inner;
    for (int d : reductions_)
      if (current_.trips[static_cast<std::size_t>(d)] > 1) inner.push_back(d);
    bool fits = false;
    const int orders = loops.size() > 1 ? 2 : 1;
    for (int o = 0; o < orders; ++o) {
      current_.order = loops;
      if (o == 1) std::reverse(current_.order.begin(), current_.order.end());
      current_.order.insert(current_.order.end(), inner.begin(), inner.end());
      std::int64_t firings = 1;
      for (int d : current_.order) firings *= current_.trips[static_cast<std::size_t>(d)];
      if (firings > (thorough_ ? kMostFirings * 64 : kMostFirings)) continue;
      if (!evaluator_.evaluate(current_)) {
        if (current_.storage > 0 && (nearest_.storage == 0 || current_.storage < nearest_.storage)) nearest_ = current_;
        continue;
      }
      fits = true;
      if (!found_ || current_.seconds < best_.seconds * (1 - 1e-9)) best_ = current_;
      found_ = true;
    }
    return fits;
  }

  static constexpr std::int64_t kMostFirings = 65536;  ///< of one instance: finer tiles are not worth timing

  const Machine& machine_;
  const Kernel& kernel_;
  const Evaluator& evaluator_;
  int effort_;
  std::vector<bool> divide_;
  std::vector<int> parallel_, reductions_;
  Mapping current_, best_, nearest_;
  bool found_ = false, thorough_ = false;
  std::int64_t tried_ = 0;
};

/// Does the unit apply this epilogue on the way out? Vector units compute it themselves; matrix units only what they declare.
bool runs_epilogue(const chip::Unit& unit, const numerics::Expression& e) {
  if (unit.kind != chip::UnitKind::matrix) return true;
  return std::all_of(e.nodes.begin(), e.nodes.end(), [&](const auto& n) {
    return n.op == numerics::ScalarOp::input || n.op == numerics::ScalarOp::constant ||
           std::find(unit.epilogue.begin(), unit.epilogue.end(), numerics::scalar_op_info(n.op).name) != unit.epilogue.end();
  });
}

Failure no_unit(const chip::Chip& chip, const Kernel& kernel, Format format, const char* what) {
  return fail(FailureKind::unsupported, "compile/unsupported-format",
              fmt::format("'{}' needs {} in {}, for which {} has no unit", kernel.name, what, numerics::format_name(format), chip.name),
              "choose another --precision; `switchyard chips show " + chip.name + "` lists what its units compute");
}

}  // namespace

std::vector<std::int64_t> token_shape(const KernelOperand& operand, const std::vector<std::int64_t>& tile) {
  std::vector<std::int64_t> shape;
  for (const Affine& f : operand.index) {
    std::int64_t extent = 1;
    for (const auto& t : f.terms) extent += std::abs(t.coefficient) * (tile[static_cast<std::size_t>(t.variable)] - 1);
    shape.push_back(extent);
  }
  return shape;
}

std::int64_t token_pad(const chip::Unit& unit, bool contraction, std::int64_t innermost) {
  if (!contraction || unit.layout_block <= 1) return 1;
  if (innermost >= unit.layout_block) return unit.layout_block;
  std::int64_t pad = 4;  // short tails fold into blocks of 4, 8, 16, 32
  while (pad < innermost) pad *= 2;
  return std::min(pad, unit.layout_block);
}

std::vector<std::int64_t> instances_along(const Kernel& kernel, const Mapping& m) {
  std::vector<std::int64_t> along(kernel.dims.size(), 1);
  for (std::size_t d = 0; d < kernel.dims.size(); ++d)
    if (!kernel.dims[d].reduction) along[d] = ceil_div(kernel.dims[d].extent, m.trips[d] * m.tile[d]);
  return along;
}

std::vector<bool> kept_loops(const KernelOperand& operand, const std::vector<int>& order, bool resident) {
  std::vector<bool> kept(order.size(), true);
  bool inside = true;
  for (std::size_t l = order.size(); l-- > 0;) {
    const bool used = depends(operand, order[l]);
    if (used) inside = false;
    kept[l] = !used && (inside || resident);
  }
  return kept;
}

std::int64_t tokens_per_instance(const std::vector<bool>& kept, const std::vector<int>& order, const std::vector<std::int64_t>& trips) {
  std::int64_t tokens = 1;
  for (std::size_t l = 0; l < order.size(); ++l)
    if (!kept[l]) tokens *= trips[static_cast<std::size_t>(order[l])];
  return tokens;
}

std::int64_t live_tokens(const std::vector<bool>& kept, const std::vector<int>& order, const std::vector<std::int64_t>& trips) {
  std::int64_t live = 1;
  bool inside = false;
  for (std::size_t l = 0; l < order.size(); ++l) {
    if (kept[l])
      inside = true;
    else if (inside)
      live *= trips[static_cast<std::size_t>(order[l])];
  }
  return live;
}

Result<Machine> describe_machine(const chip::Chip& chip) {
  Machine m;
  m.chip = &chip;
  m.off_chip = chip::off_chip_memory(chip);
  m.grid = chip.sequencer.kind == chip::SequencerKind::grid;
  for (std::size_t u = 0; u < chip.units.size(); ++u) {
    const auto component = chip.units[u].in;
    const auto scratchpad = chip::scratchpad_of(chip, component);
    if (!scratchpad) continue;
    const auto load = chip::mover_between(chip, component, m.off_chip, *scratchpad),
               store = chip::mover_between(chip, component, *scratchpad, m.off_chip);
    if (!load || !store) continue;
    m.component = component;
    m.scratchpad = m.accumulators = *scratchpad;
    m.load = *load;
    m.store = *store;
    break;
  }
  if (!m.component.valid())
    return fail(FailureKind::unsupported, "compile/unsupported-chip",
                fmt::format("{} has no component with a unit, a scratchpad and movers between it and off-chip memory", chip.name),
                "describe movers whose from and to name the off-chip memory and the scratchpad");
  for (std::size_t i = 0; i < chip.movers.size() && !m.grid; ++i) {
    const chip::Mover& mover = chip.movers[i];
    const auto has = [&](const std::vector<chip::MemoryId>& list) {
      return std::find(list.begin(), list.end(), m.scratchpad) != list.end();
    };
    if (mover.in == m.component && mover.network && mover.multicast > 1 && has(mover.from) && has(mover.to)) m.cast = chip::MoverId(i);
  }
  for (std::size_t i = 0; i < chip.memories.size(); ++i)
    if (chip.memories[i].kind == chip::MemoryKind::registers && chip.memories[i].in == m.component) m.accumulators = chip::MemoryId(i);
  m.components = chip::working_instances(chip.components[m.component.index()]);
  return m;
}

Result<Mapping> choose_mapping(const Machine& machine, const graph::Graph& g, const Kernel& kernel,
                               const std::vector<std::vector<int>>& layouts, int effort) {
  const chip::Chip& chip = *machine.chip;
  const Format format = g.tensor(kernel.operands.front().tensor).format;
  std::vector<chip::UnitId> units = chip::units_for(chip, kernel.contraction ? OpClass::contract : OpClass::map, format);
  const auto vectors = chip::units_for(chip, OpClass::map, format);
  if (kernel.copy && units.empty())  // a copy only moves bits: any unit that maps in any format will do when it must be rearranged
    for (std::size_t u = 0; u < chip.units.size(); ++u)
      if (chip.units[u].kind != chip::UnitKind::matrix) units.push_back(chip::UnitId(u));
  if (units.empty()) return no_unit(chip, kernel, format, kernel.contraction ? "multiply-accumulate" : "element-wise arithmetic");
  Mapping best;
  bool found = false;
  Infeasible infeasible;
  for (std::size_t u = 0; u < std::min<std::size_t>(units.size(), 2); ++u) {
    chip::UnitId epilogue;
    if (kernel.contraction)
      for (const KernelStatement& s : kernel.statements)
        if (s.epilogue && !runs_epilogue(chip.units[units[u].index()], s.expression)) {
          if (vectors.empty()) return no_unit(chip, kernel, format, "element-wise arithmetic");
          epilogue = vectors.front();
        }
    const Evaluator evaluator(machine, g, kernel, layouts, units[u], epilogue);
    Search search(machine, kernel, evaluator, effort);
    if (!search.run()) {
      if (!found) infeasible = evaluator.explain(search.nearest());
      continue;
    }
    Mapping m = search.best();
    m.tried = search.tried();
    if (!found || m.seconds < best.seconds) best = m;
    found = true;
  }
  if (!found) {
    // Too many firings, or writes that leave holes: nothing a larger memory would mend.
    if (infeasible.demand <= infeasible.capacity)
      return fail(FailureKind::unsupported, "compile/does-not-fit",
                  fmt::format("no way to cut '{}' for {} was found", kernel.name, chip.name), "a smaller model dimension");
    Failure failure =
        fail(FailureKind::unsupported, "compile/does-not-fit", fmt::format("no tile of '{}' fits {}", kernel.name, infeasible.resource));
    failure.infeasible.push_back(std::move(infeasible));
    return failure;
  }
  return best;
}

}  // namespace switchyard::compiler
