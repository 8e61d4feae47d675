#include "report/table_parts.h"

#include <fmt/format.h>

#include "report/table.h"

namespace switchyard::report {

std::string check_word(const CheckReport& check) {
  if (!check.executed) return "not executed";
  if (check.against == "none") return "none";
  return check.passed ? "ok" : "FAILED";
}

std::int64_t assumed_count(const RunReport& r) {
  return std::count_if(r.assumptions.begin(), r.assumptions.end(), [](const AssumptionReport& a) { return a.confidence == "assumed"; });
}

std::string findings_of(const std::vector<RunReport>& runs, const Paint& paint, const std::function<std::string(const RunReport&)>& name) {
  std::string out;
  std::vector<std::pair<std::string, std::vector<std::string>>> notes;  // with the runs they are about
  for (const RunReport& r : runs) {
    if (r.error) out += wrap(fmt::format("{}: {} [{}]", name(r), r.error->message, r.error->code), kWidth, 2);
    const std::string divergence = describe_divergence(r.check);
    if (!divergence.empty()) out += paint.bad(wrap(name(r) + ": " + divergence, kWidth, 2));
    for (const std::string& note : r.notes) {
      const auto known = std::find_if(notes.begin(), notes.end(), [&](const auto& n) { return n.first == note; });
      (known == notes.end() ? notes.emplace_back(note, std::vector<std::string>{}) : *known).second.push_back(name(r));
    }
  }
  for (const auto& [note, whom] : notes) {
    const std::string others = whom.size() > 1 ? fmt::format(" and {} more", whom.size() - 1) : "";
    out += wrap(fmt::format("note: {}{}: {}", whom.front(), others, note), kWidth, 2);
  }
  return out;
}

}  // namespace switchyard::report
