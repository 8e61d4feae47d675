// A diff for people, documents and spreadsheets.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "report/diff.h"
#include "report/table_parts.h"

namespace switchyard::report {
namespace {

/// "+1.234 us", "-5.678 ms", "0".
std::string signed_time(Picoseconds change) {
  if (change.value == 0) return "0";
  return (change.value > 0 ? "+" : "") + readable_time(change);
}

std::string signed_share(Picoseconds change, Picoseconds of) {
  if (of.value == 0) return "-";
  return fmt::format("{:+.1f} %", share_of(change, of) * (of.value < 0 ? -1 : 1) * 100);
}

double gap_of(const RunRecord& r) { return share_of(r.latency, r.lower_bound); }

std::string side(const RunRecord& r) { return fmt::format("{} on {}: {}, batch {}", r.model, r.chip, r.precision, r.batch); }

/// The cause whose change is greatest in the direction of the whole change.
std::size_t mover_of(const simulation::Attribution& change, Picoseconds whole) {
  std::size_t most = 0;
  for (std::size_t c = 1; c < change.size(); ++c) {
    if (whole.value < 0 ? change[c] < change[most] : change[most] < change[c]) most = c;
  }
  return most;
}

simulation::Attribution changes_of(const Diff& d) {
  simulation::Attribution change{};
  for (std::size_t c = 0; c < change.size(); ++c) change[c] = d.b.attribution[c] - d.a.attribution[c];
  return change;
}

std::string verdict(const Diff& d) {
  const Picoseconds delta = d.delta();
  if (delta.value == 0) return "the same time";
  const simulation::Attribution change = changes_of(d);
  const std::size_t cause = mover_of(change, delta);
  const double times = delta.value < 0 ? share_of(d.a.latency, d.b.latency) : share_of(d.b.latency, d.a.latency);
  return fmt::format("B is {} times as {} as A; mainly {} moved, {} of {}", readable_ratio(times), delta.value < 0 ? "fast" : "slow",
                     simulation::kCauseNames[cause], signed_time(change[cause]), signed_time(delta));
}

std::string label_of(const Moved& m, int columns) {
  const std::string more = m.ops.size() > 1 ? fmt::format(" +{}", m.ops.size() - 1) : "";
  return clip_front(m.ops.front(), columns - columns_of(more)) + more;
}

Rows time_rows(const Diff& d) {
  Rows rows{1, {"", "A", "B", "change", "of A"}, {}};
  const auto time = [&](const char* name, Picoseconds a, Picoseconds b) {
    rows.cells.push_back({name, readable_time(a), readable_time(b), signed_time(b - a), signed_share(b - a, a)});
  };
  time("time", d.a.latency, d.b.latency);
  time("lower bound", d.a.lower_bound, d.b.lower_bound);
  time("launch", d.a.launch, d.b.launch);
  if (d.a.host.value + d.b.host.value > 0) time("host", d.a.host, d.b.host);
  rows.cells.push_back(
      {"gap", readable_ratio(gap_of(d.a)), readable_ratio(gap_of(d.b)), fmt::format("{:+.2f}", gap_of(d.b) - gap_of(d.a)), ""});
  return rows;
}

Rows cause_rows(const Diff& d) {
  Rows rows{1, {"cause", "A", "B", "change", "of the change"}, {}};
  for (std::size_t c = 0; c < d.a.attribution.size(); ++c) {
    const Picoseconds change = d.b.attribution[c] - d.a.attribution[c];
    rows.cells.push_back({simulation::kCauseNames[c], readable_time(d.a.attribution[c]), readable_time(d.b.attribution[c]),
                          signed_time(change), d.delta().value == 0 ? "-" : fmt::format("{:.1f} %", share_of(change, d.delta()) * 100)});
    if (d.delta().value < 0)
      rows.cells.back().back() = fmt::format("{:.1f} %", 100.0 * static_cast<double>(change.value) / static_cast<double>(d.delta().value));
  }
  return rows;
}

Rows use_rows(const Diff& d) {
  Rows rows{1, {"", "A", "B", "change"}, {}};
  const auto bytes = [&](const std::string& name, std::int64_t a, std::int64_t b) {
    const std::string change = a == b ? "0" : (b > a ? "+" : "-") + readable_bytes(std::abs(b - a));
    if (a != 0 || b != 0) rows.cells.push_back({name, readable_bytes(a), readable_bytes(b), change});
  };
  static constexpr std::array<const char*, 5> kTraffic{"off-chip read", "off-chip written", "  constants in it", "network", "links"};
  static constexpr std::array<const char*, 2> kHeld{"held off-chip", "fullest scratchpad"};
  static constexpr std::array<const char*, 4> kUsed{"matrix used", "vector used", "off-chip used", "network used"};
  for (const std::size_t i : {0, 2, 1, 3, 4}) bytes(kTraffic[i], d.a.traffic[i], d.b.traffic[i]);
  for (std::size_t i = 0; i < kHeld.size(); ++i) bytes(kHeld[i], d.a.peak_bytes[i], d.b.peak_bytes[i]);
  for (std::size_t i = 0; i < kUsed.size(); ++i) {
    rows.cells.push_back({kUsed[i], readable_share(d.a.utilization[i]), readable_share(d.b.utilization[i]),
                          fmt::format("{:+.1f} points", (d.b.utilization[i] - d.a.utilization[i]) * 100)});
  }
  return rows;
}

Rows moved_rows(const Diff& d, int top) {
  constexpr int kName = 34;
  Rows rows{1, {"operators", "A", "B", "change", "mainly"}, {}};
  Picoseconds rest_a, rest_b;
  int told = 0, rest = 0;
  for (const Moved& m : d.moved) {
    if (told < top && m.delta().value != 0) {
      ++told;
      const std::size_t cause = mover_of(m.change, m.delta());
      rows.cells.push_back({label_of(m, kName), m.in_a.empty() ? "-" : readable_time(m.a), m.in_b.empty() ? "-" : readable_time(m.b),
                            signed_time(m.delta()), fmt::format("{} {}", simulation::kCauseNames[cause], signed_time(m.change[cause]))});
    } else {
      ++rest;
      rest_a += m.a, rest_b += m.b;
    }
  }
  if (rest > 0)
    rows.cells.push_back({fmt::format("{} more", rest), readable_time(rest_a), readable_time(rest_b), signed_time(rest_b - rest_a), ""});
  return rows;
}

/// One line per pair.
Rows pair_rows(const Pairs& pairs) {
  Rows rows{1, {"run", "A", "B", "change", "times as fast", "mainly"}, {}};
  for (const Diff& d : pairs.diffs) {
    const simulation::Attribution change = changes_of(d);
    const std::size_t cause = mover_of(change, d.delta());
    rows.cells.push_back({fmt::format("{} {} batch {}", d.b.chip, d.b.precision, d.b.batch), readable_time(d.a.latency),
                          readable_time(d.b.latency), signed_time(d.delta()), readable_ratio(share_of(d.a.latency, d.b.latency)),
                          d.delta().value == 0 ? "-" : fmt::format("{} {}", simulation::kCauseNames[cause], signed_time(change[cause]))});
  }
  return rows;
}

std::vector<std::string> unpaired(const Pairs& pairs) {
  std::vector<std::string> sentences;
  if (!pairs.only_a.empty()) sentences.push_back(fmt::format("only in A: {}", fmt::join(pairs.only_a, ", ")));
  if (!pairs.only_b.empty()) sentences.push_back(fmt::format("only in B: {}", fmt::join(pairs.only_b, ", ")));
  return sentences;
}

using Section = std::pair<const char*, Rows>;
std::vector<Section> sections_of(const Diff& d, int top) {
  return {{"time", time_rows(d)}, {"causes", cause_rows(d)}, {"traffic and use", use_rows(d)}, {"what moved most", moved_rows(d, top)}};
}

std::string exact(double value) { return fmt::format("{:.9g}", value); }

}  // namespace

std::string print_diff(const Pairs& pairs, bool color, int top) {
  const Paint paint(color);
  std::string out;
  if (pairs.diffs.size() == 1) {
    const Diff& d = pairs.diffs.front();
    for (const auto& [name, r] : {std::pair{"A", &d.a}, std::pair{"B", &d.b}}) {
      out += fmt::format("{}  {}: {}\n", paint.strong(name), clip_front(r->file, 40), clip(side(*r), 54));
    }
    for (const std::string& sentence : d.differences) out += wrap(sentence, kWidth, 3);
    out += "\n" + paint.strong(wrap(verdict(d), kWidth, 2)) + "\n";
    for (const auto& [title, rows] : sections_of(d, top)) out += print_screen(rows, kWidth) + "\n";
    out.pop_back();
  } else {
    out += print_screen(pair_rows(pairs), kWidth);
  }
  for (const std::string& sentence : unpaired(pairs)) out += wrap(sentence, kWidth, 2);
  return out;
}

std::string print_diff_markdown(const Pairs& pairs, int top) {
  std::string out;
  if (pairs.diffs.size() != 1) out += print_markdown(pair_rows(pairs)) + "\n";
  for (const Diff& d : pairs.diffs) {
    out += fmt::format("# {} against {}\n\n", d.a.file, d.b.file);
    out += fmt::format("- A: {}\n- B: {}\n", side(d.a), side(d.b));
    for (const std::string& sentence : d.differences) out += "- " + sentence + "\n";
    out += fmt::format("\n{}\n", verdict(d));
    for (const auto& [title, rows] : sections_of(d, top)) out += fmt::format("\n## {}\n\n", title) + print_markdown(rows);
    out += "\n";
  }
  for (const std::string& sentence : unpaired(pairs)) out += "- " + sentence + "\n";
  return out;
}

Rows diff_rows(const Pairs& pairs) {
  Rows rows{3, {"run", "what", "name", "a", "b", "change"}, {}};
  for (const Diff& d : pairs.diffs) {
    const std::string run = fmt::format("{} {} batch {}", d.b.chip, d.b.precision, d.b.batch);
    const auto time = [&](const char* what, const std::string& name, Picoseconds a, Picoseconds b) {
      rows.cells.push_back({run, what, name, exact_microseconds(a), exact_microseconds(b), exact_microseconds(b - a)});
    };
    time("time_us", "latency", d.a.latency, d.b.latency);
    time("time_us", "lower_bound", d.a.lower_bound, d.b.lower_bound);
    time("time_us", "launch", d.a.launch, d.b.launch);
    rows.cells.push_back({run, "gap", "", exact(gap_of(d.a)), exact(gap_of(d.b)), exact(gap_of(d.b) - gap_of(d.a))});
    for (std::size_t c = 0; c < d.a.attribution.size(); ++c)
      time("cause_us", simulation::kCauseNames[c], d.a.attribution[c], d.b.attribution[c]);
    for (std::size_t i = 0; i < kTrafficNames.size(); ++i) {
      rows.cells.push_back({run, "traffic_bytes", kTrafficNames[i], std::to_string(d.a.traffic[i]), std::to_string(d.b.traffic[i]),
                            std::to_string(d.b.traffic[i] - d.a.traffic[i])});
    }
    for (std::size_t i = 0; i < kUtilizationNames.size(); ++i) {
      rows.cells.push_back({run, "utilization", kUtilizationNames[i], exact(d.a.utilization[i]), exact(d.b.utilization[i]),
                            exact(d.b.utilization[i] - d.a.utilization[i])});
    }
    for (const Moved& m : d.moved) time("share_us", fmt::format("{}", fmt::join(m.ops, " ")), m.a, m.b);
  }
  return rows;
}

}  // namespace switchyard::report
