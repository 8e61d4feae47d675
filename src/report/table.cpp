#include "report/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "report/layers.h"
#include "report/table_parts.h"

namespace switchyard::report {
namespace {

constexpr int kLabel = 34;  ///< columns of an operator's name

/// Contexts by their part of the critical path, the greatest first, at most `count`.
std::vector<const ContextReport*> top_contexts(const RunReport& r, std::size_t count) {
  std::vector<const ContextReport*> contexts;
  for (const ContextReport& c : r.contexts) contexts.push_back(&c);
  std::stable_sort(contexts.begin(), contexts.end(), [](const auto* a, const auto* b) { return a->share > b->share; });
  contexts.resize(std::min(contexts.size(), count));
  return contexts;
}

std::string headline(const RunReport& r, const Paint& paint) {
  const std::string text =
      fmt::format("{} on {}: {}batch {}", r.model.name, r.chip.name, r.precision.empty() ? "" : r.precision + ", ", r.batch);
  std::string out = paint.strong(clip(text, kWidth)) + "\n";
  if (!r.partial.empty()) out += paint.bad(wrap("PARTIAL: " + r.partial, kWidth, 2));
  out += fmt::format("  {}, {} MACs, {} parameters; seed {}, switchyard {}\n\n", counted(r.model.ops, "operator"),
                     readable_count(static_cast<double>(r.model.macs)), readable_count(static_cast<double>(r.model.parameters)), r.seed,
                     r.version);
  if (!r.overrides.empty()) out.insert(out.size() - 1, wrap(fmt::format("overridden: {}", fmt::join(r.overrides, ", ")), kWidth, 2));
  return out;
}

std::string times(const RunReport& r, const Paint& paint) {
  std::string out;
  const std::string bound = r.lower_bound.value > 0
                                ? fmt::format("gap {} to the lower bound {}", readable_ratio(r.gap()), readable_time(r.lower_bound))
                                : "the program names no lower bound";
  out += fmt::format("  {} {}   {}\n", pad_right("time", 12), paint.strong(pad_left(readable_time(r.latency), 13)), bound);
  out += fmt::format("  {} {}   launch {}{}{}\n\n", pad_right("throughput", 12), pad_left(readable_count(r.throughput_per_s()) + " /s", 13),
                     readable_time(r.launch), r.peak_bound.value > 0 ? ", datasheet-peak bound " + readable_time(r.peak_bound) : "",
                     r.load && r.load->value > 0 ? ", load once " + readable_time(*r.load) : "");
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
  out += fmt::format("  used         matrix {}{}, vector {}, off-chip {}, network {}\n", readable_share(u.matrix),
                     u.on_lanes ? fmt::format(" (on {})", fmt::join(u.multiplied_on, ", ")) : std::string(), readable_share(u.vector),
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
  const auto early = std::count_if(r.contexts.begin(), r.contexts.end(), [](const ContextReport& c) { return c.early.value > 0; });
  const int label = early > 0 ? kLabel - 8 : kLabel, time = early > 0 ? 11 : 13;
  const std::string head = fmt::format("operators ({})", counted(static_cast<std::int64_t>(r.contexts.size()), "context"));
  std::string out = fmt::format("  {} {} {} {}{} {}  mainly\n", pad_right(clip(head, label), label), pad_left("share", time),
                                pad_left("", 7), pad_left("span", time), early > 0 ? pad_left("of it early", 13) : "", pad_left("gap", 6));
  for (const ContextReport* c : contexts) {
    const std::size_t cause = main_cause(c->attribution);
    const double gap = c->gap();
    out += fmt::format("  {} {} {} {}{} {}  {}\n", pad_right(context_label(*c, label), label), pad_left(readable_time(c->share), time),
                       pad_left(readable_share(share_of(c->share, r.latency)), 7), pad_left(readable_time(c->span), time),
                       early > 0 ? pad_left(c->early.value > 0 ? readable_time(c->early) : "-", 13) : "",
                       pad_left(gap > 0 ? readable_ratio(gap) : "-", 6), paint.cause(cause, simulation::kCauseNames[cause]));
  }
  if (r.contexts.size() > contexts.size()) {
    Picoseconds rest{0};
    for (const ContextReport& c : r.contexts) rest += c.share;
    for (const ContextReport* c : contexts) rest = rest - c->share;
    out += fmt::format("  {} {} {}\n", pad_right(fmt::format("{} more", r.contexts.size() - contexts.size()), label),
                       pad_left(readable_time(rest), time), pad_left(readable_share(share_of(rest, r.latency)), 7));
  }
  if (early > 0) {
    out += fmt::format(
        "  {} of {} begin early, fetching beside those before: spans overlap, shares add up;\n  gaps count from when each is due\n", early,
        counted(static_cast<std::int64_t>(r.contexts.size()), "context"));
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

/// An error says little without the value that it is of.
std::string error_of(double error, double expected) {
  return error > 0 ? fmt::format("{:.3g} (of {:.4g})", error, expected) : std::string("0");
}

std::string check_line(const RunReport& r, const Paint& paint) {
  const CheckReport& c = r.check;
  if (!c.executed) return r.partial.empty() ? "  check        not executed: times only\n" : "  check        not finished\n";
  if (c.against == "none") return "  check        executed, compared with nothing\n";
  std::string out =
      fmt::format("  check        {} against {}: {} values of {}\n", c.passed ? paint.good("passed") : paint.bad("FAILED"),
                  c.against == "expect" ? "expected outputs" : "the reference evaluator", c.points, counted(c.outputs, "tensor"));
  const std::string allowed =
      std::isfinite(c.worst_share) ? fmt::format(", at most {:.0f} % of what is allowed", std::ceil(c.worst_share * 100)) : "";
  out += wrap(fmt::format("greatest error {}{}; cosine {:.9f}; tolerance: {}", error_of(c.max_abs_error, c.max_abs_error_of), allowed,
                          c.cosine, c.rule),
              kWidth, 15);
  const std::string divergence = describe_divergence(c);
  if (!divergence.empty()) out += paint.bad(wrap(divergence, kWidth, 15));
  return out;
}

/// Errors against fp32, and what quantisation brought for them.
std::string accuracy_lines(const RunReport& r) {
  std::string out;
  if (r.accuracy) {
    const Accuracy& a = *r.accuracy;
    const std::string noise = std::isfinite(a.snr_db) ? fmt::format("signal to noise {:.1f} dB", a.snr_db) : "no difference";
    out += wrap(fmt::format("against      fp32: {}; cosine {:.9f}; relative error {:.3g} (root mean square); greatest error {}", noise,
                            a.cosine, a.rms_rel_error, error_of(a.max_abs_error, a.max_abs_error_of)),
                kWidth, 2);
  }
  if (r.quantised) {
    const QuantiseReport& q = *r.quantised;
    out += wrap(fmt::format("quantised    {} ({}): {} without it, {:.2f} times as fast with it{}", q.scheme, q.calibration,
                            readable_time(q.unquantised), share_of(q.unquantised, r.latency),
                            q.native ? "" : "; the chip does not multiply the format, only accuracy is that of it"),
                kWidth, 2);
  }
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

std::string readable_ratio(double ratio) {
  if (ratio < 1000) return fmt::format("{:.2f}", ratio);
  return ratio < 100000 ? fmt::format("{:.0f}", ratio) : "> 1e5";
}

std::string describe_divergence(const CheckReport& check) {
  if (check.passed || !check.first) return {};
  const Divergence& d = *check.first;
  std::string text = d.copies.empty() ? fmt::format("first diverging operator: {}", d.op.empty() ? "(unknown)" : d.op) : d.copies;
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
  const std::string contexts = style.layers ? print_screen(readable_layers(report), kWidth) + "\n" : where(report, paint, style.top);
  return headline(report, paint) + times(report, paint) + usage(report) + contexts + outputs(report) + check_line(report, paint) +
         accuracy_lines(report) + footing(report);
}

}  // namespace switchyard::report
