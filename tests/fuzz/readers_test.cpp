// A bounded run of every reader over damaged good inputs; what once hurt is in tests/fuzz/found/READER.
#include "fuzz/harness/readers.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "fuzz/damage.h"
#include "support/file.h"

namespace switchyard::fuzz {
namespace {

TEST(Readers, EverySeedIsOneAReaderTakes) {
  std::map<const Reader*, int> count, fit;  // all, and those that tools/fuzz starts from
  for (const Seed& seed : seeds()) {
    ASSERT_NE(seed.reader, nullptr);
    ++count[seed.reader];
    fit[seed.reader] += seed.bytes.size() <= seed.reader->length ? 1 : 0;
  }
  for (const Reader& reader : readers()) {
    EXPECT_GT(count[&reader], 0) << reader.name;
    EXPECT_GT(fit[&reader], 0) << reader.name;
  }
  EXPECT_GT(words().size(), 500u);
}

/// One pass over all seeds, and others with new damage for $SWITCHYARD_FUZZ_SECONDS: a search without libFuzzer.
TEST(Readers, SurviveDamage) {
  using std::chrono::steady_clock;
  const auto all = seeds();
  const char* wanted = std::getenv("SWITCHYARD_FUZZ_SECONDS");
  const auto end = steady_clock::now() + std::chrono::seconds(wanted == nullptr ? 0 : std::atoi(wanted));
  std::uint64_t executions = 0;
  for (std::uint32_t pass = 0; pass == 0 || steady_clock::now() < end; ++pass)
    for (const Seed& good : all) {
      const std::uint32_t rounds = good.bytes.size() > 4000 ? 20 : 300;
      for (std::uint32_t round = 0; round < rounds; ++round) {
        const std::string bytes = damage(good.bytes, pass * rounds + round, {});
        const auto begin = steady_clock::now();
        good.reader->read(bytes);
        ++executions;
        ASSERT_LT(steady_clock::now() - begin, std::chrono::seconds(10)) << good.reader->name;
      }
    }
  std::printf("[          ] %llu executions\n", static_cast<unsigned long long>(executions));
}

TEST(Readers, SurviveWhatWasFound) {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SWITCHYARD_SOURCE_DIR "/tests/fuzz/found")) {
    if (!entry.is_regular_file()) continue;
    const std::string folder = entry.path().parent_path().filename().string();
    const Reader* reader = find_reader(folder);
    ASSERT_NE(reader, nullptr) << folder;
    const auto bytes = read_file(entry.path().string());
    ASSERT_TRUE(bytes.ok());
    SCOPED_TRACE(entry.path().filename());
    reader->read(bytes.value());
    ++files;
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace switchyard::fuzz
