// The shared models, imported and evaluated against their recorded outputs.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "graph/evaluate.h"
#include "graph/verify.h"
#include "model/model.h"

namespace switchyard::model {
namespace {

namespace fs = std::filesystem;

fs::path shared_models() {
  if (const char* shared = std::getenv("SWITCHYARD_SHARED")) return fs::path(shared) / "data" / "models";
  return fs::path(__FILE__).parent_path() / ".." / ".." / ".." / "shared" / "data" / "models";
}

struct Expected {
  const char* name;
  std::int64_t macs, parameters;
};

class SharedModel : public ::testing::TestWithParam<Expected> {};

TEST_P(SharedModel, ImportsAndVerifies) {
  const Expected& expected = GetParam();
  const fs::path folder = shared_models() / expected.name;
  if (!fs::exists(folder)) GTEST_SKIP() << "no shared data";
  auto loaded = load_model(folder.string(), {});
  ASSERT_TRUE(loaded.ok()) << format_failure(loaded.failure());
  const graph::Graph& graph = loaded.value().graph;
  const auto status = graph::verify(graph);
  ASSERT_TRUE(status.ok()) << format_failure(status.failure());
  EXPECT_EQ(graph::mac_count(graph), expected.macs);
  EXPECT_EQ(graph::parameter_count(graph), expected.parameters);
  EXPECT_EQ(loaded.value().sha256.size(), 64U);
}

/// Models small enough for the naive evaluator; programs of all of them are compared by the conformance tests.
class SharedModelValues : public ::testing::TestWithParam<const char*> {};

TEST_P(SharedModelValues, AgreeWithTheRecordedOutputs) {
  const fs::path folder = shared_models() / GetParam();
  if (!fs::exists(folder)) GTEST_SKIP() << "no shared data";
  auto loaded = load_model(folder.string(), {});
  ASSERT_TRUE(loaded.ok()) << format_failure(loaded.failure());
  const graph::Graph& graph = loaded.value().graph;
  std::vector<numerics::Tensor> inputs;
  for (std::size_t k = 0; k < graph.inputs.size(); ++k) {
    auto tensor = read_tensor((folder / ("input_" + std::to_string(k) + ".pb")).string());
    ASSERT_TRUE(tensor.ok()) << format_failure(tensor.failure());
    inputs.push_back(std::move(tensor).value());
  }
  const auto outputs = graph::evaluate(graph, inputs);
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    auto tensor = read_tensor((folder / ("output_" + std::to_string(k) + ".pb")).string());
    ASSERT_TRUE(tensor.ok());
    const numerics::Tensor& want = tensor.value();
    ASSERT_EQ(outputs[k].shape, want.shape);
    double error = 0;
    double size = 0;
    for (std::int64_t i = 0; i < want.count(); ++i) {
      error = std::max(error, std::abs(outputs[k].at(i) - want.at(i)));
      size = std::max(size, std::abs(want.at(i)));
    }
    RecordProperty("max_abs_error", std::to_string(error));
    EXPECT_LE(error, 1e-5 * std::max(1.0, size)) << "output " << k << ", largest value " << size;
  }
}

INSTANTIATE_TEST_SUITE_P(All, SharedModel,
                         ::testing::Values(Expected{"encoder_block", 160432128, 789248}, Expected{"decoder_block_kv", 835584, 393600},
                                           Expected{"mobilenet_v2", 300774272, 3487816}, Expected{"shufflenet_v2_x1_0", 144907992, 2270514},
                                           Expected{"squeezenet1_1", 349151936, 1235496}),
                         [](const auto& test) { return std::string(test.param.name); });

INSTANTIATE_TEST_SUITE_P(Small, SharedModelValues,
#if defined(__SANITIZE_ADDRESS__)  // 160 million steps take minutes when every one is watched
                         ::testing::Values("decoder_block_kv"),
#else
                         ::testing::Values("decoder_block_kv", "encoder_block"),
#endif
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace switchyard::model
