#include "compiler/collective.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "chip/query.h"

namespace switchyard::compiler {
namespace {

using chip::Protocol;
using chip::Way;
using numerics::affine_constant;
using numerics::affine_variable;
using program::Actor;
using program::ActorId;
using program::ArrayId;
using program::Channel;
using program::Context;
using program::ContextId;
using program::Guard;
using program::IndexRange;
using program::Port;
using program::Program;

constexpr std::array<std::pair<std::string_view, Exchange>, 4> kNames{{{"all_reduce", Exchange::all_reduce},
                                                                       {"all_gather", Exchange::all_gather},
                                                                       {"reduce_scatter", Exchange::reduce_scatter},
                                                                       {"all_to_all", Exchange::all_to_all}}};

/// Rounds of messages: in each step every device sends `elements` to the one `stride` further on, and with `sums` adds what arrives to its
/// own before it sends that on.
struct Round {
  std::int64_t stride = 1, steps = 1, elements = 1;
  bool sums = false;
};

/// A way through a mesh that passes each place once and comes back over one link, where its rows are even in number: forth and back through
/// all columns but the first, and home through that. Else row by row, forth and back.
std::vector<std::uint32_t> round_trip(std::int64_t rows, std::int64_t columns) {
  std::vector<std::uint32_t> order;
  const bool home = rows % 2 == 0 && columns > 1;
  const std::int64_t first = home ? 1 : 0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = first; i < columns; ++i)
      order.push_back(static_cast<std::uint32_t>(r * columns + (r % 2 == 0 ? i : columns - 1 - i + first)));
  if (home)
    for (std::int64_t r = rows; r-- > 0;) order.push_back(static_cast<std::uint32_t>(r * columns));
  return order;
}

class Builder {
 public:
  Builder(std::shared_ptr<const chip::Chip> server, const Collective& work, const Protocol& protocol)
      : server_(*server), c_(*server->collectives), work_(work), protocol_(protocol), devices_(static_cast<std::size_t>(work.devices)) {
    program_.chip = std::move(server);
    memory_ = *chip::scratchpad_of(server_, c_.over);
    std::iota(devices_.begin(), devices_.end(), 0u);
    const chip::Component& over = server_.components[c_.over.index()];
    if (server_.networks[c_.network.index()].topology == chip::Topology::mesh2d && over.shape.size() == 2 && over.holes.empty() &&
        work.devices == chip::instance_count(over))
      devices_ = round_trip(over.shape[0], over.shape[1]);
  }

  /// Rounds at the same time, in a context after the last.
  void together(const std::string& name, const std::vector<Round>& rounds) {
    Context context;
    context.name = fmt::format("{}{}", name, program_.contexts.size());
    context.ops = {name};
    context.arrays.push_back({"device", c_.over, {work_.devices}, devices_, false, {}});
    if (!program_.contexts.empty()) context.after = {ContextId(program_.contexts.size() - 1)};
    offset_ = 0;
    for (const Round& round : rounds) add(context, round, protocol_.mover, c_.network);
    program_.contexts.push_back(std::move(context));
  }
  /// A device's own part goes where it belongs in the result.
  void copy(std::int64_t elements) {
    if (!c_.copy) return;
    Context context;
    context.name = fmt::format("own{}", program_.contexts.size());
    context.ops = {"own"};
    context.arrays.push_back({"device", c_.over, {work_.devices}, devices_, false, {}});
    if (!program_.contexts.empty()) context.after = {ContextId(program_.contexts.size() - 1)};
    offset_ = 0;
    add(context, {0, 1, elements, false}, *c_.copy, std::nullopt);
    program_.contexts.push_back(std::move(context));
  }
  Program take() { return std::move(program_); }

 private:
  Port port(const char* name, bool input, std::int64_t elements, Guard guard) const {
    Port p;
    p.name = name;
    p.input = input;
    p.token = {work_.format, {elements}, {0}, 1};
    p.kept = {false};
    p.guard = std::move(guard);
    return p;
  }
  Channel channel(std::string name, std::size_t from, int port, std::size_t to, std::int64_t stride, std::int64_t initial,
                  std::int64_t elements) {
    Channel channel;
    channel.name = std::move(name);
    channel.from = {ActorId(from), port};
    channel.to = {{{ActorId(to), 0}, {}}};
    channel.relation.coordinates = {{affine_variable(0) + affine_constant(-stride), stride == 0 ? 0 : work_.devices}};
    channel.depth = 2;
    channel.memory = memory_;
    channel.offset = offset_;
    channel.bytes = 2 * elements * numerics::format_bytes(work_.format);
    const std::int64_t alignment = std::max<std::int64_t>(1, server_.memories[memory_.index()].alignment);
    offset_ += (channel.bytes + alignment - 1) / alignment * alignment;
    channel.initial = initial;
    return channel;
  }

  /// A sender takes what it has at first, then what has come; the last that comes is not sent on.
  void add(Context& context, const Round& round, chip::MoverId mover, std::optional<chip::NetworkId> network) {
    const std::size_t number = context.actors.size();
    Actor send;
    send.name = fmt::format("send{}", number);
    send.kind = program::ActorKind::move;
    send.array = ArrayId(0);
    send.mover = mover;
    send.loops = {{"s", round.steps + 1, numerics::LoopKind::sequential}};
    send.ports = {port("t", true, round.elements, {}), port("u", false, round.elements, {IndexRange{0, 0, -1}})};
    if (network) send.route = program::Route{*network, {}};
    send.ops = context.ops;
    context.actors.push_back(std::move(send));
    const std::int64_t stride = round.stride;
    if (!round.sums) {
      context.channels.push_back(channel(fmt::format("hop{}", number), number, 1, number, stride, 1, round.elements));
      return;
    }
    Actor sum;
    sum.name = fmt::format("sum{}", number);
    sum.array = ArrayId(0);
    sum.unit = c_.sums;
    sum.loops = {{"s", round.steps, numerics::LoopKind::sequential}};
    sum.ports = {port("t", true, round.elements, {}), port("v", false, round.elements, {})};
    sum.dims = {{"i", round.elements, round.elements, affine_constant(0)}};
    program::Statement add;
    add.dims = {0};
    add.kinds = {numerics::LoopKind::parallel};
    add.reads = {{0, {affine_variable(0)}, {}}};
    add.expression = numerics::apply(numerics::ScalarOp::add, numerics::expr_input(0), numerics::expr_constant(1));
    add.write = {1, {affine_variable(0)}, {}};
    sum.statements = {std::move(add)};
    sum.ops = context.ops;
    context.actors.push_back(std::move(sum));
    context.channels.push_back(channel(fmt::format("hop{}", number), number, 1, number + 1, stride, 0, round.elements));
    context.channels.push_back(channel(fmt::format("next{}", number), number + 1, 1, number, 0, 1, round.elements));
  }

  const chip::Chip& server_;
  const chip::Collectives& c_;
  const Collective& work_;
  const Protocol& protocol_;
  std::vector<std::uint32_t> devices_;
  Program program_;
  chip::MemoryId memory_;
  std::int64_t offset_ = 0;
};

/// Each to each: to the next, the one after it, and so on, all at once.
std::vector<Round> to_all(std::int64_t devices, std::int64_t elements, bool sums) {
  std::vector<Round> rounds;
  for (std::int64_t d = 1; d < devices; ++d) rounds.push_back({d, 1, elements, sums});
  return rounds;
}

struct Plan {
  const char* name;
  Way way;
  std::array<bool, 4> exchanges;  ///< by Exchange
  void (*build)(Builder&, const Collective&, std::int64_t whole, std::int64_t part);
};

void ring(Builder& b, const Collective& w, std::int64_t, std::int64_t part) {
  const std::int64_t steps = w.devices - 1;
  if (w.exchange == Exchange::all_reduce || w.exchange == Exchange::reduce_scatter) b.together("reduce", {{1, steps, part, true}});
  if (w.exchange == Exchange::all_reduce || w.exchange == Exchange::all_gather) b.together("gather", {{1, steps, part, false}});
  if (w.exchange != Exchange::all_reduce) b.copy(part);
}
void direct(Builder& b, const Collective& w, std::int64_t, std::int64_t part) {
  const bool sums = w.exchange == Exchange::all_reduce || w.exchange == Exchange::reduce_scatter;
  b.together(sums ? "reduce" : "send", to_all(w.devices, part, sums));
  if (w.exchange == Exchange::all_reduce)
    b.together("gather", to_all(w.devices, part, false));
  else
    b.copy(part);
}
void one_shot(Builder& b, const Collective& w, std::int64_t whole, std::int64_t) { b.together("reduce", to_all(w.devices, whole, true)); }
/// Every device sends all that it has, and the switch sends it the sum of one part of all; that is sent to the switch once and from it to
/// all. On each link passes in all what one device has.
void in_network(Builder& b, const Collective&, std::int64_t whole, std::int64_t) { b.together("reduce", {{1, 1, whole, false}}); }

constexpr std::array<Plan, 4> kPlans{{{"ring", Way::ring, {true, true, true, false}, ring},
                                      {"direct", Way::direct, {true, true, true, true}, direct},
                                      {"one shot", Way::one_shot, {true, false, false, false}, one_shot},
                                      {"in network", Way::in_network, {true, false, false, false}, in_network}}};

}  // namespace

std::optional<Exchange> exchange_named(std::string_view name) {
  for (const auto& [known, exchange] : kNames)
    if (name == known) return exchange;
  return std::nullopt;
}

Result<std::vector<CollectiveProgram>> compile_collective(std::shared_ptr<const chip::Chip> server, const Collective& work,
                                                          std::string_view library) {
  if (!server->collectives)
    return fail(FailureKind::unsupported, "collective/none", fmt::format("'{}' is no server: its file has no 'collectives'", server->name));
  const chip::Collectives& c = *server->collectives;
  const std::int64_t there = chip::instance_count(server->components[c.over.index()]);
  if (work.devices < 2 || work.devices > there)
    return fail(FailureKind::malformed, "collective/devices",
                fmt::format("{} devices cannot exchange anything on '{}', which has {}", work.devices, server->name, there));
  const std::int64_t element = numerics::format_bytes(work.format);
  const std::int64_t whole = std::max<std::int64_t>(1, work.bytes / work.pieces / element);
  const std::int64_t part = (whole + work.devices - 1) / work.devices;
  const bool known = !library.empty() && std::any_of(c.protocols.begin(), c.protocols.end(), [&](const Protocol& p) {
    return !p.library.empty() && library.find(p.library) != std::string_view::npos;
  });
  std::vector<CollectiveProgram> ways;
  for (const Protocol& p : c.protocols) {
    if (known && (p.library.empty() || library.find(p.library) == std::string_view::npos)) continue;
    if (p.most && static_cast<double>(work.bytes) > p.most->value) continue;
    for (const Plan& plan : kPlans) {
      const auto has = [&](Way way) { return std::find(p.ways.begin(), p.ways.end(), way) != p.ways.end(); };
      // Who knows rings sends pair by pair where everybody has something else for everybody.
      const bool pairs = work.exchange == Exchange::all_to_all && plan.way == Way::direct && has(Way::ring);
      if (!plan.exchanges[static_cast<std::size_t>(work.exchange)] || !(has(plan.way) || pairs)) continue;
      // A switch sums for all that are on it, not for some.
      if (plan.way == Way::in_network && work.devices != there) continue;
      Builder builder(server, work, p);
      for (std::int64_t i = 0; i < work.pieces; ++i) plan.build(builder, work, whole, part);
      ways.push_back({fmt::format("{}, {}", p.name, plan.name), builder.take(), from_seconds(p.start.value)});
    }
  }
  if (ways.empty())
    return fail(FailureKind::unsupported, "collective/none",
                fmt::format("no protocol of '{}' does this exchange of {} bytes", server->name, work.bytes));
  return ways;
}

Picoseconds collective_bound(const chip::Chip& server, const Collective& work) {
  const chip::Network& network = server.networks[server.collectives->network.index()];
  const double share = static_cast<double>(work.devices - 1) / static_cast<double>(work.devices);
  const bool reduces = network.reduces && work.devices == chip::instance_count(server.components[network.over.index()]);
  const double passes = work.exchange == Exchange::all_reduce ? (reduces ? 1 : 2 * share) : share;
  return from_seconds(static_cast<double>(work.bytes) * passes / network.link.value);
}

}  // namespace switchyard::compiler
