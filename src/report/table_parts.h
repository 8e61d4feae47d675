// What the tables of one run and of several share: colours, shares, and how operators are named.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "report/run.h"
#include "report/text.h"

namespace switchyard::report {

inline constexpr int kWidth = 100;

/// Colours by meaning; empty without a terminal.
class Paint {
 public:
  explicit Paint(bool on) : on_(on) {}
  [[nodiscard]] std::string strong(const std::string& text) const { return on_ ? "\x1b[1m" + text + "\x1b[0m" : text; }
  [[nodiscard]] std::string good(const std::string& text) const { return on_ ? "\x1b[32m" + text + "\x1b[0m" : text; }
  [[nodiscard]] std::string bad(const std::string& text) const { return on_ ? "\x1b[31m" + text + "\x1b[0m" : text; }
  [[nodiscard]] std::string cause(std::size_t c, const std::string& text) const {
    static constexpr std::array<const char*, 6> kCodes{"32", "34", "36", "35", "33", "31"};
    return on_ ? std::string("\x1b[") + kCodes[c] + "m" + text + "\x1b[0m" : text;
  }

 private:
  bool on_;
};

inline double share_of(Picoseconds part, Picoseconds whole) {
  return whole.value > 0 ? static_cast<double>(part.value) / static_cast<double>(whole.value) : 0;
}

inline std::size_t main_cause(const simulation::Attribution& attribution) {
  return static_cast<std::size_t>(std::max_element(attribution.begin(), attribution.end()) - attribution.begin());
}

/// The first operator of a context, and how many more there are.
inline std::string context_label(const ContextReport& c, int columns) {
  if (c.ops.empty()) return clip_front(c.name, columns);
  const std::string more = c.ops.size() > 1 ? " +" + std::to_string(c.ops.size() - 1) : "";
  return clip_front(c.ops[0], columns - columns_of(more)) + more;
}

/// "1 context", "2 contexts".
inline std::string counted(std::int64_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

/// How the check ended, in a word or two: "ok", "FAILED", "none", "not executed".
std::string check_word(const CheckReport& check);
/// How many of the numbers that the time rests on are assumed.
std::int64_t assumed_count(const RunReport& report);
/// Below a table of several runs: what could not be run, what diverged, and the notes, each once with whom it is about.
std::string findings_of(const std::vector<RunReport>& runs, const Paint& paint, const std::function<std::string(const RunReport&)>& name);

/// "3.45", or what still fits where numbers are large.
std::string readable_ratio(double ratio);

}  // namespace switchyard::report
