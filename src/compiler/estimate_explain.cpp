// Estimate, where a mapping does not fit: what it needs, of which there is too little.
#include <fmt/format.h>

#include "compiler/estimate.h"

namespace switchyard::compiler {

std::int64_t Evaluator::local_bytes(const KernelLocal& local, const Mapping& m) {
  std::int64_t bytes = 4;
  for (const int d : local.dims) bytes *= m.tile[static_cast<std::size_t>(d)];
  return bytes;
}

Infeasible Evaluator::explain(Mapping m) const {
  evaluate(m);  // fills depths
  size_tokens(m);
  return explain_complete(m);
}

Infeasible Evaluator::explain_complete(const Mapping& m) const {
  Infeasible out;
  const chip::Chip& chip = *machine_.chip;
  out.unit = "bytes";
  const auto use = [&](std::string what, std::int64_t bytes) {
    out.terms.push_back({std::move(what), static_cast<double>(bytes)});
    out.demand += static_cast<double>(bytes);
  };
  std::int64_t accumulators = 0;
  for (const KernelLocal& l : kernel_.locals) accumulators += aligned(local_bytes(l, m));
  const bool registers = accumulators_apart_ && accumulators > accumulator_capacity_;
  if (!registers) {
    for (std::size_t i = 0; i < kernel_.operands.size(); ++i) {
      const std::string& name = g_.tensor(kernel_.operands[i].tensor).name;
      if (placed(i))
        use(fmt::format("the part of {}", name), aligned(part_bytes(i, m)));
      else
        use(fmt::format("{} tile{} of {}", m.depth[i], m.depth[i] == 1 ? "" : "s", name), aligned(token_bytes_[i] * m.depth[i]));
      if (m.sharing[i] == Sharing::multicast) use(fmt::format("2 tiles of {} on their way to others", name), aligned(2 * token_bytes_[i]));
      if (const std::int64_t more = m.sharing[i] == Sharing::multicast ? more_for_readers(i, m) : 0; more > 0)
        use(fmt::format("what several readers of {} need more", name), more);
      if (m.sharing[i] == Sharing::ring)
        if (const auto ring = ring_of(kernel_, m, reach_).ring)
          use(fmt::format("a slice of {} that goes round", name), aligned(ring_depth(kernel_, m, *ring, i) * token_bytes_[i]));
    }
    if (m.epilogue_unit.valid()) use("accumulators on their way to the epilogue", aligned(accumulators) * m.accumulator_depth);
  }
  if (registers || !accumulators_apart_)
    for (const KernelLocal& l : kernel_.locals) use("accumulator " + l.name, aligned(local_bytes(l, m)));
  const chip::Memory& memory = chip.memories[(registers ? machine_.accumulators : machine_.scratchpad).index()];
  out.resource = fmt::format("{} of one {}", memory.name, chip.components[machine_.component.index()].name);
  out.capacity = static_cast<double>(registers ? accumulator_capacity_ : capacity_);
  out.levers = {fmt::format("a larger {}", memory.name), "a narrower --precision", "a smaller model dimension"};
  return out;
}

}  // namespace switchyard::compiler
