#include "model/llm/llm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "graph/evaluate.h"
#include "graph/verify.h"

namespace switchyard::model::llm {
namespace {

std::string write(const std::string& text) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("switchyard_llm_{}.json", getpid());
  std::ofstream(path, std::ios::binary) << text;
  return path.string();
}

constexpr const char* kSmall =
    R"({"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 50, "rms_norm_eps": 1e-5, "rope_theta": 10000.0})";

TEST(Config, ReadsSizesAndWhatTheyImply) {
  const auto c = read_config(write(kSmall));
  ASSERT_TRUE(c.ok()) << format_failure(c.failure());
  EXPECT_EQ(c.value().head_size, 8);
  EXPECT_EQ(c.value().kv_heads, 2);
  EXPECT_TRUE(c.value().gated);
  const auto gpt =
      read_config(write(R"({"model_type": "gpt2", "n_embd": 64, "n_layer": 1, "n_head": 4, "n_inner": null, "vocab_size": 9})"));
  ASSERT_TRUE(gpt.ok()) << format_failure(gpt.failure());
  EXPECT_EQ(gpt.value().ffn, 256);
  EXPECT_TRUE(gpt.value().layer_norm);
  EXPECT_FALSE(gpt.value().rotary);
}

TEST(Config, TellsWhatIsWrong) {
  const auto message = [](const std::string& text) {
    const auto c = read_config(write(text));
    std::string all;
    if (!c.ok())
      for (const Diagnostic& d : c.failure().diagnostics) all += d.message + " [" + d.code + "]\n";
    return all;
  };
  EXPECT_EQ(message(R"({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 0, "vocab_size": 9})"),
            "'num_attention_heads' must be a whole number from 1 to 16777216 [llm/config]\n"
            "the configuration has no 'intermediate_size' [llm/config]\n");
  EXPECT_EQ(message(R"({"model_type": "llama", "hidden_size": 60, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 5,
                        "num_key_value_heads": 3, "vocab_size": 9})"),
            "5 heads cannot share 3 key and value heads evenly [llm/config]\n");
  EXPECT_EQ(message(R"({"model_type": "rwkv"})"), "models of type 'rwkv' cannot be built [llm/unsupported]\n");
  EXPECT_EQ(message("[1, 2]"), "a configuration is a map [llm/config]\n");
}

/// The last position of a prefill and the decode step for it are one computation, when the cache holds what the prefill made.
TEST(Graph, ADecodeStepContinuesAPrefill) {
  const auto c = read_config(write(kSmall));
  ASSERT_TRUE(c.ok());
  constexpr std::int64_t kTokens = 5;
  const graph::Graph prefill = build(c.value(), {1, kTokens, kTokens}, 3), decode = build(c.value(), {1, 1, kTokens}, 3);
  for (const graph::Graph* g : {&prefill, &decode}) {
    const auto verified = graph::verify(*g);
    ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
  }
  const numerics::Tensor words = numerics::seeded_uniform(1, numerics::Format::fp32, {1, kTokens, 32}, 1);
  numerics::Tensor last = numerics::make_tensor(numerics::Format::fp32, {1, 1, 32});
  for (std::int64_t i = 0; i < 32; ++i) last.set(i, words.at((kTokens - 1) * 32 + i));
  // Caches of the layers one after the other: each pass makes the rows of one more.
  std::vector<numerics::Tensor> inputs{words};
  for (std::size_t i = 1; i < prefill.inputs.size(); ++i)
    inputs.push_back(numerics::make_tensor(numerics::Format::fp32, prefill.tensor(prefill.inputs[i]).shape));
  std::vector<numerics::Tensor> outputs;
  for (std::size_t pass = 0; pass <= 2; ++pass) {
    outputs = graph::evaluate(prefill, inputs);
    for (std::size_t layer = 0; layer < 2; ++layer)
      for (std::size_t which = 0; which < 2; ++which) {
        const numerics::Tensor& rows = outputs[1 + 2 * layer + which];
        for (std::int64_t i = 0; i < rows.count(); ++i)
          inputs[1 + layer].set(static_cast<std::int64_t>(which) * rows.count() + i, rows.at(i));
      }
  }
  inputs[0] = last;
  const auto step = graph::evaluate(decode, inputs);
  ASSERT_EQ(step[0].shape, outputs[0].shape);
  for (std::int64_t i = 0; i < step[0].count(); ++i) EXPECT_NEAR(step[0].at(i), outputs[0].at(i), 1e-5) << i;
}

}  // namespace
}  // namespace switchyard::model::llm
