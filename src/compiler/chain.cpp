#include "compiler/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "program/instance.h"
#include "program/parts.h"
#include "program/uses.h"

namespace switchyard::compiler {
namespace {

using numerics::Affine;
using program::Actor;
using program::ActorId;
using program::Array;
using program::Box;
using program::BufferId;
using program::Channel;
using program::Context;
using program::Port;
using program::Relation;

/// Instances that one instance waits for, at most: each is a channel, and wider joins are better a barrier's.
constexpr std::int64_t kMostSources = 64;

/// Steps of outermost loops that are told one by one, at most.
constexpr std::int64_t kMostSteps = 64;
constexpr std::int64_t kWhole = std::numeric_limits<std::int64_t>::max();

/// Along one coordinate of the producers: those from `first` (affine in the consumer's coordinates) on, `count` of them.
struct Run {
  Affine first;
  std::int64_t count = 1;
};

/// Who is waited for: by instance of the consumers' array, the instances of the producers'.
using Sources = std::vector<std::vector<std::uint32_t>>;

/// Coordinates of all instances of an array.
using Places = std::vector<std::vector<std::int64_t>>;
Places places_of(const Array& array) {
  Places places;
  for (std::int64_t i = 0; i < program::instance_count(array); ++i)
    places.push_back(program::coordinates(array, static_cast<std::uint32_t>(i)));
  return places;
}

/// A run over one coordinate that holds all sources: constant, or moving with one of the consumer's coordinates; the shortest.
Run cover(const Array& producers, const Places& from, const Array& consumers, const Places& to, const Sources& sources, std::size_t d) {
  std::vector<std::array<std::int64_t, 2>> needed(sources.size(), {producers.shape[d], -1});
  for (std::size_t j = 0; j < sources.size(); ++j)
    for (const std::uint32_t i : sources[j]) {
      const std::int64_t at = from[i][d];
      needed[j] = {std::min(needed[j][0], at), std::max(needed[j][1], at)};
    }
  Run best;
  best.count = producers.shape[d] + 1;
  const auto consider = [&](int coordinate, std::int64_t slope) {
    std::int64_t low = producers.shape[d] + slope * producers.shape[d], high = -low;
    for (std::size_t j = 0; j < sources.size(); ++j) {
      if (sources[j].empty()) continue;
      const std::int64_t moved = coordinate < 0 ? 0 : slope * to[j][static_cast<std::size_t>(coordinate)];
      low = std::min(low, needed[j][0] - moved);
      high = std::max(high, needed[j][1] - moved);
    }
    const std::int64_t count = high - low + 1;
    if (count >= best.count) return;
    best.count = count;
    best.first = numerics::affine_constant(low);
    if (coordinate >= 0) best.first = best.first + numerics::affine_variable(coordinate, slope);
  };
  consider(-1, 0);
  for (std::size_t c = 0; c < consumers.shape.size(); ++c)
    for (std::int64_t slope = 1; slope < producers.shape[d] && consumers.shape[c] > 1; ++slope) consider(static_cast<int>(c), slope);
  best.count = std::min(best.count, producers.shape[d]);
  return best;
}

/// Relations that together lead from each consumer to all its sources, and perhaps to others: to wait for more of the same earlier phase
/// does no harm. Nothing when they are too many.
std::optional<std::vector<Relation>> relations_to(const Array& producers, const Array& consumers, const Sources& sources) {
  std::vector<Relation> relations(1);
  const Places from = places_of(producers), to = places_of(consumers);
  for (std::size_t d = 0; d < producers.shape.size(); ++d) {
    const Run run = cover(producers, from, consumers, to, sources, d);
    if (static_cast<std::int64_t>(relations.size()) * run.count > kMostSources) return std::nullopt;
    std::vector<Relation> longer;
    for (const Relation& relation : relations)
      for (std::int64_t k = 0; k < run.count; ++k) {
        Relation& r = longer.emplace_back(relation);
        const Affine source = run.first + numerics::affine_constant(k);
        bool inside = true;
        for (std::uint32_t j = 0; j < sources.size() && inside; ++j) {
          const std::int64_t at = source.at(to[j]);
          inside = at >= 0 && at < producers.shape[d];
        }
        r.coordinates.push_back({source, inside ? 0 : producers.shape[d]});
      }
    relations = std::move(longer);
  }
  return relations;
}

class Joiner {
 public:
  explicit Joiner(const program::Program& program) : program_(program), parts_(program.buffers) {}

  Chained run(std::span<const Context> phases, std::span<const HandedBuffer> handed) {
    if (!apart(phases)) return {std::nullopt, problem_, phase_, with_};
    for (const Context& phase : phases) append(phase);
    for (const HandedBuffer& h : handed) hand_on(h.buffer, h.slots);
    if (phases.size() > 1) context_.name = fmt::format("{} to {}", phases.front().name, phases.back().name);
    if (!order()) return {std::nullopt, problem_, phase_, with_};
    return {std::move(context_), {}, 0, 0};
  }

 private:
  /// What only contexts order: accesses of off-chip memory.
  bool apart(std::span<const Context> phases) {
    std::map<BufferId, std::set<std::size_t>> written;
    const auto each = [&](bool write, auto&& visit) {
      for (std::size_t k = 0; k < phases.size(); ++k)
        for (const Actor& actor : phases[k].actors)
          if (const auto& access = write ? actor.destination : actor.source)
            if (!program_.buffers[access->buffer.index()].spread) visit(k, access->buffer);
    };
    each(true, [&](std::size_t k, BufferId buffer) { written[buffer].insert(k); });
    each(false, [&](std::size_t k, BufferId buffer) {
      const auto at = written.find(buffer);
      if (at == written.end()) return;
      for (const std::size_t other : at->second) {
        if (other == k) continue;
        refuse(std::min(k, other), std::max(k, other),
               fmt::format("'{}' goes through off-chip memory", program_.buffers[buffer.index()].name));
      }
    });
    return problem_.empty();
  }

  /// A phase cannot be in one context with an earlier one.
  void refuse(std::size_t earlier, std::size_t phase, std::string why) {
    if (!problem_.empty() && std::pair(phase, earlier) >= std::pair(phase_, with_) && !(phase == phase_ && earlier > with_)) return;
    problem_ = std::move(why);
    phase_ = phase;
    with_ = earlier;
  }

  void append(const Context& phase) {
    std::vector<program::ArrayId> arrays;
    for (const Array& array : phase.arrays) {
      const auto same = std::find_if(context_.arrays.begin(), context_.arrays.end(), [&](const Array& other) {
        return other.component == array.component && other.shape == array.shape && other.components == array.components;
      });
      arrays.emplace_back(static_cast<std::size_t>(same - context_.arrays.begin()));
      if (same != context_.arrays.end()) continue;
      context_.arrays.push_back(array);
      context_.arrays.back().name = fmt::format("tiles{}", context_.arrays.size() - 1);
    }
    const std::size_t first = context_.actors.size();
    const std::string prefix = fmt::format("p{}_", phases_);
    for (const Actor& actor : phase.actors) {
      context_.actors.push_back(actor);
      context_.actors.back().name = prefix + actor.name;
      context_.actors.back().array = arrays[actor.array.index()];
      phase_of_.push_back(phases_);
    }
    const auto moved = [&](ActorId id) { return ActorId(id.index() + first); };
    for (Channel channel : phase.channels) {
      channel.name = prefix + channel.name;
      channel.from.actor = moved(channel.from.actor);
      for (Channel::Consumer& to : channel.to) to.end.actor = moved(to.end.actor);
      context_.channels.push_back(std::move(channel));
    }
    context_.ops.insert(context_.ops.end(), phase.ops.begin(), phase.ops.end());
    ++phases_;
  }

  struct Place {
    std::size_t actor = 0;
    int port = 0;
  };

  /// Where the tokens of a placed port begin, loop by loop, outermost first: steps along each dimension. A loop that goes on where the one
  /// inside it ends is one with it.
  struct Sweep {
    std::int64_t trip = 1;
    std::vector<std::int64_t> steps;
    bool operator==(const Sweep&) const = default;
  };
  [[nodiscard]] std::vector<Sweep> sweeps_of(const Actor& actor, const Port& port) const {
    const auto coordinates = static_cast<int>(context_.arrays[actor.array.index()].shape.size());
    std::vector<Sweep> sweeps;
    for (std::size_t l = 0; l < actor.loops.size(); ++l) {
      if (port.kept[l] || actor.loops[l].trip == 1) continue;
      Sweep sweep{actor.loops[l].trip, {}};
      for (const Affine& f : port.place->start) sweep.steps.push_back(f.coefficient(coordinates + static_cast<int>(l)));
      bool goes_on = !sweeps.empty();
      for (std::size_t x = 0; goes_on && x < sweep.steps.size(); ++x) goes_on = sweeps.back().steps[x] == sweep.trip * sweep.steps[x];
      if (goes_on) {
        sweep.trip *= sweeps.back().trip;
        sweeps.pop_back();
      }
      sweeps.push_back(std::move(sweep));
    }
    return sweeps;
  }

  /// Do both ports touch the same boxes of the buffer, token by token on the same components, none before its beginning?
  [[nodiscard]] bool agree(const Place& from, const Place& to) const {
    const Actor &a = context_.actors[from.actor], &b = context_.actors[to.actor];
    const Port &out = a.ports[static_cast<std::size_t>(from.port)], &in = b.ports[static_cast<std::size_t>(to.port)];
    if (a.array != b.array || out.token.shape != in.token.shape || out.token.order != in.token.order || !out.guard.empty() ||
        !in.guard.empty() || sweeps_of(a, out) != sweeps_of(b, in))
      return false;
    const auto coordinates = static_cast<int>(context_.arrays[a.array.index()].shape.size());
    const program::Buffer& buffer = program_.buffers[out.place->buffer.index()];
    for (std::size_t x = 0; x < buffer.shape.size(); ++x) {
      const Affine &f = out.place->start[x], &g = in.place->start[x];
      if (f.constant != g.constant || f.constant < 0) return false;
      for (const auto* place : {&*out.place, &*in.place})
        if (place->region[x] != std::array<std::int64_t, 2>{0, buffer.shape[x]}) return false;
      for (int c = 0; c < coordinates; ++c)
        if (f.coefficient(c) != g.coefficient(c)) return false;
      for (const Affine* start : {&f, &g})
        for (const Affine::Term& t : start->terms)
          if (t.coefficient < 0) return false;
    }
    return true;
  }

  /// What one actor places in a buffer and one other takes from it, token by token, needs no more room than a few tokens.
  void hand_on(BufferId buffer, std::int64_t slots) {
    std::vector<Place> writers, readers;
    for (std::size_t a = 0; a < context_.actors.size(); ++a) {
      const Actor& actor = context_.actors[a];
      for (const auto* access : {&actor.source, &actor.destination})
        if (*access && (*access)->buffer == buffer) return;
      for (std::size_t p = 0; p < actor.ports.size(); ++p)
        if (const Port& port = actor.ports[p]; port.place && port.place->buffer == buffer)
          (port.input ? readers : writers).push_back({a, static_cast<int>(p)});
    }
    if (writers.size() != 1 || readers.size() != 1 || !agree(writers[0], readers[0])) return;
    const program::Buffer& held = program_.buffers[buffer.index()];
    Channel channel;
    channel.name = fmt::format("handed{}", context_.channels.size());
    channel.from = {ActorId(writers[0].actor), writers[0].port};
    channel.to.push_back({{ActorId(readers[0].actor), readers[0].port}, {}});
    for (std::size_t c = 0; c < array_of(readers[0].actor).shape.size(); ++c)
      channel.relation.coordinates.push_back({numerics::affine_variable(static_cast<int>(c)), 0});
    for (const Place& place : {writers[0], readers[0]}) {
      Port& port = context_.actors[place.actor].ports[static_cast<std::size_t>(place.port)];
      port.place.reset();
      port.token.pad = held.spread->pad;
      channel.bytes = slots * port.token.bytes();
    }
    channel.depth = slots;
    channel.memory = held.memory;
    context_.channels.push_back(std::move(channel));
  }

  bool order() {
    // All waits are found first: ports that are added would move what uses point to.
    const std::vector<program::Use> uses = program::uses_of(program_, context_);
    struct Wait {
      Sources sources;
      std::int64_t lead = 0;  ///< steps of the writer that come before the reader's first; kWhole: all
    };
    std::map<std::pair<std::size_t, std::size_t>, Wait> waits;  // reader, writer
    for (const program::Use& writer : uses)
      for (const program::Use& reader : uses) {
        if (!writer.write || reader.write || writer.access->buffer != reader.access->buffer) continue;
        if (phase_of_[writer.actor] >= phase_of_[reader.actor]) continue;
        if (!writer.countable() || !reader.countable()) {
          refuse(phase_of_[writer.actor], phase_of_[reader.actor],
                 fmt::format("the accesses of '{}' are too irregular", context_.actors[writer.actor].name));
          continue;
        }
        Wait& wait = waits[{reader.actor, writer.actor}];
        Sources found(static_cast<std::size_t>(program::instance_count(*reader.array)));
        add_sources(writer, reader, found);
        wait.lead = std::max(wait.lead, lead_of(writer, reader, found));
        wait.sources.resize(found.size());
        for (std::size_t j = 0; j < found.size(); ++j) wait.sources[j].insert(wait.sources[j].end(), found[j].begin(), found[j].end());
      }
    if (!problem_.empty()) return false;
    std::map<std::pair<std::size_t, bool>, int> done;  // by writer, and whether it tells of each step
    for (auto& [pair, wait] : waits) {
      const auto [reader, writer] = pair;
      Sources& sources = wait.sources;
      if (std::all_of(sources.begin(), sources.end(), [](const auto& list) { return list.empty(); })) continue;
      for (auto& list : sources) {
        std::sort(list.begin(), list.end());
        list.erase(std::unique(list.begin(), list.end()), list.end());
      }
      const auto relations = relations_to(array_of(writer), array_of(reader), sources);
      if (!relations) {
        refuse(phase_of_[writer], phase_of_[reader],
               fmt::format("too many components wait for each other between '{}' and '{}'", context_.actors[writer].name,
                           context_.actors[reader].name));
        continue;
      }
      if (!problem_.empty()) continue;
      const bool steps = wait.lead < kWhole;
      const auto [at, fresh] = done.try_emplace({writer, steps}, 0);
      if (fresh) at->second = add_port(writer, false, steps ? "step" : "over", steps ? 1 : kWhole);
      for (const Relation& relation : *relations) {
        Channel channel;
        channel.name = fmt::format("order{}", context_.channels.size());
        channel.from = {ActorId(writer), at->second};
        const int port = add_port(reader, true, fmt::format("after{}", context_.channels.size()), wait.lead);
        channel.to.push_back({{ActorId(reader), port}, {}});
        channel.relation = relation;
        if (steps) channel.depth = context_.actors[reader].loops[0].trip;
        channel.memory = memory_;
        context_.channels.push_back(std::move(channel));
      }
    }
    return problem_.empty();
  }

  [[nodiscard]] const Array& array_of(std::size_t actor) const { return context_.arrays[context_.actors[actor].array.index()]; }

  static Box around(const std::vector<Box>& boxes) {
    Box hull;
    for (const Box& box : boxes) {
      if (hull.empty()) hull = box;
      for (std::size_t d = 0; d < box.size(); ++d) hull[d] = {std::min(hull[d][0], box[d][0]), std::max(hull[d][1], box[d][1])};
    }
    return hull;
  }
  static Box hull_of(const program::Use& use, std::uint32_t instance) { return around(use.boxes(instance)); }

  /// Instances of the writer that reach what instances of the reader read.
  void add_sources(const program::Use& writer, const program::Use& reader, Sources& sources) {
    const BufferId buffer = writer.access->buffer;
    const program::Parts& parts = parts_[buffer];
    const bool scalar = program_.buffers[buffer.index()].shape.empty();  // boxes of it have no dimension and look empty, but are touched
    memory_ = program_.buffers[buffer.index()].memory;
    std::vector<std::uint32_t> reader_on(parts.count(), program::kNoIndex);  // by part
    std::vector<Box> read(sources.size());
    for (std::uint32_t j = 0; j < sources.size(); ++j) {
      read[j] = hull_of(reader, j);
      const std::uint32_t part = parts.on(reader.array->components[j]);
      if (part != program::Parts::kNone) reader_on[part] = j;
    }
    const auto writers = static_cast<std::uint32_t>(program::instance_count(*writer.array));
    for (std::uint32_t i = 0; i < writers; ++i) {
      const Box written = hull_of(writer, i);
      if (written.empty() && !scalar) continue;
      const std::uint32_t here = parts.on(writer.array->components[i]);
      const auto reaches = [&](std::uint32_t part) {
        const std::uint32_t j = reader_on[part];
        if (j == program::kNoIndex || (read[j].empty() && !scalar) || !program::overlap(written, read[j])) return;
        sources[j].push_back(i);
      };
      if (!writer.store) {
        if (here != program::Parts::kNone) reaches(here);
        continue;
      }
      parts.meeting(written, [&](std::uint32_t g) {
        for (const std::uint32_t part : parts.groups()[g].instances)
          if (!writer.updates || part != here) reaches(part);
      });
    }
  }

  /// What an instance touches, step by step of its outermost loop; nothing when that is too much to say.
  static std::optional<std::vector<Box>> steps_of(const program::Use& use, std::uint32_t instance, const Actor& actor) {
    std::int64_t inner = 1;
    for (std::size_t l = 1; l < actor.loops.size(); ++l) inner *= actor.loops[l].trip;
    program::Firings firings;
    if (!use.firings(inner, firings)) return std::nullopt;
    use.shift(instance, firings);
    std::vector<Box> steps;
    for (const auto& boxes : firings) steps.push_back(around(boxes));
    return steps;
  }

  /// Steps of the writer that must be over before the reader's first one, when each further step needs one more; kWhole where their
  /// outermost loops do not go together.
  std::int64_t lead_of(const program::Use& writer, const program::Use& reader, const Sources& sources) {
    const Actor &from = context_.actors[writer.actor], &to = context_.actors[reader.actor];
    if (from.loops.empty() || to.loops.empty() || program_.buffers[writer.access->buffer.index()].shape.empty()) return kWhole;
    const std::int64_t trip = from.loops[0].trip;
    if (trip != to.loops[0].trip || trip < 2 || trip > kMostSteps || writer.access->message == 0) return kWhole;
    std::int64_t lead = 1;
    std::map<std::uint32_t, std::vector<Box>> written;
    for (std::uint32_t j = 0; j < sources.size(); ++j) {
      if (sources[j].empty()) continue;
      const auto read = steps_of(reader, j, to);
      if (!read) return kWhole;
      for (const std::uint32_t i : sources[j]) {
        auto& steps = written[i];
        if (steps.empty()) {
          auto found = steps_of(writer, i, from);
          if (!found) return kWhole;
          steps = *std::move(found);
        }
        for (std::int64_t t = 0; t < trip; ++t)
          for (std::int64_t u = trip - 1; u >= t + lead; --u) {
            const Box &a = steps[static_cast<std::size_t>(u)], &b = (*read)[static_cast<std::size_t>(t)];
            if (a.empty() || b.empty() || !program::overlap(a, b)) continue;
            lead = u + 1 - t;
            break;
          }
        if (lead >= trip) return kWhole;
      }
    }
    return lead;
  }

  /// A port whose tokens have no element: taken before the first firing, or given after the last. With a lead one is given after each step
  /// of the outermost loop, and so many are taken before the first step, and one more before each other as long as there are some. Ports
  /// come before states in the numbering of slots: what names a state moves up.
  int add_port(std::size_t number, bool input, std::string name, std::int64_t lead) {
    Actor& actor = context_.actors[number];
    Port port;
    port.name = std::move(name);
    port.input = input;
    port.token.format = numerics::Format::int8;
    port.token.shape = {0};
    port.token.order = {0};
    port.kept.assign(actor.loops.size(), true);
    if (lead < kWhole) port.kept[0] = false;
    if (lead > 1 && lead < kWhole) port.window = program::Window{0, lead, 1, 0, lead - 1, true, 0};
    const int added = static_cast<int>(actor.ports.size());
    actor.ports.push_back(std::move(port));
    for (program::Statement& s : actor.statements) {
      for (numerics::Access& read : s.reads)
        if (read.slot >= added) ++read.slot;
      if (s.write.slot >= added) ++s.write.slot;
    }
    return added;
  }

  const program::Program& program_;
  program::PartsOf parts_;
  Context context_;
  std::vector<std::size_t> phase_of_;  ///< by actor
  std::size_t phases_ = 0;
  chip::MemoryId memory_;
  std::string problem_;
  std::size_t phase_ = 0, with_ = 0;  ///< of the problem
};

}  // namespace

Chained chain(const program::Program& program, std::span<const Context> phases, std::span<const HandedBuffer> handed) {
  return Joiner(program).run(phases, handed);
}

}  // namespace switchyard::compiler
