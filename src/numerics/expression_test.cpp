#include "numerics/expression.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "numerics/nest.h"
#include "numerics/tensor.h"
#include "support/check.h"

namespace switchyard::numerics {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Expression random_expression(std::uint64_t seed, int depth) {
  const std::uint64_t draw = mix(seed, 1);
  if (depth == 0 || draw % 5 == 0) {
    if (draw % 3 != 0) return expr_input(static_cast<int>(draw / 7 % 4));
    const double values[] = {0, -0.0, 1, 0.1, -1e300, 5e-324, kInf, -kInf, kNan, 1.0 / 3};
    return expr_constant(values[draw / 11 % 10]);
  }
  const auto op = static_cast<ScalarOp>(2 + draw / 13 % 22);
  const Expression a = random_expression(mix(seed, 2), depth - 1), b = random_expression(mix(seed, 3), depth - 1);
  switch (scalar_op_info(op).arity) {
    case 1: return apply(op, a);
    case 2: return apply(op, a, b);
    default: return apply(op, a, b, random_expression(mix(seed, 4), depth - 1));
  }
}

TEST(Expression, TableNamesItself) {
  for (int i = 0; i <= static_cast<int>(kLastScalarOp); ++i) {
    const auto op = static_cast<ScalarOp>(i);
    EXPECT_EQ(scalar_op_info(op).op, op);
    EXPECT_EQ(scalar_op_named(scalar_op_info(op).name), op);
  }
  EXPECT_EQ(scalar_op_named("sech"), std::nullopt);
}

TEST(Expression, ReadsAndPrints) {
  struct Row {
    const char* text;
    const char* canonical;  // null: refused
  };
  const Row rows[] = {
      {"max(add(x0, x1), 0)", "max(add(x0, x1), 0)"},
      {" mul ( x0 ,x0 ) ", "mul(x0, x0)"},
      {"select(less(x0, 1e-5), -inf, nan)", "select(less(x0, 1e-05), -inf, nan)"},
      {"0.1", "0.1"},
      {"-0", "-0"},
      {"inf", "inf"},
      {"5e-324", "5e-324"},
      {"not(x12)", "not(x12)"},
      {"", nullptr},
      {"x", nullptr},
      {"x-1", nullptr},
      {"x10000", nullptr},
      {"add(x0)", nullptr},
      {"add(x0, x1", nullptr},
      {"add(x0, x1))", nullptr},
      {"neg(x0, x1)", nullptr},
      {"input(x0)", nullptr},
      {"sech(x0)", nullptr},
      {"1e999", nullptr},
      {"1.2.3", nullptr},
      {"x0 x1", nullptr},
  };
  for (const Row& row : rows) {
    const auto e = parse_expression(row.text);
    ASSERT_EQ(e.has_value(), row.canonical != nullptr) << row.text;
    if (!e) continue;
    EXPECT_EQ(print_expression(*e), row.canonical);
  }
}

TEST(Expression, ParseOfPrintIsTheSame) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Expression e = random_expression(seed, 4);
    const auto back = parse_expression(print_expression(e));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, e) << print_expression(e);
  }
}

TEST(Expression, HostileTextsAreRefusedQuickly) {
  std::string deep;
  for (int i = 0; i < 200000; ++i) deep += "neg(";
  EXPECT_EQ(parse_expression(deep), std::nullopt);
  std::string wide = "0";
  for (int i = 0; i < 20; ++i) wide = "add(" + wide + "," + wide + ")";  // a million leaves, twenty nodes
  const auto e = parse_expression(wide);
  ASSERT_TRUE(e.has_value());
  EXPECT_EQ(e->nodes.size(), 21u);
}

TEST(Expression, SharesEqualNodesAndFoldsNothing) {
  const Expression x = expr_input(0);
  const Expression square = apply(ScalarOp::mul, x, x);
  EXPECT_EQ(square.nodes.size(), 2u);
  EXPECT_EQ(apply(ScalarOp::add, square, square).nodes.size(), 3u);
  EXPECT_EQ(apply(ScalarOp::add, expr_constant(0.0), expr_constant(-0.0)).nodes.size(), 3u);
  EXPECT_EQ(apply(ScalarOp::add, expr_constant(kNan), expr_constant(-kNan)).nodes.size(), 2u);
  EXPECT_EQ(print_expression(apply(ScalarOp::mul, expr_constant(2), expr_constant(3))), "mul(2, 3)");
}

TEST(Expression, SubstituteAgreesWithValues) {
  const std::vector<double> x = {0.5, -1.25, 3, 0};
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Expression e = random_expression(seed, 3);
    std::vector<Expression> with;
    std::vector<double> y;
    for (std::uint64_t i = 0; i < 4; ++i) {
      with.push_back(random_expression(mix(seed, 100 + i), 2));
      y.push_back(evaluate(with.back(), x));
    }
    const Expression s = substitute(e, with);
    const double got = evaluate(s, x), want = evaluate(e, y);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got));
    } else {
      EXPECT_EQ(got, want);
    }
    EXPECT_EQ(parse_expression(print_expression(s)), s);
  }
}

TEST(Expression, OperationsAreDefined) {
  struct Row {
    const char* text;
    double want;
  };
  const std::vector<double> x = {3, -2, kNan, kInf};
  const Row rows[] = {
      {"sub(x0, x1)", 5},       {"div(x0, x1)", -1.5},   {"pow(x1, x0)", -8},    {"sigmoid(0)", 0.5},   {"sigmoid(-inf)", 0},
      {"sigmoid(x3)", 1},       {"select(x0, 1, 2)", 1}, {"select(0, 1, 2)", 2}, {"less(x1, x0)", 1},   {"less(x0, x2)", 0},
      {"equal(x2, x2)", 0},     {"equal(x0, 3)", 1},     {"not(0)", 1},          {"not(x1)", 0},        {"max(x0, x1)", 3},
      {"min(x0, x1)", -2},      {"max(x0, x2)", kNan},   {"max(x2, x0)", kNan},  {"min(x2, x0)", kNan}, {"min(x0, x2)", kNan},
      {"reciprocal(x1)", -0.5}, {"floor(-1.5)", -2},     {"ceil(-1.5)", -1},     {"abs(x1)", 2},        {"neg(x1)", 2},
      {"sqrt(9)", 3},           {"erf(0)", 0},           {"tanh(0)", 0},         {"exp(0)", 1},         {"log(1)", 0},
      {"log(0)", -kInf},
  };
  for (const Row& row : rows) {
    const double got = evaluate(*parse_expression(row.text), x);
    if (std::isnan(row.want)) {
      EXPECT_TRUE(std::isnan(got)) << row.text;
    } else {
      EXPECT_EQ(got, row.want) << row.text;
    }
  }
}

TEST(Expression, RecognisesProductsAndCounts) {
  EXPECT_TRUE(parse_expression("mul(x0, x1)")->is_product_of_inputs());
  EXPECT_TRUE(parse_expression("mul(x1, x0)")->is_product_of_inputs());
  EXPECT_FALSE(parse_expression("mul(x0, x0)")->is_product_of_inputs());
  EXPECT_FALSE(parse_expression("add(x0, x1)")->is_product_of_inputs());
  EXPECT_FALSE(parse_expression("mul(x0, 2)")->is_product_of_inputs());
  EXPECT_TRUE(expr_input(3).is_input());
  const auto e = parse_expression("exp(add(x0, mul(x4, 2)))");
  EXPECT_EQ(e->input_count(), 5);
  EXPECT_EQ(e->count(ScalarOpCost::special), 1);
  EXPECT_EQ(e->count(ScalarOpCost::simple), 2);
  EXPECT_EQ(e->count(ScalarOpCost::free), 3);
  EXPECT_EQ(expr_constant(1).input_count(), 0);
}

TEST(Nest, CombinersAndPoints) {
  for (const Combiner c : {Combiner::none, Combiner::add, Combiner::mul, Combiner::max, Combiner::min}) {
    EXPECT_EQ(combiner_named(combiner_name(c)), c);
    EXPECT_EQ(combine(c, combiner_identity(c), -4.5), -4.5);
  }
  EXPECT_EQ(combiner_named("mean"), std::nullopt);
  EXPECT_EQ(combine(Combiner::add, 2, 3), 5);
  EXPECT_EQ(combine(Combiner::mul, 2, 3), 6);
  EXPECT_EQ(combine(Combiner::max, 2, 3), 3);
  EXPECT_EQ(combine(Combiner::min, 2, 3), 2);
  EXPECT_TRUE(std::isnan(combine(Combiner::max, kNan, 3)));
  EXPECT_TRUE(std::isnan(combine(Combiner::max, 3, kNan)));
  Nest nest;
  EXPECT_EQ(nest.points(), 1);
  nest.loops = {{"a", 3}, {"b", 5}};
  EXPECT_EQ(nest.points(), 15);
  nest.loops.push_back({"c", std::numeric_limits<std::int64_t>::max()});
  EXPECT_THROW((void)nest.points(), InternalError);
  nest.expression = *parse_expression("mul(x0, x1)");
  EXPECT_FALSE(nest.is_contraction());
  nest.combiner = Combiner::add;
  EXPECT_TRUE(nest.is_contraction());
  nest.expression = expr_input(0);
  EXPECT_FALSE(nest.is_copy());
  nest.combiner = Combiner::none;
  EXPECT_TRUE(nest.is_copy());
}

}  // namespace
}  // namespace switchyard::numerics
