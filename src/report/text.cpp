#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace switchyard::report {
namespace {

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// Three to four digits and the first unit in which they make sense.
template <std::size_t n>
std::string scaled(double value, const std::array<const char*, n>& units) {
  std::size_t unit = 0;
  while (std::abs(value) >= 999.995 && unit + 1 < n) {
    value /= 1000;
    ++unit;
  }
  const bool whole = unit == 0 && value == std::floor(value);
  return fmt::format("{:.{}f}{}", value, whole ? 0 : 2, units[unit]);
}

/// Control characters in a model's names must not reach a terminal.
std::string printable(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return clean;
}

}  // namespace

std::string exact_microseconds(Picoseconds time) {
  const std::int64_t ps = time.value;
  // Negated as unsigned: the least int64 has no positive counterpart.
  const std::uint64_t magnitude = ps < 0 ? -static_cast<std::uint64_t>(ps) : static_cast<std::uint64_t>(ps);
  return fmt::format("{}{}.{:06}", ps < 0 ? "-" : "", magnitude / 1'000'000, magnitude % 1'000'000);
}

std::string readable_time(Picoseconds time) {
  const double us = microseconds(time);
  if (std::abs(us) < 1000) return fmt::format("{:.3f} us", us);
  if (std::abs(us) < 1e6) return fmt::format("{:.3f} ms", us * 1e-3);
  return fmt::format("{:.3f} s", us * 1e-6);
}

std::string readable_bytes(std::int64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits{" B", " kB", " MB", " GB", " TB", " PB"};
  return scaled(static_cast<double>(bytes), kUnits);
}

std::string readable_count(double count) {
  static constexpr std::array<const char*, 6> kUnits{"", " k", " M", " G", " T", " P"};
  return scaled(count, kUnits);
}

std::string readable_share(double share) { return fmt::format("{:.1f} %", share * 100); }

std::string bar(double share, int width) {
  if (!(share > 0)) return {};
  const auto length = static_cast<int>(std::lround(std::min(share, 1.0) * width));
  return std::string(static_cast<std::size_t>(std::max(1, length)), '#');
}

int columns_of(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return !continues_character(c); }));
}

std::string clip(std::string_view text, int columns) {
  const std::string clean = printable(text);
  if (columns_of(clean) <= columns) return clean;
  std::string kept;
  int taken = 0;
  for (std::size_t i = 0; i < clean.size(); ++i) {
    if (!continues_character(clean[i]) && taken++ == columns - 3) break;
    kept += clean[i];
  }
  return kept + "...";
}

std::string clip_front(std::string_view text, int columns) {
  const std::string clean = printable(text);
  int surplus = columns_of(clean) - columns;
  if (surplus <= 0) return clean;
  surplus += 3;
  std::size_t begin = 0;
  while (begin < clean.size() && (surplus > 0 || continues_character(clean[begin]))) {
    if (!continues_character(clean[begin++])) --surplus;
  }
  return "..." + clean.substr(begin);
}

std::string pad_right(std::string_view text, int columns) {
  return std::string(text) + std::string(static_cast<std::size_t>(std::max(0, columns - columns_of(text))), ' ');
}

std::string pad_left(std::string_view text, int columns) {
  return std::string(static_cast<std::size_t>(std::max(0, columns - columns_of(text))), ' ') + std::string(text);
}

std::string wrap(std::string_view text, int width, int indent) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  std::string lines, line = margin;
  bool empty = true;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t space = std::min(text.find(' ', begin), text.size());
    const std::string word = clip(text.substr(begin, space - begin), width - indent);
    if (!word.empty()) {
      if (!empty && columns_of(line) + 1 + columns_of(word) > width) {
        lines += line + "\n";
        line = margin;
        empty = true;
      }
      line += (empty ? "" : " ") + word;
      empty = false;
    }
    begin = space + 1;
  }
  return empty ? lines : lines + line + "\n";
}

}  // namespace switchyard::report
