#include "program/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "numerics/packing.h"
#include "program/findings.h"
#include "program/words.h"

namespace switchyard::program {

namespace {

std::string describe(const Lexeme& lexeme) {
  switch (lexeme.kind) {
    case Lexeme::Kind::end: return "the end of the file";
    case Lexeme::Kind::text: return "a quoted text";
    case Lexeme::Kind::block: return "a block";
    default: return fmt::format("'{}'", lexeme.text);
  }
}

}  // namespace

Reader::Reader(std::string_view source, std::string file) : source_(source), file_(std::move(file)), lexemes_(lex(source)) {
  line_starts_.push_back(0);
  for (std::size_t i = 0; i < source.size(); ++i)
    if (source[i] == '\n') line_starts_.push_back(i + 1);
}

bool Reader::error(const Lexeme& at, std::string code, std::string message, std::string hint) {
  Diagnostic diagnostic{std::move(code), std::move(message), {file_, at.line, at.column}, {}, std::move(hint), {}};
  const auto line = static_cast<std::size_t>(at.line - 1);
  if (line < line_starts_.size()) {
    const std::size_t from = line_starts_[line];
    std::string_view text = source_.substr(from, std::min(source_.find('\n', from), source_.size()) - from);
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (text.size() <= 400) diagnostic.source_line = text;
  }
  diagnostics_.push_back(std::move(diagnostic));
  return false;
}

bool Reader::unexpected(std::string_view wanted) {
  const Lexeme& here = peek();
  if (here.kind == Lexeme::Kind::bad) return error(here, "program/syntax", here.text);
  return error(here, "program/syntax", fmt::format("expected {}, found {}", wanted, describe(here)));
}

void Reader::recover(std::size_t start) {
  int depth = 0;
  bool moved = at_ != start;
  while (!at_end() && !(moved && depth == 0 && (peek().first || is_sign("}")))) {
    if (is_sign("{")) ++depth;
    if (is_sign("}") && depth > 0) --depth;
    take();
    moved = true;
  }
}

void Reader::forgive_line() {
  for (std::size_t i = at_; i < lexemes_.size() && lexemes_[i].line == peek().line; ++i)
    if (lexemes_[i].kind == Lexeme::Kind::word || lexemes_[i].kind == Lexeme::Kind::text) forgiven_.insert(lexemes_[i].text);
}

bool Reader::expect_word(std::string_view word) { return accept_word(word) || unexpected(fmt::format("'{}'", word)); }
bool Reader::expect_sign(std::string_view sign) { return accept_sign(sign) || unexpected(fmt::format("'{}'", sign)); }

std::optional<std::string> Reader::name(std::string_view what) {
  if (peek().kind == Lexeme::Kind::text) return take().text;
  if (peek().kind == Lexeme::Kind::word && !is_reserved(peek().text)) return take().text;
  if (peek().kind == Lexeme::Kind::word)
    error(peek(), "program/syntax", fmt::format("expected {}, found the word '{}'", what, peek().text),
          fmt::format("a name that is a word of the grammar stands in quotes: \"{}\"", peek().text));
  else
    unexpected(what);
  return std::nullopt;
}

std::optional<std::string> Reader::text(std::string_view what) {
  if (peek().kind == Lexeme::Kind::text) return take().text;
  unexpected(what);
  return std::nullopt;
}

std::optional<std::int64_t> Reader::integer(std::string_view what) {
  const bool negative = is_sign("-") && peek(1).kind == Lexeme::Kind::integer;
  if (negative) take();
  if (const auto value = natural(what)) return negative ? -*value : *value;
  return std::nullopt;
}

std::optional<std::int64_t> Reader::natural(std::string_view what) {
  if (peek().kind == Lexeme::Kind::integer) return take().integer;
  unexpected(what);
  return std::nullopt;
}

std::optional<double> Reader::number(std::string_view what) {
  const bool negative = accept_sign("-");
  const double sign = negative ? -1 : 1;
  if (peek().kind == Lexeme::Kind::integer || peek().kind == Lexeme::Kind::real) return sign * take().real;
  if (accept_word("inf")) return sign * std::numeric_limits<double>::infinity();
  if (accept_word("nan")) return std::numeric_limits<double>::quiet_NaN();
  unexpected(what);
  return std::nullopt;
}

std::optional<std::size_t> Reader::known(const std::vector<std::string>& names, std::string_view what) {
  const Lexeme at = peek();
  const auto word = name(fmt::format("the name of a {}", what));
  if (!word) return std::nullopt;
  const auto found = std::find(names.begin(), names.end(), *word);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  if (forgiven_.contains(*word)) return std::nullopt;
  const std::string near = nearest_name(*word, names);
  error(at, "program/unknown-name", fmt::format("no {} is named '{}'", what, *word),
        near.empty() ? std::string() : fmt::format("did you mean '{}'?", near));
  return std::nullopt;
}

std::optional<numerics::Affine> Reader::affine(const std::vector<std::string>& names, std::string_view what) {
  const Lexeme start = peek();
  numerics::Affine result;
  std::vector<std::int64_t> coefficients(names.size(), 0);
  bool overflow = false;
  bool negative = accept_sign("-");
  while (true) {
    std::int64_t factor = 1;
    std::optional<std::size_t> variable;
    if (peek().kind == Lexeme::Kind::integer) {
      factor = take().integer;
      if (accept_sign("*")) {
        variable = known(names, "coordinate, loop or dim");
        if (!variable) return std::nullopt;
      }
    } else {
      if (peek().kind != Lexeme::Kind::word && peek().kind != Lexeme::Kind::text) {
        unexpected(what);
        return std::nullopt;
      }
      variable = known(names, "coordinate, loop or dim");
      if (!variable) return std::nullopt;
      if (accept_sign("*")) {
        const auto value = natural("a whole number");
        if (!value) return std::nullopt;
        factor = *value;
      }
    }
    if (negative) factor = -factor;
    std::int64_t& sum = variable ? coefficients[*variable] : result.constant;
    overflow = overflow || __builtin_add_overflow(sum, factor, &sum);
    if (accept_sign("+")) {
      negative = false;
    } else if (accept_sign("-")) {
      negative = true;
    } else {
      break;
    }
  }
  if (overflow) {
    error(start, "program/overflow", "this sum does not fit into 64 bits");
    return std::nullopt;
  }
  for (std::size_t i = 0; i < coefficients.size(); ++i)
    if (coefficients[i] != 0) result.terms.push_back({static_cast<int>(i), coefficients[i]});
  return result;
}

std::optional<std::vector<std::int64_t>> Reader::shape() {
  if (!expect_sign("[")) return std::nullopt;
  std::vector<std::int64_t> result;
  if (accept_sign("]")) return result;
  do {
    const auto extent = natural("an extent");
    if (!extent) return std::nullopt;
    result.push_back(*extent);
  } while (accept_sign(","));
  if (!expect_sign("]")) return std::nullopt;
  return result;
}

std::optional<std::vector<std::uint32_t>> Reader::components() {
  std::vector<std::uint32_t> list;
  do {
    const Lexeme at = peek();
    const auto first = natural("the number of a component");
    if (!first) return std::nullopt;
    std::int64_t last = *first;
    if (accept_sign("..")) {
      const auto end = natural("the number of a component");
      if (!end) return std::nullopt;
      last = *end;
    }
    if (last < *first || last >= std::int64_t{1} << 32 || last - *first >= kMostInstances) {
      error(at, "program/too-large", "this is no range of component numbers");
      return std::nullopt;
    }
    for (std::int64_t i = *first; i <= last; ++i) list.push_back(static_cast<std::uint32_t>(i));
    if (list.size() > kMostInstances) {
      error(at, "program/too-large", "this array has too many components");
      return std::nullopt;
    }
  } while (accept_sign(","));
  return list;
}

std::optional<Token> Reader::token() {
  Token token;
  const Lexeme at = peek();
  if (at.kind != Lexeme::Kind::word) {
    unexpected("a number format");
    return std::nullopt;
  }
  const auto format = numerics::format_named(at.text);
  if (!format) {
    std::vector<std::string> names;
    for (const auto& info : numerics::all_formats()) names.emplace_back(info.name);
    const std::string near = nearest_name(at.text, names);
    error(at, "program/unknown-name", fmt::format("no number format is named '{}'", at.text),
          near.empty() ? fmt::format("known are {}", fmt::join(names, ", ")) : fmt::format("did you mean '{}'?", near));
    return std::nullopt;
  }
  take();
  token.format = *format;
  const auto extents = shape();
  if (!extents) return std::nullopt;
  token.shape = *extents;
  if (const Lexeme order_at = peek(); accept_word("order")) {
    std::vector<bool> seen(token.shape.size(), false);
    do {
      const auto dimension = natural("the number of a dimension");
      if (!dimension) return std::nullopt;
      if (*dimension >= static_cast<std::int64_t>(seen.size()) || seen[static_cast<std::size_t>(*dimension)]) {
        error(order_at, "program/order", fmt::format("an order lists each of the {} dimensions once", seen.size()));
        return std::nullopt;
      }
      seen[static_cast<std::size_t>(*dimension)] = true;
      token.order.push_back(static_cast<int>(*dimension));
    } while (accept_sign(","));
    if (token.order.size() != seen.size()) {
      error(order_at, "program/order", fmt::format("an order lists each of the {} dimensions once", seen.size()));
      return std::nullopt;
    }
  } else {
    for (std::size_t i = 0; i < token.shape.size(); ++i) token.order.push_back(static_cast<int>(i));
  }
  if (accept_word("pad")) {
    const auto pad = natural("a number of elements");
    if (!pad) return std::nullopt;
    token.pad = *pad;
  }
  return token;
}

std::optional<IndexRange> Reader::range(const std::vector<std::string>& loops) {
  const auto loop = known(loops, "loop");
  if (!loop || !expect_sign("[")) return std::nullopt;
  IndexRange result;
  result.loop = static_cast<int>(*loop);
  if (!is_sign(":")) {
    const auto begin = integer("an index");
    if (!begin) return std::nullopt;
    result.begin = *begin;
  }
  if (!expect_sign(":")) return std::nullopt;
  if (!is_sign("]")) {
    const auto end = integer("an index");
    if (!end) return std::nullopt;
    result.end = *end;
  }
  if (!expect_sign("]")) return std::nullopt;
  return result;
}

bool Reader::guard(const std::vector<std::string>& loops, Guard& guard) {
  do {
    const auto one = range(loops);
    if (!one) return false;
    guard.push_back(*one);
  } while (accept_sign(","));
  return true;
}

bool Reader::kept(const std::vector<std::string>& loops, std::vector<bool>& kept) {
  do {
    const auto loop = known(loops, "loop");
    if (!loop) return false;
    kept[*loop] = true;
  } while (accept_sign(","));
  return true;
}

std::optional<std::int64_t> storage_bytes(numerics::Format format, const std::vector<std::int64_t>& shape) {
  std::int64_t total = 1;
  for (const std::int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(total, extent, &total)) return std::nullopt;
  if (total > std::numeric_limits<std::int64_t>::max() / numerics::format_bytes(format)) return std::nullopt;
  return numerics::stored_bytes(format, total);
}

std::optional<std::int64_t> storage_bytes(const Token& token) {
  std::vector<std::int64_t> shape = token.shape;
  if (!token.order.empty() && token.pad > 1) {
    std::int64_t& last = shape[static_cast<std::size_t>(token.order.back())];
    if (__builtin_add_overflow(last, token.pad - 1, &last)) return std::nullopt;
    last -= last % token.pad;
  }
  return storage_bytes(token.format, shape);
}

}  // namespace switchyard::program
