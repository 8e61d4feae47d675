// Several runs of one model side by side: a column for each chip, as many as fit the screen.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "report/table.h"
#include "report/table_parts.h"

namespace switchyard::report {
namespace {

constexpr std::size_t kMostColumns = 4;
constexpr int kLeastLabel = 20;

using Runs = std::vector<const RunReport*>;
/// What a chip has to say in a row; given the width of its column.
using Cell = std::function<std::string(const RunReport&, int)>;

/// Does a context hold the first operator of another, of whatever chip?
bool holds(const ContextReport& c, const ContextReport& other) {
  if (c.ops.empty() || other.ops.empty()) return c.name == other.name;
  return std::find(c.ops.begin(), c.ops.end(), other.ops[0]) != c.ops.end();
}

class Columns {
 public:
  Columns(Runs runs, const Paint& paint, int top) : runs_(std::move(runs)), paint_(paint), top_(top) {
    const int chips = static_cast<int>(runs_.size());
    width_ = std::min(31, (kWidth - 2 - kLeastLabel - (chips < 4 ? 4 : 0)) / std::max(1, chips) - 1);
    label_ = std::min(36, kWidth - 2 - chips * (width_ + 1));
  }

  [[nodiscard]] std::string text() const {
    std::string out = heading("", [](const RunReport& r, int w) { return clip(r.chip.name, w); });
    out += row("time", [&](const RunReport& r, int) { return readable_time(r.latency); });
    if (runs_.size() > 1) {
      const double first = static_cast<double>(runs_.front()->latency.value);
      out += row("  times as fast", [&](const RunReport& r, int) { return readable_ratio(first / static_cast<double>(r.latency.value)); });
    }
    out += row("throughput", [](const RunReport& r, int) { return readable_count(r.throughput_per_s()) + " /s"; });
    out += row("lower bound", [](const RunReport& r, int) { return readable_time(r.lower_bound); });
    out += row("gap to it", [](const RunReport& r, int) { return readable_ratio(r.gap()); });
    out += "\n" + causes() + "\n";
    out += row("matrix used", [](const RunReport& r, int) { return readable_share(r.utilization.matrix); });
    out += row("vector used", [](const RunReport& r, int) { return readable_share(r.utilization.vector); });
    out += row("off-chip used", [](const RunReport& r, int) { return readable_share(r.utilization.offchip); });
    out += row("network used", [](const RunReport& r, int) { return readable_share(r.utilization.network); });
    out += row("off-chip moved", [](const RunReport& r, int) { return readable_bytes(r.offchip_read + r.offchip_written); });
    out += "\n" + operators() + "\n";
    out += row("check", [](const RunReport& r, int) { return check_word(r.check); });
    out += row("assumed numbers", [](const RunReport& r, int) { return std::to_string(assumed_count(r)); });
    return out;
  }

 private:
  [[nodiscard]] std::string line(const std::string& label, const Cell& cell,
                                 const std::function<std::string(const std::string&)>& paint) const {
    std::string out = "  " + pad_right(clip(label, label_), label_);
    for (const RunReport* r : runs_) out += " " + paint(pad_left(cell(*r, width_), width_));
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out + "\n";
  }
  [[nodiscard]] std::string row(const std::string& label, const Cell& cell) const {
    return line(label, cell, [](const std::string& text) { return text; });
  }
  [[nodiscard]] std::string heading(const std::string& label, const Cell& cell) const {
    return line(label, cell, [&](const std::string& text) { return paint_.strong(text); });
  }

  [[nodiscard]] std::string causes() const {
    std::string out = "  " + paint_.strong("where the time goes") + "\n";
    for (std::size_t c = 0; c < simulation::kCauseNames.size(); ++c) {
      out += line(
          simulation::kCauseNames[c],
          [&](const RunReport& r, int w) {
            const std::string share = pad_left(readable_share(share_of(r.attribution[c], r.latency)), 7);
            return w < 18 ? share : readable_time(r.attribution[c]) + " " + share;
          },
          [&](const std::string& text) { return paint_.cause(c, text); });
      if (static_cast<simulation::Cause>(c) == simulation::Cause::control)
        out += row("  launch, in it", [](const RunReport& r, int w) {
          const std::string share = pad_left(readable_share(share_of(r.launch, r.latency)), 7);
          return w < 18 ? share : readable_time(r.launch) + " " + share;
        });
    }
    return out;
  }

  /// The operators with the largest shares on any of the chips.
  [[nodiscard]] std::string operators() const {
    struct Candidate {
      const ContextReport* context;
      double share;
    };
    std::vector<Candidate> candidates;
    for (const RunReport* r : runs_) {
      for (const ContextReport& c : r->contexts) candidates.push_back({&c, share_of(c.share, r->latency)});
    }
    std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.share > b.share; });
    std::string out =
        heading("operators", [](const RunReport& r, int) { return counted(static_cast<std::int64_t>(r.contexts.size()), "context"); });
    std::vector<const ContextReport*> told;
    for (const Candidate& candidate : candidates) {
      if (static_cast<int>(told.size()) == top_) break;
      const bool known = std::any_of(
          told.begin(), told.end(), [&](const ContextReport* c) { return holds(*c, *candidate.context) || holds(*candidate.context, *c); });
      if (known) continue;
      told.push_back(candidate.context);
      out += row(context_label(*candidate.context, label_), [&](const RunReport& r, int w) -> std::string {
        const auto c =
            std::find_if(r.contexts.begin(), r.contexts.end(), [&](const auto& held) { return holds(held, *candidate.context); });
        if (c == r.contexts.end()) return "-";
        std::string text = readable_time(c->share);
        if (w >= 18) text += " " + pad_left(readable_share(share_of(c->share, r.latency)), 7);
        if (w >= 31) text += " " + pad_right(std::string(simulation::kCauseNames[main_cause(c->attribution)]).substr(0, 12), 12);
        return text;
      });
    }
    return out;
  }

  Runs runs_;
  const Paint& paint_;
  int top_, width_ = 0, label_ = 0;
};

}  // namespace

std::string print_comparison(const std::vector<RunReport>& runs, const TableStyle& style) {
  const Paint paint(style.color);
  if (runs.empty()) return {};
  const RunReport& first = runs.front();
  std::string out = paint.strong(clip(fmt::format("{}: {}, batch {}", first.model.name, first.precision, first.batch), kWidth)) + "\n";
  out += fmt::format("  {}, {} MACs, {} parameters\n\n", counted(first.model.ops, "operator"),
                     readable_count(static_cast<double>(first.model.macs)), readable_count(static_cast<double>(first.model.parameters)));
  if (!first.overrides.empty())
    out.insert(out.size() - 1, wrap(fmt::format("overridden: {}", fmt::join(first.overrides, ", ")), kWidth, 2));
  Runs good;
  for (const RunReport& r : runs) {
    if (!r.error) good.push_back(&r);
  }
  for (std::size_t begin = 0; begin < good.size(); begin += kMostColumns) {
    const std::size_t end = std::min(good.size(), begin + kMostColumns);
    const Runs block(good.begin() + static_cast<std::ptrdiff_t>(begin), good.begin() + static_cast<std::ptrdiff_t>(end));
    out += Columns(block, paint, style.top).text() + "\n";
  }
  out += findings_of(runs, paint, [](const RunReport& r) { return r.chip.name; });
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace switchyard::report
