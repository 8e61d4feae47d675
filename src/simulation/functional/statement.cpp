#include "simulation/functional/statement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "numerics/bit_cast.h"
#include "simulation/functional/buffers.h"
#include "simulation/functional/elements.h"
#include "support/check.h"

namespace switchyard::simulation::functional {

using numerics::Format;
using numerics::LoopKind;
using numerics::ScalarOp;

namespace {

/// Coefficients of an index over the statement's dims.
std::vector<std::int64_t> steps_of(const numerics::Affine& index, const std::vector<int>& dims) {
  std::vector<std::int64_t> steps;
  for (const int dim : dims) steps.push_back(index.coefficient(dim));
  for (const auto& term : index.terms) {
    SY_CHECK(std::find(dims.begin(), dims.end(), term.variable) != dims.end(), "an access by a dim its statement does not loop over");
  }
  return steps;
}

AccessPlan plan_access(const program::Program& program, const program::Actor& actor, const program::Statement& statement,
                       const numerics::Access& access) {
  AccessPlan plan;
  plan.slot = access.slot;
  const auto slot = static_cast<std::size_t>(access.slot);
  const bool is_port = slot < actor.ports.size();
  SY_CHECK(is_port || slot - actor.ports.size() < actor.states.size(), "an access to a slot that does not exist");
  const program::Token& token = is_port ? actor.ports[slot].token : actor.states[slot - actor.ports.size()].token;
  plan.windowed = is_port && actor.ports[slot].window.has_value();
  plan.format = token.format;
  plan.bytes = numerics::format_bytes(token.format);
  plan.step.assign(statement.dims.size(), 0);
  plan.fill = access.fill.value_or(0);
  SY_CHECK(access.index.size() == token.shape.size() + (plan.windowed ? 1 : 0), "an access of another rank than its token");

  std::vector<std::int64_t> extents;
  for (const auto& dim : actor.dims) extents.push_back(dim.tile);
  const auto check = [&](const numerics::Affine& index, const std::vector<std::int64_t>& steps, std::int64_t extent) {
    if (!access.fill) return;
    const numerics::Interval reach = numerics::range_over(index, extents);
    if (reach.least < 0 || reach.greatest >= extent) plan.checks.push_back({index.constant, extent, steps});
  };
  std::size_t first = 0;
  if (plan.windowed) {
    first = 1;
    plan.window_constant = access.index[0].constant;
    plan.window_step = steps_of(access.index[0], statement.dims);
    check(access.index[0], plan.window_step, actor.ports[slot].window->peek);
  }
  const std::vector<std::int64_t> strides = token.strides();
  std::vector<std::int64_t> part_strides;
  if (is_port && actor.ports[slot].place) {
    part_strides = buffer_strides(program.buffers[actor.ports[slot].place->buffer.index()]);
    SY_CHECK(part_strides.size() == strides.size(), "a place of another rank than its token");
    plan.part_step.assign(statement.dims.size(), 0);
  }
  for (std::size_t d = 0; d < token.shape.size(); ++d) {
    const numerics::Affine& index = access.index[d + first];
    const std::vector<std::int64_t> steps = steps_of(index, statement.dims);
    plan.constant += index.constant * strides[d];
    for (std::size_t i = 0; i < steps.size(); ++i) plan.step[i] += steps[i] * strides[d];
    if (!part_strides.empty()) {
      plan.part_constant += index.constant * part_strides[d];
      for (std::size_t i = 0; i < steps.size(); ++i) plan.part_step[i] += steps[i] * part_strides[d];
    }
    check(index, steps, token.shape[d]);
  }
  return plan;
}

/// Operations that integers do without leaving the integers.
bool is_integral(const numerics::Expression& expression) {
  return std::all_of(expression.nodes.begin(), expression.nodes.end(), [](const numerics::Expression::Node& node) {
    switch (node.op) {
      case ScalarOp::constant: return std::floor(node.constant) == node.constant && std::fabs(node.constant) < 0x1p53;
      case ScalarOp::exp:
      case ScalarOp::log:
      case ScalarOp::sqrt:
      case ScalarOp::reciprocal:
      case ScalarOp::tanh:
      case ScalarOp::erf:
      case ScalarOp::sigmoid:
      case ScalarOp::div:
      case ScalarOp::pow:
      case ScalarOp::sin:
      case ScalarOp::cos:
      case ScalarOp::tan:
      case ScalarOp::asin:
      case ScalarOp::acos:
      case ScalarOp::atan:
      case ScalarOp::sinh:
      case ScalarOp::cosh:
      case ScalarOp::asinh:
      case ScalarOp::acosh:
      case ScalarOp::atanh:
      case ScalarOp::cast:
      case ScalarOp::random: return false;
      default: return true;
    }
  });
}

/// The format in which the unit computes on operands of `format`.
Format accumulate_format(const chip::Unit* unit, Format format) {
  if (unit != nullptr) {
    for (const auto& rate : unit->rates) {
      if (rate.in == format) return rate.accumulate;
    }
  }
  switch (format) {
    case Format::fp16:
    case Format::bf16: return Format::fp32;
    case Format::fp32:
    case Format::fp64:
    case Format::int32:
    case Format::int64: return format;
    case Format::uint32:
    case Format::uint64: return Format::int64;
    default: return numerics::format_info(format).floating ? Format::fp32 : Format::int32;
  }
}

/// The widest of the operands' arithmetics; floating when the expression leaves the integers.
Result<Arithmetic> arithmetic_of(const program::Program& program, const program::Actor& actor, const StatementPlan& plan) {
  const chip::Unit* unit =
      program.chip && actor.unit.index() < program.chip->units.size() ? &program.chip->units[actor.unit.index()] : nullptr;
  bool floating = false, wide_floating = false, wide_integer = false;
  const auto widen = [&](Format operand, Format computed) -> Status {
    switch (computed) {
      case Format::fp32: floating = true; break;
      case Format::fp64: floating = wide_floating = true; break;
      case Format::int32: break;
      case Format::int64: wide_integer = true; break;
      default:
        return fail(FailureKind::unsupported, "simulation/unsupported",
                    fmt::format("actor {} computes {} in {}, which the functional engine does not model", actor.name,
                                numerics::format_name(operand), numerics::format_name(computed)));
    }
    return Done{};
  };
  for (const AccessPlan& read : plan.reads) {
    // A copy computes nothing: its operand stays what it is.
    const Format computed = plan.expression.is_input() && plan.combiner == numerics::Combiner::none
                                ? accumulate_format(nullptr, read.format)
                                : accumulate_format(unit, read.format);
    if (Status status = widen(read.format, computed); !status) return status.failure();
    // Accumulating in a narrower arithmetic than the operand's own would lose its value.
    if (!numerics::format_info(read.format).floating && !numerics::represents(Format::int32, read.format)) wide_integer = true;
    if (read.format == Format::fp64) floating = wide_floating = true;
  }
  if (plan.reads.empty() && numerics::format_info(plan.write.format).floating) floating = true;
  if (plan.write.format == Format::fp64 && plan.combiner != numerics::Combiner::none) floating = wide_floating = true;
  if (plan.combiner != numerics::Combiner::none && numerics::format_info(plan.write.format).floating) floating = true;
  if (!is_integral(plan.expression)) {
    floating = true;
    wide_floating = wide_floating || wide_integer;
  }
  // Bits of a 32-bit integer do not fit the significand of the other arithmetic.
  for (const auto& node : plan.expression.nodes) {
    if (node.op == ScalarOp::constant && numerics::is_bit_cast(node.constant) && !plan.contraction &&
        std::any_of(plan.expression.nodes.begin(), plan.expression.nodes.end(), [](const auto& n) { return n.op == ScalarOp::cast; }))
      floating = wide_floating = true;
  }
  if (floating) return wide_floating ? Arithmetic::fp64 : Arithmetic::fp32;
  const bool wide_result = !numerics::format_info(plan.write.format).floating && !numerics::represents(Format::int32, plan.write.format);
  return wide_integer || wide_result ? Arithmetic::int64 : Arithmetic::int32;
}

bool same_place(const AccessPlan& a, const AccessPlan& b) {
  return a.constant == b.constant && a.step == b.step && a.checks.empty() && b.checks.empty();
}

void classify(StatementPlan& plan, const program::Statement& statement) {
  const auto depends = [&](const numerics::Access& access, int dim) {
    return std::any_of(access.index.begin(), access.index.end(), [&](const auto& index) { return index.depends_on(dim); });
  };
  for (std::size_t i = 0; i < plan.dims.size(); ++i) {
    const auto place = static_cast<int>(i);
    const bool in_first = depends(statement.reads[static_cast<std::size_t>(plan.first)], plan.dims[i]);
    const bool in_second = depends(statement.reads[static_cast<std::size_t>(plan.second)], plan.dims[i]);
    if (plan.kinds[i] != LoopKind::parallel) {
      plan.k.push_back(place);
    } else if (in_first && in_second) {
      plan.batch.push_back(place);
    } else if (in_second) {
      plan.n.push_back(place);
    } else {
      plan.m.push_back(place);
    }
  }
}

}  // namespace

Result<StatementPlan> plan_statement(const program::Program& program, const program::Actor& actor, const program::Statement& statement) {
  StatementPlan plan;
  plan.guard = program::resolve_guard(actor, statement.guard);
  plan.dims = statement.dims;
  plan.kinds = statement.kinds;
  for (const auto& read : statement.reads) plan.reads.push_back(plan_access(program, actor, statement, read));
  plan.write = plan_access(program, actor, statement, statement.write);
  SY_CHECK(plan.write.checks.empty() && !plan.write.windowed, "a write that leaves its token");
  plan.to_port = static_cast<std::size_t>(statement.write.slot) < actor.ports.size();
  plan.expression = statement.expression;
  plan.combiner = statement.combiner;
  SY_CHECK(!plan.expression.nodes.empty() && static_cast<std::size_t>(plan.expression.input_count()) <= plan.reads.size(),
           "an expression over reads that do not exist");
  plan.contraction = statement.is_contraction();
  SY_TRY(plan.arithmetic, arithmetic_of(program, actor, plan));

  bool reduces = false;
  double points = 1;
  for (std::size_t i = 0; i < plan.dims.size(); ++i) {
    reduces = reduces || plan.kinds[i] != LoopKind::parallel;
    points *= static_cast<double>(actor.dims[static_cast<std::size_t>(plan.dims[i])].tile);
  }
  bool aliased = false;
  for (const AccessPlan& read : plan.reads) {
    if (read.slot == plan.write.slot && (reduces || !same_place(read, plan.write))) aliased = true;
  }
  plan.cost = points * (plan.expression.count(numerics::ScalarOpCost::special) > 0 ? 20.0 : 1.0);
  if (plan.contraction) {
    const auto& product = plan.expression.nodes[2];
    plan.first = plan.expression.nodes[static_cast<std::size_t>(product.a)].a;
    plan.second = plan.expression.nodes[static_cast<std::size_t>(product.b)].a;
  }
  const bool plain_copy = plan.combiner == numerics::Combiner::none && plan.expression.is_input() && !reduces &&
                          plan.reads[static_cast<std::size_t>(plan.expression.nodes[0].a)].format == plan.write.format;
  if (aliased) {
    plan.method = Method::sequential;
  } else if (plan.contraction && plan.arithmetic == Arithmetic::fp32) {
    plan.method = Method::contraction;
    classify(plan, statement);
    plan.cost = points / 32;
  } else if (plain_copy && plan.dims.size() <= kMaxCopyLoops - 2) {
    const AccessPlan& read = plan.reads[static_cast<std::size_t>(plan.expression.nodes[0].a)];
    const bool in_place = read.slot == plan.write.slot;
    plan.method = read.windowed || !read.checks.empty() || in_place ? Method::rows : Method::copy;
  }
  return plan;
}

StatementPlan in_parts(StatementPlan plan, std::uint64_t ports) {
  const auto stand = [&](AccessPlan& access) {
    if (access.slot >= 64 || access.part_step.empty() || ((ports >> access.slot) & 1) == 0) return;
    access.constant = access.part_constant;
    access.step = access.part_step;
  };
  for (AccessPlan& read : plan.reads) stand(read);
  stand(plan.write);
  return plan;
}

namespace {

/// Channel-wise products (depthwise convolution) have one matrix dimension of extent 1: their lanes run along the batch.
bool lanes_along_batch(const StatementPlan& plan, std::span<const std::int64_t> extents) {
  const auto product = [&](const std::vector<int>& places) {
    std::int64_t points = 1;
    for (const int place : places) points *= extents[static_cast<std::size_t>(place)];
    return points;
  };
  const std::int64_t m = product(plan.m), n = product(plan.n);
  const auto& first = plan.reads[static_cast<std::size_t>(plan.first)];
  const auto& second = plan.reads[static_cast<std::size_t>(plan.second)];
  for (const int place : plan.batch) {
    const auto i = static_cast<std::size_t>(place);
    if (extents[i] < 8) continue;
    if (m == 1 && n == 1) return true;
    if (std::min(m, n) == 1 && first.step[i] == 1 && second.step[i] == 1) return true;
  }
  return false;
}

void run_copy(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots) {
  const AccessPlan& read = plan.reads[static_cast<std::size_t>(plan.expression.nodes[0].a)];
  std::array<CopyLoop, kMaxCopyLoops> loops;
  for (std::size_t i = 0; i < extents.size(); ++i) loops[i] = {extents[i], read.step[i], plan.write.step[i]};
  copy_box(loops.data(), static_cast<int>(extents.size()), read.format,
           slots[static_cast<std::size_t>(read.slot)].data + read.constant * read.bytes, plan.write.format,
           slots[static_cast<std::size_t>(plan.write.slot)].data + plan.write.constant * plan.write.bytes);
}

/// What is combined of nothing.
void write_identity(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots) {
  const double identity = numerics::combiner_identity(plan.combiner);
  std::byte* const first = slots[static_cast<std::size_t>(plan.write.slot)].data + plan.write.constant * plan.write.bytes;
  std::vector<std::int64_t> index(extents.size(), 0);
  for (std::size_t d = 0; d < extents.size();) {
    std::int64_t at = 0;
    for (std::size_t i = 0; i < index.size(); ++i) at += index[i] * plan.write.step[i];
    numerics::store_element(plan.write.format, first + at * plan.write.bytes, identity);
    for (d = 0; d < index.size(); ++d) {  // the next point, whose order does not matter
      if (plan.kinds[d] == numerics::LoopKind::reduction) continue;
      if (++index[d] < extents[d]) break;
      index[d] = 0;
    }
  }
}

}  // namespace

void run_statement(const StatementPlan& plan, std::span<const std::int64_t> extents, std::span<const SlotView> slots,
                   Workspace& workspace) {
  bool nothing = false;
  for (std::size_t d = 0; d < extents.size(); ++d) {
    if (extents[d] > 0) continue;
    if (plan.kinds[d] != numerics::LoopKind::reduction || !plan.to_port || plan.combiner == numerics::Combiner::none) return;
    nothing = true;
  }
  if (nothing) return write_identity(plan, extents, slots);
  if (plan.method == Method::copy) {
    run_copy(plan, extents, slots);
  } else if (plan.method == Method::contraction && !lanes_along_batch(plan, extents)) {
    run_contraction(plan, extents, slots, workspace);
  } else {
    run_rows(plan, extents, slots, workspace);
  }
}

}  // namespace switchyard::simulation::functional
