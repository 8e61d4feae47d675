#include "program/widening.h"

#include <algorithm>

#include "chip/query.h"
#include "numerics/packing.h"

namespace switchyard::program {

using numerics::Format;

bool is_narrower(Format stored, Format wide) {
  return numerics::stored_bits(stored) < numerics::stored_bits(wide) && numerics::represents(wide, stored);
}

std::optional<Widening> widening(const chip::Chip& chip, chip::UnitId unit, Format wide, Format stored) {
  if (!is_narrower(stored, wide)) return std::nullopt;
  const chip::Unit& multiplier = chip.units[unit.index()];
  const auto lanes_of = [&](const chip::Unit& u) {
    double most = 0;
    for (const Format format : {wide, Format::int8, Format::uint8})
      if (const auto* rate = u.kind == chip::UnitKind::matrix ? nullptr : chip::find_rate(u, chip::OpClass::map, format))
        most = std::max(most, rate->per_cycle.value * u.clock_hz.value);
    return most;
  };
  Widening w;
  if (const double own = lanes_of(multiplier); own > 0) {
    w.cycles = multiplier.clock_hz.value / own;
    return w;
  }
  w.beside = true;
  double most = 0;
  for (const chip::Unit& u : chip.units)
    if (u.in == multiplier.in) most = std::max(most, lanes_of(u));
  if (most > 0) {
    w.cycles = multiplier.clock_hz.value / most;
    return w;
  }
  const bool known = std::any_of(multiplier.rates.begin(), multiplier.rates.end(), [&](const auto& r) { return r.in == stored; });
  return known ? std::optional(w) : std::nullopt;
}

std::optional<Widening> widening(const chip::Chip& chip, const Actor& actor, const Statement& contraction) {
  const auto factors = contraction.factors();
  const auto format = [&](std::size_t f) {
    const auto slot = static_cast<std::size_t>(factors[f]->slot);
    return slot < actor.ports.size() ? actor.ports[slot].token.format : actor.states[slot - actor.ports.size()].token.format;
  };
  const Format a = format(0), b = format(1);
  if (a == b) return std::nullopt;
  auto found = widening(chip, actor.unit, is_narrower(b, a) ? a : b, is_narrower(b, a) ? b : a);
  if (found) found->factor = is_narrower(b, a) ? 1 : 0;
  return found;
}

}  // namespace switchyard::program
