#include "compiler/dump.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "program/spread.h"

namespace switchyard::compiler {
namespace {

std::string microseconds(double seconds) { return fmt::format("{:.3f} us", seconds * 1e6); }

std::string index_text(const std::vector<numerics::Affine>& index, const std::vector<std::string>& names) {
  std::string text;
  for (const numerics::Affine& f : index) text += fmt::format("{}{}", text.empty() ? "" : ", ", numerics::print_affine(f, names));
  return "[" + text + "]";
}

}  // namespace

std::string describe_tiling(const Kernel& kernel, const Mapping& m) {
  std::string text;
  for (std::size_t d = 0; d < kernel.dims.size(); ++d) {
    if (kernel.dims[d].extent <= 1) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kernel.dims[d].name, kernel.dims[d].extent);
    const std::int64_t block = m.trips[d] * m.tile[d], split = kernel.dims[d].reduction ? 1 : (kernel.dims[d].extent + block - 1) / block;
    if (split > 1) text += fmt::format(" = {} instances", split);
    if (m.trips[d] > 1) text += fmt::format("{}{} tiles", split > 1 ? " x " : " = ", m.trips[d]);
    if (split > 1 || m.trips[d] > 1) text += fmt::format(" of {}", m.tile[d]);
  }
  return text;
}

std::vector<Alternative> alternatives_of(const Kernel& kernel, const std::vector<Mapping>& candidates, const std::vector<double>& moves) {
  std::vector<Alternative> list;
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    const Mapping& m = candidates[c];
    Alternative a;
    a.text = describe_tiling(kernel, m);
    a.instances = m.instances;
    a.alone = m.seconds;
    a.fetched = m.fetched;
    a.off_chip = m.off_chip;
    a.moves = c < moves.size() ? moves[c] : 0;
    a.terms = m.terms;
    a.storage = m.storage + m.placed;
    list.push_back(std::move(a));
  }
  return list;
}

std::string print_decisions(const std::vector<Decision>& decisions, std::string_view subject) {
  std::string out;
  for (const Decision& d : decisions)
    if (d.subject == subject) out += d.text + "\n";
  return out;
}

std::string print_kernels(const graph::Graph& graph, const std::vector<Kernel>& kernels) {
  std::string out;
  for (const Kernel& k : kernels) {
    std::vector<std::string> names;
    for (const KernelDim& d : k.dims) names.push_back(d.name);
    out += fmt::format("kernel {}{}{}\n  ops", k.name, k.contraction ? " contraction" : "", k.copy ? " copy" : "");
    for (const graph::OpId op : k.ops) out += " " + graph.ops[op.index()].name;
    out += "\n";
    for (const KernelDim& d : k.dims)
      out +=
          fmt::format("  loop {} {}{}{}\n", d.name, d.extent, d.reduction ? " reduction" : "", d.parallel || d.reduction ? "" : " whole");
    for (const KernelOperand& o : k.operands)
      out += fmt::format("  {} {}{}{}\n", o.write ? "write" : "read", graph.tensor(o.tensor).name, index_text(o.index, names),
                         o.epilogue ? " after the reduction" : "");
  }
  return out;
}

std::string print_layouts(const graph::Graph& graph, const std::vector<std::vector<int>>& layouts) {
  std::string out;
  for (std::size_t t = 0; t < graph.tensors.size(); ++t) {
    const graph::Tensor& tensor = graph.tensors[t];
    out += fmt::format("{} {}[{}] order {}\n", tensor.name, numerics::format_name(tensor.format), fmt::join(tensor.shape, ", "),
                       fmt::join(layouts[t], ", "));
  }
  return out;
}

std::string print_mappings(const std::vector<Kernel>& kernels, const std::vector<Candidates>& candidates) {
  std::string out;
  for (std::size_t k = 0; k < candidates.size(); ++k) {
    out += fmt::format("kernel {}: {} candidates\n", kernels[k].name, candidates[k]->size());
    for (const Mapping& m : *candidates[k])
      out += fmt::format("  {} ({} with operands fetched): {}; {} instances, {} bytes\n", microseconds(m.seconds), microseconds(m.fetched),
                         describe_tiling(kernels[k], m), m.instances, m.storage + m.placed);
  }
  return out;
}

std::string print_splits(const std::vector<Kernel>& kernels, const Splits& splits) {
  std::string out;
  for (std::size_t k = 0; k < kernels.size(); ++k)
    out += fmt::format("kernel {}: candidate {}, moves {}: {}\n", kernels[k].name, splits.choice[k],
                       microseconds(splits.costs[k][splits.choice[k]]), describe_tiling(kernels[k], splits.mappings[k]));
  return out;
}

std::string print_homes(const graph::Graph& graph, const std::vector<Kernel>& kernels, const Homes& homes,
                        const program::Program& program) {
  const auto where = [&](program::BufferId id) {
    const program::Buffer& b = program.buffers[id.index()];
    if (!b.spread) return fmt::format("off chip as {}", b.name);
    return fmt::format("{} over {} components, parts of [{}]", b.name, b.spread->components.size(), fmt::join(b.spread->extent, ", "));
  };
  std::string out;
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    out += fmt::format("kernel {}\n", kernels[k].name);
    for (std::size_t i = 0; i < kernels[k].operands.size(); ++i) {
      const KernelOperand& o = kernels[k].operands[i];
      out += fmt::format("  {} {}: {}\n", o.write ? "write" : "read", graph.tensor(o.tensor).name, where(homes[k][i].buffer));
      for (const program::BufferId b : homes[k][i].send) out += fmt::format("    sent to {}\n", where(b));
    }
  }
  return out;
}

std::string print_storage(const program::Program& program) {
  std::string out;
  const auto range = [&](chip::MemoryId memory, std::int64_t offset, std::int64_t bytes) {
    return fmt::format("{} [{}, {})", program.chip->memories[memory.index()].name, offset, offset + bytes);
  };
  for (const program::Buffer& b : program.buffers)
    if (b.spread) out += fmt::format("buffer {}: {}\n", b.name, range(b.memory, b.offset, b.bytes));
  for (const program::Context& context : program.contexts) {
    out += fmt::format("context {}", context.name);
    for (const program::ContextId id : context.early_after)
      out += fmt::format(", early movers after {}", program.contexts[id.index()].name);
    out += "\n";
    for (const program::Channel& c : context.channels)
      out += fmt::format("  channel {}: depth {}, {}\n", c.name, c.depth, range(c.memory, c.offset, c.bytes));
    for (const program::Actor& a : context.actors) {
      for (const program::State& s : a.states)
        out += fmt::format("  state {} of {}: {}\n", s.name, a.name, range(s.memory, s.offset, s.bytes));
      if (a.early) out += fmt::format("  early {}\n", a.name);
    }
  }
  return out;
}

std::string print_bounds(const program::Program& program, const std::vector<ContextMap>& contexts) {
  std::string out;
  for (std::size_t c = 0; c < contexts.size(); ++c)
    out += fmt::format("context {}: {} ps: {}\n", program.contexts[c].name, program.contexts[c].bound.value, contexts[c].bound);
  return out;
}

std::string print_plan(const program::Program& program) {
  std::string out;
  for (const program::Buffer& b : program.buffers)
    if (!b.spread)
      out += fmt::format("buffer {}: {} [{}, {})\n", b.name, program.chip->memories[b.memory.index()].name, b.offset, b.offset + b.bytes);
  return out;
}

}  // namespace switchyard::compiler
