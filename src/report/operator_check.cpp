// The sampled check: what a context wrote against what the reference evaluator makes of what the context read.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>

#include "graph/evaluate.h"
#include "report/check.h"
#include "support/parallel.h"

namespace switchyard::report {
namespace {

using graph::TensorId;
using numerics::Format;
using numerics::FormatInfo;

/// Values of tensors that exist around one context: its buffers, and constants as they would be stored. Read once each, on any thread.
class KnownTensors {
 public:
  KnownTensors(const compiler::Compiled& compiled, const compiler::ContextMap& map, const simulation::BufferReader& read)
      : graph_(compiled.graph), read_(read), precision_(numerics::format_named(compiled.program.labels.precision).value_or(Format::fp32)) {
    for (const auto& [tensor, buffer] : map.reads) buffers_.emplace(tensor, buffer);
    for (const auto& [tensor, buffer] : map.writes) buffers_.emplace(tensor, buffer);
  }

  /// Null for tensors that exist only inside the context.
  const numerics::Tensor* find(TensorId id) {
    const graph::Tensor& tensor = graph_.tensor(id);
    const auto buffer = buffers_.find(id);
    if (buffer == buffers_.end() && tensor.constant == nullptr) return nullptr;
    const std::lock_guard lock(mutex_);
    auto cached = values_.find(id);
    if (cached == values_.end()) cached = values_.emplace(id, make(id, tensor)).first;
    return &cached->second;
  }
  [[nodiscard]] bool exists(TensorId id) const { return buffers_.count(id) > 0 || graph_.tensor(id).constant != nullptr; }

 private:
  numerics::Tensor make(TensorId id, const graph::Tensor& tensor) const {
    if (const auto buffer = buffers_.find(id); buffer != buffers_.end()) {
      numerics::Tensor value = read_(buffer->second);
      // A buffer may hold the tensor under another shape of the same elements (a reshape that costs nothing).
      if (value.count() == numerics::element_count(tensor.shape)) value.shape = tensor.shape;
      return value;
    }
    numerics::Tensor value = tensor.constant->make();
    const bool stored_narrower = numerics::format_info(value.format).floating && value.format != precision_;
    return stored_narrower ? numerics::convert_tensor(value, precision_) : value;
  }

  const graph::Graph& graph_;
  const simulation::BufferReader& read_;
  Format precision_;
  std::map<TensorId, program::BufferId> buffers_;
  std::map<TensorId, numerics::Tensor> values_;  // a map: addresses stay valid
  std::mutex mutex_;
};

/// How one written tensor is made inside its context.
struct Recipe {
  const graph::Op* op = nullptr;
  std::vector<std::string> fused;  ///< other operators between known tensors and this one
  std::int64_t nests = 1;          ///< most nests one after the other from known tensors: intermediate results that may be rounded
};

Recipe recipe_of(const compiler::Compiled& compiled, const compiler::ContextMap& map, const KnownTensors& known, TensorId target) {
  Recipe recipe;
  std::map<TensorId, const graph::Op*> producer;
  for (const graph::OpId id : map.ops) {
    const graph::Op& op = compiled.graph.ops[id.index()];
    for (const TensorId result : op.results) producer[result] = &op;
  }
  const auto made = producer.find(target);
  if (made == producer.end()) return recipe;
  recipe.op = made->second;
  // Back from the target through tensors that exist only inside; the operators are in topological order, so one sweep from the end finds
  // who takes part and one from the start how long the chain is.
  std::map<TensorId, bool> wanted{{target, true}};
  std::map<TensorId, std::int64_t> chain;
  std::vector<const graph::Op*> members;
  for (auto id = map.ops.rbegin(); id != map.ops.rend(); ++id) {
    const graph::Op& op = compiled.graph.ops[id->index()];
    if (std::none_of(op.results.begin(), op.results.end(), [&](TensorId t) { return wanted.count(t) > 0; })) continue;
    members.push_back(&op);
    for (const TensorId operand : op.operands) {
      if (!known.exists(operand)) wanted[operand] = true;
    }
  }
  for (auto member = members.rbegin(); member != members.rend(); ++member) {
    const graph::Op& op = **member;
    std::int64_t longest = 0;
    for (const TensorId operand : op.operands) {
      if (const auto found = chain.find(operand); found != chain.end() && !known.exists(operand))
        longest = std::max(longest, found->second);
    }
    for (const TensorId result : op.results) chain[result] = longest + static_cast<std::int64_t>(std::max<std::size_t>(1, op.nests.size()));
    if (&op != recipe.op) recipe.fused.push_back(op.name);
  }
  recipe.nests = chain[target];
  return recipe;
}

/// Half the least positive number of a floating format: what rounding may lose however small the value is.
double underflow_unit(const FormatInfo& info) {
  if (!info.floating) return 0;
  const int bias = (1 << (info.exponent_bits - 1)) - 1;
  return std::ldexp(1.0, 1 - bias - info.mantissa_bits - 1);
}

/// What one recomputed point may differ by. Derivation: docs/checking.md.
double point_tolerance(const graph::PointEvaluator::Value& reference, const FormatInfo& out, Format storage, std::int64_t nests) {
  const double value = std::abs(reference.unrounded);
  // Padding with minus infinity makes the magnitude of a maximum infinite; then only the value says how large an error may be.
  const double magnitude = std::isfinite(reference.magnitude) ? std::max(std::abs(reference.magnitude), value) : value;
  const auto n = static_cast<double>(std::max<std::int64_t>(1, reference.reduction));
  const double accumulate = numerics::unit_roundoff(Format::fp32);
  const double steps = 64 + std::min(n, 8 * std::sqrt(n));
  double tolerance = accumulate * steps * static_cast<double>(nests) * magnitude + 4 * underflow_unit(out);
  tolerance += numerics::unit_roundoff(storage) * static_cast<double>(nests - 1) * magnitude;
  tolerance += out.floating ? numerics::unit_roundoff(out.format) * value * (1 + 1e-6) : 0.5;
  return tolerance;
}

std::int64_t flatten(const std::vector<std::int64_t>& index, const numerics::Shape& shape) {
  std::int64_t flat = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) flat = flat * shape[d] + index[d];
  return flat;
}

/// Magnitude from which a sum that the chip accumulates, or an intermediate result that it rounds, may have left the numbers: in fp32, and
/// in the stored format where nests follow one another inside a context.
double overflow_limit(Format storage, std::int64_t nests) {
  const double accumulator = numerics::format_info(Format::fp32).max_finite, stored = numerics::format_info(storage).max_finite;
  return (nests > 1 ? std::min(accumulator, stored) : accumulator) * (1 - 1e-6);
}

bool agrees(double got, double expected, double tolerance, const FormatInfo& out, bool may_overflow) {
  if (std::isnan(expected)) return std::isnan(got);
  if (got == expected) return true;
  if (may_overflow && !std::isfinite(got)) return true;
  if (std::isinf(got) && out.floating) {
    // Overflow: right when the value is beyond the format's largest number, or as near to it as the tolerance.
    return std::signbit(got) == std::signbit(expected) && std::abs(expected) + tolerance >= out.max_finite;
  }
  if (!out.floating) expected = std::clamp(expected, out.is_signed ? -out.max_finite - 1 : 0.0, out.max_finite);
  if (std::isinf(expected)) return false;
  return std::abs(got - expected) <= tolerance;
}

}  // namespace

OperatorChecker::OperatorChecker(const compiler::Compiled& compiled, const OperatorCheckOptions& options)
    : compiled_(compiled), options_(options) {
  report_.executed = true;
  report_.against = "reference";
  report_.rule = options.full ? "every point of every operator" : fmt::format("{} points of every operator", kSampledPoints);
  report_.rule += ": |error| <= u_out |value| + u_fp32 steps magnitude + u_stored (fused roundings) magnitude";
}

void OperatorChecker::check_context(program::ContextId context, const simulation::BufferReader& read) {
  if (context.index() >= compiled_.contexts.size()) return;
  const auto begin = std::chrono::steady_clock::now();
  const compiler::ContextMap& map = compiled_.contexts[context.index()];
  const Format storage = numerics::format_named(compiled_.program.labels.precision).value_or(Format::fp32);
  KnownTensors known(compiled_, map, read);
  for (const auto& write : map.writes) {
    const TensorId tensor = write.first;
    const Recipe recipe = recipe_of(compiled_, map, known, tensor);
    if (recipe.op == nullptr) continue;
    const numerics::Tensor& got = *known.find(tensor);
    const graph::Tensor& declared = compiled_.graph.tensor(tensor);
    const std::vector<std::vector<std::int64_t>> points = points_written(*recipe.op, tensor, declared.name);
    const graph::OpId producer(static_cast<std::size_t>(recipe.op - compiled_.graph.ops.data()));
    std::vector<graph::PointEvaluator::Value> references(points.size());
    // The evaluator keeps what it computed, so each thread has its own and a contiguous share of the points.
    const std::size_t threads = std::clamp<std::size_t>(points.size() / 16, 1, static_cast<std::size_t>(std::max(1, options_.threads)));
    parallel_for(static_cast<int>(threads), threads, [&](std::size_t t) {
      graph::PointEvaluator evaluator(
          compiled_.graph, [&](TensorId id) { return id == tensor ? nullptr : static_cast<const numerics::Tensor*>(known.find(id)); });
      const std::size_t last = points.size() * (t + 1) / threads;
      for (std::size_t p = points.size() * t / threads; p < last; ++p) {
        references[p] = evaluator.at(tensor, points[p], producer);
      }
    });
    const FormatInfo& out = numerics::format_info(got.format);
    for (std::size_t p = 0; p < points.size(); ++p) {
      const double value = got.at(flatten(points[p], declared.shape)), expected = references[p].unrounded;
      const double tolerance = point_tolerance(references[p], out, storage, recipe.nests);
      // Padding with infinity has an infinite magnitude and overflows nothing.
      const double magnitude = std::abs(references[p].magnitude);
      const bool may_overflow = std::isfinite(magnitude) && magnitude >= overflow_limit(storage, recipe.nests);
      const bool agreed = agrees(value, expected, tolerance, out, may_overflow);
      errors_.add(value, agreed && !std::isfinite(value) ? value : expected);
      if (agreed) {
        if (std::isfinite(value)) report_.worst_share = std::max(report_.worst_share, share_of_allowed(value, expected, tolerance));
        continue;
      }
      report_.worst_share = std::max(report_.worst_share, share_of_allowed(value, expected, tolerance));
      report_.passed = false;
      if (report_.first) continue;
      report_.first = Divergence{
          recipe.op->name, declared.name, points[p], value, expected, tolerance, compiled_.program.contexts[context.index()].name,
          recipe.fused};
    }
    ++report_.outputs;
    report_.points += static_cast<std::int64_t>(points.size());
  }
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Points of what one operator writes: it may write only a part of the tensor (a concatenation that its producers fill).
std::vector<std::vector<std::int64_t>> OperatorChecker::points_written(const graph::Op& op, graph::TensorId tensor,
                                                                       const std::string& name) const {
  const auto result = static_cast<int>(std::find(op.results.begin(), op.results.end(), tensor) - op.results.begin());
  const auto nest =
      std::find_if(op.nests.rbegin(), op.nests.rend(), [&](const numerics::Nest& n) { return n.write.slot == op.result_slot(result); });
  SY_CHECK(nest != op.nests.rend(), "an operator that writes none of its results");
  numerics::Shape domain;
  for (const numerics::NestLoop& loop : nest->loops) domain.push_back(loop.kind == numerics::LoopKind::reduction ? 1 : loop.extent);
  const std::int64_t count = options_.full ? numerics::element_count(domain) : kSampledPoints;
  std::vector<std::vector<std::int64_t>> points;
  for (const std::int64_t flat : sample_points(domain, count, numerics::mix(options_.seed, numerics::hash_name(name)))) {
    const std::vector<std::int64_t> loops = unflatten(flat, domain);
    std::vector<std::int64_t> index;
    for (const numerics::Affine& f : nest->write.index) index.push_back(f.at(loops));
    points.push_back(std::move(index));
  }
  return points;
}

const CheckReport& OperatorChecker::result() const {
  report_.max_abs_error = errors_.max_abs();
  report_.max_rel_error = errors_.max_rel();
  report_.cosine = errors_.cosine();
  return report_;
}

}  // namespace switchyard::report
