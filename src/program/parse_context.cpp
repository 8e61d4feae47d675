#include "program/parse_context.h"

#include <fmt/format.h>

#include <algorithm>

#include "program/instance.h"
#include "program/statement.h"

namespace switchyard::program {

namespace {

template <class Items>
std::vector<std::string> names_of(const Items& items) {
  std::vector<std::string> names;
  for (const auto& item : items) names.push_back(item.name);
  return names;
}

class ContextReader {
 public:
  ContextReader(Reader& reader, const Program& program) : reader_(reader), program_(program), chip_(*program.chip) {}

  Context read() {
    const Lexeme at = reader_.peek();
    if (const auto name = reader_.name("the name of a context")) {
      context_.name = *name;
      fresh(at, names_of(program_.contexts), "context", *name);
    }
    const auto contexts = [this](std::vector<ContextId>& list) {
      do {
        const auto id = reader_.known(names_of(program_.contexts), "context before this one");
        if (!id) break;
        list.emplace_back(*id);
      } while (reader_.accept_sign(","));
    };
    if (reader_.accept_word("after")) contexts(context_.after);
    if (reader_.accept_word("early") && reader_.expect_word("after")) contexts(context_.early_after);
    if (reader_.accept_word("slices"))
      if (const auto slices = reader_.integer("how many slices")) context_.slices = *slices;
    context_.continues = reader_.accept_word("continues");
    if (reader_.accept_word("band")) {
      context_.band = Context::Band{};
      if (const auto past = reader_.integer("positions before the first row")) context_.band->past = *past;
      if (reader_.accept_word("window"))
        if (const auto window = reader_.integer("the columns of a row")) context_.band->window = *window;
    }
    block([this] { return item(); });
    return std::move(context_);
  }

 private:
  /// "{" items "}". An item that fails is passed over, with the block it may have opened.
  template <class Item>
  void block(Item&& item) {
    while (!reader_.at_end() && !reader_.is_sign("{")) {
      if (!reader_.too_many()) reader_.unexpected("'{'");
      const int line = reader_.peek().line;
      while (!reader_.at_end() && reader_.peek().line == line && !reader_.is_sign("{")) reader_.take();
      if (!reader_.is_sign("{")) return;
    }
    if (!reader_.expect_sign("{")) return;
    while (!reader_.accept_sign("}")) {
      if (reader_.at_end()) {
        reader_.unexpected("'}'");
        return;
      }
      if (const std::size_t start = reader_.position(); !item()) reader_.recover(start);
      if (reader_.too_many()) return;
    }
  }

  bool fresh(const Lexeme& at, const std::vector<std::string>& names, std::string_view what, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) return true;
    return reader_.error(at, "program/duplicate-name", fmt::format("there are two of the name '{}': {}s need different names", name, what));
  }

  bool texts(std::vector<std::string>& list) {
    do {
      auto text = reader_.text("a text in quotes");
      if (!text) return false;
      list.push_back(std::move(*text));
    } while (reader_.accept_sign(","));
    return true;
  }

  /// Passes over a declaration that failed without blaming what uses its name.
  template <class Declare>
  bool declare(Declare&& declaration) {
    const std::string name = reader_.peek().text;
    if (declaration()) return true;
    reader_.forgive(name);
    return false;
  }

  bool bounds() {
    const auto bound = reader_.natural("a time in picoseconds");
    if (!bound) return false;
    context_.bound = Picoseconds(*bound);
    if (!reader_.accept_word("work")) return true;
    const auto work = reader_.natural("a time in picoseconds");
    if (!work || !reader_.expect_word("bytes")) return false;
    const auto bytes = reader_.natural("a number of bytes");
    if (!bytes) return false;
    context_.work = Picoseconds(*work);
    context_.compulsory = *bytes;
    return true;
  }

  /// host "StringSplit" with "delimiter" "," from texts to words, counts
  bool host() {
    HostStep step;
    auto kind = reader_.text("the host's operation, in quotes");
    if (!kind) return false;
    step.call.kind = std::move(*kind);
    if (reader_.accept_word("with")) {
      do {
        auto key = reader_.text("a name in quotes");
        auto value = key ? reader_.text("a value in quotes") : std::nullopt;
        if (!value) return false;
        step.call.attributes.emplace_back(std::move(*key), std::move(*value));
      } while (reader_.accept_sign(","));
    }
    for (const auto& [word, list] : {std::pair{"from", &step.reads}, std::pair{"to", &step.writes}}) {
      if (!reader_.expect_word(word)) return false;
      do {
        const auto id = reader_.known(names_of(program_.buffers), "buffer");
        if (!id) return false;
        list->emplace_back(*id);
      } while (reader_.accept_sign(","));
    }
    context_.host = std::move(step);
    return true;
  }

  bool item() {
    if (reader_.accept_word("ops")) return texts(context_.ops);
    if (reader_.accept_word("bound")) return bounds();
    if (reader_.accept_word("exchange")) {
      const auto time = reader_.natural("a time in picoseconds");
      if (time) context_.exchange = Picoseconds(*time);
      return time.has_value();
    }
    if (reader_.accept_word("array")) return declare([this] { return array(false); });
    if (reader_.accept_word("grid")) return declare([this] { return array(true); });
    if (reader_.accept_word("compute")) return declare([this] { return actor(ActorKind::compute); });
    if (reader_.accept_word("move")) return declare([this] { return actor(ActorKind::move); });
    if (reader_.accept_word("channel")) return channel();
    if (reader_.accept_word("circuit")) return circuit(false);
    if (reader_.accept_word("packets")) return circuit(true);
    if (reader_.accept_word("host")) return host();
    return reader_.unexpected(
        "'ops', 'exchange', 'bound', 'array', 'grid', 'compute', 'move', 'channel', 'circuit', 'packets', 'host' or '}'");
  }

  // --------------------------------------------------------------------------------------------------------------- arrays

  bool array(bool dynamic) {
    Array array;
    array.dynamic = dynamic;
    const Lexeme at = reader_.peek();
    const auto name = reader_.name("the name of an array");
    if (!name || !fresh(at, names_of(context_.arrays), "array", *name) || !reader_.expect_sign("[")) return false;
    array.name = *name;
    if (!reader_.is_sign("]")) {
      do {
        if (reader_.is_sign(":", 1)) {
          const Lexeme coordinate_at = reader_.peek();
          const auto coordinate = reader_.name("the name of a coordinate");
          if (!coordinate || !fresh(coordinate_at, array.coordinate_names, "coordinate", *coordinate)) return false;
          array.coordinate_names.push_back(*coordinate);
          reader_.take();
        }
        const auto extent = reader_.natural("an extent");
        if (!extent) return false;
        array.shape.push_back(*extent);
      } while (reader_.accept_sign(","));
    }
    if (!reader_.expect_sign("]")) return false;
    if (!array.coordinate_names.empty() && array.coordinate_names.size() != array.shape.size())
      return reader_.error(at, "program/syntax", "either all coordinates of an array have names or none has");
    if (!reader_.expect_word("of")) return false;
    const auto component = reader_.known(names_of(chip_.components), "component");
    if (!component) return false;
    array.component = chip::ComponentId(*component);
    if (!dynamic) {
      if (!reader_.expect_sign("=")) return false;
      const auto components = reader_.components();
      if (!components) return false;
      array.components = *components;
    }
    context_.arrays.push_back(std::move(array));
    return true;
  }

  // --------------------------------------------------------------------------------------------------------------- actors

  bool actor(ActorKind kind) {
    Actor actor;
    actor.kind = kind;
    const Lexeme at = reader_.peek();
    const auto name = reader_.name("the name of an actor");
    if (!name || !fresh(at, names_of(context_.actors), "actor", *name) || !reader_.expect_word("on")) return false;
    actor.name = *name;
    const auto array = reader_.known(names_of(context_.arrays), "array");
    if (!array || !reader_.expect_sign(".")) return false;
    actor.array = ArrayId(*array);
    if (kind == ActorKind::compute) {
      const auto unit = reader_.known(names_of(chip_.units), "unit");
      if (!unit) return false;
      actor.unit = chip::UnitId(*unit);
    } else {
      const auto mover = reader_.known(names_of(chip_.movers), "mover");
      if (!mover) return false;
      actor.mover = chip::MoverId(*mover);
    }
    actor.early = reader_.accept_word("early");
    loops_.clear();
    dims_.clear();
    slots_.clear();
    variables_ = coordinate_names(context_.arrays[*array]);
    coordinates_ = variables_.size();
    block([&] { return part(actor); });
    for (Port& port : actor.ports) port.kept.resize(actor.loops.size(), false);
    for (State& state : actor.states) state.kept.resize(actor.loops.size(), false);
    context_.actors.push_back(std::move(actor));
    return true;
  }

  bool part(Actor& actor) {
    if (reader_.accept_word("ops")) return texts(actor.ops);
    if (reader_.accept_word("loops")) {
      if (loops(actor)) return true;
      reader_.forgive_line();
      return false;
    }
    if (reader_.accept_word("in")) return declare([&] { return port(actor, true); });
    if (reader_.accept_word("out")) return declare([&] { return port(actor, false); });
    if (actor.kind == ActorKind::move) {
      if (reader_.accept_word("from")) return box(actor.source, "a mover has one box of each direction");
      if (reader_.accept_word("to")) return box(actor.destination, "a mover has one box of each direction");
      if (reader_.accept_word("route")) return route(actor);
      return reader_.unexpected("'ops', 'loops', 'in', 'out', 'from', 'to', 'route' or '}'");
    }
    if (reader_.accept_word("dim")) return declare([&] { return dim(actor); });
    if (reader_.accept_word("state")) return declare([&] { return state(actor); });
    const bool access = reader_.peek().kind == Lexeme::Kind::word || reader_.peek().kind == Lexeme::Kind::text;
    if (!reader_.is_word("for") && !reader_.is_word("read") && !(access && reader_.is_sign("[", 1)))
      return reader_.unexpected("'ops', 'loops', 'in', 'out', 'dim', 'state', a statement or '}'");
    auto statement = parse_statement(reader_, slots_, dims_, loops_);
    if (statement) actor.statements.push_back(std::move(*statement));
    return statement.has_value();
  }

  bool loops(Actor& actor) {
    if (!actor.ports.empty() || !actor.states.empty())
      return reader_.error(reader_.peek(), "program/syntax", "loops stand before ports and states");
    do {
      Loop loop;
      const Lexeme at = reader_.peek();
      const auto name = reader_.name("the name of a loop");
      if (!name || !fresh(at, variables_, "loops and coordinate", *name)) return false;
      loop.name = *name;
      if (!reader_.expect_sign(":")) return false;
      const auto trip = reader_.natural("a trip count");
      if (!trip) return false;
      loop.trip = *trip;
      if (reader_.accept_word("reduction"))
        loop.kind = numerics::LoopKind::reduction;
      else if (reader_.accept_word("sequential"))
        loop.kind = numerics::LoopKind::sequential;
      if (actor.loops.size() >= kMaxLoops)
        return reader_.error(at, "program/too-large", fmt::format("an actor has at most {} loops", kMaxLoops));
      loops_.push_back(loop.name);
      variables_.push_back(loop.name);
      actor.loops.push_back(std::move(loop));
    } while (reader_.accept_sign(","));
    return true;
  }

  bool slot_name(const Lexeme& at, const std::string& name) { return fresh(at, slots_, "ports and state", name); }

  bool port(Actor& actor, bool input) {
    if (!actor.states.empty()) return reader_.error(reader_.peek(), "program/syntax", "ports stand before states");
    Port port;
    port.input = input;
    const Lexeme at = reader_.peek();
    const auto name = reader_.name("the name of a port");
    if (!name || !slot_name(at, *name)) return false;
    port.name = *name;
    const auto token = reader_.token();
    if (!token) return false;
    port.token = *token;
    port.kept.assign(loops_.size(), false);
    if (reader_.accept_word("kept") && !reader_.kept(loops_, port.kept)) return false;
    if (reader_.accept_word("on") && !reader_.guard(loops_, port.guard)) return false;
    if (reader_.accept_word("window")) {
      const auto window = this->window();
      if (!window) return false;
      port.window = *window;
    }
    if (reader_.accept_word("picks")) {
      const Lexeme where = reader_.peek();
      const auto dimension = reader_.natural("a dimension of the source");
      if (!dimension) return false;
      if (!input || actor.kind != ActorKind::move) return reader_.error(where, "program/port", "only inputs of movers pick");
      port.picks = static_cast<int>(std::min<std::int64_t>(*dimension, 1 << 20));
    }
    if (reader_.accept_word("place") && !box(port.place, "a port has one place")) return false;
    slots_.push_back(port.name);
    actor.ports.push_back(std::move(port));
    return true;
  }

  std::optional<Window> window() {
    Window window;
    const auto loop = reader_.known(loops_, "loop");
    if (!loop || !reader_.expect_word("peek")) return std::nullopt;
    window.loop = static_cast<int>(*loop);
    const auto peek = reader_.natural("a number of positions");
    if (!peek || !reader_.expect_word("pop")) return std::nullopt;
    const auto pop = reader_.natural("a number of positions");
    if (!pop) return std::nullopt;
    window.peek = *peek;
    window.pop = *pop;
    for (const auto& [word, field] : {std::pair{"before", &window.pad_before}, std::pair{"after", &window.pad_after}}) {
      if (!reader_.accept_word(word)) continue;
      const auto count = reader_.natural("a number of positions");
      if (!count) return std::nullopt;
      *field = *count;
    }
    window.pad_always = reader_.accept_word("always");
    if (reader_.accept_word("value")) {
      const auto value = reader_.number("a number");
      if (!value) return std::nullopt;
      window.pad_value = *value;
    }
    return window;
  }

  bool box(std::optional<BufferAccess>& result, const char* one) {
    BufferAccess access;
    const Lexeme at = reader_.peek();
    const auto buffer = reader_.known(names_of(program_.buffers), "buffer");
    if (!buffer || !reader_.expect_sign("[")) return false;
    access.buffer = BufferId(*buffer);
    if (!reader_.is_sign("]")) {
      do {
        const auto start = reader_.affine(variables_, "the start of a box");
        if (!start) return false;
        access.start.push_back(*start);
      } while (reader_.accept_sign(","));
    }
    if (!reader_.expect_sign("]")) return false;
    if (reader_.accept_word("extent")) {
      const auto extent = reader_.shape();
      if (!extent) return false;
      access.extent = *extent;
    }
    if (reader_.accept_word("region")) {
      do {
        const auto begin = reader_.natural("an index");
        if (!begin || !reader_.expect_sign(":")) return false;
        const auto end = reader_.natural("an index");
        if (!end) return false;
        access.region.push_back({*begin, *end});
      } while (reader_.accept_sign(","));
    } else {
      for (const std::int64_t extent : program_.buffers[*buffer].shape) access.region.push_back({0, extent});
    }
    if (reader_.accept_word("fill")) {
      const auto fill = reader_.number("a number");
      if (!fill) return false;
      access.fill = *fill;
    }
    if (reader_.accept_word("message")) {
      const auto loop = reader_.known(loops_, "loop");
      if (!loop) return false;
      access.message = static_cast<int>(*loop);
    }
    if (result) return reader_.error(at, "program/syntax", one);
    result = std::move(access);
    return true;
  }

  bool route(Actor& actor) {
    Route route;
    const auto network = reader_.known(names_of(chip_.networks), "network");
    if (!network) return false;
    route.network = chip::NetworkId(*network);
    if (reader_.accept_word("paths") && !paths(route.paths)) return false;
    actor.route = std::move(route);
    return true;
  }

  /// (0, 4, 5), (0, 4, 8)
  bool paths(std::vector<std::vector<std::uint32_t>>& list) {
    do {
      std::vector<std::uint32_t> path;
      if (!reader_.expect_sign("(")) return false;
      if (!reader_.is_sign(")")) {
        do {
          const Lexeme at = reader_.peek();
          const auto component = reader_.natural("the number of a component");
          if (!component) return false;
          if (*component >= std::int64_t{1} << 32) return reader_.error(at, "program/too-large", "this is no component number");
          path.push_back(static_cast<std::uint32_t>(*component));
        } while (reader_.accept_sign(","));
      }
      if (!reader_.expect_sign(")")) return false;
      list.push_back(std::move(path));
    } while (reader_.accept_sign(","));
    return true;
  }

  /// circuit noc paths (0, 4, 5), (0, 4, 8)
  bool circuit(bool packets) {
    Circuit circuit;
    const auto network = reader_.known(names_of(chip_.networks), "network");
    if (!network || !reader_.expect_word("paths") || !paths(circuit.paths)) return false;
    circuit.network = chip::NetworkId(*network);
    circuit.packets = packets;
    context_.circuits.push_back(std::move(circuit));
    return true;
  }

  bool dim(Actor& actor) {
    Dim dim;
    const Lexeme at = reader_.peek();
    const auto name = reader_.name("the name of a dim");
    if (!name || !fresh(at, dims_, "dim", *name) || !reader_.expect_sign("=")) return false;
    dim.name = *name;
    const auto tile = reader_.natural("a number of indices");
    if (!tile) return false;
    dim.tile = *tile;
    dim.total = *tile;
    if (reader_.accept_word("of")) {
      const auto total = reader_.natural("a number of indices");
      if (!total) return false;
      dim.total = *total;
    }
    if (reader_.accept_word("at")) {
      const auto offset = reader_.affine(variables_, "an offset");
      if (!offset) return false;
      dim.offset = *offset;
    }
    dims_.push_back(dim.name);
    actor.dims.push_back(std::move(dim));
    return true;
  }

  bool storage(chip::MemoryId& memory, std::int64_t& offset, std::int64_t& bytes, const Lexeme& at, std::optional<std::int64_t> usual) {
    if (!reader_.expect_word("in")) return false;
    const auto id = reader_.known(names_of(chip_.memories), "memory");
    if (!id || !reader_.expect_word("at")) return false;
    memory = chip::MemoryId(*id);
    const auto where = reader_.natural("an offset in bytes");
    if (!where) return false;
    offset = *where;
    if (reader_.accept_word("bytes")) {
      const auto count = reader_.natural("a number of bytes");
      if (!count) return false;
      bytes = *count;
    } else if (usual) {
      bytes = *usual;
    } else {
      return reader_.error(at, "program/overflow", "the size of this does not fit into 64 bits");
    }
    return true;
  }

  bool state(Actor& actor) {
    State state;
    const Lexeme at = reader_.peek();
    const auto name = reader_.name("the name of a state");
    if (!name || !slot_name(at, *name)) return false;
    state.name = *name;
    const auto token = reader_.token();
    if (!token) return false;
    state.token = *token;
    state.kept.assign(loops_.size(), false);
    if (reader_.accept_word("kept") && !reader_.kept(loops_, state.kept)) return false;
    if (reader_.accept_word("initial")) {
      const auto initial = reader_.number("a number");
      if (!initial) return false;
      state.initial = *initial;
    }
    if (!storage(state.memory, state.offset, state.bytes, at, storage_bytes(state.token))) return false;
    slots_.push_back(state.name);
    actor.states.push_back(std::move(state));
    return true;
  }

  // ------------------------------------------------------------------------------------------------------------- channels

  std::optional<Endpoint> endpoint() {
    const auto actor = reader_.known(names_of(context_.actors), "actor");
    if (!actor || !reader_.expect_sign(".")) return std::nullopt;
    const auto port = reader_.known(names_of(context_.actors[*actor].ports), "port");
    if (!port) return std::nullopt;
    return Endpoint{ActorId(*actor), static_cast<int>(*port)};
  }

  bool channel() {
    Channel channel;
    const Lexeme at = reader_.peek();
    const auto name = reader_.name("the name of a channel");
    if (!name || !fresh(at, names_of(context_.channels), "channel", *name) || !reader_.expect_sign(":")) return false;
    channel.name = *name;
    const auto from = endpoint();
    if (!from) return false;
    channel.from = *from;
    const Actor& producer = context_.actors[from->actor.index()];
    if (reader_.accept_word("on") && !reader_.guard(names_of(producer.loops), channel.from_guard)) return false;
    if (!reader_.expect_sign("->")) return false;
    do {
      const auto to = endpoint();
      if (!to) return false;
      Channel::Consumer consumer{*to, {}};
      if (reader_.accept_word("on")) {
        const auto domain = reader_.range(names_of(context_.actors[to->actor.index()].loops));
        if (!domain) return false;
        consumer.domain = *domain;
      }
      channel.to.push_back(consumer);
    } while (reader_.accept_sign(","));
    const Array& consumers = context_.arrays[context_.actors[channel.to.front().end.actor.index()].array.index()];
    const Array& producers = context_.arrays[producer.array.index()];
    if (reader_.accept_word("source")) {
      if (!reader_.expect_sign("[")) return false;
      if (!reader_.is_sign("]")) {
        do {
          Relation::Coordinate coordinate;
          const auto source = reader_.affine(coordinate_names(consumers), "a coordinate");
          if (!source) return false;
          coordinate.source = *source;
          if (reader_.accept_word("mod")) {
            const auto modulus = reader_.natural("a modulus");
            if (!modulus) return false;
            coordinate.modulus = *modulus;
          }
          channel.relation.coordinates.push_back(std::move(coordinate));
        } while (reader_.accept_sign(","));
      }
      if (!reader_.expect_sign("]")) return false;
    } else if (consumers.shape.size() == producers.shape.size()) {
      for (std::size_t d = 0; d < consumers.shape.size(); ++d)
        channel.relation.coordinates.push_back({numerics::affine_variable(static_cast<int>(d)), 0});
    } else {
      return reader_.error(at, "program/relation", "arrays of different rank need 'source [...]': the producer's coordinates");
    }
    if (!reader_.expect_word("depth")) return false;
    const auto depth = reader_.natural("a number of slots");
    if (!depth) return false;
    channel.depth = *depth;
    std::optional<std::int64_t> usual = storage_bytes(producer.ports[static_cast<std::size_t>(from->port)].token);
    if (std::int64_t product = 0; usual && !__builtin_mul_overflow(*usual, channel.depth, &product))
      usual = product;
    else
      usual.reset();
    if (!storage(channel.memory, channel.offset, channel.bytes, at, usual)) return false;
    if (reader_.accept_word("initial")) {
      const auto count = reader_.natural("a number of tokens");
      if (!count) return false;
      channel.initial = *count;
    }
    if (reader_.accept_word("value")) {
      const auto value = reader_.number("a number");
      if (!value) return false;
      channel.initial_value = *value;
    }
    channel.operator_order = reader_.accept_word("ordered");
    context_.channels.push_back(std::move(channel));
    return true;
  }

  Reader& reader_;
  const Program& program_;
  const chip::Chip& chip_;
  Context context_;
  // Of the actor being read.
  std::vector<std::string> loops_, dims_, slots_, variables_;
  std::size_t coordinates_ = 0;
};

}  // namespace

Context parse_context(Reader& reader, const Program& program) { return ContextReader(reader, program).read(); }

}  // namespace switchyard::program
