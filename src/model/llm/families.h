// Families: what each type of language model does differently from LLaMA, and what its configuration calls its sizes.
#pragma once

#include <span>
#include <string_view>

#include "model/llm/llm.h"

namespace switchyard::model::llm {

/// What a family does differently from LLaMA, and what it calls its sizes.
struct Family {
  const char* type = "";
  const char *layers = "num_hidden_layers", *hidden = "hidden_size", *heads = "num_attention_heads", *ffn = "intermediate_size";
  const char* positions = nullptr;  ///< of a learned table
  std::int64_t more_positions = 0;
  const char *experts = nullptr, *expert_ffn = "moe_intermediate_size", *shared = nullptr;
  bool encoder = false, layer_norm = false, parallel = false, gated = true, attention_bias = false, bias = false, query_norm = false,
       rotary = true, tied = false, windows = false, latent = false, shared_gate = false;
  Norms norms = Norms::before;
  Activation activation = Activation::silu;
  std::int64_t window_every = 1, whole_every = 0;
  // What its class takes where a configuration says nothing; 0: it must say it, or there is none.
  std::int64_t usual_heads = 0, usual_kv_heads = 0, usual_head_size = 0, usual_vocabulary = 0, usual_window = 0, usual_positions = 1024,
               usual_kinds = 0;
  std::int64_t usual_shared = 0;      ///< experts that all tokens take; of a family that says their width: that
  std::int64_t usual_dense = 0;       ///< layers at the beginning without experts
  std::int64_t usual_query_rank = 0;  ///< of latent attention
  double usual_score_cap = 0, usual_logit_cap = 0;
  bool normalised = true;  ///< the weights of experts sum to one
  bool norm_scale = true, norm_bias = true, two_norms = false, output_bias = false, head_bias = false, wide_query_norm = false;
  double turned = 1;                   ///< part of a head that turns
  const char* says_bias = nullptr;     ///< the key that says whether projections have biases
  const char* says_no_bias = nullptr;  ///< the same of one that says that nothing has
  bool biased_scores = false;          ///< by the distance, instead of positions
  bool first_norm = false;             ///< the words are normalised before the first layer
  bool expert_bias = false, sinks = false;
  const char* not_as_there = nullptr;
};

/// All that can be built.
std::span<const Family> families();

/// That of a type, or of the one whose models it names otherwise; null: it cannot be built.
const Family* family_of(std::string_view type);

}  // namespace switchyard::model::llm
