// Every reader of files as one function of bytes: what libFuzzer, the bounded run of the tests and a file that once hurt all call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::fuzz {

struct Reader {
  const char* name;
  /// Any bytes: gives something that its own verifier can judge and that reads back the same once printed, or diagnostics. Aborts when
  /// neither is so.
  void (*read)(std::string_view bytes);
};
/// The first byte of an input, modulo how many there are, says which of them gets the rest.
const std::vector<Reader>& readers();
void read_one(const std::uint8_t* data, std::size_t size);

/// Good inputs to start from: the repository's chips, programs and mappings, and models of every form an ONNX file may have.
std::vector<std::string> seeds();

}  // namespace switchyard::fuzz
