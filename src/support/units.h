// Physical quantities as types: a bare `double bandwidth` does not pass.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>

namespace switchyard {

/// A number with a dimension. Same-dimension sums and comparisons, scaling by plain numbers, ratio of two is a double.
template <class Rep, class Tag>
struct Quantity {
  Rep value{};

  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep v) : value(v) {}
  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity operator+(Quantity o) const { return Quantity(value + o.value); }
  constexpr Quantity operator-(Quantity o) const { return Quantity(value - o.value); }
  constexpr Quantity operator*(Rep k) const { return Quantity(value * k); }
  constexpr Quantity& operator+=(Quantity o) {
    value += o.value;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity o) {
    value -= o.value;
    return *this;
  }
  constexpr double operator/(Quantity o) const { return static_cast<double>(value) / static_cast<double>(o.value); }
};

using Bytes = Quantity<std::int64_t, struct BytesTag>;
using Picoseconds = Quantity<std::int64_t, struct PicosecondsTag>;
using BytesPerSecond = Quantity<double, struct BytesPerSecondTag>;
using Hertz = Quantity<double, struct HertzTag>;
using Joules = Quantity<double, struct JoulesTag>;

/// Time to move `bytes` at `rate`, rounded up to a whole picosecond. A zero or infinite rate costs nothing only for zero bytes.
constexpr Picoseconds time_to_move(Bytes bytes, BytesPerSecond rate) {
  if (bytes.value <= 0) return Picoseconds(0);
  const double ps = static_cast<double>(bytes.value) * (1e12 / rate.value);
  const auto whole = static_cast<std::int64_t>(ps);
  return Picoseconds(whole + (static_cast<double>(whole) < ps ? 1 : 0));
}

/// Time of `cycles` of a clock, rounded up to a whole picosecond.
constexpr Picoseconds time_of_cycles(double cycles, Hertz clock) {
  const double ps = cycles * (1e12 / clock.value);
  const auto whole = static_cast<std::int64_t>(ps);
  return Picoseconds(whole + (static_cast<double>(whole) < ps ? 1 : 0));
}

constexpr double microseconds(Picoseconds t) { return static_cast<double>(t.value) * 1e-6; }
constexpr Picoseconds from_seconds(double s) { return Picoseconds(static_cast<std::int64_t>(s * 1e12 + 0.5)); }

}  // namespace switchyard
