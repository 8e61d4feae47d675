#include "program/play.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace switchyard::program {

Play::Play(const Context& context, bool all) : context_(context), layout_(lay_out(context)) { choose(all); }

void Play::choose(bool all) {
  // Actor instances joined by rings make one network; networks that look alike behave alike.
  std::vector<std::uint32_t> parent(layout_.actors.size());
  std::iota(parent.begin(), parent.end(), 0u);
  const auto root = [&](std::uint32_t a) {
    while (parent[a] != a) a = parent[a] = parent[parent[a]];
    return a;
  };
  for (const Ring& ring : layout_.rings)
    for (std::uint32_t k = 0; k < ring.consumer_count; ++k) {
      const std::uint32_t a = root(ring.producer), b = root(layout_.consumers[ring.first_consumer + k].actor);
      if (a != b) parent[std::max(a, b)] = std::min(a, b);
    }
  std::map<std::uint32_t, std::vector<std::uint32_t>> networks;
  for (std::uint32_t a = 0; a < layout_.actors.size(); ++a) networks[root(a)].push_back(a);

  for (std::uint32_t a = 0; a < layout_.actors.size(); ++a) network_.push_back(root(a));
  kind_.resize(layout_.actors.size(), kNoIndex);
  place_.assign(layout_.actors.size(), kNoIndex);
  std::map<std::vector<std::uint32_t>, std::uint32_t> known;
  for (const auto& [first, members] : networks) {
    // A network with one instance of each of its actors is described by them and by the channels that exist in it.
    std::vector<std::uint32_t> key;
    bool single = true;
    for (std::size_t m = 0; m < members.size() && single; ++m) {
      const ActorInstance& instance = layout_.actors[members[m]];
      single = m == 0 || layout_.actors[members[m - 1]].actor != instance.actor;
      key.push_back(instance.actor.value);
      for (std::size_t p = 0; p < context_.actors[instance.actor.index()].ports.size(); ++p) {
        if (!layout_.rules[instance.actor.index()][p].input) {
          for (const Outlet& outlet : layout_.outlets_of(members[m], p)) key.push_back(outlet.channel.value);
        } else {
          for (const Feed& feed : layout_.feeds_of(members[m], p)) key.push_back(feed.ring == kNoIndex ? 1 : 0);
        }
        key.push_back(kNoIndex);
      }
    }
    kind_[first] = single ? known.try_emplace(std::move(key), first).first->second : first;
    if (!all && kind_[first] != first) continue;
    for (const std::uint32_t a : members) {
      const Actor& actor = context_.actors[layout_.actors[a].actor.index()];
      if (actor.ports.empty()) continue;
      std::size_t loops = actor.loops.size();
      const auto kept_by_all = [&](std::size_t loop) {
        // What lies in place moves no tokens.
        return std::all_of(actor.ports.begin(), actor.ports.end(), [loop](const Port& port) { return port.kept[loop] || port.place; });
      };
      while (loops > 0 && kept_by_all(loops - 1)) --loops;
      Instance instance;
      instance.actor = a;
      instance.loops = static_cast<std::uint32_t>(loops);
      instance.index = static_cast<std::uint32_t>(index_.size());
      for (std::size_t i = loops; i < actor.loops.size(); ++i) instance.inner |= std::uint64_t{1} << i;
      index_.resize(index_.size() + actor.loops.size());
      place_[a] = static_cast<std::uint32_t>(played_.size());
      played_.push_back(instance);
      std::int64_t count = 1;
      for (std::size_t i = 0; i < loops; ++i) count *= actor.loops[i].trip;
      if (__builtin_add_overflow(firings_, count, &firings_)) firings_ = std::numeric_limits<std::int64_t>::max();
    }
  }
}

std::span<const std::int64_t> Play::index(const Instance& instance) const {
  return {index_.data() + instance.index, context_.actors[layout_.actors[instance.actor].actor.index()].loops.size()};
}

const Feed* Play::feed_at(std::span<const Feed> feeds, std::span<const std::int64_t> index, std::int64_t position) const {
  for (const Feed& feed : feeds)
    if (feed.rule.takes(index, position)) return feed.ring == kNoIndex ? nullptr : &feed;
  return nullptr;
}

std::int64_t Play::released(const Ring& ring) const {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::uint32_t k = 0; k < ring.consumer_count; ++k) least = std::min(least, consumers_[ring.first_consumer + k].released);
  return least;
}

std::optional<Wait> Play::blocked(std::size_t n) const {
  const Instance& instance = played_[n];
  const auto here = index(instance);
  const Walk& walk = walks_[n];
  const auto& rules = layout_.rules[layout_.actors[instance.actor].actor.index()];
  for (std::size_t p = 0; p < rules.size(); ++p) {
    const PortRule& rule = rules[p];
    if (!rule.begins(walk.z) || !rule.active(here)) continue;
    if (!rule.input) {
      for (const Outlet& outlet : layout_.outlets_of(instance.actor, p)) {
        const Ring& ring = layout_.rings[outlet.ring];
        if (rings_[outlet.ring].reserved - released(ring) >= depths_[outlet.channel.index()] && layout_.passes(outlet.channel, here))
          return Wait{instance.actor, outlet.channel, true};
      }
      continue;
    }
    const auto feeds = layout_.feeds_of(instance.actor, p);
    if (!rule.windowed()) {
      const Feed* feed = feed_at(feeds, here, 0);
      if (feed != nullptr && rings_[feed->ring].produced <= consumer(*feed).acquired) return Wait{instance.actor, feed->channel, false};
      continue;
    }
    const std::int64_t i = here[static_cast<std::size_t>(rule.window_loop)];
    for (const Feed& feed : feeds) {
      if (feed.ring == kNoIndex) continue;
      std::int64_t wanted = 0;
      for (std::int64_t position = rule.acquired_before(i); position < rule.acquired_through(i); ++position)
        if (!rule.always_padding(position) && feed.rule.takes(here, position)) ++wanted;
      if (wanted > 0 && rings_[feed.ring].produced < consumer(feed).acquired + wanted) return Wait{instance.actor, feed.channel, false};
    }
  }
  return std::nullopt;
}

void Play::wake(std::uint32_t actor) {
  const std::uint32_t n = place_[actor];
  if (n == kNoIndex || queued_[n] || walks_[n].done) return;
  queued_[n] = true;
  queue_.push_back(n);
}

void Play::fire(std::size_t n) {
  const Instance instance = played_[n];
  const auto here = index(instance);
  const Walk walk = walks_[n];
  const auto& rules = layout_.rules[layout_.actors[instance.actor].actor.index()];
  for (const bool starting : {true, false}) {
    for (std::size_t p = 0; p < rules.size(); ++p) {
      const PortRule& rule = rules[p];
      if (!(starting ? rule.begins(walk.z) : rule.ends(walk.l)) || !rule.active(here)) continue;
      if (!rule.input) {
        for (const Outlet& outlet : layout_.outlets_of(instance.actor, p)) {
          if (!layout_.passes(outlet.channel, here)) continue;
          if (starting) {
            ++rings_[outlet.ring].reserved;
            continue;
          }
          ++rings_[outlet.ring].produced;
          const Ring& ring = layout_.rings[outlet.ring];
          for (std::uint32_t k = 0; k < ring.consumer_count; ++k) wake(layout_.consumers[ring.first_consumer + k].actor);
        }
        continue;
      }
      const auto feeds = layout_.feeds_of(instance.actor, p);
      std::int64_t begin = 0, end = 1;
      if (rule.windowed()) {
        const std::int64_t i = here[static_cast<std::size_t>(rule.window_loop)];
        begin = starting ? rule.acquired_before(i) : rule.released_before(i);
        end = starting ? rule.acquired_through(i) : rule.released_through(i);
      }
      for (std::int64_t position = begin; position < end; ++position) {
        const Feed* feed = rule.always_padding(position) ? nullptr : feed_at(feeds, here, position);
        if (feed == nullptr) continue;
        if (starting) {
          ++consumer(*feed).acquired;
        } else {
          ++consumer(*feed).released;
          wake(layout_.rings[feed->ring].producer);
        }
      }
    }
  }
  advance(n);
}

void Play::advance(std::size_t n) {
  const Instance& instance = played_[n];
  const auto& loops = context_.actors[layout_.actors[instance.actor].actor.index()].loops;
  Walk& walk = walks_[n];
  ++walk.fired;
  for (std::size_t i = instance.loops; i-- > 0;) {
    const std::uint64_t bit = std::uint64_t{1} << i;
    std::int64_t& at = index_[instance.index + i];
    if (++at < loops[i].trip) {
      walk.z &= ~bit;
      if (at + 1 == loops[i].trip) walk.l |= bit;
      return;
    }
    at = 0;
    walk.z |= bit;
    if (loops[i].trip > 1) walk.l &= ~bit;
  }
  walk.done = true;
}

void Play::start(const std::vector<std::int64_t>& depths, std::uint32_t network) {
  depths_ = depths;
  rings_.assign(layout_.rings.size(), {});
  for (std::size_t r = 0; r < rings_.size(); ++r)
    rings_[r].reserved = rings_[r].produced = context_.channels[layout_.rings[r].channel.index()].initial;
  consumers_.assign(layout_.consumers.size(), {});
  std::fill(index_.begin(), index_.end(), 0);
  walks_.assign(played_.size(), {});
  queued_.assign(played_.size(), false);
  queue_.clear();
  for (std::size_t n = 0; n < played_.size(); ++n) {
    const auto& loops = context_.actors[layout_.actors[played_[n].actor].actor.index()].loops;
    walks_[n].z = walks_[n].l = played_[n].inner;
    for (std::size_t i = 0; i < played_[n].loops; ++i) {
      walks_[n].z |= std::uint64_t{1} << i;
      if (loops[i].trip == 1) walks_[n].l |= std::uint64_t{1} << i;
    }
  }
  for (std::size_t n = played_.size(); n-- > 0;)
    if (network == kNoIndex || network_[played_[n].actor] == network) wake(played_[n].actor);
}

void Play::drain(std::uint32_t held) {
  const std::uint32_t waits = held == kNoIndex ? kNoIndex : place_[held];
  while (!queue_.empty()) {
    const std::uint32_t n = queue_.back();
    queue_.pop_back();
    while (n != waits && !walks_[n].done && !blocked(n)) fire(n);
    queued_[n] = false;
  }
}

bool Play::step(std::uint32_t actor) {
  const std::uint32_t n = place_[actor];
  if (n == kNoIndex || walks_[n].done || blocked(n)) return false;
  fire(n);
  return true;
}

std::int64_t Play::inner_firings(std::uint32_t actor) const {
  std::int64_t count = 1;
  if (place_[actor] == kNoIndex) return count;
  const auto& loops = context_.actors[layout_.actors[actor].actor.index()].loops;
  for (std::size_t i = played_[place_[actor]].loops; i < loops.size(); ++i) count *= loops[i].trip;
  return count;
}

std::int64_t Play::all_firings(std::uint32_t actor) const {
  std::int64_t count = 1;
  for (const Loop& loop : context_.actors[layout_.actors[actor].actor.index()].loops) count *= loop.trip;
  return count / inner_firings(actor);
}

std::vector<Wait> Play::run(const std::vector<std::int64_t>& depths) {
  start(depths);
  drain();
  std::vector<Wait> waits;
  for (std::size_t n = 0; n < played_.size(); ++n)
    if (!walks_[n].done) waits.push_back(*blocked(n));
  return waits;
}

}  // namespace switchyard::program
