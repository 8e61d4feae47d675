// Program -> text: what can be left out is left out, so that a compiled program reads like a hand-written one.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "numerics/packing.h"
#include "program/instance.h"
#include "program/parse_text.h"
#include "program/text.h"
#include "program/words.h"

namespace switchyard::program {

namespace {

using Out = fmt::memory_buffer;
using Names = std::vector<std::string>;

template <class... Args>
void put(Out& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

template <class Range, class Item>
void put_list(Out& out, const Range& range, Item&& item, std::string_view separator = ", ") {
  bool first = true;
  for (const auto& element : range) {
    if (!first) put(out, "{}", separator);
    first = false;
    item(element);
  }
}

std::string list_of(const std::vector<std::int64_t>& numbers) { return fmt::format("{}", fmt::join(numbers, ", ")); }

bool row_major(const std::vector<int>& order, std::size_t rank) {
  if (order.size() != rank) return false;
  for (std::size_t i = 0; i < rank; ++i)
    if (order[i] != static_cast<int>(i)) return false;
  return true;
}

Names quoted(const Names& names) {
  Names result;
  for (const std::string& name : names) result.push_back(quote_name(name));
  return result;
}

/// Bytes of elements, or -1 where the number does not exist: then it is never left out.
std::int64_t checked_bytes(numerics::Format format, const std::vector<std::int64_t>& shape) {
  std::int64_t total = 1;
  for (const std::int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(total, extent, &total)) return -1;
  return total > std::numeric_limits<std::int64_t>::max() / numerics::format_bytes(format) ? -1 : numerics::stored_bytes(format, total);
}

std::int64_t checked_bytes(const Token& token) {
  std::vector<std::int64_t> shape = token.shape;
  if (!token.order.empty() && token.pad > 1) {
    const auto last = static_cast<std::size_t>(token.order.back());
    if (last >= shape.size() || shape[last] > (std::int64_t{1} << 60)) return -1;
    shape[last] = (shape[last] + token.pad - 1) / token.pad * token.pad;
  }
  return checked_bytes(token.format, shape);
}

void put_token(Out& out, const Token& token) {
  put(out, "{}[{}]", numerics::format_name(token.format), list_of(token.shape));
  if (!row_major(token.order, token.shape.size())) put(out, " order {}", fmt::join(token.order, ", "));
  if (token.pad != 1) put(out, " pad {}", token.pad);
}

void put_range(Out& out, const IndexRange& range, const Names& loops) {
  put(out, "{}[", range.loop >= 0 ? loops.at(static_cast<std::size_t>(range.loop)) : "\"\"");
  if (range.begin != 0) put(out, "{}", range.begin);
  put(out, ":");
  if (range.end != IndexRange::kToEnd) put(out, "{}", range.end);
  put(out, "]");
}

void put_guard(Out& out, const Guard& guard, const Names& loops) {
  bool first = true;
  for (const IndexRange& range : guard) {
    if (range.loop < 0) continue;
    put(out, "{}", first ? " on " : ", ");
    first = false;
    put_range(out, range, loops);
  }
}

void put_kept(Out& out, const std::vector<bool>& kept, const Names& loops) {
  bool first = true;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    put(out, "{}{}", first ? " kept " : ", ", loops.at(i));
    first = false;
  }
}

// ------------------------------------------------------------------------------------------------------------- statements

/// Writes the expression of one statement: shared nodes become `let` bindings, so that reading it back gives the same graph.
class ExpressionWriter {
 public:
  ExpressionWriter(const numerics::Expression& expression, std::function<std::string(int)> input)
      : nodes_(expression.nodes), input_(std::move(input)), uses_(nodes_.size(), 0), depth_(nodes_.size(), 0), text_(nodes_.size()) {
    if (!nodes_.empty()) uses_.back() = 1;
    for (std::size_t i = nodes_.size(); i-- > 0;)
      if (uses_[i] > 0)
        for (const int operand : operands(i)) ++uses_[static_cast<std::size_t>(operand)];
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      for (const int operand : operands(i)) depth_[i] = std::max(depth_[i], depth_[static_cast<std::size_t>(operand)] + 1);
  }

  std::string write() {
    if (nodes_.empty()) return "0";
    // Chains deeper than a reader's recursion limit are cut into bindings as well.
    for (std::size_t i = 0; i + 1 < nodes_.size(); ++i) {
      if (uses_[i] == 0 || operands(i).empty() || (uses_[i] == 1 && depth_[i] % 64 != 63)) continue;
      const std::string body = open(i, 0);
      text_[i] = fmt::format("t{}", bindings_.size());
      bindings_.push_back(fmt::format("{} = {}", text_[i], body));
    }
    const std::string result = node(nodes_.size() - 1, 0);
    if (bindings_.empty()) return result;
    return fmt::format("let {} in {}", fmt::join(bindings_, ", "), result);
  }

 private:
  std::vector<int> operands(std::size_t i) const {
    const auto& n = nodes_[i];
    if (n.op == numerics::ScalarOp::input || n.op == numerics::ScalarOp::constant) return {};
    std::vector<int> result{n.a, n.b, n.c};
    result.resize(static_cast<std::size_t>(numerics::scalar_op_info(n.op).arity));
    return result;
  }

  /// `level`: 0 anything, 1 a term of a sum's right side or a factor's left, 2 an operand that must be closed.
  std::string node(std::size_t i, int level) {
    const auto& n = nodes_[i];
    if (n.op == numerics::ScalarOp::input) return input_(n.a);
    if (n.op == numerics::ScalarOp::constant) return print_number(n.constant);
    if (!text_[i].empty()) return text_[i];
    return open(i, level);
  }

  std::string open(std::size_t i, int level) {
    const auto& n = nodes_[i];
    const auto at = [](int operand) { return static_cast<std::size_t>(operand); };
    switch (n.op) {
      case numerics::ScalarOp::add:
      case numerics::ScalarOp::sub: {
        const std::string left = node(at(n.a), 0);
        std::string text = fmt::format("{} {} {}", left, n.op == numerics::ScalarOp::add ? '+' : '-', node(at(n.b), 1));
        return level > 0 ? "(" + text + ")" : text;
      }
      case numerics::ScalarOp::mul:
      case numerics::ScalarOp::div: {
        const std::string left = node(at(n.a), 1);
        std::string text = fmt::format("{} {} {}", left, n.op == numerics::ScalarOp::mul ? '*' : '/', node(at(n.b), 2));
        return level > 1 ? "(" + text + ")" : text;
      }
      default: {
        std::string arguments;
        for (const int operand : operands(i)) {
          if (!arguments.empty()) arguments += ", ";
          arguments += node(at(operand), 0);
        }
        return fmt::format("{}({})", numerics::scalar_op_info(n.op).name, arguments);
      }
    }
  }

  const std::vector<numerics::Expression::Node>& nodes_;
  std::function<std::string(int)> input_;
  std::vector<int> uses_, depth_;
  std::vector<std::string> text_, bindings_;
};

struct ActorNames {
  Names loops, dims, slots, variables;  ///< quoted; variables: coordinates, then loops
};

std::string access_text(const numerics::Access& access, const ActorNames& names) {
  std::string text = names.slots.at(static_cast<std::size_t>(access.slot)) + "[";
  for (std::size_t d = 0; d < access.index.size(); ++d) {
    if (d > 0) text += ", ";
    text += numerics::print_affine(access.index[d], names.dims);
  }
  if (access.fill) text += (access.index.empty() ? "else " : " else ") + print_number(*access.fill);
  return text + "]";
}

void put_statement(Out& out, const Actor& actor, const Statement& statement, const ActorNames& names) {
  const auto inferred = [&](int dim) {
    const bool written = std::any_of(statement.write.index.begin(), statement.write.index.end(),
                                     [dim](const numerics::Affine& f) { return f.depends_on(dim); });
    return written ? numerics::LoopKind::parallel : numerics::LoopKind::reduction;
  };
  bool plain = statement.dims.size() == actor.dims.size();
  for (std::size_t i = 0; i < statement.dims.size(); ++i)
    plain = plain && statement.dims[i] == static_cast<int>(i) && statement.kinds.at(i) == inferred(statement.dims[i]);
  put(out, "      ");
  if (!plain) {
    put(out, "for");
    for (std::size_t i = 0; i < statement.dims.size(); ++i) {
      put(out, "{}{}", i == 0 ? " " : ", ", names.dims.at(static_cast<std::size_t>(statement.dims[i])));
      if (const numerics::LoopKind kind = statement.kinds.at(i); kind != inferred(statement.dims[i])) {
        static constexpr const char* kKinds[] = {" parallel", " reduction", " sequential"};
        put(out, "{}", kKinds[static_cast<int>(kind)]);
      }
    }
    put(out, ": ");
  }
  // Reads are named in place when a reader would number them the same way.
  std::vector<int> seen;
  std::string expression = ExpressionWriter(statement.expression, [&](int input) {
                             if (std::find(seen.begin(), seen.end(), input) == seen.end()) seen.push_back(input);
                             return access_text(statement.reads.at(static_cast<std::size_t>(input)), names);
                           }).write();
  bool in_place = seen.size() == statement.reads.size();
  for (std::size_t i = 0; i < seen.size() && in_place; ++i) {
    in_place = seen[i] == static_cast<int>(i);
    for (std::size_t j = 0; j < i && in_place; ++j) in_place = !(statement.reads[i] == statement.reads[j]);
  }
  if (!in_place) {
    put(out, "read ");
    put_list(out, statement.reads, [&](const numerics::Access& access) { put(out, "{}", access_text(access, names)); });
    put(out, ": ");
    expression = ExpressionWriter(statement.expression, [](int input) { return fmt::format("x{}", input); }).write();
  }
  static constexpr const char* kAssign[] = {"=", "+=", "*=", "max=", "min="};
  put(out, "{} {} {}", access_text(statement.write, names), kAssign[static_cast<int>(statement.combiner)], expression);
  put_guard(out, statement.guard, names.loops);
  put(out, "\n");
}

// ----------------------------------------------------------------------------------------------------------------- actors

void put_box(Out& out, const Program& program, const BufferAccess& access, const Names& variables, const Names& loops) {
  const Buffer& buffer = program.buffers.at(access.buffer.index());
  put(out, "{}[", quote_name(buffer.name));
  put_list(out, access.start, [&](const numerics::Affine& f) { put(out, "{}", numerics::print_affine(f, variables)); });
  put(out, "]");
  if (!access.extent.empty()) put(out, " extent [{}]", list_of(access.extent));
  bool whole = access.region.size() == buffer.shape.size();
  for (std::size_t d = 0; d < access.region.size() && whole; ++d)
    whole = access.region[d][0] == 0 && access.region[d][1] == buffer.shape[d];
  if (!whole) {
    put(out, " region ");
    put_list(out, access.region, [&](const std::array<std::int64_t, 2>& r) { put(out, "{}:{}", r[0], r[1]); });
  }
  if (access.fill != 0) put(out, " fill {}", print_number(access.fill));
  if (access.message >= 0) put(out, " message {}", loops.at(static_cast<std::size_t>(access.message)));
}

void put_port(Out& out, const Program& program, const Port& port, const ActorNames& names) {
  const Names& loops = names.loops;
  put(out, "      {} {} ", port.input ? "in" : "out", quote_name(port.name));
  put_token(out, port.token);
  put_kept(out, port.kept, loops);
  put_guard(out, port.guard, loops);
  if (port.window) {
    const Window& w = *port.window;
    put(out, " window {} peek {} pop {}", loops.at(static_cast<std::size_t>(w.loop)), w.peek, w.pop);
    if (w.pad_before != 0) put(out, " before {}", w.pad_before);
    if (w.pad_after != 0) put(out, " after {}", w.pad_after);
    if (w.pad_always) put(out, " always");
    if (w.pad_value != 0) put(out, " value {}", print_number(w.pad_value));
  }
  if (port.picks >= 0) put(out, " picks {}", port.picks);
  if (port.place) {
    put(out, " place ");
    put_box(out, program, *port.place, names.variables, loops);
  }
  put(out, "\n");
}

void put_ops(Out& out, const char* indent, const std::vector<std::string>& ops) {
  if (ops.empty()) return;
  put(out, "{}ops ", indent);
  put_list(out, ops, [&](const std::string& op) { put(out, "{}", quote_text(op)); });
  put(out, "\n");
}

void put_storage(Out& out, const chip::Chip& chip, chip::MemoryId memory, std::int64_t offset, std::int64_t bytes, std::int64_t usual) {
  put(out, " in {} at {}", quote_name(chip.memories.at(memory.index()).name), offset);
  if (bytes != usual) put(out, " bytes {}", bytes);
}

void put_paths(Out& out, const std::vector<std::vector<std::uint32_t>>& paths) {
  put_list(out, paths, [&](const std::vector<std::uint32_t>& path) { put(out, "({})", fmt::join(path, ", ")); });
}

void put_actor(Out& out, const Program& program, const Context& context, const Actor& actor) {
  const chip::Chip& chip = *program.chip;
  const Array& array = context.arrays.at(actor.array.index());
  ActorNames names;
  for (const Loop& loop : actor.loops) names.loops.push_back(quote_name(loop.name));
  for (const Dim& dim : actor.dims) names.dims.push_back(quote_name(dim.name));
  for (const Port& port : actor.ports) names.slots.push_back(quote_name(port.name));
  for (const State& state : actor.states) names.slots.push_back(quote_name(state.name));
  names.variables = quoted(coordinate_names(array));
  names.variables.insert(names.variables.end(), names.loops.begin(), names.loops.end());

  const bool compute = actor.kind == ActorKind::compute;
  const std::string& engine = compute ? chip.units.at(actor.unit.index()).name : chip.movers.at(actor.mover.index()).name;
  put(out, "    {} {} on {}.{}{} {{\n", compute ? "compute" : "move", quote_name(actor.name), quote_name(array.name), quote_name(engine),
      actor.early ? " early" : "");
  put_ops(out, "      ", actor.ops);
  if (!actor.loops.empty()) {
    put(out, "      loops ");
    put_list(out, actor.loops, [&](const Loop& loop) {
      static constexpr const char* kKinds[] = {"", " reduction", " sequential"};
      put(out, "{}:{}{}", quote_name(loop.name), loop.trip, kKinds[static_cast<int>(loop.kind)]);
    });
    put(out, "\n");
  }
  for (const Port& port : actor.ports) put_port(out, program, port, names);
  for (const auto& [word, box] : {std::pair{"from", &actor.source}, std::pair{"to", &actor.destination}}) {
    if (!*box) continue;
    put(out, "      {} ", word);
    put_box(out, program, **box, names.variables, names.loops);
    put(out, "\n");
  }
  if (actor.route) {
    put(out, "      route {}", quote_name(chip.networks.at(actor.route->network.index()).name));
    if (!actor.route->paths.empty()) {
      put(out, " paths ");
      put_paths(out, actor.route->paths);
    }
    put(out, "\n");
  }
  for (const Dim& dim : actor.dims) {
    put(out, "      dim {} = {}", quote_name(dim.name), dim.tile);
    if (dim.total != dim.tile) put(out, " of {}", dim.total);
    if (!(dim.offset == numerics::Affine{})) put(out, " at {}", numerics::print_affine(dim.offset, names.variables));
    put(out, "\n");
  }
  for (const State& state : actor.states) {
    put(out, "      state {} ", quote_name(state.name));
    put_token(out, state.token);
    put_kept(out, state.kept, names.loops);
    if (state.initial != 0) put(out, " initial {}", print_number(state.initial));
    put_storage(out, chip, state.memory, state.offset, state.bytes, checked_bytes(state.token));
    put(out, "\n");
  }
  for (const Statement& statement : actor.statements) put_statement(out, actor, statement, names);
  put(out, "    }}\n");
}

// --------------------------------------------------------------------------------------------------------------- channels

bool same_coordinates(const Relation& relation, const Array& producer, const Array& consumer) {
  if (producer.shape.size() != consumer.shape.size() || relation.coordinates.size() != producer.shape.size()) return false;
  for (std::size_t d = 0; d < relation.coordinates.size(); ++d)
    if (relation.coordinates[d].modulus != 0 || !(relation.coordinates[d].source == numerics::affine_variable(static_cast<int>(d))))
      return false;
  return true;
}

void put_channel(Out& out, const Program& program, const Context& context, const Channel& channel) {
  const auto loops_of = [](const Actor& actor) {
    Names loops;
    for (const Loop& loop : actor.loops) loops.push_back(quote_name(loop.name));
    return loops;
  };
  const auto end_of = [&](const Endpoint& end) {
    const Actor& actor = context.actors.at(end.actor.index());
    return fmt::format("{}.{}", quote_name(actor.name), quote_name(actor.ports.at(static_cast<std::size_t>(end.port)).name));
  };
  const Actor& from = context.actors.at(channel.from.actor.index());
  put(out, "    channel {}: {}", quote_name(channel.name), end_of(channel.from));
  put_guard(out, channel.from_guard, loops_of(from));
  put(out, " -> ");
  put_list(out, channel.to, [&](const Channel::Consumer& to) {
    put(out, "{}", end_of(to.end));
    if (to.domain.loop >= 0) {
      put(out, " on ");
      put_range(out, to.domain, loops_of(context.actors.at(to.end.actor.index())));
    }
  });
  if (!channel.to.empty()) {
    const Array& producer = context.arrays.at(from.array.index());
    const Array& consumer = context.arrays.at(context.actors.at(channel.to.front().end.actor.index()).array.index());
    if (!same_coordinates(channel.relation, producer, consumer)) {
      const Names names = quoted(coordinate_names(consumer));
      put(out, " source [");
      put_list(out, channel.relation.coordinates, [&](const Relation::Coordinate& coordinate) {
        put(out, "{}", numerics::print_affine(coordinate.source, names));
        if (coordinate.modulus != 0) put(out, " mod {}", coordinate.modulus);
      });
      put(out, "]");
    }
  }
  put(out, " depth {}", channel.depth);
  std::int64_t usual = checked_bytes(from.ports.at(static_cast<std::size_t>(channel.from.port)).token);
  if (usual < 0 || __builtin_mul_overflow(usual, channel.depth, &usual)) usual = -1;
  put_storage(out, *program.chip, channel.memory, channel.offset, channel.bytes, usual);
  if (channel.initial != 0) put(out, " initial {}", channel.initial);
  if (channel.initial_value != 0) put(out, " value {}", print_number(channel.initial_value));
  if (channel.operator_order) put(out, " ordered");
  put(out, "\n");
}

// ---------------------------------------------------------------------------------------------------------------- program

void put_labels(Out& out, const Labels& labels) {
  const Labels usual;
  Out body;
  const auto text = [&](const char* word, const std::string& value) {
    if (!value.empty()) put(body, "  {} {}\n", word, quote_text(value));
  };
  const auto number = [&](const char* word, std::int64_t value, std::int64_t otherwise) {
    if (value != otherwise) put(body, "  {} {}\n", word, value);
  };
  const auto list = [&](const char* word, const std::vector<std::string>& values) {
    if (values.empty()) return;
    put(body, "  {} ", word);
    put_list(body, values, [&](const std::string& value) { put(body, "{}", quote_text(value)); });
    put(body, "\n");
  };
  text("model", labels.model);
  text("model_sha256", labels.model_sha256);
  number("ops", labels.ops, usual.ops);
  number("macs", labels.macs, usual.macs);
  number("parameters", labels.parameters, usual.parameters);
  text("precision", labels.precision);
  number("batch", labels.batch, usual.batch);
  list("input_formats", labels.input_formats);
  list("output_formats", labels.output_formats);
  for (const std::string& note : labels.notes) put(body, "  note {}\n", quote_text(note));
  number("lower_bound", labels.lower_bound.value, 0);
  number("peak_bound", labels.peak_bound.value, 0);
  if (body.size() > 0) put(out, "labels {{\n{}}}\n", fmt::to_string(body));
}

void put_chip(Out& out, const chip::Chip& chip) {
  put(out, "chip {{\n");
  std::string_view rest = chip.text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) put(out, "  {}", rest.substr(0, end));
    put(out, "\n");
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  put(out, "}}\n");
}

void put_components(Out& out, const std::vector<std::uint32_t>& components) {
  for (std::size_t i = 0; i < components.size();) {
    std::size_t last = i;
    while (last + 1 < components.size() && components[last + 1] == components[last] + 1) ++last;
    put(out, "{}{}", i == 0 ? "" : ", ", components[i]);
    if (last > i) put(out, "..{}", components[last]);
    i = last + 1;
  }
}

void put_buffer(Out& out, const chip::Chip& chip, const Buffer& buffer) {
  put(out, "buffer {} ", quote_name(buffer.name));
  if (buffer.role == BufferRole::input) put(out, "input {} ", buffer.index);
  if (buffer.role == BufferRole::output) put(out, "output {} ", buffer.index);
  if (buffer.role == BufferRole::constant) put(out, "constant ");
  put(out, "{}[{}]", numerics::format_name(buffer.format), list_of(buffer.shape));
  if (!row_major(buffer.order, buffer.shape.size())) put(out, " order {}", fmt::join(buffer.order, ", "));
  std::int64_t usual = checked_bytes(buffer.format, buffer.shape);
  if (buffer.spread) usual = checked_bytes(Token{buffer.format, buffer.spread->extent, buffer.order, buffer.spread->pad});
  put_storage(out, chip, buffer.memory, buffer.offset, buffer.bytes, usual);
  if (buffer.spread) {
    const Spread& spread = *buffer.spread;
    Names names;
    for (std::size_t d = 0; d < spread.shape.size(); ++d) names.push_back(fmt::format("c{}", d));
    put(out, " spread [{}] = ", list_of(spread.shape));
    put_components(out, spread.components);
    put(out, " part [{}] at [", list_of(spread.extent));
    put_list(out, spread.start, [&](const numerics::Affine& f) { put(out, "{}", numerics::print_affine(f, names)); });
    put(out, "]");
    if (spread.pad != 1) put(out, " pad {}", spread.pad);
  }
  if (buffer.lifetime == Lifetime::persistent) put(out, " persistent");
  if (buffer.lifetime == Lifetime::kernel) put(out, " kernel");
  if (buffer.constant) put(out, " values");
  put(out, "\n");
}

void put_context(Out& out, const Program& program, const Context& context) {
  put(out, "\ncontext {}", quote_name(context.name));
  if (!context.after.empty()) {
    put(out, " after ");
    put_list(out, context.after, [&](ContextId id) { put(out, "{}", quote_name(program.contexts.at(id.index()).name)); });
  }
  if (!context.early_after.empty()) {
    put(out, " early after ");
    put_list(out, context.early_after, [&](ContextId id) { put(out, "{}", quote_name(program.contexts.at(id.index()).name)); });
  }
  if (context.slices != 1) put(out, " slices {}", context.slices);
  if (context.continues) put(out, " continues");
  if (context.band) {
    put(out, " band {}", context.band->past);
    if (context.band->window != 0) put(out, " window {}", context.band->window);
  }
  put(out, " {{\n");
  put_ops(out, "    ", context.ops);
  if (context.exchange.value != 0) put(out, "    exchange {}\n", context.exchange.value);
  if (context.bound.value != 0) {
    put(out, "    bound {}", context.bound.value);
    if (context.work.value != 0 || context.compulsory != 0) put(out, " work {} bytes {}", context.work.value, context.compulsory);
    put(out, "\n");
  }
  if (context.host) {
    put(out, "    host {}", quote_text(context.host->call.kind));
    put_list(out, context.host->call.attributes, [&, first = true](const auto& a) mutable {
      put(out, "{}{} {}", first ? " with " : "", quote_text(a.first), quote_text(a.second));
      first = false;
    });
    for (const auto& [word, list] : {std::pair{"from", &context.host->reads}, std::pair{"to", &context.host->writes}}) {
      put(out, " {} ", word);
      put_list(out, *list, [&](BufferId id) { put(out, "{}", quote_name(program.buffers.at(id.index()).name)); });
    }
    put(out, "\n");
  }
  for (const Array& array : context.arrays) {
    put(out, "    {} {}[", array.dynamic ? "grid" : "array", quote_name(array.name));
    for (std::size_t d = 0; d < array.shape.size(); ++d) {
      if (d > 0) put(out, ", ");
      if (!array.coordinate_names.empty()) put(out, "{}:", quote_name(array.coordinate_names.at(d)));
      put(out, "{}", array.shape[d]);
    }
    put(out, "] of {}", quote_name(program.chip->components.at(array.component.index()).name));
    if (!array.dynamic) {
      put(out, " = ");
      put_components(out, array.components);
    }
    put(out, "\n");
  }
  for (const Actor& actor : context.actors) put_actor(out, program, context, actor);
  for (const Channel& channel : context.channels) put_channel(out, program, context, channel);
  for (const Circuit& circuit : context.circuits) {
    put(out, "    {} {} paths ", circuit.packets ? "packets" : "circuit",
        quote_name(program.chip->networks.at(circuit.network.index()).name));
    put_paths(out, circuit.paths);
    put(out, "\n");
  }
  put(out, "}}\n");
}

}  // namespace

std::string print_with_sidecar(const Program& program, const std::string& sidecar, const std::string& sha256) {
  Out out;
  put(out, "switchyard program 1\n");
  put_labels(out, program.labels);
  if (!sidecar.empty()) put(out, "sidecar {} {}\n", quote_text(sidecar), quote_text(sha256));
  put_chip(out, *program.chip);
  for (const Buffer& buffer : program.buffers) put_buffer(out, *program.chip, buffer);
  for (const Context& context : program.contexts) put_context(out, program, context);
  return fmt::to_string(out);
}

std::string print(const Program& program) { return print_with_sidecar(program, {}, {}); }

}  // namespace switchyard::program
