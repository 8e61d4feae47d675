#include "program/sequence.h"

#include <algorithm>

#include "support/check.h"

namespace switchyard::program {

namespace {

std::int64_t times(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  SY_CHECK(!__builtin_mul_overflow(a, b, &product), "counting tokens");
  return product;
}

}  // namespace

Odometer::Odometer(const std::vector<Loop>& loops) {
  SY_CHECK(loops.size() <= kMaxLoops, "loops of one actor");
  index_.assign(loops.size(), 0);
  trip_.reserve(loops.size());
  for (std::size_t i = 0; i < loops.size(); ++i) {
    trip_.push_back(loops[i].trip);
    firings_ = times(firings_, loops[i].trip);
    z_ |= std::uint64_t{1} << i;
    if (loops[i].trip == 1) l_ |= std::uint64_t{1} << i;
  }
  done_ = firings_ == 0;
}

void Odometer::next() {
  for (std::size_t i = index_.size(); i-- > 0;) {
    const std::uint64_t bit = std::uint64_t{1} << i;
    if (++index_[i] < trip_[i]) {
      z_ &= ~bit;
      if (index_[i] + 1 == trip_[i]) l_ |= bit;
      return;
    }
    index_[i] = 0;
    z_ |= bit;
    if (trip_[i] > 1) l_ &= ~bit;
  }
  done_ = true;
}

std::array<std::int64_t, 2> resolve(const IndexRange& range, std::int64_t positions) {
  const auto place = [positions](std::int64_t number) {
    if (number == IndexRange::kToEnd) return positions;
    if (number < 0) number = number < -positions ? 0 : number + positions;
    return std::min(number, positions);
  };
  const std::int64_t begin = place(range.begin);
  return {begin, std::max(begin, place(range.end))};
}

Range resolve_range(const Actor& actor, const IndexRange& range) {
  if (range.loop < 0) return {};
  const auto [begin, end] = resolve(range, actor.loops[static_cast<std::size_t>(range.loop)].trip);
  return {range.loop, begin, end};
}

std::vector<Range> resolve_guard(const Actor& actor, const Guard& guard) {
  std::vector<Range> ranges;
  for (const IndexRange& range : guard)
    if (range.loop >= 0) ranges.push_back(resolve_range(actor, range));
  return ranges;
}

PortRule port_rule(const Actor& actor, const Port& port) {
  PortRule rule;
  rule.input = port.input;
  for (std::size_t i = 0; i < actor.loops.size(); ++i)
    if (i < port.kept.size() && port.kept[i]) rule.kept |= std::uint64_t{1} << i;
  rule.guard = resolve_guard(actor, port.guard);
  if (port.window) {
    const Window& window = *port.window;
    rule.window_loop = window.loop;
    rule.peek = window.peek;
    rule.pop = window.pop;
    rule.window_trip = actor.loops[static_cast<std::size_t>(window.loop)].trip;
    rule.positions = times(window.pop, rule.window_trip - 1) + window.peek;
    rule.first_token = window.pad_always ? std::min(window.pad_before, rule.positions) : 0;
    rule.last_token = window.pad_always ? std::max(rule.first_token, rule.positions - window.pad_after) : rule.positions;
  }
  return rule;
}

FeedRule feed_rule(const Actor& actor, const Port& port, const IndexRange& domain) {
  FeedRule rule;
  if (domain.loop < 0) return rule;
  if (port.window && port.window->loop == domain.loop) {
    const auto [begin, end] = resolve(domain, port_rule(actor, port).positions);
    rule.range = {domain.loop, begin, end};
    rule.over_window = true;
  } else {
    rule.range = resolve_range(actor, domain);
  }
  return rule;
}

std::vector<std::array<std::int64_t, 2>> guard_box(const Actor& actor, const Guard& guard) {
  std::vector<std::array<std::int64_t, 2>> box;
  for (const Loop& loop : actor.loops) box.push_back({0, loop.trip});
  for (const Range& range : resolve_guard(actor, guard)) {
    auto& [begin, end] = box[static_cast<std::size_t>(range.loop)];
    begin = std::max(begin, range.begin);
    end = std::max(begin, std::min(end, range.end));
  }
  return box;
}

namespace {

/// Iteration vectors of the loops not kept (and not `but`) that pass the guards.
std::int64_t vectors(const Actor& actor, const Port& port, const Guard& guard, int but) {
  const auto box = guard_box(actor, guard);
  std::int64_t count = 1;
  for (std::size_t i = 0; i < box.size(); ++i) {
    if (static_cast<int>(i) == but || (i < port.kept.size() && port.kept[i])) continue;
    count = times(count, box[i][1] - box[i][0]);
  }
  return count;
}

}  // namespace

std::int64_t tokens_sent(const Actor& actor, const Port& port, const Guard& guard) {
  Guard both = port.guard;
  both.insert(both.end(), guard.begin(), guard.end());
  return vectors(actor, port, both, -1);
}

std::int64_t tokens_taken(const Actor& actor, const Port& port, const IndexRange& domain) {
  Guard guard = port.guard;
  if (!port.window) {
    guard.push_back(domain);
    return vectors(actor, port, guard, -1);
  }
  const PortRule rule = port_rule(actor, port);
  const FeedRule feed = feed_rule(actor, port, domain);
  std::int64_t begin = rule.first_token, end = rule.last_token;
  if (feed.over_window) {
    begin = std::max(begin, feed.range.begin);
    end = std::min(end, feed.range.end);
  } else {
    guard.push_back(domain);
  }
  return times(vectors(actor, port, guard, rule.window_loop), std::max<std::int64_t>(0, end - begin));
}

std::int64_t token_count(const Actor& actor, const Port& port) {
  if (!port.window) return tokens_sent(actor, port, {});
  return times(vectors(actor, port, port.guard, port.window->loop), port_rule(actor, port).positions);
}

}  // namespace switchyard::program
