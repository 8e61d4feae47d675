// Any bytes given as a mapping file give diagnostics, or a mapping whose program the verifier accepts.
#include <gtest/gtest.h>

#include <filesystem>

#include "chip/read.h"
#include "compiler/compiler.h"
#include "compiler/mapping_file.h"
#include "fuzz/damage.h"
#include "model/model.h"
#include "program/verify.h"
#include "support/file.h"

namespace switchyard {
namespace {

constexpr std::string_view kAlphabet = "[]{}:,-#* \n0123456789mnkABC";

TEST(MappingFile, Damaged) {
  const auto chip = std::make_shared<const chip::Chip>(chip::load_chip("tx81", {SWITCHYARD_SOURCE_DIR "/chips"}, {}).value());
  model::LoadOptions load;
  load.set = {{"m", 256}, {"n", 256}, {"k", 256}};
  const graph::Graph gemm = model::build_zoo_model("gemm", load).value();
  int compiled = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SWITCHYARD_SOURCE_DIR "/examples/mappings")) {
    std::string good = read_file(entry.path().string()).value();
    good.erase(0, good.find("mappings:"));  // most of a file is its comment
    for (std::uint32_t seed = 0; seed < 2000; ++seed) {
      SCOPED_TRACE(entry.path().filename().string() + " seed " + std::to_string(seed));
      auto file = compiler::MappingFile::parse(fuzz::damage(good, seed, kAlphabet), "fuzz.yaml");
      if (!file) {
        ASSERT_FALSE(file.failure().diagnostics.empty());
        for (const Diagnostic& d : file.failure().diagnostics)
          ASSERT_TRUE(!d.code.starts_with("mapping/") || d.location.line > 0) << d.message;
        continue;
      }
      compiler::CompileOptions options;
      options.mappings = std::make_shared<const compiler::MappingFile>(std::move(file).value());
      const auto result = compiler::compile(gemm, chip, options);
      if (!result) {
        ASSERT_FALSE(result.failure().diagnostics.empty());
        continue;
      }
      const auto verified = program::verify(result.value().program);
      ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
      ++compiled;
    }
  }
  EXPECT_GT(compiled, 20);
}

}  // namespace
}  // namespace switchyard
