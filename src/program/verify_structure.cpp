// Law 1 and law 9: everything named exists, everything counted is countable. What passes here may be laid out and walked without fear.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "chip/query.h"
#include "program/findings.h"
#include "program/grid.h"
#include "program/instance.h"
#include "program/reader.h"
#include "program/spread.h"

namespace switchyard::program {

namespace {

constexpr std::int64_t kMostSlices = 1024;
constexpr const char* kUnresolved = "program/unresolved";
constexpr const char* kSize = "program/size";
constexpr const char* kShape = "program/shape";
constexpr const char* kAffine = "program/affine";
constexpr const char* kPort = "program/port";
constexpr const char* kBody = "program/body";

class Names {
 public:
  Names(Findings& findings, std::string pointer, std::string what)
      : findings_(findings), pointer_(std::move(pointer)), what_(std::move(what)) {}
  void add(const std::string& name) {
    if (name.empty()) findings_.add("program/duplicate-name", pointer_, fmt::format("a {} has no name", what_));
    if (!seen_.insert(name).second)
      findings_.add("program/duplicate-name", pointer_, fmt::format("two {}s have the name '{}'", what_, name));
  }

 private:
  Findings& findings_;
  std::string pointer_, what_;
  std::set<std::string> seen_;
};

bool permutation(const std::vector<int>& order, std::size_t rank) {
  if (order.size() != rank) return false;
  std::vector<bool> seen(rank, false);
  for (const int d : order) {
    if (d < 0 || static_cast<std::size_t>(d) >= rank || seen[static_cast<std::size_t>(d)]) return false;
    seen[static_cast<std::size_t>(d)] = true;
  }
  return true;
}

class StructureLaw {
 public:
  StructureLaw(const Program& program, Findings& findings) : program_(program), findings_(findings) {}

  void check() {
    if (!program_.chip) return findings_.add("program/no-chip", "", "the program names no chip");
    if (program_.contexts.size() > kMostContexts) return add(kSize, "", fmt::format("a program has at most {} contexts", kMostContexts));
    buffers();
    if (!sound_buffers_) return;
    Names names(findings_, "", "context");
    for (std::size_t c = 0; c < program_.contexts.size() && !findings_.full(); ++c) {
      names.add(program_.contexts[c].name);
      context(c);
    }
    if (findings_.none()) check_residency(program_, findings_);
  }

 private:
  void add(const char* code, const std::string& pointer, std::string message, std::string hint = {}) {
    findings_.add(code, pointer, std::move(message), std::move(hint));
  }

  void buffers() {
    Names names(findings_, "", "buffer");
    std::array<std::set<int>, 2> numbers;
    for (const Buffer& buffer : program_.buffers) {
      names.add(buffer.name);
      const std::size_t before = findings_.diagnostics().size();
      if (!buffer.memory.valid() || buffer.memory.index() >= program_.chip->memories.size())
        add(kUnresolved, buffer.name, "the buffer lies in no memory of the chip");
      if (buffer.shape.size() > kMostDimensions)
        add(kSize, buffer.name, fmt::format("the buffer has more than {} dimensions", kMostDimensions));
      // Inputs and outputs without elements are nobody's to read or write, but they are inputs and outputs.
      const std::int64_t least = buffer.role == BufferRole::input || buffer.role == BufferRole::output ? 0 : 1;
      if (std::any_of(buffer.shape.begin(), buffer.shape.end(), [&](std::int64_t extent) { return extent < least; }))
        add(kShape, buffer.name, fmt::format("extents of a buffer are at least {}", least));
      if (!permutation(buffer.order, buffer.shape.size()))
        add(kShape, buffer.name, "the buffer's order is no permutation of its dimensions");
      if (buffer.spread) {
        if (findings_.diagnostics().size() == before) check_spread_buffer(program_, buffer, findings_);
        sound_buffers_ = sound_buffers_ && findings_.diagnostics().size() == before;
        continue;
      }
      const auto bytes = storage_bytes(buffer.format, buffer.shape);
      if (!bytes || *bytes > kMostBytes || buffer.offset < 0 || buffer.offset > kMostBytes || buffer.bytes > kMostBytes)
        add(kSize, buffer.name, "the buffer's size or place is no size of a memory");
      else if (buffer.bytes < *bytes)
        add(kSize, buffer.name, fmt::format("the buffer needs {} bytes and has {}", *bytes, buffer.bytes));
      if (buffer.role == BufferRole::input || buffer.role == BufferRole::output) {
        const bool input = buffer.role == BufferRole::input;
        if (buffer.index < 0 || !numbers[input ? 0 : 1].insert(buffer.index).second)
          add(kUnresolved, buffer.name, fmt::format("{} number {} is not free", input ? "input" : "output", buffer.index));
      }
    }
    for (const bool input : {true, false}) {
      const std::set<int>& set = numbers[input ? 0 : 1];
      if (!set.empty() && *set.rbegin() + 1 != static_cast<int>(set.size()))
        add(kUnresolved, "", fmt::format("{}s are not numbered 0 to {}", input ? "input" : "output", set.size() - 1));
    }
  }

  /// Stages of one kernel, and what only they may touch.
  void stage(std::size_t number) {
    const Context& context = program_.contexts[number];
    const auto waves = [&](const Context& c) { return runs_in_waves(*program_.chip, c); };
    if (context.continues && (number == 0 || !waves(context) || !waves(program_.contexts[number - 1])))
      add("program/after", at(context), "only a grid whose blocks run in waves continues another, the one right before it");
    if (context.band && (context.band->past < 0 || context.band->past > kMostBytes || context.band->window < 0))
      add(kSize, at(context), "a band has neither a negative past nor a negative window");
    std::size_t first = number, last = number;
    while (first > 0 && program_.contexts[first].continues) --first;
    while (last + 1 < program_.contexts.size() && program_.contexts[last + 1].continues) ++last;
    for (const Actor& actor : context.actors)
      for (const auto* access : {&actor.source, &actor.destination}) {
        if (!access->has_value() || !(*access)->buffer.valid() || (*access)->buffer.index() >= program_.buffers.size()) continue;
        if (program_.buffers[(*access)->buffer.index()].lifetime != Lifetime::kernel) continue;
        auto& owner = owners_.try_emplace((*access)->buffer.index(), first).first->second;
        if (owner != first || first == last)
          add("program/memory", at(context, actor), "what the stages of one kernel hand to each other is touched by another");
      }
  }

  void context(std::size_t number) {
    const Context& context = program_.contexts[number];
    stage(number);
    for (const ContextId id : context.after)
      if (!id.valid() || id.index() >= number) add("program/after", at(context), "a context may only come after contexts before it");
    for (const ContextId id : context.early_after)
      if (!id.valid() || id.index() >= number) add("program/after", at(context), "early actors may only come after contexts before theirs");
    if (context.host && !host(context)) return;
    for (std::size_t step = first_beside(program_, number); step < number; ++step)
      if (program_.contexts[step].host)
        return add("program/host", at(context), fmt::format("early actors start before the host's step '{}'", program_.contexts[step].name),
                   "let them come after it");
    bool sound = true;
    Names arrays(findings_, at(context), "array");
    for (const Array& array : context.arrays) {
      arrays.add(array.name);
      sound = this->array(context, array) && sound;
    }
    if (!sound) return;
    if (context.slices < 1 || context.slices > kMostSlices || (context.slices > 1 && !runs_in_waves(*program_.chip, context)))
      add(kSize, at(context),
          fmt::format("a grid whose blocks run in waves may be cut into 1 to {} slices, and nothing else", kMostSlices));
    Names actors(findings_, at(context), "actor");
    std::int64_t instances = 0;
    for (const Actor& actor : context.actors) {
      actors.add(actor.name);
      if (!actor.array.valid() || actor.array.index() >= context.arrays.size()) {
        add(kUnresolved, at(context, actor), "the actor's array does not exist");
        sound = false;
        continue;
      }
      const std::size_t before = findings_.diagnostics().size();
      this->actor(context, actor);
      sound = sound && findings_.diagnostics().size() == before;
      instances += instance_count(context.arrays[actor.array.index()]) * static_cast<std::int64_t>(1 + actor.ports.size());
      if (instances > 16 * kMostInstances) {
        add(kSize, at(context), "the context has too many instances of actors and ports");
        return;
      }
    }
    if (!sound) return;
    Names channels(findings_, at(context), "channel");
    for (const Channel& channel : context.channels) {
      channels.add(channel.name);
      this->channel(context, channel);
      if (findings_.full()) return;
      if (!channel.to.empty() && channel.to.front().end.actor.valid() && channel.to.front().end.actor.index() < context.actors.size()) {
        instances += instance_count(context.arrays[context.actors[channel.to.front().end.actor.index()].array.index()]) *
                     static_cast<std::int64_t>(1 + channel.to.size());
        if (instances > 16 * kMostInstances) {
          add(kSize, at(context), "the context has too many instances of channels");
          return;
        }
      }
    }
    if (findings_.none()) check_early(program_, number, findings_);
  }

  /// A step of the host stands alone, and touches whole buffers off the chip's scratchpads.
  bool host(const Context& context) {
    const HostStep& step = *context.host;
    const std::size_t before = findings_.diagnostics().size();
    if (!context.arrays.empty() || !context.actors.empty() || !context.channels.empty())
      add("program/host", at(context), "a step of the host has no arrays, actors or channels");
    if (!numerics::is_host_call(step.call.kind))
      add("program/host", at(context), fmt::format("the host has no operation '{}'", step.call.kind));
    for (const auto* list : {&step.reads, &step.writes}) {
      for (const BufferId id : *list) {
        if (!id.valid() || id.index() >= program_.buffers.size()) {
          add(kUnresolved, at(context), "the host touches a buffer that does not exist");
          continue;
        }
        const Buffer& buffer = program_.buffers[id.index()];
        if (buffer.spread || buffer.lifetime == Lifetime::kernel)
          add("program/host", at(context), fmt::format("'{}' does not lie where the host could reach it", buffer.name));
        else if (list == &step.writes && (buffer.role == BufferRole::input || buffer.role == BufferRole::constant))
          add("program/read-only", at(context), fmt::format("the host's step writes '{}', which it supplies", buffer.name));
      }
    }
    return findings_.diagnostics().size() == before;
  }

  bool array(const Context& context, const Array& array) {
    const std::string pointer = at(context) + "/" + array.name;
    const std::size_t before = findings_.diagnostics().size();
    std::int64_t count = 1;
    const std::int64_t most = array.dynamic ? kMostGrid : kMostInstances;
    for (const std::int64_t extent : array.shape)
      if (extent < 1 || extent > most || (count *= extent) > most) {
        add(kSize, pointer, fmt::format("an array has 1 to {} instances", most));
        return false;
      }
    if (array.shape.size() > kMostDimensions) add(kSize, pointer, fmt::format("the array has more than {} dimensions", kMostDimensions));
    if (!array.coordinate_names.empty() && array.coordinate_names.size() != array.shape.size())
      add(kShape, pointer, "either all coordinates of an array have names or none has");
    if (!array.component.valid() || array.component.index() >= program_.chip->components.size()) {
      add(kUnresolved, pointer, "the array's component does not exist");
      return false;
    }
    const chip::Component& component = program_.chip->components[array.component.index()];
    if (array.dynamic) {
      if (program_.chip->sequencer.kind != chip::SequencerKind::grid)
        add("program/grid", pointer, "the chip's sequencer deals no grids", "list the components of the array");
      if (!array.components.empty()) add("program/grid", pointer, "a grid lists no components");
      return findings_.diagnostics().size() == before;
    }
    if (static_cast<std::int64_t>(array.components.size()) != count) {
      add(kShape, pointer, fmt::format("the array has {} instances and lists {} components", count, array.components.size()));
      return false;
    }
    std::set<std::uint32_t> seen;
    const auto limit = static_cast<std::uint32_t>(chip::instance_count(component));
    for (const std::uint32_t instance : array.components) {
      if (instance >= limit)
        add(kUnresolved, pointer, fmt::format("there is no {} {}", component.name, instance));
      else if (std::find(component.holes.begin(), component.holes.end(), instance) != component.holes.end())
        add("program/hole", pointer, fmt::format("{} {} is absent from this chip", component.name, instance));
      if (!seen.insert(instance).second) add(kShape, pointer, fmt::format("{} {} is listed twice", component.name, instance));
    }
    return findings_.diagnostics().size() == before;
  }

  bool token(const std::string& pointer, const Token& token, bool may_be_empty) {
    if (token.shape.size() > kMostDimensions) return add(kSize, pointer, "the token has too many dimensions"), false;
    for (const std::int64_t extent : token.shape)
      if (extent < (may_be_empty ? 0 : 1)) return add(kShape, pointer, "extents of a token are positive"), false;
    if (!permutation(token.order, token.shape.size()))
      return add(kShape, pointer, "the token's order is no permutation of its dimensions"), false;
    if (token.pad < 1 || token.pad > 65536) return add(kShape, pointer, "padding is to a multiple of 1 to 65536"), false;
    const auto bytes = storage_bytes(token);
    if (!bytes || *bytes > kMostBytes) return add(kSize, pointer, "the token is too large"), false;
    return true;
  }

  bool guard(const std::string& pointer, const Guard& guard, const Actor& actor, const std::vector<bool>* kept) {
    for (const IndexRange& range : guard) {
      if (range.loop < 0) continue;
      if (static_cast<std::size_t>(range.loop) >= actor.loops.size())
        return add(kUnresolved, pointer, "a guard names a loop that does not exist"), false;
      if (kept != nullptr && (*kept)[static_cast<std::size_t>(range.loop)])
        return add(kPort, pointer,
                   fmt::format("a guard names the loop '{}', which is kept", actor.loops[static_cast<std::size_t>(range.loop)].name)),
               false;
    }
    return true;
  }

  bool affine(const std::string& pointer, const numerics::Affine& f, std::span<const std::int64_t> extents, const char* what) {
    if (safe_range(f, extents)) return true;
    add(kAffine, pointer, fmt::format("{} names a variable that does not exist or leaves 60 bits", what));
    return false;
  }

  void port(const Context& context, const Actor& actor, const Port& port) {
    const std::string pointer = at(context, actor, port);
    if (!token(pointer, port.token, true)) return;
    if (port.kept.size() != actor.loops.size()) return add(kPort, pointer, "kept says yes or no for each loop");
    if (!guard(pointer, port.guard, actor, &port.kept)) return;
    if (port.place) check_place(program_, context, actor, port, findings_);
    if (!port.window) return;
    const Window& window = *port.window;
    if (!port.input || actor.kind != ActorKind::compute) return add(kPort, pointer, "only inputs of compute actors have windows");
    if (window.loop < 0 || static_cast<std::size_t>(window.loop) >= actor.loops.size())
      return add(kUnresolved, pointer, "the window's loop does not exist");
    if (window.peek < 1 || window.pop < 1 || window.peek > kMostPositions || window.pop > kMostPositions || window.pad_before < 0 ||
        window.pad_after < 0 || window.pad_before > kMostInstances || window.pad_after > kMostInstances)
      return add(kPort, pointer, "a window peeks and pops at least one position");
    if (port.kept[static_cast<std::size_t>(window.loop)]) return add(kPort, pointer, "the window's loop is kept");
    for (std::size_t i = static_cast<std::size_t>(window.loop) + 1; i < actor.loops.size(); ++i)
      if (!port.kept[i]) add(kPort, pointer, fmt::format("the loop '{}' inside the window's loop is not kept", actor.loops[i].name));
    for (const IndexRange& range : port.guard)
      if (range.loop == window.loop) add(kPort, pointer, "a guard names the window's loop");
  }

  void actor(const Context& context, const Actor& actor) {
    const std::string pointer = at(context, actor);
    const Array& array = context.arrays[actor.array.index()];
    const chip::Chip& chip = *program_.chip;
    const bool compute = actor.kind == ActorKind::compute;
    if (compute ? !actor.unit.valid() || actor.unit.index() >= chip.units.size()
                : !actor.mover.valid() || actor.mover.index() >= chip.movers.size())
      return add(kUnresolved, pointer, compute ? "the actor's unit does not exist" : "the actor's mover does not exist");
    if ((compute ? chip.units[actor.unit.index()].in : chip.movers[actor.mover.index()].in) != array.component)
      add("program/engine", pointer,
          fmt::format("'{}' is in no {}", compute ? chip.units[actor.unit.index()].name : chip.movers[actor.mover.index()].name,
                      chip.components[array.component.index()].name));
    if (actor.loops.size() > kMaxLoops) return add(kSize, pointer, fmt::format("an actor has at most {} loops", kMaxLoops));
    Names names(findings_, pointer, "loop or coordinate");
    for (const std::string& name : coordinate_names(array)) names.add(name);
    std::int64_t firings = 1;
    for (const Loop& loop : actor.loops) {
      names.add(loop.name);
      if (loop.trip < 1 || loop.trip > kMostFirings || __builtin_mul_overflow(firings, loop.trip, &firings) || firings > kMostFirings)
        return add(kSize, pointer, "trip counts are positive, and their product is below 2^48");
    }
    const std::size_t before = findings_.diagnostics().size();
    Names slots(findings_, pointer, "port or state");
    for (const Port& port : actor.ports) {
      slots.add(port.name);
      this->port(context, actor, port);
    }
    for (const State& state : actor.states) slots.add(state.name);
    if (findings_.diagnostics().size() != before) return;
    if (compute) {
      for (const Port& port : actor.ports)
        if (port.picks >= 0) add(kPort, at(context, actor, port), "only movers pick");
      if (actor.source || actor.destination || actor.route) add(kBody, pointer, "a compute actor has no boxes and no route");
      body(context, actor);
    } else {
      if (!actor.dims.empty() || !actor.states.empty() || !actor.statements.empty())
        add(kBody, pointer, "a mover has no dims, states or statements");
      move(context, actor);
    }
  }

  void body(const Context& context, const Actor& actor) {
    const std::string pointer = at(context, actor);
    const std::vector<std::int64_t> extents = variable_extents(context, actor);
    Names names(findings_, pointer, "dim");
    std::vector<std::int64_t> tiles;
    for (const Dim& dim : actor.dims) {
      names.add(dim.name);
      if (dim.tile < 1 || dim.total < 1 || dim.tile > kMostBytes || dim.total > kMostBytes)
        return add(kShape, pointer, fmt::format("the dim '{}' has no indices", dim.name));
      affine(pointer, dim.offset, extents, "the offset of a dim");
      tiles.push_back(dim.tile);
    }
    for (const State& state : actor.states) {
      if (!token(pointer + "/" + state.name, state.token, false)) continue;
      if (state.kept.size() != actor.loops.size()) add(kPort, pointer + "/" + state.name, "kept says yes or no for each loop");
      if (!state.memory.valid() || state.memory.index() >= program_.chip->memories.size())
        add(kUnresolved, pointer + "/" + state.name, "the state lies in no memory of the chip");
    }
    for (std::size_t s = 0; s < actor.statements.size(); ++s)
      statement(fmt::format("{}/statement {}", pointer, s), actor, actor.statements[s], tiles);
  }

  void statement(const std::string& pointer, const Actor& actor, const Statement& statement, const std::vector<std::int64_t>& tiles) {
    if (!guard(pointer, statement.guard, actor, nullptr)) return;
    std::set<int> dims;
    for (const int dim : statement.dims)
      if (dim < 0 || static_cast<std::size_t>(dim) >= actor.dims.size() || !dims.insert(dim).second)
        return add(kBody, pointer, "the dims of a statement exist and are listed once");
    if (statement.kinds.size() != statement.dims.size()) return add(kBody, pointer, "each dim of a statement has a kind");
    const auto access = [&](const numerics::Access& a, const char* what) {
      const std::size_t ports = actor.ports.size();
      if (a.slot < 0 || static_cast<std::size_t>(a.slot) >= ports + actor.states.size())
        return add(kUnresolved, pointer, fmt::format("{} names no port or state", what)), false;
      const auto slot = static_cast<std::size_t>(a.slot);
      const Token& token = slot < ports ? actor.ports[slot].token : actor.states[slot - ports].token;
      const std::size_t rank = token.shape.size() + (slot < ports && actor.ports[slot].window ? 1 : 0);
      if (a.index.size() != rank)
        return add(kShape, pointer, fmt::format("{} has {} indices instead of {}", what, a.index.size(), rank)), false;
      for (const numerics::Affine& f : a.index) {
        if (!affine(pointer, f, tiles, what)) return false;
        for (const auto& term : f.terms)
          if (!dims.contains(term.variable))
            return add(kBody, pointer, fmt::format("{} uses a dim the statement does not run over", what)), false;
      }
      return true;
    };
    for (const numerics::Access& read : statement.reads)
      if (!access(read, "a read")) return;
    if (!access(statement.write, "the write")) return;
    const auto slot = static_cast<std::size_t>(statement.write.slot);
    if (slot < actor.ports.size() && actor.ports[slot].input) add(kBody, pointer, "an input port cannot be written");
    const auto& nodes = statement.expression.nodes;
    if (nodes.empty()) return add(kBody, pointer, "the statement has no expression");
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].op == numerics::ScalarOp::constant) continue;
      if (nodes[i].op == numerics::ScalarOp::input) {
        if (nodes[i].a < 0 || static_cast<std::size_t>(nodes[i].a) >= statement.reads.size())
          return add(kBody, pointer, "the expression uses an operand that is not read");
        continue;
      }
      const int operands[] = {nodes[i].a, nodes[i].b, nodes[i].c};
      for (int k = 0; k < numerics::scalar_op_info(nodes[i].op).arity; ++k)
        if (operands[k] < 0 || static_cast<std::size_t>(operands[k]) >= i) return add(kBody, pointer, "the expression is not in order");
    }
  }

  void move(const Context& context, const Actor& actor) {
    const std::string pointer = at(context, actor);
    int inputs = actor.source ? 1 : 0, outputs = actor.destination ? 1 : 0, ports = 0;
    for (const Port& port : actor.ports) {
      if (!moves_data(port)) continue;
      ++(port.input ? inputs : outputs);
      ++ports;
    }
    const bool boxes = actor.source && actor.destination;
    if (inputs != 1 || outputs != 1 || (ports == 0 && !boxes))
      return add(kBody, pointer, "a mover has one data input and one data output, at least one of them a port");
    const Port* in = data_port(actor, true);
    const Port* out = data_port(actor, false);
    if (in != nullptr && out != nullptr && in->token.shape != out->token.shape)
      add(kShape, pointer, "the tokens a mover takes and gives have different shapes");
    const std::vector<std::int64_t> extents = variable_extents(context, actor);
    for (const auto* box : {&actor.source, &actor.destination}) {
      if (!*box) continue;
      const BufferAccess& access = **box;
      if (!access.buffer.valid() || access.buffer.index() >= program_.buffers.size())
        return add(kUnresolved, pointer, "the mover's buffer does not exist");
      const Buffer& buffer = program_.buffers[access.buffer.index()];
      const std::size_t rank = buffer.shape.size();
      if (boxes != !access.extent.empty() && (!boxes || rank > 0))
        return add(kBody, pointer, "a mover states the extent of its boxes where it has two and no port with data, and only there");
      if (access.start.size() != rank || access.region.size() != rank || move_extent(actor, access).size() != rank) {
        add(kShape, pointer, fmt::format("box, region and token must have the {} dimensions of '{}'", rank, buffer.name));
        continue;
      }
      for (std::size_t d = 0; d < rank; ++d) {
        affine(pointer, access.start[d], extents, "the start of a box");
        if (access.region[d][0] < 0 || access.region[d][1] < access.region[d][0] || access.region[d][1] > buffer.shape[d])
          add(kShape, pointer, fmt::format("the region leaves '{}' in dimension {}", buffer.name, d));
      }
    }
    check_picks(pointer, actor);
    if (actor.route && (!actor.route->network.valid() || actor.route->network.index() >= program_.chip->networks.size()))
      add(kUnresolved, pointer, "the route's network does not exist");
    check_spread_boxes(program_, context, actor, findings_);
  }

  void check_picks(const std::string& pointer, const Actor& actor) {
    std::set<int> dimensions;
    for (const Port& port : actor.ports) {
      if (port.picks < 0) continue;
      if (!port.input || !actor.source || actor.destination || program_.buffers[actor.source->buffer.index()].spread)
        return add(kPort, pointer, "indices are picked for a mover that loads from an off-chip memory");
      const auto d = static_cast<std::size_t>(port.picks);
      const Port* out = data_port(actor, false);
      if (d >= actor.source->start.size() || out == nullptr || out->token.shape.size() <= d || !dimensions.insert(port.picks).second)
        return add(kPort, pointer, fmt::format("'{}' picks in dimension {}, which the box lacks or another port picks in", port.name, d));
      const auto& region = actor.source->region[d];
      if (actor.source->start[d] != numerics::Affine{} || out->token.shape[d] != 1 || region[0] != 0 ||
          region[1] != program_.buffers[actor.source->buffer.index()].shape[d])
        return add(kPort, pointer,
                   fmt::format("in dimension {}, where an index is picked, the box starts at 0, is 1 long and unclipped", d));
      if (numerics::element_count(port.token.shape) != 1 || numerics::format_info(port.token.format).floating || !port.guard.empty())
        return add(kPort, pointer, fmt::format("'{}' picks with one integer, at each firing", port.name));
    }
  }

  bool endpoint(const Context& context, const std::string& pointer, const Endpoint& end, bool input) {
    if (!end.actor.valid() || end.actor.index() >= context.actors.size() || end.port < 0 ||
        static_cast<std::size_t>(end.port) >= context.actors[end.actor.index()].ports.size())
      return add(kUnresolved, pointer, "an end of the channel does not exist"), false;
    if (context.actors[end.actor.index()].ports[static_cast<std::size_t>(end.port)].input != input)
      return add(kPort, pointer, "a channel leads from an output to inputs"), false;
    if (const Port& port = context.actors[end.actor.index()].ports[static_cast<std::size_t>(end.port)]; port.place)
      return add(kPort, pointer, fmt::format("'{}' has a place: no channel leads there or from there", port.name)), false;
    return true;
  }

  void channel(const Context& context, const Channel& channel) {
    const std::string pointer = at(context, channel);
    if (!endpoint(context, pointer, channel.from, false)) return;
    if (channel.to.empty()) return add(kUnresolved, pointer, "the channel has no consumer");
    const Actor& producer = context.actors[channel.from.actor.index()];
    const Port& output = producer.ports[static_cast<std::size_t>(channel.from.port)];
    if (!guard(pointer, channel.from_guard, producer, &output.kept)) return;
    std::set<std::pair<std::uint32_t, int>> ends;
    for (const Channel::Consumer& to : channel.to) {
      if (!endpoint(context, pointer, to.end, true)) return;
      const Actor& consumer = context.actors[to.end.actor.index()];
      const Port& input = consumer.ports[static_cast<std::size_t>(to.end.port)];
      if (!ends.insert({to.end.actor.value, to.end.port}).second) add(kPort, pointer, "the channel feeds one port twice");
      if (consumer.array != context.actors[channel.to.front().end.actor.index()].array)
        return add(kPort, pointer, "the consumers of a channel are of one array");
      if (to.domain.loop < 0) continue;
      if (static_cast<std::size_t>(to.domain.loop) >= consumer.loops.size())
        return add(kUnresolved, pointer, "a domain names a loop that does not exist");
      if (input.kept[static_cast<std::size_t>(to.domain.loop)])
        return add(
            kPort, pointer,
            fmt::format("a domain names the loop '{}', which is kept", consumer.loops[static_cast<std::size_t>(to.domain.loop)].name));
    }
    const ArrayId consumer_array = context.actors[channel.to.front().end.actor.index()].array;
    const Array& consumers = context.arrays[consumer_array.index()];
    const Array& producers = context.arrays[producer.array.index()];
    if (channel.relation.coordinates.size() != producers.shape.size())
      return add("program/relation", pointer,
                 fmt::format("the relation must give the {} coordinates of '{}'", producers.shape.size(), producers.name));
    bool itself = producer.array == consumer_array;
    for (std::size_t d = 0; d < producers.shape.size(); ++d) {
      const Relation::Coordinate& coordinate = channel.relation.coordinates[d];
      if (!affine(pointer, coordinate.source, consumers.shape, "the relation")) return;
      if (coordinate.modulus < 0) return add("program/relation", pointer, "a modulus is not negative");
      itself = itself && coordinate.modulus == 0 && coordinate.source == numerics::affine_variable(static_cast<int>(d));
    }
    if (!itself && (producers.dynamic || consumers.dynamic))
      add("program/grid", pointer, "channels of a grid join each instance with itself",
          "instances of a grid need not be resident together");
    if (channel.depth < 1 || channel.depth > kMostBytes) add(kSize, pointer, "a channel has at least one slot");
    if (channel.initial < 0 || channel.initial > channel.depth) add(kSize, pointer, "initial tokens fit into the channel");
    if (!channel.memory.valid() || channel.memory.index() >= program_.chip->memories.size())
      add(kUnresolved, pointer, "the channel lies in no memory of the chip");
  }

  std::map<std::size_t, std::size_t> owners_;  ///< of buffers of stages: the first stage
  const Program& program_;
  Findings& findings_;
  bool sound_buffers_ = true;  ///< those that are spread
};

}  // namespace

void verify_structure(const Program& program, Findings& findings) { StructureLaw(program, findings).check(); }

}  // namespace switchyard::program
