// The built-in models against ONNX Runtime: each is exported, run there, and its outputs are what the chip must give in fp32.
#include <gtest/gtest.h>

#include <filesystem>

#include "binary.h"
#include "model/model.h"

namespace switchyard::tests {
namespace {

struct Export {
  const char* name;
  const char* set;    ///< sizes small enough for a test
  const char* limit;  ///< of token numbers
};
const Export kExports[] = {
    {"bert-base", "--set seq=9 --set layers=2 --set hidden=128 --set ffn=192 --set vocab=512", ""},
    {"gemm", "--set m=33 --set n=20 --set k=65", ""},
    {"gpt2", "--set seq=11 --set layers=2 --set hidden=128 --set vocab=97", "97"},
    {"llama-2-7b", "--set past=6 --set layers=2 --set hidden=256 --set ffn=192 --set vocab=100", ""},
    {"llama-2-7b-block", "--set seq=7 --set hidden=256 --set ffn=192", ""},
    {"llama-2-7b-block-decode", "--set past=6 --set hidden=256 --set ffn=192", ""},
    {"mobilenet-v3", "", ""},
    {"resnet18", "", ""},
    {"resnet50", "", ""},
    {"swin-t", "", ""},
    {"unet", "--set size=16", ""},
    {"vgg16", "", ""},
    {"vit-b16", "--set layers=1", ""},
    {"whisper-tiny-encoder", "--set layers=1 --set frames=60", ""},
};
/// ONNX Runtime's outputs for seeded inputs, both written into `folder`.
void ask_oracle(const std::string& file, const std::string& folder, const char* limit) {
  const std::string command = std::string("'") + std::getenv("SWITCHYARD_ORACLE") +
                              "' '" SWITCHYARD_SOURCE_DIR "/tests/conformance/oracle_run.py' '" + file + "' '" + folder + "' " + limit;
  ASSERT_EQ(std::system(command.c_str()), 0);
}

/// What a run is told so that it computes in fp32 what ONNX Runtime has.
std::string compared_in(const std::string& folder) {
  return " --chip tx81 --precision fp32 --check none --values on --effort 0 --quiet --inputs " + folder + " --expect " + folder;
}

#define NEEDS_ORACLE()                             \
  if (std::getenv("SWITCHYARD_ORACLE") == nullptr) \
  GTEST_SKIP() << "ONNX Runtime is not there: $SWITCHYARD_ORACLE names no Python that has it"

TEST(Oracle, RunsTheExportsOfBuiltInModels) {
  NEEDS_ORACLE();
  std::size_t known = 0;
  for (const Export& e : kExports) {
    SCOPED_TRACE(e.name);
    ++known;
    const Workbench bench;
    const std::string folder = bench.folder().string(), file = folder + "/model.onnx";
    const Outcome written = bench.run(std::string("models export ") + e.name + " " + e.set + " -o " + file + " --quiet");
    ASSERT_EQ(written.code, 0) << written.err;
    ASSERT_NO_FATAL_FAILURE(ask_oracle(file, folder, e.limit));
    const Outcome built_in = bench.run(std::string("run ") + e.name + " " + e.set + compared_in(folder));
    EXPECT_EQ(built_in.code, 0) << built_in.err;
  }
  EXPECT_EQ(known, model::zoo().size()) << "a built-in model is not among them";
}

/// Their recorded outputs were made by another program: here both run inputs that nobody has seen.
TEST(Oracle, RunsTheSharedModels) {
  NEEDS_ORACLE();
  const std::filesystem::path models = shared_models();
  if (models.empty()) GTEST_SKIP() << "no test data";
  int known = 0;
  for (const auto& entry : std::filesystem::directory_iterator(models)) {
    const std::string file = (entry.path() / "model.onnx").string();
    if (!std::filesystem::exists(file)) continue;
    SCOPED_TRACE(file);
    ++known;
    const Workbench bench;
    ASSERT_NO_FATAL_FAILURE(ask_oracle(file, bench.folder().string(), ""));
    const Outcome run = bench.run("run " + file + compared_in(bench.folder().string()));
    EXPECT_EQ(run.code, 0) << run.err;
  }
  EXPECT_GE(known, 5);
}

}  // namespace
}  // namespace switchyard::tests
