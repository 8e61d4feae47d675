// The configurations in models/ against what is published of those models.
#include "model/llm/llm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace switchyard::model::llm {
namespace {

TEST(Graph, CountsTheParametersOfPublishedModels) {
  // Published counts less the table of words, whose rows are the input here.
  for (const auto& [name, parameters, table] : {std::tuple{"llama-2-7b", 6'738'415'616, 32000LL * 4096},
                                                {"llama-3-8b", 8'030'261'248, 128256LL * 4096},
                                                {"mistral-7b", 7'241'732'096, 32000LL * 4096},
                                                {"qwen2-7b", 7'615'616'512, 152064LL * 3584},
                                                {"qwen3-8b", 8'190'735'360, 151936LL * 4096}}) {
    const auto c = read_config(fmt::format("{}/models/{}/config.json", SWITCHYARD_SOURCE_DIR, name));
    ASSERT_TRUE(c.ok()) << name;
    const graph::Graph g = build(c.value(), {1, 1, 16}, 0);
    EXPECT_EQ(graph::parameter_count(g), parameters - table) << name;
  }
}

}  // namespace
}  // namespace switchyard::model::llm
