// The entry that libFuzzer calls: one reader, the one that $SWITCHYARD_FUZZ_READER names. With $SWITCHYARD_FUZZ_PREPARE instead, the
// process only writes what to start from into that folder: READER/seedN, READER.length and words.dict. Run by tools/fuzz.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fuzz/harness/readers.h"

namespace {

const switchyard::fuzz::Reader* chosen = nullptr;

void prepare(const std::filesystem::path& folder) {
  namespace fuzz = switchyard::fuzz;
  for (const fuzz::Reader& reader : fuzz::readers()) {
    std::filesystem::remove_all(folder / reader.name);
    std::filesystem::create_directories(folder / reader.name);
    std::ofstream(folder / (std::string(reader.name) + ".length")) << reader.length << '\n';
  }
  int number = 0;
  for (const fuzz::Seed& seed : fuzz::seeds())
    if (seed.bytes.size() <= seed.reader->length)
      std::ofstream(folder / seed.reader->name / ("seed" + std::to_string(number++)), std::ios::binary) << seed.bytes;
  std::ofstream dictionary(folder / "words.dict");
  for (const std::string& word : fuzz::words()) dictionary << '"' << word << "\"\n";
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("SWITCHYARD_FUZZ_PREPARE")) {
    prepare(folder);
    std::exit(0);
  }
  const char* name = std::getenv("SWITCHYARD_FUZZ_READER");
  chosen = name == nullptr ? nullptr : switchyard::fuzz::find_reader(name);
  if (chosen != nullptr) return 0;
  std::fprintf(stderr, "SWITCHYARD_FUZZ_READER must name a reader\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->read({reinterpret_cast<const char*>(data), size});
  return 0;
}
