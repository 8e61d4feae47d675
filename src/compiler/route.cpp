#include "compiler/route.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <queue>
#include <set>
#include <tuple>

#include "chip/query.h"
#include "program/circuits.h"
#include "program/traffic.h"

namespace switchyard::compiler {
namespace {

constexpr int kRounds = 40;             ///< of negotiation
constexpr int kRoundsToShare = 8;       ///< the same, before what carries least gives up a circuit of its own
constexpr double kFirstPressure = 0.5;  ///< what one circuit too many costs in the first round, in links
constexpr double kGrowth = 1.4;         ///< of that from round to round
constexpr double kMostPressure = 1e6;
constexpr double kHistory = 1.0;    ///< what a round with one circuit too many costs ever after
constexpr double kFill = 1.0 / 64;  ///< of a link, when all bytes pass it: of ways equally long the emptier one

}  // namespace

/// The rounds of one set of demands.
class Negotiation {
 public:
  Negotiation(const CircuitRouter& router, const std::vector<Demand>& demands)
      : router_(router),
        network_(router.chip_.networks[router.network_.index()]),
        places_(router.chip_, network_),
        demands_(demands),
        trees_(demands.size()),
        own_(places_.count(), 0),
        streams_(places_.count(), 0),
        bytes_(places_.links(), 0),
        history_(places_.links(), 0) {
    for (const Demand& d : demands) all_bytes_ += static_cast<double>(d.bytes);
    // What is hardest to place is routed first.
    order_.resize(demands.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
      return std::tuple(demands[a].to.size(), demands[a].bytes) > std::tuple(demands[b].to.size(), demands[b].bytes);
    });
    lightest_ = order_;
    std::stable_sort(lightest_.begin(), lightest_.end(), [&](std::size_t a, std::size_t b) { return demands[a].bytes < demands[b].bytes; });
  }

  Routing run() {
    settle_ends();
    bool legal = false;
    while (!(legal = negotiate()) && share_more()) {
    }
    if (legal) even_out();
    Routing out;
    for (std::size_t d = 0; d < demands_.size(); ++d) out.circuits.push_back(circuit_of(d));
    out.rounds = rounds_;
    std::int64_t worst = 0;
    for (std::uint32_t place = 0; place < places_.count(); ++place)
      if (const std::int64_t over = excess(place); over > worst) worst = over, out.crowded = Crowded{place, own_[place], streams_[place]};
    return out;
  }

 private:
  struct Tree {
    bool packets = false;
    std::map<std::uint32_t, std::pair<std::uint32_t, std::uint32_t>> before;  ///< of a component: the one before it, and the link
  };

  [[nodiscard]] std::int64_t excess(std::uint32_t place) const {
    return std::max<std::int64_t>(0, places_.needed(own_[place], streams_[place]) - places_.capacity(place));
  }
  void count(std::uint32_t place, bool packets, std::int64_t n) { (packets ? streams_ : own_)[place] += n; }

  /// How many circuits begin and end where is given: where those are too many, what carries least shares.
  void settle_ends() {
    std::map<std::uint32_t, std::vector<std::size_t>> at;
    for (std::size_t d = 0; d < demands_.size(); ++d) {
      at[places_.out_of(demands_[d].from)].push_back(d);
      for (const std::uint32_t t : demands_[d].to) at[places_.into(t)].push_back(d);
    }
    for (const auto& [place, list] : at) own_[place] = static_cast<std::int64_t>(list.size());
    if (network_.streams <= 1) return;
    for (auto& [place, list] : at) {
      std::stable_sort(list.begin(), list.end(), [&](std::size_t a, std::size_t b) { return demands_[a].bytes < demands_[b].bytes; });
      for (const std::size_t d : list) {
        if (excess(place) == 0) break;
        share(d);
      }
    }
  }

  void share(std::size_t d) {
    if (trees_[d].packets) return;
    rip_up(d);
    become_stream(d);
  }

  void become_stream(std::size_t d) {
    for (const std::uint32_t place : places_of(d)) count(place, false, -1), count(place, true, 1);
    trees_[d].packets = true;
  }

  [[nodiscard]] std::vector<std::uint32_t> places_of(std::size_t d) const {
    std::vector<std::uint32_t> list{places_.out_of(demands_[d].from)};
    for (const std::uint32_t t : demands_[d].to) list.push_back(places_.into(t));
    for (const auto& [component, from] : trees_[d].before) list.push_back(from.second);
    return list;
  }

  /// Where streams carry more on what they share than a circuit does alone, it shares, too: that takes no more room anywhere.
  void even_out() {
    for (bool changed = network_.streams > 1; changed;) {
      changed = false;
      std::vector<std::vector<std::size_t>> passing(places_.count());
      for (const std::size_t d : lightest_)
        for (const std::uint32_t place : places_of(d)) passing[place].push_back(d);
      for (std::uint32_t place = 0; place < places_.count(); ++place) {
        double shared = 0;
        for (const std::size_t d : passing[place])
          if (trees_[d].packets) shared += static_cast<double>(demands_[d].bytes);
        for (const std::size_t d : passing[place]) {
          const double own = static_cast<double>(demands_[d].bytes);
          if (trees_[d].packets || own * static_cast<double>(places_.capacity(place) - own_[place]) >= shared) continue;
          become_stream(d);
          shared += own;
          changed = true;
        }
      }
    }
  }

  /// On every link with too many, circuits that carry least become streams until the rest has room. False: only streams are left there.
  bool share_more() {
    if (network_.streams <= 1) return false;
    std::vector<std::vector<std::size_t>> passing(places_.links());
    for (const std::size_t d : lightest_)
      if (!trees_[d].packets)
        for (const auto& [component, from] : trees_[d].before) passing[from.second].push_back(d);
    bool shared = false;
    for (std::uint32_t link = 0; link < places_.links(); ++link)
      for (const std::size_t d : passing[link]) {
        if (excess(link) == 0) break;
        if (trees_[d].packets) continue;
        share(d);
        shared = true;
      }
    return shared;
  }

  bool negotiate() {
    double pressure = kFirstPressure;
    const int most = may_share() ? kRoundsToShare : kRounds;
    for (int round = 0; round < most; ++round) {
      ++rounds_;
      for (const std::size_t d : order_) {
        rip_up(d);
        grow(d, pressure);
      }
      bool legal = true;
      for (std::uint32_t link = 0; link < places_.links(); ++link) {
        const std::int64_t over = excess(link);
        history_[link] += kHistory * static_cast<double>(over);
        legal = legal && over == 0;
      }
      if (legal) return true;
      pressure = std::min(kMostPressure, pressure * kGrowth);
    }
    return false;
  }

  [[nodiscard]] bool may_share() const {
    return network_.streams > 1 && std::any_of(trees_.begin(), trees_.end(), [](const Tree& t) { return !t.packets; });
  }

  void pass(std::size_t d, std::uint32_t link, std::int64_t sign) {
    count(link, trees_[d].packets, sign);
    bytes_[link] += static_cast<double>(sign) * static_cast<double>(demands_[d].bytes);
  }

  void rip_up(std::size_t d) {
    for (const auto& [component, from] : trees_[d].before) pass(d, from.second, -1);
    trees_[d].before.clear();
  }

  [[nodiscard]] double cost(std::size_t d, std::uint32_t link, double pressure) const {
    const bool packets = trees_[d].packets;
    const std::int64_t needed = places_.needed(own_[link] + (packets ? 0 : 1), streams_[link] + (packets ? 1 : 0));
    const double over = static_cast<double>(std::max<std::int64_t>(0, needed - network_.circuits));
    const double fill = all_bytes_ > 0 ? (bytes_[link] + static_cast<double>(demands_[d].bytes)) / all_bytes_ : 0;
    return (1 + kFill * fill) * (1 + history_[link]) * (1 + pressure * over);
  }

  /// The tree of a demand, from all it has so far to whichever receiver is nearest, until all are in it.
  void grow(std::size_t d, double pressure) {
    const Demand& demand = demands_[d];
    Tree& tree = trees_[d];
    std::set<std::uint32_t> missing(demand.to.begin(), demand.to.end());
    missing.erase(demand.from);
    std::set<std::uint32_t> in{demand.from};
    const std::size_t n = router_.links_.size();
    while (!missing.empty()) {
      std::vector<double> distance(n, std::numeric_limits<double>::infinity());
      std::vector<std::pair<std::uint32_t, std::uint32_t>> before(n);
      std::priority_queue<std::pair<double, std::uint32_t>, std::vector<std::pair<double, std::uint32_t>>, std::greater<>> open;
      for (const std::uint32_t c : in) distance[c] = 0, open.emplace(0, c);
      std::optional<std::uint32_t> reached;
      while (!open.empty() && !reached) {
        const auto [far, c] = open.top();
        open.pop();
        if (far > distance[c]) continue;
        if (missing.count(c) != 0) {
          reached = c;
          break;
        }
        for (const auto& link : router_.links_[c]) {
          const double there = far + cost(d, link.number, pressure);
          if (there >= distance[link.to]) continue;
          distance[link.to] = there;
          before[link.to] = {c, link.number};
          open.emplace(there, link.to);
        }
      }
      if (!reached) return;  // no way leads there: the chip's checks refuse such networks
      for (std::uint32_t c = *reached; in.insert(c).second; c = before[c].first) {
        tree.before[c] = before[c];
        pass(d, before[c].second, 1);
      }
      missing.erase(*reached);
    }
  }

  [[nodiscard]] program::Circuit circuit_of(std::size_t d) const {
    program::Circuit out;
    out.network = router_.network_;
    out.packets = trees_[d].packets;
    for (const std::uint32_t t : demands_[d].to) {
      std::vector<std::uint32_t>& path = out.paths.emplace_back(std::vector<std::uint32_t>{t});
      while (path.back() != demands_[d].from) {
        const auto before = trees_[d].before.find(path.back());
        if (before == trees_[d].before.end()) break;
        path.push_back(before->second.first);
      }
      std::reverse(path.begin(), path.end());
    }
    return out;
  }

  const CircuitRouter& router_;
  const chip::Network& network_;
  program::CircuitPlaces places_;
  const std::vector<Demand>& demands_;
  std::vector<std::size_t> order_, lightest_;
  std::vector<Tree> trees_;
  std::vector<std::int64_t> own_, streams_;  ///< by place
  std::vector<double> bytes_, history_;      ///< by link
  double all_bytes_ = 0;
  int rounds_ = 0;
};

CircuitRouter::CircuitRouter(const chip::Chip& chip, chip::NetworkId network) : chip_(chip), network_(network) {
  const chip::Network& n = chip.networks[network.index()];
  const chip::Component& over = chip.components[n.over.index()];
  const auto all = static_cast<std::uint32_t>(chip::instance_count(over));
  links_.resize(all);
  std::vector<bool> absent(all, false);
  if (!n.through_holes)
    for (const std::uint32_t hole : over.holes) absent[hole] = true;
  for (std::uint32_t from = 0; from < all; ++from)
    for (const std::uint32_t to : program::neighbours(chip, n, from))
      if (!absent[from] && !absent[to]) links_[from].push_back({to, *chip::link_between(chip, n, from, to)});
}

Routing CircuitRouter::route(const std::vector<Demand>& demands) const { return Negotiation(*this, demands).run(); }

CircuitPass::CircuitPass(const chip::Chip& chip) : chip_(chip) {
  for (std::size_t n = 0; n < chip.networks.size(); ++n)
    if (chip.networks[n].circuits > 0) routers_.try_emplace(n, chip, chip::NetworkId(n));
}

namespace {

Failure too_few(const chip::Chip& chip, std::size_t network, const program::Context& context, const Crowded& crowded) {
  const chip::Network& n = chip.networks[network];
  const program::CircuitPlaces places(chip, n);
  const std::string where = places.name(crowded.place);
  Failure failure = fail(FailureKind::unsupported, "compile/does-not-route",
                         fmt::format("the circuits of context '{}' do not all have room on {} of '{}'", context.name, where, n.name));
  Infeasible infeasible;
  infeasible.resource = fmt::format("{} of '{}'", where, n.name);
  infeasible.demand = static_cast<double>(places.needed(crowded.circuits, crowded.streams));
  infeasible.capacity = static_cast<double>(places.capacity(crowded.place));
  infeasible.unit = "circuits";
  infeasible.terms.push_back({"circuits of their own", static_cast<double>(crowded.circuits)});
  if (n.streams > 1)
    infeasible.terms.push_back({fmt::format("for {} streams of packets, {} to a circuit", crowded.streams, n.streams),
                                infeasible.demand - static_cast<double>(crowded.circuits)});
  infeasible.levers.push_back(
      fmt::format("--override /networks/{}/{}={:.0f}", n.name, crowded.place < places.links() ? "circuits" : "ends", infeasible.demand));
  infeasible.levers.push_back(n.streams > 1
                                  ? fmt::format("--override /networks/{}/streams={}: more of them share a circuit", n.name, 2 * n.streams)
                                  : fmt::format("--override /networks/{}/streams=4, where its switches know packets", n.name));
  failure.infeasible.push_back(std::move(infeasible));
  return failure;
}

}  // namespace

Status CircuitPass::run(program::Program& program) {
  if (!needed()) return Done{};
  for (program::Context& context : program.contexts) {
    context.circuits.clear();
    for (program::Actor& actor : context.actors)
      if (actor.route && routers_.count(actor.route->network.index()) != 0) actor.route->paths.clear();
    if (context.host) continue;
    const program::ContextTraffic traffic = program::count_traffic(program, context);
    if (!traffic.all_flows)
      return fail(FailureKind::unsupported, "compile/does-not-route",
                  fmt::format("context '{}' sends more different messages than are looked at", context.name), "a smaller model dimension");
    std::map<std::size_t, std::map<std::pair<std::uint32_t, std::vector<std::uint32_t>>, std::int64_t>> wanted;
    for (const program::Flow& flow : traffic.flows) {
      if (routers_.count(flow.network.index()) == 0) continue;
      auto ends = program::ends_of(chip_, flow);
      std::sort(ends.second.begin(), ends.second.end());
      wanted[flow.network.index()][std::move(ends)] += flow.bytes;
    }
    for (const auto& [network, ends] : wanted) {
      std::vector<Demand> demands;
      for (const auto& [between, bytes] : ends) demands.push_back({between.first, between.second, bytes});
      const auto [found, fresh] = known_.try_emplace({network, demands});
      if (fresh) found->second = routers_.at(network).route(demands);
      if (found->second.crowded) return too_few(chip_, network, context, *found->second.crowded);
      // Streams take turns in the order of the list: so those that carry most are apart.
      std::vector<std::size_t> order(demands.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return demands[a].bytes > demands[b].bytes; });
      for (const std::size_t d : order) context.circuits.push_back(found->second.circuits[d]);
    }
  }
  return Done{};
}

std::string print_circuits(const program::Program& program) {
  std::size_t own = 0, streams = 0, most = 0, links = 0;
  const program::Context* busiest = nullptr;
  for (const program::Context& context : program.contexts) {
    if (busiest == nullptr || context.circuits.size() > most) busiest = &context, most = context.circuits.size();
    for (const program::Circuit& circuit : context.circuits) {
      ++(circuit.packets ? streams : own);
      std::set<std::pair<std::uint32_t, std::uint32_t>> passed;
      for (const auto& path : circuit.paths)
        for (std::size_t k = 1; k < path.size(); ++k) passed.insert({path[k - 1], path[k]});
      links += passed.size();
    }
  }
  if (own + streams == 0) return "nothing passes a network of circuits";
  return fmt::format("{} circuits and {} streams of packets, of {:.1f} links each; most in '{}': {}", own, streams,
                     static_cast<double>(links) / static_cast<double>(own + streams), busiest->name, most);
}

}  // namespace switchyard::compiler
