// Models that are not in models/, by what was published of them: their configurations as far as sizes go, and their parameters.
#include <gtest/gtest.h>

#include "model/llm/llm.h"

namespace switchyard::model::llm {
namespace {

struct Published {
  const char *name, *config;
  double parameters;
  double cache;  ///< bytes of a position in 16 bits: 2 x layers x key and value heads x head size x 2, or layers x (rank + turned) x 2
};

const Published kPublished[] =
    {
        {"llama-3.2-1b",
         R"({"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false})",
         1235814400, 32768},
        {"llama-3.1-405b",
         R"({"model_type": "llama", "hidden_size": 16384, "intermediate_size": 53248, "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": false})",
         405853388800, 516096},
        {"qwen2.5-0.5b",
         R"({"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": true})",
         494032768, 12288},
        {"qwen2.5-72b",
         R"({"model_type": "qwen2", "hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 152064, "tie_word_embeddings": false, "use_sliding_window": false, "sliding_window": 131072})",
         72706203648, 327680},
        {"qwen3-30b-a3b",
         R"({"model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768, "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936, "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [], "tie_word_embeddings": false})",
         30532122624, 98304},
        {"gemma-3-1b",
         R"({"model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 262144, "sliding_window": 512, "sliding_window_pattern": 6})",
         999885952, 26624},
        {"gemma-3-4b",
         R"({"model_type": "gemma3", "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34, "sliding_window": 1024}})",
         3880263168, 139264},
        {"gemma-3-27b",
         R"({"model_type": "gemma3", "text_config": {"head_dim": 128, "hidden_size": 5376, "intermediate_size": 21504, "model_type": "gemma3_text", "num_attention_heads": 32, "num_hidden_layers": 62, "num_key_value_heads": 16, "sliding_window": 1024}})",
         27009346304, 507904},
        {"phi-4",
         R"({"model_type": "phi3", "hidden_size": 5120, "intermediate_size": 17920, "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 10, "vocab_size": 100352, "sliding_window": null, "tie_word_embeddings": false})",
         14659507200, 204800},
        {"phi-4-mini",
         R"({"model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 24, "num_key_value_heads": 8, "vocab_size": 200064, "partial_rotary_factor": 0.75, "sliding_window": 262144, "tie_word_embeddings": true})",
         3836021760, 131072},
        {"mistral-nemo",
         R"({"model_type": "mistral", "hidden_size": 5120, "intermediate_size": 14336, "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 131072, "sliding_window": null, "tie_word_embeddings": false})",
         12247782400, 163840},
        {"deepseek-v3",
         R"({"model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3, "moe_layer_freq": 1, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "norm_topk_prob": true, "tie_word_embeddings": false})",
         671026419200, 70272},
        {"kimi-k2",
         R"({"model_type": "kimi_k2", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61, "num_attention_heads": 64, "num_key_value_heads": 64, "vocab_size": 163840, "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 1, "moe_layer_freq": 1, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "norm_topk_prob": true, "tie_word_embeddings": false})", 1026408232448,
         70272},
        {"pythia-6.9b",
         R"({"model_type": "gpt_neox", "hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 32, "num_attention_heads": 32, "rotary_pct": 0.25, "vocab_size": 50432, "use_parallel_residual": true, "tie_word_embeddings": false})",
         6857302016, 524288},
        {"gpt-j-6b",
         R"({"model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_inner": null, "n_layer": 28, "n_positions": 2048, "rotary_dim": 64, "vocab_size": 50400, "tie_word_embeddings": false})",
         6050882784, 458752},
        {"falcon-7b",
         R"({"model_type": "falcon", "alibi": false, "bias": false, "hidden_size": 4544, "multi_query": true, "new_decoder_architecture": false, "num_attention_heads": 71, "num_hidden_layers": 32, "parallel_attn": true, "vocab_size": 65024})",
         6921720704, 8192},
        {"falcon-40b",
         R"({"model_type": "falcon", "alibi": false, "bias": false, "hidden_size": 8192, "multi_query": true, "new_decoder_architecture": true, "num_attention_heads": 128, "num_kv_heads": 8, "num_hidden_layers": 60, "parallel_attn": true, "vocab_size": 65024})",
         41303293952, 122880},
        {"stablelm-2-1.6b",
         R"({"model_type": "stablelm", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": 32, "partial_rotary_factor": 0.25, "vocab_size": 100352, "use_qkv_bias": true, "tie_word_embeddings": false})",
         1644515328, 196608},
        {"olmo-7b",
         R"({"model_type": "olmo", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 50304, "attention_bias": false, "tie_word_embeddings": false})",
         6888095744, 524288},
        {"olmo-2-7b",
         R"({"model_type": "olmo2", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 100352, "attention_bias": false, "tie_word_embeddings": false})",
         7298617344, 524288},
        {"olmoe-1b-7b",
         R"({"model_type": "olmoe", "hidden_size": 2048, "intermediate_size": 1024, "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 50304, "num_experts": 64, "num_experts_per_tok": 8, "norm_topk_prob": false, "tie_word_embeddings": false})",
         6919161856, 131072},
        {"granite-3.1-8b",
         R"({"model_type": "granite", "hidden_size": 4096, "intermediate_size": 12800, "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 49155, "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": true})",
         8170848256, 163840},
        {"smollm3-3b", R"({"model_type": "smollm3", "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 128256, "no_rope_layers": [1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0], "tie_word_embeddings": true, "use_sliding_window": false, "layer_types": ["full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention", "full_attention"]})",
         3075098624, 73728},
        {"mixtral-8x22b",
         R"({"model_type": "mixtral", "hidden_size": 6144, "intermediate_size": 16384, "num_hidden_layers": 56, "num_attention_heads": 48, "num_key_value_heads": 8, "vocab_size": 32000, "num_local_experts": 8, "num_experts_per_tok": 2, "tie_word_embeddings": false})",
         140620634112, 229376},
        {"starcoder2-3b",
         R"({"model_type": "starcoder2", "hidden_size": 3072, "intermediate_size": 12288, "num_hidden_layers": 30, "num_attention_heads": 24, "num_key_value_heads": 2, "vocab_size": 49152, "use_bias": true, "sliding_window": 4096})",
         3030371328, 30720},
        {"starcoder-15b",
         R"({"model_type": "gpt_bigcode", "n_embd": 6144, "n_head": 48, "n_inner": 24576, "n_layer": 40, "n_positions": 8192, "vocab_size": 49152, "multi_query": true})",
         15517456384, 20480},
        {"command-r",
         R"({"model_type": "cohere", "hidden_size": 8192, "intermediate_size": 22528, "num_attention_heads": 64, "num_hidden_layers": 40, "num_key_value_heads": 64, "vocab_size": 256000, "use_qk_norm": false})",
         34980831232, 1310720},
        {"gpt2", R"({"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257})",
         124439808, 36864},
        {"opt-6.7b",
         R"({"model_type": "opt", "hidden_size": 4096, "ffn_dim": 16384, "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048, "vocab_size": 50272})",
         6658473984, 524288},
        {"phi-2",
         R"({"model_type": "phi", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "partial_rotary_factor": 0.4, "qk_layernorm": false, "vocab_size": 51200, "tie_word_embeddings": false})",
         2779683840, 327680},
        {"bloom-7b1", R"({"model_type": "bloom", "n_embed": 4096, "n_layer": 30, "num_attention_heads": 32, "vocab_size": 250880})",
         7069016064, 491520},
        {"mpt-7b",
         R"({"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "expansion_ratio": 4, "max_seq_len": 2048, "no_bias": true, "attn_config": {"alibi": true, "kv_n_heads": null}, "vocab_size": 50432})",
         6649286656, 524288},
        {"glm-4-9b",
         R"({"model_type": "glm", "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "attention_bias": true, "partial_rotary_factor": 0.5, "vocab_size": 151552, "tie_word_embeddings": false})",
         9399951360, 40960},
        {"glm-4-9b-0414",
         R"({"model_type": "glm4", "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "attention_bias": true, "partial_rotary_factor": 0.5, "vocab_size": 151552, "tie_word_embeddings": false})",
         9400279040, 40960},
        {"gpt-oss-20b",
         R"({"model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 24, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 201088, "num_local_experts": 32, "num_experts_per_tok": 4, "sliding_window": 512, "attention_bias": true, "tie_word_embeddings": false})",
         20914757184, 49152},
        {"gpt2-xl",
         R"({"model_type": "gpt2", "hidden_size": 1600, "num_attention_heads": 25, "num_hidden_layers": 48, "n_positions": 1024, "vocab_size": 50257})",
         1557611200, 307200},
        {"pixtral",
         R"({"model_type": "llava", "text_config": {"model_type": "mistral", "hidden_size": 5120, "head_dim": 128, "intermediate_size": 14336, "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 131072, "sliding_window": null}})",
         12247782400, 163840},
};

TEST(Families, HaveThePublishedParametersAndCaches) {
  for (const Published& p : kPublished) {
    const auto c = parse_config(p.config, "config.json");
    ASSERT_TRUE(c.ok()) << p.name << "\n" << format_failure(c.failure());
    EXPECT_EQ(parameters(c.value()), p.parameters) << p.name;
    // Of two lengths, as windows are longer than either.
    const auto cache = [&](std::int64_t length) { return memory(c.value(), {1, 1, length, {}, 1}, numerics::Format::bf16).cache; };
    EXPECT_EQ(cache(300) - cache(200), 100 * p.cache) << p.name;
  }
}

/// Sizes may have the names that other families have for them.
TEST(Families, BiasedScoresFallWithTheDistance) {
  const auto c =
      parse_config(R"({"model_type": "bloom", "hidden_size": 24, "num_hidden_layers": 1, "n_head": 3, "vocab_size": 20})", "config.json");
  ASSERT_TRUE(c.ok()) << format_failure(c.failure());
  const Built built = build(c.value(), {1, 4, 4, {}, 1}, 0);
  const auto value = [&](std::string_view name) {
    for (const graph::Tensor& t : built.graph.tensors)
      if (t.name == name) return t.constant->make();
    return numerics::Tensor{};
  };
  const numerics::Tensor slopes = value("slopes"), distance = value("distance");
  ASSERT_EQ(slopes.count(), 3);
  // Two heads have 2^-4 and 2^-8, the third the first of four.
  EXPECT_DOUBLE_EQ(slopes.at(0), 1.0 / 16);
  EXPECT_DOUBLE_EQ(slopes.at(1), 1.0 / 256);
  EXPECT_DOUBLE_EQ(slopes.at(2), 1.0 / 4);
  ASSERT_EQ(distance.count(), 4);
  EXPECT_EQ(distance.at(0), -3);
  EXPECT_EQ(distance.at(3), 0);
}

TEST(Families, TextPartsOfModelsThatSeeAreRead) {
  const auto c = parse_config(R"({"model_type": "llava", "torch_dtype": "float16", "text_config": {"model_type": "llama", "hidden_size": 32,
      "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}})",
                              "config.json");
  ASSERT_TRUE(c.ok()) << format_failure(c.failure());
  EXPECT_EQ(c.value().format, numerics::Format::fp16) << "what stands beside the part holds for it";
  EXPECT_EQ(c.value().notes, std::vector<std::string>{"of a model of type 'llava' what reads and writes text"});
}

TEST(Families, ListsOfLayersSayWhatEachSees) {
  const char* text = R"({"model_type": "gemma3_text", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "vocab_size": 50,
      "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]})";
  const auto c = parse_config(text, "config.json");
  ASSERT_TRUE(c.ok()) << format_failure(c.failure());
  EXPECT_EQ(c.value().window_of(0), 8);
  EXPECT_EQ(c.value().window_of(1), 0);
  const auto moe = parse_config(R"({"model_type": "qwen3_moe", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
      "num_attention_heads": 4, "vocab_size": 50, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
      "mlp_only_layers": [1]})",
                                "config.json");
  ASSERT_TRUE(moe.ok()) << format_failure(moe.failure());
  EXPECT_TRUE(moe.value().has_experts(0));
  EXPECT_FALSE(moe.value().has_experts(1));
}

/// What is mistyped is not taken for something else.
TEST(Families, WrongTypesAreMistakes) {
  const auto message = [](const std::string& own) {
    const auto c =
        parse_config(R"({"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 50,
 )" + own + "}",
                     "config.json");
    return c.ok() ? std::string() : c.failure().diagnostics.front().message;
  };
  EXPECT_EQ(message(R"("num_attention_heads": "4")"), "'num_attention_heads' must be a whole number from 1 to 16777216");
  const std::string heads = R"("num_attention_heads": 4, )";
  EXPECT_EQ(message(heads + R"("tie_word_embeddings": "yes")"), "'tie_word_embeddings' must be true or false");
  EXPECT_EQ(message(heads + R"("tie_word_embeddings": 1)"), "'tie_word_embeddings' must be true or false");
  EXPECT_EQ(message(heads + R"("rms_norm_eps": [])"), "'rms_norm_eps' must be a positive number");
  EXPECT_EQ(message(heads + R"("hidden_act": {})"), "'hidden_act' must be a name");
  EXPECT_EQ(message(heads + R"("partial_rotary_factor": 5)"), "no more than all of a head turns");
  EXPECT_EQ(message(heads + R"("layer_types": ["full_attention"])"), "'layer_types' must be a list of an entry for each of 2 layers");
  EXPECT_EQ(message(heads + R"("layer_types": ["full_attention", "none"])"),
            "an entry of 'layer_types' is one of full_attention, sliding_attention");
  EXPECT_EQ(message(R"("num_attention_heads": 4, "tie_word_embeddings": true)"), "");
}

TEST(Families, WhatCannotBeBuiltIsNoMistake) {
  const auto c = parse_config(R"({"model_type": "falcon", "alibi": true, "hidden_size": 32, "num_hidden_layers": 2,
      "num_attention_heads": 4, "vocab_size": 50})",
                              "config.json");
  ASSERT_FALSE(c.ok());
  EXPECT_EQ(c.failure().kind, FailureKind::unsupported);
  EXPECT_EQ(c.failure().diagnostics.front().code, "llm/unsupported");
  const auto learned = parse_config(R"({"model_type": "mpt", "d_model": 32, "n_layers": 2, "n_heads": 4, "vocab_size": 50,
      "attn_config": {"alibi": false}})",
                                    "config.json");
  ASSERT_FALSE(learned.ok());
  EXPECT_EQ(learned.failure().diagnostics.front().code, "llm/unsupported");
  const auto code_of = [](const std::string& text) {
    const auto config = parse_config(text, "config.json");
    return config.ok() ? std::string() : config.failure().diagnostics.front().code;
  };
  const std::string mpt = R"({"model_type": "mpt", "d_model": 32, "n_layers": 2, "n_heads": 4, "vocab_size": 50, "attn_config": )";
  EXPECT_EQ(code_of(mpt + R"({"alibi": true, "kv_n_heads": 1}})"), "llm/unsupported");
  EXPECT_EQ(code_of(mpt + R"({"alibi": true, "kv_n_heads": 4}})"), "");
  const std::string opt = R"({"model_type": "opt", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64,
      "vocab_size": 50, "word_embed_proj_dim": )";
  EXPECT_EQ(code_of(opt + "16}"), "llm/unsupported");
  EXPECT_EQ(code_of(opt + "32}"), "");
  EXPECT_EQ(code_of(opt + R"(32, "do_layer_norm_before": false})"), "llm/unsupported");
  const auto wide = parse_config(R"({"model_type": "olmo2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
      "num_attention_heads": 4, "vocab_size": 50})",
                                 "config.json");
  ASSERT_TRUE(wide.ok());
  EXPECT_FALSE(check_step(wide.value(), {1, 1, 3, {}, 2}).ok()) << "its norm of queries goes over all devices";
}

}  // namespace
}  // namespace switchyard::model::llm
