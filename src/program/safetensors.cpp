#include "program/safetensors.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "support/check.h"
#include "support/sha256.h"

namespace switchyard::program {

namespace {

using numerics::Format;

constexpr std::uint64_t kHeaderLimit = std::uint64_t{64} << 20;
constexpr std::size_t kHeaderAlignment = 64;

constexpr std::array<std::pair<Format, const char*>, 16> kTypes{{{Format::fp32, "F32"},
                                                                 {Format::fp16, "F16"},
                                                                 {Format::bf16, "BF16"},
                                                                 {Format::fp64, "F64"},
                                                                 {Format::int8, "I8"},
                                                                 {Format::int32, "I32"},
                                                                 {Format::int64, "I64"},
                                                                 {Format::uint8, "U8"},
                                                                 {Format::boolean, "BOOL"},
                                                                 {Format::int16, "I16"},
                                                                 {Format::uint16, "U16"},
                                                                 {Format::uint32, "U32"},
                                                                 {Format::uint64, "U64"},
                                                                 {Format::fp8_e4m3, "F8_E4M3"},
                                                                 {Format::fp8_e5m2, "F8_E5M2"},
                                                                 {Format::e8m0, "F8_E8M0"}}};

std::string type_name(Format format) {
  for (const auto& [known, name] : kTypes)
    if (known == format) return name;
  if (numerics::format_bytes(format) == 1) return "U8";  // codes
  check_failed("type of a format", __FILE__, __LINE__, "a format without a safetensors name");
}

Failure bad(const std::string& path, std::string message) {
  return fail(FailureKind::malformed, "program/sidecar", std::move(message), "write the program again", {path, 0, 0});
}

/// An open file from which several threads read slices.
struct Slices {
  std::mutex mutex;
  std::ifstream stream;

  std::vector<std::byte> read(std::uint64_t offset, std::uint64_t count) {
    std::vector<std::byte> bytes(count);
    const std::lock_guard lock(mutex);
    stream.clear();
    stream.seekg(static_cast<std::streamoff>(offset));
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(count));
    SY_CHECK(static_cast<std::uint64_t>(stream.gcount()) == count, "the constants' file changed while it was in use");
    return bytes;
  }
};

}  // namespace

Result<std::string> write_safetensors(const std::string& path, const std::vector<NamedConstant>& constants) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::int64_t end = 0;
  for (const NamedConstant& constant : constants) {
    const std::int64_t begin = end;
    end += numerics::element_count(constant.shape) * numerics::format_bytes(constant.format);
    header[constant.name] = {{"dtype", type_name(constant.format)}, {"shape", constant.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 8 + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment - 8, ' ');
  std::array<char, 8> length{};
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);

  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  Sha256 digest;
  const auto write = [&](const char* bytes, std::size_t count) {
    file.write(bytes, static_cast<std::streamsize>(count));
    digest.update(std::string_view(bytes, count));
  };
  write(length.data(), length.size());
  write(text.data(), text.size());
  for (const NamedConstant& constant : constants) {
    if (!file) break;
    const numerics::Tensor tensor = constant.values->make();
    SY_CHECK(tensor.format == constant.format && tensor.shape == constant.shape, "values of the constant " + constant.name);
    write(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  file.close();
  if (!file) return fail(FailureKind::usage, "file/unwritable", fmt::format("'{}' cannot be written", path));
  return digest.hex();
}

Result<std::vector<StoredTensor>> parse_safetensors(std::uint64_t size,
                                                    const std::function<std::string(std::uint64_t offset, std::uint64_t count)>& read,
                                                    const std::string& path) {
  if (size < 8) return bad(path, "the file is shorter than its header");
  std::uint64_t length = 0;
  const std::string prefix = read(0, 8);
  for (std::size_t i = 0; i < 8; ++i) length |= static_cast<std::uint64_t>(static_cast<unsigned char>(prefix[i])) << (8 * i);
  if (length > kHeaderLimit || length > size - 8) return bad(path, "the header is longer than the file or than 64 MiB");
  const auto header = nlohmann::json::parse(read(8, length), nullptr, false);
  if (!header.is_object()) return bad(path, "the header is not a JSON object");

  const std::uint64_t data = 8 + length;
  std::vector<StoredTensor> result;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    StoredTensor stored;
    stored.name = name;
    const auto invalid = [&, key = name](const char* what) { return bad(path, fmt::format("the tensor '{}' {}", key, what)); };
    if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() || !entry.contains("shape") ||
        !entry["shape"].is_array() || !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
        entry["data_offsets"].size() != 2)
      return invalid("lacks dtype, shape or data_offsets");
    bool known = false;
    for (const auto& [format, type] : kTypes) {
      if (entry["dtype"] != type) continue;
      known = true;
      stored.format = format;
    }
    if (!known) return invalid("has an unknown dtype");
    std::int64_t bytes = numerics::format_bytes(stored.format);
    for (const auto& extent : entry["shape"]) {
      if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > size) return invalid("has an impossible shape");
      stored.shape.push_back(extent.get<std::int64_t>());
      if (__builtin_mul_overflow(bytes, stored.shape.back(), &bytes)) return invalid("has an impossible shape");
    }
    const auto& offsets = entry["data_offsets"];
    if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) return invalid("has impossible offsets");
    const auto begin = offsets[0].get<std::uint64_t>();
    const auto end = offsets[1].get<std::uint64_t>();
    if (begin > end || end > size - data || end - begin != static_cast<std::uint64_t>(bytes)) return invalid("has impossible offsets");
    stored.begin = data + begin;
    stored.end = data + end;
    result.push_back(std::move(stored));
  }
  return result;
}

Result<std::vector<NamedConstant>> read_safetensors(const std::string& path, std::string_view sha256) {
  std::error_code ignored;
  auto slices = std::make_shared<Slices>();
  if (std::filesystem::is_regular_file(path, ignored)) slices->stream.open(path, std::ios::binary);
  if (!slices->stream.is_open())
    return fail(FailureKind::malformed, "file/unreadable", fmt::format("'{}' cannot be read", path),
                "the constants of a program lie beside it");
  Sha256 digest;
  std::vector<char> piece(std::size_t{1} << 20);
  std::uint64_t size = sha256.empty() ? std::filesystem::file_size(path, ignored) : 0;
  while (!sha256.empty() && slices->stream) {
    slices->stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const auto count = static_cast<std::size_t>(slices->stream.gcount());
    digest.update(std::string_view(piece.data(), count));
    size += count;
  }
  if (!sha256.empty() && digest.hex() != sha256)
    return fail(FailureKind::malformed, "program/sidecar-digest", fmt::format("'{}' is not the file this program was written with", path),
                "its sha256 differs; write the program again", {path, 0, 0});

  SY_TRY(const std::vector<StoredTensor> stored, parse_safetensors(
                                                     size,
                                                     [&](std::uint64_t offset, std::uint64_t count) {
                                                       const std::vector<std::byte> bytes = slices->read(offset, count);
                                                       return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                                                     },
                                                     path));
  std::vector<NamedConstant> result;
  for (const StoredTensor& t : stored) {
    result.push_back({t.name, t.format, t.shape, std::make_shared<numerics::Constant>(numerics::Constant{[slices, t] {
                        return numerics::Tensor{t.format, t.shape, slices->read(t.begin, t.end - t.begin)};
                      }})});
  }
  return result;
}

}  // namespace switchyard::program
