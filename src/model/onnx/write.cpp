#include "model/onnx/write.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>
#include <unordered_set>

#include "graph/nest_plan.h"
#include "graph/write_map.h"
#include "model/onnx/decode.h"
#include "model/onnx/ir.h"
#include "model/onnx/values.h"
#include "support/file.h"

namespace switchyard::model::onnx {

namespace {

using graph::Graph;
using graph::Op;
using graph::TensorId;
using numerics::Access;
using numerics::Affine;
using numerics::Combiner;
using numerics::Expression;
using numerics::LoopKind;
using numerics::Nest;
using numerics::ScalarOp;
using numerics::Shape;
using Integers = std::vector<std::int64_t>;

/// A value whose dimensions are loops of the nest (those of more than one index), in this order.
struct Value {
  std::string name;
  std::vector<int> loops;
};

struct CannotExport {
  std::string why;
};

std::int64_t product(const Integers& values) { return std::accumulate(values.begin(), values.end(), std::int64_t{1}, std::multiplies<>()); }

class Writer {
 public:
  explicit Writer(const Graph& graph) : g_(graph) {
    for (const graph::Tensor& t : graph.tensors) names_.insert(t.name);
  }

  Model run() {
    out_.ir_version = kWrittenIr;
    out_.has_graph = true;
    out_.graph_name = g_.name;
    out_.operator_sets = {{"", kWrittenOpset}};
    for (const TensorId id : g_.inputs) out_.inputs.push_back(info(g_.tensor(id)));
    for (const Op& op : g_.ops) write_op(op);
    for (const TensorId id : g_.outputs) out_.outputs.push_back(info(g_.tensor(id)));
    return std::move(out_);
  }

 private:
  static ValueInfo info(const graph::Tensor& t) {
    ValueInfo v{t.name, true, data_type_of(t.format), std::vector<Dimension>{}};
    for (const std::int64_t d : t.shape) v.shape->push_back({d, {}});
    return v;
  }

  // ------------------------------------------------------------------------------------------------------------ nodes

  std::string fresh(const std::string& base) {
    std::string name = base;
    for (int n = 1; !names_.insert(name).second; ++n) name = fmt::format("{}.{}", base, n);
    return name;
  }
  static Attribute ints(std::string name, Integers values) {
    Attribute a;
    a.name = std::move(name);
    a.type = kAttributeInts;
    a.ints = std::move(values);
    return a;
  }
  static Attribute integer(std::string name, std::int64_t value) {
    Attribute a;
    a.name = std::move(name);
    a.type = kAttributeInt;
    a.i = value;
    return a;
  }
  /// Appends a node and returns its result; the last node of an operator takes the name of what it gives.
  std::string node(std::string type, std::vector<std::string> inputs, std::vector<Attribute> attributes = {}, std::string result = {}) {
    Node n;
    n.name = fresh_node(type);
    n.type = std::move(type);
    n.inputs = std::move(inputs);
    n.attributes = std::move(attributes);
    n.outputs = {result.empty() ? fresh(n.name + "_out") : std::move(result)};
    out_.nodes.push_back(std::move(n));
    return out_.nodes.back().outputs[0];
  }
  std::string fresh_node(const std::string& type) {
    std::string name = fmt::format("{}/{}", op_->name, type);
    for (int n = 1; !nodes_.insert(name).second; ++n) name = fmt::format("{}/{}_{}", op_->name, type, n);
    return name;
  }
  template <class T>
  std::string constant(const std::string& what, std::int32_t type, const Shape& dims, const std::vector<T>& values) {
    TensorData t;
    t.name = fresh(fmt::format("{}/{}", op_->name, what));
    t.type = type;
    t.dims = dims;
    t.bytes = std::make_shared<std::string>(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    out_.initializers.push_back(std::move(t));
    return out_.initializers.back().name;
  }
  std::string indices(const Integers& values, const Shape& dims) { return constant("indices", kInt64, dims, values); }
  std::string vector(const char* what, const Integers& values) {
    return constant(what, kInt64, {static_cast<std::int64_t>(values.size())}, values);
  }
  std::string number(double value) { return constant("number", kFloat, {}, std::vector<float>{static_cast<float>(value)}); }
  std::string reshaped(const std::string& x, const Integers& shape, std::string result = {}) {
    return node("Reshape", {x, vector("shape", shape)}, {}, std::move(result));
  }

  // -------------------------------------------------------------------------------------------------------- operators

  std::int64_t extent(int loop) const { return nest_->loops[static_cast<std::size_t>(loop)].extent; }
  bool counts(int loop) const { return extent(loop) > 1; }
  Integers extents(const std::vector<int>& loops) const {
    Integers out;
    for (const int l : loops) out.push_back(extent(l));
    return out;
  }

  /// What lies in a slot; constants enter the model when they are first read.
  std::string slot_name(int slot) {
    const auto s = static_cast<std::size_t>(slot);
    if (s < op_->operands.size()) {
      const TensorId id = op_->operands[s];
      const graph::Tensor& t = g_.tensor(id);
      if (t.role == graph::Role::constant && written_.insert(t.name).second) {
        if (!t.constant) throw CannotExport{fmt::format("constant '{}' has a shape but no values", t.name)};
        TensorData data;
        data.name = t.name;
        data.type = data_type_of(t.format);
        data.dims = t.shape;
        data.later = [constant = t.constant, format = t.format] { return numerics::convert_tensor(constant->make(), format); };
        out_.initializers.push_back(std::move(data));
      }
      return t.name;
    }
    return slots_[s];
  }

  struct Piece {
    Shape begin, extent;
    std::string name;
  };

  void write_op(const Op& op) {
    op_ = &op;
    slots_.assign(op.operands.size() + op.results.size() + op.locals.size(), {});
    for (std::size_t r = 0; r < op.results.size(); ++r) slots_[op.operands.size() + r] = g_.tensor(op.results[r]).name;
    std::vector<std::vector<Piece>> pieces(slots_.size());
    std::vector<int> left(slots_.size(), 0);
    for (const Nest& nest : op.nests) ++left[static_cast<std::size_t>(nest.write.slot)];
    for (const Nest& nest : op.nests) {
      nest_ = &nest;
      const auto slot = static_cast<std::size_t>(nest.write.slot);
      std::string& name = slots_[slot];
      if (name.empty()) name = fresh(fmt::format("{}/{}", op.name, op.locals[slot - op.operands.size() - op.results.size()].name));
      write_nest(pieces[slot], left[slot]);
    }
  }

  void write_nest(std::vector<Piece>& pieces, int& left) {
    for (const auto& loop : nest_->loops)
      if (loop.kind == LoopKind::sequential) fail("it has sequential loops");
    const auto map = graph::write_map(*nest_);
    if (!map) fail("its results are written in no order that can be undone");
    Piece piece;
    std::vector<int> order;  // of the loops, as the result has them
    for (const auto& dimension : map->dimensions) {
      std::int64_t reach = 1;
      for (auto digit = dimension.digits.rbegin(); digit != dimension.digits.rend(); ++digit) {
        if (digit->weight != reach || digit->reversed) fail("its results are scattered");
        reach *= digit->extent;
      }
      for (const auto& digit : dimension.digits) order.push_back(digit.loop);
      piece.begin.push_back(dimension.base);
      piece.extent.push_back(reach);
    }
    const int slot = nest_->write.slot;
    const bool whole = piece.extent == graph::slot_shape(g_, *op_, slot);
    std::string& name = slots_[static_cast<std::size_t>(slot)];
    if (auto conv = convolution()) {
      if (!whole) fail("a convolution writes a part of its result");
      out_.nodes.back().outputs[0] = name;
      return;
    }
    const Value value = arranged(nest_->is_contraction() ? contraction() : mapped(), order);
    if (whole) {
      reshaped(value.name, piece.extent, name);
      return;
    }
    piece.name = reshaped(value.name, piece.extent);
    pieces.push_back(std::move(piece));
    if (--left == 0) join(pieces, name);
  }

  /// Pieces side by side along one dimension.
  void join(std::vector<Piece>& pieces, const std::string& name) {
    std::optional<std::size_t> along;
    for (std::size_t d = 0; d < pieces[0].begin.size(); ++d)
      if (std::any_of(pieces.begin(), pieces.end(), [&](const Piece& p) { return p.begin[d] != pieces[0].begin[d]; })) {
        if (along) fail("its results lie apart along two dimensions");
        along = d;
      }
    if (!along) fail("its results overlap");
    std::sort(pieces.begin(), pieces.end(), [&](const Piece& a, const Piece& b) { return a.begin[*along] < b.begin[*along]; });
    std::vector<std::string> parts;
    for (const Piece& p : pieces) parts.push_back(p.name);
    node("Concat", parts, {integer("axis", static_cast<std::int64_t>(*along))}, name);
  }

  [[noreturn]] void fail(const std::string& why) const {
    throw CannotExport{fmt::format("operator '{}' has no ONNX form: {}", op_->name, why)};
  }

  // ----------------------------------------------------------------------------------------------------------- values

  /// The elements of an access, one dimension per loop it moves with.
  Value read(const Access& access) {
    Value v{slot_name(access.slot), {}};
    Shape shape = graph::slot_shape(g_, *op_, access.slot);
    const Integers loop_extents = all_extents();
    std::vector<Affine> index = access.index;
    if (access.fill) v.name = padded(v.name, shape, index, *access.fill, loop_extents);
    std::vector<std::vector<int>> loops(shape.size());  // of each dimension, in the order in which they come to lie
    for (std::size_t d = shape.size(); d-- > 0;) {
      const auto axis = integer("axis", static_cast<std::int64_t>(d));
      const auto lookup = std::find_if(access.lookups.begin(), access.lookups.end(),
                                       [&](const auto& l) { return static_cast<std::size_t>(l.dimension) == d; });
      if (lookup != access.lookups.end()) {
        const Value picked = read(nest_->reads[static_cast<std::size_t>(lookup->read)]);
        loops[d] = picked.loops;
        v.name = node("Gather", {v.name, picked.name}, {axis});
        continue;
      }
      std::vector<int> moving;
      for (const auto& t : index[d].terms)
        if (counts(t.variable)) moving.push_back(t.variable);
      if (moving.size() == 1 && index[d].as_variable() == moving[0] && extent(moving[0]) == shape[d]) {
        loops[d] = moving;
        continue;
      }
      if (moving.empty() && shape[d] == 1) continue;  // goes with the reshape below
      // Every other access is a list of indices: a part, a step, digits, a reversal.
      const Integers sizes = extents(moving);
      Integers values(static_cast<std::size_t>(product(sizes)));
      Integers point(loop_extents.size(), 0);
      for (std::size_t flat = 0; flat < values.size(); ++flat) {
        auto rest = static_cast<std::int64_t>(flat);
        for (std::size_t m = moving.size(); m-- > 0; rest /= sizes[m]) point[static_cast<std::size_t>(moving[m])] = rest % sizes[m];
        values[flat] = index[d].at(point);
      }
      v.name = node("Gather", {v.name, indices(values, sizes)}, {axis});
      loops[d] = moving;
      if (moving.empty()) shape[d] = 0;  // the dimension is gone
    }
    bool ones = false;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      for (const int l : loops[d])
        if (std::find(v.loops.begin(), v.loops.end(), l) != v.loops.end()) fail("a loop moves two indices of one access");
      v.loops.insert(v.loops.end(), loops[d].begin(), loops[d].end());
      ones = ones || (loops[d].empty() && shape[d] != 0);
    }
    if (ones) v.name = reshaped(v.name, extents(v.loops));
    return v;
  }

  Integers all_extents() const {
    Integers out;
    for (const auto& loop : nest_->loops) out.push_back(loop.extent);
    return out;
  }

  /// With as much border of the fill value as the access needs; the index is moved accordingly.
  std::string padded(const std::string& x, Shape& shape, std::vector<Affine>& index, double fill, const Integers& loop_extents) {
    Integers pads(2 * shape.size(), 0);
    bool any = false;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const numerics::Interval range = numerics::range_over(index[d], loop_extents);
      pads[d] = std::max<std::int64_t>(0, -range.least);
      pads[shape.size() + d] = std::max<std::int64_t>(0, range.greatest - shape[d] + 1);
      index[d] = index[d] + numerics::affine_constant(pads[d]);
      shape[d] += pads[d] + pads[shape.size() + d];
      any = any || pads[d] > 0 || pads[shape.size() + d] > 0;
    }
    return any ? node("Pad", {x, vector("pads", pads), number(fill)}) : x;
  }

  Value arranged(Value v, const std::vector<int>& order) {
    std::vector<int> missing;
    for (const int l : order)
      if (std::find(v.loops.begin(), v.loops.end(), l) == v.loops.end()) missing.push_back(l);
    if (!missing.empty()) {  // the same for all indices of these
      v.loops.insert(v.loops.begin(), missing.begin(), missing.end());
      v.name = node("Expand", {v.name, vector("shape", extents(v.loops))});
    }
    Integers perm;
    for (const int l : order) perm.push_back(std::find(v.loops.begin(), v.loops.end(), l) - v.loops.begin());
    if (!std::is_sorted(perm.begin(), perm.end())) v.name = node("Transpose", {v.name}, {ints("perm", perm)});
    v.loops = order;
    return v;
  }

  /// One dimension for each of `loops`, of extent 1 where the value does not move with it.
  std::string aligned(const Value& v, const std::vector<int>& loops) {
    std::vector<int> order;
    Integers shape;
    for (const int l : loops) {
      const bool moves = std::find(v.loops.begin(), v.loops.end(), l) != v.loops.end();
      if (moves) order.push_back(l);
      shape.push_back(moves ? extent(l) : 1);
    }
    const Value sorted = arranged(v, order);
    return order.size() == loops.size() ? sorted.name : reshaped(sorted.name, shape);
  }

  // ------------------------------------------------------------------------------------------------------ computations

  /// An expression at every point, then the reduction.
  Value mapped() {
    std::vector<int> loops, kept;
    Integers axes;
    for (std::size_t l = 0; l < nest_->loops.size(); ++l) {
      const auto loop = static_cast<int>(l);
      if (!counts(loop)) continue;
      if (nest_->loops[l].kind == LoopKind::reduction)
        axes.push_back(static_cast<std::int64_t>(loops.size()));
      else
        kept.push_back(loop);
      loops.push_back(loop);
    }
    const bool reduces = !axes.empty();
    // A read alone needs no broadcasting: its own order will do.
    if (!reduces && nest_->expression.is_input()) return read(nest_->reads[static_cast<std::size_t>(nest_->expression.nodes[0].a)]);
    std::vector<std::string> inputs(nest_->reads.size());
    std::vector<bool> moves(loops.size(), false);
    for (std::size_t r = 0; r < inputs.size(); ++r) {
      const auto& nodes = nest_->expression.nodes;
      const bool used =
          std::any_of(nodes.begin(), nodes.end(), [&](const auto& n) { return n.op == ScalarOp::input && n.a == static_cast<int>(r); });
      if (!used) continue;
      const Value v = read(nest_->reads[r]);
      for (std::size_t l = 0; l < loops.size(); ++l)
        moves[l] = moves[l] || std::find(v.loops.begin(), v.loops.end(), loops[l]) != v.loops.end();
      inputs[r] = aligned(v, loops);
    }
    std::string value = expression(inputs);
    const bool complete = std::all_of(moves.begin(), moves.end(), [](bool m) { return m; });
    if (!complete) value = node("Expand", {value, vector("shape", extents(loops))});
    if (!reduces) return {value, loops};
    constexpr std::array kReductions{"", "ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin"};
    const char* reduction = kReductions[static_cast<std::size_t>(nest_->combiner)];
    if (nest_->combiner == Combiner::add)
      value = node(reduction, {value, vector("axes", axes)}, {integer("keepdims", 0)});
    else
      value = node(reduction, {value}, {ints("axes", axes), integer("keepdims", 0)});
    return {value, kept};
  }

  std::string expression(const std::vector<std::string>& inputs) {
    std::vector<std::string> values;
    const auto truth = [&](const std::string& x) {
      Attribute to = integer("to", kBool);
      return node("Cast", {x}, {to});
    };
    const auto of_truth = [&](const std::string& x) { return node("Cast", {x}, {integer("to", kFloat)}); };
    for (const Expression::Node& n : nest_->expression.nodes) {
      const auto arg = [&](int k) { return values[static_cast<std::size_t>(k)]; };
      switch (n.op) {
        case ScalarOp::input: values.push_back(inputs[static_cast<std::size_t>(n.a)]); break;
        case ScalarOp::constant: values.push_back(number(n.constant)); break;
        case ScalarOp::less: values.push_back(of_truth(node("Less", {arg(n.a), arg(n.b)}))); break;
        case ScalarOp::equal: values.push_back(of_truth(node("Equal", {arg(n.a), arg(n.b)}))); break;
        case ScalarOp::logical_not: values.push_back(of_truth(node("Not", {truth(arg(n.a))}))); break;
        case ScalarOp::select: values.push_back(node("Where", {truth(arg(n.a)), arg(n.b), arg(n.c)})); break;
        default: {
          static constexpr std::array kNodes{
              std::pair{ScalarOp::neg, "Neg"},     std::pair{ScalarOp::abs, "Abs"},     std::pair{ScalarOp::exp, "Exp"},
              std::pair{ScalarOp::log, "Log"},     std::pair{ScalarOp::sqrt, "Sqrt"},   std::pair{ScalarOp::reciprocal, "Reciprocal"},
              std::pair{ScalarOp::tanh, "Tanh"},   std::pair{ScalarOp::erf, "Erf"},     std::pair{ScalarOp::sigmoid, "Sigmoid"},
              std::pair{ScalarOp::floor, "Floor"}, std::pair{ScalarOp::ceil, "Ceil"},   std::pair{ScalarOp::add, "Add"},
              std::pair{ScalarOp::sub, "Sub"},     std::pair{ScalarOp::mul, "Mul"},     std::pair{ScalarOp::div, "Div"},
              std::pair{ScalarOp::max, "Max"},     std::pair{ScalarOp::min, "Min"},     std::pair{ScalarOp::pow, "Pow"},
              std::pair{ScalarOp::sin, "Sin"},     std::pair{ScalarOp::cos, "Cos"},     std::pair{ScalarOp::tan, "Tan"},
              std::pair{ScalarOp::asin, "Asin"},   std::pair{ScalarOp::acos, "Acos"},   std::pair{ScalarOp::atan, "Atan"},
              std::pair{ScalarOp::sinh, "Sinh"},   std::pair{ScalarOp::cosh, "Cosh"},   std::pair{ScalarOp::asinh, "Asinh"},
              std::pair{ScalarOp::acosh, "Acosh"}, std::pair{ScalarOp::atanh, "Atanh"}, std::pair{ScalarOp::round, "Round"}};
          const auto at = std::find_if(kNodes.begin(), kNodes.end(), [&](const auto& p) { return p.first == n.op; });
          if (at == kNodes.end()) fail(fmt::format("{} is not written", numerics::scalar_op_info(n.op).name));
          std::vector<std::string> args;
          for (const int k : {n.a, n.b, n.c})
            if (k >= 0) args.push_back(arg(k));
          values.push_back(node(at->second, args));
        }
      }
    }
    return values.back();
  }

  /// A sum of products: batch loops move both factors, m the first, n the second; the reductions are k.
  Value contraction() {
    const Expression& e = nest_->expression;
    std::array<Value, 2> factor;
    std::array<numerics::Format, 2> stored{numerics::Format::fp32, numerics::Format::fp32};  // temporaries are
    for (int f = 0; f < 2; ++f) {
      const int input = e.nodes[static_cast<std::size_t>(f == 0 ? e.nodes.back().a : e.nodes.back().b)].a;
      const Access& access = nest_->reads[static_cast<std::size_t>(input)];
      if (const auto slot = static_cast<std::size_t>(access.slot); slot < op_->operands.size())
        stored[static_cast<std::size_t>(f)] = g_.tensor(op_->operands[slot]).format;
      factor[static_cast<std::size_t>(f)] = read(access);
    }
    const numerics::FormatInfo& info = numerics::format_info(stored[0]);
    if (stored[0] != stored[1] || !info.floating || info.bytes < 2)
      fail(fmt::format("the factors of its product are stored in {} and {}", numerics::format_name(stored[0]),
                       numerics::format_name(stored[1])));
    const auto in = [&](std::size_t f, int loop) {
      return std::find(factor[f].loops.begin(), factor[f].loops.end(), loop) != factor[f].loops.end();
    };
    std::vector<int> batch, m, n, k;
    for (std::size_t l = 0; l < nest_->loops.size(); ++l) {
      const auto loop = static_cast<int>(l);
      if (!counts(loop)) continue;
      const bool a = in(0, loop), b = in(1, loop);
      if (nest_->loops[l].kind == LoopKind::reduction) {
        if (!a || !b) fail("a reduction moves one factor only");
        k.push_back(loop);
      } else if (a && b) {
        batch.push_back(loop);
      } else if (a) {
        m.push_back(loop);
      } else if (b) {
        n.push_back(loop);
      }
    }
    const auto matrix = [&](std::size_t f, const std::vector<int>& rows, const std::vector<int>& columns) {
      std::vector<int> order = batch;
      order.insert(order.end(), rows.begin(), rows.end());
      order.insert(order.end(), columns.begin(), columns.end());
      Integers shape = extents(batch);
      shape.push_back(product(extents(rows)));
      shape.push_back(product(extents(columns)));
      return reshaped(arranged(factor[f], order).name, shape);
    };
    const std::string sum = node(multiplies_bytes() ? "MatMulInteger" : "MatMul", {matrix(0, m, k), matrix(1, k, n)});
    Value out{{}, batch};
    out.loops.insert(out.loops.end(), m.begin(), m.end());
    out.loops.insert(out.loops.end(), n.begin(), n.end());
    out.name = reshaped(sum, extents(out.loops));
    return out;
  }

  /// Products of bytes have operators of their own, whose results are 32-bit integers.
  [[nodiscard]] bool multiplies_bytes() const {
    const auto is_int8 = [&](const Access& read) {
      const auto slot = static_cast<std::size_t>(read.slot);
      return slot < op_->operands.size() && g_.tensor(op_->operands[slot]).format == numerics::Format::int8;
    };
    return std::all_of(nest_->reads.begin(), nest_->reads.end(), is_int8);
  }

  /// A convolution as model/emit.h makes it, groups and borders included; its node is the last one written.
  std::optional<std::string> convolution() {
    if (!nest_->is_contraction() || nest_->reads.size() != 2) return {};
    const Access &x = nest_->reads[0], &w = nest_->reads[1], &y = nest_->write;
    const Shape &sx = graph::slot_shape(g_, *op_, x.slot), &sw = graph::slot_shape(g_, *op_, w.slot),
                &sy = graph::slot_shape(g_, *op_, y.slot);
    const std::size_t rank = sx.size();
    if (rank < 3 || rank > 5 || sw.size() != rank || sy.size() != rank || w.fill || x.fill.value_or(0) != 0) return {};
    if (x.index[0] != y.index[0] || x.index[0].as_variable() < 0 || y.index[1] != w.index[0] || sw[1] == 0 || sx[1] % sw[1] != 0) return {};
    if (sy[0] != sx[0] || sy[1] != sw[0]) return {};
    const auto reduction = [&](int v) { return nest_->loops[static_cast<std::size_t>(v)].kind == LoopKind::reduction; };
    // The input channel: the weight's, and behind it the group's.
    const std::int64_t groups = sx[1] / sw[1];
    if (groups == 1 && x.index[1] != w.index[1]) return {};
    if (groups > 1) {
      const bool depthwise = sw[1] == 1 && x.index[1] == y.index[1];
      Affine expected = w.index[1];
      for (const auto& t : y.index[1].terms)
        if (t.coefficient == sw[0] / groups && t.coefficient > 1) expected = expected + numerics::affine_variable(t.variable, sw[1]);
      if (!depthwise && x.index[1] != expected) return {};
    }
    Integers strides, dilations, before, after;
    bool windowed = false;
    for (std::size_t d = 2; d < rank; ++d) {
      const int o = y.index[d].as_variable(), k = w.index[d].as_variable();
      if (o < 0 || k < 0 || !reduction(k) || reduction(o) || x.index[d].terms.size() != 2) return {};
      const std::int64_t stride = x.index[d].coefficient(o), dilation = x.index[d].coefficient(k), pad = -x.index[d].constant;
      if (stride < 1 || dilation < 1 || pad < 0 || extent(o) != sy[d] || extent(k) != sw[d]) return {};
      const std::int64_t reach = (sw[d] - 1) * dilation + 1;
      const std::int64_t behind = std::max<std::int64_t>(0, (sy[d] - 1) * stride + reach - sx[d] - pad);
      if ((sx[d] + pad + behind - reach) / stride + 1 != sy[d]) return {};
      strides.push_back(stride), dilations.push_back(dilation), before.push_back(pad), after.push_back(behind);
      windowed = true;
    }
    if (!windowed) return {};
    before.insert(before.end(), after.begin(), after.end());
    return node(multiplies_bytes() ? "ConvInteger" : "Conv", {slot_name(x.slot), slot_name(w.slot)},
                {integer("group", groups), ints("strides", strides), ints("dilations", dilations), ints("pads", before),
                 ints("kernel_shape", Integers(sw.begin() + 2, sw.end()))});
  }

  const Graph& g_;
  Model out_;
  const Op* op_ = nullptr;
  const Nest* nest_ = nullptr;
  std::vector<std::string> slots_;
  std::unordered_set<std::string> names_, nodes_, written_;
};

std::int64_t bytes_of(const TensorData& t) {
  std::int64_t bytes = numerics::format_bytes(*format_of(t.type));
  for (const std::int64_t d : t.dims) bytes *= d;
  return bytes;
}

/// Weights beside the model, one after the other; each is made, written and forgotten.
Status write_weights(Model& model, const std::string& path) {
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  std::int64_t offset = 0;
  for (TensorData& t : model.initializers) {
    if (!t.later || !file) continue;
    constexpr std::int64_t kAlignment = 4096;  // so that runtimes can map the file
    while (offset % kAlignment != 0 && file.put('\0')) ++offset;
    const numerics::Tensor tensor = t.later();
    file.write(reinterpret_cast<const char*>(tensor.bytes.data()), static_cast<std::streamsize>(tensor.bytes.size()));
    t.external = true;
    t.external_data = {{"location", std::filesystem::path(path).filename().string()},
                       {"offset", std::to_string(offset)},
                       {"length", std::to_string(tensor.bytes.size())}};
    offset += static_cast<std::int64_t>(tensor.bytes.size());
  }
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(part, path, error);
  if (!file || error) {
    std::filesystem::remove(part, error);
    return fail(FailureKind::usage, "file/unwritable", fmt::format("'{}' cannot be written", path));
  }
  return Done{};
}

}  // namespace

Status write_model(const Graph& graph, const std::string& path, std::int64_t inline_limit) {
  Model model;
  try {
    model = Writer(graph).run();
  } catch (const CannotExport& problem) {
    return fail(FailureKind::unsupported, "onnx/cannot-export", problem.why);
  }
  std::int64_t bytes = 0;
  for (const TensorData& t : model.initializers) bytes += bytes_of(t);
  if (bytes > inline_limit) {
    SY_TRY([[maybe_unused]] const Done written, write_weights(model, path + ".data"));
  }
  for (TensorData& t : model.initializers) {
    if (!t.later || t.external) continue;
    const numerics::Tensor tensor = t.later();
    t.bytes = std::make_shared<std::string>(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  return write_file(path, encode_model(model));
}

}  // namespace switchyard::model::onnx
