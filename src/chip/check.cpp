#include "chip/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "chip/query.h"

namespace switchyard::chip {
namespace {

constexpr double kPeakTolerance = 0.01;

bool was_read(const Number& number) { return !number.text.empty(); }
bool overridden(const Number& number) { return number.source == "override"; }

/// The command line has given another array to the component, or to one that contains it.
bool resized(Fields& fields, const Chip& chip, ComponentId id) {
  for (; id.valid() && id.index() < chip.components.size(); id = chip.components[id.index()].parent) {
    const Place array = fields.child(fields.child(fields.child(fields.root(), "components"), chip.components[id.index()].name), "array");
    if (array && fields.from_command_line(array)) return true;
  }
  return false;
}

}  // namespace

// A peak speaks of the chip as designed: holes are counted in, and a what-if that changes a rate, a clock or an array does not contradict
// it.
void check_peaks(const Chip& chip, Fields& fields) {
  for (const Unit& unit : chip.units) {
    const Place at = fields.child(fields.child(fields.root(), "units"), unit.name);
    const Place peaks = fields.child(at, "peak");
    for (const auto& [format, peak] : unit.peaks) {
      const auto rate =
          std::find_if(unit.rates.begin(), unit.rates.end(), [wanted = format](const Unit::Rate& r) { return r.in == wanted; });
      const Place place = fields.child(peaks, numerics::format_name(format));
      if (rate == unit.rates.end()) {
        fields.report("chip/dangling-name", fmt::format("'{}' is the peak of a format without a rate", place.pointer), place, {},
                      Tree::Part::key);
        continue;
      }
      const bool known = was_read(peak) && was_read(rate->per_cycle) && was_read(unit.clock_hz) && unit.in.valid();
      if (!known || !unit.peak_note.empty() || overridden(rate->per_cycle) || overridden(unit.clock_hz) || resized(fields, chip, unit.in))
        continue;
      const bool contracts = std::find(unit.ops.begin(), unit.ops.end(), OpClass::contract) != unit.ops.end();
      const auto instances = static_cast<double>(instance_count(chip.components[unit.in.index()]));
      const double computed = instances * rate->per_cycle.value * unit.clock_hz.value * (contracts ? 2 : 1);
      if (std::abs(computed - peak.value) <= kPeakTolerance * peak.value) continue;
      fields.report("chip/peak",
                    fmt::format("'{}' is {}, but {:.0f} x {} x {}{} is {:.4g} TOPS", place.pointer, peak.text, instances,
                                rate->per_cycle.text, unit.clock_hz.text, contracts ? " x 2" : "", computed / 1e12),
                    place, "correct one of them, or say why in 'peak_note'");
    }
  }
}

}  // namespace switchyard::chip
