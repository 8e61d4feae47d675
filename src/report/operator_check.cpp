// The sampled check: what a context wrote against what the reference evaluator makes of what the context read.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>

#include "graph/evaluate.h"
#include "program/spread.h"
#include "report/check.h"
#include "support/parallel.h"

namespace switchyard::report {
namespace {

using graph::TensorId;
using numerics::Format;
using numerics::FormatInfo;

/// Whether the elements of a buffer exist: of a spread one, those that a part holds.
class Held {
 public:
  explicit Held(const program::Buffer& buffer) : buffer_(buffer) {
    if (!buffer.spread) return;
    for (std::uint32_t i = 0; i < program::part_count(*buffer.spread); ++i) parts_.push_back(program::part_of(buffer, i));
  }
  [[nodiscard]] bool all() const {
    if (!buffer_.spread) return true;
    program::Box whole;
    for (const std::int64_t extent : buffer_.shape) whole.push_back({0, extent});
    bool exact = true;
    return !program::uncovered_point({whole}, parts_, exact) && exact;
  }
  [[nodiscard]] bool at(std::int64_t flat) const {
    if (!buffer_.spread) return true;
    const std::vector<std::int64_t> index = unflatten(flat, buffer_.shape);
    return std::any_of(parts_.begin(), parts_.end(), [&](const program::Box& part) {
      for (std::size_t d = 0; d < part.size(); ++d)
        if (index[d] < part[d][0] || index[d] >= part[d][1]) return false;
      return true;
    });
  }

 private:
  const program::Buffer& buffer_;
  std::vector<program::Box> parts_;
};

/// Values of tensors that exist around one context: its buffers, and constants as they would be stored. Read once each, on any thread.
class KnownTensors {
 public:
  KnownTensors(const compiler::Compiled& compiled, const compiler::ContextMap& map, const simulation::BufferReader& read)
      : compiled_(compiled),
        graph_(compiled.graph),
        read_(read),
        precision_(numerics::format_named(compiled.program.labels.precision).value_or(Format::fp32)) {
    // A tensor may lie in several buffers: those that hold all of it first, and what was read before what was written. What the context
    // writes to a part of one says too little to start from; parts that are read may be halves of a whole.
    for (const bool whole : {true, false}) {
      for (const auto* list : {&map.reads, &map.writes}) {
        if (!whole && list == &map.writes) continue;
        for (const bool spread : {false, true}) {
          for (const auto& [tensor, buffer] : *list) {
            const program::Buffer& declared = compiled.program.buffers[buffer.index()];
            if (declared.spread.has_value() == spread && Held(declared).all() == whole) buffers_[tensor].push_back(buffer);
          }
        }
      }
    }
  }

  /// Null for tensors that exist only inside the context.
  const numerics::Tensor* find(TensorId id) {
    const graph::Tensor& tensor = graph_.tensor(id);
    if (const auto found = buffers_.find(id); found != buffers_.end()) {
      const std::vector<program::BufferId>& list = found->second;
      return list.size() == 1 || Held(buffer(list.front())).all() ? &in_buffer(id, list.front()) : &merged(id, list);
    }
    if (tensor.constant == nullptr) return nullptr;
    const std::lock_guard lock(mutex_);
    auto cached = constants_.find(id);
    if (cached == constants_.end()) cached = constants_.emplace(id, constant(tensor)).first;
    return &cached->second;
  }
  /// What one buffer holds of a tensor.
  const numerics::Tensor& in_buffer(TensorId id, program::BufferId buffer) {
    const std::lock_guard lock(mutex_);
    auto cached = values_.find({id, buffer});
    if (cached == values_.end()) {
      numerics::Tensor value = read_(buffer);
      // A buffer may hold the tensor under another shape of the same elements (a reshape that costs nothing).
      const graph::Tensor& tensor = graph_.tensor(id);
      if (value.count() == numerics::element_count(tensor.shape)) value.shape = tensor.shape;
      cached = values_.emplace(std::pair(id, buffer), std::move(value)).first;
    }
    return cached->second;
  }
  /// Of a tensor whose parts lie in several buffers.
  const numerics::Tensor& merged(TensorId id, const std::vector<program::BufferId>& parts) {
    for (const program::BufferId part : parts) in_buffer(id, part);
    const std::lock_guard lock(mutex_);
    auto cached = merged_.find(id);
    if (cached != merged_.end()) return cached->second;
    numerics::Tensor whole = values_.at({id, parts.front()});
    std::vector<Held> held;
    for (const program::BufferId part : parts) held.emplace_back(buffer(part));
    const auto bytes = static_cast<std::size_t>(numerics::format_bytes(whole.format));
    for (std::int64_t e = 0; e < whole.count(); ++e) {
      std::size_t p = 0;
      while (p < parts.size() && !held[p].at(e)) ++p;
      if (p == 0 || p == parts.size()) continue;
      const numerics::Tensor& from = values_.at({id, parts[p]});
      if (from.format == whole.format && from.count() == whole.count())
        std::copy_n(from.bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(e) * bytes), bytes,
                    whole.bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(e) * bytes));
    }
    return merged_.emplace(id, std::move(whole)).first->second;
  }
  [[nodiscard]] bool exists(TensorId id) const { return buffers_.count(id) > 0 || graph_.tensor(id).constant != nullptr; }
  [[nodiscard]] const program::Buffer& buffer(program::BufferId id) const { return compiled_.program.buffers[id.index()]; }

 private:
  [[nodiscard]] numerics::Tensor constant(const graph::Tensor& tensor) const {
    numerics::Tensor value = tensor.constant->make();
    const bool stored_narrower = numerics::format_info(value.format).floating && value.format != precision_;
    return stored_narrower ? numerics::convert_tensor(value, precision_) : value;
  }

  const compiler::Compiled& compiled_;
  const graph::Graph& graph_;
  const simulation::BufferReader& read_;
  Format precision_;
  std::map<TensorId, std::vector<program::BufferId>> buffers_;
  std::map<std::pair<TensorId, program::BufferId>, numerics::Tensor> values_;  // maps: addresses stay valid
  std::map<TensorId, numerics::Tensor> constants_, merged_;
  std::mutex mutex_;
};

/// How one written tensor is made inside its context.
struct Recipe {
  const graph::Op* op = nullptr;
  std::vector<std::string> fused;  ///< other operators between known tensors and this one
  std::int64_t nests = 1;          ///< most nests one after the other from known tensors: intermediate results that may be rounded
};

/// Several operators of a context may each write a part of the tensor (a concatenation), in the order of the context's writes: `number`
/// says which of `writes`.
Recipe recipe_of(const compiler::Compiled& compiled, const compiler::ContextMap& map, const KnownTensors& known, TensorId target,
                 std::size_t number, std::size_t writes) {
  Recipe recipe;
  const auto makes = [&](const graph::Op& op) { return std::find(op.results.begin(), op.results.end(), target) != op.results.end(); };
  std::vector<const graph::Op*> producers;
  for (const graph::OpId id : map.ops)
    if (const graph::Op& op = compiled.graph.ops[id.index()]; makes(op)) producers.push_back(&op);
  if (producers.empty()) return recipe;
  recipe.op = producers.size() == writes ? producers[number] : producers.back();
  // Back from the target through tensors that exist only inside; the operators are in topological order, so one sweep from the end finds
  // who takes part and one from the start how long the chain is.
  std::map<TensorId, bool> wanted{{target, true}};
  std::map<TensorId, std::int64_t> chain;
  std::vector<const graph::Op*> members;
  for (auto id = map.ops.rbegin(); id != map.ops.rend(); ++id) {
    const graph::Op& op = compiled.graph.ops[id->index()];
    if (std::none_of(op.results.begin(), op.results.end(), [&](TensorId t) { return wanted.count(t) > 0; })) continue;
    if (&op != recipe.op && makes(op)) continue;
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
  check_copies(map, context, read);
  std::map<TensorId, std::size_t> seen, writes;
  for (const auto& [tensor, buffer] : map.writes) ++writes[tensor];
  for (const auto& written : map.writes) {
    const TensorId tensor = written.first;
    const auto buffer = written.second;
    const Recipe recipe = recipe_of(compiled_, map, known, tensor, seen[tensor]++, writes[tensor]);
    const numerics::Tensor& got = known.in_buffer(tensor, buffer);
    if (recipe.op == nullptr) {
      const auto source = std::find_if(map.reads.begin(), map.reads.end(), [&](const auto& r) { return r.first == tensor; });
      if (source != map.reads.end()) check_moved(known.in_buffer(tensor, source->second), source->second, got, buffer, tensor, context);
      continue;
    }
    const Held held(known.buffer(buffer));
    const graph::Tensor& declared = compiled_.graph.tensor(tensor);
    std::vector<std::vector<std::int64_t>> points = points_written(*recipe.op, tensor, declared.name);
    std::erase_if(points, [&](const auto& point) { return !held.at(flatten(point, declared.shape)); });
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
      fail({recipe.op->name,
            declared.name,
            points[p],
            value,
            expected,
            tolerance,
            compiled_.program.contexts[context.index()].name,
            recipe.fused,
            {}});
    }
    ++report_.outputs;
    report_.points += static_cast<std::int64_t>(points.size());
  }
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void OperatorChecker::fail(Divergence divergence) {
  report_.passed = false;
  if (!report_.first) report_.first = std::move(divergence);
}

/// All copies of an element of a spread buffer must hold the same bits: who reads which would make a difference.
void OperatorChecker::check_copies(const compiler::ContextMap& map, program::ContextId context, const simulation::BufferReader& read) {
  const program::Program& program = compiled_.program;
  for (const auto& write : map.writes) agreed_.erase(write.second);
  for (const auto* list : {&map.writes, &map.reads}) {
    for (const auto& [tensor, id] : *list) {
      const program::Buffer& buffer = program.buffers[id.index()];
      if (!buffer.spread || !agreed_.insert(id).second) continue;
      const auto differ = read.copies_differ(id);
      if (!differ) continue;
      const std::string& component = program.chip->components[program.chip->memories[buffer.memory.index()].in.index()].name;
      const auto& [first, second] = differ->components;
      errors_.add(differ->values[1], differ->values[0]);
      fail({{},
            compiled_.graph.tensor(tensor).name,
            differ->index,
            differ->values[1],
            differ->values[0],
            0,
            program.contexts[context.index()].name,
            {},
            fmt::format("buffer {} holds another copy of [{}] on {} {} than on {} {}", buffer.name, fmt::join(differ->index, ", "),
                        component, second, component, first)});
    }
  }
}

/// A tensor that a context only moves must arrive as it was.
void OperatorChecker::check_moved(const numerics::Tensor& from, program::BufferId source, const numerics::Tensor& to,
                                  program::BufferId target, TensorId tensor, program::ContextId context) {
  const program::Program& program = compiled_.program;
  const program::Buffer &a = program.buffers[source.index()], &b = program.buffers[target.index()];
  const graph::Tensor& declared = compiled_.graph.tensor(tensor);
  if (from.count() != to.count() || numerics::element_count(declared.shape) != to.count()) return;
  const numerics::Tensor wanted = from.format == to.format ? from : numerics::convert_tensor(from, to.format);
  const auto bytes = static_cast<std::size_t>(numerics::format_bytes(to.format));
  const Held held_from(a), held_to(b);
  ++report_.outputs;
  report_.points += to.count();
  if (wanted.bytes == to.bytes) return;
  for (std::int64_t i = 0; i < to.count(); ++i) {
    const auto at = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(i) * bytes);
    if (std::equal(wanted.bytes.begin() + at, wanted.bytes.begin() + at + static_cast<std::ptrdiff_t>(bytes), to.bytes.begin() + at))
      continue;
    if (!held_from.at(i) || !held_to.at(i)) continue;
    errors_.add(to.at(i), wanted.at(i));
    fail({{},
          declared.name,
          unflatten(i, declared.shape),
          to.at(i),
          wanted.at(i),
          0,
          program.contexts[context.index()].name,
          {},
          fmt::format("buffer {} does not hold what was moved to it from buffer {}", b.name, a.name)});
    return;
  }
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
  if (report_.points == 0 && report_.passed) report_.against = "none";  // all was the host's, or without elements
  report_.max_abs_error = errors_.max_abs();
  report_.max_abs_error_of = errors_.max_abs_of();
  report_.max_rel_error = errors_.max_rel();
  report_.cosine = errors_.cosine();
  return report_;
}

}  // namespace switchyard::report
