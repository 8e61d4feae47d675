#include "program/traffic.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "chip/query.h"
#include "numerics/packing.h"
#include "program/circuits.h"
#include "program/instance.h"
#include "program/parts.h"
#include "program/spread.h"

namespace switchyard::program {
namespace {

using Ranges = std::vector<std::array<std::int64_t, 2>>;  ///< per loop: indices at which something happens
using Links = std::vector<std::uint32_t>;  ///< that one transfer takes: those that several of its receivers share more than once

constexpr std::int64_t kMostLooked = std::int64_t{1} << 18;  ///< of one box
constexpr std::int64_t kMostInAll = std::int64_t{1} << 24;   ///< of one context
constexpr std::int64_t kMostCount = std::int64_t{1} << 60;

/// Counts stop at kMostCount: programs from files may name any numbers.
std::int64_t times(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kMostCount : std::min(product, kMostCount);
}
void add(std::int64_t& to, std::int64_t n) { to = std::min(kMostCount, to + std::min(n, kMostCount)); }

void narrow(Ranges& ranges, const Guard& guard, const std::vector<Loop>& loops) {
  for (const IndexRange& r : guard) {
    if (r.loop < 0) continue;
    const auto l = static_cast<std::size_t>(r.loop);
    const auto [begin, end] = resolve(r, loops[l].trip);
    ranges[l] = {std::max(ranges[l][0], begin), std::min(ranges[l][1], end)};
  }
}

/// Loops over which a token stays count once.
void keep(Ranges& ranges, const Port& port) {
  for (std::size_t l = 0; l < ranges.size() && l < port.kept.size(); ++l)
    if (port.kept[l] && ranges[l][1] > ranges[l][0]) ranges[l][1] = ranges[l][0] + 1;
}

Ranges all_of(const Actor& actor) {
  Ranges ranges;
  for (const Loop& l : actor.loops) ranges.push_back({0, l.trip});
  return ranges;
}

std::int64_t count_of(const Ranges& ranges) {
  std::int64_t n = 1;
  for (const auto& [begin, end] : ranges) n = times(n, std::max<std::int64_t>(0, end - begin));
  return n;
}

/// One side of a box whose place depends on loops: how long it is, and where it may lie.
struct Side {
  const numerics::Affine* start = nullptr;
  std::int64_t extent = 1, begin = 0, end = 1;
};
struct Sum {
  std::int64_t points = 0;   ///< over all firings
  std::int64_t firings = 0;  ///< that touch any
};

/// Calls visit(variables) at every index of the loops in `which`, the others at their first; false when there are too many.
template <class Visit>
bool each_index(const Ranges& ranges, const std::vector<int>& which, std::vector<std::int64_t>& variables, std::size_t rank,
                std::int64_t& budget, const Visit& visit) {
  std::int64_t n = 1;
  for (const int l : which) {
    const auto& r = ranges[static_cast<std::size_t>(l)];
    if (r[1] <= r[0]) return true;
    n = times(n, r[1] - r[0]);
    if (n > std::min(kMostLooked, budget)) return false;
  }
  budget -= n;
  for (std::size_t l = 0; l < ranges.size(); ++l) variables[rank + l] = ranges[l][0];
  for (std::int64_t i = 0; i < n; ++i) {
    std::int64_t rest = i;
    for (const int l : which) {
      const auto& r = ranges[static_cast<std::size_t>(l)];
      variables[rank + static_cast<std::size_t>(l)] = r[0] + rest % (r[1] - r[0]);
      rest /= r[1] - r[0];
    }
    visit(variables);
  }
  return true;
}

/// Sum over all firings of the product of the sides' clipped lengths. Sides that share no loop are summed apart.
Sum sum_of(const std::vector<Side>& sides, const Ranges& ranges, std::span<const std::int64_t> coordinates, std::int64_t& budget) {
  const std::size_t rank = coordinates.size();
  std::vector<int> group(ranges.size(), -1);  // per loop: the set of sides it belongs to
  std::vector<int> of(sides.size());
  std::iota(of.begin(), of.end(), 0);
  const auto join = [&](int a, int b) {
    for (int& o : of)
      if (o == b) o = a;
    for (int& g : group)
      if (g == b) g = a;
  };
  for (std::size_t s = 0; s < sides.size(); ++s)
    for (const auto& t : sides[s].start->terms) {
      const auto v = static_cast<std::size_t>(t.variable);
      if (v < rank || t.coefficient == 0) continue;
      int& g = group[v - rank];
      if (g < 0) {
        g = of[s];
      } else if (g != of[s]) {
        join(g, of[s]);
      }
    }
  Sum total{1, 1};
  for (std::size_t l = 0; l < ranges.size(); ++l) {
    if (group[l] >= 0) continue;
    const std::int64_t n = std::max<std::int64_t>(0, ranges[l][1] - ranges[l][0]);
    total.points = times(total.points, n);
    total.firings = times(total.firings, n);
  }
  std::vector<std::int64_t> variables(coordinates.begin(), coordinates.end());
  variables.resize(rank + ranges.size(), 0);
  for (std::size_t first = 0; first < sides.size(); ++first) {
    if (of[first] != static_cast<int>(first) && std::find(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(first), of[first]) !=
                                                    of.begin() + static_cast<std::ptrdiff_t>(first))
      continue;  // its set has been summed
    std::vector<int> loops;
    std::int64_t whole = 1, steps = 1;
    for (std::size_t l = 0; l < ranges.size(); ++l)
      if (group[l] == of[first])
        loops.push_back(static_cast<int>(l)), steps = times(steps, std::max<std::int64_t>(0, ranges[l][1] - ranges[l][0]));
    for (std::size_t s = 0; s < sides.size(); ++s)
      if (of[s] == of[first]) whole = times(whole, sides[s].extent);
    Sum sum;
    const bool looked = each_index(ranges, loops, variables, rank, budget, [&](std::span<const std::int64_t> at) {
      std::int64_t points = 1;
      for (std::size_t s = 0; s < sides.size(); ++s) {
        if (of[s] != of[first]) continue;
        const std::int64_t start = sides[s].start->at(at);
        points *= std::max<std::int64_t>(0, std::min(start + sides[s].extent, sides[s].end) - std::max(start, sides[s].begin));
      }
      add(sum.points, points);
      sum.firings += points > 0 ? 1 : 0;
    });
    if (!looked) sum = {times(whole, steps), steps};
    total.points = times(total.points, sum.points);
    total.firings = times(total.firings, sum.firings);
  }
  return total;
}

std::vector<Side> sides_of(const BufferAccess& access, std::span<const std::int64_t> extent) {
  std::vector<Side> sides;
  for (std::size_t d = 0; d < access.start.size(); ++d)
    sides.push_back({&access.start[d], extent[d], access.region[d][0], access.region[d][1]});
  return sides;
}

class Counter {
 public:
  Counter(const Program& program, const Context& context)
      : program_(program),
        chip_(*program.chip),
        context_(context),
        layout_(lay_out(context)),
        parts_(program.buffers),
        circuits_(program, context) {
    for (const chip::Network& n : chip_.networks) out_.links.emplace_back(static_cast<std::size_t>(chip::link_count(chip_, n)), 0);
    std::size_t most = 0;
    for (const Array& a : context.arrays)
      most = std::max(most, static_cast<std::size_t>(chip::instance_count(chip_.components[a.component.index()])));
    for (auto* list : {&out_.work, &out_.commands, &out_.into, &out_.out_of}) list->assign(most, 0);
    out_.actors.resize(context.actors.size());
    out_.movers.resize(chip_.movers.size());
  }

  ContextTraffic run() {
    deal();
    for (std::uint32_t i = 0; i < layout_.actors.size(); ++i) {
      const Actor& actor = context_.actors[layout_.actors[i].actor.index()];
      coordinates_ = coordinates(context_.arrays[actor.array.index()], layout_.actors[i].instance);
      here_ = layout_.actors[i].component;
      traffic_ = &out_.actors[layout_.actors[i].actor.index()];
      if (actor.kind == ActorKind::compute) {
        compute(actor);
      } else if (actor.destination && program_.buffers[actor.destination->buffer.index()].spread) {
        messages(actor);
      } else {
        move(actor, i);
      }
    }
    for (const auto& [key, bytes] : ports_) out_.ports.push_back({chip::MemoryId(key.first), key.second, bytes.first, bytes.second});
    for (auto& [key, bytes] : flows_) {
      const auto& [network, memory, stores, here, receivers] = key;
      out_.flows.push_back({chip::NetworkId(network), memory > 0 ? std::optional(chip::MemoryId(memory - 1)) : std::nullopt, stores, here,
                            receivers, bytes});
    }
    return std::move(out_);
  }

 private:
  /// Grids: evenly, in the order of the components.
  void deal() {
    for (const Array& a : context_.arrays) {
      if (!a.dynamic) continue;
      const chip::Component& component = chip_.components[a.component.index()];
      const auto working = chip::working_instances(component);
      if (working.empty()) continue;
      out_.dealt.resize(std::max(out_.dealt.size(), static_cast<std::size_t>(chip::instance_count(component))), 0);
      const std::int64_t all = instance_count(a), n = static_cast<std::int64_t>(working.size());
      for (std::int64_t w = 0; w < n; ++w) out_.dealt[working[static_cast<std::size_t>(w)]] += all / n + (w < all % n ? 1 : 0);
    }
  }

  void tally(std::vector<std::int64_t>& list, std::uint32_t component, std::int64_t n) {
    if (component < list.size()) add(list[component], n);
  }

  void carry(chip::MoverId mover, std::int64_t transfers, std::int64_t bytes) {
    add(traffic_->transfers, transfers);
    add(traffic_->bytes, bytes);
    tally(out_.commands, here_, transfers);
    auto& list = out_.movers[mover.index()];
    if (here_ == kNoIndex) return;
    if (here_ >= list.size()) list.resize(here_ + std::size_t{1});
    add(list[here_].transfers, transfers);
    add(list[here_].bytes, bytes);
  }

  void compute(const Actor& actor) {
    std::vector<Side> sides;
    for (const Dim& d : actor.dims) sides.push_back({&d.offset, d.tile, 0, d.total});
    const Sum sum = sum_of(sides, all_of(actor), coordinates_, budget_);
    add(traffic_->transfers, sum.firings);
    tally(out_.work, here_, sum.points);
    tally(out_.commands, here_, sum.firings);
  }

  void link(chip::NetworkId id, std::uint32_t from, std::uint32_t to, Links& taken) {
    const chip::Network& network = chip_.networks[id.index()];
    if (chip::is_switched(network)) {
      for (const std::uint32_t l : chip::switched_links(chip_, network, from, to)) taken.push_back(l);
    } else if (const auto number = chip::link_between(chip_, network, from, to)) {
      taken.push_back(*number);
    }
  }
  /// Along the context's circuits, where the network has them and one leads there; else along the routes that were followed.
  void pass(chip::NetworkId id, std::uint32_t from, std::vector<std::uint32_t> to, Links links, std::int64_t bytes) {
    if (chip_.networks[id.index()].circuits > 0)
      if (const auto circuit = circuits_.find(id, from, std::move(to))) {
        const std::set<std::uint32_t> own = circuits_.links(*circuit);
        links.assign(own.begin(), own.end());
      }
    pass(id, links, bytes);
  }
  void pass(chip::NetworkId id, const Links& links, std::int64_t bytes) {
    std::vector<std::int64_t>& carried = out_.links[id.index()];
    taken_.resize(std::max(taken_.size(), carried.size()), 0);
    ++transfer_;
    for (const std::uint32_t l : links) {
      if (l >= carried.size() || taken_[l] == transfer_) continue;
      taken_[l] = transfer_;
      add(carried[l], bytes);
    }
  }
  /// The network a mover's transfers use, when it joins the mover's components.
  std::optional<chip::NetworkId> network_of(const Actor& actor, std::optional<chip::MemoryId> off_chip) const {
    const chip::Mover& mover = chip_.movers[actor.mover.index()];
    std::optional<chip::NetworkId> id;
    if (actor.route) {
      id = actor.route->network;
    } else {
      id = off_chip ? chip::network_between(chip_, mover, *off_chip) : mover.network;
    }
    if (id && chip_.networks[id->index()].over != mover.in) id.reset();
    return id;
  }

  std::vector<std::uint32_t> route(chip::NetworkId id, const Actor& actor, std::size_t path, std::uint32_t from, std::uint32_t to) const {
    if (actor.route && path < actor.route->paths.size() && !actor.route->paths[path].empty()) {
      std::vector<std::uint32_t> given = actor.route->paths[path];
      if (given.size() > 1 && given.front() != from && given.back() == from) std::reverse(given.begin(), given.end());
      return given;
    }
    return chip::default_route(chip_, chip_.networks[id.index()], from, to);
  }

  void flow(chip::NetworkId id, std::optional<chip::MemoryId> memory, bool stores, std::vector<std::uint32_t> to, std::int64_t bytes) {
    if (bytes <= 0 || chip_.networks[id.index()].topology == chip::Topology::crossbar) return;
    std::sort(to.begin(), to.end());
    to.erase(std::unique(to.begin(), to.end()), to.end());
    add(flows_[{id.index(), memory ? memory->index() + 1 : 0, stores, here_, std::move(to)}], bytes);
  }

  void messages(const Actor& actor) {
    const Buffer& buffer = program_.buffers[actor.destination->buffer.index()];
    const auto extent = move_extent(actor, *actor.destination);
    Ranges ranges = all_of(actor);
    for (const Port& p : actor.ports)
      if (moves_data(p)) narrow(ranges, p.guard, actor.loops), keep(ranges, p);
    std::vector<int> loops;
    for (std::size_t l = 0; l < ranges.size(); ++l)
      if (static_cast<int>(l) != actor.destination->message) loops.push_back(static_cast<int>(l));
    numerics::Format format = buffer.format;
    if (actor.source)
      if (const auto from = program_.buffers[actor.source->buffer.index()].format;
          numerics::stored_bits(from) < numerics::stored_bits(format))
        format = from;
    const Parts& parts = parts_[actor.destination->buffer];
    const std::uint32_t here = updates_copies(actor) ? parts.on(here_) : Parts::kNone;
    const auto own = here == Parts::kNone ? std::nullopt : std::optional(here);
    const auto network = network_of(actor, std::nullopt);
    std::vector<std::int64_t> variables = coordinates_;
    variables.resize(coordinates_.size() + ranges.size(), 0);
    out_.all_flows &= each_index(ranges, loops, variables, coordinates_.size(), budget_, [&](std::span<const std::int64_t> at) {
      for (const Message& m : parts.messages(touched(*actor.destination, extent, at), own)) {
        std::int64_t points = 1;
        for (const auto& [begin, end] : m.box) points = times(points, end - begin);
        const std::int64_t bytes = numerics::stored_bytes(format, points);
        carry(actor.mover, 1, bytes);
        Links tree;
        std::vector<std::uint32_t> receivers;
        for (const std::uint32_t i : m.instances) {
          const std::uint32_t to = buffer.spread->components[i];
          if (to == here_) continue;
          receivers.push_back(to);
          tally(out_.into, to, bytes);
          if (!network) continue;
          const auto hops = chip::default_route(chip_, chip_.networks[network->index()], here_, to);
          for (std::size_t h = 0; h + 1 < hops.size(); ++h) link(*network, hops[h], hops[h + 1], tree);
        }
        if (receivers.empty()) continue;
        add(out_.sent, bytes);
        tally(out_.out_of, here_, bytes);
        if (!network) continue;
        pass(*network, here_, receivers, std::move(tree), bytes);
        flow(*network, std::nullopt, false, std::move(receivers), bytes);
      }
    });
  }

  void move(const Actor& actor, std::uint32_t number) {
    Ranges ranges = all_of(actor);
    std::optional<std::size_t> in, out;
    for (std::size_t p = 0; p < actor.ports.size(); ++p) {
      if (!moves_data(actor.ports[p])) continue;
      narrow(ranges, actor.ports[p].guard, actor.loops);
      keep(ranges, actor.ports[p]);
      (actor.ports[p].input ? in : out) = p;
    }
    Sum sum;
    if (const auto& box = actor.source ? actor.source : actor.destination) {
      sum = sum_of(sides_of(*box, move_extent(actor, *box)), ranges, coordinates_, budget_);
      sum.points = numerics::stored_bytes(program_.buffers[box->buffer.index()].format, sum.points);
    } else if (out) {
      const std::int64_t tokens = count_of(ranges);
      const Token& token = actor.ports[*out].token;
      sum = {tokens * numerics::stored_bytes(token.format, numerics::element_count(token.shape)), tokens};
    }
    if (sum.firings == 0) return;
    carry(actor.mover, sum.firings, sum.points);

    const auto off_chip = [&](const std::optional<BufferAccess>& access) -> std::optional<chip::MemoryId> {
      if (!access || program_.buffers[access->buffer.index()].spread) return std::nullopt;
      return program_.buffers[access->buffer.index()].memory;
    };
    const auto from = off_chip(actor.source), to = off_chip(actor.destination);
    if (from) add(out_.read, sum.points);
    if (to) add(out_.written, sum.points);
    if (here_ == kNoIndex) return;  // of a grid: nobody knows where

    struct Target {
      std::uint32_t component;
      std::size_t path;
    };
    std::vector<Target> targets;
    if (out) {
      for (const Outlet& outlet : layout_.outlets_of(number, *out)) {
        if (outlet.ring == kNoIndex) continue;
        const Ring& ring = layout_.rings[outlet.ring];
        if (ring.component == here_ && from) {
          targets.push_back({here_, layout_.actors[number].instance});
        } else {
          targets.push_back({ring.component, ring.instance});
        }
      }
    }
    const auto network = network_of(actor, from ? from : to);
    Links tree;
    std::vector<std::uint32_t> receivers;
    const auto follow = [&](const std::vector<std::uint32_t>& hops) {
      for (std::size_t h = 0; h + 1 < hops.size(); ++h) link(*network, hops[h], hops[h + 1], tree);
    };
    const bool all_sides = !network || chip_.networks[network->index()].topology != chip::Topology::crossbar;
    if (from) {
      const chip::Memory& memory = chip_.memories[from->index()];
      const std::uint32_t port = chip::nearest_port(chip_, memory, here_);
      add(ports_[{from->index(), port}].first, sum.points);
      if (targets.empty()) targets.push_back({here_, layout_.actors[number].instance});
      for (const Target& t : targets) {
        tally(out_.into, t.component, sum.points);
        receivers.push_back(t.component);
        if (!network) continue;
        if (!all_sides && memory.ports.empty()) {
          tree.push_back(2 * t.component + 1);
        } else {
          auto hops = route(*network, actor, t.path, port, t.component);
          if (hops.size() > 1 && hops.back() != t.component && hops.front() == t.component) std::reverse(hops.begin(), hops.end());
          follow(hops);
        }
      }
    } else if (to) {
      const chip::Memory& memory = chip_.memories[to->index()];
      const std::uint32_t port = chip::nearest_port(chip_, memory, here_);
      add(ports_[{to->index(), port}].second, sum.points);
      tally(out_.out_of, here_, sum.points);
      if (network && !all_sides && memory.ports.empty()) {
        tree.push_back(2 * here_);
      } else if (network) {
        follow(route(*network, actor, layout_.actors[number].instance, here_, port));
      }
    } else {
      for (const Target& t : targets) {
        if (t.component == here_) continue;
        receivers.push_back(t.component);
        tally(out_.into, t.component, sum.points);
        if (network) follow(route(*network, actor, t.path, here_, t.component));
      }
      if (!receivers.empty()) add(out_.sent, sum.points), tally(out_.out_of, here_, sum.points);
    }
    if (!network) return;
    if (chip_.networks[network->index()].circuits > 0) {
      const auto& memory = from ? from : to;
      const std::uint32_t port = memory ? chip::nearest_port(chip_, chip_.memories[memory->index()], here_) : here_;
      pass(*network, from ? port : here_, to && !from ? std::vector{port} : receivers, std::move(tree), sum.points);
    } else {
      pass(*network, tree, sum.points);
    }
    if (from || to || !receivers.empty()) flow(*network, from ? from : to, !from && to, std::move(receivers), sum.points);
  }

  const Program& program_;
  const chip::Chip& chip_;
  const Context& context_;
  Layout layout_;
  PartsOf parts_;
  CircuitTable circuits_;
  ContextTraffic out_;
  std::map<std::pair<std::size_t, std::uint32_t>, std::pair<std::int64_t, std::int64_t>> ports_;
  /// By network, memory + 1 (0: none), whether it stores, source and receivers.
  std::map<std::tuple<std::size_t, std::size_t, bool, std::uint32_t, std::vector<std::uint32_t>>, std::int64_t> flows_;
  std::vector<std::int64_t> coordinates_;
  std::uint32_t here_ = kNoIndex;
  std::vector<std::uint64_t> taken_;  ///< by link: the last transfer that took it
  std::uint64_t transfer_ = 0;
  ActorTraffic* traffic_ = nullptr;
  std::int64_t budget_ = kMostInAll;
};

}  // namespace

ContextTraffic count_traffic(const Program& program, const Context& context) { return Counter(program, context).run(); }

}  // namespace switchyard::program
