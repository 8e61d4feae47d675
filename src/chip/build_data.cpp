// Memories, movers, networks, the sequencer and the smaller sections of a description.
#include <fmt/format.h>

#include <algorithm>

#include "chip/builder.h"
#include "chip/query.h"

namespace switchyard::chip {
namespace {

constexpr Word<MemoryKind> kMemoryKinds[] = {
    {"scratchpad", MemoryKind::scratchpad}, {"cache", MemoryKind::cache}, {"dram", MemoryKind::dram}, {"registers", MemoryKind::registers}};
constexpr Word<Topology> kTopologies[] = {{"mesh2d", Topology::mesh2d},     {"torus2d", Topology::torus2d}, {"ring", Topology::ring},
                                          {"crossbar", Topology::crossbar}, {"tree", Topology::tree},       {"host", Topology::host}};
constexpr Word<SequencerKind> kSequencerKinds[] = {{"component_queues", SequencerKind::component_queues}, {"grid", SequencerKind::grid}};
constexpr Word<bool> kRoutings[] = {{"xy", false}, {"yx", true}};
constexpr double kMostConfiguration = 1e15;  ///< bytes of all instances
constexpr Word<Way> kExchanges[] = {
    {"ring", Way::ring}, {"direct", Way::direct}, {"one_shot", Way::one_shot}, {"in_network", Way::in_network}};
constexpr Word<int> kWays[] = {{"increasing", 1}, {"decreasing", -1}};

}  // namespace

void Builder::read_networks(const Place& root) {
  const Place section = fields_.map(root, "networks");
  for (const auto& [name, unused] : fields_.entries(section)) {
    const Place at = fields_.map(section, name);
    fields_.allow(at, {"over", "topology", "link", "hop", "routing", "between_chips", "one_way", "through_holes", "trunk", "reduces",
                       "circuits", "ends", "streams"});
    Network network;
    network.name = name;
    network.over = refer_to<ComponentId>(at, "over", components_, "component");
    network.topology = fields_.word(at, "topology", kTopologies);
    network.link = fields_.number(at, "link");
    network.hop = fields_.number(at, "hop");
    network.routing = fields_.word<bool>(at, "routing", kRoutings, false) ? "yx" : "xy";
    const bool to_host = network.topology == Topology::host;
    network.between_chips = fields_.flag(at, "between_chips", false) || to_host;
    network.one_way = fields_.word<int>(at, "one_way", kWays, 0);
    network.through_holes = fields_.flag(at, "through_holes", false);
    if (fields_.child(at, "trunk")) network.trunk = fields_.number(at, "trunk");
    network.reduces = fields_.flag(at, "reduces", false);
    read_circuits(at, network);
    for (const auto& [key, needed] : {std::pair{"trunk", Topology::tree}, {"reduces", Topology::crossbar}})
      if (const Place place = fields_.child(at, key); place && network.topology != needed)
        fields_.report("chip/topology", fmt::format("'{}' is for a {}", place.pointer, needed == Topology::tree ? "tree" : "crossbar"),
                       place, {}, Tree::Part::key);
    if (const Place way = fields_.child(at, "one_way");
        way && network.topology != Topology::torus2d && network.topology != Topology::ring) {
      fields_.report("chip/topology", fmt::format("'{}' is for rings and tori: elsewhere there would be no way back", way.pointer), way, {},
                     Tree::Part::key);
    }
    networks_.push_back(name);
    if (network.over.valid() && network.over.index() < chip_.components.size()) {
      const Component& over = chip_.components[network.over.index()];
      const Place where = fields_.child(at, "topology") ? fields_.child(at, "topology") : at;
      const bool grid = network.topology == Topology::mesh2d || network.topology == Topology::torus2d;
      if (network.between_chips && network.over.index() != 0) {
        fields_.report(
            "chip/topology",
            fmt::format("'{}' {}, so it must be over '{}'", at.pointer, to_host ? "leads to the host" : "is between chips", components_[0]),
            where);
      } else if (network.topology == Topology::tree && (network.between_chips || !over.parent.valid())) {
        fields_.report("chip/topology", fmt::format("'{}' needs components that stand in others, whose trunks join them", at.pointer),
                       where);
      } else if (!network.between_chips && grid && over.shape.size() != 2) {
        fields_.report("chip/topology",
                       fmt::format("'{}' needs an array of two dimensions, and '{}' has the shape [{}]", at.pointer, over.name,
                                   fmt::join(over.shape, ", ")),
                       where);
      }
    }
    chip_.networks.push_back(std::move(network));
    check_connected(chip_.networks.back(), at);
  }
}

void Builder::read_circuits(const Place& at, Network& network) {
  const Place circuits = fields_.child(at, "circuits");
  for (const char* key : {"ends", "streams"})
    if (const Place place = fields_.child(at, key); place && !circuits)
      fields_.report("chip/topology", fmt::format("'{}' is for networks of circuits", place.pointer), place,
                     "say how many circuits a link carries", Tree::Part::key);
  if (!circuits) return;
  const bool linked = network.topology == Topology::mesh2d || network.topology == Topology::torus2d || network.topology == Topology::ring;
  if (!linked || network.between_chips)
    fields_.report("chip/topology", fmt::format("'{}' is for meshes, tori and rings on a chip", circuits.pointer), circuits, {},
                   Tree::Part::key);
  network.circuits = fields_.count(at, "circuits");
  network.ends = fields_.child(at, "ends") ? fields_.count(at, "ends") : network.circuits;
  network.streams = fields_.count(at, "streams");
}

void Builder::check_connected(const Network& network, const Place& at) {
  if (!network.over.valid() || network.over.index() >= chip_.components.size()) return;
  const Component& over = chip_.components[network.over.index()];
  const bool grid = network.topology == Topology::mesh2d || network.topology == Topology::torus2d;
  if ((grid && over.shape.size() != 2) || working_instances(over).empty() || all_connected(chip_, network)) return;
  fields_.report("chip/topology", fmt::format("'{}' falls apart: the holes of '{}' cut it", at.pointer, over.name), at, {},
                 Tree::Part::key);
}

void Builder::read_memories(const Place& root) {
  const Place section = fields_.map(root, "memories", true);
  const auto entries = fields_.entries(section);
  memories_ = names_of(entries);
  for (const auto& [name, unused] : entries) read_memory(name, fields_.map(section, name));
  for (const auto& [name, unused] : entries) check_part(name, fields_.map(section, name));
  const auto is_dram = [](const Memory& memory) { return memory.kind == MemoryKind::dram; };
  if (section && std::none_of(chip_.memories.begin(), chip_.memories.end(), is_dram)) {
    fields_.report("chip/missing-key", "'/memories' has no memory of kind dram, so there is nowhere for tensors between contexts", section,
                   {}, Tree::Part::key);
  }
}

void Builder::read_memory(const std::string& name, Place at) {
  Memory memory;
  memory.name = name;
  fields_.allow(at, {"in", "kind", "bytes", "reserved", "bandwidth", "sustained", "sustained_tiles", "energy", "latency", "granule",
                     "alignment", "backing", "network", "ports", "part_of"});
  memory.in = refer_to<ComponentId>(at, "in", components_, "component");
  memory.kind = fields_.word(at, "kind", kMemoryKinds);
  memory.bytes = fields_.number(at, "bytes");
  memory.bandwidth = fields_.number(at, "bandwidth");
  memory.sustained = fields_.number(at, "sustained");
  if (fields_.child(at, "sustained_tiles")) memory.sustained_tiles = fields_.number(at, "sustained_tiles");
  if (fields_.child(at, "energy")) memory.energy = fields_.number(at, "energy");
  memory.latency = fields_.number(at, "latency");
  memory.granule = fields_.count(at, "granule");
  memory.alignment = fields_.count(at, "alignment");
  if (at && memory.kind == MemoryKind::cache) {
    if (const auto backing = refer_to<MemoryId>(at, "backing", memories_, "memory"); backing.valid()) memory.backing = backing;
  } else if (const Place backing = fields_.child(at, "backing")) {
    fields_.report("chip/kind", fmt::format("'{}' is for caches", backing.pointer), backing, {}, Tree::Part::key);
  }
  if (const auto whole = refer_to<MemoryId>(at, "part_of", memories_, "memory", false); whole.valid()) memory.part_of = whole;
  for (const Place& place : fields_.list(at, "reserved")) {
    std::vector<std::int64_t> ends;
    if (place.node->kind == Node::Kind::sequence) {
      for (const Node& item : place.node->items) {
        if (const auto end = fields_.offset({&item, place.pointer, {}, {}}, static_cast<std::int64_t>(memory.bytes.value))) {
          ends.push_back(*end);
        }
      }
    }
    if (ends.size() != 2 || ends[0] > ends[1] ||
        (!memory.bytes.text.empty() && (ends[0] < 0 || static_cast<double>(ends[1]) > memory.bytes.value))) {
      fields_.report("chip/range", fmt::format("'{}' must be [begin, end) within the memory", place.pointer), place);
    } else {
      memory.reserved.push_back({ends[0], ends[1]});
    }
  }
  if (const UsableRange usable = usable_range(memory); at && !memory.bytes.text.empty() && usable.begin >= usable.end) {
    fields_.report("chip/range", fmt::format("'{}' leaves nothing to use", pointer_to(at.pointer, "reserved")), at, {}, Tree::Part::key);
  }
  if (const auto network = refer_to<NetworkId>(at, "network", networks_, "network", false); network.valid()) memory.network = network;
  const std::vector<Place> ports = fields_.list(at, "ports");
  if (!ports.empty() && !fields_.child(at, "network")) {
    fields_.report("chip/missing-key", fmt::format("'{}' has ports, so it must name the network they are on", at.pointer), at, {},
                   Tree::Part::key);
  }
  if (memory.network) {
    const Network& network = chip_.networks[memory.network->index()];
    for (const Place& place : ports) {
      if (!network.over.valid() || network.over.index() >= chip_.components.size()) break;
      if (const auto port = instance(place, chip_.components[network.over.index()])) memory.ports.push_back(*port);
    }
    if (network.over.valid() && network.over.index() < chip_.components.size()) {
      const std::vector<std::uint32_t>& holes = chip_.components[network.over.index()].holes;
      const bool open = network.through_holes || std::any_of(memory.ports.begin(), memory.ports.end(), [&](std::uint32_t port) {
                          return !std::binary_search(holes.begin(), holes.end(), port);
                        });
      if (!memory.ports.empty() && !open)
        fields_.report("chip/coordinates", fmt::format("all ports of '{}' are holes of '{}'", at.pointer, network.name),
                       fields_.child(at, "ports"));
    }
  }
  chip_.memories.push_back(std::move(memory));
}

/// A channel comes after the memory it is part of (the first dram is where tensors go), and channels are no more than the whole.
void Builder::check_part(const std::string& name, const Place& at) {
  const Place place = fields_.child(at, "part_of");
  if (!place) return;
  const auto self = find_memory(chip_, name);
  if (!self || !chip_.memories[self->index()].part_of) return;
  const MemoryId id = *chip_.memories[self->index()].part_of;
  const Memory& whole = chip_.memories[id.index()];
  if (whole.kind != MemoryKind::dram || chip_.memories[self->index()].kind != MemoryKind::dram || whole.part_of || !(id < *self)) {
    fields_.report("chip/kind",
                   fmt::format("'{}' must name an earlier memory of kind dram that is whole, and so must be its part", place.pointer),
                   place);
    return;
  }
  double bytes = 0, bandwidth = 0;
  for (const Memory& memory : chip_.memories) {
    if (memory.part_of != id) continue;
    bytes += memory.bytes.value;
    bandwidth += memory.bandwidth.value;
  }
  const auto overridden = [](const Number& number) { return number.source == "override"; };
  if (overridden(whole.bytes) || overridden(whole.bandwidth)) return;
  if (bytes > whole.bytes.value * 1.000001 || bandwidth > whole.bandwidth.value * 1.000001)
    fields_.report("chip/range", fmt::format("the parts of '{}' are together more than it is", whole.name), place);
}

void Builder::read_movers(const Place& root) {
  const Place section = fields_.map(root, "movers", true);
  for (const auto& [name, unused] : fields_.entries(section)) {
    const Place at = fields_.map(section, name);
    fields_.allow(at, {"in", "from", "to", "network", "startup", "bandwidth", "count", "outstanding", "queue_depth", "dims", "multicast"});
    Mover mover;
    mover.name = name;
    mover.in = refer_to<ComponentId>(at, "in", components_, "component");
    mover.from = refer_to_all<MemoryId>(at, "from", memories_, "memory");
    mover.to = refer_to_all<MemoryId>(at, "to", memories_, "memory");
    if (const auto network = refer_to<NetworkId>(at, "network", networks_, "network", false); network.valid()) {
      mover.network = network;
      const ComponentId over = chip_.networks[network.index()].over;
      if (over.valid() && mover.in.valid() && over != mover.in) {
        fields_.report("chip/topology",
                       fmt::format("'{}' stands in '{}', but the network is over '{}'", at.pointer, components_[mover.in.index()],
                                   components_[over.index()]),
                       fields_.child(at, "network"));
      }
    }
    mover.startup = fields_.number(at, "startup");
    mover.bandwidth = fields_.number(at, "bandwidth");
    mover.count = fields_.count(at, "count");
    mover.outstanding = fields_.count(at, "outstanding");
    mover.queue_depth = fields_.count(at, "queue_depth");
    mover.dims = fields_.count(at, "dims");
    mover.multicast = fields_.count(at, "multicast");
    chip_.movers.push_back(std::move(mover));
  }
}

void Builder::read_sequencer(const Place& root) {
  const Place at = fields_.map(root, "sequencer", true);
  if (!at) return;
  fields_.allow(at, {"kind", "issue", "launch", "launch_per_context", "slots", "waves"});
  chip_.sequencer.kind = fields_.word(at, "kind", kSequencerKinds);
  chip_.sequencer.issue = fields_.number(at, "issue");
  chip_.sequencer.launch = fields_.number(at, "launch");
  chip_.sequencer.launch_per_context = fields_.flag(at, "launch_per_context", false);
  chip_.sequencer.slots = fields_.count(at, "slots");
  if (chip_.sequencer.kind == SequencerKind::grid)
    for (const Network& network : chip_.networks)
      if (network.circuits > 0)
        fields_.report("chip/topology",
                       fmt::format("instances of a grid have no fixed place, so '/networks/{}' can have no circuits", network.name),
                       fields_.child(at, "kind"));
  if (const Place waves = fields_.child(at, "waves")) {
    if (chip_.sequencer.kind == SequencerKind::grid)
      read_waves(at);
    else
      fields_.report("chip/kind", fmt::format("'{}' is for grids", waves.pointer), waves, {}, Tree::Part::key);
  }
}

void Builder::read_waves(const Place& sequencer) {
  const Place at = fields_.map(sequencer, "waves");
  fields_.allow(
      at, {"clock", "load_clock", "start", "fill", "fill_once", "port", "store", "rows", "wait", "share", "combine", "overlap", "chains"});
  Waves waves;
  const auto clock = [&](const char* key, std::string& name, Number& hertz) {
    name = fields_.text(at, key, true);
    if (const Place place = fields_.child(at, key); place && place.node->kind == Node::Kind::scalar)
      if (const auto index = refer(place, clocks_, "clock")) hertz = chip_.clocks[*index].second;
  };
  clock("clock", waves.clock, waves.clock_hz);
  clock("load_clock", waves.load_clock, waves.load_hz);
  waves.start = fields_.number(at, "start");
  waves.fill = fields_.number(at, "fill");
  waves.fill_once = fields_.flag(at, "fill_once", false);
  waves.port = fields_.number(at, "port");
  waves.store = fields_.number(at, "store");
  waves.rows = fields_.number(at, "rows");
  waves.wait = fields_.number(at, "wait");
  waves.share = fields_.count(at, "share");
  waves.combine = fields_.number(at, "combine");
  waves.overlap = fields_.number(at, "overlap");
  read_chains(at, waves);
  chip_.sequencer.waves = std::move(waves);
}

/// Where nothing is said: where warps of their own fetch, two groups of warps multiply, of 64 rows each; elsewhere each warp has 16 rows.
void Builder::read_chains(const Place& at, Waves& waves) {
  waves.chains = waves.fill_once ? Waves::Chains{{128}, {64, 128}, 128, 128} : Waves::Chains{{16, 32, 64, 128}, {64, 128}, 64, 128};
  const Place chains = fields_.map(at, "chains");
  if (!chains) return;
  fields_.allow(chains, {"rows", "columns", "single_rows", "single_columns"});
  waves.chains.rows = read_sides(chains, "rows");
  waves.chains.single_rows = read_sides(chains, "single_rows");
  waves.chains.columns = fields_.count(chains, "columns");
  waves.chains.single_columns = fields_.count(chains, "single_columns");
}

void Builder::read_contexts(const Place& root) {
  const Place at = fields_.map(root, "contexts", true);
  if (!at) return;
  fields_.allow(at, {"switch", "bytes", "per", "load_from", "resident", "keeps_scratchpads"});
  chip_.context.switch_time = fields_.number(at, "switch");
  chip_.context.bytes = fields_.number(at, "bytes");
  if (const auto part = refer_to<ComponentId>(at, "per", components_, "component", false); part.valid()) chip_.context.per = part;
  if (chip_.context.per &&
      chip_.context.bytes.value * static_cast<double>(instance_count(chip_.components[chip_.context.per->index()])) > kMostConfiguration) {
    const Place place = fields_.child(at, "per");
    fields_.report(
        "chip/range",
        fmt::format("the configuration of all instances of '{}' is more than 1 PB", chip_.components[chip_.context.per->index()].name),
        place);
  }
  chip_.context.resident = fields_.count(at, "resident");
  chip_.context.keeps_scratchpads = fields_.flag(at, "keeps_scratchpads", false);
  if (const auto memory = refer_to<MemoryId>(at, "load_from", memories_, "memory", false); memory.valid()) chip_.context.load_from = memory;
  const auto dram = std::find_if(chip_.memories.begin(), chip_.memories.end(), [](const Memory& m) { return m.kind == MemoryKind::dram; });
  if (!fields_.child(at, "load_from") && dram != chip_.memories.end())
    chip_.context.load_from = MemoryId(static_cast<std::size_t>(dram - chip_.memories.begin()));
}

void Builder::read_syncs(const Place& root) {
  const Place section = fields_.map(root, "sync", true);
  for (const auto& [name, unused] : fields_.entries(section)) {
    const Place at = fields_.map(section, name);
    fields_.allow(at, {"alpha", "beta"});
    chip_.syncs.push_back({name, fields_.number(at, "alpha"), fields_.number(at, "beta")});
  }
  fields_.child(section, "barrier", true);
}

void Builder::read_collectives(const Place& root) {
  const Place at = fields_.map(root, "collectives");
  if (!at) return;
  fields_.allow(at, {"of", "over", "network", "sums", "copy", "protocols"});
  Names units, movers;
  for (const Unit& unit : chip_.units) units.push_back(unit.name);
  for (const Mover& mover : chip_.movers) movers.push_back(mover.name);
  Collectives c;
  for (const Place& place : fields_.list(at, "of"))
    if (const auto name = fields_.scalar(place)) c.of += (c.of.empty() ? "" : ", ") + *name;
  c.over = refer_to<ComponentId>(at, "over", components_, "component");
  c.network = refer_to<NetworkId>(at, "network", networks_, "network");
  c.sums = refer_to<UnitId>(at, "sums", units, "unit");
  if (const auto copy = refer_to<MoverId>(at, "copy", movers, "mover", false); copy.valid()) c.copy = copy;
  if (c.over.valid() && c.network.valid() && chip_.networks[c.network.index()].over != c.over)
    fields_.report("chip/topology",
                   fmt::format("'{}' is not over '{}'", chip_.networks[c.network.index()].name, components_[c.over.index()]),
                   fields_.child(at, "network"));
  const Place protocols = fields_.map(at, "protocols", true);
  for (const auto& [name, unused] : fields_.entries(protocols)) {
    const Place record = fields_.map(protocols, name);
    fields_.allow(record, {"ways", "mover", "start", "most", "library"});
    Protocol p;
    p.name = name;
    for (const Place& place : fields_.list(record, "ways", true))
      if (const auto way = fields_.word_at(place, kExchanges)) p.ways.push_back(*way);
    p.mover = refer_to<MoverId>(record, "mover", movers, "mover");
    p.start = fields_.number(record, "start");
    if (fields_.child(record, "most")) p.most = fields_.number(record, "most");
    p.library = fields_.text(record, "library");
    const bool sums = std::find(p.ways.begin(), p.ways.end(), Way::in_network) != p.ways.end();
    if (sums && c.network.valid() && !chip_.networks[c.network.index()].reduces)
      fields_.report("chip/topology", fmt::format("'{}' is in the network, and that sums nothing", record.pointer),
                     fields_.child(record, "ways"));
    for (const MoverId mover : {p.mover, c.copy.value_or(p.mover)})
      if (mover.valid() && c.over.valid() && chip_.movers[mover.index()].in != c.over)
        fields_.report("chip/topology", fmt::format("'{}' uses a mover that is not in '{}'", record.pointer, components_[c.over.index()]),
                       record);
    c.protocols.push_back(std::move(p));
  }
  if (protocols && c.protocols.empty()) fields_.report("chip/missing-key", fmt::format("'{}' is empty", protocols.pointer), protocols);
  chip_.collectives = std::move(c);
}

void Builder::read_cost(const Place& root) {
  for (const auto& [name, place] : fields_.entries(fields_.map(root, "cost"))) chip_.cost[name] = fields_.number_at(place);
}

}  // namespace switchyard::chip
