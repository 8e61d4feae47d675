#include "report/levers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "chip/describe.h"
#include "report/assumptions.h"
#include "support/quantity.h"

namespace switchyard::report {

std::string twice_as_good(std::string_view pointer, std::string_view quantity) {
  const auto parsed = parse_quantity(quantity);
  if (!parsed || parsed->value <= 0) return {};
  const std::string_view field = pointer.substr(pointer.rfind('/') + 1);
  double factor = 1;
  switch (parsed->dimension) {
    case Dimension::seconds:
    case Dimension::cycles: factor = 0.5; break;
    case Dimension::bytes_per_second:
    case Dimension::bytes_per_cycle:
    case Dimension::hertz:
    case Dimension::per_cycle:
    case Dimension::operations_per_second: factor = 2; break;
    case Dimension::ratio: {
      if (field == "sustained") return parsed->value < 1 ? "1" : "";
      static constexpr std::array<std::string_view, 3> kEngines{"count", "outstanding", "queue_depth"};
      if (std::find(kEngines.begin(), kEngines.end(), field) == kEngines.end()) return {};
      factor = 2;
      break;
    }
    default: return {};
  }
  double number = 0;
  const auto [end, error] = std::from_chars(quantity.data(), quantity.data() + quantity.size(), number);
  if (error != std::errc()) return {};
  std::string_view unit = quantity.substr(static_cast<std::size_t>(end - quantity.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  return fmt::format("{:.6g}{}", number * factor, unit);
}

std::vector<Lever> try_levers(const program::Program& program, const simulation::Timing& timing, const simulation::TimingOptions& options,
                              const ReadChip& read) {
  // Each costs about what timing the program has cost: fewer where that was long.
  constexpr std::int64_t kEvents = 40'000'000, kLeast = 4, kMost = 24;
  const auto most = static_cast<std::size_t>(std::clamp(kEvents / std::max<std::int64_t>(1, timing.events), kLeast, kMost));
  const UsedResources used(program);
  std::vector<const chip::Number*> numbers;
  for (const chip::Number* number : chip::numbers(*program.chip)) {
    if (used.time_rests_on(number->pointer) && !twice_as_good(number->pointer, number->text).empty()) numbers.push_back(number);
  }
  const auto weight = [&](const chip::Number* number) {
    return timing.attribution[static_cast<std::size_t>(UsedResources::cause_of(*program.chip, number->pointer))].value;
  };
  std::stable_sort(numbers.begin(), numbers.end(), [&](const auto* a, const auto* b) { return weight(a) > weight(b); });
  numbers.resize(std::min(numbers.size(), most));
  std::vector<Lever> levers;
  program::Program changed = program;
  for (const chip::Number* number : numbers) {
    Lever lever;
    lever.change = {number->pointer, twice_as_good(number->pointer, number->text)};
    lever.from = number->text;
    Result<chip::Chip> chip = read(lever.change);
    if (!chip) continue;  // the description holds it to something else, such as a stated peak
    changed.chip = std::make_shared<chip::Chip>(std::move(chip).value());
    const Result<simulation::Timing> timed = simulation::time_program(changed, options);
    if (!timed) continue;
    lever.latency = timed.value().latency;
    for (const simulation::ContextTiming& c : timed.value().contexts) lever.shares.push_back(c.share);
    // A part in ten thousand is rounding, not a lever.
    if (lever.latency.value < timing.latency.value - timing.latency.value / 10000) levers.push_back(std::move(lever));
  }
  std::stable_sort(levers.begin(), levers.end(), [](const Lever& a, const Lever& b) { return a.latency < b.latency; });
  return levers;
}

}  // namespace switchyard::report
