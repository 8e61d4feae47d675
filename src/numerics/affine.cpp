#include "numerics/affine.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>

#include "support/check.h"

namespace switchyard::numerics {

namespace {

using Wide = __int128;

constexpr Wide kLeast = std::numeric_limits<std::int64_t>::min();
constexpr Wide kGreatest = std::numeric_limits<std::int64_t>::max();

bool fits(Wide value) { return value >= kLeast && value <= kGreatest; }

std::int64_t narrow(Wide value) {
  SY_CHECK(fits(value), "affine arithmetic overflows");
  return static_cast<std::int64_t>(value);
}

std::int64_t saturated(Wide value) { return static_cast<std::int64_t>(std::clamp(value, kLeast, kGreatest)); }

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_operator(char c) { return c == '+' || c == '-' || c == '*'; }

/// The text of one sum, taken from the left.
class AffineReader {
 public:
  AffineReader(std::string_view text, std::span<const std::string> names) : text_(text), names_(names) {}

  std::optional<Affine> read() {
    bool negative = take('-');
    while (true) {
      if (!read_term(negative)) return std::nullopt;
      skip_space();
      if (at_ == text_.size()) break;
      if (take('+')) {
        negative = take('-');
      } else if (take('-')) {
        negative = true;
      } else {
        return std::nullopt;
      }
    }
    Affine result;
    if (!fits(constant_)) return std::nullopt;
    result.constant = static_cast<std::int64_t>(constant_);
    for (const auto& [variable, coefficient] : coefficients_) {
      if (!fits(coefficient)) return std::nullopt;
      if (coefficient != 0) result.terms.push_back({variable, static_cast<std::int64_t>(coefficient)});
    }
    return result;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  /// "3", "m", "3*m" or "m*3".
  bool read_term(bool negative) {
    std::optional<Wide> number;
    std::optional<int> variable;
    if (!read_factor(number, variable)) return false;
    if (take('*') && !read_factor(number, variable)) return false;
    const Wide value = (negative ? -1 : 1) * number.value_or(1);
    if (variable) {
      coefficients_[*variable] += value;
    } else {
      constant_ += value;
    }
    return true;
  }

  bool read_factor(std::optional<Wide>& number, std::optional<int>& variable) {
    skip_space();
    if (at_ == text_.size()) return false;
    if (is_digit(text_[at_])) {
      if (number) return false;
      Wide value = 0;
      for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
        value = value * 10 + (text_[at_] - '0');
        if (value > kGreatest + 1) return false;  // one more than the greatest: the magnitude of the least
      }
      if (at_ < text_.size() && !is_space(text_[at_]) && !is_operator(text_[at_])) return false;
      number = value;
      return true;
    }
    if (variable) return false;
    const std::size_t start = at_;
    while (at_ < text_.size() && !is_space(text_[at_]) && !is_operator(text_[at_])) ++at_;
    const std::string_view name = text_.substr(start, at_ - start);
    if (name.empty()) return false;
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) return false;
    variable = static_cast<int>(found - names_.begin());
    return true;
  }

  std::string_view text_;
  std::span<const std::string> names_;
  std::size_t at_ = 0;
  Wide constant_ = 0;
  std::map<int, Wide> coefficients_;
};

}  // namespace

std::int64_t Affine::at(std::span<const std::int64_t> values) const {
  std::int64_t sum = constant;
  for (const Term& t : terms) sum += t.coefficient * values[static_cast<std::size_t>(t.variable)];
  return sum;
}

std::int64_t Affine::coefficient(int variable) const {
  for (const Term& t : terms) {
    if (t.variable == variable) return t.coefficient;
  }
  return 0;
}

int Affine::as_variable() const { return constant == 0 && terms.size() == 1 && terms[0].coefficient == 1 ? terms[0].variable : -1; }

Affine affine_constant(std::int64_t value) { return {value, {}}; }

Affine affine_variable(int variable, std::int64_t coefficient) {
  Affine result;
  if (coefficient != 0) result.terms.push_back({variable, coefficient});
  return result;
}

Affine operator+(const Affine& a, const Affine& b) {
  Affine sum;
  sum.constant = narrow(static_cast<Wide>(a.constant) + b.constant);
  auto i = a.terms.begin();
  auto j = b.terms.begin();
  while (i != a.terms.end() || j != b.terms.end()) {
    if (j == b.terms.end() || (i != a.terms.end() && i->variable < j->variable)) {
      sum.terms.push_back(*i++);
    } else if (i == a.terms.end() || j->variable < i->variable) {
      sum.terms.push_back(*j++);
    } else {
      const std::int64_t coefficient = narrow(static_cast<Wide>(i->coefficient) + j->coefficient);
      if (coefficient != 0) sum.terms.push_back({i->variable, coefficient});
      ++i, ++j;
    }
  }
  return sum;
}

Affine operator*(const Affine& a, std::int64_t k) {
  Affine product;
  if (k == 0) return product;
  product.constant = narrow(static_cast<Wide>(a.constant) * k);
  for (const Affine::Term& t : a.terms) product.terms.push_back({t.variable, narrow(static_cast<Wide>(t.coefficient) * k)});
  return product;
}

Affine substitute(const Affine& f, std::span<const Affine> with) {
  Affine result = affine_constant(f.constant);
  for (const Affine::Term& t : f.terms) {
    SY_CHECK(t.variable >= 0 && static_cast<std::size_t>(t.variable) < with.size(), "a variable without a substitute");
    result = result + with[static_cast<std::size_t>(t.variable)] * t.coefficient;
  }
  return result;
}

Interval range_over(const Affine& f, std::span<const std::int64_t> extents) {
  Wide least = f.constant, greatest = f.constant;
  for (const Affine::Term& t : f.terms) {
    const Wide last = std::max<std::int64_t>(extents[static_cast<std::size_t>(t.variable)] - 1, 0);
    (t.coefficient < 0 ? least : greatest) += last * t.coefficient;
  }
  return {saturated(least), saturated(greatest)};
}

std::string print_affine(const Affine& f, std::span<const std::string> names) {
  std::string text;
  const auto add = [&](std::int64_t value, std::string_view name) {
    const bool negative = value < 0;
    if (text.empty()) {
      if (negative) text += "-";
    } else {
      text += negative ? " - " : " + ";
    }
    const std::uint64_t magnitude = negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
    if (name.empty()) {
      fmt::format_to(std::back_inserter(text), "{}", magnitude);
    } else if (magnitude == 1) {
      text += name;
    } else {
      fmt::format_to(std::back_inserter(text), "{}*{}", magnitude, name);
    }
  };
  for (const Affine::Term& t : f.terms) add(t.coefficient, names[static_cast<std::size_t>(t.variable)]);
  if (f.constant != 0 || text.empty()) add(f.constant, {});
  return text;
}

std::optional<Affine> parse_affine(std::string_view text, std::span<const std::string> names) { return AffineReader(text, names).read(); }

}  // namespace switchyard::numerics
