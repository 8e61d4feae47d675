#include "program/statement.h"

#include <fmt/format.h>

#include <algorithm>

namespace switchyard::program {

namespace {

using numerics::Expression;
using numerics::ScalarOp;

/// Builds the nodes of an expression as it is read. Operations are never merged: sharing is what `let` says.
class ExpressionReader {
 public:
  ExpressionReader(Reader& reader, const std::vector<std::string>& slots, const std::vector<std::string>& dims, Statement& statement,
                   bool listed)
      : reader_(reader), slots_(slots), dims_(dims), statement_(statement), listed_(listed), inputs_(statement.reads.size(), -1) {}

  bool read() {
    if (reader_.accept_word("let")) {
      do {
        const Lexeme at = reader_.peek();
        const auto name = reader_.name("the name of a value");
        if (!name || !reader_.expect_sign("=")) return false;
        const int value = sum(0);
        if (value < 0) return false;
        if (std::any_of(bindings_.begin(), bindings_.end(), [&](const auto& b) { return b.first == *name; }))
          return reader_.error(at, "program/duplicate-name", fmt::format("the value '{}' is defined twice", *name));
        bindings_.emplace_back(*name, value);
      } while (reader_.accept_sign(","));
      if (!reader_.expect_word("in")) return false;
    }
    const int root = sum(0);
    if (root < 0) return false;
    // The result is the last node.
    if (root + 1 != static_cast<int>(nodes().size())) {
      const Expression::Node copy = nodes()[static_cast<std::size_t>(root)];
      nodes().push_back(copy);
    }
    return true;
  }

  std::optional<numerics::Access> access() {
    const auto slot = reader_.known(slots_, "port or state");
    if (!slot || !reader_.expect_sign("[")) return std::nullopt;
    numerics::Access result;
    result.slot = static_cast<int>(*slot);
    if (!reader_.is_sign("]") && !reader_.is_word("else")) {
      do {
        const auto index = reader_.affine(dims_, "an index");
        if (!index) return std::nullopt;
        result.index.push_back(*index);
      } while (reader_.accept_sign(","));
    }
    if (reader_.accept_word("else")) {
      const auto fill = reader_.number("a number");
      if (!fill) return std::nullopt;
      result.fill = *fill;
    }
    if (!reader_.expect_sign("]")) return std::nullopt;
    return result;
  }

 private:
  static constexpr int kDeepest = 200;

  std::vector<Expression::Node>& nodes() { return statement_.expression.nodes; }

  int add(Expression::Node node) {
    nodes().push_back(node);
    return static_cast<int>(nodes().size()) - 1;
  }
  int fail(bool) { return -1; }

  int sum(int depth) {
    if (depth > kDeepest)
      return fail(reader_.error(reader_.peek(), "program/too-deep", "this expression is nested too deeply", "name parts of it with let"));
    int left = product(depth);
    while (left >= 0 && (reader_.is_sign("+") || reader_.is_sign("-"))) {
      const bool plus = reader_.take().text == "+";
      const int right = product(depth);
      if (right < 0) return -1;
      left = add({plus ? ScalarOp::add : ScalarOp::sub, left, right});
    }
    return left;
  }

  int product(int depth) {
    int left = factor(depth);
    while (left >= 0 && (reader_.is_sign("*") || reader_.is_sign("/"))) {
      const bool times = reader_.take().text == "*";
      const int right = factor(depth);
      if (right < 0) return -1;
      left = add({times ? ScalarOp::mul : ScalarOp::div, left, right});
    }
    return left;
  }

  int constant(double value) {
    Expression::Node node;
    node.op = ScalarOp::constant;
    node.constant = value;
    return add(node);
  }

  int factor(int depth) {
    const Lexeme here = reader_.peek();
    if (depth > kDeepest)
      return fail(reader_.error(here, "program/too-deep", "this expression is nested too deeply", "name parts of it with let"));
    if (reader_.is_sign("-")) {
      const Lexeme& after = reader_.peek(1);
      if (after.kind == Lexeme::Kind::integer || after.kind == Lexeme::Kind::real || reader_.is_word("inf", 1)) {
        const auto value = reader_.number("a number");
        return value ? constant(*value) : -1;
      }
      reader_.take();
      const int operand = factor(depth + 1);
      return operand < 0 ? -1 : add({ScalarOp::neg, operand});
    }
    if (reader_.accept_sign("(")) {
      const int inner = sum(depth + 1);
      return inner < 0 || !reader_.expect_sign(")") ? -1 : inner;
    }
    if (here.kind == Lexeme::Kind::integer || here.kind == Lexeme::Kind::real || reader_.is_word("inf") || reader_.is_word("nan")) {
      const auto value = reader_.number("a number");
      return value ? constant(*value) : -1;
    }
    if (here.kind == Lexeme::Kind::word && reader_.is_sign("(", 1)) return call(depth);
    if (reader_.is_sign("[", 1)) return slot();
    return bare();
  }

  int call(int depth) {
    const Lexeme at = reader_.take();
    const auto op = numerics::scalar_op_named(at.text);
    if (!op || *op == ScalarOp::input || *op == ScalarOp::constant)
      return fail(reader_.error(at, "program/unknown-name", fmt::format("no operation is named '{}'", at.text)));
    reader_.take();
    std::vector<int> operands;
    do {
      const int operand = sum(depth + 1);
      if (operand < 0) return -1;
      operands.push_back(operand);
    } while (reader_.accept_sign(","));
    if (!reader_.expect_sign(")")) return -1;
    const auto arity = static_cast<std::size_t>(numerics::scalar_op_info(*op).arity);
    if (operands.size() != arity)
      return fail(reader_.error(at, "program/arity",
                                fmt::format("'{}' takes {} operand{}, not {}", at.text, arity, arity == 1 ? "" : "s", operands.size())));
    operands.resize(3, -1);
    return add({*op, operands[0], operands[1], operands[2]});
  }

  int input(std::size_t number) {
    if (inputs_.size() <= number) inputs_.resize(number + 1, -1);
    if (inputs_[number] < 0) inputs_[number] = add({ScalarOp::input, static_cast<int>(number)});
    return inputs_[number];
  }

  int slot() {
    const Lexeme at = reader_.peek();
    auto read = access();
    if (!read) return -1;
    if (listed_) return fail(reader_.error(at, "program/syntax", "after 'read' the operands are x0, x1, ..."));
    const auto found = std::find(statement_.reads.begin(), statement_.reads.end(), *read);
    const auto number = static_cast<std::size_t>(found - statement_.reads.begin());
    if (found == statement_.reads.end()) statement_.reads.push_back(std::move(*read));
    return input(number);
  }

  int bare() {
    const Lexeme at = reader_.peek();
    const auto name = reader_.name("an operand");
    if (!name) return -1;
    for (const auto& [known, value] : bindings_)
      if (known == *name) return value;
    if (listed_)
      for (std::size_t i = 0; i < statement_.reads.size(); ++i)
        if (*name == fmt::format("x{}", i)) return input(i);
    const bool is_slot = std::find(slots_.begin(), slots_.end(), *name) != slots_.end();
    return fail(reader_.error(at, "program/unknown-name", fmt::format("no value is named '{}'", *name),
                              is_slot ? fmt::format("an element of a port or state is written {}[...]", *name) : std::string()));
  }

  Reader& reader_;
  const std::vector<std::string>& slots_;
  const std::vector<std::string>& dims_;
  Statement& statement_;
  bool listed_;
  std::vector<int> inputs_;  ///< node of each read
  std::vector<std::pair<std::string, int>> bindings_;
};

}  // namespace

std::optional<Statement> parse_statement(Reader& reader, const std::vector<std::string>& slots, const std::vector<std::string>& dims,
                                         const std::vector<std::string>& loops) {
  Statement statement;
  std::vector<std::optional<numerics::LoopKind>> kinds;
  if (reader.accept_word("for")) {
    if (!reader.is_sign(":")) {
      do {
        const auto dim = reader.known(dims, "dim");
        if (!dim) return std::nullopt;
        statement.dims.push_back(static_cast<int>(*dim));
        kinds.emplace_back();
        if (reader.accept_word("parallel"))
          kinds.back() = numerics::LoopKind::parallel;
        else if (reader.accept_word("reduction"))
          kinds.back() = numerics::LoopKind::reduction;
        else if (reader.accept_word("sequential"))
          kinds.back() = numerics::LoopKind::sequential;
      } while (reader.accept_sign(","));
    }
    if (!reader.expect_sign(":")) return std::nullopt;
  } else {
    for (std::size_t i = 0; i < dims.size(); ++i) statement.dims.push_back(static_cast<int>(i));
    kinds.resize(dims.size());
  }
  const bool listed = reader.accept_word("read");
  if (listed) {
    ExpressionReader accesses(reader, slots, dims, statement, true);
    if (!reader.is_sign(":")) {
      do {
        const auto access = accesses.access();
        if (!access) return std::nullopt;
        statement.reads.push_back(*access);
      } while (reader.accept_sign(","));
    }
    if (!reader.expect_sign(":")) return std::nullopt;
  }
  ExpressionReader expression(reader, slots, dims, statement, listed);
  const auto write = expression.access();
  if (!write) return std::nullopt;
  statement.write = *write;
  if (reader.accept_sign("=")) {
    statement.combiner = numerics::Combiner::none;
  } else if (reader.accept_sign("+=")) {
    statement.combiner = numerics::Combiner::add;
  } else if (reader.accept_sign("*=")) {
    statement.combiner = numerics::Combiner::mul;
  } else if (reader.is_word("max") && reader.is_sign("=", 1)) {
    statement.combiner = numerics::Combiner::max;
    reader.take();
    reader.take();
  } else if (reader.is_word("min") && reader.is_sign("=", 1)) {
    statement.combiner = numerics::Combiner::min;
    reader.take();
    reader.take();
  } else {
    reader.unexpected("'=', '+=', '*=', 'max=' or 'min='");
    return std::nullopt;
  }
  if (!expression.read()) return std::nullopt;
  if (reader.accept_word("on") && !reader.guard(loops, statement.guard)) return std::nullopt;
  for (std::size_t i = 0; i < statement.dims.size(); ++i) {
    const bool written = std::any_of(statement.write.index.begin(), statement.write.index.end(),
                                     [&](const numerics::Affine& f) { return f.depends_on(statement.dims[i]); });
    statement.kinds.push_back(kinds[i].value_or(written ? numerics::LoopKind::parallel : numerics::LoopKind::reduction));
  }
  return statement;
}

}  // namespace switchyard::program
