#include "simulation/timing/fabric.h"

#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "support/check.h"

namespace switchyard::simulation::timing {

namespace {

constexpr std::uint32_t kAbsent = 0xffffffffu, kMany = 0xfffffffeu;

/// A route as the transfer runs it: from `from`; a list written the other way round is turned.
std::vector<std::uint32_t> directed(std::vector<std::uint32_t> route, std::uint32_t from) {
  if (route.size() > 1 && route.front() != from && route.back() == from) std::reverse(route.begin(), route.end());
  return route;
}

}  // namespace

std::size_t PathRequestHash::operator()(const PathRequest& request) const {
  std::uint64_t h = 0x9e3779b97f4a7c15u;
  const auto mix = [&](std::uint64_t v) { h = (h ^ v) * 0xff51afd7ed558ccdu, h ^= h >> 29; };
  mix((std::uint64_t{request.mover.value} << 32) | request.component);
  mix((std::uint64_t{request.source ? request.source->value + 1 : 0} << 32) | (request.destination ? request.destination->value + 1 : 0));
  for (const std::uint32_t target : request.targets) mix(target);
  mix(request.network ? request.network->value + 1 : 0);
  for (const auto& route : request.routes) {
    mix(route.size());
    for (const std::uint32_t at : route) mix(at);
  }
  mix(request.context);
  return h;
}

Fabric::Fabric(const program::Program& program, std::int64_t chunk) : program_(&program), chip_(program.chip.get()), chunk_(chunk) {
  const chip::Chip& chip = *chip_;
  for (const chip::Memory& m : chip.memories) {
    const double share = m.sustained.value > 0 ? m.sustained.value : 1;
    first_memory_.push_back(add(BytesPerSecond(m.bandwidth.value * share), m.latency.value));
  }
  for (const chip::Network& n : chip.networks) {
    first_link_.push_back(static_cast<std::uint32_t>(resources.size()));
    const std::int64_t count = chip::link_count(chip, n);
    const std::int64_t outer = n.topology == chip::Topology::tree ? 2 * chip::instance_count(chip.components[n.over.index()]) : count;
    for (std::int64_t i = 0; i < count; ++i) add(BytesPerSecond(i < outer ? n.link.value : n.trunk.value_or(n.link).value), n.hop.value);
    if (!n.between_chips) link_total_ += count;
    has_circuits_ = has_circuits_ || n.circuits > 0;
  }
  for (const chip::Mover& m : chip.movers) {
    engines_.emplace_back(static_cast<std::size_t>(chip::instance_count(chip.components[m.in.index()])), kAbsent);
  }
}

std::uint32_t Fabric::add(BytesPerSecond rate, double latency_seconds) {
  Resource r;
  r.rate = rate;
  r.latency = from_seconds(latency_seconds).value;
  r.chunk_time = chunk_ > 0 ? time_of(chunk_, rate) : 0;
  resources.push_back(r);
  feeds_in_order.push_back(0);
  fed_by_.push_back(kAbsent);
  return static_cast<std::uint32_t>(resources.size() - 1);
}

std::uint32_t Fabric::engine(chip::MoverId id, std::uint32_t component) {
  const chip::Mover& mover = chip_->movers[id.index()];
  std::uint32_t& slot = engines_[id.index()][std::min<std::size_t>(component, engines_[id.index()].size() - 1)];
  if (slot == kAbsent) {
    slot = static_cast<std::uint32_t>(resources.size());
    for (std::int64_t i = 0; i < std::max<std::int64_t>(1, mover.count); ++i) add(BytesPerSecond(mover.bandwidth.value), 0);
  }
  return slot;
}

template <class Name>
std::uint32_t Fabric::link(std::uint32_t network, std::uint32_t number, const Name& name) {
  const std::uint32_t resource = first_link_[network] + number;
  if (link_names_.size() <= resource) link_names_.resize(resource + std::size_t{1});
  if (link_names_[resource].empty()) link_names_[resource] = name();
  return resource;
}

void Fabric::append_links(const chip::Network& network, std::uint32_t number, const std::vector<std::uint32_t>& route,
                          std::vector<std::uint32_t>& links) {
  for (std::size_t i = 0; i + 1 < route.size(); ++i) {
    const std::uint32_t from = route[i], to = route[i + 1];
    if (chip::is_switched(network)) {
      const std::uint32_t instances = static_cast<std::uint32_t>(chip::instance_count(chip_->components[network.over.index()]));
      for (const std::uint32_t l : chip::switched_links(*chip_, network, from, to))
        links.push_back(link(number, l, [&] {
          const std::string end = l / 2 < instances ? std::to_string(l / 2) : fmt::format("trunk {}", l / 2 - instances);
          return l % 2 == 0 ? fmt::format("{}:{}->", network.name, end) : fmt::format("{}:->{}", network.name, end);
        }));
      continue;
    }
    if (neighbours_.size() <= number) neighbours_.resize(chip_->networks.size());
    auto& known = neighbours_[number];
    if (known.size() <= from) known.resize(from + std::size_t{1}, {{{kAbsent, 0}, {kAbsent, 0}, {kAbsent, 0}, {kAbsent, 0}}});
    auto at = std::find_if(known[from].begin(), known[from].end(), [&](const Neighbour& n) { return n.to == to || n.to == kAbsent; });
    SY_CHECK(at != known[from].end(), "nothing has more than four neighbours");
    if (at->to == kAbsent) {
      const auto l = chip::link_between(*chip_, network, from, to);
      SY_CHECK(l.has_value(), fmt::format("a route of network '{}' jumps from {} to {}", network.name, from, to));
      *at = {to, link(number, *l, [&] { return fmt::format("{}:{}->{}", network.name, from, to); })};
    }
    links.push_back(at->link);
  }
}

std::uint32_t Fabric::nearest_port(chip::MemoryId memory, std::uint32_t component) {
  if (ports_.size() <= memory.index()) ports_.resize(chip_->memories.size());
  auto& known = ports_[memory.index()];
  if (known.size() <= component) known.resize(component + std::size_t{1}, kAbsent);
  if (known[component] == kAbsent) known[component] = chip::nearest_port(*chip_, chip_->memories[memory.index()], component);
  return known[component];
}

std::uint32_t Fabric::lane(chip::NetworkId id, const program::CircuitTable::Lane& lane) {
  const auto [found, fresh] = lanes_.try_emplace({id.index(), lane.place, lane.number}, 0);
  if (!fresh) return found->second;
  const chip::Network& network = chip_->networks[id.index()];
  const bool is_link = lane.place < static_cast<std::uint32_t>(chip::link_count(*chip_, network));
  const std::uint32_t resource = add(chip::stream_bandwidth(network), is_link ? network.hop.value : 0);
  found->second = resource;
  const std::uint32_t whole = is_link ? first_link_[id.index()] + lane.place : kAbsent;
  lane_of_[resource] = {whole, lane.number};
  if (is_link) {
    lanes_on_[whole].push_back(resource);
    circuits_on_[whole] = network.circuits;
  }
  return resource;
}

/// What a circuit of the context passes on its way to each target.
void Fabric::circuits_of(const PathRequest& request, chip::NetworkId id, std::uint32_t from, const std::vector<std::uint32_t>& to,
                         std::vector<std::vector<std::uint32_t>>& links) {
  const program::Context& context = program_->contexts[request.context];
  const program::CircuitTable& table = circuits_.try_emplace(request.context, *program_, context).first->second;
  std::vector<std::uint32_t> others = to;  // what stays where it is takes no circuit
  if (!request.source && !request.destination) std::erase(others, from);
  if (others.empty()) return;
  const auto circuit = table.find(id, from, std::move(others));
  if (!circuit) {
    links.clear();
    return;
  }
  const auto lanes = table.lanes(*circuit);
  for (std::size_t t = 0; t < to.size(); ++t)
    for (std::size_t p = 0; p < lanes.size(); ++p) {
      const auto& path = context.circuits[*circuit].paths[p];
      if (path.back() != to[t]) continue;
      for (std::size_t k = 0; k < lanes[p].size(); ++k) {
        links[t].push_back(lane(id, lanes[p][k]));
        if (k > 0 && k + 1 < lanes[p].size())
          link(id.value, lanes[p][k].place,
               [&] { return fmt::format("{}:{}->{}", chip_->networks[id.index()].name, path[k - 1], path[k]); });
      }
    }
}

/// Links to each target (loads, sends) or to the memory (stores), in the order in which the bytes pass.
void Fabric::routes_of(const PathRequest& request, std::vector<std::vector<std::uint32_t>>& links) {
  const chip::Mover& mover = chip_->movers[request.mover.index()];
  const auto off_chip = request.source ? request.source : request.destination;
  std::vector<std::uint32_t> ends = request.targets;
  if (ends.empty()) ends.push_back(request.component);
  links.resize(ends.size());
  for (auto& list : links) list.clear();
  std::optional<chip::NetworkId> id = request.network;
  if (!id) id = off_chip ? chip::network_between(*chip_, mover, *off_chip) : mover.network;
  if (!id) return;
  const chip::Network& network = chip_->networks[id->index()];
  if (network.over != mover.in) return;
  if (network.circuits > 0) {
    const std::uint32_t port = off_chip ? nearest_port(*off_chip, request.component) : 0;
    circuits_of(request, *id, request.source ? port : request.component, off_chip && !request.source ? std::vector{port} : ends, links);
    return;
  }
  for (std::size_t t = 0; t < ends.size(); ++t) {
    const bool given = t < request.routes.size() && !request.routes[t].empty();
    if (off_chip) {
      const chip::Memory& memory = chip_->memories[off_chip->index()];
      if (network.topology == chip::Topology::crossbar && memory.ports.empty()) {  // the memory's side of a crossbar is no bottleneck
        const std::uint32_t c = ends[t];
        links[t].push_back(link(id->value, request.source ? 2 * c + 1 : 2 * c, [&] {
          return request.source ? fmt::format("{}:->{}", network.name, c) : fmt::format("{}:{}->", network.name, c);
        }));
        continue;
      }
      const std::uint32_t port = nearest_port(*off_chip, request.component);
      if (request.source) {
        std::vector<std::uint32_t> route = given ? request.routes[t] : chip::default_route(*chip_, network, port, ends[t]);
        if (given && route.back() != ends[t] && route.front() == ends[t]) std::reverse(route.begin(), route.end());
        append_links(network, id->value, route, links[t]);
      } else {
        append_links(network, id->value,
                     given ? directed(request.routes[t], request.component) : chip::default_route(*chip_, network, request.component, port),
                     links[t]);
      }
    } else {
      append_links(
          network, id->value,
          given ? directed(request.routes[t], request.component) : chip::default_route(*chip_, network, request.component, ends[t]),
          links[t]);
    }
  }
}

std::uint32_t Fabric::path(const PathRequest& request) {
  const auto [found, fresh] = known_.try_emplace(request, 0);
  if (fresh) found->second = make_path(request);
  return found->second;
}

/// There are many of these: they are looked up without making anything.
std::uint32_t Fabric::path(chip::MoverId mover, std::uint32_t component, std::span<const std::uint32_t> to, std::uint32_t context) {
  const auto first = static_cast<std::uint32_t>(sent_to_.size());  // given back where it is known
  sent_to_.insert(sent_to_.end(), {mover.value, component, context});
  for (const std::uint32_t target : to)
    if (target != component) sent_to_.push_back(target);
  const std::span<const std::uint32_t> key = std::span(sent_to_).subspan(first);
  std::uint64_t hash = 0x9e3779b97f4a7c15u;
  for (const std::uint32_t word : key) hash = (hash ^ word) * 0xff51afd7ed558ccdu, hash ^= hash >> 29;

  if (2 * sent_used_ >= sent_.size()) {
    std::vector<Sent> larger(std::max<std::size_t>(1024, 2 * sent_.size()));
    for (const Sent& s : sent_) {
      if (s.end == 0) continue;
      std::size_t at = s.hash & (larger.size() - 1);
      while (larger[at].end > 0) at = (at + 1) & (larger.size() - 1);
      larger[at] = s;
    }
    sent_ = std::move(larger);
  }
  std::size_t at = hash & (sent_.size() - 1);
  for (; sent_[at].end > 0; at = (at + 1) & (sent_.size() - 1)) {
    const Sent& s = sent_[at];
    if (s.hash != hash || !std::ranges::equal(std::span(sent_to_).subspan(s.first, s.end - s.first), key)) continue;
    sent_to_.resize(first);
    return s.path;
  }
  PathRequest request;
  request.mover = mover;
  request.component = component;
  request.targets.assign(key.begin() + 3, key.end());
  request.context = context;
  sent_[at] = {hash, make_path(request), first, static_cast<std::uint32_t>(sent_to_.size())};
  ++sent_used_;
  return sent_[at].path;
}

std::uint32_t Fabric::make_path(const PathRequest& request) {
  const bool off_chip = request.source || request.destination;
  const auto has_cache = [&](const std::optional<chip::MemoryId>& m) { return m && chip::cache_of(*chip_, *m).has_value(); };
  const bool cached = has_cache(request.source) || has_cache(request.destination);
  std::vector<std::vector<std::uint32_t>>& links = links_;
  routes_of(request, links);
  const bool leads = !links.empty();
  if (!leads) links.resize(1);

  // The tree first as (stage, parent), routes sharing their beginnings; then in breadth-first order, so that children lie together.
  std::vector<Draft>& drafts = drafts_;
  drafts.clear();
  std::uint32_t tip = kAbsent;
  const auto extend = [&](std::uint32_t from, std::uint32_t resource, Stage stage, bool writes) {
    if (from != kAbsent) {
      for (std::uint32_t c = drafts[from].first_child; c != kAbsent; c = drafts[c].next) {
        if (drafts[c].node.resource == resource && drafts[c].node.stage == stage) return c;
      }
    }
    PathNode node;
    node.resource = resource;
    node.stage = stage;
    node.writes = writes;
    node.certain = (stage == Stage::link && (!has_circuits_ || lane_of_.count(resource) == 0)) ||
                   (stage == Stage::engine && chip_->movers[request.mover.index()].count <= 1) || (stage == Stage::memory && !cached);
    node.memory_cause = stage == Stage::memory || stage == Stage::whole || stage == Stage::cache || (stage == Stage::engine && off_chip);
    drafts.push_back({node, kAbsent, kAbsent, kAbsent});
    const auto made = static_cast<std::uint32_t>(drafts.size() - 1);
    if (from == kAbsent) return made;
    (drafts[from].first_child == kAbsent ? drafts[from].first_child : drafts[drafts[from].last_child].next) = made;
    drafts[from].last_child = made;
    ++drafts[from].node.children;
    return made;
  };
  const std::uint32_t engines = engine(request.mover, request.component);
  if (request.source) {
    tip = extend(tip, memory(*request.source), Stage::memory, false);
    if (const auto whole = chip_->memories[request.source->index()].part_of) tip = extend(tip, memory(*whole), Stage::whole, false);
    if (const auto cache = chip::cache_of(*chip_, *request.source)) tip = extend(tip, memory(*cache), Stage::cache, false);
  }
  // Loads end in the engine; where one load feeds several components it stands before the fork, so that it works once.
  const bool engine_first = !request.source || links.size() > 1 || request.destination;
  if (engine_first) tip = extend(tip, engines, Stage::engine, false);
  std::uint32_t last = tip;
  for (const auto& route : links) {
    last = tip;
    for (const std::uint32_t l : route) {
      const auto lane = has_circuits_ ? lane_of_.find(l) : lane_of_.end();
      last = extend(last, l, lane != lane_of_.end() && lane->second.place_resource == kAbsent ? Stage::end : Stage::link, false);
    }
  }
  if (!engine_first) last = extend(last, engines, Stage::engine, false);
  if (request.destination) {
    if (const auto cache = chip::cache_of(*chip_, *request.destination)) last = extend(last, memory(*cache), Stage::cache, true);
    if (const auto whole = chip_->memories[request.destination->index()].part_of) last = extend(last, memory(*whole), Stage::whole, true);
    extend(last, memory(*request.destination), Stage::memory, true);
  }

  Path path;
  path.leads = leads;
  path.root = static_cast<std::uint32_t>(nodes.size());
  std::vector<std::uint32_t> order{0};
  for (std::size_t i = 0; i < order.size(); ++i) {
    PathNode node = drafts[order[i]].node;
    node.first_child = path.root + static_cast<std::uint32_t>(order.size());
    for (std::uint32_t c = drafts[order[i]].first_child; c != kAbsent; c = drafts[c].next) order.push_back(c);
    if (node.children == 0) ++path.leaves;
    if (node.stage == Stage::link) ++path.links;
    nodes.push_back(node);
  }
  path.end = static_cast<std::uint32_t>(nodes.size());
  paths.push_back(path);
  return static_cast<std::uint32_t>(paths.size() - 1);
}

void Fabric::begin_program(const program::Program& program) {
  program_ = &program;
  for (Resource& r : resources) r.busy = r.bytes = 0;
  changes_ = 0;
}

void Fabric::begin_context() {
  for (Resource& r : resources) {
    r.free = 0;
  }
  feeds_in_order.assign(resources.size(), 0);
  fed_by_.assign(resources.size(), kAbsent);
  mixed_.assign(chip_->networks.size(), false);
  used_.assign(paths.size(), false);
}

void Fabric::use(std::uint32_t p) {
  if (used_.size() <= p) used_.resize(paths.size());
  if (used_[p]) return;
  used_[p] = true;
  const Path& path = paths[p];
  const auto feed = [&](const PathNode& node, std::uint32_t from) {
    std::uint32_t& by = fed_by_[node.resource];
    const std::uint32_t now = by == kAbsent || by == from ? from : kMany;
    changes_ += now != by;
    by = now;
    feeds_in_order[node.resource] = by != kMany ? 1 : 0;
  };
  feed(nodes[path.root], kMany);
  for (std::uint32_t n = path.root; n < path.end; ++n) {
    for (std::uint32_t c = 0; c < nodes[n].children; ++c) {
      const PathNode& child = nodes[nodes[n].first_child + c];
      feed(child, nodes[n].certain && child.certain ? nodes[n].resource : kMany);
    }
  }
}

void Fabric::mix(std::optional<chip::NetworkId> network) {
  if (!network || mixed_[network->index()]) return;
  mixed_[network->index()] = true;
  const std::uint32_t first = first_link_[network->index()];
  const std::int64_t count = chip::link_count(*chip_, chip_->networks[network->index()]);
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t& by = fed_by_[first + static_cast<std::size_t>(i)];
    changes_ += by != kMany;
    by = kMany;
    feeds_in_order[first + static_cast<std::size_t>(i)] = 0;
  }
}

std::pair<std::int64_t, std::int64_t> Fabric::worked(std::uint32_t resource) const {
  const auto lanes = lanes_on_.find(resource);
  if (lanes == lanes_on_.end()) return {resources[resource].busy, resources[resource].bytes};
  std::int64_t busy = 0, bytes = 0;
  for (const std::uint32_t l : lanes->second) busy += resources[l].busy, bytes += resources[l].bytes;
  return {busy / circuits_on_.at(resource), bytes};
}

std::vector<Fabric::Named> Fabric::reported() const {
  std::vector<Named> list;
  const auto put = [&](const std::string& name, std::uint32_t resource) {
    if (const auto [busy, bytes] = worked(resource); bytes > 0) list.push_back({name, resource, busy, bytes});
  };
  for (std::size_t m = 0; m < chip_->memories.size(); ++m) put(chip_->memories[m].name, first_memory_[m]);
  for (std::size_t r = 0; r < link_names_.size(); ++r)
    if (!link_names_[r].empty()) put(link_names_[r], static_cast<std::uint32_t>(r));
  return list;
}

std::vector<Fabric::Named> Fabric::reported_circuits() const {
  std::vector<Named> list;
  for (const auto& [resource, of] : lane_of_) {
    const Resource& r = resources[resource];
    if (of.place_resource == kAbsent || r.bytes == 0) continue;
    list.push_back({fmt::format("{} circuit {}", link_names_.at(of.place_resource), of.number), resource, r.busy, r.bytes});
  }
  return list;
}

std::int64_t Fabric::link_busy() const {
  std::int64_t busy = 0;
  for (std::size_t n = 0; n < chip_->networks.size(); ++n) {
    if (chip_->networks[n].between_chips) continue;
    const std::int64_t count = chip::link_count(*chip_, chip_->networks[n]);
    for (std::int64_t i = 0; i < count; ++i) busy += worked(first_link_[n] + static_cast<std::uint32_t>(i)).first;
  }
  return busy;
}

}  // namespace switchyard::simulation::timing
