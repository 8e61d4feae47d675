// Number formats as data: what each code means, how a value is rounded into it, and bulk conversion of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace switchyard::numerics {

/// The formats known now. The table behind format_info() is where a new one is added.
enum class Format : std::uint8_t {
  fp32,
  fp16,
  bf16,
  fp64,
  int8,
  int32,
  int64,
  uint8,
  boolean,
  int16,
  uint16,
  uint32,
  uint64,
  // Of less than a byte: an element of a tensor takes one, the code in its low bits; memories may pack them (numerics/packing.h).
  int4,
  uint4,
  int2,
  uint2,
  fp8_e4m3,      ///< OCP E4M3: no infinity, one NaN (ONNX: FLOAT8E4M3FN)
  fp8_e4m3fnuz,  ///< bias 8, no infinity, the code of -0 is NaN
  fp8_e5m2,      ///< OCP E5M2: IEEE-like, with infinities
  fp8_e5m2fnuz,  ///< bias 16
  fp6_e2m3,      ///< OCP MX: finite numbers only
  fp6_e3m2,
  fp4_e2m1,
  e8m0,  ///< powers of two from 2^-127 to 2^127 and NaN: the scale of MX blocks
};

struct FormatInfo {
  Format format;
  std::string_view name;  ///< "fp32", "bf16", "int8", "bool" ...
  int bytes;
  bool floating;
  bool is_signed;
  int exponent_bits;  ///< floating formats
  int mantissa_bits;  ///< stored bits, without the hidden one
  double max_finite;
};

const FormatInfo& format_info(Format format);
std::span<const FormatInfo> all_formats();
std::optional<Format> format_named(std::string_view name);
inline std::string_view format_name(Format f) { return format_info(f).name; }
inline int format_bytes(Format f) { return format_info(f).bytes; }

/// Every number of `narrow` is one of `wide` (infinities and NaN too, where both are floating).
bool represents(Format wide, Format narrow);

/// Rounding unit: half the gap between 1 and the next larger number (2^-(mantissa_bits+1)); 0 for integers.
double unit_roundoff(Format format);

/// Rounding to nearest, ties to even; overflow to infinity for fp16/bf16/fp32; integers saturate; NaN to integer gives 0;
/// to bool everything but zero is true (NaN too).
/// Exactly one rounding from the fp32 (or fp64) argument; subnormals are kept.
std::uint16_t fp16_from_float(float value);
float fp16_to_float(std::uint16_t code);
std::uint16_t bf16_from_float(float value);
float bf16_to_float(std::uint16_t code);

/// What becomes of a number beyond the greatest of a format without room for it: infinity (or NaN where there is none), or the greatest.
enum class Overflow : std::uint8_t { nonfinite, saturate };
/// To nearest (ties to even), toward zero, toward plus infinity, or to nearest with ties away from zero.
enum class RoundingMode : std::uint8_t { nearest, down, up, nearest_away };

/// The nearest number of the format under ONNX's rules for Cast: `overflow` matters for the 8-bit floating formats and e8m0, the mode for
/// e8m0. Integers wrap as NumPy's do when the value comes from an integer, and saturate when it does not.
double cast_value(Format to, double value, Overflow overflow, RoundingMode mode = RoundingMode::nearest);

/// One element at `address` (any alignment), as double: exact for every format but int64 beyond 2^53.
double load_element(Format format, const std::byte* address);
/// Rounds once from double into the format and stores it.
void store_element(Format format, std::byte* address, double value);

/// The nearest number of the format, by the rules above.
double rounded(Format format, double value);

/// count elements, `stride` elements apart, to fp32 (integers beyond 2^24 round).
void decode_row(Format format, const std::byte* source, std::int64_t stride, float* out, std::int64_t count);
/// The reverse; rounds each element once from fp32.
void encode_row(Format format, const float* source, std::byte* out, std::int64_t stride, std::int64_t count);

}  // namespace switchyard::numerics
