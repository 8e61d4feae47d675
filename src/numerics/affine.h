// Affine functions of loop indices: constant + sum of coefficient times variable.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::numerics {

struct Affine {
  struct Term {
    int variable = 0;  ///< position in the list of variables the owner defines
    std::int64_t coefficient = 0;
    bool operator==(const Term&) const = default;
  };
  std::int64_t constant = 0;
  std::vector<Term> terms;  ///< sorted by variable, no zero coefficients, each variable once

  bool operator==(const Affine&) const = default;
  [[nodiscard]] std::int64_t at(std::span<const std::int64_t> values) const;
  [[nodiscard]] std::int64_t coefficient(int variable) const;
  [[nodiscard]] bool depends_on(int variable) const { return coefficient(variable) != 0; }
  /// The single variable v when this is exactly v (coefficient 1, constant 0); -1 otherwise.
  [[nodiscard]] int as_variable() const;
};

// Sums, products and substitutions SY_CHECK on overflow.
Affine affine_constant(std::int64_t value);
Affine affine_variable(int variable, std::int64_t coefficient = 1);
Affine operator+(const Affine& a, const Affine& b);
Affine operator*(const Affine& a, std::int64_t k);
/// Each variable v of `f` replaced by with[v].
Affine substitute(const Affine& f, std::span<const Affine> with);

/// Least and greatest value over the box 0 <= variable < extent; saturates at the limits of int64, so that coefficients read from a
/// file may be checked with it.
struct Interval {
  std::int64_t least = 0, greatest = 0;
};
Interval range_over(const Affine& f, std::span<const std::int64_t> extents);

/// "4*c + 2*m - 1"; names[v] names variable v. A zero function prints "0".
std::string print_affine(const Affine& f, std::span<const std::string> names);
/// Reads what print_affine writes (also "m*4", repeated variables, parentheses-free sums). Empty on bad text or unknown name or overflow.
std::optional<Affine> parse_affine(std::string_view text, std::span<const std::string> names);

}  // namespace switchyard::numerics
