#include "report/pivot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "report/table_parts.h"

namespace switchyard::report {
namespace {

std::string exact(double value) { return fmt::format("{:.9g}", value); }

template <class T>
void add_once(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

const RunReport* first_good(const std::vector<RunReport>& runs) {
  const auto found = std::find_if(runs.begin(), runs.end(), [](const RunReport& r) { return !r.error; });
  return found == runs.end() ? nullptr : &*found;
}

std::string name_of(const RunReport& r) { return fmt::format("{} {} batch {}", r.chip.name, r.precision, r.batch); }

double speed_up(const RunReport& r, const RunReport& than) {
  return than.throughput_per_s() > 0 ? r.throughput_per_s() / than.throughput_per_s() : 0;
}

/// How often each batch's work is done in the time in which the first run does it once: samples count, not invocations.
std::string speed_up_text(const RunReport& r, const RunReport& than) { return readable_ratio(speed_up(r, than)); }

std::string bound_by(const RunReport& r) {
  const std::size_t cause = main_cause(r.attribution);
  return fmt::format("{} {:.0f} %", simulation::kCauseNames[cause], share_of(r.attribution[cause], r.latency) * 100);
}

std::string error_line(const RunReport& r) { return fmt::format("{}: {} [{}]", name_of(r), r.error->message, r.error->code); }

std::string headline(const std::vector<RunReport>& runs) {
  std::vector<std::string> chips, precisions;
  std::vector<std::int64_t> batches;
  for (const RunReport& r : runs) {
    add_once(chips, r.chip.name);
    add_once(precisions, r.precision);
    add_once(batches, r.batch);
  }
  const auto count = [](std::size_t n, const char* one, const char* many) { return fmt::format("{} {}", n, n == 1 ? one : many); };
  return fmt::format("{}: {} x {} x {}", runs.front().model.name, count(chips.size(), "chip", "chips"),
                     count(precisions.size(), "precision", "precisions"), count(batches.size(), "batch size", "batch sizes"));
}

}  // namespace

Rows comparison_rows(const std::vector<RunReport>& runs) {
  Rows rows{4, {"model", "chip", "precision", "batch", "latency_us", "lower_bound_us", "gap", "throughput_per_s", "times_as_fast"}, {}};
  for (const char* cause : simulation::kCauseNames) rows.columns.push_back(std::string(cause) + "_us");
  for (const char* column :
       {"mainly", "launch_us", "matrix", "vector", "offchip", "network", "offchip_read_bytes", "offchip_written_bytes", "network_bytes",
        "links_bytes", "memory_offchip_bytes", "memory_scratchpad_bytes", "check", "assumed_numbers", "error"}) {
    rows.columns.emplace_back(column);
  }
  const RunReport* first = first_good(runs);
  for (const RunReport& r : runs) {
    std::vector<std::string> row{r.model.name, r.chip.name, r.precision, std::to_string(r.batch)};
    if (r.error) {
      row.resize(rows.columns.size() - 1);
      row.push_back(fmt::format("{} [{}]", r.error->message, r.error->code));
      rows.cells.push_back(std::move(row));
      continue;
    }
    for (std::string& cell : std::vector<std::string>{exact_microseconds(r.latency), exact_microseconds(r.lower_bound), exact(r.gap()),
                                                      exact(r.throughput_per_s()), exact(speed_up(r, *first))}) {
      row.push_back(std::move(cell));
    }
    for (const Picoseconds part : r.attribution) row.push_back(exact_microseconds(part));
    row.emplace_back(simulation::kCauseNames[main_cause(r.attribution)]);
    row.push_back(exact_microseconds(r.launch));
    for (const double used : {r.utilization.matrix, r.utilization.vector, r.utilization.offchip, r.utilization.network})
      row.push_back(exact(used));
    for (const std::int64_t n : {r.offchip_read, r.offchip_written, r.network_bytes, r.link_bytes, r.memory_offchip, r.memory_scratchpad})
      row.push_back(std::to_string(n));
    row.push_back(check_word(r.check));
    row.push_back(std::to_string(assumed_count(r)));
    row.emplace_back();
    rows.cells.push_back(std::move(row));
  }
  return rows;
}

bool needs_pivot(const std::vector<RunReport>& runs) {
  return std::any_of(runs.begin(), runs.end(),
                     [&](const RunReport& r) { return r.precision != runs.front().precision || r.batch != runs.front().batch; });
}

std::vector<std::pair<std::string, Rows>> pivots(const std::vector<RunReport>& runs) {
  const RunReport* first = first_good(runs);
  if (first == nullptr) return {};
  std::vector<std::pair<std::string, std::string>> lines;  // chip, precision
  std::vector<std::int64_t> batches;
  for (const RunReport& r : runs) {
    add_once(lines, {r.chip.name, r.precision});
    add_once(batches, r.batch);
  }
  // Of each batch size, the run with the greatest throughput is marked.
  std::vector<const RunReport*> best(batches.size(), nullptr);
  for (const RunReport& r : runs) {
    const auto b = static_cast<std::size_t>(std::find(batches.begin(), batches.end(), r.batch) - batches.begin());
    if (!r.error && (best[b] == nullptr || r.throughput_per_s() > best[b]->throughput_per_s())) best[b] = &r;
  }
  const auto table = [&](const std::function<std::string(const RunReport&)>& text, bool marks) {
    Rows rows{2, {"chip", "precision"}, {}};
    for (const std::int64_t b : batches) rows.columns.push_back(fmt::format("batch {}", b));
    for (const auto& [chip, precision] : lines) {
      std::vector<std::string> row{chip, precision};
      for (std::size_t b = 0; b < batches.size(); ++b) {
        const auto run = std::find_if(runs.begin(), runs.end(), [&, c = chip, p = precision](const RunReport& r) {
          return r.chip.name == c && r.precision == p && r.batch == batches[b];
        });
        if (run == runs.end() || run->error) {
          row.emplace_back("-");
        } else {
          row.push_back((marks && lines.size() > 1 && &*run == best[b] ? "* " : "") + text(*run));
        }
      }
      rows.cells.push_back(std::move(row));
    }
    return rows;
  };
  return {{"time of one batch", table([](const RunReport& r) { return readable_time(r.latency); }, true)},
          {"samples per second", table([](const RunReport& r) { return readable_count(r.throughput_per_s()); }, true)},
          {fmt::format("samples per second, in times of {}", name_of(*first)),
           table([&](const RunReport& r) { return speed_up_text(r, *first); }, true)},
          {"what binds most", table(bound_by, false)},
          {"gap to the lower bound", table([](const RunReport& r) { return readable_ratio(r.gap()); }, false)}};
}

std::vector<std::string> best_of(const std::vector<RunReport>& runs) {
  const RunReport *fastest = nullptr, *most = nullptr, *nearest = nullptr, *first = first_good(runs);
  if (first == nullptr) return {};
  for (const RunReport& r : runs) {
    if (r.error) continue;
    if (fastest == nullptr || r.latency < fastest->latency) fastest = &r;
    if (most == nullptr || r.throughput_per_s() > most->throughput_per_s()) most = &r;
    if (r.lower_bound.value > 0 && (nearest == nullptr || r.gap() < nearest->gap())) nearest = &r;
  }
  std::vector<std::string> sentences{
      fmt::format("shortest time: {}, {}, mainly {}", name_of(*fastest), readable_time(fastest->latency), bound_by(*fastest)),
      fmt::format("most samples per second: {}, {} /s, {} times {}, mainly {}", name_of(*most), readable_count(most->throughput_per_s()),
                  speed_up_text(*most, *first), name_of(*first), bound_by(*most))};
  if (nearest != nullptr)
    sentences.push_back(fmt::format("nearest to its bound: {}, gap {}", name_of(*nearest), readable_ratio(nearest->gap())));
  return sentences;
}

std::string print_pivot(const std::vector<RunReport>& runs, const TableStyle& style) {
  if (runs.empty()) return {};
  const Paint paint(style.color);
  std::string out = paint.strong(clip(headline(runs), kWidth)) + "\n";
  if (!runs.front().overrides.empty()) out += wrap(fmt::format("overridden: {}", fmt::join(runs.front().overrides, ", ")), kWidth, 2);
  out += "\n";
  for (const auto& [title, rows] : pivots(runs)) out += "  " + paint.strong(title) + "\n" + print_screen(rows, kWidth) + "\n";
  const std::vector<std::string> sentences = best_of(runs);
  if (!sentences.empty()) out += wrap("* the most samples per second of its batch size", kWidth, 2);
  for (const std::string& sentence : sentences) out += wrap(sentence, kWidth, 2);
  out += findings_of(runs, paint, name_of);
  return out;
}

std::string print_comparison_markdown(const std::vector<RunReport>& runs) {
  if (runs.empty()) return {};
  std::string out = "# " + headline(runs) + "\n\n";
  for (const auto& [title, rows] : pivots(runs)) out += "## " + title + "\n\n" + print_markdown(rows) + "\n";
  for (const std::string& sentence : best_of(runs)) out += "- " + sentence + "\n";
  for (const RunReport& r : runs) {
    if (r.error) out += "- " + error_line(r) + "\n";
    const std::string divergence = describe_divergence(r.check);
    if (!divergence.empty()) out += fmt::format("- {}: {}\n", name_of(r), divergence);
    for (const std::string& note : r.notes) out += fmt::format("- note: {}: {}\n", name_of(r), note);
  }
  return out;
}

}  // namespace switchyard::report
