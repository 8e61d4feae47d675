#include "numerics/format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "support/check.h"

namespace switchyard::numerics {

namespace {

// ------------------------------------------------------------------------------------------------ scalar conversions

// All branch-free (selects only), so that the row loops below vectorise.

inline float decode_bf16(std::uint16_t code) { return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16); }

inline std::uint16_t encode_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}

inline float decode_fp16(std::uint16_t code) {
  const std::uint32_t sign = (code & 0x8000u) << 16;
  const std::uint32_t magnitude = (code & 0x7fffu) << 13;
  const std::uint32_t exponent = magnitude & 0x0f800000u;
  const std::uint32_t normal = magnitude + (112u << 23);
  const std::uint32_t special = normal + (112u << 23);  // infinity and NaN: exponent 31 becomes 255
  // A subnormal is m * 2^-24: put m below the leading bit of 2^-14 and take 2^-14 away again, exactly.
  const float shifted = std::bit_cast<float>(magnitude + (113u << 23)) - std::bit_cast<float>(113u << 23);
  const auto subnormal = std::bit_cast<std::uint32_t>(shifted);
  const std::uint32_t finite = exponent == 0 ? subnormal : normal;
  return std::bit_cast<float>((exponent == 0x0f800000u ? special : finite) | sign);
}

inline std::uint16_t encode_fp16(float value) {
  const auto all = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (all & 0x80000000u) >> 16;
  const std::uint32_t bits = all & 0x7fffffffu;
  const std::uint32_t normal = (bits - (112u << 23) + 0xfffu + ((bits >> 13) & 1u)) >> 13;  // a carry out of 65504 is infinity
  // Below 2^-14 the quantum is 2^-24: adding 1/2 (whose last place is 2^-24) lets the adder do the rounding.
  const std::uint32_t small = std::min(bits, 113u << 23);
  const float summed = std::bit_cast<float>(small) + 0.5f;
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(summed) - std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t nan = 0x7e00u | ((bits >> 13) & 0x1ffu);
  const std::uint32_t finite = bits < (113u << 23) ? subnormal : normal;
  const std::uint32_t special = bits > 0x7f800000u ? nan : 0x7c00u;
  return static_cast<std::uint16_t>((bits >= (143u << 23) ? special : finite) | sign);
}

/// double to float, rounded to odd: a second rounding to at least two bits less then gives what one rounding would have given.
float float_rounded_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  const auto back = static_cast<double>(nearest);
  if (back == value || value != value) return nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (std::fabs(back) > std::fabs(value)) --bits;  // toward zero; infinity becomes the greatest finite number
  return std::bit_cast<float>(bits | 1u);
}

/// Nearest integer, ties to even, for |value| < 2^51.
inline double round_even(double value) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: its last place is 1
  return (value + kShift) - kShift;
}

template <class Integer>
inline Integer saturate(double value) {
  constexpr double kLeast = static_cast<double>(std::numeric_limits<Integer>::min());
  constexpr double kGreatest = static_cast<double>(std::numeric_limits<Integer>::max());
  double v = value == value ? value : 0.0;
  v = v < kLeast ? kLeast : v;
  v = v > kGreatest ? kGreatest : v;
  return static_cast<Integer>(round_even(v));
}

template <>
inline std::uint64_t saturate<std::uint64_t>(double value) {
  if (value != value || value <= 0) return 0;
  if (value >= 0x1p64) return std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(value < 0x1p51 ? round_even(value) : std::nearbyint(value));
}

template <>
inline std::int64_t saturate<std::int64_t>(double value) {
  if (value != value) return 0;
  if (value >= 0x1p63) return std::numeric_limits<std::int64_t>::max();
  if (value < -0x1p63) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(std::fabs(value) < 0x1p51 ? round_even(value) : std::nearbyint(value));
}

// ------------------------------------------------------------------------------------------------ codecs: one per format

struct Fp32Codec {
  using Stored = float;
  static float decode(float v) { return v; }
  static float encode(float v) { return v; }
  static double load(float v) { return v; }
  static float store(double v) { return static_cast<float>(v); }
};
struct Fp64Codec {
  using Stored = double;
  static float decode(double v) { return static_cast<float>(v); }
  static double encode(float v) { return v; }
  static double load(double v) { return v; }
  static double store(double v) { return v; }
};
struct Fp16Codec {
  using Stored = std::uint16_t;
  static float decode(std::uint16_t v) { return decode_fp16(v); }
  static std::uint16_t encode(float v) { return encode_fp16(v); }
  static double load(std::uint16_t v) { return decode_fp16(v); }
  static std::uint16_t store(double v) { return encode_fp16(float_rounded_to_odd(v)); }
};
struct Bf16Codec {
  using Stored = std::uint16_t;
  static float decode(std::uint16_t v) { return decode_bf16(v); }
  static std::uint16_t encode(float v) { return encode_bf16(v); }
  static double load(std::uint16_t v) { return decode_bf16(v); }
  static std::uint16_t store(double v) { return encode_bf16(float_rounded_to_odd(v)); }
};
template <class Integer>
struct IntegerCodec {
  using Stored = Integer;
  static float decode(Integer v) { return static_cast<float>(v); }
  static Integer encode(float v) { return saturate<Integer>(v); }
  static double load(Integer v) { return static_cast<double>(v); }
  static Integer store(double v) { return saturate<Integer>(v); }
};
struct BooleanCodec {
  using Stored = std::uint8_t;
  static float decode(std::uint8_t v) { return v != 0 ? 1.0f : 0.0f; }
  static std::uint8_t encode(float v) { return v != 0 ? 1 : 0; }
  static double load(std::uint8_t v) { return v != 0 ? 1.0 : 0.0; }
  static std::uint8_t store(double v) { return v != 0 ? 1 : 0; }
};

/// Integers of a few bits, sign-extended into a byte when they are loaded.
template <int kBits, bool kSigned>
struct BitsCodec {
  using Stored = std::uint8_t;
  static constexpr int kLeast = kSigned ? -(1 << (kBits - 1)) : 0, kGreatest = kSigned ? (1 << (kBits - 1)) - 1 : (1 << kBits) - 1;
  static double load(std::uint8_t v) {
    const int code = v & ((1 << kBits) - 1);
    return kSigned && code > kGreatest ? code - (1 << kBits) : code;
  }
  static std::uint8_t store(double v) {
    const double clipped = v != v ? 0.0 : std::min<double>(std::max<double>(v, kLeast), kGreatest);
    return static_cast<std::uint8_t>(static_cast<int>(round_even(clipped)) & ((1 << kBits) - 1));
  }
  static float decode(std::uint8_t v) { return static_cast<float>(load(v)); }
  static std::uint8_t encode(float v) { return store(v); }
};

/// What distinguishes floating formats of at most a byte.
struct Narrow {
  int exponent, mantissa, bias;
  enum Special : std::uint8_t { infinities, one_nan, negative_zero_is_nan, finite } special;

  [[nodiscard]] constexpr int sign_bit() const { return exponent + mantissa; }
  [[nodiscard]] constexpr int greatest_code() const {  // of a finite positive number
    const int all = (1 << sign_bit()) - 1;
    return special == infinities ? all - (1 << mantissa) : special == one_nan ? all - 1 : all;
  }
};
constexpr Narrow kE4M3{4, 3, 7, Narrow::one_nan}, kE4M3Fnuz{4, 3, 8, Narrow::negative_zero_is_nan}, kE5M2{5, 2, 15, Narrow::infinities},
    kE5M2Fnuz{5, 2, 16, Narrow::negative_zero_is_nan}, kE2M3{2, 3, 1, Narrow::finite}, kE3M2{3, 2, 3, Narrow::finite},
    kE2M1{2, 1, 1, Narrow::finite};

double decode_narrow(const Narrow& f, int code) {
  const int sign = 1 << f.sign_bit();
  const int magnitude = code & (sign - 1);
  if (f.special == Narrow::negative_zero_is_nan && code == sign) return std::numeric_limits<double>::quiet_NaN();
  const double s = (code & sign) != 0 ? -1.0 : 1.0;
  if (magnitude > f.greatest_code()) {
    const bool infinite = f.special == Narrow::infinities && (magnitude & ((1 << f.mantissa) - 1)) == 0;
    return infinite ? s * std::numeric_limits<double>::infinity() : std::copysign(std::numeric_limits<double>::quiet_NaN(), s);
  }
  const int e = magnitude >> f.mantissa, m = magnitude & ((1 << f.mantissa) - 1);
  return s * (e == 0 ? std::ldexp(m, 1 - f.bias - f.mantissa) : std::ldexp(m + (1 << f.mantissa), e - f.bias - f.mantissa));
}

/// To nearest, ties to even: codes of positive numbers ascend with them, so that a tie's even code is the even number's.
int encode_narrow(const Narrow& f, double value, Overflow overflow) {
  const int sign = std::signbit(value) ? 1 << f.sign_bit() : 0;
  const int fnuz_nan = 1 << f.sign_bit();
  const int nan = f.special == Narrow::negative_zero_is_nan ? fnuz_nan
                  : f.special == Narrow::infinities         ? sign | ((1 << f.sign_bit()) - 1)
                                                    : sign | (f.special == Narrow::finite ? f.greatest_code() : f.greatest_code() + 1);
  if (value != value) return nan;
  const double magnitude = std::fabs(value);
  int code = magnitude == 0 ? 0 : f.greatest_code() + 1;
  if (std::isfinite(magnitude) && magnitude > 0) {
    int exponent = 0;
    std::frexp(magnitude, &exponent);                                            // magnitude = m * 2^exponent, 1/2 <= m < 1
    const int e = std::max(exponent - 1, 1 - f.bias);                            // of the leading bit, or of subnormals
    const double steps = std::nearbyint(std::ldexp(magnitude, f.mantissa - e));  // in units of the last place
    // A carry runs into the next exponent by itself.
    if (steps < 0x1p20 && e + f.bias < 1 << 10) code = ((e + f.bias - 1) << f.mantissa) + static_cast<int>(steps);
  }
  if (code > f.greatest_code()) {
    const bool to_greatest = overflow == Overflow::saturate || f.special == Narrow::finite;
    if (!to_greatest) return f.special == Narrow::infinities ? sign | (((1 << f.exponent) - 1) << f.mantissa) : nan;
    code = f.greatest_code();
  }
  return f.special == Narrow::negative_zero_is_nan && code == 0 ? 0 : sign | code;
}

template <const Narrow& kFormat>
struct NarrowCodec {
  using Stored = std::uint8_t;
  static double load(std::uint8_t v) { return decode_narrow(kFormat, v & ((2 << kFormat.sign_bit()) - 1)); }
  /// What is infinite stays so; what is too large becomes the greatest.
  static std::uint8_t store(double v) {
    const bool infinite = std::isinf(v) && kFormat.special == Narrow::infinities;
    return static_cast<std::uint8_t>(encode_narrow(kFormat, v, infinite ? Overflow::nonfinite : Overflow::saturate));
  }
  static float decode(std::uint8_t v) { return static_cast<float>(load(v)); }
  static std::uint8_t encode(float v) { return store(v); }
};

/// OCP E8M0: the exponent alone. Zero and what lies below 2^-127 become that, negative numbers NaN.
int encode_e8m0(double value, Overflow overflow, RoundingMode mode) {
  constexpr int kNan = 255;
  if (value != value || value < 0) return kNan;
  if (std::isinf(value)) return overflow == Overflow::saturate ? kNan - 1 : kNan;
  if (value < 0x1p-127) return 0;
  int exponent = 0;
  const double m = 2 * std::frexp(value, &exponent);  // 1 <= m < 2
  int code = exponent - 1 + 127;
  if (mode == RoundingMode::up ? m > 1 : mode != RoundingMode::down && m >= 1.5) ++code;
  if (code < kNan) return code;
  return overflow == Overflow::saturate ? kNan - 1 : kNan;
}
struct ScaleCodec {
  using Stored = std::uint8_t;
  static double load(std::uint8_t v) { return v == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, v - 127); }
  static std::uint8_t store(double v) { return static_cast<std::uint8_t>(encode_e8m0(v, Overflow::saturate, RoundingMode::nearest)); }
  static float decode(std::uint8_t v) { return static_cast<float>(load(v)); }
  static std::uint8_t encode(float v) { return store(v); }
};

template <class C>
typename C::Stored read(const std::byte* address) {
  typename C::Stored stored;
  std::memcpy(&stored, address, sizeof stored);
  return stored;
}
template <class C>
double load_one(const std::byte* address) {
  return C::load(read<C>(address));
}
template <class C>
void store_one(std::byte* address, double value) {
  const typename C::Stored stored = C::store(value);
  std::memcpy(address, &stored, sizeof stored);
}
template <class C>
void decode_many(const std::byte* __restrict source, std::int64_t stride, float* __restrict out, std::int64_t count) {
  constexpr std::int64_t kBytes = sizeof(typename C::Stored);
  if constexpr (std::is_same_v<typename C::Stored, float>) {
    if (stride == 1) {
      if (count > 0) std::memcpy(out, source, static_cast<std::size_t>(count) * sizeof(float));
      return;
    }
  }
  if (stride == 1) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = C::decode(read<C>(source + i * kBytes));
  } else {
    for (std::int64_t i = 0; i < count; ++i) out[i] = C::decode(read<C>(source + i * stride * kBytes));
  }
}
template <class C>
void encode_many(const float* __restrict source, std::byte* __restrict out, std::int64_t stride, std::int64_t count) {
  constexpr std::int64_t kBytes = sizeof(typename C::Stored);
  if constexpr (std::is_same_v<typename C::Stored, float>) {
    if (stride == 1) {
      if (count > 0) std::memcpy(out, source, static_cast<std::size_t>(count) * sizeof(float));
      return;
    }
  }
  const auto put = [&](std::int64_t i, std::int64_t at) {
    const typename C::Stored stored = C::encode(source[i]);
    std::memcpy(out + at, &stored, sizeof stored);
  };
  if (stride == 1) {
    for (std::int64_t i = 0; i < count; ++i) put(i, i * kBytes);
  } else {
    for (std::int64_t i = 0; i < count; ++i) put(i, i * stride * kBytes);
  }
}

// ------------------------------------------------------------------------------------------------ the table

struct FormatEntry {
  FormatInfo info;
  double (*load)(const std::byte*);
  void (*store)(std::byte*, double);
  void (*decode)(const std::byte*, std::int64_t, float*, std::int64_t);
  void (*encode)(const float*, std::byte*, std::int64_t, std::int64_t);
};

template <class C>
constexpr FormatEntry entry(Format format, std::string_view name, bool floating, bool is_signed, int exponent, int mantissa,
                            double max_finite) {
  return {{format, name, static_cast<int>(sizeof(typename C::Stored)), floating, is_signed, exponent, mantissa, max_finite},
          load_one<C>,
          store_one<C>,
          decode_many<C>,
          encode_many<C>};
}

// In the order of the enumeration; format_info() checks it.
constexpr std::array kFormats = {
    entry<Fp32Codec>(Format::fp32, "fp32", true, true, 8, 23, 0x1.fffffep127),
    entry<Fp16Codec>(Format::fp16, "fp16", true, true, 5, 10, 65504.0),
    entry<Bf16Codec>(Format::bf16, "bf16", true, true, 8, 7, 0x1.fep127),
    entry<Fp64Codec>(Format::fp64, "fp64", true, true, 11, 52, std::numeric_limits<double>::max()),
    entry<IntegerCodec<std::int8_t>>(Format::int8, "int8", false, true, 0, 0, 127.0),
    entry<IntegerCodec<std::int32_t>>(Format::int32, "int32", false, true, 0, 0, 2147483647.0),
    entry<IntegerCodec<std::int64_t>>(Format::int64, "int64", false, true, 0, 0, 0x1p63),
    entry<IntegerCodec<std::uint8_t>>(Format::uint8, "uint8", false, false, 0, 0, 255.0),
    entry<BooleanCodec>(Format::boolean, "bool", false, false, 0, 0, 1.0),
    entry<IntegerCodec<std::int16_t>>(Format::int16, "int16", false, true, 0, 0, 32767.0),
    entry<IntegerCodec<std::uint16_t>>(Format::uint16, "uint16", false, false, 0, 0, 65535.0),
    entry<IntegerCodec<std::uint32_t>>(Format::uint32, "uint32", false, false, 0, 0, 4294967295.0),
    entry<IntegerCodec<std::uint64_t>>(Format::uint64, "uint64", false, false, 0, 0, 0x1p64),
    entry<BitsCodec<4, true>>(Format::int4, "int4", false, true, 0, 0, 7.0),
    entry<BitsCodec<4, false>>(Format::uint4, "uint4", false, false, 0, 0, 15.0),
    entry<BitsCodec<2, true>>(Format::int2, "int2", false, true, 0, 0, 1.0),
    entry<BitsCodec<2, false>>(Format::uint2, "uint2", false, false, 0, 0, 3.0),
    entry<NarrowCodec<kE4M3>>(Format::fp8_e4m3, "fp8_e4m3", true, true, 4, 3, 448.0),
    entry<NarrowCodec<kE4M3Fnuz>>(Format::fp8_e4m3fnuz, "fp8_e4m3fnuz", true, true, 4, 3, 240.0),
    entry<NarrowCodec<kE5M2>>(Format::fp8_e5m2, "fp8_e5m2", true, true, 5, 2, 57344.0),
    entry<NarrowCodec<kE5M2Fnuz>>(Format::fp8_e5m2fnuz, "fp8_e5m2fnuz", true, true, 5, 2, 57344.0),
    entry<NarrowCodec<kE2M3>>(Format::fp6_e2m3, "fp6_e2m3", true, true, 2, 3, 7.5),
    entry<NarrowCodec<kE3M2>>(Format::fp6_e3m2, "fp6_e3m2", true, true, 3, 2, 28.0),
    entry<NarrowCodec<kE2M1>>(Format::fp4_e2m1, "fp4_e2m1", true, true, 2, 1, 6.0),
    entry<ScaleCodec>(Format::e8m0, "e8m0", true, false, 8, 0, 0x1p127),
};

constexpr auto kInfos = [] {
  std::array<FormatInfo, kFormats.size()> infos{};
  for (std::size_t i = 0; i < kFormats.size(); ++i) infos[i] = kFormats[i].info;
  return infos;
}();

static_assert([] {
  for (std::size_t i = 0; i < kInfos.size(); ++i) {
    if (static_cast<std::size_t>(kInfos[i].format) != i) return false;
  }
  return true;
}());

const FormatEntry& entry_of(Format format) {
  const auto i = static_cast<std::size_t>(format);
  SY_CHECK(i < kFormats.size(), "unknown format");
  return kFormats[i];
}

}  // namespace

const FormatInfo& format_info(Format format) { return kInfos[static_cast<std::size_t>(entry_of(format).info.format)]; }

std::span<const FormatInfo> all_formats() { return kInfos; }

std::optional<Format> format_named(std::string_view name) {
  for (const FormatInfo& info : kInfos) {
    if (info.name == name) return info.format;
  }
  return std::nullopt;
}

bool represents(Format wide, Format narrow) {
  if (wide == narrow) return true;
  const FormatInfo& w = format_info(wide);
  const FormatInfo& n = format_info(narrow);
  if (n.floating && !w.floating) return false;
  if (wide == Format::e8m0) return false;  // no zero
  if (n.floating)
    return w.exponent_bits >= n.exponent_bits && w.mantissa_bits >= n.mantissa_bits && format_bytes(wide) >= n.bytes &&
           (format_bytes(wide) > 1 || narrow == Format::fp4_e2m1);
  // int64 ends at 2^63 - 1, which only int64 holds.
  const double farthest = n.max_finite + (n.is_signed ? 1 : 0);  // the least is one farther from zero
  if (w.floating) return n.max_finite <= std::ldexp(1.0, w.mantissa_bits + 1) && farthest <= w.max_finite && n.max_finite < 0x1p63;
  if (n.is_signed && !w.is_signed) return false;
  return w.max_finite >= n.max_finite && wide != Format::boolean;
}

double unit_roundoff(Format format) {
  const FormatInfo& info = format_info(format);
  return info.floating ? std::ldexp(1.0, -(info.mantissa_bits + 1)) : 0.0;
}

std::uint16_t fp16_from_float(float value) { return encode_fp16(value); }
float fp16_to_float(std::uint16_t code) { return decode_fp16(code); }
std::uint16_t bf16_from_float(float value) { return encode_bf16(value); }
float bf16_to_float(std::uint16_t code) { return decode_bf16(code); }

double load_element(Format format, const std::byte* address) { return entry_of(format).load(address); }
void store_element(Format format, std::byte* address, double value) { entry_of(format).store(address, value); }

double cast_value(Format to, double value, Overflow overflow, RoundingMode mode) {
  const auto narrow = [&](const Narrow& f) { return decode_narrow(f, encode_narrow(f, value, overflow)); };
  switch (to) {
    case Format::fp8_e4m3: return narrow(kE4M3);
    case Format::fp8_e4m3fnuz: return narrow(kE4M3Fnuz);
    case Format::fp8_e5m2: return narrow(kE5M2);
    case Format::fp8_e5m2fnuz: return narrow(kE5M2Fnuz);
    case Format::e8m0: return ScaleCodec::load(static_cast<std::uint8_t>(encode_e8m0(value, overflow, mode)));
    default: return rounded(to, value);
  }
}

double rounded(Format format, double value) {
  std::array<std::byte, sizeof(double)> bytes;
  const FormatEntry& e = entry_of(format);
  e.store(bytes.data(), value);
  return e.load(bytes.data());
}

void decode_row(Format format, const std::byte* source, std::int64_t stride, float* out, std::int64_t count) {
  entry_of(format).decode(source, stride, out, count);
}
void encode_row(Format format, const float* source, std::byte* out, std::int64_t stride, std::int64_t count) {
  entry_of(format).encode(source, out, stride, count);
}

}  // namespace switchyard::numerics
