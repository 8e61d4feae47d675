// One context: its arrays, its loops, the tokens of its operands, and the actors that compute.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "chip/query.h"
#include "compiler/emitter.h"
#include "compiler/epilogue.h"
#include "support/check.h"

namespace switchyard::compiler {

namespace {

/// Neighbours in this order are neighbours on a mesh, the last and the first, too; empty where the mesh has no such cycle or holes.
std::vector<std::uint32_t> cycle_through(const Machine& machine) {
  if (machine.extent.size() != 2 || machine.extent[0] % 2 != 0 || machine.extent[1] < 2) return {};
  const auto rows = static_cast<std::uint32_t>(machine.extent[0]), columns = static_cast<std::uint32_t>(machine.extent[1]);
  if (machine.components.size() != std::size_t{rows} * columns) return {};
  const auto stride = static_cast<std::uint32_t>(machine.chip->components[machine.component.index()].shape[1]);
  std::vector<std::uint32_t> order{0};
  for (std::uint32_t r = 0; r < rows; ++r)
    for (std::uint32_t c = 1; c < columns; ++c) order.push_back(r * stride + (r % 2 == 0 ? c : columns - c));
  for (std::uint32_t r = rows; --r > 0;) order.push_back(r * stride);
  return order;
}

}  // namespace

program::Context Emitter::run() {
  members_.assign(kernel_.operands.size(), 1);
  turns_.assign(kernel_.dims.size(), 1);
  context_.name = kernel_.name;
  context_.ops = kernel_.nodes;
  context_.slices = mapping_.slices;
  make_array();
  if (is_plain_move())
    emit_move();
  else
    emit_compute();
  return std::move(context_);
}

void Emitter::make_array() {
  program::Array array;
  array.name = "tiles";
  array.component = machine_.component;
  array.dynamic = machine_.grid;
  Frame frame;
  frame.coordinate.assign(kernel_.dims.size(), -1);
  std::int64_t count = 1;
  const auto along = instances_along(kernel_, mapping_);
  for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
    const std::int64_t n = along[d];
    if (n <= 1) continue;
    frame.coordinate[d] = static_cast<int>(array.shape.size());
    array.shape.push_back(n);
    count *= n;
  }
  if (array.shape.empty()) array.shape.push_back(1);
  if (!machine_.grid) {
    const auto& components = mapping_.components.empty() ? machine_.components : mapping_.components;
    SY_CHECK(count <= static_cast<std::int64_t>(components.size()), "a listed array needs a component for each instance");
    array.components.assign(components.begin(), components.begin() + count);
    // Parts of placed operands lie in the plain order; else a ring goes from neighbour to neighbour.
    const auto cycle = cycle_through(machine_);
    if (ring_ && ring_->size == static_cast<std::int64_t>(cycle.size()) && std::count(reach_.begin(), reach_.end(), Reach::placed) == 0)
      array.components = cycle;
  }
  frame.count = static_cast<int>(array.shape.size());
  frames_.push_back(std::move(frame));
  context_.arrays.push_back(std::move(array));
}

Affine Emitter::offset(std::size_t d, const std::vector<int>& loops, std::size_t array) const {
  Affine f;
  const Frame& frame = frames_[array];
  const Steps steps = steps_of(kernel_, mapping_, d);
  if (frame.coordinate[d] >= 0) f = f + numerics::affine_variable(frame.coordinate[d], steps.instance);
  if (ring_ && static_cast<int>(d) == ring_->dim) {  // the member's own slice, less one a round
    f = f + numerics::affine_constant(frame.block * mapping_.trips[d] * mapping_.tile[d]);
    const std::int64_t slice = ring_->slice * mapping_.tile[d];
    f = f + numerics::affine_variable(frame.coordinate[static_cast<std::size_t>(ring_->along)], slice);
    for (std::size_t l = 0; l < loops.size(); ++l)
      if (loops[l] == kRounds) f = f + numerics::affine_variable(frame.count + static_cast<int>(l), -slice);
  }
  for (std::size_t l = 0; l < loops.size(); ++l) {
    const int variable = frame.count + static_cast<int>(l);
    if (loops[l] == static_cast<int>(d)) f = f + numerics::affine_variable(variable, steps.tile * turns_[d]);
    if (loops[l] == turns_of(static_cast<int>(d))) f = f + numerics::affine_variable(variable, steps.tile);
  }
  return f;
}

std::int64_t Emitter::trips_of(int loop) const {
  if (ring_ && loop == kRounds) return ring_->size;
  if (ring_ && loop == ring_->dim) return ring_->slice;
  const std::int64_t turns = turns_[static_cast<std::size_t>(dim_of(loop))];
  return loop < 0 ? turns : mapping_.trips[static_cast<std::size_t>(loop)] / turns;
}

std::vector<program::Loop> Emitter::loops_of(const std::vector<int>& dims) const {
  std::vector<program::Loop> loops;
  for (int d : dims) {
    if (d == kRounds) {
      loops.push_back({"round", ring_->size, numerics::LoopKind::parallel});
      continue;
    }
    const KernelDim& dim = kernel_.dims[static_cast<std::size_t>(dim_of(d))];
    loops.push_back(
        {dim.name + (d < 0 ? "_u" : "_t"), trips_of(d), dim.reduction ? numerics::LoopKind::reduction : numerics::LoopKind::parallel});
  }
  return loops;
}

std::vector<bool> Emitter::kept(const KernelOperand& o, std::vector<int> loops) const {
  for (int& d : loops) d = dim_of(d);
  return kept_loops(o, loops, mapping_.resident[number_of(o)]);
}

std::vector<int> Emitter::without(const std::vector<int>& loops, const std::vector<bool>& kept) {
  std::vector<int> out;
  for (std::size_t l = 0; l < loops.size(); ++l)
    if (!kept[l]) out.push_back(loops[l]);
  return out;
}

Token Emitter::token_of(const KernelOperand& o) const {
  Token t;
  t.format = g_.tensor(o.tensor).format;
  t.shape = token_shape(o, mapping_.tile);
  t.order = layouts_[o.tensor.index()];
  if (!t.shape.empty() && !o.write && !homes_[number_of(o)].placed)
    t.pad = token_pad(chip_.units[mapping_.unit.index()], kernel_.contraction && !o.epilogue,
                      t.shape[static_cast<std::size_t>(t.order.back())]);
  return t;
}

std::vector<Affine> Emitter::local_index(const KernelOperand& o) const {
  std::vector<Affine> out;
  for (const Affine& f : o.index) {
    Affine local;
    for (const auto& t : f.terms) {
      local = local + numerics::affine_variable(t.variable, t.coefficient);
      if (t.coefficient < 0)
        local = local + numerics::affine_constant(-t.coefficient * (mapping_.tile[static_cast<std::size_t>(t.variable)] - 1));
    }
    out.push_back(local);
  }
  return out;
}

program::BufferAccess Emitter::access_of(const KernelOperand& o, const std::vector<int>& loops, std::size_t array) const {
  program::BufferAccess a;
  a.buffer = homes_[number_of(o)].buffer;
  a.fill = o.fill.value_or(0);
  const auto& shape = g_.tensor(o.tensor).shape;
  for (std::size_t d = 0; d < o.index.size(); ++d) {
    if (std::any_of(o.lookups.begin(), o.lookups.end(), [&](const auto& l) { return static_cast<std::size_t>(l.dimension) == d; })) {
      a.start.emplace_back();  // what is looked up is added
      a.region.push_back({0, shape[d]});
      continue;
    }
    Affine start = numerics::affine_constant(o.index[d].constant);
    for (const auto& t : o.index[d].terms) {
      const auto v = static_cast<std::size_t>(t.variable);
      start = start + offset(v, loops, array) * t.coefficient;
      if (t.coefficient < 0) start = start + numerics::affine_constant(t.coefficient * (mapping_.tile[v] - 1));
    }
    a.start.push_back(start);
    std::array<std::int64_t, 2> region{0, shape[d]};
    // The write covers this range of the dimension; ragged tiles must not spill into a neighbouring part.
    if (o.write) {
      region = {o.index[d].constant, o.index[d].constant + 1};
      for (const auto& t : o.index[d].terms) region[1] += t.coefficient * (kernel_.dims[static_cast<std::size_t>(t.variable)].extent - 1);
      if (ring_ && o.index[d].depends_on(ring_->dim)) {  // slices wrap around inside the block of the array's instances
        const auto v = static_cast<std::size_t>(ring_->dim);
        const std::int64_t block = mapping_.trips[v] * mapping_.tile[v];
        region = {o.index[d].constant + frames_[array].block * block, o.index[d].constant + (frames_[array].block + 1) * block};
      }
    }
    a.region.push_back(region);
  }
  return a;
}

void Emitter::connect(const std::string& name, ActorId from, int from_port, ActorId to, int to_port, std::int64_t depth) {
  Channel c;
  c.name = name;
  c.from = {from, from_port};
  c.to.push_back({{to, to_port}, {}});
  relate(c, context_.actors[from.index()].array.index(), context_.actors[to.index()].array.index());
  c.depth = depth;
  c.memory = machine_.scratchpad;
  c.bytes = depth * context_.actors[from.index()].ports[static_cast<std::size_t>(from_port)].token.bytes();
  context_.channels.push_back(std::move(c));
}

void Emitter::relate(Channel& c, std::size_t from, std::size_t to) const {
  if (from == to) {
    for (int i = 0; i < frames_[from].count; ++i) c.relation.coordinates.push_back({numerics::affine_variable(i), 0});
    return;
  }
  c.relation.coordinates.assign(context_.arrays[from].shape.size(), {});
  for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
    if (const int at = frames_[from].coordinate[d]; at >= 0)
      c.relation.coordinates[static_cast<std::size_t>(at)].source = numerics::affine_variable(frames_[to].coordinate[d]);
}

std::optional<program::Route> Emitter::route(const chip::Mover& mover, bool from_memory, std::size_t array) const {
  const chip::Memory& memory = chip_.memories[machine_.off_chip.index()];
  const auto network = mover.network ? mover.network : memory.network;
  if (!network) return std::nullopt;
  program::Route r;
  r.network = *network;
  const chip::Network& n = chip_.networks[network->index()];
  if (chip::is_switched(n)) return r;
  for (std::uint32_t component : context_.arrays[array].components) {
    const std::uint32_t port = chip::nearest_port(chip_, memory, component);
    r.paths.push_back(from_memory ? chip::default_route(chip_, n, port, component) : chip::default_route(chip_, n, component, port));
  }
  return r;
}

Actor Emitter::move_actor(const std::string& name, const KernelOperand& o, const std::vector<int>& loops, std::size_t array) {
  Actor a;
  a.name = name;
  a.kind = ActorKind::move;
  a.array = program::ArrayId(array);
  a.mover = o.write ? machine_.store : machine_.load;
  a.loops = loops_of(loops);
  Port p;
  p.name = o.write ? "in" : "out";
  p.input = o.write;
  p.token = token_of(o);
  p.kept.assign(loops.size(), false);
  a.ports.push_back(std::move(p));
  (o.write ? a.destination : a.source) = access_of(o, loops, array);
  a.route = route(chip_.movers[a.mover.index()], !o.write, array);
  a.early = reach_[number_of(o)] == Reach::early;
  a.ops = kernel_.nodes;
  return a;
}

ActorId Emitter::add(Actor actor) {
  context_.actors.push_back(std::move(actor));
  return ActorId(context_.actors.size() - 1);
}

std::string Emitter::mover_name(std::size_t i) const {
  if (!kernel_.operands[i].write) return fmt::format("load{}", i);
  const auto writes = std::count_if(kernel_.operands.begin(), kernel_.operands.end(), [](const KernelOperand& o) { return o.write; });
  return writes == 1 ? "store" : fmt::format("store{}", i);
}

bool Emitter::is_plain_move() const {
  if (!kernel_.copy || kernel_.operands.size() != 2 || homes_[0].placed || homes_[1].placed) return false;
  const KernelOperand &in = kernel_.operands[0], &out = kernel_.operands[1];
  if (in.fill || in.index.size() != out.index.size() || g_.tensor(in.tensor).format != g_.tensor(out.tensor).format) return false;
  if (layouts_[in.tensor.index()] != layouts_[out.tensor.index()]) return false;
  for (std::size_t d = 0; d < in.index.size(); ++d)
    if (in.index[d].terms != out.index[d].terms) return false;
  return true;
}

void Emitter::emit_move() {
  const auto loops = mapping_.order;
  const ActorId load = add(move_actor("load", kernel_.operands[0], loops));
  Actor out = move_actor("store", kernel_.operands[1], loops);
  out.ports[0].token = context_.actors[load.index()].ports[0].token;
  const ActorId store = add(std::move(out));
  connect("copied", load, 0, store, 0, std::max<std::int64_t>(2, mapping_.depth[0]));
}

void Emitter::take_turns(const std::vector<bool>& afterwards, std::vector<int>& outer) {
  std::vector<std::size_t> dim(kernel_.operands.size());
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    if (homes_[i].placed || mapping_.sharing[i] != Sharing::multicast) continue;
    const std::vector<int>& loops = afterwards[i] ? outer : loops_;
    const std::vector<bool> kept = this->kept(kernel_.operands[i], loops);
    std::int64_t sharers = 1;
    const auto along = instances_along(kernel_, mapping_);
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
      if (!depends(kernel_.operands[i], static_cast<int>(d))) sharers *= along[d];
    members_[i] = reading_members(mapping_, loops, sharers, [&](std::size_t l) { return kept[l]; });
    if (members_[i] == 1) continue;
    dim[i] = static_cast<std::size_t>(without(loops, kept).back());
    turns_[dim[i]] = std::max(turns_[dim[i]], members_[i]);
  }
  // One turn for all, or results that are handed on step by step: the loop stays one.
  for (std::size_t d = 0; d < turns_.size(); ++d)
    if (turns_[d] == mapping_.trips[d] || static_cast<int>(d) == mapping_.stream) turns_[d] = 1;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (members_[i] > 1 && turns_[dim[i]] > 1) members_[i] = std::gcd(members_[i], turns_[dim[i]]);
  const auto split = [&](std::vector<int>& loops) {
    std::vector<int> out;
    for (const int d : loops) {
      out.push_back(d);
      if (d >= 0 && turns_[static_cast<std::size_t>(d)] > 1) out.push_back(turns_of(d));
    }
    loops = std::move(out);
  };
  split(loops_);
  split(outer);
}

void Emitter::emit_compute() {
  const std::vector<int>& loops = loops_;
  std::vector<int> outer;
  const auto reduces = [&](int loop) { return loop != kRounds && kernel_.dims[static_cast<std::size_t>(dim_of(loop))].reduction; };
  std::copy_if(loops.begin(), loops.end(), std::back_inserter(outer), [&](int loop) { return !reduces(loop); });
  const bool apart = mapping_.epilogue_unit.valid();
  port_of_.assign(kernel_.operands.size(), {-1, -1});
  std::vector<bool> afterwards(kernel_.operands.size(), false);  // read or written on the epilogue's own unit
  if (apart)
    for (const KernelStatement& s : kernel_.statements) {
      if (!s.epilogue) continue;
      afterwards[static_cast<std::size_t>(s.write.number)] = true;
      for (const KernelAccess& r :
           cut_epilogue(chip_.units[mapping_.unit.index()], s, local_token(kernel_.locals[0]).format, g_, kernel_).rest.reads)
        if (!r.local) afterwards[static_cast<std::size_t>(r.number)] = kernel_.operands[static_cast<std::size_t>(r.number)].epilogue;
    }

  take_turns(afterwards, outer);
  std::vector<bool> is_reduction;
  for (const int loop : loops) is_reduction.push_back(reduces(loop));
  Actor main;
  main.name = kernel_.contraction ? "multiply" : "compute";
  main.array = program::ArrayId(std::size_t{0});
  main.unit = mapping_.unit;
  main.ops = kernel_.nodes;
  main.loops = loops_of(loops);
  main.dims = dims_of(loops);
  Actor epilogue = main;
  if (apart) {
    epilogue.name = "epilogue";
    epilogue.unit = mapping_.epilogue_unit;
    epilogue.loops = loops_of(outer);
    epilogue.dims = dims_of(outer);
  }
  program::Guard last;
  for (std::size_t l = 0; l < loops.size(); ++l)
    if (is_reduction[l]) last.push_back({static_cast<int>(l), -1, program::IndexRange::kToEnd});
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    const KernelOperand& o = kernel_.operands[i];
    if (o.picking) continue;
    add_port(afterwards[i] ? epilogue : main, i, afterwards[i] ? outer : loops);
    port_of_[i].first = afterwards[i] ? 1 : 0;
    // What is only read or written when sums are whole is not waited for while they are made.
    if (afterwards[i] || !kernel_.contraction || !(o.write || o.epilogue) || homes_[i].placed) continue;
    Port& port = main.ports.back();
    for (std::size_t l = 0; l < loops.size(); ++l) port.kept[l] = port.kept[l] && !is_reduction[l];
    port.guard = last;
  }
  int accumulator_out = -1, accumulator_in = -1;
  if (apart) {
    Port p;
    p.name = "sums";
    p.input = false;
    p.token = local_token(kernel_.locals[0]);
    p.kept.assign(loops.size(), false);  // a slot is taken when sums are whole, not while they are made
    p.guard = last;
    accumulator_out = static_cast<int>(main.ports.size());
    main.ports.push_back(p);
    p.input = true;
    p.guard.clear();
    p.kept.assign(outer.size(), false);
    accumulator_in = static_cast<int>(epilogue.ports.size());
    epilogue.ports.push_back(p);
  }
  for (const KernelLocal& l : kernel_.locals) {
    program::State s;
    s.name = l.name;
    s.token = local_token(l);
    s.initial = l.initial;
    s.kept = l.accumulator ? is_reduction : std::vector<bool>(loops.size(), false);
    s.memory = machine_.accumulators;
    s.bytes = s.token.bytes();
    main.states.push_back(std::move(s));
  }
  for (const KernelStatement& s : kernel_.statements) {
    if (!s.epilogue || !apart) {
      main.statements.push_back(statement(s, static_cast<int>(main.ports.size()), -1, s.epilogue ? last : program::Guard{}));
      continue;
    }
    EpilogueParts parts = cut_epilogue(chip_.units[mapping_.unit.index()], s, local_token(kernel_.locals[0]).format, g_, kernel_);
    for (int d : kernel_.locals[0].dims) parts.first.write.index.push_back(numerics::affine_variable(d));
    parts.rest.write = s.write;
    parts.rest.combiner = s.combiner;
    program::Statement hand_over = statement(parts.first, static_cast<int>(main.ports.size()), -1, last);
    hand_over.write = {accumulator_out, parts.first.write.index, {}};
    main.statements.push_back(std::move(hand_over));
    epilogue.statements.push_back(statement(parts.rest, static_cast<int>(epilogue.ports.size()), accumulator_in, {}));
  }
  const ActorId main_id = add(std::move(main));
  ActorId epilogue_id;
  if (apart) {
    epilogue_id = add(std::move(epilogue));
    connect("sums", main_id, accumulator_out, epilogue_id, accumulator_in, mapping_.accumulator_depth);
  }
  for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
    const KernelOperand& o = kernel_.operands[i];
    if (o.picking) continue;
    const ActorId user = port_of_[i].first == 1 ? epilogue_id : main_id;
    const std::vector<int>& user_loops = port_of_[i].first == 1 ? outer : loops;
    const auto kept = this->kept(o, user_loops);
    if (homes_[i].placed) {
      for (const program::BufferId to : homes_[i].send) send(i, user, user_loops, kept, to);
      continue;
    }
    if (mapping_.sharing[i] == Sharing::ring) {
      pass_around(i, user, user_loops, kept);
      continue;
    }
    if (ring_ && o.write) {
      store_slices(i, user, user_loops, kept);
      continue;
    }
    if (mapping_.sharing[i] == Sharing::multicast) {
      share_out(i, user, user_loops, kept);
      continue;
    }
    const ActorId mover = add(move_actor(mover_name(i), o, without(user_loops, kept)));
    if (o.write)
      connect(fmt::format("out{}", i), user, port_of_[i].second, mover, 0, mapping_.depth[i]);
    else
      connect(fmt::format("in{}", i), mover, 0, user, port_of_[i].second, mapping_.depth[i]);
    pick(i, mover, without(user_loops, kept));
  }
}

void Emitter::pick(std::size_t i, ActorId mover, const std::vector<int>& loops) {
  for (const KernelLookup& lookup : kernel_.operands[i].lookups) {
    const auto number = static_cast<std::size_t>(lookup.operand);
    const KernelOperand& o = kernel_.operands[number];
    Port p;
    p.name = fmt::format("index{}", lookup.dimension);
    p.token = token_of(o);
    p.kept = kept(o, loops);
    p.picks = lookup.dimension;
    const auto port = static_cast<int>(context_.actors[mover.index()].ports.size());
    const auto from = without(loops, p.kept);
    context_.actors[mover.index()].ports.push_back(std::move(p));
    const ActorId load = add(move_actor(fmt::format("{}_{}", mover_name(number), i), o, from));
    connect(fmt::format("index{}_{}", i, lookup.dimension), load, 0, mover, port, mapping_.depth[number]);
  }
}

Port Emitter::synchronising(std::string name, bool input, std::vector<bool> kept) {
  Port p;
  p.name = std::move(name);
  p.input = input;
  p.token.format = numerics::Format::int8;
  p.token.shape = {0};
  p.token.order = {0};
  p.kept = std::move(kept);
  return p;
}

int Emitter::add_output(ActorId id, Port done) {
  Actor& writer = context_.actors[id.index()];
  const int port = static_cast<int>(writer.ports.size());
  writer.ports.push_back(std::move(done));
  for (program::Statement& s : writer.statements) {
    for (numerics::Access& r : s.reads)
      if (r.slot >= port) ++r.slot;
    if (s.write.slot >= port) ++s.write.slot;
  }
  return port;
}

std::vector<program::Dim> Emitter::dims_of(const std::vector<int>& loops) const {
  std::vector<program::Dim> dims;
  const int column = leaves_out(kernel_, mapping_) ? kernel_.band->column : -1;
  for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
    if (static_cast<int>(d) == column) {  // up to the last one that the tile's last row needs
      const auto row = static_cast<std::size_t>(kernel_.band->row);
      dims.push_back(
          {kernel_.dims[d].name, mapping_.tile[d], mapping_.tile[row] + kernel_.band->past, offset(d, loops) + offset(row, loops) * -1});
    } else if (ring_ && static_cast<int>(d) == ring_->dim)  // always whole, and where a member is is no affine function
      dims.push_back({kernel_.dims[d].name, mapping_.tile[d], mapping_.tile[d], {}});
    else
      dims.push_back({kernel_.dims[d].name, mapping_.tile[d], kernel_.dims[d].extent, offset(d, loops)});
  return dims;
}

void Emitter::add_port(Actor& actor, std::size_t i, const std::vector<int>& loops) {
  const KernelOperand& o = kernel_.operands[i];
  Port p;
  p.name = fmt::format("{}{}", o.write ? "y" : "x", i);
  p.input = !o.write;
  p.token = token_of(o);
  p.kept = kept(o, loops);
  if (homes_[i].placed) p.place = access_of(o, loops, 0);
  port_of_[i].second = static_cast<int>(actor.ports.size());
  actor.ports.push_back(std::move(p));
}

Token Emitter::local_token(const KernelLocal& l) const {
  Token t;
  // Of a contraction the factors say in what it accumulates; else the first floating operand does, wherever integers stand before it.
  numerics::Format format = leading_format(g_, kernel_);
  if (!kernel_.contraction) {
    const auto first_of = [&](const auto& has) {
      const auto found = std::find_if(kernel_.operands.begin(), kernel_.operands.end(),
                                      [&](const KernelOperand& o) { return !o.picking && has(g_.tensor(o.tensor).format); });
      if (found != kernel_.operands.end()) format = g_.tensor(found->tensor).format;
      return found != kernel_.operands.end();
    };
    if (!first_of([](numerics::Format f) { return numerics::format_info(f).floating; }))
      first_of([](numerics::Format f) { return !numerics::represents(numerics::Format::int32, f); });
  }
  const auto* rate =
      chip::find_rate(chip_.units[mapping_.unit.index()], kernel_.contraction ? chip::OpClass::contract : chip::OpClass::map, format);
  t.format = rate ? rate->accumulate : numerics::Format::fp32;
  for (int d : l.dims) {
    t.order.push_back(static_cast<int>(t.shape.size()));
    t.shape.push_back(mapping_.tile[static_cast<std::size_t>(d)]);
  }
  // Sums lie as the result does, so that rows of one are rows of the other.
  for (const KernelOperand& o : kernel_.operands) {
    if (!o.write || !l.accumulator) continue;
    std::vector<int> order;
    for (int dim : layouts_[o.tensor.index()])
      for (const auto& term : o.index[static_cast<std::size_t>(dim)].terms) {
        const auto at = std::find(l.dims.begin(), l.dims.end(), term.variable);
        if (at != l.dims.end()) order.push_back(static_cast<int>(at - l.dims.begin()));
      }
    if (order.size() == t.order.size()) t.order = order;
  }
  return t;
}

program::Statement Emitter::statement(const KernelStatement& s, int ports, int accumulator_port, program::Guard guard) const {
  program::Statement out;
  out.guard = std::move(guard);
  out.dims = s.dims;
  out.kinds = s.kinds;
  const auto access = [&](const KernelAccess& a) -> numerics::Access {
    if (a.local) return {accumulator_port >= 0 ? accumulator_port : ports + a.number, a.index, {}};
    return {port_of_[static_cast<std::size_t>(a.number)].second, local_index(kernel_.operands[static_cast<std::size_t>(a.number)]), {}};
  };
  for (const KernelAccess& r : s.reads) out.reads.push_back(access(r));
  out.expression = s.expression;
  out.combiner = s.combiner;
  out.write = access(s.write);
  return out;
}

program::Context emit_context(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const Mapping& mapping,
                              const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach,
                              const std::vector<OperandHome>& homes, const std::vector<program::Buffer>& buffers, MessageCounts* counts) {
  return Emitter(machine, g, kernel, mapping, layouts, reach, homes, buffers, counts).run();
}

}  // namespace switchyard::compiler
