#include "report/json.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "report/conform.h"
#include "report/diff.h"
#include "report/distribution.h"
#include "report/explain.h"
#include "report/text.h"
#include "report/validation.h"

namespace switchyard::report {
namespace {

using Json = nlohmann::ordered_json;

/// A number whose text is ours. JSON has no binary values, so the library's serve as the mark of such texts; write() prints them bare.
Json number(const std::string& text) { return Json::binary({text.begin(), text.end()}); }

Json time_us(Picoseconds time) { return number(exact_microseconds(time)); }
Json real(double value) { return std::isfinite(value) ? number(fmt::format("{:.9g}", value)) : Json(nullptr); }
Json seconds(double value) { return number(fmt::format("{:.6f}", value)); }

std::string scalar_text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string inline_text(const Json& value) {
  if (value.is_binary()) return {value.get_binary().begin(), value.get_binary().end()};
  if (!value.is_structured()) return scalar_text(value);
  std::string text;
  for (auto item = value.begin(); item != value.end(); ++item) {
    if (!text.empty()) text += ", ";
    if (value.is_object()) text += scalar_text(Json(item.key())) + ": ";
    text += inline_text(*item);
  }
  return (value.is_object() ? "{" : "[") + text + (value.is_object() ? "}" : "]");
}

/// One line where it is short, else one entry a line: short enough to read, regular enough to diff.
void write(const Json& value, int indent, std::string& out) {
  constexpr std::size_t kLongestLine = 140;
  std::string line = inline_text(value);
  if (!value.is_structured() || (indent > 0 && line.size() + static_cast<std::size_t>(indent) <= kLongestLine)) {
    out += line;
    return;
  }
  const std::string margin(static_cast<std::size_t>(indent) + 2, ' ');
  out += value.is_object() ? "{" : "[";
  const char* separator = "\n";
  for (auto item = value.begin(); item != value.end(); ++item) {
    out += separator + margin;
    separator = ",\n";
    if (value.is_object()) out += scalar_text(Json(item.key())) + ": ";
    write(*item, indent + 2, out);
  }
  out += "\n" + std::string(static_cast<std::size_t>(indent), ' ') + (value.is_object() ? "}" : "]");
}

std::string document(const Json& value) {
  std::string text;
  write(value, 0, text);
  return text + "\n";
}

Json attribution(const simulation::Attribution& by_cause) {
  Json result = Json::object();
  for (std::size_t c = 0; c < by_cause.size(); ++c) result[simulation::kCauseNames[c]] = time_us(by_cause[c]);
  return result;
}

Json model_json(const RunReport& r) {
  return {
      {"name", r.model.name}, {"sha256", r.model.sha256}, {"ops", r.model.ops}, {"macs", r.model.macs}, {"parameters", r.model.parameters}};
}

Json chip_json(const RunReport& r) { return {{"name", r.chip.name}, {"sha256", r.chip.sha256}}; }

Json check_json(const CheckReport& check) {
  Json result = {{"executed", check.executed}};
  if (!check.executed) return result;
  const bool compared = check.against != "none";
  // Not compared is neither passed nor failed, and has no error.
  const auto when_compared = [&](Json value) { return compared ? std::move(value) : Json(nullptr); };
  result["against"] = check.against;
  result["outputs"] = check.outputs;
  result["max_abs_error"] = when_compared(real(check.max_abs_error));
  result["max_abs_error_of"] = when_compared(real(check.max_abs_error_of));
  result["max_rel_error"] = when_compared(real(check.max_rel_error));
  result["share_of_allowed"] = when_compared(real(check.worst_share));
  result["cosine"] = when_compared(real(check.cosine));
  result["passed"] = when_compared(check.passed);
  if (!compared) return result;
  result["points"] = check.points;
  result["tolerance"] = check.rule;
  if (check.first) {
    const Divergence& d = *check.first;
    result["first_divergence"] = {{"op", d.op},           {"tensor", d.tensor},           {"index", d.index},
                                  {"got", real(d.got)},   {"expected", real(d.expected)}, {"tolerance", real(d.tolerance)},
                                  {"context", d.context}, {"fused_with", d.fused}};
    if (!d.copies.empty()) result["first_divergence"]["copies"] = d.copies;
  }
  return result;
}

Json accuracy_json(const Accuracy& a) {
  Json outputs = Json::array();
  for (const Accuracy::Output& o : a.outputs) outputs.push_back({{"name", o.name}, {"cosine", real(o.cosine)}, {"snr_db", real(o.snr_db)}});
  return {{"reference", a.reference},
          {"max_abs_error", real(a.max_abs_error)},
          {"max_abs_error_of", real(a.max_abs_error_of)},
          {"max_rel_error", real(a.max_rel_error)},
          {"rms_rel_error", real(a.rms_rel_error)},
          {"cosine", real(a.cosine)},
          {"snr_db", real(a.snr_db)},
          {"outputs", outputs}};
}

Json contexts_json(const std::vector<ContextReport>& contexts) {
  Json result = Json::array();
  for (const ContextReport& c : contexts) {
    result.push_back({{"name", c.name},
                      {"ops", c.ops},
                      {"repeat", c.repeat},
                      {"span_us", time_us(c.span)},
                      {"busy_us", time_us(c.busy)},
                      {"busy_bound_us", time_us(c.busy_bound)},
                      {"share_us", time_us(c.share)},
                      {"lower_bound_us", time_us(c.lower_bound)},
                      {"macs", c.macs},
                      {"vector_ops", c.vector_ops},
                      {"offchip_bytes", {{"read", c.offchip_read}, {"written", c.offchip_written}}},
                      {"attribution_us", attribution(c.attribution)}});
  }
  return result;
}

Json provenance_json(const RunReport& r) {
  return {{"version", r.version}, {"seed", r.seed}, {"argv", r.argv}, {"overrides", r.overrides}, {"disabled", r.disabled}};
}

Json run_json(const RunReport& r) {
  Json j = {
      {"schema", "switchyard/run/1"}, {"model", model_json(r)}, {"chip", chip_json(r)}, {"precision", r.precision}, {"batch", r.batch}};
  if (r.error) {
    j["error"] = {{"code", r.error->code}, {"message", r.error->message}, {"hint", r.error->hint}};
    j["provenance"] = provenance_json(r);
    return j;
  }
  if (!r.partial.empty()) j["partial"] = r.partial;
  j["latency_us"] = time_us(r.latency);
  j["lower_bound_us"] = time_us(r.lower_bound);
  j["gap"] = real(r.gap());
  j["peak_bound_us"] = time_us(r.peak_bound);
  j["throughput_per_s"] = real(r.throughput_per_s());
  j["energy_j"] = nullptr;
  j["attribution_us"] = attribution(r.attribution);
  j["utilization"] = {{"matrix", real(r.utilization.matrix)},
                      {"vector", real(r.utilization.vector)},
                      {"offchip", real(r.utilization.offchip)},
                      {"network", real(r.utilization.network)}};
  j["traffic_bytes"] = {{"offchip_read", r.offchip_read},
                        {"offchip_written", r.offchip_written},
                        {"offchip_constants", r.offchip_constants},
                        {"network", r.network_bytes},
                        {"links", r.link_bytes}};
  j["contexts"] = contexts_json(r.contexts);
  j["host"] = {{"ops", r.host_ops}, {"us", time_us(r.host)}};
  j["memory_peak_bytes"] = {{"offchip", r.memory_offchip}, {"scratchpad", r.memory_scratchpad}};
  j["outputs"] = Json::array();
  for (const OutputReport& o : r.outputs) {
    j["outputs"].push_back({{"name", o.name}, {"shape", o.shape}, {"format", o.format}, {"sha256", o.sha256}});
  }
  j["check"] = check_json(r.check);
  if (r.accuracy) j["accuracy"] = accuracy_json(*r.accuracy);
  if (r.quantised) {
    j["quantised"] = {{"scheme", r.quantised->scheme},
                      {"calibration", r.quantised->calibration},
                      {"native", r.quantised->native},
                      {"unquantised_latency_us", time_us(r.quantised->unquantised)}};
  }
  j["launch_us"] = time_us(r.launch);
  j["load_us"] = r.load ? time_us(*r.load) : Json(nullptr);
  j["timings_s"] = {{"import", seconds(r.timings.import)},
                    {"compile", seconds(r.timings.compile)},
                    {"execute", seconds(r.timings.execute)},
                    {"simulate", seconds(r.timings.simulate)}};
  j["assumptions"] = Json::array();
  for (const AssumptionReport& a : r.assumptions) {
    j["assumptions"].push_back({{"field", a.field}, {"value", a.value}, {"confidence", a.confidence}});
  }
  j["notes"] = r.notes;
  j["provenance"] = provenance_json(r);
  return j;
}

Json estimate_us(double value) { return std::isfinite(value) ? number(fmt::format("{:.6f}", value * 1e6)) : Json(nullptr); }

Json mapping_json(const compiler::Decision& decision) {
  if (decision.chosen >= decision.alternatives.size()) return nullptr;
  Json alternatives = Json::array();
  for (const compiler::Alternative& a : decision.alternatives) {
    alternatives.push_back({{"text", a.text},
                            {"instances", a.instances},
                            {"alone_us", estimate_us(a.alone)},
                            {"fetched_us", estimate_us(a.fetched)},
                            {"offchip_us", estimate_us(a.off_chip)},
                            {"moves_us", estimate_us(a.moves)},
                            {"terms_us",
                             {{"compute", estimate_us(a.terms[0])},
                              {"movers", estimate_us(a.terms[1])},
                              {"issue", estimate_us(a.terms[2])},
                              {"memory", estimate_us(a.terms[3])},
                              {"fill_and_drain", estimate_us(a.terms[4])},
                              {"links", estimate_us(a.terms[5])}}},
                            {"scratchpad_bytes", a.storage}});
  }
  return {{"text", decision.text}, {"tried", decision.tried}, {"chosen", decision.chosen}, {"alternatives", alternatives}};
}

Json tensors_json(const ContextStory& story) {
  Json list = Json::array();
  for (const TensorStory& t : story.tensors) {
    Json row = {{"name", t.name},
                {"access", t.write ? "write" : "read"},
                {"role", t.role},
                {"format", t.format},
                {"shape", t.shape},
                {"bytes", t.bytes},
                {"where", t.stays ? "scratchpads" : "offchip"},
                {"offchip_bytes", t.moved},
                {"shared_bytes", t.shared},
                {"early", t.early}};
    if (t.stays) row["spread"] = {{"components", t.components}, {"part", t.part}, {"part_bytes", t.part_bytes}, {"copies", real(t.copies)}};
    row["sent"] = Json::array();
    for (const TensorStory::Send& s : t.sends)
      row["sent"].push_back({{"to", s.buffer}, {"components", s.components}, {"messages", s.messages}, {"bytes", s.bytes}});
    list.push_back(std::move(row));
  }
  return list;
}

Json story_json(const Explanation& e, const ContextStory& story) {
  const ContextReport& c = story.report;
  Json j = {
      {"name", c.name},
      {"ops", c.ops},
      {"start_us", time_us(story.start)},
      {"span_us", time_us(c.span)},
      {"busy_us", time_us(c.busy)},
      {"busy_bound_us", time_us(c.busy_bound)},
      {"early_us", time_us(c.early)},
      {"share_us", time_us(c.share)},
      {"lower_bound_us", time_us(c.lower_bound)},
      {"bound", story.bound},
      {"attribution_us", attribution(c.attribution)},
      {"why", story.why},
      {"mapping", mapping_json(story.decision)},
      {"tensors", tensors_json(story)},
      {"early",
       {{"contexts", story.ahead}, {"after", story.ahead_after}, {"bytes", story.early_bytes}, {"scratchpad_bytes", story.ahead_bytes}}},
      {"traffic_bytes", {{"read", story.traffic.read}, {"written", story.traffic.written}, {"sent", story.traffic.sent}}}};
  j["demands"] = Json::array();
  for (const Demand& d : story.demands) {
    j["demands"].push_back({{"resource", d.resource},
                            {"cause", simulation::kCauseNames[static_cast<std::size_t>(d.cause)]},
                            {"time_us", time_us(d.time)},
                            {"how", d.how}});
  }
  j["levers"] = Json::array();
  for (const Lever& l : e.levers) {
    if (l.shares[story.number] < c.share)
      j["levers"].push_back({{"override", l.change.pointer + "=" + l.change.quantity}, {"share_us", time_us(l.shares[story.number])}});
  }
  return j;
}

Json side_json(const RunRecord& r) {
  return {{"file", r.file},           {"model", r.model}, {"chip", r.chip},
          {"precision", r.precision}, {"batch", r.batch}, {"overrides", r.overrides}};
}

template <class Text>
Json change_json(Json a, Json b, Text change) {
  return {{"a", std::move(a)}, {"b", std::move(b)}, {"change", std::move(change)}};
}

Json time_change(Picoseconds a, Picoseconds b) { return change_json(time_us(a), time_us(b), time_us(b - a)); }

double gap_of(const RunRecord& r) {
  return r.lower_bound.value > 0 ? static_cast<double>(r.latency.value) / static_cast<double>(r.lower_bound.value) : 0;
}

Json diff_json(const Diff& d) {
  Json j = {{"a", side_json(d.a)},
            {"b", side_json(d.b)},
            {"differences", d.differences},
            {"latency_us", time_change(d.a.latency, d.b.latency)},
            {"lower_bound_us", time_change(d.a.lower_bound, d.b.lower_bound)},
            {"gap", change_json(real(gap_of(d.a)), real(gap_of(d.b)), real(gap_of(d.b) - gap_of(d.a)))},
            {"launch_us", time_change(d.a.launch, d.b.launch)},
            {"host_us", time_change(d.a.host, d.b.host)}};
  for (std::size_t c = 0; c < d.a.attribution.size(); ++c)
    j["attribution_us"][simulation::kCauseNames[c]] = time_change(d.a.attribution[c], d.b.attribution[c]);
  for (std::size_t i = 0; i < kTrafficNames.size(); ++i)
    j["traffic_bytes"][kTrafficNames[i]] = change_json(d.a.traffic[i], d.b.traffic[i], d.b.traffic[i] - d.a.traffic[i]);
  for (std::size_t i = 0; i < kPeakNames.size(); ++i)
    j["memory_peak_bytes"][kPeakNames[i]] = change_json(d.a.peak_bytes[i], d.b.peak_bytes[i], d.b.peak_bytes[i] - d.a.peak_bytes[i]);
  for (std::size_t i = 0; i < kUtilizationNames.size(); ++i)
    j["utilization"][kUtilizationNames[i]] =
        change_json(real(d.a.utilization[i]), real(d.b.utilization[i]), real(d.b.utilization[i] - d.a.utilization[i]));
  j["moved"] = Json::array();
  for (const Moved& m : d.moved) {
    j["moved"].push_back({{"ops", m.ops},
                          {"contexts_a", m.in_a},
                          {"contexts_b", m.in_b},
                          {"share_us", time_change(m.a, m.b)},
                          {"attribution_change_us", attribution(m.change)}});
  }
  return j;
}

}  // namespace

std::string print_diff_json(const Pairs& pairs) {
  Json j = {{"schema", "switchyard/diff/1"}};
  if (pairs.diffs.size() == 1 && pairs.only_a.empty() && pairs.only_b.empty()) {
    j.update(diff_json(pairs.diffs.front()));
    return document(j);
  }
  j["pairs"] = Json::array();
  for (const Diff& d : pairs.diffs) j["pairs"].push_back(diff_json(d));
  j["only_a"] = pairs.only_a;
  j["only_b"] = pairs.only_b;
  return document(j);
}

std::string print_explanation_json(const Explanation& e, const ContextStory* only) {
  const RunReport& r = e.run;
  Json j = {{"schema", "switchyard/explain/1"},
            {"model", model_json(r)},
            {"chip", chip_json(r)},
            {"precision", r.precision},
            {"disabled", e.disabled},
            {"latency_us", time_us(r.latency)},
            {"lower_bound_us", time_us(r.lower_bound)},
            {"gap", real(r.gap())},
            {"launch_us", time_us(r.launch)},
            {"attribution_us", attribution(r.attribution)},
            {"why", e.why}};
  j["decisions"] = Json::array();
  for (const compiler::Decision& d : e.passes) j["decisions"].push_back({{"subject", d.subject}, {"text", d.text}});
  j["levers"] = Json::array();
  for (const Lever& l : e.levers)
    j["levers"].push_back({{"override", l.change.pointer + "=" + l.change.quantity}, {"from", l.from}, {"latency_us", time_us(l.latency)}});
  j["contexts"] = Json::array();
  for (const ContextStory& c : e.contexts)
    if (only == nullptr || only == &c) j["contexts"].push_back(story_json(e, c));
  j["notes"] = r.notes;
  j["provenance"] = provenance_json(r);
  return document(j);
}

std::string print_json(const RunReport& report) { return document(run_json(report)); }

std::string print_json_line(const RunReport& report) { return inline_text(run_json(report)) + "\n"; }

std::string print_comparison_json(const std::vector<RunReport>& runs) {
  Json j = {{"schema", "switchyard/compare/1"}, {"runs", Json::array()}};
  for (const RunReport& r : runs) j["runs"].push_back(run_json(r));
  return document(j);
}

std::string print_chips_json(const std::vector<ChipRow>& chips) {
  Json j = {{"schema", "switchyard/chips/1"}, {"chips", Json::array()}};
  for (const ChipRow& chip : chips) {
    Json peaks = Json::object();
    for (const auto& [format, tflops] : chip.peak_tflops) peaks[format] = real(tflops);
    j["chips"].push_back({{"name", chip.name}, {"family", chip.family}, {"peak_tflops", peaks}});
  }
  return document(j);
}

std::string print_models_json(const std::vector<ModelRow>& models) {
  Json j = {{"schema", "switchyard/models/1"}, {"models", Json::array()}};
  for (const ModelRow& m : models) {
    Json row = {{"name", m.name}, {"description", m.description}, {"parameters", m.parameters}};
    if (m.counts) row.update({{"ops", m.counts->ops}, {"macs", m.counts->macs}, {"weights", m.counts->weights}});
    j["models"].push_back(row);
  }
  return document(j);
}

std::string print_validation_json(const Validation& v) {
  const auto errors = [](Json row, const ErrorStatistics& e) {
    row.update({{"n", e.n},
                {"mape_percent", real(e.mape)},
                {"median_ape_percent", real(e.median)},
                {"p90_ape_percent", real(e.p90)},
                {"bias_percent", real(e.bias)}});
    return row;
  };
  Json j = {{"schema", "switchyard/validate/1"}, {"rows", v.measurements.size()}, {"groups", Json::array()}};
  for (const ValidationGroup& g : v.groups) {
    Json row = {{"chip", g.chip}, {"op", g.op}, {"format", g.format}};
    if (!g.variant.empty()) row["variant"] = g.variant;
    j["groups"].push_back(errors(std::move(row), g.errors));
  }
  j["overall"] = errors(Json::object(), v.overall);
  j["skipped"] = Json::array();
  for (const auto& [reason, n] : v.skipped) j["skipped"].push_back({{"reason", reason}, {"n", n}});
  j["below_bound"] = v.below_bound;
  j["unattributed"] = v.unattributed;
  return document(j);
}

std::string print_conform_json(const ConformReport& report) {
  ConformCounts counts;
  Json failed = Json::array(), unsupported = Json::array(), host = Json::array(), tolerances = Json::array(), distributions = Json::array();
  for (const CaseResult& c : report.cases) {
    counts.add(c);
    if (c.outcome == ConformOutcome::failed) failed.push_back({{"case", c.name}, {"why", c.why}});
    if (c.outcome == ConformOutcome::unsupported) unsupported.push_back({{"case", c.name}, {"why", c.why}});
    if (!c.host_operators.empty()) host.push_back({{"case", c.name}, {"operators", c.host_operators}});
    if (!c.tolerance.empty()) tolerances.push_back({{"case", c.name}, {"rule", c.tolerance}});
    if (!c.distribution.empty()) distributions.push_back({{"case", c.name}, {"judged", c.distribution}});
  }
  return document({{"schema", "switchyard/conform/1"},
                   {"chip", report.chip},
                   {"precision", report.precision.empty() ? Json() : Json(report.precision)},
                   {"total", counts.total},
                   {"passed", counts.passed},
                   {"passed_on_chip", counts.on_chip},
                   {"passed_mixed", counts.mixed},
                   {"passed_on_host", counts.on_host},
                   {"bit_exact", counts.bit_exact},
                   {"failed", failed},
                   {"unsupported", unsupported},
                   {"host", host},
                   {"derived_tolerances", tolerances},
                   {"passed_by_distribution", counts.distributed},
                   {"distribution_level", kLevel},
                   {"distributions", distributions}});
}

}  // namespace switchyard::report
