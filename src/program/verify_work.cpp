// Laws 3 and 4: statements stay inside what they touch, write what they give away, and ask of a unit what it can do.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "chip/query.h"
#include "program/boxes.h"
#include "program/findings.h"
#include "program/sequence.h"
#include "program/widening.h"

namespace switchyard::program {

namespace {

using numerics::Affine;

const Token& slot_token(const Actor& actor, int slot) {
  const auto s = static_cast<std::size_t>(slot);
  return s < actor.ports.size() ? actor.ports[s].token : actor.states[s - actor.ports.size()].token;
}
const std::string& slot_name(const Actor& actor, int slot) {
  const auto s = static_cast<std::size_t>(slot);
  return s < actor.ports.size() ? actor.ports[s].name : actor.states[s - actor.ports.size()].name;
}
const Port* slot_port(const Actor& actor, int slot) {
  const auto s = static_cast<std::size_t>(slot);
  return s < actor.ports.size() ? &actor.ports[s] : nullptr;
}

/// Whether f takes every value between its least and its greatest over the tile.
bool dense(const Affine& f, const std::vector<std::int64_t>& tiles) {
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;
  for (const auto& term : f.terms) steps.emplace_back(std::abs(term.coefficient), tiles[static_cast<std::size_t>(term.variable)]);
  std::sort(steps.begin(), steps.end());
  std::int64_t reach = 1;
  for (const auto& [step, extent] : steps) {
    if (extent > 1 && step > reach) return false;
    reach += step * (extent - 1);
  }
  return true;
}

class WorkLaw {
 public:
  WorkLaw(const Program& program, const Context& context, const Actor& actor, Findings& findings)
      : chip_(*program.chip), context_(context), actor_(actor), unit_(chip_.units[actor.unit.index()]), findings_(findings) {
    for (const Dim& dim : actor.dims) tiles_.push_back(dim.tile);
  }

  void check() {
    for (std::size_t s = 0; s < actor_.statements.size(); ++s) {
      pointer_ = fmt::format("{}/statement {}", at(context_, actor_), s);
      const Statement& statement = actor_.statements[s];
      inside(statement);
      firings(statement);
      earlier(s);
      unit(statement);
    }
    for (std::size_t p = 0; p < actor_.ports.size(); ++p)
      if (!actor_.ports[p].input && carries_data(actor_.ports[p].token)) written(static_cast<int>(p));
  }

 private:
  void add(const char* code, std::string message, std::string hint = {}) {
    findings_.add(code, pointer_, std::move(message), std::move(hint));
  }

  void inside(const Statement& statement) {
    const auto one = [&](const numerics::Access& access, bool write) {
      const Port* port = slot_port(actor_, access.slot);
      const bool window = port != nullptr && port->window.has_value();
      const Token& token = slot_token(actor_, access.slot);
      for (std::size_t d = 0; d < access.index.size(); ++d) {
        const std::int64_t extent = window ? (d == 0 ? port->window->peek : token.shape[d - 1]) : token.shape[d];
        const auto range = safe_range(access.index[d], tiles_);
        if (!range || (range->least >= 0 && range->greatest < extent)) continue;
        if (!write && access.fill && !(window && d == 0)) continue;
        add("program/out-of-token",
            fmt::format("index {} of '{}' runs from {} to {} where there are {}", d, slot_name(actor_, access.slot), range->least,
                        range->greatest, extent),
            write ? "" : "give the read a fill value, or shrink the tile");
        return;
      }
    };
    for (const numerics::Access& read : statement.reads) one(read, false);
    one(statement.write, true);
  }

  /// Reads only where the port has a token, writes only where it emits.
  void firings(const Statement& statement) {
    const Box here = guard_box(actor_, statement.guard);
    for (const numerics::Access& read : statement.reads) {
      const Port* port = slot_port(actor_, read.slot);
      if (port == nullptr || !port->input || contains(guard_box(actor_, port->guard), here)) continue;
      add("program/inactive-port", fmt::format("the statement reads '{}' in firings in which it has no token", port->name),
          "guard the statement as the port is guarded");
    }
    const Port* port = slot_port(actor_, statement.write.slot);
    if (port != nullptr && !contains(emission(*port), here))
      add("program/inactive-port", fmt::format("the statement writes '{}' in firings in which it gives no token", port->name),
          "guard the statement with the last index of each kept loop");
  }

  /// What a statement reads of an output port, earlier statements of the same firing wrote.
  void earlier(std::size_t number) {
    const Statement& statement = actor_.statements[number];
    for (const numerics::Access& read : statement.reads) {
      const Port* port = slot_port(actor_, read.slot);
      if (port == nullptr || port->input) continue;
      Box here = guard_box(actor_, statement.guard);
      if (is_empty(here)) continue;
      bool nothing = false;
      for (std::size_t d = 0; d < read.index.size(); ++d) {
        const auto range = safe_range(read.index[d], tiles_);
        const std::int64_t begin = std::max<std::int64_t>(0, range ? range->least : 0);
        const std::int64_t end = std::min(port->token.shape[d], range ? range->greatest + 1 : port->token.shape[d]);
        nothing = nothing || begin >= end;
        here.push_back({begin, end});
      }
      if (nothing) continue;  // the fill value only
      std::vector<Box> before;
      for (std::size_t s = 0; s < number; ++s)
        if (actor_.statements[s].write.slot == read.slot) before.push_back(written_box(actor_.statements[s]));
      bool exact = true;
      if (uncovered_point({here}, before, exact) || !exact)
        add("program/token-not-written",
            fmt::format("the statement reads of '{}' what no earlier statement of the firing wrote", port->name));
    }
  }

  /// Firings, then elements that a statement certainly writes.
  Box written_box(const Statement& statement) const {
    Box box = guard_box(actor_, statement.guard);
    std::set<int> used;  // indices that move together reach a diagonal, not a box
    for (const Affine& f : statement.write.index) {
      const auto range = safe_range(f, tiles_);
      bool box_like = range && dense(f, tiles_);
      for (const auto& term : f.terms)
        box_like = box_like && (tiles_[static_cast<std::size_t>(term.variable)] == 1 || used.insert(term.variable).second);
      box.push_back(box_like ? Interval{range->least, range->greatest + 1} : Interval{0, 0});
    }
    return box;
  }

  Box emission(const Port& port) const {
    Box box = guard_box(actor_, port.guard);
    for (std::size_t i = 0; i < box.size(); ++i)
      if (port.kept[i]) box[i] = {actor_.loops[i].trip - 1, actor_.loops[i].trip};
    return box;
  }

  /// Every element of every token given was computed: statements' guards cover the emissions, their writes the token.
  void written(int slot) {
    const Port& port = actor_.ports[static_cast<std::size_t>(slot)];
    pointer_ = at(context_, actor_, port);
    std::vector<Box> boxes;  // of firings, then elements
    for (const Statement& statement : actor_.statements) {
      if (statement.write.slot == slot) boxes.push_back(written_box(statement));
    }
    Box all = emission(port);
    if (is_empty(all)) return;
    for (const std::int64_t extent : port.token.shape) all.push_back({0, extent});
    bool exact = true;
    if (uncovered_point({all}, boxes, exact) || !exact)
      add("program/token-not-written", "not every element of the tokens given is computed",
          "the writes of the statements, where their guards hold, must cover the token");
  }

  bool known(numerics::Format format) const {
    return std::any_of(unit_.rates.begin(), unit_.rates.end(),
                       [format](const chip::Unit::Rate& rate) { return rate.in == format || rate.accumulate == format; });
  }

  void unit(const Statement& statement) {
    const auto format_of = [&](const numerics::Access& access) { return slot_token(actor_, access.slot).format; };
    const std::optional<Widening> widened = statement.is_contraction() ? widening(chip_, actor_, statement) : std::nullopt;
    for (const numerics::Access* access : accesses(statement))
      if (!known(format_of(*access)) && !(widened && access == statement.factors()[static_cast<std::size_t>(widened->factor)]))
        return add("program/unit-format", fmt::format("'{}' works with no {}", unit_.name, numerics::format_name(format_of(*access))));
    if (statement.is_contraction()) {
      const auto [first, second] = statement.factors();
      const numerics::Format a = format_of(*first), b = format_of(*second);
      if ((a != b && !(widened && widened->factor == 1)) || chip::find_rate(unit_, chip::OpClass::contract, a) == nullptr)
        add("program/unit-class",
            fmt::format("'{}' cannot contract {} with {}", unit_.name, numerics::format_name(a), numerics::format_name(b)));
      return;
    }
    if (unit_.kind == chip::UnitKind::matrix) {
      for (const auto& node : statement.expression.nodes) {
        const std::string name(numerics::scalar_op_info(node.op).name);
        if (node.op == numerics::ScalarOp::input || node.op == numerics::ScalarOp::constant) continue;
        if (std::find(unit_.epilogue.begin(), unit_.epilogue.end(), name) == unit_.epilogue.end())
          add("program/unit-class", fmt::format("'{}' is no epilogue operation of '{}'", name, unit_.name), "give it to a vector unit");
      }
      if (statement.combiner != numerics::Combiner::none &&
          std::find(unit_.epilogue.begin(), unit_.epilogue.end(), numerics::combiner_name(statement.combiner)) == unit_.epilogue.end())
        add("program/unit-class",
            fmt::format("'{}' is no epilogue operation of '{}'", numerics::combiner_name(statement.combiner), unit_.name),
            "give it to a vector unit");
      return;
    }
    const bool reduces = statement.combiner != numerics::Combiner::none &&
                         std::find(statement.kinds.begin(), statement.kinds.end(), numerics::LoopKind::reduction) != statement.kinds.end();
    const chip::OpClass op = reduces ? chip::OpClass::reduce : chip::OpClass::map;
    const numerics::Format first = format_of(statement.reads.empty() ? statement.write : statement.reads.front());
    if (chip::find_rate(unit_, op, first) == nullptr)
      add("program/unit-class", fmt::format("'{}' cannot {} {}", unit_.name, reduces ? "reduce" : "map", numerics::format_name(first)));
  }

  static std::vector<const numerics::Access*> accesses(const Statement& statement) {
    std::vector<const numerics::Access*> result;
    for (const numerics::Access& read : statement.reads) result.push_back(&read);
    result.push_back(&statement.write);
    return result;
  }

  const chip::Chip& chip_;
  const Context& context_;
  const Actor& actor_;
  const chip::Unit& unit_;
  Findings& findings_;
  std::string pointer_;
  std::vector<std::int64_t> tiles_;
};

/// The most other components to which one instance of the channel's producer sends each token.
std::int64_t widest_cast(const Context& context, const Channel& channel) {
  const Array& from = context.arrays[context.actors[channel.from.actor.index()].array.index()];
  const Array& to = context.arrays[context.actors[channel.to.front().end.actor.index()].array.index()];
  if (from.dynamic || to.dynamic) return 0;
  std::vector<std::int64_t> others(from.components.size(), 0), at(to.shape.size());
  for (std::size_t i = 0; i < to.components.size(); ++i) {
    std::int64_t rest = static_cast<std::int64_t>(i), producer = 0;
    for (std::size_t d = to.shape.size(); d-- > 0; rest /= to.shape[d]) at[d] = rest % to.shape[d];
    bool inside = true;
    for (std::size_t d = 0; d < from.shape.size(); ++d) {
      const Relation::Coordinate& c = channel.relation.coordinates[d];
      std::int64_t source = c.source.at(at);
      if (c.modulus > 0) source = (source % c.modulus + c.modulus) % c.modulus;
      inside = inside && source >= 0 && source < from.shape[d];
      producer = producer * from.shape[d] + source;
    }
    if (inside && from.components[static_cast<std::size_t>(producer)] != to.components[i]) ++others[static_cast<std::size_t>(producer)];
  }
  return others.empty() ? 0 : *std::max_element(others.begin(), others.end());
}

/// The mover must be able to read where its data lies and write where it goes.
void check_mover(const Program& program, const Context& context, std::size_t number, Findings& findings) {
  const Actor& actor = context.actors[number];
  const chip::Chip& chip = *program.chip;
  const chip::Mover& mover = chip.movers[actor.mover.index()];
  const auto reaches = [&](const std::vector<chip::MemoryId>& list, chip::MemoryId memory) {
    return std::any_of(list.begin(), list.end(), [&](chip::MemoryId known) {
      return known == memory || chip.memories[known.index()].backing == std::optional(memory) ||
             chip.memories[memory.index()].backing == std::optional(known);
    });
  };
  const auto check = [&](bool from, chip::MemoryId memory) {
    if (!reaches(from ? mover.from : mover.to, memory))
      findings.add("program/mover", at(context, actor),
                   fmt::format("'{}' does not move {} '{}'", mover.name, from ? "from" : "to", chip.memories[memory.index()].name));
  };
  if (actor.source) check(true, program.buffers[actor.source->buffer.index()].memory);
  if (actor.destination) check(false, program.buffers[actor.destination->buffer.index()].memory);
  for (const Channel& channel : context.channels) {
    const auto carries = [&](const Endpoint& end) {
      return end.actor.index() == number &&
             &actor.ports[static_cast<std::size_t>(end.port)] == data_port(actor, actor.ports[static_cast<std::size_t>(end.port)].input);
    };
    if (carries(channel.from)) {
      check(false, channel.memory);
      if (const std::int64_t most = widest_cast(context, channel); most > mover.multicast)
        findings.add("program/mover", at(context, actor),
                     fmt::format("'{}' sends to {} components at once, not to {}", mover.name, mover.multicast, most));
    }
    for (const Channel::Consumer& to : channel.to)
      if (carries(to.end)) check(true, channel.memory);
  }
}

}  // namespace

void verify_work(const Program& program, Findings& findings) {
  for (const Context& context : program.contexts)
    for (std::size_t a = 0; a < context.actors.size(); ++a) {
      if (context.actors[a].kind == ActorKind::compute)
        WorkLaw(program, context, context.actors[a], findings).check();
      else
        check_mover(program, context, a, findings);
    }
}

}  // namespace switchyard::program
