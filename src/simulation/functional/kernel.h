// The vector kernels of the functional engine: blocked multiply-add with one fused step per term, the same bits on every host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "numerics/format.h"

namespace switchyard::simulation::functional {

/// Rows and columns of the block that stays in registers on this host: the widths of packed panels.
struct BlockShape {
  std::int64_t rows = 0, columns = 0;
};
BlockShape block_shape();

/// c[c_rows[i] + j] = fma(a(i, k), b(k, j), c[...]) for k = 0 .. depth-1 in order. `a` holds panels of block rows, each
/// [depth][rows]; `b` panels of block columns, each [depth][columns]; both are padded with anything finite.
void multiply_panels(const float* a, const float* b, std::int64_t depth, std::int64_t rows, std::int64_t columns, float* c,
                     const std::int64_t* c_rows);

/// acc[i] = fma(x[i], w[i], acc[i]).
void fma_row(const float* x, const float* w, float* acc, std::int64_t count);

/// `count` adjacent elements to fp32.
void widen_row(numerics::Format format, const std::byte* source, float* out, std::int64_t count);

/// out[k * width + j] = source j's element k, for `width` sources (null: zeros) of `count` adjacent elements each.
void widen_transposed(numerics::Format format, const std::byte* const* sources, std::int64_t width, std::int64_t count, float* out);

/// Register-only fused multiply-adds, for benchmarks to know the host's peak; returns how many scalar ones it did.
std::int64_t fma_peak(std::int64_t iterations, float* sink);

}  // namespace switchyard::simulation::functional
