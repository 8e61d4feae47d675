#include "property/mutate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

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
      b.bytes = numerics::element_count(b.shape) * numerics::format_bytes(b.format) - 1;
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

/// Clipped box of an access at one point; empty text when nothing is left of it.
std::string box(const program::BufferAccess& a, const program::Token& token, const std::vector<std::int64_t>& point) {
  std::string text;
  for (std::size_t d = 0; d < a.start.size(); ++d) {
    const std::int64_t start = a.start[d].at(point);
    const std::int64_t begin = std::max(start, a.region[d][0]), end = std::min(start + token.shape[d], a.region[d][1]);
    if (begin >= end) return {};
    text += fmt::format("{}:{}@{} ", begin, end, begin - start);
  }
  return text;
}

}  // namespace

std::optional<Mutation> mutate(Program& program, std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const std::size_t c = below(program.contexts.size());
  Context& context = program.contexts[c];
  Draw draw{program, context, context.actors[below(context.actors.size())], random};
  const std::size_t k = below(kKinds.size() + 1);
  const Kind kind = k < kKinds.size() ? kKinds[k] : Kind{"store displaced", store_displaced};
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
          const auto& token = actor.ports.front().token;
          for (const auto* a : {&actor.source, &actor.destination})
            if (*a) what += box(**a, token, point);
        } else {
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
  const auto& token = actor.ports.front().token;
  const auto& shape = context.arrays[actor.array.index()].shape;
  std::vector<std::int64_t> extents(shape.begin(), shape.end());
  for (const auto& l : actor.loops) extents.push_back(l.trip);
  std::vector<std::int64_t> point(extents.size(), 0);
  for (bool more = true; more;) {
    for (std::int64_t e = 0; e < numerics::element_count(token.shape); ++e) {
      std::int64_t rest = e, flat = 0;
      bool inside = true;
      for (std::size_t d = token.shape.size(); d-- > 0;) {
        const std::int64_t at = access.start[d].at(point) + rest % token.shape[d];
        rest /= token.shape[d];
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
std::vector<std::array<std::int64_t, 2>> reach(const Context& context, const Actor& actor, const program::BufferAccess& access) {
  std::vector<std::int64_t> extents(context.arrays[actor.array.index()].shape);
  for (const auto& l : actor.loops) extents.push_back(l.trip);
  std::vector<std::array<std::int64_t, 2>> out;
  for (std::size_t d = 0; d < access.start.size(); ++d) {
    const auto range = numerics::range_over(access.start[d], extents);
    out.push_back(
        {std::max(range.least, access.region[d][0]), std::min(range.greatest + actor.ports.front().token.shape[d], access.region[d][1])});
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
      if (actor.destination) out.push_back({actor.destination->buffer.index(), true, reach(c, actor, *actor.destination)});
      if (actor.source) out.push_back({actor.source->buffer.index(), false, reach(c, actor, *actor.source)});
    }
    return out;
  };
  const auto meet = [&](const Touch& x, const Touch& y) {
    if (x.buffer == y.buffer) {
      for (std::size_t d = 0; d < x.reach.size(); ++d)
        if (x.reach[d][1] <= y.reach[d][0] || y.reach[d][1] <= x.reach[d][0]) return false;
      return true;
    }
    const auto &p = program.buffers[x.buffer], &q = program.buffers[y.buffer];  // buffers may share bytes when their lives do not meet
    return p.memory == q.memory && p.offset < q.offset + q.bytes && q.offset < p.offset + p.bytes;
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
