#include "model/onnx/values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "support/check.h"

namespace switchyard::model::onnx {

namespace fs = std::filesystem;
using numerics::Format;

namespace {

struct TypeRow {
  std::int32_t type;
  std::string_view name;
  std::optional<Format> format;
  int packed_bits = 0;  ///< files hold several elements in a byte, the first in the low bits
};

constexpr std::array kTypes{
    TypeRow{1, "FLOAT", Format::fp32},
    TypeRow{2, "UINT8", Format::uint8},
    TypeRow{3, "INT8", Format::int8},
    TypeRow{4, "UINT16", Format::uint16},
    TypeRow{5, "INT16", Format::int16},
    TypeRow{6, "INT32", Format::int32},
    TypeRow{7, "INT64", Format::int64},
    TypeRow{8, "STRING", {}},
    TypeRow{9, "BOOL", Format::boolean},
    TypeRow{10, "FLOAT16", Format::fp16},
    TypeRow{11, "DOUBLE", Format::fp64},
    TypeRow{12, "UINT32", Format::uint32},
    TypeRow{13, "UINT64", Format::uint64},
    TypeRow{14, "COMPLEX64", {}},
    TypeRow{15, "COMPLEX128", {}},
    TypeRow{16, "BFLOAT16", Format::bf16},
    TypeRow{17, "FLOAT8E4M3FN", Format::fp8_e4m3},
    TypeRow{18, "FLOAT8E4M3FNUZ", Format::fp8_e4m3fnuz},
    TypeRow{19, "FLOAT8E5M2", Format::fp8_e5m2},
    TypeRow{20, "FLOAT8E5M2FNUZ", Format::fp8_e5m2fnuz},
    TypeRow{21, "UINT4", Format::uint4, 4},
    TypeRow{22, "INT4", Format::int4, 4},
    TypeRow{23, "FLOAT4E2M1", Format::fp4_e2m1, 4},
    TypeRow{24, "FLOAT8E8M0", Format::e8m0},
    TypeRow{25, "UINT2", Format::uint2, 2},
    TypeRow{26, "INT2", Format::int2, 2},
};

Diagnostic problem(std::string code, std::string message, const TensorData& data, const std::string& file, std::string hint = {}) {
  return {std::move(code), std::move(message), {file, 0, 0}, data.name, std::move(hint), {}};
}

std::optional<std::uint64_t> parse_size(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

/// 0: an element takes bytes of its own.
int packed_bits(Format format) {
  for (const auto& row : kTypes) {
    if (row.format == format) return row.packed_bits;
  }
  return 0;
}

/// A tensor of the bytes that a file gives for it; formats of less than a byte take one each. `length` bytes are written by `fill`, into
/// the tensor itself: of large weights there is no second copy.
template <class Fill>
numerics::Tensor unpacked(Format format, const numerics::Shape& shape, std::size_t length, Fill&& fill) {
  numerics::Tensor tensor;
  tensor.format = format;
  tensor.shape = shape;
  const int bits = packed_bits(format);
  const auto count = static_cast<std::size_t>(numerics::element_count(shape));
  tensor.bytes.resize(bits == 0 ? length : count);
  fill(tensor.bytes.data());
  if (bits == 0) return tensor;
  // What is packed lies at the front and is never longer than what it becomes: taken apart from the back, in place.
  const std::size_t per_byte = static_cast<std::size_t>(8 / bits);
  for (std::size_t i = count; i-- > 0;) {
    const int packed = std::to_integer<int>(tensor.bytes[i / per_byte]) >> (static_cast<int>(i % per_byte) * bits);
    tensor.bytes[i] = static_cast<std::byte>(packed & ((1 << bits) - 1));
  }
  return tensor;
}

numerics::Tensor unpacked(Format format, const numerics::Shape& shape, const std::string& bytes) {
  return unpacked(format, shape, bytes.size(), [&](std::byte* to) {
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  });
}

/// Where in a file of its own a tensor lies.
struct FileRange {
  std::string path;
  std::uint64_t offset = 0, length = 0;

  /// Weights are read when somebody wants their values: timing never does.
  /// They are read, not mapped: of a mapped file that somebody cuts short meanwhile the process would die of a signal.
  void read(std::byte* to) const {
    std::ifstream stream(path, std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(offset));
    stream.read(reinterpret_cast<char*>(to), static_cast<std::streamsize>(length));
    SY_CHECK(static_cast<bool>(stream), "the file '" + path + "' has changed since the model was read");
  }
};

/// The bytes of a tensor that lie in a file of their own. The file must be inside the model's folder, symbolic links resolved:
/// a model from elsewhere must not make us read what it names.
Result<FileRange> external_range(const TensorData& data, std::uint64_t expected, const std::string& file, const std::string& folder) {
  const auto bad = [&](std::string message, std::string hint = {}) {
    return fail(FailureKind::malformed,
                problem("onnx/external-data", fmt::format("tensor {}: {}", data.name, message), data, file, std::move(hint)));
  };
  const auto entry = [&](const char* key) {
    const auto it = data.external_data.find(key);
    return it == data.external_data.end() ? std::string() : it->second;
  };
  const std::string location = entry("location");
  if (folder.empty()) {
    return fail(FailureKind::unsupported,
                problem("onnx/external-data", fmt::format("tensor {}: external data is read for models only", data.name), data, file));
  }
  const fs::path relative(location);
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute()) {
    return bad(fmt::format("external location \"{}\" is not a relative path", location));
  }
  for (const auto& part : relative) {
    if (part == "..") return bad(fmt::format("external location \"{}\" leaves the model's folder", location));
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) return bad(fmt::format("the model's folder cannot be opened: {}", error.message()));
  const fs::path path = fs::canonical(root / relative, error);
  if (error) return bad(fmt::format("external file \"{}\" cannot be opened: {}", location, error.message()));
  const fs::path inside = path.lexically_relative(root);
  if (inside.empty() || *inside.begin() == "..") return bad(fmt::format("external location \"{}\" leaves the model's folder", location));
  if (!fs::is_regular_file(path, error)) return bad(fmt::format("external location \"{}\" is not a file", location));
  const std::uint64_t size = fs::file_size(path, error);
  if (error) return bad(fmt::format("external file \"{}\" cannot be read: {}", location, error.message()));
  const auto offset = entry("offset").empty() ? std::optional<std::uint64_t>(0) : parse_size(entry("offset"));
  if (!offset || *offset > size) return bad(fmt::format("offset \"{}\" is outside external file \"{}\"", entry("offset"), location));
  const auto length = entry("length").empty() ? std::optional<std::uint64_t>(size - *offset) : parse_size(entry("length"));
  if (!length || *length > size - *offset) {
    return bad(
        fmt::format("offset {} and length \"{}\" reach beyond external file \"{}\" of {} bytes", *offset, entry("length"), location, size));
  }
  // A file without a stated length may hold more tensors than this one: checked before anything is allocated.
  if (entry("length").empty() && *length > expected) return bad("external data has no length and the file holds more than the tensor");
  if (*length != expected) {
    return fail(FailureKind::malformed,
                problem("onnx/initializer-size",
                        fmt::format("tensor {}: shape {} of {} needs {} bytes, the external file gives {}", data.name,
                                    print_shape(data.dims), data_type_name(data.type), expected, *length),
                        data, file));
  }
  if (!std::ifstream(path, std::ios::binary)) return bad(fmt::format("external file \"{}\" cannot be read", location));
  return FileRange{path.string(), *offset, *length};
}

}  // namespace

std::optional<Format> format_of(std::int32_t data_type) {
  for (const auto& row : kTypes) {
    if (row.type == data_type) return row.format;
  }
  return {};
}

std::int32_t data_type_of(Format format) {
  for (const auto& row : kTypes) {
    if (row.format == format) return row.type;
  }
  return kUndefined;
}

std::string data_type_name(std::int32_t data_type) {
  for (const auto& row : kTypes) {
    if (row.type == data_type) return std::string(row.name);
  }
  return fmt::format("type {}", data_type);
}

std::optional<std::int64_t> checked_count(const numerics::Shape& shape) {
  if (shape.size() > kMaxRank) return {};
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t d : shape) {
    if (d < 0 || d > kMaxElements) return {};
    if (d == 0) {
      empty = true;
      continue;
    }
    if (count > kMaxElements / d) return {};
    count *= d;
  }
  return empty ? 0 : count;
}

std::string pack(const numerics::Tensor& tensor) {
  const int bits = packed_bits(tensor.format);
  if (bits == 0) return {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()};
  const std::size_t per_byte = static_cast<std::size_t>(8 / bits);
  std::string packed((tensor.bytes.size() + per_byte - 1) / per_byte, '\0');
  for (std::size_t i = 0; i < tensor.bytes.size(); ++i) {
    const int code = static_cast<int>(tensor.bytes[i]) & ((1 << bits) - 1);
    packed[i / per_byte] = static_cast<char>(packed[i / per_byte] | code << (static_cast<int>(i % per_byte) * bits));
  }
  return packed;
}

std::string print_shape(const numerics::Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

const numerics::Tensor* known(Value& value) {
  if (!value.constant) return nullptr;
  const auto count = checked_count(value.shape);
  if (!count || *count > kMaxKnown) return nullptr;
  // Few numbers of a constant that a small file makes enormous: to compute it could fill the memory.
  constexpr std::int64_t kMostComputed = std::int64_t{1} << 20;
  if (value.lazy_points > kMostComputed) return nullptr;
  if (!value.cache) value.cache = std::make_shared<numerics::Tensor>(value.constant->make());
  return value.cache.get();
}

const numerics::Tensor* known_or_given(Value& value) {
  if (const numerics::Tensor* tensor = known(value)) return tensor;
  return value.given.get();
}

namespace {

Result<Value> text_of(const TensorData& data, const std::string& file) {
  numerics::Shape shape = data.dims;
  shape.push_back(std::max<std::int64_t>(1, data.text_width));
  const auto count = checked_count(shape);
  if (!count) {
    return fail(
        FailureKind::malformed,
        problem("onnx/shape", fmt::format("tensor {} has impossible dimensions {}", data.name, print_shape(data.dims)), data, file));
  }
  if (!data.bytes) {
    return fail(
        FailureKind::unsupported,
        problem("onnx/unsupported-type",
                fmt::format("tensor {}: texts with a zero byte, or of more than 64 MiB with what fills them up", data.name), data, file));
  }
  if (static_cast<std::int64_t>(data.bytes->size()) != *count) {
    return fail(FailureKind::malformed,
                problem("onnx/initializer-size",
                        fmt::format("tensor {}: shape {} of STRING needs {} texts, the file gives {}", data.name, print_shape(data.dims),
                                    *count / shape.back(), static_cast<std::int64_t>(data.bytes->size()) / shape.back()),
                        data, file));
  }
  Value value;
  value.name = data.name;
  value.format = Format::uint8;
  value.shape = shape;
  value.text = true;
  value.constant = std::make_shared<numerics::Constant>(
      numerics::Constant{[shape, bytes = data.bytes] { return unpacked(Format::uint8, shape, *bytes); }});
  return value;
}

}  // namespace

Result<Value> value_of(const TensorData& data, const std::string& file, const std::string& folder) {
  if (data.type == kString) return text_of(data, file);
  const auto format = format_of(data.type);
  if (!format) {
    return fail(FailureKind::unsupported,
                problem("onnx/unsupported-type", fmt::format("tensor {} has element type {}", data.name, data_type_name(data.type)), data,
                        file, "supported are the integers, BOOL, FLOAT, FLOAT16, BFLOAT16, DOUBLE and the narrower floating types"));
  }
  const auto count = checked_count(data.dims);
  if (!count) {
    return fail(
        FailureKind::malformed,
        problem("onnx/shape", fmt::format("tensor {} has impossible dimensions {}", data.name, print_shape(data.dims)), data, file));
  }
  const int bits = packed_bits(*format);
  const auto elements = static_cast<std::uint64_t>(*count);
  const std::uint64_t expected = bits > 0 ? (elements * static_cast<std::uint64_t>(bits) + 7) / 8
                                          : elements * static_cast<std::uint64_t>(numerics::format_bytes(*format));
  Value value;
  value.name = data.name;
  value.format = *format;
  value.shape = data.dims;
  if (data.external) {
    SY_TRY(const FileRange range, external_range(data, expected, file, folder));
    value.constant = std::make_shared<numerics::Constant>(numerics::Constant{[format = *format, shape = data.dims, range] {
      return unpacked(format, shape, static_cast<std::size_t>(range.length), [&](std::byte* to) { range.read(to); });
    }});
    return value;
  }
  const std::shared_ptr<const std::string> bytes = data.bytes;
  if (!bytes) {
    return fail(FailureKind::unsupported,
                problem("onnx/unsupported-feature", fmt::format("tensor {} stores its values in segments", data.name), data, file));
  }
  if (bytes->size() != expected) {
    return fail(FailureKind::malformed, problem("onnx/initializer-size",
                                                fmt::format("tensor {}: shape {} of {} needs {} bytes, the file gives {}", data.name,
                                                            print_shape(data.dims), data_type_name(data.type), expected, bytes->size()),
                                                data, file));
  }
  value.constant = std::make_shared<numerics::Constant>(
      numerics::Constant{[format = *format, shape = data.dims, bytes] { return unpacked(format, shape, *bytes); }});
  return value;
}

}  // namespace switchyard::model::onnx
