#include "program/uses.h"

#include <limits>

#include "program/instance.h"
#include "program/sequence.h"

namespace switchyard::program {

namespace {

constexpr std::int64_t kMostListed = std::int64_t{1} << 18;  ///< firings of an instance

/// Box and shift stay below 2^60: see safe_range.
constexpr Interval kEverywhere{-(std::int64_t{1} << 61), std::int64_t{1} << 61};

}  // namespace

Use::Use(const Context& context, std::size_t actor_number, const BufferAccess& a, std::span<const std::int64_t> e, bool writes,
         const Port* place)
    : actor(actor_number),
      access(&a),
      extent(e),
      write(writes),
      store(writes && place == nullptr),
      updates(store && updates_copies(context.actors[actor_number])),
      array(&context.arrays[context.actors[actor_number].array.index()]),
      actor_(&context.actors[actor_number]) {
  const std::size_t rank = array->shape.size();
  variables_.assign(rank, {0, 1});
  loops_ = place != nullptr ? guard_box(*actor_, place->guard) : transfer_loops(*actor_);
  for (std::size_t l = 0; l < loops_.size(); ++l) {
    Interval range = loops_[l];
    // What is read again while it stays, and messages of one box, are one access.
    const bool once = place != nullptr ? static_cast<bool>(place->kept[l]) : static_cast<int>(l) == a.message;
    if (once) range[1] = std::min(range[1], range[0] + 1);
    variables_.push_back(range);
  }
  for (const numerics::Affine& start : a.start) {
    auto& terms = terms_.emplace_back();
    for (const auto& term : start.terms)
      if (static_cast<std::size_t>(term.variable) < rank) terms.push_back(term);
  }
  BufferAccess open = a;
  open.region.assign(a.region.size(), kEverywhere);
  pattern_ = reach_of(open, extent, variables_);
}

std::vector<std::int64_t> Use::shift_of(std::uint32_t instance) const {
  const std::vector<std::int64_t> at = coordinates(*array, instance);
  std::vector<std::int64_t> shift(terms_.size(), 0);
  for (std::size_t d = 0; d < terms_.size(); ++d)
    for (const auto& term : terms_[d]) shift[d] += term.coefficient * at[static_cast<std::size_t>(term.variable)];
  return shift;
}

bool Use::moves_as(const Spread& spread) const {
  for (std::size_t d = 0; d < terms_.size(); ++d)
    if (terms_[d] != spread.start[d].terms) return false;
  return true;
}

Box Use::hull() const {
  Box result;
  for (const Box& box : pattern_.boxes) {
    if (result.empty()) result = box;
    for (std::size_t d = 0; d < box.size(); ++d) result[d] = {std::min(result[d][0], box[d][0]), std::max(result[d][1], box[d][1])};
  }
  return result;
}

std::vector<Box> Use::boxes(std::uint32_t instance) const {
  const std::vector<std::int64_t> shift = shift_of(instance);
  std::vector<Box> result;
  for (const Box& box : pattern_.boxes) {
    Box& moved = result.emplace_back(box);
    for (std::size_t d = 0; d < box.size(); ++d)
      moved[d] = {std::max(box[d][0] + shift[d], access->region[d][0]), std::min(box[d][1] + shift[d], access->region[d][1])};
    if (is_empty(moved)) result.pop_back();
  }
  return result;
}

bool Use::twice(std::uint32_t instance, std::vector<std::int64_t>& where) const {
  if (!pattern_.twice) return false;
  std::vector<Interval> variables = variables_;
  const std::vector<std::int64_t> at = coordinates(*array, instance);
  for (std::size_t d = 0; d < at.size(); ++d) variables[d] = {at[d], at[d] + 1};
  const Reach here = reach_of(*access, extent, variables);
  where = here.where;
  return here.twice;
}

bool Use::firings(std::int64_t inner, Firings& result) const {
  const std::size_t rank = array->shape.size();
  std::vector<std::int64_t> at(rank, 0);
  Odometer o(actor_->loops);
  if (o.firings() > kMostListed) return false;
  for (std::int64_t n = 0; !o.done(); o.next(), ++n) {
    if (n % inner == 0) result.emplace_back();
    bool active = true;
    for (std::size_t l = 0; l < loops_.size(); ++l) active = active && o.index()[l] >= loops_[l][0] && o.index()[l] < loops_[l][1];
    if (!active) continue;
    at.resize(rank);
    at.insert(at.end(), o.index().begin(), o.index().end());
    Box box;
    for (std::size_t d = 0; d < extent.size(); ++d) {
      const std::int64_t begin = access->start[d].at(at);
      box.push_back({begin, begin + extent[d]});
    }
    // Neighbouring firings of the inner loops often touch the same box again.
    if (result.back().empty() || result.back().back() != box) result.back().push_back(std::move(box));
  }
  return true;
}

void Use::shift(std::uint32_t instance, Firings& firings) const {
  const std::vector<std::int64_t> by = shift_of(instance);
  for (auto& firing : firings) {
    for (Box& box : firing)
      for (std::size_t d = 0; d < box.size(); ++d)
        box[d] = {std::max(box[d][0] + by[d], access->region[d][0]), std::min(box[d][1] + by[d], access->region[d][1])};
    std::erase_if(firing, is_empty);
  }
}

bool Use::firings_at(const Parts& parts, std::uint32_t instance, std::uint32_t to, std::int64_t inner, Firings& result) const {
  // Each firing of the nest alone first, to see which message it is.
  Firings all;
  if (!firings(1, all)) return false;
  shift(instance, all);
  const std::uint32_t here = parts.on(array->components[instance]);
  const std::optional<std::uint32_t> own = updates && here != Parts::kNone ? std::optional(here) : std::nullopt;
  Odometer o(actor_->loops);
  for (std::int64_t n = 0; !o.done(); o.next(), ++n) {
    if (n % inner == 0) result.emplace_back();
    for (const Box& box : all[static_cast<std::size_t>(n)]) {
      const std::vector<Message> list = parts.messages(box, own);
      const auto which = static_cast<std::size_t>(access->message < 0 ? 0 : o.index()[static_cast<std::size_t>(access->message)]);
      if (which < list.size() && std::binary_search(list[which].instances.begin(), list[which].instances.end(), to))
        result.back().push_back(list[which].box);
    }
  }
  return true;
}

std::vector<Use> uses_of(const Program& program, const Context& context) {
  std::vector<Use> uses;
  const auto spread = [&](const std::optional<BufferAccess>& access) {
    return access && program.buffers[access->buffer.index()].spread.has_value();
  };
  for (std::size_t a = 0; a < context.actors.size(); ++a) {
    const Actor& actor = context.actors[a];
    if (spread(actor.source)) uses.emplace_back(context, a, *actor.source, move_extent(actor, *actor.source), false, nullptr);
    if (spread(actor.destination)) uses.emplace_back(context, a, *actor.destination, move_extent(actor, *actor.destination), true, nullptr);
    for (const Port& port : actor.ports)
      if (port.place) uses.emplace_back(context, a, *port.place, port.token.shape, !port.input, &port);
  }
  return uses;
}

}  // namespace switchyard::program
