// One element at a time: the nest that writes it is found by inverting its write, and what it reads is asked for in turn.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "graph/evaluate.h"
#include "graph/nest_plan.h"
#include "graph/write_map.h"
#include "support/check.h"

namespace switchyard::graph {

namespace {

using numerics::Combiner;
using numerics::Expression;
using numerics::Format;
using numerics::Nest;
using numerics::ScalarOp;
using Value = PointEvaluator::Value;

constexpr std::size_t kMemoLimit = 1'000'000;  // entries kept from one call of at() to the next

/// A number found in memory: its magnitude is its own, and nothing was accumulated.
Value leaf(double value) { return {value, std::fabs(value), 0, value}; }

/// load_element with the two commonest formats inline: a convolution's point is thousands of these.
inline double load(Format format, const std::byte* address) {
  if (format == Format::fp32) {
    float value;
    std::memcpy(&value, address, sizeof value);
    return value;
  }
  if (format == Format::bf16) {
    std::uint16_t code;
    std::memcpy(&code, address, sizeof code);
    const std::uint32_t bits = static_cast<std::uint32_t>(code) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  return numerics::load_element(format, address);
}

/// How far an error of one unit in each operand's magnitude may move the result: the derivative's share of each operand, to first order.
double magnitude_of(ScalarOp op, double v, const Value& a, const Value& b, const Value& c) {
  constexpr double kTiny = 1e-12;  // keeps a quotient by a cancelled sum from accepting anything
  constexpr double kTwoOverRootPi = 1.1283791670955126;
  const double x = std::fabs(a.value), y = std::fabs(b.value), r = std::fabs(v);
  switch (op) {
    case ScalarOp::input:
    case ScalarOp::constant:
    case ScalarOp::neg:
    case ScalarOp::abs:
    case ScalarOp::floor:
    case ScalarOp::ceil:
    case ScalarOp::sin:
    case ScalarOp::cos:
    case ScalarOp::atan:
    case ScalarOp::asinh: return a.magnitude;
    case ScalarOp::tan: return (1 + v * v) * a.magnitude + r;
    case ScalarOp::asin:
    case ScalarOp::acos: return a.magnitude / std::sqrt(std::max(1 - x * x, kTiny)) + r;
    case ScalarOp::sinh:
    case ScalarOp::cosh: return std::cosh(x) * a.magnitude + r;
    case ScalarOp::acosh: return a.magnitude / std::sqrt(std::max(x * x - 1, kTiny)) + r;
    case ScalarOp::atanh: return a.magnitude / std::max(1 - x * x, kTiny) + r;
    case ScalarOp::remainder: return a.magnitude + b.magnitude * (1 + x / std::max(y, kTiny));
    case ScalarOp::bit_and:
    case ScalarOp::bit_or:
    case ScalarOp::bit_xor:
    case ScalarOp::shift_left:
    case ScalarOp::shift_right: return r;
    // A rounding into a narrower format: a value near the middle of two numbers may go either way.
    case ScalarOp::cast: {
      const double u = numerics::unit_roundoff(numerics::cast_rule(b.value).to);
      return a.magnitude + (u > 0 ? 2 * u * r / 0x1p-24 : 0);
    }
    case ScalarOp::random: return r;
    // Near the middle of two integers it may go either way: one step, in the units that a tolerance counts 64 of.
    case ScalarOp::round: {
      constexpr double kStep = 0x1p18, kUnit = 0x1p-24;
      const double middle = std::fabs(a.value - std::floor(a.value) - 0.5);
      return a.magnitude + (middle <= (64 * kUnit + a.roundoff) * a.magnitude ? kStep : 0);
    }
    case ScalarOp::exp: return r * (1 + a.magnitude);
    case ScalarOp::log: return a.magnitude / std::max(x, kTiny) + r;
    case ScalarOp::sqrt: return a.magnitude / (2 * std::sqrt(std::max(x, kTiny))) + r;
    case ScalarOp::reciprocal: return r * (1 + a.magnitude / std::max(x, kTiny));
    case ScalarOp::tanh: return (1 - v * v) * a.magnitude + r;
    case ScalarOp::erf: return kTwoOverRootPi * std::exp(-x * x) * a.magnitude + r;
    case ScalarOp::sigmoid: return v * (1 - v) * a.magnitude + r;
    case ScalarOp::logical_not:
    case ScalarOp::less:
    case ScalarOp::equal: return r;
    case ScalarOp::add:
    case ScalarOp::sub: return a.magnitude + b.magnitude;
    case ScalarOp::mul: return x * b.magnitude + y * a.magnitude - r;
    case ScalarOp::div: return (a.magnitude + r * b.magnitude) / std::max(y, kTiny);
    // Both: where they are close, an error decides which one is taken.
    case ScalarOp::max:
    case ScalarOp::min: return std::max(a.magnitude, b.magnitude);
    case ScalarOp::pow: return r * (1 + y * a.magnitude / std::max(x, kTiny) + std::fabs(std::log(std::max(x, kTiny))) * b.magnitude);
    case ScalarOp::select: return a.value != 0 ? b.magnitude : c.magnitude;
  }
  return r;
}

Value apply_to_values(ScalarOp op, const Value& a, const Value& b, const Value& c) {
  Value v;
  v.value = numerics::apply_scalar(op, a.value, b.value, c.value);
  v.magnitude = std::fmax(magnitude_of(op, v.value, a, b, c), std::fabs(v.value));  // fmax: not a NaN from inf - inf
  v.reduction = std::max({a.reduction, b.reduction, c.reduction});
  v.roundoff = std::max({a.roundoff, b.roundoff, c.roundoff});
  return v;
}

/// The n-th accumulation into `sum`.
void accumulate(Combiner combiner, Value& sum, const Value& term) {
  const double before = sum.value;
  sum.value = numerics::combine(combiner, before, term.value);
  switch (combiner) {
    case Combiner::none: sum.magnitude = term.magnitude; break;
    case Combiner::add: sum.magnitude += term.magnitude; break;
    case Combiner::mul:
      sum.magnitude = std::fmax(std::fabs(before) * term.magnitude + std::fabs(term.value) * sum.magnitude - std::fabs(sum.value),
                                std::fabs(sum.value));
      break;
    case Combiner::max:
    case Combiner::min: {
      // Errors are small parts of magnitudes: what is beyond a quarter of them away cannot have won. So a masked score, of -1e30 or minus
      // infinity, says nothing of how far off the largest one may be.
      constexpr double kShare = 0.25;
      const double sign = combiner == Combiner::max ? 1 : -1;
      const auto beats = [&](double a, double a_magnitude, double b, double b_magnitude) {
        return sign * b == -std::numeric_limits<double>::infinity() ? sign * a != sign * b
                                                                    : sign * a - kShare * a_magnitude > sign * b + kShare * b_magnitude;
      };
      if (beats(before, sum.magnitude, term.value, term.magnitude)) break;
      sum.magnitude = beats(term.value, term.magnitude, before, sum.magnitude) ? term.magnitude : std::max(sum.magnitude, term.magnitude);
      break;
    }
  }
  sum.reduction = std::max(sum.reduction, term.reduction);
  sum.roundoff = std::max(sum.roundoff, term.roundoff);
}

constexpr std::int64_t kTableLimit = 1 << 20;  // reduction points up to which a contraction's offsets are kept

/// Of every reduction point of a contraction: how far each entry of the state lies from where the reduction starts. All elements of the
/// result share it, so that a point costs two loads and a product.
struct ContractionTable {
  std::vector<std::vector<std::int64_t>> columns;  ///< [state][point]
  std::vector<numerics::Interval> ranges;          ///< least and greatest of each column
};

struct PreparedNest {
  NestPlan plan;
  std::optional<WriteMap> map;
  std::unique_ptr<ContractionTable> table;  ///< made when first needed
};
struct PreparedOp {
  std::vector<PreparedNest> nests;
};

struct Producer {
  std::size_t op = 0;
  int slot = 0;
};

/// Names one element of a tensor, or of a local of an operator.
struct ElementKey {
  std::uint64_t space = 0;
  std::int64_t flat = 0;
  bool operator==(const ElementKey&) const = default;
};
struct ElementHash {
  std::size_t operator()(const ElementKey& key) const { return numerics::mix(key.space, static_cast<std::uint64_t>(key.flat)); }
};

}  // namespace

struct PointEvaluator::Impl {
  const Graph& graph;
  Known known;
  std::vector<std::vector<Producer>> producers;                             // by tensor: several where operators write parts
  std::vector<std::uint64_t> first_local;                                   // by op: spaces of its locals follow those of the tensors
  std::vector<std::unique_ptr<PreparedOp>> prepared;                        // by op, made when first needed
  std::vector<std::unique_ptr<numerics::Tensor>> constants;                 // by tensor, made when first needed
  std::vector<std::pair<std::uint64_t, const numerics::Tensor*>> resolved;  // by tensor: answer of `known` in call number `first`
  std::uint64_t calls = 0;
  std::unordered_map<ElementKey, Value, ElementHash> memo;

  Impl(const Graph& g, Known k) : graph(g), known(std::move(k)), producers(g.tensors.size()), prepared(g.ops.size()) {
    constants.resize(g.tensors.size());
    resolved.resize(g.tensors.size());
    std::uint64_t space = g.tensors.size();
    for (std::size_t i = 0; i < g.ops.size(); ++i) {
      for (std::size_t r = 0; r < g.ops[i].results.size(); ++r) {
        producers[g.ops[i].results[r].index()].push_back({i, g.ops[i].result_slot(static_cast<int>(r))});
      }
      first_local.push_back(space);
      space += g.ops[i].locals.size();
    }
  }

  /// The tensor's values where they exist; null when an operator has to be asked.
  const numerics::Tensor* resolve(TensorId id) {
    auto& [call, answer] = resolved[id.index()];
    if (call == calls) return answer;
    call = calls;
    answer = known ? known(id) : nullptr;
    const Tensor& declared = graph.tensor(id);
    if (answer) {
      SY_CHECK(answer->shape == declared.shape, "tensor " + declared.name + " is known in another shape");
    } else if (declared.role == Role::constant) {
      auto& made = constants[id.index()];
      if (!made) {
        SY_CHECK(declared.constant != nullptr, "constant " + declared.name + " has no values");
        made = std::make_unique<numerics::Tensor>(numerics::convert_tensor(declared.constant->make(), declared.format));
      }
      answer = made.get();
    }
    return answer;
  }

  PreparedOp& prepare(std::size_t op) {
    auto& slot = prepared[op];
    if (!slot) {
      slot = std::make_unique<PreparedOp>();
      for (const Nest& nest : graph.ops[op].nests) slot->nests.push_back({plan_nest(graph, graph.ops[op], nest), write_map(nest), nullptr});
    }
    return *slot;
  }

  Value tensor_element(TensorId id, std::int64_t flat, std::optional<OpId> asked_first = {}) {
    if (const numerics::Tensor* t = resolve(id)) return leaf(t->at(flat));
    if (asked_first)
      for (const Producer& producer : producers[id.index()])
        if (producer.op == asked_first->index())
          if (const auto value = try_element(producer.op, producer.slot, flat)) return *value;
    for (const Producer& producer : producers[id.index()])
      if (const auto value = try_element(producer.op, producer.slot, flat)) return *value;
    SY_CHECK(false, "an element of tensor " + graph.tensor(id).name + " is neither known nor made by an operator");
  }

  /// An element of a result or local that the operator itself writes.
  Value written_element(std::size_t op_index, int slot, std::int64_t flat) {
    const auto value = try_element(op_index, slot, flat);
    SY_CHECK(value.has_value(), "no nest of " + graph.ops[op_index].name + " writes the element");
    return *value;
  }

  /// Empty when the operator writes other elements of the tensor only.
  std::optional<Value> try_element(std::size_t op_index, int slot, std::int64_t flat) {
    const Op& op = graph.ops[op_index];
    const bool local = slot >= op.local_slot(0);
    const auto number = static_cast<std::size_t>(slot);
    const ElementKey key{local ? first_local[op_index] + number - static_cast<std::size_t>(op.local_slot(0))
                               : op.results[number - op.operands.size()].index(),
                         flat};
    if (const auto found = memo.find(key); found != memo.end()) return found->second;

    const numerics::Shape& shape = slot_shape(graph, op, slot);
    std::vector<std::int64_t> index(shape.size());
    std::int64_t rest = flat;
    for (std::size_t d = shape.size(); d-- > 0;) {
      index[d] = rest % shape[d];
      rest /= shape[d];
    }
    PreparedOp& nests = prepare(op_index);
    for (std::size_t n = 0; n < op.nests.size(); ++n) {
      if (op.nests[n].write.slot != slot) continue;
      std::vector<std::int64_t> loops(op.nests[n].loops.size(), 0);
      SY_CHECK(nests.nests[n].map.has_value(), "a write of " + op.name + " cannot be inverted");
      if (!nests.nests[n].plan.writes) continue;
      if (!invert(*nests.nests[n].map, index, loops)) continue;
      Value value = run(op_index, op.nests[n], nests.nests[n], loops);
      value.unrounded = value.value;
      const Format format = slot_format(graph, op, slot);
      if (!local) value.value = numerics::rounded(format, value.value);
      value.roundoff += numerics::unit_roundoff(format);
      memo.emplace(key, value);
      return value;
    }
    return std::nullopt;
  }

  /// All reduction points of one element, in listed order.
  Value run(std::size_t op_index, const Nest& nest, PreparedNest& prepared_nest, const std::vector<std::int64_t>& loops) {
    const NestPlan& plan = prepared_nest.plan;
    const Op& op = graph.ops[op_index];
    std::vector<std::int64_t> state = plan.start;
    for (int p = 0; p < plan.outer; ++p) {
      const auto k = static_cast<std::size_t>(p);
      const std::int64_t at = loops[static_cast<std::size_t>(plan.order[k])];
      for (std::size_t q = 0; q < state.size(); ++q) state[q] += plan.step[k][q] * at;
    }
    std::vector<const numerics::Tensor*> sources;  // null: asked for element by element
    bool all_exist = true;
    for (const NestPlan::Read& read : plan.reads) {
      const auto s = static_cast<std::size_t>(read.slot);
      sources.push_back(s < op.operands.size() ? resolve(op.operands[s]) : nullptr);
      all_exist = all_exist && sources.back() != nullptr;
    }
    const auto last = static_cast<int>(plan.order.size());
    Value sum;
    if (all_exist && nest.is_contraction() && plan.reads.size() == 2 && plan.reduction_points > 0 && plan.reduction_points <= kTableLimit) {
      sum = contract(prepared_nest, sources, state);
    } else {
      std::vector<Value> inputs(plan.reads.size()), nodes(nest.expression.nodes.size());
      sum = {numerics::combiner_identity(nest.combiner), 0, 0};
      if (nest.combiner == Combiner::mul) sum.magnitude = 1;
      turn(plan, plan.outer, last, state, [&] {
        for (std::size_t r = 0; r < inputs.size(); ++r) {
          std::int64_t offset = state[r];
          for (const auto& lookup : plan.reads[r].lookups)
            offset += lookup.offset(fetch(op_index, plan.reads[lookup.read], sources[lookup.read], state, state[lookup.read]).value);
          inputs[r] = fetch(op_index, plan.reads[r], sources[r], state, offset);
        }
        accumulate(nest.combiner, sum, value_of(nest.expression, inputs, nodes));
      });
    }
    sum.magnitude = std::fmax(sum.magnitude, std::fabs(sum.value));
    sum.reduction += std::max<std::int64_t>(plan.reduction_points, 1);
    return sum;
  }

  static const ContractionTable& table_of(PreparedNest& prepared_nest) {
    if (!prepared_nest.table) {
      const NestPlan& plan = prepared_nest.plan;
      auto table = std::make_unique<ContractionTable>();
      std::vector<std::int64_t> state(plan.start.size(), 0);
      table->columns.resize(state.size());
      for (auto& column : table->columns) column.reserve(static_cast<std::size_t>(plan.reduction_points));
      turn(plan, plan.outer, static_cast<int>(plan.order.size()), state, [&] {
        for (std::size_t q = 0; q < state.size(); ++q) table->columns[q].push_back(state[q]);
      });
      for (const auto& column : table->columns) {
        const auto [least, greatest] = std::minmax_element(column.begin(), column.end());
        table->ranges.push_back({*least, *greatest});
      }
      prepared_nest.table = std::move(table);
    }
    return *prepared_nest.table;
  }

  /// A sum of products of numbers that exist: what convolutions and matrix products are. `state` stands at the first reduction point.
  static Value contract(PreparedNest& prepared_nest, const std::vector<const numerics::Tensor*>& sources,
                        const std::vector<std::int64_t>& state) {
    struct Check {
      const std::int64_t* column;
      std::int64_t from, extent;
    };
    struct Source {
      Format format;
      std::int64_t bytes;
      const std::byte* data;
      std::int64_t from;  ///< offset of the first reduction point; may lie outside
      const std::int64_t* column;
      std::vector<Check> checks;  ///< only those this element may fail
      std::optional<double> fill;

      [[nodiscard]] double at(std::size_t point) const {
        for (const Check& check : checks) {
          const std::int64_t i = check.from + check.column[point];
          if (i >= 0 && i < check.extent) continue;
          SY_CHECK(fill.has_value(), "a read outside of its slot, without a fill value");
          return *fill;
        }
        return load(format, data + (from + column[point]) * bytes);
      }
    };
    const ContractionTable& table = table_of(prepared_nest);
    const auto prepare_source = [&](std::size_t r) {
      const NestPlan::Read& read = prepared_nest.plan.reads[r];
      const numerics::Tensor& t = *sources[r];
      const std::int64_t bytes = numerics::format_bytes(t.format);
      Source source{t.format, bytes, t.bytes.data(), state[r], table.columns[r].data(), {}, read.fill};
      for (const NestPlan::Check& check : read.checks) {
        const auto q = static_cast<std::size_t>(check.state);
        if (state[q] + table.ranges[q].least >= 0 && state[q] + table.ranges[q].greatest < check.extent) continue;
        source.checks.push_back({table.columns[q].data(), state[q], check.extent});
      }
      return source;
    };
    const Source a = prepare_source(0), b = prepare_source(1);
    double sum = 0, magnitude = 0;
    const std::size_t points = table.columns[0].size();
    for (std::size_t p = 0; p < points; ++p) {
      const double product = a.at(p) * b.at(p);
      sum += product;
      magnitude += std::fabs(product);
    }
    return {sum, magnitude, 0};
  }

  Value fetch(std::size_t op_index, const NestPlan::Read& read, const numerics::Tensor* source, const std::vector<std::int64_t>& state,
              std::int64_t flat) {
    if (!read.inside(state)) {
      SY_CHECK(read.fill.has_value(), "a read outside of its slot, without a fill value");
      return leaf(*read.fill);
    }
    if (source) return leaf(load(source->format, source->bytes.data() + flat * numerics::format_bytes(source->format)));
    const Op& op = graph.ops[op_index];
    const auto s = static_cast<std::size_t>(read.slot);
    return s < op.operands.size() ? tensor_element(op.operands[s], flat) : written_element(op_index, read.slot, flat);
  }

  static Value value_of(const Expression& e, const std::vector<Value>& inputs, std::vector<Value>& nodes) {
    for (std::size_t i = 0; i < e.nodes.size(); ++i) {
      const Expression::Node& node = e.nodes[i];
      if (node.op == ScalarOp::input) {
        nodes[i] = inputs[static_cast<std::size_t>(node.a)];
      } else if (node.op == ScalarOp::constant) {
        nodes[i] = leaf(node.constant);
      } else {
        const Value none = leaf(0);
        const auto operand = [&](int n) -> const Value& { return n >= 0 ? nodes[static_cast<std::size_t>(n)] : none; };
        nodes[i] = apply_to_values(node.op, operand(node.a), operand(node.b), operand(node.c));
      }
    }
    return nodes.back();
  }
};

PointEvaluator::PointEvaluator(const Graph& graph, Known known) : impl_(std::make_unique<Impl>(graph, std::move(known))) {}
PointEvaluator::~PointEvaluator() = default;

PointEvaluator::Value PointEvaluator::at(TensorId tensor, const std::vector<std::int64_t>& index, std::optional<OpId> producer) {
  if (impl_->memo.size() > kMemoLimit) impl_->memo.clear();
  ++impl_->calls;
  const numerics::Shape& shape = impl_->graph.tensor(tensor).shape;
  SY_CHECK(index.size() == shape.size(), "an index of another rank than its tensor");
  std::int64_t flat = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    SY_CHECK(index[d] >= 0 && index[d] < shape[d], "an index outside of its tensor");
    flat = flat * shape[d] + index[d];
  }
  Value value = impl_->tensor_element(tensor, flat, producer);
  value.reduction = std::max<std::int64_t>(value.reduction, 1);
  return value;
}

}  // namespace switchyard::graph
