#include "program/succession.h"

#include <algorithm>

#include "program/instance.h"

namespace switchyard::program {

namespace {

/// One token, over all firings.
bool once(const Port& port) {
  return port.guard.empty() && !port.window && !port.place && std::all_of(port.kept.begin(), port.kept.end(), [](bool k) { return k; });
}

std::uint64_t key(std::uint32_t first, std::uint32_t second) { return std::uint64_t{first} << 32 | second; }

}  // namespace

Succession::Succession(const Context& context) : context_(context) {
  for (std::size_t c = 0; c < context.channels.size(); ++c) {
    const Channel& channel = context.channels[c];
    if (channel.initial > 0 || !channel.from_guard.empty() || channel.to.size() != 1 || channel.to[0].domain.loop >= 0) continue;
    const Endpoint &from = channel.from, &to = channel.to[0].end;
    if (once(context.actors[from.actor.index()].ports[static_cast<std::size_t>(from.port)]) &&
        once(context.actors[to.actor.index()].ports[static_cast<std::size_t>(to.port)]))
      channels_[{from.actor.index(), to.actor.index()}].push_back(c);
  }
}

bool Succession::follows(std::size_t second, std::uint32_t second_instance, std::size_t first, std::uint32_t first_instance) {
  const auto joined = channels_.find({first, second});
  if (joined == channels_.end()) return false;
  const auto [at, fresh] = pairs_.try_emplace(joined->first);
  if (fresh) {
    const Array& producers = context_.arrays[context_.actors[first].array.index()];
    const Array& consumers = context_.arrays[context_.actors[second].array.index()];
    const auto count = static_cast<std::uint32_t>(instance_count(consumers));
    for (const std::size_t c : joined->second)
      for (std::uint32_t i = 0; i < count; ++i)
        if (const std::uint32_t from = producer_instance(context_.channels[c].relation, producers, consumers, i); from != kNoIndex)
          at->second.insert(key(from, i));
  }
  return at->second.contains(key(first_instance, second_instance));
}

}  // namespace switchyard::program
