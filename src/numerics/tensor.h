// Host tensors: bytes with a shape and a format, row-major; and constants that are made only when somebody needs their values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "numerics/format.h"

namespace switchyard::numerics {

using Shape = std::vector<std::int64_t>;

std::int64_t element_count(const Shape& shape);  ///< 1 for rank 0; SY_CHECK on overflow (readers check first)
std::vector<std::int64_t> row_major_strides(const Shape& shape);

struct Tensor {
  Format format = Format::fp32;
  Shape shape;
  std::vector<std::byte> bytes;  ///< element_count * format_bytes, little-endian, row-major

  [[nodiscard]] std::int64_t count() const { return element_count(shape); }
  [[nodiscard]] double at(std::int64_t flat) const { return load_element(format, bytes.data() + flat * format_bytes(format)); }
  void set(std::int64_t flat, double v) { store_element(format, bytes.data() + flat * format_bytes(format), v); }
};
Tensor make_tensor(Format format, Shape shape);     ///< zeros
Tensor convert_tensor(const Tensor& t, Format to);  ///< rounds each element once

/// A constant whose values are made on demand (seeded weights, folded products): timing never pays for them.
/// `make` must give the same bytes at every call.
struct Constant {
  std::function<Tensor()> make;
};
using ConstantPtr = std::shared_ptr<const Constant>;
ConstantPtr constant_of(Tensor tensor);

/// Seeded values: counter-based, so that element i depends on (seed, i) alone. Values are multiples of 2^-8 times a power of two
/// within about +-scale: exactly representable in bf16, so that every format of at least 8 significant bits starts from the same weights.
Tensor seeded_uniform(std::uint64_t seed, Format format, const Shape& shape, double scale, double offset = 0);
std::uint64_t mix(std::uint64_t a, std::uint64_t b);  ///< splitmix64 of a and b
std::uint64_t hash_name(std::string_view name);       ///< FNV-1a: seeds derived from a tensor's name

}  // namespace switchyard::numerics
