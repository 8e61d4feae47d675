// Tensors in files: ONNX TensorProto (.pb) and NumPy's .npy.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "model/model.h"
#include "model/onnx/decode.h"
#include "model/onnx/values.h"
#include "support/file.h"

namespace switchyard::model {

namespace {

Failure broken(const std::string& path, std::string message) {
  return fail(FailureKind::malformed, "tensor/malformed", std::move(message), {}, {path, 0, 0});
}

struct NumpyType {
  std::string_view descr;
  numerics::Format format;
};

/// NumPy's names, little-endian ("<") or of one byte ("|").
constexpr std::array kNumpyTypes{
    NumpyType{"<f4", numerics::Format::fp32},   NumpyType{"<f8", numerics::Format::fp64},    NumpyType{"<f2", numerics::Format::fp16},
    NumpyType{"<i4", numerics::Format::int32},  NumpyType{"<i8", numerics::Format::int64},   NumpyType{"|i1", numerics::Format::int8},
    NumpyType{"|u1", numerics::Format::uint8},  NumpyType{"|b1", numerics::Format::boolean}, NumpyType{"<i2", numerics::Format::int16},
    NumpyType{"<u2", numerics::Format::uint16}, NumpyType{"<u4", numerics::Format::uint32},  NumpyType{"<u8", numerics::Format::uint64},
};

/// The header of a .npy file: a Python dictionary with exactly three keys. Format: numpy.lib.format.
class NumpyHeader {
 public:
  explicit NumpyHeader(std::string_view text) : rest_(text) {}

  std::string descr;
  bool fortran = false;
  numerics::Shape shape;

  bool parse() {
    bool seen_descr = false;
    bool seen_order = false;
    bool seen_shape = false;
    if (!take('{')) return false;
    while (!take('}')) {
      std::string key;
      if (!string(key) || !take(':')) return false;
      if (key == "descr" && !seen_descr) {
        seen_descr = string(descr);
        if (!seen_descr) return false;
      } else if (key == "fortran_order" && !seen_order) {
        seen_order = true;
        if (word("True")) {
          fortran = true;
        } else if (!word("False")) {
          return false;
        }
      } else if (key == "shape" && !seen_shape) {
        seen_shape = tuple();
        if (!seen_shape) return false;
      } else {
        return false;
      }
      if (!take(',') && !peek('}')) return false;
    }
    space();
    return rest_.empty() && seen_descr && seen_order && seen_shape;
  }

 private:
  void space() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) rest_.remove_prefix(1);
  }
  bool peek(char c) {
    space();
    return !rest_.empty() && rest_.front() == c;
  }
  bool take(char c) {
    if (!peek(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool word(std::string_view w) {
    space();
    if (!rest_.starts_with(w)) return false;
    rest_.remove_prefix(w.size());
    return true;
  }
  bool string(std::string& out) {
    space();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return false;
    const std::size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) return false;
    out = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return true;
  }
  bool tuple() {
    if (!take('(')) return false;
    while (!take(')')) {
      space();
      std::int64_t value = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
      if (error != std::errc() || shape.size() >= onnx::kMaxRank) return false;
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      shape.push_back(value);
      if (!take(',') && !peek(')')) return false;
    }
    return true;
  }

  std::string_view rest_;
};

Result<numerics::Tensor> read_npy(std::string_view bytes, const std::string& path) {
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  if (bytes.size() < 10 || !bytes.starts_with("\x93NUMPY")) return broken(path, "the file does not start as a .npy file does");
  const std::size_t version = byte(6);
  if (version < 1 || version > 3) {
    return fail(FailureKind::unsupported, "tensor/unsupported", fmt::format(".npy version {} is not known", version), {}, {path, 0, 0});
  }
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  if (bytes.size() < 8 + length_bytes) return broken(path, "the .npy header is cut off");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= byte(8 + i) << (8 * i);
  const std::size_t begin = 8 + length_bytes;
  if (length > bytes.size() - begin) return broken(path, "the .npy header is cut off");
  NumpyHeader header(bytes.substr(begin, length));
  if (!header.parse()) return broken(path, "the .npy header is not a dictionary of descr, fortran_order and shape");
  const auto count = onnx::checked_count(header.shape);
  if (!count) return broken(path, fmt::format("the .npy header has impossible dimensions {}", onnx::print_shape(header.shape)));
  std::optional<numerics::Format> format;
  for (const NumpyType& row : kNumpyTypes) {
    if (row.descr == header.descr) format = row.format;
  }
  if (!format) {
    return fail(FailureKind::unsupported, "tensor/unsupported", fmt::format(".npy element type '{}' is not supported", header.descr),
                "supported are <f2, <f4, <f8, <i4, <i8, |i1, |u1, |b1", {path, 0, 0});
  }
  if (header.fortran && header.shape.size() > 1) {
    return fail(FailureKind::unsupported, "tensor/unsupported", "the .npy file is in Fortran order", "save it with numpy.ascontiguousarray",
                {path, 0, 0});
  }
  const std::string_view data = bytes.substr(begin + length);
  const auto expected = static_cast<std::uint64_t>(*count) * static_cast<std::uint64_t>(numerics::format_bytes(*format));
  if (data.size() != expected) {
    return broken(path, fmt::format("shape {} of {} needs {} bytes, the file has {}", onnx::print_shape(header.shape), header.descr,
                                    expected, data.size()));
  }
  numerics::Tensor tensor{*format, header.shape, std::vector<std::byte>(data.size())};
  if (!data.empty()) std::memcpy(tensor.bytes.data(), data.data(), data.size());
  return tensor;
}

}  // namespace

Result<numerics::Tensor> read_tensor(const std::string& path) {
  SY_TRY(const std::string bytes, read_file(path));
  return parse_tensor(bytes, path);
}

Result<numerics::Tensor> parse_tensor(std::string_view bytes, const std::string& path) {
  if (std::filesystem::path(path).extension() == ".npy") return read_npy(bytes, path);
  SY_TRY(const onnx::TensorData data, onnx::decode_tensor(bytes, path));
  SY_TRY(const onnx::Value value, onnx::value_of(data, path, {}));
  return value.constant->make();
}

Status write_npy(const numerics::Tensor& tensor, const std::string& path) {
  if (tensor.format == numerics::Format::bf16) return write_npy(numerics::convert_tensor(tensor, numerics::Format::fp32), path);
  const auto type =
      std::find_if(std::begin(kNumpyTypes), std::end(kNumpyTypes), [&](const NumpyType& t) { return t.format == tensor.format; });
  if (type == std::end(kNumpyTypes)) {
    return fail(FailureKind::unsupported, "tensor/unsupported",
                fmt::format("NumPy has no type for {}", numerics::format_name(tensor.format)), {}, {path, 0, 0});
  }
  std::string shape;
  for (const std::int64_t extent : tensor.shape) shape += fmt::format("{}, ", extent);
  if (tensor.shape.size() > 1) shape.resize(shape.size() - 2);
  if (tensor.shape.size() == 1) shape.resize(shape.size() - 1);  // "(3,)": without the comma it is no tuple
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type->descr, shape);
  constexpr std::size_t kPrefix = 10, kAlignment = 64;
  header.append(kAlignment - (kPrefix + header.size() + 1) % kAlignment, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  return write_file(path, bytes);
}

Status write_tensor(const numerics::Tensor& tensor, const std::string& name, const std::string& path) {
  if (tensor.bytes.size() >= (std::size_t{1} << 31) - (std::size_t{1} << 16)) {
    return fail(FailureKind::unsupported, "tensor/too-large",
                fmt::format("{} has {} bytes; .pb files end at 2 GiB", name, tensor.bytes.size()), {}, {path, 0, 0});
  }
  onnx::TensorData data;
  data.name = name;
  data.dims = tensor.shape;
  data.type = onnx::data_type_of(tensor.format);
  if (data.type == onnx::kUndefined) {  // a format the standard has no type for
    data.type = onnx::kFloat;
    data.bytes = std::make_shared<std::string>(onnx::pack(numerics::convert_tensor(tensor, numerics::Format::fp32)));
  } else {
    data.bytes = std::make_shared<std::string>(onnx::pack(tensor));
  }
  return write_file(path, onnx::encode_tensor(data));
}

}  // namespace switchyard::model
