#include "program/succession.h"

#include <algorithm>

#include "program/instance.h"

namespace switchyard::program {

namespace {

bool kept_from(const Port& port, std::size_t loop) {
  for (std::size_t l = 0; l < port.kept.size(); ++l)
    if (port.kept[l] != (l >= loop)) return false;
  return port.guard.empty() && !port.place;
}

/// Steps that the producer is ahead by the tokens of its port and the consumer's; 0: they are of another kind.
std::int64_t lead_of(const Actor& from, const Port& output, const Actor& to, const Port& input) {
  if (kept_from(output, 0) && kept_from(input, 0) && !input.window) return Succession::kAll;
  if (from.loops.empty() || to.loops.empty() || from.loops[0].trip != to.loops[0].trip) return 0;
  if (!kept_from(output, 1) || !kept_from(input, 1)) return 0;
  if (!input.window) return 1;
  const Window& w = *input.window;
  return w.loop == 0 && w.pop == 1 && w.pad_before == 0 && w.pad_after == w.peek - 1 && w.pad_always ? w.peek : 0;
}

std::uint64_t key(std::uint32_t first, std::uint32_t second) { return std::uint64_t{first} << 32 | second; }

}  // namespace

Succession::Succession(const Context& context) : context_(context) {
  for (std::size_t c = 0; c < context.channels.size(); ++c) {
    const Channel& channel = context.channels[c];
    if (channel.initial > 0 || !channel.from_guard.empty() || channel.to.size() != 1 || channel.to[0].domain.loop >= 0) continue;
    const Endpoint &from = channel.from, &to = channel.to[0].end;
    const Actor &producer = context.actors[from.actor.index()], &consumer = context.actors[to.actor.index()];
    const std::int64_t lead =
        lead_of(producer, producer.ports[static_cast<std::size_t>(from.port)], consumer, consumer.ports[static_cast<std::size_t>(to.port)]);
    if (lead > 0) joints_[{from.actor.index(), to.actor.index()}].push_back({c, lead});
  }
}

std::int64_t Succession::lead(std::size_t second, std::uint32_t second_instance, std::size_t first, std::uint32_t first_instance) {
  const auto joined = joints_.find({first, second});
  if (joined == joints_.end()) return 0;
  const auto [at, fresh] = leads_.try_emplace(joined->first);
  if (fresh) {
    const Array& producers = context_.arrays[context_.actors[first].array.index()];
    const Array& consumers = context_.arrays[context_.actors[second].array.index()];
    const auto count = static_cast<std::uint32_t>(instance_count(consumers));
    for (const Joint& joint : joined->second)
      for (std::uint32_t i = 0; i < count; ++i)
        if (const std::uint32_t from = producer_instance(context_.channels[joint.channel].relation, producers, consumers, i);
            from != kNoIndex) {
          std::int64_t& lead = at->second[key(from, i)];
          lead = std::max(lead, joint.lead);
        }
  }
  const auto found = at->second.find(key(first_instance, second_instance));
  return found == at->second.end() ? 0 : found->second;
}

}  // namespace switchyard::program
