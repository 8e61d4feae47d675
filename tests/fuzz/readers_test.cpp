// A bounded run of every reader over damaged good inputs; what once hurt is in tests/fuzz/found.
#include "fuzz/harness/readers.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "fuzz/damage.h"
#include "support/file.h"

namespace switchyard::fuzz {
namespace {

void read_text(const std::string& bytes) { read_one(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()); }

TEST(Readers, EverySeedIsOneAReaderTakes) {
  std::vector<int> count(readers().size(), 0);
  for (const std::string& seed : seeds()) ++count[static_cast<std::size_t>(seed[0])];
  for (std::size_t i = 0; i < count.size(); ++i) EXPECT_GT(count[i], 0) << readers()[i].name;
}

/// One pass over all seeds, and others with new damage for $SWITCHYARD_FUZZ_SECONDS: a search without libFuzzer.
TEST(Readers, SurviveDamage) {
  using std::chrono::steady_clock;
  const auto all = seeds();
  const char* wanted = std::getenv("SWITCHYARD_FUZZ_SECONDS");
  const auto end = steady_clock::now() + std::chrono::seconds(wanted == nullptr ? 0 : std::atoi(wanted));
  std::uint64_t executions = 0;
  for (std::uint32_t pass = 0; pass == 0 || steady_clock::now() < end; ++pass)
    for (const std::string& good : all) {
      const std::uint32_t rounds = good.size() > 4000 ? 20 : 300;
      for (std::uint32_t round = 0; round < rounds; ++round) {
        // The first byte stays: it says who reads.
        const std::string bytes = good.substr(0, 1) + damage(std::string_view(good).substr(1), pass * rounds + round, {});
        const auto begin = steady_clock::now();
        read_text(bytes);
        ++executions;
        ASSERT_LT(steady_clock::now() - begin, std::chrono::seconds(10)) << readers()[static_cast<std::size_t>(bytes[0])].name;
      }
    }
  std::printf("[          ] %llu executions\n", static_cast<unsigned long long>(executions));
}

TEST(Readers, SurviveWhatWasFound) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SWITCHYARD_SOURCE_DIR "/tests/fuzz/found")) {
    const auto bytes = read_file(entry.path().string());
    ASSERT_TRUE(bytes.ok());
    SCOPED_TRACE(entry.path().filename());
    read_text(bytes.value());
    ++files;
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace switchyard::fuzz
