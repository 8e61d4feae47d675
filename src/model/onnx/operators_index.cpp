// Elements picked by other tensors' values, and regular patterns of elements. What is picked by indices that are known only when the model
// runs is written as a comparison with every position: a reduction that any vector unit does.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
namespace {

/// Positions that are compared for each element picked: beyond them it would no longer be a sensible way.
constexpr std::int64_t kMaxCompared = std::int64_t{1} << 20;

std::vector<Affine> identity_index(std::size_t rank, int first = 0) {
  std::vector<Affine> index;
  for (std::size_t d = 0; d < rank; ++d) index.push_back(loop(first + static_cast<int>(d)));
  return index;
}

/// Indices that count from either end, brought into 0 .. extent-1.
Expression from_start(const Expression& index, std::int64_t extent) {
  return select(index < number(0), index + number(static_cast<double>(extent)), index);
}

bool require_index(NodeBuilder& b, std::size_t i) {
  if (b.format(i) == Format::int32 || b.format(i) == Format::int64) return true;
  b.malformed("onnx/type", fmt::format("indices {} must be INT32 or INT64", b.input(i).name));
  return false;
}

bool few(NodeBuilder& b, std::int64_t compared) {
  if (compared <= kMaxCompared) return true;
  b.unsupported("onnx/dynamic-index", fmt::format("indices known only when the model runs, into {} elements", compared));
  return false;
}

/// The value where `found` is 1, and 0 elsewhere; a sum over positions then picks one.
Expression picked(const Expression& found, const Expression& value) { return select(found, value, number(0)); }

void gather_elements(NodeBuilder& b) {
  const Shape from = b.shape(0), to = b.shape(1);
  const int axis = b.axis(b.int_attribute("axis", 0), from.size());
  if (b.failed() || !require_index(b, 1)) return;
  const auto along = static_cast<std::size_t>(axis);
  if (to.size() != from.size()) return b.malformed("onnx/shape", "data and indices differ in their number of dimensions");
  for (std::size_t d = 0; d < from.size(); ++d) {
    if (d != along && to[d] > from[d])
      return b.malformed("onnx/shape", fmt::format("indices {} leave {}", print_shape(to), print_shape(from)));
  }
  if (!few(b, from[along])) return;
  Steps s(b);
  std::vector<Affine> index = identity_index(to.size());
  const Affine r = loop(static_cast<int>(to.size()));
  index[along] = r;
  const TensorId positions = s.iota(b.format(1), from[along]);
  b.set_result(0,
               s.nest(b.format(0), to, {from[along]}, {{b.operand(0), index}, {b.operand(1), identity_index(to.size())}, {positions, {r}}},
                      picked(equal(from_start(input(1), from[along]), input(2)), x0()), Combiner::add));
}

void gather_nd(NodeBuilder& b) {
  const Shape data = b.shape(0), indices = b.shape(1);
  const auto batch = static_cast<std::size_t>(b.int_attribute("batch_dims", 0));
  if (b.failed() || !require_index(b, 1)) return;
  if (indices.empty() || batch >= indices.size() || batch > data.size() || indices.back() < 1 ||
      static_cast<std::size_t>(indices.back()) + batch > data.size())
    return b.malformed("onnx/shape", fmt::format("indices {} do not fit data {}", print_shape(indices), print_shape(data)));
  const auto depth = static_cast<std::size_t>(indices.back());
  Shape to(indices.begin(), indices.end() - 1);
  const std::size_t outer = to.size();
  to.insert(to.end(), data.begin() + static_cast<std::ptrdiff_t>(batch + depth), data.end());
  Shape reductions(data.begin() + static_cast<std::ptrdiff_t>(batch), data.begin() + static_cast<std::ptrdiff_t>(batch + depth));
  std::int64_t compared = 1;
  for (const std::int64_t e : reductions) compared = std::min(kMaxCompared + 1, compared * e);
  if (!few(b, compared)) return;
  Steps s(b);
  std::vector<Affine> index;
  for (std::size_t d = 0; d < batch; ++d) index.push_back(loop(static_cast<int>(d)));
  for (std::size_t d = 0; d < depth; ++d) index.push_back(loop(static_cast<int>(to.size() + d)));
  for (std::size_t d = outer; d < to.size(); ++d) index.push_back(loop(static_cast<int>(d)));
  std::vector<NestRead> reads{{b.operand(0), index}};
  Expression found = number(1);
  for (std::size_t d = 0; d < depth; ++d) {
    std::vector<Affine> at_index = identity_index(outer);
    at_index.push_back(at(static_cast<std::int64_t>(d)));
    const int first = static_cast<int>(reads.size());
    reads.push_back({b.operand(1), at_index});
    reads.push_back({s.iota(b.format(1), reductions[d]), {loop(static_cast<int>(to.size() + d))}});
    const Expression here = equal(from_start(input(first), reductions[d]), input(first + 1));
    found = d == 0 ? here : both(found, here);
  }
  b.set_result(0, s.nest(b.format(0), to, reductions, reads, picked(found, x0()), Combiner::add));
}

struct Scatter {
  Combiner combiner;
  bool replaces;
};
std::optional<Scatter> scatter_rule(NodeBuilder& b) {
  const std::string name = b.string_attribute("reduction", "none");
  if (name == "none") return Scatter{Combiner::add, true};
  if (name == "add") return Scatter{Combiner::add, false};
  if (name == "mul") return Scatter{Combiner::mul, false};
  if (name == "max") return Scatter{Combiner::max, false};
  if (name == "min") return Scatter{Combiner::min, false};
  b.malformed("onnx/attribute", fmt::format("reduction '{}' is unknown", name));
  return {};
}

/// data with updates: `found` and the update are inputs of the reads of a nest over data's shape and the updates'. Where several updates
/// without a reduction meet, the standard leaves the result open; the last one wins here, as it would one after the other.
void scatter(NodeBuilder& b, Steps& s, const Shape& reductions, std::vector<NestRead> reads, const Expression& found, int update,
             const Scatter& rule) {
  const Shape shape = b.shape(0);
  if (!rule.replaces) {
    const double nothing = numerics::combiner_identity(rule.combiner);
    const numerics::FormatInfo& info = numerics::format_info(b.format(0));
    const double least = info.is_signed ? -info.max_finite : 0;
    const double neutral = std::isfinite(nothing) || info.floating ? nothing : nothing > 0 ? info.max_finite : least;
    const TensorId sum = s.nest(b.format(0), shape, reductions, reads, select(found, input(update), number(neutral)), rule.combiner);
    const ScalarOp op = rule.combiner == Combiner::add   ? ScalarOp::add
                        : rule.combiner == Combiner::mul ? ScalarOp::mul
                        : rule.combiner == Combiner::max ? ScalarOp::max
                                                         : ScalarOp::min;
    return b.set_result(0, s.map({b.operand(0), sum}, binary(op, x0(), input(1))));
  }
  // Which update wins: the greatest number in the updates' order; then its value.
  std::int64_t count = 1;
  for (const std::int64_t e : reductions) count *= e;
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<double>(i));
  const TensorId order = s.constant(Format::int32, reductions, values);
  const int ordinal = static_cast<int>(reads.size());
  reads.push_back({order, identity_index(reductions.size(), static_cast<int>(shape.size()))});
  const TensorId last = s.nest(Format::int32, shape, reductions, reads, select(found, input(ordinal), number(-1)), Combiner::max);
  reads.push_back({last, identity_index(shape.size())});
  const TensorId value = s.nest(b.format(0), shape, reductions, reads,
                                picked(both(found, equal(input(ordinal), input(ordinal + 1))), input(update)), Combiner::add);
  b.set_result(0, s.map({b.operand(0), value, last}, select(input(2) < number(0), x0(), input(1))));
}

void scatter_elements(NodeBuilder& b) {
  const Shape data = b.shape(0), indices = b.shape(1);
  const int axis = b.axis(b.int_attribute("axis", 0), data.size());
  const auto rule = scatter_rule(b);
  if (b.failed() || !rule || !require_index(b, 1) || !b.same_format(0, 2)) return;
  if (indices.size() != data.size() || b.shape(2) != indices) return b.malformed("onnx/shape", "indices and updates do not fit the data");
  const auto along = static_cast<std::size_t>(axis);
  for (std::size_t d = 0; d < data.size(); ++d) {
    if (d != along && indices[d] > data[d])
      return b.malformed("onnx/shape", fmt::format("indices {} leave {}", print_shape(indices), print_shape(data)));
  }
  // For each element of the data only updates at the same other coordinates matter.
  Steps s(b);
  const std::int64_t extent = data[along];
  if (!few(b, indices[along])) return;
  std::vector<Affine> index = identity_index(data.size());
  index[along] = loop(static_cast<int>(data.size()));
  std::vector<Affine> position{loop(axis)};
  // Indices may cover less than the data in the other dimensions: nothing is found there.
  const TensorId positions = s.iota(b.format(1), extent);
  const std::vector<NestRead> reads{
      {b.operand(2), index, 0.0}, {b.operand(1), index, static_cast<double>(2 * extent)}, {positions, position}};
  scatter(b, s, {indices[along]}, reads, equal(from_start(input(1), extent), input(2)), 0, *rule);
}

/// Known positions that fill a box of the data: its first corner, and which dimension of the updates runs along each dimension of the data
/// (-1: none, there is one position). What exporters write for x[:, :, 2] = y.
struct Box {
  std::vector<std::int64_t> first, count;
  std::vector<int> along;
};

std::optional<Box> box_of(NodeBuilder& b, const Shape& data, const Shape& outer) {
  const Value& indices = b.input(1);
  const std::int64_t updates = numerics::element_count(outer);
  if (updates < 1 || !b.may_look_at(1)) return {};
  const numerics::Tensor positions = indices.constant->make();
  const std::int64_t depth = indices.shape.back();
  const auto position = [&](std::int64_t update, std::size_t d) {
    const auto extent = static_cast<double>(data[d]);
    const double p = positions.at(update * depth + static_cast<std::int64_t>(d));
    return static_cast<std::int64_t>(std::clamp(p < 0 ? p + extent : p, -1.0, extent));  // both ends lie outside
  };
  std::vector<std::int64_t> stride(outer.size(), 1);
  for (std::size_t k = outer.size(); k-- > 1;) stride[k - 1] = stride[k] * outer[k];
  std::vector<bool> used(outer.size(), false);
  Box box;
  for (std::size_t d = 0; d < static_cast<std::size_t>(depth); ++d) {
    box.first.push_back(position(0, d));
    box.count.push_back(1);
    box.along.push_back(-1);
    for (std::size_t k = 0; k < outer.size(); ++k) {
      if (outer[k] == 1 || position(stride[k], d) == box.first[d]) continue;
      if (used[k] || box.along[d] >= 0) return {};
      used[k] = true;
      box.along[d] = static_cast<int>(k);
      box.count[d] = outer[k];
    }
    if (box.first[d] < 0 || box.first[d] > data[d] - box.count[d]) return {};
  }
  for (std::size_t k = 0; k < outer.size(); ++k)
    if (outer[k] > 1 && !used[k]) return {};  // several updates of one place
  for (std::int64_t update = 0; update < updates; ++update)
    for (std::size_t d = 0; d < box.first.size(); ++d) {
      const int k = box.along[d];
      const std::int64_t step = k < 0 ? 0 : update / stride[static_cast<std::size_t>(k)] % outer[static_cast<std::size_t>(k)];
      if (position(update, d) != box.first[d] + step) return {};
    }
  return box;
}

/// data with a box of it replaced: each place looks whether it lies inside, none is compared with every update.
void assign(NodeBuilder& b, const Box& box, const Shape& data, const Shape& outer) {
  Steps s(b);
  std::vector<Affine> index(outer.size(), at(0));
  Expression inside = number(1);
  std::vector<NestRead> reads{{b.operand(0), identity_index(data.size())}, {b.operand(2), {}, 0.0}};
  for (std::size_t d = 0; d < box.first.size(); ++d) {
    const Affine here = loop(static_cast<int>(d));
    if (box.along[d] >= 0) index[static_cast<std::size_t>(box.along[d])] = here + at(-box.first[d]);
    if (box.count[d] == data[d]) continue;
    const Expression place = input(static_cast<int>(reads.size()));
    reads.push_back({s.iota(Format::int32, data[d]), {here}});
    const auto first = static_cast<double>(box.first[d]), last = static_cast<double>(box.first[d] + box.count[d] - 1);
    const Expression within = box.count[d] == 1 ? equal(place, number(first)) : both(!(place < number(first)), !(place > number(last)));
    inside = reads.size() == 3 ? within : both(inside, within);
  }
  for (std::size_t d = box.first.size(); d < data.size(); ++d) index.push_back(loop(static_cast<int>(d)));
  reads[1].index = std::move(index);
  b.set_result(0, s.nest(b.format(0), data, {}, reads, select(inside, input(1), x0())));
}

void scatter_nd(NodeBuilder& b) {
  const Shape data = b.shape(0), indices = b.shape(1), updates = b.shape(2);
  const auto rule = scatter_rule(b);
  if (b.failed() || !rule || !require_index(b, 1) || !b.same_format(0, 2)) return;
  const auto misfit = [&] {
    b.malformed("onnx/shape",
                fmt::format("indices {} and updates {} do not fit data {}", print_shape(indices), print_shape(updates), print_shape(data)));
  };
  if (indices.empty() || indices.back() < 0 || static_cast<std::size_t>(indices.back()) > data.size()) return misfit();
  const auto depth = static_cast<std::size_t>(indices.back());
  const Shape outer(indices.begin(), indices.end() - 1);
  Shape wanted = outer;
  wanted.insert(wanted.end(), data.begin() + static_cast<std::ptrdiff_t>(depth), data.end());
  if (updates != wanted) return misfit();
  if (b.string_attribute("reduction", "none") == "none")
    if (const auto box = box_of(b, data, outer)) return assign(b, *box, data, outer);
  std::int64_t compared = 1;
  for (const std::int64_t e : outer) compared = std::min(kMaxCompared + 1, compared * e);
  if (!few(b, compared)) return;
  Steps s(b);
  std::vector<Affine> index = identity_index(outer.size(), static_cast<int>(data.size()));
  for (std::size_t d = depth; d < data.size(); ++d) index.push_back(loop(static_cast<int>(d)));
  std::vector<NestRead> reads{{b.operand(2), index}};
  Expression found = number(1);
  for (std::size_t d = 0; d < depth; ++d) {
    std::vector<Affine> at_index = identity_index(outer.size(), static_cast<int>(data.size()));
    at_index.push_back(at(static_cast<std::int64_t>(d)));
    const int first = static_cast<int>(reads.size());
    reads.push_back({b.operand(1), at_index});
    reads.push_back({s.iota(b.format(1), data[d]), {loop(static_cast<int>(d))}});
    const Expression here = equal(from_start(input(first), data[d]), input(first + 1));
    found = d == 0 ? here : both(found, here);
  }
  scatter(b, s, outer, reads, found, 0, *rule);
}

void one_hot(NodeBuilder& b) {
  const auto depth = b.given_scalar(1);
  if (!depth) return b.unsupported("onnx/dynamic-shape", "the depth is not known before the model runs");
  const Shape from = b.shape(0);
  const int axis = b.axis(b.int_attribute("axis", -1), from.size() + 1);
  if (b.failed()) return;
  if (b.shape(2) != Shape{2} || *depth < 1 || *depth > static_cast<double>(kMaxElements))
    return b.malformed("onnx/shape", "depth is positive, values are two");
  const auto extent = static_cast<std::int64_t>(*depth);
  Steps s(b);
  Shape to = from;
  to.insert(to.begin() + axis, extent);
  std::vector<Affine> index;
  for (std::size_t d = 0; d < to.size(); ++d) {
    if (static_cast<int>(d) != axis) index.push_back(loop(static_cast<int>(d)));
  }
  if (extent > kMaxKnown) return b.unsupported("onnx/unsupported-feature", fmt::format("a depth of {} is not supported", extent));
  const TensorId positions = s.iota(b.format(0), extent);
  // Integers as they are: fractions of floating indices are cut off.
  const bool floating = numerics::format_info(b.format(0)).floating;
  const Expression place = from_start(floating ? truncated(x0()) : x0(), extent);
  b.set_result(
      0, s.nest(b.format(2), to, {}, {{b.operand(0), index}, {positions, {loop(axis)}}, {b.operand(2), {at(0)}}, {b.operand(2), {at(1)}}},
                select(equal(place, input(1)), input(3), input(2))));
}

/// Along an axis: position of each element among all, greatest (or least) first; equals in their order. Then each place of the result
/// takes the element that stands there.
void top_k(NodeBuilder& b) {
  std::int64_t k = b.int_attribute("k", 0);
  if (b.opset() >= 10) {
    const std::vector<std::int64_t> given = b.integers(1, "k");
    if (b.failed()) return;
    if (given.size() != 1) return b.malformed("onnx/shape", "k is one number");
    k = given[0];
  }
  const Shape shape = b.shape(0);
  const int axis = b.axis(b.int_attribute("axis", -1), shape.size());
  const bool largest = b.int_attribute("largest", 1) != 0;
  if (b.failed()) return;
  const auto along = static_cast<std::size_t>(axis);
  const std::int64_t extent = shape[along];
  if (k < 0 || k > extent) return b.malformed("onnx/shape", fmt::format("{} of {} elements", k, extent));
  if (extent > kMaxKnown) return b.unsupported("onnx/unsupported-feature", fmt::format("the greatest among {} elements", extent));
  Steps s(b);
  const TensorId x = b.operand(0), positions = s.iota(Format::int64, extent);
  const Affine r = loop(static_cast<int>(shape.size()));
  std::vector<Affine> other = identity_index(shape.size());
  other[along] = r;
  const Expression before = largest ? x0() > input(1) : x0() < input(1);
  const Expression earlier = both(equal(x0(), input(1)), input(2) < input(3));
  const TensorId rank =
      s.nest(Format::int64, shape, {extent}, {{x, other}, {x, identity_index(shape.size())}, {positions, {r}}, {positions, {loop(axis)}}},
             either(before, earlier), Combiner::add);
  Shape to = shape;
  to[along] = k;
  const std::vector<NestRead> reads{{x, other}, {rank, other}, {positions, {loop(axis)}}, {positions, {r}}};
  const Expression here = equal(input(1), input(2));
  if (b.wants(0)) b.set_result(0, s.nest(b.format(0), to, {extent}, reads, picked(here, x0()), Combiner::add));
  if (b.wants(1)) {
    b.set_result(1, s.nest(Format::int64, to, {extent}, {{rank, other}, {positions, {loop(axis)}}, {positions, {r}}},
                           picked(equal(x0(), input(1)), input(2)), Combiner::add));
  }
}

void reverse_sequence(NodeBuilder& b) {
  const Shape shape = b.shape(0);
  const int time = b.axis(b.int_attribute("time_axis", 0), shape.size()), batch = b.axis(b.int_attribute("batch_axis", 1), shape.size());
  if (b.failed() || !require_index(b, 1)) return;
  const std::int64_t extent = shape[static_cast<std::size_t>(time)];
  if (time == batch || b.shape(1) != Shape{shape[static_cast<std::size_t>(batch)]})
    return b.malformed("onnx/shape", "one length per batch entry is needed");
  if (!few(b, extent)) return;
  Steps s(b);
  const TensorId positions = s.iota(b.format(1), extent);
  std::vector<Affine> from = identity_index(shape.size());
  const Affine r = loop(static_cast<int>(shape.size()));
  from[static_cast<std::size_t>(time)] = r;
  const Expression length = input(1), to = input(2), here = input(3);
  const Expression source = select(to < length, length - number(1) - to, to);
  b.set_result(0, s.nest(b.format(0), shape, {extent},
                         {{b.operand(0), from}, {b.operand(1), {loop(batch)}}, {positions, {loop(time)}}, {positions, {r}}},
                         picked(equal(here, source), x0()), Combiner::add));
}

/// Rows of `update` written into the cache at a start per batch entry, round its end when circular.
void tensor_scatter(NodeBuilder& b) {
  const Shape cache = b.shape(0), update = b.shape(1);
  const int axis = b.axis(b.int_attribute("axis", -2), cache.size());
  const std::string mode = b.string_attribute("mode", "linear");
  if (b.failed() || !b.same_format(0, 1)) return;
  if (update.size() != cache.size() || axis == 0)
    return b.malformed("onnx/shape", fmt::format("update {} does not fit {}", print_shape(update), print_shape(cache)));
  if (mode != "linear" && mode != "circular") return b.malformed("onnx/attribute", fmt::format("mode {} is unknown", mode));
  if (b.has(2) && (!require_index(b, 2) || b.shape(2) != Shape{cache[0]}))
    return b.malformed("onnx/shape", "one start per batch entry is needed");
  const auto along = static_cast<std::size_t>(axis);
  const std::int64_t extent = cache[along], count = update[along];
  if (!few(b, count)) return;
  Steps s(b);
  const TensorId places = s.iota(Format::int64, extent), rows = s.iota(Format::int64, count);
  const TensorId start = b.has(2) ? b.operand(2) : s.constant(Format::int64, {cache[0]}, {});
  const Affine r = loop(static_cast<int>(cache.size()));
  std::vector<Affine> from = identity_index(cache.size());
  from[along] = r;
  Expression target = input(1) + input(3);
  if (mode == "circular") target = binary(ScalarOp::remainder, target, number(static_cast<double>(extent)));
  scatter(b, s, {count}, {{b.operand(1), from}, {start, {loop(0)}}, {places, {loop(axis)}}, {rows, {r}}}, equal(target, input(2)), 0,
          {Combiner::add, true});
}

// --- patterns --------------------------------------------------------------------------------------------------------------------------

void tile(NodeBuilder& b) {
  const std::vector<std::int64_t> repeats = b.integers(1, "the repeats");
  const Shape from = b.shape(0);
  if (b.failed()) return;
  if (repeats.size() != from.size()) return b.malformed("onnx/shape", "one repeat per dimension is needed");
  // Every dimension twice, the repeat outside; then joined.
  Steps s(b);
  Shape apart, joined;
  std::vector<Affine> index;
  for (std::size_t d = 0; d < from.size(); ++d) {
    if (repeats[d] < 1 || repeats[d] > kMaxElements) return b.unsupported("onnx/empty-tensor", "a repeat of 0");
    apart.push_back(repeats[d]);
    apart.push_back(from[d]);
    joined.push_back(repeats[d] * from[d]);
    index.push_back(loop(static_cast<int>(2 * d + 1)));
  }
  if (!checked_count(joined) || apart.size() > kMaxRank)
    return b.malformed("onnx/shape", fmt::format("impossible dimensions {}", print_shape(joined)));
  b.set_result(0, s.reshape(s.nest(b.format(0), apart, {}, {{b.operand(0), index}}, x0()), joined));
}

/// Blocks of channels and blocks of space, exchanged through a tensor of six dimensions.
void depth_to_space(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const std::int64_t block = b.int_attribute("blocksize", 0);
  const bool crd = b.string_attribute("mode", "DCR") == "CRD";
  if (b.failed()) return;
  if (x.size() != 4 || block < 1 || block > kMaxElements || x[1] % (block * block) != 0)
    return b.malformed("onnx/shape", fmt::format("{} in blocks of {}", print_shape(x), block));
  Steps s(b);
  const std::int64_t c = x[1] / (block * block);
  const TensorId apart = s.reshape(b.operand(0), crd ? Shape{x[0], c, block, block, x[2], x[3]} : Shape{x[0], block, block, c, x[2], x[3]});
  const TensorId turned = s.transpose(apart, crd ? std::vector<int>{0, 1, 4, 2, 5, 3} : std::vector<int>{0, 3, 4, 1, 5, 2});
  b.set_result(0, s.reshape(turned, {x[0], c, x[2] * block, x[3] * block}));
}

void space_to_depth(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const std::int64_t block = b.int_attribute("blocksize", 0);
  const bool crd = b.string_attribute("mode", "DCR") == "CRD";
  if (b.failed()) return;
  if (x.size() != 4 || block < 1 || x[2] % block != 0 || x[3] % block != 0)
    return b.malformed("onnx/shape", fmt::format("{} in blocks of {}", print_shape(x), block));
  Steps s(b);
  const TensorId apart = s.reshape(b.operand(0), {x[0], x[1], x[2] / block, block, x[3] / block, block});
  const TensorId turned = s.transpose(apart, crd ? std::vector<int>{0, 1, 3, 5, 2, 4} : std::vector<int>{0, 3, 5, 1, 2, 4});
  b.set_result(0, s.reshape(turned, {x[0], x[1] * block * block, x[2] / block, x[3] / block}));
}

/// What lies on one side of a diagonal, zero elsewhere.
void trilu(NodeBuilder& b) {
  const Shape shape = b.shape(0);
  const bool upper = b.int_attribute("upper", 1) != 0;
  if (b.failed()) return;
  if (shape.size() < 2) return b.malformed("onnx/shape", fmt::format("{} is no matrix", print_shape(shape)));
  double diagonal = 0;
  if (b.has(1)) {
    const auto k = b.given_scalar(1);
    if (!k) return b.unsupported("onnx/unsupported-feature", "the diagonal is not known before the model runs");
    diagonal = *k;
  }
  Steps s(b);
  const std::size_t rank = shape.size();
  const TensorId rows = s.iota(Format::int32, shape[rank - 2], 0, 1, diagonal), columns = s.iota(Format::int32, shape[rank - 1]);
  // Columns minus rows: at least the diagonal's number above it, at most below.
  const Expression row = input(1), column = input(2);
  const Expression inside = upper ? !(column < row) : !(row < column);
  b.set_result(0, s.nest(b.format(0), shape, {},
                         {{b.operand(0), identity_index(rank)},
                          {rows, {loop(static_cast<int>(rank) - 2)}},
                          {columns, {loop(static_cast<int>(rank) - 1)}}},
                         select(inside, x0(), number(0))));
}

void eye_like(NodeBuilder& b) {
  const Shape shape = b.shape(0);
  const std::int64_t type = b.int_attribute("dtype", data_type_of(b.format(0))), k = b.int_attribute("k", 0);
  const auto format = format_of(static_cast<std::int32_t>(std::clamp<std::int64_t>(type, 0, 1000)));
  if (b.failed()) return;
  if (shape.size() != 2 || !format) return b.malformed("onnx/shape", "EyeLike makes a matrix of a known element type");
  if (numerics::element_count(shape) > kMaxKnown)
    return b.unsupported("onnx/unsupported-feature", fmt::format("a matrix of {}", print_shape(shape)));
  numerics::Tensor eye = numerics::make_tensor(*format, shape);
  for (std::int64_t i = 0; i < shape[0]; ++i) {
    if (i + k >= 0 && i + k < shape[1]) eye.set(i * shape[1] + i + k, 1);
  }
  b.set_constant(0, *format, shape, numerics::constant_of(std::move(eye)));
}

void range(NodeBuilder& b) {
  const auto start = b.given_scalar(0), limit = b.given_scalar(1), delta = b.given_scalar(2);
  if (!start || !limit || !delta) return b.unsupported("onnx/dynamic-shape", "start, limit and delta are not known before the model runs");
  if (!b.same_format(0, 1) || !b.same_format(0, 2)) return;
  if (*delta == 0) return b.malformed("onnx/attribute", "a delta of 0");
  const double count = std::max(0.0, std::ceil((*limit - *start) / *delta));
  if (!(count <= static_cast<double>(kMaxKnown * 64)))
    return b.unsupported("onnx/unsupported-feature", fmt::format("a range of {} elements", count));
  const auto n = static_cast<std::int64_t>(count);
  if (b.input(0).constant && b.input(2).constant) {
    numerics::Tensor values = numerics::make_tensor(b.format(0), {n});
    for (std::int64_t i = 0; i < n; ++i) values.set(i, *start + static_cast<double>(i) * *delta);
    return b.set_constant(0, b.format(0), {n}, numerics::constant_of(std::move(values)));
  }
  if (n == 0) return b.set_constant(0, b.format(0), {0}, numerics::constant_of(numerics::make_tensor(b.format(0), {0})));
  // The extent is known; the values come from the inputs.
  Steps s(b);
  b.set_result(0, s.map({s.iota(b.format(0), n), b.operand(0), b.operand(2)}, input(1) + x0() * input(2)));
}

/// The middle of each dimension, cut or filled with zeros.
void center_crop_pad(NodeBuilder& b) {
  const Shape from = b.shape(0);
  const std::vector<std::int64_t> wanted = b.integers(1, "the shape");
  auto axes = b.ints_attribute("axes");
  if (b.failed()) return;
  if (!axes) {
    axes.emplace();
    for (std::size_t d = 0; d < from.size(); ++d) axes->push_back(static_cast<std::int64_t>(d));
  }
  b.axes(*axes, from.size());  // for its checks
  if (b.failed()) return;
  if (wanted.size() != axes->size()) return b.malformed("onnx/shape", "one size per axis is needed");
  Shape to = from;
  std::vector<Affine> index = identity_index(from.size());
  bool pads = false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto d = static_cast<std::size_t>(b.axis((*axes)[i], from.size()));
    if (wanted[i] < 1 || wanted[i] > kMaxElements) return b.malformed("onnx/shape", fmt::format("a size of {}", wanted[i]));
    to[d] = wanted[i];
    const std::int64_t more = wanted[i] - from[d];
    pads = pads || more > 0;
    index[d] = index[d] + at(more > 0 ? -(more / 2) : -more / 2);
  }
  if (!checked_count(to)) return b.malformed("onnx/shape", fmt::format("impossible dimensions {}", print_shape(to)));
  b.set_result(0, emit_copy(b.scratch(), b.label(), b.operand(0), to, std::move(index), pads ? std::optional(0.0) : std::nullopt));
}

constexpr std::array kOperators{
    Operator{"CenterCropPad", 18, 2, 2, "axes", center_crop_pad},
    Operator{"DepthToSpace", 1, 1, 1, "blocksize mode", depth_to_space},
    Operator{"EyeLike", 9, 1, 1, "dtype k", eye_like},
    Operator{"GatherElements", 11, 2, 2, "axis", gather_elements},
    Operator{"GatherND", 11, 2, 2, "batch_dims", gather_nd},
    Operator{"OneHot", 9, 3, 3, "axis", one_hot},
    Operator{"Range", 11, 3, 3, "stash_type", range},
    Operator{"ReverseSequence", 10, 2, 2, "batch_axis time_axis", reverse_sequence},
    Operator{"Scatter", 9, 3, 3, "axis", scatter_elements},
    Operator{"ScatterElements", 11, 3, 3, "axis reduction", scatter_elements},
    Operator{"ScatterND", 11, 3, 3, "reduction", scatter_nd},
    Operator{"SpaceToDepth", 1, 1, 1, "blocksize mode", space_to_depth},
    Operator{"TensorScatter", 24, 2, 3, "axis mode", tensor_scatter},
    Operator{"Tile", 6, 2, 2, "", tile},
    Operator{"TopK", 1, 1, 2, "axis k largest sorted", top_k},
    Operator{"Trilu", 14, 1, 2, "upper", trilu},
};

}  // namespace

std::span<const Operator> index_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
