#include "report/map_chip.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "chip/query.h"
#include "report/table_parts.h"
#include "report/text.h"

namespace switchyard::report {
namespace {

constexpr double kWidest = 150;  ///< from component to component
constexpr const char* kIdle = "#dee2e6";

/// "888 kB": beside a link there is no room for more.
std::string short_bytes(std::int64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) value /= 1000, ++unit;
  return fmt::format("{:.{}f} {}", value, unit > 0 && value < 9.95 ? 1 : 0, kUnits[unit]);
}

std::string coordinates_text(const chip::Component& component, std::uint32_t instance) {
  return fmt::format("{}", fmt::join(chip::coordinates(component, instance), ","));
}

/// Where the instances of a component class are drawn.
struct Field {
  std::int64_t rows = 1, columns = 1;
  double pitch = 40, cell = 26;
  [[nodiscard]] std::int64_t row(std::uint32_t i) const { return i / columns; }
  [[nodiscard]] std::int64_t column(std::uint32_t i) const { return i % columns; }
  [[nodiscard]] double width() const { return static_cast<double>(columns) * pitch; }
  [[nodiscard]] double height() const { return static_cast<double>(rows) * pitch; }
  [[nodiscard]] double x(std::uint32_t i) const { return (static_cast<double>(column(i)) + 0.5) * pitch; }  ///< centre
  [[nodiscard]] double y(std::uint32_t i) const { return (static_cast<double>(row(i)) + 0.5) * pitch; }
};

/// `width`: what it may take.
Field field_of(const chip::Component& component, bool meshed, double width) {
  Field f;
  const std::int64_t all = chip::instance_count(component);
  if (component.shape.size() >= 2) {
    f.columns = component.shape.back();
    f.rows = all / std::max<std::int64_t>(1, f.columns);
  } else if (all <= (meshed ? 16 : 8)) {
    f.columns = all;
  } else {
    f.columns = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(all) * 1.6)));
    f.rows = (all + f.columns - 1) / f.columns;
  }
  f.pitch = std::min({kWidest, width / static_cast<double>(f.columns), width * 1.2 / static_cast<double>(f.rows)});
  f.cell = f.pitch * (meshed ? 0.56 : 0.84);
  return f;
}

class ChipPicture {
 public:
  ChipPicture(Svg& svg, const chip::Chip& chip) : chip_(chip), svg_(svg) {}

  double draw(const program::Context& context, const MapPanel& p, const MapColors& colors, Picoseconds span, double x, double y,
              double width) {
    const chip::Component& component = chip_.components[context.arrays[0].component.index()];
    const bool meshed = is_meshed(context);
    const Field field = field_of(component, meshed, width * 0.74);
    const double left = x + (width - field.width()) / 2, top = y + 34;
    if (meshed) draw_links(p, context, field, left, top, span);
    draw_cells(p, context, component, field, left, top, colors);
    if (!meshed) draw_crossbar(p, context, field, left, top, span);
    draw_ports(p, field, component, left, top, span);
    return top + field.height() + 40;
  }

 private:
  [[nodiscard]] bool is_meshed(const program::Context& context) const {
    return std::any_of(chip_.networks.begin(), chip_.networks.end(), [&](const chip::Network& n) {
      return n.over == context.arrays[0].component && !n.between_chips && n.topology != chip::Topology::crossbar &&
             n.topology != chip::Topology::host;
    });
  }

  void draw_cells(const MapPanel& p, const program::Context& context, const chip::Component& component, const Field& f, double left,
                  double top, const MapColors& colors) {
    const std::int64_t all = chip::instance_count(component);
    const bool grid = !p.traffic.dealt.empty();
    const std::vector<std::int64_t>& work = grid ? p.traffic.dealt : p.traffic.work;
    const std::int64_t most = work.empty() ? 0 : *std::max_element(work.begin(), work.end());
    const std::set<std::uint32_t> holes(component.holes.begin(), component.holes.end());
    for (std::uint32_t i = 0; i < all; ++i) {
      const double x = left + f.x(i) - f.cell / 2, y = top + f.y(i) - f.cell / 2;
      if (holes.count(i) > 0) {
        svg_.box(x, y, f.cell, f.cell, {"#f8f9fa", 1, "#dee2e6"});
        svg_.line(x, y, x + f.cell, y + f.cell, {"#ced4da", 1});
        svg_.line(x + f.cell, y, x, y + f.cell, {"#ced4da", 1});
        continue;
      }
      const int array = grid ? 0 : (i < colors.array_at.size() ? colors.array_at[i] : -1);
      const std::int64_t done = i < work.size() ? work[i] : 0;
      const double share = most > 0 ? static_cast<double>(done) / static_cast<double>(most) : 0;
      const bool used = array >= 0 && (done > 0 || most == 0);
      const char* color =
          used ? kPalette[static_cast<std::size_t>(std::max(0, colors.color[static_cast<std::size_t>(array)])) % kPalette.size()]
               : "#f1f3f5";
      const std::int64_t held = i < p.held.size() ? p.held[i] : 0;
      std::string title = fmt::format("{} {}", component.name, coordinates_text(component, i));
      if (grid) {
        title += fmt::format(": {}", counted(done, "instance"));
      } else if (used) {
        title += fmt::format(": {}, {} of the busiest's work", context.arrays[static_cast<std::size_t>(array)].name, readable_share(share));
        for (const program::Actor& a : context.actors) {
          if (a.array.index() != static_cast<std::size_t>(array) || a.kind != program::ActorKind::compute) continue;
          title += fmt::format("; {}", a.name);
          if (!a.ops.empty()) title += fmt::format(" for {}{}", a.ops.front(), a.ops.size() > 1 ? " ..." : "");
        }
      } else {
        title += ": computes nothing here";
      }
      if (p.capacity > 0 && !grid)
        title += fmt::format("; scratchpad {} of {}", readable_bytes(held), readable_bytes(static_cast<std::int64_t>(p.capacity)));
      svg_.box(x, y, f.cell, f.cell, {color, used ? 0.25 + 0.75 * share : 1, used ? "" : "#ced4da"}, title);
      const char* ink = used && share > 0.45 ? "#fff" : "#343a40";
      const std::string second = grid ? std::to_string(done) : used ? fmt::format("{:.0f} %", share * 100) : std::string();
      label_cell(x, y, f.cell, ink,
                 {used && !grid ? who_computes(context, static_cast<std::size_t>(array)) : "", coordinates_text(component, i), second});
      if (p.capacity > 0 && !grid && f.cell >= 9) {
        const double height = std::clamp(f.cell * 0.1, 2.0, 5.0), inset = f.cell * 0.08, width = f.cell - 2 * inset;
        const double full = std::clamp(static_cast<double>(held) / p.capacity, 0.0, 1.0);
        svg_.box(x + inset, y + f.cell - height - inset * 0.7, width, height, {"#ffffff", 0.75});
        if (full > 0) svg_.box(x + inset, y + f.cell - height - inset * 0.7, width * full, height, {"#343a40"});
      }
    }
  }

  static std::string who_computes(const program::Context& context, std::size_t array) {
    std::string who;
    for (const program::Actor& a : context.actors) {
      if (a.array.index() == array && a.kind == program::ActorKind::compute) who += (who.empty() ? "" : ", ") + a.name;
    }
    return who;
  }

  /// Who computes, where, how much of the busiest's work: as many lines as there is room for.
  void label_cell(double x, double y, double cell, const char* ink, const std::array<std::string, 3>& lines) {
    if (cell < 34) return;
    const double middle = x + cell / 2;
    double at = y + cell / 2 - 2;
    if (cell >= 54 && !lines[0].empty()) {
      svg_.text(middle, at - 10, clip(lines[0], static_cast<int>(cell / 6)), {10, ink, false, "middle"});
      at += 4;
    }
    svg_.text(middle, at, lines[1], {cell >= 50 ? 12.0 : 10.0, ink, true, "middle"});
    if (!lines[2].empty()) svg_.text(middle, at + 13, lines[2], {10, ink, false, "middle"});
  }

  struct Load {
    std::int64_t bytes = 0;
    double share = 0;
    std::string what;
  };

  /// What goes from one component to a neighbour, over all networks.
  Load load_between(const MapPanel& p, chip::ComponentId over, std::uint32_t from, std::uint32_t to, Picoseconds span, bool& exists) const {
    Load load;
    for (std::size_t n = 0; n < chip_.networks.size(); ++n) {
      const chip::Network& network = chip_.networks[n];
      if (network.over != over || network.between_chips || network.topology == chip::Topology::crossbar ||
          network.topology == chip::Topology::host)
        continue;
      const auto link = chip::link_between(chip_, network, from, to);
      if (!link || *link >= p.traffic.links[n].size()) continue;
      exists = true;
      const std::int64_t bytes = p.traffic.links[n][*link];
      if (bytes == 0) continue;
      const double share = busy_share(bytes, network.link.value, span);
      load.bytes += bytes;
      load.share = std::max(load.share, share);
      load.what += fmt::format("{}{}: {} at {}/s, busy {} of the span", load.what.empty() ? "" : "; ", network.name, readable_bytes(bytes),
                               readable_bytes(static_cast<std::int64_t>(network.link.value)), readable_share(share));
    }
    return load;
  }

  struct Step {
    std::int64_t row, column;
  };

  /// The neighbour in one direction, and whether the way there leads around the edge of the picture; nothing where there is none.
  static std::optional<std::pair<std::uint32_t, bool>> neighbour(const chip::Component& component, const Field& f, std::uint32_t i,
                                                                 Step s) {
    const std::int64_t all = chip::instance_count(component);
    if (component.shape.size() < 2) {  // in one line, which may take several rows of the picture
      if (s.row != 0) return std::nullopt;
      const auto to = static_cast<std::uint32_t>((i + s.column + all) % all);
      return std::pair(to, f.row(to) != f.row(i) || to != i + s.column);
    }
    const std::int64_t row = f.row(i) + s.row, column = f.column(i) + s.column;
    const bool wraps = row < 0 || row >= f.rows || column < 0 || column >= f.columns;
    if (wraps && (s.row != 0 ? f.rows : f.columns) <= 2) return std::nullopt;  // the same two neighbours: drawn between them
    return std::pair(static_cast<std::uint32_t>((row + f.rows) % f.rows * f.columns + (column + f.columns) % f.columns), wraps);
  }

  void draw_links(const MapPanel& p, const program::Context& context, const Field& f, double left, double top, Picoseconds span) {
    const chip::ComponentId over = context.arrays[0].component;
    const chip::Component& component = chip_.components[over.index()];
    struct Drawn {
      std::uint32_t from, to;
      double x, y, dx, dy, length;
      Load load;
    };
    std::vector<Drawn> busy;
    constexpr std::array<Step, 4> kSteps{{{0, 1}, {0, -1}, {1, 0}, {-1, 0}}};
    const double side = std::max(1.2, f.cell * 0.13), gap = f.pitch - f.cell;
    std::int64_t most = 0;
    for (std::uint32_t i = 0; i < chip::instance_count(component); ++i) {
      for (const Step& s : kSteps) {
        const auto next = neighbour(component, f, i, s);
        if (!next || next->first == i) continue;
        bool exists = false;
        Load load = load_between(p, over, i, next->first, span, exists);
        if (!exists) continue;
        // Each direction on its own side of the middle.
        const double dx = static_cast<double>(s.column), dy = static_cast<double>(s.row), shift = s.row + s.column > 0 ? -side : side;
        const double x = left + f.x(i) + dx * f.cell / 2 + (s.row != 0 ? shift : 0);
        const double y = top + f.y(i) + dy * f.cell / 2 + (s.column != 0 ? shift : 0);
        const double length = next->second ? gap * 0.55 : gap;
        most = std::max(most, load.bytes);
        if (load.bytes > 0) {
          busy.push_back({i, next->first, x, y, dx, dy, length, std::move(load)});
        } else {
          svg_.line(x, y, x + dx * length, y + dy * length, {kIdle, 0.8});
        }
      }
    }
    for (const Drawn& d : busy) {
      const std::string color = heat(d.load.share);
      const double width = std::clamp(gap * (0.045 + 0.14 * d.load.share), 1.0, 7.0);
      svg_.line(d.x, d.y, d.x + d.dx * d.length, d.y + d.dy * d.length, {color, width},
                fmt::format("{} to {}: {}", coordinates_text(component, d.from), coordinates_text(component, d.to), d.load.what));
      if (gap < 14) continue;
      svg_.arrow(d.x + d.dx * d.length * 0.7, d.y + d.dy * d.length * 0.7, d.dx, d.dy, std::max(3.5, width * 1.3), color);
      // Bytes beside the links that matter, where there is room.
      if (gap < 40 || d.load.bytes * 4 < most) continue;
      const Svg::Letters small{8.5, "#495057", false, d.dy != 0 ? (d.dy > 0 ? "end" : "start") : "middle"};
      if (d.dy != 0) {
        svg_.text(d.x + (d.dy > 0 ? -5 : 5), d.y + d.dy * d.length / 2 + 3, short_bytes(d.load.bytes), small);
      } else {
        svg_.text(d.x + d.dx * d.length / 2, d.y + (d.dx > 0 ? -5 : 12), short_bytes(d.load.bytes), small);
      }
    }
  }

  /// Bars left (in) and right (out) of each component.
  void draw_crossbar(const MapPanel& p, const program::Context& context, const Field& f, double left, double top, Picoseconds span) {
    for (std::size_t n = 0; n < chip_.networks.size(); ++n) {
      const chip::Network& network = chip_.networks[n];
      if (network.over != context.arrays[0].component || network.topology != chip::Topology::crossbar) continue;
      const auto& links = p.traffic.links[n];
      const double width = std::clamp((f.pitch - f.cell) / 2 - 0.5, 1.5, 6.0);
      for (std::uint32_t i = 0; 2 * std::size_t{i} + 1 < links.size(); ++i) {
        for (const bool into : {true, false}) {
          const std::int64_t bytes = links[2 * std::size_t{i} + (into ? 1 : 0)];
          if (bytes == 0) continue;
          const double share = busy_share(bytes, network.link.value, span);
          const double x = left + f.x(i) + (into ? -f.cell / 2 - width : f.cell / 2);
          svg_.box(x, top + f.y(i) - f.cell / 2, width, f.cell, {heat(share)},
                   fmt::format("{} {} {}: {}, busy {} of the span", network.name, into ? "into" : "out of", i, readable_bytes(bytes),
                               readable_share(share)));
        }
      }
    }
  }

  void draw_ports(const MapPanel& p, const Field& f, const chip::Component& component, double left, double top, Picoseconds span) {
    struct At {
      std::int64_t read = 0, written = 0;
      double share = 0;
      std::string what;
    };
    std::map<std::uint32_t, At> at;
    for (const chip::Memory& m : chip_.memories) {
      for (const std::uint32_t port : m.ports) at[port];
    }
    for (const program::PortTraffic& t : p.traffic.ports) {
      const chip::Memory& memory = chip_.memories[t.memory.index()];
      if (memory.ports.empty()) continue;
      At& here = at[t.component];
      here.read += t.read;
      here.written += t.written;
      const double share = busy_share(t.read + t.written, chip::sustained_bandwidth(memory).value, span);
      here.share += share;
      here.what += fmt::format("{}{}: {} read, {} written, {} of its rate over the span", here.what.empty() ? "" : "; ", memory.name,
                               readable_bytes(t.read), readable_bytes(t.written), readable_share(share));
    }
    for (const auto& [port, t] : at) {
      if (port >= chip::instance_count(component)) continue;
      const std::int64_t row = f.row(port), column = f.column(port);
      double x = left + f.x(port), y = top + f.y(port);
      const double out = f.cell / 2 + (f.pitch - f.cell) / 2 + 9;
      const char* anchor = "middle";
      double tx = 0, ty = 0;
      if (column == 0) {
        x -= out, tx = -12, ty = 4, anchor = "end";
      } else if (column + 1 == f.columns) {
        x += out, tx = 12, ty = 4, anchor = "start";
      } else if (row == 0) {
        y -= out, ty = -10;
      } else if (row + 1 == f.rows) {
        y += out, ty = 18;
      } else {
        x -= f.cell / 2, y -= f.cell / 2;
      }
      const double size = std::clamp(f.cell * 0.16, 4.0, 8.0);
      svg_.diamond(x, y, size, {t.what.empty() ? kIdle : heat(t.share), 1, "#495057"}, t.what.empty() ? "memory port, idle" : t.what);
      if (f.cell >= 34 && t.read + t.written > 0 && (tx != 0 || ty != 0))
        svg_.text(x + tx, y + ty, short_bytes(t.read + t.written), {10, "#495057", false, anchor});
    }
  }

  const chip::Chip& chip_;
  Svg& svg_;
};

}  // namespace

/// From hardly used to always busy.
std::string heat(double share) {
  struct Stop {
    double at;
    std::array<double, 3> rgb;
  };
  static constexpr std::array<Stop, 5> kStops{
      {{0, {248, 220, 140}}, {0.12, {253, 195, 85}}, {0.35, {254, 145, 41}}, {0.7, {217, 72, 15}}, {1, {127, 0, 0}}}};
  const double s = std::clamp(share, 0.0, 1.0);
  std::size_t i = 1;
  while (i + 1 < kStops.size() && kStops[i].at < s) ++i;
  const Stop &a = kStops[i - 1], &b = kStops[i];
  const double t = (s - a.at) / (b.at - a.at);
  const auto mix = [&](std::size_t c) { return static_cast<int>(std::lround(a.rgb[c] + t * (b.rgb[c] - a.rgb[c]))); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2));
}

double busy_share(std::int64_t bytes, double rate, Picoseconds span) {
  if (bytes <= 0 || rate <= 0 || span.value <= 0) return 0;
  return static_cast<double>(bytes) / rate / (static_cast<double>(span.value) * 1e-12);
}

MapColors colors_of(const program::Context& context) {
  MapColors c;
  c.color.assign(context.arrays.size(), -1);
  int next = 0;
  for (const program::Actor& a : context.actors) {
    int& color = c.color[a.array.index()];
    if (a.kind == program::ActorKind::compute && color < 0) color = next++;
  }
  for (std::size_t a = 0; a < context.arrays.size() && next == 0; ++a) c.color[a] = 0;  // a context of movers alone
  for (std::size_t a = 0; a < context.arrays.size(); ++a) {
    if (c.color[a] < 0) continue;
    for (const std::uint32_t i : context.arrays[a].components) {
      if (i >= c.array_at.size()) c.array_at.resize(i + std::size_t{1}, -1);
      c.array_at[i] = static_cast<int>(a);
    }
  }
  return c;
}

double draw_chip(Svg& svg, const program::Program& program, const MapPanel& panel, const MapColors& colors, Picoseconds span, double x,
                 double y, double width) {
  return ChipPicture(svg, *program.chip).draw(program.contexts[panel.context], panel, colors, span, x, y, width);
}

}  // namespace switchyard::report
