// Law 8: no deadlock at the given depths. Whether a network of guarded loops gets stuck does not depend on the order in which it is played.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "program/findings.h"
#include "program/play.h"

namespace switchyard::program {

namespace {

constexpr std::int64_t kMostPlayed = std::int64_t{1} << 28;  ///< firings of a context
constexpr std::int64_t kMostSought = std::int64_t{1} << 25;  ///< firings spent on finding better depths

/// Everything of a context that its liveness depends on: contexts alike in this are played once.
std::string liveness_key(const Context& context) {
  std::string key;
  const auto add = [&key](auto... numbers) { (key.append(reinterpret_cast<const char*>(&numbers), sizeof(numbers)), ...); };
  const auto add_range = [&](const IndexRange& range) { add(range.loop, range.begin, range.end); };
  const auto add_guard = [&](const Guard& guard) {
    add(guard.size());
    for (const IndexRange& range : guard) add_range(range);
  };
  for (const Array& array : context.arrays) {
    add(array.shape.size(), array.dynamic);
    for (const std::int64_t extent : array.shape) add(extent);
  }
  for (const Actor& actor : context.actors) {
    add(actor.array.value, actor.loops.size(), actor.ports.size());
    for (const Loop& loop : actor.loops) add(loop.trip);
    for (const Port& port : actor.ports) {
      add(port.input);
      for (const bool kept : port.kept) add(kept);
      add_guard(port.guard);
      const Window none;
      const Window& window = port.window ? *port.window : none;
      add(port.place.has_value(), port.window.has_value(), window.loop, window.peek, window.pop, window.pad_before, window.pad_after,
          window.pad_always);
    }
  }
  for (const Channel& channel : context.channels) {
    add(channel.from.actor.value, channel.from.port, channel.to.size(), channel.depth, channel.initial);
    add_guard(channel.from_guard);
    for (const Channel::Consumer& to : channel.to) {
      add(to.end.actor.value, to.end.port);
      add_range(to.domain);
    }
    for (const Relation::Coordinate& coordinate : channel.relation.coordinates) {
      add(coordinate.modulus, coordinate.source.constant, coordinate.source.terms.size());
      for (const auto& term : coordinate.source.terms) add(term.variable, term.coefficient);
    }
  }
  return key;
}

/// Depths with which the context runs, each as small as it can be when the others are as found; nothing when no depths would do.
std::optional<std::vector<std::int64_t>> better_depths(Play& play, const std::vector<std::int64_t>& given, std::vector<Wait> waits) {
  std::vector<std::int64_t> depths = given;
  std::set<std::size_t> raised;
  std::int64_t budget = kMostSought;
  const auto stuck = [&](const std::vector<std::int64_t>& with) {
    budget -= play.firings();
    return play.run(with);
  };
  while (!waits.empty() && budget > 0) {
    std::set<std::size_t> full;
    for (const Wait& wait : waits)
      if (wait.for_space) full.insert(wait.channel.index());
    if (full.empty()) return std::nullopt;
    for (const std::size_t c : full) {
      depths[c] *= 2;
      raised.insert(c);
    }
    waits = stuck(depths);
  }
  if (!waits.empty()) return std::nullopt;
  for (const std::size_t c : raised) {
    std::int64_t low = given[c], high = depths[c];  // high will do
    while (low < high && budget > 0) {
      depths[c] = low + (high - low) / 2;
      if (stuck(depths).empty())
        high = depths[c];
      else
        low = depths[c] + 1;
    }
    depths[c] = high;
  }
  return depths;
}

void check_context(const Context& context, Findings& findings) {
  Play play(context);
  if (play.firings() > kMostPlayed)
    return findings.add("program/too-large", at(context), fmt::format("{} firings are too many to be played", play.firings()));
  std::vector<std::int64_t> depths;
  for (const Channel& channel : context.channels) depths.push_back(channel.depth);
  const std::vector<Wait> waits = play.run(depths);
  if (waits.empty()) return;
  std::vector<std::string> lines;
  std::set<std::pair<std::uint32_t, std::uint32_t>> said;
  for (const Wait& wait : waits) {
    const ActorId actor = play.layout().actors[wait.actor].actor;
    if (lines.size() == 6 || !said.insert({actor.value, wait.channel.value}).second) continue;
    lines.push_back(fmt::format("'{}' waits for {} '{}'", context.actors[actor.index()].name,
                                wait.for_space ? "a free slot in" : "a token of", context.channels[wait.channel.index()].name));
  }
  std::string hint = "no depths would do: the actors wait for each other's tokens";
  if (const auto better = better_depths(play, depths, waits)) {
    std::vector<std::string> changes;
    for (std::size_t c = 0; c < depths.size(); ++c)
      if ((*better)[c] != depths[c])
        changes.push_back(fmt::format("'{}' of depth {} instead of {}", context.channels[c].name, (*better)[c], depths[c]));
    hint = fmt::format("it would run with {}", fmt::join(changes, ", "));
  }
  findings.add("program/deadlock", at(context), fmt::format("the context comes to a halt: {}", fmt::join(lines, ", ")), hint);
}

}  // namespace

void verify_liveness(const Program& program, Findings& findings) {
  std::set<std::string> known;
  for (const Context& context : program.contexts)
    if (known.insert(liveness_key(context)).second) check_context(context, findings);
}

}  // namespace switchyard::program
