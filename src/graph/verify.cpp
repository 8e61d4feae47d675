#include "graph/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "graph/nest_plan.h"
#include "graph/write_map.h"

namespace switchyard::graph {

namespace {

using numerics::Access;
using numerics::Affine;
using numerics::Combiner;
using numerics::Expression;
using numerics::Interval;
using numerics::LoopKind;
using numerics::Nest;
using numerics::NestLoop;
using numerics::ScalarOp;
using numerics::Shape;

constexpr std::int64_t kEnumerated = 1 << 22;  // elements up to which two interleaved writes are compared one by one

bool is_identifier(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.'; });
}

/// Elements of a shape, or -1 when it is no shape (negative, or more than int64 holds).
std::int64_t counted(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(count, std::max<std::int64_t>(extent, 1), &count)) return -1;  // strides are to fit too
  }
  return std::find(shape.begin(), shape.end(), 0) == shape.end() ? count : 0;
}

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {}

  Status run() {
    check_tensors();
    if (!failure_.diagnostics.empty()) return failure_;  // what follows looks tensors up
    check_definitions();
    if (!failure_.diagnostics.empty()) return failure_;
    for (const Op& op : graph_.ops) check_op(op);
    if (!failure_.diagnostics.empty()) return failure_;
    return Done{};
  }

 private:
  void complain(std::string code, std::string pointer, std::string message) {
    failure_.diagnostics.push_back({std::move(code), std::move(message), {}, std::move(pointer), {}, {}});
  }
  [[nodiscard]] bool exists(TensorId id) const { return id.index() < graph_.tensors.size(); }

  void check_tensors() {
    std::set<std::string> names;
    for (const Tensor& t : graph_.tensors) {
      if (t.name.empty()) complain("graph/name", t.name, "a tensor without a name");
      if (!names.insert(t.name).second) complain("graph/duplicate-name", t.name, fmt::format("two tensors are called '{}'", t.name));
      if (counted(t.shape) < 0) complain("graph/shape", t.name, fmt::format("tensor '{}' has an impossible shape", t.name));
      if (t.constant && t.role != Role::constant)
        complain("graph/role", t.name, fmt::format("tensor '{}' has values but is no constant", t.name));
    }
    const auto check_ids = [&](const std::vector<TensorId>& ids, const std::string& owner) {
      for (const TensorId id : ids) {
        if (!exists(id)) complain("graph/unknown-tensor", owner, fmt::format("'{}' names a tensor that does not exist", owner));
      }
    };
    check_ids(graph_.inputs, "inputs");
    check_ids(graph_.outputs, "outputs");
    std::set<std::string> op_names;
    for (const Op& op : graph_.ops) {
      if (op.name.empty()) complain("graph/name", op.name, "an operator without a name");
      if (!op_names.insert(op.name).second)
        complain("graph/duplicate-name", op.name, fmt::format("two operators are called '{}'", op.name));
      check_ids(op.operands, op.name);
      check_ids(op.results, op.name);
      for (const Local& local : op.locals) {
        if (counted(local.shape) < 0)
          complain("graph/shape", op.name, fmt::format("local '{}' of '{}' has an impossible shape", local.name, op.name));
      }
    }
  }

  void check_definitions() {
    std::vector<bool> defined(graph_.tensors.size(), false), listed(graph_.tensors.size(), false);
    for (const TensorId id : graph_.inputs) {
      const Tensor& t = graph_.tensor(id);
      if (t.role != Role::input) complain("graph/role", t.name, fmt::format("'{}' is listed as an input but has another role", t.name));
      if (listed[id.index()]) complain("graph/duplicate-name", t.name, fmt::format("input '{}' is listed twice", t.name));
      listed[id.index()] = true;
    }
    for (std::size_t i = 0; i < graph_.tensors.size(); ++i) {
      const Tensor& t = graph_.tensors[i];
      if (t.role == Role::input && !listed[i])
        complain("graph/role", t.name, fmt::format("input '{}' is missing from the list of inputs", t.name));
      defined[i] = t.role != Role::intermediate;
    }
    for (const Op& op : graph_.ops) {
      for (const TensorId id : op.operands) {
        if (!defined[id.index()]) {
          complain("graph/order", op.name, fmt::format("'{}' reads '{}' before it is made", op.name, graph_.tensor(id).name));
        }
      }
      for (const TensorId id : op.results) {
        if (defined[id.index()]) complain("graph/order", op.name, fmt::format("'{}' makes '{}' again", op.name, graph_.tensor(id).name));
        defined[id.index()] = true;
      }
    }
    for (const TensorId id : graph_.outputs) {
      if (!defined[id.index()])
        complain("graph/order", graph_.tensor(id).name, fmt::format("output '{}' is never made", graph_.tensor(id).name));
    }
  }

  void check_op(const Op& op) {
    const std::size_t before = failure_.diagnostics.size();
    if (op.host) {
      if (!op.nests.empty() || !op.locals.empty())
        complain("graph/host", op.name, fmt::format("'{}' is the host's and has nests or locals", op.name));
      if (!numerics::is_host_call(op.host->kind))
        complain("graph/host", op.name, fmt::format("the host has no operation '{}'", op.host->kind));
      return;
    }
    for (std::size_t n = 0; n < op.nests.size(); ++n) check_nest(op, op.nests[n], fmt::format("nest {} of '{}'", n, op.name));
    if (failure_.diagnostics.size() != before) return;  // what follows relies on well-formed nests
    check_coverage(op);
    check_reading_order(op);
  }

  // ---------------------------------------------------------------------------------------------- one nest

  void check_nest(const Op& op, const Nest& nest, const std::string& where) {
    std::set<std::string> names;
    std::vector<std::int64_t> extents;
    std::int64_t points = 1;
    bool fits = true;
    for (const NestLoop& loop : nest.loops) {
      if (!is_identifier(loop.name) || !names.insert(loop.name).second) {
        complain("graph/loop", op.name, fmt::format("{}: loop name '{}' is empty, used twice or not an identifier", where, loop.name));
      }
      if (loop.extent < 0) complain("graph/loop", op.name, fmt::format("{}: loop '{}' has a negative extent", where, loop.name));
      fits = fits && !__builtin_mul_overflow(points, loop.extent, &points);
      extents.push_back(loop.extent);
    }
    if (!fits) complain("graph/loop", op.name, fmt::format("{}: more than 2^63 points", where));
    check_expression(op, nest, where);
    for (std::size_t r = 0; r < nest.reads.size(); ++r) {
      check_access(op, nest.reads[r], extents, points, fmt::format("{}: read {}", where, r));
      check_lookups(op, nest, nest.reads[r], fmt::format("{}: read {}", where, r));
    }
    check_access(op, nest.write, extents, points, where + ": write");
    if (!nest.write.lookups.empty()) complain("graph/lookup", op.name, where + ": a write has no lookups");
    if (nest.write.fill) complain("graph/access", op.name, where + ": a write has no fill value");
    if (nest.write.slot >= 0 && nest.write.slot < op.result_slot(0)) complain("graph/access", op.name, where + ": an operand is written");
    const bool reduces =
        std::any_of(nest.loops.begin(), nest.loops.end(), [](const NestLoop& l) { return l.kind == LoopKind::reduction && l.extent != 1; });
    if (reduces && nest.combiner == Combiner::none) complain("graph/combiner", op.name, where + ": reduction loops without a combiner");
  }

  void check_expression(const Op& op, const Nest& nest, const std::string& where) {
    const Expression& e = nest.expression;
    bool good = !e.nodes.empty();
    for (std::size_t i = 0; i < e.nodes.size() && good; ++i) {
      const Expression::Node& node = e.nodes[i];
      if (static_cast<std::size_t>(node.op) > static_cast<std::size_t>(numerics::kLastScalarOp)) {
        good = false;
      } else if (node.op == ScalarOp::input) {
        good = node.a >= 0 && static_cast<std::size_t>(node.a) < nest.reads.size();
      } else {
        const int operands[] = {node.a, node.b, node.c};
        for (int k = 0; k < scalar_op_info(node.op).arity; ++k) good = good && operands[k] >= 0 && operands[k] < static_cast<int>(i);
      }
    }
    if (!good) complain("graph/expression", op.name, where + ": the expression is malformed or reads an input that does not exist");
  }

  /// Running the nest adds up indices times strides: no partial sum may overflow, wherever a filled read strays.
  static bool offsets_fit(const Access& access, const Shape& shape, const std::vector<std::int64_t>& extents) {
    const auto magnitude = [](std::int64_t v) { return std::fabs(static_cast<double>(v)); };
    const auto strides = numerics::row_major_strides(shape);
    double sum = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      double index = magnitude(access.index[d].constant);
      for (const Affine::Term& term : access.index[d].terms) {
        const bool exists = term.variable >= 0 && static_cast<std::size_t>(term.variable) < extents.size();
        index += magnitude(term.coefficient) * (exists ? magnitude(extents[static_cast<std::size_t>(term.variable)]) + 1 : 1);
      }
      sum += index * static_cast<double>(strides[d]);
    }
    return sum < 0x1p61;
  }

  void check_access(const Op& op, const Access& access, const std::vector<std::int64_t>& extents, std::int64_t points,
                    const std::string& where) {
    if (access.slot < 0 || access.slot >= op.local_slot(static_cast<int>(op.locals.size()))) {
      complain("graph/access", op.name, where + ": the slot does not exist");
      return;
    }
    const Shape& shape = slot_shape(graph_, op, access.slot);
    if (access.index.size() != shape.size()) {
      complain("graph/access", op.name, fmt::format("{}: {} indices for {} dimensions", where, access.index.size(), shape.size()));
      return;
    }
    if (!offsets_fit(access, shape, extents)) {
      complain("graph/access", op.name, where + ": the offsets do not fit in 64 bits");
      return;
    }
    for (std::size_t d = 0; d < shape.size(); ++d) {
      int previous = -1;
      for (const Affine::Term& term : access.index[d].terms) {
        if (term.variable <= previous || static_cast<std::size_t>(term.variable) >= extents.size() || term.coefficient == 0) {
          complain("graph/access", op.name, fmt::format("{}: index {} is malformed", where, d));
          return;
        }
        previous = term.variable;
      }
      const Interval range = numerics::range_over(access.index[d], extents);
      if (!access.fill && points > 0 && (range.least < 0 || range.greatest >= shape[d])) {
        complain("graph/out-of-bounds", op.name,
                 fmt::format("{}: index {} runs from {} to {} in a dimension of {}", where, d, range.least, range.greatest, shape[d]));
      }
    }
  }

  void check_lookups(const Op& op, const Nest& nest, const Access& access, const std::string& where) {
    if (access.lookups.empty()) return;
    if (access.fill || access.slot < 0 || access.slot >= op.result_slot(0)) {
      complain("graph/lookup", op.name, where + ": only operands are looked up, without a fill value");
      return;
    }
    std::set<int> dimensions;
    for (const numerics::Lookup& lookup : access.lookups) {
      const bool exists = lookup.dimension >= 0 && static_cast<std::size_t>(lookup.dimension) < access.index.size() && lookup.read >= 0 &&
                          static_cast<std::size_t>(lookup.read) < nest.reads.size();
      if (!exists || !dimensions.insert(lookup.dimension).second ||
          access.index[static_cast<std::size_t>(lookup.dimension)] != numerics::Affine{}) {
        complain("graph/lookup", op.name, where + ": a lookup names a dimension whose index is 0, once, and a read of the nest");
        return;
      }
      const Access& index = nest.reads[static_cast<std::size_t>(lookup.read)];
      if (index.slot < 0 || index.slot >= op.result_slot(0) || !index.lookups.empty() || index.fill ||
          numerics::format_info(slot_format(graph_, op, index.slot)).floating) {
        complain("graph/lookup", op.name, where + ": an index is an element of an operand of integers, neither filled nor looked up");
      }
    }
  }

  // ---------------------------------------------------------------------------------------------- what is written

  /// The writes of one nest; a nest whose non-reduction loops are empty writes nothing.
  struct Region {
    std::size_t nest = 0;
    WriteMap map;
    std::int64_t elements = 0;
  };

  static std::int64_t reach(const WriteMap::Dimension& dimension) {
    std::int64_t reach = 0;
    for (const WriteMap::Digit& digit : dimension.digits) reach += digit.weight * (digit.extent - 1);
    return reach;
  }

  /// Disjoint by intervals or by remainders in some dimension.
  static bool provably_disjoint(const WriteMap& a, const WriteMap& b) {
    for (std::size_t d = 0; d < a.dimensions.size(); ++d) {
      const auto& x = a.dimensions[d];
      const auto& y = b.dimensions[d];
      if (x.base + reach(x) < y.base || y.base + reach(y) < x.base) return true;
      std::int64_t step = 0;
      for (const auto* dimension : {&x, &y}) {
        for (const WriteMap::Digit& digit : dimension->digits) step = std::gcd(step, digit.weight);
      }
      if (step > 1 && (x.base - y.base) % step != 0) return true;
    }
    return false;
  }

  /// Whether `a` and `b` share an element, by looking at every element of a.
  bool overlap(const Op& op, const Region& a, const Region& b) {
    const Nest& nest = op.nests[a.nest];
    const NestPlan plan = plan_nest(graph_, op, nest);
    const Shape& shape = slot_shape(graph_, op, nest.write.slot);
    std::vector<std::int64_t> state = plan.start, index(shape.size()), loops(op.nests[b.nest].loops.size());
    bool found = false;
    turn(plan, 0, plan.outer, state, [&] {
      std::int64_t rest = state[nest.reads.size()];
      for (std::size_t d = shape.size(); d-- > 0;) {
        index[d] = rest % shape[d];
        rest /= shape[d];
      }
      found = found || invert(b.map, index, loops);
    });
    return found;
  }

  void check_coverage(const Op& op) {
    for (int slot = op.result_slot(0); slot < op.local_slot(static_cast<int>(op.locals.size())); ++slot) {
      std::vector<Region> regions;
      std::int64_t written = 0;
      bool good = true;
      for (std::size_t n = 0; n < op.nests.size() && good; ++n) {
        const Nest& nest = op.nests[n];
        if (nest.write.slot != slot) continue;
        auto map = write_map(nest);
        if (!map) {
          complain("graph/write-form", op.name,
                   fmt::format("nest {} of '{}' does not write each element at one point of its loops", n, op.name));
          good = false;
          break;
        }
        std::int64_t elements = 1;
        for (const NestLoop& loop : nest.loops) elements *= loop.kind == LoopKind::reduction ? 1 : loop.extent;
        if (elements == 0) continue;
        Region region{n, std::move(*map), elements};
        for (const Region& other : regions) {
          if (provably_disjoint(other.map, region.map)) continue;
          const bool small_first = other.elements < region.elements;
          const Region& small = small_first ? other : region;
          if (small.elements > kEnumerated || overlap(op, small, small_first ? region : other)) {
            complain("graph/write-overlap", op.name,
                     fmt::format("nests {} and {} of '{}' write the same elements of slot {}", other.nest, n, op.name, slot));
            good = false;
            break;
          }
        }
        written += elements;  // disjoint and inside: never more than the slot's count
        regions.push_back(std::move(region));
      }
      const std::int64_t count = counted(slot_shape(graph_, op, slot));
      if (good && written != count) {
        complain("graph/write-coverage", op.name,
                 fmt::format("'{}' writes {} of the {} elements of slot {}", op.name, written, count, slot));
      }
    }
  }

  // ---------------------------------------------------------------------------------------------- order

  /// Coverage is exact, so what no later nest writes has been written before.
  void check_reading_order(const Op& op) {
    for (std::size_t n = 0; n < op.nests.size(); ++n) {
      const Nest& nest = op.nests[n];
      const bool carries =
          std::any_of(nest.loops.begin(), nest.loops.end(), [](const NestLoop& l) { return l.kind == LoopKind::sequential; });
      for (const Access& read : nest.reads) {
        if (read.slot < op.result_slot(0)) continue;
        for (std::size_t later = n; later < op.nests.size(); ++later) {
          if (op.nests[later].write.slot != read.slot || (later == n && carries) || apart(nest, read, op.nests[later])) continue;
          complain("graph/order", op.name,
                   fmt::format("nest {} of '{}' reads slot {} before nest {} writes it", n, op.name, read.slot, later));
          break;
        }
      }
    }
  }

  static std::vector<std::int64_t> extents_of(const Nest& nest) {
    std::vector<std::int64_t> extents;
    for (const NestLoop& loop : nest.loops) extents.push_back(loop.extent);
    return extents;
  }
  /// Whether what is read and what is written lie apart in some dimension: by intervals or by remainders (even and odd places).
  static bool apart(const Nest& reader, const Access& read, const Nest& writer) {
    const auto r = extents_of(reader), w = extents_of(writer);
    for (std::size_t d = 0; d < read.index.size(); ++d) {
      const Affine& x = read.index[d];
      const Affine& y = writer.write.index[d];
      const Interval a = numerics::range_over(x, r), b = numerics::range_over(y, w);
      if (a.greatest < b.least || b.greatest < a.least) return true;
      std::int64_t step = 0;
      const auto add_steps = [&](const Affine& f, const std::vector<std::int64_t>& extents) {
        for (const Affine::Term& term : f.terms) {
          if (extents[static_cast<std::size_t>(term.variable)] > 1) step = std::gcd(step, term.coefficient);
        }
      };
      add_steps(x, r);
      add_steps(y, w);
      if (step > 1 && (x.constant - y.constant) % step != 0) return true;
    }
    return false;
  }

  const Graph& graph_;
  Failure failure_;
};

}  // namespace

Status verify(const Graph& graph) { return Verifier(graph).run(); }

}  // namespace switchyard::graph
