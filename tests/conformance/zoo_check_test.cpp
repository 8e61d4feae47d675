// The built-in models as they are run: every operator against the reference evaluator, contexts of several kernels and lookups among them.
#include <gtest/gtest.h>

#include "binary.h"

namespace switchyard::tests {
namespace {

struct Model {
  const char *model, *chip, *precision;
};
const Model kModels[] = {
    {"gpt2 --set seq=11 --set layers=2 --set hidden=128 --set vocab=97", "tx81", "bf16"},
    {"gpt2 --set seq=11 --set layers=2 --set hidden=128 --set vocab=97", "h100-sxm", "fp16"},
    {"gpt2 --set seq=11 --set layers=1 --set hidden=128 --set vocab=97", "p4", "fp32"},      // stores no integers of 64 bits
    {"gpt2 --set seq=11 --set layers=1 --set hidden=128 --set vocab=97", "tpu-v3", "bf16"},  // the same, with one large core
    {"mobilenet-v3", "tx81", "bf16"},
    {"unet --set size=32", "tx81", "bf16"},
    {"unet --set size=32", "rpu-4x4", "bf16"},
    {"unet --set size=16", "sn40l", "bf16"},
    {"vit-b16 --set layers=1", "tx81", "bf16"},
    {"whisper-tiny-encoder --set layers=1 --set frames=60", "wormhole-n150", "bf16"},
};

TEST(BuiltInModels, AgreeWithTheReferenceOperatorByOperator) {
  const Workbench bench;
  for (const Model& r : kModels) {
    SCOPED_TRACE(std::string(r.model) + " on " + r.chip);
    const Outcome outcome = bench.run(std::string("run ") + r.model + " --chip " + r.chip + " --precision " + r.precision + " --quiet");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("passed against the reference evaluator"), std::string::npos) << outcome.out;
  }
}

}  // namespace
}  // namespace switchyard::tests
