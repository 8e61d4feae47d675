#include "report/map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "chip/query.h"
#include "program/instance.h"
#include "program/traffic.h"
#include "report/map_chip.h"
#include "report/occupancy.h"
#include "report/run.h"
#include "report/svg.h"
#include "report/table_parts.h"

namespace switchyard::report {
namespace {

constexpr double kPage = 1240, kMargin = 28, kColumn = 580, kGutter = 24, kLine = 16;
constexpr std::size_t kListed = 400;
constexpr std::int64_t kMostCells = 16384;

class Drawing {
 public:
  Drawing(const program::Program& program, const simulation::Timing& timing)
      : program_(program), chip_(*program.chip), timing_(timing), report_(describe_run(program, timing)) {}

  std::string draw(std::size_t most, const std::string& only) {
    choose(most, only);
    gather_occupancy();
    if (panels_.size() == 1) column_ = kPage - 2 * kMargin;
    double y = header();
    y = legend(y);
    // Two columns, each panel below the shorter one.
    std::array<double, 2> bottom{y, y};
    for (MapPanel& p : panels_) {
      const std::size_t side = bottom[1] < bottom[0] ? 1 : 0;
      const double x = kMargin + static_cast<double>(side) * (kColumn + kGutter);
      bottom[side] = panel(p, x, bottom[side]) + 22;
    }
    y = contents(std::max(bottom[0], bottom[1]));
    return svg_.finish(kPage, y + kMargin);
  }

 private:
  [[nodiscard]] const chip::Component* component_of(const program::Context& context) const {
    return context.arrays.empty() ? nullptr : &chip_.components[context.arrays[0].component.index()];
  }

  /// The longest ones; of those that are alike only the first.
  void choose(std::size_t most, const std::string& only) {
    std::vector<std::size_t> order;
    for (std::size_t c = 0; c < program_.contexts.size(); ++c)
      if (!program_.contexts[c].host) order.push_back(c);  // of a step of the host there is nothing to see on the chip
    const auto called = [&](bool by_operator) {
      return std::find_if(order.begin(), order.end(), [&](std::size_t c) {
        const program::Context& context = program_.contexts[c];
        return by_operator ? std::find(context.ops.begin(), context.ops.end(), only) != context.ops.end() : context.name == only;
      });
    };
    if (!only.empty())
      if (const auto at = called(false) != order.end() ? called(false) : called(true); at != order.end()) order = {*at};
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
      MapPanel p;
      p.context = order[i];
      p.traffic = program::count_traffic(program_, program_.contexts[p.context]);
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
      for (MapPanel& p : panels_) {
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

  /// What the pictures have, and nothing else.
  double legend(double y) {
    const double top = y;
    double x = kMargin;
    const auto text = [&](double dx, const char* words, double wide) {
      svg_.text(x + dx, y + 11, words, {12, "#333"});
      x += dx + wide;
    };
    const auto any = [](const auto& list, auto test) { return std::any_of(list.begin(), list.end(), test); };
    if (any(panels_, [&](const MapPanel& p) {
          return any(p.traffic.links, [&](const auto& links) { return any(links, [](std::int64_t bytes) { return bytes > 0; }); });
        })) {
      text(0, "link busy, share of the context's span", 240);
      constexpr int kSteps = 40;
      for (int i = 0; i < kSteps; ++i) svg_.box(x + i * 4, y, 4.2, 14, {heat((i + 0.5) / kSteps)});
      for (const int percent : {0, 25, 50, 75, 100})
        svg_.text(x + percent * 1.6, y + 27, fmt::format("{} %", percent), {10, "#555", false, "middle"});
      x += 196;
      if (any(chip_.networks, [](const chip::Network& n) { return n.topology == chip::Topology::crossbar && !n.between_chips; }))
        svg_.text(kMargin, y + 27, "crossbar: in on the left, out on the right", {10, "#555"});
    }
    svg_.box(x, y, 26, 14, {kPalette[0]});
    svg_.box(x + 26, y, 26, 14, {kPalette[0], 0.35});
    text(60, "component at work (paler: less than others)", 290);
    if (any(program_.contexts, [&](const program::Context& c) { return any(c.arrays, [](const program::Array& a) { return a.dynamic; }); }))
      text(0, "its number, and how many instances it gets", 290);
    if (any(panels_, [&](const MapPanel& p) {
          const auto& arrays = program_.contexts[p.context].arrays;
          return !arrays.empty() && !arrays[0].dynamic && any(p.held, [](std::int64_t bytes) { return bytes > 0; });
        })) {
      svg_.box(x, y + 3, 30, 6, {"#e9ecef"});
      svg_.box(x, y + 3, 18, 6, {"#343a40"});
      text(38, "scratchpad held", 120);
    }
    if (any(chip_.components, [](const chip::Component& c) { return !c.holes.empty(); })) {
      svg_.box(x, y, 14, 14, {"#f1f3f5", 1, "#ced4da"});
      svg_.line(x, y, x + 14, y + 14, {"#adb5bd", 1});
      svg_.line(x + 14, y, x, y + 14, {"#adb5bd", 1});
      text(22, "hole", 50);
    }
    if (any(chip_.memories, [](const chip::Memory& m) { return !m.ports.empty(); })) {
      svg_.diamond(x + 7, y + 7, 7, {heat(0.5), 1, "#495057"});
      text(22, "memory port", 100);
    }
    return top + 52;
  }

  double panel(MapPanel& p, double x, double y) {
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
    svg_.text(x, y,
              fmt::format("{} of the time ({}) · span {}{} · mainly {}", readable_time(r.share),
                          readable_share(share_of(r.share, report_.latency)), readable_time(r.span), early,
                          simulation::kCauseNames[main_cause(r.attribution)]),
              {12, "#333"});
    y += 14;
    const chip::Component* component = component_of(context);
    if (component == nullptr) return y;
    if (chip::instance_count(*component) > kMostCells) {
      svg_.text(x, y + 16, fmt::format("{} components are too many to draw", chip::instance_count(*component)), {12, "#777"});
      return facts(p, context, *component, x, y + 36, r.span, colors_of(context));
    }
    const MapColors colors = colors_of(context);
    y = draw_chip(svg_, program_, p, colors, r.span, x, y, column_);
    return facts(p, context, *component, x, y, r.span, colors);
  }

  double facts(const MapPanel& p, const program::Context& context, const chip::Component& component, double x, double y, Picoseconds span,
               const MapColors& colors) {
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
        say(fmt::format("{} over {} {}: at most {} each, {} of their turns used (dealt evenly)", counted(all, "instance"), n,
                        component.name, most, readable_share(static_cast<double>(all) / static_cast<double>(n * most))));
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
    for (const MapPanel& p : panels_) drawn.insert(p.context);
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
  std::vector<MapPanel> panels_;
  double column_ = kColumn;  ///< width of a panel
  Svg svg_;
};

}  // namespace

std::string draw_map(const program::Program& program, const simulation::Timing& timing, std::size_t most, const std::string& only) {
  return Drawing(program, timing).draw(most, only);
}

}  // namespace switchyard::report
