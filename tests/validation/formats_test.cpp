// What narrow formats cost: every built-in and shared model in bf16 and fp16 against itself in fp32. docs/models.md has the table at larger
// sizes (tools/model_errors).
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "binary.h"
#include "model/model.h"

namespace switchyard::tests {
namespace {

/// Sizes for a test; models not named here have none to set.
const std::map<std::string, std::string> kSizes{{"bert-base", " --set seq=32 --set layers=3"},
                                                {"gemm", " --set m=256 --set n=256 --set k=256"},
                                                {"gpt2", " --set seq=32 --set layers=3"},
                                                {"llama-2-7b", " --set past=32 --set layers=1 --set vocab=1000"},
                                                {"llama-2-7b-block", " --set seq=8"},
                                                {"llama-2-7b-block-decode", " --set past=64"},
                                                {"unet", " --set size=32"},
                                                {"vit-b16", " --set layers=3"},
                                                {"whisper-tiny-encoder", " --set frames=200"}};

struct Errors {
  double snr_db = 0, share = 0;
};

/// In one format against `expected`, the outputs of fp32. That the errors are within what rounding explains is the binary's own check.
Errors errors_of(const Workbench& bench, const std::string& model, const std::string& format) {
  const Outcome run =
      bench.run("run " + model + " --chip tx81 --values on --effort 0 --quiet --format json --expect . --precision " + format);
  EXPECT_EQ(run.code, 0) << model << " " << format << ": " << run.err;
  const auto json = nlohmann::json::parse(run.out, nullptr, false);
  if (json.is_discarded() || !json["accuracy"]["snr_db"].is_number()) {
    ADD_FAILURE() << model << " " << format << " has no signal-to-noise ratio";
    return {};
  }
  return {json["accuracy"]["snr_db"], json["check"]["share_of_allowed"]};
}

void compare(const std::string& name, const std::string& model) {
  SCOPED_TRACE(name);
  const Workbench bench;
  const Outcome reference =
      bench.run("run " + model + " --chip tx81 --values on --effort 0 --quiet --check none --precision fp32 --outputs .");
  ASSERT_EQ(reference.code, 0) << reference.err;
  const Errors bf16 = errors_of(bench, model, "bf16"), fp16 = errors_of(bench, model, "fp16");
  std::printf("[          ] %-24s bf16 %5.1f dB, %3.0f %%; fp16 %5.1f dB, %3.0f %%\n", name.c_str(), bf16.snr_db, 100 * bf16.share,
              fp16.snr_db, 100 * fp16.share);
  // Three more bits of a mantissa are worth 18 dB, whatever the model; fp16's short range takes some of it.
  EXPECT_GT(fp16.snr_db - bf16.snr_db, 12);
  EXPECT_LT(fp16.snr_db - bf16.snr_db, 22);
  EXPECT_GT(bf16.snr_db, 18);
}

TEST(Formats, ErrorsOfBuiltInModelsAreThoseOfRounding) {
  for (const auto& model : model::zoo()) {
    const auto sizes = kSizes.find(model.name);
    compare(model.name, model.name + (sizes == kSizes.end() ? "" : sizes->second));
  }
}

TEST(Formats, ErrorsOfSharedModelsAreThoseOfRounding) {
  const std::filesystem::path models = shared_models();
  if (models.empty()) GTEST_SKIP() << "no test data";
  for (const auto& entry : std::filesystem::directory_iterator(models)) {
    const std::string folder = entry.path().string();
    compare(entry.path().filename().string(), folder + "/model.onnx --inputs " + folder);
  }
}

}  // namespace
}  // namespace switchyard::tests
