// Elements in the three arithmetics of the engine: fp32 (as float), fp64 (as double) and integers (as int64).
#pragma once

#include <cstddef>
#include <cstdint>

#include "numerics/format.h"

namespace switchyard::simulation::functional {

/// `count` elements, `stride` elements apart, to the arithmetic of T. A fp32 row of other formats is exact but for wide ones.
void decode(numerics::Format format, const std::byte* source, std::int64_t stride, float* out, std::int64_t count);
void decode(numerics::Format format, const std::byte* source, std::int64_t stride, double* out, std::int64_t count);
void decode(numerics::Format format, const std::byte* source, std::int64_t stride, std::int64_t* out, std::int64_t count);

/// The reverse; each element is rounded once into the format, integers saturate.
void encode(numerics::Format format, const float* source, std::byte* out, std::int64_t stride, std::int64_t count);
void encode(numerics::Format format, const double* source, std::byte* out, std::int64_t stride, std::int64_t count);
void encode(numerics::Format format, const std::int64_t* source, std::byte* out, std::int64_t stride, std::int64_t count);

/// Adjacent elements, all of `value` rounded into the format.
void fill_elements(numerics::Format format, double value, std::byte* out, std::int64_t count);

/// True when every value of `format` is exact in fp32.
bool fits_fp32(numerics::Format format);

/// One loop of a strided copy. Strides are in elements.
struct CopyLoop {
  std::int64_t extent = 1, source = 0, target = 0;
};
inline constexpr int kMaxCopyLoops = 24;
inline constexpr int kMaxBoxRank = kMaxCopyLoops - 2;

/// Copies a box of elements, converting when the formats differ. Source and target do not overlap.
void copy_box(const CopyLoop* loops, int count, numerics::Format source_format, const std::byte* source, numerics::Format target_format,
              std::byte* target);

}  // namespace switchyard::simulation::functional
