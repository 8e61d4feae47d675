#include "simulation/functional/kernel.h"

#include <cmath>
#include <cstring>
#include <utility>

// SSSE3 and SSE4 have no fused multiply-add, so they gain nothing over the scalar path; the wide targets are sizeless types.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simulation/functional/kernel.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h must stand before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace switchyard::simulation::functional {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_NATIVE_FMA

using Tag = hn::ScalableTag<float>;
constexpr int kLanes = static_cast<int>(HWY_MAX_BYTES / sizeof(float));
constexpr int kVectors = 2;
constexpr int kRows = HWY_TARGET == HWY_AVX2 ? 6 : 12;  // accumulators that leave registers for the operands: 16 or 32 in all
constexpr int kColumns = kLanes * kVectors;

template <int kR, int kV>
HWY_NOINLINE void Block(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, std::int64_t depth, float* c,
                        const std::int64_t* c_rows) {
  const Tag d;
  using V = hn::Vec<Tag>;
  V acc[kR][kV];
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kV; ++v) acc[r][v] = hn::LoadU(d, c + c_rows[r] + v * kLanes);
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    V bv[kV];
#pragma GCC unroll 2
    for (int v = 0; v < kV; ++v) bv[v] = hn::LoadU(d, b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
      const V av = hn::Set(d, a[r]);
#pragma GCC unroll 2
      for (int v = 0; v < kV; ++v) acc[r][v] = hn::MulAdd(av, bv[v], acc[r][v]);
    }
    a += kRows;
    b += kColumns;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kV; ++v) hn::StoreU(acc[r][v], d, c + c_rows[r] + v * kLanes);
  }
}

using BlockFunction = void (*)(const float*, const float*, std::int64_t, float*, const std::int64_t*);
struct BlockTable {
  BlockFunction by_rows[2][kRows];
};
template <int... kR>
constexpr BlockTable MakeTable(std::integer_sequence<int, kR...>) {
  return {{{&Block<kR + 1, 1>...}, {&Block<kR + 1, 2>...}}};
}
constexpr BlockTable kBlocks = MakeTable(std::make_integer_sequence<int, kRows>());

void RunBlock(const float* a, const float* b, std::int64_t depth, int rows, int columns, float* c, const std::int64_t* c_rows) {
  kBlocks.by_rows[columns > kLanes ? 1 : 0][rows - 1](a, b, depth, c, c_rows);
}

void FmaRow(const float* x, const float* w, float* acc, std::int64_t count) {
  const Tag d;
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, w + i), hn::LoadU(d, acc + i)), d, acc + i);
  }
  for (; i < count; ++i) acc[i] = std::fma(x[i], w[i], acc[i]);
}

std::int64_t FmaPeak(std::int64_t iterations, float* sink) {
  constexpr int kChains = HWY_TARGET == HWY_AVX2 ? 12 : 24;
  const Tag d;
  hn::Vec<Tag> acc[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) acc[i] = hn::Set(d, static_cast<float>(i));
  const auto x = hn::Set(d, sink[0]);
  const auto y = hn::Set(d, sink[1]);
  for (std::int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) acc[i] = hn::MulAdd(acc[i], x, y);
  }
  auto sum = acc[0];
#pragma GCC unroll 24
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, acc[i]);
  sink[0] = hn::GetLane(sum);
  return iterations * kChains * kLanes;
}

#else  // no fused multiply-add in the instruction set: the library's, one at a time, for the same bits

constexpr int kRows = 4;
constexpr int kColumns = 16;

void RunBlock(const float* a, const float* b, std::int64_t depth, int rows, int columns, float* c, const std::int64_t* c_rows) {
  for (int r = 0; r < rows; ++r) {
    for (std::int64_t k = 0; k < depth; ++k) {
      for (int j = 0; j < columns; ++j) {
        float& out = c[c_rows[r] + j];
        out = std::fma(a[k * kRows + r], b[k * kColumns + j], out);
      }
    }
  }
}

void FmaRow(const float* x, const float* w, float* acc, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) acc[i] = std::fma(x[i], w[i], acc[i]);
}

std::int64_t FmaPeak(std::int64_t iterations, float* sink) {
  float acc = sink[0];
  for (std::int64_t n = 0; n < iterations; ++n) acc = std::fma(acc, sink[0], sink[1]);
  sink[0] = acc;
  return iterations;
}

#endif

BlockShape Shape() { return {kRows, kColumns}; }

void MultiplyPanels(const float* a, const float* b, std::int64_t depth, std::int64_t rows, std::int64_t columns, float* c,
                    const std::int64_t* c_rows) {
  float edge[kRows * kColumns];
  std::int64_t edge_rows[kRows];
  for (int r = 0; r < kRows; ++r) edge_rows[r] = r * kColumns;
  for (std::int64_t j = 0; j < columns; j += kColumns) {
    const int width = static_cast<int>(columns - j < kColumns ? columns - j : kColumns);
    const float* b_panel = b + j * depth;
    for (std::int64_t i = 0; i < rows; i += kRows) {
      const int height = static_cast<int>(rows - i < kRows ? rows - i : kRows);
      const float* a_panel = a + i * depth;
      if (width == kColumns) {
        RunBlock(a_panel, b_panel, depth, height, width, c + j, c_rows + i);
        continue;
      }
      for (int r = 0; r < height; ++r) {
        for (int x = 0; x < width; ++x) edge[r * kColumns + x] = c[c_rows[i + r] + j + x];
        for (int x = width; x < kColumns; ++x) edge[r * kColumns + x] = 0;
      }
      RunBlock(a_panel, b_panel, depth, height, width, edge, edge_rows);
      for (int r = 0; r < height; ++r) {
        for (int x = 0; x < width; ++x) c[c_rows[i + r] + j + x] = edge[r * kColumns + x];
      }
    }
  }
}

void WidenBf16(const std::byte* source, float* out, std::int64_t count) {
  std::int64_t i = 0;
#if HWY_NATIVE_FMA
  const hn::ScalableTag<std::uint32_t> du;
  const hn::Rebind<std::uint16_t, decltype(du)> dh;
  const auto* codes = reinterpret_cast<const std::uint16_t*>(source);
  for (; i + kLanes <= count; i += kLanes) {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(dh, codes + i)));
    hn::StoreU(hn::BitCast(Tag(), bits), Tag(), out + i);
  }
#endif
  if (i < count) numerics::decode_row(numerics::Format::bf16, source + 2 * i, 1, out + i, count - i);
}

void WidenFp16(const std::byte* source, float* out, std::int64_t count) {
  std::int64_t i = 0;
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  const Tag d;
  const hn::Rebind<hwy::float16_t, Tag> dh;
  const auto* codes = reinterpret_cast<const hwy::float16_t*>(source);
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(hn::PromoteTo(d, hn::LoadU(dh, codes + i)), d, out + i);
#endif
  if (i < count) numerics::decode_row(numerics::Format::fp16, source + 2 * i, 1, out + i, count - i);
}

void WidenTransposed(numerics::Format format, const std::byte* const* sources, std::int64_t width, std::int64_t count, float* out) {
  constexpr std::int64_t kStretch = 64;  // a stretch of one source; with block columns beside it the target stays in the nearest cache
  constexpr std::int64_t kGroup = 4;
  const std::int64_t bytes = numerics::format_bytes(format);
  HWY_ALIGN float rows[kGroup][kStretch];
  for (std::int64_t k0 = 0; k0 < count; k0 += kStretch) {
    const std::int64_t length = count - k0 < kStretch ? count - k0 : kStretch;
    for (std::int64_t j = 0; j < width; j += kGroup) {
      const std::int64_t group = width - j < kGroup ? width - j : kGroup;
      for (std::int64_t g = 0; g < group; ++g) {
        const std::byte* source = sources[j + g];
        if (source == nullptr) {
          std::memset(rows[g], 0, sizeof rows[g]);
        } else if (format == numerics::Format::bf16) {
          WidenBf16(source + k0 * bytes, rows[g], length);
        } else if (format == numerics::Format::fp16) {
          WidenFp16(source + k0 * bytes, rows[g], length);
        } else {
          numerics::decode_row(format, source + k0 * bytes, 1, rows[g], length);
        }
      }
      float* target = out + k0 * width + j;
      std::int64_t k = 0;
#if HWY_NATIVE_FMA
      if (group == kGroup) {
        // 4 x 4 transposes: two rounds of interleaving.
        const hn::FixedTag<float, 4> d4;
        const hn::Repartition<double, decltype(d4)> d2;
        for (; k + 4 <= length; k += 4) {
          const auto r0 = hn::Load(d4, rows[0] + k), r1 = hn::Load(d4, rows[1] + k);
          const auto r2 = hn::Load(d4, rows[2] + k), r3 = hn::Load(d4, rows[3] + k);
          const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d4, r0, r1));
          const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d4, r0, r1));
          const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d4, r2, r3));
          const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d4, r2, r3));
          hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, low01, low23)), d4, target + (k + 0) * width);
          hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, low01, low23)), d4, target + (k + 1) * width);
          hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, high01, high23)), d4, target + (k + 2) * width);
          hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, high01, high23)), d4, target + (k + 3) * width);
        }
      }
#endif
      for (; k < length; ++k) {
        for (std::int64_t g = 0; g < group; ++g) target[k * width + g] = rows[g][k];
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace switchyard::simulation::functional
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace switchyard::simulation::functional {

HWY_EXPORT(Shape);
HWY_EXPORT(MultiplyPanels);
HWY_EXPORT(FmaRow);
HWY_EXPORT(FmaPeak);
HWY_EXPORT(WidenBf16);
HWY_EXPORT(WidenFp16);
HWY_EXPORT(WidenTransposed);

BlockShape block_shape() { return HWY_DYNAMIC_DISPATCH(Shape)(); }

void multiply_panels(const float* a, const float* b, std::int64_t depth, std::int64_t rows, std::int64_t columns, float* c,
                     const std::int64_t* c_rows) {
  HWY_DYNAMIC_DISPATCH(MultiplyPanels)(a, b, depth, rows, columns, c, c_rows);
}

void fma_row(const float* x, const float* w, float* acc, std::int64_t count) { HWY_DYNAMIC_DISPATCH(FmaRow)(x, w, acc, count); }

std::int64_t fma_peak(std::int64_t iterations, float* sink) { return HWY_DYNAMIC_DISPATCH(FmaPeak)(iterations, sink); }

void widen_row(numerics::Format format, const std::byte* source, float* out, std::int64_t count) {
  if (format == numerics::Format::bf16) {
    HWY_DYNAMIC_DISPATCH(WidenBf16)(source, out, count);
  } else if (format == numerics::Format::fp16) {
    HWY_DYNAMIC_DISPATCH(WidenFp16)(source, out, count);
  } else {
    numerics::decode_row(format, source, 1, out, count);
  }
}

void widen_transposed(numerics::Format format, const std::byte* const* sources, std::int64_t width, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(WidenTransposed)(format, sources, width, count, out);
}

}  // namespace switchyard::simulation::functional
#endif
