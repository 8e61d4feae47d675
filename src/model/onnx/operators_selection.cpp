// Results whose extents depend on values: Compress, NonZero, Unique, NonMaxSuppression. The values are computed where the model runs, by
// counting and comparing; the extents are those of the inputs that were given at import.
#include <fmt/format.h>

#include <array>
#include <limits>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

/// Elements of which each is compared with each.
constexpr std::int64_t kMaxElementsCompared = 4096;

/// How many of the flags [n] are set in this run.
std::optional<std::int64_t> given_count(NodeBuilder& b, Steps& s, TensorId flags) {
  const TensorId count = s.reduce(flags, std::vector<bool>{true}, false, Combiner::add);
  const auto value = b.given_value(count);
  if (!value) {
    b.unsupported("onnx/dynamic-shape", "the result's extent depends on values that are not known before the model runs");
    return {};
  }
  const auto n = static_cast<std::int64_t>(value->at(0));
  if (n == 0) b.unsupported("onnx/empty-tensor", "the result has no elements");
  return n;
}

/// By flag [n]: how many flags stand before it.
TensorId places(Steps& s, TensorId flags) {
  const std::int64_t n = s.shape(flags)[0];
  return s.nest(Format::int64, {n}, {n}, {{flags, {loop(0) + loop(1, -1) + at(-1)}, 0.0}}, x0(), Combiner::add);
}

/// result[k, rest] = the element of `x` [n, rest] at the k-th flag set.
TensorId packed(Steps& s, TensorId x, TensorId flags, TensorId place, std::int64_t count) {
  Shape to = s.shape(x);
  const std::int64_t n = to[0];
  to[0] = count;
  const Affine r = loop(static_cast<int>(to.size()));
  std::vector<Affine> from{r};
  for (std::size_t d = 1; d < to.size(); ++d) from.push_back(loop(static_cast<int>(d)));
  return s.nest(s.format(x), to, {n}, {{x, from}, {flags, {r}}, {place, {r}}, {s.iota(Format::int64, count), {loop(0)}}},
                select(both(input(1), equal(input(2), input(3))), x0(), number(0)), Combiner::add);
}

bool small(NodeBuilder& b, std::int64_t n) {
  if (n >= 1 && n <= kMaxElementsCompared) return true;
  b.unsupported("onnx/unsupported-feature", fmt::format("a selection among {} elements", n));
  return false;
}

void compress(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const bool flat = b.attribute("axis") == nullptr;
  const int axis = flat ? 0 : b.axis(b.int_attribute("axis", 0), x.size());
  if (b.failed()) return;
  if (b.format(1) != Format::boolean || b.shape(1).size() != 1) return b.malformed("onnx/type", "the condition is a vector of BOOL");
  Steps s(b);
  TensorId data = b.operand(0);
  if (flat) data = s.reshape(data, {numerics::element_count(x)});
  // The dimension in question first.
  std::vector<int> order{axis}, back(x.size(), 0);
  for (int d = 0; d < static_cast<int>(x.size()); ++d)
    if (d != axis) order.push_back(d);
  for (std::size_t d = 0; d < order.size(); ++d) back[static_cast<std::size_t>(order[d])] = static_cast<int>(d);
  if (!flat && axis != 0) data = s.transpose(data, order);
  const std::int64_t n = b.shape(1)[0];
  if (n > s.shape(data)[0]) return b.malformed("onnx/shape", "the condition is longer than the data");
  if (!small(b, n)) return;
  if (n < s.shape(data)[0]) data = s.slice(data, 0, 0, n);
  const TensorId flags = s.cast(b.operand(1), Format::int64);
  const auto count = given_count(b, s, flags);
  if (!count || b.failed()) return;
  TensorId y = packed(s, data, flags, places(s, flags), *count);
  if (!flat && axis != 0) y = s.transpose(y, back);
  b.set_result(0, y);
}

void non_zero(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const std::int64_t n = numerics::element_count(x);
  if (!small(b, n)) return;
  Steps s(b);
  const TensorId flags = s.map({s.reshape(b.operand(0), {n})}, !equal(x0(), number(0)), Format::int64);
  const auto count = given_count(b, s, flags);
  if (!count || b.failed()) return;
  const TensorId place = places(s, flags);
  std::vector<TensorId> rows;
  const auto strides = numerics::row_major_strides(x);
  for (std::size_t d = 0; d < std::max<std::size_t>(1, x.size()); ++d) {
    std::vector<double> coordinate;
    for (std::int64_t i = 0; i < n; ++i) coordinate.push_back(x.empty() ? 0 : static_cast<double>(i / strides[d] % x[d]));
    rows.push_back(s.reshape(packed(s, s.constant(Format::int64, {n}, coordinate), flags, place, *count), {1, *count}));
  }
  b.set_result(0, s.concat(rows, 0));
}

/// Slices along an axis (or single elements), each once: in order of their values or of their first appearance.
void unique(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const bool flat = b.attribute("axis") == nullptr, sorted = b.int_attribute("sorted", 1) != 0;
  const int axis = flat ? 0 : b.axis(b.int_attribute("axis", 0), x.size());
  if (b.failed()) return;
  Steps s(b);
  std::vector<int> order{axis}, back(x.size(), 0);
  for (int d = 0; d < static_cast<int>(x.size()); ++d)
    if (d != axis) order.push_back(d);
  for (std::size_t d = 0; d < order.size(); ++d) back[static_cast<std::size_t>(order[d])] = static_cast<int>(d);
  const std::int64_t all = numerics::element_count(x);
  const std::int64_t n = flat ? all : x[static_cast<std::size_t>(axis)], m = flat ? 1 : all / std::max<std::int64_t>(1, n);
  if (!small(b, n) || !small(b, m)) return;
  TensorId turned = b.operand(0);
  if (!flat && axis != 0) turned = s.transpose(turned, order);
  const Shape kept = flat ? Shape{n} : s.shape(turned);
  const TensorId rows = s.reshape(turned, {n, m});
  const TensorId position = s.iota(Format::int64, n), column = s.iota(Format::int64, m);
  // Where two rows first differ (m: nowhere), and whether the first is less there.
  const std::vector<Affine> first_row{loop(0), loop(2)}, second_row{loop(1), loop(2)};
  const TensorId differ = s.nest(Format::int64, {n, n}, {m}, {{rows, first_row}, {rows, second_row}, {column, {loop(2)}}},
                                 select(equal(x0(), input(1)), number(static_cast<double>(m)), input(2)), Combiner::min);
  const TensorId less =
      s.nest(Format::int64, {n, n}, {m}, {{rows, first_row}, {rows, second_row}, {column, {loop(2)}}, {differ, {loop(0), loop(1)}}},
             both(equal(input(2), input(3)), x0() < input(1)), Combiner::add);
  const Expression same = equal(x0(), number(static_cast<double>(m)));
  // The first of its kind: no equal one before it.
  const TensorId earlier = s.nest(Format::int64, {n}, {n}, {{differ, {loop(0), loop(1)}}, {position, {loop(0)}}, {position, {loop(1)}}},
                                  both(same, input(2) < input(1)), Combiner::add);
  const TensorId first = s.map({earlier}, equal(x0(), number(0)), Format::int64);
  const auto count = given_count(b, s, first);
  if (!count || b.failed()) return;
  TensorId place = places(s, first);
  if (sorted) {  // the number of different ones that are less
    place = s.nest(Format::int64, {n}, {n}, {{less, {loop(1), loop(0)}}, {first, {loop(1)}}}, both(x0(), input(1)), Combiner::add);
  }
  Shape shape = kept;
  shape[0] = *count;
  TensorId y = s.reshape(packed(s, rows, first, place, *count), shape);
  if (!flat && axis != 0) y = s.transpose(y, back);
  b.set_result(0, y);
  if (b.wants(1)) b.set_result(1, packed(s, position, first, place, *count));
  const TensorId inverse = s.nest(Format::int64, {n}, {n}, {{differ, {loop(0), loop(1)}}, {first, {loop(1)}}, {place, {loop(1)}}},
                                  select(both(same, input(1)), input(2), number(0)), Combiner::add);
  if (b.wants(2)) b.set_result(2, inverse);
  if (b.wants(3))
    b.set_result(3,
                 s.nest(Format::int64, {*count}, {n}, {{inverse, {loop(1)}}, {position, {loop(0)}}}, equal(x0(), input(1)), Combiner::add));
}

/// Greedy selection, one box of every batch and class in each round; rounds are written out.
void non_max_suppression(NodeBuilder& b) {
  const Shape boxes = b.shape(0), scores = b.shape(1);
  const bool centre = b.int_attribute("center_point_box", 0) != 0;
  if (b.failed() || !b.require_floating(0) || !b.same_format(0, 1)) return;
  if (boxes.size() != 3 || boxes[2] != 4 || scores.size() != 3 || scores[0] != boxes[0] || scores[2] != boxes[1])
    return b.malformed("onnx/shape", fmt::format("boxes {} and scores {} do not fit", print_shape(boxes), print_shape(scores)));
  const std::int64_t batches = scores[0], classes = scores[1], n = scores[2];
  std::int64_t rounds = 0;
  if (b.has(2)) {
    const auto most = b.given_scalar(2);
    if (!most) return b.unsupported("onnx/dynamic-shape", "how many boxes to select is not known before the model runs");
    rounds = static_cast<std::int64_t>(std::clamp(*most, 0.0, static_cast<double>(n)));
  }
  if (!small(b, n) || !small(b, batches * classes * std::max<std::int64_t>(1, rounds))) return;
  if (rounds == 0) return b.unsupported("onnx/empty-tensor", "no box is to be selected");
  if (rounds > 256) return b.unsupported("onnx/unsupported-feature", fmt::format("{} rounds of selection", rounds));
  Steps s(b);
  const Format format = b.format(0);
  const auto scalar = [&](std::size_t i, double otherwise) {
    return b.has(i) ? s.reshape(b.operand(i), {1}) : s.constant(format, {1}, {otherwise});
  };
  const TensorId overlap = scalar(3, 0), threshold = scalar(4, -kInfinity);
  // Corners [batch, n] in order, and areas.
  const auto coordinate = [&](int k) { return NestRead{b.operand(0), {loop(0), loop(1), at(k)}}; };
  const auto side = [&](int low, int high, bool upper) {
    if (centre)
      return s.nest(format, {batches, n}, {}, {coordinate(low), coordinate(high)},
                    upper ? x0() + input(1) * number(0.5) : x0() - input(1) * number(0.5));
    return s.nest(format, {batches, n}, {}, {coordinate(low), coordinate(high)}, upper ? max(x0(), input(1)) : min(x0(), input(1)));
  };
  // Corner form: y1 x1 y2 x2; centre form: x y width height.
  const std::array corners{centre ? side(1, 3, false) : side(0, 2, false), centre ? side(0, 2, false) : side(1, 3, false),
                           centre ? side(1, 3, true) : side(0, 2, true), centre ? side(0, 2, true) : side(1, 3, true)};
  const TensorId area = s.map({corners[0], corners[1], corners[2], corners[3]}, (input(2) - x0()) * (input(3) - input(1)));
  const TensorId position = s.iota(Format::int64, n);
  TensorId alive =
      s.nest(format, {batches, classes, n}, {}, {{b.operand(1), {loop(0), loop(1), loop(2)}}, {threshold, {at(0)}}}, x0() > input(1));
  std::vector<TensorId> chosen, valid;
  const Shape each{batches, classes}, full{batches, classes, n};
  const std::vector<Affine> point{loop(0), loop(1), loop(2)}, group{loop(0), loop(1)};
  for (std::int64_t k = 0; k < rounds; ++k) {
    const TensorId offer = s.map({b.operand(1), alive}, select(input(1), x0(), number(-kInfinity)));
    const TensorId best = s.nest(format, each, {n}, {{offer, point}}, x0(), Combiner::max);
    const TensorId index = s.nest(Format::int64, each, {n}, {{offer, point}, {best, group}, {alive, point}, {position, {loop(2)}}},
                                  select(both(equal(x0(), input(1)), input(2)), input(3), number(static_cast<double>(n))), Combiner::min);
    chosen.push_back(s.reshape(index, {batches, classes, 1}));
    valid.push_back(s.reshape(s.map({index}, x0() < number(static_cast<double>(n))), {batches, classes, 1}));
    // The chosen box's corners and area, then what overlaps it too much is out, itself included.
    std::vector<NestRead> reads{{alive, point}, {index, group}, {position, {loop(2)}}, {overlap, {at(0)}}};
    for (const TensorId t : {corners[0], corners[1], corners[2], corners[3], area}) {
      const TensorId own = s.nest(format, each, {n}, {{t, {loop(0), loop(2)}}, {index, group}, {position, {loop(2)}}},
                                  select(equal(input(1), input(2)), x0(), number(0)), Combiner::add);
      reads.push_back({own, group});
      reads.push_back({t, {loop(0), loop(2)}});
    }
    const Expression height = max(number(0), min(input(8), input(9)) - max(input(4), input(5))),
                     width = max(number(0), min(input(10), input(11)) - max(input(6), input(7)));
    const Expression common = height * width, all = input(12) + input(13) - common;
    const Expression out = either(equal(input(1), input(2)), both(number(0) < all, common > input(3) * all));
    alive = s.nest(format, full, {}, reads, both(x0(), !out));
  }
  // [batch, class, round] in this order; those that were found are packed.
  const std::int64_t slots = batches * classes * rounds;
  const TensorId flags = s.cast(s.reshape(s.concat(valid, 2), {slots}), Format::int64);
  const auto count = given_count(b, s, flags);
  if (!count || b.failed()) return;
  std::vector<double> batch_of, class_of;
  for (std::int64_t i = 0; i < slots; ++i) {
    batch_of.push_back(static_cast<double>(i / (classes * rounds)));
    class_of.push_back(static_cast<double>(i / rounds % classes));
  }
  const TensorId rows = s.concat({s.constant(Format::int64, {slots, 1}, batch_of), s.constant(Format::int64, {slots, 1}, class_of),
                                  s.reshape(s.concat(chosen, 2), {slots, 1})},
                                 1);
  b.set_result(0, packed(s, rows, flags, places(s, flags), *count));
}

constexpr std::array kOperators{
    Operator{"Compress", 9, 2, 2, "axis", compress},
    Operator{"NonMaxSuppression", 10, 2, 5, "center_point_box", non_max_suppression},
    Operator{"NonZero", 9, 1, 1, "", non_zero},
    Operator{"Unique", 11, 1, 1, "axis sorted", unique},
};

}  // namespace

std::span<const Operator> selection_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
