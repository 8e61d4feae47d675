#include "model/llm/llm.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "graph/evaluate.h"
#include "graph/verify.h"
#include "numerics/packing.h"

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

TEST(Config, WhatIsLeftOutIsWhatTheClassTakes) {
  const auto parsed = [](const std::string& type, const std::string& more) {
    auto c = parse_config(R"({"model_type": ")" + type + R"(", "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 8,
                          "num_attention_heads": 32, "vocab_size": 50)" +
                              more + "}",
                          "config.json");
    EXPECT_TRUE(c.ok()) << (c.ok() ? "" : format_failure(c.failure()));
    return c.ok() ? std::move(c).value() : Config{};
  };
  struct Expected {
    const char* type;
    std::int64_t kv_heads, head_size, window;
  };
  const std::string experts = R"(, "num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16)";
  for (const Expected& e :
       {Expected{"llama", 32, 2, 0}, Expected{"mistral", 8, 2, 4096}, Expected{"mixtral", 8, 2, 0}, Expected{"qwen2", 32, 2, 0},
        Expected{"qwen3", 32, 128, 0}, Expected{"qwen3_moe", 4, 2, 0}, Expected{"qwen2_moe", 16, 2, 0}, Expected{"gemma", 16, 256, 0},
        Expected{"gemma2", 4, 256, 4096}, Expected{"glm", 2, 128, 0}, Expected{"glm4", 2, 128, 0}, Expected{"smollm3", 4, 2, 0},
        Expected{"cohere2", 32, 2, 4096}, Expected{"granitemoe", 32, 2, 0}, Expected{"gpt_oss", 8, 64, 128}}) {
    SCOPED_TRACE(e.type);
    const Config c = parsed(e.type, experts);
    EXPECT_EQ(c.kv_heads, e.kv_heads);
    EXPECT_EQ(c.head_size, e.head_size);
    EXPECT_EQ(c.window, e.window);
    EXPECT_EQ(parsed(e.type, experts + R"(, "num_key_value_heads": null, "sliding_window": null)").kv_heads, 32)
        << "null: as many as heads";
    EXPECT_EQ(parsed(e.type, experts + R"(, "num_key_value_heads": null, "sliding_window": null)").window, 0) << "null: none";
  }
  EXPECT_EQ(parsed("qwen2_moe", experts).experts.shared_ffn, 5632);
  EXPECT_FALSE(parsed("mistral", "").notes.empty()) << "what is assumed is said";
  EXPECT_TRUE(parsed("mistral", R"(, "num_key_value_heads": 8)").notes.empty());
  const std::string latent = R"(, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
      "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 16)";
  const Config v3 = parsed("deepseek_v3", latent);
  EXPECT_EQ(v3.experts.first_dense, 3);
  EXPECT_EQ(v3.experts.shared_ffn, 16);
  EXPECT_EQ(v3.latent.query_rank, 1536);
  EXPECT_EQ(parsed("deepseek_v2", latent + R"(, "q_lora_rank": null)").latent.query_rank, 0);
  EXPECT_EQ(parsed("deepseek_v2", latent).experts.shared_ffn, 32);
  const Config windows = parsed("qwen2", R"(, "use_sliding_window": true, "max_window_layers": 6)");
  EXPECT_EQ(windows.window_of(5), 0);
  EXPECT_EQ(windows.window_of(6), 4096);
}

TEST(Config, RefusesMoreLayersThanAGraphCanHave) {
  const auto c = parse_config(R"({"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 9000000,
                                  "num_attention_heads": 4, "vocab_size": 50})",
                              "config.json");
  ASSERT_FALSE(c.ok());
  EXPECT_EQ(c.failure().diagnostics[0].message, "'num_hidden_layers' must be a whole number from 1 to 4096");
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

std::string with(const char* changes) {
  std::string text = kSmall;
  const std::size_t end = text.rfind('}');
  return text.substr(0, end) + ", " + changes + "}";
}

/// A family's small model: what all have, and what is its own.
std::string small(const char* type, const char* own) {
  return fmt::format(R"({{"model_type": "{}", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
      "vocab_size": 50, "max_position_embeddings": 64{}}})",
                     type, own);
}

/// The cache of a layer, filled with the rows that a pass has made: [2, 1, kv heads, length, size] or [1, length, rank + turned], of which
/// the rows of all tokens but the first `skipped` are kept.
void fill(numerics::Tensor& cache, const numerics::Tensor& first, const numerics::Tensor& second, std::int64_t skipped) {
  if (cache.shape.size() == 5) {
    const std::int64_t heads = cache.shape[2], length = cache.shape[3], size = cache.shape[4], tokens = first.shape[3];
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t i = skipped; i < tokens; ++i)
        for (std::int64_t e = 0; e < size; ++e) {
          cache.set((h * length + i - skipped) * size + e, first.at((h * tokens + i) * size + e));
          cache.set(((heads + h) * length + i - skipped) * size + e, second.at((h * tokens + i) * size + e));
        }
    return;
  }
  const std::int64_t tokens = first.shape[1], rank = first.shape[2], turned = second.shape[4];
  for (std::int64_t i = 0; i < tokens; ++i) {
    for (std::int64_t e = 0; e < rank; ++e) cache.set(i * (rank + turned) + e, first.at(i * rank + e));
    for (std::int64_t e = 0; e < turned; ++e) cache.set(i * (rank + turned) + rank + e, second.at(i * turned + e));
  }
}

/// The last position of a prefill and the decode step for it are one computation, when the cache holds what the prefill made.
TEST(Graph, ADecodeStepContinuesAPrefill) {
  constexpr std::int64_t kTokens = 5;
  for (const std::string& text :
       {std::string(kSmall),
        with(R"("sliding_window": 3, "use_sliding_window": true)"),
        with(R"("partial_rotary_factor": 0.5)"),
        small("gemma2", R"(, "head_dim": 8, "num_key_value_heads": 2, "sliding_window": 3, "attn_logit_softcapping": 5.0,
                           "final_logit_softcapping": 3.0)"),
        small("phi", R"(, "partial_rotary_factor": 0.5)"),
        small("gpt_neox", R"(, "rotary_pct": 0.5)"),
        small("gptj", R"(, "n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4)"),
        small("falcon", ""),
        small("falcon", R"(, "new_decoder_architecture": true, "num_kv_heads": 2)"),
        small("stablelm", R"(, "use_qkv_bias": true)"),
        small("starcoder2", R"(, "sliding_window": 3)"),
        small("cohere", ""),
        small("olmo", ""),
        small("olmo2", ""),
        small("cohere2", R"(, "sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"])"),
        small("smollm3", R"(, "no_rope_layers": [1, 0])"),
        small("gpt_bigcode", R"(, "n_embd": 32, "n_layer": 2, "n_head": 4)"),
        small("opt", R"(, "ffn_dim": 48)"),
        small("deepseek_v2", R"(, "kv_lora_rank": 12, "q_lora_rank": 10, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 5)"),
        small("deepseek_v2", R"(, "kv_lora_rank": 12, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 5)")}) {
    SCOPED_TRACE(text);
    const auto c = read_config(write(text));
    ASSERT_TRUE(c.ok()) << format_failure(c.failure());
    const graph::Graph prefill = build(c.value(), {1, kTokens, kTokens, {}, 1}, 3).graph,
                       decode = build(c.value(), {1, 1, kTokens, {}, 1}, 3).graph;
    for (const graph::Graph* g : {&prefill, &decode}) {
      const auto verified = graph::verify(*g);
      ASSERT_TRUE(verified.ok()) << format_failure(verified.failure());
    }
    const numerics::Tensor words = numerics::seeded_uniform(1, numerics::Format::fp32, {1, kTokens, 32}, 1);
    numerics::Tensor last = numerics::make_tensor(numerics::Format::fp32, {1, 1, 32});
    for (std::int64_t i = 0; i < 32; ++i) last.set(i, words.at((kTokens - 1) * 32 + i));
    const auto empty = [](const graph::Graph& g) {
      std::vector<numerics::Tensor> inputs;
      for (const graph::TensorId t : g.inputs) inputs.push_back(numerics::make_tensor(numerics::Format::fp32, g.tensor(t).shape));
      return inputs;
    };
    // Caches of the layers one after the other: each pass makes the rows of one more.
    std::vector<numerics::Tensor> inputs = empty(prefill), step = empty(decode), outputs;
    inputs[0] = words;
    for (std::size_t pass = 0; pass <= 2; ++pass) {
      outputs = graph::evaluate(prefill, inputs);
      for (std::size_t layer = 0; layer < 2; ++layer) fill(inputs[1 + layer], outputs[1 + 2 * layer], outputs[2 + 2 * layer], 0);
    }
    step[0] = last;
    for (std::size_t layer = 0; layer < 2; ++layer) {
      const std::int64_t length = step[1 + layer].shape.size() == 5 ? step[1 + layer].shape[3] : kTokens;
      fill(step[1 + layer], outputs[1 + 2 * layer], outputs[2 + 2 * layer], kTokens - length);
    }
    const auto logits = graph::evaluate(decode, step);
    ASSERT_EQ(logits[0].shape, outputs[0].shape);
    for (std::int64_t i = 0; i < logits[0].count(); ++i) EXPECT_NEAR(logits[0].at(i), outputs[0].at(i), 2e-5) << i;
  }
}

TEST(Graph, AnEncoderSeesAllPositionsAndHasNoCache) {
  const auto c = read_config(write(small("bert", R"(, "layer_norm_eps": 1e-12)")));
  ASSERT_TRUE(c.ok()) << format_failure(c.failure());
  const graph::Graph g = build(c.value(), {1, 5, 5, {}, 1}, 3).graph;
  ASSERT_TRUE(graph::verify(g).ok());
  EXPECT_EQ(g.inputs.size(), 1u);
  numerics::Tensor words = numerics::seeded_uniform(1, numerics::Format::fp32, {1, 5, 32}, 1);
  const double before = graph::evaluate(g, {words})[0].at(0);
  words.set(4 * 32, words.at(4 * 32) + 1);  // the last word moves what the first becomes
  EXPECT_NE(graph::evaluate(g, {words})[0].at(0), before);
  EXPECT_FALSE(check_step(c.value(), {1, 1, 5, {}, 1}).ok());
}

/// Every token takes its experts, each with the router's weight: with equal experts it does not matter which.
TEST(Graph, EveryTokenTakesItsExperts) {
  const auto c = read_config(write(small("mixtral", R"(, "num_local_experts": 6, "num_experts_per_tok": 2)")));
  ASSERT_TRUE(c.ok()) << format_failure(c.failure());
  for (const std::int64_t tokens : {1, 4, 7}) {
    Built built = build(c.value(), {1, tokens, tokens, {}, 1}, 3);
    ASSERT_TRUE(graph::verify(built.graph).ok());
    EXPECT_FALSE(built.notes.empty());
    const std::int64_t n = std::min<std::int64_t>(3, tokens);
    for (graph::Tensor& t : built.graph.tensors)
      if (t.role == graph::Role::constant && t.name.find("experts.") != std::string::npos) {
        ASSERT_EQ((std::vector<std::int64_t>{t.shape[0], t.shape[1]}), (std::vector<std::int64_t>{2, n})) << t.name;
        const numerics::Tensor one = t.constant->make();
        const std::int64_t size = one.count() / (2 * n);
        auto same = std::make_shared<numerics::Constant>();
        same->make = [one, size] {
          numerics::Tensor all = one;
          for (std::int64_t i = 0; i < all.count(); ++i) all.set(i, one.at(i % size));
          return all;
        };
        t.constant = same;
      }
    // The weights of those taken sum to one, so that what all experts give is what each gives.
    std::vector<numerics::Tensor> inputs;
    for (const graph::TensorId t : built.graph.inputs)
      inputs.push_back(numerics::seeded_uniform(t.index(), numerics::Format::fp32, built.graph.tensor(t).shape, 1));
    graph::Graph g = built.graph;
    graph::TensorId routed, whole;
    for (const graph::Op& op : g.ops) {
      if (op.name == "layers.0.mlp.experts.down") routed = op.results[0];
      if (op.name == "layers.0.mlp.shape") whole = op.results[0];
    }
    g.outputs = {routed, whole};
    const auto values = graph::evaluate(g, inputs);
    const std::int64_t rows = values[0].shape[2];
    for (std::int64_t t = 0; t < tokens; ++t)
      for (std::int64_t i = 0; i < 32; ++i)
        EXPECT_NEAR(values[1].at(t * 32 + i), values[0].at(((t % n) * rows + t / n) * 32 + i), 1e-5) << t << " " << i;
  }
}

TEST(Graph, WeightsOfFewBitsAreScaledBehindTheProduct) {
  const auto c = read_config(write(kSmall));
  ASSERT_TRUE(c.ok());
  for (const numerics::Format format : {numerics::Format::int8, numerics::Format::int4, numerics::Format::fp8_e4m3}) {
    const graph::Graph g = build(c.value(), {1, 1, 3, format, 1}, 3).graph;
    ASSERT_TRUE(graph::verify(g).ok());
    std::int64_t bytes = 0;
    for (const graph::Tensor& t : g.tensors)
      if (t.role == graph::Role::constant && t.name.ends_with(".weight") && t.shape.size() == 2)
        bytes += numerics::stored_bytes(t.format, numerics::element_count(t.shape));
    EXPECT_EQ(bytes, (2 * (3 * 32 * 32 + 3 * 32 * 48) + 32 * 50) / (format == numerics::Format::int4 ? 2 : 1));
    std::vector<numerics::Tensor> inputs;
    for (const graph::TensorId t : g.inputs)
      inputs.push_back(numerics::seeded_uniform(t.index(), numerics::Format::fp32, g.tensor(t).shape, 1));
    for (const double v : {graph::evaluate(g, inputs)[0].at(0), graph::evaluate(g, inputs)[0].at(49)}) EXPECT_LT(std::abs(v), 100);
  }
}

/// Devices of a tensor-parallel step hold equal parts, and exchange after every branch and after the last projection.
TEST(Graph, DevicesShareLayers) {
  const auto c = read_config(write(small("gpt2", R"(, "n_embd": 32, "n_layer": 2, "n_head": 4)")));
  ASSERT_TRUE(c.ok()) << format_failure(c.failure());
  const Built built = build(c.value(), {2, 3, 3, {}, 2}, 3);
  ASSERT_TRUE(graph::verify(built.graph).ok());
  ASSERT_EQ(built.exchanges.size(), 5u);
  EXPECT_EQ(built.exchanges[0].op, "layers.0.o");
  EXPECT_EQ(built.exchanges[0].elements, 2 * 3 * 32);
  EXPECT_FALSE(built.exchanges[4].reduces);
  const Memory one = memory(c.value(), {2, 3, 3, {}, 1}, numerics::Format::fp16),
               half = memory(c.value(), {2, 3, 3, {}, 2}, numerics::Format::fp16);
  EXPECT_EQ(half.cache, one.cache / 2);
  EXPECT_LT(half.weights, one.weights);
  const auto why = check_step(c.value(), {1, 1, 3, {}, 3});
  ASSERT_FALSE(why.ok());
  EXPECT_EQ(why.failure().diagnostics[0].code, "llm/step");
  EXPECT_EQ(why.failure().diagnostics[0].message, "4 heads cannot be dealt to 3 devices evenly");
}

}  // namespace
}  // namespace switchyard::model::llm
