// Operators about shapes, and those that only move elements.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "model/emit_detail.h"
#include "model/onnx/operators.h"
#include "model/onnx/steps.h"

namespace switchyard::model::onnx {
using namespace model::detail;
using Integers = std::vector<std::int64_t>;

namespace {

numerics::Tensor integer_tensor(const Integers& values, bool scalar = false) {
  numerics::Tensor tensor = numerics::make_tensor(Format::int64, scalar ? Shape{} : Shape{static_cast<std::int64_t>(values.size())});
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

void set_tensor(NodeBuilder& b, numerics::Tensor tensor) {
  const Format format = tensor.format;
  Shape shape = tensor.shape;
  b.set_constant(0, format, std::move(shape), numerics::constant_of(std::move(tensor)));
}

void constant(NodeBuilder& b) {
  if (b.node().attributes.size() != 1) return b.malformed("onnx/attribute", "exactly one value attribute is expected");
  const Attribute& a = b.node().attributes[0];
  if (a.name == "value" && a.t != nullptr) {
    auto value = value_of(*a.t, b.file(), b.folder());
    if (!value) return b.adopt(value.failure());
    b.set_constant(0, value.value().format, value.value().shape, value.value().constant);
    // Exporters that know no initialisers put their weights here; single numbers are part of the computation.
    if (b.wants(0)) b.mark_constant_trained(numerics::format_info(value.value().format).floating && !value.value().shape.empty());
  } else if (a.name == "value_int") {
    set_tensor(b, integer_tensor({b.int_attribute("value_int", 0)}, true));
  } else if (a.name == "value_ints") {
    set_tensor(b, integer_tensor(b.ints_attribute("value_ints").value_or(Integers{})));
  } else if (a.name == "value_float") {
    numerics::Tensor tensor = numerics::make_tensor(Format::fp32, {});
    tensor.set(0, b.float_attribute("value_float", 0));
    set_tensor(b, std::move(tensor));
  } else if (a.name == "value_floats") {
    numerics::Tensor tensor = numerics::make_tensor(Format::fp32, {static_cast<std::int64_t>(a.floats.size())});
    for (std::size_t i = 0; i < a.floats.size(); ++i) tensor.set(static_cast<std::int64_t>(i), a.floats[i]);
    set_tensor(b, std::move(tensor));
  } else {
    b.unsupported("onnx/unsupported-attribute", fmt::format("a constant given as {} is not supported", a.name));
  }
}

void constant_of_shape(NodeBuilder& b) {
  const Integers shape = b.integers(0, "the shape");
  if (b.failed()) return;
  if (!checked_count(shape)) return b.malformed("onnx/shape", fmt::format("impossible dimensions {}", print_shape(shape)));
  Format format = Format::fp32;
  double fill = 0;
  if (const Attribute* a = b.attribute("value")) {
    if (a->t == nullptr) return b.malformed("onnx/attribute", "attribute value must be a tensor");
    auto value = value_of(*a->t, b.file(), b.folder());
    if (!value) return b.adopt(value.failure());
    if (checked_count(value.value().shape) != std::optional<std::int64_t>(1)) {
      return b.malformed("onnx/attribute", "attribute value must have one element");
    }
    format = value.value().format;
    fill = value.value().constant->make().at(0);
  }
  b.set_constant(0, format, shape, std::make_shared<numerics::Constant>(numerics::Constant{[format, shape, fill] {
                   numerics::Tensor tensor = numerics::make_tensor(format, shape);
                   if (fill != 0) {
                     for (std::int64_t i = 0, count = tensor.count(); i < count; ++i) tensor.set(i, fill);
                   }
                   return tensor;
                 }}));
}

void shape_of(NodeBuilder& b) {
  const Shape& shape = b.shape(0);
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto clamp = [&](std::int64_t v) { return std::clamp<std::int64_t>(v < 0 ? v + rank : v, 0, rank); };
  const std::int64_t start = clamp(b.int_attribute("start", 0));
  const std::int64_t end = clamp(b.int_attribute("end", rank));
  if (b.failed()) return;
  set_tensor(b, integer_tensor(start < end ? Integers(shape.begin() + start, shape.begin() + end) : Integers{}));
}

void size_of(NodeBuilder& b) { set_tensor(b, integer_tensor({numerics::element_count(b.shape(0))}, true)); }

/// Same elements, new shape: constants are renamed, everything else is a copy.
void reshape_to(NodeBuilder& b, const Shape& shape) {
  if (b.input(0).constant && b.alias(0, 0, shape)) return;
  Label label = b.label();
  label.kind = "Reshape";
  b.set_result(0, emit_reshape(b.scratch(), label, b.operand(0), shape));
}

void reshape(NodeBuilder& b) {
  Integers wanted = b.integers(1, "the shape");
  const bool allow_zero = b.int_attribute("allowzero", 0) != 0;
  if (b.failed()) return;
  const Shape& from = b.shape(0);
  const Integers asked = wanted;
  const auto misfit = [&] { b.malformed("onnx/shape", fmt::format("{} cannot take the shape {}", print_shape(from), print_shape(asked))); };
  std::optional<std::size_t> open;
  for (std::size_t d = 0; d < wanted.size(); ++d) {
    if (wanted[d] == 0 && !allow_zero) {
      if (d >= from.size()) return misfit();
      wanted[d] = from[d];
    } else if (wanted[d] == -1) {
      if (open) return misfit();
      open = d;
      wanted[d] = 1;
    }
  }
  const auto count = checked_count(wanted);
  if (!count) return misfit();
  const std::int64_t total = numerics::element_count(from);
  if (open) {
    if (*count == 0 || total % *count != 0) return misfit();
    wanted[*open] = total / *count;
  } else if (*count != total) {
    return misfit();
  }
  reshape_to(b, wanted);
}

void flatten(NodeBuilder& b) {
  const Shape& from = b.shape(0);
  const int axis = b.axis(b.int_attribute("axis", 1), from.size(), true);
  if (b.failed()) return;
  Shape shape{1, 1};
  for (std::size_t d = 0; d < from.size(); ++d) shape[d < static_cast<std::size_t>(axis) ? 0 : 1] *= from[d];
  reshape_to(b, shape);
}

/// The axes of Squeeze and Unsqueeze: an attribute before operator set 13, an input since.
std::optional<Integers> axes_of(NodeBuilder& b) {
  if (b.opset() < 13) return b.ints_attribute("axes");
  if (!b.has(1)) return {};
  return b.integers(1, "axes");
}

void squeeze(NodeBuilder& b) {
  const Shape& from = b.shape(0);
  const auto axes = axes_of(b);
  if (b.failed()) return;
  std::vector<bool> drop(from.size(), false);
  if (axes) {
    drop = b.axes(*axes, from.size());
  } else {
    for (std::size_t d = 0; d < from.size(); ++d) drop[d] = from[d] == 1;
  }
  if (b.failed()) return;
  Shape shape;
  for (std::size_t d = 0; d < from.size(); ++d) {
    if (!drop[d]) {
      shape.push_back(from[d]);
    } else if (from[d] != 1) {
      return b.malformed("onnx/shape", fmt::format("dimension {} of {} is not 1", d, print_shape(from)));
    }
  }
  reshape_to(b, shape);
}

void unsqueeze(NodeBuilder& b) {
  const auto axes = axes_of(b);
  if (b.failed()) return;
  if (!axes) return b.malformed("onnx/attribute", "axes are missing");
  const std::size_t rank = b.shape(0).size() + axes->size();
  if (rank > kMaxRank) return b.malformed("onnx/shape", fmt::format("a tensor of {} dimensions", rank));
  const std::vector<bool> added = b.axes(*axes, rank);
  if (b.failed()) return;
  Shape shape;
  std::size_t next = 0;
  for (std::size_t d = 0; d < rank; ++d) shape.push_back(added[d] ? 1 : b.shape(0)[next++]);
  reshape_to(b, shape);
}

void identity(NodeBuilder& b) {
  if (b.input(0).constant && b.alias(0, 0, b.shape(0))) return;
  std::vector<Affine> index;
  for (std::size_t d = 0; d < b.shape(0).size(); ++d) index.push_back(affine_variable(static_cast<int>(d)));
  b.set_result(0, emit_copy(b.scratch(), b.label(), b.operand(0), b.shape(0), std::move(index)));
}

void dropout(NodeBuilder& b) {
  if (b.opset() < 7 && b.int_attribute("is_test", 0) == 0) return b.unsupported("onnx/unsupported-feature", "training is not supported");
  if (b.opset() >= 12 && b.has(2)) {
    const auto training = b.given_scalar(2);
    const auto ratio = b.has(1) ? b.given_scalar(1) : std::optional<double>(0.5);
    // With a ratio of 0 nothing is dropped.
    if (!training) return b.unsupported("onnx/dynamic-control", "training_mode is not known before the model runs");
    if (*training != 0 && ratio != 0.0) return training_dropout(b);
  }
  if (b.wants(1)) {
    numerics::Tensor one = numerics::make_tensor(numerics::Format::boolean, Shape(b.shape(0).size(), 1));
    one.set(0, 1);
    const auto mask = b.constant(b.label(":kept").result, std::move(one));
    b.set_result(1, emit_copy(b.scratch(), b.helper("Mask", ":mask", 1), mask, b.shape(0), std::vector<Affine>(b.shape(0).size())));
  }
  identity(b);
}

void transpose(NodeBuilder& b) {
  const Shape& from = b.shape(0);
  const auto perm = b.ints_attribute("perm");
  if (b.failed()) return;
  Integers order(from.size());
  for (std::size_t d = 0; d < order.size(); ++d) order[d] = static_cast<std::int64_t>(order.size() - 1 - d);
  if (perm) {
    order = *perm;
    Integers sorted = order;
    std::sort(sorted.begin(), sorted.end());
    bool complete = sorted.size() == from.size();
    for (std::size_t d = 0; complete && d < sorted.size(); ++d) complete = sorted[d] == static_cast<std::int64_t>(d);
    if (!complete) {
      return b.malformed("onnx/attribute", fmt::format("perm {} is no permutation of {} dimensions", print_shape(order), from.size()));
    }
  }
  Shape shape;
  std::vector<Affine> index(from.size());
  for (std::size_t d = 0; d < order.size(); ++d) {
    shape.push_back(from[static_cast<std::size_t>(order[d])]);
    index[static_cast<std::size_t>(order[d])] = affine_variable(static_cast<int>(d));
  }
  b.set_result(0, emit_copy(b.scratch(), b.label(), b.operand(0), shape, std::move(index)));
}

void expand(NodeBuilder& b) {
  const Integers wanted = b.integers(1, "the shape");
  if (b.failed()) return;
  const std::array both{b.shape(0), wanted};
  const auto shape = checked_count(wanted) ? broadcast(both) : std::nullopt;
  if (!shape) return b.malformed("onnx/shape", fmt::format("{} does not broadcast to {}", print_shape(b.shape(0)), print_shape(wanted)));
  const std::array inputs{MapInput::of(b.operand(0))};
  b.set_result(0, emit_map(b.scratch(), b.label(), inputs, expr_input(0), b.format(0), *shape));
}

void concat(NodeBuilder& b) {
  if (b.attribute("axis") == nullptr && b.opset() >= 4) return b.malformed("onnx/attribute", "attribute axis is missing");
  for (std::size_t i = 0; i < b.input_count(); ++i) {
    if (!b.has(i)) return b.malformed("onnx/undefined-tensor", fmt::format("input {} is missing", i));
    if (!b.same_format(0, i)) return;
  }
  const int axis = b.axis(b.int_attribute("axis", 1), b.shape(0).size());
  if (b.failed()) return;
  const auto along = static_cast<std::size_t>(axis);
  std::vector<graph::TensorId> parts;
  Shape total = b.shape(0);
  total[along] = 0;
  for (std::size_t i = 0; i < b.input_count(); ++i) {
    Shape part = b.shape(i);
    if (part.size() == total.size()) {
      total[along] = std::min(kMaxElements + 1, total[along] + part[along]);
      part[along] = total[along];
    }
    if (part != total) {
      return b.malformed("onnx/shape",
                         fmt::format("{} does not fit {} along axis {}", print_shape(b.shape(i)), print_shape(b.shape(0)), axis));
    }
    if (numerics::element_count(b.shape(i)) > 0) parts.push_back(b.operand(i));
  }
  if (!checked_count(total)) return b.malformed("onnx/shape", fmt::format("impossible dimensions {}", print_shape(total)));
  if (parts.empty()) return b.set_constant(0, b.format(0), total, numerics::constant_of(numerics::make_tensor(b.format(0), total)));
  b.set_result(0, emit_concat(b.scratch(), b.label(), parts, axis));
}

/// Indices that nobody knows yet, or too many to write down: each is looked up when it is needed.
void gather_at_run_time(NodeBuilder& b, std::size_t axis) {
  const Shape& from = b.shape(0);
  const Shape& picks = b.shape(1);
  const Value& indices = b.input(1);
  if (indices.format != Format::int64 && indices.format != Format::int32) {
    return b.malformed("onnx/type", fmt::format("the indices ({}) must be INT64 or INT32, not {}", indices.name,
                                                data_type_name(data_type_of(indices.format))));
  }
  if (indices.constant) {
    constexpr std::int64_t kMostChecked = std::int64_t{1} << 22;  // values of few bytes may stand for very many
    if (numerics::element_count(picks) > kMostChecked)
      return b.unsupported("onnx/unsupported-feature", fmt::format("more than {} constant indices are not supported", kMostChecked));
    if (!b.may_look_at(1))
      return b.unsupported("onnx/unsupported-feature", "constant indices that take so much to compute are not supported");
    const numerics::Tensor values = indices.constant->make();
    for (std::int64_t i = 0, count = values.count(); i < count; ++i) {
      const double v = values.at(i);
      if (v < static_cast<double>(-from[axis]) || v >= static_cast<double>(from[axis]))
        return b.malformed("onnx/shape", fmt::format("index {} is outside a dimension of {}", v, from[axis]));
    }
  }
  Shape shape(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(axis));
  shape.insert(shape.end(), picks.begin(), picks.end());
  shape.insert(shape.end(), from.begin() + static_cast<std::ptrdiff_t>(axis) + 1, from.end());
  std::vector<Affine> index;
  for (std::size_t d = 0; d < from.size(); ++d) {
    const std::size_t loop = d < axis ? d : d + picks.size() - 1;
    index.push_back(d == axis ? Affine{} : affine_variable(static_cast<int>(loop)));
  }
  LookedUp lookup{static_cast<int>(axis), b.operand(1), {}};
  for (std::size_t d = 0; d < picks.size(); ++d) lookup.index.push_back(affine_variable(static_cast<int>(axis + d)));
  const graph::TensorId x = b.operand(0);
  b.set_result(0, emit_lookup(b.scratch(), b.label(), x, shape, std::move(index), std::span(&lookup, 1)));
}

void gather(NodeBuilder& b) {
  const Shape& from = b.shape(0);
  const int axis = b.axis(b.int_attribute("axis", 0), from.size());
  if (b.failed()) return;
  const std::int64_t extent = from[static_cast<std::size_t>(axis)];
  if (from.size() + b.shape(1).size() > kMaxRank + 1) return b.malformed("onnx/shape", "too many dimensions");
  if (!b.input(1).constant || b.known(1) == nullptr) return gather_at_run_time(b, static_cast<std::size_t>(axis));
  Integers indices = b.integers(1, "the indices");
  if (b.failed()) return;
  for (std::int64_t& i : indices) {
    if (i < -extent || i >= extent) return b.malformed("onnx/shape", fmt::format("index {} is outside a dimension of {}", i, extent));
    i += i < 0 ? extent : 0;
  }
  b.set_result(0, emit_gather(b.scratch(), b.label(), b.operand(0), indices, b.shape(1), axis));
}

void slice(NodeBuilder& b) {
  const Shape& from = b.shape(0);
  const std::size_t rank = from.size();
  Integers starts;
  Integers ends;
  std::optional<Integers> axes;
  std::optional<Integers> steps;
  if (b.opset() < 10) {
    starts = b.ints_attribute("starts").value_or(Integers{});
    ends = b.ints_attribute("ends").value_or(Integers{});
    axes = b.ints_attribute("axes");
  } else {
    if (!b.has(1) || !b.has(2)) return b.malformed("onnx/undefined-tensor", "starts and ends are needed");
    starts = b.integers(1, "starts");
    ends = b.integers(2, "ends");
    if (b.has(3)) axes = b.integers(3, "axes");
    if (b.has(4)) steps = b.integers(4, "steps");
  }
  if (b.failed()) return;
  if (!axes) {
    axes.emplace();
    for (std::size_t d = 0; d < starts.size(); ++d) axes->push_back(static_cast<std::int64_t>(d));
  }
  if (!steps) steps.emplace(starts.size(), 1);
  if (ends.size() != starts.size() || axes->size() != starts.size() || steps->size() != starts.size()) {
    return b.malformed("onnx/shape", "starts, ends, axes and steps differ in length");
  }
  b.axes(*axes, rank);  // for its checks
  if (b.failed()) return;
  Shape shape = from;
  std::vector<Affine> index;
  for (std::size_t d = 0; d < rank; ++d) index.push_back(affine_variable(static_cast<int>(d)));
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const auto d = static_cast<std::size_t>(b.axis((*axes)[i], rank));
    const std::int64_t extent = from[d];
    if (extent == 0) continue;
    // A step beyond the dimension takes one element whatever its size.
    const std::int64_t step = std::clamp<std::int64_t>((*steps)[i], -kMaxElements, kMaxElements);
    if (step == 0) return b.malformed("onnx/attribute", "a step of 0");
    const auto clamp = [&](std::int64_t v, std::int64_t least, std::int64_t greatest) {
      return std::clamp<std::int64_t>(v < 0 ? v + extent : v, least, greatest);
    };
    const std::int64_t start = step > 0 ? clamp(starts[i], 0, extent) : clamp(starts[i], 0, extent - 1);
    const std::int64_t end = step > 0 ? clamp(ends[i], 0, extent) : clamp(ends[i], -1, extent - 1);
    const std::int64_t count = step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
    shape[d] = std::max<std::int64_t>(0, count);
    index[d] = affine_variable(static_cast<int>(d), step) + affine_constant(start);
  }
  b.set_result(0, emit_copy(b.scratch(), b.label(), b.operand(0), shape, std::move(index)));
}

void split(NodeBuilder& b) {
  const Shape& from = b.shape(0);
  const int axis = b.axis(b.int_attribute("axis", 0), from.size());
  if (b.failed()) return;
  const auto along = static_cast<std::size_t>(axis);
  const auto parts = static_cast<std::int64_t>(b.node().outputs.size());
  std::optional<Integers> sizes;
  if (b.opset() < 13) {
    sizes = b.ints_attribute("split");
  } else if (b.has(1)) {
    sizes = b.integers(1, "the sizes");
  }
  const std::int64_t number = b.int_attribute("num_outputs", parts);
  if (b.failed()) return;
  if (number != parts) return b.malformed("onnx/attribute", fmt::format("num_outputs is {} but the node has {} outputs", number, parts));
  if (!sizes) {
    // Equal parts, the last one smaller; before operator set 18 they must come out even.
    const std::int64_t each = (from[along] + parts - 1) / parts;
    if (b.opset() < 18 && from[along] % parts != 0) {
      return b.malformed("onnx/shape", fmt::format("{} elements do not split into {} equal parts", from[along], parts));
    }
    sizes.emplace(static_cast<std::size_t>(parts), each);
    sizes->back() = from[along] - each * (parts - 1);
  }
  std::int64_t sum = 0;
  bool sane = static_cast<std::int64_t>(sizes->size()) == parts;
  for (const std::int64_t s : *sizes) {
    sane = sane && s >= 0 && s <= from[along];
    if (sane) sum += s;
  }
  if (!sane || sum != from[along]) {
    return b.malformed("onnx/shape", fmt::format("sizes {} do not add up to {} in {} parts", print_shape(*sizes), from[along], parts));
  }
  std::int64_t begin = 0;
  for (std::size_t p = 0; p < sizes->size(); ++p) {
    Shape shape = from;
    shape[along] = (*sizes)[p];
    std::vector<Affine> index;
    for (std::size_t d = 0; d < from.size(); ++d) index.push_back(affine_variable(static_cast<int>(d)));
    index[along] = index[along] + affine_constant(begin);
    begin += (*sizes)[p];
    if (!b.wants(p)) continue;
    Label label = b.label({}, p);
    if (p > 0) label.op += fmt::format(":{}", p);
    b.set_result(p, emit_copy(b.scratch(), label, b.operand(0), shape, std::move(index)));
  }
}

/// Source index of each element along a padded dimension, for the modes that repeat the tensor. Empty: it cannot be.
Integers repeated(const std::string& mode, std::int64_t extent, std::int64_t before, std::int64_t after) {
  Integers indices;
  for (std::int64_t o = -before; o < extent + after; ++o) {
    std::int64_t i = o;
    if (mode == "edge") {
      i = std::clamp<std::int64_t>(o, 0, extent - 1);
    } else if (mode == "wrap") {
      i = ((o % extent) + extent) % extent;
    } else if (extent == 1) {
      i = 0;
    } else {  // reflect: a period of all elements there and back, the ends once
      const std::int64_t period = 2 * (extent - 1);
      i = ((o % period) + period) % period;
      i = std::min(i, period - i);
    }
    indices.push_back(i);
  }
  return indices;
}

struct Pads {
  Integers before, after;  ///< per dimension
  Shape shape;             ///< padded
};

/// Pads as one pair per dimension, and the shape they give.
std::optional<Pads> read_pads(NodeBuilder& b) {
  const Shape& from = b.shape(0);
  const std::size_t rank = from.size();
  std::optional<Integers> pads;
  std::optional<Integers> axes;
  if (b.opset() < 11) {
    pads = b.ints_attribute(b.opset() < 2 ? "paddings" : "pads");
  } else {
    if (b.has(1)) pads = b.integers(1, "pads");
    if (b.has(3)) axes = b.integers(3, "axes");
  }
  if (b.failed()) return {};
  if (!axes) {
    axes.emplace();
    for (std::size_t d = 0; d < rank; ++d) axes->push_back(static_cast<std::int64_t>(d));
  }
  b.axes(*axes, rank);  // for its checks
  if (b.failed()) return {};
  if (!pads || pads->size() != 2 * axes->size()) {
    b.malformed("onnx/attribute", "pads need two entries per axis");
    return {};
  }
  Pads out{Integers(rank, 0), Integers(rank, 0), from};
  for (std::size_t i = 0; i < axes->size(); ++i) {
    const auto d = static_cast<std::size_t>(b.axis((*axes)[i], rank));
    const std::int64_t before = (*pads)[i];
    const std::int64_t after = (*pads)[i + axes->size()];
    if (std::max(std::abs(before / 2), std::abs(after / 2)) > kMaxElements) {
      b.malformed("onnx/attribute", "a pad beyond measure");
      return {};
    }
    out.before[d] = before;
    out.after[d] = after;
    out.shape[d] += before + after;
    if (out.shape[d] < 0) b.malformed("onnx/shape", fmt::format("pads {} and {} remove more than dimension {} has", before, after, d));
  }
  if (!b.failed() && !checked_count(out.shape)) b.malformed("onnx/shape", fmt::format("impossible dimensions {}", print_shape(out.shape)));
  if (b.failed()) return {};
  return out;
}

void pad(NodeBuilder& b) {
  const Shape& from = b.shape(0);
  const std::size_t rank = from.size();
  const std::string mode = b.string_attribute("mode", "constant");
  const auto pads = read_pads(b);
  if (!pads) return;
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap")
    return b.malformed("onnx/attribute", fmt::format("mode {} is unknown", mode));
  Steps s(b);
  if (mode != "constant") {
    graph::TensorId y = b.operand(0);
    for (std::size_t d = 0; d < rank; ++d) {
      if (pads->before[d] == 0 && pads->after[d] == 0) continue;
      if (pads->shape[d] > (std::int64_t{1} << 20)) return b.unsupported("onnx/unsupported-feature", "padding beyond a million elements");
      y = s.gather(y, repeated(mode, from[d], pads->before[d], pads->after[d]), static_cast<int>(d));
    }
    return b.set_result(0, y);
  }
  std::vector<Affine> index;
  bool grows = false;
  for (std::size_t d = 0; d < rank; ++d) {
    index.push_back(affine_variable(static_cast<int>(d)) + affine_constant(-pads->before[d]));
    grows = grows || pads->before[d] > 0 || pads->after[d] > 0;
  }
  const bool by_input = b.opset() >= 11 && b.has(2);
  const auto fill = by_input ? b.scalar(2) : std::optional<double>(b.opset() < 11 ? b.float_attribute("value", 0) : 0);
  if (b.failed()) return;
  if (fill || !grows) {
    return b.set_result(0, emit_copy(b.scratch(), b.label(), b.operand(0), pads->shape, std::move(index), grows ? fill : std::nullopt));
  }
  if (checked_count(b.shape(2)) != std::optional<std::int64_t>(1)) return b.malformed("onnx/shape", "the padding value is one number");
  // A value the model computes: taken where an index lies outside in some dimension.
  std::vector<NestRead> reads{{b.operand(0), index, 0.0}, {s.reshape(b.operand(2), {1}), {affine_constant(0)}}};
  Expression inside = number(1);
  for (std::size_t d = 0; d < rank; ++d) {
    if (pads->before[d] <= 0 && pads->after[d] <= 0) continue;
    reads.push_back(
        {s.iota(numerics::Format::int32, pads->shape[d], 0, 1, static_cast<double>(-pads->before[d])), {loop(static_cast<int>(d))}});
    const Expression i = input(static_cast<int>(reads.size()) - 1);
    inside = both(inside, both(!(i < number(0)), i < number(static_cast<double>(from[d]))));
  }
  b.set_result(0, s.nest(b.format(0), pads->shape, {}, reads, select(inside, input(0), input(1))));
}

constexpr std::array kOperators{
    Operator{"Concat", 1, 1, kAny, "axis", concat},
    Operator{"Constant", 1, 0, 0, "value value_int value_ints value_float value_floats value_string value_strings sparse_value", constant},
    Operator{"ConstantOfShape", 9, 1, 1, "value", constant_of_shape},
    Operator{"Dropout", 1, 1, 3, "consumed_inputs is_test ratio seed", dropout},
    Operator{"Expand", 8, 2, 2, "", expand},
    Operator{"Flatten", 1, 1, 1, "axis", flatten},
    Operator{"Gather", 1, 2, 2, "axis", gather},
    Operator{"Identity", 1, 1, 1, "", identity},
    Operator{"Pad", 1, 1, 4, "mode paddings pads value", pad},
    Operator{"Reshape", 5, 2, 2, "allowzero", reshape},
    Operator{"Shape", 1, 1, 1, "start end", shape_of},
    Operator{"Size", 1, 1, 1, "", size_of},
    Operator{"Slice", 1, 1, 5, "axes ends starts", slice},
    Operator{"Split", 2, 1, 2, "axis num_outputs split", split},
    Operator{"Squeeze", 1, 1, 2, "axes", squeeze},
    Operator{"Transpose", 1, 1, 1, "perm", transpose},
    Operator{"Unsqueeze", 1, 1, 2, "axes", unsqueeze},
};

}  // namespace

std::span<const Operator> shape_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
