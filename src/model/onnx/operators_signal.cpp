// Signals and sums of products by name: Fourier transforms as products with matrices of sines, windows, Einsum, determinants.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>

#include "model/onnx/operators.h"
#include "model/onnx/steps.h"
#include "numerics/transcendental.h"

namespace switchyard::model::onnx {
namespace {

/// What one transform does along its axis: `length` points, of which `bins` are computed from `points` given ones.
struct Transform {
  std::int64_t length = 1, points = 1, bins = 1, parts_in = 1, parts_out = 2;
  bool inverse = false, real_result = false;  ///< real result: of a one-sided spectrum
};

/// [bins, parts out, points, parts in]
std::optional<TensorId> transform_matrix(NodeBuilder& b, Steps& s, const Transform& t) {
  constexpr std::int64_t kMaxEntries = std::int64_t{1} << 22;
  if (t.bins > kMaxEntries / 4 / std::max<std::int64_t>(1, t.points)) {
    b.unsupported("onnx/unsupported-feature", fmt::format("a transform of {} points", t.length));
    return {};
  }
  std::vector<double> values;
  const double scale = t.inverse ? 1.0 / static_cast<double>(t.length) : 1.0;
  for (std::int64_t k = 0; k < t.bins; ++k) {
    for (std::int64_t out = 0; out < t.parts_out; ++out) {
      for (std::int64_t n = 0; n < t.points; ++n) {
        const double angle = (t.inverse ? 2 : -2) * M_PI * static_cast<double>((k * n) % t.length) / static_cast<double>(t.length);
        // Of a one-sided spectrum, every point but the first and the middle one stands for two.
        const double weight = scale * (t.real_result && n != 0 && 2 * n != t.length ? 2 : 1);
        for (std::int64_t in = 0; in < t.parts_in; ++in) {
          const double real = numerics::portable::cos(angle), imaginary = numerics::portable::sin(angle);
          values.push_back(weight * (out == 0 ? (in == 0 ? real : -imaginary) : (in == 0 ? imaginary : real)));
        }
      }
    }
  }
  return s.constant(b.format(0), {t.bins, t.parts_out, t.points, t.parts_in}, values);
}

/// x [..., points at `axis`, ..., parts] times the matrix.
TensorId apply_transform(NodeBuilder& b, Steps& s, TensorId x, int axis, const Transform& t, TensorId matrix) {
  Shape to = s.shape(x);
  const int rank = static_cast<int>(to.size());
  std::vector<Affine> index;
  for (int d = 0; d < rank; ++d) index.push_back(loop(d == axis ? rank : d == rank - 1 ? rank + 1 : d));
  to[static_cast<std::size_t>(axis)] = t.bins;
  to.back() = t.parts_out;
  return s.nest(b.format(0), to, {t.points, t.parts_in}, {{x, index}, {matrix, {loop(axis), loop(rank - 1), loop(rank), loop(rank + 1)}}},
                x0() * input(1), Combiner::add);
}

void dft(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const bool inverse = b.int_attribute("inverse", 0) != 0, onesided = b.int_attribute("onesided", 0) != 0;
  std::int64_t axis_given = b.opset() < 20 ? b.int_attribute("axis", 1) : -2;
  if (b.opset() >= 20 && b.has(2)) {
    const auto given = b.given_scalar(2);
    if (!given) return b.unsupported("onnx/dynamic-shape", "the axis is not known before the model runs");
    axis_given = static_cast<std::int64_t>(*given);
  }
  const int axis = b.axis(axis_given, x.size());
  if (b.failed() || !b.require_floating(0)) return;
  if (x.size() < 2 || axis == static_cast<int>(x.size()) - 1 || (x.back() != 1 && x.back() != 2))
    return b.malformed("onnx/shape", fmt::format("{} holds no signal", print_shape(x)));
  const std::int64_t extent = x[static_cast<std::size_t>(axis)];
  Transform t;
  t.length = inverse && onesided ? 2 * (extent - 1) : extent;
  if (b.has(1)) {
    const auto given = b.given_scalar(1);
    if (!given || !(*given >= 1) || !(*given < 0x1p40))
      return b.unsupported("onnx/dynamic-shape", "the length is not known before the model runs, or not positive");
    t.length = static_cast<std::int64_t>(*given);
  }
  if (t.length < 1) return b.malformed("onnx/shape", "a transform of nothing");
  t.inverse = inverse;
  t.real_result = inverse && onesided;
  t.points = std::min(extent, t.real_result ? t.length / 2 + 1 : t.length);
  t.bins = onesided && !inverse ? t.length / 2 + 1 : t.length;
  t.parts_in = x.back();
  t.parts_out = t.real_result ? 1 : 2;
  Steps s(b);
  const auto matrix = transform_matrix(b, s, t);
  if (!matrix) return;
  TensorId signal = b.operand(0);
  if (t.points < extent) signal = s.slice(signal, axis, 0, t.points);
  b.set_result(0, apply_transform(b, s, signal, axis, t, *matrix));
}

/// Frames of the signal, weighted by a window, each transformed.
void stft(NodeBuilder& b) {
  const Shape x = b.shape(0);
  const bool onesided = b.int_attribute("onesided", 1) != 0;
  const auto step = b.given_scalar(1);
  if (b.failed() || !b.require_floating(0)) return;
  if (x.size() != 2 && x.size() != 3) return b.malformed("onnx/shape", fmt::format("{} holds no signal", print_shape(x)));
  if (!step || !(*step >= 1) || !(*step < 0x1p40))
    return b.unsupported("onnx/dynamic-shape", "the step is not known before the model runs, or not positive");
  const auto hop = static_cast<std::int64_t>(*step);
  std::int64_t length = b.has(2) ? b.shape(2).empty() ? 1 : b.shape(2)[0] : x[1];
  if (b.has(3)) {
    const auto given = b.given_scalar(3);
    if (!given || !(*given >= 1) || !(*given < 0x1p40))
      return b.unsupported("onnx/dynamic-shape", "the frame's length is not known before the model runs, or not positive");
    length = static_cast<std::int64_t>(*given);
  }
  if (length > x[1] || (b.has(2) && b.shape(2) != Shape{length})) return b.malformed("onnx/shape", "frame, window and signal do not fit");
  Steps s(b);
  const std::int64_t parts = x.size() == 3 ? x[2] : 1, frames = (x[1] - length) / hop + 1;
  Transform t;
  t.length = t.points = length;
  t.bins = onesided ? length / 2 + 1 : length;
  t.parts_in = parts;
  const auto matrix = transform_matrix(b, s, t);
  if (!matrix) return;
  std::vector<NestRead> reads{{s.reshape(b.operand(0), {x[0], x[1], parts}), {loop(0), loop(1, hop) + loop(2), loop(3)}}};
  Expression e = x0();
  if (b.has(2)) {
    reads.push_back({b.operand(2), {loop(2)}});
    e = e * input(1);
  }
  const TensorId framed = s.nest(b.format(0), {x[0], frames, length, parts}, {}, reads, e);
  b.set_result(0, apply_transform(b, s, framed, 2, t, *matrix));
}

/// a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N)
void window(NodeBuilder& b, double a0, double a1, double a2) {
  const bool periodic = b.int_attribute("periodic", 1) != 0;
  const std::int64_t type = b.int_attribute("output_datatype", kFloat);
  const auto size = b.given_scalar(0);
  const auto format = format_of(static_cast<std::int32_t>(std::clamp<std::int64_t>(type, 0, 1000)));
  if (b.failed()) return;
  if (!size || !(*size >= 1) || !(*size <= static_cast<double>(kMaxKnown * 16)))
    return b.unsupported("onnx/dynamic-shape", "the size is not known before the model runs, or out of bounds");
  if (!format || !numerics::format_info(*format).floating)
    return b.unsupported("onnx/unsupported-type", fmt::format("a window of type {}", type));
  Steps s(b);
  const auto n = static_cast<std::int64_t>(*size);
  const double span = periodic ? *size : *size - 1;
  const TensorId angle = s.iota(Format::fp32, n, 0, 1, 0, span > 0 ? 2 * M_PI / span : 0);
  Expression e = number(a0) - number(a1) * unary(ScalarOp::cos, x0());
  if (a2 != 0) e = e + number(a2) * unary(ScalarOp::cos, number(2) * x0());
  b.set_result(0, s.map({angle}, e, *format));
}
void hann_window(NodeBuilder& b) { window(b, 0.5, 0.5, 0); }
void hamming_window(NodeBuilder& b) { window(b, 25.0 / 46.0, 21.0 / 46.0, 0); }
void blackman_window(NodeBuilder& b) { window(b, 0.42, 0.5, 0.08); }

/// Triangles over the bins of a spectrum, evenly spaced in mels: a number of hertz is 700 (10^(mel / 2595) - 1).
void mel_weight_matrix(NodeBuilder& b) {
  const std::int64_t type = b.int_attribute("output_datatype", kFloat);
  const auto format = format_of(static_cast<std::int32_t>(std::clamp<std::int64_t>(type, 0, 1000)));
  const auto mels = b.given_scalar(0), length = b.given_scalar(1);
  if (b.failed()) return;
  if (!mels || !length || !(*mels >= 1) || !(*length >= 1) || !(*mels <= 1 << 16) || !(*length <= 1 << 24))
    return b.unsupported("onnx/dynamic-shape", "the sizes are not known before the model runs, or out of bounds");
  if (!format || !numerics::format_info(*format).floating)
    return b.unsupported("onnx/unsupported-type", fmt::format("weights of type {}", type));
  for (std::size_t i = 2; i < 5; ++i)
    if (checked_count(b.shape(i)) != std::optional<std::int64_t>(1))
      return b.malformed("onnx/shape", fmt::format("input {} is one number", i));
  Steps s(b);
  const auto columns = static_cast<std::int64_t>(*mels), bins = static_cast<std::int64_t>(*length) / 2 + 1;
  const auto one = [&](std::size_t i) { return NestRead{s.cast(b.operand(i), Format::fp32), std::vector<Affine>(b.shape(i).size())}; };
  const auto mel = [](const Expression& hertz) {
    return number(2595 / std::numbers::ln10) * unary(ScalarOp::log, number(1) + hertz / number(700));
  };
  const Expression low = mel(input(2)), step = (mel(input(3)) - low) / number(static_cast<double>(columns + 2));
  const Expression hertz = number(700) * (unary(ScalarOp::exp, (x0() * step + low) * number(std::numbers::ln10 / 2595)) - number(1));
  const TensorId edges = s.nest(Format::fp32, {columns + 2}, {}, {{s.iota(Format::fp32, columns + 2), {loop(0)}}, one(2), one(3), one(4)},
                                unary(ScalarOp::floor, number(*length + 1) * hertz / input(1)));
  // Rises from the left edge to the centre, and falls to the right one.
  const Expression bin = x0(), left = input(1), centre = input(2), right = input(3);
  const Expression rising = select(equal(left, centre), number(1), (bin - left) / max(centre - left, number(1)));
  const Expression falling = (right - bin) / max(right - centre, number(1));
  const Expression weight =
      select(both(!(bin < centre), bin < right), falling, select(both(!(bin < left), !(centre < bin)), rising, number(0)));
  b.set_result(0,
               s.nest(*format, {bins, columns}, {},
                      {{s.iota(Format::fp32, bins), {loop(0)}}, {edges, {loop(1)}}, {edges, {loop(1) + at(1)}}, {edges, {loop(1) + at(2)}}},
                      weight));
}

// --- Einsum ----------------------------------------------------------------------------------------------------------------------------

/// A term such as "b...ij": labels, and where an ellipsis stands (npos: nowhere).
struct Term {
  std::string labels;
  std::size_t ellipsis = std::string::npos;
};
std::optional<Term> read_term(std::string_view text) {
  Term term;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 3) == "..." && term.ellipsis == std::string::npos) {
      term.ellipsis = term.labels.size();
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(text[i])) != 0) {
      term.labels += text[i];
    } else if (text[i] != ' ') {
      return {};
    }
  }
  return term;
}

void einsum(NodeBuilder& b) {
  std::string equation = b.string_attribute("equation", "");
  if (b.failed()) return;
  const auto bad = [&](const std::string& why) { b.malformed("onnx/attribute", fmt::format("equation '{}': {}", equation, why)); };
  const std::size_t arrow = equation.find("->");
  std::string_view left = std::string_view(equation).substr(0, arrow);
  std::vector<Term> terms;
  for (std::size_t begin = 0; begin <= left.size();) {
    const std::size_t comma = std::min(left.find(',', begin), left.size());
    const auto term = read_term(left.substr(begin, comma - begin));
    if (!term) return bad("terms are letters and ellipses");
    terms.push_back(*term);
    begin = comma + 1;
  }
  if (terms.size() != b.input_count()) return bad(fmt::format("{} terms for {} inputs", terms.size(), b.input_count()));
  // Extents of labels; ellipses broadcast, aligned at their ends.
  std::map<char, std::int64_t> extent;
  std::vector<Shape> hidden;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (!b.has(i) || !b.same_format(0, i)) return;
    const Shape& shape = b.shape(i);
    const Term& t = terms[i];
    if (shape.size() < t.labels.size() || (t.ellipsis == std::string::npos && shape.size() != t.labels.size()))
      return bad(fmt::format("term {} does not fit {}", i, print_shape(shape)));
    const std::size_t dots = shape.size() - t.labels.size();
    Shape own;
    for (std::size_t d = 0, label = 0; d < shape.size(); ++d) {
      if (t.ellipsis != std::string::npos && d >= t.ellipsis && d < t.ellipsis + dots) {
        own.push_back(shape[d]);
        continue;
      }
      const char c = t.labels[label++];
      const auto [at_label, fresh] = extent.emplace(c, shape[d]);
      if (!fresh && at_label->second != shape[d]) return bad(fmt::format("'{}' is both {} and {}", c, at_label->second, shape[d]));
    }
    hidden.push_back(std::move(own));
  }
  const auto dots = broadcast(hidden);
  if (!dots) return bad("what the ellipses stand for does not broadcast");
  Term result;
  if (arrow != std::string::npos) {
    const auto term = read_term(std::string_view(equation).substr(arrow + 2));
    if (!term) return bad("the result is letters and an ellipsis");
    result = *term;
  } else {  // every label that comes once, in the order of the alphabet, behind the ellipsis
    std::map<char, int> uses;
    for (const Term& t : terms)
      for (const char c : t.labels) ++uses[c];
    result.ellipsis = 0;
    for (const auto& [c, n] : uses)
      if (n == 1) result.labels += c;
  }
  std::map<char, int> variable;
  Shape to, reductions;
  int first_dot = 0;
  const auto place_dots = [&] {
    first_dot = static_cast<int>(to.size());
    to.insert(to.end(), dots->begin(), dots->end());
  };
  for (std::size_t i = 0; i <= result.labels.size(); ++i) {
    if (i == result.ellipsis) place_dots();
    if (i == result.labels.size()) break;
    const char c = result.labels[i];
    if (!extent.contains(c) || variable.contains(c)) return bad(fmt::format("'{}' in the result is unknown or twice", c));
    variable[c] = static_cast<int>(to.size());
    to.push_back(extent[c]);
  }
  const bool sums_dots = result.ellipsis == std::string::npos && !dots->empty();
  if (sums_dots) return b.unsupported("onnx/unsupported-feature", "an ellipsis that the result leaves out");
  for (const auto& [c, n] : extent) {
    if (variable.contains(c)) continue;
    variable[c] = static_cast<int>(to.size() + reductions.size());
    reductions.push_back(n);
  }
  Steps s(b);
  std::vector<NestRead> reads;
  Expression e = x0();
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const Term& t = terms[i];
    std::vector<Affine> index;
    const std::size_t own = hidden[i].size();
    for (std::size_t k = 0; k <= t.labels.size(); ++k) {
      if (k == t.ellipsis) {
        for (std::size_t d = 0; d < own; ++d) {
          const std::size_t whole = dots->size() - own + d;
          index.push_back(hidden[i][d] == 1 && (*dots)[whole] != 1 ? at(0) : loop(first_dot + static_cast<int>(whole)));
        }
      }
      if (k < t.labels.size()) index.push_back(loop(variable[t.labels[k]]));
    }
    reads.push_back({b.operand(i), index});
    if (i > 0) e = e * input(static_cast<int>(i));
  }
  b.set_result(0, s.nest(b.format(0), to, reductions, reads, e, reductions.empty() ? Combiner::none : Combiner::add));
}

/// Sum over permutations: matrices of up to four rows.
void determinant(NodeBuilder& b) {
  const Shape x = b.shape(0);
  if (x.size() < 2 || x.back() != x[x.size() - 2])
    return b.malformed("onnx/shape", fmt::format("{} holds no square matrices", print_shape(x)));
  if (!b.require_floating(0)) return;
  const std::int64_t n = x.back();
  if (n > 4) return b.unsupported("onnx/unsupported-feature", fmt::format("a determinant of {} rows", n));
  Steps s(b);
  const Shape to(x.begin(), x.end() - 2);
  std::vector<NestRead> reads;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      std::vector<Affine> index;
      for (std::size_t d = 0; d < to.size(); ++d) index.push_back(loop(static_cast<int>(d)));
      index.insert(index.end(), {at(i), at(j)});
      reads.push_back({b.operand(0), index});
    }
  }
  std::vector<int> order;
  for (int i = 0; i < static_cast<int>(n); ++i) order.push_back(i);
  std::optional<Expression> sum;
  do {
    int inversions = 0;
    for (std::size_t i = 0; i < order.size(); ++i)
      for (std::size_t j = i + 1; j < order.size(); ++j) inversions += order[i] > order[j] ? 1 : 0;
    std::optional<Expression> term;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Expression entry = input(static_cast<int>(i) * static_cast<int>(n) + order[i]);
      term = term ? *term * entry : entry;
    }
    sum = !sum ? *term : inversions % 2 == 0 ? *sum + *term : *sum - *term;
  } while (std::next_permutation(order.begin(), order.end()));
  b.set_result(0, s.nest(b.format(0), to, {}, reads, *sum));
}

constexpr std::string_view kWindow = "output_datatype periodic";

constexpr std::array kOperators{
    Operator{"BlackmanWindow", 17, 1, 1, kWindow, blackman_window},
    Operator{"DFT", 17, 1, 3, "axis inverse onesided", dft},
    Operator{"Det", 11, 1, 1, "", determinant},
    Operator{"Einsum", 12, 1, 64, "equation", einsum},
    Operator{"HammingWindow", 17, 1, 1, kWindow, hamming_window},
    Operator{"HannWindow", 17, 1, 1, kWindow, hann_window},
    Operator{"MelWeightMatrix", 17, 5, 5, "output_datatype", mel_weight_matrix},
    Operator{"STFT", 17, 2, 4, "onesided", stft},
};

}  // namespace

std::span<const Operator> signal_operators() { return kOperators; }

}  // namespace switchyard::model::onnx
