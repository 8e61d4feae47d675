#include "simulation/timing/cost.h"

#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "numerics/packing.h"
#include "program/spread.h"
#include "support/units.h"

namespace switchyard::simulation::timing {

namespace {

constexpr std::size_t kLeastFound = 64, kMostFound = std::size_t{1} << 15;  ///< places of a table; powers of two

using program::Statement;

bool depends(const numerics::Access& access, int dim) {
  return std::any_of(access.index.begin(), access.index.end(), [&](const numerics::Affine& f) { return f.depends_on(dim); });
}

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return multiple <= 1 ? value : (value + multiple - 1) / multiple * multiple;
}

numerics::Format format_of_slot(const program::Actor& actor, int slot) {
  const auto s = static_cast<std::size_t>(slot);
  return s < actor.ports.size() ? actor.ports[s].token.format : actor.states[s - actor.ports.size()].token.format;
}

/// The rate for a statement: the format of its first operand decides, else any operand's, else the result's.
const chip::Unit::Rate* rate_for(const chip::Unit& unit, chip::OpClass op, const program::Actor& actor, const Statement& s) {
  for (const numerics::Access& read : s.reads) {
    if (const auto* rate = chip::find_rate(unit, op, format_of_slot(actor, read.slot))) return rate;
  }
  return chip::find_rate(unit, op, format_of_slot(actor, s.write.slot));
}

}  // namespace

GuardPlan plan_guard(const std::vector<program::Range>& ranges, const std::vector<std::int64_t>& trips) {
  GuardPlan plan;
  for (const program::Range& r : ranges) {
    if (r.loop < 0) continue;
    const std::uint32_t bit = 1u << r.loop;
    const std::int64_t n = trips[static_cast<std::size_t>(r.loop)];
    if (r.begin >= r.end) {
      plan.never = true;
    } else if (r.begin == 0 && r.end == n) {
      continue;
    } else if (r.begin == 0 && r.end == 1) {
      plan.is_first |= bit;
    } else if (r.begin == 1 && r.end == n) {
      plan.not_first |= bit;
    } else if (r.begin == n - 1 && r.end == n) {
      plan.is_last |= bit;
    } else if (r.begin == 0 && r.end == n - 1) {
      plan.not_last |= bit;
    } else {
      plan.ranges.push_back({r.loop, r.begin, r.end});
    }
  }
  return plan;
}

std::size_t KeyHash::operator()(const std::vector<std::int64_t>& key) const {
  std::uint64_t h = 0x9e3779b97f4a7c15u;
  for (const std::int64_t k : key) h = (h ^ static_cast<std::uint64_t>(k)) * 0xff51afd7ed558ccdu, h ^= h >> 29;
  return h;
}

Result<ComputeCosts> ComputeCosts::make(const chip::Chip& chip, const program::Context& context, const program::Actor& actor,
                                        std::span<const std::int64_t> extents) {
  const chip::Unit& unit = chip.units[actor.unit.index()];
  ComputeCosts costs;
  costs.unit_ = &unit;
  costs.matrix_ = unit.kind == chip::UnitKind::matrix;
  costs.startup_ = unit.startup_cycles.value;
  costs.hertz_ = unit.clock_hz.value;
  std::vector<std::int64_t> trips;
  for (const program::Loop& loop : actor.loops) trips.push_back(loop.trip);
  costs.all_loops_ = trips.empty() ? 0 : ~std::uint32_t{0} >> (32 - trips.size());
  costs.ends_otherwise_ = unit.folds.turn.value > 0 && std::any_of(trips.begin(), trips.end(), [](std::int64_t n) { return n > 1; });
  bool guarded = false;
  for (const Statement& s : actor.statements) {
    Work w;
    w.dims = s.dims;
    const auto unsupported = [&](const char* op) {
      return fail(
          FailureKind::unsupported, "simulation/no-rate",
          fmt::format("unit '{}' has no {} rate for a statement of actor '{}' in context '{}'", unit.name, op, actor.name, context.name));
    };
    if (s.is_contraction()) {
      if (const auto* rate = rate_for(unit, chip::OpClass::contract, actor, s)) {
        w.contraction = true;
        w.rate = rate->per_cycle.value;
        w.widening = program::widening(chip, actor, s);
      }
    }
    for (std::size_t d = 0; d < s.dims.size(); ++d) {
      if (!w.contraction) break;
      const bool a = depends(*s.factors()[0], s.dims[d]), b = depends(*s.factors()[1], s.dims[d]);
      w.role.push_back(s.kinds[d] == numerics::LoopKind::reduction ? 2 : a && !b ? 0 : b && !a ? 1 : 3);
    }
    if (!w.contraction) {
      w.simple = std::max(1, s.expression.count(numerics::ScalarOpCost::simple) + (s.combiner == numerics::Combiner::none ? 0 : 1));
      w.special = s.expression.count(numerics::ScalarOpCost::special);
      const auto op = s.combiner == numerics::Combiner::none ? chip::OpClass::map : chip::OpClass::reduce;
      const chip::Unit::Rate* rate = rate_for(unit, op, actor, s);
      if (rate == nullptr) rate = rate_for(unit, chip::OpClass::map, actor, s);
      if (rate == nullptr && !costs.matrix_) return unsupported(op == chip::OpClass::map ? "map" : "reduce");
      if (rate != nullptr) w.rate = w.special_rate = rate->per_cycle.value;
      if (unit.special_per_cycle) w.special_rate = unit.special_per_cycle->value;
    }
    if (!(w.rate > 0 && w.special_rate > 0 && costs.hertz_ > 0)) return unsupported("positive");
    costs.work_.push_back(std::move(w));
    costs.guards_.push_back(plan_guard(program::resolve_guard(actor, s.guard), trips));
    guarded |= !costs.guards_.back().always();
  }
  if (!guarded) costs.guards_.clear();
  for (std::size_t d = 0; d < actor.dims.size(); ++d) {
    const program::Dim& dim = actor.dims[d];
    costs.extents_.push_back(
        std::clamp<std::int64_t>(dim.total - dim.offset.at(std::vector<std::int64_t>(extents.size(), 0)), 0, dim.tile));
    const auto [least, greatest] = numerics::range_over(dim.offset, extents);
    if (least != greatest && greatest + dim.tile > dim.total) {
      costs.ragged_.push_back({static_cast<int>(d), dim.tile, dim.total, &dim.offset});
    }
  }
  costs.holds_.assign(costs.work_.size(), 1);
  return costs;
}

ComputePrice ComputeCosts::work_out(bool last) const {
  ComputePrice price;
  double cycles = startup_;
  for (std::size_t s = 0; s < work_.size(); ++s) {
    const Work& w = work_[s];
    if (!holds_[s]) continue;
    std::array<std::int64_t, 4> size{1, 1, 1, 1};
    std::int64_t points = 1;
    for (std::size_t d = 0; d < w.dims.size(); ++d) {
      const std::int64_t extent = extents_[static_cast<std::size_t>(w.dims[d])];
      points *= extent;
      if (w.contraction) size[static_cast<std::size_t>(w.role[d])] *= extent;
    }
    if (points == 0) continue;
    price.free = false;
    if (w.contraction) {
      double steps = static_cast<double>(size[3]);
      for (std::size_t r = 0; r < 3; ++r) steps *= static_cast<double>(round_up(size[r], unit_->geometry[r]));
      const auto side = [&](std::size_t axis) { return static_cast<double>(size[axis]); };
      double contract = steps / w.rate + chip::fold_cycles(*unit_, side(0), side(1), side(2), side(3), last);
      if (w.widening) contract = w.widening->together(contract, side(static_cast<std::size_t>(w.widening->factor)) * side(2) * side(3));
      cycles += contract;
      price.macs += points;
    } else {
      if (matrix_) continue;  // on the way out: no lane is busy with it
      price.vector_ops += points * static_cast<std::int64_t>(w.simple + w.special);
      cycles += static_cast<double>(points) * (w.simple / w.rate + w.special / w.special_rate);
    }
  }
  if (!price.free) price.duration = time_of_cycles(cycles, Hertz(hertz_)).value;
  return price;
}

const ComputePrice& ComputeCosts::price(std::span<const std::int64_t> variables, Odometer at, const std::int64_t* loops) {
  if (uniform() && last_ != nullptr) return *last_;
  key_.clear();
  const bool last = !ends_otherwise_ || loops == nullptr || (at.last & all_loops_) == all_loops_;
  if (ends_otherwise_) key_.push_back(last);
  for (const Ragged& r : ragged_) {
    const std::int64_t extent = std::clamp<std::int64_t>(r.total - r.offset->at(variables), 0, r.tile);
    extents_[static_cast<std::size_t>(r.dim)] = extent;
    key_.push_back(extent);
  }
  if (!guards_.empty()) {
    std::int64_t bits = 0;
    for (std::size_t s = 0; s < guards_.size(); ++s) {
      holds_[s] = guards_[s].holds(at, loops) ? 1 : 0;
      bits = bits * 2 + holds_[s];
      if (s % 62 == 61) key_.push_back(bits), bits = 0;
    }
    key_.push_back(bits);
  }
  if (last_ != nullptr && key_ == last_key_) return *last_;
  auto found = known_.find(key_);
  if (found == known_.end()) found = known_.emplace(key_, work_out(last)).first;
  last_key_ = key_;
  last_ = &found->second;
  return *last_;
}

bool ComputeCosts::same_everywhere(std::size_t rank) const {
  return std::none_of(ragged_.begin(), ragged_.end(), [&](const Ragged& r) {
    return std::any_of(r.offset->terms.begin(), r.offset->terms.end(),
                       [&](const auto& term) { return static_cast<std::size_t>(term.variable) < rank; });
  });
}

namespace {

/// Of a function along one loop: its coefficient, and what the rest of it can be while outer loops stand still.
struct Along {
  std::int64_t slope = 0, least = 0, greatest = 0;
  Along(const numerics::Affine& f, const PlainRange& range, std::span<const std::int64_t> variables, const std::vector<std::int64_t>& trips)
      : least(f.constant), greatest(f.constant) {
    const std::size_t rank = variables.size() - trips.size(), loop = rank + range.loop;
    for (const auto& term : f.terms) {
      const auto v = static_cast<std::size_t>(term.variable);
      if (v == loop) {
        slope = term.coefficient;
      } else if (v < loop) {
        least += term.coefficient * variables[v];
        greatest += term.coefficient * variables[v];
      } else {
        (term.coefficient > 0 ? greatest : least) += term.coefficient * (trips[v - rank] - 1);
      }
    }
  }
  /// The function stays at or above / at or below the bound, from the range's index on: cut where it does no longer.
  [[nodiscard]] bool stays_above(std::int64_t bound, PlainRange& range) const {
    if (slope * range.at + least < bound) return false;
    if (slope < 0) range.cut((least - bound) / -slope + 1);
    return true;
  }
  [[nodiscard]] bool stays_below(std::int64_t bound, PlainRange& range) const {
    if (slope * range.at + greatest > bound) return false;
    if (slope > 0) range.cut((bound - greatest) / slope + 1);
    return true;
  }
};

}  // namespace

void ComputeCosts::cut(PlainRange& range, std::span<const std::int64_t> variables, const std::vector<std::int64_t>& trips) const {
  for (const GuardPlan& guard : guards_) range.cut(guard);
  if (ends_otherwise_) range.cut(range.trip - 1);
  for (const Ragged& r : ragged_) {
    const Along offset(*r.offset, range, variables, trips);
    if (offset.slope == 0) continue;
    // The whole tile, or nothing of it, or something in between that changes at each step.
    if (!offset.stays_below(r.total - r.tile, range) && !offset.stays_above(r.total, range)) range.cut(range.at + 1);
  }
}

std::int64_t charged_bytes(const program::Buffer& buffer, std::span<const std::int64_t> extent, std::int64_t granule) {
  std::int64_t run = 1, runs = 1;
  bool whole = true;  // all faster dimensions are covered in full, so the run goes on
  for (std::size_t k = buffer.order.size(); k-- > 0;) {
    const auto d = static_cast<std::size_t>(buffer.order[k]);
    if (whole) {
      run *= extent[d];
      whole = extent[d] == buffer.shape[d];
    } else {
      runs *= extent[d];
    }
  }
  return runs * round_up(numerics::stored_bytes(buffer.format, run), granule);
}

Result<MoveCosts> MoveCosts::make(const program::Program& program, const program::Actor& actor, std::span<const std::int64_t> extents) {
  MoveCosts costs;
  costs.actor_ = &actor;
  costs.rank_ = extents.size() - actor.loops.size();
  for (const program::Port& port : actor.ports) {
    if (port.picks >= 0) costs.picked_.push_back(static_cast<std::size_t>(port.picks));
    if (!program::moves_data(port) || costs.token_bytes_ > 0) continue;
    costs.token_ = port.token.shape;
    costs.token_bytes_ = numerics::stored_bytes(port.token.format, numerics::element_count(port.token.shape));
  }
  const auto take = [&](const std::optional<program::BufferAccess>& access, Box& box) {
    if (!access) return true;
    box.access = &*access;
    box.buffer = &program.buffers[access->buffer.index()];
    box.granule = std::max<std::int64_t>(1, program.chip->memories[box.buffer->memory.index()].granule);
    const std::size_t rank = box.buffer->shape.size();
    if (access->start.size() != rank || access->region.size() != rank || box.buffer->order.size() != rank) return false;
    if (costs.token_bytes_ == 0) {
      const auto extent = program::move_extent(actor, *access);
      costs.token_.assign(extent.begin(), extent.end());
    }
    if (costs.token_.size() != rank) return false;
    for (std::size_t d = 0; d < rank; ++d) {
      const auto [least, greatest] = numerics::range_over(access->start[d], extents);
      if (least < access->region[d][0] || greatest + costs.token_[d] > access->region[d][1]) costs.uniform_ = false;
    }
    return true;
  };
  if (!take(actor.source, costs.source_) || !take(actor.destination, costs.destination_)) {
    return fail(FailureKind::malformed, "simulation/box-rank",
                fmt::format("actor '{}' moves a box of another rank than its token", actor.name));
  }
  if (costs.sends_messages()) {
    std::vector<std::uint32_t>& steering = costs.steering_;
    for (const numerics::Affine& start : costs.destination_.access->start)
      for (const auto& term : start.terms) steering.push_back(static_cast<std::uint32_t>(term.variable));
    std::sort(steering.begin(), steering.end());
    steering.erase(std::unique(steering.begin(), steering.end()), steering.end());
  }
  if (costs.token_bytes_ == 0 || costs.sends_messages()) costs.uniform_ = false;  // an empty token costs nothing: let price() say so
  return costs;
}

void MoveCosts::cut(PlainRange& range, std::span<const std::int64_t> variables, const std::vector<std::int64_t>& trips) const {
  if (uniform_) return;
  for (const Box* box : {&source_, &destination_}) {
    if (box->access == nullptr) continue;
    const bool messages = box->buffer->spread && box == &destination_;
    if (messages && box->access->message == static_cast<int>(range.loop)) range.cut(range.at + 1);
    for (std::size_t d = 0; d < token_.size(); ++d) {
      const Along start(box->access->start[d], range, variables, trips);
      if (start.slope == 0) continue;
      const auto& [begin, end] = box->access->region[d];
      if (messages || !start.stays_above(begin, range) || !start.stays_below(end - token_[d], range)) range.cut(range.at + 1);
    }
  }
}

std::int64_t MoveCosts::clip(const Box& box, std::span<const std::int64_t> variables, std::vector<std::int64_t>& begin,
                             std::vector<std::int64_t>& extent, std::int64_t& cost) const {
  begin.resize(token_.size());
  extent.resize(token_.size());
  std::int64_t elements = 1;
  for (std::size_t d = 0; d < token_.size(); ++d) {
    const std::int64_t start = box.access->start[d].at(variables);
    begin[d] = std::max(start, box.access->region[d][0]);
    extent[d] = std::max<std::int64_t>(0, std::min(start + token_[d], box.access->region[d][1]) - begin[d]);
    elements *= extent[d];
  }
  cost = elements == 0 ? 0 : charged_bytes(*box.buffer, extent, box.granule);
  return numerics::stored_bytes(box.buffer->format, elements);
}

const MovePrice& MoveCosts::price(std::span<const std::int64_t> variables, std::uint32_t component) {
  price_.payload = token_bytes_;
  if (source_.access != nullptr) price_.payload = clip(source_, variables, price_.begin, price_.extent, price_.read_cost);
  // Time does not depend on values: indices are taken to be drawn evenly, by where and when they are needed. Only a cache can tell.
  for (const std::size_t d : picked_) {
    std::uint64_t seed = d;
    for (const std::int64_t v : variables) seed = numerics::mix(seed, static_cast<std::uint64_t>(v));
    price_.begin[d] = static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(source_.buffer->shape[d]));
  }
  if (sends_messages()) {
    const std::span<Sent> sent = messages(variables, component);
    const int loop = destination_.access->message;
    const auto number = loop < 0 ? 0 : static_cast<std::size_t>(variables[rank_ + static_cast<std::size_t>(loop)]);
    const bool none = number >= sent.size() || price_.payload == 0;
    price_.payload = none ? 0 : sent[number].payload;
    price_.components =
        none ? std::span<const std::uint32_t>() : std::span(targets_).subspan(sent[number].first, sent[number].end - sent[number].first);
    price_.path = none ? nullptr : &sent[number].path;
  } else if (destination_.access != nullptr) {
    const std::int64_t written = clip(destination_, variables, price_.write_begin, price_.write_extent, price_.write_cost);
    price_.payload = source_.access != nullptr ? std::min(price_.payload, written) : written;
  }
  return price_;
}

/// The place that has these, or where they belong.
std::size_t MoveCosts::place_of(std::span<const std::int64_t> variables, std::uint32_t component) const {
  const std::size_t stride = steering_.size() + 1, mask = found_.size() - 1;
  std::uint64_t h = component * 0x9e3779b97f4a7c15u;
  for (const std::uint32_t v : steering_) h = (h ^ (h >> 29) ^ static_cast<std::uint64_t>(variables[v])) * 0xff51afd7ed558ccdu;
  for (std::size_t at = (h >> 20) & mask;; at = (at + 1) & mask) {
    if (found_[at].first == kNowhere) return at;
    const std::int64_t* key = keys_.data() + at * stride;
    bool same = key[0] == component;
    for (std::size_t i = 0; i < steering_.size() && same; ++i) same = key[i + 1] == variables[steering_[i]];
    if (same) return at;
  }
}

/// The table is twice as large, or begun anew: what was asked long ago is hardly asked again.
void MoveCosts::make_room() {
  const std::size_t stride = steering_.size() + 1;
  const std::vector<Range> before = std::move(found_);
  const std::vector<std::int64_t> keys = std::move(keys_);
  const std::size_t size = before.empty() ? kLeastFound : std::min(2 * before.size(), kMostFound);
  found_.assign(size, {});
  keys_.assign(size * stride, 0);
  if (before.size() == kMostFound) {
    sent_.clear();
    targets_.clear();
    used_ = 0;
    return;
  }
  std::vector<std::int64_t> variables(rank_ + actor_->loops.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].first == kNowhere) continue;
    const std::int64_t* key = keys.data() + i * stride;
    for (std::size_t k = 0; k < steering_.size(); ++k) variables[steering_[k]] = key[k + 1];
    const std::size_t at = place_of(variables, static_cast<std::uint32_t>(key[0]));
    found_[at] = before[i];
    std::copy_n(key, stride, keys_.begin() + static_cast<std::ptrdiff_t>(at * stride));
  }
}

/// A firing asks when it is issued, when it is due and when it starts: that it has asked before is found without making its box.
std::span<MoveCosts::Sent> MoveCosts::messages(std::span<const std::int64_t> variables, std::uint32_t component) {
  if (2 * used_ >= found_.size()) make_room();
  const std::size_t at = place_of(variables, component);
  if (found_[at].first == kNowhere) {
    found_[at] = find_messages(variables, component);
    std::int64_t* key = keys_.data() + at * (steering_.size() + 1);
    *key = component;
    for (const std::uint32_t v : steering_) *++key = variables[v];
    ++used_;
  }
  return std::span(sent_).subspan(found_[at].first, found_[at].end - found_[at].first);
}

MoveCosts::Range MoveCosts::find_messages(std::span<const std::int64_t> variables, std::uint32_t component) {
  const program::Buffer& buffer = *destination_.buffer;
  numerics::Format format = buffer.format;
  if (source_.access != nullptr && numerics::stored_bits(source_.buffer->format) < numerics::stored_bits(format))
    format = source_.buffer->format;
  if (!parts_) parts_ = std::make_shared<const program::Parts>(buffer);
  const std::uint32_t here = program::updates_copies(*actor_) ? parts_->on(component) : program::Parts::kNone;
  const std::size_t instances = targets_.size();
  listed_.clear();
  parts_->list(program::touched(*destination_.access, token_, variables),
               here == program::Parts::kNone ? std::nullopt : std::optional(here), listed_, targets_);
  for (std::size_t i = instances; i < targets_.size(); ++i) targets_[i] = buffer.spread->components[targets_[i]];
  Range range{static_cast<std::uint32_t>(sent_.size()), 0};
  for (const auto& [points, first, end] : listed_) sent_.push_back({numerics::stored_bytes(format, points), first, end});
  range.end = static_cast<std::uint32_t>(sent_.size());
  return range;
}

}  // namespace switchyard::simulation::timing
