// The built-in models against ONNX Runtime: each is exported, run there, and its outputs are what the chip must give in fp32.
#include <gtest/gtest.h>

#include <array>
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
    {"swin-t", "", ""},
    {"unet", "--set size=16", ""},
    {"vit-b16", "--set layers=1", ""},
    {"whisper-tiny-encoder", "--set layers=1 --set frames=60", ""},
};
/// Large, and their operators are those of resnet18.
constexpr std::array kSkipped{"resnet50", "vgg16"};

TEST(Oracle, RunsTheExportsOfBuiltInModels) {
  const char* python = std::getenv("SWITCHYARD_ORACLE");
  if (python == nullptr) GTEST_SKIP() << "ONNX Runtime is not there: $SWITCHYARD_ORACLE names no Python that has it";
  std::size_t known = 0;
  for (const Export& e : kExports) {
    SCOPED_TRACE(e.name);
    ++known;
    const Workbench bench;
    const std::string folder = bench.folder().string(), file = folder + "/model.onnx";
    const Outcome written = bench.run(std::string("models export ") + e.name + " " + e.set + " -o " + file + " --quiet");
    ASSERT_EQ(written.code, 0) << written.err;
    const std::string command = std::string("'") + python + "' '" SWITCHYARD_SOURCE_DIR "/tests/conformance/oracle_run.py' '" + file +
                                "' '" + folder + "' " + e.limit;
    ASSERT_EQ(std::system(command.c_str()), 0);
    const std::string compared =
        " --chip tx81 --precision fp32 --check none --values on --quiet --inputs " + folder + " --expect " + folder;
    const Outcome built_in = bench.run(std::string("run ") + e.name + " " + e.set + compared);
    EXPECT_EQ(built_in.code, 0) << built_in.err;
  }
  EXPECT_EQ(known + kSkipped.size(), model::zoo().size()) << "a built-in model is neither run nor among those left out";
}

}  // namespace
}  // namespace switchyard::tests
