#include "model/llm/families.h"

#include <algorithm>
#include <array>
#include <utility>

namespace switchyard::model::llm {
namespace {

constexpr const char* kMultipliers = "the multipliers of embeddings, branches, scores and logits are not applied";

/// A family that differs from another.
template <class Change>
constexpr Family with(Family family, const char* type, Change change) {
  family.type = type;
  change(family);
  return family;
}
constexpr Family named(Family family, const char* type) {
  return with(family, type, [](Family&) {});
}

/// What the second wave of models has: normalisation with mean, two projections with biases, no turning.
constexpr Family kPlain{.layer_norm = true, .gated = false, .attention_bias = true, .bias = true, .output_bias = true};
constexpr Family kGpt2 = with(kPlain, "gpt2", [](Family& f) {
  f.layers = "n_layer", f.hidden = "n_embd", f.heads = "n_head", f.ffn = "n_inner", f.positions = "n_positions";
  f.rotary = false, f.tied = true;
  f.activation = Activation::gelu_tanh;
});
constexpr Family kBert = with(kPlain, "bert", [](Family& f) {
  f.positions = "max_position_embeddings";
  f.encoder = true, f.rotary = false, f.tied = true;
  f.norms = Norms::after;
  f.activation = Activation::gelu;
  f.usual_positions = 512, f.usual_kinds = 2;
});
constexpr Family kGemma{.type = "gemma", .tied = true, .activation = Activation::gelu_tanh, .usual_kv_heads = 16, .usual_head_size = 256};
constexpr Family kGemma2 = with(kGemma, "gemma2", [](Family& f) {
  f.windows = true, f.norms = Norms::around;
  f.window_every = 2, f.whole_every = 1;
  f.usual_kv_heads = 4, f.usual_vocabulary = 256000, f.usual_window = 4096;
  f.usual_score_cap = 50, f.usual_logit_cap = 30;
});
constexpr Family kCohere{
    .type = "cohere", .layer_norm = true, .parallel = true, .tied = true, .norm_bias = false, .not_as_there = "logits are not scaled"};
constexpr Family kGlm{.type = "glm", .attention_bias = true, .usual_kv_heads = 2, .usual_head_size = 128, .turned = 0.5};
constexpr Family kMixtral{
    .type = "mixtral", .experts = "num_local_experts", .expert_ffn = "intermediate_size", .windows = true, .usual_kv_heads = 8};
constexpr Family kDeepseek{
    .type = "deepseek_v2", .experts = "n_routed_experts", .latent = true, .usual_shared = 2, .usual_query_rank = 1536, .normalised = false};

constexpr std::array kFamilies{
    Family{.type = "llama"},
    Family{.type = "mistral", .windows = true, .usual_kv_heads = 8, .usual_window = 4096},
    Family{.type = "internlm2"},
    Family{.type = "granite", .not_as_there = kMultipliers},
    Family{.type = "smollm3", .tied = true, .usual_kv_heads = 4},
    Family{.type = "phi3", .windows = true},
    Family{.type = "qwen2", .attention_bias = true, .usual_kv_heads = 32, .usual_window = 4096},
    Family{.type = "qwen3", .query_norm = true, .usual_kv_heads = 32, .usual_head_size = 128, .usual_window = 4096},
    kGemma,
    kGemma2,
    with(kGemma2, "gemma3_text",
         [](Family& f) {
           f.query_norm = true;
           f.window_every = 6;
           f.usual_heads = 8, f.usual_vocabulary = 262208;
           f.usual_score_cap = f.usual_logit_cap = 0;
         }),
    kGlm,
    with(kGlm, "glm4", [](Family& f) { f.norms = Norms::around; }),
    with(kPlain, "phi",
         [](Family& f) {
           f.parallel = true, f.head_bias = true, f.turned = 0.5;
           f.activation = Activation::gelu_tanh;
         }),
    with(kPlain, "gpt_neox",
         [](Family& f) {
           f.parallel = true, f.two_norms = true, f.turned = 0.25;
           f.activation = Activation::gelu;
         }),
    with(kGpt2, "gptj",
         [](Family& f) {
           f.positions = nullptr;
           f.parallel = true, f.rotary = true, f.head_bias = true;
           f.tied = f.attention_bias = f.output_bias = false;
         }),
    Family{.type = "falcon",
           .ffn = "ffn_hidden_size",
           .layer_norm = true,
           .parallel = true,
           .gated = false,
           .tied = true,
           .activation = Activation::gelu,
           .says_bias = "bias"},
    Family{.type = "stablelm", .layer_norm = true, .usual_kv_heads = 32, .turned = 0.25},
    with(kPlain, "starcoder2",
         [](Family& f) {
           f.tied = true, f.windows = true;
           f.activation = Activation::gelu_tanh;
           f.usual_kv_heads = 2;
           f.says_bias = "use_bias";
         }),
    kCohere,
    with(kCohere, "cohere2", [](Family& f) { f.windows = true, f.window_every = 4, f.whole_every = 1, f.usual_window = 4096; }),
    Family{.type = "olmo", .layer_norm = true, .norm_scale = false, .norm_bias = false},
    Family{.type = "olmo2", .norms = Norms::results, .wide_query_norm = true},
    kGpt2,
    named(kGpt2, "gpt_bigcode"),
    with(kGpt2, "bloom",
         [](Family& f) {
           f.hidden = "hidden_size", f.ffn = "ffn_hidden_size", f.positions = nullptr;
           f.biased_scores = true, f.first_norm = true;
         }),
    with(kPlain, "mpt",
         [](Family& f) {
           f.layers = "n_layers", f.hidden = "d_model", f.heads = "n_heads", f.ffn = "ffn_hidden_size";
           f.rotary = false, f.biased_scores = true, f.tied = true;
           f.activation = Activation::gelu;
           f.says_no_bias = "no_bias";
         }),
    with(kPlain, "opt",
         [](Family& f) {
           f.ffn = "ffn_dim", f.positions = "max_position_embeddings", f.more_positions = 2, f.usual_positions = 2048;
           f.rotary = false, f.tied = true;
           f.activation = Activation::relu;
         }),
    kBert,
    named(kBert, "roberta"),
    with(kBert, "distilbert",
         [](Family& f) { f.layers = "n_layers", f.hidden = "dim", f.heads = "n_heads", f.ffn = "hidden_dim", f.usual_kinds = 0; }),
    kMixtral,
    with(kMixtral, "granitemoe", [](Family& f) { f.windows = false, f.usual_kv_heads = 0, f.not_as_there = kMultipliers; }),
    with(kMixtral, "olmoe",
         [](Family& f) {
           f.windows = f.normalised = false, f.usual_kv_heads = 0;
           f.experts = "num_experts", f.wide_query_norm = true;
         }),
    Family{.type = "qwen2_moe",
           .experts = "num_experts",
           .shared = "shared_expert_intermediate_size",
           .attention_bias = true,
           .shared_gate = true,
           .usual_kv_heads = 16,
           .usual_window = 4096,
           .usual_shared = 5632,
           .normalised = false},
    Family{
        .type = "qwen3_moe", .experts = "num_experts", .query_norm = true, .usual_kv_heads = 4, .usual_window = 4096, .normalised = false},
    Family{.type = "gpt_oss",
           .experts = "num_local_experts",
           .expert_ffn = "intermediate_size",
           .attention_bias = true,
           .windows = true,
           .window_every = 2,
           .whole_every = 1,
           .usual_heads = 64,
           .usual_kv_heads = 8,
           .usual_head_size = 64,
           .usual_window = 128,
           .output_bias = true,
           .expert_bias = true,
           .sinks = true,
           .not_as_there = "attention sinks and the clamps of the experts' activation are not applied"},
    kDeepseek,
    with(kDeepseek, "deepseek_v3", [](Family& f) { f.usual_shared = 1, f.usual_dense = 3, f.normalised = true; }),
};

/// Types that are another's models under a name of their own, or the text part of one that sees and hears.
constexpr std::array<std::pair<const char*, const char*>, 9> kAliases{{{"gemma3", "gemma3_text"},
                                                                       {"qwen2_vl", "qwen2"},
                                                                       {"qwen2_vl_text", "qwen2"},
                                                                       {"qwen2_5_vl", "qwen2"},
                                                                       {"qwen2_5_vl_text", "qwen2"},
                                                                       {"qwen3_vl_text", "qwen3"},
                                                                       {"kimi_k2", "deepseek_v3"},
                                                                       {"xlm-roberta", "roberta"},
                                                                       {"camembert", "roberta"}}};

}  // namespace

std::span<const Family> families() { return kFamilies; }

const Family* family_of(std::string_view type) {
  for (const auto& [alias, name] : kAliases)
    if (type == alias) type = name;
  const auto* found = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family& f) { return type == f.type; });
  return found == kFamilies.end() ? nullptr : found;
}

}  // namespace switchyard::model::llm
