// Quantities as people write them ("128 GB/s", "1.2 GHz", "95 MAC/cycle"): a number, a unit, and the dimension that goes with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace switchyard {

/// What a quantity measures. The base unit, in which values are held, stands beside it.
enum class Dimension : std::uint8_t {
  ratio,                  ///< plain number; "95 %" is 0.95
  bytes,                  ///< B; kB is 1000, KiB is 1024
  bytes_per_second,       ///< B/s
  hertz,                  ///< Hz
  seconds,                ///< s
  cycles,                 ///< "4 cycles"
  per_cycle,              ///< MAC/cycle, op/cycle, lane/cycle
  bytes_per_cycle,        ///< B/cycle
  operations_per_second,  ///< FLOPS, FLOP/s, OPS, OP/s
  watts,                  ///< W
  joules,                 ///< J
  joules_per_byte,        ///< J/B; "pJ/bit" is 8 pJ/B
  money,                  ///< USD
  area,                   ///< mm2
};

struct ParsedQuantity {
  double value = 0;  ///< in the base unit; finite
  Dimension dimension = Dimension::ratio;
};

/// A decimal number, optional spaces, an optional unit; nothing when the text is anything else. "KB" and "Gb" are refused as ambiguous.
std::optional<ParsedQuantity> parse_quantity(std::string_view text);

/// For messages: "a bandwidth (e.g. 128 GB/s)".
std::string describe_dimension(Dimension dimension);

}  // namespace switchyard
