// The conformance report as text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/known_operators.h"
#include "report/conform.h"
#include "report/distribution.h"
#include "report/text.h"

namespace switchyard::report {

void ConformCounts::add(const CaseResult& c) {
  ++total;
  if (c.outcome == ConformOutcome::failed) ++failed;
  if (c.outcome == ConformOutcome::unsupported) ++unsupported;
  if (c.outcome != ConformOutcome::passed) return;
  ++passed;
  bit_exact += c.bit_exact ? 1 : 0;
  distributed += c.distribution.empty() ? 0 : 1;
  ++(c.host_operators.empty() ? on_chip : c.chip_ops > 0 ? mixed : on_host);
}

std::string print_conform_table(const ConformReport& report) {
  std::map<std::string, ConformCounts> groups;
  ConformCounts all;
  for (const CaseResult& c : report.cases) {
    const std::size_t slash = c.name.find('/');
    groups[slash == std::string::npos ? "." : c.name.substr(0, slash)].add(c);
    all.add(c);
  }
  std::string out = fmt::format("ONNX test cases on {}{}\n\n", report.chip,
                                report.precision.empty() ? "" : ", all floating tensors in " + report.precision);
  out += fmt::format("{:<20}{:>8}{:>8}{:>9}{:>7}{:>8}{:>11}{:>8}{:>13}\n", "", "cases", "passed", "on chip", "mixed", "on host",
                     "bit-exact", "failed", "unsupported");
  const auto row = [&](const std::string& name, const ConformCounts& n) {
    out += fmt::format("{:<20}{:>8}{:>8}{:>9}{:>7}{:>8}{:>11}{:>8}{:>13}\n", clip(name, 19), n.total, n.passed, n.on_chip, n.mixed,
                       n.on_host, n.bit_exact, n.failed, n.unsupported);
  };
  if (groups.size() > 1 || groups.begin()->first != ".") {
    for (const auto& [name, counts] : groups) row(name, counts);
  }
  row("all", all);
  const auto list = [&](ConformOutcome outcome, const char* title) {
    bool first = true;
    for (const CaseResult& c : report.cases) {
      if (c.outcome != outcome) continue;
      if (first) out += fmt::format("\n{}\n", title);
      first = false;
      out += fmt::format("  {}: {}\n", c.name, c.why);
    }
  };
  list(ConformOutcome::failed, "failed");
  list(ConformOutcome::unsupported, "unsupported");
  bool first = true;
  for (const CaseResult& c : report.cases) {
    if (c.host_operators.empty()) continue;
    if (first) out += "\nwith operators on the host\n";
    first = false;
    out += fmt::format("  {}: {}\n", c.name, fmt::join(c.host_operators, ", "));
  }
  first = true;
  for (const CaseResult& c : report.cases) {
    if (c.distribution.empty()) continue;
    if (first) out += fmt::format("\nrandom numbers, judged by their distribution (each test at a level of {:g})\n", kLevel);
    first = false;
    out += fmt::format("  {}: {}\n", c.name, c.distribution);
  }
  first = true;
  for (const CaseResult& c : report.cases) {
    if (c.tolerance.empty()) continue;
    if (first) out += "\nwith a tolerance derived from the format\n";
    first = false;
    out += fmt::format("  {}: {}\n", c.name, c.tolerance);
  }
  return out;
}

std::string print_operators(const ConformReport& report) {
  struct Row {
    std::int64_t since = 0;  ///< 0: not read
    ConformCounts alone;
    std::set<std::string> formats;
    std::string how = "structured";
  };
  std::map<std::string, Row> rows;
  for (const model::OnnxOperator& o : model::onnx_operators()) {
    rows[o.name].since = o.since;
    rows[o.name].how = o.how;
  }
  ConformCounts all;
  for (const CaseResult& c : report.cases) {
    all.add(c);
    for (const std::string& name : c.operators) rows.try_emplace(name);
    if (c.operators.size() != 1) continue;
    Row& row = rows[c.operators.front()];
    row.alone.add(c);
    if (c.outcome != ConformOutcome::passed) continue;
    row.formats.insert(c.formats.begin(), c.formats.end());
    if (!c.host_operators.empty() && row.how == "structured") row.how = "structured, host";
  }
  std::string out = fmt::format(
      "# Operators\n\n"
      "Made by `switchyard conform CASES --chip {} --operators FILE.md`, where CASES is the folder of ONNX's own test cases.\n"
      "{} of {} cases pass, {} of them wholly on the chip, {} on the host, {} on both; {} bit for bit, {} by the distribution of their "
      "random\nnumbers.\n\n"
      "*structured*: loop nests, which are tiled, fused and placed like any other. *at import*: only tensors and such nests are left of "
      "it.\n"
      "*host*: the host executes it; of a structured operator, texts and numbers beyond the chip's formats. Formats are those of inputs "
      "and\n"
      "outputs of cases that pass (texts are rows of uint8). The last two columns count the cases in which the operator is the only "
      "one.\n\n"
      "| operator | from operator set | executed as | formats | cases | passed |\n|---|---|---|---|---|---|\n",
      report.chip, all.passed, all.total, all.on_chip, all.on_host, all.mixed, all.bit_exact, all.distributed);
  for (const auto& [name, row] : rows) {
    const std::string formats = row.formats.empty() ? "" : fmt::format("{}", fmt::join(row.formats, " "));
    out += fmt::format("| {} | {} | {} | {} | {} | {} |\n", name, row.since > 0 ? fmt::format("{}", row.since) : "",
                       row.since == 0 ? "not read" : row.how, formats, row.alone.total, row.alone.passed);
  }
  return out;
}

}  // namespace switchyard::report
