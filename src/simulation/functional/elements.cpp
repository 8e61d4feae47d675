#include "simulation/functional/elements.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "support/check.h"

namespace switchyard::simulation::functional {

using numerics::Format;

namespace {

template <class Stored>
Stored read(const std::byte* address) {
  Stored stored;
  std::memcpy(&stored, address, sizeof stored);
  return stored;
}
template <class Stored>
void write(std::byte* address, Stored stored) {
  std::memcpy(address, &stored, sizeof stored);
}

template <class Stored>
void widen(const std::byte* source, std::int64_t stride, std::int64_t* out, std::int64_t count) {
  const std::int64_t step = stride * static_cast<std::int64_t>(sizeof(Stored));
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<std::int64_t>(read<Stored>(source + i * step));
}

template <class Stored>
void narrow(const std::int64_t* source, std::byte* out, std::int64_t stride, std::int64_t count) {
  constexpr auto kLeast = static_cast<std::int64_t>(std::numeric_limits<Stored>::min());
  constexpr auto kGreatest = static_cast<std::int64_t>(std::numeric_limits<Stored>::max());
  const std::int64_t step = stride * static_cast<std::int64_t>(sizeof(Stored));
  for (std::int64_t i = 0; i < count; ++i) write(out + i * step, static_cast<Stored>(std::clamp(source[i], kLeast, kGreatest)));
}

}  // namespace

bool fits_fp32(Format format) { return numerics::represents(Format::fp32, format); }

void decode(Format format, const std::byte* source, std::int64_t stride, float* out, std::int64_t count) {
  numerics::decode_row(format, source, stride, out, count);
}

void decode(Format format, const std::byte* source, std::int64_t stride, double* out, std::int64_t count) {
  const std::int64_t step = stride * numerics::format_bytes(format);
  for (std::int64_t i = 0; i < count; ++i) out[i] = numerics::load_element(format, source + i * step);
}

void decode(Format format, const std::byte* source, std::int64_t stride, std::int64_t* out, std::int64_t count) {
  switch (format) {
    case Format::int8: return widen<std::int8_t>(source, stride, out, count);
    case Format::uint8: return widen<std::uint8_t>(source, stride, out, count);
    case Format::int32: return widen<std::int32_t>(source, stride, out, count);
    case Format::int64: return widen<std::int64_t>(source, stride, out, count);
    case Format::int16: return widen<std::int16_t>(source, stride, out, count);
    case Format::uint16: return widen<std::uint16_t>(source, stride, out, count);
    case Format::uint32: return widen<std::uint32_t>(source, stride, out, count);
    case Format::boolean:
      for (std::int64_t i = 0; i < count; ++i) out[i] = source[i * stride] != std::byte{0} ? 1 : 0;
      return;
    default: break;
  }
  SY_CHECK(!numerics::format_info(format).floating, "a floating format in integer arithmetic");
  const std::int64_t step = stride * numerics::format_bytes(format);
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<std::int64_t>(numerics::load_element(format, source + i * step));
}

void encode(Format format, const float* source, std::byte* out, std::int64_t stride, std::int64_t count) {
  numerics::encode_row(format, source, out, stride, count);
}

void encode(Format format, const double* source, std::byte* out, std::int64_t stride, std::int64_t count) {
  const std::int64_t step = stride * numerics::format_bytes(format);
  for (std::int64_t i = 0; i < count; ++i) numerics::store_element(format, out + i * step, source[i]);
}

void encode(Format format, const std::int64_t* source, std::byte* out, std::int64_t stride, std::int64_t count) {
  switch (format) {
    case Format::int8: return narrow<std::int8_t>(source, out, stride, count);
    case Format::uint8: return narrow<std::uint8_t>(source, out, stride, count);
    case Format::int32: return narrow<std::int32_t>(source, out, stride, count);
    case Format::int64: return narrow<std::int64_t>(source, out, stride, count);
    case Format::int16: return narrow<std::int16_t>(source, out, stride, count);
    case Format::uint16: return narrow<std::uint16_t>(source, out, stride, count);
    case Format::uint32: return narrow<std::uint32_t>(source, out, stride, count);
    case Format::boolean:
      for (std::int64_t i = 0; i < count; ++i) out[i * stride] = source[i] != 0 ? std::byte{1} : std::byte{0};
      return;
    case Format::fp32:  // one rounding, from all 64 bits
      for (std::int64_t i = 0; i < count; ++i) write(out + i * stride * 4, static_cast<float>(source[i]));
      return;
    default: break;
  }
  const std::int64_t step = stride * numerics::format_bytes(format);
  for (std::int64_t i = 0; i < count; ++i) numerics::store_element(format, out + i * step, static_cast<double>(source[i]));
}

void fill_elements(Format format, double value, std::byte* out, std::int64_t count) {
  if (count <= 0) return;
  const auto bytes = static_cast<std::size_t>(numerics::format_bytes(format));
  numerics::store_element(format, out, value);
  // Doubling what is there copies the pattern in few calls.
  const std::size_t total = static_cast<std::size_t>(count) * bytes;
  for (std::size_t done = bytes; done < total;) {
    const std::size_t now = std::min(done, total - done);
    std::memcpy(out + done, out, now);
    done += now;
  }
}

namespace {

constexpr std::int64_t kPiece = 512;

template <class Middle>
void convert_through(const CopyLoop& loop, Format source_format, const std::byte* source, Format target_format, std::byte* target) {
  std::array<Middle, kPiece> middle;
  const std::int64_t source_step = loop.source * numerics::format_bytes(source_format);
  const std::int64_t target_step = loop.target * numerics::format_bytes(target_format);
  for (std::int64_t i = 0; i < loop.extent; i += kPiece) {
    const std::int64_t n = std::min(kPiece, loop.extent - i);
    decode(source_format, source + i * source_step, loop.source, middle.data(), n);
    encode(target_format, middle.data(), target + i * target_step, loop.target, n);
  }
}

void convert(const CopyLoop& loop, Format source_format, const std::byte* source, Format target_format, std::byte* target) {
  if (fits_fp32(source_format)) {
    convert_through<float>(loop, source_format, source, target_format, target);
  } else if (source_format == Format::fp64) {
    convert_through<double>(loop, source_format, source, target_format, target);
  } else {
    convert_through<std::int64_t>(loop, source_format, source, target_format, target);
  }
}

/// The two innermost loops of a copy without conversion, in blocks so that both sides keep their lines while they are used.
template <class Unit>
void copy_plane(const CopyLoop& outer, const CopyLoop& inner, const std::byte* source, std::byte* target) {
  constexpr std::int64_t kBytes = sizeof(Unit);
  if (inner.source == 1 && inner.target == 1) {
    const auto row = static_cast<std::size_t>(inner.extent * kBytes);
    for (std::int64_t i = 0; i < outer.extent; ++i) {
      std::memcpy(target + i * outer.target * kBytes, source + i * outer.source * kBytes, row);
    }
    return;
  }
  constexpr std::int64_t kBlock = 32;
  for (std::int64_t i0 = 0; i0 < outer.extent; i0 += kBlock) {
    const std::int64_t i1 = std::min(i0 + kBlock, outer.extent);
    for (std::int64_t j0 = 0; j0 < inner.extent; j0 += kBlock) {
      const std::int64_t j1 = std::min(j0 + kBlock, inner.extent);
      for (std::int64_t i = i0; i < i1; ++i) {
        const std::byte* s = source + i * outer.source * kBytes;
        std::byte* t = target + i * outer.target * kBytes;
        for (std::int64_t j = j0; j < j1; ++j) std::memcpy(t + j * inner.target * kBytes, s + j * inner.source * kBytes, kBytes);
      }
    }
  }
}

struct Copy {
  std::array<CopyLoop, kMaxCopyLoops> loops;
  int count = 0;
  Format source_format, target_format;
  int source_bytes, target_bytes;

  void plane(const std::byte* source, std::byte* target) const {
    const CopyLoop& outer = loops[static_cast<std::size_t>(count - 2)];
    const CopyLoop& inner = loops[static_cast<std::size_t>(count - 1)];
    if (source_format != target_format) {
      for (std::int64_t i = 0; i < outer.extent; ++i) {
        convert(inner, source_format, source + i * outer.source * source_bytes, target_format, target + i * outer.target * target_bytes);
      }
      return;
    }
    switch (source_bytes) {
      case 1: return copy_plane<std::uint8_t>(outer, inner, source, target);
      case 2: return copy_plane<std::uint16_t>(outer, inner, source, target);
      case 4: return copy_plane<std::uint32_t>(outer, inner, source, target);
      default: return copy_plane<std::uint64_t>(outer, inner, source, target);
    }
  }
  void run(int depth, const std::byte* source, std::byte* target) const {
    if (depth >= count - 2) return plane(source, target);
    const CopyLoop& loop = loops[static_cast<std::size_t>(depth)];
    for (std::int64_t i = 0; i < loop.extent; ++i) {
      run(depth + 1, source + i * loop.source * source_bytes, target + i * loop.target * target_bytes);
    }
  }
};

}  // namespace

void copy_box(const CopyLoop* loops, int count, Format source_format, const std::byte* source, Format target_format, std::byte* target) {
  Copy copy{{}, 0, source_format, target_format, numerics::format_bytes(source_format), numerics::format_bytes(target_format)};
  SY_CHECK(count <= kMaxCopyLoops - 2, "a copy of too many dimensions");
  for (int i = 0; i < count; ++i) {
    if (loops[i].extent <= 0) return;
    if (loops[i].extent > 1) copy.loops[static_cast<std::size_t>(copy.count++)] = loops[i];
  }
  auto* const first = copy.loops.data();
  std::sort(first, first + copy.count,
            [](const CopyLoop& a, const CopyLoop& b) { return a.target != b.target ? a.target > b.target : a.source > b.source; });
  int kept = 0;
  for (int i = 0; i < copy.count; ++i) {
    if (kept > 0) {
      CopyLoop& last = first[kept - 1];
      if (last.target == first[i].target * first[i].extent && last.source == first[i].source * first[i].extent) {
        last = {last.extent * first[i].extent, first[i].source, first[i].target};
        continue;
      }
    }
    first[kept++] = first[i];
  }
  copy.count = kept;
  // The loop in which the source is densest goes next to the innermost: a transposition then works on a plane.
  if (copy.count > 2 && first[copy.count - 1].source != 1) {
    auto* const densest =
        std::min_element(first, first + copy.count - 1, [](const CopyLoop& a, const CopyLoop& b) { return a.source < b.source; });
    std::rotate(densest, densest + 1, first + copy.count - 1);
  }
  if (copy.count < 2) {
    const int missing = 2 - copy.count;
    std::move_backward(first, first + copy.count, first + 2);
    for (int i = 0; i < missing; ++i) first[i] = CopyLoop{};
    copy.count = 2;
  }
  copy.run(0, source, target);
}

}  // namespace switchyard::simulation::functional
