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

/// MobileNet v3 Large as in torchvision: 1000 classes, input [batch, 3, 224, 224].
graph::Graph mobilenet_v3(std::int64_t batch, std::uint64_t seed);
/// VGG-16 as in torchvision: 1000 classes, input [batch, 3, 224, 224].
graph::Graph vgg16(std::int64_t batch, std::uint64_t seed);
/// U-Net with padded convolutions and batch normalisation: input [batch, 3, size, size], two classes a pixel; size a multiple of 16.
graph::Graph unet(std::int64_t batch, std::int64_t size, std::uint64_t seed);
/// As in torchvision: 1000 classes, input [batch, 3, 224, 224].
graph::Graph vit_b16(std::int64_t batch, std::int64_t layers, std::uint64_t seed);
graph::Graph swin_t(std::int64_t batch, std::uint64_t seed);

struct Gpt2Sizes {
  std::int64_t batch = 1, seq = 512;
  std::int64_t layers = 12, hidden = 768, vocab = 50257;
};
/// A prefill: token ids [batch, seq] in; logits [batch, seq, vocab], and the keys and values of each layer out.
graph::Graph gpt2(const Gpt2Sizes& sizes, std::uint64_t seed);
/// Mel spectrogram [batch, 80, frames] in, hidden states [batch, frames / 2, 384] out; 3000 frames as published.
graph::Graph whisper_tiny_encoder(std::int64_t batch, std::int64_t layers, std::int64_t frames, std::uint64_t seed);

}  // namespace switchyard::model::zoo_models
