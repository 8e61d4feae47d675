#include "compiler/quantise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "chip/query.h"
#include "compiler/canonicalise.h"
#include "compiler/formats.h"
#include "compiler/requantise.h"
#include "support/check.h"
#include "support/unique_name.h"

namespace switchyard::compiler {
namespace {

using graph::Graph;
using graph::Op;
using graph::TensorId;
using numerics::Affine;
using numerics::Expression;
using numerics::Format;
using numerics::ScalarOp;
using numerics::Shape;
using numerics::Tensor;

/// The largest number that quantised values take: symmetric, so of int8 not -128.
double largest(Format format) { return numerics::format_info(format).max_finite; }

/// The nearest number of the format to a value in its units: integers saturate, so do floating ones.
double rounded_to(Format format, double value) {
  const double most = largest(format);
  const double clipped = std::clamp(value, -most, most);
  return numerics::format_info(format).floating ? numerics::cast_value(format, clipped, numerics::Overflow::saturate)
                                                : std::nearbyint(clipped);
}

// --- what is quantised -----------------------------------------------------------------------------------------------------------------

/// A product of an activation and a constant.
struct Product {
  std::size_t op = 0;
  const numerics::Access *x = nullptr, *w = nullptr;
  TensorId activation, weights;
};

std::optional<Product> product_at(const Graph& g, std::size_t number) {
  const Op& op = g.ops[number];
  if (op.nests.size() != 1 || op.results.size() != 1 || !op.locals.empty() || !op.nests[0].is_contraction()) return {};
  const auto& reads = op.nests[0].reads;
  if (reads.size() != 2) return {};
  for (const std::size_t w : {std::size_t{1}, std::size_t{0}}) {
    const numerics::Access &weight = reads[w], &other = reads[1 - w];
    const auto operands = static_cast<int>(op.operands.size());
    if (weight.slot >= operands || other.slot >= operands || weight.slot == other.slot) continue;
    const TensorId constant = op.operands[static_cast<std::size_t>(weight.slot)], x = op.operands[static_cast<std::size_t>(other.slot)];
    const graph::Tensor &tw = g.tensor(constant), &tx = g.tensor(x);
    if (tw.role != graph::Role::constant || tx.role == graph::Role::constant || !tw.constant) continue;
    if (!numerics::format_info(tw.format).floating || !numerics::format_info(tx.format).floating) continue;
    return Product{number, &other, &weight, x, constant};
  }
  return {};
}

/// Whether the index moves with loops, and only with those of one kind.
bool only(const numerics::Nest& nest, const Affine& index, bool reduction) {
  return !index.terms.empty() && std::all_of(index.terms.begin(), index.terms.end(), [&](const Affine::Term& t) {
    return (nest.loops[static_cast<std::size_t>(t.variable)].kind == numerics::LoopKind::reduction) == reduction;
  });
}

/// Dimensions of the weights and of the result that are one: each index of them is a channel.
struct Channel {
  int of_weights = -1, of_result = -1;
};
Channel channel_of(const numerics::Nest& nest, const numerics::Access& x, const numerics::Access& w) {
  for (std::size_t d = 0; d < w.index.size(); ++d) {
    if (!only(nest, w.index[d], false)) continue;
    const bool shared = std::any_of(w.index[d].terms.begin(), w.index[d].terms.end(), [&](const Affine::Term& t) {
      return std::any_of(x.index.begin(), x.index.end(), [&](const Affine& i) { return i.depends_on(t.variable); });
    });
    const auto at = std::find(nest.write.index.begin(), nest.write.index.end(), w.index[d]);
    if (!shared && at != nest.write.index.end()) return {static_cast<int>(d), static_cast<int>(at - nest.write.index.begin())};
  }
  return {};
}

/// The longest dimension of the weights that is summed over.
int summed(const Shape& shape, const numerics::Nest& nest, const numerics::Access& w) {
  int best = -1;
  for (std::size_t d = 0; d < w.index.size(); ++d)
    if (only(nest, w.index[d], true) && (best < 0 || shape[d] > shape[static_cast<std::size_t>(best)])) best = static_cast<int>(d);
  return best;
}

// --- scales ----------------------------------------------------------------------------------------------------------------------------

/// Of the values at these places of a tensor.
struct Sample {
  std::vector<double> values;
  [[nodiscard]] double greatest() const {
    double most = 0;
    for (const double v : values)
      if (std::isfinite(v)) most = std::max(most, std::abs(v));
    return most;
  }
};

double scale_of(Sample sample, Format format, Calibration calibration) {
  const double most = sample.greatest();
  if (most == 0) return 1;
  if (calibration == Calibration::minmax) return most / largest(format);
  if (calibration == Calibration::percentile) {
    constexpr double kShare = 0.9999;
    for (double& v : sample.values) v = std::isfinite(v) ? std::abs(v) : most;
    const auto at = static_cast<std::size_t>(kShare * static_cast<double>(sample.values.size() - 1));
    std::nth_element(sample.values.begin(), sample.values.begin() + static_cast<std::ptrdiff_t>(at), sample.values.end());
    return (sample.values[at] > 0 ? sample.values[at] : most) / largest(format);
  }
  // The clip, of steps from all down to a fifth of the range, with the least sum of squared errors; of a seedless sample of large tensors.
  constexpr std::size_t kMostValues = 1 << 14;
  constexpr int kSteps = 40;
  const std::size_t stride = std::max<std::size_t>(1, sample.values.size() / kMostValues);
  double best = most / largest(format), least = std::numeric_limits<double>::infinity();
  for (int step = 0; step < kSteps; ++step) {
    const double scale = most * (1 - 0.8 * step / kSteps) / largest(format);
    double sum = 0;
    for (std::size_t i = 0; i < sample.values.size(); i += stride) {
      const double error = rounded_to(format, sample.values[i] / scale) * scale - sample.values[i];
      sum += error * error;
    }
    if (sum < least) {
      least = sum;
      best = scale;
    }
  }
  return best;
}

/// One scale for each index of dimension `d`, or one for all where d < 0.
std::vector<double> scales_of(const Tensor& w, int d, const QuantiseScheme& scheme) {
  const std::vector<std::int64_t> strides = numerics::row_major_strides(w.shape);
  const auto along = static_cast<std::size_t>(std::max(d, 0));
  std::vector<Sample> samples(d < 0 ? 1 : static_cast<std::size_t>(w.shape[along]));
  for (std::int64_t i = 0, count = w.count(); i < count; ++i)
    samples[d < 0 ? 0 : static_cast<std::size_t>(i / strides[along] % w.shape[along])].values.push_back(w.at(i));
  std::vector<double> scales;
  for (Sample& sample : samples) scales.push_back(scale_of(std::move(sample), scheme.format, scheme.calibration));
  return scales;
}

/// Weights as a group format holds them, in their own format: each run of `group` along dimension d has a scale of its own.
Tensor grouped(const Tensor& w, int d, const QuantiseScheme& scheme) {
  Tensor out = w;
  const auto along = static_cast<std::size_t>(d);
  const std::int64_t extent = w.shape[along], stride = numerics::row_major_strides(w.shape)[along];
  // NVFP4 has a scale for the whole tensor on top, so that the groups' scales use their format's range.
  double whole = 1;
  if (scheme.scales && *scheme.scales != Format::e8m0) {
    const double most = scale_of({[&] {
                                   std::vector<double> all;
                                   for (std::int64_t i = 0; i < w.count(); ++i) all.push_back(w.at(i));
                                   return all;
                                 }()},
                                 scheme.format, Calibration::minmax);
    whole = most / largest(*scheme.scales);
  }
  for (std::int64_t i = 0, count = w.count(); i < count; ++i) {
    const std::int64_t at = i / stride % extent;
    if (at % scheme.group != 0) continue;
    const std::int64_t members = std::min(scheme.group, extent - at);
    Sample sample;
    for (std::int64_t m = 0; m < members; ++m) sample.values.push_back(w.at(i + m * stride));
    double scale = 1;
    if (const double most = sample.greatest(); most > 0) {
      if (scheme.scales == Format::e8m0) {
        // OCP MX: the power of two of the greatest, less that of the format's greatest.
        scale = std::exp2(std::floor(std::log2(most)) - std::floor(std::log2(largest(scheme.format))));
      } else if (scheme.scales) {
        scale = numerics::cast_value(*scheme.scales, most / largest(scheme.format) / whole, numerics::Overflow::saturate) * whole;
        if (scale == 0) scale = whole * largest(*scheme.scales);
      } else {
        scale = scale_of(sample, scheme.format, scheme.calibration);
      }
    }
    for (std::int64_t m = 0; m < members; ++m)
      out.set(i + m * stride, rounded_to(scheme.format, sample.values[static_cast<std::size_t>(m)] / scale) * scale);
  }
  return out;
}

/// Weights in units of their scales, stored in the format itself; or, `emulated`, back in their own format and units.
Tensor scaled(const Tensor& w, const std::vector<double>& scales, int d, Format format, bool emulated) {
  Tensor out = emulated ? w : numerics::make_tensor(format, w.shape);
  const auto along = static_cast<std::size_t>(std::max(d, 0));
  const std::vector<std::int64_t> strides = numerics::row_major_strides(w.shape);
  for (std::int64_t i = 0, count = w.count(); i < count; ++i) {
    const double scale = scales[d < 0 ? 0 : static_cast<std::size_t>(i / strides[along] % w.shape[along])];
    const double q = rounded_to(format, w.at(i) / scale);
    out.set(i, emulated ? q * scale : q);
  }
  return out;
}

// --- the rewrite -----------------------------------------------------------------------------------------------------------------------

class Rewriter {
 public:
  Rewriter(Graph& g, const chip::Chip& chip, const Quantisation& how)
      : g_(g),
        how_(how),
        scheme_(how.scheme),
        native_(multiplies(chip, scheme_.format) && scheme_.activations),
        exact_scales_(stores(chip, Format::fp32)) {
    for (const graph::Tensor& t : g.tensors) names_.insert(t.name);
    for (const Op& op : g.ops) op_names_.insert(op.name);
  }

  void run() {
    std::vector<Op> ops;
    for (std::size_t i = 0; i < g_.ops.size(); ++i) {
      const auto product = product_at(g_, i);
      if (product) ++products_;
      if (!product || (needs_calibration(scheme_) && !how_.scales.contains(g_.tensor(product->activation).name))) {
        ops.push_back(g_.ops[i]);
        continue;
      }
      rewrite(*product, ops);
      ++done_;
    }
    g_.ops = std::move(ops);
    // A rounding to a floating format is a cast, which no matrix unit does: such epilogues in two parts are mapped to few blocks on GPUs
    // (ResNet-50 in fp8 on H100 took 517 us, 379 with passes of their own), so they stay apart.
    if (!native_ || numerics::format_info(scheme_.format).floating) return;
    for (const auto& [x, q] : activations_) read_quantised(x, q);
    for (const auto& [x, q] : activations_) write_quantised(x, q);
    merge_maps(g_);  // scales, what stood behind a product, and the next rounding are one epilogue
    for (Op& op : g_.ops) simplify_requantisation(g_, op, factors_, stored_);
  }

  [[nodiscard]] const std::vector<TensorId>& stored() const { return stored_; }

  [[nodiscard]] std::string story() const {
    return fmt::format(
        "{} of {} products with weights have {}{} in {}, {}", done_, products_, "weights",
        scheme_.blocks        ? fmt::format(" and, in {} of them, activations", blocked_)
        : scheme_.activations ? " and activations"
                              : "",
        numerics::format_name(scheme_.format),
        native_ ? "which the chip multiplies"
                : "rounded to it and multiplied in the program's precision: the accuracy is that of the format, the time is not");
  }

 private:
  TensorId tensor(const std::string& name, Format format, Shape shape, numerics::ConstantPtr constant = nullptr) {
    graph::Tensor t;
    t.name = unique_name(name, names_);
    t.format = format;
    t.shape = std::move(shape);
    t.trained = false;
    if (constant) t.role = graph::Role::constant;
    t.constant = std::move(constant);
    g_.tensors.push_back(std::move(t));
    return TensorId(g_.tensors.size() - 1);
  }

  /// A map over the result's points: `reads` are its operands with their indices.
  Op map(const std::string& name, const char* kind, const std::vector<std::string>& nodes, TensorId result,
         std::vector<std::pair<TensorId, std::vector<Affine>>> reads, Expression expression) {
    Op op;
    op.name = unique_name(name, op_names_);
    op.kind = kind;
    op.nodes = nodes;
    op.results = {result};
    numerics::Nest nest;
    const Shape& shape = g_.tensor(result).shape;
    std::vector<Affine> point;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      nest.loops.push_back({fmt::format("d{}", d), shape[d], numerics::LoopKind::parallel});
      point.push_back(numerics::affine_variable(static_cast<int>(d)));
    }
    for (auto& [id, index] : reads) {
      nest.reads.push_back({static_cast<int>(op.operands.size()), index.empty() && !g_.tensor(id).shape.empty() ? point : index, {}});
      op.operands.push_back(id);
    }
    nest.expression = std::move(expression);
    nest.write = {static_cast<int>(op.operands.size()), point, {}};
    op.nests.push_back(std::move(nest));
    return op;
  }

  /// x in units of its scale, in the format; emulated: rounded to it, and back in its own units.
  TensorId quantised_activation(TensorId x, std::vector<Op>& ops) {
    const auto known = activations_.find(x);
    if (known != activations_.end()) return known->second;
    const std::string name = g_.tensor(x).name;
    const double scale = how_.scales.at(name), most = largest(scheme_.format);
    const auto number = [](double v) { return numerics::expr_constant(v); };
    Expression e = apply(ScalarOp::mul, numerics::expr_input(0), number(1 / scale));
    if (numerics::format_info(scheme_.format).floating) {
      e = apply(ScalarOp::cast, apply(ScalarOp::min, apply(ScalarOp::max, e, number(-most)), number(most)),
                number(numerics::cast_code({scheme_.format, numerics::Overflow::saturate, numerics::RoundingMode::nearest})));
    } else {
      e = apply(ScalarOp::min, apply(ScalarOp::max, apply(ScalarOp::round, e), number(-most)), number(most));
    }
    if (!native_) e = apply(ScalarOp::mul, e, number(scale));
    const Format format = native_ ? scheme_.format : g_.tensor(x).format;
    const TensorId q = tensor(fmt::format("{}:{}", name, numerics::format_name(scheme_.format)), format, g_.tensor(x).shape);
    ops.push_back(map(name + ":quantise", "Quantise", {}, q, {{x, {}}}, std::move(e)));
    if (native_) stored_.push_back(q);
    return activations_[x] = q;
  }

  /// x as blocks along the sum hold it, in its own format and units: the greatest of each block is found first, and the scale follows from
  /// it. x itself where blocks would be ragged.
  TensorId blocked_activation(TensorId x, const numerics::Nest& product, const numerics::Access& read, std::vector<Op>& ops) {
    const graph::Tensor from = g_.tensor(x);
    const int along = summed(from.shape, product, read);
    if (along < 0 || from.shape[static_cast<std::size_t>(along)] % scheme_.group != 0) return x;
    ++blocked_;
    const auto known = blocks_.find({x, along});
    if (known != blocks_.end()) return known->second;
    const auto d = static_cast<std::size_t>(along);
    Shape counts = from.shape;
    counts[d] /= scheme_.group;
    const std::string name = fmt::format("{}:{}", from.name, scheme_.name);
    const TensorId peak = tensor(name + ":peak", from.format, counts), q = tensor(name, from.format, from.shape);
    // Loops: the dimensions of the blocks, then the place in a block.
    const auto place = static_cast<int>(counts.size());
    const auto nest_over = [&](numerics::LoopKind inner, std::vector<Affine>& block, std::vector<Affine>& element) {
      numerics::Nest nest;
      for (std::size_t k = 0; k < counts.size(); ++k) {
        nest.loops.push_back({fmt::format("d{}", k), counts[k], numerics::LoopKind::parallel});
        block.push_back(numerics::affine_variable(static_cast<int>(k)));
      }
      nest.loops.push_back({"place", scheme_.group, inner});
      element = block;
      element[d] = numerics::affine_variable(along, scheme_.group) + numerics::affine_variable(place);
      return nest;
    };
    const auto number = [](double v) { return numerics::expr_constant(v); };
    const Expression value = numerics::expr_input(0);
    std::vector<Affine> block, element;
    Op greatest;
    greatest.name = unique_name(name + ":peak", op_names_);
    greatest.kind = "Peak";
    greatest.operands = {x};
    greatest.results = {peak};
    greatest.nests = {nest_over(numerics::LoopKind::reduction, block, element)};
    greatest.nests[0].reads = {{0, element, {}}};
    greatest.nests[0].expression = apply(ScalarOp::abs, value);
    greatest.nests[0].combiner = numerics::Combiner::max;
    greatest.nests[0].write = {1, block, {}};
    ops.push_back(std::move(greatest));
    const double most = largest(scheme_.format);
    const auto cast = [&](const Expression& e, Format to, numerics::RoundingMode mode) {
      return apply(ScalarOp::cast, e, number(numerics::cast_code({to, numerics::Overflow::saturate, mode})));
    };
    Expression scale = numerics::expr_input(1);
    if (scheme_.scales == Format::e8m0) {  // the power of two not above the greatest, less that of the format's greatest
      scale =
          apply(ScalarOp::mul, cast(scale, Format::e8m0, numerics::RoundingMode::down), number(std::exp2(-std::floor(std::log2(most)))));
    } else {  // in the format of the scales, on top of one for the tensor; a block of zeros has any
      const double whole = how_.scales.at(from.name) / largest(*scheme_.scales);
      scale = apply(ScalarOp::mul,
                    cast(apply(ScalarOp::mul, scale, number(1 / (most * whole))), *scheme_.scales, numerics::RoundingMode::nearest),
                    number(whole));
      scale = apply(ScalarOp::select, scale, scale, number(whole));
    }
    Expression units = apply(ScalarOp::div, value, scale);
    units = apply(ScalarOp::min, apply(ScalarOp::max, units, number(-most)), number(most));
    block.clear();
    Op rounding;
    rounding.name = unique_name(name, op_names_);
    rounding.kind = "Quantise";
    rounding.operands = {x, peak};
    rounding.results = {q};
    rounding.nests = {nest_over(numerics::LoopKind::parallel, block, element)};
    rounding.nests[0].reads = {{0, element, {}}, {1, block, {}}};
    rounding.nests[0].expression = apply(ScalarOp::mul, cast(units, scheme_.format, numerics::RoundingMode::nearest), scale);
    rounding.nests[0].write = {2, element, {}};
    ops.push_back(std::move(rounding));
    return blocks_[{x, along}] = q;
  }

  /// Whoever else reads an activation that products read quantised (a residual addition) reads it so, too, and scales it: the activation is
  /// then kept once, in the format, and its rounding can stand behind the operator that makes it. All of its readers, or none.
  void read_quantised(TensorId x, TensorId q) {
    if (std::find(g_.outputs.begin(), g_.outputs.end(), x) != g_.outputs.end() || g_.tensor(x).role != graph::Role::intermediate) return;
    std::vector<Op*> readers;
    for (Op& op : g_.ops) {
      if (op.results == std::vector{q}) continue;
      const auto at = std::find(op.operands.begin(), op.operands.end(), x);
      if (at == op.operands.end()) continue;
      const auto slot = static_cast<int>(at - op.operands.begin());
      for (const numerics::Nest& nest : op.nests) {
        for (const numerics::Access& read : nest.reads) {
          if (read.slot != slot) continue;
          const bool fill_fits = !read.fill || *read.fill == 0;
          if (nest.is_contraction() || nest.is_copy() || nest.has_lookups() || !fill_fits) return;
        }
      }
      if (op.host) return;
      readers.push_back(&op);
    }
    const double scale = how_.scales.at(g_.tensor(x).name);
    for (Op* op : readers) {
      const auto at = std::find(op->operands.begin(), op->operands.end(), x);
      const auto slot = static_cast<int>(at - op->operands.begin());
      *at = q;
      for (numerics::Nest& nest : op->nests) {
        std::vector<Expression> with;
        for (std::size_t r = 0; r < nest.reads.size(); ++r) {
          const Expression read = numerics::expr_input(static_cast<int>(r));
          with.push_back(nest.reads[r].slot == slot ? apply(ScalarOp::mul, read, numerics::expr_constant(scale)) : read);
        }
        nest.expression = numerics::substitute(nest.expression, with);
      }
    }
  }

  /// An operator of several nests (a normalisation) that ends by writing an activation of which only the quantised form is read, writes
  /// that.
  void write_quantised(TensorId x, TensorId q) {
    const auto reads = [](const Op& op, TensorId t) { return std::find(op.operands.begin(), op.operands.end(), t) != op.operands.end(); };
    const auto writes = [](const Op& op, TensorId t) { return std::find(op.results.begin(), op.results.end(), t) != op.results.end(); };
    if (std::count_if(g_.ops.begin(), g_.ops.end(), [&](const Op& op) { return reads(op, x); }) != 1) return;
    if (std::count_if(g_.ops.begin(), g_.ops.end(), [&](const Op& op) { return writes(op, x); }) != 1) return;
    if (std::find(g_.outputs.begin(), g_.outputs.end(), x) != g_.outputs.end()) return;
    const auto rounding = std::find_if(g_.ops.begin(), g_.ops.end(), [&](const Op& op) { return writes(op, q); });
    Op& maker = *std::find_if(g_.ops.begin(), g_.ops.end(), [&](const Op& op) { return writes(op, x); });
    if (maker.host || maker.nests.size() < 2 || !reads(*rounding, x)) return;
    const auto result = static_cast<int>(std::find(maker.results.begin(), maker.results.end(), x) - maker.results.begin());
    const int slot = maker.result_slot(result);
    numerics::Nest* last = nullptr;
    for (numerics::Nest& nest : maker.nests) {
      if (std::any_of(nest.reads.begin(), nest.reads.end(), [&](const numerics::Access& r) { return r.slot == slot; })) return;
      if (nest.write.slot != slot) continue;
      if (last != nullptr || nest.combiner != numerics::Combiner::none || nest.has_lookups()) return;
      last = &nest;
    }
    if (last == nullptr) return;
    last->expression = numerics::substitute(rounding->nests[0].expression, std::vector{last->expression});
    maker.results[static_cast<std::size_t>(result)] = q;
    g_.ops.erase(rounding);
  }

  void rewrite(const Product& product, std::vector<Op>& ops) {
    Op op = g_.ops[product.op];
    numerics::Nest& nest = op.nests[0];
    const graph::Tensor weights = g_.tensor(product.weights);
    const Channel channel = scheme_.granularity == Granularity::channel ? channel_of(nest, *product.x, *product.w) : Channel{};
    const int along = scheme_.granularity == Granularity::group ? summed(weights.shape, nest, *product.w) : -1;
    const std::string suffix = fmt::format(":{}", scheme_.name);
    const auto w_slot = static_cast<std::size_t>(product.w->slot), x_slot = static_cast<std::size_t>(product.x->slot);
    if (scheme_.activations) op.operands[x_slot] = quantised_activation(product.activation, ops);
    if (scheme_.blocks) op.operands[x_slot] = blocked_activation(product.activation, nest, *product.x, ops);
    const QuantiseScheme scheme = scheme_;
    const int d = channel.of_weights;
    if (!native_) {
      auto made = std::make_shared<numerics::Constant>();
      made->make = [from = weights.constant, scheme, d, along]() {
        const Tensor w = from->make();
        return along >= 0 ? grouped(w, along, scheme) : scaled(w, scales_of(w, d, scheme), d, scheme.format, true);
      };
      op.operands[w_slot] = tensor(weights.name + suffix, weights.format, weights.shape, std::move(made));
      g_.tensor(op.operands[w_slot]).trained = weights.trained;
      ops.push_back(std::move(op));
      return;
    }
    auto values = std::make_shared<numerics::Constant>();
    values->make = [from = weights.constant, scheme, d]() {
      const Tensor w = from->make();
      return scaled(w, scales_of(w, d, scheme), d, scheme.format, false);
    };
    op.operands[w_slot] = tensor(weights.name + suffix, scheme_.format, weights.shape, std::move(values));
    g_.tensor(op.operands[w_slot]).trained = weights.trained;
    stored_.push_back(op.operands[w_slot]);
    const Format own = exact_scales_ ? Format::fp32 : g_.tensor(op.results[0]).format;
    auto factors = std::make_shared<numerics::Constant>();
    const std::int64_t count = d < 0 ? 1 : weights.shape[static_cast<std::size_t>(d)];
    factors->make = [from = weights.constant, scheme, d, count, own, scale = how_.scales.at(g_.tensor(product.activation).name)]() {
      const std::vector<double> scales = scales_of(from->make(), d, scheme);
      Tensor t = numerics::make_tensor(own, {count});
      for (std::size_t i = 0; i < scales.size(); ++i) t.set(static_cast<std::int64_t>(i), scales[i] * scale);
      return t;
    };
    const TensorId result = op.results[0];
    const std::string name = g_.tensor(result).name;
    const TensorId scale = tensor(name + ":scale", own, {count}, std::move(factors));
    factors_.push_back(scale);
    const TensorId sums =
        tensor(name + ":sums", numerics::format_info(scheme_.format).floating ? Format::fp32 : Format::int32, g_.tensor(result).shape);
    op.results[0] = sums;
    stored_.push_back(sums);
    if (exact_scales_) stored_.push_back(scale);
    const std::string op_name = op.name;
    const std::vector<std::string> nodes = op.nodes;
    ops.push_back(std::move(op));
    const Affine index = channel.of_result < 0 ? Affine{} : numerics::affine_variable(channel.of_result);
    ops.push_back(map(op_name + ":scale", "Scale", nodes, result, {{sums, {}}, {scale, {index}}},
                      apply(ScalarOp::mul, numerics::expr_input(0), numerics::expr_input(1))));
  }

  Graph& g_;
  const Quantisation& how_;
  const QuantiseScheme& scheme_;
  bool native_, exact_scales_;  ///< scales keep fp32
  std::vector<TensorId> stored_, factors_;
  std::map<TensorId, TensorId> activations_;
  std::map<std::pair<TensorId, int>, TensorId> blocks_;
  std::set<std::string> names_, op_names_;
  int products_ = 0, done_ = 0, blocked_ = 0;
};

struct NamedScheme {
  std::string_view name;
  Format format;
  bool activations;
  Granularity granularity;
  std::int64_t group;
  std::optional<Format> scales;
};

/// Block formats quantise weights only, unless they are asked for both: a block of activations needs its scale while the chip runs.
constexpr std::array kSchemes{
    NamedScheme{"int8", Format::int8, true, Granularity::channel, 0, {}},
    NamedScheme{"int4", Format::int4, false, Granularity::group, 128, {}},
    NamedScheme{"fp8_e4m3", Format::fp8_e4m3, true, Granularity::channel, 0, {}},
    NamedScheme{"fp8_e5m2", Format::fp8_e5m2, true, Granularity::channel, 0, {}},
    NamedScheme{"mxfp8", Format::fp8_e4m3, false, Granularity::group, 32, Format::e8m0},
    NamedScheme{"mxfp6", Format::fp6_e2m3, false, Granularity::group, 32, Format::e8m0},
    NamedScheme{"mxfp4", Format::fp4_e2m1, false, Granularity::group, 32, Format::e8m0},
    NamedScheme{"nvfp4", Format::fp4_e2m1, false, Granularity::group, 16, Format::fp8_e4m3},
};

}  // namespace

std::optional<QuantiseScheme> parse_scheme(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto row = std::find_if(kSchemes.begin(), kSchemes.end(), [&](const NamedScheme& s) { return s.name == name; });
  if (row == kSchemes.end()) return {};
  QuantiseScheme scheme{std::string(text), row->format, row->granularity, row->group, row->activations, false, row->scales, {}};
  if (colon == std::string_view::npos) return scheme;
  if (row->scales) {  // the standard says how they are grouped
    scheme.blocks = text.substr(colon + 1) == "both";
    return scheme.blocks ? std::optional(scheme) : std::nullopt;
  }
  const std::string_view rest = text.substr(colon + 1);
  if (rest == "tensor" || rest == "channel") {
    scheme.granularity = rest == "tensor" ? Granularity::tensor : Granularity::channel;
    return scheme;
  }
  if (!rest.starts_with("group")) return {};
  const std::string_view digits = rest.substr(5);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), scheme.group);
  if (error != std::errc() || end != digits.data() + digits.size() || scheme.group < 1 || scheme.group > (1 << 20)) return {};
  scheme.granularity = Granularity::group;
  scheme.activations = false;  // sums over a group cannot be scaled once at the end
  return scheme;
}

std::optional<Calibration> parse_calibration(std::string_view text) {
  if (text == "minmax") return Calibration::minmax;
  if (text == "percentile") return Calibration::percentile;
  if (text == "mse") return Calibration::mse;
  return {};
}

std::string scheme_names() {
  std::vector<std::string_view> names;
  for (const NamedScheme& s : kSchemes) names.push_back(s.name);
  return fmt::format("{} (int8, int4 and fp8 with :tensor, :channel or :groupN; mx and nvfp4 with :both)", fmt::join(names, ", "));
}

bool multiplies(const chip::Chip& chip, Format format) { return !chip::units_for(chip, chip::OpClass::contract, format).empty(); }

double scale_for(const Tensor& values, Format format, Calibration calibration) {
  Sample sample;
  for (std::int64_t i = 0, count = values.count(); i < count; ++i) sample.values.push_back(values.at(i));
  return sample.values.empty() ? 1 : scale_of(std::move(sample), format, calibration);
}

bool needs_calibration(const QuantiseScheme& scheme) { return scheme.activations || (scheme.blocks && scheme.scales != Format::e8m0); }

std::vector<std::string> activations_to_scale(const Graph& graph) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < graph.ops.size(); ++i)
    if (const auto product = product_at(graph, i)) names.insert(graph.tensor(product->activation).name);
  return {names.begin(), names.end()};
}

std::vector<TensorId> quantise(Graph& graph, const chip::Chip& chip, const Quantisation& how, program::Labels& labels,
                               std::vector<Decision>& decisions) {
  Rewriter rewriter(graph, chip, how);
  rewriter.run();
  decisions.push_back({"quantise", rewriter.story()});
  labels.notes.push_back(fmt::format("--quantise {}: {}", how.scheme.name, rewriter.story()));
  return rewriter.stored();
}

}  // namespace switchyard::compiler
