// Packing: how much of a memory elements of a format take. Codes of two or four bits share a byte there; host tensors hold each in a byte
// of its own.
#pragma once

#include <cstdint>

#include "numerics/format.h"

namespace switchyard::numerics {

constexpr int stored_bits(Format f, int bytes) {
  switch (f) {
    case Format::int4:
    case Format::uint4:
    case Format::fp4_e2m1: return 4;
    case Format::int2:
    case Format::uint2: return 2;
    default: return 8 * bytes;
  }
}
inline int stored_bits(Format f) { return stored_bits(f, format_bytes(f)); }

/// Bytes of an element, 0.5 where two share one.
inline double stored_size(Format f) { return stored_bits(f) / 8.0; }

/// Bytes of so many elements in a row, the last byte in full.
inline std::int64_t stored_bytes(Format f, std::int64_t elements) {
  const int bits = stored_bits(f);
  return bits % 8 == 0 ? elements * (bits / 8) : elements / (8 / bits) + (elements % (8 / bits) != 0 ? 1 : 0);
}

}  // namespace switchyard::numerics
