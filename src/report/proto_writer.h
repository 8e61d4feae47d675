// ProtoWriter: the wire format of protocol buffers, as far as a trace needs it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace switchyard::report {

/// Appends fields to a message. Source: the Protocol Buffers documentation, "Encoding".
class ProtoWriter {
 public:
  void varint(std::uint32_t field, std::uint64_t value) {
    raw_varint(std::uint64_t{field} << 3 | 0);
    raw_varint(value);
  }
  void fixed64(std::uint32_t field, std::uint64_t value) {
    raw_varint(std::uint64_t{field} << 3 | 1);
    for (int i = 0; i < 8; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  void bytes(std::uint32_t field, std::string_view value) {
    raw_varint(std::uint64_t{field} << 3 | 2);
    raw_varint(value.size());
    bytes_ += value;
  }
  void message(std::uint32_t field, const ProtoWriter& inner) { bytes(field, inner.bytes_); }

  [[nodiscard]] const std::string& text() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  void raw_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>((value & 0x7f) | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

}  // namespace switchyard::report
