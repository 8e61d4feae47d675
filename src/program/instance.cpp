#include "program/instance.h"

#include <fmt/format.h>

#include <set>

#include "chip/query.h"
#include "support/check.h"

namespace switchyard::program {

std::int64_t instance_count(const Array& array) {
  std::int64_t count = 1;
  for (const std::int64_t extent : array.shape) SY_CHECK(!__builtin_mul_overflow(count, extent, &count), "instances of an array");
  return count;
}

std::int64_t instances_used(const chip::Chip& chip, const Context& context, chip::ComponentId component) {
  std::set<std::uint32_t> used;
  for (const Array& array : context.arrays) {
    if (array.component != component || array.dynamic) {
      const auto all = chip::working_instances(chip.components[component.index()]);
      return static_cast<std::int64_t>(all.size());
    }
    used.insert(array.components.begin(), array.components.end());
  }
  return static_cast<std::int64_t>(used.size());
}

std::vector<std::int64_t> coordinates(const Array& array, std::uint32_t instance) {
  std::vector<std::int64_t> result(array.shape.size(), 0);
  std::int64_t rest = instance;
  for (std::size_t d = array.shape.size(); d-- > 0;) {
    result[d] = rest % array.shape[d];
    rest /= array.shape[d];
  }
  return result;
}

std::vector<std::string> coordinate_names(const Array& array) {
  if (array.coordinate_names.size() == array.shape.size()) return array.coordinate_names;
  std::vector<std::string> names;
  for (std::size_t d = 0; d < array.shape.size(); ++d) names.push_back(fmt::format("c{}", d));
  return names;
}

std::uint32_t producer_instance(const Relation& relation, const Array& producer, const Array& consumer, std::uint32_t instance) {
  const std::vector<std::int64_t> here = coordinates(consumer, instance);
  std::int64_t linear = 0;
  for (std::size_t d = 0; d < producer.shape.size(); ++d) {
    std::int64_t there = relation.coordinates[d].source.at(here);
    if (const std::int64_t modulus = relation.coordinates[d].modulus; modulus > 0) {
      there %= modulus;
      if (there < 0) there += modulus;
    }
    if (there < 0 || there >= producer.shape[d]) return kNoIndex;
    linear = linear * producer.shape[d] + there;
  }
  return static_cast<std::uint32_t>(linear);
}

Layout lay_out(const Context& context) {
  Layout layout;
  std::uint32_t port_count = 0;
  for (std::size_t a = 0; a < context.actors.size(); ++a) {
    const Actor& actor = context.actors[a];
    const Array& array = context.arrays[actor.array.index()];
    layout.first_instance.push_back(static_cast<std::uint32_t>(layout.actors.size()));
    const auto count = static_cast<std::uint32_t>(instance_count(array));
    for (std::uint32_t i = 0; i < count; ++i) {
      layout.actors.push_back({ActorId(a), i, array.dynamic ? kNoIndex : array.components[i], port_count});
      port_count += static_cast<std::uint32_t>(actor.ports.size());
    }
    std::vector<PortRule>& rules = layout.rules.emplace_back();
    for (const Port& port : actor.ports) rules.push_back(port_rule(actor, port));
  }

  std::vector<std::vector<Feed>> feeds(port_count);
  std::vector<std::vector<Outlet>> outlets(port_count);
  for (std::size_t c = 0; c < context.channels.size(); ++c) {
    const Channel& channel = context.channels[c];
    const ChannelId id(c);
    const Actor& source = context.actors[channel.from.actor.index()];
    layout.from_guards.push_back(resolve_guard(source, channel.from_guard));
    std::vector<std::uint32_t>& ring_of = layout.ring_of.emplace_back();
    if (channel.to.empty()) continue;
    const Array& producers = context.arrays[source.array.index()];
    const Array& consumers = context.arrays[context.actors[channel.to.front().end.actor.index()].array.index()];
    std::vector<FeedRule> rules;
    for (const Channel::Consumer& to : channel.to) {
      const Actor& actor = context.actors[to.end.actor.index()];
      rules.push_back(feed_rule(actor, actor.ports[static_cast<std::size_t>(to.end.port)], to.domain));
    }
    const auto count = static_cast<std::uint32_t>(instance_count(consumers));
    ring_of.assign(count, kNoIndex);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t from = producer_instance(channel.relation, producers, consumers, i);
      if (from != kNoIndex) {
        ring_of[i] = static_cast<std::uint32_t>(layout.rings.size());
        Ring ring;
        ring.channel = id;
        ring.instance = i;
        ring.component = consumers.dynamic ? kNoIndex : consumers.components[i];
        ring.producer = layout.first_instance[channel.from.actor.index()] + from;
        ring.producer_port = static_cast<std::uint32_t>(channel.from.port);
        ring.first_consumer = static_cast<std::uint32_t>(layout.consumers.size());
        ring.consumer_count = static_cast<std::uint32_t>(channel.to.size());
        outlets[layout.actors[ring.producer].first_port + ring.producer_port].push_back({ring_of[i], id});
        layout.rings.push_back(ring);
      }
      for (std::size_t k = 0; k < channel.to.size(); ++k) {
        const Endpoint& end = channel.to[k].end;
        const std::uint32_t actor = layout.first_instance[end.actor.index()] + i;
        if (from != kNoIndex) layout.consumers.push_back({actor, static_cast<std::uint32_t>(end.port)});
        feeds[layout.actors[actor].first_port + static_cast<std::uint32_t>(end.port)].push_back(
            {ring_of[i], static_cast<std::uint32_t>(k), id, rules[k]});
      }
    }
  }

  layout.ports.resize(port_count);
  for (std::size_t p = 0; p < port_count; ++p) {
    PortInstance& port = layout.ports[p];
    if (!outlets[p].empty()) {
      port.begin = static_cast<std::uint32_t>(layout.outlets.size());
      layout.outlets.insert(layout.outlets.end(), outlets[p].begin(), outlets[p].end());
      port.end = static_cast<std::uint32_t>(layout.outlets.size());
    } else {
      port.begin = static_cast<std::uint32_t>(layout.feeds.size());
      layout.feeds.insert(layout.feeds.end(), feeds[p].begin(), feeds[p].end());
      port.end = static_cast<std::uint32_t>(layout.feeds.size());
    }
  }
  return layout;
}

}  // namespace switchyard::program
