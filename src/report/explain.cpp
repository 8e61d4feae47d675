#include "report/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "chip/query.h"
#include "numerics/packing.h"
#include "program/findings.h"
#include "program/spread.h"
#include "report/table_parts.h"
#include "simulation/timing/cost.h"

namespace switchyard::report {
namespace {

using program::Actor;
using program::ActorKind;
using program::Context;
using simulation::Cause;

Picoseconds at_rate(std::int64_t bytes, double rate) {
  return rate > 0 ? time_to_move(Bytes(bytes), BytesPerSecond(rate)) : Picoseconds(0);
}

std::string readable_rate(double rate) { return readable_bytes(static_cast<std::int64_t>(rate)) + "/s"; }

std::int64_t greatest(const std::vector<std::int64_t>& list) { return list.empty() ? 0 : *std::max_element(list.begin(), list.end()); }

/// Of one barrier between contexts.
Picoseconds barrier_time(const program::Program& program, const Context& context) {
  const chip::Chip& chip = *program.chip;
  if (chip.sequencer.kind != chip::SequencerKind::component_queues || context.arrays.empty()) return Picoseconds(0);
  const auto n = chip::working_instances(chip.components[context.arrays[0].component.index()]).size();
  for (const chip::Sync& sync : chip.syncs) {
    if (sync.name == "barrier")
      return from_seconds(sync.alpha.value + sync.beta.value * std::log2(static_cast<double>(std::max<std::size_t>(1, n))));
  }
  return Picoseconds(0);
}

class Teller {
 public:
  Teller(const compiler::Compiled& compiled, const simulation::Timing& timing)
      : compiled_(compiled), program_(compiled.program), chip_(*compiled.program.chip), timing_(timing) {
    for (std::size_t t = 0; t < compiled.graph.tensors.size(); ++t) tensor_named_.emplace(compiled.graph.tensors[t].name, t);
  }

  ContextStory tell(std::size_t number, const ContextReport& report) {
    ContextStory story;
    story.report = report;
    story.number = number;
    story.start = timing_.contexts[number].start;
    const Context& context = program_.contexts[number];
    story.traffic = program::count_traffic(program_, context);
    if (story.number < compiled_.contexts.size()) story.bound = compiled_.contexts[story.number].bound;
    for (const compiler::Decision& d : compiled_.decisions) {
      if (d.subject == context.name && !d.alternatives.empty()) story.decision = d;
    }
    const compiler::ContextMap& map = compiled_.contexts[number];
    for (const auto& [tensor, buffer] : map.reads) story.tensors.push_back(tensor_story(story, context, tensor, buffer, false));
    for (const auto& [tensor, buffer] : map.writes) story.tensors.push_back(tensor_story(story, context, tensor, buffer, true));
    tell_early(story, context);
    story.demands = demands_of(story, context);
    story.why = why(story, context);
    return story;
  }

 private:
  TensorStory tensor_story(const ContextStory& story, const Context& context, graph::TensorId id, program::BufferId buffer, bool write) {
    const graph::Tensor& tensor = compiled_.graph.tensor(id);
    const program::Buffer& b = program_.buffers[buffer.index()];
    TensorStory t;
    t.name = tensor.name;
    t.write = write;
    const auto& outputs = compiled_.graph.outputs;
    t.role = tensor.role == graph::Role::constant                             ? "weights"
             : tensor.role == graph::Role::input                              ? "input"
             : std::find(outputs.begin(), outputs.end(), id) != outputs.end() ? "output"
                                                                              : "activation";
    t.format = numerics::format_name(tensor.format);
    t.shape = tensor.shape;
    t.bytes = numerics::stored_bytes(tensor.format, numerics::element_count(tensor.shape));
    t.stays = b.spread.has_value();
    if (b.spread) {
      t.components = program::part_count(*b.spread);
      t.part = b.spread->extent;
      t.part_bytes = program::part_bytes(b);
      std::int64_t held = 0;
      for (std::uint32_t i = 0; i < t.components; ++i) {
        std::int64_t points = 1;
        for (const auto& [begin, end] : program::part_of(b, i)) points *= std::max<std::int64_t>(0, end - begin);
        held += points;
      }
      const std::int64_t elements = numerics::element_count(tensor.shape);
      t.copies = elements > 0 ? static_cast<double>(held) / static_cast<double>(elements) : 1;
    }
    for (std::size_t a = 0; a < context.actors.size(); ++a) {
      const Actor& actor = context.actors[a];
      const program::ActorTraffic& traffic = story.traffic.actors[a];
      if (!write && actor.source && actor.source->buffer == buffer && !b.spread) {
        t.moved += traffic.bytes;
        t.early = t.early || actor.early;
        if (feeds_mover(context, program::ActorId(a))) t.shared += traffic.bytes;
      }
      if (!write || !actor.destination) continue;
      const program::BufferId to = actor.destination->buffer;
      const program::Buffer& target = program_.buffers[to.index()];
      if (to == buffer && !b.spread) t.moved += traffic.bytes;
      if (target.spread && tensor_of(target.name) == id.index()) {
        TensorStory::Send send;
        send.buffer = target.name;
        send.copies = to == buffer;
        send.components = program::part_count(*target.spread);
        send.messages = traffic.transfers;
        send.bytes = traffic.bytes;
        t.sends.push_back(send);
      }
    }
    return t;
  }

  /// The tensor whose values a buffer holds: of its name, or of the name before "@1".
  [[nodiscard]] std::size_t tensor_of(const std::string& name) const {
    if (const auto found = tensor_named_.find(name); found != tensor_named_.end()) return found->second;
    const auto found = tensor_named_.find(name.substr(0, name.rfind('@')));
    return found != tensor_named_.end() ? found->second : compiled_.graph.tensors.size();
  }

  /// What it loads is handed on to other components by another mover.
  static bool feeds_mover(const Context& context, program::ActorId from) {
    return std::any_of(context.channels.begin(), context.channels.end(), [&](const program::Channel& c) {
      if (c.from.actor != from || c.to.empty()) return false;
      const program::Actor& to = context.actors[c.to.front().end.actor.index()];
      return to.kind == ActorKind::move && program::moves_data(to.ports[static_cast<std::size_t>(c.to.front().end.port)]);
    });
  }

  void tell_early(ContextStory& story, const Context& context) {
    bool any = false;
    for (std::size_t a = 0; a < context.actors.size(); ++a) {
      if (!context.actors[a].early) continue;
      any = true;
      if (context.actors[a].source) story.early_bytes += story.traffic.actors[a].bytes;
    }
    if (!any) return;
    const std::size_t first = program::first_beside(program_, story.number);
    story.ahead = static_cast<std::int64_t>(story.number - std::min(first, story.number));
    if (first > 0) story.ahead_after = program_.contexts[first - 1].name;
    for (const program::Channel& c : context.channels) {
      if (program::fed_early(context, c)) story.ahead_bytes += c.bytes;
    }
  }

  std::vector<Demand> demands_of(const ContextStory& story, const Context& context) {
    std::vector<Demand> list;
    const program::ContextTraffic& t = story.traffic;
    const auto add = [&](std::string resource, Picoseconds time, Cause cause, std::string how) {
      if (time.value > 0) list.push_back({std::move(resource), std::move(how), time, cause});
    };
    demand_memories(t, story, add);
    for (std::size_t n = 0; n < t.links.size(); ++n) {
      const std::int64_t most = greatest(t.links[n]);
      const double rate = chip_.networks[n].link.value;
      add(chip_.networks[n].name, at_rate(most, rate), Cause::interconnect,
          fmt::format("its busiest link carries {} at {}", readable_bytes(most), readable_rate(rate)));
    }
    for (std::size_t m = 0; m < t.movers.size(); ++m) demand_mover(chip_.movers[m], t.movers[m], add);
    const std::int64_t commands = greatest(t.commands);
    if (chip_.sequencer.kind == chip::SequencerKind::component_queues) {
      add("control core", from_seconds(chip_.sequencer.issue.value * static_cast<double>(commands)), Cause::control,
          fmt::format("the busiest component issues {} of {} each", counted(commands, "command"),
                      readable_time(from_seconds(chip_.sequencer.issue.value))));
    }
    if (story.number > 0) add("barrier", barrier_time(program_, context), Cause::control, "all components wait for each other before it");
    add("context switch", from_seconds(chip_.context.switch_time.value), Cause::reconfiguration, "before it starts");
    std::map<std::size_t, std::map<std::uint32_t, Picoseconds>> units;  // by component: stages of a pipeline have theirs
    for (const Actor& actor : context.actors) {
      if (actor.kind != ActorKind::compute) continue;
      const program::Array& array = context.arrays[actor.array.index()];
      const Picoseconds time = computing(context, actor, greatest(t.dealt));
      auto& on = units[actor.unit.index()];
      if (array.dynamic) on[0] += time;
      for (const std::uint32_t component : array.components) on[component] += time;
    }
    for (const auto& [unit, on] : units) {
      Picoseconds most(0);
      for (const auto& [component, time] : on) most = std::max(most, time);
      add(chip_.units[unit].name, most, Cause::compute, "the busiest component computes");
    }
    std::stable_sort(list.begin(), list.end(), [](const Demand& a, const Demand& b) { return a.time > b.time; });
    return list;
  }

  /// Time in which the first instance of an actor, which has whole tiles if any has, computes; of a grid, all that one component gets.
  [[nodiscard]] Picoseconds computing(const Context& context, const Actor& actor, std::int64_t dealt) const {
    constexpr std::int64_t kMostFirings = 1 << 18;
    const std::vector<std::int64_t> extents = program::variable_extents(context, actor);
    Result<simulation::timing::ComputeCosts> costs = simulation::timing::ComputeCosts::make(chip_, context, actor, extents);
    if (!costs) return Picoseconds(0);
    std::vector<std::int64_t> trips;
    std::int64_t firings = 1;
    for (const program::Loop& l : actor.loops) {
      trips.push_back(l.trip);
      firings = std::min(firings * std::min(l.trip, kMostFirings), kMostFirings);
    }
    std::vector<std::int64_t> variables(extents.size(), 0);
    std::int64_t* loops = variables.data() + (extents.size() - trips.size());
    simulation::timing::Odometer at = simulation::timing::odometer_start(trips, loops);
    Picoseconds sum{0};
    for (std::int64_t f = 0; f < firings; ++f) {
      sum += Picoseconds(costs.value().price(variables, at, loops).duration);
      if (!simulation::timing::odometer_step(at, trips, loops)) break;
    }
    return context.arrays[actor.array.index()].dynamic ? sum * std::max<std::int64_t>(1, dealt) : sum;
  }

  template <class Add>
  void demand_memories(const program::ContextTraffic& t, const ContextStory& story, const Add& add) {
    std::map<std::size_t, std::int64_t> bytes;
    for (const program::PortTraffic& p : t.ports) bytes[p.memory.index()] += p.read + p.written;
    if (t.ports.empty() && t.read + t.written > 0) bytes[chip::off_chip_memory(chip_).index()] = t.read + t.written;
    for (const auto& [m, n] : bytes) {
      const chip::Memory& memory = chip_.memories[m];
      const auto cache = chip::cache_of(chip_, chip::MemoryId(m));
      const chip::Memory& first = cache ? chip_.memories[cache->index()] : memory;
      const auto instances = static_cast<double>(chip::working_instances(chip_.components[first.in.index()]).size());
      const double rate = chip::sustained_bandwidth(first).value * instances;
      std::string how = fmt::format("{} at {}", readable_bytes(n), readable_rate(rate));
      if (story.early_bytes > 0)
        how += story.early_bytes >= n ? ", all by early movers" : fmt::format(", {} by early movers", readable_bytes(story.early_bytes));
      if (cache) how += fmt::format(" (what it lacks comes from {})", memory.name);
      add(first.name, at_rate(n, rate), Cause::memory, how);
    }
  }

  template <class Add>
  void demand_mover(const chip::Mover& mover, const std::vector<program::ActorTraffic>& use, const Add& add) {
    const auto engines = static_cast<double>(std::max<std::int64_t>(1, mover.count));
    const double places = engines * static_cast<double>(std::max<std::int64_t>(1, mover.outstanding));
    std::int64_t bytes = 0, transfers = 0;
    for (const program::ActorTraffic& u : use) bytes = std::max(bytes, u.bytes), transfers = std::max(transfers, u.transfers);
    const auto is_dram = [&](chip::MemoryId id) { return chip_.memories[id.index()].kind == chip::MemoryKind::dram; };
    const bool off_chip =
        std::any_of(mover.from.begin(), mover.from.end(), is_dram) || std::any_of(mover.to.begin(), mover.to.end(), is_dram);
    const Picoseconds moving = at_rate(bytes, mover.bandwidth.value * engines);
    const Picoseconds starting = from_seconds(mover.startup.value * static_cast<double>(transfers) / places);
    if (moving >= starting) {
      add(mover.name, moving, off_chip ? Cause::memory : Cause::interconnect,
          fmt::format("the busiest one carries {} at {}", readable_bytes(bytes), readable_rate(mover.bandwidth.value * engines)));
    } else {
      add(mover.name, starting, Cause::control,
          fmt::format("the busiest one starts {} of {} each, {:.0f} at once", counted(transfers, "transfer"),
                      readable_time(from_seconds(mover.startup.value)), places));
    }
  }

  std::string why(const ContextStory& story, const Context& context) {
    const ContextReport& r = story.report;
    if (r.share.value <= 0) return "other contexts hide all of it";
    const std::size_t cause = main_cause(r.attribution);
    std::string text =
        fmt::format("mainly {} ({})", simulation::kCauseNames[cause], readable_share(share_of(r.attribution[cause], r.share)));
    if (static_cast<Cause>(cause) == Cause::imbalance) {
      std::int64_t most = 0, sum = 0, busy = 0;
      for (const std::int64_t w : story.traffic.work) most = std::max(most, w), sum += w, busy += w > 0 ? 1 : 0;
      const auto working =
          context.arrays.empty() ? 0 : chip::working_instances(chip_.components[context.arrays[0].component.index()]).size();
      if (sum > 0 && busy > 0)
        text += fmt::format(": {} of {} components have work, the busiest {} times their mean", busy, working,
                            readable_ratio(static_cast<double>(most) * static_cast<double>(busy) / static_cast<double>(sum)));
      return text;
    }
    const auto found = std::find_if(story.demands.begin(), story.demands.end(),
                                    [&](const Demand& d) { return static_cast<std::size_t>(d.cause) == cause; });
    if (found != story.demands.end()) text += fmt::format(": {}, {}, takes {}", found->resource, found->how, readable_time(found->time));
    if (found != story.demands.end() && found != story.demands.begin())
      text += fmt::format("; but {} alone needs {} ({})", story.demands.front().resource, readable_time(story.demands.front().time),
                          story.demands.front().how);
    return text;
  }

  const compiler::Compiled& compiled_;
  const program::Program& program_;
  const chip::Chip& chip_;
  const simulation::Timing& timing_;
  std::map<std::string, std::size_t> tensor_named_;
};

/// What the demands of all contexts on resources of a cause add up to, the largest first.
std::vector<std::pair<std::string, Picoseconds>> totals_of(const Explanation& e, Cause cause) {
  std::map<std::string, Picoseconds> sums;
  for (const ContextStory& c : e.contexts) {
    for (const Demand& d : c.demands) {
      if (d.cause == cause) sums[d.resource] += d.time;
    }
  }
  std::vector<std::pair<std::string, Picoseconds>> list(sums.begin(), sums.end());
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return list;
}

/// Sentences about the three greatest causes.
std::vector<std::string> why_of(const Explanation& e) {
  std::vector<std::size_t> causes{0, 1, 2, 3, 4, 5};
  const auto& by_cause = e.run.attribution;
  std::stable_sort(causes.begin(), causes.end(), [&](std::size_t a, std::size_t b) { return by_cause[a] > by_cause[b]; });
  std::vector<std::string> sentences;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t c = causes[i];
    const double share = share_of(by_cause[c], e.run.latency);
    if (share < 0.05) break;
    std::string text = fmt::format("{} {} ({})", simulation::kCauseNames[c], readable_time(by_cause[c]), readable_share(share));
    std::vector<std::string> parts;
    if (static_cast<Cause>(c) == Cause::control && e.run.launch.value > 0) parts.push_back("launch " + readable_time(e.run.launch));
    for (const auto& [resource, time] : totals_of(e, static_cast<Cause>(c))) {
      if (parts.size() < 4) parts.push_back(fmt::format("{} {}", resource, readable_time(time)));
    }
    if (!parts.empty()) text += fmt::format("; demands add up to: {}", fmt::join(parts, ", "));
    sentences.push_back(text);
  }
  return sentences;
}

}  // namespace

Explanation explain(const compiler::Compiled& compiled, const simulation::Timing& timing, RunReport run, std::vector<Lever> levers) {
  Explanation e;
  e.run = std::move(run);
  e.levers = std::move(levers);
  for (const compiler::Decision& d : compiled.decisions) {
    if (d.alternatives.empty()) e.passes.push_back(d);
  }
  Teller teller(compiled, timing);
  for (std::size_t c = 0; c < e.run.contexts.size(); ++c) e.contexts.push_back(teller.tell(c, e.run.contexts[c]));
  e.why = why_of(e);
  return e;
}

const ContextStory* find_context(const Explanation& explanation, const std::string& name) {
  for (const ContextStory& c : explanation.contexts) {
    if (c.report.name == name) return &c;
  }
  for (const ContextStory& c : explanation.contexts) {
    if (std::find(c.report.ops.begin(), c.report.ops.end(), name) != c.report.ops.end()) return &c;
  }
  return nullptr;
}

}  // namespace switchyard::report
