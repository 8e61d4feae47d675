#include "simulation/functional/group.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <string>
#include <utility>

#include "program/spread.h"
#include "simulation/functional/elements.h"
#include "simulation/functional/transfer.h"
#include "support/check.h"
#include "support/parallel.h"

namespace switchyard::simulation::functional {

using program::kNoIndex;

std::byte* Worker::arena(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  if (size_ < bytes + kAlignment) {
    storage_.reset();
    storage_ = std::make_unique_for_overwrite<std::byte[]>(bytes + kAlignment);
    size_ = bytes + kAlignment;
  }
  void* place = storage_.get();
  std::size_t room = size_;
  return static_cast<std::byte*>(std::align(kAlignment, bytes, place, room));
}

namespace {

struct RingState {
  const ChannelPlan* channel = nullptr;
  std::byte* data = nullptr;
  std::int64_t produced = 0;
  std::size_t first_released = 0;  ///< into Group::released_: per consumer, tokens released
  std::uint32_t producer = 0;      ///< local
  std::uint32_t id = 0;            ///< in the layout
  [[nodiscard]] std::byte* slot(std::int64_t number) const { return data + number % channel->depth * channel->slot_bytes; }
};

/// What an actor that uses boxes of buffers remembers.
struct BoxState {
  std::vector<Ground> places;      ///< per port
  std::vector<std::byte*> tokens;  ///< per port with a place: the present token
  std::uint64_t standing = 0;      ///< ports whose token stands in the part
  std::optional<Ground> source, destination;
  Messages messages;
  std::vector<std::byte> staging;
  std::vector<std::int64_t> staging_strides;
  /// Statements for tokens standing in parts, made when first needed.
  std::vector<std::pair<std::uint64_t, std::vector<StatementPlan>>> variants;
};

struct ActorState {
  const ActorPlan* plan = nullptr;
  std::uint32_t id = 0;  ///< in the layout
  program::Odometer odometer;
  std::vector<std::int64_t> variables;  ///< coordinates, then loops
  std::size_t coordinates = 0;
  std::vector<std::byte*> states;
  std::vector<std::byte*> scratch;  ///< per port: where a token goes that no ring takes; may be null
  std::vector<SlotView> views;      ///< ports, then states
  std::vector<std::vector<const std::byte*>> windows;
  std::vector<std::int64_t> extents, statement_extents;
  std::vector<std::int64_t> picked;       ///< of a mover that picks: by dimension of its source
  std::optional<Diagnostic> wrong_index;  ///< the first one picked outside its dimension
  BoxState boxes;
  bool queued = false;
};

class Group {
 public:
  Group(const program::Program& program, const ContextPlan& plan, std::size_t group, BufferStore& buffers, std::vector<Worker*> workers)
      : program_(program), plan_(plan), buffers_(buffers), workers_(std::move(workers)) {
    const auto begin = plan.group_begin[group], end = plan.group_begin[group + 1];
    actors_.reserve(end - begin);
    for (auto at = begin; at < end; ++at) add_actor(plan.members[at]);
    for (auto at = plan.ring_begin[group]; at < plan.ring_begin[group + 1]; ++at) add_ring(plan.rings[at]);
    place_storage();
  }

  std::optional<Diagnostic> run() {
    for (std::uint32_t a = 0; a < actors_.size(); ++a) wake(a);
    if (workers_.size() > 1) {
      run_rounds();
    } else {
      while (!queue_.empty()) {
        const std::uint32_t a = pop();
        while (ready(actors_[a])) {
          fire(actors_[a], workers_[0]->workspace);
          commit(actors_[a]);
        }
      }
    }
    const bool stuck = std::any_of(actors_.begin(), actors_.end(), [](const ActorState& a) { return !a.odometer.done(); });
    if (stuck) return deadlock();
    const auto wrong = std::find_if(actors_.begin(), actors_.end(), [](const ActorState& a) { return a.wrong_index.has_value(); });
    return wrong == actors_.end() ? std::nullopt : wrong->wrong_index;
  }

 private:
  // ---------------------------------------------------------------------------------------------------------------- set-up

  void add_actor(std::uint32_t id) {
    const program::ActorInstance& instance = plan_.layout.actors[id];
    const ActorPlan& plan = plan_.actors[instance.actor.index()];
    const program::Actor& actor = *plan.actor;
    ActorState& state = actors_.emplace_back(ActorState{&plan, id, program::Odometer(actor.loops), {}, 0, {}, {}, {}, {}, {}, {}, {}});
    state.variables = program::coordinates(plan_.context->arrays[actor.array.index()], instance.instance);
    state.coordinates = state.variables.size();
    state.variables.resize(state.coordinates + actor.loops.size(), 0);
    state.states.resize(actor.states.size());
    state.scratch.resize(actor.ports.size());
    state.views.resize(actor.ports.size() + actor.states.size());
    state.windows.resize(actor.ports.size());
    for (std::size_t p = 0; p < plan.ports.size(); ++p) {
      if (plan.ports[p].rule.windowed()) state.windows[p].resize(static_cast<std::size_t>(plan.ports[p].rule.peek));
    }
    state.extents.resize(actor.dims.size());
    find_boxes(state, instance.component);
  }

  void find_boxes(ActorState& state, std::uint32_t component) {
    const ActorPlan& plan = *state.plan;
    BoxState& boxes = state.boxes;
    boxes.places.resize(plan.ports.size());
    boxes.tokens.resize(plan.ports.size(), nullptr);
    for (std::size_t p = 0; p < plan.ports.size(); ++p) {
      if (is_placed(plan, p)) boxes.places[p] = buffers_.ground(plan.ports[p].place[0].buffer, component);
    }
    if (!plan.source.empty()) boxes.source = buffers_.ground(plan.source[0].buffer, component);
    if (plan.destination.empty()) return;
    boxes.destination = buffers_.ground(plan.destination[0].buffer, component);
    if (plan.within) boxes.messages.own = program::instance_on(*program_.buffers[plan.destination[0].buffer.index()].spread, component);
  }
  static bool is_placed(const ActorPlan& plan, std::size_t port) { return !plan.ports[port].place.empty(); }

  void add_ring(std::uint32_t id) {
    const program::Ring& ring = plan_.layout.rings[id];
    RingState& state = rings_.emplace_back();
    state.channel = &plan_.channels[ring.channel.index()];
    state.id = id;
    state.produced = state.channel->initial;
    state.first_released = released_.size();
    state.producer = plan_.local[ring.producer];
    released_.resize(released_.size() + ring.consumer_count, 0);
    SY_CHECK(state.channel->initial <= state.channel->depth, "more initial tokens than a ring holds");
  }

  /// Gives every ring, state and scratch token its place in the arena.
  void place_storage() {
    constexpr std::size_t kAlignment = 64;
    std::size_t total = 0;
    std::vector<std::pair<std::byte**, std::size_t>> places;
    const auto want = [&](std::byte** where, std::int64_t bytes) {
      places.emplace_back(where, total);
      total += (static_cast<std::size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
    };
    for (RingState& ring : rings_) {
      std::int64_t bytes = 0;
      SY_CHECK(!__builtin_mul_overflow(ring.channel->depth, ring.channel->slot_bytes, &bytes), "bytes of a ring");
      want(&ring.data, bytes);
    }
    for (ActorState& actor : actors_) {
      for (std::size_t s = 0; s < actor.states.size(); ++s) want(&actor.states[s], actor.plan->states[s].bytes);
      if (actor.plan->actor->kind != program::ActorKind::compute) continue;
      for (std::size_t p = 0; p < actor.scratch.size(); ++p) {
        const PortPlan& port = actor.plan->ports[p];
        if (!port.place.empty() || (!port.rule.input && needs_scratch(actor, p))) want(&actor.scratch[p], port.bytes);
      }
    }
    std::byte* const arena = workers_[0]->arena(total);
    for (const auto& [where, offset] : places) *where = arena + offset;
    for (RingState& ring : rings_) {
      for (std::int64_t i = 0; i < ring.channel->initial && ring.channel->slot_bytes > 0; ++i) {
        std::memcpy(ring.slot(i), ring.channel->initial_token.data(), ring.channel->initial_token.size());
      }
    }
    for (ActorState& actor : actors_) {
      for (std::size_t p = 0; p < actor.scratch.size(); ++p) {
        if (actor.scratch[p] != nullptr && !is_placed(*actor.plan, p))
          std::memset(actor.scratch[p], 0, static_cast<std::size_t>(actor.plan->ports[p].bytes));
      }
      for (std::size_t s = 0; s < actor.states.size(); ++s) {
        actor.views[actor.scratch.size() + s].data = actor.states[s];
        std::memcpy(actor.states[s], actor.plan->states[s].initial.data(), static_cast<std::size_t>(actor.plan->states[s].bytes));
      }
    }
  }
  [[nodiscard]] bool needs_scratch(const ActorState& actor, std::size_t port) const {
    for (const program::Outlet& outlet : plan_.layout.outlets_of(actor.id, port)) {
      if (plan_.layout.from_guards[outlet.channel.index()].empty()) return false;  // takes every token
    }
    return true;
  }

  // -------------------------------------------------------------------------------------------------------------- worklist

  void wake(std::uint32_t a) {
    if (actors_[a].queued || actors_[a].odometer.done()) return;
    actors_[a].queued = true;
    queue_.push_back(a);
  }
  std::uint32_t pop() {
    const std::uint32_t a = queue_.front();
    queue_.pop_front();
    actors_[a].queued = false;
    return a;
  }

  /// All that is ready fires, then all of it commits. What fires together touches different tokens.
  void run_rounds() {
    constexpr double kWorthThreads = 100e3;  // nanoseconds
    std::vector<std::uint32_t> firing;
    while (!queue_.empty()) {
      firing.clear();
      for (std::size_t waiting = queue_.size(); waiting > 0; --waiting) {
        const std::uint32_t a = pop();
        if (ready(actors_[a])) firing.push_back(a);
      }
      double cost = 0, greatest = 0;
      for (const std::uint32_t a : firing) {
        cost += actors_[a].plan->cost;
        greatest = std::max(greatest, actors_[a].plan->cost);
      }
      const std::size_t threads = cost - greatest < kWorthThreads ? 1 : std::min(workers_.size(), firing.size());
      parallel_for(static_cast<int>(threads), firing.size(),
                   [&](std::size_t i) { fire(actors_[firing[i]], workers_[i % threads]->workspace); });
      for (const std::uint32_t a : firing) {
        commit(actors_[a]);
        wake(a);
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------------------- tokens

  [[nodiscard]] const LinePlan& line_of(const program::Feed& feed) const {
    return plan_.channels[feed.channel.index()].feeds[feed.consumer];
  }
  [[nodiscard]] const LinePlan& line_of(const program::Outlet& outlet) const { return plan_.channels[outlet.channel.index()].outlet; }
  RingState& ring(std::uint32_t id) { return rings_[plan_.local_ring[id]]; }
  [[nodiscard]] const RingState& ring(std::uint32_t id) const { return rings_[plan_.local_ring[id]]; }

  /// Tokens of a feed that lie before `position` of the present sweep (without a window: before or after the present token).
  static std::int64_t tokens_before(const LinePlan& line, std::span<const std::int64_t> index, std::int64_t position) {
    return line.vectors.number(index) * line.per_vector() + std::clamp(position, line.begin, line.end) - line.begin;
  }

  /// Why an actor cannot fire: the port and, when a ring is the reason, its number.
  struct Obstacle {
    int port = -1;
    std::uint32_t ring = kNoIndex;
  };

  [[nodiscard]] bool ready(const ActorState& actor, Obstacle* obstacle = nullptr) const {
    if (actor.odometer.done()) return false;
    const auto index = actor.odometer.index();
    for (std::size_t p = 0; p < actor.plan->ports.size(); ++p) {
      const program::PortRule& rule = actor.plan->ports[p].rule;
      if (is_placed(*actor.plan, p) || !rule.active(index) || !rule.begins(actor.odometer.z())) continue;
      const Obstacle found = rule.input ? missing_token(actor, p) : missing_space(actor, p);
      if (found.port < 0) continue;
      if (obstacle != nullptr) *obstacle = found;
      return false;
    }
    return true;
  }

  [[nodiscard]] Obstacle missing_token(const ActorState& actor, std::size_t p) const {
    const program::PortRule& rule = actor.plan->ports[p].rule;
    const auto index = actor.odometer.index();
    const std::int64_t through = rule.windowed() ? rule.acquired_through(index[static_cast<std::size_t>(rule.window_loop)]) : 1;
    bool fed = rule.windowed();
    for (const program::Feed& feed : plan_.layout.feeds_of(actor.id, p)) {
      if (feed.ring == kNoIndex) continue;
      const LinePlan& line = line_of(feed);
      if (!line.vectors.holds(index)) continue;
      fed = true;
      if (ring(feed.ring).produced < tokens_before(line, index, through)) return {static_cast<int>(p), feed.ring};
    }
    return fed ? Obstacle{} : Obstacle{static_cast<int>(p), kNoIndex};
  }

  [[nodiscard]] Obstacle missing_space(const ActorState& actor, std::size_t p) const {
    const auto index = actor.odometer.index();
    for (const program::Outlet& outlet : plan_.layout.outlets_of(actor.id, p)) {
      const LinePlan& line = line_of(outlet);
      if (!line.vectors.holds(index)) continue;
      const RingState& r = ring(outlet.ring);
      const auto consumers = plan_.layout.rings[outlet.ring].consumer_count;
      const std::int64_t number = r.channel->initial + line.vectors.number(index);
      for (std::uint32_t k = 0; k < consumers; ++k) {
        if (number - released_[r.first_released + k] >= r.channel->depth) return {static_cast<int>(p), outlet.ring};
      }
    }
    return {};
  }

  // --------------------------------------------------------------------------------------------------------------- a firing

  void fire(ActorState& actor, Workspace& workspace) {
    const auto index = actor.odometer.index();
    std::copy(index.begin(), index.end(), actor.variables.begin() + static_cast<std::ptrdiff_t>(actor.coordinates));
    for (std::size_t p = 0; p < actor.plan->ports.size(); ++p) {
      actor.views[p] = {};
      if (!actor.plan->ports[p].rule.active(index)) continue;
      if (is_placed(*actor.plan, p)) {
        view_place(actor, p);
      } else if (actor.plan->ports[p].rule.input) {
        view_input(actor, p);
      } else {
        view_output(actor, p);
      }
    }
    if (actor.plan->actor->kind == program::ActorKind::compute) {
      compute(actor, workspace);
      give_places(actor);
    } else {
      move(actor);
    }
  }

  /// The token of a port with a place: the elements where they stand, or a copy where some are filled in or could change meanwhile.
  void view_place(ActorState& actor, std::size_t p) {
    const PortPlan& port = actor.plan->ports[p];
    const BoxPlan& box = port.place[0];
    BoxState& boxes = actor.boxes;
    if (port.rule.begins(actor.odometer.z())) {
      constexpr std::size_t kMostStanding = 64;  // bits of the mask
      std::byte* const where = port.in_place && p < kMostStanding ? standing(box, boxes.places[p], actor.variables) : nullptr;
      if (p < kMostStanding) boxes.standing &= ~(std::uint64_t{1} << p);
      boxes.tokens[p] = actor.scratch[p];
      if (where != nullptr) {
        boxes.standing |= std::uint64_t{1} << p;
        boxes.tokens[p] = where;
      } else if (port.rule.input) {
        load(box, boxes.places[p], actor.variables, {actor.scratch[p], port.format, port.strides}, port.elements);
      } else {
        fill_unwritten(port.format, actor.scratch[p], port.elements);
      }
    }
    actor.views[p].data = boxes.tokens[p];
  }

  /// Writes the copies of tokens that end with this firing to their places.
  void give_places(ActorState& actor) {
    for (std::size_t p = 0; p < actor.plan->ports.size(); ++p) {
      const PortPlan& port = actor.plan->ports[p];
      if (port.place.empty() || port.rule.input || actor.boxes.tokens[p] != actor.scratch[p]) continue;
      if (!port.rule.active(actor.odometer.index()) || !port.rule.ends(actor.odometer.l())) continue;
      store(port.place[0], actor.boxes.places[p], actor.variables, {actor.scratch[p], port.format, port.strides});
    }
  }

  /// The statements of an actor, for tokens where they are now.
  static const std::vector<StatementPlan>& statements_of(ActorState& actor) {
    const std::uint64_t mask = actor.boxes.standing;
    if (mask == 0) return actor.plan->statements;
    for (const auto& [ports, statements] : actor.boxes.variants) {
      if (ports == mask) return statements;
    }
    std::vector<StatementPlan> made;
    for (const StatementPlan& statement : actor.plan->statements) made.push_back(in_parts(statement, mask));
    return actor.boxes.variants.emplace_back(mask, std::move(made)).second;
  }

  void view_input(ActorState& actor, std::size_t p) {
    const PortPlan& port = actor.plan->ports[p];
    const auto index = actor.odometer.index();
    const auto feeds = plan_.layout.feeds_of(actor.id, p);
    if (!port.rule.windowed()) {
      for (const program::Feed& feed : feeds) {
        const LinePlan& line = line_of(feed);
        if (feed.ring == kNoIndex || !line.vectors.holds(index)) continue;
        actor.views[p].data = ring(feed.ring).slot(line.vectors.number(index));
        return;
      }
      SY_CHECK(false, "an input without a token");
    }
    const std::int64_t first = port.rule.pop * index[static_cast<std::size_t>(port.rule.window_loop)];
    auto& table = actor.windows[p];
    std::fill(table.begin(), table.end(), port.pad.data());
    for (const program::Feed& feed : feeds) {
      const LinePlan& line = line_of(feed);
      if (feed.ring == kNoIndex || !line.vectors.holds(index)) continue;
      const RingState& r = ring(feed.ring);
      const std::int64_t base = line.vectors.number(index) * line.per_vector() - line.begin;
      for (std::int64_t at = std::max(first, line.begin); at < std::min(first + port.rule.peek, line.end); ++at) {
        table[static_cast<std::size_t>(at - first)] = r.slot(base + at);
      }
    }
    actor.views[p].window = table.data();
  }

  void view_output(ActorState& actor, std::size_t p) {
    const auto index = actor.odometer.index();
    actor.views[p].data = actor.scratch[p];
    for (const program::Outlet& outlet : plan_.layout.outlets_of(actor.id, p)) {
      const LinePlan& line = line_of(outlet);
      if (!line.vectors.holds(index)) continue;
      const RingState& r = ring(outlet.ring);
      const std::int64_t number = r.channel->initial + line.vectors.number(index);
      actor.views[p].data = r.slot(number);
      // What no firing writes must not depend on what the arena held before.
      const bool fresh = number < r.channel->depth && actor.plan->ports[p].rule.begins(actor.odometer.z());
      if (fresh && (actor.plan->actor->kind == program::ActorKind::compute || !moves_into(actor))) {
        std::memset(actor.views[p].data, 0, static_cast<std::size_t>(r.channel->slot_bytes));
      }
      return;
    }
  }

  /// Whether the present firing of a mover has both its ends.
  [[nodiscard]] static bool moves_into(const ActorState& actor) {
    const ActorPlan& plan = *actor.plan;
    return plan.input < 0 || plan.ports[static_cast<std::size_t>(plan.input)].rule.active(actor.odometer.index());
  }

  void compute(ActorState& actor, Workspace& workspace) {
    const ActorPlan& plan = *actor.plan;
    for (std::size_t s = 0; s < plan.states.size(); ++s) {
      const StatePlan& state = plan.states[s];
      if ((actor.odometer.z() & state.kept) == state.kept) {
        std::memcpy(actor.states[s], state.initial.data(), static_cast<std::size_t>(state.bytes));
      }
    }
    for (std::size_t d = 0; d < actor.extents.size(); ++d) {
      const program::Dim& dim = plan.actor->dims[d];
      actor.extents[d] = std::min(dim.tile, dim.total - dim.offset.at(actor.variables));
    }
    for (const StatementPlan& statement : statements_of(actor)) {
      const auto index = actor.odometer.index();
      if (!std::all_of(statement.guard.begin(), statement.guard.end(), [&](const auto& range) { return range.holds(index); })) continue;
      actor.statement_extents.clear();
      for (const int dim : statement.dims) actor.statement_extents.push_back(actor.extents[static_cast<std::size_t>(dim)]);
      const auto reachable = [&](const AccessPlan& access) {
        const SlotView& view = actor.views[static_cast<std::size_t>(access.slot)];
        return view.data != nullptr || view.window != nullptr;
      };
      SY_CHECK(reachable(statement.write) && std::all_of(statement.reads.begin(), statement.reads.end(), reachable),
               "a statement of actor " + plan.actor->name + " uses a port that is not active");
      run_statement(statement, actor.statement_extents, actor.views, workspace);
    }
  }

  // -------------------------------------------------------------------------------------------------------------- transfers

  void move(ActorState& actor) {
    const ActorPlan& plan = *actor.plan;
    const auto token = [&](int port) {
      const auto p = static_cast<std::size_t>(port);
      return port < 0 ? TokenView{} : TokenView{actor.views[p].data, plan.ports[p].format, plan.ports[p].strides};
    };
    const TokenView in = token(plan.input), out = token(plan.output);
    if ((plan.input >= 0 && in.data == nullptr) || (plan.output >= 0 && out.data == nullptr)) return;
    if (plan.output >= 0 && plan.input >= 0) {
      const std::vector<std::int64_t>& shape = plan.ports[static_cast<std::size_t>(plan.input)].shape;
      SY_CHECK(shape == plan.ports[static_cast<std::size_t>(plan.output)].shape, "a send between tokens of different shapes");
      std::array<CopyLoop, kMaxCopyLoops> loops;
      for (std::size_t d = 0; d < shape.size(); ++d) loops[d] = {shape[d], in.strides[d], out.strides[d]};
      copy_box(loops.data(), static_cast<int>(shape.size()), in.format, in.data, out.format, out.data);
    } else if (plan.output >= 0) {
      pick(actor);
      load(plan.source[0], *actor.boxes.source, actor.variables, out, plan.ports[static_cast<std::size_t>(plan.output)].elements,
           actor.picked);
    } else if (plan.input >= 0) {
      store_box(actor, in);
    } else {
      store_box(actor, read_box(actor));
    }
  }

  /// Where the present firing's box begins in the dimensions whose index is picked. A wrong index is remembered, and 0 taken for it.
  void pick(ActorState& actor) const {
    const ActorPlan& plan = *actor.plan;
    if (plan.picks.empty()) return;
    const program::Buffer& buffer = program_.buffers[plan.source[0].buffer.index()];
    actor.picked.assign(buffer.shape.size(), 0);
    for (const ActorPlan::Pick& pick : plan.picks) {
      const std::int64_t extent = buffer.shape[pick.dimension];
      std::int64_t index = 0;
      decode(plan.ports[pick.port].format, actor.views[pick.port].data, 1, &index, 1);
      const bool inside = index >= -extent && index < extent;
      if (!inside && !actor.wrong_index)
        actor.wrong_index =
            Diagnostic{"simulation/index",
                       fmt::format("{} looks up index {} in a dimension of {} of \"{}\"", plan_.context->name, index, extent, buffer.name),
                       {},
                       plan_.context->name,
                       "indices lie between minus the extent and the extent less one",
                       {}};
      actor.picked[pick.dimension] = !inside ? 0 : index < 0 ? index + extent : index;
    }
  }

  /// The source of a move from box to box: where it stands, or a copy.
  static TokenView read_box(ActorState& actor) {
    const ActorPlan& plan = *actor.plan;
    const BoxPlan& from = plan.source[0];
    BoxState& boxes = actor.boxes;
    std::byte* const where = plan.staged ? nullptr : standing(from, *boxes.source, actor.variables);
    if (where != nullptr) return {where, from.format, boxes.source->strides};
    const std::int64_t elements = numerics::element_count(from.extent);
    if (boxes.staging_strides.empty()) boxes.staging_strides = numerics::row_major_strides(from.extent);
    boxes.staging.resize(static_cast<std::size_t>(elements * numerics::format_bytes(from.format)));
    const TokenView copy{boxes.staging.data(), from.format, boxes.staging_strides};
    load(from, *boxes.source, actor.variables, copy, elements);
    return copy;
  }

  void store_box(ActorState& actor, const TokenView& token) {
    const BoxPlan& to = actor.plan->destination[0];
    if (!to.spread) return store(to, *actor.boxes.destination, actor.variables, token);
    const std::int64_t number = to.message < 0 ? 0 : actor.odometer.index()[static_cast<std::size_t>(to.message)];
    send(to, program_, buffers_, actor.variables, token, number, actor.boxes.messages);
  }

  // ----------------------------------------------------------------------------------------------------------------- commit

  /// Releases and emits what ends with this firing, and goes to the next.
  void commit(ActorState& actor) {
    const auto index = actor.odometer.index();
    for (std::size_t p = 0; p < actor.plan->ports.size(); ++p) {
      const program::PortRule& rule = actor.plan->ports[p].rule;
      if (is_placed(*actor.plan, p) || !rule.active(index) || !rule.ends(actor.odometer.l())) continue;
      if (rule.input) {
        release(actor, p);
      } else {
        emit(actor, p);
      }
    }
    actor.odometer.next();
  }

  void release(const ActorState& actor, std::size_t p) {
    const program::PortRule& rule = actor.plan->ports[p].rule;
    const auto index = actor.odometer.index();
    const std::int64_t through = rule.windowed() ? rule.released_through(index[static_cast<std::size_t>(rule.window_loop)]) : 1;
    for (const program::Feed& feed : plan_.layout.feeds_of(actor.id, p)) {
      const LinePlan& line = line_of(feed);
      if (feed.ring == kNoIndex || !line.vectors.holds(index)) continue;
      RingState& r = ring(feed.ring);
      released_[r.first_released + feed.consumer] = tokens_before(line, index, through);
      wake(r.producer);
    }
  }

  void emit(ActorState& actor, std::size_t p) {
    const auto index = actor.odometer.index();
    for (const program::Outlet& outlet : plan_.layout.outlets_of(actor.id, p)) {
      const LinePlan& line = line_of(outlet);
      if (!line.vectors.holds(index)) continue;
      RingState& r = ring(outlet.ring);
      const std::int64_t number = r.channel->initial + line.vectors.number(index);
      std::byte* const slot = r.slot(number);
      if (slot != actor.views[p].data && r.channel->slot_bytes > 0)
        std::memcpy(slot, actor.views[p].data, static_cast<std::size_t>(r.channel->slot_bytes));
      r.produced = number + 1;
      const program::Ring& flat = plan_.layout.rings[outlet.ring];
      for (std::uint32_t k = 0; k < flat.consumer_count; ++k) wake(plan_.local[plan_.layout.consumers[flat.first_consumer + k].actor]);
    }
  }

  // --------------------------------------------------------------------------------------------------------------- deadlock

  [[nodiscard]] Diagnostic deadlock() const {
    constexpr int kNamed = 6;
    std::string waits;
    int named = 0, more = 0;
    for (const ActorState& actor : actors_) {
      Obstacle obstacle;
      if (actor.odometer.done() || ready(actor, &obstacle) || obstacle.port < 0) continue;
      if (++named > kNamed) {
        ++more;
        continue;
      }
      const program::Actor& a = *actor.plan->actor;
      const program::Port& port = a.ports[static_cast<std::size_t>(obstacle.port)];
      const auto& channels = plan_.context->channels;
      const std::string channel = obstacle.ring == kNoIndex
                                      ? "which no channel feeds"
                                      : fmt::format("of channel {}", channels[plan_.layout.rings[obstacle.ring].channel.index()].name);
      waits += fmt::format("{}actor {} instance {} waits for {} at port {} {}", waits.empty() ? "" : "; ", a.name,
                           plan_.layout.actors[actor.id].instance, port.input ? "a token" : "space", port.name, channel);
    }
    if (more > 0) waits += fmt::format("; and {} more", more);
    return {"simulation/deadlock",
            fmt::format("context {} cannot go on: {}", plan_.context->name, waits),
            {},
            plan_.context->name,
            "deeper channels may help; verify says which",
            {}};
  }

  const program::Program& program_;
  const ContextPlan& plan_;
  BufferStore& buffers_;
  std::vector<Worker*> workers_;
  std::vector<ActorState> actors_;
  std::vector<RingState> rings_;
  std::vector<std::int64_t> released_;
  std::deque<std::uint32_t> queue_;
};

}  // namespace

std::optional<Diagnostic> run_group(const program::Program& program, const ContextPlan& plan, std::size_t group, BufferStore& buffers,
                                    std::vector<Worker*> workers) {
  return Group(program, plan, group, buffers, std::move(workers)).run();
}

}  // namespace switchyard::simulation::functional
