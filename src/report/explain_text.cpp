// Explanations as text for a screen of 100 columns.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "report/explain.h"
#include "report/table_parts.h"

namespace switchyard::report {
namespace {

std::string microseconds_of(double seconds) {
  return std::isfinite(seconds) ? readable_time(from_seconds(seconds)) : std::string("impossible");
}

std::string heading(const Explanation& e, const Paint& paint) {
  const RunReport& r = e.run;
  const std::string title =
      fmt::format("{} on {}: {}batch {}", r.model.name, r.chip.name, r.precision.empty() ? "" : r.precision + ", ", r.batch);
  std::string out = paint.strong(clip(title, kWidth)) + "\n";
  if (!e.disabled.empty()) out += fmt::format("  disabled     {}\n", fmt::join(e.disabled, ", "));
  return out;
}

std::string gap_of(Picoseconds time, Picoseconds bound) {
  return bound.value > 0 ? fmt::format("{} times the lower bound {}", readable_ratio(share_of(time, bound)), readable_time(bound))
                         : std::string("no lower bound is known");
}

std::string levers_text(const Explanation& e, const ContextStory* story) {
  constexpr std::size_t kShown = 5;
  struct Row {
    const Lever* lever;
    Picoseconds before, after;
  };
  std::vector<Row> rows;
  for (const Lever& l : e.levers) {
    const Row row{&l, story ? story->report.share : e.run.latency, story ? l.shares[story->number] : l.latency};
    if (share_of(row.after, row.before) < 0.9995) rows.push_back(row);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.after < b.after; });
  if (rows.empty()) return {};
  std::string out = fmt::format("  what would help: {} of the same program, one number of the chip twice as good\n",
                                story ? "its share of the time" : "the time");
  for (std::size_t i = 0; i < std::min(kShown, rows.size()); ++i) {
    const Row& row = rows[i];
    const std::string what = fmt::format("--override {}={}", row.lever->change.pointer, row.lever->change.quantity);
    out += fmt::format("    {} {} {}  now {}\n", pad_right(clip(what, 50), 50), pad_left(readable_time(row.after), 12),
                       pad_left(fmt::format("-{:.1f} %", 100 * (1 - share_of(row.after, row.before))), 8), clip(row.lever->from, 18));
  }
  return out + "\n";
}

struct Residence {
  std::size_t stay = 0, all = 0;
  std::int64_t stay_bytes = 0, all_bytes = 0, sent = 0, shared = 0;
};

Residence residence_of(const Explanation& e) {
  Residence sum;
  std::set<std::string> seen;
  for (const ContextStory& c : e.contexts) {
    for (const TensorStory& t : c.tensors) {
      for (const TensorStory::Send& s : t.sends) sum.sent += s.bytes;
      sum.shared += t.shared;
      if (t.role != "activation" || !seen.insert(t.name).second) continue;
      ++sum.all;
      sum.all_bytes += t.bytes;
      if (!t.stays) continue;
      ++sum.stay;
      sum.stay_bytes += t.bytes;
    }
  }
  return sum;
}

/// How the whole is mapped.
std::string mapping_text(const Explanation& e) {
  std::string out = "  why this mapping\n";
  for (const compiler::Decision& d : e.passes) out += wrap(fmt::format("{}: {}", d.subject, d.text), kWidth, 4);
  const Residence sum = residence_of(e);
  if (sum.all > 0) {
    std::string text = fmt::format("residence: {} of {} activations ({} of {}) stay in scratchpads", sum.stay, sum.all,
                                   readable_bytes(sum.stay_bytes), readable_bytes(sum.all_bytes));
    if (sum.stay < sum.all) text += ", the others pass through off-chip memory";
    if (sum.sent > 0) text += fmt::format("; {} are sent from scratchpads to scratchpads", readable_bytes(sum.sent));
    out += wrap(text + "; the fullest scratchpad holds " + readable_bytes(e.run.memory_scratchpad), kWidth, 4);
  }
  if (sum.shared > 0)
    out += wrap(fmt::format("sharing: {} are read from off-chip memory once and handed on to all components that need them",
                            readable_bytes(sum.shared)),
                kWidth, 4);
  std::int64_t early = 0, most = 0, bytes = 0;
  Picoseconds lead{0};
  for (const ContextStory& c : e.contexts) {
    if (c.ahead == 0) continue;
    ++early;
    most = std::max(most, c.ahead);
    bytes += c.early_bytes;
    lead = std::max(lead, c.report.early);
  }
  if (early > 0)
    out += wrap(fmt::format("overlap: {} of {} fetch {} ahead, beside up to {} before them, up to {} before their turn", early,
                            counted(static_cast<std::int64_t>(e.contexts.size()), "context"), readable_bytes(bytes),
                            counted(most, "context"), readable_time(lead)),
                kWidth, 4);
  return out + "\n";
}

std::vector<const ContextStory*> by_share(const Explanation& e) {
  std::vector<const ContextStory*> list;
  for (const ContextStory& c : e.contexts) list.push_back(&c);
  std::stable_sort(list.begin(), list.end(), [](const auto* a, const auto* b) { return a->report.share > b->report.share; });
  return list;
}

std::string worst_text(const Explanation& e, const Paint& paint) {
  constexpr std::size_t kShown = 5;
  const auto list = by_share(e);
  std::string out = fmt::format("  {} {} {} {} {} {}\n", pad_right("contexts that take longest", 40), pad_left("share", 12),
                                pad_left("", 7), pad_left("span", 12), pad_left("of it early", 12), pad_left("gap", 6));
  // Layers that repeat take the same time for the same reason: they are told once.
  std::size_t told = 0, shown = 0;
  for (std::size_t i = 0; i < list.size() && shown < kShown; ++shown) {
    std::size_t alike = 1;
    while (i + alike < list.size() && list[i + alike]->report.share == list[i]->report.share && list[i + alike]->why == list[i]->why)
      ++alike;
    const ContextReport& r = list[i]->report;
    const double gap = r.gap();
    const std::string more = alike > 1 ? fmt::format(" (and {} alike)", alike - 1) : std::string();
    const int columns = 40 - columns_of(more);
    out += fmt::format("  {} {} {} {} {} {}\n", paint.strong(pad_right(clip_front(r.name, columns) + more, 40)),
                       pad_left(readable_time(r.share), 12), pad_left(readable_share(share_of(r.share, e.run.latency)), 7),
                       pad_left(readable_time(r.span), 12), pad_left(r.early.value > 0 ? readable_time(r.early) : "-", 12),
                       pad_left(gap > 0 ? readable_ratio(gap) : "-", 6));
    out += wrap(list[i]->why, kWidth, 6);
    i += alike;
    told = i;
  }
  if (told < list.size()) out += fmt::format("  and {} more (--format json has them all)\n", list.size() - told);
  if (!list.empty()) {
    out += fmt::format("\n  the whole story of one: --context {}\n",
                       list[0]->report.name.find(' ') == std::string::npos ? list[0]->report.name : "'" + list[0]->report.name + "'");
  }
  return out;
}

std::string shape_text(const TensorStory& t) { return fmt::format("{}[{}]", t.format, fmt::join(t.shape, ", ")); }

std::string tensor_text(const TensorStory& t, std::int64_t ahead) {
  std::string text = fmt::format("{} {} {} {}, {}: ", t.write ? "writes" : "reads", t.role, t.name, shape_text(t), readable_bytes(t.bytes));
  if (!t.stays) {
    text += fmt::format("lies off chip, {} {}", readable_bytes(t.moved), t.write ? "written" : "read");
    if (t.shared > 0)
      text += fmt::format(", {} once for all components that need it", t.shared == t.moved ? "all of it" : readable_bytes(t.shared));
    if (t.early) text += ahead > 0 ? fmt::format(", fetched beside up to {} before", counted(ahead, "context")) : ", fetched as it starts";
    return text;
  }
  text += fmt::format("stays in scratchpads, {} each of [{}] ({})", counted(t.components, "component"), fmt::join(t.part, ", "),
                      readable_bytes(t.part_bytes));
  if (t.copies > 1.0005) text += fmt::format(", {:.2f} copies in all", t.copies);
  for (const TensorStory::Send& s : t.sends) {
    if (s.messages == 0) continue;
    text += fmt::format(
        "; {} in {} {}", readable_bytes(s.bytes), counted(s.messages, "message"),
        s.copies ? std::string("to its other copies") : fmt::format("to {} as {}", counted(s.components, "component"), s.buffer));
  }
  return text;
}

/// What speaks against an alternative.
std::string reason_against(const compiler::Alternative& a, const compiler::Alternative& chosen) {
  if (!std::isfinite(a.moves)) return "no mover brings its operands";
  const double alone = a.fetched - chosen.fetched, moves = a.moves - chosen.moves;
  if (alone + moves <= 0) return a.off_chip > chosen.off_chip ? "asks more of off-chip memory" : "no better with the others' choices";
  if (moves > alone) return fmt::format("{} more for values to move", microseconds_of(moves));
  return fmt::format("{} longer on its own", microseconds_of(alone));
}

std::string choice_text(const ContextStory& story) {
  const compiler::Decision& d = story.decision;
  if (d.chosen >= d.alternatives.size()) return {};
  const compiler::Alternative& chosen = d.alternatives[d.chosen];
  std::string out = fmt::format("  mapping, chosen out of {}\n", counted(d.tried, "candidate"));
  out += wrap(d.text, kWidth, 4);
  if (d.alternatives.size() < 2) return out + "\n";
  out += fmt::format("    {} {}\n", pad_left("on its own", 12), pad_left("moves", 12));
  const auto row = [&](const compiler::Alternative& a, const std::string& verdict) {
    const std::string text = fmt::format("{} ({})", a.text.empty() ? "one component, one tile" : a.text, verdict);
    std::string lines = wrap(text, kWidth, 32);
    lines.replace(4, 25, pad_left(microseconds_of(a.fetched), 12) + " " + pad_left(microseconds_of(a.moves), 12));
    return lines;
  };
  out += row(chosen, "chosen");
  constexpr std::size_t kShown = 6;
  std::size_t shown = 0;
  for (std::size_t i = 0; i < d.alternatives.size() && shown < kShown; ++i) {
    if (i == d.chosen) continue;
    ++shown;
    out += row(d.alternatives[i], reason_against(d.alternatives[i], chosen));
  }
  return out + "\n";
}

}  // namespace

std::string print_explanation(const Explanation& e, bool color) {
  const Paint paint(color);
  std::string out = heading(e, paint);
  out += fmt::format("  {} {}   {}; launch {}\n\n", pad_right("time", 12), paint.strong(readable_time(e.run.latency)),
                     gap_of(e.run.latency, e.run.lower_bound), readable_time(e.run.launch));
  out += "  why this time\n";
  for (const std::string& sentence : e.why) out += wrap(sentence, kWidth, 4);
  out += "\n" + levers_text(e, nullptr) + mapping_text(e) + worst_text(e, paint);
  for (const std::string& note : e.run.notes) out += wrap("note: " + note, kWidth, 2);
  return out;
}

std::string print_context(const Explanation& e, const ContextStory& story, bool color) {
  const Paint paint(color);
  const ContextReport& r = story.report;
  std::string out = heading(e, paint);
  out += paint.strong(fmt::format("  context {} ({} of {})", clip_front(r.name, 70), story.number + 1, e.contexts.size())) + "\n";
  out += wrap(fmt::format("operators: {}", fmt::join(r.ops, ", ")), kWidth, 4) + "\n";
  out += fmt::format("  {} {}   {} of the time\n", pad_right("share", 12), paint.strong(pad_left(readable_time(r.share), 12)),
                     readable_share(share_of(r.share, e.run.latency)));
  out += fmt::format("  {} {}   from when it is due to its end: {}\n", pad_right("busy", 12), pad_left(readable_time(r.busy), 12),
                     gap_of(r.busy, r.busy_bound));
  out += fmt::format("  {} {}   from its first activity: {}\n", pad_right("span", 12), pad_left(readable_time(r.span), 12),
                     gap_of(r.span, r.lower_bound));
  if (r.early.value > 0)
    out += fmt::format("  {} {}   of the span, fetching beside earlier contexts\n", pad_right("early", 12),
                       pad_left(readable_time(r.early), 12));
  for (std::size_t c = 0; c < r.attribution.size(); ++c) {
    const double share = share_of(r.attribution[c], r.share);
    if (share > 0)
      out += fmt::format("    {} {} {}  {}\n", pad_right(simulation::kCauseNames[c], 15), pad_left(readable_time(r.attribution[c]), 12),
                         pad_left(readable_share(share), 8), paint.cause(c, bar(share, 50)));
  }
  out += wrap("why: " + story.why, kWidth, 4);
  if (!story.bound.empty()) out += wrap("its bound is the longest of: " + story.bound, kWidth, 4);
  out += "\n";
  if (!story.demands.empty()) {
    out += "  what it asks of each resource\n";
    for (const Demand& d : story.demands) {
      out += fmt::format("    {} {}  {}\n", pad_right(clip(d.resource, 16), 16), pad_left(readable_time(d.time), 12), clip(d.how, 66));
    }
    out += "\n";
  }
  out += levers_text(e, &story) + choice_text(story);
  out += "  tensors\n";
  for (const TensorStory& t : story.tensors) out += wrap(tensor_text(t, story.ahead), kWidth, 4);
  if (story.ahead > 0) {
    const std::string after = story.ahead_after.empty() ? "with the program" : fmt::format("when '{}' has ended", story.ahead_after);
    out += wrap(fmt::format("early movers start {}, {} before this one; {} are fetched by them into {} of each scratchpad", after,
                            counted(story.ahead, "context"), readable_bytes(story.early_bytes), readable_bytes(story.ahead_bytes)),
                kWidth, 4);
  }
  return out;
}

}  // namespace switchyard::report
