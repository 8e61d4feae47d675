#include "numerics/tensor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "support/check.h"

namespace switchyard::numerics {

namespace {

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ull;

/// The output function of splitmix64 (Steele, Lea, Flood 2014).
std::uint64_t scramble(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::uint64_t stream_start(std::uint64_t seed) { return scramble(seed + kGolden); }
std::uint64_t stream_value(std::uint64_t start, std::uint64_t counter) { return scramble(start + kGolden * (counter + 1)); }

/// Four elements share one 64-bit draw, 16 bits each; an odd table length makes the picked index exactly symmetric about its middle.
template <class Code>
void fill_from_table(std::uint64_t start, const std::vector<std::byte>& table_bytes, std::vector<std::byte>& out) {
  std::vector<Code> table(table_bytes.size() / sizeof(Code));
  std::memcpy(table.data(), table_bytes.data(), table_bytes.size());
  const auto length = static_cast<std::uint64_t>(table.size());
  const std::size_t count = out.size() / sizeof(Code);
  for (std::size_t i = 0; i < count; i += 4) {
    const std::uint64_t draw = stream_value(start, i / 4);
    std::array<Code, 4> codes;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::uint64_t part = (draw >> (16 * k)) & 0xffff;
      codes[k] = table[((2 * part + 1) * length) >> 17];
    }
    std::memcpy(out.data() + i * sizeof(Code), codes.data(), std::min<std::size_t>(4, count - i) * sizeof(Code));
  }
}

}  // namespace

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    SY_CHECK(extent >= 0, "a negative extent");
    SY_CHECK(!__builtin_mul_overflow(count, extent, &count), "a shape with more than 2^63 elements");
  }
  return count;
}

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

Tensor make_tensor(Format format, Shape shape) {
  std::int64_t bytes = 0;
  SY_CHECK(!__builtin_mul_overflow(element_count(shape), static_cast<std::int64_t>(format_bytes(format)), &bytes), "a tensor too large");
  return {format, std::move(shape), std::vector<std::byte>(static_cast<std::size_t>(bytes))};
}

Tensor convert_tensor(const Tensor& t, Format to) {
  if (t.format == to) return t;
  Tensor result = make_tensor(to, t.shape);
  const std::int64_t count = t.count();
  const FormatInfo& from_info = format_info(t.format);
  const FormatInfo& to_info = format_info(to);
  if (!from_info.floating && !to_info.floating && t.format == Format::int64) {  // exact beyond 2^53 too, where double is not
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t value = 0;
      std::memcpy(&value, t.bytes.data() + i * 8, 8);
      result.set(i, static_cast<double>(value));  // the target holds at most 32 bits: saturation does not see the lost bits
    }
    return result;
  }
  // Through fp32 only where that is exact: every value of the narrow floating formats is an fp32 number.
  if (from_info.floating && t.format != Format::fp64) {
    constexpr std::int64_t kChunk = 4096;
    std::array<float, kChunk> row;
    for (std::int64_t i = 0; i < count; i += kChunk) {
      const std::int64_t n = std::min(kChunk, count - i);
      decode_row(t.format, t.bytes.data() + i * from_info.bytes, 1, row.data(), n);
      encode_row(to, row.data(), result.bytes.data() + i * to_info.bytes, 1, n);
    }
    return result;
  }
  for (std::int64_t i = 0; i < count; ++i) result.set(i, t.at(i));
  return result;
}

ConstantPtr constant_of(Tensor tensor) {
  auto shared = std::make_shared<const Tensor>(std::move(tensor));
  return std::make_shared<const Constant>(Constant{[shared] { return *shared; }});
}

Tensor seeded_uniform(std::uint64_t seed, Format format, const Shape& shape, double scale, double offset) {
  SY_CHECK(scale >= 0 && std::isfinite(scale) && std::isfinite(offset), "seeded values need a finite scale and offset");
  // Multiples of the quantum up to +-scale, at most 256 of them on each side: eight significant bits.
  std::int64_t reach = 0;
  double quantum = 0;
  if (scale > 0) {
    quantum = std::ldexp(1.0, std::max(std::ilogb(scale) + 1 - 8, -1074));
    reach = static_cast<std::int64_t>(std::floor(scale / quantum));
  }
  const auto size = static_cast<std::size_t>(format_bytes(format));
  std::vector<std::byte> table(static_cast<std::size_t>(2 * reach + 1) * size);
  for (std::int64_t j = -reach; j <= reach; ++j) {
    std::uint16_t code = 0;
    store_element(Format::bf16, reinterpret_cast<std::byte*>(&code), offset + static_cast<double>(j) * quantum);
    store_element(format, table.data() + static_cast<std::size_t>(j + reach) * size, bf16_to_float(code));
  }
  Tensor result = make_tensor(format, shape);
  const std::uint64_t start = stream_start(seed);
  switch (size) {
    case 1: fill_from_table<std::uint8_t>(start, table, result.bytes); break;
    case 2: fill_from_table<std::uint16_t>(start, table, result.bytes); break;
    case 4: fill_from_table<std::uint32_t>(start, table, result.bytes); break;
    case 8: fill_from_table<std::uint64_t>(start, table, result.bytes); break;
    default: SY_CHECK(false, "an element size without seeded values");
  }
  return result;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return stream_value(stream_start(a), b); }

std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

}  // namespace switchyard::numerics
