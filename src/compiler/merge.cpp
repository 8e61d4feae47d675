#include "compiler/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

namespace switchyard::compiler {
namespace {

using graph::Graph;
using graph::Op;
using graph::Tensor;
using graph::TensorId;
using numerics::Access;
using numerics::Affine;
using numerics::Nest;

/// The one dimension along which `loop` alone runs over the whole of a tensor; -1 where it is found nowhere, elsewhere or in part.
int dimension_of(const std::vector<Affine>& index, int loop, std::int64_t extent, const numerics::Shape& shape) {
  int found = -1;
  for (std::size_t d = 0; d < index.size(); ++d) {
    if (!index[d].depends_on(loop)) continue;
    if (found >= 0 || index[d].as_variable() != loop || shape[d] != extent) return -1;
    found = static_cast<int>(d);
  }
  return found;
}

bool reads_anywhere(const Access& access, int loop) {
  return std::any_of(access.index.begin(), access.index.end(), [&](const Affine& f) { return f.depends_on(loop); });
}

/// What is put side by side of one operator: loop `loop`, along one dimension of its result and of some of its operands (-1: not of this).
struct Along {
  int loop = -1, result = -1;
  std::vector<int> operands;
};

/// A product with a constant, and the element-wise operator behind it where there is one that may be merged with others.
struct Branch {
  std::size_t op = 0, map = 0;
  bool has_map = false;
  Along product, behind;
};

struct Uses {
  explicit Uses(const Graph& g) : readers(g.tensors.size()), writers(g.tensors.size()), leaves(g.tensors.size(), false) {
    for (std::size_t o = 0; o < g.ops.size(); ++o) {
      for (const TensorId t : g.ops[o].operands) readers[t.index()].push_back(o);
      for (const TensorId t : g.ops[o].results) ++writers[t.index()];
    }
    for (const TensorId t : g.outputs) leaves[t.index()] = true;
  }
  std::vector<std::vector<std::size_t>> readers;
  std::vector<int> writers;
  std::vector<bool> leaves;
};

/// A part can be read in place of a tensor where no read leaves it.
bool read_within(const Graph& g, const Uses& uses, TensorId t) {
  for (const std::size_t r : uses.readers[t.index()])
    for (const Nest& nest : g.ops[r].nests)
      for (const Access& a : nest.reads) {
        const auto slot = static_cast<std::size_t>(a.slot);
        if ((a.fill || !a.lookups.empty()) && slot < g.ops[r].operands.size() && g.ops[r].operands[slot] == t) return false;
      }
  return !uses.leaves[t.index()] && uses.writers[t.index()] == 1 && !uses.readers[t.index()].empty();
}

std::optional<Along> product_along(const Graph& g, const Op& op) {
  if (op.nests.size() != 1 || op.results.size() != 1 || !op.locals.empty() || op.operands.size() != 2) return std::nullopt;
  const Nest& nest = op.nests[0];
  if (!nest.is_contraction() || nest.reads.size() != 2) return std::nullopt;
  const auto tensor = [&](int r) { return op.operands[static_cast<std::size_t>(nest.reads[static_cast<std::size_t>(r)].slot)]; };
  const auto constant = [&](int r) { return g.tensor(tensor(r)).role == graph::Role::constant; };
  if (constant(0) == constant(1)) return std::nullopt;
  const int w = constant(0) ? 0 : 1;
  const Access &weight = nest.reads[static_cast<std::size_t>(w)], &data = nest.reads[static_cast<std::size_t>(1 - w)];
  if (weight.fill) return std::nullopt;
  std::optional<Along> found;
  for (int l = 0; l < static_cast<int>(nest.loops.size()); ++l) {
    const auto& loop = nest.loops[static_cast<std::size_t>(l)];
    if (loop.kind != numerics::LoopKind::parallel || loop.extent == 1 || reads_anywhere(data, l)) continue;
    Along along{l, dimension_of(nest.write.index, l, loop.extent, g.tensor(op.results[0]).shape), {-1, -1}};
    const int at = dimension_of(weight.index, l, loop.extent, g.tensor(tensor(w)).shape);
    if (along.result < 0 || at < 0) continue;
    along.operands[static_cast<std::size_t>(weight.slot)] = at;
    if (found) return std::nullopt;
    found = std::move(along);
  }
  return found;
}

/// Of an element-wise operator that reads a tensor once, as it is, and otherwise constants: what runs along dimension `dim` of the tensor.
std::optional<Along> map_along(const Graph& g, const Op& op, TensorId t, int dim) {
  if (op.nests.size() != 1 || op.results.size() != 1 || !op.locals.empty()) return std::nullopt;
  const Nest& nest = op.nests[0];
  if (nest.combiner != numerics::Combiner::none || nest.is_copy() || nest.has_lookups()) return std::nullopt;
  Along along;
  for (const Access& a : nest.reads) {
    const TensorId read = op.operands[static_cast<std::size_t>(a.slot)];
    if (a.fill) return std::nullopt;
    if (read != t) {
      if (g.tensor(read).role != graph::Role::constant) return std::nullopt;
      continue;
    }
    if (along.loop >= 0) return std::nullopt;
    along.loop = a.index[static_cast<std::size_t>(dim)].as_variable();
    if (along.loop < 0) return std::nullopt;
  }
  if (along.loop < 0) return std::nullopt;
  const std::int64_t extent = nest.loops[static_cast<std::size_t>(along.loop)].extent;
  along.result = dimension_of(nest.write.index, along.loop, extent, g.tensor(op.results[0]).shape);
  if (along.result < 0) return std::nullopt;
  along.operands.assign(op.operands.size(), -1);
  for (const Access& a : nest.reads) {
    if (!reads_anywhere(a, along.loop)) continue;
    int& at = along.operands[static_cast<std::size_t>(a.slot)];
    const int here = dimension_of(a.index, along.loop, extent, g.tensor(op.operands[static_cast<std::size_t>(a.slot)]).shape);
    if (here < 0 || (at >= 0 && at != here)) return std::nullopt;
    at = here;
  }
  return along;
}

/// Equal for operators that do the same but for the extent of one loop and the tensors that run along it.
std::string form_of(const Graph& g, const Op& op, const Along& along, TensorId handed_over) {
  const Nest& nest = op.nests[0];
  std::string form = numerics::print_expression(nest.expression) + fmt::format("{};", static_cast<int>(nest.combiner));
  for (int l = 0; l < static_cast<int>(nest.loops.size()); ++l) {
    const auto& loop = nest.loops[static_cast<std::size_t>(l)];
    form += fmt::format("{}:{},", static_cast<int>(loop.kind), l == along.loop ? 0 : loop.extent);
  }
  const auto tensor = [&](TensorId t, int dim) {
    form += fmt::format("|{}:", static_cast<int>(g.tensor(t).format));
    for (int d = 0; d < static_cast<int>(g.tensor(t).shape.size()); ++d)
      form += fmt::format("{},", d == dim ? 0 : g.tensor(t).shape[static_cast<std::size_t>(d)]);
  };
  const auto access = [&](const Access& a) {
    form += fmt::format("/{}{}", a.slot, a.fill ? fmt::format(":{}", *a.fill) : std::string());
    for (const Affine& f : a.index) {
      form += fmt::format("[{}", f.constant);
      for (const auto& t : f.terms) form += fmt::format("+{}*{}", t.coefficient, t.variable);
    }
  };
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    tensor(op.operands[i], along.operands[i]);
    if (along.operands[i] < 0 && op.operands[i] != handed_over) form += fmt::format("={}", op.operands[i].index());
  }
  tensor(op.results[0], along.result);
  for (const Access& a : nest.reads) access(a);
  access(nest.write);
  return form;
}

/// "a.b.query", "a.b.key" -> "a.b.query+key".
std::string joined(const std::vector<std::string>& names) {
  std::size_t common = names[0].find_last_of("./:") + 1;  // 0 where there is none
  for (const std::string& n : names)
    while (common > 0 && n.compare(0, common, names[0], 0, common) != 0)
      common = common < 2 ? 0 : names[0].find_last_of("./:", common - 2) + 1;
  std::string out = names[0];
  for (std::size_t i = 1; i < names.size(); ++i) out += "+" + names[i].substr(common);
  return out;
}

/// Constants side by side along a dimension.
numerics::ConstantPtr beside(const Graph& g, const std::vector<TensorId>& parts, int dim, const numerics::Shape& shape) {
  std::vector<numerics::ConstantPtr> constants;
  for (const TensorId t : parts) {
    if (!g.tensor(t).constant) return nullptr;
    constants.push_back(g.tensor(t).constant);
  }
  auto made = std::make_shared<numerics::Constant>();
  made->make = [constants, dim, shape] {
    numerics::Tensor out;
    std::int64_t at = 0;
    for (const auto& constant : constants) {
      const numerics::Tensor part = constant->make();
      if (at == 0) out = numerics::make_tensor(part.format, shape);
      std::int64_t outer = 1, inner = numerics::format_bytes(part.format);
      for (int d = 0; d < static_cast<int>(shape.size()); ++d)
        if (d != dim) (d < dim ? outer : inner) *= shape[static_cast<std::size_t>(d)];
      const std::int64_t own = part.shape[static_cast<std::size_t>(dim)] * inner, all = shape[static_cast<std::size_t>(dim)] * inner;
      for (std::int64_t o = 0; o < outer; ++o)
        std::memcpy(out.bytes.data() + o * all + at, part.bytes.data() + o * own, static_cast<std::size_t>(own));
      at += own;
    }
    return out;
  };
  return made;
}

class Merger {
 public:
  explicit Merger(Graph& g) : g_(g) {}

  /// Operators that are alike become one in the place of the earliest; the others are emptied.
  void merge(const std::vector<std::size_t>& ops, const std::vector<Along>& alongs) {
    Op merged = g_.ops[ops[0]];
    const Along& along = alongs[0];
    std::int64_t extent = 0;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const Op& op = g_.ops[ops[i]];
      extent += op.nests[0].loops[static_cast<std::size_t>(alongs[i].loop)].extent;
      names.push_back(op.name);
      for (const std::string& node : op.nodes)
        if (std::find(merged.nodes.begin(), merged.nodes.end(), node) == merged.nodes.end()) merged.nodes.push_back(node);
    }
    merged.name = joined(names);
    merged.nests[0].loops[static_cast<std::size_t>(along.loop)].extent = extent;
    for (std::size_t s = 0; s < merged.operands.size(); ++s)
      if (along.operands[s] >= 0 && g_.tensor(merged.operands[s]).role == graph::Role::constant) {
        std::vector<TensorId> parts;
        for (const std::size_t o : ops) parts.push_back(g_.ops[o].operands[s]);
        merged.operands[s] = add_beside(parts, along.operands[s], extent);
      }
    std::vector<TensorId> results;
    for (const std::size_t o : ops) results.push_back(g_.ops[o].results[0]);
    merged.results[0] = add_beside(results, along.result, extent);
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      redirect(results[i], merged.results[0], along.result, offset);
      offset += g_.ops[ops[i]].nests[0].loops[static_cast<std::size_t>(alongs[i].loop)].extent;
    }
    for (const std::size_t o : ops) g_.ops[o] = {};
    g_.ops[*std::min_element(ops.begin(), ops.end())] = std::move(merged);  // whoever reads a part comes later
  }

 private:
  TensorId add_beside(const std::vector<TensorId>& parts, int dim, std::int64_t extent) {
    Tensor t = g_.tensor(parts[0]);
    // Constants may be shared: exporters store what is equal once, such as the biases of all layers that are zero.
    std::map<int, TensorId>* known = t.role == graph::Role::constant ? &constants_[parts] : nullptr;
    if (known != nullptr && known->contains(dim)) return known->at(dim);
    std::vector<std::string> names;
    for (const TensorId p : parts) names.push_back(g_.tensor(p).name);
    t.name = joined(names);
    if (known != nullptr && !known->empty()) t.name += fmt::format("@{}", dim);
    t.shape[static_cast<std::size_t>(dim)] = extent;
    if (t.role == graph::Role::constant) t.constant = beside(g_, parts, dim, t.shape);
    g_.tensors.push_back(std::move(t));
    const TensorId made(g_.tensors.size() - 1);
    if (known != nullptr) known->emplace(dim, made);
    return made;
  }

  /// Reads of a tensor become reads of the part of another that begins at `offset`.
  void redirect(TensorId from, TensorId to, int dim, std::int64_t offset) {
    for (Op& op : g_.ops) {
      const auto at = std::find(op.operands.begin(), op.operands.end(), from);
      if (at == op.operands.end()) continue;
      const int slot = static_cast<int>(at - op.operands.begin());
      const auto known = std::find(op.operands.begin(), op.operands.end(), to);
      const int other = known == op.operands.end() ? slot : static_cast<int>(known - op.operands.begin());
      for (Nest& nest : op.nests)
        for (Access& a : nest.reads) {
          if (a.slot != slot) continue;
          a.slot = other;
          Affine& f = a.index[static_cast<std::size_t>(dim)];
          f = f + numerics::affine_constant(offset);
        }
      if (other == slot) {
        *at = to;
        continue;
      }
      op.operands.erase(at);
      const auto close = [&](Access& a) {
        if (a.slot > slot) --a.slot;
      };
      for (Nest& nest : op.nests) {
        std::for_each(nest.reads.begin(), nest.reads.end(), close);
        close(nest.write);
      }
    }
  }

  Graph& g_;
  std::map<std::vector<TensorId>, std::map<int, TensorId>> constants_;  ///< that lie side by side, by the dimension along which
};

std::vector<Branch> branches_of(const Graph& g, const Uses& uses, std::map<std::string, std::vector<std::size_t>>& alike) {
  std::vector<Branch> branches;
  for (std::size_t o = 0; o < g.ops.size(); ++o) {
    const auto along = product_along(g, g.ops[o]);
    if (!along) continue;
    const TensorId result = g.ops[o].results[0];
    if (!read_within(g, uses, result)) continue;
    Branch b{o, 0, false, *along, {}};
    std::string form = form_of(g, g.ops[o], b.product, TensorId());
    // What one element-wise operator alone reads would run behind the product: it is merged with it, or the product stays as it is.
    const auto& readers = uses.readers[result.index()];
    const Op& next = g.ops[readers[0]];
    const bool element_wise = readers.size() == 1 && next.nests.size() == 1 && next.nests[0].combiner == numerics::Combiner::none;
    if (element_wise) {
      const auto behind = map_along(g, next, result, b.product.result);
      if (behind && read_within(g, uses, next.results[0])) {
        b.has_map = true;
        b.map = readers[0];
        b.behind = *behind;
        form += "; " + form_of(g, next, b.behind, result);
      } else if (std::count_if(next.nests[0].reads.begin(), next.nests[0].reads.end(),
                               [&](const Access& a) { return next.operands[static_cast<std::size_t>(a.slot)] == result; }) == 1) {
        continue;
      }
    }
    alike[form].push_back(branches.size());
    branches.push_back(std::move(b));
  }
  return branches;
}

}  // namespace

std::vector<Merge> merge_products(Graph& g, double most, std::vector<Decision>& decisions,
                                  const std::optional<std::vector<std::string>>& given) {
  const Uses uses(g);
  std::map<std::string, std::vector<std::size_t>> alike;
  const std::vector<Branch> branches = branches_of(g, uses, alike);
  Merger merger(g);
  // In the order of the graph, whatever the forms are called.
  std::vector<std::vector<std::size_t>> groups;
  for (const auto& [form, members] : alike)
    if (members.size() > 1) groups.push_back(members);
  std::sort(groups.begin(), groups.end());
  std::vector<Merge> merges;
  for (const auto& members : groups) {
    Merge& merge = merges.emplace_back();
    double elements = 0;
    for (const std::size_t m : members) {
      const Op& op = g.ops[branches[m].op];
      merge.products.push_back(op.name);
      elements += static_cast<double>(numerics::element_count(g.tensor(op.results[0]).shape));
    }
    merge.name = joined(merge.products);
    merge.merged = given ? std::find(given->begin(), given->end(), merge.name) != given->end() : elements <= most;
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (!merges[i].merged) continue;
    std::vector<std::size_t> products, maps;
    std::vector<Along> along, behind;
    for (const std::size_t m : groups[i]) {
      products.push_back(branches[m].op);
      along.push_back(branches[m].product);
      if (!branches[m].has_map) continue;
      maps.push_back(branches[m].map);
      behind.push_back(branches[m].behind);
    }
    decisions.push_back({"canonicalise", fmt::format("{} products of one tensor become one: '{}'", products.size(), merges[i].name)});
    // The maps first: theirs reads the first product until it reads all of them.
    if (!maps.empty()) merger.merge(maps, behind);
    merger.merge(products, along);
  }
  std::erase_if(g.ops, [](const Op& op) { return op.nests.empty(); });
  return merges;
}

}  // namespace switchyard::compiler
