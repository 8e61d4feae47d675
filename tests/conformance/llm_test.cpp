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
    const graph::Graph g = build(c.value(), {1, 1, 16, {}, 1}, 0).graph;
    EXPECT_EQ(graph::parameter_count(g), parameters - table) << name;
  }
}

TEST(Config, CountsTheParametersOfWholeModels) {
  for (const auto& [name, parameters] : {std::tuple{"llama-3-8b", 8'030'261'248},
                                         {"llama-3-70b", 70'553'706'496},
                                         {"mixtral-8x7b", 46'702'792'704},
                                         {"qwen3-30b-a3b", 30'532'122'624},
                                         {"deepseek-v2-lite", 15'706'484'224},
                                         {"gemma-2-9b", 9'241'705'984},
                                         {"phi-2", 2'779'683'840},
                                         {"gpt2", 124'439'808}}) {
    const auto c = read_config(fmt::format("{}/models/{}/config.json", SWITCHYARD_SOURCE_DIR, name));
    ASSERT_TRUE(c.ok()) << name << ": " << format_failure(c.failure());
    EXPECT_EQ(llm::parameters(c.value()), static_cast<double>(parameters)) << name;
  }
}

}  // namespace
}  // namespace switchyard::model::llm
