// Estimate, the time's part: what a mapping moves, and how long that and computing take together.
#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>

#include "compiler/estimate.h"
#include "compiler/means.h"
#include "support/power.h"

namespace switchyard::compiler {
namespace {

/// How long factors wait behind what belongs to the ends of sums: firings for which they are there before, and, of the time of stores,
/// which have movers of their own, the part that counts. On TX81, with tiles of 1 to 6 MB on all components, products took so 7 to 34 %
/// longer than their memory and units. Chosen by sight on programs for that chip, for every array.
constexpr double kThere = 4, kStoresDelay = 0.5;

/// What is nearly as long as the longest does not hide behind it wholly: a p-norm instead of a maximum. With 2 it is what the timing engine
/// says in the median.
double likely(std::initializer_list<double> times) {
  double squares = 0;
  for (const double time : times) squares += time * time;
  return std::sqrt(squares);
}

/// To choose by, 1.5 and the ends' bytes in full are better: among 1.2, 1.5, 2, 3, 4 and 8 the engine liked those mappings best, over
/// ResNet-50, ShuffleNet, MobileNet and an encoder block on TX81 and H100. A mapping that needs much of everything is hurt by what runs
/// beside it, which the estimate of one kernel does not see.
double together(std::initializer_list<double> times) {
  double powers = 0;
  for (const double time : times) powers += time * std::sqrt(time);
  return two_thirds_power(powers);
}

}  // namespace

Evaluator::Traffic Evaluator::traffic_of(const Mapping& m, bool least) const {
  Traffic t;
  const auto instances = static_cast<double>(m.instances);
  const bool sharing = least && may_share(m);
  carried_.clear();
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    const KernelOperand& o = kernel_.operands[i];
    const auto tokens = static_cast<double>(tokens_[i]);
    if (o.write) {
      t.epilogue_points += tokens * static_cast<double>(token_bytes_[i]) * 8 / static_cast<double>(bits_[i]);
      t.epilogue_tokens += tokens;
    }
    if (placed(i)) continue;
    const bool exposed = reach_[i] == Reach::off_chip;
    const bool ring = m.sharing[i] == Sharing::ring, shared = m.sharing[i] != Sharing::none || (sharing && may_share(i));
    const auto sharers = static_cast<double>(sharers_[i]);
    const double readers = shared ? instances / sharers : instances;
    t.total += tokens * wire_bytes_[i] * readers;
    // Of a ring each member reads one slice, and passes on all but the last it gets; of a multicast each member that reads sends its part.
    const double read = ring || (shared && least) ? tokens / sharers
                        : shared                  ? tokens / static_cast<double>(reading_members(i, m))
                                                  : tokens;
    if (!exposed) {
      t.panels += tokens * static_cast<double>(token_bytes_[i]);
      t.beyond += std::max(0.0, tokens - static_cast<double>(m.depth[i])) * static_cast<double>(token_bytes_[i]);
      t.early += tokens * wire_bytes_[i] * readers;
      t.early_loads += read;
      t.early_bytes += read * wire_bytes_[i];
    }
    if (links_.any() && !least) {
      const std::int64_t readers_each = ring ? -1 : shared ? reading_members(i, m) : 0;
      carried_.push_back({tokens * static_cast<double>(token_bytes_[i]), o.write ? nullptr : &link_loads(i, readers_each), exposed});
    }
    if (shared && !least) {
      const double sent = ring ? tokens - read : read;
      t.casts += sent;
      t.cast_bytes += sent * static_cast<double>(token_bytes_[i]);
      if (!exposed) t.early_casts += sent, t.early_cast_bytes += sent * static_cast<double>(token_bytes_[i]);
      if (exposed) t.relay = std::max(t.relay, cast_.startup + static_cast<double>(token_bytes_[i]) / cast_.rate);
    }
    if (kernel_.contraction && (o.write || o.epilogue) && !least) {
      t.burst += wire_bytes_[i] * readers * (o.write ? kStoresDelay : 1);
      t.sums = std::max(t.sums, tokens);
    } else {
      t.streams = t.streams || tokens > 1;
    }
    if (o.write) {
      t.stores += tokens;
      t.store_bytes += tokens * wire_bytes_[i];
      t.last_store += wire_bytes_[i];
    } else {
      t.loads += read;
      t.load_bytes += read * wire_bytes_[i];
      t.waits_for_load = t.waits_for_load || exposed;
      if (exposed && !o.epilogue) t.first += wire_bytes_[i];
    }
    // What a cache cannot hold comes again each time it is swept.
    const bool again = !machine_.grid && footprint_[i] > cache_bytes_;
    t.footprint += std::min(again ? std::numeric_limits<double>::infinity() : footprint_[i],
                            tokens * wire_bytes_[i] * (again ? instances / sharers : instances));
  }
  return t;
}

double Evaluator::price(Mapping& m, const Traffic& t, std::int64_t firings, double links, double links_due) const {
  const auto components = static_cast<double>(machine_.components.size());
  const auto instances = static_cast<double>(m.instances);
  const double rounds = rounds_of(m), firing = firing_seconds(m), compute = firing * static_cast<double>(firings);
  const double epilogue = epilogue_seconds(t.epilogue_points, t.epilogue_tokens);
  m.epilogue = epilogue * rounds;
  const double active = std::min(instances, components);
  // Through a cache each byte of the footprint comes from memory once: instances that run together share what they read.
  const double dram = cache_rate_ > 0 ? std::max(t.footprint / off_rate_, t.total / cache_rate_) : t.total / off_rate_;
  // Start-ups overlap in the engine's places; bytes pass one after the other.
  const auto moving = [](const MoverRates& mover, double count, double bytes) {
    return std::max(count * mover.startup / mover.places, bytes / mover.rate);
  };
  const double fired = static_cast<double>(firings) + t.stores + (m.epilogue_unit.valid() ? t.epilogue_tokens : 0);
  const double issue = issue_ * (fired + t.loads + t.casts), caster = moving(cast_, t.casts, t.cast_bytes);
  const double mover = moving(load_, t.loads, t.load_bytes), storer = moving(store_, t.stores, t.store_bytes);
  // What nothing hides: the first start-up, one firing, the last store. The first and last tokens' bytes hide neither from the unit.
  // Of a systolic array each cut costs folds, and nothing is won by short firings.
  const double alone = unit_.folds.stationary == chip::Unit::Folds::Stationary::none ? firing : 0;
  const double ends = (t.waits_for_load ? load_latency_ : 0) + t.relay + alone + (t.stores > 0 ? store_.startup : 0);
  const double edge = std::max(t.first / load_.rate, t.first * active / off_rate_) +
                      std::max(t.last_store / store_.rate, t.last_store * active / off_rate_);
  // While all load and store what belongs to the ends of their sums, factors are late, but for those that are there before: where memory
  // has time to spare.
  const double late = t.streams && !machine_.grid ? (t.sums - 1) * std::max(0.0, t.burst / off_rate_ - kThere * firing) : 0;
  const double held_up = std::max(compute, compute + late - std::max(0.0, dram - compute));
  const double working = std::max(held_up, epilogue) * rounds, busy = edge + working;
  const double issue_due = issue_ * (fired + t.loads - t.early_loads + t.casts - t.early_casts);
  const double cast_due = moving(cast_, t.casts - t.early_casts, t.cast_bytes - t.early_cast_bytes) * rounds;
  const auto panel = [&](std::size_t i) { return !kernel_.operands[i].write && !placed(i) && m.resident[i]; };
  const auto used = [&](std::size_t i, int d) { return (masks_[i] >> d & 1) != 0; };
  const double left = fetches_early(machine_) ? left_when_fetched(m, kernel_.operands.size(), panel, used) * compute : 0;
  // A mover waits where links are full: the longer of the two counts.
  const double load = mover >= caster ? std::max(mover * rounds, links) : mover * rounds;
  const double cast = mover >= caster ? caster * rounds : std::max(caster * rounds, links);
  m.seconds = likely({dram, working, load, storer * rounds, issue * rounds, cast}) + ends;
  const double weighed = together({dram, busy, load, storer * rounds, issue * rounds, cast}) + ends;
  // What is fetched early has been moved and handed on while others computed.
  const double due = std::max(0.0, (t.total - t.early) / off_rate_), handed = std::max(cast_due, links_due);
  m.on_chip = together({due, busy, storer * rounds, issue_due * rounds, handed}) + ends;
  m.fetched = likely({due, working, storer * rounds, issue_due * rounds, handed}) + ends;
  m.off_chip = std::max({t.early / off_rate_, moving(load_, t.early_loads, t.early_bytes), moving(cast_, t.early_casts, t.early_cast_bytes),
                         links - links_due});
  m.terms = {compute * rounds, std::max(mover, storer) * rounds, issue, dram, ends + edge, links};
  m.cost = m.late = weighed;
  m.held = context_price_ * static_cast<double>(m.storage + m.placed) / static_cast<double>(capacity_);
  if (!fetches_early(machine_)) return std::max(mover, caster) * rounds;
  // What is fetched early passes while other kernels compute: the longer of the two counts, and a little of the shorter. But only what
  // finds room can be: of what is more than a part of the scratchpad, the rest comes while the kernel runs.
  if (left > 0) m.late = together({dram, busy - left, load, storer * rounds, issue * rounds, cast}) + left + ends;
  constexpr double kHidden = 0.3, kAhead = 0.25;
  const double capacity = static_cast<double>(capacity_);
  const auto share = [&](double room) { return t.panels > 0 ? std::min(1.0, room / t.panels) : 1.0; };
  m.cost = std::max(m.on_chip, m.off_chip) + kHidden * std::min(m.on_chip, m.off_chip);
  m.cost += (1 - share(kAhead * capacity)) * std::max(0.0, weighed - m.cost);
  m.held = (static_cast<double>(m.storage) + share(capacity) * t.beyond) * components / off_rate_;
  return std::max(mover, caster) * rounds;
}

void Evaluator::estimate(Mapping& m, std::int64_t firings) const {
  const Traffic t = traffic_of(m, false);
  const double moved = price(m, t, firings, 0, 0);
  if (carried_.empty() || std::min(m.cost, m.late) > limit_) return;
  const double links = link_seconds(m.instances, false, moved);
  if (links > moved) price(m, t, firings, links, link_seconds(m.instances, true, 0));
}

}  // namespace switchyard::compiler
