#include "numerics/format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "numerics/tensor.h"

namespace switchyard::numerics {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kInfD = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Rounding by the definition: the nearest multiple of the quantum at that magnitude, ties to even. Shares nothing with the codecs.
double slow_round(Format format, double value) {
  const FormatInfo& info = format_info(format);
  if (value == 0 || !std::isfinite(value)) return value;
  const int least_exponent = 2 - (1 << (info.exponent_bits - 1));  // of a normal number
  const int exponent = std::max(std::ilogb(value), least_exponent);
  const int quantum = exponent - info.mantissa_bits;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -quantum)), quantum);
  return std::fabs(rounded) > info.max_finite ? std::copysign(kInfD, value) : rounded;
}

/// The meaning of a code by the definition.
double slow_decode(Format format, std::uint32_t code) {
  const FormatInfo& info = format_info(format);
  const int m = info.mantissa_bits, e = info.exponent_bits;
  const int exponent = static_cast<int>((code >> m) & ((1u << e) - 1));
  const auto fraction = static_cast<double>(code & ((1u << m) - 1));
  const double sign = (code >> (m + e)) & 1 ? -1.0 : 1.0;
  const int bias = (1 << (e - 1)) - 1;
  if (exponent == (1 << e) - 1) return fraction == 0 ? sign * kInfD : kNan;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - m);
  return sign * std::ldexp(1.0 + std::ldexp(fraction, -m), exponent - bias);
}

double rounded_by_store(Format format, double value) {
  std::array<std::byte, 8> bytes{};
  store_element(format, bytes.data(), value);
  return load_element(format, bytes.data());
}

void expect_same(double got, double want, double from) {
  if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got)) << from;
  } else {
    ASSERT_EQ(std::bit_cast<std::uint64_t>(got), std::bit_cast<std::uint64_t>(want)) << from << ": " << got << " for " << want;
  }
}

TEST(Format, TableNamesItself) {
  for (const FormatInfo& info : all_formats()) {
    EXPECT_EQ(format_named(info.name), info.format);
    EXPECT_EQ(format_info(info.format).name, info.name);
  }
  EXPECT_EQ(format_named("fp17"), std::nullopt);
  EXPECT_EQ(format_name(Format::boolean), "bool");
  EXPECT_EQ(unit_roundoff(Format::bf16), 0x1p-8);
  EXPECT_EQ(unit_roundoff(Format::fp32), 0x1p-24);
  EXPECT_EQ(unit_roundoff(Format::int32), 0);
}

TEST(Format, EveryHalfCodeMeansWhatTheStandardSaysAndComesBack) {
  for (std::uint32_t code = 0; code < 0x10000; ++code) {
    const auto c = static_cast<std::uint16_t>(code);
    const float h = fp16_to_float(c), b = bf16_to_float(c);
    expect_same(h, slow_decode(Format::fp16, code), code);
    expect_same(b, slow_decode(Format::bf16, code), code);
    if (std::isnan(h)) {
      EXPECT_EQ(fp16_from_float(h) & 0x7e00, 0x7e00);  // a NaN, and quiet
    } else {
      EXPECT_EQ(fp16_from_float(h), c);
    }
    if (std::isnan(b)) {
      EXPECT_EQ(bf16_from_float(b) & 0x7fc0, 0x7fc0);
    } else {
      EXPECT_EQ(bf16_from_float(b), c);
    }
  }
}

TEST(Format, TiesGoToEven) {
  struct Row {
    Format format;
    double value, want;
  };
  const Row rows[] = {
      {Format::fp16, 1 + 0x1p-11, 1},
      {Format::fp16, 1 + 0x1.8p-10, 1 + 0x1p-9},
      {Format::fp16, 65519.99, 65504},
      {Format::fp16, 65520, kInfD},
      {Format::fp16, -65520, -kInfD},
      {Format::fp16, 0x1p-25, 0},
      {Format::fp16, 0x1.000002p-25, 0x1p-24},
      {Format::fp16, 0x1.8p-24, 0x1p-23},
      {Format::fp16, -0x1p-26, -0.0},
      {Format::fp16, 0x1.ffcp-15, 0x1p-14},  // half a subnormal quantum below the least normal number
      {Format::fp16, 0x1.ff8p-15, 0x1.ff8p-15},
      {Format::bf16, 1 + 0x1p-8, 1},
      {Format::bf16, 1 + 0x1.8p-7, 1 + 0x1p-6},
      {Format::bf16, 0x1.fep127, 0x1.fep127},
      {Format::bf16, 0x1.ffp127, kInfD},
      {Format::bf16, 0x1.fefffep127, 0x1.fep127},
      {Format::bf16, 0x1p-134, 0},
      {Format::bf16, 0x1.8p-133, 0x1p-132},
      {Format::fp32, 1 + 0x1p-24, 1},
      {Format::fp32, 1 + 0x1.8p-23, 1 + 0x1p-22},
      {Format::fp32, 0x1.ffffffp127, kInfD},
  };
  for (const Row& row : rows) expect_same(rounded_by_store(row.format, row.value), row.want, row.value);
}

TEST(Format, DoublesAreRoundedOnce) {
  // To float first would give a tie, and then the wrong neighbour.
  EXPECT_EQ(rounded_by_store(Format::fp16, 1 + 0x1p-11 + 0x1p-40), 1 + 0x1p-10);
  EXPECT_EQ(rounded_by_store(Format::fp16, 1 + 0x1.8p-10 - 0x1p-40), 1 + 0x1p-10);
  EXPECT_EQ(rounded_by_store(Format::bf16, 1 + 0x1p-8 + 0x1p-45), 1 + 0x1p-7);
  EXPECT_EQ(rounded_by_store(Format::bf16, -(1 + 0x1p-8 + 0x1p-45)), -(1 + 0x1p-7));
  EXPECT_EQ(rounded_by_store(Format::fp16, 65520 - 1e-9), 65504);
  EXPECT_EQ(rounded_by_store(Format::bf16, 1e300), kInfD);
  EXPECT_EQ(rounded_by_store(Format::fp16, 1e-300), 0);
}

TEST(Format, RandomFloatsAndDoublesRoundAsDefined) {
  std::uint64_t seed = 1;
  for (int i = 0; i < 400000; ++i) {
    seed = mix(seed, 7);
    const auto f = std::bit_cast<float>(static_cast<std::uint32_t>(seed));
    const double h = fp16_to_float(fp16_from_float(f)), b = bf16_to_float(bf16_from_float(f));
    expect_same(h, slow_round(Format::fp16, f), f);
    expect_same(b, slow_round(Format::bf16, f), f);
    // A double near the fp16 and bf16 numbers: a random exponent in their range, few or many low bits.
    const double d = std::ldexp(1.0 + static_cast<double>(seed >> 12) * 0x1p-52, static_cast<int>(seed % 300) - 150);
    for (const Format format : {Format::fp16, Format::bf16, Format::fp32}) {
      const double near = slow_round(format, d);
      for (const double v : {d, -d, near * (1 + unit_roundoff(format)), near * (1 + unit_roundoff(format) * (1 + 0x1p-30))}) {
        expect_same(rounded_by_store(format, v), slow_round(format, v), v);
      }
    }
  }
}

TEST(Format, IntegersSaturateAndNanIsZero) {
  struct Row {
    Format format;
    double value, want;
  };
  const Row rows[] = {
      {Format::int8, 127.4, 127},       {Format::int8, 1e9, 127},        {Format::int8, -1e9, -128},
      {Format::int8, 2.5, 2},           {Format::int8, 3.5, 4},          {Format::int8, -2.5, -2},
      {Format::int8, kNan, 0},          {Format::uint8, -3, 0},          {Format::uint8, 255.5, 255},
      {Format::uint8, 0.5, 0},          {Format::uint8, kInfD, 255},     {Format::int32, 1e10, 2147483647},
      {Format::int32, -kInfD, -0x1p31}, {Format::int32, kNan, 0},        {Format::int32, 123456789, 123456789},
      {Format::int64, 0x1p53, 0x1p53},  {Format::int64, -1e30, -0x1p63}, {Format::int64, 1e30, 0x1p63},
      {Format::int64, kNan, 0},         {Format::int64, 1.5, 2},         {Format::boolean, 0.25, 1},
      {Format::boolean, -0.0, 0},       {Format::boolean, kNan, 1},      {Format::int64, -0x1.8p51, -0x1.8p51},
  };
  for (const Row& row : rows) EXPECT_EQ(rounded_by_store(row.format, row.value), row.want) << format_name(row.format) << " " << row.value;
}

TEST(Format, RowsAgreeWithElementsAtEveryStrideAndAlignment) {
  std::vector<float> values = {0.0f, -0.0f, 1.0f, 2.5f, -3.5f, 70000.0f, -1e-7f, 1e30f, kInf, -kInf, std::nanf(""), 127.5f, 300.0f, 3e-5f};
  for (std::uint64_t i = 0; i < 61; ++i) values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(mix(3, i))));
  const auto n = static_cast<std::int64_t>(values.size());
  for (const FormatInfo& info : all_formats()) {
    for (const std::int64_t stride : {1, 2, 5}) {
      for (const int shift : {0, 1, 3}) {
        std::vector<std::byte> bytes(static_cast<std::size_t>(n * stride * info.bytes + shift), std::byte{0x5a});
        encode_row(info.format, values.data(), bytes.data() + shift, stride, n);
        std::vector<float> back(values.size());
        decode_row(info.format, bytes.data() + shift, stride, back.data(), n);
        for (std::int64_t i = 0; i < n; ++i) {
          const auto k = static_cast<std::size_t>(i);
          const double want = rounded_by_store(info.format, values[k]);
          expect_same(rounded(info.format, values[k]), want, values[k]);
          expect_same(load_element(info.format, bytes.data() + shift + i * stride * info.bytes), want, values[k]);
          expect_same(back[k], static_cast<float>(want), values[k]);
        }
        if (stride > 1) {
          EXPECT_EQ(bytes[static_cast<std::size_t>(shift + info.bytes)], std::byte{0x5a});  // between elements: untouched
        }
      }
    }
  }
}

TEST(Format, EmptyRowsAreFine) {
  for (const FormatInfo& info : all_formats()) {
    decode_row(info.format, nullptr, 1, nullptr, 0);
    encode_row(info.format, nullptr, nullptr, 1, 0);
  }
}

// ------------------------------------------------------------------------------------------------ formats of at most a byte

/// All codes of a format, decoded by its definition: sign, exponent, fraction; independent of the codecs.
double by_definition(int code, int exponent_bits, int mantissa_bits, int bias) {
  const int sign = code >> (exponent_bits + mantissa_bits);
  const int e = (code >> mantissa_bits) & ((1 << exponent_bits) - 1), m = code & ((1 << mantissa_bits) - 1);
  const double fraction = static_cast<double>(m) / (1 << mantissa_bits);
  const double magnitude = e == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, e - bias);
  return sign != 0 ? -magnitude : magnitude;
}

struct Definition {
  Format format;
  int exponent, mantissa, bias, codes;
  std::vector<int> nan, infinity;
};
const std::vector<Definition>& definitions() {
  static const std::vector<Definition> all{{Format::fp8_e4m3, 4, 3, 7, 256, {0x7f, 0xff}, {}},
                                           {Format::fp8_e4m3fnuz, 4, 3, 8, 256, {0x80}, {}},
                                           {Format::fp8_e5m2, 5, 2, 15, 256, {0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff}, {0x7c, 0xfc}},
                                           {Format::fp8_e5m2fnuz, 5, 2, 16, 256, {0x80}, {}},
                                           {Format::fp6_e2m3, 2, 3, 1, 64, {}, {}},
                                           {Format::fp6_e3m2, 3, 2, 3, 64, {}, {}},
                                           {Format::fp4_e2m1, 2, 1, 1, 16, {}, {}}};
  return all;
}

double decoded(Format format, int code) {
  const auto byte = static_cast<std::byte>(code);
  return load_element(format, &byte);
}

TEST(NarrowFormats, EveryCodeIsWhatItsDefinitionSays) {
  for (const Definition& d : definitions()) {
    for (int code = 0; code < d.codes; ++code) {
      const double value = decoded(d.format, code);
      if (std::find(d.nan.begin(), d.nan.end(), code) != d.nan.end()) {
        EXPECT_TRUE(std::isnan(value)) << format_name(d.format) << code;
      } else if (std::find(d.infinity.begin(), d.infinity.end(), code) != d.infinity.end()) {
        EXPECT_TRUE(std::isinf(value)) << format_name(d.format) << code;
      } else {
        EXPECT_EQ(value, by_definition(code, d.exponent, d.mantissa, d.bias)) << format_name(d.format) << code;
        EXPECT_EQ(rounded(d.format, value), value) << format_name(d.format) << code;
        EXPECT_LE(std::fabs(value), format_info(d.format).max_finite);
      }
    }
  }
}

TEST(NarrowFormats, RoundToTheNearestTiesToEven) {
  for (const Definition& d : definitions()) {
    std::vector<std::pair<double, int>> numbers;  // of the positive codes, ascending
    for (int code = 0; code < d.codes / 2; ++code) {
      const double value = decoded(d.format, code);
      if (std::isfinite(value)) numbers.emplace_back(value, code);
    }
    for (std::size_t i = 0; i + 1 < numbers.size(); ++i) {
      const auto [low, low_code] = numbers[i];
      const auto [high, high_code] = numbers[i + 1];
      const double middle = (low + high) / 2;  // exact
      EXPECT_EQ(rounded(d.format, middle), low_code % 2 == 0 ? low : high) << format_name(d.format) << middle;
      EXPECT_EQ(rounded(d.format, std::nextafter(middle, 0)), low) << format_name(d.format) << middle;
      EXPECT_EQ(rounded(d.format, std::nextafter(middle, 1e9)), high) << format_name(d.format) << middle;
      EXPECT_EQ(rounded(d.format, -middle), -rounded(d.format, middle)) << format_name(d.format) << middle;
    }
  }
}

TEST(NarrowFormats, CastsFollowTheStandardsTable) {
  const auto check = [](Format to, double value, Overflow overflow, double expected) {
    const double got = cast_value(to, value, overflow);
    EXPECT_TRUE(got == expected || (std::isnan(got) && std::isnan(expected))) << format_name(to) << " " << value << " gives " << got;
  };
  for (const Format f : {Format::fp8_e4m3, Format::fp8_e4m3fnuz, Format::fp8_e5m2, Format::fp8_e5m2fnuz}) {
    const double greatest = format_info(f).max_finite;
    check(f, kNan, Overflow::saturate, kNan);
    check(f, kInfD, Overflow::saturate, greatest);
    check(f, -kInfD, Overflow::saturate, -greatest);
    check(f, greatest * 2, Overflow::saturate, greatest);
    check(f, greatest * 2, Overflow::nonfinite, f == Format::fp8_e5m2 ? kInfD : kNan);
    check(f, kInfD, Overflow::nonfinite, f == Format::fp8_e5m2 ? kInfD : kNan);
  }
  check(Format::fp4_e2m1, 100, Overflow::saturate, 6);
  check(Format::e8m0, 3, Overflow::saturate, 4);
  EXPECT_EQ(cast_value(Format::e8m0, 3.9, Overflow::saturate, RoundingMode::down), 2);
  EXPECT_EQ(cast_value(Format::e8m0, 2.1, Overflow::saturate, RoundingMode::up), 4);
  EXPECT_EQ(std::signbit(rounded(Format::fp8_e4m3fnuz, -0.0)), false);
  EXPECT_EQ(std::signbit(rounded(Format::fp8_e4m3, -0.0)), true);
}

TEST(NarrowFormats, OneRepresentsAnotherWhereItHoldsAllItsNumbers) {
  for (const FormatInfo& narrow : all_formats()) {
    if (narrow.bytes != 1) continue;
    for (const FormatInfo& wide : all_formats()) {
      if (!represents(wide.format, narrow.format)) continue;
      for (int code = 0; code < 256; ++code) {
        const double value = decoded(narrow.format, code);
        if (std::isnan(value)) continue;
        EXPECT_EQ(rounded(wide.format, value), value) << wide.name << " of " << narrow.name << " " << value;
      }
    }
  }
  EXPECT_TRUE(represents(Format::fp16, Format::fp8_e4m3));
  EXPECT_TRUE(represents(Format::fp32, Format::int16));
  EXPECT_FALSE(represents(Format::fp16, Format::e8m0));
  EXPECT_FALSE(represents(Format::fp32, Format::int32));
  EXPECT_FALSE(represents(Format::int64, Format::uint64));
}

}  // namespace
}  // namespace switchyard::numerics
