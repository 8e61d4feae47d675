#include "compiler/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "chip/query.h"
#include "numerics/format.h"
#include "numerics/packing.h"

namespace switchyard::compiler {

Status plan_buffers(program::Program& program) {
  if (program.buffers.empty()) return Done{};
  const chip::Chip& chip = *program.chip;
  const chip::Memory& memory = chip.memories[program.buffers.front().memory.index()];
  const auto range = chip::usable_range(memory);
  const std::int64_t alignment = std::max<std::int64_t>(256, memory.alignment);
  const int contexts = static_cast<int>(program.contexts.size());
  struct Life {
    int first = -1, last = -1;
  };
  std::vector<Life> lives(program.buffers.size());
  for (int c = 0; c < contexts; ++c)
    program::for_each_buffer(program.contexts[static_cast<std::size_t>(c)], [&](program::BufferId id, bool) {
      Life& life = lives[id.index()];
      if (life.first < 0) life.first = c;
      life.last = c;
    });
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    program::Buffer& buffer = program.buffers[b];
    if (buffer.spread || buffer.lifetime == program::Lifetime::kernel) continue;
    const std::int64_t bytes = numerics::stored_bytes(buffer.format, numerics::element_count(buffer.shape));
    buffer.bytes = std::max<std::int64_t>(1, (bytes + alignment - 1) / alignment) * alignment;
    const bool always = buffer.lifetime == program::Lifetime::persistent || lives[b].first < 0;
    if (always || buffer.role == program::BufferRole::input) lives[b].first = 0;
    if (always || buffer.role == program::BufferRole::output) lives[b].last = contexts;
  }
  std::vector<std::size_t> order;
  for (std::size_t b = 0; b < program.buffers.size(); ++b)
    if (!program.buffers[b].spread && program.buffers[b].lifetime != program::Lifetime::kernel) order.push_back(b);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const bool pa = program.buffers[a].lifetime == program::Lifetime::persistent,
               pb = program.buffers[b].lifetime == program::Lifetime::persistent;
    if (pa != pb) return pa;
    return lives[a].first < lives[b].first;
  });
  // The reusable region begins after the persistent buffers; `placed` holds those whose life may still overlap, by offset.
  std::int64_t base = (range.begin + alignment - 1) / alignment * alignment, top = base;
  std::vector<std::size_t> placed;
  for (std::size_t b : order) {
    program::Buffer& buffer = program.buffers[b];
    if (buffer.lifetime == program::Lifetime::persistent) {
      buffer.offset = base;
      base += buffer.bytes;
      top = base;
      continue;
    }
    std::erase_if(placed, [&](std::size_t o) { return lives[o].last < lives[b].first; });
    std::int64_t at = base;
    for (std::size_t o : placed) {  // sorted by offset: the first gap that is wide enough
      if (program.buffers[o].offset - at >= buffer.bytes) break;
      at = std::max(at, program.buffers[o].offset + program.buffers[o].bytes);
    }
    buffer.offset = at;
    top = std::max(top, at + buffer.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), at,
                                   [&](std::int64_t value, std::size_t o) { return value < program.buffers[o].offset; }),
                  b);
  }
  if (top <= range.end) return Done{};
  Failure failure = fail(FailureKind::unsupported, "compile/does-not-fit",
                         fmt::format("the model's tensors do not fit '{}' of {}", memory.name, chip.name));
  Infeasible infeasible;
  infeasible.resource = memory.name;
  infeasible.unit = "bytes";
  infeasible.demand = static_cast<double>(top);
  infeasible.capacity = static_cast<double>(range.end);
  double constants = 0, others = 0;
  for (const std::size_t b : order)
    (program.buffers[b].lifetime == program::Lifetime::persistent ? constants : others) += static_cast<double>(program.buffers[b].bytes);
  infeasible.terms = {{"weights and constants", constants},
                      {"inputs, outputs and intermediate tensors, with reuse", static_cast<double>(top - base)}};
  infeasible.levers = {"a narrower --precision", "a smaller --batch", "a chip with more off-chip memory"};
  failure.infeasible.push_back(std::move(infeasible));
  return failure;
}

}  // namespace switchyard::compiler
