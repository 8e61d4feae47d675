// Small chips and programs built in code, for the timing tests and benchmarks.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "program/program.h"
#include "simulation/timing.h"

namespace switchyard::simulation::timing {

inline chip::Number number(double value) {
  chip::Number n;
  n.value = value;
  return n;
}

/// Rows x columns of tiles in a mesh, each with a vector unit of one operation per nanosecond, a matrix unit, a scratchpad and three
/// movers (load, store, send); one dram with ports at the first column.
struct SampleChip {
  std::int64_t rows = 1, columns = 1;
  double issue = 0, launch = 0, startup = 0, hop = 0, link = 128e9, dram = 100e9, dram_latency = 0, engine = 1e12, switch_time = 0;
  std::int64_t outstanding = 1, engines = 1, queue_depth = 1, granule = 1, slots = 1, cache = 0;
  bool grid = false, launch_per_context = false;
  double barrier_alpha = 0, barrier_beta = 0;
  double configuration = 0;  ///< bytes, kept in the dram
  bool per_tile = false;     ///< of each tile that a context uses
  std::int64_t resident = 1;
};

inline constexpr std::size_t kLoad = 0, kStore = 1, kSend = 2, kVector = 0, kMatrix = 1, kSpm = 0, kDram = 1;

inline std::shared_ptr<const chip::Chip> make_chip(const SampleChip& o) {
  auto chip = std::make_shared<chip::Chip>();
  chip->name = "sample";
  chip->components.push_back({"chip", {}, {}, {}, {}});
  chip->components.push_back({"tile", chip::ComponentId(0), {o.rows, o.columns}, {}, {}});
  const chip::ComponentId tile(1);
  for (const bool matrix : {false, true}) {
    chip::Unit unit;
    unit.name = matrix ? "matrix" : "vector";
    unit.in = tile;
    unit.kind = matrix ? chip::UnitKind::matrix : chip::UnitKind::vector;
    unit.ops = matrix ? std::vector{chip::OpClass::contract} : std::vector{chip::OpClass::map, chip::OpClass::reduce};
    unit.rates.push_back({numerics::Format::fp32, numerics::Format::fp32, number(matrix ? 64 : 1)});
    if (matrix) unit.geometry = {8, 8, 1};
    unit.clock_hz = number(1e9);
    unit.startup_cycles = number(matrix ? 10 : 0);
    unit.queue_depth = o.queue_depth;
    chip->units.push_back(unit);
  }
  const auto memory = [&](std::string name, chip::ComponentId in, chip::MemoryKind kind, double bytes, double bandwidth, double latency) {
    chip::Memory m;
    m.name = std::move(name);
    m.in = in;
    m.kind = kind;
    m.bytes = number(bytes);
    m.bandwidth = number(bandwidth);
    m.sustained = number(1);
    m.latency = number(latency);
    chip->memories.push_back(m);
  };
  memory("spm", tile, chip::MemoryKind::scratchpad, 1 << 20, 1e12, 0);
  memory("ddr", chip::ComponentId(0), chip::MemoryKind::dram, 1e12, o.dram, o.dram_latency);
  chip->memories[kDram].granule = o.granule;
  chip->memories[kDram].network = chip::NetworkId(0);
  for (std::int64_t r = 0; r < o.rows; ++r) chip->memories[kDram].ports.push_back(static_cast<std::uint32_t>(r * o.columns));
  if (o.cache > 0) {
    memory("l2", chip::ComponentId(0), chip::MemoryKind::cache, static_cast<double>(o.cache), 1e12, 0);
    chip->memories.back().backing = chip::MemoryId(kDram);
  }
  for (const char* name : {"load", "store", "send"}) {
    chip::Mover m;
    m.name = name;
    m.in = tile;
    m.network = chip::NetworkId(0);
    m.startup = number(o.startup);
    m.bandwidth = number(o.engine);
    m.count = o.engines;
    m.outstanding = o.outstanding;
    m.queue_depth = o.queue_depth;
    chip->movers.push_back(m);
  }
  chip::Network noc;
  noc.name = "noc";
  noc.over = tile;
  noc.link = number(o.link);
  noc.hop = number(o.hop);
  chip->networks.push_back(noc);
  chip->sequencer.kind = o.grid ? chip::SequencerKind::grid : chip::SequencerKind::component_queues;
  chip->sequencer.issue = number(o.issue);
  chip->sequencer.launch = number(o.launch);
  chip->sequencer.launch_per_context = o.launch_per_context;
  chip->sequencer.slots = o.slots;
  chip->context.switch_time = number(o.switch_time);
  chip->context.resident = o.resident;
  chip->context.keeps_scratchpads = true;
  if (o.configuration > 0) {
    chip->context.bytes = number(o.configuration);
    chip->context.load_from = chip::MemoryId(kDram);
    if (o.per_tile) chip->context.per = tile;
  }
  chip->syncs.push_back({"barrier", number(o.barrier_alpha), number(o.barrier_beta)});
  return chip;
}

/// Adds actors and channels to the last context of a program. Tokens are `bytes` bytes of fp32 in one dimension.
class SampleProgram {
 public:
  explicit SampleProgram(const SampleChip& options) {
    program.chip = make_chip(options);
    context("main");
  }
  program::Program program;

  program::Context& here() { return program.contexts.back(); }
  void context(const std::string& name) {
    const std::size_t before = program.contexts.size();
    program.contexts.emplace_back().name = name;
    if (before > 0) here().after.emplace_back(before - 1);
  }
  /// All tiles from `first`, in order, or a grid.
  std::size_t array(std::int64_t count, bool dynamic = false, std::uint32_t first = 0) {
    program::Array a;
    a.name = "a";
    a.component = chip::ComponentId(1);
    a.shape = {count};
    a.dynamic = dynamic;
    for (std::int64_t i = 0; i < count && !dynamic; ++i) a.components.push_back(first + static_cast<std::uint32_t>(i));
    here().arrays.push_back(a);
    return here().arrays.size() - 1;
  }
  std::size_t buffer(std::int64_t bytes, program::BufferRole role = program::BufferRole::intermediate) {
    program::Buffer b;
    b.name = "b";
    b.memory = chip::MemoryId(kDram);
    b.shape = {bytes / 4};
    b.order = {0};
    b.bytes = bytes;
    b.role = role;
    program.buffers.push_back(b);
    return program.buffers.size() - 1;
  }
  /// One dimension over the scratchpads of the first tiles: tile t holds `extent` elements from start(t) on.
  std::size_t spread(std::int64_t elements, std::int64_t tiles, const numerics::Affine& start, std::int64_t extent) {
    const std::size_t number = buffer(4 * elements);
    program::Buffer& b = program.buffers[number];
    b.memory = chip::MemoryId(kSpm);
    b.spread = program::Spread{{tiles}, {}, {start}, {extent}, 1};
    for (std::int64_t t = 0; t < tiles; ++t) b.spread->components.push_back(static_cast<std::uint32_t>(t));
    return number;
  }
  /// A mover of `extent` elements from buffer to buffer, from the same place in both; loop 0 picks the message.
  std::size_t copy(std::size_t array_number, std::size_t mover, const std::vector<std::int64_t>& trips, std::size_t from, std::size_t to,
                   const numerics::Affine& start, std::int64_t extent) {
    program::Actor& a = actor("copy", array_number, trips);
    a.kind = program::ActorKind::move;
    a.mover = chip::MoverId(mover);
    a.source = access(from, start);
    a.destination = access(to, start);
    a.source->extent = a.destination->extent = {extent};
    if (program.buffers[to].spread && !trips.empty()) a.destination->message = 0;
    return here().actors.size() - 1;
  }
  /// The consumer waits for what the producer has done: tokens without elements.
  program::Channel& order(std::size_t from, std::size_t to) {
    program::Channel& c = channel(from, to, 0, 1);
    for (const auto& end : {c.from, c.to[0].end}) {
      program::Actor& a = here().actors[end.actor.index()];
      a.ports[static_cast<std::size_t>(end.port)].kept.assign(a.loops.size(), true);
    }
    return c;
  }
  /// One parallel loop per trip.
  program::Actor& actor(const std::string& name, std::size_t array_number, const std::vector<std::int64_t>& trips) {
    program::Actor a;
    a.name = name;
    a.array = program::ArrayId(array_number);
    for (const std::int64_t trip : trips) a.loops.push_back({"l" + std::to_string(a.loops.size()), trip, numerics::LoopKind::parallel});
    here().actors.push_back(a);
    return here().actors.back();
  }
  /// A compute actor that works `ns` nanoseconds per firing on the vector unit.
  std::size_t compute(std::size_t array_number, const std::vector<std::int64_t>& trips, std::int64_t ns) {
    program::Actor& a = actor("compute", array_number, trips);
    a.unit = chip::UnitId(kVector);
    a.dims.push_back({"x", ns, ns, {}});
    a.states.emplace_back();
    a.states[0].token.shape = {1};
    a.states[0].kept.assign(trips.size(), false);
    program::Statement s;
    s.dims = {0};
    s.kinds = {numerics::LoopKind::parallel};
    s.expression = numerics::expr_constant(0);
    s.write.index = {numerics::affine_constant(0)};
    a.statements.push_back(s);
    return here().actors.size() - 1;
  }
  /// A load of one token per firing; firing i of the tile t reads at start, affine in (t, loops), in elements.
  std::size_t load(std::size_t array_number, const std::vector<std::int64_t>& trips, std::size_t from, const numerics::Affine& start) {
    program::Actor& a = actor("load", array_number, trips);
    a.kind = program::ActorKind::move;
    a.mover = chip::MoverId(kLoad);
    a.source = access(from, start);
    return here().actors.size() - 1;
  }
  std::size_t store(std::size_t array_number, const std::vector<std::int64_t>& trips, std::size_t to, const numerics::Affine& start) {
    program::Actor& a = actor("store", array_number, trips);
    a.kind = program::ActorKind::move;
    a.mover = chip::MoverId(kStore);
    a.destination = access(to, start);
    return here().actors.size() - 1;
  }
  std::size_t send(std::size_t array_number, const std::vector<std::int64_t>& trips) {
    program::Actor& a = actor("send", array_number, trips);
    a.kind = program::ActorKind::move;
    a.mover = chip::MoverId(kSend);
    return here().actors.size() - 1;
  }
  int port(std::size_t actor_number, bool input, std::int64_t bytes) {
    program::Actor& a = here().actors[actor_number];
    program::Port p;
    p.name = "p" + std::to_string(a.ports.size());
    p.input = input;
    p.token.shape = {bytes / 4};
    p.token.order = {0};
    p.kept.assign(a.loops.size(), false);
    a.ports.push_back(p);
    for (program::Statement& s : a.statements) s.write.slot = static_cast<int>(a.ports.size());
    return static_cast<int>(a.ports.size() - 1);
  }
  /// from -> to with new ports; source instance = consumer instance, or what `source` says.
  program::Channel& channel(std::size_t from, std::size_t to, std::int64_t bytes, std::int64_t depth,
                            const numerics::Affine& source = numerics::affine_variable(0), std::int64_t modulus = 0) {
    return join(from, port(from, false, bytes), to, port(to, true, bytes), depth, source, modulus);
  }
  program::Channel& join(std::size_t from, int from_port, std::size_t to, int to_port, std::int64_t depth,
                         const numerics::Affine& source = numerics::affine_variable(0), std::int64_t modulus = 0) {
    program::Channel c;
    c.name = "c" + std::to_string(here().channels.size());
    c.from = {program::ActorId(from), from_port};
    c.to.push_back({{program::ActorId(to), to_port}, {}});
    c.relation.coordinates.push_back({source, modulus});
    c.depth = depth;
    c.memory = chip::MemoryId(kSpm);
    here().channels.push_back(c);
    return here().channels.back();
  }

 private:
  program::BufferAccess access(std::size_t buffer_number, const numerics::Affine& start) {
    program::BufferAccess b;
    b.buffer = program::BufferId(buffer_number);
    b.start = {start};
    b.region = {{0, program.buffers[buffer_number].shape[0]}};
    return b;
  }
};

}  // namespace switchyard::simulation::timing
