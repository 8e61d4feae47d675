#include "property/mutate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "program/spread.h"

namespace switchyard::testing {
namespace {

using program::Actor;
using program::ActorKind;
using program::Context;
using program::IndexRange;
using program::Program;

struct Draw {
  Program& program;
  Context& context;
  Actor& actor;
  std::mt19937_64& random;

  std::size_t below(std::size_t n) const { return n == 0 ? 0 : std::uniform_int_distribution<std::size_t>(0, n - 1)(random); }
  program::BufferAccess* access() const { return actor.source ? &*actor.source : actor.destination ? &*actor.destination : nullptr; }
  [[nodiscard]] std::string at(const std::string& what) const { return fmt::format("{}/{}/{}", context.name, actor.name, what); }
};
using Where = std::optional<std::string>;

int loop_that_turns(const Draw& d) {
  std::vector<int> loops;
  for (std::size_t l = 0; l < d.actor.loops.size(); ++l)
    if (d.actor.loops[l].trip > 1) loops.push_back(static_cast<int>(l));
  return loops.empty() ? -1 : loops[d.below(loops.size())];
}

Where tile_skipped(Draw& d) {
  const int l = loop_that_turns(d);
  if (l < 0) return {};
  const program::Loop loop = d.actor.loops[static_cast<std::size_t>(l)];
  // Consistently in the whole context, so that token counts still agree.
  for (Actor& a : d.context.actors)
    for (program::Loop& other : a.loops)
      if (other.name == loop.name && other.trip == loop.trip) --other.trip;
  return d.at("loop " + loop.name);
}

Where halo_dropped(Draw& d) {
  auto* access = d.access();
  if (!access || !d.actor.source) return {};
  const std::size_t dim = d.below(access->region.size());
  auto& region = access->region[dim];
  if (region[1] - region[0] < 2) return {};
  access->fill = 7;  // what is not loaded is whatever the slot held, not a convenient zero
  if (d.below(2))
    --region[1];
  else
    ++region[0];
  return d.at(fmt::format("region {}", dim));
}

Where tile_swapped(Draw& d) {
  auto* access = d.access();
  if (!access) return {};
  const std::size_t dim = d.below(access->start.size());
  auto& start = access->start[dim];
  if (start.terms.empty()) return {};
  auto& term = start.terms[d.below(start.terms.size())];
  if (d.below(2))
    term.coefficient = -term.coefficient;
  else
    start = start + numerics::affine_constant(term.coefficient);
  return d.at(fmt::format("start {}", dim));
}

Where buffers_swapped(Draw& d) {
  auto* access = d.access();
  if (!access || !d.actor.source) return {};
  const auto& shape = d.program.buffers[access->buffer.index()].shape;
  std::vector<std::size_t> alike;
  for (std::size_t b = 0; b < d.program.buffers.size(); ++b)
    if (b != access->buffer.index() && d.program.buffers[b].shape == shape && d.program.buffers[b].constant) alike.push_back(b);
  if (alike.empty()) return {};
  access->buffer = program::BufferId(alike[d.below(alike.size())]);
  return d.at("buffer");
}

Where token_dropped(Draw& d) {
  if (d.actor.ports.empty()) return {};
  const std::size_t p = d.below(d.actor.ports.size());
  const int l = loop_that_turns(d);
  if (l < 0 || d.actor.ports[p].kept[static_cast<std::size_t>(l)]) return {};
  d.actor.ports[p].guard.push_back({l, 0, -1});
  return d.at("port " + d.actor.ports[p].name);
}

Where buffer_shortened(Draw& d) {
  switch (d.below(3)) {
    case 0: {
      if (d.context.channels.empty()) return {};
      auto& c = d.context.channels[d.below(d.context.channels.size())];
      --c.bytes;
      return d.at("channel " + c.name);
    }
    case 1: {
      auto& b = d.program.buffers[d.below(d.program.buffers.size())];
      b.bytes = (b.spread ? program::part_bytes(b) : numerics::element_count(b.shape) * numerics::format_bytes(b.format)) - 1;
      return "buffer " + b.name;
    }
    default: {
      if (d.actor.states.empty()) return {};
      --d.actor.states[0].bytes;
      return d.at("state");
    }
  }
}

Where route_cut(Draw& d) {
  if (!d.actor.route || d.actor.route->paths.empty()) return {};
  auto& path = d.actor.route->paths[d.below(d.actor.route->paths.size())];
  if (path.size() < 2) return {};
  path.erase(path.begin() + static_cast<std::ptrdiff_t>(d.below(path.size())));
  return d.at("route");
}

Where order_swapped(Draw& d) {
  switch (d.below(4)) {
    case 0: {  // loops of one actor: tokens come in another order
      std::vector<std::size_t> turning;
      for (std::size_t l = 0; l < d.actor.loops.size(); ++l)
        if (d.actor.loops[l].trip > 1) turning.push_back(l);
      if (turning.size() < 2 || d.actor.kind != ActorKind::move) return {};
      auto* access = d.access();
      if (!access) return {};
      const std::size_t a = turning[0], b = turning[1];
      std::swap(d.actor.loops[a], d.actor.loops[b]);
      const auto first = static_cast<int>(d.context.arrays[d.actor.array.index()].shape.size());
      for (auto& s : access->start)
        for (auto& t : s.terms) {
          if (t.variable == first + static_cast<int>(a))
            t.variable = first + static_cast<int>(b);
          else if (t.variable == first + static_cast<int>(b))
            t.variable = first + static_cast<int>(a);
        }
      return d.at("loops");
    }
    case 1: {
      if (d.actor.statements.size() < 2) return {};
      const std::size_t s = d.below(d.actor.statements.size() - 1);
      std::swap(d.actor.statements[s], d.actor.statements[s + 1]);
      return d.at("statements");
    }
    case 2: {
      if (d.program.contexts.size() < 2) return {};
      const std::size_t c = d.below(d.program.contexts.size() - 1);
      std::swap(d.program.contexts[c], d.program.contexts[c + 1]);
      std::swap(d.program.contexts[c].after, d.program.contexts[c + 1].after);
      return fmt::format("contexts {} and {}", c, c + 1);
    }
    default: {
      if (d.actor.ports.empty()) return {};
      auto& token = d.actor.ports[d.below(d.actor.ports.size())].token;
      if (token.order.size() < 2) return {};
      std::swap(token.order.front(), token.order.back());
      return d.at("token order");
    }
  }
}

Where dim_clipped(Draw& d) {
  if (d.actor.dims.empty()) return {};
  auto& dim = d.actor.dims[d.below(d.actor.dims.size())];
  if (dim.total < 2) return {};
  --dim.total;
  return d.at("dim " + dim.name);
}

Where accumulator_lost(Draw& d) {
  if (d.actor.states.empty()) return {};
  const int l = loop_that_turns(d);
  auto& state = d.actor.states[d.below(d.actor.states.size())];
  if (l < 0) return {};
  state.kept[static_cast<std::size_t>(l)] = !state.kept[static_cast<std::size_t>(l)];
  return d.at("state " + state.name);
}

Where guard_moved(Draw& d) {
  if (d.actor.statements.empty()) return {};
  auto& statement = d.actor.statements[d.below(d.actor.statements.size())];
  if (statement.guard.empty()) return {};
  statement.guard[0].begin = 0;
  statement.guard[0].end = 1;
  return d.at("guard");
}

Where index_shifted(Draw& d) {
  if (d.actor.statements.empty()) return {};
  auto& statement = d.actor.statements[d.below(d.actor.statements.size())];
  if (statement.reads.empty()) return {};
  auto& read = statement.reads[d.below(statement.reads.size())];
  if (read.index.empty()) return {};
  const std::size_t dim = d.below(read.index.size());
  read.index[dim] = read.index[dim] + numerics::affine_constant(1);
  return d.at(fmt::format("index {}", dim));
}

Where store_displaced(Draw& d) {
  if (!d.actor.destination) return {};
  const std::size_t dim = d.below(d.actor.destination->start.size());
  auto& start = d.actor.destination->start[dim];
  start = start + numerics::affine_constant(1);
  return d.at(fmt::format("start {}", dim));
}

// ------------------------------------------------------------------------- of programs that keep tensors in scratchpads, or start early

bool resident(const Program& program) {
  const auto spread = [](const program::Buffer& b) { return b.spread.has_value(); };
  const auto early = [](const Context& c) { return !c.early_after.empty(); };
  return std::any_of(program.buffers.begin(), program.buffers.end(), spread) ||
         std::any_of(program.contexts.begin(), program.contexts.end(), early);
}

Where place_shifted(Draw& d) {
  std::vector<program::Port*> placed;
  for (auto& port : d.actor.ports)
    if (port.place) placed.push_back(&port);
  if (placed.empty()) return {};
  program::Port& port = *placed[d.below(placed.size())];
  const std::size_t dim = d.below(port.place->start.size());
  auto& start = port.place->start[dim];
  start = start + numerics::affine_constant(d.below(2) ? 1 : -1);
  return d.at(fmt::format("place {} {}", port.name, dim));
}

Where message_dropped(Draw& d) {
  if (!d.actor.destination || d.actor.destination->message < 0) return {};
  auto& loop = d.actor.loops[static_cast<std::size_t>(d.actor.destination->message)];
  if (loop.trip < 2) return {};
  --loop.trip;
  return d.at("loop " + loop.name);
}

Where update_in_part(Draw& d) {
  if (!d.actor.source || !d.actor.destination) return {};
  const std::size_t dim = d.below(d.actor.source->extent.size());
  if (d.actor.source->extent[dim] < 2) return {};
  --d.actor.source->extent[dim];
  --d.actor.destination->extent[dim];
  return d.at(fmt::format("extent {}", dim));
}

Where early_too_soon(Draw& d) {
  if (d.context.early_after.empty()) return {};
  const std::size_t k = d.below(d.context.early_after.size());
  d.context.early_after.erase(d.context.early_after.begin() + static_cast<std::ptrdiff_t>(k));
  return d.context.name + "/early after";
}

Where part_shrunk(Draw& d) {
  auto& b = d.program.buffers[d.below(d.program.buffers.size())];
  if (!b.spread) return {};
  const std::size_t dim = d.below(b.spread->extent.size());
  if (b.spread->extent[dim] < 2) return {};
  --b.spread->extent[dim];
  if (d.below(2)) b.spread->start[dim] = b.spread->start[dim] + numerics::affine_constant(1);
  return fmt::format("part of {} {}", b.name, dim);
}

/// Takes a port away that no statement uses.
void erase_port(Context& context, program::ActorId actor, int port) {
  Actor& a = context.actors[actor.index()];
  a.ports.erase(a.ports.begin() + port);
  const auto shift = [port](int& slot) { slot -= slot > port ? 1 : 0; };
  for (auto& statement : a.statements) {
    for (auto& read : statement.reads) shift(read.slot);
    shift(statement.write.slot);
  }
  for (auto& channel : context.channels) {
    if (channel.from.actor == actor) shift(channel.from.port);
    for (auto& to : channel.to)
      if (to.end.actor == actor) shift(to.end.port);
  }
}

Where token_unwaited(Draw& d) {
  if (d.context.channels.empty()) return {};
  const std::size_t c = d.below(d.context.channels.size());
  const program::Channel channel = d.context.channels[c];
  const auto& token = d.context.actors[channel.from.actor.index()].ports[static_cast<std::size_t>(channel.from.port)].token;
  if (program::carries_data(token) || channel.to.size() != 1) return {};
  const auto uses = [&](const program::Endpoint& end) {
    int n = 0;
    for (const auto& other : d.context.channels) {
      n += other.from.actor == end.actor && other.from.port == end.port ? 1 : 0;
      for (const auto& to : other.to) n += to.end.actor == end.actor && to.end.port == end.port ? 1 : 0;
    }
    return n;
  };
  if (uses(channel.from) != 1 || uses(channel.to[0].end) != 1 || channel.from.actor == channel.to[0].end.actor) return {};
  d.context.channels.erase(d.context.channels.begin() + static_cast<std::ptrdiff_t>(c));
  erase_port(d.context, channel.from.actor, channel.from.port);
  erase_port(d.context, channel.to[0].end.actor, channel.to[0].end.port);
  return d.at("channel " + channel.name);
}

struct Kind {
  const char* name;
  Where (*apply)(Draw&);
};
constexpr std::array<Kind, 12> kKinds{{{"tile skipped", tile_skipped},
                                       {"halo row dropped", halo_dropped},
                                       {"tile swapped", tile_swapped},
                                       {"weights swapped", buffers_swapped},
                                       {"token dropped", token_dropped},
                                       {"buffer shortened", buffer_shortened},
                                       {"route cut", route_cut},
                                       {"order swapped", order_swapped},
                                       {"dim clipped", dim_clipped},
                                       {"accumulator lost", accumulator_lost},
                                       {"guard moved", guard_moved},
                                       {"index shifted", index_shifted}}};

/// Those that only programs with something spread or early can have.
constexpr std::array<Kind, 6> kResidentKinds{{{"place shifted", place_shifted},
                                              {"message dropped", message_dropped},
                                              {"update cut", update_in_part},
                                              {"early too soon", early_too_soon},
                                              {"part shrunk", part_shrunk},
                                              {"token unwaited", token_unwaited}}};

/// Clipped box of an access at one point; empty text when nothing is left of it.
std::string box(const program::BufferAccess& a, std::span<const std::int64_t> extent, const std::vector<std::int64_t>& point) {
  std::string text;
  for (std::size_t d = 0; d < a.start.size(); ++d) {
    const std::int64_t start = a.start[d].at(point);
    const std::int64_t begin = std::max(start, a.region[d][0]), end = std::min(start + extent[d], a.region[d][1]);
    if (begin >= end) return {};
    text += fmt::format("{}:{}@{} ", begin, end, begin - start);
  }
  return text;
}

/// The message of a firing: what goes to which components; empty when there is none.
std::string sent(const Program& program, const Context& context, const Actor& actor, std::uint32_t instance,
                 const std::vector<std::int64_t>& point) {
  const program::Buffer& buffer = program.buffers[actor.destination->buffer.index()];
  const program::Array& array = context.arrays[actor.array.index()];
  const auto own = program::updates_copies(actor) ? program::instance_on(*buffer.spread, array.components[instance]) : std::nullopt;
  const auto touched = program::touched(*actor.destination, program::move_extent(actor, *actor.destination), point);
  const auto list = program::messages(buffer, touched, own);
  const int loop = actor.destination->message;
  const std::int64_t which = loop < 0 ? 0 : point[array.shape.size() + static_cast<std::size_t>(loop)];
  if (which >= static_cast<std::int64_t>(list.size())) return {};
  const program::Message& message = list[static_cast<std::size_t>(which)];
  std::string text;
  for (const auto& [begin, end] : message.box) text += fmt::format("{}:{} ", begin, end);
  for (const std::uint32_t to : message.instances) text += fmt::format(">{} ", buffer.spread->components[to]);
  return text;
}

}  // namespace

std::optional<Mutation> mutate(Program& program, std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const std::size_t c = below(program.contexts.size());
  Context& context = program.contexts[c];
  Draw draw{program, context, context.actors[below(context.actors.size())], random};
  const std::size_t k = below(kKinds.size() + 1 + (resident(program) ? kResidentKinds.size() : 0));
  const Kind kind = k < kKinds.size()    ? kKinds[k]
                    : k == kKinds.size() ? Kind{"store displaced", store_displaced}
                                         : kResidentKinds[k - kKinds.size() - 1];
  const Where where = kind.apply(draw);
  if (!where) return {};
  return Mutation{kind.name, *where, c};
}

std::vector<std::string> effects(const Program& program, std::size_t number) {
  const Context& context = program.contexts[number];
  std::vector<std::string> out;
  for (const Actor& actor : context.actors) {
    const auto& shape = context.arrays[actor.array.index()].shape;
    std::int64_t instances = 1, firings = 1;
    for (std::int64_t s : shape) instances *= s;
    for (const auto& l : actor.loops) firings *= l.trip;
    for (std::int64_t i = 0; i < instances; ++i)
      for (std::int64_t f = 0; f < firings; ++f) {
        std::vector<std::int64_t> point(shape.size() + actor.loops.size());
        std::int64_t rest = i;
        for (std::size_t d = shape.size(); d-- > 0;) point[d] = rest % shape[d], rest /= shape[d];
        rest = f;
        for (std::size_t l = actor.loops.size(); l-- > 0;)
          point[shape.size() + l] = rest % actor.loops[l].trip, rest /= actor.loops[l].trip;
        std::string what;
        if (actor.kind == ActorKind::move) {
          for (const auto* a : {&actor.source, &actor.destination})
            if (*a) what += box(**a, program::move_extent(actor, **a), point);
          if (actor.destination && program.buffers[actor.destination->buffer.index()].spread) {
            const std::string to = sent(program, context, actor, static_cast<std::uint32_t>(i), point);
            what = to.empty() ? "" : what + to;
          }
        } else {
          for (const program::Port& port : actor.ports)
            if (port.place) what += port.name + " " + box(*port.place, port.token.shape, point);
          for (std::size_t s = 0; s < actor.statements.size(); ++s) {
            bool active = true, some = true;
            for (const IndexRange& r : actor.statements[s].guard) {
              const auto range = program::resolve(r, actor.loops[static_cast<std::size_t>(r.loop)].trip);
              const std::int64_t at = point[shape.size() + static_cast<std::size_t>(r.loop)];
              active = active && at >= range[0] && at < range[1];
            }
            std::string extents;
            for (int dim : actor.statements[s].dims) {
              const auto& d = actor.dims[static_cast<std::size_t>(dim)];
              const std::int64_t n = std::min(d.tile, d.total - d.offset.at(point));
              some = some && n > 0;
              extents += fmt::format("{} ", n);
            }
            if (active && some) what += fmt::format("s{} {}", s, extents);
          }
        }
        if (!what.empty()) out.push_back(fmt::format("{} {} {}", actor.name, i, what));
      }
  }
  return out;
}

namespace {

/// What a load of a constant puts into its tokens, firing by firing; empty when the values are not known here.
std::vector<double> loaded(const Program& program, const Context& context, const Actor& actor) {
  std::vector<double> out;
  if (!actor.source || !program.buffers[actor.source->buffer.index()].constant) return out;
  const program::BufferAccess& access = *actor.source;
  const numerics::Tensor data = program.buffers[access.buffer.index()].constant->make();
  const auto strides = numerics::row_major_strides(data.shape);
  const auto extent = program::move_extent(actor, access);
  const auto& shape = context.arrays[actor.array.index()].shape;
  std::vector<std::int64_t> extents(shape.begin(), shape.end());
  for (const auto& l : actor.loops) extents.push_back(l.trip);
  std::vector<std::int64_t> point(extents.size(), 0);
  for (bool more = true; more;) {
    for (std::int64_t e = 0; e < numerics::element_count({extent.begin(), extent.end()}); ++e) {
      std::int64_t rest = e, flat = 0;
      bool inside = true;
      for (std::size_t d = extent.size(); d-- > 0;) {
        const std::int64_t at = access.start[d].at(point) + rest % extent[d];
        rest /= extent[d];
        inside = inside && at >= access.region[d][0] && at < access.region[d][1];
        flat += at * strides[d];
      }
      out.push_back(inside ? data.at(flat) : access.fill);
    }
    more = false;
    for (std::size_t d = extents.size(); d-- > 0 && !more;) {
      more = ++point[d] < extents[d];
      if (!more) point[d] = 0;
    }
  }
  return out;
}

/// The part of its buffer that an access can touch: per dimension, the range of all its boxes.
std::vector<std::array<std::int64_t, 2>> reach(const Context& context, const Actor& actor, const program::BufferAccess& access,
                                               std::span<const std::int64_t> extent) {
  std::vector<std::int64_t> extents(context.arrays[actor.array.index()].shape);
  for (const auto& l : actor.loops) extents.push_back(l.trip);
  std::vector<std::array<std::int64_t, 2>> out;
  for (std::size_t d = 0; d < access.start.size(); ++d) {
    const auto range = numerics::range_over(access.start[d], extents);
    out.push_back({std::max(range.least, access.region[d][0]), std::min(range.greatest + extent[d], access.region[d][1])});
  }
  return out;
}

bool independent(const Program& program, const Context& a, const Context& b) {
  struct Touch {
    std::size_t buffer;
    bool write;
    std::vector<std::array<std::int64_t, 2>> reach;
  };
  const auto touches = [](const Context& c) {
    std::vector<Touch> out;
    for (const Actor& actor : c.actors) {
      for (const auto* box : {&actor.source, &actor.destination})
        if (*box)
          out.push_back({(*box)->buffer.index(), box == &actor.destination, reach(c, actor, **box, program::move_extent(actor, **box))});
      for (const program::Port& port : actor.ports)
        if (port.place) out.push_back({port.place->buffer.index(), !port.input, reach(c, actor, *port.place, port.token.shape)});
    }
    return out;
  };
  std::vector<int> users(program.buffers.size(), 0);  // contexts
  for (const Context& c : program.contexts) {
    std::set<std::size_t> here;
    for (const Touch& touch : touches(c)) here.insert(touch.buffer);
    for (const std::size_t buffer : here) ++users[buffer];
  }
  const auto meet = [&](const Touch& x, const Touch& y) {
    if (x.buffer == y.buffer) {
      for (std::size_t d = 0; d < x.reach.size(); ++d)
        if (x.reach[d][1] <= y.reach[d][0] || y.reach[d][1] <= x.reach[d][0]) return false;
      return true;
    }
    // Buffers may share bytes when their lives do not meet; those that one context alone uses live and end with it.
    const auto &p = program.buffers[x.buffer], &q = program.buffers[y.buffer];
    return !(users[x.buffer] == 1 && users[y.buffer] == 1) && p.memory == q.memory && p.offset < q.offset + q.bytes &&
           q.offset < p.offset + p.bytes;
  };
  for (const Touch& x : touches(a))
    for (const Touch& y : touches(b))
      if ((x.write || y.write) && meet(x, y)) return false;
  return true;
}

}  // namespace

std::string prove_equivalent(const Program& original, const Program& mutant, const Mutation& mutation) {
  const std::size_t c = mutation.context;
  if (mutation.where.starts_with("contexts")) {
    for (std::size_t k = 0; k + 1 < original.contexts.size(); ++k)
      if (mutant.contexts[k].name == original.contexts[k + 1].name && mutant.contexts[k + 1].name == original.contexts[k].name)
        return independent(original, original.contexts[k], original.contexts[k + 1]) ? "independent" : "";
    return {};
  }
  if (mutation.where.starts_with("part of")) {  // in every context that uses it
    for (std::size_t k = 0; k < original.contexts.size(); ++k)
      if (effects(original, k) != effects(mutant, k)) return {};
    return "same work";
  }
  if (mutation.kind == "early too soon") {
    for (const Actor& actor : mutant.contexts[c].actors) {
      if (!actor.early || !actor.source) continue;
      const program::Buffer& from = mutant.buffers[actor.source->buffer.index()];
      if (from.role != program::BufferRole::input && from.role != program::BufferRole::constant) return {};
    }
    return "host data";
  }
  if (effects(original, c) == effects(mutant, c)) return "same work";
  bool known = true;
  for (std::size_t a = 0; a < original.contexts[c].actors.size(); ++a) {
    const Actor &before = original.contexts[c].actors[a], &after = mutant.contexts[c].actors[a];
    if (!before.source || before.source->region == after.source->region) continue;
    const auto values = loaded(original, original.contexts[c], before);
    known = known && !values.empty() && values == loaded(mutant, mutant.contexts[c], after);
  }
  return known && mutation.kind == "halo row dropped" ? "same data" : "";
}

}  // namespace switchyard::testing
