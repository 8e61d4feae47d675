// How numbers are written for people: times, bytes, shares, bars; and columns of equal width.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/units.h"

namespace switchyard::report {

/// Microseconds with exactly six decimals: "123.456789". Exact: made from the integer.
std::string exact_microseconds(Picoseconds time);

std::string readable_time(Picoseconds time);           ///< "12.345 us", "1.234 ms", "2.500 s"
std::string readable_bytes(std::int64_t bytes);        ///< "512 B", "1.23 kB", "4.56 GB": decimal units
std::string readable_count(double count);              ///< "25.6 M", "4.09 G"
std::string readable_share(double share);              ///< "41.5 %"
std::string bar(double share, int width);              ///< '#' for each whole part of `width`; at least one where share > 0
std::string clip(std::string_view text, int columns);  ///< cut with "..." when longer, counting characters, control characters replaced
std::string clip_front(std::string_view text, int columns);  ///< the same, the end kept: exporters put what tells names apart there
std::string pad_right(std::string_view text, int columns);
std::string pad_left(std::string_view text, int columns);
int columns_of(std::string_view text);  ///< characters, not bytes
/// Words of `text` on lines of at most `width` columns, each starting with `indent` spaces.
std::string wrap(std::string_view text, int width, int indent);

}  // namespace switchyard::report
