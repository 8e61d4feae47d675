// Language models from their configurations: a Hugging Face config.json becomes the graph of one prefill or of one decode step.
#pragma once

#include <cstdint>
#include <string>

#include "graph/graph.h"
#include "support/result.h"

namespace switchyard::model::llm {

enum class Activation : std::uint8_t { silu, gelu, relu };

/// What a decoder-only transformer is made of. Sizes are as the configuration gives them, or as its family leaves them.
struct Config {
  std::string type;  ///< model_type: "llama", "qwen3", "gpt2" ...
  std::int64_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_size = 0, ffn = 0, vocabulary = 0;
  bool layer_norm = false;      ///< with mean and bias; else root mean square alone
  bool gated = true;            ///< the feed-forward network multiplies two projections
  bool attention_bias = false;  ///< of the projections to queries, keys and values
  bool bias = false;            ///< of all other projections
  bool query_norm = false;      ///< queries and keys are normalised per head
  bool rotary = true;           ///< positions turn queries and keys; else they are added to words
  bool tied = false;            ///< the last projection is the table of words
  Activation activation = Activation::silu;
  double rotary_base = 10000, epsilon = 1e-5;
  std::int64_t window = 0;  ///< positions that attention looks back; 0: all
};

/// Reads a configuration. Failures: those of a document, llm/config (malformed: a key is missing, or sizes do not go together),
/// llm/unsupported (unsupported: a family that cannot be built).
Result<Config> read_config(const std::string& path);
/// The same of the text of one; `path` is its name in diagnostics.
Result<Config> parse_config(std::string text, const std::string& path);

struct Step {
  std::int64_t batch = 1;
  std::int64_t tokens = 1;   ///< of each sequence in this step
  std::int64_t context = 1;  ///< positions that attention sees, the step's own among them
};

/// One step: hidden states of the words in, logits of the last position out. The words are inputs that stand for rows of the table. The
/// cache of a layer, [2, batch, kv heads, context, head size], is an input which holds the step's own rows already; these rows are outputs,
/// too.
graph::Graph build(const Config& config, const Step& step, std::uint64_t seed);

}  // namespace switchyard::model::llm
