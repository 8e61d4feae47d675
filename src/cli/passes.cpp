#include "cli/passes.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::cli {

PassWatch::PassWatch(const Options& options) : options_(options) { skip(); }

compiler::Observer PassWatch::observer() {
  if (!options_.time_passes && options_.dump_after.empty()) return {};
  return [this](std::string_view name, const std::function<std::string()>& text) {
    note(name);
    if (std::find(options_.dump_after.begin(), options_.dump_after.end(), name) != options_.dump_after.end()) pass(name).text = text();
    skip();  // what the printing took is nobody's
  };
}

void PassWatch::note(std::string_view name) {
  const auto now = std::chrono::steady_clock::now();
  Pass& p = pass(name);
  ++p.rounds;
  p.seconds += std::chrono::duration<double>(now - since_).count();
  since_ = now;
}

void PassWatch::skip() { since_ = std::chrono::steady_clock::now(); }

PassWatch::Pass& PassWatch::pass(std::string_view name) {
  const auto found = std::find_if(passes_.begin(), passes_.end(), [&](const Pass& p) { return p.name == name; });
  if (found != passes_.end()) return *found;
  passes_.push_back({std::string(name), 0, 0, {}});
  return passes_.back();
}

std::string PassWatch::report() const {
  std::string out;
  for (const std::string& name : options_.dump_after) {
    const auto found = std::find_if(passes_.begin(), passes_.end(), [&](const Pass& p) { return p.name == name; });
    if (found == passes_.end()) {
      out += fmt::format("--- {} did not run\n", name);
      continue;
    }
    out += fmt::format("--- after {}{}\n{}", name, found->rounds > 1 ? fmt::format(", round {}", found->rounds) : "", found->text);
    if (!found->text.ends_with('\n')) out += '\n';
  }
  if (!options_.time_passes) return out;
  double all = 0;
  for (const Pass& p : passes_) all += p.seconds;
  out += "pass               ms  share  rounds\n";
  for (const Pass& p : passes_)
    out += fmt::format("{:12} {:8.2f} {:5.1f}% {:7}\n", p.name, p.seconds * 1e3, all > 0 ? 100 * p.seconds / all : 0, p.rounds);
  return out + fmt::format("{:12} {:8.2f}\n", "all", all * 1e3);
}

}  // namespace switchyard::cli
