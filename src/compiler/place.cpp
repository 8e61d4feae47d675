#include "compiler/place.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <tuple>

#include "chip/query.h"
#include "compiler/means.h"
#include "program/traffic.h"

namespace switchyard::compiler {
namespace {

/// Links that may be updated, by effort.
constexpr std::array<std::int64_t, 4> kUpdates{0, 8'000'000, 30'000'000, 100'000'000};
/// Routes between all pairs are kept for arrays of at most this many components.
constexpr std::size_t kKnownRoutes = 1100;

double fourth(double x) { return x * x * x * x; }

class Placer {
 public:
  Placer(const Machine& machine, const program::Program& program, std::uint64_t seed)
      : chip_(*program.chip), component_(machine.component), random_(seed) {
    const chip::Component& component = chip_.components[component_.index()];
    const auto all = static_cast<std::size_t>(chip::instance_count(component));
    shape_ = component.shape;
    sites_ = chip::working_instances(component);
    works_.assign(all, false);
    for (const std::uint32_t s : sites_) works_[s] = true;
    at_.resize(all);
    std::iota(at_.begin(), at_.end(), 0U);
    who_ = at_;
    touching_.resize(all);
    routes_.resize(chip_.networks.size());
    read(program);
  }

  Placement run(std::int64_t updates, double worth) {
    Placement out;
    out.to = at_;
    out.before = out.after = busiest();
    if (flows_.empty() || sites_.size() < 2 || out.before < worth) return out;
    anneal(updates, out);
    at_ = out.to;
    for (std::size_t f = 0; f < flows_.size(); ++f) route(f);
    out.after = busiest();
    if (out.after >= out.before) {
      std::iota(out.to.begin(), out.to.end(), 0U);
      out.after = out.before;
    }
    return out;
  }

 private:
  struct Flow {
    std::size_t field = 0;
    std::optional<chip::MemoryId> memory;
    bool stores = false;
    std::uint32_t from = 0;
    std::vector<std::uint32_t> to;
    double seconds = 0;                ///< of one link
    std::vector<std::uint32_t> links;  ///< that it takes where everything is now
    std::vector<std::uint32_t> past;   ///< and took before the last exchange that concerned it
  };
  /// The links of one network in contexts that all send the same.
  struct Field {
    chip::NetworkId network;
    double times = 0;  ///< how many such contexts there are
    std::vector<double> busy;
    double sum = 0;  ///< of the fourth powers
  };

  void read(const program::Program& program) {
    using Key = std::tuple<std::size_t, std::size_t, bool, std::uint32_t, std::vector<std::uint32_t>, std::int64_t>;
    std::map<std::vector<Key>, double> contexts;
    for (const program::Context& context : program.contexts) {
      std::vector<Key> keys;
      for (program::Flow& f : program::count_traffic(program, context).flows) {
        if (chip_.networks[f.network.index()].over != component_) continue;
        keys.emplace_back(f.network.index(), f.memory ? f.memory->index() + 1 : 0, f.stores, f.from, std::move(f.to), f.bytes);
      }
      if (!keys.empty()) contexts[std::move(keys)] += 1;
    }
    for (const auto& [keys, times] : contexts) {
      std::map<std::size_t, std::size_t> field_of;
      for (const auto& [network, memory, stores, from, to, bytes] : keys) {
        const chip::Network& n = chip_.networks[network];
        const auto [at, fresh] = field_of.try_emplace(network, fields_.size());
        if (fresh)
          fields_.push_back(
              {chip::NetworkId(network), times, std::vector<double>(static_cast<std::size_t>(chip::link_count(chip_, n)), 0.0), 0});
        Flow flow{at->second, memory > 0 ? std::optional(chip::MemoryId(memory - 1)) : std::nullopt,
                  stores,     from,
                  to,         static_cast<double>(bytes) / n.link.value,
                  {}};
        const std::size_t number = flows_.size();
        touching_[from].push_back(number);
        for (const std::uint32_t t : to)
          if (t != from) touching_[t].push_back(number);
        flows_.push_back(std::move(flow));
      }
    }
    stamp_.assign(std::accumulate(fields_.begin(), fields_.end(), std::size_t{0},
                                  [](std::size_t most, const Field& f) { return std::max(most, f.busy.size()); }),
                  0);
    mark_.assign(flows_.size(), 0);
    for (std::size_t f = 0; f < flows_.size(); ++f) route(f);
  }

  const std::vector<std::uint32_t>& path(chip::NetworkId id, std::uint32_t from, std::uint32_t to) {
    auto& known = routes_[id.index()];
    const bool keep = at_.size() <= kKnownRoutes;
    if (keep && known.empty()) known.resize(at_.size() * at_.size());
    std::vector<std::uint32_t>& links = keep ? known[from * at_.size() + to] : scratch_;
    if (keep && !links.empty()) return links;
    links.clear();
    const chip::Network& network = chip_.networks[id.index()];
    const auto hops = chip::default_route(chip_, network, from, to);
    for (std::size_t h = 0; h + 1 < hops.size(); ++h)
      if (const auto link = chip::link_between(chip_, network, hops[h], hops[h + 1])) links.push_back(*link);
    return links;
  }

  /// Adds what a flow has a share in to its links' time, or takes it away.
  void charge(const Flow& flow, double seconds) {
    Field& field = fields_[flow.field];
    for (const std::uint32_t l : flow.links) {
      field.sum -= fourth(field.busy[l]);
      field.busy[l] = std::max(0.0, field.busy[l] + seconds);
      field.sum += fourth(field.busy[l]);
    }
    updates_ += static_cast<std::int64_t>(flow.links.size());
  }

  /// The flow's links where its ends are now.
  void route(std::size_t number) {
    Flow& flow = flows_[number];
    charge(flow, -flow.seconds);
    std::swap(flow.links, flow.past);
    flow.links.clear();
    const chip::NetworkId network = fields_[flow.field].network;
    ++stamped_;
    const auto follow = [&](std::uint32_t from, std::uint32_t to) {
      for (const std::uint32_t l : path(network, from, to)) {
        if (stamp_[l] == stamped_) continue;
        stamp_[l] = stamped_;
        flow.links.push_back(l);
      }
    };
    const std::uint32_t here = at_[flow.from];
    const std::uint32_t port = flow.memory ? chip::nearest_port(chip_, chip_.memories[flow.memory->index()], here) : here;
    if (flow.stores) {
      follow(here, port);
    } else {
      for (const std::uint32_t t : flow.to) follow(port, at_[t]);
    }
    charge(flow, flow.seconds);
  }

  [[nodiscard]] double cost() const {
    double sum = 0;
    for (const Field& f : fields_) sum += f.times * std::sqrt(std::sqrt(std::max(0.0, f.sum)));
    return sum;
  }
  [[nodiscard]] double busiest() const {
    double sum = 0;
    for (const Field& f : fields_) sum += f.times * (f.busy.empty() ? 0 : *std::max_element(f.busy.begin(), f.busy.end()));
    return sum;
  }

  void swap_sites(std::uint32_t a, std::uint32_t b) {
    std::swap(at_[a], at_[b]);
    who_[at_[a]] = a;
    who_[at_[b]] = b;
  }

  /// What two components of the program are changes places. A flow to both of them stays.
  void exchange(std::uint32_t a, std::uint32_t b) {
    swap_sites(a, b);
    ++marked_;
    changed_.clear();
    for (const std::size_t f : touching_[a]) mark_[f] = marked_;
    for (const std::size_t f : touching_[b]) {
      const bool both = mark_[f] == marked_ && flows_[f].from != a && flows_[f].from != b;
      if (both) mark_[f] = 0;
      if (mark_[f] != marked_ && !both) changed_.push_back(f);
    }
    for (const std::size_t f : touching_[a])
      if (mark_[f] == marked_) changed_.push_back(f);
    for (const std::size_t f : changed_) route(f);
  }
  void take_back(std::uint32_t a, std::uint32_t b) {
    swap_sites(a, b);
    for (const std::size_t f : changed_) {
      Flow& flow = flows_[f];
      charge(flow, -flow.seconds);
      std::swap(flow.links, flow.past);
      charge(flow, flow.seconds);
    }
  }

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  double chance() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  /// A working site at most `reach` from another along each dimension; the site itself when chance finds none.
  std::uint32_t near(std::uint32_t site, std::int64_t reach) {
    constexpr int kTries = 8;
    for (int i = 0; i < kTries; ++i) {
      std::int64_t rest = site, other = 0, stride = 1;
      for (std::size_t d = shape_.size(); d-- > 0; rest /= shape_[d], stride *= shape_[d]) {
        const std::int64_t low = std::max<std::int64_t>(0, rest % shape_[d] - reach),
                           high = std::min(shape_[d] - 1, rest % shape_[d] + reach);
        other += stride * (low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1))));
      }
      if (other != site && works_[static_cast<std::size_t>(other)]) return static_cast<std::uint32_t>(other);
    }
    return site;
  }

  void anneal(std::int64_t updates, Placement& out) {
    // At first an exchange that makes the whole a hundredth dearer has some chance to stay, at the end none that makes it dearer; and
    // partners are looked for ever nearer.
    constexpr double kHot = 0.003, kCold = 1e-5;
    double now = cost(), best = now;
    const double start = now;
    const auto widest = static_cast<double>(*std::max_element(shape_.begin(), shape_.end()));
    updates_ = 0;
    while (updates_ < updates) {
      const double share = static_cast<double>(updates_) / static_cast<double>(updates);
      const double heat = start * kHot * std::pow(kCold / kHot, share);
      const std::uint32_t a = who_[sites_[below(sites_.size())]];
      const std::uint32_t b = who_[near(at_[a], static_cast<std::int64_t>(std::ceil(widest * (1 - share) * (1 - share))))];
      updates_ += 16;  // an exchange of two that send nothing is not free
      if (a == b || (touching_[a].empty() && touching_[b].empty())) continue;
      ++out.exchanges;
      exchange(a, b);
      const double then = cost();
      if (then <= now || chance() < std::exp((now - then) / heat)) {
        now = then;
        if (now < best * (1 - 1e-9)) best = now, out.to = at_;
      } else {
        take_back(a, b);
      }
    }
  }

  const chip::Chip& chip_;
  chip::ComponentId component_;
  std::mt19937_64 random_;
  std::vector<std::uint32_t> sites_;  ///< components that work
  std::vector<bool> works_;
  std::vector<std::int64_t> shape_;
  std::vector<std::uint32_t> at_;   ///< by component of the program: where its work is now
  std::vector<std::uint32_t> who_;  ///< the inverse
  std::vector<Flow> flows_;
  std::vector<Field> fields_;
  std::vector<std::vector<std::size_t>> touching_;  ///< by component of the program: flows that begin or end there
  std::vector<std::vector<std::vector<std::uint32_t>>> routes_;
  std::vector<std::uint32_t> scratch_;
  std::vector<std::size_t> changed_;  ///< flows that the last exchange concerned
  std::vector<std::uint64_t> stamp_, mark_;
  std::uint64_t stamped_ = 0, marked_ = 0;
  std::int64_t updates_ = 0;
};

}  // namespace

Placement place_components(const Machine& machine, const program::Program& program, std::uint64_t seed, int effort, double worth) {
  Placement plain;
  const auto all = static_cast<std::size_t>(chip::instance_count(program.chip->components[machine.component.index()]));
  plain.to.resize(all);
  std::iota(plain.to.begin(), plain.to.end(), 0U);
  if (!places_instances(machine)) return plain;
  return Placer(machine, program, seed).run(kUpdates[static_cast<std::size_t>(std::clamp(effort, 0, 3))], worth);
}

std::string print_placement(const Placement& p) {
  if (p.exchanges == 0) return fmt::format("the busiest links of all contexts: {:.1f} us", p.before * 1e6);
  return fmt::format("the busiest links of all contexts: {:.1f} us in plain order, {:.1f} us where {} exchanges lead", p.before * 1e6,
                     p.after * 1e6, p.exchanges);
}

}  // namespace switchyard::compiler
