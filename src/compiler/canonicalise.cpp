#include "compiler/canonicalise.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compiler/scale.h"
#include "support/check.h"

namespace switchyard::compiler {
namespace {

using graph::Graph;
using graph::Op;
using graph::Role;
using graph::TensorId;
using numerics::Access;
using numerics::Affine;
using numerics::Combiner;
using numerics::Expression;
using numerics::Nest;
using numerics::ScalarOp;

/// Who reads and who writes each tensor, by operator number. A rewrite keeps it up to date: rebuilding it for each would be quadratic.
struct Uses {
  std::vector<std::vector<std::size_t>> readers, writers;
  std::vector<bool> is_output;

  explicit Uses(const Graph& g) : readers(g.tensors.size()), writers(g.tensors.size()), is_output(g.tensors.size(), false) {
    for (std::size_t o = 0; o < g.ops.size(); ++o) {
      for (TensorId t : g.ops[o].operands) add(readers[t.index()], o);
      for (TensorId t : g.ops[o].results) add(writers[t.index()], o);
    }
    for (TensorId t : g.outputs) is_output[t.index()] = true;
  }
  static void add(std::vector<std::size_t>& list, std::size_t o) {
    if (std::find(list.rbegin(), list.rend(), o) == list.rend()) list.push_back(o);
  }
  void remove_reader(TensorId t, std::size_t o) { std::erase(readers[t.index()], o); }
  void remove_writer(TensorId t, std::size_t o) { std::erase(writers[t.index()], o); }
};

/// Every index a different loop, all loops used, each over its whole dimension: the access is the identity up to the order of loops.
bool is_whole_identity(const Access& access, const Nest& nest, const numerics::Shape& shape) {
  if (access.index.size() != nest.loops.size()) return false;
  std::vector<bool> seen(nest.loops.size(), false);
  for (std::size_t d = 0; d < access.index.size(); ++d) {
    const int v = access.index[d].as_variable();
    if (v < 0 || seen[static_cast<std::size_t>(v)]) return false;
    seen[static_cast<std::size_t>(v)] = true;
    if (nest.loops[static_cast<std::size_t>(v)].extent != shape[d]) return false;
  }
  return true;
}

bool is_single_result(const Op& op) { return op.nests.size() == 1 && op.results.size() == 1 && op.locals.empty(); }

/// By loop of the nest: the index (over another nest's loops) that replaces it, given that dimension d of the shared tensor is `outer[d]`.
std::vector<Affine> loops_from_dims(const Access& identity, std::size_t loops, const std::vector<Affine>& outer) {
  std::vector<Affine> with(loops);
  for (std::size_t d = 0; d < identity.index.size(); ++d) with[static_cast<std::size_t>(identity.index[d].as_variable())] = outer[d];
  return with;
}

std::vector<Affine> substitute_all(const std::vector<Affine>& index, const std::vector<Affine>& with) {
  std::vector<Affine> out;
  out.reserve(index.size());
  for (const Affine& f : index) out.push_back(numerics::substitute(f, with));
  return out;
}

std::vector<std::int64_t> extents_of(const Nest& nest) {
  std::vector<std::int64_t> e;
  for (const auto& l : nest.loops) e.push_back(l.extent);
  return e;
}

int operand_slot(Op& op, TensorId tensor) {
  for (std::size_t i = 0; i < op.operands.size(); ++i)
    if (op.operands[i] == tensor) return static_cast<int>(i);
  op.operands.push_back(tensor);
  const int at = static_cast<int>(op.operands.size()) - 1;
  for (Nest& nest : op.nests) {  // results and locals move up by one
    for (Access& r : nest.reads)
      if (r.slot >= at) ++r.slot;
    if (nest.write.slot >= at) ++nest.write.slot;
  }
  return at;
}

/// Removes operands nobody reads any more.
void drop_unread_operands(Op& op) {
  for (std::size_t i = op.operands.size(); i-- > 0;) {
    const int slot = static_cast<int>(i);
    bool read = false;
    for (const Nest& nest : op.nests)
      for (const Access& r : nest.reads) read = read || r.slot == slot;
    if (read) continue;
    op.operands.erase(op.operands.begin() + static_cast<std::ptrdiff_t>(i));
    for (Nest& nest : op.nests) {
      for (Access& r : nest.reads)
        if (r.slot > slot) --r.slot;
      if (nest.write.slot > slot) --nest.write.slot;
    }
  }
}

/// Empties an operator that a rewrite has made superfluous; the numbers of the others stay until all of these are removed.
void retire(Op& op) {
  op.operands.clear();
  op.results.clear();
  op.nests.clear();
}
void remove_retired(Graph& g) {
  std::erase_if(g.ops, [](const Op& op) { return op.nests.empty(); });
}

/// A concatenation or split is several independent copies: one operator each, so that each can be composed away on its own.
void split_independent_copies(Graph& g) {
  std::vector<Op> out;
  for (Op& op : g.ops) {
    bool independent = op.nests.size() > 1 && op.locals.empty();
    for (const Nest& nest : op.nests) {
      independent = independent && nest.is_copy();
      for (const Access& r : nest.reads) independent = independent && r.slot < static_cast<int>(op.operands.size());
    }
    if (!independent) {
      out.push_back(std::move(op));
      continue;
    }
    for (std::size_t k = 0; k < op.nests.size(); ++k) {
      Op part;
      part.name = fmt::format("{}:{}", op.name, k);
      part.kind = op.kind;
      part.origin = op.name;
      part.nodes = op.nodes;
      Nest nest = op.nests[k];
      part.operands = {op.operands[static_cast<std::size_t>(nest.reads[0].slot)]};
      part.results = {op.results[static_cast<std::size_t>(nest.write.slot) - op.operands.size()]};
      nest.reads[0].slot = 0;
      nest.write.slot = 1;
      part.nests = {std::move(nest)};
      out.push_back(std::move(part));
    }
  }
  g.ops = std::move(out);
}

/// Is the expression a*x + b in input `x`, whatever the other inputs?
bool is_affine_in(const Expression& e, int x) {
  enum Degree { zero, one, more };
  std::vector<Degree> degree(e.nodes.size(), zero);
  for (std::size_t i = 0; i < e.nodes.size(); ++i) {
    const auto& n = e.nodes[i];
    const auto d = [&](int k) { return k < 0 ? zero : degree[static_cast<std::size_t>(k)]; };
    switch (n.op) {
      case ScalarOp::input: degree[i] = n.a == x ? one : zero; break;
      case ScalarOp::constant: degree[i] = zero; break;
      case ScalarOp::add:
      case ScalarOp::sub: degree[i] = std::max(d(n.a), d(n.b)); break;
      case ScalarOp::neg: degree[i] = d(n.a); break;
      case ScalarOp::mul: degree[i] = static_cast<Degree>(std::min(2, static_cast<int>(d(n.a)) + static_cast<int>(d(n.b)))); break;
      case ScalarOp::div: degree[i] = d(n.b) == zero ? d(n.a) : more; break;
      default: degree[i] = std::max({d(n.a), d(n.b), d(n.c)}) == zero ? zero : more;
    }
  }
  return degree.back() == one;
}

/// The factor a of an expression that is a*x + b in input `x`, the other inputs given. Not a difference of two values: b may be infinite.
double factor_of(const Expression& e, int x, const std::vector<double>& inputs) {
  struct Term {
    double value = 0, factor = 0;
    bool moves = false;  ///< depends on x
  };
  std::vector<Term> terms;
  for (const auto& n : e.nodes) {
    if (n.op == ScalarOp::input || n.op == ScalarOp::constant) {
      const bool moves = n.op == ScalarOp::input && n.a == x;
      terms.push_back({n.op == ScalarOp::constant ? n.constant : inputs[static_cast<std::size_t>(n.a)], moves ? 1.0 : 0.0, moves});
      continue;
    }
    const auto term = [&](int k) { return k < 0 ? Term{} : terms[static_cast<std::size_t>(k)]; };
    const Term a = term(n.a), b = term(n.b), c = term(n.c);
    Term out{numerics::apply_scalar(n.op, a.value, b.value, c.value), 0, a.moves || b.moves || c.moves};
    if (out.moves) switch (n.op) {
        case ScalarOp::add: out.factor = a.factor + b.factor; break;
        case ScalarOp::sub: out.factor = a.factor - b.factor; break;
        case ScalarOp::neg: out.factor = -a.factor; break;
        case ScalarOp::mul: out.factor = a.moves ? a.factor * b.value : a.value * b.factor; break;
        case ScalarOp::div: out.factor = a.factor / b.value; break;
        default: SY_CHECK(false, "not affine in the input");
      }
    terms.push_back(out);
  }
  return terms.back().factor;
}

/// contraction(x, w) followed by an affine map with constants per output channel: the factor goes into w, the rest is a bias.
class AffineFolder {
 public:
  AffineFolder(Graph& g, std::vector<Decision>& decisions) : g_(g), decisions_(decisions) {}

  void run() {
    const Uses uses(g_);
    int folded = 0;
    for (std::size_t o = 0; o < g_.ops.size(); ++o) folded += fold(uses, o) ? 1 : 0;
    if (folded > 0)
      decisions_.push_back({"canonicalise", fmt::format("{} affine maps (batch normalisation, scales) folded into weights", folded)});
  }

 private:
  bool fold(const Uses& uses, std::size_t map_number) {
    const Op& map = g_.ops[map_number];
    if (!is_single_result(map) || map.nests[0].combiner != Combiner::none || map.operands.size() < 2 || map.nests[0].has_lookups())
      return false;
    const Nest& nest = map.nests[0];
    // One varying input, the others constants.
    int x = -1;
    for (std::size_t r = 0; r < nest.reads.size(); ++r) {
      const TensorId t = map.operands[static_cast<std::size_t>(nest.reads[r].slot)];
      if (g_.tensor(t).role == Role::constant) {
        if (!g_.tensor(t).constant) return false;
        continue;
      }
      if (x >= 0) return false;
      x = static_cast<int>(r);
    }
    if (x < 0 || nest.reads.size() < 2 || !is_affine_in(nest.expression, x)) return false;
    if (nest.expression.count(numerics::ScalarOpCost::simple) <= 1 && nest.expression.count(numerics::ScalarOpCost::special) == 0 &&
        nest.expression.nodes.back().op == ScalarOp::add)
      return false;  // already a plain bias
    const TensorId mid = map.operands[static_cast<std::size_t>(nest.reads[static_cast<std::size_t>(x)].slot)];
    const auto& mid_tensor = g_.tensor(mid);
    if (uses.is_output[mid.index()] || uses.readers[mid.index()].size() != 1 || uses.writers[mid.index()].size() != 1) return false;
    if (!is_whole_identity(nest.reads[static_cast<std::size_t>(x)], nest, mid_tensor.shape)) return false;
    Op& conv = g_.ops[uses.writers[mid.index()][0]];
    if (!is_single_result(conv) || !conv.nests[0].is_contraction()) return false;
    Nest& contraction = conv.nests[0];
    int weight_read = -1;
    for (int r = 0; r < 2; ++r) {
      const auto& t = g_.tensor(conv.operands[static_cast<std::size_t>(contraction.reads[static_cast<std::size_t>(r)].slot)]);
      // What is stored in few bits would need more of them with a factor in it.
      const bool wide = numerics::format_info(t.format).floating && numerics::format_bytes(t.format) > 1;
      if (t.role == Role::constant && t.constant && wide) weight_read = r;
    }
    if (weight_read < 0) return false;
    // Which loops of the map the constants depend on, and which weight dimension runs with each.
    std::set<int> channel_loops;
    for (std::size_t r = 0; r < nest.reads.size(); ++r)
      if (static_cast<int>(r) != x)
        for (const Affine& f : nest.reads[r].index)
          for (const auto& term : f.terms) channel_loops.insert(term.variable);
    const auto& weight_access = contraction.reads[static_cast<std::size_t>(weight_read)];
    std::vector<int> loop_of_weight_dim(weight_access.index.size(), -1);
    std::vector<int> loops(channel_loops.begin(), channel_loops.end());
    for (int l : loops) {
      std::size_t dim = 0;
      const auto& mid_index = nest.reads[static_cast<std::size_t>(x)].index;
      while (dim < mid_index.size() && mid_index[dim].as_variable() != l) ++dim;
      const auto at = std::find(weight_access.index.begin(), weight_access.index.end(), contraction.write.index[dim]);
      if (at == weight_access.index.end()) return false;
      loop_of_weight_dim[static_cast<std::size_t>(at - weight_access.index.begin())] = l;
    }
    replace(map_number, conv, weight_read, x, loops, loop_of_weight_dim);
    return true;
  }

  /// y = factor * x + y0 for each channel point.
  struct Sampler {
    Expression expression;
    int x;
    std::vector<numerics::Access> reads;
    std::vector<numerics::ConstantPtr> constants;
    std::vector<int> loops;
    std::vector<std::int64_t> loop_extents;  ///< all loops of the map

    [[nodiscard]] numerics::Tensor table(bool factor) const {
      numerics::Shape shape;
      for (int l : loops) shape.push_back(loop_extents[static_cast<std::size_t>(l)]);
      numerics::Tensor out = numerics::make_tensor(numerics::Format::fp64, shape);
      std::vector<numerics::Tensor> values;
      for (const auto& c : constants) values.push_back(c ? c->make() : numerics::Tensor{});
      std::vector<std::int64_t> point(loop_extents.size(), 0);
      std::vector<double> inputs(reads.size());
      for (std::int64_t flat = 0; flat < out.count(); ++flat) {
        std::int64_t rest = flat;
        for (std::size_t i = loops.size(); i-- > 0;) {
          point[static_cast<std::size_t>(loops[i])] = rest % shape[i];
          rest /= shape[i];
        }
        for (std::size_t r = 0; r < reads.size(); ++r) {
          if (static_cast<int>(r) == x) continue;
          const auto strides = numerics::row_major_strides(values[r].shape);
          std::int64_t at = 0;
          for (std::size_t d = 0; d < strides.size(); ++d) at += strides[d] * reads[r].index[d].at(point);
          inputs[r] = values[r].at(at);
        }
        inputs[static_cast<std::size_t>(x)] = 0;
        out.set(flat, factor ? factor_of(expression, x, inputs) : numerics::evaluate(expression, inputs));
      }
      return out;
    }
  };

  void replace(std::size_t map_number, Op& conv, int weight_read, int x, const std::vector<int>& loops,
               const std::vector<int>& loop_of_weight_dim) {
    Op& map = g_.ops[map_number];
    Nest& nest = map.nests[0];
    Sampler sampler{nest.expression, x, nest.reads, {}, loops, extents_of(nest)};
    for (const Access& r : nest.reads) sampler.constants.push_back(g_.tensor(map.operands[static_cast<std::size_t>(r.slot)]).constant);
    Access& weight_access = conv.nests[0].reads[static_cast<std::size_t>(weight_read)];
    const TensorId old_weight = conv.operands[static_cast<std::size_t>(weight_access.slot)];
    graph::Tensor weight = g_.tensor(old_weight);
    weight.name = map.name + ":weight";  // of the map: two operators may share one weight
    if (weight.name == g_.tensor(old_weight).name) weight.name += ":scaled";
    const numerics::ConstantPtr original = weight.constant;
    auto made = std::make_shared<numerics::Constant>();
    made->make = [sampler, original, loop_of_weight_dim, loops] {
      const numerics::Tensor w = original->make();
      const numerics::Tensor factor = sampler.table(true);
      numerics::Tensor out = numerics::make_tensor(numerics::Format::fp32, w.shape);
      const auto factor_strides = numerics::row_major_strides(factor.shape);
      const auto strides = numerics::row_major_strides(w.shape);
      const std::int64_t count = w.count();
      // Rows: as many of the last dimensions as have one factor.
      std::int64_t row = 1;
      for (std::size_t d = w.shape.size(); d-- > 0 && loop_of_weight_dim[d] < 0;) row *= w.shape[d];
      std::vector<float> values(static_cast<std::size_t>(row));
      for (std::int64_t flat = 0; flat < count; flat += row) {
        std::int64_t at = 0;
        for (std::size_t d = 0; d < w.shape.size(); ++d) {
          if (loop_of_weight_dim[d] < 0) continue;
          const auto k = static_cast<std::size_t>(std::find(loops.begin(), loops.end(), loop_of_weight_dim[d]) - loops.begin());
          at += (flat / strides[d]) % w.shape[d] * factor_strides[k];
        }
        const double by = factor.at(at);
        numerics::decode_row(w.format, w.bytes.data() + flat * numerics::format_bytes(w.format), 1, values.data(), row);
        for (float& v : values) v = static_cast<float>(static_cast<double>(v) * by);
        numerics::encode_row(out.format, values.data(), out.bytes.data() + flat * numerics::format_bytes(out.format), 1, row);
      }
      return out;
    };
    weight.constant = made;
    weight.format = numerics::Format::fp32;
    graph::Tensor bias;
    bias.name = map.name + ":bias";
    bias.role = Role::constant;
    bias.trained = true;
    for (int l : loops) bias.shape.push_back(nest.loops[static_cast<std::size_t>(l)].extent);
    auto bias_made = std::make_shared<numerics::Constant>();
    bias_made->make = [sampler] { return numerics::convert_tensor(sampler.table(false), numerics::Format::fp32); };
    bias.constant = bias_made;
    g_.tensors.push_back(std::move(weight));
    const TensorId weight_id(g_.tensors.size() - 1);
    g_.tensors.push_back(std::move(bias));
    const TensorId bias_id(g_.tensors.size() - 1);
    conv.operands[static_cast<std::size_t>(weight_access.slot)] = weight_id;
    const TensorId mid = map.operands[static_cast<std::size_t>(nest.reads[static_cast<std::size_t>(x)].slot)];
    map.operands = {mid, bias_id};
    Access mid_access = nest.reads[static_cast<std::size_t>(x)];
    mid_access.slot = 0;
    Access bias_access{1, {}, {}};
    for (int l : loops) bias_access.index.push_back(numerics::affine_variable(l));
    nest.reads = {mid_access, bias_access};
    nest.write.slot = 2;
    nest.expression = numerics::apply(ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1));
    map.kind = "Bias";
  }

  Graph& g_;
  std::vector<Decision>& decisions_;
};

/// Readers of a copy read its source instead. The copy's write must be the identity.
bool compose_reads(Graph& g) {
  bool changed = false;
  Uses uses(g);
  for (std::size_t o = 0; o < g.ops.size(); ++o) {
    const Op& copy = g.ops[o];
    if (!is_single_result(copy) || !copy.nests[0].is_copy() || copy.nests[0].reads[0].fill) continue;
    const Nest& nest = copy.nests[0];
    const TensorId target = copy.results[0], source = copy.operands[static_cast<std::size_t>(nest.reads[0].slot)];
    if (uses.writers[target.index()].size() != 1 || g.tensor(target).format != g.tensor(source).format) continue;
    if (!is_whole_identity(nest.write, nest, g.tensor(target).shape)) continue;
    for (std::size_t reader : std::vector<std::size_t>(uses.readers[target.index()])) {
      Op& user = g.ops[reader];
      // What is looked up is looked up where it is: the dimension of the copy need not be one of the source.
      bool all = std::none_of(user.nests.begin(), user.nests.end(), [&](const Nest& n) {
        return std::any_of(n.reads.begin(), n.reads.end(), [&](const Access& r) {
          return !r.lookups.empty() && user.operands[static_cast<std::size_t>(r.slot)] == target;
        });
      });
      const auto slot_it = std::find(user.operands.begin(), user.operands.end(), target);
      if (slot_it == user.operands.end()) continue;
      const int slot = static_cast<int>(slot_it - user.operands.begin());
      // Padding needs the tensor's own border: only where the source ends at the same places.
      for (const Nest& n : user.nests)
        for (const Access& r : n.reads) {
          if (r.slot != slot || !r.fill) continue;
          const auto extents = extents_of(n);
          for (std::size_t d = 0; d < r.index.size(); ++d) {
            const auto range = numerics::range_over(r.index[d], extents);
            if (range.least >= 0 && range.greatest < g.tensor(target).shape[d]) continue;
            const int loop = nest.write.index[d].as_variable();
            bool same_border = false;
            for (std::size_t sd = 0; sd < nest.reads[0].index.size(); ++sd)
              same_border =
                  same_border || (nest.reads[0].index[sd].as_variable() == loop && g.tensor(source).shape[sd] == g.tensor(target).shape[d]);
            all = all && same_border;
          }
        }
      if (!all) continue;
      const int source_slot = operand_slot(user, source);
      for (Nest& n : user.nests)
        for (Access& r : n.reads) {
          if (r.slot != slot) continue;
          r.index = substitute_all(nest.reads[0].index, loops_from_dims(nest.write, nest.loops.size(), r.index));
          r.slot = source_slot;
        }
      drop_unread_operands(user);
      uses.remove_reader(target, reader);
      Uses::add(uses.readers[source.index()], reader);
      changed = true;
    }
  }
  return changed;
}

/// The producers of a copy's source write its target instead. The copy's read must be the identity and the only reader.
bool compose_writes(Graph& g) {
  bool changed = false;
  Uses uses(g);
  for (std::size_t o = 0; o < g.ops.size(); ++o) {
    if (!is_single_result(g.ops[o]) || !g.ops[o].nests[0].is_copy() || g.ops[o].nests[0].reads[0].fill) continue;
    const Nest nest = g.ops[o].nests[0];
    const TensorId target = g.ops[o].results[0], source = g.ops[o].operands[static_cast<std::size_t>(nest.reads[0].slot)];
    if (g.tensor(source).role != Role::intermediate || uses.is_output[source.index()] || uses.readers[source.index()].size() != 1) continue;
    if (g.tensor(target).format != g.tensor(source).format) continue;
    if (!is_whole_identity(nest.reads[0], nest, g.tensor(source).shape)) continue;
    bool possible = !uses.writers[source.index()].empty();
    // A pure copy with several writers behind it gains nothing from another level, and a tile must be able to be written densely:
    // strided targets (a channel shuffle) stay copies of their own.
    const auto extents = extents_of(nest);
    for (const Affine& f : nest.write.index) {
      std::vector<Affine::Term> terms = f.terms;
      std::sort(terms.begin(), terms.end(), [](const auto& a, const auto& b) { return a.coefficient < b.coefficient; });
      std::int64_t expected = 1;
      for (std::size_t i = 0; i < terms.size(); ++i) {
        possible = possible && terms[i].coefficient == expected;
        // The faster term must also be the later dimension of the source, or its tiles would be scattered.
        if (i > 0) possible = possible && terms[i].variable < terms[i - 1].variable;
        expected *= extents[static_cast<std::size_t>(terms[i].variable)];
      }
    }
    for (std::size_t w : uses.writers[source.index()])
      for (TensorId t : g.ops[w].results) possible = possible && t != target;
    if (!possible) continue;
    for (std::size_t w : uses.writers[source.index()]) {
      Op& producer = g.ops[w];
      const auto r = static_cast<int>(std::find(producer.results.begin(), producer.results.end(), source) - producer.results.begin());
      const int slot = producer.result_slot(r);
      for (Nest& n : producer.nests) {
        const auto redirect = [&](Access& a) {
          if (a.slot == slot) a.index = substitute_all(nest.write.index, loops_from_dims(nest.reads[0], nest.loops.size(), a.index));
        };
        for (Access& a : n.reads) redirect(a);
        redirect(n.write);
      }
      producer.results[static_cast<std::size_t>(r)] = target;
      for (const std::string& node : g.ops[o].nodes)
        if (std::find(producer.nodes.begin(), producer.nodes.end(), node) == producer.nodes.end()) producer.nodes.push_back(node);
    }
    for (const std::size_t w : uses.writers[source.index()]) Uses::add(uses.writers[target.index()], w);
    uses.writers[source.index()].clear();
    uses.readers[source.index()].clear();
    uses.remove_writer(target, o);
    retire(g.ops[o]);
    changed = true;
  }
  remove_retired(g);
  return changed;
}

/// An expression written out in full, as programs are saved: shared nodes count each time they are used.
struct Written {
  double nodes = 1;
  int levels = 1;
};

Written written_out(const Expression& e, const std::vector<Written>& inputs) {
  std::vector<Written> size(e.nodes.size());
  for (std::size_t i = 0; i < e.nodes.size(); ++i) {
    const auto& n = e.nodes[i];
    if (n.op == ScalarOp::input) {
      if (static_cast<std::size_t>(n.a) < inputs.size()) size[i] = inputs[static_cast<std::size_t>(n.a)];
      continue;
    }
    for (const int operand : {n.a, n.b, n.c}) {
      if (operand < 0) continue;
      size[i].nodes += size[static_cast<std::size_t>(operand)].nodes;
      size[i].levels = std::max(size[i].levels, size[static_cast<std::size_t>(operand)].levels + 1);
    }
  }
  return size.back();
}

/// Would the user's expression stay readable with the producer's in place of every read of `slot`? Each x * sigmoid(x) doubles it.
bool stays_short(const Nest& user, int slot, const Nest& producer) {
  constexpr double kNodes = 400;
  constexpr int kLevels = 60;
  std::vector<Written> inputs(user.reads.size());
  const Written inner = written_out(producer.expression, {});
  for (std::size_t r = 0; r < user.reads.size(); ++r)
    if (user.reads[r].slot == slot) inputs[r] = inner;
  const Written all = written_out(user.expression, inputs);
  return all.nodes <= kNodes && all.levels <= kLevels;
}

/// An element-wise operator read once, over as many points, by a map or reduction is computed there.
bool inline_maps(Graph& g) {
  bool changed = false;
  Uses uses(g);
  for (std::size_t o = 0; o < g.ops.size(); ++o) {
    for (bool again = true; again;) {
      again = false;
      Op& user = g.ops[o];
      if (!is_single_result(user) || user.nests[0].is_contraction() || user.nests[0].has_lookups()) break;
      Nest& nest = user.nests[0];
      for (std::size_t i = 0; i < user.operands.size(); ++i) {
        const TensorId t = user.operands[i];
        if (g.tensor(t).role != Role::intermediate || uses.is_output[t.index()]) continue;
        if (uses.readers[t.index()].size() != 1 || uses.writers[t.index()].size() != 1) continue;
        const std::size_t p = uses.writers[t.index()][0];
        const Op& producer = g.ops[p];
        if (!is_single_result(producer) || producer.nests[0].combiner != Combiner::none) continue;
        const Nest& inner = producer.nests[0];
        if (inner.has_lookups() || !is_whole_identity(inner.write, inner, g.tensor(t).shape) || inner.points() != nest.points()) continue;
        bool filled = false;
        for (const Access& r : inner.reads) filled = filled || r.fill.has_value();
        for (const Access& r : nest.reads) filled = filled || (r.slot == static_cast<int>(i) && r.fill.has_value());
        if (filled || !stays_short(nest, static_cast<int>(i), inner)) continue;
        // New list of reads: the user's others, then the producer's with composed indices; equal reads share a number.
        std::vector<Access> reads;
        std::vector<Expression> with(nest.reads.size());
        const std::vector<Access> old = nest.reads;
        const auto number_of = [&](const Access& a) {
          const auto at = std::find(reads.begin(), reads.end(), a);
          if (at != reads.end()) return static_cast<int>(at - reads.begin());
          reads.push_back(a);
          return static_cast<int>(reads.size()) - 1;
        };
        std::vector<int> moved(producer.operands.size());
        const TensorId replaced = t;
        const std::vector<TensorId> producer_operands = producer.operands;
        const Nest inner_copy = inner;
        const std::vector<std::string> producer_nodes = producer.nodes;
        for (std::size_t k = 0; k < producer_operands.size(); ++k) moved[k] = operand_slot(user, producer_operands[k]);
        Nest& n = user.nests[0];
        const int slot = static_cast<int>(std::find(user.operands.begin(), user.operands.end(), replaced) - user.operands.begin());
        for (std::size_t r = 0; r < n.reads.size(); ++r) {
          if (n.reads[r].slot != slot) {
            with[r] = numerics::expr_input(number_of(n.reads[r]));
            continue;
          }
          const auto loops = loops_from_dims(inner_copy.write, inner_copy.loops.size(), n.reads[r].index);
          std::vector<Expression> inner_with;
          for (const Access& a : inner_copy.reads)
            inner_with.push_back(
                numerics::expr_input(number_of({moved[static_cast<std::size_t>(a.slot)], substitute_all(a.index, loops), {}})));
          with[r] = numerics::substitute(inner_copy.expression, inner_with);
        }
        n.expression = numerics::substitute(n.expression, with);
        n.reads = reads;
        drop_unread_operands(user);
        user.nodes.insert(user.nodes.begin(), producer_nodes.begin(), producer_nodes.end());
        for (const TensorId read : producer_operands) {
          uses.remove_reader(read, p);
          Uses::add(uses.readers[read.index()], o);
        }
        uses.readers[replaced.index()].clear();
        uses.writers[replaced.index()].clear();
        retire(g.ops[p]);
        changed = again = true;
        break;
      }
    }
  }
  remove_retired(g);
  return changed;
}

void remove_dead(Graph& g) {
  for (bool again = true; again;) {
    const Uses uses(g);
    const auto dead = [&](const Op& op) {
      return std::all_of(op.results.begin(), op.results.end(),
                         [&](TensorId t) { return !uses.is_output[t.index()] && uses.readers[t.index()].empty(); });
    };
    again = std::erase_if(g.ops, dead) > 0;
  }
}

/// A graph output that is an input or a constant needs a copy, so that something writes it.
void copy_unwritten_outputs(Graph& g) {
  const Uses uses(g);
  for (TensorId& out : g.outputs) {
    if (!uses.writers[out.index()].empty()) continue;
    graph::Tensor t = g.tensor(out);
    const TensorId source = out;
    t.role = Role::intermediate;
    t.constant = nullptr;
    t.name += ":out";
    g.tensors.push_back(t);
    out = TensorId(g.tensors.size() - 1);
    Op op;
    op.name = t.name;
    op.kind = "Copy";
    op.operands = {source};
    op.results = {out};
    Nest nest;
    Access access{0, {}, {}};
    for (std::size_t d = 0; d < t.shape.size(); ++d) {
      nest.loops.push_back({fmt::format("d{}", d), t.shape[d], numerics::LoopKind::parallel});
      access.index.push_back(numerics::affine_variable(static_cast<int>(d)));
    }
    nest.reads = {access};
    access.slot = 1;
    nest.write = access;
    nest.expression = numerics::expr_input(0);
    op.nests = {nest};
    g.ops.push_back(op);
  }
}

}  // namespace

void merge_maps(graph::Graph& graph) {
  while (inline_maps(graph)) remove_dead(graph);
}

graph::Graph canonicalise(const graph::Graph& model, std::vector<Decision>& decisions) {
  Graph g = model;
  const std::size_t before = g.ops.size();
  copy_unwritten_outputs(g);
  split_independent_copies(g);
  remove_dead(g);
  AffineFolder(g, decisions).run();
  do {
    for (bool again = true; again;) {
      again = compose_reads(g);
      remove_dead(g);
      again = compose_writes(g) || again;
      again = inline_maps(g) || again;
    }
  } while (move_scales(g, decisions));  // a map that only scaled is a copy now
  AffineFolder(g, decisions).run();     // what copies had hidden, and factors that have moved
  remove_dead(g);
  decisions.push_back({"canonicalise", fmt::format("{} operators become {}", before, g.ops.size())});
  return g;
}

}  // namespace switchyard::compiler
