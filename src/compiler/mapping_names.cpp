#include "compiler/mapping_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "support/diagnostic.h"

namespace switchyard::compiler {

bool matches_pattern(const std::string& pattern, const std::string& name) {
  std::size_t p = 0, n = 0, star = std::string::npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || (pattern[p] == name[n] && pattern[p] != '*'))) {
      ++p, ++n;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++, from = n;
    } else if (star != std::string::npos) {
      p = star + 1, n = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<std::string> distinct_names(std::vector<std::string> names) {
  const std::set<std::string> given(names.begin(), names.end());
  std::set<std::string> taken;
  for (std::string& name : names) {
    std::string distinct = name;
    for (int n = 2; taken.contains(distinct) || (distinct != name && given.contains(distinct)); ++n)
      distinct = fmt::format("{}#{}", name, n);
    taken.insert(distinct);
    name = std::move(distinct);
  }
  return names;
}

std::vector<std::string> loop_names(const Kernel& kernel) {
  std::vector<std::string> names;
  for (const KernelDim& d : kernel.dims) names.push_back(d.name);
  return distinct_names(std::move(names));
}

std::vector<std::string> tensor_names(const graph::Graph& g, const Kernel& kernel) {
  std::vector<std::string> names;
  for (const KernelOperand& o : kernel.operands) names.push_back(g.tensor(o.tensor).name);
  return distinct_names(std::move(names));
}

std::vector<std::string> kernel_names(const std::vector<Kernel>& kernels) {
  std::vector<std::string> names;
  for (const Kernel& k : kernels) names.push_back(k.name);
  return distinct_names(std::move(names));
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names, const char* what) {
  const std::string nearest = nearest_name(word, names);
  if (!nearest.empty()) return fmt::format("did you mean '{}'?", nearest);
  std::string all;
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 12); ++i) all += (all.empty() ? "" : ", ") + names[i];
  return fmt::format("{}: {}{}", what, all, names.size() > 12 ? ", ..." : "");
}

}  // namespace switchyard::compiler
