#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "report/text.h"

namespace switchyard::report {
namespace {

constexpr int kWidth = 100;
constexpr int kLabel = 34;  ///< columns of an operator's name

/// Colours by meaning; empty without a terminal.
struct Paint {
  explicit Paint(bool on) : on_(on) {}
  [[nodiscard]] std::string strong(const std::string& text) const { return on_ ? "\x1b[1m" + text + "\x1b[0m" : text; }
  [[nodiscard]] std::string good(const std::string& text) const { return on_ ? "\x1b[32m" + text + "\x1b[0m" : text; }
  [[nodiscard]] std::string bad(const std::string& text) const { return on_ ? "\x1b[31m" + text + "\x1b[0m" : text; }
  [[nodiscard]] std::string cause(std::size_t c, const std::string& text) const {
    static constexpr std::array<int, 6> kCodes{32, 34, 36, 35, 33, 31};
    return on_ ? fmt::format("\x1b[{}m{}\x1b[0m", kCodes[c], text) : text;
  }

 private:
  bool on_;
};

std::string counted(std::int64_t count, std::string_view what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

double share_of(Picoseconds part, Picoseconds whole) {
  return whole.value > 0 ? static_cast<double>(part.value) / static_cast<double>(whole.value) : 0;
}

std::size_t main_cause(const simulation::Attribution& attribution) {
  return static_cast<std::size_t>(std::max_element(attribution.begin(), attribution.end()) - attribution.begin());
}

/// Contexts by their part of the critical path, the greatest first, at most `count`.
std::vector<const ContextReport*> top_contexts(const RunReport& r, std::size_t count) {
  std::vector<const ContextReport*> contexts;
  for (const ContextReport& c : r.contexts) contexts.push_back(&c);
  std::stable_sort(contexts.begin(), contexts.end(), [](const auto* a, const auto* b) { return a->share > b->share; });
  contexts.resize(std::min(contexts.size(), count));
  return contexts;
}

std::string context_label(const ContextReport& c, int columns) {
  if (c.ops.empty()) return clip_front(c.name, columns);
  const std::string more = c.ops.size() > 1 ? fmt::format(" +{}", c.ops.size() - 1) : "";
  return clip_front(c.ops[0], columns - columns_of(more)) + more;
}

std::string headline(const RunReport& r, const Paint& paint) {
  const std::string text = fmt::format("{} on {}: {}, batch {}", r.model.name, r.chip.name, r.precision, r.batch);
  std::string out = paint.strong(clip(text, kWidth)) + "\n";
  out += fmt::format("  {}, {} MACs, {} parameters; seed {}, switchyard {}\n\n", counted(r.model.ops, "operator"),
                     readable_count(static_cast<double>(r.model.macs)), readable_count(static_cast<double>(r.model.parameters)), r.seed,
                     r.version);
  return out;
}

std::string times(const RunReport& r, const Paint& paint) {
  std::string out;
  out += fmt::format("  {} {}   gap {:.2f} to the lower bound {}\n", pad_right("time", 12),
                     paint.strong(pad_left(readable_time(r.latency), 13)), r.gap(), readable_time(r.lower_bound));
  out += fmt::format("  {} {}   launch {}, datasheet-peak bound {}\n\n", pad_right("throughput", 12),
                     pad_left(readable_count(r.throughput_per_s()) + " /s", 13), readable_time(r.launch), readable_time(r.peak_bound));
  for (std::size_t c = 0; c < r.attribution.size(); ++c) {
    const double share = share_of(r.attribution[c], r.latency);
    out += fmt::format("  {} {} {}{}\n", pad_right(simulation::kCauseNames[c], 15), pad_left(readable_time(r.attribution[c]), 13),
                       pad_left(readable_share(share), 8), share > 0 ? "  " + paint.cause(c, bar(share, 50)) : "");
  }
  return out + "\n";
}

std::string usage(const RunReport& r) {
  std::string out;
  const Utilization& u = r.utilization;
  out += fmt::format("  used         matrix {}, vector {}, off-chip {}, network {}\n", readable_share(u.matrix), readable_share(u.vector),
                     readable_share(u.offchip), readable_share(u.network));
  out += fmt::format("  moved        off-chip read {} (constants {}), written {}; network {}, links {}\n", readable_bytes(r.offchip_read),
                     readable_bytes(r.offchip_constants), readable_bytes(r.offchip_written), readable_bytes(r.network_bytes),
                     readable_bytes(r.link_bytes));
  out += fmt::format("  held         off-chip {}, fullest scratchpad {}\n\n", readable_bytes(r.memory_offchip),
                     readable_bytes(r.memory_scratchpad));
  return out;
}

std::string where(const RunReport& r, const Paint& paint, int top) {
  if (r.contexts.empty()) return {};
  const auto contexts = top_contexts(r, static_cast<std::size_t>(top));
  std::string out =
      fmt::format("  {} {} {} {} {}  mainly\n",
                  pad_right(fmt::format("operators ({})", counted(static_cast<std::int64_t>(r.contexts.size()), "context")), kLabel),
                  pad_left("share", 13), pad_left("", 7), pad_left("span", 13), pad_left("gap", 6));
  for (const ContextReport* c : contexts) {
    const std::size_t cause = main_cause(c->attribution);
    const double gap = share_of(c->span, c->lower_bound);
    out += fmt::format("  {} {} {} {} {}  {}\n", pad_right(context_label(*c, kLabel), kLabel), pad_left(readable_time(c->share), 13),
                       pad_left(readable_share(share_of(c->share, r.latency)), 7), pad_left(readable_time(c->span), 13),
                       pad_left(gap > 0 ? fmt::format("{:.2f}", gap) : "-", 6), paint.cause(cause, simulation::kCauseNames[cause]));
  }
  if (r.contexts.size() > contexts.size()) {
    Picoseconds rest{0};
    for (const ContextReport& c : r.contexts) rest += c.share;
    for (const ContextReport* c : contexts) rest = rest - c->share;
    out += fmt::format("  {} {} {}\n", pad_right(fmt::format("{} more", r.contexts.size() - contexts.size()), kLabel),
                       pad_left(readable_time(rest), 13), pad_left(readable_share(share_of(rest, r.latency)), 7));
  }
  return out + "\n";
}

std::string outputs(const RunReport& r) {
  std::string out;
  constexpr std::size_t kShown = 4;
  for (std::size_t k = 0; k < std::min(kShown, r.outputs.size()); ++k) {
    const OutputReport& o = r.outputs[k];
    const std::string what = fmt::format("{}[{}] {}", o.name, fmt::join(o.shape, ", "), o.format);
    out += fmt::format("  output       {} sha256 {}...\n", clip(what, 56), o.sha256.substr(0, 16));
  }
  if (r.outputs.size() > kShown) out += fmt::format("  {:12} {} more outputs\n", "", r.outputs.size() - kShown);
  return out;
}

std::string check_line(const RunReport& r, const Paint& paint) {
  const CheckReport& c = r.check;
  if (!c.executed) return "  check        not executed: times only\n";
  if (c.against == "none") return "  check        executed, compared with nothing\n";
  std::string out =
      fmt::format("  check        {} against {}: {} values of {}\n", c.passed ? paint.good("passed") : paint.bad("FAILED"),
                  c.against == "expect" ? "expected outputs" : "the reference evaluator", c.points, counted(c.outputs, "tensor"));
  out += wrap(fmt::format("greatest error {:.3g}, cosine {:.9f}; tolerance: {}", c.max_abs_error, c.cosine, c.rule), kWidth, 15);
  const std::string divergence = describe_divergence(c);
  if (!divergence.empty()) out += paint.bad(wrap(divergence, kWidth, 15));
  return out;
}

std::string footing(const RunReport& r) {
  std::string out;
  for (const std::string& note : r.notes) out += wrap("note: " + note, kWidth, 2);
  std::int64_t calibrated = 0;
  std::vector<std::string> named;
  for (const AssumptionReport& a : r.assumptions) {
    if (a.confidence == "calibrated") {
      ++calibrated;
    } else {
      named.push_back(fmt::format("{} = {}", a.field, a.value));
    }
  }
  const std::size_t assumed = named.size();
  constexpr std::size_t kShown = 6;
  if (named.size() > kShown) {
    named.resize(kShown);
    named.push_back(fmt::format("and {} more (--format json lists them)", assumed - kShown));
  }
  std::string text = fmt::format("rests on {}", counted(static_cast<std::int64_t>(assumed), "assumed number"));
  if (calibrated > 0) text += fmt::format(" and {} calibrated", calibrated);
  if (!named.empty()) text += fmt::format(": {}", fmt::join(named, "; "));
  return out + wrap(text, kWidth, 2);
}

}  // namespace

std::string describe_divergence(const CheckReport& check) {
  if (check.passed || !check.first) return {};
  const Divergence& d = *check.first;
  std::string text = fmt::format("first diverging operator: {}", d.op.empty() ? "(unknown)" : d.op);
  if (!d.context.empty()) text += fmt::format(" (context {})", d.context);
  text += fmt::format(", {}[{}] is {:.9g}, expected {:.9g}, allowed error {:.3g}", d.tensor, fmt::join(d.index, ", "), d.got, d.expected,
                      d.tolerance);
  if (!d.fused.empty()) text += fmt::format("; computed together with {}", fmt::join(d.fused, ", "));
  if (check.operators_agree) {
    text +=
        "; every operator agrees with the reference evaluator on its own inputs, so the difference is one of precision or of the "
        "expectation";
  }
  return text;
}

std::string print_table(const RunReport& report, const TableStyle& style) {
  const Paint paint(style.color);
  return headline(report, paint) + times(report, paint) + usage(report) + where(report, paint, style.top) + outputs(report) +
         check_line(report, paint) + footing(report);
}

std::string print_comparison(const std::vector<RunReport>& runs, const TableStyle& style) {
  const Paint paint(style.color);
  if (runs.empty()) return {};
  const RunReport& first = runs.front();
  std::string out = paint.strong(clip(fmt::format("{}: {}, batch {}", first.model.name, first.precision, first.batch), kWidth)) + "\n\n";
  int name_width = 4;
  for (const RunReport& r : runs) name_width = std::max(name_width, std::min(12, columns_of(r.chip.name)));
  out += fmt::format("  {} {} {} {}  {}  {} {} {}\n", pad_right("chip", name_width), pad_left("time", 10), pad_left("bound", 10),
                     pad_left("gap", 5), "comp mem  net reconf ctl imbal", pad_left("matrix", 7), pad_left("offchip", 7), "check");
  for (const RunReport& r : runs) {
    const std::string name = paint.strong(pad_right(clip(r.chip.name, name_width), name_width));
    if (r.error) {
      std::string text = wrap(r.error->message + " [" + r.error->code + "]", kWidth, name_width + 3);
      text.replace(0, static_cast<std::size_t>(name_width + 3), "  " + name + " ");
      out += text;
      continue;
    }
    const auto percent = [&](std::size_t c) { return fmt::format("{:.0f}%", share_of(r.attribution[c], r.latency) * 100); };
    const std::string check = !r.check.executed           ? "-"
                              : r.check.against == "none" ? "none"
                              : r.check.passed            ? paint.good("ok")
                                                          : paint.bad("FAILED");
    out += fmt::format("  {} {} {} {}  {} {} {} {} {} {}  {} {} {}\n", name, pad_left(readable_time(r.latency), 10),
                       pad_left(readable_time(r.lower_bound), 10), pad_left(fmt::format("{:.2f}", r.gap()), 5),
                       paint.cause(0, pad_left(percent(0), 4)), paint.cause(1, pad_left(percent(1), 4)),
                       paint.cause(2, pad_left(percent(2), 4)), paint.cause(3, pad_left(percent(3), 6)),
                       paint.cause(4, pad_left(percent(4), 4)), paint.cause(5, pad_left(percent(5), 5)),
                       pad_left(readable_share(r.utilization.matrix), 7), pad_left(readable_share(r.utilization.offchip), 7), check);
  }
  if (std::any_of(runs.begin(), runs.end(), [](const RunReport& r) { return !r.error; })) out += "\n  where the time goes\n";
  for (const RunReport& r : runs) {
    if (r.error) continue;
    std::string line;
    for (const ContextReport* c : top_contexts(r, 3)) {
      line += fmt::format("{}{} {} ({})", line.empty() ? "" : ", ", context_label(*c, 28), readable_share(share_of(c->share, r.latency)),
                          simulation::kCauseNames[main_cause(c->attribution)]);
    }
    std::string text = wrap(line, kWidth, name_width + 3);
    if (text.empty()) continue;
    text.replace(0, static_cast<std::size_t>(name_width + 3),
                 "  " + paint.strong(pad_right(clip(r.chip.name, name_width), name_width)) + " ");
    out += text;
  }
  for (const RunReport& r : runs) {
    const std::string divergence = describe_divergence(r.check);
    if (!divergence.empty()) out += paint.bad(wrap(r.chip.name + ": " + divergence, kWidth, 2));
  }
  std::string rests;
  for (const RunReport& r : runs) {
    if (r.error) continue;
    const auto assumed = std::count_if(r.assumptions.begin(), r.assumptions.end(), [](const auto& a) { return a.confidence == "assumed"; });
    rests += fmt::format("{}{} {}", rests.empty() ? "" : ", ", r.chip.name, assumed);
  }
  if (!rests.empty()) out += "\n" + wrap("assumed numbers under each: " + rests, kWidth, 2);
  return out;
}

}  // namespace switchyard::report
