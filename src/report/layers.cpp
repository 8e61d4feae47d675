#include "report/layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "report/table.h"
#include "report/table_parts.h"

namespace switchyard::report {
namespace {

std::string exact(double value) { return fmt::format("{:.9g}", value); }
std::string exact(std::optional<double> value) { return value ? exact(*value) : std::string(); }

}  // namespace

Rows layer_rows(const RunReport& r) {
  Rows rows{3, {"number", "context", "operators", "repeat", "macs", "vector_ops", "offchip_read_bytes", "offchip_written_bytes"}, {}};
  for (const char* column : {"ops_per_byte", "share_us", "share", "span_us", "busy_us", "busy_bound_us", "lower_bound_us", "gap", "mainly"})
    rows.columns.emplace_back(column);
  for (const char* cause : simulation::kCauseNames) rows.columns.push_back(std::string(cause) + "_us");
  for (std::size_t i = 0; i < r.contexts.size(); ++i) {
    const ContextReport& c = r.contexts[i];
    std::vector<std::string> row{std::to_string(i),
                                 c.name,
                                 fmt::format("{}", fmt::join(c.ops, " ")),
                                 std::to_string(c.repeat),
                                 std::to_string(c.macs),
                                 std::to_string(c.vector_ops),
                                 std::to_string(c.offchip_read),
                                 std::to_string(c.offchip_written),
                                 exact(c.intensity()),
                                 exact_microseconds(c.share),
                                 exact(share_of(c.share, r.latency)),
                                 exact_microseconds(c.span),
                                 exact_microseconds(c.busy),
                                 exact_microseconds(c.busy_bound),
                                 exact_microseconds(c.lower_bound),
                                 c.gap() > 0 ? exact(c.gap()) : "",
                                 c.share.value > 0 ? simulation::kCauseNames[main_cause(c.attribution)] : ""};
    for (const Picoseconds part : c.attribution) row.push_back(exact_microseconds(part));
    rows.cells.push_back(std::move(row));
  }
  return rows;
}

Rows readable_layers(const RunReport& r) {
  constexpr int kName = 30;
  Rows rows{1, {"layer", "MACs", "off-chip", "op/B", "time", "share", "bound", "gap", "mainly"}, {}};
  for (const ContextReport& c : r.contexts) {
    const std::optional<double> intensity = c.intensity();
    rows.cells.push_back({context_label(c, kName), c.macs > 0 ? readable_count(static_cast<double>(c.macs)) : "-",
                          readable_bytes(c.offchip_read + c.offchip_written), intensity ? fmt::format("{:.1f}", *intensity) : "-",
                          readable_time(c.share), readable_share(share_of(c.share, r.latency)),
                          c.busy_bound.value > 0 ? readable_time(c.busy_bound) : "-", c.gap() > 0 ? readable_ratio(c.gap()) : "-",
                          c.share.value > 0 ? simulation::kCauseNames[main_cause(c.attribution)] : "hidden"});
  }
  return rows;
}

std::string print_markdown(const RunReport& r) {
  std::string out = fmt::format("# {} on {}: {}batch {}\n\n", clip(r.model.name, kWidth), r.chip.name,
                                r.precision.empty() ? "" : r.precision + ", ", r.batch);
  if (!r.partial.empty()) out += fmt::format("**Partial**: {}\n\n", r.partial);
  Rows facts{1, {"what", "value"}, {}};
  const auto fact = [&](std::string what, std::string value) { facts.cells.push_back({std::move(what), std::move(value)}); };
  fact("time", readable_time(r.latency));
  fact("lower bound", r.lower_bound.value > 0 ? readable_time(r.lower_bound) : "-");
  fact("gap", r.lower_bound.value > 0 ? readable_ratio(r.gap()) : "-");
  fact("throughput", readable_count(r.throughput_per_s()) + " /s");
  fact("launch", readable_time(r.launch));
  fact("operators", std::to_string(r.model.ops));
  fact("MACs", readable_count(static_cast<double>(r.model.macs)));
  fact("parameters", readable_count(static_cast<double>(r.model.parameters)));
  fact("off-chip read (constants)", fmt::format("{} ({})", readable_bytes(r.offchip_read), readable_bytes(r.offchip_constants)));
  fact("off-chip written", readable_bytes(r.offchip_written));
  fact(r.utilization.on_lanes ? fmt::format("matrix (on {}), vector used", fmt::join(r.utilization.multiplied_on, ", "))
                              : std::string("matrix, vector used"),
       readable_share(r.utilization.matrix) + ", " + readable_share(r.utilization.vector));
  fact("off-chip, network used", readable_share(r.utilization.offchip) + ", " + readable_share(r.utilization.network));
  if (!r.overrides.empty()) fact("overridden", fmt::format("{}", fmt::join(r.overrides, ", ")));
  fact("check", check_word(r.check));
  out += print_markdown(facts) + "\n## Where the time goes\n\n";
  Rows causes{1, {"cause", "time", "share"}, {}};
  for (std::size_t c = 0; c < r.attribution.size(); ++c)
    causes.cells.push_back(
        {simulation::kCauseNames[c], readable_time(r.attribution[c]), readable_share(share_of(r.attribution[c], r.latency))});
  out += print_markdown(causes) + "\n## Layers\n\n" + print_markdown(readable_layers(r));
  const std::string divergence = describe_divergence(r.check);
  if (!divergence.empty()) out += "\n**Check failed**: " + divergence + "\n";
  if (!r.notes.empty()) out += "\n## Notes\n\n";
  for (const std::string& note : r.notes) out += "- " + note + "\n";
  return out;
}

}  // namespace switchyard::report
