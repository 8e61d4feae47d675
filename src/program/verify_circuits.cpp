// Law 10: static circuits are trees along links of the chip, no more of them pass a link, begin or end at a component than have room there,
// and every transfer over a network of circuits has one. Counted here from the paths alone, whoever has found them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "chip/query.h"
#include "program/circuits.h"
#include "program/findings.h"
#include "program/traffic.h"

namespace switchyard::program {
namespace {

class CircuitLaw {
 public:
  CircuitLaw(const Program& program, const Context& context, Findings& findings)
      : program_(program), chip_(*program.chip), context_(context), findings_(findings) {}

  void check() {
    bool sound = true;
    for (std::size_t c = 0; c < context_.circuits.size(); ++c) sound = is_tree(c) && sound;
    if (sound) check_room();
    check_movers();
    if (sound && findings_.none()) check_transfers();
  }

 private:
  bool add(std::string message, std::string hint = {}) {
    findings_.add("program/circuit", at(context_), std::move(message), std::move(hint));
    return false;
  }

  bool is_tree(std::size_t number) {
    const Circuit& circuit = context_.circuits[number];
    if (circuit.network.index() >= chip_.networks.size() || chip_.networks[circuit.network.index()].circuits == 0)
      return add(fmt::format("circuit {} is on a network that has no circuits", number));
    const chip::Network& network = chip_.networks[circuit.network.index()];
    const chip::Component& component = chip_.components[network.over.index()];
    if (circuit.packets && network.streams <= 1) return add(fmt::format("circuit {}: '{}' has no packets", number, network.name));
    if (circuit.paths.empty() || circuit.paths.front().empty()) return add(fmt::format("circuit {} leads nowhere", number));
    const auto all = static_cast<std::uint32_t>(chip::instance_count(component));
    const std::set<std::uint32_t>& holes = holes_of(circuit.network.index());
    std::map<std::uint32_t, std::uint32_t> before;  // of each instance on the way
    std::vector<std::uint32_t> to;
    for (const auto& path : circuit.paths) {
      if (path.empty() || path.front() != circuit.paths.front().front())
        return add(fmt::format("the paths of circuit {} do not begin at one place", number));
      for (std::size_t k = 0; k < path.size(); ++k) {
        if (path[k] >= all || holes.count(path[k]) != 0)
          return add(fmt::format("circuit {} passes {} {}, which is absent from this chip", number, component.name, path[k]));
        if (k > 0 && !chip::link_between(chip_, network, path[k - 1], path[k]))
          return add(fmt::format("circuit {} jumps from {} {} to {}", number, component.name, path[k - 1], path[k]));
        const std::uint32_t from = k == 0 ? kNowhere : path[k - 1];
        if (const auto [known, fresh] = before.insert({path[k], from}); !fresh && known->second != from)
          return add(fmt::format("circuit {} is no tree: its paths meet again at {} {}", number, component.name, path[k]));
      }
      to.push_back(path.back());
    }
    if (!std::is_sorted(to.begin(), to.end()) || std::adjacent_find(to.begin(), to.end()) != to.end())
      return add(fmt::format("the paths of circuit {} are not in ascending order of where they end", number));
    const auto [other, fresh] = by_ends_.insert({{circuit.network.index(), circuit.paths.front().front(), to}, number});
    if (!fresh) return add(fmt::format("circuits {} and {} have the same ends", other->second, number));
    return true;
  }

  /// Of a network; none where its routers work.
  const std::set<std::uint32_t>& holes_of(std::size_t network) {
    const auto [found, fresh] = holes_.try_emplace(network);
    const chip::Network& n = chip_.networks[network];
    const std::vector<std::uint32_t>& holes = chip_.components[n.over.index()].holes;
    if (fresh && !n.through_holes) found->second.insert(holes.begin(), holes.end());
    return found->second;
  }

  void check_room() {
    std::map<std::pair<std::size_t, std::uint32_t>, std::pair<std::int64_t, std::int64_t>>
        passing;  // by network and place: circuits, streams
    for (const Circuit& circuit : context_.circuits) {
      const CircuitPlaces places(chip_, chip_.networks[circuit.network.index()]);
      std::set<std::uint32_t> passed;
      for (const auto& path : circuit.paths)
        for (const std::uint32_t place : places.along(path)) passed.insert(place);
      for (const std::uint32_t place : passed) {
        auto& [own, streams] = passing[{circuit.network.index(), place}];
        ++(circuit.packets ? streams : own);
      }
    }
    for (const auto& [at, count] : passing) {
      const chip::Network& network = chip_.networks[at.first];
      const CircuitPlaces places(chip_, network);
      if (places.needed(count.first, count.second) <= places.capacity(at.second)) continue;
      add(fmt::format("{} circuits and {} streams of packets pass {} of '{}', where there is room for {} circuits", count.first,
                      count.second, places.name(at.second), network.name, places.capacity(at.second)));
      if (findings_.full()) return;
    }
  }

  /// Circuits are those of the context that runs, between places that are known before it does.
  void check_movers() {
    for (const Actor& actor : context_.actors) {
      if (actor.kind != ActorKind::move) continue;
      const auto network = network_of(actor);
      if (!network || chip_.networks[network->index()].circuits == 0) continue;
      const std::string& name = chip_.networks[network->index()].name;
      const auto refuse = [&](std::string message) { findings_.add("program/circuit", at(context_, actor), std::move(message)); };
      if (actor.early) refuse(fmt::format("an early mover starts before the circuits of '{}' are those of its context", name));
      if (actor.route && !actor.route->paths.empty()) refuse(fmt::format("transfers over '{}' take the circuits of their context", name));
      if (context_.arrays[actor.array.index()].dynamic)
        refuse(fmt::format("instances of a grid have no fixed place, so no circuits of '{}'", name));
    }
  }

  std::optional<chip::NetworkId> network_of(const Actor& actor) const {
    if (actor.route) return actor.route->network;
    const chip::Mover& mover = chip_.movers[actor.mover.index()];
    for (const auto& access : {actor.source, actor.destination})
      if (access && !program_.buffers[access->buffer.index()].spread)
        return chip::network_between(chip_, mover, program_.buffers[access->buffer.index()].memory);
    return mover.network;
  }

  void check_transfers() {
    if (std::none_of(chip_.networks.begin(), chip_.networks.end(), [](const chip::Network& n) { return n.circuits > 0; })) return;
    const ContextTraffic traffic = count_traffic(program_, context_);
    if (!traffic.all_flows) return static_cast<void>(add("messages are too many to be checked against the circuits"));
    for (const Flow& flow : traffic.flows) {
      const chip::Network& network = chip_.networks[flow.network.index()];
      if (network.circuits == 0) continue;
      auto [from, to] = ends_of(chip_, flow);
      std::sort(to.begin(), to.end());
      if (!by_ends_.insert({{flow.network.index(), from, to}, context_.circuits.size()}).second) continue;  // it has one, or was told
      add(fmt::format("no circuit of '{}' leads from {} {} to {}", network.name, chip_.components[network.over.index()].name, from,
                      fmt::join(to, ", ")));
    }
  }

  static constexpr std::uint32_t kNowhere = 0xffffffffu;
  const Program& program_;
  const chip::Chip& chip_;
  const Context& context_;
  Findings& findings_;
  std::map<std::tuple<std::size_t, std::uint32_t, std::vector<std::uint32_t>>, std::size_t> by_ends_;
  std::map<std::size_t, std::set<std::uint32_t>> holes_;  ///< by network
};

}  // namespace

void verify_circuits(const Program& program, Findings& findings) {
  for (const Context& context : program.contexts) {
    if (findings.full()) return;
    CircuitLaw(program, context, findings).check();
  }
}

}  // namespace switchyard::program
