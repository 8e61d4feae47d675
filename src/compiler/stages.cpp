#include "compiler/stages.h"

#include <algorithm>
#include <array>

#include "chip/query.h"
#include "compiler/attention.h"
#include "compiler/means.h"
#include "numerics/packing.h"

namespace switchyard::compiler {
namespace {

/// Where each tensor is written and read, by kernel.
struct Users {
  std::vector<std::vector<std::size_t>> writers, readers;
};

Users users_of(const graph::Graph& g, const std::vector<Kernel>& kernels) {
  Users users;
  users.writers.resize(g.tensors.size());
  users.readers.resize(g.tensors.size());
  for (std::size_t k = 0; k < kernels.size(); ++k)
    for (const KernelOperand& o : kernels[k].operands) (o.write ? users.writers : users.readers)[o.tensor.index()].push_back(k);
  return users;
}

bool reduces(const Kernel& kernel) {
  return std::any_of(kernel.statements.begin(), kernel.statements.end(), [](const KernelStatement& s) {
    return std::any_of(s.kinds.begin(), s.kinds.end(), [](numerics::LoopKind kind) { return kind == numerics::LoopKind::reduction; });
  });
}

/// Products with weights are better made one by one: their rows are few, and what a block of rows would need of the weights is all of them.
bool multiplies_weights(const graph::Graph& g, const Kernel& kernel) {
  const KernelStatement& s = kernel.statements.front();
  return std::any_of(s.reads.begin(), s.reads.end(), [&](const KernelAccess& a) {
    return !a.local && g.tensor(kernel.operands[static_cast<std::size_t>(a.number)].tensor).role == graph::Role::constant;
  });
}

/// Everything kernels [first, last) write is read inside (first, last] alone, and read there.
bool stays_inside(const graph::Graph& g, const std::vector<Kernel>& kernels, const Users& users, std::size_t first, std::size_t last) {
  for (std::size_t k = first; k < last; ++k)
    for (const KernelOperand& o : kernels[k].operands) {
      if (!o.write) continue;
      if (std::find(g.outputs.begin(), g.outputs.end(), o.tensor) != g.outputs.end()) return false;
      const auto& readers = users.readers[o.tensor.index()];
      if (readers.empty() || readers.front() <= k || readers.back() > last) return false;
      for (const std::size_t w : users.writers[o.tensor.index()])
        if (w < first || w >= last) return false;
    }
  return true;
}

/// The same, and the last product takes what the stage before it has made.
bool hands_on(const graph::Graph& g, const std::vector<Kernel>& kernels, const Users& users, std::size_t first, std::size_t last) {
  if (!stays_inside(g, kernels, users, first, last)) return false;
  const KernelStatement& s = kernels[last].statements.front();
  return std::any_of(s.reads.begin(), s.reads.end(), [&](const KernelAccess& a) {
    if (a.local) return false;
    const auto& writers = users.writers[kernels[last].operands[static_cast<std::size_t>(a.number)].tensor.index()];
    return !writers.empty() && writers.back() + 1 == last;
  });
}

double bytes_of(const graph::Graph& g, const KernelOperand& o) {
  const graph::Tensor& t = g.tensor(o.tensor);
  return static_cast<double>(numerics::element_count(t.shape)) * numerics::stored_size(t.format);
}

bool plain(const KernelOperand& o) {
  return std::all_of(o.index.begin(), o.index.end(), [](const numerics::Affine& f) { return f.terms.empty() || f.as_variable() >= 0; });
}

/// A kernel that makes a factor of a product out of elements of fewer bytes, point by point.
bool unpacks(const graph::Graph& g, const Kernel& kernel) {
  if (kernel.contraction || kernel.statements.size() != 1 || reduces(kernel)) return false;
  double read = 0, written = 0, most = -1;
  int narrow = 0, wide = 0;
  for (const KernelOperand& o : kernel.operands) {
    const double bytes = bytes_of(g, o);
    (o.write ? written : read) += bytes;
    const int element = numerics::stored_bits(g.tensor(o.tensor).format);
    if (o.write)
      wide = element;
    else if (bytes > most)
      most = bytes, narrow = element;
  }
  return read < written && narrow < wide;
}

/// A kernel that adds up the results of a product along loops that both factors have.
bool adds_up(const Kernel& product, const Kernel& sum) {
  if (sum.contraction || sum.statements.empty() || sum.statements.front().combiner != numerics::Combiner::add) return false;
  const auto result = std::find_if(product.operands.begin(), product.operands.end(), [](const KernelOperand& o) { return o.write; });
  const auto read = std::find_if(sum.operands.begin(), sum.operands.end(), [](const KernelOperand& o) { return !o.write; });
  if (!plain(*result) || !plain(*read) || read->tensor != result->tensor) return false;
  const KernelStatement& s = product.statements.front();
  const auto& a = product.operands[static_cast<std::size_t>(s.reads[0].number)];
  const auto& b = product.operands[static_cast<std::size_t>(s.reads[1].number)];
  bool all = true;
  for (std::size_t d = 0; d < result->index.size(); ++d) {
    const int made = result->index[d].as_variable(), used = read->index[d].as_variable();
    if (made < 0 || used < 0) continue;
    const bool both = depends(a, made) && depends(b, made);
    all = all && both == sum.dims[static_cast<std::size_t>(used)].reduction;
  }
  return all;
}

/// Runs of kernels that are stages of one product: factors unpacked before it, parts of its sums added up behind it.
std::optional<Chain> product_from(const graph::Graph& g, const std::vector<Kernel>& kernels, const Users& users, std::size_t first) {
  std::size_t product = first;
  while (product < kernels.size() && unpacks(g, kernels[product])) ++product;
  if (product == kernels.size() || !kernels[product].contraction) return std::nullopt;
  for (const KernelAccess& a : kernels[product].statements.front().reads)
    if (a.local || !plain(kernels[product].operands[static_cast<std::size_t>(a.number)])) return std::nullopt;
  const bool sums = product + 1 < kernels.size() && adds_up(kernels[product], kernels[product + 1]);
  if (product > first && !hands_on(g, kernels, users, first, product)) return std::nullopt;
  if (sums && stays_inside(g, kernels, users, product, product + 1)) return Chain{first, product + 1, {}};
  return product > first ? std::optional(Chain{first, product, {}}) : std::nullopt;
}

/// The operator of which a kernel is a step, where it was taken apart because its rows do not fit the scratchpad; empty: none.
std::string whole_of(const graph::Graph& g, const Kernel& kernel) {
  const std::string& whole = g.ops[kernel.ops.front().index()].origin;
  const bool all = std::all_of(kernel.ops.begin(), kernel.ops.end(), [&](graph::OpId id) { return g.ops[id.index()].origin == whole; });
  return all ? whole : std::string();
}

/// Runs of kernels that are the steps of one operator along rows.
std::optional<Chain> rows_from(const graph::Graph& g, const std::vector<Kernel>& kernels, const Users& users, std::size_t first) {
  const std::string whole = whole_of(g, kernels[first]);
  if (whole.empty()) return std::nullopt;
  std::size_t last = first;
  bool reduced = false;
  for (; last < kernels.size() && !kernels[last].contraction && whole_of(g, kernels[last]) == whole; ++last)
    reduced = reduced || reduces(kernels[last]);
  if (last - first < 2 || !reduced || !stays_inside(g, kernels, users, first, last - 1)) return std::nullopt;
  return Chain{first, last - 1, {}};
}

/// The last kernel of a chain that begins with a product: functions along the rows of its result, and a product over these rows.
std::optional<std::size_t> attention_from(const graph::Graph& g, const std::vector<Kernel>& kernels, const Users& users,
                                          std::size_t first) {
  if (!kernels[first].contraction || multiplies_weights(g, kernels[first])) return std::nullopt;
  std::size_t last = first + 1;
  bool along_rows = false;
  for (; last < kernels.size() && !kernels[last].contraction; ++last) along_rows = along_rows || reduces(kernels[last]);
  if (last == kernels.size() || !along_rows || multiplies_weights(g, kernels[last]) || !hands_on(g, kernels, users, first, last))
    return std::nullopt;
  return last;
}

/// Does a unit with a menu of tiles multiply what this kernel does?
bool has_tiles(const Machine& machine, const graph::Graph& g, const Kernel& kernel) {
  const auto units = chip::units_for(*machine.chip, chip::OpClass::contract, g.tensor(kernel.operands.front().tensor).format);
  return !units.empty() && !machine.chip->units[units.front().index()].tiles.m.empty();
}

}  // namespace

std::vector<Chain> find_chains(const Machine& machine, const graph::Graph& g, const std::vector<Kernel>& kernels) {
  std::vector<Chain> chains;
  if (!joins_stages(machine)) return chains;
  const Users users = users_of(g, kernels);
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    if (auto product = product_from(g, kernels, users, k)) {
      const auto at =
          std::find_if(kernels.begin() + static_cast<std::ptrdiff_t>(k), kernels.end(), [](const Kernel& x) { return x.contraction; });
      const bool begins = attention_from(g, kernels, users, static_cast<std::size_t>(at - kernels.begin())).has_value();
      if (!begins && has_tiles(machine, g, *at)) {
        k = product->last;
        chains.push_back(std::move(*product));
        continue;
      }
    }
    if (auto rows = rows_from(g, kernels, users, k)) {
      k = rows->last;
      chains.push_back(std::move(*rows));
      continue;
    }
    if (const auto last = attention_from(g, kernels, users, k)) {
      const auto mask = band_of(g, kernels[k]);
      chains.push_back({k, *last, mask ? std::optional(mask->band) : std::nullopt});
      k = *last;
    }
  }
  return chains;
}

Bounds::Hidden hidden_work(const graph::Graph& g, const std::vector<Kernel>& kernels, const std::vector<Chain>& chains) {
  Bounds::Hidden hidden;
  for (const Chain& chain : chains) {
    // What unpacks a factor on its way into a product takes one operation an element, whatever its expression says (program/product.cpp).
    for (std::size_t k = chain.first; k < chain.last; ++k) {
      if (!unpacks(g, kernels[k])) continue;
      const numerics::Expression& e = kernels[k].statements.front().expression;
      const auto operations = static_cast<double>(e.count(numerics::ScalarOpCost::simple) + e.count(numerics::ScalarOpCost::special));
      if (operations <= 1) continue;
      if (hidden.shares.empty()) hidden.shares.assign(g.ops.size(), 1);
      for (const graph::OpId op : kernels[k].ops) hidden.shares[op.index()] = 1 / operations;
    }
    if (!chain.band) continue;
    const Kernel& product = kernels[chain.first];
    const KernelOperand& result =
        *std::find_if(product.operands.begin(), product.operands.end(), [](const KernelOperand& o) { return o.write; });
    const numerics::Shape& shape = g.tensor(result.tensor).shape;
    if (shape.size() < 2) continue;
    const std::int64_t rows = shape[shape.size() - 2], columns = shape.back();
    double seen = 0;
    std::int64_t first = columns;  // column that some row sees
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t end = std::min(columns, i + chain.band->past + 1);
      const std::int64_t begin = chain.band->window == 0 ? 0 : std::max<std::int64_t>(0, i + chain.band->past + 1 - chain.band->window);
      seen += static_cast<double>(std::max<std::int64_t>(0, end - begin));
      first = std::min(first, begin);
    }
    if (hidden.shares.empty()) hidden.shares.assign(g.ops.size(), 1);
    const double share = seen / (static_cast<double>(rows) * static_cast<double>(columns));
    for (std::size_t k = chain.first; k <= chain.last; ++k)
      for (const graph::OpId op : kernels[k].ops) hidden.shares[op.index()] = share;
    // Columns that no row sees need not be read: of the second factors of both products.
    for (const std::size_t k : {chain.first, chain.last}) {
      const KernelStatement& s = kernels[k].statements.front();
      const KernelOperand& o = kernels[k].operands[static_cast<std::size_t>(s.reads[1].number)];
      const graph::Tensor& t = g.tensor(o.tensor);
      double bytes = numerics::stored_size(t.format);
      for (std::size_t d = 0; d < o.index.size(); ++d) {
        const int v = o.index[d].as_variable();
        bytes *= static_cast<double>(v < 0 ? 1 : kernels[k].dims[static_cast<std::size_t>(v)].extent);
      }
      hidden.unread += bytes * static_cast<double>(first) / static_cast<double>(columns);
    }
  }
  return hidden;
}

void join_stages(const std::vector<Kernel>& kernels, const std::vector<Chain>& chains, const Homes& homes, program::Program& program) {
  for (const Chain& chain : chains) {
    program.contexts[chain.first].band = chain.band;
    for (std::size_t k = chain.first; k < chain.last; ++k) {
      program.contexts[k + 1].continues = true;
      program.contexts[k].slices = 1;
      for (std::size_t i = 0; i < kernels[k].operands.size(); ++i) {
        if (!kernels[k].operands[i].write) continue;
        program::Buffer& buffer = program.buffers[homes[k][i].buffer.index()];
        buffer.lifetime = program::Lifetime::kernel;
        buffer.bytes = numerics::stored_bytes(buffer.format, numerics::element_count(buffer.shape));
      }
    }
    program.contexts[chain.last].slices = 1;
  }
}

}  // namespace switchyard::compiler
