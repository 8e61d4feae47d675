// Law 7: every path that a program prescribes exists on the chip and leads where the data goes.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "chip/query.h"
#include "program/findings.h"
#include "program/instance.h"

namespace switchyard::program {

namespace {

class RouteLaw {
 public:
  RouteLaw(const Program& program, const Context& context, std::size_t actor, Findings& findings)
      : program_(program), chip_(*program.chip), context_(context), number_(actor), actor_(context.actors[actor]), findings_(findings) {}

  void check() {
    const Route& route = *actor_.route;
    const chip::Mover& mover = chip_.movers[actor_.mover.index()];
    if (mover.network != std::optional(route.network))
      return add(fmt::format("'{}' is not on the network '{}'", mover.name, network().name));
    if (route.paths.empty()) return;
    const Array& array = context_.arrays[actor_.array.index()];
    if (array.dynamic) return add("instances of a grid have no fixed place, so no prescribed paths");
    const Channel* remote = nullptr;
    int fed = 0;
    for (const Channel& channel : context_.channels) {
      if (channel.from.actor.index() != number_ || &actor_.ports[static_cast<std::size_t>(channel.from.port)] != data_port(actor_, false))
        continue;
      ++fed;
      if (!identity(channel)) remote = &channel;
    }
    if (remote == nullptr) {
      if (!count(array)) return;
      for (std::size_t i = 0; i < route.paths.size(); ++i) {
        const auto& path = route.paths[i];
        if (path.empty()) continue;
        const std::uint32_t here = array.components[i];
        if (!connected(path, i)) return;
        if (from_memory() ? path.back() != here || !is_port(actor_.source->buffer, path.front())
                          : path.front() != here || (actor_.destination && !is_port(actor_.destination->buffer, path.back())))
          return add(fmt::format("path {} does not lead between {} {} and the memory", i, component().name, here));
      }
      return;
    }
    if (fed > 1) return add("prescribed paths need a mover that feeds one channel only");
    const Array& consumers = context_.arrays[context_.actors[remote->to.front().end.actor.index()].array.index()];
    if (!count(consumers)) return;
    // One producer's paths must not meet again after they parted.
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> before;
    for (std::size_t i = 0; i < route.paths.size(); ++i) {
      const auto& path = route.paths[i];
      const std::uint32_t producer = producer_instance(remote->relation, array, consumers, static_cast<std::uint32_t>(i));
      if (path.empty() || producer == kNoIndex) continue;
      if (!connected(path, i)) return;
      if (path.back() != consumers.components[i] ||
          (from_memory() ? !is_port(actor_.source->buffer, path.front()) : path.front() != array.components[producer]))
        return add(fmt::format("path {} does not lead from the producer to {} {}", i, component().name, consumers.components[i]));
      for (std::size_t k = 0; k < path.size(); ++k) {
        const std::uint32_t from = k == 0 ? kNoIndex : path[k - 1];
        const auto [known, fresh] = before.insert({{producer, path[k]}, from});
        if (!fresh && known->second != from)
          return add(fmt::format("the paths of instance {} form no tree: they meet again at {} {}", producer, component().name, path[k]));
      }
    }
  }

 private:
  void add(std::string message) { findings_.add("program/route", at(context_, actor_), std::move(message)); }
  const chip::Network& network() const { return chip_.networks[actor_.route->network.index()]; }
  const chip::Component& component() const { return chip_.components[network().over.index()]; }

  /// A source that is spread lies in the own component.
  bool from_memory() const { return actor_.source && !program_.buffers[actor_.source->buffer.index()].spread; }

  bool identity(const Channel& channel) const {
    if (context_.actors[channel.to.front().end.actor.index()].array != actor_.array) return false;
    for (std::size_t d = 0; d < channel.relation.coordinates.size(); ++d)
      if (channel.relation.coordinates[d].modulus != 0 ||
          !(channel.relation.coordinates[d].source == numerics::affine_variable(static_cast<int>(d))))
        return false;
    return true;
  }

  bool count(const Array& array) {
    const auto wanted = static_cast<std::size_t>(instance_count(array));
    if (actor_.route->paths.size() == wanted && !array.dynamic) return true;
    add(fmt::format("there are {} paths for the {} instances of '{}'", actor_.route->paths.size(), wanted, array.name));
    return false;
  }

  bool is_port(BufferId buffer, std::uint32_t instance) const {
    const chip::Memory& memory = chip_.memories[program_.buffers[buffer.index()].memory.index()];
    return memory.ports.empty() || std::find(memory.ports.begin(), memory.ports.end(), instance) != memory.ports.end();
  }

  bool connected(const std::vector<std::uint32_t>& path, std::size_t number) {
    const auto limit = static_cast<std::uint32_t>(chip::instance_count(component()));
    for (std::size_t k = 0; k < path.size(); ++k) {
      if (path[k] >= limit) return add(fmt::format("path {} names {} {}, which does not exist", number, component().name, path[k])), false;
      if (!network().through_holes && std::find(component().holes.begin(), component().holes.end(), path[k]) != component().holes.end())
        return add(fmt::format("path {} passes {} {}, which is absent from this chip", number, component().name, path[k])), false;
      if (k > 0 && !chip::link_between(chip_, network(), path[k - 1], path[k]))
        return add(fmt::format("path {} jumps from {} {} to {}", number, component().name, path[k - 1], path[k])), false;
    }
    return true;
  }

  const Program& program_;
  const chip::Chip& chip_;
  const Context& context_;
  std::size_t number_;
  const Actor& actor_;
  Findings& findings_;
};

}  // namespace

void verify_routes(const Program& program, Findings& findings) {
  for (const Context& context : program.contexts)
    for (std::size_t a = 0; a < context.actors.size(); ++a)
      if (context.actors[a].route) RouteLaw(program, context, a, findings).check();
}

}  // namespace switchyard::program
