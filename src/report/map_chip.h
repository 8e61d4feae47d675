// The array of one panel of a map: components, links, memory ports.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "program/program.h"
#include "program/traffic.h"
#include "report/svg.h"

namespace switchyard::report {

/// Of the arrays of a context.
inline constexpr std::array<const char*, 8> kPalette{"#4e79a7", "#59a14f", "#b07aa1", "#d08a2e",
                                                     "#499894", "#8c6bb1", "#79706e", "#5b8ff9"};

/// The colour of what is busy for this share of the time.
std::string heat(double share);
/// Share of a span in which bytes pass at a rate (bytes per second).
double busy_share(std::int64_t bytes, double rate, Picoseconds span);

/// What one panel shows.
struct MapPanel {
  std::size_t context = 0;
  std::size_t alike = 1;  ///< contexts that move and compute the same
  program::ContextTraffic traffic;
  std::vector<std::int64_t> held;  ///< of the scratchpad of its components
  double capacity = 0;
};

/// Who sits where.
struct MapColors {
  std::vector<int> array_at;  ///< of each component: the array whose compute actors sit there; -1: none
  std::vector<int> color;     ///< by array; -1: it computes nothing
};
MapColors colors_of(const program::Context& context);

/// Draws the components of the context's first array and what joins them, at most `width` wide and in the middle of it. Returns where it
/// ends, below.
double draw_chip(Svg& svg, const program::Program& program, const MapPanel& panel, const MapColors& colors, Picoseconds span, double x,
                 double y, double width);

}  // namespace switchyard::report
