#include "property/random_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "model/emit.h"

namespace switchyard::testing {
namespace {

using graph::Graph;
using graph::TensorId;
using numerics::affine_constant;
using numerics::affine_variable;
using numerics::Combiner;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;
using numerics::Tensor;

class Builder {
 public:
  explicit Builder(std::uint64_t seed) : random_(seed) {}

  RandomModel run() {
    g_.name = "random";
    switch (pick(0, 5)) {
      case 0: matrices(); break;
      case 1:
      case 2: odd_shapes(); break;
      default: images();
    }
    return {std::move(g_), std::move(inputs_)};
  }

 private:
  std::int64_t pick(std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random_); }
  model::Label label(const char* kind) {
    const std::string name = fmt::format("{}{}", kind, ++count_);
    return {name, kind, name + "_y", {name}};
  }
  Tensor integers(Shape shape, int bound) {
    Tensor t = numerics::make_tensor(Format::fp32, std::move(shape));
    for (std::int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>(pick(-bound, bound)));
    return t;
  }
  TensorId input(Shape shape) {
    inputs_.push_back(integers(shape, 3));
    return model::add_input(g_, fmt::format("in{}", inputs_.size()), Format::fp32, std::move(shape));
  }
  TensorId weights(Shape shape, int bound = 1) {
    return model::add_constant(g_, fmt::format("w{}", ++count_), Format::fp32, shape, numerics::constant_of(integers(shape, bound)), true);
  }
  const Shape& shape(TensorId t) { return g_.tensor(t).shape; }

  /// (x - shift) * factor per channel, as a batch normalisation is; what is added may be infinite.
  TensorId scaled(TensorId x, std::int64_t channels) {
    Tensor shift = integers({channels, 1, 1}, 2);
    if (pick(0, 3) == 0) shift.set(pick(0, channels - 1), -INFINITY);
    const TensorId constant =
        model::add_constant(g_, fmt::format("shift{}", ++count_), Format::fp32, {channels, 1, 1}, numerics::constant_of(shift), true);
    const model::MapInput in[] = {model::MapInput::of(x), model::MapInput::of(constant)};
    const auto difference = numerics::apply(ScalarOp::sub, numerics::expr_input(0), numerics::expr_input(1));
    return model::emit_map(g_, label("Scale"), in, numerics::apply(ScalarOp::mul, difference, numerics::expr_constant(2)), Format::fp32,
                           shape(x));
  }
  /// The same weight twice, each time with a scale of its own.
  TensorId twins(TensorId x) {
    const Shape s = shape(x);
    const TensorId w = weights({s[1], s[1], 1, 1});
    TensorId y = x;
    for (int i = 0; i < 2; ++i)
      y = scaled(model::emit_convolution(g_, label("Conv"), y, w, {{1, 1}, {1, 1}, {1, 1}, {0, 0}, {s[2], s[3]}}, 1), s[1]);
    return y;
  }
  TensorId convolution(TensorId x) {
    const Shape s = shape(x);
    const std::int64_t kernel = pick(0, 1) ? 3 : 1, stride = pick(1, 2), pad = kernel == 3 ? pick(0, 1) : 0;
    if (s[2] + 2 * pad < kernel || s[3] + 2 * pad < kernel) return x;
    std::int64_t groups = 1, out = pick(1, 40);
    if (pick(0, 3) == 0)
      groups = out = s[1];  // depthwise
    else if (s[1] % 2 == 0 && pick(0, 3) == 0)
      groups = 2, out = 2 * pick(1, 9);
    model::Window w{{kernel, kernel}, {stride, stride}, {1, 1}, {pad, pad}, {}};
    for (int d = 0; d < 2; ++d) w.output.push_back((s[static_cast<std::size_t>(2 + d)] + 2 * pad - kernel) / stride + 1);
    TensorId y = model::emit_convolution(g_, label("Conv"), x, weights({out, s[1] / groups, kernel, kernel}), w, groups);
    if (pick(0, 1)) y = model::emit_bias(g_, label("Bias"), y, weights({out}, 3));
    if (pick(0, 2) == 0) y = scaled(y, out);
    return y;
  }
  TensorId relu(TensorId x) {
    const model::MapInput in = model::MapInput::of(x);
    return model::emit_map(g_, label("Relu"), std::span(&in, 1),
                           numerics::apply(ScalarOp::max, numerics::expr_input(0), numerics::expr_constant(0)), Format::fp32, shape(x));
  }
  TensorId add(TensorId a, TensorId b) {
    const model::MapInput in[] = {model::MapInput::of(a), model::MapInput::of(b)};
    return model::emit_map(g_, label("Add"), in, numerics::apply(ScalarOp::add, numerics::expr_input(0), numerics::expr_input(1)),
                           Format::fp32, shape(a));
  }
  TensorId pool(TensorId x) {
    const Shape s = shape(x);
    if (s[2] < 2 || s[3] < 2) return x;
    const bool pad = s[2] >= 3 && s[3] >= 3 && pick(0, 1);
    model::Window w{{2, 2}, {2, 2}, {1, 1}, {0, 0}, {s[2] / 2, s[3] / 2}};
    if (pad) w = {{3, 3}, {2, 2}, {1, 1}, {1, 1}, {(s[2] - 1) / 2 + 1, (s[3] - 1) / 2 + 1}};
    return model::emit_pool(g_, label("MaxPool"), x, w, Combiner::max, -INFINITY);
  }
  TensorId slice(TensorId x) {
    Shape s = shape(x);
    if (s[1] < 2) return x;
    const std::int64_t begin = pick(0, s[1] / 2), size = pick(1, s[1] - begin);
    s[1] = size;
    return model::emit_copy(g_, label("Slice"), x, s,
                            {affine_variable(0), affine_variable(1) + affine_constant(begin), affine_variable(2), affine_variable(3)});
  }
  TensorId shuffle(TensorId x) {
    const Shape s = shape(x);
    if (s[1] % 2 != 0) return x;
    TensorId y = model::emit_reshape(g_, label("Reshape"), x, {s[0], 2, s[1] / 2, s[2], s[3]});
    y = model::emit_copy(g_, label("Transpose"), y, {s[0], s[1] / 2, 2, s[2], s[3]},
                         {affine_variable(0), affine_variable(2), affine_variable(1), affine_variable(3), affine_variable(4)});
    return model::emit_reshape(g_, label("Reshape"), y, s);
  }

  void images() {
    TensorId x = input({pick(1, 2), pick(1, 20), pick(3, 19), pick(3, 19)});
    int contractions = 0;
    const std::int64_t steps = pick(1, 6);
    for (std::int64_t i = 0; i < steps; ++i) {
      switch (pick(0, 7)) {
        case 0:
        case 1:
        case 2:
          if (contractions++ < 3) x = convolution(x);
          break;
        case 3: x = pick(0, 4) == 0 && contractions++ < 2 ? twins(x) : relu(x); break;
        case 4: x = pool(x); break;
        case 5: {
          const TensorId parts[] = {x, contractions++ < 3 ? branch(x) : x};
          x = model::emit_concat(g_, label("Concat"), parts, 1);
          break;
        }
        case 6: x = pick(0, 1) ? slice(x) : shuffle(x); break;
        default: x = add(relu(x), x); break;
      }
    }
    if (contractions < 3 && pick(0, 1)) {
      const Shape s = shape(x);
      x = model::emit_reshape(g_, label("Flatten"), x, {s[0], s[1] * s[2] * s[3]});
      x = model::emit_matmul(g_, label("MatMul"), x, weights({shape(x)[1], pick(1, 70)}));
    } else if (pick(0, 1)) {
      x = model::emit_reduction(g_, label("Sum"), x, {false, false, true, true}, true, Combiner::add);
    }
    g_.outputs.push_back(x);
  }
  TensorId branch(TensorId x) {
    const Shape s = shape(x);
    return model::emit_convolution(g_, label("Conv"), x, weights({pick(1, 20), s[1], 1, 1}), {{1, 1}, {1, 1}, {1, 1}, {0, 0}, {s[2], s[3]}},
                                   1);
  }

  void matrices() {
    const std::int64_t b = pick(1, 3), m = pick(1, 70), k = pick(1, 90), n = pick(1, 130);
    TensorId x = input({b, m, k});
    TensorId y = model::emit_matmul(g_, label("MatMul"), x, pick(0, 1) ? weights({k, n}) : input({b, k, n}));
    if (pick(0, 1)) y = relu(y);
    if (n % 2 == 0 && pick(0, 1)) {  // heads
      y = model::emit_reshape(g_, label("Reshape"), y, {b, m, 2, n / 2});
      y = model::emit_copy(g_, label("Transpose"), y, {b, 2, m, n / 2},
                           {affine_variable(0), affine_variable(2), affine_variable(1), affine_variable(3)});
      y = model::emit_matmul(g_, label("MatMul"), y, weights({n / 2, pick(1, 33)}));
    }
    if (pick(0, 1)) y = add(y, y);
    g_.outputs.push_back(y);
    if (pick(0, 2) == 0) g_.outputs.push_back(relu(x));
  }

  // ------------------------------------------------------------------------- any rank, any axis: what only moves, masks and reduces
  std::int64_t extent() {
    constexpr std::array<std::int64_t, 14> kExtents{1, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 17, 24, 31};
    return kExtents[static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(kExtents.size()) - 1))];
  }
  std::size_t axis_of(TensorId x) { return static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(shape(x).size()) - 1)); }
  std::vector<numerics::Affine> identity(TensorId x) {
    std::vector<numerics::Affine> index;
    for (std::size_t d = 0; d < shape(x).size(); ++d) index.push_back(affine_variable(static_cast<int>(d)));
    return index;
  }
  TensorId transpose(TensorId x) {
    std::vector<std::size_t> order(shape(x).size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    Shape s;
    std::vector<numerics::Affine> index(order.size());
    for (std::size_t d = 0; d < order.size(); ++d) {
      s.push_back(shape(x)[order[d]]);
      index[order[d]] = affine_variable(static_cast<int>(d));
    }
    return model::emit_copy(g_, label("Transpose"), x, s, std::move(index));
  }
  /// Every second element, backwards.
  TensorId reverse(TensorId x) {
    const std::size_t axis = axis_of(x);
    Shape s = shape(x);
    auto index = identity(x);
    index[axis] = affine_variable(static_cast<int>(axis), -2) + affine_constant(s[axis] - 1);
    s[axis] = (s[axis] + 1) / 2;
    return model::emit_copy(g_, label("Reverse"), x, s, std::move(index));
  }
  TensorId border(TensorId x) {
    const std::size_t axis = axis_of(x);
    Shape s = shape(x);
    auto index = identity(x);
    const std::int64_t before = pick(0, 2);
    index[axis] = index[axis] + affine_constant(-before);
    s[axis] += before + pick(0, 2);
    return model::emit_copy(g_, label("Pad"), x, s, std::move(index), static_cast<double>(pick(-2, 2)));
  }
  TensorId reshape(TensorId x) {
    std::int64_t left = numerics::element_count(shape(x));
    Shape s;
    for (std::int64_t d = pick(0, 3); d > 0; --d) {
      std::int64_t part = pick(1, std::min<std::int64_t>(left, 64));
      while (left % part != 0) --part;
      s.push_back(part);
      left /= part;
    }
    s.push_back(left);
    std::shuffle(s.begin(), s.end(), random_);
    return model::emit_reshape(g_, label("Reshape"), x, s);
  }
  TensorId masked(TensorId x) {  // x < bound ? x : w, with the truth values as a tensor of their own
    Shape some = shape(x);
    for (std::int64_t& e : some)
      if (pick(0, 1)) e = 1;
    const model::MapInput compared[] = {model::MapInput::of(x), model::MapInput::of(weights(some, 2))};
    const TensorId mask =
        model::emit_map(g_, label("Less"), compared, numerics::apply(ScalarOp::less, numerics::expr_input(0), numerics::expr_input(1)),
                        Format::boolean, shape(x));
    const model::MapInput chosen[] = {model::MapInput::of(mask), model::MapInput::of(x), model::MapInput::of(weights(some, 2))};
    return model::emit_map(g_, label("Where"), chosen,
                           numerics::apply(ScalarOp::select, numerics::expr_input(0), numerics::expr_input(1), numerics::expr_input(2)),
                           Format::fp32, shape(x));
  }
  std::vector<bool> some_dims(TensorId x) {
    std::vector<bool> reduced(shape(x).size());
    for (std::size_t d = 0; d < reduced.size(); ++d) reduced[d] = pick(0, 1) == 1;
    reduced[axis_of(x)] = true;
    return reduced;
  }
  TensorId reduce(TensorId x) {
    const std::vector<bool> reduced = some_dims(x);
    const bool all = std::all_of(reduced.begin(), reduced.end(), [](bool r) { return r; });
    return model::emit_reduction(g_, label("Max"), x, reduced, all || pick(0, 1) == 1, Combiner::max);
  }
  /// x - max(x) over some dimensions: a composite as softmax is one, but exact. At times the maxima are a second result.
  TensorId below_maximum(TensorId x) {
    const std::vector<bool> reduced = some_dims(x);
    const Shape s = shape(x);
    Shape rows, ones = s;
    numerics::Nest find, apply;
    std::vector<numerics::Affine> kept;
    for (std::size_t d = 0; d < s.size(); ++d) {
      find.loops.push_back({fmt::format("d{}", d), s[d], reduced[d] ? numerics::LoopKind::reduction : numerics::LoopKind::parallel});
      apply.loops.push_back({fmt::format("d{}", d), s[d], numerics::LoopKind::parallel});
      if (reduced[d]) {
        ones[d] = 1;
        continue;
      }
      rows.push_back(s[d]);
      kept.push_back(affine_variable(static_cast<int>(d)));
    }
    const model::Label name = label("BelowMax");
    graph::Op op{
        name.op, name.kind, {}, name.nodes, {x}, {model::add_tensor(g_, name.result, Format::fp32, s)}, {{"max", Format::fp32, rows}}, {}};
    const bool both = pick(0, 1) == 1;
    if (both) op.results.push_back(model::add_tensor(g_, name.result + "_max", Format::fp32, ones));
    const int max = op.local_slot(0);
    find.reads = {{0, identity(x), {}}};
    find.expression = numerics::expr_input(0);
    find.combiner = Combiner::max;
    find.write = {max, kept, {}};
    apply.reads = {{0, identity(x), {}}, {max, kept, {}}};
    apply.expression = numerics::apply(ScalarOp::sub, numerics::expr_input(0), numerics::expr_input(1));
    apply.write = {op.result_slot(0), identity(x), {}};
    op.nests = {find, apply};
    if (both) {
      numerics::Nest copy;
      numerics::Access from{max, {}, {}}, to{op.result_slot(1), {}, {}};
      for (std::size_t d = 0; d < s.size(); ++d) {
        copy.loops.push_back({fmt::format("d{}", d), ones[d], numerics::LoopKind::parallel});
        to.index.push_back(affine_variable(static_cast<int>(d)));
        if (!reduced[d]) from.index.push_back(affine_variable(static_cast<int>(d)));
      }
      copy.reads = {from};
      copy.expression = numerics::expr_input(0);
      copy.write = to;
      op.nests.push_back(copy);
      g_.outputs.push_back(op.results[1]);
    }
    const TensorId y = op.results[0];
    g_.ops.push_back(std::move(op));
    return y;
  }
  TensorId concat_any(TensorId x) {
    const std::size_t axis = axis_of(x);
    Shape s = shape(x);
    s[axis] = pick(1, 4);
    const TensorId parts[] = {x, weights(s, 2), x};
    return model::emit_concat(g_, label("Concat"), parts, static_cast<int>(axis));
  }

  void odd_shapes() {
    Shape s(static_cast<std::size_t>(pick(1, 5)));
    do {
      for (std::int64_t& e : s) e = extent();
    } while (numerics::element_count(s) > 20000);
    TensorId x = input(s);
    const std::int64_t steps = pick(1, 7);
    for (std::int64_t i = 0; i < steps && numerics::element_count(shape(x)) < 100000; ++i) {
      switch (pick(0, 10)) {
        case 0: x = relu(x); break;
        case 1: x = reverse(x); break;
        case 2: x = border(x); break;
        case 3:
        case 4: x = reshape(x); break;
        case 5:
        case 6: x = transpose(x); break;
        case 7: x = masked(x); break;
        case 8: x = pick(0, 2) == 0 ? reduce(x) : below_maximum(x); break;
        case 9: x = concat_any(x); break;
        default: x = add(x, x);
      }
    }
    g_.outputs.push_back(x);
  }

  std::mt19937_64 random_;
  Graph g_;
  std::vector<Tensor> inputs_;
  int count_ = 0;
};

}  // namespace

RandomModel random_model(std::uint64_t seed) { return Builder(seed).run(); }

}  // namespace switchyard::testing
