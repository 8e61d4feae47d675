#include "numerics/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

#include "numerics/bit_cast.h"
#include "numerics/random.h"
#include "numerics/transcendental.h"
#include "support/check.h"

namespace switchyard::numerics {

namespace {

// In the order of the enumeration; scalar_op_info() relies on it.
constexpr std::array<ScalarOpInfo, 44> kOps = {{
    {ScalarOp::input, "input", 0, ScalarOpCost::free},        {ScalarOp::constant, "constant", 0, ScalarOpCost::free},
    {ScalarOp::neg, "neg", 1, ScalarOpCost::simple},          {ScalarOp::abs, "abs", 1, ScalarOpCost::simple},
    {ScalarOp::exp, "exp", 1, ScalarOpCost::special},         {ScalarOp::log, "log", 1, ScalarOpCost::special},
    {ScalarOp::sqrt, "sqrt", 1, ScalarOpCost::special},       {ScalarOp::reciprocal, "reciprocal", 1, ScalarOpCost::special},
    {ScalarOp::tanh, "tanh", 1, ScalarOpCost::special},       {ScalarOp::erf, "erf", 1, ScalarOpCost::special},
    {ScalarOp::sigmoid, "sigmoid", 1, ScalarOpCost::special}, {ScalarOp::floor, "floor", 1, ScalarOpCost::simple},
    {ScalarOp::ceil, "ceil", 1, ScalarOpCost::simple},        {ScalarOp::logical_not, "not", 1, ScalarOpCost::simple},
    {ScalarOp::add, "add", 2, ScalarOpCost::simple},          {ScalarOp::sub, "sub", 2, ScalarOpCost::simple},
    {ScalarOp::mul, "mul", 2, ScalarOpCost::simple},          {ScalarOp::div, "div", 2, ScalarOpCost::special},
    {ScalarOp::max, "max", 2, ScalarOpCost::simple},          {ScalarOp::min, "min", 2, ScalarOpCost::simple},
    {ScalarOp::pow, "pow", 2, ScalarOpCost::special},         {ScalarOp::less, "less", 2, ScalarOpCost::simple},
    {ScalarOp::equal, "equal", 2, ScalarOpCost::simple},      {ScalarOp::select, "select", 3, ScalarOpCost::simple},
    {ScalarOp::sin, "sin", 1, ScalarOpCost::special},         {ScalarOp::cos, "cos", 1, ScalarOpCost::special},
    {ScalarOp::tan, "tan", 1, ScalarOpCost::special},         {ScalarOp::asin, "asin", 1, ScalarOpCost::special},
    {ScalarOp::acos, "acos", 1, ScalarOpCost::special},       {ScalarOp::atan, "atan", 1, ScalarOpCost::special},
    {ScalarOp::sinh, "sinh", 1, ScalarOpCost::special},       {ScalarOp::cosh, "cosh", 1, ScalarOpCost::special},
    {ScalarOp::asinh, "asinh", 1, ScalarOpCost::special},     {ScalarOp::acosh, "acosh", 1, ScalarOpCost::special},
    {ScalarOp::atanh, "atanh", 1, ScalarOpCost::special},     {ScalarOp::round, "round", 1, ScalarOpCost::simple},
    {ScalarOp::remainder, "rem", 2, ScalarOpCost::special},   {ScalarOp::bit_and, "bit_and", 2, ScalarOpCost::simple},
    {ScalarOp::bit_or, "bit_or", 2, ScalarOpCost::simple},    {ScalarOp::bit_xor, "bit_xor", 2, ScalarOpCost::simple},
    {ScalarOp::shift_left, "shl", 2, ScalarOpCost::simple},   {ScalarOp::shift_right, "shr", 2, ScalarOpCost::simple},
    {ScalarOp::cast, "cast", 2, ScalarOpCost::simple},        {ScalarOp::random, "random", 3, ScalarOpCost::simple, kRandomSteps},
}};

static_assert([] {
  for (std::size_t i = 0; i < kOps.size(); ++i) {
    if (static_cast<std::size_t>(kOps[i].op) != i) return false;
  }
  return true;
}());

constexpr int kMaxInput = 9999;          // of a parsed text: owners size tables by it
constexpr std::size_t kMaxNodes = 4096;  // of a parsed text: interning is a search
constexpr int kMaxDepth = 500;           // of a parsed text: the reader recurses

/// The place of `node` among `nodes`, appended when it is new.
int intern(std::vector<Expression::Node>& nodes, const Expression::Node& node) {
  const auto found = std::find(nodes.begin(), nodes.end(), node);
  if (found != nodes.end()) return static_cast<int>(found - nodes.begin());
  nodes.push_back(node);
  return static_cast<int>(nodes.size()) - 1;
}

/// Interns all nodes of `e`; the place of its result.
int intern_all(std::vector<Expression::Node>& nodes, const Expression& e) {
  SY_CHECK(!e.nodes.empty(), "an empty expression");
  std::vector<int> place;
  place.reserve(e.nodes.size());
  for (Expression::Node node : e.nodes) {
    if (node.op != ScalarOp::input) {
      for (int* operand : {&node.a, &node.b, &node.c}) {
        if (*operand >= 0) *operand = place[static_cast<std::size_t>(*operand)];
      }
    }
    place.push_back(intern(nodes, node));
  }
  return place.back();
}

Expression apply_to(ScalarOp op, std::initializer_list<const Expression*> operands) {
  SY_CHECK(scalar_op_info(op).arity == static_cast<int>(operands.size()) && operands.size() > 0, "wrong number of operands");
  Expression result;
  Expression::Node node{op};
  std::array<int*, 3> places = {&node.a, &node.b, &node.c};
  std::size_t next = 0;
  for (const Expression* operand : operands) *places[next++] = intern_all(result.nodes, *operand);
  intern(result.nodes, node);
  return result;
}

class ExpressionReader {
 public:
  explicit ExpressionReader(std::string_view text) : text_(text) {}

  std::optional<Expression> read() {
    if (!read_node(0)) return std::nullopt;
    skip_space();
    if (at_ != text_.size()) return std::nullopt;
    return std::move(result_);
  }

 private:
  static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '+';
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::optional<int> add(const Expression::Node& node) {
    const int place = intern(result_.nodes, node);
    if (result_.nodes.size() > kMaxNodes) return std::nullopt;
    return place;
  }

  std::optional<int> read_node(int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    if (word.empty()) return std::nullopt;
    if (take('(')) return read_call(word, depth);
    if (word[0] == 'x') return read_input(word.substr(1));
    return read_number(word);
  }

  std::optional<int> read_call(std::string_view name, int depth) {
    const auto op = scalar_op_named(name);
    if (!op || scalar_op_info(*op).arity == 0) return std::nullopt;
    Expression::Node node{*op};
    const std::array<int*, 3> places = {&node.a, &node.b, &node.c};
    const int arity = scalar_op_info(*op).arity;
    for (int i = 0; i < arity; ++i) {
      if (i > 0 && !take(',')) return std::nullopt;
      const auto operand = read_node(depth + 1);
      if (!operand) return std::nullopt;
      *places[static_cast<std::size_t>(i)] = *operand;
    }
    if (!take(')')) return std::nullopt;
    return add(node);
  }

  std::optional<int> read_input(std::string_view digits) {
    int number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number < 0 || number > kMaxInput) return std::nullopt;
    return add({ScalarOp::input, number});
  }

  std::optional<int> read_number(std::string_view word) {
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return add(expr_constant(value).nodes[0]);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Expression result_;
};

void print_node(const Expression& e, int place, std::string& out) {
  const Expression::Node& node = e.nodes[static_cast<std::size_t>(place)];
  if (node.op == ScalarOp::input) {
    fmt::format_to(std::back_inserter(out), "x{}", node.a);
    return;
  }
  if (node.op == ScalarOp::constant) {
    if (std::isnan(node.constant)) {
      out += "nan";
    } else {
      fmt::format_to(std::back_inserter(out), "{}", node.constant);  // the shortest text that reads back to the same number
    }
    return;
  }
  out += scalar_op_info(node.op).name;
  out += '(';
  const std::array<int, 3> operands = {node.a, node.b, node.c};
  for (int i = 0; i < scalar_op_info(node.op).arity; ++i) {
    if (i > 0) out += ", ";
    print_node(e, operands[static_cast<std::size_t>(i)], out);
  }
  out += ')';
}

}  // namespace

const ScalarOpInfo& scalar_op_info(ScalarOp op) {
  const auto i = static_cast<std::size_t>(op);
  SY_CHECK(i < kOps.size(), "unknown scalar operation");
  return kOps[i];
}

std::optional<ScalarOp> scalar_op_named(std::string_view name) {
  for (const ScalarOpInfo& info : kOps) {
    if (info.name == name) return info.op;
  }
  return std::nullopt;
}

bool Expression::is_product_of_inputs() const {
  if (nodes.size() != 3 || nodes[2].op != ScalarOp::mul) return false;
  const Node& a = nodes[0];
  const Node& b = nodes[1];
  return a.op == ScalarOp::input && b.op == ScalarOp::input && a.a != b.a && nodes[2].a != nodes[2].b;
}

int Expression::input_count() const {
  int count = 0;
  for (const Node& node : nodes) {
    if (node.op == ScalarOp::input) count = std::max(count, node.a + 1);
  }
  return count;
}

int Expression::count(ScalarOpCost cost) const {
  int steps = 0;
  for (const Node& n : nodes) steps += scalar_op_info(n.op).cost == cost ? scalar_op_info(n.op).steps : 0;
  return steps;
}

Expression expr_input(int number) {
  SY_CHECK(number >= 0, "a negative input number");
  return {{{ScalarOp::input, number}}};
}

Expression expr_constant(double value) {
  Expression::Node node{ScalarOp::constant};
  node.constant = std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;  // one NaN: texts do not keep payloads
  return {{node}};
}

Expression apply(ScalarOp op, const Expression& a) { return apply_to(op, {&a}); }
Expression apply(ScalarOp op, const Expression& a, const Expression& b) { return apply_to(op, {&a, &b}); }
Expression apply(ScalarOp op, const Expression& a, const Expression& b, const Expression& c) { return apply_to(op, {&a, &b, &c}); }

Expression substitute(const Expression& e, std::span<const Expression> with) {
  Expression result;
  std::vector<int> place;
  for (Expression::Node node : e.nodes) {
    if (node.op == ScalarOp::input) {
      SY_CHECK(node.a >= 0 && static_cast<std::size_t>(node.a) < with.size(), "an input without a substitute");
      place.push_back(intern_all(result.nodes, with[static_cast<std::size_t>(node.a)]));
      continue;
    }
    for (int* operand : {&node.a, &node.b, &node.c}) {
      if (*operand >= 0) *operand = place[static_cast<std::size_t>(*operand)];
    }
    place.push_back(intern(result.nodes, node));
  }
  return result;
}

namespace {

// In ONNX's numbering of data types.
constexpr std::array<std::pair<int, Format>, 24> kCastTargets{
    {{1, Format::fp32},      {2, Format::uint8},         {3, Format::int8},    {4, Format::uint16},    {5, Format::int16},
     {6, Format::int32},     {7, Format::int64},         {9, Format::boolean}, {10, Format::fp16},     {11, Format::fp64},
     {12, Format::uint32},   {13, Format::uint64},       {16, Format::bf16},   {17, Format::fp8_e4m3}, {18, Format::fp8_e4m3fnuz},
     {19, Format::fp8_e5m2}, {20, Format::fp8_e5m2fnuz}, {21, Format::uint4},  {22, Format::int4},     {23, Format::fp4_e2m1},
     {24, Format::e8m0},     {25, Format::uint2},        {26, Format::int2},   {27, Format::fp6_e2m3}}};

std::int64_t bits_of(double value) {
  if (!(std::fabs(value) < 0x1p63))
    return value >= 0x1p63 && value < 0x1p64 ? static_cast<std::int64_t>(static_cast<std::uint64_t>(value)) : 0;
  return static_cast<std::int64_t>(value);
}
double shifted(double a, double b, bool left) {
  const auto bits = static_cast<std::uint64_t>(bits_of(a));
  if (!(b >= 0 && b < 64)) return 0;
  return static_cast<double>(left ? bits << static_cast<int>(b) : bits >> static_cast<int>(b));
}

constexpr double kBitCast = 10000;  // codes from here on: the same bits as another type, 10000 + 100 from + to

double bit_cast_value(double code, double value) {
  const auto format = [](int number) {
    for (const auto& [known, f] : kCastTargets) {
      if (known == number) return f;
    }
    return Format::fp32;
  };
  if (!(code < 2 * kBitCast)) return value;
  const int types = static_cast<int>(code - kBitCast);
  const Format from = format(types / 100), to = format(types % 100);
  std::array<std::byte, sizeof(double)> bytes{};
  store_element(from, bytes.data(), value);
  return load_element(to, bytes.data());
}

}  // namespace

double bit_cast_code(Format from, Format to) {
  const auto number = [](Format format) {
    for (const auto& [known, f] : kCastTargets) {
      if (f == format) return known;
    }
    SY_CHECK(false, "a format nothing is cast to");
  };
  SY_CHECK(format_bytes(from) == format_bytes(to), "the same bits need the same width");
  return kBitCast + 100 * number(from) + number(to);
}
bool is_bit_cast(double code) { return code >= kBitCast; }

double cast_code(const CastRule& rule) {
  for (const auto& [number, format] : kCastTargets) {
    if (format == rule.to)
      return number + (rule.overflow == Overflow::nonfinite ? 100 : 0) + (rule.mode == RoundingMode::down ? 200 : 0) +
             (rule.mode == RoundingMode::up ? 400 : 0);
  }
  SY_CHECK(false, "a format nothing is cast to");
}

CastRule cast_rule(double code) {
  if (!(code >= 0 && code < 1000)) return {};
  const int all = static_cast<int>(code);
  CastRule rule;
  rule.mode = all / 200 == 1 ? RoundingMode::down : all / 200 == 2 ? RoundingMode::up : RoundingMode::nearest;
  rule.overflow = all / 100 % 2 == 1 ? Overflow::nonfinite : Overflow::saturate;
  for (const auto& [number, format] : kCastTargets) {
    if (number == all % 100) rule.to = format;
  }
  return rule;
}

double apply_scalar(ScalarOp op, double a, double b, double c) {
  switch (op) {
    case ScalarOp::input:
    case ScalarOp::constant: return a;
    case ScalarOp::neg: return -a;
    case ScalarOp::abs: return std::fabs(a);
    case ScalarOp::exp: return portable::exp(a);
    case ScalarOp::log: return portable::log(a);
    case ScalarOp::sqrt: return std::sqrt(a);
    case ScalarOp::reciprocal: return 1.0 / a;
    case ScalarOp::tanh: return portable::tanh(a);
    case ScalarOp::erf: return portable::erf(a);
    case ScalarOp::sigmoid: return 1.0 / (1.0 + portable::exp(-a));
    case ScalarOp::floor: return std::floor(a);
    case ScalarOp::ceil: return std::ceil(a);
    case ScalarOp::logical_not: return a == 0 ? 1.0 : 0.0;
    case ScalarOp::add: return a + b;
    case ScalarOp::sub: return a - b;
    case ScalarOp::mul: return a * b;
    case ScalarOp::div: return a / b;
    // The first operand wins only when it is greater, or a NaN: NaNs of either side come through.
    case ScalarOp::max: return a > b || a != a ? a : b;
    case ScalarOp::min: return a < b || a != a ? a : b;
    case ScalarOp::pow: return portable::pow(a, b);
    case ScalarOp::less: return a < b ? 1.0 : 0.0;
    case ScalarOp::equal: return a == b ? 1.0 : 0.0;
    case ScalarOp::select: return a != 0 ? b : c;
    case ScalarOp::sin: return portable::sin(a);
    case ScalarOp::cos: return portable::cos(a);
    case ScalarOp::tan: return portable::tan(a);
    case ScalarOp::asin: return portable::asin(a);
    case ScalarOp::acos: return portable::acos(a);
    case ScalarOp::atan: return portable::atan(a);
    case ScalarOp::sinh: return portable::sinh(a);
    case ScalarOp::cosh: return portable::cosh(a);
    case ScalarOp::asinh: return portable::asinh(a);
    case ScalarOp::acosh: return portable::acosh(a);
    case ScalarOp::atanh: return portable::atanh(a);
    case ScalarOp::round: return std::nearbyint(a);
    case ScalarOp::remainder: return std::fmod(a, b);
    case ScalarOp::bit_and: return static_cast<double>(bits_of(a) & bits_of(b));
    case ScalarOp::bit_or: return static_cast<double>(bits_of(a) | bits_of(b));
    case ScalarOp::bit_xor: return static_cast<double>(bits_of(a) ^ bits_of(b));
    case ScalarOp::shift_left: return shifted(a, b, true);
    case ScalarOp::shift_right: return shifted(a, b, false);
    case ScalarOp::cast: {
      if (b >= kBitCast) return bit_cast_value(b, a);
      const CastRule rule = cast_rule(b);
      return cast_value(rule.to, a, rule.overflow, rule.mode);
    }
    case ScalarOp::random: return random_uniform(a, b, c);
  }
  SY_CHECK(false, "unknown scalar operation");
}

double evaluate(const Expression& e, std::span<const double> inputs) {
  constexpr std::size_t kFew = 32;
  std::array<double, kFew> few;
  std::vector<double> many;
  double* values = few.data();
  if (e.nodes.size() > kFew) {
    many.resize(e.nodes.size());
    values = many.data();
  }
  for (std::size_t i = 0; i < e.nodes.size(); ++i) {
    const Expression::Node& node = e.nodes[i];
    if (node.op == ScalarOp::input) {
      values[i] = inputs[static_cast<std::size_t>(node.a)];
    } else if (node.op == ScalarOp::constant) {
      values[i] = node.constant;
    } else {
      values[i] = apply_scalar(node.op, values[node.a], node.b >= 0 ? values[node.b] : 0, node.c >= 0 ? values[node.c] : 0);
    }
  }
  SY_CHECK(!e.nodes.empty(), "an empty expression");
  return values[e.nodes.size() - 1];
}

std::string print_expression(const Expression& e) {
  std::string out;
  if (!e.nodes.empty()) print_node(e, static_cast<int>(e.nodes.size()) - 1, out);
  return out;
}

std::optional<Expression> parse_expression(std::string_view text) { return ExpressionReader(text).read(); }

}  // namespace switchyard::numerics
