// The built-in models, each a function of its parameters.
#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace switchyard::model::zoo_models {

/// ResNet v1.5 as in torchvision, with 18 or 50 layers: 1000 classes, input [batch, 3, 224, 224].
graph::Graph resnet18(std::int64_t batch, std::uint64_t seed);
graph::Graph resnet50(std::int64_t batch, std::uint64_t seed);

/// C[m, n] = A[m, k] x B[k, n]; A is the input, B a constant.
graph::Graph gemm(std::int64_t m, std::int64_t n, std::int64_t k, std::uint64_t seed);

struct BertSizes {
  std::int64_t batch = 1, seq = 384;
  std::int64_t layers = 12, hidden = 768, ffn = 3072, vocab = 30522;
};
/// bert-base-uncased with its pooler. The input is the additive attention mask [batch, 1, 1, seq]; the outputs are the last hidden state
/// [batch, seq, hidden] and the pooled one [batch, hidden].
graph::Graph bert(const BertSizes& sizes, std::uint64_t seed);

struct LlamaSizes {
  std::int64_t batch = 1;
  std::int64_t seq = 1;   ///< tokens of this step
  std::int64_t past = 0;  ///< positions in the key/value cache before them
  std::int64_t layers = 32, hidden = 4096, ffn = 11008, vocab = 32000;
};
/// One decoder layer: hidden state and cache in, hidden state and the new rows of the cache out. Without a past, a causal mask.
graph::Graph llama_block(const LlamaSizes& sizes, std::uint64_t seed);
/// A step of the whole model for one token: embedding, layers, norm, logits. The caches are inputs, their new rows outputs.
graph::Graph llama(const LlamaSizes& sizes, std::uint64_t seed);

}  // namespace switchyard::model::zoo_models
