// Law 2: what is sent is what is taken, everywhere.
#include <fmt/format.h>

#include <algorithm>

#include "program/findings.h"
#include "program/instance.h"

namespace switchyard::program {

namespace {

/// The feeds of a port must take each position exactly once: ranges over one loop (or the window's positions) without gap or overlap.
void check_domains(const Context& context, const Actor& actor, const Port& port, const std::vector<IndexRange>& domains,
                   Findings& findings) {
  const std::string pointer = at(context, actor, port);
  if (domains.size() == 1 && domains[0].loop < 0) return;
  const int loop = domains[0].loop;
  std::vector<std::array<std::int64_t, 2>> ranges;
  const PortRule rule = port_rule(actor, port);
  std::array<std::int64_t, 2> whole{};
  for (const IndexRange& domain : domains) {
    if (domain.loop != loop || loop < 0)
      return findings.add("program/domain", pointer, "the feeds of a port must divide its sequence by one loop",
                          "say which indices each channel feeds: on LOOP[begin:end]");
    const FeedRule feed = feed_rule(actor, port, domain);
    whole = feed.over_window ? std::array{rule.first_token, rule.last_token} : guard_box(actor, port.guard)[static_cast<std::size_t>(loop)];
    const std::int64_t begin = std::max(feed.range.begin, whole[0]), end = std::min(feed.range.end, whole[1]);
    if (begin < end) ranges.push_back({begin, end});
  }
  std::sort(ranges.begin(), ranges.end());
  std::int64_t next = whole[0];
  const std::string what = rule.window_loop == loop ? "position" : "index";
  const std::string& name = actor.loops[static_cast<std::size_t>(loop)].name;
  for (const auto& [begin, end] : ranges) {
    if (begin < next) return findings.add("program/domain", pointer, fmt::format("{} {} of '{}' is fed twice", what, begin, name));
    if (begin > next) return findings.add("program/domain", pointer, fmt::format("{} {} of '{}' is not fed", what, next, name));
    next = end;
  }
  if (next < whole[1]) findings.add("program/domain", pointer, fmt::format("{} {} of '{}' is not fed", what, next, name));
}

void check_context(const Context& context, Findings& findings) {
  std::vector<std::vector<std::vector<IndexRange>>> domains;  // per actor and port
  std::vector<std::vector<bool>> read;
  for (const Actor& actor : context.actors) {
    domains.emplace_back(actor.ports.size());
    read.emplace_back(actor.ports.size(), false);
  }
  for (const Channel& channel : context.channels) {
    const Actor& producer = context.actors[channel.from.actor.index()];
    const Port& output = producer.ports[static_cast<std::size_t>(channel.from.port)];
    read[channel.from.actor.index()][static_cast<std::size_t>(channel.from.port)] = true;
    const std::int64_t sent = tokens_sent(producer, output, channel.from_guard);
    for (const Channel::Consumer& to : channel.to) {
      const Actor& consumer = context.actors[to.end.actor.index()];
      const Port& input = consumer.ports[static_cast<std::size_t>(to.end.port)];
      domains[to.end.actor.index()][static_cast<std::size_t>(to.end.port)].push_back(to.domain);
      if (!(input.token == output.token))
        findings.add("program/token-mismatch", at(context, channel),
                     fmt::format("'{}.{}' and '{}.{}' have different tokens", producer.name, output.name, consumer.name, input.name));
      const std::int64_t taken = tokens_taken(consumer, input, to.domain);
      if (sent + channel.initial != taken)
        findings.add("program/token-count", at(context, channel),
                     fmt::format("'{}.{}' sends {} token{}{} and '{}.{}' takes {}", producer.name, output.name, sent, sent == 1 ? "" : "s",
                                 channel.initial > 0 ? fmt::format(" besides {} initial", channel.initial) : std::string(), consumer.name,
                                 input.name, taken));
    }
  }
  for (std::size_t a = 0; a < context.actors.size(); ++a) {
    const Actor& actor = context.actors[a];
    for (std::size_t p = 0; p < actor.ports.size(); ++p) {
      const Port& port = actor.ports[p];
      if (port.place) continue;
      if (!port.input && !read[a][p]) findings.add("program/unread", at(context, actor, port), "no channel takes the tokens of this port");
      if (port.input && domains[a][p].empty())
        findings.add("program/unfed", at(context, actor, port), "no channel feeds this port");
      else if (port.input)
        check_domains(context, actor, port, domains[a][p], findings);
    }
  }
  if (!findings.none()) return;
  // Where a relation leaves the array a port without window has nothing to read.
  for (const Channel& channel : context.channels) {
    const Array& producers = context.arrays[context.actors[channel.from.actor.index()].array.index()];
    const Array& consumers = context.arrays[context.actors[channel.to.front().end.actor.index()].array.index()];
    for (const Channel::Consumer& to : channel.to) {
      const Actor& actor = context.actors[to.end.actor.index()];
      const Port& port = actor.ports[static_cast<std::size_t>(to.end.port)];
      if (port.window || consumers.dynamic || tokens_taken(actor, port, to.domain) == 0) continue;
      const auto count = static_cast<std::uint32_t>(instance_count(consumers));
      for (std::uint32_t i = 0; i < count; ++i) {
        if (producer_instance(channel.relation, producers, consumers, i) != kNoIndex) continue;
        findings.add("program/unfed", at(context, actor, port),
                     fmt::format("the channel '{}' does not reach instance {} of '{}'", channel.name, i, consumers.name),
                     "only a port with a window reads the pad value where a channel does not exist");
        break;
      }
    }
  }
}

}  // namespace

void verify_channels(const Program& program, Findings& findings) {
  for (const Context& context : program.contexts) check_context(context, findings);
}

}  // namespace switchyard::program
