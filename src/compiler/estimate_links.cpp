// Estimate, the network's part: how long the busiest link is busy with what a kernel reads, hands on and stores.
#include <algorithm>
#include <vector>

#include "compiler/estimate.h"

namespace switchyard::compiler {
namespace {

/// What a link carries of one operand.
struct Part {
  double bytes;
  const LinkLoad* load;
};

/// The most that a link carries of all parts. Where one part's busiest link carries nearly as much as if all had the same busiest one,
/// that.
double busiest_of(const std::vector<Part>& parts) {
  constexpr double kNearly = 0.9;
  double at_most = 0, at_least = 0;
  for (const Part& p : parts) {
    at_most += p.bytes * p.load->most;
    double here = 0;
    for (const Part& q : parts) here += q.bytes * static_cast<double>(q.load->links[p.load->busiest]);
    at_least = std::max(at_least, here);
  }
  if (at_least >= kNearly * at_most) return at_least;
  for (std::size_t l = 0; l < parts.front().load->links.size(); ++l) {
    double here = 0;
    for (const Part& p : parts) here += p.bytes * static_cast<double>(p.load->links[l]);
    at_least = std::max(at_least, here);
  }
  return at_least;
}

}  // namespace

const LinkLoads::Loads& Evaluator::link_loads(std::size_t operand, std::int64_t readers) const {
  if (linked_.empty() || linked_along_ != along_) {
    linked_along_ = along_;
    linked_.assign(kernel_.operands.size(), {});
  }
  auto& known = linked_[operand];
  for (const auto& [how, loads] : known)
    if (how == readers) return *loads;
  known.emplace_back(readers, &links_.of({along_, masks_[operand], std::max<std::int64_t>(0, readers), readers < 0, operand}));
  return *known.back().second;
}

/// Of what is at hand (`due`: of what is not fetched early), the longest that a link is busy. Of what is no more than
/// `enough` less is found.
double Evaluator::link_seconds(std::int64_t instances, bool due, double enough) const {
  double stored = 0;
  for (const Carried& c : carried_)
    if (!c.loads && (c.exposed || !due)) stored += c.bytes;
  double longest = stored > 0 ? stored * links_.stores(instances).most * links_.store_seconds() : 0;
  for (const bool in : {true, false}) {
    const double seconds = in ? links_.in_seconds() : links_.across_seconds();
    std::vector<Part> parts;
    double at_most = 0;
    for (const Carried& c : carried_) {
      if (!c.loads || (due && !c.exposed)) continue;
      const LinkLoad& load = in ? c.loads->in : c.loads->across;
      if (load.links.empty()) continue;
      parts.push_back({c.bytes, &load});
      at_most += c.bytes * load.most;
    }
    if (at_most * seconds > std::max(enough, longest)) longest = std::max(longest, busiest_of(parts) * seconds);
  }
  return longest;
}

}  // namespace switchyard::compiler
