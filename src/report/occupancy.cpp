#include "report/occupancy.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "chip/query.h"
#include "program/findings.h"
#include "program/spread.h"

namespace switchyard::report {
namespace {

/// What comes and goes in one kind of memory, before each context.
class Tally {
 public:
  Tally(std::size_t contexts, std::size_t components) : changes_(contexts + 1), components_(std::max<std::size_t>(1, components)) {}
  void hold(std::size_t first, std::size_t last, std::size_t component, std::int64_t bytes) {
    if (component >= components_ || bytes == 0) return;
    changes_[first].push_back({component, bytes});
    changes_[last + 1].push_back({component, -bytes});
    used_ = true;
  }
  void visit(chip::MemoryId memory, const VisitOccupancy& visit) const {
    if (!used_) return;
    std::vector<std::int64_t> held(components_, 0);
    for (std::size_t c = 0; c + 1 < changes_.size(); ++c) {
      for (const auto& [component, bytes] : changes_[c]) held[component] += bytes;
      visit(memory, c, held);
    }
  }

 private:
  std::vector<std::vector<std::pair<std::size_t, std::int64_t>>> changes_;  ///< by context
  std::size_t components_;
  bool used_ = false;
};

}  // namespace

void visit_occupancy(const program::Program& program, const VisitOccupancy& visit) {
  const chip::Chip& chip = *program.chip;
  const std::size_t contexts = program.contexts.size();
  if (contexts == 0) return;
  std::vector<Tally> tallies;
  for (const chip::Memory& memory : chip.memories) {
    const bool in = memory.in.valid() && memory.in.index() < chip.components.size();
    tallies.emplace_back(contexts, in ? static_cast<std::size_t>(chip::instance_count(chip.components[memory.in.index()])) : 1);
  }
  struct Life {
    std::size_t first, last;
  };
  std::vector<Life> lives(program.buffers.size(), Life{contexts, 0});
  for (std::size_t c = 0; c < contexts; ++c) {
    for_each_use(program.contexts[c], [&](program::BufferId buffer) {
      Life& life = lives[buffer.index()];
      life = {std::min(life.first, c), std::max(life.last, c)};
    });
  }
  for (std::size_t b = 0; b < lives.size(); ++b) {
    const program::Buffer& buffer = program.buffers[b];
    if (!buffer.spread || lives[b].first == contexts) continue;
    const std::int64_t bytes = program::part_bytes(buffer);
    for (const std::uint32_t component : buffer.spread->components)
      tallies[buffer.memory.index()].hold(lives[b].first, lives[b].last, component, bytes);
  }
  for (std::size_t c = 0; c < contexts; ++c) {
    const program::Context& context = program.contexts[c];
    const auto hold = [&](chip::MemoryId memory, program::ActorId actor, std::size_t first, std::int64_t bytes) {
      const program::Array* array = nullptr;
      if (actor.valid() && actor.index() < context.actors.size()) {
        const program::ArrayId id = context.actors[actor.index()].array;
        if (id.valid() && id.index() < context.arrays.size()) array = &context.arrays[id.index()];
      }
      if (array == nullptr || array->dynamic) return tallies[memory.index()].hold(first, c, 0, bytes);
      for (const std::uint32_t component : array->components) tallies[memory.index()].hold(first, c, component, bytes);
    };
    const std::size_t beside = std::min(c, program::first_beside(program, c));
    for (const program::Channel& channel : context.channels) {
      const program::ActorId consumer = channel.to.empty() ? program::ActorId() : channel.to.front().end.actor;
      const bool early = !channel.to.empty() && program::fed_early(context, channel);
      hold(channel.memory, consumer, early ? beside : c, channel.bytes);
    }
    for (std::size_t a = 0; a < context.actors.size(); ++a) {
      for (const program::State& state : context.actors[a].states) hold(state.memory, program::ActorId(a), c, state.bytes);
    }
  }
  for (std::size_t m = 0; m < tallies.size(); ++m) {
    if (chip.memories[m].kind == chip::MemoryKind::scratchpad) tallies[m].visit(chip::MemoryId(m), visit);
  }
}

}  // namespace switchyard::report
