// The entry that libFuzzer calls. Built by tools/fuzz.
#include <cstdlib>
#include <fstream>

#include "fuzz/harness/readers.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("SWITCHYARD_FUZZ_SEEDS");  // only writes the first corpus
  if (folder == nullptr) return 0;
  int number = 0;
  for (const std::string& seed : switchyard::fuzz::seeds())
    std::ofstream(std::string(folder) + "/seed" + std::to_string(number++), std::ios::binary) << seed;
  std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  switchyard::fuzz::read_one(data, size);
  return 0;
}
