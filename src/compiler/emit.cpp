#include "compiler/emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "chip/query.h"
#include "program/fold.h"
#include "program/instance.h"
#include "program/parts.h"
#include "support/check.h"

namespace switchyard::compiler {
namespace {

using numerics::Affine;
using program::Actor;
using program::ActorId;
using program::ActorKind;
using program::Channel;
using program::Port;
using program::Token;

/// Among the loops of an actor, which are dims, the loop over the rounds of a ring.
constexpr int kRounds = -1;

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

class Emitter {
 public:
  Emitter(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const Mapping& mapping,
          const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach, const std::vector<OperandHome>& homes,
          const std::vector<program::Buffer>& buffers)
      : machine_(machine),
        chip_(*machine.chip),
        g_(g),
        kernel_(kernel),
        mapping_(mapping),
        layouts_(layouts),
        reach_(reach),
        homes_(homes),
        buffers_(buffers),
        parts_(buffers),
        ring_(ring_of(kernel, mapping, reach).ring) {
    for (const int d : mapping.order) {
      if (ring_ && d == ring_->dim) loops_.push_back(kRounds);
      if (!ring_ || d != ring_->dim || ring_->slice > 1) loops_.push_back(d);
    }
  }

  program::Context run() {
    context_.name = kernel_.name;
    context_.ops = kernel_.nodes;
    make_array();
    if (is_plain_move())
      emit_move();
    else
      emit_compute();
    return std::move(context_);
  }

 private:
  // -------------------------------------------------------------------------------------------------- instances and loops
  void make_array() {
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
      SY_CHECK(count <= static_cast<std::int64_t>(machine_.components.size()), "a listed array needs a component for each instance");
      array.components.assign(machine_.components.begin(), machine_.components.begin() + count);
      // Parts of placed operands lie in the plain order; else a ring goes from neighbour to neighbour.
      const auto cycle = cycle_through(machine_);
      if (ring_ && ring_->size == static_cast<std::int64_t>(cycle.size()) && std::count(reach_.begin(), reach_.end(), Reach::placed) == 0)
        array.components = cycle;
    }
    frame.count = static_cast<int>(array.shape.size());
    frames_.push_back(std::move(frame));
    context_.arrays.push_back(std::move(array));
  }

  /// The components that read a shared operand for the others: one for each value of the coordinates it depends on. Different operands take
  /// different places among those that share, so that the work of reading is spread. Returns the array's number.
  std::size_t make_readers(std::size_t operand, std::int64_t member = 0) {
    const KernelOperand& o = kernel_.operands[operand];
    const program::Array& all = context_.arrays[0];
    Frame frame;
    frame.coordinate.assign(kernel_.dims.size(), -1);
    program::Array readers;
    readers.name = member == 0 ? fmt::format("readers{}", operand) : fmt::format("readers{}_{}", operand, member);
    readers.component = all.component;
    std::vector<bool> used(all.shape.size(), false);
    std::int64_t sharers = 1;
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d) {
      const int c = frames_[0].coordinate[d];
      if (c < 0) continue;
      const auto at = static_cast<std::size_t>(c);
      used[at] = std::any_of(o.index.begin(), o.index.end(), [&](const Affine& f) { return f.depends_on(static_cast<int>(d)); });
      if (!used[at]) {
        sharers *= all.shape[at];
        continue;
      }
      frame.coordinate[d] = static_cast<int>(readers.shape.size());
      readers.shape.push_back(all.shape[at]);
    }
    if (readers.shape.empty()) readers.shape.push_back(1);
    frame.count = static_cast<int>(readers.shape.size());
    for (std::int64_t r = 0; r < numerics::element_count(readers.shape); ++r) {
      std::int64_t kept = r, shared = (r + static_cast<std::int64_t>(operand) + member) % sharers, linear = 0, stride = 1;
      for (std::size_t c = all.shape.size(); c-- > 0;) {
        std::int64_t& digits = used[c] ? kept : shared;
        linear += digits % all.shape[c] * stride;
        digits /= all.shape[c];
        stride *= all.shape[c];
      }
      readers.components.push_back(all.components[static_cast<std::size_t>(linear)]);
    }
    frames_.push_back(std::move(frame));
    context_.arrays.push_back(std::move(readers));
    return context_.arrays.size() - 1;
  }

  /// First index of each dim's tile, over the coordinates and the given loops (dims, outermost first).
  [[nodiscard]] Affine offset(std::size_t d, const std::vector<int>& loops, std::size_t array = 0) const {
    Affine f;
    const Frame& frame = frames_[array];
    if (frame.coordinate[d] >= 0) f = f + numerics::affine_variable(frame.coordinate[d], mapping_.trips[d] * mapping_.tile[d]);
    if (ring_ && static_cast<int>(d) == ring_->dim) {  // the member's own slice, less one a round
      f = f + numerics::affine_constant(frame.block * mapping_.trips[d] * mapping_.tile[d]);
      const std::int64_t slice = ring_->slice * mapping_.tile[d];
      f = f + numerics::affine_variable(frame.coordinate[static_cast<std::size_t>(ring_->along)], slice);
      for (std::size_t l = 0; l < loops.size(); ++l)
        if (loops[l] == kRounds) f = f + numerics::affine_variable(frame.count + static_cast<int>(l), -slice);
    }
    for (std::size_t l = 0; l < loops.size(); ++l)
      if (loops[l] == static_cast<int>(d)) f = f + numerics::affine_variable(frame.count + static_cast<int>(l), mapping_.tile[d]);
    return f;
  }

  [[nodiscard]] std::int64_t trips_of(int loop) const {
    if (ring_ && loop == kRounds) return ring_->size;
    return ring_ && loop == ring_->dim ? ring_->slice : mapping_.trips[static_cast<std::size_t>(loop)];
  }

  [[nodiscard]] std::vector<program::Loop> loops_of(const std::vector<int>& dims) const {
    std::vector<program::Loop> loops;
    for (int d : dims) {
      if (d == kRounds) {
        loops.push_back({"round", ring_->size, numerics::LoopKind::parallel});
        continue;
      }
      const KernelDim& dim = kernel_.dims[static_cast<std::size_t>(d)];
      loops.push_back({dim.name + "_t", trips_of(d), dim.reduction ? numerics::LoopKind::reduction : numerics::LoopKind::parallel});
    }
    return loops;
  }

  [[nodiscard]] std::vector<bool> kept(const KernelOperand& o, std::vector<int> loops) const {
    for (int& d : loops)
      if (d == kRounds) d = ring_->dim;
    return kept_loops(o, loops, mapping_.resident[number_of(o)]);
  }

  [[nodiscard]] static std::vector<int> without(const std::vector<int>& loops, const std::vector<bool>& kept) {
    std::vector<int> out;
    for (std::size_t l = 0; l < loops.size(); ++l)
      if (!kept[l]) out.push_back(loops[l]);
    return out;
  }

  // -------------------------------------------------------------------------------------------------------------- tokens
  [[nodiscard]] std::size_t number_of(const KernelOperand& o) const { return static_cast<std::size_t>(&o - kernel_.operands.data()); }

  [[nodiscard]] Token token_of(const KernelOperand& o) const {
    Token t;
    t.format = g_.tensor(o.tensor).format;
    t.shape = token_shape(o, mapping_.tile);
    t.order = layouts_[o.tensor.index()];
    if (!t.shape.empty() && !o.write && !homes_[number_of(o)].placed)
      t.pad = token_pad(chip_.units[mapping_.unit.index()], kernel_.contraction && !o.epilogue,
                        t.shape[static_cast<std::size_t>(t.order.back())]);
    return t;
  }

  /// Index within the token: the tile's own indices, shifted so that falling coefficients stay inside.
  [[nodiscard]] std::vector<Affine> local_index(const KernelOperand& o) const {
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

  [[nodiscard]] program::BufferAccess access_of(const KernelOperand& o, const std::vector<int>& loops, std::size_t array) const {
    program::BufferAccess a;
    a.buffer = homes_[number_of(o)].buffer;
    a.fill = o.fill.value_or(0);
    const auto& shape = g_.tensor(o.tensor).shape;
    for (std::size_t d = 0; d < o.index.size(); ++d) {
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

  // ------------------------------------------------------------------------------------------------------------ channels
  /// Offsets are given when the storage of all contexts is planned (storage.h).
  void connect(const std::string& name, ActorId from, int from_port, ActorId to, int to_port, std::int64_t depth) {
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

  /// Coordinates of the producer from the consumer's: the same ones, or those that a shared operand depends on.
  void relate(Channel& c, std::size_t from, std::size_t to) const {
    if (from == to) {
      for (int i = 0; i < frames_[from].count; ++i) c.relation.coordinates.push_back({numerics::affine_variable(i), 0});
      return;
    }
    c.relation.coordinates.assign(context_.arrays[from].shape.size(), {});
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
      if (const int at = frames_[from].coordinate[d]; at >= 0)
        c.relation.coordinates[static_cast<std::size_t>(at)].source = numerics::affine_variable(frames_[to].coordinate[d]);
  }

  std::optional<program::Route> route(const chip::Mover& mover, bool from_memory, std::size_t array) const {
    const chip::Memory& memory = chip_.memories[machine_.off_chip.index()];
    const auto network = mover.network ? mover.network : memory.network;
    if (!network) return std::nullopt;
    program::Route r;
    r.network = *network;
    const chip::Network& n = chip_.networks[network->index()];
    if (n.topology == chip::Topology::crossbar) return r;
    for (std::uint32_t component : context_.arrays[array].components) {
      const std::uint32_t port = chip::nearest_port(chip_, memory, component);
      r.paths.push_back(from_memory ? chip::default_route(chip_, n, port, component) : chip::default_route(chip_, n, component, port));
    }
    return r;
  }

  // -------------------------------------------------------------------------------------------------------------- actors
  Actor move_actor(const std::string& name, const KernelOperand& o, const std::vector<int>& loops, std::size_t array = 0) {
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

  /// Takes what a reader has read and sends it to all components that need it.
  Actor cast_actor(const std::string& name, const Actor& load, std::size_t readers) const {
    Actor a;
    a.name = name;
    a.kind = ActorKind::move;
    a.array = program::ArrayId(readers);
    a.mover = machine_.cast;
    a.loops = load.loops;
    a.early = load.early;
    Port in = load.ports[0], out = load.ports[0];
    in.name = "in";
    in.input = true;
    a.ports = {in, out};
    a.ops = kernel_.nodes;
    const chip::Mover& mover = chip_.movers[a.mover.index()];
    const chip::Network& n = chip_.networks[mover.network->index()];
    program::Route r;
    r.network = *mover.network;
    const program::Array& all = context_.arrays[0];
    const program::Array& from = context_.arrays[readers];
    for (std::size_t i = 0; i < all.components.size(); ++i) {
      std::vector<std::int64_t> at(all.shape.size());
      std::int64_t rest = static_cast<std::int64_t>(i), reader = 0;
      for (std::size_t c = all.shape.size(); c-- > 0;) {
        at[c] = rest % all.shape[c];
        rest /= all.shape[c];
      }
      std::vector<std::int64_t> place(from.shape.size(), 0);
      for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
        if (const int c = frames_[readers].coordinate[d]; c >= 0)
          place[static_cast<std::size_t>(c)] = at[static_cast<std::size_t>(frames_[0].coordinate[d])];
      for (std::size_t c = 0; c < place.size(); ++c) reader = reader * from.shape[c] + place[c];
      r.paths.push_back(chip::default_route(chip_, n, from.components[static_cast<std::size_t>(reader)], all.components[i]));
    }
    a.route = std::move(r);
    return a;
  }

  ActorId add(Actor actor) {
    context_.actors.push_back(std::move(actor));
    return ActorId(context_.actors.size() - 1);
  }

  [[nodiscard]] std::string mover_name(std::size_t i) const {
    if (!kernel_.operands[i].write) return fmt::format("load{}", i);
    const auto writes = std::count_if(kernel_.operands.begin(), kernel_.operands.end(), [](const KernelOperand& o) { return o.write; });
    return writes == 1 ? "store" : fmt::format("store{}", i);
  }

  /// Nothing is computed and both boxes have one form: the mover's token goes straight back.
  [[nodiscard]] bool is_plain_move() const {
    if (!kernel_.copy || kernel_.operands.size() != 2 || homes_[0].placed || homes_[1].placed) return false;
    const KernelOperand &in = kernel_.operands[0], &out = kernel_.operands[1];
    if (in.fill || in.index.size() != out.index.size() || g_.tensor(in.tensor).format != g_.tensor(out.tensor).format) return false;
    if (layouts_[in.tensor.index()] != layouts_[out.tensor.index()]) return false;
    for (std::size_t d = 0; d < in.index.size(); ++d)
      if (in.index[d].terms != out.index[d].terms) return false;
    return true;
  }

  void emit_move() {
    const auto loops = mapping_.order;
    const ActorId load = add(move_actor("load", kernel_.operands[0], loops));
    Actor out = move_actor("store", kernel_.operands[1], loops);
    out.ports[0].token = context_.actors[load.index()].ports[0].token;
    const ActorId store = add(std::move(out));
    connect("copied", load, 0, store, 0, std::max<std::int64_t>(2, mapping_.depth[0]));
  }

  void emit_compute() {
    const std::vector<int>& loops = loops_;
    std::vector<int> outer;
    std::vector<bool> is_reduction(loops.size());
    for (std::size_t l = 0; l < loops.size(); ++l) {
      is_reduction[l] = loops[l] != kRounds && kernel_.dims[static_cast<std::size_t>(loops[l])].reduction;
      if (!is_reduction[l]) outer.push_back(loops[l]);
    }
    const bool apart = mapping_.epilogue_unit.valid();
    port_of_.assign(kernel_.operands.size(), {-1, -1});

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
    for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
      const KernelOperand& o = kernel_.operands[i];
      const bool in_epilogue = apart && o.epilogue;
      add_port(in_epilogue ? epilogue : main, i, in_epilogue ? outer : loops);
      port_of_[i].first = in_epilogue ? 1 : 0;
    }
    int accumulator_out = -1, accumulator_in = -1;
    if (apart) {
      Port p;
      p.name = "sums";
      p.input = false;
      p.token = local_token(kernel_.locals[0]);
      p.kept = is_reduction;
      accumulator_out = static_cast<int>(main.ports.size());
      main.ports.push_back(p);
      p.input = true;
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
    program::Guard last;
    for (std::size_t l = 0; l < loops.size(); ++l)
      if (is_reduction[l]) last.push_back({static_cast<int>(l), -1, program::IndexRange::kToEnd});
    for (const KernelStatement& s : kernel_.statements) {
      if (!s.epilogue || !apart) {
        main.statements.push_back(statement(s, static_cast<int>(main.ports.size()), -1, s.epilogue ? last : program::Guard{}));
        continue;
      }
      KernelStatement hand_over;  // the sums leave the matrix unit as they are
      hand_over.dims = s.dims;
      hand_over.kinds = s.kinds;
      program::Statement copy = statement(hand_over, static_cast<int>(main.ports.size()), -1, last, true);
      std::vector<Affine> index;
      for (int d : kernel_.locals[0].dims) index.push_back(numerics::affine_variable(d));
      copy.reads.push_back({static_cast<int>(main.ports.size()), index, {}});
      copy.expression = numerics::expr_input(0);
      copy.write = {accumulator_out, index, {}};
      main.statements.push_back(std::move(copy));
      epilogue.statements.push_back(statement(s, static_cast<int>(epilogue.ports.size()), accumulator_in, {}));
    }
    const ActorId main_id = add(std::move(main));
    ActorId epilogue_id;
    if (apart) {
      epilogue_id = add(std::move(epilogue));
      connect("sums", main_id, accumulator_out, epilogue_id, accumulator_in, mapping_.accumulator_depth);
    }
    for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
      const KernelOperand& o = kernel_.operands[i];
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
    }
  }

  /// Each member of the ring reads its own slice. In the first round it works on that; in every round but the last it passes on what it
  /// has, and in the others it works on what the member before it has passed on.
  void pass_around(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept) {
    const KernelOperand& o = kernel_.operands[i];
    const std::vector<int> loops = without(user_loops, kept);
    std::vector<int> own = loops;
    own.erase(std::find(own.begin(), own.end(), kRounds));
    const int round = static_cast<int>(std::find(loops.begin(), loops.end(), kRounds) - loops.begin());
    const int user_round = static_cast<int>(std::find(user_loops.begin(), user_loops.end(), kRounds) - user_loops.begin());
    const ActorId load = add(move_actor(mover_name(i), o, own));
    Actor pass;
    pass.name = fmt::format("pass{}", i);
    pass.kind = ActorKind::move;
    pass.array = program::ArrayId(std::size_t{0});
    pass.mover = machine_.cast;
    pass.loops = loops_of(loops);
    pass.ops = kernel_.nodes;
    Port in = context_.actors[load.index()].ports[0];
    in.kept.assign(loops.size(), false);
    Port out = in;
    in.name = "in";
    in.input = true;
    out.guard = {{round, 0, -1}};
    pass.ports = {std::move(in), std::move(out)};
    if (!mapping_.overlap) pass.ports.push_back(synchronising("ready", true, std::vector<bool>(loops.size(), false)));
    const ActorId passer = add(std::move(pass));
    if (!mapping_.overlap) {
      const int used = add_output(user, synchronising(fmt::format("used{}", i), false, kept));
      connect(fmt::format("used{}", i), user, used, passer, 2, 2);
    }
    connect(fmt::format("own{}", i), load, 0, user, port_of_[i].second, mapping_.depth[i]);
    connect(fmt::format("passed{}", i), passer, 1, user, port_of_[i].second, ring_depth(kernel_, mapping_, *ring_, i));
    const auto feed = [&](Channel& c, std::int64_t begin, std::int64_t end) {
      c.to[0].domain = {user_round, begin, end};
      c.to.push_back({{passer, 0}, {round, begin, end}});
    };
    feed(context_.channels[context_.channels.size() - 2], 0, 1);
    feed(context_.channels.back(), 1, program::IndexRange::kToEnd);
    const int at = frames_[0].coordinate[static_cast<std::size_t>(ring_->along)];
    context_.channels.back().relation.coordinates[static_cast<std::size_t>(at)] = {
        numerics::affine_variable(at) + numerics::affine_constant(-1), ring_->size};
  }

  /// Slice (place - round) modulo the ring's size is no affine function: one mover stores the slices up to the member's own, a second one
  /// those beyond, each skipping what is not in the block. Blocks beside each other need movers of their own.
  void store_slices(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept) {
    const KernelOperand& o = kernel_.operands[i];
    const auto q = static_cast<std::size_t>(ring_->dim);
    const int split = frames_[0].coordinate[q];
    const std::int64_t blocks = split < 0 ? 1 : context_.arrays[0].shape[static_cast<std::size_t>(split)];
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::size_t array = split < 0 ? 0 : make_block(split, block);
      const std::string suffix = split < 0 ? "" : fmt::format("_{}", block);
      Actor left = move_actor(mover_name(i) + "_up" + suffix, o, without(user_loops, kept), array);
      Actor right = left;
      right.name = mover_name(i) + "_beyond" + suffix;
      for (std::size_t d = 0; d < o.index.size(); ++d)
        if (o.index[d].depends_on(ring_->dim))
          right.destination->start[d] = right.destination->start[d] + numerics::affine_constant(mapping_.trips[q] * mapping_.tile[q]);
      const ActorId first = add(std::move(left)), second = add(std::move(right));
      connect(fmt::format("out{}{}", i, suffix), user, port_of_[i].second, first, 0, mapping_.depth[i]);
      Channel& c = context_.channels.back();
      c.to.push_back({{second, 0}, {}});
      if (split < 0) continue;
      c.relation.coordinates.clear();
      for (int at = 0; at < frames_[0].count; ++at) {
        const Affine source = at == split ? numerics::affine_constant(block) : numerics::affine_variable(at < split ? at : at - 1);
        c.relation.coordinates.push_back({source, 0});
      }
    }
  }

  /// The instances with one value of a coordinate, as an array of their own.
  std::size_t make_block(int split, std::int64_t block) {
    const program::Array all = context_.arrays[0];
    Frame frame = frames_[0];
    program::Array array;
    array.name = fmt::format("block{}", block);
    array.component = all.component;
    for (int& c : frame.coordinate) c = c == split ? -1 : c > split ? c - 1 : c;
    frame.block = block;
    for (int c = 0; c < frame.count; ++c)
      if (c != split) array.shape.push_back(all.shape[static_cast<std::size_t>(c)]);
    frame.count = static_cast<int>(array.shape.size());
    for (std::uint32_t k = 0; k < all.components.size(); ++k)
      if (program::coordinates(all, k)[static_cast<std::size_t>(split)] == block) array.components.push_back(all.components[k]);
    frames_.push_back(std::move(frame));
    context_.arrays.push_back(std::move(array));
    return context_.arrays.size() - 1;
  }

  /// Of the components that need an operand alike, each reads some of it from memory and sends it to all: those of its loops' innermost
  /// indices that are its own, so that all of them read at any time.
  void share_out(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept) {
    const KernelOperand& o = kernel_.operands[i];
    const std::vector<int> loops = without(user_loops, kept);
    const std::int64_t members = reading_members(kernel_, mapping_, i, user_loops, kept);
    for (std::int64_t j = 0; j < members; ++j) {
      const std::size_t readers = make_readers(i, j);
      const std::string suffix = j == 0 ? "" : fmt::format("_{}", j);
      Actor load = move_actor(mover_name(i) + suffix, o, loops, readers);
      program::IndexRange domain;
      if (members > 1) {
        const auto d = static_cast<std::size_t>(loops.back());
        const std::int64_t own = mapping_.trips[d] / members;
        load.loops.back().trip = own;
        for (std::size_t x = 0; x < o.index.size(); ++x)
          for (const auto& t : o.index[x].terms)
            if (t.variable == loops.back())
              load.source->start[x] = load.source->start[x] + numerics::affine_constant(t.coefficient * j * own * mapping_.tile[d]);
        domain = {static_cast<int>(std::find(user_loops.begin(), user_loops.end(), loops.back()) - user_loops.begin()), j * own,
                  (j + 1) * own};
      }
      Actor cast = cast_actor(fmt::format("cast{}{}", i, suffix), load, readers);
      const ActorId load_id = add(std::move(load)), cast_id = add(std::move(cast));
      connect(fmt::format("read{}{}", i, suffix), load_id, 0, cast_id, 0, 2);
      connect(fmt::format("in{}{}", i, suffix), cast_id, 1, user, port_of_[i].second,
              members == 1 ? mapping_.depth[i] : std::max<std::int64_t>(1, (mapping_.depth[i] + members - 1) / members));
      context_.channels.back().to[0].domain = domain;
    }
  }

  /// A mover that carries what has been written to the parts of `to` that hold it, one message a firing; nothing when none does. It follows
  /// each firing of the writer, or sends all at the end where that is sooner: each message has its start-up.
  void send(std::size_t i, ActorId user, const std::vector<int>& user_loops, const std::vector<bool>& kept, program::BufferId to) {
    const KernelOperand& o = kernel_.operands[i];
    Actor a = send_actor(o, without(user_loops, kept), to);
    std::optional<std::int64_t> following = most_messages(a);
    std::vector<bool> done_kept = kept;
    if (!a.loops.empty()) {
      Actor at_end = send_actor(o, {}, to);
      const std::int64_t in_all = most_messages(at_end).value();
      if (!following || sending_seconds(at_end, in_all) < sending_seconds(a, *following)) {
        a = std::move(at_end);
        following = in_all;
        done_kept.assign(kept.size(), true);
      }
    }
    const std::int64_t count = following.value();
    if (count == 0) return;
    a.name = fmt::format("send{}_{}", i, context_.actors.size());
    Port wait = synchronising("ready", true, std::vector<bool>(a.loops.size(), false));
    if (count > 1) {
      a.destination->message = static_cast<int>(a.loops.size());
      a.loops.push_back({"message", count, numerics::LoopKind::parallel});
      wait.kept.push_back(true);
    }
    Port done = wait;
    done.name = fmt::format("done{}_{}", i, context_.actors.size());
    done.input = false;
    done.kept = done_kept;
    a.ports.push_back(std::move(wait));
    const int port = add_output(user, std::move(done));
    std::int64_t firings = 1;
    for (const program::Loop& l : a.loops) firings *= l.name == "message" ? 1 : l.trip;
    const ActorId mover = add(std::move(a));
    connect(fmt::format("sent{}", mover.index()), user, port, mover, 0, std::min<std::int64_t>(firings, 16));
  }

  /// A port whose tokens have no element.
  [[nodiscard]] static Port synchronising(std::string name, bool input, std::vector<bool> kept) {
    Port p;
    p.name = std::move(name);
    p.input = input;
    p.token.format = numerics::Format::int8;
    p.token.shape = {0};
    p.token.order = {0};
    p.kept = std::move(kept);
    return p;
  }

  /// Gives an actor that computes another port, and returns its number. Ports come before states in the numbering of slots: what names a
  /// state moves up.
  int add_output(ActorId id, Port done) {
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

  /// Without its ports. `loops`: those of the writer that it follows; the others are over when it sends.
  [[nodiscard]] Actor send_actor(const KernelOperand& o, const std::vector<int>& loops, program::BufferId to) const {
    Actor a;
    a.array = program::ArrayId(std::size_t{0});
    a.kind = ActorKind::move;
    a.mover = machine_.cast;
    a.loops = loops_of(loops);
    a.source = access_of(o, loops, 0);
    std::vector<std::int64_t> tile = mapping_.tile;
    for (std::size_t d = 0; d < tile.size(); ++d)
      if (std::find(loops.begin(), loops.end(), static_cast<int>(d)) == loops.end()) tile[d] *= mapping_.trips[d];
    a.source->extent = token_shape(o, tile);
    a.destination = a.source;
    a.destination->buffer = to;
    a.ops = kernel_.nodes;
    return a;
  }

  /// From the end of the computation to that of the last message, as far as the movers of one component go.
  [[nodiscard]] double sending_seconds(const Actor& a, std::int64_t messages) const {
    const chip::Mover& mover = chip_.movers[machine_.cast.index()];
    const double places = static_cast<double>(mover.count * mover.outstanding);
    double firings = 1, bytes = numerics::format_bytes(buffers_[a.destination->buffer.index()].format);
    for (const program::Loop& l : a.loops) firings *= static_cast<double>(l.trip);
    for (const std::int64_t e : a.destination->extent) bytes *= static_cast<double>(e);
    const double one =
        static_cast<double>(messages) * (mover.startup.value + chip_.sequencer.issue.value) / places + bytes / mover.bandwidth.value;
    const double hidden = mapping_.terms[0] * (firings - 1) / firings;
    return one + std::max(0.0, (firings - 1) * one - hidden);
  }

  /// The most messages that one store of this mover takes, over its instances and firings; nothing when those are too many.
  [[nodiscard]] std::optional<std::int64_t> most_messages(const Actor& a) {
    context_.actors.push_back(a);
    const program::BufferAccess& to = *context_.actors.back().destination;
    const program::Use use(context_, context_.actors.size() - 1, to, to.extent, true, nullptr);
    const auto sending = program::count_messages(buffers_[to.buffer.index()], parts_[to.buffer], use);
    context_.actors.pop_back();
    if (!sending) return std::nullopt;
    return sending->most;
  }

  [[nodiscard]] std::vector<program::Dim> dims_of(const std::vector<int>& loops) const {
    std::vector<program::Dim> dims;
    for (std::size_t d = 0; d < kernel_.dims.size(); ++d)
      if (ring_ && static_cast<int>(d) == ring_->dim)  // always whole, and where a member is is no affine function
        dims.push_back({kernel_.dims[d].name, mapping_.tile[d], mapping_.tile[d], {}});
      else
        dims.push_back({kernel_.dims[d].name, mapping_.tile[d], kernel_.dims[d].extent, offset(d, loops)});
    return dims;
  }

  void add_port(Actor& actor, std::size_t i, const std::vector<int>& loops) {
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

  [[nodiscard]] Token local_token(const KernelLocal& l) const {
    Token t;
    const auto* rate =
        chip::find_rate(chip_.units[mapping_.unit.index()], kernel_.contraction ? chip::OpClass::contract : chip::OpClass::map,
                        g_.tensor(kernel_.operands.front().tensor).format);
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

  /// Slots are ports, then states; local number 0 is the token `accumulator_port` in the epilogue's own actor.
  [[nodiscard]] program::Statement statement(const KernelStatement& s, int ports, int accumulator_port, program::Guard guard,
                                             bool bare = false) const {
    program::Statement out;
    out.guard = std::move(guard);
    out.dims = s.dims;
    out.kinds = s.kinds;
    if (bare) return out;
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

  const Machine& machine_;
  const chip::Chip& chip_;
  const graph::Graph& g_;
  const Kernel& kernel_;
  const Mapping& mapping_;
  const std::vector<std::vector<int>>& layouts_;
  const std::vector<Reach>& reach_;
  const std::vector<OperandHome>& homes_;
  const std::vector<program::Buffer>& buffers_;
  program::PartsOf parts_;
  std::optional<Ring> ring_;
  std::vector<int> loops_;  ///< of the actor that computes: dims, outermost first, and kRounds
  program::Context context_;
  struct Frame {  ///< of an array: which coordinate goes with each dim (-1: none), and how many there are
    std::vector<int> coordinate;
    int count = 0;
    std::int64_t block = 0;  ///< where the array is one block of the ring's dim: which
  };
  std::vector<Frame> frames_;                 ///< by array
  std::vector<std::pair<int, int>> port_of_;  ///< per operand: actor (0 main, 1 epilogue), port
};

}  // namespace

program::Context emit_context(const Machine& machine, const graph::Graph& g, const Kernel& kernel, const Mapping& mapping,
                              const std::vector<std::vector<int>>& layouts, const std::vector<Reach>& reach,
                              const std::vector<OperandHome>& homes, const std::vector<program::Buffer>& buffers) {
  return Emitter(machine, g, kernel, mapping, layouts, reach, homes, buffers).run();
}

}  // namespace switchyard::compiler
