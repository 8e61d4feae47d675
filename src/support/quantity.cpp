#include "support/quantity.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>

namespace switchyard {
namespace {

/// Prefixes a unit may take.
enum class Prefixes : std::uint8_t { none, large, large_and_binary, small, both };

struct UnitName {
  std::string_view name;
  Dimension dimension;
  Prefixes prefixes;
  double factor;
};

constexpr std::array kUnits = {
    UnitName{"", Dimension::ratio, Prefixes::none, 1},
    UnitName{"%", Dimension::ratio, Prefixes::none, 0.01},
    UnitName{"B", Dimension::bytes, Prefixes::large_and_binary, 1},
    UnitName{"byte", Dimension::bytes, Prefixes::none, 1},
    UnitName{"bytes", Dimension::bytes, Prefixes::none, 1},
    UnitName{"B/s", Dimension::bytes_per_second, Prefixes::large_and_binary, 1},
    UnitName{"bit/s", Dimension::bytes_per_second, Prefixes::large, 0.125},
    UnitName{"Hz", Dimension::hertz, Prefixes::large, 1},
    UnitName{"s", Dimension::seconds, Prefixes::small, 1},
    UnitName{"cycle", Dimension::cycles, Prefixes::none, 1},
    UnitName{"cycles", Dimension::cycles, Prefixes::none, 1},
    UnitName{"MAC/cycle", Dimension::per_cycle, Prefixes::none, 1},
    UnitName{"op/cycle", Dimension::per_cycle, Prefixes::none, 1},
    UnitName{"lane/cycle", Dimension::per_cycle, Prefixes::none, 1},
    UnitName{"MACs/cycle", Dimension::per_cycle, Prefixes::none, 1},
    UnitName{"ops/cycle", Dimension::per_cycle, Prefixes::none, 1},
    UnitName{"lanes/cycle", Dimension::per_cycle, Prefixes::none, 1},
    UnitName{"B/cycle", Dimension::bytes_per_cycle, Prefixes::large_and_binary, 1},
    UnitName{"FLOPS", Dimension::operations_per_second, Prefixes::large, 1},
    UnitName{"FLOP/s", Dimension::operations_per_second, Prefixes::large, 1},
    UnitName{"OPS", Dimension::operations_per_second, Prefixes::large, 1},
    UnitName{"OP/s", Dimension::operations_per_second, Prefixes::large, 1},
    UnitName{"op/s", Dimension::operations_per_second, Prefixes::large, 1},
    UnitName{"W", Dimension::watts, Prefixes::both, 1},
    UnitName{"J", Dimension::joules, Prefixes::both, 1},
    UnitName{"J/B", Dimension::joules_per_byte, Prefixes::small, 1},
    UnitName{"J/bit", Dimension::joules_per_byte, Prefixes::small, 8},
    UnitName{"USD", Dimension::money, Prefixes::none, 1},
    UnitName{"mm2", Dimension::area, Prefixes::none, 1},
    UnitName{"mm^2", Dimension::area, Prefixes::none, 1},
    UnitName{"um2", Dimension::area, Prefixes::none, 1e-6},
    UnitName{"um^2", Dimension::area, Prefixes::none, 1e-6},
};

struct Prefix {
  std::string_view name;
  double multiply;
  double divide;  ///< by a whole power of ten: 110 us is the double nearest 0.00011, which 110 * 1e-6 need not be
};

constexpr std::array kLarge = {Prefix{"k", 1e3, 1},  Prefix{"M", 1e6, 1},  Prefix{"G", 1e9, 1},
                               Prefix{"T", 1e12, 1}, Prefix{"P", 1e15, 1}, Prefix{"E", 1e18, 1}};
constexpr std::array kBinary = {Prefix{"Ki", 1024., 1}, Prefix{"Mi", 1048576., 1}, Prefix{"Gi", 1073741824., 1},
                                Prefix{"Ti", 1099511627776., 1}, Prefix{"Pi", 1125899906842624., 1}};
constexpr std::array kSmall = {Prefix{"m", 1, 1e3}, Prefix{"u", 1, 1e6},  Prefix{"\u00b5", 1, 1e6}, Prefix{"\u03bc", 1, 1e6},
                               Prefix{"n", 1, 1e9}, Prefix{"p", 1, 1e12}, Prefix{"f", 1, 1e15}};

constexpr bool takes_large(Prefixes p) { return p == Prefixes::large || p == Prefixes::large_and_binary || p == Prefixes::both; }
constexpr bool takes_binary(Prefixes p) { return p == Prefixes::large_and_binary; }
constexpr bool takes_small(Prefixes p) { return p == Prefixes::small || p == Prefixes::both; }

template <std::size_t N>
const Prefix* find_prefix(const std::array<Prefix, N>& table, std::string_view name) {
  for (const Prefix& prefix : table) {
    if (prefix.name == name) return &prefix;
  }
  return nullptr;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<ParsedQuantity> scale(double number, const UnitName& unit, const Prefix& prefix) {
  // um2 and % have factors below one; dividing by their whole inverse keeps the result the nearest double.
  const double factor = unit.factor < 0.1 ? number / std::round(1 / unit.factor) : number * unit.factor;
  const double value = factor * prefix.multiply / prefix.divide;
  if (!std::isfinite(value)) return std::nullopt;
  return ParsedQuantity{value, unit.dimension};
}

}  // namespace

std::optional<ParsedQuantity> parse_quantity(std::string_view text) {
  text = trimmed(text);
  const std::size_t sign = !text.empty() && (text.front() == '-' || text.front() == '+') ? 1 : 0;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  // from_chars would also take "inf" and "nan"; we want a digit, perhaps after a point.
  if (text.size() <= sign || !(is_digit(text[sign]) || (text[sign] == '.' && text.size() > sign + 1 && is_digit(text[sign + 1])))) {
    return std::nullopt;
  }
  if (text.front() == '+') text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  const std::string_view name = trimmed(text);

  constexpr Prefix kNone{"", 1, 1};
  for (const UnitName& unit : kUnits) {
    if (name == unit.name) return scale(number, unit, kNone);
  }
  for (const UnitName& unit : kUnits) {
    if (unit.name.empty() || !name.ends_with(unit.name)) continue;
    const std::string_view front = name.substr(0, name.size() - unit.name.size());
    const Prefix* prefix = nullptr;
    if (takes_large(unit.prefixes)) prefix = find_prefix(kLarge, front);
    if (prefix == nullptr && takes_binary(unit.prefixes)) prefix = find_prefix(kBinary, front);
    if (prefix == nullptr && takes_small(unit.prefixes)) prefix = find_prefix(kSmall, front);
    if (prefix != nullptr) return scale(number, unit, *prefix);
  }
  return std::nullopt;
}

std::string describe_dimension(Dimension dimension) {
  struct Row {
    Dimension dimension;
    const char* name;
    const char* example;
  };
  static constexpr std::array kRows = {
      Row{Dimension::ratio, "a plain number", "0.8"},
      Row{Dimension::bytes, "a size", "3 MiB"},
      Row{Dimension::bytes_per_second, "a bandwidth", "128 GB/s"},
      Row{Dimension::hertz, "a frequency", "1.2 GHz"},
      Row{Dimension::seconds, "a time", "110 us"},
      Row{Dimension::cycles, "a number of cycles", "4 cycles"},
      Row{Dimension::per_cycle, "a rate per cycle", "95 MAC/cycle"},
      Row{Dimension::bytes_per_cycle, "bytes per cycle", "64 B/cycle"},
      Row{Dimension::operations_per_second, "operations per second", "128 TFLOPS"},
      Row{Dimension::watts, "a power", "700 W"},
      Row{Dimension::joules, "an energy", "0.59 pJ"},
      Row{Dimension::joules_per_byte, "an energy per byte", "31 pJ/B"},
      Row{Dimension::money, "a price", "30000 USD"},
      Row{Dimension::area, "an area", "814 mm2"},
  };
  for (const Row& row : kRows) {
    if (row.dimension == dimension) return fmt::format("{} (e.g. {})", row.name, row.example);
  }
  return "a quantity";
}

}  // namespace switchyard
