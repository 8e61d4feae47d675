#include "report/map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "chip/query.h"
#include "program/instance.h"
#include "report/occupancy.h"
#include "report/run.h"
#include "report/svg.h"
#include "report/table_parts.h"
#include "report/traffic.h"

namespace switchyard::report {
namespace {

constexpr double kPage = 1240, kMargin = 28, kColumn = 580, kGutter = 24, kLine = 16;
constexpr double kWidest = 150;  ///< from component to component
constexpr std::size_t kListed = 400;
constexpr std::int64_t kMostCells = 16384;

constexpr const char* kIdle = "#dee2e6";
constexpr std::array<const char*, 8> kPalette{"#4e79a7", "#59a14f", "#b07aa1", "#d08a2e", "#499894", "#8c6bb1", "#79706e", "#5b8ff9"};

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

/// "888 kB": beside a link there is no room for more.
std::string short_bytes(std::int64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) value /= 1000, ++unit;
  return fmt::format("{:.{}f} {}", value, unit > 0 && value < 9.95 ? 1 : 0, kUnits[unit]);
}

double busy_share(std::int64_t bytes, double rate, Picoseconds span) {
  if (bytes <= 0 || rate <= 0 || span.value <= 0) return 0;
  return static_cast<double>(bytes) / rate / (static_cast<double>(span.value) * 1e-12);
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
  } else if (meshed && all <= 16) {
    f.columns = all;
  } else {
    f.columns = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(all) * 1.6)));
    f.rows = (all + f.columns - 1) / f.columns;
  }
  f.pitch = std::min({kWidest, width / static_cast<double>(f.columns), width * 1.2 / static_cast<double>(f.rows)});
  f.cell = f.pitch * (meshed ? 0.56 : 0.84);
  return f;
}

class Drawing {
 public:
  Drawing(const program::Program& program, const simulation::Timing& timing)
      : program_(program), chip_(*program.chip), timing_(timing), report_(describe_run(program, timing)) {}

  std::string draw(std::size_t most) {
    choose(most);
    gather_occupancy();
    if (panels_.size() == 1) column_ = kPage - 2 * kMargin;
    double y = header();
    y = legend(y);
    // Two columns, each panel below the shorter one.
    std::array<double, 2> bottom{y, y};
    for (Panel& p : panels_) {
      const std::size_t side = bottom[1] < bottom[0] ? 1 : 0;
      const double x = kMargin + static_cast<double>(side) * (kColumn + kGutter);
      bottom[side] = panel(p, x, bottom[side]) + 22;
    }
    y = contents(std::max(bottom[0], bottom[1]));
    return svg_.finish(kPage, y + kMargin);
  }

 private:
  struct Panel {
    std::size_t context = 0;
    std::size_t alike = 1;  ///< contexts that move and compute the same
    ContextTraffic traffic;
    std::vector<std::int64_t> held;  ///< of the scratchpad of its components
    double capacity = 0;
  };

  [[nodiscard]] const chip::Component* component_of(const program::Context& context) const {
    return context.arrays.empty() ? nullptr : &chip_.components[context.arrays[0].component.index()];
  }

  /// The longest ones; of those that are alike only the first.
  void choose(std::size_t most) {
    std::vector<std::size_t> order;
    for (std::size_t c = 0; c < program_.contexts.size(); ++c) order.push_back(c);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return timing_.contexts[a].share > timing_.contexts[b].share; });
    // What a large array takes to draw bounds how many are drawn.
    std::int64_t cells = 1;
    for (const program::Context& c : program_.contexts) {
      if (const chip::Component* component = component_of(c)) cells = std::max(cells, chip::instance_count(*component));
    }
    most = std::clamp<std::size_t>(static_cast<std::size_t>(6000 / cells), 2, most);
    using Key = std::tuple<std::size_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
    std::map<Key, std::size_t> seen;
    constexpr std::size_t kLooked = 256;
    for (std::size_t i = 0; i < std::min(order.size(), kLooked); ++i) {
      Panel p;
      p.context = order[i];
      p.traffic = count_traffic(program_, program_.contexts[p.context]);
      std::int64_t work = 0, links = 0;
      for (const std::int64_t w : p.traffic.work) work += w;
      for (const auto& network : p.traffic.links) {
        for (const std::int64_t bytes : network) links += bytes;
      }
      const Key key{program_.contexts[p.context].actors.size(), work, links, p.traffic.read, p.traffic.written, p.traffic.sent};
      const auto [at, fresh] = seen.try_emplace(key, panels_.size());
      if (!fresh) {
        if (at->second < panels_.size()) ++panels_[at->second].alike;
      } else if (panels_.size() < most) {
        panels_.push_back(std::move(p));
      }
    }
  }

  void gather_occupancy() {
    visit_occupancy(program_, [&](chip::MemoryId memory, std::size_t context, std::span<const std::int64_t> bytes) {
      for (Panel& p : panels_) {
        if (p.context != context || program_.contexts[context].arrays.empty()) continue;
        if (chip_.memories[memory.index()].in != program_.contexts[context].arrays[0].component) continue;
        p.held.assign(bytes.begin(), bytes.end());
        const auto range = chip::usable_range(chip_.memories[memory.index()]);
        p.capacity = static_cast<double>(range.end - range.begin);
      }
    });
  }

  double header() {
    double y = kMargin + 20;
    svg_.text(kMargin, y, fmt::format("{} on {}", report_.model.name, report_.chip.name), {22, "#111", true});
    y += 24;
    svg_.text(kMargin, y,
              fmt::format("{}{}, batch {} · {} · {} · {} times the lower bound", report_.precision.empty() ? "" : "in ",
                          report_.precision.empty() ? "no precision named" : report_.precision, report_.batch,
                          counted(static_cast<std::int64_t>(report_.contexts.size()), "context"), readable_time(report_.latency),
                          readable_ratio(report_.gap())),
              {14, "#444"});
    y += 20;
    svg_.text(kMargin, y, "Traffic is counted from the program (box by box, route by route); times are the timing engine's.", {12, "#777"});
    return y + 18;
  }

  double legend(double y) {
    const double top = y;
    double x = kMargin;
    svg_.text(x, y + 11, "link busy, share of the context's span", {12, "#333"});
    x += 240;
    constexpr int kSteps = 40;
    for (int i = 0; i < kSteps; ++i) svg_.box(x + i * 4, y, 4.2, 14, {heat((i + 0.5) / kSteps)});
    for (const int percent : {0, 25, 50, 75, 100})
      svg_.text(x + percent * 1.6, y + 27, fmt::format("{} %", percent), {10, "#555", false, "middle"});
    x += 196;
    svg_.box(x, y, 26, 14, {kPalette[0]});
    svg_.box(x + 26, y, 26, 14, {kPalette[0], 0.35});
    svg_.text(x + 60, y + 11, "component at work (paler: less than others)", {12, "#333"});
    x += 330;
    svg_.box(x, y + 3, 30, 6, {"#e9ecef"});
    svg_.box(x, y + 3, 18, 6, {"#343a40"});
    svg_.text(x + 38, y + 11, "scratchpad held", {12, "#333"});
    x += 152;
    svg_.box(x, y, 14, 14, {"#f1f3f5", 1, "#ced4da"});
    svg_.line(x, y, x + 14, y + 14, {"#adb5bd", 1});
    svg_.line(x + 14, y, x, y + 14, {"#adb5bd", 1});
    svg_.text(x + 22, y + 11, "hole", {12, "#333"});
    x += 70;
    svg_.diamond(x + 7, y + 7, 7, {heat(0.5), 1, "#495057"});
    svg_.text(x + 22, y + 11, "memory port", {12, "#333"});
    return top + 52;
  }

  double panel(Panel& p, double x, double y) {
    const program::Context& context = program_.contexts[p.context];
    const ContextReport& r = report_.contexts[p.context];
    svg_.anchor(fmt::format("c{}", p.context));
    svg_.line(x, y, x + column_, y, {"#ced4da", 1});
    y += 20;
    svg_.text(x, y, clip(fmt::format("{}. {}", p.context + 1, context.name), 52), {15, "#111", true});
    if (p.alike > 1) svg_.text(x + column_, y, fmt::format("one of {} alike", p.alike), {12, "#777", false, "end"});
    y += kLine;
    if (!context.ops.empty()) svg_.text(x, y, clip(fmt::format("{}", fmt::join(context.ops, ", ")), 92), {11, "#555"}), y += kLine;
    const std::string early = r.early.value > 0 ? fmt::format(" (of it {} early)", readable_time(r.early)) : std::string();
    svg_.text(
        x, y,
        fmt::format("{} of the time ({}) · span {}{} · mainly {}", readable_time(r.share), readable_share(share_of(r.share, r_latency())),
                    readable_time(r.span), early, simulation::kCauseNames[main_cause(r.attribution)]),
        {12, "#333"});
    y += 14;
    const chip::Component* component = component_of(context);
    if (component == nullptr) return y;
    if (chip::instance_count(*component) > kMostCells) {
      svg_.text(x, y + 16, fmt::format("{} components are too many to draw", chip::instance_count(*component)), {12, "#777"});
      return facts(p, context, *component, x, y + 36, r.span, colors_of(context));
    }
    const bool meshed = is_meshed(context);
    const Field field = field_of(*component, meshed, column_ * 0.74);
    const double left = x + (column_ - field.width()) / 2, top = y + 34;
    const auto colors = colors_of(context);
    if (meshed) draw_links(p, context, field, left, top, r.span);
    draw_cells(p, context, *component, field, left, top, colors);
    if (!meshed) draw_crossbar(p, context, field, left, top, r.span);
    draw_ports(p, field, *component, left, top, r.span);
    y = top + field.height() + 40;
    return facts(p, context, *component, x, y, r.span, colors);
  }

  [[nodiscard]] Picoseconds r_latency() const { return report_.latency; }

  [[nodiscard]] bool is_meshed(const program::Context& context) const {
    return std::any_of(chip_.networks.begin(), chip_.networks.end(), [&](const chip::Network& n) {
      return n.over == context.arrays[0].component && !n.between_chips && n.topology != chip::Topology::crossbar &&
             n.topology != chip::Topology::host;
    });
  }

  /// Of each component: the array whose compute actors sit there (-1: none), and of each array its colour's number.
  struct Colors {
    std::vector<int> array_at;
    std::vector<int> color;  ///< by array; -1: it computes nothing
  };
  [[nodiscard]] Colors colors_of(const program::Context& context) const {
    Colors c;
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

  void draw_cells(const Panel& p, const program::Context& context, const chip::Component& component, const Field& f, double left,
                  double top, const Colors& colors) {
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
  Load load_between(const Panel& p, chip::ComponentId over, std::uint32_t from, std::uint32_t to, Picoseconds span, bool& exists) const {
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

  void draw_links(const Panel& p, const program::Context& context, const Field& f, double left, double top, Picoseconds span) {
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
  void draw_crossbar(const Panel& p, const program::Context& context, const Field& f, double left, double top, Picoseconds span) {
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

  void draw_ports(const Panel& p, const Field& f, const chip::Component& component, double left, double top, Picoseconds span) {
    struct At {
      std::int64_t read = 0, written = 0;
      double share = 0;
      std::string what;
    };
    std::map<std::uint32_t, At> at;
    for (const chip::Memory& m : chip_.memories) {
      for (const std::uint32_t port : m.ports) at[port];
    }
    for (const PortTraffic& t : p.traffic.ports) {
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

  double facts(const Panel& p, const program::Context& context, const chip::Component& component, double x, double y, Picoseconds span,
               const Colors& colors) {
    const auto say = [&](const std::string& text) {
      svg_.text(x, y, clip(text, static_cast<int>(column_ / 6)), {11, "#343a40"});
      y += kLine;
    };
    for (std::size_t a = 0; a < context.arrays.size(); ++a) {
      const program::Array& array = context.arrays[a];
      std::string who;
      std::set<std::string> units;
      std::vector<std::string> ops;
      for (const program::Actor& actor : context.actors) {
        if (actor.array.index() != a || actor.kind != program::ActorKind::compute) continue;
        who += (who.empty() ? "" : ", ") + actor.name;
        units.insert(chip_.units[actor.unit.index()].name);
        for (const std::string& op : actor.ops) {
          if (std::find(ops.begin(), ops.end(), op) == ops.end()) ops.push_back(op);
        }
      }
      if (colors.color[a] < 0) continue;
      svg_.box(x, y - 9, 10, 10, {kPalette[static_cast<std::size_t>(colors.color[a]) % kPalette.size()]});
      const std::int64_t instances = program::instance_count(array);
      svg_.text(x + 16, y,
                clip(fmt::format("{} ({} of {}): {}{}{}", array.name, instances, component.name, who.empty() ? "movers only" : who,
                                 units.empty() ? "" : fmt::format(" on {}", fmt::join(units, ", ")),
                                 ops.empty() ? "" : fmt::format(" for {}", fmt::join(ops, ", "))),
                     static_cast<int>(column_ / 6.2)),
                {11, "#343a40"});
      y += kLine;
    }
    if (!p.traffic.dealt.empty()) {
      const auto n = static_cast<std::int64_t>(chip::working_instances(component).size());
      std::int64_t all = 0, most = 0;
      for (const std::int64_t d : p.traffic.dealt) all += d, most = std::max(most, d);
      if (n > 0 && most > 0)
        say(fmt::format("{} over {} of {}: up to {} each, {} of their turns used (dealt evenly; up to {} at once)",
                        counted(all, "instance"), n, component.name, most,
                        readable_share(static_cast<double>(all) / static_cast<double>(n * most)), chip_.sequencer.slots));
    }
    std::int64_t most = 0;
    double share = 0;
    std::string name;
    for (std::size_t n = 0; n < p.traffic.links.size(); ++n) {
      for (const std::int64_t bytes : p.traffic.links[n]) {
        const double s = busy_share(bytes, chip_.networks[n].link.value, span);
        if (s > share) share = s, most = bytes, name = chip_.networks[n].name;
      }
    }
    if (most > 0) say(fmt::format("busiest link of {}: {}, busy {} of the span", name, readable_bytes(most), readable_share(share)));
    say(fmt::format("off-chip memory: {} read, {} written; between components: {}", readable_bytes(p.traffic.read),
                    readable_bytes(p.traffic.written), readable_bytes(p.traffic.sent)));
    std::vector<std::size_t> movers;
    for (std::size_t a = 0; a < context.actors.size(); ++a) {
      if (context.actors[a].kind == program::ActorKind::move && p.traffic.actors[a].bytes > 0) movers.push_back(a);
    }
    std::stable_sort(movers.begin(), movers.end(),
                     [&](std::size_t a, std::size_t b) { return p.traffic.actors[a].bytes > p.traffic.actors[b].bytes; });
    std::string list;
    for (std::size_t i = 0; i < std::min<std::size_t>(5, movers.size()); ++i)
      list += fmt::format("{}{}{} {}", i > 0 ? ", " : "", context.actors[movers[i]].name, context.actors[movers[i]].early ? " (early)" : "",
                          readable_bytes(p.traffic.actors[movers[i]].bytes));
    if (!list.empty()) say("movers: " + list);
    return y;
  }

  double contents(double y) {
    svg_.line(kMargin, y, kPage - kMargin, y, {"#ced4da", 1});
    y += 22;
    svg_.text(kMargin, y, "All contexts", {15, "#111", true});
    y += 20;
    std::set<std::size_t> drawn;
    for (const Panel& p : panels_) drawn.insert(p.context);
    const std::size_t count = std::min(kListed, report_.contexts.size()), rows = (count + 1) / 2;
    for (std::size_t c = 0; c < count; ++c) {
      const ContextReport& r = report_.contexts[c];
      const double x = kMargin + static_cast<double>(c / std::max<std::size_t>(1, rows)) * (kColumn + kGutter);
      const double line = y + static_cast<double>(c % std::max<std::size_t>(1, rows)) * kLine;
      const bool linked = drawn.count(c) > 0;
      svg_.text(x, line, clip(fmt::format("{}. {}", c + 1, r.name), 46), {11, linked ? "#1864ab" : "#343a40", linked},
                linked ? fmt::format("#c{}", c) : "");
      svg_.text(x + 400, line, readable_time(r.share), {11, "#343a40", false, "end"});
      svg_.text(x + 450, line, readable_share(share_of(r.share, report_.latency)), {11, "#343a40", false, "end"});
      svg_.text(x + 464, line, simulation::kCauseNames[main_cause(r.attribution)], {11, "#777"});
    }
    y += static_cast<double>(rows) * kLine;
    if (report_.contexts.size() > count) {
      svg_.text(kMargin, y, fmt::format("and {} more", report_.contexts.size() - count), {11, "#777"});
      y += kLine;
    }
    return y;
  }

  const program::Program& program_;
  const chip::Chip& chip_;
  const simulation::Timing& timing_;
  RunReport report_;
  std::vector<Panel> panels_;
  double column_ = kColumn;  ///< width of a panel
  Svg svg_;
};

}  // namespace

std::string draw_map(const program::Program& program, const simulation::Timing& timing, std::size_t most) {
  return Drawing(program, timing).draw(most);
}

}  // namespace switchyard::report
