// Law 6, firing by firing: where a context stores into a buffer and loads from it, a path of channels between the two actors is not
// enough. Each load of an element must come after its store (or before it, where the path leads that way) in every order of firings that
// the channels allow. To see that, one instance is held before each of its firings while all others go on as far as they can: what
// they reach does not depend on the firing held.
#include <fmt/format.h>

#include <algorithm>

#include "program/boxes.h"
#include "program/findings.h"
#include "program/play.h"
#include "program/spread.h"
#include "program/touch.h"

namespace switchyard::program {

namespace {

constexpr std::int64_t kMostPlayed = std::int64_t{1} << 26;   ///< firings, over all plays of a context
constexpr std::int64_t kMostFirings = std::int64_t{1} << 18;  ///< of a mover whose boxes are listed
constexpr std::int64_t kMostPairs = std::int64_t{1} << 28;    ///< of firings compared

/// What one mover touches of a buffer, by instance and firing (as Play counts them).
struct Touches {
  std::size_t actor = 0;
  const BufferAccess* access = nullptr;
  std::vector<std::uint32_t> instances;              ///< of the layout
  std::vector<std::vector<std::vector<Box>>> boxes;  ///< per instance, per firing
};

class OrderLaw {
 public:
  OrderLaw(const Program& program, const Context& context, Findings& findings)
      : program_(program), context_(context), findings_(findings) {}

  void check() {
    for (std::size_t s = 0; s < context_.actors.size(); ++s) {
      if (!context_.actors[s].destination || spread(*context_.actors[s].destination)) continue;  // copies: verify_copies
      for (std::size_t l = 0; l < context_.actors.size(); ++l) {
        const auto& source = context_.actors[l].source;
        if (source && source->buffer == context_.actors[s].destination->buffer && !pair(s, l)) return;
      }
    }
  }

 private:
  bool spread(const BufferAccess& access) const { return program_.buffers[access.buffer.index()].spread.has_value(); }

  /// False: nothing more can be said about this context.
  bool pair(std::size_t s, std::size_t l) {
    if (!play_) {
      play_.emplace(context_, true);
      for (const Channel& channel : context_.channels) depths_.push_back(channel.depth);
    }
    Touches store, load;
    if (!list(s, true, store) || !list(l, false, load)) return too_large(l);
    std::vector<Box> stored, loaded;
    for (const auto& [all, from] : {std::pair(&stored, &store), std::pair(&loaded, &load)})
      for (const auto& instance : from->boxes)
        for (const auto& firing : instance) all->insert(all->end(), firing.begin(), firing.end());
    bool exact = true;
    const auto common = common_point(stored, loaded, exact);
    if (!exact) return too_large(l);
    if (!common) return true;
    const auto late = held(store, load);
    if (!late) return false;
    if (late->empty()) return true;
    const auto early = held(load, store);
    if (!early) return false;
    if (early->empty()) return true;
    const bool after = reaches(s, l);
    findings_.add("program/unordered", at(context_, context_.actors[l]),
                  fmt::format("'{}' can read element [{}] of '{}' {} '{}' has written it", context_.actors[l].name,
                              fmt::join(*(after ? late : early), ", "), program_.buffers[store.access->buffer.index()].name,
                              after ? "before" : "after", context_.actors[s].name),
                  "the channels between them must order the firings, at each instance, in which both touch the element");
    return true;
  }

  bool too_large(std::size_t actor) {
    findings_.add("program/too-large", at(context_, context_.actors[actor]), "the order of loads and stores is too large to be checked");
    return false;
  }

  bool list(std::size_t number, bool stores, Touches& touches) const {
    const Actor& actor = context_.actors[number];
    const Array& array = context_.arrays[actor.array.index()];
    touches.actor = number;
    touches.access = stores ? &*actor.destination : &*actor.source;
    const Port* port = data_port(actor, stores);
    const PortRule rule = port != nullptr ? port_rule(actor, *port) : PortRule{};
    const auto extent = reached_extent(program_, actor, *touches.access);
    const auto count = static_cast<std::uint32_t>(instance_count(array));
    const std::uint32_t first = play_->layout().first_instance[number];
    if (Odometer(actor.loops).firings() > kMostFirings / count) return false;
    for (std::uint32_t i = 0; i < count; ++i) {
      touches.instances.push_back(first + i);
      auto& firings = touches.boxes.emplace_back();
      const std::int64_t inner = play_->inner_firings(first + i);
      std::vector<std::int64_t> variables = coordinates(array, i);
      const std::size_t rank = variables.size();
      std::int64_t n = 0;
      for (Odometer o(actor.loops); !o.done(); o.next(), ++n) {
        if (n % inner == 0) firings.emplace_back();
        if (!rule.active(o.index())) continue;
        variables.resize(rank);
        variables.insert(variables.end(), o.index().begin(), o.index().end());
        Box box;
        for (std::size_t d = 0; d < extent.size(); ++d) {
          const std::int64_t start = touches.access->start[d].at(variables);
          const auto& region = touches.access->region[d];
          box.push_back({std::max(start, region[0]), std::min(start + extent[d], region[1])});
        }
        if (!is_empty(box)) firings.back().push_back(std::move(box));
      }
    }
    return true;
  }

  /// An element that `second` can touch although a firing of `first` that touches it is still to come; empty: there is none. Nothing when
  /// that is too large to say.
  std::optional<std::vector<std::int64_t>> held(const Touches& first, const Touches& second) {
    for (std::size_t i = 0; i < first.instances.size(); ++i) {
      played_ += play_->firings();
      if (played_ > kMostPlayed) return too_large(first.actor), std::nullopt;
      std::vector<std::int64_t> seen(second.instances.size(), 0);
      play_->start(depths_);
      for (std::size_t k = 0; k < first.boxes[i].size(); ++k) {
        play_->drain(first.instances[i]);
        for (std::size_t j = 0; j < second.instances.size(); ++j) {
          for (; seen[j] < play_->fired(second.instances[j]); ++seen[j]) {
            for (const Box& box : second.boxes[j][static_cast<std::size_t>(seen[j])]) {
              for (std::size_t later = k; later < first.boxes[i].size(); ++later) {
                if (++pairs_ > kMostPairs) return too_large(first.actor), std::nullopt;
                for (const Box& other : first.boxes[i][later]) {
                  bool exact = true;
                  if (overlap(box, other)) return *common_point({box}, {other}, exact);
                }
              }
            }
          }
        }
        if (!play_->step(first.instances[i])) break;
      }
    }
    return std::vector<std::int64_t>{};
  }

  /// Whether a path of channels leads from one actor to another.
  bool reaches(std::size_t from, std::size_t to) const {
    std::vector<bool> seen(context_.actors.size(), false);
    seen[from] = true;
    for (bool more = true; more;) {
      more = false;
      for (const Channel& channel : context_.channels)
        for (const Channel::Consumer& consumer : channel.to)
          if (seen[channel.from.actor.index()] && !seen[consumer.end.actor.index()]) more = seen[consumer.end.actor.index()] = true;
    }
    return seen[to];
  }

  const Program& program_;
  const Context& context_;
  Findings& findings_;
  std::optional<Play> play_;
  std::vector<std::int64_t> depths_;
  std::int64_t played_ = 0, pairs_ = 0;
};

}  // namespace

void verify_order(const Program& program, Findings& findings) {
  for (const Context& context : program.contexts) {
    if (findings.full()) return;
    OrderLaw(program, context, findings).check();
  }
}

}  // namespace switchyard::program
