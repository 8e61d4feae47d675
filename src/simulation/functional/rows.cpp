// The row interpreter: an expression is computed node by node over rows of points, in the statement's arithmetic.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

#include "numerics/random.h"
#include "simulation/functional/elements.h"
#include "simulation/functional/kernel.h"
#include "simulation/functional/statement.h"
#include "support/check.h"

namespace switchyard::simulation::functional {

using numerics::Combiner;
using numerics::LoopKind;
using numerics::ScalarOp;

namespace {

constexpr std::int64_t kRow = 1024;

// ------------------------------------------------------------------------------------------------ one step, per arithmetic

/// fp32 steps whose fp32 result equals the rounded double result, so that plain loops may be used.
template <class T>
T step(ScalarOp op, T a, T b, T c) {
  return static_cast<T>(numerics::apply_scalar(op, static_cast<double>(a), static_cast<double>(b), static_cast<double>(c)));
}

struct Limits {
  std::int64_t least = std::numeric_limits<std::int64_t>::min(), greatest = std::numeric_limits<std::int64_t>::max();
  [[nodiscard]] std::int64_t clip(__int128 value) const {
    if (value < least) return least;
    if (value > greatest) return greatest;
    return static_cast<std::int64_t>(value);
  }
};

std::int64_t integer_step(const Limits& limits, ScalarOp op, std::int64_t a, std::int64_t b, std::int64_t c) {
  const __int128 x = a, y = b;
  switch (op) {
    case ScalarOp::neg: return limits.clip(-x);
    case ScalarOp::abs: return limits.clip(x < 0 ? -x : x);
    case ScalarOp::floor:
    case ScalarOp::ceil: return a;
    case ScalarOp::logical_not: return a == 0 ? 1 : 0;
    case ScalarOp::add: return limits.clip(x + y);
    case ScalarOp::sub: return limits.clip(x - y);
    case ScalarOp::mul: return limits.clip(x * y);
    case ScalarOp::max: return std::max(a, b);
    case ScalarOp::min: return std::min(a, b);
    case ScalarOp::less: return a < b ? 1 : 0;
    case ScalarOp::equal: return a == b ? 1 : 0;
    case ScalarOp::select: return a != 0 ? b : c;
    case ScalarOp::round: return a;
    case ScalarOp::remainder: return b == 0 || b == -1 ? 0 : a % b;
    case ScalarOp::bit_and: return a & b;
    case ScalarOp::bit_or: return a | b;
    case ScalarOp::bit_xor: return a ^ b;
    case ScalarOp::shift_left: return b < 0 || b > 63 ? 0 : static_cast<std::int64_t>(static_cast<std::uint64_t>(a) << b);
    case ScalarOp::shift_right: return b < 0 || b > 63 ? 0 : static_cast<std::int64_t>(static_cast<std::uint64_t>(a) >> b);
    default: break;
  }
  SY_CHECK(false, "an operation that leaves the integers");
}

template <class T, class F>
void each(T* __restrict out, std::int64_t n, const F& f) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = f(i);
}

template <class T>
void apply_row(ScalarOp op, const T* a, const T* b, const T* c, T* __restrict out, std::int64_t n, const Limits& limits) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    each(out, n, [&](std::int64_t i) { return integer_step(limits, op, a[i], b == nullptr ? 0 : b[i], c == nullptr ? 0 : c[i]); });
  } else {
    constexpr T kOne = 1, kZero = 0;
    switch (op) {
      case ScalarOp::neg: return each(out, n, [&](std::int64_t i) { return -a[i]; });
      case ScalarOp::abs: return each(out, n, [&](std::int64_t i) { return std::fabs(a[i]); });
      case ScalarOp::sqrt: return each(out, n, [&](std::int64_t i) { return std::sqrt(a[i]); });
      case ScalarOp::reciprocal: return each(out, n, [&](std::int64_t i) { return kOne / a[i]; });
      case ScalarOp::floor: return each(out, n, [&](std::int64_t i) { return std::floor(a[i]); });
      case ScalarOp::ceil: return each(out, n, [&](std::int64_t i) { return std::ceil(a[i]); });
      case ScalarOp::logical_not: return each(out, n, [&](std::int64_t i) { return a[i] == kZero ? kOne : kZero; });
      case ScalarOp::add: return each(out, n, [&](std::int64_t i) { return a[i] + b[i]; });
      case ScalarOp::sub: return each(out, n, [&](std::int64_t i) { return a[i] - b[i]; });
      case ScalarOp::mul: return each(out, n, [&](std::int64_t i) { return a[i] * b[i]; });
      case ScalarOp::div: return each(out, n, [&](std::int64_t i) { return a[i] / b[i]; });
      case ScalarOp::max: return each(out, n, [&](std::int64_t i) { return ((a[i] > b[i]) | (a[i] != a[i])) ? a[i] : b[i]; });
      case ScalarOp::min: return each(out, n, [&](std::int64_t i) { return ((a[i] < b[i]) | (a[i] != a[i])) ? a[i] : b[i]; });
      case ScalarOp::less: return each(out, n, [&](std::int64_t i) { return a[i] < b[i] ? kOne : kZero; });
      case ScalarOp::equal: return each(out, n, [&](std::int64_t i) { return a[i] == b[i] ? kOne : kZero; });
      case ScalarOp::select: return each(out, n, [&](std::int64_t i) { return a[i] != kZero ? b[i] : c[i]; });
      default: break;
    }
    each(out, n, [&](std::int64_t i) { return step<T>(op, a[i], b == nullptr ? kZero : b[i], c == nullptr ? kZero : c[i]); });
  }
}

template <class T>
T combine_step(Combiner combiner, T acc, T value, const Limits& limits) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    switch (combiner) {
      case Combiner::none: return value;
      case Combiner::add: return limits.clip(static_cast<__int128>(acc) + value);
      case Combiner::mul: return limits.clip(static_cast<__int128>(acc) * value);
      case Combiner::max: return std::max(acc, value);
      case Combiner::min: return std::min(acc, value);
    }
  } else {
    switch (combiner) {
      case Combiner::none: return value;
      case Combiner::add: return acc + value;
      case Combiner::mul: return acc * value;
      case Combiner::max: return ((acc > value) | (acc != acc)) ? acc : value;
      case Combiner::min: return ((acc < value) | (acc != acc)) ? acc : value;
    }
  }
  SY_CHECK(false, "unknown combiner");
}

template <class T>
T multiply_add(T x, T w, T acc, const Limits& limits) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return limits.clip(static_cast<__int128>(x) * w + acc);
  } else {
    return std::fma(x, w, acc);
  }
}

template <class T>
T identity_of(Combiner combiner, const Limits& limits) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    if (combiner == Combiner::max) return limits.least;
    if (combiner == Combiner::min) return limits.greatest;
  }
  return static_cast<T>(numerics::combiner_identity(combiner));
}

// ------------------------------------------------------------------------------------------------ rows of an access

/// How a statement is walked: `outer` loops around `inner` loops around a row.
struct Walk {
  std::vector<int> outer, inner;
  int row = -1;       ///< place of the row's dim; -1: rows of one point
  bool fold = false;  ///< the row's dim is the innermost reduction
};

template <class T>
class Machine {
 public:
  Machine(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots, std::vector<T>& rows,
          std::vector<T>& acc)
      : plan_(plan),
        extents_(extents),
        slots_(slots),
        rows_(rows),
        acc_(acc),
        at_(extents.size(), 0),
        value_(plan.expression.nodes.size()) {
    if (plan.arithmetic == Arithmetic::int32) {
      limits_ = {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    }
    row_length_ = kRow;
  }

  void run(const Walk& walk) {
    const std::int64_t row_extent = walk.row < 0 ? 1 : extents_[static_cast<std::size_t>(walk.row)];
    row_length_ = std::min(kRow, row_extent);
    const auto nodes = plan_.expression.nodes.size();
    rows_.resize(nodes * static_cast<std::size_t>(row_length_));
    acc_.resize(static_cast<std::size_t>(row_length_));
    for (std::size_t i = 0; i < nodes; ++i) {
      const auto& node = plan_.expression.nodes[i];
      if (node.op == ScalarOp::constant) std::fill_n(row_of(i), row_length_, static_cast<T>(node.constant));
      value_[i] = row_of(i);
    }
    do {
      if (walk.fold) {
        fold(walk, row_extent);
      } else {
        for (std::int64_t start = 0; start < row_extent; start += row_length_) {
          accumulate(walk, start, std::min(row_length_, row_extent - start));
        }
      }
    } while (advance(walk.outer));
  }

  /// Writes the combiner's identity to every point that the statement writes.
  void set_to_identity() {
    const T identity = identity_of<T>(plan_.combiner, limits_);
    std::vector<int> places;
    for (std::size_t i = 0; i < plan_.kinds.size(); ++i) {
      if (plan_.kinds[i] == LoopKind::parallel) places.push_back(static_cast<int>(i));
    }
    do encode(plan_.write.format, &identity, write_address(), 1, 1);
    while (advance(places));
  }

  /// Point by point in the listed order, every step stored: for statements that read what they write.
  void run_in_order() {
    if (plan_.to_port && plan_.combiner != Combiner::none) set_to_identity();
    Walk walk;
    for (std::size_t i = 0; i < plan_.dims.size(); ++i) walk.outer.push_back(static_cast<int>(i));
    from_identity_ = false;
    run(walk);
  }

 private:
  T* row_of(std::size_t node) { return rows_.data() + node * static_cast<std::size_t>(row_length_); }

  /// Next point of the loops at `places`, the last fastest; false after the last, with all of them back at 0.
  bool advance(const std::vector<int>& places) {
    for (std::size_t i = places.size(); i-- > 0;) {
      const auto place = static_cast<std::size_t>(places[i]);
      if (++at_[place] < extents_[place]) return true;
      at_[place] = 0;
    }
    return false;
  }

  [[nodiscard]] std::int64_t sum(std::int64_t constant, const std::vector<std::int64_t>& steps) const {
    for (std::size_t i = 0; i < at_.size(); ++i) constant += steps[i] * at_[i];
    return constant;
  }
  [[nodiscard]] std::byte* write_address() const {
    return slots_[static_cast<std::size_t>(plan_.write.slot)].data + sum(plan_.write.constant, plan_.write.step) * plan_.write.bytes;
  }

  /// `count` values of an access along the dim at `row` from the present point. May point straight into the slot.
  const T* read_row(const AccessPlan& access, int row, std::int64_t count, T* out) {
    const auto place = static_cast<std::size_t>(row);
    std::int64_t begin = 0, end = count;  // the part of the row inside the token
    for (const auto& check : access.checks) {
      const std::int64_t base = sum(check.constant, check.step);
      const std::int64_t step = row < 0 ? 0 : check.step[place];
      if (step == 0) {
        if (base < 0 || base >= check.extent) end = 0;
      } else if (step > 0) {
        begin = std::max(begin, base >= 0 ? 0 : (-base + step - 1) / step);
        end = std::min(end, base >= check.extent ? 0 : (check.extent - 1 - base) / step + 1);
      } else {
        begin = std::max(begin, base < check.extent ? 0 : (base - check.extent) / -step + 1);
        end = std::min(end, base < 0 ? 0 : base / -step + 1);
      }
    }
    if (end <= begin) begin = end = 0;
    const T fill = fill_of(access.fill);
    std::fill(out, out + begin, fill);
    std::fill(out + end, out + count, fill);
    if (begin == end) return out;

    const SlotView& slot = slots_[static_cast<std::size_t>(access.slot)];
    const std::int64_t step = row < 0 ? 0 : access.step[place];
    const std::int64_t offset = sum(access.constant, access.step);
    const std::byte* base = slot.data;
    if (access.windowed) {
      const std::int64_t position = sum(access.window_constant, access.window_step);
      const std::int64_t window_step = row < 0 ? 0 : access.window_step[place];
      if (window_step != 0) {
        for (std::int64_t i = begin; i < end; ++i) {
          decode(access.format, slot.window[position + window_step * i] + (offset + step * i) * access.bytes, 1, out + i, 1);
        }
        return out;
      }
      base = slot.window[position];
    }
    const std::byte* source = base + (offset + step * begin) * access.bytes;
    if (step == 0) {
      decode(access.format, source, 1, out + begin, 1);
      std::fill(out + begin + 1, out + end, out[begin]);
      return out;
    }
    if constexpr (std::is_same_v<T, float>) {
      if (step == 1 && access.format == numerics::Format::fp32 && end - begin == count) return reinterpret_cast<const float*>(source);
      if (step == 1) {
        widen_row(access.format, source, out + begin, end - begin);
        return out;
      }
    }
    decode(access.format, source, step, out + begin, end - begin);
    return out;
  }

  /// The expression over `count` points along the dim at `row` from the present point.
  const T* evaluate(int row, std::int64_t count) {
    const auto& nodes = plan_.expression.nodes;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const auto& node = nodes[i];
      if (node.op == ScalarOp::constant) continue;
      if (node.op == ScalarOp::input) {
        value_[i] = read_row(plan_.reads[static_cast<std::size_t>(node.a)], row, count, row_of(i));
        continue;
      }
      if (plan_.contraction) break;  // the product is fused with the sum
      if (node.op == ScalarOp::random) {
        random_row(node, row_of(i), count);
        continue;
      }
      const auto operand = [&](int n) -> const T* { return n < 0 ? nullptr : value_[static_cast<std::size_t>(n)]; };
      apply_row(node.op, operand(node.a), operand(node.b), operand(node.c), row_of(i), count, limits_);
    }
    return value_[nodes.size() - 1];
  }
  /// The key of a random number has more bits than a register of the statement's arithmetic: a constant is taken as it is written.
  void random_row(const numerics::Expression::Node& node, T* out, std::int64_t count) const {
    const T* const a = value_[static_cast<std::size_t>(node.a)];
    const T* const b = value_[static_cast<std::size_t>(node.b)];
    const auto& key = plan_.expression.nodes[static_cast<std::size_t>(node.c)];
    for (std::int64_t i = 0; i < count; ++i) {
      const double k = key.op == ScalarOp::constant ? key.constant : static_cast<double>(value_[static_cast<std::size_t>(node.c)][i]);
      out[i] = static_cast<T>(numerics::random_uniform(static_cast<double>(a[i]), static_cast<double>(b[i]), k));
    }
  }
  const T* factor(int which) const {
    const auto& product = plan_.expression.nodes[2];
    return value_[static_cast<std::size_t>(which == 0 ? product.a : product.b)];
  }

  [[nodiscard]] T fill_of(double value) const {
    if constexpr (std::is_same_v<T, std::int64_t>) {  // minus infinity is the least integer, as in the identity of max
      if (!(value > static_cast<double>(limits_.least))) return value == value ? limits_.least : 0;
      if (!(value < static_cast<double>(limits_.greatest))) return limits_.greatest;
    }
    return static_cast<T>(value);
  }
  [[nodiscard]] bool starts_from_identity() const { return from_identity_ && plan_.to_port; }

  void accumulate(const Walk& walk, std::int64_t start, std::int64_t count) {
    if (walk.row >= 0) at_[static_cast<std::size_t>(walk.row)] = start;
    const std::int64_t write_step = walk.row < 0 ? 1 : plan_.write.step[static_cast<std::size_t>(walk.row)];
    std::byte* const target = write_address();
    T* const acc = acc_.data();
    if (plan_.combiner != Combiner::none) {
      if (starts_from_identity()) {
        std::fill_n(acc, count, identity_of<T>(plan_.combiner, limits_));
      } else {
        decode(plan_.write.format, target, write_step, acc, count);
      }
    }
    const T* result = acc;
    do {
      const T* values = evaluate(walk.row, count);
      if (plan_.contraction) {
        if constexpr (std::is_same_v<T, float>) {
          fma_row(factor(0), factor(1), acc, count);
        } else {
          for (std::int64_t i = 0; i < count; ++i) acc[i] = multiply_add(factor(0)[i], factor(1)[i], acc[i], limits_);
        }
      } else if (plan_.combiner == Combiner::none) {
        result = values;
      } else {
        combine_row(values, count);
      }
    } while (advance(walk.inner));
    encode(plan_.write.format, result, target, write_step, count);
    if (walk.row >= 0) at_[static_cast<std::size_t>(walk.row)] = 0;
  }

  void combine_row(const T* values, std::int64_t count) {
    T* const acc = acc_.data();
    switch (plan_.combiner) {
      case Combiner::add:
        for (std::int64_t i = 0; i < count; ++i) acc[i] = combine_step(Combiner::add, acc[i], values[i], limits_);
        return;
      case Combiner::max:
        for (std::int64_t i = 0; i < count; ++i) acc[i] = combine_step(Combiner::max, acc[i], values[i], limits_);
        return;
      default:
        for (std::int64_t i = 0; i < count; ++i) acc[i] = combine_step(plan_.combiner, acc[i], values[i], limits_);
    }
  }

  void fold(const Walk& walk, std::int64_t row_extent) {
    std::byte* const target = write_address();
    T acc = identity_of<T>(plan_.combiner, limits_);
    if (plan_.combiner != Combiner::none && !starts_from_identity()) decode(plan_.write.format, target, 1, &acc, 1);
    do {
      for (std::int64_t start = 0; start < row_extent; start += row_length_) {
        at_[static_cast<std::size_t>(walk.row)] = start;
        const std::int64_t count = std::min(row_length_, row_extent - start);
        const T* values = evaluate(walk.row, count);
        if (plan_.contraction) {
          for (std::int64_t i = 0; i < count; ++i) acc = multiply_add(factor(0)[i], factor(1)[i], acc, limits_);
        } else {
          for (std::int64_t i = 0; i < count; ++i) acc = combine_step(plan_.combiner, acc, values[i], limits_);
        }
      }
      at_[static_cast<std::size_t>(walk.row)] = 0;
    } while (advance(walk.inner));
    encode(plan_.write.format, &acc, target, 1, 1);
  }

  const StatementPlan& plan_;
  std::span<const std::int64_t> extents_;
  std::span<const SlotView> slots_;
  std::vector<T>& rows_;
  std::vector<T>& acc_;
  std::vector<std::int64_t> at_;
  std::vector<const T*> value_;
  Limits limits_;
  std::int64_t row_length_ = kRow;
  bool from_identity_ = true;
};

/// Rough cost per element of reading or writing along a dim: adjacent and broadcast rows are cheap.
double row_cost(const StatementPlan& plan, std::size_t place, bool with_write) {
  double cost = 0;
  const auto add = [&](const AccessPlan& access) {
    const std::int64_t step = access.step[place];
    cost += access.windowed && access.window_step[place] != 0 ? 20 : step == 0 || step == 1 ? 1 : 3;
  };
  for (const AccessPlan& read : plan.reads) add(read);
  if (with_write) add(plan.write);
  return cost;
}

Walk choose_walk(const StatementPlan& plan, std::span<const std::int64_t> extents) {
  constexpr double kPerRow = 120;  // what a row costs however short it is
  Walk walk;
  int last_reduction = -1;
  double best = kPerRow;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (plan.kinds[i] != LoopKind::parallel) {
      last_reduction = static_cast<int>(i);
      continue;
    }
    const double cost = kPerRow / static_cast<double>(extents[i]) + row_cost(plan, i, true);
    if (walk.row < 0 || cost < best) {
      best = cost;
      walk.row = static_cast<int>(i);
    }
  }
  if (last_reduction >= 0) {
    const auto i = static_cast<std::size_t>(last_reduction);
    if (walk.row < 0 || kPerRow / static_cast<double>(extents[i]) + row_cost(plan, i, false) + 4 < best) {
      walk.row = last_reduction;
      walk.fold = true;
    }
  }
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (static_cast<int>(i) == walk.row) continue;
    (plan.kinds[i] == LoopKind::parallel ? walk.outer : walk.inner).push_back(static_cast<int>(i));
  }
  return walk;
}

template <class T>
void run_typed(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots, std::vector<T>& rows,
               std::vector<T>& acc) {
  Machine<T> machine(plan, extents, slots, rows, acc);
  if (plan.method == Method::sequential) {
    machine.run_in_order();
  } else {
    machine.run(choose_walk(plan, extents));
  }
}

}  // namespace

void run_rows(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots, Workspace& workspace) {
  switch (plan.arithmetic) {
    case Arithmetic::fp32: return run_typed<float>(plan, extents, slots, workspace.rows32, workspace.acc32);
    case Arithmetic::fp64: return run_typed<double>(plan, extents, slots, workspace.rows64, workspace.acc64);
    case Arithmetic::int32:
    case Arithmetic::int64: return run_typed<std::int64_t>(plan, extents, slots, workspace.rows_int, workspace.acc_int);
  }
}

}  // namespace switchyard::simulation::functional
