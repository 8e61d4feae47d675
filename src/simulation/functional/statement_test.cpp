#include "simulation/functional/statement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "numerics/tensor.h"

namespace switchyard::simulation::functional {
namespace {

using numerics::Affine;
using numerics::Combiner;
using numerics::Expression;
using numerics::Format;
using numerics::LoopKind;
using numerics::ScalarOp;

/// An actor with one statement, and the bytes of its slots.
struct Case {
  program::Actor actor;
  std::vector<std::int64_t> extents;  ///< per dim
  std::vector<std::vector<std::byte>> slots;
  std::vector<std::vector<std::vector<std::byte>>> windows;  ///< of windowed slots
};

// ------------------------------------------------------------------------------------------------ the obviously right one

/// A value in the statement's arithmetic.
struct Value {
  double real = 0;
  std::int64_t whole = 0;
};

class ScalarReference {
 public:
  ScalarReference(Case& c, Arithmetic arithmetic) : c_(c), s_(c.actor.statements[0]), arithmetic_(arithmetic) {}

  void run() {
    bool in_order = false, reduces = false;
    for (const LoopKind kind : s_.kinds) reduces = reduces || kind != LoopKind::parallel;
    for (const auto& read : s_.reads) {
      if (read.slot == s_.write.slot) in_order = in_order || reduces || !(read.index == s_.write.index);
    }
    std::vector<std::int64_t> at(c_.actor.dims.size(), 0);
    for (const int d : s_.dims) {
      if (c_.extents[static_cast<std::size_t>(d)] <= 0) return;
    }
    if (in_order && starts_fresh() && s_.combiner != Combiner::none) {
      walk(at, 0, [&] { store(*locate(s_.write, at), identity()); });
    }
    std::map<std::byte*, Value> results;
    walk(at, 0, [&] {
      std::byte* const where = *locate(s_.write, at);
      if (results.count(where) == 0 || in_order) results[where] = starts_fresh() && !in_order ? identity() : load(s_.write.slot, where);
      results[where] = step(results[where], at);
      if (in_order) store(where, results[where]);
    });
    for (const auto& [where, value] : results) store(where, value);
  }

 private:
  template <class F>
  void walk(std::vector<std::int64_t>& at, std::size_t depth, const F& f) {
    if (depth == s_.dims.size()) return f();
    const auto d = static_cast<std::size_t>(s_.dims[depth]);
    for (at[d] = 0; at[d] < c_.extents[d]; ++at[d]) walk(at, depth + 1, f);
    at[d] = 0;
  }
  [[nodiscard]] bool integers() const { return arithmetic_ == Arithmetic::int32 || arithmetic_ == Arithmetic::int64; }
  [[nodiscard]] bool starts_fresh() const { return static_cast<std::size_t>(s_.write.slot) < c_.actor.ports.size(); }
  [[nodiscard]] const program::Token& token(int slot) const {
    const auto i = static_cast<std::size_t>(slot);
    return i < c_.actor.ports.size() ? c_.actor.ports[i].token : c_.actor.states[i - c_.actor.ports.size()].token;
  }
  [[nodiscard]] std::int64_t saturate(__int128 v) const {
    const __int128 least = arithmetic_ == Arithmetic::int32 ? INT32_MIN : INT64_MIN;
    const __int128 greatest = arithmetic_ == Arithmetic::int32 ? INT32_MAX : INT64_MAX;
    return static_cast<std::int64_t>(v < least ? least : v > greatest ? greatest : v);
  }
  [[nodiscard]] Value rounded(double v) const {
    if (integers()) return {0, std::isinf(v) ? saturate(v < 0 ? INT64_MIN : INT64_MAX) : static_cast<std::int64_t>(v)};
    return {arithmetic_ == Arithmetic::fp32 ? static_cast<double>(static_cast<float>(v)) : v, 0};
  }
  [[nodiscard]] Value identity() const { return rounded(numerics::combiner_identity(s_.combiner)); }

  [[nodiscard]] Value load(int slot, const std::byte* address) const {
    const Format format = token(slot).format;
    if (!integers()) return rounded(numerics::load_element(format, address));
    std::int64_t v = 0;
    if (format == Format::int64) {
      std::memcpy(&v, address, 8);
    } else {
      v = static_cast<std::int64_t>(numerics::load_element(format, address));
    }
    return {0, v};
  }
  void store(std::byte* address, Value value) const {
    const Format format = token(s_.write.slot).format;
    if (integers() && format == Format::int64) {
      std::memcpy(address, &value.whole, 8);
    } else {
      numerics::store_element(format, address, integers() ? static_cast<double>(value.whole) : value.real);
    }
  }
  std::optional<std::byte*> locate(const numerics::Access& access, const std::vector<std::int64_t>& at) {
    const program::Token& t = token(access.slot);
    const auto strides = t.strides();
    const auto slot = static_cast<std::size_t>(access.slot);
    std::byte* base = c_.slots[slot].data();
    std::size_t first = 0;
    if (!c_.windows[slot].empty()) {
      const std::int64_t position = access.index[first++].at(at);
      if (position < 0 || position >= static_cast<std::int64_t>(c_.windows[slot].size())) return std::nullopt;
      base = c_.windows[slot][static_cast<std::size_t>(position)].data();
    }
    std::int64_t offset = 0;
    for (std::size_t d = 0; d < t.shape.size(); ++d) {
      const std::int64_t i = access.index[d + first].at(at);
      if (i < 0 || i >= t.shape[d]) return std::nullopt;
      offset += i * strides[d];
    }
    return base + offset * numerics::format_bytes(t.format);
  }
  Value read(const numerics::Access& access, const std::vector<std::int64_t>& at) {
    const auto where = locate(access, at);
    if (where) return load(access.slot, *where);
    EXPECT_TRUE(access.fill.has_value());
    return rounded(*access.fill);
  }
  Value step(Value acc, const std::vector<std::int64_t>& at) {
    std::vector<Value> values;
    const auto& nodes = s_.expression.nodes;
    for (const auto& node : nodes) {
      const auto operand = [&](int n) { return n < 0 ? Value{} : values[static_cast<std::size_t>(n)]; };
      if (node.op == ScalarOp::input) {
        values.push_back(read(s_.reads[static_cast<std::size_t>(node.a)], at));
      } else if (node.op == ScalarOp::constant) {
        values.push_back(rounded(node.constant));
      } else if (integers()) {
        values.push_back({0, integer(node.op, operand(node.a).whole, operand(node.b).whole, operand(node.c).whole)});
      } else {
        values.push_back(rounded(numerics::apply_scalar(node.op, operand(node.a).real, operand(node.b).real, operand(node.c).real)));
      }
    }
    if (s_.is_contraction()) {
      const Value x = values[static_cast<std::size_t>(nodes[2].a)], w = values[static_cast<std::size_t>(nodes[2].b)];
      if (integers()) return {0, saturate(static_cast<__int128>(x.whole) * w.whole + acc.whole)};
      if (arithmetic_ == Arithmetic::fp64) return {std::fma(x.real, w.real, acc.real), 0};
      return {static_cast<double>(std::fma(static_cast<float>(x.real), static_cast<float>(w.real), static_cast<float>(acc.real))), 0};
    }
    const Value v = values.back();
    if (!integers()) return rounded(numerics::combine(s_.combiner, acc.real, v.real));
    switch (s_.combiner) {
      case Combiner::none: return v;
      case Combiner::add: return {0, saturate(static_cast<__int128>(acc.whole) + v.whole)};
      case Combiner::mul: return {0, saturate(static_cast<__int128>(acc.whole) * v.whole)};
      case Combiner::max: return {0, std::max(acc.whole, v.whole)};
      case Combiner::min: return {0, std::min(acc.whole, v.whole)};
    }
    return v;
  }
  std::int64_t integer(ScalarOp op, std::int64_t a, std::int64_t b, std::int64_t c) const {
    switch (op) {
      case ScalarOp::add: return saturate(static_cast<__int128>(a) + b);
      case ScalarOp::sub: return saturate(static_cast<__int128>(a) - b);
      case ScalarOp::mul: return saturate(static_cast<__int128>(a) * b);
      case ScalarOp::max: return std::max(a, b);
      case ScalarOp::min: return std::min(a, b);
      case ScalarOp::select: return a != 0 ? b : c;
      default:
        return static_cast<std::int64_t>(
            numerics::apply_scalar(op, static_cast<double>(a), static_cast<double>(b), static_cast<double>(c)));
    }
  }

  Case& c_;
  const program::Statement& s_;
  Arithmetic arithmetic_;
};

// ---------------------------------------------------------------------------------------------------------- random cases

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::int64_t in(std::int64_t least, std::int64_t greatest) {
    return least + static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(greatest - least + 1));
  }
  bool chance(int percent) { return in(0, 99) < percent; }
  template <class T>
  T of(std::initializer_list<T> list) {
    return list.begin()[in(0, static_cast<std::int64_t>(list.size()) - 1)];
  }
  double real() { return static_cast<double>(in(-40000, 40000)) / 9973.0; }

 private:
  std::mt19937_64 engine_;
};

program::Token make_token(Random& random, Format format, std::vector<std::int64_t> shape) {
  program::Token token;
  token.format = format;
  token.shape = std::move(shape);
  for (std::size_t i = 0; i < token.shape.size(); ++i) {
    token.order.insert(token.order.begin() + random.in(0, static_cast<std::int64_t>(i)), static_cast<int>(i));
  }
  token.pad = random.of<std::int64_t>({1, 1, 4});
  return token;
}

std::vector<std::byte> random_bytes(Random& random, const program::Token& token) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(token.bytes()));
  const int size = numerics::format_bytes(token.format);
  for (std::size_t i = 0; i < bytes.size(); i += static_cast<std::size_t>(size)) {
    numerics::store_element(token.format, bytes.data() + i,
                            random.chance(3) ? 0.0 : random.real() * (numerics::format_info(token.format).floating ? 1 : 3));
  }
  return bytes;
}

struct Kind {
  std::vector<Format> formats;
  Format state;
};

/// Adds an input port read by `access` over `dims`; its token fits the reach, or less of it with a fill.
numerics::Access add_read(Random& random, Case& c, Format format, const std::vector<std::vector<Affine>>& choices) {
  std::vector<std::int64_t> tiles;
  for (const auto& dim : c.actor.dims) tiles.push_back(dim.tile);
  numerics::Access access;
  access.slot = static_cast<int>(c.actor.ports.size());
  const auto& indices = choices[0];
  std::vector<std::int64_t> shape;
  if (random.chance(35)) access.fill = random.of<double>({0.0, 0.0, 1.0, -INFINITY});
  const bool windowed = random.chance(25) && indices.size() > 1;
  std::int64_t peek = 0;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    numerics::Interval reach = numerics::range_over(indices[d], tiles);
    Affine index = indices[d] + numerics::affine_constant(-reach.least);
    std::int64_t extent = reach.greatest - reach.least + 1;
    if (access.fill && random.chance(60)) {
      const std::int64_t cut = random.in(0, std::min<std::int64_t>(2, extent - 1));
      index = index + numerics::affine_constant(-cut);
      extent = std::max<std::int64_t>(1, extent - 2 * cut);
    }
    access.index.push_back(index);
    if (windowed && d == 0) {
      peek = extent;
    } else {
      shape.push_back(extent);
    }
  }
  program::Port port;
  port.token = make_token(random, format, shape);
  if (windowed) port.window = program::Window{0, peek, 1, 0, 0, false, 0};
  c.actor.ports.push_back(port);
  c.slots.push_back(random_bytes(random, port.token));
  auto& window = c.windows.emplace_back();
  for (std::int64_t i = 0; i < peek; ++i) window.push_back(random_bytes(random, port.token));
  return access;
}

Affine random_index(Random& random, const std::vector<int>& dims) {
  Affine index;
  for (const int d : dims) {
    if (random.chance(50)) index = index + numerics::affine_variable(d, random.of<std::int64_t>({1, 1, 1, 2, -1}));
  }
  return index;
}

Expression random_expression(Random& random, int inputs, bool floating) {
  Expression e = numerics::expr_input(0);
  for (int i = 1; i < inputs; ++i) {
    const auto op = floating
                        ? random.of<ScalarOp>({ScalarOp::add, ScalarOp::sub, ScalarOp::mul, ScalarOp::div, ScalarOp::max, ScalarOp::pow})
                        : random.of<ScalarOp>({ScalarOp::add, ScalarOp::sub, ScalarOp::mul, ScalarOp::max, ScalarOp::less});
    e = numerics::apply(op, e, numerics::expr_input(i));
  }
  if (random.chance(50))
    e = numerics::apply(random.of<ScalarOp>({ScalarOp::max, ScalarOp::min, ScalarOp::add, ScalarOp::equal}), e, numerics::expr_constant(1));
  if (random.chance(30)) e = numerics::apply(ScalarOp::select, e, numerics::expr_input(0), numerics::expr_constant(2));
  if (floating && random.chance(40)) {
    e = numerics::apply(
        random.of<ScalarOp>({ScalarOp::exp, ScalarOp::sqrt, ScalarOp::tanh, ScalarOp::erf, ScalarOp::sigmoid, ScalarOp::reciprocal,
                             ScalarOp::floor, ScalarOp::ceil, ScalarOp::log, ScalarOp::neg, ScalarOp::abs, ScalarOp::logical_not}),
        e);
  }
  return e;
}

/// Any statement: parallel dims are written one to one, in any grouping; reductions are left out of the write.
Case random_case(Random& random, bool contraction) {
  Case c;
  const auto count = random.in(1, 5);
  std::vector<int> dims;
  program::Statement s;
  std::int64_t points = 1;
  std::vector<int> parallel;
  for (int d = 0; d < count; ++d) {
    std::int64_t tile = random.of<std::int64_t>({1, 2, 3, 5, 8, 17, 40, 70});
    if (points * tile > 20000) tile = 2;
    points *= tile;
    c.actor.dims.push_back({"d", tile, tile, {}});
    c.extents.push_back(random.chance(70) ? tile : random.in(1, tile));
    dims.push_back(d);
  }
  for (std::size_t i = dims.size(); i > 1; --i)
    std::swap(dims[i - 1], dims[static_cast<std::size_t>(random.in(0, static_cast<std::int64_t>(i) - 1))]);
  s.dims = dims;
  for (const int d : dims) {
    s.kinds.push_back(random.chance(65) ? LoopKind::parallel : LoopKind::reduction);
    if (s.kinds.back() == LoopKind::parallel) parallel.push_back(d);
  }
  const Kind kind = random.of<Kind>({{{Format::fp32, Format::bf16, Format::fp16}, Format::fp32},
                                     {{Format::bf16, Format::bf16}, Format::fp32},
                                     {{Format::fp32, Format::int8, Format::int32}, Format::fp32},
                                     {{Format::int8, Format::uint8, Format::boolean}, Format::int32},
                                     {{Format::int64, Format::int32}, Format::int64},
                                     {{Format::fp64, Format::fp32}, Format::fp64}});
  const bool floating = numerics::format_info(kind.state).floating;
  const auto any_format = [&] {
    return kind.formats[static_cast<std::size_t>(random.in(0, static_cast<std::int64_t>(kind.formats.size()) - 1))];
  };

  const int reads = contraction ? 2 : static_cast<int>(random.in(1, 3));
  for (int r = 0; r < reads; ++r) {
    std::vector<Affine> index;
    const auto rank = random.in(1, 3);
    for (int i = 0; i < rank; ++i) index.push_back(random_index(random, dims));
    s.reads.push_back(add_read(random, c, any_format(), {index}));
  }
  s.combiner = contraction ? Combiner::add
               : parallel.size() == dims.size()
                   ? random.of<Combiner>({Combiner::none, Combiner::none, Combiner::add, Combiner::max})
                   : random.of<Combiner>({Combiner::add, Combiner::mul, Combiner::max, Combiner::min, Combiner::none});
  s.expression = contraction ? numerics::apply(ScalarOp::mul, numerics::expr_input(0), numerics::expr_input(1))
                             : (random.chance(20) ? numerics::expr_input(0) : random_expression(random, reads, floating));

  // The write: each parallel dim alone, or the last two as one index.
  std::vector<std::int64_t> shape;
  numerics::Access write;
  for (std::size_t i = 0; i < parallel.size(); ++i) {
    const int d = parallel[i];
    const std::int64_t tile = c.actor.dims[static_cast<std::size_t>(d)].tile;
    if (i + 2 == parallel.size() && random.chance(30)) {
      const int next = parallel[i + 1];
      const std::int64_t inner = c.actor.dims[static_cast<std::size_t>(next)].tile;
      write.index.push_back(numerics::affine_variable(d, inner) + numerics::affine_variable(next));
      shape.push_back(tile * inner);
      break;
    }
    write.index.push_back(numerics::affine_variable(d));
    shape.push_back(tile + random.in(0, 1));
  }
  if (shape.empty() || random.chance(15)) {
    write.index.push_back(numerics::affine_constant(1));
    shape.push_back(2);
  }
  const bool to_state = random.chance(50);
  const program::Token token = make_token(random, to_state && random.chance(70) ? kind.state : any_format(), shape);
  write.slot = static_cast<int>(c.actor.ports.size());
  if (to_state) {
    c.actor.states.push_back({"s", token, 0, {}, {}, 0, 0});
  } else {
    program::Port port;
    port.input = false;
    port.token = token;
    c.actor.ports.push_back(port);
  }
  c.slots.push_back(random_bytes(random, token));
  c.windows.emplace_back();
  s.write = write;
  if (!contraction && random.chance(15)) {  // reads what it writes, at the same place or elsewhere
    numerics::Access again = write;
    if (random.chance(30)) {
      for (auto& index : again.index) index.constant = 0;
    }
    s.reads[0] = again;
  }
  c.actor.statements.push_back(s);
  c.actor.loops.push_back({"l", 1, LoopKind::parallel});
  return c;
}

bool same_values(Format format, const std::vector<std::byte>& a, const std::vector<std::byte>& b, std::string& where) {
  const auto size = static_cast<std::size_t>(numerics::format_bytes(format));
  for (std::size_t i = 0; i < a.size(); i += size) {
    if (std::memcmp(a.data() + i, b.data() + i, size) == 0) continue;
    const double x = numerics::load_element(format, a.data() + i), y = numerics::load_element(format, b.data() + i);
    if (std::isnan(x) && std::isnan(y)) continue;
    where = "element " + std::to_string(i / size) + ": " + std::to_string(x) + " instead of " + std::to_string(y);
    return false;
  }
  return true;
}

void check(Case& c, const std::string& label) {
  program::Program program;
  const auto plan = plan_statement(program, c.actor, c.actor.statements[0]);
  ASSERT_TRUE(plan.ok()) << label;
  Case expected = c;
  ScalarReference(expected, plan.value().arithmetic).run();
  std::vector<SlotView> views;
  std::vector<std::vector<const std::byte*>> tables(c.slots.size());
  for (std::size_t i = 0; i < c.slots.size(); ++i) {
    for (const auto& window : c.windows[i]) tables[i].push_back(window.data());
    views.push_back({c.slots[i].data(), tables[i].empty() ? nullptr : tables[i].data()});
  }
  std::vector<std::int64_t> extents;
  for (const int d : c.actor.statements[0].dims) extents.push_back(c.extents[static_cast<std::size_t>(d)]);
  Workspace workspace;
  run_statement(plan.value(), extents, views, workspace);
  const auto w = static_cast<std::size_t>(c.actor.statements[0].write.slot);
  const Format format = w < c.actor.ports.size() ? c.actor.ports[w].token.format : c.actor.states[w - c.actor.ports.size()].token.format;
  std::string where;
  ASSERT_TRUE(same_values(format, c.slots[w], expected.slots[w], where))
      << label << " method " << static_cast<int>(plan.value().method) << " " << numerics::format_name(format) << " "
      << numerics::print_expression(c.actor.statements[0].expression) << " combiner "
      << numerics::combiner_name(c.actor.statements[0].combiner) << ": " << where;
}

TEST(Statement, EqualsTheScalarReferenceOnRandomNests) {
  for (std::uint64_t seed = 1; seed <= 250; ++seed) {
    Random random(seed);
    Case c = random_case(random, false);
    check(c, "seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
  }
}

TEST(Statement, EqualsTheScalarReferenceOnRandomContractions) {
  for (std::uint64_t seed = 1; seed <= 250; ++seed) {
    Random random(seed);
    Case c = random_case(random, true);
    check(c, "seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
  }
}

// ------------------------------------------------------------------------------------------------------- chosen contractions

struct Matmul {
  std::int64_t m, n, k;
  Format in, out;
  bool state, b_transposed, c_transposed;
};

TEST(Statement, MatmulsOfManyShapes) {
  const std::vector<Matmul> table = {
      {1, 1, 1, Format::fp32, Format::fp32, true, false, false},     {13, 33, 5, Format::fp32, Format::fp32, true, false, false},
      {12, 32, 400, Format::bf16, Format::fp32, true, true, false},  {25, 65, 385, Format::bf16, Format::bf16, false, true, false},
      {1, 100, 50, Format::fp16, Format::fp16, false, false, false}, {100, 1, 50, Format::fp16, Format::fp32, false, false, true},
      {50, 40, 33, Format::fp32, Format::fp32, true, true, true},    {7, 390, 17, Format::bf16, Format::fp32, false, false, false},
      {241, 18, 9, Format::fp32, Format::bf16, true, true, true},    {3, 5, 800, Format::int8, Format::int32, true, true, false},
      {20, 20, 20, Format::fp64, Format::fp64, true, false, false}};
  for (const Matmul& t : table) {
    Random random(static_cast<std::uint64_t>(t.m * 1000 + t.n));
    Case c;
    for (const std::int64_t extent : {t.m, t.n, t.k}) {
      c.actor.dims.push_back({"d", extent, extent, {}});
      c.extents.push_back(extent);
    }
    const auto slot = [&](Format format, std::vector<std::int64_t> shape, bool transposed) {
      program::Token token{format, std::move(shape), {0, 1}, 1};
      if (transposed) token.order = {1, 0};
      c.slots.push_back(random_bytes(random, token));
      c.windows.emplace_back();
      return token;
    };
    const auto v = [](int d) { return numerics::affine_variable(d); };
    program::Port a, b, out;
    a.token = slot(t.in, {t.m, t.k}, false);
    b.token = slot(t.in, {t.k, t.n}, t.b_transposed);
    c.actor.ports = {a, b};
    out.input = false;
    out.token = slot(t.out, {t.m, t.n}, t.c_transposed);
    if (t.state) {
      c.actor.states.push_back({"acc", out.token, 0, {}, {}, 0, 0});
    } else {
      c.actor.ports.push_back(out);
    }
    program::Statement s;
    s.dims = {0, 1, 2};
    s.kinds = {LoopKind::parallel, LoopKind::parallel, LoopKind::reduction};
    s.reads = {{0, {v(0), v(2)}, {}}, {1, {v(2), v(1)}, {}}};
    s.expression = numerics::apply(ScalarOp::mul, numerics::expr_input(0), numerics::expr_input(1));
    s.combiner = Combiner::add;
    s.write = {2, {v(0), v(1)}, {}};
    c.actor.statements = {s};
    c.actor.loops.push_back({"l", 1, LoopKind::parallel});
    check(c, "matmul " + std::to_string(t.m) + "x" + std::to_string(t.n) + "x" + std::to_string(t.k));
  }
}

}  // namespace
}  // namespace switchyard::simulation::functional
