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
  std::size_t length;  ///< of the longest input worth trying: room for every part of the format once or twice
  /// Any bytes: gives something that its own verifier can judge and that reads back the same once printed, or diagnostics. Aborts when
  /// neither is so.
  void (*read)(std::string_view bytes);
};
const std::vector<Reader>& readers();
const Reader* find_reader(std::string_view name);  ///< null: there is none

/// A good input to start from: the repository's chips, servers, programs and mappings, and models of every form an ONNX file may have.
struct Seed {
  const Reader* reader = nullptr;
  std::string bytes;
};
std::vector<Seed> seeds();
/// The words of all formats: those of the seeds that are text, and the operators of ONNX.
std::vector<std::string> words();

}  // namespace switchyard::fuzz
